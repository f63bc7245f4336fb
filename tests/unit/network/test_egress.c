/* Unit tests of network/egress.c: the words of --egress-allow; of network/guard.c: the link-local address.
 * What the rules do is tests/network/test_egress.py's. */
#include "network/egress.h"
#include "network/guard.h"
#include "base/limits.h"
#include "../base/util.h"

static void good_words(void **state)
{
	static const struct {
		const char *word, *cidr, *name;
		unsigned port;
	} good[] = {
		{"10.0.0.0/8", "10.0.0.0/8", "", 0},
		{"10.0.0.1:443", "10.0.0.1/32", "", 443},
		{"fd00::1", "fd00::1/128", "", 0},
		{"[fd00::/8]:53", "fd00::/8", "", 53},
		{"[fd00::1]", "fd00::1/128", "", 0},
		{"Example.COM.", "", "example.com", 0},
		{"example.com:65535", "", "example.com", 65535},
		{"*.a.b:80", "", "*.a.b", 80},
		{"web_1", "", "web_1", 0},
		{"0.0.0.0/0", "0.0.0.0/0", "", 0},
		{"1a", "", "1a", 0},
	};
	char text[SKF_CIDR_TEXT];

	for (size_t i = 0; i < SKF_ARRAY_LEN(good); i++) {
		struct skf_err e = SKF_ERR_INIT;
		struct skf_egress_rule r;

		if (skf_egress_parse(good[i].word, &r, &e) < 0)
			fail_msg("%s", e.msg);
		text[0] = 0;
		if (r.cidr.ip.family)
			skf_cidr_text(&r.cidr, text);
		assert_string_equal(text, good[i].cidr);
		assert_string_equal(r.name, good[i].name);
		assert_int_equal(r.port, good[i].port);
	}
}

static void bad_words(void **state)
{
	static const char *const bad[] = {"",           ":80",        "10.0.0.0/33",
					  "a b",        "*",          "*.",
					  "a.*.b",      "10.0.0.1:0", "10.0.0.1:65536",
					  "10.0.0.1:x", "[fd00::1",   "[fd00::1]x",
					  "[web]",      "a..b",       ".a",
					  "256.1.1.1",  "1.2.3",      "x/24",
					  "fd00::/129", "\xc3\xa4.de"};
	char label[300];

	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		struct skf_err e = SKF_ERR_INIT;
		struct skf_egress_rule r;

		if (skf_egress_parse(bad[i], &r, &e) == 0)
			fail_msg("'%s' was taken", bad[i]);
		assert_int_equal(e.kind, SKF_EINVALID);
	}
	memset(label, 'a', 254);
	label[254] = 0;
	struct skf_err e = SKF_ERR_INIT;
	struct skf_egress_rule r;
	assert_true(skf_egress_parse(label, &r, &e) < 0);
	label[253] = 0;
	assert_int_equal(skf_egress_parse(label, &r, &e), 0);
}

static void matches(void **state)
{
	struct skf_egress_rule name = {.name = "a.example"}, below = {.name = "*.example"},
			       cidr = {.port = 1};

	assert_true(skf_egress_name_matches(&name, "a.example"));
	assert_false(skf_egress_name_matches(&name, "b.a.example"));
	assert_true(skf_egress_name_matches(&below, "a.example"));
	assert_true(skf_egress_name_matches(&below, "b.a.example"));
	assert_false(skf_egress_name_matches(&below, "example"));
	assert_false(skf_egress_name_matches(&below, "badexample"));
	assert_false(skf_egress_name_matches(&cidr, ""));
}

/* RFC 4291, appendix A: the universal bit is turned, fffe is put in. */
static void link_local(void **state)
{
	char text[SKF_IP_TEXT];
	struct skf_ip ip;

	assert_int_equal(skf_guard_link_local("02:42:ac:11:00:02", &ip), 0);
	skf_ip_text(&ip, text);
	assert_string_equal(text, "fe80::42:acff:fe11:2");
	assert_int_equal(skf_guard_link_local("00:42:ac:11:00:02", &ip), 0);
	skf_ip_text(&ip, text);
	assert_string_equal(text, "fe80::242:acff:fe11:2");
	assert_int_equal(skf_guard_link_local(NULL, &ip), -EINVAL);
	assert_int_equal(skf_guard_link_local("no mac", &ip), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(good_words), cmocka_unit_test(bad_words),
					   cmocka_unit_test(matches), cmocka_unit_test(link_local)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
