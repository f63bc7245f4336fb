/* cli/template_funcs.c -- the functions of templates: Go's and docker's, with their errors. Pure. */
#include "cli/template_int.h"
#include <stdio.h>
#include <string.h>

static int fail(const struct skf_tmpl_call *c, const char *what)
{
	skf_tmpl_fail(c->ev, &c->cmd->pos, "error calling %s: %s", c->fn->name, what);
	return -1;
}

static int fail_number(const struct skf_tmpl_call *c, const char *what, int64_t n)
{
	char text[80];

	snprintf(text, sizeof(text), "%s: %lld", what, (long long)n);
	return fail(c, text);
}

/* --- arguments --- */

static void wrong_type(const struct skf_tmpl_call *c, size_t i, const char *want)
{
	const struct skf_tmpl_arg *a = c->arg ? c->arg[i] : NULL;
	const struct skf_tmpl_pos *pos = a ? &a->pos : &c->cmd->pos;

	if (a && a->kind == SKF_TA_NIL)
		skf_tmpl_fail(c->ev, pos, "cannot assign nil to %s", want);
	else if (a && a->kind == SKF_TA_LITERAL)
		skf_tmpl_fail(c->ev, pos, "expected %s; found %.*s",
			      skf_streq(want, "int") ? "integer" : want,
			      (int)(pos->src_len > 60 ? 60 : pos->src_len), pos->src);
	else
		skf_tmpl_fail(c->ev, pos, "wrong type for value; expected %s; got %s", want,
			      skf_tmpl_type(c->v[i].o));
}

static int str_arg(const struct skf_tmpl_call *c, size_t i, struct skf_str *ret)
{
	struct json_object *o = c->v[i].o;

	if (!json_object_is_type(o, json_type_string)) {
		wrong_type(c, i, "string");
		return -1;
	}
	ret->p = json_object_get_string(o);
	ret->n = (size_t)json_object_get_string_len(o);
	return 0;
}

static int int_arg(const struct skf_tmpl_call *c, size_t i, int64_t *ret)
{
	if (!json_object_is_type(c->v[i].o, json_type_int)) {
		wrong_type(c, i, "int");
		return -1;
	}
	*ret = json_object_get_int64(c->v[i].o);
	return 0;
}

static int ret_bool(const struct skf_tmpl_call *c, bool v, struct skf_tmpl_val *ret)
{
	ret->map = false;
	return skf_tmpl_keep(c->ev, json_object_new_boolean(v), &ret->o);
}

static int ret_int(const struct skf_tmpl_call *c, int64_t v, struct skf_tmpl_val *ret)
{
	ret->map = false;
	return skf_tmpl_keep(c->ev, json_object_new_int64(v), &ret->o);
}

/* What is in b as a string. */
static int ret_buf(const struct skf_tmpl_call *c, const struct skf_buf *b, struct skf_tmpl_val *ret)
{
	if (b->err < 0)
		return skf_fail(c->ev->e, SKF_ELIMIT, "%s makes more than %u bytes", c->fn->name,
				SKF_MAX_TEMPLATE_OUT);
	return skf_tmpl_mkstr(c->ev, b->p, b->len, ret);
}

/* --- len, index, slice --- */

static int fn_len(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	struct json_object *o = c->v[0].o;
	char text[64];

	switch (json_object_get_type(o)) {
	case json_type_string:
		return ret_int(c, json_object_get_string_len(o), ret);
	case json_type_array:
		return ret_int(c, (int64_t)json_object_array_length(o), ret);
	case json_type_object:
		return ret_int(c, json_object_object_length(o), ret);
	case json_type_null:
		if (c->v[0].map)
			return ret_int(c, 0, ret);
		return fail(c, "len of nil pointer");
	default:
		snprintf(text, sizeof(text), "len of type %s", skf_tmpl_type(o));
		return fail(c, text);
	}
}

static int index_list(const struct skf_tmpl_call *c, size_t i, struct skf_tmpl_val *v)
{
	bool is_string = json_object_is_type(v->o, json_type_string);
	int64_t at,
		n = is_string ? json_object_get_string_len(v->o) : (int64_t)json_object_array_length(v->o);
	char text[80];

	if (!json_object_is_type(c->v[i].o, json_type_int)) {
		snprintf(text, sizeof(text), "cannot index slice/array with %s%s",
			 c->v[i].o ? "type " : "nil", c->v[i].o ? skf_tmpl_type(c->v[i].o) : "");
		return fail(c, text);
	}
	at = json_object_get_int64(c->v[i].o);
	if (at < 0 || at >= n)
		return fail_number(c, "index out of range", at);
	if (is_string)
		return ret_int(c, (unsigned char)json_object_get_string(v->o)[at], v);
	v->o = json_object_array_get_idx(v->o, (size_t)at);
	v->map = false;
	return 0;
}

static int index_map(const struct skf_tmpl_call *c, size_t i, struct skf_tmpl_val *v)
{
	struct json_object *key = c->v[i].o;
	bool chosen = v->map; /* string values: the zero value of one that is missing is "" */
	char text[80];

	if (!key)
		return fail(c, "value is nil; should be of type string");
	if (!json_object_is_type(key, json_type_string)) {
		snprintf(text, sizeof(text), "value has type %s; should be string", skf_tmpl_type(key));
		return fail(c, text);
	}
	v->map = false;
	if (json_object_object_get_ex(v->o, json_object_get_string(key), &v->o))
		return 0;
	v->o = NULL;
	return chosen ? skf_tmpl_mkstr(c->ev, "", 0, v) : 0;
}

static int fn_index(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	struct skf_tmpl_val v = c->v[0];
	char text[80];

	for (size_t i = 1; i < c->n; i++) {
		int r;

		switch (json_object_get_type(v.o)) {
		case json_type_array:
		case json_type_string:
			r = index_list(c, i, &v);
			break;
		case json_type_object:
			r = index_map(c, i, &v);
			break;
		case json_type_null:
			if (!v.map)
				return fail(c, "index of untyped nil");
			v.map = false;
			r = skf_tmpl_mkstr(c->ev, "", 0, &v);
			break;
		default:
			snprintf(text, sizeof(text), "can't index item of type %s", skf_tmpl_type(v.o));
			return fail(c, text);
		}
		if (r < 0)
			return -1;
	}
	*ret = v;
	return 0;
}

/* Borders of a slice: 0 <= from <= to <= n. */
static int slice_borders(const struct skf_tmpl_call *c, int64_t n, int64_t at[3])
{
	at[0] = 0;
	at[1] = at[2] = n;
	for (size_t i = 1; i < c->n; i++) {
		char text[80];

		if (!json_object_is_type(c->v[i].o, json_type_int)) {
			snprintf(text, sizeof(text), "cannot index slice/array with type %s",
				 skf_tmpl_type(c->v[i].o));
			return fail(c, text);
		}
		at[i - 1] = json_object_get_int64(c->v[i].o);
		if (at[i - 1] < 0 || at[i - 1] > n)
			return fail_number(c, "index out of range", at[i - 1]);
	}
	for (size_t i = 0; i < 2; i++) {
		char text[80];

		if (at[i] > at[i + 1]) {
			snprintf(text, sizeof(text), "invalid slice index: %lld > %lld", (long long)at[i],
				 (long long)at[i + 1]);
			return fail(c, text);
		}
	}
	return 0;
}

static int fn_slice(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	struct json_object *o = c->v[0].o, *list;
	bool is_string = json_object_is_type(o, json_type_string);
	int64_t at[3];
	char text[80];

	if (!is_string && !json_object_is_type(o, json_type_array)) {
		if (!o)
			return fail(c, "slice of untyped nil");
		snprintf(text, sizeof(text), "can't slice item of type %s", skf_tmpl_type(o));
		return fail(c, text);
	}
	if (is_string && c->n > 3)
		return fail(c, "cannot 3-index slice a string");
	if (slice_borders(c,
			  is_string ? json_object_get_string_len(o) : (int64_t)json_object_array_length(o),
			  at) < 0)
		return -1;
	if (is_string)
		return skf_tmpl_mkstr(c->ev, json_object_get_string(o) + at[0], (size_t)(at[1] - at[0]),
				      ret);
	ret->map = false;
	if (skf_tmpl_charge(c->ev, (size_t)(at[1] - at[0]) * sizeof(void *) + 64) < 0 ||
	    skf_tmpl_keep(c->ev, json_object_new_array(), &list) < 0)
		return -1;
	for (int64_t i = at[0]; i < at[1]; i++)
		if (json_object_array_add(list, json_object_get(json_object_array_get_idx(o, (size_t)i))) <
		    0)
			return skf_fail(c->ev->e, SKF_ENOMEM, "memory for the template");
	ret->o = list;
	return 0;
}

/* --- comparisons --- */

enum kind { K_NONE, K_NIL, K_BOOL, K_INT, K_REAL, K_STRING };

static enum kind kind_of(struct json_object *o)
{
	switch (json_object_get_type(o)) {
	case json_type_null:
		return K_NIL;
	case json_type_boolean:
		return K_BOOL;
	case json_type_int:
		return K_INT;
	case json_type_double:
		return K_REAL;
	case json_type_string:
		return K_STRING;
	default:
		return K_NONE;
	}
}

/* -1, 0, 1 of two values of one kind. */
static int order(struct json_object *a, struct json_object *b)
{
	int64_t i = json_object_get_int64(a), k = json_object_get_int64(b);
	double x, y;
	size_t n, m;
	int r;

	switch (kind_of(a)) {
	case K_BOOL:
		return (int)json_object_get_boolean(a) - (int)json_object_get_boolean(b);
	case K_INT:
		return i < k ? -1 : i > k;
	case K_REAL:
		x = json_object_get_double(a);
		y = json_object_get_double(b);
		return x < y ? -1 : x > y;
	default:
		n = (size_t)json_object_get_string_len(a);
		m = (size_t)json_object_get_string_len(b);
		r = memcmp(json_object_get_string(a), json_object_get_string(b), n < m ? n : m);
		return r ? r : n < m ? -1 : n > m;
	}
}

static int same(const struct skf_tmpl_call *c, struct json_object *a, struct json_object *b, bool *ret)
{
	enum kind x = kind_of(a), y = kind_of(b);

	if (x == K_NONE || y == K_NONE) {
		char text[80];

		snprintf(text, sizeof(text), "non-comparable type %s", skf_tmpl_type(x == K_NONE ? a : b));
		return fail(c, text);
	}
	if (x == K_NIL || y == K_NIL)
		*ret = x == y;
	else if (x != y)
		return fail(c, "incompatible types for comparison");
	else
		*ret = order(a, b) == 0;
	return 0;
}

static int fn_eq(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	bool equal = false;

	if (c->n < 2)
		return fail(c, "missing argument for comparison");
	for (size_t i = 1; i < c->n && !equal; i++)
		if (same(c, c->v[0].o, c->v[i].o, &equal) < 0)
			return -1;
	return ret_bool(c, equal, ret);
}

static int fn_ne(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	bool equal;

	return same(c, c->v[0].o, c->v[1].o, &equal) < 0 ? -1 : ret_bool(c, !equal, ret);
}

static int compare(const struct skf_tmpl_call *c, int *ret)
{
	enum kind x = kind_of(c->v[0].o), y = kind_of(c->v[1].o);

	if (x == K_NONE || x == K_NIL || y == K_NONE || y == K_NIL || x == K_BOOL)
		return fail(c, "invalid type for comparison");
	if (x != y)
		return fail(c, "incompatible types for comparison");
	*ret = order(c->v[0].o, c->v[1].o);
	return 0;
}

#define ORDER(name, test)                                                                                   \
	static int name(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)                            \
	{                                                                                                   \
		int cmp = 0;                                                                                \
                                                                                                            \
		return compare(c, &cmp) < 0 ? -1 : ret_bool(c, test, ret);                                  \
	}
ORDER(fn_lt, cmp < 0)
ORDER(fn_le, cmp <= 0)
ORDER(fn_gt, cmp > 0)
ORDER(fn_ge, cmp >= 0)

static int fn_not(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	return ret_bool(c, !skf_tmpl_truth(c->v[0].o), ret);
}

/* Never called: template_eval.c evaluates them step by step. A call without arguments comes here. */
static int fn_logic(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	*ret = c->v[0];
	return 0;
}

/* --- printing --- */

static int fn_print(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_TEMPLATE_OUT);

	for (size_t i = 0; i < c->n; i++) {
		if (i && !json_object_is_type(c->v[i].o, json_type_string) &&
		    !json_object_is_type(c->v[i - 1].o, json_type_string))
			skf_buf_chr(&b, ' ');
		if (skf_tmpl_print(c->ev, &b, c->v[i].o, "<nil>") < 0)
			return -1;
	}
	return ret_buf(c, &b, ret);
}

static int fn_println(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_TEMPLATE_OUT);

	for (size_t i = 0; i < c->n; i++) {
		if (i)
			skf_buf_chr(&b, ' ');
		if (skf_tmpl_print(c->ev, &b, c->v[i].o, "<nil>") < 0)
			return -1;
	}
	skf_buf_chr(&b, '\n');
	return ret_buf(c, &b, ret);
}

static int fn_printf(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	struct skf_str format;

	return str_arg(c, 0, &format) < 0 ? -1 : skf_tmpl_printf(c, ret);
}

/* --- docker's --- */

static int fn_json(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	const char *s;
	size_t n;

	if (!c->v[0].o)
		return skf_tmpl_mkstr(c->ev, "null", 4, ret);
	s = json_object_to_json_string_length(c->v[0].o,
					      JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE, &n);
	if (!s)
		return skf_fail(c->ev->e, SKF_ENOMEM, "memory for the template");
	return skf_tmpl_mkstr(c->ev, s, n, ret);
}

static int fn_split(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	struct json_object *list;
	struct skf_str s, sep;
	const char *p, *end;

	if (str_arg(c, 0, &s) < 0 || str_arg(c, 1, &sep) < 0 || skf_tmpl_charge(c->ev, s.n * 2 + 64) < 0 ||
	    skf_tmpl_keep(c->ev, json_object_new_array(), &list) < 0)
		return -1;
	ret->o = list;
	ret->map = false;
	if (s.n == 0 && sep.n == 0)
		return 0;
	for (p = s.p, end = s.p + s.n; p;) {
		const char *at = sep.n ? memmem(p, (size_t)(end - p), sep.p, sep.n) : NULL, *stop;

		if (!sep.n) /* character by character */
			for (at = p + 1; at < end && ((unsigned char)*at & 0xc0) == 0x80;)
				at++;
		if (!sep.n && at >= end)
			at = NULL;
		stop = at ? at : end;
		if (skf_tmpl_charge(c->ev, 64) < 0)
			return -1;
		if (json_object_array_add(list, json_object_new_string_len(p, (int)(stop - p))) < 0)
			return skf_fail(c->ev->e, SKF_ENOMEM, "memory for the template");
		p = at ? at + sep.n : NULL;
	}
	return 0;
}

static int fn_join(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_TEMPLATE_OUT);
	struct json_object *list = c->v[0].o;
	struct skf_str sep;

	if (str_arg(c, 1, &sep) < 0)
		return -1;
	if (list && !json_object_is_type(list, json_type_array)) {
		wrong_type(c, 0, "[]string");
		return -1;
	}
	for (size_t i = 0; list && i < json_object_array_length(list); i++) {
		struct json_object *o = json_object_array_get_idx(list, i);

		if (!json_object_is_type(o, json_type_string)) {
			wrong_type(c, 0, "[]string");
			return -1;
		}
		if (i)
			skf_buf_put(&b, sep.p, sep.n);
		skf_buf_put(&b, json_object_get_string(o), (size_t)json_object_get_string_len(o));
	}
	return ret_buf(c, &b, ret);
}

static char upper(char c)
{
	return c >= 'a' && c <= 'z' ? (char)(c - 32) : c;
}

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c + 32) : c;
}

static bool is_letter(char c)
{
	return (c >= '0' && c <= '9') || upper(c) != lower(c) || c == '_' || c == '\'' ||
	       (unsigned char)c >= 0x80;
}

/* ASCII letters only: image and container names have no others. */
static int change_case(const struct skf_tmpl_call *c, char how, struct skf_tmpl_val *ret)
{
	struct skf_str s;
	char *copy, before = ' ';

	if (str_arg(c, 0, &s) < 0 || skf_tmpl_charge(c->ev, s.n) < 0)
		return -1;
	copy = skf_arena_dup(&c->ev->a, s.p, s.n);
	if (!copy)
		return skf_fail(c->ev->e, SKF_ENOMEM, "memory for the template");
	for (size_t i = 0; i < s.n; i++) {
		if (how == 'u' || (how == 't' && (!is_letter(before) || before == '\'')))
			copy[i] = upper(s.p[i]);
		else if (how == 'l')
			copy[i] = lower(s.p[i]);
		before = s.p[i];
	}
	return skf_tmpl_mkstr(c->ev, copy, s.n, ret);
}

static int fn_upper(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	return change_case(c, 'u', ret);
}

static int fn_lower(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	return change_case(c, 'l', ret);
}

static int fn_title(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	return change_case(c, 't', ret);
}

static int fn_pad(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	int64_t before, after;
	struct skf_str s;
	char *out;
	size_t n;

	if (str_arg(c, 0, &s) < 0 || int_arg(c, 1, &before) < 0 || int_arg(c, 2, &after) < 0)
		return -1;
	if (before < 0 || after < 0)
		return fail(c, "strings: negative Repeat count");
	if (!s.n)
		return skf_tmpl_mkstr(c->ev, "", 0, ret); /* docker pads no empty text */
	if (before > SKF_MAX_TEMPLATE_OUT || after > SKF_MAX_TEMPLATE_OUT)
		return skf_tmpl_charge(c->ev, SIZE_MAX);
	n = s.n + (size_t)before + (size_t)after;
	if (skf_tmpl_charge(c->ev, n) < 0)
		return -1;
	out = skf_arena_alloc(&c->ev->a, n + 1);
	if (!out)
		return skf_fail(c->ev->e, SKF_ENOMEM, "memory for the template");
	memset(out, ' ', n);
	memcpy(out + before, s.p, s.n);
	return skf_tmpl_mkstr(c->ev, out, n, ret);
}

static int fn_truncate(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	struct skf_str s;
	int64_t n;

	if (str_arg(c, 0, &s) < 0 || int_arg(c, 1, &n) < 0)
		return -1;
	if (n < 0)
		return fail_number(c, "negative length", n);
	return skf_tmpl_mkstr(c->ev, s.p, s.n < (size_t)n ? s.n : (size_t)n, ret);
}

/* --- the table --- */

#define ANY (~0u)
static const struct skf_tmpl_fn functions[] = {
	{"and", 1, ANY, false, fn_logic},     {"eq", 1, ANY, false, fn_eq},
	{"ge", 2, 2, false, fn_ge},           {"gt", 2, 2, false, fn_gt},
	{"index", 1, ANY, false, fn_index},   {"join", 2, 2, true, fn_join},
	{"json", 1, 1, true, fn_json},        {"le", 2, 2, false, fn_le},
	{"len", 1, 1, false, fn_len},         {"lower", 1, 1, true, fn_lower},
	{"lt", 2, 2, false, fn_lt},           {"ne", 2, 2, false, fn_ne},
	{"not", 1, 1, false, fn_not},         {"or", 1, ANY, false, fn_logic},
	{"pad", 3, 3, true, fn_pad},          {"print", 0, ANY, false, fn_print},
	{"printf", 1, ANY, false, fn_printf}, {"println", 0, ANY, false, fn_println},
	{"slice", 1, 4, false, fn_slice},     {"split", 2, 2, true, fn_split},
	{"title", 1, 1, true, fn_title},      {"truncate", 2, 2, true, fn_truncate},
	{"upper", 1, 1, true, fn_upper},
};

const struct skf_tmpl_fn *skf_tmpl_find_fn(const char *name, size_t n)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(functions); i++)
		if (strlen(functions[i].name) == n && !memcmp(functions[i].name, name, n))
			return &functions[i];
	return NULL;
}

enum skf_tmpl_logic skf_tmpl_fn_logic(const struct skf_tmpl_fn *fn)
{
	return fn->fn != fn_logic ? SKF_TL_NONE : fn->name[0] == 'a' ? SKF_TL_AND : SKF_TL_OR;
}

int skf_tmpl_call_fn(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	*ret = (struct skf_tmpl_val){0};
	if (c->n < c->fn->min || c->n > c->fn->max)
		return skf_tmpl_fail(c->ev, c->cmd->args ? &c->cmd->args->pos : &c->cmd->pos,
				     "wrong number of args for %s: want %s%u got %zu", c->fn->name,
				     c->fn->min < c->fn->max ? "at least " : "", c->fn->min, c->n);
	if (c->ev->env->header && c->fn->docker && c->n &&
	    json_object_is_type(c->v[0].o, json_type_string)) {
		*ret = c->v[0];
		return 0;
	}
	return c->fn->fn(c, ret);
}
