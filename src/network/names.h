/* network/names.h -- names of containers on a network: run/networks/<id>/names/, read by the resolver at
 * each query.
 *
 * Every name is lower case and one entry of that directory, a symlink whose target says who has it and
 * where, so that a query is one readlink and connect, disconnect and restart need no reload. Several
 * containers may share a name (an alias): it then has all their addresses.
 *
 *     web            -> "=<container> 10.89.0.2 fd00::2 =<other> 10.89.0.3"     (a regular file with this
 * text when it is too long for a link)
 *     @10.89.0.2     -> "=<container> web"                                      for look-ups of an address
 *     =<container>   -> "web alias / 10.89.0.2 fd00::2"                         written first, removed last:
 * what remove has to undo
 *
 * <container> is the first SKF_NAMES_ID characters of the id. Writers hold names/.lock, readers take none
 * and see the old or the new entry. */
#pragma once
#include "network/ip.h"

#define SKF_NAMES_ID 16

/* Gives the container's addresses to all names; what the same container had on this network before is
 * replaced. The first name is the one that an address is resolved to. A name that no DNS query can hold (a
 * label over 63 bytes) is left out; INVALID for one with a character other than [a-zA-Z0-9_.-], for an
 * address that is none and for an empty list. On failure the container has no name on the network. Blocks at
 * most SKF_LOCK_MS. */
int skf_names_add(int run_fd, const char *network_id, const char *container_id, const struct skf_strv *names,
		  const struct skf_strv *addrs, struct skf_err *e);
/* Success also when there is nothing. */
int skf_names_remove(int run_fd, const char *network_id, const char *container_id, struct skf_err *e);

/* Look-ups take a descriptor of run/networks: their process may be one that cannot walk there (dns_lock.c).
 * Addresses of a name (any case, no final dot) in the order they were added; at most max, the rest is left
 * out. 1 known, 0 unknown, -errno. */
int skf_names_lookup(int networks_fd, const char *network_id, const char *name, struct skf_ip *ret,
		     size_t max, size_t *ret_n);
/* First name of an address. 1 known, 0 unknown, -errno. */
int skf_names_reverse(int networks_fd, const char *network_id, const struct skf_ip *ip, char *ret,
		      size_t size);
