/* base/notify.c -- the client's side of sd_notify(3): messages to a service manager, and what of a
 * container's own messages may become one. Blocks for at most BARRIER_MS. */
#include "base/notify.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include <errno.h>
#include <poll.h>
#include <stddef.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

#define BARRIER_MS 5000 /* a manager that does not know BARRIER= never closes it */

int skf_unix_send_fd(int sock, int fd, const void *data, size_t n)
{
	union {
		struct cmsghdr h;
		char space[CMSG_SPACE(sizeof(int))];
	} u;
	struct iovec iov = {.iov_base = (void *)(uintptr_t)data, .iov_len = n};
	struct msghdr mh = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = u.space, .msg_controllen = sizeof(u.space)};

	memset(&u, 0, sizeof(u));
	u.h.cmsg_level = SOL_SOCKET;
	u.h.cmsg_type = SCM_RIGHTS;
	u.h.cmsg_len = CMSG_LEN(sizeof(int));
	memcpy(CMSG_DATA(&u.h), &fd, sizeof(fd));
	while (iov.iov_len >
	       0) { /* a stream may take less at once; the descriptor goes with the first part */
		ssize_t sent = sendmsg(sock, &mh, MSG_NOSIGNAL);

		if (sent < 0 && errno == EINTR)
			continue;
		if (sent < 0)
			return skf_errno();
		mh.msg_control = NULL;
		mh.msg_controllen = 0;
		iov.iov_base = (char *)iov.iov_base + sent;
		iov.iov_len -= (size_t)sent;
	}
	return 0;
}

static int connect_host(const char *host)
{
	SKF_AUTO_FD int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	struct sockaddr_un sa = {.sun_family = AF_UNIX};
	size_t n = strlen(host);

	if (fd < 0)
		return skf_errno();
	if (n >= sizeof(sa.sun_path))
		return -ENAMETOOLONG;
	memcpy(sa.sun_path, host, n);
	if (host[0] == '@') /* an abstract name */
		sa.sun_path[0] = '\0';
	if (connect(fd, (struct sockaddr *)&sa, (socklen_t)(offsetof(struct sockaddr_un, sun_path) + n)) < 0)
		return skf_errno();
	return SKF_TAKE_FD(fd);
}

/* Until the manager has dealt with all before: it closes the end that it gets. */
static int barrier(int host)
{
	static const char text[] = "BARRIER=1";
	struct pollfd w;
	int p[2], r = skf_pipe(p, 0);

	if (r < 0)
		return r;
	r = skf_unix_send_fd(host, p[1], text, sizeof(text) - 1);
	close(p[1]);
	w = (struct pollfd){.fd = p[0]};
	if (r == 0)
		(void)poll(&w, 1, BARRIER_MS); /* no answer: it does not know barriers */
	close(p[0]);
	return r;
}

bool skf_notify_harmless(const char *text, struct skf_buf *out)
{
	bool ready = false;

	for (const char *line = text; *line;) {
		size_t n = strcspn(line, "\n");

		if (n == 7 && memcmp(line, "READY=1", n) == 0)
			ready = true;
		else if (n < 7 || memcmp(line, "STATUS=", 7) != 0)
			n = 0;
		if (n > 0) {
			skf_buf_put(out, line, n);
			skf_buf_chr(out, '\n');
		}
		line += strcspn(line, "\n");
		line += *line == '\n';
	}
	return ready;
}

int skf_notify_send(const char *host, const struct skf_buf *text, bool wait)
{
	SKF_AUTO_FD int to = connect_host(host);

	if (to < 0)
		return to;
	if (text->err < 0)
		return text->err;
	if (send(to, text->p, text->len, MSG_NOSIGNAL) < 0)
		return skf_errno();
	return wait ? barrier(to) : 0;
}
