/* registry/blobs.c -- several blobs of one repository at once, over curl's multi interface, in the caller's thread.
 *
 * One struct xfer per blob, a small state machine: WAITING (for a free slot, or for its back-off to pass) -> RUNNING -> DONE, back to WAITING after a
 * broken connection. Invariants:
 * 1. `got` counts the bytes that the sink took; a retry asks for the rest with Range and, when the server sends the whole blob all the same,
 *    skips what is known. The sink therefore sees each byte once and in order; that the bytes fit together is the digest's business.
 * 2. A transfer never delivers more than desc.size bytes.
 * 3. A sink that answers "not now" pauses its transfer only; skf_registry_wake() from another thread lets all paused ones try again.
 * 4. Redirects are followed as in http.c: Authorization stays with the registry's own origin. */
#include "base/fd.h"
#include "registry/registry_int.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>

enum xstate { WAITING, RUNNING, DONE };
struct xfer {
	struct skf_registry *r;
	struct skf_blob_get *g;
	enum xstate state;
	CURL *c;
	struct curl_slist *headers;
	char url[4096];
	char detail[CURL_ERROR_SIZE];
	struct skf_http_resp resp;   /* headers, and the body of an error answer */
	struct skf_err err;          /* of the sink or of the protocol */
	uint64_t got;                /* bytes that the sink has, from the start of the blob */
	uint64_t skip;               /* of this answer: bytes already known */
	bool body_ok, paused;        /* body_ok: the status was looked at and is 200 or 206 */
	int attempt, hops;
	bool authed;                 /* a token was fetched for this blob already */
	int64_t not_before_ms;
};

#define SINK_CHUNK (1u << 20)

/* Decides once per answer what its body is. */
static bool body_begins(struct xfer *x)
{
	long status = 0;
	curl_easy_getinfo(x->c, CURLINFO_RESPONSE_CODE, &status);
	x->resp.status = status;
	if (status != 200 && status != 206)
		return false;
	x->skip = status == 200 ? x->got : 0;
	return true;
}

static size_t on_data(char *p, size_t size, size_t n, void *user)
{
	struct xfer *x = user;
	size_t all = size * n, left = all;
	if (!x->body_ok && !(x->body_ok = body_begins(x))) {
		skf_buf_put(&x->resp.body, p, all);
		return x->resp.body.err ? 0 : all;
	}
	uint64_t skip = x->skip; /* committed only when the whole chunk was taken: curl delivers a paused chunk again */
	if (skip) {
		size_t s = skip < left ? (size_t)skip : left;
		p += s;
		left -= s;
		skip -= s;
	}
	if (x->got + left > x->g->desc.size) {
		skf_fail(&x->err, SKF_ECORRUPT, "blob '%s': registry '%s' sends more than the %llu bytes of the manifest", x->g->desc.digest.s,
		         x->r->host, (unsigned long long)x->g->desc.size);
		return 0;
	}
	while (left) {
		size_t k = left < SINK_CHUNK ? left : SINK_CHUNK;
		int w = x->g->sink.write(x->g->sink.arg, x->got, p, k, &x->err);
		if (w == -2) {
			/* part of the chunk may be with the sink already: skip it when curl brings the chunk again */
			x->skip += all - left - (x->skip - skip);
			x->paused = true;
			return CURL_WRITEFUNC_PAUSE;
		}
		if (w < 0)
			return 0;
		x->got += k;
		p += k;
		left -= k;
	}
	x->skip = skip;
	return all;
}

static int start(struct xfer *x, struct skf_err *e)
{
	char range[64];
	struct skf_registry *r = x->r;
	x->c = curl_easy_init();
	if (!x->c)
		return skf_fail(e, SKF_ENOMEM, "HTTP request");
	skf_buf_done(&x->resp.body);
	x->resp = (struct skf_http_resp){ .body = SKF_BUF(65536), .retry_after_ms = -1 };
	x->body_ok = x->paused = false;
	x->skip = 0;
	x->detail[0] = 0;
	skf_http_setup(r, x->c, x->url);
	if (r->auth_header && skf_http_same_origin(x->url, r->base)) {
		x->headers = curl_slist_append(NULL, r->auth_header);
		if (!x->headers)
			return skf_fail(e, SKF_ENOMEM, "HTTP request");
		curl_easy_setopt(x->c, CURLOPT_HTTPHEADER, x->headers);
	}
	if (x->got) {
		if (skf_fmt(range, sizeof(range), "%llu-", (unsigned long long)x->got) < 0)
			return skf_fail(e, SKF_EBUG, "range of '%s'", x->g->desc.digest.s);
		curl_easy_setopt(x->c, CURLOPT_RANGE, range);
	}
	curl_easy_setopt(x->c, CURLOPT_BUFFERSIZE, 262144L);
	curl_easy_setopt(x->c, CURLOPT_WRITEFUNCTION, on_data);
	curl_easy_setopt(x->c, CURLOPT_WRITEDATA, x);
	curl_easy_setopt(x->c, CURLOPT_HEADERFUNCTION, skf_http_on_header);
	curl_easy_setopt(x->c, CURLOPT_HEADERDATA, &x->resp);
	curl_easy_setopt(x->c, CURLOPT_ERRORBUFFER, x->detail);
	curl_easy_setopt(x->c, CURLOPT_PRIVATE, x);
	if (curl_multi_add_handle(r->multi, x->c) != CURLM_OK)
		return skf_fail(e, SKF_ESYSTEM, "libcurl refuses a transfer");
	x->state = RUNNING;
	return 0;
}

static void stop(struct xfer *x)
{
	if (x->c) {
		curl_multi_remove_handle(x->r->multi, x->c);
		curl_easy_cleanup(x->c);
		x->c = NULL;
	}
	curl_slist_free_all(x->headers);
	x->headers = NULL;
}

static int origin_url(struct xfer *x, const struct skf_ref *ref, struct skf_err *e)
{
	x->hops = 0;
	if (skf_fmt(x->url, sizeof(x->url), "%s/v2/%s/blobs/%s", x->r->base, ref->repo, x->g->desc.digest.s) < 0)
		return skf_fail(e, SKF_EINVALID, "the URL of blob '%s' is too long", x->g->desc.digest.s);
	return 0;
}

/* Again from the registry itself after a pause; gives up after SKF_HTTP_RETRIES attempts without a new byte. */
static int again(struct xfer *x, const struct skf_ref *ref, uint64_t before, const struct skf_err *why, struct skf_err *e)
{
	x->attempt = x->got > before ? 0 : x->attempt + 1;
	if (x->attempt > SKF_HTTP_RETRIES) {
		*e = *why;
		return -1;
	}
	int ms = x->resp.retry_after_ms >= 0 ? x->resp.retry_after_ms : skf_http_backoff_ms(x->attempt);
	skf_debug(x->r->log, "%s; going on at byte %llu in %d ms", why->msg, (unsigned long long)x->got, ms);
	x->not_before_ms = skf_mono_ms() + ms;
	x->state = WAITING;
	return origin_url(x, ref, e);
}

static int follow(struct xfer *x, struct skf_err *e)
{
	char next[4096];
	if (!x->resp.location[0] || ++x->hops > SKF_MAX_REDIRECTS)
		return skf_fail(e, SKF_EUNAVAILABLE, "blob '%s': registry '%s' redirects without an end", x->g->desc.digest.s, x->r->host);
	if (skf_http_redirect(x->url, x->resp.location, next, sizeof(next), e) < 0)
		return -1;
	memcpy(x->url, next, sizeof(next));
	x->not_before_ms = 0;
	x->state = WAITING;
	return 0;
}

static int on_status(struct xfer *x, const struct skf_ref *ref, uint64_t before, struct skf_err *e)
{
	struct skf_err why = SKF_ERR_INIT;
	long s = x->resp.status;
	if (s >= 300 && s <= 399)
		return follow(x, e);
	if (s == 416 && x->got) { /* the server cannot go on there: from the start, skipping is not possible for the sink */
		return skf_fail(e, SKF_EUNAVAILABLE, "blob '%s': registry '%s' refuses to resume at byte %llu", x->g->desc.digest.s, x->r->host,
		                (unsigned long long)x->got);
	}
	if (s == 401 && !x->authed) {
		x->authed = true;
		if (skf_token_get(x->r, ref->repo, &x->resp.challenge, e) < 0)
			return -1;
		x->state = WAITING;
		x->not_before_ms = 0;
		return origin_url(x, ref, e);
	}
	skf_http_fail_status(x->r, &x->resp, x->g->desc.digest.s, &why);
	if (s == 429 || s == 408 || s >= 500)
		return again(x, ref, before, &why, e);
	*e = why;
	return -1;
}

static int finished(struct xfer *x, const struct skf_ref *ref, CURLcode rc, uint64_t before, struct skf_err *e)
{
	struct skf_err why = SKF_ERR_INIT;
	char *url = NULL;
	curl_easy_getinfo(x->c, CURLINFO_RESPONSE_CODE, &x->resp.status);
	curl_easy_getinfo(x->c, CURLINFO_EFFECTIVE_URL, &url);
	if (x->err.kind) {
		*e = x->err;
		stop(x);
		return -1;
	}
	if (rc != CURLE_OK)
		skf_http_fail_curl(x->r, rc, x->detail, url ? url : x->url, &why);
	stop(x);
	if (rc != CURLE_OK) {
		if (skf_http_transient(rc))
			return again(x, ref, before, &why, e);
		*e = why;
		return -1;
	}
	if (x->resp.status != 200 && x->resp.status != 206)
		return on_status(x, ref, before, e);
	if (x->got < x->g->desc.size) {
		skf_fail(&why, SKF_ECORRUPT, "blob '%s': registry '%s' sent %llu of %llu bytes", x->g->desc.digest.s, x->r->host,
		         (unsigned long long)x->got, (unsigned long long)x->g->desc.size);
		return again(x, ref, before, &why, e);
	}
	x->state = DONE;
	x->g->done = true;
	return 0;
}

struct run {
	struct skf_registry *r;
	const struct skf_ref *ref;
	struct xfer *x;
	uint64_t *before;  /* per transfer: got when it was started */
	size_t n;
	unsigned parallel;
};

static int start_some(struct run *u, int64_t now, int *ret_wait_ms, struct skf_err *e)
{
	unsigned running = 0;
	for (size_t i = 0; i < u->n; i++)
		running += u->x[i].state == RUNNING;
	for (size_t i = 0; i < u->n && running < u->parallel; i++) {
		struct xfer *x = &u->x[i];
		if (x->state != WAITING)
			continue;
		if (x->not_before_ms > now) {
			int64_t ms = x->not_before_ms - now;
			*ret_wait_ms = ms < *ret_wait_ms ? (int)ms : *ret_wait_ms;
			continue;
		}
		u->before[i] = x->got;
		if (start(x, e) < 0)
			return -1;
		running++;
	}
	return 0;
}

static int reap_finished(struct run *u, struct skf_err *e)
{
	CURLMsg *m;
	int left;
	while ((m = curl_multi_info_read(u->r->multi, &left))) {
		struct xfer *x = NULL;
		if (m->msg != CURLMSG_DONE)
			continue;
		CURLcode rc = m->data.result;
		curl_easy_getinfo(m->easy_handle, CURLINFO_PRIVATE, &x);
		if (finished(x, u->ref, rc, u->before[x - u->x], e) < 0)
			return -1;
	}
	return 0;
}

static void resume_paused(struct run *u)
{
	if (!__atomic_exchange_n(&u->r->woken, false, __ATOMIC_ACQ_REL))
		return;
	for (size_t i = 0; i < u->n; i++)
		if (u->x[i].state == RUNNING && u->x[i].paused) {
			u->x[i].paused = false;
			curl_easy_pause(u->x[i].c, CURLPAUSE_CONT);
		}
}

static int loop(struct run *u, struct skf_err *e)
{
	for (;;) {
		size_t done = 0;
		int wait_ms = 1000, active = 0;
		struct pollfd p = { u->r->cancel_fd, POLLIN, 0 };
		if (u->r->cancel_fd >= 0 && poll(&p, 1, 0) > 0)
			return skf_fail(e, SKF_EUNAVAILABLE, "cancelled");
		if (start_some(u, skf_mono_ms(), &wait_ms, e) < 0)
			return -1;
		resume_paused(u);
		if (curl_multi_perform(u->r->multi, &active) != CURLM_OK)
			return skf_fail(e, SKF_ESYSTEM, "libcurl's transfers failed");
		if (reap_finished(u, e) < 0)
			return -1;
		bool waiting = false;
		for (size_t i = 0; i < u->n; i++) {
			done += u->x[i].state == DONE;
			waiting |= u->x[i].state == WAITING && u->x[i].not_before_ms <= skf_mono_ms();
		}
		if (done == u->n)
			return 0;
		if (waiting && active < (int)u->parallel)
			continue;
		struct curl_waitfd w = { u->r->cancel_fd, CURL_WAIT_POLLIN, 0 };
		if (curl_multi_poll(u->r->multi, &w, u->r->cancel_fd >= 0 ? 1 : 0, wait_ms, NULL) != CURLM_OK)
			return skf_fail(e, SKF_ESYSTEM, "libcurl cannot wait");
	}
}

int skf_registry_blobs(struct skf_registry *r, const struct skf_ref *ref, struct skf_blob_get *g, size_t n, unsigned parallel, struct skf_err *e)
{
	int x = 0;
	if (!n)
		return 0;
	if (skf_http_find_scheme(r, e) < 0)
		return -1;
	struct run u = { r, ref, calloc(n, sizeof(struct xfer)), calloc(n, sizeof(uint64_t)), n, parallel ? parallel : 1 };
	if (!r->multi)
		__atomic_store_n(&r->multi, curl_multi_init(), __ATOMIC_RELEASE);
	if (!u.x || !u.before || !r->multi)
		x = skf_fail(e, SKF_ENOMEM, "transfers of %zu blobs", n);
	for (size_t i = 0; x == 0 && i < n; i++) {
		u.x[i].r = r;
		u.x[i].g = &g[i];
		u.x[i].got = g[i].offset;
		g[i].done = false;
		x = origin_url(&u.x[i], ref, e);
	}
	if (x == 0)
		x = loop(&u, e);
	for (size_t i = 0; u.x && i < n; i++) {
		stop(&u.x[i]);
		skf_buf_done(&u.x[i].resp.body);
	}
	free(u.x);
	free(u.before);
	return x;
}

void skf_registry_wake(struct skf_registry *r)
{
	__atomic_store_n(&r->woken, true, __ATOMIC_RELEASE);
	CURLM *m = __atomic_load_n(&r->multi, __ATOMIC_ACQUIRE);
	if (m)
		curl_multi_wakeup(m);
}
