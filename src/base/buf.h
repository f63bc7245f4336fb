/* base/buf.h -- growing byte buffer with a mandatory maximum and a sticky error, and bounded strings.
 * Append freely, look at err once at the end. The content is always followed by a NUL that len does not
 * count. */
#pragma once
#include "base/fwd.h"

struct skf_buf {
	char *p; /* NULL while empty */
	size_t len, cap, max;
	int err; /* 0, -ENOMEM, or -E2BIG when max would be passed; later appends do nothing */
};
#define SKF_BUF(maximum)                                                                                    \
	{                                                                                                   \
		.max = (maximum)                                                                            \
	}

void skf_buf_done(struct skf_buf *b);  /* frees, keeps max; safe on a zeroed struct */
void skf_buf_clear(struct skf_buf *b); /* len = 0, err = 0, keeps memory */
void skf_buf_put(struct skf_buf *b, const void *p, size_t n);
void skf_buf_str(struct skf_buf *b, const char *s);
void skf_buf_chr(struct skf_buf *b, char c);
void skf_buf_u64(struct skf_buf *b, uint64_t v); /* decimal */
void skf_buf_fmt(struct skf_buf *b, const char *fmt, ...) SKF_PRINTF(2, 3);
/* Room for n more bytes; NULL on failure. The caller adds to len what it wrote. */
char *skf_buf_reserve(struct skf_buf *b, size_t n);
/* Ownership moves out, NUL-terminated, the buffer is empty again; NULL when err is set. Never NULL
 * otherwise. */
char *skf_buf_take(struct skf_buf *b);
const char *skf_buf_cstr(const struct skf_buf *b); /* "" while empty */

/* --- small string helpers (all bounded, none depends on the locale) --- */
bool skf_streq(const char *a, const char *b); /* NULL equals only NULL */
bool skf_startswith(const char *s, const char *prefix);
bool skf_endswith(const char *s, const char *suffix);
/* Decimal digits only: no sign, no space, no prefix, no overflow. 0 or -EINVAL / -ERANGE. */
int skf_parse_u64(const char *s, uint64_t *ret);
int skf_parse_u32(const char *s, uint32_t *ret);
/* The digits at *s, which moves behind them. 0, -EINVAL when there are none, -ERANGE. For numbers between
 * other words. */
int skf_scan_u32(const char **s, uint32_t *ret);
int skf_parse_octal(const char *s, uint32_t *ret); /* "0755", "755" */
int skf_parse_i64(const char *s, int64_t *ret);    /* one leading '-' allowed */
/* "512", "64k", "1.5g", "2GiB": docker's size strings, binary units. 0 or -EINVAL / -ERANGE. */
int skf_parse_size(const char *s, int64_t *ret);
/* Decimal digits of v and NUL at the end of d; where they begin. For what is done so often that printf(3)
 * shows. */
#define SKF_DIGITS 21
char *skf_digits(char d[SKF_DIGITS], uint64_t v);
/* snprintf that fails with -ENAMETOOLONG rather than cut. 0 on success. */
int skf_fmt(char *dst, size_t size, const char *fmt, ...) SKF_PRINTF(3, 4) SKF_MUST_CHECK;
/* RFC 3339 with nanoseconds, UTC: "2026-11-23T02:17:15.000000001Z". out has at least 36 bytes. */
void skf_time_rfc3339(int64_t unix_ns, char out[36]);
int skf_parse_rfc3339(const char *s, int64_t *ret_unix_ns);
int64_t skf_now_ns(void);  /* CLOCK_REALTIME */
int64_t skf_mono_ms(void); /* CLOCK_MONOTONIC */
/* n random bytes as 2n hex digits and NUL (getrandom). 0 or -errno. */
int skf_random_hex(char *out, size_t n_bytes);
/* The first 2 * n hex digits of s as bytes; 0 or -EINVAL. */
int skf_hex_bytes(const char *s, uint8_t *ret, size_t n);
bool skf_is_hex(const char *s, size_t n); /* exactly n lower-case hex digits, then NUL */
