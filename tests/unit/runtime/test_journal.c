/* The journal: what a reader believes of it. */
#include "runtime/runtime_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#define BOOT "01234567-89ab-cdef-0123-456789abcdef"

static struct skf_journal parse(const char *text)
{
	struct skf_journal j;

	skf_journal_parse(text, strlen(text), &j);
	return j;
}

static void whole_lines(void **state)
{
	struct skf_journal j = parse("cgroup 2 /a b/c\npid 42 12345 " BOOT "\n");

	(void)state;
	assert_true(j.has_cgroup);
	assert_string_equal(j.cgroup, "/a b/c");
	assert_int_equal(j.pid, 42);
	assert_int_equal(j.pid_start, 12345);
	assert_string_equal(j.boot_id, BOOT);
}

static void cut_and_unknown_lines_are_left_out(void **state)
{
	struct skf_journal j = parse("future thing\n\ncgroup 2 /x\npid 42 12345 " BOOT);

	(void)state;
	assert_true(j.has_cgroup);
	assert_int_equal(j.pid, 0);
	j = parse("cgroup 2 /x");
	assert_false(j.has_cgroup);
	j = parse("");
	assert_false(j.has_cgroup);
}

static void nonsense_is_not_believed(void **state)
{
	char longline[2048];

	(void)state;
	assert_int_equal(parse("pid -1 5 " BOOT "\n").pid, 0);
	assert_int_equal(parse("pid 99999999999 5 " BOOT "\n").pid, 0);
	assert_int_equal(parse("pid x\n").pid, 0);
	assert_false(parse("cgroup 2\n").has_cgroup);
	assert_false(parse("cgroup 2 relative\n").has_cgroup);
	memset(longline, 'a', sizeof(longline));
	memcpy(longline, "cgroup 2 /", 10);
	longline[sizeof(longline) - 2] = '\n';
	longline[sizeof(longline) - 1] = '\0';
	assert_false(parse(longline).has_cgroup);
}

static void written_lines_come_back(void **state)
{
	char dir[] = "/tmp/skf-journal-XXXXXX";
	struct skf_journal j;
	int fd;

	(void)state;
	assert_non_null(mkdtemp(dir));
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_int_equal(skf_journal_load(fd, &j), -ENOENT);
	assert_int_equal(skf_journal_add(fd, "cgroup %d %s", 3, "/skiff/c/x"), 0);
	assert_int_equal(skf_journal_add(fd, "pid %d %llu %s", 7, 8ULL, BOOT), 0);
	assert_int_equal(skf_journal_load(fd, &j), 0);
	assert_string_equal(j.cgroup, "/skiff/c/x");
	assert_int_equal(j.pid, 7);
	close(fd);
	assert_int_equal(skf_rmtree_at(AT_FDCWD, dir), 0);
}

static void test_scope_and_rdt(void **state)
{
	struct skf_journal j = parse("scope skiff-a.scope\nrdt group/mon_groups/a\n");
	char longline[400];

	(void)state;
	assert_string_equal(j.scope, "skiff-a.scope");
	assert_string_equal(j.rdt, "group/mon_groups/a");
	assert_string_equal(parse("scope skiff-a.scope").scope, ""); /* cut by a crash */
	assert_string_equal(parse("scope \n").scope, "");
	memset(longline, 'a', sizeof(longline));
	memcpy(longline, "scope ", 6);
	memcpy(longline + sizeof(longline) - 2, "\n", 2);
	assert_string_equal(parse(longline).scope, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_scope_and_rdt),
		cmocka_unit_test(whole_lines),
		cmocka_unit_test(cut_and_unknown_lines_are_left_out),
		cmocka_unit_test(nonsense_is_not_believed),
		cmocka_unit_test(written_lines_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
