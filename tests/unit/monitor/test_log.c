/* Unit tests of monitor/log.c: how output is cut into entries, what the file looks like, rotation, a file
 * that cannot be written. */
#include "base/limits.h"
#include "monitor/monitor_int.h"
#include "util.h"
#include <sys/stat.h>

static char big[3 * SKF_LOG_LINE];

static void cut(void **state)
{
	struct skf_mon_cut c;

	memset(big, 'x', sizeof(big));
	assert_int_equal(skf_mon_log_cut("", 0, false, &c), 0);
	assert_int_equal(skf_mon_log_cut("", 0, true, &c), 0);
	assert_int_equal(skf_mon_log_cut("abc", 3, false, &c), 0);
	assert_int_equal(skf_mon_log_cut("abc", 3, true, &c), 1);
	assert_true(c.len == 3 && c.used == 3 && !c.newline);
	assert_int_equal(skf_mon_log_cut("\nabc", 4, false, &c), 1);
	assert_true(c.len == 0 && c.used == 1 && c.newline);
	assert_int_equal(skf_mon_log_cut("ab\nc\n", 5, false, &c), 1);
	assert_true(c.len == 2 && c.used == 3 && c.newline);
	assert_int_equal(skf_mon_log_cut(big, SKF_LOG_LINE - 1, false, &c), 0);
	assert_int_equal(skf_mon_log_cut(big, SKF_LOG_LINE, false, &c), 1);
	assert_true(c.len == SKF_LOG_LINE && c.used == SKF_LOG_LINE && !c.newline);
	big[SKF_LOG_LINE] = '\n'; /* one byte too late to belong to the entry */
	assert_int_equal(skf_mon_log_cut(big, SKF_LOG_LINE + 1, false, &c), 1);
	assert_true(c.len == SKF_LOG_LINE && !c.newline);
	big[SKF_LOG_LINE - 1] = '\n';
	assert_int_equal(skf_mon_log_cut(big, SKF_LOG_LINE + 1, false, &c), 1);
	assert_true(c.len == SKF_LOG_LINE - 1 && c.used == SKF_LOG_LINE && c.newline);
}

static char mem[SKF_MON_LOG_BUF];

static void init(struct skf_monitor *m, const struct tmp_dir *t, uint64_t max_size, unsigned max_file)
{
	memset(m, 0, sizeof(*m));
	assert_int_equal(skf_mkdir_at(t->fd, "log", 0700), 0);
	m->h.run_dir = t->fd;
	m->log = (struct skf_mon_log){.drv = &skf_mon_log_json,
				      .pipe = -1,
				      .dir = t->fd,
				      .id = "id",
				      .max_size = max_size,
				      .rotate_at = max_size,
				      .max_file = max_file};
	m->log.buf = (struct skf_buf){.p = mem, .cap = sizeof(mem), .max = sizeof(mem) - 1};
	m->log.fd = skf_openat(t->fd, "log/id-json.log", O_WRONLY | O_APPEND | O_CREAT, 0640);
	assert_true(m->log.fd >= 0);
}

static void worst_case_fits_the_buffer(void **state)
{
	SKF_AUTO(tmp_done) struct tmp_dir t = tmp_make();
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1 << 20);
	struct skf_monitor m;

	init(&m, &t, 0, 1);
	memset(big, 1, sizeof(big));
	assert_int_equal(skf_mon_log_lines(&m, SKF_MON_STDERR, big, sizeof(big), false), sizeof(big));
	assert_int_equal(skf_mon_log_lines(&m, SKF_MON_STDERR, "\n", 1, false), 1);
	assert_int_equal(m.log.buf.err, 0);
	assert_int_equal(skf_read_file_at(t.fd, "log/id-json.log", 1 << 20, &b), 0);
	assert_int_equal(b.len, m.log.size);
	assert_true(b.len > 3 * SKF_LOG_LINE * 6);
	assert_non_null(strstr(b.p, "{\"log\":\"\\n\",\"stream\":\"stderr\",\"time\":\""));
	skf_closep(&m.log.fd);
}

static void pieces_carry_the_first_time(void **state)
{
	SKF_AUTO(tmp_done) struct tmp_dir t = tmp_make();
	struct skf_monitor m;
	int64_t first;

	init(&m, &t, 0, 1);
	memset(big, 'x', sizeof(big));
	skf_mon_log_lines(&m, SKF_MON_STDOUT, big, SKF_LOG_LINE, false);
	first = m.log.partial_ns[SKF_MON_STDOUT];
	assert_true(first > 0);
	skf_mon_log_lines(&m, SKF_MON_STDOUT, big, SKF_LOG_LINE, false);
	assert_true(m.log.partial_ns[SKF_MON_STDOUT] == first);
	skf_mon_log_lines(&m, SKF_MON_STDERR, "e\n", 2, false);
	assert_true(m.log.partial_ns[SKF_MON_STDOUT] == first);
	skf_mon_log_lines(&m, SKF_MON_STDOUT, "\n", 1, false);
	assert_true(m.log.partial_ns[SKF_MON_STDOUT] == 0);
	skf_closep(&m.log.fd);
}

static void rotation(void **state)
{
	SKF_AUTO(tmp_done) struct tmp_dir t = tmp_make();
	struct skf_monitor m;

	init(&m, &t, 100, 3);
	for (int i = 0; i < 20; i++)
		skf_mon_log_lines(&m, SKF_MON_STDOUT, "hello\n", 6, false);
	assert_int_equal(faccessat(t.fd, "log/id-json.log.2", F_OK, 0), 0);
	assert_int_equal(faccessat(t.fd, "log/id-json.log.3", F_OK, 0), -1);
	assert_int_equal(faccessat(t.fd, "monitor.log", F_OK, 0), -1);
	skf_closep(&m.log.fd);
}

static void rotation_that_fails_keeps_the_log(void **state)
{
	SKF_AUTO(tmp_done) struct tmp_dir t = tmp_make();
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1 << 20), w = SKF_BUF(1 << 20);
	struct skf_monitor m;

	init(&m, &t, 100, 2);
	assert_int_equal(mkdirat(t.fd, "log/id-json.log.1", 0700), 0); /* a file cannot be renamed over it */
	for (int i = 0; i < 20; i++)
		skf_mon_log_lines(&m, SKF_MON_STDOUT, "hello\n", 6, false);
	assert_int_equal(skf_read_file_at(t.fd, "log/id-json.log", 1 << 20, &b), 0);
	assert_int_equal(b.len, m.log.size);
	assert_true(b.len > 20 * 60);
	assert_int_equal(skf_read_file_at(t.fd, "monitor.log", 1 << 20, &w), 0);
	assert_non_null(strstr(w.p, "rotate the container's log"));
	skf_closep(&m.log.fd);
}

static void full_disk(void **state)
{
	SKF_AUTO(tmp_done) struct tmp_dir t = tmp_make();
	SKF_AUTO(skf_buf_done) struct skf_buf w = SKF_BUF(1 << 20);
	struct skf_monitor m;

	init(&m, &t, 0, 1);
	skf_closep(&m.log.fd);
	m.log.fd = skf_openat(AT_FDCWD, "/dev/full", O_WRONLY, 0);
	for (int i = 0; i < 5; i++)
		assert_int_equal(skf_mon_log_lines(&m, SKF_MON_STDOUT, "hello\n", 6, false), 6);
	assert_int_equal(m.log.size, 0);
	assert_int_equal(skf_read_file_at(t.fd, "monitor.log", 1 << 20, &w), 0);
	assert_ptr_equal(strchr(w.p, '\n'), w.p + w.len - 1); /* said once */
	skf_closep(&m.log.fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(cut),
		cmocka_unit_test(worst_case_fits_the_buffer),
		cmocka_unit_test(pieces_carry_the_first_time),
		cmocka_unit_test(rotation),
		cmocka_unit_test(rotation_that_fails_keeps_the_log),
		cmocka_unit_test(full_disk),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
