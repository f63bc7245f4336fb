/* cmd/image_from_docker.c -- images of docker's archives, from a file or from docker's daemon: a manifest is
 * made for them, of docker's schema 2.
 *
 * The archive's layers are the blobs, as they are there: an uncompressed one has its diff-id as digest, of a
 * compressed one it is computed. What the config says of diff-ids is checked by the reader of the blob.
 * Blocks: disk, daemon. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_place.h"
#include "store/inflate.h"
#include <stdlib.h>
#include <string.h>

struct piece {
	struct skf_digest digest;
	struct image_region region;
	enum skf_compression c;
};
struct from_docker {
	struct image_from x;
	struct image_daemon *daemon;
	const struct image_docker_entry *entry;
	struct skf_buf config;
	struct skf_digest config_digest;
	struct piece *v;
	size_t n;
};

static bool named(const struct image_docker_entry *d, const char *want)
{
	struct skf_err none = SKF_ERR_INIT;
	struct skf_ref a, b;
	bool ref = skf_ref_parse(want, &a, &none) == 0;
	for (size_t i = 0; i < d->tags.n; i++)
		if (skf_streq(d->tags.v[i], want) || (ref && skf_ref_parse(d->tags.v[i], &b, &none) == 0 &&
						      skf_streq(a.registry, b.registry) &&
						      skf_streq(a.repo, b.repo) && skf_streq(a.tag, b.tag)))
			return true;
	return false;
}

static int choose(struct from_docker *x, const struct skf_jarr *list, struct skf_err *e)
{
	const struct image_docker_entry *v = list->v;
	const char *name = x->x.place->kind == SKF_PLACE_DAEMON ? "" : x->x.place->name;
	if (!*name && list->n != 1)
		return skf_fail(e, SKF_EINVALID, "the archive has %zu images, name one of them", list->n);
	for (size_t i = 0; i < list->n && !x->entry; i++)
		if (!*name || named(&v[i], name))
			x->entry = &v[i];
	return x->entry ? 0 : skf_fail(e, SKF_ENOTFOUND, "the archive has no image named '%.120s'", name);
}

static int to_packer(void *arg, const void *p, size_t n, struct skf_err *e)
{
	return skf_packer_write(arg, p, n, e);
}

/* Digest of a layer whose bytes are compressed in the archive. */
static int hash(struct from_docker *x, struct piece *p, struct skf_err *e)
{
	const struct skf_pack_sink nowhere = {NULL, NULL};
	SKF_AUTO(skf_packer_freep) struct skf_packer *k = NULL;
	struct skf_packed got;
	if (skf_packer_new(SKF_COMP_NONE, -1, &nowhere, &k, e) < 0 ||
	    image_region_read(x->x.peer, &p->region, to_packer, k, e) < 0 || skf_packer_end(k, &got, e) < 0)
		return -1;
	p->digest = got.diff_id;
	return 0;
}

static int look(struct from_docker *x, const struct skf_digest *diff_id, const char *name, struct piece *p,
		struct skf_err *e)
{
	uint8_t head[8] = {0};
	struct image_reader rd;
	int found = image_src_find(x->x.src, name, &p->region, e);
	if (found <= 0)
		return found < 0 ? -1
				 : skf_fail(e, SKF_ENOTFOUND,
					    "the archive has no '%.160s', a layer of the image", name);
	struct image_region copy = {p->region.fd, false, p->region.off, p->region.size};
	if (image_reader_file(&copy, &rd, e) < 0)
		return -1;
	int64_t n = p->region.size ? rd.read(rd.arg, 0, head, sizeof(head), e) : 0;
	rd.close(rd.arg);
	if (n < 0)
		return -1;
	p->c = skf_compression_of(head, (size_t)n);
	p->digest = *diff_id;
	return p->c == SKF_COMP_GZIP || p->c == SKF_COMP_ZSTD ? hash(x, p, e) : 0;
}

static int look_at_all(struct from_docker *x, struct skf_err *e)
{
	struct skf_image_config *c;
	int r = image_src_small(x->x.src, x->entry->config, SKF_MAX_CONFIG_BLOB_BYTES, &x->config, e);
	if (r <= 0)
		return r < 0 ? -1
			     : skf_fail(e, SKF_ENOTFOUND,
					"the archive has no '%.160s', the config of an image",
					x->entry->config);
	if (skf_unpack_sha256(x->config.p, x->config.len, &x->config_digest, e) < 0 ||
	    skf_image_config_parse(skf_buf_cstr(&x->config), x->config.len, &x->x.a, &c, e) < 0)
		return skf_ctx(e, "config '%.160s' of the archive", x->entry->config);
	if (c->diff_ids.n != x->entry->layers.n)
		return skf_fail(e, SKF_ECORRUPT,
				"the config of the archive names %zu layers, its image has %zu",
				c->diff_ids.n, x->entry->layers.n);
	x->v = skf_arena_array(&x->x.a, c->diff_ids.n ? c->diff_ids.n : 1, sizeof(*x->v));
	if (!x->v)
		return skf_fail(e, SKF_ENOMEM, "layers of the archive");
	for (size_t i = 0; i < c->diff_ids.n; i++, x->n++)
		if (look(x, &((struct skf_digest *)c->diff_ids.v)[i], x->entry->layers.v[i], &x->v[i], e) <
		    0)
			return -1;
	return 0;
}

static void put_desc(struct skf_jw *w, const char *type, const struct skf_digest *d, uint64_t size)
{
	skf_jw_kstr(w, "mediaType", type);
	skf_jw_ku64(w, "size", size);
	skf_jw_kstr(w, "digest", d->s);
}

static int docker_manifest(struct image_from *f, const struct skf_digest *d, struct image_doc *ret,
			   struct skf_err *e)
{
	static const char type[] = "application/vnd.docker.distribution.manifest.v2+json";
	struct from_docker *x = (struct from_docker *)f;
	struct skf_jw w = SKF_JW(&ret->b);
	skf_jw_obj(&w);
	skf_jw_kint(&w, "schemaVersion", 2);
	skf_jw_kstr(&w, "mediaType", type);
	skf_jw_kobj(&w, "config");
	put_desc(&w, "application/vnd.docker.container.image.v1+json", &x->config_digest, x->config.len);
	skf_jw_end(&w);
	skf_jw_karr(&w, "layers");
	for (size_t i = 0; i < x->n; i++) {
		skf_jw_obj(&w);
		put_desc(&w,
			 x->v[i].c == SKF_COMP_GZIP   ? "application/vnd.docker.image.rootfs.diff.tar.gzip"
			 : x->v[i].c == SKF_COMP_ZSTD ? "application/vnd.docker.image.rootfs.diff.tar.zstd"
						      : "application/vnd.docker.image.rootfs.diff.tar",
			 &x->v[i].digest, x->v[i].region.size);
		skf_jw_end(&w);
	}
	skf_jw_end_arr(&w);
	skf_jw_end(&w);
	memcpy(ret->type, type, sizeof(type));
	if (image_doc_name(ret, NULL, e) < 0)
		return -1;
	if (d && !skf_digest_eq(d, &ret->digest))
		return skf_fail(e, SKF_ENOTFOUND, "the archive has no manifest '%s'", d->s);
	return image_doc_kind(ret, e);
}

static int64_t config_read(void *arg, uint64_t off, void *p, size_t n, struct skf_err *e)
{
	const struct skf_buf *b = arg;
	if (off >= b->len)
		return skf_fail(e, SKF_ECORRUPT, "the config has %zu bytes, more were expected", b->len);
	n = n < b->len - off ? n : b->len - (size_t)off;
	memcpy(p, b->p + off, n);
	return (int64_t)n;
}

static int docker_blob(struct image_from *f, const struct skf_desc *d, struct image_reader *ret,
		       struct skf_err *e)
{
	struct from_docker *x = (struct from_docker *)f;
	if (skf_digest_eq(&d->digest, &x->config_digest)) {
		*ret = (struct image_reader){config_read, NULL, &x->config};
		return 0;
	}
	for (size_t i = 0; i < x->n; i++)
		if (skf_digest_eq(&d->digest, &x->v[i].digest)) {
			struct image_region r = {x->v[i].region.fd, false, x->v[i].region.off,
						 x->v[i].region.size};
			return image_reader_file(&r, ret, e);
		}
	return skf_fail(e, SKF_ENOTFOUND, "the archive has no blob '%s'", d->digest.s);
}

static void docker_free(struct image_from *f)
{
	struct from_docker *x = (struct from_docker *)f;
	struct skf_err ignored = SKF_ERR_INIT; /* only left when opening failed, and then that is told */
	image_daemon_end(x->daemon, true, &ignored);
	for (size_t i = 0; i < x->n; i++)
		image_region_done(&x->v[i].region);
	skf_buf_done(&x->config);
}

/* "reference\npath of the socket" */
static int open_daemon(struct from_docker *x, struct skf_err *e)
{
	const char *nl = strchr(x->x.place->name, '\n');
	char *name = nl ? skf_arena_dup(&x->x.a, x->x.place->name, (size_t)(nl - x->x.place->name)) : NULL;
	struct skf_err why = SKF_ERR_INIT;
	int fd;
	if (!name)
		return skf_fail(e, SKF_EINVALID, "the daemon's socket is not named");
	if (image_daemon_get(x->x.peer, nl + 1, name, &x->daemon, &fd, e) < 0)
		return -1;
	int r = image_src_open(x->x.peer, x->x.store, fd, &x->x.src, e);
	if (image_daemon_end(SKF_TAKE(x->daemon), r < 0, &why) < 0 && why.kind) {
		*e = why; /* what the daemon says explains what is wrong with its archive */
		return -1;
	}
	return r;
}

int image_from_docker(struct image_from **x, struct skf_err *e)
{
	static const struct image_from_ops ops = {docker_manifest, docker_blob, docker_free};
	struct from_docker *d = calloc(1, sizeof(*d));
	struct skf_jarr list;
	if (!d)
		return skf_fail(e, SKF_ENOMEM, "source");
	d->x = **x;
	d->x.ops = &ops;
	d->x.made = true;
	d->config = (struct skf_buf)SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES + 1);
	free(*x);
	*x = &d->x;
	if ((d->x.place->kind == SKF_PLACE_DAEMON
		     ? open_daemon(d, e)
		     : image_src_open(d->x.peer, d->x.store, d->x.place->fd, &d->x.src, e)) < 0)
		return -1;
	int has = image_docker_read(d->x.src, &d->x.a, &list, e);
	if (has <= 0)
		return has < 0 ? -1
			       : skf_fail(e, SKF_EINVALID,
					  "this is no docker archive: it has no manifest.json");
	return choose(d, &list, e) < 0 || look_at_all(d, e) < 0 ? -1 : 0;
}
