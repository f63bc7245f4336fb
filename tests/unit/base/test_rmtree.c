/* Unit tests of base/rmtree.c. The mount test needs root and is skipped without. */
#include "util.h"
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>

static void removes_files_and_links(void **state)
{
	struct tdir *d = *state;

	assert_int_equal(mkdirat(d->fd, "keep", 0700), 0);
	assert_int_equal(skf_write_atomic_at(d->fd, "keepfile", "x", 1, 0600, 0), 0);
	skf_closep(&(int){skf_mkdirs_at(d->fd, "t/a/b", 0700)});
	assert_int_equal(symlinkat("../keep", d->fd, "t/link"), 0);
	assert_int_equal(symlinkat("../../keepfile", d->fd, "t/a/flink"), 0);
	assert_int_equal(mkfifoat(d->fd, "t/fifo", 0600), 0);
	assert_int_equal(skf_rmtree_at(d->fd, "t"), 0);
	assert_int_equal(tdir_count(d), 2);
	assert_int_equal(skf_rmtree_at(d->fd, "t"), 0);
	assert_int_equal(skf_rmtree_at(d->fd, "none/t"), 0);
	assert_int_equal(symlinkat("keep", d->fd, "top"), 0);
	assert_int_equal(skf_rmtree_at(d->fd, "top"), 0); /* the link, not what it names */
	assert_int_equal(tdir_count(d), 2);
	assert_int_equal(skf_rmtree_at(d->fd, "keepfile"), 0);
	assert_int_equal(skf_rmtree_at(d->fd, "."), -EINVAL);
	assert_int_equal(skf_rmtree_at(d->fd, "keep/.."), -EINVAL);
	assert_int_equal(skf_rmtree_at(d->fd, "keep/"), -EINVAL);
	assert_int_equal(tdir_count(d), 1);
}

static void removes_wide_trees(void **state)
{
	struct tdir *d = *state;
	char name[64];

	for (int i = 0; i < 300; i++) {
		snprintf(name, sizeof(name), "w/%d/sub", i);
		skf_closep(&(int){skf_mkdirs_at(d->fd, name, 0700)});
	}
	assert_int_equal(skf_rmtree_at(d->fd, "w"), 0);
	assert_int_equal(tdir_count(d), 0);
}

/* 5000 levels, with siblings on the way, under a limit of 128 open files. */
static void removes_deep_trees(void **state)
{
	struct tdir *d = *state;
	struct rlimit old, few;
	unsigned before = count_fds();
	int at = dup(d->fd), next;

	assert_int_equal(getrlimit(RLIMIT_NOFILE, &old), 0);
	for (int i = 0; i < 5000; i++) {
		assert_int_equal(mkdirat(at, "n", 0700), 0);
		if (i % 50 == 0)
			assert_int_equal(mkdirat(at, "side", 0700), 0);
		next = openat(at, "n", O_RDONLY | O_DIRECTORY);
		close(at);
		at = next;
		assert_true(at >= 0);
		if (i % 100 == 0)
			close(openat(at, "f", O_CREAT | O_WRONLY, 0600));
	}
	close(at);
	few = (struct rlimit){128, old.rlim_max};
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &few), 0);
	assert_int_equal(skf_rmtree_at(d->fd, "n"), 0);
	assert_int_equal(setrlimit(RLIMIT_NOFILE, &old), 0);
	assert_int_equal(skf_rmtree_at(d->fd, "side"), 0);
	assert_int_equal(tdir_count(d), 0);
	assert_int_equal(count_fds(), before);
}

/* In a child that gives up root, so that permissions count. */
static void opens_unreadable_directories(void **state)
{
	struct tdir *d = *state;
	int status;
	pid_t pid;

	assert_int_equal(fchmod(d->fd, 0777), 0);
	pid = fork();
	if (pid == 0) {
		if (getuid() == 0 && (setgid(65534) < 0 || setuid(65534) < 0))
			_exit(2);
		if (mkdirat(d->fd, "t", 0700) < 0 || mkdirat(d->fd, "t/a", 0700) < 0 ||
		    mkdirat(d->fd, "t/a/b", 0700) < 0 || fchmodat(d->fd, "t/a", 0, 0) < 0 ||
		    fchmodat(d->fd, "t", 0500, 0) < 0)
			_exit(3);
		_exit(skf_rmtree_at(d->fd, "t") == 0 ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(tdir_count(d), 0);
}

/* What belongs to somebody else stays and is reported; the rest goes. */
static void first_error_is_returned(void **state)
{
	struct tdir *d = *state;
	int status;
	pid_t pid;

	if (getuid() != 0)
		skip();
	skf_closep(&(int){skf_mkdirs_at(d->fd, "t/theirs/x", 0700)});
	assert_int_equal(mkdirat(d->fd, "t/ours", 0777), 0);
	assert_int_equal(fchownat(d->fd, "t", 65534, 65534, 0), 0);
	assert_int_equal(fchmod(d->fd, 0777), 0);
	pid = fork();
	if (pid == 0) {
		if (setgid(65534) < 0 || setuid(65534) < 0)
			_exit(2);
		_exit(skf_rmtree_at(d->fd, "t") == -EACCES ? 0 : 4);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(faccessat(d->fd, "t/theirs/x", F_OK, 0), 0);
	assert_int_equal(faccessat(d->fd, "t/ours", F_OK, 0), -1);
}

static int mount_child(struct tdir *d)
{
	if (unshare(CLONE_NEWNS) < 0 || mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0 ||
	    chdir(d->path) < 0)
		return 77;
	skf_closep(&(int){skf_mkdirs_at(d->fd, "t/mnt", 0700)});
	skf_closep(&(int){skf_mkdirs_at(d->fd, "t/other/x", 0700)});
	skf_closep(&(int){skf_mkdirs_at(d->fd, "victim", 0700)});
	if (skf_write_atomic_at(d->fd, "f", "x", 1, 0600, 0) < 0)
		return 77;
	if (renameat(d->fd, "f", d->fd, "victim/f") < 0 || mount("victim", "t/mnt", NULL, MS_BIND, NULL) < 0)
		return 77;
	if (skf_rmtree_at(d->fd, "t") != -EBUSY)
		return 1;
	if (access("victim/f", F_OK) < 0 || access("t/mnt/f", F_OK) < 0 || access("t/other", F_OK) == 0)
		return 2;
	/* the tree itself is a mount */
	if (skf_rmtree_at(d->fd, "t/mnt") != -EBUSY || access("victim/f", F_OK) < 0)
		return 3;
	return 0;
}

static void stops_at_mounts(void **state)
{
	int status;
	pid_t pid = fork();

	if (pid == 0)
		_exit(mount_child(*state));
	assert_int_equal(waitpid(pid, &status, 0), pid);
	if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
		skip();
	assert_int_equal(status, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIR_TEST(removes_files_and_links), DIR_TEST(removes_wide_trees),
		DIR_TEST(removes_deep_trees),      DIR_TEST(opens_unreadable_directories),
		DIR_TEST(first_error_is_returned), DIR_TEST(stops_at_mounts),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
