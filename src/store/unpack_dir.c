/* store/unpack_dir.c -- directories of the layer being made: the way to an entry's parent, what is made on
 * it, and what stands there already. The invariants are those of unpack_entry.c: a parent is only ever
 * reached below tree/ (1), what is made is made new, but for a directory over a directory (2), and
 * directories are 0700 and ours until the walk at the end (3). Blocks on the disk. */
#include "base/buf.h"
#include "base/fd.h"
#include "store/unpack_int.h"
#include "sys/path.h"
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <unistd.h>

int skf_tree_count(struct skf_tree *t, const char *path, struct skf_err *e)
{
	if (++t->entries > t->lim.entries)
		return skf_fail(e, SKF_ELIMIT, "entry '%.200s': the layer has more than %llu entries", path,
				(unsigned long long)t->lim.entries);
	return 0;
}

bool skf_is_whiteout(const struct stat *st)
{
	return S_ISCHR(st->st_mode) && st->st_rdev == makedev(0, 0);
}

/* Remembers a directory that was just made; a number that an unlinked inode had before starts anew. */
static int new_dir(struct skf_tree *t, int parent, const char *name, bool opaque, const char *path,
		   int *ret_fd, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	struct skf_inode *i;
	struct stat st;
	int r;

	fd = skf_path_open_nolinks(parent, name, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0 || fstat(fd, &st) < 0)
		return skf_tree_fail(e, fd < 0 ? fd : -errno, "open the directory", path);
	i = skf_inodes_get(&t->inodes, st.st_ino);
	if (!i)
		return skf_fail(e, SKF_ENOMEM, "no memory for the entry '%.200s'", path);
	*i = (struct skf_inode){.ino = st.st_ino, .flags = SKF_INO_DIR};
	i->dir.mode = 0755;
	if (opaque) {
		r = skf_set_opaque(fd);
		if (r < 0)
			return skf_tree_fail(e, r, "mark as opaque the directory", path);
		i->flags |= SKF_INO_XATTR;
	}
	*ret_fd = SKF_TAKE_FD(fd);
	return 0;
}

int skf_tree_replace(struct skf_tree *t, int parent, const char *name, const char *path, struct skf_err *e)
{
	int r = skf_rmtree_at(parent, name);

	t->replaced = true;
	return r < 0 ? skf_tree_fail(e, r, "replace", path) : 0;
}

/* The directory `name`, made when it is missing or (replace) something else; an open fd of it. */
static int get_dir(struct skf_tree *t, int parent, const char *name, bool replace, const char *path,
		   int *ret_fd, struct skf_err *e)
{
	bool opaque = false;
	struct stat st;
	int fd;

	for (int i = 0; i < PLACE_TRIES; i++) {
		if (mkdirat(parent, name, 0700) == 0)
			return new_dir(t, parent, name, opaque, path, ret_fd, e);
		if (errno != EEXIST)
			return skf_tree_fail(e, -errno, "make the directory", path);
		if (fstatat(parent, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return skf_tree_fail(e, -errno, "look at", path);
		if (S_ISDIR(st.st_mode)) {
			fd = skf_path_open_nolinks(parent, name, O_RDONLY | O_DIRECTORY, 0);
			if (fd < 0)
				return skf_tree_fail(e, fd, "open the directory", path);
			*ret_fd = fd;
			return 0;
		}
		/* A directory over this layer's own whiteout hides what lower layers have below that name.
		 * */
		opaque |= skf_is_whiteout(&st);
		if (!replace && !opaque)
			return skf_fail(e, SKF_EINVALID, "entry '%.200s': '%.80s' in its path is %s", path,
					name,
					S_ISLNK(st.st_mode) ? "a symbolic link that leads to no directory"
							    : "not a directory");
		if (skf_tree_replace(t, parent, name, path, e) < 0)
			return -1;
	}
	return skf_fail(e, SKF_ECONFLICT, "entry '%.200s' keeps being replaced while it is unpacked", path);
}

static int make_parents(struct skf_tree *t, const char *parent, const char *path, int *ret_fd,
			struct skf_err *e)
{
	SKF_AUTO_FD int dir = skf_path_open(t->root, ".", O_PATH | O_DIRECTORY, 0);
	char work[SKF_MAX_TAR_PATH];
	size_t at = 0;

	if (dir < 0)
		return skf_tree_fail(e, dir, "open the root for", path);
	if (skf_fmt(work, sizeof(work), "%s", parent) < 0)
		return skf_fail(e, SKF_EBUG, "parent of '%.200s' is too long", path);
	for (;;) {
		size_t len = strcspn(work + at, "/");
		bool last = work[at + len] == 0;
		int fd;

		work[at + len] = 0;
		fd = skf_path_open(t->root, work, O_PATH | O_DIRECTORY, 0);
		if (fd == -ENOENT || fd == -ENOTDIR) {
			if (skf_tree_count(t, path, e) < 0 ||
			    get_dir(t, dir, work + at, false, path, &fd, e) < 0)
				return -1;
		} else if (fd < 0) {
			return skf_tree_fail(e, fd, "open a parent of", path);
		}
		skf_closep(&dir);
		dir = fd;
		if (last)
			break;
		work[at + len] = '/';
		at += len + 1;
	}
	*ret_fd = SKF_TAKE_FD(dir);
	return 0;
}

int skf_tree_parent(struct skf_tree *t, const struct skf_entry_name *n, int *ret_fd, struct skf_err *e)
{
	int fd;

	if (t->parent >= 0 && strcmp(t->parent_path, n->parent) == 0) {
		*ret_fd = t->parent;
		return 0;
	}
	fd = skf_path_open(t->root, n->parent, O_PATH | O_DIRECTORY, 0);
	if ((fd == -ENOENT || fd == -ENOTDIR) && make_parents(t, n->parent, n->path, &fd, e) < 0)
		return -1;
	if (fd < 0)
		return skf_tree_fail(e, fd, "open the parent directory of", n->path);
	skf_closep(&t->parent);
	t->parent = fd;
	memcpy(t->parent_path, n->parent, strlen(n->parent) + 1);
	*ret_fd = fd;
	return 0;
}

/* What the entry says of a directory is kept for the walk; attributes but default ACLs are set at once. */
static int dir_entry(struct skf_tree *t, int fd, struct archive_entry *ae, const char *path,
		     struct skf_err *e)
{
	struct skf_inode *i;
	struct skf_meta m;
	struct stat st;
	bool any = false;

	if (skf_meta_of(ae, path, &m, e) < 0 || skf_tree_dir_xattrs(t, fd, ae, path, &any, e) < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return skf_tree_fail(e, -errno, "look at the directory", path);
	i = skf_inodes_get(&t->inodes, st.st_ino);
	if (!i)
		return skf_fail(e, SKF_ENOMEM, "no memory for the entry '%.200s'", path);
	i->flags |= SKF_INO_DIR | SKF_INO_META | (any ? SKF_INO_XATTR : 0);
	i->dir.uid = m.uid;
	i->dir.gid = m.gid;
	i->dir.mode = m.mode;
	i->dir.mtime = m.mtime;
	return 0;
}

int skf_tree_place_root(struct skf_tree *t, struct archive_entry *ae, struct skf_err *e)
{
	if (archive_entry_filetype(ae) != AE_IFDIR || archive_entry_hardlink(ae))
		return skf_fail(e, SKF_EINVALID,
				"entry '%.60s' is the root of the layer but not a directory; the image is "
				"hostile or broken",
				archive_entry_pathname(ae));
	return dir_entry(t, t->root, ae, "/", e);
}

int skf_tree_place_dir(struct skf_tree *t, int parent, const struct skf_entry_name *n,
		       struct archive_entry *ae, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;

	if (get_dir(t, parent, n->base, true, n->path, &fd, e) < 0)
		return -1;
	return dir_entry(t, fd, ae, n->path, e);
}

int skf_tree_mark_opaque(struct skf_tree *t, int parent, const char *name, const char *path,
			 struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_path_open_nolinks(parent, name, O_RDONLY | O_DIRECTORY, 0);
	struct skf_inode *i;
	struct stat st;
	int r;

	if (fd < 0 || fstat(fd, &st) < 0)
		return skf_tree_fail(e, fd < 0 ? fd : -errno, "open the directory of", path);
	r = skf_set_opaque(fd);
	if (r < 0)
		return skf_tree_fail(e, r, "mark as opaque the directory of", path);
	i = skf_inodes_get(&t->inodes, st.st_ino);
	if (!i)
		return skf_fail(e, SKF_ENOMEM, "no memory for the entry '%.200s'", path);
	i->flags |= SKF_INO_DIR | SKF_INO_XATTR;
	return 0;
}
