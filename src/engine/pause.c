/* engine/pause.c -- pause and unpause: the freezer of the container's cgroup, and the word in its summary.
 * Blocks for FREEZE_MS; a container that does not freeze in time runs on. */
#include "engine/engine_int.h"
#include "engine/life.h"
#include "monitor/event.h"
#include <string.h>

#define FREEZE_MS 10000

static void set_state(struct skf_summary *s, void *arg)
{
	const bool *frozen = arg;

	/* It may have ended meanwhile: then its monitor's word stands. */
	if (skf_streq(s->state, "running") || skf_streq(s->state, "paused"))
		memcpy(s->state, *frozen ? "paused" : "running",
		       *frozen ? sizeof("paused") : sizeof("running"));
}

int skf_ctr_freeze(struct skf_engine *g, const char *id, bool freeze, struct skf_err *e)
{
	struct skf_cg_dirs cg;
	int r = skf_ctr_cgroup(g, id, &cg);

	if (r == 0)
		r = skf_cg_freeze(&cg, freeze, FREEZE_MS);
	if (r == -ETIMEDOUT)
		return skf_fail(e, SKF_ETIMEOUT,
				"cannot %s container %.12s: not all of its processes obeyed within %d s",
				freeze ? "pause" : "unpause", id, FREEZE_MS / 1000);
	if (r == -EOPNOTSUPP)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"cannot pause container %.12s: this machine has no cgroup freezer", id);
	if (r < 0)
		return skf_fail_sys(e, r, "%s container %.12s", freeze ? "pause" : "unpause", id);
	r = skf_summary_edit(g->run_fd, id, set_state, &freeze);
	return r < 0 && r != -ENOENT ? skf_fail_sys(e, r, "write '%s/summary/%s'", g->run_root, id) : 0;
}

int skf_engine_pause(struct skf_engine *g, const char *container, bool pause, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];
	SKF_AUTO_FD int lock = -EBADF;
	struct skf_ctr_live l;
	int r;

	if (skf_engine_resolve(g, container, id, e) < 0 || skf_ctr_lock(g, id, &lock, e) < 0 ||
	    skf_ctr_live(g, id, &l, e) < 0)
		return -1;
	if (pause && l.state == SKF_CTR_PAUSED)
		return skf_fail(e, SKF_ECONFLICT, "Container %s is already paused", container);
	if (pause && l.state == SKF_CTR_RESTARTING)
		return skf_fail(e, SKF_ECONFLICT,
				"Container %s is restarting, wait until the container is running", id);
	if (pause && l.state != SKF_CTR_RUNNING)
		return skf_fail(e, SKF_ECONFLICT, "Container %s is not running", container);
	if (!pause && l.state != SKF_CTR_PAUSED)
		return skf_fail(e, SKF_ECONFLICT, "Container %s is not paused", container);
	if (skf_ctr_freeze(g, id, pause, e) < 0)
		return -1;
	r = skf_event_emit(g->run_fd, "container", pause ? "pause" : "unpause", id, l.sum.name, l.sum.image,
			   -1);
	if (r < 0)
		skf_warn(&g->log, "write an event of container %.12s: %s; ignoring", id, strerror(-r));
	return 0;
}
