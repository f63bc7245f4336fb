/* Unit tests of runtime/cgroups/devices.c: the v2 program is run by a small interpreter, the v1 lines by a
 * model of the kernel's list. */
#include "base/arena.h"
#include "base/cleanup.h"
#include "runtime/cgroups/cgroups_int.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <linux/bpf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { M = BPF_DEVCG_ACC_MKNOD, R = BPF_DEVCG_ACC_READ, W = BPF_DEVCG_ACC_WRITE };

static uint64_t ebpf_run(const struct bpf_insn *p, unsigned n, const uint32_t ctx[3])
{
	uint64_t r[11] = {0};

	for (unsigned pc = 0; pc < n; pc++) {
		const struct bpf_insn *i = &p[pc];
		uint64_t imm = (uint64_t)(int64_t)i->imm;

		switch (i->code) {
		case BPF_LDX | BPF_MEM | BPF_W:
			assert_int_equal(i->src_reg, 1);
			assert_true(i->off >= 0 && i->off <= 8 && i->off % 4 == 0);
			r[i->dst_reg] = ctx[i->off / 4];
			break;
		case BPF_ALU64 | BPF_MOV | BPF_K:
			r[i->dst_reg] = imm;
			break;
		case BPF_ALU64 | BPF_MOV | BPF_X:
			r[i->dst_reg] = r[i->src_reg];
			break;
		case BPF_ALU64 | BPF_AND | BPF_K:
			r[i->dst_reg] &= imm;
			break;
		case BPF_ALU64 | BPF_RSH | BPF_K:
			r[i->dst_reg] >>= imm;
			break;
		case BPF_JMP | BPF_JNE | BPF_K:
			pc += r[i->dst_reg] != imm ? (unsigned)i->off : 0;
			break;
		case BPF_JMP | BPF_JEQ | BPF_K:
			pc += r[i->dst_reg] == imm ? (unsigned)i->off : 0;
			break;
		case BPF_JMP32 | BPF_JNE | BPF_K:
			pc += (uint32_t)r[i->dst_reg] != (uint32_t)i->imm ? (unsigned)i->off : 0;
			break;
		case BPF_JMP | BPF_EXIT:
			return r[0];
		default:
			fail_msg("instruction 0x%02x", i->code);
		}
	}
	fail_msg("ran off the end");
	return 0;
}

/* What the rules mean: for each access bit the last rule that names the device decides. */
static bool meaning(const struct skf_devrules *r, char type, uint32_t major, uint32_t minor, unsigned access)
{
	for (unsigned bit = 1; bit <= 4; bit <<= 1) {
		bool ok = r->allow;

		if (!(access & bit))
			continue;
		for (size_t i = 0; i < r->n; i++)
			if (r->v[i].type == type && (r->v[i].major < 0 || r->v[i].major == major) &&
			    (r->v[i].minor < 0 || r->v[i].minor == minor) && (r->v[i].access & bit))
				ok = r->v[i].allow;
		if (!ok)
			return false;
	}
	return true;
}

struct list { /* security/device_cgroup.c */
	bool allow;
	size_t n;
	struct skf_devrule v[64];
};

static void kernel_write(struct list *l, const char *line)
{
	struct skf_devrule r = {.allow = line[0] == '+'};
	char major[16], minor[16], acc[8];

	assert_int_equal(sscanf(line + 1, "%c %15[^:]:%15s %7s", &r.type, major, minor, acc), 4);
	r.major = *major == '*' ? -1 : atoll(major);
	r.minor = *minor == '*' ? -1 : atoll(minor);
	r.access = (strchr(acc, 'r') ? R : 0) | (strchr(acc, 'w') ? W : 0) | (strchr(acc, 'm') ? M : 0);
	for (size_t i = 0; i < l->n; i++)
		if (l->v[i].type == r.type && l->v[i].major == r.major && l->v[i].minor == r.minor) {
			if (r.allow != l->allow)
				l->v[i].access |= r.access;
			else
				l->v[i].access &= ~r.access;
			return;
		}
	if (r.allow != l->allow)
		l->v[l->n++] = r;
}

static bool kernel_allows(const struct list *l, char type, uint32_t major, uint32_t minor, unsigned access)
{
	for (size_t i = 0; i < l->n; i++) {
		const struct skf_devrule *x = &l->v[i];
		bool match = x->type == type && (x->major < 0 || x->major == major) &&
			     (x->minor < 0 || x->minor == minor);

		/* an exception must hold all of the access to allow it, any of it to deny it */
		if (match && (l->allow ? x->access & access : !(access & ~x->access)))
			return !l->allow;
	}
	return l->allow;
}

static struct skf_spec_device_rule rule(bool allow, char type, int64_t major, int64_t minor,
					const char *access)
{
	struct skf_spec_device_rule r = {.allow = allow,
					 .type = type,
					 .has_major = major >= 0,
					 .has_minor = minor >= 0,
					 .major = major,
					 .minor = minor};

	memcpy(r.access, access, strlen(access) + 1);
	return r;
}

static void check(const struct skf_spec_device_rule *in, size_t n, bool v1_can)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(4 << 20);
	struct skf_jarr arr = {(void *)(uintptr_t)in, n};
	struct skf_err e = SKF_ERR_INIT;
	struct skf_devrules rules;
	struct skf_strv lines;
	struct bpf_insn *p;
	struct list l = {0};
	unsigned len;
	int r;

	assert_int_equal(skf_cg_devrules(&arr, &a, &rules, &e), 0);
	assert_int_equal(skf_cg_devices_bpf(&rules, &a, &p, &len, &e), 0);
	r = skf_cg_devices_v1(&rules, &a, &lines, &e);
	assert_int_equal(r, v1_can ? 0 : -1);
	if (!v1_can)
		assert_int_equal(e.kind, SKF_EUNSUPPORTED);
	l.allow = rules.allow;
	for (size_t i = 0; v1_can && i < lines.n; i++)
		kernel_write(&l, lines.v[i]);
	for (int type = 0; type < 2; type++)
		for (uint32_t major = 0; major < 12; major++)
			for (uint32_t minor = 0; minor < 12; minor++)
				for (unsigned access = 1; access < 8; access++) {
					uint32_t ctx[3] = {access << 16 | (type ? BPF_DEVCG_DEV_BLOCK
										: BPF_DEVCG_DEV_CHAR),
							   major, minor};
					bool want = meaning(&rules, type ? 'b' : 'c', major, minor, access);

					if (ebpf_run(p, len, ctx) != want)
						fail_msg("%c %u:%u access %u: want %d", type ? 'b' : 'c',
							 major, minor, access, want);
					/* the kernel asks v1 for one of mknod, read, write, read+write; a
					 * union of exceptions is v2's only */
					if (v1_can && (access == M || access == R || access == W) &&
					    kernel_allows(&l, type ? 'b' : 'c', major, minor, access) !=
						    want)
						fail_msg("v1 %c %u:%u access %u: want %d", type ? 'b' : 'c',
							 major, minor, access, want);
				}
}

static void default_devices(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_spec_device_rule deny[] = {rule(false, 'a', -1, -1, "rwm")};
	struct skf_jarr none = {NULL, 0}, one = {deny, 1};
	struct skf_err e = SKF_ERR_INIT;
	struct skf_devrules r;
	struct skf_strv lines;

	for (int k = 0; k < 2; k++) {
		assert_int_equal(skf_cg_devrules(k ? &one : &none, &a, &r, &e), 0);
		assert_false(r.allow);
		assert_true(meaning(&r, 'c', 1, 3, R | W | M));
		assert_true(meaning(&r, 'c', 136, 7, R | W));
		assert_true(meaning(&r, 'c', 10, 200, R | W));
		assert_true(meaning(&r, 'b', 8, 0, M));
		assert_false(meaning(&r, 'b', 8, 0, R));
		assert_false(meaning(&r, 'c', 1, 1, R)); /* /dev/mem */
		assert_int_equal(skf_cg_devices_v1(&r, &a, &lines, &e), 0);
		assert_int_equal(lines.n, 11);
		assert_string_equal(lines.v[0], "+c *:* m");
		assert_string_equal(lines.v[2], "+c 1:3 rwm");
	}
	check(NULL, 0, true);
	check(deny, 1, true);
}

static void allow_all_is_nothing(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_spec_device_rule in[] = {rule(false, 'a', -1, -1, "rwm"), rule(true, 'c', 1, 1, "r"),
					    rule(true, 'a', -1, -1, "rwm")};
	struct skf_jarr arr = {in, 3};
	struct skf_err e = SKF_ERR_INIT;
	struct skf_devrules r;

	assert_int_equal(skf_cg_devrules(&arr, &a, &r, &e), 0);
	assert_true(r.allow);
	assert_int_equal(r.n, 0);
	check(in, 3, true);
}

static void rules_in_order(void **state)
{
	struct skf_spec_device_rule podman[] = {rule(false, 'a', -1, -1, "rwm"),
						rule(true, 'c', -1, -1, "m"), rule(true, 'b', -1, -1, "m"),
						rule(true, 'c', 5, 1, "rwm"), rule(true, 'b', 7, -1, "r")};
	struct skf_spec_device_rule takes_back[] = {rule(true, 'c', 4, 2, "rwm"), rule(true, 'c', 4, 3, "r"),
						    rule(false, 'c', 4, -1, "w"),
						    rule(false, 'c', 4, 3, "r")};
	struct skf_spec_device_rule deny_some[] = {
		rule(true, 'a', -1, -1, "rwm"), rule(false, 'c', 1, -1, "w"), rule(false, 'b', 8, 1, "rw")};
	struct skf_spec_device_rule both_types[] = {rule(true, 'a', 9, -1, "r")};
	struct skf_spec_device_rule any_major[] = {rule(true, 'c', -1, 4, "rw"), rule(true, 'c', 6, 4, "m"),
						   rule(true, 'c', -1, 4, "r")};

	check(podman, SKF_ARRAY_LEN(podman), true);
	check(takes_back, SKF_ARRAY_LEN(takes_back), true);
	check(deny_some, SKF_ARRAY_LEN(deny_some), true);
	check(both_types, SKF_ARRAY_LEN(both_types), true);
	check(any_major, SKF_ARRAY_LEN(any_major), true);
}

static void holes_are_refused_on_v1(void **state)
{
	struct skf_spec_device_rule hole[] = {rule(true, 'c', 4, -1, "rwm"), rule(false, 'c', 4, 2, "w")};
	struct skf_spec_device_rule back[] = {rule(true, 'a', -1, -1, "rwm"), rule(false, 'c', 4, -1, "rwm"),
					      rule(true, 'c', 4, 2, "r")};
	struct skf_spec_device_rule harmless[] = {rule(true, 'c', 4, -1, "r"), rule(false, 'c', 4, 2, "w")};

	check(hole, 2, false);
	check(back, 3, false);
	check(harmless, 2, true);
}

static void numbers_out_of_range(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(1 << 20);
	struct skf_spec_device_rule in[] = {rule(true, 'c', 1ll << 32, 1, "r")};
	struct skf_jarr arr = {in, 1};
	struct skf_err e = SKF_ERR_INIT;
	struct skf_devrules r;

	assert_int_equal(skf_cg_devrules(&arr, &a, &r, &e), -1);
	assert_int_equal(e.kind, SKF_EINVALID);
	in[0] = rule(true, 'c', UINT32_MAX, UINT32_MAX, "r");
	check(in, 1, true);
}

static void random_rules(void **state)
{
	static const char *const acc[] = {"r", "w", "m", "rw", "rm", "rwm", ""};
	uint32_t seed = 12345;

	for (int round = 0; round < 300; round++) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(4 << 20);
		struct skf_spec_device_rule in[8];
		struct skf_jarr arr = {in, 0};
		struct skf_err e = SKF_ERR_INIT;
		struct skf_devrules rules;
		struct skf_strv lines;

		for (size_t i = 0; i < SKF_ARRAY_LEN(in); i++) {
			uint32_t x = seed = seed * 1103515245 + 12345;

			x >>= 8;
			in[i] = rule(x & 1, "abc"[(x >> 1) % 3], (x >> 3) % 4 ? (int64_t)((x >> 5) % 5) : -1,
				     (x >> 8) % 3 ? (int64_t)((x >> 10) % 4) : -1,
				     acc[(x >> 13) % SKF_ARRAY_LEN(acc)]);
		}
		arr.n = SKF_ARRAY_LEN(in);
		assert_int_equal(skf_cg_devrules(&arr, &a, &rules, &e), 0);
		check(in, arr.n, skf_cg_devices_v1(&rules, &a, &lines, &e) == 0);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(default_devices),      cmocka_unit_test(allow_all_is_nothing),
		cmocka_unit_test(rules_in_order),       cmocka_unit_test(holes_are_refused_on_v1),
		cmocka_unit_test(numbers_out_of_range), cmocka_unit_test(random_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
