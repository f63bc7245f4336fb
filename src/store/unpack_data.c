/* store/unpack_data.c -- the data of regular files: straight from the ring's blocks to the file, hashed on
 * the way, holes kept. A file with holes is hashed from the file afterwards, by data only, so that a hole of
 * any size costs nothing. Blocks on the disk. */
#include "base/buf.h"
#include "base/fd.h"
#include "store/unpack_int.h"
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PAGE          4096u
#define CHUNK         (256u << 10)
#define WRITEOUT_FROM (64 << 10) /* bytes of a file */

static int write_at(int fd, const void *buf, size_t n, off_t at)
{
	const char *p = buf;

	while (n > 0) {
		ssize_t r = pwrite(fd, p, n, at);

		if (r < 0 && errno == EINTR)
			continue;
		if (r <= 0)
			return r < 0 ? -errno : -EIO;
		p += r;
		at += r;
		n -= (size_t)r;
	}
	return 0;
}

/* The disk begins with this file now, while the processors are busy with the next ones; else the sync at the
 * end of a pull finds all of it still to be written. Nothing depends on it: what fails here fails again, and
 * is told, in that sync. */
static void begin_writeout(int fd, int64_t size)
{
	if (size >= WRITEOUT_FROM && sync_file_range(fd, 0, 0, SYNC_FILE_RANGE_WRITE) < 0)
		return;
}

int skf_tree_write_data(struct skf_tree *t, struct archive *ar, int fd, const char *path, bool *ret_sparse,
			struct skf_err *e)
{
	int64_t at = 0, off = 0;
	const void *p;
	size_t n;
	int r, w;

	t->sum = 0;
	while ((r = archive_read_data_block(ar, &p, &n, &off)) == ARCHIVE_OK) {
		if (off < at)
			return skf_fail(e, SKF_ECORRUPT,
					"the sparse map of the entry '%.200s' goes backwards", path);
		*ret_sparse |= off > at;
		w = write_at(fd, p, n, off);
		if (w < 0)
			return skf_tree_fail(e, w, "write", path);
		if (*ret_sparse)
			; /* by its pages, afterwards */
		else if (t->crc)
			t->sum = skf_crc64(t->sum, p, n);
		else if (skf_hash_add(&t->hash, p, n, e) < 0)
			return -1;
		at = off + (int64_t)n;
	}
	if (r != ARCHIVE_EOF) /* the caller knows whether the tar ended early or the transfer was given up */
		return skf_fail(e, SKF_ECORRUPT, "data of the entry '%.200s': %s", path,
				archive_error_string(ar) ? archive_error_string(ar) : "damaged");
	if (off > at) {
		*ret_sparse = true;
		if (ftruncate(fd, off) < 0)
			return skf_tree_fail(e, -errno, "extend", path);
	}
	begin_writeout(fd, at);
	return 0;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	return n == 0 || (p[0] == 0 && memcmp(p, p + 1, n - 1) == 0);
}

static int hash_pages(const uint8_t *p, size_t n, uint64_t off, struct skf_hash *h, struct skf_err *e)
{
	for (size_t i = 0; i < n; i += PAGE) {
		size_t len = n - i < PAGE ? n - i : PAGE;
		uint8_t place[8];

		if (is_zero(p + i, len))
			continue;
		for (int b = 0; b < 8; b++)
			place[b] = (uint8_t)((off + i) >> (8 * b));
		if (skf_hash_add(h, place, sizeof(place), e) < 0 || skf_hash_add(h, p + i, len, e) < 0)
			return -1;
	}
	return 0;
}

/* Whole pages, so that the digest does not depend on where a read ended. */
static ssize_t read_chunk(int fd, uint8_t *p, size_t n, off_t at)
{
	size_t got = 0;

	while (got < n) {
		ssize_t r = pread(fd, p + got, n - got, at + (off_t)got);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0)
			return -errno;
		if (r == 0)
			break;
		got += (size_t)r;
	}
	return (ssize_t)got;
}

int skf_sparse_digest(int fd, uint64_t size, struct skf_hash *h, uint8_t out[32], struct skf_err *e)
{
	SKF_AUTO_FREE uint8_t *buf = malloc(CHUNK);
	uint64_t at = 0;

	if (!buf)
		return skf_fail(e, SKF_ENOMEM, "no memory to read a sparse file");
	if (skf_hash_reset(h, e) < 0)
		return -1;
	while (at < size) {
		off_t data = lseek(fd, (off_t)at, SEEK_DATA);
		ssize_t n;

		if (data < 0 && errno == ENXIO)
			break;
		if (data >= 0 && (uint64_t)data > at) /* a file system without SEEK_DATA reads its zeros */
			at = (uint64_t)data & ~(uint64_t)(PAGE - 1);
		n = read_chunk(fd, buf, CHUNK, (off_t)at);
		if (n < 0)
			return skf_fail_sys(e, (int)n, "read a sparse file back");
		if (n == 0)
			break;
		if (hash_pages(buf, (size_t)n, at, h, e) < 0)
			return -1;
		at += (uint64_t)n;
	}
	return skf_hash_end_raw(h, out, e);
}
