/* registry/upload.c -- one blob into a repository (distribution-spec "Pushing Blobs").
 *
 * One struct upload per blob, driven by one thread: HEAD -> POST (with mount; of a small blob whole) -> PUT
 * of everything, or PATCH ... PATCH PUT -> done. After a break the registry is asked how far it got; it then
 * gets the rest, or everything again when it forgot the session. Invariants:
 * 1. Every byte is hashed when it is read for the first time, and the last byte of a blob leaves only when
 * the digest is right: a wrong source never commits a blob, not even in a registry that does not look.
 * 2. Session URLs are the registry's choice: resolved like redirects (never from https to http), and
 * Authorization goes there only when they are of the registry's own origin (T51).
 * 3. An attempt that moves no byte counts; `retries` of the registry in a row end the upload.
 * 4. A session that was opened and is not completed is cancelled (DELETE), as far as the registry lets us.
 * Blocks: network. */
#include "registry/upload.h"
#include "registry/digest.h"
#include "registry/registry_int.h"
#include <stdlib.h>
#include <string.h>

/* a registry (or the proxy before it) that refuses a large body gets smaller ones */
#define CHUNK_AFTER_413 (8u << 20)
#define WHOLE_BYTES     (16u << 10) /* blobs that go in one POST */
#define MAX_SESSIONS    20          /* of one blob, however far each of them came */

struct upload {
	const struct skf_upload_run *u;
	struct skf_registry *r;
	struct skf_blob_put *p;
	char url[4096]; /* of the session; "" none */
	uint64_t off;   /* bytes that the registry has */
	uint64_t base;  /* where the request's body begins */
	uint64_t chunk; /* 0: one PUT */
	EVP_MD_CTX *md;
	uint64_t hashed;    /* bytes that md has seen */
	struct skf_err err; /* of the source */
	int attempt, sessions;
};

static void set_state(struct skf_blob_put *p, enum skf_put_state s)
{
	__atomic_store_n(&p->state, (uint32_t)s, __ATOMIC_RELAXED);
}

static bool stopped(const struct upload *x)
{
	return __atomic_load_n(&x->u->stop, __ATOMIC_RELAXED);
}

/* --- the source, hashed on its way --- */
static int check_digest(struct upload *x, struct skf_err *e)
{
	struct skf_digest got;
	if (skf_md_end(x->md, &got, e) < 0)
		return -1;
	return skf_digest_eq(&got, &x->p->desc.digest)
		       ? 0
		       : skf_fail(e, SKF_ECORRUPT,
				  "blob '%s': its source has other bytes (%s); nothing was pushed",
				  x->p->desc.digest.s, skf_digest_hex(&got));
}

static int hash(struct upload *x, uint64_t off, const char *p, size_t n, struct skf_err *e)
{
	if (off + n <= x->hashed)
		return 0;
	if (off > x->hashed)
		return skf_fail(e, SKF_EBUG, "blob '%s' is not read in order", x->p->desc.digest.s);
	size_t known = (size_t)(x->hashed - off);
	if (EVP_DigestUpdate(x->md, p + known, n - known) != 1)
		return skf_fail(e, SKF_ESYSTEM, "libcrypto cannot hash blob '%s'", x->p->desc.digest.s);
	x->hashed = off + n;
	return x->hashed == x->p->desc.size ? check_digest(x, e) : 0;
}

static int64_t body(void *arg, uint64_t at, void *p, size_t n)
{
	struct upload *x = arg;
	uint64_t off = x->base + at;
	if (stopped(x)) {
		skf_fail(&x->err, SKF_EUNAVAILABLE, "cancelled");
		return -1;
	}
	int64_t k = x->p->src.read(x->p->src.arg, off, p, n, &x->err);
	if (k > 0 && hash(x, off, p, (size_t)k, &x->err) < 0)
		return -1;
	if (k <= 0) {
		if (!x->err.kind)
			skf_fail(&x->err, SKF_ECORRUPT, "blob '%s': its source ends at byte %llu of %llu",
				 x->p->desc.digest.s, (unsigned long long)off,
				 (unsigned long long)x->p->desc.size);
		return -1;
	}
	__atomic_store_n(&x->p->sent, off + (uint64_t)k, __ATOMIC_RELAXED);
	return k;
}

/* --- requests --- */
static int request(struct upload *x, const struct skf_http_req *q, struct skf_http_resp *p,
		   struct skf_err *e)
{
	skf_http_resp_done(p);
	int r = skf_http_call(x->r, x->u->ref->repo, q, p, e);
	if (x->err.kind) {
		*e = x->err;
		return -1;
	}
	return r;
}

static int fail_status(const struct upload *x, const struct skf_http_resp *p, const char *what,
		       struct skf_err *e)
{
	char text[SKF_DIGEST_MAX + 40];
	if (skf_fmt(text, sizeof(text), "%s '%s'", what, x->p->desc.digest.s) < 0)
		return skf_fail(e, SKF_EBUG, "text of a failed upload");
	return skf_http_fail_status(x->r, p, text, e);
}

/* The session goes on where the registry says. */
static int take_location(struct upload *x, const char *asked, const struct skf_http_resp *p,
			 struct skf_err *e)
{
	char next[4096];
	if (!p->location[0])
		return x->url[0] ? 0
				 : skf_fail(e, SKF_EUNAVAILABLE,
					    "blob '%s': registry '%s' opened an upload without a Location",
					    x->p->desc.digest.s, x->r->host);
	if (skf_http_redirect(asked, p->location, next, sizeof(next), e) < 0)
		return -1;
	memcpy(x->url, next, sizeof(next));
	return 0;
}

static int with_query(const char *url, const char *key, const char *value, char *out, size_t size,
		      struct skf_err *e)
{
	const char *colon = strchr(value, ':'); /* a digest's, the only byte of ours that a query escapes */
	size_t n = colon ? (size_t)(colon - value) : strlen(value);
	if (skf_fmt(out, size, "%s%c%s=%.*s%s%s", url, strchr(url, '?') ? '&' : '?', key, (int)n, value,
		    colon ? "%3A" : "", colon ? colon + 1 : "") < 0)
		return skf_fail(e, SKF_ELIMIT, "an upload's URL is longer than %zu bytes", size);
	return 0;
}

/* 1 there, 0 not. */
static int exists(struct upload *x, struct skf_err *e)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
	char path[SKF_DIGEST_MAX + 16], url[2048];
	if (skf_fmt(path, sizeof(path), "blobs/%s", x->p->desc.digest.s) < 0 ||
	    skf_http_url(x->r, x->u->ref->repo, path, url, sizeof(url), e) < 0)
		return -1;
	const struct skf_http_req q = {
		.url = url, .method = "HEAD", .max_body = 65536, .with_auth = true, .follow = true};
	if (request(x, &q, &p, e) < 0)
		return -1;
	if (p.status == 200)
		return 1;
	return p.status == 404 ? 0 : fail_status(x, &p, "HEAD of blob", e);
}

static int post(struct upload *x, const char *url, const void *whole, size_t n, struct skf_http_resp *p,
		struct skf_err *e)
{
	const struct skf_http_req q = {.url = url,
				       .method = "POST",
				       .headers = {"Content-Type: application/octet-stream"},
				       .body = whole,
				       .body_n = n,
				       .max_body = 65536,
				       .with_auth = true,
				       .follow = true};
	return request(x, &q, p, e);
}

/* Opens a session, with a mount when this is the first. 1 mounted, 0 session open. */
static int open_session(struct upload *x, bool mount, struct skf_err *e)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
	char plain[2048], start[2048], url[2048], from[2048];
	if (++x->sessions > MAX_SESSIONS)
		return skf_fail(e, SKF_EUNAVAILABLE, "blob '%s': registry '%s' broke %d uploads",
				x->p->desc.digest.s, x->r->host, MAX_SESSIONS);
	if (skf_http_url(x->r, x->u->ref->repo, "blobs/uploads/", plain, sizeof(plain), e) < 0 ||
	    (skf_digest_is_sha256(&x->p->desc.digest)
		     ? skf_fmt(start, sizeof(start), "%s", plain)
		     : with_query(plain, "digest-algorithm", skf_digest_alg(&x->p->desc.digest), start,
				  sizeof(start), e)) < 0)
		return -1;
	if (with_query(start, "mount", x->p->desc.digest.s, url, sizeof(url), e) < 0 ||
	    (x->p->mount_from && with_query(url, "from", x->p->mount_from, from, sizeof(from), e) < 0))
		return -1;
	if (post(x, !mount ? start : x->p->mount_from ? from : url, NULL, 0, &p, e) < 0)
		return -1;
	if (mount && p.status == 201)
		return 1;
	if (mount && p.status >= 400 && p.status < 500 && p.status != 429 &&
	    post(x, start, NULL, 0, &p, e) <
		    0) /* no right to read there, or a registry that knows no mounts */
		return -1;
	if (p.status != 202)
		return fail_status(x, &p, "upload of blob", e);
	x->url[0] = 0;
	x->off = x->hashed = 0;
	if (skf_md_begin(&x->p->desc.digest, x->md, e) < 0 || take_location(x, start, &p, e) < 0)
		return -1;
	if (x->chunk && p.chunk_min > x->chunk)
		x->chunk = p.chunk_min;
	return 0;
}

/* Small blobs in one request (distribution-spec end-4b); a registry that does not know it opens a session
 * all the same. 1 stored, 0 not, -1. */
static int post_whole(struct upload *x, struct skf_err *e)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
	SKF_AUTO_FREE char *whole = malloc(WHOLE_BYTES);
	char start[2048], url[2048];
	size_t n = (size_t)x->p->desc.size;
	if (!whole)
		return skf_fail(e, SKF_ENOMEM, "blob '%s'", x->p->desc.digest.s);
	for (size_t at = 0; at < n;) {
		int64_t k = body(x, at, whole + at, n - at);
		if (k < 0) {
			*e = x->err;
			return -1;
		}
		at += (size_t)k;
	}
	if (skf_http_url(x->r, x->u->ref->repo, "blobs/uploads/", start, sizeof(start), e) < 0 ||
	    with_query(start, "digest", x->p->desc.digest.s, url, sizeof(url), e) < 0)
		return -1;
	if (post(x, url, whole, n, &p, e) < 0)
		return -1;
	if (p.status == 201)
		return 1;
	if (p.status != 202)
		return 0; /* it may refuse the form, not the blob: the usual way tells */
	x->sessions++;
	return take_location(x, start, &p, e);
}

/* How much does it have? 1: go on at x->off; 0: it does not know the session any more. */
static int ask_status(struct upload *x, struct skf_err *e)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
	char asked[sizeof(x->url)];
	const struct skf_http_req q = {.url = asked, .method = "GET", .max_body = 65536, .with_auth = true};
	memcpy(asked, x->url, sizeof(asked));
	if (request(x, &q, &p, e) < 0)
		return -1;
	if ((p.status != 204 && p.status != 202 && p.status != 200) || !p.has_uploaded ||
	    p.uploaded > x->hashed)
		return 0;
	if (take_location(x, asked, &p, e) < 0)
		return -1;
	x->off = p.uploaded;
	return 1;
}

static void cancel_session(struct upload *x)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
	struct skf_err ignored = SKF_ERR_INIT; /* the registry's own clean-up takes what stays */
	const struct skf_http_req q = {
		.url = x->url, .method = "DELETE", .max_body = 65536, .with_auth = true, .single = true};
	if (x->url[0] && skf_http_same_origin(x->url, x->r->base))
		skf_http_call(x->r, x->u->ref->repo, &q, &p, &ignored);
}

/* --- sending --- */
enum sent { SENT_ALL, SENT_PART, SENT_BROKEN, SENT_RANGE, SENT_TOO_LARGE, SENT_FORGOTTEN, SENT_FAILED };

static enum sent judge(struct upload *x, const struct skf_http_resp *p, int r, bool last, struct skf_err *e)
{
	if (r < 0)
		return x->err.kind || e->kind == SKF_EDENIED || e->kind == SKF_ELIMIT ||
				       skf_streq(e->msg, "cancelled")
			       ? SENT_FAILED
			       : SENT_BROKEN;
	if (last && (p->status == 201 || p->status == 204))
		return SENT_ALL;
	if (!last && p->status == 202)
		return SENT_PART;
	fail_status(x, p, "upload of blob", e);
	switch (p->status) {
	case 404:
		return SENT_FORGOTTEN;
	case 413:
		return SENT_TOO_LARGE;
	case 416:
		return SENT_RANGE;
	default:
		return skf_http_status_transient(p->status) ? SENT_BROKEN : SENT_FAILED;
	}
}

/* Bytes [off, off+n) as one request: the completing PUT when `last`, else a PATCH. */
static enum sent send_part(struct upload *x, uint64_t n, bool last, struct skf_err *e)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
	char url[sizeof(x->url)], range[80], asked[sizeof(x->url)];
	struct skf_http_upload up = {.size = n, .read = body, .arg = x};
	bool whole = last && n == x->p->desc.size;
	memcpy(asked, x->url, sizeof(asked));
	memcpy(url, x->url, sizeof(url));
	if ((last && with_query(asked, "digest", x->p->desc.digest.s, url, sizeof(url), e) < 0) ||
	    skf_fmt(range, sizeof(range), "Content-Range: %llu-%llu", (unsigned long long)x->off,
		    (unsigned long long)(x->off + n - 1)) < 0)
		return SENT_FAILED;
	x->base = x->off;
	struct skf_http_req q = {
		.url = url,
		.method = last ? "PUT" : "PATCH",
		.max_body = 65536,
		.with_auth = true,
		.follow = true,
		.single = true,
		.headers = {"Content-Type: application/octet-stream", n && !whole ? range : NULL}};
	if (n)
		q.up = &up;
	enum sent s = judge(x, &p, request(x, &q, &p, e), last, e);
	if (s == SENT_BROKEN && p.retry_after_ms >= 0 && skf_http_pause(x->r, p.retry_after_ms, e) < 0)
		return SENT_FAILED;
	/* a registry may name a sha512 blob by its sha256 */
	if (s == SENT_ALL && skf_http_same_alg(p.digest, &x->p->desc.digest) &&
	    !skf_streq(p.digest, x->p->desc.digest.s)) {
		skf_fail(e, SKF_ECORRUPT, "blob '%s': registry '%s' stored it as '%s'", x->p->desc.digest.s,
			 x->r->host, p.digest);
		return SENT_FAILED;
	}
	if (s == SENT_PART) {
		if (take_location(x, asked, &p, e) < 0)
			return SENT_FAILED;
		x->off = p.has_uploaded && p.uploaded <= x->off + n ? p.uploaded : x->off + n;
	}
	return s;
}

/* The next request of this session. */
static enum sent send_next(struct upload *x, struct skf_err *e)
{
	uint64_t left = x->p->desc.size - x->off;
	if (!left || (!x->off && !x->chunk))
		return send_part(x, left, true, e);
	return send_part(x, x->chunk && left > x->chunk ? x->chunk : left, false, e);
}

/* After anything but progress. 1 go on in this session, 0 open another, -1. */
static int recover(struct upload *x, enum sent s, uint64_t before, struct skf_err *e)
{
	struct skf_err why = *e;
	if (s == SENT_FAILED)
		return -1;
	if (s == SENT_TOO_LARGE) {
		if (x->chunk)
			return -1;
		x->chunk = CHUNK_AFTER_413;
		skf_err_clear(e);
		return 0;
	}
	skf_debug(x->r->log, "%s; trying again", why.msg);
	if (s == SENT_BROKEN && skf_http_pause(x->r, skf_http_backoff_ms(x->r, x->attempt), e) < 0)
		return -1;
	skf_err_clear(e);
	int known = s == SENT_FORGOTTEN ? 0 : ask_status(x, e);
	if (known < 0 && (x->err.kind || e->kind == SKF_EDENIED || skf_streq(e->msg, "cancelled")))
		return -1;
	x->attempt = known == 1 && x->off > before ? 0 : x->attempt + 1;
	if (x->attempt > x->r->retries) {
		*e = why;
		return -1;
	}
	skf_err_clear(e);
	return known == 1;
}

static int send_all(struct upload *x, struct skf_err *e)
{
	for (;;) {
		uint64_t before = x->off;
		if (stopped(x))
			return skf_fail(e, SKF_EUNAVAILABLE, "cancelled");
		enum sent s = send_next(x, e);
		if (s == SENT_ALL)
			return 0;
		if (s == SENT_PART && x->off > before) {
			x->attempt = 0;
			continue;
		}
		if (s == SENT_PART) {
			skf_fail(e, SKF_EUNAVAILABLE, "blob '%s': registry '%s' took no byte of a chunk",
				 x->p->desc.digest.s, x->r->host);
			s = SENT_BROKEN;
		}
		int r = recover(x, s, before, e);
		if (r < 0 || (r == 0 && open_session(x, false, e) < 0))
			return -1;
	}
}

static int put_blob(struct upload *x, struct skf_err *e)
{
	int r = exists(x, e);
	if (r == 1)
		set_state(x->p, SKF_PUT_EXISTS);
	if (r != 0)
		return r < 0 ? -1 : 0;
	if (x->p->desc.size && x->p->desc.size <= WHOLE_BYTES && !x->p->mount_from && !x->chunk) {
		r = post_whole(x, e);
		if (r == 1)
			set_state(x->p, SKF_PUT_DONE);
		if (r != 0)
			return r < 0 ? -1 : 0;
	}
	r = x->url[0] ? 0 : open_session(x, true, e);
	if (r == 1)
		set_state(x->p, SKF_PUT_MOUNTED);
	if (r != 0)
		return r < 0 ? -1 : 0;
	set_state(x->p, SKF_PUT_SENDING);
	if (send_all(x, e) < 0) {
		cancel_session(x);
		return -1;
	}
	set_state(x->p, SKF_PUT_DONE);
	return 0;
}
int skf_upload_blob(const struct skf_upload_run *u, struct skf_registry *r, struct skf_blob_put *p,
		    struct skf_err *e)
{
	struct upload x = {.u = u, .r = r, .p = p, .chunk = u->chunk, .md = EVP_MD_CTX_new()};
	int rc = skf_md_begin(&p->desc.digest, x.md, e);
	if (rc == 0 && !p->desc.size)
		rc = check_digest(&x, e);
	if (rc == 0)
		rc = put_blob(&x, e);
	EVP_MD_CTX_free(x.md);
	if (p->src.done)
		p->src.done(p->src.arg);
	return rc;
}

int skf_upload_exists(const struct skf_upload_run *u, struct skf_registry *r, struct skf_blob_put *p,
		      struct skf_err *e)
{
	struct upload x = {.u = u, .r = r, .p = p};
	return exists(&x, e);
}
