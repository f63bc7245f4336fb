/* Lists of CPUs and nodes: what the runtime-spec's schema lets through is a set or an error, never half of
 * one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "sys/sched.h"
#include <errno.h>

static unsigned long word(const struct skf_idset *s, unsigned i)
{
	return s->bits[i];
}

static void test_lists(void **state)
{
	static const struct {
		const char *list;
		unsigned long first_word;
		unsigned count, end;
	} rows[] = {
		{"", 0, 0, 0},     {"0", 1, 1, 1},           {"0-3,7", 0x8f, 5, 8}, {" 1 , 2", 6, 2, 3},
		{",,3,", 8, 1, 4}, {"5-5", 0x20, 1, 6},      {"1,1,0-2", 7, 3, 3},  {"007", 0x80, 1, 8},
		{"64", 0, 1, 65},  {"0,65535", 1, 2, 65536},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct skf_idset s;

		if (skf_idset_parse(rows[i].list, &s) < 0)
			fail_msg("'%s' refused", rows[i].list);
		if (word(&s, 0) != rows[i].first_word || s.count != rows[i].count || s.end != rows[i].end)
			fail_msg("'%s': %#lx count %u end %u", rows[i].list, word(&s, 0), s.count, s.end);
	}
}

static void test_bad_lists(void **state)
{
	static const struct {
		const char *list;
		int error;
	} rows[] = {
		{"a", -EINVAL},
		{"1-", -EINVAL},
		{"-1", -EINVAL},
		{"3-1", -EINVAL},
		{"1 2", -EINVAL},
		{"1-2-3", -EINVAL},
		{"1;2", -EINVAL},
		{"0x1", -EINVAL},
		{"65536", -ERANGE},
		{"0-9876543210", -ERANGE},
		{"99999999999999999999", -ERANGE},
		{"1- 2", -EINVAL},
	};

	(void)state;
	for (size_t i = 0; i < sizeof(rows) / sizeof(*rows); i++) {
		struct skf_idset s;
		int r = skf_idset_parse(rows[i].list, &s);

		if (r != rows[i].error)
			fail_msg("'%s': %d, not %d", rows[i].list, r, rows[i].error);
	}
}

/* Back and forth on ourselves. */
static void test_affinity(void **state)
{
	struct skf_idset before, one = {.end = 0}, now;

	(void)state;
	assert_int_equal(skf_affinity_get(0, &before), 0);
	assert_true(before.count > 0 && before.end >= before.count);
	one.end = before.end;
	one.bits[(before.end - 1) / (8 * sizeof(long))] = 1UL << ((before.end - 1) % (8 * sizeof(long)));
	assert_int_equal(skf_affinity_set(0, &one), 0);
	assert_int_equal(skf_affinity_get(0, &now), 0);
	assert_int_equal(now.count, 1);
	assert_int_equal(now.end, before.end);
	assert_int_equal(skf_affinity_clear(0), 0);
	assert_int_equal(skf_affinity_get(0, &now), 0);
	assert_true(now.count >= before.count);
	assert_int_equal(skf_affinity_set(0, &before), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_lists),
		cmocka_unit_test(test_bad_lists),
		cmocka_unit_test(test_affinity),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
