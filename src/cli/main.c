/* cli/main.c -- one command line: global options, the command, its options, its function. The only place
 * that turns an error of the engine into text and a status. */
#include "cli/cli_int.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define USAGE_STATUS 125 /* docker's for a command line that cannot be understood */

int skf_cli_engine(struct skf_cli *c)
{
	const struct skf_engine_opts o = {.root = c->o.root, .run_root = c->o.run_root, .log = &c->log};

	return c->g ? 0 : skf_engine_open(&o, &c->g, &c->e);
}

void skf_cli_error(const struct skf_err *e)
{
	size_t n = strlen(e->msg);
	const char *stop = n && strchr(".!?", e->msg[n - 1]) ? "" : ".";

	fflush(stdout);
	fprintf(stderr, "skiff: %s%s\n", e->msg, stop);
}

int skf_cli_fail(struct skf_cli *c, int other)
{
	skf_cli_error(&c->e);
	return skf_err_exit_code(&c->e, other);
}

int skf_cli_usage(const struct skf_cli *c)
{
	char name[64] = "skiff";

	if (c->cmd)
		skf_cli_cmd_name(c->cmd, name);
	fprintf(stderr, "%s\nSee '%s --help'.\n", c->e.msg, name);
	return USAGE_STATUS;
}

static const struct skf_cmd *find(const char *group, const char *name)
{
	for (size_t i = 0; i < skf_n_cmds; i++)
		if (skf_streq(skf_cmds[i].group, group) && skf_streq(skf_cmds[i].name, name))
			return &skf_cmds[i];
	return NULL;
}

static bool is_group(const char *name)
{
	for (size_t i = 0; i < skf_n_cmds; i++)
		if (skf_cmds[i].group && skf_streq(skf_cmds[i].group, name))
			return true;
	return false;
}

/* Words used by the command's name, or 0 with the error set. */
static int find_command(struct skf_cli *c, int n, char **argv)
{
	if (n > 1 && is_group(argv[0]) && (c->cmd = find(argv[0], argv[1])))
		return 2;
	if ((c->cmd = find(NULL, argv[0])))
		return 1;
	if (is_group(argv[0]))
		skf_fail(&c->e, SKF_EINVALID,
			 n > 1 ? "skiff: 'skiff %s %s' is not a skiff command."
			       : "skiff: 'skiff %s' needs a command.",
			 argv[0], n > 1 ? argv[1] : "");
	else
		skf_fail(&c->e, SKF_EINVALID, "skiff: '%s' is not a skiff command.", argv[0]);
	return 0;
}

static int check_count(struct skf_cli *c)
{
	const struct skf_cmd *k = c->cmd;
	char name[64];

	if (c->args.n >= k->min_args && c->args.n <= k->max_args)
		return 0;
	skf_cli_cmd_name(k, name);
	if (k->min_args == k->max_args && k->min_args == 0)
		return skf_fail(&c->e, SKF_EINVALID, "\"%s\" accepts no arguments.", name);
	return skf_fail(&c->e, SKF_EINVALID, "\"%s\" requires %s %u argument%s.", name,
			k->min_args == k->max_args ? "exactly"
			: c->args.n < k->min_args  ? "at least"
						   : "at most",
			c->args.n < k->min_args ? k->min_args : k->max_args,
			(c->args.n < k->min_args ? k->min_args : k->max_args) == 1 ? "" : "s");
}

static int run(struct skf_cli *c, int argc, char **argv)
{
	int used, name;

	if (skf_cli_parse(C_GLOBAL, false, argc - 1, argv + 1, &c->a, &c->o, &c->args, &used, &c->e) < 0)
		return skf_cli_usage(c);
	if (c->o.debug)
		c->log.max = SKF_LOG_DEBUG;
	if (c->o.version) {
		printf("skiff version %s\n", SKF_VERSION);
		return 0;
	}
	argv += 1 + used;
	argc -= 1 + used;
	if (c->o.help || argc == 0) {
		skf_cli_help(NULL);
		return 0;
	}
	name = find_command(c, argc, argv);
	if (!name)
		return skf_cli_usage(c);
	if (skf_cli_parse(c->cmd->bit, c->cmd->stop_at_arg, argc - name, argv + name, &c->a, &c->o, &c->args,
			  NULL, &c->e) < 0)
		return skf_cli_usage(c);
	if (c->o.help) {
		skf_cli_help(c->cmd);
		return 0;
	}
	if (check_count(c) < 0)
		return skf_cli_usage(c);
	return skf_cli_docker_habits(c) < 0 ? skf_cli_fail(c, 125) : c->cmd->fn(c);
}

int skf_cli_main(int argc, char **argv)
{
	struct skf_cli c = {.a = SKF_ARENA(SKF_MAX_ARENA_DOC),
			    .log = {.fd = STDERR_FILENO, .max = SKF_LOG_WARN, .prog = "skiff"}};
	int r;

	skf_cli_opts_init(&c.o);
	r = run(&c, argc, argv);
	if (fflush(stdout) != 0 && r == 0) {
		skf_fail_sys(&c.e, -errno, "write to standard output");
		skf_cli_error(&c.e);
		r = 1;
	}
	skf_engine_free(c.g);
	skf_arena_done(&c.a);
	return r;
}
