/* engine/explain.h -- what a container may do and use, where each property comes from, and what the kernel
 * says of it. Part of the engine's interface (engine.h); the same rules hold. */
#pragma once
#include "engine/engine.h"

struct skf_explain_row {
	const char *group, *name;
	char *value;  /* as configured */
	char *source; /* "default", "image", "flag --memory", "/etc/skiff/skiff.conf:3", "update", ... */
	char *kernel; /* what the kernel says; "" when it is not the kernel's business, "not running" of a
			 container that does not run */
	bool differs; /* the kernel says something else */
	bool changed; /* not the default: from somewhere else, or it differs */
};
struct skf_explain {
	char id[SKF_ID_LEN + 1];
	char *name, *state;
	uint32_t pid;         /* 0: does not run */
	struct skf_jarr rows; /* skf_explain_row, grouped */
};
/* Reads the container's configuration, /proc, its cgroup and, for sysctls, asks a skiff-launch that enters
 * its namespaces. Takes no lock; what ends meanwhile is shown as not running. NOTFOUND "No such container:
 * x". */
int skf_engine_explain(struct skf_engine *g, const char *container, struct skf_arena *a,
		       struct skf_explain *ret, struct skf_err *e);
/* Ids of what a word names: a container, or all of a pod, appended. NOTFOUND "No such container: x". */
int skf_engine_explain_targets(struct skf_engine *g, const char *word, struct skf_arena *a,
			       struct skf_strv *ret, struct skf_err *e);
