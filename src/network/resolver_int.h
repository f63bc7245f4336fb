/* network/resolver_int.h -- what the client (resolver.c) and skiff-resolver (dns_*.c) share: the file of a
 * container below run/resolver, and the records of run/resolver/ctl.sock.
 *
 * The file is text, one fact a line, written whole and renamed: what the resolver knows after a restart is
 * what it was told. v 1 process <pid> <start time> <boot id> network <id> [<name>]         asked in this
 * order server <address>[:port]       none: the host's search <domain>, option <option>, internal, ndots
 *     egress <name>[:port], address <address>     netns <inode>: of the network namespace, which a pod's
 * holder is not in but holds
 */
#pragma once
#include "base/limits.h"
#include "network/ip.h"
#include "network/resolver.h"

#define SKF_RESOLVER_DIR    "resolver"
#define SKF_RESOLVER_SOCK   "ctl.sock"
#define SKF_RESOLVER_LOCK   ".lock"
#define SKF_RESOLVER_LISTEN 3 /* descriptors of a new skiff-resolver: its listening socket */
#define SKF_RESOLVER_RUN    4 /* ... and the run root */

/* Requests, each answered by one record of type OK or ERROR. Version 1. */
enum skf_resolver_msg {
	SKF_RESOLVER_OK = 1, /* u32 pid, u32 containers */
	SKF_RESOLVER_ERROR,  /* kind, sys, msg */
	SKF_RESOLVER_JOIN,   /* str id; fd: the network namespace, may be absent. The file is there */
	SKF_RESOLVER_LEAVE,  /* str id */
	SKF_RESOLVER_PING,
};
#define SKF_RESOLVER_VERSION 1

struct skf_dns_server_addr {
	struct skf_ip ip;
	uint16_t port;
	uint32_t scope; /* interface of a link-local IPv6 address */
};
/* "1.1.1.1", "1.1.1.1:5353", "fe80::1%eth0", "[fd00::1]:53". 0 or -EINVAL. */
int skf_dns_server_parse(const char *s, struct skf_dns_server_addr *ret);

struct skf_resolver_file { /* the strings point into text */
	uint32_t pid;
	uint64_t start_time, netns; /* netns: inode, 0 when it is not known */
	bool internal, ndots;
	unsigned n_servers, n_networks, n_egress, n_addrs;
	struct skf_dns_server_addr *servers;
	struct skf_resolver_net {
		const char *id, *name; /* name "" when it is not known */
	} * networks;
	const char **egress; /* as written; egress.h parses it */
	struct skf_ip *addrs;
	char *text;
};
/* Is it possible as a container's id, and so as the name of a file here? */
bool skf_resolver_id_ok(const char *id);
/* NOTFOUND, CORRUPT, LIMIT. *ret is malloc'ed. */
int skf_resolver_file_read(int dir_fd, const char *id, struct skf_resolver_file **ret, struct skf_err *e);
int skf_resolver_file_read_fd(int fd, const char *id, struct skf_resolver_file **ret, struct skf_err *e);
void skf_resolver_file_free(struct skf_resolver_file *f);
