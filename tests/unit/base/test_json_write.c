/* Unit tests of base/json_write.c. */
#include "base/buf.h"
#include "base/json.h"
#include "util.h"

static void writes_compact(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1000);
	struct skf_jw w = SKF_JW(&b);
	char *sv[] = {(char *)"x", (char *)"y", NULL};
	struct skf_strv v = {sv, 2}, none = {0};
	struct skf_kv kv[] = {{(char *)"k", (char *)"v"}};
	struct skf_kvs m = {kv, 1};

	skf_jw_obj(&w);
	skf_jw_kstr(&w, "s", NULL);
	skf_jw_kint(&w, "i", INT64_MIN);
	skf_jw_ku64(&w, "u", UINT64_MAX);
	skf_jw_kbool(&w, "b", true);
	skf_jw_knull(&w, "n");
	skf_jw_kraw(&w, "r", "[1]");
	skf_jw_kstrn(&w, "sn", (struct skf_str){"abc", 2});
	skf_jw_kstrv(&w, "v", &v);
	skf_jw_kstrv(&w, "e", &none);
	skf_jw_kkvs(&w, "m", &m);
	skf_jw_karr(&w, "a");
	skf_jw_int(&w, 1);
	skf_jw_str(&w, "t");
	skf_jw_obj(&w);
	skf_jw_end(&w);
	skf_jw_arr(&w);
	skf_jw_end_arr(&w);
	skf_jw_raw(&w, "null");
	skf_jw_end_arr(&w);
	skf_jw_kobj(&w, "o");
	skf_jw_end(&w);
	skf_jw_end(&w);
	assert_int_equal(b.err, 0);
	assert_string_equal(skf_buf_cstr(&b), "{\"s\":\"\",\"i\":-9223372036854775808,\"u\":"
					      "18446744073709551615,\"b\":true,\"n\":null,\"r\":[1],"
					      "\"sn\":\"ab\",\"v\":[\"x\",\"y\"],\"e\":[],\"m\":{\"k\":"
					      "\"v\"},\"a\":[1,\"t\",{},[],null],\"o\":{}}");
	assert_string_equal(skf_kvs_get(&m, "k"), "v");
	assert_null(skf_kvs_get(&m, "x"));
}

static void writes_indented(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1000);
	struct skf_jw w = SKF_JW(&b);

	w.indent = 4;
	skf_jw_arr(&w);
	skf_jw_obj(&w);
	skf_jw_kstr(&w, "a", "b");
	skf_jw_kobj(&w, "e");
	skf_jw_end(&w);
	skf_jw_karr(&w, "l");
	skf_jw_int(&w, 1);
	skf_jw_int(&w, 2);
	skf_jw_end_arr(&w);
	skf_jw_end(&w);
	skf_jw_end_arr(&w);
	assert_string_equal(skf_buf_cstr(&b),
			    "[\n    {\n        \"a\": \"b\",\n        \"e\": {},\n        \"l\": [\n"
			    "            1,\n            2\n        ]\n    }\n]");
}

static void escapes(void **state)
{
	static const struct {
		const char *in;
		size_t n;
		const char *out;
	} t[] = {
		{"plain", 5, "plain"},
		{"\"\\/\b\f\n\r\t", 8, "\\\"\\\\/\\b\\f\\n\\r\\t"},
		{"a\0b\x1f\x7f", 5, "a\\u0000b\\u001f\x7f"},
		{"\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80", 9, "\xc3\xa9\xe2\x82\xac\xf0\x9f\x98\x80"},
		{"x\xffy", 3, "x\xef\xbf\xbdy"},
		{"\xc3", 1, "\xef\xbf\xbd"},                                 /* cut */
		{"\xc0\xaf", 2, "\xef\xbf\xbd\xef\xbf\xbd"},                 /* overlong */
		{"\xe0\x80\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* overlong */
		{"\xed\xa0\x80", 3, "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* surrogate */
		{"\xf4\x90\x80\x80", 4,
		 "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"}, /* above U+10FFFF */
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1000);

		skf_json_escape(&b, t[i].in, t[i].n);
		assert_string_equal(skf_buf_cstr(&b), t[i].out);
	}
}

static void errors_stick(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(8), c = SKF_BUF(100);
	struct skf_jw w = SKF_JW(&b), v = SKF_JW(&c);

	skf_jw_obj(&w);
	skf_jw_kstr(&w, "key", "value");
	skf_jw_end(&w);
	assert_int_equal(b.err, -E2BIG);
	skf_jw_end(&v);
	assert_int_equal(c.err, -EINVAL);
}

static void any_depth(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1000);
	struct skf_jw w = SKF_JW(&b);

	for (int i = 0; i < 200; i++)
		skf_jw_arr(&w);
	for (int i = 0; i < 200; i++)
		skf_jw_end_arr(&w);
	assert_int_equal(b.err, 0);
	assert_int_equal(b.len, 400);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(writes_compact), cmocka_unit_test(writes_indented),
		cmocka_unit_test(escapes),        cmocka_unit_test(errors_stick),
		cmocka_unit_test(any_depth),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
