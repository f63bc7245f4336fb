/* runtime/handle.c -- what a process does with a container that it made: go, wait, abort, and taking
 * descriptors out of the handle.
 *
 * The container's init is our child, so its pid cannot be reused before we reaped it. Blocks: skf_rt_go for
 * the hooks and SKF_START_MS, skf_rt_wait until the container ends (its caller's purpose), skf_rt_abort for
 * SKF_KILL_WAIT_MS. */
#include "runtime/runtime_int.h"

#include "base/limits.h"
#include "base/proc.h"
#include "oci/spec.h"
#include "sys/process.h"

#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

pid_t skf_rt_pid(const struct skf_rt_container *c)
{
	return c->pid;
}

int skf_rt_pidfd(const struct skf_rt_container *c)
{
	return c->pidfd;
}

int skf_rt_take_console(struct skf_rt_container *c)
{
	return SKF_TAKE_FD(c->console);
}

int skf_rt_take_netns(struct skf_rt_container *c)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)c->pid);
	return skf_openat(AT_FDCWD, path, O_RDONLY, 0);
}

const struct skf_cg_dirs *skf_rt_cgroup(const struct skf_rt_container *c)
{
	return &c->cg;
}

void skf_rt_container_free(struct skf_rt_container *c)
{
	if (!c)
		return;
	skf_closep(&c->pidfd);
	skf_closep(&c->sync);
	skf_closep(&c->console);
	free(c->state_json);
	free(c->bundle);
	free(c->id);
	free(c);
}

/* Our parent reaps it; that it is dead is all that counts here. */
static int wait_sister(struct skf_rt_container *c)
{
	struct pollfd p = {.fd = c->pidfd, .events = POLLIN};
	int r = poll(&p, 1, SKF_KILL_WAIT_MS);

	return r > 0 ? 0 : r == 0 ? -ETIMEDOUT : skf_errno();
}

int skf_rt_kill_and_reap(struct skf_rt_container *c)
{
	int r;

	if (c->pid <= 0 || c->reaped)
		return 0;
	if (c->pidfd >= 0)
		(void)skf_pidfd_kill(c->pidfd, SIGKILL); /* fails only when it is dead already */
	else if (!c->sister)
		(void)kill(c->pid, SIGKILL); /* unreaped child: the pid is still its own */
	r = c->sister ? wait_sister(c) : skf_wait_pid(c->pid, c->pidfd, SKF_KILL_WAIT_MS, &c->status);
	c->reaped = r == 0;
	return r;
}

int skf_state_clear(int state_fd)
{
	static const char *const own[] = {"state.json",       "status", "journal",   "seccomp.bpf",
					  "seccomp.listener", "notify", "exec.fifo", "answer"};
	int r = 0;

	for (size_t i = 0; i < SKF_ARRAY_LEN(own) && (r == 0 || r == -ENOENT); i++)
		r = skf_rmtree_at(state_fd, own[i]);
	return r == -ENOENT ? 0 : r;
}

static void undo_kept(struct skf_rt_container *c)
{
	SKF_AUTO_FD int dir = skf_state_lock(&c->rt, c->id, SKF_LOCK_MS);
	struct skf_err e = SKF_ERR_INIT;
	int r = dir;

	if (c->cg.used && skf_cgroups_undo(&c->cg, &e) < 0)
		skf_warn(c->rt.log, "container '%s': %s, ignoring", c->id, e.msg);
	if (r >= 0)
		r = skf_state_clear(dir);
	if (r < 0)
		skf_warn(c->rt.log, "empty the state directory of container '%s': %s, ignoring", c->id,
			 strerror(-r));
}

void skf_rt_abort(struct skf_rt_container *c)
{
	struct skf_err e = SKF_ERR_INIT;

	(void)skf_rt_kill_and_reap(c); /* the delete kills by cgroup and says what is left */
	skf_closep(&c->sync);
	if (c->keep_dir)
		undo_kept(c);
	else if (!c->exec && skf_rt_delete(&c->rt, c->id, true, &e) < 0)
		skf_warn(c->rt.log, "delete container '%s': %s, ignoring", c->id, e.msg);
}

int skf_rt_go(struct skf_rt_container *c, struct skf_err *e)
{
	int r = skf_sync_send(c->sync, SKF_STEP_GO, -1);

	if (r < 0 && r != -EPIPE) /* a dead init is what the next wait finds */
		skf_fail_sys(e, r, "start container '%s'", c->id);
	else if (skf_sync_wait_exec(c->sync, SKF_START_MS + c->hooks_ms, e) == 0 &&
		 (!c->spec || skf_hooks_run_host(&c->spec->annotations, c->bundle, &c->spec->hooks.poststart,
						 "poststart", c->state_json, c->rt.log, e) == 0)) {
		skf_closep(&c->sync);
		return 0;
	}
	skf_rt_abort(c);
	return -1;
}

int skf_rt_wait(struct skf_rt_container *c, int *ret_code, struct skf_err *e)
{
	int r = c->reaped ? 0 : skf_wait_pid(c->pid, c->pidfd, -1, &c->status);

	if (r < 0)
		return skf_fail_sys(e, r, "wait for the init of container '%s'", c->id);
	c->reaped = true;
	*ret_code = skf_wait_code(c->status);
	return 0;
}
