/* A seccomp profile to its program. What compiles is a program that the kernel would take, and the one that
 * was made smaller answers as libseccomp's does, for every system call and for arguments near those of the
 * profile. Profiles of more than 64 KB are left out: the search is for wrong answers, and libseccomp's time
 * grows with them. */
#include "../unit/runtime/cbpf.h"
#include "base/arena.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "oci/spec.h"
#include "runtime/seccomp_int.h"
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>

#define MAX_PROFILE 65536

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_shape(const struct skf_bpf_prog *p)
{
	if (p->n == 0 || p->n > 4096)
		abort();
	for (unsigned i = 0; i < p->n; i++) {
		const struct sock_filter *f = &p->insn[i];
		uint64_t far = BPF_CLASS(f->code) != BPF_JMP ? 0
			       : BPF_OP(f->code) == BPF_JA   ? f->k
			       : f->jt > f->jf               ? f->jt
							     : f->jf;

		if (BPF_CLASS(f->code) != BPF_RET && i + 1 + far >= p->n)
			abort();
	}
}

/* Architectures that libseccomp numbers; AUDIT_ARCH_X86_64, I386, AARCH64, and one that nobody asked for. */
static const uint32_t archs[] = {0xc000003e, 0x40000003, 0xc00000b7, 0x12345678};

static void same_answers(const struct sock_filter *full, size_t n, const struct skf_bpf_prog *p,
			 const uint8_t *data, size_t size)
{
	struct seccomp_data d = {0};

	for (size_t i = 0; i < 6 * 8 && size > 0; i++)
		((uint8_t *)d.args)[i] = i % 8 < 2 ? data[i * 131 % size] & 0x0f : 0;
	for (size_t a = 0; a < SKF_ARRAY_LEN(archs); a++) {
		d.arch = archs[a];
		for (int nr = -1; nr < 1024; nr += nr < 480 ? 1 : 37) {
			d.nr = nr;
			if (cbpf_walk(full, n, &d, 1) != cbpf_run(p->insn, p->n, &d))
				abort();
		}
		d.nr = 0x40000000 | 1; /* x32 */
		if (cbpf_walk(full, n, &d, 1) != cbpf_run(p->insn, p->n, &d))
			abort();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_spec_opts o = {.name = "profile"};
	struct skf_err e = SKF_ERR_INIT;
	struct skf_spec_seccomp *p;
	struct skf_bpf_prog prog;
	struct skf_seccomp_built whole;

	if (size > MAX_PROFILE || skf_spec_parse_seccomp((const char *)data, size, &o, &a, &p, &e) < 0)
		return 0;
	if (skf_seccomp_compile(p, 0, NULL, &a, &prog, &e) < 0) {
		if (e.kind == SKF_OK || e.kind == SKF_EBUG || !e.msg[0])
			abort();
		return 0;
	}
	check_shape(&prog);
	if (skf_seccomp_build(p, 0, true, NULL, &a, &whole, &e) == 0)
		same_answers(whole.v, whole.n, &prog, data, size);
	return 0;
}
