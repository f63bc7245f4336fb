/* store/unpack_list.c -- the listing of a layer: one walk over tree/ in a fixed order, one line per entry.
 *
 *     <path> <type> <mode> <uid> <gid> <size> <digest> <target> <xattrs>
 * path begins with '/', bytes outside of 0x21..0x7e and '\' are written \xHH; type is one of d f l c b p;
 * mode is four octal digits; size is of files only; digest is "sha256:<hex>" of the content,
 * "sparse:<hex>" for a file with holes: sha256 over its 4 KiB pages that are not all zero, each after its
 * offset as 8 little-endian bytes, or "crc64:<hex>" where the tar record vouches for the content: record and
 * files make the tar whose SHA-256 is the diff-id, and the checksum only tells which file it was; target is
 * a link's target or a device's major:minor; xattrs is the sha256 over the kept attributes sorted by name
 * (name, NUL, length as 8 little-endian bytes, value). What does not apply is '-'. A directory stands before
 * its content; the names in a directory are in byte order. The sha256 of the listing is the layer's tree
 * digest.
 *
 * Sealing and verifying are the same walk: sealing takes the digests that were computed while writing and
 * finishes directories on its way (parents first: the times of a directory change only when entries come or
 * go); verifying is unpack_verify.c. Blocks on the disk. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/fd.h"
#include "store/unpack_list.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define FLUSH_AT (64u << 10)
/* SKF_MAX_TAR_DEPTH names of 255 bytes, each written as 4, and a target */
#define LINE_MAX_BYTES (2u << 20)

void skf_list_done(struct skf_list_walk *w)
{
	skf_hash_done(&w->sum);
	skf_buf_done(&w->path);
	skf_buf_done(&w->line);
	skf_buf_done(&w->out);
	free(w->want_line);
	if (w->want)
		fclose(w->want); /* only read from */
}

static void put_escaped(struct skf_buf *b, const char *s)
{
	for (const unsigned char *p = (const unsigned char *)s; *p; p++) {
		if (*p > 0x20 && *p < 0x7f && *p != '\\')
			skf_buf_chr(b, (char)*p);
		else
			skf_buf_fmt(b, "\\x%02x", *p);
	}
}

static const char *shown(const struct skf_list_walk *w)
{
	return w->path.len ? skf_buf_cstr(&w->path) : "/";
}

static int damaged(struct skf_list_walk *w, const char *why, struct skf_err *e)
{
	return skf_fail(e, SKF_ECORRUPT, "layer '%s': '%.200s' %s; pull the image again", w->what, shown(w),
			why);
}

int skf_list_flush(struct skf_list_walk *w, struct skf_err *e)
{
	int r = w->out.err;

	if (r == 0 && skf_hash_add(&w->sum, w->out.p, w->out.len, e) < 0)
		return -1;
	if (r == 0 && w->t)
		r = skf_write_full(w->out_fd, w->out.p, w->out.len);
	skf_buf_clear(&w->out);
	return r < 0 ? skf_tree_fail(e, r, "write the listing at", shown(w)) : 0;
}

/* The stored line that the next entry must equal; a listing that is shorter than the tree gives "". */
static int next_wanted(struct skf_list_walk *w, struct skf_err *e)
{
	ssize_t n;

	if (!w->want)
		return 0;
	errno = 0;
	n = getline(&w->want_line, &w->want_cap, w->want);
	if (n < 0 && ferror(w->want))
		return skf_fail_sys(e, errno ? -errno : -EIO, "read the listing of the layer '%s'", w->what);
	if (n < 0)
		return damaged(w, "is not in the layer's listing", e);
	w->want_sparse = strstr(w->want_line, " sparse:") != NULL;
	w->want_crc = strstr(w->want_line, " crc64:"); /* names have no blanks here */
	return 0;
}

static int emit(struct skf_list_walk *w, struct skf_err *e)
{
	if (w->line.err)
		return skf_tree_fail(e, w->line.err, "list", shown(w));
	if (w->want &&
	    (strlen(w->want_line) != w->line.len || memcmp(w->want_line, w->line.p, w->line.len) != 0)) {
		size_t n = strlen(shown(w));

		/* A missing entry shows as another path in its place. */
		if (strncmp(w->want_line, shown(w), n) != 0 || w->want_line[n] != ' ')
			return damaged(w, "stands where the listing has another entry", e);
		return damaged(w, "differs from the layer's listing", e);
	}
	skf_buf_put(&w->out, w->line.p, w->line.len);
	return w->out.len >= FLUSH_AT ? skf_list_flush(w, e) : 0;
}

/* Everything up to the size. */
static void begin_line(struct skf_list_walk *w, char type, const struct stat *st)
{
	skf_buf_clear(&w->line);
	skf_buf_str(&w->line, shown(w));
	skf_buf_fmt(&w->line, " %c %04o %u %u ", type, st->st_mode & 07777, st->st_uid, st->st_gid);
	if (type == 'f')
		skf_buf_fmt(&w->line, "%llu ", (unsigned long long)st->st_size);
	else
		skf_buf_str(&w->line, "- ");
}

static int put_xattrs(struct skf_list_walk *w, int fd, struct skf_err *e)
{
	char hex[65];
	uint8_t raw[32];
	int r = fd < 0 ? 0 : skf_xattr_digest(fd, w->hash, raw, e);

	if (r < 0)
		return skf_ctx(e, "'%.200s'", shown(w));
	if (r > 0)
		skf_hash_hex(raw, hex);
	skf_buf_fmt(&w->line, "%s\n", r > 0 ? hex : "-");
	return 0;
}

/* --- regular files --- */

struct file_digest {
	enum { DIGEST_SHA, DIGEST_SPARSE, DIGEST_CRC } kind;
	uint8_t sha[32];
	uint64_t crc;
};

static int hash_file(struct skf_list_walk *w, int fd, const struct stat *st, struct file_digest *d,
		     struct skf_err *e)
{
	static const size_t chunk = 256u << 10;
	SKF_AUTO_FREE char *buf = NULL;
	ssize_t n;

	if (d->kind == DIGEST_SPARSE)
		return skf_sparse_digest(fd, (uint64_t)st->st_size, w->hash, d->sha, e);
	buf = malloc(chunk);
	if (!buf)
		return skf_fail(e, SKF_ENOMEM, "no memory to read '%.200s'", shown(w));
	while ((n = read(fd, buf, chunk)) != 0) {
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return skf_fail_sys(e, -errno, "read '%.200s' of the layer '%s'", shown(w), w->what);
		if (d->kind == DIGEST_CRC)
			d->crc = skf_crc64(d->crc, buf, (size_t)n);
		else if (skf_hash_add(w->hash, buf, (size_t)n, e) < 0)
			return -1;
	}
	return d->kind == DIGEST_CRC ? 0 : skf_hash_end_raw(w->hash, d->sha, e);
}

static int open_file(struct skf_list_walk *w, int dir, const char *name, int *ret_fd, struct skf_err *e)
{
	int fd = skf_openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);

	if (fd < 0)
		return skf_fail_sys(e, fd, "open '%.200s'", shown(w));
	*ret_fd = fd;
	return 0;
}

static void count_file(struct skf_list_walk *w, const struct stat *st, struct skf_inode *i)
{
	if (st->st_nlink > 1 && i->flags & SKF_INO_SEEN)
		return;
	i->flags |= SKF_INO_SEEN;
	w->size += (uint64_t)st->st_size;
	w->inodes++;
}

/* What unpacking has noted of the file; true: it has to be read for it. */
static bool digest_of(struct skf_list_walk *w, const struct stat *st, struct skf_inode *i,
		      struct file_digest *d)
{
	count_file(w, st, i);
	if (i->flags & SKF_INO_CRC && !w->t->need_sha) {
		d->kind = DIGEST_CRC;
		d->crc = i->crc;
		return false;
	}
	d->kind = i->flags & SKF_INO_SPARSE ? DIGEST_SPARSE : DIGEST_SHA;
	memcpy(d->sha, i->sha, sizeof(d->sha));
	return i->flags & SKF_INO_CRC;
}

/* known: the listing's own, because the data were proved otherwise. */
static void put_digest(struct skf_list_walk *w, const struct file_digest *d, bool known)
{
	char hex[65];

	if (known) {
		skf_buf_put(&w->line, w->want_crc + 1, strcspn(w->want_crc + 1, " \n"));
	} else if (d->kind == DIGEST_CRC) {
		skf_buf_fmt(&w->line, "crc64:%016llx", (unsigned long long)d->crc);
	} else {
		skf_hash_hex(d->sha, hex);
		skf_buf_fmt(&w->line, "%s:%s", d->kind == DIGEST_SPARSE ? "sparse" : "sha256", hex);
	}
	w->any_crc |= d->kind == DIGEST_CRC;
	skf_buf_str(&w->line, " - ");
}

static int list_file(struct skf_list_walk *w, int dir, const char *name, const struct stat *st,
		     struct skf_err *e)
{
	struct skf_inode *i = w->t ? skf_inodes_find(&w->t->inodes, st->st_ino) : NULL;
	struct file_digest d = {w->want_sparse ? DIGEST_SPARSE : w->want_crc ? DIGEST_CRC : DIGEST_SHA};
	bool read = !i, known = w->proved && d.kind == DIGEST_CRC;
	SKF_AUTO_FD int fd = -EBADF;

	if (w->t && (!i || !(i->flags & SKF_INO_FILE)))
		return skf_fail(e, SKF_EBUG, "'%.200s' is in the layer but was not made from its tar",
				shown(w));
	if (i)
		read = digest_of(w, st, i, &d);
	if ((read || i->flags & SKF_INO_XATTR) && open_file(w, dir, name, &fd, e) < 0)
		return -1;
	if (read && !known && hash_file(w, fd, st, &d, e) < 0)
		return -1;
	if (read && i) { /* the next name of this inode has it */
		memcpy(i->sha, d.sha, sizeof(d.sha));
		i->flags &= ~(uint32_t)SKF_INO_CRC;
	}
	begin_line(w, 'f', st);
	put_digest(w, &d, known);
	return put_xattrs(w, fd, e) < 0 ? -1 : emit(w, e);
}

static int list_other(struct skf_list_walk *w, int dir, const char *name, const struct stat *st,
		      struct skf_err *e)
{
	char type = S_ISLNK(st->st_mode)   ? 'l'
		    : S_ISCHR(st->st_mode) ? 'c'
		    : S_ISBLK(st->st_mode) ? 'b'
					   : 'p';
	char target[SKF_MAX_TAR_PATH + 1];

	if (!S_ISLNK(st->st_mode) && !S_ISCHR(st->st_mode) && !S_ISBLK(st->st_mode) &&
	    !S_ISFIFO(st->st_mode))
		return damaged(w, "is of a type that a layer cannot have", e);
	if (w->t)
		w->inodes++; /* hard links to these are rare and counted once each: the figure is for people
			      */
	begin_line(w, type, st);
	skf_buf_str(&w->line, "- ");
	if (type == 'l') {
		ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

		if (n < 0)
			return skf_fail_sys(e, -errno, "read the link '%.200s'", shown(w));
		target[n] = 0;
		put_escaped(&w->line, target);
	} else if (type == 'p') {
		skf_buf_chr(&w->line, '-');
	} else {
		skf_buf_fmt(&w->line, "%u:%u", major(st->st_rdev), minor(st->st_rdev));
	}
	skf_buf_str(&w->line, " -\n");
	return emit(w, e);
}

/* --- directories --- */

struct names {
	struct skf_arena a;
	struct skf_strv v;
};

static void names_done(struct names *n)
{
	skf_arena_done(&n->a);
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int add_name(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	struct names *n = arg;

	(void)dirfd;
	return skf_strv_add(&n->a, &n->v, name) < 0
		       ? skf_fail(e, SKF_ENOMEM, "no memory for the names of a directory")
		       : 0;
}

static int walk_entry(struct skf_list_walk *w, int dir, const char *name, unsigned depth, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	struct stat st;

	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return skf_fail_sys(e, -errno, "look at '%.200s'", shown(w));
	if (S_ISDIR(st.st_mode)) {
		fd = skf_openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (fd < 0)
			return skf_fail_sys(e, fd, "open the directory '%.200s'", shown(w));
		return skf_list_dir(w, fd, depth + 1, e);
	}
	if (next_wanted(w, e) < 0)
		return -1;
	return S_ISREG(st.st_mode) ? list_file(w, dir, name, &st, e) : list_other(w, dir, name, &st, e);
}

static int list_dir(struct skf_list_walk *w, int fd, struct skf_err *e)
{
	struct skf_inode *i = NULL;
	struct stat st;

	if (fstat(fd, &st) < 0)
		return skf_fail_sys(e, -errno, "look at '%.200s'", shown(w));
	if (w->t) {
		i = skf_inodes_find(&w->t->inodes, st.st_ino);
		if (!i || !(i->flags & SKF_INO_DIR))
			return skf_fail(e, SKF_EBUG,
					"directory '%.200s' is in the layer but was not made from its tar",
					shown(w));
		if (skf_tree_dir_finish(w->t, fd, i, shown(w), e) < 0)
			return -1;
		if (fstat(fd, &st) < 0)
			return skf_fail_sys(e, -errno, "look at '%.200s'", shown(w));
		w->inodes++;
	}
	if (next_wanted(w, e) < 0)
		return -1;
	begin_line(w, 'd', &st);
	skf_buf_str(&w->line, "- - ");
	return put_xattrs(w, !i || i->acl || i->flags & SKF_INO_XATTR ? fd : -1, e) < 0 ? -1 : emit(w, e);
}

int skf_list_dir(struct skf_list_walk *w, int fd, unsigned depth, struct skf_err *e)
{
	SKF_AUTO(names_done)
	struct names n = {.a = SKF_ARENA(SIZE_MAX / 2)}; /* bounded by SKF_MAX_LAYER_ENTRIES */
	size_t len = w->path.len;

	/* Links make deeper trees than any one name may be. */
	if (depth > SKF_MAX_TAR_DEPTH)
		return skf_fail(e, SKF_ELIMIT, "'%.200s' lies more than %d directories deep", shown(w),
				SKF_MAX_TAR_DEPTH);
	if (list_dir(w, fd, e) < 0 || skf_store_each(fd, ".", add_name, &n, e) < 0)
		return -1;
	if (n.v.n > 1)
		qsort(n.v.v, n.v.n, sizeof(*n.v.v), by_bytes);
	for (size_t i = 0; i < n.v.n; i++) {
		skf_buf_chr(&w->path, '/');
		put_escaped(&w->path, n.v.v[i]);
		if (w->path.err)
			return skf_tree_fail(e, w->path.err, "list", shown(w));
		if (walk_entry(w, fd, n.v.v[i], depth, e) < 0)
			return -1;
		w->path.p[len] = 0;
		w->path.len = len;
	}
	return 0;
}

int skf_list_init(struct skf_list_walk *w, struct skf_err *e)
{
	w->path = w->line = (struct skf_buf)SKF_BUF(LINE_MAX_BYTES);
	w->out = (struct skf_buf)SKF_BUF(LINE_MAX_BYTES * 2);
	return skf_hash_init(&w->sum, NULL, e);
}

int skf_tree_seal(struct skf_tree *t, int out_fd, struct skf_listing_result *ret, struct skf_err *e)
{
	SKF_AUTO(skf_list_done)
	struct skf_list_walk w = {.t = t, .hash = &t->hash, .out_fd = out_fd, .what = "new"};
	struct skf_digest tree;

	if (skf_list_init(&w, e) < 0 || skf_hash_reset(&t->hash, e) < 0 ||
	    skf_list_dir(&w, t->root, 0, e) < 0 || skf_list_flush(&w, e) < 0 ||
	    skf_hash_end(&w.sum, &tree, e) < 0)
		return -1;
	*ret = (struct skf_listing_result){tree, w.size, w.inodes, w.any_crc};
	return 0;
}
