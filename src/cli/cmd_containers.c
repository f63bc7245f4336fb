/* cli/cmd_containers.c -- logs, stop, kill, rm. */
#include "cli/cli_int.h"
#include "base/proc.h"
#include "engine/life.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

/* --- logs --- */

struct log_reader {
	struct skf_cli *c;
	struct skf_logs_req q;
	char name[SKF_MAX_NAME_BYTES + 1]; /* with --names */
	struct skf_err e;
	int r;
};

static int print_line(void *arg, int stream, int64_t time_ns, const char *p, size_t n, struct skf_err *e)
{
	const struct log_reader *l = arg;
	FILE *f = stream == 2 ? stderr : stdout;
	char t[36];
	bool failed;

	flockfile(f); /* readers of several logs share it */
	if (l->c->o.names)
		fprintf(f, "%s ", l->name);
	if (l->c->o.timestamps) {
		skf_time_rfc3339(time_ns, t);
		fprintf(f, "%s ", t);
	}
	failed = fwrite(p, 1, n, f) != n || (l->c->o.follow && fflush(f) != 0);
	funlockfile(f);
	return failed ? skf_fail_sys(e, -errno, "write the log") : 0;
}

static int log_options(struct skf_cli *c, struct skf_logs_req *q)
{
	int64_t now = skf_now_ns();

	q->follow = c->o.follow;
	q->timestamps = c->o.timestamps;
	q->details = c->o.details;
	q->out = q->err_ = true;
	q->tail = -1;
	q->line = print_line;
	if (c->o.tail && !skf_streq(c->o.tail, "all") &&
	    (skf_parse_i64(c->o.tail, &q->tail) < 0 || q->tail < -1))
		return skf_fail(&c->e, SKF_EINVALID, "invalid --tail '%s': expected a number or all",
				c->o.tail);
	if (c->o.since && skf_human_parse_time(c->o.since, now, &q->since_ns) < 0)
		return skf_fail(&c->e, SKF_EINVALID,
				"invalid --since '%s': expected a time like 2026-11-23T02:17:15Z or a "
				"duration like 10m",
				c->o.since);
	if (c->o.until && skf_human_parse_time(c->o.until, now, &q->until_ns) < 0)
		return skf_fail(&c->e, SKF_EINVALID,
				"invalid --until '%s': expected a time like 2026-11-23T02:17:15Z or a "
				"duration like 10m",
				c->o.until);
	return 0;
}

/* An engine of its own: another reader may be blocked in the other one. */
static void *read_log(void *arg)
{
	struct log_reader *l = arg;
	const struct skf_engine_opts o = {
		.root = l->c->o.root, .run_root = l->c->o.run_root, .log = &l->c->log};
	struct skf_engine *g = NULL;

	l->r = skf_engine_open(&o, &g, &l->e);
	if (l->r == 0)
		l->r = skf_engine_logs(g, &l->q, &l->e);
	skf_engine_free(g);
	return NULL;
}

static int name_readers(struct skf_cli *c, struct log_reader *l)
{
	struct skf_ctr_brief b;

	for (size_t i = 0; i < c->args.n; i++) {
		l[i].c = c;
		l[i].q.container = c->args.v[i];
		l[i].q.arg = &l[i];
		if (!c->o.names)
			continue;
		if (skf_engine_brief(c->g, c->args.v[i], &b, &c->e) < 0)
			return -1;
		memcpy(l[i].name, b.name, sizeof(b.name));
	}
	return 0;
}

/* One after the other; those that are followed together. */
static int read_logs(struct skf_cli *c, struct log_reader *l)
{
	pthread_t *t = c->o.follow && c->args.n > 1 ? skf_arena_array(&c->a, c->args.n, sizeof(*t)) : NULL;
	size_t started = 0;
	int status = 0;

	for (size_t i = 0; i < c->args.n; i++) {
		if (t && pthread_create(&t[i], NULL, read_log, &l[i]) == 0)
			started++;
		else if (t)
			l[i].r = skf_fail(&l[i].e, SKF_ENOMEM, "start a thread for the log of '%s'",
					  c->args.v[i]);
		else
			l[i].r = skf_engine_logs(c->g, &l[i].q, &l[i].e);
		if (t && started != i + 1)
			break;
	}
	for (size_t i = 0; i < started; i++)
		(void)pthread_join(t[i], NULL); /* of our own and joined once */
	for (size_t i = 0; i < c->args.n; i++)
		if (l[i].r < 0) {
			skf_cli_error(&l[i].e);
			status = skf_err_exit_code(&l[i].e, 1);
		}
	return status;
}

int skf_cmd_logs(struct skf_cli *c)
{
	struct log_reader *l = skf_arena_array(&c->a, c->args.n, sizeof(*l));

	for (size_t i = 0; l && i < c->args.n; i++) {
		l[i] = (struct log_reader){.q = SKF_REQ(struct skf_logs_req)};
		if (log_options(c, &l[i].q) < 0)
			return skf_cli_fail(c, 1);
	}
	if (!l)
		skf_fail(&c->e, SKF_ENOMEM, "memory for the logs");
	if (!l || skf_cli_engine(c) < 0 || name_readers(c, l) < 0)
		return skf_cli_fail(c, 1);
	return read_logs(c, l);
}

/* --- stop, kill, rm --- */

static const char *const up[] = {"running", "paused", "restarting", "initialized", NULL};

static int signal_option(struct skf_cli *c, int otherwise)
{
	int n = c->o.signal ? skf_signal_parse(c->o.signal) : otherwise;

	return n < 0 ? skf_fail(&c->e, SKF_EINVALID, "invalid signal: %s", c->o.signal) : n;
}

static int stop_one(struct skf_cli *c, const char *name)
{
	struct skf_stop_req q = SKF_REQ(struct skf_stop_req);

	q.container = name;
	q.timeout_s = c->o.timeout > INT32_MAX ? INT32_MAX : (int)c->o.timeout;
	q.signal = signal_option(c, 0);
	if (q.signal < 0 || skf_engine_stop(c->g, &q, &c->e) < 0)
		return -1;
	printf("%s\n", name);
	return 0;
}

int skf_cmd_stop(struct skf_cli *c)
{
	return skf_cli_targets(c, up) < 0 ? skf_cli_usage(c) : skf_cli_for_each(c, stop_one);
}

static int kill_one(struct skf_cli *c, const char *name)
{
	int sig = signal_option(c, 9);

	if (sig < 0 || skf_engine_kill(c->g, name, sig, &c->e) < 0)
		return -1;
	printf("%s\n", name);
	return 0;
}

int skf_cmd_kill(struct skf_cli *c)
{
	return skf_cli_targets(c, up) < 0 ? skf_cli_usage(c) : skf_cli_for_each(c, kill_one);
}

static int rm_one(struct skf_cli *c, const char *name)
{
	if (skf_engine_rm(c->g, name, c->o.force, c->o.volumes, &c->e) < 0) {
		if (!c->o.force || c->e.kind != SKF_ENOTFOUND)
			return -1;
		skf_cli_error(&c->e); /* docker: said, but with --force it is no failure */
		return 0;
	}
	printf("%s\n", name);
	return 0;
}

/* docker's answers: names of links ("a/b") are of no container here, and a container's own name is no link.
 */
static int rm_link(struct skf_cli *c, const char *name)
{
	struct skf_ctr_brief b;

	if (skf_engine_brief(c->g, name, &b, &c->e) < 0)
		return -1;
	return skf_fail(&c->e, SKF_ECONFLICT,
			"Conflict, cannot remove the default link name of the container");
}

int skf_cmd_rm(struct skf_cli *c)
{
	if (c->o.link_name)
		return skf_cli_for_each(c, rm_link);
	return skf_cli_targets(c, NULL) < 0 ? skf_cli_usage(c) : skf_cli_for_each(c, rm_one);
}
