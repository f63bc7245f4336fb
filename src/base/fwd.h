/* base/fwd.h -- what every header of skiff starts from: integer types, forward declarations of the plain
 * types of base, and the attributes we use. It includes system headers only. */
#pragma once
#include <errno.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define SKF_PRINTF(f, a) __attribute__((format(printf, f, a)))
#define SKF_MUST_CHECK   __attribute__((warn_unused_result))
#define SKF_NORETURN     __attribute__((noreturn))
#define SKF_UNUSED       __attribute__((unused))
#define SKF_ARRAY_LEN(a) (sizeof(a) / sizeof((a)[0]))

struct skf_err;
struct skf_log;
struct skf_buf;
struct skf_arena;
struct skf_jw;
struct skf_rec;
struct skf_recr;

/* A value that is always negative: told to the compiler, so that a caller that became one with what failed
 * does not ask again. */
static inline __attribute__((always_inline)) int skf_negative(int r)
{
	if (r >= 0)
		__builtin_unreachable();
	return r;
}
/* -errno; never 0 after a call that failed. Functions and no macros, because the place of errno, the load
 * and the comparison are 10 to 20 bytes in each of 300 callers. */
int skf_errno(void);
#define skf_errno() skf_negative(skf_errno())
/* What a call gave that says -1 and errno when it fails: r, or -errno. */
int skf_sys(long r);

/* A view of bytes: never owned, never assumed to end in NUL. */
struct skf_str {
	const char *p;
	size_t n;
};
#define SKF_S(lit) ((struct skf_str){(lit), sizeof(lit) - 1})

/* A list of NUL-terminated strings, normally inside an arena. v is NULL when n is 0; when made by
 * skf_arena_* or the JSON decoder v[n] is NULL, so it can be used as argv or envp. */
struct skf_strv {
	char **v;
	size_t n;
};
