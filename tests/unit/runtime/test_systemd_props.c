/* test_systemd_props.c -- unit names, slices, masks, GVariant text and resources as properties of a scope.
 * The expected values of the tables are those of systemd.unit(5), systemd.resource-control(5) and GLib's
 * description of the text format. */
#include "base/buf.h"
#include "base/err.h"
#include "runtime/cgroups/cgroups_int.h"
#include "sys/dbus.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

static void test_slices(void **state)
{
	static const struct {
		const char *slice, *path;
	} t[] = {
		{"system.slice", "/system.slice"},
		{"a-b-c.slice", "/a.slice/a-b.slice/a-b-c.slice"},
		{"-.slice", ""},
		{".slice", NULL},
		{"-a.slice", NULL},
		{"a-.slice", NULL},
		{"a--b.slice", NULL},
		{"a/b.slice", NULL},
		{"system", NULL},
	};
	char out[256];

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++) {
		int r = skf_slice_path(t[i].slice, out, sizeof(out));

		assert_int_equal(r < 0, !t[i].path);
		if (t[i].path)
			assert_string_equal(out, t[i].path);
	}
	assert_true(skf_slice_path("a-b-c.slice", out, 20) < 0);
}

static void test_units(void **state)
{
	static const struct {
		const char *path;
		bool rootless;
		const char *slice, *scope;
	} t[] = {
		{NULL, false, "system.slice", "skiff-id.scope"},
		{"", true, "user.slice", "skiff-id.scope"},
		{"machine.slice:libpod:x", false, "machine.slice", "libpod-x.scope"},
		{":p:n", true, "user.slice", "p-n.scope"},
		{"::n", false, "system.slice", "-n.scope"},
		{"-:p:n", false, "-.slice", "p-n.scope"},
		{"system.slice:x.scope", false, "system.slice", "x.scope"},
		{"name", false, "system.slice", "name.scope"},
		{"/a/b", false, NULL, NULL},
		{"machine:p:n", false, NULL, NULL},
		{"a.slice:p:n.slice", false, NULL, NULL},
		{"a.slice:p:a b", false, NULL, NULL},
		{"a.slice:p:", false, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++) {
		struct skf_err e = SKF_ERR_INIT;
		struct skf_unit u;
		int r = skf_unit_of(t[i].path, "id", t[i].rootless, &u, &e);

		assert_int_equal(r < 0, !t[i].scope);
		if (!t[i].scope) {
			assert_int_equal(e.kind, SKF_EINVALID);
			continue;
		}
		assert_string_equal(u.slice, t[i].slice);
		assert_string_equal(u.scope, t[i].scope);
	}
}

static void test_long_unit(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	char id[300];
	struct skf_unit u;

	(void)state;
	memset(id, 'a', sizeof(id));
	id[243] = '\0'; /* "skiff-" + 243 + ".scope" is 255 */
	assert_int_equal(skf_unit_of(NULL, id, false, &u, &e), 0);
	assert_int_equal(strlen(u.scope), 255);
	id[243] = 'a';
	id[244] = '\0';
	assert_int_equal(skf_unit_of(NULL, id, false, &u, &e), -1);
}

static void test_masks(void **state)
{
	static const struct {
		const char *list;
		int n;
		uint8_t v[3];
	} t[] = {
		{"0", 1, {1}},
		{"0-3,7", 1, {0x8f}},
		{"8", 2, {0, 1}},
		{"0-1,16", 3, {3, 0, 1}},
		{"1,,2\n", -EINVAL, {0}},
		{"0,,2", 1, {5}},
		{"", -EINVAL, {0}},
		{"3-1", -EINVAL, {0}},
		{"x", -EINVAL, {0}},
		{"24", -E2BIG, {0}},
		{"1-", -EINVAL, {0}},
	};
	uint8_t out[3];

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++) {
		assert_int_equal(skf_cpuset_mask(t[i].list, out, sizeof(out)), t[i].n);
		if (t[i].n > 0)
			assert_memory_equal(out, t[i].v, (size_t)t[i].n);
	}
}

/* The signature of the value in a property, and its bytes from there. */
static const char *sig_of(const struct skf_buf *b, const char *name, const char **ret_sig, size_t *ret_at)
{
	size_t at = 0;

	while (at + 8 < b->len) {
		uint32_t n;

		memcpy(&n, b->p + at, 4);
		if (n == strlen(name) && !strcmp(b->p + at + 4, name)) {
			*ret_sig = b->p + at + 4 + n + 2;
			*ret_at = at + 4 + n + 2 + strlen(*ret_sig) + 1;
			return b->p + at;
		}
		at += 4;
	}
	return NULL;
}

static uint64_t u64_of(const struct skf_buf *b, const char *name)
{
	const char *sig = "";
	size_t at = 0;
	uint64_t v;

	assert_non_null(sig_of(b, name, &sig, &at));
	assert_string_equal(sig, "t");
	at = (at + 7) & ~(size_t)7;
	memcpy(&v, b->p + at, 8);
	return v;
}

static void test_gvariant(void **state)
{
	static const struct {
		const char *text, *sig; /* NULL: refused */
	} t[] = {
		{"true", "b"},
		{"5", "i"},
		{"-5", "i"},
		{"0x1F", "i"},
		{"uint64 123456789", "t"},
		{"int64 -1", "x"},
		{"byte 255", "y"},
		{"byte 256", NULL},
		{"uint32 -1", NULL},
		{"2147483648", NULL},
		{"1.5", "d"},
		{"'inactive-or-failed'", "s"},
		{"\"a\\n\\u00e4\"", "s"},
		{"'open", NULL},
		{"objectpath '/a'", "o"},
		{"['a', 'b']", "as"},
		{"[uint32 1, 2]", "au"},
		{"@as []", "as"},
		{"[]", NULL},
		{"['a', 1]", NULL},
		{"[('/dev/null', 'rwm'), ('/dev/zero', 'r')]", "a(ss)"},
		{"@a(ss) []", "a(ss)"},
		{"(1,)", "(i)"},
		{"((1,)2)", NULL},
		{"b'ab'", "ay"},
		{"5 6", NULL},
		{"", NULL},
		{"[[[[[[[[[[1]]]]]]]]]]", NULL},
		{"truely", NULL},
		{"uint33 5", NULL},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++) {
		struct skf_buf b = SKF_BUF(4096);
		const char *sig = "";
		size_t at;
		int r = skf_gvariant_prop("Name", t[i].text, &b);

		if ((r < 0) != !t[i].sig)
			fail_msg("'%s': %d", t[i].text, r);
		if (t[i].sig) {
			assert_non_null(sig_of(&b, "Name", &sig, &at));
			assert_string_equal(sig, t[i].sig);
		}
		skf_buf_done(&b);
	}
}

static void test_sec_becomes_usec(void **state)
{
	struct skf_buf b = SKF_BUF(4096);

	(void)state;
	assert_int_equal(skf_gvariant_prop("TimeoutStopSec", "uint32 7", &b), 0);
	assert_int_equal(u64_of(&b, "TimeoutStopUSec"), 7000000);
	skf_buf_clear(&b);
	assert_int_equal(skf_gvariant_prop("TimeoutStopSec", "5", &b), 0);
	assert_int_equal(u64_of(&b, "TimeoutStopUSec"), 5000000);
	skf_buf_clear(&b);
	assert_int_equal(skf_gvariant_prop("TimeoutStopUSec", "uint64 7", &b), 0);
	assert_int_equal(u64_of(&b, "TimeoutStopUSec"), 7);
	skf_buf_clear(&b);
	assert_int_equal(skf_gvariant_prop("TimeoutStopSec", "uint64 18446744073709551615", &b), -ERANGE);
	skf_buf_done(&b);
}

static void test_resources(void **state)
{
	struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_buf b = SKF_BUF(65536);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_cg_layout v2 = {.mode = SKF_CG_V2}, v1 = {.mode = SKF_CG_V1};
	struct skf_prop_skip skip = {0};
	struct skf_kv kv[] = {{(char *)"memory.high", (char *)"max"},
			      {(char *)"cpu.max", (char *)"20000"},
			      {(char *)"pids.max", (char *)"0"}};
	struct skf_spec_resources r = {0}, q;
	const char *sig;
	size_t at;

	(void)state;
	r.memory.has_limit = r.memory.has_swap = r.pids.has_limit = r.cpu.has_quota = r.cpu.has_period =
		r.cpu.has_shares = true;
	r.memory.limit = 100;
	r.memory.swap = 150;
	r.pids.limit = 0;
	r.cpu.quota = 5500; /* of 100000: 5.5 percent, which systemd cannot say */
	r.cpu.period = 100000;
	r.cpu.shares = 1024;
	q = r;
	assert_int_equal(skf_unit_resources(&v2, &q, false, &skip, &a, &b, &e), 0);
	assert_int_equal(u64_of(&b, "MemoryMax"), 100);
	assert_int_equal(u64_of(&b, "MemorySwapMax"), 50);
	assert_int_equal(u64_of(&b, "TasksMax"), 1);
	assert_int_equal(u64_of(&b, "CPUQuotaPerSecUSec"), 60000);
	assert_int_equal(u64_of(&b, "CPUQuotaPeriodUSec"), 100000);
	assert_int_equal(q.cpu.quota, 6000);
	assert_int_equal(u64_of(&b, "CPUWeight"), skf_cg_shares_to_weight(1024));
	assert_null(sig_of(&b, "DevicePolicy", &sig, &at));
	skf_buf_clear(&b);
	assert_true(
		skf_prop_skip_add(&skip, "Cannot set property CPUQuotaPeriodUSec, or unknown property."));
	assert_false(
		skf_prop_skip_add(&skip, "Cannot set property CPUQuotaPeriodUSec, or unknown property."));
	assert_true(skf_prop_skip_add(&skip, "Value specified in CPUWeight is out of range"));
	assert_false(skf_prop_skip_add(&skip, "Something else"));
	r.unified = (struct skf_kvs){kv, SKF_ARRAY_LEN(kv)};
	q = r;
	assert_int_equal(skf_unit_resources(&v2, &q, false, &skip, &a, &b, &e), 0);
	assert_null(sig_of(&b, "CPUQuotaPeriodUSec", &sig, &at));
	assert_null(sig_of(&b, "CPUWeight", &sig, &at));
	assert_int_equal(u64_of(&b, "CPUQuotaPerSecUSec"), 200000);
	assert_int_equal(u64_of(&b, "MemoryHigh"), UINT64_MAX);
	skf_buf_clear(&b);
	skip.n = 0;
	r.unified.n = 0;
	q = r;
	assert_int_equal(skf_unit_resources(&v1, &q, false, &skip, &a, &b, &e), 0);
	assert_int_equal(u64_of(&b, "MemoryLimit"), 100);
	assert_int_equal(u64_of(&b, "CPUShares"), 1024);
	assert_non_null(sig_of(&b, "DevicePolicy", &sig, &at));
	skf_buf_clear(&b);
	assert_int_equal(skf_unit_resources(&v1, &q, true, &skip, &a, &b, &e),
			 0); /* an update without rules leaves them */
	assert_null(sig_of(&b, "DevicePolicy", &sig, &at));
	skf_buf_done(&b);
	skf_arena_done(&a);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_slices),           cmocka_unit_test(test_units),
		cmocka_unit_test(test_long_unit),        cmocka_unit_test(test_masks),
		cmocka_unit_test(test_gvariant),         cmocka_unit_test(test_resources),
		cmocka_unit_test(test_sec_becomes_usec),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
