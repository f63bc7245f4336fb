/* Unit tests of launch/request.c. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>
#include "base/cleanup.h"
#include "launch/launch_int.h"
#include "launch/overlay.h"
#include "launch/wire.h"
#include <string.h>

#define ID "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"

struct start {
	uint32_t flags, rows;
	const char *id, *root, *run, *reaper;
};

static int start(const struct start *s, unsigned n_fds, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_launch_request q;
	struct skf_recr r;
	struct skf_rec w;

	skf_rec_begin(&w, &b, SKF_LAUNCH_START, SKF_LAUNCH_VERSION);
	skf_rec_u32(&w, s->flags);
	skf_rec_str(&w, s->id);
	skf_rec_str(&w, s->root);
	skf_rec_str(&w, s->run);
	skf_rec_u32(&w, s->rows);
	skf_rec_u32(&w, 80);
	skf_rec_str(&w, s->reaper);
	skf_rec_end(&w);
	assert_int_equal(skf_recr_init(&r, b.p, b.len), 0);
	if (skf_launch_request_read(&r, n_fds, &q, e) < 0)
		return -1;
	assert_string_equal(q.id, s->id);
	assert_string_equal(q.reaper, s->reaper);
	assert_string_equal(q.exec_id, "");
	assert_int_equal(q.cols, 80);
	return 0;
}

static void good(void **state)
{
	struct start s = {SKF_LAUNCH_STDIN | SKF_LAUNCH_STDERR | SKF_LAUNCH_KEEP,
			  24,
			  ID,
			  "/lib",
			  "/run",
			  "/usr/bin/skiff"};
	struct skf_err e = SKF_ERR_INIT;

	assert_int_equal(start(&s, 2, &e), 0);
	s.flags |= SKF_LAUNCH_LOCK | SKF_LAUNCH_NETNS;
	assert_int_equal(start(&s, 4, &e), 0);
	assert_int_equal(start(&s, 3, &e), -1);
	assert_int_equal(e.kind, SKF_EINVALID);
}

static void bad(void **state)
{
	char longpath[700];
	const struct start cases[] = {
		{0, 24, "", "/lib", "/run", ""},       {0, 24, "../x", "/lib", "/run", ""},
		{0, 24, ID, "lib", "/run", ""},        {0, 24, ID, "/lib", "", ""},
		{0, 24, ID, longpath, "/run", ""},     {0, 24, ID, "/lib", longpath, ""},
		{0, 24, ID, "/lib", "/run", longpath}, {0, 24, ID, "/lib", "/run", "skiff"},
		{0, 70000, ID, "/lib", "/run", ""},    {SKF_LAUNCH_STDIN, 24, ID, "/lib", "/run", ""},
	};

	memset(longpath, '/', sizeof(longpath) - 1);
	longpath[sizeof(longpath) - 1] = 0;
	for (size_t i = 0; i < SKF_ARRAY_LEN(cases); i++) {
		struct skf_err e = SKF_ERR_INIT;

		assert_int_equal(start(&cases[i], 0, &e), -1);
		assert_true(e.kind == SKF_EINVALID || e.kind == SKF_ELIMIT);
		assert_true(strlen(e.msg) > 10);
	}
}

static void cut(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_launch_request q;
	struct skf_recr r;
	struct skf_rec w;

	skf_rec_begin(&w, &b, SKF_LAUNCH_EXEC, SKF_LAUNCH_VERSION);
	skf_rec_u32(&w, 0);
	skf_rec_str(&w, ID);
	skf_rec_end(&w);
	assert_int_equal(skf_recr_init(&r, b.p, b.len), 0);
	assert_int_equal(skf_launch_request_read(&r, 0, &q, &e), -1);
	assert_int_equal(e.kind, SKF_ECORRUPT);
}

static void overlay_switch(void **state)
{
	assert_int_equal(skf_overlay_way_parse(NULL), SKF_OVERLAY_AUTO);
	assert_int_equal(skf_overlay_way_parse(""), SKF_OVERLAY_AUTO);
	assert_int_equal(skf_overlay_way_parse("fd"), SKF_OVERLAY_FD);
	assert_int_equal(skf_overlay_way_parse("path"), SKF_OVERLAY_PATH);
	assert_int_equal(skf_overlay_way_parse("symlink"), SKF_OVERLAY_SYMLINK);
	assert_int_equal(skf_overlay_way_parse("FD"), -EINVAL);
}

static void overlay_limits(void **state)
{
	struct skf_overlay none = {.root_fd = -1, .root = "/nowhere"},
			   many = {.root_fd = -1, .n_lower = SKF_MAX_LAYERS + 1};
	struct skf_err e = SKF_ERR_INIT;
	int fd;

	assert_int_equal(skf_overlay_mount(&none, &fd, &e), -1);
	assert_int_equal(e.kind, SKF_EINVALID);
	assert_int_equal(skf_overlay_mount(&many, &fd, &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {cmocka_unit_test(good), cmocka_unit_test(bad),
					   cmocka_unit_test(cut), cmocka_unit_test(overlay_switch),
					   cmocka_unit_test(overlay_limits)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
