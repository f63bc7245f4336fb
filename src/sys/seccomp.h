/* sys/seccomp.h -- loading a compiled seccomp program. man 2 seccomp. */
#pragma once
#include "base/fwd.h"
struct skf_bpf_prog {
	const struct sock_filter *insn; /* classic BPF */
	uint16_t n;
	unsigned flags; /* SECCOMP_FILTER_FLAG_* */
	bool notify;    /* has a NOTIFY action: ask for a listener */
};
/* Returns 0, or the listener fd (CLOEXEC) with notify; -errno. The caller has no_new_privs or CAP_SYS_ADMIN.
 */
int skf_seccomp_load(const struct skf_bpf_prog *p);
/* SECCOMP_FILTER_FLAG_* that skf_seccomp_load uses. */
unsigned skf_seccomp_flags(const struct skf_bpf_prog *p);
/* 0 when fd is a listener, else -EBADF or another -errno. */
int skf_seccomp_is_listener(int fd);
/* Parent: a copy (CLOEXEC) of the listener that the process of pidfd has at `number`. -EBADF when that is
 * not a listener; -EPERM without the right to trace the process. man 2 pidfd_getfd. */
int skf_seccomp_take_listener(int pidfd, int number);
int skf_seccomp_action_avail(uint32_t action); /* 1 / 0 */
