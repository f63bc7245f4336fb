/* cmd/oci_notify.c -- NOTIFY_SOCKET for create, run and start: a service manager that waits for the
 * container to be ready (sd_notify(3)). As with runc, a start under such a manager ends when the container
 * has said READY=1 or has ended. */
#include "cmd/oci_int.h"

#include "sys/process.h"

#include <stdlib.h>
#include <unistd.h>

const char *oci_notify_host(void)
{
	const char *host = getenv("NOTIFY_SOCKET");

	return host && (*host == '/' || *host == '@') ? host : NULL;
}

int oci_notify_open(struct oci *o, int *ret_fd, struct skf_err *e)
{
	if (!oci_notify_host())
		return 0;
	*ret_fd = skf_rt_notify_open(&o->rt, o->a.rest.v[0], e);
	return *ret_fd == -1 ? -1 : 0;
}

int oci_notify_await(struct oci *o, int fd, struct skf_err *e)
{
	struct skf_rt_state *s;
	SKF_AUTO_FD int pidfd = -EBADF;

	if (fd < 0)
		return 0;
	if (skf_rt_state_load(&o->rt, o->a.rest.v[0], &o->arena, &s, e) < 0)
		return -1;
	pidfd = s->pid > 0 ? skf_pidfd_open(s->pid) : -ESRCH;
	if (pidfd == -ESRCH) /* it has ended */
		return 0;
	if (pidfd < 0)
		return skf_fail_sys(e, pidfd, "open the container's process");
	skf_rt_notify_wait(&o->rt, fd, oci_notify_host(), s->pid, pidfd);
	return 0;
}
