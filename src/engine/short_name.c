/* engine/short_name.c -- pulls by short names as containers-registries.conf(5) has them: an alias is what it
 * stands for; else the search registries in their order. Without either a short name is docker's
 * (docker.io/library/...), also where podman would refuse it.
 *
 * short-name-mode: enforcing asks when several registries may be meant, and fails where there is nobody to
 * ask; permissive asks, and tries all in their order where there is nobody; disabled tries all in their
 * order. Blocks as a pull does.
 *
 * What was chosen, and was then to be had, is recorded as an alias in the store's root (ALIASES), which is
 * asked before registries.conf; under locks/short-names. */
#include "engine/engine_int.h"
#include "oci/registries_conf.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#define ALIASES     "short-name-aliases.conf"
#define MAX_ALIASES (1u << 20)

/* Into b; empty when there are none yet. */
static int read_aliases(struct skf_engine *g, struct skf_buf *b, struct skf_err *e)
{
	int r = skf_read_file_at(g->root_fd, ALIASES, MAX_ALIASES, b);

	return r < 0 && r != -ENOENT ? skf_fail_sys(e, r, "read '%s/" ALIASES "'", g->root) : 0;
}

static int load_aliases(struct skf_engine *g, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_ALIASES + 1);
	char name[4096];

	if (read_aliases(g, &b, e) < 0)
		return -1;
	if (!b.len)
		return 0;
	if (skf_fmt(name, sizeof(name), "%s/" ALIASES, g->root) < 0)
		return skf_fail(e, SKF_ELIMIT, "the path '%s/" ALIASES "' is too long", g->root);
	return skf_registries_parse(g->registries, name, b.p, b.len, e);
}

/* Both without tag and digest; a pull took them, so that neither has a byte that TOML would escape. */
static int record(struct skf_engine *g, const char *word, const char *full, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_ALIASES + 1);
	SKF_AUTO_FD int lock = skf_lock_at(g->locks_fd, "short-names", true, SKF_LOCK_MS);
	size_t n = strcspn(word, ":@"), tail = strlen(word) - n;
	char key[SKF_MAX_REF_BYTES + 8];
	int r;

	if (lock < 0)
		return skf_fail_sys(e, lock, "lock '%s/locks/short-names'", g->root);
	if (read_aliases(g, &b, e) < 0)
		return -1;
	if (skf_fmt(key, sizeof(key), "\n\"%.*s\" =", (int)n, word) < 0)
		return skf_fail(e, SKF_ELIMIT, "'%s' is too long", word);
	if (b.len && strstr(skf_buf_cstr(&b), key))
		return 0; /* somebody else was asked at the same time */
	if (!b.len)
		skf_buf_str(&b, "# Short names as they were chosen at a terminal; lines may be changed or "
				"taken out.\n[aliases]");
	else if (b.p[b.len - 1] == '\n')
		b.len--;
	skf_buf_fmt(&b, "%s \"%.*s\"\n", key, (int)(strlen(full) - tail), full);
	r = b.err < 0 ? b.err : skf_write_atomic_at(g->root_fd, ALIASES, b.p, b.len, 0644, SKF_SYNC);
	return r < 0 ? skf_fail_sys(e, r, "write '%s/" ALIASES "'", g->root) : 0;
}

static int load(struct skf_engine *g, struct skf_err *e)
{
	if (g->registries)
		return 0;
	g->registries = calloc(1, sizeof(*g->registries));
	if (!g->registries)
		return skf_fail(e, SKF_ENOMEM, "memory for registries.conf");
	if (skf_registries_load(g->registries, e) == 0 && load_aliases(g, e) == 0)
		return 0;
	skf_short_done(g);
	return -1;
}

void skf_short_done(struct skf_engine *g)
{
	if (g->registries)
		skf_registries_done(g->registries);
	free(g->registries);
	g->registries = NULL;
}

int skf_short_expand(void *arg, const char *word, struct skf_strv *ret, struct skf_err *e)
{
	struct skf_engine *g = arg;

	*ret = (struct skf_strv){0};
	if (!skf_registries_is_short(word))
		return 0;
	return load(g, e) < 0 ? -1 : skf_registries_expand(g->registries, word, ret, e);
}

/* Leaves in v what is to be tried. */
static int choose(struct skf_engine *g, const char *word, struct skf_strv *v, const struct skf_progress *p,
		  bool *chosen, struct skf_err *e)
{
	int k;

	if (v->n < 2 || g->registries->mode == SKF_SHORT_DISABLED)
		return 0;
	k = p && p->choose ? p->choose(p->arg, word, (const char *const *)v->v, v->n) : -1;
	*chosen = k >= 0 && (size_t)k < v->n;
	if (*chosen)
		*v = (struct skf_strv){v->v + k, 1};
	else if (g->registries->mode == SKF_SHORT_ENFORCING)
		return skf_fail(e, SKF_EINVALID,
				"short-name resolution enforced but cannot prompt without a TTY: '%s' may "
				"be %zu images (unqualified-search-registries of '%s'); give "
				"its registry, an alias, or short-name-mode = \"permissive\"",
				word, v->n, g->registries->search_from);
	return 0;
}

static bool goes_on(const struct skf_err *e)
{
	return e->kind == SKF_ENOTFOUND || e->kind == SKF_EDENIED ||
	       (e->kind == SKF_EUNAVAILABLE && !skf_endswith(e->msg, "cancelled"));
}

int skf_engine_pull(struct skf_engine *g, const struct skf_pull_req *q, const struct skf_progress *p,
		    struct skf_pull_ret *ret, struct skf_err *e)
{
	struct skf_pull_req one = *q;
	struct skf_err first = SKF_ERR_INIT;
	struct skf_strv v;
	bool chosen = false;

	if (skf_short_expand(g, q->reference, &v, e) < 0 || choose(g, q->reference, &v, p, &chosen, e) < 0)
		return -1;
	if (v.n > 1 && (q->how.token || q->how.user))
		return skf_fail(e, SKF_EINVALID,
				"'%s' may be at %zu registries, and a registry token is for one, as --creds "
				"are: give its registry",
				q->reference, v.n);
	if (v.n == 0)
		return skf_pull_exact(g, q, p, ret, e);
	for (size_t i = 0; i < v.n; i++) {
		one.reference = v.v[i];
		if (skf_pull_exact(g, &one, p, ret, e) == 0) {
			if (chosen && record(g, q->reference, one.reference, e) < 0) {
				skf_warn(&g->log, "remember what '%s' means: %s; it will be asked again",
					 q->reference, e->msg);
				skf_err_clear(e);
			}
			return 0;
		}
		if (!goes_on(e))
			return -1;
		if (first.kind == SKF_OK)
			first = *e;
		if (i + 1 < v.n)
			skf_warn(&g->log, "'%s': %s; trying the next registry", v.v[i], e->msg);
		else if (v.n > 1)
			return skf_fail(
				e, first.kind,
				"'%s' was not to be had at any of %zu registries; the first, '%s', says: %s",
				q->reference, v.n, v.v[0], first.msg);
		if (i + 1 < v.n)
			skf_err_clear(e);
	}
	return -1;
}
