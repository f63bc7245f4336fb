/* store/unpack_meta.c -- owner, mode, extended attributes and times of what was unpacked, by file
 * descriptor.
 *
 * Order (each later step would be undone by an earlier one): data, owner (clears set-id bits and
 * capabilities), mode, attributes, times.
 *
 * Attributes: security.capability, user.* (never user.overlay.*) and POSIX ACLs are kept; everything else of
 * a foreign archive (trusted.*, security.selinux, ...) is dropped, as it is policy of the machine and not
 * content. What the file system cannot hold (ENOTSUP), and what this user may not set (EPERM, rootless), is
 * left out and counted, as docker and containerd do; every other failure is an error. A default ACL waits
 * until the tree is complete, because it would be inherited by the files still to come. Nothing blocks but
 * the disk. */
#include "base/buf.h"
#include "base/fd.h"
#include "store/unpack_int.h"
#include <archive.h>
#include <archive_entry.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

#define ACL_ACCESS     "system.posix_acl_access"
#define ACL_DEFAULT    "system.posix_acl_default"
#define OPAQUE_TRUSTED "trusted.overlay.opaque"
#define OPAQUE_USER    "user.overlay.opaque"

int skf_tree_fail(struct skf_err *e, int r, const char *what, const char *path)
{
	if (r == -ENOSPC || r == -EDQUOT)
		return skf_fail(e, SKF_ELIMIT,
				"no space left on the disk (or in the quota) of the store at entry "
				"'%.200s'; free some, or run "
				"'skiff system prune'",
				path);
	return skf_fail_sys(e, r, "%s '%.200s'", what, path);
}

int skf_meta_of(struct archive_entry *ae, const char *path, struct skf_meta *ret, struct skf_err *e)
{
	int64_t uid = archive_entry_uid(ae), gid = archive_entry_gid(ae);
	long ns = archive_entry_mtime_nsec(ae);

	if (uid < 0 || gid < 0 || uid > UINT32_MAX - 1 || gid > UINT32_MAX - 1)
		return skf_fail(
			e, SKF_EINVALID,
			"entry '%.200s' has the owner %lld:%lld, expected numbers from 0 to 4294967294",
			path, (long long)uid, (long long)gid);
	ret->uid = (uint32_t)uid;
	ret->gid = (uint32_t)gid;
	ret->mode = archive_entry_mode(ae) & 07777;
	ret->mtime.tv_sec = archive_entry_mtime(ae);
	ret->mtime.tv_nsec = ns >= 0 && ns < 1000000000 ? ns : 0;
	return 0;
}

/* --- extended attributes --- */

bool skf_xattr_kept(const char *name)
{
	if (skf_startswith(name, "user."))
		return !skf_startswith(name, "user.overlay.") && name[5] != 0;
	return skf_streq(name, "security.capability") || skf_streq(name, ACL_ACCESS) ||
	       skf_streq(name, ACL_DEFAULT);
}

static int defer_acl(struct skf_tree *t, int fd, const char *path, const void *v, size_t n,
		     struct skf_err *e)
{
	struct skf_inodes *x = &t->inodes;
	struct skf_inode *i;
	struct stat st;
	void *copy;

	if (fstat(fd, &st) < 0)
		return skf_tree_fail(e, -errno, "look at", path);
	if (!S_ISDIR(st.st_mode))
		return 0; /* only directories have one */
	if (n > SKF_UNPACK_MAX_ACL_BYTES - x->acl_bytes)
		return skf_fail(e, SKF_ELIMIT,
				"entry '%.200s': the default ACLs of this layer have more than %u bytes",
				path, SKF_UNPACK_MAX_ACL_BYTES);
	if (x->n_acl == x->cap_acl) {
		size_t cap = x->cap_acl ? x->cap_acl * 2 : 16;
		struct skf_acl *p = reallocarray(x->acl, cap, sizeof(*p));

		if (!p)
			return skf_fail(e, SKF_ENOMEM, "no memory for the ACL of '%.200s'", path);
		x->acl = p;
		x->cap_acl = cap;
	}
	copy = malloc(n ? n : 1);
	i = copy ? skf_inodes_get(x, st.st_ino) : NULL;
	if (!i) {
		free(copy);
		return skf_fail(e, SKF_ENOMEM, "no memory for the ACL of '%.200s'", path);
	}
	if (n)
		memcpy(copy, v, n);
	x->acl[x->n_acl++] = (struct skf_acl){copy, n};
	x->acl_bytes += n;
	i->acl = (uint32_t)x->n_acl;
	return 1;
}

int skf_tree_set_xattr(struct skf_tree *t, int fd, const char *path, const char *name, const void *v,
		       size_t n, struct skf_err *e)
{
	if (!skf_xattr_kept(name))
		return 0;
	if (skf_streq(name, ACL_DEFAULT))
		return defer_acl(t, fd, path, v, n, e);
	if (fsetxattr(fd, name, n ? v : "", n, 0) == 0)
		return 1;
	if (errno == ENOTSUP || errno == EPERM) {
		t->n_skipped_xattrs++;
		return 0;
	}
	return skf_fail_sys(e, -errno, "set the extended attribute '%.80s' of '%.200s'", name, path);
}

static int set_xattrs(struct skf_tree *t, int fd, struct archive_entry *ae, const char *path, bool *ret_any,
		      struct skf_err *e)
{
	size_t n, total = 0;
	uint32_t count = 0;
	const char *name;
	const void *v;

	*ret_any = false;
	if (archive_entry_xattr_reset(ae) == 0)
		return 0;
	while (archive_entry_xattr_next(ae, &name, &v, &n) == ARCHIVE_OK) {
		int r;

		if (++count > t->lim.xattrs)
			return skf_fail(e, SKF_ELIMIT, "entry '%.200s' has more than %u extended attributes",
					path, t->lim.xattrs);
		total += n;
		if (n > t->lim.xattr_bytes || total > (size_t)t->lim.xattr_bytes * 4)
			return skf_fail(e, SKF_ELIMIT,
					"entry '%.200s' has extended attributes of more than %u bytes", path,
					t->lim.xattr_bytes);
		r = name ? skf_tree_set_xattr(t, fd, path, name, v, n, e) : 0;
		if (r < 0)
			return -1;
		*ret_any |= r > 0;
	}
	return 0;
}

static int by_string(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static bool in_digest(const char *name)
{
	return skf_xattr_kept(name) || skf_streq(name, OPAQUE_TRUSTED) || skf_streq(name, OPAQUE_USER);
}

static int hash_xattr(int fd, const char *name, char *value, size_t size, struct skf_hash *h,
		      struct skf_err *e)
{
	ssize_t n = fgetxattr(fd, name, value, size);
	uint8_t len[8];

	if (n < 0)
		return skf_fail_sys(e, -errno, "read the extended attribute '%.80s'", name);
	for (int i = 0; i < 8; i++)
		len[i] = (uint8_t)((uint64_t)n >> (8 * i));
	if (skf_hash_add(h, name, strlen(name) + 1, e) < 0 || skf_hash_add(h, len, sizeof(len), e) < 0)
		return -1;
	return skf_hash_add(h, value, (size_t)n, e);
}

int skf_xattr_digest(int fd, struct skf_hash *h, uint8_t out[32], struct skf_err *e)
{
	SKF_AUTO_FREE char *list = malloc(SKF_MAX_XATTR_BYTES * 2);
	SKF_AUTO_FREE char **names = NULL;
	size_t n = 0;
	ssize_t len;

	if (!list)
		return skf_fail(e, SKF_ENOMEM, "no memory for extended attributes");
	len = flistxattr(fd, list, SKF_MAX_XATTR_BYTES);
	if (len == 0 || (len < 0 && errno == ENOTSUP))
		return 0;
	if (len < 0)
		return skf_fail_sys(e, -errno, "list extended attributes");
	names = calloc((size_t)len, sizeof(*names));
	if (!names)
		return skf_fail(e, SKF_ENOMEM, "no memory for extended attributes");
	for (char *p = list; p < list + len; p += strlen(p) + 1)
		if (in_digest(p))
			names[n++] = p;
	if (n == 0)
		return 0;
	qsort(names, n, sizeof(*names), by_string);
	for (size_t i = 0; i < n; i++)
		if (hash_xattr(fd, names[i], list + SKF_MAX_XATTR_BYTES, SKF_MAX_XATTR_BYTES, h, e) < 0)
			return -1;
	return skf_hash_end_raw(h, out, e) < 0 ? -1 : 1;
}

/* A mount with `userxattr` reads the user.* form; it is the only one that a user namespace may set. */
int skf_set_opaque(int fd)
{
	if (fsetxattr(fd, OPAQUE_TRUSTED, "y", 1, 0) == 0)
		return 0;
	if (errno != EPERM)
		return -errno;
	return fsetxattr(fd, OPAQUE_USER, "y", 1, 0) < 0 ? -errno : 0;
}

/* --- owner, mode, times --- */

static int owner_fail(struct skf_err *e, int r, const struct skf_meta *m, const char *path)
{
	if (r == -EINVAL)
		return skf_fail(e, SKF_EINVALID,
				"entry '%.200s' belongs to %u:%u, which this user namespace does not map; "
				"add subordinate ids",
				path, m->uid, m->gid);
	if (r == -EPERM)
		return skf_fail(
			e, SKF_EDENIED,
			"entry '%.200s' belongs to %u:%u; unpacking needs the right to change owners", path,
			m->uid, m->gid);
	return skf_tree_fail(e, r, "set the owner of", path);
}

int skf_tree_file_meta(struct skf_tree *t, int fd, const struct stat *st, const struct skf_meta *m,
		       struct archive_entry *ae, const char *path, bool *ret_has_xattr, struct skf_err *e)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, m->mtime};
	bool chowned = st->st_uid != m->uid || st->st_gid != m->gid;

	if (chowned && fchown(fd, m->uid, m->gid) < 0)
		return owner_fail(e, -errno, m, path);
	if (((st->st_mode & 07777) != m->mode || (chowned && m->mode & 06000)) && fchmod(fd, m->mode) < 0)
		return skf_tree_fail(e, -errno, "set the mode of", path);
	if (ae && set_xattrs(t, fd, ae, path, ret_has_xattr, e) < 0)
		return -1;
	if (futimens(fd, times) < 0)
		return skf_tree_fail(e, -errno, "set the times of", path);
	return 0;
}

int skf_tree_dir_xattrs(struct skf_tree *t, int fd, struct archive_entry *ae, const char *path,
			bool *ret_any, struct skf_err *e)
{
	return set_xattrs(t, fd, ae, path, ret_any, e);
}

/* Symbolic links and device nodes, which cannot be opened for this: by single name below the parent, never
 * followed. */
int skf_tree_link_meta(int parent, const char *name, const struct skf_meta *m, const char *path,
		       struct skf_err *e)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, m->mtime};

	if (fchownat(parent, name, m->uid, m->gid, AT_SYMLINK_NOFOLLOW) < 0)
		return owner_fail(e, -errno, m, path);
	if (utimensat(parent, name, times, AT_SYMLINK_NOFOLLOW) < 0)
		return skf_tree_fail(e, -errno, "set the times of", path);
	return 0;
}

static int finish_acl(struct skf_tree *t, int fd, const struct skf_acl *acl, const char *path,
		      struct skf_err *e)
{
	if (fsetxattr(fd, ACL_DEFAULT, acl->p, acl->n, 0) == 0)
		return 0;
	if (errno == ENOTSUP || errno == EPERM) {
		t->n_skipped_xattrs++;
		return 0;
	}
	return skf_fail_sys(e, -errno, "set the default ACL of '%.200s'", path);
}

/* A directory once nothing more will be made in it. */
int skf_tree_dir_finish(struct skf_tree *t, int fd, const struct skf_inode *i, const char *path,
			struct skf_err *e)
{
	const struct skf_meta m = {
		.uid = i->dir.uid, .gid = i->dir.gid, .mode = i->dir.mode, .mtime = i->dir.mtime};
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, m.mtime};

	if (fchown(fd, m.uid, m.gid) < 0)
		return owner_fail(e, -errno, &m, path);
	if (fchmod(fd, m.mode) < 0)
		return skf_tree_fail(e, -errno, "set the mode of", path);
	if (i->acl && finish_acl(t, fd, &t->inodes.acl[i->acl - 1], path, e) < 0)
		return -1;
	if (i->flags & SKF_INO_META && futimens(fd, times) < 0)
		return skf_tree_fail(e, -errno, "set the times of", path);
	return 0;
}
