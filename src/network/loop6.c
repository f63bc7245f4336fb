/* network/loop6.c -- answers for [::1] on a bridge that filters IPv6; see loop6.h. */
#include "network/loop6.h"
#include "base/buf.h"
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <linux/netfilter/nf_tables.h>
#include <net/if.h>

#define REG(n)      (NFT_REG32_00 + (n))
#define MARK        0x736b6636u /* "skf6" */
#define CHAIN       "loopback6"
#define PRIORITY    (-150) /* the connection is known, addresses are not rewritten yet */
#define LO_INDEX    1      /* of every network namespace */
#define CHAIN_WORDS (IFNAMSIZ + 8)

static const uint8_t one[16] = {[15] = 1};

static void chain_of(const char *bridge, char ret[CHAIN_WORDS])
{
	if (skf_fmt(ret, CHAIN_WORDS, "bridge_%s", bridge) < 0)
		ret[0] = '\0'; /* no interface has such a name; the kernel refuses the chain */
}

static void if_mark(struct skf_nft *n)
{
	static const uint32_t mark = MARK;

	skf_nft_x_meta(n, NFT_META_MARK, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), &mark, sizeof(mark));
}

static void set_mark(struct skf_nft *n, uint32_t mark)
{
	skf_nft_x_value(n, REG(0), &mark, sizeof(mark));
	skf_nft_x_meta_set(n, NFT_META_MARK, REG(0));
}

static void rule_mark(struct skf_nft *n)
{
	static const uint8_t family = NFPROTO_IPV6, reply = IP_CT_DIR_REPLY;

	skf_nft_rule(n, CHAIN);
	skf_nft_x_meta(n, NFT_META_NFPROTO, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), &family, 1);
	skf_nft_x_ct(n, NFT_CT_DIRECTION, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), &reply, 1);
	skf_nft_x_ct_original(n, NFT_CT_DST_IP6, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), one, sizeof(one));
	set_mark(n, MARK);
}

/* lo takes what is for its own MAC, which is zero. */
static void rule_to_lo(struct skf_nft *n)
{
	const uint16_t type = htons(ETH_P_IPV6);
	static const uint32_t lo = LO_INDEX;
	static const uint8_t zero[ETH_ALEN];

	skf_nft_rule(n, CHAIN);
	skf_nft_x_meta(n, NFT_META_PROTOCOL, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), &type, sizeof(type));
	skf_nft_x_payload(n, NFT_PAYLOAD_NETWORK_HEADER, 24, sizeof(one), REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), one, sizeof(one));
	skf_nft_x_value(n, REG(0), zero, sizeof(zero));
	skf_nft_x_payload_set(n, NFT_PAYLOAD_LL_HEADER, 0, sizeof(zero), REG(0));
	set_mark(n, 0);
	skf_nft_x_value(n, REG(0), &lo, sizeof(lo));
	skf_nft_x_fwd(n, REG(0));
}

void skf_loop6_load(struct skf_nft *n)
{
	static const struct skf_nft_hook hook = {"filter", NF_INET_PRE_ROUTING, PRIORITY, NULL};

	skf_nft_table(n);
	skf_nft_base_chain(n, CHAIN, &hook);
	skf_nft_chain_flush(n, CHAIN);
	rule_mark(n);
	skf_nft_family(n, NFPROTO_NETDEV);
	skf_nft_table(n);
	skf_nft_chain(n, CHAIN);
	skf_nft_chain_flush(n, CHAIN);
	rule_to_lo(n);
	skf_nft_family(n, NFPROTO_INET);
}

void skf_loop6_bridge(struct skf_nft *n, const char *bridge)
{
	const struct skf_nft_hook hook = {"filter", NF_NETDEV_INGRESS, 0, bridge};
	char chain[CHAIN_WORDS];

	chain_of(bridge, chain);
	skf_nft_family(n, NFPROTO_NETDEV);
	skf_nft_base_chain(n, chain, &hook);
	skf_nft_chain_flush(n, chain);
	skf_nft_rule(n, chain);
	if_mark(n);
	skf_nft_x_verdict(n, NFT_JUMP, CHAIN);
	skf_nft_family(n, NFPROTO_INET);
}

int skf_loop6_forget(struct skf_nft *n, const char *bridge)
{
	char chain[CHAIN_WORDS];
	int r;

	chain_of(bridge, chain);
	skf_nft_family(n, NFPROTO_NETDEV);
	skf_nft_chain_delete(n, chain);
	r = skf_nft_commit(n);
	skf_nft_family(n, NFPROTO_INET);
	return r == -ENOENT || r == -EAFNOSUPPORT ? 0 : r; /* the kernel took it with its interface, or never
							      had one */
}
