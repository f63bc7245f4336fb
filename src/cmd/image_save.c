/* cmd/image_save.c -- images of the store into an archive or directory: OCI layout, or what docker writes
 * now, which is an OCI layout and a docker-archive in one tar.
 *
 * Layers go uncompressed, bit for bit by their tar records (store/pack.h), so that the same image gives the
 * same file and its id stays what it is. The tar of a layer without a record has another diff-id: then the
 * config is rewritten with it, and the image in the archive has another id. Invariants:
 * 1. the lease names every digest before the first byte is written; 2. each blob is written once, in an
 * order that depends on the names only. Blocks on the disk or pipe. */
#include "base/fd.h"
#include "base/json.h"
#include "base/limits.h"
#include "cmd/image_archive.h"
#include "registry/registry.h"
#include <string.h>

struct saved {
	struct skf_image *image;
	struct skf_strv names; /* full, with tag */
	struct skf_digest config, manifest;
	struct skf_buf config_doc, manifest_doc;
	struct skf_image_layer *layers; /* as in the archive */
	struct skf_digest *from;        /* as in the store */
	struct skf_platform platform;
};
struct save {
	const struct image_peer *peer;
	struct skf_store *store;
	struct skf_lease *lease;
	struct skf_arena a;
	struct image_out out;
	struct saved *v;
	size_t n;
	bool docker;
};

/* --- which images --- */
static int add_word(struct save *x, const char *word, struct skf_err *e)
{
	char full[SKF_MAX_REF_BYTES + 1];
	struct skf_refrec ref;
	struct skf_image *i;
	struct saved *s = NULL;

	if (skf_store_resolve(x->store, word, &x->a, &i, &ref, e) < 0)
		return -1;
	for (size_t k = 0; k < x->n && !s; k++)
		if (skf_digest_eq(&x->v[k].image->manifest, &i->manifest))
			s = &x->v[k];
	if (!s) {
		s = &x->v[x->n++];
		s->image = i;
		s->config_doc = s->manifest_doc = (struct skf_buf)SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES);
	}
	if (!ref.ref.tag[0])
		return 0;
	ref.ref.digest.s[0] = 0;
	skf_ref_full(&ref.ref, full);
	for (size_t k = 0; k < s->names.n; k++)
		if (skf_streq(s->names.v[k], full))
			return 0;
	return skf_strv_add(&x->a, &s->names, full) < 0 ? skf_fail(e, SKF_ENOMEM, "names of an image") : 0;
}

/* --- documents --- */
/* Every occurrence of a diff-id by another, which may be of another algorithm. */
static int replace(struct skf_buf *b, const char *from, const char *to, struct skf_err *e)
{
	struct skf_buf out = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES);
	const char *at = skf_buf_cstr(b);

	for (const char *p; (p = strstr(at, from)) != NULL; at = p + strlen(from)) {
		skf_buf_put(&out, at, (size_t)(p - at));
		skf_buf_str(&out, to);
	}
	skf_buf_str(&out, at);
	skf_buf_done(b);
	*b = out;
	return b->err ? skf_fail_sys(e, b->err, "config of an image") : 0;
}

static int plan_layers(struct save *x, struct saved *s, struct skf_err *e)
{
	const struct skf_image_layer *l = s->image->layers.v;
	size_t n = s->image->layers.n;

	s->layers = skf_arena_array(&x->a, n ? n : 1, sizeof(*s->layers));
	s->from = skf_arena_array(&x->a, n ? n : 1, sizeof(*s->from));
	if (!s->layers || !s->from)
		return skf_fail(e, SKF_ENOMEM, "layers of '%s'", s->image->manifest.s);
	for (size_t i = 0; i < n; i++) {
		struct skf_packed p;

		if (image_check_cancel(x->peer, e) < 0 || skf_lease_add(x->lease, &l[i].diff_id, e) < 0 ||
		    skf_pack_layer_plan(x->store, &l[i].diff_id, &p, e) < 0)
			return -1;
		s->from[i] = l[i].diff_id;
		s->layers[i] = (struct skf_image_layer){p.digest, p.diff_id, p.size};
		if (!p.exact) {
			skf_warn(x->peer->log,
				 "layer '%s' has no tar record; it is written as '%s', and the image's id "
				 "changes",
				 l[i].diff_id.s, p.diff_id.s);
			if (replace(&s->config_doc, l[i].diff_id.s, p.diff_id.s, e) < 0)
				return -1;
		}
	}
	return 0;
}

static int plan_image(struct save *x, struct saved *s, struct skf_err *e)
{
	struct skf_image_config *c;

	if (skf_lease_add(x->lease, &s->image->manifest, e) < 0 ||
	    skf_lease_add(x->lease, &s->image->config, e) < 0 ||
	    skf_store_blob_read(x->store, &s->image->config, SKF_MAX_CONFIG_BLOB_BYTES, &s->config_doc, e) <
		    0 ||
	    plan_layers(x, s, e) < 0 ||
	    skf_registry_digest(&s->image->config, s->config_doc.p, s->config_doc.len, &s->config, e) < 0 ||
	    skf_image_config_parse(skf_buf_cstr(&s->config_doc), s->config_doc.len, &x->a, &c, e) < 0)
		return skf_ctx(e, "image '%s'", s->image->config.s);
	s->platform = c->platform;
	image_write_manifest(&s->manifest_doc, SKF_OCI_MANIFEST, &s->config, s->config_doc.len, s->layers,
			     s->image->layers.n, SKF_COMP_NONE, NULL);
	if (s->manifest_doc.err)
		return skf_fail_sys(e, s->manifest_doc.err, "manifest of '%s'", s->image->config.s);
	return skf_unpack_sha256(s->manifest_doc.p, s->manifest_doc.len, &s->manifest, e);
}

static void blob_name(const struct skf_digest *d, char out[160])
{
	if (skf_fmt(out, 160, "blobs/%s/%s", skf_digest_alg(d), skf_digest_hex(d)) < 0)
		out[0] = 0; /* cannot happen: a digest is shorter */
}

static int put_layers(struct save *x, const struct saved *s, struct skf_err *e)
{
	const struct skf_pack_sink sink = {image_out_write, &x->out};
	char name[160];

	for (size_t i = 0; i < s->image->layers.n; i++) {
		struct skf_packed p;

		blob_name(&s->layers[i].digest, name);
		if (image_out_has(&x->out, name))
			continue;
		if (image_out_begin(&x->out, name, s->layers[i].size, e) < 0 ||
		    skf_pack_layer_as(x->store, &s->from[i], SKF_COMP_NONE, -1, &sink, &p, e) < 0)
			return -1;
		if (!skf_digest_eq(&p.digest, &s->layers[i].digest))
			return skf_fail(e, SKF_ECORRUPT, "layer '%s' changed while it was read",
					s->from[i].s);
		if (image_out_end(&x->out, e) < 0)
			return -1;
	}
	return 0;
}

static int put_image(struct save *x, const struct saved *s, struct skf_err *e)
{
	char name[160];

	if (put_layers(x, s, e) < 0)
		return -1;
	blob_name(&s->config, name);
	if (image_out_small(&x->out, name, &s->config_doc, e) < 0)
		return -1;
	blob_name(&s->manifest, name);
	return image_out_small(&x->out, name, &s->manifest_doc, e);
}

static const char *tag_of(const char *full)
{
	return strrchr(full, ':') + 1;
}

static void index_row(struct skf_jw *w, const struct saved *s, const char *name)
{
	skf_jw_obj(w);
	skf_jw_kstr(w, "mediaType", "application/vnd.oci.image.manifest.v1+json");
	skf_jw_kstr(w, "digest", s->manifest.s);
	skf_jw_ku64(w, "size", s->manifest_doc.len);
	if (name) {
		skf_jw_kobj(w, "annotations");
		skf_jw_kstr(w, "io.containerd.image.name", name);
		skf_jw_kstr(w, "org.opencontainers.image.ref.name", tag_of(name));
		skf_jw_end(w);
	}
	skf_jw_kobj(w, "platform");
	skf_jw_kstr(w, "architecture", s->platform.arch);
	skf_jw_kstr(w, "os", s->platform.os);
	if (s->platform.variant[0])
		skf_jw_kstr(w, "variant", s->platform.variant);
	skf_jw_end(w);
	skf_jw_end(w);
}

static int put_index(struct save *x, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES), layout = SKF_BUF(128);
	struct skf_jw w = SKF_JW(&b);

	skf_buf_str(&layout, "{\"imageLayoutVersion\":\"1.0.0\"}");
	skf_jw_obj(&w);
	skf_jw_ku64(&w, "schemaVersion", 2);
	skf_jw_kstr(&w, "mediaType", "application/vnd.oci.image.index.v1+json");
	skf_jw_karr(&w, "manifests");
	for (size_t i = 0; i < x->n; i++) {
		for (size_t k = 0; k < x->v[i].names.n; k++)
			index_row(&w, &x->v[i], x->v[i].names.v[k]);
		if (!x->v[i].names.n)
			index_row(&w, &x->v[i], NULL);
	}
	skf_jw_end_arr(&w);
	skf_jw_end(&w);
	if (image_out_small(&x->out, "oci-layout", &layout, e) < 0)
		return -1;
	return image_out_small(&x->out, "index.json", &b, e);
}

/* docker's own names: without the default registry. */
static void familiar(const char *full, char name[SKF_MAX_REF_BYTES + 1])
{
	struct skf_err none = SKF_ERR_INIT;
	struct skf_ref r;

	name[0] = 0;
	if (skf_ref_parse(full, &r, &none) == 0)
		skf_ref_familiar_name(&r, name);
}

static int put_docker(struct save *x, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES), r = SKF_BUF(SKF_MAX_MANIFEST_BYTES);
	char name[160], repo[SKF_MAX_REF_BYTES + 1], both[SKF_MAX_REF_BYTES * 2];
	struct skf_jw w = SKF_JW(&b), wr = SKF_JW(&r);

	skf_jw_arr(&w);
	skf_jw_obj(&wr);
	for (size_t i = 0; i < x->n; i++) {
		const struct saved *s = &x->v[i];

		skf_jw_obj(&w);
		blob_name(&s->config, name);
		skf_jw_kstr(&w, "Config", name);
		skf_jw_karr(&w, "RepoTags");
		for (size_t k = 0; k < s->names.n; k++) {
			familiar(s->names.v[k], repo);
			if (skf_fmt(both, sizeof(both), "%s:%s", repo, tag_of(s->names.v[k])) == 0)
				skf_jw_str(&w, both);
		}
		skf_jw_end_arr(&w);
		skf_jw_karr(&w, "Layers");
		for (size_t k = 0; k < s->image->layers.n; k++) {
			blob_name(&s->layers[k].digest, name);
			skf_jw_str(&w, name);
		}
		skf_jw_end_arr(&w);
		skf_jw_end(&w);
	}
	skf_jw_end_arr(&w);
	/* One object per repository; a repository with several of the images has several tags in it. */
	for (size_t i = 0; i < x->n; i++)
		for (size_t k = 0; k < x->v[i].names.n; k++) {
			bool open = false, before = false;

			familiar(x->v[i].names.v[k], repo);
			for (size_t j = 0; j < x->n; j++)
				for (size_t m = 0; m < x->v[j].names.n; m++) {
					const struct saved *s = &x->v[j];
					char other[SKF_MAX_REF_BYTES + 1];

					familiar(s->names.v[m], other);
					if (!skf_streq(repo, other))
						continue;
					if (j < i || (j == i && m < k))
						before = true;
					if (before || !s->image->layers.n)
						continue;
					if (!open)
						skf_jw_kobj(&wr, repo);
					open = true;
					skf_jw_kstr(
						&wr, tag_of(s->names.v[m]),
						skf_digest_hex(&s->layers[s->image->layers.n - 1].digest));
				}
			if (open)
				skf_jw_end(&wr);
		}
	skf_jw_end(&wr);
	if (image_out_small(&x->out, "manifest.json", &b, e) < 0)
		return -1;
	return image_out_small(&x->out, "repositories", &r, e);
}

static int save_all(struct save *x, struct skf_err *e)
{
	for (size_t i = 0; i < x->n; i++)
		if (plan_image(x, &x->v[i], e) < 0)
			return -1;
	for (size_t i = 0; i < x->n; i++)
		if (put_image(x, &x->v[i], e) < 0)
			return -1;
	if ((x->docker && put_docker(x, e) < 0) || put_index(x, e) < 0)
		return -1;
	return image_out_finish(&x->out, e);
}

static int open_all(struct save *x, const char *root, struct skf_recr *q, struct skf_err *e)
{
	uint32_t n = skf_recr_u32(q);

	if (q->bad || n == 0 || n > SKF_MAX_INDEX_MANIFESTS)
		return skf_fail(e, SKF_EINVALID, "expected 1 to %d images to save, found %u",
				SKF_MAX_INDEX_MANIFESTS, n);
	x->v = skf_arena_array(&x->a, n, sizeof(*x->v));
	if (!x->v)
		return skf_fail(e, SKF_ENOMEM, "%u images", n);
	if (skf_store_open(root, false, &x->store, e) < 0 || skf_lease_new(x->store, &x->lease, e) < 0 ||
	    image_out_init(&x->out, x->peer, x->peer->fds->fd[0], &x->a, e) < 0 ||
	    (x->out.dir && image_out_layout(&x->out, e) < 0))
		return -1;
	for (uint32_t i = 0; i < n; i++)
		if (add_word(x, skf_recr_str(q), e) < 0)
			return -1;
	return q->bad ? skf_fail(e, SKF_EINVALID, "the save request is cut short") : 0;
}

int image_serve_save(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		     struct skf_err *e)
{
	const char *root = skf_recr_str(q);
	uint32_t what = skf_recr_u32(q);
	struct save x = {.peer = peer,
			 .a = SKF_ARENA(SKF_MAX_ARENA_DOC),
			 .docker = what == SKF_IMG_DOCKER_ARCHIVE,
			 .out.file = -EBADF};
	int r = 0;

	if (peer->fds->n != 1 || what > SKF_IMG_OCI)
		return skf_fail(e, SKF_EINVALID, "the save request is cut short");
	if (open_all(&x, root, q, e) < 0 || save_all(&x, e) < 0)
		r = -1;
	image_out_drop(&x.out);
	for (size_t i = 0; i < x.n; i++) {
		skf_buf_done(&x.v[i].config_doc);
		skf_buf_done(&x.v[i].manifest_doc);
	}
	skf_lease_free(x.lease);
	skf_store_free(x.store);
	skf_arena_done(&x.a);
	if (r == 0)
		image_put_done(answer);
	return r;
}
