/* engine/artifacts.c -- artifacts (any files, of any media type) that are kept here: an OCI layout at
 * <root>/artifacts, apart from the images.
 *
 * Invariants: 1. what is on its way stands in a layout of its own, artifacts/.tmp-<random>, whose lock file
 * is held; it is moved into the common one under locks/artifacts, index.json last; 2. blobs that no entry
 * needs are removed under the same lock; 3. no lock is held over the network but one's own. Blocks: disk;
 * push, pull and attach on the network. */
#include "base/arena.h"
#include "base/fd.h"
#include "engine/archive_int.h"
#include "engine/artifact_int.h"
#include "store/store.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NAME_OCI "org.opencontainers.image.ref.name"
#define TMP      ".tmp-"

void skf_art_done(struct skf_art *x)
{
	if (x->tmp_name[0]) {
		skf_rmtree_at(x->dir, x->tmp_name); /* what cannot be removed is swept by the next change */
		unlinkat(x->g->locks_fd, x->lock_name, 0);
	}
	skf_closep(&x->tmp);
	skf_closep(&x->tmp_lock);
	skf_closep(&x->lock);
	skf_closep(&x->dir);
	skf_arena_done(&x->a);
}

static int read_index(int dir, struct skf_arena *a, struct skf_index **ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1);
	int r = skf_read_file_at(dir, "index.json", SKF_MAX_MANIFEST_BYTES, &b);

	if (r == -ENOENT) {
		*ret = skf_arena_alloc(a, sizeof(**ret));
		return *ret ? 0 : skf_fail(e, SKF_ENOMEM, "index of the artifacts");
	}
	if (r < 0)
		return skf_fail_sys(e, r, "read the index of the artifacts");
	return skf_index_parse(skf_buf_cstr(&b), b.len, "", a, ret, e) < 0
		       ? skf_ctx(e, "index of the artifacts")
		       : 0;
}

int skf_art_open(struct skf_engine *g, bool change, struct skf_art *x, struct skf_err *e)
{
	static const char *const dirs[] = {"artifacts", "artifacts/blobs", "artifacts/blobs/sha256",
					   "artifacts/blobs/sha512"};
	int r = 0;

	*x = (struct skf_art){.g = g,
			      .dir = -EBADF,
			      .lock = -EBADF,
			      .tmp = -EBADF,
			      .tmp_lock = -EBADF,
			      .a = SKF_ARENA(SKF_MAX_ARENA_DOC)};
	for (size_t i = 0; r == 0 && i < SKF_ARRAY_LEN(dirs); i++)
		r = skf_mkdir_at(g->root_fd, dirs[i], 0700);
	if (r == 0)
		r = x->dir = skf_openat(g->root_fd, "artifacts", O_RDONLY | O_DIRECTORY, 0);
	if (r < 0)
		return skf_fail_sys(e, r, "open the directory of artifacts");
	if (change) {
		x->lock = skf_lock_at(g->locks_fd, "artifacts", true, SKF_LOCK_MS);
		if (x->lock < 0)
			return skf_fail_sys(e, x->lock, "lock the artifacts");
	}
	return read_index(x->dir, &x->a, &x->index, e);
}

int skf_art_begin(struct skf_art *x, struct skf_err *e)
{
	char rnd[17];
	int r = skf_random_hex(rnd, 8);

	if (r == 0)
		r = skf_fmt(x->lock_name, sizeof(x->lock_name), "artifact-%s", rnd);
	if (r == 0)
		r = x->tmp_lock = skf_lock_at(x->g->locks_fd, x->lock_name, true, 0);
	if (r >= 0)
		r = skf_fmt(x->tmp_name, sizeof(x->tmp_name), TMP "%s", rnd);
	if (r == 0)
		r = skf_mkdir_at(x->dir, x->tmp_name, 0700);
	if (r == 0)
		r = x->tmp = skf_openat(x->dir, x->tmp_name, O_RDONLY | O_DIRECTORY, 0);
	return r < 0 ? skf_fail_sys(e, r, "make a directory for an artifact") : 0;
}

/* --- the index --- */
const char *skf_art_name(const struct skf_desc *d)
{
	const char *s = skf_kvs_get(&d->annotations, NAME_OCI);

	return s ? s : "";
}

static void put_entry(struct skf_jw *w, const struct skf_desc *d)
{
	skf_jw_obj(w);
	skf_jw_kstr(w, "mediaType", d->media_type);
	skf_jw_kstr(w, "digest", d->digest.s);
	skf_jw_ku64(w, "size", d->size);
	skf_jw_kkvs(w, "annotations", &d->annotations);
	skf_jw_end(w);
}

/* The index without what is named `name`, and with `more` (NULL: nothing). */
static int write_index(struct skf_art *x, const char *name, const struct skf_desc *more, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES);
	static const char layout[] = "{\"imageLayoutVersion\":\"1.0.0\"}";
	const struct skf_desc *d = x->index->manifests.v;
	struct skf_jw w = SKF_JW(&b);
	int r;

	skf_jw_obj(&w);
	skf_jw_kint(&w, "schemaVersion", 2);
	skf_jw_kstr(&w, "mediaType", "application/vnd.oci.image.index.v1+json");
	skf_jw_karr(&w, "manifests");
	for (size_t i = 0; i < x->index->manifests.n; i++)
		if (!skf_streq(skf_art_name(&d[i]), name))
			put_entry(&w, &d[i]);
	if (more)
		put_entry(&w, more);
	skf_jw_end_arr(&w);
	skf_jw_end(&w);
	r = b.err ? b.err : skf_write_atomic_at(x->dir, "oci-layout", layout, sizeof(layout) - 1, 0600, 0);
	if (r == 0)
		r = skf_write_atomic_at(x->dir, "index.json", b.p, b.len, 0600, SKF_SYNC);
	return r < 0 ? skf_fail_sys(e, r, "write the index of the artifacts")
		     : read_index(x->dir, &x->a, &x->index, e);
}

/* --- what is needed, and what is not --- */
static int blob_path(const struct skf_digest *d, char out[SKF_DIGEST_MAX + 24], struct skf_err *e)
{
	const char *hex = skf_digest_hex(d);

	return skf_fmt(out, SKF_DIGEST_MAX + 24, "blobs/%.*s/%s", (int)(hex - 1 - d->s), d->s, hex) < 0
		       ? skf_fail(e, SKF_EBUG, "name of '%s'", d->s)
		       : 0;
}

int skf_art_manifest(struct skf_art *x, const struct skf_desc *d, struct skf_buf *b,
		     struct skf_manifest **ret, struct skf_err *e)
{
	char path[SKF_DIGEST_MAX + 24];
	int r;

	if (blob_path(&d->digest, path, e) < 0)
		return -1;
	r = skf_read_file_at(x->dir, path, SKF_MAX_MANIFEST_BYTES, b);
	if (r < 0)
		return skf_fail_sys(e, r, "read the manifest of artifact '%s'", skf_art_name(d));
	return skf_manifest_parse(skf_buf_cstr(b), b->len, d->media_type, &x->a, ret, e) < 0
		       ? skf_ctx(e, "artifact '%s'", skf_art_name(d))
		       : 0;
}

int skf_art_blob(struct skf_art *x, const struct skf_digest *d, int *ret_fd, struct skf_err *e)
{
	char path[SKF_DIGEST_MAX + 24];
	int fd = blob_path(d, path, e) < 0 ? -EINVAL : skf_openat(x->dir, path, O_RDONLY | O_NOFOLLOW, 0);

	if (fd < 0)
		return skf_fail_sys(e, fd, "open blob '%s' of the artifacts", d->s);
	*ret_fd = fd;
	return 0;
}

struct sweep {
	struct skf_art *x;
	struct skf_strv keep; /* hex digits */
};

static int mark(struct sweep *s, const struct skf_digest *d, struct skf_err *e)
{
	return skf_strv_add(&s->x->a, &s->keep, skf_digest_hex(d)) < 0
		       ? skf_fail(e, SKF_ENOMEM, "list of blobs")
		       : 0;
}

static int mark_all(struct sweep *s, struct skf_err *e)
{
	const struct skf_desc *d = s->x->index->manifests.v;

	for (size_t i = 0; i < s->x->index->manifests.n; i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1);
		const struct skf_desc *l;
		struct skf_manifest *m;

		if (mark(s, &d[i].digest, e) < 0 || skf_art_manifest(s->x, &d[i], &b, &m, e) < 0 ||
		    mark(s, &m->config.digest, e) < 0)
			return -1;
		l = m->layers.v;
		for (size_t k = 0; k < m->layers.n; k++)
			if (mark(s, &l[k].digest, e) < 0)
				return -1;
	}
	return 0;
}

static int each(int dirfd, const char *path,
		int (*fn)(void *arg, int dirfd, const char *name, struct skf_err *e), void *arg,
		struct skf_err *e)
{
	int fd = skf_openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (fd == -ENOENT)
		return 0;
	if (!d)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "open the directory '%s' of the artifacts",
				    path);
	for (const struct dirent *de; (de = readdir(d));)
		if (!skf_streq(de->d_name, ".") && !skf_streq(de->d_name, "..") &&
		    fn(arg, fd, de->d_name, e) < 0)
			return -1;
	return 0;
}

static int sweep_blob(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	const struct sweep *s = arg;

	for (size_t i = 0; i < s->keep.n; i++)
		if (skf_streq(s->keep.v[i], name))
			return 0;
	return unlinkat(dirfd, name, 0) < 0
		       ? skf_fail_sys(e, -errno, "remove blob '%s' of the artifacts", name)
		       : 0;
}

/* Directories of a process that has gone. */
static int sweep_tmp(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	const struct sweep *s = arg;
	char lock[64];
	SKF_AUTO_FD int fd = -EBADF;

	if (!skf_startswith(name, TMP) || skf_streq(name, s->x->tmp_name) ||
	    skf_fmt(lock, sizeof(lock), "artifact-%s", name + strlen(TMP)) < 0)
		return 0;
	fd = skf_lock_at(s->x->g->locks_fd, lock, true, 0);
	if (fd < 0)
		return 0;
	int r = skf_rmtree_at(dirfd, name);
	unlinkat(s->x->g->locks_fd, lock, 0);
	return r < 0 ? skf_fail_sys(e, r, "remove '%s' of the artifacts", name) : 0;
}

static int sweep(struct skf_art *x, struct skf_err *e)
{
	struct sweep s = {.x = x};

	if (mark_all(&s, e) < 0 || each(x->dir, "blobs/sha256", sweep_blob, &s, e) < 0 ||
	    each(x->dir, "blobs/sha512", sweep_blob, &s, e) < 0)
		return -1;
	return each(x->dir, ".", sweep_tmp, &s, e);
}

static int move_blob(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	const int *to = arg;

	return renameat(dirfd, name, *to, name) < 0
		       ? skf_fail_sys(e, -errno, "keep blob '%s' of an artifact", name)
		       : 0;
}

int skf_art_commit(struct skf_art *x, const char *name, struct skf_err *e)
{
	static const char *const dirs[] = {"blobs/sha256", "blobs/sha512"};
	struct skf_index *fresh;
	const struct skf_desc *d;

	x->lock = skf_lock_at(x->g->locks_fd, "artifacts", true, SKF_LOCK_MS);
	if (x->lock < 0)
		return skf_fail_sys(e, x->lock, "lock the artifacts");
	if (read_index(x->tmp, &x->a, &fresh, e) < 0 || read_index(x->dir, &x->a, &x->index, e) < 0)
		return -1;
	d = fresh->manifests.v;
	if (fresh->manifests.n != 1 || d->media != SKF_MEDIA_MANIFEST)
		return skf_fail(e, SKF_EUNSUPPORTED, "'%s' is an index of several images, no artifact",
				name);
	for (size_t i = 0; i < SKF_ARRAY_LEN(dirs); i++) {
		SKF_AUTO_FD int to = skf_openat(x->dir, dirs[i], O_RDONLY | O_DIRECTORY, 0);

		if (to < 0 || each(x->tmp, dirs[i], move_blob, &to, e) < 0)
			return to < 0 ? skf_fail_sys(e, to, "open '%s' of the artifacts", dirs[i]) : -1;
	}
	return write_index(x, name, d, e) < 0 ? -1 : sweep(x, e);
}

/* --- finding --- */
int skf_art_find(struct skf_art *x, const char *word, const struct skf_desc **ret, struct skf_err *e)
{
	const struct skf_desc *d = x->index->manifests.v;
	char full[SKF_MAX_REF_BYTES + 1] = "";
	const char *hex = skf_digest_skip_alg(word);
	struct skf_err none = SKF_ERR_INIT;
	struct skf_ref ref;

	*ret = NULL;
	if (skf_ref_parse(word, &ref, &none) == 0)
		skf_ref_full(&ref, full);
	for (size_t i = 0; i < x->index->manifests.n; i++)
		if (skf_streq(skf_art_name(&d[i]), full)) {
			*ret = &d[i];
			return 0;
		}
	for (size_t i = 0; i < x->index->manifests.n; i++)
		if (strlen(hex) >= 6 && skf_startswith(skf_digest_hex(&d[i].digest), hex)) {
			if (*ret && !skf_digest_eq(&(*ret)->digest, &d[i].digest))
				return skf_fail(e, SKF_ECONFLICT,
						"several artifacts begin with '%s'; give more digits", word);
			*ret = &d[i];
		}
	return *ret ? 0 : skf_fail(e, SKF_ENOTFOUND, "No such artifact: %.300s", word);
}

int skf_engine_artifact_rm(struct skf_engine *g, const char *name, struct skf_digest *ret, struct skf_err *e)
{
	SKF_AUTO(skf_art_done) struct skf_art x;
	const struct skf_desc *d;

	if (skf_art_open(g, true, &x, e) < 0 || skf_art_find(&x, name, &d, e) < 0)
		return -1;
	*ret = d->digest;
	return write_index(&x, skf_art_name(d), NULL, e) < 0 ? -1 : sweep(&x, e);
}
