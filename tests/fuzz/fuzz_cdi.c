/* fuzz_cdi.c -- a CDI specification, once as JSON and once as what was YAML: what is taken keeps the
 * promises of its header. */
#include "base/arena.h"
#include "base/err.h"
#include "engine/cdi.h"
#include "engine/cdi_int.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static void check(const struct cdi_spec *s, struct skf_arena *a)
{
	const struct cdi_device *d = s->devices.v;

	if (!s->devices.n)
		abort();
	for (size_t i = 0; i < s->devices.n; i++) {
		char *name = skf_arena_fmt(a, "%s=%s", s->kind, d[i].name);
		const struct cdi_hook *h = d[i].edits.hooks.v;

		if (name && !skf_cdi_is_name(name))
			abort();
		for (size_t k = 0; k < d[i].edits.hooks.n; k++) {
			size_t kind = 0;

			while (cdi_hook_kinds[kind] && !skf_streq(cdi_hook_kinds[kind], h[k].name))
				kind++;
			if (!cdi_hook_kinds[kind])
				abort();
		}
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	char *s = malloc(n + 1);

	if (!s)
		return 0;
	memcpy(s, p, n);
	s[n] = '\0';
	for (int yaml = 0; yaml < 2; yaml++) {
		struct skf_arena a = SKF_ARENA(64u << 20);
		struct skf_err e = SKF_ERR_INIT;
		struct cdi_spec *x;

		if (cdi_spec_parse("v.json", s, n, yaml, &a, &x, &e) == 0)
			check(x, &a);
		skf_arena_done(&a);
	}
	free(s);
	return 0;
}
