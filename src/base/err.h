/* base/err.h -- errors as values: a kind, an errno and one sentence.
 *
 * Plain data on purpose: no malloc, usable after clone3(), can be sent over a socket.
 * Rules: (a) a fallible function returns int (< 0 = failed) and takes struct skf_err *e last, never NULL;
 * (b) leaf wrappers in base and sys return -errno and take no e; (c) ret_ outputs are untouched on failure;
 * (d) SKF_EBUG is for broken invariants only; (e) a message names the object in single quotes;
 * (f) skf_err_exit_code() is the one table from kind to exit status. */
#pragma once
#include "base/fwd.h"

enum skf_kind {
	SKF_OK = 0,
	SKF_EINVALID,     /* bad input: usage, configuration, reference, name */
	SKF_ENOTFOUND,    /* the named object does not exist */
	SKF_ECONFLICT,    /* name or id in use, object in the wrong state */
	SKF_EDENIED,      /* permission, authentication, policy */
	SKF_EUNSUPPORTED, /* defined by a spec or flag, not available here */
	SKF_ELIMIT,       /* a limit of limits.h, or a full disk */
	SKF_ETIMEOUT,
	SKF_EUNAVAILABLE, /* a peer cannot be reached or refuses to work now */
	SKF_ECORRUPT,     /* bytes differ from their digest, size or format */
	SKF_ENOMEM,
	SKF_ESYSTEM, /* any other errno */
	SKF_EBUG,
	SKF_ECMD_NOTFOUND, /* the workload's executable does not exist: 127 */
	SKF_ECMD_NOTEXEC,  /* ... or cannot be executed: 126 */
	SKF_KIND_MAX
};

struct skf_err {
	uint32_t kind; /* enum skf_kind */
	int32_t sys;   /* errno value (positive) or 0 */
	char msg[504]; /* always NUL-terminated; cut with "..." when too long */
};
#define SKF_ERR_INIT                                                                                        \
	{                                                                                                   \
		0                                                                                           \
	}

/* Sets *e and returns -1. */
int skf_fail(struct skf_err *e, enum skf_kind k, const char *fmt, ...) SKF_PRINTF(3, 4);
/* r is -errno. Appends ": <strerror>"; the kind comes from a table (ENOENT -> NOTFOUND, ENOSPC -> LIMIT
 * ...). */
int skf_fail_sys(struct skf_err *e, int r, const char *fmt, ...) SKF_PRINTF(3, 4);
/* skf_fail_sys with what errno says. */
int skf_fail_errno(struct skf_err *e, const char *fmt, ...) SKF_PRINTF(2, 3);
/* SKF_ENOMEM, "out of memory"; returns -1. What the memory was for is of no use to anybody. */
int skf_nomem(struct skf_err *e);
/* Prepends "<fmt>: " to the message that *e has; returns -1. SKF_EBUG when *e holds no error. */
int skf_ctx(struct skf_err *e, const char *fmt, ...) SKF_PRINTF(2, 3);
/* They return -1 always. */
#define skf_fail(...)       skf_negative(skf_fail(__VA_ARGS__))
#define skf_fail_sys(...)   skf_negative(skf_fail_sys(__VA_ARGS__))
#define skf_fail_errno(...) skf_negative(skf_fail_errno(__VA_ARGS__))
#define skf_ctx(...)        skf_negative(skf_ctx(__VA_ARGS__))
#define skf_nomem(e)        skf_negative(skf_nomem(e))
void skf_err_clear(struct skf_err *e);

/* Kind of an errno (positive). */
enum skf_kind skf_kind_of_errno(int err);
/* "not-found" etc.: stable words for JSON logs and wire records. Never NULL. */
const char *skf_kind_name(enum skf_kind k);
/* Exit status of the engine's command line for this kind: 127, 126, else 125 (docker's convention for errors
 * of the engine itself) -- callers that follow runc's convention use 1 instead of 125. */
int skf_err_exit_code(const struct skf_err *e, int other);
