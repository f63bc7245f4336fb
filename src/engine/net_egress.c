/* engine/net_egress.c -- egress policy of a container: which one it has (its own word counts, then its
 * networks'; what they allow adds up), whether it can be kept, and its rules and guarded ports in the
 * firewall.
 *
 * Invariant: no two endpoints of containers with policy deny have the same MAC. Elements of the firewall are
 * found by it (network/guard.h; the link-local address), so that one of two would take the other's away. It
 * is looked for under the lock "egress-macs" before the record has it. */
#include "engine/net_int.h"
#include "sys/nlmsg.h"
#include "network/egress.h"
#include "network/guard.h"
#include <string.h>
#include <sys/socket.h>

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

/* Guarded ports send their frames up by the MAC that our bridges have for ever. Somebody else's bridge has
 * another one, which changes with its ports unless it was set: a frame for a stale one would be flooded to
 * the neighbours. */
static int check_bridge(const struct skf_netrec *r, const struct skf_network *n, struct skf_err *e)
{
	SKF_AUTO_FD int nl = skf_nlm_open(NETLINK_ROUTE);
	struct skf_link l;
	int k = nl < 0 ? nl : skf_link_get(nl, n->interface, &l);

	if (k == -ENODEV) /* it will be ours */
		return 0;
	if (k < 0)
		return skf_fail_sys(e, k, "look at the bridge '%s' of network '%s'", n->interface, n->name);
	if (skf_net_is_our_bridge(n, &l))
		return 0;
	return skf_fail(e, SKF_EINVALID,
			"egress policy deny of container %.12s cannot be kept on network '%s': skiff did "
			"not make its bridge '%s'; use a "
			"network whose bridge skiff makes (without com.docker.network.bridge.name, or with "
			"a name that no interface has)",
			r->container, n->name, n->interface);
}

int skf_net_egress_possible(const struct skf_netrec *r, const struct skf_network *n, struct skf_err *e)
{
	if (!r->egress)
		return 0;
	if (skf_streq(n->driver, "bridge"))
		return check_bridge(r, n, e);
	return skf_fail(e, SKF_EINVALID,
			"egress policy deny of container %.12s cannot be kept on network '%s': what a %s "
			"network carries does not pass the "
			"host's firewall; use a bridge network",
			r->container, n->name, n->driver);
}

int skf_net_egress_lock(struct skf_engine *g, const struct skf_netrec *r, int *ret, struct skf_err *e)
{
	if (!r->egress)
		return 0;
	*ret = skf_lock_at(g->locks_fd, "egress-macs", true, SKF_LOCK_MS);
	return *ret < 0 ? skf_fail_sys(e, *ret, "lock the MAC addresses of containers with an egress policy")
			: 0;
}

/* p of r against the first `count` endpoints of `other`. */
static int check_mac(const struct skf_netrec *r, const struct skf_endpoint *p,
		     const struct skf_netrec *other, size_t count, struct skf_err *e)
{
	const struct skf_endpoint *o = other->endpoints.v;
	uint8_t mac[6], theirs[6];

	if (!p->mac || skf_mac_parse(p->mac, mac) < 0)
		return 0;
	for (size_t i = 0; i < count; i++)
		if (o[i].mac && skf_mac_parse(o[i].mac, theirs) == 0 &&
		    memcmp(mac, theirs, sizeof(mac)) == 0)
			return skf_fail(e, SKF_ECONFLICT,
					"container %s cannot have MAC address %s on network '%s': container "
					"%s has it on network '%s', and with "
					"egress policy deny each needs its own; give one of them another "
					"--mac-address, or none",
					r->name ? r->name : r->container, p->mac, p->name,
					other->name ? other->name : other->container, o[i].name);
	return 0;
}

int skf_net_egress_macs(struct skf_engine *g, const struct skf_netrec *r, struct skf_arena *a,
			struct skf_err *e)
{
	const struct skf_endpoint *p = r->endpoints.v;
	struct skf_strv ids = {0};
	size_t any = 0;

	for (size_t k = 0; k < r->endpoints.n; k++) {
		any += p[k].mac != NULL;
		if (r->egress && check_mac(r, &p[k], r, k, e) < 0)
			return -1;
	}
	if (!r->egress || !any)
		return 0;
	if (skf_netrec_list(g->run_fd, a, &ids, e) < 0)
		return -1;
	for (size_t i = 0; i < ids.n; i++) {
		struct skf_netrec *other;
		int k = skf_streq(ids.v[i], r->container)
				? 0
				: skf_netrec_read(g->run_fd, ids.v[i], a, &other, e);

		if (k < 0)
			return -1;
		for (size_t j = 0; k && other->egress && j < r->endpoints.n; j++)
			if (check_mac(r, &p[j], other, other->endpoints.n, e) < 0)
				return -1;
	}
	return 0;
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
	skf_egress_load(n);
	return skf_egress_add(n, &x, e);
}

int skf_net_egress_remove(struct skf_engine *g, const struct skf_netrec *r, struct skf_arena *a,
			  struct skf_err *e)
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

int skf_net_egress_forget(struct skf_engine *g, const struct skf_endpoint *p, struct skf_arena *a,
			  struct skf_err *e)
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
