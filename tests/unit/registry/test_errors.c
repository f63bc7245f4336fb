/* What a registry's refusal means: the fourteen codes of distribution-spec, and the status where there is
 * none. */
#include "registry_test.h"
#include "registry/registry_int.h"

static void check(long status, const char *body, enum skf_kind want, const char *word)
{
	const struct skf_registry r = {.host = "registry.example"};
	struct skf_http_resp p = {.status = status, .body = SKF_BUF(65536)};
	struct skf_err e = SKF_ERR_INIT;

	skf_buf_str(&p.body, body);
	assert_int_equal(skf_http_fail_status(&r, &p, "manifest of 'a'", &e), -1);
	assert_int_equal(e.kind, want);
	assert_non_null(strstr(e.msg, word));
	skf_buf_done(&p.body);
}

static void codes(void **state)
{
	static const struct {
		const char *code;
		enum skf_kind kind;
	} t[] = {{"BLOB_UNKNOWN", SKF_ENOTFOUND},
		 {"BLOB_UPLOAD_INVALID", SKF_EINVALID},
		 {"BLOB_UPLOAD_UNKNOWN", SKF_ENOTFOUND},
		 {"DIGEST_INVALID", SKF_ECORRUPT},
		 {"MANIFEST_BLOB_UNKNOWN", SKF_ENOTFOUND},
		 {"MANIFEST_INVALID", SKF_EINVALID},
		 {"MANIFEST_UNKNOWN", SKF_ENOTFOUND},
		 {"NAME_INVALID", SKF_EINVALID},
		 {"NAME_UNKNOWN", SKF_ENOTFOUND},
		 {"SIZE_INVALID", SKF_ECORRUPT},
		 {"UNAUTHORIZED", SKF_EDENIED},
		 {"DENIED", SKF_EDENIED},
		 {"UNSUPPORTED", SKF_EUNSUPPORTED},
		 {"TOOMANYREQUESTS", SKF_EUNAVAILABLE}};
	char body[200];

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++) {
		assert_int_equal(skf_fmt(body, sizeof(body),
					 "{\"errors\":[{\"code\":\"%s\",\"message\":\"why\"}]}", t[i].code),
				 0);
		check(418, body, t[i].kind, t[i].code);
	}
}

static void without_a_code(void **state)
{
	(void)state;
	check(404, "", SKF_ENOTFOUND, "404");
	check(403, "<html>", SKF_EDENIED, "403");
	check(429, "{\"errors\":[]}", SKF_EUNAVAILABLE, "too many requests");
	check(500, "{\"errors\":[{\"code\":\"SOMETHING_NEW\"}]}", SKF_EUNAVAILABLE, "SOMETHING_NEW");
	check(400, "{\"errors\":[{\"code\":17}]}", SKF_EINVALID, "400");
}

int main(void)
{
	const struct CMUnitTest t[] = {cmocka_unit_test(codes), cmocka_unit_test(without_a_code)};

	return cmocka_run_group_tests(t, NULL, NULL);
}
