/* store/gc.c -- collection: mark (gc_mark.c) from references, containers and live leases, sweep what is
 * unmarked.
 *
 * Invariants:
 *  1. Marking and renaming to trash/ happen under locks/store exclusive; unlinking happens after it is
 *     released.
 *  2. Fails closed: a reference, container or lease that cannot be read ends the collection before anything
 *     is moved.
 *  3. What is being made is known by a lock, never by its age: ingest/<hex> by locks/ingest-<hex>,
 *     layers/.tmp-* by the file `lock` in it, leases by themselves. Other dot-files of the object
 *     directories are garbage under the exclusive lock (content.c 2).
 *
 * Blocks on the disk, on locks/store, and for as long as unlinking takes. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "store/gc_int.h"
#include "store/snapshot.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* --- sweep --- */

static int drop(struct skf_gc *g, int dirfd, const char *name, uint64_t *count, uint64_t bytes,
		struct skf_err *e)
{
	if (count)
		(*count)++;
	g->res->bytes += bytes;
	return g->dry ? 0 : skf_store_to_trash(g->s, dirfd, name, e);
}

static uint64_t file_size(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && st.st_size > 0 ? (uint64_t)st.st_size
										     : 0;
}

static int sweep_lease(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	struct skf_gc *g = arg;
	int held = skf_lock_held_at(dirfd, name);

	if (held < 0)
		return skf_fail_sys(e, held, "look whether the lease '%s' is held", name);
	if (held) {
		g->keep_copies = true;
		return skf_gc_mark_lease(g, dirfd, name, e);
	}
	g->res->n_leases++;
	if (!g->dry && unlinkat(dirfd, name, 0) < 0 && errno != ENOENT)
		return skf_fail_sys(e, -errno, "remove the lease '%s'", name);
	return 0;
}

static int sweep_blob(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	struct skf_gc *g = arg;

	if (skf_gc_marked(g, name))
		return 0;
	return drop(g, dirfd, name, *name == '.' ? NULL : &g->res->n_blobs, file_size(dirfd, name), e);
}

static int sweep_image(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	struct skf_gc *g = arg;

	if (skf_gc_marked(g, name))
		return 0;
	return drop(g, dirfd, name, *name == '.' ? NULL : &g->res->n_images, file_size(dirfd, name), e);
}

static uint64_t layer_size(int dirfd, const char *name)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 4);
	SKF_AUTO_FD int fd = skf_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	struct skf_err ignored = SKF_ERR_INIT;
	struct skf_seal *seal;

	/* Only a figure for the user: a layer without a readable seal counts as nothing. */
	return fd >= 0 && skf_store_seal_read(fd, &a, &seal, &ignored) == 0 ? seal->size : 0;
}

struct layer_at {
	struct skf_gc *g;
	const char *hex;
};

/* What lies beside the tree of a layer that is used: copies in the ids of user namespaces, and what somebody
 * who died was making. */
static int sweep_form(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	const struct layer_at *l = arg;
	char word[SKF_DIGEST_MAX + 300];

	if (skf_startswith(name, SKF_STORE_TMP SKF_MAP_PREFIX)) {
		int held = skf_fmt(word, sizeof(word), "%s/lock", name);

		if (held == 0)
			held = skf_lock_held_at(dirfd, word);
		if (held < 0)
			return skf_fail_sys(e, held, "look whether somebody is making 'layers/%s/%s'",
					    l->hex, name);
		return held ? 0 : drop(l->g, dirfd, name, NULL, 0, e);
	}
	if (!skf_startswith(name, SKF_MAP_PREFIX) || l->g->keep_copies ||
	    skf_fmt(word, sizeof(word), "%s/%s", l->hex, name) < 0 || skf_gc_set_has(&l->g->forms, word))
		return 0;
	return drop(l->g, dirfd, name, &l->g->res->n_layers, layer_size(dirfd, "."), e);
}

static int sweep_forms(struct skf_gc *g, int dirfd, const char *name, struct skf_err *e)
{
	struct layer_at l = {g, name};

	return skf_store_each(dirfd, name, sweep_form, &l, e);
}

static int sweep_layer(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	struct skf_gc *g = arg;

	if (skf_startswith(name, SKF_STORE_TMP)) {
		char lock[300];
		int held = skf_fmt(lock, sizeof(lock), "%s/lock", name);

		if (held == 0)
			held = skf_lock_held_at(dirfd, lock);
		if (held < 0)
			return skf_fail_sys(e, held, "look whether somebody is making 'layers/%s'", name);
		return held ? 0 : drop(g, dirfd, name, NULL, 0, e);
	}
	if (skf_gc_marked(g, name))
		return sweep_forms(g, dirfd, name, e);
	return drop(g, dirfd, name, &g->res->n_layers, layer_size(dirfd, name), e);
}

static bool is_young(int dirfd, const char *name)
{
	struct stat st;

	return fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
	       skf_now_ns() / 1000000000 - st.st_mtim.tv_sec < SKF_DOWNLOAD_KEEP_S;
}

/* A download that nobody works on is for the next pull to go on with, for a day. That of an image which is
 * complete was left by a process that died between the layer's last rename and its own cleaning. */
static int sweep_ingest(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	struct skf_gc *g = arg;
	char lock[300], data[300];
	int held = skf_fmt(lock, sizeof(lock), "ingest-%s", name);

	if (skf_gc_set_has(&g->leased, name))
		return 0;
	if (held == 0)
		held = skf_lock_held_at(g->locks, lock);
	if (held < 0)
		return skf_fail_sys(e, held, "look whether the download '%s' is held", name);
	if (held || skf_fmt(data, sizeof(data), "%s/data", name) < 0)
		return 0;
	if (g->keep_downloads && !skf_gc_marked(g, name) && is_young(dirfd, data))
		return 0;
	return drop(g, dirfd, name, &g->res->n_ingests, file_size(dirfd, data), e);
}

/* A lock file may go when nobody holds it: whoever opened it meanwhile sees, once it has the lock, that the
 * name is gone, and opens it anew (base/lock.c). Those of containers that exist stay. */
static int sweep_lock(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	struct skf_gc *g = arg;
	SKF_AUTO_FD int fd = -EBADF;
	char ctr[300];

	(void)e;
	if (g->dry || skf_streq(name, "store"))
		return 0;
	if (skf_startswith(name, "container-")) {
		if (skf_fmt(ctr, sizeof(ctr), "containers/%s", name + 10) < 0 ||
		    faccessat(g->s->fd, ctr, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			return 0;
	} else if (!skf_startswith(name, "ingest-") && !skf_startswith(name, "layer-")) {
		return 0;
	}
	fd = skf_lock_at(dirfd, name, true, 0);
	if (fd >= 0)
		unlinkat(dirfd, name, 0); /* a lock file that stays is empty and harmless */
	return 0;
}

/* Empty directories of refs/, deepest first, and temporary files; under the exclusive lock nobody is making
 * one. */
static int prune_refs(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	struct skf_gc *g = arg;

	if (*name == '.')
		return drop(g, dirfd, name, NULL, 0, e);
	fd = skf_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd == -ENOTDIR || fd == -ENOENT)
		return 0;
	if (fd < 0)
		return skf_fail_sys(e, fd, "open the directory '%s' of references", name);
	if (skf_store_each(fd, ".", prune_refs, g, e) < 0)
		return -1;
	if (!g->dry && unlinkat(dirfd, name, AT_REMOVEDIR) < 0 && errno != ENOTEMPTY && errno != EEXIST)
		return skf_fail_sys(e, -errno, "remove the empty directory '%s' of references", name);
	return 0;
}

static const struct {
	const char *path;
	int (*fn)(void *arg, int dirfd, const char *name, struct skf_err *e);
} steps[] = {
	/* roots */
	{"containers", skf_gc_mark_container},
	{"leases", sweep_lease},
	{"mounts", skf_gc_mark_mount},
	/* garbage */
	{"images", sweep_image},
	{"blobs/sha256", sweep_blob},
	{"blobs/sha512", sweep_blob},
	{"layers", sweep_layer},
	{"ingest", sweep_ingest},
	{"refs", prune_refs},
	{"locks", sweep_lock},
};

static void gc_done(struct skf_gc *g)
{
	free(g->used.v);
	free(g->leased.v);
	free(g->forms.v);
	skf_closep(&g->locks);
}

static int mark_and_sweep(struct skf_store *s, unsigned flags, struct skf_gc_result *res, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO(gc_done) struct skf_gc g = {.s = s, .a = &a, .res = res, .locks = -EBADF};
	SKF_AUTO_FD int lock = -EBADF;

	g.dry = flags & SKF_GC_DRY;
	g.keep_downloads = flags & SKF_GC_KEEP_DOWNLOADS;
	g.keep_copies = flags & SKF_GC_KEEP_COPIES;
	if (skf_store_dir(s, "locks", &g.locks, e) < 0 || skf_store_lock(s, true, &lock, e) < 0 ||
	    skf_gc_mark_refs(&g, e) < 0)
		return -1;
	for (size_t i = 0; i < SKF_ARRAY_LEN(steps); i++)
		if (skf_store_each(s->fd, steps[i].path, steps[i].fn, &g, e) < 0)
			return skf_ctx(e, "collect '%s' of the store '%s'", steps[i].path, s->root);
	return 0;
}

int skf_store_gc(struct skf_store *s, unsigned flags, struct skf_gc_result *ret, struct skf_err *e)
{
	struct skf_gc_result res = {0};

	if (mark_and_sweep(s, flags, &res, e) < 0 ||
	    (!(flags & SKF_GC_DRY) && skf_store_empty_trash(s, e) < 0))
		return -1;
	*ret = res;
	return 0;
}
