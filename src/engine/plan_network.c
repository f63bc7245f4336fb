/* engine/plan_network.c -- the network part of a container's plan: which networks, addresses and ports,
 * checked before anything is made. Words of errors are docker's. */
#include "engine/create_int.h"
#include "engine/net_int.h"
#include "engine/pod_int.h"
#include "network/egress.h"
#include <string.h>

static int conflict(const char *what, struct skf_err *e)
{
	return skf_fail(e, SKF_EINVALID, "conflicting options: %s", what);
}

static int container_mode(struct skf_plan *p, const char *target, struct skf_err *e)
{
	const struct skf_net_req *q = &p->q->net;
	const struct skf_net_attach *v = q->networks.v;
	char id[SKF_ID_LEN + 1];

	if (q->networks.n > 1)
		return conflict("cannot attach both user-defined and non-user-defined network-modes", e);
	if (p->q->hostname && *p->q->hostname)
		return conflict("hostname and the network mode", e);
	if (q->dns.n)
		return conflict("dns and the network mode", e);
	if (q->add_host.n)
		return conflict("custom host-to-IP mapping and the network mode", e);
	if (v[0].mac)
		return conflict("mac-address and the network mode", e);
	if (q->publish.n || q->publish_all)
		return conflict("port publishing and the container type network mode", e);
	if (q->expose.n)
		return conflict("port exposing and the container type network mode", e);
	if (skf_engine_resolve(p->g, target, id, e) < 0)
		return -1;
	p->net.mode = skf_arena_strdup(p->a, SKF_NET_MODE_CONTAINER);
	p->net.target = skf_arena_strdup(p->a, id);
	p->conf.network = skf_arena_fmt(p->a, "container:%s", id);
	return p->net.mode && p->net.target && p->conf.network ? 0 : skf_plan_no_memory(e);
}

/* podman's ns:PATH. Addresses and ports are the business of whoever made it. */
static int path_mode(struct skf_plan *p, const char *path, struct skf_err *e)
{
	const struct skf_net_req *q = &p->q->net;
	const struct skf_net_attach *v = q->networks.v;
	SKF_AUTO_FD int fd = -EBADF;

	if (q->networks.n > 1)
		return conflict("cannot attach both user-defined and non-user-defined network-modes", e);
	if (v[0].ip || v[0].ip6 || v[0].mac)
		return conflict("addresses and the network mode", e);
	if (q->publish.n || q->publish_all)
		return conflict("port publishing and the network mode", e);
	if (*path != '/')
		return skf_fail(
			e, SKF_EINVALID,
			"invalid network mode 'ns:%s': expected the absolute path of a network namespace",
			path);
	fd = skf_net_open_path(path, e);
	if (fd < 0)
		return -1;
	p->net.mode = skf_arena_strdup(p->a, SKF_NET_MODE_PATH);
	p->net.target = skf_arena_strdup(p->a, path);
	p->conf.network = skf_arena_fmt(p->a, "ns:%s", path);
	return p->net.mode && p->net.target && p->conf.network ? 0 : skf_plan_no_memory(e);
}

static int choose(struct skf_plan *p, const struct skf_net_attach *v, struct skf_net_choice *c,
		  struct skf_err *e)
{
	struct skf_network *n;

	return skf_net_find(p->g, v->name, p->a, &n, e) < 0 ? -1 : skf_net_choose(n, v, c, e);
}

static int choose_all(struct skf_plan *p, const struct skf_net_attach *v, size_t n, struct skf_err *e)
{
	struct skf_net_choice *c;

	if (n > SKF_MAX_CTR_NETWORKS)
		return skf_fail(e, SKF_ELIMIT, "%zu networks of one container: at most %d are possible", n,
				SKF_MAX_CTR_NETWORKS);
	c = skf_arena_array(p->a, n, sizeof(*c));
	if (!c)
		return skf_plan_no_memory(e);
	for (size_t i = 0; i < n; i++) {
		if (n > 1 && (skf_streq(v[i].name, "none") || skf_streq(v[i].name, "host") ||
			      skf_startswith(v[i].name, "container:") || skf_startswith(v[i].name, "ns:")))
			return conflict("cannot attach both user-defined and non-user-defined network-modes",
					e);
		if (choose(p, &v[i], &c[i], e) < 0)
			return -1;
		for (size_t k = 0; k < i; k++)
			if (skf_streq(c[k].network, c[i].network))
				return skf_fail(e, SKF_EINVALID, "network %s is specified multiple times",
						c[i].name);
	}
	p->net.mode = skf_arena_strdup(p->a, SKF_NET_MODE_BRIDGE);
	p->net.networks = (struct skf_jarr){c, n};
	p->conf.network = c[0].name;
	return p->net.mode ? 0 : skf_plan_no_memory(e);
}

static int check_egress(const struct skf_net_req *q, struct skf_err *e)
{
	struct skf_egress_rule rule;

	if (q->egress && !skf_streq(q->egress, "allow") && !skf_streq(q->egress, "deny"))
		return skf_fail(e, SKF_EINVALID, "invalid --egress '%s': expected allow or deny", q->egress);
	for (size_t i = 0; i < q->egress_allow.n; i++)
		if (skf_egress_parse(q->egress_allow.v[i], &rule, e) < 0)
			return -1;
	return 0;
}

static int check_hosts(const struct skf_net_req *q, struct skf_err *e)
{
	for (size_t i = 0; i < q->add_host.n; i++) {
		const char *w = q->add_host.v[i];
		size_t n = strcspn(w, "=");
		struct skf_ip ip;

		if (!w[n])
			n = strcspn(w, ":");
		if (n == 0 || !w[n])
			return skf_fail(e, SKF_EINVALID, "bad format for add-host: \"%s\"", w);
		if (!skf_streq(w + n + 1, "host-gateway") && skf_ip_parse(w + n + 1, &ip) < 0)
			return skf_fail(e, SKF_EINVALID, "invalid IP address in add-host: \"%s\"",
					w + n + 1);
	}
	for (size_t i = 0; i < q->dns.n; i++) {
		struct skf_ip ip;

		if (skf_ip_parse(q->dns.v[i], &ip) < 0)
			return skf_fail(e, SKF_EINVALID, "%s is not an ip address", q->dns.v[i]);
	}
	return 0;
}

static int take_words(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_net_req *q = &p->q->net;
	struct skf_net_conf *c = &p->net;

	for (size_t i = 0; i < q->publish.n; i++)
		if (skf_publish_parse(q->publish.v[i], p->a, &c->ports, e) < 0)
			return -1;
	for (size_t i = 0; i < q->expose.n; i++)
		if (skf_expose_parse(q->expose.v[i], p->a, &c->exposed, e) < 0)
			return -1;
	if (q->link.n)
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"--link is not supported: on a user network containers find each other by name "
			"(skiff network create, --network, --network-alias)");
	c->publish_all = q->publish_all;
	c->dns = q->dns;
	c->dns_search = q->dns_search;
	c->dns_opt = q->dns_opt;
	c->add_host = q->add_host;
	c->domainname = q->domainname;
	c->egress = q->egress;
	c->egress_allow = q->egress_allow;
	return check_hosts(q, e) < 0 ? -1 : check_egress(q, e);
}

static int plain_mode(struct skf_plan *p, const char *mode, struct skf_err *e)
{
	p->gen.host_network = skf_streq(mode, "host");
	if (p->net.ports.n || p->net.publish_all)
		skf_warn(&p->g->log, "published ports are discarded when using %s network mode", mode);
	p->net.mode = p->conf.network = skf_arena_strdup(p->a, mode);
	return p->net.mode ? 0 : skf_plan_no_memory(e);
}

int skf_plan_network(struct skf_plan *p, struct skf_err *e)
{
	static const struct skf_net_attach fallback = {.name = (char *)(uintptr_t)SKF_NET_DEFAULT};
	const struct skf_net_attach *v = p->q->net.networks.v;
	size_t n = p->q->net.networks.n;

	if (p->pod && p->pod->share & SKF_POD_NET)
		return plain_mode(p, "pod", e);
	if (take_words(p, e) < 0)
		return -1;
	if (n == 0) {
		v = &fallback;
		n = 1;
	}
	if (skf_streq(v->name, "host") && (p->net.ports.n || p->net.publish_all))
		skf_warn(&p->g->log, "Published ports are discarded when using host network mode");
	if (n == 1 && (skf_streq(v->name, "none") || skf_streq(v->name, "host")))
		return plain_mode(p, v->name, e);
	if (skf_startswith(v->name, "container:"))
		return container_mode(p, v->name + strlen("container:"), e);
	if (skf_startswith(v->name, "ns:"))
		return path_mode(p, v->name + strlen("ns:"), e);
	return choose_all(p, v, n, e);
}

/* What the image exposes; its config is known only now. */
int skf_plan_exposed(struct skf_plan *p, struct skf_err *e)
{
	p->net.hostname = p->hostname;
	for (size_t i = 0; i < p->ic->exposed_ports.n; i++)
		if (skf_expose_parse(p->ic->exposed_ports.v[i], p->a, &p->net.exposed, e) < 0)
			return skf_ctx(e, "ports of image '%s'", p->q->image);
	return 0;
}
