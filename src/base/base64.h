/* base/base64.h -- RFC 4648 section 4: base64 with padding. */
#pragma once
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

struct skf_buf;

/* Appends n bytes as text. A failure is kept in b->err. */
void skf_base64_put(struct skf_buf *b, const void *p, size_t n);

/* The bytes of text, of which out must have room for 3 per 4 digits (out may not be text). Their number; -1:
 * text is not base64 with its padding. */
ssize_t skf_base64_decode(const char *text, uint8_t *out);
