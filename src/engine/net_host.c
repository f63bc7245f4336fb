/* engine/net_host.c -- the host's side of a network: bridge with its addresses, forwarding, the parent of
 * macvlan and ipvlan.
 *
 * Invariant: the bridge is made last, after the nft elements of its network, so that a bridge that is there
 * is complete; who finds none makes it under the network's lock. Made once, it stays until the network is
 * removed. */
#include "engine/net_int.h"
#include "sys/nlmsg.h"
#include <fcntl.h>
#include <net/if.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SYSCTL "/proc/sys/net/"

static bool sysctl_is(const char *path, const char *value)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(64);

	return skf_read_file_at(AT_FDCWD, path, 64, &b) >= 0 && skf_startswith(skf_buf_cstr(&b), value) &&
	       b.len == strlen(value) + 1;
}

/* A value that is there already is not written: /proc/sys may be read-only. */
static int set_sysctl(const char *path, const char *value)
{
	return sysctl_is(path, value) ? 0 : skf_write_existing_at(AT_FDCWD, path, value);
}

/* A host that forwards IPv6 takes no router advertisements any more, unless it is told to: its own
 * connection must not be lost. */
static void keep_router_advertisements(void)
{
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, SYSCTL "ipv6/conf", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d)
		return;
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d))) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(64);
		char path[300];

		if (skf_fmt(path, sizeof(path), "%s/accept_ra", de->d_name) == 0 && de->d_name[0] != '.' &&
		    skf_read_file_at(dirfd(d), path, 64, &b) >= 0 && skf_streq(skf_buf_cstr(&b), "1\n"))
			(void)skf_write_existing_at(
				dirfd(d), path,
				"2"); /* refused: the host loses what it would have lost without us */
	}
}

static int enable_forwarding(const struct skf_network *n, struct skf_err *e)
{
	const struct skf_netsub *s = n->subnets.v;
	bool v4 = false, v6 = false;
	int r = 0;

	for (size_t i = 0; i < n->subnets.n; i++) {
		v4 |= !strchr(s[i].subnet, ':');
		v6 |= strchr(s[i].subnet, ':') != NULL;
	}
	if (v4)
		r = set_sysctl(SYSCTL "ipv4/ip_forward", "1");
	if (r < 0)
		return skf_fail_sys(e, r, "let the host forward IPv4 (net.ipv4.ip_forward) for network '%s'",
				    n->name);
	if (!v6)
		return 0;
	if (faccessat(AT_FDCWD, SYSCTL "ipv6/conf/all/forwarding", F_OK, 0) < 0)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"network '%s' has an IPv6 subnet, and this host has no IPv6", n->name);
	if (!sysctl_is(SYSCTL "ipv6/conf/all/forwarding", "1"))
		keep_router_advertisements();
	r = set_sysctl(SYSCTL "ipv6/conf/all/forwarding", "1");
	return r < 0 ? skf_fail_sys(
			       e, r,
			       "let the host forward IPv6 (net.ipv6.conf.all.forwarding) for network '%s'",
			       n->name)
		     : 0;
}

bool skf_net_bridges_filtered(const char *family)
{
	char path[80];

	return skf_fmt(path, sizeof(path), SYSCTL "bridge/bridge-nf-call-%stables", family) == 0 &&
	       sysctl_is(path, "1");
}

static void bridge_sysctl(struct skf_engine *g, const char *family, const char *name, const char *key,
			  const char *value)
{
	char path[160];
	int r = skf_fmt(path, sizeof(path), SYSCTL "%s/conf/%s/%s", family, name, key);

	if (r == 0)
		r = skf_write_existing_at(AT_FDCWD, path, value);
	if (r < 0 && r != -ENOENT)
		skf_warn(&g->log, "set net.%s.conf.%s.%s: %s; ignoring", family, name, key, strerror(-r));
}

static int give_addresses(int nl, const struct skf_network *n, int index, struct skf_err *e)
{
	const struct skf_netsub *s = n->subnets.v;

	for (size_t i = 0; i < n->subnets.n; i++) {
		struct skf_cidr c;
		struct skf_ip gw;
		int r = -EINVAL;

		if (!s[i].gateway)
			continue;
		if (skf_cidr_parse(s[i].subnet, false, &c) == 0 && skf_ip_parse(s[i].gateway, &gw) == 0) {
			c.ip = gw;
			r = skf_link_addr_add(nl, index, &c);
		}
		if (r < 0 && r != -EEXIST)
			return skf_fail_sys(e, r, "give the bridge '%s' of network '%s' its address %s",
					    n->interface, n->name, s[i].gateway);
	}
	return 0;
}

/* Published ports on the loopback leave through the bridge with a loopback source: its answers have to be
 * let in. Chain `raw` keeps the way to what listens on the loopback shut. */
static void let_loopback_answers_in(struct skf_engine *g, int nl, const struct skf_network *n, int index)
{
	int r;

	bridge_sysctl(g, "ipv4", n->interface, "route_localnet", "1");
	r = skf_link_loopback6_route(nl, index, true);
	if (r < 0 && faccessat(AT_FDCWD, SYSCTL "ipv6/conf/all/forwarding", F_OK, 0) == 0)
		skf_warn(&g->log, "route answers to ::1 through '%s': %s; ignoring", n->interface,
			 strerror(-r));
	skf_net_loop6_bridge(g, n->interface);
}

static int make_bridge(struct skf_engine *g, int nl, const struct skf_network *n, struct skf_link *l,
		       struct skf_err *e)
{
	char mark[SKF_NET_MARK + 1], alias[SKF_NET_MARK + SKF_NET_HOME + 16], home[SKF_NET_HOME] = "";
	uint8_t mac[6];
	int r;

	if (enable_forwarding(n, e) < 0 || skf_net_table_network(g, n, true, e) < 0)
		return -1;
	skf_link_bridge_mac(n->id, mac);
	r = skf_link_bridge(nl, n->interface, mac, n->mtu);
	if (r == 0)
		r = skf_link_get(nl, n->interface, l);
	if (r < 0)
		return skf_fail_sys(e, r, "make the bridge '%s' of network '%s'", n->interface, n->name);
	if (skf_net_mark(g, mark, e) < 0)
		return -1;
	(void)skf_net_home(g->root_fd, home); /* not all file systems have handles */
	snprintf(alias, sizeof(alias), SKF_NET_ALIAS "%s%s%s", mark, *home ? " " : "", home);
	r = skf_link_alias(nl, l->index, alias);
	if (r < 0)
		skf_warn(&g->log, "mark the bridge '%s': %s; ignoring", n->interface, strerror(-r));
	let_loopback_answers_in(g, nl, n, l->index);
	bridge_sysctl(g, "ipv6", n->interface, "accept_ra", "0");
	/* Neighbours of forwarded packets are asked from the link-local address: not two seconds after the
	 * first container, but at once. */
	bridge_sysctl(g, "ipv6", n->interface, "accept_dad", "0");
	if (give_addresses(nl, n, l->index, e) < 0) {
		(void)skf_link_delete(nl, n->interface); /* so that the next start tries again */
		return -1;
	}
	return 0;
}

bool skf_net_is_our_bridge(const struct skf_network *n, const struct skf_link *l)
{
	uint8_t mac[6];

	skf_link_bridge_mac(n->id, mac);
	return memcmp(mac, l->mac, sizeof(mac)) == 0;
}

static int bridge_up(struct skf_engine *g, int nl, const struct skf_network *n, int *ret, struct skf_err *e)
{
	char name[SKF_ID_LEN + 16];
	SKF_AUTO_FD int lock = -EBADF;
	struct skf_link l;
	int r = skf_link_get(nl, n->interface, &l);

	if (r == 0 && !(l.flags & IFF_UP)) {
		r = skf_link_up(nl, l.index);
		if (r < 0)
			return skf_fail_sys(e, r, "bring up the bridge '%s' of network '%s'", n->interface,
					    n->name);
	}
	if (r == -ENODEV) {
		if (skf_fmt(name, sizeof(name), "network-%s", n->id) < 0)
			return skf_fail(e, SKF_EBUG, "the id of network '%s' is too long", n->name);
		lock = skf_lock_at(g->locks_fd, name, true, SKF_LOCK_MS);
		if (lock < 0)
			return skf_fail_sys(e, lock, "lock network '%s'", n->name);
		r = skf_link_get(nl, n->interface, &l);
		if (r == -ENODEV)
			return make_bridge(g, nl, n, &l, e) < 0 ? -1 : (*ret = l.index, 0);
	}
	if (r < 0)
		return skf_fail_sys(e, r, "look at the bridge '%s' of network '%s'", n->interface, n->name);
	if (!skf_net_is_our_bridge(n, &l)) { /* ours has had all of this since it was made */
		if (enable_forwarding(n, e) < 0 || skf_net_table_network(g, n, true, e) < 0)
			return -1;
		let_loopback_answers_in(g, nl, n, l.index);
	}
	*ret = l.index;
	return 0;
}

/* "eth0.10" makes a VLAN of eth0 when it is not there; "" is a dummy of the network's own. */
static int make_parent(int nl, const struct skf_network *n, struct skf_link *l, struct skf_err *e)
{
	const char *dot = strrchr(n->interface, '.');
	char base[IFNAMSIZ];
	struct skf_link p;
	uint32_t vlan;
	int r = -ENODEV;

	if (skf_startswith(n->interface, "dm-"))
		r = skf_link_dummy(nl, n->interface);
	else if (dot && skf_parse_u32(dot + 1, &vlan) == 0 && vlan > 0 && vlan < 4095 &&
		 skf_fmt(base, sizeof(base), "%.*s", (int)(dot - n->interface), n->interface) == 0) {
		r = skf_link_get(nl, base, &p);
		if (r == 0)
			r = skf_link_vlan(nl, n->interface, p.index, vlan);
	}
	if (r == 0 || r == -EEXIST)
		r = skf_link_get(nl, n->interface, l);
	return r < 0 ? skf_fail_sys(e, r, "find the parent interface '%s' of network '%s'", n->interface,
				    n->name)
		     : 0;
}

int skf_net_host_up(struct skf_engine *g, int nl, const struct skf_network *n, int *ret, struct skf_err *e)
{
	struct skf_link l;
	int r;

	if (skf_streq(n->driver, "bridge"))
		return bridge_up(g, nl, n, ret, e);
	r = skf_link_get(nl, n->interface, &l);
	if (r == -ENODEV && make_parent(nl, n, &l, e) < 0)
		return -1;
	if (r < 0 && r != -ENODEV)
		return skf_fail_sys(e, r, "look at the parent interface '%s' of network '%s'", n->interface,
				    n->name);
	*ret = l.index;
	return 0;
}

int skf_net_host_down(struct skf_engine *g, const struct skf_network *n, struct skf_err *e)
{
	SKF_AUTO_FD int nl = skf_nlm_open(NETLINK_ROUTE);
	struct skf_link l;
	int r = nl < 0 ? nl : 0;

	if (r == 0 && skf_streq(n->driver, "bridge")) {
		r = skf_link_get(nl, n->interface, &l);
		if (r == 0) /* docker, too, leaves a bridge that it did not make */
			r = skf_net_is_our_bridge(n, &l) ? skf_link_delete(nl, n->interface)
							 : skf_link_loopback6_route(nl, l.index, false);
	} else if (r == 0 && skf_startswith(n->interface, "dm-")) {
		r = skf_link_delete(nl, n->interface);
	}
	if (r < 0 && r != -ENODEV)
		return skf_fail_sys(e, r, "remove the interface '%s' of network '%s'", n->interface,
				    n->name);
	if (skf_streq(n->driver, "bridge") && skf_net_loop6_forget(g, n->interface, e) < 0)
		return -1;
	return skf_net_table_network(g, n, false, e);
}
