/* network/dns_packet.c -- DNS messages as bytes; see the header.
 * Invariants: (1) every read is bounded by n; (2) following compression pointers ends: each
 * has to point behind the header and before the place it was met at, so that a question has none; (3) an
 * answer never passes max, and OPT always has its room. */
#include "network/dns_packet.h"
#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

enum { QR = 0x8000, AA = 0x0400, TC = 0x0200, RD = 0x0100, RA = 0x0080, OPCODE = 0x7800 };
#define OPT_LEN    11
#define MAX_CNAMES 16

static uint16_t get16(const uint8_t *p)
{
	return (uint16_t)(p[0] << 8 | p[1]);
}

static uint32_t get32(const uint8_t *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(uint8_t *p, unsigned v)
{
	p[0] = (uint8_t)(v >> 8);
	p[1] = (uint8_t)v;
}

static void put32(uint8_t *p, uint32_t v)
{
	put16(p, v >> 16);
	put16(p + 2, v & 0xffff);
}

uint16_t skf_dns_id(const uint8_t *p)
{
	return get16(p);
}

void skf_dns_set_id(uint8_t *p, uint16_t id)
{
	put16(p, id);
}

unsigned skf_dns_rcode(const uint8_t *p)
{
	return p[3] & 15;
}

/* --- names --- */
struct name {
	char s[SKF_DNS_NAME];
	size_t len;
	bool plain;
};

static bool plain_char(unsigned char c)
{
	return isascii(c) && (isalnum(c) || c == '-' || c == '_');
}

static int add_label(struct name *m, const uint8_t *p, unsigned len)
{
	if (m->len + (m->len > 0) + len > SKF_DNS_NAME - 1)
		return -EBADMSG;
	if (m->len)
		m->s[m->len++] = '.';
	for (unsigned i = 0; i < len; i++) {
		m->plain = m->plain && plain_char(p[i]);
		m->s[m->len++] = (char)(isascii(p[i]) ? tolower(p[i]) : p[i]);
	}
	return 0;
}

/* The name at *at; *at moves behind it. */
static int read_name(const uint8_t *p, size_t n, size_t *at, struct name *ret)
{
	struct name m = {.plain = true};
	size_t i = *at, limit = i, end = 0;

	for (;;) {
		unsigned len;

		if (i >= n)
			return -EBADMSG;
		len = p[i];
		if ((len & 0xc0) == 0xc0) {
			size_t to;

			if (i + 2 > n)
				return -EBADMSG;
			to = get16(p + i) & 0x3fff;
			if (!end)
				end = i + 2;
			if (to >= limit || to < SKF_DNS_HEADER)
				return -EBADMSG;
			i = limit = to;
			continue;
		}
		if (len > 63 || i + 1 + len > n)
			return -EBADMSG;
		i += 1 + len;
		if (len == 0)
			break;
		if (add_label(&m, p + i - len, len) < 0)
			return -EBADMSG;
	}
	m.s[m.len] = 0;
	*at = end ? end : i;
	*ret = m;
	return 0;
}

/* --- records --- */
struct rr {
	struct name owner;
	uint16_t type, class_, len;
	uint32_t ttl;
	size_t data; /* its place in the message */
};

static int read_rr(const uint8_t *p, size_t n, size_t *at, struct rr *ret)
{
	size_t i = *at;

	if (read_name(p, n, &i, &ret->owner) < 0 || n - i < 10)
		return -EBADMSG;
	ret->type = get16(p + i);
	ret->class_ = get16(p + i + 2);
	ret->ttl = get32(p + i + 4);
	ret->len = get16(p + i + 8);
	ret->data = i + 10;
	if (n - ret->data < ret->len)
		return -EBADMSG;
	*at = ret->data + ret->len;
	return 0;
}

/* --- queries --- */
static int read_opt(const uint8_t *p, size_t n, size_t at, struct skf_dns_query *q)
{
	unsigned count = get16(p + 6) + get16(p + 8) + get16(p + 10);
	struct rr r;

	for (unsigned i = 0; i < count; i++) {
		if (read_rr(p, n, &at, &r) < 0)
			return -EBADMSG;
		if (r.type != SKF_DNS_OPT)
			continue;
		if (q->edns)
			return -EBADMSG; /* RFC 6891 6.1.1: only one */
		q->edns = true;
		q->udp_size = r.class_ < SKF_DNS_UDP ? SKF_DNS_UDP : r.class_;
		q->dnssec_ok = r.ttl & 0x8000;
		if ((r.ttl >> 16 & 0xff) != 0)
			q->rcode = SKF_DNS_BADVERS;
	}
	return 0;
}

int skf_dns_query_read(const uint8_t *p, size_t n, struct skf_dns_query *ret)
{
	struct skf_dns_query q = {.udp_size = SKF_DNS_UDP, .rcode = SKF_DNS_FORMERR};
	size_t at = SKF_DNS_HEADER;
	struct name name;

	if (n < SKF_DNS_HEADER || get16(p + 2) & QR)
		return -EBADMSG;
	q.id = get16(p);
	q.recursion = get16(p + 2) & RD;
	if (get16(p + 2) & OPCODE) {
		q.rcode = SKF_DNS_NOTIMP;
	} else if (get16(p + 4) == 1 && read_name(p, n, &at, &name) == 0 && n - at >= 4) {
		q.rcode = SKF_DNS_OK;
		q.type = get16(p + at);
		q.class_ = get16(p + at + 2);
		q.question_len = (uint16_t)(at + 4 - SKF_DNS_HEADER);
		q.plain = name.plain;
		memcpy(q.name, name.s, name.len + 1);
		if (read_opt(p, n, at + 4, &q) < 0)
			q.rcode = SKF_DNS_FORMERR;
	}
	*ret = q;
	return 0;
}

/* --- answers --- */
void skf_dns_reply_begin(struct skf_dns_reply *r, uint8_t *p, size_t max, const uint8_t *query,
			 const struct skf_dns_query *q, unsigned rcode)
{
	*r = (struct skf_dns_reply){
		.p = p, .len = SKF_DNS_HEADER, .max = max - (q->edns ? OPT_LEN : 0), .q = q};
	memset(p, 0, SKF_DNS_HEADER);
	put16(p, q->id);
	put16(p + 2, QR | RA | (get16(query + 2) & (OPCODE | RD)) | (rcode & 15));
	if (q->question_len && (size_t)SKF_DNS_HEADER + q->question_len <= r->max) {
		put16(p + 4, 1);
		memcpy(p + SKF_DNS_HEADER, query + SKF_DNS_HEADER, q->question_len);
		r->len += q->question_len;
	}
}

/* A record of the question's name; its data, len bytes, are for the caller to write. NULL: it does not fit.
 */
static uint8_t *add_rr(struct skf_dns_reply *r, unsigned type, uint32_t ttl, size_t len)
{
	uint8_t *p = r->p + r->len;

	if (r->cut || r->max - r->len < 12 + len || r->answers == UINT16_MAX) {
		r->cut = true;
		return NULL;
	}
	put16(p, 0xc000 | SKF_DNS_HEADER);
	put16(p + 2, type);
	put16(p + 4, SKF_DNS_IN);
	put32(p + 6, ttl);
	put16(p + 10, (unsigned)len);
	r->len += 12 + len;
	r->answers++;
	return p + 12;
}

void skf_dns_reply_addr(struct skf_dns_reply *r, const struct skf_ip *ip, uint32_t ttl)
{
	uint8_t *p = add_rr(r, ip->family == AF_INET ? SKF_DNS_A : SKF_DNS_AAAA, ttl, skf_ip_len(ip));

	if (p)
		memcpy(p, ip->b, skf_ip_len(ip));
}

void skf_dns_reply_ptr(struct skf_dns_reply *r, const char *name, uint32_t ttl)
{
	size_t n = strlen(name);
	uint8_t *p;

	if (n == 0 || n > SKF_DNS_NAME - 3)
		return;
	p = add_rr(r, SKF_DNS_PTR, ttl, n + 2);
	while (p) {
		size_t len = strcspn(name, ".");

		*p++ = (uint8_t)len;
		memcpy(p, name, len);
		p += len;
		name += len;
		if (!*name)
			break;
		name++;
	}
	if (p)
		*p = 0;
}

size_t skf_dns_reply_end(struct skf_dns_reply *r)
{
	uint8_t *p = r->p + r->len;

	put16(r->p + 6, r->answers);
	if (r->cut)
		put16(r->p + 2, get16(r->p + 2) | TC);
	if (!r->q->edns)
		return r->len;
	put16(r->p + 10, 1);
	memset(p, 0, OPT_LEN);
	put16(p + 1, SKF_DNS_OPT);
	put16(p + 3, SKF_DNS_EDNS);
	p[5] = r->q->rcode >> 4;
	p[7] = r->q->dnssec_ok ? 0x80 : 0;
	r->len += OPT_LEN;
	return r->len;
}

/* --- reverse names --- */
static int reverse4(const char *name, struct skf_ip *ret)
{
	struct skf_ip ip = {.family = AF_INET};
	const char *s = name;

	for (int i = 3; i >= 0; i--) {
		unsigned v = 0, digits = 0;

		for (; isdigit((unsigned char)*s) && digits < 3; s++, digits++)
			v = v * 10 + (unsigned)(*s - '0');
		if (!digits || v > 255 || *s++ != '.')
			return -EINVAL;
		ip.b[i] = (uint8_t)v;
	}
	if (strcmp(s, "in-addr.arpa") != 0)
		return -EINVAL;
	*ret = ip;
	return 0;
}

static int reverse6(const char *name, struct skf_ip *ret)
{
	static const char hex[] = "0123456789abcdef";
	struct skf_ip ip = {.family = AF_INET6};

	for (int i = 31; i >= 0; i--, name += 2) {
		const char *d = name[0] ? strchr(hex, name[0]) : NULL;

		if (!d || name[1] != '.')
			return -EINVAL;
		ip.b[i / 2] |= (uint8_t)((d - hex) << (i % 2 ? 0 : 4));
	}
	if (strcmp(name, "ip6.arpa") != 0)
		return -EINVAL;
	*ret = ip;
	return 0;
}

int skf_dns_reverse_name(const char *name, struct skf_ip *ret)
{
	return reverse4(name, ret) == 0 ? 0 : reverse6(name, ret);
}

/* --- forwarded answers --- */
static int read_question(const uint8_t *p, size_t n, struct name *ret, size_t *end)
{
	size_t at = SKF_DNS_HEADER;

	if (n < SKF_DNS_HEADER || get16(p + 4) != 1 || read_name(p, n, &at, ret) < 0 || n - at < 4)
		return -EBADMSG;
	*end = at + 4;
	return 0;
}

/* A server that cannot read the question (FORMERR) may leave it out. */
bool skf_dns_is_answer(const uint8_t *q, size_t qn, const uint8_t *p, size_t n)
{
	struct name a, b;
	size_t ea, eb;

	if (n < SKF_DNS_HEADER || qn < SKF_DNS_HEADER || get16(p) != get16(q) || !(get16(p + 2) & QR))
		return false;
	if (get16(p + 4) == 0 && get16(p + 6) == 0 && skf_dns_rcode(p) != SKF_DNS_OK)
		return true;
	return read_question(q, qn, &a, &ea) == 0 && read_question(p, n, &b, &eb) == 0 && a.len == b.len &&
	       memcmp(a.s, b.s, a.len) == 0 && memcmp(q + ea - 4, p + eb - 4, 4) == 0;
}

/* The first record of type from owner, in the answer section. 1 found, 0 not, -EBADMSG. */
static int find_cname(const uint8_t *p, size_t n, size_t at, const struct name *owner, struct name *ret,
		      uint32_t *ttl)
{
	struct rr r;

	for (unsigned i = get16(p + 6); i > 0; i--) {
		if (read_rr(p, n, &at, &r) < 0)
			return -EBADMSG;
		if (r.type == SKF_DNS_CNAME && r.class_ == SKF_DNS_IN && r.owner.len == owner->len &&
		    memcmp(r.owner.s, owner->s, owner->len) == 0) {
			size_t data = r.data;

			if (r.ttl < *ttl)
				*ttl = r.ttl;
			return read_name(p, r.data + r.len, &data, ret) < 0 ? -EBADMSG : 1;
		}
	}
	return 0;
}

int skf_dns_each_addr(const uint8_t *p, size_t n,
		      int (*fn)(const struct skf_ip *ip, uint32_t ttl, void *arg), void *arg)
{
	uint32_t ttl = INT32_MAX;
	struct name owner, next;
	size_t start, at;
	struct rr r;
	int found = 1;

	if (read_question(p, n, &owner, &start) < 0)
		return -EBADMSG;
	for (unsigned i = 0; i < MAX_CNAMES && found == 1; i++) {
		found = find_cname(p, n, start, &owner, &next, &ttl);
		if (found < 0)
			return found;
		if (found)
			owner = next;
	}
	at = start;
	for (unsigned i = get16(p + 6); i > 0; i--) {
		struct skf_ip ip = {0};
		int s;

		if (read_rr(p, n, &at, &r) < 0)
			return -EBADMSG;
		ip.family = r.type == SKF_DNS_A ? AF_INET : r.type == SKF_DNS_AAAA ? AF_INET6 : 0;
		if (!ip.family || r.class_ != SKF_DNS_IN || r.len != skf_ip_len(&ip) ||
		    r.owner.len != owner.len || memcmp(r.owner.s, owner.s, owner.len) != 0)
			continue;
		memcpy(ip.b, p + r.data, r.len);
		s = fn(&ip, r.ttl < ttl ? r.ttl : ttl, arg);
		if (s != 0)
			return s;
	}
	return 0;
}
