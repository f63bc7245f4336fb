/* Index, manifest and image config. A document is never an index and a manifest at once, and a chosen entry
 * is one of the index. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/limits.h"
#include "oci/image.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const char *p = (const char *)data;
	struct skf_platform want;
	struct skf_index *x;
	struct skf_manifest *m;
	struct skf_image_config *c;
	const struct skf_desc *d;
	struct skf_err e = SKF_ERR_INIT;
	int is_index = skf_index_parse(p, size, "", &a, &x, &e) == 0;

	e = (struct skf_err)SKF_ERR_INIT;
	if (skf_manifest_parse(p, size, "", &a, &m, &e) == 0 && is_index)
		abort();
	e = (struct skf_err)SKF_ERR_INIT;
	skf_platform_host(&want);
	if (is_index && skf_index_choose(x, &want, &d, &e) == 0) {
		const struct skf_desc *all = x->manifests.v;
		if (d < all || d >= all + x->manifests.n)
			abort();
	}
	e = (struct skf_err)SKF_ERR_INIT;
	(void)skf_image_config_parse(p, size, &a, &c, &e);
	return 0;
}
