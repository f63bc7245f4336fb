/* cmd/early.c -- entry point of skiff-oci, before the C library's: a verb that enters a container executes
 * the program again through a sealed handle (runtime/seal.c says why), and does so here, where an execution
 * costs 0.1 ms and not 0.8. Everything else, and whatever fails, goes on to the C library's entry point as
 * if this file were not there; main asks skf_rt_seal_self in any case.
 *
 * Invariants: as runtime/seal_view.c: nothing is relocated and no thread pointer is set, so no call into a
 * library, no stack protector, no table of pointers. The stack and the registers are given on as the kernel
 * made them. Not in sanitizer builds. */
#include "runtime/seal_view.h"
#include <stdbool.h>

void skf_early(long *stack);

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

static bool same(const char *a, const char *b)
{
	while (*a && *a == *b)
		a++, b++;
	return *a == *b;
}

/* A word that is not the verb may look like one (a container named "run"): then one execution was for
 * nothing. */
static bool may_seal(char *const *argv)
{
	for (; *argv; argv++)
		if (same(*argv, "run") || same(*argv, "create") || same(*argv, "exec") ||
		    same(*argv, "restore"))
			return true;
	return false;
}

/* stack: argc, argv, NULL, environment, NULL, auxiliary vector (System V ABI, "Initial Stack"). */
void skf_early(long *stack)
{
	char **argv = (char **)(stack + 1), **envp = argv + stack[0] + 1;

	if (may_seal(argv))
		skf_seal_early(argv, envp);
}
