/* sys/seccomp.h -- loading a compiled seccomp program. man 2 seccomp. */
#pragma once
#include "base/fwd.h"
struct skf_bpf_prog {
	const struct sock_filter *insn; /* classic BPF */
	uint16_t n;
	unsigned flags;                 /* SECCOMP_FILTER_FLAG_* */
	bool notify;                    /* has a NOTIFY action: ask for a listener */
};
/* Returns 0, or the listener fd (CLOEXEC) with notify; -errno. The caller has no_new_privs or CAP_SYS_ADMIN. */
int skf_seccomp_load(const struct skf_bpf_prog *p);
int skf_seccomp_action_avail(uint32_t action); /* 1 / 0 */
