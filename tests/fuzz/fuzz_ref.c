/* References, digests and platforms. What parses must hold the invariants that make it a path: no '..', no
 * empty part, and its full and familiar forms must parse to the same thing. */
#include "base/buf.h"
#include "base/err.h"
#include "oci/image.h"
#include "oci/ref.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_repo(const char *repo)
{
	if (repo[0] == '/' || repo[0] == '_' || strstr(repo, "//") || strstr(repo, "..") ||
	    strstr(repo, "/_") || strstr(repo, "/."))
		abort();
}

static void check_ref(const struct skf_ref *r)
{
	char out[SKF_MAX_REF_BYTES + 1];
	struct skf_ref again;
	struct skf_err e = SKF_ERR_INIT;

	check_repo(r->repo);
	if (strchr(r->registry, '/') || strstr(r->registry, "..") || r->registry[0] == '.' ||
	    strchr(r->tag, '/'))
		abort();
	skf_ref_full(r, out);
	if (!out[0] || skf_ref_parse(out, &again, &e) < 0 || memcmp(r, &again, sizeof(again)) != 0)
		abort();
	skf_ref_familiar_name(r, out);
	if (skf_ref_parse(out, &again, &e) == 0 &&
	    (strcmp(r->repo, again.repo) != 0 || strcmp(r->registry, again.registry) != 0))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char s[1024];
	struct skf_ref r;
	struct skf_digest d;
	struct skf_platform p;
	struct skf_err e = SKF_ERR_INIT;

	if (size >= sizeof(s))
		return 0;
	memcpy(s, data, size);
	s[size] = '\0';
	if (skf_ref_parse(s, &r, &e) == 0)
		check_ref(&r);
	if (skf_digest_parse(s, &d, &e) == 0 &&
	    strcspn(skf_digest_hex(&d), "/.%") != strlen(skf_digest_hex(&d)))
		abort();
	if (skf_platform_parse(s, &p, &e) == 0 && skf_platform_score(&p, &p) != 100)
		abort();
	return 0;
}
