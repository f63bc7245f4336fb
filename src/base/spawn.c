/* base/spawn.c -- start a program: clone(CLONE_VM | CLONE_VFORK) on a stack of its own.
 * Theory: the child borrows our memory until execve, so that nothing is copied and its failure comes back as
 * a plain store to struct child; the parent sleeps meanwhile. In exchange the child (1) runs with every
 * signal blocked until all handlers are reset, (2) allocates nothing, takes no lock and changes no memory
 * but its own, (3) leaves by returning, never by exit handlers. Order of the fds: all sources are first
 * moved above the highest target, so that placing one never overwrites another; then each is put on its
 * number (dup2 clears CLOEXEC) and everything above is closed. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/proc.h"
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define STACK_SIZE (64u << 10)
#define GUARD_SIZE (16u << 10)

struct child {
	const struct skf_spawn *s;
	char *const *envp;
	int *fds; /* 3 + n_fds sources, in the order of their targets */
	unsigned n;
	pid_t parent;
	int err; /* written by the child: positive errno of the failing step */
};

static int place_fds(struct child *c)
{
	for (unsigned i = 0; i < c->n; i++) {
		c->fds[i] = fcntl(c->fds[i], F_DUPFD_CLOEXEC, (int)c->n);
		if (c->fds[i] < 0)
			return -1;
	}
	for (unsigned i = 0; i < c->n; i++)
		if (dup2(c->fds[i], (int)i) < 0)
			return -1;
	return close_range(c->n, ~0U, 0);
}

int skf_signals_default(void)
{
	/* The kernel's own struct sigaction (handler, flags, restorer, mask) in zeros is SIG_DFL; by system
	 * call, because the C library's function refuses its own two signals, which an ancestor may have
	 * ignored all the same. */
	const unsigned long dfl[8] = {0};
	const unsigned long none[1] = {0};

	for (int sig = 1; sig < _NSIG; sig++)
		(void)syscall(SYS_rt_sigaction, sig, dfl, NULL,
			      sizeof(none)); /* refused for KILL and STOP only */
	return skf_sys(syscall(SYS_rt_sigprocmask, SIG_SETMASK, none, NULL, sizeof(none)));
}

static int prepare(struct child *c)
{
	const struct skf_spawn *s = c->s;

	if (place_fds(c) < 0)
		return -1;
	if (s->new_session && setsid() < 0)
		return -1;
	if (s->pdeathsig && prctl(PR_SET_PDEATHSIG, s->pdeathsig) < 0)
		return -1;
	if (s->pdeathsig && getppid() != c->parent) {
		errno = ESRCH; /* the parent died before the prctl: nobody is left to hear of it */
		return -1;
	}
	if (s->cwd && chdir(s->cwd) < 0)
		return -1;
	return skf_signals_default() < 0 ? -1 : 0;
}

static int child_main(void *arg)
{
	struct child *c = arg;

	if (prepare(c) == 0)
		execve(c->s->path, c->s->argv, c->envp);
	c->err = errno ? errno : EIO;
	return 127;
}

static int start(struct child *c, pid_t *ret_pid, int *ret_pidfd)
{
	char *stack = mmap(NULL, STACK_SIZE + GUARD_SIZE, PROT_READ | PROT_WRITE,
			   MAP_PRIVATE | MAP_ANONYMOUS | MAP_STACK | MAP_NORESERVE, -1, 0);
	int flags = CLONE_VM | CLONE_VFORK | SIGCHLD | (ret_pidfd ? CLONE_PIDFD : 0), pidfd = -EBADF, r = 0;
	sigset_t all, old;
	pid_t pid;

	if (stack == MAP_FAILED)
		return skf_errno();
	if (mprotect(stack, GUARD_SIZE, PROT_NONE) < 0) {
		r = skf_errno();
		goto out;
	}
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, &old);
	pid = clone(child_main, stack + GUARD_SIZE + STACK_SIZE, flags, c, &pidfd);
	if (pid < 0)
		r = skf_errno();
	sigprocmask(SIG_SETMASK, &old, NULL);
	if (pid > 0 && c->err) {
		/* Reap it; ECHILD when the caller ignores SIGCHLD, and then there is nothing to reap. */
		while (waitpid(pid, NULL, 0) < 0 && errno == EINTR)
			;
		skf_closep(&pidfd);
		r = -c->err;
	}
	if (r == 0) {
		if (ret_pid)
			*ret_pid = pid;
		if (ret_pidfd)
			*ret_pidfd = pidfd;
	}
out:
	munmap(stack, STACK_SIZE + GUARD_SIZE); /* cannot fail for a mapping of our own */
	return r;
}

int skf_spawn(const struct skf_spawn *s, pid_t *ret_pid, int *ret_pidfd)
{
	SKF_AUTO_FD int null_fd = -EBADF;
	SKF_AUTO_FREE int *fds = NULL;
	struct child c = {.s = s, .envp = s->envp ? s->envp : environ, .parent = getpid()};
	int saved = errno, r;

	if (!s->path || s->path[0] != '/' || !s->argv || !s->argv[0] || s->n_fds > SKF_MAX_PRESERVE_FDS)
		return -EINVAL;
	c.n = 3 + s->n_fds;
	c.fds = fds = calloc(c.n, sizeof(*fds));
	if (!fds)
		return -ENOMEM;
	for (unsigned i = 0; i < c.n; i++) {
		fds[i] = i < 3 ? s->stdio[i] : s->fds[i - 3];
		if (i >= 3 && fds[i] < 0)
			return -EBADF;
		if (fds[i] < 0 && null_fd < 0) {
			null_fd = skf_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);
			if (null_fd < 0)
				return null_fd;
		}
		if (fds[i] < 0)
			fds[i] = null_fd;
	}
	r = start(&c, ret_pid, ret_pidfd);
	errno = saved; /* the child shares it */
	return r;
}
