/* Unit tests of base/log.c. */
#include "base/log.h"
#include "util.h"

static char line[8192];

static const char *logged(struct skf_log *l, int level, const char *msg)
{
	int p[2];
	ssize_t n;

	assert_int_equal(pipe2(p, O_CLOEXEC | O_NONBLOCK), 0);
	l->fd = p[1];
	errno = 5;
	skf_logf(l, level, "%s", msg);
	assert_int_equal(errno, 5);
	n = read(p[0], line, sizeof(line) - 1);
	line[n > 0 ? n : 0] = 0;
	close(p[0]);
	close(p[1]);
	return line;
}

static void json_form(void **state)
{
	struct skf_log l = {.max = SKF_LOG_INFO, .json = true};

	logged(&l, SKF_LOG_WARN, "a \"b\"\n\x01");
	assert_ptr_equal(
		strstr(line, "{\"level\":\"warning\",\"msg\":\"a \\\"b\\\"\\n\\u0001\",\"time\":\"20"),
		line);
	assert_string_equal(line + strlen(line) - 4, "Z\"}\n");
	logged(&l, SKF_LOG_ERROR, "\xff");
	assert_non_null(strstr(line, "{\"level\":\"error\",\"msg\":\"\xef\xbf\xbd\""));
}

static void text_forms(void **state)
{
	struct skf_log l = {.max = SKF_LOG_DEBUG};

	logged(&l, SKF_LOG_ERROR, "no \"such\" file");
	assert_memory_equal(line, "time=\"20", 8);
	assert_string_equal(line + strlen("time=\"2026-01-01T00:00:00Z\""),
			    " level=error msg=\"no \\\"such\\\" file\"\n");
	l.prog = "skiff";
	assert_string_equal(logged(&l, SKF_LOG_DEBUG, "m"), "skiff: m\n");
	assert_string_equal(logged(&l, SKF_LOG_DEBUG, "a\nskiff: forged\x1b[2J\tb"),
			    "skiff: a\\nskiff: forged\\x1b[2J\tb\n");
}

static void level_and_fd_filter(void **state)
{
	struct skf_log l = {.max = SKF_LOG_WARN, .prog = "p"};
	struct skf_err e = SKF_ERR_INIT;

	assert_string_equal(logged(&l, SKF_LOG_INFO, "m"), "");
	assert_string_equal(logged(&l, SKF_LOG_WARN, "m"), "p: m\n");
	l.fd = -1;
	skf_logf(&l, SKF_LOG_ERROR, "m");
	skf_logf(NULL, SKF_LOG_ERROR, "m");
	skf_debug((struct skf_log *)NULL, "m");
	skf_fail(&e, SKF_EINVALID, "x");
	skf_log_err(&l, &e);
}

static void long_message_is_one_cut_line(void **state)
{
	struct skf_log l = {.max = SKF_LOG_DEBUG};
	char big[6000];

	for (int form = 0; form < 3; form++) {
		memset(big, form == 1 ? 1 : 'y', sizeof(big) - 1);
		big[sizeof(big) - 1] = 0;
		l.json = form > 0;
		logged(&l, SKF_LOG_INFO, big);
		assert_in_range(strlen(line), 3900, 4096);
		assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
		if (l.json)
			assert_string_equal(line + strlen(line) - 4, "Z\"}\n");
	}
	l.json = false;
	l.prog = "p";
	memset(big, 2, sizeof(big) - 1);
	logged(&l, SKF_LOG_INFO, big);
	assert_true(strlen(line) <= 4096);
	assert_ptr_equal(strchr(line, '\n'), line + strlen(line) - 1);
}

static void datagrams(void **state)
{
	struct skf_log l = {.max = SKF_LOG_DEBUG, .prog = "me", .sink = SKF_LOG_JOURNALD};
	char want[64];

	assert_string_equal(logged(&l, SKF_LOG_WARN, "a\nPRIORITY=0"),
			    "PRIORITY=4\nSYSLOG_IDENTIFIER=me\nMESSAGE=a\\nPRIORITY=0\n");
	l.sink = SKF_LOG_SYSLOG;
	snprintf(want, sizeof(want), "<15>me[%d]: m", (int)getpid());
	assert_string_equal(logged(&l, SKF_LOG_DEBUG, "m"), want);
	l.prog = NULL;
	assert_memory_equal(logged(&l, SKF_LOG_ERROR, "m"), "<11>[", 5);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(json_form),           cmocka_unit_test(text_forms),
		cmocka_unit_test(level_and_fd_filter), cmocka_unit_test(long_message_is_one_cut_line),
		cmocka_unit_test(datagrams),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
