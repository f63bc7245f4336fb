/* engine/plan_labels.c -- labels and annotations of a container: the image's labels, then the user's over
 * them. */
#include "engine/create_int.h"
#include <string.h>

static int label_put(struct skf_plan *p, size_t max, const char *k, size_t n, const char *v)
{
	struct skf_kvs *m = &p->req.labels;
	size_t i;

	for (i = 0; i < m->n; i++)
		if (strlen(m->v[i].k) == n && !memcmp(m->v[i].k, k, n))
			break;
	if (i >= max)
		return -ENOSPC;
	m->v[i].k = skf_arena_dup(p->a, k, n);
	m->v[i].v = skf_arena_strdup(p->a, v);
	if (i == m->n)
		m->n++;
	return m->v[i].k && m->v[i].v ? 0 : -ENOMEM;
}

int skf_plan_labels(struct skf_plan *p, struct skf_err *e)
{
	size_t max = p->ic->labels.n + p->q->labels.n;
	int r = 0;

	if (max == 0)
		return 0;
	p->req.labels.v = skf_arena_array(p->a, max, sizeof(struct skf_kv));
	if (!p->req.labels.v)
		return skf_plan_no_memory(e);
	for (size_t i = 0; r == 0 && i < p->ic->labels.n; i++)
		r = label_put(p, max, p->ic->labels.v[i].k, strlen(p->ic->labels.v[i].k),
			      p->ic->labels.v[i].v);
	for (size_t i = 0; r == 0 && i < p->q->labels.n; i++) {
		const char *l = p->q->labels.v[i], *eq = strchr(l, '=');

		if (eq == l)
			return skf_fail(e, SKF_EINVALID, "invalid label '%s': expected KEY=VALUE", l);
		r = label_put(p, max, l, eq ? (size_t)(eq - l) : strlen(l), eq ? eq + 1 : "");
	}
	return r < 0 ? skf_plan_no_memory(e) : 0;
}

int skf_plan_pairs(struct skf_plan *p, const struct skf_strv *v, struct skf_kvs *ret, struct skf_err *e)
{
	ret->v = skf_arena_array(p->a, v->n + 1, sizeof(*ret->v));
	if (!ret->v)
		return skf_plan_no_memory(e);
	ret->n = 0;
	for (size_t i = 0; i < v->n; i++) {
		const char *eq = strchr(v->v[i], '=');
		size_t at = 0;
		struct skf_kv kv = {.k = eq ? skf_arena_dup(p->a, v->v[i], (size_t)(eq - v->v[i]))
					    : skf_arena_strdup(p->a, v->v[i]),
				    .v = skf_arena_strdup(p->a, eq ? eq + 1 : "")};

		if (!kv.k || !kv.v)
			return skf_plan_no_memory(e);
		while (at < ret->n && !skf_streq(ret->v[at].k, kv.k))
			at++;
		ret->v[at] = kv;
		ret->n += at == ret->n;
	}
	return 0;
}

int skf_plan_annotations(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_strv *v = &p->q->s.annotations;

	for (size_t i = 0; i < v->n; i++)
		if (v->v[i][0] == '=' || !strchr(v->v[i], '='))
			return skf_fail(e, SKF_EINVALID, "invalid annotation '%s': expected KEY=VALUE",
					v->v[i]);
	if (skf_plan_pairs(p, v, &p->gen.annotations, e) < 0)
		return -1;
	if (skf_keeps_groups(&p->q->s.group_add)) /* room for one more was made */
		p->gen.annotations.v[p->gen.annotations.n++] =
			(struct skf_kv){(char *)"run.oci.keep_original_groups", (char *)"1"};
	return 0;
}
