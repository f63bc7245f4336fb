/* engine/net_inspect.c -- NetworkSettings of a container, docker's members: what it has while it runs, what
 * it asked for otherwise; and the published ports as a list. */
#include "engine/net_int.h"
#include <stdio.h>
#include <string.h>

static void port_key(char *out, size_t size, uint32_t port, const char *proto)
{
	snprintf(out, size, "%u/%s", port, proto); /* 5 digits and a word of 4 */
}

/* All mappings of one port of the container, in the order they were made. */
static void write_bindings(struct skf_jw *w, const char *key, const struct skf_netrec *r)
{
	const struct skf_portmap *m = r->ports.v;
	char k[24], host[8];

	skf_jw_karr(w, key);
	for (size_t i = 0; i < r->ports.n; i++) {
		port_key(k, sizeof(k), m[i].port, m[i].proto);
		if (!skf_streq(k, key))
			continue;
		snprintf(host, sizeof(host), "%u", m[i].host & 0xffff);
		skf_jw_obj(w);
		skf_jw_kstr(w, "HostIp", m[i].host_ip);
		skf_jw_kstr(w, "HostPort", host);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static bool seen_before(const struct skf_portmap *m, size_t i)
{
	for (size_t k = 0; k < i; k++)
		if (m[k].port == m[i].port && skf_streq(m[k].proto, m[i].proto))
			return true;
	return false;
}

static void write_ports(struct skf_jw *w, const struct skf_netrec *r, const struct skf_net_conf *c)
{
	const struct skf_portmap *m = r ? r->ports.v : NULL;
	char key[24];

	skf_jw_kobj(w, "Ports");
	for (size_t i = 0; r && i < r->ports.n; i++) {
		if (seen_before(m, i))
			continue;
		port_key(key, sizeof(key), m[i].port, m[i].proto);
		write_bindings(w, key, r);
	}
	for (size_t i = 0; r && i < c->exposed.n; i++) {
		bool published = false;

		for (size_t k = 0; k < r->ports.n && !published; k++) {
			port_key(key, sizeof(key), m[k].port, m[k].proto);
			published = skf_streq(key, c->exposed.v[i]);
		}
		for (size_t k = 0; k < i && !published; k++)
			published = skf_streq(c->exposed.v[k], c->exposed.v[i]);
		if (!published)
			skf_jw_knull(w, c->exposed.v[i]);
	}
	skf_jw_end(w);
}

static void write_ipam(struct skf_jw *w, const struct skf_net_choice *c)
{
	if (!c->ip && !c->ip6) {
		skf_jw_knull(w, "IPAMConfig");
		return;
	}
	skf_jw_kobj(w, "IPAMConfig");
	if (c->ip)
		skf_jw_kstr(w, "IPv4Address", c->ip);
	if (c->ip6)
		skf_jw_kstr(w, "IPv6Address", c->ip6);
	skf_jw_end(w);
}

static const struct skf_endpoint *endpoint_of(const struct skf_netrec *r, const char *network)
{
	const struct skf_endpoint *p = r ? r->endpoints.v : NULL;

	for (size_t i = 0; r && i < r->endpoints.n; i++)
		if (skf_streq(p[i].network, network))
			return &p[i];
	return NULL;
}

static void write_addresses(struct skf_jw *w, const struct skf_endpoint *p)
{
	skf_jw_kstr(w, "Gateway", p ? p->gateway : "");
	skf_jw_kstr(w, "IPAddress", p ? p->ip : "");
	skf_jw_kint(w, "IPPrefixLen", p && p->ip ? p->prefix : 0);
	skf_jw_kstr(w, "IPv6Gateway", p ? p->gateway6 : "");
	skf_jw_kstr(w, "GlobalIPv6Address", p ? p->ip6 : "");
	skf_jw_kint(w, "GlobalIPv6PrefixLen", p && p->ip6 ? p->prefix6 : 0);
	skf_jw_kstr(w, "MacAddress", p ? p->mac : "");
}

static void write_network(struct skf_jw *w, const struct skf_net_choice *c, const struct skf_endpoint *p,
			  const char *id)
{
	char endpoint[SKF_ID_LEN + 1] = "";

	if (p) /* no object of its own here: the two ids that make it */
		snprintf(endpoint, sizeof(endpoint), "%.32s%.32s", p->network, id);
	skf_jw_kobj(w, c->name);
	write_ipam(w, c);
	skf_jw_knull(w, "Links");
	skf_jw_kstrv(w, "Aliases", &c->aliases);
	skf_jw_knull(w, "DriverOpts");
	skf_jw_kstr(w, "NetworkID", c->network);
	skf_jw_kstr(w, "EndpointID", endpoint);
	write_addresses(w, p);
	if (p)
		skf_jw_kstrv(w, "DNSNames", &p->names);
	else
		skf_jw_knull(w, "DNSNames");
	skf_jw_end(w);
}

int skf_net_inspect(struct skf_engine *g, const char *id, struct skf_jw *w, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_net_choice *n;
	struct skf_netrec *r = NULL;
	struct skf_net_conf *c;
	char sandbox[SKF_ID_LEN + 1] = "";

	if (skf_net_conf_read(g, id, &a, &c, e) < 0 || skf_netrec_read(g->run_fd, id, &a, &r, e) < 0)
		return -1;
	n = c->networks.v;
	if (r)
		snprintf(sandbox, sizeof(sandbox), "%s", id);
	skf_jw_kobj(w, "NetworkSettings");
	skf_jw_kstr(w, "SandboxID", sandbox);
	write_ports(w, r, c);
	write_addresses(w, c->networks.n ? endpoint_of(r, n[0].network) : NULL);
	skf_jw_kobj(w, "Networks");
	for (size_t i = 0; i < c->networks.n; i++)
		write_network(w, &n[i], endpoint_of(r, n[i].network), id);
	if (skf_streq(c->mode, "none") || skf_streq(c->mode, "host")) {
		const struct skf_net_choice plain = {.name = c->mode, .network = c->mode};

		write_network(w, &plain, NULL, id);
	}
	skf_jw_end(w);
	skf_jw_end(w);
	return 0;
}

/* Members of HostConfig. */
int skf_net_inspect_host(struct skf_engine *g, const char *id, struct skf_jw *w, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_publish *p;
	struct skf_net_conf *c;
	char key[24], host[16], other[24];

	if (skf_net_conf_read(g, id, &a, &c, e) < 0)
		return -1;
	p = c->ports.v;
	skf_jw_kobj(w, "PortBindings");
	for (size_t i = 0; i < c->ports.n; i++) {
		bool before = false;

		port_key(key, sizeof(key), p[i].port, p[i].proto);
		for (size_t k = 0; k < i && !before; k++)
			before = p[k].port == p[i].port && skf_streq(p[k].proto, p[i].proto);
		if (before)
			continue;
		skf_jw_karr(w, key);
		for (size_t k = i; k < c->ports.n; k++) {
			port_key(other, sizeof(other), p[k].port, p[k].proto);
			if (!skf_streq(key, other))
				continue;
			host[0] = '\0';
			if (p[k].host_first)
				snprintf(host, sizeof(host),
					 p[k].host_last > p[k].host_first ? "%u-%u" : "%u", p[k].host_first,
					 p[k].host_last);
			skf_jw_obj(w);
			skf_jw_kstr(w, "HostIp", p[k].host_ip);
			skf_jw_kstr(w, "HostPort", host);
			skf_jw_end(w);
		}
		skf_jw_end_arr(w);
	}
	skf_jw_end(w);
	skf_jw_kbool(w, "PublishAllPorts", c->publish_all);
	skf_jw_kstrv(w, "Dns", &c->dns);
	skf_jw_kstrv(w, "DnsOptions", &c->dns_opt);
	skf_jw_kstrv(w, "DnsSearch", &c->dns_search);
	skf_jw_kstrv(w, "ExtraHosts", &c->add_host);
	return 0;
}

int skf_engine_ports(struct skf_engine *g, const char *container, struct skf_arena *a, struct skf_jarr *ret,
		     struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];
	struct skf_netrec *r = NULL;
	const struct skf_portmap *m;
	struct skf_port_row *v;

	if (skf_engine_resolve(g, container, id, e) < 0 || skf_netrec_read(g->run_fd, id, a, &r, e) < 0)
		return -1;
	*ret = (struct skf_jarr){0};
	if (!r || r->ports.n == 0)
		return 0;
	m = r->ports.v;
	v = skf_arena_array(a, r->ports.n, sizeof(*v));
	if (!v)
		return skf_fail(e, SKF_ENOMEM, "memory for the published ports");
	for (size_t i = 0; i < r->ports.n; i++)
		v[i] = (struct skf_port_row){m[i].proto, m[i].host_ip, (uint16_t)m[i].port,
					     (uint16_t)m[i].host};
	*ret = (struct skf_jarr){v, r->ports.n};
	return 0;
}
