/* cli/cmd_run.c -- run and exec: the foreground. Their flags: run_request.c, run_env.c. */
#include "cli/cli_int.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define RUN_STATUS 125

int skf_cli_write_cidfile(struct skf_cli *c, const char *id)
{
	SKF_AUTO_FD int fd = -EBADF;
	int r;

	if (!c->o.cidfile)
		return 0;
	fd = skf_openat(AT_FDCWD, c->o.cidfile, O_WRONLY | O_CREAT | O_EXCL, 0666);
	r = fd < 0 ? fd : skf_write_full(fd, id, strlen(id));
	return r < 0 ? skf_fail_sys(&c->e, r, "write the container's id to '%s'; the container runs",
				    c->o.cidfile)
		     : 0;
}

/* What the workload's end means for our status. */
static int exit_status(struct skf_cli *c, const struct skf_run_handle *h, const struct skf_exit *x)
{
	if (x->lost) {
		skf_fail(&c->e, SKF_EUNAVAILABLE,
			 "the monitor of container %.12s is gone; its process was killed", h->id);
		skf_cli_error(&c->e);
	}
	return (int)(x->code & 0xff);
}

int skf_cli_foreground(struct skf_cli *c, struct skf_pump *p, enum skf_foreground kind)
{
	enum skf_pump_end end;
	struct skf_exit x;
	char id[SKF_ID_LEN + 1];

	memcpy(id, p->h->id, sizeof(id));
	if (skf_pump_run(p, &end, &x, &c->e) < 0)
		return skf_cli_fail(c, RUN_STATUS);
	if (end == SKF_PUMP_DETACHED) {
		skf_closep(&p->h->sock); /* from here on the monitor sees to the end */
		fprintf(stderr, "\n");
		return 0;
	}
	if (kind == SKF_FG_RUN && skf_engine_run_end(c->g, p->h, &c->e) < 0) {
		skf_ctx(&c->e, "clean up after container %.12s", id);
		skf_cli_error(&c->e);
	}
	skf_closep(&p->h->sock);
	return exit_status(c, p->h, &x);
}

int skf_cmd_run(struct skf_cli *c)
{
	struct skf_create_req q = SKF_REQ(struct skf_create_req);
	struct skf_run_handle h = {.sock = -EBADF};
	SKF_AUTO(skf_pump_done)
	struct skf_pump p = {.h = &h,
			     .tty = c->o.tty,
			     .interactive = c->o.interactive,
			     .sig_proxy = c->o.sig_proxy,
			     .detach_keys = c->o.detach_keys,
			     .in = -EBADF,
			     .out = -EBADF,
			     .err = -EBADF};
	struct skf_notify notify = {skf_cli_sdnotify_host(), -EBADF, -EBADF};
	struct skf_cli_progress progress;
	int r;

	q.stdio[0] = q.stdio[1] = q.stdio[2] = -EBADF;
	if (c->o.sdnotify && skf_streq(c->o.sdnotify, "container") && notify.host)
		q.notify = &notify;
	if (skf_cli_run_request(c, &q) < 0 || skf_cli_streams(c, &p.streams) < 0 || skf_cli_engine(c) < 0)
		return skf_cli_fail(c, RUN_STATUS);
	p.g = c->g;
	if (!q.detach && skf_pump_pipes(&p, q.stdio, &c->e) < 0)
		return skf_cli_fail(c, RUN_STATUS);
	if (q.tty)
		skf_pump_size(&q.rows, &q.cols);
	skf_cli_progress_init(&progress, stderr, c->o.quiet);
	r = skf_engine_run(c->g, &q, &progress.p, &h, &c->e);
	skf_cli_progress_done(&progress);
	if (r < 0)
		return skf_cli_fail(c, RUN_STATUS);
	if (skf_cli_write_cidfile(c, h.id) < 0)
		skf_cli_error(&c->e);
	if (q.detach) {
		printf("%s\n", h.id);
		fflush(stdout);
	}
	skf_cli_sdnotify(c, c->o.sdnotify, h.id, &notify, h.pid, !q.detach);
	if (q.detach)
		return 0;
	return skf_cli_foreground(c, &p, SKF_FG_RUN);
}

int skf_cmd_exec(struct skf_cli *c)
{
	struct skf_exec_req q = SKF_REQ(struct skf_exec_req);
	struct skf_run_handle h = {.sock = -EBADF};
	SKF_AUTO(skf_pump_done)
	struct skf_pump p = {.h = &h,
			     .tty = c->o.tty,
			     .interactive = c->o.interactive,
			     .sig_proxy = true,
			     .detach_keys = c->o.detach_keys,
			     .in = -EBADF,
			     .out = -EBADF,
			     .err = -EBADF};

	q.container = c->args.v[0];
	q.command = (struct skf_strv){c->args.v + 1, c->args.n - 1};
	q.user = c->o.user;
	q.workdir = c->o.workdir;
	q.tty = c->o.tty;
	q.interactive = c->o.interactive;
	q.privileged = c->o.s.privileged;
	q.detach = c->o.detach;
	q.stdio[0] = q.stdio[1] = q.stdio[2] = -EBADF;
	if (skf_cli_check_tty(c) < 0 || skf_cli_env(c, &q.env, &c->e) < 0 || skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	p.g = c->g;
	if (!q.detach && skf_pump_pipes(&p, q.stdio, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (q.tty)
		skf_pump_size(&q.rows, &q.cols);
	if (skf_engine_exec(c->g, &q, &h, &c->e) < 0)
		return skf_cli_fail(c, 1);
	return q.detach ? 0 : skf_cli_foreground(c, &p, SKF_FG_EXEC);
}
