/* cmd/image_to_store.c -- copies into the store: config and manifest as blobs, layers unpacked several at a
 * time, record, reference. The order of a pull: the lease names a digest first, layers are synced before the
 * record, the reference comes last. Blocks: disk, and the source. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_place.h"
#include <stdlib.h>
#include <string.h>

#define UNPACKERS 4

struct to_store {
	struct image_to x;
	struct skf_store *store;
	struct skf_lease *lease;
	struct skf_image_layer *layers; /* of the image under way */
	size_t n;
	struct skf_digest config;
	struct skf_image_config *doc;
	struct skf_digest top,
		manifest; /* what the name will mean; manifest: the platform that fits this host best */
	int score;
};

static int to_unpack(void *u, const void *p, size_t n, struct skf_err *e)
{
	return skf_unpack_write(u, p, n, e);
}

static int put_config(struct to_store *t, struct image_item *i, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES + 1);
	if (i->desc.media != SKF_MEDIA_CONFIG)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"this is no container image (its config has the media type '%.100s'), and "
				"the store holds nothing else; see skiff artifact",
				i->desc.media_type);
	if (image_from_small(i->from, &i->desc, SKF_MAX_CONFIG_BLOB_BYTES, &b, e) < 0 ||
	    skf_image_config_parse(skf_buf_cstr(&b), b.len, &t->x.a, &t->doc, e) < 0)
		return skf_ctx(e, "config '%s'", i->desc.digest.s);
	t->config = i->desc.digest;
	return skf_store_blob_put(t->store, &i->desc.digest, b.p, b.len, e);
}

static int put_layer(struct image_item *i, void *arg, struct skf_err *e)
{
	struct to_store *t = arg;
	struct image_layer_job j = {.desc = i->desc, .diff_id = i->diff_id};
	const struct skf_unpack_opts o = {.media = i->desc.media,
					  .digest = i->desc.digest,
					  .size = i->desc.size,
					  .diff_id = i->diff_id};
	struct skf_unpack_result got;
	struct skf_unpack *u = NULL;
	if (image_layers_check(t->store, &j, 1, e) < 0)
		return -1;
	if (j.present)
		return 0;
	int r = skf_unpack_new(t->store, &o, &u, e);
	if (r == 0)
		r = image_item_pour(i, to_unpack, u, e);
	if (r == 0)
		r = skf_unpack_finish(u, &got, e);
	skf_unpack_free(u);
	image_item_close(i);
	if (r == 0 && (got.skipped_devices || got.skipped_xattrs))
		skf_warn(t->x.peer->log,
			 "layer '%s': %llu device nodes and %llu extended attributes cannot be made here; "
			 "ignoring them",
			 i->diff_id.s, (unsigned long long)got.skipped_devices,
			 (unsigned long long)got.skipped_xattrs);
	return r < 0 ? -1 : skf_unpack_sync(t->store, &i->diff_id, 1, e);
}

static int store_blobs(struct image_to *x, struct image_item *v, size_t n, struct skf_err *e)
{
	struct to_store *t = (struct to_store *)x;
	size_t k = 0, order = 0;
	t->doc = NULL;
	t->layers = skf_arena_array(&x->a, n ? n : 1, sizeof(*t->layers));
	if (!t->layers)
		return skf_fail(e, SKF_ENOMEM, "layers");
	t->n = 0;
	for (size_t i = 0; i < n; i++) {
		if (skf_lease_add(t->lease, &v[i].desc.digest, e) < 0 ||
		    (v[i].config && put_config(t, &v[i], e) < 0))
			return -1;
		if (v[i].config)
			continue;
		if (!v[i].diff_id.s[0])
			return skf_fail(e, SKF_EUNSUPPORTED,
					"'%s' is no layer of a container image, and the store holds nothing "
					"else; see skiff artifact",
					v[i].desc.digest.s);
		if (skf_lease_add(t->lease, &v[i].diff_id, e) < 0)
			return -1;
		t->layers[t->n++] = (struct skf_image_layer){v[i].desc.digest, v[i].diff_id, v[i].desc.size};
	}
	for (order = 0; order < n; order++) { /* the layers to the front, each once */
		bool skip = v[order].config;
		for (size_t j = 0; j < k && !skip; j++)
			skip = skf_digest_eq(&v[j].diff_id, &v[order].diff_id);
		if (skip)
			continue;
		struct image_item tmp = v[k];
		v[k] = v[order];
		v[order] = tmp;
		k++;
	}
	return image_items_each(v, k, UNPACKERS, put_layer, t, e);
}

/* The record of the image under way and a reference to it: the name, or of a platform of an index its
 * digest. */
static int keep_image(struct to_store *t, const struct image_doc *d, bool top, struct skf_err *e)
{
	const struct skf_ref *r = &t->x.from->ref;
	struct skf_ref ref = t->x.ref;
	struct skf_strv names = {0};
	char from[SKF_MAX_REPO_BYTES * 2 + 8], full[SKF_MAX_REF_BYTES + 1];
	if (skf_fmt(from, sizeof(from), "%s%s%s", r->registry[0] ? r->registry : "archive",
		    r->registry[0] ? "/" : "", r->repo) < 0)
		return skf_fail(e, SKF_EBUG, "origin of '%s'", d->digest.s);
	if (!top) {
		ref.tag[0] = 0;
		ref.digest = d->digest;
	}
	skf_ref_full(&ref, full);
	if (skf_strv_add(&t->x.a, &names, full) < 0)
		return skf_fail(e, SKF_ENOMEM, "reference");
	const struct image_new im = {t->store, t->lease,        &t->x.a, &d->digest,        &t->config,
				     d->type,  t->doc->created, from,    &t->doc->platform, t->layers,
				     t->n};
	return image_record(&im, &d->digest, &names, e);
}

static int store_manifest(struct image_to *x, const struct image_doc *d, bool top, struct skf_err *e)
{
	struct to_store *t = (struct to_store *)x;
	struct skf_platform host;
	if (skf_lease_add(t->lease, &d->digest, e) < 0 ||
	    skf_store_blob_put(t->store, &d->digest, d->b.p, d->b.len, e) < 0)
		return -1;
	if (top)
		t->top = d->digest;
	if (d->kind == SKF_MEDIA_INDEX)
		return 0;
	skf_platform_host(&host);
	int score = skf_platform_score(&host, &t->doc->platform);
	if (!t->manifest.s[0] || score > t->score) {
		t->manifest = d->digest;
		t->score = score;
	}
	return keep_image(t, d, top, e);
}

static int more_names(struct to_store *t, struct skf_err *e)
{
	for (size_t i = 0; i < t->x.tags.n; i++) {
		struct skf_ref ref;
		if (skf_ref_parse(t->x.tags.v[i], &ref, e) < 0 ||
		    skf_store_ref_set(t->store, &ref, &t->top, &t->manifest, e) < 0)
			return -1;
	}
	return 0;
}

static int store_end(struct image_to *x, struct skf_err *e)
{
	struct to_store *t = (struct to_store *)x;
	if (!skf_digest_eq(&t->top, &t->manifest) &&
	    skf_store_ref_set(t->store, &x->ref, &t->top, &t->manifest, e) < 0)
		return -1;
	return more_names(t, e);
}

static void store_free(struct image_to *x)
{
	struct to_store *t = (struct to_store *)x;
	skf_lease_free(t->lease);
	skf_store_free(t->store);
}

int image_to_store(struct image_to **x, struct skf_err *e)
{
	static const struct image_to_ops ops = {store_blobs, store_manifest, store_end, store_free};
	struct to_store *t = calloc(1, sizeof(*t));
	if (!t)
		return skf_fail(e, SKF_ENOMEM, "destination");
	t->x = **x;
	t->x.ops = &ops;
	free(*x);
	*x = &t->x;
	if (skf_ref_parse(t->x.place->name, &t->x.ref, e) < 0)
		return -1;
	if (t->x.ref.digest.s[0])
		return skf_fail(
			e, SKF_EINVALID,
			"'%s': an image of the store is named by a tag; its digest comes from the image",
			t->x.place->name);
	return skf_store_open(t->x.root, true, &t->store, e) < 0 || skf_lease_new(t->store, &t->lease, e) < 0
		       ? -1
		       : 0;
}
