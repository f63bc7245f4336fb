/* oci/registries_conf.c -- registries.conf: tables to structures, and the questions that are asked of them.
 *
 * What the format has and we do not use is named in `ignored`; every other unknown key is an error that
 * names its line, because a word that is skipped could be the one that protects (`blocked`). The old version
 * 1 ([registries.search]) is refused with what to do. */
#include "oci/registries_conf.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/toml.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define SYSTEM_DIR "/etc/containers"

static const char *const ignored[] = {"credential-helpers", "additional-layer-store-auth-helper"};

static int expect(const struct skf_toml *t, enum skf_toml_type type, struct skf_err *e)
{
	static const char *const words[] = {"a table", "a string", "true or false", "a number",
					    "an array of strings"};
	char what[64];

	if (t->type == type)
		return 0;
	return skf_fmt(what, sizeof(what), "%s is expected for", words[type]) < 0
		       ? -1
		       : skf_toml_fail(t, e, what, t->key);
}

static int word_of(const struct skf_toml *t, const char *const *words, size_t n, struct skf_err *e)
{
	if (expect(t, SKF_TOML_STR, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (skf_streq(t->str, words[i]))
			return (int)i;
	return skf_toml_fail(t, e, "unknown value", t->str);
}

static int top_key(struct skf_registries *c, const struct skf_toml *t, struct skf_err *e)
{
	static const char *const modes[] = {"enforcing", "permissive", "disabled"};
	int r;

	if (skf_streq(t->key, "unqualified-search-registries")) {
		if (expect(t, SKF_TOML_STRV, e) < 0)
			return -1;
		c->search = t->strv;
		c->search_from = skf_arena_strdup(&c->a, t->name);
		return c->search_from ? 0 : skf_nomem(e);
	}
	if (skf_streq(t->key, "short-name-mode")) {
		r = word_of(t, modes, SKF_ARRAY_LEN(modes), e);
		c->mode = r < 0 ? c->mode : (enum skf_short_mode)r;
		return r < 0 ? -1 : 0;
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(ignored); i++)
		if (skf_streq(t->key, ignored[i]))
			return 0;
	return skf_toml_fail(t, e, "unknown key", t->key);
}

static int alias(struct skf_registries *c, const struct skf_toml *t, struct skf_err *e)
{
	const char *slash = t->type == SKF_TOML_STR ? strrchr(t->str, '/') : NULL;
	struct skf_ref ref;

	if (expect(t, SKF_TOML_STR, e) < 0)
		return -1;
	if (strpbrk(t->key, ":@") || !skf_registries_is_short(t->key))
		return skf_toml_fail(t, e, "an alias is a name without registry, tag and digest:", t->key);
	if (*t->str && (skf_registries_is_short(t->str) || skf_ref_parse(t->str, &ref, e) < 0 ||
			ref.digest.s[0] || !slash || strchr(slash, ':')))
		return skf_toml_fail(
			t, e, "an alias stands for registry/repository without tag and digest:", t->str);
	return skf_strv_add(&c->a, &c->alias, t->key) < 0 || skf_strv_add(&c->a, &c->alias_of, t->str) < 0
		       ? skf_nomem(e)
		       : 0;
}

static int flag(const struct skf_toml *t, bool *ret, struct skf_err *e)
{
	if (expect(t, SKF_TOML_BOOL, e) < 0)
		return -1;
	*ret = t->b;
	return 0;
}

/* A later file's entry of the same prefix takes the place of an earlier one's: the last that matches counts
 * (skf_registries_match). */
static int place(struct skf_registries *c, const struct skf_toml *t, const char **ret, struct skf_err *e)
{
	size_t n;

	(void)c;
	if (expect(t, SKF_TOML_STR, e) < 0)
		return -1;
	n = strlen(t->str);
	if (n == 0 || n > SKF_MAX_REPO_BYTES || strstr(t->str, "://") || strpbrk(t->str, "@?# ") ||
	    t->str[0] == '/' || strstr(t->str, ".."))
		return skf_toml_fail(t, e, "host[:port][/path] is expected, not", t->str);
	while (n && t->str[n - 1] == '/')
		((char *)(uintptr_t)t->str)[--n] = '\0';
	*ret = t->str;
	return 0;
}

static int registry_key(struct skf_registries *c, const struct skf_toml *t, struct skf_err *e)
{
	struct skf_reg *r = &c->reg[c->n_reg - 1];

	if (skf_streq(t->key, "prefix"))
		return place(c, t, &r->prefix, e);
	if (skf_streq(t->key, "location"))
		return place(c, t, &r->at.location, e);
	if (skf_streq(t->key, "insecure"))
		return flag(t, &r->at.insecure, e);
	if (skf_streq(t->key, "blocked"))
		return flag(t, &r->blocked, e);
	if (skf_streq(t->key, "mirror-by-digest-only"))
		return flag(t, &r->mirrors_by_digest, e);
	return skf_toml_fail(t, e, "unknown key", t->key);
}

static int mirror_key(struct skf_registries *c, const struct skf_toml *t, struct skf_err *e)
{
	static const char *const kinds[] = {"all", "digest-only", "tag-only"};
	struct skf_reg *r = &c->reg[c->n_reg - 1];
	struct skf_reg_place *m = &r->mirror[r->n_mirrors - 1];
	int k;

	if (skf_streq(t->key, "location"))
		return place(c, t, &m->location, e);
	if (skf_streq(t->key, "insecure"))
		return flag(t, &m->insecure, e);
	if (!skf_streq(t->key, "pull-from-mirror"))
		return skf_toml_fail(t, e, "unknown key", t->key);
	k = word_of(t, kinds, SKF_ARRAY_LEN(kinds), e);
	m->digest_only = k == 1;
	m->tag_only = k == 2;
	return k < 0 ? -1 : 0;
}

static int header(struct skf_registries *c, const struct skf_toml *t, struct skf_err *e)
{
	if (skf_streq(t->table, "aliases") && !t->element)
		return 0;
	if (skf_startswith(t->table, "registries"))
		return skf_toml_fail(t, e,
				     "version 1 of the format is not supported: use "
				     "unqualified-search-registries and [[registry]] in place of",
				     t->table);
	if (skf_streq(t->table, "registry") && t->element) {
		if (c->n_reg == SKF_MAX_REGS)
			return skf_toml_fail(t, e, "there are too many tables", t->table);
		if (!c->reg && !(c->reg = skf_arena_array(&c->a, SKF_MAX_REGS, sizeof(*c->reg))))
			return skf_nomem(e);
		c->reg[c->n_reg++] = (struct skf_reg){0};
		return 0;
	}
	if (skf_streq(t->table, "registry.mirror") && t->element && c->n_reg) {
		struct skf_reg *r = &c->reg[c->n_reg - 1];

		if (r->n_mirrors == SKF_ARRAY_LEN(r->mirror))
			return skf_toml_fail(t, e, "a registry has too many mirrors", NULL);
		r->mirror[r->n_mirrors++] = (struct skf_reg_place){0};
		return 0;
	}
	return skf_toml_fail(t, e, "unknown table", t->table);
}

static int on_toml(void *arg, const struct skf_toml *t, struct skf_err *e)
{
	struct skf_registries *c = arg;

	if (t->type == SKF_TOML_TABLE)
		return header(c, t, e);
	if (!*t->table)
		return top_key(c, t, e);
	if (skf_streq(t->table, "aliases"))
		return alias(c, t, e);
	return skf_streq(t->table, "registry") ? registry_key(c, t, e) : mirror_key(c, t, e);
}

/* Each entry has a prefix and each mirror a place. */
static int settle(struct skf_registries *c, size_t first, const char *name, struct skf_err *e)
{
	for (size_t i = first; i < c->n_reg; i++) {
		struct skf_reg *r = &c->reg[i];
		bool wild;

		if (!r->prefix && !r->at.location)
			return skf_fail(e, SKF_EINVALID,
					"%s: a [[registry]] has neither prefix nor location", name);
		r->prefix = r->prefix ? r->prefix : r->at.location;
		wild = skf_startswith(r->prefix, "*.");
		if (strchr(wild ? r->prefix + 1 : r->prefix, '*') || (wild && strchr(r->prefix, '/')))
			return skf_fail(e, SKF_EINVALID,
					"%s: the prefix '%.80s': a wildcard is *.domain and nothing else",
					name, r->prefix);
		if (r->at.location && skf_streq(r->at.location, r->prefix))
			r->at.location = NULL;
		for (size_t k = 0; k < r->n_mirrors; k++)
			if (!r->mirror[k].location)
				return skf_fail(e, SKF_EINVALID, "%s: a mirror of '%.80s' has no location",
						name, r->prefix);
	}
	return 0;
}

int skf_registries_parse(struct skf_registries *c, const char *name, const char *text, size_t n,
			 struct skf_err *e)
{
	size_t first = c->n_reg;

	return skf_toml_parse(name, text, n, &c->a, on_toml, c, e) < 0 ? -1 : settle(c, first, name, e);
}

void skf_registries_done(struct skf_registries *c)
{
	skf_arena_done(&c->a);
}

/* --- files --- */

static int read_one(struct skf_registries *c, const char *path, bool *ret_there, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONF_BYTES);
	int r = skf_read_file_at(AT_FDCWD, path, SKF_MAX_CONF_BYTES, &b);

	*ret_there = r != -ENOENT && r != -ENOTDIR;
	if (!*ret_there)
		return 0;
	if (r < 0)
		return skf_fail_sys(e, r, "read '%s'", path);
	return skf_registries_parse(c, path, skf_buf_cstr(&b), b.len, e);
}

static int is_conf(const struct dirent *d)
{
	return d->d_name[0] != '.' && skf_endswith(d->d_name, ".conf");
}

static int read_drop_ins(struct skf_registries *c, const char *dir, struct skf_err *e)
{
	struct dirent **v;
	char path[4096];
	bool there;
	int n, r = 0;

	if (skf_fmt(path, sizeof(path), "%s/registries.conf.d", dir) < 0)
		return 0;
	n = scandir(path, &v, is_conf, alphasort);
	for (int i = 0; i < n; i++) {
		if (r == 0 && skf_fmt(path, sizeof(path), "%s/registries.conf.d/%s", dir, v[i]->d_name) == 0)
			r = read_one(c, path, &there, e);
		free(v[i]);
	}
	if (n >= 0)
		free(v);
	return r;
}

int skf_registries_load(struct skf_registries *c, struct skf_err *e)
{
	const char *only = getenv("CONTAINERS_REGISTRIES_CONF"), *xdg = getenv("XDG_CONFIG_HOME"),
		   *home = getenv("HOME");
	char own[3900] = "", path[4096];
	bool there = false;

	*c = (struct skf_registries){.a = SKF_ARENA(SKF_MAX_ARENA_DOC)};
	if (only)
		return *only ? read_one(c, only, &there, e) : 0;
	if (((xdg && *xdg && skf_fmt(own, sizeof(own), "%s/containers", xdg) == 0) ||
	     (home && *home && skf_fmt(own, sizeof(own), "%s/.config/containers", home) == 0)) &&
	    skf_fmt(path, sizeof(path), "%s/registries.conf", own) == 0 && read_one(c, path, &there, e) < 0)
		return -1;
	if (!there && read_one(c, SYSTEM_DIR "/registries.conf", &there, e) < 0)
		return -1;
	return read_drop_ins(c, SYSTEM_DIR, e) < 0 || (*own && read_drop_ins(c, own, e) < 0) ? -1 : 0;
}

/* --- places --- */

/* Bytes of "host/repo" that the prefix covers; -1: none. */
static long covers(const char *prefix, const char *host, const char *repo)
{
	size_t h = strlen(host), n = strlen(prefix);

	if (skf_startswith(prefix, "*."))
		return h > n - 1 && skf_streq(host + h - (n - 1), prefix + 1) ? (long)h : -1;
	if (n < h || memcmp(prefix, host, h) != 0)
		return -1;
	if (n == h)
		return (long)n;
	if (prefix[h] != '/' || !repo || !skf_startswith(repo, prefix + h + 1))
		return -1;
	return repo[n - h - 1] == '\0' || repo[n - h - 1] == '/' ? (long)n : -1;
}

const struct skf_reg *skf_registries_match(const struct skf_registries *c, const char *host,
					   const char *repo)
{
	const struct skf_reg *best = NULL;
	long most = -1;

	for (size_t i = 0; i < c->n_reg; i++) {
		long n = covers(c->reg[i].prefix, host, repo);
		bool wild = skf_startswith(c->reg[i].prefix, "*.");

		if (n < 0)
			continue;
		n = n * 2 +
		    !wild; /* a host that is named wins over a wildcard, and of two wildcards the longer */
		n = n * SKF_MAX_REPO_BYTES + (wild ? (long)strlen(c->reg[i].prefix) : 0);
		if (n >= most) {
			most = n;
			best = &c->reg[i];
		}
	}
	return best;
}

int skf_registries_at(const struct skf_reg *r, const struct skf_reg_place *p, const char *host,
		      const char *repo, char ret_host[SKF_MAX_REPO_BYTES + 1],
		      char ret_repo[SKF_MAX_REPO_BYTES + 1], struct skf_err *e)
{
	const char *place = p->location ? p->location : host, *path = strchr(place, '/'), *rest = repo;
	long n = covers(r->prefix, host, repo);
	size_t h = strlen(host);

	if (p->location && n > (long)h)
		rest = repo + ((size_t)n - h - 1);
	rest += *rest == '/';
	if (skf_fmt(ret_host, SKF_MAX_REPO_BYTES + 1, "%.*s",
		    (int)(path ? path - place : (long)strlen(place)), place) < 0 ||
	    skf_fmt(ret_repo, SKF_MAX_REPO_BYTES + 1, "%s%s%s", path ? path + 1 : "",
		    path && *rest ? "/" : "", rest) < 0)
		return skf_fail(e, SKF_ELIMIT, "'%s/%s' at '%s' is longer than a repository's name may be",
				host, repo, place);
	if (!*ret_repo)
		return skf_fail(e, SKF_EINVALID, "registries.conf: '%s/%s' at '%s' is no repository", host,
				repo, place);
	return 0;
}

/* --- short names --- */

bool skf_registries_is_short(const char *w)
{
	const char *slash = strchr(w, '/');
	size_t n = slash ? (size_t)(slash - w) : 0;

	if (!*w || skf_digest_skip_alg(w) != w)
		return false;
	return !slash || !(memchr(w, '.', n) || memchr(w, ':', n) ||
			   (n == strlen("localhost") && skf_startswith(w, "localhost")));
}

int skf_registries_expand(struct skf_registries *c, const char *word, struct skf_strv *ret,
			  struct skf_err *e)
{
	size_t name = strcspn(word, ":@");
	const char *full;

	*ret = (struct skf_strv){0};
	if (!skf_registries_is_short(word))
		return 0;
	for (size_t i = c->alias.n; i-- > 0;) {
		if (strlen(c->alias.v[i]) != name || memcmp(c->alias.v[i], word, name) != 0)
			continue;
		if (!*c->alias_of.v[i])
			break; /* taken away */
		full = skf_arena_fmt(&c->a, "%s%s", c->alias_of.v[i], word + name);
		return full && skf_strv_add(&c->a, ret, full) == 0 ? 0 : skf_nomem(e);
	}
	for (size_t i = 0; i < c->search.n; i++) {
		full = skf_arena_fmt(&c->a, "%s/%s", c->search.v[i], word);
		if (!full || skf_strv_add(&c->a, ret, full) < 0)
			return skf_nomem(e);
	}
	return 0;
}
