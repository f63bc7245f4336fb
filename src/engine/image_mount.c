/* engine/image_mount.c -- image mount and unmount: an image's files, read-only, at <root>/mounts/<manifest>.
 * podman's words and its counter: a mount counts one up, an unmount one down, the last one unmounts.
 *
 * Invariants: (1) mounts/<manifest> exists as long as the image is mounted, and keeps it from collection
 * (store/gc.c); it is made while the image is known to be complete; (2) mounts/.<manifest> holds the counter
 * and is its lock; (3) a reboot takes the mounts: a directory that is no mount point is nothing, and the
 * collection removes it. (4) Where the storage driver copies, mounts/<manifest> has the copy and is mounted
 * on itself. The mounting itself is skiff-launch's. */
#include "engine/engine_int.h"
#include "engine/image_mount.h"
#include "launch/wire.h"
#include "store/snapshot.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct mnt {
	struct skf_engine *g;
	const struct skf_image *image;
	const char *hex;
	int dir;   /* mounts/ */
	int count; /* mounts/.<hex>, locked */
	uint64_t n;
	bool copy; /* mounts/<hex> has a copy of the files, and is mounted on itself */
	struct skf_lease *lease;
};

static void mnt_done(struct mnt *m)
{
	skf_lease_free(m->lease);
	skf_closep(&m->count);
	skf_closep(&m->dir);
}

static bool is_mounted(int dir, const char *name)
{
	struct statx st;

	return statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &st) == 0 &&
	       (st.stx_attributes & STATX_ATTR_MOUNT_ROOT);
}

static int write_count(struct mnt *m, struct skf_err *e)
{
	char text[24];
	int r;

	snprintf(text, sizeof(text), "%llu\n", (unsigned long long)m->n);
	r = ftruncate(m->count, 0) < 0 || lseek(m->count, 0, SEEK_SET) < 0
		    ? -errno
		    : skf_write_full(m->count, text, strlen(text));
	return r < 0 ? skf_fail_sys(e, r, "write '%s/mounts/.%s'", m->g->root, m->hex) : 0;
}

static int open_count(struct mnt *m, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(64);
	char name[SKF_DIGEST_MAX + 2];
	int r = skf_mkdir_at(m->g->root_fd, "mounts", 0700);

	if (r == 0)
		r = m->dir = skf_openat(m->g->root_fd, "mounts", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r < 0)
		return skf_fail_sys(e, r, "open '%s/mounts'", m->g->root);
	r = skf_fmt(name, sizeof(name), ".%s", m->hex);
	if (r == 0)
		r = m->count = skf_lock_at(m->dir, name, true, SKF_LOCK_MS);
	if (r >= 0)
		r = skf_read_file_at(m->dir, name, 64, &b);
	if (r < 0)
		return skf_fail_sys(e, r, "lock the mount of image '%.12s'", m->hex);
	for (size_t i = 0; i < b.len; i++)
		if (b.p[i] == '\n')
			b.p[i] = '\0';
	if (!is_mounted(m->dir, m->hex) || skf_parse_u64(skf_buf_cstr(&b), &m->n) < 0)
		m->n = is_mounted(m->dir, m->hex) ? 1 : 0;
	return 0;
}

/* What stays is a counter without a mount, which the collection takes. */
static void drop_count(const struct mnt *m)
{
	char name[SKF_DIGEST_MAX + 2];

	if (skf_fmt(name, sizeof(name), ".%s", m->hex) == 0)
		unlinkat(m->dir, name, 0);
}

/* The place, with the copy that may be in it. */
static int drop_copy(struct mnt *m, struct skf_err *e)
{
	if (unlinkat(m->dir, m->hex, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return 0;
	if (errno != ENOTEMPTY && errno != EEXIST)
		return skf_fail_sys(e, -errno, "remove '%s/mounts/%s'", m->g->root, m->hex);
	return skf_store_to_trash(m->g->store, m->dir, m->hex, e) < 0
		       ? -1
		       : skf_store_empty_trash(m->g->store, e);
}

static int ask(struct mnt *m, const char *verb, uint16_t type, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(skf_buf_done) struct skf_buf layers = SKF_BUF(SKF_MAX_RECORD);
	const struct skf_image_layer *l = m->image->layers.v;
	int fd = -EBADF, r;

	for (size_t i = 0; i < (m->copy ? 0 : m->image->layers.n); i++) {
		skf_buf_str(&layers, l[i].diff_id.s);
		skf_buf_chr(&layers, '\n');
	}
	skf_launch_request(m->g, &b, type, 0, m->hex, skf_buf_cstr(&layers));
	r = b.err < 0 || layers.err < 0
		    ? skf_fail(e, SKF_ELIMIT, "the image has too many layers to be mounted")
		    : skf_launch_ask(m->g, verb, &b, &fd, e);
	skf_closep(&fd);
	return r;
}

/* Under locks/store shared, with the image complete. */
static int make_mount(void *arg, struct skf_err *e)
{
	struct mnt *m = arg;
	int r = m->copy ? 0 : skf_mkdir_at(m->dir, m->hex, 0700);

	if (r < 0)
		return skf_fail_sys(e, r, "make '%s/mounts/%s'", m->g->root, m->hex);
	return ask(m, "image-mount", SKF_LAUNCH_IMAGE_MOUNT, e);
}

/* Without overlay: the files are copied first, under a lease; the counter is locked meanwhile, which keeps
 * the copy from collection. */
static int prepare(struct mnt *m, struct skf_arena *a, struct skf_err *e)
{
	struct skf_snapshot_req q = {.store = m->g->store, .dir = m->dir};
	const struct skf_image_layer *l = m->image->layers.v;
	const struct skf_snapshotter *s;
	struct skf_strv layers = {0};
	struct skf_snapshot ignored;

	if (skf_storage_driver(m->g, &s, e) < 0)
		return -1;
	if (!s->copies)
		return 0;
	for (size_t i = 0; i < m->image->layers.n; i++)
		if (skf_strv_add(a, &layers, l[i].diff_id.s) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for the layers of an image");
	q.layers = &layers;
	if (skf_lease_new(m->g->store, &m->lease, e) < 0 ||
	    skf_lease_add(m->lease, &m->image->manifest, e) < 0 ||
	    drop_copy(m, e) < 0) /* of one that was killed */
		return -1;
	return s->view(&q, m->hex, &ignored, &m->copy, e);
}

static int find(struct skf_engine *g, const char *word, struct skf_arena *a, struct mnt *m,
		struct skf_err *e)
{
	struct skf_image *i;
	struct skf_refrec ref;

	*m = (struct mnt){.g = g, .dir = -EBADF, .count = -EBADF};
	if (skf_store_resolve(g->store, word, a, &i, &ref, e) < 0)
		return -1;
	m->image = i;
	m->hex = skf_digest_hex(&i->manifest);
	return open_count(m, e);
}

int skf_engine_image_mount(struct skf_engine *g, const char *word, struct skf_arena *a, char **ret_path,
			   struct skf_err *e)
{
	SKF_AUTO(mnt_done) struct mnt m = {.dir = -EBADF, .count = -EBADF};

	if (find(g, word, a, &m, e) < 0)
		return -1;
	if (!m.image->layers.n)
		return skf_fail(e, SKF_EUNSUPPORTED, "image '%s' has no layers: there is nothing to mount",
				word);
	*ret_path = skf_arena_fmt(a, "%s/mounts/%s", g->root, m.hex);
	if (!*ret_path)
		return skf_fail(e, SKF_ENOMEM, "memory for the path of a mount");
	if (m.n == 0 && prepare(&m, a, e) < 0)
		return skf_ctx(e, "mount image '%s'", word);
	if (m.n == 0 && skf_store_with_image(g->store, m.image, make_mount, &m, e) < 0)
		return skf_ctx(e, "mount image '%s'", word);
	m.n++;
	return write_count(&m, e);
}

int skf_engine_image_unmount(struct skf_engine *g, const char *word, bool force, struct skf_arena *a,
			     char **ret_id, struct skf_err *e)
{
	SKF_AUTO(mnt_done) struct mnt m = {.dir = -EBADF, .count = -EBADF};

	if (find(g, word, a, &m, e) < 0)
		return -1;
	if (m.n == 0) {
		drop_count(&m);
		return skf_fail(e, SKF_ENOTFOUND, "image '%s' is not mounted", word);
	}
	*ret_id = skf_arena_strdup(a, m.image->config.s);
	if (!*ret_id)
		return skf_fail(e, SKF_ENOMEM, "memory for an image's id");
	m.n--;
	if (m.n && !force)
		return write_count(&m, e);
	if (ask(&m, "image-unmount", SKF_LAUNCH_IMAGE_UNMOUNT, e) < 0)
		return -1;
	if (drop_copy(&m, e) < 0)
		return -1;
	drop_count(&m);
	return 0;
}

int skf_engine_image_mounts(struct skf_engine *g, struct skf_arena *a, struct skf_jarr *ret,
			    struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(g->root_fd, "mounts", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct skf_image_mount *v = NULL;
	struct dirent *de;
	size_t n = 0, cap = 0;

	*ret = (struct skf_jarr){0};
	if (!d)
		return fd == -ENOENT ? 0
				     : skf_fail_sys(e, fd < 0 ? fd : -errno, "list '%s/mounts'", g->root);
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d))) {
		struct skf_digest m;
		struct skf_image *i;

		if (!skf_digest_of_file(de->d_name, &m) || !is_mounted(dirfd(d), de->d_name) ||
		    skf_store_image_get(g->store, &m, a, &i, e) < 0) {
			skf_err_clear(e); /* a counter, or a place of an earlier boot */
			continue;
		}
		if (n == cap) {
			struct skf_image_mount *w = skf_arena_array(a, cap ? cap * 2 : 8, sizeof(*w));

			if (!w)
				return skf_fail(e, SKF_ENOMEM, "memory for the list of mounts");
			if (n)
				memcpy(w, v, n * sizeof(*w));
			v = w;
			cap = cap ? cap * 2 : 8;
		}
		v[n].id = skf_arena_strdup(a, i->config.s);
		v[n].path = skf_arena_fmt(a, "%s/mounts/%s", g->root, de->d_name);
		if (!v[n].id || !v[n].path)
			return skf_fail(e, SKF_ENOMEM, "memory for the list of mounts");
		n++;
	}
	*ret = (struct skf_jarr){v, n};
	return 0;
}
