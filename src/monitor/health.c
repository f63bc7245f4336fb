/* monitor/health.c -- health checks with docker's rules: a probe is an exec session in the container's
 * cgroup, started by the monitor's timer; its result is a file, a word in the summary, and an event when the
 * word changes.
 *
 * Invariants: (1) one probe at a time, however long it takes: the next is due one interval after its end;
 * (2) a probe that takes longer than its time-out is killed and counts as failed; (3) of its output the
 * first 4 KB are kept, the rest is read and dropped; (4) results are files health/0 to health/4 on the disk,
 * written in turn: memory stays as it is; (5) during the start period a failure does not count and the start
 * interval is used until the first success. A check that cannot be started counts as failed: it says nothing
 * good of the container. Blocks on the disk only. */
#include "monitor/monitor_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/record.h"
#include "launch/wire.h"
#include "monitor/summary.h"
#include "sys/process.h"
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define SLOTS       5 /* docker keeps as many results */
#define REQUEST_MAX 1024
#define CANNOT      126

static const char *const words[] = {"starting", "healthy", "unhealthy"};

const char *skf_mon_health_word(const struct skf_monitor *m)
{
	return m->h.health ? words[m->health.state] : "";
}

static void set_word(struct skf_summary *s, void *arg)
{
	const struct skf_monitor *m = arg;

	snprintf(s->health, sizeof(s->health), "%s", skf_mon_health_word(m));
}

static void change(struct skf_monitor *m, enum skf_mon_health_state to, bool tell)
{
	char action[40];
	int r;

	if (m->health.state == to)
		return;
	m->health.state = to;
	r = skf_summary_edit(m->h.run_root_fd, m->h.id, set_word, m);
	if (r < 0 && r != -ENOENT)
		skf_mon_warn(m, r, "write the health into the summary: ps shows the old one; ignoring");
	snprintf(action, sizeof(action), "health_status: %s", words[to]);
	if (tell)
		skf_mon_emit(m, action, -1);
}

/* The slots of the life before would be taken for newer ones. */
static void clear_log(const struct skf_monitor *m)
{
	char name[24];

	for (unsigned i = 0; i < SLOTS; i++) {
		snprintf(name, sizeof(name), "health/%u", i);
		(void)unlinkat(m->h.disk_dir, name, 0); /* ENOENT, or it is overwritten soon */
	}
}

void skf_mon_health_start(struct skf_monitor *m)
{
	struct skf_mon_health *c = &m->health;
	uint64_t first = m->h.health_start_ms && m->h.health_start_interval_ms
				 ? m->h.health_start_interval_ms
				 : m->h.health_interval_ms;

	if (!m->h.health)
		return;
	c->failing = 0;
	c->begun = false;
	c->stop_ms = 0;
	c->since_ms = skf_mono_ms();
	c->next_ms = c->since_ms + (int64_t)first;
	change(m, SKF_MON_STARTING, false);
}

void skf_mon_health_stop(struct skf_monitor *m)
{
	struct skf_mon_health *c = &m->health;

	c->next_ms = c->stop_ms = 0;
	if (!m->h.health)
		return;
	if (c->running)
		skf_mon_job_kill(&c->job); /* its process in the container dies with it */
	c->running = false;
	skf_closep(&c->out);
	change(m, SKF_MON_UNHEALTHY, false); /* docker: nobody looks at it any more */
	skf_mon_answer_probes(m, 0, NULL);
}

static void write_result(struct skf_monitor *m, int code)
{
	struct skf_mon_health *c = &m->health;
	SKF_AUTO_FD int dir = skf_mkdirs_at(m->h.disk_dir, "health", 0700);
	char *mem = m->log.buf.p; /* empty between rounds, and made for lines with escapes */
	struct skf_buf b = {.p = mem, .cap = SKF_MON_LOG_BUF, .max = SKF_MON_LOG_BUF - 1};
	struct skf_jw w = SKF_JW(&b);
	char name[12];
	int r = dir;

	m->hot = true;
	skf_jw_obj(&w);
	skf_jw_kint(&w, "v", 1);
	skf_jw_kint(&w, "min", 1);
	skf_jw_kint(&w, "seq", c->seq);
	skf_jw_kint(&w, "start", c->probe_ns);
	skf_jw_kint(&w, "end", skf_now_ns());
	skf_jw_kint(&w, "exitCode", code);
	skf_jw_kint(&w, "failing", c->failing);
	skf_jw_kstrn(&w, "output", (struct skf_str){c->buf, c->len});
	skf_jw_end(&w);
	snprintf(name, sizeof(name), "%u", c->seq++ % SLOTS);
	if (r >= 0)
		r = b.err ? b.err : skf_write_atomic_at(dir, name, b.p, b.len, 0600, 0);
	if (r < 0)
		skf_mon_warn(m, r, "write the result of a health check: inspect does not show it; ignoring");
}

static void act(struct skf_monitor *m)
{
	switch ((enum skf_health_action)m->h.health_action) {
	case SKF_HEALTH_RESTART:
		m->r.forced = true;
		(void)skf_pidfd_kill(m->h.pidfd, SIGKILL); /* ESRCH: it has ended by itself */
		break;
	case SKF_HEALTH_KILL:
		(void)skf_pidfd_kill(m->h.pidfd, SIGKILL);
		break;
	case SKF_HEALTH_STOP:
		m->r.manual = true;
		(void)skf_pidfd_kill(m->h.pidfd, (int)m->h.stop_signal);
		m->health.stop_ms = skf_mono_ms() + (int64_t)m->h.stop_timeout_s * 1000 + 1;
		break;
	case SKF_HEALTH_NONE:
		break;
	}
}

static void finish(struct skf_monitor *m, int code)
{
	struct skf_mon_health *c = &m->health;
	int64_t now = skf_mono_ms();
	bool in_start = c->state == SKF_MON_STARTING && now - c->since_ms < (int64_t)m->h.health_start_ms;
	bool turned;

	if (c->timed_out) {
		code = -1;
		c->len = (uint32_t)snprintf(c->buf, SKF_MON_PROBE_BUF, "Health check exceeded timeout (%gs)",
					    (double)m->h.health_timeout_ms / 1000);
	}
	c->running = false;
	if (code == 0)
		c->failing = 0;
	else if (!in_start)
		c->failing++;
	turned = code && !in_start && c->failing >= m->h.health_retries && c->state != SKF_MON_UNHEALTHY;
	write_result(m, code);
	if (code == 0)
		change(m, SKF_MON_HEALTHY, true);
	else if (turned)
		change(m, SKF_MON_UNHEALTHY, true);
	skf_mon_answer_probes(m, (uint32_t)code, skf_mon_health_word(m));
	c->len = 0;
	in_start = in_start && c->state == SKF_MON_STARTING;
	c->next_ms =
		now + (int64_t)(in_start && m->h.health_start_interval_ms ? m->h.health_start_interval_ms
									  : m->h.health_interval_ms);
	if (turned)
		act(m);
}

static int start_probe(struct skf_monitor *m)
{
	char mem[REQUEST_MAX];
	struct skf_buf b = {.p = mem, .cap = sizeof(mem), .max = sizeof(mem) - 1};
	SKF_AUTO_FD int theirs = -EBADF;
	struct skf_rec w;
	int p[2], fds[2], r = skf_pipe(p, 0);

	if (r < 0)
		return r;
	skf_closep(&m->health.out);
	m->health.out = p[0];
	theirs = fds[0] = fds[1] = p[1];
	(void)skf_set_nonblock(p[0], true); /* poll goes first */
	skf_rec_begin(&w, &b, SKF_LAUNCH_HEALTH, SKF_LAUNCH_VERSION);
	skf_rec_u32(&w, SKF_LAUNCH_STDOUT | SKF_LAUNCH_STDERR | SKF_LAUNCH_KEEP | SKF_LAUNCH_QUIET);
	skf_rec_str(&w, m->h.id);
	skf_rec_str(&w, m->h.root);
	skf_rec_str(&w, m->h.run_root);
	skf_rec_str(&w, "");
	skf_rec_str(&w, "");
	for (unsigned i = 0; i < 3; i++)
		skf_rec_u32(&w, 0);
	skf_rec_end(&w);
	return skf_mon_job_start(m, &m->health.job, "health", &b, fds, 2);
}

int skf_mon_health_probe(struct skf_monitor *m)
{
	struct skf_mon_health *c = &m->health;
	int r;

	if (!m->h.health || m->phase != SKF_MON_RUN)
		return -ENOENT;
	if (c->running)
		return 0;        /* its result is as good */
	if (c->job.pidfd >= 0) { /* the last one has answered and is about to end: then it is our turn */
		c->next_ms = skf_mono_ms();
		return 0;
	}
	if (!c->begun)
		clear_log(m);
	c->begun = c->running = true;
	c->timed_out = false;
	c->len = 0;
	c->probe_ns = skf_now_ns();
	c->end_ms = skf_mono_ms() + (int64_t)m->h.health_timeout_ms;
	r = start_probe(m);
	if (r < 0) {
		c->len = (uint32_t)snprintf(c->buf, SKF_MON_PROBE_BUF, "start skiff-launch: %s",
					    strerrordesc_np(-r));
		finish(m, CANNOT);
	}
	return 0;
}

int64_t skf_mon_health_due(const struct skf_monitor *m)
{
	const struct skf_mon_health *c = &m->health;
	int64_t due = c->running ? c->end_ms : c->next_ms;

	if (!m->h.health || m->phase != SKF_MON_RUN)
		return 0;
	if (!c->running && c->job.pidfd >= 0)
		due = 0; /* the end of the last one's process wakes us */
	return c->stop_ms && (!due || c->stop_ms < due) ? c->stop_ms : due;
}

static void time_out(struct skf_monitor *m, int64_t now)
{
	struct skf_mon_health *c = &m->health;
	char mem[64];
	struct skf_buf b = {.p = mem, .cap = sizeof(mem), .max = sizeof(mem) - 1};
	struct skf_rec w;

	if (c->timed_out) { /* its supervisor does not listen */
		skf_mon_job_kill(&c->job);
		skf_closep(&c->out);
		finish(m, -1);
		return;
	}
	c->timed_out = true;
	c->end_ms = now + SKF_KILL_WAIT_MS;
	skf_rec_begin(&w, &b, SKF_LAUNCH_SIGNAL, SKF_LAUNCH_VERSION);
	skf_rec_u32(&w, SIGKILL);
	skf_rec_end(&w);
	(void)skf_record_send(c->job.sock, &b, NULL, 0); /* else the second time-out ends it */
}

void skf_mon_health_tick(struct skf_monitor *m, int64_t now)
{
	struct skf_mon_health *c = &m->health;

	if (!m->h.health || m->phase != SKF_MON_RUN)
		return;
	if (c->stop_ms && now >= c->stop_ms) {
		(void)skf_pidfd_kill(m->h.pidfd, SIGKILL);
		c->stop_ms = 0;
	}
	if (c->running && now >= c->end_ms)
		time_out(m, now);
	else if (!c->running && c->job.pidfd < 0 && c->next_ms && now >= c->next_ms)
		(void)skf_mon_health_probe(m); /* cannot fail: there is a check and the container runs */
}

void skf_mon_health_read(struct skf_monitor *m)
{
	struct skf_mon_health *c = &m->health;
	char rest[512];
	size_t room = SKF_MON_PROBE_BUF - c->len;
	ssize_t n = read(c->out, room ? c->buf + c->len : rest, room ? room : sizeof(rest));

	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n <= 0)
		skf_closep(&c->out);
	else if (room)
		c->len += (uint32_t)n;
	m->hot = true;
}

void skf_mon_health_answer(struct skf_monitor *m)
{
	struct skf_mon_health *c = &m->health;
	char mem[REQUEST_MAX];
	struct skf_buf b = {.p = mem, .cap = sizeof(mem), .max = sizeof(mem) - 1};
	struct skf_err e = SKF_ERR_INIT;
	struct skf_recr r;
	int n = skf_record_recv(c->job.sock, &b, &r, NULL, 0), code = -1;

	if (n == -EAGAIN || (n == 1 && r.type == SKF_LAUNCH_STARTED))
		return;
	while (c->out >= 0 && m->phase == SKF_MON_RUN) { /* what it wrote is all in the pipe */
		uint32_t before = c->len;

		skf_mon_health_read(m);
		if (c->len == before)
			break;
	}
	if (n == 1 && r.type == SKF_LAUNCH_EXITED) {
		code = (int)skf_recr_u32(&r);
	} else if (n == 1 && r.type == SKF_LAUNCH_FAILED) {
		skf_recr_err(&r, &e);
		code = skf_err_exit_code(&e, CANNOT);
		c->len = (uint32_t)snprintf(c->buf, SKF_MON_PROBE_BUF, "%s", e.msg);
	}
	skf_mon_job_reap(&c->job);
	skf_closep(&c->out);
	if (c->running)
		finish(m, code);
}
