/* Unit tests of cli/parse.c and the tables behind it. */
#include "cli/cli_int.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

struct parsed {
	struct skf_arena a;
	struct skf_cli_opts o;
	struct skf_strv args;
	struct skf_err e;
	int r;
};

static void parse(struct parsed *p, skf_cmdset bit, bool stop, const char *const *argv)
{
	int n = 0;

	while (argv[n])
		n++;
	memset(p, 0, sizeof(*p));
	p->a = (struct skf_arena)SKF_ARENA(1 << 20);
	skf_cli_opts_init(&p->o);
	p->r = skf_cli_parse(bit, stop, n, (char **)(uintptr_t)argv, &p->a, &p->o, &p->args, NULL, &p->e);
}
#define PARSE(p, bit, stop, ...) parse(p, bit, stop, (const char *const[]){__VA_ARGS__, NULL})

static void forms(void **state)
{
	struct parsed p;

	PARSE(&p, C_RUN, true, "-dit", "--name", "web", "--user=bob", "-eA=1", "-e", "B=2", "-m=64m",
	      "--cpus", "1.5", "--rm=false", "--pids-limit=-1", "image", "--rm", "-x", "--");
	assert_int_equal(p.r, 0);
	assert_true(p.o.detach && p.o.interactive && p.o.tty && !p.o.rm && p.o.sig_proxy);
	assert_string_equal(p.o.name, "web");
	assert_string_equal(p.o.user, "bob");
	assert_int_equal(p.o.env.n, 2);
	assert_string_equal(p.o.env.v[1], "B=2");
	assert_int_equal(p.o.s.memory, 64 << 20);
	assert_int_equal(p.o.s.nano_cpus, 1500000000);
	assert_int_equal(p.o.s.pids_limit, -1);
	assert_int_equal(p.args.n, 4);
	assert_string_equal(p.args.v[3], "--");
	skf_arena_done(&p.a);

	PARSE(&p, C_LOGS, false, "web", "-f", "-n", "5", "--", "-x");
	assert_int_equal(p.r, 0);
	assert_true(p.o.follow);
	assert_string_equal(p.o.tail, "5");
	assert_int_equal(p.args.n, 2);
	assert_string_equal(p.args.v[1], "-x");
	skf_arena_done(&p.a);

	PARSE(&p, C_RUN, true, "--entrypoint", "", "-", "x");
	assert_int_equal(p.r, 0);
	assert_string_equal(p.o.entrypoint, "");
	assert_int_equal(p.args.n, 2);
	skf_arena_done(&p.a);
}

static void refusals(void **state)
{
	static const struct {
		const char *arg;
		unsigned kind;
		const char *words;
	} t[] = {
		{"--nosuch", SKF_EINVALID, "unknown flag: --nosuch"},
		{"--nosuch=1", SKF_EINVALID, "unknown flag: --nosuch"},
		{"-dZ", SKF_EINVALID, "unknown shorthand flag: 'Z' in -dZ"},
		{"--name", SKF_EINVALID, "flag needs an argument: --name"},
		{"-dm", SKF_EINVALID, "flag needs an argument: 'm' in -dm"},
		{"-mx", SKF_EINVALID, "invalid argument \"x\" for \"-m, --memory\" flag"},
		{"--cpus=", SKF_EINVALID, "invalid argument \"\" for \"--cpus\" flag"},
		{"--pids-limit=9999999999999999999999", SKF_EINVALID, "invalid argument"},
		{"--rm=si", SKF_EINVALID, "expected true or false"},
		{"--isolation=hyperv", SKF_EUNSUPPORTED,
		 "flag --isolation is not supported by this version"},
		{"--help=maybe", SKF_EINVALID, "invalid argument"},
		{"--=", SKF_EINVALID, "unknown flag: --"},
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++) {
		struct parsed p;

		PARSE(&p, C_RUN, true, t[i].arg);
		assert_int_equal(p.r, -1);
		assert_int_equal(p.e.kind, t[i].kind);
		if (!strstr(p.e.msg, t[i].words))
			fail_msg("'%s' lacks '%s'", p.e.msg, t[i].words);
		skf_arena_done(&p.a);
	}
}

static void cpus(void **state)
{
	static const char *const bad[] = {"", ".", "x", "-1", "1.5x", "1e3", "99999999999"};
	int64_t v;

	assert_int_equal(skf_cli_parse_cpus("2", &v), 0);
	assert_int_equal(v, 2000000000);
	assert_int_equal(skf_cli_parse_cpus(".25", &v), 0);
	assert_int_equal(v, 250000000);
	assert_int_equal(skf_cli_parse_cpus("0.0000000001", &v), 0);
	assert_int_equal(v, 0);
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++)
		assert_int_equal(skf_cli_parse_cpus(bad[i], &v), -EINVAL);
}

/* No command has two options of one name or one letter, and each has a help text or is refused. */
static void tables_are_sound(void **state)
{
	for (size_t i = 0; i < skf_n_opts; i++) {
		assert_true(skf_opts[i].kind == SKF_OPT_UNSUPPORTED || skf_opts[i].help);
		assert_true(skf_opts[i].kind == SKF_OPT_UNSUPPORTED ||
			    (skf_opts[i].kind == SKF_OPT_BOOL) == !skf_opts[i].value);
		for (size_t k = i + 1; k < skf_n_opts; k++) {
			if (!(skf_opts[i].cmds & skf_opts[k].cmds))
				continue;
			if (!strcmp(skf_opts[i].name, skf_opts[k].name) ||
			    (skf_opts[i].chr && skf_opts[i].chr == skf_opts[k].chr))
				fail_msg("--%s and --%s collide", skf_opts[i].name, skf_opts[k].name);
		}
	}
	for (size_t i = 0; i < skf_n_cmds; i++)
		assert_true(skf_cmds[i].fn && skf_cmds[i].about && skf_cmds[i].args &&
			    skf_cmds[i].min_args <= skf_cmds[i].max_args);
}

static void detach_keys(void **state)
{
	unsigned char k[4];

	assert_int_equal(skf_pump_parse_keys(NULL, k, 4), 2);
	assert_true(k[0] == 0x10 && k[1] == 0x11);
	assert_int_equal(skf_pump_parse_keys("a,ctrl-],ctrl-@", k, 4), 3);
	assert_true(k[0] == 'a' && k[1] == 0x1d && k[2] == 0);
	assert_int_equal(skf_pump_parse_keys("ctrl-", k, 4), -EINVAL);
	assert_int_equal(skf_pump_parse_keys("ctrl-1", k, 4), -EINVAL);
	assert_int_equal(skf_pump_parse_keys("a,b,c,d,e", k, 4), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(forms), cmocka_unit_test(refusals),
					   cmocka_unit_test(cpus), cmocka_unit_test(tables_are_sound),
					   cmocka_unit_test(detach_keys)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
