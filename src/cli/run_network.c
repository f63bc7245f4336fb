/* cli/run_network.c -- the network flags of run and create: from words to struct skf_net_req. */
#include "cli/cli_int.h"

int skf_cli_net(struct skf_cli *c, struct skf_net_req *q)
{
	struct skf_net_attach *v;

	if (!c->o.network || !*c->o.network)
		return 0;
	v = skf_arena_array(&c->a, 1, sizeof(*v));
	if (!v)
		return skf_fail(&c->e, SKF_ENOMEM, "memory for the networks");
	v->name = c->o.network;
	q->networks = (struct skf_jarr){v, 1};
	return 0;
}
