/* cmd/image_load.c -- images of an archive or directory into the store: OCI layout, docker-archive, and both
 * in one.
 *
 * Every document is hashed against the descriptor that named it (those of a docker-archive, which have none,
 * get the digest of what they are), every layer against the diff-id of the config. What an archive has
 * beside its images is not read. Invariants: 1. the lease names a digest before it is used or made; 2. the
 * record of an image is written when all of it is there and synced, its names last. T38-T50 are its enemies.
 * Blocks on the disk. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_load_int.h"
#include "registry/registry.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NAME_CTD "io.containerd.image.name"
#define NAME_OCI "org.opencontainers.image.ref.name"
#define ATTEST   "vnd.docker.reference.type"

/* --- one image --- */
static void tell(struct load *l, const char *name, const struct skf_digest *config)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_REF_BYTES * 2);

	skf_buf_fmt(&b, "%s\t%s\n", name, config->s);
	if (!b.err)
		image_send_text(l->peer, b.p, b.len);
}

static int put_image(struct load *l, const struct image_new *im, const struct skf_digest *top,
		     const struct skf_strv *names, struct skf_err *e)
{
	struct skf_strv one = {0};
	char full[SKF_MAX_REF_BYTES + 1];

	if (!names->n && l->name[0]) {
		if (skf_strv_add(&l->a, &one, l->name) < 0)
			return skf_fail(e, SKF_ENOMEM, "name of an image");
		names = &one;
	}
	if (image_record(im, top, names, e) < 0)
		return -1;
	l->n_images++;
	for (size_t i = 0; i < names->n; i++) {
		struct skf_ref ref;

		if (skf_ref_parse(names->v[i], &ref, e) < 0)
			return -1;
		skf_ref_full(&ref, full);
		tell(l, full, im->config);
	}
	if (!names->n)
		tell(l, "", im->config);
	return 0;
}

static int read_doc(struct load *l, const struct skf_desc *d, size_t max, struct skf_buf *b,
		    struct skf_err *e)
{
	char name[SKF_DIGEST_MAX + 16];
	struct skf_digest got;
	int r;

	if (skf_fmt(name, sizeof(name), "blobs/%s/%s", skf_digest_alg(&d->digest),
		    skf_digest_hex(&d->digest)) < 0)
		return skf_fail(e, SKF_EBUG, "name of a blob");
	r = image_src_small(l->src, name, max, b, e);
	if (r < 0)
		return -1;
	if (r == 0)
		return skf_fail(e, SKF_ENOTFOUND, "the archive has no '%s', which it refers to", name);
	if (skf_registry_digest(&d->digest, b->p, b->len, &got, e) < 0)
		return -1;
	if (!skf_digest_eq(&got, &d->digest) || (d->size && d->size != b->len))
		return skf_fail(
			e, SKF_ECORRUPT,
			"'%s' of the archive is not what its name says: expected %llu bytes, got %zu of %s",
			d->digest.s, (unsigned long long)d->size, b->len, got.s);
	if (skf_lease_add(l->lease, &got, e) < 0 || skf_store_blob_put(l->store, &got, b->p, b->len, e) < 0)
		return -1;
	return 0;
}

static int read_config(struct load *l, const struct skf_buf *b, const char *what, size_t n_layers,
		       struct skf_image_config **ret, struct skf_err *e)
{
	if (skf_image_config_parse(skf_buf_cstr(b), b->len, &l->a, ret, e) < 0)
		return skf_ctx(e, "config '%s'", what);
	if ((*ret)->diff_ids.n != n_layers)
		return skf_fail(e, SKF_ECORRUPT, "config '%s' names %zu layers, the image has %zu", what,
				(*ret)->diff_ids.n, n_layers);
	return 0;
}

static struct lay *new_lays(struct load *l, size_t n, const struct skf_image_config *c)
{
	struct lay *v = skf_arena_array(&l->a, n ? n : 1, sizeof(*v));
	const struct skf_digest *ids = c->diff_ids.v;

	for (size_t i = 0; v && i < n; i++) {
		v[i].diff_id = ids[i];
		v[i].region.fd = -EBADF;
	}
	return v;
}

static void lays_done(struct lay *v, size_t n)
{
	for (size_t i = 0; i < n; i++)
		image_region_done(&v[i].region);
}

/* A missing layer matters only when the store has not got it. */
static int find_layer(struct load *l, struct lay *y, const char *name, struct skf_err *e)
{
	struct skf_layer_info info;
	int r = image_src_find(l->src, name, &y->region, e);

	if (r == 0) {
		r = skf_store_layer_has(l->store, &y->diff_id, &info, e);
		if (r == 0 || r == 2)
			return skf_fail(e, SKF_ENOTFOUND,
					"the archive has no '%.160s', a layer of the image, and the store "
					"has not got it",
					name);
	}
	return r < 0 ? -1 : 0;
}

static int oci_layers(struct load *l, const struct skf_manifest *m, struct lay *v,
		      struct skf_image_layer *out, struct skf_err *e)
{
	const struct skf_desc *d = m->layers.v;
	char name[SKF_DIGEST_MAX + 16];

	for (size_t i = 0; i < m->layers.n; i++) {
		if (d[i].media != SKF_MEDIA_LAYER_TAR && d[i].media != SKF_MEDIA_LAYER_GZIP &&
		    d[i].media != SKF_MEDIA_LAYER_ZSTD)
			return skf_fail(e, SKF_EUNSUPPORTED,
					"layer '%s' has the media type '%.100s', which cannot be unpacked",
					d[i].digest.s, d[i].media_type);
		if (skf_fmt(name, sizeof(name), "blobs/%s/%s", skf_digest_alg(&d[i].digest),
			    skf_digest_hex(&d[i].digest)) < 0)
			return skf_fail(e, SKF_EBUG, "name of a blob");
		v[i].desc = d[i];
		out[i] = (struct skf_image_layer){d[i].digest, v[i].diff_id, d[i].size};
		if (find_layer(l, &v[i], name, e) < 0)
			return -1;
	}
	return image_load_layers(l, v, m->layers.n, e);
}

static int load_manifest(struct load *l, const struct skf_digest *top, const struct skf_desc *d,
			 const struct skf_strv *names, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1), cb = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES + 1);
	struct skf_image_config *c;
	struct skf_image_layer *out;
	struct skf_manifest *m;
	struct lay *v;
	int r;

	if (read_doc(l, d, SKF_MAX_MANIFEST_BYTES, &b, e) < 0)
		return -1;
	if (skf_manifest_parse(skf_buf_cstr(&b), b.len, d->media_type ? d->media_type : "", &l->a, &m, e) <
	    0)
		return skf_ctx(e, "manifest '%s'", d->digest.s);
	if (m->config.media != SKF_MEDIA_CONFIG)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"'%s' is no container image: its config has the media type '%.100s'",
				d->digest.s, m->config.media_type);
	if (read_doc(l, &m->config, SKF_MAX_CONFIG_BLOB_BYTES, &cb, e) < 0 ||
	    read_config(l, &cb, m->config.digest.s, m->layers.n, &c, e) < 0)
		return -1;
	v = new_lays(l, m->layers.n, c);
	out = skf_arena_array(&l->a, m->layers.n ? m->layers.n : 1, sizeof(*out));
	if (!v || !out)
		return skf_fail(e, SKF_ENOMEM, "layers of '%s'", d->digest.s);
	r = oci_layers(l, m, v, out, e);
	lays_done(v, m->layers.n);
	const struct image_new im = {l->store,          l->lease,      &l->a,      &d->digest,
				     &m->config.digest, m->media_type, c->created, "archive",
				     &c->platform,      out,           m->layers.n};
	return r < 0 ? -1 : put_image(l, &im, top, names, e);
}

/* --- OCI layout --- */
static const char *base_name(const char *s)
{
	const char *slash = strrchr(s, '/');

	return slash ? slash + 1 : s;
}

/* docker writes names into manifest.json beside index.json. */
static int docker_names(struct load *l, const struct skf_digest *config, struct skf_strv *names,
			struct skf_err *e)
{
	const struct image_docker_entry *v = l->docker.v;
	const char *hex = skf_digest_hex(config);

	for (size_t i = 0; i < l->docker.n; i++) {
		if (strncmp(base_name(v[i].config), hex, strlen(hex)) != 0)
			continue;
		for (size_t k = 0; k < v[i].tags.n; k++)
			if (skf_strv_add(&l->a, names, v[i].tags.v[k]) < 0)
				return skf_fail(e, SKF_ENOMEM, "names of an image");
	}
	return 0;
}

static int oci_names(struct load *l, const struct skf_desc *d, struct skf_strv *names, struct skf_err *e)
{
	const char *s = skf_kvs_get(&d->annotations, NAME_CTD);

	if (!s) {
		s = skf_kvs_get(&d->annotations, NAME_OCI);
		if (s && !strpbrk(s, ":/"))
			s = NULL; /* a tag alone names no image */
	}
	return s && skf_strv_add(&l->a, names, s) < 0 ? skf_fail(e, SKF_ENOMEM, "names of an image") : 0;
}

static int manifest_config(struct load *l, const struct skf_desc *d, struct skf_digest *ret,
			   struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1);
	struct skf_manifest *m;

	if (read_doc(l, d, SKF_MAX_MANIFEST_BYTES, &b, e) < 0 ||
	    skf_manifest_parse(skf_buf_cstr(&b), b.len, d->media_type ? d->media_type : "", &l->a, &m, e) <
		    0)
		return -1;
	*ret = m->config.digest;
	return 0;
}

static int load_top(struct load *l, const struct skf_desc *d, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1);
	const struct skf_desc *chosen = d;
	struct skf_strv names = {0};
	struct skf_digest config;
	struct skf_index *x;

	if (skf_kvs_get(&d->annotations, ATTEST))
		return 0;
	if (d->media == SKF_MEDIA_INDEX) {
		if (read_doc(l, d, SKF_MAX_MANIFEST_BYTES, &b, e) < 0 ||
		    skf_index_parse(skf_buf_cstr(&b), b.len, d->media_type ? d->media_type : "", &l->a, &x,
				    e) < 0 ||
		    skf_index_choose(x, &l->platform, &chosen, e) < 0)
			return skf_ctx(e, "index '%s'", d->digest.s);
	}
	if (chosen->media != SKF_MEDIA_MANIFEST)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"'%s' of the archive has the media type '%.100s', which is no image",
				chosen->digest.s, chosen->media_type);
	if (oci_names(l, d, &names, e) < 0)
		return -1;
	if (!names.n && l->has_docker &&
	    (manifest_config(l, chosen, &config, e) < 0 || docker_names(l, &config, &names, e) < 0))
		return -1;
	return load_manifest(l, &d->digest, chosen, &names, e);
}

static int load_oci(struct load *l, const struct skf_buf *b, struct skf_err *e)
{
	const struct skf_desc *d;
	struct skf_index *x;

	if (skf_index_parse(skf_buf_cstr(b), b->len, "", &l->a, &x, e) < 0)
		return skf_ctx(e, "index.json");
	d = x->manifests.v;
	for (size_t i = 0; i < x->manifests.n; i++)
		if (load_top(l, &d[i], e) < 0)
			return -1;
	return 0;
}

/* --- docker-archive --- */
/* As the layers of the image that is made of it: uncompressed, under their diff-ids. */
static int docker_out(struct load *l, const struct lay *v, struct skf_image_layer *out, size_t n,
		      struct skf_err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct skf_packed p;

		if (skf_pack_layer_plan(l->store, &v[i].diff_id, &p, e) < 0)
			return -1;
		out[i] = (struct skf_image_layer){v[i].diff_id, v[i].diff_id,
						  p.exact ? p.size : v[i].region.size};
	}
	return 0;
}

static int load_entry(struct load *l, const struct image_docker_entry *x, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf cb = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES + 1), mb = SKF_BUF(SKF_MAX_MANIFEST_BYTES);
	struct skf_digest config, manifest;
	struct skf_image_config *c;
	struct skf_image_layer *out;
	struct lay *v;
	int r = image_src_small(l->src, x->config, SKF_MAX_CONFIG_BLOB_BYTES, &cb, e);

	if (r <= 0)
		return r < 0 ? -1
			     : skf_fail(e, SKF_ENOTFOUND,
					"the archive has no '%.160s', the config of an image", x->config);
	if (read_config(l, &cb, x->config, x->layers.n, &c, e) < 0 ||
	    image_keep_doc(l->store, l->lease, &cb, &config, e) < 0)
		return -1;
	if (skf_is_hex(base_name(x->config), 64) &&
	    strcmp(base_name(x->config), skf_digest_hex(&config)) != 0)
		return skf_fail(e, SKF_ECORRUPT,
				"the config '%.160s' of the archive is not what its name says: it is %s",
				x->config, config.s);
	v = new_lays(l, x->layers.n, c);
	out = skf_arena_array(&l->a, x->layers.n ? x->layers.n : 1, sizeof(*out));
	if (!v || !out)
		return skf_fail(e, SKF_ENOMEM, "layers of '%s'", config.s);
	for (size_t i = 0; r >= 0 && i < x->layers.n; i++)
		r = find_layer(l, &v[i], x->layers.v[i], e);
	if (r >= 0 &&
	    (image_load_layers(l, v, x->layers.n, e) < 0 || docker_out(l, v, out, x->layers.n, e) < 0))
		r = -1;
	lays_done(v, x->layers.n);
	if (r < 0)
		return -1;
	image_write_manifest(&mb, SKF_OCI_MANIFEST, &config, cb.len, out, x->layers.n, SKF_COMP_NONE, NULL);
	if (image_keep_doc(l->store, l->lease, &mb, &manifest, e) < 0)
		return -1;
	const struct image_new im = {l->store,   l->lease,   &l->a,
				     &manifest,  &config,    "application/vnd.oci.image.manifest.v1+json",
				     c->created, "archive",  &c->platform,
				     out,        x->layers.n};
	return put_image(l, &im, &manifest, &x->tags, e);
}

static int load_docker(struct load *l, struct skf_err *e)
{
	const struct image_docker_entry *v = l->docker.v;

	for (size_t i = 0; i < l->docker.n; i++)
		if (load_entry(l, &v[i], e) < 0)
			return -1;
	return 0;
}

/* --- request --- */
static int load_all(struct load *l, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1);
	int docker = image_docker_read(l->src, &l->a, &l->docker, e),
	    oci = docker < 0 ? -1 : image_src_small(l->src, "index.json", SKF_MAX_MANIFEST_BYTES, &b, e);

	if (oci < 0)
		return -1;
	l->has_docker = docker == 1;
	if (!oci && !docker)
		return skf_fail(e, SKF_EINVALID,
				"this is no archive of images: it has neither index.json (OCI) nor "
				"manifest.json (docker); for a file system, "
				"use 'skiff import'");
	if ((oci ? load_oci(l, &b, e) : load_docker(l, e)) < 0)
		return -1;
	return l->n_images ? 0 : skf_fail(e, SKF_ENOTFOUND, "the archive has no image");
}

int image_serve_load(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		     struct skf_err *e)
{
	const char *root = skf_recr_str(q), *platform = skf_recr_str(q), *name = skf_recr_str(q);
	struct load l = {.peer = peer, .name = name, .a = SKF_ARENA(SKF_MAX_ARENA_DOC)};
	int r = 0;

	if (q->bad || peer->fds->n != 1)
		return skf_fail(e, SKF_EINVALID, "the load request is cut short");
	if (platform[0])
		r = skf_platform_parse(platform, &l.platform, e);
	else
		skf_platform_host(&l.platform);
	if (r < 0 || skf_store_open(root, true, &l.store, e) < 0 ||
	    skf_lease_new(l.store, &l.lease, e) < 0 ||
	    image_src_open(peer, l.store, peer->fds->fd[0], &l.src, e) < 0 || load_all(&l, e) < 0)
		r = -1;
	image_src_free(l.src);
	skf_lease_free(l.lease);
	skf_store_free(l.store);
	skf_arena_done(&l.a);
	if (r == 0)
		image_put_done(answer);
	return r;
}
