/* Unit tests of oci/default_seccomp.c: the text is a valid profile, and rows follow capabilities and
 * architecture. What the compiled program answers is tests/unit/runtime/test_seccomp_compile.c. */
#include "oci/default_seccomp.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/limits.h"
#include "oci/spec.h"
#include <setjmp.h>
#include <stdarg.h>
#include <cmocka.h>
#include <linux/seccomp.h>
#include <string.h>

static struct skf_spec_seccomp *profile(struct skf_arena *a, uint64_t caps, enum skf_seccomp_arch arch)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1 << 20);
	const struct skf_spec_opts o = {.name = "profile"};
	struct skf_jw w = SKF_JW(&b);
	struct skf_spec_seccomp *p = NULL;
	struct skf_err e = SKF_ERR_INIT;

	skf_jw_obj(&w);
	skf_default_seccomp_write_arch(&w, caps, arch);
	skf_jw_end(&w);
	assert_int_equal(b.err, 0);
	assert_int_equal(strncmp(b.p, "{\"seccomp\":{", 12), 0);
	if (skf_spec_parse_seccomp(b.p + 11, b.len - 12, &o, a, &p, &e) < 0)
		fail_msg("%s", e.msg);
	return p;
}

/* Number of rules that name the call. */
static unsigned rules_of(const struct skf_spec_seccomp *p, const char *name)
{
	const struct skf_spec_seccomp_rule *r = p->syscalls.v;
	unsigned n = 0;

	for (size_t i = 0; i < p->syscalls.n; i++)
		for (size_t k = 0; k < r[i].names.n; k++)
			n += !strcmp(r[i].names.v[k], name);
	return n;
}

static void is_a_profile(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_spec_seccomp *p = profile(&a, SKF_DEFAULT_CAPS, SKF_SECCOMP_X86_64);

	assert_int_equal(p->default_action, SECCOMP_RET_ERRNO);
	assert_int_equal(p->default_errno, 1);
	assert_int_equal(p->architectures.n, 3);
	assert_string_equal(p->architectures.v[0], "SCMP_ARCH_X86_64");
	assert_int_equal(rules_of(p, "read"), 1);
	assert_int_equal(rules_of(p, "socket"), 3);
	assert_int_equal(rules_of(p, "clone"), 1);
	assert_int_equal(rules_of(p, "chroot"), 1); /* CAP_SYS_CHROOT is a default capability */
	assert_int_equal(rules_of(p, "mount"), 0);
	assert_int_equal(rules_of(p, "arch_prctl"), 1);
	assert_int_equal(rules_of(p, "cacheflush"), 0);
}

static void follows_capabilities_and_architecture(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_spec_seccomp *none = profile(&a, 0, SKF_SECCOMP_X86_64);
	const struct skf_spec_seccomp *all = profile(&a, ~0ull, SKF_SECCOMP_AARCH64);

	assert_int_equal(rules_of(none, "chroot"), 0);
	assert_int_equal(rules_of(all, "mount"), 1);
	assert_int_equal(rules_of(all, "bpf"), 2); /* CAP_SYS_ADMIN and CAP_BPF */
	assert_int_equal(rules_of(all, "reboot"), 1);
	assert_int_equal(rules_of(all, "cacheflush"), 1);
	assert_int_equal(rules_of(all, "arch_prctl"), 0);
	assert_string_equal(all->architectures.v[0], "SCMP_ARCH_AARCH64");
}

/* Capabilities that no row is about do not change the text: such containers share the embedded program. */
static void other_capabilities_change_nothing(void **state)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const uint64_t net_admin = 1ull << 12;

	assert_string_equal(profile(&a, SKF_DEFAULT_CAPS, SKF_SECCOMP_X86_64)->raw,
			    profile(&a, SKF_DEFAULT_CAPS | net_admin, SKF_SECCOMP_X86_64)->raw);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(is_a_profile),
		cmocka_unit_test(follows_capabilities_and_architecture),
		cmocka_unit_test(other_capabilities_change_nothing),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
