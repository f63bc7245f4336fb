/* engine/net_up.c -- a container's network, while its init builds the root: record, leases, ports, nft elements, links, names, files.
 *
 * Order: the record is on disk before the first lease is taken, and complete (addresses, ports) before the first element and link is made; so a
 * process that is killed anywhere leaves what skf_net_down can undo. Nothing here enters a namespace: links are born in the container's, addresses
 * and routes go through a socket that launch opened there. */
#include "engine/net_int.h"
#include "network/names.h"
#include "network/resolver.h"
#include "base/proc.h"
#include "sys/nlmsg.h"
#include <fcntl.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct up {
	struct skf_engine *g;
	const struct skf_net_start *s;
	struct skf_arena *a;
	struct skf_net_conf *c;
	char *name; /* of the container or pod */
	struct skf_network **nets; /* one per endpoint */
	struct skf_netrec r;
};

static int no_memory(struct skf_err *e)
{
	return skf_fail(e, SKF_ENOMEM, "memory for a container's network");
}

/* --- addresses --- */

static const struct skf_netsub *subnet_with(const struct skf_network *n, const struct skf_ip *ip)
{
	const struct skf_netsub *s = n->subnets.v;
	struct skf_cidr c;

	for (size_t i = 0; i < n->subnets.n; i++)
		if (skf_cidr_parse(s[i].subnet, false, &c) == 0 && skf_cidr_has(&c, ip))
			return &s[i];
	return NULL;
}

static const struct skf_netsub *subnet_of(const struct skf_network *n, int family)
{
	const struct skf_netsub *s = n->subnets.v;

	for (size_t i = 0; i < n->subnets.n; i++)
		if ((strchr(s[i].subnet, ':') != NULL) == (family == AF_INET6))
			return &s[i];
	return NULL;
}

/* One family of an endpoint: wanted NULL: any. Leaves *text NULL when the network has no such subnet. */
static int take_address(struct skf_engine *g, const struct skf_network *n, int family, const char *wanted, const char *container, struct skf_arena *a,
			char **text, char **gateway, uint32_t *prefix, struct skf_err *e)
{
	const struct skf_netsub *s = subnet_of(n, family);
	char out[SKF_IP_TEXT];
	struct skf_cidr c;
	struct skf_ip ip;

	if (wanted && skf_ip_parse(wanted, &ip) < 0)
		return skf_fail(e, SKF_EINVALID, "invalid IP address: %s", wanted);
	if (wanted)
		s = subnet_with(n, &ip);
	if (!s)
		return wanted ? skf_fail(e, SKF_EINVALID, "invalid endpoint settings: no configured subnet of network '%s' contains IP address %s", n->name, wanted)
			      : 0;
	if (wanted ? skf_lease_take(g->run_fd, n, &ip, container, e) < 0 : skf_lease_any(g->run_fd, n, s, container, &ip, e) < 0)
		return -1;
	skf_ip_text(&ip, out);
	*text = skf_arena_strdup(a, out);
	*gateway = n->internal ? NULL : s->gateway;
	if (skf_cidr_parse(s->subnet, false, &c) == 0)
		*prefix = c.prefix;
	return *text ? 0 : no_memory(e);
}

/* From the address, as docker's were for years: a neighbour that remembers the address remembers the right MAC. */
static char *make_mac(const struct skf_endpoint *p, const char *container, struct skf_arena *a)
{
	uint8_t mac[6] = {0x02, 0x42};
	struct skf_ip ip;
	char text[18];

	if (p->ip && skf_ip_parse(p->ip, &ip) == 0) {
		memcpy(mac + 2, ip.b, 4);
	} else {
		(void)skf_hex_bytes(container, mac + 2, 4); /* an id is hex digits */
	}
	skf_mac_text(mac, text);
	return skf_arena_strdup(a, text);
}

static int add_names(struct skf_endpoint *p, const struct skf_net_choice *c, const char *container, const char *name, struct skf_arena *a)
{
	char short_id[SKF_SHORT_ID + 1];

	memcpy(short_id, container, SKF_SHORT_ID);
	short_id[SKF_SHORT_ID] = '\0';
	if (name && skf_strv_add(a, &p->names, name) < 0)
		return -ENOMEM;
	if (skf_strv_add(a, &p->names, short_id) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < c->aliases.n; i++)
		if (skf_strv_add(a, &p->names, c->aliases.v[i]) < 0)
			return -ENOMEM;
	return 0;
}

int skf_net_endpoint(struct skf_engine *g, const struct skf_network *n, const struct skf_net_choice *c, const char *container, struct skf_arena *a,
		     struct skf_endpoint *p, struct skf_err *e)
{
	if (take_address(g, n, AF_INET, c->ip, container, a, &p->ip, &p->gateway, &p->prefix, e) < 0 ||
	    take_address(g, n, AF_INET6, c->ip6, container, a, &p->ip6, &p->gateway6, &p->prefix6, e) < 0)
		return -1;
	if (!skf_streq(n->driver, "ipvlan") && !p->mac)
		p->mac = make_mac(p, container, a);
	return p->mac || skf_streq(n->driver, "ipvlan") ? 0 : no_memory(e);
}

/* --- links --- */

struct mode {
	const char *word;
	uint32_t value;
};
static const struct mode macvlan_modes[] = {{"bridge", MACVLAN_MODE_BRIDGE},
					    {"private", MACVLAN_MODE_PRIVATE},
					    {"vepa", MACVLAN_MODE_VEPA},
					    {"passthru", MACVLAN_MODE_PASSTHRU},
					    {NULL, MACVLAN_MODE_BRIDGE}};
static const struct mode ipvlan_modes[] = {{"l2", IPVLAN_MODE_L2}, {"l3", IPVLAN_MODE_L3}, {"l3s", IPVLAN_MODE_L3S}, {NULL, IPVLAN_MODE_L2}};

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

/* The kernel takes a namespace down some time after its last process: a container that is started again at once can find its last link, and one
 * whose namespace another container keeps (--network container:) always does. That link is dead, and goes. */
static int make_veth(struct skf_engine *g, int nl, const struct skf_veth *v, const char *container, struct skf_err *e)
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

static int make_link(struct skf_engine *g, int nl, const struct skf_network *n, const struct skf_endpoint *p, const struct skf_net_start *s,
		     struct skf_err *e)
{
	uint8_t mac[6];
	int host, r;

	if (p->mac && skf_mac_parse(p->mac, mac) < 0)
		return skf_fail(e, SKF_EINVALID, "invalid MAC address: %s", p->mac);
	if (skf_net_host_up(g, nl, n, &host, e) < 0)
		return -1;
	if (skf_streq(n->driver, "bridge")) {
		const struct skf_veth v = {.host = p->link,
					   .peer = p->ifname,
					   .bridge = host,
					   .netns_fd = s->netns_fd,
					   .mac = p->mac ? mac : NULL,
					   .mtu = n->mtu,
					   .isolated = !n->icc,
					   /* back out of the port that it came from */
					   .hairpin = skf_net_bridges_filtered("ip")};

		r = make_veth(g, nl, &v, s->id, e);
	} else {
		const struct skf_subif v = {.kind = n->driver,
					    .name = p->ifname,
					    .parent = host,
					    .netns_fd = s->netns_fd,
					    .mode = mode_of(n),
					    .mtu = n->mtu,
					    .mac = p->mac ? mac : NULL};

		r = skf_link_subif(nl, &v);
	}
	return r < 0 ? skf_fail_sys(e, r, "make the interface '%s' of container %.12s on network '%s'", p->ifname, s->id, n->name) : 0;
}

/* 0 none, 1 *a is filled. */
static int address_of(const char *ip, uint32_t prefix, const char *gateway, bool with_route, bool l3, struct skf_link_addr *a)
{
	if (!ip || skf_ip_parse(ip, &a->addr.ip) < 0)
		return 0;
	a->addr.prefix = (uint8_t)prefix;
	if (with_route && gateway)
		(void)skf_ip_parse(gateway, &a->gateway); /* checked when the network was made */
	a->device_route = with_route && l3;
	return 1;
}

int skf_net_link(struct skf_engine *g, const struct skf_network *n, const struct skf_endpoint *p, const struct skf_net_start *s, bool default_route,
		 struct skf_err *e)
{
	SKF_AUTO_FD int nl = skf_nlm_open(NETLINK_ROUTE);
	bool l3 = skf_streq(n->driver, "ipvlan") && n->mode && skf_startswith(n->mode, "l3");
	struct skf_link_addr a[2] = {0};
	struct skf_link l;
	size_t k = 0;
	int r;

	if (nl < 0)
		return skf_fail_sys(e, nl, "open a netlink socket");
	if (make_link(g, nl, n, p, s, e) < 0)
		return -1;
	r = skf_link_get(s->nl, p->ifname, &l);
	k += (size_t)address_of(p->ip, p->prefix, p->gateway, default_route, l3 && !n->internal, &a[k]);
	k += (size_t)address_of(p->ip6, p->prefix6, p->gateway6, default_route, l3 && !n->internal, &a[k]);
	if (r == 0)
		r = skf_link_configure(s->nl, l.index, a, k);
	return r < 0 ? skf_fail_sys(e, r, "set address and route of '%s' of container %.12s on network '%s'", p->ifname, s->id, n->name) : 0;
}

int skf_net_default_route(struct skf_engine *g, const struct skf_endpoint *p, int nl, struct skf_err *e)
{
	struct skf_link_addr a[2] = {0};
	struct skf_link l;
	size_t k = 0;
	int r = skf_link_get(nl, p->ifname, &l);

	(void)g;
	k += (size_t)address_of(p->ip, p->prefix, p->gateway, true, false, &a[k]);
	k += (size_t)address_of(p->ip6, p->prefix6, p->gateway6, true, false, &a[k]);
	for (size_t i = 0; r == 0 && i < k; i++)
		if (a[i].gateway.family)
			r = skf_link_default_route(nl, l.index, &a[i], true);
	return r < 0 ? skf_fail_sys(e, r, "set the default route through '%s'", p->ifname) : 0;
}

/* --- names --- */

static int endpoint_names(struct skf_engine *g, const char *id, const struct skf_endpoint *p, struct skf_err *e)
{
	char *v[2];
	struct skf_strv addrs = {v, 0};

	if (p->ip)
		v[addrs.n++] = p->ip;
	if (p->ip6)
		v[addrs.n++] = p->ip6;
	if (addrs.n == 0 || p->names.n == 0)
		return 0;
	return skf_names_add(g->run_fd, p->network, id, &p->names, &addrs, e);
}

static int collect(const struct skf_netrec *r, struct skf_arena *a, struct skf_resolver_join *j)
{
	const struct skf_endpoint *p = r->endpoints.v;

	for (size_t i = 0; i < r->endpoints.n; i++)
		if (skf_strv_add(a, &j->networks, p[i].network) < 0 || skf_strv_add(a, &j->network_names, p[i].name) < 0 ||
		    (p[i].ip && skf_strv_add(a, &j->egress_addrs, p[i].ip) < 0) || (p[i].ip6 && skf_strv_add(a, &j->egress_addrs, p[i].ip6) < 0))
			return -ENOMEM;
	return 0;
}

static bool sets_ndots(const struct skf_strv *options)
{
	for (size_t i = 0; i < options->n; i++)
		if (skf_startswith(options->v[i], "ndots:"))
			return true;
	return false;
}

static bool lists(const struct skf_strv *v, const char *word)
{
	for (size_t i = 0; i < v->n; i++)
		if (skf_streq(v->v[i], word))
			return true;
	return false;
}

/* Whom the resolver asks: --dns of the container, else of its networks, each server once; none: the host's. */
static int collect_servers(struct skf_engine *g, const struct skf_net_conf *c, const struct skf_netrec *r, struct skf_arena *a, struct skf_strv *ret,
			   struct skf_err *e)
{
	const struct skf_endpoint *p = r->endpoints.v;

	*ret = c->dns;
	for (size_t i = 0; c->dns.n == 0 && i < r->endpoints.n; i++) {
		struct skf_network *n;

		if (skf_network_load(g->root_fd, p[i].network, a, &n, e) < 0)
			return -1;
		for (size_t k = 0; k < n->dns_servers.n && ret->n < SKF_MAX_DNS_SERVERS; k++)
			if (!lists(ret, n->dns_servers.v[k]) && skf_strv_add(a, ret, n->dns_servers.v[k]) < 0)
				return no_memory(e);
	}
	return 0;
}

int skf_net_names(struct skf_engine *g, const struct skf_net_start *s, const struct skf_net_conf *c, struct skf_netrec *r, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_resolver_join j = {.container_id = s->id,
				      .pid = s->pid,
				      .netns_fd = s->netns_fd,
				      .search = c->dns_search,
				      .options = c->dns_opt,
				      .ndots = sets_ndots(&c->dns_opt)};
	const struct skf_endpoint *p = r->endpoints.v;
	int n;

	if (!r->resolver)
		return 0;
	for (size_t i = 0; i < r->endpoints.n; i++)
		if (endpoint_names(g, s->id, &p[i], e) < 0)
			return -1;
	if (collect_servers(g, c, r, &a, &j.servers, e) < 0)
		return -1;
	n = skf_proc_start_time((pid_t)s->pid, &j.start_time);
	if (n == 0)
		n = collect(r, &a, &j);
	for (size_t i = 0; n == 0 && r->egress && i < r->egress_allow.n; i++)
		n = skf_strv_add(&a, &j.egress_names, r->egress_allow.v[i]);
	j.internal = true;
	for (size_t i = 0; i < r->endpoints.n; i++)
		j.internal &= !p[i].gateway && !p[i].gateway6;
	if (n < 0)
		return skf_fail_sys(e, n, "prepare the names of container %.12s", s->id);
	return skf_resolver_join(g->run_root, &j, e);
}

/* --- the whole --- */

static int load(struct up *u, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	struct skf_net_choice *c;
	struct skf_endpoint *p;

	if (skf_net_conf_read(u->g, u->s->id, u->a, &u->c, e) < 0 || skf_net_owner(u->g, u->s->id, u->a, &u->name, &dir, e) < 0)
		return -1;
	c = u->c->networks.v;
	p = skf_arena_array(u->a, u->c->networks.n + 1, sizeof(*p));
	u->nets = skf_arena_array(u->a, u->c->networks.n + 1, sizeof(struct skf_network *));
	if (!p || !u->nets)
		return no_memory(e);
	u->r = (struct skf_netrec){.container = skf_arena_strdup(u->a, u->s->id), .name = u->name, .endpoints = {p, u->c->networks.n}};
	for (size_t i = 0; i < u->c->networks.n; i++) {
		struct skf_network *n;

		if (skf_network_load(u->g->root_fd, c[i].network, u->a, &n, e) < 0)
			return skf_ctx(e, "network '%s' of container %.12s", c[i].name, u->s->id);
		u->nets[i] = n;
		u->r.resolver |= n->dns;
		p[i] = (struct skf_endpoint){.network = n->id, .name = n->name, .driver = n->driver, .interface = n->interface, .mac = c[i].mac};
		p[i].ifname = c[i].ifname ? c[i].ifname : skf_arena_fmt(u->a, "eth%zu", i);
		p[i].link = skf_streq(n->driver, "bridge") ? skf_net_link_name(&u->r, i, u->a) : skf_arena_strdup(u->a, "");
		if (!p[i].ifname || !p[i].link || add_names(&p[i], &c[i], u->s->id, u->name, u->a) < 0)
			return no_memory(e);
	}
	if (skf_net_egress(u->c, u->nets, &u->r, u->a) < 0)
		return no_memory(e);
	/* The host's only servers are on its own loopback: our resolver reaches them, the container does not. */
	if (!u->r.resolver && u->c->dns.n == 0 && !skf_net_host_dns_usable())
		u->r.resolver = true;
	return 0;
}

static int lease(struct up *u, struct skf_err *e)
{
	const struct skf_net_choice *c = u->c->networks.v;
	struct skf_endpoint *p = u->r.endpoints.v;

	if (skf_netrec_write(u->g->run_fd, &u->r, e) < 0) /* from here on there is something to undo */
		return -1;
	for (size_t i = 0; i < u->r.endpoints.n; i++) { /* net_remove.c */
		struct skf_network *n;

		if (skf_network_load(u->g->root_fd, c[i].network, u->a, &n, e) < 0)
			return skf_ctx(e, "network '%s' of container %.12s", c[i].name, u->s->id);
	}
	for (size_t i = 0; i < u->r.endpoints.n; i++)
		if (skf_net_endpoint(u->g, u->nets[i], &c[i], u->s->id, u->a, &p[i], e) < 0)
			return -1;
	if (skf_net_ports_take(u->g, u->c, u->nets, &u->r, u->a, e) < 0)
		return -1;
	return skf_netrec_write(u->g->run_fd, &u->r, e);
}

static int link_all(struct up *u, struct skf_err *e)
{
	const struct skf_endpoint *p = u->r.endpoints.v;

	for (size_t i = 0; i < u->r.endpoints.n; i++)
		if (skf_net_link(u->g, u->nets[i], &p[i], u->s, i == 0, e) < 0)
			return -1;
	return 0;
}

/* ps shows it; launch keeps what it finds when it announces the container. */
static int show_ports(struct up *u, struct skf_err *e)
{
	struct skf_summary s;
	int r = skf_summary_read(u->g->run_fd, u->s->id, &s);

	if (r < 0 || (u->r.ports.n == 0 && u->c->exposed.n == 0 && !s.ports[0]))
		return 0; /* derived data */
	skf_net_ports_text(&u->r, &u->c->exposed, s.ports, sizeof(s.ports));
	r = skf_summary_write(u->g->run_fd, u->s->id, &s);
	return r < 0 ? skf_fail_sys(e, r, "write the summary of container %.12s", u->s->id) : 0;
}

int skf_net_up(struct skf_engine *g, const struct skf_net_start *s, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct up u = {.g = g, .s = s, .a = &a};

	/* What its last run left, when nobody has reaped it yet. */
	if (skf_net_down(g, s->id, e) < 0 || load(&u, e) < 0 || lease(&u, e) < 0)
		return -1;
	if (u.r.endpoints.n && (link_all(&u, e) < 0 || skf_net_table_add(g, u.nets[0], &u.r, u.c, e) < 0))
		return -1;
	return skf_net_names(g, s, u.c, &u.r, e) < 0 || skf_net_files(g, s->id, u.c, &u.r, e) < 0 ? -1 : show_ports(&u, e);
}
