/* config.json, process and seccomp documents. Beyond memory safety: what decodes has a canonical seccomp
 * text that decodes to itself. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/limits.h"
#include "oci/spec.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_seccomp(const struct skf_spec_seccomp *s, const struct skf_spec_opts *o)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_spec_seccomp *again;
	struct skf_err e = SKF_ERR_INIT;

	if (skf_spec_parse_seccomp(s->raw, strlen(s->raw), o, &a, &again, &e) < 0) {
		/* Only the memory cap may stop it. */
		if (e.kind != SKF_ELIMIT)
			abort();
		return;
	}
	if (strcmp(s->raw, again->raw) != 0)
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_spec_opts o = {.log = NULL, .name = "config.json"};
	struct skf_err e = SKF_ERR_INIT;
	struct skf_spec *s;
	struct skf_spec_process *p;
	struct skf_spec_seccomp *c;

	if (skf_spec_parse((const char *)data, size, &o, &a, &s, &e) == 0 && s->linux_.seccomp)
		check_seccomp(s->linux_.seccomp, &o);
	e = (struct skf_err)SKF_ERR_INIT;
	(void)skf_spec_parse_process((const char *)data, size, &o, &a, &p, &e);
	e = (struct skf_err)SKF_ERR_INIT;
	if (skf_spec_parse_seccomp((const char *)data, size, &o, &a, &c, &e) == 0)
		check_seccomp(c, &o);
	return 0;
}
