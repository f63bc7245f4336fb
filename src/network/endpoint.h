/* network/endpoint.h -- what a running container has of the networks: its record,
 * run/networks/.ctr/<container id>.
 *
 * Invariant: the record is written before anything that it names is made, and removed after all of it is
 * undone, so that it is the journal of the network: whoever reaps reads it, and whoever finds the nft table
 * missing rebuilds the table from all records. */
#pragma once
#include "network/network.h"

struct skf_endpoint {                  /* one network of one container; text as in the file */
	char *network, *name, *driver; /* id, name, "bridge", "cni" ... */
	char *interface;               /* of the host: the bridge */
	char *link;                    /* the host's end; "" for macvlan and ipvlan */
	char *ifname;                  /* in the container */
	char *mac;
	char *ip, *ip6; /* NULL: none */
	uint32_t prefix, prefix6;
	char *gateway, *gateway6;
	struct skf_strv names;                                /* what it is called on this network */
	struct skf_strv dns_servers, dns_search, dns_options; /* that the network said: CNI */
};
struct skf_portmap { /* one port of the host that leads into the container */
	char *proto;
	char *host_ip; /* "0.0.0.0", "::" or one address */
	char *ip;      /* of the container, same family; "": no element of ours, a CNI plugin forwards it */
	uint32_t host, port;
};
struct skf_netrec {
	char *container;
	char *name;
	struct skf_jarr endpoints;    /* skf_endpoint; the first has the default route */
	struct skf_jarr ports;        /* skf_portmap */
	bool resolver;                /* joined our resolver */
	bool egress;                  /* policy deny (network/egress.h) */
	struct skf_strv egress_allow; /* of the container, then of its networks */
};
int skf_netrec_write(int run_fd, const struct skf_netrec *r, struct skf_err *e);
/* 1 found, 0 there is none, -1. */
int skf_netrec_read(int run_fd, const char *container, struct skf_arena *a, struct skf_netrec **ret,
		    struct skf_err *e);
/* 0 or -errno; a missing one is success. */
int skf_netrec_remove(int run_fd, const char *container);
/* 1 some container has one, 0 none, -errno: the first is looked at only. */
int skf_netrec_any(int run_fd);
/* Ids of all containers that have one. */
int skf_netrec_list(int run_fd, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e);
