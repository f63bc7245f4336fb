/* engine/short_name.c -- pulls by short names as containers-registries.conf(5) has them: an alias is what it stands for; else the search registries in
 * their order. Without either a short name is docker's (docker.io/library/...), also where podman would refuse it.
 *
 * short-name-mode: enforcing asks when several registries may be meant, and fails where there is nobody to ask; permissive asks, and tries all in their
 * order where there is nobody; disabled tries all in their order. Blocks as a pull does. */
#include "engine/engine_int.h"
#include "oci/registries_conf.h"
#include <stdlib.h>
#include <string.h>

static int load(struct skf_engine *g, struct skf_err *e)
{
	if (g->registries)
		return 0;
	g->registries = calloc(1, sizeof(*g->registries));
	if (!g->registries)
		return skf_fail(e, SKF_ENOMEM, "memory for registries.conf");
	if (skf_registries_load(g->registries, e) == 0)
		return 0;
	skf_short_done(g);
	return -1;
}

void skf_short_done(struct skf_engine *g)
{
	if (g->registries)
		skf_registries_done(g->registries);
	free(g->registries);
	g->registries = NULL;
}

int skf_short_expand(void *arg, const char *word, struct skf_strv *ret, struct skf_err *e)
{
	struct skf_engine *g = arg;

	*ret = (struct skf_strv){0};
	if (!skf_registries_is_short(word))
		return 0;
	return load(g, e) < 0 ? -1 : skf_registries_expand(g->registries, word, ret, e);
}

/* Leaves in v what is to be tried. */
static int choose(struct skf_engine *g, const char *word, struct skf_strv *v, const struct skf_progress *p, struct skf_err *e)
{
	int k;

	if (v->n < 2 || g->registries->mode == SKF_SHORT_DISABLED)
		return 0;
	k = p && p->choose ? p->choose(p->arg, word, (const char *const *)v->v, v->n) : -1;
	if (k >= 0 && (size_t)k < v->n)
		*v = (struct skf_strv){v->v + k, 1};
	else if (g->registries->mode == SKF_SHORT_ENFORCING)
		return skf_fail(e, SKF_EINVALID,
				"short-name resolution enforced but cannot prompt without a TTY: '%s' may be %zu images (unqualified-search-registries of '%s'); give "
				"its registry, an alias, or short-name-mode = \"permissive\"",
				word, v->n, g->registries->search_from);
	return 0;
}

static bool goes_on(const struct skf_err *e)
{
	return e->kind == SKF_ENOTFOUND || e->kind == SKF_EDENIED || (e->kind == SKF_EUNAVAILABLE && !skf_endswith(e->msg, "cancelled"));
}

int skf_engine_pull(struct skf_engine *g, const struct skf_pull_req *q, const struct skf_progress *p, struct skf_pull_ret *ret, struct skf_err *e)
{
	struct skf_pull_req one = *q;
	struct skf_err first = SKF_ERR_INIT;
	struct skf_strv v;

	if (skf_short_expand(g, q->reference, &v, e) < 0 || choose(g, q->reference, &v, p, e) < 0)
		return -1;
	if (v.n > 1 && q->token)
		return skf_fail(e, SKF_EINVALID, "'%s' may be at %zu registries, and a registry token is for one: give its registry", q->reference, v.n);
	if (v.n == 0)
		return skf_pull_exact(g, q, p, ret, e);
	for (size_t i = 0; i < v.n; i++) {
		one.reference = v.v[i];
		if (skf_pull_exact(g, &one, p, ret, e) == 0)
			return 0;
		if (!goes_on(e))
			return -1;
		if (first.kind == SKF_OK)
			first = *e;
		if (i + 1 < v.n)
			skf_warn(&g->log, "'%s': %s; trying the next registry", v.v[i], e->msg);
		else if (v.n > 1)
			return skf_fail(e, first.kind, "'%s' was not to be had at any of %zu registries; the first, '%s', says: %s", q->reference, v.n, v.v[0],
					first.msg);
		if (i + 1 < v.n)
			skf_err_clear(e);
	}
	return -1;
}
