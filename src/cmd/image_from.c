/* cmd/image_from.c -- places that images are copied from: registries, OCI layouts (directory or archive) and
 * skopeo's dir:.
 *
 * A manifest is checked against the digest that named it, here or in registry/; blobs are checked by whoever
 * reads them. Names in a layout are made of digests that passed their grammar. Blocks: network, disk. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_place.h"
#include "registry/registry.h"
#include <stdlib.h>
#include <string.h>

#define NAME_OCI "org.opencontainers.image.ref.name"
#define NAME_CTD "io.containerd.image.name"

void image_from_free(struct image_from *x)
{
	if (!x)
		return;
	if (x->ops && x->ops->free)
		x->ops->free(x);
	image_src_free(x->src);
	skf_store_free(x->store);
	skf_arena_done(&x->a);
	free(x);
}

/* --- registry --- */
struct from_registry {
	struct image_from x;
	struct skf_registry *reg;
};

static int registry_manifest(struct image_from *x, const struct skf_digest *d, struct image_doc *ret,
			     struct skf_err *e)
{
	struct from_registry *r = (struct from_registry *)x;
	struct skf_ref ref = x->ref;
	if (d)
		ref.digest = *d;
	if (skf_registry_manifest(r->reg, &ref, &ret->b, ret->type, &ret->digest, e) < 0)
		return -1;
	return image_doc_kind(ret, e);
}

static int64_t registry_read(void *arg, uint64_t off, void *p, size_t n, struct skf_err *e)
{
	return image_through_read(arg, off, p, n, e);
}

static void registry_close(void *arg)
{
	image_through_free(arg);
}

static int registry_blob(struct image_from *x, const struct skf_desc *d, struct image_reader *ret,
			 struct skf_err *e)
{
	struct image_through *t = image_through_new(x->peer, &x->ref, &x->place->how, d);
	if (!t)
		return skf_fail(e, SKF_ENOMEM, "blob '%s'", d->digest.s);
	*ret = (struct image_reader){registry_read, registry_close, t};
	return 0;
}

static void registry_free(struct image_from *x)
{
	skf_registry_free(((struct from_registry *)x)->reg);
}

static int from_registry(struct image_from **x, struct skf_err *e)
{
	static const struct image_from_ops ops = {registry_manifest, registry_blob, registry_free};
	struct from_registry *r = calloc(1, sizeof(*r));
	if (!r)
		return skf_fail(e, SKF_ENOMEM, "source");
	r->x = **x;
	r->x.ops = &ops;
	free(*x);
	*x = &r->x;
	if (skf_ref_parse(r->x.place->name, &r->x.ref, e) < 0)
		return -1;
	return image_registry_open(r->x.peer, r->x.ref.registry, r->x.ref.repo, &r->x.place->how, &r->reg,
				   e);
}

/* --- files --- */
static int blob_name(const struct image_from *x, const struct skf_digest *d, bool manifest,
		     char out[SKF_DIGEST_MAX + 24], struct skf_err *e)
{
	const char *hex = skf_digest_hex(d);
	int r = x->place->kind == SKF_PLACE_DIR ? skf_fmt(out, SKF_DIGEST_MAX + 24, "%s%s%s",
							  skf_digest_is_sha256(d) ? "" : SKF_DIR_SHA512, hex,
							  manifest ? ".manifest.json" : "")
						: skf_fmt(out, SKF_DIGEST_MAX + 24, "blobs/%.*s/%s",
							  (int)(hex - 1 - d->s), d->s, hex);
	return r < 0 ? skf_fail(e, SKF_EBUG, "name of blob '%s'", d->s) : 0;
}

static int small(struct image_from *x, const char *name, const struct skf_digest *like,
		 struct image_doc *ret, struct skf_err *e)
{
	int r = image_src_small(x->src, name, SKF_MAX_MANIFEST_BYTES, &ret->b, e);
	if (r == 0)
		return skf_fail(e, SKF_ENOTFOUND, "'%s' is not there", name);
	return r < 0 || image_doc_name(ret, like, e) < 0 ? -1 : 0;
}

/* The entry that the place's name means. */
static int choose(const struct skf_index *x, const char *name, const struct skf_desc **ret,
		  struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf have = SKF_BUF(300);
	const struct skf_desc *d = x->manifests.v;
	for (size_t i = 0; i < x->manifests.n; i++) {
		const char *oci = skf_kvs_get(&d[i].annotations, NAME_OCI),
			   *ctd = skf_kvs_get(&d[i].annotations, NAME_CTD);
		if (*name ? skf_streq(oci, name) || skf_streq(ctd, name) : x->manifests.n == 1) {
			*ret = &d[i];
			return 0;
		}
		skf_buf_fmt(&have, "%s%s", have.len ? ", " : "", oci ? oci : "(no name)");
	}
	if (*name)
		return skf_fail(e, SKF_ENOTFOUND, "the layout has no image named '%.120s'; it has %s", name,
				have.len ? skf_buf_cstr(&have) : "none");
	return skf_fail(e, x->manifests.n ? SKF_EINVALID : SKF_ENOTFOUND,
			x->manifests.n ? "more than one image in the layout, name one of: %s%s"
				       : "the layout has no image%s%s",
			skf_buf_cstr(&have), "");
}

static int oci_top(struct image_from *x, struct skf_digest *ret, char type[128], struct skf_err *e)
{
	SKF_AUTO(image_doc_done) struct image_doc d = IMAGE_DOC;
	const struct skf_desc *t = NULL;
	struct skf_index *index;
	if (small(x, "index.json", NULL, &d, e) < 0 ||
	    skf_index_parse(skf_buf_cstr(&d.b), d.b.len, "", &x->a, &index, e) < 0 ||
	    choose(index, x->place->name, &t, e) < 0)
		return skf_ctx(e, "OCI layout");
	*ret = t->digest;
	return skf_fmt(type, 128, "%s", t->media_type) < 0
		       ? skf_fail(e, SKF_EINVALID, "OCI layout: a media type is too long")
		       : 0;
}

static int files_manifest(struct image_from *x, const struct skf_digest *d, struct image_doc *ret,
			  struct skf_err *e)
{
	char name[SKF_DIGEST_MAX + 24];
	struct skf_digest want = {""};
	bool dir = x->place->kind == SKF_PLACE_DIR;
	if (d)
		want = *d;
	else if (!dir && oci_top(x, &want, ret->type, e) < 0)
		return -1;
	if (!want.s[0]) {
		if (skf_fmt(name, sizeof(name), "manifest.json") < 0)
			return skf_fail(e, SKF_EBUG, "name of the manifest");
	} else if (blob_name(x, &want, dir, name, e) < 0) {
		return -1;
	}
	if (small(x, name, &want, ret, e) < 0)
		return -1;
	if (want.s[0] && !skf_digest_eq(&want, &ret->digest))
		return skf_fail(e, SKF_ECORRUPT, "'%s' is not what its name says: it is %s", name,
				ret->digest.s);
	return image_doc_kind(ret, e);
}

static int files_blob(struct image_from *x, const struct skf_desc *d, struct image_reader *ret,
		      struct skf_err *e)
{
	struct image_region r = {-EBADF, false, 0, 0};
	char name[SKF_DIGEST_MAX + 24];
	if (blob_name(x, &d->digest, false, name, e) < 0)
		return -1;
	int found = image_src_find(x->src, name, &r, e);
	if (found <= 0)
		return found < 0 ? -1
				 : skf_fail(e, SKF_ENOTFOUND,
					    "'%s' is not there, but a manifest refers to it", name);
	if (r.size != d->size) {
		unsigned long long size = r.size;
		image_region_done(&r);
		return skf_fail(e, SKF_ECORRUPT, "'%s' has %llu bytes, its manifest says %llu", name, size,
				(unsigned long long)d->size);
	}
	return image_reader_file(&r, ret, e);
}

static int from_files(struct image_from **x, struct skf_err *e)
{
	static const struct image_from_ops ops = {files_manifest, files_blob, NULL};
	(*x)->ops = &ops;
	return image_src_open((*x)->peer, (*x)->store, (*x)->place->fd, &(*x)->src, e);
}

int image_from_open(const struct image_peer *peer, const char *root, const struct image_place *p,
		    uint32_t flags, enum skf_media pack_as, struct image_from **ret, struct skf_err *e)
{
	static int (*const makers[])(struct image_from **, struct skf_err *) = {
		[SKF_PLACE_STORE] = image_from_store,   [SKF_PLACE_REGISTRY] = from_registry,
		[SKF_PLACE_OCI] = from_files,           [SKF_PLACE_DOCKER_ARCHIVE] = image_from_docker,
		[SKF_PLACE_DAEMON] = image_from_docker, [SKF_PLACE_DIR] = from_files,
		[SKF_PLACE_LIST] = image_from_list,
	};
	if (p->kind >= SKF_ARRAY_LEN(makers))
		return skf_fail(e, SKF_EUNSUPPORTED, "skiff-image %s does not know the place %u",
				SKF_VERSION, p->kind);
	struct image_from *x = calloc(1, sizeof(*x));
	if (!x)
		return skf_fail(e, SKF_ENOMEM, "source");
	*x = (struct image_from){.peer = peer,
				 .place = p,
				 .a = SKF_ARENA(SKF_MAX_ARENA_DOC),
				 .pack_as = pack_as,
				 .all = flags & (SKF_COPY_ALL | SKF_COPY_INDEX_ONLY),
				 .preserve = flags & SKF_COPY_PRESERVE};
	bool stored = p->kind != SKF_PLACE_REGISTRY; /* archives that are no files are spooled there */
	if ((stored && skf_store_open(root, true, &x->store, e) < 0) || makers[p->kind](&x, e) < 0) {
		image_from_free(x);
		return -1;
	}
	*ret = x;
	return 0;
}
