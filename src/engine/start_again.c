/* engine/start_again.c -- create without a start, start of a container that exists, restart. All under the
 * container's lock: a reaper of the life before waits, and then finds it running. Blocks until launch
 * answers. */
#include "engine/engine_int.h"
#include "engine/checkpoint.h"
#include "engine/life.h"
#include "engine/pod_int.h"
#include "monitor/event.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static void close_stdio(int stdio[3])
{
	for (int i = 0; i < 3; i++)
		skf_closep(&stdio[i]);
}

int skf_engine_create(struct skf_engine *g, struct skf_create_req *q, const struct skf_progress *p,
		      char ret_id[SKF_ID_LEN + 1], struct skf_err *e)
{
	struct skf_created c;
	int r = skf_ctr_create(g, q, p, NULL, &c, e);

	close_stdio(q->stdio);
	if (r < 0)
		return -1;
	skf_closep(&c.lock);
	memcpy(ret_id, c.id, sizeof(c.id));
	return 0;
}

/* What the life before left behind. An overlay that skips its syncs (--rm) refuses to be mounted a second
 * time until its work directory is fresh: it was unmounted in order, so nothing is lost. */
static int clear_past(struct skf_engine *g, const char *id, const struct skf_ctrconf *c, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	bool fresh = c->remove && !skf_ctr_is_mounted(g, id); /* else the start gets what is mounted */
	int r = 0;

	if (skf_ctr_undo_runtime(g, id, e) < 0 || skf_ctr_open_dir(g, id, &dir, e) < 0)
		return -1;
	if (fresh)
		r = skf_rmtree_at(dir, "work");
	if (r == 0 && fresh)
		r = skf_mkdir_at(dir, "work", 0700);
	/* A crash from here on is the end of the new life, not of the one that this tells of. */
	if (r == 0 && unlinkat(dir, "exit.json", 0) < 0 && errno != ENOENT)
		r = -errno;
	return r < 0 ? skf_fail_sys(e, r, "prepare '%s/containers/%s' for a start", g->root, id) : 0;
}

static int ensure_root(struct skf_engine *g, const char *id, const struct skf_ctrconf *c, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;

	return skf_ctr_open_dir(g, id, &dir, e) < 0 ? -1 : skf_storage_ensure(g, id, c, dir, e);
}

static int start_locked(struct skf_engine *g, const char *id, int lock, const struct skf_ctrconf *c,
			struct skf_start_req *q, struct skf_run_handle *h, struct skf_err *e)
{
	struct skf_launch_start s = {id,      q->stdio, lock, q->attach,
				     q->rows, q->cols,  NULL, q->restore ? NULL : q->notify,
				     q->init};
	SKF_AUTO(skf_buf_done) struct skf_buf options = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO_FD int sock = -EBADF;
	struct skf_err x = SKF_ERR_INIT;

	if (q->restore && skf_restore_options(g, id, c, q->restore, &options, e) < 0)
		return -1;
	s.restore = q->restore ? skf_buf_cstr(&options) : NULL;
	if (clear_past(g, id, c, e) < 0 || ensure_root(g, id, c, e) < 0)
		return -1;
	if (skf_ctr_launch(g, &s, NULL, &sock, &h->pid, e) < 0) {
		if (skf_ctr_undo_runtime(g, id, &x) < 0 || skf_ctr_record_failure(g, id, e, &x) < 0)
			skf_warn(&g->log, "clean up after the failed start of container %.12s: %s; ignoring",
				 id, x.msg);
		return -1;
	}
	memcpy(h->id, id, SKF_ID_LEN + 1);
	h->remove = c->remove;
	h->sock = q->attach ? SKF_TAKE_FD(sock) : -EBADF;
	return 0;
}

/* What waits for its start: made ready by init; or a start was killed before it let it go. */
static bool is_held(struct skf_engine *g, const char *id, const struct skf_ctr_live *l)
{
	char path[SKF_ID_LEN + 16];

	return skf_ctr_is_made(l->state) && skf_fmt(path, sizeof(path), "%s/exec.fifo", id) == 0 &&
	       faccessat(g->run_ctr_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* It could not be run, and its process is dead: as after any start that failed. */
static void undo_held(struct skf_engine *g, const char *id, const struct skf_ctrconf *c,
		      const struct skf_err *why)
{
	struct skf_err x = SKF_ERR_INIT;

	if (skf_ctr_kill_hard(g, id, SKF_MON_BY_HAND, &x) < 0 || skf_ctr_undo_runtime(g, id, &x) < 0 ||
	    skf_ctr_record_failure(g, id, why, &x) < 0 || skf_ctr_summary_rebuild(g, id, c, false, &x) < 0)
		skf_warn(&g->log, "clean up after the failed start of container %.12s: %s; ignoring", id,
			 x.msg);
}

static int let_go(struct skf_engine *g, const char *id, int lock, const struct skf_ctrconf *c,
		  struct skf_start_req *q, struct skf_run_handle *h, struct skf_err *e)
{
	struct skf_err ignored = SKF_ERR_INIT;

	if (q->restore)
		return skf_fail(e, SKF_ECONFLICT, "cannot restore container %s: it is initialized",
				q->container);
	if (q->notify)
		return skf_fail(e, SKF_ECONFLICT,
				"container %s was made ready by init, without the socket of "
				"--sdnotify=container: stop it and start it anew",
				q->container);
	memcpy(h->id, id, SKF_ID_LEN + 1);
	h->remove = c->remove;
	if (q->attach && skf_ctr_attach(g, id, q->stdio, h, e) < 0)
		return -1;
	if (q->attach && q->rows && q->cols)
		(void)skf_engine_run_resize(h, q->rows, q->cols,
					    &ignored); /* a terminal of another size is no reason to fail */
	if (skf_launch_go(g, id, lock, e) == 0)
		return 0;
	skf_closep(&h->sock);
	undo_held(g, id, c, e);
	return -1;
}

static int start(struct skf_engine *g, struct skf_start_req *q, struct skf_run_handle *h, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	char id[SKF_ID_LEN + 1];
	SKF_AUTO_FD int lock = -EBADF;
	struct skf_ctrconf *c;
	struct skf_ctr_live l;

	if (skf_engine_resolve(g, q->container, id, e) < 0 || skf_pod_ensure_of(g, id, e) < 0 ||
	    skf_ctr_lock(g, id, &lock, e) < 0 || skf_ctr_load(g, id, &a, &c, e) < 0 ||
	    skf_ctr_live(g, id, &l, e) < 0)
		return -1;
	if (l.state == SKF_CTR_PAUSED)
		return skf_fail(e, SKF_ECONFLICT, "cannot start a paused container, try unpause instead");
	if (q->init && skf_ctr_is_up(l.state))
		return skf_fail(e, SKF_ECONFLICT,
				"container %s has already been created in runtime: container state improper",
				id);
	if (is_held(g, id, &l)) {
		h->pid = l.sum.pid;
		return let_go(g, id, lock, c, q, h, e);
	}
	if (skf_ctr_is_up(l.state)) {
		memcpy(h->id, id, sizeof(h->id));
		h->pid = l.sum.pid;
		if (q->restore)
			return skf_fail(e, SKF_ECONFLICT, "cannot restore container %s: it is running",
					q->container);
		return q->attach
			       ? skf_fail(e, SKF_ECONFLICT, "container %s is already running", q->container)
			       : 0;
	}
	if (c->remove && l.state == SKF_CTR_EXITED)
		return skf_fail(e, SKF_ECONFLICT, "container is marked for removal and cannot be started");
	return start_locked(g, id, lock, c, q, h, e);
}

int skf_engine_start(struct skf_engine *g, struct skf_start_req *q, struct skf_run_handle *ret,
		     struct skf_err *e)
{
	struct skf_run_handle h = {.sock = -EBADF};
	int r = start(g, q, &h, e);

	close_stdio(q->stdio);
	if (r == 0)
		*ret = h;
	return r;
}

int skf_engine_restart(struct skf_engine *g, const struct skf_stop_req *q, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_start_req s = SKF_REQ(struct skf_start_req);
	struct skf_run_handle h = {.sock = -EBADF};
	char id[SKF_ID_LEN + 1];
	SKF_AUTO_FD int lock = -EBADF;
	struct skf_ctrconf *c;
	int r;

	s.stdio[0] = s.stdio[1] = s.stdio[2] = -EBADF;
	if (skf_engine_resolve(g, q->container, id, e) < 0 || skf_pod_ensure_of(g, id, e) < 0 ||
	    skf_ctr_lock(g, id, &lock, e) < 0 || skf_ctr_load(g, id, &a, &c, e) < 0 ||
	    skf_ctr_stop(g, id, q, e) < 0 || start_locked(g, id, lock, c, &s, &h, e) < 0)
		return -1;
	r = skf_event_emit(g->run_fd, "container", "restart", id, c->name, c->image, -1);
	if (r < 0)
		skf_warn(&g->log, "write the event 'restart' of container %.12s: %s; ignoring", id,
			 strerror(-r));
	return 0;
}
