/* A user's YAML list as JSON: what comes out is JSON again, and no larger than its buffer allows. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/limits.h"
#include "registry/registry.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const struct skf_jfield none[] = {SKF_J_END};
	static const struct skf_jtable any = {.size = 1, .f = none};
	SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(SKF_MAX_OBJECT_BYTES * 8);
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_jdoc d = {.name = "out", .max_bytes = SKF_MAX_OBJECT_BYTES * 8};
	struct skf_err e = SKF_ERR_INIT;
	void *v;

	if (skf_yaml_to_json((const char *)data, size, &out, &e) < 0) {
		if (!e.msg[0])
			abort();
		return 0;
	}
	e = (struct skf_err)SKF_ERR_INIT;
	/* a key that stands twice in YAML stands twice in JSON, and is refused there */
	if (skf_json_decode(&d, skf_buf_cstr(&out), out.len, &any, &a, &v, &e) < 0 && e.kind == SKF_EBUG)
		abort();
	return 0;
}
