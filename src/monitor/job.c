/* monitor/job.c -- a skiff-launch that works for this monitor: a restart, a health check. The monitor has
 * one thread and waits for nobody: the answer comes on the socket, the end on the pidfd. Invariant: every
 * child is reaped, also one that was left to us by launch (CLONE_PARENT). Blocks for the execve, and at most
 * 2 * LAST_MS for the job before. */
#include "monitor/monitor_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/proc.h"
#include "base/record.h"
#include "sys/process.h"
#include <poll.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define LAST_MS 1000

static int spawn(struct skf_mon_job *j, const char *verb, int theirs)
{
	static const char *const envp[] = {
		"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	char path[512];
	const char *argv[] = {"skiff-launch", verb, NULL};
	struct skf_spawn s = {.path = path,
			      .argv = (char *const *)(uintptr_t)argv,
			      .envp = (char *const *)(uintptr_t)envp,
			      .stdio = {-1, -1, -1},
			      .fds = &theirs,
			      .n_fds = 1,
			      .cwd = "/",
			      .new_session = true};
	int r = skf_sibling_program("skiff-launch", path, sizeof(path));

	return r < 0 ? r : skf_spawn(&s, NULL, &j->pidfd);
}

/* The one before has answered and is about to end, or it never will: its pidfd is all that can reap it. */
static void end_last(struct skf_mon_job *j)
{
	struct pollfd p = {.fd = j->pidfd, .events = POLLIN};

	if (j->pidfd < 0)
		return;
	if (poll(&p, 1, LAST_MS) == 0) {
		(void)skf_pidfd_kill(j->pidfd, SIGKILL); /* ESRCH: it has ended */
		(void)poll(&p, 1, LAST_MS);
	}
	skf_mon_job_reap(j);
	skf_closep(&j->pidfd); /* of a task that is stuck in the kernel */
}

int skf_mon_job_start(struct skf_monitor *m, struct skf_mon_job *j, const char *verb,
		      const struct skf_buf *request, const int *fds, unsigned n_fds)
{
	SKF_AUTO_FD int ours = -EBADF, theirs = -EBADF;
	int pair[2], r;

	(void)m;
	if (request->err)
		return request->err;
	end_last(j);
	r = skf_socketpair_seqpacket(pair);
	if (r < 0)
		return r;
	ours = pair[0];
	theirs = pair[1];
	r = spawn(j, verb, theirs);
	if (r == 0)
		r = skf_set_nonblock(ours, true);
	if (r == 0)
		r = skf_record_send(ours, request, fds, n_fds);
	if (r < 0) {
		skf_mon_job_kill(j);
		return r;
	}
	j->sock = SKF_TAKE_FD(ours);
	return 0;
}

void skf_mon_job_reap(struct skf_mon_job *j)
{
	siginfo_t si = {0};

	skf_closep(&j->sock);
	if (j->pidfd >= 0 && waitid(P_PIDFD, (id_t)j->pidfd, &si, WEXITED | WNOHANG) == 0 && si.si_pid == 0)
		return; /* it has not ended yet; its pidfd stays in the loop */
	skf_closep(&j->pidfd);
}

void skf_mon_reap_strays(void)
{
	siginfo_t si;

	for (;;) {
		memset(&si, 0, sizeof(si));
		if (waitid(P_ALL, 0, &si, WEXITED | WNOHANG) < 0 || si.si_pid == 0)
			return;
	}
}

void skf_mon_job_kill(struct skf_mon_job *j)
{
	if (j->pidfd >= 0)
		(void)skf_pidfd_kill(j->pidfd, SIGKILL); /* ESRCH: it has ended */
	skf_mon_job_reap(j);
}
