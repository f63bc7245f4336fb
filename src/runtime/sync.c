/* runtime/sync.c -- the conversation between the parent of a start and the container's init.
 *
 * Invariants:
 *  1. One record has one size; anything shorter, longer or with another magic is an error, so is a step out
 * of order.
 *  2. A failure travels as the whole struct skf_err, so that the caller gets the sentence that was written
 * where it happened.
 *  3. The child uses read(2) and write(2) only once its seccomp filter may be loaded: profiles allow those
 * two.
 *  4. The parent never waits without a time-out; the child waits for its parent only, whose death ends the
 * wait. Both ends are the same build of the same program, so the record is a plain struct. */
#include "runtime/runtime_int.h"

#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SYNC_MAGIC 0x736b6679u

struct sync_msg {
	uint32_t magic, step;
	struct skf_err err;
};

const char *skf_step_name(enum skf_step s)
{
	static const char *const names[] = {
		[SKF_STEP_SETUP] = "setup",
		[SKF_STEP_CONSOLE] = "console",
		[SKF_STEP_BUILT] = "root file system",
		[SKF_STEP_HOOKED] = "hooks",
		[SKF_STEP_READY] = "ready",
		[SKF_STEP_GO] = "go",
		[SKF_STEP_FAILED] = "failed",
		[SKF_STEP_SECCOMP] = "seccomp",
		[SKF_STEP_ATTACHED] = "cgroup",
	};

	return (unsigned)s < SKF_ARRAY_LEN(names) && names[s] ? names[s] : "?";
}

static int write_msg(int sock, const struct sync_msg *m)
{
	ssize_t n;

	do
		n = write(sock, m, sizeof(*m));
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return skf_errno();
	return n == (ssize_t)sizeof(*m) ? 0 : -EIO;
}

static int send_with_fd(int sock, struct sync_msg *m, int fd)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} u;
	struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.space, .msg_controllen = sizeof(u.space)};
	ssize_t n;

	memset(&u, 0, sizeof(u));
	u.h.cmsg_level = SOL_SOCKET;
	u.h.cmsg_type = SCM_RIGHTS;
	u.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&u.h), &fd, sizeof(fd));
	do
		n = sendmsg(sock, &mh, MSG_NOSIGNAL);
	while (n < 0 && errno == EINTR);
	return n < 0 ? skf_errno() : 0;
}

int skf_sync_send(int sock, enum skf_step step, int fd)
{
	struct sync_msg m;

	memset(&m, 0, sizeof(m));
	m.magic = SYNC_MAGIC;
	m.step = step;
	if (fd >= 0)
		return send_with_fd(sock, &m, fd);
	/* the parent must survive a dead init; init after a dead parent need not (invariant 3) */
	if (step == SKF_STEP_SETUP || step == SKF_STEP_ATTACHED || step == SKF_STEP_HOOKED ||
	    step == SKF_STEP_GO)
		return send(sock, &m, sizeof(m), MSG_NOSIGNAL) < 0 ? skf_errno() : 0;
	return write_msg(sock, &m);
}

void skf_sync_fail(int sock, const struct skf_err *e)
{
	struct sync_msg m = {.magic = SYNC_MAGIC, .step = SKF_STEP_FAILED, .err = *e};

	(void)write_msg(sock, &m); /* nobody listens any more: nothing left to tell */
}

/* A peer that ended without reading all that we sent gives ECONNRESET, once, before its own last record,
 * which says why it ended. */
static bool again(int err)
{
	return err == EINTR || err == ECONNRESET;
}

/* One record with at most one descriptor. 1, 0 at EOF, -errno. */
static int recv_msg(int sock, struct sync_msg *m, int *ret_fd)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} u;
	struct iovec iov = {.iov_base = m, .iov_len = sizeof(*m)};
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.space, .msg_controllen = sizeof(u.space)};
	struct cmsghdr *c;
	SKF_AUTO_FD int fd = -EBADF;
	ssize_t n;

	do
		n = recvmsg(sock, &mh, MSG_CMSG_CLOEXEC);
	while (n < 0 && again(errno));
	if (n <= 0)
		return n < 0 ? skf_errno() : 0;
	c = CMSG_FIRSTHDR(&mh);
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS &&
	    c->cmsg_len == CMSG_LEN(sizeof(int)))
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	if (n != (ssize_t)sizeof(*m) || m->magic != SYNC_MAGIC || (mh.msg_flags & (MSG_TRUNC | MSG_CTRUNC)))
		return -EBADMSG;
	if (ret_fd)
		*ret_fd = SKF_TAKE_FD(fd);
	return 1;
}

static int wait_readable(int fd, int timeout_ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int64_t end = skf_mono_ms() + timeout_ms;

	for (;;) {
		int64_t left = end - skf_mono_ms();
		int r = poll(&p, 1, left > 0 ? (int)left : 0);

		if (r > 0)
			return 0;
		if (r == 0)
			return -ETIMEDOUT;
		if (errno != EINTR)
			return skf_errno();
	}
}

/* The peer's own failure, as its sentence. */
static int peer_failure(struct sync_msg *m, struct skf_err *e)
{
	m->err.msg[sizeof(m->err.msg) - 1] = '\0';
	if (m->err.kind == SKF_OK || m->err.kind >= SKF_KIND_MAX)
		return skf_fail(e, SKF_EBUG, "container init failed without a reason");
	*e = m->err;
	return -1;
}

int skf_sync_expect(int sock, enum skf_step want, int timeout_ms, int *ret_fd, struct skf_err *e)
{
	struct sync_msg m;
	SKF_AUTO_FD int fd = -EBADF;
	int r = wait_readable(sock, timeout_ms);

	if (r == -ETIMEDOUT)
		return skf_fail(e, SKF_ETIMEOUT, "container init did not reach step '%s' within %d s",
				skf_step_name(want), timeout_ms / 1000);
	if (r == 0)
		r = recv_msg(sock, &m, &fd);
	if (r < 0)
		return skf_fail_sys(e, r, "waiting for container init to reach step '%s'",
				    skf_step_name(want));
	if (r == 0)
		return skf_fail(e, SKF_ESYSTEM, "container init died before step '%s'", skf_step_name(want));
	if (m.step == SKF_STEP_FAILED)
		return peer_failure(&m, e);
	if (m.step != (uint32_t)want)
		return skf_fail(e, SKF_EBUG, "container init sent step '%s' instead of '%s'",
				skf_step_name(m.step), skf_step_name(want));
	if (ret_fd)
		*ret_fd = SKF_TAKE_FD(fd);
	return 0;
}

int skf_sync_wait_exec(int fd, int timeout_ms, struct skf_err *e)
{
	struct sync_msg m;
	int r = wait_readable(fd, timeout_ms);
	ssize_t n;

	if (r == -ETIMEDOUT)
		return skf_fail(e, SKF_ETIMEOUT, "the container's process was not executed within %d s",
				timeout_ms / 1000);
	if (r < 0)
		return skf_fail_sys(e, r, "waiting for the container's process to be executed");
	do
		n = read(fd, &m, sizeof(m));
	while (n < 0 && again(errno));
	if (n == 0)
		return 0;
	if (n < 0)
		return skf_fail_errno(e, "waiting for the container's process to be executed");
	if (n != (ssize_t)sizeof(m) || m.magic != SYNC_MAGIC || m.step != SKF_STEP_FAILED)
		return skf_fail(e, SKF_EBUG,
				"container init sent a malformed record instead of executing its process");
	return peer_failure(&m, e);
}

int skf_sync_await(int sock, enum skf_step want)
{
	struct sync_msg m;
	ssize_t n;

	do
		n = read(sock, &m, sizeof(m));
	while (n < 0 && errno == EINTR);
	if (n == 0)
		return -EPIPE;
	if (n < 0)
		return skf_errno();
	if (n != (ssize_t)sizeof(m) || m.magic != SYNC_MAGIC || m.step != (uint32_t)want)
		return -EBADMSG;
	return 0;
}

bool skf_sync_peer_gone(int sock)
{
	struct pollfd p = {.fd = sock, .events = POLLIN};

	return poll(&p, 1, 0) > 0 && (p.revents & (POLLHUP | POLLERR));
}
