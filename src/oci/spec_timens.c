/* oci/spec_timens.c -- linux.timeOffsets of config.json: at most one offset per clock. The sign is in secs;
 * nanosecs are below one second, as /proc/PID/timens_offsets demands (time_namespaces(7)). Pure; nothing
 * blocks. */
#include "oci/spec_int.h"
#include "base/arena.h"
#include <string.h>
#include <time.h>

struct clock {
	int64_t secs;
	uint32_t nanosecs;
};
struct offsets {
	bool has_monotonic, has_boottime;
	struct clock monotonic, boottime;
};

static int clock_check(struct skf_jctx *c, void *obj)
{
	const struct clock *k = obj;

	if (k->nanosecs > 999999999)
		return skf_j_fail(c, SKF_EINVALID, "expected nanosecs from 0 to 999999999, found %u",
				  k->nanosecs);
	return 0;
}

static const struct skf_jfield clock_f[] = {
	SPEC_OPT(struct clock, secs, "secs", skf_j_i64, NULL),
	SPEC_OPT(struct clock, nanosecs, "nanosecs", skf_j_u32, NULL),
	SKF_J_END,
};
static const struct skf_jtable clock_table = {sizeof(struct clock), clock_f, .check = clock_check};
static const struct skf_jfield offsets_f[] = {
	SPEC_OPTP(struct offsets, monotonic, has_monotonic, "monotonic", skf_j_obj, &clock_table),
	SPEC_OPTP(struct offsets, boottime, has_boottime, "boottime", skf_j_obj, &clock_table),
	SKF_J_END,
};
static const struct skf_jtable offsets_table = {sizeof(struct offsets), offsets_f};

static void add(struct skf_jarr *a, int clock, const struct clock *k)
{
	struct skf_spec_time_offset *o = a->v;

	o[a->n++] = (struct skf_spec_time_offset){.clock = clock, .secs = k->secs, .nanosecs = k->nanosecs};
}

int skf_spec_j_time_offsets(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct offsets raw = {0};
	struct skf_jarr a = {0};

	(void)arg;
	if (skf_j_obj(c, v, &raw, &offsets_table) < 0)
		return -1;
	if (!raw.has_monotonic && !raw.has_boottime)
		return 0;
	a.v = skf_arena_array(skf_j_arena(c), 2, sizeof(struct skf_spec_time_offset));
	if (!a.v)
		return skf_spec_j_nomem(c);
	if (raw.has_monotonic)
		add(&a, CLOCK_MONOTONIC, &raw.monotonic);
	if (raw.has_boottime)
		add(&a, CLOCK_BOOTTIME, &raw.boottime);
	*(struct skf_jarr *)dst = a;
	return 0;
}
