/* cmd/early_launch.c -- skiff-launch is executed from a sealed handle before the C library is set up. That
 * handle has no path, so that the old one goes along as the second argument: skiff-monitor lies beside it.
 * Invariants: early.c. */
#include "cmd/early.h"

#include "runtime/seal_view.h"
#include "sys/raw.h"
#include <fcntl.h>
#include <sys/syscall.h>

void skf_early(long *stack)
{
	char **argv = (char **)(stack + 1), **envp = argv + stack[0] + 1, *again[4], path[4096];
	long n;

	if (stack[0] != 2)
		return;
	n = skf_raw(SYS_readlinkat, AT_FDCWD, (long)"/proc/self/exe", (long)path, sizeof(path), 0);
	if (n <= 0 || n >= (long)sizeof(path))
		return;
	path[n] = '\0';
	again[0] = argv[0];
	again[1] = argv[1];
	again[2] = path;
	again[3] = (char *)0;
	skf_seal_early(again, envp);
}
