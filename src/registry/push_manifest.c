/* registry/push_manifest.c -- manifests into a repository, with their tags (distribution-spec "Pushing
 * Manifests").
 *
 * One tag: PUT by the tag. Several: one PUT by digest with ?tag=...&tag=... (end-7b); the registry says
 * which it took (OCI-Tag), and each that it did not say gets a PUT of its own, so that registries from
 * before that clause lose nothing. A digest that is no sha256 can only be told by its name, so its tags go
 * the same way. Invariants: 1. what the registry says that it stored must be what was sent; 2. the subject
 * is looked after once, after the last PUT. Blocks: network. */
#include "registry/registry_int.h"
#include <string.h>

#define TAGS_A_REQUEST 10 /* as many as every registry with the clause should take */

struct put {
	struct skf_registry *r;
	const struct skf_ref *ref; /* the repository */
	const char *media_type;
	const void *p;
	size_t n;
	struct skf_digest digest;
	char subject[SKF_DIGEST_MAX]; /* what the registry knows to be the subject; "" */
};

/* `where` is below manifests/, `name` for the sentence of a failure. *ret_refused: the registry may know
 * another form of the same request (NULL: every failure is final). */
static int put_at(struct put *x, const char *where, const char *name, struct skf_http_resp *resp,
		  bool *ret_refused, struct skf_err *e)
{
	struct skf_registry *r = x->r;
	char path[SKF_DIGEST_MAX + TAGS_A_REQUEST * (SKF_MAX_TAG_BYTES + 8)], url[sizeof(path) + 1024],
		what[SKF_MAX_REF_BYTES + 32], type[160];

	if (skf_fmt(path, sizeof(path), "manifests/%s", where) < 0 ||
	    skf_fmt(what, sizeof(what), "manifest of '%s/%s%s%s'", r->host, x->ref->repo,
		    strchr(name, ':') ? "@" : ":", name) < 0 ||
	    skf_fmt(type, sizeof(type), "Content-Type: %s", x->media_type) < 0)
		return skf_fail(e, SKF_EINVALID, "reference '%s' or its media type is too long", name);
	if (skf_http_url(r, x->ref->repo, path, url, sizeof(url), e) < 0)
		return -1;
	const struct skf_http_req q = {.url = url,
				       .method = "PUT",
				       .headers = {type},
				       .body = x->p,
				       .body_n = x->n,
				       .max_body = 65536,
				       .with_auth = true,
				       .follow = true};
	if (skf_http_call(r, x->ref->repo, &q, resp, e) < 0)
		return skf_ctx(e, "%s", what);
	if (resp->status != 201 && resp->status != 200 && resp->status != 202) {
		/* too long, or of a form that it does not know */
		static const long other[] = {400, 404, 405, 414, 431};
		for (size_t i = 0; ret_refused && i < SKF_ARRAY_LEN(other); i++)
			if (resp->status == other[i])
				return *ret_refused = true, 0;
		return skf_http_fail_status(r, resp, what, e);
	}
	if (resp->digest[0] && skf_http_same_alg(resp->digest, &x->digest) &&
	    !skf_streq(resp->digest, x->digest.s))
		return skf_fail(e, SKF_ECORRUPT, "%s: registry '%s' stored it as '%s', expected '%s'", what,
				r->host, resp->digest, x->digest.s);
	if (resp->subject[0])
		memcpy(x->subject, resp->subject, sizeof(x->subject));
	return 0;
}

static int put_tag(struct put *x, const char *tag, struct skf_err *e)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp resp = {0};
	if (put_at(x, tag, tag, &resp, NULL, e) < 0)
		return -1;
	if (resp.digest[0] && !skf_http_same_alg(resp.digest, &x->digest))
		skf_warn(x->r->log, "registry '%s' has tag '%s' as '%s' only, not as '%s'", x->r->host, tag,
			 resp.digest, x->digest.s);
	return 0;
}

/* The digest with up to TAGS_A_REQUEST tags, then those one by one that it did not say to have taken. */
static int put_tags(struct put *x, const char *const *tag, size_t n, struct skf_err *e)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp resp = {0};
	char where[sizeof(x->digest.s) + TAGS_A_REQUEST * (SKF_MAX_TAG_BYTES + 8)];
	bool refused = false;
	size_t k = (size_t)snprintf(where, sizeof(where), "%s", x->digest.s);

	for (size_t i = 0; i < n; i++) {
		int m = snprintf(where + k, sizeof(where) - k, "%ctag=%s", i ? '&' : '?', tag[i]);
		if (m < 0 || (size_t)m >= sizeof(where) - k)
			return skf_fail(e, SKF_EINVALID, "tag '%.140s' is too long", tag[i]);
		k += (size_t)m;
	}
	if (put_at(x, where, x->digest.s, &resp, n ? &refused : NULL, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if ((refused || !skf_http_list_has(resp.tags, tag[i])) && put_tag(x, tag[i], e) < 0)
			return -1;
	return 0;
}

int skf_registry_push_manifest(struct skf_registry *r, const struct skf_ref *ref,
			       const struct skf_digest *as, const struct skf_strv *tags,
			       const char *media_type, const void *p, size_t n, struct skf_digest *ret,
			       struct skf_err *e)
{
	struct put x = {.r = r, .ref = ref, .media_type = media_type, .p = p, .n = n};
	const struct skf_digest *like = ref->digest.s[0] ? &ref->digest : as;
	size_t own = ref->tag[0] != 0, all = own + (tags ? tags->n : 0), at = 0;

	if (skf_registry_digest(like, p, n, &x.digest, e) < 0)
		return -1;
	if (like && !skf_digest_eq(&x.digest, like))
		return skf_fail(e, SKF_ECORRUPT, "manifest for '%s/%s': the bytes are '%s', expected '%s'",
				r->host, ref->repo, x.digest.s, like->s);
	for (size_t i = 0; i < all - own; i++)
		if (!skf_ref_tag_ok(tags->v[i]))
			return skf_fail(e, SKF_EINVALID,
					"'%.200s' is no tag: expected at most 128 letters, digits, '_', '.' "
					"and '-'",
					tags->v[i]);
	if (all == 1 && !ref->digest.s[0] && skf_digest_is_sha256(&x.digest)) {
		if (put_tag(&x, own ? ref->tag : tags->v[0], e) < 0)
			return -1;
		at = all;
	}
	for (bool first = true; at < all || (first && !all); first = false) {
		const char *some[TAGS_A_REQUEST] = {NULL};
		size_t k = 0;
		for (; k < SKF_ARRAY_LEN(some) && at < all; at++)
			some[k++] = own && at == 0 ? ref->tag : tags->v[at - own];
		if (put_tags(&x, some, k, e) < 0)
			return -1;
	}
	*ret = x.digest;
	return skf_referrers_after_push(r, ref, media_type, p, n, &x.digest, x.subject, e);
}
