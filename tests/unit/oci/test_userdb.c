/* Users of images: T12 (numbers), T13 (groups), T14 (hostile files). */
#include "oci_test.h"
#include "oci/userdb.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
#include "base/fd.h"

static const char passwd_text[] = "root:x:0:0:root:/root:/bin/sh\n"
				  "daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\n"
				  "app:x:1000:1001:App:/home/app:/bin/sh\n"
				  "4294967296:x:0:0::/root:/bin/sh\n"
				  "1000:x:0:0::/root:/bin/sh\n"
				  "-1:x:0:0::/root:/bin/sh\n"
				  "+0:x:0:0::/root:/bin/sh\n"
				  "0x0:x:0:0::/root:/bin/sh\n"
				  "broken:x:abc:0::/:/bin/sh\n"
				  "neg:x:-1:0::/:/bin/sh\n"
				  "huge:x:4294967296:0::/:/bin/sh\n"
				  "empty:x:::::\n"
				  "short:x:5:5\n"
				  "cut:x:0\n"
				  ":x:0:0::/:\n"
				  "\n"
				  "app:x:7:7:second:/second:/bin/sh\n"
				  "nohome:x:2000:2000:::\n"
				  "last:x:3000:3001::/home/last:/bin/sh"; /* no newline */
static const char group_text[] = "root:x:0:\n"
				 "adm:x:4:daemon,app\n"
				 "app:x:1001:\n"
				 "wheel:x:10:app,root\n"
				 "other:x:11:apple,xapp,ap\n"
				 "dup:x:10:app\n"
				 "own:x:1001:app\n"
				 "99:x:0:app2\n"
				 "bad:x:-3:app\n"
				 "bad2:x:99999999999:app\n"
				 "trail:x:12:x,app";

static int file_of(const char *text, size_t n)
{
	int fd = memfd_create("userdb", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, n), (ssize_t)n);
	return fd;
}

static int pw = -1, gr = -1;

static int setup(void **state)
{
	(void)state;
	pw = file_of(passwd_text, sizeof(passwd_text) - 1);
	gr = file_of(group_text, sizeof(group_text) - 1);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	close(pw);
	close(gr);
	return 0;
}

static const char *gids_text(const struct skf_userdb_result *r, char *out, size_t size)
{
	size_t n = 0;

	out[0] = '\0';
	for (size_t i = 0; i < r->n_gids; i++)
		n += (size_t)snprintf(out + n, size - n, "%s%u", i ? "," : "", r->gids[i]);
	return out;
}

struct row {
	const char *user;
	uint32_t uid;
	const char *gids; /* the first is the gid */
	const char *home, *name;
};

static void run(const struct row *rows, size_t n, int passwd_fd, int group_fd)
{
	for (size_t i = 0; i < n; i++) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
		struct skf_userdb_result r;
		struct skf_err e = SKF_ERR_INIT;
		char gids[256];
		if (skf_userdb_resolve(rows[i].user, passwd_fd, group_fd, NULL, &a, &r, &e) < 0)
			fail_msg("'%s': %s", rows[i].user, e.msg);
		if (r.uid != rows[i].uid || strcmp(gids_text(&r, gids, sizeof(gids)), rows[i].gids) != 0)
			fail_msg("'%s': uid %u gids %s, expected %u %s", rows[i].user, r.uid, gids,
				 rows[i].uid, rows[i].gids);
		assert_int_equal(r.gid, r.gids[0]);
		assert_string_equal(r.home, rows[i].home);
		assert_string_equal(r.name, rows[i].name);
	}
}

static void test_good(void **state)
{
	static const struct row rows[] = {
		{"", 0, "0,10", "/root", "root"},
		{"root", 0, "0,10", "/root", "root"},
		{"0", 0, "0,10", "/root", "root"},
		{"app", 1000, "1001,4,10,12", "/home/app", "app"},
		{"1000", 1000, "1001,4,10,12", "/home/app", "app"},
		{"1000:", 1000, "1001,4,10,12", "/home/app", "app"},
		{"app:", 1000, "1001,4,10,12", "/home/app", "app"},
		{"1", 1, "1,4", "/usr/sbin", "daemon"},
		{"1:", 1, "1,4", "/usr/sbin", "daemon"},
		{"app:wheel", 1000, "10", "/home/app", "app"},
		{"app:0", 1000, "0", "/home/app", "app"},
		{"1000:5", 1000, "5", "/home/app", "app"},
		{"5:6", 5, "6", "/", "short"},
		{"12345", 12345, "0", "/", ""},
		/* The line is found by its number, the groups by the line's name, as in docker. */
		{"007", 7, "7,4,10,1001,12", "/second", "app"},
		{"short", 5, "5", "/", "short"},
		{"2147483647", 2147483647u, "0", "/", ""},
		{"1:2147483647", 1, "2147483647", "/usr/sbin", "daemon"},
		{"nohome", 2000, "2000", "/", "nohome"},
		{"last", 3000, "3001", "/home/last", "last"},
	};
	static const struct row bare[] = {
		{"", 0, "0", "/", ""},
		{"0", 0, "0", "/", ""},
		{"1000:1000", 1000, "1000", "/", ""},
	};
	int fifo[2];

	(void)state;
	run(rows, SKF_ARRAY_LEN(rows), pw, gr);
	run(bare, SKF_ARRAY_LEN(bare), -1, -1);
	/* A pipe is not a file: absent, and nobody waits for it. */
	assert_int_equal(pipe(fifo), 0);
	run(bare, SKF_ARRAY_LEN(bare), fifo[0], fifo[0]);
	close(fifo[0]);
	close(fifo[1]);
}

static void must_fail(const char *user, enum skf_kind kind, const char *msg, int passwd_fd, int group_fd)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_userdb_result r = {.uid = 77};
	struct skf_err e = SKF_ERR_INIT;

	if (skf_userdb_resolve(user, passwd_fd, group_fd, NULL, &a, &r, &e) == 0)
		fail_msg("'%s' became uid %u gid %u", user, r.uid, r.gid);
	if (e.kind != kind || !strstr(e.msg, msg))
		fail_msg("'%s': [%s] %s\n  expected %s", user, skf_kind_name(e.kind), e.msg, msg);
	assert_int_equal(r.uid, 77);
}

/* T12: nothing that looks like a number is a name, and none of it ends as root. */
static void test_numbers(void **state)
{
	static const char *const bad[] = {
		"0x0",
		"0X1f",
		"0x",
		"+0",
		"-0",
		"-1",
		"+1",
		" 0",
		"0 ",
		"\t0",
		"2147483648",
		"4294967295",
		"4294967296",
		"999999999999999999999999999999",
		"18446744073709551616",
		"1:+0",
		"1:-1",
		"1:4294967296",
		"1:0x0",
		"1: 0",
		"1:2147483648",
		"app:4294967295",
		"+-1",
		"--1",
	};

	(void)state;
	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++) {
		must_fail(bad[i], SKF_EINVALID, "", pw, gr);
		must_fail(bad[i], SKF_EINVALID, "", -1, -1);
	}
	must_fail("4294967296", SKF_EINVALID,
		  "user '4294967296': uids and gids must be plain decimal numbers in range 0-2147483647", pw,
		  gr);
	must_fail(":1", SKF_EINVALID, "user ':1' has nothing before ':'", pw, gr);
	must_fail(":", SKF_EINVALID, "user ':' has nothing before ':'", pw, gr);
	must_fail(":app", SKF_EINVALID, "has nothing before ':'", pw, gr);
	must_fail("1:2:3", SKF_EINVALID, "user '1:2:3' has two ':'", pw, gr);
	must_fail("a b", SKF_EINVALID, "blank or control character", pw, gr);
	must_fail("app\n", SKF_EINVALID, "blank or control character", pw, gr);
}

static void test_names(void **state)
{
	char longname[400];

	(void)state;
	must_fail("nobody", SKF_ENOTFOUND, "unable to find user nobody: no matching entries in passwd file",
		  pw, gr);
	must_fail("app", SKF_ENOTFOUND, "unable to find user app: no matching entries in passwd file", -1,
		  -1);
	must_fail("app:nogroup", SKF_ENOTFOUND,
		  "unable to find group nogroup: no matching entries in group file", pw, gr);
	must_fail("app:wheel", SKF_ENOTFOUND,
		  "unable to find group wheel: no matching entries in group file", pw, -1);
	/* Lines whose numbers are no numbers do not exist. */
	must_fail("broken", SKF_ENOTFOUND, "unable to find user broken", pw, gr);
	must_fail("neg", SKF_ENOTFOUND, "unable to find user neg", pw, gr);
	must_fail("huge", SKF_ENOTFOUND, "unable to find user huge", pw, gr);
	must_fail("empty", SKF_ENOTFOUND, "unable to find user empty", pw, gr);
	must_fail("cut", SKF_ENOTFOUND, "unable to find user cut", pw, gr);
	must_fail("1:bad", SKF_ENOTFOUND, "unable to find group bad", pw, gr);
	must_fail("1:bad2", SKF_ENOTFOUND, "unable to find group bad2", pw, gr);
	memset(longname, 'a', sizeof(longname) - 1);
	longname[sizeof(longname) - 1] = '\0';
	must_fail(longname, SKF_EINVALID, "is too long; a name has at most 256 bytes", pw, gr);
}

static void test_extra_groups(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_userdb_result r;
	struct skf_err e = SKF_ERR_INIT;
	struct skf_strv extra = {0};
	char gids[256];

	(void)state;
	assert_int_equal(skf_strv_add(&a, &extra, "other"), 0);
	assert_int_equal(skf_strv_add(&a, &extra, "77"), 0);
	assert_int_equal(skf_strv_add(&a, &extra, "wheel"), 0);
	assert_int_equal(skf_userdb_resolve("app:adm", pw, gr, &extra, &a, &r, &e), 0);
	assert_string_equal(gids_text(&r, gids, sizeof(gids)), "4,11,77,10");
	assert_int_equal(skf_strv_add(&a, &extra, "none"), 0);
	assert_int_equal(skf_userdb_resolve("app", pw, gr, &extra, &a, &r, &e), -1);
	assert_string_equal(e.msg, "unable to find group none: no matching entries in group file");
	extra.v[3] = (char *)"-1";
	assert_int_equal(skf_userdb_resolve("app", pw, gr, &extra, &a, &r, &e), -1);
	assert_int_equal(e.kind, SKF_EINVALID);
	extra.v[3] = (char *)"";
	assert_int_equal(skf_userdb_resolve("app", pw, gr, &extra, &a, &r, &e), -1);
	assert_int_equal(e.kind, SKF_EINVALID);
}

/* T14: sparse giants, endless lines, a million fields, bytes of zero. */
static void test_hostile_files(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(8u << 20);
	int fd;

	(void)state;
	fd = file_of("root:x:0:\n", 10);
	assert_int_equal(ftruncate(fd, (off_t)2 << 30), 0);
	must_fail("app", SKF_ELIMIT,
		  "the container's group file has more than 16777216 bytes; make it smaller", pw, fd);
	must_fail("app", SKF_ELIMIT,
		  "the container's passwd file has more than 16777216 bytes; make it smaller", fd, gr);
	assert_int_equal(ftruncate(fd, 16 << 20), 0);
	must_fail("app", SKF_ELIMIT,
		  "the container's group file has a line of more than 65536 bytes; make it shorter", pw, fd);
	close(fd);

	skf_buf_str(&b, "many:x:5:");
	for (int i = 0; i < 1000000; i++)
		skf_buf_str(&b, "u,");
	fd = file_of(b.p, b.len);
	must_fail("app", SKF_ELIMIT,
		  "the container's group file has a line of more than 65536 bytes; make it shorter", pw, fd);
	close(fd);

	static const char zeros[] = "ro\0ot:x:0:0::/:\nroot\0x:x:0:0::/:\n\0\0\0\n";
	fd = file_of(zeros, sizeof(zeros) - 1);
	must_fail("root", SKF_ENOTFOUND, "unable to find user root", fd, -1);
	close(fd);
}

/* The longest line that is allowed, and one byte more; lines that straddle the buffer. */
static void test_line_limit(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(8u << 20);
	static const struct row at[] = {{"z", 9, "9", "/z", "z"}};
	int fd;

	(void)state;
	skf_buf_str(&b, "a:x:1:1:");
	while (b.len < SKF_MAX_PASSWD_LINE - 5)
		skf_buf_chr(&b, 'g');
	skf_buf_str(&b, ":/:s\nz:x:9:9::/z:\n");
	fd = file_of(b.p, b.len);
	run(at, 1, fd, -1);
	close(fd);
	skf_buf_clear(&b);
	skf_buf_str(&b, "a:x:1:1:");
	while (b.len < SKF_MAX_PASSWD_LINE + 1)
		skf_buf_chr(&b, 'g');
	skf_buf_str(&b, "\nz:x:9:9::/z:\n");
	fd = file_of(b.p, b.len);
	must_fail("z", SKF_ELIMIT, "a line of more than 65536 bytes", fd, -1);
	close(fd);
	skf_buf_clear(&b);
	for (int i = 0; i < 50000; i++)
		skf_buf_fmt(&b, "user%d:x:%d:%d::/home/user%d:/bin/sh\n", i, i + 100000, i + 100000, i);
	skf_buf_str(&b, "z:x:9:9::/z:\n");
	fd = file_of(b.p, b.len);
	run(at, 1, fd, -1);
	close(fd);
}

static void test_home(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_err e = SKF_ERR_INIT;
	char *home;

	(void)state;
	assert_int_equal(skf_userdb_home(1000, pw, &a, &home, &e), 0);
	assert_string_equal(home, "/home/app");
	assert_int_equal(skf_userdb_home(4242, pw, &a, &home, &e), 0);
	assert_string_equal(home, "/");
	assert_int_equal(skf_userdb_home(0, -1, &a, &home, &e), 0);
	assert_string_equal(home, "/");
	assert_int_equal(skf_userdb_home(2000, pw, &a, &home, &e), 0);
	assert_string_equal(home, "/");
	assert_int_equal(skf_userdb_home(4294967295u, pw, &a, &home, &e), 0);
	assert_string_equal(home, "/");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_good),          cmocka_unit_test(test_numbers),
		cmocka_unit_test(test_names),         cmocka_unit_test(test_extra_groups),
		cmocka_unit_test(test_hostile_files), cmocka_unit_test(test_line_limit),
		cmocka_unit_test(test_home),
	};
	return cmocka_run_group_tests(tests, setup, teardown);
}
