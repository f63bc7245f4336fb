/* engine/plan_resources.c -- what a container may use: memory, CPUs, processes. Refuses what docker refuses, before
 * anything is made. */
#include "engine/create_int.h"
#include <fcntl.h>
#include <unistd.h>

#define MIN_MEMORY    (6 << 20) /* docker's */
#define MIN_NANO_CPUS 10000000

/* Setting a swap limit where the kernel does not count swap would fail the start. */
static bool swap_is_counted(void)
{
	static const char *const places[] = {
		"/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes",
		"/sys/fs/cgroup/skiff/memory.swap.max",
		"/sys/fs/cgroup/system.slice/memory.swap.max",
		"/sys/fs/cgroup/user.slice/memory.swap.max",
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(places); i++)
		if (faccessat(AT_FDCWD, places[i], F_OK, 0) == 0)
			return true;
	return false;
}

int skf_plan_resources(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_create_req *q = p->q;

	if (q->memory < 0 || (q->memory && q->memory < MIN_MEMORY))
		return skf_fail(e, SKF_EINVALID, "Minimum memory limit allowed is 6MB");
	if (q->nano_cpus) {
		long cpus = sysconf(_SC_NPROCESSORS_ONLN);

		if (q->nano_cpus < MIN_NANO_CPUS || (cpus > 0 && q->nano_cpus > cpus * 1000000000LL))
			return skf_fail(
				e, SKF_EINVALID,
				"range of CPUs is from 0.01 to %ld.00, as there are only %ld CPUs available",
				cpus, cpus);
	}
	if (q->pids_limit < -1)
		return skf_fail(e, SKF_EINVALID,
				"invalid --pids-limit %lld: expected a number, or -1 for no limit",
				(long long)q->pids_limit);
	p->gen.memory = p->req.memory = q->memory;
	p->gen.nano_cpus = p->req.nano_cpus = q->nano_cpus;
	p->gen.pids_limit = p->req.pids_limit = q->pids_limit;
	p->gen.swap_accounting = q->memory && swap_is_counted();
	return 0;
}
