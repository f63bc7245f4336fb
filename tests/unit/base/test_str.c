/* Unit tests of base/str.c. */
#include "base/buf.h"
#include "util.h"

static void compares(void **state)
{
	assert_true(skf_streq(NULL, NULL));
	assert_false(skf_streq("a", NULL));
	assert_false(skf_streq(NULL, ""));
	assert_true(skf_streq("a", "a"));
	assert_true(skf_startswith("abc", "ab"));
	assert_true(skf_startswith("abc", ""));
	assert_false(skf_startswith("a", "ab"));
	assert_true(skf_endswith("abc", "bc"));
	assert_false(skf_endswith("c", "bc"));
	assert_true(skf_is_hex("0af9", 4));
	assert_false(skf_is_hex("0AF9", 4));
	assert_false(skf_is_hex("0af", 4));
	assert_false(skf_is_hex("0af90", 4));
}

static void parses_unsigned(void **state)
{
	static const char *const bad[] = {"", "-1", "+1", " 1", "1 ", "0x1", "1a", "1.0", "\xd9\xa1"};
	uint64_t v = 7;
	uint32_t w = 7;

	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++)
		assert_int_equal(skf_parse_u64(bad[i], &v), -EINVAL);
	assert_int_equal(skf_parse_u64(NULL, &v), -EINVAL);
	assert_int_equal(skf_parse_u64("18446744073709551616", &v), -ERANGE);
	assert_int_equal(skf_parse_u64("99999999999999999999999", &v), -ERANGE);
	assert_int_equal(v, 7);
	assert_int_equal(skf_parse_u64("18446744073709551615", &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(skf_parse_u64("007", &v), 0);
	assert_true(v == 7);
	assert_int_equal(skf_parse_u32("4294967296", &w), -ERANGE);
	assert_int_equal(w, 7);
	assert_int_equal(skf_parse_u32("4294967295", &w), 0);
	assert_int_equal(w, UINT32_MAX);
}

static void parses_signed(void **state)
{
	int64_t v = 7;

	assert_int_equal(skf_parse_i64("-9223372036854775808", &v), 0);
	assert_true(v == INT64_MIN);
	assert_int_equal(skf_parse_i64("9223372036854775807", &v), 0);
	assert_true(v == INT64_MAX);
	assert_int_equal(skf_parse_i64("-9223372036854775809", &v), -ERANGE);
	assert_int_equal(skf_parse_i64("9223372036854775808", &v), -ERANGE);
	assert_int_equal(skf_parse_i64("--1", &v), -EINVAL);
	assert_int_equal(skf_parse_i64("-", &v), -EINVAL);
	assert_int_equal(skf_parse_i64(NULL, &v), -EINVAL);
}

static void parses_sizes(void **state)
{
	static const struct {
		const char *s;
		int64_t v;
	} good[] = {
		{"32", 32},
		{"32b", 32},
		{"32B", 32},
		{"32k", 32768},
		{"32K", 32768},
		{"32kb", 32768},
		{"32Kb", 32768},
		{"32KiB", 32768},
		{"32Mb", 32 << 20},
		{"32g", 32LL << 30},
		{"32Tb", 32LL << 40},
		{"32Pb", 32LL << 50},
		{"32.5kB", 33280},
		{"32.5 kB", 33280},
		{"32.5 B", 32},
		{"0.3 K", 307},
		{".3kB", 307},
		{"0.", 0},
		{"0.k", 0},
		{"1.5g", 1610612736},
		{"2GiB", 2LL << 30},
		{"8191p", 8191LL << 50},
		{"9223372036854775807", INT64_MAX},
		{"1.99999999999999999999999999999k", 2047},
	};
	static const char *const bad[] = {"",     "hello",  ".",     ". ",     " ",    "  ",    "-32",
					  "-32k", " 32",    "32  k", "32 mb ", "32bb", "32m b", "32bm",
					  "22e",  "32kibx", "1e3",   "0x1",    "k"};
	int64_t v;

	for (size_t i = 0; i < SKF_ARRAY_LEN(good); i++) {
		if (skf_parse_size(good[i].s, &v) != 0 || v != good[i].v)
			fail_msg("'%s' gave %lld", good[i].s, (long long)v);
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++)
		if (skf_parse_size(bad[i], &v) != -EINVAL)
			fail_msg("'%s' was accepted", bad[i]);
	assert_int_equal(skf_parse_size("8192p", &v), -ERANGE);
	assert_int_equal(skf_parse_size("9223372036854775808", &v), -ERANGE);
	assert_int_equal(skf_parse_size("99999999999999999999999999999999999999999999999p", &v), -ERANGE);
}

static void formats_without_cutting(void **state)
{
	char b[4];

	assert_int_equal(skf_fmt(b, sizeof(b), "%s", "abc"), 0);
	assert_string_equal(b, "abc");
	assert_int_equal(skf_fmt(b, sizeof(b), "%s", "abcd"), -ENAMETOOLONG);
}

static void random_is_hex_and_differs(void **state)
{
	char a[201], b[201];

	assert_int_equal(skf_random_hex(a, 100), 0);
	assert_int_equal(skf_random_hex(b, 100), 0);
	assert_true(skf_is_hex(a, 200));
	assert_string_not_equal(a, b);
	assert_int_equal(skf_random_hex(a, 0), 0);
	assert_string_equal(a, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(compares),
		cmocka_unit_test(parses_unsigned),
		cmocka_unit_test(parses_signed),
		cmocka_unit_test(parses_sizes),
		cmocka_unit_test(formats_without_cutting),
		cmocka_unit_test(random_is_hex_and_differs),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
