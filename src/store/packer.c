/* store/packer.c -- bytes through a digest, a compressor and a digest again into a sink, each byte once
 * (pack.h).
 *
 * gzip by ISA-L (levels 0 to 3; higher ones mean 3) or zlib where ISA-L is absent, zstd by libzstd. The
 * output depends on the bytes and the level only: no name, no time. Blocks in the sink. */
#include "store/unpack_int.h"
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#ifdef SKF_HAVE_ISAL
#include <isa-l/igzip_lib.h>
#else
#include <zlib.h>
#endif

#define OUT_BYTES  (128u << 10)
#define STEP_MAX   (1u << 30) /* the libraries count in 32 bits */
#define ZSTD_LEVEL 3
#define GZIP_LEVEL 1

struct skf_packer {
	enum skf_compression c;
	struct skf_pack_sink sink; /* write NULL: nowhere */
	struct skf_hash hash_in, hash_out;
	uint64_t n_out;
	uint8_t *out;
	ZSTD_CCtx *zstd;
#ifdef SKF_HAVE_ISAL
	struct isal_zstream isal;
	uint8_t *level_buf;
#else
	z_stream z;
	bool z_ready;
#endif
};

static int put(struct skf_packer *p, const void *d, size_t n, struct skf_err *e)
{
	p->n_out += n;
	if (p->c != SKF_COMP_NONE && skf_hash_add(&p->hash_out, d, n, e) < 0)
		return -1;
	return p->sink.write && n ? p->sink.write(p->sink.arg, d, n, e) : 0;
}

#ifdef SKF_HAVE_ISAL
static const uint32_t level_bytes[] = {ISAL_DEF_LVL0_DEFAULT, ISAL_DEF_LVL1_DEFAULT, ISAL_DEF_LVL2_DEFAULT,
				       ISAL_DEF_LVL3_DEFAULT};

static int gzip_new(struct skf_packer *p, int level)
{
	unsigned l = level < 0 ? GZIP_LEVEL : level > 3 ? 3 : (unsigned)level;

	isal_deflate_init(&p->isal);
	p->level_buf = malloc(level_bytes[l] ? level_bytes[l] : 1);
	if (!p->level_buf)
		return -ENOMEM;
	p->isal.level = l;
	p->isal.level_buf = p->level_buf;
	p->isal.level_buf_size = level_bytes[l];
	p->isal.gzip_flag = IGZIP_GZIP;
	p->isal.flush = NO_FLUSH;
	return 0;
}

static int gzip_write(struct skf_packer *p, const uint8_t *d, size_t n, bool end, struct skf_err *e)
{
	struct isal_zstream *z = &p->isal;

	z->next_in = (uint8_t *)(uintptr_t)d; /* the library does not write to it */
	z->avail_in = (uint32_t)n;
	z->end_of_stream = end;
	do {
		z->next_out = p->out;
		z->avail_out = OUT_BYTES;
		if (isal_deflate(z) != COMP_OK)
			return skf_fail(e, SKF_EBUG, "gzip: the compressor failed");
		if (put(p, p->out, OUT_BYTES - z->avail_out, e) < 0)
			return -1;
	} while (z->avail_out == 0 || z->avail_in > 0 || (end && z->internal_state.state != ZSTATE_END));
	return 0;
}

static void gzip_free(struct skf_packer *p)
{
	free(p->level_buf);
}
#else
static int gzip_new(struct skf_packer *p, int level)
{
	int l = level < 0 ? GZIP_LEVEL : level > 9 ? 9 : level;

	if (deflateInit2(&p->z, l, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY) != Z_OK)
		return -ENOMEM;
	p->z_ready = true;
	return 0;
}

static int gzip_write(struct skf_packer *p, const uint8_t *d, size_t n, bool end, struct skf_err *e)
{
	int r;

	p->z.next_in = (Bytef *)(uintptr_t)d;
	p->z.avail_in = (uInt)n;
	do {
		p->z.next_out = p->out;
		p->z.avail_out = OUT_BYTES;
		r = deflate(&p->z, end ? Z_FINISH : Z_NO_FLUSH);
		if (r == Z_STREAM_ERROR)
			return skf_fail(e, SKF_EBUG, "gzip: the compressor failed");
		if (put(p, p->out, OUT_BYTES - p->z.avail_out, e) < 0)
			return -1;
	} while (p->z.avail_out == 0 || (end && r != Z_STREAM_END));
	return 0;
}

static void gzip_free(struct skf_packer *p)
{
	if (p->z_ready)
		deflateEnd(&p->z);
}
#endif

static int zstd_new(struct skf_packer *p, int level)
{
	p->zstd = ZSTD_createCCtx();
	if (!p->zstd)
		return -ENOMEM;
	if (ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_compressionLevel,
						level < 0 ? ZSTD_LEVEL : level)) ||
	    ZSTD_isError(ZSTD_CCtx_setParameter(p->zstd, ZSTD_c_checksumFlag, 1)))
		return -EINVAL;
	return 0;
}

static int zstd_write(struct skf_packer *p, const uint8_t *d, size_t n, bool end, struct skf_err *e)
{
	ZSTD_inBuffer in = {d, n, 0};
	size_t left;

	do {
		ZSTD_outBuffer out = {p->out, OUT_BYTES, 0};

		left = ZSTD_compressStream2(p->zstd, &out, &in, end ? ZSTD_e_end : ZSTD_e_continue);
		if (ZSTD_isError(left))
			return skf_fail(e, SKF_ENOMEM, "zstd: %s", ZSTD_getErrorName(left));
		if (put(p, p->out, out.pos, e) < 0)
			return -1;
	} while (in.pos < in.size || (end && left));
	return 0;
}

int skf_packer_new_like(enum skf_compression c, int level, const struct skf_pack_sink *sink,
			const struct skf_digest *like, struct skf_packer **ret, struct skf_err *e)
{
	SKF_AUTO(skf_packer_freep) struct skf_packer *p = calloc(1, sizeof(*p));
	int r;

	if (!p)
		return skf_fail(e, SKF_ENOMEM, "no memory to pack a layer");
	p->c = c;
	if (sink)
		p->sink = *sink;
	p->out = malloc(OUT_BYTES);
	r = !p->out              ? -ENOMEM
	    : c == SKF_COMP_GZIP ? gzip_new(p, level)
	    : c == SKF_COMP_ZSTD ? zstd_new(p, level)
				 : 0;
	if (r < 0)
		return skf_fail_sys(e, r, "start to compress as %s, level %d", skf_compression_name(c),
				    level);
	if (skf_hash_init(&p->hash_in, like, e) < 0 || skf_hash_init(&p->hash_out, like, e) < 0)
		return -1;
	*ret = SKF_TAKE(p);
	return 0;
}

int skf_packer_new(enum skf_compression c, int level, const struct skf_pack_sink *sink,
		   struct skf_packer **ret, struct skf_err *e)
{
	return skf_packer_new_like(c, level, sink, NULL, ret, e);
}

static int compress(struct skf_packer *p, const uint8_t *d, size_t n, bool end, struct skf_err *e)
{
	return p->c == SKF_COMP_GZIP   ? gzip_write(p, d, n, end, e)
	       : p->c == SKF_COMP_ZSTD ? zstd_write(p, d, n, end, e)
				       : put(p, d, n, e);
}

int skf_packer_write(struct skf_packer *p, const void *d, size_t n, struct skf_err *e)
{
	const uint8_t *b = d;

	if (skf_hash_add(&p->hash_in, d, n, e) < 0)
		return -1;
	while (n > 0) {
		size_t k = n < STEP_MAX ? n : STEP_MAX;

		if (compress(p, b, k, false, e) < 0)
			return -1;
		b += k;
		n -= k;
	}
	return 0;
}

int skf_packer_end(struct skf_packer *p, struct skf_packed *ret, struct skf_err *e)
{
	struct skf_packed x = {0};
	uint8_t none = 0;

	if (p->c != SKF_COMP_NONE && compress(p, &none, 0, true, e) < 0)
		return -1;
	if (skf_hash_end(&p->hash_in, &x.diff_id, e) < 0)
		return -1;
	if (p->c == SKF_COMP_NONE)
		x.digest = x.diff_id;
	else if (skf_hash_end(&p->hash_out, &x.digest, e) < 0)
		return -1;
	x.size = p->n_out;
	*ret = x;
	return 0;
}

void skf_packer_free(struct skf_packer *p)
{
	if (!p)
		return;
	if (p->c == SKF_COMP_GZIP)
		gzip_free(p);
	ZSTD_freeCCtx(p->zstd);
	skf_hash_done(&p->hash_in);
	skf_hash_done(&p->hash_out);
	free(p->out);
	free(p);
}
