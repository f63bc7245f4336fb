/* sys/mount.h -- the mount API, one kernel call each, -errno on failure. man 2 fsopen, open_tree,
 * move_mount, mount_setattr. */
#pragma once
#include "base/fwd.h"
#include_next <sys/mount.h> /* the C library's, which this file hides: MS_*, MNT_*, struct mount_attr, MOUNT_ATTR_*, OPEN_TREE_* */

int skf_open_tree(int dirfd, const char *path, unsigned flags); /* OPEN_TREE_CLOEXEC added */
/* Attaches the detached mount mfd onto the object that tofd (O_PATH) is. */
int skf_move_mount_onto(int mfd, int tofd);
int skf_move_mount(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags);
int skf_mount_setattr(int dirfd, const char *path, unsigned flags, const struct mount_attr *attr);
int skf_fsopen(const char *fstype);
int skf_fsconfig_str(int fsfd, const char *key, const char *value); /* value at most 255 bytes: -E2BIG */
int skf_fsconfig_flag(int fsfd, const char *key);
int skf_fsconfig_fd(int fsfd, const char *key, int fd);
int skf_fsconfig_create(int fsfd);
int skf_fsmount(int fsfd, unsigned attr_flags);
/* First line of the fs context's message log (what the kernel did not like), "" when none. */
void skf_fs_message(int fsfd, char *out, size_t size);
/* Classic calls; target through /proc/self/fd when given as fd. */
int skf_mount(const char *source, const char *target, const char *type, unsigned long flags,
	      const char *data);
int skf_mount_at_fd(const char *source, int target_fd, const char *type, unsigned long flags,
		    const char *data);
int skf_umount(const char *target, int flags);
int skf_pivot_root(const char *new_root, const char *put_old);
/* Mount id (STATX_MNT_ID) of what fd is on. */
int skf_mount_id(int fd, uint64_t *ret);
