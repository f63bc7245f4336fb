/* store/treecopy.c -- copies of layer trees, applied over one another or in other ids.
 *
 * Invariants: (1) every name is single, opened below its directory's descriptor and never followed; (2)
 * owner before mode before attributes before times, and a directory's own after what is in it; (3) what
 * apply replaces is gone before the new is made, so that no half of each remains. The source is a sealed
 * tree of the store: nobody writes it meanwhile. */
#include "store/treecopy.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "store/treecopy_int.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#define CHUNK (16u << 20)

struct link { /* a file of several names, and its first one in the copy */
	ino_t ino;
	dev_t dev;
	char *path;
};
struct walk {
	struct skf_treecopy *c;
	int root;           /* of the copy */
	struct link *links; /* open-addressed; path NULL: free */
	size_t n_links, cap_links;
	char path[SKF_MAX_TAR_PATH + 2];
	size_t len;
};

static int fail(const struct walk *w, int r, const char *what, struct skf_err *e)
{
	return skf_fail_sys(e, r, "%s '%.300s' of the copy", what, w->len ? w->path : ".");
}

/* --- hard links --- */

static size_t link_slot(const struct link *v, size_t cap, const struct stat *st)
{
	size_t i = (size_t)(st->st_ino * 0x9e3779b97f4a7c15u >> 20) & (cap - 1);

	while (v[i].path && (v[i].ino != st->st_ino || v[i].dev != st->st_dev))
		i = (i + 1) & (cap - 1);
	return i;
}

static int grow_links(struct walk *w)
{
	size_t cap = w->cap_links ? w->cap_links * 2 : 64;
	struct link *v = calloc(cap, sizeof(*v));

	if (!v)
		return -ENOMEM;
	for (size_t i = 0; i < w->cap_links; i++)
		if (w->links[i].path)
			v[link_slot(v, cap,
				    &(struct stat){.st_ino = w->links[i].ino, .st_dev = w->links[i].dev})] =
				w->links[i];
	free(w->links);
	w->links = v;
	w->cap_links = cap;
	return 0;
}

/* 1: the name is a link to the first copy now. 0: this is the first. */
static int link_to_first(struct walk *w, const struct stat *st, int dir, const char *name)
{
	struct link *l;

	if (st->st_nlink < 2 || S_ISDIR(st->st_mode))
		return 0;
	if ((w->n_links + 1) * 2 > w->cap_links && grow_links(w) < 0)
		return -ENOMEM;
	l = &w->links[link_slot(w->links, w->cap_links, st)];
	if (l->path)
		return linkat(w->root, l->path, dir, name, 0) < 0 ? -errno : 1;
	*l = (struct link){st->st_ino, st->st_dev, strdup(w->path)};
	w->n_links += l->path != NULL;
	return l->path ? 0 : -ENOMEM;
}

/* --- one entry --- */

static int copy_extent(int from, int to, off_t at, off_t end)
{
	while (at < end) {
		off_t in = at, out = at;
		ssize_t n = copy_file_range(from, &in, to, &out,
					    (size_t)(end - at < CHUNK ? end - at : CHUNK), 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += n;
	}
	return 0;
}

/* Without copy_file_range (another file system, an old kernel). */
static int copy_by_hand(int from, int to, off_t at, off_t end)
{
	SKF_AUTO_FREE char *b = malloc(1u << 17);

	while (b && at < end) {
		ssize_t n = pread(from, b, (size_t)(end - at < 1 << 17 ? end - at : 1 << 17), at);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		for (ssize_t done = 0; done < n;) {
			ssize_t k = pwrite(to, b + done, (size_t)(n - done), at + done);

			if (k < 0 && errno != EINTR)
				return -errno;
			done += k > 0 ? k : 0;
		}
		at += n;
	}
	return b ? 0 : -ENOMEM;
}

static int copy_data(int from, int to, off_t size)
{
	int r = ioctl(to, FICLONE, from) == 0 ? 1 : 0;

	for (off_t at = 0; r == 0 && at < size;) {
		off_t data = lseek(from, at, SEEK_DATA), end;

		if (data < 0 && errno == ENXIO)
			break; /* a hole up to the end */
		end = data < 0 ? size : lseek(from, data, SEEK_HOLE);
		if (data < 0)
			data = at;
		if (end < 0)
			end = size;
		r = copy_extent(from, to, data, end);
		if (r == -EXDEV || r == -EINVAL || r == -EOPNOTSUPP || r == -ENOSYS)
			r = copy_by_hand(from, to, data, end);
		at = end;
	}
	if (r == 0 && ftruncate(to, size) < 0)
		r = -errno;
	return r < 0 ? r : 0;
}

void skf_treecopy_owner(const struct skf_idmaps *ids, const struct stat *st, uid_t *uid, gid_t *gid)
{
	uint32_t to;

	*uid = st->st_uid;
	*gid = st->st_gid;
	if (!ids)
		return;
	*uid = skf_idmap_to_host(&ids->uids, st->st_uid, &to) ? to : SKF_TREECOPY_NOBODY;
	*gid = skf_idmap_to_host(&ids->gids, st->st_gid, &to) ? to : SKF_TREECOPY_NOBODY;
}

/* fd of the copy, open for reading or writing; from: of the original. */
static int set_meta(struct walk *w, int from, int to, const struct stat *st, struct skf_err *e)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st->st_mtim};
	uid_t uid;
	gid_t gid;
	int r;

	skf_treecopy_owner(w->c->ids, st, &uid, &gid);
	if (fchown(to, uid, gid) < 0)
		return fail(w, -errno, "set the owner of", e);
	if (fchmod(to, st->st_mode & 07777) < 0)
		return fail(w, -errno, "set the mode of", e);
	r = skf_treecopy_xattrs(from, to, w->c->ids, !w->c->apply);
	if (r < 0)
		return fail(w, r, "set the attributes of", e);
	return futimens(to, times) < 0 ? fail(w, -errno, "set the times of", e) : 0;
}

static int copy_file(struct walk *w, int sdir, int ddir, const char *name, const struct stat *st,
		     struct skf_err *e)
{
	SKF_AUTO_FD int from = skf_openat(sdir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	SKF_AUTO_FD int to =
		from < 0 ? -EBADF : skf_openat(ddir, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	int r = from < 0 ? from : to < 0 ? to : copy_data(from, to, st->st_size);

	if (r < 0)
		return fail(w, r, "write the file", e);
	w->c->bytes += (uint64_t)st->st_size;
	return set_meta(w, from, to, st, e);
}

/* Links, devices, pipes, sockets: what cannot be opened for this. */
static int copy_special(struct walk *w, int sdir, int ddir, const char *name, const struct stat *st,
			struct skf_err *e)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st->st_mtim};
	char target[PATH_MAX];
	uid_t uid;
	gid_t gid;
	ssize_t n;
	int r;

	if (S_ISLNK(st->st_mode)) {
		n = readlinkat(sdir, name, target, sizeof(target) - 1);
		if (n < 0)
			return fail(w, -errno, "read the link", e);
		target[n] = '\0';
		r = symlinkat(target, ddir, name) < 0 ? -errno : 0;
	} else {
		r = mknodat(ddir, name, st->st_mode & (S_IFMT | 0777), st->st_rdev) < 0 ? -errno : 0;
	}
	if (r < 0)
		return fail(w, r, "make", e);
	skf_treecopy_owner(w->c->ids, st, &uid, &gid);
	if (fchownat(ddir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(w, -errno, "set the owner of", e);
	if (!S_ISLNK(st->st_mode) && fchmodat(ddir, name, st->st_mode & 07777, 0) < 0)
		return fail(w, -errno, "set the mode of", e);
	return utimensat(ddir, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? fail(w, -errno, "set the times of", e)
								     : 0;
}

static int copy_dir(struct walk *w, int from, int to, unsigned depth, struct skf_err *e);

static int empty_dir(const struct walk *w, int fd, struct skf_err *e)
{
	SKF_AUTO_FD int again = skf_openat(fd, ".", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *de;
	int r = d ? 0 : again < 0 ? again : -errno;

	if (d)
		(void)SKF_TAKE_FD(again);
	while (r == 0 && (de = readdir(d)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0)
			r = skf_rmtree_at(fd, de->d_name);
	return r < 0 ? fail(w, r, "empty the directory", e) : 0;
}

static int copy_subdir(struct walk *w, int sdir, int ddir, const char *name, const struct stat *st,
		       unsigned depth, struct skf_err *e)
{
	SKF_AUTO_FD int from = -EBADF;
	SKF_AUTO_FD int to = -EBADF;
	bool old = mkdirat(ddir, name, 0700) < 0;

	if (old && (errno != EEXIST || !w->c->apply))
		return fail(w, -errno, "make the directory", e);
	w->c->inodes += !old;
	from = skf_openat(sdir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	to = skf_openat(ddir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (from < 0 || to < 0)
		return fail(w, from < 0 ? from : to, "open the directory", e);
	if (old && skf_treecopy_opaque(from) && empty_dir(w, to, e) < 0)
		return -1;
	return copy_dir(w, from, to, depth + 1, e) < 0 ? -1 : set_meta(w, from, to, st, e);
}

/* What the copy has of that name goes, but a directory that merges with one. 1: nothing is to be made. */
static int make_room(struct walk *w, int ddir, const char *name, const struct stat *st, struct skf_err *e)
{
	bool whiteout = S_ISCHR(st->st_mode) && st->st_rdev == 0;
	struct stat old;
	int r;

	if (!w->c->apply)
		return 0;
	if (fstatat(ddir, name, &old, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? whiteout : fail(w, -errno, "look at", e);
	if (S_ISDIR(st->st_mode) && S_ISDIR(old.st_mode))
		return 0;
	r = skf_rmtree_at(ddir, name);
	return r < 0 ? fail(w, r, "remove", e) : whiteout;
}

static int copy_entry(struct walk *w, int sdir, int ddir, const char *name, unsigned depth,
		      struct skf_err *e)
{
	struct stat st;
	int r;

	if (fstatat(sdir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(w, -errno, "look at the original of", e);
	r = make_room(w, ddir, name, &st, e);
	if (r != 0)
		return r < 0 ? -1 : 0;
	if (S_ISDIR(st.st_mode))
		return copy_subdir(w, sdir, ddir, name, &st, depth, e);
	r = link_to_first(w, &st, ddir, name);
	if (r != 0)
		return r < 0 ? fail(w, r, "make the hard link", e) : 0;
	w->c->inodes++;
	return S_ISREG(st.st_mode) ? copy_file(w, sdir, ddir, name, &st, e)
				   : copy_special(w, sdir, ddir, name, &st, e);
}

static int copy_dir(struct walk *w, int from, int to, unsigned depth, struct skf_err *e)
{
	SKF_AUTO_FD int again = skf_openat(from, ".", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *de;
	size_t at = w->len;

	if (!d)
		return fail(w, again < 0 ? again : -errno, "read the directory", e);
	(void)SKF_TAKE_FD(again);
	if (depth > SKF_MAX_TAR_DEPTH)
		return skf_fail(e, SKF_ELIMIT, "'%.200s' lies more than %d directories deep", w->path,
				SKF_MAX_TAR_DEPTH);
	while (errno = 0, (de = readdir(d))) {
		size_t n = strlen(de->d_name);
		int r;

		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (at + n + 2 > sizeof(w->path))
			return skf_fail(e, SKF_ELIMIT, "the path '%.200s...' is longer than %d bytes",
					w->path, SKF_MAX_TAR_PATH);
		if (at)
			w->path[at] = '/';
		memcpy(w->path + at + (at > 0), de->d_name, n + 1);
		w->len = at + (at > 0) + n;
		r = copy_entry(w, from, to, de->d_name, depth, e);
		w->path[w->len = at] = '\0';
		if (r < 0)
			return -1;
	}
	return errno ? fail(w, -errno, "read the directory", e) : 0;
}

int skf_treecopy(int from, int to, struct skf_treecopy *c, struct skf_err *e)
{
	SKF_AUTO_FREE struct walk *w = calloc(1, sizeof(*w));
	struct stat st;
	int r;

	if (!w)
		return skf_fail(e, SKF_ENOMEM, "memory to copy a layer");
	w->c = c;
	w->root = to;
	if (fstat(from, &st) < 0)
		return fail(w, -errno, "look at the original of", e);
	r = c->apply && skf_treecopy_opaque(from) ? empty_dir(w, to, e) : 0;
	if (r == 0)
		r = copy_dir(w, from, to, 0, e);
	if (r == 0)
		r = set_meta(w, from, to, &st, e);
	for (size_t i = 0; i < w->cap_links; i++)
		free(w->links[i].path);
	free(w->links);
	return r;
}
