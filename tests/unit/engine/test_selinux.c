/* Unit tests of engine/selinux.c, engine/mcs.c and sys/selinux.c: contexts of a policy, pairs of categories,
 * labels as text, and a labelled tree. */
#include "util.h"
#include "engine/selinux.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ATTRIBUTE "security.selinux"

static int make_etc(char path[64])
{
	int dir;

	strcpy(path, "/tmp/skiff-test-selinux-XXXXXX");
	assert_non_null(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(dir >= 0);
	return dir;
}

static void drop(int dir, const char *path)
{
	close(dir);
	assert_int_equal(skf_rmtree_at(AT_FDCWD, path), 0);
}

static void put(int dir, const char *name, const char *text)
{
	int fd = openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(skf_write_full(fd, text, strlen(text)), 0);
	close(fd);
}

static void contexts_of_a_policy(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_err err = SKF_ERR_INIT;
	struct skf_selinux_contexts c = {0};
	char path[64];
	int etc = make_etc(path);

	assert_int_equal(skf_selinux_contexts(etc, &a, &c, &err), 0);
	put(etc, "config", "#SELINUXTYPE=no\nSELINUX=enforcing\n SELINUXTYPE = mine \n");
	assert_int_equal(skf_selinux_contexts(etc, &a, &c, &err), 0);
	close(skf_mkdirs_at(etc, "mine/contexts", 0700));
	close(skf_mkdirs_at(etc, "targeted/contexts", 0700));
	put(etc, "mine/contexts/lxc_contexts",
	    "# process = \"no:no:no\"\nprocess = \"u:r:container_t:s0\"\nprocess_x = \"a:b:c\"\n"
	    "file=\"u:o:file_t:s0\"\ncontent = \"x\"\n");
	assert_int_equal(skf_selinux_contexts(etc, &a, &c, &err), 1);
	assert_string_equal(c.process, "u:r:container_t:s0");
	assert_string_equal(c.file, "u:o:file_t:s0");
	assert_null(c.init_process);
	put(etc, "config", "SELINUXTYPE=../mine\n"); /* no path: the default's name */
	assert_int_equal(skf_selinux_contexts(etc, &a, &c, &err), 0);
	put(etc, "targeted/contexts/lxc_contexts",
	    "process = \"u:r:t\"\nfile = \"u:o:f\"\ninit_process = \"u:r:i\"\n");
	assert_int_equal(skf_selinux_contexts(etc, &a, &c, &err), 1);
	assert_string_equal(c.init_process, "u:r:i");
	put(etc, "targeted/contexts/lxc_contexts", "process = \"u:r:t\"\n");
	ASSERT_FAILS(skf_selinux_contexts(etc, &a, &c, &err), SKF_ECORRUPT,
		     "targeted/contexts/lxc_contexts");
	put(etc, "targeted/contexts/lxc_contexts", "process = \"u:r\"\nfile = \"u:o:f\"\n");
	ASSERT_FAILS(skf_selinux_contexts(etc, &a, &c, &err), SKF_ECORRUPT, "user:role:type:level");
	drop(etc, path);
}

static void labels_as_text(void **state)
{
	static const char *const good[] = {"u:r:t", "u:r:t:s0", "u:r:t:s0:c1,c2", "u:r:t:s0-s0:c0.c1023"};
	static const char *const bad[] = {"", "u", "u:r", "u:r:", ":r:t", "u::t", "u:r:t:"};
	struct skf_selinux_label l, file;
	char out[512], small[8];

	for (size_t i = 0; i < SKF_ARRAY_LEN(good); i++) {
		assert_int_equal(skf_selinux_parse(good[i], &l), 0);
		assert_int_equal(skf_selinux_format(&l, out, sizeof(out)), 0);
		assert_string_equal(out, good[i]);
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++)
		assert_int_equal(skf_selinux_parse(bad[i], &l), -EINVAL);
	memset(out, 'x', sizeof(out) - 1);
	out[sizeof(out) - 1] = '\0';
	assert_int_equal(skf_selinux_parse(out, &l), -EINVAL);
	assert_int_equal(skf_selinux_parse("u:r:t:s0", &l), 0);
	assert_true(skf_selinux_format(&l, small, sizeof(small)) < 0);
	file = l;
	assert_int_equal(skf_selinux_option("level:s0:c3", &l, &file), 0);
	assert_string_equal(l.level, "s0:c3");
	assert_string_equal(file.level, "s0:c3");
	assert_int_equal(skf_selinux_option("type:x_t", &l, &file), 0);
	assert_string_equal(l.type, "x_t");
	assert_string_equal(file.type, "t");
	assert_int_equal(skf_selinux_option("filetype:y_t", &l, &file), 0);
	assert_string_equal(l.type, "x_t");
	assert_string_equal(file.type, "y_t");
	assert_int_equal(skf_selinux_option("user:", &l, &file), -EINVAL);
	assert_int_equal(skf_selinux_option("nosuch:x", &l, &file), -EINVAL);
	snprintf(out, sizeof(out), "role:%0100d", 0);
	assert_int_equal(skf_selinux_option(out, &l, &file), -ENAMETOOLONG);
}

static void every_pair_is_another(void **state)
{
	static bool seen[1024][1024];
	char text[SKF_MCS_SIZE];
	unsigned low, high;

	for (uint32_t i = 0; i < SKF_MCS_PAIRS; i++) {
		skf_mcs_pair(i, text);
		assert_int_equal(sscanf(text, "c%u,c%u", &low, &high), 2);
		if (!(low < high && high < 1024) || seen[low][high])
			fail_msg("pair %u: %s", i, text);
		seen[low][high] = true;
	}
	assert_false(seen[1022][1023]); /* that of the privileged */
}

static void pairs_are_claimed_and_given_back(void **state)
{
	static struct skf_engine g;
	struct skf_err err = SKF_ERR_INIT;
	const char *one = "1111111111111111111111111111111111111111111111111111111111111111",
		   *two = "2222222222222222222222222222222222222222222222222222222222222222";
	char path[64], a[SKF_MCS_SIZE], b[SKF_MCS_SIZE], got[SKF_MCS_SIZE];
	struct stat st;
	int dir;

	g.root_fd = make_etc(path);
	g.root = path;
	assert_int_equal(skf_mcs_take(&g, one, a, &err), 0);
	assert_int_equal(skf_mcs_take(&g, two, b, &err), 0);
	assert_string_not_equal(a, b);
	assert_int_equal(skf_mcs_release(&g, a, two, &err), 0); /* not its own */
	dir = openat(g.root_fd, "selinux", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(fstatat(dir, a, &st, AT_SYMLINK_NOFOLLOW), 0);
	assert_int_equal(skf_mcs_release(&g, a, one, &err), 0);
	assert_int_equal(fstatat(dir, a, &st, AT_SYMLINK_NOFOLLOW), -1);
	assert_int_equal(skf_mcs_release(&g, "", one, &err), 0);
	assert_int_equal(skf_mcs_of(dir, got), 0);
	assert_string_equal(got, "");
	assert_int_equal(symlinkat("c1,c2", dir, SKF_MCS_LINK), 0);
	assert_int_equal(skf_mcs_of(dir, got), 0);
	assert_string_equal(got, "c1,c2");
	assert_int_equal(unlinkat(dir, SKF_MCS_LINK, 0), 0);
	assert_int_equal(symlinkat("../c1", dir, SKF_MCS_LINK), 0); /* never a path */
	assert_int_equal(skf_mcs_of(dir, got), 0);
	assert_string_equal(got, "");
	close(dir);
	drop(g.root_fd, path);
}

static void assert_label(int dir, const char *name, const char *want)
{
	char path[128], got[256] = "";
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/self/fd/%d/%s", dir, name);
	n = lgetxattr(path, ATTRIBUTE, got, sizeof(got) - 1);
	if (want)
		assert_int_equal(n, strlen(want) + 1);
	else
		assert_true(n < 0 || strcmp(got, "u:o:new_t:s0") != 0);
	if (want)
		assert_string_equal(got, want);
}

/* The attribute is plain bytes to a kernel without SELinux; root may write it. */
static void a_tree_is_labelled(void **state)
{
	struct skf_err err = SKF_ERR_INIT;
	const char *label = "u:o:new_t:s0";
	char path[64], outside[64];
	int dir = make_etc(path), other = make_etc(outside), file, r;

	r = skf_selinux_set(dir, label);
	if (r == -EPERM || r == -EOPNOTSUPP ||
	    r == -EINVAL) { /* no root; or a policy that does not know it */
		drop(dir, path);
		drop(other, outside);
		skip();
	}
	close(skf_mkdirs_at(dir, "a/b", 0700));
	put(dir, "a/b/f", "x");
	put(other, "out", "x");
	assert_int_equal(symlinkat(outside, dir, "a/link"), 0);
	assert_int_equal(mkfifoat(dir, "a/fifo", 0600), 0);
	assert_int_equal(skf_selinux_set_tree(dir, label, &err), 0);
	assert_label(dir, ".", label);
	assert_label(dir, "a", label);
	assert_label(dir, "a/b", label);
	assert_label(dir, "a/b/f", label);
	assert_label(dir, "a/link", label);
	assert_label(dir, "a/fifo", label);
	assert_label(other, ".", NULL); /* no link is followed */
	assert_label(other, "out", NULL);
	file = openat(dir, "a/b/f", O_PATH | O_CLOEXEC);
	assert_int_equal(skf_selinux_set_tree(file, "u:o:other_t:s0", &err), 0);
	assert_label(dir, "a/b/f", "u:o:other_t:s0");
	assert_label(dir, "a/b", label);
	close(file);
	drop(dir, path);
	drop(other, outside);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(contexts_of_a_policy),  cmocka_unit_test(labels_as_text),
		cmocka_unit_test(every_pair_is_another), cmocka_unit_test(pairs_are_claimed_and_given_back),
		cmocka_unit_test(a_tree_is_labelled),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
