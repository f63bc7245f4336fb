/* engine/net_egress.c -- egress policy of a container: which one it has (its own word counts, then its networks'; what they allow adds up), and its
 * rules and guarded ports in the firewall. */
#include "engine/net_int.h"
#include "network/egress.h"
#include "network/guard.h"

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

int skf_net_egress_possible(const struct skf_netrec *r, const struct skf_network *n, struct skf_err *e)
{
	if (!r->egress || skf_streq(n->driver, "bridge"))
		return 0;
	return skf_fail(e, SKF_EINVALID, "egress policy deny of container %.12s cannot be kept on network '%s': what a %s network carries does not pass the "
			"host's firewall; use a bridge network", r->container, n->name, n->driver);
}

/* The link-local address, too: the host answers there. */
static int addresses(const struct skf_endpoint *v, size_t count, struct skf_arena *a, struct skf_strv *ret)
{
	char text[SKF_IP_TEXT];
	struct skf_ip ip;
	int r = 0;

	for (size_t i = 0; r == 0 && i < count; i++) {
		if (v[i].ip)
			r = skf_strv_add(a, ret, v[i].ip);
		if (r == 0 && v[i].ip6)
			r = skf_strv_add(a, ret, v[i].ip6);
		if (r == 0 && skf_guard_link_local(v[i].mac, &ip) == 0) {
			skf_ip_text(&ip, text);
			r = skf_strv_add(a, ret, text);
		}
	}
	return r;
}

int skf_net_egress_add(struct skf_nft *n, const struct skf_netrec *r, struct skf_arena *a, struct skf_err *e)
{
	struct skf_egress x = {.container_id = r->container, .allow = r->egress_allow};

	if (!r->egress)
		return 0;
	if (addresses(r->endpoints.v, r->endpoints.n, a, &x.addrs) < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for the firewall's elements");
	skf_guard_add(n, r->endpoints.v, r->endpoints.n);
	return skf_egress_add(n, &x, e);
}

int skf_net_egress_remove(struct skf_engine *g, const struct skf_netrec *r, struct skf_arena *a, struct skf_err *e)
{
	SKF_AUTO(skf_nft_freep) struct skf_nft *n = NULL;
	struct skf_strv addrs = {0};
	int k;

	if (!r->egress)
		return 0;
	if (addresses(r->endpoints.v, r->endpoints.n, a, &addrs) < 0)
		return skf_net_no_memory(e);
	if (skf_net_nft(g, &n, e) < 0 || skf_egress_remove(n, r->container, &addrs, e) < 0)
		return -1;
	k = skf_guard_remove(n, r->endpoints.v, r->endpoints.n);
	return k < 0 ? skf_fail_sys(e, k, "open the guarded ports of container %.12s", r->container) : 0;
}

int skf_net_egress_forget(struct skf_engine *g, const struct skf_endpoint *p, struct skf_arena *a, struct skf_err *e)
{
	SKF_AUTO(skf_nft_freep) struct skf_nft *n = NULL;
	struct skf_strv addrs = {0};
	int k;

	if (addresses(p, 1, a, &addrs) < 0)
		return skf_net_no_memory(e);
	if (skf_net_nft(g, &n, e) < 0 || skf_egress_forget(n, &addrs, e) < 0)
		return -1;
	k = skf_guard_remove(n, p, 1);
	return k < 0 ? skf_fail_sys(e, k, "open the guarded port '%s'", p->link) : 0;
}
