/* store/images.c -- image records (images/<manifest hex>), what an image is made of and whether it is
 * complete. A rewritten record keeps the members that this version does not know (a trust verdict, for
 * instance). Blocks on the disk. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "store/store_int.h"
#include <stdlib.h>
#include <string.h>

/* --- what all tables of the store share --- */

int skf_store_j_digest(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct skf_err why = SKF_ERR_INIT;
	struct skf_digest d;
	char *text;

	(void)arg;
	if (skf_j_str(c, v, &text, NULL) < 0)
		return -1;
	if (skf_digest_parse(text, &d, &why) < 0)
		return skf_j_fail(c, SKF_EINVALID, "%s", why.msg);
	*(struct skf_digest *)dst = d;
	return 0;
}

int skf_store_check_ver(struct skf_jctx *c, const struct skf_store_ver *v, uint32_t known)
{
	if (v->min > known)
		return skf_j_fail(
			c, SKF_EUNSUPPORTED,
			"needs a reader of version %u, this skiff is one of version %u: use a newer skiff",
			v->min, known);
	return 0;
}

struct unknown {
	struct skf_arena *a;
	struct skf_strv keys;
	int err;
};

/* Only members of the top object; a key with '/' or '~' would be escaped in the path and none of ours has
 * one. */
static void note_unknown(const char *path, void *user)
{
	struct unknown *u = user;

	if (path[0] != '/' || strchr(path + 1, '/') || strchr(path, '~') || u->err)
		return;
	u->err = skf_strv_add(u->a, &u->keys, path + 1);
}

int skf_store_unknown(const char *name, const char *text, size_t n, const struct skf_jtable *known,
		      struct skf_arena *a, struct skf_kvs *ret, struct skf_err *e)
{
	struct unknown u = {.a = a};
	struct skf_jdoc doc = {name, SKF_MAX_OBJECT_BYTES, note_unknown, &u};
	struct skf_jtable t = {0};
	struct skf_jfield *f;
	struct skf_kv *kv;
	void *v;
	char **raw;

	if (skf_json_decode(&doc, text, n, known, a, &v, e) < 0)
		return -1;
	f = skf_arena_array(a, u.keys.n + 1, sizeof(*f));
	kv = skf_arena_array(a, u.keys.n + 1, sizeof(*kv));
	if (u.err || !f || !kv)
		return skf_fail(e, SKF_ENOMEM, "no memory to keep the unknown members of '%s'", name);
	for (size_t i = 0; i < u.keys.n; i++)
		f[i] = (struct skf_jfield){.key = u.keys.v[i], .fn = skf_j_raw, .off = i * sizeof(char *)};
	t.size = (u.keys.n + 1) * sizeof(char *);
	t.f = f;
	doc.on_unknown = NULL;
	if (skf_json_decode(&doc, text, n, &t, a, &v, e) < 0)
		return -1;
	raw = v;
	for (size_t i = 0; i < u.keys.n; i++)
		kv[i] = (struct skf_kv){u.keys.v[i], raw[i] ? raw[i] : (char *)"null"};
	*ret = (struct skf_kvs){kv, u.keys.n};
	return 0;
}

/* --- the record --- */

struct record {
	struct skf_store_ver ver;
	struct skf_image i;
};

static const struct skf_jfield layer_f[] = {
	SKF_J(struct skf_image_layer, digest, "digest", skf_store_j_digest, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_image_layer, diff_id, "diffId", skf_store_j_digest, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_image_layer, size, "size", skf_j_u64, NULL, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable layer_table = {sizeof(struct skf_image_layer), layer_f, false, NULL};
static const struct skf_jarr_arg layers_arg = {&layer_table, SKF_MAX_LAYERS};

static int record_check(struct skf_jctx *c, void *obj)
{
	return skf_store_check_ver(c, &((struct record *)obj)->ver, SKF_STORE_FORMAT);
}

static const struct skf_jfield record_f[] = {
	SKF_J(struct record, ver.v, "v", skf_j_u32, NULL, SKF_J_REQUIRED),
	SKF_J(struct record, ver.min, "min", skf_j_u32, NULL, SKF_J_REQUIRED),
	SKF_J(struct record, i.manifest, "manifest", skf_store_j_digest, NULL, SKF_J_REQUIRED),
	SKF_J(struct record, i.media_type, "mediaType", skf_j_str, NULL, 0),
	SKF_J(struct record, i.config, "config", skf_store_j_digest, NULL, SKF_J_REQUIRED),
	SKF_J(struct record, i.size, "size", skf_j_u64, NULL, 0),
	SKF_J(struct record, i.unpacked, "unpacked", skf_j_u64, NULL, 0),
	SKF_J(struct record, i.platform, "platform", skf_j_str, NULL, 0),
	SKF_J(struct record, i.created, "created", skf_j_str, NULL, 0),
	SKF_J(struct record, i.pulled_ns, "pulledAt", skf_j_i64, NULL, 0),
	SKF_J(struct record, i.from, "from", skf_j_str, NULL, 0),
	SKF_J(struct record, i.layers, "layers", skf_j_arr, &layers_arg, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable record_table = {sizeof(struct record), record_f, false, record_check};

static void write_record(struct skf_jw *w, const struct skf_image *i, const struct skf_kvs *kept)
{
	const struct skf_image_layer *l = i->layers.v;

	skf_jw_obj(w);
	skf_jw_ku64(w, "v", SKF_STORE_FORMAT);
	skf_jw_ku64(w, "min", 1);
	skf_jw_kstr(w, "manifest", i->manifest.s);
	skf_jw_kstr(w, "mediaType", i->media_type);
	skf_jw_kstr(w, "config", i->config.s);
	skf_jw_ku64(w, "size", i->size);
	skf_jw_ku64(w, "unpacked", i->unpacked);
	skf_jw_kstr(w, "platform", i->platform);
	skf_jw_kstr(w, "created", i->created);
	skf_jw_kint(w, "pulledAt", i->pulled_ns);
	skf_jw_kstr(w, "from", i->from);
	skf_jw_karr(w, "layers");
	for (size_t n = 0; n < i->layers.n; n++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "digest", l[n].digest.s);
		skf_jw_kstr(w, "diffId", l[n].diff_id.s);
		skf_jw_ku64(w, "size", l[n].size);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
	if (!skf_kvs_get(kept, "verdict"))
		skf_jw_knull(w, "verdict");
	for (size_t n = 0; n < kept->n; n++)
		skf_jw_kraw(w, kept->v[n].k, kept->v[n].v);
	skf_jw_end(w);
	skf_buf_chr(w->b, '\n');
}

/* An unreadable old record is replaced: what it said can be had again from the registry. */
static int kept_members(int dir, const char *name, struct skf_arena *a, struct skf_kvs *ret,
			struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	int r = skf_read_file_at(dir, name, SKF_MAX_OBJECT_BYTES, &b);

	*ret = (struct skf_kvs){0};
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return skf_fail_sys(e, r, "read the image record '%s'", name);
	if (skf_store_unknown("image record", skf_buf_cstr(&b), b.len, &record_table, a, ret, e) == 0)
		return 0;
	if (e->kind == SKF_EUNSUPPORTED || e->kind == SKF_ENOMEM)
		return -1;
	skf_err_clear(e);
	*ret = (struct skf_kvs){0};
	return 0;
}

/* The record of this manifest says what i says, whenever that was. */
static bool says_the_same(struct skf_store *s, const struct skf_image *i, int dir, struct skf_arena *a,
			  const struct skf_kvs *kept)
{
	SKF_AUTO(skf_buf_done) struct skf_buf have = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	SKF_AUTO(skf_buf_done) struct skf_buf now = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	struct skf_jw w = SKF_JW(&now);
	struct skf_image then = *i, *old;
	struct skf_err none = SKF_ERR_INIT; /* one that cannot be read is written anew */

	if (skf_store_image_get(s, &i->manifest, a, &old, &none) < 0 ||
	    skf_read_file_at(dir, skf_digest_hex(&i->manifest), SKF_MAX_OBJECT_BYTES, &have) < 0)
		return false;
	then.pulled_ns = old->pulled_ns;
	write_record(&w, &then, kept);
	return !now.err && now.len == have.len && memcmp(now.p, have.p, now.len) == 0;
}

/* Those of docs that are missing, and the record unless it stays. */
static int write_docs(struct skf_store *s, const struct skf_store_doc *docs, size_t n_docs,
		      const struct skf_new_file *record, struct skf_err *e)
{
	struct skf_new_file v[SKF_STORE_MAX_DOCS + 1];
	int dirs[SKF_STORE_MAX_DOCS];
	size_t n = 0, opened = 0;
	int r = 0;

	for (; r == 0 && opened < n_docs; opened += r == 0) {
		const struct skf_store_doc *d = &docs[opened];
		int has = skf_store_blob_has(s, d->digest, e);

		r = has < 0 ? -1 : skf_store_blob_dir(s, d->digest, &dirs[opened], e);
		if (r == 0 && !has)
			v[n++] = (struct skf_new_file){dirs[opened], skf_digest_hex(d->digest), d->p, d->n,
						       SKF_NOREPLACE};
	}
	if (r == 0 && record)
		v[n++] = *record;
	if (r == 0 && n > 0) {
		int x = skf_write_files(v, n);

		if (x < 0)
			r = skf_fail_sys(e, x, "write manifest, config and record of an image");
	}
	while (opened > 0)
		skf_closep(&dirs[--opened]);
	return r;
}

static int put(struct skf_store *s, const struct skf_image *i, const struct skf_store_doc *docs,
	       size_t n_docs, bool may_stay, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 16);
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	SKF_AUTO_FD int dir = -EBADF;
	SKF_AUTO_FD int lock = -EBADF;
	struct skf_jw w = SKF_JW(&b);
	struct skf_new_file record;
	struct skf_kvs kept;

	if (skf_store_check_digest(&i->manifest, e) < 0 || skf_store_check_digest(&i->config, e) < 0)
		return skf_ctx(e, "image record");
	if (n_docs > SKF_STORE_MAX_DOCS)
		return skf_fail(e, SKF_EBUG, "%zu documents of an image", n_docs);
	if (i->layers.n > SKF_MAX_LAYERS)
		return skf_fail(e, SKF_ELIMIT, "image '%s' has %zu layers, at most %d are allowed",
				i->manifest.s, i->layers.n, SKF_MAX_LAYERS);
	if (skf_store_dir(s, "images", &dir, e) < 0 || skf_store_lock(s, false, &lock, e) < 0 ||
	    kept_members(dir, skf_digest_hex(&i->manifest), &a, &kept, e) < 0)
		return -1;
	write_record(&w, i, &kept);
	if (b.err)
		return skf_fail_sys(e, b.err, "record of the image '%s'", i->manifest.s);
	record = (struct skf_new_file){dir, skf_digest_hex(&i->manifest), b.p, b.len, 0};
	may_stay = may_stay && says_the_same(s, i, dir, &a, &kept);
	return write_docs(s, docs, n_docs, may_stay ? NULL : &record, e) < 0
		       ? skf_ctx(e, "image '%s'", i->manifest.s)
		       : 0;
}

int skf_store_image_put_with(struct skf_store *s, const struct skf_image *i,
			     const struct skf_store_doc *docs, size_t n_docs, struct skf_err *e)
{
	return put(s, i, docs, n_docs, true, e);
}

int skf_store_image_put(struct skf_store *s, const struct skf_image *i, struct skf_err *e)
{
	return put(s, i, NULL, 0, false, e);
}

int skf_store_image_get(struct skf_store *s, const struct skf_digest *manifest, struct skf_arena *a,
			struct skf_image **ret, struct skf_err *e)
{
	const struct skf_jdoc doc = {.name = "image record", .max_bytes = SKF_MAX_OBJECT_BYTES};
	SKF_AUTO_FD int dir = -EBADF;
	struct record *rec;
	void *v;

	if (skf_store_check_digest(manifest, e) < 0 || skf_store_dir(s, "images", &dir, e) < 0)
		return -1;
	if (skf_json_decode_at(&doc, dir, skf_digest_hex(manifest), &record_table, a, &v, e) < 0) {
		if (e->kind == SKF_ENOTFOUND)
			return skf_fail(e, SKF_ENOTFOUND,
					"the store '%s' has no image with the manifest '%s'", s->root,
					manifest->s);
		return skf_ctx(e, "image '%s'", manifest->s);
	}
	rec = v;
	if (!skf_digest_eq(&rec->i.manifest, manifest))
		return skf_fail(e, SKF_ECORRUPT, "image record '%s' is of '%s'; run 'skiff system check'",
				manifest->s, rec->i.manifest.s);
	*ret = &rec->i;
	return 0;
}

int skf_store_image_check(struct skf_store *s, const struct skf_image *i, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 8);
	const struct skf_image_layer *l = i->layers.v;
	struct skf_image *rec;

	if (skf_store_image_get(s, &i->manifest, &a, &rec, e) < 0)
		return -1;
	for (size_t n = 0; n < i->layers.n; n++) {
		int r = skf_store_layer_has(s, &l[n].diff_id, NULL, e);

		if (r < 0)
			return skf_ctx(e, "image '%s'", i->manifest.s);
		if (r != 1)
			return skf_fail(e, SKF_ENOTFOUND,
					"layer '%s' of the image '%s' is %s; pull the image again",
					l[n].diff_id.s, i->manifest.s,
					r == 0 ? "not in the store" : "not known to be whole on the disk");
	}
	return 0;
}

int skf_store_with_image(struct skf_store *s, const struct skf_image *i,
			 int (*fn)(void *arg, struct skf_err *e), void *arg, struct skf_err *e)
{
	SKF_AUTO_FD int lock = -EBADF;

	if (skf_store_lock(s, false, &lock, e) < 0 || (i && skf_store_image_check(s, i, e) < 0))
		return -1;
	return fn(arg, e);
}
