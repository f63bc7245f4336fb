/* registry/http.c -- one HTTP request at a time over libcurl: retries, redirects, authentication.
 *
 * Invariants:
 * 1. curl never follows a redirect by itself: each Location is resolved here, may not leave http(s), may not
 * go from https to http, and loses the Authorization header when scheme, host or port change (T51).
 * 2. TLS peer and name are verified unless the user said otherwise for this registry (T53).
 * 3. Plain HTTP is used only for a loopback registry or by explicit choice, and only after HTTPS was tried.
 * 4. No wait is endless: connect and stall time-outs, a time for the whole of a document, a bounded number
 * of retries.
 * 5. Only the registry itself may ask for authentication: a 401 from a host that it redirects to gets
 * nothing. */
#include "base/fd.h"
#include "base/json.h"
#include "base/arena.h"
#include "registry/registry_int.h"
#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

void skf_http_resp_done(struct skf_http_resp *p)
{
	skf_buf_done(&p->body);
}

/* --- headers --- */
static bool header_is(struct skf_str line, const char *name, struct skf_str *value)
{
	size_t n = strlen(name);
	if (line.n <= n || strncasecmp(line.p, name, n) != 0 || line.p[n] != ':')
		return false;
	const char *p = line.p + n + 1, *end = line.p + line.n;
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	while (end > p && (end[-1] == '\r' || end[-1] == '\n' || end[-1] == ' '))
		end--;
	*value = (struct skf_str){p, (size_t)(end - p)};
	return true;
}

/* A value that does not fit is cut: a cut Content-Type matches no type. */
static void keep(struct skf_str v, char *dst, size_t size)
{
	size_t n = v.n < size ? v.n : size - 1;

	memcpy(dst, v.p, n);
	dst[n] = 0;
}

static int retry_after(struct skf_str v)
{
	char s[16];
	uint32_t sec;
	if (v.n >= sizeof(s))
		return -1;
	memcpy(s, v.p, v.n);
	s[v.n] = 0;
	if (skf_parse_u32(s, &sec) < 0) /* the date form: the default back-off serves */
		return -1;
	return sec > SKF_MAX_RETRY_AFTER_MS / 1000 ? SKF_MAX_RETRY_AFTER_MS : (int)(sec * 1000);
}

static void keep_number(struct skf_str v, bool *has, uint64_t *ret)
{
	char s[24];
	keep(v, s, sizeof(s));
	*has = skf_parse_u64(s, ret) == 0;
}

/* Headers that only say something about the object; true when it was one. */
static bool object_header(struct skf_http_resp *r, struct skf_str line)
{
	struct skf_str v;
	bool has;
	if (header_is(line, "Docker-Content-Digest", &v)) {
		keep(v, r->digest, sizeof(r->digest));
	} else if (header_is(line, "OCI-Subject", &v)) {
		keep(v, r->subject, sizeof(r->subject));
	} else if (header_is(line, "Content-Length", &v)) {
		keep_number(v, &r->has_length, &r->length);
	} else if (header_is(line, "OCI-Chunk-Min-Length", &v)) {
		keep_number(v, &has, &r->chunk_min);
	} else if (header_is(line, "Link", &v)) {
		if (!r->link[0] && skf_http_link_next(v.p, v.n, r->link, sizeof(r->link)) != 1)
			r->link[0] = 0;
	} else if (header_is(line, "Range", &v)) {
		r->has_uploaded = skf_http_parse_uploaded(v.p, v.n, &r->uploaded);
	} else if (header_is(line, "Warning", &v)) {
		char text[256];
		if (r->r && r->from_origin && skf_http_parse_warning(v.p, v.n, text, sizeof(text)))
			skf_http_warn(r->r, text);
	} else {
		return false;
	}
	return true;
}

size_t skf_http_on_header(char *p, size_t size, size_t n, void *user)
{
	struct skf_http_resp *r = user;
	struct skf_str line = {p, size * n}, v;
	r->header_bytes += line.n;
	if (r->header_bytes > SKF_MAX_HTTP_HEADER)
		return 0;
	if (line.n > 5 &&
	    memcmp(p, "HTTP/", 5) == 0) { /* a new response (100 Continue, proxy): forget the old headers */
		memset(&r->challenge, 0, sizeof(r->challenge));
		r->content_type[0] = r->location[0] = r->link[0] = r->digest[0] = r->subject[0] = 0;
		r->has_range = r->has_length = r->has_uploaded = false;
		r->chunk_min = 0;
		r->retry_after_ms = -1;
		skf_err_clear(&r->hdr_err);
	} else if (header_is(line, "WWW-Authenticate", &v)) {
		if (skf_challenge_parse(v.p, v.n, &r->challenge, &r->hdr_err) < 0)
			memset(&r->challenge, 0, sizeof(r->challenge));
	} else if (header_is(line, "Content-Type", &v)) {
		keep(v, r->content_type, sizeof(r->content_type));
	} else if (header_is(line, "Location", &v)) {
		if (v.n < sizeof(r->location))
			keep(v, r->location, sizeof(r->location));
	} else if (header_is(line, "Content-Range", &v)) {
		r->has_range = skf_http_parse_content_range(v.p, v.n, &r->range_start);
	} else if (header_is(line, "Retry-After", &v)) {
		r->retry_after_ms = retry_after(v);
	} else if (!object_header(r, line)) {
		return line.n;
	}
	return line.n;
}

static size_t on_body(char *p, size_t size, size_t n, void *user)
{
	struct skf_http_resp *r = user;
	skf_buf_put(&r->body, p, size * n);
	return r->body.err ? 0 : size * n;
}

/* --- URLs --- */
static char *url_part(CURLU *u, CURLUPart what)
{
	char *s = NULL;
	return curl_url_get(u, what, &s, CURLU_DEFAULT_PORT) == CURLUE_OK ? s : NULL;
}

bool skf_http_same_origin(const char *url_a, const char *url_b)
{
	static const CURLUPart parts[] = {CURLUPART_SCHEME, CURLUPART_HOST, CURLUPART_PORT};
	CURLU *a = curl_url(), *b = curl_url();
	bool same = a && b && curl_url_set(a, CURLUPART_URL, url_a, 0) == CURLUE_OK &&
		    curl_url_set(b, CURLUPART_URL, url_b, 0) == CURLUE_OK;
	for (size_t i = 0; same && i < SKF_ARRAY_LEN(parts); i++) {
		char *x = url_part(a, parts[i]), *y = url_part(b, parts[i]);
		same = x && y && strcasecmp(x, y) == 0;
		curl_free(x);
		curl_free(y);
	}
	curl_url_cleanup(a);
	curl_url_cleanup(b);
	return same;
}

int skf_http_redirect(const char *url, const char *location, char *out, size_t size, struct skf_err *e)
{
	int r = -1;
	char *next = NULL;
	CURLU *u = curl_url();
	if (!u || curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK ||
	    curl_url_set(u, CURLUPART_URL, location, 0) != CURLUE_OK ||
	    curl_url_get(u, CURLUPART_URL, &next, 0) != CURLUE_OK)
		skf_fail(e, SKF_EUNAVAILABLE, "'%s' redirects to '%.200s', which is no URL", url, location);
	else if (!skf_startswith(next, "https://") && !skf_startswith(next, "http://"))
		skf_fail(e, SKF_EDENIED, "'%s' redirects to '%.200s': only http and https are followed", url,
			 next);
	else if (skf_startswith(url, "https://") && !skf_startswith(next, "https://"))
		skf_fail(e, SKF_EDENIED, "'%s' redirects from https to '%.200s': refused", url, next);
	else if (skf_fmt(out, size, "%s", next) < 0)
		skf_fail(e, SKF_ELIMIT, "'%s' redirects to a URL longer than %zu bytes", url, size);
	else
		r = 0;
	curl_free(next);
	curl_url_cleanup(u);
	return r;
}

/* --- addresses that a token realm may not name (T52): judged on the address that is connected to --- */
static bool v4_forbidden(uint32_t a, bool loopback_ok)
{
	static const struct {
		uint32_t net, mask;
	} never[] = {
		{0xa9fe0000, 0xffff0000}, /* 169.254.0.0/16: link-local, metadata services */
		{0x00000000, 0xff000000}, /* 0.0.0.0/8 */
		{0xe0000000, 0xe0000000}, /* multicast, reserved, broadcast */
		{0x646464c8, 0xffffffff}, /* 100.100.100.200: metadata service */
	};
	if (a >> 24 == 127)
		return !loopback_ok;
	for (size_t i = 0; i < SKF_ARRAY_LEN(never); i++)
		if ((a & never[i].mask) == never[i].net)
			return true;
	return false;
}

static bool v6_forbidden(const struct in6_addr *a, bool loopback_ok)
{
	static const unsigned char nat64[12] = {0x00, 0x64, 0xff, 0x9b},
				   metadata[16] = {0xfd, 0x00, 0x0e, 0xc2, [14] = 0x02, [15] = 0x54};
	uint32_t v4;
	if (IN6_IS_ADDR_LOOPBACK(a))
		return !loopback_ok;
	memcpy(&v4, a->s6_addr + 12, 4);
	if (IN6_IS_ADDR_V4MAPPED(a) || IN6_IS_ADDR_V4COMPAT(a) ||
	    memcmp(a->s6_addr, nat64, sizeof(nat64)) == 0)
		return v4_forbidden(ntohl(v4), loopback_ok);
	return IN6_IS_ADDR_LINKLOCAL(a) || IN6_IS_ADDR_UNSPECIFIED(a) || IN6_IS_ADDR_MULTICAST(a) ||
	       memcmp(a->s6_addr, metadata, 16) == 0;
}

bool skf_http_address_forbidden(const struct sockaddr *sa, bool loopback_ok)
{
	if (sa->sa_family == AF_INET)
		return v4_forbidden(ntohl(((const struct sockaddr_in *)(const void *)sa)->sin_addr.s_addr),
				    loopback_ok);
	if (sa->sa_family == AF_INET6)
		return v6_forbidden(&((const struct sockaddr_in6 *)(const void *)sa)->sin6_addr,
				    loopback_ok);
	return true;
}

/* Host part of "host", "host:port", "[v6]" or "[v6]:port" without brackets and port. */
static int bare_host(const char *s, char *out, size_t size)
{
	bool v6 = *s == '[';
	size_t n = strcspn(s + v6, v6 ? "]" : ":");
	return skf_fmt(out, size, "%.*s", (int)(n < size ? n : size), s + v6);
}

static bool host_address(const char *host, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)(void *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)(void *)ret;
	memset(ret, 0, sizeof(*ret));
	if (inet_pton(AF_INET, host, &v4->sin_addr) == 1) {
		ret->ss_family = AF_INET;
		return true;
	}
	if (inet_pton(AF_INET6, host, &v6->sin6_addr) == 1) {
		ret->ss_family = AF_INET6;
		return true;
	}
	return false;
}

bool skf_http_host_is_loopback(const char *host)
{
	char h[SKF_MAX_REPO_BYTES + 1];
	struct sockaddr_storage a;
	if (bare_host(host, h, sizeof(h)) < 0)
		return false;
	if (!host_address(h, &a))
		return strcasecmp(h, "localhost") == 0;
	return !skf_http_address_forbidden((struct sockaddr *)&a, true) &&
	       skf_http_address_forbidden((struct sockaddr *)&a, false);
}

bool skf_http_url_forbidden(const char *url, bool loopback_ok)
{
	CURLU *u = curl_url();
	char *host = u && curl_url_set(u, CURLUPART_URL, url, 0) == CURLUE_OK ? url_part(u, CURLUPART_HOST)
									      : NULL;
	char h[SKF_MAX_REPO_BYTES + 1] = "";
	struct sockaddr_storage a;
	bool bad = !host || bare_host(host, h, sizeof(h)) < 0;
	if (!bad && host_address(h, &a))
		bad = skf_http_address_forbidden((struct sockaddr *)&a, loopback_ok);
	else if (!bad && (strcasecmp(h, "localhost") == 0 ||
			  (strlen(h) > 10 && strcasecmp(h + strlen(h) - 10, ".localhost") == 0)))
		bad = !loopback_ok;
	curl_free(host);
	curl_url_cleanup(u);
	return bad;
}

/* curl asks the same variables. A proxy connects in our place, so only the realm as it is written can be
 * judged then; the proxy's own address may be the loopback. */
static bool may_use_proxy(const char *url)
{
	static const char *const https[] = {"https_proxy", "HTTPS_PROXY", "all_proxy", "ALL_PROXY", NULL};
	static const char *const http[] = {"http_proxy", "all_proxy", "ALL_PROXY", NULL};
	for (const char *const *name = skf_startswith(url, "https:") ? https : http; *name; name++) {
		const char *v = getenv(*name);
		if (v && *v)
			return true;
	}
	return false;
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

/* --- failures as sentences --- */
bool skf_http_transient(const struct skf_registry *r, CURLcode rc)
{
	switch (rc) {
	case CURLE_COULDNT_CONNECT: /* nobody listens on this host: waiting will not start a registry */
		return !r->loopback;
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_RECV_ERROR:
	case CURLE_SEND_ERROR:
	case CURLE_GOT_NOTHING:
	case CURLE_PARTIAL_FILE:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
	case CURLE_COULDNT_RESOLVE_HOST:
		return true;
	default:
		return false;
	}
}

int skf_http_fail_curl(const struct skf_registry *r, CURLcode rc, const char *detail, const char *url,
		       struct skf_err *e)
{
	const char *why = detail && *detail ? detail : curl_easy_strerror(rc);
	switch (rc) {
	case CURLE_PEER_FAILED_VERIFICATION:
	case CURLE_SSL_CACERT_BADFILE:
	case CURLE_SSL_ISSUER_ERROR:
		return skf_fail(e, SKF_EDENIED,
				"registry '%s': the TLS certificate is not trusted: %s; put its CA into "
				"certs.d/%s/ca.crt or use --tls-verify=false",
				r->host, why, r->host);
	case CURLE_OPERATION_TIMEDOUT:
		return skf_fail(e, SKF_ETIMEOUT, "registry '%s': no answer in time for %s: %s", r->host, url,
				why);
	case CURLE_ABORTED_BY_CALLBACK:
		return skf_fail(e, SKF_EUNAVAILABLE, "cancelled");
	case CURLE_OUT_OF_MEMORY:
		return skf_fail(e, SKF_ENOMEM, "registry '%s'", r->host);
	default:
		return skf_fail(e, SKF_EUNAVAILABLE, "registry '%s' cannot be reached (%s): %s", r->host,
				url, why);
	}
}

int skf_http_fail_headers(const struct skf_registry *r, const char *url, struct skf_err *e)
{
	return skf_fail(e, SKF_ELIMIT,
			"registry '%s': the headers of the answer to %s are larger than %d bytes", r->host,
			url, SKF_MAX_HTTP_HEADER);
}

int skf_http_backoff_ms(int attempt)
{
	uint16_t jitter = 0;
	char hex[5] = "";
	if (skf_random_hex(hex, 2) == 0)
		for (int i = 0; i < 4; i++)
			jitter =
				(uint16_t)(jitter << 4 | (hex[i] <= '9' ? hex[i] - '0' : hex[i] - 'a' + 10));
	int base = 200 << (attempt > 5 ? 5 : attempt);
	return base / 2 + jitter % (base / 2 + 1);
}

int skf_http_pause(const struct skf_registry *r, int ms, struct skf_err *e)
{
	struct pollfd p = {r->cancel_fd, POLLIN, 0};
	if (poll(&p, r->cancel_fd >= 0 ? 1 : 0, ms) > 0)
		return skf_fail(e, SKF_EUNAVAILABLE, "cancelled");
	return 0;
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
	struct guard guard = {.loopback_ok = r->loopback || may_use_proxy(url)};
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

bool skf_http_status_transient(long s)
{
	return s == 429 || s == 408 || s == 500 || s == 502 || s == 503 || s == 504;
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
		if (!again || q->up || q->single || attempt >= SKF_HTTP_RETRIES)
			return x;
		int ms = ret->retry_after_ms >= 0 ? ret->retry_after_ms : skf_http_backoff_ms(attempt);
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

/* --- scheme and authentication --- */
static int set_base(struct skf_registry *r, const char *scheme, struct skf_err *e)
{
	const char *host = skf_streq(r->host, "docker.io") ? "registry-1.docker.io" : r->host;
	if (skf_fmt(r->base, sizeof(r->base), "%s://%s", scheme, host) < 0)
		return skf_fail(e, SKF_EINVALID, "registry '%s': the name is too long", r->host);
	return 0;
}

static int ping(struct skf_registry *r, const char *scheme, struct skf_err *e)
{
	SKF_AUTO(skf_http_resp_done) struct skf_http_resp p = {0};
	char url[sizeof(r->base) + 8];
	if (set_base(r, scheme, e) < 0)
		return -1;
	if (skf_fmt(url, sizeof(url), "%s/v2/", r->base) < 0)
		return skf_fail(e, SKF_EINVALID, "registry '%s': the name is too long", r->host);
	struct skf_http_req q = {.url = url, .max_body = 65536};
	return skf_http_do(r, &q, &p, e);
}

int skf_http_force_plain(struct skf_registry *r, struct skf_err *e)
{
	r->scheme_known = true;
	return set_base(r, "http", e);
}

int skf_http_find_scheme(struct skf_registry *r, struct skf_err *e)
{
	if (r->scheme_known)
		return 0;
	struct skf_err https = SKF_ERR_INIT;
	if (!r->plain_http && !r->loopback) {
		r->scheme_known = true;
		return set_base(r, "https", e);
	}
	if (ping(r, "https", &https) == 0) {
		r->scheme_known = true;
		return 0;
	}
	if (https.kind == SKF_EDENIED) {
		*e = https;
		return -1;
	}
	r->scheme_known = true;
	if (ping(r, "http", e) == 0)
		return 0;
	r->scheme_known = false;
	return -1;
}

int skf_http_url(struct skf_registry *r, const char *repo, const char *path, char *out, size_t size,
		 struct skf_err *e)
{
	if (skf_http_find_scheme(r, e) < 0)
		return -1;
	if (skf_fmt(out, size, "%s/v2/%s/%s%s", r->base, repo, path, strchr(path, '?') ? "" : r->ns) < 0)
		return skf_fail(e, SKF_EINVALID, "registry '%s': the URL of '%s' is too long", r->host,
				repo);
	return 0;
}

int skf_http_call(struct skf_registry *r, const char *repo, const struct skf_http_req *q,
		  struct skf_http_resp *ret, struct skf_err *e)
{
	if (r->auth_header && !skf_streq(r->auth_repo, repo)) { /* a token is good for one repository */
		free(r->auth_header);
		r->auth_header = NULL;
	}
	if (skf_http_do(r, q, ret, e) < 0)
		return -1;
	if (ret->status != 401 || !ret->from_origin || !q->with_auth)
		return 0;
	struct skf_challenge c = ret->challenge;
	if (!c.basic && !c.bearer && ret->hdr_err.kind) {
		*e = ret->hdr_err;
		return skf_ctx(e, "registry '%s'", r->host);
	}
	if (skf_token_get(r, repo, &c, e) < 0)
		return -1;
	return skf_http_do(r, q, ret, e);
}

int skf_http_api(struct skf_registry *r, const char *repo, const char *path, const char *accept,
		 size_t max_body, struct skf_http_resp *ret, struct skf_err *e)
{
	char url[2048];
	if (skf_http_url(r, repo, path, url, sizeof(url), e) < 0)
		return -1;
	struct skf_http_req q = {
		.url = url, .accept = accept, .max_body = max_body, .with_auth = true, .follow = true};
	return skf_http_call(r, repo, &q, ret, e);
}
