/* launch/ctr_mount.c -- a container's root file system where the user can look at it: at
 * containers/<id>/rootfs below the root directory, in the caller's mount namespace, and its end. It is one
 * and the same mount for both sides: of a container that runs its root is cloned, and one that starts later
 * gets a clone of this one (root.c), so that an upper directory never has two overlays. The engine holds the
 * container's lock. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "launch/launch_int.h"
#include "launch/wire.h"
#include "monitor/summary.h"
#include "sys/mount.h"
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#define POINT "rootfs" /* root.path of config.json: an empty directory */

bool skf_launch_is_mounted(const struct skf_launch *l)
{
	struct statx st;

	return statx(l->disk_dir, POINT, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &st) == 0 &&
	       (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

/* What is mounted in the container is not to be seen on the host, nor the other way round. */
static int make_private(int fd)
{
	struct mount_attr a = {.propagation = MS_PRIVATE};

	return skf_mount_setattr(fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &a);
}

/* --read-only is the container's: the host may write, as podman's. */
static int make_writable(int fd)
{
	struct mount_attr a = {.attr_clr = MOUNT_ATTR_RDONLY};

	return skf_mount_setattr(fd, "", AT_EMPTY_PATH, &a);
}

int skf_launch_clone_mounted(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO_FD int fd =
		skf_open_tree(l->disk_dir, POINT, OPEN_TREE_CLONE | (l->conf->rootfs ? AT_RECURSIVE : 0));
	int r = fd < 0 ? fd : make_private(fd);

	if (r == 0)
		l->root_mount = SKF_TAKE_FD(fd);
	return r < 0 ? skf_fail_sys(e, r, "clone the mount '%s/containers/%s/" POINT "'", l->q.root, l->q.id)
		     : 0;
}

static bool is_made(const struct skf_launch *l)
{
	struct skf_summary s;

	return skf_summary_read(l->run_root_fd, l->q.id, &s) == 0 &&
	       (strcmp(s.state, "running") == 0 || strcmp(s.state, "paused") == 0 ||
		strcmp(s.state, "initialized") == 0);
}

/* This process has no threads, and no path of its own that is still to be used: descriptors stay what they
 * are. */
static int clone_running(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO_FD int ns = skf_launch_ns_of(l, l->q.id, "mnt", e);
	SKF_AUTO_FD int own = skf_openat(AT_FDCWD, "/proc/self/ns/mnt", O_RDONLY, 0);
	int r, cleared;

	if (ns < 0)
		return -1;
	if (own < 0 || setns(ns, CLONE_NEWNS) < 0)
		return skf_fail_sys(e, own < 0 ? own : -errno, "enter the mount namespace of container '%s'",
				    l->q.id);
	r = skf_open_tree(AT_FDCWD, "/", OPEN_TREE_CLONE);
	cleared = r < 0 ? 0 : make_writable(r);
	if (setns(own, CLONE_NEWNS) < 0) {
		if (r >= 0)
			close(r);
		return skf_fail_sys(e, -errno, "return from the mount namespace of container '%s'", l->q.id);
	}
	if (r < 0)
		return skf_fail_sys(e, r, "clone the root of container '%s'", l->q.id);
	l->root_mount = r;
	return cleared < 0 ? skf_fail_sys(e, cleared, "make the mounted root of container '%s' writable",
					  l->q.id)
			   : 0;
}

static int root(struct skf_launch *l, struct skf_err *e)
{
	return is_made(l) ? clone_running(l, e) : skf_launch_mount_root(l, e);
}

static int attach(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO_FD int point = skf_openat(l->disk_dir, POINT, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	int r = point < 0 ? point : skf_move_mount_onto(l->root_mount, point);

	if (r == 0)
		r = make_private(l->root_mount); /* below a shared mount it has become a shared one */
	return r < 0 ? skf_fail_sys(e, r, "mount the container at '%s/containers/%s/" POINT "'", l->q.root,
				    l->q.id)
		     : 0;
}

static int detach(struct skf_launch *l, struct skf_err *e)
{
	bool force = strcmp(l->q.process_json, "force") == 0;
	int r = fchdir(l->disk_dir) < 0 ? -errno
					: skf_umount(POINT, UMOUNT_NOFOLLOW | (force ? MNT_DETACH : 0));

	if (r == -EBUSY)
		return skf_fail(e, SKF_ECONFLICT,
				"'%s/containers/%s/" POINT "' is in use: somebody works in it", l->q.root,
				l->q.id);
	/* EINVAL: no mount (any more), which is what was asked for */
	return r < 0 && r != -EINVAL
		       ? skf_fail_sys(e, r, "unmount '%s/containers/%s/" POINT "'", l->q.root, l->q.id)
		       : 0;
}

static int done(struct skf_launch *l, struct skf_err *e)
{
	return skf_launch_answer(l, -1, e);
}

const struct skf_launch_step skf_launch_ctr_mount_steps[] = {
	{"trees", skf_launch_open_trees, NULL},
	{"config", skf_launch_load_config, NULL},
	{"user namespace", skf_launch_userns, NULL},
	{"root", root, NULL},
	{"attach", attach, NULL},
	{"answer", done, NULL},
	{NULL, NULL, NULL},
};
const struct skf_launch_step skf_launch_ctr_unmount_steps[] = {
	{"trees", skf_launch_open_trees, NULL},
	{"detach", detach, NULL},
	{"answer", done, NULL},
	{NULL, NULL, NULL},
};
