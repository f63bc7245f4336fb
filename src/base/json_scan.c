/* base/json_scan.c -- the check that a JSON text passes before json-c builds a tree of it. json-c keeps the
 * last of several equal keys, cuts a key at \u0000, takes what RFC 8259 does not know, and can need hundreds
 * of bytes for each byte of "[[],[]..."; all of that is decided here, in one pass.
 *
 * Invariants: (1) never reads behind end; (2) the C stack holds at most SKF_MAX_JSON_DEPTH levels; (3) time
 * is O(n log n) and memory O(n) for any input: the keys of an object are sorted when it closes, there is no
 * hash that an attacker could aim at; (4) `cost` estimates json-c's memory from above and is bounded by
 * SKF_MAX_ARENA_DOC. */
#include "base/base_int.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/json_int.h"
#include "base/limits.h"
#include <stdlib.h>
#include <string.h>

/* Bytes of json-c's tree, measured generously against 0.16 and 0.17 on 64-bit. */
#define COST_OBJECT 900
#define COST_KEY    160
#define COST_ARRAY  200
#define COST_ELEM   24
#define COST_SCALAR 80

struct key { /* between the quotes, escapes not resolved */
	const char *p;
	size_t n;
};

struct level {
	const struct level *up;
	const struct key *key; /* of the current member; NULL in an array */
	size_t index;          /* of the current element */
};

struct scan {
	const char *name, *text, *p, *end;
	struct skf_err *e;
	struct key *keys; /* of all open objects */
	size_t n_keys, cap_keys;
	size_t cost;
	unsigned depth;
};

size_t skf_jpath_push(char path[SKF_JPATH_SIZE], size_t len, const char *key, size_t n)
{
	size_t need = 1, at = len;

	for (size_t i = 0; i < n && need < SKF_JPATH_SIZE; i++)
		need += key[i] == '/' || key[i] == '~' ? 2 : 1;
	if (len + need + sizeof("/...") > SKF_JPATH_SIZE) {
		if (len < 4 || memcmp(path + len - 4, "/...", 4) != 0) {
			memcpy(path + len, "/...", 5);
			len += 4;
		}
		return len;
	}
	path[at++] = '/';
	for (size_t i = 0; i < n; i++) {
		unsigned char c = (unsigned char)key[i];

		if (c == '/' || c == '~') {
			path[at++] = '~';
			path[at++] = c == '/' ? '1' : '0';
		} else {
			path[at++] = c < 0x20 || c == 0x7f ? '?' : (char)c;
		}
	}
	path[at] = 0;
	return at;
}

static size_t path_of(const struct level *l, char path[SKF_JPATH_SIZE])
{
	char num[SKF_DIGITS];
	const char *digits;
	size_t len;

	if (!l) {
		path[0] = 0;
		return 0;
	}
	len = path_of(l->up, path);
	if (l->key)
		return skf_jpath_push(path, len, l->key->p, l->key->n);
	digits = skf_digits(num, l->index);
	return skf_jpath_push(path, len, digits, strlen(digits));
}

static int syntax(struct scan *s, const char *at, const char *expected)
{
	size_t line = 1, col = 1;

	for (const char *p = s->text; p < at; p++) {
		col = *p == '\n' ? 1 : col + 1;
		line += *p == '\n';
	}
	if (at >= s->end)
		return skf_fail(s->e, SKF_EINVALID,
				"%s: line %zu column %zu: expected %s, found the end of the document",
				s->name, line, col, expected);
	if (*at > 0x20 && *at < 0x7f)
		return skf_fail(s->e, SKF_EINVALID, "%s: line %zu column %zu: expected %s, found '%c'",
				s->name, line, col, expected, *at);
	return skf_fail(s->e, SKF_EINVALID, "%s: line %zu column %zu: expected %s, found byte 0x%02x",
			s->name, line, col, expected, (unsigned char)*at);
}

static int at_path(struct scan *s, const struct level *l, enum skf_kind k, const char *what)
{
	char path[SKF_JPATH_SIZE];

	path_of(l, path);
	return skf_fail(s->e, k, "%s: %s%s%s", s->name, path, *path ? ": " : "", what);
}

static int charge(struct scan *s, size_t n)
{
	s->cost += n;
	if (s->cost > SKF_MAX_ARENA_DOC)
		return skf_fail(s->e, SKF_ELIMIT, "%s: holds more values than %u bytes of memory can take",
				s->name, SKF_MAX_ARENA_DOC);
	return 0;
}

static void skip_space(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\n' || *s->p == '\t' || *s->p == '\r'))
		s->p++;
}

static int hex4(const char *p, const char *end)
{
	int v = 0;

	if (end - p < 4)
		return -1;
	for (int i = 0; i < 4; i++) {
		char c = p[i];
		int d = c >= '0' && c <= '9'   ? c - '0'
			: c >= 'a' && c <= 'f' ? c - 'a' + 10
			: c >= 'A' && c <= 'F' ? c - 'A' + 10
					       : -1;

		if (d < 0)
			return -1;
		v = v << 4 | d;
	}
	return v;
}

static int scan_escape(struct scan *s)
{
	int v;

	if (s->p + 1 >= s->end || !strchr("\"\\/bfnrtu", s->p[1]) || !s->p[1])
		return syntax(s, s->p + 1, "one of \"\\/bfnrtu after a backslash");
	if (s->p[1] != 'u') {
		s->p += 2;
		return 0;
	}
	v = hex4(s->p + 2, s->end);
	if (v < 0)
		return syntax(s, s->p + 2, "four hexadecimal digits after \\u");
	if (v == 0)
		return syntax(s, s->p, "a string without NUL characters");
	s->p += 6;
	return 0;
}

static int scan_string(struct scan *s, struct key *ret)
{
	const char *start;

	if (s->p >= s->end || *s->p != '"')
		return syntax(s, s->p, "a string in double quotes");
	start = ++s->p;
	while (s->p < s->end && *s->p != '"') {
		unsigned char c = (unsigned char)*s->p;
		size_t n;

		if (c == '\\') {
			if (scan_escape(s) < 0)
				return -1;
			continue;
		}
		if (c < 0x20)
			return syntax(s, s->p, "an escape instead of a control character in a string");
		n = c < 0x80 ? 1 : skf_utf8_len((const unsigned char *)s->p, (size_t)(s->end - s->p));
		if (n == 0)
			return syntax(s, s->p, "valid UTF-8");
		s->p += n;
	}
	if (s->p >= s->end)
		return syntax(s, s->p, "a closing double quote");
	*ret = (struct key){start, (size_t)(s->p - start)};
	s->p++;
	return 0;
}

static size_t skip_digits(struct scan *s)
{
	const char *start = s->p;

	while (s->p < s->end && *s->p >= '0' && *s->p <= '9')
		s->p++;
	return (size_t)(s->p - start);
}

/* digits[0..n) has no leading zeros. json-c would replace what does not fit by the nearest number that does.
 */
static bool fits_64(const char *digits, size_t n, bool negative)
{
	const char *most = negative ? "9223372036854775808" : "18446744073709551615";
	size_t len = strlen(most);

	return n < len || (n == len && memcmp(digits, most, n) <= 0);
}

static int scan_number(struct scan *s, const struct level *l)
{
	bool negative = *s->p == '-', whole = true;
	const char *digits;
	size_t n;

	s->p += negative;
	digits = s->p;
	n = skip_digits(s);
	if (n == 0)
		return syntax(s, s->p, "a digit");
	if (n > 1 && *digits == '0')
		return syntax(s, digits, "a number without leading zeros");
	if (s->p < s->end && *s->p == '.') {
		whole = false;
		s->p++;
		if (skip_digits(s) == 0)
			return syntax(s, s->p, "a digit after the decimal point");
	}
	if (s->p < s->end && (*s->p == 'e' || *s->p == 'E')) {
		whole = false;
		s->p++;
		if (s->p < s->end && (*s->p == '+' || *s->p == '-'))
			s->p++;
		if (skip_digits(s) == 0)
			return syntax(s, s->p, "a digit in the exponent");
	}
	if (whole && !fits_64(digits, n, negative))
		return at_path(s, l, SKF_EINVALID, "expected a number of 64 bits, found a larger one");
	return charge(s, COST_SCALAR + (size_t)(s->p - digits));
}

static int scan_word(struct scan *s)
{
	static const char *const words[] = {"true", "false", "null"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(words); i++) {
		size_t n = strlen(words[i]);

		if ((size_t)(s->end - s->p) >= n && memcmp(s->p, words[i], n) == 0) {
			s->p += n;
			return charge(s, COST_SCALAR);
		}
	}
	return syntax(s, s->p, "a value");
}

/* The next character of a scanned key as a code point, the way json-c will store it: escapes resolved, a
 * UTF-16 pair joined, half of a pair alone as the replacement character. */
static uint32_t key_char(const char **p, const char *end)
{
	static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
	const unsigned char *u = (const unsigned char *)*p;
	size_t n;
	uint32_t c;
	int lo;

	if (*u == '\\' && u[1] == 'u') {
		c = (uint32_t)hex4(*p + 2, end);
		*p += 6;
		if (c < 0xd800 || c > 0xdfff)
			return c;
		if (c < 0xdc00 && end - *p >= 6 && (*p)[0] == '\\' && (*p)[1] == 'u') {
			lo = hex4(*p + 2, end);
			if (lo >= 0xdc00 && lo <= 0xdfff) {
				*p += 6;
				return 0x10000 + ((c - 0xd800) << 10) + ((uint32_t)lo - 0xdc00);
			}
		}
		return 0xfffd;
	}
	if (*u == '\\') {
		const char *at = strchr(from, (char)u[1]);

		*p += 2;
		return at ? (uint32_t)to[at - from] : u[1];
	}
	n = skf_utf8_len(u, (size_t)(end - *p));
	c = n == 1 ? *u : *u & (0x7fu >> n);
	for (size_t i = 1; i < n; i++)
		c = c << 6 | (u[i] & 0x3f);
	*p += n;
	return c;
}

static int compare_keys(const void *va, const void *vb)
{
	const struct key *a = va, *b = vb;
	const char *p = a->p, *q = b->p, *p_end = p + a->n, *q_end = q + b->n;

	while (p < p_end && q < q_end) {
		uint32_t c = key_char(&p, p_end), d = key_char(&q, q_end);

		if (c != d)
			return c < d ? -1 : 1;
	}
	return (p < p_end) - (q < q_end);
}

static int add_key(struct scan *s, const struct key *k)
{
	if (s->n_keys == s->cap_keys) {
		size_t cap = s->cap_keys ? s->cap_keys * 2 : 64;
		struct key *v = reallocarray(s->keys, cap, sizeof(*v));

		if (!v)
			return skf_nomem(s->e);
		s->keys = v;
		s->cap_keys = cap;
	}
	s->keys[s->n_keys++] = *k;
	return charge(s, COST_KEY + k->n);
}

static int check_duplicates(struct scan *s, const struct level *up, size_t first)
{
	struct key *k = s->keys + first;
	size_t n = s->n_keys - first;

	s->n_keys = first;
	if (n < 2)
		return 0;
	qsort(k, n, sizeof(*k), compare_keys);
	for (size_t i = 1; i < n; i++) {
		if (compare_keys(&k[i - 1], &k[i]) == 0) {
			struct level at = {.up = up, .key = &k[i]};

			return at_path(s, &at, SKF_EINVALID,
				       "duplicate key; it may stand only once in its object");
		}
	}
	return 0;
}

static int scan_value(struct scan *s, const struct level *l);

static int scan_object(struct scan *s, const struct level *up)
{
	size_t first = s->n_keys;
	struct key k;
	struct level l = {.up = up, .key = &k};

	if (charge(s, COST_OBJECT) < 0)
		return -1;
	s->p++;
	skip_space(s);
	if (s->p < s->end && *s->p == '}') {
		s->p++;
		return 0;
	}
	for (;;) {
		if (scan_string(s, &k) < 0 || add_key(s, &k) < 0)
			return -1;
		skip_space(s);
		if (s->p >= s->end || *s->p != ':')
			return syntax(s, s->p, "':' after a key");
		s->p++;
		if (scan_value(s, &l) < 0)
			return -1;
		if (s->p < s->end && *s->p == '}')
			break;
		if (s->p >= s->end || *s->p != ',')
			return syntax(s, s->p, "',' or '}'");
		s->p++;
		skip_space(s);
	}
	s->p++;
	return check_duplicates(s, up, first);
}

static int scan_array(struct scan *s, const struct level *up)
{
	struct level l = {.up = up};

	if (charge(s, COST_ARRAY) < 0)
		return -1;
	s->p++;
	skip_space(s);
	if (s->p < s->end && *s->p == ']') {
		s->p++;
		return 0;
	}
	for (;; l.index++) {
		if (charge(s, COST_ELEM) < 0 || scan_value(s, &l) < 0)
			return -1;
		if (s->p < s->end && *s->p == ']')
			break;
		if (s->p >= s->end || *s->p != ',')
			return syntax(s, s->p, "',' or ']'");
		s->p++;
	}
	s->p++;
	return 0;
}

static int scan_container(struct scan *s, const struct level *l)
{
	int r;

	if (s->depth >= SKF_MAX_JSON_DEPTH)
		return skf_fail(s->e, SKF_ELIMIT, "%s: objects and arrays are nested deeper than %d levels",
				s->name, SKF_MAX_JSON_DEPTH);
	s->depth++;
	r = *s->p == '{' ? scan_object(s, l) : scan_array(s, l);
	s->depth--;
	return r;
}

/* One value with the space around it. */
static int scan_value(struct scan *s, const struct level *l)
{
	struct key str;
	int r;

	skip_space(s);
	if (s->p >= s->end)
		return syntax(s, s->p, "a value");
	if (*s->p == '{' || *s->p == '[') {
		r = scan_container(s, l);
	} else if (*s->p == '"') {
		r = scan_string(s, &str);
		if (r == 0)
			r = charge(s, COST_SCALAR + str.n);
	} else if (*s->p == '-' || (*s->p >= '0' && *s->p <= '9')) {
		r = scan_number(s, l);
	} else {
		r = scan_word(s);
	}
	skip_space(s);
	return r;
}

int skf_json_scan(const struct skf_jdoc *d, const char *text, size_t n, struct skf_err *e)
{
	struct scan s = {.name = d->name, .text = text, .p = text, .end = text + n, .e = e};
	int r = scan_value(&s, NULL);

	if (r == 0 && s.p < s.end)
		r = syntax(&s, s.p, "the end of the document");
	free(s.keys);
	return r;
}
