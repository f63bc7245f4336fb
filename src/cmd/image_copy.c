/* cmd/image_copy.c -- copies of images from one place to another: which manifests, which of their blobs,
 * what changes on the way.
 *
 * Where nothing is to change, the bytes of every document and blob stay what they are, and blobs are never
 * unpacked. Invariants: 1. blobs first, then the manifest that names them, the top document last; 2. with
 * SKF_COPY_PRESERVE whatever would change a digest is an error before the first byte is copied of that
 * image; 3. layers with urls of their own (nondistributable) stay where their urls say. Blocks: network,
 * disk. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_place.h"
#include "registry/wire.h"
#include <stdlib.h>
#include <string.h>

#define MAX_DEPTH  3 /* indexes in indexes */
#define CONVERTERS 2

struct copy {
	const struct image_peer *peer;
	const char *root, *platform;
	struct image_place src, dest;
	uint32_t flags;
	struct image_wish wish;
	struct skf_strv tags;
	struct skf_arena a;
	struct image_from *from;
	struct image_to *to;
	int tmp; /* directory for converted layers; -EBADF not opened yet */
	struct skf_digest top;
};

static void say(const struct copy *x, const char *what, const char *name)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1024);
	skf_buf_fmt(&b, "%s%s\n", what, name);
	if (!b.err)
		image_send_text(x->peer, b.p, b.len);
}

/* --- one manifest --- */
struct image {
	struct copy *x;
	struct image_doc *doc;
	struct skf_manifest *m;
	struct skf_image_config *config; /* NULL: an artifact */
	struct image_item *v;
	size_t n;
};

/* An index was searched for the platform; a lone image must be of it. */
static int check_platform(const struct image *i, struct skf_err *e)
{
	const struct skf_platform *have = &i->config->platform;
	struct skf_platform want;
	if (!i->x->platform[0])
		return 0;
	if (skf_platform_parse(i->x->platform, &want, e) < 0)
		return -1;
	return skf_platform_score(&want, have) >= 0
		       ? 0
		       : skf_fail(e, SKF_ENOTFOUND, "image '%s' is for the platform '%s/%s', not for '%s'",
				  i->doc->digest.s, have->os, have->arch, i->x->platform);
}

static int read_config(struct image *i, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES + 1);
	const struct skf_desc *d = &i->m->config;
	if (d->media != SKF_MEDIA_CONFIG)
		return 0;
	if (image_from_small(i->x->from, d, SKF_MAX_CONFIG_BLOB_BYTES, &b, e) < 0 ||
	    skf_image_config_parse(skf_buf_cstr(&b), b.len, &i->x->a, &i->config, e) < 0)
		return skf_ctx(e, "config '%s'", d->digest.s);
	if (i->config->diff_ids.n != i->m->layers.n)
		return skf_fail(e, SKF_ECORRUPT,
				"image '%s': the manifest has %zu layers, the config names %zu",
				i->doc->digest.s, i->m->layers.n, i->config->diff_ids.n);
	return check_platform(i, e);
}

static int add_layer(struct image *i, size_t k, struct skf_err *e)
{
	const struct skf_desc *l = &((struct skf_desc *)i->m->layers.v)[k];
	if (l->media == SKF_MEDIA_LAYER_FOREIGN && i->x->dest.kind != SKF_PLACE_REGISTRY &&
	    i->x->dest.kind != SKF_PLACE_OCI && i->x->dest.kind != SKF_PLACE_DIR)
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"layer '%s' of '%s' is not distributable: it is to be had at its own urls only",
			l->digest.s, i->doc->digest.s);
	if (l->media == SKF_MEDIA_LAYER_FOREIGN)
		return 0;
	struct image_item *it = &i->v[i->n++];
	*it = (struct image_item){.desc = *l, .old = l->digest, .from = i->x->from, .fd = -EBADF};
	if (i->config)
		it->diff_id = ((struct skf_digest *)i->config->diff_ids.v)[k];
	it->squeeze = i->config ? image_wish_layer(&i->x->wish, l) : SKF_COMP_UNKNOWN;
	return 0;
}

static int list_blobs(struct image *i, struct skf_err *e)
{
	i->v = calloc(i->m->layers.n + 1, sizeof(*i->v));
	if (!i->v)
		return skf_fail(e, SKF_ENOMEM, "blobs of '%s'", i->doc->digest.s);
	i->v[i->n++] = (struct image_item){.desc = i->m->config,
					   .old = i->m->config.digest,
					   .config = true,
					   .from = i->x->from,
					   .fd = -EBADF};
	for (size_t k = 0; k < i->m->layers.n; k++)
		if (add_layer(i, k, e) < 0)
			return -1;
	return 0;
}

static bool changes(const struct image *i)
{
	bool any = i->config && image_wish_retype(&i->x->wish, i->doc->type);
	for (size_t k = 0; k < i->n; k++)
		any |= i->v[k].squeeze != SKF_COMP_UNKNOWN;
	return any;
}

static int convert_one(struct image_item *it, void *arg, struct skf_err *e)
{
	struct image *i = arg;
	if (it->squeeze == SKF_COMP_UNKNOWN)
		return 0;
	if (image_convert_item(it, i->x->peer, i->x->tmp, &i->x->wish, &i->x->a, e) < 0)
		return -1;
	/* what the destination is told: the type of the converted layer */
	it->desc.media = it->squeeze == SKF_COMP_NONE   ? SKF_MEDIA_LAYER_TAR
			 : it->squeeze == SKF_COMP_GZIP ? SKF_MEDIA_LAYER_GZIP
							: SKF_MEDIA_LAYER_ZSTD;
	return 0;
}

static int open_tmp(struct copy *x, struct skf_err *e)
{
	struct skf_store *s;
	if (x->tmp >= 0)
		return 0;
	if (skf_store_open(x->root, true, &s, e) < 0)
		return -1;
	x->tmp = skf_dup_cloexec(skf_store_fd(s));
	skf_store_free(s);
	return x->tmp < 0 ? skf_fail_sys(e, x->tmp, "open the store '%s'", x->root) : 0;
}

static int convert(struct image *i, struct skf_err *e)
{
	if (!changes(i))
		return 0;
	if (i->x->flags & SKF_COPY_PRESERVE)
		return skf_fail(e, SKF_EINVALID,
				"image '%s' would have to change: its digest cannot be preserved",
				i->doc->digest.s);
	if (open_tmp(i->x, e) < 0 || image_items_each(i->v, i->n, CONVERTERS, convert_one, i, e) < 0)
		return -1;
	return image_convert_manifest(i->doc, &i->x->wish, i->v, i->n, e);
}

static int copy_blobs(struct image *i, bool top, struct skf_err *e)
{
	struct copy *x = i->x;
	if (read_config(i, e) < 0 || list_blobs(i, e) < 0 || convert(i, e) < 0)
		return -1;
	for (size_t k = 1; k < i->n; k++)
		say(x, "Copying blob ", i->v[k].desc.digest.s);
	say(x, "Copying config ", i->v[0].desc.digest.s);
	if (x->to->ops->blobs(x->to, i->v, i->n, e) < 0)
		return -1;
	say(x, "Writing manifest ", i->doc->digest.s);
	return x->to->ops->manifest(x->to, i->doc, top, e);
}

/* doc may have changed afterwards. */
static int copy_image(struct copy *x, struct image_doc *doc, bool top, struct skf_err *e)
{
	struct image i = {.x = x, .doc = doc};
	if (skf_manifest_parse(skf_buf_cstr(&doc->b), doc->b.len, doc->type, &x->a, &i.m, e) < 0)
		return skf_ctx(e, "manifest '%s'", doc->digest.s);
	int r = copy_blobs(&i, top, e);
	for (size_t k = 0; k < i.n; k++)
		image_item_close(&i.v[k]);
	free(i.v);
	return r;
}

/* --- indexes --- */
static int copy_doc(struct copy *x, struct image_doc *doc, bool top, int depth, struct skf_err *e);

static int copy_entry(struct copy *x, const struct skf_desc *d, struct image_moved *ret, int depth,
		      struct skf_err *e)
{
	SKF_AUTO(image_doc_done) struct image_doc doc = IMAGE_DOC;
	if (skf_fmt(doc.type, sizeof(doc.type), "%s", d->media_type) < 0)
		return skf_fail(e, SKF_EINVALID, "a media type of the index is too long");
	if (x->from->ops->manifest(x->from, &d->digest, &doc, e) < 0)
		return -1;
	if (doc.b.len != d->size)
		return skf_fail(e, SKF_ECORRUPT, "manifest '%s': expected %llu bytes, got %zu", d->digest.s,
				(unsigned long long)d->size, doc.b.len);
	if (copy_doc(x, &doc, false, depth, e) < 0)
		return -1;
	*ret = (struct image_moved){.old = d->digest, .now = doc.digest, .size = doc.b.len};
	memcpy(ret->type, doc.type, sizeof(ret->type));
	return 0;
}

static int copy_index(struct copy *x, struct image_doc *doc, bool top, int depth, struct skf_err *e)
{
	struct skf_index *index;
	if (depth >= MAX_DEPTH)
		return skf_fail(e, SKF_ELIMIT, "index '%s': more than %d indexes in one another",
				doc->digest.s, MAX_DEPTH);
	if (skf_index_parse(skf_buf_cstr(&doc->b), doc->b.len, doc->type, &x->a, &index, e) < 0)
		return skf_ctx(e, "index '%s'", doc->digest.s);
	const struct skf_desc *d = index->manifests.v;
	struct image_moved *v =
		skf_arena_array(&x->a, index->manifests.n ? index->manifests.n : 1, sizeof(*v));
	bool changed = image_wish_retype(&x->wish, doc->type);
	if (!v)
		return skf_fail(e, SKF_ENOMEM, "index '%s'", doc->digest.s);
	for (size_t i = 0; i < index->manifests.n && !(x->flags & SKF_COPY_INDEX_ONLY); i++) {
		if (copy_entry(x, &d[i], &v[i], depth + 1, e) < 0)
			return skf_ctx(e, "index '%s'", doc->digest.s);
		changed |= !skf_digest_eq(&v[i].old, &v[i].now);
	}
	if (changed && x->flags & SKF_COPY_PRESERVE)
		return skf_fail(e, SKF_EINVALID,
				"index '%s' would have to change: its digest cannot be preserved",
				doc->digest.s);
	if (changed && image_convert_index(doc, &x->wish, v, index->manifests.n, e) < 0)
		return -1;
	say(x, "Writing manifest list ", doc->digest.s);
	return x->to->ops->manifest(x->to, doc, top, e);
}

static int copy_doc(struct copy *x, struct image_doc *doc, bool top, int depth, struct skf_err *e)
{
	return doc->kind == SKF_MEDIA_INDEX ? copy_index(x, doc, top, depth, e) : copy_image(x, doc, top, e);
}

/* The platform's manifest in place of an index. */
static int choose(struct copy *x, struct image_doc *doc, struct skf_err *e)
{
	struct skf_platform want;
	for (int depth = 0; doc->kind == SKF_MEDIA_INDEX; depth++) {
		const struct skf_desc *chosen;
		struct skf_index *index;
		if (x->platform[0] ? skf_platform_parse(x->platform, &want, e) < 0
				   : (skf_platform_host(&want), 0))
			return -1;
		if (depth >= MAX_DEPTH)
			return skf_fail(e, SKF_ELIMIT, "index '%s': more than %d indexes in one another",
					doc->digest.s, MAX_DEPTH);
		if (skf_index_parse(skf_buf_cstr(&doc->b), doc->b.len, doc->type, &x->a, &index, e) < 0 ||
		    skf_index_choose(index, &want, &chosen, e) < 0)
			return skf_ctx(e, "index '%s'", doc->digest.s);
		skf_buf_clear(&doc->b);
		if (skf_fmt(doc->type, sizeof(doc->type), "%s", chosen->media_type) < 0)
			return skf_fail(e, SKF_EINVALID, "a media type of the index is too long");
		if (x->from->ops->manifest(x->from, &chosen->digest, doc, e) < 0)
			return -1;
	}
	return 0;
}

/* --- the request --- */
/* What must change whatever was asked for: docker's archives hold uncompressed layers, layouts OCI's types;
 * blobs that are made here are compressed for places that are pulled from. */
static void fill_wish(struct copy *x)
{
	bool pulled_from = x->dest.kind == SKF_PLACE_REGISTRY || x->dest.kind == SKF_PLACE_OCI;
	if (x->dest.kind == SKF_PLACE_DOCKER_ARCHIVE || x->dest.kind == SKF_PLACE_DAEMON)
		x->wish.squeeze = SKF_SQUEEZE_NONE;
	if (x->dest.kind == SKF_PLACE_OCI && x->wish.as == SKF_AS_IS && !(x->flags & SKF_COPY_PRESERVE))
		x->wish.as = SKF_AS_OCI; /* other readers of layouts know no docker types */
	x->wish.compress_plain = x->from->made && pulled_from && x->wish.squeeze == SKF_SQUEEZE_AS_IS;
}

static enum skf_media pack_as(const struct copy *x)
{
	if (x->wish.level >= 0 || x->wish.squeeze > SKF_SQUEEZE_ZSTD)
		return SKF_MEDIA_LAYER_TAR; /* compressed later */
	if (x->wish.squeeze == SKF_SQUEEZE_ZSTD)
		return SKF_MEDIA_LAYER_ZSTD;
	return x->dest.kind == SKF_PLACE_REGISTRY || x->dest.kind == SKF_PLACE_OCI ||
			       x->wish.squeeze == SKF_SQUEEZE_GZIP
		       ? SKF_MEDIA_LAYER_GZIP
		       : SKF_MEDIA_LAYER_TAR;
}

static int run(struct copy *x, struct skf_err *e)
{
	SKF_AUTO(image_doc_done) struct image_doc doc = IMAGE_DOC;
	uint32_t all = x->platform[0]
			       ? SKF_COPY_ALL
			       : 0; /* the store is to tell its index, so that a platform can be chosen */
	if (image_from_open(x->peer, x->root, &x->src, x->flags | all, pack_as(x), &x->from, e) < 0)
		return skf_ctx(e, "source");
	if (image_to_open(x->peer, x->root, &x->dest, &x->tags, x->from, &x->to, e) < 0)
		return skf_ctx(e, "destination");
	if (x->from->ops->manifest(x->from, NULL, &doc, e) < 0 ||
	    (!(x->flags & (SKF_COPY_ALL | SKF_COPY_INDEX_ONLY)) && choose(x, &doc, e) < 0))
		return -1;
	fill_wish(x);
	if (copy_doc(x, &doc, true, 0, e) < 0 || (x->to->ops->end && x->to->ops->end(x->to, e) < 0))
		return -1;
	x->top = doc.digest;
	return 0;
}

static int get_request(struct copy *x, struct skf_recr *q, struct skf_err *e)
{
	x->root = skf_recr_str(q);
	if (image_place_get(x->peer, &x->src, q, e) < 0 || image_place_get(x->peer, &x->dest, q, e) < 0)
		return -1;
	x->flags = skf_recr_u32(q);
	x->platform = skf_recr_str(q);
	x->wish.as = skf_recr_u32(q);
	x->wish.squeeze = skf_recr_u32(q);
	x->wish.level = (int)skf_recr_u32(q) - 1;
	uint32_t n = skf_recr_u32(q);
	for (uint32_t i = 0; i < n && !q->bad; i++)
		if (skf_strv_add(&x->a, &x->tags, skf_recr_str(q)) < 0)
			return skf_fail(e, SKF_ENOMEM, "tags");
	return q->bad ? skf_fail(e, SKF_EINVALID, "the copy request is cut short") : 0;
}

int image_serve_copy(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		     struct skf_err *e)
{
	struct copy x = {.peer = peer, .a = SKF_ARENA(SKF_MAX_ARENA_DOC), .tmp = -EBADF};
	struct image_watch w = {.peer = peer, .stop_fd = -EBADF};
	struct skf_rec r;
	int rc = get_request(&x, q, e) < 0 ? -1 : image_watch_start(&w, e);
	if (rc == 0)
		rc = run(&x, e);
	image_watch_stop(&w);
	image_to_free(x.to);
	image_from_free(x.from);
	skf_closep(&x.tmp);
	skf_arena_done(&x.a);
	if (rc < 0)
		return -1;
	skf_rec_begin(&r, answer, SKF_IMG_DONE, SKF_IMG_VERSION);
	for (int i = 0; i < 3; i++)
		skf_rec_str(&r, x.top.s);
	skf_rec_u32(&r, 0);
	skf_rec_end(&r);
	return 0;
}
