/* network/egress.h -- what a container may reach: `--egress deny|allow`, `--egress-allow CIDR|NAME[:PORT]`.
 *
 * A container with policy deny has, in table inet skiff_v1: its addresses in the maps egress4 and egress6,
 * which lead to a chain of its own (e_<id>), where each allowed CIDR is a rule; and two sets (e4_<id>,
 * e6_<id>) of address . port, with time-outs, into which skiff-resolver puts the addresses of allowed names
 * before it gives the answer to the container. The chain ends in a counter and a reject, so that a refused
 * connection fails at once. <id>: the first SKF_EGRESS_ID characters of the container's id.
 *
 * It applies to everything that the container sends: to the outside, to other networks, to members of its
 * own, and to the host itself, whatever the protocol; not to answers of connections that others began, and
 * not to names: the resolver is inside the container's network namespace. What a bridge would carry to a
 * neighbour passes the host's packet filter because network/guard.h sends it there. An established
 * connection goes on when a name's time-out has passed. The rules go by source address: what keeps a
 * container from sending with another one is network/guard.h. */
#pragma once
#include "network/ip.h"
#include "network/nft.h"

#define SKF_EGRESS_ID 16

struct skf_egress_rule {      /* one --egress-allow */
	struct skf_cidr cidr; /* family 0: a name */
	char name[254];       /* lower case, no final dot; "*.example.com": every name below example.com */
	uint16_t port;        /* 0: all, and all protocols; else TCP and UDP */
};
/* "10.0.0.0/8", "10.0.0.1:443", "fd00::/8", "[fd00::1]:443", "example.com:443", "*.example.com", "web".
 * INVALID says what is wrong. */
int skf_egress_parse(const char *word, struct skf_egress_rule *ret, struct skf_err *e);
/* name: lower case. */
bool skf_egress_name_matches(const struct skf_egress_rule *r, const char *name);

/* The base chains and maps, into the caller's batch, before skf_egress_add. They are made with the first
 * container that has the policy, and anew with each other one, so that they heal by themselves: on a host
 * without a policy no packet meets them. */
void skf_egress_load(struct skf_nft *n);

struct skf_egress {
	const char *container_id;
	struct skf_strv addrs; /* the container's addresses on all networks */
	struct skf_strv allow; /* --egress-allow of the container, then of its networks */
};
/* A container with policy deny, into the caller's batch; for one that is there already the rules are
 * replaced and the counter begins anew. Names among `allow` are the resolver's business (skf_resolver_join).
 * INVALID for a word of `allow`. */
int skf_egress_add(struct skf_nft *n, const struct skf_egress *g, struct skf_err *e);
/* Everything of the container; what is not there, is not missed. Transactions of its own on n, whose batch
 * is empty. */
int skf_egress_remove(struct skf_nft *n, const char *container_id, const struct skf_strv *addrs,
		      struct skf_err *e);
/* Addresses that the container has no longer. */
int skf_egress_forget(struct skf_nft *n, const struct skf_strv *addrs, struct skf_err *e);
/* One address of a name, into the caller's batch, for timeout_s seconds. Used by the resolver; commit gives
 * -ENOENT when the container has no sets. again: it is there, with less time left (the kernel does not
 * prolong by itself). */
void skf_egress_learn(struct skf_nft *n, const char *container_id, const struct skf_ip *to, uint16_t port,
		      uint32_t timeout_s, bool again);
/* Packets and bytes that were refused so far, in n's table or in skiff_v1. NOTFOUND for a container without
 * the policy. */
int skf_egress_denied_in(struct skf_nft *n, const char *container_id, uint64_t *ret_packets,
			 uint64_t *ret_bytes, struct skf_err *e);
int skf_egress_denied(const char *container_id, uint64_t *ret_packets, uint64_t *ret_bytes,
		      struct skf_err *e);
