/* store/pack_tree.c -- tars from directory trees: one directory as a layer, or several as overlay merges
 * them (pack.h).
 *
 * One walk for both: a directory is a list of directories, top first. Of each name the topmost one counts; a
 * directory goes on down to the first that is opaque, or to what is no directory. As a layer (one directory)
 * whiteouts and opaque marks are written as image-spec has them; merged they only hide. Names stand in byte
 * order, a directory before its content, so that the same trees give the same bytes. Invariants: 1. a name
 * is opened by its directory's fd, as a single component, never followed, and looked at again after it was
 * opened: the tree may belong to a running container; 2. an entry has exactly the size that its header says.
 * Memory: one table of inodes with several names, and the names of the directories on the path. Blocks on
 * the disk. */
#include "base/arena.h"
#include "base/fd.h"
#include "store/unpack_int.h"
#include <archive.h>
#include <archive_entry.h>
#include <endian.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define DATA_BYTES (256u << 10)

struct link {
	uint64_t dev, ino;
	const char *path;
};
struct tree {
	const struct skf_pack_sink *sink;
	struct skf_err *e;
	bool merged;
	const char *const *stubs;
	const struct skf_idmaps *ids; /* of the first directory's files; NULL: as they are */
	bool upper; /* the first directory of where the walk is belongs to the first of all */
	struct archive *ar;
	struct archive_entry *ae;
	struct skf_buf path;
	struct skf_arena a; /* of links' paths */
	struct link *links; /* open addressing */
	size_t n_links, cap_links;
	char *data, *list;
};
struct name {
	char *s;
	uint32_t at; /* which directory */
};
struct names {
	struct skf_arena a;
	struct name *v;
	size_t n, cap;
	uint32_t at;
};

static void names_done(struct names *n)
{
	skf_arena_done(&n->a);
	free(n->v);
}

static const char *shown(const struct tree *t)
{
	return t->path.len ? t->path.p : "/";
}

static ssize_t on_write(struct archive *ar, void *arg, const void *p, size_t n)
{
	struct tree *t = arg;

	if (t->sink->write(t->sink->arg, p, n, t->e) == 0)
		return (ssize_t)n;
	archive_set_error(ar, EIO, "sink");
	return -1;
}

/* The sink's own error is the one to tell. */
static int ar_fail(struct tree *t, const char *what)
{
	const char *s = archive_error_string(t->ar);

	if (t->e->kind != SKF_OK)
		return -1;
	return skf_fail(t->e, archive_errno(t->ar) == ENOMEM ? SKF_ENOMEM : SKF_EINVALID,
			"%s of '%.200s': %s", what, shown(t), s ? s : "cannot be written");
}

/* --- hard links --- */

static struct link *slot(struct link *v, size_t cap, uint64_t dev, uint64_t ino)
{
	size_t i = (size_t)((ino * 0x9e3779b97f4a7c15ull) ^ dev) & (cap - 1);

	while (v[i].path && (v[i].ino != ino || v[i].dev != dev))
		i = (i + 1) & (cap - 1);
	return &v[i];
}

static int grow_links(struct tree *t)
{
	size_t cap = t->cap_links ? t->cap_links * 2 : 256;
	struct link *v = calloc(cap, sizeof(*v));

	if (!v)
		return skf_fail(t->e, SKF_ENOMEM, "no memory for hard links");
	for (size_t i = 0; i < t->cap_links; i++)
		if (t->links[i].path)
			*slot(v, cap, t->links[i].dev, t->links[i].ino) = t->links[i];
	free(t->links);
	t->links = v;
	t->cap_links = cap;
	return 0;
}

/* *ret: the path under which the inode was written before, or NULL the first time. */
static int seen_before(struct tree *t, const struct stat *st, const char **ret)
{
	struct link *l;

	*ret = NULL;
	if (st->st_nlink < 2)
		return 0;
	if (t->n_links * 2 >= t->cap_links && grow_links(t) < 0)
		return -1;
	l = slot(t->links, t->cap_links, st->st_dev, st->st_ino);
	if (l->path) {
		*ret = l->path;
		return 0;
	}
	*l = (struct link){st->st_dev, st->st_ino, skf_arena_strdup(&t->a, shown(t))};
	t->n_links++;
	return l->path ? 0 : skf_fail(t->e, SKF_ENOMEM, "no memory for hard links");
}

/* --- attributes --- */

static int xattr_is(int fd, const char *name, const char *want)
{
	char v[8];
	ssize_t n = fgetxattr(fd, name, v, sizeof(v));

	return n < 0  ? errno == ERANGE
	       : want ? n == (ssize_t)strlen(want) && memcmp(v, want, (size_t)n) == 0
		      : true;
}

static bool is_opaque(int fd)
{
	return xattr_is(fd, "trusted.overlay.opaque", "y") || xattr_is(fd, "user.overlay.opaque", "y");
}

static int check_overlay(struct tree *t, const char *name)
{
	static const char *const no[] = {"trusted.overlay.redirect", "trusted.overlay.metacopy",
					 "user.overlay.redirect", "user.overlay.metacopy"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(no); i++)
		if (skf_streq(name, no[i]))
			return skf_fail(t->e, SKF_EUNSUPPORTED,
					"'%.200s' has the overlay attribute '%s', which a layer cannot say: "
					"was it mounted with redirect_dir "
					"or metacopy?",
					shown(t), name);
	return 0;
}

/* File capabilities that a user namespace gave name its root (revision 3): in a layer they are anybody's
 * root's (revision 2). */
static ssize_t plain_caps(char *p, ssize_t n)
{
	struct vfs_ns_cap_data c;

	if (n != (ssize_t)sizeof(c))
		return n;
	memcpy(&c, p, sizeof(c));
	c.magic_etc = htole32((le32toh(c.magic_etc) & ~VFS_CAP_REVISION_MASK) | VFS_CAP_REVISION_2);
	memcpy(p, &c, XATTR_CAPS_SZ_2);
	return XATTR_CAPS_SZ_2;
}

static int add_xattrs(struct tree *t, int fd)
{
	ssize_t len = flistxattr(fd, t->list, SKF_MAX_XATTR_BYTES), n;

	if (len < 0 && errno == ENOTSUP)
		return 0;
	if (len < 0)
		return skf_fail_sys(t->e, -errno, "list extended attributes of '%.200s'", shown(t));
	for (char *p = t->list; p < t->list + len; p += strlen(p) + 1) {
		if (check_overlay(t, p) < 0)
			return -1;
		if (!skf_xattr_kept(p))
			continue;
		n = fgetxattr(fd, p, t->data, SKF_MAX_XATTR_BYTES);
		if (n < 0 && errno == ENODATA)
			continue; /* gone meanwhile */
		if (n < 0)
			return skf_fail_sys(t->e, -errno, "read the extended attribute '%.80s' of '%.200s'",
					    p, shown(t));
		if (t->ids && t->upper && strcmp(p, "security.capability") == 0)
			n = plain_caps(t->data, n);
		archive_entry_xattr_add_entry(t->ae, p, t->data, (size_t)n);
	}
	return 0;
}

/* --- entries --- */

static void begin_entry(struct tree *t, const struct stat *st, const char *path)
{
	archive_entry_clear(t->ae);
	archive_entry_set_pathname(t->ae, path);
	archive_entry_set_mode(t->ae, st->st_mode);
	archive_entry_set_uid(t->ae,
			      t->ids && t->upper ? skf_idmap_owner(&t->ids->uids, st->st_uid) : st->st_uid);
	archive_entry_set_gid(t->ae,
			      t->ids && t->upper ? skf_idmap_owner(&t->ids->gids, st->st_gid) : st->st_gid);
	archive_entry_set_mtime(t->ae, st->st_mtim.tv_sec, st->st_mtim.tv_nsec);
	archive_entry_set_size(t->ae, S_ISREG(st->st_mode) ? st->st_size : 0);
	if (S_ISCHR(st->st_mode) || S_ISBLK(st->st_mode)) {
		archive_entry_set_rdevmajor(t->ae, major(st->st_rdev));
		archive_entry_set_rdevminor(t->ae, minor(st->st_rdev));
	}
}

/* A warning: a name that is not ASCII is written as it is, because in the "C" locale it cannot be converted.
 */
static int put_header(struct tree *t)
{
	int r = archive_write_header(t->ar, t->ae);

	return r == ARCHIVE_OK || r == ARCHIVE_WARN ? 0 : ar_fail(t, "header");
}

static int put_data(struct tree *t, const void *p, size_t n)
{
	return archive_write_data(t->ar, p, n) == (ssize_t)n ? 0 : ar_fail(t, "data");
}

static int copy_file(struct tree *t, int fd, uint64_t size)
{
	while (size > 0) {
		size_t want = size < DATA_BYTES ? (size_t)size : DATA_BYTES;
		ssize_t n = read(fd, t->data, want);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return skf_fail_sys(t->e, -errno, "read '%.200s'", shown(t));
		if (n == 0) { /* became shorter meanwhile */
			memset(t->data, 0, want);
			n = (ssize_t)want;
		}
		if (put_data(t, t->data, (size_t)n) < 0)
			return -1;
		size -= (uint64_t)n;
	}
	return 0;
}

/* An empty file that is only there for something to be mounted on. */
static bool is_stub(const struct tree *t, const struct stat *st)
{
	for (const char *const *s = t->stubs; s && *s; s++)
		if (st->st_size == 0 && strcmp(*s, shown(t)) == 0)
			return true;
	return false;
}

static int put_file(struct tree *t, int dir, const char *name)
{
	SKF_AUTO_FD int fd = skf_openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	const char *first;
	struct stat st;

	if (fd == -ENOENT || fd == -ELOOP || fd == -ENXIO)
		return 0; /* replaced meanwhile */
	if (fd < 0 || fstat(fd, &st) < 0)
		return skf_fail_sys(t->e, fd < 0 ? fd : -errno, "open '%.200s'", shown(t));
	if (!S_ISREG(st.st_mode) || is_stub(t, &st))
		return 0;
	if (seen_before(t, &st, &first) < 0)
		return -1;
	begin_entry(t, &st, shown(t));
	if (first) {
		archive_entry_set_hardlink(t->ae, first);
		archive_entry_set_size(t->ae, 0);
		return put_header(t);
	}
	if (add_xattrs(t, fd) < 0 || put_header(t) < 0)
		return -1;
	return copy_file(t, fd, (uint64_t)st.st_size);
}

static int put_other(struct tree *t, int dir, const char *name, const struct stat *st)
{
	char target[SKF_MAX_TAR_PATH + 1];
	const char *first;

	if (seen_before(t, st, &first) < 0)
		return -1;
	begin_entry(t, st, shown(t));
	if (first)
		archive_entry_set_hardlink(t->ae, first);
	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

		if (n < 0 && (errno == ENOENT || errno == EINVAL))
			return 0; /* replaced meanwhile */
		if (n < 0)
			return skf_fail_sys(t->e, -errno, "read the link '%.200s'", shown(t));
		target[n] = 0;
		if (!first)
			archive_entry_set_symlink(t->ae, target);
	}
	return put_header(t);
}

static int put_mark(struct tree *t, const char *prefix, const char *name)
{
	struct stat none = {.st_mode = S_IFREG};
	size_t at = t->path.len;
	int r;

	skf_buf_fmt(&t->path, "%s%s%s", at ? "/" : "", prefix, name);
	begin_entry(t, &none, shown(t));
	archive_entry_set_uid(t->ae, 0);
	archive_entry_set_gid(t->ae, 0);
	r = t->path.err ? skf_fail(t->e, SKF_ELIMIT, "a path below '%.200s' is too long", shown(t))
			: put_header(t);
	t->path.len = at;
	t->path.p[at] = 0;
	return r;
}

static int put_dir(struct tree *t, int fd)
{
	struct stat st;
	bool root = t->path.len == 0;

	if (fstat(fd, &st) < 0)
		return skf_fail_sys(t->e, -errno, "look at '%.200s'", shown(t));
	if (!root)
		skf_buf_chr(&t->path, '/');
	begin_entry(t, &st, root ? "./" : t->path.p);
	if (!root)
		t->path.p[--t->path.len] = 0;
	if (t->path.err)
		return skf_fail(t->e, SKF_ELIMIT, "the path '%.200s' is too long", shown(t));
	if (add_xattrs(t, fd) < 0)
		return -1;
	if ((!root || !t->merged) && put_header(t) < 0)
		return -1;
	return !t->merged && is_opaque(fd) ? put_mark(t, ".wh..wh..opq", "") : 0;
}

/* --- the walk --- */

static int add_name(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	struct names *n = arg;

	(void)dirfd;
	if (n->n == n->cap) {
		size_t cap = n->cap ? n->cap * 2 : 64;
		struct name *v = reallocarray(n->v, cap, sizeof(*v));

		if (!v)
			return skf_fail(e, SKF_ENOMEM, "no memory for the names of a directory");
		n->v = v;
		n->cap = cap;
	}
	n->v[n->n] = (struct name){skf_arena_strdup(&n->a, name), n->at};
	return n->v[n->n++].s ? 0 : skf_fail(e, SKF_ENOMEM, "no memory for the names of a directory");
}

static int by_name(const void *a, const void *b)
{
	const struct name *x = a, *y = b;
	int r = strcmp(x->s, y->s);

	return r ? r : x->at < y->at ? -1 : x->at > y->at;
}

static int walk(struct tree *t, const int *dirs, uint32_t n, unsigned depth);

static void close_all(int *v, uint32_t n)
{
	while (n > 0)
		skf_closep(&v[--n]);
	free(v);
}

/* The directories that name means, from the topmost one down. */
static int walk_below(struct tree *t, const int *dirs, const struct name *v, size_t n, unsigned depth)
{
	int *sub = calloc(n, sizeof(*sub)), r = 0;
	uint32_t k = 0;

	if (!sub)
		return skf_fail(t->e, SKF_ENOMEM, "no memory for '%.200s'", shown(t));
	for (size_t i = 0; i < n && r == 0; i++) {
		int fd = skf_openat(dirs[v[i].at], v[i].s, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

		if (fd == -ENOTDIR || fd == -ELOOP || fd == -ENOENT)
			break; /* a file, a link, a whiteout: what is below it is hidden */
		if (fd < 0) {
			r = skf_fail_sys(t->e, fd, "open the directory '%.200s'", shown(t));
			break;
		}
		sub[k++] = fd;
		if (is_opaque(fd))
			break;
	}
	if (r == 0 && k)
		r = walk(t, sub, k, depth + 1);
	close_all(sub, k);
	return r;
}

static int walk_name(struct tree *t, const int *dirs, const struct name *v, size_t n, unsigned depth)
{
	int dir = dirs[v->at], r;
	bool upper = t->upper;
	struct stat st;

	if (fstatat(dir, v->s, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : skf_fail_sys(t->e, -errno, "look at '%.200s'", shown(t));
	t->upper = upper && v->at == 0;
	if (S_ISDIR(st.st_mode))
		r = walk_below(t, dirs, v, n, depth);
	else if (S_ISREG(st.st_mode))
		r = put_file(t, dir, v->s);
	else
		r = S_ISSOCK(st.st_mode) ? 0 : put_other(t, dir, v->s, &st);
	t->upper = upper;
	return r;
}

static bool is_whiteout(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode) &&
	       st.st_rdev == makedev(0, 0);
}

static int walk_group(struct tree *t, const int *dirs, const struct name *v, size_t n, unsigned depth)
{
	size_t at = t->path.len;
	int r;

	if (is_whiteout(dirs[v->at], v->s))
		return t->merged ? 0 : put_mark(t, ".wh.", v->s);
	skf_buf_fmt(&t->path, "%s%s", at ? "/" : "", v->s);
	if (t->path.err)
		return skf_fail(t->e, SKF_ELIMIT, "a path below '%.200s' is too long", v->s);
	r = walk_name(t, dirs, v, n, depth);
	t->path.len = at;
	t->path.p[at] = 0;
	return r;
}

static int walk(struct tree *t, const int *dirs, uint32_t n, unsigned depth)
{
	SKF_AUTO(names_done)
	struct names x = {.a = SKF_ARENA(SIZE_MAX / 2)}; /* bounded by the inodes of the disk */
	size_t k;

	if (depth > SKF_MAX_TAR_DEPTH)
		return skf_fail(t->e, SKF_ELIMIT, "'%.200s' lies more than %d directories deep", shown(t),
				SKF_MAX_TAR_DEPTH);
	if (put_dir(t, dirs[0]) < 0)
		return -1;
	for (x.at = 0; x.at < n; x.at++)
		if (skf_store_each(dirs[x.at], ".", add_name, &x, t->e) < 0)
			return -1;
	if (x.n > 1)
		qsort(x.v, x.n, sizeof(*x.v), by_name);
	for (size_t i = 0; i < x.n; i += k) {
		for (k = 1; i + k < x.n && strcmp(x.v[i].s, x.v[i + k].s) == 0;)
			k++;
		if (walk_group(t, dirs, &x.v[i], k, depth) < 0)
			return -1;
	}
	return 0;
}

static int open_writer(struct tree *t)
{
	t->ar = archive_write_new();
	t->ae = archive_entry_new();
	t->data = malloc(DATA_BYTES);
	t->list = malloc(SKF_MAX_XATTR_BYTES);
	if (!t->ar || !t->ae || !t->data || !t->list ||
	    !skf_buf_reserve(&t->path, 1)) /* path.p is never NULL from here on */
		return skf_fail(t->e, SKF_ENOMEM, "no memory to write a tar");
	if (archive_write_set_format_pax_restricted(t->ar) != ARCHIVE_OK ||
	    archive_write_set_format_option(t->ar, "pax", "xattrheader", "SCHILY") != ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(t->ar, 0) != ARCHIVE_OK ||
	    archive_write_open(t->ar, t, NULL, on_write, NULL) != ARCHIVE_OK)
		return ar_fail(t, "start");
	return 0;
}

/* The callers' may be O_PATH. */
static int reopen(struct tree *t, const int *dirs, size_t n, int *own, uint32_t *k)
{
	for (size_t i = 0; i < n; i++) {
		int fd = skf_openat(dirs[i], ".", O_RDONLY | O_DIRECTORY, 0);

		if (fd < 0)
			return skf_fail_sys(t->e, fd, "open the root of a layer");
		own[(*k)++] = fd;
		if (is_opaque(fd))
			break;
	}
	return 0;
}

static int run(struct tree *t, const int *dirs, size_t n)
{
	int *own = calloc(n, sizeof(*own)), r;
	uint32_t k = 0;

	if (!own)
		return skf_fail(t->e, SKF_ENOMEM, "no memory for %zu layers", n);
	r = reopen(t, dirs, n, own, &k) < 0 || open_writer(t) < 0 || walk(t, own, k, 0) < 0 ? -1 : 0;
	close_all(own, k);
	if (r < 0)
		return -1;
	return archive_write_close(t->ar) == ARCHIVE_OK ? 0 : ar_fail(t, "end");
}

static int pack(const int *dirs, size_t n, bool merged, const char *const *stubs,
		const struct skf_idmaps *ids, const struct skf_pack_sink *sink, struct skf_err *e)
{
	struct tree t = {.sink = sink,
			 .e = e,
			 .merged = merged,
			 .stubs = stubs,
			 .ids = ids,
			 .upper = true,
			 .path = SKF_BUF(SKF_MAX_TAR_PATH * 2),
			 .a = SKF_ARENA(SIZE_MAX / 2)};
	locale_t c = newlocale(LC_ALL_MASK, "C", (locale_t)0), old = (locale_t)0;
	int r;

	skf_err_clear(e);
	if (c == (locale_t)0)
		return skf_fail(e, SKF_ENOMEM, "no memory for the C locale");
	old = uselocale(c);
	r = run(&t, dirs, n);
	if (t.ar && r < 0)
		archive_write_fail(t.ar); /* no end mark after a failure */
	archive_entry_free(t.ae);
	archive_write_free(t.ar);
	uselocale(old);
	freelocale(c);
	skf_buf_done(&t.path);
	skf_arena_done(&t.a);
	free(t.links);
	free(t.data);
	free(t.list);
	return r;
}

int skf_pack_tree(int dirfd, const char *const *stubs, const struct skf_idmaps *ids,
		  const struct skf_pack_sink *sink, struct skf_err *e)
{
	return pack(&dirfd, 1, false, stubs, ids, sink, e);
}

int skf_pack_merged(const int *dirfds, size_t n, const char *const *stubs, const struct skf_idmaps *ids,
		    const struct skf_pack_sink *sink, struct skf_err *e)
{
	return pack(dirfds, n, true, stubs, ids, sink, e);
}
