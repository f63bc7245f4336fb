/* network/link.h -- interfaces, addresses and routes over route netlink. Functions return -errno; nl is a
 * socket of the namespace that is meant (sys/nlmsg.h). Nothing blocks but the kernel's own locks. man 7
 * rtnetlink. */
#pragma once
#include "network/ip.h"

struct skf_link {
	int index, master;
	uint32_t flags, mtu; /* IFF_* */
	uint8_t mac[6];
};
/* -ENODEV when there is none. */
int skf_link_get(int nl, const char *name, struct skf_link *ret);
int skf_link_delete(int nl, const char *name);
/* A text that belongs to the link (`ip link` shows it): whose it is. */
int skf_link_alias(int nl, int index, const char *alias);
struct skf_link_row { /* pointers are good during the call only; kind and alias may be NULL */
	int index, master;
	const char *name, *kind, *alias;
};
/* All links of the namespace; fn returns 0 or -errno, which ends it. */
int skf_link_each(int nl, int (*fn)(const struct skf_link_row *l, void *user), void *user);
int skf_link_up(int nl, int index);
/* A link that is not up yet will make itself no link-local IPv6 address. With one it reports the groups of
 * that address, and a bridge carries each report to all of its ports: work that grows with the containers on
 * it. Addresses can be given to it all the same. */
int skf_link_quiet(int nl, const char *name);

/* All are up when the call returns, but for the ends of a veth. mac NULL: the kernel's; mtu 0: the kernel's.
 * -EEXIST when the name is taken. */
int skf_link_bridge(int nl, const char *name, const uint8_t mac[6], uint32_t mtu);
/* The MAC of a network's bridge: from its id, so that it stays the same when ports come and go, and
 * everybody knows it. */
void skf_link_bridge_mac(const char *network_id, uint8_t ret[6]);
int skf_link_dummy(int nl, const char *name);
int skf_link_vlan(int nl, const char *name, int parent, uint32_t id);
struct skf_veth {
	const char *host, *peer; /* names here and in the other namespace */
	int bridge, netns_fd;    /* the host's end joins the bridge, the peer is born in the namespace */
	const uint8_t *mac;      /* of the peer */
	uint32_t mtu;
	bool isolated, hairpin; /* of the bridge port */
};
/* Then the peer is to be looked at (skf_link_get) and brought up, then the host's end: an end that is up
 * without a carrier is one that the kernel takes down again first, which costs it a grace period. */
int skf_link_veth(int nl, const struct skf_veth *v);
/* The host's end, with the settings of its port. */
int skf_link_veth_up(int nl, const struct skf_veth *v);
struct skf_subif {               /* macvlan or ipvlan, born in the namespace */
	const char *kind, *name; /* "macvlan", "ipvlan" */
	int parent, netns_fd;
	uint32_t mode, mtu; /* MACVLAN_MODE_*, IPVLAN_MODE_* */
	const uint8_t *mac;
};
int skf_link_subif(int nl, const struct skf_subif *s);

/* Up; addresses and, with a gateway, a default route of each; one datagram. */
struct skf_link_addr {
	struct skf_cidr addr;
	struct skf_ip gateway; /* family 0: no default route */
	bool device_route;     /* default route without a gateway (ipvlan l3) */
};
int skf_link_configure(int nl, int index, const struct skf_link_addr *v, size_t n);
int skf_link_addr_add(int nl, int index, const struct skf_cidr *addr);
int skf_link_default_route(int nl, int index, const struct skf_link_addr *a, bool add);
/* Answers to ::1 that come in through this link find their way: published ports on the IPv6 loopback. A
 * packet from outside with that address is dropped by the kernel before any route is looked at. 0 also when
 * it is as wanted. */
int skf_link_loopback6_route(int nl, int index, bool add);
/* Every route's destination and every address' subnet of the host: what a new network must not overlap. fn
 * returns 0 or -errno. */
int skf_link_each_route(int nl, int (*fn)(const struct skf_cidr *dst, void *user), void *user);
/* "02:42:ac:11:00:02" */
void skf_mac_text(const uint8_t mac[6], char out[18]);
int skf_mac_parse(const char *s, uint8_t ret[6]);
