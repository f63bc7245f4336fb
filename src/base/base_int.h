/* base/base_int.h -- what the files of base share with each other and nobody else uses. */
#pragma once
#include "base/fwd.h"

/* Escapes the first character of p[0..n) (n > 0) for a JSON string into out: returns the bytes written (at
 * most 6) and stores in *used how many bytes of p it stands for. A byte that begins no valid UTF-8 sequence
 * gives U+FFFD. */
size_t skf_json_escape_char(const unsigned char *p, size_t n, char out[8], size_t *used);
/* Length of the valid UTF-8 sequence at p[0..n), 0 when there is none (overlong forms and surrogates are
 * invalid). */
size_t skf_utf8_len(const unsigned char *p, size_t n);
/* "2026-11-23T02:17:15Z" */
void skf_time_rfc3339_s(int64_t unix_s, char out[36]);
/* Room for n more bytes whose content is undefined; the caller keeps the NUL behind len. NULL on failure. */
char *skf_buf_room(struct skf_buf *b, size_t n);
