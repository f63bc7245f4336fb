/* store/unpack.c -- one layer from compressed bytes to layers/<hex> (unpack_int.h has the theory).
 *
 * Invariants:
 *  1. layers/<hex> appears by one rename, after digest, size and diff-id matched, the tar was read to its
 *     end, and listing and seal were written. Until then everything is in layers/.tmp-<random>/, whose file
 *     `lock` is held: collection removes it when it is not.
 *  2. The seal says `synced` = this boot until skf_unpack_sync, after one syncfs, says "yes".
 *  3. After the first failure nothing more is written; _free removes the rest.
 * Blocks on the disk and on its own threads. Locks: layer, then store, for the rename only. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/fd.h"
#include "base/proc.h"
#include "store/unpack_int.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define RATIO_FROM (256u << 20) /* SKF_MAX_LAYER_RATIO counts after so many bytes */

const struct skf_unpack_limits skf_unpack_default_limits = {
	.entries = SKF_MAX_LAYER_ENTRIES,
	.bytes = SKF_MAX_LAYER_BYTES,
	.ratio = SKF_MAX_LAYER_RATIO,
	.ratio_from = RATIO_FROM,
	.header = SKF_UNPACK_MAX_HEADER,
	.depth = SKF_MAX_TAR_DEPTH,
	.xattrs = SKF_MAX_XATTRS,
	.xattr_bytes = SKF_MAX_XATTR_BYTES,
};

void skf_unpack_set_limits(struct skf_unpack *u, const struct skf_unpack_limits *lim)
{
	u->tree.lim = *lim;
}

/* --- the temporary directory --- */

static int make_tmp(struct skf_unpack *u, struct skf_err *e)
{
	SKF_AUTO_FD int lock = -EBADF;
	SKF_AUTO_FD int tree = -EBADF;
	char rnd[33];
	int r = skf_random_hex(rnd, 16);

	if (r < 0 || skf_fmt(u->tmp, sizeof(u->tmp), SKF_STORE_TMP "%s", rnd) < 0)
		return skf_fail_sys(e, r, "name of a new layer");
	if (skf_store_dir(u->s, "layers", &u->layers, e) < 0 || skf_store_lock(u->s, false, &lock, e) < 0)
		return -1;
	if (mkdirat(u->layers, u->tmp, 0700) < 0) {
		r = -errno;
		u->tmp[0] = 0;
		return skf_tree_fail(e, r, "make the directory of the layer", u->what);
	}
	u->dir = skf_openat(u->layers, u->tmp, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (u->dir < 0)
		return skf_fail_sys(e, u->dir, "open the directory of the layer '%s'", u->what);
	u->lock = skf_lock_at(u->dir, "lock", true, 0);
	if (u->lock < 0)
		return skf_tree_fail(e, u->lock, "lock the directory of the layer", u->what);
	if (mkdirat(u->dir, "tree", 0700) < 0)
		return skf_tree_fail(e, -errno, "make the directory of the layer", u->what);
	tree = skf_openat(u->dir, "tree", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (tree < 0)
		return skf_fail_sys(e, tree, "open the directory of the layer '%s'", u->what);
	if (skf_record_begin(&u->rec, u->dir, e) < 0)
		return -1;
	return skf_tree_init(&u->tree, &tree, &skf_unpack_default_limits, e);
}

int skf_unpack_new(struct skf_store *s, const struct skf_unpack_opts *o, struct skf_unpack **ret,
		   struct skf_err *e)
{
	struct skf_unpack *u = calloc(1, sizeof(*u));

	if (!u)
		return skf_fail(e, SKF_ENOMEM, "no memory to unpack '%s'", o->digest.s);
	u->s = s;
	u->o = *o;
	u->layers = u->dir = u->lock = u->tree.root = u->tree.parent = u->rec.fd = -EBADF;
	u->job = (struct skf_tar_job){.ring = &u->ring, .tree = &u->tree};
	u->sum = (struct skf_sum_job){.ring = &u->ring, .rec = &u->rec};
	u->any_digest = !o->digest.s[0];
	u->any_diff_id = !o->diff_id.s[0];
	if ((!u->any_digest && skf_store_check_digest(&o->digest, e) < 0) ||
	    (!u->any_diff_id && skf_store_check_digest(&o->diff_id, e) < 0) ||
	    skf_hash_init(&u->hash_in, u->any_digest ? NULL : &o->digest, e) < 0 ||
	    skf_hash_init(&u->sum.hash, u->any_diff_id ? NULL : &o->diff_id, e) < 0 ||
	    skf_fmt(u->what, sizeof(u->what), "%s", u->any_digest ? "new" : o->digest.s) < 0 ||
	    skf_ring_init(&u->ring, e) < 0 || make_tmp(u, e) < 0) {
		skf_unpack_free(u);
		return -1;
	}
	*ret = u;
	return 0;
}

static void stop_threads(struct skf_unpack *u, bool abort)
{
	if (!u->tar_runs)
		return;
	skf_ring_end(&u->ring, abort);
	pthread_join(u->tar_thread, NULL);
	if (u->sum_runs)
		pthread_join(u->sum_thread, NULL);
	u->tar_runs = u->sum_runs = false;
}

void skf_unpack_free(struct skf_unpack *u)
{
	if (!u)
		return;
	stop_threads(u, true);
	skf_tree_done(&u->tree);
	skf_record_done(&u->rec);
	if (u->tmp[0])
		(void)!skf_rmtree_at(u->layers,
				     u->tmp); /* what stays is unlocked below, so collection removes it */
	skf_inflate_free(u->inf);
	skf_ring_done(&u->ring);
	skf_hash_done(&u->hash_in);
	skf_hash_done(&u->sum.hash);
	skf_closep(&u->lock);
	skf_closep(&u->dir);
	skf_closep(&u->layers);
	free(u);
}

/* --- bytes in --- */

/* All signals go to the program's own threads. */
static int start_thread(struct skf_unpack *u, int reader, void *(*fn)(void *), void *job, pthread_t *ret,
			bool *ret_runs, struct skf_err *e)
{
	sigset_t all, old;
	int r;

	skf_ring_join(&u->ring, reader);
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	r = pthread_create(ret, NULL, fn, job);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (r != 0)
		return skf_fail_sys(e, -r, "start a thread to unpack '%s'", u->what);
	*ret_runs = true;
	return 0;
}

static enum skf_compression wanted(enum skf_media m)
{
	return m == SKF_MEDIA_LAYER_TAR    ? SKF_COMP_NONE
	       : m == SKF_MEDIA_LAYER_GZIP ? SKF_COMP_GZIP
	       : m == SKF_MEDIA_LAYER_ZSTD ? SKF_COMP_ZSTD
					   : SKF_COMP_UNKNOWN;
}

static int begin(struct skf_unpack *u, const uint8_t *p, size_t n, struct skf_err *e)
{
	enum skf_compression want = wanted(u->o.media), got = skf_compression_of(p, n);

	if (want != SKF_COMP_UNKNOWN && want != got)
		return skf_fail(e, SKF_ECORRUPT,
				"layer '%s': its media type says %s, but its bytes begin as %s", u->what,
				skf_compression_name(want), skf_compression_name(got));
	if (skf_inflate_new(got, &u->inf, e) < 0)
		return skf_ctx(e, "layer '%s'", u->what);
	if (u->o.gate)
		skf_inflate_set_gate(u->inf, u->o.gate);
	return start_thread(u, SKF_RING_TAR, skf_tar_thread, &u->job, &u->tar_thread, &u->tar_runs, e);
}

/* A thread gave up: its error is the one to tell, not what the other said when it was stopped for that. */
static int thread_error(struct skf_unpack *u, struct skf_err *e)
{
	stop_threads(u, true);
	*e = u->sum.err.kind != SKF_OK ? u->sum.err : u->job.err;
	return skf_ctx(e, "layer '%s'", u->what);
}

static int check_size(struct skf_unpack *u, struct skf_err *e)
{
	const struct skf_unpack_limits *l = &u->tree.lim;

	if (u->n_tar > l->bytes)
		return skf_fail(e, SKF_ELIMIT, "layer '%s' unpacks to more than the %llu bytes allowed",
				u->what, (unsigned long long)l->bytes);
	if (u->n_tar > l->ratio_from && u->n_tar / l->ratio > u->n_in)
		return skf_fail(e, SKF_ELIMIT,
				"layer '%s' unpacks to more than %llu times its size: a decompression bomb",
				u->what, (unsigned long long)l->ratio);
	return 0;
}

static int put_block(struct skf_unpack *u, struct skf_err *e)
{
	u->n_tar += u->fill;
	if (check_size(u, e) < 0)
		return -1;
	if (!u->sum_runs && u->fill == SKF_UNPACK_BLOCK &&
	    start_thread(u, SKF_RING_SUM, skf_sum_thread, &u->sum, &u->sum_thread, &u->sum_runs, e) < 0)
		return -1;
	if (!u->sum_runs && skf_sum_block(&u->sum, u->block, u->fill, e) < 0)
		return skf_ctx(e, "layer '%s'", u->what);
	skf_ring_put(&u->ring, u->fill);
	u->block = NULL;
	u->fill = 0;
	return 0;
}

static int feed(struct skf_unpack *u, const uint8_t *p, size_t n, struct skf_err *e)
{
	while (n > 0 || skf_inflate_pending(u->inf)) {
		size_t used = 0, made = 0;

		if (!u->block)
			u->block = skf_ring_room(&u->ring);
		if (!u->block)
			return thread_error(u, e);
		if (skf_inflate_step(u->inf, p, n, &used, u->block + u->fill, SKF_UNPACK_BLOCK - u->fill,
				     &made, e) < 0)
			return skf_ctx(e, "layer '%s'", u->what);
		p += used;
		n -= used;
		u->fill += made;
		if (u->fill == SKF_UNPACK_BLOCK && put_block(u, e) < 0)
			return -1;
	}
	return 0;
}

/* The first four bytes tell the compression; until they are together they wait in magic. */
static int take(struct skf_unpack *u, const uint8_t *p, size_t n, struct skf_err *e)
{
	size_t k;

	if (u->inf)
		return feed(u, p, n, e);
	k = sizeof(u->magic) - u->n_magic;
	if (k > n)
		k = n;
	memcpy(u->magic + u->n_magic, p, k);
	u->n_magic += (unsigned)k;
	if (u->n_magic < sizeof(u->magic))
		return 0;
	if (begin(u, u->magic, u->n_magic, e) < 0 || feed(u, u->magic, u->n_magic, e) < 0)
		return -1;
	return feed(u, p + k, n - k, e);
}

int skf_unpack_write(struct skf_unpack *u, const void *p, size_t n, struct skf_err *e)
{
	if (u->failed)
		return skf_fail(e, SKF_EBUG, "layer '%s': data after a failure", u->what);
	if (n == 0)
		return 0;
	u->failed = true;
	if (n > u->o.size - u->n_in)
		return skf_fail(e, SKF_ECORRUPT,
				"layer '%s' is longer than the %llu bytes of its descriptor", u->what,
				(unsigned long long)u->o.size);
	if (skf_hash_add(&u->hash_in, p, n, e) < 0)
		return -1;
	u->n_in += n;
	if (take(u, p, n, e) < 0)
		return -1;
	if (u->o.progress)
		__atomic_store_n(u->o.progress, u->n_in, __ATOMIC_RELAXED);
	u->failed = false;
	return 0;
}

/* --- the end --- */

static int check_input(struct skf_unpack *u, struct skf_err *e)
{
	struct skf_digest got;

	if (!u->any_digest && u->n_in != u->o.size)
		return skf_fail(e, SKF_ECORRUPT, "layer '%s' ended after %llu of %llu bytes", u->what,
				(unsigned long long)u->n_in, (unsigned long long)u->o.size);
	if (skf_hash_end(&u->hash_in, &got, e) < 0)
		return -1;
	if (u->any_digest)
		u->o.digest = got;
	if (!skf_digest_eq(&got, &u->o.digest))
		return skf_fail(e, SKF_ECORRUPT,
				"layer data are not what was asked for: expected %s, got %s", u->o.digest.s,
				got.s);
	return 0;
}

static int end_stream(struct skf_unpack *u, struct skf_err *e)
{
	struct skf_digest got;

	if (!u->inf && (begin(u, u->magic, u->n_magic, e) < 0 || feed(u, u->magic, u->n_magic, e) < 0))
		return -1;
	if (!skf_inflate_complete(u->inf))
		return skf_fail(e, SKF_ECORRUPT, "layer '%s': its %s stream is cut off", u->what,
				skf_compression_name(skf_compression_of(u->magic, u->n_magic)));
	if (u->fill > 0 && put_block(u, e) < 0)
		return -1;
	stop_threads(u, false);
	if (u->job.err.kind != SKF_OK || u->sum.err.kind != SKF_OK)
		return thread_error(u, e);
	if (skf_hash_end(&u->sum.hash, &got, e) < 0)
		return -1;
	if (u->any_diff_id)
		u->o.diff_id = got;
	if (!skf_digest_eq(&got, &u->o.diff_id))
		return skf_fail(e, SKF_ECORRUPT,
				"layer '%s': unpacked data are not what the image's config says: expected "
				"%s, got %s",
				u->what, u->o.diff_id.s, got.s);
	return 0;
}

static int end_record(struct skf_unpack *u, struct skf_err *e)
{
	if (u->tree.replaced &&
	    skf_record_drop(&u->rec, "an entry of the tar takes the place of another", e) < 0)
		return -1;
	/* Whatever else reads the tar in another way than the tree was made would make another tar of it. */
	if (!u->rec.gone && !u->rec.took &&
	    (u->rec.n_files != u->tree.n_data || u->rec.file_bytes != u->tree.data_bytes) &&
	    skf_record_drop(&u->rec, "it is not clear which of its entries have data", e) < 0)
		return -1;
	u->tree.need_sha = u->rec.gone || u->rec.took;
	return skf_record_end(&u->rec, &u->rec_digest, e);
}

static int write_seal(struct skf_unpack *u, const struct skf_listing_result *l, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4096);
	struct skf_jw w = SKF_JW(&b);
	char boot[37];
	int r = skf_boot_id(boot);

	if (r < 0)
		return skf_fail_sys(e, r, "read the boot id");
	skf_jw_obj(&w);
	skf_jw_ku64(&w, "v", SKF_SEAL_FORMAT);
	skf_jw_ku64(&w, "min", l->crc ? 2 : 1);
	skf_jw_kstr(&w, "diffId", u->o.diff_id.s);
	skf_jw_kstr(&w, "tree", l->tree.s);
	skf_jw_ku64(&w, "size", l->size);
	skf_jw_ku64(&w, "inodes", l->inodes);
	skf_jw_kstr(&w, "synced", boot);
	skf_jw_kstr(&w, "files", l->tree.s);
	if (u->rec_digest.s[0]) {
		skf_jw_kstr(&w, "tar", u->rec_digest.s);
		skf_jw_ku64(&w, "tarSize", u->n_tar);
	}
	skf_jw_end(&w);
	skf_buf_chr(&b, '\n');
	r = b.err ? b.err : skf_write_atomic_at(u->dir, "seal", b.p, b.len, 0600, 0);
	return r < 0 ? skf_tree_fail(e, r, "write the seal of the layer", u->o.diff_id.s) : 0;
}

static int seal(struct skf_unpack *u, struct skf_listing_result *l, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(u->dir, "files", O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);

	if (fd < 0)
		return skf_tree_fail(e, fd, "make the listing of the layer", u->o.diff_id.s);
	if (skf_tree_seal(&u->tree, fd, l, e) < 0)
		return skf_ctx(e, "layer '%s'", u->what);
	return write_seal(u, l, e);
}

/* A usable layer of that diff-id wins; one that is not is replaced. */
static int commit(struct skf_unpack *u, struct skf_err *e)
{
	const char *hex = skf_digest_hex(&u->o.diff_id);
	SKF_AUTO_FD int layer_lock = -EBADF;
	SKF_AUTO_FD int lock = -EBADF;

	if (skf_store_lock_layer(u->s, &u->o.diff_id, &layer_lock, e) < 0 ||
	    skf_store_lock(u->s, false, &lock, e) < 0)
		return -1;
	for (int i = 0; i < 2; i++) {
		int has;

		if (renameat2(u->layers, u->tmp, u->layers, hex, RENAME_NOREPLACE) == 0) {
			u->tmp[0] = 0;
			unlinkat(u->dir, "lock",
				 0); /* an empty file that stays beside the seal is harmless */
			return 0;
		}
		if (errno != EEXIST)
			return skf_tree_fail(e, -errno, "put in place the layer", u->o.diff_id.s);
		has = skf_store_layer_has(u->s, &u->o.diff_id, NULL, e);
		if (has < 0 && e->kind != SKF_ECORRUPT)
			return -1;
		if (has == 1)
			return 0;
		skf_err_clear(e);
		if (skf_store_to_trash(u->s, u->layers, hex, e) < 0)
			return -1;
		u->replaced = true;
	}
	return skf_fail(e, SKF_ECONFLICT, "layer '%s' keeps coming back while it is replaced; try again",
			u->o.diff_id.s);
}

int skf_unpack_finish(struct skf_unpack *u, struct skf_unpack_result *ret, struct skf_err *e)
{
	struct skf_listing_result l;

	if (u->failed)
		return skf_fail(e, SKF_EBUG, "layer '%s': end after a failure", u->what);
	u->failed = true;
	if (check_input(u, e) < 0 || end_stream(u, e) < 0 || end_record(u, e) < 0 || seal(u, &l, e) < 0)
		return -1;
	if ((u->o.named && u->o.named(u->o.arg, &u->o.diff_id, e) < 0) || commit(u, e) < 0)
		return -1;
	if (u->replaced && skf_store_empty_trash(u->s, e) < 0)
		skf_err_clear(e); /* what stays is the next collection's */
	*ret = (struct skf_unpack_result){.size = l.size, .inodes = l.inodes, .packed = u->n_in};
	ret->digest = u->o.digest;
	ret->diff_id = u->o.diff_id;
	snprintf(ret->no_record, sizeof(ret->no_record), "%s", u->rec.why);
	ret->skipped_devices = u->tree.n_skipped_devices;
	ret->skipped_xattrs = u->tree.n_skipped_xattrs;
	return 0;
}

/* --- syncing --- */

int skf_unpack_sync(struct skf_store *s, const struct skf_digest *diff_ids, size_t n, struct skf_err *e)
{
	if (syncfs(skf_store_fd(s)) < 0)
		return skf_tree_fail(e, -errno, "sync the file system of the store", skf_store_root(s));
	for (size_t i = 0; i < n; i++)
		if (skf_store_seal_set_synced(s, &diff_ids[i], "yes", e) < 0)
			return -1;
	return 0;
}
