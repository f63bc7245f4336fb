/* engine/engine_int.h -- what the files of engine/ share. Who may write what: docs/formats.md.
 *
 * Invariants:
 *  1. A container exists when containers/<id>/config.json exists; names/<name> is claimed before and given
 * back after it.
 *  2. Whoever changes a container (start, stop's last step, rm, reap) holds locks/container-<id>; readers
 * take no lock.
 *  3. Ids are random and never used twice: a lock file, a summary or a run directory without a container is
 * garbage.
 *  4. The engine never mounts, unshares or clones; it spawns skiff-launch and skiff-image and talks to them.
 */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/limits.h"
#include "base/log.h"
#include "engine/conf.h"
#include "engine/engine.h"
#include "launch/config.h"
#include "monitor/summary.h"
#include "monitor/wire.h"
#include "oci/idmaps.h"
#include "oci/image.h"
#include "oci/userdb.h"
#include "store/store.h"
#include "sys/cgroup.h"

#define SKF_DEFAULT_ROOT     "/var/lib/skiff"
#define SKF_DEFAULT_RUN_ROOT "/run/skiff"
#define SKF_CGROUP_PARENT    "/skiff/c" /* DESIGN 3b */
#define SKF_SHORT_ID         12

struct skf_engine {
	struct skf_log log;
	struct skf_conf conf;
	char *root, *run_root, *self; /* absolute */
	struct skf_store *store;
	int root_fd;                       /* borrowed from the store */
	int ctr_fd, names_fd, locks_fd;    /* <root>/containers, names, locks */
	int run_fd, run_ctr_fd;            /* <run_root>, <run_root>/containers */
	struct skf_registries *registries; /* NULL until a short name needs it */
	struct skf_cg_layout
		cg_layout; /* n 0 until a cgroup is looked for: the same as long as a process lives */
};

/* --- request.c: member "request" of config.json.skiff: what the user asked for and what the image added,
 * for inspect and exec --- */
struct skf_mount_point { /* what is mounted, as inspect shows it */
	char *type, *name, *source, *target, *driver, *mode, *propagation; /* name, driver: of a volume */
	bool rw, anonymous;
};
struct skf_ctr_request {
	char *image, *hostname, *user, *workdir, *stop_signal;
	struct skf_strv entrypoint, cmd, env, storage_opt;
	struct skf_kvs labels;
	struct skf_kvs
		from; /* property -> where it comes from (plan_from.c); empty: made by an older skiff */
	struct skf_jarr mount_points; /* struct skf_mount_point */
	bool attach_stdout, attach_stderr, init;
	struct skf_settings s;
};
void skf_ctr_request_write(struct skf_jw *w, const struct skf_ctr_request *r);
int skf_ctr_request_parse(const char *json, struct skf_arena *a, struct skf_ctr_request **ret,
			  struct skf_err *e);

/* --- container.c: one container as found on disk and in /run --- */
enum skf_ctr_state {
	SKF_CTR_CREATED,
	SKF_CTR_RUNNING,
	SKF_CTR_PAUSED,
	SKF_CTR_EXITED,
	SKF_CTR_STOPPING_FAILED,
	SKF_CTR_RESTARTING, /* its monitor waits, or starts it again */
	SKF_CTR_INITIALIZED /* made ready: its init waits for a start, under its monitor */
};
/* A monitor is responsible for it: running, paused, restarting, initialized. */
bool skf_ctr_is_up(enum skf_ctr_state s);
/* ... and it has namespaces, a root and a cgroup: not while it is restarting. */
bool skf_ctr_is_made(enum skf_ctr_state s);
const char *skf_ctr_state_name(enum skf_ctr_state s);
struct skf_ctr_exit { /* exit.json */
	int32_t code, signal;
	bool oom;
	int64_t started_ns, finished_ns;
	char *reason, *error;
	bool manual; /* stopped by hand: not started at boot with unless-stopped */
	uint32_t restarts;
};
struct skf_ctr_live {
	enum skf_ctr_state state;
	bool has_summary;
	bool lost; /* claimed to run, nobody supervises it */
	struct skf_summary sum;
	int32_t exit_code;
	bool oom;
	int64_t started_ns, finished_ns;
	char error[256];
};
/* <root>/containers/<id> as O_DIRECTORY fd; NOTFOUND "No such container: x". */
int skf_ctr_open_dir(struct skf_engine *g, const char *id, int *ret_fd, struct skf_err *e);
/* Whole text of config.json and the decoded members. */
int skf_ctr_load(struct skf_engine *g, const char *id, struct skf_arena *a, struct skf_ctrconf **ret,
		 struct skf_err *e);
int skf_ctr_load_text(struct skf_engine *g, const char *id, struct skf_buf *ret, struct skf_err *e);
/* 1 there, 0 not there (never started, or not ended), -1. */
int skf_ctr_exit_read(struct skf_engine *g, const char *id, struct skf_arena *a, struct skf_ctr_exit *ret,
		      struct skf_err *e);
/* What is true now: the summary, checked against its monitor when it claims to run. Fails only on I/O
 * errors. */
int skf_ctr_live(struct skf_engine *g, const char *id, struct skf_ctr_live *ret, struct skf_err *e);
/* The same for ps, which read the summary already: a living process is proof enough there. */
void skf_ctr_live_of(struct skf_engine *g, const char *id, const struct skf_summary *s,
		     struct skf_ctr_live *ret);
/* Socket of the container's monitor. UNAVAILABLE when there is none. */
int skf_ctr_monitor(struct skf_engine *g, const char *id, int *ret_sock, struct skf_err *e);
/* Exclusive lock of the container (SKF_LOCK_MS). */
int skf_ctr_lock(struct skf_engine *g, const char *id, int *ret_fd, struct skf_err *e);
/* Rebuilds summary/<id> from config.json and exit.json. */
int skf_ctr_summary_rebuild(struct skf_engine *g, const char *id, const struct skf_ctrconf *c, bool lost,
			    struct skf_err *e);
/* A summary of state "created". shown_image: as the user typed it. */
void skf_ctr_summary_init(const struct skf_ctrconf *c, const char *shown_image, struct skf_summary *s);
/* Cgroup of a container in every hierarchy of this host. -errno. */
int skf_ctr_cgroup(struct skf_engine *g, const char *id, struct skf_cg_dirs *ret);
/* in a container's directory: symlink to its cgroup path when --cgroup-parent moved it */
#define SKF_CGROUP_LINK "cgroup"
bool skf_ctr_id_valid(const char *s);

/* The directories of containers, complete or not, in no order. Owned by the caller (SKF_AUTO_DIR); NULL:
 * failed. */
DIR *skf_ctr_opendir(struct skf_engine *g, struct skf_err *e);
/* The next id, until the next call; NULL: no more. */
const char *skf_ctr_next(DIR *d);

/* podman's --group-add keep-groups: the process keeps the groups of whoever starts it; the word stands alone
 * (plan_process.c). */
bool skf_keeps_groups(const struct skf_strv *group_add);

/* --- quota.c --- */
/* Before the container's directory goes: its project number is then free as soon as the last file is. */
void skf_ctr_quota_release(struct skf_engine *g, const char *id);

/* --- names.c --- */
bool skf_name_valid(const char *s);
/* A new id. Its short form has a letter: it is a host name, and resolvers take one of digits alone for an
 * address and look nowhere. -errno. */
int skf_id_random(char out[SKF_ID_LEN + 1]);
/* Two words, e.g. "brisk_hawking"; with salt > 0 a digit follows. Random. */
int skf_name_random(unsigned salt, char out[SKF_MAX_NAME_BYTES + 1]);
/* Claims names/<name> for id. CONFLICT in docker's words. */
int skf_name_claim(struct skf_engine *g, const char *name, const char *id, struct skf_err *e);
/* A made-up name, claimed. */
int skf_name_claim_random(struct skf_engine *g, const char *id, char out[SKF_MAX_NAME_BYTES + 1],
			  struct skf_err *e);
/* Gives it back when it still means id. */
int skf_name_release(struct skf_engine *g, const char *name, const char *id, struct skf_err *e);
/* 1 found, 0 not, -1. */
int skf_name_find(struct skf_engine *g, const char *name, char ret[SKF_ID_LEN + 1], struct skf_err *e);

/* --- short_name.c: what short names mean (registries.conf) --- */
struct skf_registries;
/* Read once, when a name is not here as it stands. Of the store's resolver; arg is the engine. */
int skf_short_expand(void *arg, const char *word, struct skf_strv *ret, struct skf_err *e);
void skf_short_done(struct skf_engine *g);
/* pull.c: q->reference is taken as docker takes it. */
int skf_pull_exact(struct skf_engine *g, const struct skf_pull_req *q, const struct skf_progress *p,
		   struct skf_pull_ret *ret, struct skf_err *e);

/* --- storage.c: how roots are made of layers (store/snapshot.h) --- */
struct skf_snapshotter;
/* What new containers get: the configuration's, else what works here, found out once per boot. INVALID. */
int skf_storage_driver(struct skf_engine *g, const struct skf_snapshotter **ret, struct skf_err *e);
/* What a container has, whose driver this skiff may not know: INVALID. */
int skf_storage_of(const struct skf_ctrconf *c, const char *id, const struct skf_snapshotter **ret,
		   struct skf_err *e);
/* Before a start: what the container's root needs is there. dir: its directory. */
int skf_storage_ensure(struct skf_engine *g, const char *id, const struct skf_ctrconf *c, int dir,
		       struct skf_err *e);
#define SKF_UPPER_DIR "upper" /* of a container: its changes while they are committed */
/* The container's changes as a directory in overlay's form, name below its directory: "rw", or one that is
 * made and that skf_storage_upper_done removes. lock: held until then. */
struct skf_storage_upper {
	const char *name;
	int lock, dir;
};
int skf_storage_upper(struct skf_engine *g, const char *id, const struct skf_ctrconf *c,
		      struct skf_storage_upper *ret, struct skf_err *e);
void skf_storage_upper_done(struct skf_storage_upper *u);
/* Bytes of the files that the container added or changed, for containers whose rw/ has more than that. */
int skf_storage_usage(struct skf_engine *g, const char *id, uint64_t *changed, struct skf_err *e);
/* 1 what its root is made of is in order, 0 not (why). dir: its directory. */
int skf_storage_check(struct skf_engine *g, const char *id, const struct skf_ctrconf *c, int dir, char *why,
		      size_t size, struct skf_err *e);

/* --- layered.c: files of an image without a mount --- */
struct skf_layered {
	int fd[SKF_MAX_LAYERS + 1]; /* directories, highest first; owned */
	unsigned n;
};
void skf_layered_done(struct skf_layered *l);
/* rw_fd: upper directory of a container (borrowed, duplicated) or -1. layers lowest first. */
int skf_layered_open(struct skf_engine *g, int rw_fd, const struct skf_strv *diff_ids,
		     struct skf_layered *ret, struct skf_err *e);
/* The same of a container: its layers, or the directory that it runs on (--rootfs). rw_fd as above, left out
 * when that directory itself is written to. */
int skf_layered_of(struct skf_engine *g, int rw_fd, const struct skf_ctrconf *c, struct skf_layered *ret,
		   struct skf_err *e);
/* A regular file of the merged view, opened for reading without blocking. -ENOENT when absent, whited out or
 * not a regular file. */
int skf_layered_open_file(const struct skf_layered *l, const char *path);
/* User string and further groups (names or numbers) against /etc/passwd and /etc/group of the merged view.
 */
int skf_layered_user(const struct skf_layered *l, const char *user, const struct skf_strv *groups,
		     struct skf_arena *a, struct skf_userdb_result *ret, struct skf_err *e);

/* --- volume.c, volume_list.c --- */
/* Makes sure that it exists; *ret_made: it did not before. What it is made with must be what it was made
 * with only when `strict`. */
int skf_volume_ensure(struct skf_engine *g, const struct skf_volume_req *q, bool anonymous, bool strict,
		      bool *ret_made, struct skf_err *e);
/* Removes it when no container but `except` (NULL: none) mounts it: 1 removed, 0 in use or absent, -1.
 * users: their short ids are appended, ", " between them; may be NULL. */
int skf_volume_drop(struct skf_engine *g, const char *name, const char *except, struct skf_buf *users,
		    struct skf_err *e);
/* Names of the anonymous volumes that a container was made with. */
int skf_volume_anonymous_of(struct skf_engine *g, const char *id, struct skf_arena *a, struct skf_strv *ret,
			    struct skf_err *e);
#define SKF_ANON_FILE "volumes" /* in a container's directory: their names, one a line; absent: none */

/* --- plan_secrets.c --- */
/* The secrets that a container has as variables, NAME=VALUE, appended; arena memory. */
int skf_ctr_secret_env(struct skf_engine *g, const char *id, const struct skf_ctrconf *c,
		       struct skf_arena *a, struct skf_strv *ret, struct skf_err *e);

/* --- ps_detail.c --- */
int skf_ctr_sizes(struct skf_engine *g, const char *id, const struct skf_ctrconf *c, struct skf_arena *a,
		  struct skf_ctr_size *ret, struct skf_err *e);
/* row->detail. 1, or 0 when the container was removed meanwhile. */
int skf_ps_detail_load(struct skf_engine *g, struct skf_ps_row *row, bool size, bool exposed,
		       struct skf_arena *a, struct skf_err *e);
/* REPOSITORY or REPOSITORY:TAG with shell patterns, as docker matches them. */
bool skf_image_name_matches(const char *pattern, const char *repository, const char *tag);

/* --- spec_gen.c, process_gen.c: the OCI document of a container; pure but for /dev and /sys look-ups of
 * privileged and masks --- */
struct skf_gen_mount {
	const char *target, *type, *source;
	struct skf_strv options;
};
struct skf_gen_rlimit {
	const char *type;    /* "RLIMIT_NOFILE" */
	uint64_t soft, hard; /* RLIM_INFINITY: no limit */
};
struct skf_gen_process {
	struct skf_strv args, env;
	const char *cwd;
	uint32_t uid, gid;
	const uint32_t *gids;
	size_t n_gids;
	uint64_t caps; /* bounding; effective and permitted for uid 0 only, inheritable and ambient always
			  empty (T11) */
	bool tty, no_new_privs;
	unsigned rows, cols;
	bool has_umask, has_oom_score_adj;
	uint32_t umask;
	int32_t oom_score_adj;
	const struct skf_gen_rlimit *rlimits;
	size_t n_rlimits;
	const char *apparmor, *selinux; /* NULL: none */
};
struct skf_gen_rate {
	unsigned major, minor;
	uint64_t value; /* weight, bytes or operations per second */
};
struct skf_gen_rates {
	struct skf_gen_rate *v;
	size_t n;
};
struct skf_gen_res { /* 0 and NULL: not limited */
	int64_t memory, swap, reservation, pids;
	bool has_swappiness, oom_kill_disable;
	uint64_t swappiness, shares, period, rt_period;
	int64_t quota, rt_runtime;
	const char *cpus, *mems;
	uint32_t blkio_weight;
	struct skf_gen_rates weight_device, rate[4]; /* enum skf_gen_rate_kind */
	struct skf_strv unified;                     /* FILE=VALUE */
};
enum skf_gen_rate_kind { SKF_RATE_READ_BPS, SKF_RATE_WRITE_BPS, SKF_RATE_READ_IOPS, SKF_RATE_WRITE_IOPS };
enum skf_gen_ns_kind {
	SKF_NS_PID,
	SKF_NS_MOUNT,
	SKF_NS_IPC,
	SKF_NS_UTS,
	SKF_NS_CGROUP,
	SKF_NS_NET,
	SKF_NS_USER,
	SKF_N_NS
};
struct skf_gen_ns {
	bool on;          /* in the list at all; else the host's */
	const char *path; /* NULL: a new one (or one that launch finds: skf_ctrconf.joins) */
	bool borrowed; /* somebody else's: with a user namespace of its own the container may not mount what
			  shows it */
};
struct skf_gen_device {
	const char *path; /* in the container */
	char type;        /* 'c', 'b', 'p' */
	unsigned major, minor;
	uint32_t mode, uid, gid;
	bool users_uid, users_gid; /* of the container's user instead */
};
struct skf_gen_rule {         /* of the devices cgroup */
	char type;            /* 'a', 'b', 'c' */
	int64_t major, minor; /* -1: any */
	const char *access;
};
struct skf_gen {
	const char *id;
	const char *hostname, *domainname;
	struct skf_gen_process process;
	const struct skf_gen_mount *mounts; /* in this order, after the defaults */
	size_t n_mounts;
	const char *init_path; /* bound to /sbin/docker-init; NULL */
	const char *hosts_dir; /* directory that holds hosts, hostname, resolv.conf; absolute */
	bool host_network, privileged, readonly;
	bool cgroup_writable,
		no_shm;        /* no_shm: /dev/shm is not mounted (--ipc none), or a mount of the plan */
	int64_t shm_size;      /* bytes */
	const char *proc_opts; /* NULL: none */
	struct skf_gen_ns ns[SKF_N_NS];
	struct skf_idmaps ids;   /* of a user namespace */
	const char *mount_label; /* of SELinux; NULL: none */
	const char *seccomp;     /* NULL: none; "": the default profile; else the runtime-spec's object */
	struct skf_strv mask, unmask; /* absolute paths; unmask may have shell patterns */
	bool unmask_all;
	const struct skf_gen_device *devices;
	size_t n_devices;
	const struct skf_gen_rule *rules;
	size_t n_rules;
	struct skf_kvs sysctls, annotations;
	struct skf_gen_res res;
	const char *rdt_class;   /* NULL: none */
	const char *cgroup;      /* path below every hierarchy */
	const char *hooks, *rdt; /* raw JSON of the members hooks and linux.intelRdt; NULL: none */
	const struct skf_ctrconf *conf;
};
/* The whole config.json. Fails: UNSUPPORTED (no seccomp profile for this machine), LIMIT. */
int skf_spec_gen(const struct skf_gen *g, struct skf_buf *ret, struct skf_err *e);
/* A process object of the runtime-spec, as member `key` or, with NULL, as a value. */
void skf_process_gen(struct skf_jw *w, const char *key, const struct skf_gen_process *p);
/* Capability set of a container: docker's default, changed by --cap-add/--cap-drop (ALL allowed). INVALID
 * for an unknown name. */
int skf_caps_gen(const struct skf_strv *add, const struct skf_strv *drop, bool privileged, uint64_t *ret,
		 struct skf_err *e);
/* env: PATH default, HOSTNAME, TERM, image's, user's, HOME; later entries replace earlier ones of the same
 * name. */
struct skf_env_gen {
	const char *hostname, *home; /* hostname NULL: not set */
	bool tty;
	const struct skf_strv *image, *user;
};
int skf_env_gen(const struct skf_env_gen *q, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e);

/* --- again.c --- */
struct skf_net_conf;
/* The request that makes such a container once more; see the file for what it leaves out. Shares pointers
 * with its arguments and a. */
int skf_ctr_again(const struct skf_ctrconf *c, const struct skf_ctr_request *r, const struct skf_net_conf *n,
		  struct skf_arena *a, struct skf_create_req *q, struct skf_err *e);

/* Of its networks alone; -ENOMEM. */
int skf_net_again(const struct skf_net_conf *n, struct skf_arena *a, struct skf_net_req *q);
/* Without the addresses that only one can have. */
void skf_net_again_elsewhere(struct skf_net_req *q, bool ip, bool mac);

/* --- create.c, start.c --- */
struct skf_created {
	char id[SKF_ID_LEN + 1];
	char name[SKF_MAX_NAME_BYTES + 1];
	bool remove;
	int lock; /* the container's lock, held since before it existed: the check leaves what is being made
		     alone */
};
struct skf_launch_proc {           /* a skiff-launch that waits for its request */
	pid_t pid;                 /* 0: none */
	int sock, pidfd, wait_ms;  /* wait_ms: for its answer */
	struct skf_notify *notify; /* of the start, borrowed; NULL */
};
#define SKF_LAUNCH_PROC_NONE                                                                                \
	{                                                                                                   \
		0, -EBADF, -EBADF, 0, NULL                                                                  \
	}
/* launch not NULL: a skiff-launch is spawned as soon as the image is there, so that it loads, seals itself
 * and enters the monitors' cgroup (which costs the kernel a grace period) while the container is made. The
 * caller's also on failure: skf_launch_end. */
int skf_ctr_create(struct skf_engine *g, struct skf_create_req *q, const struct skf_progress *p,
		   struct skf_launch_proc *launch, struct skf_created *ret, struct skf_err *e);
/* Files hosts, hostname, resolv.conf in the container's directory. */
int skf_ctr_hostfiles(int dirfd, const char *hostname, bool host_network, struct skf_err *e);
/* What goes along with a request, in its order; < 0 absent, all borrowed. The lock is that of what is
 * started: launch holds it as well, so that a start whose front end died is over before anybody else looks.
 */
struct skf_launch_fds {
	int stdio[3], lock, netns;
};
unsigned skf_launch_stdio_flags(const int stdio[3]);
unsigned skf_launch_fds_flags(const struct skf_launch_fds *fds);
/* Sends one record to a fresh skiff-launch; on success *ret_sock is its socket. The request has the flags of
 * fds. */
int skf_launch(struct skf_engine *g, const char *verb, const struct skf_buf *request,
	       const struct skf_launch_fds *fds, int *ret_sock, uint32_t *ret_pid, struct skf_err *e);
int skf_launch_spawn(struct skf_engine *g, const char *verb, struct skf_launch_proc *ret, struct skf_err *e);
/* Ends one that got no request, or failed; nothing for one that is not there. */
void skf_launch_end(struct skf_launch_proc *p);
/* What `--rm` and the reap need to be undone; the container's lock is held. */
int skf_ctr_undo_runtime(struct skf_engine *g, const char *id, struct skf_err *e);
/* volumes: its anonymous volumes go with it when nobody else mounts them. */
int skf_ctr_remove_locked(struct skf_engine *g, const char *id, const char *name, const char *image,
			  bool volumes, int *lock_own, struct skf_err *e);
/* skf_engine_reap for who holds the lock. */
int skf_ctr_reap_locked(struct skf_engine *g, const char *id, int *lock_own, struct skf_err *e);
/* Closes the lock and takes its file away: only when the container does not exist (any more). */
void skf_ctr_drop_lock(struct skf_engine *g, const char *id, int *lock_own);
/* SIGKILL by every means there is, until nobody is left (SKF_KILL_WAIT_MS each). */
int skf_ctr_kill_hard(struct skf_engine *g, const char *id, unsigned manual /* SKF_MON_BY_HAND, _SHUTDOWN */,
		      struct skf_err *e);

/* --- ctr_mount.c: the container's lock is held --- */
bool skf_ctr_is_mounted(struct skf_engine *g, const char *id);
/* Nothing to do for one that is not mounted on the host. */
int skf_ctr_unmount_locked(struct skf_engine *g, const char *id, bool force, struct skf_err *e);

/* --- pause.c: the freezer and the summary's word; the caller holds the lock or is ending the container ---
 */
int skf_ctr_freeze(struct skf_engine *g, const char *id, bool freeze, struct skf_err *e);

/* --- stop.c, start.c --- */
/* The stop alone: no reap when its monitor was lost. */
int skf_ctr_stop(struct skf_engine *g, const char *id, const struct skf_stop_req *q, struct skf_err *e);
struct skf_launch_start { /* what START needs beside the trees */
	const char *id;
	const int *stdio;
	int lock;  /* the container's */
	bool keep; /* the socket: attached */
	unsigned rows, cols;
	const char *restore;       /* options of RESTORE; NULL: a start */
	struct skf_notify *notify; /* the container gets NOTIFY_SOCKET; NULL: not */
	bool init;                 /* made ready only */
};
/* early: one that waits (pid 0: none), consumed; NULL or none: a fresh one. */
int skf_ctr_launch(struct skf_engine *g, const struct skf_launch_start *s, struct skf_launch_proc *early,
		   int *ret_sock, uint32_t *ret_pid, struct skf_err *e);
/* attach.c: descriptors (or none) to the monitor of a container, and the wait for its end on the same
 * connection. */
struct skf_run_handle;
int skf_ctr_attach(struct skf_engine *g, const char *id, const int stdio[3], struct skf_run_handle *h,
		   struct skf_err *e);
/* exit.json of a start that failed: inspect shows why, and the state stays created. */
int skf_ctr_record_failure(struct skf_engine *g, const char *id, const struct skf_err *why,
			   struct skf_err *e);
/* One request to a fresh skiff-launch that answers DONE; *ret_fd: the descriptor that came with it, -EBADF
 * none. */
int skf_launch_ask(struct skf_engine *g, const char *verb, const struct skf_buf *request, int *ret_fd,
		   struct skf_err *e);
int skf_launch_go(struct skf_engine *g, const char *id, int lock, struct skf_err *e);
int skf_launch_ask_in(struct skf_engine *g, const char *verb, const struct skf_buf *request, int netns,
		      int *ret_fd, struct skf_err *e);
/* Fields that health, update and mount have in common (launch/wire.h). */
void skf_launch_request(struct skf_engine *g, struct skf_buf *b, uint16_t type, unsigned flags,
			const char *id, const char *document);

/* --- pull.c --- */
int skf_image_find_or_pull(struct skf_engine *g, const struct skf_create_req *q,
			   const struct skf_progress *p, struct skf_arena *a, struct skf_image **ret,
			   struct skf_refrec *ret_ref, struct skf_err *e);
/* Verifies one layer ("" all layers and blobs) by skiff-image; damaged() per object that differs. flags: of
 * registry/wire.h. */
int skf_image_verify(struct skf_engine *g, const char *diff_id, uint32_t flags,
		     void (*damaged)(void *arg, const char *digest, bool blob, const char *why), void *arg,
		     struct skf_err *e);
/* Pulls what the store lacks of an image, or distrusts, from where the image came; no name is given.
 * UNSUPPORTED when it came from nowhere. */
bool skf_image_has_origin(const struct skf_image *i); /* whether it came from a registry */
int skf_image_heal(struct skf_engine *g, const struct skf_image *i, const char *docker_config,
		   struct skf_err *e);
