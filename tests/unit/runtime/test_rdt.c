/* rdt.c on a directory that behaves like resctrl as far as it matters: a new group has its files at once,
 * and a group is removed with them. Both are made by taking the place of mkdirat and unlinkat (ld --wrap).
 */
#include "runtime/rdt_int.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

int __real_mkdirat(int dirfd, const char *path, mode_t mode);
int __wrap_mkdirat(int dirfd, const char *path, mode_t mode);
int __real_unlinkat(int dirfd, const char *path, int flags);
int __wrap_unlinkat(int dirfd, const char *path, int flags);

static const char *const files[] = {"schemata", "tasks"};
static int root = -1, state_fd = -1;
static char top[] = "/tmp/skf-rdt-XXXXXX";

static void put(const char *path, const char *text)
{
	int fd = skf_openat(root, path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(skf_write_full(fd, text, strlen(text)), 0);
	close(fd);
}

int __wrap_mkdirat(int dirfd, const char *path, mode_t mode)
{
	char sub[1024];
	int r = __real_mkdirat(dirfd, path, mode);

	if (r < 0 || dirfd != root)
		return r;
	for (size_t i = 0; i < SKF_ARRAY_LEN(files); i++) {
		snprintf(sub, sizeof(sub), "%s/%s", path, files[i]);
		put(sub, "");
	}
	snprintf(sub, sizeof(sub), "%s/mon_groups", path);
	return __real_mkdirat(dirfd, sub, 0700);
}

int __wrap_unlinkat(int dirfd, const char *path, int flags)
{
	char sub[1024];

	for (size_t i = 0; dirfd == root && (flags & AT_REMOVEDIR) && i < SKF_ARRAY_LEN(files); i++) {
		snprintf(sub, sizeof(sub), "%s/%s", path, files[i]);
		(void)__real_unlinkat(dirfd, sub, 0);
	}
	snprintf(sub, sizeof(sub), "%s/mon_groups", path);
	if (dirfd == root && (flags & AT_REMOVEDIR))
		(void)__real_unlinkat(dirfd, sub, AT_REMOVEDIR);
	return __real_unlinkat(dirfd, path, flags);
}

static int setup(void **state)
{
	(void)state;
	memcpy(top, "/tmp/skf-rdt-XXXXXX", sizeof(top));
	assert_non_null(mkdtemp(top));
	root = skf_openat(AT_FDCWD, top, O_RDONLY | O_DIRECTORY, 0);
	assert_true(root >= 0);
	assert_int_equal(__real_mkdirat(root, "mon_groups", 0700), 0);
	assert_int_equal(__real_mkdirat(root, "state", 0700), 0);
	put("schemata", "    MB:0=100;1=100\n    L3:0=7ff;1=7ff\n");
	put("tasks", "");
	state_fd = skf_openat(root, "state", O_RDONLY | O_DIRECTORY, 0);
	return 0;
}

static int teardown(void **state)
{
	int fd = root;

	(void)state;
	root = -1;
	close(fd);
	close(state_fd);
	return skf_rmtree_at(AT_FDCWD, top);
}

static const char *content(const char *path)
{
	static char buf[512];
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(sizeof(buf) - 1);

	if (skf_read_file_at(root, path, sizeof(buf) - 1, &b) < 0)
		return NULL;
	memcpy(buf, skf_buf_cstr(&b), b.len + 1);
	return buf;
}

static int make(const struct skf_spec_intel_rdt *x, struct skf_rdt *g, struct skf_err *e)
{
	const struct skf_rdt_in in = {.root = root, .x = x, .id = "ct", .state_fd = state_fd};

	memset(g, 0, sizeof(*g));
	*e = (struct skf_err)SKF_ERR_INIT;
	return skf_rdt_setup(&in, g, e);
}

static void group_of_the_container(void **state)
{
	char *lines[] = {(char *)"L2:0=f", (char *)"L3:0=3"};
	struct skf_spec_intel_rdt x = {.l3_schema = (char *)"L3:0=7f0;1=1f",
				       .mem_bw_schema = (char *)"MB:0=20",
				       .schemata = {lines, 2},
				       .enable_monitoring = true};
	struct skf_err e;
	struct skf_rdt g;
	struct skf_journal j;

	(void)state;
	assert_int_equal(make(&x, &g, &e), 0);
	assert_string_equal(g.path, "ct/mon_groups/ct");
	assert_string_equal(content("ct/schemata"), "L3:0=7f0;1=1f\nMB:0=20\nL2:0=f\nL3:0=3\n");
	assert_int_equal(skf_journal_load(state_fd, &j), 0);
	assert_string_equal(j.rdt, "ct");
	assert_int_equal(skf_rdt_enter(root, g.path, 42, &e), 0);
	assert_string_equal(content("ct/tasks"), "42");
	assert_string_equal(content("ct/mon_groups/ct/tasks"), "42");
	assert_int_equal(make(&x, &g, &e), -1); /* it must be new */
	assert_int_equal(skf_rdt_remove_at(root, j.rdt, &e), 0);
	assert_int_equal(faccessat(root, "ct", F_OK, 0), -1);
	assert_int_equal(skf_rdt_remove_at(root, j.rdt, &e), 0); /* repeatable */
}

static void named_group(void **state)
{
	struct skf_spec_intel_rdt x = {.clos_id = (char *)"gold"};
	struct skf_err e;
	struct skf_rdt g;
	struct skf_journal j;

	(void)state;
	assert_int_equal(make(&x, &g, &e), -1); /* nothing says how to make it */
	assert_non_null(strstr(e.msg, "gold"));
	x.l3_schema = (char *)"L3:0=f0;1=0f";
	assert_int_equal(make(&x, &g, &e), 0);
	assert_string_equal(g.path, "gold");
	assert_string_equal(content("gold/schemata"), "L3:0=f0;1=0f\n");
	assert_int_equal(skf_journal_load(state_fd, &j), -ENOENT); /* stays at delete */
	put("gold/schemata", "    MB:0= 20;1= 70\n    L3:0=0f0;1=00f\n");
	x.mem_bw_schema = (char *)"MB:0=20;1=70";
	assert_int_equal(make(&x, &g, &e), 0);
	assert_string_equal(content("gold/schemata"),
			    "    MB:0= 20;1= 70\n    L3:0=0f0;1=00f\n"); /* not written */
	x.l3_schema = (char *)"L3:0=ff;1=0f";
	assert_int_equal(make(&x, &g, &e), -1);
	assert_int_equal(e.kind, SKF_ECONFLICT);
	x = (struct skf_spec_intel_rdt){.clos_id = (char *)"gold", .enable_monitoring = true};
	assert_int_equal(make(&x, &g, &e), 0);
	assert_string_equal(g.path, "gold/mon_groups/ct");
	assert_int_equal(skf_journal_load(state_fd, &j), 0);
	assert_string_equal(j.rdt, "gold/mon_groups/ct");
	assert_int_equal(skf_rdt_remove_at(root, j.rdt, &e), 0);
	assert_int_equal(faccessat(root, "gold", F_OK, 0), 0);
	assert_int_equal(faccessat(root, "gold/mon_groups/ct", F_OK, 0), -1);
}

static void root_group(void **state)
{
	struct skf_spec_intel_rdt x = {.clos_id = (char *)"/", .enable_monitoring = true};
	struct skf_err e;
	struct skf_rdt g;

	(void)state;
	assert_int_equal(make(&x, &g, &e), 0);
	assert_string_equal(g.path, "mon_groups/ct");
	assert_int_equal(skf_rdt_enter(root, g.path, 7, &e), 0);
	assert_string_equal(content("tasks"), "7");
	assert_string_equal(content("mon_groups/ct/tasks"), "7");
	x.enable_monitoring = false;
	assert_int_equal(make(&x, &g, &e), 0);
	assert_string_equal(g.path, "/");
	assert_int_equal(skf_rdt_enter(root, "/", 8, &e), 0);
	x.l3_schema = (char *)"L3:0=1";
	assert_int_equal(make(&x, &g, &e), -1);
}

static void names_stay_below_the_mount(void **state)
{
	static const char *const names[] = {"",     ".",          "..",       "a/b", "../x",
					    "info", "mon_groups", "mon_data", "a\nb"};
	struct skf_err e;
	struct skf_rdt g;

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(names); i++) {
		struct skf_spec_intel_rdt x = {.clos_id = (char *)(uintptr_t)names[i],
					       .l3_schema = (char *)"L3:0=1"};

		assert_int_equal(make(&x, &g, &e), -1);
		assert_int_equal(e.kind, SKF_EINVALID);
	}
	assert_int_equal(symlinkat("/etc", root, "link"), 0);
	struct skf_spec_intel_rdt x = {.clos_id = (char *)"link"};
	assert_int_equal(make(&x, &g, &e), -1);
}

static void update(void **state)
{
	struct skf_err e = SKF_ERR_INIT;

	(void)state;
	assert_int_equal(__wrap_mkdirat(root, "g", 0700), 0);
	assert_int_equal(skf_rdt_update_at(root, "g/mon_groups/ct", "L3:0=1", NULL, &e), 0);
	assert_string_equal(content("g/schemata"), "L3:0=1\n");
	assert_int_equal(skf_rdt_update_at(root, "g", NULL, "MB:0=10", &e), 0);
	assert_int_equal(skf_rdt_update_at(root, "nosuch", "L3:0=1", NULL, &e), -1);
	assert_int_equal(skf_rdt_update(NULL, "L3:0=1", NULL, &e), -1);
	assert_int_equal(skf_rdt_update(NULL, NULL, NULL, &e), 0);
}

static void schemata_compare(void **state)
{
	const char *have = "    MB:0=100;1= 20\n  L3CODE:0=7ff\n    L3:0=007ff;1=1F\n";

	(void)state;
	assert_true(skf_rdt_matches(have, "L3:0=7ff;1=1f"));
	assert_true(skf_rdt_matches(have, "L3:1=01f\nMB:1=20"));
	assert_true(skf_rdt_matches(have, ""));
	assert_false(skf_rdt_matches(have, "L3:0=7fe"));
	assert_false(skf_rdt_matches(have, "L3:2=1"));
	assert_false(skf_rdt_matches(have, "L2:0=1"));
	assert_false(skf_rdt_matches(have, "MB:0=10"));
	assert_false(skf_rdt_matches(have, "nonsense"));
	assert_false(skf_rdt_matches("", "L3:0=1"));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(group_of_the_container, setup, teardown),
		cmocka_unit_test_setup_teardown(named_group, setup, teardown),
		cmocka_unit_test_setup_teardown(root_group, setup, teardown),
		cmocka_unit_test_setup_teardown(names_stay_below_the_mount, setup, teardown),
		cmocka_unit_test_setup_teardown(update, setup, teardown),
		cmocka_unit_test(schemata_compare),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
