/* engine/plan_life.c -- how a container lives and ends: terminal and streams, log, stop signal, init. */
#include "engine/create_int.h"
#include "base/proc.h"
#include "engine/life.h"
#include <unistd.h>

#define DEFAULT_STOP 15
#define SYSTEMD_STOP 37 /* SIGRTMIN+3: an orderly halt */

int skf_plan_streams(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_create_req *q = p->q;

	p->gen.process.tty = p->conf.tty = q->tty;
	p->gen.process.rows = q->rows;
	p->gen.process.cols = q->cols;
	p->conf.open_stdin = q->interactive;
	p->conf.stdin_once = q->interactive && !q->detach;
	p->conf.attach_stdin = q->interactive && !q->detach;
	p->conf.remove = q->remove;
	p->req.attach_stdout = p->req.attach_stderr = !q->detach;
	return 0;
}

int skf_plan_restart(struct skf_plan *p, struct skf_err *e)
{
	const char *word = "no";

	if (p->q->life.restart && skf_restart_parse(p->q->life.restart, &word, &p->conf.restart_max, e) < 0)
		return -1;
	if (p->q->remove && !skf_streq(word, "no"))
		return skf_fail(e, SKF_EINVALID, "conflicting options: --restart and --rm");
	p->conf.restart = skf_arena_strdup(p->a, word);
	return p->conf.restart ? 0 : skf_plan_no_memory(e);
}

int skf_plan_stop(struct skf_plan *p, struct skf_err *e)
{
	const char *s = p->q->stop_signal && *p->q->stop_signal ? p->q->stop_signal : p->ic->stop_signal;
	int sig = p->systemd ? SYSTEMD_STOP : DEFAULT_STOP;

	if (s && *s) {
		sig = skf_signal_parse(s);
		if (sig < 0)
			return skf_fail(e, SKF_EINVALID, "invalid signal: %s", s);
	}
	p->conf.stop_signal = sig;
	p->conf.timeout = p->q->timeout;
	p->conf.stop_timeout =
		p->q->stop_timeout >= 0 ? p->q->stop_timeout : (int32_t)p->g->conf.stop_timeout;
	p->req.stop_signal = skf_arena_strdup(p->a, s ? s : "");
	return p->req.stop_signal ? 0 : skf_plan_no_memory(e);
}

#define INIT_TARGET "/sbin/docker-init" /* docker's: tools look for it */

/* --init: our init, or the user's, in front of the command; its file is bound read-only. */
int skf_plan_init(struct skf_plan *p, struct skf_err *e)
{
	const char *path = p->q->life.init_path;
	struct skf_strv args = {0};
	char ours[4096];
	int r;

	if (!p->q->init && !p->g->conf.init && !(path && *path))
		return 0;
	if (path && *path && path[0] != '/')
		return skf_fail(e, SKF_EINVALID, "--init-path '%.100s' is not an absolute path", path);
	if (!path || !*path) {
		r = skf_sibling_program("skiff-init", ours, sizeof(ours));
		if (r < 0)
			return skf_fail_sys(e, r, "find skiff-init beside this program, for --init");
		path = ours;
	}
	if (access(path, X_OK) < 0)
		return skf_fail_sys(e, -errno, "use '%s' as the container's init", path);
	p->req.init = true;
	p->gen.init_path = skf_arena_strdup(p->a, path);
	if (!p->gen.init_path || skf_strv_add(p->a, &args, INIT_TARGET) < 0 ||
	    skf_strv_add(p->a, &args, "--") < 0)
		return skf_plan_no_memory(e);
	for (size_t i = 0; i < p->gen.process.args.n; i++)
		if (skf_strv_add(p->a, &args, p->gen.process.args.v[i]) < 0)
			return skf_plan_no_memory(e);
	p->gen.process.args = args;
	return 0;
}

int skf_plan_sdnotify(struct skf_plan *p, struct skf_err *e)
{
	static const char *const words[] = {"conmon", "container", "healthy", "ignore"};
	const char *w = p->q->life.sdnotify;
	size_t i = 0;

	if (!w)
		return 0;
	while (i < SKF_ARRAY_LEN(words) && !skf_streq(w, words[i]))
		i++;
	if (i == SKF_ARRAY_LEN(words))
		return skf_fail(e, SKF_EINVALID,
				"invalid --sdnotify '%.40s': expected conmon, container, healthy or ignore",
				w);
	if (skf_streq(w, "healthy") && !p->conf.health)
		return skf_fail(e, SKF_EINVALID,
				"sdnotify policy \"healthy\" requires a healthcheck to be set");
	if (skf_streq(w, "container") && p->conf.runtime)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"--sdnotify container is of skiff's own runtime only, not of '%s'",
				p->conf.runtime_name);
	if (!skf_streq(w, "ignore"))
		p->conf.sdnotify = (char *)(uintptr_t)words[i];
	return 0;
}
