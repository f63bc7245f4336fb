/* engine/spec_gen_resources.c -- "linux.resources" of a container's config.json. Pure. */
#include "engine/spec_gen_int.h"

#define CPU_PERIOD 100000

void skf_gen_resources(struct skf_jw *w, const struct skf_gen *g)
{
	skf_jw_kobj(w, "resources");
	skf_gen_device_rules(w, g->privileged);
	if (g->memory > 0) {
		skf_jw_kobj(w, "memory");
		skf_jw_kint(w, "limit", g->memory);
		if (g->swap_accounting && g->memory <= INT64_MAX / 2)
			skf_jw_kint(w, "swap", g->memory * 2); /* docker's default: as much swap as memory */
		skf_jw_end(w);
	}
	if (g->nano_cpus > 0) {
		skf_jw_kobj(w, "cpu");
		skf_jw_kint(w, "quota", (int64_t)((__int128)g->nano_cpus * CPU_PERIOD / 1000000000));
		skf_jw_ku64(w, "period", CPU_PERIOD);
		skf_jw_end(w);
	}
	if (g->pids_limit) {
		skf_jw_kobj(w, "pids");
		skf_jw_kint(w, "limit", g->pids_limit);
		skf_jw_end(w);
	}
	skf_jw_end(w);
}
