/* Unit tests of engine/subid.c and oci/idmaps.c: ranges of ids, what is free of them, and the file that says
 * who has which. */
#include "util.h"
#include "engine/subid.h"
#include "oci/idmaps.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static int dir_with(const char *name, const char *text)
{
	char path[] = "/tmp/skiff-test-subid-XXXXXX";
	int dir;

	assert_non_null(mkdtemp(path));
	dir = open(path, O_RDONLY | O_DIRECTORY);
	assert_true(dir >= 0);
	assert_int_equal(skf_write_atomic_at(dir, name, text, strlen(text), 0600, 0), 0);
	return dir;
}

static void drop(int dir, const char *name)
{
	char self[40], path[256];
	ssize_t n;

	snprintf(self, sizeof(self), "/proc/self/fd/%d", dir);
	n = readlink(self, path, sizeof(path) - 1);
	assert_true(n > 0);
	path[n] = 0;
	(void)unlinkat(dir, name, 0);
	close(dir);
	assert_int_equal(rmdir(path), 0);
}

static void ranges_of_a_name(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	int dir = dir_with("subuid", "# "
				     "x\nother:1:2\ncontainers:100:50\ncontainersx:7:7\ncontainers:"
				     "bad\ncontainers:300:0\ncontainers:300:5\ncontainers:4294967295:2");
	struct skf_jarr r;
	const struct skf_range *v;
	char path[64];

	snprintf(path, sizeof(path), "/proc/self/fd/%d/subuid", dir);
	assert_int_equal(skf_subid_read(path, "containers", &a, &r), 0);
	v = r.v;
	assert_int_equal(r.n, 2);
	assert_true(v[0].start == 100 && v[0].size == 50 && v[1].start == 300 && v[1].size == 5);
	assert_int_equal(skf_subid_read(path, "nobody", &a, &r), -ENOENT);
	drop(dir, "subuid");
}

static void what_is_free(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_range all[] = {{1000, 100}, {100, 100}, {150, 100}},
			 used[] = {{1090, 500}, {90, 20}, {120, 10}, {120, 5}, {2000, 1}};
	const struct skf_jarr x = {all, SKF_ARRAY_LEN(all)}, u = {used, SKF_ARRAY_LEN(used)},
			      none = {NULL, 0};
	const struct skf_range want[] = {{110, 10}, {130, 70}, {200, 50}, {1000, 90}}, *v;
	struct skf_jarr r;

	assert_int_equal(skf_ranges_free(&x, &u, &a, &r), 0);
	v = r.v;
	assert_int_equal(r.n, SKF_ARRAY_LEN(want));
	for (size_t i = 0; i < r.n; i++)
		assert_true(v[i].start == want[i].start && v[i].size == want[i].size);
	assert_int_equal(skf_ranges_free(&none, &u, &a, &r), 0);
	assert_int_equal(r.n, 0);
}

static void maps(void **state)
{
	struct skf_idmap v[] = {{0, 1000, 10}, {20, 5000, 5}};
	const struct skf_jarr m = {v, 2}, none = {NULL, 0};
	uint32_t id;

	assert_true(skf_idmap_to_host(&m, 9, &id) && id == 1009);
	assert_false(skf_idmap_to_host(&m, 10, &id));
	assert_true(skf_idmap_from_host(&m, 5004, &id) && id == 24);
	assert_false(skf_idmap_from_host(&m, 5005, &id));
	assert_int_equal(skf_idmap_owner(&m, 0), 65534);
	assert_int_equal(skf_idmap_owner(&none, 7), 7);
	assert_int_equal(skf_idmap_check(&m), 0);
	v[1].container_id = 9;
	assert_int_equal(skf_idmap_check(&m), -EEXIST);
	v[1] = (struct skf_idmap){20, 1009, 1};
	assert_int_equal(skf_idmap_check(&m), -EEXIST);
	v[1] = (struct skf_idmap){UINT32_MAX, 1, 1};
	assert_int_equal(skf_idmap_check(&m), -ERANGE);
	v[1] = (struct skf_idmap){20, 1, 0};
	assert_int_equal(skf_idmap_check(&m), -ERANGE);
}

static void the_file(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4096);
	static const char *const wrong[] = {"", "u 1 2", "x 1 2 3\n", "u 1 2 x\n", "u 1 2 4294967296\n"};
	struct skf_idmap u[] = {{0, 1, 2}}, g[] = {{0, 5, 6}, {9, 50, 60}};
	struct skf_idmaps m = {{u, 1}, {g, 2}}, r;
	int dir;

	skf_idmaps_text(&m, &b);
	assert_string_equal(skf_buf_cstr(&b), "u 0 1 2\ng 0 5 6\ng 9 50 60\n");
	dir = dir_with(SKF_IDS_FILE, skf_buf_cstr(&b));
	assert_int_equal(skf_idmaps_read_at(dir, &a, &r), 1);
	assert_true(r.uids.n == 1 && r.gids.n == 2 && ((struct skf_idmap *)r.gids.v)[1].host_id == 50);
	drop(dir, SKF_IDS_FILE);
	for (size_t i = 0; i < SKF_ARRAY_LEN(wrong); i++) {
		dir = dir_with(SKF_IDS_FILE, wrong[i]);
		assert_int_equal(skf_idmaps_read_at(dir, &a, &r), -EINVAL);
		drop(dir, SKF_IDS_FILE);
	}
	dir = dir_with("other", "");
	assert_int_equal(skf_idmaps_read_at(dir, &a, &r), 0);
	drop(dir, "other");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(ranges_of_a_name),
					   cmocka_unit_test(what_is_free), cmocka_unit_test(maps),
					   cmocka_unit_test(the_file)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
