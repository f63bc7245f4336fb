/* cli/help.c -- help texts and the list for completion, from the tables. */
#include "cli/cli_int.h"
#include <stdio.h>
#include <string.h>

#define OPTION_COLUMN 34

void skf_cli_cmd_name(const struct skf_cmd *cmd, char out[64])
{
	snprintf(out, 64, "skiff %s%s%s", cmd->group ? cmd->group : "", cmd->group ? " " : "", cmd->name);
}

static void print_option(const struct skf_opt *o)
{
	char left[96], brief[8] = "    ";

	if (o->chr)
		snprintf(brief, sizeof(brief), "-%c, ", o->chr);
	snprintf(left, sizeof(left), "  %s--%s%s%s", brief, o->name, o->value ? " " : "",
		 o->value ? o->value : "");
	if (strlen(left) >= OPTION_COLUMN)
		printf("%s\n%*s%s\n", left, OPTION_COLUMN, "", o->help);
	else
		printf("%-*s%s\n", OPTION_COLUMN, left, o->help);
}

static void print_options(skf_cmdset bit)
{
	printf("\nOptions:\n");
	for (size_t i = 0; i < skf_n_opts; i++)
		if (skf_opts[i].cmds & bit && skf_opts[i].kind != SKF_OPT_UNSUPPORTED)
			print_option(&skf_opts[i]);
}

static void print_commands(const char *group)
{
	if (group)
		printf("\n%c%s commands:\n", group[0] - 'a' + 'A', group + 1);
	else
		printf("\nCommands:\n");
	for (size_t i = 0; i < skf_n_cmds; i++)
		if (!skf_cmds[i].hidden && skf_streq(skf_cmds[i].group, group))
			printf("  %s%s%-*s%s\n", group ? group : "", group ? " " : "",
			       group ? 20 - (int)strlen(group) : 21, skf_cmds[i].name, skf_cmds[i].about);
}

/* Groups in the order in which they first appear in the table. */
static void print_groups(void)
{
	for (size_t i = 0; i < skf_n_cmds; i++) {
		size_t k = 0;

		while (!skf_streq(skf_cmds[k].group, skf_cmds[i].group))
			k++;
		if (k == i && skf_cmds[i].group)
			print_commands(skf_cmds[i].group);
	}
}

void skf_cli_help(const struct skf_cmd *cmd)
{
	char name[64];

	if (cmd) {
		skf_cli_cmd_name(cmd, name);
		printf("Usage:  %s %s\n\n%s\n", name, cmd->args, cmd->about);
		print_options(cmd->bit);
		return;
	}
	printf("Usage:  skiff [OPTIONS] COMMAND\n\nRuns containers: no daemon, one small program per job\n");
	print_commands(NULL);
	print_groups();
	print_options(C_GLOBAL);
	printf("\n'skiff COMMAND --help' says more about a command.\n");
}

void skf_cli_list(void)
{
	char name[64];

	for (size_t i = 0; i < skf_n_cmds; i++) {
		skf_cli_cmd_name(&skf_cmds[i], name);
		printf("command\t%s\t%s\n", name, skf_cmds[i].hidden ? "hidden" : skf_cmds[i].about);
		for (size_t k = 0; k < skf_n_opts; k++)
			if (skf_opts[k].cmds & skf_cmds[i].bit)
				printf("option\t%s\t--%s\t%c\t%s\t%s\n", name, skf_opts[k].name,
				       skf_opts[k].chr ? skf_opts[k].chr : '-',
				       skf_opts[k].value ? skf_opts[k].value : "",
				       skf_opts[k].kind == SKF_OPT_UNSUPPORTED ? "unsupported"
									       : "supported");
	}
}
