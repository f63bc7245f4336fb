/* runtime/start.c -- starts a container that another process created: a byte to exec.fifo, the answer on
 * answer/exec.fifo.
 *
 * Both fifos are held open by the container's init only, and it holds them CLOEXEC: end of file on the
 * answer is the successful execve, a record is the reason of a failure. Two starters meet at the container's
 * lock; the fifos are removed by the one that started it. With fifos that init does not hold any more it
 * runs by a start that was killed before it removed them: this one does what is left of it. Blocks for the
 * lock, the hooks and SKF_START_MS. */
#include "runtime/runtime_int.h"

#include "base/json.h"
#include "base/limits.h"
#include "oci/spec.h"
#include "sys/process.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

static int not_created(const char *id, enum skf_rt_status st, struct skf_err *e)
{
	if (st == SKF_RT_STOPPED)
		return skf_fail(e, SKF_ECONFLICT, "cannot start container '%s': it has stopped", id);
	return skf_fail(e, SKF_ECONFLICT, "cannot start container '%s': it is already %s", id,
			skf_rt_status_name(st));
}

/* The conversation over the fifos. */
static int release_init(int dir, int timeout_ms, struct skf_err *e)
{
	/* the reading end first, so that no answer can be missed */
	SKF_AUTO_FD int answer = skf_openat(dir, "answer", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_FD int err =
		answer < 0 ? answer : skf_openat(answer, "exec.fifo", O_RDONLY | O_NONBLOCK | O_NOFOLLOW, 0);
	SKF_AUTO_FD int go = -EBADF;
	int r;

	if (err < 0)
		return skf_fail_sys(e, err, "open answer/exec.fifo");
	go = skf_openat(dir, "exec.fifo", O_WRONLY | O_NONBLOCK | O_NOFOLLOW, 0);
	if (go < 0) /* ENXIO: nobody reads: init died */
		return skf_fail_sys(e, go, "open exec.fifo (has the container's init died?)");
	r = skf_write_full(go, "0", 1);
	if (r < 0)
		return skf_fail_sys(e, r, "write to exec.fifo");
	skf_closep(&go);
	return skf_sync_wait_exec(err, timeout_ms, e);
}

static char *running_doc(const struct skf_rt_state *s)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_STATE_BYTES);
	struct skf_jw w = SKF_JW(&b);
	struct skf_rt_state running = *s;

	running.status = SKF_RT_RUNNING;
	skf_rt_state_write(&running, &w);
	return skf_buf_take(&b);
}

static int run_poststart(const struct skf_rt *rt, const struct skf_rt_state *s, const struct skf_jarr *hooks,
			 struct skf_err *e)
{
	if (hooks->n == 0)
		return 0;
	SKF_AUTO_FREE char *doc = running_doc(s);
	if (!doc)
		return skf_nomem(e);
	return skf_hooks_run_host(&s->annotations, s->bundle, hooks, "poststart", doc, rt->log, e);
}

/* A failed start leaves a stopped container behind, as the spec says, and nothing that runs: delete is the
 * caller's. */
static void stop_init(const struct skf_rt_state *s)
{
	SKF_AUTO_FD int pidfd = skf_pidfd_open(s->pid);
	struct pollfd p = {.fd = pidfd, .events = POLLIN};

	if (pidfd >= 0 && skf_pidfd_kill(pidfd, SIGKILL) == 0) /* else it is dead already: just as well */
		(void)poll(&p, 1, SKF_KILL_WAIT_MS);           /* its state says what became of it */
}

/* runtime.md, lifecycle 9: after a failed poststart hook the container is deleted, as crun does it. */
static void delete_failed(const struct skf_rt *rt, const char *id)
{
	struct skf_err e = SKF_ERR_INIT;

	if (skf_rt_delete(rt, id, true, &e) < 0)
		skf_warn(rt->log, "delete container '%s' after its failed start: %s, ignoring", id, e.msg);
}

int skf_rt_start(const struct skf_rt *rt, const char *id, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_state_hooks hooks = {0};
	struct skf_rt_state *s;
	int r;

	SKF_AUTO_FD int dir = skf_state_take(rt, id, &a, &s, &hooks, e);

	if (dir < 0)
		return -1;
	if (s->status != SKF_RT_CREATED && !(s->status == SKF_RT_RUNNING && s->has_fifo))
		return not_created(id, s->status, e);
	if (s->status == SKF_RT_CREATED &&
	    release_init(dir, SKF_START_MS + skf_hooks_timeout(&hooks.start_container), e) < 0) {
		stop_init(s);
		return -1;
	}
	r = unlinkat(dir, "exec.fifo", 0) < 0 ? skf_errno() : skf_rmtree_at(dir, "answer");
	if (r < 0) {
		stop_init(s);
		return skf_fail_sys(e, r, "remove exec.fifo of container '%s'", id);
	}
	if (run_poststart(rt, s, &hooks.poststart, e) < 0) {
		stop_init(s);
		skf_closep(&dir); /* and with it the lock, which the delete takes */
		delete_failed(rt, id);
		return -1;
	}
	return 0;
}
