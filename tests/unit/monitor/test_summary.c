/* Unit tests of monitor/summary.c. */
#include "monitor/summary.h"
#include "util.h"
#include <sys/wait.h>

static struct skf_summary sample(void)
{
	return (struct skf_summary){.name = "web",
				    .image = "docker.io/library/debian:12",
				    .state = "running",
				    .pid = 4711,
				    .start_time = 99,
				    .exit_code = 0,
				    .created_ns = 1,
				    .started_ns = UINT64_MAX,
				    .finished_ns = 0,
				    .ports = "80->8080/tcp",
				    .command = "sh -c 'a | b; 100%\n'",
				    .health = "healthy",
				    .restarts = 3,
				    .proc_id = 12345678901};
}

static void line_is_as_documented(void **state)
{
	struct skf_summary s = sample();
	char line[SKF_MAX_SUMMARY_BYTES + 1];

	assert_int_equal(skf_summary_encode(&s, line), 0);
	assert_string_equal(
		line,
		"1|web|docker.io/library/debian:12|running|4711|99|0|1|18446744073709551615|0|80->8080/"
		"tcp|sh -c 'a %7C b; 100%25%0A'|healthy|3|12345678901");
}

static void round_trip(void **state)
{
	struct skf_summary s = sample(), r;
	char line[SKF_MAX_SUMMARY_BYTES + 1];

	s.exit_code = -3;
	assert_int_equal(skf_summary_encode(&s, line), 0);
	assert_int_equal(skf_summary_decode(line, &r), 0);
	assert_string_equal(r.command, s.command);
	assert_string_equal(r.name, s.name);
	assert_int_equal(r.exit_code, -3);
	assert_int_equal(r.pid, 4711);
	assert_true(r.started_ns == UINT64_MAX);
	assert_true(r.proc_id == 12345678901);
}

static void longest_fits(void **state)
{
	struct skf_summary s = sample(), r;
	char line[SKF_MAX_SUMMARY_BYTES + 1];

	memset(s.name, '%', sizeof(s.name) - 1);
	memset(s.image, '%', sizeof(s.image) - 1);
	memset(s.state, '%', sizeof(s.state) - 1);
	memset(s.ports, '\1', sizeof(s.ports) - 1);
	memset(s.command, '|', sizeof(s.command) - 1);
	s.started_ns = s.created_ns = s.finished_ns = s.start_time = s.proc_id = UINT64_MAX;
	s.restarts = UINT32_MAX;
	s.exit_code = INT32_MIN;
	assert_int_equal(skf_summary_encode(&s, line), 0);
	assert_int_equal(skf_summary_decode(line, &r), 0);
	assert_memory_equal(&r.image, &s.image, sizeof(s.image));
}

static void bad_lines(void **state)
{
	static const char *const bad[] = {
		"",
		"1",
		"2|n|i|s|1|2|0|3|4|5||c",
		"1|n|i|s|1|2|0|3|4|5",
		"1|n|i|s|x|2|0|3|4|5||c",
		"1|n|i|s|1|2|0|3|4|5|%|c",
		"1|n|i|s|1|2|0|3|4|5|%0|c",
		"1|n|i|s|1|2|0|3|4|5|%zz|c",
		"1|n|i|s|1|2|0|3|4|5|%00|c",
		"1|n|i|s|99999999999|2|0|3|4|5||c",
		"1|n|i|s|1|2|99999999999|3|4|5||c",
		"1|n|i|0123456789012345678901234567890|1|2|0|3|4|5||c",
		"1|n|i|s|-1|2|0|3|4|5||c",
		"1|n|i|s|1|2|0|3|4|5||c|healthy",
		"1|n|i|s|1|2|0|3|4|5||c|0123456789abcdef|1",
	};
	struct skf_summary r;

	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++)
		assert_int_equal(skf_summary_decode(bad[i], &r), -EBADMSG);
	assert_int_equal(skf_summary_decode("1|n|i|s|1|2|0|3|4|5||c|healthy|7|a later field", &r), 0);
	assert_string_equal(r.command, "c");
	assert_string_equal(r.health, "healthy");
	assert_true(r.restarts == 7 && r.proc_id == 0);
	assert_int_equal(skf_summary_decode("1|n|i|s|1|2|0|3|4|5||c|healthy|7|9|a later field", &r), 0);
	assert_true(r.restarts == 7 && r.proc_id == 9);
	assert_int_equal(skf_summary_decode("1|n|i|s|1|2|0|3|4|5||c", &r), 0); /* of an older release */
	assert_string_equal(r.health, "");
}

static void files(void **state)
{
	SKF_AUTO(tmp_done) struct tmp_dir t = tmp_make();
	struct skf_summary s = sample(), r;

	assert_int_equal(skf_summary_read(t.fd, "abc", &r), -ENOENT);
	assert_int_equal(skf_summary_write(t.fd, "abc", &s), 0);
	s.pid = 12;
	assert_int_equal(skf_summary_write(t.fd, "abc", &s), 0);
	assert_int_equal(skf_summary_read(t.fd, "abc", &r), 0);
	assert_int_equal(r.pid, 12);
	assert_int_equal(skf_summary_remove(t.fd, "abc"), 0);
	assert_int_equal(skf_summary_remove(t.fd, "abc"), -ENOENT);
	assert_int_equal(unlinkat(t.fd, "summary", AT_REMOVEDIR), 0); /* no temporary name is left */
	assert_int_equal(skf_summary_write(t.fd, "../x", &s), -EINVAL);
	assert_int_equal(skf_summary_write(t.fd, "", &s), -EINVAL);
}

static void count(struct skf_summary *s, void *arg)
{
	uint64_t *field = arg ? &s->started_ns : &s->finished_ns;

	*field += 1;
}

/* Two processes that change different fields of one line at the same time: no change is lost. */
static void edits_do_not_lose_each_other(void **state)
{
	enum { ROUNDS = 2000 };
	SKF_AUTO(tmp_done) struct tmp_dir t = tmp_make();
	struct skf_summary s = {.state = "running"}, r;
	int status, own = 0;
	pid_t pid;

	assert_int_equal(skf_summary_edit(t.fd, "abc", count, NULL), -ENOENT);
	assert_int_equal(skf_summary_write(t.fd, "abc", &s), 0);
	pid = fork();
	assert_true(pid >= 0);
	for (int i = 0; i < ROUNDS; i++)
		own += skf_summary_edit(t.fd, "abc", count, pid ? &own : NULL) != 0;
	if (pid == 0)
		_exit(own != 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	assert_int_equal(status, 0);
	assert_int_equal(own, 0);
	assert_int_equal(skf_summary_read(t.fd, "abc", &r), 0);
	assert_true(r.started_ns == ROUNDS && r.finished_ns == ROUNDS);
	assert_int_equal(skf_summary_remove(t.fd, "abc"), 0);
	assert_int_equal(unlinkat(t.fd, "summary", AT_REMOVEDIR), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(line_is_as_documented),
		cmocka_unit_test(round_trip),
		cmocka_unit_test(longest_fits),
		cmocka_unit_test(bad_lines),
		cmocka_unit_test(files),
		cmocka_unit_test(edits_do_not_lose_each_other),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
