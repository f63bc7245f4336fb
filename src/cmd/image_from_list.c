/* cmd/image_from_list.c -- a list of platforms as a place to copy from: the index is the engine's, each
 * entry comes from a registry or the store. The places are opened when their entry is copied, one after the
 * other. Blocks: as those do. */
#include "base/limits.h"
#include "cmd/image_place.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct origin {
	struct skf_digest digest;
	struct image_place place;
};
struct from_list {
	struct image_from x;
	const char *index;
	struct skf_jarr origins;
	struct image_from *now; /* of the entry that is copied */
};

/* --- the document --- */
struct row {
	char *digest, *name;
	uint32_t kind;
};
struct doc {
	char *index;
	struct skf_jarr from;
};
static const struct skf_jfield row_f[] = {
	SKF_J(struct row, digest, "digest", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(struct row, name, "name", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(struct row, kind, "kind", skf_j_u32, NULL, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable row_table = {sizeof(struct row), row_f, false, NULL};
static const struct skf_jarr_arg rows_arg = {&row_table, SKF_MAX_INDEX_MANIFESTS};
static const struct skf_jfield doc_f[] = {
	SKF_J(struct doc, index, "index", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(struct doc, from, "from", skf_j_arr, &rows_arg, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable doc_table = {sizeof(struct doc), doc_f, false, NULL};

static int to_buf(void *arg, const void *p, size_t n, struct skf_err *e)
{
	struct skf_buf *b = arg;
	skf_buf_put(b, p, n);
	return b->err ? skf_fail_sys(e, b->err, "manifest list") : 0;
}

static int read_doc(struct from_list *x, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES * 2);
	const struct skf_jdoc j = {.name = "manifest list", .max_bytes = SKF_MAX_MANIFEST_BYTES * 2};
	const struct image_region whole = {x->x.place->fd, false, 0,
					   (uint64_t)lseek(x->x.place->fd, 0, SEEK_END)};
	void *v;
	if (image_region_read(x->x.peer, &whole, to_buf, &b, e) < 0 ||
	    skf_json_decode(&j, skf_buf_cstr(&b), b.len, &doc_table, &x->x.a, &v, e) < 0)
		return -1;
	const struct doc *d = v;
	const struct row *r = d->from.v;
	struct origin *o = skf_arena_array(&x->x.a, d->from.n ? d->from.n : 1, sizeof(*o));
	if (!o)
		return skf_fail(e, SKF_ENOMEM, "manifest list");
	for (size_t i = 0; i < d->from.n; i++) {
		if (skf_digest_parse(r[i].digest, &o[i].digest, e) < 0)
			return -1;
		if (r[i].kind != SKF_PLACE_STORE && r[i].kind != SKF_PLACE_REGISTRY)
			return skf_fail(e, SKF_EINVALID, "manifest list: an entry comes from the place %u",
					r[i].kind);
		o[i].place = (struct image_place){r[i].kind, r[i].name, -1, x->x.place->how};
	}
	x->index = d->index;
	x->origins = (struct skf_jarr){o, d->from.n};
	return 0;
}

static int list_manifest(struct image_from *f, const struct skf_digest *d, struct image_doc *ret,
			 struct skf_err *e)
{
	struct from_list *x = (struct from_list *)f;
	const struct origin *o = x->origins.v;
	if (!d) {
		skf_buf_str(&ret->b, x->index);
		return image_doc_name(ret, NULL, e) < 0 ? -1 : image_doc_kind(ret, e);
	}
	image_from_free(SKF_TAKE(x->now));
	for (size_t i = 0; i < x->origins.n; i++) {
		if (!skf_digest_eq(&o[i].digest, d))
			continue;
		/* the entry's digest stands in the index: its bytes must not change */
		if (image_from_open(f->peer, skf_store_root(f->store), &o[i].place,
				    SKF_COPY_ALL | SKF_COPY_PRESERVE, f->pack_as, &x->now, e) < 0)
			return -1;
		f->ref = x->now->ref;
		return x->now->ops->manifest(x->now, d, ret, e);
	}
	return skf_fail(e, SKF_EBUG, "manifest list: nobody knows where '%s' comes from", d->s);
}

static int list_blob(struct image_from *f, const struct skf_desc *d, struct image_reader *ret,
		     struct skf_err *e)
{
	struct from_list *x = (struct from_list *)f;
	return x->now->ops->blob(x->now, d, ret, e);
}

static void list_free(struct image_from *f)
{
	image_from_free(((struct from_list *)f)->now);
}

int image_from_list(struct image_from **f, struct skf_err *e)
{
	static const struct image_from_ops ops = {list_manifest, list_blob, list_free};
	struct from_list *x = calloc(1, sizeof(*x));
	if (!x)
		return skf_fail(e, SKF_ENOMEM, "source");
	x->x = **f;
	x->x.ops = &ops;
	free(*f);
	*f = &x->x;
	return read_doc(x, e);
}
