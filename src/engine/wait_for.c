/* engine/wait_for.c -- waiting for a state of a container. What matters stands in its summary, which every
 * change replaces by rename: so one inotify watch on the directory of summaries wakes up for every
 * condition. Never a timer. */
#include "engine/engine_int.h"
#include "engine/life.h"
#include <poll.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

static const struct {
	const char *word;
	enum skf_condition c;
} words[] = {
	{"not-running", SKF_COND_NOT_RUNNING}, {"stopped", SKF_COND_NOT_RUNNING},
	{"exited", SKF_COND_NOT_RUNNING},      {"next-exit", SKF_COND_NEXT_EXIT},
	{"removed", SKF_COND_REMOVED},         {"running", SKF_COND_RUNNING},
	{"paused", SKF_COND_PAUSED},           {"created", SKF_COND_CREATED},
	{"configured", SKF_COND_CREATED},      {"initialized", SKF_COND_INITIALIZED},
	{"healthy", SKF_COND_HEALTHY},         {"unhealthy", SKF_COND_UNHEALTHY},
};

int skf_condition_parse(const char *word)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(words); i++)
		if (skf_streq(words[i].word, word))
			return (int)words[i].c;
	return -EINVAL;
}

struct watch {
	struct skf_engine *g;
	const char *id;
	unsigned want;
	uint64_t finished_before; /* NEXT_EXIT: an end that is not this one */
	uint64_t started_before;  /* RUNNING: a start that is not this one counts, even when it has ended
				     between two looks */
	struct skf_exit last;
};

#define WANTS(w, c) (((w)->want & (1u << (c))) != 0)

/* 1 holds, 0 not yet, -1 */
static int look(struct watch *w, struct skf_err *e)
{
	struct skf_ctr_live l;

	if (skf_ctr_live(w->g, w->id, &l, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		if (!WANTS(w, SKF_COND_REMOVED) && !WANTS(w, SKF_COND_NEXT_EXIT) &&
		    !WANTS(w, SKF_COND_NOT_RUNNING))
			return -1;
		skf_err_clear(e);
		return 1;
	}
	w->last = (struct skf_exit){.code = (uint32_t)l.sum.exit_code, .oom = l.oom, .lost = l.lost};
	if (!l.has_summary)
		w->last.code = (uint32_t)l.exit_code;
	return (WANTS(w, SKF_COND_NOT_RUNNING) && !skf_ctr_is_up(l.state)) ||
	       (WANTS(w, SKF_COND_RUNNING) &&
		(l.state == SKF_CTR_RUNNING ||
		 (l.sum.started_ns && l.sum.started_ns != w->started_before))) ||
	       (WANTS(w, SKF_COND_PAUSED) && l.state == SKF_CTR_PAUSED) ||
	       (WANTS(w, SKF_COND_CREATED) && l.state == SKF_CTR_CREATED) ||
	       (WANTS(w, SKF_COND_INITIALIZED) && l.state == SKF_CTR_INITIALIZED) ||
	       (WANTS(w, SKF_COND_HEALTHY) && l.state == SKF_CTR_RUNNING &&
		skf_streq(l.sum.health, "healthy")) ||
	       (WANTS(w, SKF_COND_UNHEALTHY) && l.state == SKF_CTR_RUNNING &&
		skf_streq(l.sum.health, "unhealthy")) ||
	       (WANTS(w, SKF_COND_NEXT_EXIT) && l.sum.finished_ns &&
		l.sum.finished_ns != w->finished_before && l.state != SKF_CTR_RUNNING);
}

static int wait_change(struct watch *w, int ino, int cancel_fd, struct skf_err *e)
{
	char buf[4096] __attribute__((aligned(8)));
	struct pollfd p[2] = {{.fd = ino, .events = POLLIN}, {.fd = cancel_fd, .events = POLLIN}};

	if (poll(p, 2, -1) < 0 && errno != EINTR)
		return skf_fail_sys(e, -errno, "wait for container %.12s", w->id);
	if (p[1].revents)
		return skf_fail(e, SKF_ETIMEOUT, "the wait for container %.12s was cancelled", w->id);
	while (read(ino, buf, sizeof(buf)) > 0)
		; /* whose change it was does not matter: one readlink tells */
	return 0;
}

int skf_engine_wait_for(struct skf_engine *g, const char *container, unsigned conditions, int cancel_fd,
			struct skf_exit *ret, struct skf_err *e)
{
	SKF_AUTO_FD int ino = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);
	char id[SKF_ID_LEN + 1], path[4200];
	struct watch w = {.g = g, .id = id, .want = conditions};
	struct skf_summary s;
	int r;

	if (skf_engine_resolve(g, container, id, e) < 0)
		return -1;
	if (conditions ==
	    1u << SKF_COND_NOT_RUNNING) /* its monitor's answer, also of a life that restarts at once */
		return skf_engine_wait(g, id, cancel_fd, ret, e);
	r = skf_fmt(path, sizeof(path), "%s/summary", g->run_root);
	if (r == 0 && (ino < 0 || inotify_add_watch(ino, path, IN_MOVED_TO | IN_DELETE) < 0))
		r = -errno;
	if (r < 0)
		return skf_fail_sys(e, r, "watch '%s/summary'", g->run_root);
	if (skf_summary_read(g->run_fd, id, &s) == 0) {
		w.finished_before = s.finished_ns;
		w.started_before = s.started_ns;
	}
	while ((r = look(&w, e)) == 0)
		if (wait_change(&w, ino, cancel_fd, e) < 0)
			return -1;
	if (r == 1)
		*ret = w.last;
	return r < 0 ? -1 : 0;
}
