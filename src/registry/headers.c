/* registry/headers.c -- parsers of the headers that the distribution API adds to HTTP's: Link, Range,
 * Content-Range, OCI-Tag, Warning. Pure functions over bytes that a registry chose: no allocation, no
 * recursion, every output bounded; a value that does not fit is no value. */
#include "base/buf.h"
#include "registry/registry_int.h"
#include <pthread.h>
#include <string.h>
#include <strings.h>

static size_t digits(const char *p, size_t n, uint64_t *ret)
{
	char s[24];
	size_t k = 0;
	while (k < n && k + 1 < sizeof(s) && p[k] >= '0' && p[k] <= '9') {
		s[k] = p[k];
		k++;
	}
	s[k] = 0;
	return k && skf_parse_u64(s, ret) == 0 ? k : 0;
}

/* Only the first number matters, the rest is known from the manifest. */
bool skf_http_parse_content_range(const char *p, size_t n, uint64_t *ret_start)
{
	static const char unit[] = "bytes ";
	uint64_t v;
	if (n < sizeof(unit) || strncasecmp(p, unit, sizeof(unit) - 1) != 0 ||
	    !digits(p + sizeof(unit) - 1, n - sizeof(unit) + 1, &v))
		return false;
	*ret_start = v;
	return true;
}

bool skf_http_parse_uploaded(const char *p, size_t n, uint64_t *ret_n)
{
	static const char unit[] = "bytes=";
	uint64_t first, last;
	if (n > sizeof(unit) && strncasecmp(p, unit, sizeof(unit) - 1) == 0) {
		p += sizeof(unit) - 1;
		n -= sizeof(unit) - 1;
	}
	size_t k = digits(p, n, &first);
	if (!k || k >= n || p[k] != '-' || first != 0)
		return false;
	size_t m = digits(p + k + 1, n - k - 1, &last);
	if (!m || k + 1 + m != n || last == UINT64_MAX)
		return false;
	*ret_n = last ? last + 1 : 0; /* registries write 0-0 for nothing */
	return true;
}

struct scan {
	const char *p, *end;
};

static void spaces(struct scan *s)
{
	while (s->p < s->end && (*s->p == ' ' || *s->p == '\t'))
		s->p++;
}

/* token or quoted-string into out (cut values are never equal to what is looked for). */
static bool value(struct scan *s, char *out, size_t size)
{
	size_t n = 0;
	bool quoted = s->p < s->end && *s->p == '"';
	s->p += quoted;
	while (s->p < s->end && (quoted ? *s->p != '"' : !strchr(" \t;,", *s->p))) {
		if (quoted && *s->p == '\\' && ++s->p == s->end)
			return false;
		if (n + 1 < size)
			out[n++] = *s->p;
		s->p++;
	}
	out[n] = 0;
	if (!quoted)
		return true;
	if (s->p == s->end)
		return false;
	s->p++;
	return true;
}

/* ;name=value ... up to the next link. *next: one of them is rel=next. */
static bool params(struct scan *s, bool *next)
{
	char name[16], v[64];
	for (spaces(s); s->p < s->end && *s->p == ';'; spaces(s)) {
		size_t n = 0;
		s->p++;
		spaces(s);
		for (; s->p < s->end && !strchr("= \t;,", *s->p); s->p++)
			if (n + 1 < sizeof(name))
				name[n++] = *s->p;
		name[n] = 0;
		spaces(s);
		v[0] = 0;
		if (s->p < s->end && *s->p == '=') {
			s->p++;
			spaces(s);
			if (!value(s, v, sizeof(v)))
				return false;
		}
		*next |= strcasecmp(name, "rel") == 0 && strcasecmp(v, "next") == 0;
	}
	return true;
}

int skf_http_link_next(const char *p, size_t n, char *ret, size_t size)
{
	struct scan s = {p, p + n};
	if (memchr(p, 0, n)) /* strchr would find it in every set */
		return -1;
	for (spaces(&s); s.p < s.end; spaces(&s)) {
		bool next = false;
		if (*s.p++ != '<')
			return -1;
		const char *url = s.p, *close = memchr(s.p, '>', (size_t)(s.end - s.p));
		if (!close)
			return -1;
		s.p = close + 1;
		if (!params(&s, &next))
			return -1;
		if (next) {
			if ((size_t)(close - url) >= size || close == url)
				return -1;
			memcpy(ret, url, (size_t)(close - url));
			ret[close - url] = 0;
			return 1;
		}
		if (s.p < s.end && *s.p++ != ',')
			return -1;
	}
	return 0;
}

bool skf_http_parse_warning(const char *p, size_t n, char *ret, size_t size)
{
	static const char code[] = "299 ";
	struct scan s = {p, p + n};
	if (n < sizeof(code) || memcmp(p, code, sizeof(code) - 1) != 0 || memchr(p, 0, n))
		return false;
	const char *quote = memchr(p, '"', n);
	if (!quote)
		return false;
	s.p = quote;
	if (!value(&s, ret, size))
		return false;
	for (char *c = ret; *c; c++)
		if ((unsigned char)*c < 0x20 || (unsigned char)*c >= 0x7f) /* it goes to a terminal */
			*c = '?';
	return ret[0] != 0;
}

bool skf_http_list_has(const char *list, const char *word)
{
	size_t n = strlen(word);
	for (const char *p = list; *p;) {
		p += strspn(p, " \t,");
		size_t k = strcspn(p, " \t,");
		if (k == n && n && memcmp(p, word, n) == 0)
			return true;
		p += k;
	}
	return false;
}

bool skf_http_same_alg(const char *header, const struct skf_digest *d)
{
	size_t n = (size_t)(skf_digest_hex(d) - d->s);
	return n && strncmp(header, d->s, n) == 0;
}

/* --- warnings that were shown --- */
#define MAX_WARNINGS 16
struct skf_http_warned {
	pthread_mutex_t m;
	char text[MAX_WARNINGS][256];
	size_t n;
};

struct skf_http_warned *skf_http_warned_new(void)
{
	struct skf_http_warned *w = calloc(1, sizeof(*w));
	if (w)
		pthread_mutex_init(&w->m, NULL);
	return w;
}

void skf_http_warned_free(struct skf_http_warned *w)
{
	if (w)
		pthread_mutex_destroy(&w->m);
	free(w);
}

void skf_http_warn(struct skf_registry *r, const char *text)
{
	struct skf_http_warned *w = r->warned;
	pthread_mutex_lock(&w->m);
	bool old = w->n >= MAX_WARNINGS; /* a registry that has so much to say is not heard */
	for (size_t i = 0; !old && i < w->n; i++)
		old = skf_streq(w->text[i], text);
	if (!old && skf_fmt(w->text[w->n], sizeof(w->text[0]), "%s", text) == 0)
		w->n++;
	pthread_mutex_unlock(&w->m);
	if (!old)
		skf_warn(r->log, "registry '%s' says: %s", r->host, text);
}
