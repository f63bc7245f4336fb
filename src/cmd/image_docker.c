/* cmd/image_docker.c -- manifest.json of docker's archives: which images, and which files they are made of.
 * Names are keys of the archive, never paths. */
#include "base/json.h"
#include "base/limits.h"
#include "cmd/image_place.h"

struct doc {
	struct skf_jarr m;
};
#define E struct image_docker_entry
static const struct skf_jfield entry_f[] = {
	SKF_J(E, config, "Config", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(E, tags, "RepoTags", skf_j_strv, NULL, SKF_J_NULL_OK),
	SKF_J(E, layers, "Layers", skf_j_strv, NULL, SKF_J_NULL_OK),
	SKF_J_END,
};
static const struct skf_jtable entry_table = {sizeof(E), entry_f, false, NULL};
#undef E
static const struct skf_jarr_arg entry_arr = {&entry_table, SKF_MAX_INDEX_MANIFESTS};
static const struct skf_jfield doc_f[] = {
	SKF_J(struct doc, m, "images", skf_j_arr, &entry_arr, SKF_J_REQUIRED), SKF_J_END};
static const struct skf_jtable doc_table = {sizeof(struct doc), doc_f, true, NULL};

/* The decoder wants an object on top; docker's document is an array. */
int image_docker_read(struct image_src *src, struct skf_arena *a, struct skf_jarr *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 32);
	const struct skf_jdoc j = {.name = "manifest.json", .max_bytes = SKF_MAX_MANIFEST_BYTES + 32};
	void *v;
	int r;

	skf_buf_str(&b, "{\"images\":");
	r = image_src_small(src, "manifest.json", SKF_MAX_MANIFEST_BYTES, &b, e);
	if (r <= 0)
		return r;
	skf_buf_chr(&b, '}');
	if (b.err || skf_json_decode(&j, b.p, b.len, &doc_table, a, &v, e) < 0)
		return b.err ? skf_fail_sys(e, b.err, "manifest.json") : -1;
	*ret = ((struct doc *)v)->m;
	return 1;
}
