/* engine/net_cni.h -- CNI networks in the engine (network/cni.h is the client). A container's attachment is
 * journalled twice: its record (network/endpoint.h) has an endpoint with driver "cni" before anything is
 * made, and run/cni/ has the ADD from before the first plugin until DEL. */
#pragma once
#include "engine/net_int.h"
#include "network/cni.h"

#define SKF_NET_CNI "cni" /* skf_network.driver, skf_endpoint.driver */

/* --- net_cni.c: the networks --- */
struct skf_cni_dirs skf_net_cni_dirs(const struct skf_engine *g);
void skf_net_cni_id(const char *name, char ret[SKF_ID_LEN + 1]);
/* The list of that name; *d: what the calls of network/cni.h want with it. NOTFOUND names the directory. */
int skf_net_cni_list(struct skf_engine *g, struct skf_cni_dirs *d, const char *name, struct skf_arena *a,
		     struct skf_cni_list **ret, struct skf_err *e);
/* Of all valid files, each once, without those whose name is a network of ours. */
int skf_net_cni_names(struct skf_engine *g, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e);
/* By name, or the beginning of an id. NOTFOUND. */
int skf_net_cni_find(struct skf_engine *g, const char *word, struct skf_arena *a, struct skf_network **ret,
		     struct skf_err *e);
/* Fails when there is such a network: who is asked to remove it is told where it is. 0: there is none. */
int skf_net_cni_refuse(struct skf_engine *g, const char *name, const char *what, struct skf_err *e);
int skf_net_cni_inspect(struct skf_engine *g, const char *name, struct skf_jw *w, struct skf_err *e);

/* --- net_cni_ctr.c: attachments of containers --- */
/* Endpoint i of the record: ADD; what it answered is in the endpoint (not written). The record is on disk.
 * ports: with those of the record. */
int skf_net_cni_add(struct skf_engine *g, const struct skf_net_start *s, const struct skf_net_choice *c,
		    struct skf_netrec *r, size_t i, bool ports, struct skf_arena *a, struct skf_err *e);
/* DEL of one attachment. A plugin that fails is warned of, and asked again by the check: nobody could remove
 * the container otherwise. */
void skf_net_cni_del(struct skf_engine *g, const char *id, const char *network, const char *ifname);
/* All of a record, then the mount of the namespace. 0 or -errno. */
int skf_net_cni_down(struct skf_engine *g, const struct skf_netrec *r);
int skf_net_cni_drop_netns(struct skf_engine *g, const char *id);
/* After a reboot run/cni is empty, and plugins may keep what they gave on disk: DEL for every container that
 * does not run, and, when skiff.conf says cni_gc, GC of every network. Failures are warned of. */
int skf_net_cni_boot(struct skf_engine *g, struct skf_err *e);
/* GC of every network when skiff.conf says so. */
int skf_net_cni_gc(struct skf_engine *g, struct skf_err *e);
