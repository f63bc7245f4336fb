/* launch/start.c -- start of a container: the steps before its process runs are undone when one of them
 * fails; the last step does not come back. Order: whatever can fail without a container fails first (config,
 * monitor program, log, root); the runtime makes the state directory, the cgroup and init; the control
 * socket is bound while init still waits, so that nothing but execve itself can fail after the workload
 * began to run. */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/proc.h"
#include "launch/wire.h"
#include "monitor/event.h"
#include "oci/digest.h"
#include "sys/process.h"
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int open_dir_at(int *ret, int dirfd, const char *path, const char *shown, struct skf_err *e)
{
	*ret = skf_openat(dirfd, path, O_RDONLY | O_DIRECTORY, 0);
	return *ret < 0 ? skf_fail_sys(e, *ret, "open '%s%s%s'", shown, shown[0] ? "/" : "", path) : 0;
}

int skf_launch_open_trees(struct skf_launch *l, struct skf_err *e)
{
	char path[SKF_ID_LEN + 16];

	snprintf(path, sizeof(path), "containers/%s", l->q.id);
	if (open_dir_at(&l->root_fd, AT_FDCWD, l->q.root, "", e) < 0 ||
	    open_dir_at(&l->run_root_fd, AT_FDCWD, l->q.run_root, "", e) < 0 ||
	    open_dir_at(&l->disk_dir, l->root_fd, path, l->q.root, e) < 0)
		return -1;
	if (skf_fmt(l->rt_root, sizeof(l->rt_root), "%s/containers", l->q.run_root) < 0)
		return skf_fail(e, SKF_ELIMIT, "the run root '%s' is too long", l->q.run_root);
	l->rt = (struct skf_rt){
		.log = l->log,
		.root = l->rt_root,
		.rootfd = -EBADF,
		.cgroup_manager = SKF_RT_CGROUPFS,
		.embedded = skf_seccomp_default(),
	};
	return skf_rt_open(&l->rt, e);
}

static bool hung_up(int sock)
{
	struct pollfd p = {.fd = sock, .events = 0};

	return poll(&p, 1, 0) > 0 && p.revents & (POLLHUP | POLLERR | POLLNVAL);
}

/* A restart takes no lock of the container: who stops one holds that while he waits for the monitor. Should
 * the monitor die, the reap waits here instead (engine/reap.c) until this process has undone all, or is
 * over; one that comes later than the reap finds that nobody waits for its answer. */
static int alone(struct skf_launch *l, struct skf_err *e)
{
	if (open_dir_at(&l->run_dir, l->rt.rootfd, l->q.id, l->rt_root, e) < 0)
		return -1;
	l->alone = skf_lock_at(l->run_dir, SKF_RESTART_LOCK, true, SKF_LOCK_MS);
	if (l->alone < 0)
		return skf_fail_sys(e, l->alone, "lock '%s/%s/" SKF_RESTART_LOCK "'", l->rt_root, l->q.id);
	return hung_up(SKF_LAUNCH_FD) ? skf_fail(e, SKF_ECONFLICT,
						 "the monitor of container '%s' has ended: the container is "
						 "not restarted",
						 l->q.id)
				      : 0;
}

int skf_launch_load_config(struct skf_launch *l, struct skf_err *e)
{
	struct skf_spec_opts o = {.log = l->log, .name = "config.json"};
	int r = skf_read_file_at(l->disk_dir, "config.json", SKF_MAX_SPEC_BYTES, &l->config);

	if (r < 0)
		return skf_fail_sys(e, r, "read config.json of container '%s'", l->q.id);
	if (skf_ctrconf_parse(l->config.p, l->config.len, &l->arena, &l->conf, e) < 0 ||
	    skf_spec_parse(l->config.p, l->config.len, &o, &l->arena, &l->spec, e) < 0)
		return skf_ctx(e, "container '%s'", l->q.id);
	l->process = l->spec->process;
	if (!l->process)
		return skf_fail(e, SKF_EINVALID, "config.json of container '%s' names no process to run",
				l->q.id);
	if (l->process->terminal && l->q.rows && l->q.cols) {
		l->process->has_console_size = true;
		l->process->console_size = (struct skf_box){.height = l->q.rows, .width = l->q.cols};
	}
	return 0;
}

static int stdio(struct skf_launch *l, struct skf_err *e)
{
	return skf_launch_stdio(l, l->conf->open_stdin, e);
}

int skf_launch_fill_create(struct skf_launch *l, struct skf_rt_create *ret, struct skf_err *e)
{
	char *bundle = skf_arena_fmt(&l->arena, "%s/containers/%s", l->q.root, l->q.id);
	char *rootfs = skf_arena_fmt(&l->arena, "%s/containers/%s/rootfs", l->q.root, l->q.id);

	*ret = (struct skf_rt_create){
		.id = l->q.id,
		.bundle = bundle,
		.bundle_fd = l->disk_dir,
		.spec = l->spec,
		.root_mount_fd = l->root_mount,
		.sources = l->sources,
		.n_sources = l->n_sources,
		.rootfs_display = rootfs,
		.stdio = {l->theirs[0], l->theirs[1], l->theirs[2]},
		.want_console_fd = l->process->terminal,
		.pdeathsig = SIGKILL,
		.fifo = (l->q.flags & SKF_LAUNCH_INIT) != 0,
		.sister = l->q.type == SKF_LAUNCH_RESTART,
		.keep_dir = l->q.type == SKF_LAUNCH_RESTART,
		.net_begin = l->q.flags & SKF_LAUNCH_NET && skf_launch_has_own_netns(l)
				     ? skf_launch_net_begin
				     : NULL,
		.net_end = skf_launch_net_end,
		.net_arg = l,
		.notify_socket = l->q.notify[0] ? l->q.notify : NULL,
	};
	return bundle && rootfs ? 0 : skf_fail(e, SKF_ENOMEM, "out of memory for container '%s'", l->q.id);
}

void skf_launch_given_away(struct skf_launch *l)
{
	/* init has them now; a pipe is at its end only when every copy is closed */
	for (unsigned i = 0; i < 3; i++)
		skf_closep(&l->theirs[i]);
	skf_closep(&l->root_mount);
	skf_launch_close_sources(l);
}

static int create(struct skf_launch *l, struct skf_err *e)
{
	struct skf_rt_create c;

	if (l->conf->runtime && l->q.flags & SKF_LAUNCH_INIT)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"container '%s' is run by '%s': only containers of skiff's own runtime can "
				"be made ready without a start",
				l->q.id, l->conf->runtime);
	if (l->conf->runtime)
		return skf_launch_foreign_create(l, e);
	if (skf_launch_fill_create(l, &c, e) < 0 || skf_rt_create(&l->rt, &c, &l->ctr, e) < 0)
		return -1;
	skf_launch_given_away(l);
	return 0;
}

static void undo_create(struct skf_launch *l)
{
	if (l->foreign.path)
		skf_launch_foreign_undo(l);
	if (!l->ctr)
		return;
	if (!l->gone)
		skf_rt_abort(l->ctr);
	skf_rt_container_free(l->ctr);
	l->ctr = NULL;
}

static int listen_(struct skf_launch *l, struct skf_err *e)
{
	if (open_dir_at(&l->run_dir, l->rt.rootfd, l->q.id, l->rt_root, e) < 0)
		return -1;
	return skf_launch_listen(l, e);
}

int skf_launch_note_start(struct skf_launch *l, struct skf_err *e)
{
	int r;

	l->started_ns = (uint64_t)skf_now_ns();
	r = skf_proc_start_time(skf_launch_pid(l),
				&l->start_time); /* a zombie has one as well: we have not waited for it */
	return r < 0 ? skf_fail_sys(e, r, "read the start time of process %d of container '%s'",
				    skf_launch_pid(l), l->q.id)
		     : 0;
}

/* The socket that the process will find at NOTIFY_SOCKET, to the engine, which relays what comes. */
static int offer_notify(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(64);
	SKF_AUTO_FD int sock = -EBADF;
	SKF_AUTO_FD int pidfd = -EBADF;
	struct skf_rec w;
	int r;

	if (!l->q.notify[0] || l->foreign.path)
		return 0;
	sock = skf_rt_notify_open(&l->rt, l->q.id, e);
	if (sock < 0)
		return sock == -1 ? -1
				  : skf_fail(e, SKF_EBUG, "container '%s' has no notify socket", l->q.id);
	pidfd = r = skf_pidfd_open(skf_launch_pid(l));
	skf_rec_begin(&w, &b, SKF_LAUNCH_NOTIFY, SKF_LAUNCH_VERSION);
	skf_rec_end(&w);
	if (r >= 0)
		r = skf_record_send(SKF_LAUNCH_FD, &b, (const int[]){sock, pidfd}, 2);
	return r < 0 ? skf_fail_sys(e, r, "pass the notify socket of container '%s' on", l->q.id) : 0;
}

static int go(struct skf_launch *l, struct skf_err *e)
{
	if (l->q.flags & SKF_LAUNCH_INIT) { /* it waits for go.c */
		if (skf_launch_note_start(l, e) < 0)
			return -1;
		l->started_ns = 0;
		return 0;
	}
	if (l->foreign.path) {
		if (skf_launch_foreign_start(l, e) < 0)
			return -1;
	} else if (skf_rt_go(l->ctr, e) < 0) {
		l->gone = true;
		return -1;
	}
	return skf_launch_note_start(l, e);
}

static void command_line(const struct skf_strv *v, char *out, size_t size)
{
	size_t n = 0;

	out[0] = 0;
	for (size_t i = 0; i < v->n && n + 1 < size; i++) {
		int k = snprintf(out + n, size - n, "%s%s", i ? " " : "", v->v[i]); /* cut for ps */

		n += k > 0 ? (size_t)k : 0;
	}
}

/* The summary of a container that nobody announced before (its line was lost): from the config alone. */
static int summary_from_config(const struct skf_launch *l, struct skf_summary *s, struct skf_err *e)
{
	int64_t created = 0;

	*s = (struct skf_summary){0};
	if (skf_fmt(s->name, sizeof(s->name), "%s", l->conf->name) < 0 ||
	    skf_fmt(s->image, sizeof(s->image), "%s", l->conf->image) < 0)
		return skf_fail(e, SKF_ELIMIT, "name or image of container '%s' is too long for its summary",
				l->q.id);
	if (skf_parse_rfc3339(l->conf->created, &created) == 0 && created > 0)
		s->created_ns = (uint64_t)created;
	command_line(&l->conf->command, s->command, sizeof(s->command));
	return 0;
}

/* Survives a reboot: who finds it and no exit.json knows that the container ran. */
void skf_launch_mark_started(const struct skf_launch *l)
{
	SKF_AUTO_FD int fd = skf_openat(l->disk_dir, "started", O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);

	if (fd < 0)
		skf_warn(l->log,
			 "mark container '%s' as started: %s; after a crash of the host it looks as if it "
			 "never ran; ignoring",
			 l->q.id, strerrordesc_np(-fd));
}

static int announce(struct skf_launch *l, struct skf_err *e)
{
	bool ready = l->q.flags & SKF_LAUNCH_INIT;
	struct skf_summary s;
	int r;

	l->had_summary = skf_summary_read(l->run_root_fd, l->q.id, &l->before) == 0;
	if (l->had_summary)
		s = l->before;
	else if (summary_from_config(l, &s, e) < 0)
		return -1;
	snprintf(s.state, sizeof(s.state), ready ? "initialized" : "running");
	s.pid = (uint32_t)skf_launch_pid(l);
	s.start_time = l->start_time;
	if (skf_proc_id((pid_t)s.pid, &s.proc_id) < 0)
		s.proc_id = 0; /* an older kernel: ps looks at the start time */
	s.started_ns = l->started_ns;
	s.exit_code = 0;
	s.finished_ns = 0;
	s.restarts = l->q.restarts;
	snprintf(s.health, sizeof(s.health), "%s", l->conf->health && !ready ? "starting" : "");
	r = skf_summary_write(l->run_root_fd, l->q.id, &s);
	if (r < 0)
		return skf_fail_sys(e, r, "write the summary of container '%s' below '%s'", l->q.id,
				    l->q.run_root);
	l->wrote_summary = true;
	if (!ready)
		skf_launch_mark_started(l);
	r = skf_event_emit(l->run_root_fd, "container", ready ? "init" : "start", l->q.id, s.name, s.image,
			   -1);
	if (r < 0)
		skf_warn(l->log, "write the event of the start of container '%s': %s; ignoring", l->q.id,
			 strerrordesc_np(-r));
	return 0;
}

static void undo_announce(struct skf_launch *l)
{
	if (!l->wrote_summary)
		return;
	/* derived data: what cannot be put back now is rebuilt by whoever lists containers */
	if (l->had_summary)
		(void)skf_summary_write(l->run_root_fd, l->q.id, &l->before);
	else
		(void)skf_summary_remove(l->run_root_fd, l->q.id);
	(void)skf_event_emit(l->run_root_fd, "container", "die", l->q.id, l->conf->name, l->conf->image,
			     128 + SIGKILL);
}

const struct skf_launch_step skf_launch_restore_steps[] = {
	{"trees", skf_launch_open_trees, NULL},
	{"config", skf_launch_load_config, NULL},
	{"options", skf_launch_criu_options, NULL},
	{"log", skf_launch_open_log, NULL},
	{"user namespace", skf_launch_userns, NULL},
	{"labels", skf_launch_labels, NULL},
	{"root", skf_launch_mount_root, NULL},
	{"sources", skf_launch_sources, skf_launch_close_sources},
	{"stdio", stdio, NULL},
	{"restore", skf_launch_restore, undo_create},
	{"listen", listen_, skf_launch_unlisten},
	{"announce", announce, undo_announce},
	{"become", skf_launch_become, NULL},
	{NULL, NULL, NULL},
};

const struct skf_launch_step skf_launch_start_steps[] = {
	{"trees", skf_launch_open_trees, NULL},
	{"config", skf_launch_load_config, NULL},
	{"pod", skf_launch_join_pod, NULL},
	{"log", skf_launch_open_log, NULL},
	{"network namespace", skf_launch_join_netns, NULL},
	{"joins", skf_launch_joins, NULL},
	{"user namespace", skf_launch_userns, NULL},
	{"labels", skf_launch_labels, NULL},
	{"root", skf_launch_mount_root, NULL},
	{"sources", skf_launch_sources, skf_launch_close_sources},
	{"stdio", stdio, NULL},
	{"create", create, undo_create},
	{"listen", listen_, skf_launch_unlisten},
	{"notify", offer_notify, NULL},
	{"go", go, NULL},
	{"announce", announce, undo_announce},
	{"become", skf_launch_become, NULL},
	{NULL, NULL, NULL},
};

/* From a monitor that lives: it has the log and the control socket, and becomes init's parent. */
const struct skf_launch_step skf_launch_restart_steps[] = {
	{"trees", skf_launch_open_trees, NULL},
	{"alone", alone, NULL},
	{"config", skf_launch_load_config, NULL},
	{"pod", skf_launch_join_pod, NULL},
	{"network namespace", skf_launch_join_netns, NULL},
	{"joins", skf_launch_joins, NULL},
	{"user namespace", skf_launch_userns, NULL},
	{"labels", skf_launch_labels, NULL},
	{"root", skf_launch_mount_root, NULL},
	{"sources", skf_launch_sources, skf_launch_close_sources},
	{"stdio", stdio, NULL},
	{"create", create, undo_create},
	{"go", go, NULL},
	{"announce", announce, undo_announce},
	{"report", skf_launch_report, NULL},
	{NULL, NULL, NULL},
};
