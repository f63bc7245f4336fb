/* launch/userns.c -- the user namespace of a container as a descriptor, for id-mapped mounts, and its maps: those of config.json with a helper's
 * namespace, or a namespace that exists (of another container, of a pod, a path), whose maps the kernel tells.
 *
 * The maps of a namespace by path are written to the container's file "ids", because the engine needs them when the namespace is gone. Blocks on
 * a helper (SKF_KILL_WAIT_MS). */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/proc.h"
#include "launch/wire.h"
#include "sys/process.h"
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* As seen from our own namespace. */
static int read_map(struct skf_launch *l, pid_t pid, const char *name, struct skf_jarr *ret)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return skf_idmap_read_proc(path, &l->arena, ret);
}

/* In the child: enters and waits to be looked at, until the pipe is closed. */
static void visit(int userns, int ready, int wait)
{
	char c = 0;

	if (skf_setns(userns, CLONE_NEWUSER) == 0 && write(ready, &c, 1) == 1)
		(void)!read(wait, &c, 1);
	_exit(0);
}

static int maps_of(struct skf_launch *l, int userns, struct skf_idmaps *ret)
{
	struct skf_clone c = {.exit_signal = SIGCHLD, .cgroup_fd = -1};
	SKF_AUTO_FD int up_r = -EBADF, up_w = -EBADF, down_r = -EBADF, down_w = -EBADF, pidfd = -EBADF;
	int up[2], down[2], r = skf_pipe(up, 0), status;
	pid_t pid;
	char ready;

	if (r < 0)
		return r;
	up_r = up[0];
	up_w = up[1];
	r = skf_pipe(down, 0);
	if (r < 0)
		return r;
	down_r = down[0];
	down_w = down[1];
	pid = skf_clone3(&c, &pidfd);
	if (pid < 0)
		return (int)pid;
	if (pid == 0) {
		close(up_r);
		close(down_w);
		visit(userns, up_w, down_r);
	}
	skf_closep(&up_w);
	r = read(up_r, &ready, 1) == 1 ? 0 : -EPERM;
	if (r == 0)
		r = read_map(l, pid, "uid_map", &ret->uids);
	if (r == 0)
		r = read_map(l, pid, "gid_map", &ret->gids);
	skf_closep(&down_w);
	(void)skf_wait_pid(pid, pidfd, SKF_KILL_WAIT_MS, &status); /* what it had to say was said */
	return r;
}

/* Before the first start there is no file; a namespace made anew at the same path may have other maps. */
static int remember(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	int r;

	skf_idmaps_text(&l->ids, &b);
	r = b.err < 0 ? b.err : skf_write_atomic_at(l->disk_dir, SKF_IDS_FILE, b.p, b.len, 0600, 0);
	return r < 0 ? skf_fail_sys(e, r, "write the file '" SKF_IDS_FILE "' of container '%s'", l->q.id) : 0;
}

static int own(struct skf_launch *l, struct skf_err *e)
{
	int r = 1;

	/* By path, and the namespace is gone: what it was when the container last ran. */
	if (!l->ids.uids.n)
		r = skf_idmaps_read_at(l->disk_dir, &l->arena, &l->ids);
	if (r <= 0)
		return skf_fail_sys(e, r < 0 ? r : -ENOENT, "find the id maps of container '%s'", l->q.id);
	l->userns = skf_rt_userns(&l->ids.uids, &l->ids.gids, e);
	return l->userns < 0 ? -1 : 0;
}

/* In a pod with a user namespace: the one that owns what the pod shares. A pod that shares nothing gives its containers the same ids in namespaces of
 * their own. */
static int of_pod(struct skf_launch *l, struct skf_spec_namespace *ns, struct skf_err *e)
{
	char path[SKF_ID_LEN + 16];
	int owner;

	if (ns->path || !l->conf->pod || !*l->conf->pod)
		return 0;
	if (skf_fmt(path, sizeof(path), "pods/%s/" SKF_IDS_FILE, l->conf->pod) < 0 || faccessat(l->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* the container's own, in a pod of the host's */
	for (unsigned i = 0; i < SKF_HOLD_N; i++) {
		if (l->pod.ns[i] < 0)
			continue;
		owner = ioctl(l->pod.ns[i], NS_GET_USERNS);
		if (owner < 0)
			return skf_fail_sys(e, -errno, "find the user namespace of the pod of container '%s'", l->q.id);
		ns->path = skf_arena_fmt(&l->arena, "/proc/self/fd/%d", owner); /* open until this program is another */
		return ns->path ? 0 : skf_fail(e, SKF_ENOMEM, "out of memory for container '%s'", l->q.id);
	}
	return 0;
}

/* A container that is started again keeps its network namespace, and with it the user namespace that owns that: a new one, with the same maps, would
 * have no rights in it. */
static int keep_owner(struct skf_launch *l, struct skf_spec_namespace *ns, struct skf_err *e)
{
	const struct skf_spec_namespace *net = skf_spec_ns(l->spec, CLONE_NEWNET);
	SKF_AUTO_FD int fd = -EBADF, owner = -EBADF;

	if (ns->path || l->q.type != SKF_LAUNCH_RESTART || !net || !net->path || strncmp(l->conf->network, "container:", strlen("container:")) == 0 ||
	    (l->conf->pod && *l->conf->pod))
		return 0;
	fd = skf_openat(AT_FDCWD, net->path, O_RDONLY, 0);
	owner = fd < 0 ? fd : ioctl(fd, NS_GET_USERNS);
	if (fd < 0 || owner < 0)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "find the user namespace that owns the network of container '%s'", l->q.id);
	ns->path = skf_arena_fmt(&l->arena, "/proc/self/fd/%d", SKF_TAKE_FD(owner)); /* open until this program is another */
	return ns->path ? 0 : skf_fail(e, SKF_ENOMEM, "out of memory for container '%s'", l->q.id);
}

int skf_launch_userns(struct skf_launch *l, struct skf_err *e)
{
	struct skf_spec_linux *x = &l->spec->linux_;
	struct skf_spec_namespace *all = x->namespaces.v, *ns = NULL;
	int r;

	for (size_t i = 0; i < x->namespaces.n; i++)
		ns = all[i].type == CLONE_NEWUSER ? &all[i] : ns;
	if (!ns)
		return 0;
	if (keep_owner(l, ns, e) < 0 || of_pod(l, ns, e) < 0)
		return -1;
	l->ids = (struct skf_idmaps){x->uid_mappings, x->gid_mappings};
	if (!ns->path)
		return own(l, e);
	l->userns = skf_openat(AT_FDCWD, ns->path, O_RDONLY, 0);
	if (l->userns == -ENOENT && l->q.type == SKF_LAUNCH_MOUNT)
		return own(l, e);
	if (l->userns < 0)
		return skf_fail_sys(e, l->userns, "open the user namespace '%s' of container '%s'", ns->path, l->q.id);
	if (l->ids.uids.n)
		return 0;
	r = maps_of(l, l->userns, &l->ids);
	if (r < 0)
		return skf_fail_sys(e, r, "read the id maps of the user namespace '%s' of container '%s'", ns->path, l->q.id);
	x->uid_mappings = l->ids.uids;
	x->gid_mappings = l->ids.gids;
	return remember(l, e);
}
