/* network/publish.c -- docker's grammar of published and exposed ports (go-connections nat.ParsePortSpec),
 * with its words for what is wrong. */
#include "network/publish.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include <string.h>

struct range {
	uint16_t first, last;
};

static bool port_number(const char *s, uint16_t *ret)
{
	uint32_t v;

	if (skf_parse_u32(s, &v) < 0 || v > UINT16_MAX)
		return false;
	*ret = (uint16_t)v;
	return true;
}

/* s is as it was when this returns: it is shown in errors. */
static bool parse_range(char *s, struct range *ret)
{
	char *dash = strchr(s, '-');
	bool ok;

	if (dash)
		*dash = '\0';
	ok = port_number(s, &ret->first) && (!dash || port_number(dash + 1, &ret->last));
	if (dash)
		*dash = '-';
	else
		ret->last = ret->first;
	return ok && ret->first <= ret->last;
}

bool skf_proto_known(const char *p)
{
	return skf_streq(p, "tcp") || skf_streq(p, "udp") || skf_streq(p, "sctp");
}

/* Cuts "/proto" off s. */
static const char *cut_proto(char *s)
{
	char *slash = strrchr(s, '/');

	if (!slash)
		return "tcp";
	*slash = '\0';
	for (char *c = slash + 1; *c; c++)
		*c = (char)(*c >= 'A' && *c <= 'Z' ? *c | 0x20 : *c);
	return slash[1] ? slash + 1 : "tcp";
}

struct words { /* parts of the spec */
	const char *ip;
	char *host, *ctr;
};

/* The last colon ends the host's part, the one before it the address; an address in brackets may have colons
 * of its own. */
static bool split(char *s, struct words *w)
{
	char *colon = strrchr(s, ':'), *end;

	*w = (struct words){"", s + strlen(s), s};
	if (!colon || (*s == '[' && strchr(s, ']') > colon))
		return *s != '[';
	*colon = '\0';
	w->ctr = colon + 1;
	w->host = s;
	if (*s == '[') {
		end = strchr(s, ']');
		if (!end || (end[1] != ':' && end[1] != '\0'))
			return false;
		w->ip = s + 1;
		w->host = end[1] ? end + 2 : end + 1;
		*end = '\0';
		return true;
	}
	colon = strrchr(s, ':');
	if (!colon)
		return true;
	*colon = '\0';
	w->ip = s;
	w->host = colon + 1;
	return !strchr(s, ':');
}

static int grow(struct skf_arena *a, struct skf_jarr *v, size_t more)
{
	struct skf_publish *p = skf_arena_array(a, v->n + more, sizeof(*p));

	if (!p)
		return -ENOMEM;
	if (v->n)
		memcpy(p, v->v, v->n * sizeof(*p));
	v->v = p;
	return 0;
}

static int add(struct skf_arena *a, struct skf_jarr *v, const struct words *w, const char *proto,
	       const struct range *host, const struct range *ctr)
{
	unsigned n = ctr->last - ctr->first + 1u;
	char *ip = skf_arena_strdup(a, w->ip), *pr = skf_arena_strdup(a, proto);
	struct skf_publish *p;

	if (!ip || !pr || grow(a, v, n) < 0)
		return -ENOMEM;
	p = (struct skf_publish *)v->v + v->n;
	for (unsigned i = 0; i < n; i++)
		p[i] = (struct skf_publish){
			.proto = pr,
			.host_ip = ip,
			.host_first = (uint16_t)(*w->host ? host->first + (n > 1 ? i : 0) : 0),
			.host_last = (uint16_t)(*w->host ? (n > 1 ? host->first + i : host->last) : 0),
			.port = (uint16_t)(ctr->first + i)};
	v->n += n;
	return 0;
}

int skf_publish_parse(const char *spec, struct skf_arena *a, struct skf_jarr *v, struct skf_err *e)
{
	char *s = skf_arena_strdup(a, spec);
	const char *proto = s ? cut_proto(s) : NULL;
	struct range host = {0, 0}, ctr;
	struct skf_ip ip;
	struct words w;

	if (!s)
		return skf_fail(e, SKF_ENOMEM, "memory for the published ports");
	if (!split(s, &w))
		return skf_fail(e, SKF_EINVALID,
				"invalid publish '%s': expected [HOST:][PORT:]PORT[/PROTO], an IPv6 host in "
				"brackets",
				spec);
	if (!*w.ctr)
		return skf_fail(e, SKF_EINVALID, "no port specified: %s<empty>", spec);
	if (!parse_range(w.ctr, &ctr) || ctr.first == 0)
		return skf_fail(e, SKF_EINVALID, "invalid containerPort: %s", w.ctr);
	if (*w.host && (!parse_range(w.host, &host) || (host.first == 0 && host.last != 0)))
		return skf_fail(e, SKF_EINVALID, "invalid hostPort: %s", w.host);
	if (*w.host && host.first == 0 && host.last == 0)
		*w.host = '\0';
	if (*w.ip && skf_ip_parse(w.ip, &ip) < 0)
		return skf_fail(e, SKF_EINVALID, "invalid IP address: %s", w.ip);
	if (!skf_proto_known(proto))
		return skf_fail(e, SKF_EINVALID, "invalid proto: %s", proto);
	if (*w.host && ctr.first != ctr.last && host.last - host.first != ctr.last - ctr.first)
		return skf_fail(e, SKF_EINVALID,
				"invalid ranges specified for container and host Ports: %s and %s", w.ctr,
				w.host);
	if (v->n + ctr.last - ctr.first + 1 > SKF_MAX_PUBLISH)
		return skf_fail(e, SKF_ELIMIT, "more than %d ports are published", SKF_MAX_PUBLISH);
	return add(a, v, &w, proto, &host, &ctr) < 0
		       ? skf_fail(e, SKF_ENOMEM, "memory for the published ports")
		       : 0;
}

int skf_expose_parse(const char *spec, struct skf_arena *a, struct skf_strv *v, struct skf_err *e)
{
	char *s = skf_arena_strdup(a, spec);
	const char *proto = s ? cut_proto(s) : NULL;
	struct range r;

	if (!s)
		return skf_fail(e, SKF_ENOMEM, "memory for the exposed ports");
	if (strchr(s, ':') || !skf_proto_known(proto))
		return skf_fail(e, SKF_EINVALID, "invalid port format for --expose: %s", spec);
	if (!parse_range(s, &r) || r.first == 0)
		return skf_fail(e, SKF_EINVALID, "invalid range format for --expose: %s", spec);
	for (unsigned p = r.first; p <= r.last; p++) {
		char *w = skf_arena_fmt(a, "%u/%s", p, proto);

		if (v->n == SKF_MAX_EXPOSED)
			return skf_fail(e, SKF_ELIMIT, "more than %d ports are exposed", SKF_MAX_EXPOSED);
		if (!w || skf_strv_add(a, v, w) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for the exposed ports");
	}
	return 0;
}

int skf_exposed_split(const char *word, uint16_t *ret_port, char proto[8])
{
	char number[8];
	size_t n = strcspn(word, "/");

	if (n >= sizeof(number) || skf_fmt(proto, 8, "%s", word[n] ? word + n + 1 : "tcp") < 0)
		return -EINVAL;
	memcpy(number, word, n);
	number[n] = '\0';
	return port_number(number, ret_port) && *ret_port && skf_proto_known(proto) ? 0 : -EINVAL;
}
