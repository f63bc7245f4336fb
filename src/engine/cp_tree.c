/* engine/cp_tree.c -- copies a file or a tree from one directory descriptor to another: what cp does once
 * both ends are found.
 *
 * Invariants: 1. a name is one component, opened by its directory's descriptor and never followed; what was
 * opened is looked at again, because a container may exchange names meanwhile (T29); so nothing outside of
 * the two directories is read or written; 2. nothing of either tree is executed or interpreted; 3. an
 * existing file is replaced, a file that is a mount point is written in place; 4. what cannot be copied ends
 * the copy with its name; what was copied before stays, as with cp(1). Blocks on both file systems. */
#include "engine/cp_int.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CHUNK (1u << 20)

static int fail(int r, const char *what, const char *name, struct skf_err *e)
{
	return skf_fail_sys(e, r, "%s '%s'", what, name);
}

/* Whole file, with reflinks where the file system can; a file that shrinks meanwhile is short, as it is
 * then. */
static int copy_data(int from, int to)
{
	for (;;) {
		ssize_t n = copy_file_range(from, NULL, to, NULL, CHUNK * 64, 0);

		if (n == 0)
			return 0;
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && (errno == EXDEV || errno == EINVAL || errno == EOPNOTSUPP || errno == ENOSYS ||
			      errno == EBADF))
			break;
		if (n < 0)
			return -errno;
	}
	for (;;) {
		ssize_t n = sendfile(to, from, NULL, CHUNK);

		if (n == 0)
			return 0;
		if (n < 0 && errno != EINTR)
			return -errno;
	}
}

int skf_cp_owner_of(const struct skf_cp *c, uint32_t uid, uint32_t gid, uid_t *ret_uid, gid_t *ret_gid)
{
	return skf_idmap_to_host(&c->to.uids, c->archive ? uid : c->uid, ret_uid) &&
			       skf_idmap_to_host(&c->to.gids, c->archive ? gid : c->gid, ret_gid)
		       ? 0
		       : -EOVERFLOW;
}

int skf_cp_owner(const struct skf_cp *c, const struct stat *st, uid_t *ret_uid, gid_t *ret_gid)
{
	return skf_cp_owner_of(c, skf_idmap_owner(&c->from.uids, st->st_uid),
			       skf_idmap_owner(&c->from.gids, st->st_gid), ret_uid, ret_gid);
}

static int own_at(const struct skf_cp *c, int dir, const char *name, const struct stat *st)
{
	uid_t uid;
	gid_t gid;
	int r = skf_cp_owner(c, st, &uid, &gid);

	return r == 0 && fchownat(dir, name, uid, gid, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : r;
}

/* Owner before mode, because chown clears set-id bits. */
static int set_owner_and_mode(const struct skf_cp *c, int fd, const struct stat *st)
{
	uid_t uid;
	gid_t gid;
	int r = skf_cp_owner(c, st, &uid, &gid);

	if (r < 0)
		return r;
	if (fchown(fd, uid, gid) < 0 || fchmod(fd, st->st_mode & 07777) < 0)
		return -errno;
	return 0;
}

static int set_times(int fd, const struct stat *st)
{
	const struct timespec t[2] = {{.tv_nsec = UTIME_OMIT}, st->st_mtim};

	return futimens(fd, t) < 0 ? -errno : 0;
}

/* With -a: attributes of users and file capabilities; labels belong to the place. */
static void copy_attributes(const struct skf_cp *c, int from, int to)
{
	char names[4096], value[SKF_MAX_XATTR_BYTES];
	ssize_t n = c->archive ? flistxattr(from, names, sizeof(names)) : 0;

	for (const char *p = names; n > 0 && p < names + n; p += strlen(p) + 1) {
		ssize_t size;

		if (strncmp(p, "user.", 5) != 0 && strcmp(p, "security.capability") != 0)
			continue;
		size = fgetxattr(from, p, value, sizeof(value));
		if (size >= 0)
			(void)fsetxattr(
				to, p, value, (size_t)size,
				0); /* where the file system has none, as cp(1) without --preserve=all */
	}
}

/* A new file; what stands there goes first, unless it is a mount point. */
static int make_file(int dir, const char *name)
{
	int fd = skf_openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);

	if (fd != -EEXIST)
		return fd;
	if (unlinkat(dir, name, 0) < 0 && errno != EBUSY)
		return -errno;
	fd = skf_openat(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	return fd == -EEXIST ? skf_openat(dir, name, O_WRONLY | O_TRUNC | O_NOFOLLOW | O_NONBLOCK, 0) : fd;
}

static int copy_file(const struct skf_cp *c, int sdir, const char *sname, int ddir, const char *dname,
		     struct skf_err *e)
{
	SKF_AUTO_FD int from = skf_openat(sdir, sname, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0), to = -EBADF;
	struct stat st;
	int r;

	if (from < 0 || fstat(from, &st) < 0)
		return fail(from < 0 ? from : -errno, "open", sname, e);
	if (!S_ISREG(st.st_mode))
		return skf_fail(e, SKF_ECONFLICT, "'%s' was exchanged while it was being copied", sname);
	to = make_file(ddir, dname);
	if (to < 0)
		return fail(to, "make", dname, e);
	r = copy_data(from, to);
	if (r == 0)
		copy_attributes(c, from, to);
	if (r == 0)
		r = set_owner_and_mode(c, to, &st);
	if (r == 0)
		r = set_times(to, &st);
	return r < 0 ? fail(r, "copy", sname, e) : 0;
}

static int copy_link(const struct skf_cp *c, int sdir, const char *sname, int ddir, const char *dname,
		     const struct stat *st, struct skf_err *e)
{
	char target[PATH_MAX];
	ssize_t n = readlinkat(sdir, sname, target, sizeof(target) - 1);
	int r;

	if (n < 0)
		return fail(-errno, "read the link", sname, e);
	target[n] = '\0';
	if (symlinkat(target, ddir, dname) < 0 &&
	    (errno != EEXIST || unlinkat(ddir, dname, 0) < 0 || symlinkat(target, ddir, dname) < 0))
		return fail(-errno, "make the link", dname, e);
	r = own_at(c, ddir, dname, st);
	return r < 0 ? fail(r, "own the link", dname, e) : 0;
}

static int copy_special(const struct skf_cp *c, int ddir, const char *dname, const struct stat *st,
			struct skf_err *e)
{
	int r;

	if (S_ISSOCK(st->st_mode))
		return 0; /* nothing listens at a copy; tar leaves them out, too */
	if (unlinkat(ddir, dname, 0) < 0 && errno != ENOENT)
		return fail(-errno, "replace", dname, e);
	if (mknodat(ddir, dname, st->st_mode & (S_IFMT | 0777), st->st_rdev) < 0)
		return fail(-errno, "make", dname, e);
	r = own_at(c, ddir, dname, st);
	return r < 0 ? fail(r, "own", dname, e) : 0;
}

bool skf_cp_is_kernels(int dir)
{
	static const uint32_t types[] = {PROC_SUPER_MAGIC, SYSFS_MAGIC, CGROUP_SUPER_MAGIC,
					 CGROUP2_SUPER_MAGIC, DEVPTS_SUPER_MAGIC};
	struct statfs st;

	for (size_t i = 0; fstatfs(dir, &st) == 0 && i < SKF_ARRAY_LEN(types); i++)
		if ((uint32_t)st.f_type == types[i])
			return true;
	return false;
}

int skf_cp_content(const struct skf_cp *c, int sdir, int ddir, unsigned depth, struct skf_err *e)
{
	SKF_AUTO_FD int again = skf_openat(sdir, ".", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = again < 0 ? NULL : fdopendir(again);
	struct dirent *de;

	if (!d)
		return skf_fail_sys(e, again < 0 ? again : -errno, "list a directory of the copy");
	(void)SKF_TAKE_FD(again); /* d closes it */
	if (depth > SKF_MAX_TAR_DEPTH)
		return skf_fail(e, SKF_ELIMIT, "the tree is deeper than %d directories", SKF_MAX_TAR_DEPTH);
	while ((de = readdir(d)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0 &&
		    skf_cp_entry(c, sdir, de->d_name, ddir, de->d_name, depth, e) < 0)
			return -1;
	return 0;
}

static int copy_dir(const struct skf_cp *c, int sdir, const char *sname, int ddir, const char *dname,
		    unsigned depth, struct skf_err *e)
{
	SKF_AUTO_FD int from = skf_openat(sdir, sname, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0), to = -EBADF;
	struct stat st;
	bool made;
	int r;

	if (from < 0 || fstat(from, &st) < 0)
		return fail(from < 0 ? from : -errno, "open the directory", sname, e);
	made = mkdirat(ddir, dname, 0700) == 0;
	if (!made && errno != EEXIST)
		return fail(-errno, "make the directory", dname, e);
	to = skf_openat(ddir, dname, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (to < 0)
		return fail(to, "open the directory", dname, e);
	if (!skf_cp_is_kernels(from) && skf_cp_content(c, from, to, depth + 1, e) < 0)
		return skf_ctx(e, "'%s'", sname);
	copy_attributes(c, from, to);
	r = set_owner_and_mode(c, to, &st);
	if (r == 0)
		r = set_times(to, &st);
	return r < 0 ? fail(r, "copy the directory", sname, e) : 0;
}

int skf_cp_entry(const struct skf_cp *c, int sdir, const char *sname, int ddir, const char *dname,
		 unsigned depth, struct skf_err *e)
{
	struct stat st;

	if (fstatat(sdir, sname, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT && depth
			       ? 0
			       : fail(-errno, "look at", sname, e); /* gone since the directory was read */
	switch (st.st_mode & S_IFMT) {
	case S_IFREG:
		return copy_file(c, sdir, sname, ddir, dname, e);
	case S_IFDIR:
		return copy_dir(c, sdir, sname, ddir, dname, depth, e);
	case S_IFLNK:
		return copy_link(c, sdir, sname, ddir, dname, &st, e);
	default:
		return copy_special(c, ddir, dname, &st, e);
	}
}
