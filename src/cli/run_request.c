/* cli/run_request.c -- the flags of run and create as the engine's request: a table where a flag is only copied, a
 * function per flag that has a grammar of its own. */
#include "cli/cli_int.h"
#include "base/proc.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

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
	q->platform = o->platform;
	q->stop_signal = o->stop_signal;
	q->stop_timeout = (int32_t)o->stop_timeout;
	q->cap_add = o->cap_add;
	q->cap_drop = o->cap_drop;
	q->storage_opt = o->storage_opt;
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

int skf_cli_check_tty(struct skf_cli *c)
{
	if (c->o.tty && c->o.interactive && !c->o.detach && isatty(STDIN_FILENO) != 1)
		return skf_fail(
			&c->e, SKF_EINVALID,
			"the input device is not a TTY; leave out -t, or give a terminal on standard input");
	return 0;
}

int skf_cli_run_request(struct skf_cli *c, struct skf_create_req *q)
{
	if (skf_cli_check_tty(c) < 0 || set_words(c, q) < 0 || set_volumes(c, q) < 0 || set_security(c, q) < 0 ||
	    skf_cli_life(c, &q->life) < 0 || skf_cli_net(c, &q->net) < 0 || set_pull(c, q) < 0 || skf_cli_env(c, &q->env, &c->e) < 0)
		return -1;
	if (c->o.cidfile && access(c->o.cidfile, F_OK) == 0)
		return skf_fail(
			&c->e, SKF_ECONFLICT,
			"container ID file found, make sure the other container isn't running or delete %s",
			c->o.cidfile);
	return 0;
}
