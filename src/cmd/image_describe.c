/* cmd/image_describe.c -- what an image is, as descriptors with platforms: for lists of platforms that are
 * put together of several images. Blocks: network. */
#include "base/limits.h"
#include "cmd/image_place.h"
#include "registry/wire.h"
#include <string.h>

int image_place_get(const struct image_peer *peer, struct image_place *p, struct skf_recr *q,
		    struct skf_err *e)
{
	p->kind = skf_recr_u32(q);
	p->name = skf_recr_str(q);
	uint32_t fd = skf_recr_u32(q);
	p->how.docker_config = skf_recr_str(q);
	p->how.certs_dir = skf_recr_str(q);
	p->how.auth_file = skf_recr_str(q);
	p->how.user = skf_recr_str(q);
	p->how.password = skf_recr_str(q);
	image_how_flags(&p->how, q);
	p->fd = fd && fd <= peer->fds->n ? peer->fds->fd[fd - 1] : -1;
	bool wants = p->kind == SKF_PLACE_OCI || p->kind == SKF_PLACE_DOCKER_ARCHIVE ||
		     p->kind == SKF_PLACE_DIR || p->kind == SKF_PLACE_LIST;
	if (q->bad || wants != (p->fd >= 0))
		return skf_fail(e, SKF_EINVALID, "a place of the request is cut short");
	return p->kind == SKF_PLACE_REGISTRY ? image_how_bind(&p->how, p->name, e) : 0;
}

struct describe {
	const struct image_peer *peer;
	const char *root, *platform;
	struct image_place place;
	uint32_t flags;
	struct skf_arena a;
	struct image_from *from;
	struct skf_buf out;
};

static void put_platform(struct skf_jw *w, const struct skf_platform *p)
{
	skf_jw_kobj(w, "platform");
	skf_jw_kstr(w, "architecture", p->arch);
	skf_jw_kstr(w, "os", p->os);
	if (p->variant[0])
		skf_jw_kstr(w, "variant", p->variant);
	skf_jw_end(w);
}

static void put_row(struct skf_jw *w, const struct skf_desc *d)
{
	skf_jw_obj(w);
	skf_jw_kstr(w, "mediaType", d->media_type);
	skf_jw_kstr(w, "digest", d->digest.s);
	skf_jw_ku64(w, "size", d->size);
	if (d->artifact_type)
		skf_jw_kstr(w, "artifactType", d->artifact_type);
	if (d->has_platform)
		put_platform(w, &d->platform);
	if (d->annotations.n)
		skf_jw_kkvs(w, "annotations", &d->annotations);
	skf_jw_end(w);
}

/* A lone manifest: its config says for which platform. */
static int describe_one(struct describe *x, const struct image_doc *doc, struct skf_jw *w, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES + 1);
	char type[sizeof(doc->type)];
	struct skf_desc d = {.media_type = type, .digest = doc->digest, .size = doc->b.len};
	struct skf_image_config *c;
	struct skf_manifest *m;
	memcpy(type, doc->type, sizeof(type));
	if (skf_manifest_parse(skf_buf_cstr(&doc->b), doc->b.len, doc->type, &x->a, &m, e) < 0)
		return skf_ctx(e, "manifest '%s'", doc->digest.s);
	if (m->config.media == SKF_MEDIA_CONFIG) {
		if (image_from_small(x->from, &m->config, SKF_MAX_CONFIG_BLOB_BYTES, &b, e) < 0 ||
		    skf_image_config_parse(skf_buf_cstr(&b), b.len, &x->a, &c, e) < 0)
			return skf_ctx(e, "config '%s'", m->config.digest.s);
		d.platform = c->platform;
		d.has_platform = true;
	}
	put_row(w, &d);
	return 0;
}

static int describe_index(struct describe *x, const struct image_doc *doc, struct skf_jw *w,
			  struct skf_err *e)
{
	const struct skf_desc *d, *chosen = NULL;
	struct skf_platform want;
	struct skf_index *index;
	if (skf_index_parse(skf_buf_cstr(&doc->b), doc->b.len, doc->type, &x->a, &index, e) < 0)
		return skf_ctx(e, "index '%s'", doc->digest.s);
	if (!x->platform[0])
		skf_platform_host(&want);
	else if (skf_platform_parse(x->platform, &want, e) < 0)
		return -1;
	if (!(x->flags & SKF_COPY_ALL) && skf_index_choose(index, &want, &chosen, e) < 0)
		return skf_ctx(e, "index '%s'", doc->digest.s);
	d = index->manifests.v;
	for (size_t i = 0; i < index->manifests.n; i++)
		if (!chosen || chosen == &d[i])
			put_row(w, &d[i]);
	return 0;
}

static int run(struct describe *x, struct skf_err *e)
{
	SKF_AUTO(image_doc_done) struct image_doc doc = IMAGE_DOC;
	struct skf_jw w = SKF_JW(&x->out);
	if (image_from_open(x->peer, x->root, &x->place, SKF_COPY_ALL | SKF_COPY_PRESERVE,
			    SKF_MEDIA_LAYER_TAR, &x->from, e) < 0 ||
	    x->from->ops->manifest(x->from, NULL, &doc, e) < 0)
		return -1;
	skf_jw_obj(&w);
	skf_jw_karr(&w, "manifests");
	if ((doc.kind == SKF_MEDIA_INDEX ? describe_index(x, &doc, &w, e) : describe_one(x, &doc, &w, e)) <
	    0)
		return -1;
	skf_jw_end_arr(&w);
	skf_jw_end(&w);
	if (x->out.err)
		return skf_fail_sys(e, x->out.err, "description of the image");
	image_send_text(x->peer, x->out.p, x->out.len);
	return 0;
}

int image_serve_describe(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
			 struct skf_err *e)
{
	struct describe x = {
		.peer = peer, .a = SKF_ARENA(SKF_MAX_ARENA_DOC), .out = SKF_BUF(SKF_MAX_MANIFEST_BYTES)};
	struct image_watch w = {.peer = peer, .stop_fd = -EBADF};
	x.root = skf_recr_str(q);
	int r = image_place_get(peer, &x.place, q, e);
	x.flags = skf_recr_u32(q);
	x.platform = skf_recr_str(q);
	if (r == 0)
		r = q->bad ? skf_fail(e, SKF_EINVALID, "the request is cut short")
			   : image_watch_start(&w, e);
	if (r == 0)
		r = run(&x, e);
	image_watch_stop(&w);
	image_from_free(x.from);
	skf_buf_done(&x.out);
	skf_arena_done(&x.a);
	if (r == 0)
		image_put_done(answer);
	return r;
}
