/* tests/fuzz/fuzz_chunked.c -- zstd:chunked of any bytes: they come out again whatever the list makes of
 * them, however they were cut, and the list is where the notes say. */
#include "base/buf.h"
#include "base/err.h"
#include "store/inflate.h"
#include "store/pack.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

static int to_buf(void *arg, const void *p, size_t n, struct skf_err *e)
{
	(void)e;
	skf_buf_put(arg, p, n);
	return 0;
}

static void make(const uint8_t *p, size_t n, size_t piece, struct skf_buf *out,
		 struct skf_chunked_notes *notes)
{
	const struct skf_pack_sink sink = {to_buf, out};
	struct skf_err e = SKF_ERR_INIT;
	struct skf_packed x;
	struct skf_chunked *c;

	if (skf_chunked_new(1, &sink, NULL, &c, &e) < 0)
		abort();
	for (size_t i = 0; i < n; i += piece)
		if (skf_chunked_write(c, p + i, n - i < piece ? n - i : piece, &e) < 0)
			abort();
	if (skf_chunked_end(c, &x, notes, &e) < 0 || x.size != out->len ||
	    !notes->checksum[0] != !!notes->why[0])
		abort();
	skf_chunked_free(c);
}

static void comes_out(const struct skf_buf *b, const uint8_t *p, size_t n)
{
	static uint8_t out[1u << 16];
	struct skf_err e = SKF_ERR_INIT;
	struct skf_inflate *z;
	size_t at = 0, got = 0;

	if (skf_inflate_new(SKF_COMP_ZSTD, &z, &e) < 0)
		abort();
	while (at < b->len || skf_inflate_pending(z)) {
		size_t used, made;

		if (skf_inflate_step(z, (const uint8_t *)b->p + at, b->len - at, &used, out, sizeof(out),
				     &made, &e) < 0 ||
		    made > n - got || memcmp(out, p + got, made) != 0)
			abort();
		at += used;
		got += made;
	}
	if (got != n || !skf_inflate_complete(z))
		abort();
	skf_inflate_free(z);
}

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct skf_buf a = SKF_BUF(64u << 20), b = SKF_BUF(64u << 20);
	struct skf_chunked_notes x, y;
	unsigned long long where, size;

	make(p, n, n ? n : 1, &a, &x);
	make(p, n, 700, &b, &y);
	comes_out(&a, p, n);
	comes_out(&b, p, n);
	if (!x.why[0] != !y.why[0])
		abort();
	if (!x.why[0] && (sscanf(x.position, "%llu:%llu:", &where, &size) != 2 || where + size > a.len ||
			  memcmp(a.p + a.len - 8, "GNUlInUx", 8) != 0))
		abort();
	skf_buf_done(&a);
	skf_buf_done(&b);
	return 0;
}
