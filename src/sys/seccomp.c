/* seccomp.c -- loads compiled programs with seccomp(2). Compiling is runtime/seccomp_compile.c; this file
 * needs no library, so it works between clone3 and execve. Does not block. */
#include "sys/seccomp.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "sys/path.h"
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/syscall.h>
#include <unistd.h>

#ifndef SECCOMP_FILTER_FLAG_NEW_LISTENER
#define SECCOMP_FILTER_FLAG_NEW_LISTENER (1UL << 3)
#endif

int skf_seccomp_load(const struct skf_bpf_prog *p)
{
	struct sock_fprog f = {.len = p->n, .filter = (struct sock_filter *)(uintptr_t)p->insn};
	unsigned flags = p->flags | (p->notify ? SECCOMP_FILTER_FLAG_NEW_LISTENER : 0);
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, flags, &f);

	return r < 0 ? -errno : (int)r;
}

int skf_seccomp_take_listener(int pidfd, int number)
{
	SKF_AUTO_FD int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	char what[64];
	int r;

	if (fd < 0)
		return -errno;
	/* the process could have closed it and opened something else */
	r = skf_path_readlink_fd(fd, what, sizeof(what));
	if (r < 0)
		return r;
	return skf_streq(what, "anon_inode:seccomp notify") ? SKF_TAKE_FD(fd) : -EBADF;
}

int skf_seccomp_action_avail(uint32_t action)
{
	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}
