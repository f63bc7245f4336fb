/* engine/health_int.h -- what is known of a container's health (health.c). */
#pragma once
#include "engine/engine_int.h"

#define SKF_HEALTH_SLOTS 5 /* docker keeps as many */
struct skf_health_result {
	int64_t seq, start_ns, end_ns;
	int32_t code;
	uint32_t failing;
	char *output;
};
/* Oldest first; the number of them. */
size_t skf_health_results(struct skf_engine *g, const char *id, struct skf_arena *a,
			  struct skf_health_result ret[SKF_HEALTH_SLOTS]);
/* docker's member State.Health. */
void skf_health_write(struct skf_engine *g, const char *id, const char *status, struct skf_arena *a,
		      struct skf_jw *w);
