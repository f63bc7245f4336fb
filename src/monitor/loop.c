/* monitor/loop.c -- one poll loop from handover to the last byte of output.
 * Phases: RUN until the pidfd says that the process has ended; DRAIN until its output is read and delivered,
 * at most SKF_DRAIN_MS; then the exit is recorded, whoever waits is told; LINGER until attached clients have
 * taken what was read (a pager may take its time: as long as somebody is in the foreground; else
 * SKF_KILL_WAIT_MS). With a restart policy BACKOFF and RESTARTING come instead of LINGER, and then RUN again
 * (restart.c). Invariants: (1) the only endless wait is poll in RUN, and in LINGER on a client that
 * lives; (2) nobody outside can end the monitor but SIGKILL, which also ends the container (PDEATHSIG); (3)
 * the buffers' pages are given back after IDLE_MS of silence. */
#include "monitor/monitor_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "monitor/monitor.h"
#include "sys/process.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define IDLE_MS       1000
#define STACK_SLACK   1024u
#define STACK_DEEP    (96u << 10)
#define WARN_FILE_MAX 65536
#define MAX_POLL      (12 + SKF_MON_MAX_SINKS + 2 * SKF_MAX_MONITOR_CLIENTS)
#define GONE          (POLLERR | POLLHUP | POLLNVAL)

enum who {
	PIDFD,
	LISTEN,
	ENGINE,
	STREAM,
	QUIET,
	STDIN,
	SOURCE,
	SINK,
	CONN,
	JOB,
	JOB_END,
	PROBE,
	PROBE_END,
	PROBE_OUT
};
struct round {
	struct pollfd p[MAX_POLL];
	struct {
		uint8_t who, i;
	} of[MAX_POLL];
	unsigned n;
};

void skf_mon_warn(const struct skf_monitor *m, int r, const char *what)
{
	SKF_AUTO_FD int fd = -EBADF;
	struct skf_log log = {.max = SKF_LOG_WARN};
	struct stat st;

	if (m->h.run_dir < 0)
		return; /* a session without a directory has no place to complain to */
	fd = skf_openat(m->h.run_dir, "monitor.log", O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600);
	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size > WARN_FILE_MAX)
		return;
	log.fd = fd;
	skf_warn(&log, "%s: %s", what, strerrordesc_np(-r));
}

static void add(struct round *r, enum who who, unsigned i, int fd, short events)
{
	if (fd < 0 || r->n >= MAX_POLL)
		return;
	r->p[r->n] = (struct pollfd){.fd = fd, .events = events};
	r->of[r->n].who = (uint8_t)who;
	r->of[r->n].i = (uint8_t)i;
	r->n++;
}

/* Only what can make progress is watched: level-triggered poll would spin on a hang-up that cannot be served
 * yet. */
static void collect(const struct skf_monitor *m, struct round *r)
{
	bool pending = m->in.len > m->in.off, quiet = m->s[0].quiet;

	r->n = 0;
	if (!m->exited)
		add(r, PIDFD, 0, m->h.pidfd, POLLIN);
	add(r, LISTEN, 0, m->h.listen_fd, POLLIN);
	add(r, ENGINE, 0, m->h.engine_sock, POLLIN);
	for (unsigned i = 0; i < 2; i++)
		if (skf_mon_stream_ready(m, i) && !m->s[i].quiet)
			add(r, STREAM, i, m->s[i].fd, POLLIN);
	if (quiet)
		add(r, QUIET, 0, m->tty_ep, POLLIN);
	else if (pending)
		add(r, STDIN, 0, m->h.in, POLLOUT);
	else if (m->h.in != m->h.tty)
		add(r, STDIN, 0, m->h.in, 0); /* POLLERR: the container closed it */
	for (unsigned i = 0; i < m->n_sources && m->h.in >= 0 && !pending && !quiet; i++)
		add(r, SOURCE, i, m->sources[i].fd, POLLIN);
	for (unsigned i = 0; i < m->n_sinks; i++)
		add(r, SINK, i, m->sinks[i].fd,
		    m->sinks[i].done < m->s[m->sinks[i].stream].len ? POLLOUT : 0);
	for (unsigned i = 0; i < m->n_conns; i++)
		add(r, CONN, i, m->conns[i].fd, POLLIN);
	add(r, JOB, 0, m->job.sock, POLLIN);
	if (m->job.sock < 0)
		add(r, JOB_END, 0, m->job.pidfd, POLLIN);
	add(r, PROBE, 0, m->health.job.sock, POLLIN);
	if (m->health.job.sock < 0)
		add(r, PROBE_END, 0, m->health.job.pidfd, POLLIN);
	add(r, PROBE_OUT, 0, m->health.out, POLLIN);
}

static void wake_tty(struct skf_monitor *m)
{
	struct epoll_event ev;

	(void)epoll_wait(m->tty_ep, &ev, 1, 0); /* takes the edge */
	m->s[0].quiet = false;
}

static void dispatch(struct skf_monitor *m, enum who who, unsigned i, short ev)
{
	switch (who) {
	case PIDFD:
		(void)skf_mon_reap(m);
		break;
	case LISTEN:
		skf_mon_accept(m);
		break;
	case ENGINE:
		skf_mon_engine_read(m);
		break;
	case STREAM:
		if (m->s[i].fd >= 0)
			skf_mon_stream_read(m, i);
		break;
	case QUIET:
		wake_tty(m);
		break;
	case STDIN:
		if (ev & POLLOUT)
			skf_mon_stdin_write(m);
		else if (m->h.in != m->h.tty)
			skf_mon_stdin_close(m);
		break;
	case SOURCE:
		if (m->sources[i].fd >= 0)
			skf_mon_source_read(m, &m->sources[i]);
		break;
	case SINK:
		if (ev & POLLOUT)
			skf_mon_sink_write(m, &m->sinks[i]);
		else if (ev & GONE)
			skf_closep(&m->sinks[i].fd);
		break;
	case CONN:
		skf_mon_conn_read(m, &m->conns[i]);
		break;
	case JOB:
		skf_mon_restart_read(m);
		break;
	case JOB_END:
		skf_mon_job_reap(&m->job);
		break;
	case PROBE:
		if (m->health.job.sock >= 0)
			skf_mon_health_answer(m);
		break;
	case PROBE_END:
		skf_mon_job_reap(&m->health.job);
		break;
	case PROBE_OUT:
		if (m->health.out >= 0)
			skf_mon_health_read(m);
		break;
	}
}

/* Removes dead entries. A sink of an output that has ended is done once it has everything: its client sees
 * the end then. */
static void sweep(struct skf_monitor *m)
{
	for (unsigned i = 0; i < m->n_sinks;) {
		struct skf_mon_sink *k = &m->sinks[i];

		if (k->fd >= 0 && m->s[k->stream].fd < 0 && k->done >= m->s[k->stream].len)
			skf_closep(&k->fd);
		if (k->fd < 0)
			*k = m->sinks[--m->n_sinks];
		else
			i++;
	}
	for (unsigned i = 0; i < m->n_sources;) {
		if (m->sources[i].fd < 0)
			m->sources[i] = m->sources[--m->n_sources];
		else
			i++;
	}
	for (unsigned i = 0; i < m->n_conns;) {
		if (m->conns[i].fd < 0)
			m->conns[i] = m->conns[--m->n_conns];
		else
			i++;
	}
}

static void start_drain(struct skf_monitor *m)
{
	int r = 0;

	/* Whoever is left in the container (no pid namespace of its own) would keep the output open. */
	if (m->h.cg.used)
		r = skf_cg_kill_all(&m->h.cg, SKF_KILL_WAIT_MS);
	if (r < 0)
		skf_mon_warn(m, r,
			     "kill what is left in the container's cgroup; ignoring until it is removed");
	skf_mon_stdin_close(m);
	m->s[0].quiet = m->s[1].quiet = false;
	m->deadline_ms = skf_mono_ms() + SKF_DRAIN_MS;
	m->phase = SKF_MON_DRAIN;
}

/* What is in the pipes now is still the container's; what a stranger who holds them adds later is not waited
 * for. */
static void cap_streams(struct skf_monitor *m)
{
	for (unsigned i = 0; i < 2; i++) {
		int n = 0;

		if (m->s[i].fd < 0)
			continue;
		if (ioctl(m->s[i].fd, FIONREAD, &n) < 0 || n < 0)
			n = 0;
		m->s[i].capped = true;
		m->s[i].budget = (uint32_t)n;
	}
}

static void end_capped(struct skf_monitor *m)
{
	for (unsigned i = 0; i < 2; i++) {
		struct pollfd p = {.fd = m->s[i].fd, .events = POLLIN};

		if (m->s[i].capped && skf_mon_stream_ready(m, i) &&
		    (m->s[i].budget == 0 || poll(&p, 1, 0) == 0))
			skf_mon_stream_end(m, i);
	}
}

/* Everything is read: what happened is written down, and whoever waits is told. */
static void end_drain(struct skf_monitor *m)
{
	uint64_t ran =
		m->x.finished_ns > m->h.started_ns ? (m->x.finished_ns - m->h.started_ns) / 1000000 : 0;
	bool again = !(m->h.flags & (SKF_MONH_EXEC | SKF_MONH_HELD)) &&
		     skf_mon_policy_next(&m->r, m->x.code, ran);

	cap_streams(m);
	skf_mon_health_stop(m);
	if (!again)
		skf_mon_log_writer_end(m);
	skf_mon_record_exit(m, again);
	skf_mon_answer_waits(m);
	m->deadline_ms = 0;
	m->phase = SKF_MON_LINGER;
	if (again)
		skf_mon_restart_wait(m);
}

static void step(struct skf_monitor *m)
{
	int64_t now;

	if (m->phase == SKF_MON_RUN && m->exited)
		start_drain(m);
	if (m->phase == SKF_MON_RUN && !m->h.health && !m->run_end_ms)
		return;
	now = skf_mono_ms();
	if (m->phase == SKF_MON_RUN && m->run_end_ms && now >= m->run_end_ms) {
		m->run_end_ms = 0;
		(void)skf_pidfd_kill(m->h.pidfd, SIGKILL); /* ESRCH: it has ended by itself */
	}
	skf_mon_health_tick(m, now);
	if (m->phase == SKF_MON_DRAIN && (skf_mon_drained(m) || now >= m->deadline_ms))
		end_drain(m);
	if (m->phase == SKF_MON_BACKOFF && now >= m->deadline_ms)
		skf_mon_restart_begin(m);
	else if (m->phase == SKF_MON_RESTARTING && now >= m->deadline_ms)
		skf_mon_restart_timeout(m);
	if (m->phase != SKF_MON_LINGER)
		return;
	end_capped(m);
	skf_mon_answer_waits(m);
	if (m->h.engine_sock < 0 && m->deadline_ms == 0)
		m->deadline_ms = now + SKF_KILL_WAIT_MS;
	if (skf_mon_drained(m) || (m->deadline_ms && now >= m->deadline_ms))
		m->phase = SKF_MON_DONE;
}

void skf_mon_run_time_start(struct skf_monitor *m)
{
	m->run_end_ms = m->h.run_ms ? skf_mono_ms() + (int64_t)m->h.run_ms : 0;
}

static void give_back(char *from, char *end)
{
	uintptr_t page = (uintptr_t)sysconf(_SC_PAGESIZE);
	uintptr_t p = ((uintptr_t)from + page - 1) & ~(page - 1), q = (uintptr_t)end & ~(page - 1);

	/* ENOMEM when a part was never mapped (stack): the rest is given back all the same. It only costs
	 * memory. */
	if (p < q)
		(void)madvise((void *)p, q - p, MADV_DONTNEED);
}

/* The part of the stack that deeper calls used and that nobody uses now. */
static void __attribute__((noinline)) give_back_stack(void)
{
	char *here = __builtin_frame_address(0);

	give_back(here - STACK_SLACK - STACK_DEEP, here - STACK_SLACK);
}

static void trim(struct skf_monitor *m)
{
	for (unsigned i = 0; i < 2; i++) {
		skf_mon_stream_compact(m, i);
		give_back(m->s[i].buf + m->s[i].len, m->s[i].buf + SKF_MON_STREAM_BUF);
	}
	give_back(m->log.buf.p, m->log.buf.p + SKF_MON_LOG_BUF); /* empty between rounds */
	if (m->in.off == m->in.len)
		give_back(m->in.buf, m->in.buf + SKF_MON_STDIN_BUF);
	if (!m->health.running)
		give_back(m->health.buf, m->health.buf + SKF_MON_PROBE_BUF);
	give_back_stack();
	m->hot = false;
}

static int timeout_of(const struct skf_monitor *m)
{
	int64_t left;

	int64_t due = m->phase == SKF_MON_RUN ? skf_mon_health_due(m) : m->deadline_ms;

	if (m->phase == SKF_MON_RUN && m->run_end_ms && (due == 0 || m->run_end_ms < due))
		due = m->run_end_ms;
	if (due == 0)
		return m->hot && m->phase == SKF_MON_RUN ? IDLE_MS : -1;
	left = due - skf_mono_ms();
	if (left > IDLE_MS && m->hot && m->phase == SKF_MON_RUN)
		left = IDLE_MS;
	return left <= 0 ? 0 : left > INT32_MAX ? INT32_MAX : (int)left;
}

static void run(struct skf_monitor *m)
{
	struct round r;

	while (m->phase != SKF_MON_DONE) {
		int n;

		collect(m, &r);
		n = poll(r.p, r.n, timeout_of(m));
		if (n == 0 && (m->phase == SKF_MON_RUN || m->phase == SKF_MON_BACKOFF) && m->hot)
			trim(m);
		for (unsigned i = 0; n > 0 && i < r.n; i++)
			if (r.p[i].revents)
				dispatch(m, (enum who)r.of[i].who, r.of[i].i, r.p[i].revents);
		sweep(m);
		step(m);
	}
}

/* text: memory that is given back soon, because a page of stack once used stays ours for ever. */
static int read_handover(struct skf_mon_handover *h, char *text)
{
	int fd = SKF_MON_HANDOVER_FD, r;
	ssize_t n = pread(fd, text, SKF_MON_HANDOVER_MAX, 0);

	r = n < 0 ? -errno : skf_mon_handover_read(text, (size_t)n, h);
	skf_closep(&fd);
	return r;
}

static int set_up(struct skf_monitor *m)
{
	struct stat st;
	int r;

	m->mem = mmap(NULL, 2 * SKF_MON_STREAM_BUF + SKF_MON_LOG_BUF + SKF_MON_STDIN_BUF + SKF_MON_PROBE_BUF,
		      PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
	if (m->mem == MAP_FAILED)
		return -errno;
	m->hot = true;
	r = read_handover(&m->h, m->mem);
	if (r < 0)
		return r;
	m->s[0] = (struct skf_mon_stream){
		.fd = m->h.tty >= 0 ? m->h.tty : m->h.out, .tty = m->h.tty >= 0, .buf = m->mem};
	m->s[1] = (struct skf_mon_stream){.fd = m->h.tty >= 0 ? -EBADF : m->h.err,
					  .buf = m->mem + SKF_MON_STREAM_BUF};
	if (m->h.tty >= 0)
		m->h.in = m->h.tty;
	m->tty_ep = -EBADF;
	m->log = (struct skf_mon_log){.drv = skf_mon_log_driver(m->h.log_driver),
				      .pipe = -EBADF,
				      .fd = m->h.log_fd,
				      .dir = m->h.disk_dir,
				      .id = m->h.id,
				      .max_size = m->h.log_max_size,
				      .squeeze = m->h.log_squeeze && m->h.reaper[0],
				      .max_file = m->h.log_max_file ? m->h.log_max_file : 1};
	m->log.buf = (struct skf_buf){
		.p = m->mem + 2 * SKF_MON_STREAM_BUF, .cap = SKF_MON_LOG_BUF, .max = SKF_MON_LOG_BUF - 1};
	m->in.buf = m->log.buf.p + SKF_MON_LOG_BUF;
	m->health.buf = m->in.buf + SKF_MON_STDIN_BUF;
	m->health.out = m->health.job.sock = m->health.job.pidfd = m->job.sock = m->job.pidfd = -EBADF;
	m->r = (struct skf_mon_policy){.policy = m->h.restart, .max = m->h.restart_max};
	if (m->log.fd >= 0 && fstat(m->log.fd, &st) == 0)
		m->log.size = (uint64_t)st.st_size;
	m->log.rotate_at = m->log.max_size;
	for (unsigned i = 0; i < 2; i++)
		if (m->s[i].fd >= 0)
			(void)skf_set_nonblock(
				m->s[i].fd,
				true); /* poll goes first; a refusal cannot happen for a pipe of our own */
	if (m->h.in >= 0)
		(void)skf_set_nonblock(m->h.in, true);
	if (m->h.engine_sock >= 0)
		(void)skf_set_nonblock(m->h.engine_sock, true);
	if (m->h.log_nonblocking && m->log.drv && m->log.drv->format && m->log.fd >= 0)
		skf_mon_log_writer_start(m);
	return 0;
}

static void attach_first(struct skf_monitor *m)
{
	int r = m->h.att_in >= 0 ? skf_mon_add_source(m, &m->h.att_in) : 0;

	if (r == 0 && m->h.att_out >= 0)
		r = skf_mon_add_sink(m, SKF_MON_STDOUT, &m->h.att_out);
	if (r == 0 && m->h.att_err >= 0)
		r = skf_mon_add_sink(m, SKF_MON_STDERR, &m->h.att_err);
	if (r < 0)
		skf_mon_warn(m, r, "attach who started the container; ignoring");
}

/* The terminal that started us and its signals are no business of a supervisor. */
static int detach_process(void)
{
	static const int ignored[] = {SIGHUP,  SIGINT,  SIGQUIT, SIGTERM, SIGPIPE, SIGUSR1,
				      SIGUSR2, SIGALRM, SIGTSTP, SIGTTIN, SIGTTOU};
	int null_fd;

	for (size_t i = 0; i < SKF_ARRAY_LEN(ignored); i++)
		(void)signal(ignored[i], SIG_IGN); /* fails for no valid signal but KILL and STOP */
	null_fd = skf_openat(AT_FDCWD, "/dev/null", O_RDWR, 0);
	for (int fd = 0; fd < 3 && null_fd >= 0; fd++)
		(void)dup2(null_fd, fd);
	if (null_fd > 2)
		close(null_fd);
	/* Losing the monitor means losing the container, so that it should go last; EPERM without
	 * CAP_SYS_RESOURCE. */
	(void)skf_write_existing_at(AT_FDCWD, "/proc/self/oom_score_adj", "-999");
	return chdir("/") < 0 ? -errno : 0; /* no directory is held busy by us */
}

int skf_monitor_main(void)
{
	struct skf_monitor m;
	bool heard;

	/* Not the arrays: they are written when they are used. */
	memset(&m, 0, offsetof(struct skf_monitor, sources));
	if (detach_process() < 0 || set_up(&m) < 0)
		return 1; /* init dies with us, and the engine sees its socket closed without STARTED */
	attach_first(&m);
	if (!(m.h.flags & SKF_MONH_HELD)) {
		skf_mon_health_start(&m);
		skf_mon_run_time_start(&m);
	}
	if (m.h.engine_sock >= 0 && (skf_mon_send_started(&m) < 0 || !(m.h.flags & SKF_MONH_KEEP_SOCK)))
		skf_closep(&m.h.engine_sock);
	run(&m);
	for (unsigned i = 0; i < m.n_sinks; i++)
		skf_closep(&m.sinks[i].fd);
	skf_mon_remove_sockets(&m);
	heard = skf_mon_send_exited(&m);
	if (heard)
		skf_mon_sweep_if_asked(&m);
	else
		skf_mon_spawn_reaper(&m);
	return 0;
}
