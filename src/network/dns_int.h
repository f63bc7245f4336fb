/* network/dns_int.h -- skiff-resolver inside. Two processes: the one that reads packets (one thread, one
 * epoll, no blocking call but reading our own small files on tmpfs and asking the other one) has no right at
 * all (dns_lock.c); its parent, the keeper, has what sockets in namespaces and egress sets need, never sees
 * a byte of a packet, and takes requests of one fixed form (dns_keeper.c). When either ends, so does the
 * other.
 *
 * dns_loop.c    the loop, time-outs, the end          dns_ctl.c      control socket: join, leave, ping;
 * adopting at start dns_netns.c   sockets and nft inside a namespace    dns_query.c    from a query's bytes
 * to an answer's, or to a forward dns_client.c  UDP and TCP clients                   dns_forward.c  queries
 * that wait for an upstream server dns_keeper.c  the process with rights               dns_lock.c     giving
 * all rights up
 *
 * Invariants: (1) a source with fd < 0 is never called again; what is freed is freed after the round of
 * events; (2) a container that is dead has no descriptors, so that its namespace can go; (3) a query that
 * waits knows its client only as long as the client lives. */
#pragma once
#include "base/buf.h"
#include "base/limits.h"
#include "network/dns_packet.h"
#include "network/resolver_int.h"
#include <netinet/in.h>

struct skf_dns;
struct skf_nft;
struct skf_dns_source { /* first member of whatever waits for a descriptor */
	int fd;
	void (*fn)(struct skf_dns *d, struct skf_dns_source *s, uint32_t events);
};
struct skf_dns_list { /* a ring; the head's own links */
	struct skf_dns_list *next, *prev;
};

#define SKF_DNS_OF(p, type, member) ((type *)(void *)((char *)(p)-offsetof(type, member)))

#define SKF_DNS_BUCKETS 256
struct skf_dns_container {
	struct skf_dns_source udp, tcp, pidfd;
	struct skf_dns_list by_id; /* head: one of d->containers; of a dead one d->dead_containers */
	struct skf_resolver_file *conf;
	uint16_t pending, clients;
	bool dead; /* waits for the end of the round */
	char id[SKF_MAX_NAME_BYTES + 1];
};

struct skf_dns_tcp { /* a client's connection */
	struct skf_dns_source s;
	struct skf_dns_list by_age;  /* head: d->tcp_clients; oldest first */
	int64_t until;               /* CLOCK_MONOTONIC ms */
	struct skf_dns_container *c; /* NULL: the container is gone, and so is this */
	struct skf_buf in, out;      /* each message behind its 2 bytes of length */
	size_t sent;
	unsigned waiting; /* forwarded queries of it */
	bool dead, no_more;
};

struct skf_dns_pending { /* a forwarded query */
	struct skf_dns_source s;
	struct skf_dns_list by_age; /* head: d->pending; oldest first */
	int64_t until;
	struct skf_dns_container *c; /* NULL: nobody waits any more */
	struct skf_dns_tcp *tcp;     /* NULL: a UDP client */
	struct sockaddr_in from;     /* of the UDP client */
	uint16_t client_id, client_size;
	uint8_t tries, max_tries;
	bool dead, connected;
	struct skf_buf io; /* TCP: the request not yet sent, then the answer so far */
	size_t sent;
	uint16_t len;
	uint8_t query[];
};

struct skf_dns_upstream { /* the host's resolv.conf, as it was when it had this identity */
	uint64_t dev, ino, mtime_ns, size;
	unsigned n;
	struct skf_dns_server_addr servers[SKF_MAX_DNS_SERVERS];
};

struct skf_dns {
	int ep, networks_fd;
	int keeper;                                /* socket to the other process */
	struct skf_dns_source keeper_end;          /* the same: it hangs up when that one is gone */
	int run_fd, dir_fd, host_netns;            /* the keeper's */
	char (*start_ids)[SKF_MAX_NAME_BYTES + 1]; /* files that were there at the start */
	size_t n_start_ids;
	uid_t owner; /* who may speak to us, beside root */
	struct skf_dns_source listen;
	struct skf_dns_list containers[SKF_DNS_BUCKETS], dead_containers;
	unsigned n_containers, n_pending;
	struct skf_dns_list pending, tcp_clients, dead_pending, dead_clients;
	struct skf_dns_upstream up;
	const char *resolv_conf;
	struct skf_log *log;
	struct skf_nft *
		nft; /* the keeper's, of the engine's namespace; opened when a container has allowed names */
	int64_t idle_since; /* 0: there are containers */
	bool stop;
	bool lost;     /* the keeper is in a namespace that is not the engine's: it ends */
	uint32_t turn; /* rotates addresses of shared names */
	struct skf_ip
		ips[SKF_MAX_DNS_ADDRS]; /* room for one query; pages that are never touched cost nothing */
	uint8_t buf[SKF_MAX_DNS_MESSAGE + 2];
	uint8_t out[SKF_MAX_DNS_MESSAGE + 2];
};

/* --- dns_loop.c --- */
int skf_dns_watch(struct skf_dns *d, struct skf_dns_source *s, uint32_t events); /* adds; 0 or -errno */
int skf_dns_rewatch(struct skf_dns *d, struct skf_dns_source *s, uint32_t events);
void skf_dns_unwatch(struct skf_dns *d, struct skf_dns_source *s);        /* closes; safe twice */
void skf_dns_list_add(struct skf_dns_list *head, struct skf_dns_list *x); /* as the youngest */
void skf_dns_list_del(struct skf_dns_list *x);                            /* safe twice */
/* Runs until the last container is gone. Returns 0, or -1 with e. */
int skf_dns_run(struct skf_dns *d, struct skf_err *e);

/* --- dns_ctl.c --- */
void skf_dns_ctl_accept(struct skf_dns *d, struct skf_dns_source *s, uint32_t events);
void skf_dns_adopt_all(struct skf_dns *d);
void skf_dns_container_end(struct skf_dns *d,
			   struct skf_dns_container *c); /* sockets closed; freed at the end of the round */

/* --- dns_netns.c, in the keeper --- */
/* Opens the sockets of a container in the namespace, which is left again whatever happens; all or nothing.
 */
int skf_dns_netns_open(struct skf_dns *d, const char *id, int netns_fd, int *ret_udp, int *ret_tcp,
		       struct skf_err *e);

/* --- dns_keeper.c --- */
/* In the process that has the rights: serves requests until the other process is gone. */
void skf_dns_keeper_run(struct skf_dns *d);
/* In the other one; each waits for its answer. The file of a container; its process, sockets. */
int skf_dns_ask_file(struct skf_dns *d, const char *id, int *ret_fd, struct skf_err *e);
int skf_dns_ask_sockets(struct skf_dns *d, const char *id, int netns, int *ret_pidfd, int *ret_udp,
			int *ret_tcp, struct skf_err *e);
/* The address of an allowed name into the container's egress set. */
int skf_dns_ask_learn(struct skf_dns *d, const char *id, const struct skf_ip *ip, uint16_t port,
		      uint32_t ttl, struct skf_err *e);
/* Removes the file of a container that is gone; locked: whoever starts us holds the lock for us. */
void skf_dns_ask_drop(struct skf_dns *d, const char *id, bool locked);
/* 1: the socket is gone, nobody can join any more; 0: somebody is joining; -1. */
int skf_dns_ask_end(struct skf_dns *d, struct skf_err *e);
/* Names of the files of containers, for adopting them. -ENOMEM. */
int skf_dns_note_files(struct skf_dns *d);

/* --- dns_lock.c --- */
/* No capability, another user, no new privileges, a filter of system calls. */
int skf_dns_lock_down(const struct skf_log *log, struct skf_err *e);

/* --- dns_client.c --- */
void skf_dns_udp_ready(struct skf_dns *d, struct skf_dns_source *s, uint32_t events);
void skf_dns_tcp_accept(struct skf_dns *d, struct skf_dns_source *s, uint32_t events);
void skf_dns_tcp_send(struct skf_dns *d, struct skf_dns_tcp *t, const uint8_t *p, size_t n);
void skf_dns_tcp_end(struct skf_dns *d, struct skf_dns_tcp *t);
void skf_dns_tcp_free(struct skf_dns_tcp *t);

/* --- dns_query.c --- */
struct skf_dns_from { /* who asks */
	struct skf_dns_container *c;
	struct skf_dns_tcp *tcp;
	struct sockaddr_in addr;
};
/* Size of the answer in d->out, 0: nothing is to be sent now (forwarded, or not to be answered). */
size_t skf_dns_query(struct skf_dns *d, const struct skf_dns_from *from, const uint8_t *p, size_t n);

/* --- dns_forward.c --- */
/* 0: an answer will come; -errno: none can (answer SERVFAIL). */
int skf_dns_forward(struct skf_dns *d, const struct skf_dns_from *from, const struct skf_dns_query *q,
		    const uint8_t *p, size_t n);
void skf_dns_pending_timeout(struct skf_dns *d, struct skf_dns_pending *f);
void skf_dns_pending_end(struct skf_dns *d, struct skf_dns_pending *f);
void skf_dns_pending_free(struct skf_dns_pending *f);
/* An answer as it came from upstream, to the client. */
void skf_dns_deliver(struct skf_dns *d, struct skf_dns_pending *f, uint8_t *p, size_t n);

/* --- dns_learn.c, in both --- */
int skf_dns_learn_one(struct skf_dns *d, const char *id, const struct skf_ip *ip, uint16_t port,
		      uint32_t ttl);
/* Puts the addresses of an answer to an allowed name into the container's egress set. */
void skf_dns_learn(struct skf_dns *d, const struct skf_dns_pending *f, const uint8_t *p, size_t n);

void skf_dns_learn_own(struct skf_dns *d, const struct skf_dns_container *c, const char *name,
		       const struct skf_ip *ips, size_t n);

/* --- dns_upstream.c --- */
/* The servers of a container: its own, or the host's as they are now. */
unsigned skf_dns_servers(struct skf_dns *d, const struct skf_dns_container *c,
			 const struct skf_dns_server_addr **ret);
/* resolv.conf(5): "nameserver" lines; at most max. Fuzzed with the packets. */
unsigned skf_dns_resolv_conf_parse(char *text, struct skf_dns_server_addr *ret, unsigned max);
