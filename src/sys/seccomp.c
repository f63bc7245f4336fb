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

unsigned skf_seccomp_flags(const struct skf_bpf_prog *p)
{
	return p->flags | (p->notify ? (unsigned)SECCOMP_FILTER_FLAG_NEW_LISTENER : 0);
}

int skf_seccomp_load(const struct skf_bpf_prog *p)
{
	struct sock_fprog f = {.len = p->n, .filter = (struct sock_filter *)(uintptr_t)p->insn};
	long r = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, skf_seccomp_flags(p), &f);

	return skf_sys(r);
}

int skf_seccomp_is_listener(int fd)
{
	char what[64];
	int r = skf_path_readlink_fd(fd, what, sizeof(what));

	if (r < 0)
		return r;
	return skf_streq(what, "anon_inode:seccomp notify") ? 0 : -EBADF;
}

int skf_seccomp_take_listener(int pidfd, int number)
{
	SKF_AUTO_FD int fd = (int)syscall(SYS_pidfd_getfd, pidfd, number, 0);
	int r;

	if (fd < 0)
		return skf_errno();
	r = skf_seccomp_is_listener(fd); /* the process could have closed it and opened something else */
	return r < 0 ? r : SKF_TAKE_FD(fd);
}

int skf_seccomp_action_avail(uint32_t action)
{
	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}
