/* Unit tests of monitor/client.c and wire.c: a request over a socket pair, answered by a script. */
#include "base/buf.h"
#include "base/limits.h"
#include "base/record.h"
#include "monitor/wire.h"
#include "util.h"
#include <sys/socket.h>
#include <sys/wait.h>

struct peer {
	int ours;
	pid_t pid;
};

/* The child checks one request and answers with the records that `answer` writes, then keeps the socket
 * until it is closed. */
static struct peer serve(uint16_t want, void (*answer)(struct skf_buf *b))
{
	struct peer p;
	int s[2];

	assert_int_equal(skf_socketpair_seqpacket(s), 0);
	p.pid = fork();
	assert_true(p.pid >= 0);
	if (p.pid == 0) {
		SKF_AUTO(skf_buf_done)
		struct skf_buf b = SKF_BUF(SKF_MAX_RECORD), out = SKF_BUF(SKF_MAX_RECORD);
		struct skf_mon_request q;
		struct skf_recr r;
		size_t at = 0;
		int ok;

		close(s[0]);
		ok = skf_record_recv(s[1], &b, &r, NULL, 5000) == 1 && skf_mon_request_read(&r, &q) == 0 &&
		     q.type == want && strcmp(q.container, "ctr") == 0;
		if (answer)
			answer(&out);
		while (at < out.len) {
			uint32_t n;

			memcpy(&n, out.p + at, sizeof(n));
			ok &= send(s[1], out.p + at, n, 0) == (ssize_t)n;
			at += n;
		}
		_exit(ok ? 0 : 1);
	}
	close(s[1]);
	p.ours = s[0];
	return p;
}

static void peer_done(struct peer *p)
{
	int status;

	close(p->ours);
	assert_int_equal(waitpid(p->pid, &status, 0), p->pid);
	assert_int_equal(status, 0);
}

static void put_state(struct skf_buf *b)
{
	struct skf_rec w;

	skf_rec_begin(&w, b, SKF_MON_STATE, 1);
	skf_rec_str(&w, "running");
	skf_rec_u32(&w, 42);
	skf_rec_u64(&w, 43);
	skf_rec_u64(&w, 44);
	skf_rec_u32(&w, 0);
	skf_rec_u32(&w, 0);
	skf_rec_u64(&w, 0);
	skf_rec_u32(&w, 3);
	skf_rec_str(&w, "healthy");
	skf_rec_u32(&w, 1);
	skf_rec_u32(&w, 12345); /* a field that a later monitor appends */
	skf_rec_end(&w);
}

/* An older monitor's answer ends before the fields that were appended. */
static void put_old_state(struct skf_buf *b)
{
	struct skf_rec w;

	skf_rec_begin(&w, b, SKF_MON_STATE, 1);
	skf_rec_str(&w, "running");
	skf_rec_u32(&w, 42);
	skf_rec_u64(&w, 43);
	skf_rec_u64(&w, 44);
	skf_rec_u32(&w, 0);
	skf_rec_u32(&w, 0);
	skf_rec_u64(&w, 0);
	skf_rec_end(&w);
}

static void put_exit(struct skf_buf *b)
{
	struct skf_rec w;

	skf_rec_begin(&w, b, SKF_MON_EXIT, 1);
	skf_rec_u32(&w, 137);
	skf_rec_u32(&w, 9);
	skf_rec_u32(&w, 1);
	skf_rec_u64(&w, 5);
	skf_rec_end(&w);
}

static void put_ok(struct skf_buf *b)
{
	struct skf_rec w;

	skf_rec_begin(&w, b, SKF_MON_OK, 1);
	skf_rec_end(&w);
}

static void put_exit_then_ok(struct skf_buf *b)
{
	put_exit(b);
	put_ok(b);
}

static void put_error(struct skf_buf *b)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_rec w;

	skf_fail(&e, SKF_ECONFLICT, "container 'ctr' is not running");
	skf_rec_begin(&w, b, SKF_MON_ERROR, 1);
	skf_rec_err(&w, &e);
	skf_rec_end(&w);
}

static void put_cut_state(struct skf_buf *b)
{
	struct skf_rec w;

	skf_rec_begin(&w, b, SKF_MON_STATE, 1);
	skf_rec_str(&w, "running");
	skf_rec_end(&w);
}

static void state_request(void **state)
{
	struct peer p = serve(SKF_MON_STATE, put_state);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_mon_state s;

	assert_int_equal(skf_mon_state(p.ours, "ctr", &s, &e), 0);
	assert_string_equal(s.state, "running");
	assert_true(s.pid == 42 && s.start_time == 43 && s.started_ns == 44);
	assert_true(s.restarts == 3 && s.failing == 1);
	assert_string_equal(s.health, "healthy");
	peer_done(&p);

	p = serve(SKF_MON_STATE, put_old_state);
	assert_int_equal(skf_mon_state(p.ours, "ctr", &s, &e), 0);
	assert_true(s.pid == 42 && s.restarts == 0 && s.health[0] == '\0');
	peer_done(&p);
}

static void exit_before_ok_is_skipped(void **state)
{
	struct peer p = serve(SKF_MON_KILL, put_exit_then_ok);
	struct skf_err e = SKF_ERR_INIT;

	assert_int_equal(skf_mon_kill(p.ours, "ctr", 15, false, false, &e), 0);
	peer_done(&p);
}

static void error_passes_through(void **state)
{
	struct peer p = serve(SKF_MON_RESIZE, put_error);
	struct skf_err e = SKF_ERR_INIT;

	assert_int_equal(skf_mon_resize(p.ours, "ctr", 24, 80, &e), -1);
	assert_int_equal(e.kind, SKF_ECONFLICT);
	assert_string_equal(e.msg, "container 'ctr' is not running");
	peer_done(&p);
}

static void death_of_the_monitor(void **state)
{
	struct peer p = serve(SKF_MON_WAIT, NULL);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_mon_exit x;

	assert_int_equal(skf_mon_wait(p.ours, "ctr", -1, &x, &e), -1);
	assert_int_equal(e.kind, SKF_EUNAVAILABLE);
	peer_done(&p);
}

static void wait_request(void **state)
{
	struct peer p = serve(SKF_MON_WAIT, put_exit);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_mon_exit x;

	assert_int_equal(skf_mon_wait(p.ours, "ctr", -1, &x, &e), 0);
	assert_true(x.code == 137 && x.signal == 9 && x.oom_killed == 1 && x.finished_ns == 5);
	peer_done(&p);
}

static void wait_times_out(void **state)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_mon_exit x;
	int s[2];

	assert_int_equal(skf_socketpair_seqpacket(s), 0);
	assert_int_equal(skf_mon_wait(s[0], "ctr", 20, &x, &e), -1);
	assert_int_equal(e.kind, SKF_ETIMEOUT);
	close(s[0]);
	close(s[1]);
}

static void cut_answer(void **state)
{
	struct peer p = serve(SKF_MON_STATE, put_cut_state);
	struct skf_err e = SKF_ERR_INIT;
	struct skf_mon_state s;

	assert_int_equal(skf_mon_state(p.ours, "ctr", &s, &e), -1);
	assert_int_equal(e.kind, SKF_ECORRUPT);
	peer_done(&p);
}

static void requests_are_checked(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_mon_request q;
	struct skf_recr r;
	struct skf_rec w;

	skf_rec_begin(&w, &b, SKF_MON_KILL, 1);
	skf_rec_str(&w, "ctr");
	skf_rec_u32(&w, 9);
	skf_rec_end(&w);
	assert_int_equal(skf_recr_init(&r, b.p, b.len), 0);
	assert_int_equal(skf_mon_request_read(&r, &q), -EBADMSG);
	skf_buf_clear(&b);
	skf_rec_begin(&w, &b, 999, 1);
	skf_rec_end(&w);
	assert_int_equal(skf_recr_init(&r, b.p, b.len), 0);
	assert_int_equal(skf_mon_request_read(&r, &q), -EOPNOTSUPP);
}

static void no_monitor(void **state)
{
	SKF_AUTO(tmp_done) struct tmp_dir t = tmp_make();

	assert_int_equal(skf_mon_connect(t.fd), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(state_request),        cmocka_unit_test(exit_before_ok_is_skipped),
		cmocka_unit_test(error_passes_through), cmocka_unit_test(death_of_the_monitor),
		cmocka_unit_test(wait_request),         cmocka_unit_test(wait_times_out),
		cmocka_unit_test(cut_answer),           cmocka_unit_test(requests_are_checked),
		cmocka_unit_test(no_monitor),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
