/* network/nft_expr.c -- rules and their expressions, each with the few attributes that we use. */
#include "network/nft_int.h"
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_tuple_common.h>
#include <string.h>

void skf_nft_rule(struct skf_nft *n, const char *chain)
{
	skf_nft_begin(n, NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND);
	skf_nlm_str(&n->b, NFTA_RULE_TABLE, n->table);
	skf_nlm_str(&n->b, NFTA_RULE_CHAIN, chain);
	n->nest = skf_nlm_nest(&n->b, NFTA_RULE_EXPRESSIONS);
	n->in_rule = true;
}

void skf_nft_rule_end(struct skf_nft *n)
{
	if (!n->in_rule)
		return;
	skf_nlm_nest_end(&n->b, n->nest);
	skf_nlm_end(&n->b, n->msg);
	n->in_rule = false;
}

struct expr {
	size_t elem, data;
};

static struct expr begin(struct skf_nft *n, const char *name)
{
	struct expr x = {.elem = skf_nlm_nest(&n->b, NFTA_LIST_ELEM)};

	skf_nlm_str(&n->b, NFTA_EXPR_NAME, name);
	x.data = skf_nlm_nest(&n->b, NFTA_EXPR_DATA);
	return x;
}

static void end(struct skf_nft *n, struct expr x)
{
	skf_nlm_nest_end(&n->b, x.data);
	skf_nlm_nest_end(&n->b, x.elem);
}

static void value(struct skf_nft *n, uint16_t type, const void *p, uint32_t len)
{
	size_t nest = skf_nlm_nest(&n->b, type);

	skf_nlm_put(&n->b, NFTA_DATA_VALUE, p, len);
	skf_nlm_nest_end(&n->b, nest);
}

void skf_nft_x_meta(struct skf_nft *n, uint32_t key, uint32_t reg)
{
	struct expr x = begin(n, "meta");

	skf_nlm_be32(&n->b, NFTA_META_KEY, key);
	skf_nlm_be32(&n->b, NFTA_META_DREG, reg);
	end(n, x);
}

void skf_nft_x_payload(struct skf_nft *n, uint32_t base, uint32_t off, uint32_t len, uint32_t reg)
{
	struct expr x = begin(n, "payload");

	skf_nlm_be32(&n->b, NFTA_PAYLOAD_DREG, reg);
	skf_nlm_be32(&n->b, NFTA_PAYLOAD_BASE, base);
	skf_nlm_be32(&n->b, NFTA_PAYLOAD_OFFSET, off);
	skf_nlm_be32(&n->b, NFTA_PAYLOAD_LEN, len);
	end(n, x);
}

void skf_nft_x_meta_set(struct skf_nft *n, uint32_t key, uint32_t reg)
{
	struct expr x = begin(n, "meta");

	skf_nlm_be32(&n->b, NFTA_META_KEY, key);
	skf_nlm_be32(&n->b, NFTA_META_SREG, reg);
	end(n, x);
}

void skf_nft_x_payload_set(struct skf_nft *n, uint32_t base, uint32_t off, uint32_t len, uint32_t reg)
{
	struct expr x = begin(n, "payload");

	skf_nlm_be32(&n->b, NFTA_PAYLOAD_SREG, reg);
	skf_nlm_be32(&n->b, NFTA_PAYLOAD_BASE, base);
	skf_nlm_be32(&n->b, NFTA_PAYLOAD_OFFSET, off);
	skf_nlm_be32(&n->b, NFTA_PAYLOAD_LEN, len);
	skf_nlm_be32(&n->b, NFTA_PAYLOAD_CSUM_TYPE, NFT_PAYLOAD_CSUM_NONE);
	skf_nlm_be32(&n->b, NFTA_PAYLOAD_CSUM_OFFSET, 0);
	end(n, x);
}

void skf_nft_x_ct(struct skf_nft *n, uint32_t key, uint32_t reg)
{
	struct expr x = begin(n, "ct");

	skf_nlm_be32(&n->b, NFTA_CT_KEY, key);
	skf_nlm_be32(&n->b, NFTA_CT_DREG, reg);
	end(n, x);
}

void skf_nft_x_ct_original(struct skf_nft *n, uint32_t key, uint32_t reg)
{
	struct expr x = begin(n, "ct");

	skf_nlm_be32(&n->b, NFTA_CT_KEY, key);
	skf_nlm_be32(&n->b, NFTA_CT_DREG, reg);
	skf_nlm_u8(&n->b, NFTA_CT_DIRECTION, IP_CT_DIR_ORIGINAL);
	end(n, x);
}

void skf_nft_x_fib(struct skf_nft *n, uint32_t flags, uint32_t result, uint32_t reg)
{
	struct expr x = begin(n, "fib");

	skf_nlm_be32(&n->b, NFTA_FIB_DREG, reg);
	skf_nlm_be32(&n->b, NFTA_FIB_RESULT, result);
	skf_nlm_be32(&n->b, NFTA_FIB_FLAGS, flags);
	end(n, x);
}

void skf_nft_x_cmp(struct skf_nft *n, uint32_t op, uint32_t reg, const void *p, uint32_t len)
{
	struct expr x = begin(n, "cmp");

	skf_nlm_be32(&n->b, NFTA_CMP_SREG, reg);
	skf_nlm_be32(&n->b, NFTA_CMP_OP, op);
	value(n, NFTA_CMP_DATA, p, len);
	end(n, x);
}

void skf_nft_x_bitmask(struct skf_nft *n, uint32_t reg, uint32_t len, const void *mask)
{
	static const uint8_t zero[16];
	struct expr x = begin(n, "bitwise");

	skf_nlm_be32(&n->b, NFTA_BITWISE_SREG, reg);
	skf_nlm_be32(&n->b, NFTA_BITWISE_DREG, reg);
	skf_nlm_be32(&n->b, NFTA_BITWISE_LEN, len);
	value(n, NFTA_BITWISE_MASK, mask, len);
	value(n, NFTA_BITWISE_XOR, zero, len);
	end(n, x);
}

static void lookup(struct skf_nft *n, const char *set, uint32_t reg, uint32_t dreg, bool map, bool invert)
{
	struct expr x = begin(n, "lookup");

	skf_nlm_str(&n->b, NFTA_LOOKUP_SET, set);
	skf_nlm_be32(&n->b, NFTA_LOOKUP_SREG, reg);
	if (map)
		skf_nlm_be32(&n->b, NFTA_LOOKUP_DREG, dreg);
	if (invert)
		skf_nlm_be32(&n->b, NFTA_LOOKUP_FLAGS, NFT_LOOKUP_F_INV);
	end(n, x);
}

void skf_nft_x_lookup(struct skf_nft *n, const char *set, uint32_t reg, bool invert)
{
	lookup(n, set, reg, 0, false, invert);
}

void skf_nft_x_map(struct skf_nft *n, const char *map, uint32_t reg, uint32_t dreg)
{
	lookup(n, map, reg, dreg, true, false);
}

void skf_nft_x_vmap(struct skf_nft *n, const char *map, uint32_t reg)
{
	lookup(n, map, reg, NFT_REG_VERDICT, true, false);
}

void skf_nft_put_verdict(struct skf_buf *b, uint16_t type, int32_t verdict, const char *chain)
{
	size_t data = skf_nlm_nest(b, type), v = skf_nlm_nest(b, NFTA_DATA_VERDICT);

	skf_nlm_be32(b, NFTA_VERDICT_CODE, (uint32_t)verdict);
	if (chain)
		skf_nlm_str(b, NFTA_VERDICT_CHAIN, chain);
	skf_nlm_nest_end(b, v);
	skf_nlm_nest_end(b, data);
}

void skf_nft_x_verdict(struct skf_nft *n, int32_t verdict, const char *chain)
{
	struct expr x = begin(n, "immediate");

	skf_nlm_be32(&n->b, NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
	skf_nft_put_verdict(&n->b, NFTA_IMMEDIATE_DATA, verdict, chain);
	end(n, x);
}

void skf_nft_x_value(struct skf_nft *n, uint32_t reg, const void *p, uint32_t len)
{
	struct expr x = begin(n, "immediate");

	skf_nlm_be32(&n->b, NFTA_IMMEDIATE_DREG, reg);
	value(n, NFTA_IMMEDIATE_DATA, p, len);
	end(n, x);
}

void skf_nft_x_counter(struct skf_nft *n)
{
	end(n, begin(n, "counter"));
}

void skf_nft_x_masquerade(struct skf_nft *n)
{
	end(n, begin(n, "masq"));
}

void skf_nft_x_dnat(struct skf_nft *n, uint32_t family, uint32_t reg_addr, uint32_t reg_port)
{
	struct expr x = begin(n, "nat");

	skf_nlm_be32(&n->b, NFTA_NAT_TYPE, NFT_NAT_DNAT);
	skf_nlm_be32(&n->b, NFTA_NAT_FAMILY, family);
	skf_nlm_be32(&n->b, NFTA_NAT_REG_ADDR_MIN, reg_addr);
	if (reg_port)
		skf_nlm_be32(&n->b, NFTA_NAT_REG_PROTO_MIN, reg_port);
	end(n, x);
}

void skf_nft_x_fwd(struct skf_nft *n, uint32_t reg)
{
	struct expr x = begin(n, "fwd");

	skf_nlm_be32(&n->b, NFTA_FWD_SREG_DEV, reg);
	end(n, x);
}

void skf_nft_x_reject(struct skf_nft *n)
{
	struct expr x = begin(n, "reject");

	skf_nlm_be32(&n->b, NFTA_REJECT_TYPE, NFT_REJECT_ICMPX_UNREACH);
	skf_nlm_u8(&n->b, NFTA_REJECT_ICMP_CODE, NFT_REJECT_ICMPX_ADMIN_PROHIBITED);
	end(n, x);
}
