/* fuzz_gvariant.c -- values of org.systemd.property annotations: any text is refused or becomes a property
 * whose size the text bounds. */
#include "base/buf.h"
#include "base/err.h"
#include "runtime/cgroups/cgroups_int.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n);

int LLVMFuzzerTestOneInput(const uint8_t *p, size_t n)
{
	struct skf_buf out = SKF_BUF(1 << 20);
	char *text = malloc(n + 1);

	if (!text)
		return 0;
	memcpy(text, p, n);
	text[n] = '\0';
	if (skf_gvariant_prop(n & 1 ? "TimeoutStopSec" : "X", text, &out) == 0 && out.len > 128 + n * 16)
		abort();
	free(text);
	skf_buf_done(&out);
	return 0;
}
