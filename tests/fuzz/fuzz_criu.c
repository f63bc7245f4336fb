/* fuzz_criu.c -- criu's answers on any bytes. Views must stay inside of the message, and what was read must
 * not depend on what lies behind it. */
#include "runtime/criu_int.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n);

static void check_view(struct skf_str s, const char *p, size_t n)
{
	if (s.n && (s.p < p || s.n > n || s.p > p + n - s.n))
		abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t n)
{
	struct skf_criu_resp a, b;
	char *exact = malloc(n ? n : 1),
	     *longer = malloc(n + 16); /* exact: the sanitizer sees every byte beyond */

	if (exact && longer) {
		memcpy(exact, data, n);
		memcpy(longer, data, n);
		memset(longer + n, 0xff, 16);
		int ra = skf_criu_resp_decode(exact, n, &a), rb = skf_criu_resp_decode(longer, n, &b);

		if (ra != rb)
			abort();
		if (ra == 0) {
			check_view(a.script, exact, n);
			check_view(a.errmsg, exact, n);
			if (a.type != b.type || a.success != b.success || a.notify_pid != b.notify_pid ||
			    a.restore_pid != b.restore_pid || a.script.n != b.script.n ||
			    a.errmsg.n != b.errmsg.n)
				abort();
		}
	}
	free(exact);
	free(longer);
	return 0;
}
