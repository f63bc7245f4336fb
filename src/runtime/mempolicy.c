/* runtime/mempolicy.c -- linux.memoryPolicy and linux.personality of config.json. Both are inherited over
 * clone and execve, so they are set on the container's init and, because those are not its children, on each
 * exec'd process (as runc). Node numbers are judged by the cpuset of the cgroup that the process is in by
 * then. Nothing blocks. man 2 set_mempolicy, personality. */
#include "runtime/runtime_int.h"

#include "oci/spec.h"
#include "sys/process.h"

int skf_mempolicy_apply(const struct skf_spec_linux *l, struct skf_err *e)
{
	const struct skf_spec_memory_policy *p = l->memory_policy;
	struct skf_idset nodes;
	int r;

	if (!p)
		return 0;
	r = skf_idset_parse(p->nodes ? p->nodes : "", &nodes);
	if (r == 0)
		r = skf_mempolicy_set((int)((unsigned)p->mode | p->flags), &nodes);
	if (r == -ENOSYS)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"config.json: /linux/memoryPolicy: this kernel has no NUMA memory policies");
	return r < 0 ? skf_fail_sys(e, r,
				    "config.json: /linux/memoryPolicy: set_mempolicy with nodes '%s' (do "
				    "they exist, "
				    "does the cpuset allow them, and do mode and flags fit?)",
				    p->nodes ? p->nodes : "")
		     : 0;
}

int skf_personality_apply(const struct skf_spec_linux *l, struct skf_err *e)
{
	int r = l->has_personality ? skf_set_personality(l->personality) : 0;

	return r < 0 ? skf_fail_sys(e, r, "config.json: /linux/personality: set personality 0x%lx",
				    l->personality)
		     : 0;
}
