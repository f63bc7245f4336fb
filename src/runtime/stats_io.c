/* runtime/stats_io.c -- block I/O of a container, in the members of runc's events. v1 has a file for each
 * member, with the names of the I/O scheduler in use (bfq, cfq) or of the throttling layer; v2 has one line
 * for each device in io.stat. Nothing blocks. */
#include "runtime/stats_int.h"

#include <string.h>

/* Cuts the next word off; NULL at the end of the line. */
static char *word(char **p)
{
	char *w = *p + strspn(*p, " ");
	size_t n = strcspn(w, " ");

	if (n == 0)
		return NULL;
	*p = w + n + (w[n] != '\0');
	w[n] = '\0';
	return w;
}

static bool device(char *w, uint64_t *major, uint64_t *minor)
{
	char *colon = w ? strchr(w, ':') : NULL;

	if (!colon)
		return false;
	*colon = '\0';
	return skf_parse_u64(w, major) == 0 && skf_parse_u64(colon + 1, minor) == 0;
}

static void entry(struct skf_jw *w, uint64_t major, uint64_t minor, const char *op, uint64_t value)
{
	skf_jw_obj(w);
	skf_stats_nonzero(w, "major", major);
	skf_stats_nonzero(w, "minor", minor);
	if (op)
		skf_jw_kstr(w, "op", op);
	skf_stats_nonzero(w, "value", value);
	skf_jw_end(w);
}

/* "8:0 Read 4096" or "8:0 4096"; the line "Total 8192" has no device and is left out. */
static void entries_v1(struct skf_stats *x, const char *key)
{
	char *line = x->text.p, *next;

	skf_jw_karr(x->w, key);
	for (; line && *line; line = next) {
		uint64_t major, minor, v;
		char *op, *num;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (!device(word(&line), &major, &minor))
			continue;
		op = word(&line);
		num = word(&line);
		if (op && skf_parse_u64(num ? num : op, &v) == 0)
			entry(x->w, major, minor, num ? op : NULL, v);
	}
	skf_jw_end_arr(x->w);
}

void skf_stats_io_v1(struct skf_stats *x, int i)
{
	static const struct {
		const char *key, *name;
		bool throttle; /* the throttling layer counts it too */
	} files[] = {
		{"ioServiceBytesRecursive", "io_service_bytes_recursive", true},
		{"ioServicedRecursive", "io_serviced_recursive", true},
		{"ioQueueRecursive", "io_queued_recursive", false},
		{"ioServiceTimeRecursive", "io_service_time_recursive", false},
		{"ioWaitTimeRecursive", "io_wait_time_recursive", false},
		{"ioMergedRecursive", "io_merged_recursive", false},
		{"ioTimeRecursive", "time_recursive", false},
		{"sectorsRecursive", "sectors_recursive", false},
	};
	static const char *const layers[] = {"blkio.bfq.", "blkio.", "blkio.throttle."};

	for (size_t k = 0; k < SKF_ARRAY_LEN(files); k++)
		for (size_t n = 0; n < SKF_ARRAY_LEN(layers) - !files[k].throttle; n++) {
			char name[64];

			if (skf_fmt(name, sizeof(name), "%s%s", layers[n], files[k].name) < 0)
				continue;
			if (skf_stats_read(x, i, name) && x->text.len) {
				entries_v1(x, files[k].key);
				break;
			}
		}
}

/* One of the two lists of io.stat: "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6". */
static void entries_v2(struct skf_stats *x, const char *text, const char *key, const char *const names[3])
{
	static const char *const ops[3] = {"Read", "Write", "Discard"};
	char *copy = skf_arena_strdup(&x->arena, text), *line, *next;

	skf_jw_karr(x->w, key);
	for (line = copy; line && *line; line = next) {
		uint64_t major, minor, v;

		next = strchr(line, '\n');
		if (next)
			*next++ = '\0';
		if (!device(word(&line), &major, &minor))
			continue;
		for (char *w = word(&line); w; w = word(&line))
			for (unsigned k = 0; k < 3; k++)
				if (skf_startswith(w, names[k]) &&
				    skf_parse_u64(w + strlen(names[k]), &v) == 0)
					entry(x->w, major, minor, ops[k], v);
	}
	skf_jw_end_arr(x->w);
}

void skf_stats_io_v2(struct skf_stats *x, int i)
{
	const char *text = skf_stats_read(x, i, "io.stat");

	if (!text || !*text)
		return;
	entries_v2(x, text, "ioServiceBytesRecursive", (const char *[3]){"rbytes=", "wbytes=", "dbytes="});
	entries_v2(x, text, "ioServicedRecursive", (const char *[3]){"rios=", "wios=", "dios="});
}
