/* sys/process.h -- clone3, pidfd, namespaces, ids, capabilities, rlimits, keyrings: one kernel call each,
 * -errno on failure. */
#pragma once
#include "base/fwd.h"
#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

struct skf_clone {
	uint64_t flags;  /* CLONE_NEW*, CLONE_PARENT; CLONE_PIDFD and (cgroup_fd >= 0) CLONE_INTO_CGROUP are
			    added */
	int exit_signal; /* SIGCHLD; must be 0 with CLONE_PARENT */
	int cgroup_fd;   /* v2 directory or -1 */
};
/* fork-like (no CLONE_VM): returns 0 in the child, pid in the parent with *ret_pidfd set (CLOEXEC). The
 * caller has no threads. man 2 clone3. */
pid_t skf_clone3(const struct skf_clone *c, int *ret_pidfd);
int skf_pidfd_open(pid_t pid);
int skf_pidfd_kill(int pidfd, int sig);
int skf_setns(int fd, int nstype);
int skf_unshare(int flags);
int skf_sethostname(const char *name);
int skf_setdomainname(const char *name);

/* Credentials of the calling thread by raw system calls (no NPTL broadcast: the process has one thread). */
int skf_setgroups(const gid_t *g, size_t n);
int skf_setresuid(uid_t uid);
int skf_setresgid(gid_t gid);
int skf_keep_caps(bool on);
int skf_no_new_privs(void);
int skf_set_pdeathsig(int sig);
int skf_set_dumpable(bool on);
int skf_set_subreaper(void);
int skf_setrlimit(pid_t pid, int resource, uint64_t soft, uint64_t hard);
int skf_getrlimit(pid_t pid, int resource, uint64_t *soft, uint64_t *hard);
int skf_new_session_keyring(const char *name); /* KEYCTL_JOIN_SESSION_KEYRING */
int skf_set_personality(unsigned long p);

/* --- capabilities; masks: bit n = capability n. man 7 capabilities --- */
int skf_cap_parse(const char *name);      /* "CAP_CHOWN", "chown": number, or -EINVAL */
const char *skf_cap_name(unsigned cap);   /* "CAP_CHOWN"; NULL when unknown to us */
int skf_cap_last(void);                   /* of the running kernel (PR_CAPBSET_READ probe); -errno */
int skf_cap_drop_bounding(uint64_t keep); /* drops every capability that is not in keep */
int skf_cap_set(uint64_t effective, uint64_t permitted, uint64_t inheritable);
int skf_cap_get(uint64_t *effective, uint64_t *permitted, uint64_t *inheritable);
int skf_cap_set_ambient(uint64_t ambient); /* clears all, raises these */

/* --- terminals --- */
/* A pty of the devpts instance mounted on the directory fd ptsdir ("/dev/pts" of the container): opens ptmx
 * there, unlocks, opens the peer with TIOCGPTPEER. Both CLOEXEC|NOCTTY. */
int skf_pty_open(int ptsdir, int *ret_master, int *ret_peer);
int skf_tty_set_size(int fd, unsigned rows, unsigned cols);
int skf_tty_get_size(int fd, unsigned *rows, unsigned *cols);
int skf_tty_make_controlling(int fd); /* TIOCSCTTY; the caller is a session leader */

/* --- network: the loopback of the calling task's network namespace --- */
int skf_net_loopback_up(void);
