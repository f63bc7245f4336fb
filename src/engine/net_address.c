/* engine/net_address.c -- an endpoint's addresses and MAC: leases of the network's subnets, asked for or
 * chosen. */
#include "engine/net_int.h"
#include <string.h>
#include <sys/socket.h>

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
static int take_address(struct skf_engine *g, const struct skf_network *n, int family, const char *wanted,
			const char *container, struct skf_arena *a, char **text, char **gateway,
			uint32_t *prefix, struct skf_err *e)
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
		return wanted ? skf_fail(e, SKF_EINVALID,
					 "invalid endpoint settings: no configured subnet of network '%s' "
					 "contains IP address %s",
					 n->name, wanted)
			      : 0;
	if (wanted ? skf_lease_take(g->run_fd, n, &ip, container, e) < 0
		   : skf_lease_any(g->run_fd, n, s, container, &ip, e) < 0)
		return -1;
	skf_ip_text(&ip, out);
	*text = skf_arena_strdup(a, out);
	*gateway = n->internal ? NULL : s->gateway;
	if (skf_cidr_parse(s->subnet, false, &c) == 0)
		*prefix = c.prefix;
	return *text ? 0 : skf_net_no_memory(e);
}

/* From the address, as docker's were for years: a neighbour that remembers the address remembers the right
 * MAC. */
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

int skf_net_endpoint(struct skf_engine *g, const struct skf_network *n, const struct skf_net_choice *c,
		     const char *container, struct skf_arena *a, struct skf_endpoint *p, struct skf_err *e)
{
	if (take_address(g, n, AF_INET, c->ip, container, a, &p->ip, &p->gateway, &p->prefix, e) < 0 ||
	    take_address(g, n, AF_INET6, c->ip6, container, a, &p->ip6, &p->gateway6, &p->prefix6, e) < 0)
		return -1;
	if (!skf_streq(n->driver, "ipvlan") && !p->mac)
		p->mac = make_mac(p, container, a);
	return p->mac || skf_streq(n->driver, "ipvlan") ? 0 : skf_net_no_memory(e);
}
