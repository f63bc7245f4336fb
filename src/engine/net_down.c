/* engine/net_down.c -- undoing a container's network from its record: names, nft elements, ports, addresses,
 * the record last. Links, addresses and routes go with the network namespace. Every step can be repeated; a
 * lease is given back only by who has it. The caller holds the container's lock, or the container does not
 * exist. */
#include "engine/net_cni.h"
#include "network/names.h"
#include "network/resolver.h"
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A record without addresses: whoever wrote it was killed between the first lease and the second writing.
 * The leases say themselves whose they are. */
static int drop_all_in(struct skf_engine *g, const char *dir, const char *container)
{
	SKF_AUTO_FD int fd = skf_openat(g->run_fd, dir, O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d)
		return fd == -ENOENT ? 0 : fd < 0 ? fd : -errno;
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d))) {
		char who[SKF_ID_LEN + 1];

		if (readlinkat(dirfd(d), de->d_name, who, SKF_ID_LEN) == SKF_ID_LEN &&
		    !memcmp(who, container, SKF_ID_LEN) && unlinkat(dirfd(d), de->d_name, 0) < 0 &&
		    errno != ENOENT)
			return -errno;
	}
	return 0;
}

static int drop_endpoint(struct skf_engine *g, const struct skf_endpoint *p, const char *container)
{
	char dir[SKF_ID_LEN + 24];
	int r = 0;

	if (skf_streq(p->driver, SKF_NET_CNI))
		return 0;
	if (!p->ip && !p->ip6)
		return skf_fmt(dir, sizeof(dir), "networks/%s/addr", p->network) < 0
			       ? -ENAMETOOLONG
			       : drop_all_in(g, dir, container);
	if (p->ip)
		r = skf_lease_drop(g->run_fd, p->network, p->ip, container);
	if (r == 0 && p->ip6)
		r = skf_lease_drop(g->run_fd, p->network, p->ip6, container);
	return r;
}

static int drop_ports(struct skf_engine *g, const struct skf_netrec *rec)
{
	const struct skf_portmap *m = rec->ports.v;
	int r = 0;

	for (size_t i = 0; r == 0 && i < rec->ports.n; i++) {
		struct skf_ip ip;

		if (skf_ip_parse(m[i].host_ip, &ip) == 0)
			r = skf_port_drop(g->run_fd, m[i].proto, ip.family,
					  skf_ip_is_any(&ip) ? "" : m[i].host_ip, (uint16_t)m[i].host,
					  rec->container);
	}
	return r;
}

static bool is_incomplete(const struct skf_netrec *rec)
{
	const struct skf_endpoint *p = rec->endpoints.v;

	for (size_t i = 0; i < rec->endpoints.n; i++)
		if (!p[i].ip && !p[i].ip6)
			return true;
	return false;
}

static int drop_names(struct skf_engine *g, const struct skf_netrec *rec, struct skf_err *e)
{
	const struct skf_endpoint *p = rec->endpoints.v;

	if (!rec->resolver)
		return 0;
	for (size_t i = 0; i < rec->endpoints.n; i++)
		if (skf_names_remove(g->run_fd, p[i].network, rec->container, e) < 0)
			return -1;
	return skf_resolver_leave(g->run_root, rec->container, e);
}

bool skf_net_is_host_root(const struct skf_engine *g)
{
	return skf_streq(g->root, SKF_DEFAULT_ROOT) && skf_streq(g->run_root, SKF_DEFAULT_RUN_ROOT);
}

/* The root of the host keeps its bridge and table, which cost the next start a millisecond. Another root, of
 * a test, of a build, is often removed as a directory, and then nobody would know of its bridge and table,
 * and its subnet would be taken for ever: they go with its last container. */
static int after_the_last(struct skf_engine *g, struct skf_err *e)
{
	char table[SKF_NFT_TABLE_MAX];

	if (!skf_net_table_name(g, table) || (skf_streq(table, SKF_NFT_TABLE) && skf_net_is_host_root(g)))
		return 0;
	return skf_netrec_any(g->run_fd) == 1 ? 0 : skf_net_idle_down(g, e);
}

int skf_net_down(struct skf_engine *g, const char *id, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_netrec *rec;
	int r = skf_netrec_read(g->run_fd, id, &a, &rec, e);

	if (r <= 0)
		return r;
	if (drop_names(g, rec, e) < 0 || skf_net_egress_remove(g, rec, &a, e) < 0 ||
	    skf_net_table_del(g, rec, e) < 0)
		return -1;
	r = drop_ports(g, rec);
	if (r == 0 && is_incomplete(rec)) {
		r = drop_all_in(g, "networks/.ports", id);
		if (r == 0)
			r = drop_all_in(g, "networks/.ports/.single", id);
	}
	for (size_t i = 0; r == 0 && i < rec->endpoints.n; i++)
		r = drop_endpoint(g, (const struct skf_endpoint *)rec->endpoints.v + i, id);
	if (r == 0)
		r = skf_net_cni_down(g, rec);
	if (r == 0)
		r = skf_netrec_remove(g->run_fd, id);
	return r < 0 ? skf_fail_sys(e, r, "give back the addresses and ports of container %.12s", id)
		     : after_the_last(g, e);
}
