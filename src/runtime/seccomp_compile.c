/* seccomp_compile.c -- a profile of the runtime-spec to a BPF program, with libseccomp. Linked by the
 * programs that may meet a profile that is not the default one, and by the generator of the embedded
 * programs.
 *
 * Theory: libseccomp makes the rules that look at arguments (seccomp_calls.c has the others); a stub in
 * front of them answers ENOSYS for system calls above the highest number that the profile names, per
 * architecture, when the default action would refuse them: a profile that is older than the kernel must look
 * like an older kernel, because programs fall back on ENOSYS but give up on EPERM. seccomp_shrink.c joins
 * both into one program.
 *
 * Does not block (a memfd takes libseccomp's output). */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/limits.h"
#include "base/log.h"
#include "runtime/seccomp_int.h"
#include "runtime/sha256.h"
#include <linux/audit.h>
#include <linux/seccomp.h>
#include <seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define FORMAT    "skiff seccomp program 1"
#define X32_BIT   0x40000000u
#define MAX_ARCHS SKF_SECCOMP_ARCHS

#ifndef SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV
#define SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV (1UL << 5)
#endif

static const struct {
	const char *name;
	uint32_t token;
} archs[] = {
	{"SCMP_ARCH_X86", SCMP_ARCH_X86},
	{"SCMP_ARCH_X86_64", SCMP_ARCH_X86_64},
	{"SCMP_ARCH_X32", SCMP_ARCH_X32},
	{"SCMP_ARCH_ARM", SCMP_ARCH_ARM},
	{"SCMP_ARCH_AARCH64", SCMP_ARCH_AARCH64},
	{"SCMP_ARCH_MIPS", SCMP_ARCH_MIPS},
	{"SCMP_ARCH_MIPS64", SCMP_ARCH_MIPS64},
	{"SCMP_ARCH_MIPS64N32", SCMP_ARCH_MIPS64N32},
	{"SCMP_ARCH_MIPSEL", SCMP_ARCH_MIPSEL},
	{"SCMP_ARCH_MIPSEL64", SCMP_ARCH_MIPSEL64},
	{"SCMP_ARCH_MIPSEL64N32", SCMP_ARCH_MIPSEL64N32},
	{"SCMP_ARCH_PPC", SCMP_ARCH_PPC},
	{"SCMP_ARCH_PPC64", SCMP_ARCH_PPC64},
	{"SCMP_ARCH_PPC64LE", SCMP_ARCH_PPC64LE},
	{"SCMP_ARCH_S390", SCMP_ARCH_S390},
	{"SCMP_ARCH_S390X", SCMP_ARCH_S390X},
	{"SCMP_ARCH_PARISC", SCMP_ARCH_PARISC},
	{"SCMP_ARCH_PARISC64", SCMP_ARCH_PARISC64},
	{"SCMP_ARCH_RISCV64", SCMP_ARCH_RISCV64},
#ifdef SCMP_ARCH_LOONGARCH64
	{"SCMP_ARCH_LOONGARCH64", SCMP_ARCH_LOONGARCH64},
#endif
};

static const struct {
	const char *name;
	unsigned bit;
} flag_names[] = {
	{"SECCOMP_FILTER_FLAG_TSYNC", 0}, /* one thread: nothing to synchronise */
	{"SECCOMP_FILTER_FLAG_LOG", SECCOMP_FILTER_FLAG_LOG},
	{"SECCOMP_FILTER_FLAG_SPEC_ALLOW", SECCOMP_FILTER_FLAG_SPEC_ALLOW},
	{"SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV},
};

struct build {
	const struct skf_spec_seccomp *p;
	const struct skf_log *log;
	struct skf_arena *arena;
	scmp_filter_ctx ctx;
	uint32_t arch[MAX_ARCHS];
	unsigned n_arch;
	struct skf_seccomp_calls calls;
	bool notify;
};

static void ctx_release(scmp_filter_ctx *c)
{
	if (*c)
		seccomp_release(*c);
}

void skf_seccomp_key(const struct skf_spec_seccomp *p, uint32_t native, uint8_t key[SKF_SECCOMP_KEY])
{
	const struct scmp_version *v = seccomp_version();
	uint32_t head[5] = {native ? native : seccomp_arch_native(), v ? v->major : 0, v ? v->minor : 0,
			    v ? v->micro : 0, sizeof(head)};
	struct skf_sha256 c;

	skf_sha256_init(&c);
	skf_sha256_add(&c, FORMAT, sizeof(FORMAT));
	skf_sha256_add(&c, head, sizeof(head));
	skf_sha256_add(&c, p->raw, strlen(p->raw));
	skf_sha256_end(&c, key);
}

static int add_archs(struct build *b, uint32_t native, struct skf_err *e)
{
	if (native && native != seccomp_arch_native()) {
		if (seccomp_arch_add(b->ctx, native) < 0 ||
		    seccomp_arch_remove(b->ctx, seccomp_arch_native()) < 0)
			return skf_fail(e, SKF_EUNSUPPORTED,
					"libseccomp cannot build a filter for architecture 0x%x", native);
	}
	b->arch[b->n_arch++] = native ? native : seccomp_arch_native();
	for (size_t i = 0; i < b->p->architectures.n; i++) {
		const char *name = b->p->architectures.v[i];
		size_t k = 0;
		int r;

		while (k < SKF_ARRAY_LEN(archs) && strcmp(archs[k].name, name) != 0)
			k++;
		if (k == SKF_ARRAY_LEN(archs))
			return skf_fail(
				e, SKF_EUNSUPPORTED,
				"architectures[%zu]: this build's libseccomp does not know '%s'; remove it",
				i, name);
		r = seccomp_arch_add(b->ctx, archs[k].token);
		if (r == -EEXIST)
			continue;
		if (r < 0 || b->n_arch == MAX_ARCHS)
			return skf_fail(e, SKF_EINVALID,
					"architectures[%zu]: '%s' cannot be in one filter with this "
					"machine's architecture%s%s",
					i, name, r < 0 ? ": " : "", r < 0 ? strerror(-r) : "");
		b->arch[b->n_arch++] = archs[k].token;
	}
	return 0;
}

/* Several conditions on one argument cannot be in one rule: each becomes a rule of its own (so they are
 * alternatives), as runc does. */
static bool repeats_index(const struct scmp_arg_cmp *c, size_t n)
{
	unsigned seen = 0;

	for (size_t i = 0; i < n; i++) {
		if (seen & (1u << c[i].arg))
			return true;
		seen |= 1u << c[i].arg;
	}
	return false;
}

static int add_call(struct build *b, const struct skf_spec_seccomp_rule *rule, uint32_t action, int nr)
{
	const struct skf_spec_seccomp_arg *a = rule->args.v;
	struct scmp_arg_cmp c[6];
	int r = 0;

	if (rule->args.n > SKF_ARRAY_LEN(c))
		return -E2BIG;
	for (size_t i = 0; i < rule->args.n; i++) {
		if (a[i].index >= 6)
			return -EINVAL;
		c[i] = (struct scmp_arg_cmp){a[i].index, (enum scmp_compare)a[i].op, a[i].value,
					     a[i].value_two};
	}
	if (!repeats_index(c, rule->args.n))
		return seccomp_rule_add_array(b->ctx, action, nr, (unsigned)rule->args.n, c);
	for (size_t i = 0; r == 0 && i < rule->args.n; i++)
		r = seccomp_rule_add_array(b->ctx, action, nr, 1, &c[i]);
	return r;
}

static int check_notify(struct build *b, const struct skf_spec_seccomp_rule *rule, size_t i,
			struct skf_err *e)
{
	if (rule->action != SECCOMP_RET_USER_NOTIF)
		return 0;
	b->notify = true;
	for (size_t k = 0; k < rule->names.n; k++)
		/* With write the process tells its parent, after the load, that it is ready or why it fails.
		 */
		if (!strcmp(rule->names.v[k], "write"))
			return skf_fail(
				e, SKF_EINVALID,
				"syscalls[%zu]: SCMP_ACT_NOTIFY cannot be used for the write syscall, by "
				"which the container's process reports to the runtime; remove it",
				i);
	return 0;
}

int skf_seccomp_check_names(const struct skf_spec_seccomp *p, struct skf_err *e)
{
	const struct skf_spec_seccomp_rule *rules = p->syscalls.v;

	for (size_t i = 0; i < p->syscalls.n; i++)
		for (size_t k = 0; k < rules[i].names.n; k++)
			if (seccomp_syscall_resolve_name(rules[i].names.v[k]) == __NR_SCMP_ERROR)
				return skf_fail(
					e, SKF_EINVALID,
					"linux.seccomp: syscalls[%zu]: system call '%s' is not known here, "
					"and the annotation run.oci.seccomp_fail_unknown_syscall is set",
					i, rules[i].names.v[k]);
	return 0;
}

static int check_rules(struct build *b, struct skf_err *e)
{
	const struct skf_spec_seccomp_rule *rules = b->p->syscalls.v;

	for (size_t i = 0; i < b->p->syscalls.n; i++)
		if (check_notify(b, &rules[i], i, e) < 0)
			return -1;
	return 0;
}

/* socketcall and ipc of 32-bit x86 stand for other calls. libseccomp takes rules with arguments for one of
 * those only when it knows already that the whole of socketcall is allowed (else -EEXIST): so these two go
 * first. */
static bool is_multiplexer(const char *name)
{
	return strcmp(name, "socketcall") == 0 || strcmp(name, "ipc") == 0;
}

static int add_pass(struct build *b, bool multiplexers, struct skf_err *e)
{
	const struct skf_spec_seccomp_rule *rules = b->p->syscalls.v;

	for (size_t i = 0; i < b->calls.n; i++) {
		const struct skf_seccomp_call *c = &b->calls.v[i];
		const char *name = rules[c->rule].names.v[c->name];
		int r;

		if (is_multiplexer(name) != multiplexers)
			continue;
		if (c->nr == __NR_SCMP_ERROR)
			skf_debug(b->log, "linux.seccomp: unknown system call '%s' ignored", name);
		if (c->is_default || c->fixed || c->nr == __NR_SCMP_ERROR)
			continue;
		r = add_call(b, &rules[c->rule], c->action, c->nr);
		if (r < 0)
			return skf_fail(e, SKF_EINVALID, "syscalls[%u]: rule for '%s': %s", c->rule, name,
					r == -EEXIST ? "contradicts an earlier rule for it" : strerror(-r));
	}
	return 0;
}

static int add_rules(struct build *b, struct skf_err *e)
{
	return add_pass(b, true, e) < 0 ? -1 : add_pass(b, false, e);
}

/* --- the ENOSYS stub --- */

static uint32_t last_number(const struct build *b, uint32_t arch)
{
	for (unsigned i = 0; i < b->n_arch; i++)
		if (b->arch[i] == arch)
			return b->calls.last[i];
	return 0;
}

static bool wants_stub(const struct skf_spec_seccomp *p)
{
	switch (p->default_action) {
	case SECCOMP_RET_ALLOW:
	case SECCOMP_RET_LOG:
	case SECCOMP_RET_TRACE: /* a tracer answers for itself */
		return false;
	case SECCOMP_RET_ERRNO:
		return !(p->has_default_errno && p->default_errno == ENOSYS);
	default:
		return true;
	}
}

struct out {
	struct sock_filter *v;
	size_t n;
};

static void emit(struct out *o, uint16_t code, uint32_t k, uint8_t jt, uint8_t jf)
{
	o->v[o->n++] = (struct sock_filter){code, jt, jf, k};
}

/* "above `last`: ENOSYS, else go on behind the stub"; the jump is filled in by emit_stub. */
static void emit_limit(struct out *o, uint32_t last)
{
	if (last) {
		emit(o, BPF_JMP | BPF_JGT | BPF_K, last, 0, 1);
		emit(o, BPF_RET | BPF_K, SECCOMP_RET_ERRNO | ENOSYS, 0, 0);
	}
	emit(o, BPF_JMP | BPF_JA, 0, 0, 0);
}

static void emit_arch(const struct build *b, struct out *o, uint32_t arch)
{
	size_t start;

	if (arch == SCMP_ARCH_X32) /* shares AUDIT_ARCH_X86_64: done with it, or alone when x86-64 is not in
				      the profile */
		for (unsigned i = 0; i < b->n_arch; i++)
			if (b->arch[i] == SCMP_ARCH_X86_64)
				return;
	emit(o, BPF_JMP | BPF_JEQ | BPF_K, arch == SCMP_ARCH_X32 ? AUDIT_ARCH_X86_64 : arch, 0, 0);
	start = o->n;
	emit(o, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr), 0, 0);
	if (arch == SCMP_ARCH_X86_64 || arch == SCMP_ARCH_X32) {
		uint32_t last64 = arch == SCMP_ARCH_X86_64 ? last_number(b, SCMP_ARCH_X86_64) : 0,
			 last32 = last_number(b, SCMP_ARCH_X32);

		emit(o, BPF_JMP | BPF_JGE | BPF_K, X32_BIT, last64 ? 3 : 1, 0);
		emit_limit(o, last64);
		emit_limit(o, last32 ? last32 | X32_BIT : 0);
	} else {
		emit_limit(o, last_number(b, arch));
	}
	o->v[start - 1].jf = (uint8_t)(o->n - start);
}

/* At most 2 + MAX_ARCHS * 9 instructions. */
static size_t emit_stub(const struct build *b, struct sock_filter *v)
{
	struct out o = {v, 0};

	emit(&o, BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, arch), 0, 0);
	for (unsigned i = 0; i < b->n_arch; i++)
		emit_arch(b, &o, b->arch[i]);
	for (size_t i = 0; i < o.n; i++)
		if (o.v[i].code == (BPF_JMP | BPF_JA))
			o.v[i].k = (uint32_t)(o.n - i - 1);
	return o.n;
}

/* --- */

static int export_program(struct build *b, struct sock_filter **ret, size_t *ret_n, struct skf_err *e)
{
	SKF_AUTO_FD int fd = memfd_create("seccomp", MFD_CLOEXEC);
	size_t stub = 2 + MAX_ARCHS * 9, n;
	struct sock_filter *v;
	off_t size;
	int r;

	if (fd < 0)
		return skf_fail_errno(e, "memory for the seccomp program");
	r = seccomp_export_bpf(b->ctx, fd);
	if (r < 0)
		return skf_fail_sys(e, r, "libseccomp cannot compile the profile");
	size = lseek(fd, 0, SEEK_END);
	if (size <= 0 || (size_t)size % sizeof(*v) || (size_t)size / sizeof(*v) > SKF_MAX_SECCOMP_INSNS ||
	    lseek(fd, 0, SEEK_SET) < 0)
		return skf_fail(e, SKF_EBUG, "libseccomp made a program of %lld bytes", (long long)size);
	n = (size_t)size / sizeof(*v);
	v = skf_arena_array(b->arena, n + stub, sizeof(*v));
	if (!v)
		return skf_nomem(e);
	stub = wants_stub(b->p) ? emit_stub(b, v) : 0;
	r = skf_read_full(fd, v + stub, n * sizeof(*v));
	if (r < 0)
		return skf_fail_sys(e, r, "read the seccomp program");
	*ret = v;
	*ret_n = n + stub;
	return 0;
}

static int flags_of(const struct skf_spec_seccomp *p, unsigned *ret, struct skf_err *e)
{
	*ret = 0;
	/* No list means SPEC_ALLOW, as with runc and crun: speculation is not slowed down in the container.
	 * An empty one is a list, as for runc. */
	if (!p->has_flags)
		*ret = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
	for (size_t i = 0; i < p->flags.n; i++) {
		size_t k = 0;

		while (k < SKF_ARRAY_LEN(flag_names) && strcmp(flag_names[k].name, p->flags.v[i]) != 0)
			k++;
		if (k == SKF_ARRAY_LEN(flag_names))
			return skf_fail(e, SKF_EINVALID, "flags[%zu]: '%s' is not a flag of runtime-spec", i,
					p->flags.v[i]);
		*ret |= flag_names[k].bit;
	}
	return 0;
}

int skf_seccomp_build(const struct skf_spec_seccomp *p, uint32_t native, bool whole,
		      const struct skf_log *log, struct skf_arena *a, struct skf_seccomp_built *ret,
		      struct skf_err *e)
{
	SKF_AUTO(ctx_release) scmp_filter_ctx ctx = NULL;
	struct build b = {.p = p, .log = log, .arena = a};
	uint32_t action = skf_seccomp_action(p->default_action, p->has_default_errno, p->default_errno);
	int r;

	*ret = (struct skf_seccomp_built){0};
	if (p->default_action == SECCOMP_RET_USER_NOTIF)
		return skf_fail(e, SKF_EINVALID,
				"defaultAction: SCMP_ACT_NOTIFY cannot be the default action");
	b.ctx = ctx = seccomp_init(action);
	if (!ctx)
		return skf_fail(e, SKF_EINVALID, "defaultAction: libseccomp does not accept action 0x%x",
				action);
	if (add_archs(&b, native, e) < 0 || check_rules(&b, e) < 0)
		return -1;
	r = skf_seccomp_calls(p, action, b.arch, b.n_arch, a, &b.calls);
	if (r == 0 && !whole)
		r = skf_seccomp_fix(p, &b.calls, a, &ret->fixed, &ret->n_fixed);
	if (r < 0)
		return skf_fail_sys(e, r, "rules of the seccomp profile");
	if (add_rules(&b, e) < 0 || export_program(&b, &ret->v, &ret->n, e) < 0)
		return -1;
	ret->notify = b.notify;
	return 0;
}

int skf_seccomp_compile(const struct skf_spec_seccomp *p, uint32_t native, const struct skf_log *log,
			struct skf_arena *a, struct skf_bpf_prog *ret, struct skf_err *e)
{
	struct skf_seccomp_built b;
	unsigned flags;
	int r = 0;

	if (flags_of(p, &flags, e) < 0)
		return -1;
	for (int whole = 0; whole < 2 && r == 0;
	     whole++) { /* 1: no table, where the result is a program that is right as it is */
		struct sock_filter *small;
		size_t n;

		if (skf_seccomp_build(p, native, whole, whole ? NULL : log, a, &b, e) < 0)
			return -1;
		r = skf_seccomp_shrink(&b, a, &small, &n);
		if (r < 0)
			return skf_fail_sys(e, r, "rebuild a seccomp program of %zu instructions", b.n);
		if (r == 1 && (!whole || n <= b.n)) {
			b.v = small;
			b.n = n;
		}
	}
	if (!b.notify) /* the kernel refuses the flag without a listener */
		flags &= ~(unsigned)SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
	if (b.n > BPF_MAXINSNS)
		return skf_fail(e, SKF_ELIMIT,
				"the profile needs %zu BPF instructions; the kernel takes at most %d: join "
				"its rules",
				b.n, BPF_MAXINSNS);
	*ret = (struct skf_bpf_prog){.insn = b.v, .n = (uint16_t)b.n, .flags = flags, .notify = b.notify};
	return 0;
}
