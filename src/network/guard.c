/* network/guard.c -- the table of guarded bridge ports; see guard.h. Frames in the order in which they are looked at: of other ports: accepted; with
 * another MAC: dropped; IPv4, IPv6 and ARP with an address of the port's own: accepted; IPv6 without any address, as duplicate address detection
 * and multicast listeners send it: accepted; everything else: dropped and counted. */
#include "network/guard.h"
#include "base/buf.h"
#include "network/link.h"
#include "network/nft_int.h"
#include <linux/if_ether.h>
#include <linux/netfilter.h>
#include <net/if.h>
#include <netinet/in.h>
#include <string.h>

#define REG(n)   (NFT_REG32_00 + (n))
#define ADDR     REG(IFNAMSIZ / 4) /* behind the name of the port */
#define CHAIN    "from_port"
#define PRIORITY (-350)            /* before anybody rewrites addresses */

enum { T_IP = 7, T_IP6 = 8, T_ETHER = 9, T_IFNAME = 41 }; /* nft's numbers of types */

static const struct skf_nft_set sets[] = {
	{.name = "ports", .key_len = IFNAMSIZ, .key_type = T_IFNAME, .host_order = true},
	{.name = "mac", .key_len = IFNAMSIZ + 8, .key_type = T_IFNAME << 6 | T_ETHER},
	{.name = "addr4", .key_len = IFNAMSIZ + 4, .key_type = T_IFNAME << 6 | T_IP},
	{.name = "addr6", .key_len = IFNAMSIZ + 16, .key_type = T_IFNAME << 6 | T_IP6},
};

static void begin(struct skf_nft *n)
{
	skf_nft_rule(n, CHAIN);
	skf_nft_x_meta(n, NFT_META_IIFNAME, REG(0));
}

static void if_type(struct skf_nft *n, uint16_t type)
{
	uint16_t be = htons(type);

	skf_nft_rule(n, CHAIN);
	skf_nft_x_meta(n, NFT_META_PROTOCOL, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), &be, sizeof(be));
}

/* A field of the frame is one that the port may send with. */
static void if_own(struct skf_nft *n, uint32_t base, uint32_t off, uint32_t len, const char *set, bool invert)
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

static void rules(struct skf_nft *n)
{
	static const uint8_t none[16], icmp6 = IPPROTO_ICMPV6;

	begin(n);
	skf_nft_x_lookup(n, "ports", REG(0), true);
	skf_nft_x_verdict(n, NF_ACCEPT, NULL);

	skf_nft_rule(n, CHAIN);
	if_own(n, NFT_PAYLOAD_LL_HEADER, ETH_ALEN, ETH_ALEN, "mac", true);
	drop(n);

	if_type(n, ETH_P_IP);
	if_own(n, NFT_PAYLOAD_NETWORK_HEADER, 12, 4, "addr4", false);
	skf_nft_x_verdict(n, NF_ACCEPT, NULL);

	if_type(n, ETH_P_IPV6);
	if_own(n, NFT_PAYLOAD_NETWORK_HEADER, 8, 16, "addr6", false);
	skf_nft_x_verdict(n, NF_ACCEPT, NULL);

	if_type(n, ETH_P_ARP); /* the sender's addresses in it: RFC 826 */
	if_own(n, NFT_PAYLOAD_NETWORK_HEADER, 8, ETH_ALEN, "mac", false);
	if_own(n, NFT_PAYLOAD_NETWORK_HEADER, 14, 4, "addr4", false);
	skf_nft_x_verdict(n, NF_ACCEPT, NULL);

	if_type(n, ETH_P_IPV6);
	skf_nft_x_payload(n, NFT_PAYLOAD_NETWORK_HEADER, 8, 16, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), none, sizeof(none));
	skf_nft_x_meta(n, NFT_META_L4PROTO, REG(0));
	skf_nft_x_cmp(n, NFT_CMP_EQ, REG(0), &icmp6, 1);
	skf_nft_x_verdict(n, NF_ACCEPT, NULL);

	skf_nft_rule(n, CHAIN);
	drop(n);
}

static void put(struct skf_nft *n, bool add, const char *set, const struct skf_endpoint *p, const void *value, size_t len)
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

int skf_guard_link_local(const char *mac, struct skf_ip *ret)
{
	struct skf_ip ip = {.family = AF_INET6, .b = {0xfe, 0x80}};
	uint8_t m[ETH_ALEN];

	if (!mac || skf_mac_parse(mac, m) < 0)
		return -EINVAL;
	memcpy(ip.b + 8, (const uint8_t[]){m[0] ^ 2, m[1], m[2], 0xff, 0xfe, m[3], m[4], m[5]}, 8); /* RFC 4291, appendix A */
	*ret = ip;
	return 0;
}

/* done: after each element (a transaction that names one that is not there does nothing at all); NULL: all in one. */
static int each(struct skf_nft *n, const struct skf_endpoint *p, bool add, int (*done)(struct skf_nft *n, int first))
{
	const char *const texts[] = {p->ip, p->ip6};
	uint8_t mac[ETH_ALEN];
	struct skf_ip ip;
	int r = 0;

	if (!p->link || !p->link[0])
		return 0; /* no bridge */
	put(n, add, "ports", p, NULL, 0);
	r = done ? done(n, r) : 0;
	if (p->mac && skf_mac_parse(p->mac, mac) == 0) {
		put(n, add, "mac", p, mac, sizeof(mac));
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
	static const struct skf_nft_hook hook = {"filter", NF_INET_PRE_ROUTING /* NF_BR_PRE_ROUTING is the same */, PRIORITY};

	skf_nft_family(n, NFPROTO_BRIDGE);
	skf_nft_table(n);
	for (size_t i = 0; i < SKF_ARRAY_LEN(sets); i++)
		skf_nft_set(n, &sets[i]);
	skf_nft_base_chain(n, CHAIN, &hook);
	skf_nft_chain_flush(n, CHAIN);
	rules(n);
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
