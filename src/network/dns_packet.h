/* network/dns_packet.h -- DNS messages as bytes: reading a query, making an answer, checking and reading a
 * forwarded one. No I/O, no memory of its own; nothing is read behind n, whatever the bytes are. RFC 1035 4,
 * RFC 6891 (EDNS). Fuzzed (tests/fuzz/fuzz_dns.c). */
#pragma once
#include "network/ip.h"

#define SKF_DNS_NAME   256 /* text of a name with its NUL: at most 253 characters, no final dot */
#define SKF_DNS_HEADER 12
#define SKF_DNS_UDP    512  /* a UDP answer's size without EDNS */
#define SKF_DNS_EDNS   1232 /* what we take and give over UDP: fits every path MTU (DNS flag day 2020) */

enum skf_dns_rcode {
	SKF_DNS_OK,
	SKF_DNS_FORMERR,
	SKF_DNS_SERVFAIL,
	SKF_DNS_NXDOMAIN,
	SKF_DNS_NOTIMP,
	SKF_DNS_REFUSED,
	SKF_DNS_BADVERS = 16
};
enum {
	SKF_DNS_A = 1,
	SKF_DNS_CNAME = 5,
	SKF_DNS_PTR = 12,
	SKF_DNS_AAAA = 28,
	SKF_DNS_OPT = 41,
	SKF_DNS_IN = 1
};

struct skf_dns_query {
	uint16_t id, type, class_;
	bool edns, dnssec_ok, recursion;
	uint16_t udp_size; /* SKF_DNS_UDP without EDNS */
	uint8_t rcode;     /* not OK: answer with it (FORMERR, NOTIMP, BADVERS) */
	bool plain; /* the name's labels are letters, digits, '-' and '_': only then `name` means anything */
	char name[SKF_DNS_NAME]; /* lower case; "" is the root */
	uint16_t question_len;   /* bytes of the question behind the header; 0 when it could not be read */
};
/* 0, or -EBADMSG for what must not be answered: shorter than a header, or itself an answer. */
int skf_dns_query_read(const uint8_t *p, size_t n, struct skf_dns_query *ret);

struct skf_dns_reply {
	uint8_t *p;
	size_t len, max;
	const struct skf_dns_query *q;
	uint16_t answers;
	bool cut; /* a record did not fit: TC */
};
/* Begins an answer to q, whose bytes are `query`, in p[0..max): max is at least SKF_DNS_UDP; what does not
 * fit is left out and TC set. */
void skf_dns_reply_begin(struct skf_dns_reply *r, uint8_t *p, size_t max, const uint8_t *query,
			 const struct skf_dns_query *q, unsigned rcode);
void skf_dns_reply_addr(struct skf_dns_reply *r, const struct skf_ip *ip, uint32_t ttl);
void skf_dns_reply_ptr(struct skf_dns_reply *r, const char *name, uint32_t ttl);
/* Size of the message. */
size_t skf_dns_reply_end(struct skf_dns_reply *r);

/* The address that a name of in-addr.arpa or ip6.arpa asks for. 0 or -EINVAL. */
int skf_dns_reverse_name(const char *name, struct skf_ip *ret);
/* Is p an answer to the query q (same id, same question; names in any case)? */
bool skf_dns_is_answer(const uint8_t *q, size_t qn, const uint8_t *p, size_t n);
unsigned skf_dns_rcode(const uint8_t *p); /* of a message that has a header, without EDNS's upper bits */
uint16_t skf_dns_id(const uint8_t *p);
void skf_dns_set_id(uint8_t *p, uint16_t id);
/* Calls fn for each A and AAAA record of the answer section that belongs to the question's name or to the
 * end of its CNAMEs, with the smallest TTL on the way, until fn returns non-zero, which is returned. 0, or
 * -EBADMSG. */
int skf_dns_each_addr(const uint8_t *p, size_t n,
		      int (*fn)(const struct skf_ip *ip, uint32_t ttl, void *arg), void *arg);
