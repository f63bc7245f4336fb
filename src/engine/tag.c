/* engine/tag.c -- names of images: one more, or fewer. An image that loses its last name stays as a nameless
 * one until it is pruned or removed. */
#include "base/arena.h"
#include "engine/archive_int.h"
#include <string.h>

int skf_engine_tag(struct skf_engine *g, const char *image, const char *name, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	char full[SKF_MAX_REF_BYTES + 1];
	struct skf_refrec from;
	struct skf_image *i;
	struct skf_ref to;

	if (skf_ref_parse(name, &to, e) < 0)
		return -1;
	if (to.digest.s[0])
		return skf_fail(e, SKF_EINVALID, "refusing to create a tag with a digest reference");
	if (skf_store_resolve(g->store, image, &a, &i, &from, e) < 0)
		return -1;
	if (skf_store_ref_set(g->store, &to, from.top.s[0] ? &from.top : &i->manifest, &i->manifest, e) < 0)
		return -1;
	skf_ref_full(&to, full);
	skf_image_event(g, "tag", i->config.s, full);
	return 0;
}

static int drop(struct skf_engine *g, const struct skf_image *i, const struct skf_ref *ref,
		struct skf_err *e)
{
	char full[SKF_MAX_REF_BYTES + 1];

	if (skf_store_ref_remove(g->store, ref, e) < 0)
		return -1;
	skf_ref_full(ref, full);
	skf_image_event(g, "untag", i->config.s, full);
	return 0;
}

static int drop_all(struct skf_engine *g, const struct skf_image *i, const struct skf_jarr *refs,
		    struct skf_err *e)
{
	const struct skf_refrec *v = refs->v;

	for (size_t k = 0; k < refs->n; k++)
		if (v[k].ref.tag[0] && skf_digest_eq(&v[k].manifest, &i->manifest) &&
		    drop(g, i, &v[k].ref, e) < 0)
			return -1;
	return 0;
}

/* Before the first name goes, so that no collection in between takes the image. */
static int keep_nameless(struct skf_engine *g, const struct skf_image *i, const struct skf_digest *top,
			 struct skf_err *e)
{
	struct skf_ref r;

	skf_store_nameless(&i->manifest, &r);
	return skf_store_ref_set(g->store, &r, top->s[0] ? top : &i->manifest, &i->manifest, e);
}

int skf_engine_untag(struct skf_engine *g, const char *image, const struct skf_strv *names,
		     struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_refrec found, one;
	struct skf_image *i;
	struct skf_jarr refs;
	struct skf_ref r;

	if (skf_store_resolve(g->store, image, &a, &i, &found, e) < 0 ||
	    skf_store_ref_list(g->store, &a, &refs, e) < 0 || keep_nameless(g, i, &found.top, e) < 0)
		return -1;
	if (!names->n)
		return drop_all(g, i, &refs, e);
	for (size_t k = 0; k < names->n; k++) {
		int has;

		if (skf_ref_parse(names->v[k], &r, e) < 0)
			return -1;
		has = skf_store_ref_find(g->store, &r, &one, e);
		if (has < 0)
			return -1;
		if (!has || !skf_digest_eq(&one.manifest, &i->manifest))
			return skf_fail(e, SKF_ENOTFOUND, "'%s' is no name of the image '%s'", names->v[k],
					image);
		if (drop(g, i, &one.ref, e) < 0)
			return -1;
	}
	return 0;
}
