/* Unit tests of runtime/cgroups/convert.c and path.c. */
#include "base/cleanup.h"
#include "runtime/cgroups/cgroups_int.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <string.h>

static void shares_to_weight(void **state)
{
	/* values of runc 1.4 (ConvertCPUSharesToCgroupV2Value) */
	static const struct {
		uint64_t shares, weight;
	} t[] = {{0, 0},      {1, 1},      {2, 1},          {3, 2},          {102, 17},          {512, 59},
		 {1024, 100}, {2048, 174}, {262143, 10000}, {262144, 10000}, {1ull << 40, 10000}};
	uint64_t last = 0;

	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++)
		assert_int_equal(skf_cg_shares_to_weight(t[i].shares), t[i].weight);
	for (uint64_t s = 0; s < 262200; s += 7) {
		uint64_t w = skf_cg_shares_to_weight(s);

		assert_true(w >= last && w <= 10000);
		last = w;
	}
}

static void blkio_to_io(void **state)
{
	assert_int_equal(skf_cg_blkio_to_io_weight(0), 0);
	assert_int_equal(skf_cg_blkio_to_io_weight(5), 1);
	assert_int_equal(skf_cg_blkio_to_io_weight(10), 1);
	assert_int_equal(skf_cg_blkio_to_io_weight(500), 4950);
	assert_int_equal(skf_cg_blkio_to_io_weight(1000), 10000);
}

static int swap_of(int64_t limit, int64_t swap, char out[24], struct skf_err *e)
{
	struct skf_spec_resources r = {0};

	r.memory.has_limit = limit != 0;
	r.memory.limit = limit;
	r.memory.has_swap = swap != 0;
	r.memory.swap = swap;
	return skf_cg_swap_to_v2(&r, out, e);
}

static void swap_to_v2(void **state)
{
	static const struct {
		int64_t limit, swap;
		const char *want; /* NULL: an error */
	} t[] = {
		{0, 0, ""},     {100, 0, ""},      {-1, 0, "max"},  {100, -1, "max"},
		{0, -1, "max"}, {100, 300, "200"}, {100, 100, "0"}, {-1, 300, "300"},
		{0, 300, NULL}, {300, 100, NULL},  {-7, 100, NULL}, {100, -2, NULL},
	};
	struct skf_err e = SKF_ERR_INIT;
	char out[24];

	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++) {
		int r = swap_of(t[i].limit, t[i].swap, out, &e);

		assert_int_equal(r, t[i].want ? 0 : -1);
		if (t[i].want)
			assert_string_equal(out, t[i].want);
		else
			assert_int_equal(e.kind, SKF_EINVALID);
	}
}

static void paths(void **state)
{
	static const struct {
		const char *want, *base, *out;
	} t[] = {
		{"/a/b", "/own", "/a/b"},
		{"/a//b/", "/own", "/a/b"},
		{"/../../a/./b/../c", "/own", "/a/c"},
		{NULL, "/", "/id"},
		{"", "/own/x", "/own/x/id"},
		{"rel", "/own", "/own/rel"},
		{"rel/x", "/", "/rel/x"},
		{"../../x", "/own", "/own/x"}, /* a relative path stays below where it starts */
		{"./x", "/", "/x"},
		{"/..x/...", "/", "/..x/..."},
	};
	struct skf_err e = SKF_ERR_INIT;
	char out[64], tiny[6];

	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++) {
		assert_int_equal(skf_cgroups_path(t[i].want, t[i].base, "id", out, sizeof(out), &e), 0);
		assert_string_equal(out, t[i].out);
	}
	/* never a root, never its base */
	assert_int_equal(skf_cgroups_path("/", "/own", "id", out, sizeof(out), &e), -1);
	assert_int_equal(e.kind, SKF_EINVALID);
	assert_int_equal(skf_cgroups_path("/a/..", "/own", "id", out, sizeof(out), &e), -1);
	assert_int_equal(skf_cgroups_path("..", "/own", "id", out, sizeof(out), &e), -1);
	assert_int_equal(skf_cgroups_path("a\nb", "/own", "id", out, sizeof(out), &e), -1);
	assert_int_equal(skf_cgroups_path("/abc", "/", "id", tiny, sizeof(tiny), &e), 0);
	assert_int_equal(skf_cgroups_path("/abcde", "/", "id", tiny, sizeof(tiny), &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
}

static const char *common(const char *a, const char *b)
{
	static char out[64];

	strcpy(out, a);
	skf_cgroups_common(out, b);
	return out;
}

static void common_ancestor(void **state)
{
	assert_string_equal(common("/", "/"), "/");
	assert_string_equal(common("/a/b", "/a/b"), "/a/b");
	assert_string_equal(common("/a/b", "/a/c"), "/a");
	assert_string_equal(common("/a/b", "/a"), "/a");
	assert_string_equal(common("/a", "/a/b"), "/a");
	assert_string_equal(common("/ab", "/a"), "/");
	assert_string_equal(common("/a", "/ab"), "/");
	assert_string_equal(common("/process/x", "/"), "/");
	assert_string_equal(common("/", "/x"), "/");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(shares_to_weight), cmocka_unit_test(blkio_to_io),
		cmocka_unit_test(swap_to_v2),       cmocka_unit_test(paths),
		cmocka_unit_test(common_ancestor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
