/* launch/exec.c -- a further process in a running container: the runtime's exec, then a session monitor of
 * its own, which keeps no trace in the container's monitor. A session with an id has a directory
 * run/containers/<id>/exec/<exec id> with its control socket. */
#include "launch/launch_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/proc.h"
#include "launch/wire.h"
#include "sys/process.h"
#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define SWEEP 8 /* sessions that a new one looks at */

static int load_process(struct skf_launch *l, struct skf_err *e)
{
	struct skf_spec_opts o = {.log = l->log, .name = "process"};

	if (skf_spec_parse_process(l->q.process_json, strlen(l->q.process_json), &o, &l->arena, &l->process,
				   e) < 0)
		return skf_ctx(e, "exec in container '%s'", l->q.id);
	l->process->terminal = (l->q.flags & SKF_LAUNCH_TTY) != 0;
	if (l->process->terminal && l->q.rows && l->q.cols) {
		l->process->has_console_size = true;
		l->process->console_size = (struct skf_box){.height = l->q.rows, .width = l->q.cols};
	}
	return 0;
}

/* A session monitor that was killed leaves its directory: one that nobody listens in, and that is older than
 * a start may take. */
static void drop_if_dead(int all, const char *name)
{
	SKF_AUTO_FD int dir = skf_openat(all, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0), sock = -EBADF;
	struct stat st;

	if (dir < 0 || fstat(dir, &st) < 0 || time(NULL) - st.st_mtime <= SKF_START_MS / 1000)
		return;
	sock = skf_mon_connect(dir);
	if (sock != -ECONNREFUSED && sock != -ENOENT)
		return;
	(void)unlinkat(dir, "ctl.sock", 0); /* what stays goes with the container */
	(void)unlinkat(all, name, AT_REMOVEDIR);
}

/* Each new session looks at a few, so that no number of killed ones piles up. */
static void sweep_sessions(int ctr)
{
	SKF_AUTO_FD int fd = skf_openat(ctr, "exec", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d)
		return;
	(void)SKF_TAKE_FD(fd); /* d closes it */
	for (unsigned n = 0; n < SWEEP && (de = readdir(d));)
		if (de->d_name[0] != '.') {
			drop_if_dead(dirfd(d), de->d_name);
			n++;
		}
}

static int session(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO_FD int ctr = -EBADF;
	char path[SKF_ID_LEN + 8];

	if (!l->q.exec_id[0])
		return 0;
	ctr = skf_openat(l->rt.rootfd, l->q.id, O_PATH | O_DIRECTORY, 0);
	if (ctr == -ENOENT)
		return skf_fail(e, SKF_ECONFLICT, "container '%s' is not running", l->q.id);
	if (ctr >= 0)
		sweep_sessions(ctr);
	snprintf(path, sizeof(path), "exec/%s", l->q.exec_id);
	l->run_dir = ctr < 0 ? ctr : skf_mkdirs_at(ctr, path, 0700);
	if (l->run_dir < 0)
		return skf_fail_sys(e, l->run_dir, "make the directory of exec session '%s'", l->q.exec_id);
	return skf_launch_listen(l, e);
}

static void undo_session(struct skf_launch *l)
{
	SKF_AUTO_FD int ctr = skf_openat(l->rt.rootfd, l->q.id, O_PATH | O_DIRECTORY, 0);
	char path[SKF_ID_LEN + 8];

	skf_launch_unlisten(l);
	snprintf(path, sizeof(path), "exec/%s", l->q.exec_id);
	if (ctr >= 0 && l->q.exec_id[0])
		(void)unlinkat(ctr, path,
			       AT_REMOVEDIR); /* an empty directory; it goes with the container otherwise */
}

static int stdio(struct skf_launch *l, struct skf_err *e)
{
	int r = skf_idmaps_read_at(l->disk_dir, &l->arena, &l->ids);

	if (r < 0)
		return skf_fail_sys(e, r, "read the file '" SKF_IDS_FILE "' of container '%s'", l->q.id);
	return skf_launch_stdio(l, l->q.flags & SKF_LAUNCH_STDIN, e);
}

static int run(struct skf_launch *l, struct skf_err *e)
{
	struct skf_rt_exec x = {
		.id = l->q.id,
		.process = l->process,
		.stdio = {l->theirs[0], l->theirs[1], l->theirs[2]},
		.want_console_fd = l->process->terminal,
		.pdeathsig = SIGKILL,
	};
	int r;

	r = skf_launch_foreign_known(l, e);
	if (r < 0 || (r == 1 ? skf_launch_foreign_exec(l, e) : skf_rt_exec(&l->rt, &x, &l->ctr, e)) < 0)
		return -1;
	for (unsigned i = 0; i < 3; i++)
		skf_closep(&l->theirs[i]);
	l->started_ns = (uint64_t)skf_now_ns();
	r = skf_proc_start_time(skf_launch_pid(l), &l->start_time);
	return r < 0 ? skf_fail_sys(e, r, "read the start time of process %d", skf_launch_pid(l)) : 0;
}

static void undo_run(struct skf_launch *l)
{
	if (l->foreign.pidfd >= 0)
		(void)skf_pidfd_kill(l->foreign.pidfd, SIGKILL); /* ESRCH: it has ended */
	if (!l->ctr)
		return;
	skf_rt_abort(l->ctr); /* of an exec: kills and reaps the process */
	skf_rt_container_free(l->ctr);
	l->ctr = NULL;
}

/* The container's health check: what exec would be asked for stands in its config.json. */
static int health_process(struct skf_launch *l, struct skf_err *e)
{
	if (skf_launch_load_config(l, e) < 0)
		return -1;
	if (!l->conf->health)
		return skf_fail(e, SKF_ECONFLICT, "container '%s' has no health check", l->q.id);
	l->spec = NULL; /* of the container, not of this process */
	l->q.process_json = l->conf->health->process;
	return load_process(l, e) < 0 ? -1 : skf_launch_secret_env(l, e);
}

const struct skf_launch_step skf_launch_health_steps[] = {
	{"trees", skf_launch_open_trees, NULL},
	{"process", health_process, NULL},
	{"stdio", stdio, NULL},
	{"run", run, undo_run},
	{"become", skf_launch_become, NULL},
	{NULL, NULL, NULL},
};

const struct skf_launch_step skf_launch_exec_steps[] = {
	{"trees", skf_launch_open_trees, NULL},
	{"process", load_process, NULL},
	{"session", session, undo_session},
	{"stdio", stdio, NULL},
	{"run", run, undo_run},
	{"become", skf_launch_become, NULL},
	{NULL, NULL, NULL},
};
