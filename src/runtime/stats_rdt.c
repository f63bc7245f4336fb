/* runtime/stats_rdt.c -- the member "intel_rdt" of runc's events: what resctrl says about the machine and
 * about the container's group. Empty for a container without linux.intelRdt. Nothing blocks. */
#include "runtime/stats_int.h"

#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#define RESCTRL "/sys/fs/resctrl"

/* One file below the mount, without its last newline; NULL when it is not there. */
static const char *get(struct skf_stats *x, const char *dir, const char *file)
{
	const char *path = skf_arena_fmt(&x->arena, RESCTRL "/%s%s%s", dir, *dir ? "/" : "", file);

	skf_buf_clear(&x->text);
	if (!path || skf_read_file_at(AT_FDCWD, path, SKF_MAX_OBJECT_BYTES, &x->text) < 0 || !x->text.p)
		return NULL;
	if (x->text.len && x->text.p[x->text.len - 1] == '\n')
		x->text.p[--x->text.len] = '\0';
	return x->text.p;
}

static void info(struct skf_stats *x, const char *key, const char *dir, const char *const *files)
{
	if (!get(x, dir, "num_closids"))
		return;
	skf_jw_kobj(x->w, key);
	for (; *files; files++) {
		const char *text = get(x, dir, *files);
		uint64_t v;

		if (text && skf_streq(*files, "cbm_mask"))
			skf_jw_kstr(x->w, *files, text);
		else if (text && skf_parse_u64(text, &v) == 0)
			skf_stats_nonzero(x->w, *files, v);
	}
	skf_jw_end(x->w);
}

/* The lines of a schemata file: those of one resource joined as runc does, or all of them as an array. */
static void schemata(struct skf_stats *x, const char *dir, const char *suffix, bool all)
{
	const char *text = get(x, dir, "schemata");
	struct skf_strv lines = {0};
	char key[40];

	while (text && *text) {
		size_t n = strcspn(text, "\n");
		const char *p = text + strspn(text, " ");
		char *line = skf_arena_dup(&x->arena, p, n - (size_t)(p - text));

		if (line && *line)
			(void)skf_strv_add(&x->arena, &lines, line); /* no memory: a shorter list */
		text += n + (text[n] == '\n');
	}
	for (size_t i = 0; i < lines.n; i++) {
		const char *kind = skf_startswith(lines.v[i], "L3:")   ? "l3_cache_schema"
				   : skf_startswith(lines.v[i], "MB:") ? "mem_bw_schema"
								       : NULL;

		if (kind && skf_fmt(key, sizeof(key), "%s%s", kind, suffix) == 0)
			skf_jw_kstr(x->w, key, lines.v[i]);
	}
	if (all && lines.n)
		skf_jw_kstrv(x->w, "schemata", &lines);
}

static void counter(struct skf_stats *x, const char *dir, const char *file)
{
	const char *text = get(x, dir, file);
	uint64_t v;

	if (text && skf_parse_u64(text, &v) == 0)
		skf_jw_ku64(x->w, file, v);
}

/* mon_data has a directory mon_L3_<n> for each cache. */
static void monitors(struct skf_stats *x, const char *group, const char *key, const char *probe,
		     const char *second)
{
	const char *path = skf_arena_fmt(&x->arena, RESCTRL "/%s/mon_data", group);
	int fd = path ? skf_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0) : -ENOMEM;
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	bool any = false;

	if (!d)
		skf_closep(&fd);
	while (d && (de = readdir(d))) {
		const char *dir = skf_arena_fmt(&x->arena, "%s/mon_data/%s", group, de->d_name);

		if (!dir || !skf_startswith(de->d_name, "mon_L3_") || !get(x, dir, probe))
			continue;
		if (!any)
			skf_jw_karr(x->w, key);
		any = true;
		skf_jw_obj(x->w);
		counter(x, dir, probe);
		if (second)
			counter(x, dir, second);
		skf_jw_end(x->w);
	}
	if (any)
		skf_jw_end_arr(x->w);
}

void skf_stats_rdt(struct skf_stats *x)
{
	const char *group = x->state->rdt;

	skf_jw_kobj(x->w, "intel_rdt");
	if (group) {
		group += *group == '/'; /* "/" is the root group */
		info(x, "l3_cache_info", "info/L3",
		     (const char *const[]){"cbm_mask", "min_cbm_bits", "num_closids", NULL});
		schemata(x, "", "_root", false);
		info(x, "mem_bw_info", "info/MB",
		     (const char *const[]){"bandwidth_gran", "delay_linear", "min_bandwidth", "num_closids",
					   NULL});
		schemata(x, group, "", true);
		monitors(x, group, "mbm_stats", "mbm_total_bytes", "mbm_local_bytes");
		monitors(x, group, "cmt_stats", "llc_occupancy", NULL);
	}
	skf_jw_end(x->w);
}
