/* network/resolver.h -- the door to skiff-resolver, the one program per run root that answers DNS queries of
 * containers on user networks.
 *
 * A container's resolver is 127.0.0.11:53 in its own network namespace; the resolver's sockets are there,
 * the resolver itself lives in the network namespace of the engine, so that it reaches the host's resolvers,
 * also those on loopback. What it has to know of a container is run/resolver/<id> (docs/formats.md), written
 * before it is told; a resolver that was killed is started again by the next join or by skf_resolver_restart
 * and takes everyone over who still runs. It ends when its last container is gone. Names: network/names.h.
 */
#pragma once
#include "base/fwd.h"

#define SKF_RESOLVER_ADDR "127.0.0.11" /* docker's */

struct skf_resolver_join {
	const char *container_id;
	uint32_t pid; /* init, and its start time: when it ends the sockets are dropped */
	uint64_t start_time;
	int netns_fd;                  /* borrowed; < 0: /proc/<pid>/ns/net */
	struct skf_strv networks;      /* ids, asked in this order */
	struct skf_strv network_names; /* NULL, or as many: "web.<name>" is then "web" of that network */
	struct skf_strv servers; /* --dns: "1.1.1.1", "1.1.1.1:5353", "[fd00::1]:53"; none: those of the
				    host's /etc/resolv.conf, as it is now */
	struct skf_strv search, options; /* of the container's resolv.conf; kept for inspect, searching is
					    the client's business */
	bool internal;                   /* nothing is forwarded: all of its networks are internal */
	bool ndots; /* the user set ndots: single-label A and AAAA queries are not forwarded (docker) */
	struct skf_strv egress_names; /* names whose addresses go into the container's egress set
					 (network/egress.h): "name" or "name:port" */
	struct skf_strv egress_addrs; /* the container's own addresses, keys of that set */
};
/* Returns when the container can ask. The same container again: new networks and servers take the place of
 * the old ones, the sockets stay (this is connect and disconnect of a running container). Starts the
 * resolver when there is none. On failure the container is not known to it and has no file. Blocks at most
 * SKF_RESOLVER_MS and a start. INVALID, NOTFOUND (the process is gone), SYSTEM, TIMEOUT. */
int skf_resolver_join(const char *run_root, const struct skf_resolver_join *j, struct skf_err *e);
/* Other servers for a container that has joined; none: the host's. Success also for one that has not. */
int skf_resolver_servers(const char *run_root, const char *container_id, const struct skf_strv *servers,
			 struct skf_err *e);
/* Success also for a container that is not there, and without a resolver. For the reap: the resolver notices
 * the end of a container by itself. */
int skf_resolver_leave(const char *run_root, const char *container_id, struct skf_err *e);
/* Starts the resolver when there are containers that need it and it does not run; files of dead containers
 * are removed. `network reload`. */
int skf_resolver_restart(const char *run_root, struct skf_err *e);
/* 1 it runs, 0 it does not; *ret_pid and *ret_containers may be NULL. For `system check`, `network inspect`
 * and tests. */
int skf_resolver_ping(const char *run_root, uint32_t *ret_pid, uint32_t *ret_containers, struct skf_err *e);
/* resolv.conf of a container on user networks: 127.0.0.11, the search domains, the options with "ndots:0" as
 * docker unless the user set it. */
void skf_resolver_conf(struct skf_buf *b, const struct skf_strv *search, const struct skf_strv *options);
