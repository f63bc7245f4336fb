/* Unit tests of oci/seccomp_profile.c: what of a profile is left for a machine and a set of capabilities,
 * and its limits. What the kernel then does: tests/engine/test_settings.py. */
#include "oci_test.h"
#include "oci/seccomp_profile.h"

#define CAP(n)    (UINT64_C(1) << (n))
#define CAP_ADMIN 21 /* CAP_SYS_ADMIN */
#define MAX_RULES 4096

static int resolve(const char *text, uint64_t caps, struct skf_buf *b, struct skf_err *e)
{
	SKF_AUTO_FREE char *json = json_text(text);

	return skf_seccomp_profile("p.json", json, strlen(json), caps, b, e);
}

static void capabilities_choose_rules(void **state)
{
	static const char text[] =
		"{'defaultAction':'SCMP_ACT_ERRNO','syscalls':["
		"{'names':['read'],'action':'SCMP_ACT_ALLOW'},"
		"{'names':['mount'],'action':'SCMP_ACT_ALLOW','includes':{'caps':['CAP_SYS_ADMIN']}},"
		"{'names':['clone'],'action':'SCMP_ACT_ALLOW','excludes':{'caps':['CAP_SYS_ADMIN']}}]}";
	static const struct {
		uint64_t caps;
		bool mount, clone;
	} cases[] = {{0, false, true}, {CAP(CAP_ADMIN), true, false}};

	for (size_t i = 0; i < SKF_ARRAY_LEN(cases); i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SECCOMP_BYTES);
		struct skf_err e = SKF_ERR_INIT;

		assert_int_equal(resolve(text, cases[i].caps, &b, &e), 0);
		assert_non_null(strstr(skf_buf_cstr(&b), "\"read\""));
		assert_int_equal(strstr(skf_buf_cstr(&b), "\"mount\"") != NULL, cases[i].mount);
		assert_int_equal(strstr(skf_buf_cstr(&b), "\"clone\"") != NULL, cases[i].clone);
		assert_null(strstr(skf_buf_cstr(&b), "includes"));
	}
}

static void wrong_profiles_are_refused(void **state)
{
	static const struct {
		const char *text, *words;
	} cases[] = {
		{"", "p.json"},
		{"{}", "defaultAction"},
		{"{'defaultAction':'NOSUCH'}", "defaultAction"},
		{"{'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['read'],'action':'NOSUCH'}]}",
		 "action"},
		{"{'defaultAction':'SCMP_ACT_ALLOW','syscalls':{}}", "syscalls"},
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(cases); i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SECCOMP_BYTES);
		struct skf_err e = SKF_ERR_INIT;

		assert_int_equal(resolve(cases[i].text, 0, &b, &e), -1);
		if (!strstr(e.msg, cases[i].words))
			fail_msg("'%s' lacks '%s'", e.msg, cases[i].words);
	}
}

/* A profile of n rules. */
static int of_rules(size_t n, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf b = SKF_BUF(SKF_MAX_SECCOMP_BYTES), text = SKF_BUF(SKF_MAX_SECCOMP_BYTES);

	skf_buf_str(&text, "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[");
	for (size_t i = 0; i < n; i++)
		skf_buf_fmt(&text, "%s{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ERRNO\"}", i ? "," : "");
	skf_buf_str(&text, "]}");
	assert_int_equal(text.err, 0);
	return skf_seccomp_profile("p.json", text.p, text.len, 0, &b, e);
}

static void limits(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SECCOMP_BYTES);
	SKF_AUTO_FREE char *text = malloc(SKF_MAX_SECCOMP_BYTES + 1);
	static const char profile[] = "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}";
	struct skf_err e = SKF_ERR_INIT;

	assert_int_equal(of_rules(MAX_RULES, &e), 0);
	assert_int_equal(of_rules(MAX_RULES + 1, &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
	skf_err_clear(&e);

	assert_non_null(text);
	memset(text, ' ', SKF_MAX_SECCOMP_BYTES + 1);
	memcpy(text, profile, sizeof(profile) - 1);
	assert_int_equal(skf_seccomp_profile("p.json", text, SKF_MAX_SECCOMP_BYTES, 0, &b, &e), 0);
	assert_int_equal(skf_seccomp_profile("p.json", text, SKF_MAX_SECCOMP_BYTES + 1, 0, &b, &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(capabilities_choose_rules),
					   cmocka_unit_test(wrong_profiles_are_refused),
					   cmocka_unit_test(limits)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
