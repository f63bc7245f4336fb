/* tests/unit/cli/test_semver.c -- versions of tags against conditions: open parts, versions before a
 * release, ranges, or and and. */
#include "base/err.h"
#include "cli/semver.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <cmocka.h>

static const struct {
	const char *condition, *yes, *no; /* tags with blanks between them */
} cases[] = {
	{"1.2.3", "1.2.3 v1.2.3 1.2.3+build", "1.2.4 1.2 1.2.3-rc1 latest 1.2.3.4 1.2. x"},
	{"=1.2", "1.2 1.2.0 1.2.9", "1.3 2.2"},
	{"!=1.2", "1.3 2.2", "1.2 1.2.9"},
	{"!=1.2.3", "1.2.4", "1.2.3"},
	{">1", "2 2.0.0", "1 1.9.9"},
	{">1.2", "1.3 2.0", "1.2.9 1.2"},
	{">1.2.3", "1.2.4 v2", "1.2.3 1.2.2"},
	{">=1.2.3", "1.2.3 9", "1.2.2 1.3.0-rc1"},
	{">=1.2.3-rc1", "1.2.3-rc1 1.2.3-rc2 1.2.3 1.3.0-a", "1.2.3-beta 1.2.2"},
	{"<=1.2", "1.2.9 1.1 0", "1.3"},
	{"<1.2", "1.1.9 1", "1.2 1.2.1"},
	{"~1.2.3", "1.2.3 1.2.9", "1.2.2 1.3.0"},
	{"~1", "1.0 1.9.9", "2 0.9"},
	{"~>1.2", "1.2.9", "1.3"},
	{"^1.2.3", "1.2.3 1.9", "1.2.2 2.0"},
	{"^0.2.3", "0.2.3 0.2.9", "0.3.0 1.2.3"},
	{"^0.0.3", "0.0.3", "0.0.4 0.1.0"},
	{"^0.0", "0.0.9", "0.1.0"},
	{"^0", "0.9.9", "1.0.0"},
	{"1.x", "1.0 1.9", "2.0"},
	{"1.2.*", "1.2.0 1.2.7", "1.3.0"},
	{"*", "1 99.9.9", "1.0.0-rc1 latest"},
	{"1.2 - 1.4.5", "1.2.0 1.4.5", "1.1 1.4.6"},
	{">= 1.2, < 2.0.0", "1.2 1.9", "2.0 1.1"},
	{">=1.2 <1.4 || ^3", "1.3 3.9", "1.4 2.0 4.0"},
	{"1.0.0-alpha.2 || 1.0.0-alpha.10", "1.0.0-alpha.10 1.0.0-alpha.2", "1.0.0-alpha.3"},
	{">1.0.0-alpha.2 <1.0.0-z", "1.0.0-alpha.10 1.0.0-alpha.2.1 1.0.0-beta",
	 "1.0.0-alpha.2 1.0.0-alpha.1 1.0.0-1 1.0.0"},
};

static void each(const char *condition, const char *tags, bool want)
{
	char tag[64];

	for (int n; sscanf(tags, "%63s%n", tag, &n) == 1; tags += n)
		if (skf_semver_fits(condition, tag) != want)
			fail_msg("'%s' %s '%s'", tag, want ? "should fit" : "should not fit", condition);
}

static void fits(void **state)
{
	struct skf_err e = SKF_ERR_INIT;

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(cases); i++) {
		assert_int_equal(skf_semver_check(cases[i].condition, &e), 0);
		each(cases[i].condition, cases[i].yes, true);
		each(cases[i].condition, cases[i].no, false);
	}
}

static void no_conditions(void **state)
{
	static const char *const bad[] = {"",
					  " ",
					  "one",
					  ">= one",
					  "1.2.3.4",
					  "1..2",
					  ">",
					  "1.2 ||",
					  "|| 1",
					  "1.2-",
					  "1.2 -",
					  "1 & 2",
					  "99999999999999999999999",
					  "1.2.3-a..b",
					  "1.2.3+"};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		struct skf_err e = SKF_ERR_INIT;

		if (skf_semver_check(bad[i], &e) == 0)
			fail_msg("'%s' is taken for a condition", bad[i]);
		assert_int_equal(e.kind, SKF_EINVALID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(fits), cmocka_unit_test(no_conditions)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
