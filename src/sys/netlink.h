/* sys/netlink.h -- route netlink without a library: what moving an interface to another network namespace
 * needs. One request, one answer; -errno on failure. A socket works on the network namespace it was opened
 * in, wherever its process goes later. Nothing blocks but the kernel's own lock. man 7 rtnetlink. */
#pragma once
#include "base/fwd.h"
#include <net/if.h>

/* A NETLINK_ROUTE socket (CLOEXEC) of the calling task's network namespace. */
int skf_nl_open(void);
/* Index of the interface; -ENODEV. */
int skf_nl_link_index(int nl, const char *name);
/* The highest index in use. */
int skf_nl_link_max(int nl);
/* Moves the interface to the namespace of netns_fd, as number new_index and under new_name, which may hold
 * one "%d". Its settings (MTU, MAC, ...) stay, its addresses do not, and it is down afterwards. -EEXIST: the
 * name is taken there. */
int skf_nl_link_move(int nl, int index, int netns_fd, const char *new_name, int new_index);
int skf_nl_link_up(int nl, int index);

struct skf_nl_addr {
	uint8_t family, prefix;
	bool has_local, has_peer, has_broadcast;
	uint8_t local[16], peer[16], broadcast[16]; /* 4 or 16 bytes by family */
	uint32_t flags;                             /* IFA_F_* that a new address takes over */
	uint32_t metric;                            /* 0: the kernel's */
};
/* Permanent addresses of global scope, in the kernel's order. *ret is malloc'ed. */
int skf_nl_addrs(int nl, int index, struct skf_nl_addr **ret, size_t *ret_n);
int skf_nl_addr_add(int nl, int index, const struct skf_nl_addr *a);
