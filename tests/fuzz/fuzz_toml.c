/* fuzz_toml.c -- registries.conf: any text is read or refused; what was read can be asked. */
#include "base/arena.h"
#include "base/err.h"
#include "base/limits.h"
#include "oci/registries_conf.h"
#include <stddef.h>
#include <stdint.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct skf_registries c = {.a = SKF_ARENA(SKF_MAX_ARENA_DOC)};
	char host[SKF_MAX_REPO_BYTES + 1], repo[SKF_MAX_REPO_BYTES + 1];
	struct skf_err e = SKF_ERR_INIT;
	const struct skf_reg *r;
	struct skf_strv v;

	if (size <= SKF_MAX_CONF_BYTES &&
	    skf_registries_parse(&c, "registries.conf", (const char *)data, size, &e) == 0) {
		(void)skf_registries_expand(&c, "fedora:40", &v, &e);
		r = skf_registries_match(&c, "example.com", "foo/bar");
		if (r)
			(void)skf_registries_at(r, r->n_mirrors ? &r->mirror[0] : &r->at, "example.com",
						"foo/bar", host, repo, &e);
	}
	skf_registries_done(&c);
	return 0;
}
