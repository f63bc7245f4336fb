/* engine/system_prune.c -- removes what nobody uses, in the order in which it stops being used: a container
 * holds its image, so containers go first. A table of groups in docker's words; another kind of object is a
 * row more. Each group removes by the same functions as its own verb, so that whatever is in use, or comes
 * into use meanwhile, stays. */
#include "engine/archive_int.h"
#include "engine/df_int.h"
#include <fcntl.h>
#include <string.h>

struct prune {
	struct skf_engine *g;
	const struct skf_system_prune_req *q;
	struct skf_arena *a;
	uint64_t bytes;
	int64_t until_ns; /* 0: none */
};

static int read_filters(struct prune *p, struct skf_err *e)
{
	for (size_t i = 0; i < p->q->filters.n; i++) {
		const char *f = p->q->filters.v[i];

		if (skf_startswith(f, "until=")) {
			if (skf_parse_rfc3339(f + 6, &p->until_ns) < 0)
				return skf_fail(e, SKF_EINVALID, "invalid filter '%s': expected a time", f);
			if (p->q->volumes)
				return skf_fail(e, SKF_EINVALID,
						"the \"until\" filter is not supported with \"--volumes\"");
		} else if (!skf_startswith(f, "label=") && !skf_startswith(f, "label!=")) {
			return skf_fail(e, SKF_EINVALID,
					"invalid filter '%s': expected until, label or label!", f);
		}
	}
	return 0;
}

static bool labels_match(const struct prune *p, const struct skf_kvs *labels)
{
	for (size_t i = 0; i < p->q->filters.n; i++) {
		const char *f = p->q->filters.v[i], *word = f + (skf_startswith(f, "label!=") ? 7 : 6),
			   *eq = strchr(word, '='), *v;
		bool want = skf_startswith(f, "label=");
		char *key;

		if (skf_startswith(f, "until="))
			continue;
		key = skf_arena_dup(p->a, word, eq ? (size_t)(eq - word) : strlen(word));
		v = key ? skf_kvs_get(labels, key) : NULL;
		if ((v && (!eq || skf_streq(v, eq + 1))) != want)
			return false;
	}
	return true;
}

static int prune_containers(struct prune *p, struct skf_pruned *out, struct skf_err *e)
{
	struct skf_ps_req ps = SKF_REQ(struct skf_ps_req);
	struct skf_jarr rows;
	const struct skf_ps_row *v;

	ps.all = ps.detail = true;
	if (skf_engine_ps_list(p->g, &ps, p->a, &rows, e) < 0)
		return -1;
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++) {
		SKF_AUTO(skf_du_done) struct skf_du u = {0};

		if (skf_streq(v[i].state, "running") || skf_streq(v[i].state, "paused") ||
		    (p->until_ns && v[i].created_ns >= p->until_ns) || !v[i].detail ||
		    !labels_match(p, &v[i].detail->labels))
			continue;
		if (skf_du_add(&u, p->g->ctr_fd, v[i].id, e) < 0)
			return -1;
		if (skf_engine_rm(p->g, v[i].id, false, false, e) < 0) {
			if (e->kind != SKF_ENOTFOUND && e->kind != SKF_ECONFLICT)
				return -1;
			skf_err_clear(e); /* started, or removed by somebody else */
			continue;
		}
		p->bytes += u.disk;
		if (skf_strv_add(p->a, &out->lines, v[i].id) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for what was removed");
	}
	return 0;
}

static int add_lines(struct prune *p, struct skf_pruned *out, const char *word, const struct skf_strv *v,
		     struct skf_err *e)
{
	for (size_t i = 0; i < v->n; i++) {
		char *line = skf_arena_fmt(p->a, "%s: %s", word, v->v[i]);

		if (!line || skf_strv_add(p->a, &out->lines, line) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for what was removed");
	}
	return 0;
}

static int prune_images(struct prune *p, struct skf_pruned *out, struct skf_err *e)
{
	struct skf_prune_req q = SKF_REQ(struct skf_prune_req);
	struct skf_strv untagged = {0}, deleted = {0};
	uint64_t bytes;

	q.all = p->q->all;
	q.filters = p->q->filters;
	if (skf_engine_image_prune(p->g, &q, p->a, &untagged, &deleted, &bytes, e) < 0)
		return -1;
	p->bytes += bytes;
	return add_lines(p, out, "untagged", &untagged, e) < 0 ? -1
							       : add_lines(p, out, "deleted", &deleted, e);
}

static const struct {
	const char *title;
	int (*fn)(struct prune *p, struct skf_pruned *out, struct skf_err *e);
} groups[] = {
	{"Deleted Containers", prune_containers},
	/* networks and volumes come here: what containers held is free now */
	{"Deleted Images", prune_images},
};

int skf_engine_system_prune(struct skf_engine *g, const struct skf_system_prune_req *q, struct skf_arena *a,
			    struct skf_jarr *ret, uint64_t *ret_bytes, struct skf_err *e)
{
	struct prune p = {.g = g, .q = q, .a = a};
	struct skf_pruned *v = skf_arena_array(a, SKF_ARRAY_LEN(groups), sizeof(*v));
	size_t n = 0;

	if (!v)
		return skf_fail(e, SKF_ENOMEM, "memory for what was removed");
	if (read_filters(&p, e) < 0)
		return -1;
	for (size_t i = 0; i < SKF_ARRAY_LEN(groups); i++) {
		v[n] = (struct skf_pruned){.title = groups[i].title};
		if (groups[i].fn(&p, &v[n], e) < 0)
			return -1;
		n += v[n].lines.n > 0;
	}
	*ret = (struct skf_jarr){v, n};
	*ret_bytes = p.bytes;
	return 0;
}
