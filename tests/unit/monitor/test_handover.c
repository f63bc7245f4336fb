/* Unit tests of monitor/handover.c. */
#include "base/buf.h"
#include "base/record.h"
#include "monitor/wire.h"
#include "util.h"

static void sample(struct skf_mon_handover *h)
{
	memset(h, 0, sizeof(*h));
	h->flags = SKF_MONH_TTY | SKF_MONH_KEEP_SOCK;
	memset(h->id, 'a', sizeof(h->id) - 1);
	memset(h->root, '/', sizeof(h->root) - 1);
	strcpy(h->run_root, "/run/skiff");
	h->pid = 7;
	h->start_time = UINT64_MAX;
	h->pidfd = 5;
	h->netns = -1;
	h->listen_fd = 8;
	h->log_fd = 9;
	h->log_max_size = 1ull << 40;
	h->health = 1;
	h->health_interval_ms = UINT64_MAX;
	h->log_buffer = 1u << 20;
	h->log_squeeze = 1;
	memset(h->log_opts, 'o', sizeof(h->log_opts) - 1);
	strcpy(h->cg.path, "/skiff/c/x");
	h->cg.layout.n = SKF_CG_MAX;
	h->cg.used = (1u << SKF_CG_MAX) - 1;
	for (unsigned i = 0; i < SKF_CG_MAX; i++) {
		memset(h->cg.layout.h[i].controllers, 'c', sizeof(h->cg.layout.h[i].controllers) - 1);
		memset(h->cg.layout.h[i].mountpoint, 'm', sizeof(h->cg.layout.h[i].mountpoint) - 1);
		h->cg.layout.h[i].v2 = i & 1;
	}
}

static void round_trip(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MON_HANDOVER_MAX);
	static struct skf_mon_handover h, r;

	sample(&h);
	skf_mon_handover_write(&h, &b);
	assert_int_equal(b.err, 0);
	assert_int_equal(skf_mon_handover_read(b.p, b.len, &r), 0);
	assert_memory_equal(&h, &r, sizeof(h));
}

static void restart_round_trip(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MON_HANDOVER_MAX);
	static struct skf_mon_handover h, r;
	struct skf_recr rr;

	sample(&h);
	h.pidfd = 0;
	h.tty = h.in = -1;
	h.out = 1;
	h.err = 2;
	skf_mon_restarted_write(&h, 9, &b);
	assert_int_equal(skf_recr_init(&rr, b.p, b.len), 0);
	assert_int_equal(rr.type, 9);
	assert_int_equal(skf_mon_restarted_read(&rr, &r), 0);
	assert_true(r.pid == 7 && r.start_time == UINT64_MAX && r.pidfd == 0 && r.tty == -1 && r.in == -1 &&
		    r.out == 1 && r.err == 2);
	assert_memory_equal(&h.cg, &r.cg, sizeof(h.cg));
	for (size_t n = 8; n < b.len; n++) {
		uint32_t size = (uint32_t)n;

		memcpy(b.p, &size, sizeof(size));
		assert_int_equal(skf_recr_init(&rr, b.p, n), 0);
		assert_int_equal(skf_mon_restarted_read(&rr, &r), -EBADMSG);
	}
}

static void every_cut_is_refused(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MON_HANDOVER_MAX);
	static struct skf_mon_handover h, r;

	sample(&h);
	h.cg.layout.n = 1;
	h.cg.used = 1;
	skf_mon_handover_write(&h, &b);
	for (size_t n = 0; n < b.len; n++) {
		SKF_AUTO_FREE char *p =
			malloc(n + 1); /* exact, so that the sanitizer sees every byte beyond */
		uint32_t size = (uint32_t)n;

		memcpy(p, b.p, n);
		if (n >= sizeof(size))
			memcpy(p, &size, sizeof(size));
		assert_int_equal(skf_mon_handover_read(p, n, &r), -EBADMSG);
	}
}

static void impossible_values(void **state)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MON_HANDOVER_MAX);
	static struct skf_mon_handover h, r;

	sample(&h);
	h.cg.layout.n = 2;
	h.cg.used = 4; /* a hierarchy that is not there */
	skf_mon_handover_write(&h, &b);
	assert_int_equal(skf_mon_handover_read(b.p, b.len, &r), -EBADMSG);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(round_trip), cmocka_unit_test(restart_round_trip),
		cmocka_unit_test(every_cut_is_refused), cmocka_unit_test(impossible_values)};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
