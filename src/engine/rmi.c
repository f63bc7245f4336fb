/* engine/rmi.c -- removing images in docker's steps: a name is untagged; with the last name the image goes,
 * unless a container uses it; an id stands for all of its names. What nobody refers to any more is then
 * collected. */
#include "engine/archive_int.h"
#include "monitor/event.h"
#include <fcntl.h>
#include <string.h>

struct rmi {
	struct skf_engine *g;
	const struct skf_rmi_req *q;
	struct skf_arena *a;
	struct skf_strv *untagged, *deleted;
	struct skf_image *image;
	struct skf_refrec ref;     /* what the word meant; repo "" when found by id */
	struct skf_jarr refs;      /* all references */
	size_t n_tags;             /* of this image */
	char user[SKF_ID_LEN + 1]; /* a container that uses it, "" none */
	bool user_runs;
};

static const struct skf_refrec *mine(const struct rmi *x, size_t i)
{
	const struct skf_refrec *v = x->refs.v;

	return skf_digest_eq(&v[i].manifest, &x->image->manifest) ? &v[i] : NULL;
}

static bool same_repo(const struct skf_ref *a, const struct skf_ref *b)
{
	return skf_streq(a->registry, b->registry) && skf_streq(a->repo, b->repo);
}

static int find_user(struct rmi *x, struct skf_err *e)
{
	SKF_AUTO_DIR DIR *d = skf_ctr_opendir(x->g, e);
	const char *id;

	if (!d)
		return -1;
	while ((id = skf_ctr_next(d))) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
		struct skf_ctrconf *c;
		struct skf_ctr_live l;
		bool runs;

		if (skf_ctr_load(x->g, id, &a, &c, e) < 0) {
			if (e->kind != SKF_ENOTFOUND)
				return -1;
			skf_err_clear(e); /* removed, or not yet complete */
			continue;
		}
		if (!skf_streq(c->manifest, x->image->manifest.s))
			continue;
		if (skf_ctr_live(x->g, id, &l, e) < 0)
			return -1;
		runs = skf_ctr_is_up(l.state);
		if (x->user[0] && !runs)
			continue;
		memcpy(x->user, id, SKF_ID_LEN + 1);
		x->user_runs = runs;
	}
	return 0;
}

static int untag(struct rmi *x, const struct skf_refrec *r, struct skf_err *e)
{
	char name[SKF_MAX_REF_BYTES + 1], shown[SKF_MAX_REF_BYTES * 2], full[SKF_MAX_REF_BYTES + 1];
	int n;

	skf_ref_familiar_name(&r->ref, name);
	skf_ref_full(&r->ref, full);
	n = skf_fmt(shown, sizeof(shown), "%s%s%s", name, r->ref.tag[0] ? ":" : "@",
		    r->ref.tag[0] ? r->ref.tag : r->ref.digest.s);
	if (skf_store_ref_remove(x->g->store, &r->ref, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e); /* somebody else untagged it: done all the same */
		return 0;
	}
	if (n < 0 || skf_strv_add(x->a, x->untagged, shown) < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for the list of removed names");
	n = skf_event_emit(x->g->run_fd, "image", "untag", x->image->config.s, full, full, 0);
	if (n < 0)
		skf_warn(&x->g->log, "write the event 'untag': %s; ignoring", strerror(-n));
	return 0;
}

static int untag_all(struct rmi *x, const struct skf_ref *only_repo, bool digests_only, struct skf_err *e)
{
	for (size_t i = 0; i < x->refs.n; i++) {
		const struct skf_refrec *r = mine(x, i);

		if (!r || (only_repo && !same_repo(&r->ref, only_repo)) || (digests_only && r->ref.tag[0]))
			continue;
		if (untag(x, r, e) < 0)
			return -1;
	}
	return 0;
}

static void count_tags(struct rmi *x, size_t *repos, size_t *in_repo)
{
	const struct skf_refrec *first = NULL;

	*repos = *in_repo = 0;
	for (size_t i = 0; i < x->refs.n; i++) {
		const struct skf_refrec *r = mine(x, i);

		if (!r || !r->ref.tag[0])
			continue;
		x->n_tags++;
		if (!first || !same_repo(&first->ref, &r->ref))
			++*repos;
		first = first ? first : r;
		*in_repo += same_repo(&r->ref, &x->ref.ref);
	}
}

static int by_name(struct rmi *x, size_t in_repo, struct skf_err *e)
{
	bool last = x->n_tags <= (x->ref.ref.tag[0] ? 1 : 0);

	if (last && x->user[0] && !x->q->force)
		return skf_fail(e, SKF_ECONFLICT,
				"conflict: unable to remove repository reference \"%s\" (must force) - "
				"container %.12s is using its referenced "
				"image %.12s",
				x->q->name, x->user, skf_digest_hex(&x->image->config));
	if (untag(x, &x->ref, e) < 0)
		return -1;
	/* With its last tag in a repository the digest reference there goes as well. */
	return x->ref.ref.tag[0] && in_repo <= 1 ? untag_all(x, &x->ref.ref, true, e) : 0;
}

static int by_id(struct rmi *x, size_t repos, struct skf_err *e)
{
	const char *id = skf_digest_hex(&x->image->config);

	if (x->user[0] && x->user_runs)
		return skf_fail(e, SKF_ECONFLICT,
				"conflict: unable to delete %.12s (cannot be forced) - image is being used "
				"by running container %.12s",
				id, x->user);
	if (!x->q->force && repos > 1)
		return skf_fail(e, SKF_ECONFLICT,
				"conflict: unable to delete %.12s (must be forced) - image is referenced in "
				"multiple repositories",
				id);
	if (!x->q->force && x->user[0])
		return skf_fail(e, SKF_ECONFLICT,
				"conflict: unable to delete %.12s (must be forced) - image is being used by "
				"stopped container %.12s",
				id, x->user);
	return untag_all(x, NULL, false, e);
}

/* What the collection took away of this image: its id and its layers, highest first. */
static int list_deleted(struct rmi *x, struct skf_err *e)
{
	const struct skf_image_layer *l = x->image->layers.v;
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_layer_info info;
	struct skf_image *again;
	int r;

	if (skf_store_image_get(x->g->store, &x->image->manifest, &a, &again, e) == 0)
		return 0; /* a container still holds it */
	if (e->kind != SKF_ENOTFOUND)
		return -1;
	skf_err_clear(e);
	r = skf_strv_add(x->a, x->deleted, x->image->config.s);
	for (size_t i = x->image->layers.n; r == 0 && i-- > 0;) {
		int has = skf_store_layer_has(x->g->store, &l[i].diff_id, &info, e);

		if (has < 0)
			return -1;
		if (has == 0)
			r = skf_strv_add(x->a, x->deleted, l[i].diff_id.s);
	}
	if (r < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for the list of deleted objects");
	r = skf_event_emit(x->g->run_fd, "image", "delete", x->image->config.s, x->q->name, x->q->name, 0);
	if (r < 0)
		skf_warn(&x->g->log, "write the event 'delete': %s; ignoring", strerror(-r));
	return 0;
}

int skf_image_remove(struct skf_engine *g, const struct skf_rmi_req *q, struct skf_arena *a,
		     struct skf_strv *untagged, struct skf_strv *deleted, uint64_t *ret_bytes,
		     struct skf_err *e)
{
	struct rmi x = {.g = g, .q = q, .a = a, .untagged = untagged, .deleted = deleted};
	struct skf_gc_result res;
	size_t repos, in_repo;

	*ret_bytes = 0;
	if (skf_store_resolve(g->store, q->name, a, &x.image, &x.ref, e) < 0 ||
	    skf_store_ref_list(g->store, a, &x.refs, e) < 0 || find_user(&x, e) < 0)
		return -1;
	count_tags(&x, &repos, &in_repo);
	if ((x.ref.ref.repo[0] && (x.ref.ref.tag[0] || x.ref.ref.digest.s[0]) ? by_name(&x, in_repo, e)
									      : by_id(&x, repos, e)) < 0)
		return -1;
	if (q->no_prune)
		return 0; /* the next collection takes what is unused */
	if (skf_store_gc(g->store, SKF_GC_KEEP_DOWNLOADS, &res, e) < 0)
		return skf_ctx(e, "the names are removed, the collection failed");
	*ret_bytes = res.bytes;
	return list_deleted(&x, e);
}

int skf_engine_rmi(struct skf_engine *g, const struct skf_rmi_req *q, struct skf_arena *a,
		   struct skf_strv *untagged, struct skf_strv *deleted, struct skf_err *e)
{
	uint64_t bytes;

	return skf_image_remove(g, q, a, untagged, deleted, &bytes, e);
}
