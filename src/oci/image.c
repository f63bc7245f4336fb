/* oci/image.c -- index and manifest documents of OCI and docker: decode, decide which of the two a document
 * is, choose from an index. Pure; nothing blocks.
 *
 * Invariants:
 * 1. A document is an index or a manifest, never both: members of the other kind are refused, mediaType must
 * say the same as the members, and what the transport said must say the same as mediaType (T48).
 * 2. No key differs from a key that we read only in case: other readers (Go's) would take it for that key.
 * 3. Every digest passed skf_digest_parse (T49). */
#include "oci/image_int.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include <string.h>
#include <strings.h>

int skf_image_j_digest(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct skf_err why = SKF_ERR_INIT;
	char *s = NULL;

	(void)arg;
	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	if (skf_digest_parse(s, dst, &why) < 0)
		return skf_j_fail(c, SKF_EINVALID, "%s", why.msg);
	return 0;
}

int skf_image_j_short(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	const size_t *size = arg;
	char *s = NULL;

	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	if (skf_fmt(dst, *size, "%s", s) < 0)
		return skf_j_fail(c, SKF_EINVALID, "expected at most %zu bytes, found '%.64s'", *size - 1,
				  s);
	return 0;
}

/* --- keys that differ in case only --- */
static const char *const manifest_keys[] = {
	"schemaVersion", "mediaType",    "manifests", "config",  "layers",   "annotations",
	"subject",       "artifactType", "digest",    "size",    "urls",     "platform",
	"data",          "architecture", "os",        "variant", "fsLayers", NULL,
};
static const struct skf_image_doc manifest_doc = {"manifest", SKF_MAX_MANIFEST_BYTES, manifest_keys};

struct odd_key {
	const char *const *keys;
	char path[200];
};

static void note_odd_key(const char *path, void *user)
{
	struct odd_key *odd = user;
	const char *key = strrchr(path, '/');

	key = key ? key + 1 : path;
	for (size_t i = 0; odd->keys[i] && !odd->path[0]; i++) {
		if (strcasecmp(odd->keys[i], key) != 0 || strcmp(odd->keys[i], key) == 0)
			continue;
		/* When the path is too long for the note, its beginning is enough to find the place. */
		if (skf_fmt(odd->path, sizeof(odd->path), "%s", path) < 0)
			memcpy(odd->path, path, sizeof(odd->path) - 1);
	}
}

int skf_image_decode(const struct skf_image_doc *d, const char *p, size_t n, const struct skf_jtable *t,
		     struct skf_arena *a, void **ret, struct skf_err *e)
{
	struct odd_key odd = {.keys = d->keys};
	struct skf_jdoc j = {
		.name = d->name, .max_bytes = d->max_bytes, .on_unknown = note_odd_key, .user = &odd};
	void *obj = NULL;

	if (skf_json_decode(&j, p, n, t, a, &obj, e) < 0)
		return -1;
	if (odd.path[0])
		return skf_fail(e, SKF_EINVALID,
				"%s: %s: differs from a known key only in case, which is ambiguous", d->name,
				odd.path);
	*ret = obj;
	return 0;
}

/* --- descriptors --- */
static const size_t os_size = sizeof(((struct skf_platform *)0)->os);
static const size_t arch_size = sizeof(((struct skf_platform *)0)->arch);
static const size_t variant_size = sizeof(((struct skf_platform *)0)->variant);

#define P struct skf_platform
static const struct skf_jfield platform_f[] = {
	SKF_J(P, os, "os", skf_image_j_short, &os_size, SKF_J_REQUIRED),
	SKF_J(P, arch, "architecture", skf_image_j_short, &arch_size, SKF_J_REQUIRED),
	SKF_J(P, variant, "variant", skf_image_j_short, &variant_size, SKF_J_NULL_OK),
	{"os.version", skf_j_ignore, NULL, 0, 0, SKF_J_NULL_OK},
	{"os.features", skf_j_ignore, NULL, 0, 0, SKF_J_NULL_OK},
	{"features", skf_j_ignore, NULL, 0, 0, SKF_J_NULL_OK},
	SKF_J_END,
};
#undef P
static const struct skf_jtable platform_table = {sizeof(struct skf_platform), platform_f};

static int dec_size(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	uint64_t n;

	(void)arg;
	if (skf_j_u64(c, v, &n, NULL) < 0)
		return -1;
	if (n > INT64_MAX)
		return skf_j_fail(c, SKF_EINVALID, "expected a size in bytes, found %llu",
				  (unsigned long long)n);
	*(uint64_t *)dst = n;
	return 0;
}

static int desc_check(struct skf_jctx *c, void *obj)
{
	struct skf_desc *d = obj;

	(void)c;
	d->media = skf_media_parse(d->media_type);
	return 0;
}

#define D struct skf_desc
static const struct skf_jfield desc_f[] = {
	SKF_J(D, media_type, "mediaType", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(D, digest, "digest", skf_image_j_digest, NULL, SKF_J_REQUIRED),
	SKF_J(D, size, "size", dec_size, NULL, SKF_J_REQUIRED),
	SKF_J(D, urls, "urls", skf_j_strv, NULL, SKF_J_NULL_OK),
	SKF_JP(D, platform, has_platform, "platform", skf_j_obj, &platform_table, SKF_J_NULL_OK),
	SKF_J(D, annotations, "annotations", skf_j_kvs, NULL, SKF_J_NULL_OK),
	SKF_J(D, artifact_type, "artifactType", skf_j_str, NULL, SKF_J_NULL_OK),
	{"data", skf_j_ignore, NULL, 0, 0, SKF_J_NULL_OK},
	SKF_J_END,
};
#undef D
static const struct skf_jtable desc_table = {sizeof(struct skf_desc), desc_f, .check = desc_check};

/* --- which kind --- */
struct kind {
	uint32_t schema;
	char *media_type;
	bool has_manifests, has_layers, has_config, has_fs_layers, ignored;
};

#define K struct kind
static const struct skf_jfield kind_f[] = {
	SKF_J(K, schema, "schemaVersion", skf_j_u32, NULL, SKF_J_REQUIRED),
	SKF_J(K, media_type, "mediaType", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_JP(K, ignored, has_manifests, "manifests", skf_j_ignore, NULL, 0),
	SKF_JP(K, ignored, has_layers, "layers", skf_j_ignore, NULL, 0),
	SKF_JP(K, ignored, has_config, "config", skf_j_ignore, NULL, 0),
	SKF_JP(K, ignored, has_fs_layers, "fsLayers", skf_j_ignore, NULL, 0),
	SKF_J_END,
};
#undef K
static const struct skf_jtable kind_table = {sizeof(struct kind), kind_f};

static int kind_by_members(const struct kind *k, enum skf_media *ret, struct skf_err *e)
{
	if (k->schema == 1 || k->has_fs_layers)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"manifest: /schemaVersion: docker's image manifest version 1 is not "
				"supported; push the image again with a current tool");
	if (k->schema != 2)
		return skf_fail(e, SKF_EINVALID, "manifest: /schemaVersion: expected 2, found %u",
				k->schema);
	if (k->has_manifests && (k->has_layers || k->has_config))
		return skf_fail(e, SKF_EINVALID,
				"manifest: has 'manifests' as an index and 'layers' or 'config' as a "
				"manifest, which is ambiguous");
	if (!k->has_manifests && !k->has_layers && !k->has_config)
		return skf_fail(e, SKF_EINVALID,
				"manifest: has neither 'manifests' nor 'layers'; expected an image index or "
				"manifest");
	*ret = k->has_manifests ? SKF_MEDIA_INDEX : SKF_MEDIA_MANIFEST;
	return 0;
}

/* One source's word on the kind against what the members say. */
static int agree(const char *where, const char *type, enum skf_media kind, struct skf_err *e)
{
	enum skf_media m = skf_media_parse(type);

	if (m == kind)
		return 0;
	return skf_fail(e, m == SKF_MEDIA_UNKNOWN ? SKF_EUNSUPPORTED : SKF_EINVALID,
			"manifest: %s says '%.100s', but the document is an image %s", where, type,
			kind == SKF_MEDIA_INDEX ? "index" : "manifest");
}

static int check_types(const struct kind *k, const char *content_type, enum skf_media kind,
		       struct skf_err *e)
{
	bool own = k->media_type && k->media_type[0];
	struct skf_str a, b;

	if (own && agree("mediaType", k->media_type, kind, e) < 0)
		return -1;
	/* Registries also send application/json or text/plain, which says nothing. */
	if (skf_media_parse(content_type) == SKF_MEDIA_UNKNOWN)
		return 0;
	if (agree("Content-Type", content_type, kind, e) < 0)
		return -1;
	if (!own)
		return 0;
	a = skf_media_base(k->media_type);
	b = skf_media_base(content_type);
	if (a.n != b.n || strncasecmp(a.p, b.p, a.n) != 0)
		return skf_fail(e, SKF_EINVALID,
				"manifest: mediaType says '%.100s', but Content-Type says '%.100s'",
				k->media_type, content_type);
	return 0;
}

int skf_manifest_kind(const char *p, size_t n, const char *content_type, enum skf_media *ret,
		      struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	enum skf_media kind = SKF_MEDIA_UNKNOWN;
	void *k = NULL;

	if (skf_image_decode(&manifest_doc, p, n, &kind_table, &a, &k, e) < 0 ||
	    kind_by_members(k, &kind, e) < 0 ||
	    check_types(k, content_type ? content_type : "", kind, e) < 0)
		return -1;
	*ret = kind;
	return 0;
}

static int want_kind(const char *p, size_t n, const char *content_type, enum skf_media want,
		     struct skf_err *e)
{
	enum skf_media kind;

	if (skf_manifest_kind(p, n, content_type, &kind, e) < 0)
		return -1;
	if (kind != want)
		return skf_fail(e, SKF_EINVALID, "manifest: expected an image %s, found an image %s",
				want == SKF_MEDIA_INDEX ? "index" : "manifest",
				kind == SKF_MEDIA_INDEX ? "index" : "manifest");
	return 0;
}

/* --- documents --- */
#define IGNORED(k)                                                                                          \
	{                                                                                                   \
		(k), skf_j_ignore, NULL, 0, 0, SKF_J_NULL_OK                                                \
	}

static const struct skf_jarr_arg manifests_arr = {&desc_table, SKF_MAX_INDEX_MANIFESTS};
static const struct skf_jfield index_f[] = {
	IGNORED("schemaVersion"),
	SKF_J(struct skf_index, media_type, "mediaType", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(struct skf_index, manifests, "manifests", skf_j_arr, &manifests_arr, SKF_J_REQUIRED),
	IGNORED("annotations"),
	IGNORED("subject"),
	IGNORED("artifactType"),
	SKF_J_END,
};
static const struct skf_jtable index_table = {sizeof(struct skf_index), index_f};

static const struct skf_jarr_arg layers_arr = {&desc_table, SKF_MAX_LAYERS};
static const struct skf_jfield manifest_f[] = {
	IGNORED("schemaVersion"),
	SKF_J(struct skf_manifest, media_type, "mediaType", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(struct skf_manifest, config, "config", skf_j_obj, &desc_table, SKF_J_REQUIRED),
	SKF_J(struct skf_manifest, layers, "layers", skf_j_arr, &layers_arr, SKF_J_REQUIRED),
	SKF_J(struct skf_manifest, annotations, "annotations", skf_j_kvs, NULL, SKF_J_NULL_OK),
	IGNORED("subject"),
	IGNORED("artifactType"),
	SKF_J_END,
};
static const struct skf_jtable manifest_table = {sizeof(struct skf_manifest), manifest_f};

int skf_index_parse(const char *p, size_t n, const char *content_type, struct skf_arena *a,
		    struct skf_index **ret, struct skf_err *e)
{
	void *x = NULL;

	if (want_kind(p, n, content_type, SKF_MEDIA_INDEX, e) < 0 ||
	    skf_image_decode(&manifest_doc, p, n, &index_table, a, &x, e) < 0)
		return -1;
	*ret = x;
	return 0;
}

int skf_manifest_parse(const char *p, size_t n, const char *content_type, struct skf_arena *a,
		       struct skf_manifest **ret, struct skf_err *e)
{
	void *m = NULL;

	if (want_kind(p, n, content_type, SKF_MEDIA_MANIFEST, e) < 0 ||
	    skf_image_decode(&manifest_doc, p, n, &manifest_table, a, &m, e) < 0)
		return -1;
	*ret = m;
	return 0;
}

/* --- choice --- */
static void put_platform(struct skf_buf *b, const struct skf_platform *p)
{
	skf_buf_fmt(b, "%s/%s%s%s", p->os, p->arch, p->variant[0] ? "/" : "", p->variant);
}

static int none_fits(const struct skf_index *x, const struct skf_platform *want, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf w = SKF_BUF(128), have = SKF_BUF(300);
	const struct skf_desc *d = x->manifests.v;

	put_platform(&w, want);
	for (size_t i = 0; i < x->manifests.n; i++) {
		if (!d[i].has_platform || skf_streq(d[i].platform.os, "unknown"))
			continue;
		skf_buf_str(&have, have.len ? ", " : "");
		put_platform(&have, &d[i].platform);
	}
	/* A list that is too long for the message shows its beginning. */
	return skf_fail(e, SKF_ENOTFOUND, "no image for platform '%s' in the index; it has %s%s",
			skf_buf_cstr(&w), have.len ? skf_buf_cstr(&have) : "none", have.err ? " ..." : "");
}

int skf_index_choose(const struct skf_index *x, const struct skf_platform *want, const struct skf_desc **ret,
		     struct skf_err *e)
{
	const struct skf_desc *d = x->manifests.v, *best = NULL;
	int best_score = -1;

	for (size_t i = 0; i < x->manifests.n; i++) {
		/* Without a platform only the image's config can tell; taken when nothing better is there.
		 */
		int score = d[i].has_platform ? skf_platform_score(want, &d[i].platform) : 0;
		if (d[i].media != SKF_MEDIA_MANIFEST && d[i].media != SKF_MEDIA_INDEX)
			continue;
		if (score > best_score) {
			best = &d[i];
			best_score = score;
		}
	}
	if (!best)
		return none_fits(x, want, e);
	*ret = best;
	return 0;
}
