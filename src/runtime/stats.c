/* runtime/stats.c -- what a container uses, in the form of runc's `events`: the object "data" of
 * types/events.go, which monitoring programs read.
 *
 * Each part takes the controller from where this machine has it, v1 before v2, so that hybrid layouts work
 * too. A file that is missing leaves its member out or 0, as runc does: kernels differ, and statistics are
 * never a reason to fail. Text of the kernel is copied into the document only as numbers or through the
 * writer's escapes, because names of network interfaces are the container's choice. Does not block. */
#include "runtime/runtime_int.h"

#include "base/json.h"
#include "base/limits.h"
#include "oci/spec.h"
#include "runtime/stats_int.h"

#include <dirent.h>
#include <sched.h>
#include <string.h>
#include <unistd.h>

#define MAX_CPU_RANGES 8192 /* more CPUs than the kernel supports */

int skf_stats_find(const struct skf_stats *x, const char *controller, bool *ret_v2)
{
	const struct skf_cg_dirs *d = x->cg;
	const struct skf_cg_hier *h = skf_cg_find(&d->layout, controller);
	unsigned i = h ? (unsigned)(h - d->layout.h) : SKF_CG_MAX;

	*ret_v2 = false;
	if (i < SKF_CG_MAX && (d->used & (1u << i)))
		return (int)i;
	*ret_v2 = true;
	for (i = 0; !h && i < d->layout.n; i++)
		if (d->layout.h[i].v2 && (d->used & (1u << i)))
			return (int)i;
	return -1;
}

const char *skf_stats_read(struct skf_stats *x, int i, const char *file)
{
	SKF_AUTO_FD int dir = skf_cg_open(x->cg, (unsigned)i);
	int r = dir;

	skf_buf_clear(&x->text);
	if (r >= 0)
		r = skf_read_file_at(dir, file, SKF_MAX_OBJECT_BYTES, &x->text);
	return r < 0 ? NULL : skf_buf_cstr(&x->text);
}

/* A number, or "max", which runc shows as the largest number. */
static bool number(const char *text, uint64_t *ret)
{
	char digits[24];
	size_t n = strcspn(text, "\n");

	if (n == 3 && memcmp(text, "max", 3) == 0) {
		*ret = UINT64_MAX;
		return true;
	}
	if (n == 0 || n >= sizeof(digits))
		return false;
	memcpy(digits, text, n);
	digits[n] = '\0';
	return skf_parse_u64(digits, ret) == 0;
}

uint64_t skf_stats_u64(struct skf_stats *x, int i, const char *file)
{
	const char *text = skf_stats_read(x, i, file);
	uint64_t v;

	return text && number(text, &v) ? v : 0;
}

uint64_t skf_stats_key(const char *text, const char *key)
{
	size_t n = strlen(key);
	uint64_t v;

	for (; text && *text; text += strcspn(text, "\n"), text += *text == '\n')
		if (strncmp(text, key, n) == 0 && text[n] == ' ')
			return number(text + n + 1, &v) ? v : 0;
	return 0;
}

void skf_stats_nonzero(struct skf_jw *w, const char *key, uint64_t v)
{
	if (v)
		skf_jw_ku64(w, key, v);
}

/* --- pressure --- */
/* "some avg10=0.12 avg60=..." becomes numbers; anything else is left out. */
static void pressure_line(struct skf_jw *w, const char *kind, const char *line)
{
	static const char *const keys[] = {"avg10", "avg60", "avg300", "total"};
	size_t end = strcspn(line, "\n");

	skf_jw_kobj(w, kind);
	for (size_t k = 0; k < SKF_ARRAY_LEN(keys); k++) {
		const char *at = memmem(line, end, keys[k], strlen(keys[k]));
		char value[32];
		size_t n;

		if (!at || at[strlen(keys[k])] != '=')
			continue;
		at += strlen(keys[k]) + 1;
		n = strspn(at, "0123456789.");
		if (n == 0 || n >= sizeof(value))
			continue;
		memcpy(value, at, n);
		value[n] = '\0';
		skf_jw_kraw(w, keys[k], value);
	}
	skf_jw_end(w);
}

static void pressure(struct skf_stats *x, const char *controller, const char *file)
{
	bool v2;
	int i = skf_stats_find(x, controller, &v2);
	const char *text = i >= 0 && v2 ? skf_stats_read(x, i, file) : NULL, *full;

	if (!text || !skf_startswith(text, "some "))
		return;
	skf_jw_kobj(x->w, "psi");
	pressure_line(x->w, "some", text);
	full = strstr(text, "\nfull ");
	if (full)
		pressure_line(x->w, "full", full + 1);
	skf_jw_end(x->w);
}

/* --- cpu --- */
/* Column `col` of each line of cpuacct.usage_all ("cpu user system"), or all words of cpuacct.usage_percpu.
 */
static void per_cpu(struct skf_jw *w, const char *key, const char *text, int col)
{
	char word[24];
	int at = 0, line = 0;

	skf_jw_karr(w, key);
	for (; *text; at++) {
		size_t n = strcspn(text, " \n");
		uint64_t v;

		if (n < sizeof(word) && (col < 0 || (line > 0 && at == col))) {
			memcpy(word, text, n);
			word[n] = '\0';
			if (skf_parse_u64(word, &v) == 0)
				skf_jw_int(w, (int64_t)v);
		}
		text += n;
		if (*text == '\n') {
			line++;
			at = -1;
		}
		text += *text != '\0';
	}
	skf_jw_end_arr(w);
}

static void cpu_usage_v1(struct skf_stats *x, int acct)
{
	uint64_t ns = 1000000000u / (uint64_t)sysconf(_SC_CLK_TCK), user, kernel;
	const char *text;

	skf_stats_nonzero(x->w, "total", skf_stats_u64(x, acct, "cpuacct.usage"));
	text = skf_stats_read(x, acct, "cpuacct.usage_percpu");
	if (text)
		per_cpu(x->w, "percpu", text, -1);
	text = skf_stats_read(x, acct, "cpuacct.usage_all");
	if (text) {
		per_cpu(x->w, "percpu_kernel", text, 2);
		per_cpu(x->w, "percpu_user", text, 1);
	}
	text = skf_stats_read(x, acct, "cpuacct.stat");
	user = skf_stats_key(text, "user");
	kernel = skf_stats_key(text, "system");
	skf_jw_ku64(x->w, "kernel", kernel * ns);
	skf_jw_ku64(x->w, "user", user * ns);
}

static void cpu(struct skf_stats *x)
{
	bool v2, acct_v2;
	int i = skf_stats_find(x, "cpu", &v2), acct = skf_stats_find(x, "cpuacct", &acct_v2);
	const char *stat;

	skf_jw_kobj(x->w, "cpu");
	skf_jw_kobj(x->w, "usage");
	if (acct >= 0 && !acct_v2)
		cpu_usage_v1(x, acct);
	stat = i >= 0 ? skf_stats_read(x, i, "cpu.stat") : NULL;
	if (acct_v2) {
		skf_stats_nonzero(x->w, "total", skf_stats_key(stat, "usage_usec") * 1000);
		skf_jw_ku64(x->w, "kernel", skf_stats_key(stat, "system_usec") * 1000);
		skf_jw_ku64(x->w, "user", skf_stats_key(stat, "user_usec") * 1000);
	}
	skf_jw_end(x->w);
	/* always there, as runc has it: {} before the first period has ended */
	skf_jw_kobj(x->w, "throttling");
	skf_stats_nonzero(x->w, "periods", skf_stats_key(stat, "nr_periods"));
	skf_stats_nonzero(x->w, "throttledPeriods", skf_stats_key(stat, "nr_throttled"));
	skf_stats_nonzero(x->w, "throttledTime",
			  v2 ? skf_stats_key(stat, "throttled_usec") * 1000
			     : skf_stats_key(stat, "throttled_time"));
	skf_jw_end(x->w);
	pressure(x, "cpu", "cpu.pressure");
	skf_jw_end(x->w);
}

/* "0-3,8" as [0,1,2,3,8]. */
static void cpu_list(struct skf_jw *w, const char *key, const char *text)
{
	unsigned budget = MAX_CPU_RANGES;

	if (!text || *text < '0' || *text > '9')
		return;
	skf_jw_karr(w, key);
	while (*text >= '0' && *text <= '9' && budget > 0) {
		uint64_t from = 0, to;

		for (; *text >= '0' && *text <= '9' && from < 65536; text++)
			from = from * 10 + (uint64_t)(*text - '0');
		to = from;
		if (*text == '-')
			for (to = 0, text++; *text >= '0' && *text <= '9' && to < 65536; text++)
				to = to * 10 + (uint64_t)(*text - '0');
		for (; from <= to && budget > 0; from++, budget--)
			skf_jw_int(w, (int64_t)from);
		text += *text == ',';
	}
	skf_jw_end_arr(w);
}

static void cpuset(struct skf_stats *x)
{
	static const struct {
		const char *key, *file;
	} flags[] = {
		{"cpu_exclusive", "cpuset.cpu_exclusive"},
		{"mem_hardwall", "cpuset.mem_hardwall"},
		{"mem_exclusive", "cpuset.mem_exclusive"},
		{"memory_migrate", "cpuset.memory_migrate"},
		{"memory_spread_page", "cpuset.memory_spread_page"},
		{"memory_spread_slab", "cpuset.memory_spread_slab"},
		{"memory_pressure", "cpuset.memory_pressure"},
		{"sched_load_balance", "cpuset.sched_load_balance"},
	};
	const char *level;
	int64_t n = 0;
	bool v2;
	int i = skf_stats_find(x, "cpuset", &v2);

	skf_jw_kobj(x->w, "cpuset");
	if (i >= 0) {
		cpu_list(x->w, "cpus", skf_stats_read(x, i, v2 ? "cpuset.cpus.effective" : "cpuset.cpus"));
		cpu_list(x->w, "mems", skf_stats_read(x, i, v2 ? "cpuset.mems.effective" : "cpuset.mems"));
	}
	for (size_t k = 0; k < SKF_ARRAY_LEN(flags); k++)
		skf_jw_ku64(x->w, flags[k].key, i >= 0 && !v2 ? skf_stats_u64(x, i, flags[k].file) : 0);
	level = i >= 0 && !v2 ? skf_stats_read(x, i, "cpuset.sched_relax_domain_level") : NULL;
	if (level) {
		char *nl = x->text.len ? strchr(x->text.p, '\n') : NULL;

		if (nl)
			*nl = '\0';
		if (skf_parse_i64(level, &n) < 0)
			n = 0;
	}
	skf_jw_kint(x->w, "sched_relax_domain_level", n);
	skf_jw_end(x->w);
}

/* --- memory, pids, hugetlb --- */
struct entry {
	uint64_t limit, usage, max, failcnt;
};

static void write_entry(struct skf_jw *w, const char *key, const struct entry *m)
{
	skf_jw_kobj(w, key);
	skf_jw_ku64(w, "limit", m->limit);
	skf_stats_nonzero(w, "usage", m->usage);
	skf_stats_nonzero(w, "max", m->max);
	skf_jw_ku64(w, "failcnt", m->failcnt);
	skf_jw_end(w);
}

static uint64_t part(struct skf_stats *x, int i, const char *prefix, const char *name)
{
	char file[96];

	return skf_fmt(file, sizeof(file), "%s.%s", prefix, name) < 0 ? 0 : skf_stats_u64(x, i, file);
}

static void entry_v1(struct skf_stats *x, int i, const char *key, const char *prefix)
{
	const struct entry m = {
		.limit = part(x, i, prefix, "limit_in_bytes"),
		.usage = part(x, i, prefix, "usage_in_bytes"),
		.max = part(x, i, prefix, "max_usage_in_bytes"),
		.failcnt = part(x, i, prefix, "failcnt"),
	};

	if (m.limit) /* runc leaves out what the kernel does not account */
		write_entry(x->w, key, &m);
}

/* v1 counts memory and swap together, v2 apart: programs expect the sum in "swap". */
static void entries_v2(struct skf_stats *x, int i)
{
	const struct entry m = {
		.limit = skf_stats_u64(x, i, "memory.max"),
		.usage = skf_stats_u64(x, i, "memory.current"),
		.max = skf_stats_u64(x, i, "memory.peak"),
	};
	struct entry swap = {.limit = skf_stats_u64(x, i, "memory.swap.max"),
			     .usage = skf_stats_u64(x, i, "memory.swap.current")};

	write_entry(x->w, "usage", &m);
	swap.usage += m.usage;
	swap.limit = swap.limit == UINT64_MAX || m.limit == UINT64_MAX ? UINT64_MAX : swap.limit + m.limit;
	write_entry(x->w, "swap", &swap);
}

static void raw_stat(struct skf_jw *w, const char *text)
{
	skf_jw_kobj(w, "raw");
	while (text && *text) {
		size_t n = strcspn(text, " \n");
		char key[64];
		uint64_t v;

		if (n < sizeof(key) && text[n] == ' ' && number(text + n + 1, &v)) {
			memcpy(key, text, n);
			key[n] = '\0';
			skf_jw_ku64(w, key, v);
		}
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	skf_jw_end(w);
}

static void memory(struct skf_stats *x)
{
	bool v2;
	int i = skf_stats_find(x, "memory", &v2);
	const char *stat;

	skf_jw_kobj(x->w, "memory");
	if (i >= 0) {
		stat = skf_stats_read(x, i, "memory.stat");
		skf_stats_nonzero(x->w, "cache", skf_stats_key(stat, v2 ? "file" : "cache"));
		if (v2) {
			entries_v2(x, i);
		} else {
			entry_v1(x, i, "usage", "memory");
			entry_v1(x, i, "swap", "memory.memsw");
			entry_v1(x, i, "kernel", "memory.kmem");
			entry_v1(x, i, "kernelTCP", "memory.kmem.tcp");
		}
		raw_stat(x->w, skf_stats_read(x, i, "memory.stat"));
		pressure(x, "memory", "memory.pressure");
	}
	skf_jw_end(x->w);
}

static void pids(struct skf_stats *x)
{
	bool v2;
	int i = skf_stats_find(x, "pids", &v2);
	uint64_t limit = i >= 0 ? skf_stats_u64(x, i, "pids.max") : 0;

	skf_jw_kobj(x->w, "pids");
	if (i >= 0)
		skf_stats_nonzero(x->w, "current", skf_stats_u64(x, i, "pids.current"));
	if (limit != UINT64_MAX)
		skf_stats_nonzero(x->w, "limit", limit);
	skf_jw_end(x->w);
}

/* "2MB" of "hugepages-2048kB". */
static bool page_size(const char *name, char *out, size_t size)
{
	static const char *const units[] = {"KB", "MB", "GB"};
	char digits[16];
	size_t n;
	uint64_t kb;
	unsigned u = 0;

	if (!skf_startswith(name, "hugepages-"))
		return false;
	name += strlen("hugepages-");
	n = strspn(name, "0123456789");
	if (n == 0 || n >= sizeof(digits) || !skf_streq(name + n, "kB"))
		return false;
	memcpy(digits, name, n);
	digits[n] = '\0';
	if (skf_parse_u64(digits, &kb) < 0)
		return false;
	for (; u < 2 && kb >= 1024 && kb % 1024 == 0; u++)
		kb /= 1024;
	return skf_fmt(out, size, "%llu%s", (unsigned long long)kb, units[u]) == 0;
}

static void huge_pages_of(struct skf_stats *x, int i, bool v2, const char *size)
{
	char prefix[48];
	uint64_t usage, max = 0, failcnt;

	/* reservations count: they are what a limit stops */
	if (skf_fmt(prefix, sizeof(prefix), "hugetlb.%s.rsvd", size) < 0)
		return;
	if (!skf_stats_read(x, i,
			    skf_arena_fmt(&x->arena, "%s.%s", prefix, v2 ? "current" : "usage_in_bytes")) &&
	    skf_fmt(prefix, sizeof(prefix), "hugetlb.%s", size) < 0)
		return;
	usage = part(x, i, prefix, v2 ? "current" : "usage_in_bytes");
	if (v2) {
		char file[48];

		failcnt = skf_fmt(file, sizeof(file), "hugetlb.%s.events", size) == 0
				  ? skf_stats_key(skf_stats_read(x, i, file), "max")
				  : 0;
	} else {
		max = part(x, i, prefix, "max_usage_in_bytes");
		failcnt = part(x, i, prefix, "failcnt");
	}
	skf_jw_kobj(x->w, size);
	skf_stats_nonzero(x->w, "usage", usage);
	skf_stats_nonzero(x->w, "max", max);
	skf_jw_ku64(x->w, "failcnt", failcnt);
	skf_jw_end(x->w);
}

static void huge_pages(struct skf_stats *x)
{
	bool v2;
	int i = skf_stats_find(x, "hugetlb", &v2),
	    fd = skf_openat(AT_FDCWD, "/sys/kernel/mm/hugepages", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	char size[24];

	if (!d)
		skf_closep(&fd);
	skf_jw_kobj(x->w, "hugetlb");
	while (i >= 0 && d && (de = readdir(d)))
		if (page_size(de->d_name, size, sizeof(size)))
			huge_pages_of(x, i, v2, size);
	skf_jw_end(x->w);
}

/* --- network: the container's own interfaces, when it has a network namespace --- */
static void net_line(struct skf_jw *w, char *line)
{
	static const char *const keys[16] = {
		"RxBytes", "RxPackets", "RxErrors", "RxDropped", NULL, NULL, NULL, NULL,
		"TxBytes", "TxPackets", "TxErrors", "TxDropped", NULL, NULL, NULL, NULL};
	char *name = line + strspn(line, " "), *colon = strrchr(name, ':'), *p;

	if (!colon || strncmp(name, "lo:", 3) == 0)
		return;
	*colon = '\0';
	skf_jw_obj(w);
	skf_jw_kstr(w, "Name", name);
	p = colon + 1;
	for (size_t k = 0; k < SKF_ARRAY_LEN(keys); k++) {
		uint64_t v = 0;

		for (p += strspn(p, " "); *p >= '0' && *p <= '9'; p++)
			v = v * 10 + (uint64_t)(*p - '0');
		if (keys[k])
			skf_jw_ku64(w, keys[k], v);
	}
	skf_jw_end(w);
}

static void network(struct skf_stats *x)
{
	char path[40], *line, *next;

	skf_buf_clear(&x->text);
	if (!(x->state->ns_flags & CLONE_NEWNET) || x->state->pid <= 0 ||
	    skf_fmt(path, sizeof(path), "/proc/%d/net/dev", (int)x->state->pid) < 0 ||
	    skf_read_file_at(AT_FDCWD, path, SKF_MAX_OBJECT_BYTES, &x->text) < 0 || !x->text.p) {
		skf_jw_knull(x->w, "network_interfaces");
		return;
	}
	skf_jw_karr(x->w, "network_interfaces");
	for (line = x->text.p; line && *line; line = next) {
		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (!strchr(line, '|')) /* the two lines of heading */
			net_line(x->w, line);
	}
	skf_jw_end_arr(x->w);
}

static void io(struct skf_stats *x)
{
	bool v2;
	int i = skf_stats_find(x, "blkio", &v2);

	if (i < 0 || v2)
		i = skf_stats_find(x, "io", &v2);
	skf_jw_kobj(x->w, "blkio");
	if (i >= 0)
		(v2 ? skf_stats_io_v2 : skf_stats_io_v1)(x, i);
	pressure(x, "io", "io.pressure");
	skf_jw_end(x->w);
}

int skf_rt_stats_write(const struct skf_rt *rt, const char *id, struct skf_jw *w, struct skf_err *e)
{
	static void (*const parts[])(struct skf_stats *) = {cpu, cpuset,     memory,        pids,
							    io,  huge_pages, skf_stats_rdt, network};
	struct skf_stats x = {
		.w = w, .arena = SKF_ARENA(SKF_MAX_ARENA_DOC), .text = SKF_BUF(SKF_MAX_OBJECT_BYTES)};
	int r = skf_rt_state_load(rt, id, &x.arena, &x.state, e);

	if (r == 0 && x.state->status == SKF_RT_STOPPED)
		r = skf_fail(e, SKF_ECONFLICT, "container with id %s is not running", id);
	if (r == 0) {
		x.rt = rt;
		x.cg = &x.state->cg;
		for (size_t k = 0; k < SKF_ARRAY_LEN(parts); k++)
			parts[k](&x);
	}
	skf_buf_done(&x.text);
	skf_arena_done(&x.arena);
	return r;
}
