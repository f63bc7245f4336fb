/* monitor/end.c -- what happens once the process has ended. The monitor undoes what launch made and the
 * kernel does not clean up: the cgroup and the sockets; everything else is the reaper's (DESIGN 3). Order:
 * exit.json first, because it is the record that must not be lost; the cgroup before anybody is told, so
 * that who waits may start the container again; summary last, because `ps` reads it. Blocks at most
 * SKF_CGROUP_RM_MS on the cgroup, otherwise on disk and tmpfs. */
#include "monitor/monitor_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/proc.h"
#include "monitor/event.h"
#include "monitor/summary.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define SIGNAL_BASE 128

int skf_mon_reap(struct skf_monitor *m)
{
	siginfo_t si = {0};
	int r;

	do
		r = waitid(P_PIDFD, (id_t)m->h.pidfd, &si, WEXITED | WNOHANG);
	while (r < 0 && errno == EINTR);
	if (r == 0 && si.si_pid == 0)
		return 0;
	if (r < 0 && errno == ECHILD && m->job.pidfd >= 0)
		return 0; /* a foreign runtime's process is the restarting launch's child until that ends,
			     which it is about to do */
	if (r < 0) {      /* not our child any more, yet gone: nobody can know how it ended */
		m->x.code = SIGNAL_BASE + SIGKILL;
		m->x.signal = SIGKILL;
	} else if (si.si_code == CLD_EXITED) {
		m->x.code = (uint32_t)si.si_status & 0xff;
	} else {
		m->x.signal = (uint32_t)si.si_status;
		m->x.code = SIGNAL_BASE + m->x.signal;
	}
	m->x.finished_ns = (uint64_t)skf_now_ns();
	m->exited = true;
	return 1;
}

static void write_exit(struct skf_monitor *m, const char *reason, const char *error)
{
	char text[4096];
	struct skf_buf b = {.p = text, .cap = sizeof(text), .max = sizeof(text) - 1};
	struct skf_jw w = SKF_JW(&b);
	int r;

	skf_jw_obj(&w);
	skf_jw_kint(&w, "v", 1);
	skf_jw_kint(&w, "min", 1);
	skf_jw_kint(&w, "exitCode", m->x.code);
	skf_jw_kint(&w, "signal", m->x.signal);
	skf_jw_kbool(&w, "oomKilled", m->x.oom_killed);
	skf_jw_ku64(&w, "startedAt", m->h.started_ns);
	skf_jw_ku64(&w, "finishedAt", m->x.finished_ns);
	skf_jw_kstr(&w, "reason", reason);
	skf_jw_kstr(&w, "error", error);
	skf_jw_kbool(&w, "manuallyStopped", m->r.manual && !m->r.shutdown);
	skf_jw_kint(&w, "restarts", m->r.count);
	skf_jw_end(&w);
	r = b.err ? b.err : skf_write_atomic_at(m->h.disk_dir, "exit.json", b.p, b.len, 0600, 0);
	if (r < 0)
		skf_mon_warn(m, r, "write exit.json: the exit status is only in the summary; ignoring");
}

void skf_mon_emit(const struct skf_monitor *m, const char *action, int code)
{
	struct skf_summary s;
	bool known = skf_summary_read(m->h.run_root_fd, m->h.id, &s) ==
		     0; /* derived data: without it there is no name */
	int r = skf_event_emit(m->h.run_root_fd, "container", action, m->h.id, known ? s.name : "",
			       known ? s.image : "", code);

	if (r < 0)
		skf_mon_warn(
			m, r,
			"write an event: followers of events miss a change of this container; ignoring");
}

struct end_edit {
	const struct skf_monitor *m;
	const char *state;
};

static void edit_end(struct skf_summary *s, void *arg)
{
	const struct end_edit *x = arg;

	snprintf(s->state, sizeof(s->state), "%s", x->state);
	s->pid = 0;
	s->start_time = 0;
	s->exit_code = (int32_t)x->m->x.code;
	s->finished_ns = x->m->x.finished_ns;
	s->restarts = x->m->r.count;
}

static void write_summary(const struct skf_monitor *m, const char *state)
{
	struct end_edit x = {m, state};
	int r = skf_summary_edit(m->h.run_root_fd, m->h.id, edit_end, &x);

	if (r < 0 && r != -ENOENT)
		skf_mon_warn(m, r,
			     "write the summary: ps shows this container as running until it is reaped; "
			     "ignoring");
}

/* Who does not die, by name: what an administrator needs to know of a state stopping-failed. */
static void warn_stuck(const struct skf_monitor *m, int r)
{
	char text[320], name[32], path[40];
	struct skf_buf b = {.p = text, .cap = sizeof(text), .max = sizeof(text) - 1};
	pid_t pids[8];
	int n = skf_cg_pids(&m->h.cg, pids, SKF_ARRAY_LEN(pids));

	skf_buf_str(&b, "remove the container's cgroup; stuck:");
	for (int i = 0; i < n && i < (int)SKF_ARRAY_LEN(pids); i++) {
		struct skf_buf comm = {.p = name, .cap = sizeof(name), .max = sizeof(name) - 1};

		snprintf(path, sizeof(path), "/proc/%d/comm", pids[i]);
		if (skf_read_file_at(AT_FDCWD, path, sizeof(name) - 1, &comm) < 0)
			continue;
		skf_buf_fmt(&b, " %d (%.*s)", pids[i], (int)strcspn(name, "\n"), name);
	}
	skf_buf_str(&b,
		    n > 0 ? "; the reap tries again; ignoring" : " none; the reap tries again; ignoring");
	skf_mon_warn(m, r, text);
}

static int remove_cgroup(const struct skf_monitor *m)
{
	int r;

	if (!m->h.cg.used)
		return 0;
	r = skf_cg_kill_all(&m->h.cg, SKF_KILL_WAIT_MS);
	if (r == 0)
		r = skf_cg_remove(&m->h.cg, SKF_CGROUP_RM_MS);
	if (r < 0)
		warn_stuck(m, r);
	return r;
}

void skf_mon_record_exit(struct skf_monitor *m, bool again)
{
	int r;

	if (m->h.flags & SKF_MONH_EXEC) {
		if (!(m->h.flags & SKF_MONH_QUIET))
			skf_mon_emit(m, "exec_die", (int)m->x.code);
		return;
	}
	m->x.oom_killed = m->h.cg.used && skf_cg_oom_kills(&m->h.cg) > 0;
	write_exit(m, "exited", "");
	r = remove_cgroup(m);
	write_summary(m, r < 0 ? "stopping-failed" : again ? "restarting" : "exited");
	if (m->x.oom_killed)
		skf_mon_emit(m, "oom", -1);
	skf_mon_emit(m, "die", (int)m->x.code);
}

void skf_mon_record_failure(struct skf_monitor *m, const char *why, bool again)
{
	snprintf(m->why, sizeof(m->why), "%s", why); /* for people: a cut does no harm */
	write_exit(m, "restart-failed", m->why);
	write_summary(m, again ? "restarting" : "exited");
	skf_mon_emit(m, "die", (int)m->x.code);
}

void skf_mon_record_stop(struct skf_monitor *m)
{
	write_exit(m, m->why[0] ? "restart-failed" : "exited", m->why);
	write_summary(m, "exited");
}

void skf_mon_remove_sockets(struct skf_monitor *m)
{
	char dir[2 * SKF_ID_LEN + 40];

	skf_closep(&m->h.listen_fd);
	if (m->h.run_dir < 0)
		return;
	if (unlinkat(m->h.run_dir, "ctl.sock", 0) < 0 && errno != ENOENT)
		skf_mon_warn(m, -errno, "remove ctl.sock: it goes with its directory; ignoring");
	if (!(m->h.flags & SKF_MONH_EXEC) ||
	    skf_fmt(dir, sizeof(dir), "containers/%s/exec/%s", m->h.id, m->h.exec_id) < 0)
		return;
	/* Fails when monitor.log is in it, or when the container was removed with all its sessions. */
	(void)unlinkat(m->h.run_root_fd, dir, AT_REMOVEDIR);
}

void skf_mon_spawn_reaper(const struct skf_monitor *m)
{
	const char *argv[] = {m->h.reaper, "--root", m->h.root, "--run-root", m->h.run_root,
			      "system",    "reap",   m->h.id,   NULL};
	const char *envp[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	struct skf_spawn s = {.path = m->h.reaper,
			      .argv = (char *const *)argv,
			      .envp = (char *const *)envp,
			      .stdio = {-1, -1, -1},
			      .cwd = "/",
			      .new_session = true};
	int r;

	if (!m->h.reaper[0] || (m->h.flags & SKF_MONH_EXEC))
		return;
	/* The reaper is an ordinary program; only the monitor is spared by the OOM killer. Raising the score
	 * is always permitted. */
	(void)skf_write_existing_at(AT_FDCWD, "/proc/self/oom_score_adj", "0");
	r = skf_spawn(&s, NULL, NULL);
	if (r < 0)
		skf_mon_warn(m, r,
			     "start the reaper: `skiff system check --repair` does its work; ignoring");
}
