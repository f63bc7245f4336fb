/* cli/completion.c -- what may stand at the end of a command line: `skiff __complete -- WORD...`, one
 * candidate per line with its description behind a tab, and ":files" where a file name may stand. The
 * shells' scripts only ask and show. Commands and flags come from the tables, names from the engine;
 * whatever fails offers nothing, because a person is typing. */
#include "cli/cli_int.h"
#include "engine/pod.h"
#include "engine/secret.h"
#include <stdio.h>
#include <string.h>

#define SHORT_ID 12

struct line {
	struct skf_cli *c;
	const struct skf_cmd *cmd;
	const struct skf_opt *wants; /* the option whose value is being typed */
	const char *cur;             /* prefix of the candidates */
	size_t args;                 /* complete ones */
	bool only_args;
};

static void offer(const struct line *l, const char *word, const char *about)
{
	if (!skf_startswith(word, l->cur))
		return;
	for (const char *p = word; *p; p++)
		if ((unsigned char)*p < 0x20 || *p == 0x7f)
			return; /* nothing that would be more than one word */
	printf("%s\t%s\n", word, about);
}

static const struct skf_opt *find_option(skf_cmdset bit, const char *w, size_t n)
{
	for (size_t i = 0; i < skf_n_opts; i++) {
		const struct skf_opt *o = &skf_opts[i];

		if (!(o->cmds & bit) || o->kind == SKF_OPT_UNSUPPORTED)
			continue;
		if (w[0] == '-' && w[1] == '-' ? strlen(o->name) == n - 2 && !memcmp(o->name, w + 2, n - 2)
					       : n > 1 && o->chr == w[n - 1])
			return o;
	}
	return NULL;
}

/* Names have to come from the trees that --root and --run-root name. */
static void keep_global(struct skf_cli *c, const struct skf_opt *o, const char *value)
{
	if (o->kind == SKF_OPT_STR)
		*(char **)(void *)((char *)&c->o + o->off) = skf_arena_strdup(&c->a, value);
}

/* An option word that is complete: does the next word belong to it? Global ones with a value are kept, so
 * that names come from the right place. */
static void pass_option(struct line *l, const char *w)
{
	const char *eq = strchr(w, '=');
	const struct skf_opt *o =
		find_option(l->cmd ? l->cmd->bit : C_GLOBAL, w, eq ? (size_t)(eq - w) : strlen(w));

	l->wants = o && o->kind != SKF_OPT_BOOL && !eq ? o : NULL;
	if (!l->cmd && o && eq)
		keep_global(l->c, o, eq + 1);
}

static bool is_group(const char *name)
{
	for (size_t i = 0; i < skf_n_cmds; i++)
		if (skf_cmds[i].group && skf_streq(skf_cmds[i].group, name))
			return true;
	return false;
}

static const struct skf_cmd *find_command(const char *group, const char *name)
{
	for (size_t i = 0; i < skf_n_cmds; i++)
		if (skf_streq(skf_cmds[i].group, group) && skf_streq(skf_cmds[i].name, name))
			return &skf_cmds[i];
	return NULL;
}

/* One complete word. *group: the group that waits for its command. */
static void pass(struct line *l, const char *w, const char **group)
{
	if (l->wants) {
		if (!l->cmd)
			keep_global(l->c, l->wants, w);
		l->wants = NULL;
	} else if (!l->only_args && skf_streq(w, "--")) {
		l->only_args = true;
	} else if (!l->only_args && w[0] == '-' && w[1]) {
		pass_option(l, w);
	} else if (l->cmd) {
		l->args++;
		l->only_args |= l->cmd->stop_at_arg;
	} else if (!*group && !find_command(NULL, w) && is_group(w)) {
		*group = w;
	} else if (!(l->cmd = find_command(*group, w))) {
		*group = "?"; /* no such command: nothing to offer */
	}
}

static void offer_commands(const struct line *l, const char *group)
{
	for (size_t i = 0; i < skf_n_cmds; i++)
		if (!skf_cmds[i].hidden && skf_streq(skf_cmds[i].group, group))
			offer(l, skf_cmds[i].name, skf_cmds[i].about);
	for (size_t i = 0; !group && i < skf_n_cmds; i++) {
		size_t k = 0;

		while (!skf_streq(skf_cmds[k].group, skf_cmds[i].group))
			k++;
		if (k == i && skf_cmds[i].group)
			offer(l, skf_cmds[i].group, "Commands of this group");
	}
}

static void offer_options(const struct line *l)
{
	skf_cmdset bit = l->cmd ? l->cmd->bit : C_GLOBAL;
	char word[80];

	for (size_t i = 0; i < skf_n_opts; i++)
		if (skf_opts[i].cmds & bit && skf_opts[i].kind != SKF_OPT_UNSUPPORTED &&
		    skf_fmt(word, sizeof(word), "--%s", skf_opts[i].name) == 0)
			offer(l, word, skf_opts[i].help);
}

/* --- names --- */

static void offer_containers(const struct line *l, bool only_running)
{
	const struct skf_ps_row *v;
	struct skf_jarr rows;

	if (skf_cli_engine(l->c) < 0 || skf_engine_ps(l->c->g, !only_running, &l->c->a, &rows, &l->c->e) < 0)
		return; /* nothing to offer */
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++) {
		char id[SHORT_ID + 1];

		offer(l, v[i].name, v[i].image);
		if (*l->cur && skf_fmt(id, sizeof(id), "%.*s", SHORT_ID, v[i].id) == 0)
			offer(l, id, v[i].name); /* ids only for who began to type one */
	}
}

static void offer_images(const struct line *l)
{
	const struct skf_image_row *v;
	struct skf_jarr rows;

	if (skf_cli_engine(l->c) < 0 || skf_engine_images(l->c->g, NULL, &l->c->a, &rows, &l->c->e) < 0)
		return; /* nothing to offer */
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++) {
		const char *hex = strchr(v[i].id, ':');
		char word[SKF_MAX_REF_BYTES * 2];

		if (!skf_streq(v[i].tag, "<none>") &&
		    skf_fmt(word, sizeof(word), "%s:%s", v[i].repository, v[i].tag) == 0)
			offer(l, word, "image");
		if (*l->cur && hex && skf_fmt(word, sizeof(word), "%.*s", SHORT_ID, hex + 1) == 0)
			offer(l, word, v[i].repository);
	}
}

static void offer_pods(const struct line *l)
{
	struct skf_strv none = {0};
	const struct skf_pod_row *v;
	struct skf_jarr rows;

	if (skf_cli_engine(l->c) < 0 || skf_engine_pod_ps(l->c->g, &none, &l->c->a, &rows, &l->c->e) < 0)
		return; /* nothing to offer */
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++) {
		char id[SHORT_ID + 1];

		offer(l, v[i].name, v[i].status);
		if (*l->cur && skf_fmt(id, sizeof(id), "%.*s", SHORT_ID, v[i].id) == 0)
			offer(l, id, v[i].name);
	}
}

static void offer_volumes(const struct line *l)
{
	struct skf_volumes_req q = SKF_REQ(struct skf_volumes_req);
	const struct skf_volume_row *v;
	struct skf_jarr rows;

	if (skf_cli_engine(l->c) < 0 || skf_engine_volumes(l->c->g, &q, &l->c->a, &rows, &l->c->e) < 0)
		return; /* nothing to offer */
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++)
		offer(l, v[i].v->name, "volume");
}

static void offer_networks(const struct line *l)
{
	struct skf_strv none = {0};
	const struct skf_network_row *v;
	struct skf_jarr rows;

	if (skf_cli_engine(l->c) < 0 ||
	    skf_engine_network_list(l->c->g, &none, &l->c->a, &rows, &l->c->e) < 0)
		return; /* nothing to offer */
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++)
		offer(l, v[i].name, v[i].driver);
}

static void offer_secrets(const struct line *l)
{
	const struct skf_secret *v;
	struct skf_jarr rows;

	if (skf_cli_engine(l->c) < 0 || skf_engine_secrets(l->c->g, &l->c->a, &rows, &l->c->e) < 0)
		return; /* nothing to offer */
	v = rows.v;
	for (size_t i = 0; i < rows.n; i++)
		offer(l, v[i].name, "secret");
}

static void offer_all_containers(const struct line *l)
{
	offer_containers(l, false);
}

/* Which names a word of the usage line, or the value of an option, stands for. */
static const struct {
	const char *word, *option;
	void (*fn)(const struct line *l);
} objects[] = {
	{"POD", "pod", offer_pods},
	{"VOLUME", NULL, offer_volumes},
	{"NETWORK", "network", offer_networks},
	{"SECRET", "secret", offer_secrets},
	{NULL, "volumes-from", offer_all_containers},
};

/* --- values of options --- */

struct values {
	const char *option;
	skf_cmdset cmds;
	const char *words[20];
};
static const struct values values[] = {
	{"format", C_PS | C_IMAGES, {"table", "json", NULL}},
	{"format", C_ALL, {"json", NULL}},
	{"filter",
	 C_PS,
	 {"ancestor=", "before=", "exited=", "expose=", "health=", "id=", "is-task=", "label=", "name=",
	  "network=", "publish=", "since=", "status=", "volume=", NULL}},
	{"filter", C_IMAGES, {"before=", "dangling=", "label=", "reference=", "since=", "until=", NULL}},
	{"network", C_RUN, {"none", "host", NULL}},
	{"restart", C_ALL, {"no", "on-failure", "always", "unless-stopped", NULL}},
	{"egress", C_ALL, {"allow", "deny", NULL}},
	{"condition",
	 C_WAIT,
	 {"not-running", "next-exit", "removed", "running", "initialized", "paused", "healthy", "unhealthy",
	  NULL}},
	{"net", C_ALL, {"none", "host", NULL}},
	{"pull", C_ALL, {"always", "missing", "never", "newer", NULL}},
	{"type", C_INSPECT, {"container", "image", "volume", NULL}},
	{"log-driver", C_ALL, {"json-file", "k8s-file", "local", "journald", "syslog", "none", NULL}},
	{"signal", C_ALL, {"HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "STOP", "CONT", NULL}},
	{"stop-signal", C_ALL, {"HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", NULL}},
};

static void offer_value(const struct line *l, const struct skf_opt *o)
{
	skf_cmdset bit = l->cmd ? l->cmd->bit : C_GLOBAL;

	for (size_t i = 0; i < SKF_ARRAY_LEN(values); i++) {
		if (!skf_streq(values[i].option, o->name) || !(values[i].cmds & bit))
			continue;
		for (size_t k = 0; values[i].words[k]; k++)
			offer(l, values[i].words[k], "");
		break;
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(objects); i++)
		if (objects[i].option && skf_streq(objects[i].option, o->name))
			objects[i].fn(l);
	if (o->value && (strstr(o->value, "FILE") || strstr(o->value, "DIR") || strstr(o->value, "HOST:")))
		printf(":files\n");
}

/* --name=VAL: the value is completed, the flag stays in front. */
static bool offer_joined_value(struct line *l)
{
	const char *eq = strchr(l->cur, '=');
	const struct skf_opt *o =
		eq ? find_option(l->cmd ? l->cmd->bit : C_GLOBAL, l->cur, (size_t)(eq - l->cur)) : NULL;
	char word[160];

	if (!eq)
		return false;
	for (size_t i = 0; o && i < SKF_ARRAY_LEN(values); i++)
		if (skf_streq(values[i].option, o->name) &&
		    values[i].cmds & (l->cmd ? l->cmd->bit : C_GLOBAL)) {
			for (size_t k = 0; values[i].words[k]; k++)
				if (skf_fmt(word, sizeof(word), "--%s=%s", o->name, values[i].words[k]) == 0)
					offer(l, word, "");
			break;
		}
	return true;
}

static void offer_arguments(const struct line *l)
{
	static const char *const running[] = {"attach", "exec", "kill", "pause", "stats", "stop", "top"};
	const char *args = l->cmd->args;
	bool only_running = false;

	if (l->args >= l->cmd->max_args || (l->cmd->stop_at_arg && l->args)) {
		if (l->cmd->stop_at_arg)
			printf(":files\n"); /* words of the workload */
		return;
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(running); i++)
		only_running |= skf_streq(l->cmd->name, running[i]);
	if (strstr(args, "CONTAINER") || strstr(args, "NAME|ID"))
		offer_containers(l, only_running);
	if (strstr(args, "IMAGE") || strstr(args, "NAME|ID") || strstr(args, "REPOSITORY") ||
	    strstr(args, "NAME["))
		offer_images(l);
	for (size_t i = 0; i < SKF_ARRAY_LEN(objects); i++)
		if (objects[i].word && strstr(args, objects[i].word) && !skf_streq(l->cmd->name, "create"))
			objects[i].fn(l);
	if (strstr(args, "FILE") || strstr(args, "PATH"))
		printf(":files\n");
	if (skf_streq(args, "bash|zsh|fish")) {
		offer(l, "bash", "");
		offer(l, "fish", "");
		offer(l, "zsh", "");
	}
}

int skf_cmd_complete(struct skf_cli *c)
{
	struct line l = {.c = c, .cur = c->args.n ? c->args.v[c->args.n - 1] : ""};
	const char *group = NULL;

	for (size_t i = 0; i + 1 < c->args.n; i++)
		pass(&l, c->args.v[i], &group);
	if (l.wants)
		offer_value(&l, l.wants);
	else if (l.cur[0] == '-' && !l.only_args && !skf_streq(group, "?")) {
		if (!offer_joined_value(&l))
			offer_options(&l);
	} else if (!l.cmd)
		offer_commands(&l, group);
	else
		offer_arguments(&l);
	return 0;
}
