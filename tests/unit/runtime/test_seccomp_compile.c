/* Unit tests of runtime/seccomp_compile.c, seccomp_shrink.c and of the embedded default programs, by running
 * the programs. */
#include "cbpf.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/limits.h"
#include "oci/default_seccomp.h"
#include "oci/spec.h"
#include "runtime/seccomp_int.h"
#include "runtime/sha256.h"
#include <cmocka.h>
#include <linux/audit.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>

#define ALLOW   SECCOMP_RET_ALLOW
#define EPERM_  (SECCOMP_RET_ERRNO | EPERM)
#define ENOSYS_ (SECCOMP_RET_ERRNO | ENOSYS)
#define X32     0x40000000

struct fix {
	struct skf_arena a;
	struct skf_spec_seccomp *p;
	struct skf_bpf_prog prog;
	struct skf_err e;
};

static int setup(void **state)
{
	struct fix *f = calloc(1, sizeof(*f));

	f->a = (struct skf_arena)SKF_ARENA(SKF_MAX_ARENA_DOC);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fix *f = *state;

	skf_arena_done(&f->a);
	free(f);
	return 0;
}

static int compile(struct fix *f, const char *json, uint32_t native)
{
	const struct skf_spec_opts o = {.name = "profile"};

	if (skf_spec_parse_seccomp(json, strlen(json), &o, &f->a, &f->p, &f->e) < 0)
		return -1;
	return skf_seccomp_compile(f->p, native, NULL, &f->a, &f->prog, &f->e);
}

static uint32_t ask(const struct skf_bpf_prog *p, uint32_t arch, int nr, uint64_t a0, uint64_t a1)
{
	struct seccomp_data d = {.nr = nr, .arch = arch, .args = {a0, a1}};

	return cbpf_run(p->insn, p->n, &d);
}

static void sendmsg_is_judged_without_arguments(void **state)
{
	static const struct {
		const char *rest;
		bool lets;
	} cases[] = {
		{"'defaultAction':'SCMP_ACT_ALLOW'", true},
		{"'defaultAction':'SCMP_ACT_LOG'", true},
		{"'defaultAction':'SCMP_ACT_ERRNO'", false},
		{"'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['mkdir'],'action':'SCMP_ACT_NOTIFY'"
		 "}]",
		 true},
		{"'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['sendmsg'],'action':'SCMP_ACT_"
		 "NOTIFY'}]",
		 false},
		{"'defaultAction':'SCMP_ACT_ERRNO','syscalls':[{'names':['sendmsg','write'],'action':'SCMP_"
		 "ACT_ALLOW'}]",
		 true},
		{"'defaultAction':'SCMP_ACT_ALLOW','syscalls':[{'names':['sendmsg'],'action':'SCMP_ACT_"
		 "NOTIFY','args':"
		 "[{'index':0,'value':9,'op':'SCMP_CMP_EQ'}]}]",
		 false},
	};
	struct fix *f = *state;
	char json[512];

	for (size_t i = 0; i < SKF_ARRAY_LEN(cases); i++) {
		assert_int_equal(skf_fmt(json, sizeof(json), "{%s}", cases[i].rest), 0);
		for (char *c = json; *c; c++)
			if (*c == '\'')
				*c = '"';
		if (compile(f, json, 0) < 0)
			fail_msg("%s: %s", json, f->e.msg);
		assert_int_equal(skf_seccomp_lets(&f->prog, SCMP_SYS(sendmsg)), cases[i].lets);
	}
	/* what is not understood is not allowed */
	const struct sock_filter odd[] = {{BPF_LDX | BPF_W | BPF_LEN, 0, 0, 0},
					  {BPF_RET | BPF_K, 0, 0, ALLOW}},
				 beyond[] = {{BPF_JMP | BPF_JA, 0, 0, 7}};

	assert_false(skf_seccomp_lets(&(struct skf_bpf_prog){.insn = odd, .n = 2}, 1));
	assert_false(skf_seccomp_lets(&(struct skf_bpf_prog){.insn = beyond, .n = 1}, 1));
	assert_false(skf_seccomp_lets(&(struct skf_bpf_prog){.insn = odd, .n = 0}, 1));
}

static char *default_text(struct fix *f, uint64_t caps, enum skf_seccomp_arch arch)
{
	struct skf_buf b = SKF_BUF(1 << 20);
	struct skf_jw w = SKF_JW(&b);
	char *text, *begin;

	skf_jw_obj(&w);
	skf_default_seccomp_write_arch(&w, caps, arch);
	skf_jw_end(&w);
	assert_int_equal(b.err, 0);
	begin = strchr(b.p + 1, '{');
	text = skf_arena_dup(&f->a, begin, (size_t)(strrchr(b.p, '}') - begin));
	skf_buf_done(&b);
	return text;
}

static int number(uint32_t arch, const char *name)
{
	return seccomp_syscall_resolve_name_arch(arch, name);
}

static void default_profile_x86_64(void **state)
{
	struct fix *f = *state;
	const uint32_t A = AUDIT_ARCH_X86_64;

	assert_int_equal(compile(f, default_text(f, SKF_DEFAULT_CAPS, SKF_SECCOMP_X86_64), SCMP_ARCH_X86_64),
			 0);
	assert_int_equal(f->prog.flags, SECCOMP_FILTER_FLAG_SPEC_ALLOW);
	assert_false(f->prog.notify);
	static const char *const yes[] = {"read",   "execve",     "openat",       "futex", "ptrace",
					  "chroot", "arch_prctl", "epoll_pwait2", "statx"};
	static const char *const no[] = {"mount",
					 "unshare",
					 "setns",
					 "reboot",
					 "init_module",
					 "bpf",
					 "perf_event_open",
					 "keyctl",
					 "add_key",
					 "kexec_load",
					 "open_by_handle_at",
					 "pivot_root",
					 "swapon",
					 "userfaultfd",
					 "io_uring_setup",
					 "syslog"};
	for (size_t i = 0; i < SKF_ARRAY_LEN(yes); i++)
		assert_int_equal(ask(&f->prog, A, number(SCMP_ARCH_X86_64, yes[i]), 0, 0), ALLOW);
	for (size_t i = 0; i < SKF_ARRAY_LEN(no); i++)
		assert_int_equal(ask(&f->prog, A, number(SCMP_ARCH_X86_64, no[i]), 0, 0), EPERM_);
	/* clone without namespaces, clone with, clone3 */
	assert_int_equal(ask(&f->prog, A, 56, 0x3d0f00, 0), ALLOW);
	assert_int_equal(ask(&f->prog, A, 56, 0x10000011, 0), EPERM_);
	assert_int_equal(ask(&f->prog, A, 435, 0, 0), ENOSYS_);
	/* socket families 38 (AF_ALG) and 40 (AF_VSOCK) */
	for (int family = 0; family < 60; family++)
		assert_int_equal(ask(&f->prog, A, 41, (uint64_t)family, 0),
				 family == 38 || family == 40 ? EPERM_ : ALLOW);
	assert_int_equal(ask(&f->prog, A, 135, 0, 0), ALLOW);
	assert_int_equal(ask(&f->prog, A, 135, 0xffffffff, 0), ALLOW);
	assert_int_equal(ask(&f->prog, A, 135, 0x40000, 0), EPERM_); /* ADDR_NO_RANDOMIZE */
	/* newer than the profile, and another machine */
	assert_int_equal(ask(&f->prog, A, 1000, 0, 0), ENOSYS_);
	assert_int_equal(ask(&f->prog, A, X32 + 1000, 0, 0), ENOSYS_);
	assert_int_equal(ask(&f->prog, AUDIT_ARCH_I386, 1000, 0, 0), ENOSYS_);
	assert_int_equal(ask(&f->prog, AUDIT_ARCH_I386, number(SCMP_ARCH_X86, "read"), 0, 0), ALLOW);
	assert_int_equal(ask(&f->prog, AUDIT_ARCH_I386, number(SCMP_ARCH_X86, "mount"), 0, 0), EPERM_);
	assert_int_equal(ask(&f->prog, A, X32 + 0, 0, 0), ALLOW);
	assert_int_equal(ask(&f->prog, AUDIT_ARCH_AARCH64, 63, 0, 0), SECCOMP_RET_KILL_THREAD);
}

static void default_profile_follows_capabilities(void **state)
{
	struct fix *f = *state;
	const uint32_t A = AUDIT_ARCH_X86_64;

	assert_int_equal(compile(f, default_text(f, 0, SKF_SECCOMP_X86_64), SCMP_ARCH_X86_64), 0);
	assert_int_equal(ask(&f->prog, A, number(SCMP_ARCH_X86_64, "chroot"), 0, 0), EPERM_);
	assert_int_equal(compile(f, default_text(f, 1ull << 21, SKF_SECCOMP_X86_64), SCMP_ARCH_X86_64),
			 0); /* SYS_ADMIN */
	assert_int_equal(ask(&f->prog, A, number(SCMP_ARCH_X86_64, "mount"), 0, 0), ALLOW);
	assert_int_equal(ask(&f->prog, A, 56, 0x10000011, 0), ALLOW);
	assert_int_equal(ask(&f->prog, A, 435, 0, 0), ALLOW);
	assert_int_equal(compile(f, default_text(f, 1ull << 25, SKF_SECCOMP_X86_64), SCMP_ARCH_X86_64),
			 0); /* SYS_TIME */
	assert_int_equal(ask(&f->prog, A, number(SCMP_ARCH_X86_64, "clock_settime"), 0, 0), ALLOW);
	assert_int_equal(ask(&f->prog, A, number(SCMP_ARCH_X86_64, "mount"), 0, 0), EPERM_);
}

static void default_profile_aarch64(void **state)
{
	struct fix *f = *state;
	const uint32_t A = AUDIT_ARCH_AARCH64;

	assert_int_equal(
		compile(f, default_text(f, SKF_DEFAULT_CAPS, SKF_SECCOMP_AARCH64), SCMP_ARCH_AARCH64), 0);
	assert_int_equal(ask(&f->prog, A, number(SCMP_ARCH_AARCH64, "read"), 0, 0), ALLOW);
	assert_int_equal(ask(&f->prog, A, number(SCMP_ARCH_AARCH64, "mount"), 0, 0), EPERM_);
	assert_int_equal(ask(&f->prog, A, number(SCMP_ARCH_AARCH64, "clone3"), 0, 0), ENOSYS_);
	assert_int_equal(ask(&f->prog, A, 2000, 0, 0), ENOSYS_);
	assert_int_equal(ask(&f->prog, AUDIT_ARCH_ARM, number(SCMP_ARCH_ARM, "set_tls"), 0, 0), ALLOW);
	assert_int_equal(ask(&f->prog, AUDIT_ARCH_X86_64, 0, 0, 0), SECCOMP_RET_KILL_THREAD);
}

/* The rebuilt program answers as libseccomp's own, for every number and for many arguments. */
static void compare_programs(const struct sock_filter *p, size_t n, const struct sock_filter *q, size_t m)
{
	static const uint32_t arch[] = {
		AUDIT_ARCH_X86_64, AUDIT_ARCH_I386, AUDIT_ARCH_AARCH64, AUDIT_ARCH_ARM, 0, 0xffffffff};
	static const uint32_t base[] = {0, X32, 0x3ffffff0, 0x7fffff00, 0xfffffc00, 0xf0000};
	static const uint64_t args[] = {0,           1,          2,          8,       16,      38,
					39,          40,         41,         0x20000, 0x20008, 0xffffffff,
					0x100000000, 0x7e020000, 0x10000011, ~0ull};

	for (size_t a = 0; a < SKF_ARRAY_LEN(arch); a++)
		for (size_t b = 0; b < SKF_ARRAY_LEN(base); b++)
			for (uint32_t k = 0; k < 1024; k++)
				for (size_t x = 0; x < SKF_ARRAY_LEN(args); x++) {
					uint64_t v = args[x], w = args[(x * 7 + 3) % SKF_ARRAY_LEN(args)];
					struct seccomp_data d = {
						(int)(base[b] + k), arch[a], 0, {v, w, v ^ w, w, v, 1}};
					uint32_t want = cbpf_walk(p, n, &d, 1), got = cbpf_run(q, m, &d);

					if (want != got)
						fail_msg("arch %x nr %x arg %llx: %x, rebuilt %x", d.arch,
							 (unsigned)d.nr, (unsigned long long)v, want, got);
					assert_int_not_equal(want, CBPF_BAD);
				}
}

/* What skf_seccomp_compile makes, with its table, answers as what libseccomp makes of all rules. */
static void rebuilt(struct fix *f, const char *json, uint32_t native, bool must)
{
	struct skf_seccomp_built whole, table;
	struct sock_filter *s;
	size_t m;

	assert_int_equal(compile(f, json, native), 0);
	assert_int_equal(skf_seccomp_build(f->p, native, true, NULL, &f->a, &whole, &f->e), 0);
	assert_int_equal(skf_seccomp_build(f->p, native, false, NULL, &f->a, &table, &f->e), 0);
	if (must) {
		assert_int_equal(skf_seccomp_shrink(&table, &f->a, &s, &m), 1);
		assert_true(table.n_fixed > 800 && table.n < whole.n / 4);
		assert_int_equal(skf_seccomp_shrink(&whole, &f->a, &s, &m), 1);
	}
	compare_programs(whole.v, whole.n, f->prog.insn, f->prog.n);
}

static void shrinking_changes_nothing(void **state)
{
	struct fix *f = *state;

	rebuilt(f, default_text(f, SKF_DEFAULT_CAPS, SKF_SECCOMP_X86_64), SCMP_ARCH_X86_64, true);
	assert_true(f->prog.n < 400);
	rebuilt(f, default_text(f, ~0ull, SKF_SECCOMP_X86_64), SCMP_ARCH_X86_64, true);
	rebuilt(f, default_text(f, SKF_DEFAULT_CAPS, SKF_SECCOMP_AARCH64), SCMP_ARCH_AARCH64, false);
	rebuilt(f, "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}", SCMP_ARCH_X86_64, false);
	rebuilt(f,
		"{\"defaultAction\":\"SCMP_ACT_KILL\",\"architectures\":[\"SCMP_ARCH_X86\"],\"syscalls\":[{"
		"\"names\":[\"socket\",\"connect\"],"
		"\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,\"value\":16,\"op\":\"SCMP_CMP_NE\"},{"
		"\"index\":1,\"value\":2,\"valueTwo\":2,"
		"\"op\":\"SCMP_CMP_MASKED_EQ\"},{\"index\":2,\"value\":40,\"op\":\"SCMP_CMP_GE\"}]}]}",
		SCMP_ARCH_X86_64, false);
}

/* Programs that a compiler did not make: instructions that are not understood leave the original alone. */
static void shrinking_refuses_what_it_does_not_know(void **state)
{
	struct fix *f = *state;
	static const struct sock_filter alu[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 4},
						 {BPF_ALU | BPF_ADD | BPF_K, 0, 0, 1},
						 {BPF_JMP | BPF_JEQ | BPF_K, 0, 0, 5},
						 {BPF_RET | BPF_K, 0, 0, 0}};
	static const struct sock_filter nr_first[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 0},
						      {BPF_JMP | BPF_JEQ | BPF_K, 0, 1, 5},
						      {BPF_RET | BPF_K, 0, 0, 1},
						      {BPF_RET | BPF_K, 0, 0, 0}};
	static const struct sock_filter off_end[] = {{BPF_LD | BPF_W | BPF_ABS, 0, 0, 4},
						     {BPF_JMP | BPF_JEQ | BPF_K, 0, 200, 5},
						     {BPF_RET | BPF_K, 0, 0, 1}};
	static const struct {
		const struct sock_filter *v;
		size_t n;
	} odd[] = {{alu, SKF_ARRAY_LEN(alu)},
		   {nr_first, SKF_ARRAY_LEN(nr_first)},
		   {off_end, SKF_ARRAY_LEN(off_end)}};
	struct sock_filter *s, v[8];
	size_t m;

	for (size_t i = 0; i < SKF_ARRAY_LEN(odd); i++) {
		const struct skf_seccomp_built b = {.v = v, .n = odd[i].n};

		memcpy(v, odd[i].v, odd[i].n * sizeof(*v));
		assert_int_equal(skf_seccomp_shrink(&b, &f->a, &s, &m), 0);
	}
}

/* --- profiles at random: the table and libseccomp together against libseccomp alone --- */
static uint32_t dice(uint64_t *seed, uint32_t n)
{
	*seed = *seed * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*seed >> 33) % n;
}

/* libseccomp loses memory when it refuses a rule that contradicts another one */
const char *__lsan_default_suppressions(void);
__attribute__((visibility("default"))) const char *__lsan_default_suppressions(void)
{
	return "leak:zmalloc\n";
}

static void random_rule(struct skf_buf *b, uint64_t *seed)
{
	/* reached by other calls on 32 bits, aliases, on some architectures only, unknown */
	static const char *const special[] = {"socket",
					      "connect",
					      "socketcall",
					      "ipc",
					      "semop",
					      "msgget",
					      "recv",
					      "accept4",
					      "clone",
					      "personality",
					      "getuid32",
					      "_newselect",
					      "arch_prctl",
					      "set_tls",
					      "fadvise64_64",
					      "arm_fadvise64_64",
					      "mmap2",
					      "no_such_call",
					      "semtimedop_time64"};
	static const char *const actions[] = {"ALLOW",        "ALLOW", "ALLOW", "ERRNO",
					      "KILL_PROCESS", "TRAP",  "LOG"};
	static const char *const ops[] = {"EQ", "NE", "LT", "GT", "MASKED_EQ"};
	uint32_t names = 1 + dice(seed, 12);

	skf_buf_fmt(b, "{\"action\":\"SCMP_ACT_%s\",\"names\":[",
		    actions[dice(seed, SKF_ARRAY_LEN(actions))]);
	for (uint32_t i = 0; i < names; i++) {
		char *name = dice(seed, 3) ? seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64,
									      (int)dice(seed, 440))
					   : NULL;

		skf_buf_fmt(b, "%s\"%s\"", i ? "," : "",
			    name ? name : special[dice(seed, SKF_ARRAY_LEN(special))]);
		free(name);
	}
	skf_buf_str(b, "]");
	if (!dice(seed, 3))
		skf_buf_fmt(
			b, ",\"args\":[{\"index\":%u,\"value\":%u,\"valueTwo\":%u,\"op\":\"SCMP_CMP_%s\"}]",
			dice(seed, 3), dice(seed, 50), dice(seed, 50), ops[dice(seed, SKF_ARRAY_LEN(ops))]);
	skf_buf_str(b, "}");
}

static void random_profile(struct skf_buf *b, uint64_t *seed, bool arm)
{
	static const char *const defaults[] = {"ERRNO", "ALLOW", "KILL"};
	static const char *const archs[][3] = {
		{"", "\"SCMP_ARCH_X86\"", "\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\""},
		{"", "\"SCMP_ARCH_ARM\"", "\"SCMP_ARCH_AARCH64\",\"SCMP_ARCH_ARM\""}};
	uint32_t rules = 1 + dice(seed, 12);

	skf_buf_fmt(b, "{\"defaultAction\":\"SCMP_ACT_%s\",\"architectures\":[%s],\"syscalls\":[",
		    defaults[dice(seed, SKF_ARRAY_LEN(defaults))], archs[arm][dice(seed, 3)]);
	for (uint32_t i = 0; i < rules; i++) {
		skf_buf_str(b, i ? "," : "");
		random_rule(b, seed);
	}
	skf_buf_str(b, "]}");
}

static void the_table_changes_nothing(void **state)
{
	struct fix *f = *state;
	uint64_t seed = 1;
	unsigned compared = 0, fixed = 0;

	for (int i = 0; i < 36; i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1 << 16);
		uint32_t native = i % 4 == 3 ? SCMP_ARCH_AARCH64 : SCMP_ARCH_X86_64;
		struct skf_seccomp_built whole, table;
		int r;

		random_profile(&b, &seed, i % 4 == 3);
		r = compile(f, skf_buf_cstr(&b), native);
		if (!f->p)
			fail_msg("%s: %s", skf_buf_cstr(&b), f->e.msg);
		/* rules that contradict each other are refused in the same way */
		if (skf_seccomp_build(f->p, native, true, NULL, &f->a, &whole, &f->e) < 0) {
			assert_int_equal(r, -1);
			skf_err_clear(&f->e);
		} else {
			assert_int_equal(r, 0);
			assert_int_equal(skf_seccomp_build(f->p, native, false, NULL, &f->a, &table, &f->e),
					 0);
			fixed += table.n_fixed > 0;
			compared++;
			compare_programs(whole.v, whole.n, f->prog.insn, f->prog.n);
		}
		f->p = NULL;
		skf_arena_done(&f->a);
		f->a = (struct skf_arena)SKF_ARENA(SKF_MAX_ARENA_DOC);
	}
	assert_true(compared > 20 && fixed > 20);
}

static void many_ranges_fall_back(void **state)
{
	struct fix *f = *state;
	struct skf_buf b = SKF_BUF(1 << 20);
	unsigned n = 0;

	/* every second number of three tables: more ranges than one search tree takes is no error */
	skf_buf_str(&b, "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"architectures\":[\"SCMP_ARCH_X86\",\"SCMP_"
			"ARCH_X32\"],\"syscalls\":[{\"action\":"
			"\"SCMP_ACT_ALLOW\",\"names\":[");
	for (int nr = 0; nr < 460; nr += 2) {
		char *name = seccomp_syscall_resolve_num_arch(SCMP_ARCH_X86_64, nr);

		if (name)
			skf_buf_fmt(&b, "%s\"%s\"", n++ ? "," : "", name);
		free(name);
	}
	skf_buf_str(&b, "]}]}");
	rebuilt(f, skf_buf_cstr(&b), SCMP_ARCH_X86_64, false);
	assert_int_equal(ask(&f->prog, AUDIT_ARCH_X86_64, 2, 0, 0), ALLOW);
	assert_int_equal(ask(&f->prog, AUDIT_ARCH_X86_64, 3, 0, 0), EPERM_);
	skf_buf_done(&b);
}

static void actions_and_errno(void **state)
{
	struct fix *f = *state;
	const uint32_t A = AUDIT_ARCH_X86_64;

	assert_int_equal(compile(f,
				 "{\"defaultAction\":\"SCMP_ACT_LOG\",\"flags\":[\"SECCOMP_FILTER_FLAG_"
				 "LOG\",\"SECCOMP_FILTER_FLAG_TSYNC\"],"
				 "\"syscalls\":["
				 "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_ERRNO\"},"
				 "{\"names\":[\"write\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":5},"
				 "{\"names\":[\"open\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":0},"
				 "{\"names\":[\"close\"],\"action\":\"SCMP_ACT_KILL\"},"
				 "{\"names\":[\"stat\"],\"action\":\"SCMP_ACT_KILL_PROCESS\"},"
				 "{\"names\":[\"fstat\"],\"action\":\"SCMP_ACT_TRAP\"},"
				 "{\"names\":[\"lstat\"],\"action\":\"SCMP_ACT_TRACE\",\"errnoRet\":7},"
				 "{\"names\":[\"poll\",\"no_such_call_of_any_kernel\"],\"action\":\"SCMP_"
				 "ACT_ALLOW\"}]}",
				 SCMP_ARCH_X86_64),
			 0);
	assert_int_equal(f->prog.flags, SECCOMP_FILTER_FLAG_LOG);
	assert_int_equal(ask(&f->prog, A, 0, 0, 0), EPERM_);
	assert_int_equal(ask(&f->prog, A, 1, 0, 0), SECCOMP_RET_ERRNO | 5);
	assert_int_equal(ask(&f->prog, A, 2, 0, 0), SECCOMP_RET_ERRNO);
	assert_int_equal(ask(&f->prog, A, 3, 0, 0), SECCOMP_RET_KILL_THREAD);
	assert_int_equal(ask(&f->prog, A, 4, 0, 0), SECCOMP_RET_KILL_PROCESS);
	assert_int_equal(ask(&f->prog, A, 5, 0, 0), SECCOMP_RET_TRAP);
	assert_int_equal(ask(&f->prog, A, 6, 0, 0), SECCOMP_RET_TRACE | 7);
	assert_int_equal(ask(&f->prog, A, 7, 0, 0), ALLOW);
	assert_int_equal(ask(&f->prog, A, 8, 0, 0), SECCOMP_RET_LOG);
	assert_int_equal(ask(&f->prog, A, 900, 0, 0),
			 SECCOMP_RET_LOG); /* no ENOSYS where the default lets through */
}

static void operators(void **state)
{
	struct fix *f = *state;
	static const struct {
		const char *op;
		uint64_t value, two, arg;
		bool match;
	} t[] = {
		{"NE", 5, 0, 4, true},
		{"NE", 5, 0, 5, false},
		{"LT", 5, 0, 4, true},
		{"LT", 5, 0, 5, false},
		{"LE", 5, 0, 5, true},
		{"LE", 5, 0, 6, false},
		{"EQ", 5, 0, 5, true},
		{"EQ", 5, 0, 0x100000005, false},
		{"GE", 5, 0, 5, true},
		{"GE", 5, 0, 4, false},
		{"GT", 5, 0, 6, true},
		{"GT", 5, 0, 5, false},
		{"GT", 0x100000000, 0, 0x100000001, true},
		{"MASKED_EQ", 0xf0, 0x30, 0x35, true},
		{"MASKED_EQ", 0xf0, 0x30, 0x45, false},
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++) {
		char json[512];

		snprintf(json, sizeof(json),
			 "{\"defaultAction\":\"SCMP_ACT_ALLOW\",\"syscalls\":[{\"names\":[\"kill\"],"
			 "\"action\":\"SCMP_ACT_ERRNO\",\"args\":"
			 "[{\"index\":1,\"value\":%llu,\"valueTwo\":%llu,\"op\":\"SCMP_CMP_%s\"}]}]}",
			 (unsigned long long)t[i].value, (unsigned long long)t[i].two, t[i].op);
		assert_int_equal(compile(f, json, SCMP_ARCH_X86_64), 0);
		assert_int_equal(ask(&f->prog, AUDIT_ARCH_X86_64, 62, 0, t[i].arg),
				 t[i].match ? EPERM_ : ALLOW);
	}
	/* two conditions on one argument are alternatives; on two arguments both must hold */
	assert_int_equal(compile(f,
				 "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"kill\"],"
				 "\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
				 "{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},{\"index\":0,\"value\":2,"
				 "\"op\":\"SCMP_CMP_EQ\"}]},"
				 "{\"names\":[\"dup2\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":["
				 "{\"index\":0,\"value\":1,\"op\":\"SCMP_CMP_EQ\"},{\"index\":1,\"value\":2,"
				 "\"op\":\"SCMP_CMP_EQ\"}]}]}",
				 SCMP_ARCH_X86_64),
			 0);
	assert_int_equal(ask(&f->prog, AUDIT_ARCH_X86_64, 62, 2, 0), ALLOW);
	assert_int_equal(ask(&f->prog, AUDIT_ARCH_X86_64, 62, 3, 0), EPERM_);
	assert_int_equal(ask(&f->prog, AUDIT_ARCH_X86_64, 33, 1, 2), ALLOW);
	assert_int_equal(ask(&f->prog, AUDIT_ARCH_X86_64, 33, 1, 3), EPERM_);
}

static void enosys_default_needs_no_stub(void **state)
{
	struct fix *f = *state;

	assert_int_equal(compile(f,
				 "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,\"syscalls\":"
				 "[{\"names\":[\"read\"],\"action\":"
				 "\"SCMP_ACT_ALLOW\"},{\"names\":[\"write\"],\"action\":\"SCMP_ACT_ERRNO\","
				 "\"errnoRet\":1}]}",
				 SCMP_ARCH_X86_64),
			 0);
	assert_int_equal(ask(&f->prog, AUDIT_ARCH_X86_64, 0, 0, 0), ALLOW);
	assert_int_equal(ask(&f->prog, AUDIT_ARCH_X86_64, 1, 0, 0), EPERM_);
	assert_int_equal(ask(&f->prog, AUDIT_ARCH_X86_64, 2, 0, 0), ENOSYS_);
}

/* Two rules for one call: the first one decides: that is what libseccomp does for every runtime. */
static void first_rule_wins(void **state)
{
	struct fix *f = *state;

	assert_int_equal(compile(f,
				 "{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"syscalls\":[{\"names\":[\"read\"],"
				 "\"action\":\"SCMP_ACT_ALLOW\"},"
				 "{\"names\":[\"read\"],\"action\":\"SCMP_ACT_KILL\"}]}",
				 SCMP_ARCH_X86_64),
			 0);
	assert_int_equal(ask(&f->prog, AUDIT_ARCH_X86_64, 0, 0, 0), ALLOW);
}

/* podman's and buildah's profile: rules with arguments for a call that 32-bit x86 makes through socketcall,
 * which is allowed as a whole. */
static void rules_with_arguments_beside_socketcall(void **state)
{
	struct fix *f = *state;
	struct seccomp_data d = {.nr = 41, .arch = AUDIT_ARCH_X86_64};

	assert_int_equal(
		compile(f,
			"{\"defaultAction\":\"SCMP_ACT_ERRNO\",\"defaultErrnoRet\":38,"
			"\"architectures\":[\"SCMP_ARCH_X86_64\",\"SCMP_ARCH_X86\",\"SCMP_ARCH_X32\"],"
			"\"syscalls\":["
			"{\"names\":[\"read\",\"socketcall\"],\"action\":\"SCMP_ACT_ALLOW\"},"
			"{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ERRNO\",\"errnoRet\":22,\"args\":["
			"{\"index\":0,\"value\":16,\"op\":\"SCMP_CMP_EQ\"},{\"index\":2,\"value\":9,\"op\":"
			"\"SCMP_CMP_EQ\"}]},"
			"{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":2,"
			"\"value\":9,\"op\":\"SCMP_CMP_NE\"}]},"
			"{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":0,"
			"\"value\":16,\"op\":\"SCMP_CMP_NE\"}]},"
			"{\"names\":[\"socket\"],\"action\":\"SCMP_ACT_ALLOW\",\"args\":[{\"index\":2,"
			"\"value\":9,\"op\":\"SCMP_CMP_NE\"}]}]}",
			SCMP_ARCH_X86_64),
		0);
	d.args[0] = 16;
	d.args[2] = 9;
	assert_int_equal(cbpf_run(f->prog.insn, f->prog.n, &d), SECCOMP_RET_ERRNO | 22);
	d.args[2] = 0;
	assert_int_equal(cbpf_run(f->prog.insn, f->prog.n, &d), ALLOW);
	d.args[0] = 2;
	d.args[2] = 9;
	assert_int_equal(cbpf_run(f->prog.insn, f->prog.n, &d), ALLOW);
	d.arch = AUDIT_ARCH_I386;
	d.nr = 102;
	assert_int_equal(cbpf_run(f->prog.insn, f->prog.n, &d), ALLOW);
}

static void keys_differ(void **state)
{
	struct fix *f = *state;
	uint8_t a[32], b[32], c[32], d[32];

	assert_int_equal(compile(f, "{\"defaultAction\":\"SCMP_ACT_ALLOW\"}", 0), 0);
	skf_seccomp_key(f->p, 0, a);
	skf_seccomp_key(f->p, seccomp_arch_native(), b);
	skf_seccomp_key(f->p, SCMP_ARCH_RISCV64, c);
	assert_int_equal(compile(f, "{\"defaultAction\":\"SCMP_ACT_LOG\"}", 0), 0);
	skf_seccomp_key(f->p, 0, d);
	assert_memory_equal(a, b, 32);
	assert_memory_not_equal(a, c, 32);
	assert_memory_not_equal(a, d, 32);
}

/* What the engine writes is what was compiled into the program. */
static void embedded_program_is_found(void **state)
{
	struct fix *f = *state;
	uint8_t key[32];

#if defined(__x86_64__)
	assert_int_equal(compile(f, default_text(f, SKF_DEFAULT_CAPS, SKF_SECCOMP_X86_64), 0), 0);
#elif defined(__aarch64__)
	assert_int_equal(compile(f, default_text(f, SKF_DEFAULT_CAPS, SKF_SECCOMP_AARCH64), 0), 0);
#else
	skip();
#endif
	skf_seccomp_key(f->p, 0, key);
	assert_memory_equal(skf_seccomp_embedded[0].key, key, 32);
	assert_int_equal(skf_seccomp_embedded[0].prog.n, f->prog.n);
	assert_int_equal(skf_seccomp_embedded[0].prog.flags, f->prog.flags);
	assert_memory_equal(skf_seccomp_embedded[0].prog.insn, f->prog.insn,
			    f->prog.n * sizeof(struct sock_filter));
}

static void sha256_vectors(void **state)
{
	static const struct {
		const char *text, *hex;
	} t[] = {
		{"", "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"},
		{"abc", "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"},
		{"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq",
		 "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1"},
	};
	uint8_t out[32], again[32];
	struct skf_sha256 c;
	char hex[65];

	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++) {
		skf_sha256_init(&c);
		skf_sha256_add(&c, t[i].text, strlen(t[i].text));
		skf_sha256_end(&c, out);
		for (int k = 0; k < 32; k++)
			snprintf(hex + 2 * k, 3, "%02x", out[k]);
		assert_string_equal(hex, t[i].hex);
	}
	/* pieces of any length give the digest of the whole */
	for (size_t piece = 1; piece < 150; piece++) {
		char data[1000];

		memset(data, 'x', sizeof(data));
		skf_sha256_init(&c);
		for (size_t at = 0; at < sizeof(data); at += piece)
			skf_sha256_add(&c, data + at, at + piece < sizeof(data) ? piece : sizeof(data) - at);
		skf_sha256_end(&c, piece == 1 ? out : again);
		if (piece > 1)
			assert_memory_equal(out, again, 32);
	}
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(default_profile_x86_64, setup, teardown),
		cmocka_unit_test_setup_teardown(default_profile_follows_capabilities, setup, teardown),
		cmocka_unit_test_setup_teardown(rules_with_arguments_beside_socketcall, setup, teardown),
		cmocka_unit_test_setup_teardown(default_profile_aarch64, setup, teardown),
		cmocka_unit_test_setup_teardown(shrinking_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(the_table_changes_nothing, setup, teardown),
		cmocka_unit_test_setup_teardown(shrinking_refuses_what_it_does_not_know, setup, teardown),
		cmocka_unit_test_setup_teardown(many_ranges_fall_back, setup, teardown),
		cmocka_unit_test_setup_teardown(actions_and_errno, setup, teardown),
		cmocka_unit_test_setup_teardown(operators, setup, teardown),
		cmocka_unit_test_setup_teardown(enosys_default_needs_no_stub, setup, teardown),
		cmocka_unit_test_setup_teardown(first_rule_wins, setup, teardown),
		cmocka_unit_test_setup_teardown(keys_differ, setup, teardown),
		cmocka_unit_test_setup_teardown(embedded_program_is_found, setup, teardown),
		cmocka_unit_test_setup_teardown(sendmsg_is_judged_without_arguments, setup, teardown),
		cmocka_unit_test(sha256_vectors),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
