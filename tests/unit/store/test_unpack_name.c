/* tests/unit/store/test_unpack_name.c -- names of tar entries (T38, T39, T43, T47). */
#include "fixture.h"
#include "store/unpack_int.h"
#include <stdlib.h>
#include <string.h>

static void plain(const char *raw, const char *path, const char *parent, const char *base)
{
	struct skf_entry_name n;
	struct skf_err e = SKF_ERR_INIT;

	assert_int_equal(skf_entry_name_parse(raw, 255, &n, &e), 0);
	assert_int_equal(n.kind, SKF_ENTRY_PLAIN);
	assert_string_equal(n.path, path);
	assert_string_equal(n.parent, parent);
	assert_string_equal(n.base, base);
}

static enum skf_entry_kind kind(const char *raw)
{
	struct skf_entry_name n;
	struct skf_err e = SKF_ERR_INIT;

	if (skf_entry_name_parse(raw, 255, &n, &e) < 0)
		return (enum skf_entry_kind)(1000 + e.kind);
	return n.kind;
}

static void cleans(void **state)
{
	(void)state;
	plain("a", "a", "", "a");
	plain("./a/b", "a/b", "a", "b");
	plain("/a/b/c/", "a/b/c", "a/b", "c");
	plain("//a//./b", "a/b", "a", "b");
	plain("a/../b", "b", "", "b");
	plain("a/b/../../c/d", "c/d", "c", "d");
	plain("...", "...", "", "...");
	plain("..a/b..", "..a/b..", "..a", "b..");
}

static void root(void **state)
{
	static const char *const names[] = {".", "/", "./", "//", "././.", "a/..", ""};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(names); i++)
		assert_int_equal(kind(names[i]), SKF_ENTRY_ROOT);
}

static void climbs(void **state)
{
	static const char *const names[] = {"..",        "../a",   "/..",           "a/../..",
					    "a/../../b", "./../a", "a/b/../../../c"};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(names); i++)
		assert_int_equal(kind(names[i]), 1000 + SKF_EINVALID);
}

static void whiteouts(void **state)
{
	struct skf_entry_name n;
	struct skf_err e = SKF_ERR_INIT;

	(void)state;
	assert_int_equal(skf_entry_name_parse("a/.wh.b", 255, &n, &e), 0);
	assert_int_equal(n.kind, SKF_ENTRY_WHITEOUT);
	assert_string_equal(n.base, "b");
	assert_string_equal(n.path, "a/b");
	assert_int_equal(kind("a/.wh..wh..opq"), SKF_ENTRY_OPAQUE);
	assert_int_equal(kind(".wh..wh..opq"), SKF_ENTRY_OPAQUE);
	assert_int_equal(kind(".wh..wh.aufs"), SKF_ENTRY_SKIP);
	assert_int_equal(kind(".wh..wh.plnk/1.2"), SKF_ENTRY_SKIP);
	assert_int_equal(kind("a/.wh."), 1000 + SKF_EINVALID);
	assert_int_equal(kind("a/.wh.."), 1000 + SKF_EINVALID);
	assert_int_equal(kind("a/.wh..."), 1000 + SKF_EINVALID);
	assert_int_equal(kind(".wh.a/b"), 1000 + SKF_EINVALID);
	assert_int_equal(kind("a.wh.b"), SKF_ENTRY_PLAIN);
}

static void limits(void **state)
{
	char *p = malloc(SKF_MAX_TAR_PATH + 8);

	(void)state;
	assert_non_null(p);
	for (int i = 0; i < SKF_MAX_TAR_DEPTH; i++)
		memcpy(p + i * 2, "a/", 3);
	assert_int_equal(kind(p), SKF_ENTRY_PLAIN);
	memcpy(p + (size_t)SKF_MAX_TAR_DEPTH * 2, "a", 2);
	assert_int_equal(kind(p), 1000 + SKF_ELIMIT);
	memset(p, 'x', SKF_MAX_TAR_PATH);
	p[SKF_MAX_TAR_PATH - 1] = 0;
	assert_int_equal(kind(p), SKF_ENTRY_PLAIN); /* the kernel refuses it later, with the entry's name */
	p[SKF_MAX_TAR_PATH - 1] = 'x';
	p[SKF_MAX_TAR_PATH] = 0;
	assert_int_equal(kind(p), 1000 + SKF_ELIMIT);
	free(p);
}

static void xattr_filter(void **state)
{
	(void)state;
	assert_true(skf_xattr_kept("user.a"));
	assert_true(skf_xattr_kept("security.capability"));
	assert_true(skf_xattr_kept("system.posix_acl_access"));
	assert_false(skf_xattr_kept("user.overlay.opaque"));
	assert_false(skf_xattr_kept("trusted.overlay.redirect"));
	assert_false(skf_xattr_kept("trusted.a"));
	assert_false(skf_xattr_kept("security.selinux"));
	assert_false(skf_xattr_kept("user."));
	assert_false(skf_xattr_kept(""));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cleans),    cmocka_unit_test(root),   cmocka_unit_test(climbs),
		cmocka_unit_test(whiteouts), cmocka_unit_test(limits), cmocka_unit_test(xattr_filter),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
