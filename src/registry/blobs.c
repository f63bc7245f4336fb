/* registry/blobs.c -- several blobs of one repository at once, over curl's multi interface, in the caller's
 * thread.
 *
 * One struct xfer per blob, a small state machine: WAITING (for a free slot, or for its back-off to pass) ->
 * RUNNING -> DONE, back to WAITING after a broken connection. Invariants:
 * 1. `got` counts the bytes that the sink took; a retry asks for the rest with Range and, when the server
 * sends the whole blob all the same, skips what is known. The sink therefore sees each byte once and in
 * order; that the bytes fit together is the digest's business.
 * 2. A transfer never delivers more than desc.size bytes.
 * 3. A sink that answers "not now" pauses its transfer only; skf_registry_wake() from another thread lets
 * all paused ones try again.
 * 4. Redirects are followed as in http.c: Authorization stays with the registry's own origin, and only that
 * may ask for it.
 * 5. A transfer that has begun keeps its slot until it is done, also while it waits for its back-off. A sink
 * that admits a bounded number of blobs can therefore not be blocked by its own: those that it has admitted
 * always go on. Each transfer has a connection of its own (HTTP/1.1): a paused one then stops its sender by
 * TCP, without a buffer here. */
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
	struct skf_http_resp resp; /* headers, and the body of an error answer */
	struct skf_err err;        /* of the sink or of the protocol */
	uint64_t got;              /* bytes that the sink has, from the start of the blob */
	uint64_t skip;             /* of this answer: bytes already known */
	bool body_ok, paused;      /* body_ok: the status was looked at and is 200 or 206 */
	int attempt, hops;
	unsigned restarts; /* of all attempts */
	bool refused;      /* by the sink */
	bool begun;        /* holds a slot */
	bool authed;       /* a token was fetched since the last byte: a second 401 in a row is an answer */
	unsigned auth_serial; /* of the header that was sent */
	const char *ca_dir;   /* that it was started with */
	int64_t not_before_ms;
};

#define SINK_CHUNK   (1u << 20)
#define MAX_RESTARTS 100 /* of one blob, however far each of them came */

/* Decides once per answer what its body is. */
static bool body_begins(struct xfer *x)
{
	long status = 0;
	curl_easy_getinfo(x->c, CURLINFO_RESPONSE_CODE, &status);
	x->resp.status = status;
	if (status != 200 && status != 206)
		return false;
	if (status == 206 && (!x->got || !x->resp.has_range || x->resp.range_start != x->got)) {
		skf_fail(&x->err, SKF_ECORRUPT,
			 "blob '%s': registry '%s' was asked for byte %llu and sends another range",
			 x->g->desc.digest.s, x->r->host, (unsigned long long)x->got);
		return false;
	}
	x->skip = status == 200 ? x->got : 0;
	return true;
}

static size_t on_data(char *p, size_t size, size_t n, void *user)
{
	struct xfer *x = user;
	size_t all = size * n, left = all;
	if (!x->body_ok && !(x->body_ok = body_begins(x))) {
		skf_buf_put(&x->resp.body, p,
			    all); /* the words of an error; what does not fit is not missed */
		return x->err.kind ? 0 : all;
	}
	uint64_t skip = x->skip; /* committed only when the whole chunk was taken: curl delivers a paused
				    chunk again */
	if (skip) {
		size_t s = skip < left ? (size_t)skip : left;
		p += s;
		left -= s;
		skip -= s;
	}
	if (x->got + left > x->g->desc.size) {
		skf_fail(&x->err, SKF_ECORRUPT,
			 "blob '%s': registry '%s' sends more than the %llu bytes of the manifest",
			 x->g->desc.digest.s, x->r->host, (unsigned long long)x->g->desc.size);
		return 0;
	}
	while (left) {
		size_t k = left < SINK_CHUNK ? left : SINK_CHUNK;
		int w = x->g->sink.write(x->g->sink.arg, x->got, p, k, &x->err);
		if (w == -2) {
			/* part of the chunk may be with the sink already: skip it when curl brings the chunk
			 * again */
			x->skip += all - left - (x->skip - skip);
			x->paused = true;
			return CURL_WRITEFUNC_PAUSE;
		}
		if (w < 0) {
			x->refused = true;
			return 0;
		}
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
	x->resp = (struct skf_http_resp){.body = SKF_BUF(65536), .retry_after_ms = -1, .r = r};
	x->body_ok = x->paused = false;
	x->begun = true;
	x->skip = 0;
	x->resp.from_origin = skf_http_same_origin(x->url, r->base);
	x->detail[0] = 0;
	x->auth_serial = r->auth_serial;
	skf_http_setup(r, x->c, x->url);
	x->ca_dir = r->ca_dir;
	if (r->auth_header && x->resp.from_origin) {
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
	curl_easy_setopt(x->c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
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
	if (skf_fmt(x->url, sizeof(x->url), "%s/v2/%s/blobs/%s%s", x->r->base, ref->repo,
		    x->g->desc.digest.s, x->r->ns) < 0)
		return skf_fail(e, SKF_EINVALID, "the URL of blob '%s' is too long", x->g->desc.digest.s);
	return 0;
}

/* Again from the registry itself after a pause; gives up after the registry's `retries` attempts without a
 * new byte, or MAX_RESTARTS in all. */
static int again(struct xfer *x, const struct skf_ref *ref, uint64_t before, const struct skf_err *why,
		 struct skf_err *e)
{
	x->attempt = x->got > before ? 0 : x->attempt + 1;
	if (x->got > before)
		x->authed = false;
	if (x->attempt > x->r->retries || ++x->restarts > MAX_RESTARTS) {
		*e = *why;
		return -1;
	}
	int ms =
		x->resp.retry_after_ms >= 0 ? x->resp.retry_after_ms : skf_http_backoff_ms(x->r, x->attempt);
	skf_debug(x->r->log, "%s; going on at byte %llu in %d ms", why->msg, (unsigned long long)x->got, ms);
	x->not_before_ms = skf_mono_ms() + ms;
	x->state = WAITING;
	return origin_url(x, ref, e);
}

static int follow(struct xfer *x, struct skf_err *e)
{
	char next[4096];
	if (!x->resp.location[0])
		return skf_fail(e, SKF_EUNAVAILABLE,
				"blob '%s': registry '%s' answered %ld without a usable Location",
				x->g->desc.digest.s, x->r->host, x->resp.status);
	if (++x->hops > SKF_MAX_REDIRECTS)
		return skf_fail(e, SKF_EUNAVAILABLE, "blob '%s': registry '%s' redirects more than %d times",
				x->g->desc.digest.s, x->r->host, SKF_MAX_REDIRECTS);
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
	x->g->no_resume |= s == 416 && x->got;
	if (s == 416 && x->got) /* the whole blob was offered before: a server that neither resumes nor
				   ignores Range is of no use */
		return skf_fail(e, SKF_EUNAVAILABLE,
				"blob '%s': registry '%s' refuses to resume at byte %llu",
				x->g->desc.digest.s, x->r->host, (unsigned long long)x->got);
	bool newer =
		x->auth_serial != x->r->auth_serial; /* another transfer has fetched a token meanwhile */
	if (s == 401 && x->resp.from_origin && (newer || !x->authed)) {
		x->authed |= !newer;
		if (!newer && skf_token_get(x->r, ref->repo, &x->resp.challenge, e) < 0)
			return -1;
		x->state = WAITING;
		x->not_before_ms = 0;
		return origin_url(x, ref, e);
	}
	skf_http_fail_status(x->r, &x->resp, x->g->desc.digest.s, &why);
	if (skf_http_status_transient(s))
		return again(x, ref, before, &why, e);
	*e = why;
	return -1;
}

static int finished(struct xfer *x, const struct skf_ref *ref, CURLcode rc, uint64_t before,
		    struct skf_err *e)
{
	struct skf_err why = SKF_ERR_INIT;
	curl_easy_getinfo(x->c, CURLINFO_RESPONSE_CODE, &x->resp.status);
	stop(x);
	if (x->err.kind) {
		*e = x->err;
		return -1;
	}
	bool body = x->resp.status == 200 || x->resp.status == 206;
	if (body && x->got == x->g->desc.size &&
	    (x->body_ok || rc == CURLE_OK)) { /* whatever went wrong behind the last byte */
		x->state = DONE;
		x->g->done = true;
		return 0;
	}
	if (rc != CURLE_OK && x->resp.header_bytes > SKF_MAX_HTTP_HEADER)
		return skf_http_fail_headers(x->r, x->url, e);
	if (rc != CURLE_OK) {
		skf_http_fail_curl(x->r, rc, x->detail, x->url, &why);
		if (skf_certs_widen(x->r, rc) ||
		    (x->r->ca_dir != x->ca_dir && rc == CURLE_PEER_FAILED_VERIFICATION)) {
			x->not_before_ms = 0;
			x->state = WAITING;
			return 0;
		}
		if (skf_http_transient(x->r, rc))
			return again(x, ref, before, &why, e);
		*e = why;
		return -1;
	}
	if (!body)
		return on_status(x, ref, before, e);
	skf_fail(&why, SKF_ECORRUPT, "blob '%s': registry '%s' sent %llu of %llu bytes", x->g->desc.digest.s,
		 x->r->host, (unsigned long long)x->got, (unsigned long long)x->g->desc.size);
	return again(x, ref, before, &why, e);
}

struct run {
	struct skf_registry *r;
	const struct skf_ref *ref;
	struct xfer *x;
	uint64_t *before; /* per transfer: got when it was started */
	size_t n;
	unsigned parallel;
};

static unsigned slots_taken(const struct run *u)
{
	unsigned n = 0;
	for (size_t i = 0; i < u->n; i++)
		n += u->x[i].begun && u->x[i].state != DONE;
	return n;
}

static int start_some(struct run *u, struct skf_err *e)
{
	unsigned slots = slots_taken(u);
	int64_t now = skf_mono_ms();
	for (size_t i = 0; i < u->n; i++) {
		struct xfer *x = &u->x[i];
		if (x->state != WAITING || x->not_before_ms > now || (!x->begun && slots >= u->parallel))
			continue;
		u->before[i] = x->got;
		slots += !x->begun;
		if (start(x, e) < 0)
			return -1;
	}
	return 0;
}

/* How long nothing needs to be started: 0 for something that can start now, -1 when all are done. */
static int quiet_ms(const struct run *u)
{
	unsigned slots = slots_taken(u);
	int64_t now = skf_mono_ms();
	int ms = -1;
	for (size_t i = 0; i < u->n; i++) {
		const struct xfer *x = &u->x[i];
		if (x->state == DONE)
			continue;
		int64_t left = x->state == WAITING && (x->begun || slots < u->parallel)
				       ? x->not_before_ms - now
				       : 1000;
		int this = left < 0 ? 0 : left > 1000 ? 1000 : (int)left;
		if (ms < 0 || this < ms)
			ms = this;
	}
	return ms;
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

/* curl brings the bytes that it kept from inside curl_easy_pause(); if the sink refuses them there, only the
 * return value says so. */
static int resume_paused(struct run *u, struct skf_err *e)
{
	if (!__atomic_exchange_n(&u->r->woken, false, __ATOMIC_ACQ_REL))
		return 0;
	for (size_t i = 0; i < u->n; i++) {
		struct xfer *x = &u->x[i];
		if (x->state != RUNNING || !x->paused)
			continue;
		x->paused = false;
		CURLcode rc = curl_easy_pause(x->c, CURLPAUSE_CONT);
		if (x->err.kind) {
			*e = x->err;
			return -1;
		}
		if (rc != CURLE_OK && finished(x, u->ref, rc, u->before[i], e) < 0)
			return -1;
	}
	return 0;
}

static int loop(struct run *u, struct skf_err *e)
{
	for (;;) {
		int active, wait_ms;
		struct pollfd p = {u->r->cancel_fd, POLLIN, 0};
		if (u->r->cancel_fd >= 0 && poll(&p, 1, 0) > 0)
			return skf_fail(e, SKF_EUNAVAILABLE, "cancelled");
		if (start_some(u, e) < 0 || resume_paused(u, e) < 0)
			return -1;
		if (curl_multi_perform(u->r->multi, &active) != CURLM_OK)
			return skf_fail(e, SKF_ESYSTEM, "libcurl's transfers failed");
		if (reap_finished(u, e) < 0)
			return -1;
		wait_ms = quiet_ms(u);
		if (wait_ms < 0)
			return 0;
		struct curl_waitfd w = {u->r->cancel_fd, CURL_WAIT_POLLIN, 0};
		if (curl_multi_poll(u->r->multi, &w, u->r->cancel_fd >= 0 ? 1 : 0, wait_ms, NULL) !=
		    CURLM_OK)
			return skf_fail(e, SKF_ESYSTEM, "libcurl cannot wait");
	}
}

int skf_blobs_one(struct skf_registry *r, const struct skf_ref *ref, struct skf_blob_get *g, size_t n,
		  unsigned parallel, bool *ret_fatal, struct skf_err *e)
{
	int x = 0;
	if (!n)
		return 0;
	if (skf_http_find_scheme(r, e) < 0)
		return -1;
	struct run u = {r,
			ref,
			calloc(n, sizeof(struct xfer)),
			calloc(n, sizeof(uint64_t)),
			n,
			parallel ? parallel : 1};
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
		g[i].offset = u.x[i].got; /* whoever goes on goes on there */
		*ret_fatal |= u.x[i].refused;
		stop(&u.x[i]);
		skf_buf_done(&u.x[i].resp.body);
	}
	free(u.x);
	free(u.before);
	return x;
}
