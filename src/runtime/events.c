/* runtime/events.c -- tells when a container ran out of memory and when it ended.
 *
 * The end is the end of its init, seen through a pidfd. Out of memory is, on v1, an eventfd that the memory
 * controller signals (cgroup-v1/memcg_test, memory.oom_control); on v2 a change of memory.events whose
 * counter oom_kill grew.
 *
 * Invariants:
 *  1. Out of memory wins when both are there at once: it is mostly the reason of the end.
 *  2. v1 signals the eventfd also when the cgroup is removed: an event counts only while the cgroup exists.
 * Blocks only in skf_rt_events_wait, as long as asked. */
#include "runtime/runtime_int.h"

#include "base/limits.h"
#include "base/proc.h"
#include "oci/spec.h"
#include "sys/process.h"

#include <poll.h>
#include <stdlib.h>
#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

struct skf_rt_events {
	struct skf_cg_dirs cg;
	int pidfd, oom; /* oom: eventfd or inotify; -EBADF: this container has no memory controller */
	int control;    /* v1: the directory's cgroup.event_control; -EBADF on v2 */
	int64_t kills;  /* v2: last seen */
};

static int watch_v1(struct skf_rt_events *x, unsigned i)
{
	SKF_AUTO_FD int dir = skf_cg_open(&x->cg, i), file = -EBADF, ev = -EBADF;
	char line[32];
	int r;

	if (dir < 0)
		return dir;
	file = skf_openat(dir, "memory.oom_control", O_RDONLY, 0);
	if (file < 0)
		return file;
	ev = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
	if (ev < 0)
		return skf_errno();
	r = skf_fmt(line, sizeof(line), "%d %d", ev, file);
	if (r == 0)
		r = skf_write_existing_at(dir, "cgroup.event_control", line);
	if (r < 0)
		return r;
	x->control = SKF_TAKE_FD(dir);
	x->oom = SKF_TAKE_FD(ev);
	return 0;
}

static int watch_v2(struct skf_rt_events *x, unsigned i)
{
	SKF_AUTO_FD int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char path[sizeof(x->cg.path) + sizeof(x->cg.layout.h[0].mountpoint) + 16];
	int r;

	if (fd < 0)
		return skf_errno();
	r = skf_fmt(path, sizeof(path), "%s%s/memory.events", x->cg.layout.h[i].mountpoint, x->cg.path);
	if (r < 0)
		return r;
	if (inotify_add_watch(fd, path, IN_MODIFY) < 0)
		return skf_errno();
	x->kills = skf_cg_oom_kills(&x->cg);
	if (x->kills < 0)
		return (int)x->kills;
	x->oom = SKF_TAKE_FD(fd);
	return 0;
}

static int watch_memory(struct skf_rt_events *x)
{
	const struct skf_cg_hier *h = skf_cg_find(&x->cg.layout, "memory");

	for (unsigned i = 0; i < x->cg.layout.n; i++) {
		if (!(x->cg.used & (1u << i)))
			continue;
		if (h == &x->cg.layout.h[i])
			return watch_v1(x, i);
		if (!h && x->cg.layout.h[i].v2)
			return watch_v2(x, i);
	}
	return -ENOENT;
}

static int open_init(struct skf_rt_events *x, const struct skf_rt_state *s)
{
	int r = skf_pidfd_open(s->pid);

	if (r < 0)
		return r;
	x->pidfd = r;
	return skf_proc_alive(s->pid, s->pid_start) == 1 ? 0 : -ESRCH;
}

int skf_rt_events_open(const struct skf_rt *rt, const char *id, struct skf_rt_events **ret,
		       struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_rt_events *x;
	struct skf_rt_state *s;
	int r;

	if (skf_rt_state_load(rt, id, &a, &s, e) < 0)
		return -1;
	if (s->status == SKF_RT_STOPPED)
		return skf_fail(e, SKF_ECONFLICT, "container with id %s is not running", id);
	x = malloc(sizeof(*x));
	if (!x)
		return skf_nomem(e);
	*x = (struct skf_rt_events){.cg = s->cg, .pidfd = -EBADF, .oom = -EBADF, .control = -EBADF};
	r = open_init(x, s);
	if (r == 0) {
		r = watch_memory(x);
		if (r == -ENOENT) {
			skf_warn(
				rt->log,
				"container '%s' has no memory controller: no out-of-memory events, ignoring",
				id);
			r = 0;
		}
	}
	if (r < 0) {
		skf_rt_events_free(x);
		return skf_fail_sys(e, r, "watch container '%s'", id);
	}
	*ret = x;
	return 0;
}

/* Empties the source; true when it was out of memory. */
static bool take_oom(struct skf_rt_events *x)
{
	char buf[4096];
	bool any = false;
	int64_t now;

	while (read(x->oom, buf, sizeof(buf)) > 0)
		any = true;
	if (!any)
		return false;
	if (x->control >= 0)
		return faccessat(x->control, "cgroup.event_control", F_OK, 0) == 0;
	now = skf_cg_oom_kills(&x->cg);
	if (now <= x->kills)
		return false;
	x->kills = now;
	return true;
}

int skf_rt_events_wait(struct skf_rt_events *x, int timeout_ms, struct skf_err *e)
{
	struct pollfd p[2] = {{.fd = x->oom, .events = POLLIN}, {.fd = x->pidfd, .events = POLLIN}};
	int64_t end = skf_mono_ms() + timeout_ms;

	for (;;) {
		int64_t left = timeout_ms < 0 ? -1 : end - skf_mono_ms();
		int n = poll(p, 2, left < 0 && timeout_ms >= 0 ? 0 : (int)left);

		if (n < 0 && errno != EINTR)
			return skf_fail_errno(e, "wait for events");
		if (n == 0)
			return SKF_RT_EV_TIMEOUT;
		if (n > 0 && p[0].revents && take_oom(x))
			return SKF_RT_EV_OOM;
		if (n > 0 && p[1].revents)
			return SKF_RT_EV_END;
	}
}

void skf_rt_events_free(struct skf_rt_events *x)
{
	if (!x)
		return;
	skf_closep(&x->pidfd);
	skf_closep(&x->oom);
	skf_closep(&x->control);
	free(x);
}
