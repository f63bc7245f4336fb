/* oci/spec_sched.c -- what config.json says about where and when processes run: process.scheduler,
 * ioPriority, execCPUAffinity and linux.memoryPolicy. Names become the kernel's numbers; the rules are those
 * of sched_setattr(2), ioprio_set(2) and set_mempolicy(2) as far as they hold on every machine. Whether this
 * machine has the CPUs and nodes is the runtime's to find out. Pure; nothing blocks. */
#include "oci/spec_int.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "sys/sched.h"
#include <linux/ioprio.h>
#include <linux/mempolicy.h>
#include <linux/sched.h>
#include <sched.h>
#include <string.h>

/* Linux 6.9; older headers end before it. */
#define WEIGHTED_INTERLEAVE 6

static const struct skf_jenum policies[] = {
	{"SCHED_OTHER", SCHED_OTHER},
	{"SCHED_FIFO", SCHED_FIFO},
	{"SCHED_RR", SCHED_RR},
	{"SCHED_BATCH", SCHED_BATCH},
	{"SCHED_ISO", SCHED_ISO},
	{"SCHED_IDLE", SCHED_IDLE},
	{"SCHED_DEADLINE", SCHED_DEADLINE},
	{NULL, 0},
};
static const struct skf_jenum sched_flags[] = {
	{"SCHED_FLAG_RESET_ON_FORK", SCHED_FLAG_RESET_ON_FORK},
	{"SCHED_FLAG_RECLAIM", SCHED_FLAG_RECLAIM},
	{"SCHED_FLAG_DL_OVERRUN", SCHED_FLAG_DL_OVERRUN},
	{"SCHED_FLAG_KEEP_POLICY", SCHED_FLAG_KEEP_POLICY},
	{"SCHED_FLAG_KEEP_PARAMS", SCHED_FLAG_KEEP_PARAMS},
	{"SCHED_FLAG_UTIL_CLAMP_MIN", SCHED_FLAG_UTIL_CLAMP_MIN},
	{"SCHED_FLAG_UTIL_CLAMP_MAX", SCHED_FLAG_UTIL_CLAMP_MAX},
	{NULL, 0},
};
static const struct skf_jenum io_classes[] = {
	{"IOPRIO_CLASS_RT", IOPRIO_CLASS_RT},
	{"IOPRIO_CLASS_BE", IOPRIO_CLASS_BE},
	{"IOPRIO_CLASS_IDLE", IOPRIO_CLASS_IDLE},
	{NULL, 0},
};
const struct skf_jenum skf_spec_memory_modes[] = {
	{"MPOL_DEFAULT", MPOL_DEFAULT},       {"MPOL_BIND", MPOL_BIND},
	{"MPOL_INTERLEAVE", MPOL_INTERLEAVE}, {"MPOL_WEIGHTED_INTERLEAVE", WEIGHTED_INTERLEAVE},
	{"MPOL_PREFERRED", MPOL_PREFERRED},   {"MPOL_PREFERRED_MANY", MPOL_PREFERRED_MANY},
	{"MPOL_LOCAL", MPOL_LOCAL},           {NULL, 0},
};
const struct skf_jenum skf_spec_memory_flags[] = {
	{"MPOL_F_NUMA_BALANCING", MPOL_F_NUMA_BALANCING},
	{"MPOL_F_RELATIVE_NODES", MPOL_F_RELATIVE_NODES},
	{"MPOL_F_STATIC_NODES", MPOL_F_STATIC_NODES},
	{NULL, 0},
};

/* --- names --- */
struct named {
	const struct skf_jenum *table;
	const char *what;
};

static int find_name(struct skf_jctx *c, const char *s, const struct named *n, int *ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf list = SKF_BUF(400);

	for (const struct skf_jenum *t = n->table; t->name; t++) {
		if (skf_streq(t->name, s)) {
			*ret = t->value;
			return 0;
		}
		skf_buf_fmt(&list, "%s%s", t == n->table ? "" : ", ", t->name);
	}
	return skf_j_fail(c, SKF_EINVALID, "invalid %s '%.64s'; expected one of %s", n->what, s,
			  skf_buf_cstr(&list));
}

/* [int] */
static int dec_name(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	char *s = NULL;

	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	return find_name(c, s, arg, dst);
}

struct flags_ctx {
	const struct named *names;
	unsigned sum;
};

static int flags_elem(struct skf_jctx *c, size_t i, struct json_object *v, void *user)
{
	struct flags_ctx *x = user;
	int flag;

	(void)i;
	if (dec_name(c, v, &flag, x->names) < 0)
		return -1;
	x->sum |= (unsigned)flag;
	return 0;
}

/* [unsigned] */
static int dec_flags(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct flags_ctx x = {.names = arg};

	if (skf_j_each_elem(c, v, SPEC_MAX_LIST, flags_elem, &x) < 0)
		return -1;
	*(unsigned *)dst = x.sum;
	return 0;
}

/* --- scheduler --- */
struct scheduler {
	struct skf_spec_scheduler s;
	bool has_runtime, has_deadline;
	unsigned flags;
};

/* One of the three times of SCHED_DEADLINE, sched(7): at least 1024 ns, the top bit clear. The words are
 * those that crun's users know. */
static int deadline_range(struct skf_jctx *c, const char *name, uint64_t ns)
{
	if (ns < 1024 || ns >= UINT64_C(1) << 63)
		return skf_j_fail(c, SKF_EINVALID,
				  "sched_setattr: `SCHED_DEADLINE` %s (%llu) must be between 1024 and "
				  "9223372036854775807 nanoseconds",
				  name, (unsigned long long)ns);
	return 0;
}

static int deadline_check(struct skf_jctx *c, const struct scheduler *r)
{
	const struct skf_spec_scheduler *s = &r->s;

	if (s->flags & (SCHED_FLAG_KEEP_POLICY | SCHED_FLAG_KEEP_PARAMS)) /* the times are not used */
		return 0;
	if (!r->has_runtime || !r->has_deadline)
		return skf_j_fail(c, SKF_EINVALID, "sched_setattr: `SCHED_DEADLINE` requires `%s`; add it",
				  r->has_runtime ? "deadline" : "runtime");
	if (s->runtime == 0 || s->deadline == 0)
		return skf_j_fail(c, SKF_EINVALID,
				  "sched_setattr: `SCHED_DEADLINE` %s must be greater than 0",
				  s->runtime ? "deadline" : "runtime");
	if (s->runtime > s->deadline)
		return skf_j_fail(
			c, SKF_EINVALID,
			"sched_setattr: `SCHED_DEADLINE` runtime (%llu) must be <= deadline (%llu)",
			(unsigned long long)s->runtime, (unsigned long long)s->deadline);
	if (s->period && s->deadline > s->period)
		return skf_j_fail(c, SKF_EINVALID,
				  "sched_setattr: `SCHED_DEADLINE` deadline (%llu) must be <= period (%llu)",
				  (unsigned long long)s->deadline, (unsigned long long)s->period);
	if (deadline_range(c, "runtime", s->runtime) < 0 || deadline_range(c, "deadline", s->deadline) < 0)
		return -1;
	return s->period ? deadline_range(c, "period", s->period) : 0;
}

static int scheduler_check(struct skf_jctx *c, void *obj)
{
	struct scheduler *r = obj;
	struct skf_spec_scheduler *s = &r->s;
	bool nice = s->policy == SCHED_OTHER || s->policy == SCHED_BATCH;
	bool realtime = s->policy == SCHED_FIFO || s->policy == SCHED_RR;

	s->flags = r->flags;
	if (nice && (s->nice < -20 || s->nice > 19))
		return skf_j_fail(c, SKF_EINVALID, "invalid scheduler.nice %d; expected -20 to 19", s->nice);
	if (s->priority && !realtime)
		return skf_j_fail(c, SKF_EINVALID,
				  "scheduler.priority can only be specified for SCHED_FIFO and SCHED_RR; "
				  "remove it");
	if (s->priority < 0 || s->priority > 99)
		return skf_j_fail(c, SKF_EINVALID, "invalid scheduler.priority %d; expected 1 to 99",
				  s->priority);
	if (s->policy == SCHED_DEADLINE)
		return deadline_check(c, r);
	if (s->runtime || s->deadline || s->period)
		return skf_j_fail(c, SKF_EINVALID,
				  "scheduler runtime, deadline and period can only be specified for "
				  "SCHED_DEADLINE; remove them");
	return 0;
}

static const struct named policy_names = {policies, "scheduler policy"};
static const struct named sched_flag_names = {sched_flags, "scheduler flag"};

#define S struct scheduler
static const struct skf_jfield scheduler_f[] = {
	SPEC_REQ(S, s.policy, "policy", dec_name, &policy_names),
	SPEC_OPT(S, s.nice, "nice", skf_j_i32, NULL),
	SPEC_OPT(S, s.priority, "priority", skf_j_i32, NULL),
	SPEC_OPT(S, flags, "flags", dec_flags, &sched_flag_names),
	SPEC_OPTP(S, s.runtime, has_runtime, "runtime", skf_j_u64, NULL),
	SPEC_OPTP(S, s.deadline, has_deadline, "deadline", skf_j_u64, NULL),
	SPEC_OPT(S, s.period, "period", skf_j_u64, NULL),
	SKF_J_END,
};
#undef S
static const struct skf_jtable scheduler_table = {sizeof(struct scheduler), scheduler_f,
						  .check = scheduler_check};

int skf_spec_j_scheduler(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct scheduler raw = {0};
	struct skf_spec_scheduler *s;

	(void)arg;
	if (skf_j_obj(c, v, &raw, &scheduler_table) < 0)
		return -1;
	s = skf_arena_array(skf_j_arena(c), 1, sizeof(*s));
	if (!s)
		return skf_spec_j_nomem(c);
	*s = raw.s;
	*(struct skf_spec_scheduler **)dst = s;
	return 0;
}

/* --- ioPriority --- */
static int io_check(struct skf_jctx *c, void *obj)
{
	const struct skf_spec_io_priority *p = obj;

	if (p->priority < 0 || p->priority > 7)
		return skf_j_fail(c, SKF_EINVALID, "invalid ioPriority.priority %d; expected 0 to 7",
				  p->priority);
	return 0;
}

static const struct named io_class_names = {io_classes, "ioPriority.class"};
static const struct skf_jfield io_f[] = {
	SPEC_REQ(struct skf_spec_io_priority, class, "class", dec_name, &io_class_names),
	SPEC_OPT(struct skf_spec_io_priority, priority, "priority", skf_j_i32, NULL),
	SKF_J_END,
};
const struct skf_jtable skf_spec_io_priority_table = {sizeof(struct skf_spec_io_priority), io_f,
						      .check = io_check};

/* --- execCPUAffinity --- */
/* [char *] a list of numbers, arg: what they are. */
static int dec_list(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct skf_idset set;
	char *s = NULL;
	int r;

	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	r = skf_idset_parse(s, &set);
	if (r == -ERANGE)
		return skf_j_fail(c, SKF_EINVALID, "invalid %s '%.64s': numbers above %d are not supported",
				  (const char *)arg, s, SKF_IDSET_BITS - 1);
	if (r < 0 || (set.count == 0 && s[0] != '\0'))
		return skf_j_fail(c, SKF_EINVALID, "invalid %s '%.64s'; expected a list such as '0-3,7'",
				  (const char *)arg, s);
	*(char **)dst = s[0] ? s : NULL;
	return 0;
}

static const struct skf_jfield affinity_f[] = {
	SPEC_OPT(struct skf_spec_process, affinity_initial, "initial", dec_list, "CPUs"),
	SPEC_OPT(struct skf_spec_process, affinity_final, "final", dec_list, "CPUs"),
	SKF_J_END,
};
static const struct skf_jtable affinity_table = {sizeof(struct skf_spec_process), affinity_f};

int skf_spec_j_affinity(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct skf_spec_process *p = dst, raw = {0};

	(void)arg;
	if (skf_j_obj(c, v, &raw, &affinity_table) < 0)
		return -1;
	p->affinity_initial = raw.affinity_initial;
	p->affinity_final = raw.affinity_final;
	return 0;
}

/* --- memoryPolicy --- */
struct memory_policy {
	struct skf_spec_memory_policy p;
	bool has_mode;
};

static int memory_check(struct skf_jctx *c, void *obj)
{
	const struct memory_policy *r = obj;
	struct skf_idset nodes;

	if (!r->has_mode)
		return skf_j_fail(c, SKF_EINVALID, "invalid memory policy mode: it is missing; add it");
	(void)skf_idset_parse(r->p.nodes ? r->p.nodes : "", &nodes); /* decoded by dec_list, so valid */
	switch (r->p.mode) {
	case MPOL_DEFAULT:
	case MPOL_LOCAL:
		if (nodes.count)
			return skf_j_fail(c, SKF_EINVALID,
					  "memory policy mode requires 0 nodes but got %u; remove 'nodes'",
					  nodes.count);
		return 0;
	case MPOL_PREFERRED: /* without nodes it means the local one */
		return 0;
	default:
		if (!nodes.count)
			return skf_j_fail(c, SKF_EINVALID,
					  "memory policy mode requires at least one node but got 0; add "
					  "'nodes'");
		return 0;
	}
}

static const struct named mode_names = {skf_spec_memory_modes, "memory policy mode"};
static const struct named memory_flag_names = {skf_spec_memory_flags, "memory policy flag"};

#define M struct memory_policy
static const struct skf_jfield memory_f[] = {
	SPEC_OPTP(M, p.mode, has_mode, "mode", dec_name, &mode_names),
	SPEC_OPT(M, p.nodes, "nodes", dec_list, "memory policy nodes"),
	SPEC_OPT(M, p.flags, "flags", dec_flags, &memory_flag_names),
	SKF_J_END,
};
#undef M
static const struct skf_jtable memory_table = {sizeof(struct memory_policy), memory_f,
					       .check = memory_check};

int skf_spec_j_memory_policy(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct memory_policy raw = {0};
	struct skf_spec_memory_policy *p;

	(void)arg;
	if (skf_j_obj(c, v, &raw, &memory_table) < 0)
		return -1;
	p = skf_arena_array(skf_j_arena(c), 1, sizeof(*p));
	if (!p)
		return skf_spec_j_nomem(c);
	*p = raw.p;
	*(struct skf_spec_memory_policy **)dst = p;
	return 0;
}

/* --- back to names, for state.json --- */
static void write_flags(struct skf_jw *w, const struct skf_jenum *t, unsigned flags)
{
	if (!flags)
		return;
	skf_jw_karr(w, "flags");
	for (; t->name; t++)
		if (flags & (unsigned)t->value)
			skf_jw_str(w, t->name);
	skf_jw_end_arr(w);
}

void skf_spec_write_scheduling(struct skf_jw *w, const struct skf_spec_process *p)
{
	const struct skf_spec_scheduler *s = p->scheduler;

	if (s) {
		skf_jw_kobj(w, "scheduler");
		skf_jw_kstr(w, "policy", skf_spec_enum_name(policies, s->policy));
		skf_jw_kint(w, "nice", s->nice);
		skf_jw_kint(w, "priority", s->priority);
		write_flags(w, sched_flags, (unsigned)s->flags);
		skf_jw_ku64(w, "runtime", s->runtime);
		skf_jw_ku64(w, "deadline", s->deadline);
		skf_jw_ku64(w, "period", s->period);
		skf_jw_end(w);
	}
	if (p->io_priority) {
		skf_jw_kobj(w, "ioPriority");
		skf_jw_kstr(w, "class", skf_spec_enum_name(io_classes, p->io_priority->class));
		skf_jw_kint(w, "priority", p->io_priority->priority);
		skf_jw_end(w);
	}
	if (p->affinity_initial || p->affinity_final) {
		skf_jw_kobj(w, "execCPUAffinity");
		skf_jw_kstr(w, "initial", p->affinity_initial);
		skf_jw_kstr(w, "final", p->affinity_final);
		skf_jw_end(w);
	}
}

void skf_spec_write_memory_policy(struct skf_jw *w, const struct skf_spec_memory_policy *p)
{
	skf_jw_kobj(w, "memoryPolicy");
	skf_jw_kstr(w, "mode", skf_spec_enum_name(skf_spec_memory_modes, p->mode));
	skf_jw_kstr(w, "nodes", p->nodes);
	write_flags(w, skf_spec_memory_flags, p->flags);
	skf_jw_end(w);
}
