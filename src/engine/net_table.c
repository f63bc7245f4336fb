/* engine/net_table.c -- who changes table inet skiff_v1, and when: single elements under the lock "nft" held
 * shared, the whole table under the same lock held exclusively, so that a load never misses what is being
 * added. A container's record is written before its elements are added and removed after they are deleted: a
 * load that comes in between finds it. */
#include "engine/net_int.h"
#include "network/table.h"
#include <string.h>

static int lock_table(struct skf_engine *g, bool exclusive, struct skf_err *e)
{
	int fd = skf_lock_at(g->locks_fd, "nft", exclusive, SKF_LOCK_MS);

	return fd < 0 ? skf_fail_sys(e, fd, "lock the firewall table") : fd;
}

static int failed(int r, const char *what, struct skf_err *e)
{
	return skf_fail_sys(e, r, "%s of the firewall table", what);
}

static int load_networks(struct skf_engine *g, struct skf_nft *n, struct skf_arena *a, struct skf_err *e)
{
	struct skf_strv ids = {0};

	if (skf_network_list(g->root_fd, a, &ids, e) < 0)
		return -1;
	for (size_t i = 0; i < ids.n; i++) {
		struct skf_err x = SKF_ERR_INIT;
		struct skf_network *w;

		if (skf_network_load(g->root_fd, ids.v[i], a, &w, &x) == 0)
			skf_table_network(n, w, true);
		else if (x.kind != SKF_ENOTFOUND)
			skf_warn(&g->log, "%s; ignoring", x.msg);
	}
	return 0;
}

static int load_containers(struct skf_engine *g, struct skf_nft *n, struct skf_arena *a, struct skf_err *e)
{
	struct skf_strv ids = {0};

	if (skf_netrec_list(g->run_fd, a, &ids, e) < 0)
		return -1;
	for (size_t i = 0; i < ids.n; i++) {
		struct skf_netrec *r;
		int k = skf_netrec_read(g->run_fd, ids.v[i], a, &r, e);

		if (k < 0)
			return -1;
		if (k == 0)
			continue;
		skf_table_ports(n, r, true);
		if (skf_net_egress_add(n, r, a, e) < 0)
			return -1;
	}
	return 0;
}

int skf_net_table_fill(struct skf_engine *g, struct skf_nft *n, struct skf_arena *a, struct skf_err *e)
{
	return load_networks(g, n, a, e) < 0 ? -1 : load_containers(g, n, a, e);
}

int skf_net_table_load(struct skf_engine *g, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO(skf_nft_freep) struct skf_nft *n = NULL;
	SKF_AUTO_FD int lock = lock_table(g, true, e);
	int r;

	if (lock < 0 || skf_net_nft(g, &n, e) < 0 || skf_net_table_claim(g, n, e) < 0)
		return -1;
	skf_table_load(n, skf_net_loop6_load(g, n));
	if (skf_net_table_fill(g, n, &a, e) < 0)
		return -1;
	r = skf_nft_commit(n);
	if (r < 0)
		return failed(r, "load all", e);
	skf_net_loop6_bridges(g, n, &a);
	return 0;
}

/* Commits the batch; a table that is not there is loaded instead: what the batch would have added is in the
 * files already. */
static int commit_or_load(struct skf_engine *g, struct skf_nft *n, int *lock_own, struct skf_err *e)
{
	int r = skf_nft_commit(n);

	skf_closep(lock_own);
	if (r == -ENOENT)
		return skf_net_table_load(g, e);
	return r < 0 ? failed(r, "add elements", e) : 0;
}

int skf_net_table_add(struct skf_engine *g, const struct skf_network *first, const struct skf_netrec *r,
		      const struct skf_net_conf *c, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO(skf_nft_freep) struct skf_nft *n = NULL;
	SKF_AUTO_FD int lock = lock_table(g, false, e);
	char name[SKF_NFT_TABLE_MAX];

	if (lock < 0 || skf_net_nft(g, &n, e) < 0)
		return -1;
	if (!skf_net_table_name(g, name)) {
		skf_closep(&lock);
		return skf_net_table_load(g, e);
	}
	skf_table_bridge(n, first); /* there already; without it a flushed table would not be noticed */
	skf_table_ports(n, r, true);
	if (skf_net_egress_add(n, r, &a, e) < 0)
		return -1;
	return commit_or_load(g, n, &lock, e);
}

int skf_net_table_network(struct skf_engine *g, const struct skf_network *w, bool add, struct skf_err *e)
{
	SKF_AUTO(skf_nft_freep) struct skf_nft *n = NULL;
	SKF_AUTO_FD int lock = lock_table(g, false, e);
	char name[SKF_NFT_TABLE_MAX];
	int r;

	if (lock < 0 || skf_net_nft(g, &n, e) < 0)
		return -1;
	if (!skf_net_table_name(g, name)) {
		skf_closep(&lock);
		return add ? skf_net_table_load(g, e) : 0;
	}
	skf_table_network(n, w, add);
	if (add)
		return commit_or_load(g, n, &lock, e);
	r = skf_nft_commit(n);
	return r < 0 && r != -ENOENT ? failed(r, "delete elements", e) : 0;
}

/* A transaction fails as a whole: when one element is not there, each gets one of its own. */
static int delete_ports(struct skf_engine *g, struct skf_nft *n, const struct skf_netrec *rec, bool single)
{
	const struct skf_portmap *m = rec->ports.v;
	int r = 0;

	for (size_t i = 0; i < rec->ports.n && (r == 0 || r == -ENOENT); i++) {
		struct skf_ip ip;
		const char *addr;

		if (skf_ip_parse(m[i].host_ip, &ip) < 0)
			continue;
		addr = skf_ip_is_any(&ip) ? "" : m[i].host_ip;
		if (!skf_port_has(g->run_fd, m[i].proto, ip.family, addr, (uint16_t)m[i].host,
				  rec->container))
			continue; /* somebody else's by now */
		skf_table_port(n, &m[i], false);
		if (single)
			r = skf_nft_commit(n);
	}
	return single ? (r == -ENOENT ? 0 : r) : skf_nft_commit(n);
}

int skf_net_table_del(struct skf_engine *g, const struct skf_netrec *rec, struct skf_err *e)
{
	SKF_AUTO(skf_nft_freep) struct skf_nft *n = NULL;
	SKF_AUTO_FD int lock = -EBADF;
	int r;

	if (rec->ports.n == 0)
		return 0;
	lock = lock_table(g, false, e);
	if (lock < 0 || skf_net_nft(g, &n, e) < 0)
		return -1;
	r = delete_ports(g, n, rec, false);
	if (r == -ENOENT)
		r = delete_ports(g, n, rec, true);
	return r < 0 ? failed(r, "delete elements", e) : 0;
}
