/* runtime/stats_int.h -- what the files of the statistics share. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "runtime/runtime.h"

struct skf_stats {
	const struct skf_rt *rt;
	struct skf_rt_state *state;
	const struct skf_cg_dirs *cg;
	struct skf_arena arena;
	struct skf_buf text; /* the file that was read last */
	struct skf_jw *w;
};
/* Index of the hierarchy that has the controller for this container, v1 first; -1. */
int skf_stats_find(const struct skf_stats *x, const char *controller, bool *ret_v2);
/* Whole text of one cgroup file, valid until the next read; NULL when it cannot be read. */
const char *skf_stats_read(struct skf_stats *x, int i, const char *file);
uint64_t skf_stats_u64(struct skf_stats *x, int i,
		       const char *file);                  /* 0 when missing; "max" is UINT64_MAX */
uint64_t skf_stats_key(const char *text, const char *key); /* of "key value" lines; text may be NULL */
void skf_stats_nonzero(struct skf_jw *w, const char *key, uint64_t v);

/* A number, or "max", which runc shows as the largest number. */
bool skf_stats_number(const char *text, uint64_t *ret);
/* The member "psi" of what is open, from a file of v2; nothing without one. */
void skf_stats_pressure(struct skf_stats *x, const char *controller, const char *file);

/* --- stats_cpu.c, stats_memory.c: one member each --- */
void skf_stats_cpu(struct skf_stats *x);
void skf_stats_cpuset(struct skf_stats *x);
void skf_stats_memory(struct skf_stats *x);
void skf_stats_pids(struct skf_stats *x);
void skf_stats_huge_pages(struct skf_stats *x);

/* --- stats_io.c: members of "blkio"; stats_rdt.c: the member "intel_rdt" --- */
void skf_stats_io_v1(struct skf_stats *x, int i);
void skf_stats_io_v2(struct skf_stats *x, int i);
void skf_stats_rdt(struct skf_stats *x);
