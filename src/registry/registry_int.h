/* registry/registry_int.h -- what the files of registry/ share. One struct skf_registry is used by one
 * thread (wake excepted). */
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

/* a registry may hash and move a whole blob before it answers the last PUT */
#define SKF_HTTP_UPLOAD_STALL_S 300
/* a whole document (manifest, config, token), however slowly it drips; 4 MiB at 24 KB/s */
#define SKF_HTTP_DOC_MS 180000

#define SKF_ACCEPT_MANIFEST                                                                                 \
	"Accept: application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, "     \
	"application/vnd.docker.distribution.manifest.list.v2+json, "                                       \
	"application/vnd.docker.distribution.manifest.v2+json"
#define SKF_MAX_MOUNT_REPOS 16 /* scopes in one token request */
struct skf_mirror {
	struct skf_registry
		*r; /* a registry of its own, with its own credentials, certificates and scheme */
	char prefix[SKF_MAX_REPO_BYTES + 2]; /* put before the repository's name: "" or "path/" */
	size_t strip;               /* bytes of the repository's name that the prefix takes the place of */
	bool pull, resolve;         /* manifests by digest and blobs; tags */
	bool tag_only, digest_only; /* only for images that were asked for by tag, by digest */
};
struct skf_registry {
	char host[SKF_MAX_REPO_BYTES + 1];  /* as in the reference: what credentials are bound to */
	char base[SKF_MAX_REPO_BYTES + 64]; /* "https://registry-1.docker.io" */
	const struct skf_log *log;
	int cancel_fd;
	bool plain_http, insecure_tls, loopback;
	int retries, retry_ms; /* of a request; 0 ms: longer each time */
	bool scheme_known;     /* https or http was found by doing */
	char *user, *password; /* from docker's config.json; NULL */
	char *identity_token;
	char *given_token;    /* bearer token that the user gave: no token server is asked; NULL */
	char *auth_header;    /* "Authorization: Bearer ..." in force; NULL */
	unsigned auth_serial; /* counts the headers that were in force */
	char auth_repo[SKF_MAX_REPO_BYTES + 1]; /* the repository that a bearer token is for */
	char *ca_pem;                           /* system CAs + certs.d; NULL: curl's default */
	size_t ca_pem_n;
	const char *ca_dir; /* the system's CAs one by one (skf_certs_system_dir); NULL: the whole bundle */
	char *client_cert, *client_key; /* paths; NULL */
	CURL *easy;                     /* one request at a time; keeps its connections between requests */
	CURLSH *share; /* name lookups and TLS sessions, for easy and multi: all in the registry's one thread
			*/
	CURLM *multi;  /* blobs.c */
	bool woken;    /* atomic: paused transfers may go on */
	const char *actions; /* of the token scope: "pull", "pull,push", "pull,delete" */
	char **from;         /* repositories that blobs are mounted from: scopes of the same token */
	size_t n_from;
	struct skf_http_warned *warned; /* texts of Warning headers that were shown; shared with clones */
	bool is_clone;                  /* warned is the original's */
	bool offline;                   /* login: ask the token server for a refresh token too */
	char *refresh_token;            /* what it gave; NULL */
	struct skf_mirror *mirrors;     /* asked first, in this order */
	size_t n_mirrors;
	bool no_fallback; /* only the mirrors */
	char ns[SKF_MAX_REPO_BYTES +
		8]; /* "?ns=HOST" of a mirror that serves many registries (containerd's word), or "" */
	bool by_tag, by_digest;      /* how the image is asked for: the first question says */
	struct skf_registry *active; /* atomic: whose transfers run: a mirror, or NULL for this one */
};

/* --- remote.c --- */
struct skf_http_resp;
/* GETs url and turns it into the next page's; "" after the last. Only on the registry's own origin. */
int skf_registry_page(struct skf_registry *r, const char *repo, char url[4096], const char *accept,
		      struct skf_http_resp *p, struct skf_err *e);
/* After a manifest was stored: when it has a subject and the registry did not say (OCI-Subject: `answered`)
 * that it knows, the fallback tag of the subject gets its descriptor. */
int skf_referrers_after_push(struct skf_registry *r, const struct skf_ref *ref, const char *media_type,
			     const void *p, size_t n, const struct skf_digest *d, const char *answered,
			     struct skf_err *e);

/* --- dockerconf.c --- */
/* user/password or identity token of `host` from docker's config.json text. 1 found, 0 none, -1. Strings are
 * malloc'ed. */
int skf_dockerconf_find(const char *text, size_t n, const char *host, char **ret_user, char **ret_password,
			char **ret_token, struct skf_err *e);
struct skf_creds {
	char *user, *password, *token; /* malloc'ed; NULL */
	char *helper;                  /* docker-credential-<helper> knows; NULL */
};
void skf_creds_done(struct skf_creds *c);
/* The same with the helper that the file names for the host, and for one repository of it (NULL: any): of
 * several keys of podman's form "host/path" the longest that the repository begins with. 1 credentials or a
 * helper, 0, -1. Pure. */
int skf_dockerconf_lookup(const char *text, size_t n, const char *host, const char *repo,
			  struct skf_creds *ret, struct skf_err *e);
/* docker's word for a server in its files: "https://index.docker.io/v1/" for docker.io, else the host. */
const char *skf_dockerconf_server(const char *host);

/* --- hostconf.c --- */
struct skf_hostconf_mirror {
	char host[SKF_MAX_REPO_BYTES + 1], prefix[SKF_MAX_REPO_BYTES + 2]; /* prefix: "" or "path/" */
	bool plain_http, insecure, pull, resolve, ns;
};
struct skf_hostconf {
	struct skf_hostconf_mirror mirror[16];
	size_t n;
	bool insecure, plain_http, blocked, no_fallback;
};
/* Pure. INVALID and LIMIT name the line. */
int skf_hostconf_parse(const char *text, size_t n, struct skf_hostconf *ret, struct skf_err *e);
/* <dir>/<host>.conf; a missing file is an empty one. */
int skf_hostconf_load(const char *dir, const char *host, struct skf_hostconf *ret, struct skf_err *e);

/* --- mirrors.c --- */
/* Opens the mirrors that registries.d names for r. DENIED when the registry is blocked. */
int skf_mirrors_open(struct skf_registry *r, const struct skf_registry_opts *o, struct skf_err *e);
/* A handle without mirrors. */
int skf_registry_new_one(const char *host, const struct skf_registry_opts *o, struct skf_registry **ret,
			 struct skf_err *e);
/* The registry itself, without its mirrors. *ret_fatal: trying elsewhere cannot help (cancelled, or the sink
 * refused). */
int skf_blobs_one(struct skf_registry *r, const struct skf_ref *ref, struct skf_blob_get *g, size_t n,
		  unsigned parallel, bool *ret_fatal, struct skf_err *e);
int skf_manifest_one(struct skf_registry *r, const struct skf_ref *ref, struct skf_buf *ret,
		     char content_type[128], struct skf_digest *ret_digest, struct skf_err *e);
int skf_blob_small_one(struct skf_registry *r, const struct skf_ref *ref, const struct skf_desc *d,
		       size_t max, struct skf_buf *ret, struct skf_err *e);
/* Plain HTTP by explicit choice, without trying HTTPS. */
int skf_http_force_plain(struct skf_registry *r, struct skf_err *e);

/* --- credhelper.c --- */
/* docker-credential-<name> VERB with `in` on its standard input; what it prints goes to out. 1 done, 0 it
 * says that it has none, -1. The name is a word of the user's file: letters, digits, '.', '_', '-'. No
 * shell, bounded output, a time-out. Blocks. */
int skf_credhelper_run(const char *name, const char *verb, const char *in, struct skf_buf *out,
		       struct skf_err *e);
/* get: 1 and user/password or token, 0, -1. */
int skf_credhelper_get(const char *name, const char *server, struct skf_creds *c, struct skf_err *e);

/* --- certs.c --- */
int skf_certs_load(struct skf_registry *r, const char *dir, struct skf_err *e);
/* A directory of the system's CAs that openssl-rehash(1) has linked by subject, or NULL. OpenSSL reads of it
 * the one file that a chain needs, where the bundle costs some 50 ms of parsing before the first byte.
 * Static string. */
const char *skf_certs_system_dir(void);
/* True when a transfer that ended with rc is worth another go because the CAs were looked up one by one
 * until now: somebody may have added his own to the bundle alone. Every later transfer of r takes the
 * bundle. */
bool skf_certs_widen(struct skf_registry *r, CURLcode rc);

/* --- http.c, http_head.c, http_url.c, http_fail.c, http_api.c --- */
struct skf_http_resp {
	long status;
	struct skf_buf body; /* at most max_body */
	char content_type[128];
	char location[4096];
	bool from_origin; /* the last answer came from the registry itself, not from a host it redirects to
			   */
	bool has_range;   /* Content-Range of a 206 */
	uint64_t range_start;
	char link[2048];              /* target of the Link with rel=next; "" */
	char digest[SKF_DIGEST_MAX];  /* Docker-Content-Digest */
	char subject[SKF_DIGEST_MAX]; /* OCI-Subject */
	char tags[2048];              /* OCI-Tag, of all its lines; "" */
	bool has_length;              /* Content-Length */
	uint64_t length;
	bool has_uploaded;      /* Range: 0-<n> of an upload's status */
	uint64_t uploaded;      /* bytes that the registry has of it */
	uint64_t chunk_min;     /* OCI-Chunk-Min-Length */
	struct skf_registry *r; /* who is told of Warning headers; NULL: nobody */
	size_t header_bytes;    /* of all answers of this request */
	struct skf_challenge challenge;
	int retry_after_ms;     /* -1: none */
	struct skf_err hdr_err; /* a header that could not be read */
};
void skf_http_resp_done(struct skf_http_resp *p);
struct skf_http_req {
	const char *url;    /* absolute */
	const char *accept; /* header line "Accept: ..." or NULL */
	size_t max_body;
	bool with_auth; /* send the registry's Authorization (same origin only, checked) */
	bool follow;    /* up to SKF_MAX_REDIRECTS, credentials dropped when the origin changes */
	const char *userpwd_user, *userpwd_password; /* basic for this request only (token endpoint) */
	const char *post;                            /* form body: POST */
	const char *method;                          /* NULL: GET, or POST with `post` */
	const char *headers[3];                      /* more header lines */
	const void *body;                            /* with method: the whole body, body_n bytes */
	size_t body_n;
	struct skf_http_upload *up; /* with method: the body as a stream; no retries here */
	bool single;                /* no retries here */
	bool foreign;               /* token realm: addresses are checked (T52) */
};
struct skf_http_upload {
	uint64_t size; /* bytes of this request's body */
	uint64_t at;   /* of them sent; reset when the request is sent again */
	/* At most n bytes of the body from `at`; 0 < return <= n, or -1. */
	int64_t (*read)(void *arg, uint64_t at, void *p, size_t n);
	void *arg;
};
/* One request with retries. -1 only for transport failures (UNAVAILABLE, TIMEOUT, DENIED for TLS); an HTTP
 * status >= 400 is a response. */
int skf_http_do(struct skf_registry *r, const struct skf_http_req *q, struct skf_http_resp *ret,
		struct skf_err *e);
/* The same with authentication: on 401 gets a token (or basic) for `repo` and tries once more; finds the
 * scheme first. path is below /v2. */
int skf_http_api(struct skf_registry *r, const char *repo, const char *path, const char *accept,
		 size_t max_body, struct skf_http_resp *ret, struct skf_err *e);
/* <base>/v2/<repo>/<path>; finds the scheme first. */
int skf_http_url(struct skf_registry *r, const char *repo, const char *path, char *out, size_t size,
		 struct skf_err *e);
/* q (absolute URL, with_auth) for `repo`: a 401 of the registry itself is answered with a token (or basic)
 * and the request sent once more. */
int skf_http_call(struct skf_registry *r, const char *repo, const struct skf_http_req *q,
		  struct skf_http_resp *ret, struct skf_err *e);
/* Target of the first link with rel="next" of a Link header (RFC 8288). 1 and ret, 0 none, -1 malformed or
 * too long. Pure. */
int skf_http_link_next(const char *p, size_t n, char *ret, size_t size);
/* "0-1023" (also "bytes=0-1023") of an upload's status: *ret_n is the number of bytes there; "0-0" is none.
 * Pure. */
bool skf_http_parse_uploaded(const char *p, size_t n, uint64_t *ret_n);
/* "bytes 100-199/200": where a 206 begins. Pure. */
bool skf_http_parse_content_range(const char *p, size_t n, uint64_t *ret_start);
/* Text of a Warning header with code 299 (RFC 7234 5.5; distribution-spec "Warnings") without quotes,
 * printable. Pure. */
bool skf_http_parse_warning(const char *p, size_t n, char *ret, size_t size);
/* Is `word` one of the comma-separated words of `list`? Pure. */
bool skf_http_list_has(const char *list, const char *word);
/* Does a header's digest have the algorithm of d? Only then the two can be compared. Pure. */
bool skf_http_same_alg(const char *header, const struct skf_digest *d);
/* Waits ms, or fails with "cancelled". */
int skf_http_pause(const struct skf_registry *r, int ms, struct skf_err *e);
/* A second handle on the same registry for another thread: same credentials, token and certificates. */
int skf_registry_clone(const struct skf_registry *r, struct skf_registry **ret, struct skf_err *e);
/* Options that every transfer has: TLS, time-outs, protocols, no curl redirects, no credentials of curl's
 * own. */
void skf_http_setup(struct skf_registry *r, CURL *c, const char *url);
/* Scheme, credentials in force; also used by blobs.c before its first transfer. */
int skf_http_find_scheme(struct skf_registry *r, struct skf_err *e);
bool skf_http_same_origin(const char *url_a, const char *url_b);
/* Location resolved against url. 0 or -1; refuses anything but http(s), and http after https. */
int skf_http_redirect(const char *url, const char *location, char *out, size_t size, struct skf_err *e);
/* Header collector for CURLOPT_HEADERFUNCTION, user data struct skf_http_resp. */
size_t skf_http_on_header(char *p, size_t size, size_t n, void *user);
/* Tells the user of a warning of the registry, each text once. */
void skf_http_warn(struct skf_registry *r, const char *text);
struct skf_http_warned *skf_http_warned_new(void);
void skf_http_warned_free(struct skf_http_warned *w);
/* The sentence for a failed status; the registry's own words when it gave some. `what` names the object. */
int skf_http_fail_status(const struct skf_registry *r, const struct skf_http_resp *p, const char *what,
			 struct skf_err *e);
int skf_http_fail_headers(const struct skf_registry *r, const char *url, struct skf_err *e);
int skf_http_fail_curl(const struct skf_registry *r, CURLcode rc, const char *detail, const char *url,
		       struct skf_err *e);
bool skf_http_status_transient(long status);
bool skf_http_transient(const struct skf_registry *r, CURLcode rc);
/* "127.0.0.0/8", "::1" and "localhost", with or without a port; no name that only begins like one. */
bool skf_http_host_is_loopback(const char *host);
/* Addresses that a token realm may not have (T52): link-local, unspecified, multicast, cloud metadata
 * services, and the loopback unless loopback_ok; also in their IPv4-mapped, IPv4-compatible and NAT64 forms.
 */
bool skf_http_address_forbidden(const struct sockaddr *sa, bool loopback_ok);
/* The same for the host of a URL when it is written as an address, or is a name that always means the
 * loopback. */
bool skf_http_url_forbidden(const char *url, bool loopback_ok);
/* Does the environment name a proxy for this URL? Then its host's address is not what is connected to. */
bool skf_http_may_use_proxy(const char *url);
/* Milliseconds before attempt n (1 = first retry), with jitter. */
int skf_http_backoff_ms(const struct skf_registry *r, int attempt);

/* --- token.c --- */
/* Sets r->auth_header for r->actions on repo ("" none: login), from the challenge of a 401. DENIED when
 * there is no way. */
int skf_token_get(struct skf_registry *r, const char *repo, const struct skf_challenge *c,
		  struct skf_err *e);
