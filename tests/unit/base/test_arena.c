/* Unit tests of base/arena.c. */
#include "base/arena.h"
#include "util.h"

static void pieces_are_zero_aligned_and_apart(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(4 << 20);
	unsigned char *p[600];

	for (size_t i = 0; i < SKF_ARRAY_LEN(p); i++) {
		size_t n = i * 7 % 3000;

		p[i] = skf_arena_alloc(&a, n);
		assert_non_null(p[i]);
		assert_int_equal((uintptr_t)p[i] % 16, 0);
		for (size_t j = 0; j < n; j++)
			assert_int_equal(p[i][j], 0);
		memset(p[i], (int)i, n);
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(p); i++)
		for (size_t j = 0; j < i * 7 % 3000; j++)
			assert_int_equal(p[i][j], (unsigned char)i);
}

static void cap_is_hard(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1024);

	assert_non_null(skf_arena_alloc(&a, 1008));
	assert_null(skf_arena_alloc(&a, 17));
	assert_non_null(skf_arena_alloc(&a, 16));
	assert_null(skf_arena_alloc(&a, 0));
	assert_null(skf_arena_alloc(&a, SIZE_MAX));
	assert_null(skf_arena_array(&a, SIZE_MAX / 2, 3));
	assert_null(skf_arena_dup(&a, "", SIZE_MAX));
	skf_arena_done(&a);
	assert_int_equal(a.max, 1024);
	assert_non_null(skf_arena_alloc(&a, 1024));
}

static void strings(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	char big[5000];

	memset(big, 'b', sizeof(big) - 1);
	big[sizeof(big) - 1] = 0;
	assert_string_equal(skf_arena_dup(&a, "abc", 2), "ab");
	assert_string_equal(skf_arena_strdup(&a, big), big);
	assert_string_equal(skf_arena_fmt(&a, "%d-%s", 4, big) + 2, big);
	assert_string_equal(skf_arena_dup(&a, NULL, 0), "");
}

static void vectors_grow(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(4 << 20);
	struct skf_strv v[6] = {0};
	char s[32];

	for (int i = 0; i < 1000; i++) {
		for (int j = 0; j < 6; j++) { /* more at once than the arena remembers */
			snprintf(s, sizeof(s), "%d.%d", j, i);
			if (j < 3 || i < 20)
				assert_int_equal(skf_strv_add(&a, &v[j], s), 0);
		}
	}
	for (int j = 0; j < 6; j++) {
		assert_int_equal(v[j].n, j < 3 ? 1000 : 20);
		assert_null(v[j].v[v[j].n]);
		for (size_t i = 0; i < v[j].n; i++) {
			snprintf(s, sizeof(s), "%d.%zu", j, i);
			assert_string_equal(v[j].v[i], s);
		}
	}
	assert_true(a.used < 1 << 20); /* doubling, not one copy for each addition */
}

static void foreign_vector_is_copied(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 16);
	char x[] = "x", y[] = "y", *full[] = {x, y}; /* not even room for a NULL */
	struct skf_strv v = {full, 2};

	assert_int_equal(skf_strv_add(&a, &v, "z"), 0);
	assert_ptr_not_equal(v.v, full);
	assert_string_equal(v.v[0], "x");
	assert_string_equal(v.v[2], "z");
	assert_null(v.v[3]);
	v.n = 1; /* shortened by its owner */
	assert_int_equal(skf_strv_add(&a, &v, "w"), 0);
	assert_string_equal(v.v[1], "w");
	assert_null(v.v[2]);
}

static int calls;
static void check_order(void *arg)
{
	assert_int_equal(*(int *)arg, calls);
	calls++;
}

static void finalizers_run_backwards(void **state)
{
	struct skf_arena a = SKF_ARENA(1 << 16);
	int n[9];

	for (int i = 0; i < 8; i++) {
		n[i] = 7 - i;
		assert_int_equal(skf_arena_on_done(&a, check_order, &n[i]), 0);
	}
	assert_int_equal(skf_arena_on_done(&a, check_order, &n[8]), -ENOSPC);
	skf_arena_done(&a);
	assert_int_equal(calls, 8);
	skf_arena_done(&a);
	assert_int_equal(calls, 8);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(pieces_are_zero_aligned_and_apart),
		cmocka_unit_test(cap_is_hard),
		cmocka_unit_test(strings),
		cmocka_unit_test(vectors_grow),
		cmocka_unit_test(foreign_vector_is_copied),
		cmocka_unit_test(finalizers_run_backwards),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
