/* test_criu_rpc.c -- criu's RPC messages: bytes of requests, and responses that are right, cut, foreign or
 * too large. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "runtime/criu_int.h"
/* cmocka wants these first */
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
/* clang-format off */
#include <cmocka.h>
/* clang-format on */

static void expect(const struct skf_criu_req *q, const char *bytes, size_t n)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CRIU_REQUEST);

	skf_criu_req_encode(q, &b);
	assert_int_equal(b.err, 0);
	assert_int_equal(b.len, n);
	assert_memory_equal(b.p, bytes, n);
}
#define EXPECT(q, lit) expect(q, lit, sizeof(lit) - 1)

static void small_requests(void **st)
{
	(void)st;
	struct skf_criu_req version = {.type = SKF_CRIU_VERSION};
	struct skf_criu_req yes = {.type = SKF_CRIU_NOTIFY, .notify_success = true};
	struct skf_criu_req no = {.type = SKF_CRIU_NOTIFY};
	struct skf_criu_req mem = {.type = SKF_CRIU_FEATURE_CHECK, .want_mem_track = true};
	struct skf_criu_req both = {
		.type = SKF_CRIU_FEATURE_CHECK, .want_mem_track = true, .want_lazy_pages = true};

	EXPECT(&version, "\x08\x0a");
	EXPECT(&yes, "\x08\x06\x18\x01");
	EXPECT(&no, "\x08\x06\x18\x00"); /* false is said, not left out */
	EXPECT(&mem, "\x08\x09\x2a\x02\x08\x01");
	EXPECT(&both, "\x08\x09\x2a\x04\x08\x01\x10\x01");
}

static void options(void **st)
{
	(void)st;
	struct skf_criu_opts o = SKF_CRIU_OPTS_INIT;
	struct skf_criu_req q = {.type = SKF_CRIU_DUMP, .opts = &o};

	EXPECT(&q, "\x08\x01\x12\x00"); /* nothing asked for: criu decides */
	o.images_dir_fd = 5;
	o.pid = 300;
	o.leave_running = true;
	o.log_file = "l";
	o.cgroups_mode = SKF_CRIU_CG_IGNORE; /* 0 is a value, -1 is none */
	o.page_server_address = "a";
	o.page_server_port = 200;
	EXPECT(&q, "\x08\x01\x12\x15"
		   "\x08\x05"         /* images_dir_fd */
		   "\x10\xac\x02"     /* pid */
		   "\x18\x01"         /* leave_running */
		   "\x52\x01l"        /* log_file */
		   "\x90\x02\x00"     /* manage_cgroups_mode */
		   "\x5a\x06\x0a\x01" /* ps: address, port */
		   "a\x10\xc8\x01");
	o = (struct skf_criu_opts)SKF_CRIU_OPTS_INIT;
	o.empty_ns = 0x40000000;
	EXPECT(&q, "\x08\x01\x12\x07\xb0\x02\x80\x80\x80\x80\x04");
}

static void lists(void **st)
{
	(void)st;
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_criu_opts o = SKF_CRIU_OPTS_INIT;
	struct skf_criu_req q = {.type = SKF_CRIU_RESTORE, .opts = &o};

	assert_int_equal(skf_criu_list_add(&a, &o.ext_mnt, "/a", "/b", 0), 0);
	assert_int_equal(skf_criu_list_add(&a, &o.cg_root, "", "/c", 0),
			 0); /* cgroup2: a name that is empty */
	assert_int_equal(skf_criu_list_add(&a, &o.cg_root, NULL, "/c", 0), 0); /* every hierarchy */
	assert_int_equal(skf_criu_list_add(&a, &o.inherit_fd, "k", NULL, 7), 0);
	assert_int_equal(skf_strv_add(&a, &o.external, "x"), 0);
	EXPECT(&q, "\x08\x02\x12\x27"
		   "\xba\x01\x08\x0a\x02/a\x12\x02/b"
		   "\xca\x01\x06\x0a\x00\x12\x02/c"
		   "\xca\x01\x04\x12\x02/c"
		   "\xda\x01\x05\x0a\x01k\x10\x07"
		   "\xaa\x02\x01x");
	for (int i = 0; i < 100; i++) /* grows, and keeps what it has */
		assert_int_equal(skf_criu_list_add(&a, &o.join_ns, "ipc", "/p", i), 0);
	assert_int_equal(o.join_ns.n, 100);
	assert_int_equal(o.join_ns.v[0].n, 0);
	assert_int_equal(o.join_ns.v[99].n, 99);
}

static void request_one_over(void **st)
{
	(void)st;
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(16 << 20);
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CRIU_REQUEST);
	struct skf_criu_opts o = SKF_CRIU_OPTS_INIT;
	struct skf_criu_req q = {.type = SKF_CRIU_DUMP, .opts = &o};
	/* "\x08\x01" and the key and length (3 bytes) of opts, key and length (3 bytes) of root: 10 bytes
	 * besides */
	size_t n = SKF_MAX_CRIU_REQUEST - 10;
	char *root = skf_arena_alloc(&a, n + 2);

	assert_non_null(root);
	memset(root, 'r', n);
	o.root = root;
	skf_criu_req_encode(&q, &b);
	assert_int_equal(b.err, 0);
	assert_int_equal(b.len, SKF_MAX_CRIU_REQUEST);
	root[n] = 'r';
	skf_buf_clear(&b);
	skf_criu_req_encode(&q, &b);
	assert_int_equal(b.err, -E2BIG);
}

static int decode(const char *bytes, size_t n, struct skf_criu_resp *r)
{
	/* exact memory, so that a sanitizer sees every byte beyond */
	SKF_AUTO_FREE char *copy = malloc(n ? n : 1);
	int rc;

	assert_non_null(copy);
	memcpy(copy, bytes, n);
	rc = skf_criu_resp_decode(copy, n, r);
	if (rc == 0 && r->script.n) { /* a view: look at it before the bytes go */
		assert_true(r->script.p >= copy && r->script.p + r->script.n <= copy + n);
		r->script.p = bytes + (r->script.p - copy);
	}
	if (rc == 0 && r->errmsg.n)
		r->errmsg.p = bytes + (r->errmsg.p - copy);
	return rc;
}
#define DECODE(lit, r) decode(lit, sizeof(lit) - 1, r)

static void responses(void **st)
{
	(void)st;
	struct skf_criu_resp r;

	assert_int_equal(DECODE("\x08\x0a\x10\x01\x52\x06\x08\x04\x10\x01\x20\x01", &r), 0);
	assert_int_equal(r.type, SKF_CRIU_VERSION);
	assert_true(r.success);
	assert_int_equal(r.major, 4);
	assert_int_equal(r.minor, 1);
	assert_int_equal(r.sublevel, 1);
	assert_int_equal(DECODE("\x08\x06\x10\x01\x2a\x07\x0a\x02pr\x10\xac\x02", &r), 0);
	assert_int_equal(r.notify_pid, 300);
	assert_int_equal(r.script.n, 2);
	assert_memory_equal(r.script.p, "pr", 2);
	assert_int_equal(DECODE("\x08\x02\x10\x01\x22\x02\x08\x07", &r), 0);
	assert_int_equal(r.restore_pid, 7);
	assert_int_equal(DECODE("\x08\x01\x10\x00\x38\x10\x4a\x03"
				"bad",
				&r),
			 0);
	assert_false(r.success);
	assert_int_equal(r.cr_errno, 16);
	assert_memory_equal(r.errmsg.p, "bad", 3);
	assert_int_equal(DECODE("\x08\x09\x10\x01\x42\x06\x08\x01\x10\x00\x18\x01", &r), 0);
	assert_true(r.mem_track);
	assert_false(r.lazy_pages);
	/* -1 as criu writes it when there is no init: ten bytes */
	assert_int_equal(DECODE("\x08\x02\x10\x00\x22\x0b\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01", &r),
			 0);
	assert_int_equal(r.restore_pid, -1);
}

static void unknown_fields_are_skipped(void **st)
{
	(void)st;
	struct skf_criu_resp r;

	assert_int_equal(DECODE("\x08\x01"
				"\xf8\x07\x96\x01"                         /* 127: varint */
				"\xfa\x07\x02zz"                           /* 127: bytes */
				"\xf9\x07\x01\x02\x03\x04\x05\x06\x07\x08" /* 127: 64 bits */
				"\xfd\x07\x01\x02\x03\x04"                 /* 127: 32 bits */
				"\x10\x01",
				&r),
			 0);
	assert_int_equal(r.type, SKF_CRIU_DUMP);
	assert_true(r.success);
	/* proto2: of a field that comes twice the last one counts */
	assert_int_equal(DECODE("\x08\x01\x10\x00\x10\x01", &r), 0);
	assert_true(r.success);
}

static void malformed(void **st)
{
	(void)st;
	static const struct {
		const char *bytes;
		size_t n;
	} bad[] = {
#define B(lit) {lit, sizeof(lit) - 1}
		B(""),
		B("\x08\x01"),         /* success is missing */
		B("\x10\x01"),         /* type is missing */
		B("\x08\x01\x10"),     /* cut */
		B("\x08\x01\x10\x81"), /* cut varint */
		B("\x08\x01\x10\x01\x2a\x05"
		  "ab"), /* length beyond the end */
		B("\x08\x01\x10\x01\x2a\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"), /* length of 2^64-1 */
		B("\x08\x01\x10\x01\x2a\x02\x0a\x05"), /* the same inside of a message */
		B("\x08\x01\x10\x01\x00\x01"),         /* field 0 */
		B("\x08\x01\x10\x01\x0b"),             /* group */
		B("\x08\x01\x10\x01\x0c"),             /* end of a group */
		B("\x08\x01\x10\x01\x0e"),             /* wire type 6 */
		B("\x0a\x01"
		  "a\x10\x01"),                                                /* type as a string */
		B("\x08\x01\x10\x01\x28\x01"),                                 /* notify as a number */
		B("\x08\x01\x10\x01\x21\x01\x02\x03"),                         /* cut 64 bits */
		B("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x02\x10\x01"),     /* more than 64 bits */
		B("\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01\x10\x01"), /* eleven bytes */
		B("\x80\x80\x80\x80\x80\x01\x01\x08\x01\x10\x01"), /* field number beyond 2^29-1 */
#undef B
	};
	struct skf_criu_resp r = {.type = 77};

	for (size_t i = 0; i < SKF_ARRAY_LEN(bad); i++)
		assert_int_equal(decode(bad[i].bytes, bad[i].n, &r), -EBADMSG);
	assert_int_equal(r.type, 77); /* untouched */
}

static void reply_one_over(void **st)
{
	(void)st;
	static char big[SKF_MAX_CRIU_REPLY + 1];
	struct skf_criu_resp r;
	size_t n = SKF_MAX_CRIU_REPLY - 8;

	/* type, success, then errmsg (key, length in three bytes) over all that is left */
	memcpy(big, "\x08\x01\x10\x01\x4a", 5);
	big[5] = (char)(n | 0x80);
	big[6] = (char)(n >> 7 | 0x80);
	big[7] = (char)(n >> 14);
	assert_int_equal(decode(big, SKF_MAX_CRIU_REPLY, &r), 0);
	assert_int_equal(r.errmsg.n, n);
	assert_int_equal(skf_criu_resp_decode(big, SKF_MAX_CRIU_REPLY + 1, &r), -E2BIG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(small_requests), cmocka_unit_test(options),
		cmocka_unit_test(lists),          cmocka_unit_test(request_one_over),
		cmocka_unit_test(responses),      cmocka_unit_test(unknown_fields_are_skipped),
		cmocka_unit_test(malformed),      cmocka_unit_test(reply_one_over),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
