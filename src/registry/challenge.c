/* registry/challenge.c -- WWW-Authenticate (RFC 9110 section 11.6.1; distribution "token authentication"). A
 * header value may hold several challenges: "Bearer realm="...",service="...", Basic realm="x"". A small
 * state machine over bytes: no allocation, no recursion, every value bounded by its field; a value that is
 * too long is an error, never cut. */
#include "registry/challenge.h"
#include "base/err.h"
#include "base/limits.h"
#include <string.h>
#include <strings.h>

struct cursor {
	const char *p, *end;
};

static bool is_token(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
	       (c && strchr("!#$%&'*+-.^_`|~", c));
}

static void skip_space(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
		c->p++;
}

static struct skf_str take_token(struct cursor *c)
{
	struct skf_str s = {c->p, 0};
	while (c->p < c->end && is_token(*c->p))
		c->p++;
	s.n = (size_t)(c->p - s.p);
	return s;
}

static bool token_is(struct skf_str s, const char *word)
{
	return s.n == strlen(word) && strncasecmp(s.p, word, s.n) == 0;
}

/* A quoted string (with \-escapes) or a token into dst; dst NULL skips it. Control bytes are refused: the
 * value becomes part of a URL. */
static int take_value(struct cursor *c, char *dst, size_t size, struct skf_err *e)
{
	size_t n = 0;
	bool quoted = c->p < c->end && *c->p == '"';
	if (quoted)
		c->p++;
	for (;;) {
		if (c->p >= c->end) {
			if (quoted)
				return skf_fail(e, SKF_EINVALID,
						"authentication challenge: a quoted value does not end");
			break;
		}
		char ch = *c->p;
		if (quoted && ch == '"') {
			c->p++;
			break;
		}
		if (!quoted && !is_token(ch) && !strchr("/:=?@[]{}()<>", ch))
			break;
		if (quoted && ch == '\\' && c->p + 1 < c->end)
			ch = *++c->p;
		if ((unsigned char)ch < 0x20 || ch == 0x7f)
			return skf_fail(e, SKF_EINVALID,
					"authentication challenge: control character in a value");
		c->p++;
		if (!dst)
			continue;
		if (n + 1 >= size)
			return skf_fail(e, SKF_ELIMIT,
					"authentication challenge: a value is longer than %zu bytes",
					size - 1);
		dst[n++] = ch;
	}
	if (dst)
		dst[n] = 0;
	return 0;
}

static void field_of(struct skf_challenge *c, bool bearer, struct skf_str key, char **ret, size_t *ret_size)
{
	static const struct {
		const char *name;
		size_t off, size;
	} fields[] = {
		{"realm", offsetof(struct skf_challenge, realm), sizeof(c->realm)},
		{"service", offsetof(struct skf_challenge, service), sizeof(c->service)},
		{"scope", offsetof(struct skf_challenge, scope), sizeof(c->scope)},
		{"error", offsetof(struct skf_challenge, error), sizeof(c->error)},
	};
	*ret = NULL;
	*ret_size = 0;
	for (size_t i = 0; bearer && i < SKF_ARRAY_LEN(fields); i++)
		if (token_is(key, fields[i].name)) {
			*ret = (char *)c + fields[i].off;
			*ret_size = fields[i].size;
		}
}

int skf_challenge_parse(const char *value, size_t n, struct skf_challenge *c, struct skf_err *e)
{
	struct cursor cur = {value, value + n};
	bool bearer = false, have_scheme = false;

	if (n > SKF_MAX_CHALLENGE_BYTES)
		return skf_fail(e, SKF_ELIMIT, "authentication challenge: longer than %d bytes",
				SKF_MAX_CHALLENGE_BYTES);
	for (;;) {
		while (cur.p < cur.end && (*cur.p == ' ' || *cur.p == '\t' || *cur.p == ','))
			cur.p++;
		if (cur.p >= cur.end)
			break;
		struct skf_str word = take_token(&cur);
		if (!word.n)
			return skf_fail(e, SKF_EINVALID, "authentication challenge: unexpected byte 0x%02x",
					(unsigned)(unsigned char)*cur.p);
		skip_space(&cur);
		if (cur.p >= cur.end || *cur.p != '=') { /* no '=': the name of a scheme */
			bearer = token_is(word, "Bearer");
			c->bearer |= bearer;
			c->basic |= token_is(word, "Basic");
			have_scheme = true;
			continue;
		}
		if (!have_scheme)
			return skf_fail(e, SKF_EINVALID,
					"authentication challenge: a parameter stands before any scheme");
		cur.p++;
		skip_space(&cur);
		char *dst;
		size_t size;
		field_of(c, bearer, word, &dst, &size);
		if (take_value(&cur, dst, size, e) < 0)
			return -1;
	}
	return 0;
}
