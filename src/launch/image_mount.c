/* launch/image_mount.c -- an image's files where the user can look at them: its layers as one read-only
 * mount at mounts/<manifest> below the root directory, in the caller's mount namespace, and its end. The
 * request's id is the manifest's hex digits, its document the diff-ids, one a line, lowest first; nothing of
 * either reaches a path before it was checked to be hex digits. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "launch/launch_int.h"
#include "launch/overlay.h"
#include "oci/digest.h"
#include "sys/mount.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int open_root(struct skf_launch *l, struct skf_err *e)
{
	l->root_fd = skf_openat(AT_FDCWD, l->q.root, O_RDONLY | O_DIRECTORY, 0);
	return l->root_fd < 0 ? skf_fail_sys(e, l->root_fd, "open '%s'", l->q.root) : 0;
}

static int open_point(struct skf_launch *l, struct skf_err *e)
{
	char path[SKF_ID_LEN + 16];
	int fd;

	snprintf(path, sizeof(path), "mounts/%s", l->q.id);
	fd = skf_openat(l->root_fd, path, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	return fd < 0 ? skf_fail_sys(e, fd, "open '%s/%s'", l->q.root, path) : fd;
}

static int layer_paths(struct skf_launch *l, const char **v, size_t *ret_n, struct skf_err *e)
{
	const char *p = l->q.process_json;
	size_t n = 0;

	for (; *p; p += *p == '\n') {
		char *word = skf_arena_dup(&l->arena, p, strcspn(p, "\n"));
		struct skf_digest d;

		if (!word)
			return skf_fail(e, SKF_ENOMEM, "out of memory for the layers of an image");
		if (n == SKF_MAX_LAYERS)
			return skf_fail(e, SKF_ELIMIT, "the image has more than %d layers", SKF_MAX_LAYERS);
		if (skf_digest_parse(word, &d, e) < 0)
			return skf_ctx(e, "layer %zu of the image", n);
		v[n] = skf_arena_fmt(&l->arena, "layers/%s/tree", skf_digest_hex(&d));
		if (!v[n++])
			return skf_fail(e, SKF_ENOMEM, "out of memory for the layers of an image");
		p += strlen(word);
	}
	*ret_n = n;
	return 0;
}

static int mount_image(struct skf_launch *l, struct skf_err *e)
{
	char scratch[SKF_ID_LEN + 16];
	const char *lower[SKF_MAX_LAYERS];
	struct skf_overlay o = {
		.root_fd = l->root_fd, .root = l->q.root, .lower = lower, .scratch = scratch};

	snprintf(scratch, sizeof(scratch), "mounts/%s", l->q.id);
	if (layer_paths(l, lower, &o.n_lower, e) < 0)
		return -1;
	if (o.n_lower == 0) { /* it has a copy of the image's files */
		l->root_mount = skf_open_tree(l->root_fd, scratch, OPEN_TREE_CLONE);
		return l->root_mount < 0
			       ? skf_fail_sys(e, l->root_mount, "mount '%s/%s'", l->q.root, scratch)
			       : 0;
	}
	return skf_overlay_mount(&o, &l->root_mount, e);
}

static int attach(struct skf_launch *l, struct skf_err *e)
{
	struct mount_attr ro = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV};
	SKF_AUTO_FD int point = open_point(l, e);
	int r;

	if (point < 0)
		return -1;
	r = skf_mount_setattr(l->root_mount, "", AT_EMPTY_PATH, &ro);
	if (r == 0)
		r = skf_move_mount_onto(l->root_mount, point);
	return r < 0 ? skf_fail_sys(e, r, "mount the image at '%s/mounts/%s'", l->q.root, l->q.id) : 0;
}

static int detach(struct skf_launch *l, struct skf_err *e)
{
	char path[SKF_ID_LEN + 16];
	int r;

	snprintf(path, sizeof(path), "mounts/%s", l->q.id);
	r = fchdir(l->root_fd) < 0 ? -errno : skf_umount(path, UMOUNT_NOFOLLOW);
	if (r == -EBUSY)
		return skf_fail(e, SKF_ECONFLICT, "'%s/%s' is in use: somebody works in it", l->q.root,
				path);
	/* EINVAL: no mount (any more), which is what was asked for */
	return r < 0 && r != -EINVAL ? skf_fail_sys(e, r, "unmount '%s/%s'", l->q.root, path) : 0;
}

static int done(struct skf_launch *l, struct skf_err *e)
{
	return skf_launch_answer(l, -1, e);
}

const struct skf_launch_step skf_launch_image_mount_steps[] = {
	{"root", open_root, NULL}, {"layers", mount_image, NULL},
	{"attach", attach, NULL},  {"answer", done, NULL},
	{NULL, NULL, NULL},
};
const struct skf_launch_step skf_launch_image_unmount_steps[] = {
	{"root", open_root, NULL},
	{"detach", detach, NULL},
	{"answer", done, NULL},
	{NULL, NULL, NULL},
};
