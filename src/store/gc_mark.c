/* store/gc_mark.c -- what a collection keeps: what references, containers, mounted images and live leases
 * lead to, as a set of hex digits. Fails closed: one of them that cannot be read ends the collection. Blocks
 * on the disk. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "store/gc_int.h"
#include "store/snapshot.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- the set of marked digests, by their hex digits: 64 or 128 of them, so that the algorithms cannot be
 * confused --- */

static size_t slot(const struct skf_gc_set *g, const char *hex)
{
	uint64_t h = 14695981039346656037u;
	size_t i;

	for (const char *p = hex; *p; p++)
		h = (h ^ (unsigned char)*p) * 1099511628211u;
	for (i = h & (g->cap - 1); g->v[i] && strcmp(g->v[i], hex) != 0; i = (i + 1) & (g->cap - 1))
		;
	return i;
}

static int grow_set(struct skf_gc_set *g, struct skf_err *e)
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

bool skf_gc_set_has(const struct skf_gc_set *g, const char *hex)
{
	return g->cap && g->v[slot(g, hex)];
}

/* 1 new in the set, 0 was there. */
static int add_word(struct skf_gc_set *g, struct skf_arena *a, const char *hex, struct skf_err *e)
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

static int add(struct skf_gc_set *g, struct skf_arena *a, const struct skf_digest *d, struct skf_err *e)
{
	return *skf_digest_hex(d) ? add_word(g, a, skf_digest_hex(d), e) : 0;
}

bool skf_gc_marked(const struct skf_gc *g, const char *hex)
{
	return skf_gc_set_has(&g->used, hex);
}

/* 1 newly marked, 0 was marked. */
static int mark(struct skf_gc *g, const struct skf_digest *d, struct skf_err *e)
{
	return add(&g->used, g->a, d, e);
}

static int mark_image(struct skf_gc *g, const struct skf_digest *manifest, struct skf_err *e)
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

int skf_gc_mark_refs(struct skf_gc *g, struct skf_err *e)
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
static int mark_form(struct skf_gc *g, const struct user *u, const struct skf_digest *layer,
		     struct skf_err *e)
{
	char word[SKF_DIGEST_MAX + SKF_FORM_MAX];

	if (!u->storage || !skf_map_is_form(u->storage->form))
		return 0;
	snprintf(word, sizeof(word), "%s/%.*s", skf_digest_hex(layer), (int)strcspn(u->storage->form, "/"),
		 u->storage->form);
	return add_word(&g->forms, g->a, word, e) < 0 ? -1 : 0;
}

int skf_gc_mark_container(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena scratch = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_jdoc doc = {.name = "config.json", .max_bytes = SKF_MAX_SPEC_BYTES};
	char path[300];
	struct skf_gc *g = arg;
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
int skf_gc_mark_mount(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	const char *hex = *name == '.' ? name + 1 : name;
	struct skf_gc *g = arg;
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

int skf_gc_mark_lease(struct skf_gc *g, int dirfd, const char *name, struct skf_err *e)
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
