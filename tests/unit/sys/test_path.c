/* Unit tests of sys/path.c: nothing below a root leads out of it, neither by links nor by "..". No root
 * needed. */
#include "../base/util.h"
#include "sys/path.h"
#include <errno.h>
#include <limits.h>
#include <sys/stat.h>

struct env {
	struct tdir *d;
	int root;
};

static int setup(void **state)
{
	static struct env x;
	void *d = NULL;

	if (tdir_setup(&d) != 0)
		return -1;
	x.d = d;
	assert_int_equal(mkdirat(x.d->fd, "root", 0755), 0);
	assert_int_equal(mkdirat(x.d->fd, "canary", 0755), 0);
	x.root = openat(x.d->fd, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);
	*state = &x;
	return x.root < 0;
}

static int teardown(void **state)
{
	struct env *x = *state;
	void *d = x->d;

	close(x->root);
	return tdir_teardown(&d);
}

static bool exists(const struct env *x, const char *path)
{
	return faccessat(x->d->fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

static unsigned canary_entries(const struct env *x)
{
	int fd = openat(x->d->fd, "canary", O_RDONLY | O_DIRECTORY);
	DIR *dir = fdopendir(fd);
	unsigned n = 0;

	while (readdir(dir))
		n++;
	closedir(dir);
	return n - 2;
}

static void links_and_dots_stay_inside(void **state)
{
	struct env *x = *state;
	char host[PATH_MAX], got[PATH_MAX], root[PATH_MAX];

	snprintf(host, sizeof(host), "%s/canary", x->d->path);
	assert_int_equal(symlinkat(host, x->root, "abs"), 0);
	assert_int_equal(symlinkat("../canary", x->root, "rel"), 0);
	assert_int_equal(symlinkat("/", x->root, "top"), 0);
	assert_int_equal(skf_path_open(x->root, "abs", O_PATH, 0), -ENOENT);
	assert_int_equal(skf_path_open(x->root, "rel", O_PATH, 0), -ENOENT);
	assert_int_equal(skf_path_open(x->root, "../canary", O_PATH, 0), -ENOENT);
	SKF_AUTO_FD int top = skf_path_open(x->root, "top/../../..", O_PATH, 0);
	assert_true(top >= 0);
	assert_int_equal(skf_path_readlink_fd(x->root, root, sizeof(root)), 0);
	assert_int_equal(skf_path_readlink_fd(top, got, sizeof(got)), 0);
	assert_string_equal(got, root);
	assert_int_equal(fcntl(top, F_GETFD), FD_CLOEXEC);
	SKF_AUTO_FD int empty = skf_path_open(x->root, "", O_PATH, 0);
	assert_true(empty >= 0);
}

static void nofollow_and_nolinks(void **state)
{
	struct env *x = *state;
	struct stat st;

	assert_int_equal(mkdirat(x->root, "dir", 0755), 0);
	assert_int_equal(symlinkat("dir", x->root, "link"), 0);
	SKF_AUTO_FD int l = skf_path_open_nofollow(x->root, "link", O_PATH, 0);
	assert_true(l >= 0);
	assert_int_equal(fstat(l, &st), 0);
	assert_true(S_ISLNK(st.st_mode));
	assert_int_equal(skf_path_open_nolinks(x->root, "link", O_PATH, 0), -ELOOP);
	assert_int_equal(skf_path_open_nolinks(x->root, "link/x", O_PATH, 0), -ELOOP);
	SKF_AUTO_FD int d = skf_path_open_nolinks(x->root, "dir", O_PATH | O_DIRECTORY, 0);
	assert_true(d >= 0);
}

static void magic_links_are_refused(void **state)
{
	SKF_AUTO_FD int proc = open("/proc", O_PATH | O_DIRECTORY | O_CLOEXEC);

	assert_true(proc >= 0);
	assert_int_equal(skf_path_open(proc, "self/root", O_PATH, 0), -ELOOP);
	assert_int_equal(skf_path_open(proc, "self/cwd/x", O_PATH, 0), -ELOOP);
}

static void mkdirs_makes_inside_only(void **state)
{
	struct env *x = *state;
	char host[PATH_MAX];

	SKF_AUTO_FD int plain = skf_path_mkdirs(x->root, "/a//b/./c/", 0750);
	assert_true(plain >= 0);
	assert_true(exists(x, "root/a/b/c"));
	/* A link that dangles in the root, though the host has its target. */
	snprintf(host, sizeof(host), "%s/canary", x->d->path);
	assert_int_equal(symlinkat(host, x->root, "dev"), 0);
	SKF_AUTO_FD int abs = skf_path_mkdirs(x->root, "dev/pts", 0755);
	assert_true(abs >= 0);
	assert_int_equal(symlinkat("../../../../canary/deep", x->root, "run"), 0);
	SKF_AUTO_FD int rel = skf_path_mkdirs(x->root, "run/lock", 0755);
	assert_true(rel >= 0);
	assert_true(exists(x, "root/canary/deep/lock"));
	assert_int_equal(canary_entries(x), 0);
	/* Again: everything is there. */
	SKF_AUTO_FD int again = skf_path_mkdirs(x->root, "dev/pts", 0755);
	assert_true(again >= 0);
	SKF_AUTO_FD int up = skf_path_mkdirs(x->root, "../../up", 0755);
	assert_true(up >= 0);
	assert_true(exists(x, "root/up"));
	assert_false(exists(x, "up"));
}

static void mkdirs_ends(void **state)
{
	struct env *x = *state;
	char name[NAME_MAX + 2];

	assert_int_equal(symlinkat("loop2", x->root, "loop1"), 0);
	assert_int_equal(symlinkat("loop1", x->root, "loop2"), 0);
	assert_int_equal(skf_path_mkdirs(x->root, "loop1/a", 0755), -ELOOP);
	/* Grows with every step. */
	assert_int_equal(symlinkat("grow/x", x->root, "grow"), 0);
	assert_true(skf_path_mkdirs(x->root, "grow/a", 0755) < 0);
	assert_int_equal(mknodat(x->root, "file", S_IFREG | 0644, 0), 0);
	assert_int_equal(skf_path_mkdirs(x->root, "file/a", 0755), -ENOTDIR);
	assert_int_equal(skf_path_mkdirs(x->root, "file", 0755), -ENOTDIR);
	memset(name, 'n', sizeof(name) - 1);
	name[sizeof(name) - 1] = '\0';
	assert_int_equal(skf_path_mkdirs(x->root, name, 0755), -ENAMETOOLONG);
}

static void parent(void **state)
{
	struct env *x = *state;
	char name[16];
	static const char *const bad[] = {"/", "", ".", "..", "a/.", "a/..", "a/"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++)
		assert_int_equal(skf_path_parent(x->root, bad[i], true, name, sizeof(name)), -EINVAL);
	assert_int_equal(skf_path_parent(x->root, "/p/q", false, name, sizeof(name)), -ENOENT);
	SKF_AUTO_FD int fd = skf_path_parent(x->root, "/p/q/leaf", true, name, sizeof(name));
	assert_true(fd >= 0);
	assert_string_equal(name, "leaf");
	assert_true(exists(x, "root/p/q"));
	assert_int_equal(skf_path_parent(x->root, "/p/q/seventeen-letters", true, name, sizeof(name)),
			 -ENAMETOOLONG);
	SKF_AUTO_FD int top = skf_path_parent(x->root, "leaf", false, name, sizeof(name));
	assert_true(top >= 0);
}

static void mount_file(void **state)
{
	struct env *x = *state;
	struct stat st;
	char host[PATH_MAX];

	SKF_AUTO_FD int fresh = skf_path_mount_file(x->root, "/etc/deep/hosts");
	assert_true(fresh >= 0);
	assert_int_equal(fstat(fresh, &st), 0);
	assert_true(S_ISREG(st.st_mode) && st.st_size == 0 && (st.st_mode & 07777) == 0644);
	SKF_AUTO_FD int again = skf_path_mount_file(x->root, "/etc/deep/hosts");
	assert_true(again >= 0);
	assert_int_equal(skf_path_mount_file(x->root, "/etc/deep"), -EISDIR);
	snprintf(host, sizeof(host), "%s/canary/made", x->d->path);
	assert_int_equal(symlinkat(host, x->root, "etc/resolv.conf"), 0);
	SKF_AUTO_FD int dangling = skf_path_mount_file(x->root, "/etc/resolv.conf");
	assert_true(dangling >= 0);
	assert_int_equal(fstat(dangling, &st), 0);
	assert_true(S_ISREG(st.st_mode));
	assert_int_equal(canary_entries(x), 0);
	assert_int_equal(symlinkat("self", x->root, "self"), 0);
	assert_int_equal(skf_path_mount_file(x->root, "self"), -ELOOP);
}

static void procfs_handles(void **state)
{
	struct env *x = *state;
	char buf[16] = "";

	SKF_AUTO_FD int proc = skf_path_open_procfs();
	assert_true(proc >= 0);
	assert_true(skf_path_is_procfs(proc));
	assert_false(skf_path_is_procfs(x->root));
	assert_false(skf_path_is_sysfs(proc));
	SKF_AUTO_FD int fd = skf_path_open_in_proc(proc, "sys/kernel/ostype", O_RDONLY);
	assert_true(fd >= 0);
	assert_true(read(fd, buf, sizeof(buf) - 1) > 0);
	assert_string_equal(buf, "Linux\n");
	assert_int_equal(skf_path_open_in_proc(proc, "self/status", O_RDONLY), -ELOOP);
	assert_int_equal(skf_path_open_in_proc(proc, "../etc/passwd", O_RDONLY), -EXDEV);
	assert_int_equal(skf_path_open_in_proc(proc, "/etc/passwd", O_RDONLY), -EXDEV);
	/* Not procfs at all. */
	assert_int_equal(mknodat(x->root, "fake", S_IFREG | 0644, 0), 0);
	assert_int_equal(skf_path_open_in_proc(x->root, "fake", O_RDONLY), -EXDEV);
}

static void no_fd_leaks(void **state)
{
	struct env *x = *state;
	char name[8];
	unsigned before = count_fds();

	assert_int_equal(symlinkat("loop", x->root, "loop"), 0);
	(void)skf_path_mkdirs(x->root, "loop/x", 0755);
	(void)skf_path_mount_file(x->root, "loop/x");
	(void)skf_path_parent(x->root, "loop/x", true, name, sizeof(name));
	(void)skf_path_open_in_proc(x->root, ".", O_PATH);
	assert_int_equal(count_fds(), before);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		T(links_and_dots_stay_inside),
		T(nofollow_and_nolinks),
		T(magic_links_are_refused),
		T(mkdirs_makes_inside_only),
		T(mkdirs_ends),
		T(parent),
		T(mount_file),
		T(procfs_handles),
		T(no_fd_leaks),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
