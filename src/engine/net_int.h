/* engine/net_int.h -- networks of containers: what the files net_*.c share. What a container wants is
 * <root>/containers/<id>/network.json (struct skf_net_conf, written at create, changed by connect and
 * disconnect); what it has while it runs is its record in /run (network/endpoint.h).
 *
 * Locks: "networks" for making and removing networks, "network-<id>" for the host's side of one, "nft"
 * shared for adding and removing elements, exclusive for loading the whole table. The container's own lock
 * comes before all of them. */
#pragma once
#include "engine/engine_int.h"
#include "network/endpoint.h"
#include "network/lease.h"
#include "network/link.h"
#include "network/nft.h"
#include "network/publish.h"
#include "base/record.h"

#define SKF_NET_MODE_BRIDGE    "bridge" /* any network of the engine */
#define SKF_NET_MODE_CONTAINER "container"
#define SKF_NET_MODE_PATH      "ns" /* a network namespace that somebody else has */

struct skf_net_choice {       /* one network of a container, as asked for; strings may be NULL */
	char *network, *name; /* id, name */
	char *ip, *ip6, *mac, *ifname;
	struct skf_strv aliases;
};
struct skf_net_conf {
	char *mode;               /* SKF_NET_MODE_*, "none", "host" */
	char *target;             /* container:ID, ns:PATH */
	struct skf_jarr networks; /* skf_net_choice; the first has the default route */
	struct skf_jarr ports;    /* skf_publish */
	bool publish_all;
	struct skf_strv exposed; /* "80/tcp": --expose and the image's */
	struct skf_strv dns, dns_search, dns_opt, add_host, links;
	char *hostname, *domainname;
	char *egress;
	struct skf_strv egress_allow;
};
/* --- net_claim.c --- */
#define SKF_NET_MARK  8
#define SKF_NET_ALIAS "skiff " /* the mark, and where the root is: what `ip link` shows of our bridges */
/* Who this root is among those of one network namespace: hex digits. */
int skf_net_mark(struct skf_engine *g, char ret[SKF_NET_MARK + 1], struct skf_err *e);
/* 1 the table has that name, 0 it was not loaded yet. */
int skf_net_table_name(struct skf_engine *g, char ret[SKF_NFT_TABLE_MAX]);
/* A batch for this root's table. */
int skf_net_nft(struct skf_engine *g, struct skf_nft **ret, struct skf_err *e);
/* Before a load, under the lock "nft" held alone: decides which table is ours, and n is for it. */
int skf_net_table_claim(struct skf_engine *g, struct skf_nft *n, struct skf_err *e);
/* The tables of all families that have n's name; 0 also when there is none, -errno. */
int skf_net_table_delete(struct skf_nft *n);
/* Takes the tables of all families away. The lock "nft" is held alone. */
int skf_net_table_drop(struct skf_engine *g, struct skf_nft *n, struct skf_err *e);

/* --- net_gone.c --- */
#define SKF_NET_HOME 200
/* The name of the chain that says which directory the root is. -EOPNOTSUPP: its file system has no handles.
 */
int skf_net_home(int root_fd, char ret[SKF_NET_HOME]);

/* alias of a bridge is that of a root with this mark, of whatever version. */
bool skf_net_alias_is_of(const char *alias, const char *mark);

/* --- net_idle.c --- */
/* Held while a container gets its networks: its descriptor. */
int skf_net_use_lock(struct skf_engine *g, struct skf_err *e);
/* When no container has a network: the default bridge goes, and the firewall table when no bridge and no
 * rule of the admin is left. */
int skf_net_idle_down(struct skf_engine *g, struct skf_err *e);

/* --- net_choice.c --- */
/* One network as a user asked for it, checked; INVALID in docker's words. Keeps pointers to both arguments.
 */
int skf_net_choose(const struct skf_network *n, const struct skf_net_attach *v, struct skf_net_choice *ret,
		   struct skf_err *e);

/* --- net_conf.c --- */
int skf_net_conf_write(int ctr_dir, const struct skf_net_conf *c, struct skf_err *e);
/* network.json from memory: what skf_net_conf_read does with its file. */
int skf_net_conf_decode(const char *text, size_t n, struct skf_arena *a, struct skf_net_conf **ret,
			struct skf_err *e);
/* A container that has none (made by an older version): mode "none" or "host", as its config.json says. */
int skf_net_conf_read(struct skf_engine *g, const char *id, struct skf_arena *a, struct skf_net_conf **ret,
		      struct skf_err *e);
/* Who has the network: a container, or a pod. Its name (arena) and its directory below root (the caller's),
 * with hosts and resolv.conf. */
int skf_net_owner(struct skf_engine *g, const char *id, struct skf_arena *a, char **ret_name, int *ret_dir,
		  struct skf_err *e);
/* Does the engine make its network at a start? */
bool skf_net_conf_is_ours(const struct skf_net_conf *c);

/* --- net_default.c --- */
/* The default network; made when there is none. */
int skf_net_default(struct skf_engine *g, struct skf_arena *a, struct skf_network **ret, struct skf_err *e);
/* The default network is about to be used: another root of skiff in this network namespace may have the
 * bridge's name, then it gets another name and subnets, and *n is anew. CONFLICT while containers of ours
 * are on it. */
int skf_net_default_settle(struct skf_engine *g, struct skf_arena *a, struct skf_network **n,
			   struct skf_err *e);
/* A network by the user's word, ours or of CNI; "default" and "bridge" are the default network. */
int skf_net_find(struct skf_engine *g, const char *word, struct skf_arena *a, struct skf_network **ret,
		 struct skf_err *e);

/* --- net_cni.c (engine/net_cni.h has the rest) --- */
/* The network of an endpoint or a choice, by id; name: what it was called, for CNI networks, which are found
 * by it. */
int skf_net_load(struct skf_engine *g, const char *id, const char *name, struct skf_arena *a,
		 struct skf_network **ret, struct skf_err *e);

/* --- net_pool.c --- */
/* A subnet that overlaps no route of the host and no network of ours: prefix 16 from docker's pools, 24 from
 * ours; v6: a random ULA /64. */
int skf_net_pool(struct skf_engine *g, int family, bool small, struct skf_arena *a, char **ret,
		 struct skf_err *e);
/* CONFLICT "Pool overlaps with other one on this address space" when a network of ours has it; host routes
 * are the user's business. */
int skf_net_pool_check(struct skf_engine *g, const struct skf_cidr *c, struct skf_err *e);
/* First usable address of a subnet. */
char *skf_net_first_address(const char *subnet, struct skf_arena *a);

/* --- net_host.c --- */
/* The host's side of a network is there (bridge with addresses, forwarding, nft elements; parent of macvlan
 * and ipvlan). *ret: index of the bridge or parent. nl: route netlink socket of the host. */
int skf_net_host_up(struct skf_engine *g, int nl, const struct skf_network *n, int *ret, struct skf_err *e);
bool skf_net_is_our_bridge(const struct skf_network *n, const struct skf_link *l);
/* br_netfilter is on for the family ("ip", "ip6"): what a bridge forwards goes through the packet filter. */
bool skf_net_bridges_filtered(const char *family);
/* Takes it away again: network rm. */
int skf_net_host_down(struct skf_engine *g, const struct skf_network *n, struct skf_err *e);

/* --- net_egress.c --- */
/* A policy that nobody can keep is refused: INVALID. */
int skf_net_egress_possible(const struct skf_netrec *r, const struct skf_network *n, struct skf_err *e);
/* Lock that a container with policy deny holds while it gets its MACs: from skf_net_egress_macs until its
 * record with them is written. Blocks up to SKF_LOCK_MS. *ret stays for a container without the policy; the
 * caller's. */
int skf_net_egress_lock(struct skf_engine *g, const struct skf_netrec *r, int *ret, struct skf_err *e);
/* CONFLICT when an endpoint of r has the MAC of another one with policy deny: then r must not be written
 * with it, or its end takes the other's rules. */
int skf_net_egress_macs(struct skf_engine *g, const struct skf_netrec *r, struct skf_arena *a,
			struct skf_err *e);
/* Rules of the policy, and its ports (network/guard.h), into the caller's batch; nothing for a container
 * without it. */
int skf_net_egress_add(struct skf_nft *n, const struct skf_netrec *r, struct skf_arena *a,
		       struct skf_err *e);
int skf_net_egress_remove(struct skf_engine *g, const struct skf_netrec *r, struct skf_arena *a,
			  struct skf_err *e);
/* An endpoint that the container has no longer: who gets its addresses next does not get the policy. */
int skf_net_egress_forget(struct skf_engine *g, const struct skf_endpoint *p, struct skf_arena *a,
			  struct skf_err *e);
/* The policy that applies: what the container says, else deny when one of its networks does; and everything
 * that they allow. A container with policy deny uses our resolver, whatever its network is. -ENOMEM. */
int skf_net_egress(const struct skf_net_conf *c, struct skf_network *const *nets, struct skf_netrec *r,
		   struct skf_arena *a);

/* --- net_table.c --- */
/* Elements of a container (ports, egress) and the proof that the table is there; loads the whole table when
 * it is not. */
int skf_net_table_add(struct skf_engine *g, const struct skf_network *first, const struct skf_netrec *r,
		      const struct skf_net_conf *c, struct skf_err *e);
/* Deletes the elements of those ports whose lease the container still has. */
int skf_net_table_del(struct skf_engine *g, const struct skf_netrec *r, struct skf_err *e);
int skf_net_table_network(struct skf_engine *g, const struct skf_network *n, bool add, struct skf_err *e);
/* All elements that the networks and records mean, into the caller's batch. */
int skf_net_table_fill(struct skf_engine *g, struct skf_nft *n, struct skf_arena *a, struct skf_err *e);
/* Everything anew, from lib/networks and the records. */
int skf_net_table_load(struct skf_engine *g, struct skf_err *e);

/* --- net_loop6.c --- */
/* With the table, under the lock "nft" held alone, n for it; a transaction of its own. Are ports on [::1]
 * possible? */
bool skf_net_loop6_load(struct skf_engine *g, struct skf_nft *n);
/* Then for all bridges that are there. */
void skf_net_loop6_bridges(struct skf_engine *g, struct skf_nft *n, struct skf_arena *a);
/* For a bridge that was just made or found; takes the lock shared. */
void skf_net_loop6_bridge(struct skf_engine *g, const char *bridge);
/* The bridge goes. */
int skf_net_loop6_forget(struct skf_engine *g, const char *bridge, struct skf_err *e);

/* --- net_ports.c --- */
/* Takes a port of the host for each that the container publishes; r->ports. nets: of the endpoints, in their
 * order. What it took when it fails is given back by skf_net_down. */
int skf_net_ports_take(struct skf_engine *g, const struct skf_net_conf *c, struct skf_network *const *nets,
		       struct skf_netrec *r, struct skf_arena *a, struct skf_err *e);
/* "0.0.0.0:8080->80/tcp, [::]:8080->80/tcp" cut to size, as ps shows it. */
/* ps shows it (the summary of the container, derived data); launch keeps what it finds when it announces the
 * container. */
int skf_net_ports_show(struct skf_engine *g, const struct skf_netrec *r, const struct skf_net_conf *c,
		       struct skf_err *e);
/* The ports that lead to endpoint p, which goes: to the first of the record's endpoints that can have them,
 * else given back. p is not in the record any more, its addresses are still leased. */
int skf_net_ports_move(struct skf_engine *g, struct skf_netrec *r, const struct skf_endpoint *p,
		       struct skf_err *e);
void skf_net_ports_text(const struct skf_netrec *r, const struct skf_strv *exposed, char *out, size_t size);

/* --- net_files.c --- */
/* hosts and resolv.conf of a container that starts or changes its networks, in place: they are bound into
 * it. */
int skf_net_files(struct skf_engine *g, const char *id, const struct skf_net_conf *c,
		  const struct skf_netrec *r, struct skf_err *e);
/* A container that shares the network of another one has that one's hosts and resolv.conf, as docker's. */
int skf_net_files_of(struct skf_engine *g, const char *id, const char *target, struct skf_err *e);
/* Does the host's resolv.conf name a server that a container can reach itself? */
bool skf_net_host_dns_usable(void);

/* --- net_filter.c --- */
/* Ids of all networks that a container wants, running or not; with repetitions. */
int skf_net_used(struct skf_engine *g, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e);

/* --- net_remove.c --- */
/* 1 a container runs on the network with this id (*ret: the container's id, in the arena), 0 none does, -1.
 * Reads every container's record. */
int skf_net_user(struct skf_engine *g, const char *network, struct skf_arena *a, const char **ret,
		 struct skf_err *e);
/* The rest of a removal that was killed: interface, elements, leases, from run/networks/<id> alone. The lock
 * "networks" is held. CONFLICT while a container has a record with it. */
int skf_net_finish_remove(struct skf_engine *g, const char *id, struct skf_err *e);

/* --- net_inspect.c --- */
int skf_net_inspect(struct skf_engine *g, const char *id, struct skf_jw *w, struct skf_err *e);
int skf_net_inspect_host(struct skf_engine *g, const char *id, struct skf_jw *w, struct skf_err *e);

/* --- net_up.c, net_down.c, net_launch.c --- */
struct skf_net_start { /* what launch hands over */
	const char *id;
	uint32_t pid;
	int netns_fd, nl; /* borrowed: the container's namespace, a route netlink socket of it */
};
/* How launch is to make the namespace of a container that starts: SKF_LAUNCH_NET, or SKF_LAUNCH_NETNS and a
 * descriptor in *ret_netns (else -EBADF). */
int skf_net_launch_flags(struct skf_engine *g, const char *id, unsigned *ret_flags, int *ret_netns,
			 struct skf_err *e);
/* A network namespace by its path; INVALID when it is something else. */
int skf_net_open_path(const char *path, struct skf_err *e);
/* Answers NETNS_MADE of launch: makes the network and says so, or says why not (then 0, too: launch's FAILED
 * follows). */
int skf_net_serve(struct skf_engine *g, int sock, struct skf_recr *r, const struct skf_fds *fds,
		  struct skf_err *e);
/* All of a container's network. On failure what was made is undone by skf_net_down, which the caller's
 * cleaning up calls. */
int skf_net_up(struct skf_engine *g, const struct skf_net_start *s, struct skf_err *e);
/* Undoes it, from the record alone; can be repeated. Links and addresses go with the namespace. */
int skf_net_down(struct skf_engine *g, const char *id, struct skf_err *e);
/* A route netlink socket of a running container's namespace (borrowed), from a fresh launch. */
int skf_net_ask_socket(struct skf_engine *g, const char *id, int netns, int *ret_nl, struct skf_err *e);
int skf_net_no_memory(struct skf_err *e);

/* /var/lib/skiff with /run/skiff. */
bool skf_net_is_host_root(const struct skf_engine *g);

/* --- net_check_host.c --- */
/* Is it the name that we give the host's end of a veth? */
bool skf_net_is_veth_name(const char *name);

/* --- net_address.c --- */
/* One more endpoint of a record, without its links: leases. i: number of the interface. */
int skf_net_endpoint(struct skf_engine *g, const struct skf_network *n, const struct skf_net_choice *c,
		     const char *container, struct skf_arena *a, struct skf_endpoint *p, struct skf_err *e);

/* --- net_link.c --- */
/* The name of the host's end of one more veth: SKF_LINK_ID digits of the container's id and the first number
 * that none of the record's first n endpoints has. NULL: no memory. */
#define SKF_LINK_ID 8
char *skf_net_link_name(const struct skf_netrec *r, size_t n, struct skf_arena *a);
/* The name of one more interface in the container: the network's prefix and the first number that none of
 * the record's first `count` endpoints has (those without a name yet do not count). NULL: no memory. */
char *skf_net_ifname(const struct skf_netrec *r, size_t count, const struct skf_network *n,
		     struct skf_arena *a);
/* Link, addresses and routes of an endpoint. A link of that name that an earlier run of the container left
 * is taken away. */
int skf_net_link(struct skf_engine *g, const struct skf_network *n, const struct skf_endpoint *p,
		 const struct skf_net_start *s, bool default_route, struct skf_err *e);
/* The default route of an endpoint that had none. */
int skf_net_default_route(const struct skf_network *n, const struct skf_endpoint *p, int nl,
			  struct skf_err *e);

/* --- net_names.c --- */
/* Names and resolver of all endpoints. */
int skf_net_servers(struct skf_engine *g, const struct skf_net_conf *c, const struct skf_netrec *r,
		    struct skf_arena *a, struct skf_strv *ret, struct skf_err *e);
int skf_net_names(struct skf_engine *g, const struct skf_net_start *s, const struct skf_net_conf *c,
		  struct skf_netrec *r, struct skf_err *e);
