/* runtime/sched.c -- process.scheduler, ioPriority and execCPUAffinity of config.json. */
#include "runtime/runtime_int.h"

int skf_sched_apply(const struct skf_spec_process *p, struct skf_err *e)
{
	if (p->scheduler || p->io_priority)
		return skf_fail(e, SKF_EUNSUPPORTED, "config.json: /process/scheduler and ioPriority are not supported");
	return 0;
}

int skf_affinity_initial(const struct skf_spec_process *p, struct skf_err *e)
{
	if (p->affinity_initial)
		return skf_fail(e, SKF_EUNSUPPORTED, "config.json: /process/execCPUAffinity is not supported");
	return 0;
}

int skf_affinity_final(const struct skf_spec_process *p, struct skf_err *e)
{
	if (p->affinity_final)
		return skf_fail(e, SKF_EUNSUPPORTED, "config.json: /process/execCPUAffinity is not supported");
	return 0;
}
