/* The answers of project quotas where there are none; with them: tests/images/test_quota.py. */
#include "base/err.h"
#include "base/fd.h"
#include "sys/quota.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <unistd.h>
#include <cmocka.h>

/* procfs never has quotas. */
static void refuses_in_words(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	const struct skf_quota q = {.bytes = 1 << 20};
	struct skf_quota used, limit;
	int fd = skf_openat(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY, 0);

	(void)state;
	assert_true(fd >= 0);
	assert_int_equal(skf_quota_probe(fd), 0);
	assert_int_equal(skf_quota_new(&fd, 1, &q, "container 'x'", &e), -1);
	assert_int_equal(e.kind, SKF_EUNSUPPORTED);
	assert_non_null(strstr(e.msg, "container 'x'"));
	assert_non_null(strstr(e.msg, "prjquota"));
	skf_err_clear(&e);
	assert_int_equal(skf_quota_get(fd, &used, &limit, "container 'x'", &e), -1);
	assert_int_equal(e.kind, SKF_EUNSUPPORTED);
	assert_int_equal(skf_quota_release(fd), 0);
	close(fd);
}

static void bad_descriptor(void **state)
{
	(void)state;
	assert_int_equal(skf_quota_probe(-1), -EBADF);
	assert_int_equal(skf_quota_release(-1), -EBADF);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(refuses_in_words),
					   cmocka_unit_test(bad_descriptor)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
