/* cli/run_life.c -- the flags of run and create about how a container lives: restart policy, health check,
 * log. */
#include "cli/cli_int.h"
#include <string.h>
#include <strings.h>

#define NS_PER_S 1000000000.0

/* Go's time.ParseDuration: "1m30s", "500ms", "1.5h", "0". 0 or -EINVAL. */
static int duration(const char *s, int64_t *ret)
{
	static const struct {
		const char *unit;
		double ns;
	} units[] = {{"ns", 1},       {"us", 1e3},          {"ms", 1e6},
		     {"s", NS_PER_S}, {"m", 60 * NS_PER_S}, {"h", 3600 * NS_PER_S}};
	double sum = 0;

	if (skf_streq(s, "0")) {
		*ret = 0;
		return 0;
	}
	if (!*s)
		return -EINVAL;
	while (*s) {
		double v = 0, scale = 1;
		size_t digits = 0, n, k = 0;

		for (; *s >= '0' && *s <= '9'; s++, digits++)
			v = v * 10 + (*s - '0');
		if (*s == '.')
			for (s++; *s >= '0' && *s <= '9'; s++, digits++)
				v += (*s - '0') * (scale /= 10);
		n = strspn(s, "nmush");
		while (k < SKF_ARRAY_LEN(units) &&
		       (strlen(units[k].unit) != n || strncmp(units[k].unit, s, n) != 0))
			k++;
		if (digits == 0 || k == SKF_ARRAY_LEN(units))
			return -EINVAL;
		sum += v * units[k].ns;
		s += n;
	}
	if (sum > 9e18)
		return -EINVAL;
	*ret = (int64_t)sum;
	return 0;
}

static int health(struct skf_cli *c, struct skf_health_req *q)
{
	const struct skf_cli_opts *o = &c->o;
	const struct {
		const char *flag, *text;
		int64_t *to;
	} times[] = {{"health-interval", o->health_interval, &q->interval_ns},
		     {"health-timeout", o->health_timeout, &q->timeout_ns},
		     {"health-start-period", o->health_start_period, &q->start_period_ns},
		     {"health-start-interval", o->health_start_interval, &q->start_interval_ns}};

	q->none = o->no_healthcheck;
	q->cmd = o->health_cmd;
	q->on_failure = o->health_on_failure;
	if (o->health_retries < 0 || o->health_retries > INT32_MAX)
		return skf_fail(&c->e, SKF_EINVALID, "--health-retries cannot be negative");
	q->retries = (uint32_t)o->health_retries;
	for (size_t i = 0; i < SKF_ARRAY_LEN(times); i++)
		if (times[i].text && duration(times[i].text, times[i].to) < 0)
			return skf_fail(&c->e, SKF_EINVALID,
					"invalid argument \"%s\" for \"--%s\" flag: expected a duration "
					"like 1m30s or 500ms",
					times[i].text, times[i].flag);
	return 0;
}

int skf_cli_life(struct skf_cli *c, struct skf_life_req *q)
{
	q->restart = c->o.restart;
	q->init_path = c->o.init_path;
	q->sdnotify = c->o.sdnotify;
	q->log_driver = c->o.log_driver;
	q->log_opts = c->o.log_opt;
	return health(c, &q->health);
}

int skf_cli_streams(struct skf_cli *c, unsigned *ret)
{
	static const char *const words[] = {"stdin", "stdout", "stderr"};
	unsigned set = 0;

	if (c->o.attach_to.n && c->o.detach)
		return skf_fail(&c->e, SKF_EINVALID, "Conflicting options: -a and -d");
	for (size_t i = 0; i < c->o.attach_to.n; i++) {
		unsigned k = 0;

		while (k < SKF_ARRAY_LEN(words) && strcasecmp(words[k], c->o.attach_to.v[i]) != 0)
			k++;
		if (k == SKF_ARRAY_LEN(words))
			return skf_fail(&c->e, SKF_EINVALID,
					"invalid argument \"%s\" for \"-a, --attach\" flag: valid streams "
					"are STDIN, STDOUT and STDERR",
					c->o.attach_to.v[i]);
		set |= 1u << k;
	}
	*ret = set;
	return 0;
}
