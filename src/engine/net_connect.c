/* engine/net_connect.c -- network connect and disconnect: the container's file first, then, when it runs,
 * the endpoint itself. The container's lock is held. Links are made and removed through a socket that launch
 * opens in the container's namespace. */
#include "engine/net_cni.h"
#include "network/names.h"
#include "base/proc.h"
#include "base/record.h"
#include "launch/wire.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

struct change {
	struct skf_engine *g;
	struct skf_arena *a;
	const char *id;
	struct skf_network *n;
	struct skf_net_conf *c;
	struct skf_netrec *r; /* NULL: it does not run */
	struct skf_ctr_live l;
	int netns, nl, lock, use, macs;
};

static void change_done(struct change *x)
{
	skf_closep(&x->netns);
	skf_closep(&x->nl);
	skf_closep(&x->lock);
	skf_closep(&x->use);
	skf_closep(&x->macs);
}

/* launch opens the socket in the namespace: the engine itself enters none (DESIGN 3c). */
static int open_socket(struct change *x, struct skf_err *e)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%u/ns/net", x->l.sum.pid);
	x->netns = skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (x->netns < 0)
		return skf_fail_sys(e, x->netns, "open the network namespace of container %.12s", x->id);
	if (skf_proc_alive((pid_t)x->l.sum.pid, x->l.sum.start_time) != 1)
		return skf_fail(e, SKF_ECONFLICT, "container %.12s has just ended", x->id);
	return skf_net_ask_socket(x->g, x->id, x->netns, &x->nl, e);
}

static int begin(struct change *x, const char *network, const char *container, struct skf_err *e)
{
	int r;

	x->netns = x->nl = x->lock = x->use = x->macs = -EBADF;
	if (skf_engine_resolve(x->g, container, (char *)(uintptr_t)x->id, e) < 0 ||
	    skf_net_find(x->g, network, x->a, &x->n, e) < 0 || skf_ctr_lock(x->g, x->id, &x->lock, e) < 0 ||
	    skf_net_conf_read(x->g, x->id, x->a, &x->c, e) < 0 || skf_ctr_live(x->g, x->id, &x->l, e) < 0)
		return -1;
	if (!skf_net_conf_is_ours(x->c) && !skf_streq(x->c->mode, "none"))
		return skf_fail(e, SKF_EDENIED,
				"container sharing network namespace with another container or host cannot "
				"be connected to any other network");
	if (!skf_ctr_is_made(x->l.state))
		return 0;
	r = skf_netrec_read(x->g->run_fd, x->id, x->a, &x->r, e);
	if (r == 0 && skf_streq(x->c->mode, "none")) { /* its first network */
		x->r = skf_arena_alloc(x->a, sizeof(*x->r));
		if (!x->r)
			return skf_net_no_memory(e);
		*x->r = (struct skf_netrec){.container = skf_arena_strdup(x->a, x->id),
					    .name = x->l.sum.name};
	}
	if (r >= 0 && x->r)
		x->use = skf_net_use_lock(x->g, e);
	if (r >= 0 && x->r && (x->use < 0 || skf_net_default_settle(x->g, x->a, &x->n, e) < 0))
		return -1;
	return r < 0  ? -1
	       : x->r ? open_socket(x, e)
		      : skf_fail(e, SKF_ECORRUPT, "container %.12s runs without a network record", x->id);
}

static int save(struct change *x, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;

	return skf_ctr_open_dir(x->g, x->id, &dir, e) < 0 ? -1 : skf_net_conf_write(dir, x->c, e);
}

/* Room for one more at the end of both lists. */
static int grow(struct change *x)
{
	struct skf_net_choice *c = skf_arena_array(x->a, x->c->networks.n + 1, sizeof(*c));
	struct skf_endpoint *p = x->r ? skf_arena_array(x->a, x->r->endpoints.n + 1, sizeof(*p)) : NULL;

	if (!c || (x->r && !p))
		return -ENOMEM;
	if (x->c->networks.n)
		memcpy(c, x->c->networks.v, x->c->networks.n * sizeof(*c));
	x->c->networks.v = c;
	if (x->r && x->r->endpoints.n)
		memcpy(p, x->r->endpoints.v, x->r->endpoints.n * sizeof(*p));
	if (x->r)
		x->r->endpoints.v = p;
	return 0;
}

/* Before anything is written: net_egress.c. There is room (grow). */
static int mac_is_free(struct change *x, const struct skf_net_choice *c, struct skf_err *e)
{
	struct skf_endpoint *p = (struct skf_endpoint *)x->r->endpoints.v + x->r->endpoints.n;
	int r;

	if (skf_net_egress_lock(x->g, x->r, &x->macs, e) < 0)
		return -1;
	*p = (struct skf_endpoint){.name = x->n->name, .mac = c->mac};
	x->r->endpoints.n++;
	r = skf_net_egress_macs(x->g, x->r, x->a, e);
	x->r->endpoints.n--;
	return r;
}

static int names_of(struct change *x, const struct skf_net_choice *c, struct skf_endpoint *p)
{
	char short_id[SKF_SHORT_ID + 1];

	memcpy(short_id, x->id, SKF_SHORT_ID);
	short_id[SKF_SHORT_ID] = '\0';
	if (skf_strv_add(x->a, &p->names, x->l.sum.name) < 0 || skf_strv_add(x->a, &p->names, short_id) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < c->aliases.n; i++)
		if (skf_strv_add(x->a, &p->names, c->aliases.v[i]) < 0)
			return -ENOMEM;
	return 0;
}

/* Addresses and interface, in the order that a killed process needs. */
static int make_endpoint(struct change *x, const struct skf_net_choice *c, const struct skf_net_start *s,
			 struct skf_endpoint *p, struct skf_err *e)
{
	bool cni = skf_streq(x->n->driver, SKF_NET_CNI);

	if (skf_netrec_write(x->g->run_fd, x->r, e) < 0)
		return -1;
	if (cni ? skf_net_cni_add(x->g, s, c, x->r, x->r->endpoints.n - 1, false, x->a, e) < 0
		: skf_net_endpoint(x->g, x->n, c, x->id, x->a, p, e) < 0)
		return -1;
	if (skf_net_egress_macs(x->g, x->r, x->a, e) < 0) {
		p->mac = NULL; /* it came from the address; what is undone must not be the other's */
		return -1;
	}
	if (skf_netrec_write(x->g->run_fd, x->r, e) < 0)
		return -1;
	skf_closep(&x->macs);
	return cni ? 0 : skf_net_link(x->g, x->n, p, s, x->r->endpoints.n == 1, e);
}

/* Ports that no network of it could have so far. */
static int publish(struct change *x, struct skf_err *e)
{
	const struct skf_endpoint *p = x->r->endpoints.v;
	struct skf_network **nets = skf_arena_array(x->a, x->r->endpoints.n, sizeof(struct skf_network *));

	if (x->r->ports.n || skf_streq(x->n->driver, SKF_NET_CNI))
		return 0;
	if (!nets)
		return skf_net_no_memory(e);
	for (size_t i = 0; i < x->r->endpoints.n; i++)
		if (skf_net_load(x->g, p[i].network, p[i].name, x->a, &nets[i], e) < 0)
			return -1;
	return skf_net_ports_take(x->g, x->c, nets, x->r, x->a, e) < 0
		       ? -1
		       : skf_netrec_write(x->g->run_fd, x->r, e);
}

/* A running container gets the interface. */
static int add_endpoint(struct change *x, const struct skf_net_choice *c, struct skf_err *e)
{
	const struct skf_net_start s = {.id = x->id, .pid = x->l.sum.pid, .netns_fd = x->netns, .nl = x->nl};
	struct skf_endpoint *p = (struct skf_endpoint *)x->r->endpoints.v + x->r->endpoints.n;

	*p = (struct skf_endpoint){.network = x->n->id,
				   .name = x->n->name,
				   .driver = x->n->driver,
				   .interface = x->n->interface,
				   .mac = c->mac};
	p->ifname = c->ifname ? c->ifname : skf_net_ifname(x->r, x->r->endpoints.n, x->n, x->a);
	p->link = skf_streq(x->n->driver, "bridge") ? skf_net_link_name(x->r, x->r->endpoints.n, x->a)
						    : skf_arena_strdup(x->a, "");
	if (!p->ifname || !p->link || names_of(x, c, p) < 0)
		return skf_net_no_memory(e);
	x->r->endpoints.n++;
	x->r->resolver |= x->n->dns;
	if (make_endpoint(x, c, &s, p, e) < 0 || publish(x, e) < 0 ||
	    skf_net_table_add(x->g, x->n, x->r, x->c, e) < 0)
		return -1;
	return skf_net_ports_show(x->g, x->r, x->c, e) < 0 || skf_net_names(x->g, &s, x->c, x->r, e) < 0
		       ? -1
		       : skf_net_files(x->g, x->id, x->c, x->r, e);
}

/* The path of the namespace goes with the last interface that needs it. */
static int drop_link(struct change *x, const struct skf_endpoint *p)
{
	const struct skf_endpoint *v = x->r->endpoints.v;
	size_t cni = 0;
	int r;

	if (!skf_streq(p->driver, SKF_NET_CNI)) {
		r = skf_link_delete(x->nl, p->ifname);
		return r == -ENODEV ? 0 : r;
	}
	skf_net_cni_del(x->g, x->id, p->name, p->ifname);
	for (size_t i = 0; i < x->r->endpoints.n; i++)
		cni += skf_streq(v[i].driver, SKF_NET_CNI);
	return cni == 1 ? skf_net_cni_drop_netns(x->g, x->id) : 0;
}

static int drop_leases(struct change *x, const struct skf_endpoint *p)
{
	int r = p->ip ? skf_lease_drop(x->g->run_fd, p->network, p->ip, x->id) : 0;

	return r == 0 && p->ip6 ? skf_lease_drop(x->g->run_fd, p->network, p->ip6, x->id) : r;
}

/* Takes endpoint i of a running container away. */
static int drop_endpoint(struct change *x, size_t i, struct skf_err *e)
{
	const struct skf_net_start s = {.id = x->id, .pid = x->l.sum.pid, .netns_fd = x->netns, .nl = x->nl};
	struct skf_endpoint *v = x->r->endpoints.v, p = v[i];
	struct skf_network *next;
	int r;

	if (x->r->resolver && skf_names_remove(x->g->run_fd, p.network, x->id, e) < 0)
		return -1;
	r = drop_link(x, &p);
	if (r < 0)
		return skf_fail_sys(e, r, "remove the interface '%s' of container %.12s", p.ifname, x->id);
	memmove(&v[i], &v[i + 1], (x->r->endpoints.n - i - 1) * sizeof(*v));
	x->r->endpoints.n--;
	if (skf_net_ports_move(x->g, x->r, &p, e) < 0) /* while nobody else can get its addresses */
		return -1;
	r = skf_streq(p.driver, SKF_NET_CNI) ? 0 : drop_leases(x, &p);
	if (r < 0)
		return skf_fail_sys(e, r, "give back the addresses of container %.12s", x->id);
	if (skf_netrec_write(x->g->run_fd, x->r, e) < 0 ||
	    (x->r->egress && skf_net_egress_forget(x->g, &p, x->a, e) < 0))
		return -1;
	if (x->r->ports.n && skf_net_table_add(x->g, x->n, x->r, x->c, e) < 0)
		return -1;
	if (skf_net_ports_show(x->g, x->r, x->c, e) < 0)
		return -1;
	if (i == 0 && x->r->endpoints.n &&
	    (skf_net_load(x->g, v[0].network, v[0].name, x->a, &next, e) < 0 ||
	     skf_net_default_route(next, &v[0], x->nl, e) < 0))
		return -1;
	return skf_net_names(x->g, &s, x->c, x->r, e) < 0 ? -1 : skf_net_files(x->g, x->id, x->c, x->r, e);
}

/* As it was before: a container without a network has no record either. */
static void take_back(struct change *x, char *mode)
{
	struct skf_err ignored = SKF_ERR_INIT;

	x->c->networks.n--;
	x->c->mode = mode;
	if (save(x, &ignored) < 0 ||
	    (x->r && x->r->endpoints.n && drop_endpoint(x, x->r->endpoints.n - 1, &ignored) < 0) ||
	    (skf_streq(mode, "none") && skf_net_down(x->g, x->id, &ignored) < 0))
		skf_warn(&x->g->log, "%s; ignoring",
			 ignored.msg); /* the failure that led here is the one to tell */
}

int skf_engine_network_connect(struct skf_engine *g, const char *network, const char *container,
			       const struct skf_net_attach *how, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	char id[SKF_ID_LEN + 1];
	SKF_AUTO(change_done) struct change x = {.g = g, .a = &a, .id = id};
	struct skf_net_choice *c, wanted;
	size_t before;
	char *mode;

	if (begin(&x, network, container, e) < 0)
		return -1;
	c = x.c->networks.v;
	for (size_t i = 0; i < x.c->networks.n; i++)
		if (skf_streq(c[i].network, x.n->id))
			return skf_fail(e, SKF_ECONFLICT,
					"endpoint with name %s already exists in network %s", x.l.sum.name,
					x.n->name);
	if (skf_net_choose(x.n, how, &wanted, e) < 0 || (x.r && skf_net_egress_possible(x.r, x.n, e) < 0))
		return -1;
	if (x.c->networks.n == SKF_MAX_CTR_NETWORKS)
		return skf_fail(e, SKF_ELIMIT, "container %s is on %d networks: more are not possible",
				x.l.sum.name, SKF_MAX_CTR_NETWORKS);
	if (grow(&x) < 0)
		return skf_net_no_memory(e);
	if (x.r && mac_is_free(&x, &wanted, e) < 0)
		return -1;
	before = x.r ? x.r->endpoints.n : 0;
	c = (struct skf_net_choice *)x.c->networks.v + x.c->networks.n++;
	*c = wanted;
	mode = x.c->mode;
	x.c->mode = skf_arena_strdup(&a, SKF_NET_MODE_BRIDGE);
	if (!x.c->mode || save(&x, e) < 0)
		return x.c->mode ? -1 : skf_net_no_memory(e);
	if (!x.r || add_endpoint(&x, c, e) == 0)
		return 0;
	x.r->endpoints.n = before + 1;
	take_back(&x, mode);
	return -1;
}

/* 1 the configuration named the network and does not any more, 0 it did not, -1. */
static int drop_choice(struct change *x, struct skf_err *e)
{
	struct skf_net_choice *c = x->c->networks.v;
	size_t i = 0;

	while (i < x->c->networks.n && !skf_streq(c[i].network, x->n->id))
		i++;
	if (i == x->c->networks.n)
		return 0;
	memmove(&c[i], &c[i + 1], (x->c->networks.n - i - 1) * sizeof(*c));
	x->c->networks.n--;
	if (x->c->networks.n == 0) {
		x->c->mode = skf_arena_strdup(x->a, SKF_NET_MODE_BRIDGE);
		if (!x->c->mode)
			return skf_net_no_memory(e);
	}
	return save(x, e) < 0 ? -1 : 1;
}

/* Configuration first, then the endpoint: of a disconnect that was killed between them the endpoint is left,
 * which the next one takes. */
int skf_engine_network_disconnect(struct skf_engine *g, const char *network, const char *container,
				  bool force, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	char id[SKF_ID_LEN + 1];
	SKF_AUTO(change_done) struct change x = {.g = g, .a = &a, .id = id};
	const struct skf_endpoint *p;
	int r;

	if (begin(&x, network, container, e) < 0)
		return -1;
	r = drop_choice(&x, e);
	if (r < 0)
		return -1;
	p = x.r ? x.r->endpoints.v : NULL;
	for (size_t i = 0; x.r && i < x.r->endpoints.n; i++)
		if (skf_streq(p[i].network, x.n->id))
			return drop_endpoint(&x, i, e);
	return r == 1 || force ? 0
			       : skf_fail(e, SKF_EDENIED, "container %s is not connected to network %s", id,
					  x.n->name);
}
