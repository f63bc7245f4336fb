/* network/guard.c -- the table of guarded bridge ports; see guard.h. Chains, and frames in the order in
 * which they are looked at: from_port  of other ports: to_port decides. With another MAC: dropped. IPv4 and
 * IPv6 with an address of the port's own: routed; ARP with one: bridged; what the neighbour discovery of
 * IPv6 needs: bridged; everything else: dropped and counted to_port    IPv4 and IPv6 for the MAC of a
 * guarded port: routed, so that the host sees both directions of every connection; the rest: bridged route
 * the bridge's MAC becomes the target: the frame goes up to the host instead of to a neighbour nd, nd_own
 * neighbour discovery and multicast listener reports (RFC 4861, RFC 3810), with an address of the port's own
 * or none at all. No router advertisement, no redirect, no query: a container is no router. */
#include "network/guard.h"
#include "base/buf.h"
#include "network/link.h"
#include "network/nft_int.h"
#include <linux/if_ether.h>
#include <linux/if_packet.h>
#include <linux/netfilter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#define REG(n)   (NFT_REG32_00 + (n))
#define ADDR     REG(IFNAMSIZ / 4) /* behind the name of the port */
#define CHAIN    "from_port"
#define PRIORITY (-350) /* before anybody rewrites addresses */

enum { T_IP = 7, T_IP6 = 8, T_ETHER = 9, T_IFNAME = 41 }; /* nft's numbers of types */

static const struct skf_nft_set sets[] = {
	{.name = "ports", .key_len = IFNAMSIZ, .key_type = T_IFNAME, .host_order = true},
	{.name = "mac", .key_len = IFNAMSIZ + 8, .key_type = T_IFNAME << 6 | T_ETHER},
	{.name = "addr4", .key_len = IFNAMSIZ + 4, .key_type = T_IFNAME << 6 | T_IP},
	{.name = "addr6", .key_len = IFNAMSIZ + 16, .key_type = T_IFNAME << 6 | T_IP6},
	{.name = "bridge_of",
	 .key_len = IFNAMSIZ,
	 .key_type = T_IFNAME,
	 .host_order = true,
	 .data_len = ETH_ALEN,
	 .data_type = T_ETHER},
	{.name = "bridge_to",
	 .key_len = ETH_ALEN,
	 .key_type = T_ETHER,
	 .data_len = ETH_ALEN,
	 .data_type = T_ETHER},
};
static const char *const plain_chains[] = {"to_port", "route", "nd", "nd_own"};

static void if_type(struct skf_nft *n, const char *chain, uint16_t type)
{
	uint16_t be = htons(type);

	skf_nft_rule(n, chain);
	skf_nft_x_meta(n, NFT_META_PROTOCOL, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), &be, sizeof(be));
}

static void if_icmp6(struct skf_nft *n, const char *chain)
{
	static const uint8_t icmp6 = IPPROTO_ICMPV6;

	if_type(n, chain, ETH_P_IPV6);
	skf_nft_x_meta(n, NFT_META_L4PROTO, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), &icmp6, 1);
}

/* A field of the frame is one that the port may send with. */
static void if_own(struct skf_nft *n, uint32_t base, uint32_t off, uint32_t len, const char *set,
		   bool invert)
{
	skf_nft_x_meta(n, NFT_META_IIFNAME, REG(0));
	skf_nft_x_payload(n, base, off, len, ADDR);
	skf_nft_x_lookup(n, set, REG(0), invert);
}

static void drop(struct skf_nft *n)
{
	skf_nft_x_counter(n);
	skf_nft_x_verdict(n, NF_DROP, NULL);
}

/* The MAC in REG(8) is the new target; the host takes no frame that was for somebody else when it came. */
static void send_up(struct skf_nft *n)
{
	static const uint8_t host = PACKET_HOST;

	skf_nft_x_payload_set(n, NFT_PAYLOAD_LL_HEADER, 0, ETH_ALEN, REG(8));
	skf_nft_x_value(n, REG(0), &host, sizeof(host));
	skf_nft_x_meta_set(n, NFT_META_PKTTYPE, REG(0));
	skf_nft_x_verdict(n, NF_ACCEPT, NULL);
}

static void rules_from(struct skf_nft *n)
{
	skf_nft_rule(n, CHAIN);
	skf_nft_x_meta(n, NFT_META_IIFNAME, REG(0));
	skf_nft_x_lookup(n, "ports", REG(0), true);
	skf_nft_x_verdict(n, NFT_GOTO, "to_port");

	skf_nft_rule(n, CHAIN);
	if_own(n, NFT_PAYLOAD_LL_HEADER, ETH_ALEN, ETH_ALEN, "mac", true);
	drop(n);

	if_type(n, CHAIN, ETH_P_IP);
	if_own(n, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, "addr4", false);
	skf_nft_x_verdict(n, NFT_GOTO, "route");

	if_icmp6(n, CHAIN);
	skf_nft_x_verdict(n, NFT_JUMP, "nd");

	if_type(n, CHAIN, ETH_P_IPV6);
	if_own(n, NFT_PAYLOAD_NETWORK_HEADER, 8, 16, "addr6", false);
	skf_nft_x_verdict(n, NFT_GOTO, "route");

	if_type(n, CHAIN, ETH_P_ARP); /* the sender's addresses in it: RFC 826 */
	if_own(n, NFT_PAYLOAD_NETWORK_HEADER, 8, ETH_ALEN, "mac", false);
	if_own(n, NFT_PAYLOAD_NETWORK_HEADER, 14, 4, "addr4", false);
	skf_nft_x_verdict(n, NF_ACCEPT, NULL);

	skf_nft_rule(n, CHAIN);
	drop(n);
}

static void if_icmp_types(struct skf_nft *n, uint8_t first, uint8_t last)
{
	skf_nft_x_payload(n, NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_GTE, REG(0), &first, 1);
	skf_nft_x_cmp(n, NFT_CMP_LTE, REG(0), &last, 1);
}

/* reports and "done" (131, 132), router solicitation (133); neighbour solicitation and advertisement (135,
 * 136); report of version 2 (143) */
static void rules_discovery(struct skf_nft *n)
{
	static const uint8_t types[][2] = {{131, 133}, {135, 136}, {143, 143}}, none[16];

	for (size_t i = 0; i < SKF_ARRAY_LEN(types); i++) {
		skf_nft_rule(n, "nd");
		if_icmp_types(n, types[i][0], types[i][1]);
		skf_nft_x_verdict(n, NFT_GOTO, "nd_own");
	}
	skf_nft_rule(n, "nd_own");
	if_own(n, NFT_PAYLOAD_NETWORK_HEADER, 8, 16, "addr6", false);
	skf_nft_x_verdict(n, NF_ACCEPT, NULL);
	skf_nft_rule(n, "nd_own"); /* duplicate address detection, and listeners that have no address yet */
	skf_nft_x_payload(n, NFT_PAYLOAD_NETWORK_HEADER, 8, 16, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), none, sizeof(none));
	skf_nft_x_verdict(n, NF_ACCEPT, NULL);
}

static void rules_to(struct skf_nft *n)
{
	static const uint16_t types[] = {ETH_P_IP, ETH_P_IPV6};

	if_icmp6(n, "to_port"); /* speaks of MACs: it has to come as it is */
	if_icmp_types(n, 130, 143);
	skf_nft_x_verdict(n, NF_ACCEPT, NULL);
	for (size_t i = 0; i < SKF_ARRAY_LEN(types); i++) {
		if_type(n, "to_port", types[i]);
		skf_nft_x_payload(n, NFT_PAYLOAD_LL_HEADER, 0, ETH_ALEN, REG(0));
		skf_nft_x_map(n, "bridge_to", REG(0), REG(8));
		send_up(n);
	}
}

static void rules_route(struct skf_nft *n)
{
	skf_nft_rule(n, "route");
	skf_nft_x_meta(n, NFT_META_IIFNAME, REG(0));
	skf_nft_x_map(n, "bridge_of", REG(0), REG(8));
	send_up(n);
	skf_nft_rule(n, "route");
	drop(n);
}

static void put(struct skf_nft *n, bool add, const char *set, const struct skf_endpoint *p,
		const void *value, size_t len)
{
	uint8_t key[IFNAMSIZ + 16] = {0};
	struct skf_nft_elem x = {.key = key, .key_len = (uint32_t)(IFNAMSIZ + (len + 3) / 4 * 4)};

	memcpy(key, p->link, strnlen(p->link, IFNAMSIZ - 1));
	if (len)
		memcpy(key + IFNAMSIZ, value, len);
	if (add)
		skf_nft_elem_add(n, set, &x);
	else
		skf_nft_elem_del(n, set, &x);
}

/* The bridge's MAC, by the port's name or by the container's MAC. */
static void put_bridge(struct skf_nft *n, bool add, const char *map, const struct skf_endpoint *p,
		       const uint8_t *mac)
{
	uint8_t key[IFNAMSIZ] = {0}, bridge[ETH_ALEN];
	struct skf_nft_elem x = {.key = mac ? mac : key,
				 .key_len = mac ? ETH_ALEN : IFNAMSIZ,
				 .data = bridge,
				 .data_len = sizeof(bridge)};

	memcpy(key, p->link, strnlen(p->link, IFNAMSIZ - 1));
	skf_link_bridge_mac(p->network, bridge);
	if (add)
		skf_nft_elem_add(n, map, &x);
	else
		skf_nft_elem_del(n, map, &x);
}

int skf_guard_link_local(const char *mac, struct skf_ip *ret)
{
	struct skf_ip ip = {.family = AF_INET6, .b = {0xfe, 0x80}};
	uint8_t m[ETH_ALEN];

	if (!mac || skf_mac_parse(mac, m) < 0)
		return -EINVAL;
	memcpy(ip.b + 8, (const uint8_t[]){m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]},
	       8); /* RFC 4291, appendix A */
	*ret = ip;
	return 0;
}

/* done: after each element (a transaction that names one that is not there does nothing at all); NULL: all
 * in one. */
static int each(struct skf_nft *n, const struct skf_endpoint *p, bool add,
		int (*done)(struct skf_nft *n, int first))
{
	const char *const texts[] = {p->ip, p->ip6};
	uint8_t mac[ETH_ALEN];
	struct skf_ip ip;
	int r = 0;

	if (!p->link || !p->link[0])
		return 0; /* no bridge */
	put(n, add, "ports", p, NULL, 0);
	r = done ? done(n, r) : 0;
	put_bridge(n, add, "bridge_of", p, NULL);
	r = done ? done(n, r) : 0;
	if (p->mac && skf_mac_parse(p->mac, mac) == 0) {
		put(n, add, "mac", p, mac, sizeof(mac));
		r = done ? done(n, r) : 0;
		put_bridge(n, add, "bridge_to", p, mac);
		r = done ? done(n, r) : 0;
	}
	if (skf_guard_link_local(p->mac, &ip) == 0) {
		put(n, add, "addr6", p, ip.b, 16);
		r = done ? done(n, r) : 0;
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(texts); i++) {
		if (!texts[i] || skf_ip_parse(texts[i], &ip) < 0)
			continue;
		put(n, add, ip.family == AF_INET ? "addr4" : "addr6", p, ip.b, skf_ip_len(&ip));
		r = done ? done(n, r) : 0;
	}
	return r;
}

void skf_guard_add(struct skf_nft *n, const struct skf_endpoint *v, size_t count)
{
	static const struct skf_nft_hook hook = {
		"filter", NF_INET_PRE_ROUTING /* NF_BR_PRE_ROUTING is the same */, PRIORITY};

	skf_nft_family(n, NFPROTO_BRIDGE);
	skf_nft_table(n);
	for (size_t i = 0; i < SKF_ARRAY_LEN(sets); i++)
		skf_nft_set(n, &sets[i]);
	skf_nft_base_chain(n, CHAIN, &hook);
	skf_nft_chain_flush(n, CHAIN);
	for (size_t i = 0; i < SKF_ARRAY_LEN(plain_chains); i++) {
		skf_nft_chain(n, plain_chains[i]);
		skf_nft_chain_flush(n, plain_chains[i]);
	}
	rules_from(n);
	rules_to(n);
	rules_discovery(n);
	rules_route(n);
	for (size_t i = 0; i < count; i++)
		(void)each(n, &v[i], true, NULL);
	skf_nft_family(n, NFPROTO_INET);
}

/* Keeps the first failure. A kernel without the family has no such table either. */
static int commit_gone(struct skf_nft *n, int first)
{
	int r = skf_nft_commit(n);

	return first < 0 || r == -ENOENT || r == -EAFNOSUPPORT ? first : r;
}

int skf_guard_remove(struct skf_nft *n, const struct skf_endpoint *v, size_t count)
{
	int r = 0, one;

	skf_nft_family(n, NFPROTO_BRIDGE);
	for (size_t i = 0; i < count; i++) {
		one = each(n, &v[i], false, commit_gone);
		r = r < 0 ? r : one;
	}
	skf_nft_family(n, NFPROTO_INET);
	return r;
}
