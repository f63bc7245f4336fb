/* Unit tests of engine/layered.c: the merged view of directories that stand for layers. Whiteouts and opaque
 * marks need root and are left out without it. */
#include "util.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

struct tree {
	char dir[64];
	int fd;
	struct skf_layered l;
};

static int setup(void **state)
{
	struct tree *t = calloc(1, sizeof(*t));

	memcpy(t->dir, "/tmp/skf-layered-XXXXXX", sizeof("/tmp/skf-layered-XXXXXX"));
	assert_non_null(mkdtemp(t->dir));
	t->fd = skf_openat(AT_FDCWD, t->dir, O_RDONLY | O_DIRECTORY, 0);
	for (unsigned i = 0; i < 3; i++) {
		char name[] = {(char)('0' + i), '\0'};

		assert_int_equal(mkdirat(t->fd, name, 0755), 0);
		t->l.fd[i] = skf_openat(t->fd, name, O_PATH | O_DIRECTORY, 0);
		assert_true(t->l.fd[i] >= 0);
	}
	t->l.n = 3; /* 0 is the highest */
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	struct tree *t = *state;

	skf_layered_done(&t->l);
	assert_int_equal(skf_rmtree_at(AT_FDCWD, t->dir), 0);
	close(t->fd);
	free(t);
	return 0;
}

static void put(struct tree *t, const char *path, const char *text)
{
	int fd = skf_openat(t->fd, path, O_WRONLY | O_CREAT | O_TRUNC, 0644);

	assert_true(fd >= 0);
	assert_int_equal(skf_write_full(fd, text, strlen(text)), 0);
	close(fd);
}

static void dir(struct tree *t, const char *path)
{
	assert_int_equal(mkdirat(t->fd, path, 0755), 0);
}

static void expect(struct tree *t, const char *path, const char *text)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(100);
	SKF_AUTO_FD int fd = skf_layered_open_file(&t->l, path);

	if (!text) {
		assert_true(fd < 0);
		return;
	}
	assert_true(fd >= 0);
	assert_true(skf_read_fd(fd, 100, &b) >= 0);
	assert_string_equal(skf_buf_cstr(&b), text);
}

static void highest_wins_and_directories_merge(void **state)
{
	struct tree *t = *state;

	dir(t, "0/etc");
	dir(t, "1/etc");
	dir(t, "2/etc");
	put(t, "2/etc/passwd", "low");
	put(t, "2/etc/group", "low group");
	put(t, "1/etc/passwd", "mid");
	expect(t, "/etc/passwd", "mid");
	expect(t, "etc/group", "low group");
	expect(t, "/etc/./../etc/passwd", "mid");
	expect(t, "/etc/none", NULL);
	expect(t, "/etc", NULL);
	put(t, "0/file", "x");
	dir(t, "2/file");
	put(t, "2/file/in", "hidden");
	expect(t, "/file", "x");
	expect(t, "/file/in", NULL);
}

static void links(void **state)
{
	struct tree *t = *state;

	dir(t, "0/etc");
	dir(t, "2/usr");
	dir(t, "2/usr/lib");
	put(t, "2/usr/lib/passwd", "linked");
	assert_int_equal(symlinkat("../usr/lib/passwd", t->fd, "0/etc/passwd"), 0);
	expect(t, "/etc/passwd", "linked");
	assert_int_equal(symlinkat("/usr/lib", t->fd, "1/lib"), 0);
	expect(t, "/lib/passwd", "linked");
	assert_int_equal(symlinkat("../../../../../../../../etc/hostname", t->fd, "0/etc/escape"), 0);
	expect(t, "/etc/escape", NULL); /* below the image's own root there is none */
	assert_int_equal(symlinkat("loop", t->fd, "0/loop"), 0);
	expect(t, "/loop", NULL);
	assert_int_equal(symlinkat("/dev/zero", t->fd, "0/etc/group"), 0);
	expect(t, "/etc/group", NULL);
}

static void only_regular_files(void **state)
{
	struct tree *t = *state;

	assert_int_equal(mkfifoat(t->fd, "0/fifo", 0644), 0);
	put(t, "1/fifo", "below");
	expect(t, "/fifo", NULL); /* does not block either */
}

static void whiteouts(void **state)
{
	struct tree *t = *state;

	dir(t, "0/etc");
	dir(t, "1/etc");
	put(t, "1/etc/a", "a");
	put(t, "1/etc/b", "b");
	if (mknodat(t->fd, "0/etc/a", S_IFCHR, makedev(0, 0)) < 0)
		skip();
	expect(t, "/etc/a", NULL);
	expect(t, "/etc/b", "b");
	{
		SKF_AUTO_FD int fd = skf_openat(t->fd, "0/etc", O_RDONLY | O_DIRECTORY, 0);

		if (fsetxattr(fd, "trusted.overlay.opaque", "y", 1, 0) < 0)
			skip();
	}
	expect(t, "/etc/b", NULL);
	if (mknodat(t->fd, "0/gone", S_IFCHR, makedev(0, 0)) < 0)
		skip();
	dir(t, "1/gone");
	put(t, "1/gone/x", "x");
	expect(t, "/gone/x", NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(highest_wins_and_directories_merge, setup, teardown),
		cmocka_unit_test_setup_teardown(links, setup, teardown),
		cmocka_unit_test_setup_teardown(only_regular_files, setup, teardown),
		cmocka_unit_test_setup_teardown(whiteouts, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
