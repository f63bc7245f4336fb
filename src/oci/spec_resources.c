/* oci/spec_resources.c -- linux.resources of config.json (also the document of an update): cgroup limits as
 * numbers. Which cgroup version has which file is the runtime's business. Pure; nothing blocks.
 *
 * Invariant: strings that become part of a cgroup file's *name* (page size, keys of unified) are checked
 * here, so that they can never name anything outside the container's cgroup directory. */
#include "oci/spec_int.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include <net/if.h>
#include <string.h>

/* The parts of struct skf_spec_resources are anonymous structs. */
#define PART(member) __typeof__(((struct skf_spec_resources *)0)->member)

/* A size or a count where -1 means "no limit". */
static int dec_limit(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	int64_t n;

	(void)arg;
	if (skf_j_i64(c, v, &n, NULL) < 0)
		return -1;
	if (n < -1)
		return skf_j_fail(c, SKF_EINVALID, "expected -1 (no limit) or a number from 0, found %lld",
				  (long long)n);
	*(int64_t *)dst = n;
	return 0;
}

/* --- devices --- */
static int dec_access(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	char *s = NULL, *out = dst;
	size_t n;

	(void)arg;
	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	n = strlen(s);
	if (n > 3 || strspn(s, "rwma") != n)
		return skf_j_fail(c, SKF_EINVALID, "expected letters of 'rwm', each once, found '%.32s'", s);
	for (size_t i = 0; i < n; i++) {
		if (strchr(s + i + 1, s[i]))
			return skf_j_fail(c, SKF_EINVALID,
					  "expected letters of 'rwm', each once, found '%.32s'", s);
	}
	memcpy(out, s, n + 1);
	return 0;
}

static int rule_check(struct skf_jctx *c, void *obj)
{
	struct skf_spec_device_rule *r = obj;

	if (!r->type)
		r->type = 'a';
	/* No letter of the spec, but runc and crun take it: all is denied then, never less than was meant.
	 */
	if (strchr(r->access, 'a')) {
		if (r->allow)
			return skf_j_fail(
				c, SKF_EINVALID,
				"access of an allowed device: expected letters of 'rwm', found '%s'",
				r->access);
		r->access[0] = '\0';
	}
	if ((r->has_major && r->major < -1) || (r->has_minor && r->minor < -1))
		return skf_j_fail(c, SKF_EINVALID,
				  "device numbers start at 0, and -1 means any; found %lld:%lld",
				  (long long)r->major, (long long)r->minor);
	if (r->major == -1)
		r->has_major = false;
	if (r->minor == -1)
		r->has_minor = false;
	return 0;
}

#define R struct skf_spec_device_rule
static int dec_rule_type(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	char *s = NULL;

	(void)arg;
	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	return s[0] ? skf_spec_j_char(c, v, dst, "abc") : 0;
}

static const struct skf_jfield rule_f[] = {
	SPEC_REQ(R, allow, "allow", skf_j_bool, NULL),
	SPEC_OPT(R, type, "type", dec_rule_type, NULL),
	SPEC_OPTP(R, major, has_major, "major", skf_j_i64, NULL),
	SPEC_OPTP(R, minor, has_minor, "minor", skf_j_i64, NULL),
	SPEC_OPT(R, access, "access", dec_access, NULL),
	SKF_J_END,
};
#undef R
static const struct skf_jtable rule_table = {sizeof(struct skf_spec_device_rule), rule_f,
					     .check = rule_check};
static const struct skf_jarr_arg rule_arr = {&rule_table, SPEC_MAX_LIST};

/* --- memory, cpu, pids --- */
static int dec_swappiness(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	uint64_t n;

	(void)arg;
	if (skf_j_u64(c, v, &n, NULL) < 0)
		return -1;
	if (n > 100)
		return skf_j_fail(c, SKF_EINVALID, "expected a value from 0 to 100, found %llu",
				  (unsigned long long)n);
	*(uint64_t *)dst = n;
	return 0;
}

#define M PART(memory)
static const struct skf_jfield memory_f[] = {
	SPEC_OPTP(M, limit, has_limit, "limit", dec_limit, NULL),
	SPEC_OPTP(M, reservation, has_reservation, "reservation", dec_limit, NULL),
	SPEC_OPTP(M, swap, has_swap, "swap", dec_limit, NULL),
	SPEC_OPTP(M, kernel, has_kernel, "kernel", dec_limit, NULL),
	SPEC_OPTP(M, kernel_tcp, has_kernel_tcp, "kernelTCP", dec_limit, NULL),
	SPEC_OPTP(M, swappiness, has_swappiness, "swappiness", dec_swappiness, NULL),
	SPEC_OPTP(M, disable_oom_killer, has_disable_oom_killer, "disableOOMKiller", skf_j_bool, NULL),
	SPEC_OPT(M, use_hierarchy, "useHierarchy", skf_j_bool, NULL),
	SPEC_OPT(M, check_before_update, "checkBeforeUpdate", skf_j_bool, NULL),
	SKF_J_END,
};
static const struct skf_jtable memory_table = {sizeof(M), memory_f};
#undef M

static int dec_idle(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	int64_t n;

	(void)arg;
	if (skf_j_i64(c, v, &n, NULL) < 0)
		return -1;
	if (n != 0 && n != 1)
		return skf_j_fail(c, SKF_EINVALID, "expected 0 (not idle) or 1 (idle), found %lld",
				  (long long)n);
	*(int64_t *)dst = n;
	return 0;
}

#define C PART(cpu)
static const struct skf_jfield cpu_f[] = {
	SPEC_OPTP(C, shares, has_shares, "shares", skf_j_u64, NULL),
	SPEC_OPTP(C, quota, has_quota, "quota", skf_j_i64, NULL),
	SPEC_OPTP(C, burst, has_burst, "burst", skf_j_u64, NULL),
	SPEC_OPTP(C, period, has_period, "period", skf_j_u64, NULL),
	SPEC_OPTP(C, rt_runtime, has_rt_runtime, "realtimeRuntime", skf_j_i64, NULL),
	SPEC_OPTP(C, rt_period, has_rt_period, "realtimePeriod", skf_j_u64, NULL),
	SPEC_OPT(C, cpus, "cpus", skf_j_str, NULL),
	SPEC_OPT(C, mems, "mems", skf_j_str, NULL),
	SPEC_OPTP(C, idle, has_idle, "idle", dec_idle, NULL),
	SKF_J_END,
};
static const struct skf_jtable cpu_table = {sizeof(C), cpu_f};
#undef C

static const struct skf_jfield pids_f[] = {
	SPEC_OPTP(PART(pids), limit, has_limit, "limit", skf_j_i64, NULL),
	SKF_J_END,
};
static const struct skf_jtable pids_table = {sizeof(PART(pids)), pids_f};

/* --- blockIO --- */
static int dec_u16(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	uint32_t n;

	(void)arg;
	if (skf_j_u32(c, v, &n, NULL) < 0)
		return -1;
	if (n > UINT16_MAX)
		return skf_j_fail(c, SKF_EINVALID, "expected a number from 0 to 65535, found %u", n);
	*(uint32_t *)dst = n;
	return 0;
}

#define W struct skf_spec_weight_device
static const struct skf_jfield weight_f[] = {
	SPEC_REQ(W, major, "major", skf_j_i64, NULL),
	SPEC_REQ(W, minor, "minor", skf_j_i64, NULL),
	SPEC_OPTP(W, weight, has_weight, "weight", dec_u16, NULL),
	SPEC_OPTP(W, leaf_weight, has_leaf_weight, "leafWeight", dec_u16, NULL),
	SKF_J_END,
};
static const struct skf_jtable weight_table = {sizeof(W), weight_f};
static const struct skf_jarr_arg weight_arr = {&weight_table, SPEC_MAX_LIST};
#undef W

#define T struct skf_spec_throttle
static const struct skf_jfield throttle_f[] = {
	SPEC_REQ(T, major, "major", skf_j_i64, NULL),
	SPEC_REQ(T, minor, "minor", skf_j_i64, NULL),
	SPEC_OPT(T, rate, "rate", skf_j_u64, NULL),
	SKF_J_END,
};
static const struct skf_jtable throttle_table = {sizeof(T), throttle_f};
static const struct skf_jarr_arg throttle_arr = {&throttle_table, SPEC_MAX_LIST};
#undef T

#define B PART(block_io)
static const struct skf_jfield block_io_f[] = {
	SPEC_OPTP(B, weight, has_weight, "weight", dec_u16, NULL),
	SPEC_OPTP(B, leaf_weight, has_leaf_weight, "leafWeight", dec_u16, NULL),
	SPEC_OPT(B, weight_device, "weightDevice", skf_j_arr, &weight_arr),
	SPEC_OPT(B, read_bps, "throttleReadBpsDevice", skf_j_arr, &throttle_arr),
	SPEC_OPT(B, write_bps, "throttleWriteBpsDevice", skf_j_arr, &throttle_arr),
	SPEC_OPT(B, read_iops, "throttleReadIOPSDevice", skf_j_arr, &throttle_arr),
	SPEC_OPT(B, write_iops, "throttleWriteIOPSDevice", skf_j_arr, &throttle_arr),
	SKF_J_END,
};
static const struct skf_jtable block_io_table = {sizeof(B), block_io_f};
#undef B

/* --- hugetlb, network --- */
static int dec_page_size(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	char *s = NULL;
	size_t digits;

	(void)arg;
	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	digits = strspn(s, "0123456789");
	if (digits == 0 || digits > 9 || s[0] == '0' || strlen(s) != digits + 2 ||
	    !strchr("KMG", s[digits]) || s[digits + 1] != 'B')
		return skf_j_fail(c, SKF_EINVALID,
				  "expected a page size such as '64KB', '2MB' or '1GB', found '%.32s'", s);
	*(char **)dst = s;
	return 0;
}

static int hugepage_check(struct skf_jctx *c, void *obj)
{
	const struct skf_spec_hugepage *h = obj;

	return h->page_size ? 0 : skf_j_fail(c, SKF_EINVALID, "required property 'pageSize' is missing");
}

static const struct skf_jfield hugepage_f[] = {
	SPEC_OPT(struct skf_spec_hugepage, page_size, "pageSize", dec_page_size, NULL),
	/* Go's decoder does not see the difference, and configurations with this spelling are about */
	SPEC_OPT(struct skf_spec_hugepage, page_size, "pagesize", dec_page_size, NULL),
	SPEC_REQ(struct skf_spec_hugepage, limit, "limit", skf_j_u64, NULL),
	SKF_J_END,
};
static const struct skf_jtable hugepage_table = {sizeof(struct skf_spec_hugepage), hugepage_f,
						 .check = hugepage_check};
static const struct skf_jarr_arg hugepage_arr = {&hugepage_table, SPEC_MAX_LIST};

static int dec_ifname(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	char *s = NULL;
	size_t n;

	(void)arg;
	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	n = strlen(s);
	if (n == 0 || n >= IF_NAMESIZE || strcspn(s, "/ \t\r\n") != n)
		return skf_j_fail(c, SKF_EINVALID, "expected the name of a network interface, found '%.32s'",
				  s);
	*(char **)dst = s;
	return 0;
}

static const struct skf_jfield if_prio_f[] = {
	SPEC_REQ(struct skf_spec_if_prio, name, "name", dec_ifname, NULL),
	SPEC_REQ(struct skf_spec_if_prio, priority, "priority", skf_j_u32, NULL),
	SKF_J_END,
};
static const struct skf_jtable if_prio_table = {sizeof(struct skf_spec_if_prio), if_prio_f};
static const struct skf_jarr_arg if_prio_arr = {&if_prio_table, SPEC_MAX_LIST};

#define N PART(network)
static const struct skf_jfield network_f[] = {
	SPEC_OPTP(N, class_id, has_class_id, "classID", skf_j_u32, NULL),
	SPEC_OPT(N, priorities, "priorities", skf_j_arr, &if_prio_arr),
	SKF_J_END,
};
static const struct skf_jtable network_table = {sizeof(N), network_f};
#undef N

/* --- unified --- */
static int unified_key(struct skf_jctx *c, const char *key, struct json_object *v, void *user)
{
	(void)v;
	(void)user;
	if (key[0] == '\0' || strchr(key, '/') || skf_streq(key, ".") || skf_streq(key, ".."))
		return skf_j_fail(c, SKF_EINVALID,
				  "expected the name of a cgroup file without '/', found '%.100s'", key);
	return 0;
}

static int dec_unified(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	(void)arg;
	if (skf_j_each_member(c, v, unified_key, NULL) < 0)
		return -1;
	return skf_j_kvs(c, v, dst, NULL);
}

#define S struct skf_spec_resources
static const struct skf_jfield resources_f[] = {
	SPEC_OPT(S, devices, "devices", skf_j_arr, &rule_arr),
	SPEC_OPT(S, memory, "memory", skf_j_obj, &memory_table),
	SPEC_OPT(S, cpu, "cpu", skf_j_obj, &cpu_table),
	SPEC_OPT(S, pids, "pids", skf_j_obj, &pids_table),
	SPEC_OPT(S, block_io, "blockIO", skf_j_obj, &block_io_table),
	SPEC_OPT(S, hugepages, "hugepageLimits", skf_j_arr, &hugepage_arr),
	SPEC_OPT(S, network, "network", skf_j_obj, &network_table),
	SPEC_OPT(S, rdma, "rdma", skf_spec_j_rdma, NULL),
	SPEC_OPT(S, unified, "unified", dec_unified, NULL),
	SKF_J_END,
};
#undef S
const struct skf_jtable skf_spec_resources_table = {sizeof(struct skf_spec_resources), resources_f};
