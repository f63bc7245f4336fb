/* engine/net_update.c -- podman's network update: other name servers of a network, for containers that run,
 * too. */
#include "engine/net_int.h"
#include "network/resolver.h"
#include <string.h>

static bool lists(const struct skf_strv *v, const char *word)
{
	for (size_t i = 0; i < v->n; i++)
		if (skf_streq(v->v[i], word))
			return true;
	return false;
}

static int check(const struct skf_strv *v, struct skf_err *e)
{
	struct skf_ip ip;

	for (size_t i = 0; i < v->n; i++)
		if (skf_ip_parse(v->v[i], &ip) < 0)
			return skf_fail(e, SKF_EINVALID, "%s is not an ip address", v->v[i]);
	return 0;
}

static int change(struct skf_network *n, const struct skf_strv *add, const struct skf_strv *drop,
		  struct skf_arena *a, struct skf_err *e)
{
	struct skf_strv now = {0};

	for (size_t i = 0; i < n->dns_servers.n; i++)
		if (!lists(drop, n->dns_servers.v[i]) && skf_strv_add(a, &now, n->dns_servers.v[i]) < 0)
			return skf_net_no_memory(e);
	for (size_t i = 0; i < add->n; i++)
		if (!lists(&now, add->v[i]) && skf_strv_add(a, &now, add->v[i]) < 0)
			return skf_net_no_memory(e);
	if (now.n > SKF_MAX_DNS_SERVERS)
		return skf_fail(e, SKF_ELIMIT, "%zu name servers of one network: at most %d are possible",
				now.n, SKF_MAX_DNS_SERVERS);
	n->dns_servers = now;
	return 0;
}

static bool is_on(const struct skf_netrec *r, const char *network)
{
	const struct skf_endpoint *p = r->endpoints.v;

	for (size_t i = 0; i < r->endpoints.n; i++)
		if (skf_streq(p[i].network, network))
			return true;
	return false;
}

static int tell(struct skf_engine *g, const char *network, struct skf_arena *a, struct skf_err *e)
{
	struct skf_strv ids = {0};

	if (skf_netrec_list(g->run_fd, a, &ids, e) < 0)
		return -1;
	for (size_t i = 0; i < ids.n; i++) {
		struct skf_strv servers = {0};
		struct skf_net_conf *c;
		struct skf_netrec *r;
		int k = skf_netrec_read(g->run_fd, ids.v[i], a, &r, e);

		if (k < 0)
			return -1;
		if (k == 0 || !r->resolver || !is_on(r, network))
			continue;
		if (skf_net_conf_read(g, ids.v[i], a, &c, e) < 0 ||
		    skf_net_servers(g, c, r, a, &servers, e) < 0 ||
		    skf_resolver_servers(g->run_root, ids.v[i], &servers, e) < 0)
			return -1;
	}
	return 0;
}

int skf_engine_network_update(struct skf_engine *g, const char *name, const struct skf_strv *add,
			      const struct skf_strv *drop, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FD int lock = -EBADF;
	struct skf_network *n;

	if (check(add, e) < 0 || check(drop, e) < 0 || skf_net_find(g, name, &a, &n, e) < 0)
		return -1;
	if (!n->dns) /* the default network, those of CNI, --disable-dns */
		return skf_fail(e, SKF_EINVALID,
				"unable to update the name servers of network %s: its containers have no "
				"names from us (dns is disabled)",
				n->name);
	lock = skf_lock_at(g->locks_fd, "networks", true, SKF_LOCK_MS);
	if (lock < 0)
		return skf_fail_sys(e, lock, "lock the networks");
	if (skf_network_load(g->root_fd, n->id, &a, &n, e) < 0)
		return -1;
	return change(n, add, drop, &a, e) < 0 || skf_network_save(g->root_fd, n, e) < 0
		       ? -1
		       : tell(g, n->id, &a, e);
}
