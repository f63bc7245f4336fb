/* engine/plan_network.c -- which network a container is in. */
#include "engine/create_int.h"

int skf_plan_network(struct skf_plan *p, struct skf_err *e)
{
	const char *n = p->q->network && *p->q->network ? p->q->network : "none";

	if (!skf_streq(n, "none") && !skf_streq(n, "host"))
		return skf_fail(e, SKF_EUNSUPPORTED,
				"the network '%s' is not supported by this version: give --network none "
				"(the default) or "
				"--network host",
				n);
	p->gen.host_network = skf_streq(n, "host");
	p->conf.network = skf_arena_strdup(p->a, n);
	return p->conf.network ? 0 : skf_plan_no_memory(e);
}
