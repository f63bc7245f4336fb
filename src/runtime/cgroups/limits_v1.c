/* limits_v1.c -- memory, cpu and block I/O on cgroup v1. Each controller has pairs of files that the kernel
 * checks against each other, so the order of two writes depends on the values that are there: that is what
 * most of this file is about. */
#include "base/buf.h"
#include "runtime/cgroups/cgroups_int.h"
#include <string.h>

#define LIMIT "memory.limit_in_bytes"
#define MEMSW "memory.memsw.limit_in_bytes"

static int write_i64(struct skf_cgset *s, int i, const char *file, int64_t v, struct skf_err *e)
{
	char text[24];
	int r = skf_fmt(text, sizeof(text), "%lld", (long long)v);

	return r < 0 ? skf_fail_sys(e, r, "format %s", file) : skf_cgset_write(s, i, file, text, e);
}

static int write_limit(struct skf_cgset *s, int i, int64_t v, struct skf_err *e)
{
	char text[24], usage[24] = "?";
	int r = skf_fmt(text, sizeof(text), "%lld", (long long)v);

	if (r == 0)
		r = skf_cgset_put(s, i, LIMIT, text);
	if (r != -EBUSY)
		return r < 0 ? skf_cgset_fail(s, i, LIMIT, text, r, e) : 0;
	(void)skf_cg_read(s->d, (unsigned)i, "memory.usage_in_bytes", usage,
			  sizeof(usage)); /* only for the message */
	return skf_fail(
		e, SKF_ECONFLICT,
		"memory limit %lld is below what the container uses now (%s bytes) and cannot be reclaimed",
		(long long)v, usage);
}

static int write_memsw(struct skf_cgset *s, int i, int64_t v, struct skf_err *e)
{
	char text[24];
	int r = skf_fmt(text, sizeof(text), "%lld", (long long)v);

	if (r == 0)
		r = skf_cgset_put(s, i, MEMSW, text);
	if (r == -ENOENT && v == -1)
		return 0; /* without swap accounting there is no limit to lift */
	if (r == -ENOENT)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"cannot apply linux.resources.memory.swap: the kernel does not account "
				"swap; boot with "
				"swapaccount=1 or drop the limit");
	return r < 0 ? skf_cgset_fail(s, i, MEMSW, text, r, e) : 0;
}

/* The kernel keeps memsw >= limit at every moment: raising goes memsw first, lowering limit first. */
static int limit_and_swap(struct skf_cgset *s, int i, struct skf_err *e)
{
	int64_t limit = s->r->memory.has_limit ? s->r->memory.limit : 0,
		swap = s->r->memory.has_swap ? s->r->memory.swap : 0;
	bool swap_first = false;

	if (limit > 0 && swap > 0 && swap < limit)
		return skf_fail(e, SKF_EINVALID,
				"linux.resources.memory.swap (%lld) is below memory.limit (%lld); it counts "
				"memory and swap together",
				(long long)swap, (long long)limit);
	if (limit == -1 && swap == 0)
		swap = -1;
	if (limit && swap && !s->fresh) {
		char text[32];
		uint64_t now;
		int r = skf_cg_read(s->d, (unsigned)i, LIMIT, text, sizeof(text));

		if (r == 0)
			r = skf_parse_u64(text, &now);
		if (r < 0)
			return skf_fail_sys(e, r, "read '%s%s/" LIMIT "'", s->d->layout.h[i].mountpoint,
					    s->d->path);
		swap_first = swap == -1 || now < (uint64_t)swap;
	}
	if (swap && swap_first && write_memsw(s, i, swap, e) < 0)
		return -1;
	if (limit && !(limit == -1 && s->fresh) && write_limit(s, i, limit, e) < 0)
		return -1;
	return swap && !swap_first && !(swap == -1 && s->fresh) ? write_memsw(s, i, swap, e) : 0;
}

int skf_cg_memory_v1(struct skf_cgset *s, int i, struct skf_err *e)
{
	const __typeof__(s->r->memory) *m = &s->r->memory;

	if (limit_and_swap(s, i, e) < 0)
		return -1;
	if (m->has_reservation && m->reservation &&
	    write_i64(s, i, "memory.soft_limit_in_bytes", m->reservation, e) < 0)
		return -1;
	if ((m->disable_oom_killer || (s->update && m->has_disable_oom_killer)) &&
	    skf_cgset_write(s, i, "memory.oom_control", m->disable_oom_killer ? "1" : "0", e) < 0)
		return -1;
	if (!m->has_swappiness || m->swappiness == UINT64_MAX)
		return 0;
	if (m->swappiness > 100)
		return skf_fail(e, SKF_EINVALID,
				"linux.resources.memory.swappiness is %llu; the range is 0 to 100",
				(unsigned long long)m->swappiness);
	return skf_cgset_write_u64(s, i, "memory.swappiness", m->swappiness, e);
}

/* Two files of which the kernel may refuse the first until the second is written: first, second, first
 * again. */
static int pair(struct skf_cgset *s, int i, const char *f1, const char *v1, const char *f2, const char *v2,
		struct skf_err *e)
{
	int r = v1 ? skf_cgset_put(s, i, f1, v1) : 0;
	bool again = r == -EINVAL && v2;

	if (r == -ENOENT)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"cannot apply linux.resources.cpu: the kernel has no '%s'%s", f1,
				skf_startswith(f1, "cpu.rt") ? " (it is built without CONFIG_RT_GROUP_SCHED)"
							     : "");
	if (r < 0 && !again)
		return skf_cgset_fail(s, i, f1, v1, r, e);
	if (v2 && skf_cgset_write(s, i, f2, v2, e) < 0)
		return -1;
	return again ? skf_cgset_write(s, i, f1, v1, e) : 0;
}

struct number {
	char text[24];
};

static const char *num(struct number *n, bool set, int64_t v)
{
	return set && skf_fmt(n->text, sizeof(n->text), "%lld", (long long)v) == 0 ? n->text : NULL;
}

static int write_idle(struct skf_cgset *s, int i, struct skf_err *e)
{
	const char *v = s->r->cpu.idle ? "1" : "0";
	int r = skf_cgset_put(s, i, "cpu.idle", v);

	if (r == -ENOENT)
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"cannot apply linux.resources.cpu.idle: the kernel has no cpu.idle (since 5.15)");
	return r < 0 ? skf_cgset_fail(s, i, "cpu.idle", v, r, e) : 0;
}

int skf_cg_cpu_v1(struct skf_cgset *s, int i, struct skf_err *e)
{
	const __typeof__(s->r->cpu) *c = &s->r->cpu;
	struct number n1, n2, n3;
	const char *quota = num(&n2, c->has_quota && c->quota, c->quota),
		   *burst = num(&n3, c->has_burst, (int64_t)c->burst);
	int r;

	if (pair(s, i, "cpu.rt_period_us", num(&n1, c->has_rt_period && c->rt_period, (int64_t)c->rt_period),
		 "cpu.rt_runtime_us",
		 num(&(struct number){0}, c->has_rt_runtime && c->rt_runtime, c->rt_runtime), e) < 0)
		return -1;
	/* An idle group takes no shares: it stops to be idle before, and becomes it last. */
	if (c->has_idle && !c->idle && write_idle(s, i, e) < 0)
		return -1;
	if (c->has_shares && c->shares) {
		/* The kernel would quietly use the nearest allowed value. */
		if (c->shares < 2 || c->shares > 262144)
			return skf_fail(e, SKF_EINVALID,
					"linux.resources.cpu.shares is %llu; the range is 2 to 262144",
					(unsigned long long)c->shares);
		if (!(s->fresh && c->shares == 1024) &&
		    skf_cgset_write_u64(s, i, "cpu.shares", c->shares, e) < 0)
			return -1;
	}
	r = burst ? skf_cgset_put(s, i, "cpu.cfs_burst_us", burst) : 0;
	if (r == -ENOENT)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"cannot apply linux.resources.cpu.burst: the kernel has no cpu.cfs_burst_us "
				"(since 5.14)");
	if (r < 0 && !(r == -EINVAL && quota))
		return skf_cgset_fail(s, i, "cpu.cfs_burst_us", burst, r, e);
	if (pair(s, i, "cpu.cfs_period_us", num(&n1, c->has_period && c->period, (int64_t)c->period),
		 "cpu.cfs_quota_us", quota, e) < 0)
		return -1;
	if (r == -EINVAL && skf_cgset_write(s, i, "cpu.cfs_burst_us", burst, e) < 0)
		return -1;
	return c->has_idle && c->idle ? write_idle(s, i, e) : 0;
}

static int write_throttle(struct skf_cgset *s, int i, const char *file, const struct skf_jarr *list,
			  struct skf_err *e)
{
	const struct skf_spec_throttle *t = list->v;

	for (size_t k = 0; k < list->n; k++) {
		char value[72];
		int r = skf_fmt(value, sizeof(value), "%lld:%lld %llu", (long long)t[k].major,
				(long long)t[k].minor, (unsigned long long)t[k].rate);

		if (r < 0)
			return skf_fail_sys(e, r, "format %s", file);
		if (skf_cgset_write(s, i, file, value, e) < 0)
			return -1;
	}
	return 0;
}

/* blkio.<name>, or blkio.bfq.<name> where only the BFQ scheduler has weights. */
static int write_weight(struct skf_cgset *s, int i, const char *name, const char *value, struct skf_err *e)
{
	char file[48];
	int r = skf_fmt(file, sizeof(file), "blkio.%s", name);

	if (r == 0)
		r = skf_cgset_put(s, i, file, value);
	if (r == -ENOENT && skf_fmt(file, sizeof(file), "blkio.bfq.%s", name) == 0)
		r = skf_cgset_put(s, i, file, value);
	if (r == -ENOENT)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"cannot apply linux.resources.blockIO: the kernel has neither blkio.%s nor "
				"blkio.bfq.%s; use "
				"the BFQ scheduler or drop the weight",
				name, name);
	return r < 0 ? skf_cgset_fail(s, i, file, value, r, e) : 0;
}

int skf_cg_blkio_v1(struct skf_cgset *s, int i, struct skf_err *e)
{
	const __typeof__(s->r->block_io) *b = &s->r->block_io;
	const struct skf_spec_weight_device *w = b->weight_device.v;
	char value[72];

	if (b->has_weight && b->weight && skf_fmt(value, sizeof(value), "%u", b->weight) == 0 &&
	    write_weight(s, i, "weight", value, e) < 0)
		return -1;
	if (b->has_leaf_weight && b->leaf_weight &&
	    skf_fmt(value, sizeof(value), "%u", b->leaf_weight) == 0 &&
	    write_weight(s, i, "leaf_weight", value, e) < 0)
		return -1;
	for (size_t k = 0; k < b->weight_device.n; k++) {
		if (w[k].has_weight && w[k].weight &&
		    skf_fmt(value, sizeof(value), "%lld:%lld %u", (long long)w[k].major,
			    (long long)w[k].minor, w[k].weight) == 0 &&
		    write_weight(s, i, "weight_device", value, e) < 0)
			return -1;
		if (w[k].has_leaf_weight && w[k].leaf_weight &&
		    skf_fmt(value, sizeof(value), "%lld:%lld %u", (long long)w[k].major,
			    (long long)w[k].minor, w[k].leaf_weight) == 0 &&
		    write_weight(s, i, "leaf_weight_device", value, e) < 0)
			return -1;
	}
	if (write_throttle(s, i, "blkio.throttle.read_bps_device", &b->read_bps, e) < 0 ||
	    write_throttle(s, i, "blkio.throttle.write_bps_device", &b->write_bps, e) < 0 ||
	    write_throttle(s, i, "blkio.throttle.read_iops_device", &b->read_iops, e) < 0)
		return -1;
	return write_throttle(s, i, "blkio.throttle.write_iops_device", &b->write_iops, e);
}
