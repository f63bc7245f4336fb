/* base/json_write.c -- streaming JSON writer and string escaping. No tree and no json-c: linked by the
 * smallest programs. Invariants: (1) need_comma says whether the open container already holds something; (2)
 * a container that was opened is closed by its own end function -- an end without a begin makes the buffer's
 * error sticky; (3) every string comes out as valid UTF-8, whatever bytes went in. */
#include "base/base_int.h"
#include "base/buf.h"
#include "base/json.h"
#include <stdio.h>
#include <string.h>

size_t skf_utf8_len(const unsigned char *p, size_t n)
{
	uint32_t c;
	size_t len;

	if (n == 0)
		return 0;
	if (p[0] < 0x80)
		return 1;
	len = p[0] >= 0xf0 ? 4 : p[0] >= 0xe0 ? 3 : 2;
	if (p[0] < 0xc2 || p[0] > 0xf4 || len > n)
		return 0;
	c = p[0] & (0x7fu >> len);
	for (size_t i = 1; i < len; i++) {
		if ((p[i] & 0xc0) != 0x80)
			return 0;
		c = c << 6 | (p[i] & 0x3f);
	}
	if ((len == 3 && c < 0x800) || (len == 4 && (c < 0x10000 || c > 0x10ffff)) ||
	    (c >= 0xd800 && c < 0xe000))
		return 0;
	return len;
}

size_t skf_json_escape_char(const unsigned char *p, size_t n, char out[8], size_t *used)
{
	static const char hex[] = "0123456789abcdef", from[] = "\"\\\b\f\n\r\t", to[] = "\"\\bfnrt";
	const char *at = *p && *p < 0x80 ? strchr(from, *p) : NULL;
	size_t len = skf_utf8_len(p, n);

	*used = len ? len : 1;
	if (at) {
		out[0] = '\\';
		out[1] = to[at - from];
		return 2;
	}
	if (len == 0) {
		memcpy(out, "\xef\xbf\xbd", 3);
		return 3;
	}
	if (*p < 0x20) {
		memcpy(out, "\\u00", 4);
		out[4] = hex[*p >> 4];
		out[5] = hex[*p & 15];
		return 6;
	}
	memcpy(out, p, len);
	return len;
}

static bool is_plain(unsigned char c)
{
	return c >= 0x20 && c < 0x80 && c != '"' && c != '\\';
}

void skf_json_escape(struct skf_buf *b, const char *s, size_t n)
{
	const unsigned char *p = (const unsigned char *)s, *end = p + n;

	while (p < end) {
		const unsigned char *run = p;
		char c[8];
		size_t used, len;

		while (p < end && is_plain(*p))
			p++;
		skf_buf_put(b, run, (size_t)(p - run));
		if (p == end)
			break;
		len = skf_json_escape_char(p, (size_t)(end - p), c, &used);
		skf_buf_put(b, c, len);
		p += used;
	}
}

static void line_break(struct skf_jw *w)
{
	if (!w->indent)
		return;
	skf_buf_chr(w->b, '\n');
	for (unsigned i = 0; i < w->depth * w->indent && !w->b->err; i++)
		skf_buf_chr(w->b, ' ');
}

static void quoted(struct skf_jw *w, const char *p, size_t n)
{
	skf_buf_chr(w->b, '"');
	skf_json_escape(w->b, p, n);
	skf_buf_chr(w->b, '"');
}

/* What stands before a value: the comma, and the key when it is a member. */
static void lead(struct skf_jw *w, const char *k)
{
	if (w->need_comma)
		skf_buf_chr(w->b, ',');
	if (w->depth > 0)
		line_break(w);
	w->need_comma = true;
	if (!k)
		return;
	quoted(w, k, strlen(k));
	skf_buf_str(w->b, w->indent ? ": " : ":");
}

static void open_container(struct skf_jw *w, const char *k, char c)
{
	lead(w, k);
	skf_buf_chr(w->b, c);
	w->depth++;
	w->need_comma = false;
}

static void close_container(struct skf_jw *w, char c)
{
	if (w->depth == 0) {
		if (!w->b->err)
			w->b->err = -EINVAL;
		return;
	}
	w->depth--;
	if (w->need_comma)
		line_break(w);
	skf_buf_chr(w->b, c);
	w->need_comma = w->depth > 0;
}

static void string(struct skf_jw *w, const char *k, const char *p, size_t n)
{
	lead(w, k);
	quoted(w, p, n);
}

static void number(struct skf_jw *w, const char *k, int64_t v)
{
	lead(w, k);
	if (v < 0)
		skf_buf_chr(w->b, '-');
	skf_buf_u64(w->b, v < 0 ? -(uint64_t)v : (uint64_t)v);
}

void skf_jw_obj(struct skf_jw *w)
{
	open_container(w, NULL, '{');
}

void skf_jw_kobj(struct skf_jw *w, const char *k)
{
	open_container(w, k, '{');
}

void skf_jw_arr(struct skf_jw *w)
{
	open_container(w, NULL, '[');
}

void skf_jw_karr(struct skf_jw *w, const char *k)
{
	open_container(w, k, '[');
}

void skf_jw_end(struct skf_jw *w)
{
	close_container(w, '}');
}

void skf_jw_end_arr(struct skf_jw *w)
{
	close_container(w, ']');
}

void skf_jw_str(struct skf_jw *w, const char *v)
{
	string(w, NULL, v ? v : "", v ? strlen(v) : 0);
}

void skf_jw_kstr(struct skf_jw *w, const char *k, const char *v)
{
	string(w, k, v ? v : "", v ? strlen(v) : 0);
}

void skf_jw_kstrn(struct skf_jw *w, const char *k, struct skf_str v)
{
	string(w, k, v.p, v.n);
}

void skf_jw_int(struct skf_jw *w, int64_t v)
{
	number(w, NULL, v);
}

void skf_jw_kint(struct skf_jw *w, const char *k, int64_t v)
{
	number(w, k, v);
}

void skf_jw_ku64(struct skf_jw *w, const char *k, uint64_t v)
{
	lead(w, k);
	skf_buf_u64(w->b, v);
}

void skf_jw_kbool(struct skf_jw *w, const char *k, bool v)
{
	skf_jw_kraw(w, k, v ? "true" : "false");
}

void skf_jw_knull(struct skf_jw *w, const char *k)
{
	skf_jw_kraw(w, k, "null");
}

void skf_jw_kraw(struct skf_jw *w, const char *k, const char *json)
{
	lead(w, k);
	skf_buf_str(w->b, json);
}

void skf_jw_raw(struct skf_jw *w, const char *json)
{
	lead(w, NULL);
	skf_buf_str(w->b, json);
}

void skf_jw_kstrv(struct skf_jw *w, const char *k, const struct skf_strv *v)
{
	skf_jw_karr(w, k);
	for (size_t i = 0; i < v->n; i++)
		skf_jw_str(w, v->v[i]);
	skf_jw_end_arr(w);
}

void skf_jw_kkvs(struct skf_jw *w, const char *k, const struct skf_kvs *m)
{
	skf_jw_kobj(w, k);
	for (size_t i = 0; i < m->n; i++)
		skf_jw_kstr(w, m->v[i].k, m->v[i].v);
	skf_jw_end(w);
}

const char *skf_kvs_get(const struct skf_kvs *m, const char *key)
{
	for (size_t i = 0; i < m->n; i++)
		if (strcmp(m->v[i].k, key) == 0)
			return m->v[i].v;
	return NULL;
}
