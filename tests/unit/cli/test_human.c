/* Unit tests of cli/human.c: docker's words for times and sizes. */
#include "cli/cli_int.h"
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <cmocka.h>

#define S 1000000000LL
#define H (3600 * S)

static void durations(void **state)
{
	static const struct {
		int64_t ns;
		const char *text;
	} t[] = {
		{0, "Less than a second"},
		{S - 1, "Less than a second"},
		{S, "1 second"},
		{59 * S, "59 seconds"},
		{60 * S, "About a minute"},
		{119 * S, "About a minute"},
		{120 * S, "2 minutes"},
		{3599 * S, "59 minutes"},
		{H, "About an hour"},
		{H + 1799 * S, "About an hour"},
		{H + 1800 * S, "2 hours"},
		{47 * H, "47 hours"},
		{48 * H, "2 days"},
		{13 * 24 * H, "13 days"},
		{14 * 24 * H, "2 weeks"},
		{59 * 24 * H, "8 weeks"},
		{60 * 24 * H, "2 months"},
		{729 * 24 * H, "24 months"},
		{730 * 24 * H, "2 years"},
		{-S, "Less than a second"},
	};
	char out[64];

	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++) {
		skf_human_duration(t[i].ns, out, sizeof(out));
		assert_string_equal(out, t[i].text);
	}
	skf_human_ago(0, 5, out, sizeof(out));
	assert_string_equal(out, "N/A");
	skf_human_ago(S, 4 * S, out, sizeof(out));
	assert_string_equal(out, "3 seconds ago");
}

static void sizes(void **state)
{
	char out[32];

	skf_human_size(0, out, sizeof(out));
	assert_string_equal(out, "0B");
	skf_human_size(999, out, sizeof(out));
	assert_string_equal(out, "999B");
	skf_human_size(1000, out, sizeof(out));
	assert_string_equal(out, "1kB");
	skf_human_size(142300000, out, sizeof(out));
	assert_string_equal(out, "142MB");
	skf_human_size(4260000, out, sizeof(out));
	assert_string_equal(out, "4.26MB");
	skf_human_size(UINT64_MAX, out, sizeof(out));
	assert_string_equal(out, "18.4EB");
}

static void times(void **state)
{
	static const char *const bad[] = {
		"", "x", "-5m", "5 m", "2026-13-01", "10x", "1e9", "99999999999999999999", "m"};
	int64_t v;

	assert_int_equal(skf_human_parse_time("1m30s", 100 * S, &v), 0);
	assert_int_equal(v, 10 * S);
	assert_int_equal(skf_human_parse_time("500ms", S, &v), 0);
	assert_int_equal(v, S / 2);
	assert_int_equal(skf_human_parse_time("1000.25", 0, &v), 0);
	assert_int_equal(v, 1000 * S + S / 4);
	assert_int_equal(skf_human_parse_time("1970-01-02", 0, &v), 0);
	assert_int_equal(v, 86400 * S);
	assert_int_equal(skf_human_parse_time("1970-01-01T00:01:00", 0, &v), 0);
	assert_int_equal(v, 60 * S);
	assert_int_equal(skf_human_parse_time("1970-01-01T00:01:00.5Z", 0, &v), 0);
	assert_int_equal(v, 60 * S + S / 2);
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++)
		assert_int_equal(skf_human_parse_time(bad[i], 0, &v), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(durations), cmocka_unit_test(sizes),
					   cmocka_unit_test(times)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
