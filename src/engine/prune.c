/* engine/prune.c -- container prune: everything that does not run and that the filters let through, each by
 * the same removal as rm, which leaves anonymous volumes to volume prune, as docker does; what runs by then,
 * or is gone, is left out. Blocks on the locks of the containers.
 */
#include "base/arena.h"
#include "engine/engine_int.h"
#include "engine/filter.h"
#include "engine/life.h"
#include <string.h>

static int remove_rows(struct skf_engine *g, const struct skf_filters *f, const struct skf_jarr *rows,
		       struct skf_arena *a, struct skf_strv *ret_ids, uint64_t *ret_bytes, struct skf_err *e)
{
	const struct skf_ps_row *v = rows->v;
	int64_t until;

	if (skf_filters_until(f, &until, e) < 0)
		return -1;
	for (size_t i = 0; i < rows->n; i++) {
		/* the labels of an unfinished one are not known yet */
		if (v[i].detail->unfinished ||
		    !skf_filters_prune(f, &v[i].detail->labels, v[i].created_ns, until))
			continue;
		if (skf_engine_rm(g, v[i].id, false, false, e) < 0) {
			if (e->kind != SKF_ECONFLICT && e->kind != SKF_ENOTFOUND)
				return -1;
			skf_err_clear(e);
			continue;
		}
		*ret_bytes += v[i].detail->size.rw;
		if (skf_strv_add(a, ret_ids, v[i].id) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for the list of removed containers");
	}
	return 0;
}

int skf_engine_prune(struct skf_engine *g, const struct skf_strv *filters, struct skf_arena *a,
		     struct skf_strv *ret_ids, uint64_t *ret_bytes, struct skf_err *e)
{
	static const char *const known[] = {"until", "label", "label!", NULL};
	char created[] = "status=created", exited[] = "status=exited", dead[] = "status=dead";
	char *stopped[] = {created, exited, dead};
	struct skf_ps_req q = SKF_REQ(struct skf_ps_req);
	struct skf_filters f = {0};
	struct skf_jarr rows;
	int r;

	q.all = q.detail = q.size = true;
	q.filters = (struct skf_strv){stopped, SKF_ARRAY_LEN(stopped)};
	*ret_ids = (struct skf_strv){0};
	*ret_bytes = 0;
	r = skf_filters_parse(filters, known, a, &f, e);
	if (r == 0)
		r = skf_engine_ps_list(g, &q, a, &rows, e);
	if (r == 0)
		r = remove_rows(g, &f, &rows, a, ret_ids, ret_bytes, e);
	skf_filters_done(&f);
	return r;
}
