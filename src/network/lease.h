/* network/lease.h -- who has which address and which port of the host: symlinks whose target is the
 * container's id, made with one atomic system call, so that the lease itself says whose it is and a killed
 * process leaves nothing that cannot be explained.
 *
 * run/networks/<network id>/addr/<address>, and run/networks/.ports/<proto>_<port>_<address or "any">. */
#pragma once
#include "network/network.h"

/* The next free address of the subnet behind the one that was given last. LIMIT "no available IPv4 addresses
 * on this network's address pools: NAME (ID)" when there is none. */
int skf_lease_any(int run_fd, const struct skf_network *n, const struct skf_netsub *s, const char *container,
		  struct skf_ip *ret, struct skf_err *e);
/* This address. CONFLICT "Address already in use" when somebody else has it; success when the container has
 * it. */
int skf_lease_take(int run_fd, const struct skf_network *n, const struct skf_ip *ip, const char *container,
		   struct skf_err *e);
/* Gives it back when the container has it; otherwise nothing. 0 or -errno. */
int skf_lease_drop(int run_fd, const char *network, const char *ip, const char *container);
/* Whether the container has it. */
bool skf_lease_has(int run_fd, const char *network, const char *ip, const char *container);

/* Ports of the host. addr "" : every address of the family; family AF_INET, AF_INET6. 1 taken, 0 somebody
 * else has it or one that overlaps, -1. */
int skf_port_take(int run_fd, const char *proto, int family, const char *addr, uint16_t port,
		  const char *container, struct skf_err *e);
int skf_port_drop(int run_fd, const char *proto, int family, const char *addr, uint16_t port,
		  const char *container);
bool skf_port_has(int run_fd, const char *proto, int family, const char *addr, uint16_t port,
		  const char *container);
