/* base/fd.c -- open, duplicate, mark and transfer file descriptors. Leaf wrappers: -errno, nothing is
 * logged. skf_read_full and skf_write_full block as the fd does; on a non-blocking fd they return -EAGAIN.
 */
#include "base/fd.h"

#include "base/cleanup.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void skf_close(int fd)
{
	int saved = errno;

	/* The kernel frees the number even when close reports an error; writers learn of errors from fsync.
	 */
	if (fd >= 0)
		close(fd);
	errno = saved;
}

void skf_closep(int *fd)
{
	skf_close(*fd);
	*fd = -EBADF;
}

/* The descriptor goes into a message that waits in a socket, which itself waits in that message and nowhere
 * else: nobody can reach the two any more, and the kernel's collector of such sockets takes them away from a
 * worker of its own (from the caller's context before Linux 6.9). unix(7), SCM_RIGHTS. */
void skf_close_later(int *fd_own)
{
	char byte = 0, control[CMSG_SPACE(2 * sizeof(int))] = "";
	struct iovec iov = {&byte, 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	struct cmsghdr *c = CMSG_FIRSTHDR(&m);
	int pair[2] = {-EBADF, -EBADF}, fds[2];

	if (*fd_own >= 0 && skf_socketpair_seqpacket(pair) == 0) {
		*c = (struct cmsghdr){.cmsg_level = SOL_SOCKET,
				      .cmsg_type = SCM_RIGHTS,
				      .cmsg_len = CMSG_LEN(sizeof(fds))};
		fds[0] = pair[1];
		fds[1] = *fd_own;
		memcpy(CMSG_DATA(c), fds, sizeof(fds));
		(void)sendmsg(pair[0], &m, MSG_NOSIGNAL | MSG_DONTWAIT); /* refused: closed below, as ever */
		skf_closep(fd_own);
		skf_closep(&pair[1]);
		skf_closep(&pair[0]); /* last: this is when the collector looks */
	}
	skf_closep(fd_own);
}

void skf_closedirp(DIR **d)
{
	int saved = errno;

	if (*d)
		closedir(*d);
	*d = NULL;
	errno = saved;
}

int skf_openat(int dirfd, const char *path, int flags, mode_t mode)
{
	int fd;

	do
		fd = openat(dirfd, path, flags | O_CLOEXEC | O_NOCTTY, mode);
	while (fd < 0 && errno == EINTR);
	return skf_sys(fd);
}

int skf_dup_cloexec(int fd)
{
	int r = fcntl(fd, F_DUPFD_CLOEXEC, 3);

	return skf_sys(r);
}

static int set_flag(int fd, int get, int set, int flag, bool on)
{
	int flags = fcntl(fd, get);

	if (flags < 0)
		return skf_errno();
	if (!!(flags & flag) == on)
		return 0;
	return skf_sys(fcntl(fd, set, on ? flags | flag : flags & ~flag));
}

int skf_set_cloexec(int fd, bool on)
{
	return set_flag(fd, F_GETFD, F_SETFD, FD_CLOEXEC, on);
}

int skf_set_nonblock(int fd, bool on)
{
	return set_flag(fd, F_GETFL, F_SETFL, O_NONBLOCK, on);
}

int skf_pipe(int ret[2], int flags)
{
	int p[2];

	if (pipe2(p, flags | O_CLOEXEC) < 0)
		return skf_errno();
	ret[0] = p[0];
	ret[1] = p[1];
	return 0;
}

int skf_socketpair_seqpacket(int ret[2])
{
	int p[2];

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, p) < 0)
		return skf_errno();
	ret[0] = p[0];
	ret[1] = p[1];
	return 0;
}

int skf_cloexec_from(unsigned first)
{
	return skf_sys(close_range(first, ~0U, CLOSE_RANGE_CLOEXEC));
}

int skf_close_from(unsigned first)
{
	return skf_sys(close_range(first, ~0U, 0));
}

int skf_read_full(int fd, void *p, size_t n)
{
	char *at = p;

	while (n > 0) {
		ssize_t r = read(fd, at, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return skf_errno();
		if (r == 0)
			return -EPIPE;
		at += r;
		n -= (size_t)r;
	}
	return 0;
}

int skf_write_full(int fd, const void *p, size_t n)
{
	const char *at = p;

	while (n > 0) {
		ssize_t r = write(fd, at, n);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return skf_errno();
		if (r == 0)
			return -EIO;
		at += r;
		n -= (size_t)r;
	}
	return 0;
}
