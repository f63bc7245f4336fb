/* network/table.c -- the rules of skiff as data: sets, chains, rules in this order; see table.h and
 * docs/networks.md.
 *
 * How a packet goes:
 *  raw        what a container sends to 127.0.0.0/8 is dropped: route_localnet, which published ports on the
 * loopback need, must not open the host's own services (CVE-2020-8558). prerouting, output (nat)  a packet
 * to an address of the host and a published port gets the container as its target. forward    skiff_user
 * first; then answers; then: within one network yes, from and to an internal one no, to a published port
 * yes, anything else into a network of ours no. To accept ends this table only: every other table of the
 * host still decides. postrouting what leaves a network for the outside, comes back into the network it came
 * from, or comes from the loopback, gets the host's address; everything else keeps its own, so that a
 * container sees who its client is. */
#include "network/table.h"
#include "base/buf.h"
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

/* Registers of four bytes; REG(8) is where map data goes. */
#define REG(n) (NFT_REG32_00 + (n))

/* nft's numbers of types, for people who list the table */
enum { T_INTEGER = 4, T_IP = 7, T_IP6 = 8, T_PROTO = 12, T_SERVICE = 13, T_IFNAME = 41 };
#define T2(a, b)    ((a) << 6 | (b))
#define T3(a, b, c) (T2(a, b) << 6 | (c))

static const struct skf_nft_set sets[] = {
	{.name = "bridges", .key_len = IFNAMSIZ, .key_type = T_IFNAME, .host_order = true},
	{.name = "internal", .key_len = IFNAMSIZ, .key_type = T_IFNAME, .host_order = true},
	{.name = "same", .key_len = 2 * IFNAMSIZ, .key_type = T2(T_IFNAME, T_IFNAME)},
	{.name = "hairpin4", .key_len = 8, .parts = {4, 4}, .key_type = T2(T_IP, T_IP), .interval = true},
	{.name = "hairpin6",
	 .key_len = 32,
	 .parts = {16, 16},
	 .key_type = T2(T_IP6, T_IP6),
	 .interval = true},
	{.name = "masq4", .key_len = 4, .key_type = T_IP, .interval = true},
	{.name = "masq6", .key_len = 16, .key_type = T_IP6, .interval = true},
	{.name = "dnat4",
	 .key_len = 12,
	 .key_type = T3(T_PROTO, T_IP, T_SERVICE),
	 .data_len = 8,
	 .data_type = T2(T_IP, T_SERVICE)},
	{.name = "dnat4_any",
	 .key_len = 8,
	 .key_type = T2(T_PROTO, T_SERVICE),
	 .data_len = 8,
	 .data_type = T2(T_IP, T_SERVICE)},
	{.name = "dnat6",
	 .key_len = 24,
	 .key_type = T3(T_PROTO, T_IP6, T_SERVICE),
	 .data_len = 20,
	 .data_type = T2(T_IP6, T_SERVICE)},
	{.name = "dnat6_any",
	 .key_len = 8,
	 .key_type = T2(T_PROTO, T_SERVICE),
	 .data_len = 20,
	 .data_type = T2(T_IP6, T_SERVICE)},
};
static const char *const plain_chains[] = {"publish", "publish4", "publish6"};
static const struct {
	const char *name;
	struct skf_nft_hook hook;
} base_chains[] = {
	{"raw", {"filter", NF_INET_PRE_ROUTING, -300}},
	{"prerouting", {"nat", NF_INET_PRE_ROUTING, -100}},
	{"output", {"nat", NF_INET_LOCAL_OUT, -100}},
	{"forward", {"filter", NF_INET_FORWARD, 0}},
	{"postrouting", {"nat", NF_INET_POST_ROUTING, 100}},
};

/* --- pieces of rules --- */
static void if_iface(struct skf_nft *n, uint32_t key, const char *set, bool invert)
{
	skf_nft_x_meta(n, key, REG(0));
	skf_nft_x_lookup(n, set, REG(0), invert);
}

static void if_same(struct skf_nft *n)
{
	skf_nft_x_meta(n, NFT_META_IIFNAME, REG(0));
	skf_nft_x_meta(n, NFT_META_OIFNAME, REG(4));
	skf_nft_x_lookup(n, "same", REG(0), false);
}

static void if_family(struct skf_nft *n, uint8_t nfproto)
{
	skf_nft_x_meta(n, NFT_META_NFPROTO, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), &nfproto, 1);
}

static void if_ct_bits(struct skf_nft *n, uint32_t key, uint32_t bits)
{
	static const uint32_t zero;

	skf_nft_x_ct(n, key, REG(0));
	skf_nft_x_bitmask(n, REG(0), 4, &bits);
	skf_nft_x_cmp(n, NFT_CMP_NEQ, REG(0), &zero, 4);
}

static void source(struct skf_nft *n, bool v6)
{
	skf_nft_x_payload(n, NFT_PAYLOAD_NETWORK_HEADER, v6 ? 8 : 12, v6 ? 16 : 4, REG(0));
}

static void if_loopback4(struct skf_nft *n, uint32_t offset)
{
	static const uint8_t net = 127;

	if_family(n, NFPROTO_IPV4);
	skf_nft_x_payload(n, NFT_PAYLOAD_NETWORK_HEADER, offset, 1, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), &net, 1);
}

/* --- rules, chain by chain --- */
static void rules_raw(struct skf_nft *n)
{
	skf_nft_rule(n, "raw");
	if_loopback4(n, 16); /* every packet of the host comes by: two comparisons before the look-up */
	if_iface(n, NFT_META_IIFNAME, "bridges", false);
	skf_nft_x_counter(n);
	skf_nft_x_verdict(n, NF_DROP, NULL);
}

/* A bridge that filters IPv6 loses the answer where the kernel cannot hand it to lo (loop6.h): better a
 * refusal at once than no answer. */
static void rule_no_loopback6(struct skf_nft *n)
{
	static const uint8_t one[16] = {[15] = 1};

	skf_nft_rule(n, "output");
	if_family(n, NFPROTO_IPV6);
	skf_nft_x_payload(n, NFT_PAYLOAD_NETWORK_HEADER, 24, sizeof(one), REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), one, sizeof(one));
	skf_nft_x_verdict(n, NFT_RETURN, NULL);
}

static void rules_publish(struct skf_nft *n)
{
	static const char *const from[] = {"prerouting", "output"};
	static const uint32_t local = RTN_LOCAL;

	for (size_t i = 0; i < SKF_ARRAY_LEN(from); i++) {
		skf_nft_rule(n, from[i]);
		skf_nft_x_fib(n, NFTA_FIB_F_DADDR, NFT_FIB_RESULT_ADDRTYPE, REG(0));
		skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), &local, 4);
		skf_nft_x_verdict(n, NFT_JUMP, "publish");
	}
	skf_nft_rule(n, "publish");
	if_family(n, NFPROTO_IPV4);
	skf_nft_x_verdict(n, NFT_GOTO, "publish4");
	skf_nft_rule(n, "publish");
	if_family(n, NFPROTO_IPV6);
	skf_nft_x_verdict(n, NFT_GOTO, "publish6");
}

/* One rule: protocol, with `addr` the address, port -> target. */
static void rule_dnat(struct skf_nft *n, const char *chain, const char *map, bool v6, bool addr)
{
	uint32_t words = v6 ? 4 : 1, at = 1;

	skf_nft_rule(n, chain);
	skf_nft_x_meta(n, NFT_META_L4PROTO, REG(0));
	if (addr) {
		skf_nft_x_payload(n, NFT_PAYLOAD_NETWORK_HEADER, v6 ? 24 : 16, words * 4, REG(1));
		at += words;
	}
	skf_nft_x_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 2, 2, REG(at));
	skf_nft_x_map(n, map, REG(0), REG(8));
	skf_nft_x_dnat(n, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4, REG(8), REG(8 + words));
}

static void rules_dnat(struct skf_nft *n)
{
	rule_dnat(n, "publish4", "dnat4", false, true);
	rule_dnat(n, "publish4", "dnat4_any", false, false);
	rule_dnat(n, "publish6", "dnat6", true, true);
	rule_dnat(n, "publish6", "dnat6_any", true, false);
}

static void rules_forward(struct skf_nft *n)
{
	skf_nft_rule(n, "forward");
	skf_nft_x_verdict(n, NFT_JUMP, SKF_NFT_USER);
	skf_nft_rule(n, "forward");
	if_ct_bits(n, NFT_CT_STATE, NF_CT_STATE_BIT(IP_CT_ESTABLISHED) | NF_CT_STATE_BIT(IP_CT_RELATED));
	skf_nft_x_verdict(n, NF_ACCEPT, NULL);
	skf_nft_rule(n, "forward");
	if_same(n);
	skf_nft_x_verdict(n, NF_ACCEPT, NULL);
	skf_nft_rule(n, "forward");
	if_iface(n, NFT_META_IIFNAME, "internal", false);
	skf_nft_x_counter(n);
	skf_nft_x_verdict(n, NF_DROP, NULL);
	skf_nft_rule(n, "forward");
	if_iface(n, NFT_META_OIFNAME, "internal", false);
	skf_nft_x_counter(n);
	skf_nft_x_verdict(n, NF_DROP, NULL);
	skf_nft_rule(n, "forward");
	if_ct_bits(n, NFT_CT_STATUS, IPS_DST_NAT);
	skf_nft_x_verdict(n, NF_ACCEPT, NULL);
	skf_nft_rule(n, "forward");
	if_iface(n, NFT_META_OIFNAME, "bridges", false);
	skf_nft_x_counter(n);
	skf_nft_x_verdict(n, NF_DROP, NULL);
}

/* Source and target are in one network: by address, because a bridged packet has no incoming interface here
 * (br_netfilter). */
static void rule_hairpin(struct skf_nft *n, bool v6)
{
	uint32_t len = v6 ? 16 : 4;

	skf_nft_rule(n, "postrouting");
	if_ct_bits(n, NFT_CT_STATUS, IPS_DST_NAT);
	if_family(n, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	source(n, v6);
	skf_nft_x_payload(n, NFT_PAYLOAD_NETWORK_HEADER, v6 ? 24 : 16, len, REG(len / 4));
	skf_nft_x_lookup(n, v6 ? "hairpin6" : "hairpin4", REG(0), false);
	skf_nft_x_masquerade(n);
}

/* A process of the host that came through the loopback: its address means nothing in the container. */
static void rule_loopback(struct skf_nft *n, bool v6)
{
	static const uint8_t one[16] = {[15] = 1};

	skf_nft_rule(n, "postrouting");
	if_iface(n, NFT_META_OIFNAME, "bridges", false);
	if (v6) {
		if_family(n, NFPROTO_IPV6);
		source(n, true);
		skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), one, sizeof(one));
	} else {
		if_loopback4(n, 12);
	}
	skf_nft_x_masquerade(n);
}

static void rule_outside(struct skf_nft *n, bool v6)
{
	skf_nft_rule(n, "postrouting");
	if_iface(n, NFT_META_OIFNAME, "bridges", true);
	if_family(n, v6 ? NFPROTO_IPV6 : NFPROTO_IPV4);
	source(n, v6);
	skf_nft_x_lookup(n, v6 ? "masq6" : "masq4", REG(0), false);
	skf_nft_x_masquerade(n);
}

static void rules_postrouting(struct skf_nft *n)
{
	static void (*const rules[])(struct skf_nft * n, bool v6) = {rule_hairpin, rule_loopback,
								     rule_outside};

	for (size_t i = 0; i < SKF_ARRAY_LEN(rules); i++)
		for (int v6 = 0; v6 <= 1; v6++)
			rules[i](n, v6);
}

void skf_table_load(struct skf_nft *n, bool loopback6)
{
	skf_nft_table(n);
	for (size_t i = 0; i < SKF_ARRAY_LEN(sets); i++) {
		skf_nft_set(n, &sets[i]);
		skf_nft_set_flush(n, sets[i].name);
	}
	skf_nft_chain(n, SKF_NFT_USER);
	for (size_t i = 0; i < SKF_ARRAY_LEN(plain_chains); i++) {
		skf_nft_chain(n, plain_chains[i]);
		skf_nft_chain_flush(n, plain_chains[i]);
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(base_chains); i++) {
		skf_nft_base_chain(n, base_chains[i].name, &base_chains[i].hook);
		skf_nft_chain_flush(n, base_chains[i].name);
	}
	rules_raw(n);
	if (!loopback6)
		rule_no_loopback6(n);
	rules_publish(n);
	rules_dnat(n);
	rules_forward(n);
	rules_postrouting(n);
}

/* --- elements --- */
static void put(struct skf_nft *n, const char *set, const struct skf_nft_elem *x, bool add)
{
	if (add)
		skf_nft_elem_add(n, set, x);
	else
		skf_nft_elem_del(n, set, x);
}

static void put_iface(struct skf_nft *n, const char *set, const char *name, bool pair, bool add)
{
	char key[2 * IFNAMSIZ] = "";
	struct skf_nft_elem x = {.key = key, .key_len = pair ? 2 * IFNAMSIZ : IFNAMSIZ};

	if (strlen(name) >= IFNAMSIZ)
		return;
	memcpy(key, name, strlen(name));
	if (pair)
		memcpy(key + IFNAMSIZ, name, strlen(name));
	put(n, set, &x, add);
}

static void put_hairpin(struct skf_nft *n, const struct skf_cidr *c, bool add)
{
	struct skf_ip first = skf_cidr_first(c), last = skf_cidr_last(c);
	uint8_t from[32], to[32];
	size_t len = skf_ip_len(&first);
	struct skf_nft_elem x = {.key = from, .key_end = to, .key_len = (uint32_t)(2 * len)};

	for (size_t i = 0; i < 2; i++) {
		memcpy(from + i * len, first.b, len);
		memcpy(to + i * len, last.b, len);
	}
	put(n, len == 4 ? "hairpin4" : "hairpin6", &x, add);
}

static void put_masquerade(struct skf_nft *n, const struct skf_cidr *subnet, bool add)
{
	const char *set = subnet->ip.family == AF_INET ? "masq4" : "masq6";
	struct skf_ip first = skf_cidr_first(subnet), last = skf_cidr_last(subnet),
		      end = skf_ip_add(&last, 1);
	struct skf_nft_elem x = {.key = first.b, .key_len = (uint32_t)skf_ip_len(&first)};

	put(n, set, &x, add);
	if (skf_ip_is_any(&end)) /* up to the end of all addresses */
		return;
	x.key = end.b;
	x.interval_end = true;
	put(n, set, &x, add);
}

void skf_table_bridge(struct skf_nft *n, const struct skf_network *w)
{
	if (skf_streq(w->driver, "bridge"))
		put_iface(n, "bridges", w->interface, false, true);
}

void skf_table_network(struct skf_nft *n, const struct skf_network *w, bool add)
{
	const struct skf_netsub *s = w->subnets.v;

	if (!skf_streq(w->driver, "bridge"))
		return;
	put_iface(n, "bridges", w->interface, false, add);
	if (w->icc)
		put_iface(n, "same", w->interface, true, add);
	if (w->internal)
		put_iface(n, "internal", w->interface, false, add);
	for (size_t i = 0; i < w->subnets.n; i++) {
		struct skf_cidr c;

		if (skf_cidr_parse(s[i].subnet, false, &c) < 0)
			continue;
		put_hairpin(n, &c, add);
		if (w->masquerade && !w->internal)
			put_masquerade(n, &c, add);
	}
}

static uint8_t proto_number(const char *p)
{
	return skf_streq(p, "udp") ? IPPROTO_UDP : skf_streq(p, "sctp") ? IPPROTO_SCTP : IPPROTO_TCP;
}

void skf_table_port(struct skf_nft *n, const struct skf_portmap *m, bool add)
{
	struct skf_ip host, target;
	uint16_t host_port = htons((uint16_t)m->host), port = htons((uint16_t)m->port);
	uint8_t key[24] = {proto_number(m->proto)}, data[20] = {0};
	struct skf_nft_elem x = {.key = key, .data = data};
	bool any, v6;
	size_t len, at = 4;

	if (skf_ip_parse(m->host_ip, &host) < 0 || skf_ip_parse(m->ip, &target) < 0 ||
	    host.family != target.family)
		return;
	any = skf_ip_is_any(&host);
	v6 = host.family == AF_INET6;
	len = skf_ip_len(&host);
	if (!any) {
		memcpy(key + at, host.b, len);
		at += len;
	}
	memcpy(key + at, &host_port, sizeof(host_port));
	memcpy(data, target.b, len);
	memcpy(data + len, &port, sizeof(port));
	x.key_len = (uint32_t)at + 4;
	x.data_len = (uint32_t)len + 4;
	put(n, v6 ? any ? "dnat6_any" : "dnat6" : any ? "dnat4_any" : "dnat4", &x, add);
}

void skf_table_ports(struct skf_nft *n, const struct skf_netrec *r, bool add)
{
	const struct skf_portmap *m = r->ports.v;

	for (size_t i = 0; i < r->ports.n; i++)
		skf_table_port(n, &m[i], add);
}
