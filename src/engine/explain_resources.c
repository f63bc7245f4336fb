/* engine/explain_resources.c -- explain: limits of the cgroup. One row a limit: its value in config.json,
 * the kernel's files of both cgroup versions, and how their texts become one form. cgroups(7),
 * Documentation/admin-guide/cgroup-v1 and cgroup-v2. */
#include "engine/explain_int.h"
#include "sys/path.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/vfs.h>

#define NO_LIMIT   "no limit"
#define HUGE_VALUE (INT64_MAX / 2) /* cgroup v1 says the largest page-aligned number for none */

/* How a configured number or the text of a file is put into words. */
enum form {
	BYTES,  /* -1, max and v1's largest number: no limit */
	COUNT,  /* max: no limit */
	SHARES, /* v2: weight */
	PLAIN   /* as it is */
};
struct limit {
	bool (*want)(const struct skf_spec_resources *r, int64_t *ret); /* false: not set */
	enum form form;
	const char *controller, *v1, *v2;
};

static bool memory(const struct skf_spec_resources *r, int64_t *v)
{
	*v = r->memory.limit;
	return r->memory.has_limit;
}
static bool reservation(const struct skf_spec_resources *r, int64_t *v)
{
	*v = r->memory.reservation;
	return r->memory.has_reservation;
}
static bool swap(const struct skf_spec_resources *r, int64_t *v)
{
	*v = r->memory.swap;
	return r->memory.has_swap;
}
static bool swappiness(const struct skf_spec_resources *r, int64_t *v)
{
	*v = (int64_t)r->memory.swappiness;
	return r->memory.has_swappiness;
}
static bool shares(const struct skf_spec_resources *r, int64_t *v)
{
	*v = (int64_t)r->cpu.shares;
	return r->cpu.has_shares && r->cpu.shares;
}
static bool rt_runtime(const struct skf_spec_resources *r, int64_t *v)
{
	*v = r->cpu.rt_runtime;
	return r->cpu.has_rt_runtime;
}
static bool pids(const struct skf_spec_resources *r, int64_t *v)
{
	*v = r->pids.limit;
	return r->pids.has_limit;
}
static bool weight(const struct skf_spec_resources *r, int64_t *v)
{
	*v = r->block_io.weight;
	return r->block_io.has_weight;
}

static const struct limit l_memory = {memory, BYTES, "memory", "memory.limit_in_bytes", "memory.max"},
			  l_reservation = {reservation, BYTES, "memory", "memory.soft_limit_in_bytes",
					   "memory.low"},
			  l_swap = {swap, BYTES, "memory", "memory.memsw.limit_in_bytes", "memory.swap.max"},
			  l_swappiness = {swappiness, PLAIN, "memory", "memory.swappiness", NULL},
			  l_shares = {shares, SHARES, "cpu", "cpu.shares", "cpu.weight"},
			  l_rt = {rt_runtime, PLAIN, "cpu", "cpu.rt_runtime_us", NULL},
			  l_pids = {pids, COUNT, "pids", "pids.max", "pids.max"},
			  l_weight = {weight, PLAIN, "blkio", "blkio.weight", "io.weight"};

/* memory.swap.max counts swap alone, docker's number both. */
static int64_t wanted_number(const struct skf_ex *x, const struct limit *l, int64_t v)
{
	const struct skf_spec_resources *r = &x->spec->linux_.resources;

	if (skf_ex_is_v2(x) && l == &l_swap && v > 0 && r->memory.has_limit && r->memory.limit > 0)
		return v - r->memory.limit;
	/* crun's conversion, which the runtime uses (runtime/cgroups/convert.c says why): only shown as a
	 * weight, see number_of_kernel */
	return v;
}

static const char *words_of(struct skf_ex *x, const struct limit *l, int64_t v)
{
	if (l->form == BYTES && (v < 0 || v >= HUGE_VALUE))
		return NO_LIMIT;
	if (l->form == COUNT && v < 0)
		return NO_LIMIT;
	return skf_ex_text(x, "%" PRId64 "%s", v, l->form == BYTES ? " bytes" : "");
}

static const char *kernel_words(struct skf_ex *x, const struct limit *l, const char *text)
{
	int64_t v;

	if (!text)
		return "?";
	if (skf_startswith(text, "default "))
		text += strlen("default ");
	if (skf_streq(text, "max"))
		return NO_LIMIT;
	return skf_parse_i64(text, &v) < 0 ? text : words_of(x, l, v);
}

static void limit(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct limit *l = p->arg;
	const char *file = skf_ex_is_v2(x) ? l->v2 : l->v1;
	char *text = skf_ex_cgroup(x, l->controller, file);
	struct skf_ex_line line = {.value = l->form == PLAIN || l->form == SHARES ? "the kernel's default"
										  : NO_LIMIT,
				   .cmp = SKF_EX_NONE};
	int64_t v;

	if (!text && l == &l_weight)
		text = skf_ex_cgroup(x, "blkio", skf_ex_is_v2(x) ? "io.bfq.weight" : "blkio.bfq.weight");
	line.kernel = !file && x->has_cg ? "cgroup v1 only"
		      : text             ? kernel_words(x, l, text)
		      : x->has_cg        ? "no such controller"
					 : "?";
	if (l->want(&x->spec->linux_.resources, &v)) {
		line.value = words_of(x, l, wanted_number(x, l, v));
		/* a weight of v2 stands for the shares: the number is another one */
		line.cmp =
			skf_ex_is_v2(x) && (l->form == SHARES || l == &l_weight) ? SKF_EX_NONE : SKF_EX_TEXT;
	} else if (text && l->form != PLAIN && l->form != SHARES && l != &l_reservation) {
		line.cmp = SKF_EX_TEXT;
	}
	/* A limit of memory alone means as much swap again. */
	if (l == &l_swap && x->q->s.memory && !x->q->s.memory_swap)
		line.source = skf_ex_source(x, "memory", "--memory");
	skf_ex_put(x, p, &line);
}

static void oom_kill(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const char *text = skf_ex_is_v2(x) ? NULL : skf_ex_cgroup(x, "memory", "memory.oom_control");
	bool off = x->spec->linux_.resources.memory.disable_oom_killer;
	struct skf_ex_line l = {.value = off ? "off" : "on",
				.kernel = skf_ex_is_v2(x) ? "on" : "?",
				.cmp = text || skf_ex_is_v2(x) ? SKF_EX_TEXT : SKF_EX_NONE};

	if (text)
		l.kernel = strstr(text, "oom_kill_disable 1") ? "off" : "on";
	skf_ex_put(x, p, &l);
}

/* "<quota> of <period> us" */
static void cpu_time(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_spec_resources *r = &x->spec->linux_.resources;
	const char *quota, *period = NULL, *key = "nanoCpus", *flag = "--cpus";
	struct skf_ex_line l = {.value = NO_LIMIT, .kernel = "?"};
	char *text;

	if (r->cpu.has_quota && r->cpu.quota > 0)
		l.value = skf_ex_text(x, "%" PRId64 " of %" PRIu64 " us", r->cpu.quota,
				      r->cpu.has_period && r->cpu.period ? r->cpu.period : 100000);
	if (skf_ex_is_v2(x)) {
		text = skf_ex_cgroup(x, "cpu", "cpu.max");
		quota = text;
		period = text ? strchr(text, ' ') : NULL;
		if (period)
			text[period++ - text] = '\0';
	} else {
		quota = skf_ex_cgroup(x, "cpu", "cpu.cfs_quota_us");
		period = skf_ex_cgroup(x, "cpu", "cpu.cfs_period_us");
	}
	if (quota && period)
		l.kernel = skf_streq(quota, "-1") || skf_streq(quota, "max")
				   ? NO_LIMIT
				   : skf_ex_text(x, "%s of %s us", quota, period);
	else
		l.cmp = SKF_EX_NONE;
	if (!x->q->s.nano_cpus && (x->q->s.cpu_quota || x->q->s.cpu_period)) {
		key = x->q->s.cpu_quota ? "cpuQuota" : "cpuPeriod";
		flag = x->q->s.cpu_quota ? "--cpu-quota" : "--cpu-period";
	}
	l.source = skf_kvs_get(&x->q->from, "nanoCpus") ? skf_ex_source(x, "nanoCpus", NULL)
							: skf_ex_source(x, key, flag);
	skf_ex_put(x, p, &l);
}

/* arg: the file's name in both versions. */
static void cpuset(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const char *file = p->arg, *want = skf_streq(file, "cpuset.cpus")
						   ? x->spec->linux_.resources.cpu.cpus
						   : x->spec->linux_.resources.cpu.mems;
	char *have = skf_ex_cgroup(x, "cpuset", file),
	     *effective = skf_ex_is_v2(x) && (!have || !*have)
				  ? skf_ex_cgroup(x, "cpuset", skf_ex_text(x, "%s.effective", file))
				  : NULL;
	const struct skf_ex_line l = {.value = want && *want ? want : "all",
				      .kernel = effective ? effective
						: have    ? have
							  : "no such controller",
				      .cmp = want && *want ? SKF_EX_TEXT : SKF_EX_NONE};

	skf_ex_put(x, p, &l);
}

struct throttle {
	const char *v1, *v2; /* file of v1, key in a line of io.max */
	size_t off;          /* of the list in block_io */
};
#define BLOCK(list) offsetof(struct skf_spec_resources, block_io.list)
static const struct throttle t_rbps = {"blkio.throttle.read_bps_device", "rbps=", BLOCK(read_bps)},
			     t_wbps = {"blkio.throttle.write_bps_device", "wbps=", BLOCK(write_bps)},
			     t_riops = {"blkio.throttle.read_iops_device", "riops=", BLOCK(read_iops)},
			     t_wiops = {"blkio.throttle.write_iops_device", "wiops=", BLOCK(write_iops)};

/* The number that the kernel has for a device: v1 "8:0 1048576", v2 "8:0 rbps=1048576 wbps=max ...". */
static const char *throttle_of(struct skf_ex *x, const struct throttle *t, const char *device)
{
	char *text = skf_ex_is_v2(x) ? skf_ex_cgroup(x, "io", "io.max") : skf_ex_cgroup(x, "blkio", t->v1);
	size_t n = strlen(device);

	for (char *p = text; p && *p; p += strcspn(p, "\n"), p += *p == '\n') {
		const char *v = p + n + 1, *end = p + strcspn(p, "\n");

		if (strncmp(p, device, n) != 0 || p[n] != ' ')
			continue;
		if (skf_ex_is_v2(x)) {
			v = strstr(p, t->v2);
			if (!v || v >= end)
				break;
			v += strlen(t->v2);
		}
		return skf_ex_text(x, "%.*s", (int)strcspn(v, " \n"), v);
	}
	return text ? NO_LIMIT : "no such controller";
}

static void throttles(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct throttle *t = p->arg;
	const struct skf_jarr *list = (const void *)((const char *)&x->spec->linux_.resources + t->off);
	const struct skf_spec_throttle *v = list->v;
	const struct skf_ex_line none = {.value = NO_LIMIT};

	if (!list->n)
		skf_ex_put(x, p, &none);
	for (size_t i = 0; i < list->n; i++) {
		char *device = skf_ex_text(x, "%" PRId64 ":%" PRId64, v[i].major, v[i].minor);
		const struct skf_ex_line l = {.name = skf_ex_text(x, "%s %s", p->name, device),
					      .value = skf_ex_text(x, "%" PRIu64, v[i].rate),
					      .kernel = throttle_of(x, t, device)};

		skf_ex_put(x, p, &l);
	}
}

static void hugetlb(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_spec_hugepage *v = x->spec->linux_.resources.hugepages.v;
	const struct skf_ex_line none = {.value = NO_LIMIT};

	if (!x->spec->linux_.resources.hugepages.n)
		skf_ex_put(x, p, &none);
	for (size_t i = 0; i < x->spec->linux_.resources.hugepages.n; i++) {
		char *have = skf_ex_cgroup(x, "hugetlb",
					   skf_ex_text(x, "hugetlb.%s.%s", v[i].page_size,
						       skf_ex_is_v2(x) ? "max" : "limit_in_bytes"));
		const struct skf_ex_line l = {.name = skf_ex_text(x, "hugetlb %s", v[i].page_size),
					      .value = skf_ex_text(x, "%" PRIu64, v[i].limit),
					      .kernel = have ? have : "?"};

		skf_ex_put(x, p, &l);
	}
}

/* --cgroup-conf FILE=VALUE. */
static void unified(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_kvs *u = &x->spec->linux_.resources.unified;

	for (size_t i = 0; i < u->n; i++) {
		char *have = skf_ex_is_v2(x) ? skf_ex_cgroup(x, "", u->v[i].k) : NULL;
		const struct skf_ex_line l = {.name = u->v[i].k,
					      .value = u->v[i].v,
					      .kernel = have ? have : "?",
					      .cmp = have ? SKF_EX_TEXT : SKF_EX_NONE};

		skf_ex_put(x, p, &l);
	}
}

static void cgroup(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const char *want = x->spec->linux_.cgroups_path ? x->spec->linux_.cgroups_path : "-",
		   *all = skf_ex_proc_file(x, "cgroup");
	const struct skf_ex_line l = {.value = want,
				      .kernel = !all                ? "?"
						: strstr(all, want) ? want
								    : "another one"};

	skf_ex_put(x, p, &l);
}

static void shm(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_spec_mount *v = x->spec->mounts.v;
	SKF_AUTO_FD int root = x->running ? skf_openat(x->proc, "root", O_PATH | O_DIRECTORY, 0) : -EBADF;
	SKF_AUTO_FD int fd = root < 0 ? -EBADF : skf_path_open(root, "dev/shm", O_PATH | O_DIRECTORY, 0);
	struct skf_ex_line l = {.value = "none", .kernel = "?", .cmp = SKF_EX_NONE};
	struct statfs st;

	if (fd >= 0 && fstatfs(fd, &st) == 0) {
		l.kernel = skf_ex_text(x, "%" PRIu64, (uint64_t)st.f_blocks * (uint64_t)st.f_bsize);
		l.cmp = SKF_EX_TEXT;
	}
	for (size_t i = 0; i < x->spec->mounts.n; i++)
		for (size_t k = 0; skf_streq(v[i].destination, "/dev/shm") && k < v[i].options.n; k++)
			if (skf_startswith(v[i].options.v[k], "size="))
				l.value = v[i].options.v[k] + strlen("size=");
	if (skf_streq(l.value, "none"))
		l.cmp = SKF_EX_NONE; /* another container's, the host's, or a mount of the user's */
	skf_ex_put(x, p, &l);
}

#define R(name, key, flag, show, arg)                                                                       \
	{                                                                                                   \
		"resources", name, key, flag, show, arg                                                     \
	}
static const struct skf_ex_prop resources[] = {
	R("cgroup", "cgroupParent", "--cgroup-parent", cgroup, NULL),
	R("memory", "memory", "--memory", limit, &l_memory),
	R("memory and swap", "memorySwap", "--memory-swap", limit, &l_swap),
	R("memory reservation", "memoryReservation", "--memory-reservation", limit, &l_reservation),
	R("swappiness", "memorySwappiness", "--memory-swappiness", limit, &l_swappiness),
	R("OOM killer", "oomKillDisable", "--oom-kill-disable", oom_kill, NULL),
	R("cpu time", NULL, NULL, cpu_time, NULL),
	R("cpu shares", "cpuShares", "--cpu-shares", limit, &l_shares),
	R("real-time cpu", "cpuRtRuntime", "--cpu-rt-runtime", limit, &l_rt),
	R("cpuset cpus", "cpusetCpus", "--cpuset-cpus", cpuset, "cpuset.cpus"),
	R("cpuset mems", "cpusetMems", "--cpuset-mems", cpuset, "cpuset.mems"),
	R("processes", "pidsLimit", "--pids-limit", limit, &l_pids),
	R("io weight", "blkioWeight", "--blkio-weight", limit, &l_weight),
	R("bytes read per second", "readBps", "--device-read-bps", throttles, &t_rbps),
	R("bytes written per second", "writeBps", "--device-write-bps", throttles, &t_wbps),
	R("reads per second", "readIops", "--device-read-iops", throttles, &t_riops),
	R("writes per second", "writeIops", "--device-write-iops", throttles, &t_wiops),
	R("hugetlb", NULL, NULL, hugetlb, NULL),
	R("cgroup file", "cgroupConf", "--cgroup-conf", unified, NULL),
	R("/dev/shm", "shmSize", "--shm-size", shm, NULL),
};
const struct skf_ex_table skf_ex_resources = {resources, SKF_ARRAY_LEN(resources)};
