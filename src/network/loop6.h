/* network/loop6.h -- published ports on [::1] where the packet filter sees bridged packets (br_netfilter on
 * for IPv6).
 *
 * The answer of a container to a process of the host that called [::1] comes to the bridge, and connection
 * tracking gives it its target ::1 back there already; the IPv6 input of the kernel then drops a packet for
 * ::1 that any interface but the loopback has (RFC 4291, 2.5.3). So the packet changes over to the loopback:
 * chain `loopback6` of table inet skiff_v1 marks it while it is still addressed to the host, and a chain on
 * the ingress of the bridge, in table netdev skiff_v1, hands what has the mark and is for ::1 to `lo`.
 *
 * Invariant: what a container addresses to ::1 itself never gets there. The mark is given to answers of a
 * connection whose first packet went to ::1, which only the host can have begun: one from outside is dropped
 * by the kernel, and a packet that arrives has no mark. */
#pragma once
#include "network/nft.h"

/* The chains that are the same for all bridges, into the caller's batch. Commit fails on a kernel without
 * CONFIG_NF_TABLES_NETDEV or CONFIG_NFT_FWD_NETDEV. */
void skf_loop6_load(struct skf_nft *n);
/* One bridge, into the caller's batch, after skf_loop6_load. Commit fails with -ENOENT when there is no such
 * interface. */
void skf_loop6_bridge(struct skf_nft *n, const char *bridge);
/* Takes a bridge's chain away: a transaction of its own on n, whose batch is empty. 0 also when there is
 * none; -errno. */
int skf_loop6_forget(struct skf_nft *n, const char *bridge);
