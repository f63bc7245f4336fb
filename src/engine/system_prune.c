/* engine/system_prune.c -- removes what nobody uses, in the order in which it stops being used: a container
 * holds its image, so containers go first. A table of groups in docker's words; another kind of object is a
 * row more. Each group removes by the same functions as its own verb, so that whatever is in use, or comes
 * into use meanwhile, stays. */
#include "engine/archive_int.h"
#include "engine/life.h"
#include "engine/net_api.h"
#include "engine/net_int.h"
#include <string.h>

struct prune {
	struct skf_engine *g;
	const struct skf_system_prune_req *q;
	struct skf_arena *a;
	uint64_t bytes;
};

static int check_filters(const struct skf_system_prune_req *q, struct skf_err *e)
{
	for (size_t i = 0; i < q->filters.n; i++)
		if (q->volumes && skf_startswith(q->filters.v[i], "until="))
			return skf_fail(e, SKF_EINVALID,
					"the \"until\" filter is not supported with \"--volumes\"");
	return 0;
}

static int prune_containers(struct prune *p, struct skf_pruned *out, struct skf_err *e)
{
	uint64_t bytes = 0;

	if (skf_engine_prune(p->g, &p->q->filters, p->a, &out->lines, &bytes, e) < 0)
		return -1;
	p->bytes += bytes;
	return 0;
}

static int prune_networks(struct prune *p, struct skf_pruned *out, struct skf_err *e)
{
	return skf_engine_network_prune(p->g, &p->q->filters, p->a, &out->lines, e);
}

static int prune_volumes(struct prune *p, struct skf_pruned *out, struct skf_err *e)
{
	struct skf_volume_prune_req q = SKF_REQ(struct skf_volume_prune_req);
	uint64_t bytes = 0;

	if (!p->q->volumes)
		return 0;
	q.filters = p->q->filters;
	if (skf_engine_volume_prune(p->g, &q, p->a, &out->lines, &bytes, e) < 0)
		return -1;
	p->bytes += bytes;
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
	{"Deleted Networks", prune_networks}, /* and volumes: what containers held is free now */
	{"Deleted Volumes", prune_volumes},
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
	if (check_filters(q, e) < 0)
		return -1;
	for (size_t i = 0; i < SKF_ARRAY_LEN(groups); i++) {
		v[n] = (struct skf_pruned){.title = groups[i].title};
		if (groups[i].fn(&p, &v[n], e) < 0)
			return -1;
		n += v[n].lines.n > 0;
	}
	if (skf_net_idle_down(g, e) < 0)
		return -1;
	*ret = (struct skf_jarr){v, n};
	*ret_bytes = p.bytes;
	return 0;
}
