/* fuzz_dns.c -- a DNS message of unknown origin, as query and as forwarded answer: nothing is read outside
 * of it, and what is answered is itself a message that answers the query. */
#include "network/dns_packet.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int count(const struct skf_ip *ip, uint32_t ttl, void *arg)
{
	*(unsigned *)arg += skf_ip_len(ip) > 0;
	return 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct skf_ip ip = {.family = 2, .b = {10, 0, 0, 2}};
	struct skf_dns_query q;
	struct skf_dns_reply r;
	uint8_t out[1232];
	unsigned seen = 0;
	size_t len;

	(void)skf_dns_each_addr(p, n, count, &seen);
	(void)skf_dns_is_answer(p, n / 2, p + n / 2, n - n / 2);
	if (skf_dns_query_read(p, n, &q) < 0)
		return 0;
	if (skf_dns_reverse_name(q.name, &ip) == 0 && !ip.family)
		abort();
	skf_dns_reply_begin(&r, out, n > 2 && p[0] & 1 ? sizeof(out) : SKF_DNS_UDP, p, &q, q.rcode);
	for (unsigned i = 0; i < 100 && q.rcode == SKF_DNS_OK; i++)
		skf_dns_reply_addr(&r, &ip, i);
	skf_dns_reply_ptr(&r, q.plain && q.name[0] ? q.name : "web", 5);
	len = skf_dns_reply_end(&r);
	if (len > sizeof(out) || len < SKF_DNS_HEADER ||
	    (q.question_len && !skf_dns_is_answer(p, n, out, len)))
		abort();
	return 0;
}
