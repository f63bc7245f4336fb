/* Unit tests of base/buf.c. */
#include "base/buf.h"
#include "util.h"

static void appends(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1000);

	assert_string_equal(skf_buf_cstr(&b), "");
	skf_buf_str(&b, "ab");
	skf_buf_chr(&b, 'c');
	skf_buf_u64(&b, 0);
	skf_buf_u64(&b, UINT64_MAX);
	skf_buf_fmt(&b, "-%d-%s", -5, "x");
	skf_buf_put(&b, NULL, 0);
	assert_string_equal(skf_buf_cstr(&b), "abc018446744073709551615--5-x");
	assert_int_equal(b.len, strlen(b.p));
	assert_int_equal(b.err, 0);
}

static void max_is_exact_and_sticky(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(10);

	skf_buf_str(&b, "0123456789");
	assert_int_equal(b.err, 0);
	skf_buf_chr(&b, 'x');
	assert_int_equal(b.err, -E2BIG);
	assert_string_equal(skf_buf_cstr(&b), "0123456789");
	skf_buf_str(&b, "");
	assert_null(skf_buf_take(&b));
	skf_buf_clear(&b);
	skf_buf_fmt(&b, "%s", "0123456789");
	assert_int_equal(b.err, 0);
	assert_int_equal(b.len, 10);
	skf_buf_clear(&b);
	skf_buf_str(&b, "a");
	skf_buf_fmt(&b, "%s", "0123456789");
	assert_int_equal(b.err, -E2BIG);
	assert_string_equal(skf_buf_cstr(&b), "a");
	skf_buf_chr(&b, 'b'); /* sticky although it would fit */
	assert_string_equal(skf_buf_cstr(&b), "a");
}

static void huge_sizes_do_not_wrap(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SIZE_MAX);

	skf_buf_str(&b, "x");
	assert_null(skf_buf_reserve(&b, SIZE_MAX - 1));
	assert_true(b.err < 0);
	skf_buf_clear(&b);
	assert_null(skf_buf_reserve(&b, SIZE_MAX / 2));
	assert_int_equal(b.err, -ENOMEM);
}

static void reserve_keeps_the_nul(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(100);
	char *p;

	skf_buf_str(&b, "ab");
	p = skf_buf_reserve(&b, 20);
	memcpy(p, "cd", 2);
	b.len += 2;
	assert_string_equal(skf_buf_cstr(&b), "abcd");
	assert_null(skf_buf_reserve(&b, 97));
}

static void take_moves(void **state)
{
	struct skf_buf b = SKF_BUF(100);
	SKF_AUTO_FREE char *empty = skf_buf_take(&b), *full = NULL;

	assert_string_equal(empty, "");
	skf_buf_str(&b, "full");
	full = skf_buf_take(&b);
	assert_string_equal(full, "full");
	assert_null(b.p);
	assert_int_equal(b.max, 100);
	skf_buf_done(&b);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(appends),
		cmocka_unit_test(max_is_exact_and_sticky),
		cmocka_unit_test(huge_sizes_do_not_wrap),
		cmocka_unit_test(reserve_keeps_the_nul),
		cmocka_unit_test(take_moves),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
