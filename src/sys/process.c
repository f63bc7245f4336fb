/* sys/process.c -- clone3, pidfd, namespaces, credentials, limits and keyrings. One kernel call per
 * function.
 *
 * Credentials are changed by raw system calls: the C library's wrappers broadcast to all threads by signals,
 * which takes locks that a clone3 child may have inherited held. Nothing here blocks. */
#include "sys/process.h"

#include <linux/keyctl.h>
#include <linux/sched.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef CLONE_INTO_CGROUP
#define CLONE_INTO_CGROUP 0x200000000ULL
#endif

pid_t skf_clone3(const struct skf_clone *c, int *ret_pidfd)
{
	int pidfd = -EBADF;
	struct clone_args a = {
		.flags = c->flags | CLONE_PIDFD,
		.pidfd = (uint64_t)(uintptr_t)&pidfd,
		.exit_signal = (uint64_t)c->exit_signal,
	};
	if (c->cgroup_fd >= 0) {
		a.flags |= CLONE_INTO_CGROUP;
		a.cgroup = (uint64_t)c->cgroup_fd;
	}
	long pid = syscall(SYS_clone3, &a, sizeof(a));
	if (pid < 0)
		return skf_errno();
	if (pid > 0) {
		if (ret_pidfd)
			*ret_pidfd = pidfd;
		else
			close(pidfd);
	}
	return (pid_t)pid;
}

int skf_pidfd_open(pid_t pid)
{
	return skf_sys(syscall(SYS_pidfd_open, pid, 0)); /* CLOEXEC by definition */
}

int skf_pidfd_kill(int pidfd, int sig)
{
	return skf_sys(syscall(SYS_pidfd_send_signal, pidfd, sig, NULL, 0));
}

int skf_setns(int fd, int nstype)
{
	return skf_sys(setns(fd, nstype));
}

int skf_unshare(int flags)
{
	return skf_sys(unshare(flags));
}

int skf_sethostname(const char *name)
{
	return skf_sys(sethostname(name, strlen(name)));
}

int skf_setdomainname(const char *name)
{
	return skf_sys(setdomainname(name, strlen(name)));
}

int skf_setgroups(const gid_t *g, size_t n)
{
	return skf_sys(syscall(SYS_setgroups, n, g));
}

int skf_setresuid(uid_t uid)
{
	return skf_sys(syscall(SYS_setresuid, uid, uid, uid));
}

int skf_setresgid(gid_t gid)
{
	return skf_sys(syscall(SYS_setresgid, gid, gid, gid));
}

int skf_keep_caps(bool on)
{
	return skf_sys(prctl(PR_SET_KEEPCAPS, on ? 1L : 0L, 0L, 0L, 0L));
}

int skf_no_new_privs(void)
{
	return skf_sys(prctl(PR_SET_NO_NEW_PRIVS, 1L, 0L, 0L, 0L));
}

int skf_set_pdeathsig(int sig)
{
	return skf_sys(prctl(PR_SET_PDEATHSIG, (long)sig, 0L, 0L, 0L));
}

int skf_set_dumpable(bool on)
{
	return skf_sys(prctl(PR_SET_DUMPABLE, on ? 1L : 0L, 0L, 0L, 0L));
}

int skf_set_subreaper(void)
{
	return skf_sys(prctl(PR_SET_CHILD_SUBREAPER, 1L, 0L, 0L, 0L));
}

int skf_setrlimit(pid_t pid, int resource, uint64_t soft, uint64_t hard)
{
	struct rlimit64 l = {.rlim_cur = soft, .rlim_max = hard};

	return skf_sys(syscall(SYS_prlimit64, pid, resource, &l, NULL));
}

int skf_getrlimit(pid_t pid, int resource, uint64_t *soft, uint64_t *hard)
{
	struct rlimit64 l;
	int r = skf_sys(syscall(SYS_prlimit64, pid, resource, NULL, &l));

	if (r < 0)
		return r;
	*soft = l.rlim_cur;
	*hard = l.rlim_max;
	return 0;
}

int skf_new_session_keyring(const char *name)
{
	return skf_sys(syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name, 0, 0, 0));
}

int skf_set_personality(unsigned long p)
{
	return skf_sys(personality(p));
}
