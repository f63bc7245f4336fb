/* launch/go.c -- the second half of a start in two: a container whose init waits on exec.fifo under its
 * monitor (SKF_LAUNCH_INIT) gets to run.
 *
 * Order: the summary first, so that whoever finds exec.fifo beside a summary that says "running" knows that
 * a start was killed here, and starts it once more; then the monitor, so that the end of a process that
 * lives for a moment is taken for the end of a life; then the process. What fails is for the engine to undo.
 * Blocks as skf_rt_start does. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "launch/launch_int.h"
#include "launch/wire.h"
#include "monitor/event.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static void edit(struct skf_summary *s, void *arg)
{
	struct skf_launch *l = arg;

	snprintf(s->state, sizeof(s->state), "running");
	snprintf(s->health, sizeof(s->health), "%s", l->conf->health ? "starting" : "");
	s->started_ns = l->started_ns;
	l->before = *s;
}

static int announce(struct skf_launch *l, struct skf_err *e)
{
	int r;

	l->started_ns = (uint64_t)skf_now_ns();
	r = skf_summary_edit(l->run_root_fd, l->q.id, edit, l);
	if (r < 0)
		return skf_fail_sys(e, r, "write the summary of container '%s' below '%s'", l->q.id,
				    l->q.run_root);
	skf_launch_mark_started(l);
	return 0;
}

static int monitor(const struct skf_launch *l, struct skf_err *e)
{
	int fd = skf_mon_connect(l->run_dir);

	return fd < 0 ? skf_fail_sys(e, fd, "reach the monitor of container '%s'", l->q.id) : fd;
}

static int tell_monitor(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO_FD int sock = -EBADF;

	l->run_dir = skf_openat(l->rt.rootfd, l->q.id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (l->run_dir < 0)
		return skf_fail_sys(e, l->run_dir, "open '%s/%s'", l->rt_root, l->q.id);
	sock = monitor(l, e);
	return sock < 0 ? -1 : skf_mon_start(sock, l->q.id, l->started_ns, e);
}

/* The restart policy is for what ran, not for what could not be run. */
static void no_restart(struct skf_launch *l)
{
	struct skf_err ignored = SKF_ERR_INIT;
	SKF_AUTO_FD int sock = monitor(l, &ignored);

	if (sock < 0 || skf_mon_kill(sock, l->q.id, SIGKILL, true, SKF_MON_BY_HAND, &ignored) < 0)
		skf_debug(l->log, "the monitor of container '%s' has ended: %s", l->q.id, ignored.msg);
}

static int release(struct skf_launch *l, struct skf_err *e)
{
	int r;

	if (skf_rt_start(&l->rt, l->q.id, e) < 0) {
		no_restart(l);
		return -1;
	}
	r = skf_event_emit(l->run_root_fd, "container", "start", l->q.id, l->before.name, l->before.image,
			   -1);
	if (r < 0)
		skf_warn(l->log, "write event 'start' of container '%s': %s; ignoring", l->q.id,
			 strerrordesc_np(-r));
	return skf_launch_answer(l, -1, e);
}

const struct skf_launch_step skf_launch_go_steps[] = {
	{"trees", skf_launch_open_trees, NULL},
	{"config", skf_launch_load_config, NULL},
	{"announce", announce, NULL},
	{"monitor", tell_monitor, NULL},
	{"go", release, NULL},
	{NULL, NULL, NULL},
};
