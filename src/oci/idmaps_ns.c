/* oci/idmaps_ns.c -- the id maps of a user namespace of which only a descriptor is known. The kernel shows maps by process alone, so a short-lived
 * child enters the namespace and is looked at. The caller keeps its own namespaces. Blocks on the child (SKF_KILL_WAIT_MS at the end). */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/proc.h"
#include "oci/idmaps.h"
#include "sys/process.h"
#include <errno.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* As seen from our own namespace. */
static int read_map(pid_t pid, const char *name, struct skf_arena *a, struct skf_jarr *ret)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/%s", (int)pid, name);
	return skf_idmap_read_proc(path, a, ret);
}

/* In the child: enters and waits to be looked at, until the pipe is closed. */
static void visit(int userns, int ready, int wait)
{
	char c = 0;

	if (skf_setns(userns, CLONE_NEWUSER) == 0 && write(ready, &c, 1) == 1)
		(void)!read(wait, &c, 1);
	_exit(0);
}

int skf_idmaps_of_userns(int userns, struct skf_arena *a, struct skf_idmaps *ret)
{
	struct skf_clone c = {.exit_signal = SIGCHLD, .cgroup_fd = -1};
	SKF_AUTO_FD int up_r = -EBADF, up_w = -EBADF, down_r = -EBADF, down_w = -EBADF, pidfd = -EBADF;
	int up[2], down[2], r = skf_pipe(up, 0), status;
	pid_t pid;
	char ready;

	if (r < 0)
		return r;
	up_r = up[0];
	up_w = up[1];
	r = skf_pipe(down, 0);
	if (r < 0)
		return r;
	down_r = down[0];
	down_w = down[1];
	pid = skf_clone3(&c, &pidfd);
	if (pid < 0)
		return (int)pid;
	if (pid == 0) {
		close(up_r);
		close(down_w);
		visit(userns, up_w, down_r);
	}
	skf_closep(&up_w);
	r = read(up_r, &ready, 1) == 1 ? 0 : -EPERM;
	if (r == 0)
		r = read_map(pid, "uid_map", a, &ret->uids);
	if (r == 0)
		r = read_map(pid, "gid_map", a, &ret->gids);
	skf_closep(&down_w);
	(void)skf_wait_pid(pid, pidfd, SKF_KILL_WAIT_MS, &status); /* what it had to say was said */
	return r;
}
