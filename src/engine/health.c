/* engine/health.c -- the results of health checks, which the container's monitor writes (monitor/health.c):
 * files health/0 to health/4 on the disk, in turn. They are read for inspect; a missing or torn one is left
 * out. */
#include "base/arena.h"
#include "engine/health_int.h"
#include "engine/life.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* the check's own time-out ends it before, unless it is longer than this */
#define PROBE_WAIT_MS (10 * 60 * 1000)

static const struct skf_jfield result_f[] = {
	SKF_J(struct skf_health_result, seq, "seq", skf_j_i64, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_health_result, start_ns, "start", skf_j_i64, NULL, 0),
	SKF_J(struct skf_health_result, end_ns, "end", skf_j_i64, NULL, 0),
	SKF_J(struct skf_health_result, code, "exitCode", skf_j_i32, NULL, 0),
	SKF_J(struct skf_health_result, failing, "failing", skf_j_u32, NULL, 0),
	SKF_J(struct skf_health_result, output, "output", skf_j_str, NULL, 0),
	SKF_J_END,
};
static const struct skf_jtable result_table = {sizeof(struct skf_health_result), result_f, false, NULL};

static int by_seq(const void *a, const void *b)
{
	const struct skf_health_result *x = a, *y = b;

	return x->seq < y->seq ? -1 : x->seq > y->seq;
}

size_t skf_health_results(struct skf_engine *g, const char *id, struct skf_arena *a,
			  struct skf_health_result ret[SKF_HEALTH_SLOTS])
{
	const struct skf_jdoc d = {.name = "health", .max_bytes = SKF_MAX_OBJECT_BYTES};
	struct skf_err ignored = SKF_ERR_INIT;
	SKF_AUTO_FD int dir = -EBADF;
	size_t n = 0;

	if (skf_ctr_open_dir(g, id, &dir, &ignored) < 0)
		return 0;
	for (unsigned i = 0; i < SKF_HEALTH_SLOTS; i++) {
		char name[24];
		void *v;

		snprintf(name, sizeof(name), "health/%u", i);
		if (skf_json_decode_at(&d, dir, name, &result_table, a, &v, &ignored) == 0)
			ret[n++] = *(struct skf_health_result *)v;
	}
	qsort(ret, n, sizeof(*ret), by_seq);
	return n;
}

void skf_health_write(struct skf_engine *g, const char *id, const char *status, struct skf_arena *a,
		      struct skf_jw *w)
{
	struct skf_health_result v[SKF_HEALTH_SLOTS];
	size_t n = skf_health_results(g, id, a, v);
	char t[36];

	skf_jw_kobj(w, "Health");
	skf_jw_kstr(w, "Status", *status ? status : "starting");
	skf_jw_kint(w, "FailingStreak", n ? v[n - 1].failing : 0);
	skf_jw_karr(w, "Log");
	for (size_t i = 0; i < n; i++) {
		skf_jw_obj(w);
		skf_time_rfc3339(v[i].start_ns, t);
		skf_jw_kstr(w, "Start", t);
		skf_time_rfc3339(v[i].end_ns, t);
		skf_jw_kstr(w, "End", t);
		skf_jw_kint(w, "ExitCode", v[i].code);
		skf_jw_kstr(w, "Output", v[i].output);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
	skf_jw_end(w);
}

int skf_engine_healthcheck(struct skf_engine *g, const char *container, uint32_t *ret_code, char health[16],
			   struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	char id[SKF_ID_LEN + 1];
	SKF_AUTO_FD int sock = -EBADF;
	struct skf_ctrconf *c;
	struct skf_ctr_live l;

	if (skf_engine_resolve(g, container, id, e) < 0 || skf_ctr_load(g, id, &a, &c, e) < 0 ||
	    skf_ctr_live(g, id, &l, e) < 0)
		return -1;
	if (!c->health)
		return skf_fail(e, SKF_ECONFLICT, "container %s has no defined healthcheck", container);
	if (l.state != SKF_CTR_RUNNING)
		return skf_fail(e, SKF_ECONFLICT, "container %s is not running", container);
	return skf_ctr_monitor(g, id, &sock, e) < 0
		       ? -1
		       : skf_mon_probe(sock, id, PROBE_WAIT_MS, ret_code, health, e);
}
