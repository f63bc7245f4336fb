/* cmd/oci_pidfd.c -- --pidfd-socket: hands a pidfd of the new process to whoever listens, in runc's way: one
 * message over a stream socket with the descriptor as SCM_RIGHTS and a name as data. Connected before
 * anything is made, so that a wrong path costs nothing to undo. Blocks at most for a send of a few bytes. */
#include "cmd/oci_int.h"

#include "sys/process.h"

#include <limits.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

int oci_pidfd_connect(const struct oci *o, int *ret, struct skf_err *e)
{
	const char *path = o->a.pidfd_socket, *base;
	SKF_AUTO_FD int fd = -EBADF, dir = -EBADF;
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	char parent[PATH_MAX];
	int r;

	if (!path || !*path)
		return 0;
	base = strrchr(path, '/');
	r = skf_fmt(parent, sizeof(parent), "%.*s", base ? (int)(base - path) + 1 : 1, base ? path : ".");
	if (r == 0)
		r = dir = skf_openat(AT_FDCWD, parent, O_PATH | O_DIRECTORY, 0);
	if (r >= 0) /* sun_path is short: the directory is named by its handle */
		r = skf_fmt(sa.sun_path, sizeof(sa.sun_path), "/proc/self/fd/%d/%s", dir,
			    base ? base + 1 : path);
	if (r == 0)
		r = fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (r >= 0 && connect(fd, (struct sockaddr *)&sa, sizeof(sa)) < 0)
		r = skf_errno();
	if (r < 0)
		return skf_fail_sys(e, r, "connect to pidfd socket '%s'", path);
	*ret = SKF_TAKE_FD(fd);
	return 0;
}

int oci_pidfd_send(int sock, const struct skf_rt_container *c, struct skf_err *e)
{
	static char name[] = "pidfd";
	/* our own child, not yet reaped: the pid is still its own */
	SKF_AUTO_FD int pidfd = sock < 0 ? -EBADF : skf_pidfd_open(skf_rt_pid(c));
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} u;
	struct iovec iov = {.iov_base = name, .iov_len = sizeof(name) - 1};
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.space, .msg_controllen = sizeof(u.space)};

	if (sock < 0)
		return 0;
	if (pidfd < 0)
		return skf_fail_sys(e, pidfd, "open a pidfd of the new process");
	memset(&u, 0, sizeof(u));
	u.h.cmsg_level = SOL_SOCKET;
	u.h.cmsg_type = SCM_RIGHTS;
	u.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&u.h), &pidfd, sizeof(pidfd));
	if (sendmsg(sock, &mh, MSG_NOSIGNAL) < 0)
		return skf_fail_errno(e, "send the pidfd to the pidfd socket");
	return 0;
}
