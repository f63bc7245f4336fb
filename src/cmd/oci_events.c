/* cmd/oci_events.c -- events: statistics in an interval and out-of-memory events, one JSON document per
 * line, in runc's form, until the container ends. Blocks as long as the container lives. */
#include "cmd/oci_int.h"

#include "base/json.h"

#include <string.h>

#define DEFAULT_MS 5000
#define MAX_MS     (24 * 3600 * 1000)

/* "1m30s", "500ms", "1.5s": Go's durations. */
static int parse_duration(const char *s, int64_t *ret_ms)
{
	static const struct {
		const char *name;
		int64_t us;
	} units[] = {{"ms", 1000}, {"us", 1}, {"h", 3600000000}, {"m", 60000000}, {"s", 1000000}};
	int64_t sum = 0;

	if (!*s)
		return -EINVAL;
	while (*s) {
		int64_t v = 0, scale = 1, us = 0;
		size_t digits = 0;

		for (; (*s >= '0' && *s <= '9') || (*s == '.' && scale == 1); s++) {
			if (*s == '.') {
				scale = 10;
				continue;
			}
			if (++digits > 9)
				return -ERANGE;
			v = v * 10 + (*s - '0');
			if (scale > 1)
				scale *= 10;
		}
		for (size_t i = 0; us == 0 && i < SKF_ARRAY_LEN(units); i++)
			if (skf_startswith(s, units[i].name)) {
				us = units[i].us;
				s += strlen(units[i].name);
			}
		if (digits == 0 || us == 0)
			return -EINVAL;
		sum += (int64_t)((__int128)v * us * 10 / (scale > 1 ? scale : 10));
		if (sum > (int64_t)MAX_MS * 1000)
			return -ERANGE;
	}
	*ret_ms = (sum + 999) / 1000;
	return 0;
}

static int print_stats(struct oci *o, struct skf_err *e)
{
	const char *id = o->a.rest.v[0];
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_STATE_BYTES);
	struct skf_jw w = SKF_JW(&b);

	skf_jw_obj(&w);
	skf_jw_kstr(&w, "type", "stats");
	skf_jw_kstr(&w, "id", id);
	skf_jw_kobj(&w, "data");
	if (skf_rt_stats_write(&o->rt, id, &w, e) < 0)
		return -1;
	skf_jw_end(&w);
	skf_jw_end(&w);
	skf_buf_chr(&b, '\n');
	return oci_print(&b, e);
}

static int print_oom(struct oci *o, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	struct skf_jw w = SKF_JW(&b);

	skf_jw_obj(&w);
	skf_jw_kstr(&w, "type", "oom");
	skf_jw_kstr(&w, "id", o->a.rest.v[0]);
	skf_jw_end(&w);
	skf_buf_chr(&b, '\n');
	return oci_print(&b, e);
}

static int watch(struct oci *o, struct skf_rt_events *x, int64_t interval, struct skf_err *e)
{
	int64_t next = skf_mono_ms() + interval;

	for (;;) {
		struct skf_err se = SKF_ERR_INIT;
		int64_t left = next - skf_mono_ms();
		int r = skf_rt_events_wait(x, left > 0 ? (int)left : 0, e);

		if (r < 0)
			return -1;
		if (r == SKF_RT_EV_END)
			return 0;
		if (r == SKF_RT_EV_OOM && print_oom(o, e) < 0)
			return -1;
		if (r != SKF_RT_EV_TIMEOUT)
			continue;
		next += interval;
		if (print_stats(o, &se) == 0)
			continue;
		if (se.kind == SKF_ECONFLICT || se.kind == SKF_ENOTFOUND)
			return 0; /* it ended while we looked */
		*e = se;
		return -1;
	}
}

int oci_events(struct oci *o, struct skf_err *e)
{
	struct skf_rt_events *x;
	int64_t interval = DEFAULT_MS;
	int r;

	if (o->a.interval && parse_duration(o->a.interval, &interval) < 0)
		return skf_fail(e, SKF_EINVALID,
				"option --interval is a duration as 500ms or 1m30s, not '%s'",
				o->a.interval);
	if (interval <= 0)
		return skf_fail(e, SKF_EINVALID, "duration interval must be greater than 0");
	if (o->a.stats)
		return print_stats(o, e);
	if (skf_rt_events_open(&o->rt, o->a.rest.v[0], &x, e) < 0)
		return -1;
	r = watch(o, x, interval, e);
	skf_rt_events_free(x);
	return r;
}
