/* engine/net_conf.c -- containers/<id>/network.json: which networks a container wants. One table for
 * reading, one function for writing. */
#include "engine/net_int.h"
#include "engine/pod_int.h"
#include <string.h>

#define FILE_NAME "network.json"
#define MAX_BYTES (16u << 20) /* 65536 published ports */

#define H(member, key, fn) SKF_J(struct skf_net_choice, member, key, fn, NULL, SKF_J_NULL_OK)
static const struct skf_jfield choice_f[] = {
	SKF_J(struct skf_net_choice, network, "network", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_net_choice, name, "name", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	H(ip, "ip", skf_j_str),
	H(ip6, "ip6", skf_j_str),
	H(mac, "mac", skf_j_str),
	H(ifname, "ifname", skf_j_str),
	H(aliases, "aliases", skf_j_strv),
	SKF_J_END,
};
static const struct skf_jtable choice_table = {sizeof(struct skf_net_choice), choice_f, false, NULL};
static const struct skf_jarr_arg choices_arg = {&choice_table, SKF_MAX_CTR_NETWORKS};

struct port { /* skf_publish with numbers that the decoder knows */
	char *proto, *host_ip;
	uint32_t first, last, port;
};
#define P(member, key, fn) SKF_J(struct port, member, key, fn, NULL, SKF_J_NULL_OK)
static const struct skf_jfield port_f[] = {
	P(proto, "proto", skf_j_str),   P(host_ip, "hostIp", skf_j_str), P(first, "hostFirst", skf_j_u32),
	P(last, "hostLast", skf_j_u32), P(port, "port", skf_j_u32),      SKF_J_END,
};
static int port_check(struct skf_jctx *c, void *obj)
{
	const struct port *p = obj;

	if (!p->proto || !skf_proto_known(p->proto))
		return skf_j_fail(c, SKF_EINVALID, "expected the protocol tcp, udp or sctp");
	if (p->port == 0 || p->port > UINT16_MAX || p->last > UINT16_MAX || p->first > p->last)
		return skf_j_fail(
			c, SKF_EINVALID,
			"ports %u and %u-%u: expected a port of 1 to 65535 and a range of such ports, or 0",
			p->port, p->first, p->last);
	return 0;
}

static const struct skf_jtable port_table = {sizeof(struct port), port_f, .check = port_check};
static const struct skf_jarr_arg ports_arg = {&port_table, SKF_MAX_PUBLISH};

#define C(member, key, fn, arg) SKF_J(struct skf_net_conf, member, key, fn, arg, SKF_J_NULL_OK)
static const struct skf_jfield conf_f[] = {
	C(mode, "mode", skf_j_str, NULL),
	C(target, "target", skf_j_str, NULL),
	C(networks, "networks", skf_j_arr, &choices_arg),
	C(ports, "ports", skf_j_arr, &ports_arg),
	C(publish_all, "publishAll", skf_j_bool, NULL),
	C(exposed, "exposed", skf_j_strv, NULL),
	C(dns, "dns", skf_j_strv, NULL),
	C(dns_search, "dnsSearch", skf_j_strv, NULL),
	C(dns_opt, "dnsOptions", skf_j_strv, NULL),
	C(add_host, "addHost", skf_j_strv, NULL),
	C(links, "links", skf_j_strv, NULL),
	C(hostname, "hostname", skf_j_str, NULL),
	C(domainname, "domainname", skf_j_str, NULL),
	C(egress, "egress", skf_j_str, NULL),
	C(egress_allow, "egressAllow", skf_j_strv, NULL),
	SKF_J_END,
};
static const struct skf_jtable conf_table = {sizeof(struct skf_net_conf), conf_f, false, NULL};

static void opt_str(struct skf_jw *w, const char *key, const char *v)
{
	if (v && *v)
		skf_jw_kstr(w, key, v);
}

static void write_networks(struct skf_jw *w, const struct skf_net_conf *c)
{
	const struct skf_net_choice *n = c->networks.v;

	skf_jw_karr(w, "networks");
	for (size_t i = 0; i < c->networks.n; i++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "network", n[i].network);
		skf_jw_kstr(w, "name", n[i].name);
		opt_str(w, "ip", n[i].ip);
		opt_str(w, "ip6", n[i].ip6);
		opt_str(w, "mac", n[i].mac);
		opt_str(w, "ifname", n[i].ifname);
		if (n[i].aliases.n)
			skf_jw_kstrv(w, "aliases", &n[i].aliases);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static void write_ports(struct skf_jw *w, const struct skf_net_conf *c)
{
	const struct skf_publish *p = c->ports.v;

	skf_jw_karr(w, "ports");
	for (size_t i = 0; i < c->ports.n; i++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "proto", p[i].proto);
		skf_jw_kstr(w, "hostIp", p[i].host_ip);
		skf_jw_kint(w, "hostFirst", p[i].host_first);
		skf_jw_kint(w, "hostLast", p[i].host_last);
		skf_jw_kint(w, "port", p[i].port);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static void opt_strv(struct skf_jw *w, const char *key, const struct skf_strv *v)
{
	if (v->n)
		skf_jw_kstrv(w, key, v);
}

int skf_net_conf_write(int ctr_dir, const struct skf_net_conf *c, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_BYTES);
	struct skf_jw w = SKF_JW(&b);
	int r;

	skf_jw_obj(&w);
	skf_jw_kint(&w, "v", 1);
	skf_jw_kint(&w, "min", 1);
	skf_jw_kstr(&w, "mode", c->mode);
	opt_str(&w, "target", c->target);
	write_networks(&w, c);
	write_ports(&w, c);
	skf_jw_kbool(&w, "publishAll", c->publish_all);
	opt_strv(&w, "exposed", &c->exposed);
	opt_strv(&w, "dns", &c->dns);
	opt_strv(&w, "dnsSearch", &c->dns_search);
	opt_strv(&w, "dnsOptions", &c->dns_opt);
	opt_strv(&w, "addHost", &c->add_host);
	opt_strv(&w, "links", &c->links);
	skf_jw_kstr(&w, "hostname", c->hostname);
	opt_str(&w, "domainname", c->domainname);
	opt_str(&w, "egress", c->egress);
	opt_strv(&w, "egressAllow", &c->egress_allow);
	skf_jw_end(&w);
	r = b.err < 0 ? b.err : skf_write_atomic_at(ctr_dir, FILE_NAME, b.p, b.len, 0600, 0);
	return r < 0 ? skf_fail_sys(e, r, "write the container's file '%s'", FILE_NAME) : 0;
}

static int take_ports(struct skf_net_conf *c, struct skf_arena *a)
{
	const struct port *p = c->ports.v;
	struct skf_publish *v = c->ports.n ? skf_arena_array(a, c->ports.n, sizeof(*v)) : NULL;

	if (c->ports.n && !v)
		return -ENOMEM;
	for (size_t i = 0; i < c->ports.n; i++)
		v[i] = (struct skf_publish){.proto = p[i].proto,
					    .host_ip = p[i].host_ip,
					    .host_first = (uint16_t)p[i].first,
					    .host_last = (uint16_t)p[i].last,
					    .port = (uint16_t)p[i].port};
	c->ports.v = v;
	return 0;
}

static const struct skf_jdoc doc = {.name = FILE_NAME, .max_bytes = MAX_BYTES};

static int finish(struct skf_net_conf *c, struct skf_arena *a, struct skf_net_conf **ret, struct skf_err *e)
{
	if (!c->mode)
		c->mode = skf_arena_strdup(a, "none");
	if (!c->mode || take_ports(c, a) < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for a container's networks");
	*ret = c;
	return 0;
}

int skf_net_conf_decode(const char *text, size_t n, struct skf_arena *a, struct skf_net_conf **ret,
			struct skf_err *e)
{
	void *v;

	return skf_json_decode(&doc, text, n, &conf_table, a, &v, e) < 0 ? -1 : finish(v, a, ret, e);
}

int skf_net_conf_read(struct skf_engine *g, const char *id, struct skf_arena *a, struct skf_net_conf **ret,
		      struct skf_err *e)
{
	bool pod = skf_pod_exists(g, id);
	char path[SKF_ID_LEN + 32];
	void *v;

	if (skf_fmt(path, sizeof(path), "%s/%s/" FILE_NAME, pod ? "pods" : "containers", id) < 0)
		return skf_fail(e, SKF_EINVALID, "'%s' is not a container id", id);
	if (skf_json_decode_at(&doc, g->root_fd, path, &conf_table, a, &v, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return skf_ctx(e, "container '%.12s'", id);
		skf_err_clear(e);
		v = skf_arena_alloc(a, sizeof(struct skf_net_conf));
		if (!v)
			return skf_fail(e, SKF_ENOMEM, "memory for a container's networks");
	}
	return finish(v, a, ret, e);
}

int skf_net_owner(struct skf_engine *g, const char *id, struct skf_arena *a, char **ret_name, int *ret_dir,
		  struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	struct skf_ctrconf *k;
	struct skf_pod *p;

	if (skf_pod_exists(g, id)) {
		if (skf_pod_dir(g, id, &dir, e) < 0 || skf_pod_load(g, id, a, &p, e) < 0)
			return -1;
		*ret_name = p->name;
	} else {
		if (skf_ctr_open_dir(g, id, &dir, e) < 0 || skf_ctr_load(g, id, a, &k, e) < 0)
			return -1;
		*ret_name = k->name;
	}
	*ret_dir = SKF_TAKE_FD(dir);
	return 0;
}

bool skf_net_conf_is_ours(const struct skf_net_conf *c)
{
	return skf_streq(c->mode, SKF_NET_MODE_BRIDGE);
}
