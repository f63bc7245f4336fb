/* runtime/sched.c -- process.scheduler, ioPriority and execCPUAffinity of config.json.
 *
 * Invariants:
 *  1. The affinity that the runtime was called with (a service manager's, taskset's) is not the container's:
 * init and exec'd processes start with all CPUs that their cgroup allows, unless execCPUAffinity says
 * otherwise. config.json's own execCPUAffinity is not for init.
 *  2. Who makes a process keeps its own affinity: `initial` holds from skf_affinity_initial to
 * skf_affinity_back only.
 *  3. An exec'd process for which nothing is said gets what the container's own process got (as runc).
 *  4. Scheduler and I/O priority are set by the parent, by pid: real-time classes need rights outside of the
 * container's user namespace. It does so when the process is ready: SCHED_DEADLINE cannot fork, and what
 * sets up the container does. Nothing blocks. */
#include "runtime/runtime_int.h"

#include "oci/spec.h"
#include "sys/process.h"

#include <string.h>

static int set_scheduler(pid_t pid, const struct skf_spec_scheduler *p, struct skf_err *e)
{
	struct skf_sched a = {
		.policy = p->policy,
		.nice = p->nice,
		.priority = (unsigned)p->priority,
		.flags = p->flags,
		.runtime = p->runtime,
		.deadline = p->deadline,
		.period = p->period,
	};
	int r = skf_sched_set(pid, &a);

	if (r == -EPERM && p->policy == SCHED_DEADLINE)
		return skf_fail(
			e, SKF_EDENIED,
			"config.json: /process/scheduler: process scheduler can't be used together with "
			"AllowedCPUs: SCHED_DEADLINE needs all CPUs of the machine, and CAP_SYS_NICE: "
			"operation not permitted");
	if (r == -EPERM)
		return skf_fail(
			e, SKF_EDENIED,
			"config.json: /process/scheduler: error setting scheduler: operation not permitted "
			"(CAP_SYS_NICE outside of a user namespace, and real-time bandwidth of the cgroup "
			"are needed)");
	if (r == -EINVAL && p->policy == SCHED_ISO)
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"config.json: /process/scheduler: error setting scheduler: this kernel has no "
			"SCHED_ISO");
	return r < 0 ? skf_fail_sys(e, r,
				    "config.json: /process/scheduler: error setting scheduler "
				    "(sched_setattr)")
		     : 0;
}

static int set_io_priority(pid_t pid, const struct skf_spec_io_priority *p, struct skf_err *e)
{
	int r = skf_ioprio_set(pid, p->class, p->priority);

	return r < 0 ? skf_fail_sys(e, r, "config.json: /process/ioPriority: failed to set io priority") : 0;
}

int skf_sched_apply(pid_t pid, const struct skf_spec_process *p, const struct skf_spec_process *container,
		    struct skf_err *e)
{
	const struct skf_spec_scheduler *sched = p->scheduler;
	const struct skf_spec_io_priority *io = p->io_priority;

	if (!sched && container)
		sched = container->scheduler;
	if (!io && container)
		io = container->io_priority;
	if (sched && set_scheduler(pid, sched, e) < 0)
		return -1;
	return io ? set_io_priority(pid, io, e) : 0;
}

/* --- affinity --- */
/* Invariant 3; both lists come from the same document. */
static const struct skf_spec_process *affinity_of(const struct skf_spec_process *p,
						  const struct skf_spec_process *container)
{
	return p->affinity_initial || p->affinity_final || !container ? p : container;
}

static int set_affinity(const char *list, const char *name, struct skf_idset *cpus, struct skf_err *e)
{
	int r = skf_idset_parse(list, cpus);

	if (r == 0)
		r = skf_affinity_set(0, cpus);
	return r < 0 ? skf_fail_sys(
			       e, r,
			       "config.json: /process/execCPUAffinity/%s: run on the CPUs '%s' (are they "
			       "online and in the cgroup's cpuset?)",
			       name, list)
		     : 0;
}

int skf_affinity_initial(const struct skf_spec_process *p, const struct skf_spec_process *container,
			 const struct skf_log *log, struct skf_idset *saved, struct skf_err *e)
{
	const char *list = affinity_of(p, container)->affinity_initial;
	struct skf_idset cpus;
	int r;

	saved->end = 0;
	if (!list)
		return 0;
	r = skf_affinity_get(0, saved);
	if (r < 0)
		return skf_fail_sys(e, r, "read the runtime's own CPU affinity");
	if (set_affinity(list, "initial", &cpus, e) < 0) {
		saved->end = 0;
		return -1;
	}
	/* nobody can see it later; runc's users look for this line */
	skf_debug(log, "nsexec: affinity: 0x%lx%s", cpus.bits[0],
		  cpus.end > 8 * sizeof(cpus.bits[0]) ? " and more" : "");
	return 0;
}

void skf_affinity_back(const struct skf_idset *saved, const struct skf_log *log)
{
	int r = saved->end ? skf_affinity_set(0, saved) : 0;

	if (r < 0)
		skf_warn(log, "return to the runtime's own CPU affinity: %s, ignoring", strerror(-r));
}

int skf_affinity_final(const struct skf_spec_process *p, const struct skf_spec_process *container,
		       struct skf_err *e)
{
	struct skf_idset cpus;

	p = affinity_of(p, container);
	if (p->affinity_final)
		return set_affinity(p->affinity_final, "final", &cpus, e);
	if (!p->affinity_initial)
		skf_affinity_reset();
	return 0; /* only `initial`: what is left of it in the new cgroup is the kernel's decision
		     (config.md) */
}

void skf_affinity_reset(void)
{
	(void)skf_affinity_clear(0); /* fails only under a foreign filter, which then wants it as it is */
}
