/* store/resolve.c -- what a user's word means, in docker's order: a whole id or digest, a reference, the
 * beginning of an id. Only the last one reads every image record (DESIGN 7.5). Blocks on the disk. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "store/store_int.h"
#include <string.h>

struct search {
	struct skf_store *s;
	struct skf_arena *a;
	const char *hex;    /* what the id begins with */
	bool manifests_too; /* a whole digest may also be a manifest's */
	struct skf_image *hit;
	bool ambiguous;
};

static bool hex_prefix(const char *s)
{
	size_t n = strspn(s, "0123456789abcdef");

	return n > 0 && n <= 128 && s[n] == 0;
}

static bool whole_id(const char *hex)
{
	return strlen(hex) == 64 || strlen(hex) == 128;
}

static int look(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena scratch = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 8);
	struct search *q = arg;
	struct skf_digest d;
	struct skf_image *i;

	(void)dirfd;
	if (*name == '.')
		return 0;
	if (!skf_digest_of_file(name, &d))
		return skf_fail(e, SKF_ECORRUPT, "'images/%s' is not the name of an image record; remove it",
				name);
	if (skf_store_image_get(q->s, &d, &scratch, &i, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e); /* collected since the directory was read */
		return 0;
	}
	if (!skf_startswith(skf_digest_hex(&i->config), q->hex) &&
	    !(q->manifests_too && skf_startswith(skf_digest_hex(&i->manifest), q->hex)))
		return 0;
	if (q->hit && !skf_digest_eq(&q->hit->config, &i->config))
		q->ambiguous = true;
	if (q->hit)
		return 0;
	return skf_store_image_get(q->s, &d, q->a, &q->hit, e);
}

/* 1 found, 0 none, -1. */
static int by_id(struct skf_store *s, const char *hex, struct skf_arena *a, struct skf_image **ret,
		 struct skf_err *e)
{
	struct search q = {.s = s, .a = a, .hex = hex, .manifests_too = whole_id(hex)};

	if (skf_store_each(s->fd, "images", look, &q, e) < 0)
		return -1;
	if (q.ambiguous)
		return skf_fail(e, SKF_ECONFLICT,
				"image id '%s' is ambiguous: several images begin with it; give more digits",
				hex);
	*ret = q.hit;
	return q.hit != NULL;
}

/* 1 found, 0 none or not a reference, -1. */
static int by_reference(struct skf_store *s, const char *word, struct skf_arena *a, struct skf_image **ret,
			struct skf_refrec *ret_ref, struct skf_err *e)
{
	struct skf_refrec rec;
	struct skf_ref ref;
	int r;

	if (skf_ref_parse(word, &ref, e) < 0)
		return -1;
	r = skf_store_ref_find(s, &ref, &rec, e);
	if (r <= 0)
		return r;
	if (skf_store_image_get(s, &rec.manifest, a, ret, e) < 0)
		return skf_ctx(e, "reference '%s'", word);
	*ret_ref = rec;
	return 1;
}

void skf_store_set_expand(struct skf_store *s,
			  int (*fn)(void *arg, const char *word, struct skf_strv *ret, struct skf_err *e),
			  void *arg)
{
	s->expand = fn;
	s->expand_arg = arg;
}

static int by_short_name(struct skf_store *s, const char *word, struct skf_arena *a, struct skf_image **ret,
			 struct skf_refrec *ret_ref, struct skf_err *e)
{
	struct skf_strv v = {0};
	int r = s->expand ? s->expand(s->expand_arg, word, &v, e) : 0;

	for (size_t i = 0; r == 0 && i < v.n; i++)
		r = by_reference(s, v.v[i], a, ret, ret_ref, e);
	return r;
}

int skf_store_resolve(struct skf_store *s, const char *word, struct skf_arena *a, struct skf_image **ret,
		      struct skf_refrec *ret_ref, struct skf_err *e)
{
	const char *hex = skf_digest_skip_alg(word);
	bool is_id = hex_prefix(hex), whole = hex != word || whole_id(hex);
	struct skf_refrec none = {0}, rec = none;
	struct skf_image *image = NULL;
	int r = 0;

	if (is_id && whole)
		r = by_id(s, hex, a, &image, e);
	if (r == 0 && hex == word)
		r = by_reference(s, word, a, &image, &rec, e);
	if (r < 0 && is_id && !whole && e->kind == SKF_EINVALID) {
		skf_err_clear(e);
		r = 0;
	}
	if (r == 0 && is_id && !whole)
		r = by_id(s, hex, a, &image, e);
	if (r == 0 && hex == word)
		r = by_short_name(s, word, a, &image, &rec, e);
	if (r < 0)
		return -1;
	if (r == 0)
		return skf_fail(e, SKF_ENOTFOUND, "No such image: %.300s", word);
	if (!*rec.manifest.s)
		rec.manifest = rec.top = image->manifest;
	*ret = image;
	*ret_ref = rec;
	return 0;
}
