/* oci/ref.c -- image references: the grammar of distribution/reference and docker's normalisation. Pure;
 * nothing blocks.
 *
 *     reference = [ registry "/" ] repository [ ":" tag ] [ "@" digest ]
 *
 * Invariants of a parsed reference (its parts become directory names and URLs):
 * 1. registry is host[:port] of letters, digits, '.', '-', or "[...]" with hex digits and ':'; no empty
 * label, so never "." or "..".
 * 2. Every part of repo begins and ends with a lower-case letter or digit; never "_", "." or "..".
 * 3. tag begins with a letter, a digit or '_' and has no '/'. digest passed skf_digest_parse.
 * 4. The full form has at most SKF_MAX_REF_BYTES. */
#include "oci/ref.h"
#include "base/buf.h"
#include "base/err.h"
#include <stdio.h>
#include <string.h>

#define DEFAULT_REGISTRY "docker.io"
#define OLD_REGISTRY     "index.docker.io"
#define OFFICIAL         "library/"
#define DEFAULT_TAG      "latest"

static bool is_lower(char c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9');
}

static bool is_upper(char c)
{
	return c >= 'A' && c <= 'Z';
}

static bool is_alnum(char c)
{
	return is_lower(c) || is_upper(c);
}

static bool has_upper(const char *s, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		if (is_upper(s[i]))
			return true;
	}
	return false;
}

static int bad(struct skf_err *e, const char *whole, const char *why)
{
	return skf_fail(e, SKF_EINVALID, "invalid reference format: %s: '%.200s'", why, whole);
}

/* --- registry --- */
static bool label_ok(const char *s, size_t n)
{
	if (n == 0 || !is_alnum(s[0]) || !is_alnum(s[n - 1]))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!is_alnum(s[i]) && s[i] != '-')
			return false;
	}
	return true;
}

static bool host_ok(const char *s, size_t n)
{
	size_t start = 0;

	for (size_t i = 0; i <= n; i++) {
		if (i < n && s[i] != '.')
			continue;
		if (!label_ok(s + start, i - start))
			return false;
		start = i + 1;
	}
	return true;
}

static bool port_ok(const char *s, size_t n)
{
	unsigned port = 0;

	if (n == 0 || n > 5)
		return false;
	for (size_t i = 0; i < n; i++) {
		if (s[i] < '0' || s[i] > '9')
			return false;
		port = port * 10 + (unsigned)(s[i] - '0');
	}
	return port > 0 && port <= 65535;
}

static bool registry_ok(const char *s, size_t n)
{
	size_t host = 0;

	if (n && s[0] == '[') {
		host = 1 + strspn(s + 1, "0123456789abcdefABCDEF:");
		if (host == 1 || host >= n || s[host] != ']')
			return false;
		host++;
	} else {
		while (host < n && s[host] != ':')
			host++;
		if (!host_ok(s, host))
			return false;
	}
	return host == n || (s[host] == ':' && port_ok(s + host + 1, n - host - 1));
}

/* --- repository --- */
/* Between letters and digits: one '.', one or two '_', or any number of '-'. */
static size_t separator(const char *s, size_t n)
{
	size_t i = 0;

	if (n && s[0] == '.')
		return 1;
	if (n && s[0] == '_')
		return n > 1 && s[1] == '_' ? 2 : 1;
	while (i < n && s[i] == '-')
		i++;
	return i;
}

static bool part_ok(const char *s, size_t n)
{
	size_t i = 0, sep;

	if (n == 0 || !is_lower(s[0]))
		return false;
	for (;;) {
		while (i < n && is_lower(s[i]))
			i++;
		if (i == n)
			return true;
		sep = separator(s + i, n - i);
		if (sep == 0 || i + sep >= n || !is_lower(s[i + sep]))
			return false;
		i += sep;
	}
}

static bool repo_ok(const char *s, size_t n)
{
	size_t start = 0;

	for (size_t i = 0; i <= n; i++) {
		if (i < n && s[i] != '/')
			continue;
		if (!part_ok(s + start, i - start))
			return false;
		start = i + 1;
	}
	return true;
}

static bool tag_ok(const char *s, size_t n)
{
	if (n == 0 || n > SKF_MAX_TAG_BYTES || !(is_alnum(s[0]) || s[0] == '_'))
		return false;
	for (size_t i = 0; i < n; i++) {
		if (!is_alnum(s[i]) && s[i] != '_' && s[i] != '.' && s[i] != '-')
			return false;
	}
	return true;
}

bool skf_ref_tag_ok(const char *tag)
{
	return tag_ok(tag, strlen(tag));
}

/* --- parsing --- */
/* docker's rule: what stands before the first '/' is a registry when it looks like one. */
static bool looks_like_registry(const char *s, size_t n)
{
	return memchr(s, '.', n) || memchr(s, ':', n) || (n == 9 && memcmp(s, "localhost", 9) == 0) ||
	       has_upper(s, n);
}

static int set_registry(const char *s, size_t n, const char *whole, struct skf_ref *r, struct skf_err *e)
{
	if (n > SKF_MAX_REPO_BYTES || !registry_ok(s, n))
		return bad(e, whole, "expected a registry as host or host:port before the first '/'");
	if (n == strlen(OLD_REGISTRY) && memcmp(s, OLD_REGISTRY, n) == 0) {
		s = DEFAULT_REGISTRY;
		n = strlen(DEFAULT_REGISTRY);
	}
	memcpy(r->registry, s, n);
	return 0;
}

static int set_repo(const char *s, size_t n, const char *whole, struct skf_ref *r, struct skf_err *e)
{
	bool official = skf_streq(r->registry, DEFAULT_REGISTRY) && !memchr(s, '/', n);
	size_t prefix = official ? strlen(OFFICIAL) : 0;

	if (has_upper(s, n))
		return bad(e, whole, "repository name must be lowercase");
	if (!repo_ok(s, n))
		return bad(e, whole,
			   "expected [registry/]name[:tag][@digest] with a name of letters, digits and "
			   "single separators . _ -");
	if (prefix + n > SKF_MAX_REPO_BYTES)
		return bad(e, whole, "repository name must not be more than 255 characters");
	memcpy(r->repo, OFFICIAL, prefix);
	memcpy(r->repo + prefix, s, n);
	return 0;
}

/* name[:tag][@digest] after the registry. */
static int set_rest(const char *s, const char *whole, struct skf_ref *r, struct skf_err *e)
{
	const char *at = strchr(s, '@');
	size_t n = at ? (size_t)(at - s) : strlen(s);
	const char *colon = memchr(s, ':', n);
	struct skf_err why = SKF_ERR_INIT;

	if (at && skf_digest_parse(at + 1, &r->digest, &why) < 0)
		return skf_fail(e, SKF_EINVALID, "invalid reference format: %s", why.msg);
	if (colon) {
		size_t tag = n - (size_t)(colon - s) - 1;
		if (!tag_ok(colon + 1, tag))
			return bad(
				e, whole,
				"expected a tag of at most 128 letters, digits, '_', '.' and '-' after ':'");
		memcpy(r->tag, colon + 1, tag);
		n = (size_t)(colon - s);
	} else if (!at) {
		memcpy(r->tag, DEFAULT_TAG, sizeof(DEFAULT_TAG));
	}
	return set_repo(s, n, whole, r, e);
}

static size_t full_length(const struct skf_ref *r)
{
	size_t n = strlen(r->registry) + 1 + strlen(r->repo);

	n += r->tag[0] ? 1 + strlen(r->tag) : 0;
	n += r->digest.s[0] ? 1 + strlen(r->digest.s) : 0;
	return n;
}

int skf_ref_parse(const char *s, struct skf_ref *ret, struct skf_err *e)
{
	struct skf_ref r = {0}; /* the parts are copied in; the bytes behind each stay 0 */
	const char *slash = strchr(s, '/');
	const char *rest = s;

	if (s[0] == '\0')
		return skf_fail(e, SKF_EINVALID,
				"invalid reference format: the reference is empty; name an image such as "
				"'debian:12'");
	if (strlen(s) > SKF_MAX_REF_BYTES)
		return bad(e, s, "a reference has at most 512 bytes");
	if (skf_is_hex(s, 64))
		return skf_fail(e, SKF_EINVALID,
				"invalid reference format: invalid repository name (%s), cannot specify "
				"64-byte hexadecimal strings",
				s);
	if (slash && looks_like_registry(s, (size_t)(slash - s))) {
		if (set_registry(s, (size_t)(slash - s), s, &r, e) < 0)
			return -1;
		rest = slash + 1;
	} else {
		memcpy(r.registry, DEFAULT_REGISTRY, sizeof(DEFAULT_REGISTRY));
	}
	if (set_rest(rest, s, &r, e) < 0)
		return -1;
	if (full_length(&r) > SKF_MAX_REF_BYTES)
		return bad(e, s, "a reference has at most 512 bytes");
	*ret = r;
	return 0;
}

void skf_ref_full(const struct skf_ref *r, char out[SKF_MAX_REF_BYTES + 1])
{
	/* Invariant 4: a parsed reference fits. One that somebody made by hand and that does not is shown as
	 * nothing, not cut. */
	if (skf_fmt(out, SKF_MAX_REF_BYTES + 1, "%s/%s%s%s%s%s", r->registry, r->repo, r->tag[0] ? ":" : "",
		    r->tag, r->digest.s[0] ? "@" : "", r->digest.s) < 0)
		out[0] = '\0';
}

void skf_ref_familiar_name(const struct skf_ref *r, char out[SKF_MAX_REF_BYTES + 1])
{
	const char *repo = r->repo;
	const char *slash;

	if (!skf_streq(r->registry, DEFAULT_REGISTRY)) {
		snprintf(out, SKF_MAX_REF_BYTES + 1, "%s/%s", r->registry, repo);
		return;
	}
	if (skf_startswith(repo, OFFICIAL) && !strchr(repo + strlen(OFFICIAL), '/'))
		repo += strlen(OFFICIAL);
	slash = strchr(repo, '/');
	/* Where the short form would be read as another registry, the long one is kept. */
	if (slash && looks_like_registry(repo, (size_t)(slash - repo)))
		snprintf(out, SKF_MAX_REF_BYTES + 1, "%s/%s", r->registry, repo);
	else
		snprintf(out, SKF_MAX_REF_BYTES + 1, "%s", repo);
}
