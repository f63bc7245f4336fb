/* Unit tests of base/record.c. */
#include "base/buf.h"
#include "base/limits.h"
#include "base/record.h"
#include "util.h"
#include <sys/socket.h>

static void make(struct skf_buf *b, const char *s)
{
	struct skf_rec r;

	skf_buf_clear(b);
	skf_rec_begin(&r, b, 7, 2);
	skf_rec_u32(&r, 0xdeadbeef);
	skf_rec_u64(&r, UINT64_MAX - 1);
	skf_rec_str(&r, s);
	skf_rec_bytes(&r, "a\0b", 3);
	skf_rec_end(&r);
}

static void round_trip(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_recr r;
	struct skf_str s;

	make(&b, "hello");
	assert_int_equal(b.err, 0);
	assert_int_equal(skf_recr_init(&r, b.p, b.len), 0);
	assert_int_equal(r.type, 7);
	assert_int_equal(r.version, 2);
	assert_int_equal(skf_recr_u32(&r), 0xdeadbeef);
	assert_true(skf_recr_u64(&r) == UINT64_MAX - 1);
	assert_string_equal(skf_recr_str(&r), "hello");
	assert_true(skf_recr_more(&r));
	s = skf_recr_bytes(&r);
	assert_int_equal(s.n, 3);
	assert_memory_equal(s.p, "a\0b", 3);
	assert_false(skf_recr_more(&r));
	assert_false(r.bad);
	assert_int_equal(skf_recr_u32(&r), 0); /* beyond the end */
	assert_true(r.bad);
	assert_string_equal(skf_recr_str(&r), "");
}

/* Every cut of a record is refused by the header; with a corrected header every field fails softly. */
static void cut_records(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);

	make(&b, "hello");
	for (size_t n = 0; n < b.len; n++) {
		char *copy = malloc(n + !n);
		struct skf_recr r;
		uint32_t size = (uint32_t)n;

		memcpy(copy, b.p, n);
		assert_int_equal(skf_recr_init(&r, copy, n), -EBADMSG);
		if (n >= 8) {
			memcpy(copy, &size, 4);
			assert_int_equal(skf_recr_init(&r, copy, n), 0);
			skf_recr_u32(&r);
			skf_recr_u64(&r);
			assert_non_null(skf_recr_str(&r));
			assert_non_null(skf_recr_bytes(&r).p);
			assert_true(r.bad);
			assert_false(skf_recr_more(&r));
		}
		free(copy);
	}
}

static void bad_strings(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1000);
	struct skf_rec w;
	struct skf_recr r;

	skf_rec_begin(&w, &b, 1, 1);
	skf_rec_bytes(&w, "a\0b", 4); /* NUL at the end, but another inside */
	skf_rec_end(&w);
	assert_int_equal(skf_recr_init(&r, b.p, b.len), 0);
	assert_string_equal(skf_recr_str(&r), "");
	assert_true(r.bad);
	skf_buf_clear(&b);
	skf_rec_begin(&w, &b, 1, 1);
	skf_rec_u32(&w, UINT32_MAX);
	skf_rec_end(&w);
	assert_int_equal(skf_recr_init(&r, b.p, b.len), 0);
	assert_int_equal(skf_recr_bytes(&r).n, 0);
	assert_true(r.bad);
}

static void errors_travel(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1000);
	struct skf_err e = SKF_ERR_INIT, got = SKF_ERR_INIT;
	struct skf_rec w;
	struct skf_recr r;

	skf_fail_sys(&e, -EPERM, "mount '%s'", "/x");
	skf_rec_begin(&w, &b, 1, 1);
	skf_rec_err(&w, &e);
	skf_rec_end(&w);
	assert_int_equal(skf_recr_init(&r, b.p, b.len), 0);
	skf_recr_err(&r, &got);
	assert_int_equal(got.kind, SKF_EDENIED);
	assert_int_equal(got.sys, EPERM);
	assert_string_equal(got.msg, e.msg);
	skf_recr_err(&r, &got); /* nothing left: not success */
	assert_int_equal(got.kind, SKF_ECORRUPT);
	e.kind = 1000; /* of a newer peer */
	skf_buf_clear(&b);
	skf_rec_begin(&w, &b, 1, 1);
	skf_rec_err(&w, &e);
	skf_rec_end(&w);
	assert_int_equal(skf_recr_init(&r, b.p, b.len), 0);
	skf_recr_err(&r, &got);
	assert_int_equal(got.kind, SKF_ESYSTEM);
}

static void size_limit(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1 << 20);
	char *big = calloc(1, SKF_MAX_RECORD);
	struct skf_rec w;

	for (unsigned over = 0; over < 2; over++) {
		skf_buf_clear(&b);
		skf_rec_begin(&w, &b, 1, 1);
		skf_rec_bytes(&w, big, SKF_MAX_RECORD - 12 + over);
		skf_rec_end(&w);
		assert_int_equal(b.err, over ? -E2BIG : 0);
	}
	skf_buf_clear(&b);
	skf_rec_begin(&w, &b, 1, 1);
	skf_rec_bytes(&w, big, SIZE_MAX);
	assert_int_equal(b.err, -E2BIG);
	free(big);
}

static void over_a_socket(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD), in = SKF_BUF(SKF_MAX_RECORD);
	unsigned before = count_fds();
	struct skf_recr r;
	struct skf_fds fds;
	int s[2], many[SKF_MAX_RECORD_FDS + 1];

	for (unsigned i = 0; i < SKF_ARRAY_LEN(many); i++)
		many[i] = 0;
	assert_int_equal(skf_socketpair_seqpacket(s), 0);
	make(&b, "x");
	assert_int_equal(skf_record_send(s[0], &b, many, SKF_MAX_RECORD_FDS + 1), -EINVAL);
	assert_int_equal(skf_record_send(s[0], &b, many, SKF_MAX_RECORD_FDS), 0);
	assert_int_equal(skf_record_recv(s[1], &in, &r, &fds, 1000), 1);
	assert_int_equal(fds.n, SKF_MAX_RECORD_FDS);
	assert_true(fcntl(fds.fd[3], F_GETFD) & FD_CLOEXEC);
	assert_int_equal(r.type, 7);
	skf_fds_done(&fds);
	/* fds that nobody asked for are closed */
	assert_int_equal(skf_record_send(s[0], &b, many, 2), 0);
	assert_int_equal(skf_record_recv(s[1], &in, &r, NULL, 1000), 1);
	assert_int_equal(skf_record_recv(s[1], &in, &r, &fds, 20), -ETIMEDOUT);
	assert_int_equal(skf_record_recv(s[1], &in, &r, &fds, 0), -ETIMEDOUT);
	skf_set_nonblock(s[1], true);
	assert_int_equal(skf_record_recv(s[1], &in, &r, &fds, 0), -EAGAIN);
	assert_int_equal(skf_record_recv(s[1], &in, &r, &fds, -1), -EAGAIN);
	assert_int_equal(skf_record_recv(s[1], &in, &r, &fds, 20), -ETIMEDOUT);
	/* malformed: the fds that came with it are gone */
	assert_int_equal(skf_record_send(s[0], &b, many, 1), 0);
	in.max = b.len - 1;
	assert_int_equal(skf_record_recv(s[1], &in, &r, &fds, 1000), -EBADMSG);
	in.max = SKF_MAX_RECORD;
	assert_int_equal(send(s[0], "short", 5, 0), 5);
	assert_int_equal(skf_record_recv(s[1], &in, &r, &fds, 1000), -EBADMSG);
	/* a record sent before the end still arrives, then EOF */
	assert_int_equal(skf_record_send(s[1], &b, NULL, 0), 0);
	assert_int_equal(skf_record_send(s[0], &b, NULL, 0), 0);
	skf_closep(&s[0]);
	assert_int_equal(skf_record_recv(s[1], &in, &r, &fds, 1000), 1);
	assert_int_equal(skf_record_recv(s[1], &in, &r, &fds, 1000), 0);
	assert_int_equal(skf_record_send(s[1], &b, NULL, 0), -EPIPE);
	skf_closep(&s[1]);
	assert_int_equal(count_fds(), before);
}

static void too_large_record_is_dropped(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf in = SKF_BUF(1 << 20);
	char *big = calloc(1, SKF_MAX_RECORD + 1);
	struct skf_recr r;
	int s[2], size = 1 << 20;

	assert_int_equal(skf_socketpair_seqpacket(s), 0);
	setsockopt(s[0], SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	assert_int_equal(send(s[0], big, SKF_MAX_RECORD + 1, 0), SKF_MAX_RECORD + 1);
	assert_int_equal(skf_record_recv(s[1], &in, &r, NULL, 100), -EBADMSG);
	assert_int_equal(skf_record_recv(s[1], &in, &r, NULL, 0), -ETIMEDOUT);
	skf_closep(&s[0]);
	skf_closep(&s[1]);
	free(big);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip),
		cmocka_unit_test(cut_records),
		cmocka_unit_test(bad_strings),
		cmocka_unit_test(errors_travel),
		cmocka_unit_test(size_limit),
		cmocka_unit_test(over_a_socket),
		cmocka_unit_test(too_large_record_is_dropped),
	};
	return cmocka_run_group_tests(tests, NULL, NULL);
}
