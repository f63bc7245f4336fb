/* devices.c -- which devices a container may use: rules of the spec as a list of exceptions (cgroup v1) or
 * as an eBPF program (v2). Pure.
 *
 * Theory: rules are read in order and a later rule wins. A rule about all devices ("a", any numbers, rwm)
 * sets the mode and makes everything before it meaningless. Without one the mode is "deny": that is the
 * default of every container, and the devices that each container has (null, zero, ...) are appended, as
 * runc does.
 *
 * v1 keeps a mode and a plain list of exceptions, with an exact-key removal and no order, so a rule that
 * takes back a part of a wider exception cannot be expressed; that is refused rather than ignored, because
 * it would silently allow what was denied. v2 runs our program, which walks the rules from the last to the
 * first and settles read, write and mknod one by one. */
#include "runtime/cgroups/cgroups_int.h"
#include <linux/bpf.h>
#include <string.h>

#define ALL_ACCESS     (BPF_DEVCG_ACC_MKNOD | BPF_DEVCG_ACC_READ | BPF_DEVCG_ACC_WRITE)
#define INSNS_PER_RULE 8

static const struct skf_devrule default_rules[] = {
	{true, true, 'c', -1, -1, BPF_DEVCG_ACC_MKNOD}, /* making a node gives no access to the device */
	{true, true, 'b', -1, -1, BPF_DEVCG_ACC_MKNOD},
	{true, true, 'c', 1, 3, ALL_ACCESS},    /* null */
	{true, true, 'c', 1, 5, ALL_ACCESS},    /* zero */
	{true, true, 'c', 1, 7, ALL_ACCESS},    /* full */
	{true, true, 'c', 1, 8, ALL_ACCESS},    /* random */
	{true, true, 'c', 1, 9, ALL_ACCESS},    /* urandom */
	{true, true, 'c', 5, 0, ALL_ACCESS},    /* tty */
	{true, true, 'c', 5, 2, ALL_ACCESS},    /* ptmx */
	{true, true, 'c', 136, -1, ALL_ACCESS}, /* pts/N */
	{true, true, 'c', 10, 200, ALL_ACCESS}, /* net/tun: engines rely on it being allowed, as with runc */
};

static unsigned access_bits(const char *s)
{
	unsigned bits = 0;

	for (; *s; s++)
		bits |= *s == 'r'   ? BPF_DEVCG_ACC_READ
			: *s == 'w' ? BPF_DEVCG_ACC_WRITE
			: *s == 'm' ? BPF_DEVCG_ACC_MKNOD
				    : 0;
	return bits ? bits : ALL_ACCESS;
}

int skf_cg_devrules(const struct skf_jarr *rules, struct skf_arena *a, struct skf_devrules *ret,
		    struct skf_err *e)
{
	const struct skf_spec_device_rule *in = rules->v;
	struct skf_devrules out = {0};

	out.v = skf_arena_array(a, rules->n * 2 + SKF_ARRAY_LEN(default_rules), sizeof(*out.v));
	if (!out.v)
		return skf_nomem(e);
	for (size_t i = 0; i < rules->n; i++) {
		struct skf_devrule r = {
			.allow = in[i].allow, .type = in[i].type, .access = access_bits(in[i].access)};

		r.major = in[i].has_major ? in[i].major : -1;
		r.minor = in[i].has_minor ? in[i].minor : -1;
		if (r.major < -1 || r.minor < -1 || r.major > UINT32_MAX || r.minor > UINT32_MAX)
			return skf_fail(e, SKF_EINVALID,
					"linux.resources.devices[%zu]: device %lld:%lld does not exist; "
					"numbers have 32 bits "
					"and -1 means any",
					i, (long long)r.major, (long long)r.minor);
		if (r.type != 'b' && r.type != 'c' && r.major == -1 && r.minor == -1 &&
		    r.access == ALL_ACCESS) {
			out.allow = r.allow;
			out.n = 0;
			continue;
		}
		if (r.type == 'b' || r.type == 'c') {
			out.v[out.n++] = r;
			continue;
		}
		r.type = 'c';
		out.v[out.n++] = r;
		r.type = 'b';
		out.v[out.n++] = r;
	}
	/* Where everything is allowed, the default devices could only undo what was denied by name. */
	if (!out.allow) {
		memcpy(out.v + out.n, default_rules, sizeof(default_rules));
		out.n += SKF_ARRAY_LEN(default_rules);
	}
	*ret = out;
	return 0;
}

/* --- v1 --- */

static bool num_covers(int64_t wide, int64_t narrow)
{
	return wide == -1 || wide == narrow;
}

static bool covers(const struct skf_devrule *wide, const struct skf_devrule *narrow)
{
	return wide->type == narrow->type && num_covers(wide->major, narrow->major) &&
	       num_covers(wide->minor, narrow->minor);
}

static bool overlaps(const struct skf_devrule *a, const struct skf_devrule *b)
{
	return a->type == b->type && (num_covers(a->major, b->major) || num_covers(b->major, a->major)) &&
	       (num_covers(a->minor, b->minor) || num_covers(b->minor, a->minor)) && (a->access & b->access);
}

struct plan {
	const struct skf_devrules *r;
	struct skf_devrule *ex; /* exceptions that the kernel would have now */
	size_t n;
	struct skf_arena *a;
	struct skf_strv *out;
};

static char *text_of(const struct skf_devrule *r, char sign, struct skf_arena *a)
{
	char major[24] = "*", minor[24] = "*", acc[4] = "";
	size_t n = 0;

	if (r->access & BPF_DEVCG_ACC_READ)
		acc[n++] = 'r';
	if (r->access & BPF_DEVCG_ACC_WRITE)
		acc[n++] = 'w';
	if (r->access & BPF_DEVCG_ACC_MKNOD)
		acc[n++] = 'm';
	acc[n] = '\0';
	return skf_arena_fmt(a, "%c%c %s:%s %s", sign, r->type,
			     r->major < 0 ? major : skf_arena_fmt(a, "%lld", (long long)r->major),
			     r->minor < 0 ? minor : skf_arena_fmt(a, "%lld", (long long)r->minor), acc);
}

static int plan_emit(struct plan *p, const struct skf_devrule *r, bool allow)
{
	char *line = text_of(r, allow ? '+' : '-', p->a);

	return line ? skf_strv_add(p->a, p->out, line) : -ENOMEM;
}

static int plan_add(struct plan *p, const struct skf_devrule *r)
{
	for (size_t i = 0; i < p->n; i++)
		if (covers(&p->ex[i], r) && !(r->access & ~p->ex[i].access))
			return 0;
	for (size_t i = 0; i < p->n; i++)
		if (covers(&p->ex[i], r) && covers(r, &p->ex[i])) {
			p->ex[i].access |= r->access;
			return plan_emit(p, r, r->allow);
		}
	p->ex[p->n++] = *r;
	return plan_emit(p, r, r->allow);
}

/* 1: a hole, which v1 cannot express. */
static int plan_remove(struct plan *p, const struct skf_devrule *r)
{
	for (size_t i = 0; i < p->n; i++)
		if (overlaps(&p->ex[i], r) && !covers(r, &p->ex[i]))
			return 1;
	for (size_t i = 0; i < p->n;) {
		struct skf_devrule cut = p->ex[i];
		int err;

		if (!overlaps(&cut, r)) {
			i++;
			continue;
		}
		cut.access &= r->access; /* the kernel removes by exact numbers only */
		err = plan_emit(p, &cut, r->allow);
		if (err < 0)
			return err;
		p->ex[i].access &= ~r->access;
		if (p->ex[i].access)
			i++;
		else
			p->ex[i] = p->ex[--p->n];
	}
	return 0;
}

int skf_cg_devices_v1(const struct skf_devrules *r, struct skf_arena *a, struct skf_strv *ret,
		      struct skf_err *e)
{
	struct skf_strv out = {0};
	struct plan p = {.r = r, .a = a, .out = &out};
	int err = 0;

	p.ex = skf_arena_array(a, r->n + 1, sizeof(*p.ex));
	if (!p.ex)
		return skf_nomem(e);
	for (size_t i = 0; i < r->n && err == 0; i++) {
		err = r->v[i].allow != r->allow ? plan_add(&p, &r->v[i]) : plan_remove(&p, &r->v[i]);
		if (err == 1 && r->v[i].deflt)
			err = 0;
	}
	if (err == 1)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"linux.resources.devices: a rule takes back a part of an earlier, wider "
				"rule; cgroup v1 cannot do "
				"that: list the devices one by one, or use cgroup v2");
	if (err < 0)
		return skf_fail_sys(e, err, "plan for %zu device rules", r->n);
	*ret = out;
	return 0;
}

/* --- v2 --- */

struct prog {
	struct bpf_insn *v;
	unsigned n;
};

static void insn(struct prog *p, uint8_t code, uint8_t dst, uint8_t src, int16_t off, int32_t imm)
{
	p->v[p->n++] = (struct bpf_insn){
		.code = code, .dst_reg = dst & 0xf, .src_reg = src & 0xf, .off = off, .imm = imm};
}

static void ret_const(struct prog *p, bool allow)
{
	insn(p, BPF_ALU64 | BPF_MOV | BPF_K, BPF_REG_0, 0, 0, allow);
	insn(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* r2 type, r3 access bits still to be settled, r4 major, r5 minor. */
static void rule_block(struct prog *p, const struct skf_devrule *r)
{
	unsigned start = p->n, n = p->n;
	int type = r->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR;

	insn(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_2, 0, 0, type);
	if (r->major >= 0)
		insn(p, BPF_JMP32 | BPF_JNE | BPF_K, BPF_REG_4, 0, 0, (int32_t)(uint32_t)r->major);
	if (r->minor >= 0)
		insn(p, BPF_JMP32 | BPF_JNE | BPF_K, BPF_REG_5, 0, 0, (int32_t)(uint32_t)r->minor);
	if (r->access != ALL_ACCESS && r->allow) {
		insn(p, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_3, 0, 0, (int32_t)(ALL_ACCESS & ~r->access));
		insn(p, BPF_JMP | BPF_JNE | BPF_K, BPF_REG_3, 0, 0, 0);
	} else if (r->access != ALL_ACCESS) {
		insn(p, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_0, BPF_REG_3, 0, 0);
		insn(p, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_0, 0, 0, (int32_t)r->access);
		insn(p, BPF_JMP | BPF_JEQ | BPF_K, BPF_REG_0, 0, 0, 0);
	}
	ret_const(p, r->allow);
	for (n = start; n < p->n; n++) /* every jump of the block leaves it */
		if ((BPF_CLASS(p->v[n].code) == BPF_JMP || BPF_CLASS(p->v[n].code) == BPF_JMP32) &&
		    BPF_OP(p->v[n].code) != BPF_EXIT)
			p->v[n].off = (int16_t)(p->n - n - 1);
}

int skf_cg_devices_bpf(const struct skf_devrules *r, struct skf_arena *a, struct bpf_insn **ret,
		       unsigned *ret_n, struct skf_err *e)
{
	struct prog p = {0};

	p.v = skf_arena_array(a, r->n * INSNS_PER_RULE + 8, sizeof(*p.v));
	if (!p.v)
		return skf_nomem(e);
	/* struct bpf_cgroup_dev_ctx { u32 access_type (access << 16 | type), major, minor } in r1 */
	insn(&p, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_2, BPF_REG_1, 0, 0);
	insn(&p, BPF_ALU64 | BPF_MOV | BPF_X, BPF_REG_3, BPF_REG_2, 0, 0);
	insn(&p, BPF_ALU64 | BPF_AND | BPF_K, BPF_REG_2, 0, 0, 0xffff);
	insn(&p, BPF_ALU64 | BPF_RSH | BPF_K, BPF_REG_3, 0, 0, 16);
	insn(&p, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_4, BPF_REG_1, 4, 0);
	insn(&p, BPF_LDX | BPF_MEM | BPF_W, BPF_REG_5, BPF_REG_1, 8, 0);
	for (size_t i = r->n; i-- > 0;)
		rule_block(&p, &r->v[i]);
	ret_const(&p, r->allow);
	*ret = p.v;
	*ret_n = p.n;
	return 0;
}
