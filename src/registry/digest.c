/* registry/digest.c -- digests of bytes, by either of the two algorithms. Does not block. */
#include "registry/digest.h"
#include "registry/registry_int.h"

int skf_md_begin(const struct skf_digest *like, EVP_MD_CTX *md, struct skf_err *e)
{
	bool sha256 = !like || !like->s[0] || skf_digest_is_sha256(like);
	return md && EVP_DigestInit_ex(md, sha256 ? EVP_sha256() : EVP_sha512(), NULL) == 1
		       ? 0
		       : skf_fail(e, SKF_ESYSTEM, "libcrypto cannot compute %s",
				  sha256 ? "sha256" : "sha512");
}

int skf_md_end(EVP_MD_CTX *md, struct skf_digest *ret, struct skf_err *e)
{
	unsigned char raw[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	if (EVP_DigestFinal_ex(md, raw, &n) != 1)
		return skf_fail(e, SKF_ESYSTEM, "libcrypto cannot compute a digest");
	size_t at = (size_t)snprintf(ret->s, sizeof(ret->s), "sha%u:", n * 8);
	for (unsigned i = 0; i < n; i++)
		at += (size_t)snprintf(ret->s + at, sizeof(ret->s) - at, "%02x", raw[i]);
	return 0;
}

int skf_registry_digest(const struct skf_digest *like, const void *p, size_t n, struct skf_digest *ret,
			struct skf_err *e)
{
	EVP_MD_CTX *md = EVP_MD_CTX_new();
	int r = skf_md_begin(like, md, e);
	if (r == 0)
		r = EVP_DigestUpdate(md, p, n) == 1 ? skf_md_end(md, ret, e)
						    : skf_fail(e, SKF_ESYSTEM, "libcrypto cannot hash");
	EVP_MD_CTX_free(md);
	return r;
}
