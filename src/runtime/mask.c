/* runtime/mask.c -- linux.maskedPaths and linux.readonlyPaths. Runs in the child after pivot_root.
 *
 * Invariants:
 *  1. A file is masked with the container's /dev/null only after fstat of the very fd that is cloned said
 *     "character device 1:3"; the name may be exchanged at any time.
 *  2. All masked directories share one empty tmpfs, read-only as mount and as file system. It covers the
 *     first of them itself; only what is attached can be cloned for the others (before Linux 6.15).
 *  3. A path that does not exist is skipped; any other failure ends the start. Does not block. */
#include "base/buf.h"
#include "runtime/rootfs_int.h"
#include "sys/path.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct masks {
	int null, empty; /* -EBADF until the first file or directory */
	struct skf_err *e;
};

static int null_open(const struct skf_start *s, struct masks *x)
{
	struct stat st;

	SKF_AUTO_FD int fd = skf_path_open_nofollow(s->root_fd, "dev/null", O_PATH, 0);
	if (fd < 0 || fstat(fd, &st) < 0)
		return skf_fail_sys(x->e, fd < 0 ? fd : skf_errno(),
				    "cannot open the container's '/dev/null' to mask files with");
	if (!S_ISCHR(st.st_mode) || st.st_rdev != makedev(1, 3))
		return skf_fail(x->e, SKF_EDENIED,
				"the container's '/dev/null' is not the null device (1:3), so files cannot "
				"be masked with it");
	x->null = SKF_TAKE_FD(fd);
	return 0;
}

static int empty_open(struct masks *x)
{
	char why[200];

	int fd = skf_source_fs("tmpfs", "tmpfs", MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC, "ro,mode=755",
			       why, sizeof(why));
	if (fd < 0)
		return skf_fail_sys(x->e, fd, "cannot make an empty directory to mask directories with%s%s",
				    why[0] ? ": " : "", why);
	x->empty = fd;
	return 0;
}

/* Opens a path of one of the lists; 0 when there is nothing there. */
static int open_path(const struct skf_start *s, const char *path, int *ret_fd)
{
	char clean[PATH_MAX];

	int r = skf_dest_clean(path, clean);
	if (r < 0)
		return r;
	r = skf_path_open(s->root_fd, clean + 1, O_PATH, 0);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return r;
	*ret_fd = r;
	return 1;
}

static int cover_dir(struct masks *x, int target)
{
	if (x->empty < 0)
		return empty_open(x) < 0 ? 1 : skf_move_mount_onto(x->empty, target);
	SKF_AUTO_FD int tree = skf_source_clone_fd(x->empty, false);
	return tree < 0 ? tree : skf_move_mount_onto(tree, target);
}

static int cover_file(const struct skf_start *s, struct masks *x, int target)
{
	if (x->null < 0 && null_open(s, x) < 0)
		return 1;
	SKF_AUTO_FD int tree = skf_source_clone_fd(x->null, false);
	return tree < 0 ? tree : skf_move_mount_onto(tree, target);
}

static int mask_one(const struct skf_start *s, struct masks *x, const char *path)
{
	SKF_AUTO_FD int target = -EBADF;
	struct stat st;

	int r = open_path(s, path, &target);
	if (r == 0)
		return 0;
	if (r < 0 || fstat(target, &st) < 0)
		return skf_fail_sys(x->e, r < 0 ? r : skf_errno(), "masked path '%s'", path);
	/* > 0: the error is set already. */
	r = S_ISDIR(st.st_mode) ? cover_dir(x, target) : cover_file(s, x, target);
	if (r > 0)
		return skf_ctx(x->e, "masked path '%s'", path);
	if (r < 0)
		return skf_fail_sys(x->e, r, "masked path '%s': cannot cover it", path);
	return 0;
}

/* A second mask on the first would only be one more mount. */
static bool named_before(const struct skf_strv *v, size_t i)
{
	for (size_t k = 0; k < i; k++) {
		if (skf_streq(v->v[k], v->v[i]))
			return true;
	}
	return false;
}

int skf_mask_paths(struct skf_start *s, struct skf_err *e)
{
	struct masks x = {.null = -EBADF, .empty = -EBADF, .e = e};
	const struct skf_strv *v = &s->spec->linux_.masked_paths;
	int r = 0;

	for (size_t i = 0; i < v->n && r == 0; i++)
		r = named_before(v, i) ? 0 : mask_one(s, &x, v->v[i]);
	skf_closep(&x.null);
	skf_closep(&x.empty);
	return r;
}

static int readonly_one(const struct skf_start *s, const char *path, struct skf_err *e)
{
	struct mount_attr ro = {.attr_set = MOUNT_ATTR_RDONLY};
	SKF_AUTO_FD int target = -EBADF;

	int r = open_path(s, path, &target);
	if (r == 0)
		return 0;
	if (r > 0) {
		SKF_AUTO_FD int tree = skf_source_clone_fd(target, true);
		r = tree < 0 ? tree : skf_mount_setattr(tree, "", AT_EMPTY_PATH, &ro);
		if (r == 0)
			r = skf_move_mount_onto(tree, target);
	}
	if (r < 0)
		return skf_fail_sys(e, r, "read-only path '%s': cannot make it read-only", path);
	return 0;
}

int skf_readonly_paths(struct skf_start *s, struct skf_err *e)
{
	const struct skf_strv *v = &s->spec->linux_.readonly_paths;

	for (size_t i = 0; i < v->n; i++) {
		if (readonly_one(s, v->v[i], e) < 0)
			return -1;
	}
	return 0;
}
