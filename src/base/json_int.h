/* base/json_int.h -- between the files of the JSON decoder. */
#pragma once
#include "base/err.h"
#include "base/fwd.h"

struct skf_jdoc;

#define SKF_JPATH_SIZE 256

/* Appends "/<key>" (n bytes, RFC 6901 escapes, unprintable bytes as '?') to path[0..len) and returns the new
 * length. A path that outgrows its array ends in "..." and stays as it is. */
size_t skf_jpath_push(char path[SKF_JPATH_SIZE], size_t len, const char *key, size_t n);

/* Checks text[0..n) against RFC 8259 and what json-c does not check: depth, duplicate keys, NUL characters,
 * integers beyond 64 bits, and the memory that its tree will take. */
int skf_json_scan(const struct skf_jdoc *d, const char *text, size_t n, struct skf_err *e);
