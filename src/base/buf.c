/* base/buf.c -- growing byte buffer.
 * Invariants: (1) p is NULL or p[len] is NUL and cap > len; (2) len <= max; (3) once err is set nothing is
 * appended until skf_buf_clear or skf_buf_done; (4) an append is whole or does not happen. */
#include "base/buf.h"
#include "base/base_int.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FIRST_CAP 64

void skf_buf_done(struct skf_buf *b)
{
	free(b->p);
	b->p = NULL;
	b->len = b->cap = 0;
	b->err = 0;
}

void skf_buf_clear(struct skf_buf *b)
{
	b->len = 0;
	b->err = 0;
	if (b->p)
		b->p[0] = 0;
}

static int grow(struct skf_buf *b, size_t n)
{
	size_t need, cap;
	char *p;

	if (b->err)
		return b->err;
	if (b->len > b->max || n > b->max - b->len)
		return b->err = -E2BIG;
	need = b->len + n;
	if (need == SIZE_MAX)
		return b->err = -E2BIG;
	need++;
	if (need <= b->cap)
		return 0;
	cap = b->cap ? b->cap : FIRST_CAP;
	while (cap < need)
		cap = cap > SIZE_MAX / 2 ? need : cap * 2;
	if (cap > need && b->max < SIZE_MAX && cap > b->max + 1)
		cap = b->max + 1;
	p = realloc(b->p, cap);
	if (!p)
		return b->err = -ENOMEM;
	p[b->len] = 0;
	b->p = p;
	b->cap = cap;
	return 0;
}

void skf_buf_put(struct skf_buf *b, const void *p, size_t n)
{
	if (n == 0 || grow(b, n) < 0)
		return;
	memcpy(b->p + b->len, p, n);
	b->len += n;
	b->p[b->len] = 0;
}

void skf_buf_str(struct skf_buf *b, const char *s)
{
	skf_buf_put(b, s, strlen(s));
}

void skf_buf_chr(struct skf_buf *b, char c)
{
	skf_buf_put(b, &c, 1);
}

char *skf_digits(char d[SKF_DIGITS], uint64_t v)
{
	size_t i = SKF_DIGITS - 1;

	d[i] = '\0';
	do
		d[--i] = (char)('0' + v % 10);
	while ((v /= 10) != 0);
	return d + i;
}

void skf_buf_u64(struct skf_buf *b, uint64_t v)
{
	char d[SKF_DIGITS];

	skf_buf_str(b, skf_digits(d, v));
}

void skf_buf_fmt(struct skf_buf *b, const char *fmt, ...)
{
	size_t room = b->p ? b->cap - b->len : 0;
	va_list ap, again;
	int n;

	if (b->err)
		return;
	va_start(ap, fmt);
	va_copy(again, ap);
	n = vsnprintf(b->p ? b->p + b->len : NULL, room, fmt, ap);
	if (n < 0) {
		b->err = -ENOMEM;
	} else if ((size_t)n < room && (size_t)n <= b->max - b->len) {
		b->len += (size_t)n;
	} else if (grow(b, (size_t)n) == 0) {
		vsnprintf(b->p + b->len, (size_t)n + 1, fmt, again);
		b->len += (size_t)n;
	}
	if (b->p)
		b->p[b->len] = 0;
	va_end(again);
	va_end(ap);
}

char *skf_buf_room(struct skf_buf *b, size_t n)
{
	return grow(b, n) < 0 ? NULL : b->p + b->len;
}

/* Zeroed, so that (1) holds however many of the bytes the caller counts. */
char *skf_buf_reserve(struct skf_buf *b, size_t n)
{
	char *p = skf_buf_room(b, n);

	if (p)
		memset(p, 0, n + 1);
	return p;
}

char *skf_buf_take(struct skf_buf *b)
{
	char *p;

	if (grow(b, 0) < 0)
		return NULL;
	p = b->p;
	b->p = NULL;
	b->len = b->cap = 0;
	return p;
}

const char *skf_buf_cstr(const struct skf_buf *b)
{
	return b->p ? b->p : "";
}
