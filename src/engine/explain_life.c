/* engine/explain_life.c -- explain: how a container lives and ends. The engine and the monitor keep these;
 * the kernel has no word for them. */
#include "engine/explain_int.h"
#include "base/proc.h"
#include <stdio.h>
#include <string.h>

static void restart(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_ex_line l = {
		.value = x->c->restart_max ? skf_ex_text(x, "%s:%u", x->c->restart, x->c->restart_max)
			 : x->c->restart   ? x->c->restart
					   : "no"};

	skf_ex_put(x, p, &l);
}

static void stop_signal(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const char *name = skf_signal_name(x->c->stop_signal);
	const struct skf_ex_line l = {.value = name ? name : skf_ex_text(x, "%d", x->c->stop_signal)};

	skf_ex_put(x, p, &l);
}

static const char *seconds(struct skf_ex *x, int64_t n)
{
	return n < 0 ? "no end" : skf_ex_text(x, "%llds", (long long)n);
}

static void stop_timeout(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_ex_line l = {.value = seconds(x, x->c->stop_timeout)};

	skf_ex_put(x, p, &l);
}

static void timeout(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_ex_line l = {.value = x->c->timeout ? seconds(x, x->c->timeout) : "none",
				      .source = x->c->timeout ? "flag --timeout" : "default"};

	skf_ex_put(x, p, &l);
}

static void health(struct skf_ex *x, const struct skf_ex_prop *p)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	const struct skf_ctrconf_health *h = x->c->health;
	struct skf_ex_line l = {.value = "none"};

	for (size_t i = 0; h && i < h->test.n; i++)
		skf_buf_fmt(&b, "%s%s", i ? " " : "", h->test.v[i]);
	if (h)
		l.value = skf_buf_cstr(&b);
	skf_ex_put(x, p, &l);
}

static void health_times(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_ctrconf_health *h = x->c->health;
	struct skf_ex_line l = {0};

	if (!h)
		return;
	l.value = skf_ex_text(x, "every %llums for at most %llums, %u failures",
			      (unsigned long long)h->interval, (unsigned long long)h->timeout, h->retries);
	skf_ex_put(x, p, &l);
}

static void health_action(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_ex_line l = {
		.value = x->c->health && x->c->health->on_failure ? x->c->health->on_failure : "none"};

	if (x->c->health)
		skf_ex_put(x, p, &l);
}

static void log_driver(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_ex_line l = {.value = x->c->log_driver ? x->c->log_driver : "json-file"};

	skf_ex_put(x, p, &l);
}

/* Each option as given; the two limits also when they are not. */
static void log_limits(struct skf_ex *x, const struct skf_ex_prop *p)
{
	static const char *const limits[] = {"max-size", "max-file", "mode"};
	static const char *const otherwise[] = {"no limit", "1", "blocking"};
	const struct skf_kvs *o = &x->c->log_opts;

	for (size_t i = 0; i < SKF_ARRAY_LEN(limits); i++) {
		const char *v = skf_kvs_get(o, limits[i]);
		const struct skf_ex_line l = {.name = skf_ex_text(x, "log %s", limits[i]),
					      .value = v ? v : otherwise[i],
					      .source = v ? "flag --log-opt" : "default"};

		skf_ex_put(x, p, &l);
	}
	for (size_t i = 0; i < o->n; i++) {
		const struct skf_ex_line l = {.name = skf_ex_text(x, "log %s", o->v[i].k),
					      .value = o->v[i].v,
					      .source = "flag --log-opt"};

		if (!skf_streq(o->v[i].k, limits[0]) && !skf_streq(o->v[i].k, limits[1]) &&
		    !skf_streq(o->v[i].k, limits[2]))
			skf_ex_put(x, p, &l);
	}
}

static void on_off(struct skf_ex *x, const struct skf_ex_prop *p, bool on, const char *source)
{
	const struct skf_ex_line l = {.value = on ? "yes" : "no", .source = source};

	skf_ex_put(x, p, &l);
}

static void removed(struct skf_ex *x, const struct skf_ex_prop *p)
{
	on_off(x, p, x->c->remove, x->c->remove ? "flag --rm" : "default");
}

static void init(struct skf_ex *x, const struct skf_ex_prop *p)
{
	on_off(x, p, x->q->init, NULL);
}

static void tty(struct skf_ex *x, const struct skf_ex_prop *p)
{
	on_off(x, p, x->c->tty, x->c->tty ? "flag --tty" : "default");
}

static void runtime(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_ex_line l = {.value = x->c->runtime ? x->c->runtime : "skiff's own"};

	skf_ex_put(x, p, &l);
}

static void quota(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_strv *o = &x->q->storage_opt;
	const struct skf_ex_line none = {.value = "no limit"};

	if (!o->n)
		skf_ex_put(x, p, &none);
	for (size_t i = 0; i < o->n; i++) {
		const struct skf_ex_line l = {.name = skf_ex_text(x, "writable layer"), .value = o->v[i]};

		skf_ex_put(x, p, &l);
	}
}

#define L(name, key, flag, show)                                                                            \
	{                                                                                                   \
		"life", name, key, flag, show, NULL                                                         \
	}
static const struct skf_ex_prop life[] = {
	L("restart policy", "restart", "--restart", restart),
	L("stop signal", "stopSignal", "--stop-signal", stop_signal),
	L("stop timeout", "stopTimeout", "--stop-timeout", stop_timeout),
	L("time limit", NULL, NULL, timeout),
	L("removed at its end", NULL, NULL, removed),
	L("health check", "health", "--health-cmd", health),
	L("health check times", "healthTimes", "--health-interval, ...", health_times),
	L("when unhealthy", "healthOnFailure", "--health-on-failure", health_action),
	L("log driver", "logDriver", "--log-driver", log_driver),
	L("log limits", NULL, NULL, log_limits),
	L("init", "init", "--init", init),
	L("terminal", NULL, NULL, tty),
	L("runtime", "runtime", "--runtime", runtime),
	L("writable layer", "storageOpt", "--storage-opt", quota),
};
const struct skf_ex_table skf_ex_life = {life, SKF_ARRAY_LEN(life)};
