/* store/unpack_hash.c -- digests with OpenSSL's EVP (SHA-NI where the processor has it). Only checking a
 * blob blocks, on the disk. */
#include "base/buf.h"
#include "base/fd.h"
#include "store/unpack_int.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int skf_hash_init(struct skf_hash *h, const struct skf_digest *d, struct skf_err *e)
{
	bool sha512 = d && *d->s && !skf_digest_is_sha256(d);

	h->algo = sha512 ? "sha512" : "sha256";
	h->md = EVP_MD_fetch(NULL, sha512 ? "SHA2-512" : "SHA2-256", NULL);
	h->ctx = EVP_MD_CTX_new();
	if (!h->md || !h->ctx)
		return skf_fail(e, SKF_ESYSTEM, "OpenSSL has no %s here; check its configuration", h->algo);
	return skf_hash_reset(h, e);
}

void skf_hash_done(struct skf_hash *h)
{
	EVP_MD_CTX_free(h->ctx);
	EVP_MD_free(h->md);
	h->ctx = NULL;
	h->md = NULL;
}

int skf_hash_reset(struct skf_hash *h, struct skf_err *e)
{
	if (EVP_DigestInit_ex2(h->ctx, h->md, NULL) != 1)
		return skf_fail(e, SKF_ESYSTEM, "OpenSSL cannot start a %s", h->algo);
	return 0;
}

int skf_hash_add(struct skf_hash *h, const void *p, size_t n, struct skf_err *e)
{
	if (n > 0 && EVP_DigestUpdate(h->ctx, p, n) != 1)
		return skf_fail(e, SKF_ESYSTEM, "OpenSSL cannot continue a %s", h->algo);
	return 0;
}

static int finish(struct skf_hash *h, uint8_t out[EVP_MAX_MD_SIZE], unsigned *n, struct skf_err *e)
{
	if (EVP_DigestFinal_ex(h->ctx, out, n) != 1)
		return skf_fail(e, SKF_ESYSTEM, "OpenSSL cannot finish a %s", h->algo);
	return skf_hash_reset(h, e);
}

static void hex(const uint8_t *p, size_t n, char *out)
{
	static const char digits[] = "0123456789abcdef";

	for (size_t i = 0; i < n; i++) {
		out[i * 2] = digits[p[i] >> 4];
		out[i * 2 + 1] = digits[p[i] & 15];
	}
	out[n * 2] = 0;
}

int skf_hash_end(struct skf_hash *h, struct skf_digest *ret, struct skf_err *e)
{
	uint8_t raw[EVP_MAX_MD_SIZE];
	char text[EVP_MAX_MD_SIZE * 2 + 1];
	unsigned n = 0;

	if (finish(h, raw, &n, e) < 0)
		return -1;
	hex(raw, n, text);
	*ret = (struct skf_digest){0};
	if (skf_fmt(ret->s, sizeof(ret->s), "%s:%s", h->algo, text) < 0)
		return skf_fail(e, SKF_EBUG, "%s of %u bytes", h->algo, n);
	return 0;
}

int skf_hash_end_raw(struct skf_hash *h, uint8_t out[32], struct skf_err *e)
{
	uint8_t raw[EVP_MAX_MD_SIZE];
	unsigned n = 0;

	if (finish(h, raw, &n, e) < 0)
		return -1;
	if (n != 32)
		return skf_fail(e, SKF_EBUG, "%s has %u bytes, 32 were expected", h->algo, n);
	memcpy(out, raw, 32);
	return 0;
}

void skf_hash_hex(const uint8_t raw[32], char out[65])
{
	hex(raw, 32, out);
}

int skf_unpack_sha256(const void *p, size_t n, struct skf_digest *ret, struct skf_err *e)
{
	SKF_AUTO(skf_hash_done) struct skf_hash h = {0};

	if (skf_hash_init(&h, NULL, e) < 0 || skf_hash_add(&h, p, n, e) < 0)
		return -1;
	return skf_hash_end(&h, ret, e);
}

int skf_unpack_verify_blob(struct skf_store *s, const struct skf_digest *d, struct skf_err *e)
{
	SKF_AUTO(skf_hash_done) struct skf_hash h = {0};
	SKF_AUTO_FREE char *buf = malloc(SKF_UNPACK_BLOCK);
	SKF_AUTO_FD int fd = -EBADF;
	struct skf_digest got;
	uint64_t size;
	ssize_t n;

	if (!buf)
		return skf_fail(e, SKF_ENOMEM, "no memory to read the blob '%s'", d->s);
	if (skf_store_blob_open(s, d, &fd, &size, e) < 0 || skf_hash_init(&h, d, e) < 0)
		return -1;
	while ((n = read(fd, buf, SKF_UNPACK_BLOCK)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return skf_fail_sys(e, -errno, "read the blob '%s'", d->s);
		if (skf_hash_add(&h, buf, (size_t)n, e) < 0)
			return -1;
	}
	if (skf_hash_end(&h, &got, e) < 0)
		return -1;
	return skf_digest_eq(&got, d)
		       ? 0
		       : skf_fail(e, SKF_ECORRUPT, "blob '%s' was changed: its bytes are '%s'", d->s, got.s);
}
