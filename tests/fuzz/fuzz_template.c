/* A template and, behind a NUL byte, the document. Whatever is accepted ends within its limits, twice with
 * the same result. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/limits.h"
#include "cli/template.h"
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static const char *const maps[] = {"M", "Labels", NULL};
static const struct skf_tmpl_alias alias[] = {{"ID", "Id"}, {NULL, NULL}};

static struct json_object *label(const void *ctx, const char *word)
{
	(void)ctx;
	return json_object_new_string(word);
}

static void check(const struct skf_tmpl *t, struct json_object *doc)
{
	static const struct skf_tmpl_method method = {"Label", label, NULL};
	const struct skf_tmpl_env env = {.maps = maps, .alias = alias, .method = &method};
	SKF_AUTO(skf_buf_done) struct skf_buf one = SKF_BUF(SKF_MAX_TEMPLATE_OUT);
	SKF_AUTO(skf_buf_done) struct skf_buf two = SKF_BUF(SKF_MAX_TEMPLATE_OUT);
	struct skf_err e = SKF_ERR_INIT, f = SKF_ERR_INIT;
	int r = skf_tmpl_eval(t, &env, doc, &one, &e), k = skf_tmpl_eval(t, &env, doc, &two, &f);

	if (r != k || (r < 0 && (e.kind == SKF_OK || strcmp(e.msg, f.msg))) || one.len != two.len ||
	    (one.len && memcmp(one.p, two.p, one.len)))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(64u << 20);
	char *text = skf_arena_dup(&a, (const char *)data, size);
	struct json_tokener *tok = json_tokener_new_ex(SKF_MAX_JSON_DEPTH);
	struct json_object *doc = NULL;
	struct skf_err e = SKF_ERR_INIT;
	struct skf_tmpl *t;
	size_t n;

	if (text && tok) {
		n = strlen(text);
		if (n < size)
			doc = json_tokener_parse_ex(tok, text + n + 1, (int)(size - n - 1));
		if (skf_tmpl_parse(text, &a, &t, &e) == 0)
			check(t, doc);
		else if (e.kind == SKF_OK)
			abort();
	}
	json_object_put(doc);
	if (tok)
		json_tokener_free(tok);
	return 0;
}
