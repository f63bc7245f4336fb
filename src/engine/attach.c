/* engine/attach.c -- a front end's streams to a container that runs: descriptors go to its monitor, and the
 * same connection tells of the end. Blocks for the monitor's answer only. */
#include "engine/engine_int.h"
#include "engine/life.h"
#include <string.h>

int skf_engine_brief(struct skf_engine *g, const char *container, struct skf_ctr_brief *ret,
		     struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_ctr_brief b = {0};
	struct skf_ctrconf *c;
	struct skf_ctr_live l;

	if (skf_engine_resolve(g, container, b.id, e) < 0 || skf_ctr_load(g, b.id, &a, &c, e) < 0 ||
	    skf_ctr_live(g, b.id, &l, e) < 0)
		return -1;
	if (skf_fmt(b.name, sizeof(b.name), "%s", c->name) < 0)
		return skf_fail(e, SKF_ECORRUPT, "the name of container '%.12s' is too long", b.id);
	b.tty = c->tty;
	b.open_stdin = c->open_stdin;
	b.up = skf_ctr_is_up(l.state) && l.state != SKF_CTR_INITIALIZED;
	b.stop_signal = c->stop_signal;
	if (skf_fmt(b.sdnotify, sizeof(b.sdnotify), "%s", c->sdnotify ? c->sdnotify : "") < 0)
		return skf_fail(e, SKF_ECORRUPT,
				"container '%.12s': its sdnotify is no word that skiff knows", b.id);
	*ret = b;
	return 0;
}

int skf_ctr_attach(struct skf_engine *g, const char *id, const int stdio[3], struct skf_run_handle *h,
		   struct skf_err *e)
{
	SKF_AUTO_FD int sock = -EBADF;
	struct skf_mon_exit x;
	int fds[3];
	unsigned n = 0;

	for (int i = 0; i < 3; i++)
		if (stdio[i] >= 0)
			fds[n++] = stdio[i];
	if (skf_ctr_monitor(g, id, &sock, e) < 0 ||
	    (n && skf_mon_attach(sock, id, skf_launch_stdio_flags(stdio), fds, n, e) < 0))
		return -1;
	/* registers the wait; an answer that is there already would be an end between two calls */
	if (skf_mon_wait(sock, id, 0, &x, e) == 0)
		return skf_fail(e, SKF_ECONFLICT, "container %.12s has ended", id);
	if (e->kind != SKF_ETIMEOUT)
		return -1;
	skf_err_clear(e);
	h->attached = true;
	h->sock = SKF_TAKE_FD(sock);
	return 0;
}

static int attach(struct skf_engine *g, struct skf_attach_req *q, struct skf_run_handle *h,
		  struct skf_err *e)
{
	struct skf_ctr_live l;

	if (skf_engine_resolve(g, q->container, h->id, e) < 0 || skf_ctr_live(g, h->id, &l, e) < 0)
		return -1;
	if (l.state == SKF_CTR_PAUSED)
		return skf_fail(e, SKF_ECONFLICT,
				"You cannot attach to a paused container, unpause it first");
	if (l.state == SKF_CTR_RESTARTING)
		return skf_fail(e, SKF_ECONFLICT,
				"You cannot attach to a restarting container, wait until it is running");
	if (l.state != SKF_CTR_RUNNING)
		return skf_fail(e, SKF_ECONFLICT,
				"You cannot attach to a stopped container, start it first");
	h->pid = l.sum.pid;
	return skf_ctr_attach(g, h->id, q->stdio, h, e);
}

int skf_engine_attach(struct skf_engine *g, struct skf_attach_req *q, struct skf_run_handle *ret,
		      struct skf_err *e)
{
	struct skf_run_handle h = {.sock = -EBADF};
	int r = attach(g, q, &h, e);

	for (int i = 0; i < 3; i++)
		skf_closep(&q->stdio[i]);
	if (r == 0)
		*ret = h;
	return r;
}
