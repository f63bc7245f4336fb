/* runtime/rootfs.c -- the container's root: found by the parent (prepare), attached and filled by the child
 * (build), entered (enter) and closed (finish). runtime_int.h has the order of all steps.
 *
 * Theory: the child has a copy of the host's mounts in a namespace of its own. It takes "/" out of the
 * host's peer groups, attaches the root (a clone of the root directory, or the detached mount of the
 * request) where the bundle says it is, so that hooks find it there, builds below it, pivots, and drops all
 * the rest with one lazy unmount.
 *
 * Invariants:
 *  1. From attach_root on, s->root_fd is the mount that becomes "/"; nothing of the container is looked up
 *     in another way.
 *  2. Neither mounts nor the final unmount reach the host: "/" is a slave (or what the spec asks for), the
 *     mount that the root is attached to is never shared, and the old root is made a slave before it is
 *     dropped.
 *  3. Without a mount namespace of its own a container gets chroot. Its mounts are then made in the caller's
 *     namespace, on a bind of the root, and stay there: whoever gives such a spec undoes them (umount -R),
 * as with runc. A joined mount namespace is left as it is; prepare refuses what would change it.
 *
 * Blocks only as long as the file systems that are mounted do. */
#include "base/buf.h"
#include "base/limits.h"
#include "runtime/rootfs_int.h"
#include "sys/mountinfo.h"
#include "sys/path.h"
#include <fcntl.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { UNIX98_PTY_MAJOR_FIRST = 136, UNIX98_PTY_MAJOR_LAST = 143 };

/* --- prepare: the parent --- */

unsigned long skf_root_propagation(const struct skf_start *s)
{
	unsigned long p = s->spec->linux_.rootfs_propagation;

	if (p & MS_SHARED)
		return p;
	/* Recursive even when the spec says plain "slave" or "private": a volume on another mount of the
	 * host would stay its peer. What is unbindable cannot be cloned, so the root becomes that at the
	 * end. */
	return MS_REC | (p & (MS_PRIVATE | MS_UNBINDABLE) ? MS_PRIVATE : MS_SLAVE);
}

static int check_mntns(const struct skf_start *s, struct skf_err *e)
{
	const struct skf_spec_linux *l = &s->spec->linux_;
	const char *what = s->ns_join & CLONE_NEWNS && s->spec->mounts.n ? "mounts"
			   : l->masked_paths.n                           ? "linux.maskedPaths"
			   : l->readonly_paths.n                         ? "linux.readonlyPaths"
			   : s->req->root_mount_fd >= 0                  ? "a detached root mount"
									 : NULL;

	if (skf_own_mntns(s) || !what)
		return 0;
	return skf_fail(e, SKF_EINVALID,
			"%s: this needs a mount namespace of the container's own; add namespace 'mount' "
			"without a path",
			what);
}

static int open_root(struct skf_start *s, struct skf_err *e)
{
	if (s->req->root_mount_fd >= 0) {
		int fd = skf_dup_cloexec(s->req->root_mount_fd);
		if (fd < 0)
			return skf_fail_sys(e, fd, "root file system");
		s->root_fd = fd;
		return 0;
	}
	if (!s->spec->root_path)
		return skf_fail(e, SKF_EINVALID,
				"config.json: /root: root.path is missing; it names the root file system");
	int fd = skf_openat(s->req->bundle_fd, s->spec->root_path, O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return skf_fail_sys(e, fd, "root file system '%s' of bundle '%s'", s->spec->root_path,
				    s->req->bundle);
	s->root_fd = fd;
	return 0;
}

static int check_rights(const struct skf_start *s, struct skf_err *e)
{
	if (s->userns || !s->rt->rootless || geteuid() == 0)
		return 0;
	return skf_fail(e, SKF_EDENIED,
			"rootless container requires user namespaces: add namespace 'user' with "
			"linux.uidMappings and linux.gidMappings, as 'spec --rootless' writes them");
}

int skf_rootfs_prepare(struct skf_start *s, struct skf_err *e)
{
	size_t n = s->spec->mounts.n;

	if (check_rights(s, e) < 0 || check_mntns(s, e) < 0 || skf_sysctl_check(s, e) < 0)
		return -1;
	s->mount_fds = skf_arena_array(s->arena, n ? n : 1, sizeof(int));
	if (!s->mount_fds)
		return skf_nomem(e);
	for (size_t i = 0; i < n; i++)
		s->mount_fds[i] = -1;
	if (open_root(s, e) < 0)
		return -1;
	return skf_sources_prepare(s, e);
}

/* --- build: the child --- */

/* Mounts of the child's namespace are in peer groups of the host. */
static bool peers_left(const struct skf_start *s)
{
	return skf_root_propagation(s) & MS_SHARED;
}

/* The mount that fd is on becomes private (invariant 2). Only the root of a mount can be changed: climb to
 * it. */
static int make_parent_private(int fd)
{
	struct mount_attr a = {.propagation = MS_PRIVATE};
	SKF_AUTO_FD int at = skf_openat(fd, ".", O_PATH | O_DIRECTORY, 0);
	uint64_t want, id;

	int r = at < 0 ? at : skf_mount_id(at, &want);
	for (int depth = 0; r == 0 && depth < SKF_MAX_TAR_PATH; depth++) {
		r = skf_mount_setattr(at, "", AT_EMPTY_PATH, &a);
		if (r != -EINVAL)
			return r;
		int up = skf_openat(at, "..", O_PATH | O_DIRECTORY, 0);
		r = up < 0 ? up : skf_mount_id(up, &id);
		skf_closep(&at);
		at = up;
		if (r == 0 && id != want)
			return -EINVAL;
	}
	return r < 0 ? r : -EINVAL;
}

/* Where the root is attached: at its path in the bundle, because hooks look for it there, else (no path, or
 * not reachable with the rights of the user namespace) on top of "/". */
static int open_place(const struct skf_start *s, bool *ret_is_root_dir)
{
	char path[PATH_MAX];

	*ret_is_root_dir = false;
	if (s->spec->root_path && skf_source_path(s, s->spec->root_path, path) == 0) {
		int fd = skf_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
		if (fd >= 0) {
			*ret_is_root_dir = s->req->root_mount_fd < 0;
			return fd;
		}
		if (s->req->root_mount_fd < 0 && fd != -EACCES)
			return fd;
	}
	return skf_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
}

static int attach_root(struct skf_start *s, struct skf_err *e)
{
	bool is_root_dir;

	int r = skf_mount(NULL, "/", NULL, skf_root_propagation(s), NULL);
	if (r < 0)
		return skf_fail_sys(e, r, "cannot set the propagation of '/' in the new mount namespace");
	SKF_AUTO_FD int place = open_place(s, &is_root_dir);
	if (place < 0)
		return skf_fail_sys(e, place, "root file system '%s' of bundle '%s'", s->spec->root_path,
				    s->req->bundle);
	if (peers_left(s)) {
		r = make_parent_private(place);
		if (r < 0)
			return skf_fail_sys(e, r,
					    "cannot make the parent mount of the root file system private");
	}
	if (is_root_dir) {
		r = skf_source_clone_fd(place, true);
		if (r < 0)
			return skf_fail_sys(e, r, "cannot clone the root file system '%s'",
					    s->spec->root_path);
		skf_closep(&s->root_fd);
		s->root_fd = r;
	}
	r = skf_move_mount_onto(s->root_fd, place);
	if (r < 0)
		return skf_fail_sys(e, r, "cannot attach the root file system");
	return 0;
}

/* In the caller's mount namespace (invariant 3): nothing but the bound root itself may reach the peers of
 * the host's mounts, and the host's own propagation is not touched. */
static int bind_root(struct skf_start *s, struct skf_err *e)
{
	struct mount_attr private = {.propagation = MS_PRIVATE};
	SKF_AUTO_FD int tree = skf_source_clone_fd(s->root_fd, true);

	int r = tree < 0 ? tree : skf_move_mount_onto(tree, s->root_fd);
	if (r == 0) {
		skf_closep(&s->root_fd);
		s->root_fd = SKF_TAKE_FD(tree);
		r = skf_mount_setattr(s->root_fd, "", AT_EMPTY_PATH | AT_RECURSIVE, &private);
	}
	if (r < 0)
		return skf_fail_sys(e, r,
				    "cannot bind the root file system '%s' in the caller's mount namespace",
				    s->spec->root_path);
	return 0;
}

static void unbind_root(const struct skf_start *s)
{
	char path[32];

	skf_path_of_fd(s->root_fd, path);
	int r = skf_umount(path, MNT_DETACH);
	if (r < 0)
		skf_warn(s->rt->log, "unmount the root file system '%s': %s, ignoring", s->spec->root_path,
			 strerror(-r));
}

/* Invariant 1 of mount_broker.c. Without it init opens the sources itself, as far as it may. */
static void show_mntns(struct skf_start *s)
{
	struct skf_err e = SKF_ERR_INIT;

	if (s->broker_pid <= 0 || skf_broker_hello(s, &e) == 0)
		return;
	skf_debug(s->rt->log, "sources of mounts are left to the container's init: %s", e.msg);
	skf_sources_release(s, false);
}

int skf_rootfs_build(struct skf_start *s, struct skf_err *e)
{
	bool own = skf_own_mntns(s);

	if (!skf_builds_root(s))
		return 0;
	show_mntns(s);
	/* Modes of devices are meant as they stand. */
	mode_t old = umask(0);
	int r = own ? attach_root(s, e) : bind_root(s, e);
	bool bound = !own && r == 0;
	if (r == 0)
		r = skf_mounts_build(s, e);
	if (r == 0)
		r = skf_devices_build(s, e);
	if (r < 0 && bound)
		unbind_root(s);
	umask(old);
	skf_sources_release(s, false);
	return r;
}

/* --- terminal --- */

int skf_rootfs_ptsdir(struct skf_start *s)
{
	struct statfs f;

	SKF_AUTO_FD int fd = skf_path_open(s->root_fd, "dev/pts", O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	if (fstatfs(fd, &f) < 0)
		return skf_errno();
	return f.f_type == DEVPTS_SUPER_MAGIC ? SKF_TAKE_FD(fd) : -ENOENT;
}

/* The file /dev/console; a link there is replaced, not followed. */
static int console_target(const struct skf_start *s)
{
	SKF_AUTO_FD int dir = skf_path_mkdirs(s->root_fd, "dev", 0755);
	if (dir < 0)
		return dir;
	for (int i = 0; i < 2; i++) {
		struct stat st;
		SKF_AUTO_FD int fd = skf_path_open_nofollow(dir, "console", O_PATH, 0);
		if (fd >= 0) {
			if (fstat(fd, &st) < 0)
				return skf_errno();
			if (S_ISDIR(st.st_mode))
				return -EISDIR;
			if (!S_ISLNK(st.st_mode))
				return SKF_TAKE_FD(fd);
		} else if (fd != -ENOENT) {
			return fd;
		}
		if ((fd >= 0 && unlinkat(dir, "console", 0) < 0) ||
		    mknodat(dir, "console", S_IFREG | 0600, 0) < 0)
			return skf_errno();
	}
	return -ELOOP;
}

int skf_rootfs_console(struct skf_start *s, int pty_peer, struct skf_err *e)
{
	struct stat st;

	if (!skf_builds_root(s))
		return 0;
	if (fstat(pty_peer, &st) < 0)
		return skf_fail_errno(e, "terminal");
	if (!S_ISCHR(st.st_mode) || major(st.st_rdev) < UNIX98_PTY_MAJOR_FIRST ||
	    major(st.st_rdev) > UNIX98_PTY_MAJOR_LAST)
		return skf_fail(e, SKF_EBUG, "terminal: the fd for '/dev/console' is not a pseudo terminal");
	SKF_AUTO_FD int target = console_target(s);
	if (target < 0)
		return skf_fail_sys(e, target, "cannot make '/dev/console' in the root file system");
	SKF_AUTO_FD int tree = skf_source_clone_fd(pty_peer, false);
	int r = tree < 0 ? tree : skf_move_mount_onto(tree, target);
	if (r < 0)
		return skf_fail_sys(e, r, "cannot bind the terminal to '/dev/console'");
	return 0;
}

/* --- enter --- */

/* An unmount reaches the peers of the parent mount: the parent leaves them first. */
static int hide_one(const struct skf_start *s, const char *point)
{
	int r = skf_mount(NULL, point, NULL, MS_SLAVE | MS_REC, NULL);

	if (r == 0 && peers_left(s)) {
		SKF_AUTO_FD int at = skf_openat(AT_FDCWD, point, O_PATH | O_DIRECTORY, 0);
		SKF_AUTO_FD int up = at < 0 ? at : skf_openat(at, "..", O_PATH | O_DIRECTORY, 0);
		r = up < 0 ? up : make_parent_private(up);
	}
	if (r == 0)
		r = skf_umount(point, MNT_DETACH);
	if (r == -EINVAL || r == -EPERM)
		r = skf_mount("tmpfs", point, "tmpfs", MS_RDONLY, NULL);
	return r;
}

/* After chroot alone the host's mounts stay in the namespace. A full procfs or sysfs among them would let
 * the container mount another one without the masks, so each goes away or is covered. */
static int hide_host_views(const struct skf_start *s, char *text, const char *root, struct skf_err *e)
{
	struct skf_mountinfo m;

	while (skf_mountinfo_next(&text, &m)) {
		if (!skf_streq(m.root, "/") || (!skf_streq(m.type, "proc") && !skf_streq(m.type, "sysfs")))
			continue;
		if (root[1] && skf_startswith(m.point, root) && strchr("/", m.point[strlen(root)]))
			continue;
		int r = hide_one(s, m.point);
		if (r < 0)
			return skf_fail_sys(e, r, "no-pivot: cannot hide the host's '%s'", m.point);
	}
	return 0;
}

static int enter_move(struct skf_start *s, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MOUNTINFO);
	char root[PATH_MAX];

	int r = skf_path_readlink_fd(s->root_fd, root, sizeof(root));
	if (r == 0)
		r = skf_read_file_at(AT_FDCWD, "/proc/self/mountinfo", SKF_MAX_MOUNTINFO, &b);
	if (r < 0 || !b.p)
		return skf_fail_sys(e, r < 0 ? r : -ENODATA,
				    "no-pivot: cannot read the mounts of the new namespace");
	/* What is moved onto a shared "/" would appear on the host's. */
	r = skf_mount(NULL, "/", NULL, MS_PRIVATE, NULL);
	if (r < 0)
		return skf_fail_sys(e, r, "no-pivot: cannot make '/' private");
	if (hide_host_views(s, b.p, root, e) < 0)
		return -1;
	if (root[1]) {
		r = skf_move_mount(s->root_fd, "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH);
		if (r < 0)
			return skf_fail_sys(e, r, "no-pivot: cannot move the root file system to '/'");
	}
	if (chroot(".") < 0)
		return skf_fail_errno(e, "no-pivot: cannot change the root");
	return 0;
}

/* man 2 pivot_root, "pivot_root(".", ".")": the old root ends on top of the new one, and "." of umount2
 * finds it there. It is made a slave by its own fd: "." would name the new root, with the volumes that are
 * shared on purpose. */
static int enter_pivot(const struct skf_start *s, struct skf_err *e)
{
	struct mount_attr slave = {.propagation = MS_SLAVE};
	SKF_AUTO_FD int old = peers_left(s) ? skf_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0) : -EBADF;

	if (old < 0 && peers_left(s))
		return skf_fail_sys(e, old, "cannot open the host's '/'");
	int r = skf_pivot_root(".", ".");
	if (r < 0)
		return skf_fail_sys(
			e, r,
			"cannot pivot into the root file system; '--no-pivot' may help where the host's "
			"root is a ramdisk");
	if (old >= 0)
		r = skf_mount_setattr(old, "", AT_EMPTY_PATH | AT_RECURSIVE, &slave);
	if (r == 0)
		r = skf_umount(".", MNT_DETACH);
	if (r < 0)
		return skf_fail_sys(e, r, "cannot drop the host's mounts from the container");
	return 0;
}

/* A mount namespace that was joined has its own view of where the root is. */
static int reopen_root(struct skf_start *s, struct skf_err *e)
{
	bool is_root_dir;

	if (!(s->ns_join & CLONE_NEWNS))
		return 0;
	int fd = open_place(s, &is_root_dir);
	if (fd < 0)
		return skf_fail_sys(e, fd, "root file system '%s' in the joined mount namespace",
				    s->spec->root_path);
	skf_closep(&s->root_fd);
	s->root_fd = fd;
	return 0;
}

int skf_rootfs_enter(struct skf_start *s, struct skf_err *e)
{
	if (!skf_own_mntns(s) && reopen_root(s, e) < 0)
		return -1;
	if (fchdir(s->root_fd) < 0)
		return skf_fail_errno(e, "cannot enter the root file system");
	if (skf_own_mntns(s)) {
		if ((s->req->no_pivot ? enter_move(s, e) : enter_pivot(s, e)) < 0)
			return -1;
	} else if (chroot(".") < 0) {
		return skf_fail_errno(e, "cannot change the root to '%s'", s->spec->root_path);
	}
	if (chdir("/") < 0)
		return skf_fail_errno(e, "cannot change to the container's '/'");
	return 0;
}

/* --- finish --- */

/* Read-only and propagation of the root mount itself, in one call. */
static int seal_root(const struct skf_start *s, struct skf_err *e)
{
	struct mount_attr a = {
		.attr_set = s->spec->root_readonly ? MOUNT_ATTR_RDONLY : 0,
		.propagation = s->spec->linux_.rootfs_propagation & ~(unsigned long)MS_REC,
	};

	if (!a.attr_set && !a.propagation)
		return 0;
	int r = skf_mount_setattr(s->root_fd, "", AT_EMPTY_PATH, &a);
	if (r < 0)
		return skf_fail_sys(e, r,
				    "cannot make the root file system read-only or set its propagation");
	return 0;
}

/* Standard streams on the host's null device move to the container's: the workload may reopen them by
 * /proc/self/fd, and nothing of the host's /dev stays in use. A container without a null device keeps what
 * it has. */
static int own_null(const struct skf_start *s, struct skf_err *e)
{
	SKF_AUTO_FD int null = -EBADF;
	struct stat st;

	for (int fd = 0; fd < 3; fd++) {
		if (fstat(fd, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
			continue;
		if (null < 0)
			null = skf_path_open(s->root_fd, "dev/null", O_RDWR | O_NONBLOCK, 0);
		if (null < 0 || fstat(null, &st) < 0 || !S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
			return 0;
		if (dup2(null, fd) < 0)
			return skf_fail_errno(e,
					      "cannot use the container's '/dev/null' as standard stream");
	}
	return 0;
}

int skf_rootfs_finish(struct skf_start *s, struct skf_err *e)
{
	if (skf_sysctl_apply(s, e) < 0)
		return -1;
	if (!skf_builds_root(s))
		return 0;
	if (own_null(s, e) < 0)
		return -1;
	/* Masks last: they cover what the read-only clones show. */
	if (skf_readonly_paths(s, e) < 0 || skf_mask_paths(s, e) < 0 || skf_mounts_seal(s, e) < 0)
		return -1;
	return seal_root(s, e);
}
