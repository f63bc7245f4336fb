/* cmd/image_source.c -- an archive (or directory) as a table of names and places.
 *
 * A tar that can be seeked is indexed in place: the scanner reads the headers, data are jumped over. A pipe,
 * and anything compressed, is first written to a file without a name in the store, within the limits of a
 * layer. Invariants: 1. a name of the archive is a key of the table and never a path; 2. names are unique
 * once "./" is gone, and none climbs; 3. links are followed in the table, at most SKF_MAX_SYMLINK_DEPTH
 * times; 4. a directory is read by openat2 without links. Blocks on the disk and on the pipe. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_archive.h"
#include "store/inflate.h"
#include "store/tarscan.h"
#include "sys/path.h"
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (256u << 10)

struct item {
	const char *name, *link; /* link NULL: data */
	uint64_t off, size;
	bool sparse;
};
struct image_src {
	int fd; /* owned when own */
	bool own, dir;
	uint64_t base;
	struct skf_arena a;
	struct item *v; /* open addressing by name */
	size_t n, cap;
};

int image_check_cancel(const struct image_peer *peer, struct skf_err *e)
{
	struct pollfd p[2] = {{peer->cancel_fd, POLLIN, 0}, {peer->sock, 0, 0}};

	return poll(p, 2, 0) > 0 ? skf_fail(e, SKF_EUNAVAILABLE, "cancelled") : 0;
}

void image_region_done(struct image_region *r)
{
	if (r->own)
		skf_closep(&r->fd);
}

void image_src_free(struct image_src *x)
{
	if (!x)
		return;
	if (x->own)
		skf_closep(&x->fd);
	skf_arena_done(&x->a);
	free(x->v);
	free(x);
}

/* --- the table --- */
static size_t hash(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ull;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3ull;
	return (size_t)h;
}

static struct item *slot(struct item *v, size_t cap, const char *name)
{
	size_t i = hash(name) & (cap - 1);

	while (v[i].name && strcmp(v[i].name, name) != 0)
		i = (i + 1) & (cap - 1);
	return &v[i];
}

static int grow(struct image_src *x, struct skf_err *e)
{
	size_t cap = x->cap ? x->cap * 2 : 64;
	struct item *v = calloc(cap, sizeof(*v));

	if (!v)
		return skf_fail(e, SKF_ENOMEM, "no memory for the names of the archive");
	for (size_t i = 0; i < x->cap; i++)
		if (x->v[i].name)
			*slot(v, cap, x->v[i].name) = x->v[i];
	free(x->v);
	x->v = v;
	x->cap = cap;
	return 0;
}

/* base/name without "." and "..", or NULL when it climbs out. */
static char *cleaned(struct skf_arena *a, const char *base, const char *name)
{
	char *out = skf_arena_alloc(a, strlen(base) + strlen(name) + 2), *p = out;
	const char *part[2] = {base, name};

	if (!out)
		return NULL;
	for (int i = 0; i < 2; i++)
		for (const char *s = part[i]; *s;) {
			size_t n = strcspn(s, "/");

			if (n == 2 && s[0] == '.' && s[1] == '.') {
				if (p == out)
					return NULL;
				while (p > out && *--p != '/')
					;
			} else if (n > 0 && !(n == 1 && s[0] == '.')) {
				if (p > out)
					*p++ = '/';
				memcpy(p, s, n);
				p += n;
			}
			s += n + (s[n] == '/');
		}
	*p = 0;
	return out;
}

static const char *link_target(struct image_src *x, const char *name, const struct skf_tar_entry *t)
{
	const char *slash = strrchr(name, '/');
	char *dir = t->type == '1' || !slash ? skf_arena_strdup(&x->a, "")
					     : skf_arena_dup(&x->a, name, (size_t)(slash - name));

	return dir && t->link[0] != '/' ? cleaned(&x->a, dir, t->link) : NULL;
}

static int on_entry(void *arg, const struct skf_tar_entry *t, struct skf_err *e)
{
	struct image_src *x = arg;
	struct item *i;
	char *name;

	if (t->type == '5')
		return SKF_TAR_SKIP;
	if (t->type > '2')
		return skf_fail(e, SKF_EINVALID,
				"the archive has '%.120s', which is neither file nor link; this is no "
				"archive of images",
				t->name);
	if (x->n >= SKF_MAX_ARCHIVE_ENTRIES)
		return skf_fail(e, SKF_ELIMIT,
				"the archive has more than %d entries; this is no archive of images",
				SKF_MAX_ARCHIVE_ENTRIES);
	name = cleaned(&x->a, "", t->name);
	if (!name || !*name || strlen(t->name) >= SKF_MAX_TAR_PATH)
		return skf_fail(
			e, SKF_EINVALID,
			"the archive has an entry named '%.120s', which is no name in an archive of images",
			t->name);
	if (x->n * 2 >= x->cap && grow(x, e) < 0)
		return -1;
	i = slot(x->v, x->cap, name);
	if (i->name)
		return skf_fail(e, SKF_ECORRUPT, "the archive has '%.120s' twice, which is ambiguous", name);
	*i = (struct item){.name = name, .off = x->base + t->offset, .size = t->size, .sparse = t->sparse};
	x->n++;
	if (t->type == '0')
		return SKF_TAR_SKIP;
	i->link = link_target(x, name, t);
	return i->link ? SKF_TAR_SKIP
		       : skf_fail(e, SKF_EINVALID,
				  "the archive has the link '%.120s' to '%.120s', which is outside of it",
				  name, t->link);
}

static int read_at(int fd, void *p, size_t n, uint64_t at, ssize_t *ret, struct skf_err *e)
{
	do
		*ret = pread(fd, p, n, (off_t)at);
	while (*ret < 0 && errno == EINTR);
	return *ret < 0 ? skf_fail_sys(e, -errno, "read the archive") : 0;
}

static int index_all(struct image_src *x, struct skf_tarscan *t, const struct image_peer *peer, uint64_t end,
		     uint8_t *buf, struct skf_err *e)
{
	ssize_t n;
	int r;

	while (t->state != SKF_TS_TAIL) {
		uint64_t skip = skf_tarscan_skippable(t);

		if (skip > 4096) { /* less is cheaper to read */
			if (skip > end - x->base - t->at)
				break;
			skf_tarscan_seek(t, skip);
		}
		/* headers stand alone between data: little is read at a time */
		if (image_check_cancel(peer, e) < 0 ||
		    read_at(x->fd, buf, 4096, x->base + t->at + t->fill, &n, e) < 0)
			return -1;
		if (n == 0)
			break;
		r = skf_tarscan_feed(t, buf, (size_t)n, e);
		if (r)
			return r < 0 ? -1
				     : skf_fail(e, SKF_EINVALID, "this is no archive of images: %s", t->why);
	}
	if (!skf_tarscan_complete(t))
		return skf_fail(e, SKF_ECORRUPT, "the archive is cut short after %llu bytes",
				(unsigned long long)t->at);
	return x->n ? 0 : skf_fail(e, SKF_EINVALID, "the archive is empty");
}

static int make_index(struct image_src *x, const struct image_peer *peer, struct skf_err *e)
{
	const struct skf_tarscan_sink sink = {NULL, on_entry, x};
	SKF_AUTO_FREE uint8_t *buf = malloc(4096);
	struct skf_tarscan t;
	struct stat st;
	int r;

	if (!buf)
		return skf_fail(e, SKF_ENOMEM, "no memory to read the archive");
	if (fstat(x->fd, &st) < 0)
		return skf_fail_sys(e, -errno, "look at the archive");
	skf_tarscan_init(&t, &sink);
	r = index_all(x, &t, peer, (uint64_t)st.st_size, buf, e);
	skf_tarscan_done(&t);
	return r;
}

/* --- opening --- */
static int to_fd(void *arg, const void *p, size_t n, struct skf_err *e)
{
	int r = skf_write_full(*(int *)arg, p, n);

	return r < 0 ? skf_fail_sys(e, r, "copy the archive to the store") : 0;
}

static int spool(struct image_src *x, const struct image_peer *peer, struct skf_store *s, struct skf_err *e)
{
	int fd = skf_openat(skf_store_fd(s), ".", O_RDWR | O_TMPFILE, 0600);

	if (fd < 0)
		return skf_fail_sys(e, fd, "make a temporary file in the store '%s'", skf_store_root(s));
	if (image_stream_read(peer, x->fd, to_fd, &fd, e) < 0) {
		skf_closep(&fd);
		return -1;
	}
	x->fd = fd;
	x->own = true;
	x->base = 0;
	return 0;
}

/* A plain tar in a file: its headers are read where they stand. */
static int in_place(struct image_src *x, const struct stat *st, bool *ret, struct skf_err *e)
{
	uint8_t head[8];
	off_t at = lseek(x->fd, 0, SEEK_CUR);
	ssize_t n;

	*ret = false;
	if (!S_ISREG(st->st_mode) || at < 0)
		return 0;
	if (read_at(x->fd, head, sizeof(head), (uint64_t)at, &n, e) < 0)
		return -1;
	if (n == 0)
		return skf_fail(e, SKF_EINVALID, "the archive is empty");
	x->base = (uint64_t)at;
	*ret = !image_is_filtered(head, (size_t)n) && skf_compression_of(head, (size_t)n) == SKF_COMP_NONE;
	return 0;
}

int image_src_open(const struct image_peer *peer, struct skf_store *s, int fd, struct image_src **ret,
		   struct skf_err *e)
{
	SKF_AUTO(image_src_freep) struct image_src *x = calloc(1, sizeof(*x));
	struct stat st;
	bool plain;

	if (!x)
		return skf_fail(e, SKF_ENOMEM, "no memory for an archive");
	x->a = (struct skf_arena)SKF_ARENA(SKF_MAX_ARENA_DOC);
	x->fd = fd;
	if (fstat(fd, &st) < 0)
		return skf_fail_sys(e, -errno, "look at the archive");
	x->dir = S_ISDIR(st.st_mode);
	if (!x->dir) {
		if (in_place(x, &st, &plain, e) < 0 || (!plain && spool(x, peer, s, e) < 0) ||
		    make_index(x, peer, e) < 0)
			return -1;
	}
	*ret = SKF_TAKE(x);
	return 0;
}

/* --- finding --- */
static int find_in_dir(struct image_src *x, const char *name, struct image_region *ret, struct skf_err *e)
{
	int fd = skf_path_open_nolinks(x->fd, name, O_RDONLY | O_NONBLOCK, 0);
	struct stat st;

	if (fd == -ENOENT || fd == -ENOTDIR)
		return 0;
	if (fd < 0)
		return skf_fail_sys(e, fd, "open '%.200s' of the image directory", name);
	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode)) {
		skf_closep(&fd);
		return skf_fail(e, SKF_EINVALID, "'%.200s' of the image directory is no regular file", name);
	}
	*ret = (struct image_region){fd, true, 0, (uint64_t)st.st_size};
	return 1;
}

int image_src_find(struct image_src *x, const char *name, struct image_region *ret, struct skf_err *e)
{
	const char *key = cleaned(&x->a, "", name);

	if (!key || !*key || strlen(key) >= SKF_MAX_TAR_PATH)
		return skf_fail(e, SKF_EINVALID, "'%.120s' is no name in an archive of images", name);
	if (x->dir)
		return find_in_dir(x, key, ret, e);
	for (int i = 0; i < SKF_MAX_SYMLINK_DEPTH; i++) {
		const struct item *t = slot(x->v, x->cap, key);

		if (!t->name)
			return 0;
		if (t->sparse)
			return skf_fail(e, SKF_EUNSUPPORTED, "'%.120s' of the archive is a sparse file",
					key);
		if (!t->link) {
			*ret = (struct image_region){x->fd, false, t->off, t->size};
			return 1;
		}
		key = t->link;
	}
	return skf_fail(e, SKF_EINVALID, "'%.120s' of the archive is a link in a circle", name);
}

int image_region_read(const struct image_peer *peer, const struct image_region *r,
		      int (*write)(void *arg, const void *p, size_t n, struct skf_err *e), void *arg,
		      struct skf_err *e)
{
	SKF_AUTO_FREE uint8_t *buf = malloc(CHUNK);

	if (!buf)
		return skf_fail(e, SKF_ENOMEM, "no memory to read the archive");
	for (uint64_t at = 0; at < r->size;) {
		uint64_t left = r->size - at;
		ssize_t n;

		if (image_check_cancel(peer, e) < 0 ||
		    read_at(r->fd, buf, left < CHUNK ? (size_t)left : CHUNK, r->off + at, &n, e) < 0)
			return -1;
		if (n == 0)
			return skf_fail(e, SKF_ECORRUPT, "the archive is cut short");
		if (write(arg, buf, (size_t)n, e) < 0)
			return -1;
		at += (uint64_t)n;
	}
	return 0;
}

static int to_buf(void *arg, const void *p, size_t n, struct skf_err *e)
{
	struct skf_buf *b = arg;

	skf_buf_put(b, p, n);
	return b->err ? skf_fail_sys(e, b->err, "read the archive") : 0;
}

int image_src_small(struct image_src *x, const char *name, size_t max, struct skf_buf *b, struct skf_err *e)
{
	const struct image_peer quiet = {-1, -1, NULL, NULL};
	SKF_AUTO(image_region_done) struct image_region r = {-EBADF, false, 0, 0};
	int found = image_src_find(x, name, &r, e);

	if (found <= 0)
		return found;
	if (r.size > max)
		return skf_fail(e, SKF_ELIMIT, "'%.120s' has %llu bytes, at most %zu are allowed", name,
				(unsigned long long)r.size, max);
	return image_region_read(&quiet, &r, to_buf, b, e) < 0 ? skf_ctx(e, "'%.120s'", name) : 1;
}
