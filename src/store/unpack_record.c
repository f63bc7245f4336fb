/* store/unpack_record.c -- writes the tar record of a layer while its tar passes by: the scanner's bytes and
 * file names through zstd into the file `tar` beside the seal.
 *
 * Stored form: one zstd frame over "SKFTAR1\n" and pieces, each a byte and numbers as LEB128:
 *     1 LENGTH BYTES          bytes of the tar
 *     2 SIZE LENGTH NAME      SIZE bytes of data of the file that the entry NAME made
 *     0 SIZE                  the end; bytes of the whole tar
 * Data that did not become a file as they stand (sparse files, whiteouts) are bytes. Memory: a zstd context
 * of level 1 and 128 KiB. Blocks on the disk. */
#include "base/fd.h"
#include "store/unpack_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zstd.h>

#define RAW_BYTES (64u << 10)
#define OUT_BYTES (64u << 10)
#define LEVEL     1

static int deflate(struct skf_record *r, const void *p, size_t n, ZSTD_EndDirective how, struct skf_err *e)
{
	ZSTD_inBuffer in = {p, n, 0};
	size_t left;

	do {
		ZSTD_outBuffer out = {r->out, OUT_BYTES, 0};
		int x;

		left = ZSTD_compressStream2(r->z, &out, &in, how);
		if (ZSTD_isError(left))
			return skf_fail(e, SKF_ENOMEM, "tar record: %s", ZSTD_getErrorName(left));
		if (out.pos == 0)
			continue;
		r->n_stored += out.pos;
		x = skf_write_full(r->fd, r->out, out.pos);
		if (x < 0)
			return skf_tree_fail(e, x, "write the tar record of the layer", SKF_RECORD_NAME);
		if (skf_hash_add(&r->hash, r->out, out.pos, e) < 0)
			return -1;
	} while (in.pos < in.size || (how == ZSTD_e_end && left));
	return 0;
}

static void put_number(uint8_t *b, size_t *n, uint64_t v)
{
	for (; v >= 0x80; v >>= 7)
		b[(*n)++] = (uint8_t)(v | 0x80);
	b[(*n)++] = (uint8_t)v;
}

static int flush_raw(struct skf_record *r, struct skf_err *e)
{
	uint8_t head[12] = {SKF_RECORD_BYTES};
	size_t n = 1;

	if (r->raw.len == 0)
		return 0;
	put_number(head, &n, r->raw.len);
	if (deflate(r, head, n, ZSTD_e_continue, e) < 0 ||
	    deflate(r, r->raw.p, r->raw.len, ZSTD_e_continue, e) < 0)
		return -1;
	skf_buf_clear(&r->raw);
	return 0;
}

static int on_bytes(void *arg, const uint8_t *p, size_t n, struct skf_err *e)
{
	struct skf_record *r = arg;

	r->n_raw += n;
	while (n > 0) {
		size_t k = RAW_BYTES - r->raw.len < n ? RAW_BYTES - r->raw.len : n;

		skf_buf_put(&r->raw, p, k);
		if (r->raw.err)
			return skf_fail_sys(e, r->raw.err, "tar record");
		p += k;
		n -= k;
		if (r->raw.len == RAW_BYTES && flush_raw(r, e) < 0)
			return -1;
	}
	return 0;
}

/* The unpacker makes no file of it: names that begin with .wh. mean something else. */
static bool has_whiteout_part(const char *name)
{
	const char *p = name;

	while ((p = strstr(p, ".wh.")) != NULL) {
		if (p == name || p[-1] == '/')
			return true;
		p++;
	}
	return false;
}

static int on_entry(void *arg, const struct skf_tar_entry *t, struct skf_err *e)
{
	struct skf_record *r = arg;
	size_t n = 1, len = strlen(t->name);
	uint8_t head[24] = {SKF_RECORD_FILE};

	if (t->size == 0)
		return SKF_TAR_SKIP;
	if (t->sparse || has_whiteout_part(t->name) || len >= SKF_MAX_TAR_PATH) {
		r->took = true;
		return SKF_TAR_TAKE;
	}
	r->n_files++;
	r->file_bytes += t->size;
	put_number(head, &n, t->size);
	put_number(head, &n, len);
	if (flush_raw(r, e) < 0 || deflate(r, head, n, ZSTD_e_continue, e) < 0 ||
	    deflate(r, t->name, len, ZSTD_e_continue, e) < 0)
		return -1;
	return SKF_TAR_SKIP;
}

int skf_record_begin(struct skf_record *r, int dir, struct skf_err *e)
{
	const struct skf_tarscan_sink sink = {on_bytes, on_entry, r};

	r->dir = dir;
	r->raw = (struct skf_buf)SKF_BUF(RAW_BYTES);
	skf_tarscan_init(&r->scan, &sink);
	r->out = malloc(OUT_BYTES);
	r->z = ZSTD_createCCtx();
	if (!r->out || !r->z || ZSTD_isError(ZSTD_CCtx_setParameter(r->z, ZSTD_c_compressionLevel, LEVEL)))
		return skf_fail(e, SKF_ENOMEM, "no memory for a tar record");
	if (skf_hash_init(&r->hash, NULL, e) < 0)
		return -1;
	r->fd = skf_openat(dir, SKF_RECORD_NAME, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (r->fd < 0)
		return skf_tree_fail(e, r->fd, "make the tar record of the layer", SKF_RECORD_NAME);
	return deflate(r, SKF_RECORD_MAGIC, strlen(SKF_RECORD_MAGIC), ZSTD_e_continue, e);
}

int skf_record_drop(struct skf_record *r, const char *why, struct skf_err *e)
{
	if (r->gone)
		return 0;
	r->gone = true;
	snprintf(r->why, sizeof(r->why), "%s", why);
	skf_closep(&r->fd);
	if (unlinkat(r->dir, SKF_RECORD_NAME, 0) < 0)
		return skf_fail_sys(e, -errno, "remove the tar record of the layer");
	return 0;
}

int skf_record_feed(struct skf_record *r, const uint8_t *p, size_t n, struct skf_err *e)
{
	int x;

	if (r->gone)
		return 0;
	x = skf_tarscan_feed(&r->scan, p, n, e);
	if (x > 0)
		return skf_record_drop(r, r->scan.why, e);
	if (x == 0 && (r->n_raw > SKF_RECORD_MAX_RAW || r->n_stored > SKF_RECORD_MAX_STORED))
		return skf_record_drop(r, "too many bytes of the tar are no file data", e);
	return x;
}

int skf_record_end(struct skf_record *r, struct skf_digest *ret, struct skf_err *e)
{
	uint8_t tail[12] = {SKF_RECORD_END};
	size_t n = 1;
	int x;

	ret->s[0] = 0;
	if (r->gone)
		return 0;
	x = skf_tarscan_end(&r->scan, e);
	if (x != 0)
		return x < 0 ? -1 : skf_record_drop(r, r->scan.why, e);
	put_number(tail, &n, r->scan.at);
	if (flush_raw(r, e) < 0 || deflate(r, tail, n, ZSTD_e_end, e) < 0)
		return -1;
	return skf_hash_end(&r->hash, ret, e);
}

void skf_record_done(struct skf_record *r)
{
	skf_tarscan_done(&r->scan);
	skf_buf_done(&r->raw);
	skf_hash_done(&r->hash);
	ZSTD_freeCCtx(r->z);
	free(r->out);
	skf_closep(&r->fd);
}

int skf_record_check(int layer_fd, const struct skf_seal *seal, struct skf_hash *h, struct skf_err *e)
{
	SKF_AUTO_FREE uint8_t *buf = NULL;
	SKF_AUTO_FD int fd = -EBADF;
	struct skf_digest got;
	ssize_t n;

	if (!seal->record.s[0])
		return 0;
	fd = skf_openat(layer_fd, SKF_RECORD_NAME, O_RDONLY | O_NOFOLLOW, 0);
	if (fd < 0)
		return skf_fail(e, SKF_ECORRUPT,
				"layer '%s': its tar record cannot be opened (%s); pull the image again",
				seal->diff_id.s, strerror(-fd));
	buf = malloc(OUT_BYTES);
	if (!buf)
		return skf_fail(e, SKF_ENOMEM, "no memory to read a tar record");
	while ((n = read(fd, buf, OUT_BYTES)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return skf_fail_sys(e, -errno, "read the tar record of the layer '%s'",
					    seal->diff_id.s);
		if (skf_hash_add(h, buf, (size_t)n, e) < 0)
			return -1;
	}
	if (skf_hash_end(h, &got, e) < 0)
		return -1;
	if (!skf_digest_eq(&got, &seal->record))
		return skf_fail(e, SKF_ECORRUPT,
				"layer '%s': its tar record differs from the seal; pull the image again",
				seal->diff_id.s);
	return 0;
}
