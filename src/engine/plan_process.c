/* engine/plan_process.c -- the process of a container: command, user, environment, directory, from the flags and the image. */
#include "engine/create_int.h"

static int append(struct skf_arena *a, struct skf_strv *to, const struct skf_strv *from)
{
	for (size_t i = 0; i < from->n; i++)
		if (skf_strv_add(a, to, from->v[i]) < 0)
			return -ENOMEM;
	return 0;
}

int skf_plan_command(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_create_req *q = p->q;
	struct skf_strv entry = {0}, cmd = {0};

	if (q->has_entrypoint)
		entry = q->entrypoint;
	else
		entry = p->ic->entrypoint;
	if (q->command.n)
		cmd = q->command;
	else if (!q->has_entrypoint)
		cmd = p->ic->cmd; /* docker: another entrypoint makes the image's arguments meaningless */
	if (entry.n + cmd.n == 0 || (entry.n == 0 && !*cmd.v[0]))
		return skf_fail(e, SKF_EINVALID,
				"no command specified: the image '%s' names none, give one after the image",
				q->image);
	if (append(p->a, &p->conf.command, &entry) < 0 || append(p->a, &p->conf.command, &cmd) < 0)
		return skf_plan_no_memory(e);
	if (p->conf.command.n > SKF_MAX_ARGS)
		return skf_fail(e, SKF_ELIMIT, "the command has %zu words; the limit is %d",
				p->conf.command.n, SKF_MAX_ARGS);
	p->req.entrypoint = entry;
	p->req.cmd = cmd;
	p->gen.process.args = p->conf.command;
	return 0;
}

int skf_plan_user(struct skf_plan *p, struct skf_err *e)
{
	const char *user = p->q->user && *p->q->user ? p->q->user : p->ic->user;
	struct skf_userdb_result u = {0};
	struct skf_env_gen env = {
		.hostname = p->hostname, .tty = p->q->tty, .image = &p->ic->env, .user = &p->q->env};

	if (skf_layered_user(&p->layers, user, p->a, &u, e) < 0)
		return -1;
	p->req.user = skf_arena_strdup(p->a, user ? user : "");
	p->gen.process.uid = u.uid;
	p->gen.process.gid = u.gid;
	p->gen.process.gids = u.gids;
	p->gen.process.n_gids = u.n_gids;
	env.home = u.home && *u.home ? u.home : "/";
	if (skf_env_gen(&env, p->a, &p->gen.process.env, e) < 0)
		return -1;
	/* What an exec starts from: without what depends on its own user and terminal. */
	env.home = env.hostname = NULL;
	env.tty = false;
	if (skf_env_gen(&env, p->a, &p->req.env, e) < 0)
		return -1;
	return p->req.user ? 0 : skf_plan_no_memory(e);
}

int skf_plan_workdir(struct skf_plan *p, struct skf_err *e)
{
	const char *w = p->q->workdir && *p->q->workdir ? p->q->workdir : p->ic->working_dir;

	if (!w || !*w)
		w = "/";
	if (w[0] != '/')
		return skf_fail(e, SKF_EINVALID,
				"the working directory '%s' is invalid, it needs to be an absolute path", w);
	p->gen.process.cwd = w;
	p->req.workdir = skf_arena_strdup(p->a, w);
	return p->req.workdir ? 0 : skf_plan_no_memory(e);
}
