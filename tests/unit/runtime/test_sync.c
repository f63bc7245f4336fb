/* The conversation of parent and init over a socket pair: steps, failures as sentences, malformed records,
 * time-outs. */
#include "runtime/runtime_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cmocka.h>

static int setup(void **state)
{
	static int s[2];

	*state = s;
	return skf_socketpair_seqpacket(s);
}

static int teardown(void **state)
{
	int *s = *state;

	skf_closep(&s[0]);
	skf_closep(&s[1]);
	return 0;
}

static void steps_in_order(void **state)
{
	int *s = *state, fd = -1;
	struct skf_err e = SKF_ERR_INIT;

	assert_int_equal(skf_sync_send(s[1], SKF_STEP_CONSOLE, s[0]), 0);
	assert_int_equal(skf_sync_send(s[1], SKF_STEP_READY, -1), 0);
	assert_int_equal(skf_sync_expect(s[0], SKF_STEP_CONSOLE, 1000, &fd, &e), 0);
	assert_true(fd >= 0);
	assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
	close(fd);
	assert_int_equal(skf_sync_expect(s[0], SKF_STEP_READY, 1000, NULL, &e), 0);
	assert_int_equal(skf_sync_send(s[0], SKF_STEP_GO, -1), 0);
	assert_int_equal(skf_sync_await(s[1], SKF_STEP_GO), 0);
	assert_int_equal(skf_sync_send(s[0], SKF_STEP_GO, -1), 0);
	assert_int_equal(skf_sync_await(s[1], SKF_STEP_SETUP), -EBADMSG);
}

static void failure_is_the_sentence(void **state)
{
	int *s = *state;
	struct skf_err sent = SKF_ERR_INIT, e = SKF_ERR_INIT;

	skf_fail(&sent, SKF_ECMD_NOTFOUND, "exec: \"x\": nothing there");
	skf_sync_fail(s[1], &sent);
	assert_int_equal(skf_sync_expect(s[0], SKF_STEP_READY, 1000, NULL, &e), -1);
	assert_int_equal(e.kind, SKF_ECMD_NOTFOUND);
	assert_string_equal(e.msg, sent.msg);
	skf_sync_fail(s[1], &sent);
	assert_int_equal(skf_sync_wait_exec(s[0], 1000, &e), -1);
	assert_string_equal(e.msg, sent.msg);
}

/* A peer that ends with something unread: the kernel reports that before the peer's last record. */
static void failure_of_a_peer_that_did_not_listen(void **state)
{
	int *s = *state;
	struct skf_err sent = SKF_ERR_INIT, e = SKF_ERR_INIT;

	skf_fail(&sent, SKF_EDENIED, "not allowed");
	assert_int_equal(skf_sync_send(s[0], SKF_STEP_GO, -1), 0);
	skf_sync_fail(s[1], &sent);
	skf_closep(&s[1]);
	assert_int_equal(skf_sync_expect(s[0], SKF_STEP_READY, 1000, NULL, &e), -1);
	assert_string_equal(e.msg, sent.msg);
}

static void failure_instead_of_execve_of_such_a_peer(void **state)
{
	int *s = *state;
	struct skf_err sent = SKF_ERR_INIT, e = SKF_ERR_INIT;

	skf_fail(&sent, SKF_EDENIED, "not allowed");
	assert_int_equal(skf_sync_send(s[0], SKF_STEP_GO, -1), 0);
	skf_sync_fail(s[1], &sent);
	skf_closep(&s[1]);
	assert_int_equal(skf_sync_wait_exec(s[0], 1000, &e), -1);
	assert_string_equal(e.msg, sent.msg);
}

static void eof_means_death_or_execve(void **state)
{
	int *s = *state;
	struct skf_err e = SKF_ERR_INIT;

	assert_false(skf_sync_peer_gone(s[0]));
	skf_closep(&s[1]);
	assert_true(skf_sync_peer_gone(s[0]));
	assert_int_equal(skf_sync_expect(s[0], SKF_STEP_READY, 1000, NULL, &e), -1);
	assert_non_null(strstr(e.msg, "died before step 'ready'"));
	assert_int_equal(skf_sync_wait_exec(s[0], 1000, &e), 0);
	assert_int_equal(skf_sync_await(s[0], SKF_STEP_GO), -EPIPE);
	assert_int_equal(skf_sync_send(s[0], SKF_STEP_GO, -1), -EPIPE); /* and no SIGPIPE */
}

static void malformed_and_late(void **state)
{
	int *s = *state;
	struct skf_err e = SKF_ERR_INIT;
	char big[2048] = "x";

	assert_int_equal(write(s[1], "abc", 3), 3);
	assert_int_equal(skf_sync_expect(s[0], SKF_STEP_READY, 1000, NULL, &e), -1);
	assert_int_equal(write(s[1], big, sizeof(big)), sizeof(big));
	assert_int_equal(skf_sync_expect(s[0], SKF_STEP_READY, 1000, NULL, &e), -1);
	assert_int_equal(write(s[1], "abc", 3), 3);
	assert_int_equal(skf_sync_wait_exec(s[0], 1000, &e), -1);
	assert_int_equal(e.kind, SKF_EBUG);
	assert_int_equal(skf_sync_send(s[1], SKF_STEP_BUILT, -1), 0);
	assert_int_equal(skf_sync_expect(s[0], SKF_STEP_READY, 1000, NULL, &e), -1);
	assert_int_equal(e.kind, SKF_EBUG);
	assert_int_equal(skf_sync_expect(s[0], SKF_STEP_READY, 10, NULL, &e), -1);
	assert_int_equal(e.kind, SKF_ETIMEOUT);
	assert_int_equal(skf_sync_wait_exec(s[0], 10, &e), -1);
	assert_int_equal(e.kind, SKF_ETIMEOUT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(steps_in_order, setup, teardown),
		cmocka_unit_test_setup_teardown(failure_is_the_sentence, setup, teardown),
		cmocka_unit_test_setup_teardown(failure_of_a_peer_that_did_not_listen, setup, teardown),
		cmocka_unit_test_setup_teardown(failure_instead_of_execve_of_such_a_peer, setup, teardown),
		cmocka_unit_test_setup_teardown(eof_means_death_or_execve, setup, teardown),
		cmocka_unit_test_setup_teardown(malformed_and_late, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
