/* runtime/rlimit.c -- resource limits and the OOM score of the container's process.
 *
 * A hard limit can be raised only with CAP_SYS_RESOURCE of the initial user namespace, which init has no
 * more once it is in its own one; and a low limit (open files, address space) could break init's own work.
 * So the parent raises what must be raised right after the clone, and the child sets the exact values as one
 * of its last steps, when setting them can only lower. man 2 prlimit. */
#include "runtime/runtime_int.h"

#include "oci/spec.h"
#include "sys/process.h"

#include <stdio.h>

int skf_rlimits_raise(pid_t pid, const struct skf_spec_process *p, struct skf_err *e)
{
	const struct skf_spec_rlimit *l = p->rlimits.v;

	for (size_t i = 0; i < p->rlimits.n; i++) {
		uint64_t soft, hard;
		int r = skf_getrlimit(pid, l[i].type, &soft, &hard);

		if (r < 0)
			return skf_fail_sys(e, r, "read %s of the container's process",
					    skf_rlimit_name(l[i].type));
		if (l[i].hard <= hard)
			continue;
		r = skf_setrlimit(pid, l[i].type, soft, l[i].hard);
		if (r == -EPERM)
			return skf_fail(e, SKF_EDENIED,
					"config.json: /process/rlimits: the hard limit %llu of %s is above "
					"%llu, the limit here, and raising "
					"it needs CAP_SYS_RESOURCE: operation not permitted",
					(unsigned long long)l[i].hard, skf_rlimit_name(l[i].type),
					(unsigned long long)hard);
		if (r < 0)
			return skf_fail_sys(e, r, "raise %s of the container's process",
					    skf_rlimit_name(l[i].type));
	}
	return 0;
}

int skf_rlimits_apply(const struct skf_spec_process *p, struct skf_err *e)
{
	const struct skf_spec_rlimit *l = p->rlimits.v;

	for (size_t i = 0; i < p->rlimits.n; i++) {
		int r = skf_setrlimit(0, l[i].type, l[i].soft, l[i].hard);

		if (r < 0)
			return skf_fail_sys(e, r, "set %s to %llu:%llu", skf_rlimit_name(l[i].type),
					    (unsigned long long)l[i].soft, (unsigned long long)l[i].hard);
	}
	return 0;
}

int skf_oom_score_apply(pid_t pid, const struct skf_spec_process *p, struct skf_err *e)
{
	char path[48], value[16];
	int r;

	if (!p->has_oom_score_adj)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", (int)pid);
	snprintf(value, sizeof(value), "%d", (int)p->oom_score_adj);
	r = skf_write_existing_at(AT_FDCWD, path, value);
	if (r == -EACCES || r == -EPERM)
		return skf_fail(e, SKF_EDENIED,
				"config.json: /process/oomScoreAdj: %d is below what this caller may set "
				"(lowering needs CAP_SYS_RESOURCE): "
				"permission denied",
				(int)p->oom_score_adj);
	if (r < 0)
		return skf_fail_sys(e, r, "write '%s'", path);
	return 0;
}
