/* engine/logline.c -- a decoder of exactly what a json-file log holds: one flat object of strings per line.
 * Not the table decoder of base/json.h, because a log's text may hold NUL bytes and is read a million lines
 * at a time. */
#include "engine/logline.h"
#include "base/buf.h"
#include <string.h>

struct scan {
	const char *p, *end;
};

static void spaces(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t' || *s->p == '\r'))
		s->p++;
}

static bool take(struct scan *s, char c)
{
	spaces(s);
	if (s->p >= s->end || *s->p != c)
		return false;
	s->p++;
	return true;
}

static int hex4(struct scan *s, uint32_t *ret)
{
	uint32_t v = 0;

	if (s->end - s->p < 4)
		return -EBADMSG;
	for (int i = 0; i < 4; i++, s->p++) {
		char c = *s->p;

		if (c >= '0' && c <= '9')
			v = v << 4 | (uint32_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			v = v << 4 | (uint32_t)(c - 'a' + 10);
		else if (c >= 'A' && c <= 'F')
			v = v << 4 | (uint32_t)(c - 'A' + 10);
		else
			return -EBADMSG;
	}
	*ret = v;
	return 0;
}

static void put_utf8(struct skf_buf *b, uint32_t c)
{
	char o[4];
	size_t n;

	if (c < 0x80) {
		o[0] = (char)c;
		n = 1;
	} else if (c < 0x800) {
		o[0] = (char)(0xc0 | c >> 6);
		o[1] = (char)(0x80 | (c & 0x3f));
		n = 2;
	} else if (c < 0x10000) {
		o[0] = (char)(0xe0 | c >> 12);
		o[1] = (char)(0x80 | (c >> 6 & 0x3f));
		o[2] = (char)(0x80 | (c & 0x3f));
		n = 3;
	} else {
		o[0] = (char)(0xf0 | c >> 18);
		o[1] = (char)(0x80 | (c >> 12 & 0x3f));
		o[2] = (char)(0x80 | (c >> 6 & 0x3f));
		o[3] = (char)(0x80 | (c & 0x3f));
		n = 4;
	}
	skf_buf_put(b, o, n);
}

static int unicode(struct scan *s, struct skf_buf *b)
{
	uint32_t c, low;

	if (hex4(s, &c) < 0)
		return -EBADMSG;
	if (c >= 0xd800 && c < 0xdc00 && s->end - s->p >= 6 && s->p[0] == '\\' && s->p[1] == 'u') {
		struct scan again = *s;

		s->p += 2;
		if (hex4(s, &low) < 0)
			return -EBADMSG;
		if (low >= 0xdc00 && low < 0xe000)
			c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
		else
			*s = again;
	}
	put_utf8(b, c >= 0xd800 && c < 0xe000 ? 0xfffd : c); /* half a pair stands for nothing */
	return 0;
}

/* The rest of a string whose opening quote was taken. */
static int string(struct scan *s, struct skf_buf *b)
{
	static const char from[] = "\"\\/bfnrt", to[] = "\"\\/\b\f\n\r\t";

	while (s->p < s->end) {
		const char *run = s->p, *at;

		while (s->p < s->end && *s->p != '"' && *s->p != '\\')
			s->p++;
		skf_buf_put(b, run, (size_t)(s->p - run));
		if (s->p == s->end)
			break;
		if (*s->p++ == '"')
			return 0;
		if (s->p == s->end)
			break;
		if (*s->p == 'u') {
			s->p++;
			if (unicode(s, b) < 0)
				return -EBADMSG;
			continue;
		}
		at = *s->p ? strchr(from, *s->p) : NULL;
		if (!at)
			return -EBADMSG;
		skf_buf_chr(b, to[at - from]);
		s->p++;
	}
	return -EBADMSG;
}

/* A value that is not a string, or an object ("attrs"): skipped with its strings understood. */
static int skip_value(struct scan *s)
{
	unsigned depth = 0;

	for (; s->p < s->end; s->p++) {
		if (*s->p == '"') {
			struct skf_buf drop = SKF_BUF(1u << 20);
			int r;

			s->p++;
			r = string(s, &drop);
			skf_buf_done(&drop);
			if (r < 0)
				return r;
			s->p--;
		} else if (*s->p == '{' || *s->p == '[') {
			depth++;
		} else if (*s->p == '}' || *s->p == ']') {
			if (depth == 0)
				return 0;
			if (--depth == 0) {
				s->p++;
				return 0;
			}
		} else if (*s->p == ',' && depth == 0) {
			return 0;
		}
	}
	return -EBADMSG;
}

static int member(struct scan *s, struct skf_logline *ret, struct skf_buf *text, struct skf_buf *key,
		  struct skf_buf *value)
{
	skf_buf_clear(key);
	skf_buf_clear(value);
	if (!take(s, '"') || string(s, key) < 0 || !take(s, ':'))
		return -EBADMSG;
	spaces(s);
	if (s->p >= s->end || *s->p != '"') {
		const char *from = s->p;
		int r = skip_value(s);

		if (r == 0 && skf_streq(skf_buf_cstr(key), "attrs") && *from == '{') {
			ret->attrs = from;
			ret->n_attrs = (size_t)(s->p - from);
		}
		return r;
	}
	s->p++;
	if (string(s, skf_streq(skf_buf_cstr(key), "log") ? text : value) < 0)
		return -EBADMSG;
	if (skf_streq(skf_buf_cstr(key), "stream"))
		ret->stream = skf_streq(skf_buf_cstr(value), "stderr") ? 2 : 1;
	else if (skf_streq(skf_buf_cstr(key), "time") &&
		 skf_parse_rfc3339(skf_buf_cstr(value), &ret->time_ns) < 0)
		return -EBADMSG;
	return text->err < 0 ? text->err : 0;
}

int skf_logline_parse(const char *p, size_t n, struct skf_logline *ret, struct skf_buf *text)
{
	char kmem[64], vmem[4096];
	struct skf_buf key = {.p = kmem, .cap = sizeof(kmem), .max = sizeof(kmem) - 1};
	struct skf_buf value = {.p = vmem, .cap = sizeof(vmem), .max = sizeof(vmem) - 1};
	struct skf_logline x = {.stream = 1};
	struct scan s = {p, p + n};

	if (!take(&s, '{'))
		return -EBADMSG;
	if (take(&s, '}')) {
		*ret = x;
		return 0;
	}
	do {
		int r = member(&s, &x, text, &key, &value);

		if (r < 0)
			return r;
	} while (take(&s, ','));
	if (!take(&s, '}'))
		return -EBADMSG;
	spaces(&s);
	if (s.p != s.end)
		return -EBADMSG;
	*ret = x;
	return 0;
}

int skf_logline_parse_k8s(const char *p, size_t n, struct skf_logline *ret, struct skf_buf *text)
{
	const char *end = p + n, *a = memchr(p, ' ', n),
		   *b = a ? memchr(a + 1, ' ', (size_t)(end - a - 1)) : NULL;
	char time[40];
	bool out;

	if (!b || end - b < 3 || (b[1] != 'F' && b[1] != 'P') || b[2] != ' ' ||
	    skf_fmt(time, sizeof(time), "%.*s", (int)(a - p), p) < 0)
		return -EBADMSG;
	out = b - a == 7 && memcmp(a + 1, "stdout", 6) == 0;
	if (!out && !(b - a == 7 && memcmp(a + 1, "stderr", 6) == 0))
		return -EBADMSG;
	*ret = (struct skf_logline){.stream = out ? 1 : 2};
	if (skf_parse_rfc3339(time, &ret->time_ns) < 0)
		return -EBADMSG;
	skf_buf_put(text, b + 3, (size_t)(end - b - 3));
	if (b[1] == 'F')
		skf_buf_chr(text, '\n');
	return text->err;
}
