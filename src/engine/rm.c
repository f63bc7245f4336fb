/* engine/rm.c -- removing a container. Blocks on its lock and, with force, on its end. */
#include "engine/engine_int.h"

int skf_engine_rm(struct skf_engine *g, const char *container, bool force, bool volumes, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];
	struct skf_ctr_live l;
	SKF_AUTO_FD int lock = -EBADF;

	if (skf_engine_resolve(g, container, id, e) < 0)
		return -1;
	if (skf_ctr_lock(g, id, &lock, e) < 0)
		return -1;
	if (skf_ctr_live(g, id, &l, e) < 0) {
		if (e->kind == SKF_ENOTFOUND) { /* removed by somebody else while we waited; say it with the
						   user's word */
			skf_err_clear(e);
			skf_ctr_drop_lock(g, id, &lock);
			return skf_fail(e, SKF_ENOTFOUND, "No such container: %s", container);
		}
		if (!force)
			return -1;
		skf_err_clear(e);
	} else if (skf_ctr_is_up(l.state)) {
		if (!force && l.state != SKF_CTR_INITIALIZED)
			return skf_fail(e, SKF_ECONFLICT,
					"cannot remove container \"/%s\": container is %s: stop the "
					"container before removing or force remove",
					l.sum.name[0] ? l.sum.name : container, skf_ctr_state_name(l.state));
		if (skf_ctr_kill_hard(g, id, SKF_MON_BY_HAND, e) < 0)
			return -1;
	}
	if (skf_ctr_undo_runtime(g, id, e) < 0)
		return -1;
	/* Without summary and config (killed while it was made) it is known by the word alone, when that is
	 * its name. */
	return skf_ctr_remove_locked(g, id, l.has_summary && l.sum.name[0] ? l.sum.name : container, NULL,
				     volumes, &lock, e);
}
