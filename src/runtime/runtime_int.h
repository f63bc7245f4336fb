/* runtime/runtime_int.h -- what the files of runtime/ share. One start is one struct skf_start, prepared by the parent, inherited by the child
 * through clone3 (a copy), talking over one SOCK_SEQPACKET pair (sync.c).
 *
 * Who does what (P = parent before clone3, C = child = container init, p = parent after clone3), in this order:
 *   P  skf_seccomp_prepare   compile or take from the cache           seccomp.c
 *   P  skf_cgroups_create    directories and limits, journaled        cgroups/
 *   P  skf_rootfs_prepare    fds that need the host's view            rootfs.c
 *   P  clone3                new namespaces, INTO_CGROUP on v2        create.c
 *   p  uid/gid maps, cgroup attach (v1), oom_score_adj, rlimits       idmap.c, cgroups/, process.c
 *   C  joins, unshares what could not be in clone3 (cgroup ns last)   ns.c
 *   p  hooks prestart, createRuntime (after C said "namespaces")      hooks.c
 *   C  skf_rootfs_build      mounts, devices, links in the new root   rootfs.c mounts.c devices.c
 *   C  console               pty of the new devpts, fd to the parent  terminal.c
 *   C  hooks createContainer (container's namespaces, before pivot)   hooks.c
 *   C  skf_rootfs_enter      pivot_root / MS_MOVE                     rootfs.c
 *   C  skf_rootfs_finish     sysctl, masked, read-only, ro root       sysctl.c mask.c rootfs.c
 *   C  skf_process_apply     keyring, caps, ids, cwd, nnp, seccomp    process.c
 *   C  "ready", waits for go (socket or exec.fifo), startContainer hooks, execve. */
#pragma once
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/log.h"
#include "runtime/runtime.h"
#include "sys/seccomp.h"

struct skf_start {
	const struct skf_rt *rt;
	const struct skf_rt_create *req;
	const struct skf_spec *spec;
	struct skf_arena *arena;      /* lives as long as the start; children allocate from their copy */
	/* state */
	int state_fd;                 /* directory <root>/<id>, O_RDONLY|O_DIRECTORY; -EBADF */
	/* cgroups/ */
	struct skf_cg_dirs cg;        /* used == 0: no cgroup */
	int cg_fd;                    /* v2 directory for CLONE_INTO_CGROUP, or -EBADF */
	/* seccomp.c */
	struct skf_bpf_prog seccomp;  /* n == 0: none; memory of the arena or a private mapping */
	/* rootfs.c */
	int root_fd;                  /* O_PATH of the root directory as the host sees it, or the detached mount; -EBADF */
	int *mount_fds;               /* per mount of the spec: source fd opened by the parent, or -1 */
	int proc_fd;                  /* child: verified procfs handle of the container's own proc instance; -EBADF */
	bool userns;                  /* the container has a user namespace of its own or joins one */
	uint64_t ns_new;              /* CLONE_NEW* made for this container */
	uint64_t ns_join;             /* CLONE_NEW* joined by path */
};

/* --- journal.c: one line per resource, appended and never rewritten: "cgroup <mode> <path>", "pid <pid> <start>", ... --- */
int skf_journal_add(int state_fd, const char *fmt, ...) SKF_PRINTF(2, 3); /* -errno */

/* --- seccomp.c / cgroups/ --- */
int skf_seccomp_prepare(struct skf_start *s, struct skf_err *e);
/* The same for exec and for --compile-seccomp: program of a profile through the cache below rt->root; NULL profile gives n = 0. */
int skf_seccomp_program(const struct skf_rt *rt, const struct skf_spec_seccomp *p, struct skf_arena *a, struct skf_bpf_prog *ret,
                        struct skf_err *e);
int skf_cgroups_create(struct skf_start *s, struct skf_err *e);      /* fills cg and cg_fd; applies resources; journaled first */
int skf_cgroups_attach(const struct skf_start *s, pid_t pid, struct skf_err *e); /* no-op when CLONE_INTO_CGROUP did all of it */
int skf_cgroups_undo(const struct skf_cg_dirs *d, struct skf_err *e); /* kill all, rmdir */
/* exec: into the cgroup that init is in now (sub: path below it or NULL); *ret_cg_fd for CLONE_INTO_CGROUP, -1 when attach by pid is needed. */
int skf_cgroups_for_exec(const struct skf_rt_state *st, const char *sub, struct skf_cg_dirs *ret, int *ret_cg_fd, struct skf_err *e);

/* --- rootfs.c, mounts.c, devices.c, mask.c, sysctl.c --- */
int skf_rootfs_prepare(struct skf_start *s, struct skf_err *e);
int skf_rootfs_build(struct skf_start *s, struct skf_err *e);
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
	int setgroups_ok;  /* 0 when the user namespace forbids setgroups */
	const struct skf_log *log;
};
/* In the child, inside the container: rlimits were set by the parent. Order: keyring, bounding set, ids, capabilities, no_new_privs and
 * seccomp (before or after as privileges demand), cwd checked to be inside the root. */
int skf_process_apply(const struct skf_proc_setup *x, struct skf_err *e);
/* execve with PATH look-up inside the container; returns only on failure: ECMD_NOTFOUND / ECMD_NOTEXEC with the reason found (missing interpreter of a
 * script or ELF file is named). */
int skf_process_exec(const struct skf_spec_process *p, struct skf_err *e);

/* --- hooks.c --- */
/* Runs each hook with the state document on stdin; a non-zero exit or time-out fails with the hook's path. */
int skf_hooks_run(const struct skf_jarr *hooks, const char *name, const char *state_json, const struct skf_log *log, struct skf_err *e);
