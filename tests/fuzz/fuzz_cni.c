/* fuzz_cni.c -- what CNI plugins say (results, errors, versions) and configuration lists: what decodes,
 * decodes again from our own copy of it. */
#include "network/cni_int.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct skf_arena a = SKF_ARENA(64u << 20);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_cni_result *r = NULL, *again = NULL;
	struct skf_cni_failure *f = NULL;
	struct skf_cni_list *l = NULL, *l2 = NULL;
	struct skf_strv v = {0};
	const char *s = (const char *)p;

	if (skf_cni_result_decode("r", s, n, &a, &r, &e) == 0 &&
	    (skf_cni_result_decode("r", r->json, strlen(r->json), &a, &again, &e) < 0 ||
	     again->ips.n != r->ips.n || r->gateways.n != r->ips.n))
		abort();
	(void)skf_cni_error_decode(s, n, &a, &f);
	(void)skf_cni_versions_decode("t", s, n, &a, &v, &e);
	for (int single = 0; single < 2; single++)
		if (skf_cni_list_decode("f", s, n, single, &a, &l, &e) == 0 &&
		    (skf_cni_list_decode("f", skf_cni_text(l), strlen(skf_cni_text(l)), single, &a, &l2,
					 &e) < 0 ||
		     l2->plugins.n != l->plugins.n))
			abort();
	skf_arena_done(&a);
	return 0;
}
