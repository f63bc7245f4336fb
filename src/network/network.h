/* network/network.h -- a network as an object on disk: lib/networks/<id>/network.json (docs/formats.md), and
 * names/ that point to ids.
 *
 * Invariants: a network exists when its network.json exists; its name is claimed in
 * lib/networks/.names/<name> (a symlink whose target is the id) before and given back after it. The default
 * network is written by who needs it first, with a fixed id derived from nothing but its name. Who changes a
 * network holds locks/network-<id>; readers take no lock. Nothing here touches the kernel's network. */
#pragma once
#include "base/json.h"
#include "base/limits.h"
#include "network/ip.h"

#define SKF_NET_DEFAULT "bridge" /* docker's name of it */

struct skf_netsub {              /* one subnet; text as in the file */
	char *subnet;            /* "172.17.0.0/16", host bits zero */
	char *gateway;           /* NULL: none (ipvlan l3, internal macvlan) */
	char *range;             /* NULL: all of it */
	struct skf_kvs reserved; /* name -> address: --aux-address */
};
#define SKF_MAX_IFNAME_PREFIX 12 /* of 15: three digits follow */
struct skf_network {
	char *id, *name, *driver; /* "bridge", "macvlan", "ipvlan" */
	char *created;            /* RFC 3339 */
	char *interface; /* of the host: the bridge, or the parent of macvlan and ipvlan ("": a dummy of its
			    own) */
	struct skf_jarr subnets; /* skf_netsub, IPv4 first */
	bool internal, ipv6, attachable;
	bool dns;        /* names are answered by our resolver; false for the default network */
	bool masquerade; /* SNAT to the outside, both families */
	bool icc;        /* containers of it may talk to each other */
	bool is_default;
	uint32_t mtu;        /* 0: the kernel's */
	uint32_t vlan;       /* 0: none */
	char *mode;          /* macvlan: bridge, private, vepa, passthru; ipvlan: l2, l3, l3s */
	char *ifname_prefix; /* of interfaces in containers, a number follows; NULL: "eth" */
	char *host_ip;       /* published ports bind here unless said otherwise; NULL: everywhere */
	struct skf_strv dns_servers;
	char *egress; /* "allow", "deny" */
	struct skf_strv egress_allow;
	struct skf_kvs options, labels, ipam_options;
};
/* Writes the object (not "connected containers", which are leases). */
int skf_network_save(int lib_fd, const struct skf_network *n, struct skf_err *e);
/* By name, id or unique id prefix. NOTFOUND "network x not found", CONFLICT for an ambiguous prefix. */
int skf_network_find(int lib_fd, const char *word, struct skf_arena *a, struct skf_network **ret,
		     struct skf_err *e);
int skf_network_load(int lib_fd, const char *id, struct skf_arena *a, struct skf_network **ret,
		     struct skf_err *e);
/* All ids, sorted. */
int skf_network_list(int lib_fd, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e);
/* 1 claimed, 0 the name is taken. */
int skf_network_claim(int lib_fd, const char *name, const char *id, struct skf_err *e);
/* Removes object and name; a missing one is success. */
int skf_network_remove(int lib_fd, const char *id, const char *name, struct skf_err *e);
