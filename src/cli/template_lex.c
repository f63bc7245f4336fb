/* cli/template_lex.c -- tokens inside the {{ }} of a template. Pure. */
#include "cli/template_int.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int skf_tmpl_syntax(struct skf_tmpl_lex *l, const char *fmt, ...)
{
	char text[400];
	va_list ap;

	va_start(ap, fmt);
	if (vsnprintf(text, sizeof(text), fmt, ap) < 0)
		text[0] = '\0'; /* only for an invalid format */
	va_end(ap);
	return skf_fail(l->e, SKF_EINVALID, "template: :%u:%u: %s", l->tok_line, l->tok_col, text);
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static bool is_word(char c)
{
	return is_digit(c) || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
	       (unsigned char)c >= 0x80;
}

static size_t word_length(const char *p)
{
	size_t n = 0;

	while (is_word(p[n]))
		n++;
	return n;
}

static int take(struct skf_tmpl_lex *l, enum skf_tmpl_tok tok, size_t n)
{
	l->tok = tok;
	l->p += n;
	return 0;
}

static int bad_character(struct skf_tmpl_lex *l)
{
	const unsigned char c = (unsigned char)*l->p;

	return skf_tmpl_syntax(l, "bad character U+%04X '%c'", c, c);
}

/* A word: what follows has to be something that ends one. Its length n counts the dot or $ before it. */
static int word(struct skf_tmpl_lex *l, enum skf_tmpl_tok tok, size_t n, size_t skip)
{
	l->word = skf_arena_dup(l->a, l->p + skip, n - skip);
	l->word_len = n - skip;
	if (!l->word)
		return skf_fail(l->e, SKF_ENOMEM, "memory for the template");
	take(l, tok, n);
	if (*l->p && !strchr(" \t\r\n.,|:()=", *l->p) && !(l->p[0] == '}' && l->p[1] == '}'))
		return bad_character(l);
	return 0;
}

static int set_word(struct skf_tmpl_lex *l, const char *p, size_t n)
{
	l->word = skf_arena_dup(l->a, p, n);
	l->word_len = n;
	return l->word ? 0 : skf_fail(l->e, SKF_ENOMEM, "memory for the template");
}

static int hex_value(char c)
{
	if (is_digit(c))
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

static size_t put_utf8(char *out, uint32_t c)
{
	if (c < 0x80) {
		out[0] = (char)c;
		return 1;
	}
	if (c < 0x800) {
		out[0] = (char)(0xc0 | c >> 6);
		out[1] = (char)(0x80 | (c & 0x3f));
		return 2;
	}
	if (c < 0x10000) {
		out[0] = (char)(0xe0 | c >> 12);
		out[1] = (char)(0x80 | (c >> 6 & 0x3f));
		out[2] = (char)(0x80 | (c & 0x3f));
		return 3;
	}
	out[0] = (char)(0xf0 | c >> 18);
	out[1] = (char)(0x80 | (c >> 12 & 0x3f));
	out[2] = (char)(0x80 | (c >> 6 & 0x3f));
	out[3] = (char)(0x80 | (c & 0x3f));
	return 4;
}

/* `digits` digits of the base; -1 for fewer. */
static int64_t digits_value(const char *p, unsigned digits, unsigned base)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < digits; i++) {
		int d = hex_value(p[i]);

		if (d < 0 || (unsigned)d >= base)
			return -1;
		v = v * base + (unsigned)d;
	}
	return v;
}

/* One escape after its backslash into out. Returns the bytes read, 0 when it is none; *ret_n: bytes written.
 */
static size_t unescape(const char *p, char quote, char *out, size_t *ret_n)
{
	static const char from[] = "abfnrtv\\", to[] = "\a\b\f\n\r\t\v\\";
	const char *k = *p ? strchr(from, *p) : NULL;
	unsigned digits = *p == 'x' ? 2 : *p == 'u' ? 4 : *p == 'U' ? 8 : 0;
	int64_t v;

	*ret_n = 1;
	if (k || *p == quote) {
		out[0] = k ? to[k - from] : quote;
		return 1;
	}
	if (*p >= '0' && *p <= '7') {
		v = digits_value(p, 3, 8);
		out[0] = (char)v;
		return v < 0 || v > 255 ? 0 : 3;
	}
	v = digits ? digits_value(p + 1, digits, 16) : -1;
	if (v < 0 || v > 0x10ffff || (digits > 2 && v >= 0xd800 && v < 0xe000))
		return 0;
	if (digits == 2)
		out[0] = (char)v;
	else
		*ret_n = put_utf8(out, (uint32_t)v);
	return digits + 1;
}

static int quoted(struct skf_tmpl_lex *l, const char *what)
{
	const char quote = *l->p, *p = l->p + 1;
	size_t n = 0, k = 0, used;
	char *out;

	while (p[n] && p[n] != quote && p[n] != '\n')
		n += p[n] == '\\' && p[n + 1] ? 2 : 1;
	if (p[n] != quote)
		return skf_tmpl_syntax(l, "unterminated %s", what);
	out = skf_arena_alloc(l->a, n + 1); /* an escape is never shorter than what it means */
	if (!out)
		return skf_fail(l->e, SKF_ENOMEM, "memory for the template");
	for (size_t i = 0; i < n; i += used) {
		size_t made = 1;

		used = 1;
		if (p[i] == '\\') {
			used = unescape(p + i + 1, quote, out + k, &made);
			if (!used++)
				return skf_tmpl_syntax(l, "invalid syntax in the %s %.*s", what,
						       (int)(n > 60 ? 60 : n) + 2, l->p);
		} else {
			out[k] = p[i];
		}
		k += made;
	}
	l->word = out;
	l->word_len = k;
	return take(l, SKF_TT_STRING, n + 2);
}

static int raw_quoted(struct skf_tmpl_lex *l)
{
	const char *end = strchr(l->p + 1, '`');

	if (!end)
		return skf_tmpl_syntax(l, "unterminated raw quoted string");
	for (const char *q = l->p; q < end; q++)
		if (*q == '\n') {
			l->line++;
			l->line_start = q + 1;
		}
	if (set_word(l, l->p + 1, (size_t)(end - l->p - 1)) < 0)
		return -1;
	return take(l, SKF_TT_STRING, (size_t)(end - l->p) + 1);
}

/* A character constant is the number of its code point. */
static int character(struct skf_tmpl_lex *l)
{
	const unsigned char *s;

	if (quoted(l, "character constant") < 0)
		return -1;
	s = (const unsigned char *)l->word;
	l->tok = SKF_TT_INT;
	if (l->word_len == 1 && s[0] < 0x80)
		l->num = s[0];
	else if (l->word_len == 2 && (s[0] & 0xe0) == 0xc0)
		l->num = (s[0] & 0x1f) << 6 | (s[1] & 0x3f);
	else if (l->word_len == 3 && (s[0] & 0xf0) == 0xe0)
		l->num = (s[0] & 0x0f) << 12 | (s[1] & 0x3f) << 6 | (s[2] & 0x3f);
	else if (l->word_len == 4)
		l->num = (s[0] & 0x07) << 18 | (s[1] & 0x3f) << 12 | (s[2] & 0x3f) << 6 | (s[3] & 0x3f);
	else
		return skf_tmpl_syntax(l, "malformed character constant: %.*s",
				       (int)(l->p - l->at > 60 ? 60 : l->p - l->at), l->at);
	return 0;
}

static int bad_number(struct skf_tmpl_lex *l, size_t n)
{
	size_t k = strspn(l->p + 1, "0123456789_.") + 1; /* up to what does not belong there */

	if (k < n)
		n = k + 1;
	return skf_tmpl_syntax(l, "bad number syntax: \"%.*s\"", (int)(n > 60 ? 60 : n), l->p);
}

static int real_number(struct skf_tmpl_lex *l, const char *text, size_t n)
{
	char *end;

	l->real = strtod(text, &end);
	if (*end || l->real > 1e300 || l->real < -1e300)
		return bad_number(l, n);
	if (l->real == (double)(int64_t)l->real && l->real < 9e15 && l->real > -9e15 && !strchr(text, '.')) {
		l->num = (int64_t)l->real; /* Go: 1e3 is an integer where it can be one */
		return take(l, SKF_TT_INT, n);
	}
	return take(l, SKF_TT_FLOAT, n);
}

static int number(struct skf_tmpl_lex *l)
{
	const char *p = l->p;
	bool minus = *p == '-';
	size_t n = *p == '-' || *p == '+', k = 0;
	unsigned base = 10;
	uint64_t v = 0;
	char text[48];

	while (is_word(p[n]) || p[n] == '.' ||
	       ((p[n] == '-' || p[n] == '+') && (p[n - 1] == 'e' || p[n - 1] == 'E')))
		n++;
	if (p[n] == '-' || p[n] == '+')
		return bad_number(l, n + 1);
	for (size_t i = *p == '+'; i < n; i++) {
		if (p[i] == '_')
			continue;
		if (k + 1 >= sizeof(text))
			return bad_number(l, n);
		text[k++] = p[i];
	}
	text[k] = '\0';
	k = minus;
	if (text[k] == '0' && text[k + 1] && strchr("xXoObB", text[k + 1])) {
		base = strchr("xX", text[k + 1]) ? 16 : strchr("oO", text[k + 1]) ? 8 : 2;
		k += 2;
	}
	if (!text[k])
		return bad_number(l, n);
	if (base == 10 && strpbrk(text, ".eE"))
		return real_number(l, text, n);
	for (; text[k]; k++) {
		int d = hex_value(text[k]);

		if (d < 0 || (unsigned)d >= base || v > (uint64_t)INT64_MAX / base - 1)
			return bad_number(l, n);
		v = v * base + (unsigned)d;
	}
	l->num = minus ? -(int64_t)v : (int64_t)v;
	return take(l, SKF_TT_INT, n);
}

static int skip_space(struct skf_tmpl_lex *l)
{
	const char *start = l->p;

	for (; *l->p == ' ' || *l->p == '\t' || *l->p == '\r' || *l->p == '\n'; l->p++)
		if (*l->p == '\n') {
			l->line++;
			l->line_start = l->p + 1;
		}
	l->space = l->p > start;
	l->at = l->p;
	l->tok_line = l->line;
	l->tok_col = (unsigned)(l->p - l->line_start);
	return 0;
}

static int punctuation(struct skf_tmpl_lex *l)
{
	size_t n = 1;

	switch (*l->p) {
	case '(':
		return take(l, SKF_TT_OPEN, 1);
	case ')':
		return take(l, SKF_TT_CLOSE, 1);
	case '|':
		return take(l, SKF_TT_PIPE, 1);
	case ',':
		return take(l, SKF_TT_COMMA, 1);
	case '=':
		return take(l, SKF_TT_ASSIGN, 1);
	case ':':
		if (l->p[1] == '=')
			return take(l, SKF_TT_DECLARE, 2);
		return skf_tmpl_syntax(l, "expected :=");
	case '\0':
		return skf_tmpl_syntax(l, "unclosed action");
	default:
		while (((unsigned char)l->p[n] & 0xc0) == 0x80)
			n++;
		return skf_tmpl_syntax(l, "unexpected \"%.*s\" in command", (int)n, l->p);
	}
}

int skf_tmpl_next(struct skf_tmpl_lex *l)
{
	skip_space(l);
	l->word = "";
	l->word_len = 0;
	if (l->space && l->p[0] == '-' && l->p[1] == '}' && l->p[2] == '}') {
		l->trim = true;
		return take(l, SKF_TT_END, 3);
	}
	if (l->p[0] == '}' && l->p[1] == '}')
		return take(l, SKF_TT_END, 2);
	if (*l->p == '"')
		return quoted(l, "quoted string");
	if (*l->p == '`')
		return raw_quoted(l);
	if (*l->p == '\'')
		return character(l);
	if (*l->p == '.' && !is_digit(l->p[1])) {
		size_t n = word_length(l->p + 1);

		return n ? word(l, SKF_TT_FIELD, n + 1, 1) : take(l, SKF_TT_DOT, 1);
	}
	if (is_digit(*l->p) || ((*l->p == '-' || *l->p == '+') && (is_digit(l->p[1]) || l->p[1] == '.')) ||
	    *l->p == '.')
		return number(l);
	if (*l->p == '$')
		return word(l, SKF_TT_VAR, word_length(l->p + 1) + 1, 0);
	if (is_word(*l->p))
		return word(l, SKF_TT_IDENT, word_length(l->p), 0);
	return punctuation(l);
}
