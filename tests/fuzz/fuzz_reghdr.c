/* Headers of a registry that only its client reads: Link, Range of an upload, Content-Range, Warning; and
 * the lines of registries.d. What is found is bounded, ends in NUL, and a next page is a part of the header.
 */
#include "base/err.h"
#include "registry/registry_int.h"
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	char *p = malloc(size ? size : 1), out[64];
	struct skf_hostconf *c = malloc(sizeof(*c));
	struct skf_err e = SKF_ERR_INIT;
	uint64_t n;

	if (!p || !c)
		abort();
	memcpy(p, data, size);
	if (skf_http_link_next(p, size, out, sizeof(out)) == 1 &&
	    (!out[0] || strlen(out) >= sizeof(out) || strlen(out) > size))
		abort();
	if (skf_http_parse_warning(p, size, out, sizeof(out)))
		for (const char *s = out; *s; s++)
			if (*s < 0x20 || *s > 0x7e)
				abort();
	(void)skf_http_parse_uploaded(p, size, &n);
	(void)skf_http_parse_content_range(p, size, &n);
	if (skf_hostconf_parse(p, size, c, &e) == 0) {
		for (size_t i = 0; i < c->n; i++)
			if (!c->mirror[i].host[0] || (!c->mirror[i].pull && !c->mirror[i].resolve))
				abort();
	} else if (!e.msg[0]) {
		abort();
	}
	free(p);
	free(c);
	return 0;
}
