/* engine/spec_gen_resources.c -- "linux.resources" of a container's config.json, from numbers that the plan
 * has checked. Pure. A property without a value is not written: the runtime then leaves the kernel's
 * default. */
#include "engine/spec_gen_int.h"
#include <string.h>

static void int_if(struct skf_jw *w, const char *key, int64_t v)
{
	if (v)
		skf_jw_kint(w, key, v);
}

static void str_if(struct skf_jw *w, const char *key, const char *v)
{
	if (v && *v)
		skf_jw_kstr(w, key, v);
}

static void write_memory(struct skf_jw *w, const struct skf_gen_res *r)
{
	skf_jw_kobj(w, "memory");
	int_if(w, "limit", r->memory);
	int_if(w, "reservation", r->reservation);
	int_if(w, "swap", r->swap);
	if (r->has_swappiness)
		skf_jw_ku64(w, "swappiness", r->swappiness);
	if (r->oom_kill_disable)
		skf_jw_kbool(w, "disableOOMKiller", true);
	skf_jw_end(w);
}

static void write_cpu(struct skf_jw *w, const struct skf_gen_res *r)
{
	skf_jw_kobj(w, "cpu");
	int_if(w, "shares", (int64_t)r->shares);
	int_if(w, "quota", r->quota);
	int_if(w, "period", (int64_t)r->period);
	int_if(w, "realtimeRuntime", r->rt_runtime);
	int_if(w, "realtimePeriod", (int64_t)r->rt_period);
	str_if(w, "cpus", r->cpus);
	str_if(w, "mems", r->mems);
	skf_jw_end(w);
}

static bool has_cpu(const struct skf_gen_res *r)
{
	return r->shares || r->quota || r->period || r->rt_runtime || r->rt_period || r->cpus || r->mems;
}

static void write_rates(struct skf_jw *w, const char *key, const char *member, const struct skf_gen_rates *v)
{
	if (!v->n)
		return;
	skf_jw_karr(w, key);
	for (size_t i = 0; i < v->n; i++) {
		skf_jw_obj(w);
		skf_jw_kint(w, "major", v->v[i].major);
		skf_jw_kint(w, "minor", v->v[i].minor);
		skf_jw_ku64(w, member, v->v[i].value);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static void write_block_io(struct skf_jw *w, const struct skf_gen_res *r)
{
	static const char *const keys[] = {"throttleReadBpsDevice", "throttleWriteBpsDevice",
					   "throttleReadIOPSDevice", "throttleWriteIOPSDevice"};

	skf_jw_kobj(w, "blockIO");
	int_if(w, "weight", r->blkio_weight);
	write_rates(w, "weightDevice", "weight", &r->weight_device);
	for (size_t i = 0; i < SKF_ARRAY_LEN(keys); i++)
		write_rates(w, keys[i], "rate", &r->rate[i]);
	skf_jw_end(w);
}

static bool has_block_io(const struct skf_gen_res *r)
{
	size_t n = r->blkio_weight + r->weight_device.n;

	for (size_t i = 0; i < SKF_ARRAY_LEN(r->rate); i++)
		n += r->rate[i].n;
	return n != 0;
}

static void write_unified(struct skf_jw *w, const struct skf_strv *v)
{
	char key[128];

	skf_jw_kobj(w, "unified");
	for (size_t i = 0; i < v->n; i++) {
		const char *eq = strchr(v->v[i], '=');

		if (skf_fmt(key, sizeof(key), "%.*s", (int)(eq - v->v[i]), v->v[i]) == 0)
			skf_jw_kstr(w, key, eq + 1);
	}
	skf_jw_end(w);
}

void skf_gen_resources(struct skf_jw *w, const struct skf_gen *g)
{
	const struct skf_gen_res *r = &g->res;

	skf_jw_kobj(w, "resources");
	skf_gen_device_rules(w, g);
	if (r->memory || r->swap || r->reservation || r->has_swappiness || r->oom_kill_disable)
		write_memory(w, r);
	if (has_cpu(r))
		write_cpu(w, r);
	if (r->pids) {
		skf_jw_kobj(w, "pids");
		skf_jw_kint(w, "limit", r->pids);
		skf_jw_end(w);
	}
	if (has_block_io(r))
		write_block_io(w, r);
	if (r->unified.n)
		write_unified(w, &r->unified);
	skf_jw_end(w);
}
