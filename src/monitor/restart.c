/* monitor/restart.c -- the restart policy: docker's rules for when, and how the container comes back.
 *
 * The exit is recorded as always (exit.json, event, cgroup gone), with the summary saying "restarting".
 * After the back-off a skiff-launch is spawned; it makes the container anew in the same run directory, with
 * init as our child (CLONE_PARENT), and answers with descriptors. The control socket, the log, the network
 * namespace and who waits on the socket stay; whoever was attached is told of the end. A launch that fails
 * counts as an end of the container. Invariants: (1) while it waits, `stop` and `kill` by hand end the
 * container for good; (2) a launch that gives no answer within SKF_START_MS is killed. Nothing here blocks.
 */
#include "monitor/monitor_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/record.h"
#include "launch/wire.h"
#include "sys/process.h"
#include <string.h>
#include <unistd.h>

#define BACKOFF_FIRST_MS 100
#define BACKOFF_MAX_MS   60000
#define LONG_LIFE_MS     10000
#define REQUEST_MAX      2048

bool skf_mon_policy_next(struct skf_mon_policy *p, uint32_t code, uint64_t ran_ms)
{
	bool again = false;

	if (ran_ms >= LONG_LIFE_MS)
		p->backoff_ms = 0;
	p->backoff_ms = p->backoff_ms == 0 ? BACKOFF_FIRST_MS : p->backoff_ms * 2;
	if (p->backoff_ms > BACKOFF_MAX_MS)
		p->backoff_ms = BACKOFF_MAX_MS;
	if (!p->manual && (p->policy == SKF_RESTART_ALWAYS || p->policy == SKF_RESTART_UNLESS_STOPPED))
		again = true;
	if (!p->manual && p->policy == SKF_RESTART_ON_FAILURE && code != 0)
		again = p->max == 0 || p->count < p->max;
	if (p->forced && !p->manual)
		again = true;
	p->forced = false;
	p->count += again;
	return again;
}

/* The output of the life that has ended: whoever is attached has had its time. */
static void drop_streams(struct skf_monitor *m)
{
	for (unsigned i = 0; i < 2; i++) {
		skf_mon_stream_end(m, i);
		m->s[i].held = m->s[i].len = m->s[i].next = 0;
		m->s[i].capped = m->s[i].quiet = false;
	}
	for (unsigned i = 0; i < m->n_sinks; i++)
		skf_closep(&m->sinks[i].fd);
	skf_closep(&m->tty_ep);
	skf_closep(&m->h.pidfd);
	skf_mon_reap_strays();
}

void skf_mon_restart_wait(struct skf_monitor *m)
{
	if (m->h.engine_sock >= 0) { /* a foreground `run` ends with the first life, as docker's */
		(void)skf_mon_send_exited(m);
		skf_closep(&m->h.engine_sock);
	}
	m->deadline_ms = skf_mono_ms() + m->r.backoff_ms;
	m->phase = SKF_MON_BACKOFF;
}

static void failed(struct skf_monitor *m, const char *why, uint32_t code)
{
	bool again;

	skf_mon_job_reap(&m->job);
	skf_mon_reap_strays();
	m->x = (struct skf_mon_exit){.code = code, .finished_ns = (uint64_t)skf_now_ns()};
	again = skf_mon_policy_next(&m->r, code, 0);
	skf_mon_record_failure(m, why, again);
	skf_mon_answer_waits(m);
	if (again) {
		skf_mon_restart_wait(m);
	} else {
		skf_mon_log_writer_end(m);
		m->deadline_ms = 0;
		m->phase = SKF_MON_LINGER;
	}
}

void skf_mon_restart_begin(struct skf_monitor *m)
{
	char mem[REQUEST_MAX];
	struct skf_buf b = {.p = mem, .cap = sizeof(mem), .max = sizeof(mem) - 1};
	struct skf_rec w;
	int r;

	drop_streams(m);
	skf_rec_begin(&w, &b, SKF_LAUNCH_RESTART, SKF_LAUNCH_VERSION);
	skf_rec_u32(&w, m->h.netns >= 0 ? SKF_LAUNCH_NETNS : 0);
	skf_rec_str(&w, m->h.id);
	skf_rec_str(&w, m->h.root);
	skf_rec_str(&w, m->h.run_root);
	skf_rec_u32(&w, 0);
	skf_rec_u32(&w, 0);
	skf_rec_str(&w, "");
	skf_rec_u32(&w, m->r.count);
	skf_rec_end(&w);
	m->phase = SKF_MON_RESTARTING;
	m->deadline_ms = skf_mono_ms() + SKF_START_MS;
	r = skf_mon_job_start(m, &m->job, "restart", &b, &m->h.netns, m->h.netns >= 0);
	if (r < 0) {
		skf_mon_warn(m, r, "start skiff-launch to restart the container");
		failed(m, "start skiff-launch to restart the container", 128);
	}
}

static int32_t take(struct skf_fds *fds, int32_t at)
{
	return at >= 0 && (unsigned)at < fds->n ? SKF_TAKE_FD(fds->fd[at]) : -EBADF;
}

static void watch(int fd)
{
	if (fd >= 0)
		(void)skf_set_nonblock(fd,
				       true); /* poll goes first; a refusal cannot happen for what is ours */
}

static void adopt(struct skf_monitor *m, const struct skf_mon_handover *n, struct skf_fds *fds)
{
	int32_t err;

	m->h.pid = n->pid;
	m->h.start_time = n->start_time;
	m->h.started_ns = n->started_ns;
	m->h.cg = n->cg;
	m->h.pidfd = take(fds, n->pidfd);
	m->h.tty = take(fds, n->tty);
	m->h.in = take(fds, n->in);
	m->h.out = take(fds, n->out);
	err = take(fds, n->err);
	m->s[0].tty = m->h.tty >= 0;
	m->s[0].fd = m->s[0].tty ? m->h.tty : m->h.out;
	m->s[1].fd = err;
	if (m->s[0].tty)
		m->h.in = m->h.tty;
	watch(m->s[0].fd);
	watch(m->s[1].fd);
	watch(m->h.in);
	m->x = (struct skf_mon_exit){0};
	m->why[0] = '\0';
	m->exited = false;
	m->phase = SKF_MON_RUN;
	m->deadline_ms = 0;
	m->hot = true;
	skf_mon_health_start(m);
	skf_mon_run_time_start(m);
	if (m->r.manual) /* stopped by hand meanwhile */
		(void)skf_pidfd_kill(m->h.pidfd, SIGKILL);
}

void skf_mon_restart_read(struct skf_monitor *m)
{
	SKF_AUTO(skf_fds_done) struct skf_fds fds = {.n = 0};
	struct skf_err e = SKF_ERR_INIT;
	struct skf_mon_handover n;
	char mem[SKF_MON_HANDOVER_MAX];
	struct skf_buf b = {.p = mem, .cap = sizeof(mem), .max = sizeof(mem) - 1};
	struct skf_recr r;
	int x = skf_record_recv(m->job.sock, &b, &r, &fds, 0);

	if (x == -EAGAIN)
		return;
	if (x <= 0) {
		failed(m, "skiff-launch ended without an answer", 128);
	} else if (r.type == SKF_LAUNCH_FAILED) {
		skf_recr_err(&r, &e);
		failed(m, e.msg, (uint32_t)skf_err_exit_code(&e, 128));
	} else if (r.type != SKF_LAUNCH_RESTARTED || skf_mon_restarted_read(&r, &n) < 0) {
		failed(m, "the answer of skiff-launch is malformed", 128);
	} else {
		adopt(m, &n, &fds);
		skf_mon_job_reap(&m->job);
	}
}

void skf_mon_restart_timeout(struct skf_monitor *m)
{
	skf_mon_job_kill(&m->job);
	failed(m, "skiff-launch gave no answer in time", 128);
}

void skf_mon_restart_cancel(struct skf_monitor *m)
{
	skf_mon_log_writer_end(m);
	skf_mon_record_stop(m);
	skf_mon_answer_waits(m);
	m->deadline_ms = 0;
	m->phase = SKF_MON_LINGER;
}
