/* engine/plan_health.c -- a container's health check, from the flags and the image's HEALTHCHECK, with
 * docker's defaults. What is run is decided here as a whole process object, so that nobody has to think when
 * a probe is due: the user, environment, capabilities and directory of the container's own process. */
#include "engine/create_int.h"
#include <string.h>

#define NS_PER_MS          1000000
#define DEFAULT_INTERVAL   30000
#define DEFAULT_TIMEOUT    30000
#define DEFAULT_RETRIES    3
#define DEFAULT_START_STEP 5000

struct check { /* HEALTHCHECK of an image's config */
	struct skf_strv test;
	int64_t interval, timeout, start_period, start_interval;
	int32_t retries;
};
#define F(member, key, fn) SKF_J(struct check, member, key, fn, NULL, SKF_J_NULL_OK)
static const struct skf_jfield check_f[] = {
	F(test, "Test", skf_j_strv),
	F(interval, "Interval", skf_j_i64),
	F(timeout, "Timeout", skf_j_i64),
	F(start_period, "StartPeriod", skf_j_i64),
	F(start_interval, "StartInterval", skf_j_i64),
	F(retries, "Retries", skf_j_i32),
	SKF_J_END,
};
static const struct skf_jtable check_table = {sizeof(struct check), check_f, false, NULL};

static int of_image(struct skf_plan *p, struct check *ret, struct skf_err *e)
{
	const struct skf_jdoc d = {.name = "Healthcheck of the image",
				   .max_bytes = SKF_MAX_CONFIG_BLOB_BYTES};
	const char *raw = p->ic->healthcheck_raw;
	void *v;

	if (!raw)
		return 0;
	if (skf_json_decode(&d, raw, strlen(raw), &check_table, p->a, &v, e) < 0)
		return -1;
	*ret = *(struct check *)v;
	return 0;
}

struct words {
	struct skf_strv v;
};
static const struct skf_jfield words_f[] = {SKF_J(struct words, v, "v", skf_j_strv, NULL, SKF_J_REQUIRED),
					    SKF_J_END};
static const struct skf_jtable words_table = {sizeof(struct words), words_f, false, NULL};

/* --health-cmd: a shell line, or podman's JSON array, with or without its CMD. */
static int of_flag(struct skf_plan *p, const char *cmd, struct skf_strv *test, struct skf_err *e)
{
	const struct skf_jdoc d = {.name = "--health-cmd", .max_bytes = SKF_MAX_CONFIG_BLOB_BYTES};
	struct skf_err not_json = SKF_ERR_INIT;
	char *doc = skf_arena_fmt(p->a, "{\"v\":%s}", cmd);
	const struct skf_strv *w;
	void *v;

	*test = (struct skf_strv){0};
	if (!doc)
		return skf_plan_no_memory(e);
	if (cmd[0] != '[' || skf_json_decode(&d, doc, strlen(doc), &words_table, p->a, &v, &not_json) < 0)
		return skf_strv_add(p->a, test, "CMD-SHELL") < 0 || skf_strv_add(p->a, test, cmd) < 0
			       ? skf_plan_no_memory(e)
			       : 0;
	w = &((struct words *)v)->v;
	if (w->n == 0)
		return skf_fail(e, SKF_EINVALID, "--health-cmd names no command");
	if (!skf_streq(w->v[0], "CMD") && !skf_streq(w->v[0], "CMD-SHELL") && !skf_streq(w->v[0], "NONE") &&
	    skf_strv_add(p->a, test, "CMD") < 0)
		return skf_plan_no_memory(e);
	for (size_t i = 0; i < w->n; i++)
		if (skf_strv_add(p->a, test, w->v[i]) < 0)
			return skf_plan_no_memory(e);
	return 0;
}

/* The words that are run. */
static int arguments(struct skf_plan *p, const struct skf_strv *test, struct skf_strv *args,
		     struct skf_err *e)
{
	static char sh[] = "/bin/sh", dash_c[] = "-c";
	char *const default_shell[] = {sh, dash_c};
	bool shell = skf_streq(test->v[0], "CMD-SHELL");
	struct skf_strv s =
		p->ic->shell.n ? p->ic->shell : (struct skf_strv){(char **)(uintptr_t)default_shell, 2};

	if (!shell && !skf_streq(test->v[0], "CMD"))
		return skf_fail(e, SKF_EINVALID,
				"the health check begins with '%.40s'; expected CMD, CMD-SHELL or NONE",
				test->v[0]);
	if (test->n < 2)
		return skf_fail(e, SKF_EINVALID, "the health check names no command");
	for (size_t i = 0; shell && i < s.n; i++)
		if (skf_strv_add(p->a, args, s.v[i]) < 0)
			return skf_plan_no_memory(e);
	for (size_t i = 1; i < test->n; i++)
		if (skf_strv_add(p->a, args, test->v[i]) < 0)
			return skf_plan_no_memory(e);
	return 0;
}

/* A flag, else the image's, else the default; in milliseconds, at least one. */
static uint64_t pick(int64_t flag_ns, int64_t image_ns, uint64_t fallback_ms)
{
	int64_t ns = flag_ns > 0 ? flag_ns : image_ns;

	return ns <= 0 ? fallback_ms : ns < NS_PER_MS ? 1 : (uint64_t)ns / NS_PER_MS;
}

static int write_process(struct skf_plan *p, const struct skf_strv *args, struct skf_ctrconf_health *h,
			 struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD / 2);
	struct skf_jw w = SKF_JW(&b);
	struct skf_gen_process process = p->gen.process;

	process.args = *args;
	process.tty = false;
	skf_process_gen(&w, NULL, &process);
	if (b.err == -E2BIG)
		return skf_fail(e, SKF_ELIMIT,
				"the health check with the container's environment is longer than %u bytes",
				SKF_MAX_RECORD / 2);
	h->process = b.err ? NULL : skf_arena_strdup(p->a, skf_buf_cstr(&b));
	return h->process ? 0 : skf_plan_no_memory(e);
}

static int check_flags(const struct skf_health_req *q, struct skf_err *e)
{
	const int64_t times[] = {q->interval_ns, q->timeout_ns, q->start_period_ns, q->start_interval_ns};
	bool any = q->cmd || q->retries;

	for (size_t i = 0; i < SKF_ARRAY_LEN(times); i++) {
		any |= times[i] != 0;
		if (times[i] < 0 || (times[i] > 0 && times[i] < NS_PER_MS))
			return skf_fail(
				e, SKF_EINVALID,
				"a time of a health check is either 0, for the image's, or at least 1ms");
	}
	if (q->none && any)
		return skf_fail(e, SKF_EINVALID, "--no-healthcheck conflicts with --health-* options");
	if (q->on_failure && skf_ctrconf_action_parse(q->on_failure) < 0)
		return skf_fail(e, SKF_EINVALID,
				"invalid --health-on-failure '%.40s': expected none, kill, restart or stop",
				q->on_failure);
	return 0;
}

int skf_plan_health(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_health_req *q = &p->q->life.health;
	struct check image = {0};
	struct skf_strv args = {0};
	struct skf_ctrconf_health *h;

	if (check_flags(q, e) < 0)
		return -1;
	if (q->none)
		return 0;
	if (of_image(p, &image, e) < 0 || (q->cmd && *q->cmd && of_flag(p, q->cmd, &image.test, e) < 0))
		return -1;
	if (image.test.n == 0 || skf_streq(image.test.v[0], "NONE") || skf_streq(image.test.v[0], "none"))
		return 0;
	h = skf_arena_alloc(p->a, sizeof(*h));
	if (!h)
		return skf_plan_no_memory(e);
	*h = (struct skf_ctrconf_health){.test = image.test};
	h->interval = pick(q->interval_ns, image.interval, DEFAULT_INTERVAL);
	h->timeout = pick(q->timeout_ns, image.timeout, DEFAULT_TIMEOUT);
	h->start_period = pick(q->start_period_ns, image.start_period, 0);
	h->start_interval = pick(q->start_interval_ns, image.start_interval, DEFAULT_START_STEP);
	h->retries = q->retries ? q->retries : image.retries > 0 ? (uint32_t)image.retries : DEFAULT_RETRIES;
	h->on_failure = skf_arena_strdup(p->a, q->on_failure ? q->on_failure : "none");
	if (!h->on_failure)
		return skf_plan_no_memory(e);
	if (arguments(p, &h->test, &args, e) < 0 || write_process(p, &args, h, e) < 0)
		return -1;
	p->conf.health = h;
	return 0;
}
