/* engine/list_doc.c -- the document of a list of platforms: reading, writing, and the index that it stands
 * for. Pure.
 *
 * {"v":1,"min":1,"name":...,"annotations":{...},"manifests":[descriptor + "from"]} below <root>/manifests
 * (docs/formats.md). */
#include "engine/list_int.h"
#include "base/arena.h"
#include "base/limits.h"
#include "oci/digest.h"
#include <string.h>

#define OCI_INDEX   "application/vnd.oci.image.index.v1+json"
#define DOCKER_LIST "application/vnd.docker.distribution.manifest.list.v2+json"

#define P struct skf_list_platform
static const struct skf_jfield platform_f[] = {
	SKF_J(P, os, "os", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(P, arch, "architecture", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(P, variant, "variant", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(P, os_version, "os.version", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(P, os_features, "os.features", skf_j_strv, NULL, SKF_J_NULL_OK),
	SKF_J(P, features, "features", skf_j_strv, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
#undef P
static const struct skf_jtable platform_table = {sizeof(struct skf_list_platform), platform_f, false, NULL};

static int check_entry(struct skf_jctx *c, void *obj)
{
	const struct skf_list_entry *x = obj;
	struct skf_err why = SKF_ERR_INIT;
	struct skf_digest d;

	return skf_digest_parse(x->digest, &d, &why) < 0 ? skf_j_fail(c, SKF_EINVALID, "%s", why.msg) : 0;
}

#define E struct skf_list_entry
static const struct skf_jfield entry_f[] = {
	SKF_J(E, media_type, "mediaType", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(E, digest, "digest", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(E, size, "size", skf_j_u64, NULL, SKF_J_REQUIRED),
	SKF_J(E, artifact_type, "artifactType", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(E, platform, "platform", skf_j_obj, &platform_table, SKF_J_NULL_OK),
	SKF_J(E, annotations, "annotations", skf_j_kvs, NULL, SKF_J_NULL_OK),
	SKF_J(E, from, "from", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
#undef E
static const struct skf_jtable entry_table = {sizeof(struct skf_list_entry), entry_f, false, check_entry};
static const struct skf_jarr_arg entries_arg = {&entry_table, SKF_MAX_INDEX_MANIFESTS};

static const struct skf_jfield list_f[] = {
	SKF_J(struct skf_list, v, "v", skf_j_u32, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_list, min, "min", skf_j_u32, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_list, name, "name", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_list, annotations, "annotations", skf_j_kvs, NULL, SKF_J_NULL_OK),
	SKF_J(struct skf_list, manifests, "manifests", skf_j_arr, &entries_arg, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable list_table = {sizeof(struct skf_list), list_f, false, NULL};

int skf_list_parse(const char *text, size_t n, struct skf_arena *a, struct skf_list **ret, struct skf_err *e)
{
	const struct skf_jdoc d = {.name = "manifest list", .max_bytes = SKF_MAX_MANIFEST_BYTES};
	void *v;

	if (skf_json_decode(&d, text, n, &list_table, a, &v, e) < 0)
		return -1;
	*ret = v;
	if ((*ret)->min > 1)
		return skf_fail(e, SKF_EUNSUPPORTED, "manifest list '%s' needs a newer skiff", (*ret)->name);
	return 0;
}

struct described {
	struct skf_jarr manifests;
};
static const struct skf_jfield described_f[] = {
	SKF_J(struct described, manifests, "manifests", skf_j_arr, &entries_arg, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable described_table = {sizeof(struct described), described_f, false, NULL};

int skf_list_parse_entries(const char *text, size_t n, struct skf_arena *a, struct skf_jarr *ret,
			   struct skf_err *e)
{
	const struct skf_jdoc d = {.name = "answer of skiff-image", .max_bytes = SKF_MAX_MANIFEST_BYTES};
	void *v;

	if (skf_json_decode(&d, text, n, &described_table, a, &v, e) < 0)
		return -1;
	*ret = ((struct described *)v)->manifests;
	return 0;
}

static void opt(struct skf_jw *w, const char *k, const char *v)
{
	if (v && *v)
		skf_jw_kstr(w, k, v);
}

static void put_entry(struct skf_jw *w, const struct skf_list_entry *x, bool from)
{
	const struct skf_list_platform *p = &x->platform;

	skf_jw_obj(w);
	skf_jw_kstr(w, "mediaType", x->media_type);
	skf_jw_ku64(w, "size", x->size);
	skf_jw_kstr(w, "digest", x->digest);
	opt(w, "artifactType", x->artifact_type);
	if ((p->os && *p->os) || (p->arch && *p->arch)) {
		skf_jw_kobj(w, "platform");
		skf_jw_kstr(w, "architecture", p->arch);
		skf_jw_kstr(w, "os", p->os);
		opt(w, "variant", p->variant);
		opt(w, "os.version", p->os_version);
		if (p->os_features.n)
			skf_jw_kstrv(w, "os.features", &p->os_features);
		if (p->features.n)
			skf_jw_kstrv(w, "features", &p->features);
		skf_jw_end(w);
	}
	if (x->annotations.n)
		skf_jw_kkvs(w, "annotations", &x->annotations);
	if (from)
		opt(w, "from", x->from);
	skf_jw_end(w);
}

static void put_entries(struct skf_jw *w, const struct skf_list *l, bool from)
{
	const struct skf_list_entry *v = l->manifests.v;

	skf_jw_karr(w, "manifests");
	for (size_t i = 0; i < l->manifests.n; i++)
		put_entry(w, &v[i], from);
	skf_jw_end_arr(w);
	if (l->annotations.n)
		skf_jw_kkvs(w, "annotations", &l->annotations);
}

void skf_list_write(struct skf_jw *w, const struct skf_list *l)
{
	skf_jw_obj(w);
	skf_jw_ku64(w, "v", 1);
	skf_jw_ku64(w, "min", 1);
	skf_jw_kstr(w, "name", l->name);
	put_entries(w, l, true);
	skf_jw_end(w);
}

void skf_list_write_index(struct skf_jw *w, const struct skf_list *l)
{
	const struct skf_list_entry *v = l->manifests.v;
	bool docker = l->manifests.n > 0 && !l->annotations.n;

	for (size_t i = 0; i < l->manifests.n; i++)
		docker &= skf_startswith(v[i].media_type, "application/vnd.docker.") && !v[i].annotations.n;
	skf_jw_obj(w);
	skf_jw_ku64(w, "schemaVersion", 2);
	skf_jw_kstr(w, "mediaType", docker ? DOCKER_LIST : OCI_INDEX);
	put_entries(w, l, false);
	skf_jw_end(w);
}

int skf_list_set(struct skf_arena *a, struct skf_kvs *m, const char *k, const char *value)
{
	struct skf_kv *v = skf_arena_array(a, m->n + 1, sizeof(*v));
	size_t i = 0;

	if (!v)
		return -ENOMEM;
	for (; i < m->n; i++)
		v[i] = m->v[i];
	for (i = 0; i < m->n && !skf_streq(v[i].k, k); i++)
		;
	v[i].k = skf_arena_strdup(a, k);
	v[i].v = skf_arena_strdup(a, value);
	*m = (struct skf_kvs){v, i < m->n ? m->n : m->n + 1};
	return v[i].k && v[i].v ? 0 : -ENOMEM;
}
