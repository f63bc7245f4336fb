/* sys/sched.h -- scheduling policy, I/O priority, CPU affinity, NUMA memory policy: one kernel call each,
 * -errno on failure. Nothing blocks. */
#pragma once
#include "base/fwd.h"

#define SKF_IDSET_BITS 65536 /* more than CPUs (8192) or NUMA nodes (1024) of any kernel; runc's limit */

/* Numbers of CPUs or NUMA nodes. */
struct skf_idset {
	unsigned long bits[SKF_IDSET_BITS / (8 * sizeof(unsigned long))];
	unsigned end; /* highest member + 1; 0: empty */
	unsigned count;
};
/* "0-3,7": numbers and ranges joined by commas; spaces around and empty elements are allowed (runtime-spec
 * schema, and runc). "" is the empty set. -EINVAL: not such a list; -ERANGE: a number from SKF_IDSET_BITS
 * on. */
int skf_idset_parse(const char *s, struct skf_idset *ret);

struct skf_sched {
	int policy;
	int nice;
	unsigned priority;
	uint64_t flags, runtime, deadline, period;
};
/* man 2 sched_setattr. pid 0: the caller. */
int skf_sched_set(pid_t pid, const struct skf_sched *a);
/* I/O priority of the caller's process group. man 2 ioprio_set. */
int skf_ioprio_set(pid_t pid, int class, int priority);
/* man 2 sched_setaffinity. Members that the machine has no CPU for are left out by the kernel. */
int skf_affinity_set(pid_t pid, const struct skf_idset *cpus);
int skf_affinity_get(pid_t pid, struct skf_idset *ret);
/* All CPUs, now and later: what the cpuset cgroup allows decides alone. */
int skf_affinity_clear(pid_t pid);
/* man 2 set_mempolicy: mode with its flags. */
int skf_mempolicy_set(int mode, const struct skf_idset *nodes);
