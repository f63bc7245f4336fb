/* registry/http.c -- one HTTP request at a time over libcurl: options, retries, redirects.
 *
 * Invariants:
 * 1. curl never follows a redirect by itself: each Location is resolved by http_url.c, and loses the
 * Authorization header when scheme, host or port change (T51).
 * 2. TLS peer and name are verified unless the user said otherwise for this registry (T53).
 * 3. No wait is endless: connect and stall time-outs, a time for the whole of a document, a bounded number
 * of retries. */
#include "registry/registry_int.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <string.h>

void skf_http_resp_done(struct skf_http_resp *p)
{
	skf_buf_done(&p->body);
}

static size_t on_body(char *p, size_t size, size_t n, void *user)
{
	struct skf_http_resp *r = user;
	skf_buf_put(&r->body, p, size * n);
	return r->body.err ? 0 : size * n;
}

struct guard {
	bool loopback_ok;
	char refused[INET6_ADDRSTRLEN]; /* an address that was not connected to; "" */
};

static curl_socket_t on_socket(void *user, curlsocktype purpose, struct curl_sockaddr *a)
{
	struct guard *g = user;
	const struct sockaddr_in *v4 = (const void *)&a->addr;
	const struct sockaddr_in6 *v6 = (const void *)&a->addr;
	if (purpose == CURLSOCKTYPE_IPCXN && skf_http_address_forbidden(&a->addr, g->loopback_ok)) {
		inet_ntop(a->family, a->family == AF_INET6 ? (const void *)&v6->sin6_addr : &v4->sin_addr,
			  g->refused, sizeof(g->refused));
		return CURL_SOCKET_BAD;
	}
	return socket(a->family, a->socktype | SOCK_CLOEXEC, a->protocol);
}

static int on_progress(void *user, curl_off_t a, curl_off_t b, curl_off_t c, curl_off_t d)
{
	const struct skf_registry *r = user;
	struct pollfd p = {r->cancel_fd, POLLIN, 0};
	return r->cancel_fd >= 0 && poll(&p, 1, 0) > 0;
}

void skf_http_setup(struct skf_registry *r, CURL *c, const char *url)
{
	curl_easy_setopt(c, CURLOPT_URL, url);
	curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http,https");
	curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L);
	curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	curl_easy_setopt(c, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED);
	curl_easy_setopt(c, CURLOPT_USERAGENT, "skiff/" SKF_VERSION);
	curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, (long)SKF_HTTP_CONNECT_MS);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_LIMIT, 1L);
	curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)SKF_HTTP_STALL_MS / 1000);
	curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_2TLS);
	curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYPEER, r->insecure_tls ? 0L : 1L);
	curl_easy_setopt(c, CURLOPT_SSL_VERIFYHOST, r->insecure_tls ? 0L : 2L);
	if (r->ca_pem) {
		struct curl_blob b = {r->ca_pem, r->ca_pem_n, CURL_BLOB_NOCOPY};
		curl_easy_setopt(c, CURLOPT_CAINFO_BLOB, &b);
	} else if (r->ca_dir) {
		curl_easy_setopt(c, CURLOPT_CAINFO, NULL);
		curl_easy_setopt(c, CURLOPT_CAPATH, r->ca_dir);
	}
	if (r->client_cert) {
		curl_easy_setopt(c, CURLOPT_SSLCERT, r->client_cert);
		curl_easy_setopt(c, CURLOPT_SSLKEY, r->client_key);
	}
	if (r->share)
		curl_easy_setopt(c, CURLOPT_SHARE, r->share);
}

/* --- one transfer --- */
static int headers(struct skf_registry *r, const struct skf_http_req *q, bool auth, struct curl_slist **ret,
		   struct skf_err *e)
{
	struct curl_slist *h = NULL, *n;
	/* without "Expect:" curl waits a second for a server that does not know it */
	const char *const lines[] = {q->accept,     auth ? r->auth_header : NULL,
				     q->headers[0], q->headers[1],
				     q->headers[2], q->method ? "Expect:" : NULL};
	for (size_t i = 0; i < SKF_ARRAY_LEN(lines); i++) {
		if (!lines[i])
			continue;
		n = curl_slist_append(h, lines[i]);
		if (!n) {
			curl_slist_free_all(h);
			return skf_fail(e, SKF_ENOMEM, "HTTP request");
		}
		h = n;
	}
	*ret = h;
	return 0;
}

static size_t on_upload(char *p, size_t size, size_t n, void *user)
{
	struct skf_http_upload *u = user;
	uint64_t left = u->size - u->at, room = (uint64_t)size * n;
	if (!left)
		return 0;
	int64_t k = u->read(u->arg, u->at, p, (size_t)(left < room ? left : room));
	if (k <= 0)
		return CURL_READFUNC_ABORT;
	u->at += (uint64_t)k;
	return (size_t)k;
}

static void set_method(CURL *c, const struct skf_http_req *q)
{
	if (q->post)
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->post);
	if (!q->method)
		return;
	if (skf_streq(q->method, "HEAD")) {
		curl_easy_setopt(c, CURLOPT_NOBODY, 1L);
		return;
	}
	if (q->up) {
		q->up->at = 0;
		curl_easy_setopt(c, CURLOPT_UPLOAD, 1L);
		curl_easy_setopt(c, CURLOPT_INFILESIZE_LARGE, (curl_off_t)q->up->size);
		curl_easy_setopt(c, CURLOPT_READFUNCTION, on_upload);
		curl_easy_setopt(c, CURLOPT_READDATA, q->up);
		curl_easy_setopt(c, CURLOPT_UPLOAD_BUFFERSIZE, 524288L);
		curl_easy_setopt(c, CURLOPT_HTTP_VERSION, (long)CURL_HTTP_VERSION_1_1);
		curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, 0L);
		curl_easy_setopt(c, CURLOPT_LOW_SPEED_TIME, (long)SKF_HTTP_UPLOAD_STALL_S);
	} else if (!skf_streq(q->method, "DELETE") && !skf_streq(q->method, "GET")) {
		curl_easy_setopt(c, CURLOPT_POSTFIELDS, q->body ? q->body : "");
		curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE_LARGE, (curl_off_t)q->body_n);
	}
	curl_easy_setopt(c, CURLOPT_CUSTOMREQUEST, q->method);
}

static int once(struct skf_registry *r, const struct skf_http_req *q, const char *url,
		struct skf_http_resp *ret, CURLcode *rc, struct skf_err *e)
{
	char detail[CURL_ERROR_SIZE] = "";
	struct guard guard = {.loopback_ok = r->loopback || skf_http_may_use_proxy(url)};
	if (!r->easy)
		r->easy = curl_easy_init();
	CURL *c = r->easy;
	if (!c)
		return skf_fail(e, SKF_ENOMEM, "HTTP request");
	skf_buf_done(&ret->body);
	*ret = (struct skf_http_resp){.body = SKF_BUF(q->max_body),
				      .retry_after_ms = -1,
				      .from_origin = skf_http_same_origin(url, r->base),
				      .r = r};
	bool auth = q->with_auth && r->auth_header && ret->from_origin;
	struct curl_slist *h = NULL;
	if (headers(r, q, auth, &h, e) < 0)
		return -1;
	skf_http_setup(r, c, url);
	curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, (long)SKF_HTTP_DOC_MS);
	curl_easy_setopt(c, CURLOPT_NOPROGRESS, 0L);
	curl_easy_setopt(c, CURLOPT_XFERINFOFUNCTION, on_progress);
	curl_easy_setopt(c, CURLOPT_XFERINFODATA, r);
	curl_easy_setopt(c, CURLOPT_HTTPHEADER, h);
	curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, on_body);
	curl_easy_setopt(c, CURLOPT_WRITEDATA, ret);
	curl_easy_setopt(c, CURLOPT_HEADERFUNCTION, skf_http_on_header);
	curl_easy_setopt(c, CURLOPT_HEADERDATA, ret);
	curl_easy_setopt(c, CURLOPT_ERRORBUFFER, detail);
	if (q->foreign) {
		curl_easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, on_socket);
		curl_easy_setopt(c, CURLOPT_OPENSOCKETDATA, &guard);
		curl_easy_setopt(c, CURLOPT_FRESH_CONNECT,
				 1L); /* a connection that is open already was not judged */
	}
	if (q->userpwd_user) {
		curl_easy_setopt(c, CURLOPT_USERNAME, q->userpwd_user);
		curl_easy_setopt(c, CURLOPT_PASSWORD, q->userpwd_password);
		curl_easy_setopt(c, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC);
	}
	set_method(c, q);
	*rc = curl_easy_perform(c);
	curl_easy_getinfo(c, CURLINFO_RESPONSE_CODE, &ret->status);
	int r2 = 0;
	if (*rc == CURLE_WRITE_ERROR && ret->body.err)
		r2 = skf_fail(e, SKF_ELIMIT, "registry '%s': the answer to %s is larger than %zu bytes",
			      r->host, url, q->max_body);
	else if (*rc != CURLE_OK && ret->header_bytes > SKF_MAX_HTTP_HEADER)
		r2 = skf_http_fail_headers(r, url, e);
	else if (*rc != CURLE_OK && guard.refused[0]) {
		*rc = CURLE_REMOTE_ACCESS_DENIED; /* not worth a retry */
		r2 = skf_fail(e, SKF_EDENIED,
			      "'%s' is at the address %s, which a token server of registry '%s' may not "
			      "have: refused",
			      url, guard.refused, r->host);
	} else if (*rc != CURLE_OK)
		r2 = skf_http_fail_curl(r, *rc, detail, url, e);
	curl_slist_free_all(h);
	curl_easy_reset(c); /* its pointers into this frame */
	return r2;
}

static int with_retries(struct skf_registry *r, const struct skf_http_req *q, const char *url,
			struct skf_http_resp *ret, struct skf_err *e)
{
	for (int attempt = 0;; attempt++) {
		CURLcode rc = CURLE_OK;
		int x = once(r, q, url, ret, &rc, e);
		if (x < 0 && skf_certs_widen(r, rc)) {
			skf_err_clear(e);
			x = once(r, q, url, ret, &rc, e);
		}
		bool again = x < 0 ? skf_http_transient(r, rc) && r->scheme_known
				   : skf_http_status_transient(ret->status);
		if (!again || q->up || q->single || attempt >= r->retries)
			return x;
		int ms = ret->retry_after_ms >= 0 ? ret->retry_after_ms : skf_http_backoff_ms(r, attempt);
		skf_debug(r->log, "registry '%s': %s, trying again in %d ms", r->host,
			  x < 0 ? e->msg : "busy", ms);
		if (skf_http_pause(r, ms, e) < 0)
			return -1;
		skf_err_clear(e);
	}
}

int skf_http_do(struct skf_registry *r, const struct skf_http_req *q, struct skf_http_resp *ret,
		struct skf_err *e)
{
	char url[4096], next[4096];
	if (skf_fmt(url, sizeof(url), "%s", q->url) < 0)
		return skf_fail(e, SKF_ELIMIT, "registry '%s': a URL is longer than %zu bytes", r->host,
				sizeof(url));
	for (int hop = 0;; hop++) {
		if (with_retries(r, q, url, ret, e) < 0)
			return -1;
		if (!q->follow || ret->status < 300 || ret->status > 399 || !ret->location[0])
			return 0;
		if (hop >= SKF_MAX_REDIRECTS)
			return skf_fail(e, SKF_EUNAVAILABLE, "registry '%s': more than %d redirects for %s",
					r->host, SKF_MAX_REDIRECTS, q->url);
		if (skf_http_redirect(url, ret->location, next, sizeof(next), e) < 0)
			return -1;
		memcpy(url, next, sizeof(url));
	}
}
