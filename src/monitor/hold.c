/* monitor/hold.c -- the holder of a pod's namespaces: a poll loop over its control socket.
 * Invariants: (1) requests are those of monitor/wire.h, with the pod's id where a container's would be, and
 * one of its own, NAMESPACES; a peer that is neither uid 0 nor our own uid is refused; (2) nothing blocks
 * but poll; (3) it never enters the namespaces that it holds: the reaper that it spawns needs the host's.
 * What it holds goes with its process, however that ends. */
#include "monitor/hold.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/proc.h"
#include "base/record.h"
#include "launch/wire.h"
#include "monitor/wire.h"
#include "sys/process.h"
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define REQUEST_MAX 2048
#define ANSWER_MAX  1024

struct hold {
	struct skf_hold_handover h;
	struct skf_mon_exit x;
	bool ended, killed; /* killed: by a request, whose sender cleans up */
	struct {
		int fd;
		bool waits;
	} conn[SKF_MAX_MONITOR_CLIENTS];
	unsigned n_conns;
};
struct answer {
	char mem[ANSWER_MAX];
	struct skf_buf b;
	struct skf_rec w;
	int fds[SKF_HOLD_N];
	unsigned n_fds;
};

static void begin(struct answer *a, uint16_t type)
{
	a->n_fds = 0;
	a->b = (struct skf_buf){.p = a->mem, .cap = sizeof(a->mem), .max = sizeof(a->mem) - 1};
	skf_rec_begin(&a->w, &a->b, type, SKF_MON_VERSION);
}

static int finish(struct answer *a, int fd)
{
	skf_rec_end(&a->w);
	return skf_record_send(fd, &a->b, a->fds, a->n_fds);
}

static void put_error(struct answer *a, const struct skf_err *e)
{
	begin(a, SKF_MON_ERROR);
	skf_rec_err(&a->w, e);
}

static int hello(struct hold *h, const struct skf_mon_request *q, struct answer *a, struct skf_err *e)
{
	begin(a, SKF_MON_HELLO);
	skf_rec_str(&a->w, SKF_VERSION);
	skf_rec_u32(&a->w, SKF_MON_VERSION);
	skf_rec_u32(&a->w, (uint32_t)getpid());
	return 0;
}

static int state(struct hold *h, const struct skf_mon_request *q, struct answer *a, struct skf_err *e)
{
	begin(a, SKF_MON_STATE);
	skf_rec_str(&a->w, "running");
	skf_rec_u32(&a->w, h->h.init_pid);
	skf_rec_u64(&a->w, 0);
	skf_rec_u64(&a->w, 0);
	skf_rec_u32(&a->w, 0);
	skf_rec_u32(&a->w, 0);
	skf_rec_u64(&a->w, 0);
	return 0;
}

/* Whatever the signal: there is nobody to catch it. */
static int kill_(struct hold *h, const struct skf_mon_request *q, struct answer *a, struct skf_err *e)
{
	int r = h->h.pidfd >= 0 ? skf_pidfd_kill(h->h.pidfd, SIGKILL) : 0;

	if (r < 0 && r != -ESRCH)
		return skf_fail_sys(e, r, "end the init of pod '%s'", h->h.id);
	h->killed = h->ended = true;
	begin(a, SKF_MON_OK);
	return 0;
}

static int namespaces(struct hold *h, const struct skf_mon_request *q, struct answer *a, struct skf_err *e)
{
	uint32_t set = 0;

	begin(a, SKF_MON_NAMESPACES);
	for (unsigned i = 0; i < SKF_HOLD_N; i++) {
		if (h->h.ns[i] < 0)
			continue;
		set |= 1u << i;
		a->fds[a->n_fds++] = h->h.ns[i];
	}
	skf_rec_u32(&a->w, set);
	return 0;
}

static int shm(struct hold *h, const struct skf_mon_request *q, struct answer *a, struct skf_err *e)
{
	begin(a, SKF_MON_SHM);
	if (h->h.shm >= 0)
		a->fds[a->n_fds++] = h->h.shm;
	return 0;
}

static const struct {
	uint16_t type;
	int (*fn)(struct hold *, const struct skf_mon_request *, struct answer *, struct skf_err *);
} requests[] = {
	{SKF_MON_HELLO, hello},           {SKF_MON_STATE, state}, {SKF_MON_KILL, kill_},
	{SKF_MON_NAMESPACES, namespaces}, {SKF_MON_SHM, shm},
};

/* 0 answered into a, 1 answered later, -1. */
static int handle(struct hold *h, unsigned conn, struct skf_recr *r, struct answer *a, struct skf_err *e)
{
	struct skf_mon_request q;
	int n = skf_mon_request_read(r, &q);

	if (n == -EOPNOTSUPP)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"the holder of a pod (skiff %s) does not know request %u", SKF_VERSION,
				r->type);
	if (n < 0)
		return skf_fail(e, SKF_EINVALID, "request %u is malformed", r->type);
	if (strcmp(q.container, h->h.id) != 0)
		return skf_fail(e, SKF_ENOTFOUND, "this is the holder of pod '%s', not of '%.70s'", h->h.id,
				q.container);
	if (q.type == SKF_MON_WAIT) {
		h->conn[conn].waits = true;
		return 1;
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(requests); i++)
		if (requests[i].type == q.type)
			return requests[i].fn(h, &q, a, e);
	return skf_fail(e, SKF_EUNSUPPORTED, "pod '%s' has no process of its own to do that with", h->h.id);
}

static void read_conn(struct hold *h, unsigned i)
{
	SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
	struct skf_err e = SKF_ERR_INIT;
	char mem[REQUEST_MAX];
	struct skf_buf b = {.p = mem, .cap = sizeof(mem), .max = sizeof(mem) - 1};
	struct answer a;
	struct skf_recr r;
	int n = skf_record_recv(h->conn[i].fd, &b, &r, &fds, 0);

	if (n == -EAGAIN)
		return;
	if (n == 0 || (n < 0 && n != -EBADMSG)) {
		skf_closep(&h->conn[i].fd);
		return;
	}
	n = n < 0 ? skf_fail(&e, SKF_EINVALID, "the request is malformed or longer than %d bytes",
			     REQUEST_MAX)
		  : handle(h, i, &r, &a, &e);
	if (n < 0)
		put_error(&a, &e);
	if (n != 1 && finish(&a, h->conn[i].fd) < 0)
		skf_closep(&h->conn[i].fd);
}

static bool peer_allowed(int fd)
{
	struct ucred c;
	socklen_t n = sizeof(c);

	return getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &c, &n) == 0 && (c.uid == 0 || c.uid == geteuid());
}

static void accept_conn(struct hold *h)
{
	SKF_AUTO_FD int fd = accept4(h->h.listen_fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);
	struct skf_err e = SKF_ERR_INIT;
	struct answer a;

	if (fd < 0)
		return;
	if (!peer_allowed(fd)) {
		skf_fail(&e, SKF_EDENIED,
			 "the holder of pod '%s' takes requests of its owner and of root only", h->h.id);
	} else if (h->n_conns >= SKF_MAX_MONITOR_CLIENTS) {
		skf_fail(&e, SKF_ELIMIT, "the holder of pod '%s' has %u clients already; close some of them",
			 h->h.id, h->n_conns);
	} else {
		h->conn[h->n_conns].waits = false;
		h->conn[h->n_conns++].fd = SKF_TAKE_FD(fd);
		return;
	}
	put_error(&a, &e);
	(void)finish(&a, fd); /* a peer that does not listen cannot be told */
}

static void sweep(struct hold *h)
{
	for (unsigned i = 0; i < h->n_conns;) {
		if (h->conn[i].fd < 0)
			h->conn[i] = h->conn[--h->n_conns];
		else
			i++;
	}
}

static void run(struct hold *h)
{
	struct pollfd p[2 + SKF_MAX_MONITOR_CLIENTS];

	while (!h->ended) {
		unsigned had = h->n_conns;

		p[0] = (struct pollfd){.fd = h->h.listen_fd, .events = POLLIN};
		p[1] = (struct pollfd){.fd = h->h.pidfd, .events = POLLIN};
		for (unsigned i = 0; i < had; i++)
			p[2 + i] = (struct pollfd){.fd = h->conn[i].fd, .events = POLLIN};
		if (poll(p, 2 + had, -1) <= 0)
			continue;
		for (unsigned i = 0; i < had; i++)
			if (p[2 + i].revents)
				read_conn(h, i);
		if (p[0].revents)
			accept_conn(h);
		if (p[1].revents)
			h->ended = true;
		sweep(h);
	}
}

static void answer_waits(struct hold *h)
{
	struct answer a;

	for (unsigned i = 0; i < h->n_conns; i++) {
		if (!h->conn[i].waits)
			continue;
		begin(&a, SKF_MON_EXIT);
		skf_rec_u32(&a.w, h->killed ? 0 : 128 + SIGKILL);
		skf_rec_u32(&a.w, 0);
		skf_rec_u32(&a.w, 0);
		skf_rec_u64(&a.w, (uint64_t)skf_now_ns());
		(void)finish(&a, h->conn[i].fd); /* who went away does not wait any more */
	}
}

/* The pod's init ended by itself: what the engine made for the pod has to go. */
static void spawn_reaper(struct hold *h)
{
	char *argv[] = {h->h.reaper,   (char[]){"--root"}, h->h.root,        (char[]){"--run-root"},
			h->h.run_root, (char[]){"system"}, (char[]){"reap"}, h->h.id,
			NULL};
	struct skf_spawn s = {.path = h->h.reaper, .argv = argv, .stdio = {-1, -1, -1}, .new_session = true};

	if (h->h.reaper[0])
		(void)skf_spawn(&s, NULL, NULL); /* `skiff system check --repair` finds what stays */
}

static int send_started(struct hold *h)
{
	struct answer a;
	uint64_t start = 0;
	int r = skf_proc_start_time(getpid(), &start);

	if (r < 0)
		return r;
	begin(&a, SKF_LAUNCH_STARTED);
	skf_rec_u32(&a.w, (uint32_t)getpid());
	skf_rec_u64(&a.w, start);
	return finish(&a, h->h.engine_sock);
}

static int take_over(struct hold *h)
{
	char text[SKF_MON_HANDOVER_MAX];
	ssize_t n = pread(SKF_MON_HANDOVER_FD, text, sizeof(text), 0);
	int r = n < 0 ? -errno : skf_hold_read(text, (size_t)n, &h->h);
	const int32_t fds[] = {h->h.listen_fd, h->h.run_dir, h->h.engine_sock, h->h.pidfd, h->h.shm};

	if (r < 0)
		return r;
	close(SKF_MON_HANDOVER_FD);
	for (size_t i = 0; i < SKF_ARRAY_LEN(fds) && r == 0; i++)
		if (fds[i] >= 0)
			r = skf_set_cloexec(fds[i], true);
	for (unsigned i = 0; i < SKF_HOLD_N && r == 0; i++)
		if (h->h.ns[i] >= 0)
			r = skf_set_cloexec(h->h.ns[i], true);
	return r;
}

int skf_hold_main(void)
{
	struct hold h = {
		.h.listen_fd = -1, .h.pidfd = -1, .h.engine_sock = -1, .h.run_dir = -1, .h.shm = -1};

	signal(SIGPIPE, SIG_IGN);
	signal(SIGHUP, SIG_IGN);
	if (take_over(&h) < 0)
		return 1;
	if (send_started(&h) < 0)
		return 1; /* nobody knows of the pod's start: it does not take place */
	close(h.h.engine_sock);
	run(&h);
	if (h.h.pidfd >= 0) {
		int status;

		(void)skf_wait_pid((pid_t)h.h.init_pid, h.h.pidfd, SKF_KILL_WAIT_MS,
				   &status); /* reaped by the host's init otherwise */
	}
	(void)unlinkat(h.h.run_dir, "ctl.sock", 0); /* it goes with its directory otherwise */
	answer_waits(&h);
	if (!h.killed)
		spawn_reaper(&h);
	return 0;
}
