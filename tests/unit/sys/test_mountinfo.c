/* tests/unit/sys/test_mountinfo.c -- lines of /proc/<pid>/mountinfo. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "sys/mountinfo.h"

static void fields(void **state)
{
	char text[] =
		"22 1 8:1 / / rw - ext4 /dev/sda1 rw\n"
		"40 22 0:30 /a\\134b /sys/fs/res\\040ctrl rw,nosuid shared:5 master:2 - resctrl resctrl rw\n"
		"41 22 0:31 / /x rw - tmpfs";
	char *at = text;
	struct skf_mountinfo m;

	(void)state;
	assert_true(skf_mountinfo_next(&at, &m));
	assert_string_equal(m.root, "/");
	assert_string_equal(m.point, "/");
	assert_string_equal(m.type, "ext4");
	assert_true(skf_mountinfo_next(&at, &m));
	assert_string_equal(m.root, "/a\\b");
	assert_string_equal(m.point, "/sys/fs/res ctrl");
	assert_string_equal(m.type, "resctrl");
	assert_true(skf_mountinfo_next(&at, &m)); /* cut off: what is there counts */
	assert_string_equal(m.type, "tmpfs");
	assert_false(skf_mountinfo_next(&at, &m));
}

static void other_forms_are_skipped(void **state)
{
	char text[] = "x - resctrl y\n\n22 1 8:1 / /no/dash rw ext4\n1 2 3 4 5 6 - t s o\n\\";
	char *at = text, *none = NULL;
	struct skf_mountinfo m;

	(void)state;
	assert_true(skf_mountinfo_next(&at, &m));
	assert_string_equal(m.point, "5");
	assert_false(skf_mountinfo_next(&at, &m));
	assert_false(skf_mountinfo_next(&none, &m));
}

static void escapes_at_the_end(void **state)
{
	char text[] = "1 2 3 \\4 \\05 6 - t\n";
	char *at = text;
	struct skf_mountinfo m;

	(void)state;
	assert_true(skf_mountinfo_next(&at, &m));
	assert_string_equal(m.root, "\\4");
	assert_string_equal(m.point, "\\05");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(fields),
		cmocka_unit_test(other_forms_are_skipped),
		cmocka_unit_test(escapes_at_the_end),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
