/* sys/path.c -- paths below an untrusted root, by openat2 (man 2 openat2).
 *
 * Invariants:
 *  1. No call here hands a path of more than one component to the kernel without RESOLVE_IN_ROOT (or
 *     RESOLVE_BENEATH) of the root that the caller named.
 *  2. What is made (mkdirat, mknodat) is made by one component below a directory fd that was resolved in the
 *     root, so that an exchanged link can redirect it to another place inside the root at most.
 *  3. Every loop is bounded: -EAGAIN of the kernel by RETRIES, dangling links by SKF_MAX_SYMLINK_DEPTH.
 *
 * Nothing here blocks except on a slow file system. */
#include "sys/path.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "sys/mount.h"
#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <unistd.h>

enum { RETRIES = 128 };
#define PROC_ROOT_INO 1 /* the kernel's, the same in every instance */

static int openat2_retry(int dirfd, const char *path, int flags, mode_t mode, uint64_t resolve)
{
	struct open_how how = {
		.flags = (uint64_t)(unsigned)flags | O_CLOEXEC,
		.mode = flags & (O_CREAT | __O_TMPFILE) ? mode & 07777 : 0,
		.resolve = resolve,
	};

	if (!(flags & O_PATH))
		how.flags |= O_NOCTTY;
	for (int i = 0; i < RETRIES; i++) {
		long fd = syscall(SYS_openat2, dirfd, path, &how, sizeof(how));
		if (fd >= 0)
			return (int)fd;
		/* EAGAIN: a rename or mount somewhere else raced with "..", the kernel cannot tell whether
		 * we left the root. */
		if (errno != EAGAIN && errno != EINTR)
			return skf_errno();
	}
	return -EAGAIN;
}

int skf_path_open(int rootfd, const char *path, int flags, mode_t mode)
{
	return openat2_retry(rootfd, *path ? path : ".", flags, mode,
			     RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

int skf_path_open_nofollow(int rootfd, const char *path, int flags, mode_t mode)
{
	return skf_path_open(rootfd, path, flags | O_NOFOLLOW, mode);
}

int skf_path_open_nolinks(int rootfd, const char *path, int flags, mode_t mode)
{
	return openat2_retry(rootfd, *path ? path : ".", flags, mode,
			     RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | RESOLVE_NO_SYMLINKS);
}

/* Puts the target of the dangling link prefix[0..n) (its last component is `name` below dir) in the place of
 * that prefix: "a/link/rest" becomes "a/<target>/rest", or "<target>/rest" for an absolute target. */
static int splice_link(int dir, const char *name, char path[PATH_MAX], size_t n)
{
	char target[PATH_MAX], rest[PATH_MAX];
	size_t keep = n - strlen(name);

	ssize_t r = readlinkat(dir, name, target, sizeof(target));
	if (r < 0) /* no link any more: somebody exchanged it, walk again */
		return errno == EINVAL || errno == ENOENT ? 0 : skf_errno();
	if (r == 0 || (size_t)r >= sizeof(target))
		return -ENAMETOOLONG;
	target[r] = '\0';
	if (target[0] == '/')
		keep = 0;
	if (skf_fmt(rest, sizeof(rest), "%s", path + n) < 0)
		return -ENAMETOOLONG;
	return skf_fmt(path + keep, PATH_MAX - keep, "%s%s", target, rest);
}

/* One walk over path, making what is missing. 0 with *ret_fd, 1 when path was rewritten because of a
 * dangling link. */
static int mkdirs_walk(int rootfd, char path[PATH_MAX], mode_t mode, int *ret_fd)
{
	SKF_AUTO_FD int dir = skf_path_open(rootfd, ".", O_PATH | O_DIRECTORY, 0);
	if (dir < 0)
		return dir;
	for (size_t at = 0;;) {
		at += strspn(path + at, "/");
		size_t len = strcspn(path + at, "/"), end = at + len;
		char name[NAME_MAX + 1];

		if (len == 0)
			break;
		if (len > NAME_MAX)
			return -ENAMETOOLONG;
		memcpy(name, path + at, len);
		name[len] = '\0';
		char cut = path[end];
		path[end] = '\0';
		int fd = skf_path_open(rootfd, path, O_PATH | O_DIRECTORY, 0);
		if (fd == -ENOENT && mkdirat(dir, name, mode) == 0)
			fd = skf_path_open(rootfd, path, O_PATH | O_DIRECTORY, 0);
		else if (fd == -ENOENT && errno != EEXIST)
			fd = skf_errno();
		path[end] = cut;
		if (fd == -ENOENT) { /* the name exists and leads nowhere: a dangling link */
			int r = splice_link(dir, name, path, end);
			return r < 0 ? r : 1;
		}
		if (fd < 0)
			return fd;
		skf_closep(&dir);
		dir = fd;
		at = end;
	}
	*ret_fd = SKF_TAKE_FD(dir);
	return 0;
}

/* Only the last component is missing, as for most mount points. -ENOENT: the walk has to find out more. */
static int mkdir_last(int rootfd, const char *path, mode_t mode)
{
	char name[NAME_MAX + 1];

	SKF_AUTO_FD int dir = skf_path_parent(rootfd, path, false, name, sizeof(name));
	if (dir < 0 || mkdirat(dir, name, mode) < 0)
		return -ENOENT;
	return openat2_retry(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0, RESOLVE_BENEATH);
}

int skf_path_mkdirs(int rootfd, const char *path, mode_t mode)
{
	char work[PATH_MAX];

	int fd = skf_path_open(rootfd, path, O_PATH | O_DIRECTORY, 0);
	if (fd == -ENOENT)
		fd = mkdir_last(rootfd, path, mode);
	if (fd != -ENOENT)
		return fd;
	int r = skf_fmt(work, sizeof(work), "%s", path);
	if (r < 0)
		return r;
	for (int depth = 0; depth <= SKF_MAX_SYMLINK_DEPTH; depth++) {
		r = mkdirs_walk(rootfd, work, mode, &fd);
		if (r <= 0)
			return r < 0 ? r : fd;
	}
	return -ELOOP;
}

int skf_path_parent(int rootfd, const char *path, bool create, char *name, size_t name_size)
{
	char dir[PATH_MAX];

	const char *slash = strrchr(path, '/'), *base = slash ? slash + 1 : path;
	if (!*base || skf_streq(base, ".") || skf_streq(base, ".."))
		return -EINVAL;
	int r = skf_fmt(dir, sizeof(dir), "%.*s", (int)(base - path), path);
	if (r == 0)
		r = skf_fmt(name, name_size, "%s", base);
	if (r < 0)
		return r;
	if (create)
		return skf_path_mkdirs(rootfd, dir, 0755);
	return skf_path_open(rootfd, dir, O_PATH | O_DIRECTORY, 0);
}

/* Opens or makes the last component. 1 when work was rewritten because it is a dangling link. */
static int mount_file_try(int rootfd, char work[PATH_MAX], int *ret_fd)
{
	char name[NAME_MAX + 1];

	SKF_AUTO_FD int fd = skf_path_open(rootfd, work, O_PATH, 0);
	if (fd >= 0) {
		struct stat st;
		if (fstat(fd, &st) < 0)
			return skf_errno();
		if (S_ISDIR(st.st_mode))
			return -EISDIR;
		*ret_fd = SKF_TAKE_FD(fd);
		return 0;
	}
	if (fd != -ENOENT)
		return fd;
	SKF_AUTO_FD int dir = skf_path_parent(rootfd, work, true, name, sizeof(name));
	if (dir < 0)
		return dir;
	if (mknodat(dir, name, S_IFREG | 0644, 0) < 0 && errno != EEXIST)
		return skf_errno();
	int r = openat2_retry(dir, name, O_PATH | O_NOFOLLOW, 0, RESOLVE_BENEATH);
	if (r < 0)
		return r;
	fd = r;
	struct stat st;
	if (fstat(fd, &st) < 0)
		return skf_errno();
	if (S_ISLNK(st.st_mode)) {
		r = splice_link(dir, name, work, strlen(work));
		return r < 0 ? r : 1;
	}
	if (S_ISDIR(st.st_mode))
		return -EISDIR;
	*ret_fd = SKF_TAKE_FD(fd);
	return 0;
}

int skf_path_mount_file(int rootfd, const char *path)
{
	char work[PATH_MAX];
	int fd = -EBADF;

	int r = skf_fmt(work, sizeof(work), "%s", path);
	if (r < 0)
		return r;
	for (int depth = 0; depth <= SKF_MAX_SYMLINK_DEPTH; depth++) {
		r = mount_file_try(rootfd, work, &fd);
		if (r <= 0)
			return r < 0 ? r : fd;
	}
	return -ELOOP;
}

void skf_path_of_fd(int fd, char out[32])
{
	/* 14 characters and at most 11 digits: cannot be cut. */
	snprintf(out, 32, "/proc/self/fd/%d", fd);
}

int skf_path_readlink_fd(int fd, char *out, size_t size)
{
	char link[32];

	skf_path_of_fd(fd, link);
	ssize_t n = readlinkat(AT_FDCWD, link, out, size);
	if (n < 0)
		return skf_errno();
	if ((size_t)n >= size)
		return -ENAMETOOLONG;
	out[n] = '\0';
	return 0;
}

static bool has_magic(int fd, unsigned long magic)
{
	struct statfs f;
	return fstatfs(fd, &f) == 0 && (unsigned long)f.f_type == magic;
}

bool skf_path_is_procfs(int fd)
{
	return has_magic(fd, PROC_SUPER_MAGIC);
}

bool skf_path_is_sysfs(int fd)
{
	return has_magic(fd, SYSFS_MAGIC);
}

int skf_path_open_procfs(void)
{
	SKF_AUTO_FD int fs = skf_fsopen("proc");
	if (fs >= 0 && skf_fsconfig_create(fs) == 0) {
		int m = skf_fsmount(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
		if (m >= 0)
			return m;
	}
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return fd;
	struct stat st;
	if (fstat(fd, &st) < 0)
		return skf_errno();
	if (st.st_ino != PROC_ROOT_INO || !skf_path_is_procfs(fd))
		return -EXDEV;
	return SKF_TAKE_FD(fd);
}

int skf_path_open_in_proc(int procfd, const char *path, int flags)
{
	SKF_AUTO_FD int fd = openat2_retry(procfd, path, flags, 0,
					   RESOLVE_BENEATH | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS |
						   RESOLVE_NO_SYMLINKS);
	if (fd < 0)
		return fd;
	if (!skf_path_is_procfs(fd))
		return -EXDEV;
	return SKF_TAKE_FD(fd);
}
