/* launch/launch_int.h -- what the files of launch share: one start or exec is one struct skf_launch that
 * walks a list of steps (steps.c); each step's undo runs when a later one fails, last first. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/limits.h"
#include "base/record.h"
#include "launch/config.h"
#include "monitor/hold.h"
#include "monitor/summary.h"
#include "monitor/wire.h"
#include "oci/idmaps.h"
#include "runtime/checkpoint.h"
#include "runtime/runtime.h"

struct skf_launch_request { /* strings are views into the record */
	uint16_t type;
	uint32_t flags, rows, cols, detach, restarts;
	const char *id, *root, *run_root, *exec_id, *process_json, *reaper, *notify;
};
/* INVALID, LIMIT, CORRUPT, UNSUPPORTED. No I/O. */
int skf_launch_request_read(struct skf_recr *r, unsigned n_fds, struct skf_launch_request *ret,
			    struct skf_err *e);

struct skf_launch {
	const struct skf_log *log;
	struct skf_buf record;
	struct skf_launch_request q;
	struct skf_fds fds; /* of the client, in the order of the request */
	struct skf_arena arena;
	const char *monitor; /* absolute path of skiff-monitor */
	char rt_root[600];
	/* directories: lib, run, lib/containers/<id>, run/containers/<id>[/exec/<n>] */
	int root_fd, run_root_fd, disk_dir, run_dir;
	int alone; /* lock of a restart */
	int listen_fd, log_fd, root_mount;
	struct skf_rt_source *sources; /* opened by sources.c */
	size_t n_sources;
	struct skf_buf config;
	struct skf_spec *spec;    /* start */
	struct skf_ctrconf *conf; /* start */
	struct skf_spec_process *process;
	int userns; /* of the container: for id-mapped mounts; -EBADF: the host's */
	struct skf_idmaps ids;
	int ours[3], theirs[3]; /* pipes; ours[0] is the end that is written */
	struct skf_rt rt;
	struct skf_rt_container *ctr;
	struct {                         /* foreign.c: of a container that another OCI runtime runs */
		const char *path;        /* NULL: our own does */
		const char *base, *root; /* where it finds sources and root: foreign_mounts.c */
		struct skf_strv flags;
		pid_t pid;
		int pidfd, console, netns;
		struct skf_cg_dirs cg;
	} foreign;
	bool gone;           /* the runtime has deleted the container itself */
	uint32_t log_driver; /* enum skf_logd */
	bool had_summary, wrote_summary;
	struct skf_summary before;
	uint64_t started_ns, start_time;
	struct skf_rt_criu *criu; /* checkpoint.c */
	struct {                  /* pod.c: of a pod that is made, or (ns) that the container joins */
		uint32_t share, adopted;
		const char *hostname, *init;
		int ns[SKF_HOLD_N], pidfd;
		int shm; /* mount namespace that has the pod's /dev/shm; -EBADF */
		uint64_t shm_size;
		const char *mount_label; /* NULL: none */
		pid_t pid;
	} pod;
};

/* --- logging.c --- */
int skf_launch_open_log(struct skf_launch *l, struct skf_err *e);
/* What the monitor needs to know of the log driver. LIMIT. */
int skf_launch_fill_log(const struct skf_launch *l, struct skf_mon_handover *h, struct skf_err *e);

/* --- log_attrs.c --- */
/* "word" is in "a,b,c" (NULL: nothing is). */
bool skf_launch_listed(const char *list, const char *word);
/* Appends docker's "attrs":{...}, with its comma, for the log's entries; nothing when there are none. tag:
 * expanded, NULL: none was asked for. -ENOMEM. */
int skf_launch_log_attrs(const struct skf_launch *l, const char *tag, struct skf_buf *b);

/* --- cgroup.c --- */
/* Moves the calling process into skiff/m of every hierarchy; a hierarchy that refuses is a warning. */
void skf_launch_enter_cgroup(const struct skf_log *log);

/* --- stdio.c --- */
/* Pipes, or nothing when the process gets a terminal; stdin is /dev/null unless with_stdin. */
int skf_launch_stdio(struct skf_launch *l, bool with_stdin, struct skf_err *e);
/* ctl.sock in run_dir, bound and listening, mode 0600. */
int skf_launch_listen(struct skf_launch *l, struct skf_err *e);
void skf_launch_unlisten(struct skf_launch *l);

/* --- net.c: callbacks of skf_rt_create; arg: struct skf_launch --- */
bool skf_launch_has_own_netns(const struct skf_launch *l);
/* Hands a network namespace to the engine, which makes the network of process pid there; skf_launch_net_end
 * waits for it. */
int skf_launch_net_offer(struct skf_launch *l, int netns, pid_t pid, struct skf_err *e);
int skf_launch_net_begin(void *arg, pid_t pid, struct skf_err *e);
int skf_launch_net_end(void *arg, struct skf_err *e);
int skf_launch_join_netns(struct skf_launch *l, struct skf_err *e);
/* A route netlink socket of the namespace; this process is back in its own when it returns. */
int skf_launch_visit_netns(int netns, int *ret_nl, struct skf_err *e);
/* --- labels.c: SELinux --- */
/* Labels the container's own files; nothing where SELinux is off or the container has no label. */
int skf_launch_labels(struct skf_launch *l, struct skf_err *e);
/* fd and all below it: for this container alone, or for all. The same. */
int skf_launch_relabel(struct skf_launch *l, int fd, bool private_, const char *target, struct skf_err *e);
/* --- sources.c, joins.c --- */
/* Opens what config.json names as sources. */
int skf_launch_sources(struct skf_launch *l, struct skf_err *e);
void skf_launch_close_sources(struct skf_launch *l);
/* Id of the host for an id of the container; itself without a map. */
/* --- secrets.c: the files become sources, for which there is room; the variables go to l->process --- */
int skf_launch_secrets(struct skf_launch *l, struct skf_err *e);
int skf_launch_secret_env(struct skf_launch *l, struct skf_err *e);
/* Puts the paths of other containers' namespaces into the spec. CONFLICT when one does not run. */
int skf_launch_joins(struct skf_launch *l, struct skf_err *e);
/* fd of a namespace ("mnt", "ipc", ...) of a running container. */
int skf_launch_ns_of(struct skf_launch *l, const char *id, const char *ns, struct skf_err *e);

/* --- start.c, exec.c --- */
/* Paths of layers below the root directory, arena memory. */
/* The layers are the images' own, to be id-mapped for a container in a user namespace; false: they are
 * copies in its ids. */
bool skf_launch_sees_through_map(const struct skf_launch *l);
int skf_launch_layer_paths(struct skf_launch *l, const struct skf_strv *diff_ids, const char *const **ret,
			   struct skf_err *e);
struct skf_launch_step {
	const char *name; /* for the debug log */
	int (*run)(struct skf_launch *l, struct skf_err *e);
	void (*undo)(struct skf_launch *l);
};
/* Each list ends with run == NULL. */
extern const struct skf_launch_step skf_launch_start_steps[], skf_launch_exec_steps[],
	skf_launch_restart_steps[], skf_launch_health_steps[], skf_launch_update_steps[],
	skf_launch_mount_steps[], skf_launch_pod_steps[], skf_launch_netsock_steps[],
	skf_launch_look_steps[];
/* --- start.c: what start and restore have in common --- */
/* The runtime's request; its strings are arena memory. */
int skf_launch_fill_create(struct skf_launch *l, struct skf_rt_create *ret, struct skf_err *e);
void skf_launch_given_away(struct skf_launch *l); /* stdio, root and sources are the container's now */
void skf_launch_mark_started(const struct skf_launch *l);
int skf_launch_note_start(struct skf_launch *l, struct skf_err *e); /* when, and init's start time */
/* --- checkpoint.c --- */
int skf_launch_criu_options(struct skf_launch *l, struct skf_err *e);
int skf_launch_restore(struct skf_launch *l, struct skf_err *e);
extern const struct skf_launch_step skf_launch_checkpoint_steps[], skf_launch_restore_steps[];
extern const struct skf_launch_step skf_launch_image_mount_steps[], skf_launch_image_unmount_steps[],
	skf_launch_probe_steps[];
extern const struct skf_launch_step skf_launch_go_steps[]; /* go.c */
extern const struct skf_launch_step skf_launch_ctr_mount_steps[], skf_launch_ctr_unmount_steps[];
/* --- ctr_mount.c --- */
/* The container's root is mounted on the host. */
bool skf_launch_is_mounted(const struct skf_launch *l);
/* root_mount becomes a clone of that mount. */
int skf_launch_clone_mounted(struct skf_launch *l, struct skf_err *e);
int skf_launch_open_trees(struct skf_launch *l, struct skf_err *e);
int skf_launch_load_config(struct skf_launch *l, struct skf_err *e);
int skf_launch_mount_root(struct skf_launch *l, struct skf_err *e);
/* userns.c: l->userns and l->ids, before anything of the container is mounted. */
int skf_launch_userns(struct skf_launch *l, struct skf_err *e);
/* The only answer of a request that neither starts a process nor becomes a monitor: DONE, with fd (borrowed;
 * -1 none). */
int skf_launch_answer(struct skf_launch *l, int fd, struct skf_err *e);

/* --- pod.c --- */
/* Of a container in a pod: its shared namespaces become those of the spec. UNAVAILABLE when the pod does not
 * run. */
int skf_launch_join_pod(struct skf_launch *l, struct skf_err *e);

/* --- pod_shm.c --- */
int skf_launch_pod_shm_make(struct skf_launch *l,
			    struct skf_err *e); /* into l->pod.shm, when the pod shares IPC */
/* 1: *ret is the pod's /dev/shm in place of the container's own, whose mount in l->spec becomes a bind
 * mount; 0, -1. */
int skf_launch_pod_shm_source(struct skf_launch *l, struct skf_rt_source *ret, struct skf_err *e);
/* sources.c: a clone of /dev/shm in the mount namespace ns. */
int skf_launch_shm_of(int ns, struct skf_err *e);

/* --- foreign.c --- */
int skf_launch_foreign_create(struct skf_launch *l, struct skf_err *e);
void skf_launch_foreign_undo(struct skf_launch *l);
int skf_launch_foreign_start(struct skf_launch *l, struct skf_err *e);
/* 1: the container that runs is another runtime's, and l->foreign says which; 0, -1. */
int skf_launch_foreign_known(struct skf_launch *l, struct skf_err *e);
int skf_launch_foreign_exec(struct skf_launch *l, struct skf_err *e);
int skf_launch_foreign_update(struct skf_launch *l, struct skf_err *e);
/* Of the process that was made, by whichever runtime. */
pid_t skf_launch_pid(const struct skf_launch *l);

/* --- become.c --- */
/* Writes the handover and becomes the monitor; returns only when execve failed. */
int skf_launch_become(struct skf_launch *l, struct skf_err *e);
/* Tells the monitor that asked for a restart what it has now. */
int skf_launch_report(struct skf_launch *l, struct skf_err *e);
