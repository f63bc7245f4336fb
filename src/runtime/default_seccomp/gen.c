/* gen.c -- run at build time: compiles the default seccomp profile for docker's default capabilities and
 * writes the programs as C, so that a container with the default profile needs neither libseccomp nor the
 * cache at run time. The key is the one the runtime computes from the profile that it finds in config.json:
 * another profile, another libseccomp or another format does not match and is compiled.
 *
 *   gen            the C file on stdout
 *   gen --json     the default profile (member linux.seccomp) on stdout, to read or to edit */
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/json.h"
#include "base/limits.h"
#include "oci/default_seccomp.h"
#include "oci/spec.h"
#include "runtime/seccomp_int.h"
#include <seccomp.h>
#include <stdio.h>
#include <string.h>

static const struct {
	enum skf_seccomp_arch arch;
	uint32_t token;
	const char *macro, *name;
} targets[] = {
	{SKF_SECCOMP_X86_64, SCMP_ARCH_X86_64, "defined(__x86_64__) && !defined(__ILP32__)", "x86_64"},
	{SKF_SECCOMP_AARCH64, SCMP_ARCH_AARCH64, "defined(__aarch64__)", "aarch64"},
};

/* The object that the engine puts into config.json, without the key in front of it. */
static int profile_text(struct skf_buf *b, enum skf_seccomp_arch arch, unsigned indent, struct skf_str *ret)
{
	struct skf_jw w = SKF_JW(b);
	const char *begin;

	w.indent = indent;
	skf_jw_obj(&w);
	skf_default_seccomp_write_arch(&w, SKF_DEFAULT_CAPS, arch);
	skf_jw_end(&w);
	begin = b->err ? NULL : strchr(b->p + 1, '{');
	if (!begin)
		return -1;
	*ret = (struct skf_str){begin, (size_t)(strrchr(b->p, '}') - begin)};
	return 0;
}

static int emit(unsigned t, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SECCOMP_BYTES);
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_spec_opts o = {.name = "default profile"};
	uint8_t key[SKF_SECCOMP_KEY];
	struct skf_spec_seccomp *p;
	struct skf_bpf_prog prog;
	struct skf_str text;

	if (profile_text(&b, targets[t].arch, 0, &text) < 0)
		return skf_fail(e, SKF_EBUG, "default profile for %s", targets[t].name);
	if (skf_spec_parse_seccomp(text.p, text.n, &o, &a, &p, e) < 0 ||
	    skf_seccomp_compile(p, targets[t].token, NULL, &a, &prog, e) < 0)
		return skf_ctx(e, "%s", targets[t].name);
	skf_seccomp_key(p, targets[t].token, key);
	printf("#if %s\nstatic const struct sock_filter %s[%u] = {\n", targets[t].macro, targets[t].name,
	       prog.n);
	for (unsigned i = 0; i < prog.n; i++)
		printf("\t{ 0x%02x, %u, %u, 0x%08x },\n", prog.insn[i].code, prog.insn[i].jt,
		       prog.insn[i].jf, prog.insn[i].k);
	printf("};\nconst struct skf_seccomp_embedded skf_seccomp_embedded[] = {\n\t{ {");
	for (unsigned i = 0; i < sizeof(key); i++)
		printf(" 0x%02x,", key[i]);
	printf(" },\n\t  { .insn = %s, .n = %u, .flags = %u } },\n\t{ .prog = { .n = 0 } },\n};\n#define "
	       "HAVE_PROGRAM\n#endif\n",
	       targets[t].name, prog.n, prog.flags);
	return 0;
}

static int print_json(void)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SECCOMP_BYTES);
	struct skf_str text;

	if (profile_text(&b, SKF_SECCOMP_X86_64, 2, &text) < 0)
		return 1;
	printf("%.*s\n", (int)text.n, text.p);
	return fflush(stdout) ? 1 : 0;
}

int main(int argc, char **argv)
{
	struct skf_err e = SKF_ERR_INIT;

	if (argc == 2 && !strcmp(argv[1], "--json"))
		return print_json();
	puts("/* Made by gen.c. */\n#include \"runtime/seccomp_int.h\"\n");
	for (unsigned t = 0; t < SKF_ARRAY_LEN(targets); t++)
		if (emit(t, &e) < 0) {
			fprintf(stderr, "%s: %s\n", argv[0], e.msg);
			return 1;
		}
	puts("#ifndef HAVE_PROGRAM\nconst struct skf_seccomp_embedded skf_seccomp_embedded[] = { { .prog = "
	     "{ .n = 0 } } };\n#endif");
	return fflush(stdout) ? 1 : 0;
}
