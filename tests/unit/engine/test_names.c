/* Unit tests of engine/names.c: the rule and made-up names and ids. */
#include "util.h"

static void rule(void **state)
{
	static const char *const good[] = {"a", "web", "A1", "a_b.c-d", "0", "9lives"};
	static const char *const bad[] = {"", "-a", ".a", "_a", "a/b", "a b", "ä", "a:b", "..", "a\n"};
	char max[SKF_MAX_NAME_BYTES + 2];

	for (size_t i = 0; i < SKF_ARRAY_LEN(good); i++)
		assert_true(skf_name_valid(good[i]));
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++)
		assert_false(skf_name_valid(bad[i]));
	memset(max, 'a', sizeof(max));
	max[SKF_MAX_NAME_BYTES] = '\0';
	assert_true(skf_name_valid(max));
	max[SKF_MAX_NAME_BYTES] = 'a';
	max[SKF_MAX_NAME_BYTES + 1] = '\0';
	assert_false(skf_name_valid(max));
}

static void made_up(void **state)
{
	char a[SKF_MAX_NAME_BYTES + 1], b[SKF_MAX_NAME_BYTES + 1];
	unsigned same = 0;

	for (int i = 0; i < 50; i++) {
		assert_int_equal(skf_name_random(0, a), 0);
		assert_int_equal(skf_name_random(7, b), 0);
		assert_true(skf_name_valid(a) && strchr(a, '_'));
		assert_int_equal(b[strlen(b) - 1], '7');
		b[strlen(b) - 1] = '\0';
		same += strcmp(a, b) == 0;
	}
	assert_true(same < 10);
}

/* One in 280 short ids of random hex digits has no letter: gethostbyname() of such a host name fails
 * whatever /etc/hosts says. */
static void ids_are_host_names(void **state)
{
	char id[SKF_ID_LEN + 1];

	for (int i = 0; i < 20000; i++) {
		assert_int_equal(skf_id_random(id), 0);
		assert_int_equal(strlen(id), SKF_ID_LEN);
		assert_true(strspn(id, "0123456789") < SKF_SHORT_ID);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(rule), cmocka_unit_test(made_up),
					   cmocka_unit_test(ids_are_host_names)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
