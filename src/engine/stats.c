/* engine/stats.c -- one look at what a container uses, straight from its cgroup: a handful of small files,
 * whatever the number of containers. Each figure comes from where this host has it, v1 before v2 (a hybrid
 * host has both); what the kernel does not count is 0, as docker shows it. Does not block. */
#include "engine/engine_int.h"
#include "engine/life.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define TEXT_MAX (64u << 10)

/* Hierarchy of a controller; *ret_v2 tells which of the two sets of file names it has. -1: not counted here.
 */
static int find(const struct skf_cg_dirs *d, const char *controller, bool *ret_v2)
{
	const struct skf_cg_hier *h = skf_cg_find(&d->layout, controller);

	*ret_v2 = !h;
	if (h)
		return (int)(h - d->layout.h);
	for (unsigned i = 0; i < d->layout.n; i++)
		if (d->layout.h[i].v2)
			return (int)i;
	return -1;
}

static const char *text_of(const struct skf_cg_dirs *d, int i, const char *file, struct skf_buf *b)
{
	SKF_AUTO_FD int dir = i < 0 ? -EBADF : skf_cg_open(d, (unsigned)i);

	skf_buf_clear(b);
	return dir < 0 || skf_read_file_at(dir, file, TEXT_MAX, b) < 0 ? NULL : skf_buf_cstr(b);
}

/* The number at p; "max" is the largest one. */
static uint64_t number(const char *p)
{
	char digits[24];
	size_t n = p ? strspn(p, "0123456789") : 0;
	uint64_t v;

	if (p && strncmp(p, "max", 3) == 0)
		return UINT64_MAX;
	if (n == 0 || n >= sizeof(digits))
		return 0;
	memcpy(digits, p, n);
	digits[n] = '\0';
	return skf_parse_u64(digits, &v) == 0 ? v : UINT64_MAX;
}

/* "key value" lines. */
static uint64_t keyed(const char *text, const char *key)
{
	size_t n = strlen(key);

	for (const char *p = text; p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL)
		if (strncmp(p, key, n) == 0 && p[n] == ' ')
			return number(p + n + 1);
	return 0;
}

static void cpu(const struct skf_cg_dirs *d, struct skf_buf *b, struct skf_stats_row *r)
{
	bool v2;
	int i = find(d, "cpuacct", &v2);

	r->cpu_ns = v2 ? keyed(text_of(d, i, "cpu.stat", b), "usage_usec") * 1000
		       : number(text_of(d, i, "cpuacct.usage", b));
}

static uint64_t host_memory(void)
{
	return (uint64_t)sysconf(_SC_PHYS_PAGES) * (uint64_t)sysconf(_SC_PAGESIZE);
}

/* As docker: without the file cache that nobody would miss. */
static void memory(const struct skf_cg_dirs *d, struct skf_buf *b, struct skf_stats_row *r)
{
	bool v2;
	int i = find(d, "memory", &v2);
	uint64_t cache, host = host_memory();

	r->memory = number(text_of(d, i, v2 ? "memory.current" : "memory.usage_in_bytes", b));
	r->memory_limit = number(text_of(d, i, v2 ? "memory.max" : "memory.limit_in_bytes", b));
	cache = keyed(text_of(d, i, "memory.stat", b), v2 ? "inactive_file" : "total_inactive_file");
	r->memory -= cache < r->memory ? cache : r->memory;
	if (r->memory_limit == 0 || r->memory_limit > host)
		r->memory_limit = host;
}

/* v1: "8:0 Read 123"; v2: "8:0 rbytes=123 wbytes=4 ..." */
static void blocks(const struct skf_cg_dirs *d, struct skf_buf *b, struct skf_stats_row *r)
{
	bool v2;
	int i = find(d, "blkio", &v2);
	const char *p = text_of(d, i, v2 ? "io.stat" : "blkio.throttle.io_service_bytes_recursive", b);
	const char *rd = v2 ? "rbytes=" : " Read ", *wr = v2 ? "wbytes=" : " Write ", *at;

	for (at = p; at && (at = strstr(at, rd)); at++)
		r->block_read += number(at + strlen(rd));
	for (at = p; at && (at = strstr(at, wr)); at++)
		r->block_write += number(at + strlen(wr));
}

static void pids(const struct skf_cg_dirs *d, struct skf_buf *b, struct skf_stats_row *r)
{
	bool v2;
	int i = find(d, "pids", &v2);

	r->pids = number(text_of(d, i, "pids.current", b));
}

/* /proc/<pid>/net/dev: "  eth0: <rx bytes> <7 more> <tx bytes> ..."; the loopback is nobody's traffic. */
static void network(uint32_t pid, struct skf_buf *b, struct skf_stats_row *r)
{
	char path[40];

	snprintf(path, sizeof(path), "/proc/%u/net/dev", pid);
	skf_buf_clear(b);
	if (skf_read_file_at(AT_FDCWD, path, TEXT_MAX, b) < 0)
		return; /* it has just ended */
	for (const char *p = skf_buf_cstr(b); p && *p; p = strchr(p, '\n'), p = p ? p + 1 : NULL) {
		const char *colon = strchr(p, ':'), *end = strchr(p, '\n');

		p += strspn(p, " ");
		if (!colon || (end && colon > end) || strncmp(p, "lo:", 3) == 0)
			continue;
		colon += 1 + strspn(colon + 1, " ");
		r->net_rx += number(colon);
		for (int k = 0; k < 8 && *colon; k++) {
			colon += strcspn(colon, " \n");
			colon += strspn(colon, " ");
		}
		r->net_tx += number(colon);
	}
}

int skf_engine_stats(struct skf_engine *g, const char *id, bool cpu_only, struct skf_stats_row *ret,
		     struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1u << 20);
	struct skf_stats_row r = {0};
	struct skf_cg_dirs cg;
	struct skf_summary s;
	int n = skf_summary_read(g->run_fd, id, &s);

	if (n == -ENOENT)
		return skf_fail(e, SKF_ENOTFOUND, "No such container: %s", id);
	if (n == 0)
		n = skf_ctr_cgroup(g, id, &cg);
	if (n < 0)
		return skf_fail_sys(e, n, "look at container %.12s", id);
	if (skf_fmt(r.id, sizeof(r.id), "%s", id) < 0 || skf_fmt(r.name, sizeof(r.name), "%s", s.name) < 0)
		return skf_fail(e, SKF_EINVALID, "'%.80s' is not a container id", id);
	r.running = skf_streq(s.state, "running") || skf_streq(s.state, "paused");
	r.time_ns = skf_now_ns();
	if (r.running)
		cpu(&cg, &b, &r);
	if (r.running && !cpu_only) {
		memory(&cg, &b, &r);
		blocks(&cg, &b, &r);
		pids(&cg, &b, &r);
		network(s.pid, &b, &r);
	}
	*ret = r;
	return 0;
}
