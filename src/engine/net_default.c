/* engine/net_default.c -- the default network, which nobody has to make, and networks by the user's word. */
#include "engine/net_cni.h"
#include "base/proc.h"
#include "sys/nlmsg.h"
#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SKF_NET_BRIDGE "skiff0"

static bool host_has_ipv6(void)
{
	return faccessat(AT_FDCWD, "/proc/sys/net/ipv6/conf/all/forwarding", F_OK, 0) == 0;
}

/* Subnets, first usable address as gateway. */
static int choose_subnets(struct skf_engine *g, struct skf_network *n, struct skf_arena *a,
			  struct skf_err *e)
{
	struct skf_netsub *s = skf_arena_array(a, 2, sizeof(*s));

	if (!s)
		return skf_fail(e, SKF_ENOMEM, "memory for the default network");
	if (skf_net_pool(g, AF_INET, false, a, &s[0].subnet, e) < 0 ||
	    (n->ipv6 && skf_net_pool(g, AF_INET6, false, a, &s[1].subnet, e) < 0))
		return -1;
	n->subnets = (struct skf_jarr){s, 1 + n->ipv6};
	for (size_t i = 0; i < n->subnets.n; i++) {
		s[i].gateway = skf_net_first_address(s[i].subnet, a);
		if (!s[i].gateway)
			return skf_fail(e, SKF_ENOMEM, "memory for the default network");
	}
	return 0;
}

/* "skiff0", or, when somebody has it, a name of our own. */
static int choose_interface(struct skf_network *n, struct skf_arena *a, struct skf_err *e)
{
	SKF_AUTO_FD int nl = skf_nlm_open(NETLINK_ROUTE);
	struct skf_link l;
	int r = nl < 0 ? nl : skf_link_get(nl, SKF_NET_BRIDGE, &l);

	if (r < 0 && r != -ENODEV)
		return skf_fail_sys(e, r, "look for the interface '" SKF_NET_BRIDGE "'");
	n->interface =
		r == -ENODEV ? skf_arena_strdup(a, SKF_NET_BRIDGE) : skf_arena_fmt(a, "skiff-%.8s", n->id);
	return n->interface ? 0 : skf_fail(e, SKF_ENOMEM, "memory for the default network");
}

/* The lock "networks" is held. */
static int move_away(struct skf_engine *g, struct skf_network *n, struct skf_arena *a, struct skf_err *e)
{
	const char *who;
	int r = skf_net_user(g, n->id, a, &who, e);

	if (r != 0)
		return r < 0 ? -1
			     : skf_fail(e, SKF_ECONFLICT,
					"the interface '%s' is not the bridge of this root of skiff any "
					"more (another root's?), and containers are on its "
					"default network: stop them, or remove the interface",
					n->interface);
	if (choose_interface(n, a, e) < 0 || choose_subnets(g, n, a, e) < 0)
		return -1;
	return skf_network_save(g->root_fd, n, e);
}

/* 1 somebody else's interface has the name, 0 not, -1. */
static int is_taken(const struct skf_network *n, struct skf_err *e)
{
	SKF_AUTO_FD int nl = skf_nlm_open(NETLINK_ROUTE);
	struct skf_link l;
	int r = nl < 0 ? nl : skf_link_get(nl, n->interface, &l);

	if (r == -ENODEV)
		return 0;
	return r < 0 ? skf_fail_sys(e, r, "look at the bridge '%s'", n->interface)
		     : !skf_net_is_our_bridge(n, &l);
}

int skf_net_default_settle(struct skf_engine *g, struct skf_arena *a, struct skf_network **n,
			   struct skf_err *e)
{
	SKF_AUTO_FD int lock = -EBADF;
	int r = (*n)->is_default ? is_taken(*n, e) : 0;

	if (r <= 0)
		return r;
	lock = skf_lock_at(g->locks_fd, "networks", true, SKF_LOCK_MS);
	if (lock < 0)
		return skf_fail_sys(e, lock, "lock the networks");
	if (skf_network_load(g->root_fd, (*n)->id, a, n, e) < 0)
		return -1;
	r = is_taken(*n, e); /* somebody else of ours may have moved it */
	return r <= 0 ? r : move_away(g, *n, a, e);
}

static int make_default(struct skf_engine *g, struct skf_arena *a, struct skf_network **ret,
			struct skf_err *e)
{
	struct skf_network *n = skf_arena_alloc(a, sizeof(*n));
	char id[SKF_ID_LEN + 1], created[36];
	int r = n ? skf_random_hex(id, SKF_ID_LEN / 2) : -ENOMEM;

	if (r < 0)
		return skf_fail_sys(e, r, "make the default network");
	skf_time_rfc3339(skf_now_ns(), created);
	*n = (struct skf_network){.id = skf_arena_strdup(a, id),
				  .name = skf_arena_strdup(a, SKF_NET_DEFAULT),
				  .driver = skf_arena_strdup(a, "bridge"),
				  .created = skf_arena_strdup(a, created),
				  .ipv6 = host_has_ipv6(),
				  .masquerade = true,
				  .icc = true,
				  .is_default = true};
	if (!n->id || !n->name || !n->driver || !n->created)
		return skf_fail(e, SKF_ENOMEM, "memory for the default network");
	if (choose_interface(n, a, e) < 0 || choose_subnets(g, n, a, e) < 0 ||
	    skf_network_save(g->root_fd, n, e) < 0 || skf_network_claim(g->root_fd, n->name, n->id, e) < 0)
		return -1;
	*ret = n;
	return 0;
}

int skf_net_default(struct skf_engine *g, struct skf_arena *a, struct skf_network **ret, struct skf_err *e)
{
	SKF_AUTO_FD int lock = -EBADF;

	if (skf_network_find(g->root_fd, SKF_NET_DEFAULT, a, ret, e) == 0)
		return 0;
	if (e->kind != SKF_ENOTFOUND)
		return -1;
	skf_err_clear(e);
	lock = skf_lock_at(g->locks_fd, "networks", true, SKF_LOCK_MS);
	if (lock < 0)
		return skf_fail_sys(e, lock, "lock the networks");
	if (skf_network_find(g->root_fd, SKF_NET_DEFAULT, a, ret, e) == 0)
		return 0; /* somebody else was faster */
	if (e->kind != SKF_ENOTFOUND)
		return -1;
	skf_err_clear(e);
	return make_default(g, a, ret, e);
}

int skf_net_find(struct skf_engine *g, const char *word, struct skf_arena *a, struct skf_network **ret,
		 struct skf_err *e)
{
	struct skf_err x = SKF_ERR_INIT;

	if (skf_streq(word, "default") || skf_streq(word, SKF_NET_DEFAULT))
		return skf_net_default(g, a, ret, e);
	if (skf_network_find(g->root_fd, word, a, ret, e) == 0)
		return 0;
	if (e->kind != SKF_ENOTFOUND)
		return -1;
	if (skf_net_cni_find(g, word, a, ret, &x) <
	    0) { /* the first failure has docker's words; the second one may know of a damaged file */
		if (x.kind != SKF_ENOTFOUND || strstr(x.msg, "is not valid"))
			return skf_fail(e, x.kind, "network %s not found: %s", word, x.msg);
		return -1;
	}
	skf_err_clear(e);
	return 0;
}
