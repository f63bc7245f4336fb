/* network/egress.h -- what a container may reach: `--egress deny|allow`, `--egress-allow CIDR|NAME[:PORT]`.
 *
 * A container with policy deny is an element of the set egress_deny4/6 (its addresses); what it may reach all the same is elements of
 * egress_net4/6 (source, destination range, port range) and egress_name4/6 (source, destination, port range; with time-outs, put there by
 * skiff-resolver before it gives the answer to the container). Whatever the packet filter of the host sees from such an address and is neither the
 * reply of a connection that somebody else began nor in these sets is rejected and counted. The sets and chains belong to table inet skiff_v1. */
#pragma once
#include "network/ip.h"
#include "network/nft.h"

struct skf_egress_rule { /* one --egress-allow */
	struct skf_cidr cidr;  /* family 0: a name */
	char name[254];        /* lower case; "*.example.com" means every name below example.com */
	uint16_t port;         /* 0: all */
};
/* "10.0.0.0/8", "10.0.0.1:443", "[fd00::/8]:443", "example.com:443", "*.example.com". INVALID says what is wrong. */
int skf_egress_parse(const char *word, struct skf_egress_rule *ret, struct skf_err *e);
bool skf_egress_name_matches(const struct skf_egress_rule *r, const char *name);

/* --- the table: part of what loads inet skiff_v1 --- */
/* Sets and the chain `egress`; the caller jumps to it from its forward and input hooks, before anything is accepted. */
void skf_egress_load(struct skf_nft *n);

struct skf_egress {
	const char *container_id;
	struct skf_strv addrs;    /* the container's addresses on all networks */
	struct skf_strv allow;    /* --egress-allow of the container, then of its networks */
};
/* Elements of a container with policy deny, into the caller's batch. Names among `allow` are the resolver's business (skf_resolver_join). */
int skf_egress_add(struct skf_nft *n, const struct skf_egress *g, struct skf_err *e);
/* One address of a name, for timeout_s (at least 1): used by the resolver. */
void skf_egress_learn(struct skf_nft *n, const struct skf_ip *from, const struct skf_ip *to, uint16_t port, uint32_t timeout_s);
/* Deletes the container's elements of all sets, learned ones as well; nothing there is success. Own transactions. */
int skf_egress_remove(const struct skf_strv *addrs, struct skf_err *e);
/* Packets and bytes that were rejected for these addresses so far. */
int skf_egress_denied(const struct skf_strv *addrs, uint64_t *ret_packets, uint64_t *ret_bytes, struct skf_err *e);
