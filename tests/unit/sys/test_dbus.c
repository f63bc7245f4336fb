/* test_dbus.c -- the D-Bus encoder against the decoder and against bytes of the specification, broken
 * messages, addresses, and the client against a manager that a child process plays. */
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "sys/dbus.h"
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <signal.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static void test_round_trip(void **state)
{
	struct skf_buf body = SKF_BUF(65536), out = SKF_BUF(65536);
	struct skf_dbus_msg m = {.type = SKF_DBUS_CALL,
				 .serial = 7,
				 .path = "/a/b",
				 .interface = "x.y",
				 .member = "Do",
				 .destination = "z.w",
				 .signature = "susa(sv)"};
	struct skf_dbus_msg got;
	struct skf_dbus_reader r;
	size_t at;

	(void)state;
	skf_dbus_str(&body, "abc");
	skf_dbus_u32(&body, 5);
	skf_dbus_str(&body, "");
	at = skf_dbus_array(&body, 8);
	skf_dbus_prop_u64(&body, "Max", UINT64_MAX);
	skf_dbus_array_end(&body, at, 8);
	m.body = (const uint8_t *)body.p;
	m.body_len = body.len;
	assert_int_equal(skf_dbus_encode(&m, &out), 0);
	assert_int_equal(skf_dbus_length(out.p, out.len), (int64_t)out.len);
	assert_int_equal(skf_dbus_length(out.p, 15), 0);
	assert_int_equal(skf_dbus_decode(out.p, out.len, &got), 0);
	assert_int_equal(got.type, SKF_DBUS_CALL);
	assert_int_equal(got.serial, 7);
	assert_string_equal(got.path, "/a/b");
	assert_string_equal(got.interface, "x.y");
	assert_string_equal(got.member, "Do");
	assert_string_equal(got.destination, "z.w");
	assert_string_equal(got.signature, "susa(sv)");
	r = skf_dbus_read(&got);
	assert_string_equal(skf_dbus_get_str(&r), "abc");
	assert_int_equal(skf_dbus_get_u32(&r), 5);
	assert_string_equal(skf_dbus_get_str(&r), "");
	assert_int_equal(skf_dbus_get_u32(&r), 24); /* "Max" 4 + 4, "t" 3, padding 5, value 8 */
	assert_int_equal(r.err, 0);
	skf_buf_done(&body);
	skf_buf_done(&out);
}

/* Every shorter piece and every single changed byte is either refused or decoded without leaving the message
 * (ASan watches). */
static void test_damage(void **state)
{
	struct skf_buf out = SKF_BUF(65536);
	struct skf_dbus_msg m = {.type = SKF_DBUS_ERROR,
				 .serial = 1,
				 .reply_serial = 2,
				 .error_name = "a.b",
				 .signature = "s"},
			    got;
	static const uint8_t body[] = {3, 0, 0, 0, 'x', 'y', 'z', 0};

	(void)state;
	m.body = body;
	m.body_len = sizeof(body);
	assert_int_equal(skf_dbus_encode(&m, &out), 0);
	for (size_t n = 0; n < out.len; n++) {
		uint8_t *p = malloc(n ? n : 1);

		assert_non_null(p);
		memcpy(p, out.p, n);
		assert_true(skf_dbus_decode(p, n, &got) < 0);
		free(p);
	}
	for (size_t i = 0; i < out.len; i++) {
		for (unsigned v = 0; v < 256; v += 5) {
			uint8_t *p = malloc(out.len);

			assert_non_null(p);
			memcpy(p, out.p, out.len);
			p[i] = (uint8_t)v;
			if (skf_dbus_decode(p, out.len, &got) == 0) {
				struct skf_dbus_reader r = skf_dbus_read(&got);

				(void)strlen(skf_dbus_get_str(&r));
				(void)skf_dbus_get_sig(&r);
			}
			free(p);
		}
	}
	skf_buf_done(&out);
}

static void test_other_byte_order(void **state)
{
	/* METHOD_RETURN, big endian, serial 1, reply_serial 2, body: u 258 */
	static const uint8_t big[] = {'B', 2, 0, 1, 0, 0, 0, 4, 0,   0, 0, 1,   0, 0, 0, 15, 5, 1,
				      'u', 0, 0, 0, 0, 2, 8, 1, 'g', 0, 1, 'u', 0, 0, 0, 0,  1, 2};
	struct skf_dbus_msg m;
	struct skf_dbus_reader r;

	(void)state;
	assert_int_equal(skf_dbus_decode(big, sizeof(big), &m), 0);
	assert_int_equal(m.reply_serial, 2);
	r = skf_dbus_read(&m);
	assert_int_equal(skf_dbus_get_u32(&r), 258);
	assert_int_equal(skf_dbus_get_u32(&r), 0);
	assert_int_equal(r.err, -EBADMSG);
}

static void test_limits(void **state)
{
	struct skf_dbus_msg m = {.type = SKF_DBUS_CALL, .serial = 1, .path = "/", .member = "M"};
	uint8_t head[16] = {'l', 1, 0, 1};
	struct skf_buf out = SKF_BUF(65536), body = SKF_BUF(4 * SKF_MAX_DBUS_BYTES);
	uint32_t len = SKF_MAX_DBUS_WIRE;
	char *text = malloc(SKF_MAX_DBUS_BYTES + 2);

	(void)state;
	assert_non_null(text);
	if (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__)
		head[0] = 'B';
	memcpy(head + 4, &len, 4);
	assert_int_equal(skf_dbus_length(head, 16), -EBADMSG); /* one header too long */
	len -= 16;
	memcpy(head + 4, &len, 4);
	assert_int_equal(skf_dbus_length(head, 16), SKF_MAX_DBUS_WIRE);
	m.body = (uint8_t *)text;
	m.body_len = SKF_MAX_DBUS_BYTES + 1;
	assert_int_equal(skf_dbus_encode(&m, &out), -EINVAL);
	memset(text, 'x', SKF_MAX_DBUS_BYTES + 1);
	text[SKF_MAX_DBUS_BYTES + 1] = '\0';
	skf_dbus_str(&body, text);
	assert_int_equal(body.err, -E2BIG);
	m.member = NULL;
	m.body_len = 0;
	assert_int_equal(skf_dbus_encode(&m, &out), -EINVAL);
	free(text);
	skf_buf_done(&out);
	skf_buf_done(&body);
}

static void test_address(void **state)
{
	static const struct {
		const char *list, *want;
		int r;
	} t[] = {
		{"unix:path=/run/user/1000/bus", "/run/user/1000/bus", 0},
		{"tcp:host=a;unix:guid=1,path=/x%20y", "/x y", 0},
		{"unix:abstract=/tmp/a,guid=2", "@/tmp/a", 0},
		{"unix:path=/a%2", NULL, -EINVAL},
		{"unix:path=/a%00b", NULL, -EINVAL},
		{"unix:path=", NULL, -EAFNOSUPPORT},
		{"tcp:host=a", NULL, -EAFNOSUPPORT},
		{"", NULL, -EAFNOSUPPORT},
		{"unix:path=/012345678901234567890123456789", NULL, -ENAMETOOLONG},
	};
	char out[24];

	(void)state;
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		assert_int_equal(skf_dbus_address(t[i].list, out, sizeof(out)), t[i].r);
		if (t[i].want)
			assert_string_equal(out, t[i].want);
	}
}

/* --- a manager --- */

static int listen_at(const char *path)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_true(fd >= 0 && strlen(path) < sizeof(a.sun_path));
	memcpy(a.sun_path, path, strlen(path) + 1);
	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(fd, 4), 0);
	return fd;
}

static void reply(int fd, const struct skf_dbus_msg *m, const struct skf_buf *body)
{
	struct skf_buf out = SKF_BUF(1 << 16);
	struct skf_dbus_msg x = *m;

	x.body = body ? (const uint8_t *)body->p : NULL;
	x.body_len = body ? body->len : 0;
	if (skf_dbus_encode(&x, &out) < 0 || skf_write_full(fd, out.p, out.len) < 0)
		_exit(3);
	skf_buf_done(&out);
}

static void job_removed(int fd, const char *job, const char *unit, const char *result)
{
	struct skf_dbus_msg m = {.type = SKF_DBUS_SIGNAL,
				 .serial = 99,
				 .path = "/org/freedesktop/systemd1",
				 .interface = "org.freedesktop.systemd1.Manager",
				 .member = "JobRemoved",
				 .signature = "uoss"};
	struct skf_buf b = SKF_BUF(4096);

	skf_dbus_u32(&b, 1);
	skf_dbus_str(&b, job);
	skf_dbus_str(&b, unit);
	skf_dbus_str(&b, result);
	reply(fd, &m, &b);
	skf_buf_done(&b);
}

/* A broadcast that is longer than what a client keeps. */
static void noise(int fd)
{
	size_t n = SKF_MAX_DBUS_BYTES + 4096;
	uint8_t *p = calloc(1, n);
	uint32_t len = (uint32_t)n - 16;

	if (!p)
		_exit(4);
	p[0] = __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 'B' : 'l';
	p[1] = SKF_DBUS_SIGNAL;
	p[3] = 1;
	memcpy(p + 4, &len, 4);
	if (skf_write_full(fd, p, n) < 0)
		_exit(5);
	free(p);
}

/* Reads one call; answers by its member. */
static void serve_call(int fd, const char *first_unit_result)
{
	uint8_t buf[8192];
	size_t n = 0;
	struct skf_dbus_msg m, ret = {.type = SKF_DBUS_RETURN, .serial = 1};
	struct skf_buf b = SKF_BUF(4096);
	struct skf_dbus_reader r;
	int64_t len = 0;

	while (len <= 0 || n < (size_t)len) {
		if (skf_read_full(fd, buf + n, 1) < 0)
			_exit(n ? 6 : 0);
		len = skf_dbus_length(buf, ++n);
		if (len > (int64_t)sizeof(buf))
			_exit(7);
	}
	if (skf_dbus_decode(buf, n, &m) < 0)
		_exit(8);
	ret.reply_serial = m.serial;
	r = skf_dbus_read(&m);
	if (!strcmp(m.member, "StartTransientUnit")) {
		const char *unit = skf_dbus_get_str(&r);

		if (!strcmp(unit, "there.scope")) {
			ret.type = SKF_DBUS_ERROR;
			ret.error_name = "org.freedesktop.systemd1.UnitExists";
			ret.signature = "s";
			skf_dbus_str(&b, "Unit there.scope already exists.");
			reply(fd, &ret, &b);
		} else {
			noise(fd);
			job_removed(fd, "/job/1", "other.scope", "failed");
			job_removed(fd, "/job/1", unit, first_unit_result); /* before the answer */
			ret.signature = "o";
			skf_dbus_str(&b, "/job/1");
			reply(fd, &ret, &b);
		}
	} else if (!strcmp(m.member, "Get")) {
		ret.signature = "v";
		skf_dbus_sig(&b, "s");
		skf_dbus_str(&b, "/mgr");
		reply(fd, &ret, &b);
	} else {
		reply(fd, &ret, NULL);
	}
	skf_buf_done(&b);
}

static pid_t serve(int lfd, const char *auth, const char *job_result)
{
	pid_t pid = fork();

	if (pid)
		return pid;
	for (;;) {
		char c[32] = "";
		int fd = accept(lfd, NULL, NULL);

		/* "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n" */
		if (fd < 0 || skf_read_full(fd, c, 29) < 0 ||
		    memcmp(c, "\0AUTH EXTERNAL\r\nDATA\r\nBEGIN\r\n", 29) != 0)
			_exit(9);
		if (skf_write_full(fd, auth, strlen(auth)) < 0)
			_exit(10);
		for (;;)
			serve_call(fd, job_result);
	}
}

static void with_manager(const char *auth, const char *result, void (*fn)(void))
{
	char dir[] = "/tmp/skf-dbus-XXXXXX", path[64], sub[64];
	int fd, status;
	pid_t pid;

	assert_non_null(mkdtemp(dir));
	assert_int_equal(skf_fmt(sub, sizeof(sub), "%s/systemd", dir), 0);
	assert_int_equal(skf_fmt(path, sizeof(path), "%s/systemd/private", dir), 0);
	assert_int_equal(skf_mkdir_at(AT_FDCWD, sub, 0700), 0);
	fd = listen_at(path);
	assert_int_equal(setenv("XDG_RUNTIME_DIR", dir, 1), 0);
	assert_int_equal(unsetenv("DBUS_SESSION_BUS_ADDRESS"), 0);
	pid = serve(fd, auth, result);
	assert_true(pid > 0);
	fn();
	assert_int_equal(kill(pid, SIGTERM), 0);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	close(fd);
	unlink(path);
	rmdir(sub);
	rmdir(dir);
}

static void calls(void)
{
	struct skf_buf props = SKF_BUF(4096);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_dbus c;
	char group[64];

	skf_dbus_prop_u64(&props, "MemoryMax", 1);
	assert_int_equal(skf_dbus_open(&c, true, &e), 0);
	assert_true(c.peer);
	assert_int_equal(skf_sd_control_group(&c, group, sizeof(group), &e), 0);
	assert_string_equal(group, "/mgr");
	assert_int_equal(skf_sd_start_transient(&c, "a.scope", &props, &e), 0);
	assert_int_equal(skf_sd_set_properties(&c, "a.scope", &props, &e), 0);
	assert_int_equal(skf_sd_kill(&c, "a.scope", 9, &e), 0);
	assert_int_equal(skf_sd_start_transient(&c, "there.scope", &props, &e), -1);
	assert_int_equal(e.kind, SKF_ECONFLICT);
	assert_non_null(strstr(e.msg, "already exists"));
	skf_dbus_close(&c);
	skf_buf_done(&props);
}

static void failed_job(void)
{
	struct skf_buf props = SKF_BUF(4096);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_dbus c;

	assert_int_equal(skf_dbus_open(&c, true, &e), 0);
	assert_int_equal(skf_sd_start_transient(&c, "a.scope", &props, &e), -1);
	assert_non_null(strstr(e.msg, "ended as 'dependency'"));
	skf_dbus_close(&c);
}

static void rejected(void)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_dbus c;

	assert_int_equal(skf_dbus_open(&c, true, &e), -1);
	assert_int_equal(e.kind, SKF_EUNAVAILABLE);
	assert_non_null(strstr(e.msg, "systemd/private': Permission denied"));
	skf_dbus_close(&c);
}

static void test_calls(void **state)
{
	(void)state;
	with_manager("DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n", "done", calls);
}

static void test_failed_job(void **state)
{
	(void)state;
	with_manager("DATA\r\nOK 0123456789abcdef0123456789abcdef\r\n", "dependency", failed_job);
}

static void test_rejected(void **state)
{
	(void)state;
	with_manager("REJECTED ANONYMOUS\r\n", "done", rejected);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_round_trip),       cmocka_unit_test(test_damage),
		cmocka_unit_test(test_other_byte_order), cmocka_unit_test(test_limits),
		cmocka_unit_test(test_address),          cmocka_unit_test(test_calls),
		cmocka_unit_test(test_failed_job),       cmocka_unit_test(test_rejected),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
