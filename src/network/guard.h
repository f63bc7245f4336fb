/* network/guard.h -- who a container may be: on the bridge port of a container with egress policy deny,
 * every frame must have the container's own MAC and one of its own addresses. Without it the rules of
 * network/egress.h, which go by source address, would be as good as the container's word: root with NET_RAW
 * or NET_ADMIN in it can send with any other address, and can speak with its neighbours in frames that carry
 * no IP at all.
 *
 * And its neighbours are out of its reach, too: IP frames of such a port, and those for its MAC, go up to
 * the host instead of across the bridge, as if the port was the only one of its network. The host routes
 * them, connection tracking sees both directions, and the container's chain decides: no tracking in the
 * bridge itself is needed (CONFIG_NF_CONNTRACK_BRIDGE), nor br_netfilter. A hop more is what it costs.
 * Broadcast and multicast of the container end at the host. ARP and neighbour discovery stay bridged:
 * whoever may speak to the container has to find it.
 *
 * One table, bridge skiff_v1: ports in a set, what they may send with in sets of pairs, the bridge's MAC of
 * a port and of a container's MAC in two maps, one chain on prerouting of all bridges, which leaves frames
 * between other ports alone after a look-up or two. It is made with the first such container, as a whole
 * each time, so that it heals by itself. */
#pragma once
#include "network/endpoint.h"
#include "network/ip.h"
#include "network/nft.h"

/* The address that the kernel gives every interface of that MAC ("02:42:ac:11:00:02"). -EINVAL. */
int skf_guard_link_local(const char *mac, struct skf_ip *ret);
/* All bridge ports of a container, into the caller's batch. A kernel without nf_tables for bridges refuses
 * the batch: EAFNOSUPPORT. */
void skf_guard_add(struct skf_nft *n, const struct skf_endpoint *v, size_t count);
/* Transactions of its own on n, whose batch is empty; what is not there is not missed. 0 or -errno. */
int skf_guard_remove(struct skf_nft *n, const struct skf_endpoint *v, size_t count);
