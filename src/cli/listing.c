/* cli/listing.c -- --format of the verbs that print a list. */
#include "cli/listing.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/limits.h"
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>

/* Docker takes \t and \n in a list's format for the characters. */
static char *unescaped(struct skf_arena *a, const char *s)
{
	char *copy = skf_arena_strdup(a, s), *out = copy;

	for (; copy && *s; s++) {
		bool escape = s[0] == '\\' && (s[1] == 't' || s[1] == 'n');

		*out++ = escape ? (s[1] == 't' ? '\t' : '\n') : *s;
		s += escape;
	}
	if (copy)
		*out = '\0';
	return copy;
}

int skf_listing_init(struct skf_listing *l, const char *format, struct skf_arena *a, bool *ret_default,
		     struct skf_err *e)
{
	char *text;

	l->out = (struct skf_buf)SKF_BUF(SKF_MAX_LISTING_BYTES);
	l->table = format && skf_startswith(format, "table");
	*ret_default = !format || !*format || (l->table && !format[5 + strspn(format + 5, " ")]);
	if (*ret_default)
		return 0;
	l->json = skf_streq(format, "json");
	format += l->table ? 5 : 0;
	format += strspn(format, " ");
	text = unescaped(a, l->json ? "{{json .}}" : format);
	if (!text)
		return skf_fail(e, SKF_ENOMEM, "memory for the format");
	for (size_t n = strlen(text); n && text[n - 1] == ' ';)
		text[--n] = '\0';
	return skf_tmpl_parse(text, a, &l->t, e) < 0 ? skf_ctx(e, "failed to parse template") : 0;
}

bool skf_listing_uses(const struct skf_listing *l, const char *field)
{
	return l->t && skf_tmpl_uses(l->t, field);
}

/* "com.example.some-label" -> "some label", docker's head of {{.Label}}. */
static struct json_object *label_head(const void *ctx, const char *word)
{
	const char *dot = strrchr(word, '.');
	struct json_object *o;
	char text[256];

	(void)ctx;
	if (skf_fmt(text, sizeof(text), "%s", dot ? dot + 1 : word) < 0)
		memcpy(text, "LABEL", sizeof("LABEL"));
	for (char *p = text; *p; p++)
		if (*p == '-' || *p == '_')
			*p = ' ';
	o = json_object_new_string(text);
	return o;
}

static int head_row(struct skf_listing *l, struct skf_err *e)
{
	const struct skf_tmpl_method m = {.name = l->env.method ? l->env.method->name : "",
					  .fn = label_head};
	const struct skf_tmpl_env env = {
		.header = true, .missing_ok = true, .method = l->env.method ? &m : NULL};
	struct json_object *heads = json_object_new_object();
	int r = 0;

	for (const struct skf_listing_head *h = l->heads; heads && h->field; h++)
		r |= json_object_object_add(heads, h->field, json_object_new_string(h->head));
	if (!heads || r < 0)
		r = skf_fail(e, SKF_ENOMEM, "memory for the table");
	else
		r = skf_tmpl_eval(l->t, &env, heads, &l->out, e);
	json_object_put(heads);
	skf_buf_chr(&l->out, '\n');
	return r;
}

struct json_object *skf_listing_document(const char *const pairs[][2], size_t n)
{
	struct json_object *o = json_object_new_object();

	for (size_t i = 0; o && i < n; i++) {
		struct json_object *s = json_object_new_string(pairs[i][1]);

		if (!s || json_object_object_add(o, pairs[i][0], s) < 0) {
			json_object_put(s);
			json_object_put(o);
			return NULL;
		}
	}
	return o;
}

int skf_listing_row(struct skf_listing *l, struct json_object *row, struct skf_err *e)
{
	size_t before = l->out.len;

	if (skf_tmpl_eval(l->t, &l->env, row, &l->out, e) < 0)
		return e->kind == SKF_EINVALID ? skf_ctx(e, "failed to execute template") : -1;
	skf_buf_chr(&l->out, '\n');
	if (l->out.err < 0)
		return skf_fail(e, SKF_ELIMIT, "the list is longer than %u bytes", SKF_MAX_LISTING_BYTES);
	if (l->table) {
		for (size_t i = before; i < l->out.len; i++) { /* a name cannot drive the terminal */
			unsigned char c = (unsigned char)l->out.p[i];

			if ((c < 0x20 && c != '\t' && c != '\n') || c == 0x7f)
				l->out.p[i] = '?';
		}
		return 0;
	}
	fwrite(l->out.p, 1, l->out.len, stdout); /* the verb's end looks at stdout */
	skf_buf_clear(&l->out);
	return 0;
}

int skf_listing_end(struct skf_listing *l, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf all = SKF_BUF(SKF_MAX_LISTING_BYTES);
	SKF_AUTO(skf_buf_done) struct skf_buf rows = SKF_BUF(SKF_MAX_LISTING_BYTES);
	SKF_AUTO(skf_buf_done) struct skf_buf text = SKF_BUF(SKF_MAX_LISTING_BYTES);

	if (!l->table || !l->t)
		return 0;
	rows = l->out;
	l->out = (struct skf_buf)SKF_BUF(SKF_MAX_LISTING_BYTES);
	if (!l->no_head && head_row(l, e) < 0)
		return skf_ctx(e, "failed to execute template");
	skf_buf_put(&all, l->out.p, l->out.len);
	skf_buf_put(&all, rows.p, rows.len);
	skf_tabs_align(skf_buf_cstr(&all), all.len, &text);
	if (all.err < 0 || text.err < 0)
		return skf_fail(e, SKF_ELIMIT, "the table is longer than %u bytes", SKF_MAX_LISTING_BYTES);
	fwrite(skf_buf_cstr(&text), 1, text.len, stdout);
	return 0;
}

void skf_listing_done(struct skf_listing *l)
{
	skf_buf_done(&l->out);
}
