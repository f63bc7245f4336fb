/* seccomp.c -- loads compiled programs with seccomp(2). Compiling is runtime/seccomp_compile.c; this file
 * needs no library, so it works between clone3 and execve. Does not block. */
#include "sys/seccomp.h"
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

int skf_seccomp_action_avail(uint32_t action)
{
	return syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0, &action) == 0;
}
