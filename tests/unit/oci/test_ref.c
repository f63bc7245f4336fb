/* Image references: docker's normal forms and docker's words for what is not one. */
#include "oci_test.h"
#include "oci/ref.h"
#include <stdio.h>

#define HEX64  "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"
#define DIGEST "sha256:" HEX64
#define A50    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"
#define A200   A50 A50 A50 A50

static void test_good(void **state)
{
	static const struct {
		const char *in, *full, *familiar;
	} rows[] = {
		{"debian", "docker.io/library/debian:latest", "debian"},
		{"debian:12", "docker.io/library/debian:12", "debian"},
		{"library/debian", "docker.io/library/debian:latest", "debian"},
		{"docker.io/debian", "docker.io/library/debian:latest", "debian"},
		{"index.docker.io/debian", "docker.io/library/debian:latest", "debian"},
		{"docker.io/library/debian:12-slim", "docker.io/library/debian:12-slim", "debian"},
		{"user/app", "docker.io/user/app:latest", "user/app"},
		{"library/a/b", "docker.io/library/a/b:latest", "library/a/b"},
		{"debian@" DIGEST, "docker.io/library/debian@" DIGEST, "debian"},
		{"debian:12@" DIGEST, "docker.io/library/debian:12@" DIGEST, "debian"},
		{"localhost/app", "localhost/app:latest", "localhost/app"},
		{"localhost:5000/a/b:tag@" DIGEST, "localhost:5000/a/b:tag@" DIGEST, "localhost:5000/a/b"},
		{"a.b/c", "a.b/c:latest", "a.b/c"},
		{"quay.io/org/team/app:v1.0_rc-2", "quay.io/org/team/app:v1.0_rc-2", "quay.io/org/team/app"},
		{"127.0.0.1:5000/x", "127.0.0.1:5000/x:latest", "127.0.0.1:5000/x"},
		{"[::1]:5000/x", "[::1]:5000/x:latest", "[::1]:5000/x"},
		{"[fe80::1]/x", "[fe80::1]/x:latest", "[fe80::1]/x"},
		{"HOST/x", "HOST/x:latest", "HOST/x"},
		{"a-b.example.com:443/x", "a-b.example.com:443/x:latest", "a-b.example.com:443/x"},
		{"a__b", "docker.io/library/a__b:latest", "a__b"},
		{"a---b.c_d", "docker.io/library/a---b.c_d:latest", "a---b.c_d"},
		{"x:_tag", "docker.io/library/x:_tag", "x"},
		{"x:5000", "docker.io/library/x:5000", "x"},
		{"docker.io/foo.bar/x", "docker.io/foo.bar/x:latest", "docker.io/foo.bar/x"},
		{"docker.io/localhost/x", "docker.io/localhost/x:latest", "docker.io/localhost/x"},
		{"x@sha512:" HEX64 HEX64, "docker.io/library/x@sha512:" HEX64 HEX64, "x"},
		{"0123456789abcdef", "docker.io/library/0123456789abcdef:latest", "0123456789abcdef"},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		struct skf_ref r, again;
		struct skf_err e = SKF_ERR_INIT;
		char full[SKF_MAX_REF_BYTES + 1], name[SKF_MAX_REF_BYTES + 1];
		if (skf_ref_parse(rows[i].in, &r, &e) < 0)
			fail_msg("%s: %s", rows[i].in, e.msg);
		skf_ref_full(&r, full);
		skf_ref_familiar_name(&r, name);
		assert_string_equal(full, rows[i].full);
		assert_string_equal(name, rows[i].familiar);
		/* Both forms name the same repository again. */
		assert_int_equal(skf_ref_parse(full, &again, &e), 0);
		assert_memory_equal(&r, &again, sizeof(r));
		assert_int_equal(skf_ref_parse(name, &again, &e), 0);
		assert_string_equal(again.registry, r.registry);
		assert_string_equal(again.repo, r.repo);
	}
}

static void test_bad(void **state)
{
	static const struct {
		const char *in, *why;
	} rows[] = {
		{"", "the reference is empty"},
		{"Debian", "repository name must be lowercase"},
		{"user/App:1", "repository name must be lowercase"},
		{"docker.io/Debian", "repository name must be lowercase"},
		{HEX64, "cannot specify 64-byte hexadecimal strings"},
		{"debian:", "expected a tag"},
		{"debian:a b", "expected a tag"},
		{"debian:-x", "expected a tag"},
		{"debian:.x", "expected a tag"},
		{"debian:a/b", "expected a registry"},
		{"debian@", "invalid digest"},
		{"debian@sha256:12", "invalid digest"},
		{"debian@md5:0123456789abcdef0123456789abcdef", "invalid digest"},
		{"debian@" DIGEST "@" DIGEST, "invalid digest"},
		{":12", "expected [registry/]name"},
		{"@" DIGEST, "expected [registry/]name"},
		{"/debian", "expected [registry/]name"},
		{"debian/", "expected [registry/]name"},
		{"a//b", "expected [registry/]name"},
		{"-debian", "expected [registry/]name"},
		{"debian-", "expected [registry/]name"},
		{"_debian", "expected [registry/]name"},
		{"localhost/_x", "expected [registry/]name"},
		{"a___b", "expected [registry/]name"},
		{"a..b", "expected [registry/]name"},
		{"a._b", "expected [registry/]name"},
		{"a/../b", "expected [registry/]name"},
		{"a/./b", "expected [registry/]name"},
		{"../b", "expected a registry"},
		{"./b", "expected a registry"},
		{"a b", "expected [registry/]name"},
		{"d\xc3\xa9"
		 "bian",
		 "expected [registry/]name"},
		{"debian\n", "expected [registry/]name"},
		{"a..b/c", "expected a registry"},
		{"-a.b/c", "expected a registry"},
		{"a.b:/c", "expected a registry"},
		{"a.b:x/c", "expected a registry"},
		{"a.b:65536/c", "expected a registry"},
		{"a.b:0/c", "expected a registry"},
		{"a.b:1:2/c", "expected a registry"},
		{"[::1/c", "expected a registry"},
		{"[]/c", "expected [registry/]name"},
		{"[::g]/c", "expected a registry"},
		{"u@a.b/c", "expected a registry"},
		{"https://a.b/c", "expected a registry"},
		{A200 A50 "aaaaaa", "repository name must not be more than 255 characters"},
		{A200 "/" A50 ":" A50 A50 A50 "@sha512:" HEX64 HEX64, "a reference has at most 512 bytes"},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		struct skf_ref r;
		struct skf_err e = SKF_ERR_INIT;
		if (skf_ref_parse(rows[i].in, &r, &e) == 0)
			fail_msg("accepted '%s'", rows[i].in);
		assert_int_equal(e.kind, SKF_EINVALID);
		if (strncmp(e.msg, "invalid reference format: ", 26) != 0 || !strstr(e.msg, rows[i].why))
			fail_msg("'%s': %s\n  expected ... %s", rows[i].in, e.msg, rows[i].why);
	}
}

/* One under and one over each length. */
static void test_lengths(void **state)
{
	struct skf_ref r;
	struct skf_err e = SKF_ERR_INIT;
	char s[1024], tag[SKF_MAX_TAG_BYTES + 2];

	(void)state;
	memset(tag, 't', sizeof(tag));
	tag[SKF_MAX_TAG_BYTES] = '\0';
	snprintf(s, sizeof(s), "x:%s", tag);
	assert_int_equal(skf_ref_parse(s, &r, &e), 0);
	snprintf(s, sizeof(s), "x:%st", tag);
	assert_int_equal(skf_ref_parse(s, &r, &e), -1);
	/* library/ + 247 = 255 */
	snprintf(s, sizeof(s), "%.247s", A200 A50);
	assert_int_equal(skf_ref_parse(s, &r, &e), 0);
	assert_int_equal(strlen(r.repo), 255);
	snprintf(s, sizeof(s), "%.248s", A200 A50);
	assert_int_equal(skf_ref_parse(s, &r, &e), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(test_good), cmocka_unit_test(test_bad),
					   cmocka_unit_test(test_lengths)};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
