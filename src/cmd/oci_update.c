/* cmd/oci_update.c -- update: new limits from options or from a linux.resources document. An empty value
 * means "not given", as in runc. Blocks for the container's lock and on cgroupfs. */
#include "cmd/oci_int.h"

#include "oci/spec.h"

#include <string.h>
#include <unistd.h>

enum kind { K_U64, K_I64, K_U16, K_SIZE, K_STR };

struct row {
	const char *name;
	enum kind kind;
	size_t word;     /* in struct oci_args */
	size_t dst, has; /* in struct skf_spec_resources; has: offset + 1, 0: none */
};

#define WORD(m) offsetof(struct oci_args, up.m)
#define RES(m)  offsetof(struct skf_spec_resources, m)
#define ROW(n, k, w, d, h)                                                                                  \
	{                                                                                                   \
		n, k, WORD(w), RES(d), RES(h) + 1                                                           \
	}
#define ROW_STR(n, w, d)                                                                                    \
	{                                                                                                   \
		n, K_STR, WORD(w), RES(d), 0                                                                \
	}

static const struct row rows[] = {
	ROW("blkio-weight", K_U16, blkio_weight, block_io.weight, block_io.has_weight),
	ROW("cpu-period", K_U64, cpu_period, cpu.period, cpu.has_period),
	ROW("cpu-quota", K_I64, cpu_quota, cpu.quota, cpu.has_quota),
	ROW("cpu-burst", K_U64, cpu_burst, cpu.burst, cpu.has_burst),
	ROW("cpu-share", K_U64, cpu_share, cpu.shares, cpu.has_shares),
	ROW("cpu-rt-period", K_U64, cpu_rt_period, cpu.rt_period, cpu.has_rt_period),
	ROW("cpu-rt-runtime", K_I64, cpu_rt_runtime, cpu.rt_runtime, cpu.has_rt_runtime),
	ROW("cpu-idle", K_I64, cpu_idle, cpu.idle, cpu.has_idle),
	ROW_STR("cpuset-cpus", cpuset_cpus, cpu.cpus),
	ROW_STR("cpuset-mems", cpuset_mems, cpu.mems),
	ROW("kernel-memory", K_SIZE, kernel_memory, memory.kernel, memory.has_kernel),
	ROW("kernel-memory-tcp", K_SIZE, kernel_memory_tcp, memory.kernel_tcp, memory.has_kernel_tcp),
	ROW("memory", K_SIZE, memory, memory.limit, memory.has_limit),
	ROW("memory-reservation", K_SIZE, memory_reservation, memory.reservation, memory.has_reservation),
	ROW("memory-swap", K_SIZE, memory_swap, memory.swap, memory.has_swap),
	ROW("pids-limit", K_I64, pids_limit, pids.limit, pids.has_limit),
};

static int parse_size(const char *word, int64_t *ret)
{
	if (!skf_streq(word, "-1"))
		return skf_parse_size(word, ret);
	*ret = -1;
	return 0;
}

static int parse_u16(const char *word, uint32_t *ret)
{
	uint32_t v;
	int r = skf_parse_u32(word, &v);

	if (r == 0 && v > UINT16_MAX)
		r = -ERANGE;
	if (r == 0)
		*ret = v;
	return r;
}

static int set_row(const struct row *p, char *word, struct skf_spec_resources *res)
{
	void *dst = (char *)res + p->dst;

	if (p->has)
		*(bool *)((char *)res + p->has - 1) = true;
	switch (p->kind) {
	case K_U64:
		return skf_parse_u64(word, dst);
	case K_I64:
		return skf_parse_i64(word, dst);
	case K_U16:
		return parse_u16(word, dst);
	case K_SIZE:
		return parse_size(word, dst);
	case K_STR:
		*(char **)dst = word;
		return 0;
	}
	return -EINVAL;
}

static int from_options(struct oci *o, struct skf_spec_resources *res, bool *ret_any, struct skf_err *e)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		char *word = *(char **)((char *)&o->a + rows[i].word);

		if (!word || !*word)
			continue;
		if (set_row(&rows[i], word, res) < 0)
			return skf_fail(e, SKF_EINVALID, "invalid value for --%s: '%s'; %s", rows[i].name,
					word,
					rows[i].kind == K_SIZE ? "a size as 64M or -1 is expected"
							       : "a number is expected");
		*ret_any = true;
	}
	if (res->cpu.has_idle && res->cpu.idle != 0 && res->cpu.idle != 1)
		return skf_fail(e, SKF_EINVALID, "invalid value for --cpu-idle: '%s'; 0 or 1 is expected",
				o->a.up.cpu_idle);
	return 0;
}

/* The document is the value of `resources` in a linux object: so it is decoded by the same table. */
static int from_file(struct oci *o, struct skf_spec_resources *res, struct skf_err *e)
{
	const char *path = o->a.up.resources;
	struct skf_spec_opts so = {.log = &o->log, .name = skf_streq(path, "-") ? "standard input" : path};
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	struct skf_spec_linux *l;
	int r;

	skf_buf_str(&b, "{\"resources\":");
	r = skf_streq(path, "-") ? skf_read_fd(STDIN_FILENO, SKF_MAX_SPEC_BYTES / 2, &b)
				 : skf_read_file_at(AT_FDCWD, path, SKF_MAX_SPEC_BYTES / 2, &b);
	if (r < 0)
		return skf_fail_sys(e, r, "read resources from '%s'", so.name);
	skf_buf_chr(&b, '}');
	if (skf_spec_parse_linux(skf_buf_cstr(&b), b.len, &so, &o->arena, &l, e) < 0)
		return -1;
	*res = l->resources;
	return 0;
}

int oci_update(struct oci *o, struct skf_err *e)
{
	const char *l3 = o->a.up.l3_cache, *mb = o->a.up.mem_bw;
	struct skf_spec_resources res = {0};
	bool any = o->a.up.resources && *o->a.up.resources;
	struct skf_rt_update u = {.l3_cache = l3 && *l3 ? l3 : NULL, .mem_bw = mb && *mb ? mb : NULL};

	if ((any ? from_file(o, &res, e) : from_options(o, &res, &any, e)) < 0)
		return -1;
	if (any)
		u.resources = &res;
	return skf_rt_update(&o->rt, o->a.rest.v[0], &u, e);
}
