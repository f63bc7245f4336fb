/* engine/boot.c -- `skiff system shutdown`: all containers get their signal first and are waited for then.
 * `skiff system boot`: what the last shutdown, or a lost monitor, ended is written down, and what its
 * restart policy wants to run is started, one after the other in the order of creation. always and
 * unless-stopped run again (the latter not when it was stopped by hand), on-failure after an exit code that
 * is not 0; what never ran is left alone. One container that fails does not stop the others. */
#include "engine/engine_int.h"
#include "engine/life.h"
#include "engine/net_cni.h"
#include <stdlib.h>
#include <string.h>

static bool wants_to_run(const struct skf_ctrconf *c, const struct skf_ctr_live *l,
			 const struct skf_ctr_exit *x)
{
	if (l->state == SKF_CTR_CREATED || skf_ctr_is_up(l->state))
		return false;
	if (skf_streq(c->restart, "always"))
		return true;
	if (skf_streq(c->restart, "unless-stopped"))
		return !x->manual;
	return skf_streq(c->restart, "on-failure") && l->exit_code != 0 && !x->manual;
}

/* 1 started, 0 nothing to do, -1 */
static int boot_one(struct skf_engine *g, const char *id, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_start_req q = SKF_REQ(struct skf_start_req);
	struct skf_run_handle h;
	struct skf_ctr_exit x = {0};
	struct skf_ctrconf *c;
	struct skf_ctr_live l;

	if (skf_ctr_load(g, id, &a, &c, e) < 0 || skf_ctr_live(g, id, &l, e) < 0)
		return -1;
	if (l.lost && skf_engine_reap(g, id, e) < 0)
		return -1;
	if (c->remove && !skf_ctr_is_up(l.state) && l.state != SKF_CTR_CREATED)
		return l.lost ? 0 : skf_engine_reap(g, id, e); /* --rm, and nobody was there to do it */
	if (skf_ctr_exit_read(g, id, &a, &x, e) < 0)
		return -1;
	if (!wants_to_run(c, &l, &x))
		return 0;
	q.container = id;
	q.stdio[0] = q.stdio[1] = q.stdio[2] = -EBADF;
	return skf_engine_start(g, &q, &h, e) < 0 ? -1 : 1;
}

int skf_engine_boot(struct skf_engine *g,
		    void (*done)(void *arg, const char *id, const char *name, const struct skf_err *error),
		    void *arg, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_ps_row *v;
	struct skf_jarr rows;

	if (skf_net_cni_boot(g, e) < 0 || skf_engine_ps(g, true, &a, &rows, e) < 0)
		return -1;
	v = rows.v;
	for (size_t i = rows.n; i-- > 0;) { /* oldest first */
		struct skf_err x = SKF_ERR_INIT;
		int r = boot_one(g, v[i].id, &x);

		if (r != 0 && x.kind != SKF_ENOTFOUND)
			done(arg, v[i].id, v[i].name, r < 0 ? &x : NULL);
	}
	return 0;
}

struct stopping {
	int sock;
	int64_t deadline_ms;
};

/* The signal; nothing is waited for. */
static int begin_stop(struct skf_engine *g, const char *id, struct stopping *x, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_ctrconf *c;
	struct skf_ctr_live l;

	x->sock = -EBADF;
	if (skf_ctr_load(g, id, &a, &c, e) < 0 || skf_ctr_live(g, id, &l, e) < 0)
		return -1;
	if (!skf_ctr_is_up(l.state))
		return 0;
	if (skf_ctr_monitor(g, id, &x->sock, e) < 0 ||
	    skf_mon_kill(x->sock, id, c->stop_signal, false, SKF_MON_SHUTDOWN, e) < 0)
		return -1;
	x->deadline_ms =
		skf_mono_ms() + (c->stop_timeout < 0 ? SKF_STOP_DEFAULT_S : c->stop_timeout) * 1000LL;
	if (l.state == SKF_CTR_PAUSED && skf_ctr_freeze(g, id, false, e) < 0)
		return -1;
	return 0;
}

static int end_stop(struct skf_engine *g, const char *id, struct stopping *x, struct skf_err *e)
{
	int64_t left = x->deadline_ms - skf_mono_ms();
	struct skf_mon_exit exit_;
	int r = skf_mon_wait(x->sock, id,
			     left < 0           ? 0
			     : left > INT32_MAX ? INT32_MAX
						: (int)left,
			     &exit_, e);

	skf_closep(&x->sock);
	if (r == 0 || e->kind == SKF_EUNAVAILABLE) {
		skf_err_clear(e);
		return 0;
	}
	if (e->kind != SKF_ETIMEOUT)
		return -1;
	skf_err_clear(e);
	return skf_ctr_kill_hard(g, id, SKF_MON_SHUTDOWN, e);
}

int skf_engine_shutdown(struct skf_engine *g,
			void (*done)(void *arg, const char *id, const char *name,
				     const struct skf_err *error),
			void *arg, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_ps_row *v;
	struct skf_jarr rows;
	struct stopping *s;

	if (skf_engine_ps(g, false, &a, &rows, e) < 0)
		return -1;
	v = rows.v;
	s = skf_arena_array(&a, rows.n + 1, sizeof(*s));
	if (!s)
		return skf_fail(e, SKF_ENOMEM, "memory for the containers to stop");
	for (size_t i = 0; i < rows.n; i++) {
		struct skf_err x = SKF_ERR_INIT;

		if (begin_stop(g, v[i].id, &s[i], &x) < 0) {
			skf_closep(&s[i].sock);
			done(arg, v[i].id, v[i].name, &x);
		}
	}
	for (size_t i = 0; i < rows.n; i++) {
		struct skf_err x = SKF_ERR_INIT;

		if (s[i].sock >= 0)
			done(arg, v[i].id, v[i].name, end_stop(g, v[i].id, &s[i], &x) < 0 ? &x : NULL);
	}
	return 0;
}
