/* set.c -- applies linux.resources to the directories of a container: finds the hierarchy of each controller
 * and calls the function of its version. A limit whose controller is missing is an error that names both;
 * properties that exist only on v1 are refused on v2, except the kernel-memory limits, which the kernel
 * itself gave up: they are ignored with a warning as runc does. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "runtime/cgroups/cgroups_int.h"
#include <string.h>

int skf_cgset_dir(const struct skf_cgset *s, unsigned i)
{
	if (s->fd[i] < 0 && (s->d->used & (1u << i)))
		s->fd[i] = skf_cg_open(s->d, i);
	return s->fd[i];
}

int skf_cgset_find(const struct skf_cgset *s, const char *controller, bool *ret_v2)
{
	const struct skf_cg_layout *l = &s->d->layout;
	const struct skf_cg_hier *h = skf_cg_find(l, !strcmp(controller, "io") ? "blkio" : controller);
	size_t n = strlen(controller);

	if (h) {
		*ret_v2 = false;
		return skf_cgset_dir(s, (unsigned)(h - l->h)) >= 0 ? (int)(h - l->h) : -1;
	}
	for (const char *p = s->v2_controllers; (p = strstr(p, controller)); p += n)
		if ((p == s->v2_controllers || p[-1] == ' ') && (p[n] == ' ' || !p[n]))
			for (unsigned i = 0; i < l->n; i++)
				if (l->h[i].v2 && skf_cgset_dir(s, i) >= 0) {
					*ret_v2 = true;
					return (int)i;
				}
	return -1;
}

int skf_cgset_need(const struct skf_cgset *s, const char *controller, const char *what, bool *ret_v2,
		   struct skf_err *e)
{
	int i = skf_cgset_find(s, controller, ret_v2);

	if (i >= 0)
		return i;
	if (s->rootless && !s->d->used)
		return skf_fail(e, SKF_EDENIED,
				"cannot set linux.resources.%s: container could not join or create cgroup "
				"(rootless needs no limits + no cgrouppath when no "
				"permission is granted for cgroups): delegate a cgroup to the user or drop "
				"the limit",
				what);
	if (s->d->layout.mode != SKF_CG_V2)
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"cannot apply linux.resources.%s: the cgroup controller '%s' is not mounted below "
			"/sys/fs/cgroup, or '%s' could not be made in it; mount it or drop the limit",
			what, !strcmp(controller, "io") ? "blkio" : controller, s->d->path);
	return skf_fail(
		e, SKF_EUNSUPPORTED,
		"cannot apply linux.resources.%s: the requested cgroup controller `%s` is not available in "
		"'%s' (there are: %s); "
		"it must be in cgroup.subtree_control of every parent, and a parent that has it may "
		"hold no processes",
		what, controller, s->d->path, s->v2_controllers[0] ? s->v2_controllers : "none");
}

int skf_cgset_v1_only(const char *property, struct skf_err *e)
{
	return skf_fail(e, SKF_EUNSUPPORTED,
			"cannot apply linux.resources.%s: it exists on cgroup v1 only and this host has "
			"cgroup v2; remove it",
			property);
}

int skf_cgset_put(const struct skf_cgset *s, int i, const char *file, const char *value)
{
	int dir = skf_cgset_dir(s, (unsigned)i);

	return dir < 0 ? dir : skf_write_existing_at(dir, file, value);
}

int(skf_cgset_fail)(const struct skf_cgset *s, int i, const char *file, const char *value, int r,
		    struct skf_err *e)
{
	return skf_fail_sys(e, r, "write '%s' to '%s%s/%s'", value, s->d->layout.h[i].mountpoint, s->d->path,
			    file);
}

int skf_cgset_write(const struct skf_cgset *s, int i, const char *file, const char *value, struct skf_err *e)
{
	int r = skf_cgset_put(s, i, file, value);

	return r < 0 ? skf_cgset_fail(s, i, file, value, r, e) : 0;
}

int skf_cgset_write_u64(const struct skf_cgset *s, int i, const char *file, uint64_t value,
			struct skf_err *e)
{
	char text[24];
	int r = skf_fmt(text, sizeof(text), "%llu", (unsigned long long)value);

	return r < 0 ? skf_fail_sys(e, r, "format %s", file) : skf_cgset_write(s, i, file, text, e);
}

static int set_memory(struct skf_cgset *s, struct skf_err *e)
{
	const struct skf_spec_resources *r = s->r;
	bool limit = r->memory.has_limit && r->memory.limit, swap = r->memory.has_swap && r->memory.swap;
	bool soft = r->memory.has_reservation && r->memory.reservation, v2;
	bool oom = r->memory.disable_oom_killer ||
		   (s->update && r->memory.has_disable_oom_killer && s->d->layout.mode != SKF_CG_V2);
	int i;

	if ((r->memory.has_kernel && r->memory.kernel > 0) ||
	    (r->memory.has_kernel_tcp && r->memory.kernel_tcp > 0))
		skf_warn(s->log, "linux.resources.memory.kernel and kernelTCP have no effect on this "
				 "kernel, ignoring them");
	if (!limit && !swap && !soft && !r->memory.has_swappiness && !oom)
		return 0;
	if (r->memory.limit < -1 || r->memory.reservation < -1)
		return skf_fail(e, SKF_EINVALID,
				"linux.resources.memory: limit %lld, reservation %lld; -1 means unlimited, "
				"other negative values "
				"are not allowed",
				(long long)r->memory.limit, (long long)r->memory.reservation);
	i = skf_cgset_need(s, "memory", "memory", &v2, e);
	if (i < 0)
		return -1;
	return v2 ? skf_cg_memory_v2(s, i, e) : skf_cg_memory_v1(s, i, e);
}

static int set_cpu(struct skf_cgset *s, struct skf_err *e)
{
	const struct skf_spec_resources *r = s->r;
	bool v2, rt = r->cpu.rt_runtime || r->cpu.rt_period;
	int i;

	if (!r->cpu.shares && !r->cpu.quota && !r->cpu.period && !r->cpu.has_burst && !r->cpu.has_idle &&
	    !rt)
		return 0;
	i = skf_cgset_need(s, "cpu", "cpu", &v2, e);
	if (i < 0)
		return -1;
	return v2 ? skf_cg_cpu_v2(s, i, e) : skf_cg_cpu_v1(s, i, e);
}

static int set_cpuset(struct skf_cgset *s, struct skf_err *e)
{
	const char *cpus = s->r->cpu.cpus, *mems = s->r->cpu.mems;
	bool v2;
	int i;

	if (!(cpus && *cpus) && !(mems && *mems))
		return 0;
	i = skf_cgset_need(s, "cpuset", "cpu.cpus and cpu.mems", &v2, e);
	if (i < 0)
		return -1;
	if (cpus && *cpus && skf_cgset_write(s, i, "cpuset.cpus", cpus, e) < 0)
		return -1;
	return mems && *mems ? skf_cgset_write(s, i, "cpuset.mems", mems, e) : 0;
}

static int set_pids(struct skf_cgset *s, struct skf_err *e)
{
	bool v2;
	int i;

	if (!s->r->pids.has_limit || (s->r->pids.limit < 0 && s->fresh))
		return 0;
	i = skf_cgset_need(s, "pids", "pids.limit", &v2, e);
	if (i < 0)
		return -1;
	if (s->r->pids.limit < 0)
		return skf_cgset_write(s, i, "pids.max", "max", e);
	/* 0 would forbid even init's own fork; runc and systemd make it 1. */
	return skf_cgset_write_u64(s, i, "pids.max", s->r->pids.limit ? (uint64_t)s->r->pids.limit : 1, e);
}

static int set_io(struct skf_cgset *s, struct skf_err *e)
{
	const __typeof__(s->r->block_io) *b = &s->r->block_io;
	bool v2;
	int i;

	if (!b->weight && !b->leaf_weight && !b->weight_device.n && !b->read_bps.n && !b->write_bps.n &&
	    !b->read_iops.n && !b->write_iops.n)
		return 0;
	i = skf_cgset_need(s, "io", "blockIO", &v2, e);
	if (i < 0)
		return -1;
	return v2 ? skf_cg_io_v2(s, i, e) : skf_cg_blkio_v1(s, i, e);
}

static int set_hugepages(struct skf_cgset *s, struct skf_err *e)
{
	const struct skf_spec_hugepage *h = s->r->hugepages.v;
	bool v2;
	int i = s->r->hugepages.n ? skf_cgset_need(s, "hugetlb", "hugepageLimits", &v2, e) : 0;

	for (size_t k = 0; i >= 0 && k < s->r->hugepages.n; k++) {
		const char *tail = v2 ? "max" : "limit_in_bytes";
		char file[64], value[24];
		int r;

		if (strchr(h[k].page_size, '/') ||
		    skf_fmt(file, sizeof(file), "hugetlb.%s.%s", h[k].page_size, tail) < 0 ||
		    skf_fmt(value, sizeof(value), "%llu", (unsigned long long)h[k].limit) < 0)
			return skf_fail(e, SKF_EINVALID,
					"linux.resources.hugepageLimits[%zu].pageSize '%s' is not a page "
					"size; expected a form like "
					"2MB or 1GB",
					k, h[k].page_size);
		r = skf_cgset_put(s, i, file, value);
		if (r == -ENOENT)
			return skf_fail(e, SKF_EUNSUPPORTED,
					"linux.resources.hugepageLimits[%zu].pageSize: this machine has no "
					"huge pages of size '%s'",
					k, h[k].page_size);
		if (r < 0)
			return skf_cgset_fail(s, i, file, value, r, e);
		/* Reservations are limited too, or a program could reserve and fail with SIGBUS at first
		 * touch. Since kernel 5.7. */
		r = skf_fmt(file, sizeof(file), "hugetlb.%s.rsvd.%s", h[k].page_size, tail);
		if (r == 0)
			r = skf_cgset_put(s, i, file, value);
		if (r < 0 && r != -ENOENT)
			return skf_cgset_fail(s, i, file, value, r, e);
	}
	return i < 0 ? -1 : 0;
}

static int set_rdma(struct skf_cgset *s, struct skf_err *e)
{
	const struct skf_spec_rdma *d = s->r->rdma.v;
	bool v2;
	int i = s->r->rdma.n ? skf_cgset_need(s, "rdma", "rdma", &v2, e) : 0;

	for (size_t k = 0; i >= 0 && k < s->r->rdma.n; k++) {
		char value[256], handles[32] = "", objects[32] = "";
		int r = 0;

		if (d[k].has_handles)
			r = skf_fmt(handles, sizeof(handles), " hca_handle=%u", d[k].handles);
		if (r == 0 && d[k].has_objects)
			r = skf_fmt(objects, sizeof(objects), " hca_object=%u", d[k].objects);
		if (r == 0)
			r = skf_fmt(value, sizeof(value), "%s%s%s", d[k].name, handles, objects);
		if (r < 0)
			return skf_fail_sys(e, r, "linux.resources.rdma: device name '%s'", d[k].name);
		if (skf_cgset_write(s, i, "rdma.max", value, e) < 0)
			return -1;
	}
	return i < 0 ? -1 : 0;
}

static int set_network(struct skf_cgset *s, struct skf_err *e)
{
	const struct skf_spec_if_prio *p = s->r->network.priorities.v;
	bool v2;
	int i;

	if (s->d->layout.mode == SKF_CG_V2 && (s->r->network.class_id || s->r->network.priorities.n))
		return skf_cgset_v1_only("network.classID and network.priorities", e);
	if (s->r->network.has_class_id && s->r->network.class_id) {
		i = skf_cgset_need(s, "net_cls", "network.classID", &v2, e);
		if (i < 0 || skf_cgset_write_u64(s, i, "net_cls.classid", s->r->network.class_id, e) < 0)
			return -1;
	}
	i = s->r->network.priorities.n ? skf_cgset_need(s, "net_prio", "network.priorities", &v2, e) : 0;
	for (size_t k = 0; i >= 0 && k < s->r->network.priorities.n; k++) {
		char value[64];
		int r = skf_fmt(value, sizeof(value), "%s %u", p[k].name, p[k].priority);

		if (r < 0)
			return skf_fail_sys(e, r, "linux.resources.network.priorities: interface '%s'",
					    p[k].name);
		if (skf_cgset_write(s, i, "net_prio.ifpriomap", value, e) < 0)
			return -1;
	}
	return i < 0 ? -1 : 0;
}

int skf_cgset_check(const struct skf_cgset *s, struct skf_err *e)
{
	const __typeof__(s->r->memory) *m = &s->r->memory;
	int64_t limits[] = {m->has_swap ? m->swap : 0, m->has_limit ? m->limit : 0}; /* runc's order */
	char text[32];
	uint64_t now;

	if (!m->check_before_update || s->d->layout.mode != SKF_CG_V2 || (limits[0] <= 0 && limits[1] <= 0))
		return 0;
	if (skf_cg_read(s->d, 0, "memory.current", text, sizeof(text)) < 0 || skf_parse_u64(text, &now) < 0)
		return 0; /* without the controller the limit itself is refused in a moment */
	for (size_t i = 0; i < SKF_ARRAY_LEN(limits); i++)
		if (limits[i] > 0 && (uint64_t)limits[i] <= now)
			return skf_fail(
				e, SKF_ECONFLICT,
				"rejecting %s limit %lld: it is not above what the container uses now (%llu "
				"bytes); memory.checkBeforeUpdate forbids it",
				i ? "memory" : "memory+swap", (long long)limits[i], (unsigned long long)now);
	return 0;
}

int skf_cgset_apply(struct skf_cgset *s, struct skf_err *e)
{
	static int (*const steps[])(struct skf_cgset * s, struct skf_err * e) = {
		set_pids,   set_memory,    set_io,   set_cpu,     skf_cg_devices,
		set_cpuset, set_hugepages, set_rdma, set_network, skf_cg_unified,
	};

	for (size_t k = 0; k < SKF_ARRAY_LEN(steps); k++)
		if (steps[k](s, e) < 0)
			return -1;
	return 0;
}
