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

bool skf_stats_number(const char *text, uint64_t *ret)
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

	return text && skf_stats_number(text, &v) ? v : 0;
}

uint64_t skf_stats_key(const char *text, const char *key)
{
	size_t n = strlen(key);
	uint64_t v;

	for (; text && *text; text += strcspn(text, "\n"), text += *text == '\n')
		if (strncmp(text, key, n) == 0 && text[n] == ' ')
			return skf_stats_number(text + n + 1, &v) ? v : 0;
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

void skf_stats_pressure(struct skf_stats *x, const char *controller, const char *file)
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
	skf_stats_pressure(x, "io", "io.pressure");
	skf_jw_end(x->w);
}

int skf_rt_stats_write(const struct skf_rt *rt, const char *id, struct skf_jw *w, struct skf_err *e)
{
	static void (*const parts[])(struct skf_stats *) = {
		skf_stats_cpu,        skf_stats_cpuset, skf_stats_memory, skf_stats_pids, io,
		skf_stats_huge_pages, skf_stats_rdt,    network};
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
