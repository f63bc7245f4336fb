/* A seccomp profile in docker's form. What it resolves to is a runtime-spec object that resolves to itself.
 */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/limits.h"
#include "oci/seccomp_profile.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf b = SKF_BUF(SKF_MAX_SECCOMP_BYTES), again = SKF_BUF(SKF_MAX_SECCOMP_BYTES);
	struct skf_err e = SKF_ERR_INIT;

	if (skf_seccomp_profile("p", (const char *)data, size, 0, &b, &e) < 0) {
		if (!*e.msg)
			abort();
		return 0;
	}
	if (skf_seccomp_profile("p", b.p, b.len, 0, &again, &e) < 0)
		abort();
	return 0;
}
