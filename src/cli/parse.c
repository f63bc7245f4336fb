/* cli/parse.c -- the option parser: GNU long and short options over the one table, with the words of
 * docker's errors. Pure. */
#include "cli/cli_int.h"
#include <string.h>

#define NANO 1000000000LL

struct parse {
	skf_cmdset bit;
	struct skf_arena *a;
	struct skf_cli_opts *o;
	struct skf_err *e;
};

void skf_cli_opts_init(struct skf_cli_opts *o)
{
	memset(o, 0, sizeof(*o));
	o->sig_proxy = o->tls_verify = o->pause = o->human = o->ipv4 = o->src_tls_verify =
		o->dest_tls_verify = true;
	o->stop_timeout = o->timeout = o->last = o->compress_level = o->compression_level = o->retry = -1;
	o->s.memory_swappiness = o->s.oom_score_adj = o->s.pids_limit = SKF_CLI_UNSET;
}

static const struct skf_opt *find_long(skf_cmdset bit, const char *p, size_t n)
{
	for (size_t i = 0; i < skf_n_opts; i++)
		if (skf_opts[i].cmds & bit && strlen(skf_opts[i].name) == n &&
		    !memcmp(skf_opts[i].name, p, n))
			return &skf_opts[i];
	return NULL;
}

static const struct skf_opt *find_short(skf_cmdset bit, char c)
{
	for (size_t i = 0; i < skf_n_opts; i++)
		if (skf_opts[i].cmds & bit && skf_opts[i].chr == c)
			return &skf_opts[i];
	return NULL;
}

int skf_cli_parse_cpus(const char *s, int64_t *ret)
{
	int64_t v = 0, unit = NANO / 10;
	bool digit = false;

	for (; *s >= '0' && *s <= '9'; s++, digit = true) {
		v = v * 10 + (*s - '0') * NANO;
		if (v > 1000000 * NANO)
			return -EINVAL;
	}
	if (*s == '.')
		for (s++; *s >= '0' && *s <= '9'; s++, digit = true) {
			v += (*s - '0') * unit;
			unit /= 10;
		}
	if (*s || !digit)
		return -EINVAL;
	*ret = v;
	return 0;
}

static int bool_value(const char *v, bool *ret)
{
	static const char *const yes[] = {"true", "1", "t", "T", "TRUE", "True"}, *const no[] = {
											  "false", "0",
											  "f",     "F",
											  "FALSE", "False"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(yes); i++) {
		if (skf_streq(v, yes[i]) || skf_streq(v, no[i])) {
			*ret = skf_streq(v, yes[i]);
			return 0;
		}
	}
	return -EINVAL;
}

static int store(struct parse *p, const struct skf_opt *opt, const char *v)
{
	char *at = (char *)p->o + opt->off, *copy;
	int r = 0;

	switch (opt->kind) {
	case SKF_OPT_BOOL:
		r = bool_value(v, (bool *)(void *)at);
		break;
	case SKF_OPT_STR:
		copy = skf_arena_strdup(p->a, v);
		if (copy)
			*(char **)(void *)at = copy;
		r = copy ? 0 : -ENOMEM;
		break;
	case SKF_OPT_LIST:
		r = skf_strv_add(p->a, (struct skf_strv *)(void *)at, v);
		break;
	case SKF_OPT_INT:
		r = skf_parse_i64(v, (int64_t *)(void *)at);
		break;
	case SKF_OPT_SIZE:
		r = skf_parse_size(v, (int64_t *)(void *)at);
		break;
	case SKF_OPT_SWAP:
		*(int64_t *)(void *)at = -1;
		r = skf_streq(v, "-1") ? 0 : skf_parse_size(v, (int64_t *)(void *)at);
		break;
	case SKF_OPT_CPUS:
		r = skf_cli_parse_cpus(v, (int64_t *)(void *)at);
		break;
	case SKF_OPT_UNSUPPORTED:
		return skf_fail(p->e, SKF_EUNSUPPORTED, "flag --%s is not supported by this version",
				opt->name);
	}
	if (r == -ENOMEM)
		return skf_fail(p->e, SKF_ENOMEM, "memory for the options");
	if (r < 0 && opt->chr)
		return skf_fail(p->e, SKF_EINVALID,
				"invalid argument \"%s\" for \"-%c, --%s\" flag: expected %s", v, opt->chr,
				opt->name, opt->kind == SKF_OPT_BOOL ? "true or false" : opt->value);
	if (r < 0)
		return skf_fail(p->e, SKF_EINVALID, "invalid argument \"%s\" for \"--%s\" flag: expected %s",
				v, opt->name, opt->kind == SKF_OPT_BOOL ? "true or false" : opt->value);
	return 0;
}

/* --name, --name=value, --name value. Returns the words used, or -1. */
static int long_option(struct parse *p, int left, char **argv)
{
	const char *name = argv[0] + 2, *eq = strchr(name, '=');
	size_t n = eq ? (size_t)(eq - name) : strlen(name);
	const struct skf_opt *opt = find_long(p->bit, name, n);

	if (!opt)
		return skf_fail(p->e, SKF_EINVALID, "unknown flag: --%.*s", (int)n, name);
	if (opt->kind == SKF_OPT_UNSUPPORTED || eq)
		return store(p, opt, eq ? eq + 1 : "") < 0 ? -1 : 1;
	if (opt->kind == SKF_OPT_BOOL)
		return store(p, opt, "true") < 0 ? -1 : 1;
	if (left < 2)
		return skf_fail(p->e, SKF_EINVALID, "flag needs an argument: --%s", opt->name);
	return store(p, opt, argv[1]) < 0 ? -1 : 2;
}

/* -a, -abc, -n value, -nvalue, -n=value */
static int short_options(struct parse *p, int left, char **argv)
{
	const char *s = argv[0] + 1;

	for (; *s; s++) {
		const struct skf_opt *opt = find_short(p->bit, *s);

		if (!opt)
			return skf_fail(p->e, SKF_EINVALID, "unknown shorthand flag: '%c' in %s", *s,
					argv[0]);
		if (opt->kind == SKF_OPT_UNSUPPORTED)
			return store(p, opt, "");
		if (opt->kind == SKF_OPT_BOOL && s[1] != '=') {
			if (store(p, opt, "true") < 0)
				return -1;
			continue;
		}
		if (s[1])
			return store(p, opt, s[1] == '=' ? s + 2 : s + 1) < 0 ? -1 : 1;
		if (left < 2)
			return skf_fail(p->e, SKF_EINVALID, "flag needs an argument: '%c' in %s", *s,
					argv[0]);
		return store(p, opt, argv[1]) < 0 ? -1 : 2;
	}
	return 1;
}

int skf_cli_parse(skf_cmdset bit, bool stop_at_arg, int n, char **argv, struct skf_arena *a,
		  struct skf_cli_opts *o, struct skf_strv *args, int *ret_used, struct skf_err *e)
{
	struct parse p = {bit, a, o, e};
	bool only_args = false;
	int i = 0, used;

	while (i < n) {
		if (only_args || argv[i][0] != '-' || !argv[i][1]) {
			if (ret_used)
				break;
			if (skf_strv_add(a, args, argv[i]) < 0)
				return skf_fail(e, SKF_ENOMEM, "memory for the arguments");
			only_args |= stop_at_arg;
			i++;
			continue;
		}
		if (skf_streq(argv[i], "--")) {
			only_args = true;
			i++;
			continue;
		}
		used = argv[i][1] == '-' ? long_option(&p, n - i, argv + i)
					 : short_options(&p, n - i, argv + i);
		if (used < 0)
			return -1;
		i += used;
	}
	if (ret_used)
		*ret_used = i;
	return 0;
}
