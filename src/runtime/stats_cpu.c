/* runtime/stats_cpu.c -- the members "cpu" and "cpuset" of the statistics (stats.c has the rules). Does not
 * block. */
#include "runtime/runtime_int.h"

#include "runtime/stats_int.h"

#include <sched.h>
#include <string.h>
#include <unistd.h>

#define MAX_CPU_RANGES 8192 /* more CPUs than the kernel supports */

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

void skf_stats_cpu(struct skf_stats *x)
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
	skf_stats_pressure(x, "cpu", "cpu.pressure");
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

void skf_stats_cpuset(struct skf_stats *x)
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
