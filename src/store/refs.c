/* store/refs.c -- references: refs/<registry>/<repo>/_tags/<tag> and _digests/<hex>, one small JSON file
 * each.
 *
 * Invariants:
 *  1. A reference is written under locks/store shared, after its image was seen whole; so collection, which
 *     marks under the exclusive lock, never takes an image away from a new reference.
 *  2. No part of a repository begins with '_' or '.', so that the two directories and temporary files cannot
 *     be mistaken for one.
 *  3. Empty directories are removed by collection only, under the exclusive lock.
 *
 * Blocks on the disk and on locks/store. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "store/store_int.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define REF_PATH_MAX (SKF_MAX_REPO_BYTES * 2 + 32)

struct refdoc {
	struct skf_store_ver ver;
	struct skf_digest top, manifest;
	int64_t updated;
};

static int refdoc_check(struct skf_jctx *c, void *obj)
{
	return skf_store_check_ver(c, &((struct refdoc *)obj)->ver, SKF_STORE_FORMAT);
}

static const struct skf_jfield ref_f[] = {
	SKF_J(struct refdoc, ver.v, "v", skf_j_u32, NULL, SKF_J_REQUIRED),
	SKF_J(struct refdoc, ver.min, "min", skf_j_u32, NULL, SKF_J_REQUIRED),
	SKF_J(struct refdoc, top, "digest", skf_store_j_digest, NULL, SKF_J_REQUIRED),
	SKF_J(struct refdoc, manifest, "manifest", skf_store_j_digest, NULL, SKF_J_REQUIRED),
	SKF_J(struct refdoc, updated, "updated", skf_j_i64, NULL, 0),
	SKF_J_END,
};
static const struct skf_jtable ref_table = {sizeof(struct refdoc), ref_f, false, refdoc_check};

static bool parts_are_names(const char *s)
{
	while (*s) {
		size_t n = strcspn(s, "/");

		if (n == 0 || n > NAME_MAX || *s == '.' || *s == '_')
			return false;
		s += n + (s[n] == '/');
	}
	return true;
}

/* Directory below the root and file name of a reference. The grammar (oci/ref.h) allows nothing that could
 * leave refs/; a struct that somebody filled by hand is checked here once more. */
static int ref_place(const struct skf_ref *r, char dir[REF_PATH_MAX],
		     char name[SKF_DIGEST_MAX + SKF_MAX_TAG_BYTES], struct skf_err *e)
{
	char full[SKF_MAX_REF_BYTES + 1];
	bool by_digest = !*r->tag;

	skf_ref_full(r, full);
	if (!*r->registry || !*r->repo || strchr(r->registry, '/') || !parts_are_names(r->registry) ||
	    !parts_are_names(r->repo) || strchr(r->tag, '/') || *r->tag == '.')
		return skf_fail(e, SKF_EINVALID, "'%s' cannot be the name of a reference", full);
	if (by_digest && skf_store_check_digest(&r->digest, e) < 0)
		return skf_ctx(e, "reference '%s' has neither tag nor digest", full);
	if (skf_fmt(dir, REF_PATH_MAX, "refs/%s/%s/%s", r->registry, r->repo,
		    by_digest ? "_digests" : "_tags") < 0 ||
	    skf_fmt(name, SKF_DIGEST_MAX + SKF_MAX_TAG_BYTES, "%s",
		    by_digest ? skf_digest_hex(&r->digest) : r->tag) < 0)
		return skf_fail(e, SKF_ELIMIT, "reference '%s' is too long", full);
	return 0;
}

static int write_ref(struct skf_store *s, const char *dir, const char *name, const struct skf_buf *b)
{
	SKF_AUTO_FD int fd = skf_mkdirs_at(s->fd, dir, 0700);

	if (fd < 0)
		return fd;
	return skf_write_atomic_at(fd, name, b->p, b->len, 0600, SKF_SYNC);
}

static void encode_ref(struct skf_buf *b, const struct skf_digest *top, const struct skf_digest *manifest)
{
	struct skf_jw w = SKF_JW(b);

	skf_jw_obj(&w);
	skf_jw_ku64(&w, "v", SKF_STORE_FORMAT);
	skf_jw_ku64(&w, "min", 1);
	skf_jw_kstr(&w, "digest", top->s);
	skf_jw_kstr(&w, "manifest", manifest->s);
	skf_jw_kint(&w, "updated", skf_now_ns());
	skf_jw_end(&w);
	skf_buf_chr(b, '\n');
}

int skf_store_ref_set(struct skf_store *s, const struct skf_ref *ref, const struct skf_digest *top,
		      const struct skf_digest *manifest, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 8);
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4096);
	SKF_AUTO_FD int lock = -EBADF;
	char dir[REF_PATH_MAX], name[SKF_DIGEST_MAX + SKF_MAX_TAG_BYTES];
	struct skf_image *image;
	int r;

	if (ref_place(ref, dir, name, e) < 0 || skf_store_check_digest(top, e) < 0 ||
	    skf_store_lock(s, false, &lock, e) < 0 || skf_store_image_get(s, manifest, &a, &image, e) < 0 ||
	    skf_store_image_check(s, image, e) < 0)
		return -1;
	encode_ref(&b, top, manifest);
	if (b.err)
		return skf_fail_sys(e, b.err, "reference '%s/%s'", dir, name);
	r = write_ref(s, dir, name, &b);
	return r < 0 ? skf_fail_sys(e, r, "write the reference '%s/%s'", dir, name) : 0;
}

static int read_ref(int dirfd, const char *path, struct skf_refrec *ret, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 4);
	const struct skf_jdoc doc = {.name = "reference", .max_bytes = SKF_MAX_OBJECT_BYTES};
	struct refdoc *d;
	void *v;

	if (skf_json_decode_at(&doc, dirfd, path, &ref_table, &a, &v, e) < 0)
		return -1;
	d = v;
	ret->top = d->top;
	ret->manifest = d->manifest;
	ret->updated_ns = d->updated;
	return 0;
}

int skf_store_ref_find(struct skf_store *s, const struct skf_ref *ref, struct skf_refrec *ret,
		       struct skf_err *e)
{
	char dir[REF_PATH_MAX], name[SKF_DIGEST_MAX + SKF_MAX_TAG_BYTES], path[sizeof(dir) + sizeof(name)];
	struct skf_err why = SKF_ERR_INIT;
	struct skf_refrec rec = {.ref = *ref};
	int r;

	if (ref_place(ref, dir, name, e) < 0)
		return -1;
	r = skf_fmt(path, sizeof(path), "%s/%s", dir, name);
	if (r < 0)
		return skf_fail_sys(e, r, "reference '%s/%s'", dir, name);
	if (read_ref(s->fd, path, &rec, &why) < 0) {
		if (why.kind == SKF_ENOTFOUND)
			return 0;
		*e = why;
		return skf_ctx(e, "'%s'", path);
	}
	/* name:tag@digest means this digest only, whatever the tag has become. */
	if (*ref->tag && *ref->digest.s && !skf_digest_eq(&ref->digest, &rec.top) &&
	    !skf_digest_eq(&ref->digest, &rec.manifest))
		return 0;
	*ret = rec;
	return 1;
}

int skf_store_ref_remove(struct skf_store *s, const struct skf_ref *ref, struct skf_err *e)
{
	char dir[REF_PATH_MAX], name[SKF_DIGEST_MAX + SKF_MAX_TAG_BYTES], full[SKF_MAX_REF_BYTES + 1];
	SKF_AUTO_FD int fd = -EBADF;

	if (ref_place(ref, dir, name, e) < 0)
		return -1;
	skf_ref_full(ref, full);
	fd = skf_openat(s->fd, dir, O_RDONLY | O_DIRECTORY, 0);
	if (fd == -ENOENT || (fd >= 0 && unlinkat(fd, name, 0) < 0 && errno == ENOENT))
		return skf_fail(e, SKF_ENOTFOUND, "the store '%s' has no reference '%s'", s->root, full);
	if (fd < 0 || faccessat(fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return skf_fail_sys(e, fd < 0 ? fd : -EPERM, "remove the reference '%s'", full);
	return 0;
}

/* --- listing --- */

struct listing {
	struct skf_arena *a;
	struct skf_refrec *v;
	size_t n, cap;
	char path[REF_PATH_MAX]; /* "registry/repo" of the directory being read */
	size_t len;
	const char *sep; /* ":" in _tags, "@" in _digests, NULL elsewhere */
	unsigned depth;
};

static int add_ref(struct listing *l, int dirfd, const char *name, struct skf_err *e)
{
	char full[REF_PATH_MAX + SKF_DIGEST_MAX + SKF_MAX_TAG_BYTES];
	const char *algo = *l->sep == ':' ? "" : strlen(name) == 64 ? "sha256:" : "sha512:";
	struct skf_refrec *r;

	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 32;
		struct skf_refrec *v = skf_arena_array(l->a, cap, sizeof(*v));

		if (!v)
			return skf_fail(e, SKF_ENOMEM, "no memory for the list of references");
		if (l->n)
			memcpy(v, l->v, l->n * sizeof(*v));
		l->v = v;
		l->cap = cap;
	}
	r = &l->v[l->n];
	*r = (struct skf_refrec){0};
	if (skf_fmt(full, sizeof(full), "%s%s%s%s", l->path, l->sep, algo, name) < 0 ||
	    skf_ref_parse(full, &r->ref, e) < 0)
		return skf_fail(e, SKF_ECORRUPT, "'refs/%s' holds '%s', which is no reference; remove it",
				l->path, name);
	if (*l->sep == '@')
		r->ref.tag[0] = 0;
	if (read_ref(dirfd, name, r, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return skf_ctx(e, "'%s'", full);
		skf_err_clear(e); /* removed since the directory was read */
		return 0;
	}
	l->n++;
	return 0;
}

static int list_entry(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	struct listing *l = arg;
	size_t len = l->len;
	int r;

	if (*name == '.')
		return 0;
	if (l->sep)
		return add_ref(l, dirfd, name, e);
	if (l->depth > SKF_MAX_REPO_BYTES / 2)
		return skf_fail(e, SKF_ECORRUPT, "'refs/%s' is nested too deeply; remove it", l->path);
	if (*name == '_') {
		l->sep = skf_streq(name, "_tags") ? ":" : "@";
	} else {
		if (skf_fmt(l->path + len, sizeof(l->path) - len, "%s%s", len ? "/" : "", name) < 0)
			return skf_fail(e, SKF_ECORRUPT,
					"'refs/%s/%s' is too long for a reference; remove it", l->path,
					name);
		l->len += strlen(l->path + len);
	}
	l->depth++;
	r = skf_store_each(dirfd, name, list_entry, l, e);
	l->depth--;
	l->sep = NULL;
	l->len = len;
	l->path[len] = 0;
	return r;
}

static int by_name(const void *a, const void *b)
{
	char x[SKF_MAX_REF_BYTES + 1], y[SKF_MAX_REF_BYTES + 1];

	skf_ref_full(&((const struct skf_refrec *)a)->ref, x);
	skf_ref_full(&((const struct skf_refrec *)b)->ref, y);
	return strcmp(x, y);
}

int skf_store_ref_list(struct skf_store *s, struct skf_arena *a, struct skf_jarr *ret, struct skf_err *e)
{
	struct listing l = {.a = a};

	if (skf_store_each(s->fd, "refs", list_entry, &l, e) < 0)
		return -1;
	if (l.n > 1)
		qsort(l.v, l.n, sizeof(*l.v), by_name);
	*ret = (struct skf_jarr){l.v, l.n};
	return 0;
}

/* --- images without a name --- */
#define NAMELESS_REGISTRY "localhost"
#define NAMELESS_REPO     "nameless-images"

void skf_store_nameless(const struct skf_digest *manifest, struct skf_ref *ret)
{
	*ret = (struct skf_ref){.registry = NAMELESS_REGISTRY, .repo = NAMELESS_REPO, .digest = *manifest};
}

bool skf_store_is_nameless(const struct skf_ref *ref)
{
	return !ref->tag[0] && skf_streq(ref->registry, NAMELESS_REGISTRY) &&
	       skf_streq(ref->repo, NAMELESS_REPO);
}
