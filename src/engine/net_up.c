/* engine/net_up.c -- a container's network, while its init builds the root: a list of steps.
 *
 * Order: the record is on disk before the first lease is taken, and complete (addresses, ports) before the
 * first element and link is made; so a process that is killed anywhere leaves what skf_net_down can undo. */
#include "engine/net_cni.h"
#include <stdio.h>
#include <string.h>

struct up {
	struct skf_engine *g;
	const struct skf_net_start *s;
	struct skf_arena *a;
	struct skf_net_conf *c;
	char *name;                /* of the container or pod */
	struct skf_network **nets; /* one per endpoint */
	struct skf_netrec r;
};

int skf_net_no_memory(struct skf_err *e)
{
	return skf_fail(e, SKF_ENOMEM, "memory for a container's network");
}

/* What its last run left, when nobody has reaped it yet. */
static int clear(struct up *u, struct skf_err *e)
{
	return skf_net_down(u->g, u->s->id, e);
}

static int add_names(struct skf_endpoint *p, const struct skf_net_choice *c, const char *container,
		     const char *name, struct skf_arena *a)
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

static int load(struct up *u, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	struct skf_net_choice *c;
	struct skf_endpoint *p;

	if (skf_net_conf_read(u->g, u->s->id, u->a, &u->c, e) < 0 ||
	    skf_net_owner(u->g, u->s->id, u->a, &u->name, &dir, e) < 0)
		return -1;
	c = u->c->networks.v;
	p = skf_arena_array(u->a, u->c->networks.n + 1, sizeof(*p));
	u->nets = skf_arena_array(u->a, u->c->networks.n + 1, sizeof(struct skf_network *));
	if (!p || !u->nets)
		return skf_net_no_memory(e);
	u->r = (struct skf_netrec){.container = skf_arena_strdup(u->a, u->s->id),
				   .name = u->name,
				   .endpoints = {p, u->c->networks.n}};
	for (size_t i = 0; i < u->c->networks.n; i++) {
		struct skf_network *n;

		if (skf_net_load(u->g, c[i].network, c[i].name, u->a, &n, e) < 0)
			return skf_ctx(e, "network '%s' of container %.12s", c[i].name, u->s->id);
		if (skf_net_default_settle(u->g, u->a, &n, e) < 0)
			return -1;
		u->nets[i] = n;
		u->r.resolver |= n->dns;
		p[i] = (struct skf_endpoint){.network = n->id,
					     .name = n->name,
					     .driver = n->driver,
					     .interface = n->interface,
					     .mac = c[i].mac};
		p[i].ifname = c[i].ifname;
		p[i].link = skf_streq(n->driver, "bridge") ? skf_net_link_name(&u->r, i, u->a)
							   : skf_arena_strdup(u->a, "");
		if (!p[i].link || add_names(&p[i], &c[i], u->s->id, u->name, u->a) < 0)
			return skf_net_no_memory(e);
	}
	for (size_t i = 0; i < u->r.endpoints.n; i++) { /* after those that were asked for */
		if (!p[i].ifname)
			p[i].ifname = skf_net_ifname(&u->r, u->r.endpoints.n, u->nets[i], u->a);
		if (!p[i].ifname)
			return skf_net_no_memory(e);
	}
	if (skf_net_egress(u->c, u->nets, &u->r, u->a) < 0)
		return skf_net_no_memory(e);
	for (size_t i = 0; i < u->r.endpoints.n; i++)
		if (skf_net_egress_possible(&u->r, u->nets[i], e) < 0)
			return -1;
	/* The host's only servers are on its own loopback: our resolver reaches them, the container does
	 * not. */
	if (!u->r.resolver && u->c->dns.n == 0 && !skf_net_host_dns_usable())
		u->r.resolver = true;
	return 0;
}

static int lease(struct up *u, struct skf_err *e)
{
	const struct skf_net_choice *c = u->c->networks.v;
	struct skf_endpoint *p = u->r.endpoints.v;
	SKF_AUTO_FD int macs = -EBADF;

	if (skf_net_egress_lock(u->g, &u->r, &macs, e) < 0 || skf_net_egress_macs(u->g, &u->r, u->a, e) < 0)
		return -1;
	if (skf_netrec_write(u->g->run_fd, &u->r, e) < 0) /* from here on there is something to undo */
		return -1;
	for (size_t i = 0; i < u->r.endpoints.n; i++) { /* net_remove.c */
		struct skf_network *n;

		if (skf_net_load(u->g, c[i].network, c[i].name, u->a, &n, e) < 0)
			return skf_ctx(e, "network '%s' of container %.12s", c[i].name, u->s->id);
	}
	for (size_t i = 0; i < u->r.endpoints.n; i++)
		if (!skf_streq(p[i].driver, SKF_NET_CNI) &&
		    skf_net_endpoint(u->g, u->nets[i], &c[i], u->s->id, u->a, &p[i], e) < 0)
			return -1;
	if (skf_net_egress_macs(u->g, &u->r, u->a, e) < 0) /* those that came from addresses, too */
		return -1;
	if (skf_net_ports_take(u->g, u->c, u->nets, &u->r, u->a, e) < 0)
		return -1;
	return skf_netrec_write(u->g->run_fd, &u->r, e);
}

static int links(struct up *u, struct skf_err *e)
{
	const struct skf_endpoint *p = u->r.endpoints.v;

	for (size_t i = 0; i < u->r.endpoints.n; i++)
		if (!skf_streq(p[i].driver, SKF_NET_CNI) &&
		    skf_net_link(u->g, u->nets[i], &p[i], u->s, i == 0, e) < 0)
			return -1;
	return 0;
}

/* What they answer is known only now, and the record has it before anybody else uses it. The first of them
 * publishes the ports when no network of ours does (net_ports.c). */
static int plugins(struct up *u, struct skf_err *e)
{
	const struct skf_net_choice *c = u->c->networks.v;
	const struct skf_portmap *m = u->r.ports.v;
	const struct skf_endpoint *p = u->r.endpoints.v;
	bool ports = u->r.ports.n && !*m[0].ip, any = false;

	for (size_t i = 0; i < u->r.endpoints.n; i++) {
		if (!skf_streq(p[i].driver, SKF_NET_CNI))
			continue;
		if (skf_net_cni_add(u->g, u->s, &c[i], &u->r, i, ports, u->a, e) < 0)
			return -1;
		ports = false;
		any = true;
	}
	return any ? skf_netrec_write(u->g->run_fd, &u->r, e) : 0;
}

static int table(struct up *u, struct skf_err *e)
{
	return u->r.endpoints.n ? skf_net_table_add(u->g, u->nets[0], &u->r, u->c, e) : 0;
}

static int names(struct up *u, struct skf_err *e)
{
	return skf_net_names(u->g, u->s, u->c, &u->r, e);
}

static int files(struct up *u, struct skf_err *e)
{
	return skf_net_files(u->g, u->s->id, u->c, &u->r, e);
}

static int show_ports(struct up *u, struct skf_err *e)
{
	return skf_net_ports_show(u->g, &u->r, u->c, e);
}

static int (*const steps[])(struct up *u, struct skf_err *e) = {clear, load,  lease, links,     plugins,
								table, names, files, show_ports};

int skf_net_up(struct skf_engine *g, const struct skf_net_start *s, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct up u = {.g = g, .s = s, .a = &a};
	SKF_AUTO_FD int use = skf_net_use_lock(g, e);

	if (use < 0)
		return -1;
	for (size_t i = 0; i < SKF_ARRAY_LEN(steps); i++)
		if (steps[i](&u, e) < 0)
			return -1;
	return 0;
}
