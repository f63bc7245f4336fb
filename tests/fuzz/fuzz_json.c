/* fuzz_json.c -- the JSON decoder on any bytes. Beyond crashes it checks that (1) a refused document has an
 * error of a fitting kind and a message, and leaves the output alone; (2) the raw copy of what was accepted
 * is accepted again; (3) what the escaper makes of any bytes is a valid JSON string. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/limits.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

struct node {
	char *s, *path, *raw;
	bool b, has_b;
	uint32_t u32;
	uint64_t u64;
	int32_t i32;
	int64_t i64;
	struct skf_strv v;
	struct skf_kvs m;
	struct skf_jarr arr;
	int en;
};

static const struct skf_jtable node_t;
static const struct skf_jarr_arg nodes = {&node_t, 64};
static const struct skf_jenum words[] = {{"x", 1}, {"yy", 2}, {NULL, 0}};
static const struct skf_jfield node_f[] = {
	SKF_J(struct node, s, "s", skf_j_str, NULL, SKF_J_NULL_OK),
	SKF_J(struct node, path, "p", skf_j_abspath, NULL, 0),
	SKF_J(struct node, raw, "r", skf_j_raw, NULL, 0),
	SKF_JP(struct node, b, has_b, "b", skf_j_bool, NULL, 0),
	SKF_J(struct node, u32, "u", skf_j_u32, NULL, 0),
	SKF_J(struct node, u64, "U", skf_j_u64, NULL, 0),
	SKF_J(struct node, i32, "i", skf_j_i32, NULL, 0),
	SKF_J(struct node, i64, "I", skf_j_i64, NULL, 0),
	SKF_J(struct node, v, "v", skf_j_strv, NULL, 0),
	SKF_J(struct node, m, "m", skf_j_kvs, NULL, 0),
	SKF_J(struct node, arr, "a", skf_j_arr, &nodes, 0),
	SKF_J(struct node, en, "e", skf_j_enum, words, 0),
	SKF_J_END,
};
static const struct skf_jtable node_t = {sizeof(struct node), node_f, false, NULL};

static void on_unknown(const char *path, void *user)
{
	*(size_t *)user += strlen(path);
}

static void check_escape(const uint8_t *data, size_t n)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_jdoc d = {.name = "escaped", .max_bytes = SKF_MAX_SPEC_BYTES};
	struct skf_err e = SKF_ERR_INIT;
	void *ret;

	if (n > 65536 || memchr(data, 0, n))
		return; /* the escaper writes \u0000, the decoder refuses it on purpose */
	skf_buf_str(&b, "{\"s\":\"");
	skf_json_escape(&b, (const char *)data, n);
	skf_buf_str(&b, "\"}");
	if (skf_json_decode(&d, b.p, b.len, &node_t, &a, &ret, &e) < 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	size_t unknown = 0;
	struct skf_jdoc d = {"fuzz", SKF_MAX_SPEC_BYTES, on_unknown, &unknown};
	struct skf_err e = SKF_ERR_INIT;
	void *ret = NULL, *again = NULL;

	check_escape(data, n);
	if (skf_json_decode(&d, (const char *)data, n, &node_t, &a, &ret, &e) < 0) {
		if (ret || e.kind == SKF_OK || e.kind == SKF_EBUG || !e.msg[0])
			abort();
		return 0;
	}
	if (((struct node *)ret)->raw) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(2 * SKF_MAX_SPEC_BYTES);

		d.max_bytes = 2 * SKF_MAX_SPEC_BYTES;
		skf_buf_fmt(&b, "{\"r\":%s}", ((struct node *)ret)->raw);
		if (skf_json_decode(&d, b.p, b.len, &node_t, &a, &again, &e) < 0 && e.kind != SKF_ELIMIT)
			abort();
	}
	return 0;
}
