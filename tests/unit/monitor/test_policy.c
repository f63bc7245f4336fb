/* test_policy.c -- docker's rules of restarting, as a pure function. */
#include "monitor/monitor_int.h"
#include "util.h"

static void never(void **s)
{
	struct skf_mon_policy p = {.policy = SKF_RESTART_NO};

	assert_false(skf_mon_policy_next(&p, 1, 0));
	assert_int_equal(p.count, 0);
}

static void back_off_doubles_to_a_minute_and_begins_again(void **s)
{
	struct skf_mon_policy p = {.policy = SKF_RESTART_ALWAYS};
	uint32_t want = 100;

	for (int i = 0; i<12; i++, want = want * 2> 60000 ? 60000 : want * 2) {
		assert_true(skf_mon_policy_next(&p, 0, 9999));
		assert_int_equal(p.backoff_ms, want);
	}
	assert_int_equal(p.backoff_ms, 60000);
	assert_true(skf_mon_policy_next(&p, 0, 10000));
	assert_int_equal(p.backoff_ms, 100);
	assert_int_equal(p.count, 13);
}

static void on_failure_counts(void **s)
{
	struct skf_mon_policy p = {.policy = SKF_RESTART_ON_FAILURE, .max = 2};

	assert_false(skf_mon_policy_next(&p, 0, 0));
	assert_true(skf_mon_policy_next(&p, 7, 0));
	assert_true(skf_mon_policy_next(&p, 137, 0));
	assert_false(skf_mon_policy_next(&p, 7, 0));
	assert_int_equal(p.count, 2);
	p = (struct skf_mon_policy){.policy = SKF_RESTART_ON_FAILURE};
	for (int i = 0; i < 1000; i++)
		assert_true(skf_mon_policy_next(&p, 1, 0));
}

static void by_hand_is_for_good(void **s)
{
	static const uint32_t all[] = {SKF_RESTART_ALWAYS, SKF_RESTART_ON_FAILURE,
				       SKF_RESTART_UNLESS_STOPPED};

	for (size_t i = 0; i < SKF_ARRAY_LEN(all); i++) {
		struct skf_mon_policy p = {.policy = all[i], .manual = true, .forced = true};

		assert_false(skf_mon_policy_next(&p, 1, 0));
	}
}

static void a_health_check_restarts_once(void **s)
{
	struct skf_mon_policy p = {.policy = SKF_RESTART_NO, .forced = true};

	assert_true(skf_mon_policy_next(&p, 137, 0));
	assert_false(skf_mon_policy_next(&p, 137, 0));
}

int main(void)
{
	const struct CMUnitTest t[] = {
		cmocka_unit_test(never),
		cmocka_unit_test(back_off_doubles_to_a_minute_and_begins_again),
		cmocka_unit_test(on_failure_counts),
		cmocka_unit_test(by_hand_is_for_good),
		cmocka_unit_test(a_health_check_restarts_once),
	};

	return cmocka_run_group_tests(t, NULL, NULL);
}
