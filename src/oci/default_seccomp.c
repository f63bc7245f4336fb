/* The default seccomp profile as a table. Theory: the default action is EPERM; a row allows (or answers) a
 * list of system calls, perhaps only for some capability, architecture or argument. Rows that hang on a
 * capability are written only when the process holds it, so the runtime never sees them: its input is a
 * plain runtime-spec object.
 *
 * Why some calls are answered specially: clone is allowed unless it makes namespaces; clone3 passes its
 * flags by pointer, which a filter cannot read, so it is ENOSYS and libc falls back to clone; socket(AF_ALG)
 * and socket(AF_VSOCK) reach kernel code outside the container's network namespace; personality takes only
 * the values that cannot weaken the process. Does not block. */
#include "oci/default_seccomp.h"
#include "base/json.h"
#include <linux/capability.h>

#define CAP(n)           (1ull << CAP_##n)
#define CLONE_NAMESPACES 0x7e020000u /* CLONE_NEWNS|NEWCGROUP|NEWUTS|NEWIPC|NEWUSER|NEWPID|NEWNET */

struct arg {
	unsigned index;
	uint64_t value, value_two;
	const char *op; /* NULL: no argument */
};
struct row {
	const char *const *names; /* ends with NULL */
	uint64_t with, without;   /* only when this capability is held / is not held; 0: always */
	unsigned arch;            /* enum skf_seccomp_arch; 0: all */
	int errno_ret;            /* 0: allow */
	struct arg arg;
};

/* clang-format off */
static const char *const allowed[] = {
	"_llseek", "_newselect", "accept", "accept4", "access", "adjtimex", "alarm", "bind", "brk",
	"cachestat", "capget", "capset", "chdir", "chmod", "chown", "chown32", "clock_adjtime",
	"clock_adjtime64", "clock_getres", "clock_getres_time64", "clock_gettime", "clock_gettime64",
	"clock_nanosleep", "clock_nanosleep_time64", "close", "close_range", "connect", "copy_file_range",
	"creat", "dup", "dup2", "dup3", "epoll_create", "epoll_create1", "epoll_ctl", "epoll_ctl_old",
	"epoll_pwait", "epoll_pwait2", "epoll_wait", "epoll_wait_old", "eventfd", "eventfd2", "execve",
	"execveat", "exit", "exit_group", "faccessat", "faccessat2", "fadvise64", "fadvise64_64",
	"fallocate", "fanotify_mark", "fchdir", "fchmod", "fchmodat", "fchmodat2", "fchown", "fchown32",
	"fchownat", "fcntl", "fcntl64", "fdatasync", "fgetxattr", "flistxattr", "flock", "fork",
	"fremovexattr", "fsetxattr", "fstat", "fstat64", "fstatat64", "fstatfs", "fstatfs64", "fsync",
	"ftruncate", "ftruncate64", "futex", "futex_requeue", "futex_time64", "futex_wait", "futex_waitv",
	"futex_wake", "futimesat", "get_robust_list", "get_thread_area", "getcpu", "getcwd", "getdents",
	"getdents64", "getegid", "getegid32", "geteuid", "geteuid32", "getgid", "getgid32", "getgroups",
	"getgroups32", "getitimer", "getpeername", "getpgid", "getpgrp", "getpid", "getppid", "getpriority",
	"getrandom", "getresgid", "getresgid32", "getresuid", "getresuid32", "getrlimit", "getrusage",
	"getsid", "getsockname", "getsockopt", "gettid", "gettimeofday", "getuid", "getuid32", "getxattr",
	"getxattrat", "inotify_add_watch", "inotify_init", "inotify_init1", "inotify_rm_watch", "io_cancel",
	"io_destroy", "io_getevents", "io_pgetevents", "io_pgetevents_time64", "io_setup", "io_submit",
	"ioctl", "ioprio_get", "ioprio_set", "ipc", "kill", "landlock_add_rule", "landlock_create_ruleset",
	"landlock_restrict_self", "lchown", "lchown32", "lgetxattr", "link", "linkat", "listen",
	"listmount", "listxattr", "listxattrat", "llistxattr", "lremovexattr", "lseek", "lsetxattr",
	"lstat", "lstat64", "madvise", "map_shadow_stack", "membarrier", "memfd_create", "memfd_secret",
	"mincore", "mkdir", "mkdirat", "mknod", "mknodat", "mlock", "mlock2", "mlockall", "mmap", "mmap2",
	"mprotect", "mq_getsetattr", "mq_notify", "mq_open", "mq_timedreceive", "mq_timedreceive_time64",
	"mq_timedsend", "mq_timedsend_time64", "mq_unlink", "mremap", "mseal", "msgctl", "msgget", "msgrcv",
	"msgsnd", "msync", "munlock", "munlockall", "munmap", "name_to_handle_at", "nanosleep",
	"newfstatat", "open", "openat", "openat2", "pause", "pidfd_open", "pidfd_send_signal", "pipe",
	"pipe2", "pkey_alloc", "pkey_free", "pkey_mprotect", "poll", "ppoll", "ppoll_time64", "prctl",
	"pread64", "preadv", "preadv2", "prlimit64", "process_mrelease", "process_vm_readv",
	"process_vm_writev", "pselect6", "pselect6_time64", "ptrace", "pwrite64", "pwritev", "pwritev2",
	"read", "readahead", "readlink", "readlinkat", "readv", "recv", "recvfrom", "recvmmsg",
	"recvmmsg_time64", "recvmsg", "remap_file_pages", "removexattr", "removexattrat", "rename",
	"renameat", "renameat2", "restart_syscall", "riscv_hwprobe", "rmdir", "rseq", "rt_sigaction",
	"rt_sigpending", "rt_sigprocmask", "rt_sigqueueinfo", "rt_sigreturn", "rt_sigsuspend",
	"rt_sigtimedwait", "rt_sigtimedwait_time64", "rt_tgsigqueueinfo", "sched_get_priority_max",
	"sched_get_priority_min", "sched_getaffinity", "sched_getattr", "sched_getparam",
	"sched_getscheduler", "sched_rr_get_interval", "sched_rr_get_interval_time64", "sched_setaffinity",
	"sched_setattr", "sched_setparam", "sched_setscheduler", "sched_yield", "seccomp", "select",
	"semctl", "semget", "semop", "semtimedop", "semtimedop_time64", "send", "sendfile", "sendfile64",
	"sendmmsg", "sendmsg", "sendto", "set_robust_list", "set_thread_area", "set_tid_address",
	"setfsgid", "setfsgid32", "setfsuid", "setfsuid32", "setgid", "setgid32", "setgroups",
	"setgroups32", "setitimer", "setpgid", "setpriority", "setregid", "setregid32", "setresgid",
	"setresgid32", "setresuid", "setresuid32", "setreuid", "setreuid32", "setrlimit", "setsid",
	"setsockopt", "setuid", "setuid32", "setxattr", "setxattrat", "shmat", "shmctl", "shmdt", "shmget",
	"shutdown", "sigaltstack", "signalfd", "signalfd4", "sigprocmask", "sigreturn", "socketcall",
	"socketpair", "splice", "stat", "stat64", "statfs", "statfs64", "statmount", "statx", "symlink",
	"symlinkat", "sync", "sync_file_range", "syncfs", "sysinfo", "tee", "tgkill", "time",
	"timer_create", "timer_delete", "timer_getoverrun", "timer_gettime", "timer_gettime64",
	"timer_settime", "timer_settime64", "timerfd_create", "timerfd_gettime", "timerfd_gettime64",
	"timerfd_settime", "timerfd_settime64", "times", "tkill", "truncate", "truncate64", "ugetrlimit",
	"umask", "uname", "unlink", "unlinkat", "uretprobe", "utime", "utimensat", "utimensat_time64",
	"utimes", "vfork", "vmsplice", "wait4", "waitid", "waitpid", "write", "writev", NULL
};
/* clang-format on */
#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})

static const struct row rows[] = {
	{.names = allowed},
	{.names = LIST("socket"), .arg = {0, 38, 0, "SCMP_CMP_LT"}},
	{.names = LIST("socket"), .arg = {0, 39, 0, "SCMP_CMP_EQ"}},
	{.names = LIST("socket"), .arg = {0, 40, 0, "SCMP_CMP_GT"}},
	{.names = LIST("personality"), .arg = {0, 0x0, 0, "SCMP_CMP_EQ"}},
	{.names = LIST("personality"), .arg = {0, 0x8, 0, "SCMP_CMP_EQ"}},
	{.names = LIST("personality"), .arg = {0, 0x20000, 0, "SCMP_CMP_EQ"}},
	{.names = LIST("personality"), .arg = {0, 0x20008, 0, "SCMP_CMP_EQ"}},
	{.names = LIST("personality"), .arg = {0, 0xffffffff, 0, "SCMP_CMP_EQ"}},
	{.names = LIST("arm_fadvise64_64", "arm_sync_file_range", "sync_file_range2", "breakpoint",
		       "cacheflush", "set_tls"),
	 .arch = SKF_SECCOMP_AARCH64},
	{.names = LIST("arch_prctl", "modify_ldt"), .arch = SKF_SECCOMP_X86_64},
	{.names = LIST("open_by_handle_at"), .with = CAP(DAC_READ_SEARCH)},
	{.names = LIST("bpf", "clone", "clone3", "fanotify_init", "fsconfig", "fsmount", "fsopen", "fspick",
		       "lookup_dcookie", "lsm_get_self_attr", "lsm_list_modules", "lsm_set_self_attr",
		       "mount", "mount_setattr", "move_mount", "open_tree", "perf_event_open", "quotactl",
		       "quotactl_fd", "setdomainname", "sethostname", "setns", "syslog", "umount", "umount2",
		       "unshare"),
	 .with = CAP(SYS_ADMIN)},
	{.names = LIST("clone"),
	 .without = CAP(SYS_ADMIN),
	 .arg = {0, CLONE_NAMESPACES, 0, "SCMP_CMP_MASKED_EQ"}},
	{.names = LIST("clone3"), .without = CAP(SYS_ADMIN), .errno_ret = 38},
	{.names = LIST("reboot"), .with = CAP(SYS_BOOT)},
	{.names = LIST("chroot"), .with = CAP(SYS_CHROOT)},
	{.names = LIST("delete_module", "init_module", "finit_module"), .with = CAP(SYS_MODULE)},
	{.names = LIST("acct"), .with = CAP(SYS_PACCT)},
	{.names = LIST("kcmp", "pidfd_getfd", "process_madvise"), .with = CAP(SYS_PTRACE)},
	{.names = LIST("iopl", "ioperm"), .with = CAP(SYS_RAWIO)},
	{.names = LIST("settimeofday", "stime", "clock_settime", "clock_settime64"), .with = CAP(SYS_TIME)},
	{.names = LIST("vhangup"), .with = CAP(SYS_TTY_CONFIG)},
	{.names = LIST("get_mempolicy", "mbind", "set_mempolicy", "set_mempolicy_home_node"),
	 .with = CAP(SYS_NICE)},
	{.names = LIST("syslog"), .with = CAP(SYSLOG)},
	{.names = LIST("bpf"), .with = CAP(BPF)},
	{.names = LIST("perf_event_open"), .with = CAP(PERFMON)},
};

static const char *const *arch_names(enum skf_seccomp_arch arch)
{
	static const char *const x86_64[] = {"SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32", NULL};
	static const char *const aarch64[] = {"SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM", NULL};

	return arch == SKF_SECCOMP_X86_64 ? x86_64 : aarch64;
}

static void write_strings(struct skf_jw *w, const char *key, const char *const *v)
{
	skf_jw_karr(w, key);
	for (; *v; v++)
		skf_jw_str(w, *v);
	skf_jw_end_arr(w);
}

static void write_row(struct skf_jw *w, const struct row *r)
{
	skf_jw_obj(w);
	write_strings(w, "names", r->names);
	skf_jw_kstr(w, "action", r->errno_ret ? "SCMP_ACT_ERRNO" : "SCMP_ACT_ALLOW");
	if (r->errno_ret)
		skf_jw_kint(w, "errnoRet", r->errno_ret);
	if (r->arg.op) {
		skf_jw_karr(w, "args");
		skf_jw_obj(w);
		skf_jw_ku64(w, "index", r->arg.index);
		skf_jw_ku64(w, "value", r->arg.value);
		if (r->arg.value_two)
			skf_jw_ku64(w, "valueTwo", r->arg.value_two);
		skf_jw_kstr(w, "op", r->arg.op);
		skf_jw_end(w);
		skf_jw_end_arr(w);
	}
	skf_jw_end(w);
}

void skf_default_seccomp_write_arch(struct skf_jw *w, uint64_t caps, enum skf_seccomp_arch arch)
{
	skf_jw_kobj(w, "seccomp");
	skf_jw_kstr(w, "defaultAction", "SCMP_ACT_ERRNO");
	skf_jw_ku64(w, "defaultErrnoRet", 1);
	write_strings(w, "architectures", arch_names(arch));
	skf_jw_karr(w, "syscalls");
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		const struct row *r = &rows[i];

		if ((r->with && !(caps & r->with)) || (caps & r->without) || (r->arch && r->arch != arch))
			continue;
		write_row(w, r);
	}
	skf_jw_end_arr(w);
	skf_jw_end(w);
}

int skf_default_seccomp_write(struct skf_jw *w, uint64_t caps)
{
#if defined(__x86_64__) && !defined(__ILP32__)
	skf_default_seccomp_write_arch(w, caps, SKF_SECCOMP_X86_64);
	return 0;
#elif defined(__aarch64__)
	skf_default_seccomp_write_arch(w, caps, SKF_SECCOMP_AARCH64);
	return 0;
#else
	(void)w, (void)caps;
	return -EOPNOTSUPP;
#endif
}
