/* cmd/image_layers.c -- the pipeline of a pull: curl's thread (the caller) receives, one worker thread per
 * layer hashes, inflates and unpacks.
 *
 * Between the two stands a queue of at most QUEUE_BYTES per layer, handed over in whole chunks; a full queue
 * pauses that transfer only, and the worker wakes the receiver when it has made room. A worker begins with
 * the first byte of its layer, and at most UNPACKERS of them work at a time: a layer beyond that is paused
 * before its first byte. Memory is so bounded by UNPACKERS * (QUEUE_BYTES + the unpacker's own), whatever
 * the image. The windows of zstd are counted together: a worker that needs one waits until it fits into
 * WINDOW_BYTES, or until nobody else has any. Invariants: 1. workers touch only their own job and the
 * queue; 2. a failure anywhere cancels the whole at once, also transfers whose server is silent, closes all
 * queues, and the cause is what is reported;
 * 3. locks/ingest-<hex> of every layer that is fetched is held from before its first byte until its seal,
 * taken in ascending order of digest; 4. the same layer in an image twice is fetched once; 5. what is
 * received of a layer of FILE_BYTES or more is in ingest/<hex>/data before the unpacker sees it, as it
 * comes, so that a pull that was killed goes on there: the next one feeds the file to the unpacker again
 * (hashing it) and asks for the rest. A layer that was resumed and turns out wrong, or whose registry will
 * not resume, is fetched once more from its first byte. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_layers_int.h"
#include "store/unpack.h"
#include <fcntl.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PARALLEL   4            /* transfers; not more than UNPACKERS */
#define FILE_BYTES (256u << 10) /* smaller layers are not worth a file */
/* another pull of the same layer is under way: as long as that takes, an hour at most */
#define INGEST_WAIT_MS 3600000
#define INGEST_LOOK_MS 500 /* how often the wait looks whether it is still wanted */

static int by_digest(const void *a, const void *b)
{
	const struct work *x = a, *y = b;
	return strcmp(x->j->desc.digest.s, y->j->desc.digest.s);
}

static int lock_ingest(struct work *w, struct skf_err *e)
{
	struct pollfd p = {w->f->peer->cancel_fd, POLLIN, 0};
	for (int waited = 0;; waited += INGEST_LOOK_MS) {
		skf_err_clear(e);
		if (skf_ingest_open(w->f->s, &w->j->desc.digest, INGEST_LOOK_MS, &w->lock, &w->dirfd, e) ==
		    0)
			return 0;
		if (e->kind != SKF_ETIMEOUT || waited >= INGEST_WAIT_MS)
			return -1;
		if (poll(&p, 1, 0) > 0)
			return skf_fail(e, SKF_EUNAVAILABLE, "cancelled");
	}
}

/* A file that holds everything loses its last byte, because the first byte that comes is what starts the
 * unpacker. */
static int open_data(struct work *w, struct skf_err *e)
{
	struct stat st;
	uint64_t size = w->j->desc.size;
	if (size < FILE_BYTES)
		return 0;
	w->data = skf_openat(w->dirfd, "data", O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (w->data < 0 || fstat(w->data, &st) < 0)
		return skf_fail_sys(e, w->data < 0 ? w->data : -errno, "open the download of layer '%s'",
				    w->j->desc.digest.s);
	w->have = S_ISREG(st.st_mode) && st.st_size > 0 && (uint64_t)st.st_size <= size
			  ? (uint64_t)st.st_size
			  : 0;
	if (w->have == size)
		w->have--;
	w->kept = w->have;
	if (ftruncate(w->data, (off_t)w->have) < 0)
		return skf_fail_sys(e, -errno, "shorten the download of layer '%s'", w->j->desc.digest.s);
	__atomic_store_n(&w->j->received, w->have, __ATOMIC_RELAXED);
	return 0;
}

static int prepare(struct work *w, struct skf_err *e)
{
	struct skf_layer_info info;
	if (lock_ingest(w, e) < 0)
		return -1;
	int has = skf_store_layer_has(w->f->s, &w->j->diff_id, &info,
				      e); /* somebody else may have finished it while we waited */
	if (has < 0)
		return -1;
	if (has != 1)
		return open_data(w, e);
	w->j->present = true;
	set_phase(w->j, 4);
	return image_worker_release(w, true, e);
}

static int by_size(const void *a, const void *b)
{
	const struct skf_blob_get *x = a, *y = b;
	return x->desc.size < y->desc.size ? 1 : -(x->desc.size > y->desc.size);
}

/* Largest first, so that no large layer is alone at the end. */
static int receive(struct fetch *f, struct work *w, size_t n, const struct skf_ref *ref, struct skf_err *e)
{
	struct skf_blob_get *g = calloc(n ? n : 1, sizeof(*g));
	size_t k = 0;
	if (!g)
		return skf_fail(e, SKF_ENOMEM, "layers");
	for (size_t i = 0; i < n; i++)
		if (!w[i].j->present)
			g[k++] = (struct skf_blob_get){.desc = w[i].j->desc,
						       .offset = w[i].have,
						       .sink = {image_queue_push, &w[i]}};
	qsort(g, k, sizeof(*g), by_size);
	for (size_t i = 0; i < k; i++)
		((struct work *)g[i].sink.arg)->rank = (unsigned)i;
	int x = skf_registry_blobs(f->r, ref, g, k, PARALLEL, e);
	for (size_t i = 0; x < 0 && i < k; i++) {
		struct work *one = g[i].sink.arg;
		one->retry |= g[i].no_resume && one->have;
	}
	free(g);
	for (size_t i = 0; x == 0 && i < n; i++)
		if (!w[i].started && !w[i].j->present)
			x = skf_fail(e, SKF_ECORRUPT, "layer '%s' has no bytes, which is no archive",
				     w[i].j->desc.digest.s);
	return x;
}

static void join_all(struct work *w, size_t n, bool broken)
{
	for (size_t i = 0; i < n; i++)
		if (w[i].started)
			image_queue_close(&w[i], broken);
	for (size_t i = 0; i < n; i++) {
		if (w[i].started)
			pthread_join(w[i].thread, NULL);
		image_queue_done(&w[i], broken);
	}
}

/* A worker's own error is the cause, whatever the receiver said; those that were only cancelled come last.
 */
static int first_error(const struct work *w, size_t n, int x, struct skf_err *e)
{
	const struct work *cancelled = NULL;
	for (size_t i = 0; i < n; i++) {
		if (w[i].result == 0)
			continue;
		if (w[i].err.kind != SKF_EUNAVAILABLE) {
			*e = w[i].err;
			return -1;
		}
		cancelled = &w[i];
	}
	if (x == 0 && cancelled) {
		*e = cancelled->err;
		return -1;
	}
	return x;
}

/* The layers to fetch, each once. Two layers of one digest must be one layer: a config that says otherwise
 * lies about one of them. */
static int choose(struct fetch *f, struct image_layer_job *j, size_t n, struct work *w, size_t *ret_n,
		  struct skf_err *e)
{
	size_t k = 0;
	*ret_n = 0;
	for (size_t i = 0; i < n; i++) {
		bool twice = false;
		for (size_t m = 0; m < i; m++) {
			bool same_id = skf_digest_eq(&j[m].diff_id, &j[i].diff_id);
			if (!same_id && skf_digest_eq(&j[m].desc.digest, &j[i].desc.digest))
				return skf_fail(e, SKF_ECORRUPT,
						"layer '%s' is in the image twice, and the config says that "
						"it unpacks to two different things",
						j[i].desc.digest.s);
			twice |= same_id;
		}
		if (j[i].present || twice)
			continue;
		w[k] = (struct work){.f = f, .j = &j[i], .lock = -EBADF, .dirfd = -EBADF, .data = -EBADF};
		k++;
	}
	qsort(w, k, sizeof(*w), by_digest); /* before any thread or lock knows an address */
	for (size_t i = 0; i < k; i++) {
		pthread_mutex_init(&w[i].q.m, NULL);
		pthread_cond_init(&w[i].q.c, NULL);
	}
	*ret_n = k;
	return 0;
}

/* After the network or the user has ended it the next pull goes on with what is there; whatever else it was
 * would come again. */
static bool worth_keeping(const struct work *w, int x, const struct skf_err *e)
{
	return x < 0 && !w->retry && w->data >= 0 && __atomic_load_n(&w->j->received, __ATOMIC_RELAXED) &&
	       (e->kind == SKF_EUNAVAILABLE || e->kind == SKF_ETIMEOUT);
}

/* *ret_again: a layer that was resumed was no good; its old bytes are gone. */
static int fetch_once(const struct image_peer *peer, struct skf_store *s, struct skf_registry *r,
		      const struct skf_ref *ref, struct image_layer_job *j, size_t n, bool *ret_again,
		      struct skf_err *e)
{
	struct fetch f = {.s = s, .r = r, .peer = peer};
	struct work *w = calloc(n ? n : 1, sizeof(*w));
	size_t k = 0;
	if (!w)
		return skf_fail(e, SKF_ENOMEM, "layers");
	pthread_mutex_init(&f.m, NULL);
	pthread_cond_init(&f.freed, NULL);
	int x = choose(&f, j, n, w, &k, e);
	for (size_t i = 0; x == 0 && i < k; i++)
		x = prepare(&w[i], e);
	if (x == 0)
		x = receive(&f, w, k, ref, e);
	join_all(w, k, x < 0);
	x = first_error(w, k, x, e);
	for (size_t i = 0; i < k; i++)
		*ret_again |= x < 0 && w[i].retry;
	for (size_t i = 0; i < k; i++) {
		struct skf_err ignored = SKF_ERR_INIT; /* an empty directory is the collection's */
		bool other = *ret_again && !w[i].retry && w[i].data >= 0; /* goes on in a moment */
		image_worker_release(&w[i], !other && !worth_keeping(&w[i], x, e), &ignored);
	}
	pthread_cond_destroy(&f.freed);
	pthread_mutex_destroy(&f.m);
	free(w);
	return x;
}

int image_layers_fetch(const struct image_peer *peer, struct skf_store *s, struct skf_registry *r,
		       const struct skf_ref *ref, struct image_layer_job *j, size_t n, struct skf_err *e)
{
	struct pollfd p = {peer->cancel_fd, POLLIN, 0};
	for (size_t i = 0; i <= n;
	     i++) { /* each time at least one layer has lost what it was resumed with */
		bool again = false;
		int x = fetch_once(peer, s, r, ref, j, n, &again, e);
		if (x == 0 || !again || i == n || poll(&p, 1, 0) > 0)
			return x;
		skf_debug(peer->log, "%s; once more from its first byte", e->msg);
		skf_err_clear(e);
		if (image_layers_check(s, j, n, e) < 0)
			return -1;
	}
	return 0;
}

/* A pull that was killed between seal and clean-up left its download, which the layer's image keeps from
 * collection. */
static void drop_leftover(struct skf_store *s, const struct image_layer_job *j)
{
	char path[SKF_DIGEST_MAX + 16];
	int lock = -EBADF, dirfd = -EBADF;
	struct skf_err ignored = SKF_ERR_INIT; /* somebody is at work there, or the next pull tries again */
	if (skf_fmt(path, sizeof(path), "ingest/%s", skf_digest_hex(&j->desc.digest)) < 0 ||
	    faccessat(skf_store_fd(s), path, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return;
	if (skf_ingest_open(s, &j->desc.digest, 0, &lock, &dirfd, &ignored) == 0)
		skf_ingest_done(s, &j->desc.digest, false, &ignored);
	skf_closep(&dirfd);
	skf_closep(&lock);
}

int image_layers_check(struct skf_store *s, struct image_layer_job *j, size_t n, struct skf_err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct skf_layer_info info;
		struct skf_err damaged = SKF_ERR_INIT;
		int has = skf_store_layer_has(s, &j[i].diff_id, &info, e);
		if (has < 0)
			return -1;
		if (has == 2) /* sealed in an earlier boot, never synced: good only if its bytes are */
			has = skf_unpack_verify(s, &j[i].diff_id, &damaged) == 0 &&
			      skf_unpack_sync(s, &j[i].diff_id, 1, &damaged) == 0;
		j[i].present = has == 1;
		if (j[i].present)
			drop_leftover(s, &j[i]);
		set_phase(&j[i], j[i].present ? 4 : 0);
	}
	return 0;
}
