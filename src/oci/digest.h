/* oci/digest.h -- content digests as strings: "sha256:<64 hex>", "sha512:<128 hex>"; checked before any use
 * as a path (T49). */
#pragma once
#include "base/fwd.h"
#define SKF_DIGEST_MAX (7 + 128 + 1)
struct skf_digest {
	char s[SKF_DIGEST_MAX]; /* whole string, NUL-terminated; "" = none */
};
/* Exact grammar only: lower case, right length, known algorithm. INVALID otherwise. */
int skf_digest_parse(const char *s, struct skf_digest *ret, struct skf_err *e);
/* The digest that a file is named by: 64 hex digits are a sha256, 128 a sha512. False, and *ret untouched,
 * for any other name. */
bool skf_digest_of_file(const char *name, struct skf_digest *ret);
const char *skf_digest_alg(const struct skf_digest *d); /* "sha256" or "sha512"; static */
/* What follows "sha256:" or "sha512:" of a user's word, or the word itself. */
const char *skf_digest_skip_alg(const char *word);
const char *skf_digest_hex(const struct skf_digest *d); /* after the colon */
bool skf_digest_is_sha256(const struct skf_digest *d);
bool skf_digest_eq(const struct skf_digest *a, const struct skf_digest *b);
