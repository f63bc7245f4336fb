/* store/treecopy_meta.c -- extended attributes of copies, and whether a copy still is one.
 *
 * Kept are those that layers have (store/unpack_meta.c): user.*, security.capability, POSIX ACLs, and
 * overlay's opaque mark where the copy is a layer itself. An ACL names ids in 32-bit little-endian words
 * (linux/posix_acl_xattr.h), which are mapped like owners. */
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "store/treecopy_int.h"
#include <dirent.h>
#include <endian.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define OPAQUE_TRUSTED "trusted.overlay.opaque"
#define OPAQUE_USER    "user.overlay.opaque"
#define ACL_HEAD       4
#define ACL_ENTRY      8 /* u16 tag, u16 permissions, u32 id */
#define ACL_USER       2
#define ACL_GROUP      8

static bool is_acl(const char *name)
{
	return strcmp(name, "system.posix_acl_access") == 0 || strcmp(name, "system.posix_acl_default") == 0;
}

static bool is_kept(const char *name, bool marks)
{
	if (strcmp(name, OPAQUE_TRUSTED) == 0 || strcmp(name, OPAQUE_USER) == 0)
		return marks;
	if (strncmp(name, "user.", 5) == 0)
		return strncmp(name, "user.overlay.", 13) != 0;
	return strcmp(name, "security.capability") == 0 || is_acl(name);
}

static void map_acl(char *v, size_t n, const struct skf_idmaps *ids)
{
	for (size_t at = ACL_HEAD; at + ACL_ENTRY <= n; at += ACL_ENTRY) {
		uint16_t tag;
		uint32_t id, to;

		memcpy(&tag, v + at, sizeof(tag));
		memcpy(&id, v + at + 4, sizeof(id));
		tag = le16toh(tag);
		if (tag != ACL_USER && tag != ACL_GROUP)
			continue;
		if (!skf_idmap_to_host(tag == ACL_USER ? &ids->uids : &ids->gids, le32toh(id), &to))
			to = SKF_TREECOPY_NOBODY;
		id = htole32(to);
		memcpy(v + at + 4, &id, sizeof(id));
	}
}

/* Value of a kept attribute as the copy has it; its length, or -errno. */
static ssize_t mapped_value(int fd, const char *name, char *v, size_t size, const struct skf_idmaps *ids)
{
	ssize_t n = fgetxattr(fd, name, v, size);

	if (n < 0)
		return -errno;
	if (ids && is_acl(name))
		map_acl(v, (size_t)n, ids);
	return n;
}

static ssize_t list_of(int fd, char *list, size_t size)
{
	ssize_t n = flistxattr(fd, list, size);

	return n < 0 && errno == EOPNOTSUPP ? 0 : n < 0 ? -errno : n;
}

int skf_treecopy_xattrs(int from, int to, const struct skf_idmaps *ids, bool marks)
{
	char list[SKF_MAX_XATTR_BYTES], value[SKF_MAX_XATTR_BYTES];
	ssize_t n = list_of(to, list, sizeof(list)), size;

	for (const char *p = list; n > 0 && p < list + n;
	     p += strlen(p) + 1) /* of a directory that merges: the upper one's count alone */
		if (is_kept(p, true) && fgetxattr(from, p, NULL, 0) < 0 && fremovexattr(to, p) < 0)
			return -errno;
	if (n >= 0)
		n = list_of(from, list, sizeof(list));
	for (const char *p = list; n > 0 && p < list + n; p += strlen(p) + 1) {
		if (!is_kept(p, marks))
			continue;
		size = mapped_value(from, p, value, sizeof(value), ids);
		if (size < 0)
			return (int)size;
		if (fsetxattr(to, p, value, (size_t)size, 0) < 0)
			return -errno;
	}
	return n < 0 ? (int)n : 0;
}

static unsigned count_kept(const char *list, ssize_t n, bool marks)
{
	unsigned k = 0;

	for (const char *p = list; n > 0 && p < list + n; p += strlen(p) + 1)
		k += is_kept(p, marks);
	return k;
}

int skf_treecopy_same_xattrs(int from, int to, const struct skf_idmaps *ids, bool marks)
{
	char list[SKF_MAX_XATTR_BYTES], a[SKF_MAX_XATTR_BYTES], b[SKF_MAX_XATTR_BYTES];
	ssize_t n = list_of(to, list, sizeof(list)), size;
	unsigned others = count_kept(list, n, marks);

	if (n >= 0)
		n = list_of(from, list, sizeof(list));
	if (n < 0 || count_kept(list, n, marks) != others)
		return n < 0 ? (int)n : 0;
	for (const char *p = list; n > 0 && p < list + n; p += strlen(p) + 1) {
		if (!is_kept(p, marks))
			continue;
		size = mapped_value(from, p, a, sizeof(a), ids);
		if (size < 0)
			return (int)size;
		if (fgetxattr(to, p, b, sizeof(b)) != size || memcmp(a, b, (size_t)size) != 0)
			return 0;
	}
	return 1;
}

int skf_treecopy_same_attributes(int a, int b)
{
	return skf_treecopy_same_xattrs(a, b, NULL, false);
}

bool skf_treecopy_opaque(int dirfd)
{
	char y = 0;

	return (fgetxattr(dirfd, OPAQUE_TRUSTED, &y, 1) == 1 || fgetxattr(dirfd, OPAQUE_USER, &y, 1) == 1) &&
	       y == 'y';
}

/* --- is it still a copy --- */

struct same {
	const struct skf_idmaps *ids;
	char *why;
	size_t size;
};

static int differs(struct same *s, const char *name, const char *what)
{
	snprintf(s->why, s->size, "'%.200s' of the copy: %s", name, what);
	return 0;
}

static int same_stat(struct same *s, const char *name, const struct stat *a, const struct stat *b)
{
	uid_t uid;
	gid_t gid;

	skf_treecopy_owner(s->ids, a, &uid, &gid);
	if (a->st_mode != b->st_mode)
		return differs(s, name, "its type or mode differs");
	if (uid != b->st_uid || gid != b->st_gid)
		return differs(s, name, "its owner differs");
	if (!S_ISDIR(a->st_mode) && (a->st_size != b->st_size || a->st_rdev != b->st_rdev))
		return differs(s, name, "its size differs");
	if (!S_ISDIR(a->st_mode) && a->st_nlink != b->st_nlink)
		return differs(s, name, "its number of hard links differs");
	if (a->st_mtim.tv_sec != b->st_mtim.tv_sec || a->st_mtim.tv_nsec != b->st_mtim.tv_nsec)
		return differs(s, name, "its time differs");
	return 1;
}

static int same_dir(struct same *s, int tree, int copy, unsigned depth, struct skf_err *e);

static int same_link(struct same *s, int tree, int copy, const char *name)
{
	char a[PATH_MAX], b[PATH_MAX];
	ssize_t n = readlinkat(tree, name, a, sizeof(a)), m = readlinkat(copy, name, b, sizeof(b));

	return n >= 0 && n == m && memcmp(a, b, (size_t)n) == 0 ? 1 : differs(s, name, "it leads elsewhere");
}

static int same_entry(struct same *s, int tree, int copy, const char *name, unsigned depth,
		      struct skf_err *e)
{
	SKF_AUTO_FD int x = -EBADF;
	SKF_AUTO_FD int y = -EBADF;
	struct stat a, b;
	int r;

	if (fstatat(tree, name, &a, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? differs(s, name, "the layer has no such file")
				       : skf_fail_sys(e, -errno, "look at '%.200s'", name);
	if (fstatat(copy, name, &b, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? differs(s, name, "it is missing")
				       : skf_fail_sys(e, -errno, "look at '%.200s'", name);
	r = same_stat(s, name, &a, &b);
	if (r <= 0 || S_ISLNK(a.st_mode))
		return r <= 0 ? r : same_link(s, tree, copy, name);
	if (!S_ISDIR(a.st_mode) && !S_ISREG(a.st_mode))
		return 1;
	x = skf_openat(tree, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	y = skf_openat(copy, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (x < 0 || y < 0)
		return skf_fail_sys(e, x < 0 ? x : y, "open '%.200s'", name);
	r = skf_treecopy_same_xattrs(x, y, s->ids, true);
	if (r <= 0)
		return r < 0 ? skf_fail_sys(e, r, "read the attributes of '%.200s'", name)
			     : differs(s, name, "its attributes differ");
	return S_ISDIR(a.st_mode) ? same_dir(s, x, y, depth + 1, e) : 1;
}

/* Each name of one directory in both (look: both ways), or only that there is no other in the copy. */
static int same_names(struct same *s, int list, int tree, int copy, bool look, unsigned depth,
		      struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(list, ".", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	struct stat st;
	int r = 1;

	if (!d)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "read a directory of a layer's copy");
	(void)SKF_TAKE_FD(fd);
	while (r == 1 && (de = readdir(d))) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (look)
			r = same_entry(s, tree, copy, de->d_name, depth, e);
		else if (fstatat(tree, de->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			r = differs(s, de->d_name, "the layer has no such file");
	}
	return r;
}

static int same_dir(struct same *s, int tree, int copy, unsigned depth, struct skf_err *e)
{
	int r;

	if (depth > SKF_MAX_TAR_DEPTH)
		return skf_fail(e, SKF_ELIMIT, "a layer lies more than %d directories deep",
				SKF_MAX_TAR_DEPTH);
	r = same_names(s, tree, tree, copy, true, depth, e);
	return r == 1 ? same_names(s, copy, tree, copy, false, depth, e) : r;
}

int skf_treecopy_same(int tree, int copy, const struct skf_idmaps *ids, char *why, size_t size,
		      struct skf_err *e)
{
	struct same s = {ids, why, size};
	struct stat a, b;
	int r;

	if (fstat(tree, &a) < 0 || fstat(copy, &b) < 0)
		return skf_fail_sys(e, -errno, "look at a layer's copy");
	r = same_stat(&s, ".", &a, &b);
	return r == 1 ? same_dir(&s, tree, copy, 0, e) : r;
}
