/* Unit tests of base/json_decode.c and base/json_scan.c. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/json.h"
#include "base/limits.h"
#include "util.h"
#include <json-c/json.h>

struct inner {
	uint64_t hard;
	char *type;
};
struct doc {
	char *s, *ne, *path, *raw;
	bool b, has_b;
	uint32_t u32;
	uint64_t u64;
	int32_t i32;
	int64_t i64;
	struct skf_strv v;
	struct skf_kvs m;
	struct inner in, *inp;
	struct skf_jarr arr;
	int en;
};

static const struct skf_jfield inner_f[] = {
	SKF_J(struct inner, hard, "hard", skf_j_u64, NULL, SKF_J_REQUIRED),
	SKF_J(struct inner, type, "type", skf_j_str, NULL, 0),
	SKF_J_END,
};
static const struct skf_jtable inner_t = {sizeof(struct inner), inner_f, true, NULL};
static const struct skf_jarr_arg arr_arg = {&inner_t, 3};
static const struct skf_jenum colors[] = {{"red", 1}, {"green", 2}, {NULL, 0}};

static int each(struct skf_jctx *c, const char *key, struct json_object *v, void *user)
{
	if (strcmp(key, "bad") == 0)
		return skf_j_fail(c, SKF_EINVALID, "not this one");
	(*(int *)user)++;
	return 0;
}

static int silent(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	return -1;
}

static int members(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	return skf_j_each_member(c, v, each, dst);
}

static int check_doc(struct skf_jctx *c, void *obj)
{
	struct doc *d = obj;

	if (d->i32 == 13)
		return skf_j_fail(c, SKF_EINVALID, "thirteen");
	return 0;
}

static const struct skf_jfield doc_f[] = {
	SKF_J(struct doc, s, "s", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(struct doc, ne, "ne", skf_j_str_nonempty, NULL, 0),
	SKF_J(struct doc, path, "path", skf_j_abspath, NULL, 0),
	SKF_J(struct doc, raw, "raw", skf_j_raw, NULL, 0),
	SKF_JP(struct doc, b, has_b, "b", skf_j_bool, NULL, SKF_J_NULL_OK),
	SKF_J(struct doc, u32, "u32", skf_j_u32, NULL, 0),
	SKF_J(struct doc, u64, "u64", skf_j_u64, NULL, 0),
	SKF_J(struct doc, i32, "i32", skf_j_i32, NULL, 0),
	SKF_J(struct doc, i64, "i64", skf_j_i64, NULL, 0),
	SKF_J(struct doc, v, "v", skf_j_strv, NULL, 0),
	SKF_J(struct doc, m, "m", skf_j_kvs, NULL, 0),
	SKF_J(struct doc, in, "in", skf_j_obj, &inner_t, 0),
	SKF_J(struct doc, inp, "inp", skf_j_objp, &inner_t, 0),
	SKF_J(struct doc, arr, "arr", skf_j_arr, &arr_arg, 0),
	SKF_J(struct doc, en, "en", skf_j_enum, colors, 0),
	SKF_J(struct doc, en, "each", members, NULL, 0),
	SKF_J(struct doc, en, "silent", silent, NULL, 0),
	SKF_J(struct doc, en, "ign", skf_j_ignore, NULL, 0),
	SKF_J_UNSUPPORTED("future"),
	SKF_J_END,
};
static const struct skf_jtable doc_t = {sizeof(struct doc), doc_f, false, check_doc};

static struct skf_arena arena = SKF_ARENA(SKF_MAX_ARENA_DOC);
static struct skf_err err;

static struct doc *decode_n(const char *text, size_t n)
{
	struct skf_jdoc d = {.name = "t.json", .max_bytes = SKF_MAX_SPEC_BYTES};
	void *ret = (void *)1;

	skf_arena_done(&arena);
	skf_err_clear(&err);
	if (skf_json_decode(&d, text, n, &doc_t, &arena, &ret, &err) < 0) {
		assert_ptr_equal(ret, (void *)1);
		assert_int_not_equal(err.kind, SKF_OK);
		return NULL;
	}
	return ret;
}

static struct doc *decode(const char *text)
{
	/* an exact copy: reading one byte too many is seen by the address sanitizer */
	size_t n = strlen(text);
	char *copy = malloc(n ? n : 1);
	struct doc *d;

	memcpy(copy, text, n);
	d = decode_n(copy, n);
	free(copy);
	if (!d && getenv("SKF_TEST_VERBOSE"))
		print_message("%s\n", err.msg);
	return d;
}

#define FAILS(text, k, want)                                                                                \
	do {                                                                                                \
		assert_null(decode(text));                                                                  \
		assert_string_equal(err.msg, "t.json: " want);                                              \
		assert_int_equal(err.kind, k);                                                              \
	} while (0)
#define INVALID(text, want) FAILS(text, SKF_EINVALID, want)

static void decodes_everything(void **state)
{
	struct doc *d =
		decode("{\"s\":\"a\\u00e9\\n\",\"ne\":\"x\",\"path\":\"/p\",\"raw\":{\"k\": [1, 2.50, "
		       "\"/\"]},\"b\":true,"
		       "\"u32\":4294967295,\"u64\":18446744073709551615,\"i32\":-2147483648,"
		       "\"i64\":-9223372036854775808,\"v\":[\"p\",\"\"],\"m\":{\"z\":\"1\",\"a\":\"2\"},"
		       "\"in\":{\"hard\":0,\"type\":\"t\"},\"inp\":{\"hard\":7},\"arr\":[{\"hard\":1},{"
		       "\"hard\":2}],"
		       "\"en\":\"green\",\"unknown\":[{}],\"ign\":null} \n");

	assert_non_null(d);
	assert_string_equal(d->s, "a\xc3\xa9\n");
	assert_string_equal(d->ne, "x");
	assert_string_equal(d->path, "/p");
	assert_string_equal(d->raw, "{\"k\":[1,2.50,\"/\"]}");
	assert_true(d->b && d->has_b);
	assert_true(d->u32 == UINT32_MAX && d->u64 == UINT64_MAX && d->i32 == INT32_MIN &&
		    d->i64 == INT64_MIN);
	assert_int_equal(d->v.n, 2);
	assert_string_equal(d->v.v[0], "p");
	assert_null(d->v.v[2]);
	assert_int_equal(d->m.n, 2);
	assert_string_equal(d->m.v[0].k, "z");
	assert_string_equal(skf_kvs_get(&d->m, "a"), "2");
	assert_string_equal(d->in.type, "t");
	assert_int_equal(d->inp->hard, 7);
	assert_int_equal(d->arr.n, 2);
	assert_int_equal(((struct inner *)d->arr.v)[1].hard, 2);
	assert_int_equal(d->en, 2);
	d = decode("{\"each\":{\"a\":1,\"b\":null},\"v\":[],\"m\":{},\"arr\":[],\"s\":null,\"b\":null}");
	assert_non_null(d);
	assert_int_equal(d->en, 2);
	assert_null(d->v.v);
	assert_null(d->s);
	assert_false(d->has_b);
}

static void names_the_place(void **state)
{
	INVALID("{\"in\":{\"hard\":\"x\"}}", "/in/hard: expected unsigned integer, found string");
	INVALID("{\"arr\":[{\"hard\":1},{\"hard\":-5}]}",
		"/arr/1/hard: expected unsigned integer, found -5");
	INVALID("{\"u64\":-5}", "/u64: expected unsigned integer, found -5");
	INVALID("{\"u64\":1.0}", "/u64: expected unsigned integer, found number 1.0");
	INVALID("{\"u64\":1e3}", "/u64: expected unsigned integer, found number 1e3");
	INVALID("{\"i64\":1E+2}", "/i64: expected integer, found number 1E+2");
	INVALID("{\"u32\":4294967296}",
		"/u32: expected unsigned integer up to 4294967295, found 4294967296");
	INVALID("{\"i32\":2147483648}",
		"/i32: expected integer from -2147483648 to 2147483647, found 2147483648");
	INVALID("{\"i64\":9223372036854775808}", "/i64: expected integer from -9223372036854775808 to "
						 "9223372036854775807, found 9223372036854775808");
	INVALID("{\"u64\":18446744073709551616}", "/u64: expected a number of 64 bits, found a larger one");
	INVALID("{\"x\":[1,-9223372036854775809]}",
		"/x/1: expected a number of 64 bits, found a larger one");
	INVALID("{\"b\":1}", "/b: expected boolean, found 1");
	INVALID("{\"u32\":null}", "/u32: expected unsigned integer, found null");
	INVALID("{\"ne\":\"\"}", "/ne: expected a non-empty string, found \"\"");
	INVALID("{\"path\":\"p\"}", "/path: expected absolute path, found 'p'");
	INVALID("{\"path\":\"\"}", "/path: expected absolute path, found ''");
	INVALID("{\"v\":[\"a\",2]}", "/v/1: expected string, found 2");
	INVALID("{\"v\":{}}", "/v: expected array of strings, found object");
	INVALID("{\"m\":{\"a/b~\":1}}", "/m/a~1b~0: expected string, found 1");
	INVALID("{\"in\":[]}", "/in: expected object, found array");
	INVALID("{\"in\":{}}", "/in: required property 'hard' is missing");
	INVALID("{\"in\":{\"hard\":1,\"x\":1}}", "/in/x: unknown property; remove it");
	INVALID("{\"en\":\"blue\"}", "/en: expected one of 'red', 'green', found 'blue'");
	INVALID("{\"each\":{\"a\":1,\"bad\":2}}", "/each/bad: not this one");
	INVALID("{\"i32\":13}", "thirteen");
	INVALID("[]", "expected object, found array");
	INVALID("null", "expected object, found null");
	INVALID("12", "expected object, found 12");
	FAILS("{\"future\":1}", SKF_EUNSUPPORTED,
	      "/future: this property is not supported by skiff; remove it");
	FAILS("{\"silent\":1}", SKF_EBUG, "/silent: a decoder failed without an error message");
	FAILS("{\"arr\":[{\"hard\":1},{\"hard\":1},{\"hard\":1},{\"hard\":1}]}", SKF_ELIMIT,
	      "/arr: has 4 elements, at most 3 are allowed");
}

static void refuses_what_is_not_json(void **state)
{
	static const char *const bad[] = {"",
					  " ",
					  "{",
					  "}",
					  "[",
					  "{}x",
					  "{}{}",
					  "{} 1",
					  "{,}",
					  "{\"a\"}",
					  "{\"a\":}",
					  "{\"a\":1,}",
					  "{a:1}",
					  "{'a':1}",
					  "[1,]",
					  "[,1]",
					  "[1 2]",
					  "// c\n{}",
					  "{/* c */}",
					  "{\"s\":\"\n\"}",
					  "{\"s\":\"\\x\"}",
					  "{\"s\":\"\\u12\"}",
					  "{\"s\":\"\\u12g4\"}",
					  "{\"s\":\"abc}",
					  "{\"s\":\"\\",
					  "{\"x\":01}",
					  "{\"x\":-}",
					  "{\"x\":+1}",
					  "{\"x\":.5}",
					  "{\"x\":1.}",
					  "{\"x\":1e}",
					  "{\"x\":1e+}",
					  "{\"x\":NaN}",
					  "{\"x\":Infinity}",
					  "{\"x\":-Infinity}",
					  "{\"x\":True}",
					  "{\"x\":tru}",
					  "{\"x\":nul",
					  "{\"x\":0x10}",
					  "\xef\xbb\xbf{}",
					  "{\"s\":\"\xff\"}",
					  "{\"s\":\"\xc0\x80\"}",
					  "{\"s\":\"\xed\xa0\x80\"}",
					  "{\"s\":\"a\\u0000b\"}",
					  "{\"a\\u0000b\":1}"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		if (decode(bad[i]))
			fail_msg("accepted: %s", bad[i]);
		assert_int_equal(err.kind, SKF_EINVALID);
	}
	INVALID("{\n  \"a\" 1}", "line 2 column 7: expected ':' after a key, found '1'");
	INVALID("{}x", "line 1 column 3: expected the end of the document, found 'x'");
	INVALID("[1", "line 1 column 3: expected ',' or ']', found the end of the document");
	assert_null(decode_n("{\"s\":\"a\0b\"}", 11));
	assert_null(decode_n("{}\0", 3));
	assert_non_null(decode("{\"s\":\"\\ud83d\\ude00 \\ud83d \\\" \\\\ \\/\"}"));
}

static void finds_duplicate_keys(void **state)
{
	INVALID("{\"a\":1,\"b\":2,\"a\":3}", "/a: duplicate key; it may stand only once in its object");
	INVALID("{\"x\":[0,{\"k\":1,\"\\u006b\":2}]}",
		"/x/1/\\u006b: duplicate key; it may stand only once in its object");
	assert_null(decode("{\"\":1,\"\":2}"));
	assert_null(decode("{\"\xc3\xa9\":1,\"\\u00e9\":2}"));
	assert_null(decode("{\"\xf0\x9f\x98\x80\":1,\"\\ud83d\\ude00\":2}"));
	assert_null(decode("{\"\\ud800\":1,\"\\udfff\":2}")); /* both become U+FFFD */
	assert_null(decode("{\"/\":1,\"\\/\":2}"));
	assert_non_null(decode("{\"a\":{\"a\":1},\"c\":{\"a\":1},\"A\":1,\"aa\":1}"));
}

static void many_keys_are_not_slow(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	int64_t t = skf_mono_ms();

	skf_buf_chr(&b, '{');
	for (unsigned i = 0; i < 200000; i++)
		skf_buf_fmt(&b, "%s\"key%06u\":1", i ? "," : "", i * 7919 % 200000);
	skf_buf_str(&b, ",\"key000000\":1}");
	assert_null(decode(b.p));
	assert_non_null(strstr(err.msg, "/key000000: duplicate key"));
	assert_true(skf_mono_ms() - t < 20000);
}

static void depth_is_limited(void **state)
{
	char text[600];
	size_t n;

	for (int over = 0; over < 2; over++) {
		int arrays = SKF_MAX_JSON_DEPTH - 1 + over;

		n = (size_t)snprintf(text, sizeof(text), "{\"x\":");
		memset(text + n, '[', (size_t)arrays);
		n += (size_t)arrays;
		text[n++] = '1';
		memset(text + n, ']', (size_t)arrays);
		n += (size_t)arrays;
		text[n++] = '}';
		text[n] = 0;
		if (!over) {
			assert_non_null(decode(text));
			continue;
		}
		assert_null(decode(text));
		assert_int_equal(err.kind, SKF_ELIMIT);
	}
}

static void size_and_memory_are_limited(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES + 1);
	struct skf_jdoc d = {.name = "t.json", .max_bytes = 4};
	struct skf_arena small = SKF_ARENA(sizeof(struct doc) + 64);
	void *ret;

	assert_int_equal(skf_json_decode(&d, "{}  ", 4, &doc_t, &arena, &ret, &err), 0);
	assert_int_equal(skf_json_decode(&d, "{}   ", 5, &doc_t, &arena, &ret, &err), -1);
	assert_int_equal(err.kind, SKF_ELIMIT);
	/* 4 MB of empty objects would be 1 GB of tree */
	skf_buf_str(&b, "{\"x\":[{}");
	while (b.len < SKF_MAX_SPEC_BYTES - 8)
		skf_buf_str(&b, ",{}");
	skf_buf_str(&b, "]}");
	assert_null(decode(b.p));
	assert_int_equal(err.kind, SKF_ELIMIT);
	/* the caller's arena */
	d.max_bytes = 1000;
	skf_buf_clear(&b);
	skf_buf_fmt(&b, "{\"s\":\"%0200d\"}", 1);
	assert_int_equal(skf_json_decode(&d, b.p, b.len, &doc_t, &small, &ret, &err), -1);
	assert_int_equal(err.kind, SKF_ELIMIT);
	skf_arena_done(&small);
}

/* Each allocation of the arena fails in turn: always an error, never a leak or a touched output. */
static void every_arena_failure_is_an_error(void **state)
{
	static const char text[] =
		"{\"s\":\"a\",\"raw\":[1],\"v\":[\"a\",\"b\"],\"m\":{\"k\":\"v\",\"l\":\"w\"},"
		"\"inp\":{\"hard\":1,\"type\":\"t\"},\"arr\":[{\"hard\":2,\"type\":\"u\"}]}";
	struct skf_jdoc d = {.name = "t.json", .max_bytes = 1000};
	int failures = 0, r = -1;

	for (size_t cap = 0; r < 0; cap += 16) {
		struct skf_arena a = SKF_ARENA(cap);
		void *ret = NULL;

		skf_err_clear(&err);
		r = skf_json_decode(&d, text, sizeof(text) - 1, &doc_t, &a, &ret, &err);
		if (r < 0) {
			assert_int_equal(err.kind, SKF_ELIMIT);
			assert_null(ret);
			failures++;
		}
		skf_arena_done(&a);
	}
	assert_true(failures > 12);
}

static void long_paths_are_cut(void **state)
{
	char text[1200];
	char key[301];

	memset(key, 'k', 300);
	key[300] = 0;
	snprintf(text, sizeof(text), "{\"m\":{\"%s\":1}}", key);
	assert_null(decode(text));
	assert_string_equal(err.msg, "t.json: /m/...: expected string, found 1");
	snprintf(text, sizeof(text), "{\"m\":{\"%s\":1,\"%s\":2}}", key, key);
	assert_null(decode(text));
	assert_non_null(strstr(err.msg, "/m/...: duplicate key"));
	INVALID("{\"m\":{\"a\x7f\":1}}", "/m/a?: expected string, found 1");
}

static unsigned unknown_n;
static char unknown_path[64];
static void on_unknown(const char *path, void *user)
{
	unknown_n++;
	snprintf(unknown_path, sizeof(unknown_path), "%s%s", (const char *)user, path);
}

static void reports_unknown_keys(void **state)
{
	struct skf_jdoc d = {.name = "t", .max_bytes = 100, .on_unknown = on_unknown, .user = (void *)"u:"};
	void *ret;

	assert_int_equal(skf_json_decode(&d, "{\"s\":\"\",\"odd\":1}", 16, &doc_t, &arena, &ret, &err), 0);
	assert_int_equal(unknown_n, 1);
	assert_string_equal(unknown_path, "u:/odd");
}

static void decodes_files(void **state)
{
	struct tdir *dir = *state;
	struct skf_jdoc d = {.name = "config.json", .max_bytes = 16};
	void *ret;

	assert_int_equal(skf_json_decode_at(&d, dir->fd, "f", &doc_t, &arena, &ret, &err), -1);
	assert_int_equal(err.kind, SKF_ENOTFOUND);
	assert_int_equal(skf_write_atomic_at(dir->fd, "f", "{\"u32\":5}       ", 16, 0600, 0), 0);
	assert_int_equal(skf_json_decode_at(&d, dir->fd, "f", &doc_t, &arena, &ret, &err), 0);
	assert_int_equal(((struct doc *)ret)->u32, 5);
	assert_int_equal(skf_write_atomic_at(dir->fd, "f", "{\"u32\":5}        ", 17, 0600, 0), 0);
	assert_int_equal(skf_json_decode_at(&d, dir->fd, "f", &doc_t, &arena, &ret, &err), -1);
	assert_int_equal(err.kind, SKF_ELIMIT);
}

static int done_arena(void **state)
{
	skf_arena_done(&arena);
	return 0;
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(decodes_everything),
		cmocka_unit_test(names_the_place),
		cmocka_unit_test(refuses_what_is_not_json),
		cmocka_unit_test(finds_duplicate_keys),
		cmocka_unit_test(many_keys_are_not_slow),
		cmocka_unit_test(depth_is_limited),
		cmocka_unit_test(size_and_memory_are_limited),
		cmocka_unit_test(long_paths_are_cut),
		cmocka_unit_test(every_arena_failure_is_an_error),
		cmocka_unit_test(reports_unknown_keys),
		DIR_TEST(decodes_files),
	};
	return cmocka_run_group_tests(tests, NULL, done_arena);
}
