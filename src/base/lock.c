/* base/lock.c -- open-file-description locks on whole files.
 * Theory: fcntl's blocking form cannot be bounded in time without signals or threads, so that a waiter tries
 * again in growing steps. Whoever held the lock may have unlinked the file; a lock on a file that no longer
 * has the name protects nothing, so that it is dropped and the name opened anew. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define STEP_MAX_MS 25

static int try_lock(int fd, bool exclusive)
{
	struct flock l = {.l_type = exclusive ? F_WRLCK : F_RDLCK, .l_whence = SEEK_SET};

	if (fcntl(fd, F_OFD_SETLK, &l) == 0)
		return 0;
	return errno == EACCES ? -EAGAIN : skf_errno();
}

/* 1 when fd is still what the name means, 0 when not. */
static int still_named(int fd, int dirfd, const char *name)
{
	struct stat a, b;

	if (fstat(fd, &a) < 0)
		return skf_errno();
	if (fstatat(dirfd, name, &b, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : skf_errno();
	return a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int lock_once(int dirfd, const char *name, bool exclusive)
{
	SKF_AUTO_FD int fd = skf_openat(dirfd, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	int r;

	if (fd < 0)
		return fd;
	r = try_lock(fd, exclusive);
	if (r == 0)
		r = still_named(fd, dirfd, name);
	if (r < 0)
		return r;
	return r == 1 ? SKF_TAKE_FD(fd) : -EAGAIN;
}

static void sleep_ms(int ms)
{
	struct timespec t = {.tv_sec = ms / 1000, .tv_nsec = ms % 1000 * 1000000L};

	nanosleep(&t, NULL); /* cut short by a signal, the caller only tries earlier */
}

int skf_lock_at(int dirfd, const char *name, bool exclusive, int timeout_ms)
{
	int64_t end = skf_mono_ms() + timeout_ms, left;
	int fd, step = 1;

	if (timeout_ms < 0)
		return -EINVAL;
	for (;;) {
		fd = lock_once(dirfd, name, exclusive);
		if (fd != -EAGAIN || timeout_ms == 0)
			return fd;
		left = end - skf_mono_ms();
		if (left <= 0)
			return -ETIMEDOUT;
		sleep_ms(step < left ? step : (int)left);
		step = step * 2 < STEP_MAX_MS ? step * 2 : STEP_MAX_MS;
	}
}

int skf_lock_held_at(int dirfd, const char *name)
{
	SKF_AUTO_FD int fd = skf_openat(dirfd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	struct flock l = {.l_type = F_WRLCK, .l_whence = SEEK_SET};

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return fd;
	if (fcntl(fd, F_OFD_GETLK, &l) < 0)
		return skf_errno();
	return l.l_type != F_UNLCK;
}
