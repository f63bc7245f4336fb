/* oci/image.h -- image-spec and docker documents: descriptor, index, manifest, image config, platforms.
 * Decode only; the raw bytes stay the truth (digests are over them). Ambiguous documents (T48) are refused:
 * both manifests and layers, a mediaType that contradicts the content, duplicate keys. */
#pragma once
#include "base/json.h"
#include "oci/digest.h"

enum skf_media {
	SKF_MEDIA_UNKNOWN = 0,
	SKF_MEDIA_INDEX,    /* OCI index, docker manifest list */
	SKF_MEDIA_MANIFEST, /* OCI manifest, docker schema 2 */
	SKF_MEDIA_CONFIG,   /* OCI and docker image config */
	SKF_MEDIA_LAYER_TAR,
	SKF_MEDIA_LAYER_GZIP,
	SKF_MEDIA_LAYER_ZSTD,
	SKF_MEDIA_LAYER_FOREIGN /* nondistributable / foreign: not fetched from urls (T51) */
};
/* "application/vnd.oci.image.manifest.v1+json" etc.; parameters after ';' are ignored. */
enum skf_media skf_media_parse(const char *s);

struct skf_platform {
	char os[32], arch[32], variant[16];
};
/* "linux/arm64/v8" and docker's short forms; INVALID. */
int skf_platform_parse(const char *s, struct skf_platform *ret, struct skf_err *e);
void skf_platform_host(struct skf_platform *ret);
/* Bigger is better; < 0: does not run here. Normalises x86_64/aarch64/armhf and default variants. */
int skf_platform_score(const struct skf_platform *want, const struct skf_platform *have);

struct skf_desc {
	char *media_type;
	enum skf_media media;
	struct skf_digest digest;
	uint64_t size;
	struct skf_strv urls;
	bool has_platform;
	struct skf_platform platform;
	struct skf_kvs annotations;
	char *artifact_type;
};
struct skf_index {
	char *media_type;
	struct skf_jarr manifests; /* struct skf_desc */
};
struct skf_manifest {
	char *media_type;
	struct skf_desc config;
	struct skf_jarr layers; /* struct skf_desc, at most SKF_MAX_LAYERS */
	struct skf_kvs annotations;
};
struct skf_image_config {
	struct skf_platform platform;
	char *created, *author;
	/* config object */
	char *user, *working_dir, *stop_signal;
	struct skf_strv env, entrypoint, cmd, exposed_ports, volumes, shell;
	struct skf_kvs labels;
	/* rootfs */
	struct skf_jarr diff_ids;            /* struct skf_digest */
	char *history_raw, *healthcheck_raw; /* compact JSON, NULL when absent */
	char *config_raw;                    /* compact JSON of the config object, for inspect */
};
/* content_type: what the transport said ("" unknown); must agree with the document. INVALID/CORRUPT/LIMIT
 * with the path. */
int skf_index_parse(const char *p, size_t n, const char *content_type, struct skf_arena *a,
		    struct skf_index **ret, struct skf_err *e);
int skf_manifest_parse(const char *p, size_t n, const char *content_type, struct skf_arena *a,
		       struct skf_manifest **ret, struct skf_err *e);
int skf_image_config_parse(const char *p, size_t n, struct skf_arena *a, struct skf_image_config **ret,
			   struct skf_err *e);
/* What a manifest document is: SKF_MEDIA_INDEX or SKF_MEDIA_MANIFEST, by mediaType field, content_type and
 * members. */
int skf_manifest_kind(const char *p, size_t n, const char *content_type, enum skf_media *ret,
		      struct skf_err *e);
/* Best entry of an index for a platform; NOTFOUND names the platforms that exist. */
int skf_index_choose(const struct skf_index *x, const struct skf_platform *want, const struct skf_desc **ret,
		     struct skf_err *e);
