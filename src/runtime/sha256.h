/* runtime/sha256.h -- SHA-256 (FIPS 180-4) for the keys and checksums of the seccomp cache. The programs on
 * the path of start may not link OpenSSL (loading it costs more than starting a container), and 15 KB per
 * start do not need its speed. Nothing here is secret. */
#pragma once
#include "base/fwd.h"

struct skf_sha256 {
	uint32_t h[8];
	uint64_t len;
	uint8_t block[64];
};
void skf_sha256_init(struct skf_sha256 *c);
void skf_sha256_add(struct skf_sha256 *c, const void *p, size_t n);
void skf_sha256_end(struct skf_sha256 *c, uint8_t out[32]);
