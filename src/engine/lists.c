/* engine/lists.c -- lists of platforms that are put together here and pushed as an image index: create, add,
 * annotate, remove, push (docker's and podman's `manifest`).
 *
 * Invariants: 1. a list is one file below <root>/manifests, replaced by rename under locks/manifests; 2. an
 * entry says where its bytes come from; they are fetched when the list is pushed, and must still have their
 * digest then. Blocks: disk; add and push on the network. */
#include "base/arena.h"
#include "base/fd.h"
#include "engine/list_int.h"
#include "engine/worker.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define DIR_MAX (SKF_MAX_REPO_BYTES * 2 + 32)

struct list {
	struct skf_engine *g;
	struct skf_arena a;
	struct skf_ref ref;
	char dir[DIR_MAX], file[SKF_MAX_TAG_BYTES + 8], full[SKF_MAX_REF_BYTES + 1];
	int lock;
	struct skf_list *doc; /* NULL: there is none */
};

static void list_done(struct list *l)
{
	skf_closep(&l->lock);
	skf_arena_done(&l->a);
}

static int load(struct list *l, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1);
	char path[DIR_MAX + SKF_MAX_TAG_BYTES + 16];
	int r = skf_fmt(path, sizeof(path), "%s/%s", l->dir, l->file);

	if (r == 0)
		r = skf_read_file_at(l->g->root_fd, path, SKF_MAX_MANIFEST_BYTES, &b);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0)
		return skf_fail_sys(e, r, "read the manifest list '%s'", l->full);
	return skf_list_parse(skf_buf_cstr(&b), b.len, &l->a, &l->doc, e) < 0 ? skf_ctx(e, "'%s'", path) : 0;
}

/* Opens the list called name; with `must` it has to be there. change: locked against others until list_done.
 */
static int list_open(struct list *l, struct skf_engine *g, const char *name, bool must, bool change,
		     struct skf_err *e)
{
	*l = (struct list){.g = g, .a = SKF_ARENA(SKF_MAX_ARENA_DOC), .lock = -EBADF};
	if (skf_ref_parse(name, &l->ref, e) < 0)
		return -1;
	if (l->ref.digest.s[0])
		return skf_fail(e, SKF_EINVALID, "'%s': a manifest list is named by a tag", name);
	skf_ref_full(&l->ref, l->full);
	if (skf_fmt(l->dir, sizeof(l->dir), "manifests/%s/%s", l->ref.registry, l->ref.repo) < 0 ||
	    skf_fmt(l->file, sizeof(l->file), "_%s.json", l->ref.tag) < 0)
		return skf_fail(e, SKF_EINVALID, "'%s' is too long for a manifest list", name);
	if (change) {
		l->lock = skf_lock_at(g->locks_fd, "manifests", true, SKF_LOCK_MS);
		if (l->lock < 0)
			return skf_fail_sys(e, l->lock, "lock the manifest lists");
	}
	if (load(l, e) < 0)
		return -1;
	return !must || l->doc ? 0 : skf_fail(e, SKF_ENOTFOUND, "No such manifest: %s", name);
}

static int list_save(struct list *l, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES);
	SKF_AUTO_FD int dir = skf_mkdirs_at(l->g->root_fd, l->dir, 0700);
	struct skf_jw w = SKF_JW(&b);
	int r;

	skf_list_write(&w, l->doc);
	skf_buf_chr(&b, '\n');
	r = b.err ? b.err : dir < 0 ? dir : skf_write_atomic_at(dir, l->file, b.p, b.len, 0600, SKF_SYNC);
	return r < 0 ? skf_fail_sys(e, r, "write the manifest list '%s'", l->full) : 0;
}

int skf_engine_list_create(struct skf_engine *g, const char *name, bool amend,
			   const struct skf_strv *annotations, struct skf_err *e)
{
	SKF_AUTO(list_done) struct list l;

	if (list_open(&l, g, name, false, true, e) < 0)
		return -1;
	if (l.doc && !amend)
		return skf_fail(e, SKF_ECONFLICT,
				"the manifest list '%s' exists already; use --amend, or remove it with "
				"skiff manifest rm",
				l.full);
	if (!l.doc)
		l.doc = skf_arena_alloc(&l.a, sizeof(*l.doc));
	if (!l.doc || !(l.doc->name = skf_arena_strdup(&l.a, l.full)))
		return skf_fail(e, SKF_ENOMEM, "memory for a manifest list");
	if (skf_list_annotate_kvs(&l.a, &l.doc->annotations, annotations, e) < 0)
		return -1;
	return list_save(&l, e);
}

/* "key=value" each. */
int skf_list_annotate_kvs(struct skf_arena *a, struct skf_kvs *m, const struct skf_strv *words,
			  struct skf_err *e)
{
	for (size_t i = 0; i < words->n; i++) {
		const char *eq = strchr(words->v[i], '=');
		char *k = eq ? skf_arena_dup(a, words->v[i], (size_t)(eq - words->v[i])) : NULL;

		if (!eq || eq == words->v[i])
			return skf_fail(e, SKF_EINVALID, "annotation '%s': expected KEY=VALUE", words->v[i]);
		if (!k || skf_list_set(a, m, k, eq + 1) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for annotations");
	}
	return 0;
}

static int apply(struct list *l, struct skf_list_entry *x, const struct skf_list_change *c,
		 struct skf_err *e)
{
	const struct {
		const char *value;
		char **at;
	} t[] = {{c->os, &x->platform.os},
		 {c->arch, &x->platform.arch},
		 {c->variant, &x->platform.variant},
		 {c->os_version, &x->platform.os_version}};

	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++)
		if (t[i].value && !(*t[i].at = skf_arena_strdup(&l->a, t[i].value)))
			return skf_fail(e, SKF_ENOMEM, "memory for a manifest list");
	if (c->os_features.n)
		x->platform.os_features = c->os_features;
	if (c->features.n)
		x->platform.features = c->features;
	return skf_list_annotate_kvs(&l->a, &x->annotations, &c->annotations, e);
}

static int put_entry(struct list *l, const struct skf_list_entry *x, struct skf_err *e)
{
	struct skf_list_entry *v = l->doc->manifests.v, *grown;
	size_t n = l->doc->manifests.n;

	for (size_t i = 0; i < n; i++)
		if (skf_streq(v[i].digest, x->digest)) {
			v[i] = *x;
			return 0;
		}
	if (n >= SKF_MAX_INDEX_MANIFESTS)
		return skf_fail(e, SKF_ELIMIT, "a manifest list has at most %d entries",
				SKF_MAX_INDEX_MANIFESTS);
	grown = skf_arena_array(&l->a, n + 1, sizeof(*grown));
	if (!grown)
		return skf_fail(e, SKF_ENOMEM, "memory for a manifest list");
	if (n)
		memcpy(grown, v, n * sizeof(*v));
	grown[n] = *x;
	l->doc->manifests = (struct skf_jarr){grown, n + 1};
	return 0;
}

/* Where an entry's bytes come from later: by digest, so that a moved tag does not matter. */
static char *origin(struct skf_arena *a, const struct skf_copy_place *p, const char *digest)
{
	char full[SKF_MAX_REF_BYTES + 1];
	struct skf_err none = SKF_ERR_INIT;
	struct skf_ref ref;

	if (p->kind == SKF_COPY_STORE)
		return skf_arena_fmt(a, "skiff:%s", p->name);
	if (skf_ref_parse(p->name, &ref, &none) < 0)
		return NULL;
	ref.tag[0] = '\0';
	if (skf_digest_parse(digest, &ref.digest, &none) < 0)
		return NULL;
	skf_ref_full(&ref, full);
	return skf_arena_fmt(a, "docker://%s", full);
}

int skf_engine_list_add(struct skf_engine *g, const char *name, const struct skf_copy_place *image, bool all,
			const char *platform, const struct skf_list_change *c, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf text = SKF_BUF(SKF_MAX_MANIFEST_BYTES);
	SKF_AUTO(list_done) struct list l;
	struct skf_list_entry *v;
	struct skf_jarr found;

	if (list_open(&l, g, name, true, true, e) < 0)
		return -1;
	if (image->kind != SKF_COPY_STORE && image->kind != SKF_COPY_REGISTRY)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"a manifest list takes images of registries and of the store; copy this one "
				"there first");
	if (skf_copy_describe(g, image, all, platform, &text, e) < 0 ||
	    skf_list_parse_entries(skf_buf_cstr(&text), text.len, &l.a, &found, e) < 0)
		return -1;
	v = found.v;
	for (size_t i = 0; i < found.n; i++) {
		v[i].from = origin(&l.a, image, v[i].digest);
		if (!v[i].from)
			return skf_fail(e, SKF_ENOMEM, "origin of '%s'", v[i].digest);
		if (apply(&l, &v[i], c, e) < 0 || put_entry(&l, &v[i], e) < 0)
			return -1;
	}
	return list_save(&l, e);
}

/* word: a digest of the list, or the name of an image that was added. */
static struct skf_list_entry *find(struct list *l, const char *word, struct skf_err *e)
{
	struct skf_list_entry *v = l->doc->manifests.v;
	const char *at = strchr(word, '@'), *digest = at ? at + 1 : word;
	struct skf_err none = SKF_ERR_INIT;
	struct skf_ref want, have;

	for (size_t i = 0; i < l->doc->manifests.n; i++) {
		const char *from = v[i].from ? strchr(v[i].from, ':') : NULL;

		if (skf_streq(v[i].digest, digest))
			return &v[i];
		from = from ? from + (skf_startswith(from, "://") ? 3 : 1) : NULL;
		if (from && skf_ref_parse(word, &want, &none) == 0 &&
		    skf_ref_parse(from, &have, &none) == 0 && skf_streq(want.registry, have.registry) &&
		    skf_streq(want.repo, have.repo) && (!have.tag[0] || skf_streq(want.tag, have.tag)))
			return &v[i];
	}
	skf_fail(e, SKF_ENOTFOUND, "the manifest list '%s' has no '%s'", l->full, word);
	return NULL;
}

int skf_engine_list_annotate(struct skf_engine *g, const char *name, const char *image,
			     const struct skf_list_change *c, struct skf_err *e)
{
	SKF_AUTO(list_done) struct list l;
	struct skf_list_entry *x;

	if (list_open(&l, g, name, true, true, e) < 0)
		return -1;
	x = find(&l, image, e);
	return !x || apply(&l, x, c, e) < 0 ? -1 : list_save(&l, e);
}

int skf_engine_list_remove(struct skf_engine *g, const char *name, const char *image, struct skf_err *e)
{
	SKF_AUTO(list_done) struct list l;
	struct skf_list_entry *x, *v;

	if (list_open(&l, g, name, true, true, e) < 0)
		return -1;
	x = find(&l, image, e);
	if (!x)
		return -1;
	v = l.doc->manifests.v;
	memmove(x, x + 1, (size_t)(v + l.doc->manifests.n - (x + 1)) * sizeof(*x));
	l.doc->manifests.n--;
	return list_save(&l, e);
}

int skf_engine_list_rm(struct skf_engine *g, const char *name, struct skf_err *e)
{
	SKF_AUTO(list_done) struct list l;
	SKF_AUTO_FD int dir = -EBADF;

	if (list_open(&l, g, name, true, true, e) < 0)
		return -1;
	dir = skf_openat(g->root_fd, l.dir, O_RDONLY | O_DIRECTORY, 0);
	if (dir < 0 || unlinkat(dir, l.file, 0) < 0)
		return skf_fail_sys(e, dir < 0 ? dir : -errno, "remove the manifest list '%s'", l.full);
	return 0;
}

int skf_engine_list_show(struct skf_engine *g, const char *name, struct skf_jw *w, struct skf_err *e)
{
	SKF_AUTO(list_done) struct list l;

	if (list_open(&l, g, name, false, false, e) < 0)
		return -1;
	if (!l.doc)
		return 0;
	skf_list_write_index(w, l.doc);
	return w->b->err ? skf_fail_sys(e, w->b->err, "manifest list '%s'", l.full) : 1;
}

/* What skiff-image copies from: the index, and where each entry comes from. */
static int source(const struct list *l, struct skf_buf *b, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf index = SKF_BUF(SKF_MAX_MANIFEST_BYTES);
	const struct skf_list_entry *v = l->doc->manifests.v;
	struct skf_jw wi = SKF_JW(&index), w = SKF_JW(b);

	skf_list_write_index(&wi, l->doc);
	skf_jw_obj(&w);
	skf_jw_kstr(&w, "index", skf_buf_cstr(&index));
	skf_jw_karr(&w, "from");
	for (size_t i = 0; i < l->doc->manifests.n; i++) {
		bool store = skf_startswith(v[i].from, "skiff:");

		skf_jw_obj(&w);
		skf_jw_kstr(&w, "digest", v[i].digest);
		skf_jw_ku64(&w, "kind", store ? SKF_COPY_STORE : SKF_COPY_REGISTRY);
		skf_jw_kstr(&w, "name", v[i].from + (store ? 6 : 9));
		skf_jw_end(&w);
	}
	skf_jw_end_arr(&w);
	skf_jw_end(&w);
	return index.err || b->err ? skf_fail(e, SKF_ENOMEM, "manifest list '%s'", l->full) : 0;
}

int skf_engine_list_push(struct skf_engine *g, const char *name, const struct skf_copy_req *q,
			 const struct skf_progress *p, struct skf_digest *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf doc = SKF_BUF(SKF_MAX_MANIFEST_BYTES * 2);
	SKF_AUTO(list_done) struct list l;
	SKF_AUTO_FD int fd = -EBADF;
	struct skf_copy_req c = *q;
	int r;

	if (list_open(&l, g, name, true, false, e) < 0)
		return -1;
	if (!l.doc->manifests.n)
		return skf_fail(e, SKF_EINVALID, "the manifest list '%s' is empty", l.full);
	if (source(&l, &doc, e) < 0)
		return -1;
	fd = skf_openat(g->root_fd, ".", O_TMPFILE | O_RDWR, 0600);
	r = fd < 0 ? fd : skf_write_full(fd, doc.p, doc.len);
	if (r < 0)
		return skf_fail_sys(e, r, "manifest list '%s'", l.full);
	c.src.kind = SKF_COPY_LIST;
	c.src.name = "";
	c.src.fd = fd;
	c.all = true;
	if (!c.dest.name)
		c.dest.name = l.full;
	return skf_engine_copy(g, &c, p, ret, e);
}
