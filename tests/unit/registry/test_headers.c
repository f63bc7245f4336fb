/* Link, Range, Content-Range and Warning as registries write them; the lines of registries.d; keys of name
 * spaces in auth files. */
#include "registry_test.h"
#include "registry/registry_int.h"
#include <stdio.h>

static void test_link(void **state)
{
	static const struct {
		const char *in;
		int r;
		const char *url;
	} rows[] = {
		{"</v2/a/tags/list?last=b&n=2>; rel=\"next\"", 1, "/v2/a/tags/list?last=b&n=2"},
		{"<x>;rel=next", 1, "x"},
		{"<x>; REL=Next", 1, "x"},
		{"<a>; rel=prev, <b>; rel=next", 1, "b"},
		{"<a>; title=\"x, y>\"; rel=\"next\"", 1, "a"},
		{"<a>; rel=prev", 0, ""},
		{"", 0, ""},
		{"a; rel=next", -1, ""},
		{"<a; rel=next", -1, ""},
		{"<>; rel=next", -1, ""},
		{"<a>; rel=\"next", -1, ""},
		{"<a> <b>; rel=next", -1, ""},
		{"<0123456789012345678901234567890123456789>; rel=next", -1, ""},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		char out[40] = "";
		int r = skf_http_link_next(rows[i].in, strlen(rows[i].in), out, sizeof(out));

		if (r != rows[i].r || strcmp(out, rows[i].url) != 0)
			fail_msg("'%s': %d '%s'", rows[i].in, r, out);
	}
}

static void test_ranges(void **state)
{
	static const struct {
		const char *in;
		bool good;
		uint64_t n;
	} up[] =
		{
			{"0-1023", true, 1024},
			{"bytes=0-9", true, 10},
			{"0-0", true, 0},
			{"1-5", false, 0},
			{"0-", false, 0},
			{"0-5x", false, 0},
			{"", false, 0},
			{"-5", false, 0},
			{"0-18446744073709551615", false, 0},
			{"0-99999999999999999999", false, 0},
		},
	  part[] = {
		  {"bytes 100-199/200", true, 100},
		  {"BYTES 0-1/*", true, 0},
		  {"bytes */200", false, 0},
		  {"100-199", false, 0},
		  {"bytes ", false, 0},
	  };
	uint64_t v;

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(up); i++) {
		v = 0;
		if (skf_http_parse_uploaded(up[i].in, strlen(up[i].in), &v) != up[i].good || v != up[i].n)
			fail_msg("'%s'", up[i].in);
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(part); i++) {
		v = 0;
		if (skf_http_parse_content_range(part[i].in, strlen(part[i].in), &v) != part[i].good ||
		    v != part[i].n)
			fail_msg("'%s'", part[i].in);
	}
}

static void test_warning(void **state)
{
	static const char good[] = "299 - \"moves \\\"soon\\\"\x1b[0m\"", other[] = "199 - \"x\"",
			  none[] = "299 - x";
	char out[64];

	(void)state;
	assert_true(skf_http_parse_warning(good, sizeof(good) - 1, out, sizeof(out)));
	assert_string_equal(out, "moves \"soon\"?[0m");
	assert_false(skf_http_parse_warning(other, sizeof(other) - 1, out, sizeof(out)));
	assert_false(skf_http_parse_warning(none, sizeof(none) - 1, out, sizeof(out)));
}

static void test_registries_d(void **state)
{
	static const char text[] = "# mirrors\n\n mirror https://a:5000/cache/ pull\t# near\r\nmirror "
				   "http://b resolve insecure\nmirror https://c\nno-fallback\n";
	struct skf_hostconf c;
	struct skf_err e = SKF_ERR_INIT;

	(void)state;
	assert_int_equal(skf_hostconf_parse(text, sizeof(text) - 1, &c, &e), 0);
	assert_int_equal(c.n, 3);
	assert_string_equal(c.mirror[0].host, "a:5000");
	assert_string_equal(c.mirror[0].prefix, "cache/");
	assert_true(c.mirror[0].pull && !c.mirror[0].resolve && !c.mirror[0].plain_http &&
		    !c.mirror[0].insecure);
	assert_true(!c.mirror[1].pull && c.mirror[1].resolve && c.mirror[1].plain_http &&
		    c.mirror[1].insecure);
	assert_true(c.mirror[2].pull && c.mirror[2].resolve && c.no_fallback && !c.blocked && !c.insecure);
	assert_int_equal(skf_hostconf_parse("mirror https://x\nmirrors https://y\n", 35, &c, &e), -1);
	assert_non_null(strstr(e.msg, "line 2"));
}

static void test_name_spaces(void **state)
{
	static const char text[] = "{\"auths\":{\"r:1\":{\"identitytoken\":\"host\"},\"r:1/"
				   "a\":{\"identitytoken\":\"a\"},\"r:1/a/b\":{\"identitytoken\":\"ab\"}},"
				   "\"credHelpers\":{\"h\":\"one\"},\"credsStore\":\"all\"}";
	static const struct {
		const char *host, *repo, *token, *helper;
	} rows[] = {
		{"r:1", "x", "host", "all"},   {"r:1", "a", "a", "all"}, {"r:1", "ab", "host", "all"},
		{"r:1", "a/b/c", "ab", "all"}, {"h", "x", NULL, "one"},  {"q", "x", NULL, "all"},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		struct skf_creds c;
		struct skf_err e = SKF_ERR_INIT;

		assert_int_equal(
			skf_dockerconf_lookup(text, sizeof(text) - 1, rows[i].host, rows[i].repo, &c, &e),
			1);
		if ((c.token == NULL) != (rows[i].token == NULL) ||
		    (c.token && strcmp(c.token, rows[i].token) != 0) ||
		    strcmp(c.helper, rows[i].helper) != 0)
			fail_msg("%s/%s: %s %s", rows[i].host, rows[i].repo, c.token, c.helper);
		skf_creds_done(&c);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_link),        cmocka_unit_test(test_ranges),
		cmocka_unit_test(test_warning),     cmocka_unit_test(test_registries_d),
		cmocka_unit_test(test_name_spaces),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
