/* engine/cp_untar.c -- `cp - CONTAINER:PATH`: reads a tar: ustar, pax (path, linkpath, size, uid, gid;
 * others are ignored) and GNU's long names; no library, no helper program (T30, T31): a compressed stream is
 * refused by name.
 *
 * Invariants: 1. where an entry lands is decided by openat2 below the container's root, as for every path;
 * its last component is never followed;
 * 2. header numbers are checked, names are at most SKF_MAX_TAR_PATH, a checksum that is wrong ends the
 * copy; 3. a hard link is made only to what is below the same root. Blocks on the stream and the file
 * system. */
#include "engine/cp_tar_int.h"
#include "sys/path.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

struct reader {
	int fd, root;
	const char *prefix;
	const struct skf_cp *c;
	struct skf_err *e;
	struct skf_buf name, link; /* of the next entry, from records before it; empty: the header's own */
	bool has_size, has_uid, has_gid;
	uint64_t size, uid, gid;
};
struct entry {
	char name[SKF_MAX_TAR_PATH + 1], link[SKF_MAX_TAR_PATH + 1];
	char type;
	uint64_t size, mode, uid, gid, mtime, dev_major, dev_minor;
};

static int get(struct reader *r, void *p, size_t n)
{
	int x = skf_read_full(r->fd, p, n);

	return x == -EPIPE ? skf_fail(r->e, SKF_EINVALID, "the tar ends too early")
	       : x < 0     ? skf_fail_sys(r->e, x, "read the tar")
			   : 0;
}

static int skip(struct reader *r, uint64_t n)
{
	char buf[8192];

	for (; n > 0; n -= n < sizeof(buf) ? n : sizeof(buf))
		if (get(r, buf, n < sizeof(buf) ? (size_t)n : sizeof(buf)) < 0)
			return -1;
	return 0;
}

static uint64_t padded(uint64_t n)
{
	return (n + SKF_TAR_BLOCK - 1) / SKF_TAR_BLOCK * SKF_TAR_BLOCK;
}

/* Octal, or GNU's base 256. */
static int parse(const char *p, size_t n, uint64_t *ret)
{
	uint64_t v = 0;

	if ((unsigned char)p[0] & 0x80) {
		for (size_t i = 0; i < n; i++) {
			if (v >> 55)
				return -ERANGE;
			v = v << 8 | (i ? (unsigned char)p[i] : (unsigned char)p[i] & 0x7f);
		}
	} else {
		while (n && *p == ' ')
			p++, n--;
		for (; n && *p >= '0' && *p <= '7'; p++, n--)
			v = v << 3 | (uint64_t)(*p - '0');
		if (n && *p && *p != ' ')
			return -EINVAL;
	}
	*ret = v;
	return 0;
}

static bool sum_is_right(const struct skf_tar_header *h)
{
	const unsigned char *p = (const unsigned char *)h;
	uint64_t want, sum = 0;

	for (size_t i = 0; i < SKF_TAR_BLOCK; i++)
		sum += i >= offsetof(struct skf_tar_header, sum) && i < offsetof(struct skf_tar_header, type)
			       ? ' '
			       : p[i];
	return parse(h->sum, sizeof(h->sum), &want) == 0 && want == sum;
}

static int decode(struct reader *r, const struct skf_tar_header *h, struct entry *x)
{
	bool ustar = memcmp(h->magic, "ustar", 6) == 0;
	int bad = parse(h->size, sizeof(h->size), &x->size) < 0 ||
		  parse(h->mode, sizeof(h->mode), &x->mode) < 0 ||
		  parse(h->uid, sizeof(h->uid), &x->uid) < 0 || parse(h->gid, sizeof(h->gid), &x->gid) < 0 ||
		  parse(h->mtime, sizeof(h->mtime), &x->mtime) < 0 ||
		  parse(h->major, sizeof(h->major), &x->dev_major) < 0 ||
		  parse(h->minor, sizeof(h->minor), &x->dev_minor) < 0;

	x->type = h->type ? h->type : '0';
	if (bad || x->size >> 62)
		return skf_fail(r->e, SKF_EINVALID, "the tar has an entry with a number that is none");
	if (r->name.len)
		bad = skf_fmt(x->name, sizeof(x->name), "%s", skf_buf_cstr(&r->name));
	else
		bad = skf_fmt(x->name, sizeof(x->name), "%.*s%s%.*s", ustar ? (int)sizeof(h->prefix) : 0,
			      h->prefix, ustar && h->prefix[0] ? "/" : "", (int)sizeof(h->name), h->name);
	if (bad == 0)
		bad = r->link.len ? skf_fmt(x->link, sizeof(x->link), "%s", skf_buf_cstr(&r->link))
				  : skf_fmt(x->link, sizeof(x->link), "%.*s", (int)sizeof(h->link), h->link);
	return bad ? skf_fail(r->e, SKF_ELIMIT, "the tar has a name longer than %d bytes", SKF_MAX_TAR_PATH)
		   : 0;
}

/* GNU's L and K, and pax records: text for the next header. */
static int read_text(struct reader *r, uint64_t size, struct skf_buf *b)
{
	char *p;

	if (size > SKF_TAR_MAX_PAX)
		return skf_fail(r->e, SKF_ELIMIT, "the tar has an extended header longer than %u bytes",
				SKF_TAR_MAX_PAX);
	skf_buf_clear(b);
	p = skf_buf_reserve(b, (size_t)size + 1);
	if (!p)
		return skf_fail(r->e, SKF_ENOMEM, "memory for a header of the tar");
	if (get(r, p, (size_t)size) < 0)
		return -1;
	p[size] = '\0';
	b->len = (size_t)size;
	return skip(r, padded(size) - size);
}

static void use_record(struct reader *r, const char *key, const char *value)
{
	struct skf_buf *b = skf_streq(key, "path") ? &r->name : skf_streq(key, "linkpath") ? &r->link : NULL;

	if (b) {
		skf_buf_clear(b);
		skf_buf_str(b, value);
	} else if (skf_streq(key, "size")) {
		r->has_size = skf_parse_u64(value, &r->size) == 0;
	} else if (skf_streq(key, "uid")) {
		r->has_uid = skf_parse_u64(value, &r->uid) == 0;
	} else if (skf_streq(key, "gid")) {
		r->has_gid = skf_parse_u64(value, &r->gid) == 0;
	}
}

static int read_pax(struct reader *r, uint64_t size)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_TAR_MAX_PAX + 1);

	if (read_text(r, size, &b) < 0)
		return -1;
	for (char *p = b.p, *end = b.p + b.len; p < end;) {
		size_t n = 0, digits = strspn(p, "0123456789");
		char *eq;

		for (size_t i = 0; i < digits && n <= SKF_TAR_MAX_PAX; i++)
			n = n * 10 + (size_t)(p[i] - '0');
		if (digits == 0 || p[digits] != ' ' || n <= digits + 1 || n > (size_t)(end - p) ||
		    p[n - 1] != '\n')
			return skf_fail(r->e, SKF_EINVALID, "the tar has a malformed extended header");
		p[n - 1] = '\0';
		eq = strchr(p + digits + 1, '=');
		if (eq) {
			*eq = '\0';
			use_record(r, p + digits + 1, eq + 1);
		}
		p += n;
	}
	return 0;
}

static int file_data(struct reader *r, int to, uint64_t size)
{
	char buf[SKF_TAR_CHUNK];

	for (uint64_t left = size; left > 0;) {
		size_t n = left < sizeof(buf) ? (size_t)left : sizeof(buf);
		int x;

		if (get(r, buf, n) < 0)
			return -1;
		x = skf_write_full(to, buf, n);
		if (x < 0)
			return skf_fail_sys(r->e, x, "write a file of the tar");
		left -= n;
	}
	return skip(r, padded(size) - size);
}

static int own(struct reader *r, int dir, const char *name, const struct entry *x)
{
	const struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, {.tv_sec = (time_t)x->mtime}};
	uid_t uid;
	gid_t gid;
	int n = skf_cp_owner_of(r->c, (uint32_t)x->uid, (uint32_t)x->gid, &uid, &gid);

	if (n < 0)
		return skf_fail_sys(
			r->e, n, "give '%s' to %llu:%llu, which the container's user namespace does not map",
			x->name, (unsigned long long)x->uid, (unsigned long long)x->gid);
	if (fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ||
	    (x->type != '2' && fchmodat(dir, name, (mode_t)x->mode & 07777, 0) < 0) ||
	    utimensat(dir, name, t, AT_SYMLINK_NOFOLLOW) < 0)
		return skf_fail_sys(r->e, -errno, "set owner and mode of '%s'", x->name);
	return 0;
}

/* A new file, not one that stands there; of a mount point its content. */
static int make_file(struct reader *r, int dir, const char *name, const struct entry *x)
{
	SKF_AUTO_FD int fd = -EBADF;
	int n = unlinkat(dir, name, 0) < 0 && errno != ENOENT && errno != EBUSY ? -errno : 0;

	if (n == 0)
		n = fd = skf_openat(dir, name, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW | O_NONBLOCK, 0600);
	if (n < 0)
		return skf_fail_sys(r->e, n, "make '%s'", x->name);
	return file_data(r, fd, x->size) < 0 ? -1 : own(r, dir, name, x);
}

static int make_link(struct reader *r, int dir, const char *name, const struct entry *x)
{
	char target[SKF_MAX_TAR_PATH + 1], path[2 * SKF_MAX_TAR_PATH + 2];
	SKF_AUTO_FD int tdir = -EBADF;
	int n = skf_fmt(path, sizeof(path), "%s/%s", r->prefix, x->link);

	if (n == 0)
		n = tdir = skf_path_parent(r->root, path, false, target, sizeof(target));
	if (n >= 0 && unlinkat(dir, name, 0) < 0 && errno != ENOENT)
		n = -errno;
	if (n >= 0 && linkat(tdir, target, dir, name, 0) < 0)
		n = -errno;
	return n < 0 ? skf_fail_sys(r->e, n, "link '%s' to '%s'", x->name, x->link) : 0;
}

static int make_other(struct reader *r, int dir, const char *name, const struct entry *x)
{
	static const mode_t types[] = {['3' - '3'] = S_IFCHR, ['4' - '3'] = S_IFBLK, ['6' - '3'] = S_IFIFO};
	int n = 0;

	if (x->type == '5') {
		n = mkdirat(dir, name, 0700) < 0 && errno != EEXIST ? -errno : 0;
	} else {
		n = unlinkat(dir, name, 0) < 0 && errno != ENOENT ? -errno : 0;
		if (n == 0 && x->type == '2')
			n = symlinkat(x->link, dir, name) < 0 ? -errno : 0;
		else if (n == 0)
			n = mknodat(dir, name, types[x->type - '3'] | ((mode_t)x->mode & 0777),
				    makedev((unsigned)x->dev_major, (unsigned)x->dev_minor)) < 0
				    ? -errno
				    : 0;
	}
	return n < 0 ? skf_fail_sys(r->e, n, "make '%s'", x->name) : own(r, dir, name, x);
}

static int extract(struct reader *r, struct entry *x)
{
	char path[2 * SKF_MAX_TAR_PATH + 2], name[SKF_MAX_TAR_PATH + 1];
	SKF_AUTO_FD int dir = -EBADF;
	size_t n = strlen(x->name);
	int k;

	while (n > 0 &&
	       (x->name[n - 1] == '/' || (x->name[n - 1] == '.' && (n == 1 || x->name[n - 2] == '/'))))
		x->name[--n] = '\0';
	if (n == 0) /* the directory itself: it is there */
		return skip(r, padded(x->type == '0' ? x->size : 0));
	k = skf_fmt(path, sizeof(path), "%s/%s", r->prefix, x->name);
	if (k == 0)
		k = dir = skf_path_parent(r->root, path, true, name, sizeof(name));
	if (k < 0)
		return skf_fail_sys(r->e, k, "find the place of '%s'", x->name);
	switch (x->type) {
	case '0':
	case '7':
		return make_file(r, dir, name, x);
	case '1':
		return make_link(r, dir, name, x);
	case '2':
	case '3':
	case '4':
	case '5':
	case '6':
		return make_other(r, dir, name, x);
	default:
		return skf_fail(r->e, SKF_EUNSUPPORTED,
				"the tar has an entry of type '%c', '%s': this version does not know it",
				x->type, x->name);
	}
}

static const char *compression(const unsigned char *p)
{
	return p[0] == 0x1f && p[1] == 0x8b                                   ? "gzip"
	       : p[0] == 'B' && p[1] == 'Z'                                   ? "bzip2"
	       : p[0] == 0xfd && p[1] == '7'                                  ? "xz"
	       : p[0] == 0x28 && p[1] == 0xb5 && p[2] == 0x2f && p[3] == 0xfd ? "zstd"
									      : NULL;
}

/* One header with what belongs to it. 1, 0 the end, -1. */
static int next(struct reader *r, bool first)
{
	static const struct skf_tar_header zero;
	struct skf_tar_header h;
	struct entry x;
	const char *packed;

	if (get(r, &h, sizeof(h)) < 0)
		return -1;
	if (memcmp(&h, &zero, sizeof(h)) == 0)
		return 0;
	packed = first ? compression((const unsigned char *)&h) : NULL;
	if (packed)
		return skf_fail(r->e, SKF_EUNSUPPORTED,
				"the stream is compressed with %s: unpack it on the way, as in `%s -dc FILE "
				"| skiff cp - ...`",
				packed, packed);
	if (!sum_is_right(&h))
		return skf_fail(r->e, SKF_EINVALID, "the stream is no tar, or it is damaged");
	if (decode(r, &h, &x) < 0)
		return -1;
	switch (x.type) {
	case 'x':
		return read_pax(r, x.size) < 0 ? -1 : 1;
	case 'g':
		return skip(r, padded(x.size)) < 0 ? -1 : 1;
	case 'L':
		return read_text(r, x.size, &r->name) < 0 ? -1 : 1;
	case 'K':
		return read_text(r, x.size, &r->link) < 0 ? -1 : 1;
	default:
		break;
	}
	if (r->has_size)
		x.size = r->size;
	if (r->has_uid)
		x.uid = r->uid;
	if (r->has_gid)
		x.gid = r->gid;
	if (x.size >> 62 || x.uid > UINT32_MAX || x.gid > UINT32_MAX)
		return skf_fail(r->e, SKF_EINVALID, "the tar has an entry with a number that is none");
	if (extract(r, &x) < 0)
		return -1;
	skf_buf_clear(&r->name);
	skf_buf_clear(&r->link);
	r->has_size = r->has_uid = r->has_gid = false;
	return 1;
}

int skf_cp_tar_read(const struct skf_cp *c, int fd, int root, const char *prefix, struct skf_err *e)
{
	struct reader r = {.fd = fd,
			   .root = root,
			   .prefix = prefix,
			   .c = c,
			   .e = e,
			   .name = SKF_BUF(SKF_TAR_MAX_PAX + 1),
			   .link = SKF_BUF(SKF_TAR_MAX_PAX + 1)};
	int n = next(&r, true);

	while (n == 1)
		n = next(&r, false);
	skf_buf_done(&r.name);
	skf_buf_done(&r.link);
	return n;
}
