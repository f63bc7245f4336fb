/* sys/mount.c -- the mount API, one kernel call per function, -errno on failure. Raw system calls, so that
 * the same object works under every C library (man 2 fsopen, fsconfig, fsmount, open_tree, move_mount,
 * mount_setattr). Nothing blocks except the classic mount of a block or network file system. */
#include "sys/mount.h"
#include "base/buf.h"
#include "sys/path.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { FSCONFIG_STRING_MAX = 255 }; /* the kernel's strndup_user(value, 256) */

int skf_open_tree(int dirfd, const char *path, unsigned flags)
{
	return skf_sys(syscall(SYS_open_tree, dirfd, path, flags | OPEN_TREE_CLOEXEC));
}

int skf_move_mount_onto(int mfd, int tofd)
{
	return skf_sys(syscall(SYS_move_mount, mfd, "", tofd, "",
			       MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH));
}

int skf_move_mount(int from_dirfd, const char *from, int to_dirfd, const char *to, unsigned flags)
{
	return skf_sys(syscall(SYS_move_mount, from_dirfd, from, to_dirfd, to, flags));
}

int skf_mount_setattr(int dirfd, const char *path, unsigned flags, const struct mount_attr *attr)
{
	return skf_sys(syscall(SYS_mount_setattr, dirfd, path, flags, attr, sizeof(*attr)));
}

int skf_fsopen(const char *fstype)
{
	return skf_sys(syscall(SYS_fsopen, fstype, FSOPEN_CLOEXEC));
}

int skf_fsconfig_str(int fsfd, const char *key, const char *value)
{
	if (strlen(value) > FSCONFIG_STRING_MAX)
		return -E2BIG;
	return skf_sys(syscall(SYS_fsconfig, fsfd, FSCONFIG_SET_STRING, key, value, 0));
}

int skf_fsconfig_flag(int fsfd, const char *key)
{
	return skf_sys(syscall(SYS_fsconfig, fsfd, FSCONFIG_SET_FLAG, key, NULL, 0));
}

int skf_fsconfig_fd(int fsfd, const char *key, int fd)
{
	return skf_sys(syscall(SYS_fsconfig, fsfd, FSCONFIG_SET_FD, key, NULL, fd));
}

int skf_fsconfig_create(int fsfd)
{
	return skf_sys(syscall(SYS_fsconfig, fsfd, FSCONFIG_CMD_CREATE, NULL, NULL, 0));
}

int skf_fsmount(int fsfd, unsigned attr_flags)
{
	return skf_sys(syscall(SYS_fsmount, fsfd, FSMOUNT_CLOEXEC, attr_flags));
}

void skf_fs_message(int fsfd, char *out, size_t size)
{
	char line[256];

	if (size == 0)
		return;
	out[0] = '\0';
	/* One read gives one message: "<e|w|i> <text>\n". */
	ssize_t n = read(fsfd, line, sizeof(line) - 1);
	if (n <= 2)
		return;
	line[n] = '\0';
	line[strcspn(line, "\n")] = '\0';
	size_t len = strnlen(line + 2, size - 1);
	memcpy(out, line + 2, len);
	out[len] = '\0';
}

int skf_mount(const char *source, const char *target, const char *type, unsigned long flags,
	      const char *data)
{
	return skf_sys(mount(source, target, type, flags, data));
}

int skf_mount_at_fd(const char *source, int target_fd, const char *type, unsigned long flags,
		    const char *data)
{
	char target[32];

	skf_path_of_fd(target_fd, target);
	return skf_mount(source, target, type, flags, data);
}

int skf_umount(const char *target, int flags)
{
	return skf_sys(umount2(target, flags));
}

int skf_pivot_root(const char *new_root, const char *put_old)
{
	return skf_sys(syscall(SYS_pivot_root, new_root, put_old));
}

int skf_mount_id(int fd, uint64_t *ret)
{
	struct statx sx;

	if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_MNT_ID, &sx) < 0)
		return skf_errno();
	if (!(sx.stx_mask & STATX_MNT_ID))
		return -EOPNOTSUPP;
	*ret = sx.stx_mnt_id;
	return 0;
}
