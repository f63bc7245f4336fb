/* Credentials of docker's config.json: the host must be the one asked for, whatever form its key has. */
#include "registry_test.h"
#include "registry/registry_int.h"
#include <stdio.h>

/* "alice:open:sesame" */
#define AUTH "YWxpY2U6b3BlbjpzZXNhbWU="

struct found {
	char *user, *password, *token;
};

static int find(const char *text, const char *host, struct found *f, struct skf_err *e)
{
	memset(f, 0, sizeof(*f));
	skf_err_clear(e);
	return skf_dockerconf_find(text, strlen(text), host, &f->user, &f->password, &f->token, e);
}

static void done(struct found *f)
{
	free(f->user);
	free(f->password);
	free(f->token);
}

static void test_forms_of_keys(void **state)
{
	static const struct {
		const char *key, *host;
		bool found;
	} rows[] = {
		{"reg.example", "reg.example", true},
		{"reg.example:5000", "reg.example:5000", true},
		{"https://reg.example:5000/v1/", "reg.example:5000", true},
		{"http://reg.example/some/path", "reg.example", true},
		{"https://index.docker.io/v1/", "docker.io", true},
		{"index.docker.io", "docker.io", true},
		{"registry-1.docker.io", "docker.io", true},
		{"docker.io", "docker.io", true},
		{"reg.example", "reg.example:5000", false},
		{"reg.example:5000", "reg.example", false},
		{"reg.example:5000", "reg.example:500", false},
		{"reg.example.evil", "reg.example", false},
		{"evil.reg.example", "reg.example", false},
		{"evil/reg.example", "reg.example", false},
		{"reg.example@evil", "reg.example", false},
		{"evil@reg.example", "reg.example", false},
		{"", "reg.example", false},
		{"https://", "reg.example", false},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		struct skf_err e = SKF_ERR_INIT;
		struct found f;
		char text[512];

		snprintf(text, sizeof(text), "{\"auths\":{\"%s\":{\"auth\":\"" AUTH "\"}}}", rows[i].key);
		int r = find(text, rows[i].host, &f, &e);

		if (r != (rows[i].found ? 1 : 0))
			fail_msg("%s for %s: %d %s", rows[i].key, rows[i].host, r, e.msg);
		if (rows[i].found) {
			assert_string_equal(f.user, "alice");
			assert_string_equal(f.password, "open:sesame");
			assert_null(f.token);
		} else {
			assert_true(!f.user && !f.password && !f.token);
		}
		done(&f);
	}
}

/* A key longer than any host is cut, and may not match by that. */
static void test_long_key(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	struct found f;
	char text[2048], host[SKF_MAX_REPO_BYTES + 1];

	(void)state;
	memset(host, 'h', sizeof(host) - 1);
	host[sizeof(host) - 1] = 0;
	snprintf(text, sizeof(text), "{\"auths\":{\"%s.evil\":{\"auth\":\"" AUTH "\"}}}", host);
	assert_int_equal(find(text, host, &f, &e), 0);
	done(&f);
}

static void test_other_forms(void **state)
{
	static const struct {
		const char *entry, *user, *password, *token;
	} rows[] = {
		{"{\"username\":\"u\",\"password\":\"p\"}", "u", "p", NULL},
		{"{\"username\":\"u\"}", "u", "", NULL},
		{"{\"identitytoken\":\"t\"}", NULL, NULL, "t"},
		{"{\"auth\":\"PHRva2VuPjo=\",\"identitytoken\":\"t\"}", "<token>", "", "t"},
		{"{\"auth\":\"\",\"identitytoken\":\"\"}", NULL, NULL, NULL},
		{"{\"auth\":\"YTpi\",\"email\":\"x@y\",\"future\":{}}", "a", "b", NULL},
		{"{\"auth\":\"YTo=\"}", "a", "", NULL},
		{"{}", NULL, NULL, NULL},
		{"{\"auth\":null}", NULL, NULL, NULL},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		struct skf_err e = SKF_ERR_INIT;
		struct found f;
		char text[512];

		snprintf(text, sizeof(text),
			 "{\"credsStore\":\"x\",\"auths\":{\"other\":{\"auth\":\"!\"},\"h\":%s}}",
			 rows[i].entry);
		if (find(text, "h", &f, &e) < 0)
			fail_msg("%s: %s", rows[i].entry, e.msg);
		assert_true(!f.user == !rows[i].user && !f.token == !rows[i].token);
		if (f.user) {
			assert_string_equal(f.user, rows[i].user);
			assert_string_equal(f.password, rows[i].password);
		}
		if (f.token)
			assert_string_equal(f.token, rows[i].token);
		done(&f);
	}
}

static void test_bad(void **state)
{
	static const char *const rows[] = {
		"",
		"{",
		"[]",
		"5",
		"{\"auths\":5}",
		"{\"auths\":[]}",
		"{\"auths\":{\"h\":5}}",
		"{\"auths\":{\"h\":{\"auth\":5}}}",
		"{\"auths\":{\"h\":{\"auth\":\"!!!\"}}}",
		"{\"auths\":{\"h\":{\"auth\":\"bm9jb2xvbg==\"}}}", /* nocolon */
		"{\"auths\":{\"h\":{\"auth\":\"YQA6Yg==\"}}}",     /* a NUL before the colon */
		"{\"auths\":{\"h\":{\"auth\":\"====\"}}}",
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		struct skf_err e = SKF_ERR_INIT;
		struct found f;

		if (find(rows[i], "h", &f, &e) != -1)
			fail_msg("'%s' was taken", rows[i]);
		assert_true(e.msg[0] && !f.user && !f.password && !f.token);
	}
}

/* Nothing of the file's secrets stands in a message. */
static void test_messages_hold_no_secret(void **state)
{
	static const char text[] = "{\"auths\":{\"h\":{\"auth\":\"c2VjcmV0c2VjcmV0\"}}}"; /* secretsecret */
	struct skf_err e = SKF_ERR_INIT;
	struct found f;

	(void)state;
	assert_int_equal(find(text, "h", &f, &e), -1);
	assert_null(strstr(e.msg, "secret"));
	assert_null(strstr(e.msg, "c2Vj"));
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(test_forms_of_keys),
		cmocka_unit_test(test_long_key),
		cmocka_unit_test(test_other_forms),
		cmocka_unit_test(test_bad),
		cmocka_unit_test(test_messages_hold_no_secret),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
