/* What an archive of a checkpoint says of itself: its head, and criu's figures. The first byte chooses. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "engine/checkpoint_int.h"
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1u << 20);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_criu_stats stats;
	struct skf_cka_head *head;

	if (size == 0)
		return 0;
	if (data[0] & 1 && skf_criu_stats_parse(data + 1, size - 1, &stats) != stats.known)
		abort();
	if (!(data[0] & 1) && skf_cka_head_parse((const char *)data + 1, size - 1, &a, &head, &e) == 0 &&
	    (!head->id || !head->name || !head->image_id))
		abort();
	return 0;
}
