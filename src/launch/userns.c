/* launch/userns.c -- the user namespace of a container as a descriptor, for id-mapped mounts, and its maps:
 * those of config.json with a helper's namespace, or a namespace that exists (of another container, of a
 * pod, a path), whose maps the kernel tells.
 *
 * The maps of a namespace by path are written to the container's file "ids", because the engine needs them
 * when the namespace is gone; where the engine copied files it has written them, and they must be the same.
 * Blocks on a helper (SKF_KILL_WAIT_MS). */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "launch/wire.h"
#include <fcntl.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

/* Files that were copied for the container have the owners of the maps that were found when it was made. */
static bool copied(const struct skf_ctrconf *c)
{
	const struct skf_ctrconf_source *v = c->sources.v;

	for (size_t i = 0; i < c->sources.n; i++)
		if (v[i].view)
			return true;
	return c->storage && !(c->storage->lower && skf_streq(c->storage->form, "tree"));
}

static int same(struct skf_launch *l, const struct skf_buf *now, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf old = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	int r = skf_read_file_at(l->disk_dir, SKF_IDS_FILE, SKF_MAX_OBJECT_BYTES, &old);

	if (r < 0)
		return skf_fail_sys(e, r, "read the file '" SKF_IDS_FILE "' of container '%s'", l->q.id);
	return skf_streq(skf_buf_cstr(&old), now->p)
		       ? 0
		       : skf_fail(e, SKF_EINVALID,
				  "container '%s': its files were copied for the id maps that its user "
				  "namespace had when it was made, and the namespace at that path has "
				  "others now; make the container anew",
				  l->q.id);
}

/* Before the first start there is no file unless files were copied; a namespace made anew at the same path
 * may have other maps. */
static int remember(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	int r;

	skf_idmaps_text(&l->ids, &b);
	if (b.err == 0 && copied(l->conf))
		return same(l, &b, e);
	r = b.err < 0 ? b.err : skf_write_atomic_at(l->disk_dir, SKF_IDS_FILE, b.p, b.len, 0600, 0);
	return r < 0 ? skf_fail_sys(e, r, "write the file '" SKF_IDS_FILE "' of container '%s'", l->q.id)
		     : 0;
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

/* In a pod with a user namespace: the one that owns what the pod shares. A pod that shares nothing gives its
 * containers the same ids in namespaces of their own. */
static int of_pod(struct skf_launch *l, struct skf_spec_namespace *ns, struct skf_err *e)
{
	char path[SKF_ID_LEN + 16];
	int owner;

	if (ns->path || !l->conf->pod || !*l->conf->pod)
		return 0;
	if (skf_fmt(path, sizeof(path), "pods/%s/" SKF_IDS_FILE, l->conf->pod) < 0 ||
	    faccessat(l->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* the container's own, in a pod of the host's */
	for (unsigned i = 0; i < SKF_HOLD_N; i++) {
		if (l->pod.ns[i] < 0)
			continue;
		owner = ioctl(l->pod.ns[i], NS_GET_USERNS);
		if (owner < 0)
			return skf_fail_sys(e, -errno,
					    "find the user namespace of the pod of container '%s'", l->q.id);
		ns->path = skf_arena_fmt(&l->arena, "/proc/self/fd/%d",
					 owner); /* open until this program is another */
		return ns->path ? 0 : skf_fail(e, SKF_ENOMEM, "out of memory for container '%s'", l->q.id);
	}
	return 0;
}

/* A container that is started again keeps its network namespace, and with it the user namespace that owns
 * that: a new one, with the same maps, would have no rights in it. */
static int keep_owner(struct skf_launch *l, struct skf_spec_namespace *ns, struct skf_err *e)
{
	const struct skf_spec_namespace *net = skf_spec_ns(l->spec, CLONE_NEWNET);
	SKF_AUTO_FD int fd = -EBADF, owner = -EBADF;

	if (ns->path || l->q.type != SKF_LAUNCH_RESTART || !net || !net->path ||
	    strncmp(l->conf->network, "container:", strlen("container:")) == 0 ||
	    (l->conf->pod && *l->conf->pod))
		return 0;
	fd = skf_openat(AT_FDCWD, net->path, O_RDONLY, 0);
	owner = fd < 0 ? fd : ioctl(fd, NS_GET_USERNS);
	if (fd < 0 || owner < 0)
		return skf_fail_sys(e, fd < 0 ? fd : -errno,
				    "find the user namespace that owns the network of container '%s'",
				    l->q.id);
	ns->path = skf_arena_fmt(&l->arena, "/proc/self/fd/%d",
				 SKF_TAKE_FD(owner)); /* open until this program is another */
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
		return skf_fail_sys(e, l->userns, "open the user namespace '%s' of container '%s'", ns->path,
				    l->q.id);
	if (l->ids.uids.n)
		return 0;
	r = skf_idmaps_of_userns(l->userns, &l->arena, &l->ids);
	if (r < 0)
		return skf_fail_sys(e, r, "read the id maps of the user namespace '%s' of container '%s'",
				    ns->path, l->q.id);
	x->uid_mappings = l->ids.uids;
	x->gid_mappings = l->ids.gids;
	return remember(l, e);
}
