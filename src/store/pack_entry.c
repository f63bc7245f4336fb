/* store/pack_entry.c -- what one entry of a directory tree becomes in a tar: header, attributes, data, the
 * names of an inode that has several. pack_tree.c walks.
 *
 * Invariants: 1. a name is opened by its directory's fd, as a single component, never followed, and looked
 * at again after it was opened: the tree may belong to a running container; 2. an entry has exactly the size
 * that its header says. Blocks on the disk. */
#include "store/pack_tree.h"
#include "base/fd.h"
#include <archive.h>
#include <archive_entry.h>
#include <endian.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

/* The sink's own error is the one to tell. */
int skf_pack_ar_fail(struct skf_pack_tree *t, const char *what)
{
	const char *s = archive_error_string(t->ar);

	if (t->e->kind != SKF_OK)
		return -1;
	return skf_fail(t->e, archive_errno(t->ar) == ENOMEM ? SKF_ENOMEM : SKF_EINVALID,
			"%s of '%.200s': %s", what, skf_pack_shown(t), s ? s : "cannot be written");
}

/* --- hard links --- */

static struct skf_pack_link *slot(struct skf_pack_link *v, size_t cap, uint64_t dev, uint64_t ino)
{
	size_t i = (size_t)((ino * 0x9e3779b97f4a7c15ull) ^ dev) & (cap - 1);

	while (v[i].path && (v[i].ino != ino || v[i].dev != dev))
		i = (i + 1) & (cap - 1);
	return &v[i];
}

static int grow_links(struct skf_pack_tree *t)
{
	size_t cap = t->cap_links ? t->cap_links * 2 : 256;
	struct skf_pack_link *v = calloc(cap, sizeof(*v));

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
static int seen_before(struct skf_pack_tree *t, const struct stat *st, const char **ret)
{
	struct skf_pack_link *l;

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
	*l = (struct skf_pack_link){st->st_dev, st->st_ino, skf_arena_strdup(&t->a, skf_pack_shown(t))};
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

bool skf_pack_opaque(int fd)
{
	return xattr_is(fd, "trusted.overlay.opaque", "y") || xattr_is(fd, "user.overlay.opaque", "y");
}

static int check_overlay(struct skf_pack_tree *t, const char *name)
{
	static const char *const no[] = {"trusted.overlay.redirect", "trusted.overlay.metacopy",
					 "user.overlay.redirect", "user.overlay.metacopy"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(no); i++)
		if (skf_streq(name, no[i]))
			return skf_fail(t->e, SKF_EUNSUPPORTED,
					"'%.200s' has the overlay attribute '%s', which a layer cannot say: "
					"was it mounted with redirect_dir "
					"or metacopy?",
					skf_pack_shown(t), name);
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

static int add_xattrs(struct skf_pack_tree *t, int fd)
{
	ssize_t len = flistxattr(fd, t->list, SKF_MAX_XATTR_BYTES), n;

	if (len < 0 && errno == ENOTSUP)
		return 0;
	if (len < 0)
		return skf_fail_sys(t->e, -errno, "list extended attributes of '%.200s'", skf_pack_shown(t));
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
					    p, skf_pack_shown(t));
		if (t->ids && t->upper && strcmp(p, "security.capability") == 0)
			n = plain_caps(t->data, n);
		archive_entry_xattr_add_entry(t->ae, p, t->data, (size_t)n);
	}
	return 0;
}

/* --- entries --- */

static void begin_entry(struct skf_pack_tree *t, const struct stat *st, const char *path)
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
static int put_header(struct skf_pack_tree *t)
{
	int r = archive_write_header(t->ar, t->ae);

	return r == ARCHIVE_OK || r == ARCHIVE_WARN ? 0 : skf_pack_ar_fail(t, "header");
}

static int put_data(struct skf_pack_tree *t, const void *p, size_t n)
{
	return archive_write_data(t->ar, p, n) == (ssize_t)n ? 0 : skf_pack_ar_fail(t, "data");
}

static int copy_file(struct skf_pack_tree *t, int fd, uint64_t size)
{
	while (size > 0) {
		size_t want = size < SKF_PACK_DATA_BYTES ? (size_t)size : SKF_PACK_DATA_BYTES;
		ssize_t n = read(fd, t->data, want);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return skf_fail_sys(t->e, -errno, "read '%.200s'", skf_pack_shown(t));
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
static bool is_stub(const struct skf_pack_tree *t, const struct stat *st)
{
	for (const char *const *s = t->stubs; s && *s; s++)
		if (st->st_size == 0 && strcmp(*s, skf_pack_shown(t)) == 0)
			return true;
	return false;
}

int skf_pack_file(struct skf_pack_tree *t, int dir, const char *name)
{
	SKF_AUTO_FD int fd = skf_openat(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	const char *first;
	struct stat st;

	if (fd == -ENOENT || fd == -ELOOP || fd == -ENXIO)
		return 0; /* replaced meanwhile */
	if (fd < 0 || fstat(fd, &st) < 0)
		return skf_fail_sys(t->e, fd < 0 ? fd : -errno, "open '%.200s'", skf_pack_shown(t));
	if (!S_ISREG(st.st_mode) || is_stub(t, &st))
		return 0;
	if (seen_before(t, &st, &first) < 0)
		return -1;
	begin_entry(t, &st, skf_pack_shown(t));
	if (first) {
		archive_entry_set_hardlink(t->ae, first);
		archive_entry_set_size(t->ae, 0);
		return put_header(t);
	}
	if (add_xattrs(t, fd) < 0 || put_header(t) < 0)
		return -1;
	return copy_file(t, fd, (uint64_t)st.st_size);
}

int skf_pack_other(struct skf_pack_tree *t, int dir, const char *name, const struct stat *st)
{
	char target[SKF_MAX_TAR_PATH + 1];
	const char *first;

	if (seen_before(t, st, &first) < 0)
		return -1;
	begin_entry(t, st, skf_pack_shown(t));
	if (first)
		archive_entry_set_hardlink(t->ae, first);
	if (S_ISLNK(st->st_mode)) {
		ssize_t n = readlinkat(dir, name, target, sizeof(target) - 1);

		if (n < 0 && (errno == ENOENT || errno == EINVAL))
			return 0; /* replaced meanwhile */
		if (n < 0)
			return skf_fail_sys(t->e, -errno, "read the link '%.200s'", skf_pack_shown(t));
		target[n] = 0;
		if (!first)
			archive_entry_set_symlink(t->ae, target);
	}
	return put_header(t);
}

int skf_pack_mark(struct skf_pack_tree *t, const char *prefix, const char *name)
{
	struct stat none = {.st_mode = S_IFREG};
	size_t at = t->path.len;
	int r;

	skf_buf_fmt(&t->path, "%s%s%s", at ? "/" : "", prefix, name);
	begin_entry(t, &none, skf_pack_shown(t));
	archive_entry_set_uid(t->ae, 0);
	archive_entry_set_gid(t->ae, 0);
	r = t->path.err ? skf_fail(t->e, SKF_ELIMIT, "a path below '%.200s' is too long", skf_pack_shown(t))
			: put_header(t);
	t->path.len = at;
	t->path.p[at] = 0;
	return r;
}

int skf_pack_dir(struct skf_pack_tree *t, int fd)
{
	struct stat st;
	bool root = t->path.len == 0;

	if (fstat(fd, &st) < 0)
		return skf_fail_sys(t->e, -errno, "look at '%.200s'", skf_pack_shown(t));
	if (!root)
		skf_buf_chr(&t->path, '/');
	begin_entry(t, &st, root ? "./" : t->path.p);
	if (!root)
		t->path.p[--t->path.len] = 0;
	if (t->path.err)
		return skf_fail(t->e, SKF_ELIMIT, "the path '%.200s' is too long", skf_pack_shown(t));
	if (add_xattrs(t, fd) < 0)
		return -1;
	if ((!root || !t->merged) && put_header(t) < 0)
		return -1;
	return !t->merged && skf_pack_opaque(fd) ? skf_pack_mark(t, ".wh..wh..opq", "") : 0;
}
