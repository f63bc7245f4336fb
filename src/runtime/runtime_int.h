/* runtime/runtime_int.h -- what the files of runtime/ share. One start is one struct skf_start, prepared by
 * the parent, inherited by the child through clone3 (a copy), talking over one SOCK_SEQPACKET pair (sync.c).
 *
 * Who does what (P = parent before clone3, C = child = container init, p = parent after clone3), in this
 * order: P  skf_seccomp_prepare   compile or take from the cache           seccomp.c P  skf_cgroups_create
 * directories and limits, journaled        cgroups/ P  skf_rootfs_prepare    fds that need the host's view
 * rootfs.c P  clone3                new namespaces, INTO_CGROUP on v2        create.c p  uid/gid maps,
 * oom_score_adj, rlimits                           idmap.c, process.c p  cgroup attach (v1), mostly beside
 * the child's next two          cgroups/ C  joins, unshares what could not be in clone3 (cgroup ns last)
 * ns.c C  skf_rootfs_build      mounts, devices, links in the new root   rootfs.c mounts.c devices.c C
 * console               pty of the new devpts, fd to the parent  terminal.c p  hooks prestart, createRuntime
 * (after C said "built": hook authors may rely on the mounts, config.md)  hooks.c C  hooks createContainer
 * (container's namespaces, before pivot)   hooks.c C  skf_rootfs_enter      pivot_root / MS_MOVE rootfs.c C
 * skf_rootfs_finish     sysctl, masked, read-only, ro root       sysctl.c mask.c rootfs.c C
 * skf_process_apply     keyring, caps, ids, cwd, nnp, seccomp    process.c C  "ready", waits for go (socket
 * or exec.fifo), startContainer hooks, execve. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "runtime/runtime.h"
#include "sys/sched.h"
#include "sys/seccomp.h"
#include <fcntl.h>

#define SKF_NS_COUNT      8
#define SKF_MAX_RING_NAME (8 + 256) /* "_ses." and an id */

#define SKF_MAX_RDT_PATH 640 /* "<closID>/mon_groups/<id>" */

/* --- annotations.c: the table there says what each is --- */
enum skf_annotation_key {
	SKF_AN_SECCOMP_RECEIVER = 0,
	SKF_AN_SECCOMP_FAIL_UNKNOWN,
	SKF_AN_SECCOMP_BPF,
	SKF_AN_KEEP_GROUPS,
	SKF_AN_PIDFD_RECEIVER,
	SKF_AN_HOOKS_STDOUT,
	SKF_AN_HOOKS_STDERR,
	SKF_AN_MOUNT_CONTEXT_TYPE,
	SKF_AN_SYSTEMD_SUBGROUP,
	SKF_AN_DELEGATE_CGROUP,
	SKF_AN_FORCE_CGROUP_V1,
	SKF_AN_HANDLER
};
/* The value, borrowed; NULL when absent. */
const char *skf_annotation(const struct skf_kvs *a, enum skf_annotation_key which);
/* Present and not "0". */
bool skf_annotation_on(const struct skf_kvs *a, enum skf_annotation_key which);
/* All values that this runtime acts on. INVALID, UNSUPPORTED (a handler). */
int skf_annotations_check(const struct skf_kvs *a, struct skf_err *e);

/* --- seccomp_notify.c: the listener of a filter with SCMP_ACT_NOTIFY, from the child to the agent's socket
 * --- */
struct skf_listener {
	const char *path, *metadata; /* of the agent's socket, NULL: no listener; metadata may be NULL */
	int sock;                    /* connected to the agent already, or < 0 */
	bool sends;                  /* the child sends it: the filter lets it */
	int *fd; /* else a page shared by parent and child: the number in the child once the filter is
		    loaded, -1 before */
};
/* For the filter that will be loaded. INVALID without a path. */
int skf_listener_plan(struct skf_listener *l, const struct skf_bpf_prog *p, const char *path,
		      const char *metadata, struct skf_err *e);
/* For a filter that does not notify although the configuration names an agent: a listener when the agent is
 * there, else none. */
int skf_listener_offer(struct skf_listener *l, const struct skf_bpf_prog *p, const char *path,
		       const char *metadata, const struct skf_log *log, struct skf_err *e);
/* Child: loads the filter so that skf_listener_deliver gets the listener. -errno. */
int skf_listener_load_filter(const struct skf_listener *l, const struct skf_bpf_prog *p, int sync);
void skf_listener_done(struct skf_listener *l);
/* seccomp.listener beside seccomp.bpf: what exec needs. */
int skf_listener_save(int state_fd, const struct skf_listener *l, struct skf_err *e);
int skf_listener_load(int state_fd, struct skf_arena *a, const struct skf_bpf_prog *p,
		      struct skf_listener *l, struct skf_err *e);
/* Parent: waits until the child (pidfd, at the other end of sync) has loaded its filter, takes the listener
 * and sends it with the container process state to the agent (config-linux.md "The Container Process
 * State"). state: JSON of the container's state. */
int skf_listener_deliver(const struct skf_listener *l, int sync, int pidfd, pid_t pid,
			 const char *oci_version, const char *state, int timeout_ms, struct skf_err *e);

struct skf_start {
	const struct skf_rt *rt;
	const struct skf_rt_create *req;
	const struct skf_spec *spec;
	struct skf_arena *arena; /* lives as long as the start; children allocate from their copy */
	/* state */
	bool dir_made; /* by us: an engine may have made it for its own files */
	int state_fd;  /* directory <root>/<id>, O_RDONLY|O_DIRECTORY; -EBADF */
	/* cgroups/ */
	int cg_fd;           /* v2 directory for CLONE_INTO_CGROUP, or -EBADF */
	char *systemd_scope; /* unit that the cgroup belongs to; NULL: we made it ourselves */
	/* seccomp.c */
	struct skf_bpf_prog seccomp; /* n == 0: none; memory of the arena or a private mapping */
	/* rootfs.c */
	int root_fd;    /* O_PATH of the root directory as the host sees it, or the detached mount; -EBADF */
	int *mount_fds; /* per mount of the spec: user namespace of its id mapping, or -1 */
	int broker_fd;  /* socket to the process that opens sources of mounts; used when broker_pid > 0 */
	pid_t broker_pid; /* 0: none; made only for a user namespace (mount_broker.c) */
	int *sources; /* live_mounts.c, per mount of the spec: its tree if it is a bind mount; NULL: opened
			 when it is made */
	int proc_fd;  /* child: verified procfs handle of the container's own proc instance; -EBADF */
	bool userns;  /* the container has a user namespace of its own or joins one */
	uint64_t ns_new;  /* CLONE_NEW* made for this container */
	uint64_t ns_join; /* CLONE_NEW* joined by path */
	/* ns.c */
	int ns_fd[SKF_NS_COUNT]; /* handle of each joined namespace in the order of skf_ns_types; the one of
				    a new time namespace is /proc as the parent sees it; -EBADF */
	int own_pidns; /* the caller's pid namespace, to return to after a clone into a joined one; -EBADF */
	/* create.c */
	const struct skf_spec_process *process; /* the spec's */
	int sync[2];    /* the parent's and the child's end of the sync socket; each closes the other's */
	bool ns_joined; /* the child was born in the joined namespaces */
	int go_fifo, err_fifo; /* exec.fifo and answer/exec.fifo when start is another process's; -EBADF */
	/* seccomp_notify.c: only when the filter notifies */
	struct skf_listener listener;
	/* hooks.c: files of run.oci.hooks.stdout and .stderr for the hooks that the child runs; -EBADF */
	int hook_out, hook_err;
	/* rdt.c: resctrl group of the container, "" none; rdt_made: what this start made of it, for its undo
	 */
	unsigned rdt_made;
	char rdt[SKF_MAX_RDT_PATH];
	struct skf_cg_dirs cg; /* used == 0: no cgroup. Large, so last: a field within 128 bytes takes an
				  instruction 3 bytes less */
};

/* --- begin.c: create and restore --- */
struct skf_start
skf_begin(const struct skf_rt *rt,
	  const struct skf_rt_create *q); /* nothing done yet; the arena is the caller's to set */
/* The handle for the new container; as the request asks, its maker becomes a child subreaper. NULL: no
 * memory. */
struct skf_rt_container *skf_begin_handle(const struct skf_rt *rt, const struct skf_rt_create *q,
					  struct skf_err *e);
int skf_begin_dir(struct skf_start *s,
		  struct skf_err *e); /* the state directory, locked; CONFLICT when the id is in use */
void skf_begin_undo_dir(struct skf_start *s);
void skf_begin_undo_cgroup(struct skf_start *s);

/* --- journal.c: one line per resource, appended and never rewritten: "cgroup <mode> <path>", "scope
 * <unit>", "rdt <group>", "pid <pid> <start> <boot id>" --- */
int skf_journal_add(int state_fd, const char *fmt, ...) SKF_PRINTF(2, 3); /* -errno */
struct skf_journal {
	bool has_cgroup;
	char cgroup[512];
	pid_t pid; /* 0: none */
	uint64_t pid_start;
	char boot_id[37];
	char scope[256];            /* "scope <unit>": transient unit of the systemd manager; "" none */
	char rdt[SKF_MAX_RDT_PATH]; /* "rdt <path below the resctrl mount>"; "" none */
};
/* What the journal names; a last line that was cut by a crash is left out, unknown lines are ignored.
 * -ENOENT without a journal. */
int skf_journal_load(int state_fd, struct skf_journal *ret);
void skf_journal_parse(const char *text, size_t n, struct skf_journal *ret);

/* --- sync.c: fixed-size records on a SOCK_SEQPACKET pair; after a seccomp filter is loaded only read(2) and
 * write(2) are used --- */
enum skf_step {
	SKF_STEP_SETUP = 1,
	SKF_STEP_CONSOLE,
	SKF_STEP_BUILT,
	SKF_STEP_HOOKED,
	SKF_STEP_READY,
	SKF_STEP_GO,
	SKF_STEP_FAILED,
	SKF_STEP_SECCOMP, /* child: the next is the load of a filter that notifies */
	SKF_STEP_ATTACHED /* parent: the child is in its cgroups (skf_cgroups_late) */
};
const char *skf_step_name(enum skf_step s);
/* fd: borrowed, travels along; -1 none. -errno. */
int skf_sync_send(int sock, enum skf_step step, int fd);
/* Tells the peer why this side gives up. Works on the sync socket and on the answer's fifo. */
void skf_sync_fail(int sock, const struct skf_err *e);
/* Parent: waits for one record of the child. The child's own failure comes back as its sentence. ret_fd may
 * be NULL. */
int skf_sync_expect(int sock, enum skf_step want, int timeout_ms, int *ret_fd, struct skf_err *e);
/* Parent: until the other end is closed by execve (0) or reports a failure (-1). */
int skf_sync_wait_exec(int fd, int timeout_ms, struct skf_err *e);
/* Child: waits for the parent; its death is -EPIPE. */
int skf_sync_await(int sock, enum skf_step want);
bool skf_sync_peer_gone(int sock);

/* --- ns.c --- */
struct skf_ns_type {
	uint64_t flag;
	const char *oci, *proc; /* name in config.json and in /proc/<pid>/ns */
};
extern const struct skf_ns_type skf_ns_types[SKF_NS_COUNT]; /* user first */
/* Parent: opens and checks the namespaces joined by path, fills ns_new, ns_join, userns, ns_fd. */
int skf_ns_plan(struct skf_start *s, struct skf_err *e);
void skf_ns_close(struct skf_start *s);
/* clone3 as the plan demands: 0 in the child, which then calls skf_ns_join; pid in the parent; -1. */
pid_t skf_ns_clone(struct skf_start *s, int *ret_pidfd, struct skf_err *e);
/* Child: enters the joined namespaces (the pid namespace was the parent's business). */
int skf_ns_join(struct skf_start *s, struct skf_err *e);
/* Child, after the parent's SETUP: becomes root of the user namespace, cgroup namespace, host name,
 * loopback. */
int skf_ns_finish(struct skf_start *s, struct skf_err *e);

/* --- idmap.c --- */
int skf_idmap_write(pid_t pid, const struct skf_jarr *uids, const struct skf_jarr *gids, struct skf_err *e);

/* --- idmap_default.c: parent, a new user namespace for which the configuration has no mappings: replaces
 * s->spec by a copy that has some --- */
int skf_idmap_default(struct skf_start *s, struct skf_err *e);

/* --- sched.c: scheduler, ioPriority, execCPUAffinity (config.md "process") --- */
/* Parent: scheduler and ioPriority of process pid; exec: those of the container's own process where `p`
 * names none. container may be NULL, here and below. */
int skf_sched_apply(pid_t pid, const struct skf_spec_process *p, const struct skf_spec_process *container,
		    struct skf_err *e);
/* exec: `initial` on the process that makes the new one, before the clone (0: absent or done); back: after
 * the clone. `final` in the child, in its cgroup. */
int skf_affinity_initial(const struct skf_spec_process *p, const struct skf_spec_process *container,
			 const struct skf_log *log, struct skf_idset *saved, struct skf_err *e);
void skf_affinity_back(const struct skf_idset *saved, const struct skf_log *log);
int skf_affinity_final(const struct skf_spec_process *p, const struct skf_spec_process *container,
		       struct skf_err *e);
/* init, in its cgroup: all CPUs that the cgroup allows. */
void skf_affinity_reset(void);

/* --- timens.c: a new time namespace; proc_fd is /proc as skf_timens_prepare, in the parent, opened it (-1:
 * error) --- */
int skf_timens_prepare(struct skf_err *e);
/* For the caller's future children, with the offsets (struct skf_spec_time_offset); then for the caller
 * itself. */
int skf_timens_unshare(int proc_fd, const struct skf_jarr *offsets, struct skf_err *e);
int skf_timens_enter(int proc_fd, struct skf_err *e);

/* --- mempolicy.c, child: linux.memoryPolicy and linux.personality --- */
int skf_mempolicy_apply(const struct skf_spec_linux *l, struct skf_err *e);
int skf_personality_apply(const struct skf_spec_linux *l, struct skf_err *e);

/* --- rdt.c: linux.intelRdt over resctrl --- */
int skf_rdt_prepare(struct skf_start *s, struct skf_err *e); /* parent, before the clone; journaled */
int skf_rdt_attach(const struct skf_start *s, pid_t pid, struct skf_err *e);
void skf_rdt_undo(const struct skf_start *s); /* failed start */
/* delete: `group` of the journal; "" does nothing. */
int skf_rdt_remove(const char *group, struct skf_err *e);
/* exec: `group` of the state (skf_rt_state.rdt); NULL and "" do nothing. */
int skf_rdt_join(const char *group, pid_t pid, struct skf_err *e);
/* update: writes the schemata of the group; l3 and mb may be NULL. INVALID when the container has no group.
 */
int skf_rdt_update(const char *group, const char *l3, const char *mb, struct skf_err *e);

/* --- netdev.c: linux.netDevices: parent, after the clone and before SETUP --- */
int skf_netdev_move(const struct skf_start *s, pid_t pid, struct skf_err *e);

/* --- rlimit.c: the parent raises what only it may, the child sets the values --- */
int skf_rlimits_raise(pid_t pid, const struct skf_spec_process *p, struct skf_err *e);
int skf_rlimits_apply(const struct skf_spec_process *p, struct skf_err *e);
const char *skf_rlimit_name(int type); /* state_save.c: "RLIMIT_NOFILE" */
int skf_oom_score_apply(pid_t pid, const struct skf_spec_process *p, struct skf_err *e);

/* --- lsm.c: AppArmor and SELinux labels of the next execve --- */
int skf_lsm_check(const struct skf_spec_process *p, struct skf_err *e);
int skf_lsm_apply(const struct skf_spec_process *p, struct skf_err *e);

/* --- terminal.c --- */
/* Parent: the console socket, connected; -1 with the error set. */
int skf_console_connect(const char *path, struct skf_err *e);
int skf_console_send(int sock, int master, struct skf_err *e);
/* The same for any socket: `what` names it in messages. */
int skf_unix_connect(const char *path, int type, const char *what, struct skf_err *e);
/* LF written to the pty reaches the master as LF. */
int skf_terminal_keep_lf(int pty, struct skf_err *e);
/* Child: makes peer stdio and the controlling terminal. */
int skf_terminal_adopt(int peer, struct skf_err *e);
/* Child: stdio[i] >= 0 becomes i. */
int skf_stdio_apply(const int stdio[3], struct skf_err *e);
/* Child: stdio that is not the user's yet is given to uid (pipes, with gid, and ttys, so that /dev/stdout
 * can be opened again). */
void skf_stdio_chown(uint32_t uid, uint32_t gid, const struct skf_log *log);

/* --- exec_lookup.c --- */
/* Which file execve gets: args[0] with a slash as it is, else the first executable regular file along PATH
 * of env. Looked up with the caller's root, cwd and effective ids. ECMD_NOTFOUND / ECMD_NOTEXEC in runc's
 * words. */
int skf_exec_lookup(const struct skf_spec_process *p, char *out, size_t size, struct skf_err *e);
/* The sentence for a failed execve of path. Always -1. */
int skf_exec_failed(const char *arg0, const char *path, int err, struct skf_err *e);

/* --- handle (create.c, exec.c, wait.c) --- */
struct skf_rt_container {
	struct skf_rt rt;
	char *id;
	pid_t pid;
	int pidfd, sync, console;
	bool fifo, exec, reaped, sister, keep_dir;
	int status;                  /* wait status once reaped */
	const struct skf_spec *spec; /* NULL for exec */
	char *state_json;            /* state document for poststart, status running */
	char *bundle;                /* cwd of poststart hooks; with state_json only */
	int hooks_ms;                /* sum of the time-outs of startContainer */
	struct skf_cg_dirs cg;       /* large, so last */
};
struct skf_rt_container *skf_rt_container_new(const char *id); /* NULL: no memory */
/* Replaces the pid file (path may be NULL: none). */
int skf_pid_file(const char *path, pid_t pid, struct skf_err *e);
int skf_rt_kill_and_reap(struct skf_rt_container *c);
/* Removes the runtime's own files of a state directory that stays (keep_dir). -errno of the first that
 * cannot be removed. */
int skf_state_clear(int state_fd);

/* --- state.c --- */
/* Takes the container's lock (flock on its directory: no file to be left over, gone with the process).
 * -ETIMEDOUT, -ENOENT. */
int skf_state_lock(const struct skf_rt *rt, const char *id, int timeout_ms);
int skf_state_check_id(const char *id, struct skf_err *e);
struct skf_state_in { /* what create knows */
	const struct skf_start *s;
	const char *id, *created, *boot_id;
	pid_t pid;
	uint64_t pid_start;
};
int skf_state_save(const struct skf_state_in *in, struct skf_err *e);
/* The state document of runtime-spec, as hooks get it. malloc'ed; NULL: no memory. */
char *skf_state_doc(const struct skf_start *s, const char *id, const char *status, pid_t pid);
/* poststart, poststop and startContainer hooks as saved. */
struct skf_state_hooks {
	struct skf_jarr poststart, poststop, start_container;
};
enum {
	SKF_STATE_LOCKED = 1, /* the caller holds the container's lock on state_fd */
	SKF_STATE_BRIEF = 2   /* without process and linux_ (and the labels that come from them) */
};
/* how: SKF_STATE_*. hooks may be NULL. */
int skf_state_load_full(const struct skf_rt *rt, int state_fd, unsigned how, const char *id,
			struct skf_arena *a, struct skf_rt_state **ret, struct skf_state_hooks *hooks,
			struct skf_err *e);
/* For what changes a container that exists: its directory, locked (within SKF_LOCK_MS), and its state. -1:
 * NOTFOUND, or by errno. */
int skf_state_take(const struct skf_rt *rt, const char *id, struct skf_arena *a, struct skf_rt_state **ret,
		   struct skf_state_hooks *hooks, struct skf_err *e);
/* The directory <root>/<id>, which state_fd is, with all that is in it. -errno. */
int skf_state_remove(const struct skf_rt *rt, int state_fd, const char *id);
/* seccomp.bpf beside state.json: the program that exec loads. */
int skf_state_save_bpf(int state_fd, const struct skf_bpf_prog *p, struct skf_err *e);
int skf_state_load_bpf(int state_fd, struct skf_arena *a, struct skf_bpf_prog *ret, struct skf_err *e);
int skf_hooks_timeout(const struct skf_jarr *hooks); /* sum, ms */

/* --- seccomp.c / cgroups/ --- */
int skf_seccomp_prepare(struct skf_start *s, struct skf_err *e);
/* The same for exec and for --compile-seccomp: program of a profile through the cache below rt->root; NULL
 * profile gives n = 0. */
int skf_seccomp_program(const struct skf_rt *rt, const struct skf_spec_seccomp *p, struct skf_arena *a,
			struct skf_bpf_prog *ret, struct skf_err *e);
int skf_cgroups_create(struct skf_start *s,
		       struct skf_err *e); /* fills cg and cg_fd; applies resources; journaled first */
/* No-op when CLONE_INTO_CGROUP did all of it. With the systemd manager the scope, which cannot exist without
 * a process, is made here, and with it cg. */
int skf_cgroups_attach(struct skf_start *s, pid_t pid, struct skf_err *e);
/* The same in two parts where skf_cgroups_late: all hierarchies but the one of memory; that one, when init
 * is ready. */
int skf_cgroups_attach_late(const struct skf_start *s, pid_t pid, bool ready, struct skf_err *e);
int skf_cgroups_undo(const struct skf_cg_dirs *d, struct skf_err *e); /* kill all, rmdir */
/* Is the attach to be done while the child builds its root file system? The write to cgroup.procs waits for
 * an RCU grace period (milliseconds), the mounts for nobody. Not where the child's part needs the cgroup:
 * its namespace, hooks, tmpcopyup, a scope. */
bool skf_cgroups_late(const struct skf_start *s);
/* After READY, when init has its cgroup namespace: run.oci.delegate-cgroup, else nothing. */
int skf_cgroups_delegate(const struct skf_start *s, pid_t pid, struct skf_err *e);
/* Ends the transient unit of a container whose processes are dead or may be killed. A unit that is gone is
 * success. */
int skf_cgroups_stop_scope(const struct skf_rt *rt, const char *scope, struct skf_err *e);
/* update: only what r sets is changed; without device rules those in force stay. UNSUPPORTED for a container
 * without a cgroup. When a limit is refused those before it are in force already. Blocks on cgroupfs, with
 * the systemd manager SKF_DBUS_CALL_MS too. */
int skf_cgroups_update(const struct skf_rt *rt, const struct skf_rt_state *st,
		       const struct skf_spec_resources *r, struct skf_err *e);
/* exec: into the cgroup that init is in now (sub: path below it or NULL); *ret_cg_fd for CLONE_INTO_CGROUP,
 * -1 when attach by pid is needed. */
int skf_cgroups_for_exec(const struct skf_rt_state *st, const char *sub, struct skf_cg_dirs *ret,
			 int *ret_cg_fd, struct skf_err *e);
/* exec_cgroup.c: checks the words of exec --cgroup / moves pid to where they say, every other hierarchy to
 * the container's own cgroup. INVALID "bad sub cgroup path", "unknown controller"; by errno "adding pid ...
 * to cgroups". */
int skf_exec_cgroups_check(const struct skf_rt_state *st, const struct skf_strv *subs, struct skf_err *e);
int skf_exec_cgroups_attach(const struct skf_rt_state *st, const struct skf_strv *subs, pid_t pid,
			    struct skf_err *e);
/* ... and the attach by pid. A plain user who may not move processes out of his session asks his systemd to
 * do it. */
int skf_cgroups_attach_exec(const struct skf_rt *rt, const struct skf_rt_state *st,
			    const struct skf_cg_dirs *d, pid_t pid, struct skf_err *e);

/* --- rootfs.c, mounts.c, devices.c, mask.c, sysctl.c --- */
int skf_rootfs_prepare(struct skf_start *s, struct skf_err *e);
int skf_rootfs_build(struct skf_start *s, struct skf_err *e);
/* Lets go of the broker; the parent also waits for its end. No broker: does nothing. */
void skf_sources_release(struct skf_start *s, bool is_parent);
/* /dev/console from a pty peer that was opened in the container's devpts. */
int skf_rootfs_console(struct skf_start *s, int pty_peer, struct skf_err *e);
/* The container's /dev/pts directory (O_PATH in the new root); -errno when there is none. */
int skf_rootfs_ptsdir(struct skf_start *s);
int skf_rootfs_enter(struct skf_start *s, struct skf_err *e);
int skf_rootfs_finish(struct skf_start *s, struct skf_err *e);

/* --- process.c (create and exec) --- */
struct skf_proc_setup {
	const struct skf_spec_process *p;
	const struct skf_bpf_prog *seccomp;
	bool userns, new_keyring;
	const char *keyring_name;
	int pdeathsig;
	unsigned preserve_fds;
	int setgroups_ok;                    /* 0 when the user namespace forbids setgroups */
	bool keep_groups;                    /* run.oci.keep_original_groups */
	const struct skf_listener *listener; /* the filter is loaded before READY and its listener goes to
						the parent; NULL: no listener */
	int sync;                            /* for SKF_STEP_SECCOMP */
	const struct skf_log *log;
};
/* create, while the root can still be written to: a missing cwd is made. */
int skf_process_make_cwd(const struct skf_spec_process *p, struct skf_err *e);
/* In the child, inside the container. Order: keyring, bounding set, ids, cwd checked to be inside the root,
 * the program looked up into path, limits, no_new_privs, seccomp (here or in skf_process_seal, as privileges
 * demand), capabilities. */
int skf_process_apply(const struct skf_proc_setup *x, char *path, size_t path_size, struct skf_err *e);
/* The rest, right before startContainer hooks and execve: the filter, when the process may still load it
 * then (no_new_privs or CAP_SYS_ADMIN). */
int skf_process_seal(const struct skf_proc_setup *x, struct skf_err *e);

/* --- init.c --- */
SKF_NORETURN void skf_init_run(struct skf_start *s);
/* Last part, shared with exec: `x` applied, look-up, READY, wait, hooks, seccomp, execve. Returns only on
 * failure. */
struct skf_init_tail {
	struct skf_proc_setup setup;
	int sync, go_fifo, err_fifo;        /* -EBADF: none */
	const struct skf_jarr *start_hooks; /* NULL: none */
	int hook_out, hook_err;             /* -EBADF: quoted when the hook fails */
	const char *state_json;
	struct skf_arena *arena;
};
int skf_init_tail(struct skf_init_tail *t, struct skf_err *e);
/* Closes every descriptor from 3 + preserve on but keep[0..n). */
int skf_init_close_fds(unsigned preserve, const int *keep, unsigned n);

/* --- hooks.c --- */
struct skf_hook_ctx {
	const struct skf_log *log;
	const char *cwd;  /* NULL: the caller's */
	char *const *env; /* of hooks that name none; NULL: the caller's */
	int out, err;     /* stdout and stderr; < 0: kept, and quoted when the hook fails */
};
/* Runs each hook with the state document on stdin; a non-zero exit or time-out fails with the hook's path.
 */
int skf_hooks_run_in(const struct skf_hook_ctx *x, const struct skf_jarr *hooks, const char *name,
		     const char *state_json, struct skf_err *e);
/* The same where neither bundle nor annotations are known. */
int skf_hooks_run(const struct skf_jarr *hooks, const char *name, const char *state_json,
		  const struct skf_log *log, struct skf_err *e);
/* The files of run.oci.hooks.stdout and .stderr; -EBADF where there is none. The caller closes. */
int skf_hooks_open(const struct skf_kvs *annotations, int *ret_out, int *ret_err, struct skf_err *e);
/* Hooks of the runtime's own namespaces: in the bundle, output as the annotations say. */
int skf_hooks_run_host(const struct skf_kvs *annotations, const char *bundle, const struct skf_jarr *hooks,
		       const char *name, const char *state_json, const struct skf_log *log,
		       struct skf_err *e);
/* All poststop hooks; a failing one is a warning (runtime.md, lifecycle 13). */
void skf_hooks_poststop(const struct skf_kvs *annotations, const char *bundle, const struct skf_jarr *hooks,
			const char *state_json, const struct skf_log *log);

/* --- notify.c: NOTIFY_SOCKET of sd_notify(3) --- */
#define SKF_NOTIFY_DIR "notify" /* below the state directory: what the container gets by a mount */
#define SKF_NOTIFY_ELSEWHERE                                                                                \
	"/run/notify" /* where, if the host's socket is abstract, or too long for another name behind it */
/* When the request has a notify socket: directory, mount and environment. Replaces s->spec by a copy with
 * both. */
int skf_notify_prepare(struct skf_start *s, struct skf_err *e);
/* The directory alone. */
int skf_notify_make_dir(const struct skf_start *s, struct skf_err *e);
