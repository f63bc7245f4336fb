/* Unit tests of engine/conf.c: the configuration file. */
#include "util.h"
#include <stdlib.h>
#include <unistd.h>

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
	assert_int_equal(c.pull, SKF_PULL_MISSING);
	assert_null(skf_conf_origin(&c, "tz"));
	assert_int_equal(parse(&c, "# a comment\n\n pids_limit = -1 \r\ntz=\" a b \"\nenv = A=1 B=2\nenv = "
				   "C=3\ninit = true\npull = newer"),
			 0);
	assert_int_equal(c.pids_limit, -1);
	assert_string_equal(c.tz, " a b ");
	assert_int_equal(c.env.n, 3);
	assert_true(c.init);
	assert_int_equal(c.pull, SKF_PULL_NEWER);
	assert_string_equal(skf_conf_origin(&c, "tz"), "f.conf:4");
	/* A later file's list replaces an earlier one's. */
	assert_int_equal(parse(&c, "env = Z=1\nulimits ="), 0);
	assert_int_equal(c.env.n, 1);
	assert_int_equal(c.ulimits.n, 0);
}

static void errors(void **state)
{
	SKF_AUTO(skf_conf_done) struct skf_conf c;

	assert_int_equal(skf_conf_defaults(&c, &err), 0);
	ASSERT_FAILS(parse(&c, "\nnosuch = 1"), SKF_EINVALID, "f.conf:2: unknown key 'nosuch'");
	ASSERT_FAILS(parse(&c, "pids_limit"), SKF_EINVALID,
		     "f.conf:1: not understood: 'pids_limit': expected KEY = VALUE");
	ASSERT_FAILS(parse(&c, "pids_limit = many"), SKF_EINVALID,
		     "f.conf:1: wrong value 'many': expected a number");
	ASSERT_FAILS(parse(&c, "pids_limit = -2"), SKF_EINVALID, "expected a number, -1 or more");
	assert_int_equal(parse(&c, "stop_timeout = 2147483647"), 0);
	ASSERT_FAILS(parse(&c, "stop_timeout = 2147483648"), SKF_EINVALID, "expected a number, -1 or more");
	ASSERT_FAILS(parse(&c, "pull = sometimes"), SKF_EINVALID,
		     "expected always, missing, never or newer");
	ASSERT_FAILS(parse(&c, "init = yes"), SKF_EINVALID, "expected true or false");
	ASSERT_FAILS(parse(&c, "shm_size = -"), SKF_EINVALID, "expected a size");
	ASSERT_FAILS(parse(&c, "tz = \"x"), SKF_EINVALID, "wrong value");
	ASSERT_FAILS(skf_conf_parse(&c, "f.conf", "a\0b", 3, &err), SKF_EINVALID, "zero byte");
}

/* The configuration lives in one arena of SKF_MAX_OBJECT_BYTES; a file is read up to SKF_MAX_CONF_BYTES. */
static void limits(void **state)
{
	SKF_AUTO(skf_conf_done) struct skf_conf c;
	size_t n = SKF_MAX_OBJECT_BYTES;
	SKF_AUTO_FREE char *text = malloc(n + 16);
	char path[] = "/tmp/skiff-test-conf-XXXXXX";
	int fd;

	assert_non_null(text);
	memset(text, 'x', n + 16);
	memcpy(text, "tz=", 3);
	assert_int_equal(skf_conf_defaults(&c, &err), 0);
	ASSERT_FAILS(skf_conf_parse(&c, "f.conf", text, n + 16, &err), SKF_ELIMIT,
		     "f.conf:1: the configuration is too large");

	memset(text, '#', SKF_MAX_CONF_BYTES + 1);
	fd = mkstemp(path);
	assert_true(fd >= 0);
	assert_int_equal(skf_write_full(fd, text, SKF_MAX_CONF_BYTES + 1), 0);
	setenv("SKIFF_CONF", path, 1);
	skf_conf_done(&c);
	assert_int_equal(skf_conf_load(&c, &err), -1);
	assert_non_null(strstr(err.msg, path));
	skf_err_clear(&err);
	skf_conf_done(&c);
	assert_int_equal(ftruncate(fd, SKF_MAX_CONF_BYTES), 0);
	assert_int_equal(skf_conf_load(&c, &err), 0);
	unsetenv("SKIFF_CONF");
	close(fd);
	unlink(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(values), cmocka_unit_test(errors),
					   cmocka_unit_test(limits)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
