/* Unit tests of base/time.c; gmtime_r is the reference. */
#include "base/buf.h"
#include "util.h"
#include <time.h>

static void writes(void **state)
{
	char t[36];

	skf_time_rfc3339(1, t);
	assert_string_equal(t, "1970-01-01T00:00:00.000000001Z");
	skf_time_rfc3339(-1, t);
	assert_string_equal(t, "1969-12-31T23:59:59.999999999Z");
	skf_time_rfc3339(INT64_MAX, t);
	assert_string_equal(t, "2262-04-11T23:47:16.854775807Z");
	skf_time_rfc3339(INT64_MIN, t);
	assert_string_equal(t, "1677-09-21T00:12:43.145224192Z");
}

static void agrees_with_libc_and_reads_back(void **state)
{
	for (int64_t s = -9000000000; s < 9200000000; s += 86400 * 3 + 12345) {
		time_t tt = s;
		struct tm tm;
		char t[36], want[36];
		int64_t back;

		gmtime_r(&tt, &tm);
		strftime(want, sizeof(want), "%Y-%m-%dT%H:%M:%S.000000007Z", &tm);
		skf_time_rfc3339(s * 1000000000 + 7, t);
		assert_string_equal(t, want);
		assert_int_equal(skf_parse_rfc3339(t, &back), 0);
		assert_true(back == s * 1000000000 + 7);
	}
}

static void reads_forms(void **state)
{
	static const struct {
		const char *s;
		int64_t v;
	} good[] = {
		{"1970-01-01T00:00:00Z", 0},
		{"1970-01-01t00:00:01z", 1000000000},
		{"1970-01-01T01:00:00.5+01:00", 500000000},
		{"1969-12-31T23:30:00-00:30", 0},
		{"1970-01-01 00:00:00.1234567899999Z", 123456789},
		{"2024-02-29T00:00:00Z", 1709164800000000000},
		{"2016-12-31T23:59:60Z", 1483228800000000000},
	};
	static const char *const bad[] = {"",
					  "1970-01-01",
					  "1970-01-01T00:00:00",
					  "1970-01-01T00:00:00.Z",
					  "1970-13-01T00:00:00Z",
					  "1970-00-01T00:00:00Z",
					  "2023-02-29T00:00:00Z",
					  "1900-02-29T00:00:00Z",
					  "1970-01-32T00:00:00Z",
					  "1970-01-01T24:00:00Z",
					  "1970-01-01T00:60:00Z",
					  "1970-01-01T00:00:61Z",
					  "1970-01-01T00:00:00+1:00",
					  "1970-01-01T00:00:00+24:00",
					  "1970-01-01T00:00:00Zx",
					  "70-01-01T00:00:00Z"};
	int64_t v = 5;

	for (size_t i = 0; i < SKF_ARRAY_LEN(good); i++)
		if (skf_parse_rfc3339(good[i].s, &v) != 0 || v != good[i].v)
			fail_msg("'%s' gave %lld", good[i].s, (long long)v);
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++)
		if (skf_parse_rfc3339(bad[i], &v) != -EINVAL)
			fail_msg("'%s' was accepted", bad[i]);
	assert_int_equal(skf_parse_rfc3339("0001-01-01T00:00:00Z", &v), -ERANGE);
	assert_int_equal(skf_parse_rfc3339("9999-01-01T00:00:00Z", &v), -ERANGE);
}

static void clocks_move(void **state)
{
	int64_t a = skf_mono_ms();

	assert_true(skf_now_ns() > 1700000000LL * 1000000000);
	usleep(3000);
	assert_true(skf_mono_ms() > a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes),
		cmocka_unit_test(agrees_with_libc_and_reads_back),
		cmocka_unit_test(reads_forms),
		cmocka_unit_test(clocks_move),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
