/* registry/registry.h -- client of the OCI distribution API over libcurl (distribution-spec 1.1). Does not know the store: bytes go to a sink.
 * Credentials go only to the host that the user bound them to; a redirect to another host, port or scheme loses them (T51); token realms must be
 * https when the registry is (T52). TLS is verified on every path; plain HTTP only for loopback registries and for those that the user named
 * insecure, per registry (T53). Retries with jitter on resets, time-outs, 429 (Retry-After) and 5xx. */
#pragma once
#include "base/fwd.h"
#include "oci/image.h"
#include "oci/ref.h"

struct skf_registry;
struct skf_registry_opts {
	const struct skf_log *log;
	const char *docker_config;   /* path of docker's config.json (auths), NULL: none */
	const char *certs_dir;       /* certs.d: <dir>/<host:port>/{*.crt,*.cert,*.key} as docker; NULL: "/etc/skiff/certs.d" then "/etc/docker/certs.d" */
	bool plain_http;             /* --tls-verify=false / insecure for this registry, by explicit choice: HTTP allowed */
	bool insecure_tls;
	int cancel_fd;               /* readable: stop with UNAVAILABLE "cancelled"; -1 */
};
int skf_registry_new(const char *host, const struct skf_registry_opts *o, struct skf_registry **ret, struct skf_err *e);
void skf_registry_free(struct skf_registry *r);

/* Manifest or index by tag or digest. The bytes' sha256 is *ret_digest; when `ref` has a digest it was checked. At most SKF_MAX_MANIFEST_BYTES. */
int skf_registry_manifest(struct skf_registry *r, const struct skf_ref *ref, struct skf_buf *ret, char content_type[128], struct skf_digest *ret_digest,
                          struct skf_err *e);

/* Where the bytes of a blob go: called in order from the thread that runs skf_registry_blobs, with sub-ranges of at most 1 MiB. */
struct skf_blob_sink {
	/* p..p+n are bytes [off, off+n). Returning -1 (with *e) ends this blob and the whole call. -2: not now (bounded queue is full): the
	 * transfer is paused until skf_registry_wake. */
	int (*write)(void *arg, uint64_t off, const void *p, size_t n, struct skf_err *e);
	void *arg;
};
struct skf_blob_get {
	struct skf_desc desc;        /* digest and size */
	uint64_t offset;             /* resume: first byte wanted (Range); the server may ignore it: then the client skips */
	struct skf_blob_sink sink;
	bool done;                   /* out */
};
/* Fetches several blobs of one repository at once (curl multi, at most `parallel` transfers); resumes each after a broken connection. Digest checks are
 * the sink's. Blocks until all are done or one failed for good. */
int skf_registry_blobs(struct skf_registry *r, const struct skf_ref *ref, struct skf_blob_get *g, size_t n, unsigned parallel, struct skf_err *e);
/* From any thread: paused transfers are tried again. */
void skf_registry_wake(struct skf_registry *r);
/* Whole small blob with size check, e.g. the config. */
int skf_registry_blob_small(struct skf_registry *r, const struct skf_ref *ref, const struct skf_desc *d, size_t max, struct skf_buf *ret,
                            struct skf_err *e);
