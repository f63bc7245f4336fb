/* store/snapshot.c -- the ways to make a root of layers, and overlay's, which mounts them as they are. */
#include "store/snapshot.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/err.h"
#include "store/store_int.h"
#include "sys/mount.h"
#include "sys/path.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct skf_snapshotter *const skf_snapshotters[] = {&skf_snapshot_overlay, &skf_snapshot_vfs, NULL};

const struct skf_snapshotter *skf_snapshotter_find(const char *name)
{
	if (strcmp(name, "overlay2") == 0)
		return &skf_snapshot_overlay;
	for (size_t i = 0; skf_snapshotters[i]; i++)
		if (strcmp(skf_snapshotters[i]->name, name) == 0)
			return skf_snapshotters[i];
	return NULL;
}

/* --- overlay --- */

/* A mount of three directories, which is never attached. The keys are those that every kernel has. */
static int try_mount(int dir, struct skf_err *e)
{
	static const char *const keys[][2] = {{"lowerdir", "l"}, {"upperdir", "u"}, {"workdir", "w"}};
	SKF_AUTO_FD int fs = skf_fsopen("overlay");
	char path[32], why[200];
	int fd[3] = {-EBADF, -EBADF, -EBADF}, r = fs < 0 ? fs : 0;

	for (size_t i = 0; r == 0 && i < SKF_ARRAY_LEN(keys); i++) {
		r = mkdirat(dir, keys[i][1], 0700) < 0 ? -errno : 0;
		if (r == 0)
			fd[i] = skf_openat(dir, keys[i][1], O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (r == 0 && fd[i] >= 0)
			skf_path_of_fd(fd[i], path);
		if (r == 0)
			r = fd[i] < 0 ? fd[i] : skf_fsconfig_str(fs, keys[i][0], path);
	}
	if (r == 0)
		r = skf_fsconfig_create(fs);
	if (r < 0) {
		why[0] = '\0';
		if (fs >= 0)
			skf_fs_message(fs, why, sizeof(why));
		skf_fail(e, SKF_EUNSUPPORTED, "overlay does not work here: %s%s%s%s", strerror(-r),
			 why[0] ? " (" : "", why, why[0] ? ")" : "");
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(fd); i++)
		skf_closep(&fd[i]);
	return r < 0 ? -1 : 0;
}

/* In the trash: whatever is left of it goes with the next collection. */
static int overlay_probe(struct skf_store *s, struct skf_err *e)
{
	SKF_AUTO_FD int trash = -EBADF;
	SKF_AUTO_FD int dir = -EBADF;
	char name[33];
	int r;

	if (skf_store_dir(s, "trash", &trash, e) < 0)
		return -1;
	r = skf_random_hex(name, 16);
	if (r == 0)
		r = mkdirat(trash, name, 0700) < 0 ? -errno : 0;
	if (r == 0)
		r = dir = skf_openat(trash, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r < 0)
		return skf_fail_sys(e, r, "try overlay in '%s/trash'", s->root);
	r = try_mount(dir, e);
	(void)skf_rmtree_at(trash, name); /* it is in the trash already */
	return r;
}

static int overlay_form(const struct skf_snapshot_req *q, struct skf_snapshot *ret, struct skf_err *e)
{
	*ret = (struct skf_snapshot){
		.driver = skf_snapshot_overlay.name, .lower = true, .form = SKF_FORM_TREE};
	if (!q->ids || !q->copy_mapped)
		return 0;
	return skf_map_form(q->ids, ret->form, e) < 0 || skf_map_ensure(q->store, q->layers, q->ids, e) < 0
		       ? -1
		       : 0;
}

static int overlay_view(const struct skf_snapshot_req *q, const char *name, struct skf_snapshot *ret,
			bool *ret_copy, struct skf_err *e)
{
	(void)name;
	*ret_copy = false;
	return overlay_form(q, ret, e);
}

static int overlay_ensure(const struct skf_snapshot_req *q, const struct skf_snapshot *s, struct skf_err *e)
{
	return q->ids && skf_map_is_form(s->form) ? skf_map_ensure(q->store, q->layers, q->ids, e) : 0;
}

static int overlay_check(const struct skf_snapshot_req *q, const struct skf_snapshot *s, char *why,
			 size_t size, struct skf_err *e)
{
	struct skf_digest d;
	int r = 1;

	if (!skf_map_is_form(s->form))
		return 1; /* the layers themselves are checked against their seals, copies by skf_map_check
			   */
	for (size_t i = 0; r == 1 && i < q->layers->n; i++) {
		if (skf_digest_parse(q->layers->v[i], &d, e) < 0)
			return -1;
		r = skf_map_has(q->store, &d, s->form, e);
		if (r == 0)
			snprintf(why, size, "layer '%s' has no copy '%s'", d.s, s->form);
	}
	return r;
}

const struct skf_snapshotter skf_snapshot_overlay = {
	.name = "overlay",
	.about = "layers are mounted as they are, changes go to rw/",
	.probe = overlay_probe,
	.prepare = overlay_form,
	.view = overlay_view,
	.ensure = overlay_ensure,
	.check = overlay_check,
};
