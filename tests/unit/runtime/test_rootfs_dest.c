/* Unit tests of the pure parts of the root file system's code: destinations, flags. No root
 * needed. */
#include "../base/util.h"
#include "runtime/rootfs_int.h"

static void destinations(void **state)
{
	static const char *const t[][2] = {
		{"/", "/"},
		{"", "/"},
		{"//a///b/", "/a/b"},
		{"/a/./b/../c", "/a/c"},
		{"../../x", "/x"},
		{"rel", "/rel"},
		{"/..", "/"},
		{"/a/..", "/"},
		{"/proc/../proc", "/proc"},
		{"/...", "/..."},
		{"/a/.b", "/a/.b"},
	};
	char out[PATH_MAX], longest[PATH_MAX + 10];

	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++) {
		assert_int_equal(skf_dest_clean(t[i][0], out), 0);
		assert_string_equal(out, t[i][1]);
	}
	memset(longest, 'a', sizeof(longest));
	longest[sizeof(longest) - 1] = '\0';
	assert_int_equal(skf_dest_clean(longest, out), -ENAMETOOLONG);
	longest[PATH_MAX - 2] = '\0'; /* "/" + PATH_MAX - 2 letters + NUL: the longest that fits */
	assert_int_equal(skf_dest_clean(longest, out), 0);
	assert_int_equal(strlen(out), PATH_MAX - 1);
}

static void flags(void **state)
{
	struct mount_attr a = {0};

	skf_attr_of_flags(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC | MS_NODIRATIME | MS_NOSYMFOLLOW |
				  MS_BIND | MS_REC,
			  0, &a);
	assert_int_equal(a.attr_set, MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV |
					     MOUNT_ATTR_NOEXEC | MOUNT_ATTR_NODIRATIME |
					     MOUNT_ATTR_NOSYMFOLLOW);
	assert_int_equal(a.attr_clr, 0);
	a = (struct mount_attr){0};
	skf_attr_of_flags(MS_NOATIME, MS_RDONLY, &a);
	assert_int_equal(a.attr_set, MOUNT_ATTR_NOATIME);
	assert_int_equal(a.attr_clr, MOUNT_ATTR_RDONLY | MOUNT_ATTR__ATIME);
	a = (struct mount_attr){0};
	skf_attr_of_flags(0, MS_NOATIME, &a); /* back to relatime */
	assert_int_equal(a.attr_set, 0);
	assert_int_equal(a.attr_clr, MOUNT_ATTR__ATIME);
	a = (struct mount_attr){0};
	skf_attr_of_flags(MS_STRICTATIME, 0, &a);
	assert_int_equal(a.attr_set, MOUNT_ATTR_STRICTATIME);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(destinations),
		cmocka_unit_test(flags),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
