/* engine/plan_resources.c -- what a container may use: memory, CPUs, processes, block devices. One function
 * per controller; each refuses what docker refuses, in its words, before anything is made. Looks at the
 * device nodes that
 * --device-read-bps and its like name, and at whether this kernel counts swap. */
#include "engine/create_int.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define MIN_MEMORY     (6 << 20) /* docker's */
#define MIN_NANO_CPUS  10000000
#define NANO           1000000000
#define CPU_PERIOD     100000 /* microseconds: the kernel's default, and what --cpus is a part of */
#define MIN_PERIOD     1000
#define MAX_PERIOD     1000000
#define MIN_SHARES     2
#define MAX_SHARES     262144
#define MIN_WEIGHT     10
#define MAX_WEIGHT     1000
#define MAX_SWAPPINESS 100

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

static int check_memory(const struct skf_settings *s, struct skf_err *e)
{
	if (s->memory < 0 || (s->memory && s->memory < MIN_MEMORY))
		return skf_fail(e, SKF_EINVALID, "Minimum memory limit allowed is 6MB");
	if (s->memory && s->memory_swap > 0 && s->memory_swap < s->memory)
		return skf_fail(e, SKF_EINVALID,
				"Minimum memoryswap limit should be larger than memory limit, see usage");
	if (!s->memory && s->memory_swap > 0)
		return skf_fail(
			e, SKF_EINVALID,
			"You should always set the Memory limit when using Memoryswap limit, see usage");
	if (s->has_memory_swappiness && (s->memory_swappiness < -1 || s->memory_swappiness > MAX_SWAPPINESS))
		return skf_fail(e, SKF_EINVALID,
				"invalid value: %lld, valid memory swappiness range is 0-100",
				(long long)s->memory_swappiness);
	if (s->memory_reservation && s->memory_reservation < MIN_MEMORY)
		return skf_fail(e, SKF_EINVALID, "Minimum memory reservation allowed is 6MB");
	if (s->memory && s->memory_reservation > s->memory)
		return skf_fail(
			e, SKF_EINVALID,
			"Minimum memory limit can not be less than memory reservation limit, see usage");
	if (s->kernel_memory)
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"--kernel-memory is not supported: kernels since 5.4 have no such limit of its own; "
			"--memory counts kernel memory too");
	return 0;
}

static int plan_memory(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_settings *s = &p->q->s;
	struct skf_gen_res *r = &p->gen.res;

	if (check_memory(s, e) < 0)
		return -1;
	r->memory = s->memory;
	r->reservation = s->memory_reservation;
	r->oom_kill_disable = s->oom_kill_disable;
	r->has_swappiness = s->has_memory_swappiness && s->memory_swappiness >= 0;
	r->swappiness = r->has_swappiness ? (uint64_t)s->memory_swappiness : 0;
	if (s->memory_swap)
		r->swap = s->memory_swap;
	else if (s->memory && s->memory <= INT64_MAX / 2)
		r->swap = s->memory * 2; /* docker's default: as much swap as memory */
	if (r->swap && !swap_is_counted()) {
		if (s->memory_swap > 0)
			skf_warn(&p->g->log, "this kernel does not count swap: --memory-swap is left out");
		r->swap = 0;
	}
	return 0;
}

static int check_cpu(const struct skf_settings *s, struct skf_err *e)
{
	if (s->nano_cpus && (s->cpu_period || s->cpu_quota))
		return skf_fail(e, SKF_EINVALID,
				"Conflicting options: Nano CPUs and CPU %s cannot both be set",
				s->cpu_period ? "Period" : "Quota");
	if (s->cpu_shares < 0 ||
	    (s->cpu_shares && (s->cpu_shares < MIN_SHARES || s->cpu_shares > MAX_SHARES)))
		return skf_fail(e, SKF_EINVALID,
				"invalid CPU shares (%lld): value must be between 2 and 262144",
				(long long)s->cpu_shares);
	if (s->cpu_period && (s->cpu_period < MIN_PERIOD || s->cpu_period > MAX_PERIOD))
		return skf_fail(e, SKF_EINVALID,
				"CPU cfs period can not be less than 1ms (i.e. 1000) or larger than 1s "
				"(i.e. 1000000)");
	if (s->cpu_quota > 0 && s->cpu_quota < MIN_PERIOD)
		return skf_fail(e, SKF_EINVALID, "CPU cfs quota can not be less than 1ms (i.e. 1000)");
	if (s->cpu_rt_runtime && s->cpu_rt_period && s->cpu_rt_runtime > s->cpu_rt_period)
		return skf_fail(e, SKF_EINVALID,
				"cpu real-time runtime cannot be higher than cpu real-time period");
	return 0;
}

/* "0-2,7": digits, commas and dashes, each part a number or a range. */
static int check_set(const char *flag, const char *v, struct skf_err *e)
{
	const char *p = v;

	while (*p) {
		size_t n = strspn(p, "0123456789");

		p += n;
		if (n && *p == '-')
			p += 1 + (n = strspn(p + 1, "0123456789"));
		if (!n || (*p && (*p != ',' || !p[1])))
			return skf_fail(e, SKF_EINVALID,
					"invalid value %s for %s: expected a list like 0-3,7", v, flag);
		p += *p == ',';
	}
	return 0;
}

static int plan_cpu(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_settings *s = &p->q->s;
	struct skf_gen_res *r = &p->gen.res;
	long cpus = sysconf(_SC_NPROCESSORS_ONLN);

	if (check_cpu(s, e) < 0 || check_set("cpuset cpus", s->cpuset_cpus ? s->cpuset_cpus : "", e) < 0 ||
	    check_set("cpuset mems", s->cpuset_mems ? s->cpuset_mems : "", e) < 0)
		return -1;
	if (s->nano_cpus &&
	    (s->nano_cpus < MIN_NANO_CPUS || (cpus > 0 && s->nano_cpus > cpus * (int64_t)NANO)))
		return skf_fail(e, SKF_EINVALID,
				"range of CPUs is from 0.01 to %ld.00, as there are only %ld CPUs available",
				cpus, cpus);
	r->shares = (uint64_t)s->cpu_shares;
	r->period = (uint64_t)s->cpu_period;
	r->quota = s->cpu_quota;
	if (s->nano_cpus) {
		r->period = CPU_PERIOD;
		r->quota = (int64_t)((__int128)s->nano_cpus * CPU_PERIOD / NANO);
	}
	r->rt_period = (uint64_t)s->cpu_rt_period;
	r->rt_runtime = s->cpu_rt_runtime;
	r->cpus = s->cpuset_cpus && *s->cpuset_cpus ? s->cpuset_cpus : NULL;
	r->mems = s->cpuset_mems && *s->cpuset_mems ? s->cpuset_mems : NULL;
	return 0;
}

/* PATH:NUMBER of one flag; bytes may have a unit. */
static int parse_rate(struct skf_plan *p, const char *flag, bool bytes, const char *word,
		      struct skf_gen_rate *ret, struct skf_err *e)
{
	const char *colon = strrchr(word, ':');
	char *path = colon ? skf_arena_dup(p->a, word, (size_t)(colon - word)) : NULL;
	int64_t n = 0;
	struct stat st;

	if (!colon || path[0] != '/')
		return skf_fail(e, SKF_EINVALID,
				"invalid argument \"%s\" for \"--%s\" flag: bad format: expected "
				"/path/of/device:NUMBER",
				word, flag);
	if ((bytes ? skf_parse_size(colon + 1, &n) : skf_parse_i64(colon + 1, &n)) < 0 || n < 0)
		return skf_fail(e, SKF_EINVALID,
				"invalid argument \"%s\" for \"--%s\" flag: invalid rate for device: %s",
				word, flag, path);
	if (stat(path, &st) < 0)
		return skf_fail_sys(e, -errno, "--%s: look at the device '%s'", flag, path);
	if (!S_ISBLK(st.st_mode))
		return skf_fail(e, SKF_EINVALID, "--%s: '%s' is not a block device", flag, path);
	*ret = (struct skf_gen_rate){major(st.st_rdev), minor(st.st_rdev), (uint64_t)n};
	return 0;
}

static int parse_rates(struct skf_plan *p, const char *flag, bool bytes, const struct skf_strv *words,
		       struct skf_gen_rates *ret, struct skf_err *e)
{
	if (!words->n)
		return 0;
	ret->v = skf_arena_array(p->a, words->n, sizeof(*ret->v));
	if (!ret->v)
		return skf_plan_no_memory(e);
	for (; ret->n < words->n; ret->n++)
		if (parse_rate(p, flag, bytes, words->v[ret->n], &ret->v[ret->n], e) < 0)
			return -1;
	return 0;
}

static int plan_block_io(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_settings *s = &p->q->s;
	struct skf_gen_res *r = &p->gen.res;

	if (s->blkio_weight && (s->blkio_weight < MIN_WEIGHT || s->blkio_weight > MAX_WEIGHT))
		return skf_fail(e, SKF_EINVALID, "range of blkio weight is from 10 to 1000");
	r->blkio_weight = (uint32_t)s->blkio_weight;
	if (parse_rates(p, "blkio-weight-device", false, &s->blkio_weight_device, &r->weight_device, e) <
		    0 ||
	    parse_rates(p, "device-read-bps", true, &s->read_bps, &r->rate[SKF_RATE_READ_BPS], e) < 0 ||
	    parse_rates(p, "device-write-bps", true, &s->write_bps, &r->rate[SKF_RATE_WRITE_BPS], e) < 0 ||
	    parse_rates(p, "device-read-iops", false, &s->read_iops, &r->rate[SKF_RATE_READ_IOPS], e) < 0 ||
	    parse_rates(p, "device-write-iops", false, &s->write_iops, &r->rate[SKF_RATE_WRITE_IOPS], e) < 0)
		return -1;
	for (size_t i = 0; i < r->weight_device.n; i++)
		if (r->weight_device.v[i].value < MIN_WEIGHT || r->weight_device.v[i].value > MAX_WEIGHT)
			return skf_fail(e, SKF_EINVALID,
					"invalid weight for device: %s: range is from 10 to 1000",
					s->blkio_weight_device.v[i]);
	return 0;
}

static int plan_pids(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_settings *s = &p->q->s;

	if (!s->has_pids_limit) {
		p->gen.res.pids = p->g->conf.pids_limit;
		return 0;
	}
	if (s->pids_limit < -1)
		return skf_fail(e, SKF_EINVALID,
				"invalid --pids-limit %lld: expected a number, or -1 for no limit",
				(long long)s->pids_limit);
	p->gen.res.pids = s->pids_limit > 0 ? s->pids_limit : -1;
	return 0;
}

static int plan_cgroup(struct skf_plan *p, struct skf_err *e)
{
	const char *parent = p->q->s.cgroup_parent && *p->q->s.cgroup_parent ? p->q->s.cgroup_parent
									     : p->g->conf.cgroup_parent;
	const struct skf_strv *c = &p->q->s.cgroup_conf;
	size_t n = strlen(parent);

	for (size_t i = 0; i < c->n; i++)
		if (!strchr(c->v[i], '=') || strchr(c->v[i], '/'))
			return skf_fail(e, SKF_EINVALID, "invalid --cgroup-conf '%s': expected FILE=VALUE",
					c->v[i]);
	if (skf_streq(parent, "..") || skf_startswith(parent, "../") || strstr(parent, "/../") ||
	    (n >= 3 && skf_streq(parent + n - 3, "/..")))
		return skf_fail(e, SKF_EINVALID, "invalid --cgroup-parent '%s': it must not go up by '..'",
				parent);
	while (n > 1 && parent[n - 1] == '/')
		n--;
	p->gen.res.unified = *c;
	p->gen.cgroup = skf_arena_fmt(p->a, "%s%.*s/%s", parent[0] == '/' ? "" : "/",
				      (int)(n == 1 && parent[0] == '/' ? 0 : n), parent, p->id);
	return p->gen.cgroup ? 0 : skf_plan_no_memory(e);
}

int skf_plan_resources(struct skf_plan *p, struct skf_err *e)
{
	p->gen.rdt_class = p->q->s.rdt_class;
	return plan_memory(p, e) < 0 || plan_cpu(p, e) < 0 || plan_block_io(p, e) < 0 ||
			       plan_pids(p, e) < 0 || plan_cgroup(p, e) < 0
		       ? -1
		       : 0;
}
