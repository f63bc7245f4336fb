/* cli/cmd_containers.c -- logs, stop, kill, rm, wait: each argument is done by itself, an error
 * of one does not keep the others from being done, and the status is 1 when there was any. */
#include "cli/cli_int.h"
#include "base/proc.h"
#include <stdlib.h>
#include <string.h>

static int for_each(struct skf_cli *c, int (*fn)(struct skf_cli *c, const char *name))
{
	int status = 0;

	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	for (size_t i = 0; i < c->args.n; i++) {
		skf_err_clear(&c->e);
		if (fn(c, c->args.v[i]) < 0) {
			skf_cli_error(&c->e);
			status = 1;
		}
		fflush(stdout);
	}
	return status;
}

/* --- logs --- */

static int print_line(void *arg, int stream, int64_t time_ns, const char *p, size_t n, struct skf_err *e)
{
	const struct skf_cli *c = arg;
	FILE *f = stream == 2 ? stderr : stdout;
	char t[36];

	if (c->o.timestamps) {
		skf_time_rfc3339(time_ns, t);
		fprintf(f, "%s ", t);
	}
	if (fwrite(p, 1, n, f) != n || (c->o.follow && fflush(f) != 0))
		return skf_fail_sys(e, -errno, "write the log");
	return 0;
}

int skf_cmd_logs(struct skf_cli *c)
{
	struct skf_logs_req q = SKF_REQ(struct skf_logs_req);
	int64_t now = skf_now_ns();

	q.container = c->args.v[0];
	q.follow = c->o.follow;
	q.timestamps = c->o.timestamps;
	q.out = q.err_ = true;
	q.tail = -1;
	q.line = print_line;
	q.arg = c;
	if (c->o.tail && !skf_streq(c->o.tail, "all") &&
	    (skf_parse_i64(c->o.tail, &q.tail) < 0 || q.tail < -1))
		skf_fail(&c->e, SKF_EINVALID, "invalid --tail '%s': expected a number or all", c->o.tail);
	else if (c->o.since && skf_human_parse_time(c->o.since, now, &q.since_ns) < 0)
		skf_fail(&c->e, SKF_EINVALID,
			 "invalid --since '%s': expected a time like 2026-11-23T02:17:15Z or a duration "
			 "like 10m",
			 c->o.since);
	else if (c->o.until && skf_human_parse_time(c->o.until, now, &q.until_ns) < 0)
		skf_fail(&c->e, SKF_EINVALID,
			 "invalid --until '%s': expected a time like 2026-11-23T02:17:15Z or a duration "
			 "like 10m",
			 c->o.until);
	else if (skf_cli_engine(c) == 0 && skf_engine_logs(c->g, &q, &c->e) == 0)
		return 0;
	return skf_cli_fail(c, 1);
}

/* --- stop, kill, rm, wait --- */

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
	return for_each(c, stop_one);
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
	return for_each(c, kill_one);
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

int skf_cmd_rm(struct skf_cli *c)
{
	return for_each(c, rm_one);
}

static int wait_one(struct skf_cli *c, const char *name)
{
	struct skf_exit x;

	if (skf_engine_wait(c->g, name, -1, &x, &c->e) < 0)
		return -1;
	printf("%u\n", x.code);
	return 0;
}

int skf_cmd_wait(struct skf_cli *c)
{
	return for_each(c, wait_one);
}
