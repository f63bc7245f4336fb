/* engine/start.c -- a container starts: one skiff-launch is spawned, told everything in one record, and
 * answers once. On success it has become the monitor, and with SKF_LAUNCH_KEEP its socket stays ours until
 * the process has ended.
 *
 * Blocks until launch answers (SKF_START_MS) and, in run_wait, until the process ends or the time-out of the
 * caller. */
#include "engine/engine_int.h"
#include "engine/pod_int.h"
#include "engine/net_int.h"
#include "base/proc.h"
#include "base/record.h"
#include "launch/wire.h"
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

#define MAX_REQUEST SKF_MAX_RECORD

unsigned skf_launch_stdio_flags(const int stdio[3])
{
	return (stdio[0] >= 0 ? SKF_LAUNCH_STDIN : 0u) | (stdio[1] >= 0 ? SKF_LAUNCH_STDOUT : 0u) |
	       (stdio[2] >= 0 ? SKF_LAUNCH_STDERR : 0u);
}

unsigned skf_launch_fds_flags(const struct skf_launch_fds *f)
{
	return skf_launch_stdio_flags(f->stdio) | (f->lock >= 0 ? SKF_LAUNCH_LOCK : 0u) |
	       (f->netns >= 0 ? SKF_LAUNCH_NETNS : 0u);
}

static int send_request(int sock, const struct skf_buf *request, const struct skf_launch_fds *f,
			struct skf_err *e)
{
	const int all[] = {f->stdio[0], f->stdio[1], f->stdio[2], f->lock, f->netns};
	int fds[SKF_ARRAY_LEN(all)], r;
	unsigned n = 0;

	for (size_t i = 0; i < SKF_ARRAY_LEN(all); i++)
		if (all[i] >= 0)
			fds[n++] = all[i];
	if (request->err < 0)
		return skf_fail_sys(e, request->err, "write the request for skiff-launch (at most %u bytes)",
				    MAX_REQUEST);
	r = skf_record_send(sock, request, fds, n);
	return r < 0 ? skf_fail_sys(e, r, "send the request to skiff-launch") : 0;
}

/* STARTED gives a pid, DONE a descriptor. */
static int take_answer(struct skf_engine *g, const struct skf_launch_proc *p, uint32_t *ret_pid, int *ret_fd,
		       struct skf_err *e)
{
	int sock = p->sock, wait_ms = p->wait_ms;
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
	struct skf_recr r;
	int n = skf_record_recv(sock, &b, &r, &fds, wait_ms);

	if (n > 0 && r.type == SKF_LAUNCH_NETNS_MADE) {
		if (skf_net_serve(g, sock, &r, &fds, e) < 0)
			return -1;
		skf_fds_done(&fds);
		n = skf_record_recv(sock, &b, &r, &fds, wait_ms);
	}
	if (n > 0 && r.type == SKF_LAUNCH_NOTIFY && p->notify && fds.n == 2) {
		p->notify->sock = SKF_TAKE_FD(fds.fd[0]);
		p->notify->pidfd = SKF_TAKE_FD(fds.fd[1]);
		skf_fds_done(&fds);
		n = skf_record_recv(sock, &b, &r, &fds, wait_ms);
	}
	if (n == -ETIMEDOUT)
		return skf_fail(e, SKF_ETIMEOUT, "the container did not start within %d s", wait_ms / 1000);
	if (n < 0)
		return skf_fail_sys(e, n, "read the answer of skiff-launch");
	if (n == 0)
		return skf_fail(e, SKF_EUNAVAILABLE,
				"skiff-launch ended without an answer; `skiff system check --repair` cleans "
				"up after it");
	if (r.type == SKF_LAUNCH_DONE && ret_fd) {
		*ret_fd = fds.n ? SKF_TAKE_FD(fds.fd[0]) : -EBADF;
		return 0;
	}
	if (r.type == SKF_LAUNCH_STARTED && ret_pid) {
		*ret_pid = skf_recr_u32(&r);
		return r.bad ? skf_fail(e, SKF_ECORRUPT, "the answer of skiff-launch is cut short") : 0;
	}
	if (r.type != SKF_LAUNCH_FAILED)
		return skf_fail(e, SKF_ECORRUPT, "skiff-launch answered with the unknown record %u", r.type);
	skf_recr_err(&r, e);
	return e->kind == SKF_OK ? skf_fail(e, SKF_ECORRUPT, "skiff-launch failed without saying why") : -1;
}

int skf_launch_spawn(struct skf_engine *g, const char *verb, struct skf_launch_proc *ret, struct skf_err *e)
{
	char path[4096];
	char prog[] = "skiff-launch";
	char *argv[] = {prog, (char *)(uintptr_t)verb, NULL};
	int pair[2], r = skf_sibling_program("skiff-launch", path, sizeof(path));
	SKF_AUTO_FD int ours = -EBADF, theirs = -EBADF;
	struct skf_launch_proc p = SKF_LAUNCH_PROC_NONE;
	struct skf_spawn s = {.path = path,
			      .argv = argv,
			      .stdio = {-1, -1, -1},
			      .fds = &theirs,
			      .n_fds = 1,
			      .new_session = true};

	if (r < 0)
		return skf_fail_sys(e, r, "find skiff-launch beside this program");
	r = skf_socketpair_seqpacket(pair);
	if (r < 0)
		return skf_fail_sys(e, r, "make the socket for skiff-launch");
	ours = pair[0];
	theirs = pair[1];
	s.stdio[2] = g->log.fd >= 0 && g->log.max >= SKF_LOG_DEBUG ? g->log.fd : -1;
	r = skf_spawn(&s, &p.pid, &p.pidfd);
	if (r < 0)
		return skf_fail_sys(e, r, "start '%s'", path);
	p.sock = SKF_TAKE_FD(ours);
	/* criu works as long as there is memory to be written and read */
	p.wait_ms = skf_streq(verb, "checkpoint") || skf_streq(verb, "restore") ? SKF_CRIU_MS : SKF_START_MS;
	*ret = p;
	return 0;
}

/* It ends by itself after FAILED, or without a request; what hangs is ended, so that a failed start leaves
 * no process. */
void skf_launch_end(struct skf_launch_proc *p)
{
	int status;

	skf_closep(&p->sock);
	if (p->pid > 0 && skf_wait_pid(p->pid, p->pidfd, SKF_HELLO_MS, &status) == -ETIMEDOUT) {
		kill(p->pid, SIGKILL);
		skf_wait_pid(p->pid, p->pidfd, SKF_HELLO_MS,
			     &status); /* a task stuck in the kernel is reaped by init later */
	}
	skf_closep(&p->pidfd);
	p->pid = 0;
}

/* Consumes *p. */
static int converse(struct skf_engine *g, struct skf_launch_proc *p, const struct skf_buf *request,
		    const struct skf_launch_fds *fds, int *ret_sock, uint32_t *ret_pid, int *ret_fd,
		    struct skf_err *e)
{
	int r = 0, status;

	if (send_request(p->sock, request, fds, e) < 0 || take_answer(g, p, ret_pid, ret_fd, e) < 0)
		r = -1;
	else if (!ret_sock)                                                  /* it has said everything */
		(void)skf_wait_pid(p->pid, p->pidfd, SKF_HELLO_MS, &status); /* reaped by init otherwise */
	else
		*ret_sock = SKF_TAKE_FD(p->sock);
	if (r == 0)
		p->pid = 0; /* it is the monitor by now, or gone */
	skf_launch_end(p);
	return r;
}

static int spawn_and_converse(struct skf_engine *g, const char *verb, const struct skf_buf *request,
			      const struct skf_launch_fds *fds, int *ret_sock, uint32_t *ret_pid,
			      int *ret_fd, struct skf_err *e)
{
	struct skf_launch_proc p;

	return skf_launch_spawn(g, verb, &p, e) < 0
		       ? -1
		       : converse(g, &p, request, fds, ret_sock, ret_pid, ret_fd, e);
}

int skf_launch(struct skf_engine *g, const char *verb, const struct skf_buf *request,
	       const struct skf_launch_fds *fds, int *ret_sock, uint32_t *ret_pid, struct skf_err *e)
{
	return spawn_and_converse(g, verb, request, fds, ret_sock, ret_pid, NULL, e);
}

/* The container's init, which waits, goes on; its lock goes along, as with a start. */
int skf_launch_go(struct skf_engine *g, const char *id, int lock, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_REQUEST);
	const struct skf_launch_fds fds = {{-1, -1, -1}, lock, -1};
	int none = -EBADF;

	skf_launch_request(g, &b, SKF_LAUNCH_GO, skf_launch_fds_flags(&fds), id, "");
	return spawn_and_converse(g, "go", &b, &fds, NULL, NULL, &none, e);
}

int skf_launch_ask_in(struct skf_engine *g, const char *verb, const struct skf_buf *request, int netns,
		      int *ret_fd, struct skf_err *e)
{
	const struct skf_launch_fds fds = {{-1, -1, -1}, -1, netns};

	return spawn_and_converse(g, verb, request, &fds, NULL, NULL, ret_fd, e);
}

int skf_launch_ask(struct skf_engine *g, const char *verb, const struct skf_buf *request, int *ret_fd,
		   struct skf_err *e)
{
	return skf_launch_ask_in(g, verb, request, -1, ret_fd, e);
}

void skf_launch_request(struct skf_engine *g, struct skf_buf *b, uint16_t type, unsigned flags,
			const char *id, const char *document)
{
	struct skf_rec r;

	skf_rec_begin(&r, b, type, SKF_LAUNCH_VERSION);
	skf_rec_u32(&r, flags);
	skf_rec_str(&r, id);
	skf_rec_str(&r, g->root);
	skf_rec_str(&r, g->run_root);
	skf_rec_str(&r, "");
	skf_rec_str(&r, document);
	for (int i = 0; i < 3; i++)
		skf_rec_u32(&r, 0);
	skf_rec_end(&r);
}

static int start_request(struct skf_engine *g, const struct skf_launch_start *q, unsigned flags,
			 struct skf_buf *b, struct skf_err *e)
{
	struct skf_rec r;

	skf_rec_begin(&r, b, SKF_LAUNCH_START, SKF_LAUNCH_VERSION);
	skf_rec_u32(&r, flags | (q->keep ? SKF_LAUNCH_KEEP : 0u) | (q->init ? SKF_LAUNCH_INIT : 0u));
	skf_rec_str(&r, q->id);
	skf_rec_str(&r, g->root);
	skf_rec_str(&r, g->run_root);
	skf_rec_u32(&r, q->rows);
	skf_rec_u32(&r, q->cols);
	/* With SKF_LAUNCH_KEEP the monitor spawns it only when nobody is left on the socket. */
	skf_rec_str(&r, g->self);
	if (q->notify)
		skf_rec_str(&r, q->notify->host);
	skf_rec_end(&r);
	return b->err < 0 ? skf_fail_sys(e, b->err, "write the request for skiff-launch") : 0;
}

static int restore_request(struct skf_engine *g, const struct skf_launch_start *q, unsigned flags,
			   struct skf_buf *b, struct skf_err *e)
{
	struct skf_rec r;

	skf_rec_begin(&r, b, SKF_LAUNCH_RESTORE, SKF_LAUNCH_VERSION);
	skf_rec_u32(&r, flags | (q->keep ? SKF_LAUNCH_KEEP : 0u));
	skf_rec_str(&r, q->id);
	skf_rec_str(&r, g->root);
	skf_rec_str(&r, g->run_root);
	skf_rec_str(&r, "");
	skf_rec_str(&r, q->restore);
	skf_rec_u32(&r, q->rows);
	skf_rec_u32(&r, q->cols);
	skf_rec_u32(&r, 0);
	skf_rec_end(&r);
	return b->err < 0 ? skf_fail_sys(e, b->err, "write the request for skiff-launch") : 0;
}

int skf_ctr_launch(struct skf_engine *g, const struct skf_launch_start *s, struct skf_launch_proc *early,
		   int *ret_sock, uint32_t *ret_pid, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_REQUEST);
	SKF_AUTO_FD int netns = -EBADF;
	struct skf_launch_proc p;
	struct skf_launch_fds fds = {{s->stdio[0], s->stdio[1], s->stdio[2]}, s->lock, -1};
	unsigned net;

	if (skf_net_launch_flags(g, s->id, &net, &netns, e) < 0)
		return -1;
	fds.netns = netns;
	if ((s->restore ? restore_request : start_request)(g, s, net | skf_launch_fds_flags(&fds), &b, e) <
	    0)
		return -1;
	if (!early || early->pid <= 0) {
		if (skf_launch_spawn(g, s->restore ? "restore" : "start", &p, e) < 0)
			return -1;
		early = &p;
	}
	early->notify = s->notify;
	if (converse(g, early, &b, &fds, ret_sock, ret_pid, NULL, e) == 0)
		return 0;
	if (s->notify) { /* of a process that did not come to run */
		skf_closep(&s->notify->sock);
		skf_closep(&s->notify->pidfd);
	}
	return -1;
}

static void close_stdio(int stdio[3])
{
	for (int i = 0; i < 3; i++)
		skf_closep(&stdio[i]);
}

int skf_ctr_record_failure(struct skf_engine *g, const char *id, const struct skf_err *why,
			   struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	SKF_AUTO_FD int dir = -EBADF;
	struct skf_jw w = SKF_JW(&b);
	int r;

	skf_jw_obj(&w);
	skf_jw_kint(&w, "v", 1);
	skf_jw_kint(&w, "min", 1);
	skf_jw_kint(&w, "exitCode", skf_err_exit_code(why, 128));
	skf_jw_kint(&w, "signal", 0);
	skf_jw_kbool(&w, "oomKilled", false);
	skf_jw_ku64(&w, "startedAt", 0);
	skf_jw_ku64(&w, "finishedAt", 0);
	skf_jw_kstr(&w, "reason", "start-failed");
	skf_jw_kstr(&w, "error", why->msg);
	skf_jw_end(&w);
	if (skf_ctr_open_dir(g, id, &dir, e) < 0)
		return -1;
	r = b.err < 0 ? b.err : skf_write_atomic_at(dir, "exit.json", b.p, b.len, 0600, 0);
	return r < 0 ? skf_fail_sys(e, r, "write exit.json of container '%.12s'", id) : 0;
}

/* What a failed start leaves: with --rm nothing, else the container in state created, as docker does. */
static void after_failure(struct skf_engine *g, struct skf_created *c, bool remove,
			  const struct skf_err *why)
{
	struct skf_err x = SKF_ERR_INIT;

	if (skf_ctr_undo_runtime(g, c->id, &x) < 0 ||
	    (remove ? skf_ctr_remove_locked(g, c->id, c->name, NULL, true, &c->lock, &x)
		    : skf_ctr_record_failure(g, c->id, why, &x)) < 0)
		skf_warn(&g->log, "clean up after the failed start of container %.12s: %s; ignoring", c->id,
			 x.msg);
}

static int start_created(struct skf_engine *g, const struct skf_created *c, struct skf_create_req *q,
			 struct skf_launch_proc *launch, struct skf_run_handle *h, struct skf_err *e)
{
	const struct skf_launch_start s = {c->id,   q->stdio, c->lock,   !q->detach, q->rows,
					   q->cols, NULL,     q->notify, false};
	SKF_AUTO_FD int sock = -EBADF;

	if (skf_ctr_launch(g, &s, launch, &sock, &h->pid, e) < 0)
		return -1;
	memcpy(h->id, c->id, sizeof(h->id));
	h->remove = c->remove;
	h->sock = q->detach ? -EBADF : SKF_TAKE_FD(sock);
	return 0;
}

int skf_engine_run(struct skf_engine *g, struct skf_create_req *q, const struct skf_progress *p,
		   struct skf_run_handle *ret, struct skf_err *e)
{
	struct skf_created c;
	struct skf_run_handle h = {.sock = -EBADF};
	struct skf_launch_proc launch = SKF_LAUNCH_PROC_NONE;
	int r = skf_pod_ensure_named(g, q->pod, e);

	if (r == 0)
		r = skf_ctr_create(g, q, p, &launch, &c, e);
	if (r == 0) {
		r = start_created(g, &c, q, &launch, &h, e);
		if (r < 0)
			after_failure(g, &c, q->remove, e);
		skf_closep(&c.lock);
	}
	close_stdio(q->stdio);
	if (r < 0) {
		skf_launch_end(&launch);
		return -1;
	}
	*ret = h;
	return 0;
}

int skf_engine_run_wait(struct skf_engine *g, struct skf_run_handle *h, int timeout_ms, struct skf_exit *ret,
			struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
	struct skf_exit x = {0};
	struct skf_recr r;
	int n = skf_record_recv(h->sock, &b, &r, &fds, timeout_ms);

	(void)g;
	if (n == -ETIMEDOUT || n == -EAGAIN)
		return skf_fail(e, SKF_ETIMEOUT, "container %.12s still runs", h->id);
	if (n < 0 && n != -ECONNRESET)
		return skf_fail_sys(e, n, "wait for container %.12s", h->id);
	if (n <= 0) {
		*ret = (struct skf_exit){.code = 137, .signal = SIGKILL, .lost = true};
		return 0;
	}
	if (h->attached && r.type != SKF_MON_EXIT) /* OK or ERROR of a signal or a size */
		return skf_fail(e, SKF_ETIMEOUT, "container %.12s still runs", h->id);
	if (r.type != (h->attached ? (int)SKF_MON_EXIT : (int)SKF_LAUNCH_EXITED))
		return skf_fail(e, SKF_ECORRUPT, "the monitor of container %.12s sent the unknown record %u",
				h->id, r.type);
	x.code = skf_recr_u32(&r);
	x.signal = skf_recr_u32(&r);
	x.oom = skf_recr_u32(&r) != 0;
	if (r.bad)
		return skf_fail(e, SKF_ECORRUPT, "the exit record of container %.12s is cut short", h->id);
	*ret = x;
	return 0;
}

static int tell(struct skf_run_handle *h, uint16_t type, uint32_t x, uint32_t y, bool two, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(256);
	struct skf_rec r;
	int n;

	if (h->attached)
		type = type == SKF_LAUNCH_SIGNAL ? SKF_MON_KILL : SKF_MON_RESIZE;
	skf_rec_begin(&r, &b, type, SKF_LAUNCH_VERSION);
	if (h->attached)
		skf_rec_str(&r, h->id);
	skf_rec_u32(&r, x);
	if (two || h->attached)
		skf_rec_u32(&r, y); /* KILL: of init alone */
	skf_rec_end(&r);
	n = b.err < 0 ? b.err : skf_record_send(h->sock, &b, NULL, 0);
	return n < 0 ? skf_fail_sys(e, n, "reach the monitor of container %.12s", h->id) : 0;
}

int skf_engine_run_signal(struct skf_run_handle *h, int sig, struct skf_err *e)
{
	return tell(h, SKF_LAUNCH_SIGNAL, (uint32_t)sig, 0, false, e);
}

int skf_engine_run_resize(struct skf_run_handle *h, unsigned rows, unsigned cols, struct skf_err *e)
{
	return tell(h, SKF_LAUNCH_RESIZE, rows, cols, true, e);
}
