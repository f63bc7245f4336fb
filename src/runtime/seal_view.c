/* runtime/seal_view.c -- the read-only view of the running program (way 1 of seal.c), in code that needs
 * nothing of the C library, so that it can run before that is set up (cmd/early.c).
 *
 * Why so early: a start executes the program twice, and the C library's set-up asks the processor for its
 * features each time (68 CPUID instructions, of which a virtual machine leaves itself at each: 0.6 ms of a
 * start that takes 6).
 *
 * Invariants: no call outside this file, no stack protector, no table of pointers (nothing is relocated yet,
 * no thread pointer is set); src/runtime/meson.build gives the flags. What does not work is answered by
 * -errno and left to seal.c, which tries again and in other ways. Does not block. */
#include "runtime/seal_view.h"
#include "sys/raw.h"

#ifdef SKF_RAW
#include <errno.h>
#include <fcntl.h>
#include <linux/mount.h>
#include <stdbool.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#define PATH_BYTES   4096   /* PATH_MAX, which a freestanding limits.h does not have */
#define MAX_OPTION   255    /* what fsconfig(2) takes */
#define SECOND_LAYER "/dev" /* two layers are the least; never looked into: the first one has the name */
#define SELF         "/proc/self/exe"

static long look(int fd, const char *path, struct stat *st)
{
	return skf_raw(SYS_newfstatat, fd, (long)path, (long)st, 0, 0);
}

/* Splits path into the option "lowerdir" and the name in that directory. -EINVAL for characters that the
 * option gives a meaning to, -ENAMETOOLONG. */
static long split(char *path, long n, char layers[MAX_OPTION + 1], const char **ret_name)
{
	long slash = 0, at = 0;

	for (long i = 0; i < n; i++) {
		if (path[i] == ':' || path[i] == ',' || path[i] == '\\')
			return -EINVAL;
		if (path[i] == '/')
			slash = i;
	}
	if (path[0] != '/' || slash == 0)
		return -EINVAL;
	if (slash + (long)sizeof(SECOND_LAYER) + 1 > MAX_OPTION)
		return -ENAMETOOLONG;
	for (; at < slash; at++)
		layers[at] = path[at];
	layers[at++] = ':';
	for (unsigned i = 0; i < sizeof(SECOND_LAYER); i++)
		layers[at++] = SECOND_LAYER[i];
	*ret_name = path + slash + 1;
	return 0;
}

static long detached_overlay(const char *layers)
{
	long fs = skf_raw(SYS_fsopen, (long)"overlay", FSOPEN_CLOEXEC, 0, 0, 0), r = fs;

	if (fs < 0)
		return fs;
	r = skf_raw(SYS_fsconfig, fs, FSCONFIG_SET_STRING, (long)"lowerdir", (long)layers, 0);
	if (r == 0)
		r = skf_raw(SYS_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
	if (r == 0)
		r = skf_raw(SYS_fsmount, fs, FSMOUNT_CLOEXEC,
			    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV, 0, 0);
	skf_raw(SYS_close, fs, 0, 0, 0, 0);
	return r;
}

/* As skf_close_later of base/fd.c: the end of a mount waits for a grace period of RCU (0.05 to 0.2 ms),
 * which the kernel's worker may do. */
static void close_later(long fd)
{
	_Alignas(struct cmsghdr) char control[CMSG_SPACE(2 * sizeof(int))];
	struct cmsghdr *c = (struct cmsghdr *)(void *)control;
	int *fds = (int *)(void *)CMSG_DATA(c);
	char byte = 0;
	struct iovec iov = {&byte, 1};
	struct msghdr m = {
		.msg_iov = &iov, .msg_iovlen = 1, .msg_control = control, .msg_controllen = sizeof(control)};
	int pair[2];

	if (skf_raw(SYS_socketpair, AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, (long)pair, 0) == 0) {
		c->cmsg_len = CMSG_LEN(2 * sizeof(int));
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		fds[0] = pair[1];
		fds[1] = (int)fd;
		skf_raw(SYS_sendmsg, pair[0], (long)&m, MSG_NOSIGNAL | MSG_DONTWAIT, 0, 0);
		skf_raw(SYS_close, fd, 0, 0, 0, 0);
		skf_raw(SYS_close, pair[1], 0, 0, 0, 0);
		skf_raw(SYS_close, pair[0], 0, 0, 0, 0);
		return;
	}
	skf_raw(SYS_close, fd, 0, 0, 0, 0);
}

int skf_seal_view(void)
{
	char path[PATH_BYTES], layers[MAX_OPTION + 1];
	const char *name;
	struct stat a, b;
	long r = skf_raw(SYS_readlinkat, AT_FDCWD, (long)SELF, (long)path, sizeof(path) - 1, 0), mnt;

	if (r < 0)
		return (int)r;
	path[r] = '\0';
	if (look(AT_FDCWD, path, &a) < 0 || look(AT_FDCWD, SELF, &b) < 0)
		return -ENOENT;
	if (a.st_dev != b.st_dev ||
	    a.st_ino != b.st_ino) /* replaced, or not visible from here by that name */
		return -ESTALE;
	r = split(path, r, layers, &name);
	mnt = r < 0 ? r : detached_overlay(layers);
	if (mnt < 0)
		return (int)mnt;
	r = skf_raw(SYS_openat, mnt, (long)name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, 0);
	close_later(mnt);
	return (int)r;
}

/* The kernel's struct statfs of 64-bit machines: f_flags is its 11th word. */
struct kernel_statfs {
	long type, bsize, blocks, bfree, bavail, files, ffree;
	int fsid[2];
	long namelen, frsize, flags, spare[4];
};
#define KERNEL_ST_RDONLY 1

void skf_seal_early(char *const argv[], char *const envp[])
{
	struct kernel_statfs st;
	int fd;

	if (skf_raw(SYS_statfs, (long)SELF, (long)&st, 0, 0, 0) < 0 || (st.flags & KERNEL_ST_RDONLY) ||
	    skf_raw(SYS_geteuid, 0, 0, 0, 0, 0) != 0)
		return;
	fd = skf_seal_view();
	if (fd < 0)
		return;
	skf_raw(SYS_execveat, fd, (long)"", (long)argv, (long)envp, AT_EMPTY_PATH);
	skf_raw(SYS_close, fd, 0, 0, 0, 0);
}
#else
#include <errno.h>

int skf_seal_view(void)
{
	return -ENOSYS;
}
#endif
