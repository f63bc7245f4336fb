/* launch/become.c -- from launch to monitor: the handover record goes into a memfd, the descriptors that it
 * names lose CLOEXEC, and execve keeps pid and parenthood. Everything else that is open was opened CLOEXEC
 * and disappears. */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "launch/wire.h"
#include "sys/process.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

static bool is_session(const struct skf_launch *l)
{
	return l->q.type == SKF_LAUNCH_EXEC || l->q.type == SKF_LAUNCH_HEALTH;
}

static unsigned handover_flags(const struct skf_launch *l)
{
	bool exec = is_session(l), has_stdin = l->ours[0] >= 0;
	unsigned f = 0;

	if (l->process->terminal)
		f |= SKF_MONH_TTY;
	if (exec)
		f |= SKF_MONH_EXEC;
	if (exec || l->conf->stdin_once)
		f |= SKF_MONH_STDIN_ONCE;
	if (!exec && has_stdin)
		f |= SKF_MONH_KEEP_STDIN;
	if (l->q.flags & SKF_LAUNCH_KEEP)
		f |= SKF_MONH_KEEP_SOCK;
	if (l->q.flags & SKF_LAUNCH_INIT)
		f |= SKF_MONH_HELD;
	if (l->q.flags & SKF_LAUNCH_QUIET)
		f |= SKF_MONH_QUIET;
	return f;
}

/* Only a container with a network namespace of its own needs it held. */
static int netns(struct skf_launch *l)
{
	const struct skf_spec_namespace *n = l->spec ? skf_spec_ns(l->spec, CLONE_NEWNET) : NULL;
	int fd = -1;

	if (l->foreign.netns >= 0)
		return SKF_TAKE_FD(l->foreign.netns);
	if (n && (!n->path || l->q.flags & SKF_LAUNCH_NETNS))
		fd = l->foreign.path ? skf_dup_cloexec(l->fds.fd[l->fds.n - 1]) : skf_rt_take_netns(l->ctr);

	return fd < 0 ? -1 : fd;
}

static void client_fds(struct skf_launch *l, struct skf_mon_handover *h)
{
	static const unsigned bits[] = {SKF_LAUNCH_STDIN, SKF_LAUNCH_STDOUT, SKF_LAUNCH_STDERR};
	int32_t *to[] = {&h->att_in, &h->att_out, &h->att_err};
	unsigned at = 0;

	for (unsigned i = 0; i < 3; i++)
		*to[i] = l->q.flags & bits[i] ? l->fds.fd[at++] : -1;
}

/* How the container lives and ends: log, restart policy, health check. */
static int fill_life(const struct skf_launch *l, struct skf_mon_handover *h, struct skf_err *e)
{
	const struct skf_ctrconf *c = l->conf;
	const struct skf_ctrconf_health *k = c->health;

	if (skf_launch_fill_log(l, h, e) < 0)
		return -1;
	h->restart = (uint32_t)skf_ctrconf_restart_parse(c->restart); /* checked when it was read */
	h->restart_max = c->restart_max;
	h->stop_signal = (uint32_t)c->stop_signal;
	h->stop_timeout_s = c->stop_timeout < 0 ? INT32_MAX : (uint32_t)c->stop_timeout;
	h->run_ms = (uint64_t)c->timeout * 1000;
	if (!k)
		return 0;
	h->health = 1;
	h->health_retries = k->retries ? k->retries : 1;
	h->health_action =
		k->on_failure ? (uint32_t)skf_ctrconf_action_parse(k->on_failure) : SKF_HEALTH_NONE;
	h->health_interval_ms = k->interval;
	h->health_timeout_ms = k->timeout;
	h->health_start_ms = k->start_period;
	h->health_start_interval_ms = k->start_interval;
	return 0;
}

pid_t skf_launch_pid(const struct skf_launch *l)
{
	return l->foreign.path ? l->foreign.pid : skf_rt_pid(l->ctr);
}

/* Not taken out of the handle: the undo of a hand-over that fails waits on it for init's end. */
static int pidfd(const struct skf_launch *l)
{
	return l->foreign.path ? l->foreign.pidfd : skf_rt_pidfd(l->ctr);
}

static int take_console(struct skf_launch *l)
{
	return l->foreign.path ? SKF_TAKE_FD(l->foreign.console) : skf_rt_take_console(l->ctr);
}

static int fill(struct skf_launch *l, struct skf_mon_handover *h, struct skf_err *e)
{
	*h = (struct skf_mon_handover){
		.flags = handover_flags(l),
		.pid = (uint32_t)skf_launch_pid(l),
		.start_time = l->start_time,
		.started_ns = l->started_ns,
		.pidfd = pidfd(l),
		.netns = netns(l),
		.run_dir = l->run_dir,
		.disk_dir = is_session(l) ? -1 : l->disk_dir,
		.run_root_fd = l->run_root_fd,
		.tty = l->process->terminal ? take_console(l) : -1,
		.in = l->ours[0],
		.out = l->ours[1],
		.err = l->ours[2],
		.listen_fd = l->listen_fd,
		.log_fd = l->log_fd,
	};
	if (h->pidfd < 0 || (l->process->terminal && h->tty < 0))
		return skf_fail(e, SKF_EBUG, "the runtime gave no %s for container '%s'",
				h->pidfd < 0 ? "pidfd" : "terminal", l->q.id);
	if (skf_fmt(h->id, sizeof(h->id), "%s", l->q.id) < 0 ||
	    skf_fmt(h->exec_id, sizeof(h->exec_id), "%s", l->q.exec_id) < 0 ||
	    skf_fmt(h->reaper, sizeof(h->reaper), "%s", l->q.reaper) < 0 ||
	    skf_fmt(h->root, sizeof(h->root), "%s", l->q.root) < 0 ||
	    skf_fmt(h->run_root, sizeof(h->run_root), "%s", l->q.run_root) < 0)
		return skf_fail(e, SKF_EBUG,
				"a name of container '%s' is longer than the request's check allows",
				l->q.id);
	if (!is_session(l)) {
		h->cg = l->foreign.path ? l->foreign.cg : *skf_rt_cgroup(l->ctr);
		if (fill_life(l, h, e) < 0)
			return -1;
	}
	client_fds(l, h);
	return 0;
}

static int keep_open(const struct skf_mon_handover *h)
{
	const int32_t fds[] = {h->pidfd,       h->netns,   h->engine_sock, h->run_dir,   h->disk_dir,
			       h->run_root_fd, h->tty,     h->in,          h->out,       h->err,
			       h->att_in,      h->att_out, h->att_err,     h->listen_fd, h->log_fd};
	int r = skf_cloexec_from(3);

	for (size_t i = 0; i < SKF_ARRAY_LEN(fds) && r == 0; i++)
		if (fds[i] >= 0)
			r = skf_set_cloexec(fds[i], false);
	return r;
}

static int write_memfd(const struct skf_mon_handover *h, int *ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MON_HANDOVER_MAX);
	SKF_AUTO_FD int fd = memfd_create("handover", MFD_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	skf_mon_handover_write(h, &b);
	r = b.err ? b.err : skf_write_full(fd, b.p, b.len);
	if (r == 0)
		*ret = SKF_TAKE_FD(fd);
	return r;
}

int skf_launch_become(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO_FD int mem = -EBADF, sock = -EBADF;
	struct skf_mon_handover h;
	char shown[13];
	const char *argv[] = {"skiff-monitor", shown, NULL}, *envp[] = {NULL};
	int r;

	if (fill(l, &h, e) < 0)
		return -1;
	snprintf(shown, sizeof(shown), "%s", l->q.id);
	sock = skf_dup_cloexec(SKF_LAUNCH_FD);
	h.engine_sock = sock;
	r = sock < 0 ? sock : write_memfd(&h, &mem);
	if (r == 0)
		r = keep_open(&h);
	if (r == 0)
		r = dup2(mem, SKF_MON_HANDOVER_FD) < 0 ? -errno : 0;
	if (r == 0) {
		skf_rt_seal_end();
		execve(l->monitor, (char *const *)argv, (char *const *)envp);
		r = -errno;
		/* FAILED goes out on the usual number */
		(void)dup2(sock, SKF_LAUNCH_FD);
	}
	return skf_fail_sys(e, r, "become the monitor '%s' of container '%s'", l->monitor, l->q.id);
}

int skf_launch_report(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MON_HANDOVER_MAX);
	struct skf_mon_handover h = {0};
	int32_t *named[SKF_MON_RESTARTED_FDS] = {&h.pidfd, &h.tty, &h.in, &h.out, &h.err};
	int fds[SKF_MON_RESTARTED_FDS], r;
	unsigned n = 0;

	if (fill(l, &h, e) < 0)
		return -1;
	for (size_t i = 0; i < SKF_ARRAY_LEN(named); i++) {
		if (*named[i] < 0)
			continue;
		fds[n] = *named[i];
		*named[i] = (int32_t)n++;
	}
	skf_mon_restarted_write(&h, SKF_LAUNCH_RESTARTED, &b);
	r = b.err ? b.err : skf_record_send(SKF_LAUNCH_FD, &b, fds, n);
	return r < 0 ? skf_fail_sys(e, r, "hand container '%s' over to its monitor", l->q.id) : 0;
}
