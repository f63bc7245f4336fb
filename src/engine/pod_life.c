/* engine/pod_life.c -- verbs of a pod that act on its containers, one after the other in the order of their
 * names. The holder is started before the first container and ended after the last one. Blocks as the verbs
 * of containers do. */
#include "engine/life.h"
#include "engine/pod_int.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static int start_one(struct skf_engine *g, const char *id, const struct skf_pod_do_req *q, struct skf_err *e)
{
	struct skf_start_req s = SKF_REQ(struct skf_start_req);
	struct skf_run_handle h = {.sock = -EBADF};

	(void)q;
	s.container = id;
	s.stdio[0] = s.stdio[1] = s.stdio[2] = -EBADF;
	return skf_engine_start(g, &s, &h, e);
}

static int stop_one(struct skf_engine *g, const char *id, const struct skf_pod_do_req *q, struct skf_err *e)
{
	struct skf_stop_req s = SKF_REQ(struct skf_stop_req);

	s.container = id;
	s.timeout_s = q->timeout_s;
	return skf_engine_stop(g, &s, e);
}

static int kill_one(struct skf_engine *g, const char *id, const struct skf_pod_do_req *q, struct skf_err *e)
{
	return skf_engine_kill(g, id, q->signal, e);
}

static int pause_one(struct skf_engine *g, const char *id, const struct skf_pod_do_req *q, struct skf_err *e)
{
	(void)q;
	return skf_engine_pause(g, id, true, e);
}

static int unpause_one(struct skf_engine *g, const char *id, const struct skf_pod_do_req *q,
		       struct skf_err *e)
{
	(void)q;
	return skf_engine_pause(g, id, false, e);
}

/* What is done to each container, and which are left alone because they are as wanted or have nothing to it.
 */
static const struct verb {
	const char *event;
	int (*one)(struct skf_engine *, const char *, const struct skf_pod_do_req *, struct skf_err *);
	bool holds, releases;
	const char *only_in; /* state of a container that it is for; NULL: every one */
} verbs[] = {
	[SKF_POD_START] = {"start", start_one, true, false, NULL},
	[SKF_POD_STOP] = {"stop", stop_one, false, true, NULL},
	[SKF_POD_RESTART] = {"restart", start_one, true, false, NULL},
	[SKF_POD_KILL] = {"kill", kill_one, false, false, "running"},
	[SKF_POD_PAUSE] = {"pause", pause_one, false, false, "running"},
	[SKF_POD_UNPAUSE] = {"unpause", unpause_one, false, false, "paused"},
};

static int each(struct skf_engine *g, const struct verb *v, const struct skf_pod_row *row,
		const struct skf_pod_do_req *q, struct skf_err *e)
{
	const struct skf_pod_ctr *c = row->containers.v;
	struct skf_err first = SKF_ERR_INIT;

	for (size_t i = 0; i < row->containers.n; i++) {
		if (v->only_in && !skf_streq(c[i].state, v->only_in))
			continue;
		if (v->one(g, c[i].id, q, e) < 0 && e->kind != SKF_ENOTFOUND && first.kind == SKF_OK) {
			skf_ctx(e, "container '%s'", c[i].name);
			first = *e;
		}
		skf_err_clear(e);
	}
	if (first.kind == SKF_OK)
		return 0;
	*e = first;
	return -1;
}

static int hold(struct skf_engine *g, const char *id, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FD int lock = -EBADF;
	struct skf_pod *p;

	return skf_ctr_lock(g, id, &lock, e) < 0 || skf_pod_load(g, id, &a, &p, e) < 0
		       ? -1
		       : skf_pod_hold(g, p, lock, e);
}

static int release(struct skf_engine *g, const char *id, struct skf_err *e)
{
	SKF_AUTO_FD int lock = -EBADF;

	return skf_ctr_lock(g, id, &lock, e) < 0 ? -1 : skf_pod_unhold(g, id, e);
}

int skf_pod_ensure(struct skf_engine *g, const char *id, struct skf_err *e)
{
	struct skf_err ignored = SKF_ERR_INIT;
	SKF_AUTO_FD int sock = -EBADF;

	return skf_pod_holder(g, id, &sock, &ignored) == 0 ? 0 : hold(g, id, e);
}

int skf_pod_ensure_named(struct skf_engine *g, const char *pod, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];

	if (!pod || !*pod)
		return 0;
	return skf_engine_pod_resolve(g, pod, id, e) < 0 ? -1 : skf_pod_ensure(g, id, e);
}

/* Without pods there is nothing to look up: config.json is read once more only where some were made. */
static bool has_pods(struct skf_engine *g)
{
	return faccessat(g->root_fd, "pods", F_OK, 0) == 0;
}

int skf_pod_of(struct skf_engine *g, const char *container, char ret[SKF_ID_LEN + 1], struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_ctrconf *c;

	if (!has_pods(g))
		return 0;
	if (skf_ctr_load(g, container, &a, &c, e) < 0)
		return -1;
	return c->pod && *c->pod && skf_fmt(ret, SKF_ID_LEN + 1, "%s", c->pod) == 0 ? 1 : 0;
}

int skf_pod_ensure_of(struct skf_engine *g, const char *container, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];
	int r = skf_pod_of(g, container, id, e);

	return r <= 0 ? r : skf_pod_ensure(g, id, e);
}

static int is_idle(struct skf_engine *g, const char *id, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_strv m = {0};

	if (skf_pod_members(g, id, &a, &m, e) < 0)
		return -1;
	for (size_t i = 0; i < m.n; i++) {
		struct skf_ctr_live l;

		if (skf_ctr_live(g, m.v[i], &l, e) == 0 && skf_ctr_is_up(l.state))
			return 0;
		skf_err_clear(e); /* one that is removed meanwhile does not run */
	}
	return 1;
}

int skf_pod_after_end(struct skf_engine *g, const char *id, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FD int lock = -EBADF;
	struct skf_pod *p;
	int r;

	if (skf_pod_load(g, id, &a, &p, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e);
		return 0;
	}
	if (!skf_streq(p->exit_policy, "stop"))
		return 0;
	if (skf_ctr_lock(g, id, &lock, e) < 0)
		return -1;
	r = is_idle(g, id, e);
	return r <= 0 ? r : skf_pod_unhold(g, id, e);
}

int skf_engine_pod_do(struct skf_engine *g, const struct skf_pod_do_req *q, char ret_id[SKF_ID_LEN + 1],
		      struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct verb *v = &verbs[q->verb];
	struct skf_pod_do_req stop = *q;
	struct skf_pod_row row;

	if (skf_engine_pod_row(g, q->pod, &a, &row, e) < 0)
		return -1;
	memcpy(ret_id, row.id, sizeof(row.id));
	if (q->verb == SKF_POD_RESTART && each(g, &verbs[SKF_POD_STOP], &row, &stop, e) < 0)
		return -1;
	if (v->holds && hold(g, row.id, e) < 0)
		return -1;
	if (each(g, v, &row, q, e) < 0 || (v->releases && release(g, row.id, e) < 0))
		return -1;
	if (q->verb != SKF_POD_START) /* the holder's start tells of that one */
		skf_pod_tell(g, v->event, row.id, row.name);
	return 0;
}
