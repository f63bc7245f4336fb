/* monitor/summary.h -- summary/<id>: a symlink whose target is one line, so that ps is one readlink per
 * container (docs/formats.md, DESIGN 7.7). */
#pragma once
#include "base/fwd.h"
#include "base/limits.h"
struct skf_summary {
	char name[SKF_MAX_NAME_BYTES + 1];
	char image[SKF_MAX_REF_BYTES + 1];
	char state[24];
	uint32_t pid;
	uint64_t start_time; /* of pid, clock ticks */
	int32_t exit_code;
	uint64_t created_ns, started_ns, finished_ns;
	char ports[256];
	char command[256]; /* cut for ps */
	char health[16];   /* "", "starting", "healthy", "unhealthy" */
	uint32_t restarts; /* by the restart policy, since the last start by hand */
	uint64_t proc_id;  /* of pid: skf_proc_id; 0: not known, start_time decides */
};
/* -EBADMSG for a line of another version or a broken one. */
int skf_summary_decode(const char *line, struct skf_summary *ret);
int skf_summary_encode(const struct skf_summary *s, char out[SKF_MAX_SUMMARY_BYTES + 1]);
/* run_root_fd: /run/skiff. -ENOENT when there is none. */
int skf_summary_read(int run_root_fd, const char *id, struct skf_summary *ret);
int skf_summary_write(int run_root_fd, const char *id, const struct skf_summary *s);
/* Changes the line by edit(s, arg) so that no change of another editor is lost. -ENOENT when there is none.
 * Waits for other editors, which take microseconds; -ETIMEDOUT when one was stopped in the middle. */
int skf_summary_edit(int run_root_fd, const char *id, void (*edit)(struct skf_summary *s, void *arg),
		     void *arg);
int skf_summary_remove(int run_root_fd, const char *id);
