/* Unit tests of network/publish.c: every form of -p and --expose. */
#include "network/publish.h"
#include "base/arena.h"
#include "../base/util.h"

#define MEMORY (64u << 20)

static void good(void **state)
{
	static const struct {
		const char *spec, *ip, *proto;
		unsigned n, first, last, port; /* of the first element */
	} rows[] = {
		{"80", "", "tcp", 1, 0, 0, 80},
		{"80/udp", "", "udp", 1, 0, 0, 80},
		{"80/", "", "tcp", 1, 0, 0, 80},
		{"8080:80", "", "tcp", 1, 8080, 8080, 80},
		{":80", "", "tcp", 1, 0, 0, 80},
		{"0:80", "", "tcp", 1, 0, 0, 80},
		{"8080:80/SCTP", "", "sctp", 1, 8080, 8080, 80},
		{"127.0.0.1:8080:80", "127.0.0.1", "tcp", 1, 8080, 8080, 80},
		{"127.0.0.1::80", "127.0.0.1", "tcp", 1, 0, 0, 80},
		{"[::1]:8080:80", "::1", "tcp", 1, 8080, 8080, 80},
		{"[::1]::80", "::1", "tcp", 1, 0, 0, 80},
		{"[fd00::1]:1-3:4-6/udp", "fd00::1", "udp", 3, 1, 1, 4},
		{"8000-8009:80", "", "tcp", 1, 8000, 8009, 80},
		{"8000-8002:80-82", "", "tcp", 3, 8000, 8000, 80},
		{"80-82", "", "tcp", 3, 0, 0, 80},
		{"80-80:80-80", "", "tcp", 1, 80, 80, 80},
		{"65535:65535", "", "tcp", 1, 65535, 65535, 65535},
		{"1-65535:1-65535", "", "tcp", 65535, 1, 1, 1},
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(MEMORY);
		struct skf_err e = SKF_ERR_INIT;
		struct skf_jarr v = {0};
		const struct skf_publish *p;

		if (skf_publish_parse(rows[i].spec, &a, &v, &e) < 0)
			fail_msg("%s", e.msg);
		p = v.v;
		assert_int_equal(v.n, rows[i].n);
		assert_string_equal(p->host_ip, rows[i].ip);
		assert_string_equal(p->proto, rows[i].proto);
		assert_int_equal(p->host_first, rows[i].first);
		assert_int_equal(p->host_last, rows[i].last);
		assert_int_equal(p->port, rows[i].port);
		p += v.n - 1;
		assert_int_equal(p->port, rows[i].port + v.n - 1);
		if (v.n > 1 && rows[i].first)
			assert_int_equal(p->host_last, rows[i].last + v.n - 1);
	}
}

static void bad(void **state)
{
	static const struct {
		const char *spec, *words;
	} rows[] = {
		{"", "no port specified"},
		{"8080:", "no port specified"},
		{":", "no port specified"},
		{"0", "invalid containerPort: 0"},
		{"x", "invalid containerPort: x"},
		{"-1", "invalid containerPort: -1"},
		{"+1", "invalid containerPort: +1"},
		{" 80", "invalid containerPort:  80"},
		{"65536", "invalid containerPort: 65536"},
		{"82-80", "invalid containerPort: 82-80"},
		{"80-", "invalid containerPort: 80-"},
		{"80-81-82", "invalid containerPort: 80-81-82"},
		{"80/tcp/udp", "invalid containerPort: 80/tcp"},
		{"65536:80", "invalid hostPort: 65536"},
		{"1.2.3.4:80", "invalid hostPort: 1.2.3.4"},
		{"0-5:80", "invalid hostPort: 0-5"},
		{"80/icmp", "invalid proto: icmp"},
		{"1-2:80-82", "invalid ranges specified for container and host Ports: 80-82 and 1-2"},
		{"1-3:80-81", "invalid ranges specified"},
		{"localhost:80:80", "invalid IP address: localhost"},
		{"1.2.3:80:80", "invalid IP address: 1.2.3"},
		{"[::1", "invalid publish '[::1'"},
		{"[::1]", "invalid publish '[::1]'"},
		{"[::1]x:80", "invalid publish '[::1]x:80'"},
		{"::1:8080:80", "invalid publish '::1:8080:80'"},
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(MEMORY);
		struct skf_err e = SKF_ERR_INIT;
		struct skf_jarr v = {0};

		if (skf_publish_parse(rows[i].spec, &a, &v, &e) == 0)
			fail_msg("'%s' was taken", rows[i].spec);
		assert_int_equal(e.kind, SKF_EINVALID);
		if (!strstr(e.msg, rows[i].words))
			fail_msg("'%s': %s", rows[i].spec, e.msg);
		assert_int_equal(v.n, 0);
	}
}

static void limits(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(MEMORY);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_strv exposed = {0};
	struct skf_jarr v = {0};

	assert_int_equal(skf_publish_parse("1-65535:1-65535", &a, &v, &e), 0);
	assert_int_equal(skf_publish_parse("1:1/udp", &a, &v, &e), 0);
	assert_int_equal(v.n, SKF_MAX_PUBLISH);
	assert_int_equal(skf_publish_parse("2:2/udp", &a, &v, &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
	assert_int_equal(v.n, SKF_MAX_PUBLISH);

	skf_err_clear(&e);
	assert_int_equal(skf_expose_parse("1-65535", &a, &exposed, &e), 0);
	assert_int_equal(skf_expose_parse("1/udp", &a, &exposed, &e), 0);
	assert_int_equal(exposed.n, SKF_MAX_EXPOSED);
	assert_int_equal(skf_expose_parse("2/udp", &a, &exposed, &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
}

static void expose(void **state)
{
	static const char *const wrong[] = {"", "0", "65536", "x", "80:80", "80/icmp", "82-80", "80-"};
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(MEMORY);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_strv v = {0};
	uint16_t port;
	char proto[8];

	assert_int_equal(skf_expose_parse("80-81/UDP", &a, &v, &e), 0);
	assert_int_equal(v.n, 2);
	assert_string_equal(v.v[1], "81/udp");
	for (size_t i = 0; i < SKF_ARRAY_LEN(wrong); i++)
		if (skf_expose_parse(wrong[i], &a, &v, &e) == 0)
			fail_msg("'%s' was taken", wrong[i]);
	assert_int_equal(v.n, 2);
	assert_int_equal(skf_exposed_split("65535/sctp", &port, proto), 0);
	assert_int_equal(port, 65535);
	assert_string_equal(proto, "sctp");
	assert_int_equal(skf_exposed_split("80", &port, proto), 0);
	assert_string_equal(proto, "tcp");
	for (size_t i = 0; i < SKF_ARRAY_LEN(wrong); i++)
		assert_int_equal(skf_exposed_split(wrong[i], &port, proto), -EINVAL);
	assert_int_equal(skf_exposed_split("80/a-long-protocol", &port, proto), -EINVAL);
	assert_int_equal(skf_exposed_split("0000000080/tcp", &port, proto), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(bad),
					   cmocka_unit_test(limits), cmocka_unit_test(expose)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
