/* Unit tests of network/dns_packet.c: queries and answers as bytes. */
#include "network/dns_packet.h"
#include "../base/util.h"
#include <arpa/inet.h>

/* "\3www\7example\0" etc. by hand: the tests do not trust the encoder that they test. */
struct msg {
	uint8_t p[2048];
	size_t n;
};

static void put(struct msg *m, const void *p, size_t n)
{
	assert_true(m->n + n <= sizeof(m->p));
	memcpy(m->p + m->n, p, n);
	m->n += n;
}

static void put16(struct msg *m, unsigned v)
{
	put(m, (uint8_t[]){(uint8_t)(v >> 8), (uint8_t)v}, 2);
}

static void header(struct msg *m, unsigned id, unsigned flags, unsigned qd, unsigned an, unsigned ar)
{
	m->n = 0;
	put16(m, id);
	put16(m, flags);
	put16(m, qd);
	put16(m, an);
	put16(m, 0);
	put16(m, ar);
}

static void name(struct msg *m, const char *s)
{
	while (*s) {
		size_t n = strcspn(s, ".");

		put(m, (uint8_t[]){(uint8_t)n}, 1);
		put(m, s, n);
		s += n + (s[n] == '.');
	}
	put(m, "", 1);
}

static void question(struct msg *m, const char *n, unsigned type)
{
	name(m, n);
	put16(m, type);
	put16(m, SKF_DNS_IN);
}

static void record(struct msg *m, const char *owner, unsigned type, unsigned ttl, const void *data,
		   unsigned n)
{
	name(m, owner);
	put16(m, type);
	put16(m, SKF_DNS_IN);
	put16(m, 0);
	put16(m, ttl);
	put16(m, n);
	put(m, data, n);
}

static void opt(struct msg *m, unsigned size, unsigned version)
{
	put(m, "", 1);
	put16(m, SKF_DNS_OPT);
	put16(m, size);
	put16(m, version);
	put16(m, 0x8000);
	put16(m, 0);
}

static void reads_queries(void **state)
{
	struct skf_dns_query q;
	struct msg m;

	header(&m, 0x1234, 0x0100, 1, 0, 1);
	question(&m, "Web.Example", SKF_DNS_AAAA);
	opt(&m, 4096, 0);
	assert_int_equal(skf_dns_query_read(m.p, m.n, &q), 0);
	assert_int_equal(q.rcode, SKF_DNS_OK);
	assert_int_equal(q.id, 0x1234);
	assert_int_equal(q.type, SKF_DNS_AAAA);
	assert_string_equal(q.name, "web.example");
	assert_true(q.plain && q.edns && q.dnssec_ok && q.recursion);
	assert_int_equal(q.udp_size, 4096);

	header(&m, 1, 0x0100, 1, 0, 0);
	question(&m, "", 2);
	assert_int_equal(skf_dns_query_read(m.p, m.n, &q), 0);
	assert_string_equal(q.name, "");
	assert_int_equal(q.udp_size, 512);

	header(&m, 1, 0x0100, 1, 0, 0);
	question(&m, "a b", 1);
	assert_int_equal(skf_dns_query_read(m.p, m.n, &q), 0);
	assert_false(q.plain);
}

static unsigned rcode_of(const struct msg *m)
{
	struct skf_dns_query q;

	assert_int_equal(skf_dns_query_read(m->p, m->n, &q), 0);
	return q.rcode;
}

static void refuses_queries(void **state)
{
	struct skf_dns_query q;
	struct msg m;

	header(&m, 1, 0x8100, 1, 0, 0); /* an answer must not be answered */
	question(&m, "a", 1);
	assert_int_equal(skf_dns_query_read(m.p, m.n, &q), -EBADMSG);
	assert_int_equal(skf_dns_query_read(m.p, 11, &q), -EBADMSG);
	header(&m, 1, 0x2800, 1, 0, 0);
	question(&m, "a", 1);
	assert_int_equal(rcode_of(&m), SKF_DNS_NOTIMP);
	header(&m, 1, 0x0100, 2, 0, 0);
	question(&m, "a", 1);
	question(&m, "b", 1);
	assert_int_equal(rcode_of(&m), SKF_DNS_FORMERR);
	header(&m, 1, 0x0100, 1, 0, 1);
	question(&m, "a", 1);
	opt(&m, 512, 1);
	assert_int_equal(rcode_of(&m), SKF_DNS_BADVERS);
	header(&m, 1, 0x0100, 1, 0, 2);
	question(&m, "a", 1);
	opt(&m, 512, 0);
	opt(&m, 512, 0);
	assert_int_equal(rcode_of(&m), SKF_DNS_FORMERR);
	header(&m, 1, 0x0100, 1, 0, 0); /* a pointer to itself */
	put(&m, "\xc0\x0c\0\1\0\1", 6);
	assert_int_equal(rcode_of(&m), SKF_DNS_FORMERR);
	header(&m, 1, 0x0100, 1, 0, 0); /* a label that is cut */
	put(&m, "\5ab", 3);
	assert_int_equal(rcode_of(&m), SKF_DNS_FORMERR);
}

/* 253 characters are the most; one more is refused. */
static void longest_name(void **state)
{
	char text[300] = "";
	struct skf_dns_query q;
	struct msg m;

	for (int i = 0; i < 126; i++)
		strcat(text, "a.");
	strcat(text, "b");
	header(&m, 1, 0x0100, 1, 0, 0);
	question(&m, text, 1);
	assert_int_equal(skf_dns_query_read(m.p, m.n, &q), 0);
	assert_int_equal(q.rcode, SKF_DNS_OK);
	assert_string_equal(q.name, text);
	strcat(text, ".cc.d");
	header(&m, 1, 0x0100, 1, 0, 0);
	question(&m, text, 1);
	assert_int_equal(rcode_of(&m), SKF_DNS_FORMERR);
}

struct seen {
	unsigned n;
	struct skf_ip ip[8];
	uint32_t ttl[8];
};

static int see(const struct skf_ip *ip, uint32_t ttl, void *arg)
{
	struct seen *s = arg;

	assert_true(s->n < 8);
	s->ip[s->n] = *ip;
	s->ttl[s->n++] = ttl;
	return 0;
}

static void makes_answers(void **state)
{
	struct skf_ip v4, v6;
	struct skf_dns_query q;
	struct skf_dns_reply r;
	struct seen s = {0};
	uint8_t out[512];
	struct msg m;
	size_t n;

	assert_int_equal(skf_ip_parse("10.0.0.2", &v4), 0);
	assert_int_equal(skf_ip_parse("fd00::2", &v6), 0);
	header(&m, 7, 0x0100, 1, 0, 1);
	question(&m, "web", SKF_DNS_A);
	opt(&m, 1232, 0);
	assert_int_equal(skf_dns_query_read(m.p, m.n, &q), 0);
	skf_dns_reply_begin(&r, out, sizeof(out), m.p, &q, SKF_DNS_OK);
	skf_dns_reply_addr(&r, &v4, 5);
	skf_dns_reply_addr(&r, &v6, 6);
	n = skf_dns_reply_end(&r);
	assert_int_equal(n, 12 + 9 + 16 + 28 + 11);
	assert_true(skf_dns_is_answer(m.p, m.n, out, n));
	assert_int_equal(skf_dns_each_addr(out, n, see, &s), 0);
	assert_int_equal(s.n, 2);
	assert_true(skf_ip_equal(&s.ip[0], &v4) && s.ttl[0] == 5);
	assert_true(skf_ip_equal(&s.ip[1], &v6) && s.ttl[1] == 6);
	assert_int_equal(out[2] & 0x02, 0);
	for (size_t cut = 0; cut < n; cut++) {
		s.n = 0;
		(void)skf_dns_each_addr(out, cut, see, &s);
		assert_true(s.n <= 2);
	}
	out[0] ^= 1;
	assert_false(skf_dns_is_answer(m.p, m.n, out, n));
}

static void cuts_answers(void **state)
{
	struct skf_ip ip = {.family = AF_INET};
	struct skf_dns_query q;
	struct skf_dns_reply r;
	uint8_t out[512];
	struct msg m;
	size_t n;

	header(&m, 7, 0x0100, 1, 0, 0);
	question(&m, "svc", SKF_DNS_A);
	assert_int_equal(skf_dns_query_read(m.p, m.n, &q), 0);
	skf_dns_reply_begin(&r, out, sizeof(out), m.p, &q, SKF_DNS_OK);
	for (unsigned i = 0; i < 31; i++) /* 12 + 9 + 16 * 30 = 501 */
		skf_dns_reply_addr(&r, &ip, 5);
	n = skf_dns_reply_end(&r);
	assert_int_equal(n, 501);
	assert_int_equal(out[2] & 0x02, 0x02);
	assert_int_equal(out[7], 30);
}

static void answers_ptr(void **state)
{
	struct skf_dns_query q;
	struct skf_dns_reply r;
	uint8_t out[512];
	struct msg m;
	size_t n;

	header(&m, 7, 0x0100, 1, 0, 0);
	question(&m, "2.0.0.10.in-addr.arpa", SKF_DNS_PTR);
	assert_int_equal(skf_dns_query_read(m.p, m.n, &q), 0);
	skf_dns_reply_begin(&r, out, sizeof(out), m.p, &q, SKF_DNS_OK);
	skf_dns_reply_ptr(&r, "web.net", 5);
	n = skf_dns_reply_end(&r);
	assert_memory_equal(out + n - 9, "\3web\3net\0", 9);
	assert_int_equal(out[n - 10], 9);
}

static void reverse_names(void **state)
{
	static const char *const bad[] = {"",
					  "in-addr.arpa",
					  "2.0.0.in-addr.arpa",
					  "256.0.0.10.in-addr.arpa",
					  "1.2.0.0.10.in-addr.arpa",
					  "2.0.0.10.in-addr.arpa.x",
					  "a.ip6.arpa",
					  "x.0.0.10.in-addr.arpa",
					  "..0.0.10.in-addr.arpa"};
	struct skf_ip ip;
	char text[SKF_IP_TEXT];

	assert_int_equal(skf_dns_reverse_name("2.0.0.10.in-addr.arpa", &ip), 0);
	skf_ip_text(&ip, text);
	assert_string_equal(text, "10.0.0.2");
	assert_int_equal(
		skf_dns_reverse_name(
			"2.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.d.f.ip6.arpa", &ip),
		0);
	skf_ip_text(&ip, text);
	assert_string_equal(text, "fd00::2");
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++)
		assert_int_equal(skf_dns_reverse_name(bad[i], &ip), -EINVAL);
}

/* Only addresses of the question's name or of its CNAMEs count, with the smallest TTL of the chain. */
static void follows_cnames(void **state)
{
	struct seen s = {0};
	struct msg m;

	header(&m, 7, 0x8180, 1, 4, 0);
	question(&m, "www.example", SKF_DNS_A);
	record(&m, "www.example", SKF_DNS_CNAME, 30, "\3cdn\3net\0", 9);
	record(&m, "evil.example", SKF_DNS_A, 99, "\12\0\0\1", 4);
	record(&m, "CDN.net", SKF_DNS_A, 60, "\12\0\0\2", 4);
	record(&m, "www.example", SKF_DNS_A, 60, "\12\0\0\3", 4);
	assert_int_equal(skf_dns_each_addr(m.p, m.n, see, &s), 0);
	assert_int_equal(s.n, 1);
	assert_int_equal(s.ip[0].b[3], 2);
	assert_int_equal(s.ttl[0], 30);

	s.n = 0;
	header(&m, 7, 0x8180, 1, 2, 0); /* a loop ends */
	question(&m, "a", SKF_DNS_A);
	record(&m, "a", SKF_DNS_CNAME, 30, "\1b\0", 3);
	record(&m, "b", SKF_DNS_CNAME, 30, "\1a\0", 3);
	assert_int_equal(skf_dns_each_addr(m.p, m.n, see, &s), 0);
	assert_int_equal(s.n, 0);
}

static void knows_its_answer(void **state)
{
	struct msg q, a;

	header(&q, 7, 0x0100, 1, 0, 0);
	question(&q, "www.example", SKF_DNS_A);
	header(&a, 7, 0x8180, 1, 0, 0);
	question(&a, "WWW.example", SKF_DNS_A);
	assert_true(skf_dns_is_answer(q.p, q.n, a.p, a.n));
	header(&a, 7, 0x8180, 1, 0, 0);
	question(&a, "www.example", SKF_DNS_AAAA);
	assert_false(skf_dns_is_answer(q.p, q.n, a.p, a.n));
	header(&a, 7, 0x8180, 1, 0, 0);
	question(&a, "www.exampla", SKF_DNS_A);
	assert_false(skf_dns_is_answer(q.p, q.n, a.p, a.n));
	header(&a, 7, 0x0180, 1, 0, 0);
	question(&a, "www.example", SKF_DNS_A);
	assert_false(skf_dns_is_answer(q.p, q.n, a.p, a.n));
	header(&a, 7, 0x8181, 0, 0, 0);
	assert_true(skf_dns_is_answer(q.p, q.n, a.p, a.n));
	header(&a, 7, 0x8180, 0, 0, 0);
	assert_false(skf_dns_is_answer(q.p, q.n, a.p, a.n));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(reads_queries),    cmocka_unit_test(refuses_queries),
		cmocka_unit_test(longest_name),     cmocka_unit_test(makes_answers),
		cmocka_unit_test(cuts_answers),     cmocka_unit_test(answers_ptr),
		cmocka_unit_test(reverse_names),    cmocka_unit_test(follows_cnames),
		cmocka_unit_test(knows_its_answer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
