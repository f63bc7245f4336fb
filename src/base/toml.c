/* base/toml.c -- a strict reader of the part of TOML that toml.h names. Invariants: what is read is what the
 * specification says, or it is refused; depth, length and number are bounded; nothing outside of text[0..n)
 * is looked at. */
#include "base/toml.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/limits.h"
#include <string.h>

#define MAX_TABLE 256
#define MAX_KEYS  8192

struct parser {
	const char *p, *end;
	struct skf_toml t;
	struct skf_arena *a;
	struct skf_strv seen; /* "table\nkey" of the table at hand, and "[table" of plain tables */
	size_t first;         /* in seen: of the keys of the table at hand */
	unsigned elements;
};

int skf_toml_fail(const struct skf_toml *t, struct skf_err *e, const char *what, const char *word)
{
	return skf_fail(e, SKF_EINVALID, "%s:%u: %s%s%.80s%s", t->name, t->line, what, word ? " '" : "",
			word ? word : "", word ? "'" : "");
}

static int nomem(struct parser *s, struct skf_err *e)
{
	return skf_fail(e, SKF_ELIMIT, "%s:%u: the file is too large", s->t.name, s->t.line);
}

static void blanks(struct parser *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t'))
		s->p++;
}

/* What may follow on a line: nothing, or a comment. */
static int end_of_line(struct parser *s, struct skf_err *e)
{
	blanks(s);
	if (s->p < s->end && *s->p == '#')
		while (s->p < s->end && *s->p != '\n') {
			if ((unsigned char)*s->p < 0x20 && *s->p != '\t' && *s->p != '\r')
				return skf_toml_fail(&s->t, e, "a control character in a comment", NULL);
			s->p++;
		}
	if (s->p < s->end && *s->p == '\r')
		s->p++;
	if (s->p < s->end && *s->p != '\n')
		return skf_toml_fail(&s->t, e, "nothing is expected after this, but there is",
				     skf_arena_dup(s->a, s->p, 1));
	if (s->p < s->end) {
		s->p++;
		s->t.line++;
	}
	return 0;
}

/* --- strings --- */

static int hex_of(struct parser *s, unsigned digits, uint32_t *ret)
{
	uint32_t v = 0;

	for (unsigned i = 0; i < digits; i++, s->p++) {
		static const char set[] = "0123456789abcdef0123456789ABCDEF";
		const char *at = s->p < s->end && *s->p ? strchr(set, *s->p) : NULL;

		if (!at)
			return -EINVAL;
		v = v * 16 + (uint32_t)((at - set) & 15);
	}
	*ret = v;
	return v > 0x10ffff || (v >= 0xd800 && v < 0xe000) || v == 0 ? -EINVAL : 0;
}

static void put_utf8(struct skf_buf *b, uint32_t c)
{
	if (c < 0x80) {
		skf_buf_chr(b, (char)c);
	} else if (c < 0x800) {
		skf_buf_chr(b, (char)(0xc0 | c >> 6));
		skf_buf_chr(b, (char)(0x80 | (c & 63)));
	} else if (c < 0x10000) {
		skf_buf_chr(b, (char)(0xe0 | c >> 12));
		skf_buf_chr(b, (char)(0x80 | (c >> 6 & 63)));
		skf_buf_chr(b, (char)(0x80 | (c & 63)));
	} else {
		skf_buf_chr(b, (char)(0xf0 | c >> 18));
		skf_buf_chr(b, (char)(0x80 | (c >> 12 & 63)));
		skf_buf_chr(b, (char)(0x80 | (c >> 6 & 63)));
		skf_buf_chr(b, (char)(0x80 | (c & 63)));
	}
}

static int escape(struct parser *s, struct skf_buf *b, struct skf_err *e)
{
	static const char from[] = "btnfr\"\\", to[] = "\b\t\n\f\r\"\\";
	const char *at = s->p < s->end && *s->p ? strchr(from, *s->p) : NULL;
	uint32_t c;

	if (at) {
		skf_buf_chr(b, to[at - from]);
		s->p++;
		return 0;
	}
	if (s->p < s->end && (*s->p == 'u' || *s->p == 'U') && hex_of(s, *s->p++ == 'u' ? 4 : 8, &c) == 0) {
		put_utf8(b, c);
		return 0;
	}
	return skf_toml_fail(&s->t, e, "an escape that TOML does not have", NULL);
}

/* At its opening quote. */
static int string(struct parser *s, const char **ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONF_BYTES);
	char quote = *s->p++;

	if (s->end - s->p >= 2 && s->p[0] == quote && s->p[1] == quote)
		return skf_toml_fail(&s->t, e, "strings of several lines are not supported here", NULL);
	while (s->p < s->end && *s->p != quote) {
		unsigned char c = (unsigned char)*s->p++;

		if (c < 0x20 && c != '\t')
			return skf_toml_fail(&s->t, e, "the string does not end on its line", NULL);
		if (c == '\\' && quote == '"') {
			if (escape(s, &b, e) < 0)
				return -1;
		} else {
			skf_buf_chr(&b, (char)c);
		}
	}
	if (s->p == s->end)
		return skf_toml_fail(&s->t, e, "the string does not end", NULL);
	s->p++;
	*ret = b.err < 0 ? NULL : skf_arena_dup(s->a, skf_buf_cstr(&b), b.len);
	return *ret ? 0 : nomem(s, e);
}

static bool is_bare(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
	       c == '-';
}

static int word(struct parser *s, const char **ret, struct skf_err *e)
{
	const char *from = s->p;

	while (s->p < s->end && is_bare(*s->p))
		s->p++;
	*ret = skf_arena_dup(s->a, from, (size_t)(s->p - from));
	return *ret ? 0 : nomem(s, e);
}

static int key(struct parser *s, const char **ret, struct skf_err *e)
{
	if (s->p < s->end && (*s->p == '"' || *s->p == '\''))
		return string(s, ret, e);
	if (word(s, ret, e) < 0)
		return -1;
	return **ret ? 0 : skf_toml_fail(&s->t, e, "a key, a table or a comment is expected", NULL);
}

/* --- values --- */

static int line_ends(struct parser *s, struct skf_err *e)
{
	for (;;) {
		blanks(s);
		if (s->p == s->end || (*s->p != '#' && *s->p != '\n' && *s->p != '\r'))
			return 0;
		if (end_of_line(s, e) < 0)
			return -1;
	}
}

static int array(struct parser *s, struct skf_err *e)
{
	s->t.type = SKF_TOML_STRV;
	s->t.strv = (struct skf_strv){0};
	for (s->p++;;) {
		const char *item;

		if (line_ends(s, e) < 0)
			return -1;
		if (s->p < s->end && *s->p == ']')
			break;
		if (s->p == s->end || (*s->p != '"' && *s->p != '\''))
			return skf_toml_fail(&s->t, e, "a string, or the end of the array, is expected in",
					     s->t.key);
		if (string(s, &item, e) < 0)
			return -1;
		if (s->t.strv.n >= SKF_MAX_CONF_BYTES / 4 || skf_strv_add(s->a, &s->t.strv, item) < 0)
			return nomem(s, e);
		if (line_ends(s, e) < 0)
			return -1;
		if (s->p < s->end && *s->p == ',')
			s->p++;
		else if (s->p == s->end || *s->p != ']')
			return skf_toml_fail(&s->t, e, "a comma, or the end of the array, is expected in",
					     s->t.key);
	}
	s->p++;
	return 0;
}

static int value(struct parser *s, struct skf_err *e)
{
	const char *from = s->p, *w;

	if (s->p < s->end && (*s->p == '"' || *s->p == '\'')) {
		s->t.type = SKF_TOML_STR;
		return string(s, &s->t.str, e);
	}
	if (s->p < s->end && *s->p == '[')
		return array(s, e);
	if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
		s->p++;
	if (word(s, &w, e) < 0)
		return -1;
	s->t.type = SKF_TOML_BOOL;
	s->t.b = skf_streq(w, "true");
	if (from + strlen(w) == s->p && (s->t.b || skf_streq(w, "false")))
		return 0;
	s->t.type = SKF_TOML_INT;
	from += from < s->p && *from == '+';
	w = skf_arena_dup(s->a, from, (size_t)(s->p - from));
	if (!w)
		return nomem(s, e);
	return skf_parse_i64(w, &s->t.i) == 0 && (s->p == s->end || *s->p != '.')
		       ? 0
		       : skf_toml_fail(&s->t, e,
				       "a string, a boolean, a whole number or an array of strings is "
				       "expected for",
				       s->t.key);
}

/* --- lines --- */

static int once(struct parser *s, size_t first, const char *w, const char *what, struct skf_err *e)
{
	for (size_t i = first; i < s->seen.n; i++)
		if (skf_streq(s->seen.v[i], w))
			return skf_toml_fail(&s->t, e, what, s->t.key[0] ? s->t.key : s->t.table);
	return s->seen.n >= MAX_KEYS || skf_strv_add(s->a, &s->seen, w) < 0 ? nomem(s, e) : 0;
}

static int header(struct parser *s, struct skf_err *e)
{
	char name[MAX_TABLE] = "";
	const char *part;
	size_t n = 0;

	s->p++;
	s->t.element = s->p < s->end && *s->p == '[';
	s->p += s->t.element;
	do {
		s->p += n > 0; /* the dot */
		blanks(s);
		if (key(s, &part, e) < 0)
			return -1;
		if (skf_fmt(name + n, sizeof(name) - n, "%s%s", n ? "." : "", part) < 0)
			return skf_toml_fail(&s->t, e, "the table's name is too long:", part);
		n = strlen(name);
		blanks(s);
	} while (s->p < s->end && *s->p == '.');
	for (int left = s->t.element ? 2 : 1; left > 0; left--, s->p++)
		if (s->p == s->end || *s->p != ']')
			return skf_toml_fail(&s->t, e, "the table's name does not end with ]:", name);
	s->t.table = skf_arena_strdup(s->a, name);
	s->t.key = "";
	s->t.type = SKF_TOML_TABLE;
	if (!s->t.table)
		return nomem(s, e);
	if (!s->t.element) {
		part = skf_arena_fmt(s->a, "[%s", name);
		if (!part)
			return nomem(s, e);
		if (once(s, 0, part, "the table is there twice:", e) < 0)
			return -1;
	}
	s->elements++;
	s->first = s->seen.n;
	return 0;
}

static int assignment(struct parser *s, struct skf_err *e)
{
	const char *w;

	s->t.key = "";
	if (key(s, &s->t.key, e) < 0)
		return -1;
	blanks(s);
	if (s->p == s->end || *s->p != '=')
		return skf_toml_fail(&s->t, e,
				     *s->t.key && s->p < s->end && *s->p == '.'
					     ? "dotted keys are not supported here:"
					     : "= is expected after",
				     s->t.key);
	s->p++;
	blanks(s);
	w = skf_arena_fmt(s->a, "%u\n%s", s->elements, s->t.key);
	if (!w)
		return nomem(s, e);
	return once(s, s->first, w, "the key is there twice:", e) < 0 ? -1 : value(s, e);
}

int skf_toml_parse(const char *name, const char *text, size_t n, struct skf_arena *a,
		   int (*fn)(void *arg, const struct skf_toml *t, struct skf_err *e), void *arg,
		   struct skf_err *e)
{
	struct skf_toml told;
	struct parser s = {
		.p = text, .end = text + n, .a = a, .t = {.name = name, .line = 1, .table = "", .key = ""}};

	if (n && memchr(text, 0, n))
		return skf_fail(e, SKF_EINVALID, "%s: a zero byte", name);
	while (s.p < s.end) {
		unsigned at;

		if (line_ends(&s, e) < 0)
			return -1;
		if (s.p == s.end)
			break;
		at = s.t.line;
		if ((*s.p == '[' ? header : assignment)(&s, e) < 0)
			return -1;
		told = s.t;
		told.line = at; /* where it began: an array may go over several */
		if (fn(arg, &told, e) < 0)
			return -1;
		if (end_of_line(&s, e) < 0)
			return -1;
	}
	return 0;
}
