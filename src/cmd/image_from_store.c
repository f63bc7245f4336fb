/* cmd/image_from_store.c -- images of the store as a place to copy from.
 *
 * An image all of whose blobs the store kept goes out as it came in. Of layers that it did not keep, the
 * blobs come from the registry that the image came from when the digest must stay (preserve), else they are
 * packed again and the manifest names what they are now. Invariant: the lease names every digest before it
 * is used. Blocks: disk; network with preserve. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_place.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct packed {
	struct skf_digest digest;
	int fd;
};
struct from_store {
	struct image_from x;
	struct skf_lease *lease;
	struct skf_image *image;
	struct skf_refrec ref;
	struct skf_ref origin; /* repo "" none */
	struct packed *v;      /* layers that were packed again */
	size_t n;
};

static int store_doc(struct from_store *x, const struct skf_digest *d, struct image_doc *ret,
		     struct skf_err *e)
{
	if (skf_lease_add(x->lease, d, e) < 0 ||
	    skf_store_blob_read(x->x.store, d, SKF_MAX_MANIFEST_BYTES, &ret->b, e) < 0)
		return -1;
	ret->digest = *d;
	ret->type[0] = 0;
	if (skf_digest_eq(d, &x->image->manifest) && x->image->media_type &&
	    skf_fmt(ret->type, sizeof(ret->type), "%s", x->image->media_type) < 0)
		return skf_fail(e, SKF_ECORRUPT, "image '%s': its media type is too long", d->s);
	return image_doc_kind(ret, e);
}

/* Packs what the store did not keep; image_manifest_rename wants the list. */
static int pack_lost(struct from_store *x, struct image_renamed *now, size_t *n, struct skf_err *e)
{
	const struct skf_image_layer *l = x->image->layers.v;
	for (size_t i = 0; i < x->image->layers.n; i++) {
		bool twice = false;
		int has = skf_lease_add(x->lease, &l[i].digest, e) < 0 ||
					  skf_lease_add(x->lease, &l[i].diff_id, e) < 0
				  ? -1
				  : skf_store_blob_has(x->x.store, &l[i].digest, e);
		if (has < 0)
			return -1;
		for (size_t k = 0; k < *n; k++)
			twice |= skf_digest_eq(&now[k].old, &l[i].digest);
		if (has || twice)
			continue;
		now[*n].old = l[i].digest;
		if (image_repack_layer(x->x.store, &l[i].diff_id, x->x.pack_as, &x->v[x->n].fd, &now[*n].now,
				       &now[*n].size, e) < 0)
			return -1;
		x->v[x->n++].digest = now[(*n)++].now;
	}
	return 0;
}

static const char *type_of(const char *manifest, enum skf_media m)
{
	bool docker = skf_startswith(manifest, "application/vnd.docker.");
	if (m == SKF_MEDIA_LAYER_TAR)
		return docker ? "application/vnd.docker.image.rootfs.diff.tar"
			      : "application/vnd.oci.image.layer.v1.tar";
	if (m == SKF_MEDIA_LAYER_ZSTD)
		return docker ? "application/vnd.docker.image.rootfs.diff.tar.zstd"
			      : "application/vnd.oci.image.layer.v1.tar+zstd";
	return docker ? "application/vnd.docker.image.rootfs.diff.tar.gzip"
		      : "application/vnd.oci.image.layer.v1.tar+gzip";
}

static int repacked(struct from_store *x, struct image_doc *ret, struct skf_err *e)
{
	size_t all = x->image->layers.n ? x->image->layers.n : 1, n = 0;
	struct image_renamed *now = skf_arena_array(&x->x.a, all, sizeof(*now));
	x->v = x->v ? x->v : skf_arena_array(&x->x.a, all, sizeof(*x->v));
	if (!now || !x->v)
		return skf_fail(e, SKF_ENOMEM, "layers of '%s'", x->image->manifest.s);
	if (x->n == 0 && pack_lost(x, now, &n, e) < 0)
		return -1;
	if (!n)
		return 0;
	x->x.made = true;
	for (size_t i = 0; i < n; i++)
		now[i].type = type_of(ret->type, x->x.pack_as);
	return image_manifest_rename(&ret->b, now, n, e) < 0 || image_doc_name(ret, NULL, e) < 0 ? -1 : 0;
}

static int store_manifest(struct image_from *f, const struct skf_digest *d, struct image_doc *ret,
			  struct skf_err *e)
{
	struct from_store *x = (struct from_store *)f;
	bool index = !d && f->all && !skf_digest_eq(&x->ref.top, &x->image->manifest);
	if (index)
		return store_doc(x, &x->ref.top, ret, e);
	if (store_doc(x, d ? d : &x->image->manifest, ret, e) < 0)
		return d ? skf_ctx(e, "the store does not hold this platform of the image") : -1;
	return f->preserve || ret->kind != SKF_MEDIA_MANIFEST ||
			       !skf_digest_eq(&ret->digest, &x->image->manifest)
		       ? 0
		       : repacked(x, ret, e);
}

static int64_t through_read(void *arg, uint64_t off, void *p, size_t n, struct skf_err *e)
{
	return image_through_read(arg, off, p, n, e);
}

static void through_close(void *arg)
{
	image_through_free(arg);
}

static int from_origin(struct from_store *x, const struct skf_desc *d, struct image_reader *ret,
		       struct skf_err *e)
{
	if (!x->origin.repo[0])
		return skf_fail(e, SKF_ENOTFOUND,
				"the store did not keep blob '%s', and the image came from no registry that "
				"could give it",
				d->digest.s);
	struct image_through *t = image_through_new(x->x.peer, &x->origin, &x->x.place->how, d);
	if (!t)
		return skf_fail(e, SKF_ENOMEM, "blob '%s'", d->digest.s);
	*ret = (struct image_reader){through_read, through_close, t};
	return 0;
}

/* A layer that the manifest names uncompressed is packed again bit for bit. 1 and a file, 0 no such layer,
 * -1. */
static int pack_plain(struct from_store *x, const struct skf_desc *d, int *ret_fd, struct skf_err *e)
{
	const struct skf_image_layer *l = x->image->layers.v;
	struct skf_digest got;
	uint64_t size;
	for (size_t i = 0; i < x->image->layers.n; i++)
		if (skf_digest_eq(&l[i].digest, &d->digest) && skf_digest_eq(&l[i].diff_id, &d->digest))
			return image_repack_layer(x->x.store, &l[i].diff_id, SKF_MEDIA_LAYER_TAR, ret_fd,
						  &got, &size, e) < 0
				       ? -1
				       : 1;
	return 0;
}

static int store_blob(struct image_from *f, const struct skf_desc *d, struct image_reader *ret,
		      struct skf_err *e)
{
	struct from_store *x = (struct from_store *)f;
	struct image_region r = {-EBADF, true, 0, d->size};
	for (size_t i = 0; i < x->n && r.fd < 0; i++)
		if (skf_digest_eq(&x->v[i].digest, &d->digest)) {
			r.fd = skf_dup_cloexec(x->v[i].fd);
			if (r.fd < 0)
				return skf_fail_sys(e, r.fd, "packed layer '%s'", d->digest.s);
		}
	if (r.fd >= 0)
		return image_reader_file(&r, ret, e);
	int has = skf_store_blob_has(f->store, &d->digest, e);
	int packed = has ? 0 : pack_plain(x, d, &r.fd, e);
	if (has < 0 || packed < 0)
		return -1;
	if (packed)
		return image_reader_file(&r, ret, e);
	if (!has)
		return from_origin(x, d, ret, e);
	if (skf_store_blob_open(f->store, &d->digest, &r.fd, &r.size, e) < 0)
		return -1;
	return image_reader_file(&r, ret, e);
}

static void store_free(struct image_from *f)
{
	struct from_store *x = (struct from_store *)f;
	for (size_t i = 0; i < x->n; i++)
		skf_closep(&x->v[i].fd);
	skf_lease_free(x->lease);
}

int image_from_store(struct image_from **f, struct skf_err *e)
{
	static const struct image_from_ops ops = {store_manifest, store_blob, store_free};
	struct from_store *x = calloc(1, sizeof(*x));
	if (!x)
		return skf_fail(e, SKF_ENOMEM, "source");
	x->x = **f;
	x->x.ops = &ops;
	free(*f);
	*f = &x->x;
	if (skf_lease_new(x->x.store, &x->lease, e) < 0 ||
	    skf_store_resolve(x->x.store, x->x.place->name, &x->x.a, &x->image, &x->ref, e) < 0)
		return -1;
	const char *slash = x->image->from ? strchr(x->image->from, '/') : NULL;
	if (slash && (skf_fmt(x->origin.registry, sizeof(x->origin.registry), "%.*s",
			      (int)(slash - x->image->from), x->image->from) < 0 ||
		      skf_fmt(x->origin.repo, sizeof(x->origin.repo), "%s", slash + 1) < 0))
		x->origin.repo[0] = 0;
	return 0;
}
