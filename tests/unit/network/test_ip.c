/* Unit tests of network/ip.c: addresses and subnets of both families. */
#include "network/ip.h"
#include <sys/socket.h>
#include "../base/util.h"

static struct skf_ip ip(const char *s)
{
	struct skf_ip r;

	if (skf_ip_parse(s, &r) < 0)
		fail_msg("'%s' is no address", s);
	return r;
}

static struct skf_cidr cidr(const char *s)
{
	struct skf_cidr r;

	if (skf_cidr_parse(s, false, &r) < 0)
		fail_msg("'%s' is no subnet", s);
	return r;
}

static void assert_text(struct skf_ip a, const char *text)
{
	char out[SKF_IP_TEXT];

	skf_ip_text(&a, out);
	assert_string_equal(out, text);
}

static void addresses(void **state)
{
	static const char *const bad[] = {"",
					  "1",
					  "1.2.3",
					  "1.2.3.256",
					  "1.2.3.4.5",
					  "01.2.3.4x",
					  " 1.2.3.4",
					  "1.2.3.4/24",
					  ":",
					  ":::",
					  "fd00::1%eth0",
					  "[::1]",
					  "1::2::3",
					  "12345::",
					  "1:2:3:4:5:6:7:8:9",
					  "localhost"};
	struct skf_ip r = ip("192.0.2.1"), none = {0}, a = ip("::1");

	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++)
		if (skf_ip_parse(bad[i], &r) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
	assert_text(r, "192.0.2.1"); /* a failure leaves it alone */
	assert_text(ip("FD00:0::0:1"), "fd00::1");
	assert_text(none, "");
	assert_true(skf_ip_is_any(&none));
	r = ip("0.0.0.0");
	assert_true(skf_ip_is_any(&r));
	assert_false(skf_ip_is_any(&a));
	assert_true(skf_ip_is_loopback(&a));
	r = ip("127.255.0.1");
	assert_true(skf_ip_is_loopback(&r));
	r = ip("128.0.0.1");
	assert_false(skf_ip_is_loopback(&r));
	assert_false(skf_ip_equal(&r, &a));
	assert_true(skf_ip_equal(&none, &none));
}

static void subnets(void **state)
{
	static const char *const bad[] = {"10.0.0.0",    "10.0.0.0/",    "10.0.0.0/33",
					  "10.0.0.0/-1", "10.0.0.0/8/8", "/8",
					  "fd00::/129",  "10.0.0/8",     "x/8"};
	struct skf_cidr c;
	char text[SKF_CIDR_TEXT];

	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++)
		if (skf_cidr_parse(bad[i], false, &c) != -EINVAL)
			fail_msg("'%s' was taken", bad[i]);
	assert_int_equal(skf_cidr_parse("10.0.0.1", true, &c), 0);
	assert_int_equal(c.prefix, 32);
	assert_int_equal(skf_cidr_parse("fd00::1", true, &c), 0);
	assert_int_equal(c.prefix, 128);
	c = cidr("10.1.2.3/22");
	skf_cidr_text(&c, text);
	assert_string_equal(text, "10.1.2.3/22");
	assert_text(skf_cidr_first(&c), "10.1.0.0");
	assert_text(skf_cidr_last(&c), "10.1.3.255");
	c = cidr("fd00::1/65");
	assert_text(skf_cidr_first(&c), "fd00::");
	assert_text(skf_cidr_last(&c), "fd00::7fff:ffff:ffff:ffff");
	c = cidr("0.0.0.0/0");
	assert_text(skf_cidr_last(&c), "255.255.255.255");
}

static void membership(void **state)
{
	static const struct {
		const char *a, *b;
		bool overlap;
	} pairs[] = {{"10.0.0.0/8", "10.255.0.0/16", true}, {"10.0.0.0/9", "10.128.0.0/9", false},
		     {"10.0.0.0/24", "10.0.0.77/24", true}, {"0.0.0.0/0", "1.2.3.4/32", true},
		     {"0.0.0.0/0", "::/0", false},          {"fd00::/64", "fd00:0:0:1::/64", false}};
	struct skf_cidr c = cidr("10.0.0.128/25");
	struct skf_ip in = ip("10.0.0.128"), below = ip("10.0.0.127"), other = ip("::a00:80");

	assert_true(skf_cidr_has(&c, &in));
	assert_false(skf_cidr_has(&c, &below));
	assert_false(skf_cidr_has(&c, &other));
	for (size_t i = 0; i < SKF_ARRAY_LEN(pairs); i++) {
		struct skf_cidr a = cidr(pairs[i].a), b = cidr(pairs[i].b);

		if (skf_cidr_overlap(&a, &b) != pairs[i].overlap ||
		    skf_cidr_overlap(&b, &a) != pairs[i].overlap)
			fail_msg("%s and %s", pairs[i].a, pairs[i].b);
	}
}

static void adding(void **state)
{
	struct skf_ip a = ip("10.0.255.255"), last = ip("255.255.255.255"),
		      six = ip("fd00::ffff:ffff:ffff:ffff"), ones = ip("::ff");

	assert_text(skf_ip_add(&a, 0), "10.0.255.255");
	assert_text(skf_ip_add(&a, 1), "10.1.0.0");
	assert_text(skf_ip_add(&a, 257), "10.1.1.0");
	assert_text(skf_ip_add(&last, 1), "0.0.0.0");
	assert_text(skf_ip_add(&six, 1), "fd00:0:0:1::");
	assert_text(skf_ip_add(&ones, UINT64_MAX), "::1:0:0:0:fe");
	assert_true(skf_ip_cmp(&a, &last) < 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(addresses), cmocka_unit_test(subnets),
					   cmocka_unit_test(membership), cmocka_unit_test(adding)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
