/* engine/net_make.c -- network create: names, subnets, options, checked before anything is written. Nothing
 * is made in the kernel: the first container does that. Words of errors are docker's; options are docker's
 * com.docker.network.* and podman's short ones. */
#include "engine/net_cni.h"
#include "network/egress.h"
#include "base/proc.h"
#include <fcntl.h>
#include <net/if.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define MAX_MTU 65535

struct make {
	struct skf_engine *g;
	const struct skf_network_create_req *q;
	struct skf_arena *a;
	struct skf_network *n;
	bool isolate_off;
};

static int no_memory(struct skf_err *e)
{
	return skf_fail(e, SKF_ENOMEM, "memory for a network");
}

static int is_true(const char *v, bool *ret, const char *key, struct skf_err *e)
{
	if (skf_streq(v, "true") || skf_streq(v, "1") || skf_streq(v, "yes") || skf_streq(v, ""))
		*ret = true;
	else if (skf_streq(v, "false") || skf_streq(v, "0") || skf_streq(v, "no"))
		*ret = false;
	else
		return skf_fail(e, SKF_EINVALID, "invalid value '%s' of option %s: expected true or false",
				v, key);
	return 0;
}

/* --- options --- */
static int opt_mtu(struct make *m, const char *key, const char *v, struct skf_err *e)
{
	if (skf_parse_u32(v, &m->n->mtu) < 0 || (m->n->mtu && (m->n->mtu < 68 || m->n->mtu > MAX_MTU)))
		return skf_fail(e, SKF_EINVALID,
				"invalid value '%s' of option %s: expected an MTU of 68 to %d", v, key,
				MAX_MTU);
	return 0;
}

static int opt_bridge(struct make *m, const char *key, const char *v, struct skf_err *e)
{
	if (!*v || strlen(v) >= IFNAMSIZ || strpbrk(v, "/ \t:"))
		return skf_fail(e, SKF_EINVALID,
				"invalid value '%s' of option %s: expected the name of an interface, at "
				"most %d characters",
				v, key, IFNAMSIZ - 1);
	m->n->interface = skf_arena_strdup(m->a, v);
	return m->n->interface ? 0 : no_memory(e);
}

static int opt_ifname_prefix(struct make *m, const char *key, const char *v, struct skf_err *e)
{
	if (!*v || strlen(v) > SKF_MAX_IFNAME_PREFIX || strpbrk(v, "/ \t\n:%.") || skf_streq(v, "lo"))
		return skf_fail(e, SKF_EINVALID,
				"invalid value '%s' of option %s: expected what names of interfaces begin "
				"with, at most %d characters",
				v, key, SKF_MAX_IFNAME_PREFIX);
	m->n->ifname_prefix = skf_arena_strdup(m->a, v);
	return m->n->ifname_prefix ? 0 : no_memory(e);
}

static int opt_icc(struct make *m, const char *key, const char *v, struct skf_err *e)
{
	return is_true(v, &m->n->icc, key, e);
}

static int opt_masquerade(struct make *m, const char *key, const char *v, struct skf_err *e)
{
	return is_true(v, &m->n->masquerade, key, e);
}

static int opt_gateway_mode(struct make *m, const char *key, const char *v, struct skf_err *e)
{
	if (!skf_streq(v, "nat") && !skf_streq(v, "routed"))
		return skf_fail(e, SKF_EUNSUPPORTED,
				"option %s=%s is not supported: there are nat and routed", key, v);
	m->n->masquerade = m->n->masquerade && skf_streq(v, "nat");
	return 0;
}

static int opt_host_ip(struct make *m, const char *key, const char *v, struct skf_err *e)
{
	struct skf_ip ip;

	if (skf_ip_parse(v, &ip) < 0)
		return skf_fail(e, SKF_EINVALID, "invalid value '%s' of option %s: expected an address", v,
				key);
	if (skf_ip_is_any(&ip)) /* as without it: every address, of both families */
		return 0;
	m->n->host_ip = skf_arena_strdup(m->a, v);
	return m->n->host_ip ? 0 : no_memory(e);
}

static int opt_mode(struct make *m, const char *key, const char *v, struct skf_err *e)
{
	static const char *const macvlan[] = {"bridge", "private", "vepa", "passthru"}, *const ipvlan[] = {
												"l2", "l3",
												"l3s"};
	bool mac = skf_streq(m->n->driver, "macvlan"), known = false;

	for (size_t i = 0; mac && i < SKF_ARRAY_LEN(macvlan); i++)
		known |= skf_streq(v, macvlan[i]);
	for (size_t i = 0; !mac && i < SKF_ARRAY_LEN(ipvlan); i++)
		known |= skf_streq(m->n->driver, "ipvlan") && skf_streq(v, ipvlan[i]);
	if (!known)
		return skf_fail(e, SKF_EINVALID, "invalid value '%s' of option %s for driver %s", v, key,
				m->n->driver);
	m->n->mode = skf_arena_strdup(m->a, v);
	return m->n->mode ? 0 : no_memory(e);
}

static int opt_vlan(struct make *m, const char *key, const char *v, struct skf_err *e)
{
	if (skf_parse_u32(v, &m->n->vlan) < 0 || m->n->vlan == 0 || m->n->vlan > 4094)
		return skf_fail(e, SKF_EINVALID,
				"invalid value '%s' of option %s: expected a VLAN of 1 to 4094", v, key);
	return 0;
}

static int opt_isolate(struct make *m, const char *key, const char *v, struct skf_err *e)
{
	bool on;

	if (skf_streq(v, "strict"))
		return 0; /* networks are isolated from each other, always */
	if (is_true(v, &on, key, e) < 0)
		return -1;
	return 0;
}

static int opt_ignored(struct make *m, const char *key, const char *v, struct skf_err *e)
{
	(void)m;
	(void)key;
	(void)v;
	(void)e;
	return 0;
}

static const struct option {
	const char *key;
	int (*set)(struct make *m, const char *key, const char *v, struct skf_err *e);
} options[] = {
	{"com.docker.network.driver.mtu", opt_mtu},
	{"mtu", opt_mtu},
	{"com.docker.network.bridge.name", opt_bridge},
	{"com.docker.network.bridge.enable_icc", opt_icc},
	{"com.docker.network.bridge.enable_ip_masquerade", opt_masquerade},
	{"com.docker.network.bridge.gateway_mode_ipv4", opt_gateway_mode},
	{"com.docker.network.bridge.gateway_mode_ipv6", opt_gateway_mode},
	{"com.docker.network.bridge.host_binding_ipv4", opt_host_ip},
	{"com.docker.network.bridge.default_bridge", opt_ignored},
	{"com.docker.network.container_iface_prefix", opt_ifname_prefix},
	{"com.docker.network.enable_ipv4", opt_ignored},
	{"com.docker.network.enable_ipv6", opt_ignored},
	{"parent", opt_bridge},
	{"macvlan_mode", opt_mode},
	{"ipvlan_mode", opt_mode},
	{"mode", opt_mode},
	{"vlan", opt_vlan},
	{"isolate", opt_isolate},
	{"metric", opt_ignored},
};

static int add_kv(struct make *m, struct skf_kvs *to, size_t max, const char *word, struct skf_err *e)
{
	size_t n = strcspn(word, "=");

	if (n == 0)
		return skf_fail(e, SKF_EINVALID, "invalid option or label '%s': expected KEY=VALUE", word);
	if (!to->v)
		to->v = skf_arena_array(m->a, max, sizeof(*to->v));
	if (!to->v)
		return no_memory(e);
	to->v[to->n] = (struct skf_kv){skf_arena_dup(m->a, word, n),
				       skf_arena_strdup(m->a, word[n] ? word + n + 1 : "")};
	return to->v[to->n].k && to->v[to->n++].v ? 0 : no_memory(e);
}

static int take_options(struct make *m, struct skf_err *e)
{
	const struct skf_network_create_req *q = m->q;

	for (size_t i = 0; i < q->labels.n; i++)
		if (add_kv(m, &m->n->labels, q->labels.n, q->labels.v[i], e) < 0)
			return -1;
	for (size_t i = 0; i < q->ipam_options.n; i++)
		if (add_kv(m, &m->n->ipam_options, q->ipam_options.n, q->ipam_options.v[i], e) < 0)
			return -1;
	for (size_t i = 0; i < q->options.n; i++) {
		const struct skf_kv *kv;
		size_t k = 0;

		if (add_kv(m, &m->n->options, q->options.n, q->options.v[i], e) < 0)
			return -1;
		kv = &m->n->options.v[m->n->options.n - 1];
		while (k < SKF_ARRAY_LEN(options) && !skf_streq(options[k].key, kv->k))
			k++;
		if (k == SKF_ARRAY_LEN(options))
			return skf_fail(e, SKF_EINVALID, "unsupported network option %s", kv->k);
		if (options[k].set(m, kv->k, kv->v, e) < 0)
			return -1;
	}
	return 0;
}

/* --- subnets --- */
static int check_member(const char *what, const char *text, const struct skf_cidr *c, struct skf_err *e)
{
	struct skf_ip ip;

	if (skf_ip_parse(text, &ip) < 0)
		return skf_fail(e, SKF_EINVALID, "invalid %s address: %s", what, text);
	if (!skf_cidr_has(c, &ip)) {
		char subnet[SKF_CIDR_TEXT];

		skf_cidr_text(c, subnet);
		return skf_fail(e, SKF_EINVALID, "no matching subnet for %s %s: it is not in %s", what, text,
				subnet);
	}
	return 0;
}

static int take_subnet(struct make *m, const struct skf_network_subnet *in, struct skf_netsub *out,
		       struct skf_err *e)
{
	struct skf_cidr c, range;
	char text[SKF_CIDR_TEXT];

	if (skf_cidr_parse(in->subnet, false, &c) < 0)
		return skf_fail(e, SKF_EINVALID, "invalid subnet %s: expected ADDRESS/PREFIX", in->subnet);
	c.ip = skf_cidr_first(&c);
	skf_cidr_text(&c, text);
	out->subnet = skf_arena_strdup(m->a, text);
	if (!out->subnet || skf_net_pool_check(m->g, &c, e) < 0)
		return out->subnet ? -1 : no_memory(e);
	if (in->gateway && check_member("gateway", in->gateway, &c, e) < 0)
		return -1;
	if (in->range) {
		if (skf_cidr_parse(in->range, false, &range) < 0)
			return skf_fail(e, SKF_EINVALID, "invalid ip-range %s: expected ADDRESS/PREFIX",
					in->range);
		if (!skf_cidr_has(&c, &range.ip) || range.prefix < c.prefix)
			return skf_fail(e, SKF_EINVALID, "no matching subnet for range %s", in->range);
		out->range = skf_arena_strdup(m->a, in->range);
	}
	out->gateway =
		in->gateway ? skf_arena_strdup(m->a, in->gateway) : skf_net_first_address(out->subnet, m->a);
	return out->gateway && (!in->range || out->range) ? 0 : no_memory(e);
}

static int take_aux(struct make *m, struct skf_err *e)
{
	struct skf_netsub *s = m->n->subnets.v;

	for (size_t i = 0; i < m->q->aux.n; i++) {
		const char *eq = strchr(m->q->aux.v[i], '=');
		struct skf_cidr c;
		struct skf_ip ip;
		size_t k = 0;

		if (!eq || skf_ip_parse(eq + 1, &ip) < 0)
			return skf_fail(e, SKF_EINVALID, "invalid aux-address '%s': expected NAME=ADDRESS",
					m->q->aux.v[i]);
		while (k < m->n->subnets.n &&
		       !(skf_cidr_parse(s[k].subnet, false, &c) == 0 && skf_cidr_has(&c, &ip)))
			k++;
		if (k == m->n->subnets.n)
			return skf_fail(e, SKF_EINVALID, "no matching subnet for aux-address %s", eq + 1);
		if (add_kv(m, &s[k].reserved, m->q->aux.n, m->q->aux.v[i], e) < 0)
			return -1;
	}
	return 0;
}

static bool has_family(const struct skf_netsub *s, size_t n, bool v6)
{
	for (size_t i = 0; i < n; i++)
		if ((strchr(s[i].subnet, ':') != NULL) == v6)
			return true;
	return false;
}

static int add_pool(struct make *m, int family, struct skf_netsub *s, size_t *n, struct skf_err *e)
{
	if (skf_net_pool(m->g, family, true, m->a, &s[*n].subnet, e) < 0)
		return -1;
	s[*n].gateway = skf_net_first_address(s[*n].subnet, m->a);
	return s[(*n)++].gateway ? 0 : no_memory(e);
}

static int take_subnets(struct make *m, struct skf_err *e)
{
	const struct skf_network_subnet *in = m->q->subnets.v;
	struct skf_netsub *s = skf_arena_array(m->a, m->q->subnets.n + 2, sizeof(*s));
	size_t n = 0;

	if (!s)
		return no_memory(e);
	if (skf_streq(m->q->ipam_driver, "none") || skf_streq(m->q->ipam_driver, "dhcp"))
		return skf_streq(m->q->ipam_driver, "none")
			       ? 0
			       : skf_fail(e, SKF_EUNSUPPORTED,
					  "ipam driver dhcp is not supported: name a subnet");
	for (int v6 = 0; v6 <= 1; v6++) /* IPv4 first */
		for (size_t i = 0; i < m->q->subnets.n; i++) {
			if (!in[i].subnet)
				return skf_fail(
					e, SKF_EINVALID,
					"every ip-range or gateway must have a corresponding subnet");
			if ((strchr(in[i].subnet, ':') != NULL) == v6 &&
			    take_subnet(m, &in[i], &s[n++], e) < 0)
				return -1;
		}
	for (size_t i = 0; i < n; i++)
		for (size_t k = 0; k < i; k++) {
			struct skf_cidr x, y;

			if (skf_cidr_parse(s[i].subnet, false, &x) == 0 &&
			    skf_cidr_parse(s[k].subnet, false, &y) == 0 && x.ip.family == y.ip.family &&
			    skf_cidr_overlap(&x, &y))
				return skf_fail(e, SKF_EINVALID,
						"multiple overlapping subnet configuration is not "
						"supported: %s and %s",
						s[i].subnet, s[k].subnet);
		}
	if (!has_family(s, n, false) && !m->q->no_ipv4 && add_pool(m, AF_INET, s, &n, e) < 0)
		return -1;
	if (m->q->ipv6 && !has_family(s, n, true) && add_pool(m, AF_INET6, s, &n, e) < 0)
		return -1;
	m->n->ipv6 = has_family(s, n, true);
	m->n->subnets = (struct skf_jarr){s, n};
	return take_aux(m, e);
}

/* --- the rest --- */
static int take_driver(struct make *m, struct skf_err *e)
{
	static const char *const known[] = {"bridge", "macvlan", "ipvlan"};
	const char *d = m->q->driver && *m->q->driver ? m->q->driver : "bridge";

	for (size_t i = 0; i < SKF_ARRAY_LEN(known); i++)
		if (skf_streq(d, known[i])) {
			m->n->driver = skf_arena_strdup(m->a, d);
			return m->n->driver ? 0 : no_memory(e);
		}
	return skf_fail(e, SKF_EINVALID,
			"could not find plugin %s in v1 plugin registry: plugin not found; there are "
			"bridge, macvlan and ipvlan",
			d);
}

/* Name of the bridge or parent when the user gave none. */
static int name_interface(struct make *m, struct skf_err *e)
{
	bool bridge = skf_streq(m->n->driver, "bridge");

	if (m->q->interface && opt_bridge(m, "interface-name", m->q->interface, e) < 0)
		return -1;
	if (!m->n->interface)
		m->n->interface = skf_arena_fmt(m->a, bridge ? "sk-%.12s" : "dm-%.12s", m->n->id);
	else if (!bridge && m->n->vlan)
		m->n->interface = skf_arena_fmt(m->a, "%s.%u", m->n->interface, m->n->vlan);
	if (!m->n->interface)
		return no_memory(e);
	return strlen(m->n->interface) < IFNAMSIZ
		       ? 0
		       : skf_fail(e, SKF_EINVALID, "the interface name '%s' is longer than %d characters",
				  m->n->interface, IFNAMSIZ - 1);
}

static int check_name(const char *name, struct skf_err *e)
{
	static const char *const taken[] = {"bridge",      "host",  "none",    "container", "default",
					    "slirp4netns", "pasta", "private", "ns"};

	if (!skf_name_valid(name))
		return skf_fail(e, SKF_EINVALID,
				"invalid network name: %s: only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
				name);
	for (size_t i = 0; i < SKF_ARRAY_LEN(taken); i++)
		if (skf_streq(name, taken[i]))
			return skf_fail(e, SKF_EDENIED,
					"operation is not permitted on predefined %s network", name);
	return 0;
}

static int check_rest(struct make *m, struct skf_err *e)
{
	const struct skf_network_create_req *q = m->q;
	struct skf_ip ip;

	if (q->dns.n && q->disable_dns)
		return skf_fail(e, SKF_EINVALID, "conflicting options: dns and disable-dns");
	if (q->dns.n > SKF_MAX_DNS_SERVERS)
		return skf_fail(e, SKF_ELIMIT, "%zu name servers of one network: at most %d are possible",
				q->dns.n, SKF_MAX_DNS_SERVERS);
	for (size_t i = 0; i < q->dns.n; i++)
		if (skf_ip_parse(q->dns.v[i], &ip) < 0)
			return skf_fail(e, SKF_EINVALID, "%s is not an ip address", q->dns.v[i]);
	if (q->egress && !skf_streq(q->egress, "allow") && !skf_streq(q->egress, "deny"))
		return skf_fail(e, SKF_EINVALID, "invalid --egress '%s': expected allow or deny", q->egress);
	m->n->dns_servers = q->dns;
	m->n->egress = q->egress ? skf_arena_strdup(m->a, q->egress) : NULL;
	m->n->egress_allow = q->egress_allow;
	return 0;
}

static int fill(struct make *m, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1], created[36];
	int r = skf_random_hex(id, SKF_ID_LEN / 2);

	if (r < 0)
		return skf_fail_sys(e, r, "make up a network id");
	skf_time_rfc3339(skf_now_ns(), created);
	*m->n = (struct skf_network){.id = skf_arena_strdup(m->a, id),
				     .name = skf_arena_strdup(m->a, m->q->name),
				     .created = skf_arena_strdup(m->a, created),
				     .internal = m->q->internal,
				     .attachable = m->q->attachable,
				     .dns = !m->q->disable_dns,
				     .masquerade = true,
				     .icc = true};
	if (!m->n->id || !m->n->name || !m->n->created)
		return no_memory(e);
	return take_driver(m, e) < 0 || take_options(m, e) < 0 || name_interface(m, e) < 0 ||
			       take_subnets(m, e) < 0
		       ? -1
		       : check_rest(m, e);
}

int skf_engine_network_create(struct skf_engine *g, const struct skf_network_create_req *q, char ret_id[65],
			      struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct make m = {.g = g, .q = q, .a = &a, .n = skf_arena_alloc(&a, sizeof(*m.n))};
	SKF_AUTO_FD int lock = -EBADF;
	struct skf_network *old;
	int r;

	if (!m.n)
		return no_memory(e);
	if (check_name(q->name, e) < 0)
		return -1;
	lock = skf_lock_at(g->locks_fd, "networks", true, SKF_LOCK_MS);
	if (lock < 0)
		return skf_fail_sys(e, lock, "lock the networks");
	if (skf_network_find(g->root_fd, q->name, &a, &old, e) == 0 && skf_streq(old->name, q->name)) {
		if (!q->ignore)
			return skf_fail(e, SKF_ECONFLICT, "network with name %s already exists", q->name);
		memcpy(ret_id, old->id, SKF_ID_LEN + 1);
		return 0;
	}
	skf_err_clear(e);
	if (skf_net_cni_refuse(g, q->name, "made", e) < 0)
		return -1;
	if (fill(&m, e) < 0 || skf_network_save(g->root_fd, m.n, e) < 0)
		return -1;
	r = skf_network_claim(g->root_fd, m.n->name, m.n->id, e);
	if (r <= 0) {
		struct skf_err x = SKF_ERR_INIT;

		(void)skf_network_remove(g->root_fd, m.n->id, m.n->name,
					 &x); /* the first error is the one to tell */
		return r < 0 ? -1
			     : skf_fail(e, SKF_ECONFLICT, "network with name %s already exists", q->name);
	}
	memcpy(ret_id, m.n->id, SKF_ID_LEN + 1);
	return 0;
}
