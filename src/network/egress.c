/* network/egress.c -- egress policy as rules and sets; see egress.h.
 * Two base chains of our own, before the table's forward chain and on input, look the source address up and
 * lead to the container's chain. To accept ends our base chain only: every other chain and table of the host
 * still decides. */
#include "network/egress.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/limits.h"
#include "network/nft_int.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>

#define REG(n)   (NFT_REG32_00 + (n))
#define PRIORITY (-10)
#define OBJ_SIZE (SKF_EGRESS_ID + 4)

enum { T_IP = 7, T_IP6 = 8, T_SERVICE = 13 }; /* nft's numbers of types */

/* --- words of --egress-allow --- */
static int bad_word(struct skf_err *e, const char *word)
{
	return skf_fail(e, SKF_EINVALID,
			"egress rule '%.100s' is none: use CIDR, ADDRESS, NAME or *.NAME, each with :PORT "
			"or without",
			word);
}

/* Splits ":PORT" off; "[...]" around an IPv6 address is removed. */
static int split_port(char *text, char **addr, uint16_t *port)
{
	char *colon = NULL;
	uint32_t v;

	*addr = text;
	*port = 0;
	if (text[0] == '[') {
		char *end = strchr(text, ']');

		if (!end || (end[1] && end[1] != ':'))
			return -EINVAL;
		colon = end[1] ? end + 1 : NULL;
		*end = 0;
		*addr = text + 1;
	} else if (strchr(text, ':') && !strchr(strchr(text, ':') + 1, ':')) {
		colon = strchr(text, ':');
		*colon = 0;
	}
	if (!colon)
		return 0;
	if (skf_parse_u32(colon + 1, &v) < 0 || v == 0 || v > UINT16_MAX)
		return -EINVAL;
	*port = (uint16_t)v;
	return 0;
}

static int parse_name(const char *s, char out[254])
{
	const char *p = skf_startswith(s, "*.") ? s + 2 : s;
	size_t n = strlen(s), label = 0;

	if (n > 1 && s[n - 1] == '.')
		n--;
	if (n == 0 || n > 253)
		return -EINVAL;
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)s[i];

		out[i] = (char)tolower(c);
		if (s + i < p)
			continue;
		if (!isascii(c) || !(isalnum(c) || strchr("-_.", c)) || (c == '.' && label == 0))
			return -EINVAL;
		label = c == '.' ? 0 : label + 1;
	}
	out[n] = 0;
	return label ? 0 : -EINVAL;
}

int skf_egress_parse(const char *word, struct skf_egress_rule *ret, struct skf_err *e)
{
	struct skf_egress_rule r = {.port = 0};
	char text[300], *addr;

	if (skf_fmt(text, sizeof(text), "%s", word) < 0 || split_port(text, &addr, &r.port) < 0)
		return bad_word(e, word);
	if (skf_cidr_parse(addr, true, &r.cidr) < 0) {
		r.cidr = (struct skf_cidr){.prefix = 0};
		if (text[0] == '[' || strchr(addr, '/') || parse_name(addr, r.name) < 0 ||
		    !addr[strspn(addr, "0123456789.")])
			return bad_word(e, word);
	}
	*ret = r;
	return 0;
}

bool skf_egress_name_matches(const struct skf_egress_rule *r, const char *name)
{
	if (!r->name[0])
		return false;
	if (r->name[0] != '*')
		return strcmp(r->name, name) == 0;
	return strlen(name) > strlen(r->name + 1) && skf_endswith(name, r->name + 1);
}

/* --- pieces of rules --- */
static void if_family(struct skf_nft *n, bool v6)
{
	uint8_t family = v6 ? NFPROTO_IPV6 : NFPROTO_IPV4;

	skf_nft_x_meta(n, NFT_META_NFPROTO, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), &family, 1);
}

static void if_proto(struct skf_nft *n, uint8_t proto)
{
	skf_nft_x_meta(n, NFT_META_L4PROTO, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), &proto, 1);
}

static void source(struct skf_nft *n, bool v6)
{
	skf_nft_x_payload(n, NFT_PAYLOAD_NETWORK_HEADER, v6 ? 8 : 12, v6 ? 16 : 4, REG(0));
}

static void target(struct skf_nft *n, bool v6, uint32_t reg)
{
	skf_nft_x_payload(n, NFT_PAYLOAD_NETWORK_HEADER, v6 ? 24 : 16, v6 ? 16 : 4, reg);
}

static void target_port(struct skf_nft *n, uint32_t reg)
{
	skf_nft_x_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, reg);
}

/* --- base chains --- */
static void rule_answers(struct skf_nft *n, const char *chain)
{
	static const uint32_t bits = NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED),
			      zero;

	skf_nft_rule(n, chain);
	skf_nft_x_ct(n, NFT_CT_STATE, REG(0));
	skf_nft_x_bitmask(n, REG(0), 4, &bits);
	skf_nft_x_cmp(n, NFT_CMP_NEQ, REG(0), &zero, 4);
	skf_nft_x_verdict(n, NF_ACCEPT, NULL);
}

/* Without neighbour discovery (130 to 143 are its types and those of multicast groups) there is no IPv6. */
static void rule_neighbours(struct skf_nft *n, const char *chain)
{
	static const uint8_t first = 130, last = 143;

	skf_nft_rule(n, chain);
	if_proto(n, IPPROTO_ICMPV6);
	skf_nft_x_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_GTE, REG(0), &first, 1);
	skf_nft_x_cmp(n, NFT_CMP_LTE, REG(0), &last, 1);
	skf_nft_x_verdict(n, NF_ACCEPT, NULL);
}

void skf_egress_load(struct skf_nft *n)
{
	static const struct skf_nft_set maps[] = {
		{.name = "egress4", .key_len = 4, .key_type = T_IP, .verdict = true},
		{.name = "egress6", .key_len = 16, .key_type = T_IP6, .verdict = true},
	};
	static const struct {
		const char *name;
		struct skf_nft_hook hook;
	} chains[] = {
		{"egress_forward", {"filter", NF_INET_FORWARD, PRIORITY}},
		{"egress_input", {"filter", NF_INET_LOCAL_IN, PRIORITY}},
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(maps); i++)
		skf_nft_set(n, &maps[i]);
	for (size_t i = 0; i < SKF_ARRAY_LEN(chains); i++) {
		const char *chain = chains[i].name;

		skf_nft_base_chain(n, chain, &chains[i].hook);
		skf_nft_chain_flush(n, chain);
		rule_answers(n, chain);
		rule_neighbours(n, chain);
		for (int v6 = 0; v6 <= 1; v6++) {
			skf_nft_rule(n, chain);
			if_family(n, v6);
			source(n, v6);
			skf_nft_x_vmap(n, maps[v6].name, REG(0));
		}
	}
}

/* --- one container --- */
struct objects {
	char chain[OBJ_SIZE], set4[OBJ_SIZE], set6[OBJ_SIZE];
};

static struct objects objects_of(const char *id)
{
	struct objects o;

	snprintf(o.chain, sizeof(o.chain), "e_%.*s", SKF_EGRESS_ID, id);
	snprintf(o.set4, sizeof(o.set4), "e4_%.*s", SKF_EGRESS_ID, id);
	snprintf(o.set6, sizeof(o.set6), "e6_%.*s", SKF_EGRESS_ID, id);
	return o;
}

static const uint8_t protos[] = {IPPROTO_TCP, IPPROTO_UDP};

static void rule_cidr(struct skf_nft *n, const char *chain, const struct skf_egress_rule *r, int proto)
{
	struct skf_ip first = skf_cidr_first(&r->cidr);
	bool v6 = first.family == AF_INET6;
	uint32_t len = v6 ? 16 : 4;
	uint8_t mask[16] = {0};
	uint16_t port = htons(r->port);

	for (unsigned i = 0; i < r->cidr.prefix; i++)
		mask[i / 8] |= (uint8_t)(0x80 >> i % 8);
	skf_nft_rule(n, chain);
	if_family(n, v6);
	target(n, v6, REG(0));
	skf_nft_x_bitmask(n, REG(0), len, mask);
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), first.b, len);
	if (r->port) {
		if_proto(n, protos[proto]);
		target_port(n, REG(0));
		skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), &port, 2);
	}
	skf_nft_x_verdict(n, NF_ACCEPT, NULL);
}

/* Learned addresses: with the packet's port (TCP and UDP), and with port 0 for all. */
static void rules_names(struct skf_nft *n, const struct objects *o, bool v6)
{
	static const uint8_t zero[4];
	uint32_t at = REG(v6 ? 4 : 1);

	for (size_t i = 0; i <= SKF_ARRAY_LEN(protos); i++) {
		bool any = i == SKF_ARRAY_LEN(protos);

		skf_nft_rule(n, o->chain);
		if_family(n, v6);
		if (!any)
			if_proto(n, protos[i]);
		target(n, v6, REG(0));
		if (any)
			skf_nft_x_value(n, at, zero, 4);
		else
			target_port(n, at);
		skf_nft_x_lookup(n, v6 ? o->set6 : o->set4, REG(0), false);
		skf_nft_x_verdict(n, NF_ACCEPT, NULL);
	}
}

static void put_addr(struct skf_nft *n, const struct skf_ip *ip, const char *chain, bool add)
{
	struct skf_nft_elem x = {.key = ip->b, .key_len = (uint32_t)skf_ip_len(ip), .jump = chain};
	const char *map = ip->family == AF_INET ? "egress4" : "egress6";

	if (add)
		skf_nft_elem_add(n, map, &x);
	else
		skf_nft_elem_del(n, map, &x);
}

static int parse_addr(const char *s, struct skf_ip *ret, struct skf_err *e)
{
	return skf_ip_parse(s, ret) < 0
		       ? skf_fail(e, SKF_EINVALID, "'%.80s' is not an address of a container", s)
		       : 0;
}

int skf_egress_add(struct skf_nft *n, const struct skf_egress *g, struct skf_err *e)
{
	struct objects o = objects_of(g->container_id);
	struct skf_nft_set set4 = {
		.name = o.set4, .key_len = 8, .key_type = T_IP << 6 | T_SERVICE, .timeout = true};
	struct skf_nft_set set6 = {
		.name = o.set6, .key_len = 20, .key_type = T_IP6 << 6 | T_SERVICE, .timeout = true};
	struct skf_egress_rule r;
	struct skf_ip ip;

	if (g->allow.n > SKF_MAX_EGRESS_RULES)
		return skf_fail(e, SKF_ELIMIT, "%zu egress rules are too many: at most %d", g->allow.n,
				SKF_MAX_EGRESS_RULES);
	for (size_t i = 0; i < g->allow.n; i++)
		if (skf_egress_parse(g->allow.v[i], &r, e) < 0)
			return -1;
	for (size_t i = 0; i < g->addrs.n; i++)
		if (parse_addr(g->addrs.v[i], &ip, e) < 0)
			return -1;
	skf_nft_set(n, &set4);
	skf_nft_set(n, &set6);
	skf_nft_chain(n, o.chain);
	skf_nft_chain_flush(n, o.chain);
	for (size_t i = 0; i < g->allow.n; i++) {
		(void)skf_egress_parse(g->allow.v[i], &r, e); /* it was good above */
		for (int k = 0; r.cidr.ip.family && k < (r.port ? 2 : 1); k++)
			rule_cidr(n, o.chain, &r, k);
	}
	rules_names(n, &o, false);
	rules_names(n, &o, true);
	skf_nft_rule(n, o.chain);
	skf_nft_x_counter(n);
	skf_nft_x_reject(n);
	skf_nft_rule_end(n);
	for (size_t i = 0; i < g->addrs.n; i++)
		if (skf_ip_parse(g->addrs.v[i], &ip) == 0)
			put_addr(n, &ip, o.chain, true);
	return 0;
}

/* Keeps the first failure; what is not there is not missed. */
static int commit_gone(struct skf_nft *n, int first)
{
	int r = skf_nft_commit(n);

	return first < 0 || r == -ENOENT ? first : r;
}

/* One transaction each: any of them may be gone, and that must not keep the others. */
static int forget(struct skf_nft *n, const struct skf_strv *addrs)
{
	struct skf_ip ip;
	int r = 0;

	for (size_t i = 0; i < addrs->n; i++) {
		if (skf_ip_parse(addrs->v[i], &ip) < 0)
			continue; /* such an address was never added */
		put_addr(n, &ip, NULL, false);
		r = commit_gone(n, r);
	}
	return r;
}

int skf_egress_forget(struct skf_nft *n, const struct skf_strv *addrs, struct skf_err *e)
{
	int r = forget(n, addrs);

	return r < 0 ? skf_fail_sys(e, r, "take addresses out of the egress policy") : 0;
}

int skf_egress_remove(struct skf_nft *n, const char *container_id, const struct skf_strv *addrs,
		      struct skf_err *e)
{
	struct objects o = objects_of(container_id);
	const char *const sets[] = {o.set4, o.set6};
	int r = forget(n, addrs);

	skf_nft_chain_delete(n, o.chain);
	r = commit_gone(n, r);
	for (size_t i = 0; i < SKF_ARRAY_LEN(sets); i++) {
		skf_nft_set_delete(n, sets[i]);
		r = commit_gone(n, r);
	}
	return r < 0 ? skf_fail_sys(e, r, "remove the egress policy of container '%.12s'", container_id) : 0;
}

void skf_egress_learn(struct skf_nft *n, const char *container_id, const struct skf_ip *to, uint16_t port,
		      uint32_t timeout_s, bool again)
{
	struct objects o = objects_of(container_id);
	uint16_t be = htons(port);
	size_t len = skf_ip_len(to);
	uint8_t key[20] = {0};
	struct skf_nft_elem x = {
		.key = key, .key_len = (uint32_t)len + 4, .timeout_ms = (uint64_t)timeout_s * 1000};
	const char *set = len == 4 ? o.set4 : o.set6;

	memcpy(key, to->b, len);
	memcpy(key + len, &be, sizeof(be));
	if (again)
		skf_nft_elem_del(n, set, &x);
	skf_nft_elem_add(n, set, &x);
}

/* --- counters --- */
struct count {
	uint64_t packets, bytes;
	bool found;
};

static uint64_t be64(const struct nlattr *a)
{
	uint64_t v = 0;
	const uint8_t *p = skf_nla_data(a);

	for (size_t i = 0; i < 8 && skf_nla_len(a) == 8; i++)
		v = v << 8 | p[i];
	return v;
}

/* Adds the counter among a rule's expressions. */
static void add_counters(const struct nlattr *list, struct count *c)
{
	const char *p = skf_nla_data(list);
	size_t left = skf_nla_len(list);

	while (left >= NLA_HDRLEN) {
		const struct nlattr *x = (const void *)p, *name, *data, *v;
		size_t n = NLA_ALIGN(x->nla_len);

		if (x->nla_len < NLA_HDRLEN || x->nla_len > left)
			return;
		name = skf_nla_find(skf_nla_data(x), skf_nla_len(x), NFTA_EXPR_NAME);
		data = skf_nla_find(skf_nla_data(x), skf_nla_len(x), NFTA_EXPR_DATA);
		if (name && data && skf_nla_len(name) == sizeof("counter") &&
		    memcmp(skf_nla_data(name), "counter", sizeof("counter")) == 0) {
			c->found = true;
			v = skf_nla_find(skf_nla_data(data), skf_nla_len(data), NFTA_COUNTER_PACKETS);
			c->packets += v ? be64(v) : 0;
			v = skf_nla_find(skf_nla_data(data), skf_nla_len(data), NFTA_COUNTER_BYTES);
			c->bytes += v ? be64(v) : 0;
		}
		left = n < left ? left - n : 0;
		p += n;
	}
}

static int on_rule(const struct nlmsghdr *h, void *user)
{
	const char *p = (const char *)NLMSG_DATA(h) + NLMSG_ALIGN(sizeof(struct nfgenmsg));
	size_t head = NLMSG_LENGTH(sizeof(struct nfgenmsg));
	const struct nlattr *list =
		h->nlmsg_len > head ? skf_nla_find(p, h->nlmsg_len - head, NFTA_RULE_EXPRESSIONS) : NULL;

	if (list)
		add_counters(list, user);
	return 0;
}

int skf_egress_denied_in(struct skf_nft *n, const char *container_id, uint64_t *ret_packets,
			 uint64_t *ret_bytes, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4096);
	struct nfgenmsg g = {.nfgen_family = NFPROTO_INET, .version = NFNETLINK_V0};
	struct objects o = objects_of(container_id);
	struct count c = {0};
	size_t at;
	int r;

	at = skf_nlm_begin(&b, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE, NLM_F_DUMP, &g, sizeof(g));
	skf_nlm_str(&b, NFTA_RULE_TABLE, n->table);
	skf_nlm_str(&b, NFTA_RULE_CHAIN, o.chain);
	skf_nlm_end(&b, at);
	r = skf_nlm_ask(n->nl, &b, on_rule, &c);
	if (r < 0 && r != -ENOENT)
		return skf_fail_sys(e, r, "read the counters of container '%.12s'", container_id);
	if (!c.found)
		return skf_fail(e, SKF_ENOTFOUND, "container '%.12s' has no egress policy", container_id);
	*ret_packets = c.packets;
	*ret_bytes = c.bytes;
	return 0;
}

int skf_egress_denied(const char *container_id, uint64_t *ret_packets, uint64_t *ret_bytes,
		      struct skf_err *e)
{
	SKF_AUTO(skf_nft_freep) struct skf_nft *n = NULL;

	return skf_nft_open(&n, e) < 0 ? -1
				       : skf_egress_denied_in(n, container_id, ret_packets, ret_bytes, e);
}
