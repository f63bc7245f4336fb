/* registry/registry.h -- client of the OCI distribution API over libcurl (distribution-spec 1.1). Does not
 * know the store: bytes go to a sink. Credentials go only to the host that the user bound them to; a
 * redirect to another host, port or scheme loses them (T51); token realms must be https when the registry is
 * (T52). TLS is verified on every path; plain HTTP only for loopback registries and for those that the user
 * named insecure, per registry (T53). Retries with jitter on resets, time-outs, 429 (Retry-After) and 5xx.
 */
#pragma once
#include "base/fwd.h"
#include "oci/image.h"
#include "oci/ref.h"

struct skf_registry;
struct skf_registry_opts {
	const struct skf_log *log;
	const char *docker_config; /* path of docker's config.json (auths), NULL: none */
	const char *auth_file;     /* podman's auth.json, asked when docker's file has nothing; NULL: none */
	const char *certs_dir;     /* certs.d: <dir>/<host:port>/{*.crt,*.cert,*.key} as docker; NULL:
				      "/etc/skiff/certs.d" then "/etc/docker/certs.d" */
	bool plain_http; /* --tls-verify=false / insecure for this registry, by explicit choice: HTTP allowed
			  */
	bool insecure_tls;
	const char
		*repo; /* for credentials that are of one repository or name space; NULL: any of the host */
	const char *user, *password; /* login: these and no others; NULL */
	const char *token; /* bearer token of the user for this host, in place of all credentials; never for
			      a mirror elsewhere; NULL */
	const char *conf_dir; /* registries.d (docs/registries.md); NULL: /etc/skiff/registries.d */
	bool retry;           /* the next two were chosen */
	uint32_t retries,
		retry_ms; /* of a request; 0 ms: longer each time; else SKF_HTTP_RETRIES and that */
	int cancel_fd;    /* readable: stop with UNAVAILABLE "cancelled"; -1 */
};
int skf_registry_new(const char *host, const struct skf_registry_opts *o, struct skf_registry **ret,
		     struct skf_err *e);
void skf_registry_free(struct skf_registry *r);

/* Manifest or index by tag or digest. *ret_digest is that of the bytes, by the algorithm of `ref`'s digest
 * or of what the registry calls it, else sha256; where one of both names a digest it was checked. At most
 * SKF_MAX_MANIFEST_BYTES. */
int skf_registry_manifest(struct skf_registry *r, const struct skf_ref *ref, struct skf_buf *ret,
			  char content_type[128], struct skf_digest *ret_digest, struct skf_err *e);

/* Where the bytes of a blob go: called in order from the thread that runs skf_registry_blobs, with
 * sub-ranges of at most 1 MiB. */
struct skf_blob_sink {
	/* p..p+n are bytes [off, off+n). Returning -1 (with *e) ends this blob and the whole call. -2: not
	 * now (bounded queue is full): the transfer is paused until skf_registry_wake. */
	int (*write)(void *arg, uint64_t off, const void *p, size_t n, struct skf_err *e);
	void *arg;
};
struct skf_blob_get {
	struct skf_desc desc; /* digest and size */
	uint64_t offset;      /* resume: first byte wanted (Range); the server may ignore it: then the client
				 skips. Out: bytes that the sink has */
	struct skf_blob_sink sink;
	bool done;      /* out */
	bool no_resume; /* out: the registry answered 416, this offset is not to be had */
};
/* Fetches several blobs of one repository at once (curl multi, at most `parallel` transfers); resumes each
 * after a broken connection. Digest checks are the sink's. Blocks until all are done or one failed for good.
 */
int skf_registry_blobs(struct skf_registry *r, const struct skf_ref *ref, struct skf_blob_get *g, size_t n,
		       unsigned parallel, struct skf_err *e);
/* From any thread: paused transfers are tried again. */
void skf_registry_wake(struct skf_registry *r);
/* --- push (push.c, push_manifest.c) --- */
/* Which token is asked for: "pull" (the default), "pull,push", "pull,delete". Before the first request.
 * actions is not copied. */
void skf_registry_set_actions(struct skf_registry *r, const char *actions);
/* A repository of the same registry that blobs may be mounted from: its pull scope is asked for too. LIMIT.
 */
int skf_registry_add_from(struct skf_registry *r, const char *repo, struct skf_err *e);

/* Where the bytes of an upload come from. Called from the thread of that upload, mostly in order; after a
 * broken connection from where the registry says that it stopped. */
struct skf_blob_source {
	/* At most n of the bytes at off, 0 < return <= n; -1 with *e. Never asked beyond desc.size. */
	int64_t (*read)(void *arg, uint64_t off, void *p, size_t n, struct skf_err *e);
	void *arg;
	void (*done)(void *arg); /* once, when no more will be read; may be NULL */
};
enum skf_put_state { SKF_PUT_WAITING, SKF_PUT_SENDING, SKF_PUT_DONE, SKF_PUT_EXISTS, SKF_PUT_MOUNTED };
struct skf_blob_put {
	struct skf_desc desc;   /* digest and size: the bytes are checked against both while they are sent */
	const char *mount_from; /* repository of the same registry that has it, or NULL */
	struct skf_blob_source src; /* not read when the registry has the blob already */
	uint64_t sent;              /* out, atomic */
	uint32_t state;             /* out, atomic: enum skf_put_state */
};
/* Puts blobs into ref's repository: HEAD, else cross-repository mount, else upload: one PUT, or PATCHes of
 * `chunk` bytes (0: one PUT; the registry's OCI-Chunk-Min-Length is obeyed), resumed at the byte where the
 * registry says it stopped, begun anew when it forgot. Blocks, with at most `parallel` threads; the first
 * failure stops the others. CORRUPT when a source's bytes are not the digest's: then nothing was committed.
 */
int skf_registry_push_blobs(struct skf_registry *r, const struct skf_ref *ref, struct skf_blob_put *p,
			    size_t n, unsigned parallel, uint64_t chunk, struct skf_err *e);
/* Puts a manifest or index: under ref's tag, and `tags` (NULL: none) in as few requests as the registry lets
 * us; with ref's digest under that. CORRUPT when the bytes are not ref's digest or `as` (NULL: any sha256).
 * A registry that has no sha512 gets the tags alone, and the user a warning. A manifest with a subject that
 * the registry does not answer with OCI-Subject is added to the fallback tag (distribution-spec "Pushing
 * Manifests", "Pushing Manifests with Subject"). */
int skf_registry_push_manifest(struct skf_registry *r, const struct skf_ref *ref,
			       const struct skf_digest *as, const struct skf_strv *tags,
			       const char *media_type, const void *p, size_t n, struct skf_digest *ret,
			       struct skf_err *e);
/* Digest of bytes by the algorithm of `like`; sha256 when that is NULL or empty. */
int skf_registry_digest(const struct skf_digest *like, const void *p, size_t n, struct skf_digest *ret,
			struct skf_err *e);

/* --- yaml.c --- */
/* One YAML document, a mapping, as JSON. INVALID names the line; LIMIT (SKF_MAX_YAML_DEPTH,
 * SKF_MAX_YAML_NODES). Does not block. */
int skf_yaml_to_json(const char *text, size_t n, struct skf_buf *ret, struct skf_err *e);

/* --- login (login.c) --- */
/* Are the handle's credentials (opts.user, opts.password) good? DENIED when not. *ret_token: the refresh
 * token that the token server gave for them (malloc'ed), or NULL. */
int skf_registry_login(struct skf_registry *r, char **ret_token, struct skf_err *e);
enum skf_login_place { SKF_LOGIN_FILE, SKF_LOGIN_HELPER };
/* Stores credentials of `host` where docker's file `path` says: its credential helper, else the file itself
 * (0600, replaced at once, what else is in it is kept). token: instead of the password. *ret_where tells
 * which. */
int skf_login_store(const char *path, const char *host, const char *user, const char *password,
		    const char *token, enum skf_login_place *ret_where, struct skf_err *e);
/* Takes them away again. 1 there were some, 0 none. */
int skf_login_erase(const char *path, const char *host, struct skf_err *e);
/* Those of every registry that the file names, also in its helpers. */
int skf_login_erase_all(const char *path, struct skf_err *e);
/* The user name that is stored for `host`; 1, 0 none. */
int skf_login_user(const char *path, const char *host, char *ret, size_t size, struct skf_err *e);

/* --- other requests (remote.c) --- */
/* All tags of ref's repository, every page, in the registry's order; at most SKF_MAX_REMOTE_TAGS. */
int skf_registry_tags(struct skf_registry *r, const struct skf_ref *ref, struct skf_arena *a,
		      struct skf_strv *ret, struct skf_err *e);
/* Index of the manifests that refer to ref->digest, as JSON: the referrers API with all its pages, else the
 * fallback tag; without either an empty index. artifact_type NULL: all. */
int skf_registry_referrers(struct skf_registry *r, const struct skf_ref *ref, const char *artifact_type,
			   struct skf_buf *ret, struct skf_err *e);
/* Repositories that fit a word, as JSON {"results":[{index, name, description, star_count, is_official,
 * is_automated}]}: /v1/search (Docker Hub, old registries), else the catalog's names that hold the word. */
int skf_registry_search(struct skf_registry *r, const char *word, unsigned limit, struct skf_buf *ret,
			struct skf_err *e);
enum skf_delete_what { SKF_DELETE_MANIFEST, SKF_DELETE_TAG, SKF_DELETE_BLOB };
/* MANIFEST: ref's digest, or what its tag means now. TAG: only the name. BLOB: ref's digest. UNSUPPORTED
 * when the registry does not delete. */
int skf_registry_delete(struct skf_registry *r, const struct skf_ref *ref, enum skf_delete_what what,
			struct skf_digest *ret, struct skf_err *e);
/* HEAD: digest and size of what ref means; 1 there, 0 not. */
int skf_registry_head(struct skf_registry *r, const struct skf_ref *ref, struct skf_digest *ret,
		      uint64_t *ret_size, struct skf_err *e);

/* Whole small blob with size check, e.g. the config. */
int skf_registry_blob_small(struct skf_registry *r, const struct skf_ref *ref, const struct skf_desc *d,
			    size_t max, struct skf_buf *ret, struct skf_err *e);
