/* runtime/runtime.h -- the OCI runtime as a library: create, start, exec, kill, delete, state. Used
 * in-process by skiff-oci and skiff-launch: no globals, no exit, errors as values. Every function blocks on
 * the kernel at most for the named time-outs of base/limits.h. The caller has no threads. Clauses:
 * runtime-spec runtime.md "Lifecycle", config.md, config-linux.md.
 *
 * State of a container: <root>/<id>/{state.json,journal,exec.fifo,answer/exec.fifo,seccomp.bpf}, directory
 * mode 0700. <id>/ is made first, the journal is written before each resource that the kernel does not clean
 * up (docs/formats.md), state.json last; so delete --force works from the journal alone. */
#pragma once
#include "base/fwd.h"
#include "oci/spec.h"
#include "sys/cgroup.h"

enum skf_rt_cgroup_manager { SKF_RT_CGROUPFS = 0, SKF_RT_SYSTEMD, SKF_RT_CG_DISABLED };
enum skf_rt_status { SKF_RT_CREATING, SKF_RT_CREATED, SKF_RT_RUNNING, SKF_RT_PAUSED, SKF_RT_STOPPED };
const char *skf_rt_status_name(enum skf_rt_status s);

struct skf_rt { /* context of every call; plain data, copied freely */
	const struct skf_log *log;
	const char *root; /* absolute path of the state root, for messages and state.json */
	int rootfd;       /* its directory, borrowed; made by skf_rt_open */
	enum skf_rt_cgroup_manager cgroup_manager;
	bool rootless;
	const struct skf_seccomp_embedded
		*embedded; /* seccomp programs that are there already: skf_seccomp_default(), or NULL */
};
/* Programs of the engine's own profile, made when this was built; only for those whose containers have that
 * profile. */
const struct skf_seccomp_embedded *skf_seccomp_default(void);
/* For programs that create or exec, first thing in main: executes the running program again through a handle
 * that a container can never open for writing (T01; seal.c). Returns 0 when that is the case already; does
 * not return otherwise, or fails. The process keeps its pid, arguments, environment and descriptors;
 * readlink of /proc/self/exe gives no useful path any more, so siblings have to be found before. */
int skf_rt_seal_self(char *const argv[], struct skf_err *e);
/* For the same programs, last thing before exit or execve: the end of the handle's mount waits for a grace
 * period of RCU, which then is a kernel worker's (base/fd.h, skf_close_later). Does not block, cannot fail.
 */
void skf_rt_seal_end(void);

/* Opens (makes, 0700) the state root into rt->rootfd; the caller closes it. */
int skf_rt_open(struct skf_rt *rt, struct skf_err *e);

struct skf_rt_source {           /* a bind mount whose source the caller has opened already */
	const char *destination; /* of the mount in config.json */
	int tree_fd;             /* detached mount (open_tree, fsmount), borrowed; good for one container */
};
struct skf_rt_create {
	const char *id;
	const char *bundle;          /* absolute path; recorded in state.json */
	int bundle_fd;               /* borrowed directory fd */
	const struct skf_spec *spec; /* decoded config.json; its arena outlives the container handle */
	const char *config_path;     /* absolute, of what spec was read from, for a later checkpoint; NULL:
					config.json of the bundle */
	const struct skf_rt_source *sources; /* instead of what config.json names as sources; NULL */
	size_t n_sources;
	int root_mount_fd; /* detached mount of the root file system (open_tree/fsmount), borrowed; -1:
			      spec->root_path */
	const char *rootfs_display; /* "rootfs" of the state document when root_mount_fd is used */
	int stdio[3]; /* become 0,1,2 of init when it has no terminal; -1: inherit the caller's */
	const char *console_socket; /* path of an AF_UNIX socket that gets the pty master; NULL */
	bool want_console_fd; /* in-process users: keep the pty master in the handle (skf_rt_take_console) */
	bool console_lf;      /* the pty passes LF on as it is, for a caller whose own terminal adds CR */
	unsigned preserve_fds; /* 3 .. 3+n-1 stay open in init */
	bool no_pivot, no_new_keyring;
	bool fifo; /* init waits on exec.fifo (create + start by different processes); else on the handle */
	int pdeathsig; /* for init, set after its last change of credentials; 0 none */
	/* The network, made by somebody else: begin once init exists (with a network namespace of its own,
	 * before anything runs in it), end before the hooks; in between it is made while init builds its
	 * root. Both or none; -1 fails the creation. */
	int (*net_begin)(void *arg, pid_t pid, struct skf_err *e);
	int (*net_end)(void *arg, struct skf_err *e);
	void *net_arg;
	bool subreaper; /* run: caller becomes a child subreaper */
	bool sister; /* init is a child of the caller's parent, which reaps it (CLONE_PARENT): the monitor's
			restart */
	bool keep_dir; /* <root>/<id> is there and has files of others: only the runtime's own are replaced,
			  and removed by abort */
	const char *pid_file;      /* written with the pid, no newline, before the status changes; NULL */
	const char *notify_socket; /* NOTIFY_SOCKET of the caller: the container gets one of its own
				      (skf_rt_notify_open); NULL */
};
/* A user namespace with these mappings (struct skf_idmap), for id-mapped mounts: an fd, or -1. Waits for a
 * helper child. */
int skf_rt_userns(const struct skf_jarr *uids, const struct skf_jarr *gids, struct skf_err *e);
/* A container that this process created: holds the pidfd, the sync socket and what undo needs. */
struct skf_rt_container;

/* Everything up to "created": namespaces, mounts, cgroup, hooks prestart, createRuntime, createContainer;
 * init waits. On failure all that was made is undone. Fails: CONFLICT (id in use), INVALID, ECMD_* only at
 * start, others by errno. */
int skf_rt_create(const struct skf_rt *rt, const struct skf_rt_create *c, struct skf_rt_container **ret,
		  struct skf_err *e);
/* For handles made with fifo=false: startContainer hooks, execve (its failure comes back as ECMD_NOTFOUND /
 * ECMD_NOTEXEC: "exec: "x": executable file not found in $PATH" as runc words it), state running, poststart
 * hooks. On failure the container is deleted. */
int skf_rt_go(struct skf_rt_container *c, struct skf_err *e);
/* For handles made with fifo=false or true: deletes the container and all that it made. */
void skf_rt_abort(struct skf_rt_container *c);
pid_t skf_rt_pid(const struct skf_rt_container *c);
int skf_rt_pidfd(const struct skf_rt_container *c);  /* stays the handle's, whose abort waits on it */
int skf_rt_take_console(struct skf_rt_container *c); /* pty master; -EBADF when none */
int skf_rt_take_netns(struct skf_rt_container *c);   /* fd of the container's network namespace; -errno */
const struct skf_cg_dirs *skf_rt_cgroup(const struct skf_rt_container *c);
void skf_rt_container_free(struct skf_rt_container *c); /* closes; does not touch the container */

/* NOTIFY_SOCKET (sd_notify(3)) of a container that was created with notify_socket: the socket that its
 * process writes to, bound here, before the start. -EBADF without an error when the container has none; -1
 * with the error set. Does not block. */
int skf_rt_notify_open(const struct skf_rt *rt, const char *id, struct skf_err *e);
/* One message that is there: READY=1, together with MAINPID=pid, and what else a service may say, goes to
 * host. 1 after READY, 0 otherwise; failures are warnings. */
int skf_rt_notify_relay(const struct skf_rt *rt, int fd, const char *host, pid_t pid);
/* For a container that was restored, which will not say again that it is ready: READY=1 and MAINPID=pid to
 * host; a failure is a warning. */
void skf_rt_notify_ready(const struct skf_rt *rt, const char *host, pid_t pid);
/* Relays until READY was passed on or the process of pidfd has ended. */
void skf_rt_notify_wait(const struct skf_rt *rt, int fd, const char *host, pid_t pid, int pidfd);

/* start of a container created with fifo (another process). CONFLICT when not in status created. */
int skf_rt_start(const struct skf_rt *rt, const char *id, struct skf_err *e);
/* Waits for the container's init (our child) and returns its exit code as a shell shows it; then poststop
 * etc. is the caller's delete. */
int skf_rt_wait(struct skf_rt_container *c, int *ret_code, struct skf_err *e);

struct skf_rt_exec {
	const char *id;
	const struct skf_spec_process *process; /* complete: args, cwd, env, user, caps ... */
	int stdio[3];
	const char *console_socket;
	bool want_console_fd, console_lf; /* as in struct skf_rt_create */
	unsigned preserve_fds;
	const char *pid_file;
	int pdeathsig;
	bool ignore_paused;
	/* --cgroup, "[controller,...:]path" each: existing cgroups below the container's own; hierarchies
	 * that are not named get the container's own */
	struct skf_strv sub_cgroups;
};
/* A process in a running container: joins the namespaces and the cgroup that init is in now. On success the
 * process has passed its execve. Handle as above (pid, pidfd, console; skf_rt_wait). Fails: CONFLICT (not
 * running), ECMD_*. */
int skf_rt_exec(const struct skf_rt *rt, const struct skf_rt_exec *x, struct skf_rt_container **ret,
		struct skf_err *e);

/* --- state --- */
struct skf_rt_state {                                               /* arena memory */
	char *oci_version, *id, *bundle, *rootfs, *owner, *created; /* created: RFC 3339 */
	enum skf_rt_status status;
	pid_t pid;          /* 0 when stopped */
	uint64_t pid_start; /* clock ticks */
	struct skf_kvs annotations;
	char *rdt; /* resctrl group, "<closID>" or "<closID>/mon_groups/<id>", "/" the root; NULL: none */
	char *systemd_scope; /* transient unit of the systemd cgroup manager; NULL: none */
	bool has_fifo;
	char *config_path;                      /* absolute; of the configuration that it was made from */
	unsigned preserve_fds;                  /* handed over at the start, from 3 on */
	int ns_flags;                           /* CLONE_NEW* that init has of its own */
	char *apparmor_profile, *selinux_label; /* of the container's process, for exec */
	struct skf_spec_process *process;       /* defaults of exec: env, caps, cwd, user, noNewPrivileges */
	struct skf_spec_linux *linux_;          /* memoryPolicy and personality, for exec; NULL: none */
	char boot_id[37];
	struct skf_cg_dirs cg; /* large, so last */
};
/* Loads state.json and finds the status by looking at the process and the cgroup. NOTFOUND "container 'x'
 * does not exist". */
int skf_rt_state_load(const struct skf_rt *rt, const char *id, struct skf_arena *a,
		      struct skf_rt_state **ret, struct skf_err *e);
/* The state document of runtime-spec (with runc's extra members rootfs, created, owner). */
void skf_rt_state_write(const struct skf_rt_state *s, struct skf_jw *w);
/* Ids under the root, sorted; entries that are not containers are left out. */
int skf_rt_list(const struct skf_rt *rt, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e);

/* Signal to init, or to all with `all`. NOTFOUND, CONFLICT "container not running". */
int skf_rt_kill(const struct skf_rt *rt, const char *id, int sig, bool all, struct skf_err *e);
/* --- a container that exists ---
 * Freezes all processes of a running or created container / lets a paused one go on. NOTFOUND; CONFLICT
 * "container not running" / "container not paused"; UNSUPPORTED without a cgroup. Block for the lock and for
 * 10 s. config-linux.md has no pause: runc's words. */
int skf_rt_pause(const struct skf_rt *rt, const char *id, struct skf_err *e);
int skf_rt_resume(const struct skf_rt *rt, const char *id, struct skf_err *e);
/* Host pids of all processes of the container, in the order of the kernel's list; arena memory. None for a
 * stopped one. */
int skf_rt_pids(const struct skf_rt *rt, const char *id, struct skf_arena *a, pid_t **ret, size_t *ret_n,
		struct skf_err *e);
struct skf_rt_update {
	const struct skf_spec_resources
		*resources;            /* what is set in it is changed, the rest stays; NULL: nothing */
	const char *l3_cache, *mem_bw; /* new schemata of the container's resctrl group; NULL */
};
/* New limits for a container that has not stopped. CONFLICT; otherwise as create fails on limits
 * (config-linux.md "Control groups"). */
int skf_rt_update(const struct skf_rt *rt, const char *id, const struct skf_rt_update *u, struct skf_err *e);
/* Mounts the list (struct skf_spec_mount) in a container that has not stopped, in its order; relative
 * sources are below the bundle. The first that fails ends it, those before it stay. Bind mounts and file
 * systems whose instance does not depend on the namespaces of the caller: UNSUPPORTED for proc, cgroup,
 * remount and what only mount(2) can do. remove: detaches what is mounted at their destinations, last one
 * first; a symbolic link on the way is refused (LOOP), so that the container cannot choose another mount.
 * CONFLICT for a stopped container. Both block for the container's lock, and add as long as the file systems
 * do, at most SKF_START_MS. */
int skf_rt_mounts_add(const struct skf_rt *rt, const char *id, const struct skf_jarr *mounts,
		      struct skf_err *e);
int skf_rt_mounts_remove(const struct skf_rt *rt, const char *id, const struct skf_jarr *mounts,
			 struct skf_err *e);
/* Writes the members of "data" of runc's stats event into an open object. CONFLICT for a stopped container.
 * Files that the kernel does not have are left out. Does not wait. */
int skf_rt_stats_write(const struct skf_rt *rt, const char *id, struct skf_jw *w, struct skf_err *e);
/* Out-of-memory events and the end of a container that has not stopped (else CONFLICT). */
struct skf_rt_events;
enum skf_rt_event { SKF_RT_EV_TIMEOUT, SKF_RT_EV_OOM, SKF_RT_EV_END };
int skf_rt_events_open(const struct skf_rt *rt, const char *id, struct skf_rt_events **ret,
		       struct skf_err *e);
/* Blocks up to timeout_ms (< 0: until something happens). enum skf_rt_event, or -1. */
int skf_rt_events_wait(struct skf_rt_events *x, int timeout_ms, struct skf_err *e);
void skf_rt_events_free(struct skf_rt_events *x);
/* Deletes a stopped container (any with force: SIGKILL first), runs poststop hooks (failures are warnings),
 * removes cgroup and state; works from the journal alone. With force a missing id is success. Idempotent,
 * may be called by two processes at once. */
int skf_rt_delete(const struct skf_rt *rt, const char *id, bool force, struct skf_err *e);
