/* registry/registry_int.h -- what the files of registry/ share. One struct skf_registry is used by one thread (wake excepted). */
#pragma once
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/log.h"
#include "registry/challenge.h"
#include "registry/registry.h"
#include <curl/curl.h>
#include <sys/socket.h>

#define SKF_HTTP_DOC_MS 180000 /* a whole document (manifest, config, token), however slowly it drips; 4 MiB at 24 KB/s */

struct skf_registry {
	char host[SKF_MAX_REPO_BYTES + 1]; /* as in the reference: what credentials are bound to */
	char base[SKF_MAX_REPO_BYTES + 64]; /* "https://registry-1.docker.io" */
	const struct skf_log *log;
	int cancel_fd;
	bool plain_http, insecure_tls, loopback;
	bool scheme_known;            /* https or http was found by doing */
	char *user, *password;        /* from docker's config.json; NULL */
	char *identity_token;
	char *auth_header;            /* "Authorization: Bearer ..." in force; NULL */
	unsigned auth_serial;         /* counts the headers that were in force */
	char auth_repo[SKF_MAX_REPO_BYTES + 1]; /* the repository that a bearer token is for */
	char *ca_pem;                 /* system CAs + certs.d; NULL: curl's default */
	size_t ca_pem_n;
	char *client_cert, *client_key; /* paths; NULL */
	CURL *easy;                   /* one request at a time; keeps its connections between requests */
	CURLSH *share;                /* name lookups and TLS sessions, for easy and multi: all in the registry's one thread */
	CURLM *multi;                 /* blobs.c */
	bool woken;                   /* atomic: paused transfers may go on */
};

/* --- dockerconf.c --- */
/* user/password or identity token of `host` from docker's config.json text. 1 found, 0 none, -1. Strings are malloc'ed. */
int skf_dockerconf_find(const char *text, size_t n, const char *host, char **ret_user, char **ret_password, char **ret_token,
                        struct skf_err *e);
/* --- certs.c --- */
int skf_certs_load(struct skf_registry *r, const char *dir, struct skf_err *e);

/* --- http.c --- */
struct skf_http_resp {
	long status;
	struct skf_buf body;          /* at most max_body */
	char content_type[128];
	char location[4096];
	bool from_origin;             /* the last answer came from the registry itself, not from a host it redirects to */
	bool has_range;               /* Content-Range of a 206 */
	uint64_t range_start;
	size_t header_bytes;          /* of all answers of this request */
	struct skf_challenge challenge;
	int retry_after_ms;           /* -1: none */
	struct skf_err hdr_err;       /* a header that could not be read */
};
void skf_http_resp_done(struct skf_http_resp *p);
struct skf_http_req {
	const char *url;              /* absolute */
	const char *accept;           /* header line "Accept: ..." or NULL */
	size_t max_body;
	bool with_auth;               /* send the registry's Authorization (same origin only, checked) */
	bool follow;                  /* up to SKF_MAX_REDIRECTS, credentials dropped when the origin changes */
	const char *userpwd_user, *userpwd_password; /* basic for this request only (token endpoint) */
	const char *post;             /* form body: POST */
	bool foreign;                 /* token realm: addresses are checked (T52) */
};
/* One request with retries. -1 only for transport failures (UNAVAILABLE, TIMEOUT, DENIED for TLS); an HTTP status >= 400 is a response. */
int skf_http_do(struct skf_registry *r, const struct skf_http_req *q, struct skf_http_resp *ret, struct skf_err *e);
/* The same with authentication: on 401 gets a token (or basic) for `repo` and tries once more; finds the scheme first. path is below /v2. */
int skf_http_api(struct skf_registry *r, const char *repo, const char *path, const char *accept, size_t max_body, struct skf_http_resp *ret,
                 struct skf_err *e);
/* Options that every transfer has: TLS, time-outs, protocols, no curl redirects, no credentials of curl's own. */
void skf_http_setup(struct skf_registry *r, CURL *c, const char *url);
/* Scheme, credentials in force; also used by blobs.c before its first transfer. */
int skf_http_find_scheme(struct skf_registry *r, struct skf_err *e);
bool skf_http_same_origin(const char *url_a, const char *url_b);
/* Location resolved against url. 0 or -1; refuses anything but http(s), and http after https. */
int skf_http_redirect(const char *url, const char *location, char *out, size_t size, struct skf_err *e);
/* Header collector for CURLOPT_HEADERFUNCTION, user data struct skf_http_resp. */
size_t skf_http_on_header(char *p, size_t size, size_t n, void *user);
/* The sentence for a failed status; the registry's own words when it gave some. `what` names the object. */
int skf_http_fail_status(const struct skf_registry *r, const struct skf_http_resp *p, const char *what, struct skf_err *e);
int skf_http_fail_headers(const struct skf_registry *r, const char *url, struct skf_err *e);
int skf_http_fail_curl(const struct skf_registry *r, CURLcode rc, const char *detail, const char *url, struct skf_err *e);
bool skf_http_status_transient(long status);
bool skf_http_transient(const struct skf_registry *r, CURLcode rc);
/* "127.0.0.0/8", "::1" and "localhost", with or without a port; no name that only begins like one. */
bool skf_http_host_is_loopback(const char *host);
/* Addresses that a token realm may not have (T52): link-local, unspecified, multicast, cloud metadata services, and the loopback unless
 * loopback_ok; also in their IPv4-mapped, IPv4-compatible and NAT64 forms. */
bool skf_http_address_forbidden(const struct sockaddr *sa, bool loopback_ok);
/* The same for the host of a URL when it is written as an address, or is a name that always means the loopback. */
bool skf_http_url_forbidden(const char *url, bool loopback_ok);
/* Milliseconds before attempt n (1 = first retry), with jitter. */
int skf_http_backoff_ms(int attempt);

/* --- token.c --- */
/* Sets r->auth_header for pulling repo, from the challenge of a 401. DENIED when there is no way. */
int skf_token_get(struct skf_registry *r, const char *repo, const struct skf_challenge *c, struct skf_err *e);
