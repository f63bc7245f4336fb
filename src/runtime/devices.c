/* runtime/devices.c -- device nodes and links of the container's /dev: the runtime-spec's default devices,
 * those of the spec, /dev/ptmx, /dev/fd, /dev/std*, /dev/core. Runs in the child after the mounts, with
 * umask 0.
 *
 * Invariants:
 *  1. Everything is made by one name below a directory fd that was resolved in the root, so a /dev that is a
 *     link leads to another place of the container, never of the host.
 *  2. A node that exists already is used only if it is the right device; anything else but a directory is
 *     replaced.
 *  3. A node that is bound is compared by type and number with what was asked for. In a user namespace,
 * where no node can be made, the broker makes those of the spec with their mode and owner on a tmpfs of the
 *     host's; what it cannot make, and the default devices, are bound from the host.
 *  4. When the spec binds a directory on /dev, nothing is made there. Does not block. */
#include "base/buf.h"
#include "oci/idmaps.h"
#include "runtime/rootfs_int.h"
#include "sys/path.h"
#include "sys/process.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct devs {
	struct skf_start *s;
	int dir;   /* the container's /dev */
	bool bind; /* mknod is not permitted here */
	struct skf_err *e;
};

/* Mode 0666, root's. */
static const struct {
	const char name[8];
	uint8_t major, minor;
} defaults[] = {
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
};

static mode_t mode_of(const struct skf_spec_device *d)
{
	mode_t type = d->type == 'b' ? S_IFBLK : d->type == 'p' ? S_IFIFO : S_IFCHR;
	return type | (d->has_mode ? d->mode & 07777 : 0666);
}

static dev_t rdev_of(const struct skf_spec_device *d)
{
	return d->type == 'p' ? 0 : makedev((unsigned)d->major, (unsigned)d->minor);
}

static bool is_device(int fd, const struct skf_spec_device *d)
{
	struct stat st;
	return fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == (mode_of(d) & S_IFMT) &&
	       (d->type == 'p' || st.st_rdev == rdev_of(d));
}

static int fail(struct devs *x, const struct skf_spec_device *d, int r, const char *what)
{
	return skf_fail_sys(x->e, r, "device '%s': cannot %s", d->path, what);
}

/* The object itself, never what a link there points to. */
static int open_node(int dir, const char *name)
{
	return skf_path_open_nofollow(dir, name, O_PATH, 0);
}

static int own_node(struct devs *x, int dir, const char *name, const struct skf_spec_device *d)
{
	if (d->uid == 0 && d->gid == 0)
		return 0;
	SKF_AUTO_FD int fd = open_node(dir, name);
	if (fd < 0 || !is_device(fd, d))
		return fail(x, d, fd < 0 ? fd : -ESTALE, "find the node again that was just made");
	if (fchownat(fd, "", d->uid, d->gid, AT_EMPTY_PATH) < 0)
		return fail(x, d, skf_errno(), "set its owner");
	return 0;
}

/* Invariant 2. 1: the name is free now. */
static int reuse_node(struct devs *x, int dir, const char *name, const struct skf_spec_device *d)
{
	SKF_AUTO_FD int fd = open_node(dir, name);
	if (fd >= 0 && is_device(fd, d))
		return 0;
	if (unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		return fail(x, d, skf_errno(), "replace what the root file system has in its place");
	return 1;
}

/* An empty file to bind over. */
static int bind_target(int dir, const char *name)
{
	for (int i = 0; i < 2; i++) {
		struct stat st;
		if (mknodat(dir, name, S_IFREG | 0644, 0) < 0 && errno != EEXIST)
			return skf_errno();
		SKF_AUTO_FD int fd = open_node(dir, name);
		if (fd < 0)
			return fd;
		if (fstat(fd, &st) < 0)
			return skf_errno();
		if (S_ISDIR(st.st_mode))
			return -EISDIR;
		if (!S_ISLNK(st.st_mode))
			return SKF_TAKE_FD(fd);
		if (unlinkat(dir, name, 0) < 0)
			return skf_errno();
	}
	return -ELOOP;
}

/* The node that the broker made of device d; -1 when there is no broker, or it could not. */
static int ask_broker(struct devs *x, const struct skf_spec_device *d)
{
	const struct skf_spec_device *v = x->s->spec->linux_.devices.v;
	struct skf_err e = SKF_ERR_INIT;
	int tree = -1;

	if (x->s->broker_pid <= 0 || !v || d < v || d >= v + x->s->spec->linux_.devices.n)
		return -1;
	if (skf_broker_ask(x->s, x->s->spec->mounts.n + (size_t)(d - v), &tree, &e) < 0)
		skf_debug(x->s->rt->log, "%s; the host's is used", e.msg);
	return tree;
}

static int bind_node(struct devs *x, int dir, const char *name, const struct skf_spec_device *d)
{
	SKF_AUTO_FD int tree = ask_broker(x, d);
	if (tree < 0)
		tree = skf_source_clone(x->s, d->path, 0);
	if (tree < 0)
		return fail(x, d, tree, "open it on the host");
	if (!is_device(tree, d))
		return skf_fail(x->e, SKF_EINVALID,
				"device '%s': the host's file of that name is not device %c %lld:%lld",
				d->path, d->type, (long long)d->major, (long long)d->minor);
	SKF_AUTO_FD int target = bind_target(dir, name);
	if (target < 0)
		return fail(x, d, target, "make a file to bind it to");
	int r = skf_move_mount_onto(tree, target);
	return r < 0 ? fail(x, d, r, "bind it from the host") : 0;
}

static int make_node(struct devs *x, int dir, const char *name, const struct skf_spec_device *d)
{
	if (x->bind && d->type != 'p')
		return bind_node(x, dir, name, d);
	if (mknodat(dir, name, mode_of(d), rdev_of(d)) == 0)
		return own_node(x, dir, name, d);
	if (errno == EEXIST) {
		int r = reuse_node(x, dir, name, d);
		if (r <= 0)
			return r;
		if (mknodat(dir, name, mode_of(d), rdev_of(d)) == 0)
			return own_node(x, dir, name, d);
	}
	if (errno != EPERM)
		return fail(x, d, skf_errno(), "make its node");
	x->bind = true;
	return bind_node(x, dir, name, d);
}

static int make_spec_device(struct devs *x, const struct skf_spec_device *d)
{
	char path[PATH_MAX], name[NAME_MAX + 1];

	int r = skf_dest_clean(d->path, path);
	if (r < 0)
		return fail(x, d, r, "use its path");
	/* The container's own devpts has it. */
	if (skf_streq(path, "/dev/ptmx"))
		return 0;
	if (skf_startswith(path, "/dev/") && !strchr(path + 5, '/'))
		return make_node(x, x->dir, path + 5, d);
	SKF_AUTO_FD int dir = skf_path_parent(x->s->root_fd, path, true, name, sizeof(name));
	if (dir < 0)
		return fail(x, d, dir, "open or make its directory");
	return make_node(x, dir, name, d);
}

/* --- the broker's part --- */

/* Before Linux 6.15 only what is attached can be cloned. So the tmpfs covers a directory that every host
 * has, in a mount namespace that nobody else sees. */
static int private_tmpfs(void)
{
	char why[200];

	int r = skf_unshare(CLONE_NEWNS);
	if (r == 0)
		r = skf_mount(NULL, "/", NULL, MS_PRIVATE | MS_REC, NULL);
	SKF_AUTO_FD int tree =
		r < 0 ? r
		      : skf_source_fs("tmpfs", "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=755", why, sizeof(why));
	if (tree < 0)
		return tree;
	r = skf_move_mount(tree, "", AT_FDCWD, "/proc", MOVE_MOUNT_F_EMPTY_PATH);
	return r < 0 ? r : SKF_TAKE_FD(tree);
}

int skf_device_make(struct skf_start *s, size_t i, int *tmpfs, struct skf_err *e)
{
	const struct skf_spec_device *d = (const struct skf_spec_device *)s->spec->linux_.devices.v + i;
	uint32_t uid, gid;
	char name[24];

	if (*tmpfs < 0)
		*tmpfs = private_tmpfs();
	int r = *tmpfs < 0 ? *tmpfs : skf_fmt(name, sizeof(name), "%zu", i);
	if (r == 0 && (!skf_idmap_to_host(&s->spec->linux_.uid_mappings, d->uid, &uid) ||
		       !skf_idmap_to_host(&s->spec->linux_.gid_mappings, d->gid, &gid)))
		r = -EOVERFLOW;
	if (r == 0 && (mknodat(*tmpfs, name, mode_of(d), rdev_of(d)) < 0 ||
		       fchownat(*tmpfs, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
		       fchmodat(*tmpfs, name, mode_of(d) & 07777, 0) < 0))
		r = skf_errno();
	if (r == 0)
		r = skf_open_tree(*tmpfs, name, OPEN_TREE_CLONE | AT_SYMLINK_NOFOLLOW);
	return r < 0 ? skf_fail_sys(e, r, "device '%s': cannot make its node outside the user namespace",
				    d->path)
		     : r;
}

/* --- all of them --- */

static bool in_spec(const struct skf_start *s, const char *path)
{
	const struct skf_spec_device *v = s->spec->linux_.devices.v;

	for (size_t i = 0; i < s->spec->linux_.devices.n; i++) {
		if (skf_streq(v[i].path, path))
			return true;
	}
	return false;
}

static int make_devices(struct devs *x)
{
	const struct skf_spec_device *v = x->s->spec->linux_.devices.v;

	for (size_t i = 0; i < SKF_ARRAY_LEN(defaults); i++) {
		char path[sizeof("/dev/") + sizeof(defaults[i].name)];
		struct skf_spec_device d = {
			.path = path, .type = 'c', .major = defaults[i].major, .minor = defaults[i].minor};
		if (skf_fmt(path, sizeof(path), "/dev/%s", defaults[i].name) < 0)
			return skf_fail(x->e, SKF_EBUG, "device '%s': name too long", defaults[i].name);
		if (!in_spec(x->s, path) && make_node(x, x->dir, defaults[i].name, &d) < 0)
			return -1;
	}
	for (size_t i = 0; i < x->s->spec->linux_.devices.n; i++) {
		if (make_spec_device(x, &v[i]) < 0)
			return -1;
	}
	return 0;
}

static int make_ptmx(struct devs *x)
{
	if (symlinkat("pts/ptmx", x->dir, "ptmx") == 0)
		return 0;
	if (errno == EEXIST) {
		if (unlinkat(x->dir, "ptmx", 0) == 0 && symlinkat("pts/ptmx", x->dir, "ptmx") == 0)
			return 0;
		if (errno == EBUSY) /* a mount of the spec */
			return 0;
	}
	return skf_fail_errno(x->e, "cannot make the link '/dev/ptmx' in the root file system");
}

static int make_links(struct devs *x)
{
	static const struct {
		const char *name, *target;
	} links[] = {
		{"fd", "/proc/self/fd"},       {"stdin", "/proc/self/fd/0"}, {"stdout", "/proc/self/fd/1"},
		{"stderr", "/proc/self/fd/2"}, {"core", "/proc/kcore"},
	};
	/* A kernel option; a link to nowhere would make a fool of those who look for it. */
	size_t n = SKF_ARRAY_LEN(links) - (faccessat(AT_FDCWD, "/proc/kcore", F_OK, 0) < 0);

	for (size_t i = 0; i < n; i++) {
		if (symlinkat(links[i].target, x->dir, links[i].name) < 0 && errno != EEXIST)
			return skf_fail_errno(x->e, "cannot make the link '/dev/%s' in the root file system",
					      links[i].name);
	}
	return make_ptmx(x);
}

/* Invariant 4. */
static bool wanted(const struct skf_start *s)
{
	const struct skf_spec_mount *v = s->spec->mounts.v;
	char dest[PATH_MAX];

	for (size_t i = 0; i < s->spec->mounts.n; i++) {
		bool bind = skf_streq(v[i].type, "bind");
		for (size_t k = 0; k < v[i].options.n && !bind; k++)
			bind = skf_streq(v[i].options.v[k], "bind") || skf_streq(v[i].options.v[k], "rbind");
		if (bind && skf_dest_clean(v[i].destination, dest) == 0 && skf_streq(dest, "/dev"))
			return false;
	}
	return true;
}

int skf_devices_build(struct skf_start *s, struct skf_err *e)
{
	if (!wanted(s))
		return 0;
	SKF_AUTO_FD int dir = skf_path_mkdirs(s->root_fd, "dev", 0755);
	if (dir < 0)
		return skf_fail_sys(e, dir, "cannot open or make '/dev' in the root file system");
	struct devs x = {.s = s, .dir = dir, .bind = s->userns, .e = e};
	if (make_devices(&x) < 0)
		return -1;
	return make_links(&x);
}
