/* Unit tests of cli/listing.c and cli/table_tabs.c: docker's table layout. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "cli/listing.h"
#include <json-c/json.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

static void align(const char *in, const char *want)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1 << 20);

	skf_tabs_align(in, strlen(in), &b);
	assert_string_equal(skf_buf_cstr(&b), want);
}

/* As Go's tabwriter.NewWriter(out, 10, 1, 3, ' ', 0). */
static void tabs(void **state)
{
	align("", "");
	align("a\n", "a\n");
	align("a\tb\n", "a         b\n");
	align("ID\tNAME\tX\n0123456789ab\tn\ty\n",
	      "ID             NAME      X\n0123456789ab   n         y\n");
	align("é\tb\n12345678\tb\n", "é          b\n12345678   b\n");
	align("a\t\n", "a         \n");
	align("long long cell\tx\nplain\nb\tc\n", "long long cell   x\nplain\nb         c\n");
	align("a\tb\tc\nlonger than ten\td\n", "a                 b         c\nlonger than ten   d\n");
}

static const struct skf_listing_head heads[] = {{"ID", "CONTAINER ID"}, {"Names", "NAMES"}, {NULL, NULL}};

static struct json_object *label(const void *ctx, const char *word)
{
	(void)ctx;
	return json_object_new_string(word);
}

/* What the listing of two rows prints. */
static int listing(const char *format, struct skf_buf *out, struct skf_err *e)
{
	static const struct skf_tmpl_method method = {"Label", label, NULL};
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_listing l = {.heads = heads, .env = {.type = "*T", .method = &method}};
	struct json_object *row = json_tokener_parse("{\"ID\":\"0123456789ab\",\"Names\":\"we\\u0007b\"}");
	FILE *tmp = tmpfile();
	int saved = dup(STDOUT_FILENO), r;
	bool plain;
	char text[1000];
	size_t n;

	fflush(stdout);
	dup2(fileno(tmp), STDOUT_FILENO);
	r = skf_listing_init(&l, format, &a, &plain, e);
	if (r == 0 && plain)
		r = 1;
	for (int i = 0; r == 0 && i < 2; i++)
		r = skf_listing_row(&l, row, e);
	if (r == 0)
		r = skf_listing_end(&l, e);
	fflush(stdout);
	dup2(saved, STDOUT_FILENO);
	close(saved);
	rewind(tmp);
	n = fread(text, 1, sizeof(text), tmp);
	skf_buf_clear(out);
	skf_buf_put(out, text, n);
	fclose(tmp);
	json_object_put(row);
	skf_listing_done(&l);
	return r;
}

static void formats(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(1 << 20);
	struct skf_err e = SKF_ERR_INIT;

	assert_int_equal(listing(NULL, &out, &e), 1);
	assert_int_equal(listing("", &out, &e), 1);
	assert_int_equal(listing("table", &out, &e), 1);
	assert_int_equal(listing("table ", &out, &e), 1);
	assert_int_equal(listing("{{.ID}}\\t{{.Names}}", &out, &e), 0);
	assert_string_equal(skf_buf_cstr(&out), "0123456789ab\twe\ab\n0123456789ab\twe\ab\n");
	assert_int_equal(listing("json", &out, &e), 0);
	assert_true(
		skf_startswith(skf_buf_cstr(&out), "{\"ID\":\"0123456789ab\",\"Names\":\"we\\u0007b\"}\n{"));
	assert_int_equal(listing("table {{.ID}}\\t{{upper .Names}}\\t{{.Label \"com.x.a-b_c\"}}", &out, &e),
			 0);
	assert_string_equal(skf_buf_cstr(&out), "CONTAINER ID   NAMES     a b c\n"
						"0123456789ab   WE?B      com.x.a-b_c\n"
						"0123456789ab   WE?B      com.x.a-b_c\n");
	assert_int_equal(listing("{{.Nope}}", &out, &e), -1);
	assert_string_equal(
		e.msg,
		"failed to execute template: template: :1:2: executing \"\" at <.Nope>: can't evaluate "
		"field Nope in type *T");
	skf_err_clear(&e);
	assert_int_equal(listing("{{.ID", &out, &e), -1);
	assert_string_equal(e.msg, "failed to parse template: template: :1:5: unclosed action");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(tabs), cmocka_unit_test(formats)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
