/* base/base64.h: the vectors of RFC 4648 section 10 both ways, and what is no base64. */
#include "base/base64.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "util.h"
#include <string.h>

static const char *const vectors[][2] = {
	{"", ""},
	{"f", "Zg=="},
	{"fo", "Zm8="},
	{"foo", "Zm9v"},
	{"foob", "Zm9vYg=="},
	{"fooba", "Zm9vYmE="},
	{"foobar", "Zm9vYmFy"},
	{"\xff\xef\xbe", "/+++"},
};

static void test_vectors(void **state)
{
	(void)state;
	for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(64);
		uint8_t out[16];

		skf_base64_put(&b, vectors[i][0], strlen(vectors[i][0]));
		assert_string_equal(skf_buf_cstr(&b), vectors[i][1]);
		assert_int_equal(skf_base64_decode(vectors[i][1], out), strlen(vectors[i][0]));
		assert_memory_equal(out, vectors[i][0], strlen(vectors[i][0]));
	}
}

static void test_what_is_none(void **state)
{
	static const char *const bad[] = {
		"Z", "Zg", "Zg=", "Zg===", "=Zg=", "Zm9v Zm9v", "Zm9-", "Zm=v", "====", "Zm9v\n"};
	uint8_t out[16];

	(void)state;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_int_equal(skf_base64_decode(bad[i], out), -1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_what_is_none),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
