/* store/unpack_name.c -- names of tar entries: cleaned lexically, as docker does, and sorted into what they
 * mean (image-spec layer.md, "Whiteouts"). Pure.
 *
 * Invariants of a parsed name: (1) every component is non-empty, not "." and not ".."; (2) it is relative;
 * (3) no component but the last of a whiteout began with ".wh.". So a component may be handed to *at()
 *     calls, and a path to openat2 below the root. */
#include "base/buf.h"
#include "store/unpack_int.h"
#include <string.h>

#define WH        ".wh."
#define WH_META   ".wh..wh."
#define WH_OPAQUE ".wh..wh..opq"

struct cut {
	size_t end[SKF_MAX_TAR_DEPTH + 1]; /* length of the path after component i */
	uint32_t n;
};

/* Appends one component or takes one away. */
static int step(const char *raw, const char *comp, size_t len, uint32_t max_depth, struct cut *c, char *path,
		struct skf_err *e)
{
	size_t at = c->n ? c->end[c->n - 1] : 0;

	if (len == 0 || (len == 1 && comp[0] == '.'))
		return 0;
	if (len == 2 && comp[0] == '.' && comp[1] == '.') {
		if (c->n == 0)
			return skf_fail(e, SKF_EINVALID,
					"entry '%.200s' climbs out of the root of the layer; the image is "
					"hostile or broken",
					raw);
		c->n--;
		return 0;
	}
	if (c->n >= max_depth)
		return skf_fail(e, SKF_ELIMIT, "entry '%.200s' is more than %u directories deep", raw,
				max_depth);
	if (at > 0)
		path[at++] = '/';
	memcpy(path + at, comp, len);
	c->end[c->n++] = at + len;
	return 0;
}

static int clean(const char *raw, uint32_t max_depth, struct cut *c, char *path, struct skf_err *e)
{
	size_t n = strlen(raw);

	if (n >= SKF_MAX_TAR_PATH)
		return skf_fail(e, SKF_ELIMIT,
				"entry '%.60s...' has a name of %zu bytes, at most %d are allowed", raw, n,
				SKF_MAX_TAR_PATH - 1);
	if (max_depth > SKF_MAX_TAR_DEPTH)
		max_depth = SKF_MAX_TAR_DEPTH;
	for (const char *p = raw; *p;) {
		size_t len = strcspn(p, "/");

		if (step(raw, p, len, max_depth, c, path, e) < 0)
			return -1;
		p += len + (p[len] == '/');
	}
	path[c->n ? c->end[c->n - 1] : 0] = 0;
	return 0;
}

/* Any component but the last: aufs' own bookkeeping is skipped with what lies in it, other reserved names
 * are refused. */
static int check_parents(const struct cut *c, const char *path, bool *ret_skip, struct skf_err *e)
{
	for (uint32_t i = 0; i + 1 < c->n; i++) {
		const char *comp = path + (i ? c->end[i - 1] + 1 : 0);

		if (strncmp(comp, WH_META, strlen(WH_META)) == 0) {
			*ret_skip = true;
			return 0;
		}
		if (strncmp(comp, WH, strlen(WH)) == 0)
			return skf_fail(e, SKF_EINVALID,
					"entry '%.200s' lies below a whiteout; names that begin with '" WH
					"' are reserved",
					path);
	}
	return 0;
}

static int classify(struct skf_entry_name *n, struct skf_err *e)
{
	const char *hidden;

	if (strncmp(n->base, WH, strlen(WH)) != 0) {
		n->kind = SKF_ENTRY_PLAIN;
		return 0;
	}
	if (strcmp(n->base, WH_OPAQUE) == 0) {
		n->kind = SKF_ENTRY_OPAQUE;
		return 0;
	}
	if (strncmp(n->base, WH_META, strlen(WH_META)) == 0) {
		n->kind = SKF_ENTRY_SKIP;
		return 0;
	}
	hidden = n->base + strlen(WH);
	if (!*hidden || strcmp(hidden, ".") == 0 || strcmp(hidden, "..") == 0)
		return skf_fail(e, SKF_EINVALID, "entry '%.200s' is a whiteout of '%s', which is no name",
				n->path, hidden);
	n->kind = SKF_ENTRY_WHITEOUT;
	memmove(n->base, hidden, strlen(hidden) + 1);
	return 0;
}

int skf_entry_name_parse(const char *raw, uint32_t max_depth, struct skf_entry_name *ret, struct skf_err *e)
{
	struct cut c;
	bool skip = false;
	size_t parent;

	c.n = 0; /* the rest is written before it is read */
	if (clean(raw, max_depth, &c, ret->path, e) < 0 || check_parents(&c, ret->path, &skip, e) < 0)
		return -1;
	parent = c.n > 1 ? c.end[c.n - 2] : 0;
	memcpy(ret->parent, ret->path, parent);
	ret->parent[parent] = 0;
	ret->base = ret->path + parent + (parent > 0);
	if (c.n == 0) {
		ret->kind = SKF_ENTRY_ROOT;
		return 0;
	}
	if (skip) {
		ret->kind = SKF_ENTRY_SKIP;
		return 0;
	}
	return classify(ret, e);
}
