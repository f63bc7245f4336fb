/* engine/cp_tar.c -- `cp CONTAINER:PATH -`: a tar as docker's, without a library and without a helper
 * program (T30): ustar, with pax records for what does not fit. Invariants: 1. a name is opened by its
 * directory's descriptor and never followed; 2. an entry has exactly the size that its header says. Blocks
 * on the stream and the file system. */
#include "engine/cp_tar_int.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct writer {
	const struct skf_cp *c;
	int fd;
	struct skf_err *e;
	struct skf_buf path;
};

static int put(struct writer *w, const void *p, size_t n)
{
	int r = skf_write_full(w->fd, p, n);

	return r < 0 ? skf_fail_sys(w->e, r, "write the tar") : 0;
}

static int pad(struct writer *w, uint64_t size)
{
	static const char zero[SKF_TAR_BLOCK];
	size_t rest = (size_t)(size % SKF_TAR_BLOCK);

	return rest ? put(w, zero, SKF_TAR_BLOCK - rest) : 0;
}

static bool octal(char *out, size_t size, uint64_t v)
{
	if (v >> (3 * (size - 1)))
		return false;
	for (size_t i = size - 1; i-- > 0; v >>= 3)
		out[i] = (char)('0' + (v & 7));
	return true;
}

static void checksum(struct skf_tar_header *h)
{
	const unsigned char *p = (const unsigned char *)h;
	unsigned sum = 0;

	memset(h->sum, ' ', sizeof(h->sum));
	for (size_t i = 0; i < SKF_TAR_BLOCK; i++)
		sum += p[i];
	(void)octal(h->sum, sizeof(h->sum) - 1, sum); /* 17 bits in 18 */
}

/* "LEN key=value\n", LEN counts itself. */
static void pax_record(struct skf_buf *b, const char *key, const char *value)
{
	size_t n = strlen(key) + strlen(value) + 3, digits = 1, total;

	for (total = n + digits; total >= (digits == 1   ? 10u
					   : digits == 2 ? 100u
					   : digits == 3 ? 1000u
							 : 10000u);
	     total = n + digits)
		digits++;
	skf_buf_fmt(b, "%zu %s=%s\n", total, key, value);
}

static int put_pax(struct writer *w, const struct skf_buf *b)
{
	struct skf_tar_header h = {
		.name = "PaxHeader", .type = 'x', .magic = "ustar", .version = {'0', '0'}};

	if (b->err)
		return skf_fail_sys(w->e, b->err, "write a long name into the tar");
	(void)octal(h.mode, sizeof(h.mode), 0644);
	(void)octal(h.size, sizeof(h.size), b->len);
	checksum(&h);
	return put(w, &h, sizeof(h)) < 0 || put(w, b->p, b->len) < 0 ? -1 : pad(w, b->len);
}

static void number(struct skf_buf *pax, char *field, size_t size, uint64_t v, const char *key)
{
	char text[24];

	if (octal(field, size, v))
		return;
	snprintf(text, sizeof(text), "%llu", (unsigned long long)v);
	pax_record(pax, key, text);
}

static int put_header(struct writer *w, const struct stat *st, char type, const char *link)
{
	SKF_AUTO(skf_buf_done) struct skf_buf pax = SKF_BUF(SKF_TAR_MAX_PAX);
	struct skf_tar_header h = {.type = type, .magic = "ustar", .version = {'0', '0'}};
	const char *name = skf_buf_cstr(&w->path);
	size_t n = strlen(name), k = strlen(link);

	memcpy(h.name, name, n < sizeof(h.name) ? n : sizeof(h.name));
	if (n > sizeof(h.name))
		pax_record(&pax, "path", name);
	memcpy(h.link, link, k < sizeof(h.link) ? k : sizeof(h.link));
	if (k > sizeof(h.link))
		pax_record(&pax, "linkpath", link);
	(void)octal(h.mode, sizeof(h.mode), st->st_mode & 07777);
	number(&pax, h.uid, sizeof(h.uid), skf_idmap_owner(&w->c->from.uids, st->st_uid), "uid");
	number(&pax, h.gid, sizeof(h.gid), skf_idmap_owner(&w->c->from.gids, st->st_gid), "gid");
	number(&pax, h.size, sizeof(h.size), type == '0' ? (uint64_t)st->st_size : 0, "size");
	number(&pax, h.mtime, sizeof(h.mtime), st->st_mtime > 0 ? (uint64_t)st->st_mtime : 0, "mtime");
	(void)octal(h.major, sizeof(h.major), major(st->st_rdev));
	(void)octal(h.minor, sizeof(h.minor), minor(st->st_rdev));
	checksum(&h);
	return pax.len && put_pax(w, &pax) < 0 ? -1 : put(w, &h, sizeof(h));
}

/* Exactly the size that the header says: a file that shrinks is filled up, one that grows is cut. */
static int put_data(struct writer *w, int fd, uint64_t size)
{
	static const char zero[4096];
	char buf[SKF_TAR_CHUNK];
	uint64_t left = size;

	while (left > 0) {
		ssize_t n = read(fd, buf, left < sizeof(buf) ? (size_t)left : sizeof(buf));

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return skf_fail_sys(w->e, -errno, "read '%s'", skf_buf_cstr(&w->path));
		if (n == 0)
			break;
		if (put(w, buf, (size_t)n) < 0)
			return -1;
		left -= (uint64_t)n;
	}
	for (; left > 0; left -= left < sizeof(zero) ? left : sizeof(zero))
		if (put(w, zero, left < sizeof(zero) ? (size_t)left : sizeof(zero)) < 0)
			return -1;
	return pad(w, size);
}

static int write_entry(struct writer *w, int dir, const char *name, unsigned depth);

static int write_children(struct writer *w, int dir, unsigned depth)
{
	SKF_AUTO_FD int again = skf_openat(dir, ".", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = again < 0 ? NULL : fdopendir(again);
	size_t before = w->path.len;
	struct dirent *de;

	if (!d)
		return skf_fail_sys(w->e, again < 0 ? again : -errno, "list '%s'", skf_buf_cstr(&w->path));
	(void)SKF_TAKE_FD(again); /* d closes it */
	if (depth > SKF_MAX_TAR_DEPTH)
		return skf_fail(w->e, SKF_ELIMIT, "the tree is deeper than %d directories",
				SKF_MAX_TAR_DEPTH);
	while ((de = readdir(d))) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		skf_buf_str(&w->path, de->d_name);
		if (write_entry(w, dir, de->d_name, depth + 1) < 0)
			return -1;
		w->path.len = before;
		w->path.p[before] = '\0';
	}
	return 0;
}

static int write_file(struct writer *w, int dir, const char *name)
{
	SKF_AUTO_FD int fd = skf_openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return skf_fail_sys(w->e, fd < 0 ? fd : -errno, "open '%s'", skf_buf_cstr(&w->path));
	if (!S_ISREG(st.st_mode))
		return skf_fail(w->e, SKF_ECONFLICT, "'%s' was exchanged while it was being copied",
				skf_buf_cstr(&w->path));
	return put_header(w, &st, '0', "") < 0 ? -1 : put_data(w, fd, (uint64_t)st.st_size);
}

static int write_dir(struct writer *w, int dir, const char *name, unsigned depth)
{
	SKF_AUTO_FD int fd = skf_openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return skf_fail_sys(w->e, fd < 0 ? fd : -errno, "open '%s'", skf_buf_cstr(&w->path));
	skf_buf_chr(&w->path, '/');
	if (put_header(w, &st, '5', "") < 0)
		return -1;
	return skf_cp_is_kernels(fd) ? 0 : write_children(w, fd, depth);
}

static int write_entry(struct writer *w, int dir, const char *name, unsigned depth)
{
	char target[PATH_MAX];
	struct stat st;
	ssize_t n;

	if (w->path.err)
		return skf_fail(w->e, SKF_ELIMIT, "a path of the tree is longer than %d bytes",
				SKF_MAX_TAR_PATH);
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT && depth
			       ? 0
			       : skf_fail_sys(w->e, -errno, "look at '%s'", skf_buf_cstr(&w->path));
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return write_file(w, dir, name);
	case S_IFDIR:
		return write_dir(w, dir, name, depth);
	case S_IFLNK:
		n = readlinkat(dir, name, target, sizeof(target) - 1);
		if (n < 0)
			return skf_fail_sys(w->e, -errno, "read the link '%s'", skf_buf_cstr(&w->path));
		target[n] = '\0';
		return put_header(w, &st, '2', target);
	case S_IFCHR:
		return put_header(w, &st, '3', "");
	case S_IFBLK:
		return put_header(w, &st, '4', "");
	case S_IFIFO:
		return put_header(w, &st, '6', "");
	default:
		return 0; /* sockets have no place in a tar */
	}
}

static int write_as(const struct skf_cp *c, int sdir, const char *sname, const char *as, int fd, bool last,
		    struct skf_err *e)
{
	static const char end[2 * SKF_TAR_BLOCK];
	struct writer w = {.c = c, .fd = fd, .e = e, .path = SKF_BUF(SKF_MAX_TAR_PATH)};
	int r;

	skf_buf_str(&w.path, as);
	r = write_entry(&w, sdir, sname, 0);
	if (r == 0 && last)
		r = put(&w, end, sizeof(end));
	skf_buf_done(&w.path);
	return r;
}

int skf_cp_tar_write(const struct skf_cp *c, int sdir, const char *sname, bool content, int fd,
		     struct skf_err *e)
{
	return write_as(c, sdir, sname, content ? "." : sname, fd, true, e);
}

int skf_cp_tar_part(const struct skf_cp *c, int sdir, const char *sname, const char *as, int fd,
		    struct skf_err *e)
{
	return write_as(c, sdir, sname, as, fd, false, e);
}
