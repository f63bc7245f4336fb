/* WWW-Authenticate: what registries really send, what RFC 9110 allows, and what nobody may. */
#include "registry_test.h"
#include "registry/challenge.h"
#include <stdio.h>

static int parse(const char *s, size_t n, struct skf_challenge *c, struct skf_err *e)
{
	char *exact =
		malloc(n ? n : 1); /* not terminated, so that the sanitizer sees a read behind the end */
	int r;

	assert_non_null(exact);
	memcpy(exact, s, n);
	memset(c, 0, sizeof(*c));
	skf_err_clear(e);
	r = skf_challenge_parse(exact, n, c, e);
	free(exact);
	return r;
}

static void test_good(void **state)
{
	static const struct {
		const char *in;
		bool basic, bearer;
		const char *realm, *service, *scope, *error;
	} rows[] = {
		{"Bearer "
		 "realm=\"https://auth.docker.io/"
		 "token\",service=\"registry.docker.io\",scope=\"repository:library/x:pull\"",
		 false, true, "https://auth.docker.io/token", "registry.docker.io",
		 "repository:library/x:pull", ""},
		{"Bearer realm=\"https://a/\", service=\"s\", error=\"invalid_token\"", false, true,
		 "https://a/", "s", "", "invalid_token"},
		{"Basic realm=\"Registry Realm\"", true, false, "", "", "", ""},
		{"basic", true, false, "", "", "", ""},
		{"BEARER REALM=https://a/t", false, true, "https://a/t", "", "", ""},
		{"Bearer realm = \"r\" , service\t=\t\"s\"", false, true, "r", "s", "", ""},
		{"Bearer realm=\"a\\\"b\\\\c\"", false, true, "a\"b\\c", "", "", ""},
		{"Bearer realm=\"a,b, Basic realm=c\"", false, true, "a,b, Basic realm=c", "", "", ""},
		{"Negotiate, Basic realm=\"x, y\", Bearer realm=\"r\"", true, true, "r", "", "", ""},
		{"Bearer realm=\"r\", Basic realm=\"not the realm of the bearer\"", true, true, "r", "", "",
		 ""},
		{"Digest realm=\"d\", nonce=\"n\", qop=auth", false, false, "", "", "", ""},
		{"Bearer realm=\"r\",unknown=\"u\",service=s", false, true, "r", "s", "", ""},
		{", ,Bearer realm=\"r\",,", false, true, "r", "", "", ""},
		{"Bearer realm=\"\"", false, true, "", "", "", ""},
		{"Bearer", false, true, "", "", "", ""},
		{"", false, false, "", "", "", ""},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		struct skf_challenge c;
		struct skf_err e = SKF_ERR_INIT;

		if (parse(rows[i].in, strlen(rows[i].in), &c, &e) < 0)
			fail_msg("'%s': %s", rows[i].in, e.msg);
		assert_int_equal(c.basic, rows[i].basic);
		assert_int_equal(c.bearer, rows[i].bearer);
		assert_string_equal(c.realm, rows[i].realm);
		assert_string_equal(c.service, rows[i].service);
		assert_string_equal(c.scope, rows[i].scope);
		assert_string_equal(c.error, rows[i].error);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *in, *word;
		enum skf_kind kind;
	} rows[] = {
		{"Bearer realm=\"", "does not end", SKF_EINVALID},
		{"Bearer realm=\"a\\", "does not end", SKF_EINVALID},
		{"realm=\"r\"", "before any scheme", SKF_EINVALID},
		{"=", "unexpected byte", SKF_EINVALID},
		{"Bearer \"x\"", "unexpected byte", SKF_EINVALID},
		{"Bearer realm=\"a\nb\"", "control", SKF_EINVALID},
		{"Bearer realm=\"a\\\nb\"", "control", SKF_EINVALID},
		{"Bearer realm=\"a\x7f\"", "control", SKF_EINVALID},
		{"\xff", "unexpected byte", SKF_EINVALID},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		struct skf_challenge c;
		struct skf_err e = SKF_ERR_INIT;

		assert_int_equal(parse(rows[i].in, strlen(rows[i].in), &c, &e), -1);
		assert_int_equal(e.kind, rows[i].kind);
		if (!strstr(e.msg, rows[i].word))
			fail_msg("'%s': %s", rows[i].in, e.msg);
	}
}

static void test_nul_bytes(void **state)
{
	static const char in[] = "Bearer realm=\"a\0b\"", outside[] = "Bearer \0";
	struct skf_challenge c;
	struct skf_err e = SKF_ERR_INIT;

	(void)state;
	assert_int_equal(parse(in, sizeof(in) - 1, &c, &e), -1);
	assert_int_equal(parse(outside, sizeof(outside) - 1, &c, &e), -1);
}

/* A value is refused, never cut, one byte above its field; the whole header has a limit of its own. */
static void test_limits(void **state)
{
	static const struct {
		const char *name;
		size_t size;
	} fields[] = {{"realm", sizeof(((struct skf_challenge *)0)->realm)},
		      {"service", sizeof(((struct skf_challenge *)0)->service)},
		      {"scope", sizeof(((struct skf_challenge *)0)->scope)},
		      {"error", sizeof(((struct skf_challenge *)0)->error)}};
	struct skf_challenge c;
	struct skf_err e = SKF_ERR_INIT;
	char value[4096], in[SKF_MAX_CHALLENGE_BYTES + 2];

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(fields); i++)
		for (size_t n = fields[i].size - 1; n <= fields[i].size; n++) {
			memset(value, 'v', n);
			value[n] = 0;
			int len = snprintf(in, sizeof(in), "Bearer %s=\"%s\"", fields[i].name, value);
			int r = parse(in, (size_t)len, &c, &e);

			assert_int_equal(r, n < fields[i].size ? 0 : -1);
			if (r < 0)
				assert_int_equal(e.kind, SKF_ELIMIT);
		}
	memset(in, ',', sizeof(in));
	assert_int_equal(parse(in, SKF_MAX_CHALLENGE_BYTES, &c, &e), 0);
	assert_int_equal(parse(in, SKF_MAX_CHALLENGE_BYTES + 1, &c, &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
}

/* Several headers of one answer add up in one struct. */
static void test_headers_add_up(void **state)
{
	static const char a[] = "Basic realm=\"x\"", b[] = "Bearer realm=\"r\"";
	struct skf_challenge c = {0};
	struct skf_err e = SKF_ERR_INIT;

	(void)state;
	assert_int_equal(skf_challenge_parse(a, sizeof(a) - 1, &c, &e), 0);
	assert_int_equal(skf_challenge_parse(b, sizeof(b) - 1, &c, &e), 0);
	assert_true(c.basic && c.bearer);
	assert_string_equal(c.realm, "r");
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(test_good),           cmocka_unit_test(test_bad),
		cmocka_unit_test(test_nul_bytes),      cmocka_unit_test(test_limits),
		cmocka_unit_test(test_headers_add_up),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
