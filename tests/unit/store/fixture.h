/* tests/unit/store/fixture.h -- a store in a temporary directory, a tar writer that can lie, and unpacking
 * in one call. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "store/store.h"
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <sys/stat.h>
/* cmocka.h needs the four above */
#include <cmocka.h>

struct fix {
	char base[64]; /* temporary directory; the store is base/store */
	int base_fd;
	struct skf_store *s;
	struct skf_err e;
};
int fix_setup(void **state);
int fix_teardown(void **state);
/* Enters a user namespace with uid 0 when the test is not root; true when device nodes and trusted.* work.
 * */
bool fix_privileged(void);

#define OK(call, f)       fix_ok((call), (f), __FILE__, __LINE__)
#define FAILS(call, k, f) fix_fails((call), (k), (f), __FILE__, __LINE__)
void fix_ok(int r, struct fix *f, const char *file, int line);
void fix_fails(int r, enum skf_kind k, struct fix *f, const char *file, int line);
struct skf_digest fix_digest(const char *seed); /* some digest of that seed, no relation to sha256 */
