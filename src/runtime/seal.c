/* runtime/seal.c -- makes the running program's file unreachable for writing, whatever a container does with
 * /proc/<pid>/exe (CVE-2019-5736).
 *
 * The attack: for a moment our program, as container init or as an exec'd process, is the file that
 * /proc/<pid>/exe leads to, across root and mount namespaces: seen by other processes of a shared pid
 * namespace, or by the workload itself when its program, its "#!" interpreter or a binfmt handler is
 * "/proc/self/exe" (then the kernel runs *our* file with the container's loader). It is opened read-only,
 * kept, and opened again for writing by /proc/self/fd/N when the last process that executes it has gone and
 * ETXTBSY with it.
 *
 * Comparing files before execve is not enough, because what is compared can be exchanged before it is
 * executed. PR_SET_DUMPABLE does not stop a process from following its own link. So the program executes
 * itself once more through a handle that cannot be opened for writing:
 *  1. a sealed copy in memory (memfd, F_SEAL_WRITE), given back at the workload's execve: some 0.2 ms. It is
 * an inode of its own, so that a container which holds it, or tries to open it for writing, cannot make
 * other starts fail with ETXTBSY either.
 *  2. where the system forbids executable memfds: a detached clone of the program's mount, read-only
 * (open_tree, mount_setattr, execveat); a second open of the link is answered EROFS. Nobody can make it
 * writable: the handle is closed by the execve, and a mount that is in no namespace can be changed by nobody.
 * A program on a read-only mount is sealed already, and so is one that was executed in this way, so that
 * this happens once.
 *
 * To be called before anything is opened or allocated: nothing survives. Does not block. */
#include "runtime/runtime_int.h"

#include "sys/mount.h"

#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef MFD_EXEC /* linux/memfd.h of 6.3 */
#define MFD_EXEC 0x0010U
#endif
#define ALL_SEALS (F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE)

static bool is_sealed(int exe)
{
	struct statvfs fs;
	int seals = fcntl(exe, F_GET_SEALS);

	if (seals >= 0 && (seals & F_SEAL_WRITE))
		return true;
	return fstatvfs(exe, &fs) == 0 && (fs.f_flag & ST_RDONLY);
}

static int read_only_clone(void)
{
	struct mount_attr ro = {.attr_set = MOUNT_ATTR_RDONLY};
	int fd = skf_open_tree(AT_FDCWD, "/proc/self/exe", OPEN_TREE_CLONE);
	int r;

	if (fd < 0)
		return fd;
	r = skf_mount_setattr(fd, "", AT_EMPTY_PATH, &ro);
	if (r < 0) {
		close(fd);
		return r;
	}
	return fd;
}

static int sealed_copy(int exe)
{
	SKF_AUTO_FD int fd = memfd_create("skiff", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	struct stat st;

	if (fd < 0 && errno == EINVAL) /* kernels before 6.3 do not know MFD_EXEC */
		fd = memfd_create("skiff", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0 || fstat(exe, &st) < 0)
		return -errno;
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(fd, exe, NULL, (size_t)left);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		left -= n;
	}
	if (fcntl(fd, F_ADD_SEALS, ALL_SEALS) < 0 || fchmod(fd, 0500) < 0)
		return -errno;
	return SKF_TAKE_FD(fd);
}

int skf_rt_seal_self(char *const argv[], struct skf_err *e)
{
	SKF_AUTO_FD int exe = skf_openat(AT_FDCWD, "/proc/self/exe", O_RDONLY, 0), fd = -EBADF;
	int r;

	if (exe < 0)
		return skf_fail_sys(e, exe, "open '/proc/self/exe' (is /proc mounted?)");
	if (is_sealed(exe))
		return 0;
	fd = sealed_copy(exe);
	if (fd < 0)
		fd = read_only_clone();
	if (fd < 0)
		return skf_fail_sys(e, fd, "make a read-only handle of the running program");
	syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
	r = -errno;
	return skf_fail_sys(e, r, "execute the read-only handle of the running program");
}
