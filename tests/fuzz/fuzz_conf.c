/* Text of skiff.conf. What was understood can be written and read again. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "engine/conf.h"
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void look(void *arg, const char *key, const char *value, const char *origin, const char *about)
{
	size_t *n = arg;

	(void)value, (void)about;
	if (!key || !*key || (origin && !*origin))
		abort();
	++*n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	SKF_AUTO(skf_conf_done) struct skf_conf c;
	struct skf_err e = SKF_ERR_INIT;
	size_t n = 0;

	if (skf_conf_defaults(&c, &e) < 0)
		return 0;
	if (skf_conf_parse(&c, "f", (const char *)data, size, &e) < 0) {
		if (!*e.msg)
			abort();
		return 0;
	}
	skf_conf_each(&c, look, &n);
	if (n == 0 || c.pids_limit < -1 || c.stop_timeout < -1)
		abort();
	return 0;
}
