/* cli/cmd_run.c -- run and exec: from flags to the engine's request, and the foreground. */
#include "cli/cli_int.h"
#include "base/proc.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RUN_STATUS   125
#define MAX_ENV_FILE (8u << 20)

const char *skf_cli_docker_config(struct skf_cli *c)
{
	const char *dir = getenv("DOCKER_CONFIG"), *home = getenv("HOME");
	const char *path = NULL;

	if (dir && *dir)
		path = skf_arena_fmt(&c->a, "%s/config.json", dir);
	else if (home && *home)
		path = skf_arena_fmt(&c->a, "%s/.docker/config.json", home);
	return path && access(path, F_OK) == 0 ? path : NULL;
}

static int add_env(struct skf_cli *c, struct skf_strv *v, const char *word, struct skf_err *e)
{
	const char *value = strchr(word, '=') ? NULL : getenv(word);
	const char *full = value ? skf_arena_fmt(&c->a, "%s=%s", word, value)
				 : word; /* unknown here: the engine takes it away */

	if (word[0] == '=' || !*word)
		return skf_fail(e, SKF_EINVALID, "invalid environment variable: %s", word);
	if (!full || skf_strv_add(&c->a, v, full) < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for the environment");
	return 0;
}

static int read_env_file(struct skf_cli *c, const char *path, struct skf_strv *v, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_ENV_FILE);
	int r = skf_read_file_at(AT_FDCWD, path, MAX_ENV_FILE, &b);
	const char *p = skf_buf_cstr(&b);

	if (r < 0)
		return skf_fail_sys(e, r, "open the environment file '%s'", path);
	if (strlen(p) != b.len)
		return skf_fail(e, SKF_EINVALID, "the environment file '%s' has a zero byte", path);
	for (unsigned line = 1; *p; line++) {
		size_t n = strcspn(p, "\n"), skip = strspn(p, " \t");
		char *word;

		if (skip < n && p[skip] != '#' && p[skip] != '\r') {
			word = skf_arena_dup(&c->a, p + skip, n - skip - (p[n - 1] == '\r'));
			if (!word)
				return skf_fail(e, SKF_ENOMEM, "memory for the environment");
			if (strcspn(word, " \t") < strcspn(word, "="))
				return skf_fail(e, SKF_EINVALID,
						"'%s' line %u: the variable's name has a space", path, line);
			if (add_env(c, v, word, e) < 0)
				return skf_ctx(e, "'%s' line %u", path, line);
		}
		p += n + (p[n] == '\n');
	}
	return 0;
}

int skf_cli_env(struct skf_cli *c, struct skf_strv *ret, struct skf_err *e)
{
	/* Files first: docker lets -e win over them wherever it stands. */
	for (size_t i = 0; i < c->o.env_file.n; i++)
		if (read_env_file(c, c->o.env_file.v[i], ret, e) < 0)
			return -1;
	for (size_t i = 0; i < c->o.env.n; i++)
		if (add_env(c, ret, c->o.env.v[i], e) < 0)
			return -1;
	return 0;
}

static int set_volumes(struct skf_cli *c, struct skf_create_req *q)
{
	size_t n = c->o.volume.n;
	struct skf_mount_req *m = n ? skf_arena_array(&c->a, n, sizeof(*m)) : NULL;

	if (n && !m)
		return skf_fail(&c->e, SKF_ENOMEM, "memory for the volumes");
	for (size_t i = 0; i < n; i++)
		if (skf_engine_parse_volume(c->o.volume.v[i], &c->a, &m[i], &c->e) < 0)
			return -1;
	q->mounts.v = m;
	q->mounts.n = n;
	return 0;
}

static int set_security(struct skf_cli *c, struct skf_create_req *q)
{
	for (size_t i = 0; i < c->o.security_opt.n; i++) {
		const char *s = c->o.security_opt.v[i];

		if (skf_streq(s, "no-new-privileges") || skf_streq(s, "no-new-privileges:true") ||
		    skf_streq(s, "no-new-privileges=true"))
			q->no_new_privs = true;
		else if (skf_streq(s, "no-new-privileges:false") || skf_streq(s, "no-new-privileges=false"))
			q->no_new_privs = false;
		else if (skf_streq(s, "seccomp=unconfined") || skf_streq(s, "seccomp:unconfined"))
			q->seccomp_unconfined = true;
		else
			return skf_fail(&c->e, SKF_EUNSUPPORTED,
					"--security-opt %s is not supported by this version: it has "
					"no-new-privileges and seccomp=unconfined",
					s);
	}
	return 0;
}

static int set_log(struct skf_cli *c, struct skf_create_req *q)
{
	int64_t n;

	if (c->o.log_driver && !skf_streq(c->o.log_driver, "json-file"))
		return skf_fail(&c->e, SKF_EUNSUPPORTED,
				"--log-driver %s is not supported by this version: it has json-file",
				c->o.log_driver);
	for (size_t i = 0; i < c->o.log_opt.n; i++) {
		const char *s = c->o.log_opt.v[i];

		if (skf_startswith(s, "max-size=") && skf_parse_size(s + 9, &n) == 0 && n > 0)
			q->log_max_size = (uint64_t)n;
		else if (skf_startswith(s, "max-file=") && skf_parse_u32(s + 9, &q->log_max_file) == 0 &&
			 q->log_max_file > 0)
			continue;
		else
			return skf_fail(&c->e, SKF_EINVALID,
					"invalid --log-opt '%s': expected max-size=BYTES or max-file=NUMBER",
					s);
	}
	return 0;
}

static int set_pull(struct skf_cli *c, struct skf_create_req *q)
{
	const char *p = c->o.pull ? c->o.pull : "missing";

	if (skf_streq(p, "always"))
		q->pull = SKF_PULL_ALWAYS;
	else if (skf_streq(p, "missing"))
		q->pull = SKF_PULL_MISSING;
	else if (skf_streq(p, "never"))
		q->pull = SKF_PULL_NEVER;
	else
		return skf_fail(
			&c->e, SKF_EINVALID,
			"invalid pull option: '%s': must be one of \"always\", \"missing\" or \"never\"", p);
	q->docker_config = q->pull == SKF_PULL_NEVER ? NULL : skf_cli_docker_config(c);
	q->plain_http = c->o.plain_http;
	return 0;
}

static int set_words(struct skf_cli *c, struct skf_create_req *q)
{
	const struct skf_cli_opts *o = &c->o;

	if (o->stop_timeout < -1 || o->stop_timeout > INT32_MAX)
		return skf_fail(&c->e, SKF_EINVALID, "invalid --stop-timeout: expected a number of seconds");
	q->image = c->args.v[0];
	q->command = (struct skf_strv){c->args.v + 1, c->args.n - 1};
	q->name = o->name;
	q->hostname = o->hostname;
	q->user = o->user;
	q->workdir = o->workdir;
	q->network = o->network;
	q->platform = o->platform;
	q->stop_signal = o->stop_signal;
	q->stop_timeout = (int32_t)o->stop_timeout;
	q->cap_add = o->cap_add;
	q->cap_drop = o->cap_drop;
	q->labels = o->label;
	q->tty = o->tty;
	q->interactive = o->interactive;
	q->attach = !o->detach;
	q->detach = o->detach;
	q->remove = o->rm;
	q->readonly = o->read_only;
	q->privileged = o->privileged;
	q->init = o->init;
	q->memory = o->memory;
	q->nano_cpus = o->cpus;
	q->pids_limit = o->pids_limit;
	if (o->entrypoint) {
		q->has_entrypoint = true;
		if (*o->entrypoint && skf_strv_add(&c->a, &q->entrypoint, o->entrypoint) < 0)
			return skf_fail(&c->e, SKF_ENOMEM, "memory for the entrypoint");
	}
	return 0;
}

static int check_tty(struct skf_cli *c)
{
	if (c->o.tty && c->o.interactive && !c->o.detach && isatty(STDIN_FILENO) != 1)
		return skf_fail(
			&c->e, SKF_EINVALID,
			"the input device is not a TTY; leave out -t, or give a terminal on standard input");
	return 0;
}

static int make_request(struct skf_cli *c, struct skf_create_req *q)
{
	if (check_tty(c) < 0 || set_words(c, q) < 0 || set_volumes(c, q) < 0 || set_security(c, q) < 0 ||
	    set_log(c, q) < 0 || set_pull(c, q) < 0 || skf_cli_env(c, &q->env, &c->e) < 0)
		return -1;
	if (c->o.cidfile && access(c->o.cidfile, F_OK) == 0)
		return skf_fail(
			&c->e, SKF_ECONFLICT,
			"container ID file found, make sure the other container isn't running or delete %s",
			c->o.cidfile);
	return 0;
}

static int write_cidfile(struct skf_cli *c, const char *id)
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

static int foreground(struct skf_cli *c, struct skf_pump *p, bool is_run)
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
	if (is_run && skf_engine_run_end(c->g, p->h, &c->e) < 0) {
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
	struct skf_cli_progress progress;
	int r;

	q.stdio[0] = q.stdio[1] = q.stdio[2] = -EBADF;
	if (make_request(c, &q) < 0 || skf_cli_engine(c) < 0)
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
	if (write_cidfile(c, h.id) < 0)
		skf_cli_error(&c->e);
	if (q.detach) {
		printf("%s\n", h.id);
		return 0;
	}
	return foreground(c, &p, true);
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
	q.privileged = c->o.privileged;
	q.detach = c->o.detach;
	q.stdio[0] = q.stdio[1] = q.stdio[2] = -EBADF;
	if (check_tty(c) < 0 || skf_cli_env(c, &q.env, &c->e) < 0 || skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 1);
	p.g = c->g;
	if (!q.detach && skf_pump_pipes(&p, q.stdio, &c->e) < 0)
		return skf_cli_fail(c, 1);
	if (q.tty)
		skf_pump_size(&q.rows, &q.cols);
	if (skf_engine_exec(c->g, &q, &h, &c->e) < 0)
		return skf_cli_fail(c, 1);
	return q.detach ? 0 : foreground(c, &p, false);
}
