/* base/fd.h -- file descriptors: O_CLOEXEC from birth, borrowed by default, consumed only through a pointer.
 * A parameter "fd" is borrowed; "int *fd_own" is consumed on every path. Everything returns -errno on
 * failure. */
#pragma once
#include "base/fwd.h"
#include <dirent.h>

static inline bool skf_fd_ok(int fd)
{
	return fd >= 0;
}
void skf_closep(int *fd); /* ignores fd < 0, keeps errno, sets -EBADF */
void skf_closedirp(DIR **d);
/* For a descriptor whose last close waits for the kernel (a grace period, a flush): the kernel closes it a
 * little later by itself. Nobody may rely on when. Where that is not possible it is closed here. */
void skf_close_later(int *fd_own);
/* open(2) with O_CLOEXEC|O_NOCTTY, EINTR retried. For paths that skiff itself chose; for paths below a
 * foreign root see sys/path.h. */
int skf_openat(int dirfd, const char *path, int flags, mode_t mode);
/* dup with FD_CLOEXEC at 3 or above. */
int skf_dup_cloexec(int fd);
int skf_set_cloexec(int fd, bool on);
int skf_set_nonblock(int fd, bool on);
/* Two ends, both CLOEXEC. flags: O_NONBLOCK for pipes. */
int skf_pipe(int ret[2], int flags);
int skf_socketpair_seqpacket(int ret[2]);
/* close_range(first, ~0U, CLOSE_RANGE_CLOEXEC): nothing above survives an execve. */
int skf_cloexec_from(unsigned first);
int skf_close_from(unsigned first);

/* Exactly n bytes or an error (-EPIPE at EOF for read). */
int skf_read_full(int fd, void *p, size_t n);
int skf_write_full(int fd, const void *p, size_t n);
/* Whole file into *b (appended). -EFBIG when it has more than max bytes. Regular files, procfs and cgroupfs.
 */
int skf_read_file_at(int dirfd, const char *path, size_t max, struct skf_buf *b);
int skf_read_fd(int fd, size_t max, struct skf_buf *b);
/* One write(2) of the whole of s to an existing file (O_WRONLY, no O_CREAT): sysctl and cgroup files. */
int skf_write_existing_at(int dirfd, const char *path, const char *s);

enum { SKF_SYNC = 1, SKF_NOREPLACE = 2 };
/* Writes beside (".<name>.<random>"), optionally fsyncs file and directory, renames over `name` (a single
 * component). With SKF_NOREPLACE -EEXIST when it exists. Nothing is left behind on failure. */
int skf_write_atomic_at(int dirfd, const char *name, const void *p, size_t n, mode_t mode, unsigned flags);
struct skf_new_file {
	int dirfd; /* borrowed */
	const char *name;
	const void *p;
	size_t n;
	unsigned flags; /* SKF_NOREPLACE: one that is there already stays, which is no error */
};
#define SKF_NEW_FILES_MAX 8
/* Several small files, mode 0600, as skf_write_atomic_at with SKF_SYNC writes each: all are on the disk
 * before the first has its name, names come in order, directories are synced at the end. The disk is waited
 * for twice instead of twice for each. On failure the first of them may be in place. -E2BIG: more than
 * SKF_NEW_FILES_MAX. */
int skf_write_files(const struct skf_new_file *v, size_t n);
/* mkdir that treats an existing directory as success. */
int skf_mkdir_at(int dirfd, const char *path, mode_t mode);
/* mkdir -p below dirfd for a path of skiff's own making; returns an O_DIRECTORY fd of the last component. */
int skf_mkdirs_at(int dirfd, const char *path, mode_t mode);
/* rm -rf of dirfd/name without following any link and without crossing a mount; -ENOENT is success. */
int skf_rmtree_at(int dirfd, const char *name);

/* Open-file-description locks on whole files. timeout_ms 0: try once; < 0 is not allowed (no endless waits).
 * Returns the locked fd (O_RDWR|O_CREAT 0600); -EAGAIN / -ETIMEDOUT when somebody else holds it. */
int skf_lock_at(int dirfd, const char *name, bool exclusive, int timeout_ms);
/* 1 when somebody holds a conflicting lock, 0 when free, -errno. */
int skf_lock_held_at(int dirfd, const char *name);
