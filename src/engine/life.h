/* engine/life.h -- the engine's verbs of a container's life beyond run, stop, kill, rm, wait and exec
 * (engine.h): the same rules (DESIGN 5a). Containers are named by id, unique prefix of an id, or name;
 * errors are in docker's words. */
#pragma once
#include "engine/engine.h"

/* Makes a container without starting it. ret_id. */
int skf_engine_create(struct skf_engine *g, struct skf_create_req *q, const struct skf_progress *p,
		      char ret_id[SKF_ID_LEN + 1], struct skf_err *e);
/* podman's clone: a new container with the settings of one that exists. ret_id. On failure nothing is left,
 * but when the original could not be removed. */
struct skf_clone_req {
	struct skf_reqhdr h;
	const char *container;
	const char *name;  /* NULL: the container's and "-clone", "-clone1", ... */
	const char *image; /* NULL: the container's; what came out of that image stays, as with podman */
	const char *pod;   /* name or id; NULL: the container's, if any */
	const struct skf_settings *limits; /* of its limits of memory, CPU and block I/O those that are given
					      replace the container's; NULL: none */
	bool destroy, force;       /* the original is removed; force: even if it runs, else CONFLICT before
				      anything is made */
	const char *docker_config; /* for an implied pull of `image` */
};
int skf_engine_clone(struct skf_engine *g, const struct skf_clone_req *q, const struct skf_progress *p,
		     char ret_id[SKF_ID_LEN + 1], struct skf_err *e);
struct skf_start_req {
	struct skf_reqhdr h;
	const char *container;
	bool attach;  /* keep the monitor's socket: ret->sock, else -1 */
	int stdio[3]; /* as in create; consumed */
	unsigned rows, cols;
	struct skf_notify *notify; /* as in create */
	const struct skf_restore_opts
		*restore; /* engine/checkpoint.h: goes on where a checkpoint was made; NULL */
	bool init; /* podman's init: made ready, with namespaces, mounts and network; a later start lets its
		      process run. CONFLICT when it is up */
};
/* Starts a container that does not run; a running one is success (ret->pid). CONFLICT for a paused one, and
 * for one that is being removed. */
int skf_engine_start(struct skf_engine *g, struct skf_start_req *q, struct skf_run_handle *ret,
		     struct skf_err *e);
/* Stop and start as one step for everybody else: `run --rm` does not remove it in between. A container that
 * does not run is started. */
int skf_engine_restart(struct skf_engine *g, const struct skf_stop_req *q, struct skf_err *e);
int skf_engine_rename(struct skf_engine *g, const char *container, const char *name, struct skf_err *e);
/* Freezes all processes, or lets them go on. CONFLICT when they are already as wanted. */
int skf_engine_pause(struct skf_engine *g, const char *container, bool pause, struct skf_err *e);

struct skf_ctr_brief { /* what a front end has to know before it attaches */
	char id[SKF_ID_LEN + 1];
	char name[SKF_MAX_NAME_BYTES + 1];
	bool tty, open_stdin, up;
	int stop_signal;
	char sdnotify[16]; /* "": ignore */
};
int skf_engine_brief(struct skf_engine *g, const char *container, struct skf_ctr_brief *ret,
		     struct skf_err *e);
struct skf_attach_req {
	struct skf_reqhdr h;
	const char *container;
	int stdio[3]; /* as in create; consumed */
};
/* The container's streams to these descriptors. ret: for skf_engine_run_wait, _signal and _resize; run_end
 * is not for it. */
int skf_engine_attach(struct skf_engine *g, struct skf_attach_req *q, struct skf_run_handle *ret,
		      struct skf_err *e);

enum skf_condition {
	SKF_COND_NOT_RUNNING,
	SKF_COND_NEXT_EXIT,
	SKF_COND_REMOVED,
	SKF_COND_RUNNING,
	SKF_COND_PAUSED,
	SKF_COND_CREATED,
	SKF_COND_INITIALIZED,
	SKF_COND_HEALTHY,
	SKF_COND_UNHEALTHY
};
/* docker's and podman's words: "not-running", "stopped", "exited", "next-exit", "removed", "running", ... or
 * -EINVAL. */
int skf_condition_parse(const char *word);
/* Blocks until one of the conditions (bits 1 << enum skf_condition) holds; watches, never polls by time.
 * ret->code: the last exit code. */
int skf_engine_wait_for(struct skf_engine *g, const char *container, unsigned conditions, int cancel_fd,
			struct skf_exit *ret, struct skf_err *e);

/* --- update --- */
struct skf_update_req {
	struct skf_reqhdr h;
	const char *container;
	bool has_restart;
	const char *restart; /* "no", "always", "on-failure[:n]", "unless-stopped" */
	/* 0: unchanged */
	int64_t memory, memory_reservation, memory_swap /* -1 no limit */, nano_cpus, cpu_period, cpu_quota,
		cpu_shares, pids_limit /* -1 */;
	uint32_t blkio_weight;
	const char *cpuset_cpus, *cpuset_mems; /* NULL: unchanged */
};
/* Changes limits in the cgroup of a running container and in its configuration, and its restart policy. When
 * the kernel refuses a limit the configuration stays as it was. */
int skf_engine_update(struct skf_engine *g, const struct skf_update_req *q, struct skf_err *e);
/* "on-failure:3" -> the policy's word (arena of the caller: a literal) and its number. INVALID in docker's
 * words. */
int skf_restart_parse(const char *s, const char **ret_word, uint32_t *ret_max, struct skf_err *e);

/* --- top --- */
struct skf_table_ret { /* title and rows of one width */
	struct skf_strv titles;
	struct skf_jarr rows; /* struct skf_strv */
};
/* args: none: docker's `ps -ef` columns; words that begin with '-': the host's own ps is run with them and
 * shows the container's processes only; else podman's descriptors. CONFLICT "container x is not running". */
int skf_engine_top(struct skf_engine *g, const char *container, const struct skf_strv *args,
		   struct skf_arena *a, struct skf_table_ret *ret, struct skf_err *e);

/* --- stats --- */
struct skf_stats_row {
	char id[SKF_ID_LEN + 1];
	char name[SKF_MAX_NAME_BYTES + 1];
	int64_t time_ns;
	uint64_t cpu_ns; /* so far */
	uint64_t memory, memory_limit, net_rx, net_tx, block_read, block_write, pids;
	bool running;
};
/* One look at a container's counters, O(1); rows of containers that do not run have running == false.
 * cpu_only: the fields after cpu_ns stay 0. */
int skf_engine_stats(struct skf_engine *g, const char *id, bool cpu_only, struct skf_stats_row *ret,
		     struct skf_err *e);

/* --- events --- */
struct skf_event {
	int64_t time_ns;
	const char *type, *action, *id, *name, *image;
	int exit_code; /* -1: none */
	char cursor[96];
};
struct skf_events_req {
	struct skf_reqhdr h;
	int64_t since_ns, until_ns; /* 0: none. until in the future ends the wait then */
	const char *cursor;         /* NULL, or of the last event that was seen */
	bool follow, past;          /* past: also what is there already (since, until or cursor given) */
	struct skf_strv filters;
	int (*event)(void *arg, const struct skf_event *ev, struct skf_err *e);
	void *arg;
};
int skf_engine_events(struct skf_engine *g, const struct skf_events_req *q, struct skf_err *e);

/* --- prune --- */
/* Removes what does not run. filters: until (RFC 3339), label, label!. ids in arena memory; bytes of their
 * writable layers. */
int skf_engine_prune(struct skf_engine *g, const struct skf_strv *filters, struct skf_arena *a,
		     struct skf_strv *ret_ids, uint64_t *ret_bytes, struct skf_err *e);

/* --- cp --- */
struct skf_cp_req {
	struct skf_reqhdr h;
	const char *from_container, *from, *to_container, *to; /* a container NULL: a path of the host */
	bool archive, follow_link; /* owners as they are; a link at the end of `from` is followed */
	int in_fd, out_fd;         /* a tar instead of the host's side, borrowed; -1: none */
};
/* docker's cp, also between two containers. NOTFOUND in docker's words. */
int skf_engine_cp(struct skf_engine *g, const struct skf_cp_req *q, struct skf_err *e);

/* --- at boot --- */
/* Records what the last shutdown ended, and starts what its restart policy wants to run: always,
 * unless-stopped, on-failure. done(arg, id, name, error): error NULL when it runs. */
int skf_engine_boot(struct skf_engine *g,
		    void (*done)(void *arg, const char *id, const char *name, const struct skf_err *error),
		    void *arg, struct skf_err *e);

/* Stops all that run, together, before the host goes down: each gets its stop signal and its stop time-out.
 * They are not taken for stopped by hand. */
int skf_engine_shutdown(struct skf_engine *g,
			void (*done)(void *arg, const char *id, const char *name,
				     const struct skf_err *error),
			void *arg, struct skf_err *e);

/* --- logs --- */
/* Compresses what has been rotated of the log of a container that was made with compress; nothing for
 * others, or when somebody does it already. */
int skf_engine_squeeze_logs(struct skf_engine *g, const char *container, struct skf_err *e);

/* --- health --- */
/* Runs the check of a running container now. CONFLICT when it has none. health: "starting", "healthy",
 * "unhealthy". */
int skf_engine_healthcheck(struct skf_engine *g, const char *container, uint32_t *ret_code, char health[16],
			   struct skf_err *e);
