/* runtime/netdev.c -- linux.netDevices of config.json: interfaces of the runtime's network namespace moved
 * into the container's.
 *
 * Done by the parent, when the container's network namespace exists and before anything runs in it. The
 * parent visits the namespace once, to open a netlink socket there, and goes back before it does anything
 * else; from then on it talks to both namespaces by their sockets. An interface keeps its settings by
 * itself; its permanent addresses of global scope are read before the move and set again after it, and it is
 * brought up (config-linux.md "Network Devices"). The number in the new namespace is chosen here, because a
 * name with "%d" is completed by the kernel. What a failed start moved is the namespace's business: the
 * kernel removes virtual interfaces with it and gives physical ones back. Does not block. */
#include "runtime/runtime_int.h"

#include "oci/spec.h"
#include "sys/netlink.h"
#include "sys/process.h"

#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct transfer {
	int netns, here,
		there; /* the container's namespace; netlink sockets of ours and of the container's */
};

static void transfer_done(struct transfer *t)
{
	skf_closep(&t->netns);
	skf_closep(&t->here);
	skf_closep(&t->there);
}

/* A netlink socket of the namespace netns; -errno. We must not stay there: -1 and the error when the way
 * back is barred. */
static int open_there(int own, int netns, struct skf_err *e)
{
	SKF_AUTO_FD int nl = -EBADF;
	int r = skf_setns(netns, CLONE_NEWNET), back;

	if (r < 0)
		return skf_fail_sys(e, r, "enter the container's network namespace");
	nl = skf_nl_open();
	back = skf_setns(own, CLONE_NEWNET);
	if (back < 0)
		return skf_fail_sys(e, back, "return to the runtime's network namespace");
	return nl < 0 ? skf_fail_sys(e, nl, "open a netlink socket in the container's network namespace")
		      : SKF_TAKE_FD(nl);
}

/* A namespace that is joined by path may not be entered by the child yet: its handle tells which it is. */
static int container_netns(const struct skf_start *s, pid_t pid)
{
	char path[40];

	for (size_t i = 0; i < SKF_NS_COUNT; i++)
		if (skf_ns_types[i].flag == CLONE_NEWNET && (s->ns_join & CLONE_NEWNET) && s->ns_fd[i] >= 0)
			return skf_dup_cloexec(s->ns_fd[i]);
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)pid);
	return skf_openat(AT_FDCWD, path, O_RDONLY, 0);
}

static int open_transfer(const struct skf_start *s, struct transfer *t, pid_t pid, struct skf_err *e)
{
	SKF_AUTO_FD int own = skf_openat(AT_FDCWD, "/proc/self/ns/net", O_RDONLY, 0);
	struct stat a, b;

	t->netns = container_netns(s, pid);
	if (own < 0 || t->netns < 0)
		return skf_fail_sys(e, own < 0 ? own : t->netns,
				    "open the network namespaces for /linux/netDevices");
	if (fstat(own, &a) < 0 || fstat(t->netns, &b) < 0)
		return skf_fail_errno(e, "compare the network namespaces for /linux/netDevices");
	if (a.st_dev == b.st_dev && a.st_ino == b.st_ino)
		return skf_fail(
			e, SKF_EINVALID,
			"config.json: /linux/netDevices: the container is in the runtime's own network "
			"namespace: give it a network namespace without a path, or with another one");
	t->here = skf_nl_open();
	if (t->here < 0)
		return skf_fail_sys(e, t->here, "open a netlink socket");
	t->there = open_there(own, t->netns, e);
	return t->there < 0 ? -1 : 0;
}

static int restore(const struct transfer *t, int index, const struct skf_nl_addr *v, size_t n,
		   const char *name, struct skf_err *e)
{
	int r;

	for (size_t i = 0; i < n; i++) {
		r = skf_nl_addr_add(t->there, index, &v[i]);
		if (r < 0 && r != -EEXIST)
			return skf_fail_sys(
				e, r, "network device '%s': set its address %zu of %zu in the container",
				name, i + 1, n);
	}
	r = skf_nl_link_up(t->there, index);
	return r < 0 ? skf_fail_sys(e, r, "network device '%s': bring it up in the container", name) : 0;
}

static int move_device(const struct transfer *t, const struct skf_spec_net_device *d, struct skf_err *e)
{
	const char *name = d->name && *d->name ? d->name : d->host_name;
	SKF_AUTO_FREE struct skf_nl_addr *addrs = NULL;
	size_t n = 0;
	int index = skf_nl_link_index(t->here, d->host_name), new_index, r;

	if (index < 0)
		return skf_fail_sys(e, index, "config.json: /linux/netDevices/%s: find the network device",
				    d->host_name);
	r = skf_nl_addrs(t->here, index, &addrs, &n);
	if (r < 0)
		return skf_fail_sys(e, r, "network device '%s': read its addresses", d->host_name);
	new_index = skf_nl_link_max(t->there);
	if (new_index < 0)
		return skf_fail_sys(e, new_index, "list the network devices of the container");
	new_index++;
	/* asked before, because the kernel moves first and renames then; a name with "%d" is never taken */
	r = skf_nl_link_index(t->there, name) >= 0
		    ? -EEXIST
		    : skf_nl_link_move(t->here, index, t->netns, name, new_index);
	if (r == -EEXIST)
		return skf_fail(e, SKF_ECONFLICT,
				"config.json: /linux/netDevices/%s: the container already has a network "
				"device '%s': "
				"give another name (\"%%d\" at its end is replaced by a free number)",
				d->host_name, name);
	if (r < 0)
		return skf_fail_sys(e, r, "move network device '%s' into the container as '%s'",
				    d->host_name, name);
	return restore(t, new_index, addrs, n, name, e);
}

int skf_netdev_move(const struct skf_start *s, pid_t pid, struct skf_err *e)
{
	const struct skf_jarr *devices = &s->spec->linux_.net_devices;
	const struct skf_spec_net_device *d = devices->v;
	SKF_AUTO(transfer_done) struct transfer t = {-EBADF, -EBADF, -EBADF};

	if (devices->n == 0)
		return 0;
	if (!((s->ns_new | s->ns_join) & CLONE_NEWNET))
		return skf_fail(
			e, SKF_EINVALID,
			"config.json: /linux/netDevices: unable to move network devices without a NET "
			"namespace: add one to /linux/namespaces");
	if (open_transfer(s, &t, pid, e) < 0)
		return -1;
	for (size_t i = 0; i < devices->n; i++)
		if (move_device(&t, &d[i], e) < 0)
			return -1;
	return 0;
}
