/* network/table.h -- table `inet skiff_v1`: what its chains do, and which elements a network and a container
 * are (docs/networks.md).
 *
 * Everything that belongs to one network or container is elements of sets and maps; chains and rules are the
 * same on every host. The chain skiff_user is made when it is missing and never flushed. */
#pragma once
#include "network/endpoint.h"
#include "network/nft.h"

#define SKF_NFT_USER "skiff_user"

/* Makes what is missing and empties our own chains and sets: the beginning of a batch that then adds all
 * networks and containers. */
void skf_table_load(struct skf_nft *n, bool loopback6); /* loopback6: also for connections to ::1; with
							   br_netfilter on IPv6 this needs network/loop6.h */
void skf_table_network(struct skf_nft *n, const struct skf_network *w, bool add);
/* Only that the bridge belongs to us. */
void skf_table_bridge(struct skf_nft *n, const struct skf_network *w);
void skf_table_ports(struct skf_nft *n, const struct skf_netrec *r, bool add);
void skf_table_port(struct skf_nft *n, const struct skf_portmap *m, bool add);
