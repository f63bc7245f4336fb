/* base/base64.c -- strict both ways: no white space, no missing padding. */
#include "base/base64.h"
#include "base/buf.h"
#include <string.h>

void skf_base64_put(struct skf_buf *b, const void *p, size_t n)
{
	static const char d[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	const uint8_t *in = p;

	for (size_t i = 0; i < n; i += 3) {
		size_t left = n - i;
		uint32_t v = (uint32_t)in[i] << 16 | (left > 1 ? (uint32_t)in[i + 1] << 8 : 0) |
			     (left > 2 ? in[i + 2] : 0);

		skf_buf_chr(b, d[v >> 18]);
		skf_buf_chr(b, d[v >> 12 & 63]);
		skf_buf_chr(b, left > 1 ? d[v >> 6 & 63] : '=');
		skf_buf_chr(b, left > 2 ? d[v & 63] : '=');
	}
}

/* Value of a digit; -1: none. */
static int digit(char c)
{
	if (c >= 'A' && c <= 'Z')
		return c - 'A';
	if (c >= 'a' && c <= 'z')
		return c - 'a' + 26;
	if (c >= '0' && c <= '9')
		return c - '0' + 52;
	return c == '+' ? 62 : c == '/' ? 63 : -1;
}

ssize_t skf_base64_decode(const char *text, uint8_t *out)
{
	size_t n = strlen(text), at = 0, pad = 0;

	while (pad < 2 && n > pad && text[n - 1 - pad] == '=')
		pad++;
	if (n % 4)
		return -1;
	for (size_t i = 0; i < n; i += 4) {
		uint32_t v = 0;

		for (size_t k = i; k < i + 4; k++) {
			int d = k >= n - pad ? 0 : digit(text[k]);

			if (d < 0)
				return -1;
			v = v << 6 | (uint32_t)d;
		}
		for (int k = 16; k >= 0; k -= 8)
			out[at++] = (uint8_t)(v >> k);
	}
	return (ssize_t)(at - pad);
}
