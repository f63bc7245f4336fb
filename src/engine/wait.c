/* engine/wait.c -- blocks until a container does not run: on its monitor's socket, never on a timer. */
#include "engine/engine_int.h"
#include <poll.h>

/* 1 ended (ret filled), 0 the monitor is gone, -1 */
static int wait_monitor(int sock, const char *id, int cancel_fd, struct skf_exit *ret, struct skf_err *e)
{
	struct pollfd p[2] = {{.fd = sock, .events = POLLIN}, {.fd = cancel_fd, .events = POLLIN}};
	struct skf_mon_exit x;
	int r = skf_mon_wait(sock, id, cancel_fd >= 0 ? 0 : -1, &x, e);

	while (r < 0 &&
	       e->kind == SKF_ETIMEOUT) { /* registered; the answer or the cancellation comes first */
		skf_err_clear(e);
		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return skf_fail_sys(e, -errno, "wait for container %.12s", id);
		if (p[1].revents)
			return skf_fail(e, SKF_ETIMEOUT, "the wait for container %.12s was cancelled", id);
		if (p[0].revents)
			r = skf_mon_wait(sock, id, SKF_HELLO_MS, &x, e);
		else
			skf_fail(e, SKF_ETIMEOUT, "go on");
	}
	if (r < 0) {
		if (e->kind != SKF_EUNAVAILABLE)
			return -1;
		skf_err_clear(e);
		return 0;
	}
	*ret = (struct skf_exit){.code = x.code, .signal = x.signal, .oom = x.oom_killed != 0};
	return 1;
}

int skf_engine_wait(struct skf_engine *g, const char *container, int cancel_fd, struct skf_exit *ret,
		    struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];
	struct skf_ctr_live l;
	int r;

	if (skf_engine_resolve(g, container, id, e) < 0)
		return -1;
	for (;;) {
		SKF_AUTO_FD int sock = -EBADF;

		if (skf_ctr_live(g, id, &l, e) < 0)
			return -1;
		if (!skf_ctr_is_up(l.state))
			break;
		if (skf_ctr_monitor(g, id, &sock, e) < 0) {
			if (e->kind != SKF_EUNAVAILABLE)
				return -1;
			skf_err_clear(e); /* ended between the look and the call: look again */
			continue;
		}
		r = wait_monitor(sock, id, cancel_fd, ret, e);
		if (r != 0)
			return r < 0 ? -1 : 0;
	}
	*ret = (struct skf_exit){.code = (uint32_t)l.exit_code, .oom = l.oom, .lost = l.lost};
	return 0;
}
