/* registry/remote.c -- the distribution API beside pull and push: tags with pages, referrers with the
 * fallback tag, HEAD, delete.
 *
 * Invariants: 1. pages are followed on the registry's own origin only and at most MAX_PAGES deep; a page
 * that names itself again ends the list;
 * 2. the fallback index of a subject is read, extended and written back with what is unknown to us kept as
 * it is. Blocks: network. */
#include "base/arena.h"
#include "base/json.h"
#include "registry/registry_int.h"
#include <string.h>

#define MAX_PAGES   1000
#define PAGE        1000 /* entries asked for; the registry may give fewer */
#define MEDIA_INDEX "application/vnd.oci.image.index.v1+json"

/* --- pages --- */
/* GETs url and turns it into the next page's; "" after the last. */
int skf_registry_page(struct skf_registry *r, const char *repo, char url[4096], const char *accept,
		      struct skf_http_resp *p, struct skf_err *e)
{
	char next[4096] = "";
	const struct skf_http_req q = {.url = url,
				       .accept = accept,
				       .max_body = SKF_MAX_MANIFEST_BYTES,
				       .with_auth = true,
				       .follow = true};
	if (skf_http_call(r, repo, &q, p, e) < 0)
		return -1;
	if (p->status == 200 && p->link[0]) {
		if (skf_http_redirect(url, p->link, next, sizeof(next), e) < 0)
			return -1;
		if (!skf_http_same_origin(next, url))
			return skf_fail(
				e, SKF_EDENIED,
				"registry '%s': the next page of a list is at another host: '%.200s'",
				r->host, next);
		if (skf_streq(next, url))
			next[0] = 0;
	}
	memcpy(url, next, sizeof(next));
	return 0;
}

struct tags_doc {
	struct skf_strv tags;
};
static const struct skf_jfield tags_fields[] = {
	SKF_J(struct tags_doc, tags, "tags", skf_j_strv, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable tags_table = {.size = sizeof(struct tags_doc), .f = tags_fields};

static int add_tags(const struct skf_http_resp *p, struct skf_arena *a, struct skf_strv *ret,
		    struct skf_err *e)
{
	const struct skf_jdoc d = {.name = "tags list", .max_bytes = SKF_MAX_MANIFEST_BYTES};
	void *doc;
	if (skf_json_decode(&d, skf_buf_cstr(&p->body), p->body.len, &tags_table, a, &doc, e) < 0)
		return -1;
	const struct skf_strv *t = &((struct tags_doc *)doc)->tags;
	for (size_t i = 0; i < t->n; i++) {
		if (ret->n >= SKF_MAX_REMOTE_TAGS)
			return skf_fail(e, SKF_ELIMIT, "more than %d tags", SKF_MAX_REMOTE_TAGS);
		if (skf_strv_add(a, ret, t->v[i]) < 0)
			return skf_fail(e, SKF_ENOMEM, "tags");
	}
	return 0;
}

int skf_registry_tags(struct skf_registry *r, const struct skf_ref *ref, struct skf_arena *a,
		      struct skf_strv *ret, struct skf_err *e)
{
	char path[64], url[4096], what[SKF_MAX_REPO_BYTES + 32];
	if (skf_fmt(path, sizeof(path), "tags/list?n=%d", PAGE) < 0 ||
	    skf_fmt(what, sizeof(what), "tags of '%s'", ref->repo) < 0 ||
	    skf_http_url(r, ref->repo, path, url, sizeof(url), e) < 0)
		return -1;
	for (int i = 0; url[0]; i++) {
		SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
		if (i >= MAX_PAGES)
			return skf_fail(e, SKF_ELIMIT, "%s: registry '%s' sends more than %d pages", what,
					r->host, MAX_PAGES);
		if (skf_registry_page(r, ref->repo, url, NULL, &p, e) < 0)
			return skf_ctx(e, "%s", what);
		if (p.status != 200)
			return skf_http_fail_status(r, &p, what, e);
		if (add_tags(&p, a, ret, e) < 0)
			return skf_ctx(e, "%s", what);
	}
	return 0;
}

/* --- referrers --- */
struct referrer {
	char *raw; /* the whole descriptor */
	char *digest, *artifact_type;
};
struct referrers_doc {
	char *media_type;
	struct skf_jarr manifests;
};

static int decode_referrer(struct skf_jctx *c, size_t i, struct json_object *v, void *user);
static int decode_referrers(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct skf_jarr *m = dst;
	m->v = skf_arena_array(skf_j_arena(c), SKF_MAX_INDEX_MANIFESTS, sizeof(struct referrer));
	if (!m->v)
		return skf_j_fail(c, SKF_ENOMEM, "memory");
	return skf_j_each_elem(c, v, SKF_MAX_INDEX_MANIFESTS, decode_referrer, m);
}
static const struct skf_jfield referrer_fields[] = {
	SKF_J(struct referrer, digest, "digest", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(struct referrer, artifact_type, "artifactType", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable referrer_table = {.size = sizeof(struct referrer), .f = referrer_fields};
static const struct skf_jfield referrers_fields[] = {
	SKF_J(struct referrers_doc, manifests, "manifests", decode_referrers, NULL, SKF_J_NULL_OK),
	SKF_J(struct referrers_doc, media_type, "mediaType", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable referrers_table = {.size = sizeof(struct referrers_doc),
						  .f = referrers_fields};

static int decode_referrer(struct skf_jctx *c, size_t i, struct json_object *v, void *user)
{
	struct skf_jarr *m = user;
	struct referrer *x = (struct referrer *)m->v + i;
	if (skf_j_obj(c, v, x, &referrer_table) < 0 || skf_j_raw(c, v, &x->raw, NULL) < 0)
		return -1;
	m->n = i + 1;
	return 0;
}

static int parse_referrers(const struct skf_buf *b, struct skf_arena *a, struct referrers_doc **ret,
			   struct skf_err *e)
{
	const struct skf_jdoc d = {.name = "referrers", .max_bytes = SKF_MAX_MANIFEST_BYTES};
	void *doc;
	if (skf_json_decode(&d, skf_buf_cstr(b), b->len, &referrers_table, a, &doc, e) < 0)
		return -1;
	*ret = doc;
	return 0;
}

static void put_referrers(struct skf_jw *w, const struct referrers_doc *d, const char *artifact_type)
{
	const struct referrer *x = d->manifests.v;
	for (size_t i = 0; i < d->manifests.n; i++)
		if (!artifact_type || skf_streq(x[i].artifact_type, artifact_type))
			skf_jw_raw(w, x[i].raw);
}

static void begin_index(struct skf_jw *w)
{
	skf_jw_obj(w);
	skf_jw_kint(w, "schemaVersion", 2);
	skf_jw_kstr(w, "mediaType", MEDIA_INDEX);
	skf_jw_karr(w, "manifests");
}

static int end_index(struct skf_jw *w, struct skf_err *e)
{
	skf_jw_end_arr(w);
	skf_jw_end(w);
	return w->b->err ? skf_fail_sys(e, w->b->err, "referrers") : 0;
}

/* "sha256-<hex>"; a longer digest is cut to what a tag may hold (distribution-spec "Referrers Tag Schema").
 */
static void fallback_tag(const struct skf_digest *d, char out[SKF_MAX_TAG_BYTES + 1])
{
	const char *hex = skf_digest_hex(d);
	int n = snprintf(out, SKF_MAX_TAG_BYTES + 1, "%.*s-%.64s", (int)(hex - 1 - d->s), d->s, hex);
	(void)n; /* at most 6 + 1 + 64 */
}

/* 1 and the document, 0 none. */
static int fallback_get(struct skf_registry *r, const char *repo, const struct skf_digest *subject,
			struct skf_arena *a, struct referrers_doc **ret, struct skf_err *e)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
	char tag[SKF_MAX_TAG_BYTES + 1], path[SKF_MAX_TAG_BYTES + 16];
	fallback_tag(subject, tag);
	if (skf_fmt(path, sizeof(path), "manifests/%s", tag) < 0 ||
	    skf_http_api(r, repo, path, "Accept: " MEDIA_INDEX, SKF_MAX_MANIFEST_BYTES, &p, e) < 0)
		return -1;
	if (p.status == 404)
		return 0;
	if (p.status != 200)
		return skf_http_fail_status(r, &p, tag, e);
	if (!skf_startswith(p.content_type, MEDIA_INDEX))
		return skf_fail(e, SKF_ECONFLICT, "tag '%s' of '%s' should list referrers but is a '%s'",
				tag, repo, p.content_type);
	return parse_referrers(&p.body, a, ret, e) < 0 ? -1 : 1;
}

/* 1 listed into w, 0 the registry has no such API. */
static int api_get(struct skf_registry *r, const struct skf_ref *ref, const char *artifact_type,
		   struct skf_arena *a, struct skf_jw *w, struct skf_err *e)
{
	char path[SKF_DIGEST_MAX + 16], url[4096];
	if (skf_fmt(path, sizeof(path), "referrers/%s", ref->digest.s) < 0 ||
	    skf_http_url(r, ref->repo, path, url, sizeof(url), e) < 0)
		return -1;
	for (int i = 0; url[0]; i++) {
		SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
		struct referrers_doc *d;
		if (i >= MAX_PAGES)
			return skf_fail(e, SKF_ELIMIT, "referrers of '%s': more than %d pages",
					ref->digest.s, MAX_PAGES);
		if (skf_registry_page(r, ref->repo, url, "Accept: " MEDIA_INDEX, &p, e) < 0)
			return -1;
		if (i == 0 &&
		    (p.status == 404 || (p.status == 200 && !skf_startswith(p.content_type, MEDIA_INDEX))))
			return 0;
		if (p.status != 200)
			return skf_http_fail_status(r, &p, "referrers", e);
		if (parse_referrers(&p.body, a, &d, e) < 0)
			return -1;
		put_referrers(w, d, artifact_type);
	}
	return 1;
}

int skf_registry_referrers(struct skf_registry *r, const struct skf_ref *ref, const char *artifact_type,
			   struct skf_buf *ret, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_jw w = SKF_JW(ret);
	struct referrers_doc *d;
	if (!ref->digest.s[0])
		return skf_fail(e, SKF_EINVALID, "referrers of '%s': a digest is needed", ref->repo);
	begin_index(&w);
	int x = api_get(r, ref, artifact_type, &a, &w, e);
	if (x == 0 && (x = fallback_get(r, ref->repo, &ref->digest, &a, &d, e)) == 1)
		put_referrers(&w, d, artifact_type);
	return x < 0 ? skf_ctx(e, "referrers of '%s'", ref->digest.s) : end_index(&w, e);
}

/* What a pushed manifest says about itself. */
struct subject_doc {
	char *digest;
};
struct pushed_doc {
	struct subject_doc *subject;
	char *artifact_type, *annotations;
	struct subject_config {
		char *media_type;
	} config;
};
static const struct skf_jfield subject_fields[] = {
	SKF_J(struct subject_doc, digest, "digest", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable subject_table = {.size = sizeof(struct subject_doc), .f = subject_fields};
static const struct skf_jfield subject_config_fields[] = {
	SKF_J(struct subject_config, media_type, "mediaType", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable subject_config_table = {.size = sizeof(struct subject_config),
						       .f = subject_config_fields};
static const struct skf_jfield pushed_fields[] = {
	SKF_J(struct pushed_doc, subject, "subject", skf_j_objp, &subject_table, SKF_J_NULL_OK),
	SKF_J(struct pushed_doc, artifact_type, "artifactType", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(struct pushed_doc, annotations, "annotations", skf_j_raw, NULL, SKF_J_NULL_OK),
	SKF_J(struct pushed_doc, config, "config", skf_j_obj, &subject_config_table, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable pushed_table = {.size = sizeof(struct pushed_doc), .f = pushed_fields};

static void put_self(struct skf_jw *w, const struct pushed_doc *m, const char *media_type,
		     const struct skf_digest *d, size_t n)
{
	const char *type = m->artifact_type && *m->artifact_type ? m->artifact_type : m->config.media_type;
	skf_jw_obj(w);
	skf_jw_kstr(w, "mediaType", media_type);
	skf_jw_kstr(w, "digest", d->s);
	skf_jw_ku64(w, "size", n);
	if (type)
		skf_jw_kstr(w, "artifactType", type);
	if (m->annotations)
		skf_jw_kraw(w, "annotations", m->annotations);
	skf_jw_end(w);
}

int skf_referrers_after_push(struct skf_registry *r, const struct skf_ref *ref, const char *media_type,
			     const void *p, size_t n, const struct skf_digest *d, const char *answered,
			     struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES);
	const struct skf_jdoc doc = {.name = "manifest", .max_bytes = SKF_MAX_MANIFEST_BYTES};
	struct skf_jw w = SKF_JW(&b);
	struct skf_ref tag = *ref;
	struct referrers_doc *old = NULL;
	struct skf_digest subject, ignored;
	void *x;
	if (skf_json_decode(&doc, p, n, &pushed_table, &a, &x, e) < 0)
		return -1;
	const struct pushed_doc *m = x;
	if (!m->subject || answered[0])
		return 0;
	if (skf_digest_parse(m->subject->digest, &subject, e) < 0)
		return skf_ctx(e, "subject of '%s'", d->s);
	int has = fallback_get(r, ref->repo, &subject, &a, &old, e);
	if (has < 0)
		return skf_ctx(e, "'%s' is pushed, but not listed as referrer", d->s);
	const struct referrer *v = has ? old->manifests.v : NULL;
	for (size_t i = 0; has && i < old->manifests.n; i++)
		if (skf_streq(v[i].digest, d->s))
			return 0;
	begin_index(&w);
	if (has)
		put_referrers(&w, old, NULL);
	put_self(&w, m, media_type, d, n);
	if (end_index(&w, e) < 0)
		return -1;
	fallback_tag(&subject, tag.tag);
	tag.digest.s[0] = 0;
	return skf_registry_push_manifest(r, &tag, NULL, NULL, MEDIA_INDEX, b.p, b.len, &ignored, e);
}

/* --- HEAD and DELETE --- */
int skf_registry_head(struct skf_registry *r, const struct skf_ref *ref, struct skf_digest *ret,
		      uint64_t *ret_size, struct skf_err *e)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
	char path[512], url[2048], full[SKF_MAX_REF_BYTES + 1];
	skf_ref_full(ref, full);
	if (skf_fmt(path, sizeof(path), "manifests/%s", ref->digest.s[0] ? ref->digest.s : ref->tag) < 0 ||
	    skf_http_url(r, ref->repo, path, url, sizeof(url), e) < 0)
		return -1;
	const struct skf_http_req q = {.url = url,
				       .method = "HEAD",
				       .accept = SKF_ACCEPT_MANIFEST,
				       .max_body = 65536,
				       .with_auth = true,
				       .follow = true};
	if (skf_http_call(r, ref->repo, &q, &p, e) < 0)
		return skf_ctx(e, "'%s'", full);
	if (p.status == 404)
		return 0;
	if (p.status != 200)
		return skf_http_fail_status(r, &p, full, e);
	*ret_size = p.length;
	if (p.digest[0])
		return skf_digest_parse(p.digest, ret, e) < 0 ? skf_ctx(e, "registry '%s'", r->host) : 1;
	SKF_AUTO(skf_buf_done)
	struct skf_buf b =
		SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1); /* the header is optional: hash the document then */
	char type[128];
	return skf_registry_manifest(r, ref, &b, type, ret, e) < 0 ? -1 : 1;
}

int skf_registry_delete(struct skf_registry *r, const struct skf_ref *ref, enum skf_delete_what what,
			struct skf_digest *ret, struct skf_err *e)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
	char path[512], url[2048], full[SKF_MAX_REF_BYTES + 1];
	struct skf_digest d = ref->digest;
	uint64_t size;
	skf_ref_full(ref, full);
	if (what == SKF_DELETE_MANIFEST && !d.s[0]) {
		int has = skf_registry_head(r, ref, &d, &size, e);
		if (has < 0)
			return -1;
		if (!has)
			return skf_fail(e, SKF_ENOTFOUND, "'%s' is not in registry '%s'", full, r->host);
	}
	if (what == SKF_DELETE_BLOB && !d.s[0])
		return skf_fail(e, SKF_EINVALID, "'%s': a blob is deleted by its digest", full);
	if (skf_fmt(path, sizeof(path), "%s/%s", what == SKF_DELETE_BLOB ? "blobs" : "manifests",
		    what == SKF_DELETE_TAG ? ref->tag : d.s) < 0 ||
	    skf_http_url(r, ref->repo, path, url, sizeof(url), e) < 0)
		return -1;
	const struct skf_http_req q = {
		.url = url, .method = "DELETE", .max_body = 65536, .with_auth = true, .follow = true};
	if (skf_http_call(r, ref->repo, &q, &p, e) < 0)
		return skf_ctx(e, "delete '%s'", full);
	if (p.status == 405 || (what == SKF_DELETE_TAG && p.status == 400))
		return skf_fail(e, SKF_EUNSUPPORTED,
				"registry '%s' does not delete %s ('%s'); see its configuration", r->host,
				what == SKF_DELETE_TAG ? "tags" : "", full);
	if (p.status != 202 && p.status != 200 && p.status != 204)
		return skf_http_fail_status(r, &p, full, e);
	*ret = d;
	return 0;
}
