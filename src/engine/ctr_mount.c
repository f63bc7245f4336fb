/* engine/ctr_mount.c -- mount and unmount of containers: the root file system at
 * <root>/containers/<id>/rootfs, with podman's words and its counter.
 *
 * Invariants: (1) under the container's lock, which a start holds as well, so that both have one and the
 * same overlay; (2) containers/<id>/mounted holds the counter; without the mount (after a reboot) it says
 * nothing; (3) a removal unmounts first. The mounting itself is skiff-launch's. */
#include "engine/ctr_mount.h"
#include "engine/engine_int.h"
#include "launch/wire.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define COUNT_FILE "mounted"

bool skf_ctr_is_mounted(struct skf_engine *g, const char *id)
{
	char path[SKF_ID_LEN + 16];
	struct statx st;

	return skf_fmt(path, sizeof(path), "%s/rootfs", id) == 0 &&
	       statx(g->ctr_fd, path, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &st) == 0 &&
	       (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int read_count(struct skf_engine *g, const char *id, uint64_t *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(64);
	SKF_AUTO_FD int dir = -EBADF;
	int r;

	*ret = 0;
	if (!skf_ctr_is_mounted(g, id))
		return 0;
	if (skf_ctr_open_dir(g, id, &dir, e) < 0)
		return -1;
	r = skf_read_file_at(dir, COUNT_FILE, 32, &b);
	if (r < 0 && r != -ENOENT)
		return skf_fail_sys(e, r, "read '%s/containers/%s/" COUNT_FILE "'", g->root, id);
	if (r < 0 || skf_parse_u64(skf_buf_cstr(&b), ret) < 0 || *ret == 0)
		*ret = 1; /* killed between the mount and its counter */
	return 0;
}

static int write_count(struct skf_engine *g, const char *id, uint64_t n, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	char text[24];
	int r;

	if (skf_ctr_open_dir(g, id, &dir, e) < 0)
		return -1;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)n);
	r = n ? skf_write_atomic_at(dir, COUNT_FILE, text, strlen(text), 0600, 0)
	    : unlinkat(dir, COUNT_FILE, 0) < 0 && errno != ENOENT ? -errno
								  : 0;
	return r < 0 ? skf_fail_sys(e, r, "write '%s/containers/%s/" COUNT_FILE "'", g->root, id) : 0;
}

static int ask(struct skf_engine *g, const char *verb, uint16_t type, const char *id, const char *document,
	       struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	int fd = -EBADF, r;

	skf_launch_request(g, &b, type, 0, id, document);
	r = skf_launch_ask(g, verb, &b, &fd, e);
	skf_closep(&fd);
	return r;
}

int skf_ctr_unmount_locked(struct skf_engine *g, const char *id, bool force, struct skf_err *e)
{
	if (!skf_ctr_is_mounted(g, id))
		return 0;
	return ask(g, "ctr-unmount", SKF_LAUNCH_CTR_UNMOUNT, id, force ? "force" : "", e) < 0
		       ? -1
		       : write_count(g, id, 0, e);
}

static int mount_root(struct skf_engine *g, const char *id, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FD int dir = -EBADF;
	struct skf_ctrconf *c;

	if (skf_ctr_load(g, id, &a, &c, e) < 0 || skf_ctr_open_dir(g, id, &dir, e) < 0 ||
	    skf_storage_ensure(g, id, c, dir, e) < 0)
		return -1;
	return ask(g, "ctr-mount", SKF_LAUNCH_CTR_MOUNT, id, "", e);
}

int skf_engine_mount(struct skf_engine *g, const char *container, struct skf_arena *a, char **ret_path,
		     struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];
	SKF_AUTO_FD int lock = -EBADF;
	uint64_t n;

	if (skf_engine_resolve(g, container, id, e) < 0 || skf_ctr_lock(g, id, &lock, e) < 0 ||
	    read_count(g, id, &n, e) < 0)
		return -1;
	*ret_path = skf_arena_fmt(a, "%s/containers/%s/rootfs", g->root, id);
	if (!*ret_path)
		return skf_fail(e, SKF_ENOMEM, "memory for the path of a mount");
	if (n == 0 && mount_root(g, id, e) < 0)
		return skf_ctx(e, "mount container '%s'", container);
	return write_count(g, id, n + 1, e);
}

int skf_engine_unmount(struct skf_engine *g, const char *container, bool force, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];
	SKF_AUTO_FD int lock = -EBADF;
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_ctrconf *c;
	uint64_t n;

	if (skf_engine_resolve(g, container, id, e) < 0 || skf_ctr_lock(g, id, &lock, e) < 0 ||
	    skf_ctr_load(g, id, &a, &c, e) < 0 || read_count(g, id, &n, e) < 0)
		return -1;
	return n > 1 && !force
		       ? write_count(g, id, n - 1, e)
		       : skf_ctr_unmount_locked(
				 g, id, force || c->rootfs /* may have mounts in it, which go along */, e);
}

int skf_engine_mounts(struct skf_engine *g, struct skf_arena *a, struct skf_jarr *ret, struct skf_err *e)
{
	const struct skf_ps_row *row;
	struct skf_ctr_mount *v;
	struct skf_jarr rows;
	size_t n = 0;

	if (skf_engine_ps(g, true, a, &rows, e) < 0)
		return -1;
	row = rows.v;
	v = skf_arena_array(a, rows.n + 1, sizeof(*v));
	if (!v)
		return skf_fail(e, SKF_ENOMEM, "memory for the list of mounts");
	for (size_t i = 0; i < rows.n; i++) {
		if (!skf_ctr_is_mounted(g, row[i].id))
			continue;
		v[n] = (struct skf_ctr_mount){
			skf_arena_strdup(a, row[i].id), row[i].name,
			skf_arena_fmt(a, "%s/containers/%s/rootfs", g->root, row[i].id)};
		if (!v[n].id || !v[n].path)
			return skf_fail(e, SKF_ENOMEM, "memory for the list of mounts");
		n++;
	}
	*ret = (struct skf_jarr){v, n};
	return 0;
}
