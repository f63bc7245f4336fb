/* launch/root.c -- the root of a container: its layers, its writable directory, and for a container in a
 * user namespace of its own both in the ids of that: the layers through id-mapped mounts, without a copy, or
 * as copies in these ids, and rw/ by its owner (DESIGN 3a). Which of these it is the engine has written
 * down: the member storage of config.json (store/snapshot.h). */
#include "base/cleanup.h"
#include "base/fd.h"
#include "launch/launch_int.h"
#include "launch/overlay.h"
#include "oci/digest.h"
#include "sys/mount.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int skf_launch_layer_paths(struct skf_launch *l, const struct skf_strv *diff_ids, const char *const **ret,
			   struct skf_err *e)
{
	const char **v = skf_arena_array(&l->arena, diff_ids->n + 1, sizeof(*v));
	struct skf_digest d;

	for (size_t i = 0; v && i < diff_ids->n; i++) {
		if (skf_digest_parse(diff_ids->v[i], &d, e) < 0)
			return skf_ctx(e, "layer %zu of container '%s'", i, l->q.id);
		v[i] = skf_arena_fmt(&l->arena, "layers/%s/%s", skf_digest_hex(&d), l->conf->storage->form);
		if (!v[i])
			v = NULL;
	}
	if (!v)
		return skf_fail(e, SKF_ENOMEM, "out of memory for the layers of container '%s'", l->q.id);
	*ret = v;
	return 0;
}

/* Copies of the layers (map-.../tree) have the mapped ids already. */
bool skf_launch_sees_through_map(const struct skf_launch *l)
{
	return l->conf->rootfs || strcmp(l->conf->storage->form, "tree") == 0;
}

/* rw/ is made with the owner that the image's root has; here it becomes the mapped one, once: what is mapped
 * stays. */
static int own_upper(struct skf_launch *l, const char *upper, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(l->root_fd, upper, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	struct stat st;
	uint32_t uid, gid, ignored;

	if (fd < 0 || fstat(fd, &st) < 0)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "look at '%s/%s'", l->q.root, upper);
	uid = st.st_uid;
	gid = st.st_gid;
	/* An id that is not mapped at all stays: the kernel shows it as nobody's. */
	if (!skf_idmap_from_host(&l->ids.uids, st.st_uid, &ignored) &&
	    !skf_idmap_to_host(&l->ids.uids, st.st_uid, &uid))
		uid = st.st_uid;
	if (!skf_idmap_from_host(&l->ids.gids, st.st_gid, &ignored) &&
	    !skf_idmap_to_host(&l->ids.gids, st.st_gid, &gid))
		gid = st.st_gid;
	if ((uid == st.st_uid && gid == st.st_gid) || fchown(fd, uid, gid) == 0)
		return 0;
	return skf_fail_sys(e, -errno, "give '%s/%s' to the container's root", l->q.root, upper);
}

/* --rootfs DIR: the directory itself, with what is mounted in it. */
static int mount_directory(struct skf_launch *l, struct skf_err *e)
{
	struct mount_attr a = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)(unsigned)l->userns};
	SKF_AUTO_FD int fd = skf_open_tree(AT_FDCWD, l->conf->rootfs, OPEN_TREE_CLONE | AT_RECURSIVE);
	int r = fd < 0 ? fd : 0;

	if (r == 0 && l->conf->rootfs_idmap)
		r = skf_mount_setattr(fd, "", AT_EMPTY_PATH, &a);
	if (r < 0)
		return skf_fail_sys(e, r, "mount the directory '%s'%s as the root of container '%s'",
				    l->conf->rootfs, l->conf->rootfs_idmap ? ", id-mapped," : "", l->q.id);
	l->root_mount = SKF_TAKE_FD(fd);
	return 0;
}

/* SKIFF_OVERLAY=fd|path|symlink forces one of the ways of launch/overlay.h for tests. */
int skf_launch_mount_root(struct skf_launch *l, struct skf_err *e)
{
	char upper[SKF_ID_LEN + 24], work[SKF_ID_LEN + 24], scratch[SKF_ID_LEN + 24];
	int way = skf_overlay_way_parse(getenv("SKIFF_OVERLAY"));
	struct skf_overlay o = {.root_fd = l->root_fd,
				.root = l->q.root,
				.n_lower = l->conf->layers.n,
				.upper = upper,
				.work = work,
				.scratch = scratch,
				.is_volatile = l->conf->remove,
				.label = l->conf->mount_label};
	const char *const *lower = NULL;
	const char *directory[1];
	bool mapped;

	if (skf_launch_is_mounted(l))
		return skf_launch_clone_mounted(l, e);
	if (way < 0)
		return skf_fail(e, SKF_EINVALID, "SKIFF_OVERLAY is '%.40s'; it takes fd, path or symlink",
				getenv("SKIFF_OVERLAY"));
	if (l->conf->rootfs && !l->conf->rootfs_overlay)
		return mount_directory(l, e);
	if (l->conf->rootfs) {
		directory[0] = l->conf->rootfs;
		lower = directory;
		o.n_lower = 1;
	} else if (!l->conf->storage->lower) {
		o.n_lower = 0; /* rw/ has everything */
	} else if (skf_launch_layer_paths(l, &l->conf->layers, &lower, e) < 0) {
		return -1;
	}
	snprintf(upper, sizeof(upper), "containers/%s/rw", l->q.id);
	snprintf(work, sizeof(work), "containers/%s/work", l->q.id);
	snprintf(scratch, sizeof(scratch), "containers/%s/rootfs", l->q.id);
	o.lower = lower;
	o.way = (enum skf_overlay_way)way;
	mapped = l->userns >= 0 && (!l->conf->rootfs || l->conf->rootfs_idmap);
	o.idmapped = mapped && skf_launch_sees_through_map(l);
	o.userns_fd = l->userns;
	if ((mapped && own_upper(l, upper, e) < 0) || skf_overlay_mount(&o, &l->root_mount, e) < 0)
		return skf_ctx(e, "root of container '%s'", l->q.id);
	return 0;
}
