/* Platforms: parsing, normal forms, and what runs on what. */
#include "oci_test.h"
#include "oci/image.h"
#include <stdio.h>

static void test_parse(void **state)
{
	static const struct {
		const char *in, *out;
	} rows[] = {
		{"linux/amd64", "linux/amd64/"},     {"Linux/X86_64", "linux/amd64/"},
		{"linux/amd64/v1", "linux/amd64/"},  {"linux/amd64/v3", "linux/amd64/v3"},
		{"linux/arm64/v8", "linux/arm64/"},  {"linux/aarch64", "linux/arm64/"},
		{"linux/arm", "linux/arm/v7"},       {"linux/arm/6", "linux/arm/v6"},
		{"linux/armhf", "linux/arm/v7"},     {"linux/armel", "linux/arm/v6"},
		{"arm64", "linux/arm64/"},           {"x86_64", "linux/amd64/"},
		{"windows/amd64", "windows/amd64/"}, {"linux/i386", "linux/386/"},
		{"linux/riscv64", "linux/riscv64/"},
	};
	static const char *const bad[] = {"",
					  "/",
					  "linux/",
					  "/amd64",
					  "linux/amd64/",
					  "linux/amd64/v1/x",
					  "amd65",
					  "lin ux/amd64",
					  "linux/amd64/v1\n",
					  "linux/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
					  "../x"};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		struct skf_platform p;
		struct skf_err e = SKF_ERR_INIT;
		char out[128];
		if (skf_platform_parse(rows[i].in, &p, &e) < 0)
			fail_msg("%s: %s", rows[i].in, e.msg);
		snprintf(out, sizeof(out), "%s/%s/%s", p.os, p.arch, p.variant);
		assert_string_equal(out, rows[i].out);
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		struct skf_platform p;
		struct skf_err e = SKF_ERR_INIT;
		if (skf_platform_parse(bad[i], &p, &e) == 0)
			fail_msg("accepted '%s'", bad[i]);
		assert_int_equal(e.kind, SKF_EINVALID);
	}
}

static int score(const char *want, const char *have)
{
	struct skf_platform w, h;
	struct skf_err e = SKF_ERR_INIT;

	assert_int_equal(skf_platform_parse(want, &w, &e), 0);
	assert_int_equal(skf_platform_parse(have, &h, &e), 0);
	return skf_platform_score(&w, &h);
}

static void test_score(void **state)
{
	(void)state;
	assert_true(score("linux/amd64", "linux/amd64") > score("linux/amd64", "linux/386"));
	assert_true(score("linux/amd64", "linux/386") > 0);
	assert_true(score("linux/386", "linux/amd64") < 0);
	assert_true(score("linux/amd64", "windows/amd64") < 0);
	assert_true(score("linux/amd64", "linux/arm64") < 0);
	assert_true(score("linux/amd64", "linux/amd64/v3") < 0);
	assert_true(score("linux/amd64/v3", "linux/amd64/v2") > score("linux/amd64/v3", "linux/amd64"));
	assert_true(score("linux/arm/v7", "linux/arm/v6") > score("linux/arm/v7", "linux/arm/v5"));
	assert_true(score("linux/arm/v6", "linux/arm/v7") < 0);
	assert_true(score("linux/arm64", "linux/arm/v7") > score("linux/arm64", "linux/arm/v6"));
	assert_true(score("linux/arm64", "linux/arm64") > score("linux/arm64", "linux/arm/v8"));
	assert_true(score("linux/arm/v7", "linux/arm64") < 0);
	/* Attestation entries of BuildKit. */
	struct skf_platform unknown = {"unknown", "unknown", ""}, host;
	skf_platform_host(&host);
	assert_true(skf_platform_score(&host, &unknown) < 0);
	assert_int_equal(skf_platform_score(&host, &host), 100);
	/* Not normalised by whoever wrote it. */
	struct skf_platform raw = {"linux", "aarch64", "v8"}, arm64 = {"linux", "arm64", ""};
	assert_int_equal(skf_platform_score(&arm64, &raw), 100);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_parse), cmocka_unit_test(test_score)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
