/* Digests: the exact grammar and nothing else (T49). */
#include "oci_test.h"
#include "oci/digest.h"

#define HEX64 "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

static void test_good(void **state)
{
	struct skf_digest d, s;
	struct skf_err e = SKF_ERR_INIT;

	(void)state;
	assert_int_equal(skf_digest_parse("sha256:" HEX64, &d, &e), 0);
	assert_string_equal(d.s, "sha256:" HEX64);
	assert_string_equal(skf_digest_hex(&d), HEX64);
	assert_true(skf_digest_is_sha256(&d));
	assert_int_equal(skf_digest_parse("sha512:" HEX64 HEX64, &s, &e), 0);
	assert_string_equal(skf_digest_hex(&s), HEX64 HEX64);
	assert_false(skf_digest_is_sha256(&s));
	assert_false(skf_digest_eq(&d, &s));
	assert_true(skf_digest_eq(&d, &d));
}

static void test_bad(void **state)
{
	static const char *const bad[] = {
		"",
		"sha256",
		"sha256:",
		"sha256:../../x",
		"sha256:" HEX64 "0",
		"sha256:" HEX64 "/",
		"sha256:" HEX64 "\n",
		"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcde",
		"sha256:0123456789ABCDEF0123456789abcdef0123456789abcdef0123456789abcdef",
		"sha256:g123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef",
		"SHA256:" HEX64,
		"Sha256:" HEX64,
		" sha256:" HEX64,
		"sha256:" HEX64 " ",
		"md5:0123456789abcdef0123456789abcdef",
		"sha384:" HEX64 "0123456789abcdef0123456789abcdef",
		"sha512:" HEX64,
		"sha256:" HEX64 HEX64,
		"sha256%3A" HEX64,
		"sha256:%30123456789abcdef0123456789abcdef0123456789abcdef0123456789abcd",
		HEX64,
		":" HEX64,
		"sha256+b64:" HEX64,
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		struct skf_digest d = {"untouched"};
		struct skf_err e = SKF_ERR_INIT;
		if (skf_digest_parse(bad[i], &d, &e) == 0)
			fail_msg("accepted '%s'", bad[i]);
		assert_int_equal(e.kind, SKF_EINVALID);
		assert_memory_equal(e.msg, "invalid digest '", 16);
		assert_string_equal(d.s, "untouched");
	}
}

static void test_names_of_files(void **state)
{
	static const char *const bad[] = {"",        ".tmp-" HEX64, HEX64 "0", "sha256:" HEX64,
					  HEX64 "/", "../" HEX64};
	struct skf_digest d = {"untouched"};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		assert_false(skf_digest_of_file(bad[i], &d));
		assert_string_equal(d.s, "untouched");
	}
	assert_true(skf_digest_of_file(HEX64, &d));
	assert_string_equal(d.s, "sha256:" HEX64);
	assert_string_equal(skf_digest_alg(&d), "sha256");
	assert_true(skf_digest_of_file(HEX64 HEX64, &d));
	assert_string_equal(d.s, "sha512:" HEX64 HEX64);
	assert_string_equal(skf_digest_alg(&d), "sha512");
	assert_string_equal(skf_digest_skip_alg(d.s), HEX64 HEX64);
	assert_string_equal(skf_digest_skip_alg("sha384:" HEX64), "sha384:" HEX64);
	assert_string_equal(skf_digest_skip_alg("debian"), "debian");
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad),
					   cmocka_unit_test(test_names_of_files)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
