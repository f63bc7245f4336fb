/* store/snapshot_map.c -- mapped copies of layers: layers/<diff-id>/map-<hash>/{ids,tree/} (DESIGN 3a), for
 * containers in a user namespace where the layers cannot be id-mapped: one per layer and map, shared by all
 * containers with that map.
 *
 * Invariants: (1) a copy is made as .tmp-map-<random>/, whose file `lock` its maker holds, is synced, and
 * only then gets its name: what has the name is whole; (2) `ids` says the maps in the words of oci/idmaps.h,
 * so that a copy can be compared with its layer by anybody, and a hash that meets another map is noticed;
 * (3) two who make the same copy: the second one to finish drops its own. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include "store/snapshot.h"
#include "store/store_int.h"
#include "store/treecopy.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_IDS_BYTES (64u << 10)
#define HASH_DIGITS   16

static uint64_t fnv(const char *p, size_t n)
{
	uint64_t h = 14695981039346656037u;

	for (size_t i = 0; i < n; i++)
		h = (h ^ (unsigned char)p[i]) * 1099511628211u;
	return h;
}

static int ids_text(const struct skf_idmaps *ids, struct skf_buf *b, struct skf_err *e)
{
	skf_idmaps_text(ids, b);
	return b->err < 0 ? skf_fail_sys(e, b->err, "write down the id maps") : 0;
}

int skf_map_form(const struct skf_idmaps *ids, char ret[SKF_FORM_MAX], struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_IDS_BYTES);

	if (ids_text(ids, &b, e) < 0)
		return -1;
	snprintf(ret, SKF_FORM_MAX, SKF_MAP_PREFIX "%0*llx/" SKF_FORM_TREE, HASH_DIGITS,
		 (unsigned long long)fnv(b.p, b.len));
	return 0;
}

bool skf_map_is_form(const char *form)
{
	const size_t at = strlen(SKF_MAP_PREFIX);

	return skf_startswith(form, SKF_MAP_PREFIX) &&
	       strspn(form + at, "0123456789abcdef") == HASH_DIGITS &&
	       skf_streq(form + at + HASH_DIGITS, "/" SKF_FORM_TREE);
}

/* The directory's name of a form. */
static void name_of(const char *form, char ret[SKF_FORM_MAX])
{
	snprintf(ret, SKF_FORM_MAX, "%.*s", (int)strcspn(form, "/"), form);
}

static int open_layer(struct skf_store *s, const struct skf_digest *d, int *ret, struct skf_err *e)
{
	char path[SKF_DIGEST_MAX + 8];

	if (skf_store_check_digest(d, e) < 0)
		return -1;
	snprintf(path, sizeof(path), "layers/%s", skf_digest_hex(d));
	return skf_store_dir(s, path, ret, e);
}

/* 1 there, 0 not; CORRUPT when it is of other maps. */
static int has_copy(int layer, const struct skf_digest *d, const char *name, const struct skf_buf *ids,
		    struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(MAX_IDS_BYTES);
	char path[SKF_FORM_MAX + 8];
	int r;

	snprintf(path, sizeof(path), "%s/" SKF_IDS_FILE, name);
	r = skf_read_file_at(layer, path, MAX_IDS_BYTES, &b);
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return skf_fail_sys(e, r, "read 'layers/%s/%s'", skf_digest_hex(d), path);
	if (b.len == ids->len && memcmp(b.p, ids->p, b.len) == 0)
		return 1;
	return skf_fail(
		e, SKF_ECORRUPT,
		"'layers/%s/%s' is of other id maps than its name says; run 'skiff system check --repair'",
		skf_digest_hex(d), name);
}

/* --- making: a batch of copies is filled, synced together, and then named --- */

#define BATCH 32 /* each holds three descriptors */

struct making {
	struct skf_digest d;
	int layer, dir, lock; /* lock: of dir, which is layer/tmp */
	char tmp[64];
};
struct batch {
	struct skf_store *s;
	const struct skf_idmaps *ids;
	const struct skf_buf *text;
	char name[SKF_FORM_MAX]; /* of the finished directories */
	struct making v[BATCH];
	size_t n;
};

static int begin(struct batch *b, const struct skf_digest *d, int *layer_own, struct skf_err *e)
{
	struct making *m = &b->v[b->n++];
	int r;

	*m = (struct making){.d = *d,
			     .layer = SKF_TAKE_FD(*layer_own),
			     .dir = -EBADF,
			     .lock = -EBADF,
			     .tmp = SKF_STORE_TMP SKF_MAP_PREFIX};
	r = skf_random_hex(m->tmp + strlen(m->tmp), 8);
	if (r == 0)
		r = mkdirat(m->layer, m->tmp, 0700) < 0 ? -errno : 0;
	if (r == 0)
		r = m->dir = skf_openat(m->layer, m->tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r >= 0)
		r = m->lock = skf_lock_at(m->dir, "lock", true, 0);
	return r < 0 ? skf_fail_sys(e, r, "make 'layers/%s/%s'", skf_digest_hex(d), m->tmp) : 0;
}

static int fill(const struct batch *b, const struct making *m, struct skf_err *e)
{
	struct skf_treecopy c = {.ids = b->ids};
	SKF_AUTO_FD int tree = -EBADF;
	SKF_AUTO_FD int from = -EBADF;
	SKF_AUTO_FD int to = -EBADF;
	int r;

	if (skf_store_layer_open(b->s, &m->d, &tree, e) < 0)
		return -1;
	r = from = skf_openat(tree, ".", O_RDONLY | O_DIRECTORY, 0); /* tree is O_PATH */
	if (r >= 0)
		r = mkdirat(m->dir, SKF_FORM_TREE, 0700) < 0 ? -errno : 0;
	if (r >= 0)
		r = to = skf_openat(m->dir, SKF_FORM_TREE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r >= 0)
		r = skf_write_atomic_at(m->dir, SKF_IDS_FILE, b->text->p, b->text->len, 0600, 0);
	if (r < 0)
		return skf_fail_sys(e, r, "make a copy of the layer '%s'", m->d.s);
	return skf_treecopy(from, to, &c, e) < 0
		       ? skf_ctx(e, "copy the layer '%s' for a user namespace", m->d.s)
		       : 0;
}

/* The name need not survive a power cut: what is not there is made again. */
static int finish(struct batch *b, struct skf_err *e)
{
	if (b->n && syncfs(b->v[0].dir) < 0)
		return skf_fail_sys(e, -errno, "write the copies of %zu layers to the disk", b->n);
	for (size_t i = 0; i < b->n; i++) {
		struct making *m = &b->v[i];

		if (unlinkat(m->dir, "lock", 0) < 0 || (renameat(m->layer, m->tmp, m->layer, b->name) < 0 &&
							errno != EEXIST && errno != ENOTEMPTY))
			return skf_fail_sys(e, -errno, "name the copy 'layers/%s/%s'", skf_digest_hex(&m->d),
					    b->name);
	}
	return 0;
}

/* What has no name by now is of a failure, or of the slower one of two. */
static void clear(struct batch *b)
{
	struct skf_err ignored = SKF_ERR_INIT;

	for (size_t i = 0; i < b->n; i++) {
		struct making *m = &b->v[i];

		if (m->dir >= 0 && skf_store_to_trash(b->s, m->layer, m->tmp, &ignored) < 0)
			(void)skf_rmtree_at(m->layer,
					    m->tmp); /* what stays is unlocked, so collection removes it */
		skf_closep(&m->lock);
		skf_closep(&m->dir);
		skf_closep(&m->layer);
	}
	b->n = 0;
}

static int make_missing(struct batch *b, const struct skf_strv *layers, struct skf_err *e)
{
	struct skf_digest d;

	for (size_t i = 0; i < layers->n; i++) {
		SKF_AUTO_FD int layer = -EBADF;
		int r;

		if (skf_digest_parse(layers->v[i], &d, e) < 0 || open_layer(b->s, &d, &layer, e) < 0)
			return -1;
		r = has_copy(layer, &d, b->name, b->text, e);
		if (r < 0)
			return -1;
		if (r == 0 && (begin(b, &d, &layer, e) < 0 || fill(b, &b->v[b->n - 1], e) < 0))
			return -1;
		if (b->n == BATCH && finish(b, e) < 0)
			return -1;
		if (b->n == BATCH)
			clear(b);
	}
	return finish(b, e);
}

int skf_map_ensure(struct skf_store *s, const struct skf_strv *layers, const struct skf_idmaps *ids,
		   struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf text = SKF_BUF(MAX_IDS_BYTES);
	SKF_AUTO(clear) struct batch b = {.s = s, .ids = ids, .text = &text};
	char form[SKF_FORM_MAX];

	if (ids_text(ids, &text, e) < 0 || skf_map_form(ids, form, e) < 0)
		return -1;
	name_of(form, b.name);
	return make_missing(&b, layers, e);
}

int skf_map_has(struct skf_store *s, const struct skf_digest *layer, const char *form, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;

	if (open_layer(s, layer, &dir, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e);
		return 0;
	}
	if (faccessat(dir, form, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT
		       ? 0
		       : skf_fail_sys(e, -errno, "look at 'layers/%s/%s'", skf_digest_hex(layer), form);
}

int skf_map_check(struct skf_store *s, const struct skf_digest *layer, const char *form, char *why,
		  size_t size, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(MAX_IDS_BYTES * 4);
	SKF_AUTO_FD int dir = -EBADF;
	SKF_AUTO_FD int copy = -EBADF;
	SKF_AUTO_FD int tree = -EBADF;
	struct skf_idmaps ids;
	char name[SKF_FORM_MAX], want[SKF_FORM_MAX];
	int r;

	if (open_layer(s, layer, &dir, e) < 0)
		return -1;
	name_of(form, name);
	tree = skf_openat(dir, SKF_FORM_TREE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	copy = skf_openat(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (tree < 0 || copy < 0)
		return skf_fail_sys(e, tree < 0 ? tree : copy, "open 'layers/%s/%s'", skf_digest_hex(layer),
				    tree < 0 ? SKF_FORM_TREE : name);
	r = skf_idmaps_read_at(copy, &a, &ids);
	if (r == 1 && skf_map_form(&ids, want, e) < 0)
		return -1;
	if (r != 1 || strcmp(want, form) != 0) {
		snprintf(why, size, "its file '" SKF_IDS_FILE "' is missing, damaged or of other maps");
		return 0;
	}
	skf_closep(&dir);
	dir = skf_openat(copy, SKF_FORM_TREE, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (dir < 0) {
		snprintf(why, size, "its files are missing");
		return 0;
	}
	return skf_treecopy_same(tree, dir, &ids, why, size, e);
}

int skf_map_drop(struct skf_store *s, const struct skf_digest *layer, const char *form, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	char name[SKF_FORM_MAX];

	name_of(form, name);
	return open_layer(s, layer, &dir, e) < 0 ? -1 : skf_store_to_trash(s, dir, name, e);
}
