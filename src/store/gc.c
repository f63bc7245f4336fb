/* store/gc.c -- collection: mark from references, containers and live leases, sweep what is unmarked.
 *
 * Invariants:
 *  1. Marking and renaming to trash/ happen under locks/store exclusive; unlinking happens after it is
 *     released.
 *  2. Fails closed: a reference, container or lease that cannot be read ends the collection before anything
 *     is moved.
 *  3. What is being made is known by a lock, never by its age: ingest/<hex> by locks/ingest-<hex>,
 *     layers/.tmp-* by the file `lock` in it, leases by themselves. Other dot-files of the object
 *     directories are garbage under the exclusive lock (content.c 2).
 *
 * Blocks on the disk, on locks/store, and for as long as unlinking takes. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "store/snapshot.h"
#include "store/store_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct set { /* open-addressed, of hex digests */
	const char **v;
	size_t n, cap;
};
struct gc {
	struct skf_store *s;
	struct skf_arena *a;
	bool dry, keep_downloads;
	int locks;
	struct skf_gc_result *res;
	bool keep_copies; /* asked for, or somebody is making something: copies of layers stay, whoever they
			     are for */
	struct set forms; /* "<hex>/map-<hash>": copies of layers that containers have */
	struct set used, leased; /* leased: what live leases name themselves; also in used */
};

/* --- the set of marked digests, by their hex digits: 64 or 128 of them, so that the algorithms cannot be
 * confused --- */

static size_t slot(const struct set *g, const char *hex)
{
	uint64_t h = 14695981039346656037u;
	size_t i;

	for (const char *p = hex; *p; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211u;
	for (i = h & (g->cap - 1); g->v[i] && strcmp(g->v[i], hex) != 0; i = (i + 1) & (g->cap - 1))
		;
	return i;
}

static int grow_set(struct set *g, struct skf_err *e)
{
	const char **old = g->v;
	size_t n = g->cap;

	g->cap = n ? n * 2 : 256;
	g->v = calloc(g->cap, sizeof(*g->v));
	if (!g->v) {
		g->v = old;
		g->cap = n;
		return skf_fail(e, SKF_ENOMEM, "no memory to mark what is in use");
	}
	for (size_t i = 0; i < n; i++)
		if (old[i])
			g->v[slot(g, old[i])] = old[i];
	free(old);
	return 0;
}

static bool contains(const struct set *g, const char *hex)
{
	return g->cap && g->v[slot(g, hex)];
}

/* 1 new in the set, 0 was there. */
static int add_word(struct set *g, struct skf_arena *a, const char *hex, struct skf_err *e)
{
	size_t i;

	if ((g->n + 1) * 2 > g->cap && grow_set(g, e) < 0)
		return -1;
	i = slot(g, hex);
	if (g->v[i])
		return 0;
	g->v[i] = skf_arena_strdup(a, hex);
	if (!g->v[i])
		return skf_fail(e, SKF_ENOMEM, "no memory to mark what is in use");
	g->n++;
	return 1;
}

static int add(struct set *g, struct skf_arena *a, const struct skf_digest *d, struct skf_err *e)
{
	return *skf_digest_hex(d) ? add_word(g, a, skf_digest_hex(d), e) : 0;
}

static bool marked(const struct gc *g, const char *hex)
{
	return contains(&g->used, hex);
}

/* 1 newly marked, 0 was marked. */
static int mark(struct gc *g, const struct skf_digest *d, struct skf_err *e)
{
	return add(&g->used, g->a, d, e);
}

static int mark_image(struct gc *g, const struct skf_digest *manifest, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena scratch = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 8);
	struct skf_image_layer *l;
	struct skf_image *i;
	int r = mark(g, manifest, e);

	if (r <= 0)
		return r;
	if (skf_store_image_get(g->s, manifest, &scratch, &i, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		/* A blob or layer that is no image, or a reference to what 'check' will report. */
		skf_err_clear(e);
		return 0;
	}
	if (mark(g, &i->config, e) < 0)
		return -1;
	l = i->layers.v;
	for (size_t n = 0; n < i->layers.n; n++)
		if (mark(g, &l[n].digest, e) < 0 || mark(g, &l[n].diff_id, e) < 0)
			return -1;
	return 0;
}

/* --- roots --- */

static int mark_refs(struct gc *g, struct skf_err *e)
{
	struct skf_jarr refs;
	struct skf_refrec *r;

	if (skf_store_ref_list(g->s, g->a, &refs, e) < 0)
		return -1;
	r = refs.v;
	for (size_t i = 0; i < refs.n; i++)
		if (mark_image(g, &r[i].manifest, e) < 0 || mark_image(g, &r[i].top, e) < 0)
			return -1;
	return 0;
}

struct storage {
	char *form;
};
struct user { /* what of a container's config.json names objects of the store */
	struct skf_digest image_id, manifest;
	struct storage *storage;              /* NULL: of before there was a choice */
	struct skf_strv layers, mount_layers; /* of its image, and of the images that it mounts */
};
struct bundle {
	struct user *user;
};

static int j_digest_or_empty(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	char *text;

	(void)arg;
	if (skf_j_str(c, v, &text, NULL) < 0)
		return -1;
	return *text ? skf_store_j_digest(c, v, dst, NULL) : 0;
}

static const struct skf_jfield storage_f[] = {
	SKF_J(struct storage, form, "form", skf_j_str, NULL, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable storage_table = {sizeof(struct storage), storage_f, false, NULL};
static const struct skf_jfield user_f[] = {
	SKF_J(struct user, storage, "storage", skf_j_objp, &storage_table, 0),
	SKF_J(struct user, image_id, "imageId", j_digest_or_empty, NULL, SKF_J_NULL_OK),
	SKF_J(struct user, manifest, "manifest", j_digest_or_empty, NULL, SKF_J_NULL_OK),
	SKF_J(struct user, layers, "layers", skf_j_strv, NULL, SKF_J_REQUIRED),
	SKF_J(struct user, mount_layers, "mountLayers", skf_j_strv, NULL, 0),
	SKF_J_END,
};
static const struct skf_jtable user_table = {sizeof(struct user), user_f, false, NULL};
static const struct skf_jfield bundle_f[] = {
	SKF_J(struct bundle, user, "skiff", skf_j_objp, &user_table, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable bundle_table = {sizeof(struct bundle), bundle_f, false, NULL};

/* The copy of a layer that a container in a user namespace has (snapshot_map.c). */
static int mark_form(struct gc *g, const struct user *u, const struct skf_digest *layer, struct skf_err *e)
{
	char word[SKF_DIGEST_MAX + SKF_FORM_MAX];

	if (!u->storage || !skf_map_is_form(u->storage->form))
		return 0;
	snprintf(word, sizeof(word), "%s/%.*s", skf_digest_hex(layer), (int)strcspn(u->storage->form, "/"),
		 u->storage->form);
	return add_word(&g->forms, g->a, word, e) < 0 ? -1 : 0;
}

static int mark_container(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena scratch = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_jdoc doc = {.name = "config.json", .max_bytes = SKF_MAX_SPEC_BYTES};
	char path[300];
	struct gc *g = arg;
	struct skf_digest d;
	struct user *u;
	void *v;

	if (*name == '.' || skf_fmt(path, sizeof(path), "%s/config.json", name) < 0)
		return 0;
	if (skf_json_decode_at(&doc, dirfd, path, &bundle_table, &scratch, &v, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return skf_ctx(e, "container '%s'", name);
		/* Being made or removed: config.json is what makes it a user of an image. */
		skf_err_clear(e);
		return 0;
	}
	u = ((struct bundle *)v)->user;
	if ((*u->manifest.s && mark_image(g, &u->manifest, e) < 0) ||
	    (*u->image_id.s && mark(g, &u->image_id, e) < 0))
		return -1;
	for (size_t i = 0; i < u->layers.n + u->mount_layers.n; i++)
		if (skf_digest_parse(i < u->layers.n ? u->layers.v[i] : u->mount_layers.v[i - u->layers.n],
				     &d, e) < 0 ||
		    mark(g, &d, e) < 0 || mark_form(g, u, &d, e) < 0)
			return skf_ctx(e, "container '%s'", name);
	return 0;
}

/* An image that is mounted for a look (engine/image_mount.c) stays; a place that is no mount point is of an
 * earlier boot, and a counter without a place is nothing. */
static int mark_mount(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	const char *hex = *name == '.' ? name + 1 : name;
	struct gc *g = arg;
	char text[SKF_DIGEST_MAX];
	struct skf_digest m;
	struct statx st;

	if (!skf_digest_of_file(hex, &m))
		return 0;
	if (statx(dirfd, hex, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, STATX_TYPE, &st) == 0 &&
	    (st.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return mark_image(g, &m, e);
	snprintf(text, sizeof(text), ".%s", hex);
	if (g->dry || skf_lock_held_at(dirfd, text) == 1 ||
	    unlinkat(dirfd, name, *name == '.' ? 0 : AT_REMOVEDIR) == 0 || errno == ENOENT || errno == EBUSY)
		return 0; /* locked: somebody is about to mount it */
	if (errno == ENOTEMPTY ||
	    errno == EEXIST) /* the copy of a way without overlay, of one who died or of an earlier boot */
		return skf_store_to_trash(g->s, dirfd, name, e);
	return skf_fail_sys(e, -errno, "remove 'mounts/%s', where an image was mounted", name);
}

struct lease_line {
	struct skf_store_ver ver;
	struct skf_digest digest;
};
static const struct skf_jfield lease_f[] = {
	SKF_J(struct lease_line, digest, "digest", skf_store_j_digest, NULL, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable lease_table = {sizeof(struct lease_line), lease_f, false, NULL};

static int mark_lease(struct gc *g, int dirfd, const char *name, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena scratch = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	const struct skf_jdoc doc = {.name = "lease", .max_bytes = 1024};
	int r = skf_read_file_at(dirfd, name, SKF_MAX_SPEC_BYTES, &b);
	char *p, *nl;
	void *v;

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return skf_fail_sys(e, r, "read the lease '%s'", name);
	for (p = b.p; p && *p; p = nl + 1) {
		nl = strchr(p, '\n');
		if (!nl)
			return skf_fail(e, SKF_ECORRUPT, "lease '%s' ends within a line", name);
		if (skf_json_decode(&doc, p, (size_t)(nl - p), &lease_table, &scratch, &v, e) < 0 ||
		    add(&g->leased, g->a, &((struct lease_line *)v)->digest, e) < 0 ||
		    mark_image(g, &((struct lease_line *)v)->digest, e) < 0)
			return skf_ctx(e, "lease '%s'", name);
	}
	return 0;
}

/* --- sweep --- */

static int drop(struct gc *g, int dirfd, const char *name, uint64_t *count, uint64_t bytes,
		struct skf_err *e)
{
	if (count)
		(*count)++;
	g->res->bytes += bytes;
	return g->dry ? 0 : skf_store_to_trash(g->s, dirfd, name, e);
}

static uint64_t file_size(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0 ? (uint64_t)st.st_size
										     : 0;
}

static int sweep_lease(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	struct gc *g = arg;
	int held = skf_lock_held_at(dirfd, name);

	if (held < 0)
		return skf_fail_sys(e, held, "look whether the lease '%s' is held", name);
	if (held) {
		g->keep_copies = true;
		return mark_lease(g, dirfd, name, e);
	}
	g->res->n_leases++;
	if (!g->dry && unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return skf_fail_sys(e, -errno, "remove the lease '%s'", name);
	return 0;
}

static int sweep_blob(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	struct gc *g = arg;

	if (marked(g, name))
		return 0;
	return drop(g, dirfd, name, *name == '.' ? NULL : &g->res->n_blobs, file_size(dirfd, name), e);
}

static int sweep_image(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	struct gc *g = arg;

	if (marked(g, name))
		return 0;
	return drop(g, dirfd, name, *name == '.' ? NULL : &g->res->n_images, file_size(dirfd, name), e);
}

static uint64_t layer_size(int dirfd, const char *name)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 4);
	SKF_AUTO_FD int fd = skf_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	struct skf_err ignored = SKF_ERR_INIT;
	struct skf_seal *seal;

	/* Only a figure for the user: a layer without a readable seal counts as nothing. */
	return fd >= 0 && skf_store_seal_read(fd, &a, &seal, &ignored) == 0 ? seal->size : 0;
}

struct layer_at {
	struct gc *g;
	const char *hex;
};

/* What lies beside the tree of a layer that is used: copies in the ids of user namespaces, and what somebody
 * who died was making. */
static int sweep_form(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	const struct layer_at *l = arg;
	char word[SKF_DIGEST_MAX + 300];

	if (skf_startswith(name, SKF_STORE_TMP SKF_MAP_PREFIX)) {
		int held = skf_fmt(word, sizeof(word), "%s/lock", name);

		if (held == 0)
			held = skf_lock_held_at(dirfd, word);
		if (held < 0)
			return skf_fail_sys(e, held, "look whether somebody is making 'layers/%s/%s'",
					    l->hex, name);
		return held ? 0 : drop(l->g, dirfd, name, NULL, 0, e);
	}
	if (!skf_startswith(name, SKF_MAP_PREFIX) || l->g->keep_copies ||
	    skf_fmt(word, sizeof(word), "%s/%s", l->hex, name) < 0 || contains(&l->g->forms, word))
		return 0;
	return drop(l->g, dirfd, name, &l->g->res->n_layers, layer_size(dirfd, "."), e);
}

static int sweep_forms(struct gc *g, int dirfd, const char *name, struct skf_err *e)
{
	struct layer_at l = {g, name};

	return skf_store_each(dirfd, name, sweep_form, &l, e);
}

static int sweep_layer(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	struct gc *g = arg;

	if (skf_startswith(name, SKF_STORE_TMP)) {
		char lock[300];
		int held = skf_fmt(lock, sizeof(lock), "%s/lock", name);

		if (held == 0)
			held = skf_lock_held_at(dirfd, lock);
		if (held < 0)
			return skf_fail_sys(e, held, "look whether somebody is making 'layers/%s'", name);
		return held ? 0 : drop(g, dirfd, name, NULL, 0, e);
	}
	if (marked(g, name))
		return sweep_forms(g, dirfd, name, e);
	return drop(g, dirfd, name, &g->res->n_layers, layer_size(dirfd, name), e);
}

static bool is_young(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       skf_now_ns() / 1000000000 - st.st_mtim.tv_sec < SKF_DOWNLOAD_KEEP_S;
}

/* A download that nobody works on is for the next pull to go on with, for a day. That of an image which is
 * complete was left by a process that died between the layer's last rename and its own cleaning. */
static int sweep_ingest(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	struct gc *g = arg;
	char lock[300], data[300];
	int held = skf_fmt(lock, sizeof(lock), "ingest-%s", name);

	if (contains(&g->leased, name))
		return 0;
	if (held == 0)
		held = skf_lock_held_at(g->locks, lock);
	if (held < 0)
		return skf_fail_sys(e, held, "look whether the download '%s' is held", name);
	if (held || skf_fmt(data, sizeof(data), "%s/data", name) < 0)
		return 0;
	if (g->keep_downloads && !marked(g, name) && is_young(dirfd, data))
		return 0;
	return drop(g, dirfd, name, &g->res->n_ingests, file_size(dirfd, data), e);
}

/* A lock file may go when nobody holds it: whoever opened it meanwhile sees, once it has the lock, that the
 * name is gone, and opens it anew (base/lock.c). Those of containers that exist stay. */
static int sweep_lock(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	struct gc *g = arg;
	SKF_AUTO_FD int fd = -EBADF;
	char ctr[300];

	(void)e;
	if (g->dry || skf_streq(name, "store"))
		return 0;
	if (skf_startswith(name, "container-")) {
		if (skf_fmt(ctr, sizeof(ctr), "containers/%s", name + 10) < 0 ||
		    faccessat(g->s->fd, ctr, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return 0;
	} else if (!skf_startswith(name, "ingest-") && !skf_startswith(name, "layer-")) {
		return 0;
	}
	fd = skf_lock_at(dirfd, name, true, 0);
	if (fd >= 0)
		unlinkat(dirfd, name, 0); /* a lock file that stays is empty and harmless */
	return 0;
}

/* Empty directories of refs/, deepest first, and temporary files; under the exclusive lock nobody is making
 * one. */
static int prune_refs(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	struct gc *g = arg;

	if (*name == '.')
		return drop(g, dirfd, name, NULL, 0, e);
	fd = skf_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd == -ENOTDIR || fd == -ENOENT)
		return 0;
	if (fd < 0)
		return skf_fail_sys(e, fd, "open the directory '%s' of references", name);
	if (skf_store_each(fd, ".", prune_refs, g, e) < 0)
		return -1;
	if (!g->dry && unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY && errno != EEXIST)
		return skf_fail_sys(e, -errno, "remove the empty directory '%s' of references", name);
	return 0;
}

static const struct {
	const char *path;
	int (*fn)(void *arg, int dirfd, const char *name, struct skf_err *e);
} steps[] = {
	/* roots */
	{"containers", mark_container},
	{"leases", sweep_lease},
	{"mounts", mark_mount},
	/* garbage */
	{"images", sweep_image},
	{"blobs/sha256", sweep_blob},
	{"blobs/sha512", sweep_blob},
	{"layers", sweep_layer},
	{"ingest", sweep_ingest},
	{"refs", prune_refs},
	{"locks", sweep_lock},
};

static void gc_done(struct gc *g)
{
	free(g->used.v);
	free(g->leased.v);
	free(g->forms.v);
	skf_closep(&g->locks);
}

static int mark_and_sweep(struct skf_store *s, unsigned flags, struct skf_gc_result *res, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO(gc_done) struct gc g = {.s = s, .a = &a, .res = res, .locks = -EBADF};
	SKF_AUTO_FD int lock = -EBADF;

	g.dry = flags & SKF_GC_DRY;
	g.keep_downloads = flags & SKF_GC_KEEP_DOWNLOADS;
	g.keep_copies = flags & SKF_GC_KEEP_COPIES;
	if (skf_store_dir(s, "locks", &g.locks, e) < 0 || skf_store_lock(s, true, &lock, e) < 0 ||
	    mark_refs(&g, e) < 0)
		return -1;
	for (size_t i = 0; i < SKF_ARRAY_LEN(steps); i++)
		if (skf_store_each(s->fd, steps[i].path, steps[i].fn, &g, e) < 0)
			return skf_ctx(e, "collect '%s' of the store '%s'", steps[i].path, s->root);
	return 0;
}

int skf_store_gc(struct skf_store *s, unsigned flags, struct skf_gc_result *ret, struct skf_err *e)
{
	struct skf_gc_result res = {0};

	if (mark_and_sweep(s, flags, &res, e) < 0 ||
	    (!(flags & SKF_GC_DRY) && skf_store_empty_trash(s, e) < 0))
		return -1;
	*ret = res;
	return 0;
}
