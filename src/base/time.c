/* base/time.c -- clocks and RFC 3339 texts, without time zone files and without the locale
 * (async-signal-safe). Civil dates come from the count of days since 1970-01-01 in the proleptic Gregorian
 * calendar, counted in eras of 400 years that begin on a 1st of March, so that the leap day is the last of
 * its year. */
#include "base/base_int.h"
#include "base/buf.h"
#include <string.h>
#include <time.h>

#define NS       1000000000LL
#define DAY      86400
#define ERA_DAYS 146097

struct civil {
	int64_t year;
	unsigned month, day;
};

static struct civil civil_of_days(int64_t days)
{
	int64_t z = days + 719468, era = (z >= 0 ? z : z - (ERA_DAYS - 1)) / ERA_DAYS;
	unsigned doe = (unsigned)(z - era * ERA_DAYS);
	unsigned yoe = (doe - doe / 1460 + doe / 36524 - doe / 146096) / 365;
	unsigned doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
	unsigned mp = (5 * doy + 2) / 153;
	struct civil c = {.day = doy - (153 * mp + 2) / 5 + 1, .month = mp < 10 ? mp + 3 : mp - 9};

	c.year = (int64_t)yoe + era * 400 + (c.month <= 2);
	return c;
}

static int64_t days_of_civil(int64_t y, unsigned m, unsigned d)
{
	int64_t era;
	unsigned yoe, doy, doe;

	y -= m <= 2;
	era = (y >= 0 ? y : y - 399) / 400;
	yoe = (unsigned)(y - era * 400);
	doy = (153 * (m > 2 ? m - 3 : m + 9) + 2) / 5 + d - 1;
	doe = yoe * 365 + yoe / 4 - yoe / 100 + doy;
	return era * ERA_DAYS + (int64_t)doe - 719468;
}

static char *put_digits(char *p, uint64_t v, unsigned width)
{
	for (unsigned i = width; i > 0; i--, v /= 10)
		p[i - 1] = (char)('0' + v % 10);
	return p + width;
}

static char *put_seconds(char *p, int64_t s)
{
	int64_t days = s / DAY - (s % DAY < 0);
	unsigned sec = (unsigned)(s - days * DAY);
	struct civil c = civil_of_days(days);

	p = put_digits(p, (uint64_t)c.year, 4);
	*p++ = '-';
	p = put_digits(p, c.month, 2);
	*p++ = '-';
	p = put_digits(p, c.day, 2);
	*p++ = 'T';
	p = put_digits(p, sec / 3600, 2);
	*p++ = ':';
	p = put_digits(p, sec / 60 % 60, 2);
	*p++ = ':';
	return put_digits(p, sec % 60, 2);
}

void skf_time_rfc3339_s(int64_t unix_s, char out[36])
{
	memcpy(put_seconds(out, unix_s), "Z", 2);
}

void skf_time_rfc3339(int64_t unix_ns, char out[36])
{
	int64_t s = unix_ns / NS, ns = unix_ns % NS;
	char *p;

	if (ns < 0) { /* round towards the past; s * NS would overflow near INT64_MIN */
		s--;
		ns += NS;
	}
	p = put_seconds(out, s);
	*p++ = '.';
	p = put_digits(p, (uint64_t)ns, 9);
	memcpy(p, "Z", 2);
}

/* Exactly `width` digits at *s, which moves behind them. */
static bool take_digits(const char **s, unsigned width, unsigned *ret)
{
	unsigned v = 0;

	for (; width > 0; width--, (*s)++) {
		if (**s < '0' || **s > '9')
			return false;
		v = v * 10 + (unsigned)(**s - '0');
	}
	*ret = v;
	return true;
}

static bool take_char(const char **s, char c)
{
	char l = **s >= 'a' && **s <= 'z' ? (char)(**s - 'a' + 'A') : **s;

	if (l != c)
		return false;
	(*s)++;
	return true;
}

static bool take_fraction(const char **s, unsigned *ret_ns)
{
	unsigned v = 0, n = 0;

	for (; **s >= '0' && **s <= '9'; (*s)++, n++)
		if (n < 9)
			v = v * 10 + (unsigned)(**s - '0');
	for (unsigned i = n; i < 9; i++)
		v *= 10;
	*ret_ns = v;
	return n > 0;
}

static bool take_offset(const char **s, int *ret_s)
{
	unsigned h, m;
	int sign = **s == '-' ? -1 : 1;

	if (take_char(s, 'Z')) {
		*ret_s = 0;
		return true;
	}
	if (**s != '+' && **s != '-')
		return false;
	(*s)++;
	if (!take_digits(s, 2, &h) || !take_char(s, ':') || !take_digits(s, 2, &m) || h > 23 || m > 59)
		return false;
	*ret_s = sign * (int)(h * 3600 + m * 60);
	return true;
}

static bool date_ok(unsigned y, unsigned mo, unsigned d)
{
	static const unsigned char month_days[] = {31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};
	bool leap = (y % 4 == 0 && y % 100 != 0) || y % 400 == 0;

	return mo >= 1 && mo <= 12 && d >= 1 && d <= month_days[mo - 1] && (mo != 2 || d < 29 || leap);
}

/* A time outside of the years 1678 to 2261 (Go's zero time for one) does not fit 64 bits of nanoseconds:
 * -ERANGE. */
int skf_parse_rfc3339(const char *s, int64_t *ret_unix_ns)
{
	unsigned y, mo, d, h, mi, sec, ns = 0;
	int off;
	int64_t t;

	if (!s || !take_digits(&s, 4, &y) || !take_char(&s, '-') || !take_digits(&s, 2, &mo) ||
	    !take_char(&s, '-') || !take_digits(&s, 2, &d) || !(take_char(&s, 'T') || take_char(&s, ' ')) ||
	    !take_digits(&s, 2, &h) || !take_char(&s, ':') || !take_digits(&s, 2, &mi) ||
	    !take_char(&s, ':') || !take_digits(&s, 2, &sec))
		return -EINVAL;
	if (take_char(&s, '.') && !take_fraction(&s, &ns))
		return -EINVAL;
	if (!take_offset(&s, &off) || *s || !date_ok(y, mo, d) || h > 23 || mi > 59 || sec > 60)
		return -EINVAL;
	t = days_of_civil(y, mo, d) * DAY + (int64_t)h * 3600 + mi * 60 + sec - off;
	if (__builtin_mul_overflow(t, NS, &t) || __builtin_add_overflow(t, (int64_t)ns, &t))
		return -ERANGE;
	*ret_unix_ns = t;
	return 0;
}

int64_t skf_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_REALTIME, &t); /* cannot fail for this clock */
	return t.tv_sec * NS + t.tv_nsec;
}

int64_t skf_mono_ms(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t); /* cannot fail for this clock */
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
