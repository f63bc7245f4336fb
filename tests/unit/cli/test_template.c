/* Unit tests of cli/template*.c. template_cases.json holds what docker's own client makes of each template
 * (tests/engine/test_format.py checks that it still does); the limits and what is ours alone stand here. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/limits.h"
#include "cli/template.h"
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <cmocka.h>

static int run(const struct skf_tmpl_env *env, const char *text, struct json_object *doc,
	       struct skf_buf *out, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(64u << 20);
	struct skf_tmpl *t;

	skf_err_clear(e);
	skf_buf_clear(out);
	return skf_tmpl_parse(text, &a, &t, e) < 0 ? -1 : skf_tmpl_eval(t, env, doc, out, e);
}

/* Docker's parse errors name no column and ours do; its columns in the case file are shifted. */
static const char *without_place(const char *msg)
{
	if (!skf_startswith(msg, "template: :"))
		return msg;
	msg += strlen("template: :");
	msg += strspn(msg, "0123456789:");
	return *msg == ' ' ? msg + 1 : msg;
}

static void as_docker(void **state)
{
	const struct skf_tmpl_env lenient = {.missing_ok = true};
	SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(1u << 20);
	struct json_object *file = json_object_from_file(getenv("TEMPLATE_CASES")), *data, *cases;
	struct skf_err e;
	unsigned bad = 0;

	assert_non_null(file);
	data = json_object_object_get(file, "data");
	cases = json_object_object_get(file, "cases");
	for (size_t i = 0; i < json_object_array_length(cases); i++) {
		struct json_object *c = json_object_array_get_idx(cases, i);
		const char *text = json_object_get_string(json_object_array_get_idx(c, 0));
		const char *want = json_object_get_string(json_object_array_get_idx(c, 1));
		const char *error = json_object_get_string(json_object_array_get_idx(c, 2));
		int r = run(&lenient, text, data, &out, &e);
		const char *got = r < 0 ? without_place(e.msg) : skf_buf_cstr(&out);

		if ((r < 0) != (error != NULL) || !skf_startswith(got, error ? error : want) ||
		    (!error && !skf_streq(got, want))) {
			print_error("%s\n  docker: %s\n  here:   %s%s\n", text, error ? error : want,
				    r < 0 ? "error: " : "", got);
			bad++;
		}
	}
	json_object_put(file);
	assert_int_equal(bad, 0);
}

/* --- ours: places, names, what docker's client cannot show without a daemon --- */

static const char doc_text[] = "{\"Id\": \"abc\", \"Config\": {\"Labels\": {\"a.b\": \"1\"}, \"Env\": "
			       "[\"A=1\"], \"Cpus\": 3, \"Big\": 9007199254740993},"
			       " \"NetworkSettings\": {\"Networks\": {\"none\": {\"IPAddress\": \"\"}}}, "
			       "\"Nothing\": null, \"Empty\": {}}";
static const char *const maps[] = {"Labels", "Networks", "Nothing", NULL};
static const struct skf_tmpl_alias alias[] = {{"ID", "Id"}, {NULL, NULL}};

static struct json_object *label(const void *ctx, const char *word)
{
	return json_object_new_string(skf_streq(word, "k") ? ctx : "");
}
static const struct skf_tmpl_method method = {"Label", label, "value"};
static const struct skf_tmpl_env strict = {.maps = maps, .alias = alias, .method = &method, .type = "*T"};

static void expect(const struct skf_tmpl_env *env, const char *text, const char *want, bool error)
{
	SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(64u << 20);
	struct json_object *doc = json_tokener_parse(doc_text);
	struct skf_err e;
	int r = run(env, text, doc, &out, &e);

	json_object_put(doc);
	assert_string_equal(r < 0 ? e.msg : skf_buf_cstr(&out), want);
	assert_int_equal(r < 0, error);
}

static void documents(void **state)
{
	expect(&strict, "{{.ID}} {{.Id}} {{.Config.Env}} {{.Config.Big}}", "abc abc [A=1] 9007199254740993",
	       false);
	expect(&strict,
	       "{{.Config.Labels.nope}}|{{index .Config.Labels \"nope\"}}|{{index .Config.Labels \"a.b\"}}",
	       "<no value>||1", false);
	expect(&strict, "{{range $k, $v := .NetworkSettings.Networks}}{{$k}}:{{$v.IPAddress}};{{end}}",
	       "none:;", false);
	expect(&strict, "{{.Nothing.x}} {{len .Nothing}} {{index .Nothing \"x\"}}|", "<no value> 0 |",
	       false);
	expect(&strict, "{{with .Empty}}x{{else}}empty{{end}}", "empty", false);
	expect(&strict, "{{.Label \"k\"}} {{$.Label \"z\"}}| {{\"k\" | .Label}}", "value | value", false);
	expect(&strict, "{{printf \"%d %5d|%05d\" .Config.Cpus .Config.Cpus .Config.Cpus}}", "3     3|00003",
	       false);
	expect(&strict, "{{eq .Config.Cpus 3}} {{gt .Config.Cpus 4}} {{json .Config.Labels}}",
	       "true false {\"a.b\":\"1\"}", false);
	expect(&strict, "{{range .Config.Env}}{{$.Id}}{{end}}{{join .Config.Env \",\"}}", "abcA=1", false);
}

static void places(void **state)
{
	expect(&strict, "{{.Nope}}",
	       "template: :1:2: executing \"\" at <.Nope>: can't evaluate field Nope in type *T", true);
	expect(&strict, "a\n {{.Config.Nope}}",
	       "template: :2:10: executing \"\" at <.Config.Nope>: map has no entry for key \"Nope\"", true);
	expect(&strict, "{{.Id.x}}",
	       "template: :1:5: executing \"\" at <.Id.x>: can't evaluate field x in type interface {}",
	       true);
	expect(&strict, "\n\n{{ foo . }}", "template: :3:3: function \"foo\" not defined", true);
	expect(&strict, "{{html .Id}}", "template: :1:2: function \"html\" not defined", true);
	expect(&strict, "{{js .Id}}", "template: :1:2: function \"js\" not defined", true);
	expect(&strict, "{{call .Id}}", "template: :1:2: function \"call\" not defined", true);
	expect(&strict, "x{{define \"x\"}}{{end}}", "template: :1:3: {{define}} is not supported", true);
	expect(&strict, "{{template \"x\"}}", "template: :1:2: {{template}} is not supported", true);
	expect(&strict, "{{block \"x\" .}}{{end}}", "template: :1:2: {{block}} is not supported", true);
	expect(&strict, "{{printf \"%[1]d\" 1}}",
	       "template: :1:2: executing \"\" at <printf \"%[1]d\" 1>: error calling printf: argument "
	       "indexes, %[n], are not "
	       "supported",
	       true);
	expect(&strict, "{{printf \"%U\" 1}}",
	       "template: :1:2: executing \"\" at <printf \"%U\" 1>: error calling printf: %U is not "
	       "supported",
	       true);
	expect(&strict, "{{.Id", "template: :1:5: unclosed action", true);
	expect(&strict, "{{if .Id}}x", "template: :1:2: unexpected EOF: {{if}} has no {{end}}", true);
	expect(&strict, "{{else}}", "template: :1:2: unexpected {{else}}", true);
	expect(&strict, "a{{end}}", "template: :1:3: unexpected {{end}}", true);
	expect(&strict, "{{$y = 1}}", "template: :1:2: undefined variable \"$y\"", true);
	expect(&strict, "{{if 1}}{{$z := 1}}{{end}}{{$z}}", "template: :1:28: undefined variable \"$z\"",
	       true);
	expect(&strict, "{{.Label}}",
	       "template: :1:2: executing \"\" at <.Label>: can't evaluate field Label in type *T", true);
	expect(&strict, "{{.Label \"a\" \"b\"}}",
	       "template: :1:2: executing \"\" at <.Label>: wrong number of args for Label: want 1 got 2",
	       true);
}

static void heads(void **state)
{
	static const struct skf_tmpl_env head = {.header = true, .missing_ok = true};

	expect(&head, "{{upper .Id}} {{title .Id | lower}} {{truncate .Id 1}} {{json .Id}}",
	       "abc abc abc abc", false);
}

/* One over each limit. */
static void limits(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf t = SKF_BUF(4u << 20), out = SKF_BUF(64u << 20);
	struct skf_err e;

	for (unsigned i = 0; i <= SKF_MAX_TEMPLATE_BYTES; i++)
		skf_buf_chr(&t, 'x');
	assert_int_equal(run(&strict, skf_buf_cstr(&t), NULL, &out, &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
	t.p[--t.len] = '\0';
	assert_int_equal(run(&strict, skf_buf_cstr(&t), NULL, &out, &e), 0);

	for (unsigned depth = SKF_MAX_TEMPLATE_DEPTH; depth <= SKF_MAX_TEMPLATE_DEPTH + 1; depth++) {
		skf_buf_clear(&t);
		skf_buf_str(&t, "{{");
		for (unsigned i = 0; i < depth; i++)
			skf_buf_chr(&t, '(');
		skf_buf_chr(&t, '1');
		for (unsigned i = 0; i < depth; i++)
			skf_buf_chr(&t, ')');
		skf_buf_str(&t, "}}");
		assert_int_equal(run(&strict, skf_buf_cstr(&t), NULL, &out, &e),
				 depth > SKF_MAX_TEMPLATE_DEPTH ? -1 : 0);
		assert_int_equal(e.kind, depth > SKF_MAX_TEMPLATE_DEPTH ? SKF_ELIMIT : SKF_OK);
		skf_buf_clear(&t);
		for (unsigned i = 0; i < depth; i++)
			skf_buf_str(&t, "{{if 1}}");
		for (unsigned i = 0; i < depth; i++)
			skf_buf_str(&t, "{{end}}");
		assert_int_equal(run(&strict, skf_buf_cstr(&t), NULL, &out, &e),
				 depth > SKF_MAX_TEMPLATE_DEPTH ? -1 : 0);
	}
	skf_buf_clear(&t);
	for (unsigned i = 0; i < SKF_MAX_TEMPLATE_NODES / 4 + 1; i++)
		skf_buf_str(&t, "{{1}}");
	assert_int_equal(run(&strict, skf_buf_cstr(&t), NULL, &out, &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);

	assert_int_equal(run(&strict, "{{range 1000}}{{range 1000}}{{end}}{{end}}", NULL, &out, &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
	assert_int_equal(run(&strict, "{{pad \"x\" 33554432 1}}", NULL, &out, &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
	assert_int_equal(run(&strict, "{{range 40}}{{printf \"%1000000d\" 1}}{{end}}", NULL, &out, &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
	assert_int_equal(
		run(&strict, "{{pad \"x\" 9223372036854775807 9223372036854775807}}", NULL, &out, &e), -1);
}

static void uses(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1u << 20);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_tmpl *t;

	assert_int_equal(skf_tmpl_parse("{{if .A}}{{upper .B.Size}}{{end}}{{printf \".C\"}}", &a, &t, &e),
			 0);
	assert_true(skf_tmpl_uses(t, "A") && skf_tmpl_uses(t, "Size") && !skf_tmpl_uses(t, "C"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(as_docker), cmocka_unit_test(documents),
					   cmocka_unit_test(places),    cmocka_unit_test(heads),
					   cmocka_unit_test(limits),    cmocka_unit_test(uses)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
