/* runtime/ps.c -- which processes belong to a container: the members of its cgroup and of those below it.
 * Does not block. */
#include "runtime/runtime_int.h"

#include "base/limits.h"
#include "oci/spec.h"

#define MAX_PIDS (1u << 22) /* the kernel's PID_MAX_LIMIT */

int skf_rt_pids(const struct skf_rt *rt, const char *id, struct skf_arena *a, pid_t **ret, size_t *ret_n,
		struct skf_err *e)
{
	struct skf_rt_state *s;
	size_t room = 256;
	pid_t *v;
	int n;

	if (skf_rt_state_load(rt, id, a, &s, e) < 0)
		return -1;
	if (!s->cg.used)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"cannot tell the processes of container '%s': it has no cgroup of its own",
				id);
	for (;;) { /* until the list fits: it may grow between two looks */
		v = skf_arena_array(a, room, sizeof(*v));
		if (!v)
			return skf_nomem(e);
		n = skf_cg_pids(&s->cg, v, room);
		if (n < 0)
			return skf_fail_sys(e, n, "list the processes of container '%s'", id);
		if ((size_t)n <= room || room >= MAX_PIDS)
			break;
		room = (size_t)n * 2;
	}
	*ret = v;
	*ret_n = (size_t)n <= room ? (size_t)n : room;
	return 0;
}
