/* Unit tests of engine/logline.c. */
#include "util.h"
#include "engine/logline.h"

static int parse(const char *s, struct skf_logline *l, struct skf_buf *b)
{
	skf_buf_clear(b);
	return skf_logline_parse(s, strlen(s), l, b);
}

static void good(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1000);
	struct skf_logline l;

	assert_int_equal(parse("{\"log\":\"hi\\n\",\"stream\":\"stderr\",\"time\":\"1970-01-01T00:00:01."
			       "000000002Z\"}",
			       &l, &b),
			 0);
	assert_int_equal(l.stream, 2);
	assert_int_equal(l.time_ns, 1000000002);
	assert_string_equal(b.p, "hi\n");
	assert_int_equal(parse("{ \"log\" : \"a\\\"\\\\\\/\\b\\f\\r\\t\\u00e4\\ud83d\\ude00\\u0000z\" , "
			       "\"attrs\":{\"x\":[1,\"}\"]},\"n\":null }",
			       &l, &b),
			 0);
	assert_int_equal(b.len, 16);
	assert_memory_equal(b.p, "a\"\\/\b\f\r\t\xc3\xa4\xf0\x9f\x98\x80\0z", 16);
	assert_int_equal(l.stream, 1);
	assert_int_equal(parse("{\"log\":\"\\ud83d\"}", &l, &b), 0);
	assert_string_equal(b.p, "\xef\xbf\xbd");
	assert_int_equal(parse("{\"log\":\"\\ud83d\\u0041\"}", &l, &b), 0);
	assert_string_equal(b.p, "\xef\xbf\xbd"
				 "A");
	assert_int_equal(parse("{}", &l, &b), 0);
}

static void bad(void **state)
{
	static const char *const lines[] = {
		"",
		"{",
		"[]",
		"{\"log\"}",
		"{\"log\":\"x}",
		"{\"log\":\"x\"",
		"{\"log\":\"x\"}y",
		"{\"log\":\"\\q\"}",
		"{\"log\":\"\\u12\"}",
		"{\"log\":\"\\u12g4\"}",
		"{\"log\":\"\\",
		"{\"time\":\"yesterday\"}",
		"{\"a\":1,}",
		"{\"a\":[",
		"{log:1}",
		"{\"log\":\"\\ud800\\u1\"}",
	};
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1000);
	struct skf_logline l;

	for (size_t i = 0; i < SKF_ARRAY_LEN(lines); i++)
		if (parse(lines[i], &l, &b) == 0)
			fail_msg("accepted: %s", lines[i]);
}

static void cut_anywhere(void **state)
{
	static const char line[] = "{\"log\":\"a\\u00e4\\n\",\"stream\":\"stdout\",\"time\":\"2026-01-01T00:"
				   "00:00Z\",\"attrs\":{\"k\":\"v\"}}";
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1000);
	struct skf_logline l;

	for (size_t n = 0; n + 1 < sizeof(line); n++) {
		SKF_AUTO_FREE char *copy =
			memcpy(malloc(n + 1), line, n); /* exact size: ASan sees a byte too far */

		skf_buf_clear(&b);
		assert_true(skf_logline_parse(copy, n, &l, &b) < 0);
	}
}

static void too_long(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4);
	struct skf_logline l;

	assert_int_equal(parse("{\"log\":\"1234\"}", &l, &b), 0);
	assert_true(parse("{\"log\":\"12345\"}", &l, &b) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(bad),
					   cmocka_unit_test(cut_anywhere), cmocka_unit_test(too_long)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
