/* WWW-Authenticate and the other headers of an answer, and where a Location leads. What parses holds no
 * control byte, because a realm becomes part of a URL; what is followed is http(s), and never http after
 * https. */
#include "base/err.h"
#include "registry/registry_int.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_value(const char *s, size_t size)
{
	if (!memchr(s, 0, size))
		abort();
	for (; *s; s++)
		if ((unsigned char)*s < 0x20 || *s == 0x7f)
			abort();
}

static void check_redirect(const char *from, const char *location)
{
	char out[4096];
	struct skf_err e = SKF_ERR_INIT;

	if (skf_http_redirect(from, location, out, sizeof(out), &e) < 0)
		return;
	if (strncmp(out, "https://", 8) != 0 &&
	    (strncmp(out, "http://", 7) != 0 || strncmp(from, "https:", 6) == 0))
		abort();
	skf_http_same_origin(out, from);
	skf_http_url_forbidden(out, false);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct skf_challenge c = {0};
	struct skf_err e = SKF_ERR_INIT;
	struct skf_http_resp r = {.retry_after_ms = -1};
	const char *p = (const char *)data, *end = p + size;

	if (skf_challenge_parse(p, size, &c, &e) == 0) {
		check_value(c.realm, sizeof(c.realm));
		check_value(c.service, sizeof(c.service));
		check_value(c.scope, sizeof(c.scope));
		check_value(c.error, sizeof(c.error));
	}
	while (p < end) { /* lines, as curl brings them: each without a terminator */
		const char *nl = memchr(p, '\n', (size_t)(end - p));
		size_t n = nl ? (size_t)(nl - p) + 1 : (size_t)(end - p);
		char *line = malloc(n);

		if (!line)
			abort();
		memcpy(line, p, n);
		skf_http_on_header(line, 1, n, &r);
		free(line);
		p += n;
	}
	if (r.retry_after_ms < -1 || r.retry_after_ms > SKF_MAX_RETRY_AFTER_MS)
		abort();
	if (r.location[0]) {
		check_redirect("https://registry.example/v2/a/blobs/x", r.location);
		check_redirect("http://registry.example/v2/a/blobs/x", r.location);
	}
	return 0;
}
