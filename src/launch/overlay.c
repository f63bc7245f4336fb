/* launch/overlay.c -- the overlay of layers, upper and work as one detached mount.
 * Three ways, tried by a real create, because an old kernel accepts any key until then and so proves nothing
 * (DESIGN 7.2): fd       fsopen; lowerdir+, upperdir, workdir by FSCONFIG_SET_FD Linux 6.13 path     fsopen;
 * the same keys with the string "/proc/self/fd/N" (strings hold 255 bytes)            Linux 6.8 symlink  a
 * helper in a private mount namespace makes symlinks 0, 1, ... on a tmpfs, so that 500 layers fit the 4095
 * bytes of mount(2), mounts, and hands back an open_tree clone, which outlives it and its namespace
 * Invariants: (1) nothing is ever mounted in the caller's namespace; (2) descriptors of directories are
 * opened in the namespace that mounts them: others are refused as layers; (3) a failure other than "this
 * kernel does not know that" ends the trial, so that the message is about the real cause. */
#include "launch/overlay.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/proc.h"
#include "base/record.h"
#include "sys/helper.h"
#include "sys/mount.h"
#include "sys/path.h"
#include "sys/process.h"
#include "sys/selinux.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MSG_MOUNT = 1, MSG_FAILED = 2, MSG_VERSION = 1 };

static const char *const way_names[] = {"", "fd", "path", "symlink"};

int skf_overlay_way_parse(const char *s)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(way_names); i++)
		if (strcmp(s ? s : "", way_names[i]) == 0)
			return (int)i;
	return -EINVAL;
}

static int open_dir(const struct skf_overlay *o, const char *path, struct skf_err *e)
{
	int fd = skf_openat(o->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	if (fd < 0)
		return skf_fail_sys(e, fd, "open '%s/%s' for the container's root", o->root, path);
	return fd;
}

/* A detached clone of a layer that shows its files under the mapped ids. */
static int clone_idmapped(const struct skf_overlay *o, int dirfd, const char *path, struct skf_err *e)
{
	struct mount_attr a = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)(unsigned)o->userns_fd};
	SKF_AUTO_FD int tree = skf_open_tree(dirfd, path, OPEN_TREE_CLONE);
	int r = tree < 0 ? tree : skf_mount_setattr(tree, "", AT_EMPTY_PATH, &a);

	if (r == -EINVAL || r == -EOPNOTSUPP || r == -ENOSYS)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"the layer '%s/%s' cannot be id-mapped for a container in a user namespace: "
				"the file system "
				"of '%s' or this kernel does not support it",
				o->root, path, o->root);
	if (r < 0)
		return skf_fail_sys(e, r, "id-map the layer '%s/%s'", o->root, path);
	return SKF_TAKE_FD(tree);
}

static int open_idmapped(const struct skf_overlay *o, const char *path, struct skf_err *e)
{
	SKF_AUTO_FD int tree = clone_idmapped(o, o->root_fd, path, e);
	int fd;

	if (tree < 0)
		return -1;
	fd = skf_openat(tree, ".", O_RDONLY | O_DIRECTORY, 0);
	return fd < 0 ? skf_fail_sys(e, fd, "open the id-mapped layer '%s/%s'", o->root, path) : fd;
}

/* Which errors of a way mean that this kernel does not have it. */
static bool not_known(int r)
{
	return r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP || r == -EBADF || r == -E2BIG;
}

struct attempt {
	const struct skf_overlay *o;
	int fs;
	bool by_fd;
	int r; /* of the call that failed; 0: what is in e has another cause */
};

static int set_dir(struct attempt *t, const char *key, const char *path, bool lower, struct skf_err *e)
{
	SKF_AUTO_FD int fd =
		lower && t->o->idmapped ? open_idmapped(t->o, path, e) : open_dir(t->o, path, e);
	char name[32];

	if (fd < 0)
		return -1;
	skf_path_of_fd(fd, name);
	t->r = t->by_fd ? skf_fsconfig_fd(t->fs, key, fd) : skf_fsconfig_str(t->fs, key, name);
	if (t->r == 0)
		return 0;
	return skf_fail_sys(e, t->r, "give '%s/%s' to overlay as %s", t->o->root, path, key);
}

static int set_dirs(struct attempt *t, struct skf_err *e)
{
	const struct skf_overlay *o = t->o;

	for (size_t i = o->n_lower; i > 0; i--) /* topmost first */
		if (set_dir(t, "lowerdir+", o->lower[i - 1], true, e) < 0)
			return -1;
	t->r = o->userxattr ? skf_fsconfig_flag(t->fs, "userxattr") : 0;
	if (t->r < 0)
		return skf_fail_sys(e, t->r, "make overlay keep its marks in user.* attributes");
	t->r = o->label && skf_selinux_is_on() ? skf_fsconfig_str(t->fs, "context", o->label) : 0;
	if (t->r < 0)
		return skf_fail_sys(e, t->r, "give the overlay the SELinux label '%s'", o->label);
	if (!o->upper)
		return 0;
	if (set_dir(t, "upperdir", o->upper, false, e) < 0 || set_dir(t, "workdir", o->work, false, e) < 0)
		return -1;
	if (!o->is_volatile)
		return 0;
	t->r = skf_fsconfig_flag(t->fs, "volatile");
	return t->r == 0 ? 0 : skf_fail_sys(e, t->r, "make the overlay volatile");
}

static int mount_new_api(struct attempt *t, int *ret_fd, struct skf_err *e)
{
	SKF_AUTO_FD int fs = skf_fsopen("overlay");
	char why[200];

	if (fs < 0) {
		t->r = fs;
		return skf_fail_sys(e, fs, "open an overlay file system");
	}
	t->fs = fs;
	t->r = 0;
	if (set_dirs(t, e) < 0)
		return -1;
	t->r = skf_fsconfig_create(fs);
	if (t->r < 0) {
		skf_fs_message(fs, why, sizeof(why));
		return skf_fail_sys(e, t->r, "mount an overlay of %zu layers%s%s%s", t->o->n_lower,
				    why[0] ? " (" : "", why, why[0] ? ")" : "");
	}
	t->r = skf_fsmount(fs, 0);
	if (t->r < 0)
		return skf_fail_sys(e, t->r, "mount an overlay of %zu layers", t->o->n_lower);
	*ret_fd = t->r;
	return 0;
}

/* --- symlink: what runs in the helper --- */

static int helper_link(const struct skf_overlay *o, const char *path, const char *name, struct skf_err *e)
{
	char target[PATH_MAX];
	struct stat st;

	if (skf_fmt(target, sizeof(target), "%s%s%s", path[0] == '/' ? "" : o->root,
		    path[0] == '/' ? "" : "/", path) < 0)
		return skf_fail(e, SKF_EINVALID, "the path '%s/%s' is too long", o->root, path);
	if (stat(target, &st) < 0)
		return skf_fail_sys(e, -errno, "open '%s' for the container's root", target);
	if (symlinkat(target, AT_FDCWD, name) < 0)
		return skf_fail_sys(e, -errno, "name '%s' for overlay", target);
	return 0;
}

/* A layer in its mapping, attached to a directory of the helper's own tmpfs: kernels that refuse a detached
 * clone as a layer take that. */
static int helper_idmapped(const struct skf_overlay *o, const char *path, const char *name,
			   struct skf_err *e)
{
	SKF_AUTO_FD int tree = -EBADF;
	char target[PATH_MAX];
	int r;

	if (skf_fmt(target, sizeof(target), "%s%s%s", path[0] == '/' ? "" : o->root,
		    path[0] == '/' ? "" : "/", path) < 0)
		return skf_fail(e, SKF_EINVALID, "the path '%s/%s' is too long", o->root, path);
	tree = clone_idmapped(o, AT_FDCWD, target, e);
	if (tree < 0)
		return -1;
	r = mkdir(name, 0700) < 0 ? -errno
				  : skf_move_mount(tree, "", AT_FDCWD, name, MOVE_MOUNT_F_EMPTY_PATH);
	return r < 0 ? skf_fail_sys(e, r, "attach the id-mapped layer '%s' for overlay", target) : 0;
}

static int helper_options(const struct skf_overlay *o, struct skf_buf *b, struct skf_err *e)
{
	int (*const show)(const struct skf_overlay *, const char *, const char *, struct skf_err *) =
		o->idmapped ? helper_idmapped : helper_link;
	char name[24];

	skf_buf_str(b, "lowerdir=");
	for (size_t i = 0; i < o->n_lower; i++) {
		snprintf(name, sizeof(name), "%zu", i);
		if (show(o, o->lower[o->n_lower - 1 - i], name, e) < 0)
			return -1;
		skf_buf_str(b, i ? ":" : "");
		skf_buf_str(b, name);
	}
	skf_buf_str(b, o->userxattr ? ",userxattr" : "");
	if (o->label && skf_selinux_is_on()) /* quoted: a level has commas */
		skf_buf_fmt(b, ",context=\"%s\"", o->label);
	if (o->upper) {
		if (helper_link(o, o->upper, "u", e) < 0 || helper_link(o, o->work, "w", e) < 0)
			return -1;
		skf_buf_str(b, ",upperdir=u,workdir=w");
		skf_buf_str(b, o->is_volatile ? ",volatile" : "");
	}
	return b->err ? skf_fail_sys(e, b->err, "name %zu layers for overlay", o->n_lower) : 0;
}

static int helper_mount(const struct skf_overlay *o, int *ret_fd, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf opts = SKF_BUF(4095);
	char scratch[PATH_MAX];
	int r = skf_fmt(scratch, sizeof(scratch), "%s/%s", o->root, o->scratch);

	if (r == 0)
		r = skf_mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	if (r == 0)
		r = skf_mount("tmpfs", scratch, "tmpfs", MS_NOSUID | MS_NODEV, "mode=0700,size=4m");
	if (r == 0)
		r = chdir(scratch) < 0 || mkdir("m", 0700) < 0 ? -errno : 0;
	if (r < 0)
		return skf_fail_sys(e, r, "prepare '%s/%s' for mounting an overlay", o->root, o->scratch);
	if (helper_options(o, &opts, e) < 0)
		return -1;
	r = skf_mount("overlay", "m", "overlay", 0, opts.p);
	if (r == 0)
		r = *ret_fd = skf_open_tree(AT_FDCWD, "m", OPEN_TREE_CLONE);
	if (r < 0)
		return skf_fail_sys(e, r, "mount an overlay of %zu layers; the kernel's log may say more",
				    o->n_lower);
	return 0;
}

static void helper_main(void *arg, int sock)
{
	const struct skf_overlay *o = arg;
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO_FD int fd = -EBADF;
	struct skf_err e = SKF_ERR_INIT;
	struct skf_rec w;
	int r = helper_mount(o, &fd, &e);

	skf_rec_begin(&w, &b, r < 0 ? MSG_FAILED : MSG_MOUNT, MSG_VERSION);
	if (r < 0)
		skf_rec_err(&w, &e);
	skf_rec_end(&w);
	(void)skf_record_send(sock, &b, &fd,
			      r < 0 ? 0 : 1); /* the parent sees the closed socket when this fails */
}

/* --- symlink: the parent --- */

static int helper_answer(int sock, int *ret_fd, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
	struct skf_recr r;
	int n = skf_record_recv(sock, &b, &r, &fds, SKF_START_MS);

	if (n < 0)
		return skf_fail_sys(e, n, "wait for the helper that mounts the container's root");
	if (n == 0)
		return skf_fail(e, SKF_ESYSTEM, "the helper that mounts the container's root died");
	if (r.type == MSG_FAILED) {
		skf_recr_err(&r, e);
		return -1;
	}
	if (r.type != MSG_MOUNT || fds.n != 1)
		return skf_fail(e, SKF_EBUG,
				"the helper that mounts the container's root answered with record %u",
				r.type);
	*ret_fd = SKF_TAKE_FD(fds.fd[0]);
	return 0;
}

static int mount_symlink(const struct skf_overlay *o, int *ret_fd, struct skf_err *e)
{
	struct skf_helper h;
	int r = skf_helper_start(CLONE_NEWNS, helper_main, (void *)o, &h);

	if (r < 0)
		return skf_fail_sys(e, r, "start the helper that mounts the container's root");
	r = helper_answer(h.sock, ret_fd, e);
	skf_helper_end(&h, r < 0);
	return r;
}

/* --- without overlay --- */

static int mount_plain(const struct skf_overlay *o, const char *path, bool readonly, int *ret_fd,
		       struct skf_err *e)
{
	struct mount_attr ro = {.attr_set = MOUNT_ATTR_RDONLY};
	SKF_AUTO_FD int fd = o->idmapped && readonly ? clone_idmapped(o, o->root_fd, path, e)
						     : skf_open_tree(o->root_fd, path, OPEN_TREE_CLONE);
	int r = fd < 0 ? fd : 0;

	if (r < 0 && o->idmapped && readonly)
		return -1;
	if (r == 0 && readonly)
		r = skf_mount_setattr(fd, "", AT_EMPTY_PATH, &ro);
	if (r < 0)
		return skf_fail_sys(e, r, "mount '%s/%s' as the container's root", o->root, path);
	*ret_fd = SKF_TAKE_FD(fd);
	return 0;
}

/* A volatile overlay marks its work directory so that it is not mounted again after a crash; its upper is
 * ours to throw away. */
static int clear_mark(const struct skf_overlay *o, struct skf_err *e)
{
	char path[PATH_MAX];
	int r;

	if (!o->upper || !o->is_volatile)
		return 0;
	r = skf_fmt(path, sizeof(path), "%s/work", o->work);
	if (r == 0) {
		SKF_AUTO_FD int dir = skf_openat(o->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

		r = dir == -ENOENT ? 0 : dir < 0 ? dir : skf_rmtree_at(dir, "incompat");
	}
	return r < 0 && r != -ENOENT ? skf_fail_sys(e, r, "prepare '%s/%s' for an overlay", o->root, o->work)
				     : 0;
}

/* A layer that an image has more than once: the kernel refuses (ELOOP) what overlay does not need. The
 * uppermost says all that those below it would: the same files, and it hides the same. */
static size_t without_repeats(const struct skf_overlay *o, const char *out[SKF_MAX_LAYERS])
{
	size_t n = 0;

	for (size_t i = 0; i < o->n_lower; i++) {
		size_t above = i + 1;

		while (above < o->n_lower && strcmp(o->lower[i], o->lower[above]) != 0)
			above++;
		if (above == o->n_lower)
			out[n++] = o->lower[i];
	}
	return n;
}

int skf_overlay_mount(const struct skf_overlay *asked, int *ret_fd, struct skf_err *e)
{
	const char *lower[SKF_MAX_LAYERS];
	struct skf_overlay once = *asked, *o = &once;
	struct attempt t = {.o = o};

	if (o->n_lower > SKF_MAX_LAYERS)
		return skf_fail(e, SKF_ELIMIT, "%zu layers, but the kernel's overlay takes at most %d",
				o->n_lower, SKF_MAX_LAYERS);
	o->n_lower = without_repeats(asked, lower);
	o->lower = lower;
	if (o->n_lower == 0 && !o->upper)
		return skf_fail(e, SKF_EINVALID, "a root needs at least one layer or a writable directory");
	if (o->n_lower == 0)
		return mount_plain(o, o->upper, false, ret_fd, e);
	if (o->n_lower == 1 && !o->upper)
		return mount_plain(o, o->lower[0], true, ret_fd, e);
	if (clear_mark(o, e) < 0)
		return -1;
	t.r = 0;
	for (enum skf_overlay_way w = SKF_OVERLAY_FD; w <= SKF_OVERLAY_PATH; w++) {
		if (o->way != SKF_OVERLAY_AUTO && o->way != w)
			continue;
		t.by_fd = w == SKF_OVERLAY_FD;
		if (mount_new_api(&t, ret_fd, e) == 0)
			return 0;
		if (o->way == w || !not_known(t.r))
			return -1;
		if (clear_mark(o, e) < 0) /* the attempt may have got as far as that */
			return -1;
	}
	return mount_symlink(o, ret_fd, e);
}
