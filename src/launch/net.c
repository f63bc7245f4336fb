/* launch/net.c -- the network of a start: the engine does it, while init builds its root. What it needs from
 * here are a descriptor of the new network namespace and a route netlink socket that was opened in it, so
 * that the engine itself never enters one (launch/wire.h).
 *
 * This process visits the namespace once and goes back before it does anything else; one that cannot go back
 * ends. */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "launch/wire.h"
#include "sys/nlmsg.h"
#include "sys/process.h"
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* Addresses and routes are the engine's: no neighbour on the network may announce others (CVE-2020-13401). A
 * kernel without IPv6 has no such file. */
static void refuse_router_advertisements(void)
{
	static const char *const files[] = {"/proc/sys/net/ipv6/conf/default/accept_ra",
					    "/proc/sys/net/ipv6/conf/all/accept_ra"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(files); i++)
		(void)skf_write_existing_at(AT_FDCWD, files[i], "0");
}

int skf_launch_visit_netns(int netns, int *ret_nl, struct skf_err *e)
{
	SKF_AUTO_FD int own = skf_openat(AT_FDCWD, "/proc/self/ns/net", O_RDONLY, 0), nl = -EBADF;
	int r = own < 0 ? own : skf_setns(netns, CLONE_NEWNET), back;

	if (r < 0)
		return skf_fail_sys(e, r, "enter the container's network namespace");
	nl = skf_nlm_open(NETLINK_ROUTE);
	refuse_router_advertisements();
	back = skf_setns(own, CLONE_NEWNET);
	if (back < 0)
		return skf_fail_sys(e, back, "return to the network namespace of the host");
	if (nl < 0)
		return skf_fail_sys(e, nl, "open a netlink socket in the container's network namespace");
	*ret_nl = SKF_TAKE_FD(nl);
	return 0;
}

bool skf_launch_has_own_netns(const struct skf_launch *l)
{
	const struct skf_spec_namespace *n = skf_spec_ns(l->spec, CLONE_NEWNET);

	return n && !n->path; /* a pod's is the pod's business */
}

int skf_launch_net_offer(struct skf_launch *l, int netns, pid_t pid, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1024);
	SKF_AUTO_FD int nl = -EBADF;
	struct skf_rec w;
	int fds[2], r;

	if (skf_launch_visit_netns(netns, &nl, e) < 0)
		return -1;
	skf_rec_begin(&w, &b, SKF_LAUNCH_NETNS_MADE, SKF_LAUNCH_VERSION);
	skf_rec_str(&w, l->q.id);
	skf_rec_u32(&w, (uint32_t)pid);
	skf_rec_end(&w);
	fds[0] = netns;
	fds[1] = nl;
	r = b.err < 0 ? b.err : skf_record_send(SKF_LAUNCH_FD, &b, fds, 2);
	return r < 0 ? skf_fail_sys(e, r, "hand the network namespace of container '%s' to the engine",
				    l->q.id)
		     : 0;
}

int skf_launch_net_begin(void *arg, pid_t pid, struct skf_err *e)
{
	struct skf_launch *l = arg;
	SKF_AUTO_FD int netns = -EBADF;
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	netns = skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (netns < 0)
		return skf_fail_sys(e, netns, "open the network namespace of container '%s'", l->q.id);
	return skf_launch_net_offer(l, netns, pid, e);
}

int skf_launch_net_end(void *arg, struct skf_err *e)
{
	struct skf_launch *l = arg;
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
	struct skf_recr r;
	int n = skf_record_recv(SKF_LAUNCH_FD, &b, &r, &fds, SKF_START_MS);

	if (n == -ETIMEDOUT)
		return skf_fail(e, SKF_ETIMEOUT, "the network of container '%s' was not ready within %d s",
				l->q.id, SKF_START_MS / 1000);
	if (n < 0)
		return skf_fail_sys(e, n, "wait for the network of container '%s'", l->q.id);
	if (n == 0)
		return skf_fail(e, SKF_EUNAVAILABLE,
				"the engine ended while it made the network of container '%s'", l->q.id);
	if (r.type == SKF_LAUNCH_NET_READY)
		return 0;
	if (r.type != SKF_LAUNCH_FAILED)
		return skf_fail(e, SKF_ECORRUPT, "the engine answered with the unknown record %u", r.type);
	skf_recr_err(&r, e);
	return e->kind == SKF_OK ? skf_fail(e, SKF_ECORRUPT, "the engine failed without saying why") : -1;
}

/* --network container:NAME, or a restart in the namespace that the container had: its descriptor comes
 * behind those of the streams. */
int skf_launch_join_netns(struct skf_launch *l, struct skf_err *e)
{
	struct skf_spec_namespace *n = l->spec->linux_.namespaces.v;

	if (!(l->q.flags & SKF_LAUNCH_NETNS))
		return 0;
	for (size_t i = 0; i < l->spec->linux_.namespaces.n; i++) {
		if (n[i].type != CLONE_NEWNET)
			continue;
		n[i].path = skf_arena_fmt(&l->arena, "/proc/self/fd/%d", l->fds.fd[l->fds.n - 1]);
		if (!n[i].path)
			return skf_fail(e, SKF_ENOMEM, "out of memory for the namespaces of container '%s'",
					l->q.id);
		return 0;
	}
	return 0; /* the host's */
}

/* --- a socket alone: network connect and disconnect --- */
static int netsock(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO_FD int nl = -EBADF;

	if (!(l->q.flags & SKF_LAUNCH_NETNS))
		return skf_fail(e, SKF_EINVALID, "the request names no network namespace");
	if (skf_launch_visit_netns(l->fds.fd[l->fds.n - 1], &nl, e) < 0)
		return -1;
	return skf_launch_answer(l, nl, e);
}

const struct skf_launch_step skf_launch_netsock_steps[] = {
	{"socket", netsock, NULL},
	{NULL, NULL, NULL},
};
