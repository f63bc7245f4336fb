/* engine/net_idle.c -- what of the host goes when no container uses it: bridge of the default network and
 * firewall table. They are made again by the next start, in a millisecond. Invariant: whoever starts or
 * connects holds the lock "networks-use" shared from before its record is written until its links are made;
 * whoever takes away holds it alone, and has looked for records since. */
#include "engine/net_int.h"
#include "network/table.h"
#include "sys/nlmsg.h"
#include <string.h>
#include <sys/socket.h>

int skf_net_use_lock(struct skf_engine *g, struct skf_err *e)
{
	int fd = skf_lock_at(g->locks_fd, "networks-use", false, SKF_LOCK_MS);

	return fd < 0 ? skf_fail_sys(e, fd, "lock the networks in use") : fd;
}

/* Does a bridge of a network that users made stay? They see it (`ip link`), and so does their firewall. */
static int others_stay(struct skf_engine *g, int nl, const struct skf_network *def, struct skf_arena *a,
		       struct skf_err *e)
{
	struct skf_strv ids = {0};

	if (skf_network_list(g->root_fd, a, &ids, e) < 0)
		return -1;
	for (size_t i = 0; i < ids.n; i++) {
		struct skf_network *n;
		struct skf_link l;

		if (skf_streq(ids.v[i], def->id))
			continue;
		if (skf_network_load(g->root_fd, ids.v[i], a, &n, e) < 0)
			return -1;
		if (skf_streq(n->driver, "bridge") && skf_link_get(nl, n->interface, &l) == 0)
			return 1;
	}
	return 0;
}

/* Rules of the admin in skiff_user keep the table. */
static int drop_table(struct skf_engine *g, struct skf_err *e)
{
	SKF_AUTO(skf_nft_freep) struct skf_nft *n = NULL;
	SKF_AUTO_FD int lock = skf_lock_at(g->locks_fd, "nft", true, SKF_LOCK_MS);
	char name[SKF_NFT_TABLE_MAX];
	unsigned rules = 0;
	int r;

	if (lock < 0)
		return skf_fail_sys(e, lock, "lock the firewall table");
	if (!skf_net_table_name(g, name))
		return 0; /* never loaded since the boot */
	if (skf_net_nft(g, &n, e) < 0)
		return -1;
	r = skf_nft_count_rules(n, SKF_NFT_USER, &rules);
	if (r < 0 && r != -ENOENT)
		return skf_fail_sys(e, r, "read chain " SKF_NFT_USER " of the firewall table %s", name);
	return rules ? 0 : skf_net_table_drop(g, n, e);
}

static int take_away(struct skf_engine *g, struct skf_arena *a, struct skf_err *e)
{
	SKF_AUTO_FD int nl = skf_nlm_open(NETLINK_ROUTE);
	struct skf_network *def;
	struct skf_link l;
	int r;

	if (nl < 0)
		return skf_fail_sys(e, nl, "open a netlink socket");
	if (skf_network_find(g->root_fd, SKF_NET_DEFAULT, a, &def, e) < 0)
		return -1;
	r = skf_link_get(nl, def->interface, &l);
	if (r == 0 && skf_net_is_our_bridge(def, &l))
		r = skf_link_delete(nl, def->interface);
	if (r < 0 && r != -ENODEV)
		return skf_fail_sys(e, r, "remove the bridge '%s'", def->interface);
	if (skf_net_loop6_forget(g, def->interface, e) < 0)
		return -1;
	r = others_stay(g, nl, def, a, e);
	return r != 0 ? (r < 0 ? -1 : 0) : drop_table(g, e);
}

int skf_net_idle_down(struct skf_engine *g, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FD int lock = skf_lock_at(g->locks_fd, "networks", true, SKF_LOCK_MS), use = -EBADF;
	struct skf_strv records = {0};

	if (lock < 0)
		return skf_fail_sys(e, lock, "lock the networks");
	use = skf_lock_at(g->locks_fd, "networks-use", true, 0);
	if (use < 0)
		return use == -EAGAIN || use == -ETIMEDOUT
			       ? 0
			       : skf_fail_sys(e, use, "lock the networks in use");
	if (skf_netrec_list(g->run_fd, &a, &records, e) < 0)
		return -1;
	if (records.n)
		return 0;
	if (take_away(g, &a, e) == 0)
		return 0;
	if (e->kind != SKF_ENOTFOUND) /* no default network: there was never a container */
		return -1;
	skf_err_clear(e);
	return 0;
}
