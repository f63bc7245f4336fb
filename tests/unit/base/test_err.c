/* Unit tests of base/err.c. */
#include "util.h"

static void sets_kind_and_message(void **state)
{
	struct skf_err e = SKF_ERR_INIT;

	errno = 77;
	assert_int_equal(skf_fail(&e, SKF_ECONFLICT, "name '%s' is in use", "web"), -1);
	assert_int_equal(errno, 77);
	assert_int_equal(e.kind, SKF_ECONFLICT);
	assert_int_equal(e.sys, 0);
	assert_string_equal(e.msg, "name 'web' is in use");
	skf_err_clear(&e);
	assert_int_equal(e.kind, SKF_OK);
	assert_string_equal(e.msg, "");
}

static void appends_errno_text(void **state)
{
	struct skf_err e = SKF_ERR_INIT;

	assert_int_equal(skf_fail_sys(&e, -ENOENT, "open '%s'", "/x"), -1);
	assert_string_equal(e.msg, "open '/x': No such file or directory");
	assert_int_equal(e.kind, SKF_ENOTFOUND);
	assert_int_equal(e.sys, ENOENT);
	skf_fail_sys(&e, -99999, "x");
	assert_string_equal(e.msg, "x: error number 99999");
	assert_int_equal(e.kind, SKF_ESYSTEM);
	skf_fail_sys(&e, 0, "x");
	assert_int_equal(e.kind, SKF_EBUG);
}

static void context_goes_in_front(void **state)
{
	struct skf_err e = SKF_ERR_INIT;

	skf_fail(&e, SKF_EDENIED, "cause");
	skf_ctx(&e, "bundle '%s'", "b");
	skf_ctx(&e, "create");
	assert_string_equal(e.msg, "create: bundle 'b': cause");
	assert_int_equal(e.kind, SKF_EDENIED);
	skf_err_clear(&e);
	skf_ctx(&e, "here");
	assert_int_equal(e.kind, SKF_EBUG);
	assert_string_equal(e.msg, "here: failed without an error message");
}

static void cuts_with_dots(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	char big[2000];

	memset(big, 'a', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	skf_fail(&e, SKF_EINVALID, "%s", big);
	assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
	assert_string_equal(e.msg + sizeof(e.msg) - 5, "a...");
	skf_fail_sys(&e, -EPERM, "%s", big);
	assert_non_null(strstr(e.msg, "a...: Operation not permitted"));
	assert_int_equal(strlen(e.msg), sizeof(e.msg) - 1);
	/* exactly full is not cut */
	big[sizeof(e.msg) - 1] = 0;
	skf_fail(&e, SKF_EINVALID, "%s", big);
	assert_string_equal(e.msg, big);
}

static void context_keeps_the_cause(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	char big[400];

	memset(big, 'p', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	skf_fail(&e, SKF_EINVALID, "the cause");
	for (int i = 0; i < 20; i++) {
		skf_ctx(&e, "%s", big);
		assert_true(strlen(e.msg) < sizeof(e.msg));
		if (i == 0)
			assert_non_null(strstr(e.msg, "ppp: the cause"));
	}
	assert_string_equal(e.msg + strlen(e.msg) - 3, "...");
}

static void cut_keeps_utf8_whole(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	char big[2001];

	for (int shift = 0; shift < 3; shift++) {
		memset(big, 'x', sizeof(big));
		for (size_t i = (size_t)shift; i + 3 < sizeof(big); i += 3)
			memcpy(big + i, "\xe2\x82\xac", 3);
		big[sizeof(big) - 1] = 0;
		skf_fail(&e, SKF_EINVALID, "%s", big);
		assert_memory_equal(e.msg + strlen(e.msg) - 6, "\xe2\x82\xac...", 6);
	}
}

static void argument_may_be_the_error(void **state)
{
	struct skf_err e = SKF_ERR_INIT;

	skf_fail(&e, SKF_EINVALID, "inner");
	skf_fail(&e, SKF_EINVALID, "outer(%s)", e.msg);
	assert_string_equal(e.msg, "outer(inner)");
}

static void tables_are_complete(void **state)
{
	struct skf_err e = SKF_ERR_INIT;

	for (int k = 0; k < SKF_KIND_MAX; k++)
		assert_string_not_equal(skf_kind_name(k), "unknown");
	assert_string_equal(skf_kind_name(SKF_KIND_MAX), "unknown");
	assert_int_equal(skf_kind_of_errno(0), SKF_OK);
	assert_int_equal(skf_kind_of_errno(ENOSPC), SKF_ELIMIT);
	assert_int_equal(skf_kind_of_errno(EIO), SKF_ESYSTEM);
	assert_int_equal(skf_err_exit_code(&e, 125), 0);
	e.kind = SKF_ECMD_NOTFOUND;
	assert_int_equal(skf_err_exit_code(&e, 125), 127);
	e.kind = SKF_ECMD_NOTEXEC;
	assert_int_equal(skf_err_exit_code(&e, 125), 126);
	e.kind = SKF_EINVALID;
	assert_int_equal(skf_err_exit_code(&e, 1), 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(sets_kind_and_message),     cmocka_unit_test(appends_errno_text),
		cmocka_unit_test(context_goes_in_front),     cmocka_unit_test(cuts_with_dots),
		cmocka_unit_test(context_keeps_the_cause),   cmocka_unit_test(cut_keeps_utf8_whole),
		cmocka_unit_test(argument_may_be_the_error), cmocka_unit_test(tables_are_complete),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
