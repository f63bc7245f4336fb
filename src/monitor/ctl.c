/* monitor/ctl.c -- the control socket, and the socket to the engine that started us.
 * Invariants: (1) a peer that is neither uid 0 nor our own uid, or one client too many, is told so and
 * closed; (2) every other request is answered by exactly one record, unknown ones by ERROR; (3) a client
 * that does not take its answers is dropped. Requests are a handful of bytes: what does not fit REQUEST_MAX
 * is refused unread. Nothing here blocks. */
#include "monitor/monitor_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/record.h"
#include "launch/wire.h"
#include "sys/process.h"
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX 2048
#define ANSWER_MAX  1024

_Static_assert(SKF_MON_VERSION == SKF_LAUNCH_VERSION, "begin() writes records of both protocols");

struct answer {
	char mem[ANSWER_MAX];
	struct skf_buf b;
	struct skf_rec w;
};

static void begin(struct answer *a, uint16_t type)
{
	a->b = (struct skf_buf){.p = a->mem, .cap = sizeof(a->mem), .max = sizeof(a->mem) - 1};
	skf_rec_begin(&a->w, &a->b, type, SKF_MON_VERSION);
}

/* The sockets are non-blocking: a full one gives -EAGAIN. */
static int finish(struct answer *a, int fd)
{
	skf_rec_end(&a->w);
	return skf_record_send(fd, &a->b, NULL, 0);
}

static void send_error(int fd, const struct skf_err *e)
{
	struct answer a;

	begin(&a, SKF_MON_ERROR);
	skf_rec_err(&a.w, e);
	(void)finish(&a, fd); /* a peer that does not listen cannot be told */
}

static void put_exit(struct skf_rec *w, const struct skf_mon_exit *x)
{
	skf_rec_u32(w, x->code);
	skf_rec_u32(w, x->signal);
	skf_rec_u32(w, x->oom_killed);
	skf_rec_u64(w, x->finished_ns);
}

/* uid compared in our own user namespace, as the kernel translates it (DESIGN 8.6). */
static bool peer_allowed(int fd)
{
	struct ucred c;
	socklen_t n = sizeof(c);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) == 0 && (c.uid == 0 || c.uid == geteuid());
}

void skf_mon_accept(struct skf_monitor *m)
{
	SKF_AUTO_FD int fd = accept4(m->h.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct skf_err e = SKF_ERR_INIT;

	if (fd < 0)
		return; /* the client went away again, or we are out of descriptors for now: poll comes back
			 */
	if (!peer_allowed(fd)) {
		skf_fail(&e, SKF_EDENIED,
			 "the monitor of container '%s' takes requests of its owner and of root only",
			 m->h.id);
	} else if (m->n_conns >= SKF_MAX_MONITOR_CLIENTS) {
		skf_fail(&e, SKF_ELIMIT,
			 "the monitor of container '%s' has %u clients already; close some of them", m->h.id,
			 m->n_conns);
	} else {
		m->conns[m->n_conns++] = (struct skf_mon_conn){.fd = SKF_TAKE_FD(fd)};
		return;
	}
	send_error(fd, &e);
}

static int hello(struct skf_monitor *m, const struct skf_mon_request *q, struct skf_fds *fds,
		 struct answer *a, struct skf_err *e)
{
	begin(a, SKF_MON_HELLO);
	skf_rec_str(&a->w, SKF_VERSION);
	skf_rec_u32(&a->w, SKF_MON_VERSION);
	skf_rec_u32(&a->w, (uint32_t)getpid());
	return 0;
}

static int state(struct skf_monitor *m, const struct skf_mon_request *q, struct skf_fds *fds,
		 struct answer *a, struct skf_err *e)
{
	bool again = m->phase == SKF_MON_BACKOFF || m->phase == SKF_MON_RESTARTING;
	bool frozen = !m->exited && m->h.cg.used && skf_cg_is_frozen(&m->h.cg) == 1;

	begin(a, SKF_MON_STATE);
	skf_rec_str(&a->w, again                        ? "restarting"
			   : m->exited                  ? "exited"
			   : frozen                     ? "paused"
			   : m->h.flags & SKF_MONH_HELD ? "initialized"
							: "running");
	skf_rec_u32(&a->w, m->h.pid);
	skf_rec_u64(&a->w, m->h.start_time);
	skf_rec_u64(&a->w, m->h.started_ns);
	skf_rec_u32(&a->w, m->x.code);
	skf_rec_u32(&a->w, m->x.oom_killed);
	skf_rec_u64(&a->w, m->x.finished_ns);
	skf_rec_u32(&a->w, m->r.count);
	skf_rec_str(&a->w, skf_mon_health_word(m));
	skf_rec_u32(&a->w, m->health.failing);
	return 0;
}

static int not_running(const struct skf_monitor *m, struct skf_err *e)
{
	return skf_fail(e, SKF_ECONFLICT, "container '%s' is not running", m->h.id);
}

static int kill_(struct skf_monitor *m, const struct skf_mon_request *q, struct skf_fds *fds,
		 struct answer *a, struct skf_err *e)
{
	int r;

	if ((q->signal == 0 && !q->manual) || q->signal > 64)
		return skf_fail(e, SKF_EINVALID, "signal %u is not one of 1 to 64", q->signal);
	if (q->manual == SKF_MON_AS_CONFIGURED) {
		m->r.manual = m->r.shutdown = false;
		begin(a, SKF_MON_OK);
		return 0;
	}
	m->r.manual |= q->manual != 0;
	m->r.shutdown |= q->manual == SKF_MON_SHUTDOWN;
	if (q->manual && m->phase == SKF_MON_BACKOFF)
		skf_mon_restart_cancel(m);
	else if (m->exited &&
		 !(q->manual && m->phase == SKF_MON_RESTARTING)) /* else it is killed when it is there */
		return not_running(m, e);
	begin(a, SKF_MON_OK);
	if (m->exited)
		return 0;
	if (q->all && m->h.cg.used)
		r = skf_cg_signal_all(&m->h.cg, (int)q->signal);
	else
		r = skf_pidfd_kill(m->h.pidfd, (int)q->signal);
	if (r == -ESRCH)
		return not_running(m, e);
	if (r < 0)
		return skf_fail_sys(e, r, "send signal %u to container '%s'", q->signal, m->h.id);
	return 0;
}

static int attach(struct skf_monitor *m, const struct skf_mon_request *q, struct skf_fds *fds,
		  struct answer *a, struct skf_err *e)
{
	static const unsigned bits[] = {SKF_LAUNCH_STDIN, SKF_LAUNCH_STDOUT, SKF_LAUNCH_STDERR};
	unsigned want = 0, at = 0;
	int r = 0;

	for (unsigned i = 0; i < 3; i++)
		want += (q->flags & bits[i]) != 0;
	if (want == 0 || want != fds->n)
		return skf_fail(e, SKF_EINVALID,
				"attach to container '%s': %u streams were asked for with %u descriptors",
				m->h.id, want, fds->n);
	if (m->phase == SKF_MON_BACKOFF || m->phase == SKF_MON_RESTARTING)
		return skf_fail(e, SKF_ECONFLICT,
				"you cannot attach to a restarting container, wait until it is running");
	if (m->exited)
		return not_running(m, e);
	for (unsigned i = 0; i < 3 && r == 0; i++) {
		if (!(q->flags & bits[i]))
			continue;
		r = i == 0 ? skf_mon_add_source(m, &fds->fd[at]) : skf_mon_add_sink(m, i - 1, &fds->fd[at]);
		at++;
	}
	if (r == -EUSERS)
		return skf_fail(e, SKF_ELIMIT,
				"container '%s' has as many attached clients as a monitor takes; close some",
				m->h.id);
	if (r < 0)
		return skf_fail_sys(e, r, "attach to container '%s'", m->h.id);
	begin(a, SKF_MON_OK);
	return 0;
}

static int set_size(struct skf_monitor *m, unsigned rows, unsigned cols, struct skf_err *e)
{
	int r;

	if (m->h.tty < 0 || m->s[0].fd < 0)
		return skf_fail(e, SKF_ECONFLICT, "container '%s' has no terminal to resize", m->h.id);
	if (rows > UINT16_MAX || cols > UINT16_MAX)
		return skf_fail(e, SKF_EINVALID, "a terminal of %u rows and %u columns is too large", rows,
				cols);
	r = skf_tty_set_size(m->h.tty, rows, cols);
	return r < 0 ? skf_fail_sys(e, r, "resize the terminal of container '%s'", m->h.id) : 0;
}

static int resize(struct skf_monitor *m, const struct skf_mon_request *q, struct skf_fds *fds,
		  struct answer *a, struct skf_err *e)
{
	if (set_size(m, q->rows, q->cols, e) < 0)
		return -1;
	begin(a, SKF_MON_OK);
	return 0;
}

static int update(struct skf_monitor *m, const struct skf_mon_request *q, struct skf_fds *fds,
		  struct answer *a, struct skf_err *e)
{
	if (q->what != SKF_MON_UPD_RESTART || q->policy > SKF_RESTART_UNLESS_STOPPED)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"the monitor of container '%s' (skiff %s) can change the restart policy "
				"only; restart "
				"the container",
				m->h.id, SKF_VERSION);
	m->r.policy = q->policy;
	m->r.max = q->policy_max;
	m->r.backoff_ms = 0;
	begin(a, SKF_MON_OK);
	return 0;
}

/* A start that was killed is repeated: the second START is as good as the first. */
static int start(struct skf_monitor *m, const struct skf_mon_request *q, struct skf_fds *fds,
		 struct answer *a, struct skf_err *e)
{
	if (m->exited)
		return not_running(m, e);
	m->h.started_ns = q->started_ns;
	if (m->h.flags & SKF_MONH_HELD) {
		m->h.flags &= ~(uint32_t)SKF_MONH_HELD;
		skf_mon_health_start(m);
		skf_mon_run_time_start(m);
	}
	begin(a, SKF_MON_OK);
	return 0;
}

static const struct {
	int (*fn)(struct skf_monitor *, const struct skf_mon_request *, struct skf_fds *, struct answer *,
		  struct skf_err *);
} requests[] = {
	[SKF_MON_HELLO] = {hello},   [SKF_MON_STATE] = {state},   [SKF_MON_KILL] = {kill_},
	[SKF_MON_ATTACH] = {attach}, [SKF_MON_RESIZE] = {resize}, [SKF_MON_UPDATE] = {update},
	[SKF_MON_START] = {start},
};

static bool names_us(const struct skf_monitor *m, const char *id)
{
	return strcmp(id, m->h.id) == 0 || (m->h.exec_id[0] && strcmp(id, m->h.exec_id) == 0);
}

static int handle(struct skf_monitor *m, struct skf_mon_conn *c, struct skf_recr *r, struct skf_fds *fds,
		  struct answer *a, struct skf_err *e)
{
	struct skf_mon_request q;
	int n = skf_mon_request_read(r, &q);

	if (n == -EOPNOTSUPP)
		return skf_fail(e, SKF_EUNSUPPORTED, "this monitor (skiff %s) does not know request %u",
				SKF_VERSION, r->type);
	if (n < 0)
		return skf_fail(e, SKF_EINVALID, "request %u is malformed", r->type);
	if (!names_us(m, q.container))
		return skf_fail(e, SKF_ENOTFOUND, "this is the monitor of container '%s', not of '%.70s'",
				m->h.id, q.container);
	if (q.type == SKF_MON_WAIT) {
		c->waits = true;
		return 1;
	}
	if (q.type == SKF_MON_PROBE) {
		if (skf_mon_health_probe(m) < 0)
			return skf_fail(e, SKF_ECONFLICT,
					"container '%s' has no health check, or is not running", m->h.id);
		c->wants_health = true;
		return 1;
	}
	if (q.type >= SKF_ARRAY_LEN(requests) || !requests[q.type].fn)
		return skf_fail(e, SKF_EUNSUPPORTED, "the monitor of container '%s' does not do request %u",
				m->h.id, q.type);
	return requests[q.type].fn(m, &q, fds, a, e);
}

void skf_mon_conn_read(struct skf_monitor *m, struct skf_mon_conn *c)
{
	SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
	struct skf_err e = SKF_ERR_INIT;
	char mem[REQUEST_MAX];
	struct skf_buf b = {.p = mem, .cap = sizeof(mem), .max = sizeof(mem) - 1};
	struct answer a;
	struct skf_recr r;
	int n = skf_record_recv(c->fd, &b, &r, &fds, 0);

	if (n == -EAGAIN)
		return;
	if (n == 0 || (n < 0 && n != -EBADMSG)) {
		skf_closep(&c->fd);
		return;
	}
	if (n < 0)
		n = skf_fail(&e, SKF_EINVALID, "the request is malformed or longer than %d bytes",
			     REQUEST_MAX);
	else
		n = handle(m, c, &r, &fds, &a, &e);
	if (n == 1)
		return;
	if (n < 0) {
		begin(&a, SKF_MON_ERROR);
		skf_rec_err(&a.w, &e);
	}
	if (finish(&a, c->fd) < 0)
		skf_closep(&c->fd);
}

void skf_mon_answer_waits(struct skf_monitor *m)
{
	struct answer a;

	for (unsigned i = 0; i < m->n_conns; i++) {
		if (m->conns[i].fd < 0 || !m->conns[i].waits)
			continue;
		begin(&a, SKF_MON_EXIT);
		put_exit(&a.w, &m->x);
		m->conns[i].waits = false;
		if (finish(&a, m->conns[i].fd) < 0)
			skf_closep(&m->conns[i].fd);
	}
}

void skf_mon_answer_probes(struct skf_monitor *m, uint32_t code, const char *health)
{
	struct skf_err e = SKF_ERR_INIT;
	struct answer a;

	for (unsigned i = 0; i < m->n_conns; i++) {
		if (m->conns[i].fd < 0 || !m->conns[i].wants_health)
			continue;
		m->conns[i].wants_health = false;
		if (!health) {
			(void)not_running(m, &e);
			send_error(m->conns[i].fd, &e);
			continue;
		}
		begin(&a, SKF_MON_HEALTH);
		skf_rec_u32(&a.w, code);
		skf_rec_str(&a.w, health);
		if (finish(&a, m->conns[i].fd) < 0)
			skf_closep(&m->conns[i].fd);
	}
}

void skf_mon_engine_read(struct skf_monitor *m)
{
	struct skf_err e = SKF_ERR_INIT;
	char mem[REQUEST_MAX];
	struct skf_buf b = {.p = mem, .cap = sizeof(mem), .max = sizeof(mem) - 1};
	struct skf_recr r;
	int n = skf_record_recv(m->h.engine_sock, &b, &r, NULL, 0);

	if (n == -EAGAIN || n == -EBADMSG)
		return;
	if (n <= 0) {
		skf_closep(&m->h.engine_sock);
		return;
	}
	/* These two have no answer: whoever sends them to a container that is about to end learns it from
	 * EXITED. */
	if (r.type == SKF_LAUNCH_RESIZE) {
		unsigned rows = skf_recr_u32(&r), cols = skf_recr_u32(&r);

		if (!r.bad)
			(void)set_size(m, rows, cols, &e);
	} else if (r.type == SKF_LAUNCH_SIGNAL) {
		uint32_t sig = skf_recr_u32(&r);

		if (!r.bad && sig > 0 && sig <= 64 && !m->exited)
			(void)skf_pidfd_kill(m->h.pidfd, (int)sig);
	}
}

int skf_mon_send_started(struct skf_monitor *m)
{
	struct answer a;

	begin(&a, SKF_LAUNCH_STARTED);
	skf_rec_u32(&a.w, m->h.pid);
	skf_rec_u64(&a.w, m->h.start_time);
	return finish(&a, m->h.engine_sock);
}

bool skf_mon_send_exited(struct skf_monitor *m)
{
	struct answer a;

	if (m->h.engine_sock < 0)
		return false;
	begin(&a, SKF_LAUNCH_EXITED);
	put_exit(&a.w, &m->x);
	return finish(&a, m->h.engine_sock) == 0;
}
