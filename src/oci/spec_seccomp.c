/* oci/spec_seccomp.c -- linux.seccomp of config.json: names to the kernel's and libseccomp's numbers, and
 * the canonical form of the profile. Pure; nothing blocks.
 *
 * Invariants:
 * 1. `raw` is written from what was decoded, in one fixed order: two documents that mean the same have the
 * same text, and everything that the compiler looks at is in it. It can be decoded again.
 * 2. NOTIFY is never what happens to write(2): init tells its parent of the listener with it, and nobody
 * would answer. */
#include "oci/spec_int.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include <linux/seccomp.h>
#include <string.h>

const struct skf_jenum skf_spec_seccomp_actions[] = {
	{"SCMP_ACT_ALLOW", (int)SECCOMP_RET_ALLOW},
	{"SCMP_ACT_ERRNO", (int)SECCOMP_RET_ERRNO},
	{"SCMP_ACT_KILL", (int)SECCOMP_RET_KILL_THREAD},
	{"SCMP_ACT_KILL_PROCESS", (int)SECCOMP_RET_KILL_PROCESS},
	{"SCMP_ACT_KILL_THREAD", (int)SECCOMP_RET_KILL_THREAD},
	{"SCMP_ACT_LOG", (int)SECCOMP_RET_LOG},
	{"SCMP_ACT_NOTIFY", (int)SECCOMP_RET_USER_NOTIF},
	{"SCMP_ACT_TRACE", (int)SECCOMP_RET_TRACE},
	{"SCMP_ACT_TRAP", (int)SECCOMP_RET_TRAP},
	{NULL, 0},
};
/* The numbers are libseccomp's enum scmp_compare, part of its ABI. */
const struct skf_jenum skf_spec_seccomp_ops[] = {
	{"SCMP_CMP_EQ", 4}, {"SCMP_CMP_GE", 5},        {"SCMP_CMP_GT", 6}, {"SCMP_CMP_LE", 3},
	{"SCMP_CMP_LT", 2}, {"SCMP_CMP_MASKED_EQ", 7}, {"SCMP_CMP_NE", 1}, {NULL, 0},
};
const struct skf_jenum skf_spec_seccomp_flags[] = {
	{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
	{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
	{"SECCOMP_FILTER_FLAG_TSYNC", SECCOMP_FILTER_FLAG_TSYNC},
	{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
	{NULL, 0},
};
const struct skf_jenum skf_spec_seccomp_archs[] = {
	{"SCMP_ARCH_AARCH64", 1},     {"SCMP_ARCH_ARM", 1},    {"SCMP_ARCH_LOONGARCH64", 0},
	{"SCMP_ARCH_M68K", 0},        {"SCMP_ARCH_MIPS", 1},   {"SCMP_ARCH_MIPS64", 1},
	{"SCMP_ARCH_MIPS64N32", 1},   {"SCMP_ARCH_MIPSEL", 1}, {"SCMP_ARCH_MIPSEL64", 1},
	{"SCMP_ARCH_MIPSEL64N32", 1}, {"SCMP_ARCH_PARISC", 1}, {"SCMP_ARCH_PARISC64", 1},
	{"SCMP_ARCH_PPC", 1},         {"SCMP_ARCH_PPC64", 1},  {"SCMP_ARCH_PPC64LE", 1},
	{"SCMP_ARCH_RISCV64", 1},     {"SCMP_ARCH_S390", 1},   {"SCMP_ARCH_S390X", 1},
	{"SCMP_ARCH_SH", 0},          {"SCMP_ARCH_SHEB", 0},   {"SCMP_ARCH_X32", 1},
	{"SCMP_ARCH_X86", 1},         {"SCMP_ARCH_X86_64", 1}, {NULL, 0},
};

static int dec_action(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	int action;

	(void)arg;
	if (skf_j_enum(c, v, &action, skf_spec_seccomp_actions) < 0)
		return -1;
	*(uint32_t *)dst = (uint32_t)action;
	return 0;
}

static bool in_table(const struct skf_jenum *t, const char *s)
{
	for (; t->name; t++) {
		if (skf_streq(t->name, s))
			return true;
	}
	return false;
}

static int arch_check(struct skf_jctx *c, const char *s)
{
	if (!in_table(skf_spec_seccomp_archs, s))
		return skf_j_fail(c, SKF_EINVALID,
				  "'%.64s' is not a seccomp architecture of the runtime-spec", s);
	return 0;
}

static int flag_check(struct skf_jctx *c, const char *s)
{
	if (in_table(skf_spec_seccomp_flags, s))
		return 0;
	return skf_j_fail(c, SKF_EINVALID, "'%.64s' is not a seccomp flag of the runtime-spec", s);
}

static int syscall_name_check(struct skf_jctx *c, const char *s)
{
	return s[0] ? 0
		    : skf_j_fail(c, SKF_EINVALID,
				 "expected the name of a system call, found an empty string");
}

static int arg_check(struct skf_jctx *c, void *obj)
{
	const struct skf_spec_seccomp_arg *a = obj;

	if (a->index > 5)
		return skf_j_fail(c, SKF_EINVALID, "argument index %u: a system call has arguments 0 to 5",
				  a->index);
	return 0;
}

static int errno_check(struct skf_jctx *c, uint32_t action, bool has, uint32_t n)
{
	/* 4095 is MAX_ERRNO; the data of other actions has 16 bits. */
	if (has && n > (action == SECCOMP_RET_ERRNO ? 4095u : UINT16_MAX))
		return skf_j_fail(c, SKF_EINVALID, "the value %u does not fit; an errno is at most 4095", n);
	return 0;
}

static int rule_check(struct skf_jctx *c, void *obj)
{
	const struct skf_spec_seccomp_rule *r = obj;

	if (r->names.n == 0)
		return skf_j_fail(c, SKF_EINVALID,
				  "names is empty; name at least one system call or remove the rule");
	for (size_t i = 0; r->action == SECCOMP_RET_USER_NOTIF && i < r->names.n; i++) {
		if (skf_streq(r->names.v[i], "write"))
			return skf_j_fail(c, SKF_EINVALID,
					  "SCMP_ACT_NOTIFY cannot be used for the write syscall; remove it");
	}
	return errno_check(c, r->action, r->has_errno, r->errno_ret);
}

#define A struct skf_spec_seccomp_arg
static const struct skf_jfield arg_f[] = {
	SPEC_REQ(A, index, "index", skf_j_u32, NULL),
	SPEC_REQ(A, value, "value", skf_j_u64, NULL),
	SPEC_OPT(A, value_two, "valueTwo", skf_j_u64, NULL),
	SPEC_REQ(A, op, "op", skf_j_enum, skf_spec_seccomp_ops),
	SKF_J_END,
};
#undef A
static const struct skf_jtable arg_table = {sizeof(struct skf_spec_seccomp_arg), arg_f, .check = arg_check};
static const struct skf_jarr_arg arg_arr = {&arg_table, SPEC_MAX_LIST};
static const struct skf_spec_strings names_rule = {syscall_name_check, SPEC_MAX_LIST};

#define R struct skf_spec_seccomp_rule
static const struct skf_jfield rule_f[] = {
	SPEC_REQ(R, names, "names", skf_spec_j_strings, &names_rule),
	SPEC_REQ(R, action, "action", dec_action, NULL),
	SPEC_OPTP(R, errno_ret, has_errno, "errnoRet", skf_j_u32, NULL),
	SPEC_OPT(R, args, "args", skf_j_arr, &arg_arr),
	SKF_J_END,
};
#undef R
static const struct skf_jtable rule_table = {sizeof(struct skf_spec_seccomp_rule), rule_f,
					     .check = rule_check};
static const struct skf_jarr_arg rule_arr = {&rule_table, SPEC_MAX_LIST};

/* --- canonical form --- */
static const char *action_name(uint32_t action)
{
	return skf_spec_enum_name(skf_spec_seccomp_actions, (int)action);
}

static void write_rule(struct skf_jw *w, const struct skf_spec_seccomp_rule *r)
{
	const struct skf_spec_seccomp_arg *a = r->args.v;

	skf_jw_obj(w);
	skf_jw_kstrv(w, "names", &r->names);
	skf_jw_kstr(w, "action", action_name(r->action));
	if (r->has_errno)
		skf_jw_ku64(w, "errnoRet", r->errno_ret);
	if (r->args.n) {
		skf_jw_karr(w, "args");
		for (size_t i = 0; i < r->args.n; i++) {
			skf_jw_obj(w);
			skf_jw_ku64(w, "index", a[i].index);
			skf_jw_ku64(w, "value", a[i].value);
			skf_jw_ku64(w, "valueTwo", a[i].value_two);
			skf_jw_kstr(w, "op", skf_spec_enum_name(skf_spec_seccomp_ops, a[i].op));
			skf_jw_end(w);
		}
		skf_jw_end_arr(w);
	}
	skf_jw_end(w);
}

static void write_canonical(struct skf_jw *w, const struct skf_spec_seccomp *s)
{
	const struct skf_spec_seccomp_rule *r = s->syscalls.v;

	skf_jw_obj(w);
	skf_jw_kstr(w, "defaultAction", action_name(s->default_action));
	if (s->has_default_errno)
		skf_jw_ku64(w, "defaultErrnoRet", s->default_errno);
	if (s->architectures.n)
		skf_jw_kstrv(w, "architectures", &s->architectures);
	if (s->has_flags)
		skf_jw_kstrv(w, "flags", &s->flags);
	if (s->syscalls.n) {
		skf_jw_karr(w, "syscalls");
		for (size_t i = 0; i < s->syscalls.n; i++)
			write_rule(w, &r[i]);
		skf_jw_end_arr(w);
	}
	skf_jw_end(w);
}

static int seccomp_check(struct skf_jctx *c, void *obj)
{
	struct skf_spec_seccomp *s = obj;
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SECCOMP_BYTES);
	struct skf_jw w = SKF_JW(&b);

	if (s->default_action == SECCOMP_RET_USER_NOTIF)
		return skf_j_fail(c, SKF_EINVALID,
				  "SCMP_ACT_NOTIFY cannot be used as default action; choose another one");
	if (errno_check(c, s->default_action, s->has_default_errno, s->default_errno) < 0)
		return -1;
	write_canonical(&w, s);
	if (b.err < 0)
		return skf_j_fail(c, SKF_ELIMIT,
				  "the seccomp profile is larger than %u bytes; make it smaller",
				  SKF_MAX_SECCOMP_BYTES);
	s->raw = skf_arena_dup(skf_j_arena(c), skf_buf_cstr(&b), b.len);
	return s->raw ? 0 : skf_spec_j_nomem(c);
}

/* A relative path is relative to the runtime's working directory, as for runc. "" is Go's way to say
 * nothing. */
static int dec_listener(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	char *s = NULL;

	(void)arg;
	if (skf_j_str(c, v, &s, NULL) < 0)
		return -1;
	*(char **)dst = s[0] ? s : NULL;
	return 0;
}

static const struct skf_spec_strings archs_rule = {arch_check, SPEC_MAX_LIST};
static const struct skf_spec_strings flags_rule = {flag_check, SPEC_MAX_LIST};

#define S struct skf_spec_seccomp
static const struct skf_jfield seccomp_f[] = {
	SPEC_REQ(S, default_action, "defaultAction", dec_action, NULL),
	SPEC_OPTP(S, default_errno, has_default_errno, "defaultErrnoRet", skf_j_u32, NULL),
	SPEC_OPT(S, architectures, "architectures", skf_spec_j_strings, &archs_rule),
	SPEC_OPTP(S, flags, has_flags, "flags", skf_spec_j_strings, &flags_rule),
	SPEC_OPT(S, listener_path, "listenerPath", dec_listener, NULL),
	SPEC_OPT(S, listener_metadata, "listenerMetadata", skf_j_str, NULL),
	SPEC_OPT(S, syscalls, "syscalls", skf_j_arr, &rule_arr),
	SKF_J_END,
};
#undef S
const struct skf_jtable skf_spec_seccomp_table = {sizeof(struct skf_spec_seccomp), seccomp_f,
						  .check = seccomp_check};
