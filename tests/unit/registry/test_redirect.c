/* The parts of http.c that decide where a request may go: redirects (T51), addresses of token servers (T52),
 * plain HTTP (T53), headers. */
#include "registry_test.h"
#include "registry/registry_int.h"
#include <arpa/inet.h>
#include <stdio.h>

static void test_redirects(void **state)
{
	static const struct {
		const char *url, *location, *next; /* next NULL: refused */
	} rows[] = {
		{"https://a/v2/x", "https://b/y", "https://b/y"},
		{"https://a/v2/x", "/y?z=1", "https://a/y?z=1"},
		{"https://a:5000/v2/x", "y", "https://a:5000/v2/y"},
		{"https://a/v2/x", "//b/y", "https://b/y"},
		{"https://a/v2/x", "../../../y", "https://a/y"},
		{"http://a/x", "https://b/y", "https://b/y"},
		{"http://a/x", "http://b/y", "http://b/y"},
		{"https://a/x", "http://a/x", NULL},
		{"https://a/x", "HTTP://a/x", NULL},
		{"https://a/x", "file:///etc/passwd", NULL},
		{"http://a/x", "file:///etc/passwd", NULL},
		{"http://a/x", "ftp://b/y", NULL},
		{"http://a/x", "gopher://b/y", NULL},
		{"http://a/x", "http:///", NULL},
		{"http://a/x", "http://b:99999/", NULL},
		{"http://a/x", "http://b /", NULL},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		struct skf_err e = SKF_ERR_INIT;
		char out[256] = "";
		int r = skf_http_redirect(rows[i].url, rows[i].location, out, sizeof(out), &e);

		if (r != (rows[i].next ? 0 : -1))
			fail_msg("%s -> %s: %d %s %s", rows[i].url, rows[i].location, r, out, e.msg);
		if (rows[i].next)
			assert_string_equal(out, rows[i].next);
	}
}

static void test_redirect_that_is_too_long(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	char out[16], location[64];

	(void)state;
	memset(location, 'x', sizeof(location));
	location[0] = '/';
	location[sizeof(location) - 1] = 0;
	assert_int_equal(skf_http_redirect("http://a/x", location, out, sizeof(out), &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
}

static void test_same_origin(void **state)
{
	static const struct {
		const char *a, *b;
		bool same;
	} rows[] = {
		{"https://a/x", "https://a/y", true},       {"https://a/x", "https://A:443/y", true},
		{"http://a:80/x", "http://a/y", true},      {"https://a/x", "http://a/x", false},
		{"https://a/x", "https://a:8443/x", false}, {"https://a/x", "https://b/x", false},
		{"https://a/x", "https://a.b/x", false},    {"https://a/x", "https://a@b/x", false},
		{"https://a/x", "https://b/@a/", false},    {"https://a/x", "not a url at all", false},
		{"https://a/x", "https://a./x", false},     {"http://127.0.0.1:1/", "http://127.1:1/", true},
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++)
		if (skf_http_same_origin(rows[i].a, rows[i].b) != rows[i].same)
			fail_msg("%s and %s", rows[i].a, rows[i].b);
}

static bool forbidden(const char *address, bool loopback_ok)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6};

	if (inet_pton(AF_INET, address, &v4.sin_addr) == 1)
		return skf_http_address_forbidden((struct sockaddr *)&v4, loopback_ok);
	assert_int_equal(inet_pton(AF_INET6, address, &v6.sin6_addr), 1);
	return skf_http_address_forbidden((struct sockaddr *)&v6, loopback_ok);
}

static void test_addresses(void **state)
{
	static const char *const never[] = {
		"169.254.169.254",
		"169.254.0.1",
		"0.0.0.0",
		"0.1.2.3",
		"224.0.0.1",
		"255.255.255.255",
		"240.0.0.1",
		"100.100.100.200",
		"::",
		"fe80::1",
		"febf::1",
		"ff02::1",
		"fd00:ec2::254",
		"::ffff:169.254.169.254",
		"::169.254.169.254",
		"64:ff9b::a9fe:a9fe",
		"::ffff:0.0.0.0",
	};
	static const char *const loopback[] = {"127.0.0.1", "127.255.255.255", "::1", "::ffff:127.0.0.1",
					       "64:ff9b::7f00:1"};
	static const char *const good[] = {"192.0.2.1",   "10.0.0.1",    "172.16.0.1", "192.168.1.1",
					   "100.64.0.1",  "2001:db8::1", "fd00::1",    "::ffff:192.0.2.1",
					   "168.254.0.1", "170.254.0.1", "128.0.0.1",  "126.255.255.255"};
	struct sockaddr_storage unix_socket = {.ss_family = AF_UNIX};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(never); i++)
		if (!forbidden(never[i], true) || !forbidden(never[i], false))
			fail_msg("%s", never[i]);
	for (size_t i = 0; i < SKF_ARRAY_LEN(loopback); i++)
		if (forbidden(loopback[i], true) || !forbidden(loopback[i], false))
			fail_msg("%s", loopback[i]);
	for (size_t i = 0; i < SKF_ARRAY_LEN(good); i++)
		if (forbidden(good[i], false))
			fail_msg("%s", good[i]);
	assert_true(skf_http_address_forbidden((struct sockaddr *)&unix_socket, true));
}

static void test_urls_of_token_servers(void **state)
{
	static const char *const loopback[] = {
		"http://127.0.0.1/", "http://localhost:1/", "https://LOCALHOST/", "http://x.localhost/",
		"http://[::1]:1/",   "http://127.1/",       "http://2130706433/", "http://0x7f.1/"};
	static const char *const never[] = {"http://169.254.169.254/",
					    "http://[::ffff:169.254.169.254]/",
					    "http://2852039166/",
					    "http://0251.0376.0251.0376/",
					    "no url",
					    "http://[fe80::1%25eth0]/"};
	static const char *const good[] = {"https://auth.docker.io/token", "http://10.0.0.1/",
					   "https://localhost.example/", "https://notlocalhost/"};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(loopback); i++)
		if (skf_http_url_forbidden(loopback[i], true) || !skf_http_url_forbidden(loopback[i], false))
			fail_msg("%s", loopback[i]);
	for (size_t i = 0; i < SKF_ARRAY_LEN(never); i++)
		if (!skf_http_url_forbidden(never[i], true))
			fail_msg("%s", never[i]);
	for (size_t i = 0; i < SKF_ARRAY_LEN(good); i++)
		if (skf_http_url_forbidden(good[i], false))
			fail_msg("%s", good[i]);
}

/* Only these registries may be asked by plain HTTP without being told to. */
static void test_loopback_hosts(void **state)
{
	static const char *const yes[] = {"127.0.0.1",  "127.0.0.1:5000", "127.9.9.9",   "[::1]",
					  "[::1]:5000", "localhost",      "localhost:1", "LocalHost:5000"};
	static const char *const no[] = {"127.evil.example",
					 "localhost.evil",
					 "127.0.0.1.evil:5000",
					 "registry",
					 "0.0.0.0:1",
					 "[::]:1",
					 "128.0.0.1",
					 "169.254.1.1",
					 "127.1",
					 "",
					 "[::1",
					 "xlocalhost"};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(yes); i++)
		if (!skf_http_host_is_loopback(yes[i]))
			fail_msg("%s", yes[i]);
	for (size_t i = 0; i < SKF_ARRAY_LEN(no); i++)
		if (skf_http_host_is_loopback(no[i]) &&
		    strcmp(no[i], "[::1") != 0) /* no reference has that form */
			fail_msg("%s", no[i]);
}

static void header(struct skf_http_resp *r, const char *line, bool good)
{
	char *copy = strdup(line);

	assert_non_null(copy);
	assert_int_equal(skf_http_on_header(copy, 1, strlen(line), r), good ? strlen(line) : 0);
	free(copy);
}

static void test_headers(void **state)
{
	struct skf_http_resp r = {.retry_after_ms = -1};
	char big[sizeof(r.location) + 64];

	(void)state;
	header(&r, "HTTP/1.1 206 Partial Content\r\n", true);
	header(&r, "Content-Range: bytes 100-199/200\r\n", true);
	header(&r, "retry-after:  7 \r\n", true);
	header(&r, "CONTENT-TYPE: application/json; charset=x\r\n", true);
	header(&r, "Location:\t/y\r\n", true);
	header(&r, "WWW-Authenticate: Bearer realm=\"r\"\r\n", true);
	assert_true(r.has_range && r.range_start == 100);
	assert_int_equal(r.retry_after_ms, 7000);
	assert_string_equal(r.content_type, "application/json; charset=x");
	assert_string_equal(r.location, "/y");
	assert_true(r.challenge.bearer);
	header(&r, "OCI-Tag: 1.2.3, 1.2\r\n", true);
	header(&r, "oci-tag:latest\r\n", true);
	assert_true(skf_http_list_has(r.tags, "1.2.3") && skf_http_list_has(r.tags, "1.2") &&
		    skf_http_list_has(r.tags, "latest"));
	assert_false(skf_http_list_has(r.tags, "1") || skf_http_list_has(r.tags, "late") ||
		     skf_http_list_has(r.tags, "") || skf_http_list_has(r.tags, "1.2.3,"));
	header(&r, "HTTP/1.1 200 OK\r\n", true); /* the next answer knows nothing of the one before */
	assert_true(!r.has_range && r.retry_after_ms == -1 && !r.content_type[0] && !r.location[0] &&
		    !r.challenge.bearer && !r.tags[0]);
	for (size_t i = 0; i < 6; i++) {
		static const char *const ranges[] = {"bytes */200", "bytes -5/6",
						     "items 1-2/3", "bytes 99999999999999999999-1/2",
						     "bytes",       ""};
		char line[128];

		snprintf(line, sizeof(line), "Content-Range: %s\r\n", ranges[i]);
		header(&r, line, true);
		if (r.has_range)
			fail_msg("%s", line);
	}
	header(&r, "Retry-After: Fri, 31 Dec 1999 23:59:59 GMT\r\n", true);
	assert_int_equal(r.retry_after_ms, -1);
	header(&r, "Retry-After: 4294967295\r\n", true);
	assert_int_equal(r.retry_after_ms, SKF_MAX_RETRY_AFTER_MS);
	header(&r, "Retry-After: -5\r\n", true);
	assert_int_equal(r.retry_after_ms, -1);
	memset(big, 'x', sizeof(big)); /* a Location that does not fit is no Location: never a part of one */
	memcpy(big, "Location: /", 11);
	big[sizeof(big) - 1] = 0;
	header(&r, big, true);
	assert_string_equal(r.location, "");
	while (r.header_bytes + strlen(big) <= SKF_MAX_HTTP_HEADER)
		header(&r, big, true);
	header(&r, big, false);
}

static void test_backoff(void **state)
{
	struct skf_registry r = {.retry_ms = 0};

	(void)state;
	for (int n = 0; n < 100; n++) {
		int ms = skf_http_backoff_ms(&r, n), top = 200 << (n > 5 ? 5 : n);

		assert_in_range(ms, top / 2, top);
	}
	r.retry_ms = 1700; /* the user's own */
	assert_int_equal(skf_http_backoff_ms(&r, 0), 1700);
	assert_int_equal(skf_http_backoff_ms(&r, 9), 1700);
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(test_redirects),
		cmocka_unit_test(test_redirect_that_is_too_long),
		cmocka_unit_test(test_same_origin),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_urls_of_token_servers),
		cmocka_unit_test(test_loopback_hosts),
		cmocka_unit_test(test_headers),
		cmocka_unit_test(test_backoff),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
