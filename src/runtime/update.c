/* runtime/update.c -- new limits for a container that exists.
 *
 * Under the container's lock: two updates do not mix, and none meets a delete. Limits are written in the
 * order of runtime/cgroups; when one fails, those before it stay, as runc and crun have it. Blocks for
 * SKF_LOCK_MS and on cgroupfs (a lower memory limit reclaims first). */
#include "runtime/runtime_int.h"

#include "base/limits.h"
#include "oci/spec.h"

#include <string.h>

static int update_rdt(const struct skf_rt_state *s, const struct skf_rt_update *u, struct skf_err *e)
{
	if (!u->l3_cache && !u->mem_bw)
		return 0;
	if (!s->rdt)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"cannot change the Intel RDT schema of container '%s': it was made without "
				"linux.intelRdt",
				s->id);
	return skf_rdt_update(s->rdt, u->l3_cache, u->mem_bw, e);
}

/* cgroup v2 has quota and period in one file, so that writing one means writing the other too: the one that
 * is in force, when none is given. */
static void complete_quota(const struct skf_cg_dirs *d, struct skf_spec_resources *r)
{
	char text[64], *period;
	uint64_t p;
	int64_t q;

	for (unsigned i = 0; r->cpu.has_period != r->cpu.has_quota && i < d->layout.n; i++) {
		if (!d->layout.h[i].v2 || !(d->used & (1u << i)) ||
		    skf_cg_read(d, i, "cpu.max", text, sizeof(text)) < 0 || !(period = strchr(text, ' ')))
			continue; /* v1 has two files */
		*period++ = '\0';
		if (r->cpu.has_period && skf_parse_i64(text, &q) == 0) { /* else "max" */
			r->cpu.quota = q;
			r->cpu.has_quota = true;
		} else if (r->cpu.has_quota && skf_parse_u64(period, &p) == 0) {
			r->cpu.period = p;
			r->cpu.has_period = true;
		}
	}
}

int skf_rt_update(const struct skf_rt *rt, const char *id, const struct skf_rt_update *u, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_spec_resources res;
	struct skf_rt_state *s;

	SKF_AUTO_FD int dir = skf_state_take(rt, id, &a, &s, NULL, e);

	if (dir < 0)
		return -1;
	if (s->status == SKF_RT_STOPPED)
		return skf_fail(e, SKF_ECONFLICT, "cannot update container '%s': container not running", id);
	if (u->resources && !s->cg.used)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"cannot update container '%s': it has no cgroup of its own", id);
	if (u->resources) {
		res = *u->resources;
		complete_quota(&s->cg, &res);
		if (skf_cgroups_update(rt, s, &res, e) < 0)
			return -1;
	}
	return update_rdt(s, u, e);
}
