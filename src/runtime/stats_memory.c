/* runtime/stats_memory.c -- the members "memory", "pids" and "hugetlb" of the statistics (stats.c has the
 * rules). Does not block. */
#include "runtime/runtime_int.h"

#include "runtime/stats_int.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

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

		if (n < sizeof(key) && text[n] == ' ' && skf_stats_number(text + n + 1, &v)) {
			memcpy(key, text, n);
			key[n] = '\0';
			skf_jw_ku64(w, key, v);
		}
		text += strcspn(text, "\n");
		text += *text == '\n';
	}
	skf_jw_end(w);
}

void skf_stats_memory(struct skf_stats *x)
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
		skf_stats_pressure(x, "memory", "memory.pressure");
	}
	skf_jw_end(x->w);
}

void skf_stats_pids(struct skf_stats *x)
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

void skf_stats_huge_pages(struct skf_stats *x)
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
