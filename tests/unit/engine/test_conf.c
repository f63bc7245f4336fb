/* Unit tests of engine/conf.c: the configuration file. */
#include "util.h"

static struct skf_err err;

static int parse(struct skf_conf *c, const char *text)
{
	return skf_conf_parse(c, "f.conf", text, strlen(text), &err);
}

static void values(void **state)
{
	SKF_AUTO(skf_conf_done) struct skf_conf c;

	assert_int_equal(skf_conf_defaults(&c, &err), 0);
	assert_int_equal(c.pids_limit, 2048);
	assert_int_equal(c.shm_size, 64 << 20);
	assert_int_equal(c.cdi_dirs.n, 2);
	assert_null(skf_conf_origin(&c, "tz"));
	assert_int_equal(parse(&c, "# a comment\n\n pids_limit = -1 \r\ntz=\" a b \"\nenv = A=1 B=2\nenv = C=3\ninit = true"), 0);
	assert_int_equal(c.pids_limit, -1);
	assert_string_equal(c.tz, " a b ");
	assert_int_equal(c.env.n, 3);
	assert_true(c.init);
	assert_string_equal(skf_conf_origin(&c, "tz"), "f.conf:4");
	/* A later file's list replaces an earlier one's. */
	assert_int_equal(parse(&c, "env = Z=1\ncdi_dirs ="), 0);
	assert_int_equal(c.env.n, 1);
	assert_int_equal(c.cdi_dirs.n, 0);
}

static void errors(void **state)
{
	SKF_AUTO(skf_conf_done) struct skf_conf c;

	assert_int_equal(skf_conf_defaults(&c, &err), 0);
	ASSERT_FAILS(parse(&c, "\nnosuch = 1"), SKF_EINVALID, "f.conf:2: unknown key 'nosuch'");
	ASSERT_FAILS(parse(&c, "pids_limit"), SKF_EINVALID, "f.conf:1: not understood: 'pids_limit': expected KEY = VALUE");
	ASSERT_FAILS(parse(&c, "pids_limit = many"), SKF_EINVALID, "f.conf:1: wrong value 'many': expected a number");
	ASSERT_FAILS(parse(&c, "init = yes"), SKF_EINVALID, "expected true or false");
	ASSERT_FAILS(parse(&c, "shm_size = -"), SKF_EINVALID, "expected a size");
	ASSERT_FAILS(parse(&c, "tz = \"x"), SKF_EINVALID, "wrong value");
	ASSERT_FAILS(skf_conf_parse(&c, "f.conf", "a\0b", 3, &err), SKF_EINVALID, "zero byte");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(errors)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
