/* engine/stop.c -- stop and kill. Stop is a list of ever harder means, each with its own wait; the last one
 * leaves the state stopping-failed and the names of the tasks that are stuck in the kernel, never an endless
 * wait (DESIGN 3b). */
#include "engine/engine_int.h"
#include "monitor/event.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MAX_STUCK 8

static void tell(struct skf_engine *g, const char *action, const char *id, const struct skf_ctr_live *l)
{
	int r = skf_event_emit(g->run_fd, "container", action, id, l->sum.name, l->sum.image, -1);

	if (r < 0)
		skf_warn(&g->log, "write the event '%s' of container %.12s: %s; ignoring", action, id,
			 strerror(-r));
}

static bool runs(const struct skf_ctr_live *l)
{
	return skf_ctr_is_up(l->state);
}

/* 1 ended, 0 not within the time. A monitor that is gone means that its container ended, or that it is for
 * the reap to say. */
static int wait_end(int sock, const char *id, int timeout_ms, struct skf_err *e)
{
	struct skf_mon_exit x;

	if (skf_mon_wait(sock, id, timeout_ms, &x, e) == 0)
		return 1;
	if (e->kind == SKF_ETIMEOUT) {
		skf_err_clear(e);
		return 0;
	}
	if (e->kind == SKF_EUNAVAILABLE) {
		skf_err_clear(e);
		return 1;
	}
	return -1;
}

static void task_name(pid_t pid, char *out, size_t size)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(64);
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/comm", (int)pid);
	if (skf_read_file_at(AT_FDCWD, path, 64, &b) < 0)
		skf_buf_str(&b, "?");
	snprintf(out, size, "%d (%.*s)", (int)pid, (int)strcspn(skf_buf_cstr(&b), "\n"), skf_buf_cstr(&b));
}

static void set_failed(struct skf_summary *s, void *arg)
{
	(void)arg;
	memcpy(s->state, "stopping-failed", sizeof("stopping-failed"));
}

static int stopping_failed(struct skf_engine *g, const char *id, const struct skf_cg_dirs *cg,
			   struct skf_err *e)
{
	char names[256] = "", one[64];
	pid_t pids[MAX_STUCK];
	int n = skf_cg_pids(cg, pids, MAX_STUCK), r;

	for (int i = 0; i < n && i < MAX_STUCK; i++) {
		size_t len = strlen(names);

		task_name(pids[i], one, sizeof(one));
		snprintf(names + len, sizeof(names) - len, "%s%s", len ? ", " : "",
			 one); /* cut is fine: it is for people */
	}
	r = skf_summary_edit(g->run_fd, id, set_failed, NULL);
	if (r < 0 && r != -ENOENT)
		skf_warn(&g->log, "write the summary of container %.12s: %s; ignoring", id, strerror(-r));
	return skf_fail(e, SKF_ETIMEOUT,
			"container %.12s could not be stopped: tasks that ignore SIGKILL: %s", id,
			*names ? names : "none left");
}

/* SIGKILL through the monitor, then to the whole cgroup. */
int skf_ctr_kill_hard(struct skf_engine *g, const char *id, unsigned manual, struct skf_err *e)
{
	SKF_AUTO_FD int sock = -EBADF;
	struct skf_err x = SKF_ERR_INIT;
	struct skf_cg_dirs cg;
	int r;

	if (skf_ctr_monitor(g, id, &sock, &x) == 0 &&
	    skf_mon_kill(sock, id, SIGKILL, true, manual, &x) == 0) {
		r = wait_end(sock, id, SKF_KILL_WAIT_MS, e);
		if (r != 0)
			return r < 0 ? -1 : 0;
	}
	r = skf_ctr_cgroup(g, id, &cg);
	if (r == 0)
		r = skf_cg_kill_all(&cg, SKF_KILL_WAIT_MS);
	if (r == -ETIMEDOUT)
		return stopping_failed(g, id, &cg, e);
	if (r < 0 && r != -ENOENT)
		return skf_fail_sys(e, r, "kill the processes of container %.12s", id);
	if (sock >= 0 && wait_end(sock, id, SKF_KILL_WAIT_MS, e) < 0)
		return -1;
	return 0;
}

static int stop_running(struct skf_engine *g, const char *id, int sig, int64_t timeout_ms, bool frozen,
			struct skf_err *e)
{
	SKF_AUTO_FD int sock = -EBADF;
	int r;

	if (skf_ctr_monitor(g, id, &sock, e) < 0) {
		if (e->kind != SKF_EUNAVAILABLE)
			return -1;
		skf_err_clear(e);
		return skf_ctr_kill_hard(g, id, SKF_MON_BY_HAND, e);
	}
	if (skf_mon_kill(sock, id, sig, false, SKF_MON_BY_HAND, e) < 0) {
		if (e->kind != SKF_EUNAVAILABLE && e->kind != SKF_ECONFLICT)
			return -1;
		skf_err_clear(e); /* it ended at this moment */
	}
	if (frozen && skf_ctr_freeze(g, id, false, e) < 0)
		skf_err_clear(e); /* the hard kill thaws, too */
	r = wait_end(sock, id, timeout_ms > INT32_MAX ? INT32_MAX : (int)timeout_ms, e);
	if (r != 0)
		return r < 0 ? -1 : 0;
	skf_closep(&sock);
	return skf_ctr_kill_hard(g, id, SKF_MON_BY_HAND, e);
}

int skf_ctr_stop(struct skf_engine *g, const char *id, const struct skf_stop_req *q, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_ctrconf *c;
	struct skf_ctr_live l;
	int64_t seconds;

	if (skf_ctr_live(g, id, &l, e) < 0)
		return -1;
	if (!runs(&l))
		return 0;
	if (skf_ctr_load(g, id, &a, &c, e) < 0)
		return -1;
	seconds = q->timeout_s >= 0     ? q->timeout_s
		  : c->stop_timeout < 0 ? INT32_MAX / 1000
					: c->stop_timeout;
	if (stop_running(g, id, q->signal ? q->signal : c->stop_signal, seconds * 1000,
			 l.state == SKF_CTR_PAUSED, e) < 0)
		return -1;
	tell(g, "stop", id, &l);
	return 0;
}

int skf_engine_stop(struct skf_engine *g, const struct skf_stop_req *q, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];
	struct skf_ctr_live l;

	if (skf_engine_resolve(g, q->container, id, e) < 0 || skf_ctr_stop(g, id, q, e) < 0)
		return -1;
	/* Without a monitor nobody wrote down the end. A container that was removed meanwhile (--rm) has
	 * stopped, too. */
	if (skf_ctr_live(g, id, &l, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e);
		return 0;
	}
	return l.lost ? skf_engine_reap(g, id, e) : 0;
}

int skf_engine_kill(struct skf_engine *g, const char *container, int sig, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FD int sock = -EBADF;
	struct skf_ctrconf *c;
	struct skf_ctr_live l;
	bool manual;

	if (skf_engine_resolve(g, container, id, e) < 0 || skf_ctr_live(g, id, &l, e) < 0)
		return -1;
	if (!runs(&l) || l.state == SKF_CTR_INITIALIZED)
		return skf_fail(e, SKF_ECONFLICT, "cannot kill container: %s: container %s is not running",
				container, id);
	if (skf_ctr_load(g, id, &a, &c, e) < 0 || skf_ctr_monitor(g, id, &sock, e) < 0)
		return -1;
	/* A signal that ends the container on purpose ends its restarts, too; SIGHUP and its like do not. */
	manual = sig == SIGKILL || sig == c->stop_signal;
	if (skf_mon_kill(sock, id, sig, false, manual ? SKF_MON_BY_HAND : 0, e) < 0)
		return -1;
	if (manual && l.state == SKF_CTR_PAUSED && skf_ctr_freeze(g, id, false, e) < 0)
		return -1; /* what is frozen does not die on cgroup v1 */
	tell(g, "kill", id, &l);
	return 0;
}
