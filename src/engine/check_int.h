/* engine/check_int.h -- what the files of the check share. */
#pragma once
#include "engine/engine_int.h"

struct check {
	struct skf_engine *g;
	const struct skf_check_req *q;
	bool repair;
	struct skf_arena *a;
	struct skf_check_row *v;
	size_t n, cap;
	struct skf_strv held; /* check_pods.c: first digits of the pods that a holder of any root has */
	int lock;             /* of the container that is being looked at; see skf_check_locked() */
};
typedef int (*entry_fn)(struct check *c, const char *name, struct skf_err *e);
/* A row; texts are copied. done "": nothing was done; one that begins "kept" or "repair failed" is left
 * over. */
int skf_check_report(struct check *c, const char *kind, const char *object, const char *problem,
		     const char *done, struct skf_err *e);
/* fn for every name of a directory but . and ..; a missing one has none. */
int skf_check_each(struct check *c, int dirfd, const char *path, entry_fn fn, struct skf_err *e);

/* Reports and, with repair, runs fix(object); its failure becomes the row's text. */
int skf_check_finding(struct check *c, const char *kind, const char *object, const char *problem,
		      int (*fix)(struct check *, const char *, struct skf_err *), const char *done,
		      struct skf_err *e);
/* Runs fn(arg) with the container's lock held in c->lock; not at all when somebody has it for long. */
int skf_check_locked(struct check *c, const char *id, entry_fn fn, const char *arg, struct skf_err *e);
bool skf_check_has_config(struct skf_engine *g, const char *id);
/* Ended a moment ago: who ran it is about to clean up. */
bool skf_check_is_fresh(const struct check *c, const struct skf_ctr_live *l);

/* --- check_cgroups.c: a pass each; the parents come last --- */
int skf_check_cgroups(struct check *c, struct skf_err *e);
int skf_check_cgroup_parents(struct check *c, struct skf_err *e);
bool skf_check_is_reported(const struct check *c, const char *kind, const char *object);
/* Older than a start may take, so that nobody is about to put a process into it. */
bool skf_check_cgroup_is_old(const struct skf_cg_dirs *cg);

/* --- check_pods.c: a pass --- */
int skf_check_pods(struct check *c, struct skf_err *e);

/* --- check_mcs.c: a pass --- */
int skf_check_mcs(struct check *c, struct skf_err *e);

/* --- net_check.c: a pass --- */
int skf_check_networks(struct check *c, struct skf_err *e);

/* --- net_check_objects.c: a pass, after skf_check_networks --- */
int skf_check_network_objects(struct check *c, struct skf_err *e);

/* --- net_cni_check.c: a pass, after skf_check_networks --- */
int skf_check_cni(struct check *c, struct skf_err *e);

/* --- net_check_host.c: a pass, after those of the records --- */
int skf_check_network_host(struct check *c, struct skf_err *e);

/* --- net_gone.c: a pass, after skf_check_network_host --- */
int skf_check_networks_gone(struct check *c, struct skf_err *e);

/* --- check_storage.c: a pass, after skf_check_layers --- */
int skf_check_storage(struct check *c, struct skf_err *e);

/* --- check_store.c: passes --- */
int skf_check_layers(struct check *c, struct skf_err *e);
int skf_check_garbage(struct check *c, struct skf_err *e);
