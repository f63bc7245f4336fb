/* cmd/image_stream.c -- the plain bytes of an archive that comes compressed in any way, or not at all.
 *
 * gzip and zstd go through the store's own inflater, other filters (bzip2, xz, lz4) through libarchive.
 * Invariants: 1. more than RATIO_FROM bytes that are SKF_MAX_LAYER_RATIO times what was read are a bomb; 2.
 * what a layer may have is the limit of the whole. Blocks on the file or pipe; ends when the peer cancels.
 */
#include "base/limits.h"
#include "cmd/image_archive.h"
#include "store/inflate.h"
#include <archive.h>
#include <archive_entry.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CHUNK      (256u << 10)
#define RATIO_FROM (256ull << 20)

struct stream {
	const struct image_peer *peer;
	int fd;
	uint8_t *buf, *head;
	size_t n_head; /* first bytes, read to see what it is */
	uint64_t n_in, n_out;
	int (*write)(void *arg, const void *p, size_t n, struct skf_err *e);
	void *arg;
	struct skf_err *e;
};

static ssize_t stream_get(struct stream *s)
{
	ssize_t n;

	if (s->n_head) {
		memcpy(s->buf, s->head, s->n_head);
		n = (ssize_t)s->n_head;
		s->n_head = 0;
		return n;
	}
	if (image_check_cancel(s->peer, s->e) < 0)
		return -1;
	for (;;) {
		struct pollfd p[2] = {{s->fd, POLLIN, 0}, {s->peer->sock, 0, 0}};

		if (poll(p, 2, -1) < 0 && errno != EINTR)
			return skf_fail_sys(s->e, -errno, "wait for input");
		if (p[1].revents)
			return skf_fail(s->e, SKF_EUNAVAILABLE, "cancelled");
		n = read(s->fd, s->buf, CHUNK);
		if (n >= 0 || (errno != EINTR && errno != EAGAIN))
			break;
	}
	if (n < 0)
		return skf_fail_sys(s->e, -errno, "read the input");
	s->n_in += (uint64_t)n;
	return n;
}

static int stream_put(struct stream *s, const void *p, size_t n)
{
	s->n_out += n;
	if (s->n_out > SKF_MAX_LAYER_BYTES)
		return skf_fail(s->e, SKF_ELIMIT, "the input unpacks to more than the %llu bytes allowed",
				(unsigned long long)SKF_MAX_LAYER_BYTES);
	if (s->n_out > RATIO_FROM && s->n_out / SKF_MAX_LAYER_RATIO > s->n_in)
		return skf_fail(s->e, SKF_ELIMIT,
				"the input unpacks to more than %d times its size: a decompression bomb",
				SKF_MAX_LAYER_RATIO);
	return s->write(s->arg, p, n, s->e);
}

static int inflate_stream(struct stream *s, enum skf_compression c)
{
	SKF_AUTO_FREE uint8_t *out = malloc(CHUNK);
	struct skf_inflate *z = NULL;
	ssize_t n = 1;
	int r;

	if (!out)
		return skf_fail(s->e, SKF_ENOMEM, "no memory to decompress");
	r = skf_inflate_new(c, &z, s->e);
	while (r == 0 && (n = stream_get(s)) > 0) {
		size_t at = 0;

		while (r == 0 && (at < (size_t)n || skf_inflate_pending(z))) {
			size_t used, made;

			r = skf_inflate_step(z, s->buf + at, (size_t)n - at, &used, out, CHUNK, &made, s->e);
			at += used;
			if (r == 0 && made)
				r = stream_put(s, out, made);
		}
	}
	if (r == 0 && n == 0 && !skf_inflate_complete(z))
		r = skf_fail(s->e, SKF_ECORRUPT, "the input's %s stream is cut off",
			     skf_compression_name(c));
	skf_inflate_free(z);
	return r < 0 || n < 0 ? -1 : 0;
}

static ssize_t ar_read(struct archive *ar, void *arg, const void **ret)
{
	struct stream *s = arg;
	ssize_t n = stream_get(s);

	if (n < 0)
		archive_set_error(ar, EIO, "input");
	*ret = s->buf;
	return n;
}

static int filter_fail(struct stream *s, struct archive *ar)
{
	const char *why = archive_error_string(ar);

	return s->e->kind != SKF_OK
		       ? -1
		       : skf_fail(s->e, SKF_ECORRUPT, "decompress the input: %s", why ? why : "damaged");
}

/* xz and bzip2, by libarchive's filters, in this process only. */
static int filter_stream(struct stream *s)
{
	struct archive *ar = archive_read_new();
	struct archive_entry *ae;
	SKF_AUTO_FREE uint8_t *out = malloc(CHUNK);
	la_ssize_t n;
	int r = 0;

	if (!ar || !out)
		r = skf_fail(s->e, SKF_ENOMEM, "no memory to decompress");
	else if (archive_read_support_filter_xz(ar) != ARCHIVE_OK ||
		 archive_read_support_filter_bzip2(ar) != ARCHIVE_OK)
		r = skf_fail(s->e, SKF_EUNSUPPORTED,
			     "this libarchive has no xz or bzip2; decompress the input first");
	else if (archive_read_support_format_raw(ar) != ARCHIVE_OK ||
		 archive_read_open(ar, s, NULL, ar_read, NULL) != ARCHIVE_OK ||
		 archive_read_next_header(ar, &ae) != ARCHIVE_OK)
		r = filter_fail(s, ar);
	while (r == 0 && (n = archive_read_data(ar, out, CHUNK)) != 0)
		r = n < 0 ? filter_fail(s, ar) : stream_put(s, out, (size_t)n);
	archive_read_free(ar);
	return r;
}

/* Reads the first bytes, which tell what it is. */
static int stream_begin(struct stream *s)
{
	ssize_t n = 0;

	s->buf = malloc(CHUNK);
	s->head = malloc(CHUNK);
	if (!s->buf || !s->head)
		return skf_fail(s->e, SKF_ENOMEM, "no memory to read the input");
	while (s->n_head < 6) {
		size_t had = s->n_head;

		s->n_head = 0;
		n = stream_get(s);
		s->n_head = had;
		if (n <= 0)
			break;
		if (had + (size_t)n > CHUNK)
			return skf_fail(s->e, SKF_EBUG, "first bytes of the input");
		memcpy(s->head + had, s->buf, (size_t)n);
		s->n_head += (size_t)n;
	}
	return n < 0 ? -1 : 0;
}

bool image_is_filtered(const uint8_t *p, size_t n)
{
	return (n >= 6 && memcmp(p,
				 "\xfd"
				 "7zXZ\0",
				 6) == 0) ||
	       (n >= 4 && memcmp(p, "BZh", 3) == 0 && p[3] >= '1' && p[3] <= '9');
}

int image_stream_read(const struct image_peer *peer, int fd,
		      int (*write)(void *arg, const void *p, size_t n, struct skf_err *e), void *arg,
		      struct skf_err *e)
{
	struct stream s = {.peer = peer, .fd = fd, .write = write, .arg = arg, .e = e};
	int r;

	skf_err_clear(e);
	r = stream_begin(&s);
	if (r == 0 && s.n_head == 0)
		r = skf_fail(e, SKF_EINVALID, "the input is empty");
	if (r == 0)
		r = image_is_filtered(s.head, s.n_head)
			    ? filter_stream(&s)
			    : inflate_stream(&s, skf_compression_of(s.head, s.n_head));
	free(s.buf);
	free(s.head);
	return r;
}
