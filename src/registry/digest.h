/* registry/digest.h -- a digest of bytes that come in pieces; skf_registry_digest of registry.h takes them
 * at once. */
#pragma once
#include "oci/digest.h"
#include <openssl/evp.h>

/* Starts, or starts anew, the algorithm of `like`; sha256 when that is NULL or empty. SYSTEM, also for a md
 * of NULL. */
int skf_md_begin(const struct skf_digest *like, EVP_MD_CTX *md, struct skf_err *e);
/* After the last EVP_DigestUpdate. */
int skf_md_end(EVP_MD_CTX *md, struct skf_digest *ret, struct skf_err *e);
