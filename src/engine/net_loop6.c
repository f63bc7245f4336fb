/* engine/net_loop6.c -- published ports on [::1] where bridges filter IPv6 (network/loop6.h): when its
 * chains are made and go.
 *
 * The chains for all bridges come with the table, a bridge's own with the bridge, or with the table where
 * the bridge is there already. A bridge without its chain only has no ports on [::1]: a failure is told and
 * no more. */
#include "engine/net_int.h"
#include "network/loop6.h"
#include "sys/nlmsg.h"
#include <string.h>
#include <sys/socket.h>

bool skf_net_loop6_load(struct skf_engine *g, struct skf_nft *n)
{
	int r = 0;

	if (skf_net_bridges_filtered("ip6")) {
		skf_loop6_load(n);
		r = skf_nft_commit(n);
	}
	if (r < 0)
		skf_warn(&g->log,
			 "published ports are refused on [::1], as firewall table netdev " SKF_NFT_TABLE
			 " cannot be made: %s. With br_netfilter on for IPv6 the kernel has to have "
			 "CONFIG_NF_TABLES_NETDEV and CONFIG_NFT_FWD_NETDEV (module nft_fwd_netdev). Or set "
			 "sysctl "
			 "net.bridge.bridge-nf-call-ip6tables to 0. Then run 'skiff network reload'",
			 strerror(-r));
	return r == 0;
}

static void one_bridge(struct skf_engine *g, struct skf_nft *n, const char *bridge)
{
	int r;

	skf_loop6_load(n);
	skf_loop6_bridge(n, bridge);
	r = skf_nft_commit(n);
	if (r < 0)
		skf_debug(&g->log, "answers for [::1] through '%s': %s; ignoring", bridge, strerror(-r));
}

void skf_net_loop6_bridges(struct skf_engine *g, struct skf_nft *n, struct skf_arena *a)
{
	SKF_AUTO_FD int nl = skf_net_bridges_filtered("ip6") ? skf_nlm_open(NETLINK_ROUTE) : -EBADF;
	struct skf_strv ids = {0};
	struct skf_err x = SKF_ERR_INIT;

	if (nl < 0 || skf_network_list(g->root_fd, a, &ids, &x) < 0)
		return; /* the table was loaded from the same list */
	for (size_t i = 0; i < ids.n; i++) {
		struct skf_network *w;
		struct skf_link l;

		if (skf_network_load(g->root_fd, ids.v[i], a, &w, &x) == 0 &&
		    skf_streq(w->driver, "bridge") && skf_link_get(nl, w->interface, &l) == 0)
			one_bridge(g, n, w->interface);
		skf_err_clear(&x);
	}
}

void skf_net_loop6_bridge(struct skf_engine *g, const char *bridge)
{
	SKF_AUTO(skf_nft_freep) struct skf_nft *n = NULL;
	SKF_AUTO_FD int lock = -EBADF;
	struct skf_err x = SKF_ERR_INIT;
	char name[SKF_NFT_TABLE_MAX];

	if (!skf_net_bridges_filtered("ip6"))
		return;
	lock = skf_lock_at(g->locks_fd, "nft", false, SKF_LOCK_MS);
	if (lock >= 0 && skf_net_table_name(g, name) && skf_net_nft(g, &n, &x) == 0)
		one_bridge(g, n, bridge);
	else
		skf_debug(&g->log, "answers for [::1] through '%s': %s; ignoring", bridge,
			  x.kind ? x.msg : "the firewall table is busy or gone");
}

int skf_net_loop6_forget(struct skf_engine *g, const char *bridge, struct skf_err *e)
{
	SKF_AUTO(skf_nft_freep) struct skf_nft *n = NULL;
	char name[SKF_NFT_TABLE_MAX];
	int r;

	if (!skf_net_table_name(g, name))
		return 0;
	if (skf_net_nft(g, &n, e) < 0)
		return -1;
	r = skf_loop6_forget(n, bridge);
	return r < 0 ? skf_fail_sys(e, r, "take away the firewall's chain of the bridge '%s'", bridge) : 0;
}
