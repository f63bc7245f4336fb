/* engine/filter_images.c -- docker's filters of the list of images: reference, dangling, label, before,
 * since, until. Blocks on the disk. */
#include "engine/engine_int.h"
#include "engine/filter.h"
#include <string.h>

struct query {
	struct skf_engine *g;
	struct skf_arena *a;
	struct skf_filters f;
	int dangling;
	int64_t before, since, until; /* creation; 0: not given */
};

static const char *const known[] = {"before", "dangling", "label", "reference", "since", "until", NULL};

/* When the image that a filter names was made; of several the last one, as in docker. */
static int created_of(struct query *x, const char *name, int64_t *ret, struct skf_err *e)
{
	const struct skf_filter *f = skf_filters_get(&x->f, name);
	struct skf_refrec ref;
	struct skf_image *i;

	for (size_t k = 0; f && k < f->v.n; k++) {
		if (skf_store_resolve(x->g->store, f->v.v[k], x->a, &i, &ref, e) < 0)
			return -1;
		if (!i->created || skf_parse_rfc3339(i->created, ret) < 0)
			*ret = 1; /* an image without a date is as old as can be */
	}
	return 0;
}

static int until(struct query *x, struct skf_err *e)
{
	const struct skf_filter *f = skf_filters_get(&x->f, "until");

	for (size_t k = 0; f && k < f->v.n; k++)
		if (skf_parse_rfc3339(f->v.v[k], &x->until) < 0)
			return skf_filters_invalid("until", f->v.v[k], e);
	return 0;
}

static bool reference_matches(const struct query *x, const struct skf_image_row *r)
{
	const struct skf_filter *f = skf_filters_get(&x->f, "reference");

	for (size_t k = 0; f && k < f->v.n; k++)
		if (skf_image_name_matches(f->v.v[k], r->repository, r->tag))
			return true;
	return !f;
}

/* 1, 0, -1 */
static int label_matches(struct query *x, const struct skf_image_row *r, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES);
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_image_config *c;
	struct skf_digest id;

	if (!skf_filters_get(&x->f, "label"))
		return 1;
	if (skf_digest_parse(r->id, &id, e) < 0 ||
	    skf_store_blob_read(x->g->store, &id, SKF_MAX_CONFIG_BLOB_BYTES, &b, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e); /* removed since the list was made */
		return 0;
	}
	if (skf_image_config_parse(skf_buf_cstr(&b), b.len, &a, &c, e) < 0)
		return -1;
	return skf_filters_labels(&x->f, &c->labels);
}

static bool cheap_match(const struct query *x, const struct skf_image_row *r)
{
	bool nameless = skf_streq(r->tag, "<none>");

	return (x->dangling < 0 || nameless == (x->dangling == 1)) &&
	       (!x->before || r->created_ns < x->before) && (!x->since || r->created_ns > x->since) &&
	       (!x->until || r->created_ns < x->until) && reference_matches(x, r);
}

int skf_engine_images_list(struct skf_engine *g, const struct skf_images_req *q, struct skf_arena *a,
			   struct skf_jarr *ret, struct skf_err *e)
{
	struct query x = {.g = g, .a = a, .dangling = -1};
	struct skf_image_row *v;
	struct skf_jarr rows = {0};
	size_t kept = 0;
	int r = -1;

	if (skf_filters_parse(&q->filters, known, a, &x.f, e) == 0 &&
	    skf_filters_bool(&x.f, "dangling", &x.dangling, e) == 0 &&
	    created_of(&x, "before", &x.before, e) == 0 && created_of(&x, "since", &x.since, e) == 0 &&
	    until(&x, e) == 0)
		r = skf_engine_images(g, q->reference, a, &rows, e);
	v = rows.v;
	for (size_t i = 0; r == 0 && i < rows.n; i++) {
		int keep = cheap_match(&x, &v[i]) ? label_matches(&x, &v[i], e) : 0;

		if (keep < 0)
			r = -1;
		else if (keep)
			v[kept++] = v[i];
	}
	skf_filters_done(&x.f);
	if (r == 0)
		*ret = (struct skf_jarr){v, kept};
	return r;
}
