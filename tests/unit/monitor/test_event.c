/* Unit tests of monitor/event.c. */
#include "base/buf.h"
#include "base/limits.h"
#include "monitor/event.h"
#include "util.h"
#include <sys/stat.h>

static void lines(void **state)
{
	SKF_AUTO(tmp_done) struct tmp_dir t = tmp_make();
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(65536);

	assert_int_equal(skf_event_emit(t.fd, "container", "start", "id1", "web", "img", -1), 0);
	assert_int_equal(skf_event_emit(t.fd, "container", "die", "id1", "we\"b", "img", 3), 0);
	assert_int_equal(skf_read_file_at(t.fd, "events/log.0", 65536, &b), 0);
	assert_non_null(strstr(b.p, "\"type\":\"container\",\"action\":\"start\",\"id\":\"id1\",\"name\":"
				    "\"web\",\"image\":\"img\"}\n{\"v\":1,\"time\":"));
	assert_non_null(strstr(b.p, "\"name\":\"we\\\"b\",\"image\":\"img\",\"exitCode\":3}\n"));
}

static void too_long(void **state)
{
	SKF_AUTO(tmp_done) struct tmp_dir t = tmp_make();
	char name[SKF_MAX_EVENT_BYTES + 1];

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	assert_int_equal(skf_event_emit(t.fd, "image", "pull", "id", name, "img", -1), -E2BIG);
}

static void rotation(void **state)
{
	SKF_AUTO(tmp_done) struct tmp_dir t = tmp_make();
	char name[3001];
	struct stat st;

	memset(name, 'x', sizeof(name) - 1);
	name[sizeof(name) - 1] = 0;
	for (int i = 0; i < 1500; i++)
		assert_int_equal(skf_event_emit(t.fd, "image", "pull", "id", name, "img", -1), 0);
	assert_int_equal(fstatat(t.fd, "events/log.1", &st, 0), 0);
	assert_true(st.st_size >= 4 << 20 && st.st_size < (4 << 20) + 4096);
	assert_int_equal(fstatat(t.fd, "events/log.0", &st, 0), 0);
	assert_true(st.st_size > 0 && st.st_size < 1 << 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(lines), cmocka_unit_test(too_long),
					   cmocka_unit_test(rotation)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
