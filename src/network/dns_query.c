/* network/dns_query.c -- from a query to an answer.
 * Order: names of the container's networks ("web", and "web.<network>"), addresses of them (PTR), then
 * whoever the container's or the host's resolvers are. As docker: a known name without an address of the
 * family is NODATA, not NXDOMAIN; an internal network forwards nothing (SERVFAIL); with ndots set by the
 * user a single label is not forwarded (empty answer). Unlike docker: a known name has no other records
 * either, so that its MX or HTTPS question is not told to the outside. */
#include "base/buf.h"
#include "network/dns_int.h"
#include "network/names.h"
#include <string.h>
#include <strings.h>

/* Short: a restarted container may have another address at once. */
#define TTL 5

static int look_up(struct skf_dns *d, const char *network, const char *name, struct skf_ip *ips, size_t *n)
{
	return skf_names_lookup(d->networks_fd, network, name, ips, SKF_MAX_DNS_ADDRS, n);
}

/* 1 the name is known, 0 not, -errno. */
static int find_name(struct skf_dns *d, const struct skf_dns_container *c, const char *name,
		     struct skf_ip *ips, size_t *n)
{
	size_t len = strlen(name);
	int r = 0;

	for (unsigned i = 0; i < c->conf->n_networks && r == 0; i++)
		r = look_up(d, c->conf->networks[i].id, name, ips, n);
	for (unsigned i = 0; i < c->conf->n_networks && r == 0; i++) {
		size_t suffix = strlen(c->conf->networks[i].name);
		char host[SKF_DNS_NAME];

		if (suffix == 0 || len <= suffix + 1 || name[len - suffix - 1] != '.' ||
		    strcasecmp(name + len - suffix, c->conf->networks[i].name) != 0)
			continue;
		memcpy(host, name, len - suffix - 1);
		host[len - suffix - 1] = 0;
		r = look_up(d, c->conf->networks[i].id, host, ips, n);
	}
	return r;
}

static void begin(struct skf_dns *d, struct skf_dns_reply *r, const struct skf_dns_from *from,
		  const uint8_t *p, const struct skf_dns_query *q, unsigned rcode)
{
	skf_dns_reply_begin(r, d->out, from->tcp ? SKF_MAX_DNS_MESSAGE : q->udp_size, p, q, rcode);
}

static size_t answer_rcode(struct skf_dns *d, const struct skf_dns_from *from, const uint8_t *p,
			   const struct skf_dns_query *q, unsigned rcode)
{
	struct skf_dns_reply r;

	begin(d, &r, from, p, q, rcode);
	return skf_dns_reply_end(&r);
}

/* Each answer begins with another address, so that clients that take the first spread over all. */
static size_t answer_addrs(struct skf_dns *d, const struct skf_dns_from *from, const uint8_t *p,
			   const struct skf_dns_query *q, const struct skf_ip *ips, size_t n)
{
	int family = q->type == SKF_DNS_A ? AF_INET : q->type == SKF_DNS_AAAA ? AF_INET6 : 0;
	struct skf_dns_reply r;

	begin(d, &r, from, p, q, SKF_DNS_OK);
	for (size_t i = 0, turn = d->turn++; i < n && family; i++) {
		const struct skf_ip *ip = &ips[(i + turn) % n];

		if (ip->family == family)
			skf_dns_reply_addr(&r, ip, TTL);
	}
	return skf_dns_reply_end(&r);
}

/* 1: *ret is the size of the answer; 0: not ours. As docker, "<name>.<network>". */
static int answer_ptr(struct skf_dns *d, const struct skf_dns_from *from, const uint8_t *p,
		      const struct skf_dns_query *q, size_t *ret)
{
	char name[SKF_DNS_NAME], full[SKF_DNS_NAME];
	struct skf_dns_reply r;
	struct skf_ip ip;

	if (skf_dns_reverse_name(q->name, &ip) < 0)
		return 0;
	for (unsigned i = 0; i < from->c->conf->n_networks; i++) {
		const char *net = from->c->conf->networks[i].name;

		if (skf_names_reverse(d->networks_fd, from->c->conf->networks[i].id, &ip, name,
				      sizeof(name)) != 1)
			continue;
		if (skf_fmt(full, sizeof(full), "%s%s%s", name, *net ? "." : "", net) < 0)
			memcpy(full, name, sizeof(full));
		begin(d, &r, from, p, q, SKF_DNS_OK);
		skf_dns_reply_ptr(&r, full, TTL);
		*ret = skf_dns_reply_end(&r);
		return 1;
	}
	return 0;
}

static bool forwards(const struct skf_dns_container *c, const struct skf_dns_query *q, unsigned *rcode)
{
	if (c->conf->internal) {
		*rcode = SKF_DNS_SERVFAIL;
		return false;
	}
	*rcode = SKF_DNS_OK;
	return !(c->conf->ndots && (q->type == SKF_DNS_A || q->type == SKF_DNS_AAAA) &&
		 !strchr(q->name, '.'));
}

size_t skf_dns_query(struct skf_dns *d, const struct skf_dns_from *from, const uint8_t *p, size_t n)
{
	struct skf_ip *ips = d->ips;
	struct skf_dns_query q;
	unsigned rcode;
	size_t k = 0, len;

	if (skf_dns_query_read(p, n, &q) < 0)
		return 0;
	if (q.rcode != SKF_DNS_OK)
		return answer_rcode(d, from, p, &q, q.rcode);
	if (q.class_ == SKF_DNS_IN && q.plain && q.name[0]) {
		int r = find_name(d, from->c, q.name, ips, &k);

		if (r < 0)
			return answer_rcode(d, from, p, &q, SKF_DNS_SERVFAIL);
		if (r == 1)
			skf_dns_learn_own(d, from->c, q.name, ips, k);
		if (r == 1)
			return answer_addrs(d, from, p, &q, ips, k);
		if (q.type == SKF_DNS_PTR && answer_ptr(d, from, p, &q, &len) == 1)
			return len;
	}
	if (!forwards(from->c, &q, &rcode))
		return answer_rcode(d, from, p, &q, rcode);
	return skf_dns_forward(d, from, &q, p, n) == 0 ? 0 : answer_rcode(d, from, p, &q, SKF_DNS_SERVFAIL);
}
