/* engine/net_link.c -- links of a container: veth, macvlan, ipvlan, with addresses and routes.
 *
 * Nothing here enters a namespace: links are born in the container's, addresses and routes go through a
 * socket that launch opened there. */
#include "engine/net_int.h"
#include "sys/nlmsg.h"
#include <linux/if.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>

struct mode {
	const char *word;
	uint32_t value;
};
static const struct mode macvlan_modes[] = {{"bridge", MACVLAN_MODE_BRIDGE},
					    {"private", MACVLAN_MODE_PRIVATE},
					    {"vepa", MACVLAN_MODE_VEPA},
					    {"passthru", MACVLAN_MODE_PASSTHRU},
					    {NULL, MACVLAN_MODE_BRIDGE}};
static const struct mode ipvlan_modes[] = {
	{"l2", IPVLAN_MODE_L2}, {"l3", IPVLAN_MODE_L3}, {"l3s", IPVLAN_MODE_L3S}, {NULL, IPVLAN_MODE_L2}};

static uint32_t mode_of(const struct skf_network *n)
{
	const struct mode *m = skf_streq(n->driver, "macvlan") ? macvlan_modes : ipvlan_modes;

	while (m->word && !(n->mode && skf_streq(m->word, n->mode)))
		m++;
	return m->value;
}

/* Does a container other than `container` have this link? Names begin with 32 bits of an id only. */
static int is_others_link(struct skf_engine *g, const char *link, const char *container, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_strv ids = {0};

	if (skf_netrec_list(g->run_fd, &a, &ids, e) < 0)
		return -1;
	for (size_t i = 0; i < ids.n; i++) {
		const struct skf_endpoint *p;
		struct skf_netrec *r;
		int n;

		if (skf_streq(ids.v[i], container) || strncmp(ids.v[i], container, SKF_LINK_ID) != 0)
			continue;
		n = skf_netrec_read(g->run_fd, ids.v[i], &a, &r, e);
		if (n < 0)
			return -1;
		p = n ? r->endpoints.v : NULL;
		for (size_t k = 0; p && k < r->endpoints.n; k++)
			if (skf_streq(p[k].link, link))
				return 1;
	}
	return 0;
}

/* The kernel takes a namespace down some time after its last process: a container that is started again at
 * once can find its last link, and one whose namespace another container keeps (--network container:) always
 * does. That link is dead, and goes. */
static int make_veth(struct skf_engine *g, int nl, const struct skf_veth *v, const char *container,
		     struct skf_err *e)
{
	int r = skf_link_veth(nl, v), other;

	if (r != -EEXIST)
		return r;
	other = is_others_link(g, v->host, container, e);
	if (other < 0)
		skf_warn(&g->log, "%s; the link '%s' stays", e->msg, v->host);
	skf_err_clear(e);
	if (other != 0)
		return r;
	r = skf_link_delete(nl, v->host);
	return r < 0 && r != -ENODEV ? r : skf_link_veth(nl, v);
}

char *skf_net_link_name(const struct skf_netrec *r, size_t n, struct skf_arena *a)
{
	const struct skf_endpoint *p = r->endpoints.v;
	char name[IFNAMSIZ];
	unsigned number = 0;
	size_t i;

	do {
		snprintf(name, sizeof(name), "veth%.*s%x", SKF_LINK_ID, r->container, number++ & 0xfff);
		for (i = 0; i < n && !skf_streq(p[i].link, name); i++)
			;
	} while (i < n);
	return skf_arena_strdup(a, name);
}

char *skf_net_ifname(const struct skf_netrec *r, size_t count, const struct skf_network *n,
		     struct skf_arena *a)
{
	const struct skf_endpoint *p = r->endpoints.v;
	char name[IFNAMSIZ];
	unsigned number = 0;
	size_t i;

	do {
		snprintf(name, sizeof(name), "%.*s%u", SKF_MAX_IFNAME_PREFIX,
			 n->ifname_prefix ? n->ifname_prefix : "eth", number++ % 1000);
		for (i = 0; i < count && !skf_streq(p[i].ifname, name); i++)
			;
	} while (i < count);
	return skf_arena_strdup(a, name);
}

static int make_link(struct skf_engine *g, int nl, const struct skf_network *n, const struct skf_endpoint *p,
		     const struct skf_net_start *s, struct skf_link *ret, struct skf_err *e)
{
	uint8_t mac[6];
	int host, r;
	struct skf_veth v = {.host = p->link,
			     .peer = p->ifname,
			     .netns_fd = s->netns_fd,
			     .mac = p->mac ? mac : NULL,
			     .mtu = n->mtu,
			     .isolated = !n->icc};

	if (p->mac && skf_mac_parse(p->mac, mac) < 0)
		return skf_fail(e, SKF_EINVALID, "invalid MAC address: %s", p->mac);
	if (skf_net_host_up(g, nl, n, &host, e) < 0)
		return -1;
	if (skf_streq(n->driver, "bridge")) {
		v.bridge = host;
		v.hairpin = skf_net_bridges_filtered("ip"); /* back out of the port that it came from */
		r = make_veth(g, nl, &v, s->id, e);
		if (r == 0) /* the bridge has the addresses */
			r = skf_link_quiet(nl, p->link);
		if (r == 0 && !p->ip6)
			r = skf_link_quiet(s->nl, p->ifname);
	} else {
		const struct skf_subif sub = {.kind = n->driver,
					      .name = p->ifname,
					      .parent = host,
					      .netns_fd = s->netns_fd,
					      .mode = mode_of(n),
					      .mtu = n->mtu,
					      .mac = v.mac};

		r = skf_link_subif(nl, &sub);
	}
	if (r == 0)
		r = skf_link_get(s->nl, p->ifname, ret);
	if (r == 0 && skf_streq(n->driver, "bridge")) {
		r = skf_link_up(s->nl, ret->index);
		if (r == 0)
			r = skf_link_veth_up(nl, &v);
		if (r < 0)
			(void)skf_link_delete(nl, p->link); /* the caller gets the reason; at a start the
							       link goes with its namespace */
	}
	return r < 0 ? skf_fail_sys(e, r, "make the interface '%s' of container %.12s on network '%s'",
				    p->ifname, s->id, n->name)
		     : 0;
}

/* 0 none, 1 *a is filled. */
static int address_of(const char *ip, uint32_t prefix, const char *gateway, bool with_route, bool l3,
		      struct skf_link_addr *a)
{
	if (!ip || skf_ip_parse(ip, &a->addr.ip) < 0)
		return 0;
	a->addr.prefix = (uint8_t)prefix;
	if (with_route && gateway)
		(void)skf_ip_parse(gateway, &a->gateway); /* checked when the network was made */
	a->device_route = with_route && l3;
	return 1;
}

/* No neighbour answers on an ipvlan in mode l3 and l3s: the parent routes, and the default route is the
 * device. */
static bool device_routes(const struct skf_network *n)
{
	return skf_streq(n->driver, "ipvlan") && n->mode && skf_startswith(n->mode, "l3") && !n->internal;
}

int skf_net_link(struct skf_engine *g, const struct skf_network *n, const struct skf_endpoint *p,
		 const struct skf_net_start *s, bool default_route, struct skf_err *e)
{
	SKF_AUTO_FD int nl = skf_nlm_open(NETLINK_ROUTE);
	struct skf_link_addr a[2] = {0};
	struct skf_link l;
	size_t k = 0;
	int r;

	if (nl < 0)
		return skf_fail_sys(e, nl, "open a netlink socket");
	if (make_link(g, nl, n, p, s, &l, e) < 0)
		return -1;
	k += (size_t)address_of(p->ip, p->prefix, p->gateway, default_route, device_routes(n), &a[k]);
	k += (size_t)address_of(p->ip6, p->prefix6, p->gateway6, default_route, device_routes(n), &a[k]);
	r = skf_link_configure(s->nl, l.index, a, k);
	return r < 0 ? skf_fail_sys(e, r, "set address and route of '%s' of container %.12s on network '%s'",
				    p->ifname, s->id, n->name)
		     : 0;
}

int skf_net_default_route(const struct skf_network *n, const struct skf_endpoint *p, int nl,
			  struct skf_err *e)
{
	struct skf_link_addr a[2] = {0};
	struct skf_link l;
	size_t k = 0;
	int r = skf_link_get(nl, p->ifname, &l);

	k += (size_t)address_of(p->ip, p->prefix, p->gateway, true, device_routes(n), &a[k]);
	k += (size_t)address_of(p->ip6, p->prefix6, p->gateway6, true, device_routes(n), &a[k]);
	for (size_t i = 0; r == 0 && i < k; i++)
		if (a[i].gateway.family || a[i].device_route)
			r = skf_link_default_route(nl, l.index, &a[i], true);
	return r < 0 ? skf_fail_sys(e, r, "set the default route through '%s'", p->ifname) : 0;
}
