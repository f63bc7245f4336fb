/* The words of -v, --tmpfs and --mount; the first byte says which. What is accepted has an absolute target
 * that climbs nowhere. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "engine/engine.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static int (*const parse[])(const char *, struct skf_arena *, struct skf_mount_req *,
				    struct skf_err *) = {skf_engine_parse_volume, skf_engine_parse_mount,
							 skf_engine_parse_tmpfs};
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(4u << 20);
	struct skf_mount_req m = {0};
	struct skf_err e = SKF_ERR_INIT;
	char *word;

	if (size == 0)
		return 0;
	word = skf_arena_dup(&a, (const char *)data + 1, size - 1);
	if (!word)
		return 0;
	if (parse[data[0] % SKF_ARRAY_LEN(parse)](word, &a, &m, &e) < 0) {
		if (!*e.msg)
			abort();
		return 0;
	}
	if (!m.target || m.target[0] != '/' || skf_streq(m.target, "/") || strstr(m.target, "/../") ||
	    strstr(m.target, "//"))
		abort();
	return 0;
}
