/* From args[0] to a file, and the words of a failure: runtime/exec_lookup.c in a temporary directory,
 * without root. */
#include "oci/spec.h"
#include "runtime/runtime_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

struct ctx {
	char dir[64];
	char path_env[256];
	char *args[2], *env[2];
	struct skf_spec_process p;
};

static void write_file(const struct ctx *c, const char *name, const char *text, mode_t mode)
{
	char path[PATH_MAX];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", c->dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
	assert_int_equal(chmod(path, mode), 0);
}

static int setup(void **state)
{
	static struct ctx c;
	char sub[128];

	memset(&c, 0, sizeof(c));
	strcpy(c.dir, "/tmp/skf-lookup-XXXXXX");
	if (!mkdtemp(c.dir))
		return -1;
	snprintf(sub, sizeof(sub), "%s/dir", c.dir);
	mkdir(sub, 0755);
	snprintf(c.path_env, sizeof(c.path_env), "PATH=relative::/no/such:%s/dir:%s", c.dir, c.dir);
	c.env[0] = c.path_env;
	c.p.args = (struct skf_strv){c.args, 1};
	c.p.env = (struct skf_strv){c.env, 1};
	write_file(&c, "good", "#!/bin/sh\n", 0755);
	write_file(&c, "plain", "x", 0644);
	write_file(&c, "noint", "#! /no/such/interpreter -x\n", 0755);
	*state = &c;
	return 0;
}

static int teardown(void **state)
{
	struct ctx *c = *state;

	return skf_rmtree_at(AT_FDCWD, c->dir);
}

static void look(struct ctx *c, const char *arg0, enum skf_kind kind, const char *word)
{
	struct skf_err e = SKF_ERR_INIT;
	char out[PATH_MAX], arg[PATH_MAX];
	int r;

	snprintf(arg, sizeof(arg), "%s", arg0);
	c->args[0] = arg;
	r = skf_exec_lookup(&c->p, out, sizeof(out), &e);
	assert_int_equal(r, kind == SKF_OK ? 0 : -1);
	assert_int_equal(e.kind, kind);
	assert_non_null(strstr(kind == SKF_OK ? out : e.msg, word));
}

static void finds_along_path(void **state)
{
	struct ctx *c = *state;
	char want[128];

	snprintf(want, sizeof(want), "%s/good", c->dir);
	look(c, "good", SKF_OK, want);
	look(c, want, SKF_OK, want);
	look(c, "nosuch", SKF_ECMD_NOTFOUND, "exec: \"nosuch\": executable file not found in $PATH");
	look(c, "plain", SKF_ECMD_NOTEXEC, "permission denied");
	look(c, "", SKF_ECMD_NOTFOUND, "executable file not found in $PATH");
	look(c, "dir", SKF_ECMD_NOTFOUND, "not found");
}

static void absolute_paths(void **state)
{
	struct ctx *c = *state;

	look(c, "/no/such/program", SKF_ECMD_NOTFOUND, "no such file or directory");
	look(c, c->dir, SKF_ECMD_NOTEXEC, "is a directory");
	look(c, "/dev/null", SKF_ECMD_NOTEXEC, "permission denied");
	look(c, "/dev/null/x", SKF_ECMD_NOTFOUND, "no such file");
}

static void default_path_when_there_is_none(void **state)
{
	struct ctx *c = *state;
	struct skf_strv env = c->p.env;

	c->p.env = (struct skf_strv){0};
	look(c, "sh", SKF_OK, "/bin/sh");
	c->p.env = env;
}

static void no_args(void **state)
{
	struct skf_spec_process p = {0};
	struct skf_err e = SKF_ERR_INIT;
	char out[16];

	(void)state;
	assert_int_equal(skf_exec_lookup(&p, out, sizeof(out), &e), -1);
	assert_int_equal(e.kind, SKF_EINVALID);
}

static void failed_execve_is_explained(void **state)
{
	struct ctx *c = *state;
	struct skf_err e = SKF_ERR_INIT;
	char path[128];

	snprintf(path, sizeof(path), "%s/noint", c->dir);
	assert_int_equal(skf_exec_failed("noint", path, ENOENT, &e), -1);
	assert_int_equal(e.kind, SKF_ECMD_NOTFOUND);
	assert_non_null(strstr(e.msg, "'/no/such/interpreter'"));
	assert_int_equal(skf_exec_failed("noint", path, ENOEXEC, &e), -1);
	assert_int_equal(e.kind, SKF_ECMD_NOTEXEC);
	assert_non_null(strstr(e.msg, "exec format error"));
	assert_int_equal(skf_exec_failed("sh", "/bin/sh", EACCES, &e), -1);
	assert_int_equal(e.kind, SKF_ECMD_NOTEXEC);
	assert_int_equal(skf_exec_failed("x", "/no/such", ENOENT, &e), -1);
	assert_int_equal(e.kind, SKF_ECMD_NOTFOUND);
	assert_int_equal(skf_exec_failed("x", "/bin/sh", E2BIG, &e), -1);
	assert_int_equal(e.kind, SKF_ECMD_NOTEXEC);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(finds_along_path, setup, teardown),
		cmocka_unit_test_setup_teardown(absolute_paths, setup, teardown),
		cmocka_unit_test_setup_teardown(default_path_when_there_is_none, setup, teardown),
		cmocka_unit_test_setup_teardown(failed_execve_is_explained, setup, teardown),
		cmocka_unit_test(no_args),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
