/* test_untar.c -- tars that nobody should have made: limits, numbers, names;
 * and the line of k8s-file. */
#include "engine/cp_tar_int.h"
#include "engine/logline.h"
#include "util.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct tar {
	struct skf_buf b;
	char dir[64];
	int root;
};

static void set_up(struct tar *t)
{
	*t = (struct tar){.b = SKF_BUF(8u << 20)};
	strcpy(t->dir, "/tmp/skiff-untar-XXXXXX");
	assert_non_null(mkdtemp(t->dir));
	t->root = skf_openat(AT_FDCWD, t->dir, O_RDONLY | O_DIRECTORY, 0);
	assert_true(t->root >= 0);
}

static void tear_down(struct tar *t)
{
	skf_closep(&t->root);
	skf_rmtree_at(AT_FDCWD, t->dir);
	skf_buf_done(&t->b);
}

static void add(struct tar *t, char type, const char *name, const char *size, const void *data, size_t n)
{
	struct skf_tar_header h = {.type = type, .magic = "ustar", .version = {'0', '0'}};
	static const char zero[SKF_TAR_BLOCK];
	unsigned sum = 0;

	memcpy(h.name, name, strlen(name) < sizeof(h.name) ? strlen(name) : sizeof(h.name));
	strcpy(h.mode, "0000644");
	memcpy(h.size, size, strlen(size));
	memset(h.sum, ' ', sizeof(h.sum));
	for (size_t i = 0; i < sizeof(h); i++)
		sum += ((unsigned char *)&h)[i];
	snprintf(h.sum, sizeof(h.sum), "%06o", sum);
	skf_buf_put(&t->b, &h, sizeof(h));
	skf_buf_put(&t->b, data, n);
	skf_buf_put(&t->b, zero, (SKF_TAR_BLOCK - n % SKF_TAR_BLOCK) % SKF_TAR_BLOCK);
}

static int extract(struct tar *t, struct skf_err *e)
{
	const struct skf_cp c = {.uid = geteuid(), .gid = getegid()};
	static const char end[2 * SKF_TAR_BLOCK];
	SKF_AUTO_FD int fd = memfd_create("tar", MFD_CLOEXEC);

	skf_buf_put(&t->b, end, sizeof(end));
	assert_int_equal(t->b.err, 0);
	assert_int_equal(skf_write_full(fd, t->b.p, t->b.len), 0);
	assert_true(lseek(fd, 0, SEEK_SET) == 0);
	return skf_cp_tar_read(&c, fd, t->root, "in", e);
}

static void longest_name_and_one_over(void **state)
{
	for (int over = 0; over < 2; over++) {
		struct skf_err e = SKF_ERR_INIT;
		char name[SKF_MAX_TAR_PATH + 2], size[16];
		struct tar t;

		set_up(&t);
		memset(name, 'n', sizeof(name));
		for (size_t i = 100; i < sizeof(name); i += 100)
			name[i] = '/';
		name[SKF_MAX_TAR_PATH - (over ? 0 : 1024)] =
			'\0'; /* with its prefix and the kernel's PATH_MAX */
		name[SKF_MAX_TAR_PATH + 1] = '\0';
		if (over)
			name[SKF_MAX_TAR_PATH] = 'n';
		snprintf(size, sizeof(size), "%011o", (unsigned)strlen(name));
		add(&t, 'L', "././@LongLink", size, name, strlen(name));
		add(&t, '0', "short", "00000000001", "x", 1);
		assert_int_equal(extract(&t, &e), over ? -1 : 0);
		if (over)
			assert_int_equal(e.kind, SKF_ELIMIT);
		tear_down(&t);
	}
}

static void extended_header_one_over(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	struct tar t;
	char size[16];

	set_up(&t);
	snprintf(size, sizeof(size), "%011o", SKF_TAR_MAX_PAX + 1);
	add(&t, 'x', "PaxHeader", size, "", 0);
	assert_int_equal(extract(&t, &e), -1);
	assert_int_equal(e.kind, SKF_ELIMIT);
	tear_down(&t);
}

static void numbers_that_are_none(void **state)
{
	static const char *const bad[] = {"0000000008x", "99999999999",
					  "\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		struct skf_err e = SKF_ERR_INIT;
		struct tar t;

		set_up(&t);
		add(&t, '0', "f", bad[i], "x", 1);
		assert_int_equal(extract(&t, &e), -1);
		assert_int_equal(e.kind, SKF_EINVALID);
		tear_down(&t);
	}
}

static void names_that_lead_out_stay_inside(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	struct stat st;
	struct tar t;

	set_up(&t);
	add(&t, '0', "../../../../../../tmp/skiff-untar-outside", "00000000001", "x", 1);
	add(&t, '0', "/absolute", "00000000001", "x", 1);
	assert_int_equal(extract(&t, &e), 0);
	assert_int_equal(fstatat(AT_FDCWD, "/tmp/skiff-untar-outside", &st, 0), -1);
	assert_int_equal(fstatat(t.root, "tmp/skiff-untar-outside", &st, 0), 0);
	assert_int_equal(fstatat(t.root, "in/absolute", &st, 0), 0);
	tear_down(&t);
}

static void malformed_records(void **state)
{
	static const char *const bad[] = {"99 path=x\n", "5 a\n", "x path=y\n", "12 path=abcde", "0 a=b\n"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		struct skf_err e = SKF_ERR_INIT;
		struct tar t;
		char size[16];

		set_up(&t);
		snprintf(size, sizeof(size), "%011o", (unsigned)strlen(bad[i]));
		add(&t, 'x', "PaxHeader", size, bad[i], strlen(bad[i]));
		assert_int_equal(extract(&t, &e), -1);
		tear_down(&t);
	}
}

static void k8s_lines(void **state)
{
	static const char *const bad[] = {"",
					  " ",
					  "2026-11-23T02:17:15Z",
					  "2026-11-23T02:17:15Z stdout",
					  "2026-11-23T02:17:15Z stdout F",
					  "2026-11-23T02:17:15Z stdlog F x",
					  "2026-11-23T02:17:15Z stdout X x",
					  "yesterday stdout F x"};
	SKF_AUTO(skf_buf_done) struct skf_buf text = SKF_BUF(100);
	struct skf_logline l;

	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++)
		assert_int_equal(skf_logline_parse_k8s(bad[i], strlen(bad[i]), &l, &text), -EBADMSG);
	assert_int_equal(skf_logline_parse_k8s("1970-01-01T00:00:01Z stderr P a b", 33, &l, &text), 0);
	assert_true(l.stream == 2 && l.time_ns == 1000000000);
	assert_string_equal(skf_buf_cstr(&text), "a b");
	assert_int_equal(skf_logline_parse_k8s("1970-01-01T00:00:01Z stdout F ", 30, &l, &text), 0);
	assert_string_equal(skf_buf_cstr(&text), "a b\n");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(longest_name_and_one_over),
		cmocka_unit_test(extended_header_one_over),
		cmocka_unit_test(numbers_that_are_none),
		cmocka_unit_test(names_that_lead_out_stay_inside),
		cmocka_unit_test(malformed_records),
		cmocka_unit_test(k8s_lines),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
