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
 *  1. (seal_view.c) the file seen through an overlay file system without an upper layer, detached and
 * read-only, given back at the workload's execve (some 0.07 ms, and no page of the program is copied): a
 * second open of the link for writing is answered EROFS. The overlay has an inode of its own, on which that
 * open fails; a mere read-only clone of the program's mount would share the host's inode, where a refused
 * open for writing makes execve fail with ETXTBSY for a moment, for everybody on the host. Nobody can make
 * it writable: the file system has nowhere to write to, the handle is closed by the execve, and a mount that
 * is in no namespace can be changed by nobody. (As with every overlay the file below may be replaced by
 * rename while we run, as package managers do, but not be written over.)
 *  2. where overlays are not to be had (nested too deep, a file system that cannot be a layer): a copy in a
 * tmpfs of its own, detached and read-only (some 0.3 ms).
 *  3. without the right to do so (a plain user): a sealed memfd (F_SEAL_WRITE). It can be opened for
 * writing, but every write is refused. A program on a read-only mount is sealed already, and so is one that
 * was executed in this way, so that this happens once. skiff-oci does way 1 before the C library is set up
 * (cmd/early.c); then this file only sees that it was done.
 *
 * To be called before anything is opened or allocated: nothing survives. Does not block. */
#include "runtime/runtime_int.h"

#include "runtime/seal_view.h"
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

static int copy_to(int fd, int exe)
{
	struct stat st;

	if (fstat(exe, &st) < 0)
		return skf_errno();
	for (off_t left = st.st_size; left > 0;) {
		ssize_t n = sendfile(fd, exe, NULL, (size_t)left);

		if (n <= 0)
			return n < 0 ? skf_errno() : -EIO;
		left -= n;
	}
	return 0;
}

static int read_only_copy(int exe)
{
	struct mount_attr ro = {.attr_set = MOUNT_ATTR_RDONLY};
	SKF_AUTO_FD int fs = skf_fsopen("tmpfs"), mnt = -EBADF, fd = -EBADF;
	int r = fs < 0 ? fs : skf_fsconfig_create(fs);

	if (r < 0)
		return r;
	mnt = skf_fsmount(fs, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV);
	if (mnt < 0)
		return mnt;
	fd = skf_openat(mnt, "skiff", O_WRONLY | O_CREAT | O_EXCL, 0500);
	r = fd < 0 ? fd : copy_to(fd, exe);
	skf_closep(&fd); /* a file that is open for writing cannot be executed */
	if (r == 0)
		r = skf_mount_setattr(mnt, "", AT_EMPTY_PATH, &ro);
	return r < 0 ? r : skf_openat(mnt, "skiff", O_PATH, 0);
}

static int sealed_memfd(int exe)
{
	SKF_AUTO_FD int fd = memfd_create("skiff", MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_EXEC);
	int r;

	if (fd < 0 && errno == EINVAL) /* kernels before 6.3 do not know MFD_EXEC */
		fd = memfd_create("skiff", MFD_CLOEXEC | MFD_ALLOW_SEALING);
	if (fd < 0)
		return skf_errno();
	r = copy_to(fd, exe);
	if (r < 0)
		return r;
	if (fcntl(fd, F_ADD_SEALS, ALL_SEALS) < 0 || fchmod(fd, 0500) < 0)
		return skf_errno();
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
	fd = geteuid() == 0 ? skf_seal_view() : -EPERM;
	if (fd < 0 && geteuid() == 0)
		fd = read_only_copy(exe);
	if (fd < 0) {
		if (lseek(exe, 0, SEEK_SET) < 0)
			return skf_fail_errno(e, "rewind '/proc/self/exe'");
		fd = sealed_memfd(exe);
	}
	if (fd < 0)
		return skf_fail_sys(e, fd, "make a read-only handle of the running program");
	syscall(SYS_execveat, fd, "", argv, environ, AT_EMPTY_PATH);
	r = skf_errno();
	return skf_fail_sys(e, r, "execute the read-only handle of the running program");
}

void skf_rt_seal_end(void)
{
	int exe = skf_openat(AT_FDCWD, "/proc/self/exe", O_PATH, 0);

	skf_close_later(&exe);
}
