/* cli/run_request.c -- the flags of run and create as the engine's request: a table where a flag is only
 * copied, a function per flag that has a grammar of its own. */
#include "cli/cli_int.h"
#include "engine/pod.h"
#include "base/proc.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* --label-file: KEY=VALUE lines, before those of --label. */
int skf_cli_labels(struct skf_cli *c, struct skf_strv *ret)
{
	for (size_t i = 0; i < c->o.label_file.n; i++)
		if (skf_cli_word_file(c, c->o.label_file.v[i], ret, &c->e) < 0)
			return -1;
	for (size_t i = 0; i < c->o.label.n; i++)
		if (skf_strv_add(&c->a, ret, c->o.label.v[i]) < 0)
			return skf_fail(&c->e, SKF_ENOMEM, "memory for the labels");
	return 0;
}

/* What the option table wrote, and which of the numbers were given at all. */
void skf_cli_settings(struct skf_cli *c, struct skf_settings *s)
{
	*s = c->o.s;
	s->has_memory_swappiness = s->memory_swappiness != SKF_CLI_UNSET;
	s->has_oom_score_adj = s->oom_score_adj != SKF_CLI_UNSET;
	s->has_pids_limit = s->pids_limit != SKF_CLI_UNSET;
	if (!s->has_memory_swappiness)
		s->memory_swappiness = 0;
	if (!s->has_oom_score_adj)
		s->oom_score_adj = 0;
	if (!s->has_pids_limit)
		s->pids_limit = 0;
}

static int set_pull(struct skf_cli *c, struct skf_create_req *q)
{
	if (c->o.pull && skf_pull_policy_parse(c->o.pull, &q->pull) < 0)
		return skf_fail(&c->e, SKF_EINVALID,
				"invalid pull option: '%s': must be one of \"always\", \"missing\", "
				"\"newer\" or \"never\"",
				c->o.pull);
	q->docker_config = q->pull == SKF_PULL_NEVER ? NULL : skf_cli_docker_config(c);
	q->plain_http = c->o.plain_http;
	return 0;
}

static int set_words(struct skf_cli *c, struct skf_create_req *q)
{
	const struct skf_cli_opts *o = &c->o;

	if (o->stop_timeout < -1 || o->stop_timeout > INT32_MAX)
		return skf_fail(&c->e, SKF_EINVALID, "invalid --stop-timeout: expected a number of seconds");
	if (o->run_timeout < 0 || o->run_timeout > UINT32_MAX / 1000)
		return skf_fail(&c->e, SKF_EINVALID, "invalid --timeout: expected a number of seconds");
	if (o->replace && !(o->name && *o->name))
		return skf_fail(&c->e, SKF_EINVALID, "cannot replace container without --name being set");
	q->replace = o->replace;
	q->timeout = (uint32_t)o->run_timeout;
	if (o->rootfs)
		q->s.rootfs = c->args.v[0];
	else
		q->image = c->args.v[0];
	q->command = (struct skf_strv){c->args.v + 1, c->args.n - 1};
	q->name = o->name;
	q->hostname = o->hostname;
	q->user = o->user;
	q->workdir = o->workdir;
	q->platform = o->platform;
	q->stop_signal = o->stop_signal;
	q->stop_timeout = (int32_t)o->stop_timeout;
	q->storage_opt = o->storage_opt;
	q->tty = o->tty;
	q->interactive = o->interactive;
	q->attach = !o->detach;
	q->detach = o->detach;
	q->remove = o->rm;
	q->init = o->init;
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

/* --pod new:NAME makes the pod, which gets what is said of networks. */
static int set_pod(struct skf_cli *c, struct skf_create_req *q)
{
	static const char fresh[] = "new:";
	struct skf_pod_create_req pod = SKF_REQ(struct skf_pod_create_req);
	char id[SKF_ID_LEN + 1];

	q->pod = c->o.pod;
	if (!q->pod || !skf_startswith(q->pod, fresh))
		return 0;
	pod.name = q->pod + strlen(fresh);
	pod.share = SKF_POD_SHARE_DEFAULT;
	pod.net = q->net;
	q->net = (struct skf_net_req){0};
	if (skf_cli_engine(c) < 0 || skf_engine_pod_create(c->g, &pod, id, &c->e) < 0)
		return -1;
	q->pod = skf_arena_strdup(&c->a, id);
	return q->pod ? 0 : skf_fail(&c->e, SKF_ENOMEM, "memory for the pod's id");
}

int skf_cli_run_request(struct skf_cli *c, struct skf_create_req *q)
{
	skf_cli_settings(c, &q->s);
	for (size_t i = 0; i < c->o.proxies.n; i++)
		if (skf_strv_add(&c->a, &q->env, c->o.proxies.v[i]) < 0)
			return skf_fail(&c->e, SKF_ENOMEM, "memory for the environment");
	if (skf_cli_platform(c) < 0 || skf_cli_run_paths(c, &q->s) < 0 || skf_cli_check_tty(c) < 0 ||
	    set_words(c, q) < 0 || skf_cli_labels(c, &q->labels) < 0 || skf_cli_life(c, &q->life) < 0 ||
	    skf_cli_net(c, &q->net) < 0 || set_pull(c, q) < 0 || skf_cli_env(c, &q->env, &c->e) < 0)
		return -1;
	if (c->o.cidfile && access(c->o.cidfile, F_OK) == 0)
		return skf_fail(
			&c->e, SKF_ECONFLICT,
			"container ID file found, make sure the other container isn't running or delete %s",
			c->o.cidfile);
	return set_pod(c, q);
}
