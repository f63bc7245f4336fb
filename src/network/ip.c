/* network/ip.c -- addresses and subnets of both families. Pure; every result is in network byte order. */
#include "network/ip.h"
#include "base/buf.h"
#include <arpa/inet.h>
#include <string.h>

int skf_ip_parse(const char *s, struct skf_ip *ret)
{
	struct skf_ip ip = {.family = strchr(s, ':') ? AF_INET6 : AF_INET};

	if (inet_pton(ip.family, s, ip.b) != 1)
		return -EINVAL;
	*ret = ip;
	return 0;
}

void skf_ip_text(const struct skf_ip *ip, char out[SKF_IP_TEXT])
{
	if (!ip->family || !inet_ntop(ip->family, ip->b, out, SKF_IP_TEXT))
		out[0] = '\0';
}

int skf_ip_cmp(const struct skf_ip *a, const struct skf_ip *b)
{
	return memcmp(a->b, b->b, skf_ip_len(a));
}

bool skf_ip_equal(const struct skf_ip *a, const struct skf_ip *b)
{
	return a->family == b->family && (!a->family || skf_ip_cmp(a, b) == 0);
}

bool skf_ip_is_any(const struct skf_ip *ip)
{
	static const uint8_t zero[16];

	return !ip->family || memcmp(ip->b, zero, skf_ip_len(ip)) == 0;
}

bool skf_ip_is_loopback(const struct skf_ip *ip)
{
	static const uint8_t one[16] = {[15] = 1};

	return ip->family == AF_INET ? ip->b[0] == 127
				     : ip->family == AF_INET6 && memcmp(ip->b, one, 16) == 0;
}

int skf_cidr_parse(const char *s, bool bare_ok, struct skf_cidr *ret)
{
	const char *slash = strchr(s, '/');
	char text[SKF_CIDR_TEXT];
	struct skf_cidr c;
	uint32_t prefix;
	size_t n = slash ? (size_t)(slash - s) : strlen(s);

	if (n >= sizeof(text) || (!slash && !bare_ok))
		return -EINVAL;
	memcpy(text, s, n);
	text[n] = '\0';
	if (skf_ip_parse(text, &c.ip) < 0)
		return -EINVAL;
	prefix = (uint32_t)skf_ip_len(&c.ip) * 8;
	if (slash && (skf_parse_u32(slash + 1, &prefix) < 0 || prefix > skf_ip_len(&c.ip) * 8))
		return -EINVAL;
	c.prefix = (uint8_t)prefix;
	*ret = c;
	return 0;
}

void skf_cidr_text(const struct skf_cidr *c, char out[SKF_CIDR_TEXT])
{
	char ip[SKF_IP_TEXT];

	skf_ip_text(&c->ip, ip);
	if (skf_fmt(out, SKF_CIDR_TEXT, "%s/%u", ip, c->prefix) < 0)
		out[0] = '\0';
}

/* The address with every bit behind the prefix set to `one`. */
static struct skf_ip fill_host(const struct skf_cidr *c, bool one)
{
	struct skf_ip ip = c->ip;

	for (unsigned bit = c->prefix; bit < skf_ip_len(&ip) * 8; bit++) {
		uint8_t mask = (uint8_t)(0x80u >> (bit & 7));

		ip.b[bit / 8] = (uint8_t)(one ? ip.b[bit / 8] | mask : ip.b[bit / 8] & ~mask);
	}
	return ip;
}

struct skf_ip skf_cidr_first(const struct skf_cidr *c)
{
	return fill_host(c, false);
}

struct skf_ip skf_cidr_last(const struct skf_cidr *c)
{
	return fill_host(c, true);
}

bool skf_cidr_has(const struct skf_cidr *c, const struct skf_ip *ip)
{
	struct skf_cidr x = {*ip, c->prefix};
	struct skf_ip a = skf_cidr_first(c), b = skf_cidr_first(&x);

	return c->ip.family == ip->family && skf_ip_equal(&a, &b);
}

bool skf_cidr_overlap(const struct skf_cidr *a, const struct skf_cidr *b)
{
	return a->prefix <= b->prefix ? skf_cidr_has(a, &b->ip) : skf_cidr_has(b, &a->ip);
}

struct skf_ip skf_ip_add(const struct skf_ip *ip, uint64_t n)
{
	struct skf_ip r = *ip;
	unsigned carry = 0;

	for (size_t i = skf_ip_len(ip); i-- > 0 && (n || carry); n >>= 8) {
		carry += r.b[i] + (unsigned)(n & 0xff);
		r.b[i] = (uint8_t)carry;
		carry >>= 8;
	}
	return r;
}
