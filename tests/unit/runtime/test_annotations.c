/* Annotations: what is accepted, and the program that one of them carries. */
#include "runtime/runtime_int.h"
#include "runtime/seccomp_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

static int check(const char *k, const char *v)
{
	struct skf_kv kv[] = {{(char *)"other", (char *)"x"}, {(char *)(uintptr_t)k, (char *)(uintptr_t)v}};
	struct skf_kvs a = {kv, 2};
	struct skf_err e = SKF_ERR_INIT;

	return skf_annotations_check(&a, &e);
}

static void values(void **state)
{
	static const struct {
		const char *k, *v;
		int want;
	} cases[] = {
		{"run.oci.unknown", "x", 0},
		{"run.oci.hooks.stdout", "/tmp/x", 0},
		{"run.oci.hooks.stderr", "tmp/x", -1},
		{"run.oci.seccomp.receiver", "@abstract", -1},
		{"run.oci.mount_context_type", "rootcontext", 0},
		{"run.oci.mount_context_type", "context,rw", -1},
		{"run.oci.systemd.subgroup", "", 0},
		{"run.oci.systemd.subgroup", "a/b", 0},
		{"run.oci.systemd.subgroup", "/a", -1},
		{"run.oci.delegate-cgroup", "a/../b", -1},
		{"run.oci.delegate-cgroup", "a/", -1},
		{"run.oci.delegate-cgroup", ".", -1},
		{"run.oci.handler", "krun", -1},
		{"run.oci.handler", "", -1},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(cases); i++)
		assert_int_equal(check(cases[i].k, cases[i].v), cases[i].want);
}

static void getters(void **state)
{
	struct skf_kv kv[] = {{(char *)"run.oci.keep_original_groups", (char *)"0"},
			      {(char *)"run.oci.seccomp_fail_unknown_syscall", (char *)""}};
	struct skf_kvs a = {kv, 2}, none = {0};

	(void)state;
	assert_false(skf_annotation_on(&a, SKF_AN_KEEP_GROUPS));
	assert_true(skf_annotation_on(&a, SKF_AN_SECCOMP_FAIL_UNKNOWN));
	assert_null(skf_annotation(&a, SKF_AN_HANDLER));
	assert_null(skf_annotation(&none, SKF_AN_KEEP_GROUPS));
}

static void sandbox_of_a_pod_has_no_handler(void **state)
{
	struct skf_kv kv[] = {{(char *)"run.oci.handler", (char *)"wasm"},
			      {(char *)"io.kubernetes.cri.container-type", (char *)"sandbox"}};
	struct skf_kvs a = {kv, 2};
	struct skf_err e = SKF_ERR_INIT;

	(void)state;
	assert_int_equal(skf_annotations_check(&a, &e), 0);
}

static void raw_program(void **state)
{
	struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_bpf_prog p;

	(void)state;
	assert_int_equal(skf_seccomp_raw("BgAAAAAA/38=", &a, &p, &e), 0); /* return ALLOW */
	assert_int_equal(p.n, 1);
	assert_int_equal(p.insn[0].code, 0x06);
	assert_int_equal(p.insn[0].k, 0x7fff0000);
	assert_false(p.notify);
	assert_int_equal(skf_seccomp_raw("BgAAAAAAwH8=", &a, &p, &e), 0); /* return USER_NOTIF */
	assert_true(p.notify);
	assert_int_equal(skf_seccomp_raw("", &a, &p, &e), -1);
	assert_int_equal(skf_seccomp_raw("BgAAAAAA/38", &a, &p, &e), -1);
	assert_int_equal(skf_seccomp_raw("BgAA=AAA/38=", &a, &p, &e), -1);
	assert_int_equal(skf_seccomp_raw("BgAAAAAA/3==", &a, &p, &e), -1);
	assert_int_equal(skf_seccomp_raw("====", &a, &p, &e), -1);
	skf_arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(values),
		cmocka_unit_test(getters),
		cmocka_unit_test(sandbox_of_a_pod_has_no_handler),
		cmocka_unit_test(raw_program),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
