/* engine/net_egress.c -- which egress policy a container has: its own word counts, then its networks'. What
 * they allow adds up. */
#include "engine/net_int.h"

int skf_net_egress(const struct skf_net_conf *c, struct skf_network *const *nets, struct skf_netrec *r,
		   struct skf_arena *a)
{
	int n = 0;

	r->egress = skf_streq(c->egress, "deny");
	for (size_t i = 0; i < r->endpoints.n && !c->egress; i++)
		r->egress |= skf_streq(nets[i]->egress, "deny");
	if (!r->egress)
		return 0;
	r->resolver = true;
	for (size_t i = 0; n == 0 && i < c->egress_allow.n; i++)
		n = skf_strv_add(a, &r->egress_allow, c->egress_allow.v[i]);
	for (size_t k = 0; k < r->endpoints.n; k++)
		for (size_t i = 0; n == 0 && i < nets[k]->egress_allow.n; i++)
			n = skf_strv_add(a, &r->egress_allow, nets[k]->egress_allow.v[i]);
	return n;
}
