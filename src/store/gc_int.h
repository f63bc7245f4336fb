/* store/gc_int.h -- what marking (gc_mark.c) and sweeping (gc.c) of one collection share. */
#pragma once
#include "store/store_int.h"

struct skf_gc_set { /* open-addressed, of hex digests */
	const char **v;
	size_t n, cap;
};
struct skf_gc {
	struct skf_store *s;
	struct skf_arena *a;
	bool dry, keep_downloads;
	int locks;
	struct skf_gc_result *res;
	bool keep_copies; /* asked for, or somebody is making something: copies of layers stay, whoever they
			     are for */
	struct skf_gc_set forms;        /* "<hex>/map-<hash>": copies of layers that containers have */
	struct skf_gc_set used, leased; /* leased: what live leases name themselves; also in used */
};

/* --- gc_mark.c: all under locks/store exclusive --- */
bool skf_gc_set_has(const struct skf_gc_set *g, const char *hex);
bool skf_gc_marked(const struct skf_gc *g, const char *hex);
int skf_gc_mark_refs(struct skf_gc *g, struct skf_err *e);
/* Functions of skf_store_each, arg: the struct skf_gc. */
int skf_gc_mark_container(void *arg, int dirfd, const char *name, struct skf_err *e);
int skf_gc_mark_mount(void *arg, int dirfd, const char *name, struct skf_err *e);
/* What a lease that somebody holds names. */
int skf_gc_mark_lease(struct skf_gc *g, int dirfd, const char *name, struct skf_err *e);
