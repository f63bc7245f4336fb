/* engine/plan_life.c -- how a container lives and ends: terminal and streams, log, stop signal, init. */
#include "engine/create_int.h"
#include "base/proc.h"
#include "engine/life.h"

#define DEFAULT_STOP 15

int skf_plan_streams(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_create_req *q = p->q;

	if (q->init)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"--init is not supported by this version: it has no skiff-init");
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
	int sig = DEFAULT_STOP;

	if (s && *s) {
		sig = skf_signal_parse(s);
		if (sig < 0)
			return skf_fail(e, SKF_EINVALID, "invalid signal: %s", s);
	}
	p->conf.stop_signal = sig;
	p->conf.stop_timeout = p->q->stop_timeout >= 0 ? p->q->stop_timeout : SKF_STOP_DEFAULT_S;
	p->req.stop_signal = skf_arena_strdup(p->a, s ? s : "");
	return p->req.stop_signal ? 0 : skf_plan_no_memory(e);
}
