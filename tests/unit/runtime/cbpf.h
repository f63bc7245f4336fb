/* cbpf.h -- a classic BPF interpreter for seccomp programs: what the kernel would answer. */
#pragma once
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <setjmp.h>
#include <stddef.h>
#include <stdarg.h>
#include <stdint.h>
#include <string.h>

#define CBPF_BAD 0xdeadbeefu /* not a program that the kernel would load */

/* number_follows: a comparison behind one that knew the architecture is about the number, as libseccomp
 * means it when it forgets to load it (runtime/seccomp_shrink.c, 4). */
static inline uint32_t cbpf_walk(const struct sock_filter *p, size_t n, const struct seccomp_data *d,
				 int number_follows)
{
	uint32_t a = 0;
	int arch = 0;

	for (size_t pc = 0; pc < n; pc++) {
		const struct sock_filter *i = &p[pc];

		switch (i->code) {
		case BPF_LD | BPF_W | BPF_ABS:
			if (i->k > sizeof(*d) - 4 || i->k % 4)
				return CBPF_BAD;
			memcpy(&a, (const char *)d + i->k, 4);
			arch = i->k == offsetof(struct seccomp_data, arch);
			break;
		case BPF_ALU | BPF_AND | BPF_K:
			a &= i->k;
			break;
		case BPF_JMP | BPF_JA:
			pc += i->k;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += a == i->k ? i->jt : i->jf;
			if (arch && number_follows && a == i->k)
				a = (uint32_t)d->nr;
			break;
		case BPF_JMP | BPF_JGT | BPF_K:
			pc += a > i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JGE | BPF_K:
			pc += a >= i->k ? i->jt : i->jf;
			break;
		case BPF_JMP | BPF_JSET | BPF_K:
			pc += a & i->k ? i->jt : i->jf;
			break;
		case BPF_RET | BPF_K:
			return i->k;
		default:
			return CBPF_BAD;
		}
	}
	return CBPF_BAD;
}

static inline uint32_t cbpf_run(const struct sock_filter *p, size_t n, const struct seccomp_data *d)
{
	return cbpf_walk(p, n, d, 0);
}
