/* runtime/seccomp_int.h -- from a profile to a loadable program: compile (libseccomp), shrink, cache, the
 * embedded default. */
#pragma once
#include "base/arena.h"
#include "base/err.h"
#include "oci/spec.h"
#include "sys/seccomp.h"
#include <linux/filter.h>

#define SKF_SECCOMP_KEY           32
#define SKF_SECCOMP_CACHE_DIR     ".seccomp-cache" /* below the state root; refused as an id */
#define SKF_SECCOMP_CACHE_ENTRIES 64               /* DESIGN 7.3 */

/* --- seccomp_compile.c --- */
/* Compiles p for the machine `native` (SCMP_ARCH_*, 0: the running one) and p's further architectures.
 * System calls that libseccomp does not know are left out (named at debug level), as runc does; those newer
 * than everything the profile names answer ENOSYS where the default action refuses, so that programs fall
 * back. Memory of the arena. Fails: INVALID, UNSUPPORTED, LIMIT (more than the kernel's 4,096 instructions).
 */
int skf_seccomp_compile(const struct skf_spec_seccomp *p, uint32_t native, const struct skf_log *log,
			struct skf_arena *a, struct skf_bpf_prog *ret, struct skf_err *e);
/* Whether libseccomp knows every system call that the profile names. INVALID names the first that it does
 * not. */
int skf_seccomp_check_names(const struct skf_spec_seccomp *p, struct skf_err *e);
/* What skf_seccomp_compile starts from. */
struct skf_seccomp_fixed { /* the answer to one number of one architecture */
	uint32_t arch, nr, action;
};
struct skf_seccomp_built {
	struct sock_filter *v; /* libseccomp's program with the ENOSYS stub in front */
	size_t n;
	struct skf_seccomp_fixed *fixed; /* goes before it: sorted by arch and nr, no pair twice */
	size_t n_fixed;
	bool notify;
};
/* Its first half. whole: without a table, so that ret->v alone is the answer. Memory of the arena. */
int skf_seccomp_build(const struct skf_spec_seccomp *p, uint32_t native, bool whole,
		      const struct skf_log *log, struct skf_arena *a, struct skf_seccomp_built *ret,
		      struct skf_err *e);
/* SHA-256 over the canonical text of the profile (which holds architectures and flags), the machine,
 * libseccomp's version and the format. */
void skf_seccomp_key(const struct skf_spec_seccomp *p, uint32_t native, uint8_t key[SKF_SECCOMP_KEY]);

/* --- seccomp_calls.c --- */
#define SKF_SECCOMP_ARCHS 8 /* of one filter */

struct skf_seccomp_call { /* one name of one rule */
	int nr;           /* libseccomp's, of this machine; __NR_SCMP_ERROR: unknown */
	unsigned rule, name;
	uint32_t action;
	bool is_default, fixed; /* nothing to add to the filter; answered by the table */
	const int *at;          /* number on each architecture of the filter; negative: none of its own */
};
struct skf_seccomp_calls {
	uint32_t arch[SKF_SECCOMP_ARCHS],
		last[SKF_SECCOMP_ARCHS]; /* SCMP_ARCH_*; highest number that is named, 0: none */
	unsigned n_arch;
	struct skf_seccomp_call *v; /* by nr, highest first, then by rule */
	size_t n;
};
/* The filter's value of an action of the profile; an errno that is missing is EPERM. */
uint32_t skf_seccomp_action(uint32_t action, bool has_errno, uint32_t errno_ret);
/* All system calls that p names. -ENOMEM. */
int skf_seccomp_calls(const struct skf_spec_seccomp *p, uint32_t default_action, const uint32_t *arch,
		      unsigned n_arch, struct skf_arena *a, struct skf_seccomp_calls *ret);
/* Marks those that the table answers, and makes the table. -ENOMEM. */
int skf_seccomp_fix(const struct skf_spec_seccomp *p, struct skf_seccomp_calls *c, struct skf_arena *a,
		    struct skf_seccomp_fixed **ret, size_t *ret_n);

/* --- seccomp.c --- */
/* The program of run.oci.seccomp_bpf_data. INVALID, LIMIT. Memory of the arena. */
int skf_seccomp_raw(const char *base64, struct skf_arena *a, struct skf_bpf_prog *ret, struct skf_err *e);
/* Whether a process of this machine's own architecture may make system call nr under the program, whatever
 * the arguments: allowed, or allowed and logged. false too when the program is not understood. Pure. */
bool skf_seccomp_lets(const struct skf_bpf_prog *p, int nr);

/* --- seccomp_shrink.c --- */
/* An equivalent, smaller program (table and program in one): the answer for a system call number that does
 * not depend on arguments becomes a search in a table of ranges, the rest is kept. The kernel walks a filter
 * for every number when it is loaded: libseccomp's list for docker's profile takes 1.0 ms to load, the
 * ranges a tenth. 1 and *ret (arena memory), 0 when the program has a shape that is not understood (use the
 * original), -ENOMEM. Pure.
 */
int skf_seccomp_shrink(const struct skf_seccomp_built *b, struct skf_arena *a, struct sock_filter **ret,
		       size_t *ret_n);

/* --- seccomp_cache.c --- */
/* Directory of the cache below rootfd, made 0700; -EPERM when it is not ours alone. */
int skf_seccomp_cache_open(int rootfd);
/* 1 and *ret (arena memory), 0 not there; an entry that is damaged or foreign is removed and counts as not
 * there. -errno. */
int skf_seccomp_cache_get(int dirfd, const uint8_t key[SKF_SECCOMP_KEY], struct skf_arena *a,
			  struct skf_bpf_prog *ret);
/* Writes beside and renames: two writers of one key are both right. Removes the oldest entries above the
 * maximum. */
int skf_seccomp_cache_put(int dirfd, const uint8_t key[SKF_SECCOMP_KEY], const struct skf_bpf_prog *p);

/* --- made at build time by default_seccomp/gen.c --- */
struct skf_seccomp_embedded {
	uint8_t key[SKF_SECCOMP_KEY];
	struct skf_bpf_prog prog;
};
extern const struct skf_seccomp_embedded skf_seccomp_embedded[]; /* ends with prog.n == 0 */
