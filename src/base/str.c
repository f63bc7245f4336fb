/* base/str.c -- bounded string helpers and number parsing. No locale, no allocation, nothing blocks except
 * skf_random_hex before the kernel's pool is ready (early boot). */
#include "base/buf.h"
#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>

bool skf_streq(const char *a, const char *b)
{
	return a == b || (a && b && strcmp(a, b) == 0);
}

bool skf_startswith(const char *s, const char *prefix)
{
	return s && strncmp(s, prefix, strlen(prefix)) == 0;
}

bool skf_endswith(const char *s, const char *suffix)
{
	size_t n = strlen(suffix), len = s ? strlen(s) : 0;

	return s && len >= n && memcmp(s + len - n, suffix, n) == 0;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

int skf_parse_u64(const char *s, uint64_t *ret)
{
	uint64_t v = 0;
	bool over = false;

	if (!s || !*s)
		return -EINVAL;
	for (; *s; s++) {
		if (!is_digit(*s))
			return -EINVAL;
		over |= __builtin_mul_overflow(v, 10u, &v);
		over |= __builtin_add_overflow(v, (uint64_t)(*s - '0'), &v);
	}
	if (over)
		return -ERANGE;
	*ret = v;
	return 0;
}

int skf_parse_u32(const char *s, uint32_t *ret)
{
	uint64_t v;
	int r = skf_parse_u64(s, &v);

	if (r < 0)
		return r;
	if (v > UINT32_MAX)
		return -ERANGE;
	*ret = (uint32_t)v;
	return 0;
}

int skf_scan_u32(const char **s, uint32_t *ret)
{
	const char *p = *s;
	uint64_t v = 0;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		v = v * 10 + (uint64_t)(*p - '0');
		if (v > UINT32_MAX)
			return -ERANGE;
	}
	*s = p;
	*ret = (uint32_t)v;
	return 0;
}

static int hex_digit(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	if (c >= 'a' && c <= 'f')
		return c - 'a' + 10;
	return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -EINVAL;
}

int skf_hex_bytes(const char *s, uint8_t *ret, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int high = hex_digit(s[2 * i]), low = high < 0 ? high : hex_digit(s[2 * i + 1]);

		if (low < 0)
			return -EINVAL;
		ret[i] = (uint8_t)(high << 4 | low);
	}
	return 0;
}

int skf_parse_octal(const char *s, uint32_t *ret)
{
	uint32_t v = 0;

	if (!*s)
		return -EINVAL;
	for (; *s; s++) {
		if (*s < '0' || *s > '7')
			return -EINVAL;
		if (v > UINT32_MAX >> 3)
			return -ERANGE;
		v = v << 3 | (uint32_t)(*s - '0');
	}
	*ret = v;
	return 0;
}

int skf_parse_i64(const char *s, int64_t *ret)
{
	bool neg = s && *s == '-';
	uint64_t v;
	int r = skf_parse_u64(s ? s + neg : NULL, &v);

	if (r < 0)
		return r;
	if (v > (uint64_t)INT64_MAX + neg)
		return -ERANGE;
	*ret = neg ? (int64_t)(0 - v) : (int64_t)v;
	return 0;
}

/* The power of 1024 of a unit such as "k", "kb", "KiB"; -EINVAL when it is none. */
static int size_unit(const char *u)
{
	static const char units[] = "bkmgtp";
	const char *at;

	if (!*u)
		return 0;
	at = strchr(units, tolower((unsigned char)*u));
	if (!at)
		return -EINVAL;
	if (u[1] && at == units)
		return -EINVAL;
	if (u[1] && strcasecmp(u + 1, "b") != 0 && strcasecmp(u + 1, "ib") != 0)
		return -EINVAL;
	return (int)(at - units);
}

/* Whole numbers are exact; of a fraction the first 9 digits count. Like docker's go-units the result is
 * truncated. */
int skf_parse_size(const char *s, int64_t *ret)
{
	unsigned __int128 v = 0, scale = 1;
	unsigned digits = 0, frac = 0;
	int unit;

	if (!s)
		return -EINVAL;
	for (; is_digit(*s); s++, digits++) {
		v = v * 10 + (unsigned)(*s - '0');
		if (v > INT64_MAX)
			return -ERANGE;
	}
	if (*s == '.') {
		for (s++; is_digit(*s); s++, digits++) {
			if (frac++ >= 9)
				continue;
			v = v * 10 + (unsigned)(*s - '0');
			scale *= 10;
		}
	}
	if (digits == 0)
		return -EINVAL;
	if (*s == ' ')
		s++;
	unit = size_unit(s);
	if (unit < 0)
		return unit;
	/* v / scale < 2^63 and scale < 2^30 before each step, so that no product passes 128 bits. */
	for (; unit > 0; unit--) {
		v *= 1024;
		if (v / scale > INT64_MAX)
			return -ERANGE;
	}
	if (v / scale > INT64_MAX)
		return -ERANGE;
	*ret = (int64_t)(v / scale);
	return 0;
}

int skf_fmt(char *dst, size_t size, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	if (!strcmp(fmt, "%s")) { /* a bounded copy is a third of all calls */
		const char *s = va_arg(ap, const char *);
		size_t len = strlen(s), part = len < size ? len : size - (size > 0);

		va_end(ap);
		memcpy(dst, s, part);
		if (size > 0)
			dst[part] = '\0';
		return len < size ? 0 : -ENAMETOOLONG;
	}
	n = vsnprintf(dst, size, fmt, ap);
	va_end(ap);
	if (n < 0)
		return -EINVAL;
	return (size_t)n < size ? 0 : -ENAMETOOLONG;
}

int skf_random_hex(char *out, size_t n_bytes)
{
	static const char hex[] = "0123456789abcdef";
	unsigned char raw[64];
	size_t done = 0;

	while (done < n_bytes) {
		size_t want = n_bytes - done < sizeof(raw) ? n_bytes - done : sizeof(raw);
		ssize_t r = getrandom(raw, want, 0);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return skf_errno();
		for (size_t i = 0; i < (size_t)r; i++, done++) {
			out[2 * done] = hex[raw[i] >> 4];
			out[2 * done + 1] = hex[raw[i] & 15];
		}
	}
	out[2 * n_bytes] = 0;
	return 0;
}

bool skf_is_hex(const char *s, size_t n)
{
	if (!s)
		return false;
	for (size_t i = 0; i < n; i++)
		if (!is_digit(s[i]) && (s[i] < 'a' || s[i] > 'f'))
			return false;
	return s[n] == 0;
}
