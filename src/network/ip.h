/* network/ip.h -- addresses and subnets of both families as plain values. Pure. */
#pragma once
#include "base/fwd.h"

#define SKF_IP_TEXT   46 /* INET6_ADDRSTRLEN */
#define SKF_CIDR_TEXT 50

struct skf_ip {
	uint8_t family; /* AF_INET, AF_INET6; 0: none */
	uint8_t b[16];  /* network byte order; the first 4 or 16 */
};
struct skf_cidr {
	struct skf_ip ip; /* host bits kept as given */
	uint8_t prefix;
};
static inline size_t skf_ip_len(const struct skf_ip *ip)
{
	return ip->family == 2 /* AF_INET */ ? 4 : 16;
}
/* "10.0.0.1", "fd00::1"; no zone, no brackets. 0 or -EINVAL. */
int skf_ip_parse(const char *s, struct skf_ip *ret);
void skf_ip_text(const struct skf_ip *ip, char out[SKF_IP_TEXT]); /* "" for none */
bool skf_ip_equal(const struct skf_ip *a, const struct skf_ip *b);
bool skf_ip_is_any(const struct skf_ip *ip);
bool skf_ip_is_loopback(const struct skf_ip *ip);
/* "10.0.0.0/24"; without a prefix length 32 or 128 when bare_ok. 0 or -EINVAL. */
int skf_cidr_parse(const char *s, bool bare_ok, struct skf_cidr *ret);
void skf_cidr_text(const struct skf_cidr *c, char out[SKF_CIDR_TEXT]);
/* First and last address of the subnet. */
struct skf_ip skf_cidr_first(const struct skf_cidr *c);
struct skf_ip skf_cidr_last(const struct skf_cidr *c);
bool skf_cidr_has(const struct skf_cidr *c, const struct skf_ip *ip);
bool skf_cidr_overlap(const struct skf_cidr *a, const struct skf_cidr *b);
/* ip + n, wrapping. */
struct skf_ip skf_ip_add(const struct skf_ip *ip, uint64_t n);
/* < 0, 0, > 0 of the same family. */
int skf_ip_cmp(const struct skf_ip *a, const struct skf_ip *b);
