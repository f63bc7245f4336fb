/* cmd/early.c -- entry point of skiff-oci and skiff-launch, before the C library's: a program that enters a
 * container executes itself again through a sealed handle (runtime/seal.c says why), and does so here, where
 * an execution costs 0.1 ms and not 0.8. When is the business of skf_early, one for each program
 * (early_oci.c, early_launch.c). Everything else, and whatever fails, goes on to the C library's entry point
 * as if this file were not there; main asks skf_rt_seal_self in any case.
 *
 * Invariants: as runtime/seal_view.c: nothing is relocated and no thread pointer is set, so no call into a
 * library, no stack protector, no table of pointers. The stack and the registers are given on as the kernel
 * made them. Not in sanitizer builds. */
#include "cmd/early.h"

#if defined(__x86_64__)
__asm__(".text\n.globl skf_early_start\n.hidden skf_early_start\n.type skf_early_start, @function\n"
	"skf_early_start:\n"
	"\tmov %rsp, %rbx\n\tmov %rdx, %r12\n\tmov %rsp, %rdi\n\txor %ebp, %ebp\n\tand $-16, %rsp\n"
	"\tcall skf_early\n"
	"\tmov %rbx, %rsp\n\tmov %r12, %rdx\n\tjmp _start\n"
	".size skf_early_start, . - skf_early_start\n");
#elif defined(__aarch64__)
__asm__(".text\n.globl skf_early_start\n.hidden skf_early_start\n.type skf_early_start, %function\n"
	"skf_early_start:\n"
	"\tmov x19, x0\n\tmov x0, sp\n\tmov x29, #0\n\tmov x30, #0\n"
	"\tbl skf_early\n"
	"\tmov x0, x19\n\tmov x29, #0\n\tmov x30, #0\n\tb _start\n"
	".size skf_early_start, . - skf_early_start\n");
#endif
