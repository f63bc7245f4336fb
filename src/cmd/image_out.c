/* cmd/image_out.c -- an archive or directory of images, written: the same content gives the same bytes (no
 * times, no owners, entries in the caller's order). Each name is written once. A directory's files appear
 * whole, by rename. Blocks on the disk or pipe. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_archive.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BLOCK 512u
#define PART  ".part"

int image_out_init(struct image_out *o, const struct image_peer *peer, int fd, struct skf_arena *a,
		   struct skf_err *e)
{
	struct stat st;

	*o = (struct image_out){.peer = peer, .fd = fd, .file = -EBADF, .a = a};
	if (fstat(fd, &st) < 0)
		return skf_fail_sys(e, -errno, "look at the output");
	o->dir = S_ISDIR(st.st_mode);
	return 0;
}

int image_out_layout(struct image_out *o, struct skf_err *e)
{
	static const char *const dirs[] = {"blobs", "blobs/sha256", "blobs/sha512"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(dirs); i++) {
		int r = skf_mkdir_at(o->fd, dirs[i], 0755);

		if (r < 0)
			return skf_fail_sys(e, r, "make the directory of blobs");
	}
	return 0;
}

void image_out_drop(struct image_out *o)
{
	char part[sizeof(o->name) + sizeof(PART)];

	if (!o->dir || o->file < 0)
		return;
	skf_closep(&o->file);
	if (skf_fmt(part, sizeof(part), "%s" PART, o->name) == 0)
		unlinkat(o->fd, part, 0);
}

bool image_out_has(const struct image_out *o, const char *name)
{
	for (size_t i = 0; i < o->done.n; i++)
		if (skf_streq(o->done.v[i], name))
			return true;
	return false;
}

static int put(struct image_out *o, const void *p, size_t n, struct skf_err *e)
{
	int r = skf_write_full(o->dir ? o->file : o->fd, p, n);

	return r < 0 ? skf_fail_sys(e, r, "write '%s'", o->name) : 0;
}

static void number(char *at, size_t n, uint64_t v)
{
	if (n == 12 && v >> 33) { /* more than 11 octal digits hold */
		memset(at, 0, n);
		at[0] = (char)0x80;
		for (size_t i = 0; i < 8; i++)
			at[n - 1 - i] = (char)(v >> (8 * i));
		return;
	}
	at[n - 1] = 0;
	for (size_t i = n - 1; i-- > 0; v >>= 3)
		at[i] = (char)('0' + (v & 7));
}

static int tar_block(struct image_out *o, const char *name, char type, uint64_t size, struct skf_err *e)
{
	char h[BLOCK] = {0};
	unsigned sum = 0;

	memcpy(h, name, strnlen(name, 99));
	number(h + 100, 8, 0644);
	number(h + 108, 8, 0);
	number(h + 116, 8, 0);
	number(h + 124, 12, size);
	number(h + 136, 12, 0);
	h[156] = type;
	memcpy(h + 257,
	       "ustar\0"
	       "00",
	       8);
	memset(h + 148, ' ', 8);
	for (size_t i = 0; i < BLOCK; i++)
		sum += (unsigned char)h[i];
	number(h + 148, 7, sum);
	return put(o, h, sizeof(h), e);
}

/* The names of sha512 blobs are longer than a header holds: a pax header tells them. */
static int tar_header(struct image_out *o, uint64_t size, struct skf_err *e)
{
	char record[BLOCK] = {0};
	size_t n = strlen(o->name) + strlen(" path=\n"), digits = 1;

	if (strlen(o->name) >= 100) {
		for (size_t v = 10; v <= n + digits; v *= 10)
			digits++;
		n += digits; /* a record's length counts its own digits */
		if (skf_fmt(record, sizeof(record), "%zu path=%s\n", n, o->name) < 0)
			return skf_fail(e, SKF_EBUG, "'%s' is too long for an entry", o->name);
		if (tar_block(o, "PaxHeaders/blob", 'x', n, e) < 0 || put(o, record, sizeof(record), e) < 0)
			return -1;
	}
	return tar_block(o, o->name, '0', size, e);
}

static int open_part(struct image_out *o, struct skf_err *e)
{
	char part[sizeof(o->name) + sizeof(PART)];
	int r = skf_fmt(part, sizeof(part), "%s" PART, o->name);

	if (r == 0)
		r = o->file = skf_openat(o->fd, part, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0644);
	return r < 0 ? skf_fail_sys(e, r, "make '%s'", o->name) : 0;
}

int image_out_begin(struct image_out *o, const char *name, uint64_t size, struct skf_err *e)
{
	if (skf_fmt(o->name, sizeof(o->name), "%s", name) < 0 || skf_strv_add(o->a, &o->done, name) < 0)
		return skf_fail(e, SKF_ENOMEM, "name '%s' of the archive", name);
	o->left = o->size = size;
	return o->dir ? open_part(o, e) : tar_header(o, size, e);
}

int image_out_write(void *arg, const void *p, size_t n, struct skf_err *e)
{
	struct image_out *o = arg;

	if (n > o->left)
		return skf_fail(e, SKF_EBUG, "'%s' has more than the %llu bytes announced", o->name,
				(unsigned long long)o->size);
	o->left -= n;
	return image_check_cancel(o->peer, e) < 0 ? -1 : put(o, p, n, e);
}

int image_out_end(struct image_out *o, struct skf_err *e)
{
	static const char zero[BLOCK];
	char part[sizeof(o->name) + sizeof(PART)];
	int r;

	if (o->left)
		return skf_fail(e, SKF_EBUG, "'%s' has fewer than the %llu bytes announced", o->name,
				(unsigned long long)o->size);
	if (!o->dir)
		return o->size % BLOCK ? put(o, zero, BLOCK - o->size % BLOCK, e) : 0;
	skf_closep(&o->file);
	r = skf_fmt(part, sizeof(part), "%s" PART, o->name);
	if (r == 0 && renameat(o->fd, part, o->fd, o->name) < 0)
		r = -errno;
	return r < 0 ? skf_fail_sys(e, r, "put in place '%s'", o->name) : 0;
}

int image_out_small(struct image_out *o, const char *name, const struct skf_buf *b, struct skf_err *e)
{
	if (b->err)
		return skf_fail_sys(e, b->err, "write '%s'", name);
	if (image_out_has(o, name))
		return 0;
	if (image_out_begin(o, name, b->len, e) < 0 || image_out_write(o, b->p, b->len, e) < 0)
		return -1;
	return image_out_end(o, e);
}

int image_out_finish(struct image_out *o, struct skf_err *e)
{
	static const char zero[BLOCK * 2];

	skf_closep(&o->file);
	return o->dir ? 0 : put(o, zero, sizeof(zero), e);
}
