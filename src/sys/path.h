/* sys/path.h -- the only door to paths below a root that we do not trust (rootfs, layer, volume, state of
 * others).
 *
 * Everything is (rootfd, relative path) through openat2(RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS): an
 * absolute path or symlink means "below rootfd", ".." cannot leave it. Races with renames give -EAGAIN
 * inside the kernel; the wrappers retry a bounded number of times. All return -errno; fds have O_CLOEXEC.
 * man 2 openat2. */
#pragma once
#include "base/fwd.h"

/* flags as open(2), O_CLOEXEC added; mode only with O_CREAT. */
int skf_path_open(int rootfd, const char *path, int flags, mode_t mode);
/* The same, and the last component is never followed (O_NOFOLLOW; O_PATH gives the link itself). */
int skf_path_open_nofollow(int rootfd, const char *path, int flags, mode_t mode);
/* No symlink anywhere in path (RESOLVE_NO_SYMLINKS). */
int skf_path_open_nolinks(int rootfd, const char *path, int flags, mode_t mode);
/* mkdir -p in root; existing links are followed inside the root. Returns an O_PATH|O_DIRECTORY fd of the
 * last one. */
int skf_path_mkdirs(int rootfd, const char *path, mode_t mode);
/* Parent directory of path, made when missing (mode 0755), as O_PATH fd; *ret_name points into path's last
 * component (trailing slashes are not allowed). -EINVAL for "/", "." and "..". */
int skf_path_parent(int rootfd, const char *path, bool create, char *name, size_t name_size);
/* A file to mount over: an existing non-directory, or a new empty regular file 0644 (parents made). O_PATH
 * fd. */
int skf_path_mount_file(int rootfd, const char *path);
/* "/proc/self/fd/<fd>" for calls that know only paths. */
void skf_path_of_fd(int fd, char out[32]);
/* What the kernel says the fd points to (readlink of the above). -errno. */
int skf_path_readlink_fd(int fd, char *out, size_t size);

/* --- procfs and sysfs only through handles proven to be real (DESIGN 8.2) --- */
bool skf_path_is_procfs(int fd); /* f_type == PROC_SUPER_MAGIC */
bool skf_path_is_sysfs(int fd);
/* A detached, private instance of procfs (fsopen("proc") + fsmount, subset=none), or /proc opened and
 * verified when that is refused (user namespace without rights). O_PATH|O_DIRECTORY fd. */
int skf_path_open_procfs(void);
/* Opens procfd/path with RESOLVE_NO_XDEV|NO_MAGICLINKS|NO_SYMLINKS and verifies procfs. path e.g.
 * "sys/net/ipv4/ip_forward". */
int skf_path_open_in_proc(int procfd, const char *path, int flags);
