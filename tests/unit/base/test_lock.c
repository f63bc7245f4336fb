/* Unit tests of base/lock.c: OFD locks belong to the open file, so that one process can play both sides. */
#include "base/buf.h"
#include "util.h"
#include <sys/stat.h>
#include <sys/wait.h>

static void excludes(void **state)
{
	struct tdir *d = *state;
	int64_t t;

	assert_int_equal(skf_lock_held_at(d->fd, "l"), 0);
	{
		SKF_AUTO_FD int fd = skf_lock_at(d->fd, "l", true, 0);

		assert_true(fd >= 0);
		assert_true(fcntl(fd, F_GETFD) & FD_CLOEXEC);
		assert_int_equal(skf_lock_held_at(d->fd, "l"), 1);
		assert_int_equal(skf_lock_at(d->fd, "l", true, 0), -EAGAIN);
		assert_int_equal(skf_lock_at(d->fd, "l", false, 0), -EAGAIN);
		t = skf_mono_ms();
		assert_int_equal(skf_lock_at(d->fd, "l", true, 60), -ETIMEDOUT);
		t = skf_mono_ms() - t;
		assert_in_range(t, 60, 2000);
	}
	assert_int_equal(skf_lock_held_at(d->fd, "l"), 0);
	assert_int_equal(skf_lock_at(d->fd, "l", true, -1), -EINVAL);
	assert_int_equal(skf_lock_at(d->fd, "no/l", true, 0), -ENOENT);
}

static void shares(void **state)
{
	struct tdir *d = *state;
	SKF_AUTO_FD int a = skf_lock_at(d->fd, "l", false, 0);
	SKF_AUTO_FD int b = skf_lock_at(d->fd, "l", false, 0);

	assert_true(a >= 0 && b >= 0);
	assert_int_equal(skf_lock_at(d->fd, "l", true, 0), -EAGAIN);
	assert_int_equal(skf_lock_held_at(d->fd, "l"), 1);
}

static void waiter_gets_it(void **state)
{
	struct tdir *d = *state;
	int ready[2], status;
	char c;
	pid_t pid;

	assert_int_equal(skf_pipe(ready, 0), 0);
	pid = fork();
	if (pid == 0) {
		int fd = skf_lock_at(d->fd, "l", true, 0);

		(void)!write(ready[1], "x", 1);
		usleep(50000);
		_exit(fd < 0);
	}
	assert_int_equal(skf_read_full(ready[0], &c, 1), 0);
	{
		SKF_AUTO_FD int fd = skf_lock_at(d->fd, "l", true, 5000);

		assert_true(fd >= 0);
	}
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	skf_closep(&ready[0]);
	skf_closep(&ready[1]);
}

static void unlinked_file_is_not_the_lock(void **state)
{
	struct tdir *d = *state;
	SKF_AUTO_FD SKF_UNUSED int old = skf_lock_at(d->fd, "l", true, 0);

	assert_int_equal(unlinkat(d->fd, "l", 0), 0);
	{
		SKF_AUTO_FD int fd = skf_lock_at(d->fd, "l", true, 0);
		struct stat a, b;

		assert_true(fd >= 0);
		assert_int_equal(fstat(fd, &a), 0);
		assert_int_equal(fstatat(d->fd, "l", &b, 0), 0);
		assert_true(a.st_ino == b.st_ino);
	}
}

static void refuses_links(void **state)
{
	struct tdir *d = *state;

	assert_int_equal(symlinkat("target", d->fd, "l"), 0);
	assert_int_equal(skf_lock_at(d->fd, "l", true, 0), -ELOOP);
	assert_int_equal(skf_lock_held_at(d->fd, "l"), -ELOOP);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		DIR_TEST(excludes),       DIR_TEST(shares),
		DIR_TEST(waiter_gets_it), DIR_TEST(unlinked_file_is_not_the_lock),
		DIR_TEST(refuses_links),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
