/* engine/plan_network.c -- the network part of a container's plan: which networks, addresses and ports, checked before anything is made. */
#include "engine/create_int.h"
#include <string.h>

static const char *first_name(const struct skf_net_req *q)
{
	const struct skf_net_attach *v = q->networks.v;

	return q->networks.n && v[0].name && *v[0].name ? v[0].name : "none";
}

int skf_plan_network(struct skf_plan *p, struct skf_err *e)
{
	const char *n = first_name(&p->q->net);

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
