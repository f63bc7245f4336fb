/* oci/digest.c -- the only place that decides whether a string is a digest. What passes is safe as a file
 * name and in a URL. Pure. */
#include "oci/digest.h"
#include "base/buf.h"
#include "base/err.h"
#include <string.h>

static const struct {
	const char *name, *prefix;
	size_t hex;
} algorithms[] = {
	{"sha256", "sha256:", 64},
	{"sha512", "sha512:", 128},
};

int skf_digest_parse(const char *s, struct skf_digest *ret, struct skf_err *e)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(algorithms); i++) {
		size_t n = strlen(algorithms[i].prefix);
		if (!skf_startswith(s, algorithms[i].prefix))
			continue;
		if (!skf_is_hex(s + n, algorithms[i].hex))
			return skf_fail(
				e, SKF_EINVALID,
				"invalid digest '%.160s': expected %zu lower-case hex digits after '%s'", s,
				algorithms[i].hex, algorithms[i].prefix);
		struct skf_digest d = {0};
		memcpy(d.s, s, n + algorithms[i].hex);
		*ret = d;
		return 0;
	}
	return skf_fail(e, SKF_EINVALID,
			"invalid digest '%.160s': expected 'sha256:' or 'sha512:' and lower-case hex digits",
			s);
}

bool skf_digest_of_file(const char *name, struct skf_digest *ret)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(algorithms); i++) {
		struct skf_digest d = {0};

		if (!skf_is_hex(name, algorithms[i].hex))
			continue;
		memcpy(d.s, algorithms[i].prefix, strlen(algorithms[i].prefix));
		memcpy(d.s + strlen(algorithms[i].prefix), name, algorithms[i].hex);
		*ret = d;
		return true;
	}
	return false;
}

const char *skf_digest_alg(const struct skf_digest *d)
{
	return algorithms[skf_digest_is_sha256(d) ? 0 : 1].name;
}

const char *skf_digest_skip_alg(const char *word)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(algorithms); i++)
		if (skf_startswith(word, algorithms[i].prefix))
			return word + strlen(algorithms[i].prefix);
	return word;
}

const char *skf_digest_hex(const struct skf_digest *d)
{
	const char *colon = strchr(d->s, ':');

	return colon ? colon + 1 : d->s;
}

bool skf_digest_is_sha256(const struct skf_digest *d)
{
	return skf_startswith(d->s, algorithms[0].prefix);
}

bool skf_digest_eq(const struct skf_digest *a, const struct skf_digest *b)
{
	return strcmp(a->s, b->s) == 0;
}
