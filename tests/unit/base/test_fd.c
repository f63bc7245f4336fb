/* Unit tests of base/fd.c and base/file.c. */
#include "base/buf.h"
#include "base/limits.h"
#include "util.h"
#include <poll.h>
#include <sys/stat.h>

static bool cloexec(int fd)
{
	return fcntl(fd, F_GETFD) & FD_CLOEXEC;
}

static void fds_are_cloexec(void **state)
{
	unsigned before = count_fds();
	int p[2], q[2];

	{
		SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, "/", O_RDONLY | O_DIRECTORY, 0);
		SKF_AUTO_FD int dup = skf_dup_cloexec(fd);

		assert_true(cloexec(fd) && cloexec(dup));
		assert_true(dup >= 3);
		assert_int_equal(skf_set_cloexec(dup, false), 0);
		assert_false(cloexec(dup));
		assert_int_equal(skf_pipe(p, O_NONBLOCK), 0);
		assert_true(cloexec(p[0]) && cloexec(p[1]));
		assert_true(fcntl(p[0], F_GETFL) & O_NONBLOCK);
		assert_int_equal(skf_set_nonblock(p[0], false), 0);
		assert_false(fcntl(p[0], F_GETFL) & O_NONBLOCK);
		assert_int_equal(skf_socketpair_seqpacket(q), 0);
		assert_true(cloexec(q[0]) && cloexec(q[1]));
	}
	for (int i = 0; i < 2; i++) {
		skf_closep(&p[i]);
		skf_closep(&q[i]);
		assert_int_equal(p[i], -EBADF);
	}
	assert_int_equal(count_fds(), before);
	assert_int_equal(skf_openat(AT_FDCWD, "/nonexistent/x", O_RDONLY, 0), -ENOENT);
	assert_int_equal(skf_dup_cloexec(-1), -EBADF);
	assert_int_equal(skf_set_cloexec(-1, true), -EBADF);
}

static void close_keeps_errno(void **state)
{
	int bad = 9999, fd = -1;
	DIR *d = NULL;

	errno = 42;
	skf_closep(&bad);
	skf_closep(&fd);
	skf_closedirp(&d);
	assert_int_equal(errno, 42);
}

/* The other end of a pipe sees when the kernel has closed it; nothing of ours stays open. */
static void close_later_is_a_close(void **state)
{
	unsigned before = count_fds();
	struct pollfd ended;
	int none = -1, p[2];

	errno = 42;
	skf_close_later(&none);
	assert_int_equal(errno, 42);
	assert_int_equal(skf_pipe(p, 0), 0);
	skf_close_later(&p[1]);
	assert_int_equal(p[1], -EBADF);
	assert_int_equal(count_fds(), before + 1);
	ended = (struct pollfd){.fd = p[0]};
	assert_int_equal(poll(&ended, 1, 30000), 1);
	assert_true(ended.revents & POLLHUP);
	skf_closep(&p[0]);
}

static void full_transfers(void **state)
{
	int p[2];
	char b[8] = {0};

	assert_int_equal(skf_pipe(p, 0), 0);
	assert_int_equal(skf_write_full(p[1], "abc", 3), 0);
	assert_int_equal(skf_write_full(p[1], "de", 2), 0);
	assert_int_equal(skf_read_full(p[0], b, 4), 0);
	assert_string_equal(b, "abcd");
	skf_closep(&p[1]);
	assert_int_equal(skf_read_full(p[0], b, 2), -EPIPE);
	skf_closep(&p[0]);
	assert_int_equal(skf_read_full(-1, b, 2), -EBADF);
}

static void reads_files(void **state)
{
	struct tdir *d = *state;
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1 << 20);
	char *data = malloc(100000);

	memset(data, 'q', 100000);
	assert_int_equal(skf_write_atomic_at(d->fd, "f", data, 100000, 0600, 0), 0);
	skf_buf_str(&b, "pre");
	assert_int_equal(skf_read_file_at(d->fd, "f", 100000, &b), 0);
	assert_int_equal(b.len, 100003);
	assert_memory_equal(b.p + 3, data, 100000);
	assert_int_equal(b.p[b.len], 0);
	skf_buf_clear(&b);
	skf_buf_str(&b, "pre");
	assert_int_equal(skf_read_file_at(d->fd, "f", 99999, &b), -EFBIG); /* one over */
	assert_string_equal(skf_buf_cstr(&b), "pre");
	assert_int_equal(b.err, 0);
	b.max = 50000;
	assert_int_equal(skf_read_file_at(d->fd, "f", SIZE_MAX, &b), -EFBIG);
	assert_int_equal(skf_read_file_at(d->fd, "none", 10, &b), -ENOENT);
	assert_int_equal(skf_read_file_at(d->fd, ".", 10, &b), -EISDIR);
	skf_buf_clear(&b);
	assert_int_equal(skf_read_file_at(AT_FDCWD, "/proc/self/status", 65536, &b), 0);
	assert_true(skf_startswith(b.p, "Name:"));
	skf_buf_clear(&b);
	assert_int_equal(mkfifoat(d->fd, "fifo", 0600), 0);
	assert_int_equal(skf_read_file_at(d->fd, "fifo", 10, &b), 0); /* must not hang */
	assert_int_equal(b.len, 0);
	free(data);
}

static void reads_pipes(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(100);
	int p[2];

	assert_int_equal(skf_pipe(p, 0), 0);
	assert_int_equal(skf_write_full(p[1], "xyz", 3), 0);
	skf_closep(&p[1]);
	assert_int_equal(skf_read_fd(p[0], 3, &b), 0);
	assert_string_equal(skf_buf_cstr(&b), "xyz");
	skf_closep(&p[0]);
}

static void writes_existing_only(void **state)
{
	struct tdir *d = *state;
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(100);

	assert_int_equal(skf_write_existing_at(d->fd, "f", "1"), -ENOENT);
	assert_int_equal(skf_write_atomic_at(d->fd, "f", "100000", 6, 0600, 0), 0);
	assert_int_equal(skf_write_existing_at(d->fd, "f", "7\n"), 0);
	assert_int_equal(skf_read_file_at(d->fd, "f", 100, &b), 0);
	assert_string_equal(skf_buf_cstr(&b), "7\n");
	assert_int_equal(skf_write_existing_at(AT_FDCWD, "/dev/full", "x"), -ENOSPC);
}

static void several_files(void **state)
{
	struct tdir *d = *state;
	struct skf_buf b = SKF_BUF(100);
	struct skf_new_file v[SKF_NEW_FILES_MAX + 1] = {{d->fd, "one", "1", 1, 0},
							{d->fd, "two", "22", 2, SKF_NOREPLACE},
							{d->fd, "three", "333", 3, SKF_NOREPLACE}};
	unsigned before = count_fds();

	assert_int_equal(skf_write_atomic_at(d->fd, "one", "old", 3, 0600, 0), 0);
	assert_int_equal(skf_write_atomic_at(d->fd, "two", "old", 3, 0600, 0), 0);
	assert_int_equal(skf_write_files(v, 3), 0);
	assert_int_equal(tdir_count(d), 3);
	assert_int_equal(skf_read_file_at(d->fd, "one", 100, &b), 0);
	assert_int_equal(skf_read_file_at(d->fd, "two", 100, &b), 0);
	assert_int_equal(skf_read_file_at(d->fd, "three", 100, &b), 0);
	assert_string_equal(skf_buf_cstr(&b), "1old333");
	v[0].p = "new";
	v[2].name = "a/b"; /* seen before anything has its name */
	assert_int_equal(skf_write_files(v, 3), -EINVAL);
	assert_int_equal(tdir_count(d), 3);
	skf_buf_clear(&b);
	assert_int_equal(skf_read_file_at(d->fd, "one", 100, &b), 0);
	assert_string_equal(skf_buf_cstr(&b), "1");
	assert_int_equal(skf_write_files(v, SKF_NEW_FILES_MAX + 1), -E2BIG);
	assert_int_equal(skf_write_files(v, 0), 0);
	assert_int_equal(count_fds(), before);
	skf_buf_done(&b);
}

static void atomic_write(void **state)
{
	struct tdir *d = *state;
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(100);
	mode_t old = umask(077);
	char name[300];
	struct stat st;

	assert_int_equal(skf_write_atomic_at(d->fd, "f", "one", 3, 0644, SKF_SYNC | SKF_NOREPLACE), 0);
	umask(old);
	assert_int_equal(fstatat(d->fd, "f", &st, 0), 0);
	assert_int_equal(st.st_mode & 07777, 0644);
	assert_int_equal(skf_write_atomic_at(d->fd, "f", "two", 3, 0600, SKF_NOREPLACE), -EEXIST);
	assert_int_equal(tdir_count(d), 1);
	assert_int_equal(skf_write_atomic_at(d->fd, "f", "three", 5, 0600, SKF_SYNC), 0);
	assert_int_equal(skf_read_file_at(d->fd, "f", 100, &b), 0);
	assert_string_equal(skf_buf_cstr(&b), "three");
	/* a directory in the way: nothing is left behind */
	assert_int_equal(mkdirat(d->fd, "dir", 0700), 0);
	assert_int_equal(skf_write_atomic_at(d->fd, "dir", "x", 1, 0600, 0), -EISDIR);
	assert_int_equal(tdir_count(d), 2);
	assert_int_equal(skf_write_atomic_at(d->fd, "a/b", "x", 1, 0600, 0), -EINVAL);
	assert_int_equal(skf_write_atomic_at(d->fd, "..", "x", 1, 0600, 0), -EINVAL);
	assert_int_equal(skf_write_atomic_at(d->fd, "", "x", 1, 0600, 0), -EINVAL);
	memset(name, 'n', sizeof(name));
	name[256] = 0;
	assert_int_equal(skf_write_atomic_at(d->fd, name, "x", 1, 0600, 0), -ENAMETOOLONG);
	name[255] = 0;
	assert_int_equal(skf_write_atomic_at(d->fd, name, "x", 1, 0600, 0), 0);
}

static void makes_directories(void **state)
{
	struct tdir *d = *state;
	char path[128];
	struct stat st;

	assert_int_equal(skf_mkdir_at(d->fd, "a", 0700), 0);
	assert_int_equal(skf_mkdir_at(d->fd, "a", 0700), 0);
	assert_int_equal(skf_write_atomic_at(d->fd, "f", "", 0, 0600, 0), 0);
	assert_int_equal(skf_mkdir_at(d->fd, "f", 0700), -ENOTDIR);
	assert_int_equal(symlinkat("a", d->fd, "link"), 0);
	{
		SKF_AUTO_FD int fd = skf_mkdirs_at(d->fd, "link/b//c/", 0700);
		SKF_AUTO_FD int again = skf_mkdirs_at(d->fd, "a/b/c", 0700);

		assert_true(fd >= 0 && again >= 0 && cloexec(fd));
		assert_int_equal(fsync(fd), 0);
	}
	assert_int_equal(fstatat(d->fd, "a/b/c", &st, 0), 0);
	assert_int_equal(skf_mkdirs_at(d->fd, "f/x", 0700), -ENOTDIR);
	assert_int_equal(skf_mkdirs_at(d->fd, "a/b/f2/../../../f", 0700), -ENOTDIR);
	snprintf(path, sizeof(path), "%s/abs/x", d->path);
	{
		SKF_AUTO_FD int fd = skf_mkdirs_at(AT_FDCWD, path, 0700);

		assert_true(fd >= 0);
	}
	assert_int_equal(fstatat(d->fd, "abs/x", &st, 0), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fds_are_cloexec),
		cmocka_unit_test(close_keeps_errno),
		cmocka_unit_test(close_later_is_a_close),
		cmocka_unit_test(full_transfers),
		DIR_TEST(reads_files),
		cmocka_unit_test(reads_pipes),
		DIR_TEST(writes_existing_only),
		DIR_TEST(several_files),
		DIR_TEST(atomic_write),
		DIR_TEST(makes_directories),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
