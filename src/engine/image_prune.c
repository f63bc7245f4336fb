/* engine/image_prune.c -- removes the images that nobody needs: without a name, or (all) without a
 * container. Each image goes by the steps of rmi, so a container that comes in between keeps its own; the
 * collection is one, at the end. */
#include "base/arena.h"
#include "engine/archive_int.h"
#include <string.h>

struct limits {
	int64_t until_ns; /* 0: none */
	bool all;
	const struct skf_strv *filters;
};

static int labels_match(struct skf_engine *g, const struct skf_image *i, const char *word, bool want,
			struct skf_arena *a, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES);
	const char *eq = strchr(word, '=');
	char *key = skf_arena_dup(a, word, eq ? (size_t)(eq - word) : strlen(word));
	struct skf_image_config *c;
	const char *v;

	if (!key || skf_store_blob_read(g->store, &i->config, SKF_MAX_CONFIG_BLOB_BYTES, &b, e) < 0 ||
	    skf_image_config_parse(skf_buf_cstr(&b), b.len, a, &c, e) < 0)
		return key ? -1 : skf_fail(e, SKF_ENOMEM, "memory for labels");
	v = skf_kvs_get(&c->labels, key);
	return (v && (!eq || skf_streq(v, eq + 1))) == want;
}

static int read_filters(const struct skf_prune_req *q, struct limits *l, struct skf_err *e)
{
	l->all = q->all;
	l->filters = &q->filters;
	for (size_t i = 0; i < q->filters.n; i++) {
		const char *f = q->filters.v[i];

		if (skf_startswith(f, "dangling=")) {
			if (skf_streq(f + 9, "false") || skf_streq(f + 9, "0"))
				l->all = true;
			else if (!skf_streq(f + 9, "true") && !skf_streq(f + 9, "1"))
				return skf_fail(
					e, SKF_EINVALID,
					"invalid filter '%s': expected dangling=true or dangling=false", f);
		} else if (skf_startswith(f, "until=")) {
			if (skf_parse_rfc3339(f + 6, &l->until_ns) < 0)
				return skf_fail(e, SKF_EINVALID, "invalid filter '%s': expected a time", f);
		} else if (!skf_startswith(f, "label=") && !skf_startswith(f, "label!=")) {
			return skf_fail(e, SKF_EINVALID,
					"invalid filter '%s': expected dangling, until, label or label!", f);
		}
	}
	return 0;
}

static int wanted(struct skf_engine *g, const struct limits *l, const struct skf_image *i,
		  struct skf_arena *a, struct skf_err *e)
{
	int64_t created = 0;

	if (l->until_ns &&
	    (!i->created || skf_parse_rfc3339(i->created, &created) < 0 || created >= l->until_ns))
		return 0;
	for (size_t k = 0; k < l->filters->n; k++) {
		const char *f = l->filters->v[k];
		int r = skf_startswith(f, "label=")    ? labels_match(g, i, f + 6, true, a, e)
			: skf_startswith(f, "label!=") ? labels_match(g, i, f + 7, false, a, e)
						       : 1;

		if (r <= 0)
			return r;
	}
	return 1;
}

static bool has_tag(const struct skf_jarr *refs, const struct skf_digest *manifest)
{
	const struct skf_refrec *v = refs->v;

	for (size_t i = 0; i < refs->n; i++)
		if (!skf_store_is_nameless(&v[i].ref) && skf_digest_eq(&v[i].manifest, manifest))
			return true;
	return false;
}

static int remove_one(struct skf_engine *g, const struct skf_image *i, struct skf_arena *a,
		      struct skf_strv *untagged, struct skf_strv *deleted, uint64_t *bytes,
		      struct skf_err *e)
{
	struct skf_rmi_req q = SKF_REQ(struct skf_rmi_req);
	uint64_t freed;

	q.name = i->config.s;
	q.force = true; /* all of its names; never from under a container */
	if (skf_image_remove(g, &q, a, untagged, deleted, &freed, e) == 0) {
		*bytes += freed;
		return 0;
	}
	if (e->kind != SKF_ECONFLICT && e->kind != SKF_ENOTFOUND)
		return -1;
	skf_err_clear(e); /* in use, or somebody else removed it */
	return 0;
}

/* The manifests that containers are made of. */
static int find_used(struct skf_engine *g, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e)
{
	struct skf_jarr rows;
	const struct skf_ps_row *v;

	if (skf_engine_ps(g, true, a, &rows, e) < 0)
		return -1;
	v = rows.v;
	for (size_t k = 0; k < rows.n; k++) {
		struct skf_ctrconf *c;

		if (skf_ctr_load(g, v[k].id, a, &c, e) < 0) {
			if (e->kind != SKF_ENOTFOUND)
				return -1;
			skf_err_clear(e);
		} else if (c->manifest && skf_strv_add(a, ret, c->manifest) < 0) {
			return skf_fail(e, SKF_ENOMEM, "memory for the images in use");
		}
	}
	return 0;
}

static bool is_used(const struct skf_strv *used, const struct skf_image *i)
{
	for (size_t k = 0; k < used->n; k++)
		if (skf_streq(used->v[k], i->manifest.s))
			return true;
	return false;
}

int skf_engine_image_prune(struct skf_engine *g, const struct skf_prune_req *q, struct skf_arena *a,
			   struct skf_strv *untagged, struct skf_strv *deleted, uint64_t *ret_bytes,
			   struct skf_err *e)
{
	struct limits l = {0};
	struct skf_strv users = {0};
	struct skf_gc_result swept;
	struct skf_jarr refs;
	const struct skf_refrec *v;

	*ret_bytes = 0;
	if (read_filters(q, &l, e) < 0 || skf_store_ref_list(g->store, a, &refs, e) < 0 ||
	    find_used(g, a, &users, e) < 0)
		return -1;
	v = refs.v;
	for (size_t k = 0; k < refs.n; k++) {
		struct skf_image *i;
		int r;

		if (skf_store_image_get(g->store, &v[k].manifest, a, &i, e) < 0) {
			if (e->kind != SKF_ENOTFOUND)
				return -1;
			skf_err_clear(e);
			continue;
		}
		if ((!l.all && has_tag(&refs, &i->manifest)) || is_used(&users, i))
			continue;
		r = wanted(g, &l, i, a, e);
		if (r < 0 || (r > 0 && remove_one(g, i, a, untagged, deleted, ret_bytes, e) < 0))
			return -1;
	}
	if (skf_store_gc(g->store, 0, &swept, e) < 0)
		return -1;
	*ret_bytes += swept.bytes;
	return 0;
}
