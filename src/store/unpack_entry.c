/* store/unpack_entry.c -- where entries land; directories do by unpack_dir.c. T38-T47 are the enemies of
 * both.
 *
 * Invariants:
 *  1. A parent directory is only ever reached by openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS) below
 *     tree/: a link may lead anywhere inside of it and nowhere else. The last component is a single checked
 *     name (unpack_name.c 1) and never followed.
 *  2. What is made is made new (O_EXCL, mkdirat, symlinkat, linkat, mknodat); what has the name already is
 *     unlinked first, so that no data, mode or owner ever reaches an older inode through a link (T41). The
 *     one exception is a directory over a directory.
 *  3. Directories are 0700 and owned by us until the walk at the end: nothing is inherited from them, nobody
 *     else gets in.
 *  4. A whiteout hides what lower layers have and never what this layer brings, in whatever order they come
 *     (image-spec layer.md).
 *  5. The tree is below layers/, mode 0700.
 *
 * A character device 0/0 of an archive is overlay's own whiteout and is taken as that. Sockets are skipped.
 * A hard link brings no metadata of its own: it is the other name of an inode that has its own entry. Blocks
 * on the disk. */
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

int skf_tree_init(struct skf_tree *t, int *root_own, const struct skf_unpack_limits *lim, struct skf_err *e)
{
	struct stat st;
	struct skf_inode *i;

	t->root = SKF_TAKE_FD(*root_own);
	t->parent = -EBADF;
	t->lim = *lim;
	if (fstat(t->root, &st) < 0)
		return skf_fail_sys(e, -errno, "look at the new layer");
	i = skf_inodes_get(&t->inodes, st.st_ino);
	if (!i)
		return skf_fail(e, SKF_ENOMEM, "no memory for a layer");
	i->flags = SKF_INO_DIR;
	i->dir.mode = 0755;
	t->crc = skf_crc64_fast();
	return skf_hash_init(&t->hash, NULL, e);
}

void skf_tree_done(struct skf_tree *t)
{
	skf_closep(&t->root);
	skf_closep(&t->parent);
	skf_inodes_done(&t->inodes);
	skf_hash_done(&t->hash);
}

static int open_new(struct skf_tree *t, int parent, const char *name, mode_t mode, const char *path,
		    int *ret_fd, struct skf_err *e)
{
	for (int i = 0; i < PLACE_TRIES; i++) {
		int fd = skf_path_open_nolinks(parent, name, O_RDWR | O_CREAT | O_EXCL, mode & 0777);

		if (fd >= 0) {
			*ret_fd = fd;
			return 0;
		}
		if (fd != -EEXIST && fd != -ELOOP)
			return skf_tree_fail(e, fd, "make the file", path);
		if (skf_tree_replace(t, parent, name, path, e) < 0)
			return -1;
	}
	return skf_fail(e, SKF_ECONFLICT, "entry '%.200s' keeps being replaced while it is unpacked", path);
}

/* The digest of what was just written, as the listing has it. */
static int file_digest(struct skf_tree *t, int fd, bool sparse, int64_t size, struct skf_inode *i,
		       struct skf_err *e)
{
	i->flags = SKF_INO_FILE;
	if (sparse) {
		i->flags |= SKF_INO_SPARSE;
		return skf_sparse_digest(fd, (uint64_t)size, &t->hash, i->sha, e);
	}
	t->n_data += size > 0;
	t->data_bytes += (uint64_t)size;
	if (!t->crc)
		return skf_hash_end_raw(&t->hash, i->sha, e);
	i->flags |= SKF_INO_CRC;
	i->crc = t->sum;
	return 0;
}

static int place_file(struct skf_tree *t, int parent, const struct skf_entry_name *n, struct archive *ar,
		      struct archive_entry *ae, struct skf_err *e)
{
	int64_t size = archive_entry_size(ae);
	bool sparse = false, has_xattr = false;
	struct skf_inode made = {0}, *i;
	SKF_AUTO_FD int fd = -EBADF;
	struct skf_meta m;
	struct stat st;

	if (size < 0 || (uint64_t)size > t->lim.bytes - t->bytes)
		return skf_fail(
			e, SKF_ELIMIT,
			"entry '%.200s' of %lld bytes makes the layer larger than the %llu bytes allowed",
			n->path, (long long)size, (unsigned long long)t->lim.bytes);
	t->bytes += (uint64_t)size;
	if (skf_meta_of(ae, n->path, &m, e) < 0 || open_new(t, parent, n->base, m.mode, n->path, &fd, e) < 0)
		return -1;
	if (fstat(fd, &st) < 0)
		return skf_tree_fail(e, -errno, "look at", n->path);
	if (skf_tree_write_data(t, ar, fd, n->path, &sparse, e) < 0 ||
	    file_digest(t, fd, sparse, size, &made, e) < 0 ||
	    skf_tree_file_meta(t, fd, &st, &m, ae, n->path, &has_xattr, e) < 0)
		return -1;
	i = skf_inodes_get(&t->inodes, st.st_ino);
	if (!i)
		return skf_fail(e, SKF_ENOMEM, "no memory for the entry '%.200s'", n->path);
	made.ino = st.st_ino;
	made.flags |= has_xattr ? SKF_INO_XATTR : 0;
	*i = made;
	return 0;
}

static int place_symlink(struct skf_tree *t, int parent, const struct skf_entry_name *n,
			 struct archive_entry *ae, struct skf_err *e)
{
	const char *target = archive_entry_symlink(ae);
	struct skf_meta m;

	if (!target || !*target)
		return skf_fail(e, SKF_EINVALID, "entry '%.200s' is a symbolic link without a target",
				n->path);
	if (strlen(target) >= SKF_MAX_TAR_PATH)
		return skf_fail(e, SKF_ELIMIT,
				"entry '%.200s' is a symbolic link with a target of more than %d bytes",
				n->path, SKF_MAX_TAR_PATH - 1);
	if (skf_meta_of(ae, n->path, &m, e) < 0)
		return -1;
	for (int i = 0; i < PLACE_TRIES; i++) {
		if (symlinkat(target, parent, n->base) == 0)
			return skf_tree_link_meta(parent, n->base, &m, n->path, e);
		if (errno != EEXIST)
			return skf_tree_fail(e, -errno, "make the symbolic link", n->path);
		if (skf_tree_replace(t, parent, n->base, n->path, e) < 0)
			return -1;
	}
	return skf_fail(e, SKF_ECONFLICT, "entry '%.200s' keeps being replaced while it is unpacked",
			n->path);
}

static int link_target(struct skf_tree *t, const struct skf_entry_name *n, const char *raw,
		       char base[SKF_MAX_TAR_PATH], int *ret_dir, struct stat *st, struct skf_err *e)
{
	struct skf_entry_name target;
	SKF_AUTO_FD int dir = -EBADF;

	if (skf_entry_name_parse(raw, t->lim.depth, &target, e) < 0)
		return skf_ctx(e, "hard link '%.120s'", n->path);
	if (target.kind == SKF_ENTRY_PLAIN)
		dir = skf_path_open(t->root, target.parent, O_PATH | O_DIRECTORY, 0);
	if (dir < 0 || fstatat(dir, target.base, st, AT_SYMLINK_NOFOLLOW) < 0 || skf_is_whiteout(st))
		return skf_fail(e, SKF_EINVALID,
				"hard link '%.120s' leads to '%.120s', which is not in this layer", n->path,
				raw);
	if (S_ISDIR(st->st_mode))
		return skf_fail(e, SKF_EINVALID,
				"hard link '%.120s' leads to '%.120s', which is a directory", n->path, raw);
	memcpy(base, target.base, strlen(target.base) + 1);
	*ret_dir = SKF_TAKE_FD(dir);
	return 0;
}

static int place_hardlink(struct skf_tree *t, int parent, const struct skf_entry_name *n, const char *raw,
			  struct skf_err *e)
{
	char base[SKF_MAX_TAR_PATH];
	SKF_AUTO_FD int dir = -EBADF;
	struct stat target, st;

	if (link_target(t, n, raw, base, &dir, &target, e) < 0)
		return -1;
	for (int i = 0; i < PLACE_TRIES; i++) {
		if (linkat(dir, base, parent, n->base, 0) == 0)
			return 0;
		if (errno == ENOENT)
			return skf_fail(e, SKF_EINVALID,
					"hard link '%.120s' leads to '%.120s', which it replaces itself",
					n->path, raw);
		if (errno != EEXIST)
			return skf_tree_fail(e, -errno, "make the hard link", n->path);
		if (fstatat(parent, n->base, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_ino == target.st_ino &&
		    st.st_dev == target.st_dev)
			return 0;
		if (skf_tree_replace(t, parent, n->base, n->path, e) < 0)
			return -1;
	}
	return skf_fail(e, SKF_ECONFLICT, "entry '%.200s' keeps being replaced while it is unpacked",
			n->path);
}

/* EPERM: a user namespace makes no device nodes but 0/0; the node is left out, as by docker's rootless mode.
 * */
static int place_node(struct skf_tree *t, int parent, const struct skf_entry_name *n, mode_t type,
		      struct archive_entry *ae, struct skf_err *e)
{
	dev_t dev = type == S_IFIFO ? 0 : makedev(archive_entry_rdevmajor(ae), archive_entry_rdevminor(ae));
	struct skf_meta m;

	if (skf_meta_of(ae, n->path, &m, e) < 0)
		return -1;
	for (int i = 0; i < PLACE_TRIES; i++) {
		if (mknodat(parent, n->base, type | (m.mode & 0777), dev) == 0) {
			if (skf_tree_link_meta(parent, n->base, &m, n->path, e) < 0)
				return -1;
			return fchmodat(parent, n->base, m.mode, 0) < 0
				       ? skf_tree_fail(e, -errno, "set the mode of", n->path)
				       : 0;
		}
		if (errno == EPERM && type != S_IFIFO) {
			t->n_skipped_devices++;
			return 0;
		}
		if (errno != EEXIST)
			return skf_tree_fail(e, -errno, "make the special file", n->path);
		if (skf_tree_replace(t, parent, n->base, n->path, e) < 0)
			return -1;
	}
	return skf_fail(e, SKF_ECONFLICT, "entry '%.200s' keeps being replaced while it is unpacked",
			n->path);
}

/* --- whiteouts --- */

static int place_whiteout(struct skf_tree *t, int parent, const struct skf_entry_name *n, struct skf_err *e)
{
	struct stat st;

	if (mknodat(parent, n->base, S_IFCHR, makedev(0, 0)) == 0)
		return 0;
	if (errno == EPERM) /* overlay has none in itself */
		return skf_fail(e, SKF_EUNSUPPORTED,
				"make the whiteout of '%.200s': the file system of the store has none (is "
				"it an overlay?); put the store on another",
				n->path);
	if (errno != EEXIST)
		return skf_tree_fail(e, -errno, "make the whiteout of", n->path);
	if (fstatat(parent, n->base, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return skf_tree_fail(e, -errno, "look at", n->path);
	/* This layer's own file hides the lower one already; its own directory must not show the lower one's
	 * content. */
	return S_ISDIR(st.st_mode) ? skf_tree_mark_opaque(t, parent, n->base, n->path, e) : 0;
}

static int place_plain(struct skf_tree *t, int parent, const struct skf_entry_name *n, struct archive *ar,
		       struct archive_entry *ae, struct skf_err *e)
{
	const char *hardlink = archive_entry_hardlink(ae);

	if (hardlink)
		return place_hardlink(t, parent, n, hardlink, e);
	switch (archive_entry_filetype(ae)) {
	case AE_IFDIR:
		return skf_tree_place_dir(t, parent, n, ae, e);
	case AE_IFREG:
		return place_file(t, parent, n, ar, ae, e);
	case AE_IFLNK:
		return place_symlink(t, parent, n, ae, e);
	case AE_IFCHR:
		return place_node(t, parent, n, S_IFCHR, ae, e);
	case AE_IFBLK:
		return place_node(t, parent, n, S_IFBLK, ae, e);
	case AE_IFIFO:
		return place_node(t, parent, n, S_IFIFO, ae, e);
	case AE_IFSOCK:
		return 0;
	default:
		return skf_fail(e, SKF_EINVALID, "entry '%.200s' is of a type that a layer cannot have",
				n->path);
	}
}

int skf_tree_place(struct skf_tree *t, struct archive *ar, struct archive_entry *ae, struct skf_err *e)
{
	const char *raw = archive_entry_pathname(ae);
	struct skf_entry_name n;
	int parent = -EBADF;

	if (!raw || !*raw)
		return skf_fail(e, SKF_EINVALID, "entry %llu of the layer has no name",
				(unsigned long long)t->entries + 1);
	if (skf_tree_count(t, raw, e) < 0 || skf_entry_name_parse(raw, t->lim.depth, &n, e) < 0)
		return -1;
	if (n.kind == SKF_ENTRY_ROOT)
		return skf_tree_place_root(t, ae, e);
	if (n.kind == SKF_ENTRY_SKIP)
		return 0;
	if (skf_tree_parent(t, &n, &parent, e) < 0)
		return -1;
	switch (n.kind) {
	case SKF_ENTRY_OPAQUE:
		return skf_tree_mark_opaque(t, parent, ".", n.path, e);
	case SKF_ENTRY_WHITEOUT:
		return place_whiteout(t, parent, &n, e);
	default:
		return place_plain(t, parent, &n, ar, ae, e);
	}
}
