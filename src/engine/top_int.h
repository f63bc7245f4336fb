/* engine/top_int.h -- top.c: which columns, and the host's own ps; top_proc.c: one process as /proc shows
 * it, and the text of a column. */
#pragma once
#include "engine/engine_int.h"
#include "engine/life.h"

struct skf_top_proc {
	pid_t pid, ppid, pgrp, cpid, cppid; /* c: as the container sees them; cppid 0: outside of it */
	char state;
	int tty_nr;
	int64_t nice;
	uint64_t ticks, start_ticks; /* CPU time; start since boot */
	uint64_t vsz, rss_pages, seccomp;
	uint32_t uid, euid, gid, egid;
	uint64_t caps[5]; /* inheritable, permitted, effective, bounding, ambient */
	char comm[64];
	char label[128];
	char args[2048];
};
/* 1, 0 gone meanwhile */
int skf_top_read(pid_t pid, struct skf_top_proc *ret);
struct skf_top_column {
	const char *name, *title; /* podman's descriptor; head of the column */
	void (*text)(const struct skf_top_proc *p, char *out, size_t size);
};
extern const struct skf_top_column skf_top_columns[]; /* ends with NULL name */
