/* Unit tests of sys/cgroup.c: parsers on text; walking, counting and removing on plain directories. */
#include "sys/cgroup_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int add(struct skf_cg_layout *l, const char *text, char *root)
{
	struct skf_cg_hier h;
	char line[512], r[SKF_CG_PATH_MAX] = "";
	int got;

	snprintf(line, sizeof(line), "%s", text);
	got = skf_cg_parse_mount(line, &h, r, sizeof(r));
	if (got)
		skf_cg_layout_add(l, &h);
	if (root)
		snprintf(root, SKF_CG_PATH_MAX, "%s", r);
	return got;
}

static void layout_hybrid(void **state)
{
	struct skf_cg_layout l = {0};
	char root[SKF_CG_PATH_MAX];

	assert_int_equal(
		add(&l, "25 1 0:22 / /sys/fs/cgroup rw,nosuid shared:9 - tmpfs tmpfs rw,mode=755", NULL), 0);
	assert_int_equal(
		add(&l, "26 25 0:23 / /sys/fs/cgroup/unified rw shared:10 - cgroup2 cgroup2 rw,nsdelegate",
		    NULL),
		1);
	assert_int_equal(
		add(&l,
		    "27 25 0:24 / /sys/fs/cgroup/systemd rw shared:11 - cgroup cgroup rw,xattr,name=systemd",
		    NULL),
		1);
	assert_int_equal(add(&l,
			     "31 25 0:28 /docker/abc /sys/fs/cgroup/cpu,cpuacct rw master:15 - cgroup "
			     "cgroup rw,cpu,cpuacct",
			     root),
			 1);
	assert_string_equal(root, "/docker/abc");
	assert_int_equal(add(&l,
			     "32 25 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup "
			     "rw,memory,release_agent=/x,clone_children",
			     NULL),
			 1);
	/* elsewhere, something else, a name that only begins alike */
	assert_int_equal(add(&l, "33 25 0:30 / /mnt/cgroup rw - cgroup cgroup rw,pids", NULL), 0);
	assert_int_equal(add(&l, "34 25 0:30 / /sys/fs/cgroup2 rw - cgroup2 cgroup2 rw", NULL), 0);
	assert_int_equal(add(&l, "35 25 0:30 / /sys/fs/cgroup/x rw - ext4 /dev/sda rw,pids", NULL), 0);
	assert_int_equal(add(&l, "36 25 0:30 / /sys/fs/cgroup/x rw - cgroup", NULL), 0);
	assert_int_equal(add(&l, "", NULL), 0);
	assert_int_equal(skf_cg_layout_finish(&l), 0);
	assert_int_equal(l.mode, SKF_CG_HYBRID);
	assert_int_equal(l.n, 4);
	assert_string_equal(skf_cg_find(&l, "cpu")->mountpoint, "/sys/fs/cgroup/cpu,cpuacct");
	assert_ptr_equal(skf_cg_find(&l, "cpu"), skf_cg_find(&l, "cpuacct"));
	assert_string_equal(skf_cg_find(&l, "memory")->controllers, "memory");
	assert_string_equal(skf_cg_find(&l, "name=systemd")->mountpoint, "/sys/fs/cgroup/systemd");
	assert_null(skf_cg_find(&l, "pids"));
	assert_null(skf_cg_find(&l, "mem"));
	assert_null(skf_cg_find(&l, ""));
}

static void layout_v2_v1_none(void **state)
{
	struct skf_cg_layout l = {0};

	assert_int_equal(skf_cg_layout_finish(&l), -ENOENT);
	add(&l, "32 25 0:29 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory", NULL);
	assert_int_equal(skf_cg_layout_finish(&l), 0);
	assert_int_equal(l.mode, SKF_CG_V1);
	/* a second mount of the same controllers, and one that hides the first */
	add(&l, "33 25 0:29 / /sys/fs/cgroup/memory2 rw - cgroup cgroup rw,memory", NULL);
	assert_int_equal(l.n, 1);
	add(&l, "34 25 0:31 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,pids", NULL);
	assert_int_equal(l.n, 1);
	assert_string_equal(l.h[0].controllers, "pids");
	/* v2 at the root wins, whatever is mounted inside of it */
	add(&l, "26 25 0:23 / /sys/fs/cgroup rw - cgroup2 cgroup2 rw", NULL);
	assert_int_equal(skf_cg_layout_finish(&l), 0);
	assert_int_equal(l.mode, SKF_CG_V2);
	assert_int_equal(l.n, 1);
	assert_string_equal(l.h[0].mountpoint, "/sys/fs/cgroup");
}

static void layout_limits(void **state)
{
	struct skf_cg_layout l = {0};
	char line[512], big[200];

	for (int i = 0; i < SKF_CG_MAX + 3; i++) {
		snprintf(line, sizeof(line), "3%d 25 0:29 / /sys/fs/cgroup/c%d rw - cgroup cgroup rw,c%d", i,
			 i, i);
		assert_int_equal(add(&l, line, NULL), 1);
	}
	assert_int_equal(l.n, SKF_CG_MAX);
	memset(big, 'x', sizeof(big));
	big[sizeof(big) - 1] = '\0';
	snprintf(line, sizeof(line), "3 25 0:29 / /sys/fs/cgroup/%s rw - cgroup cgroup rw,c", big);
	assert_int_equal(add(&l, line, NULL), 0);
	snprintf(line, sizeof(line), "3 25 0:29 / /sys/fs/cgroup/z rw - cgroup cgroup rw,%s", big);
	assert_int_equal(add(&l, line, NULL), 0);
}

static const char *proc(const char *text, const char *controllers, bool v2)
{
	static char line[256];
	struct skf_cg_hier h = {.v2 = v2};

	snprintf(h.controllers, sizeof(h.controllers), "%s", controllers);
	snprintf(line, sizeof(line), "%s", text);
	return skf_cg_parse_proc_line(line, &h);
}

static void proc_lines(void **state)
{
	assert_string_equal(proc("0::/user.slice/a:b", "", true), "/user.slice/a:b");
	assert_null(proc("4:memory:/x", "", true));
	assert_null(proc("0::/x", "memory", false));
	assert_string_equal(proc("4:memory:/x", "memory", false), "/x");
	assert_string_equal(proc("4:cpuacct,cpu:/x", "cpu,cpuacct", false), "/x");
	assert_string_equal(proc("1:name=systemd:/x", "name=systemd", false), "/x");
	assert_null(proc("1:memoryx:/x", "memory", false));
	assert_null(proc("no colons", "memory", false));
	assert_null(proc("1:one", "memory", false));
}

static void below_root(void **state)
{
	char out[32];

	assert_int_equal(skf_cg_below_root("/a/b", "/", out, sizeof(out)), 0);
	assert_string_equal(out, "/a/b");
	assert_int_equal(skf_cg_below_root("/a/b", "/a", out, sizeof(out)), 0);
	assert_string_equal(out, "/b");
	assert_int_equal(skf_cg_below_root("/a", "/a", out, sizeof(out)), 0);
	assert_string_equal(out, "/");
	assert_int_equal(skf_cg_below_root("/ab", "/a", out, sizeof(out)), -EXDEV);
	assert_int_equal(skf_cg_below_root("/", "/a", out, sizeof(out)), -EXDEV);
	assert_int_equal(skf_cg_below_root("/../x", "/", out, sizeof(out)), -EXDEV);
	assert_int_equal(
		skf_cg_below_root("/0123456789012345678901234567890123456789", "/", out, sizeof(out)),
		-ENAMETOOLONG);
}

static void keys(void **state)
{
	assert_int_equal(skf_cg_parse_key("low 1\noom 2\noom_kill 3\noom_group_kill 4\n", "oom_kill"), 3);
	assert_int_equal(skf_cg_parse_key("oom_kill_disable 0\nunder_oom 0\noom_kill 17", "oom_kill"), 17);
	assert_int_equal(skf_cg_parse_key("oom_kill_disable 0\n", "oom_kill"), -ENOENT);
	assert_int_equal(skf_cg_parse_key("", "oom_kill"), -ENOENT);
	assert_int_equal(skf_cg_parse_key("oom_kill x\n", "oom_kill"), -EINVAL);
}

static int count_line(char *line, void *arg)
{
	int *n = arg;

	assert_true(strlen(line) < 4096);
	return ++*n == 1000 ? 7 : 0;
}

static void lines_longer_than_the_buffer_are_left_out(void **state)
{
	char path[] = "/tmp/skf-lines-XXXXXX", big[9000];
	int fd = mkstemp(path), n = 0;

	memset(big, 'x', sizeof(big));
	assert_int_equal(write(fd, "a\n", 2), 2);
	assert_int_equal(write(fd, big, sizeof(big)), sizeof(big));
	assert_int_equal(write(fd, "\nb\nc\n", 5), 5);
	close(fd);
	assert_int_equal(skf_cg_each_line(path, count_line, &n), 0);
	assert_int_equal(n, 3);
	unlink(path);
	assert_int_equal(skf_cg_each_line(path, count_line, &n), -ENOENT);
}

/* A plain directory tree is enough like cgroupfs for walking, listing pids and removing. */
static void fake(struct skf_cg_dirs *d, char *tmp)
{
	memset(d, 0, sizeof(*d));
	d->layout.n = 1;
	d->layout.mode = SKF_CG_V1;
	strcpy(d->layout.h[0].controllers, "freezer");
	assert_non_null(mkdtemp(tmp));
	snprintf(d->layout.h[0].mountpoint, sizeof(d->layout.h[0].mountpoint), "%s", tmp);
	strcpy(d->path, "/c");
	d->used = 1;
}

static void put(const char *dir, const char *file, const char *text)
{
	char path[256];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, file);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs(text, f);
	fclose(f);
}

static void pids_of_a_tree(void **state)
{
	struct skf_cg_dirs d;
	char tmp[] = "/tmp/skf-cg-XXXXXX", path[200];
	pid_t v[3] = {0};

	fake(&d, tmp);
	assert_int_equal(skf_cg_pids(&d, v, 3), 0); /* absent */
	snprintf(path, sizeof(path), "%s/c", tmp);
	mkdir(path, 0755);
	put(path, "cgroup.procs", "17\n0\n0\n18\n"); /* 0: a process of another pid namespace */
	snprintf(path, sizeof(path), "%s/c/sub", tmp);
	mkdir(path, 0755);
	put(path, "cgroup.procs", "99\n100\n");
	assert_int_equal(skf_cg_pids(&d, v, 3), 4);
	assert_int_equal(v[0] + v[1], 199);
	assert_int_equal(v[2], 17);
	assert_int_equal(skf_cg_pids(&d, NULL, 0), 4);
	strcpy(d.path, "/");
	assert_int_equal(skf_cg_signal_all(&d, 9), -EINVAL);
	assert_int_equal(skf_cg_kill_all(&d, 10), -EINVAL);
	skf_rmtree_at(AT_FDCWD, tmp);
}

static void remove_absent_and_empty(void **state)
{
	struct skf_cg_dirs d;
	char tmp[] = "/tmp/skf-cg-XXXXXX", path[200];

	fake(&d, tmp);
	assert_int_equal(skf_cg_remove(&d, 0), 0);
	assert_int_equal(skf_cg_kill_all(&d, 10), 0);
	snprintf(path, sizeof(path), "%s/c", tmp);
	mkdir(path, 0755);
	assert_int_equal(skf_cg_remove(&d, 0), 0);
	assert_int_equal(access(path, F_OK), -1);
	strcpy(d.path, "/");
	assert_int_equal(skf_cg_remove(&d, 0), -EINVAL);
	d.path[0] = '\0';
	assert_int_equal(skf_cg_remove(&d, 0), -EINVAL);
	d.used = 0;
	assert_int_equal(skf_cg_remove(&d, 0), 0);
	rmdir(tmp);
}

struct trace {
	char text[128];
};

static int trace_dir(int fd, int parent, const char *name, void *arg)
{
	struct trace *t = arg;

	assert_true(fd >= 0);
	assert_true((parent < 0) == !name);
	strcat(t->text, name ? name : ".");
	strcat(t->text, " ");
	return name && !strcmp(name, "stop") ? 5 : 0;
}

static void walk_is_post_order(void **state)
{
	char tmp[] = "/tmp/skf-walk-XXXXXX", path[200];
	struct trace t = {""};
	int fd;

	assert_non_null(mkdtemp(tmp));
	snprintf(path, sizeof(path), "%s/a", tmp);
	mkdir(path, 0755);
	snprintf(path, sizeof(path), "%s/a/b", tmp);
	mkdir(path, 0755);
	put(path, "file", "");
	fd = open(tmp, O_RDONLY | O_DIRECTORY);
	assert_int_equal(skf_cg_walk(fd, trace_dir, &t), 0);
	assert_string_equal(t.text, "b a . ");
	snprintf(path, sizeof(path), "%s/a/b/stop", tmp);
	mkdir(path, 0755);
	t.text[0] = '\0';
	lseek(fd, 0, SEEK_SET);
	assert_int_equal(skf_cg_walk(fd, trace_dir, &t), 5);
	assert_string_equal(t.text, "stop ");
	close(fd);
	skf_rmtree_at(AT_FDCWD, tmp);
}

static void this_machine(void **state)
{
	struct skf_cg_layout l;
	char path[512];

	if (skf_cg_layout(&l) == -ENOENT)
		skip();
	for (unsigned i = 0; i < l.n; i++) {
		int r = skf_cg_path_of(0, &l.h[i], path, sizeof(path));

		assert_true(r == 0 || r == -EXDEV || r == -ENOENT);
		if (r == 0)
			assert_int_equal(path[0], '/');
	}
	assert_int_equal(skf_cg_path_of(INT32_MAX, &l.h[0], path, sizeof(path)), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(layout_hybrid),
		cmocka_unit_test(layout_v2_v1_none),
		cmocka_unit_test(layout_limits),
		cmocka_unit_test(proc_lines),
		cmocka_unit_test(below_root),
		cmocka_unit_test(keys),
		cmocka_unit_test(lines_longer_than_the_buffer_are_left_out),
		cmocka_unit_test(pids_of_a_tree),
		cmocka_unit_test(remove_absent_and_empty),
		cmocka_unit_test(walk_is_post_order),
		cmocka_unit_test(this_machine),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
