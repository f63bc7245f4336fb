/* engine/net_cni_ctr.c -- a container's attachments to CNI networks: ADD at start, DEL at reap, and the path
 * by which plugins reach its network namespace, run/netns/<id>: a bind mount of it, made for these
 * containers only. It keeps the namespace until DEL was run, even when all processes of the container and of
 * ours were killed. Every step can be repeated. The caller holds the container's lock, or the container does
 * not exist. */
#include "engine/net_cni.h"
#include "engine/pod_int.h"
#include "network/publish.h"
#include "sys/mount.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define DIRECTORY "netns"

/* --- run/netns/<id> --- */
static int netns_path(struct skf_engine *g, const char *id, char *out, size_t size)
{
	return skf_fmt(out, size, "%s/" DIRECTORY "/%s", g->run_root, id);
}

int skf_net_cni_drop_netns(struct skf_engine *g, const char *id)
{
	char path[4096];
	int r = netns_path(g, id, path, sizeof(path));

	if (r < 0 || faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return r < 0 ? r : errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
	do
		r = skf_umount(path, MNT_DETACH | UMOUNT_NOFOLLOW);
	while (r == 0); /* however many there are */
	if (r != -EINVAL && r != -ENOENT)
		return r;
	return unlinkat(AT_FDCWD, path, 0) < 0 && errno != ENOENT ? -errno : 0;
}

static int pin_netns(struct skf_engine *g, const char *id, int netns, char *path, size_t size,
		     struct skf_err *e)
{
	SKF_AUTO_FD int dir = skf_mkdirs_at(g->run_fd, DIRECTORY, 0700), fd = -EBADF;
	char from[40];
	int r = dir < 0 ? dir : netns_path(g, id, path, size);

	if (r == 0)
		r = skf_net_cni_drop_netns(g, id);
	if (r == 0)
		fd = r = skf_openat(dir, id, O_RDONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0400);
	snprintf(from, sizeof(from), "/proc/self/fd/%d", netns);
	if (r >= 0)
		r = skf_mount_at_fd(from, fd, NULL, MS_BIND, NULL);
	return r < 0 ? skf_fail_sys(e, r, "mount the network namespace of container %.12s on '%s'", id, path)
		     : 0;
}

static bool has_netns(struct skf_engine *g, const char *id, char *path, size_t size)
{
	return netns_path(g, id, path, size) == 0 &&
	       faccessat(AT_FDCWD, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* --- ADD --- */
struct add {
	struct skf_engine *g;
	struct skf_arena *a;
	const struct skf_net_choice *c;
	struct skf_netrec *r;
	struct skf_endpoint *p;
	struct skf_cni_list *l;
	struct skf_cni_call call;
	struct skf_strv wanted; /* addresses that were asked for */
};

/* runtimeConfig.portMappings: a port of every address once, although the record has it for each family. */
static int add_ports(struct add *x, struct skf_err *e)
{
	const struct skf_portmap *m = x->r->ports.v;
	struct skf_cni_port *v = skf_arena_array(x->a, x->r->ports.n + 1, sizeof(*v));
	size_t n = 0;

	if (!v)
		return skf_net_no_memory(e);
	if (x->r->ports.n && !skf_cni_can(x->l, "portMappings"))
		return skf_fail(e, SKF_EINVALID,
				"network '%s' cannot publish ports: no plugin in '%s' has the capability "
				"portMappings",
				x->p->name, skf_cni_file(x->l));
	for (size_t i = 0; i < x->r->ports.n; i++) {
		bool any = skf_streq(m[i].host_ip, "0.0.0.0") || skf_streq(m[i].host_ip, "::"),
		     before = false;

		for (size_t k = 0; any && k < n && !before; k++)
			before = !v[k].host_ip && v[k].host_port == m[i].host &&
				 skf_streq(v[k].protocol, m[i].proto);
		if (!before)
			v[n++] = (struct skf_cni_port){(uint16_t)m[i].host, (uint16_t)m[i].port, m[i].proto,
						       any ? NULL : m[i].host_ip};
	}
	x->call.ports = v;
	x->call.n_ports = n;
	return 0;
}

static int add_arg(struct add *x, const char *key, const char *value)
{
	char *s = skf_arena_fmt(x->a, "%s=%s", key, value);

	return s ? skf_strv_add(x->a, &x->call.args, s) : -ENOMEM;
}

/* Addresses and MAC as capabilities where a plugin has them, else as the arguments that came before
 * capabilities. */
static int add_wishes(struct add *x, struct skf_err *e)
{
	int r = add_arg(x, "IgnoreUnknown", "1");

	if (r == 0 && x->r->name)
		r = add_arg(x, "K8S_POD_NAME", x->r->name);
	if (r == 0 && x->c->ip)
		r = skf_strv_add(x->a, &x->wanted, x->c->ip);
	if (r == 0 && x->c->ip6)
		r = skf_strv_add(x->a, &x->wanted, x->c->ip6);
	if (skf_cni_can(x->l, "ips"))
		x->call.ips = x->wanted;
	else
		for (size_t i = 0; r == 0 && i < x->wanted.n; i++)
			r = add_arg(x, "IP", x->wanted.v[i]);
	if (r == 0 && x->c->mac && skf_cni_can(x->l, "mac"))
		x->call.mac = x->c->mac;
	else if (r == 0 && x->c->mac)
		r = add_arg(x, "MAC", x->c->mac);
	if (skf_cni_can(x->l, "aliases"))
		x->call.aliases = x->p->names;
	return r < 0 ? skf_net_no_memory(e) : 0;
}

/* The first address of each family; further ones are the plugin's and the workload's. */
static int take_result(struct add *x, const struct skf_cni_result *res, struct skf_err *e)
{
	struct skf_endpoint *p = x->p;

	for (size_t i = 0; i < res->ips.n; i++) {
		char *gateway = *res->gateways.v[i] ? res->gateways.v[i] : NULL, *text;
		char out[SKF_IP_TEXT];
		struct skf_cidr c;

		if (skf_cidr_parse(res->ips.v[i], true, &c) < 0)
			return skf_fail(e, SKF_ECORRUPT,
					"network '%s' answered the address '%.60s': expected ADDRESS/PREFIX",
					p->name, res->ips.v[i]);
		skf_ip_text(&c.ip, out);
		text = skf_arena_strdup(x->a, out);
		if (!text)
			return skf_net_no_memory(e);
		if (c.ip.family == AF_INET && !p->ip) {
			p->ip = text;
			p->prefix = c.prefix;
			p->gateway = gateway;
		} else if (c.ip.family == AF_INET6 && !p->ip6) {
			p->ip6 = text;
			p->prefix6 = c.prefix;
			p->gateway6 = gateway;
		}
	}
	p->mac = res->mac;
	p->dns_servers = res->dns_servers;
	p->dns_search = res->dns_search;
	p->dns_options = res->dns_options;
	return 0;
}

static bool has_address(const struct skf_cni_result *res, const char *wanted)
{
	struct skf_cidr c;
	struct skf_ip ip;

	if (skf_ip_parse(wanted, &ip) < 0)
		return false;
	for (size_t i = 0; i < res->ips.n; i++)
		if (skf_cidr_parse(res->ips.v[i], true, &c) == 0 && c.ip.family == ip.family &&
		    !memcmp(c.ip.b, ip.b, skf_ip_len(&ip)))
			return true;
	return false;
}

/* A plugin that does not know the arguments ignores them; what was asked for is given or refused. */
static int check_wishes(const struct add *x, const struct skf_cni_result *res, struct skf_err *e)
{
	uint8_t want[6], have[6];

	for (size_t i = 0; i < x->wanted.n; i++)
		if (!has_address(res, x->wanted.v[i]))
			return skf_fail(e, SKF_EUNSUPPORTED,
					"network '%s' gave the container %s instead of the address %s: its "
					"plugins in '%s' need the capability ips",
					x->p->name, res->ips.n ? res->ips.v[0] : "no address",
					x->wanted.v[i], skf_cni_file(x->l));
	if (x->c->mac && (skf_mac_parse(x->c->mac, want) < 0 || !res->mac ||
			  skf_mac_parse(res->mac, have) < 0 || memcmp(want, have, sizeof(want)) != 0))
		return skf_fail(e, SKF_EUNSUPPORTED,
				"network '%s' gave the container the MAC address '%s' instead of %s: its "
				"plugins in '%s' need the capability mac",
				x->p->name, res->mac ? res->mac : "", x->c->mac, skf_cni_file(x->l));
	return 0;
}

/* Ports of a family that the container has no address of lead nowhere. */
static int drop_idle_ports(struct add *x, struct skf_err *e)
{
	struct skf_portmap *m = x->r->ports.v;
	size_t kept = 0;

	for (size_t i = 0; i < x->r->ports.n; i++) {
		bool v6 = strchr(m[i].host_ip, ':') != NULL;
		const char *lease = skf_streq(m[i].host_ip, "::") || skf_streq(m[i].host_ip, "0.0.0.0")
					    ? ""
					    : m[i].host_ip;
		int r = 0;

		if (v6 ? x->p->ip6 != NULL : x->p->ip != NULL) {
			m[kept++] = m[i];
			continue;
		}
		r = skf_port_drop(x->g->run_fd, m[i].proto, v6 ? AF_INET6 : AF_INET, lease,
				  (uint16_t)m[i].host, x->r->container);
		if (r < 0)
			return skf_fail_sys(e, r, "give back port %u", m[i].host);
	}
	x->r->ports.n = kept;
	return 0;
}

int skf_net_cni_add(struct skf_engine *g, const struct skf_net_start *s, const struct skf_net_choice *c,
		    struct skf_netrec *r, size_t i, bool ports, struct skf_arena *a, struct skf_err *e)
{
	struct add x = {.g = g, .a = a, .c = c, .r = r, .p = (struct skf_endpoint *)r->endpoints.v + i};
	struct skf_cni_result *res;
	struct skf_cni_dirs d;
	char path[4096];

	if (skf_net_cni_list(g, &d, x.p->name, a, &x.l, e) < 0)
		return -1;
	if (!has_netns(g, s->id, path, sizeof(path)) &&
	    pin_netns(g, s->id, s->netns_fd, path, sizeof(path), e) < 0)
		return -1;
	x.call = (struct skf_cni_call){.container_id = s->id, .ifname = x.p->ifname, .netns = path};
	if (add_wishes(&x, e) < 0 || (ports && add_ports(&x, e) < 0))
		return -1;
	skf_net_cni_del(g, s->id, x.p->name,
			x.p->ifname); /* what an earlier run left when a plugin failed */
	if (skf_cni_add(g->run_fd, &d, x.l, &x.call, a, &res, e) < 0)
		return -1;
	return check_wishes(&x, res, e) < 0 || take_result(&x, res, e) < 0 ? -1
	       : ports                                                     ? drop_idle_ports(&x, e)
									   : 0;
}

/* --- DEL --- */
void skf_net_cni_del(struct skf_engine *g, const char *id, const char *network, const char *ifname)
{
	struct skf_cni_dirs d = skf_net_cni_dirs(g);
	struct skf_err x = SKF_ERR_INIT;
	char path[4096];
	struct skf_cni_call call = {.container_id = id,
				    .ifname = ifname,
				    .netns = has_netns(g, id, path, sizeof(path)) ? path : NULL};

	if (skf_cni_del(g->run_fd, &d, network, NULL, &call, &x) < 0)
		skf_warn(&g->log,
			 "container %.12s leaves the CNI network '%s': %s; `skiff system check --repair` "
			 "tries again",
			 id, network, x.msg);
}

int skf_net_cni_down(struct skf_engine *g, const struct skf_netrec *r)
{
	const struct skf_endpoint *p = r->endpoints.v;
	bool any = false;

	for (size_t i = r->endpoints.n; i-- > 0;)
		if (skf_streq(p[i].driver, SKF_NET_CNI)) {
			skf_net_cni_del(g, r->container, p[i].name, p[i].ifname);
			any = true;
		}
	return any ? skf_net_cni_drop_netns(g, r->container) : 0;
}

/* --- after a reboot --- */
static int forget(struct skf_engine *g, const char *id, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_net_choice *c;
	struct skf_net_conf *conf;
	SKF_AUTO_FD int lock = -EBADF;
	struct skf_netrec *rec;
	int r;

	if (skf_ctr_lock(g, id, &lock, e) < 0 || skf_net_conf_read(g, id, &a, &conf, e) < 0)
		return -1;
	r = skf_netrec_read(g->run_fd, id, &a, &rec, e);
	if (r != 0)
		return r < 0 ? -1 : 0;
	c = conf->networks.v;
	for (size_t i = 0; i < conf->networks.n; i++) {
		struct skf_err x = SKF_ERR_INIT;
		struct skf_network *n;
		struct skf_cni_dirs d;
		struct skf_cni_list *l;
		char ifname[32];
		struct skf_cni_call call = {.container_id = id,
					    .ifname = c[i].ifname ? c[i].ifname : ifname};

		snprintf(ifname, sizeof(ifname), "eth%zu", i);
		if (skf_net_load(g, c[i].network, c[i].name, &a, &n, &x) < 0 ||
		    !skf_streq(n->driver, SKF_NET_CNI) || skf_net_cni_list(g, &d, n->name, &a, &l, &x) < 0)
			continue; /* not of CNI, or gone: nobody knows any more how to leave it */
		if (skf_cni_del(g->run_fd, &d, n->name, l, &call, &x) < 0)
			skf_warn(&g->log, "container %.12s, CNI network '%s': %s; ignoring", id, n->name,
				 x.msg);
	}
	return 0;
}

static int all_ids(struct skf_engine *g, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e)
{
	SKF_AUTO_DIR DIR *d = skf_ctr_opendir(g, e);
	const char *id;

	if (!d)
		return -1;
	if (skf_pod_list(g, a, ret, e) < 0)
		return -1;
	while ((id = skf_ctr_next(d)))
		if (skf_strv_add(a, ret, id) < 0)
			return skf_net_no_memory(e);
	return 0;
}

int skf_net_cni_gc(struct skf_engine *g, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_cni_attachment *v;
	struct skf_strv names;
	struct skf_jarr all;

	if (!g->conf.cni_gc)
		return 0;
	if (skf_cni_attached(g->run_fd, &a, &all, e) < 0 || skf_net_cni_names(g, &a, &names, e) < 0)
		return -1;
	v = all.v;
	for (size_t i = 0; i < names.n; i++) {
		struct skf_cni_attachment *valid = skf_arena_array(&a, all.n + 1, sizeof(*valid));
		struct skf_err x = SKF_ERR_INIT;
		struct skf_cni_dirs d;
		struct skf_cni_list *l;
		size_t n = 0;

		if (!valid)
			return skf_net_no_memory(e);
		for (size_t k = 0; k < all.n; k++)
			if (skf_streq(v[k].network, names.v[i]))
				valid[n++] = v[k];
		if (skf_net_cni_list(g, &d, names.v[i], &a, &l, &x) < 0 ||
		    skf_cni_gc(g->run_fd, &d, l, valid, n, &x) < 0)
			skf_warn(&g->log, "GC of the CNI network '%s': %s; ignoring", names.v[i], x.msg);
	}
	return 0;
}

int skf_net_cni_boot(struct skf_engine *g, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_strv ids = {0};

	if (all_ids(g, &a, &ids, e) < 0)
		return -1;
	for (size_t i = 0; i < ids.n; i++)
		if (forget(g, ids.v[i], e) < 0) {
			skf_warn(&g->log, "%s; ignoring", e->msg);
			skf_err_clear(e);
		}
	return skf_net_cni_gc(g, e);
}
