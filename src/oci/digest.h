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
const char *skf_digest_hex(const struct skf_digest *d); /* after the colon */
bool skf_digest_is_sha256(const struct skf_digest *d);
bool skf_digest_eq(const struct skf_digest *a, const struct skf_digest *b);
