/* limits_v2.c -- memory, cpu, io and raw files (unified) on cgroup v2. Properties that only v1 has are
 * refused by name: a limit that is asked for is applied or an error, never dropped. */
#include "base/buf.h"
#include "runtime/cgroups/cgroups_int.h"
#include <string.h>

static int write_max(struct skf_cgset *s, int i, const char *file, int64_t v, struct skf_err *e)
{
	return v == -1 ? skf_cgset_write(s, i, file, "max", e)
		       : skf_cgset_write_u64(s, i, file, (uint64_t)v, e);
}

int skf_cg_memory_v2(struct skf_cgset *s, int i, struct skf_err *e)
{
	const __typeof__(s->r->memory) *m = &s->r->memory;
	char swap[24];
	int r;

	if (m->has_swappiness && m->swappiness != UINT64_MAX)
		return skf_cgset_v1_only("memory.swappiness", e);
	if (m->disable_oom_killer)
		return skf_cgset_v1_only("memory.disableOOMKiller", e);
	if (skf_cg_swap_to_v2(s->r, swap, e) < 0)
		return -1;
	r = swap[0] ? skf_cgset_put(s, i, "memory.swap.max", swap) : 0;
	/* A kernel without swap has no file: nothing to forbid and nothing to allow. */
	if (r < 0 && !(r == -ENOENT && (!strcmp(swap, "max") || !strcmp(swap, "0"))))
		return skf_cgset_fail(s, i, "memory.swap.max", swap, r, e);
	if (m->has_limit && m->limit && !(s->fresh && m->limit == -1) &&
	    write_max(s, i, "memory.max", m->limit, e) < 0)
		return -1;
	if (m->has_reservation && m->reservation)
		return write_max(s, i, "memory.low", m->reservation, e);
	return 0;
}

/* "<quota|max> <period>"; 0 bytes when neither is set. */
static int cpu_max(const struct skf_spec_resources *r, char *out, size_t size)
{
	uint64_t period =
		r->cpu.has_period && r->cpu.period ? r->cpu.period : 100000; /* the kernel's default */

	out[0] = '\0';
	if (!(r->cpu.has_quota && r->cpu.quota) && !(r->cpu.has_period && r->cpu.period))
		return 0;
	if (r->cpu.has_quota && r->cpu.quota > 0)
		return skf_fmt(out, size, "%lld %llu", (long long)r->cpu.quota, (unsigned long long)period);
	return skf_fmt(out, size, "max %llu", (unsigned long long)period);
}

int skf_cg_cpu_v2(struct skf_cgset *s, int i, struct skf_err *e)
{
	const __typeof__(s->r->cpu) *c = &s->r->cpu;
	char max[64], burst[24] = "";
	int r = 0;

	if ((c->has_rt_runtime && c->rt_runtime) || (c->has_rt_period && c->rt_period))
		return skf_cgset_v1_only("cpu.realtimeRuntime and realtimePeriod", e);
	/* An idle group takes no weight: it stops to be idle before, and becomes it after. */
	if (c->has_idle && !c->idle && skf_cgset_write(s, i, "cpu.idle", "0", e) < 0)
		return -1;
	if (c->has_shares && c->shares && !(s->fresh && c->shares == 1024) &&
	    skf_cgset_write_u64(s, i, "cpu.weight", skf_cg_shares_to_weight(c->shares), e) < 0)
		return -1;
	if (c->has_idle && c->idle && skf_cgset_write(s, i, "cpu.idle", "1", e) < 0)
		return -1;
	if (cpu_max(s->r, max, sizeof(max)) < 0 ||
	    (c->has_burst && skf_fmt(burst, sizeof(burst), "%llu", (unsigned long long)c->burst) < 0))
		return skf_fail(e, SKF_EINVALID,
				"linux.resources.cpu: quota or period is too long a number");
	/* A burst above the old quota is refused until the new quota is there. */
	r = burst[0] ? skf_cgset_put(s, i, "cpu.max.burst", burst) : 0;
	if (r < 0 && !(r == -EINVAL && max[0]))
		return skf_cgset_fail(s, i, "cpu.max.burst", burst, r, e);
	if (max[0] && skf_cgset_write(s, i, "cpu.max", max, e) < 0)
		return -1;
	return r == -EINVAL ? skf_cgset_write(s, i, "cpu.max.burst", burst, e) : 0;
}

static int write_throttle(struct skf_cgset *s, int i, const char *key, const struct skf_jarr *list,
			  struct skf_err *e)
{
	const struct skf_spec_throttle *t = list->v;

	for (size_t k = 0; k < list->n; k++) {
		char value[80];
		int r;

		/* 0 takes the limit away on v1; io.max refuses it and says "max". */
		if (t[k].rate)
			r = skf_fmt(value, sizeof(value), "%lld:%lld %s=%llu", (long long)t[k].major,
				    (long long)t[k].minor, key, (unsigned long long)t[k].rate);
		else
			r = skf_fmt(value, sizeof(value), "%lld:%lld %s=max", (long long)t[k].major,
				    (long long)t[k].minor, key);
		if (r < 0)
			return skf_fail_sys(e, r, "format io.max");
		if (skf_cgset_write(s, i, "io.max", value, e) < 0)
			return -1;
	}
	return 0;
}

/* io.bfq.weight has v1's range; io.weight is what other schedulers and io.cost have. prefix: "" or "8:0 ".
 */
static int write_weight(struct skf_cgset *s, int i, const char *prefix, uint32_t weight, struct skf_err *e)
{
	char value[64];
	int r = skf_fmt(value, sizeof(value), "%s%u", prefix, weight);

	if (r == 0)
		r = skf_cgset_put(s, i, "io.bfq.weight", value);
	if (r != -ENOENT)
		return r < 0 ? skf_cgset_fail(s, i, "io.bfq.weight", value, r, e) : 0;
	r = skf_fmt(value, sizeof(value), "%s%llu", prefix,
		    (unsigned long long)skf_cg_blkio_to_io_weight(weight));
	if (r == 0)
		r = skf_cgset_put(s, i, "io.weight", value);
	if (r == -ENOENT)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"cannot apply linux.resources.blockIO: the kernel has neither io.bfq.weight "
				"nor io.weight; use "
				"the BFQ scheduler or drop the weight");
	return r < 0 ? skf_cgset_fail(s, i, "io.weight", value, r, e) : 0;
}

int skf_cg_io_v2(struct skf_cgset *s, int i, struct skf_err *e)
{
	const __typeof__(s->r->block_io) *b = &s->r->block_io;
	const struct skf_spec_weight_device *w = b->weight_device.v;

	if (b->has_leaf_weight && b->leaf_weight)
		return skf_cgset_v1_only("blockIO.leafWeight", e);
	if (b->has_weight && b->weight && write_weight(s, i, "", b->weight, e) < 0)
		return -1;
	for (size_t k = 0; k < b->weight_device.n; k++) {
		char prefix[48];

		if (w[k].has_leaf_weight && w[k].leaf_weight)
			return skf_cgset_v1_only("blockIO.weightDevice.leafWeight", e);
		if (w[k].has_weight && w[k].weight &&
		    skf_fmt(prefix, sizeof(prefix), "%lld:%lld ", (long long)w[k].major,
			    (long long)w[k].minor) == 0 &&
		    write_weight(s, i, prefix, w[k].weight, e) < 0)
			return -1;
	}
	if (write_throttle(s, i, "rbps", &b->read_bps, e) < 0 ||
	    write_throttle(s, i, "wbps", &b->write_bps, e) < 0 ||
	    write_throttle(s, i, "riops", &b->read_iops, e) < 0)
		return -1;
	return write_throttle(s, i, "wiops", &b->write_iops, e);
}

/* One value, line by line: io.max and others take one line per write. */
static int write_lines(struct skf_cgset *s, int i, const struct skf_kv *kv, struct skf_err *e)
{
	char *line = skf_arena_strdup(s->arena, kv->v);

	if (!line)
		return skf_nomem(e);
	do {
		char *next = strchr(line, '\n');
		int r;

		if (next)
			*next++ = '\0';
		r = skf_cgset_put(s, i, kv->k, line);
		if (r == -ENOENT || r == -EACCES) {
			char name[32];
			size_t n = strcspn(kv->k, ".");
			bool v2;

			if (n < sizeof(name) && strncmp(kv->k, "cgroup.", 7) != 0) {
				memcpy(name, kv->k, n);
				name[n] = '\0';
				if (skf_cgset_need(s, name, "unified", &v2, e) < 0)
					return skf_ctx(e, "file '%s'", kv->k);
			}
		}
		if (r < 0)
			return skf_cgset_fail(s, i, kv->k, line, r, e);
		line = next;
	} while (line && *line);
	return 0;
}

static bool moves_processes(const char *file)
{
	return !strcmp(file, "cgroup.procs") || !strcmp(file, "cgroup.threads") ||
	       !strcmp(file, "cgroup.kill");
}

int skf_cg_unified(struct skf_cgset *s, struct skf_err *e)
{
	const struct skf_kvs *u = &s->r->unified;

	if (!u->n)
		return 0;
	if (s->d->layout.mode != SKF_CG_V2)
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"invalid configuration: linux.resources.unified needs cgroup v2 and this host has "
			"cgroup v1");
	if (skf_cgset_dir(s, 0) < 0)
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"cannot apply linux.resources.unified: the cgroup directory '%s' could not be made",
			s->d->path);
	for (size_t k = 0; k < u->n; k++) {
		if (strchr(u->v[k].k, '/') || !strchr(u->v[k].k, '.'))
			return skf_fail(e, SKF_EINVALID,
					"linux.resources.unified: the specified key has not the form "
					"CONTROLLER.VALUE "
					"`%s`; it is the name of a cgroup file, without a slash",
					u->v[k].k);
		if (moves_processes(u->v[k].k))
			return skf_fail(e, SKF_EINVALID,
					"linux.resources.unified: '%s' is not a limit: it would move or "
					"kill processes",
					u->v[k].k);
		if (write_lines(s, 0, &u->v[k], e) < 0)
			return -1;
	}
	return 0;
}
