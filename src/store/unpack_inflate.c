/* store/unpack_inflate.c -- gzip (ISA-L, or zlib where ISA-L is absent), zstd and plain bytes behind one
 * streaming door. No I/O.
 *
 * gzip: RFC 1952, any number of members; CRC and size of each member are checked by the library. Whatever
 * follows the last member must be another member: trailing bytes are an error, not ignored, since nothing
 * vouches for them. zstd: RFC 8878, any number of frames and skippable frames (zstd:chunked). The window is
 * read from the header of each frame before libzstd sees it: larger ones than SKF_MAX_ZSTD_WINDOW are
 * refused, and the gate is asked for the rest, so that several streams at once stay within one bound (T46).
 */
#include "store/unpack_int.h"
#include <stdlib.h>
#include <string.h>
#include <zstd.h>
#ifdef SKF_HAVE_ISAL
#include <isa-l/igzip_lib.h>
#else
#include <zlib.h>
#endif

#define HEAD_MAX 18u        /* RFC 8878 3.1.1: magic number and frame header */
#define STEP_MAX (1u << 30) /* the libraries count in 32 bits */

struct skf_inflate {
	enum skf_compression c;
	bool inside;  /* a member or frame has begun and not ended */
	bool any;     /* at least one byte was taken */
	bool pending; /* out was full when the last step returned */
	ZSTD_DCtx *zstd;
	struct skf_window_gate gate;
	uint64_t window;        /* granted: what libzstd may keep */
	uint8_t head[HEAD_MAX]; /* of a frame that has not begun */
	size_t head_n, head_used;
	bool began; /* ... and its window is granted */
#ifdef SKF_HAVE_ISAL
	struct inflate_state *isal;
#else
	z_stream z;
	bool z_ready;
#endif
};

enum skf_compression skf_compression_of(const uint8_t *p, size_t n)
{
	if (n >= 2 && p[0] == 0x1f && p[1] == 0x8b)
		return SKF_COMP_GZIP;
	if (n >= 4 && p[1] == 0xb5 && p[2] == 0x2f && p[3] == 0xfd && p[0] == 0x28)
		return SKF_COMP_ZSTD;
	if (n >= 4 && (p[0] & 0xf0) == 0x50 && p[1] == 0x2a && p[2] == 0x4d && p[3] == 0x18)
		return SKF_COMP_ZSTD; /* skippable frame */
	return SKF_COMP_NONE;
}

const char *skf_compression_name(enum skf_compression c)
{
	return c == SKF_COMP_GZIP ? "gzip" : c == SKF_COMP_ZSTD ? "zstd" : "uncompressed";
}

/* --- gzip --- */

#ifdef SKF_HAVE_ISAL
static int gzip_new(struct skf_inflate *i)
{
	i->isal = malloc(sizeof(*i->isal));
	if (!i->isal)
		return -ENOMEM;
	isal_inflate_init(i->isal);
	i->isal->crc_flag = ISAL_GZIP;
	return 0;
}

static const char *isal_why(int r)
{
	return r == ISAL_INCORRECT_CHECKSUM ? "wrong checksum"
	       : r == ISAL_INVALID_WRAPPER
		       ? "no gzip header where one was expected (bytes after the end of the stream?)"
		       : "damaged data";
}

static int gzip_step(struct skf_inflate *i, const uint8_t *in, size_t n_in, size_t *used, uint8_t *out,
		     size_t n_out, size_t *made, struct skf_err *e)
{
	struct inflate_state *z = i->isal;
	int r;

	z->next_in = (uint8_t *)in; /* the library does not write to it */
	z->avail_in = (uint32_t)n_in;
	z->next_out = out;
	z->avail_out = (uint32_t)n_out;
	do {
		if (z->block_state == ISAL_BLOCK_FINISH) {
			if (z->avail_in == 0)
				break;
			isal_inflate_reset(z);
			z->crc_flag = ISAL_GZIP;
		}
		i->inside = true;
		r = isal_inflate(z);
		if (r != ISAL_DECOMP_OK)
			return skf_fail(e, SKF_ECORRUPT, "gzip stream: %s", isal_why(r));
		if (z->block_state == ISAL_BLOCK_FINISH)
			i->inside = false;
	} while (z->block_state == ISAL_BLOCK_FINISH && z->avail_out > 0);
	*used = n_in - z->avail_in;
	*made = n_out - z->avail_out;
	return 0;
}

static void gzip_free(struct skf_inflate *i)
{
	free(i->isal);
}
#else
static int gzip_new(struct skf_inflate *i)
{
	if (inflateInit2(&i->z, 15 + 16) != Z_OK)
		return -ENOMEM;
	i->z_ready = true;
	return 0;
}

static int gzip_step(struct skf_inflate *i, const uint8_t *in, size_t n_in, size_t *used, uint8_t *out,
		     size_t n_out, size_t *made, struct skf_err *e)
{
	int r = Z_OK;

	i->z.next_in = (Bytef *)(uintptr_t)in;
	i->z.avail_in = (uInt)n_in;
	i->z.next_out = out;
	i->z.avail_out = (uInt)n_out;
	while (i->z.avail_out > 0 && (i->z.avail_in > 0 || i->inside)) {
		if (!i->inside && inflateReset(&i->z) != Z_OK)
			return skf_fail(e, SKF_EBUG, "zlib cannot start a member");
		i->inside = true;
		r = inflate(&i->z, Z_NO_FLUSH);
		if (r == Z_STREAM_END) {
			i->inside = false;
			continue;
		}
		if (r == Z_BUF_ERROR)
			break;
		if (r != Z_OK)
			return skf_fail(e, r == Z_MEM_ERROR ? SKF_ENOMEM : SKF_ECORRUPT, "gzip stream: %s",
					i->z.msg ? i->z.msg : "damaged data");
	}
	*used = n_in - i->z.avail_in;
	*made = n_out - i->z.avail_out;
	return 0;
}

static void gzip_free(struct skf_inflate *i)
{
	if (i->z_ready)
		inflateEnd(&i->z);
}
#endif

/* --- zstd and plain --- */

static int zstd_new(struct skf_inflate *i)
{
	i->zstd = ZSTD_createDCtx();
	if (!i->zstd)
		return -ENOMEM;
	return ZSTD_isError(ZSTD_DCtx_setParameter(i->zstd, ZSTD_d_windowLogMax, SKF_UNPACK_ZSTD_WINDOW_LOG))
		       ? -EINVAL
		       : 0;
}

/* Bytes of the header that begins with these n; what is no frame of zstd is left to libzstd to refuse. */
static size_t head_size(const uint8_t *p, size_t n)
{
	static const uint8_t magic[4] = {0x28, 0xb5, 0x2f, 0xfd}, dict[4] = {0, 1, 2, 4},
			     content[4] = {0, 2, 4, 8};
	bool single;

	if (n < 5)
		return 5;
	single = p[4] & 0x20;
	if (memcmp(p, magic, sizeof(magic)) != 0)
		return 5; /* a skippable frame has 8, and no window */
	return 5u + !single + dict[p[4] & 3] + (p[4] >> 6 ? content[p[4] >> 6] : single);
}

static uint64_t little(const uint8_t *p, size_t n)
{
	uint64_t v = 0;

	while (n-- > 0)
		v = v << 8 | p[n];
	return v;
}

/* What the decoder of this frame keeps: the window, or the whole content where that is one segment. */
static uint64_t window_of(const uint8_t *p, size_t n)
{
	size_t flag = n > 4 ? p[4] >> 6 : 0, size = (size_t)1 << flag;

	if (head_size(p, n) == 5)
		return 0;
	if (p[4] & 0x20)
		return little(p + n - size, size) + (flag == 1 ? 256 : 0);
	return (1ull << (10 + (p[5] >> 3))) / 8 * (8 + (p[5] & 7));
}

static int want_window(struct skf_inflate *i, uint64_t bytes, struct skf_err *e)
{
	if (bytes <= i->window)
		return 0;
	if (bytes > SKF_MAX_ZSTD_WINDOW)
		return skf_fail(e, SKF_ELIMIT,
				"zstd stream: a window of %llu MB is needed to unpack it, %u are allowed; "
				"it was made with --ultra or --long, "
				"make it again without",
				(unsigned long long)(bytes >> 20), SKF_MAX_ZSTD_WINDOW >> 20);
	if (i->gate.want) { /* whoever waits holds nothing */
		if (i->window) {
			ZSTD_freeDCtx(i->zstd);
			i->zstd = NULL;
			i->window = 0;
			if (zstd_new(i) < 0)
				return skf_fail(e, SKF_ENOMEM, "no memory to decompress zstd");
		}
		if (i->gate.want(i->gate.arg, bytes, e) < 0)
			return -1;
	}
	i->window = bytes;
	return 0;
}

/* Collects the header of the next frame and asks for its window. 1 it is complete, 0 more input is needed,
 * -1. */
static int begin_frame(struct skf_inflate *i, ZSTD_inBuffer *src, struct skf_err *e)
{
	const uint8_t *in = src->src;

	i->inside = true;
	while (i->head_n < head_size(i->head, i->head_n)) {
		if (src->pos == src->size)
			return 0;
		i->head[i->head_n++] = in[src->pos++];
	}
	if (want_window(i, window_of(i->head, i->head_n), e) < 0)
		return -1;
	i->began = true;
	i->head_used = 0;
	return 1;
}

static int decompress(struct skf_inflate *i, ZSTD_outBuffer *dst, ZSTD_inBuffer *src, struct skf_err *e)
{
	ZSTD_inBuffer head = {i->head, i->head_n, i->head_used};
	ZSTD_inBuffer *from = i->head_used < i->head_n ? &head : src;
	size_t r = ZSTD_decompressStream(i->zstd, dst, from);

	if (ZSTD_isError(r))
		return skf_fail(e, SKF_ECORRUPT, "zstd stream: %s", ZSTD_getErrorName(r));
	if (from == &head)
		i->head_used = head.pos;
	if (r != 0)
		return 0;
	if (i->head_used < i->head_n)
		return skf_fail(e, SKF_EBUG, "zstd: a frame ended within its header");
	i->inside = i->began = false;
	i->head_n = i->head_used = 0;
	return 0;
}

static int zstd_step(struct skf_inflate *i, const uint8_t *in, size_t n_in, size_t *used, uint8_t *out,
		     size_t n_out, size_t *made, struct skf_err *e)
{
	ZSTD_inBuffer src = {in, n_in, 0};
	ZSTD_outBuffer dst = {out, n_out, 0};

	/* Without input only what a frame still holds back may be asked for: after its end the call would
	 * announce the next one. */
	while (dst.pos < dst.size &&
	       (src.pos < src.size || i->head_used < i->head_n || (i->pending && i->inside))) {
		int r = i->began ? 1 : begin_frame(i, &src, e);

		if (r < 0 || (r > 0 && decompress(i, &dst, &src, e) < 0))
			return -1;
		i->pending = false; /* set again below when out is full */
		if (r == 0)
			break;
	}
	*used = src.pos;
	*made = dst.pos;
	return 0;
}

static int plain_step(const uint8_t *in, size_t n_in, size_t *used, uint8_t *out, size_t n_out, size_t *made)
{
	*used = *made = n_in < n_out ? n_in : n_out;
	memcpy(out, in, *used);
	return 0;
}

int skf_inflate_new(enum skf_compression c, struct skf_inflate **ret, struct skf_err *e)
{
	struct skf_inflate *i = calloc(1, sizeof(*i));
	int r = i ? 0 : -ENOMEM;

	if (r == 0) {
		i->c = c;
		r = c == SKF_COMP_GZIP ? gzip_new(i) : c == SKF_COMP_ZSTD ? zstd_new(i) : 0;
	}
	if (r < 0) {
		skf_inflate_free(i);
		return skf_fail_sys(e, r, "start to decompress %s", skf_compression_name(c));
	}
	*ret = i;
	return 0;
}

void skf_inflate_free(struct skf_inflate *i)
{
	if (!i)
		return;
	if (i->c == SKF_COMP_GZIP)
		gzip_free(i);
	ZSTD_freeDCtx(i->zstd);
	if (i->window && i->gate.want) {
		struct skf_err none = SKF_ERR_INIT; /* giving back does not fail */

		i->gate.want(i->gate.arg, 0, &none);
	}
	free(i);
}

void skf_inflate_set_gate(struct skf_inflate *i, const struct skf_window_gate *gate)
{
	i->gate = *gate;
}

int skf_inflate_step(struct skf_inflate *i, const uint8_t *in, size_t n_in, size_t *ret_used, uint8_t *out,
		     size_t n_out, size_t *ret_made, struct skf_err *e)
{
	int r;

	if (n_in > STEP_MAX)
		n_in = STEP_MAX;
	i->any |= n_in > 0;
	r = i->c == SKF_COMP_GZIP   ? gzip_step(i, in, n_in, ret_used, out, n_out, ret_made, e)
	    : i->c == SKF_COMP_ZSTD ? zstd_step(i, in, n_in, ret_used, out, n_out, ret_made, e)
				    : plain_step(in, n_in, ret_used, out, n_out, ret_made);
	if (r < 0)
		return -1;
	i->pending = *ret_made == n_out && i->c != SKF_COMP_NONE;
	return 0;
}

bool skf_inflate_complete(const struct skf_inflate *i)
{
	return i->c == SKF_COMP_NONE || (i->any && !i->inside);
}

bool skf_inflate_pending(const struct skf_inflate *i)
{
	return i->pending;
}
