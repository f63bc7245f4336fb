/* network/dns_lock.c -- the process that reads packets of hostile containers gives everything up:
 * capabilities, its user, new privileges, and every system call that answering queries does not need. What
 * stays: sockets that it was given, new ones to the outside (IPv4 and IPv6), files that everybody may read
 * (/etc/resolv.conf), and walking through run/networks (dns_keeper.c). A refused call fails with EPERM. */
#include "base/err.h"
#include "base/log.h"
#include "network/dns_int.h"
#include "sys/process.h"
#include "sys/seccomp.h"
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stddef.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

/* in no password file, and no 16-bit -1 or the overflow user, whom containers may run as */
#define NOBODY 65533

#if defined(__x86_64__)
#define ARCH AUDIT_ARCH_X86_64
#elif defined(__aarch64__)
#define ARCH AUDIT_ARCH_AARCH64
#elif defined(__riscv)
#define ARCH AUDIT_ARCH_RISCV64
#elif defined(__s390x__)
#define ARCH AUDIT_ARCH_S390X
#elif defined(__powerpc64__)
#define ARCH AUDIT_ARCH_PPC64LE
#endif

static const uint32_t allowed[] = {
	SYS_read,         SYS_write,           SYS_readv,           SYS_writev,
	SYS_close,        SYS_recvfrom,        SYS_sendto,          SYS_recvmsg,
	SYS_sendmsg,      SYS_accept4,         SYS_connect,         SYS_getsockopt,
	SYS_setsockopt,   SYS_getsockname,     SYS_shutdown,        SYS_epoll_ctl,
	SYS_epoll_pwait,  SYS_ppoll,           SYS_fcntl,           SYS_fstat,
	SYS_newfstatat,   SYS_statx,           SYS_readlinkat,      SYS_lseek,
	SYS_getrandom,    SYS_clock_gettime,   SYS_gettimeofday,    SYS_exit,
	SYS_exit_group,   SYS_rt_sigreturn,    SYS_rt_sigaction,    SYS_rt_sigprocmask,
	SYS_brk,          SYS_munmap,          SYS_mremap,          SYS_madvise,
	SYS_getpid,       SYS_gettid,          SYS_getuid,          SYS_geteuid,
	SYS_futex,        SYS_restart_syscall, SYS_clock_nanosleep,
#ifdef SYS_epoll_wait
	SYS_epoll_wait,
#endif
#ifdef SYS_epoll_pwait2
	SYS_epoll_pwait2,
#endif
#ifdef SYS_poll
	SYS_poll,
#endif
#ifdef SYS_time
	SYS_time,
#endif
#ifdef SYS_readlink
	SYS_readlink,
#endif
#ifdef SYS_stat
	SYS_stat,
#endif
};

/* Allowed when the low half of an argument is right. */
struct limited {
	uint32_t call, arg;
	uint32_t mask; /* ... of the argument */
	uint32_t values[2];
};
static const struct limited limited[] = {
	{SYS_socket, 0, ~0u, {AF_INET, AF_INET6}},
	{SYS_openat, 2, O_ACCMODE | O_CREAT | O_TRUNC, {O_RDONLY, O_RDONLY}},
	{SYS_ioctl, 1, ~0u, {SIOCGIFINDEX, SIOCGIFINDEX}},
	{SYS_mmap, 2, PROT_EXEC, {0, 0}},
	{SYS_mprotect, 2, PROT_EXEC, {0, 0}},
};

#define MAX_INSN                                                                                            \
	(4 + 2 * (sizeof(allowed) / sizeof(allowed[0])) + 7 * (sizeof(limited) / sizeof(limited[0])) + 2)
#define LOW_HALF(n)                                                                                         \
	(offsetof(struct seccomp_data, args) + 8 * (n) + (__BYTE_ORDER__ == __ORDER_BIG_ENDIAN__ ? 4 : 0))

#ifdef ARCH
static int filter(void)
{
	struct sock_filter f[MAX_INSN];
	uint16_t n = 0;
	struct skf_bpf_prog p = {.insn = f};

	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch));
	f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, ARCH, 1, 0);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS);
	f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr));
	for (size_t i = 0; i < SKF_ARRAY_LEN(allowed); i++) {
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, allowed[i], 0, 1);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(limited);
	     i++) { /* the call is the last that is looked at: the argument takes its place */
		const struct limited *l = &limited[i];

		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, l->call, 0, 6);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)LOW_HALF(l->arg));
		f[n++] = (struct sock_filter)BPF_STMT(BPF_ALU | BPF_AND | BPF_K, l->mask);
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, l->values[0], 2, 0);
		f[n++] = (struct sock_filter)BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, l->values[1], 1, 0);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
		f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	}
	f[n++] = (struct sock_filter)BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM);
	p.n = n;
	return skf_seccomp_load(&p);
}
#else
static int filter(void)
{
	return -EOPNOTSUPP;
}
#endif

/* In a user namespace that has no such user it stays who it is, without a capability. */
static int leave_user(const struct skf_log *log)
{
	int r = geteuid() ? 0 : skf_setgroups(NULL, 0);

	if (r == 0 && geteuid() == 0)
		r = skf_setresgid(NOBODY);
	if (r == 0 && geteuid() == 0)
		r = skf_setresuid(NOBODY);
	if (r == -EINVAL || r == -EPERM) {
		skf_warn(log, "become user %d: %s; staying user %d without a capability", NOBODY,
			 strerrordesc_np(-r), (int)geteuid());
		return 0;
	}
	return r;
}

int skf_dns_lock_down(const struct skf_log *log, struct skf_err *e)
{
	int r = skf_no_new_privs();

	if (r == 0)
		r = skf_cap_drop_bounding(0);
	if (r == -EPERM) /* without CAP_SETPCAP there: no_new_privs has it covered */
		r = 0;
	if (r == 0)
		r = leave_user(log);
	if (r == 0)
		r = skf_cap_set(0, 0, 0);
	if (r == 0)
		r = skf_set_dumpable(false);
	if (r < 0)
		return skf_fail_sys(e, r, "drop privileges");
	r = filter();
	if (r == -EINVAL || r == -ENOSYS || r == -EOPNOTSUPP) {
		skf_warn(log, "this kernel has no seccomp filter: %s; going on without",
			 strerrordesc_np(-r));
		r = 0;
	}
	return r < 0 ? skf_fail_sys(e, r, "load the filter of system calls") : 0;
}
