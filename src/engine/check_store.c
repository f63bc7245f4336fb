/* engine/check_store.c -- the check's passes over images: every layer against its seal, every blob against
 * its name, every image for completeness; and with repair, what is damaged or missing is pulled again from
 * where its image came. Then what nothing refers to.
 *
 * Invariants: (1) a damaged layer is marked so before anything else happens: it is not usable from then on,
 * also when the pull fails, and its files stay until the new ones stand beside them; (2) under a container
 * that runs nothing is replaced; (3) a blob is moved away only when its image came from a registry that may
 * have it. */
#include "engine/check_int.h"
#include "registry/wire.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>

struct bad {
	struct skf_digest d;
	bool blob, missing;
	const char *why, *done;
};
struct damage {
	struct check *c;
	struct bad *v;
	size_t n, cap;
	bool no_memory;
};

static struct bad *find(const struct damage *x, const struct skf_digest *d)
{
	for (size_t i = 0; i < x->n; i++)
		if (skf_digest_eq(&x->v[i].d, d))
			return &x->v[i];
	return NULL;
}

static int add(struct damage *x, const struct skf_digest *d, bool blob, bool missing, const char *why)
{
	struct skf_arena *a = x->c->a;

	if (find(x, d))
		return 0;
	if (x->n == x->cap) {
		size_t cap = x->cap ? x->cap * 2 : 16;
		struct bad *v = skf_arena_array(a, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		if (x->n)
			memcpy(v, x->v, x->n * sizeof(*v));
		x->v = v;
		x->cap = cap;
	}
	x->v[x->n] = (struct bad){
		.d = *d, .blob = blob, .missing = missing, .why = skf_arena_strdup(a, why), .done = ""};
	if (!x->v[x->n].why)
		return -ENOMEM;
	x->n++;
	return 0;
}

static void differs(void *arg, const char *digest, bool blob, const char *why)
{
	struct damage *x = arg;
	struct skf_err ignored = SKF_ERR_INIT;
	struct skf_digest d;

	if (skf_digest_parse(digest, &d, &ignored) == 0 && add(x, &d, blob, false, why) < 0)
		x->no_memory = true;
}

/* --- what is there --- */

static void count(void *arg, const char *digest, bool blob, const char *why)
{
	(void)digest;
	(void)blob;
	(void)why;
	++*(unsigned *)arg;
}

/* Layers that an earlier boot left unsynced: verified and synced with repair. Those that differ come again
 * with the whole store. */
static int check_unsynced(struct check *c, const char *name, struct skf_err *e)
{
	static const char problem[] = "it is damaged, or was not synced to the disk before the last boot";
	struct skf_err x = SKF_ERR_INIT;
	struct skf_layer_info info;
	struct skf_digest d;
	unsigned bad = 0;

	if (!skf_digest_of_file(name, &d))
		return 0; /* being unpacked; the collection knows by its lock */
	if (skf_store_layer_has(c->g->store, &d, &info, &x) != 2)
		return 0;
	if (!c->repair)
		return skf_check_report(c, "layer", d.s, problem, "", e);
	if (skf_image_verify(c->g, d.s, 0, count, &bad, &x) < 0)
		return skf_check_report(c, "layer", d.s, problem, x.msg, e);
	return bad ? 0 : skf_check_report(c, "layer", d.s, problem, "verified", e);
}

static int look_at_image(struct damage *x, const struct skf_image *i, struct skf_err *e)
{
	const struct skf_image_layer *l = i->layers.v;
	const struct skf_digest *blob[] = {&i->manifest, &i->config};
	int r = 0;

	for (size_t k = 0; r == 0 && k < SKF_ARRAY_LEN(blob); k++) {
		int has = skf_store_blob_has(x->c->g->store, blob[k], e);

		if (has < 0)
			return -1;
		if (!has)
			r = add(x, blob[k], true, true, "it is missing");
	}
	for (size_t k = 0; r == 0 && k < i->layers.n; k++) {
		struct skf_err why = SKF_ERR_INIT;
		int has = skf_store_layer_has(x->c->g->store, &l[k].diff_id, NULL, &why);

		if (has < 0 && why.kind != SKF_ECORRUPT) {
			*e = why;
			return -1;
		}
		if (has == 0)
			r = add(x, &l[k].diff_id, false, true, "it is missing");
		else if (has == 2 && x->c->repair) /* what could be verified is usable by now */
			r = add(x, &l[k].diff_id, false, false, "it is damaged");
	}
	return r < 0 ? skf_fail(e, SKF_ENOMEM, "memory for the findings of the check") : 0;
}

/* Calls fn for every image record that can be read. */
static int each_image(struct damage *x,
		      int (*fn)(struct damage *, const struct skf_image *, struct skf_err *),
		      struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(x->c->g->root_fd, "images", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d)
		return fd == -ENOENT
			       ? 0
			       : skf_fail_sys(e, fd < 0 ? fd : -errno, "list '%s/images'", x->c->g->root);
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d))) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
		struct skf_err why = SKF_ERR_INIT;
		struct skf_digest m;
		struct skf_image *i;

		if (!skf_digest_of_file(de->d_name, &m))
			continue; /* being written */
		if (skf_store_image_get(x->c->g->store, &m, &a, &i, &why) < 0) {
			if (why.kind != SKF_ENOTFOUND &&
			    skf_check_report(x->c, "image record", m.s, why.msg, "", e) < 0)
				return -1;
			continue;
		}
		if (fn(x, i, e) < 0)
			return -1;
	}
	return 0;
}

/* --- repair --- */

static bool has_layer(const struct skf_strv *layers, const struct skf_digest *d)
{
	for (size_t i = 0; i < layers->n; i++)
		if (skf_streq(layers->v[i], d->s))
			return true;
	return false;
}

/* A running container whose root has the layer: "" none. */
static int find_user(struct damage *x, const struct skf_digest *layer, char id[SKF_ID_LEN + 1],
		     struct skf_err *e)
{
	struct skf_jarr rows;
	const struct skf_ps_row *v;

	id[0] = '\0';
	if (skf_engine_ps(x->c->g, false, x->c->a, &rows, e) < 0)
		return -1;
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
		struct skf_err ignored = SKF_ERR_INIT; /* removed meanwhile */
		struct skf_ctrconf *c;

		if (skf_ctr_load(x->c->g, v[i].id, &a, &c, &ignored) == 0 && has_layer(&c->layers, layer)) {
			memcpy(id, v[i].id, SKF_ID_LEN + 1);
			return 0;
		}
	}
	return 0;
}

static int put_aside(struct damage *x, struct bad *b, const struct skf_image *i, struct skf_err *e)
{
	struct skf_err why = SKF_ERR_INIT;
	char path[SKF_DIGEST_MAX + 16];
	SKF_AUTO_FD int dir = -EBADF;

	if (b->missing)
		return 0;
	if (!b->blob)
		return skf_store_layer_distrust(x->c->g->store, &b->d, e);
	if (!skf_image_has_origin(i))
		return 0;
	if (skf_fmt(path, sizeof(path), "blobs/%.*s", (int)strcspn(b->d.s, ":"), b->d.s) < 0)
		return skf_fail(e, SKF_EBUG, "path of the blob '%s'", b->d.s);
	dir = skf_openat(x->c->g->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (dir < 0 || skf_store_to_trash(x->c->g->store, dir, skf_digest_hex(&b->d), &why) < 0)
		return why.kind == SKF_ENOTFOUND
			       ? 0
			       : skf_fail(e, SKF_ESYSTEM, "move the blob '%s' away: %s", b->d.s, why.msg);
	return 0;
}

static void set_done(struct damage *x, struct bad *b, const char *what, const char *text)
{
	char *s = skf_arena_fmt(x->c->a, "%s%s", what, text);

	b->done = s ? s : what;
}

/* What of the image is bad; NULL after the last. */
static struct bad *next_bad(const struct damage *x, const struct skf_image *i, size_t *at)
{
	const struct skf_image_layer *l = i->layers.v;

	while (*at < x->n) {
		struct bad *b = &x->v[(*at)++];

		if (skf_digest_eq(&b->d, &i->manifest) || skf_digest_eq(&b->d, &i->config))
			return b;
		for (size_t k = 0; k < i->layers.n; k++)
			if (skf_digest_eq(&b->d, &l[k].diff_id))
				return b;
	}
	return NULL;
}

static int heal_image(struct damage *x, const struct skf_image *i, struct skf_err *e)
{
	struct skf_err why = SKF_ERR_INIT;
	char user[SKF_ID_LEN + 1];
	bool wanted = false;
	struct bad *b;
	size_t at = 0;

	while ((b = next_bad(x, i, &at))) {
		if (!b->blob && !b->missing) {
			if (find_user(x, &b->d, user, e) < 0)
				return -1;
			if (user[0]) {
				user[SKF_SHORT_ID] = '\0';
				b->done = skf_arena_fmt(
					x->c->a, "kept: container %s runs on it; stop it and repair again",
					user);
				b->done = b->done ? b->done : "kept";
				return 0;
			}
		}
		if (put_aside(x, b, i, e) < 0)
			return -1;
		wanted |= !skf_startswith(b->done, "pulled");
	}
	if (!wanted)
		return 0; /* nothing, or another image had it all */
	if (skf_image_heal(x->c->g, i, x->c->q->docker_config, &why) < 0)
		why.kind = why.kind == SKF_OK ? SKF_ESYSTEM : why.kind;
	for (at = 0; (b = next_bad(x, i, &at));) {
		if (why.kind == SKF_OK)
			set_done(x, b, "pulled again from ", i->from);
		else if (!skf_startswith(b->done, "pulled"))
			set_done(x, b, why.kind == SKF_EUNSUPPORTED ? "kept: " : "repair failed: ", why.msg);
	}
	return 0;
}

/* Somebody may have removed a layer while it was read: it is looked at once more, and only what is bad then
 * is a finding. */
static void drop_removed(struct damage *x)
{
	size_t n = 0;

	for (size_t i = 0; i < x->n; i++) {
		struct skf_err why = SKF_ERR_INIT;
		unsigned bad = 0;
		bool gone = false;

		if (!x->v[i].blob && !x->v[i].missing)
			gone = skf_store_layer_has(x->c->g->store, &x->v[i].d, NULL, &why) == 0 ||
			       (skf_image_verify(x->c->g, x->v[i].d.s, SKF_IMG_READ_ONLY, count, &bad,
						 &why) == 0 &&
				bad == 0);
		if (!gone)
			x->v[n++] = x->v[i];
	}
	x->n = n;
}

int skf_check_layers(struct check *c, struct skf_err *e)
{
	struct damage x = {.c = c};

	if (skf_check_each(c, c->g->root_fd, "layers", check_unsynced, e) < 0)
		return -1;
	if (!c->q->quick &&
	    skf_image_verify(c->g, "", c->repair ? 0 : SKF_IMG_READ_ONLY, differs, &x, e) < 0)
		return skf_ctx(e, "verify the store");
	if (x.no_memory)
		return skf_fail(e, SKF_ENOMEM, "memory for the findings of the check");
	drop_removed(&x);
	if (each_image(&x, look_at_image, e) < 0 || (c->repair && x.n && each_image(&x, heal_image, e) < 0))
		return -1;
	for (size_t i = 0; i < x.n; i++)
		if (skf_check_report(c, x.v[i].blob ? "blob" : "layer", x.v[i].d.s, x.v[i].why,
				     x.v[i].done[0] || !c->repair ? x.v[i].done : "kept: no image has it",
				     e) < 0)
			return -1;
	return 0;
}

int skf_check_garbage(struct check *c, struct skf_err *e)
{
	struct skf_gc_result r = {0};
	char what[160];

	if (skf_store_gc(c->g->store,
			 SKF_GC_KEEP_DOWNLOADS | SKF_GC_KEEP_COPIES | (c->repair ? 0u : SKF_GC_DRY), &r,
			 e) < 0)
		return skf_ctx(e, "look for unused parts of the store");
	if (r.n_blobs + r.n_layers + r.n_images + r.n_ingests + r.n_leases == 0)
		return 0;
	snprintf(what, sizeof(what),
		 "unused: %llu blobs, %llu layers, %llu image records, %llu downloads, %llu leases; %llu "
		 "bytes",
		 (unsigned long long)r.n_blobs, (unsigned long long)r.n_layers,
		 (unsigned long long)r.n_images, (unsigned long long)r.n_ingests,
		 (unsigned long long)r.n_leases, (unsigned long long)r.bytes);
	return skf_check_report(c, "store", c->g->root, what, c->repair ? "collected" : "", e);
}
