/* sys/sched.c -- scheduling policy, I/O priority, CPU affinity, NUMA memory policy. The C library wraps none
 * of the first two, and its cpu_set_t is too small for large machines, so these are the raw calls. Nothing
 * blocks. */
#include "sys/sched.h"

#include <linux/sched.h>
#include <linux/sched/types.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#define LONG_BITS (8 * sizeof(unsigned long))
enum { IOPRIO_WHO_PROCESS = 1, IOPRIO_CLASS_SHIFT = 13 }; /* linux/ioprio.h, which older headers lack */

static bool has_id(const struct skf_idset *s, unsigned id)
{
	return s->bits[id / LONG_BITS] & (1UL << (id % LONG_BITS));
}

static void add_id(struct skf_idset *s, unsigned id)
{
	if (!has_id(s, id))
		s->count++;
	s->bits[id / LONG_BITS] |= 1UL << (id % LONG_BITS);
	if (id >= s->end)
		s->end = id + 1;
}

static int parse_id(const char **s, unsigned *ret)
{
	unsigned n = 0;

	if (**s < '0' || **s > '9')
		return -EINVAL;
	for (; **s >= '0' && **s <= '9'; (*s)++) {
		n = n * 10 + (unsigned)(**s - '0');
		if (n >= SKF_IDSET_BITS)
			return -ERANGE;
	}
	*ret = n;
	return 0;
}

int skf_idset_parse(const char *s, struct skf_idset *ret)
{
	memset(ret, 0, sizeof(*ret));
	for (;;) {
		unsigned first, last;
		int r;

		s += strspn(s, " ,");
		if (*s == '\0')
			return 0;
		r = parse_id(&s, &first);
		last = first;
		if (r == 0 && *s == '-') {
			s++;
			r = parse_id(&s, &last);
		}
		if (r < 0)
			return r;
		s += strspn(s, " ");
		if (last < first || (*s != ',' && *s != '\0'))
			return -EINVAL;
		for (unsigned i = first; i <= last; i++)
			add_id(ret, i);
	}
}

int skf_sched_set(pid_t pid, const struct skf_sched *a)
{
	struct sched_attr attr = {
		/* without clamps the form that every kernel takes */
		.size = a->flags & SCHED_FLAG_UTIL_CLAMP ? SCHED_ATTR_SIZE_VER1 : SCHED_ATTR_SIZE_VER0,
		.sched_policy = (uint32_t)a->policy,
		.sched_flags = a->flags,
		.sched_nice = a->nice,
		.sched_priority = a->priority,
		.sched_runtime = a->runtime,
		.sched_deadline = a->deadline,
		.sched_period = a->period,
	};

	return skf_sys(syscall(SYS_sched_setattr, pid, &attr, 0));
}

int skf_ioprio_set(pid_t pid, int class, int priority)
{
	return skf_sys(
		syscall(SYS_ioprio_set, IOPRIO_WHO_PROCESS, pid, class << IOPRIO_CLASS_SHIFT | priority));
}

int skf_affinity_set(pid_t pid, const struct skf_idset *cpus)
{
	size_t longs = (cpus->end + LONG_BITS - 1) / LONG_BITS;

	return skf_sys(syscall(SYS_sched_setaffinity, pid, longs * sizeof(unsigned long), cpus->bits));
}

int skf_affinity_get(pid_t pid, struct skf_idset *ret)
{
	long n;

	memset(ret, 0, sizeof(*ret));
	n = syscall(SYS_sched_getaffinity, pid, sizeof(ret->bits), ret->bits);
	if (n < 0)
		return skf_errno();
	for (unsigned i = 0; i < (unsigned)n * 8; i++) {
		if (has_id(ret, i)) {
			ret->count++;
			ret->end = i + 1;
		}
	}
	return 0;
}

int skf_affinity_clear(pid_t pid)
{
	struct skf_idset all = {.end = SKF_IDSET_BITS};

	memset(all.bits, 0xff, sizeof(all.bits));
	return skf_affinity_set(pid, &all);
}

int skf_mempolicy_set(int mode, const struct skf_idset *nodes)
{
	/* the kernel looks at one bit less than it is told */
	return skf_sys(syscall(SYS_set_mempolicy, mode, nodes->end ? nodes->bits : NULL,
			       nodes->end ? (unsigned long)nodes->end + 1 : 0UL));
}
