/* registry/mirrors.c -- pulls through mirrors: each question goes to the mirrors that may answer it, in the
 * file's order, then to the registry itself.
 *
 * Invariants: 1. a mirror is a registry of its own: credentials, certificates and insecurity are those of
 * its host, never the registry's; 2. tags are asked of mirrors that may resolve, everything with a digest of
 * those that may pull; 3. what a mirror gives is checked against the same digests, and a blob that breaks
 * off at one goes on at the next where it stopped; 4. a failing mirror is passed over with a warning; a
 * cancelled pull or a full disk is not tried elsewhere. */
#include "oci/registries_conf.h"
#include "registry/registry_int.h"
#include <string.h>

/* The next of r->mirrors. */
static int add(struct skf_registry *r, const struct skf_registry_opts *o,
	       const struct skf_hostconf_mirror *from, struct skf_err *e)
{
	struct skf_mirror *m = &r->mirrors[r->n_mirrors];
	struct skf_registry_opts mo = *o;

	mo.plain_http = from->plain_http;
	mo.insecure_tls = from->insecure;
	mo.repo = NULL;
	if (!skf_streq(from->host, r->host)) /* T51: another place of the same host keeps them */
		mo.user = mo.password = mo.token = NULL;
	if (skf_registry_new_one(from->host, &mo, &m->r, e) < 0)
		return skf_ctx(e, "mirror of '%s'", r->host);
	r->n_mirrors++;
	memcpy(m->prefix, from->prefix, sizeof(m->prefix));
	m->pull = from->pull;
	m->resolve = from->resolve;
	if (from->ns && skf_fmt(m->r->ns, sizeof(m->r->ns), "?ns=%s", r->host) < 0)
		return skf_fail(e, SKF_EBUG, "ns of '%s'", r->host);
	return 0;
}

static int open_hostconf(struct skf_registry *r, const struct skf_registry_opts *o,
			 const struct skf_hostconf *c, struct skf_err *e)
{
	r->plain_http |= c->plain_http;
	r->insecure_tls |= c->insecure;
	r->no_fallback = c->no_fallback && c->n;
	if (!c->n)
		return 0;
	r->mirrors = calloc(c->n, sizeof(*r->mirrors));
	if (!r->mirrors)
		return skf_fail(e, SKF_ENOMEM, "mirrors of '%s'", r->host);
	for (size_t i = 0; i < c->n; i++)
		if (add(r, o, &c->mirror[i], e) < 0 ||
		    (c->mirror[i].plain_http && skf_http_force_plain(r->mirrors[i].r, e) < 0))
			return -1;
	return 0;
}

/* --- registries.conf --- */

/* One place of an entry. The repository's name there is this one's without its first bytes, behind a path.
 */
static int add_place(struct skf_registry *r, const struct skf_registry_opts *o, const struct skf_reg *reg,
		     const struct skf_reg_place *p, struct skf_err *e)
{
	struct skf_hostconf_mirror at = {
		.plain_http = p->insecure, .insecure = p->insecure, .pull = true, .resolve = true};
	char there[SKF_MAX_REPO_BYTES + 1];
	const char *repo = o->repo ? o->repo : "x";
	size_t a = strlen(repo), b;
	struct skf_mirror *m = &r->mirrors[r->n_mirrors];

	if (skf_registries_at(reg, p, r->host, repo, at.host, there, e) < 0)
		return -1;
	for (b = strlen(there); a && b && repo[a - 1] == there[b - 1]; a--, b--)
		;                                              /* what both end with stays */
	while (repo[a] && a && repo[a - 1] != '/' && there[b]) /* in whole components */
		a++, b++;
	if (skf_fmt(at.prefix, sizeof(at.prefix), "%.*s", (int)b, there) < 0 || add(r, o, &at, e) < 0)
		return -1;
	m->strip = a;
	m->tag_only = p->tag_only;
	m->digest_only = p->digest_only || (p != &reg->at && reg->mirrors_by_digest);
	return 0;
}

/* An entry's mirrors, then its location when that is elsewhere: nobody else is asked then. */
static int open_registries(struct skf_registry *r, const struct skf_registry_opts *o,
			   const struct skf_reg *reg, struct skf_err *e)
{
	if (reg->blocked)
		return skf_fail(e, SKF_EDENIED, "registry '%s' is blocked: registries.conf says so for '%s'",
				r->host, reg->prefix);
	if (!reg->at.location) {
		r->plain_http |= reg->at.insecure;
		r->insecure_tls |= reg->at.insecure;
	}
	if (!reg->n_mirrors && !reg->at.location)
		return 0;
	r->mirrors = calloc(reg->n_mirrors + 1, sizeof(*r->mirrors));
	if (!r->mirrors)
		return skf_fail(e, SKF_ENOMEM, "mirrors of '%s'", r->host);
	for (size_t i = 0; i < reg->n_mirrors; i++)
		if (add_place(r, o, reg, &reg->mirror[i], e) < 0)
			return -1;
	r->no_fallback = reg->at.location != NULL;
	return reg->at.location ? add_place(r, o, reg, &reg->at, e) : 0;
}

/* registries.d has the first word: who wrote a file there means skiff. */
int skf_mirrors_open(struct skf_registry *r, const struct skf_registry_opts *o, struct skf_err *e)
{
	struct skf_registries all;
	struct skf_hostconf c;
	const char *dir = o->conf_dir ? o->conf_dir : "/etc/skiff/registries.d";
	const struct skf_reg *reg;
	int x;

	if (skf_hostconf_load(dir, r->host, &c, e) < 0)
		return -1;
	if (c.blocked)
		return skf_fail(e, SKF_EDENIED, "registry '%s' is blocked by '%s/%s.conf'", r->host, dir,
				r->host);
	if (c.n || c.insecure || c.plain_http)
		return open_hostconf(r, o, &c, e);
	x = skf_registries_load(&all, e);
	reg = x == 0 ? skf_registries_match(&all, r->host, o->repo) : NULL;
	if (reg)
		x = open_registries(r, o, reg, e);
	skf_registries_done(&all);
	return x;
}

static int mirrored(const struct skf_mirror *m, const struct skf_ref *ref, struct skf_ref *ret,
		    struct skf_err *e)
{
	*ret = *ref;
	if (skf_fmt(ret->registry, sizeof(ret->registry), "%s", m->r->host) < 0 ||
	    skf_fmt(ret->repo, sizeof(ret->repo), "%s%s", m->prefix,
		    ref->repo + (m->strip < strlen(ref->repo) ? m->strip : 0)) < 0)
		return skf_fail(e, SKF_EINVALID, "'%s%s' is longer than a repository's name may be",
				m->prefix, ref->repo);
	return 0;
}

static bool may(const struct skf_registry *r, const struct skf_mirror *m, bool asked)
{
	return asked && !(m->tag_only && r->by_digest) && !(m->digest_only && r->by_tag);
}

static bool cancelled(const struct skf_err *e)
{
	return e->kind == SKF_EUNAVAILABLE && skf_endswith(e->msg, "cancelled");
}

/* After a mirror has failed: 1 go on, -1 that was the last word. */
static int pass_over(const struct skf_registry *r, size_t i, bool fatal, struct skf_err *e)
{
	if (fatal || (i + 1 == r->n_mirrors && r->no_fallback))
		return -1;
	skf_warn(r->log, "mirror '%s' of '%s': %s; going on without it", r->mirrors[i].r->host, r->host,
		 e->msg);
	skf_err_clear(e);
	return 1;
}

int skf_registry_manifest(struct skf_registry *r, const struct skf_ref *ref, struct skf_buf *ret,
			  char content_type[128], struct skf_digest *ret_digest, struct skf_err *e)
{
	if (!r->by_tag && !r->by_digest)
		*(ref->digest.s[0] ? &r->by_digest : &r->by_tag) = true;
	for (size_t i = 0; i < r->n_mirrors; i++) {
		const struct skf_mirror *m = &r->mirrors[i];
		struct skf_ref there;
		if (!may(r, m, ref->digest.s[0] ? m->pull : m->resolve))
			continue;
		if (mirrored(m, ref, &there, e) == 0 &&
		    skf_manifest_one(m->r, &there, ret, content_type, ret_digest, e) == 0)
			return 0;
		if (pass_over(r, i, cancelled(e), e) < 0)
			return -1;
	}
	if (r->no_fallback)
		return skf_fail(
			e, SKF_ENOTFOUND,
			"no mirror of '%s' may answer for '%s', and the configuration says no-fallback",
			r->host, ref->repo);
	return skf_manifest_one(r, ref, ret, content_type, ret_digest, e);
}

int skf_registry_blob_small(struct skf_registry *r, const struct skf_ref *ref, const struct skf_desc *d,
			    size_t max, struct skf_buf *ret, struct skf_err *e)
{
	for (size_t i = 0; i < r->n_mirrors && d->size <= max; i++) {
		const struct skf_mirror *m = &r->mirrors[i];
		struct skf_ref there;
		if (!may(r, m, m->pull))
			continue;
		if (mirrored(m, ref, &there, e) == 0 &&
		    skf_blob_small_one(m->r, &there, d, max, ret, e) == 0)
			return 0;
		if (pass_over(r, i, cancelled(e), e) < 0)
			return -1;
	}
	if (r->no_fallback)
		return skf_fail(e, SKF_ENOTFOUND,
				"no mirror of '%s' has '%s', and the configuration says no-fallback",
				r->host, d->digest.s);
	return skf_blob_small_one(r, ref, d, max, ret, e);
}

/* Those that are not done to the front. */
static size_t left(struct skf_blob_get *g, size_t n)
{
	size_t k = 0;
	for (size_t i = 0; i < n; i++) {
		if (g[i].done)
			continue;
		struct skf_blob_get t = g[k];
		g[k++] = g[i];
		g[i] = t;
	}
	return k;
}

int skf_registry_blobs(struct skf_registry *r, const struct skf_ref *ref, struct skf_blob_get *g, size_t n,
		       unsigned parallel, struct skf_err *e)
{
	bool fatal = false;
	for (size_t i = 0; i < n; i++)
		g[i].done = false;
	for (size_t i = 0; i < r->n_mirrors && n; i++) {
		const struct skf_mirror *m = &r->mirrors[i];
		struct skf_ref there;
		if (!may(r, m, m->pull))
			continue;
		__atomic_store_n(&r->active, m->r, __ATOMIC_RELEASE);
		int x = mirrored(m, ref, &there, e);
		if (x == 0)
			x = skf_blobs_one(m->r, &there, g, n, parallel, &fatal, e);
		__atomic_store_n(&r->active, NULL, __ATOMIC_RELEASE);
		if (x == 0)
			return 0;
		if (pass_over(r, i, fatal || cancelled(e), e) < 0)
			return -1;
		n = left(g, n);
	}
	if (r->no_fallback && n)
		return skf_fail(e, SKF_ENOTFOUND,
				"no mirror of '%s' may give the layers of '%s', and the configuration says "
				"no-fallback",
				r->host, ref->repo);
	return n ? skf_blobs_one(r, ref, g, n, parallel, &fatal, e) : 0;
}

void skf_registry_wake(struct skf_registry *r)
{
	struct skf_registry *h = __atomic_load_n(&r->active, __ATOMIC_ACQUIRE);
	h = h ? h : r;
	__atomic_store_n(&h->woken, true, __ATOMIC_RELEASE);
	CURLM *m = __atomic_load_n(&h->multi, __ATOMIC_ACQUIRE);
	if (m)
		curl_multi_wakeup(m);
}
