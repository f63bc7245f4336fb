/* engine/net_names.c -- names of a container on its networks, and its place at the resolver
 * (network/resolver.h). */
#include "engine/net_cni.h"
#include "network/names.h"
#include "network/resolver.h"
#include "base/proc.h"
#include <string.h>

static int endpoint_names(struct skf_engine *g, const char *id, const struct skf_endpoint *p,
			  struct skf_err *e)
{
	char *v[2];
	struct skf_strv addrs = {v, 0};

	if (p->ip)
		v[addrs.n++] = p->ip;
	if (p->ip6)
		v[addrs.n++] = p->ip6;
	if (addrs.n == 0 || p->names.n == 0 ||
	    skf_streq(p->driver, SKF_NET_CNI)) /* names of CNI networks are their plugins' business */
		return 0;
	return skf_names_add(g->run_fd, p->network, id, &p->names, &addrs, e);
}

static int collect(const struct skf_netrec *r, struct skf_arena *a, struct skf_resolver_join *j)
{
	const struct skf_endpoint *p = r->endpoints.v;

	for (size_t i = 0; i < r->endpoints.n; i++)
		if (skf_strv_add(a, &j->networks, p[i].network) < 0 ||
		    skf_strv_add(a, &j->network_names, p[i].name) < 0 ||
		    (p[i].ip && skf_strv_add(a, &j->egress_addrs, p[i].ip) < 0) ||
		    (p[i].ip6 && skf_strv_add(a, &j->egress_addrs, p[i].ip6) < 0))
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

/* Whom the resolver asks: --dns of the container, else of its networks, each server once; none: the host's.
 */
int skf_net_servers(struct skf_engine *g, const struct skf_net_conf *c, const struct skf_netrec *r,
		    struct skf_arena *a, struct skf_strv *ret, struct skf_err *e)
{
	const struct skf_endpoint *p = r->endpoints.v;

	*ret = c->dns;
	for (size_t i = 0; c->dns.n == 0 && i < r->endpoints.n; i++) {
		struct skf_strv servers = p[i].dns_servers;
		struct skf_network *n;

		if (!skf_streq(p[i].driver, SKF_NET_CNI)) {
			if (skf_network_load(g->root_fd, p[i].network, a, &n, e) < 0)
				return -1;
			servers = n->dns_servers;
		}
		for (size_t k = 0; k < servers.n && ret->n < SKF_MAX_DNS_SERVERS; k++)
			if (!lists(ret, servers.v[k]) && skf_strv_add(a, ret, servers.v[k]) < 0)
				return skf_net_no_memory(e);
	}
	return 0;
}

int skf_net_names(struct skf_engine *g, const struct skf_net_start *s, const struct skf_net_conf *c,
		  struct skf_netrec *r, struct skf_err *e)
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
	if (skf_net_servers(g, c, r, &a, &j.servers, e) < 0)
		return -1;
	n = skf_proc_start_time((pid_t)s->pid, &j.start_time);
	if (n == 0)
		n = collect(r, &a, &j);
	for (size_t i = 0; n == 0 && r->egress && i < r->egress_allow.n; i++)
		n = skf_strv_add(&a, &j.egress_names, r->egress_allow.v[i]);
	j.internal = true;
	for (size_t i = 0; i < r->endpoints.n; i++)
		j.internal &= !p[i].gateway && !p[i].gateway6 && !skf_streq(p[i].driver, SKF_NET_CNI);
	if (n < 0)
		return skf_fail_sys(e, n, "prepare the names of container %.12s", s->id);
	return skf_resolver_join(g->run_root, &j, e);
}
