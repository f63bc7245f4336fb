/* runtime/rdt.c -- linux.intelRdt of config.json over the resctrl file system. */
#include "runtime/runtime_int.h"

int skf_rdt_prepare(struct skf_start *s, struct skf_err *e)
{
	if (s->spec->linux_.intel_rdt)
		return skf_fail(e, SKF_EUNSUPPORTED, "config.json: /linux/intelRdt is not supported");
	return 0;
}

int skf_rdt_attach(const struct skf_start *s, pid_t pid, struct skf_err *e)
{
	(void)s, (void)pid, (void)e;
	return 0;
}

void skf_rdt_undo(const struct skf_start *s)
{
	(void)s;
}

int skf_rdt_remove(const char *group, struct skf_err *e)
{
	(void)group, (void)e;
	return 0;
}
