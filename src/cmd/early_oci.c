/* cmd/early_oci.c -- which verbs of skiff-oci enter a container, and are executed from a sealed handle
 * before the C library is set up. Invariants: early.c. */
#include "cmd/early.h"

#include "runtime/seal_view.h"
#include <stdbool.h>

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

void skf_early(long *stack)
{
	char **argv = (char **)(stack + 1), **envp = argv + stack[0] + 1;

	if (may_seal(argv))
		skf_seal_early(argv, envp);
}
