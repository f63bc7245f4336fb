/* engine/plan_process.c -- the process of a container: command, user, environment, directory, from the flags
 * and the image. */
#include "engine/create_int.h"
#include <ctype.h>
#include <stdlib.h>
#include <string.h>

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
		return skf_fail(
			e, SKF_EINVALID, "no command specified: %s '%s' names none, give one after it",
			q->image ? "the image" : "the directory", q->image ? q->image : p->conf.rootfs);
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

/* "${NAME}" in the value of NAME=VALUE stands for what the image says. */
static char *merged(struct skf_plan *p, const char *word)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	const char *s = word;

	while (*s) {
		const char *open = strstr(s, "${"), *end = open ? strchr(open, '}') : NULL;

		if (!end)
			break;
		skf_buf_put(&b, s, (size_t)(open - s));
		for (size_t i = 0; i < p->ic->env.n; i++) {
			size_t n = (size_t)(end - open) - 2;

			if (strncmp(p->ic->env.v[i], open + 2, n) == 0 && p->ic->env.v[i][n] == '=')
				skf_buf_str(&b, p->ic->env.v[i] + n + 1);
		}
		s = end + 1;
	}
	skf_buf_str(&b, s);
	return b.err < 0 ? NULL : skf_arena_dup(p->a, skf_buf_cstr(&b), b.len);
}

static bool is_unset(const struct skf_settings *s, const char *var)
{
	size_t n = strcspn(var, "=");

	for (size_t i = 0; i < s->unset_env.n; i++)
		if (strlen(s->unset_env.v[i]) == n && memcmp(s->unset_env.v[i], var, n) == 0)
			return true;
	return s->unset_env_all;
}

/* The image's variables that stay, and the user's over the configuration's. */
static int gather_env(struct skf_plan *p, struct skf_strv *image, struct skf_strv *user)
{
	const struct skf_settings *s = &p->q->s;

	for (size_t i = 0; i < p->ic->env.n; i++)
		if (!is_unset(s, p->ic->env.v[i]) && skf_strv_add(p->a, image, p->ic->env.v[i]) < 0)
			return -ENOMEM;
	if (append(p->a, user, &p->g->conf.env) < 0 || append(p->a, user, &p->extra_env) < 0 ||
	    append(p->a, user, &p->q->env) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < s->env_merge.n; i++) {
		char *word = merged(p, s->env_merge.v[i]);

		if (!word || skf_strv_add(p->a, user, word) < 0)
			return -ENOMEM;
	}
	return 0;
}

static int plan_env(struct skf_plan *p, const char *home, struct skf_err *e)
{
	struct skf_strv image = {0}, user = {0};
	struct skf_env_gen env = {
		.hostname = p->hostname, .tty = p->q->tty, .image = &image, .user = &user, .home = home};

	if (gather_env(p, &image, &user) < 0)
		return skf_plan_no_memory(e);
	if (skf_env_gen(&env, p->a, &p->gen.process.env, e) < 0)
		return -1;
	/* What an exec starts from: without what depends on its own user and terminal. */
	env.home = env.hostname = NULL;
	env.tty = false;
	return skf_env_gen(&env, p->a, &p->req.env, e);
}

bool skf_keeps_groups(const struct skf_strv *group_add)
{
	return group_add->n == 1 && skf_streq(group_add->v[0], "keep-groups");
}

int skf_plan_user(struct skf_plan *p, struct skf_err *e)
{
	const char *user = p->q->user && *p->q->user ? p->q->user
			   : p->userns.user          ? p->userns.user
						     : p->ic->user;
	struct skf_userdb_result u = {0};
	struct skf_strv groups = {0};

	for (size_t i = 0; i < p->q->s.group_add.n; i++)
		if (skf_streq(p->q->s.group_add.v[i], "keep-groups") && p->q->s.group_add.n > 1)
			return skf_fail(e, SKF_EINVALID,
					"the '--group-add keep-groups' option is not allowed with any other "
					"--group-add options");
	if ((!skf_keeps_groups(&p->q->s.group_add) && append(p->a, &groups, &p->q->s.group_add) < 0) ||
	    append(p->a, &groups, &p->extra_groups) < 0)
		return skf_plan_no_memory(e);
	if (skf_layered_user(&p->layers, user, &groups, p->a, &u, e) < 0)
		return -1;
	p->req.user = skf_arena_strdup(p->a, user ? user : "");
	p->gen.process.uid = u.uid;
	p->gen.process.gid = u.gid;
	p->gen.process.gids = u.gids;
	p->gen.process.n_gids = skf_keeps_groups(&p->q->s.group_add) ? 0 : u.n_gids;
	if (plan_env(p, u.home && *u.home ? u.home : "/", e) < 0)
		return -1;
	return p->req.user ? 0 : skf_plan_no_memory(e);
}

/* "nofile=1024", "nofile=1024:2048", "core=-1" */
static int parse_ulimit(struct skf_plan *p, const char *word, struct skf_gen_rlimit *ret, struct skf_err *e)
{
	static const char *const names[] = {"as",      "core",     "cpu",        "data",   "fsize", "locks",
					    "memlock", "msgqueue", "nice",       "nofile", "nproc", "rss",
					    "rtprio",  "rttime",   "sigpending", "stack"};
	const char *eq = strchr(word, '='), *colon = eq ? strchr(eq, ':') : NULL;
	size_t n = eq ? (size_t)(eq - word) : 0, i = 0;
	char *soft = !eq     ? NULL
		     : colon ? skf_arena_dup(p->a, eq + 1, (size_t)(colon - eq - 1))
			     : skf_arena_strdup(p->a, eq + 1);
	int64_t s, h;

	while (i < SKF_ARRAY_LEN(names) && !(strlen(names[i]) == n && strncmp(names[i], word, n) == 0))
		i++;
	if (!eq)
		return skf_fail(e, SKF_EINVALID, "invalid ulimit argument: %s", word);
	if (i == SKF_ARRAY_LEN(names))
		return skf_fail(e, SKF_EINVALID, "invalid ulimit type: %.*s", (int)n, word);
	if (!soft || skf_parse_i64(soft, &s) < 0 || s < -1 ||
	    (colon ? skf_parse_i64(colon + 1, &h) < 0 || h < -1 : (h = s, false)))
		return skf_fail(e, SKF_EINVALID,
				"invalid ulimit '%s': expected NAME=SOFT[:HARD], -1 for no limit", word);
	if (h != -1 && (s == -1 || s > h))
		return skf_fail(e, SKF_EINVALID,
				"ulimit soft limit must be less than or equal to hard limit: %lld > %lld",
				(long long)s, (long long)h);
	ret->type = skf_arena_fmt(p->a, "RLIMIT_%.*s", (int)n, word);
	if (!ret->type)
		return skf_plan_no_memory(e);
	for (char *c = (char *)(uintptr_t)ret->type; *c; c++)
		*c = (char)toupper((unsigned char)*c);
	ret->soft = s == -1 ? UINT64_MAX : (uint64_t)s;
	ret->hard = h == -1 ? UINT64_MAX : (uint64_t)h;
	return 0;
}

/* The configuration's, then the user's; one of a name wins over an earlier one. */
static int plan_ulimits(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_strv *from[] = {&p->g->conf.ulimits, &p->q->s.ulimits};
	struct skf_gen_rlimit *v = skf_arena_array(p->a, from[0]->n + from[1]->n + 1, sizeof(*v));
	size_t n = 0;

	if (!v)
		return skf_plan_no_memory(e);
	for (size_t k = 0; k < SKF_ARRAY_LEN(from); k++)
		for (size_t i = 0; i < from[k]->n; i++) {
			size_t at = 0;

			if (parse_ulimit(p, from[k]->v[i], &v[n], e) < 0)
				return -1;
			while (!skf_streq(v[at].type, v[n].type))
				at++;
			v[at] = v[n];
			n += at == n;
		}
	p->gen.process.rlimits = v;
	p->gen.process.n_rlimits = n;
	return 0;
}

static int plan_umask(struct skf_plan *p, struct skf_err *e)
{
	const char *v = p->q->s.umask && *p->q->s.umask ? p->q->s.umask : p->g->conf.umask;
	uint32_t n;

	if (!*v)
		return 0;
	if (skf_parse_octal(v, &n) < 0 || n > 0777)
		return skf_fail(e, SKF_EINVALID, "invalid umask '%s': expected up to four octal digits", v);
	p->gen.process.has_umask = true;
	p->gen.process.umask = n;
	return 0;
}

int skf_plan_process(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_settings *s = &p->q->s;

	if (s->has_oom_score_adj && (s->oom_score_adj < -1000 || s->oom_score_adj > 1000))
		return skf_fail(e, SKF_EINVALID,
				"Invalid value %lld, range for oom score adj is [-1000, 1000]",
				(long long)s->oom_score_adj);
	p->gen.process.has_oom_score_adj = s->has_oom_score_adj;
	p->gen.process.oom_score_adj = (int32_t)s->oom_score_adj;
	return plan_ulimits(p, e) < 0 || plan_umask(p, e) < 0 ? -1 : 0;
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
