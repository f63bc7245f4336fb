/* engine/net_api.h -- networks as verbs of the engine (rules: engine/engine.h). Errors: NOTFOUND "network x
 * not found", CONFLICT, INVALID in docker's words. */
#pragma once
#include "engine/net_req.h"

struct skf_engine;

struct skf_port_row { /* port of the container -> port of the host */
	char *proto, *host_ip;
	uint16_t port, host;
};
/* Published ports of a running container, in the order of -p; none for one that does not run. */
int skf_engine_ports(struct skf_engine *g, const char *container, struct skf_arena *a,
		     struct skf_jarr *ret /* skf_port_row */, struct skf_err *e);

struct skf_network_subnet { /* strings may be NULL */
	const char *subnet, *range, *gateway;
};
struct skf_network_create_req {
	uint32_t size, version;
	const char *name, *driver;                          /* driver NULL: bridge */
	struct skf_jarr subnets;                            /* skf_network_subnet; none: chosen */
	struct skf_strv aux;                                /* NAME=ADDRESS */
	struct skf_strv options, labels, ipam_options, dns; /* KEY=VALUE, --dns: addresses */
	bool internal, ipv6, attachable, disable_dns, ignore;
	bool no_ipv4;
	const char *interface, *ipam_driver; /* podman's --interface-name; "default", "none" ... */
	const char *egress;
	struct skf_strv egress_allow;
};
int skf_engine_network_create(struct skf_engine *g, const struct skf_network_create_req *q, char ret_id[65],
			      struct skf_err *e);
/* CONFLICT while containers are connected; force: disconnects them. */
int skf_engine_network_rm(struct skf_engine *g, const char *name, bool force, struct skf_err *e);

struct skf_network_row {
	char *id, *name, *driver, *scope, *created;
	int64_t created_ns;
	bool ipv4, ipv6, internal;
	struct skf_kvs labels;
};
/* filters: driver, id, label, label!, name, scope, type, dangling, until. */
int skf_engine_network_list(struct skf_engine *g, const struct skf_strv *filters, struct skf_arena *a,
			    struct skf_jarr *ret, struct skf_err *e);
/* docker's document. */
int skf_engine_network_inspect(struct skf_engine *g, const char *name, struct skf_jw *w, struct skf_err *e);
/* Networks that no container uses, running or not; ret: their names. filters: label, label!, until. */
int skf_engine_network_prune(struct skf_engine *g, const struct skf_strv *filters, struct skf_arena *a,
			     struct skf_strv *ret, struct skf_err *e);
/* 1 there is one, 0 not, -1. */
int skf_engine_network_exists(struct skf_engine *g, const char *name, struct skf_err *e);
/* Name servers of a network: taken away, then added; running containers ask the new ones at once, but those
 * with servers of their own. NOTFOUND, INVALID. */
int skf_engine_network_update(struct skf_engine *g, const char *name, const struct skf_strv *add,
			      const struct skf_strv *drop, struct skf_err *e);
/* Bridges, firewall table and resolver anew, as the files say. */
int skf_engine_network_reload(struct skf_engine *g, struct skf_err *e);
/* A container, running or not, joins or leaves a network. */
int skf_engine_network_connect(struct skf_engine *g, const char *network, const char *container,
			       const struct skf_net_attach *how, struct skf_err *e);
int skf_engine_network_disconnect(struct skf_engine *g, const char *network, const char *container,
				  bool force, struct skf_err *e);
