/* store/pack_tree.c -- tars from directory trees: one directory as a layer, or several as overlay merges
 * them (pack.h).
 *
 * One walk for both: a directory is a list of directories, top first. Of each name the topmost one counts; a
 * directory goes on down to the first that is opaque, or to what is no directory. As a layer (one directory)
 * whiteouts and opaque marks are written as image-spec has them; merged they only hide. Names stand in byte
 * order, a directory before its content, so that the same trees give the same bytes. What an entry becomes
 * in the tar is pack_entry.c. Invariant: a name is opened by its directory's fd, as a single component,
 * never followed, and looked at again after it was opened: the tree may belong to a running container.
 * Memory: one table of inodes with several names, and the names of the directories on the path. Blocks on
 * the disk. */
#include "base/arena.h"
#include "base/fd.h"
#include "store/pack_tree.h"
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <locale.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

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

static ssize_t on_write(struct archive *ar, void *arg, const void *p, size_t n)
{
	struct skf_pack_tree *t = arg;

	if (t->sink->write(t->sink->arg, p, n, t->e) == 0)
		return (ssize_t)n;
	archive_set_error(ar, EIO, "sink");
	return -1;
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

static int walk(struct skf_pack_tree *t, const int *dirs, uint32_t n, unsigned depth);

static void close_all(int *v, uint32_t n)
{
	while (n > 0)
		skf_closep(&v[--n]);
	free(v);
}

/* The directories that name means, from the topmost one down. */
static int walk_below(struct skf_pack_tree *t, const int *dirs, const struct name *v, size_t n,
		      unsigned depth)
{
	int *sub = calloc(n, sizeof(*sub)), r = 0;
	uint32_t k = 0;

	if (!sub)
		return skf_fail(t->e, SKF_ENOMEM, "no memory for '%.200s'", skf_pack_shown(t));
	for (size_t i = 0; i < n && r == 0; i++) {
		int fd = skf_openat(dirs[v[i].at], v[i].s, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

		if (fd == -ENOTDIR || fd == -ELOOP || fd == -ENOENT)
			break; /* a file, a link, a whiteout: what is below it is hidden */
		if (fd < 0) {
			r = skf_fail_sys(t->e, fd, "open the directory '%.200s'", skf_pack_shown(t));
			break;
		}
		sub[k++] = fd;
		if (skf_pack_opaque(fd))
			break;
	}
	if (r == 0 && k)
		r = walk(t, sub, k, depth + 1);
	close_all(sub, k);
	return r;
}

static int walk_name(struct skf_pack_tree *t, const int *dirs, const struct name *v, size_t n,
		     unsigned depth)
{
	int dir = dirs[v->at], r;
	bool upper = t->upper;
	struct stat st;

	if (fstatat(dir, v->s, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0
				       : skf_fail_sys(t->e, -errno, "look at '%.200s'", skf_pack_shown(t));
	t->upper = upper && v->at == 0;
	if (S_ISDIR(st.st_mode))
		r = walk_below(t, dirs, v, n, depth);
	else if (S_ISREG(st.st_mode))
		r = skf_pack_file(t, dir, v->s);
	else
		r = S_ISSOCK(st.st_mode) ? 0 : skf_pack_other(t, dir, v->s, &st);
	t->upper = upper;
	return r;
}

static bool is_whiteout(int dir, const char *name)
{
	struct stat st;

	return fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISCHR(st.st_mode) &&
	       st.st_rdev == makedev(0, 0);
}

static int walk_group(struct skf_pack_tree *t, const int *dirs, const struct name *v, size_t n,
		      unsigned depth)
{
	size_t at = t->path.len;
	int r;

	if (is_whiteout(dirs[v->at], v->s))
		return t->merged ? 0 : skf_pack_mark(t, ".wh.", v->s);
	skf_buf_fmt(&t->path, "%s%s", at ? "/" : "", v->s);
	if (t->path.err)
		return skf_fail(t->e, SKF_ELIMIT, "a path below '%.200s' is too long", v->s);
	r = walk_name(t, dirs, v, n, depth);
	t->path.len = at;
	t->path.p[at] = 0;
	return r;
}

static int walk(struct skf_pack_tree *t, const int *dirs, uint32_t n, unsigned depth)
{
	SKF_AUTO(names_done)
	struct names x = {.a = SKF_ARENA(SIZE_MAX / 2)}; /* bounded by the inodes of the disk */
	size_t k;

	if (depth > SKF_MAX_TAR_DEPTH)
		return skf_fail(t->e, SKF_ELIMIT, "'%.200s' lies more than %d directories deep",
				skf_pack_shown(t), SKF_MAX_TAR_DEPTH);
	if (skf_pack_dir(t, dirs[0]) < 0)
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

static int open_writer(struct skf_pack_tree *t)
{
	t->ar = archive_write_new();
	t->ae = archive_entry_new();
	t->data = malloc(SKF_PACK_DATA_BYTES);
	t->list = malloc(SKF_MAX_XATTR_BYTES);
	if (!t->ar || !t->ae || !t->data || !t->list ||
	    !skf_buf_reserve(&t->path, 1)) /* path.p is never NULL from here on */
		return skf_fail(t->e, SKF_ENOMEM, "no memory to write a tar");
	if (archive_write_set_format_pax_restricted(t->ar) != ARCHIVE_OK ||
	    archive_write_set_format_option(t->ar, "pax", "xattrheader", "SCHILY") != ARCHIVE_OK ||
	    archive_write_set_bytes_per_block(t->ar, 0) != ARCHIVE_OK ||
	    archive_write_open(t->ar, t, NULL, on_write, NULL) != ARCHIVE_OK)
		return skf_pack_ar_fail(t, "start");
	return 0;
}

/* The callers' may be O_PATH. */
static int reopen(struct skf_pack_tree *t, const int *dirs, size_t n, int *own, uint32_t *k)
{
	for (size_t i = 0; i < n; i++) {
		int fd = skf_openat(dirs[i], ".", O_RDONLY | O_DIRECTORY, 0);

		if (fd < 0)
			return skf_fail_sys(t->e, fd, "open the root of a layer");
		own[(*k)++] = fd;
		if (skf_pack_opaque(fd))
			break;
	}
	return 0;
}

static int run(struct skf_pack_tree *t, const int *dirs, size_t n)
{
	int *own = calloc(n, sizeof(*own)), r;
	uint32_t k = 0;

	if (!own)
		return skf_fail(t->e, SKF_ENOMEM, "no memory for %zu layers", n);
	r = reopen(t, dirs, n, own, &k) < 0 || open_writer(t) < 0 || walk(t, own, k, 0) < 0 ? -1 : 0;
	close_all(own, k);
	if (r < 0)
		return -1;
	return archive_write_close(t->ar) == ARCHIVE_OK ? 0 : skf_pack_ar_fail(t, "end");
}

static int pack(const int *dirs, size_t n, bool merged, const char *const *stubs,
		const struct skf_idmaps *ids, const struct skf_pack_sink *sink, struct skf_err *e)
{
	struct skf_pack_tree t = {.sink = sink,
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
