/* tests/unit/store/tarwrite.c */
#include "tarwrite.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct tar *tar_new(void)
{
	struct tar *t = calloc(1, sizeof(*t));

	assert_non_null(t);
	t->b = (struct skf_buf)SKF_BUF(256u << 20);
	t->mtime = 1000000000;
	return t;
}

void tar_free(struct tar *t)
{
	skf_buf_done(&t->b);
	free(t);
}

static void put_num(char *p, size_t n, uint64_t v)
{
	if (v >> (3 * (n - 1)) == 0) {
		snprintf(p, n, "%0*llo", (int)n - 1, (unsigned long long)v);
		return;
	}
	memset(p, 0, n); /* GNU base-256 */
	for (size_t i = n - 1; i > 0 && v; i--, v >>= 8)
		p[i] = (char)(v & 255);
	p[0] = (char)0x80;
}

void tar_header(struct tar *t, const char *name, char type, uint64_t size, const char *link, unsigned major,
		unsigned minor)
{
	char h[512] = {0};
	unsigned sum = 0, mode = t->mode ? t->mode : type == '5' ? 0755 : 0644;

	memcpy(h, name, strnlen(name, 100));
	put_num(h + 100, 8, mode);
	put_num(h + 108, 8, t->uid);
	put_num(h + 116, 8, t->gid);
	put_num(h + 124, 12, size);
	put_num(h + 136, 12, t->mtime);
	memset(h + 148, ' ', 8);
	h[156] = type;
	if (link)
		memcpy(h + 157, link, strnlen(link, 100));
	memcpy(h + 257, "ustar\00000", 8);
	put_num(h + 329, 8, major);
	put_num(h + 337, 8, minor);
	for (size_t i = 0; i < sizeof(h); i++)
		sum += (unsigned char)h[i];
	snprintf(h + 148, 8, "%06o", sum);
	h[155] = ' ';
	skf_buf_put(&t->b, h, sizeof(h));
}

void tar_body(struct tar *t, const void *p, size_t n)
{
	static const char zero[512];

	skf_buf_put(&t->b, p, n);
	if (n % 512)
		skf_buf_put(&t->b, zero, 512 - n % 512);
}

void tar_file(struct tar *t, const char *name, const char *data)
{
	tar_header(t, name, '0', strlen(data), NULL, 0, 0);
	tar_body(t, data, strlen(data));
}

void tar_dir(struct tar *t, const char *name)
{
	tar_header(t, name, '5', 0, NULL, 0, 0);
}

void tar_sym(struct tar *t, const char *name, const char *target)
{
	tar_header(t, name, '2', 0, target, 0, 0);
}

void tar_hard(struct tar *t, const char *name, const char *target)
{
	tar_header(t, name, '1', 0, target, 0, 0);
}

void tar_node(struct tar *t, const char *name, char type, unsigned major, unsigned minor)
{
	tar_header(t, name, type, 0, NULL, major, minor);
}

void tar_pax(struct tar *t, const char *key, const void *value, size_t n)
{
	struct skf_buf rec = SKF_BUF(256u << 20);
	size_t body = strlen(key) + n + 3, len = body + 1, digits;
	char num[24];

	for (;;) {
		digits = (size_t)snprintf(num, sizeof(num), "%zu", len);
		if (digits + body == len)
			break;
		len = digits + body;
	}
	skf_buf_fmt(&rec, "%zu %s=", len, key);
	skf_buf_put(&rec, value, n);
	skf_buf_chr(&rec, '\n');
	tar_header(t, "PaxHeaders/x", 'x', rec.len, NULL, 0, 0);
	tar_body(t, rec.p, rec.len);
	skf_buf_done(&rec);
}

void tar_end(struct tar *t)
{
	static const char zero[1024];

	skf_buf_put(&t->b, zero, sizeof(zero));
	assert_int_equal(t->b.err, 0);
}

static int write_all(struct skf_unpack *u, const char *p, size_t n, size_t chunk, struct skf_err *e)
{
	while (n > 0) {
		size_t k = chunk && chunk < n ? chunk : n;
		/* Exactly as large as said, so that a sanitizer sees every byte read beyond it. */
		char *copy = malloc(k);
		int r;

		assert_non_null(copy);
		memcpy(copy, p, k);
		r = skf_unpack_write(u, copy, k, e);
		free(copy);
		if (r < 0)
			return -1;
		p += k;
		n -= k;
	}
	return 0;
}

int up_bytes(struct up *u, const void *data, size_t n, const void *tar, size_t n_tar)
{
	struct skf_unpack_opts o = {.media = u->media, .size = u->size ? u->size : n};
	struct skf_err *e = &u->f->e;
	struct skf_unpack *up;
	int r;

	skf_err_clear(e);
	if (!*u->digest.s)
		OK(skf_unpack_sha256(data, n, &u->digest, e), u->f);
	if (!*u->diff_id.s)
		OK(skf_unpack_sha256(tar, n_tar, &u->diff_id, e), u->f);
	o.digest = u->digest;
	o.diff_id = u->diff_id;
	OK(skf_unpack_new(u->f->s, &o, &up, e), u->f);
	if (u->lim)
		skf_unpack_set_limits(up, u->lim);
	r = write_all(up, data, n, u->chunk, e);
	if (r == 0)
		r = skf_unpack_finish(up, &u->res, e);
	skf_unpack_free(up);
	return r;
}

int up_tar_lim(struct fix *f, struct tar *t, struct skf_digest *diff_id, const struct skf_unpack_limits *lim)
{
	struct up u = {.f = f, .media = SKF_MEDIA_LAYER_TAR, .lim = lim};
	int r;

	tar_end(t);
	r = up_bytes(&u, t->b.p, t->b.len, t->b.p, t->b.len);
	if (diff_id)
		*diff_id = u.diff_id;
	tar_free(t);
	return r;
}

int up_tar(struct fix *f, struct tar *t, struct skf_digest *diff_id)
{
	return up_tar_lim(f, t, diff_id, NULL);
}

bool in_layer(struct fix *f, const struct skf_digest *d, const char *path, struct stat *st)
{
	struct stat dummy;
	int fd;
	bool ok;

	OK(skf_store_layer_open(f->s, d, &fd, &f->e), f);
	ok = fstatat(fd, path, st ? st : &dummy, AT_SYMLINK_NOFOLLOW) == 0;
	skf_closep(&fd);
	return ok;
}

void layer_read(struct fix *f, const struct skf_digest *d, const char *path, char *out, size_t size)
{
	struct skf_buf b = SKF_BUF(1 << 20);
	int fd;

	OK(skf_store_layer_open(f->s, d, &fd, &f->e), f);
	assert_int_equal(skf_read_file_at(fd, path, size - 1, &b), 0);
	memcpy(out, skf_buf_cstr(&b), b.len + 1);
	skf_buf_done(&b);
	skf_closep(&fd);
}
