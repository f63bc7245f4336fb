/* Unit tests of engine/net_conf.c and net_choice.c: network.json written and read again, damaged, one over
 * each limit; one --network. */
#include "util.h"
#include "../base/util.h"
#include "base/arena.h"
#include "engine/net_int.h"
#include "engine/net_req.h"

#define TEXT(s) (char *)(uintptr_t)(s)

static struct skf_err err;

static void all_fields(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1u << 20);
	const struct tdir *d = *state;
	char *words[] = {TEXT("one"), TEXT("two"), NULL};
	struct skf_net_choice n = {.network = TEXT("id"),
				   .name = TEXT("n"),
				   .ip = TEXT("10.0.0.2"),
				   .ifname = TEXT("lan"),
				   .aliases = {words, 2}};
	struct skf_publish p[] = {{TEXT("udp"), TEXT("::1"), 1, 65535, 65535},
				  {TEXT("tcp"), TEXT(""), 0, 0, 1}};
	struct skf_net_conf c = {.mode = TEXT("bridge"),
				 .networks = {&n, 1},
				 .ports = {p, 2},
				 .publish_all = true,
				 .exposed = {words, 2},
				 .hostname = TEXT("h"),
				 .egress = TEXT("deny"),
				 .egress_allow = {words, 1}};
	struct skf_net_conf *r;
	const struct skf_net_choice *rn;
	const struct skf_publish *rp;

	assert_int_equal(skf_net_conf_write(d->fd, &c, &err), 0);
	assert_int_equal(skf_read_file_at(d->fd, "network.json", 1u << 20, &b), 0);
	if (skf_net_conf_decode(b.p, b.len, &a, &r, &err) < 0)
		fail_msg("%s", err.msg);
	rn = r->networks.v;
	rp = r->ports.v;
	assert_string_equal(r->mode, "bridge");
	assert_int_equal(r->networks.n, 1);
	assert_string_equal(rn->network, "id");
	assert_string_equal(rn->ip, "10.0.0.2");
	assert_null(rn->ip6);
	assert_string_equal(rn->ifname, "lan");
	assert_string_equal(rn->aliases.v[1], "two");
	assert_int_equal(r->ports.n, 2);
	assert_string_equal(rp[0].proto, "udp");
	assert_string_equal(rp[0].host_ip, "::1");
	assert_int_equal(rp[0].host_first, 1);
	assert_int_equal(rp[0].host_last, 65535);
	assert_int_equal(rp[0].port, 65535);
	assert_int_equal(rp[1].port, 1);
	assert_true(r->publish_all);
	assert_int_equal(r->exposed.n, 2);
	assert_string_equal(r->egress, "deny");
	assert_int_equal(r->egress_allow.n, 1);
}

static int decode(const char *text)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_net_conf *r;

	skf_err_clear(&err);
	return skf_net_conf_decode(text, strlen(text), &a, &r, &err);
}

static void damaged(void **state)
{
	static const char *const bad[] = {
		"",
		"[]",
		"{\"mode\":1}",
		"{\"networks\":[{}]}",
		"{\"networks\":[{\"network\":\"\",\"name\":\"n\"}]}",
		"{\"networks\":[{\"network\":\"i\",\"name\":null}]}",
		"{\"ports\":[{}]}",
		"{\"ports\":[{\"proto\":\"icmp\",\"port\":1}]}",
		"{\"ports\":[{\"proto\":\"tcp\",\"port\":0}]}",
		"{\"ports\":[{\"proto\":\"tcp\",\"port\":65536}]}",
		"{\"ports\":[{\"proto\":\"tcp\",\"port\":1,\"hostFirst\":2,\"hostLast\":1}]}",
		"{\"ports\":[{\"proto\":\"tcp\",\"port\":1,\"hostFirst\":1,\"hostLast\":65536}]}",
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++)
		if (decode(bad[i]) == 0)
			fail_msg("'%s' was taken", bad[i]);
	assert_int_equal(decode("{}"), 0);
	assert_int_equal(decode("{\"ports\":[{\"proto\":\"tcp\",\"port\":65535,\"hostFirst\":1,\"hostLast\":"
				"65535}]}"),
			 0);
}

static void too_many_networks(void **state)
{
	for (int n = SKF_MAX_CTR_NETWORKS; n <= SKF_MAX_CTR_NETWORKS + 1; n++) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1u << 20);

		skf_buf_str(&b, "{\"networks\":[");
		for (int i = 0; i < n; i++)
			skf_buf_fmt(&b, "%s{\"network\":\"i\",\"name\":\"n\"}", i ? "," : "");
		skf_buf_str(&b, "]}");
		assert_int_equal(decode(skf_buf_cstr(&b)), n > SKF_MAX_CTR_NETWORKS ? -1 : 0);
	}
	assert_int_equal(err.kind, SKF_ELIMIT);
}

static void one_network(void **state)
{
	static const char *const names[] = {
		"", ".", "..", "lo", "a/b", "a b", "a:b", "sixteen-letters-", "\xc3\xa4"};
	char *other[] = {TEXT("x=y"), NULL},
	     *ifname[] = {TEXT("com.docker.network.endpoint.ifname=wan"), NULL};
	struct skf_network user = {.id = TEXT("i"), .name = TEXT("n")}, standard = {.is_default = true};
	struct skf_net_choice c;
	struct skf_net_attach v = {.ip = TEXT("10.0.0.2"),
				   .ip6 = TEXT("fd00::2"),
				   .mac = TEXT("02:00:00:00:00:01"),
				   .interface = TEXT("fifteen-letters")};

	assert_int_equal(skf_net_choose(&user, &v, &c, &err), 0);
	assert_string_equal(c.ifname, "fifteen-letters");
	assert_int_equal(skf_net_choose(&standard, &v, &c, &err), -1);
	for (size_t i = 0; i < SKF_ARRAY_LEN(names); i++) {
		v = (struct skf_net_attach){.interface = TEXT(names[i])};
		if (skf_net_choose(&user, &v, &c, &err) == 0)
			fail_msg("'%s' was taken", names[i]);
	}
	v = (struct skf_net_attach){.driver_opts = {ifname, 1}};
	assert_int_equal(skf_net_choose(&standard, &v, &c, &err), 0);
	assert_string_equal(c.ifname, "wan");
	v.driver_opts.v = other;
	ASSERT_FAILS(skf_net_choose(&user, &v, &c, &err), SKF_EUNSUPPORTED,
		     "driver option x=y is not supported");
	v = (struct skf_net_attach){.ip = TEXT("fd00::2")};
	ASSERT_FAILS(skf_net_choose(&user, &v, &c, &err), SKF_EINVALID, "invalid IPv4 address: fd00::2");
	v = (struct skf_net_attach){.ip6 = TEXT("10.0.0.2")};
	ASSERT_FAILS(skf_net_choose(&user, &v, &c, &err), SKF_EINVALID, "invalid IPv6 address: 10.0.0.2");
	v = (struct skf_net_attach){.mac = TEXT("01:00:00:00:00:01")};
	ASSERT_FAILS(skf_net_choose(&user, &v, &c, &err), SKF_EINVALID, "invalid MAC address");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(all_fields, tdir_setup, tdir_teardown),
		cmocka_unit_test(damaged), cmocka_unit_test(too_many_networks),
		cmocka_unit_test(one_network)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
