/* runtime/pause.c -- pause and resume: the freezer of the container's cgroup.
 *
 * Under the container's lock, so that a delete or an update does not meet a half-frozen container. Blocks
 * for SKF_LOCK_MS and FREEZE_MS; a container that does not freeze in time runs on. */
#include "runtime/runtime_int.h"

#include "base/limits.h"
#include "oci/spec.h"

#include <string.h>

#define FREEZE_MS 10000

static int set_frozen(const struct skf_rt_state *s, bool freeze, struct skf_err *e)
{
	const char *what = freeze ? "pause" : "resume";
	int r;

	if (!s->cg.used)
		return skf_fail(e, SKF_EUNSUPPORTED, "cannot %s container '%s': it has no cgroup of its own",
				what, s->id);
	r = skf_cg_freeze(&s->cg, freeze, FREEZE_MS);
	if (r == -ETIMEDOUT)
		return skf_fail(e, SKF_ETIMEOUT,
				"cannot %s container '%s': not all of its processes obeyed within %d s",
				what, s->id, FREEZE_MS / 1000);
	if (r == -EOPNOTSUPP)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"cannot %s container '%s': this machine has no cgroup freezer", what, s->id);
	return r < 0 ? skf_fail_sys(e, r, "%s container '%s'", what, s->id) : 0;
}

static int change(const struct skf_rt *rt, const char *id, bool freeze, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_rt_state *s;

	SKF_AUTO_FD int dir = skf_state_take(rt, id, &a, &s, NULL, e);

	if (dir < 0)
		return -1;
	if (freeze && s->status != SKF_RT_RUNNING && s->status != SKF_RT_CREATED)
		return skf_fail(e, SKF_ECONFLICT, "container not running: '%s' is %s", id,
				skf_rt_status_name(s->status));
	if (!freeze && s->status != SKF_RT_PAUSED)
		return skf_fail(e, SKF_ECONFLICT, "container not paused: '%s' is %s", id,
				skf_rt_status_name(s->status));
	return set_frozen(s, freeze, e);
}

int skf_rt_pause(const struct skf_rt *rt, const char *id, struct skf_err *e)
{
	return change(rt, id, true, e);
}

int skf_rt_resume(const struct skf_rt *rt, const char *id, struct skf_err *e)
{
	return change(rt, id, false, e);
}
