/* sys/helper.c -- what must always hold: the child has no copy of the caller's end of the socket, so that it
 * sees the caller's death. */
#include "sys/helper.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/proc.h"
#include "sys/process.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

int skf_helper_start(uint64_t flags, void (*run)(void *arg, int sock), void *arg, struct skf_helper *ret)
{
	const struct skf_clone c = {.flags = flags, .exit_signal = SIGCHLD, .cgroup_fd = -1};
	SKF_AUTO_FD int ours = -EBADF, theirs = -EBADF;
	int pair[2], pidfd = -EBADF, r = skf_socketpair_seqpacket(pair);
	pid_t pid;

	if (r < 0)
		return r;
	ours = pair[0];
	theirs = pair[1];
	pid = skf_clone3(&c, &pidfd);
	if (pid < 0)
		return (int)pid;
	if (pid == 0) {
		skf_closep(&ours);
		run(arg, theirs);
		_exit(0);
	}
	*ret = (struct skf_helper){.pid = pid, .pidfd = pidfd, .sock = SKF_TAKE_FD(ours)};
	return 0;
}

void skf_helper_end(struct skf_helper *h, bool kill)
{
	int status;

	skf_closep(&h->sock);
	if (kill)
		(void)skf_pidfd_kill(h->pidfd, SIGKILL); /* gone already unless it hangs in the kernel */
	(void)skf_wait_pid(h->pid, h->pidfd, SKF_KILL_WAIT_MS, &status);
	skf_closep(&h->pidfd);
}
