/* engine/net_claim.c -- which firewall table this root has. A network namespace may hold containers of
 * several roots: one table of all of them would be emptied by whoever loads it. The first root takes
 * `skiff_v1`, which admins know (chain skiff_user); another one `skiff_v1_<mark>`.
 *
 * lib/networks/.mark -> 8 hex digits, random, for ever: who we are. Our bridges have it as their alias, our
 * table a chain `root_<mark>`, and one that says where the root is (`home_...`, net_gone.c).
 * run/networks/.table -> the table's name, from the first load on. Invariant: a table with the chain `owner`
 * is somebody's; the chain is made in one transaction that fails when it is there, so that of two roots one
 * gets it. A table without it was made by an admin, for skiff_user, or by an older version: it is free. */
#include "engine/net_int.h"
#include <fcntl.h>
#include <linux/netfilter.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define MARK  "networks/.mark"
#define TABLE "networks/.table"
#define OWNER "owner"

static int read_word(int dir, const char *path, char *out, size_t size)
{
	ssize_t n = readlinkat(dir, path, out, size - 1);

	if (n < 0)
		return -errno;
	out[n] = '\0';
	return 0;
}

int skf_net_mark(struct skf_engine *g, char ret[SKF_NET_MARK + 1], struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	char fresh[SKF_NET_MARK + 1];
	int r = read_word(g->root_fd, MARK, ret, SKF_NET_MARK + 1);

	if (r == 0 && skf_is_hex(ret, SKF_NET_MARK))
		return 0;
	r = r == -ENOENT ? skf_random_hex(fresh, SKF_NET_MARK / 2) : r == 0 ? -EBADMSG : r;
	if (r == 0)
		r = dir = skf_mkdirs_at(g->root_fd, "networks", 0700);
	if (r >= 0 && symlinkat(fresh, g->root_fd, MARK) < 0 && errno != EEXIST)
		r = -errno;
	if (r >= 0)
		r = read_word(g->root_fd, MARK, ret, SKF_NET_MARK + 1);
	return r < 0 ? skf_fail_sys(e, r, "mark of the networks '%s/" MARK "'", g->root) : 0;
}

int skf_net_table_name(struct skf_engine *g, char ret[SKF_NFT_TABLE_MAX])
{
	int r = read_word(g->run_fd, TABLE, ret, SKF_NFT_TABLE_MAX);

	return r == 0 && skf_startswith(ret, SKF_NFT_TABLE) ? 1 : 0;
}

int skf_net_nft(struct skf_engine *g, struct skf_nft **ret, struct skf_err *e)
{
	char name[SKF_NFT_TABLE_MAX];
	int r = skf_nft_open(ret, e);

	if (r == 0 && skf_net_table_name(g, name))
		(void)skf_nft_use(*ret, name); /* it came from there */
	return r;
}

struct look {
	const char *ours;
	bool owned, mine;
};

static int on_chain(const char *name, void *user)
{
	struct look *l = user;

	l->owned |= skf_streq(name, OWNER);
	l->mine |= skf_streq(name, l->ours);
	return 0;
}

/* Where we are, for who finds the table when we are not any more (net_gone.c). A file system that has no
 * handles has no such chain. */
static int leave_home(struct skf_engine *g, struct skf_nft *n)
{
	char home[SKF_NET_HOME];

	if (skf_net_home(g->root_fd, home) < 0)
		return 0;
	skf_nft_chain(n, home);
	return skf_nft_commit(n);
}

/* 1 the table `name` is ours, 0 somebody else's, -1. */
static int take(struct skf_nft *n, const char *name, const char *ours, struct skf_err *e)
{
	for (int tries = 0; tries < 2; tries++) {
		struct look l = {.ours = ours};
		int r = skf_nft_use(n, name);

		if (r == 0)
			r = skf_nft_each_chain(n, on_chain, &l);
		if (r < 0 && r != -ENOENT)
			return skf_fail_sys(e, r, "read the chains of the firewall table %s", name);
		if (l.owned)
			return l.mine;
		skf_nft_table(n);
		skf_nft_chain_claim(n, OWNER);
		skf_nft_chain(n, ours);
		r = skf_nft_commit(n);
		if (r == 0)
			return 1;
		if (r != -EEXIST)
			return skf_fail_sys(e, r, "claim the firewall table %s", name);
	} /* somebody was faster: whose is it? */
	return 0;
}

int skf_net_table_claim(struct skf_engine *g, struct skf_nft *n, struct skf_err *e)
{
	char mark[SKF_NET_MARK + 1], ours[SKF_NET_MARK + 8], own[SKF_NFT_TABLE_MAX],
		was[SKF_NFT_TABLE_MAX] = "";
	SKF_AUTO_FD int dir = -EBADF;
	const char *name = SKF_NFT_TABLE;
	int r;

	if (skf_net_mark(g, mark, e) < 0)
		return -1;
	snprintf(ours, sizeof(ours), "root_%s", mark);
	snprintf(own, sizeof(own), SKF_NFT_TABLE "_%s", mark);
	if (skf_net_table_name(g, was))
		name = skf_streq(was, own) ? own : name;
	r = take(n, name, ours, e);
	if (r == 0 && name != own) {
		name = own;
		r = take(n, name, ours, e);
	}
	if (r < 0)
		return -1;
	if (r == 0)
		return skf_fail(e, SKF_ECONFLICT,
				"the firewall table %s is not of this root of skiff, and has its name: "
				"remove it (nft delete table inet %s)",
				name, name);
	r = leave_home(g, n);
	if (r < 0)
		return skf_fail_sys(e, r, "say whose the firewall table %s is", name);
	if (skf_streq(was, name))
		return 0;
	r = dir = skf_mkdirs_at(g->run_fd, "networks", 0700);
	if (r >= 0 && unlinkat(g->run_fd, TABLE, 0) < 0 && errno != ENOENT)
		r = -errno;
	if (r >= 0 && symlinkat(name, g->run_fd, TABLE) < 0)
		r = -errno;
	return r < 0 ? skf_fail_sys(e, r, "note the firewall table in '%s/" TABLE "'", g->run_root) : 0;
}

/* 1 it is gone, 0 there was none, -errno. */
static int delete_table(struct skf_nft *n, uint8_t family)
{
	int r;

	skf_nft_family(n, family);
	skf_nft_table_delete(n);
	r = skf_nft_commit(n);
	skf_nft_family(n, NFPROTO_INET);
	return r == 0 ? 1 : r == -ENOENT || r == -EAFNOSUPPORT ? 0 : r;
}

int skf_net_table_delete(struct skf_nft *n)
{
	static const uint8_t families[] = {NFPROTO_INET, NFPROTO_BRIDGE, NFPROTO_NETDEV};
	int r = 0;

	for (size_t i = 0; r >= 0 && i < SKF_ARRAY_LEN(families); i++)
		r = delete_table(n, families[i]);
	return r < 0 ? r : 0;
}

int skf_net_table_drop(struct skf_engine *g, struct skf_nft *n, struct skf_err *e)
{
	int r = skf_net_table_delete(n);

	if (r == 0 && unlinkat(g->run_fd, TABLE, 0) < 0 && errno != ENOENT)
		r = -errno;
	return r < 0 ? skf_fail_sys(e, r, "remove the firewall table") : 0;
}
