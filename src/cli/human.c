/* cli/human.c -- times and sizes for people, in docker's words. Pure, none depends on the locale. */
#include "cli/cli_int.h"
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define NS_S 1000000000LL

struct step {
	int64_t below_h, unit_h;
	const char *word;
};
static const struct step steps[] = {
	{48, 1, "hours"},
	{24 * 7 * 2, 24, "days"},
	{24 * 30 * 2, 24 * 7, "weeks"},
	{24 * 365 * 2, 24 * 30, "months"},
	{INT64_MAX, 24 * 365, "years"},
};

void skf_human_duration(int64_t ns, char *out, size_t size)
{
	int64_t s = ns / NS_S, m = s / 60, h = (ns + NS_S * 1800) / (NS_S * 3600);

	if (s < 1)
		snprintf(out, size, "Less than a second");
	else if (s == 1)
		snprintf(out, size, "1 second");
	else if (s < 60)
		snprintf(out, size, "%" PRId64 " seconds", s);
	else if (m == 1)
		snprintf(out, size, "About a minute");
	else if (m < 60)
		snprintf(out, size, "%" PRId64 " minutes", m);
	else if (h == 1)
		snprintf(out, size, "About an hour");
	else
		for (size_t i = 0; i < SKF_ARRAY_LEN(steps); i++)
			if (h < steps[i].below_h) {
				snprintf(out, size, "%" PRId64 " %s", h / steps[i].unit_h, steps[i].word);
				return;
			}
}

void skf_human_ago(int64_t then_ns, int64_t now_ns, char *out, size_t size)
{
	char d[64];

	if (then_ns <= 0) {
		snprintf(out, size, "N/A");
		return;
	}
	skf_human_duration(now_ns - then_ns, d, sizeof(d));
	snprintf(out, size, "%s ago", d);
}

void skf_human_size(uint64_t bytes, char *out, size_t size)
{
	static const char *const units[] = {"B", "kB", "MB", "GB", "TB", "PB", "EB"};
	double v = (double)bytes;
	size_t i = 0;

	for (; v >= 1000 && i + 1 < SKF_ARRAY_LEN(units); i++)
		v /= 1000;
	snprintf(out, size, "%.3g%s", v, units[i]);
}

struct unit {
	const char *name;
	int64_t ns;
};
static const struct unit units[] = {
	{"ms", 1000000}, {"us", 1000}, {"ns", 1}, {"s", NS_S}, {"m", 60 * NS_S}, {"h", 3600 * NS_S},
};

/* "1h30m", "10s" */
static int parse_duration(const char *s, int64_t *ret)
{
	int64_t total = 0;

	if (!*s)
		return -EINVAL;
	while (*s) {
		size_t digits = strspn(s, "0123456789"), i;
		int64_t v = 0;

		if (!digits || digits > 9)
			return -EINVAL;
		for (i = 0; i < digits; i++)
			v = v * 10 + (s[i] - '0');
		s += digits;
		for (i = 0; i < SKF_ARRAY_LEN(units); i++)
			if (skf_startswith(s, units[i].name))
				break;
		if (i == SKF_ARRAY_LEN(units) || v > INT64_MAX / 4 / units[i].ns)
			return -EINVAL;
		total += v * units[i].ns;
		s += strlen(units[i].name);
	}
	*ret = total;
	return 0;
}

/* "1764000000", "1764000000.25" */
static int parse_unix(const char *s, int64_t *ret)
{
	char whole[24];
	const char *dot = strchr(s, '.');
	size_t n = dot ? (size_t)(dot - s) : strlen(s);
	int64_t sec, part = 0, unit = NS_S / 10;

	if (n == 0 || n >= sizeof(whole))
		return -EINVAL;
	memcpy(whole, s, n);
	whole[n] = '\0';
	if (skf_parse_i64(whole, &sec) < 0 || sec < 0 || sec > INT64_MAX / NS_S - 1)
		return -EINVAL;
	for (const char *p = dot ? dot + 1 : ""; *p; p++, unit /= 10) {
		if (*p < '0' || *p > '9')
			return -EINVAL;
		part += (*p - '0') * unit;
	}
	*ret = sec * NS_S + part;
	return 0;
}

int skf_human_parse_time(const char *s, int64_t now_ns, int64_t *ret)
{
	/* What may be left out of a time, as docker allows: zone, seconds, the time of day. */
	static const char *const rest[] = {"", "Z", ":00Z", ":00:00Z", "T00:00:00Z"};
	char full[64];
	int64_t d;

	if (parse_unix(s, ret) == 0)
		return 0;
	if (parse_duration(s, &d) == 0) {
		*ret = now_ns - d;
		return 0;
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(rest); i++)
		if (skf_fmt(full, sizeof(full), "%s%s", s, rest[i]) == 0 &&
		    skf_parse_rfc3339(full, ret) == 0)
			return 0;
	return -EINVAL;
}
