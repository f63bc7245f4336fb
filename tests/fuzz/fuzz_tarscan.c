/* tests/fuzz/fuzz_tarscan.c -- the tar scanner on any bytes: however the input is cut, it says the same,
 * accounts for every byte, and keeps to its bounds. */
#include "store/tarscan.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

struct sum {
	uint64_t h, given, skipped;
};

static void mix(struct sum *s, const void *p, size_t n)
{
	const uint8_t *b = p;

	for (size_t i = 0; i < n; i++)
		s->h = (s->h ^ b[i]) * 0x100000001b3ull;
}

static int on_bytes(void *arg, const uint8_t *p, size_t n, struct skf_err *e)
{
	struct sum *s = arg;

	(void)e;
	mix(s, p, n);
	s->given += n;
	return 0;
}

static int on_entry(void *arg, const struct skf_tar_entry *t, struct skf_err *e)
{
	struct sum *s = arg;

	(void)e;
	mix(s, t->name, strlen(t->name));
	mix(s, t->link, strlen(t->link));
	mix(s, &t->size, sizeof(t->size));
	if (t->size % 3 == 0)
		return SKF_TAR_TAKE;
	s->skipped += t->size;
	return SKF_TAR_SKIP;
}

static int scan(const uint8_t *p, size_t n, size_t piece, struct sum *s)
{
	const struct skf_tarscan_sink sink = {on_bytes, on_entry, s};
	struct skf_err e = SKF_ERR_INIT;
	struct skf_tarscan t;
	int r = 0;

	skf_tarscan_init(&t, &sink);
	for (size_t i = 0; r == 0 && i < n; i += piece)
		r = skf_tarscan_feed(&t, p + i, n - i < piece ? n - i : piece, &e);
	if (r == 0)
		r = skf_tarscan_end(&t, &e);
	if (r < 0 || (r == 0 && s->given + s->skipped < n) || t.meta.cap > 4 * SKF_TARSCAN_MAX_META)
		abort();
	if (r == 0 && t.state != SKF_TS_DATA && t.at != n)
		abort();
	skf_tarscan_done(&t);
	return r;
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct sum a = {0}, b = {0};
	int x = scan(p, n, n ? n : 1, &a), y = scan(p, n, 77, &b);

	if (x != y || (x == 0 && (a.h != b.h || a.given != b.given)))
		abort();
	return 0;
}
