/* cli/template_print.c -- how Go prints values: %v, and printf with %s %d %q %v %t %x %X %c %f, flags, width
 * and precision. What does not fit is shown as Go shows it: %!d(string=x). Pure. */
#include "cli/template_int.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define MAX_WIDTH 1000000 /* Go's */

/* The shortest text that reads back as the same number; from a million on with an exponent, as Go. */
static void real_text(double v, char out[40])
{
	int digits = 0, exponent;
	const char *e;

	do
		snprintf(out, 40, "%.*e", digits, v);
	while (strtod(out, NULL) != v && ++digits < 17);
	e = strchr(out, 'e');
	if (!e)
		return; /* infinite */
	exponent = (int)strtod(e + 1, NULL);
	if (exponent >= -4 && exponent < 6 + 15 * (v == 0))
		snprintf(out, 40, "%.*f", digits > exponent ? digits - exponent : 0, v);
}

struct verb {
	char c;
	bool minus, plus, sharp, blank, zero;
	int width, prec; /* -1: none */
};

static int print_value(struct skf_tmpl_ev *ev, struct skf_buf *b, const struct verb *f,
		       struct json_object *v, const char *null);

static size_t runes(const char *p, size_t n)
{
	size_t k = 0;

	for (size_t i = 0; i < n; i++)
		k += ((unsigned char)p[i] & 0xc0) != 0x80;
	return k;
}

static void put_padded(struct skf_buf *b, const struct verb *f, const char *p, size_t n)
{
	size_t shown = runes(p, n), width = f->width > 0 ? (size_t)f->width : 0;
	bool sign = f->zero && !f->minus && n && (*p == '-' || *p == '+');

	if (b->err < 0)
		return; /* full: no more work for many wide pieces */
	if (sign)
		skf_buf_put(b, p, 1);
	if (!f->minus)
		for (size_t i = shown; i < width; i++)
			skf_buf_chr(b, f->zero ? '0' : ' ');
	skf_buf_put(b, p + sign, n - sign);
	if (f->minus)
		for (size_t i = shown; i < width; i++)
			skf_buf_chr(b, ' ');
}

/* A Go string literal. */
static void put_quoted(struct skf_buf *b, const char *p, size_t n, char quote)
{
	static const char from[] = "\a\b\f\n\r\t\v\\", to[] = "abfnrtv\\";

	skf_buf_chr(b, quote);
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)p[i];
		const char *at = c ? strchr(from, c) : NULL;

		if (at)
			skf_buf_fmt(b, "\\%c", to[at - from]);
		else if (c == (unsigned char)quote)
			skf_buf_fmt(b, "\\%c", quote);
		else if (c < 0x20 || c == 0x7f)
			skf_buf_fmt(b, "\\x%02x", c);
		else
			skf_buf_chr(b, (char)c);
	}
	skf_buf_chr(b, quote);
}

static int bad_verb(struct skf_tmpl_ev *ev, struct skf_buf *b, const struct verb *f, struct json_object *v)
{
	const struct verb plain = {.c = 'v', .width = -1, .prec = -1};

	skf_buf_fmt(b, "%%!%c(", f->c);
	if (!v)
		skf_buf_str(b, "<nil>");
	else
		skf_buf_fmt(b, "%s=", skf_tmpl_type(v));
	if (v && print_value(ev, b, &plain, v, "<nil>") < 0)
		return -1;
	skf_buf_chr(b, ')');
	return 0;
}

static int print_string(struct skf_tmpl_ev *ev, struct skf_buf *b, const struct verb *f,
			struct json_object *v)
{
	SKF_AUTO(skf_buf_done) struct skf_buf t = SKF_BUF(SKF_MAX_TEMPLATE_OUT);
	const char *p = json_object_get_string(v);
	size_t n = (size_t)json_object_get_string_len(v), cut = 0;

	if (f->prec >= 0) {
		for (int left = f->prec; cut < n && left > 0; left--)
			for (cut++; cut < n && ((unsigned char)p[cut] & 0xc0) == 0x80;)
				cut++;
		n = cut;
	}
	switch (f->c) {
	case 'v':
	case 's':
		put_padded(b, f, p, n);
		return 0;
	case 'q':
		if (f->sharp && !memchr(p, '`', n) && !memchr(p, '\n', n)) {
			skf_buf_chr(&t, '`');
			skf_buf_put(&t, p, n);
			skf_buf_chr(&t, '`');
		} else {
			put_quoted(&t, p, n, '"');
		}
		break;
	case 'x':
	case 'X':
		for (size_t i = 0; i < n; i++)
			if (f->c == 'x')
				skf_buf_fmt(&t, "%02x", (unsigned char)p[i]);
			else
				skf_buf_fmt(&t, "%02X", (unsigned char)p[i]);
		break;
	default:
		return bad_verb(ev, b, f, v);
	}
	put_padded(b, f, skf_buf_cstr(&t), t.len);
	return 0;
}

static size_t utf8(char out[8], int64_t v)
{
	char text[16];
	struct json_object *o;
	size_t n;

	/* json-c knows how to write a code point; surrogates and what is none become U+FFFD. */
	if (v < 0x80 && v >= 0) {
		out[0] = (char)v;
		return 1;
	}
	if (v < 0 || v > 0xffff || (v >= 0xd800 && v < 0xe000))
		v = 0xfffd;
	snprintf(text, sizeof(text), "\"\\u%04x\"", (unsigned)v);
	o = json_tokener_parse(text);
	n = o ? (size_t)json_object_get_string_len(o) : 0;
	if (n > 7)
		n = 0;
	if (n)
		memcpy(out, json_object_get_string(o), n);
	json_object_put(o);
	return n;
}

static int print_int(struct skf_tmpl_ev *ev, struct skf_buf *b, const struct verb *f, struct json_object *v)
{
	int64_t i = json_object_get_int64(v);
	uint64_t abs = i < 0 ? 0 - (uint64_t)i : (uint64_t)i;
	const char *sign = i < 0 ? "-" : f->plus ? "+" : f->blank ? " " : "";
	SKF_AUTO(skf_buf_done) struct skf_buf q = SKF_BUF(64);
	char text[40], c[8];

	switch (f->c) {
	case 'v':
	case 'd':
		snprintf(text, sizeof(text), "%s%" PRIu64, sign, abs);
		break;
	case 'x':
		snprintf(text, sizeof(text), "%s%s%" PRIx64, sign, f->sharp ? "0x" : "", abs);
		break;
	case 'X':
		snprintf(text, sizeof(text), "%s%s%" PRIX64, sign, f->sharp ? "0X" : "", abs);
		break;
	case 'c':
		put_padded(b, f, c, utf8(c, i));
		return 0;
	case 'q':
		put_quoted(&q, c, utf8(c, i), '\'');
		put_padded(b, f, skf_buf_cstr(&q), q.len);
		return 0;
	default:
		return bad_verb(ev, b, f, v);
	}
	put_padded(b, f, text, strlen(text));
	return 0;
}

static int print_real(struct skf_tmpl_ev *ev, struct skf_buf *b, const struct verb *f, struct json_object *v)
{
	double x = json_object_get_double(v);
	char text[420];

	if (f->c != 'v' && f->c != 'f' && f->c != 'g')
		return bad_verb(ev, b, f, v);
	if (f->c == 'f')
		snprintf(text, sizeof(text), "%s%.*f", f->plus && x >= 0 ? "+" : "",
			 f->prec < 0    ? 6
			 : f->prec > 60 ? 60
					: f->prec,
			 x);
	else if (f->prec >= 0)
		snprintf(text, sizeof(text), "%.*g", f->prec > 60 ? 60 : f->prec, x);
	else
		real_text(x, text);
	put_padded(b, f, text, strlen(text));
	return 0;
}

static int print_bool(struct skf_tmpl_ev *ev, struct skf_buf *b, const struct verb *f, struct json_object *v)
{
	const char *s = json_object_get_boolean(v) ? "true" : "false";

	if (f->c != 'v' && f->c != 't')
		return bad_verb(ev, b, f, v);
	put_padded(b, f, s, strlen(s));
	return 0;
}

static int print_array(struct skf_tmpl_ev *ev, struct skf_buf *b, const struct verb *f,
		       struct json_object *v)
{
	skf_buf_chr(b, '[');
	for (size_t i = 0; i < json_object_array_length(v); i++) {
		if (i)
			skf_buf_chr(b, ' ');
		if (print_value(ev, b, f, json_object_array_get_idx(v, i), "<nil>") < 0)
			return -1;
	}
	skf_buf_chr(b, ']');
	return 0;
}

static int print_object(struct skf_tmpl_ev *ev, struct skf_buf *b, const struct verb *f,
			struct json_object *v)
{
	const char **keys;
	size_t n;

	if (skf_tmpl_keys(ev, v, &keys, &n) < 0)
		return -1;
	skf_buf_str(b, "map[");
	for (size_t i = 0; i < n; i++) {
		skf_buf_fmt(b, "%s", i ? " " : "");
		skf_buf_str(b, keys[i]);
		skf_buf_chr(b, ':');
		if (print_value(ev, b, f, json_object_object_get(v, keys[i]), "<nil>") < 0)
			return -1;
	}
	skf_buf_chr(b, ']');
	return 0;
}

static int print_value(struct skf_tmpl_ev *ev, struct skf_buf *b, const struct verb *f,
		       struct json_object *v, const char *null)
{
	switch (json_object_get_type(v)) {
	case json_type_string:
		return print_string(ev, b, f, v);
	case json_type_int:
		return print_int(ev, b, f, v);
	case json_type_double:
		return print_real(ev, b, f, v);
	case json_type_boolean:
		return print_bool(ev, b, f, v);
	case json_type_array:
		return print_array(ev, b, f, v);
	case json_type_object:
		return print_object(ev, b, f, v);
	default:
		if (f->c != 'v')
			return bad_verb(ev, b, f, v);
		put_padded(b, f, null, strlen(null));
		return 0;
	}
}

int skf_tmpl_print(struct skf_tmpl_ev *ev, struct skf_buf *b, struct json_object *v, const char *null)
{
	const struct verb plain = {.c = 'v', .width = -1, .prec = -1};
	size_t before = b->len;

	if (print_value(ev, b, &plain, v, null) < 0)
		return -1;
	return skf_tmpl_charge(ev, b->len - before);
}

/* --- printf --- */

struct format {
	const struct skf_tmpl_call *c;
	const char *p;
	size_t next; /* argument */
	struct skf_buf *b;
};

static int refuse(const struct format *f, const char *what)
{
	return skf_tmpl_fail(f->c->ev, &f->c->cmd->pos, "error calling printf: %s", what);
}

static int number_or_star(struct format *f, int *ret, bool *ret_minus)
{
	int v = 0;

	if (*f->p == '*') {
		const struct skf_tmpl_val *a = f->next < f->c->n ? &f->c->v[f->next++] : NULL;
		int64_t n = a && json_object_is_type(a->o, json_type_int) ? json_object_get_int64(a->o)
									  : INT64_MAX;

		f->p++;
		if (n < -MAX_WIDTH || n > MAX_WIDTH)
			return refuse(f, "* needs a number up to a million");
		*ret_minus |= n < 0;
		*ret = (int)(n < 0 ? -n : n);
		return 0;
	}
	for (; *f->p >= '0' && *f->p <= '9'; f->p++) {
		v = v * 10 + (*f->p - '0');
		if (v > MAX_WIDTH)
			return refuse(f, "width or precision above a million");
	}
	*ret = v;
	return 0;
}

static int parse_verb(struct format *f, struct verb *v)
{
	bool ignored = false;

	*v = (struct verb){.width = -1, .prec = -1};
	for (;; f->p++) {
		if (*f->p == '-')
			v->minus = true;
		else if (*f->p == '+')
			v->plus = true;
		else if (*f->p == '#')
			v->sharp = true;
		else if (*f->p == ' ')
			v->blank = true;
		else if (*f->p == '0')
			v->zero = true;
		else
			break;
	}
	if (*f->p == '[')
		return refuse(f, "argument indexes, %[n], are not supported");
	if ((*f->p == '*' || (*f->p >= '1' && *f->p <= '9')) && number_or_star(f, &v->width, &v->minus) < 0)
		return -1;
	if (*f->p == '.') {
		f->p++;
		if (number_or_star(f, &v->prec, &ignored) < 0)
			return -1;
	}
	v->c = *f->p;
	if (*f->p)
		f->p++;
	return 0;
}

static int one_verb(struct format *f)
{
	struct verb v;
	char text[64];

	if (parse_verb(f, &v) < 0)
		return -1;
	if (!v.c) {
		skf_buf_str(f->b, "%!(NOVERB)");
		return 0;
	}
	if (v.c == '%') {
		skf_buf_chr(f->b, '%');
		return 0;
	}
	if (!strchr("sdqvtxXcfg", v.c)) {
		snprintf(text, sizeof(text), "%%%c is not supported", v.c);
		return refuse(f, text);
	}
	if (f->next >= f->c->n) {
		skf_buf_fmt(f->b, "%%!%c(MISSING)", v.c);
		return 0;
	}
	if (v.width > 0 && skf_tmpl_charge(f->c->ev, (size_t)v.width) < 0)
		return -1;
	return print_value(f->c->ev, f->b, &v, f->c->v[f->next++].o, "<nil>");
}

static int extra(struct format *f)
{
	const struct verb plain = {.c = 'v', .width = -1, .prec = -1};

	skf_buf_str(f->b, "%!(EXTRA ");
	for (size_t i = f->next; i < f->c->n; i++) {
		struct json_object *v = f->c->v[i].o;

		if (i > f->next)
			skf_buf_str(f->b, ", ");
		if (v)
			skf_buf_fmt(f->b, "%s=", skf_tmpl_type(v));
		if (print_value(f->c->ev, f->b, &plain, v, "<nil>") < 0)
			return -1;
	}
	skf_buf_chr(f->b, ')');
	return 0;
}

int skf_tmpl_printf(const struct skf_tmpl_call *c, struct skf_tmpl_val *ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_TEMPLATE_OUT);
	struct format f = {.c = c, .p = json_object_get_string(c->v[0].o), .next = 1, .b = &b};

	while (*f.p) {
		size_t n = strcspn(f.p, "%");

		skf_buf_put(&b, f.p, n);
		f.p += n;
		if (!*f.p)
			break;
		f.p++;
		if (one_verb(&f) < 0)
			return -1;
	}
	if (f.next < c->n && extra(&f) < 0)
		return -1;
	if (b.err < 0)
		return skf_fail(c->ev->e, SKF_ELIMIT, "printf makes more than %u bytes",
				SKF_MAX_TEMPLATE_OUT);
	return skf_tmpl_mkstr(c->ev, b.p, b.len, ret);
}
