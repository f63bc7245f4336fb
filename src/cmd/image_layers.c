/* cmd/image_layers.c -- the pipeline of a pull: curl's thread (the caller) receives, one worker thread per layer hashes, inflates and unpacks.
 *
 * Between the two stands a queue of at most QUEUE_BYTES per layer, handed over in whole chunks; a full queue pauses that transfer only, and the worker
 * wakes the receiver when it has made room. A worker begins with the first byte of its layer, and at most UNPACKERS of them work at a time: a layer
 * beyond that is paused before its first byte. Memory is so bounded by UNPACKERS * (QUEUE_BYTES + the unpacker's own), whatever the image. The windows of
 * zstd are counted together: a worker that needs one waits until it fits into WINDOW_BYTES, or until nobody else has any.
 * Invariants: 1. workers touch only their own job and the queue; 2. a failure anywhere cancels the whole at once, also transfers whose server is
 * silent, closes all queues, and the cause is what is reported;
 * 3. locks/ingest-<hex> of every layer that is fetched is held from before its first byte until its seal, taken in ascending order of digest; 4. the
 * same layer in an image twice is fetched once; 5. what is received of a layer of FILE_BYTES or more is in ingest/<hex>/data before the unpacker sees
 * it (in few large writes, a chunk each, while the unpacker is behind; else as it comes), so that a pull that was killed goes on there: the next one feeds the file to the unpacker again (hashing it) and asks for the rest. A layer that
 * was resumed and turns out wrong, or whose registry will not resume, is fetched once more from its first byte. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_int.h"
#include "registry/registry.h"
#include "store/inflate.h"
#include "store/unpack.h"
#include <fcntl.h>
#include <poll.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define PARALLEL 4                     /* transfers; not more than UNPACKERS */
#define UNPACKERS 6
#define QUEUE_BYTES (2u << 20)
#define CHUNK_BYTES (256u << 10)
#define FILE_BYTES (256u << 10)        /* smaller layers are not worth a file */
#define WINDOW_BYTES (24u << 20)
#define WINDOW_LOOK_MS 100
#define INGEST_WAIT_MS 3600000         /* another pull of the same layer is under way: as long as that takes, an hour at most */
#define INGEST_LOOK_MS 500             /* how often the wait looks whether it is still wanted */

struct chunk {
	struct chunk *next;
	size_t n, cap;
	char data[];
};
struct queue {
	pthread_mutex_t m;
	pthread_cond_t c;
	struct chunk *head, *tail; /* complete ones */
	struct chunk *spare;
	size_t bytes;
	bool eof, broken, was_full;
};
struct fetch { /* one call of image_layers_fetch */
	struct skf_store *s;
	struct skf_registry *r;
	const struct image_peer *peer;
	pthread_mutex_t m;
	unsigned unpackers;  /* working now */
	bool starved;        /* a transfer was paused because of them */
	pthread_cond_t freed;
	uint64_t windows;    /* bytes of zstd's windows */
};
struct work {
	struct fetch *f;
	struct image_layer_job *j;
	struct queue q;
	pthread_t thread;
	bool started;
	int lock, dirfd;
	int data;            /* ingest/<hex>/data; -EBADF: none */
	uint64_t have;       /* bytes in it when we began */
	uint64_t kept;       /* ... now */
	struct chunk *fill;  /* the receiver's: what has come since the last full chunk; its first fill_kept bytes are in the file */
	size_t fill_kept;
	bool behind;         /* the unpacker: the queue was not empty at the last look */
	uint64_t window;     /* its part of f->windows */
	bool no_room;        /* the file could not be written: what comes is not kept */
	bool retry;          /* what was there before is no good */
	int result;
	struct skf_err err;
};

static void set_phase(struct image_layer_job *j, uint32_t phase)
{
	__atomic_store_n(&j->phase, phase, __ATOMIC_RELAXED);
}

/* --- queue --- */
/* Gives the previous chunk back and waits for the next; NULL at the end, or (*ret_broken) when there will be none. */
static struct chunk *pop(struct work *w, struct chunk *used, bool *ret_broken)
{
	struct queue *q = &w->q;
	pthread_mutex_lock(&q->m);
	if (used) {
		used->next = q->spare;
		q->spare = used;
	}
	while (!q->head && !q->eof && !q->broken)
		pthread_cond_wait(&q->c, &q->m);
	*ret_broken = q->broken;
	struct chunk *c = q->broken ? NULL : q->head;
	if (c) {
		q->head = c->next;
		if (!q->head)
			q->tail = NULL;
		q->bytes -= c->n;
	}
	bool wake = q->was_full && q->bytes < QUEUE_BYTES / 2;
	if (wake)
		q->was_full = false;
	pthread_mutex_unlock(&q->m);
	if (wake)
		skf_registry_wake(w->f->r);
	return c;
}

static void close_queue(struct work *w, bool broken)
{
	pthread_mutex_lock(&w->q.m);
	w->q.eof = true;
	w->q.broken |= broken;
	pthread_cond_signal(&w->q.c);
	pthread_mutex_unlock(&w->q.m);
}

/* The file is only for the next pull: where there is no room for it, this one goes on without. */
static void keep(struct work *w, const char *p, size_t n)
{
	while (w->data >= 0 && !w->no_room && n) {
		ssize_t k = pwrite(w->data, p, n, (off_t)w->kept);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0) {
			skf_debug(w->f->peer->log, "layer '%s': its download cannot be kept (%s)", w->j->desc.digest.s, strerror(errno));
			w->no_room = true;
			if (ftruncate(w->data, (off_t)w->have) < 0) { /* the unpacker may still read what was there before */
				/* what was written stays, and is as good as the rest */
			}
			return;
		}
		p += k;
		n -= (size_t)k;
		w->kept += (uint64_t)k;
	}
}

/* What of the chunk that is being filled is not in the file yet. */
static void keep_filled(struct work *w)
{
	if (!w->fill || w->fill_kept == w->fill->n)
		return;
	keep(w, w->fill->data + w->fill_kept, w->fill->n - w->fill_kept);
	w->fill_kept = w->fill->n;
}

/* The chunk being filled is full, or the last: it is kept, and then the worker gets it. */
static void hand_over(struct work *w, bool eof)
{
	struct queue *q = &w->q;
	struct chunk *c = w->fill;
	keep_filled(w);
	w->fill = NULL;
	w->fill_kept = 0;
	pthread_mutex_lock(&q->m);
	if (q->tail)
		q->tail->next = c;
	else
		q->head = c;
	q->tail = c;
	q->bytes += c->n;
	q->eof |= eof;
	pthread_cond_signal(&q->c);
	pthread_mutex_unlock(&q->m);
}

/* The chunk being filled, or a new one. */
static struct chunk *room(struct work *w, uint64_t left)
{
	struct queue *q = &w->q;
	if (w->fill)
		return w->fill;
	pthread_mutex_lock(&q->m);
	struct chunk *c = q->spare;
	if (c)
		q->spare = c->next;
	pthread_mutex_unlock(&q->m);
	if (!c) {
		size_t cap = left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES;
		c = malloc(sizeof(*c) + cap);
		if (!c)
			return NULL;
		c->cap = cap;
	}
	c->next = NULL;
	c->n = 0;
	w->fill = c;
	return c;
}

static int append(struct work *w, uint64_t off, const char *p, size_t n, struct skf_err *e)
{
	while (n) {
		struct chunk *c = room(w, w->j->desc.size - off);
		if (!c)
			return skf_fail(e, SKF_ENOMEM, "layer '%s'", w->j->desc.digest.s);
		size_t k = c->cap - c->n < n ? c->cap - c->n : n;
		memcpy(c->data + c->n, p, k);
		c->n += k;
		p += k;
		off += k;
		n -= k;
		bool eof = off == w->j->desc.size;
		if (eof || c->n == c->cap)
			hand_over(w, eof);
	}
	if (!w->behind) /* the network is what is slow: nothing that came is to come again */
		keep_filled(w);
	return 0;
}

static int begin(struct work *w, struct skf_err *e);

/* 0, -2 while the queue is full, -1. Only the receiver adds to the queue, so what has room now has room a moment later. */
static int may_push(struct work *w, size_t n, struct skf_err *e)
{
	struct queue *q = &w->q;
	size_t filled = w->fill ? w->fill->n : 0;
	int r = 0;
	pthread_mutex_lock(&q->m);
	if (q->broken) {
		*e = w->err;
		r = -1;
	}
	w->behind = q->bytes > 0;
	if (r == 0 && q->bytes && q->bytes + filled + n > QUEUE_BYTES) {
		q->was_full = true;
		r = -2;
	}
	pthread_mutex_unlock(&q->m);
	return r;
}

/* Sink of the registry: runs in the receiver's thread. It never gets more than desc.size bytes. */
static int push(void *arg, uint64_t off, const void *p, size_t n, struct skf_err *e)
{
	struct work *w = arg;
	int r = w->started ? 1 : begin(w, e);
	if (r != 1)
		return r;
	r = may_push(w, n, e);
	if (r == 0)
		r = append(w, off, p, n, e);
	if (r == 0)
		__atomic_store_n(&w->j->received, off + n, __ATOMIC_RELAXED);
	return r;
}

/* --- worker --- */
static void warn_left_out(const struct work *w, const struct skf_unpack_result *res)
{
	if (res->skipped_devices)
		skf_warn(w->f->peer->log, "layer '%s': %llu device nodes cannot be made here; ignoring them", w->j->desc.digest.s,
		         (unsigned long long)res->skipped_devices);
	if (res->skipped_xattrs)
		skf_warn(w->f->peer->log, "layer '%s': %llu extended attributes cannot be set here; ignoring them", w->j->desc.digest.s,
		         (unsigned long long)res->skipped_xattrs);
}

/* What an earlier pull has received. */
static int feed_file(struct work *w, struct skf_unpack *u, struct skf_err *e)
{
	SKF_AUTO_FREE char *b = w->have ? malloc(CHUNK_BYTES) : NULL;
	if (w->have && !b)
		return skf_fail(e, SKF_ENOMEM, "layer '%s'", w->j->desc.digest.s);
	for (uint64_t off = 0; off < w->have;) {
		struct pollfd p = { w->f->peer->cancel_fd, POLLIN, 0 };
		uint64_t left = w->have - off;
		ssize_t k = pread(w->data, b, left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES, (off_t)off);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return skf_fail_sys(e, k < 0 ? -errno : -EIO, "read the download of layer '%s'", w->j->desc.digest.s);
		if (poll(&p, 1, 0) > 0)
			return skf_fail(e, SKF_EUNAVAILABLE, "cancelled");
		if (skf_unpack_write(u, b, (size_t)k, e) < 0)
			return -1;
		off += (uint64_t)k;
	}
	return 0;
}

static bool given_up(struct work *w)
{
	struct pollfd p = { w->f->peer->cancel_fd, POLLIN, 0 };
	pthread_mutex_lock(&w->q.m);
	bool broken = w->q.broken;
	pthread_mutex_unlock(&w->q.m);
	return broken || poll(&p, 1, 0) > 0;
}

/* The gate of store/inflate.h. Whoever waits here has none, so those that have some always go on. */
static int want_window(void *arg, uint64_t bytes, struct skf_err *e)
{
	struct work *w = arg;
	struct fetch *f = w->f;
	int r = 0;
	pthread_mutex_lock(&f->m);
	f->windows -= w->window;
	w->window = 0;
	pthread_cond_broadcast(&f->freed);
	while (bytes && f->windows && f->windows + bytes > WINDOW_BYTES && r == 0) {
		struct timespec t;
		clock_gettime(CLOCK_REALTIME, &t);
		t.tv_nsec += WINDOW_LOOK_MS * 1000000L;
		if (t.tv_nsec >= 1000000000L) {
			t.tv_nsec -= 1000000000L;
			t.tv_sec++;
		}
		pthread_cond_timedwait(&f->freed, &f->m, &t);
		if (given_up(w))
			r = skf_fail(e, SKF_EUNAVAILABLE, "cancelled");
	}
	if (r == 0) {
		f->windows += bytes;
		w->window = bytes;
	}
	pthread_mutex_unlock(&f->m);
	return r;
}

static int unpack(struct work *w, struct skf_err *e)
{
	const struct skf_window_gate gate = { want_window, w };
	const struct skf_unpack_opts o = { .media = w->j->desc.media, .digest = w->j->desc.digest, .size = w->j->desc.size, .diff_id = w->j->diff_id,
	                                   .gate = &gate };
	struct skf_unpack *u = NULL;
	struct skf_unpack_result res = { 0 };
	struct chunk *c = NULL;
	bool broken = false;
	int r = skf_unpack_new(w->f->s, &o, &u, e);
	if (r == 0)
		r = feed_file(w, u, e);
	while (r == 0 && (c = pop(w, c, &broken)))
		r = skf_unpack_write(u, c->data, c->n, e);
	free(c);
	if (r == 0 && broken)
		r = skf_fail(e, SKF_EUNAVAILABLE, "cancelled");
	if (r == 0) {
		set_phase(w->j, 2);
		r = skf_unpack_finish(u, &res, e);
	}
	skf_unpack_free(u);
	if (r == 0)
		warn_left_out(w, &res);
	return r;
}

/* Lets the next pull of this layer go on; with `drop` what was received is dropped: the layer is unpacked, or was no good. */
static int release(struct work *w, bool drop, struct skf_err *e)
{
	int r = 0;
	skf_closep(&w->data);
	if (w->lock >= 0 && drop)
		r = skf_ingest_done(w->f->s, &w->j->desc.digest, false, e);
	skf_closep(&w->dirfd);
	skf_closep(&w->lock);
	return r;
}

static void *worker(void *arg)
{
	struct work *w = arg;
	struct fetch *f = w->f;
	struct skf_err e = SKF_ERR_INIT;
	int r = unpack(w, &e);
	if (r == 0)
		r = release(w, true, &e);
	if (r < 0) {
		if (!strstr(e.msg, w->j->desc.digest.s)) /* the unpacker names its layer itself */
			skf_ctx(&e, "layer '%s'", w->j->desc.digest.s);
		pthread_mutex_lock(&w->q.m);
		w->result = -1;
		w->err = e;
		w->q.broken = true;
		w->retry = w->have && (e.kind == SKF_ECORRUPT || e.kind == SKF_EINVALID);
		pthread_mutex_unlock(&w->q.m);
		if (!w->retry) /* else the receiver sees it at its next byte */
			image_cancel(f->peer);
	} else {
		set_phase(w->j, 3);
	}
	pthread_mutex_lock(&f->m);
	f->unpackers--;
	bool wake = f->starved;
	f->starved = false;
	pthread_mutex_unlock(&f->m);
	if (wake)
		skf_registry_wake(f->r);
	return NULL;
}

/* Starts the worker. 1, -2 when as many as may work already do, -1. */
static int begin(struct work *w, struct skf_err *e)
{
	struct fetch *f = w->f;
	pthread_mutex_lock(&f->m);
	bool full = f->unpackers >= UNPACKERS;
	f->unpackers += !full;
	f->starved |= full;
	pthread_mutex_unlock(&f->m);
	if (full)
		return -2;
	set_phase(w->j, 1);
	int r = pthread_create(&w->thread, NULL, worker, w);
	if (r)
		return skf_fail_sys(e, -r, "start a worker for layer '%s'", w->j->desc.digest.s);
	w->started = true;
	return 1;
}

/* --- the whole --- */
static int by_digest(const void *a, const void *b)
{
	const struct work *x = a, *y = b;
	return strcmp(x->j->desc.digest.s, y->j->desc.digest.s);
}

static int lock_ingest(struct work *w, struct skf_err *e)
{
	struct pollfd p = { w->f->peer->cancel_fd, POLLIN, 0 };
	for (int waited = 0;; waited += INGEST_LOOK_MS) {
		skf_err_clear(e);
		if (skf_ingest_open(w->f->s, &w->j->desc.digest, INGEST_LOOK_MS, &w->lock, &w->dirfd, e) == 0)
			return 0;
		if (e->kind != SKF_ETIMEOUT || waited >= INGEST_WAIT_MS)
			return -1;
		if (poll(&p, 1, 0) > 0)
			return skf_fail(e, SKF_EUNAVAILABLE, "cancelled");
	}
}

/* A file that holds everything loses its last byte, because the first byte that comes is what starts the unpacker. */
static int open_data(struct work *w, struct skf_err *e)
{
	struct stat st;
	uint64_t size = w->j->desc.size;
	if (size < FILE_BYTES)
		return 0;
	w->data = skf_openat(w->dirfd, "data", O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
	if (w->data < 0 || fstat(w->data, &st) < 0)
		return skf_fail_sys(e, w->data < 0 ? w->data : -errno, "open the download of layer '%s'", w->j->desc.digest.s);
	w->have = S_ISREG(st.st_mode) && st.st_size > 0 && (uint64_t)st.st_size <= size ? (uint64_t)st.st_size : 0;
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
	int has = skf_store_layer_has(w->f->s, &w->j->diff_id, &info, e); /* somebody else may have finished it while we waited */
	if (has < 0)
		return -1;
	if (has != 1)
		return open_data(w, e);
	w->j->present = true;
	set_phase(w->j, 4);
	return release(w, true, e);
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
			g[k++] = (struct skf_blob_get){ .desc = w[i].j->desc, .offset = w[i].have, .sink = { push, &w[i] } };
	qsort(g, k, sizeof(*g), by_size);
	int x = skf_registry_blobs(f->r, ref, g, k, PARALLEL, e);
	for (size_t i = 0; x < 0 && i < k; i++) {
		struct work *one = g[i].sink.arg;
		one->retry |= g[i].no_resume && one->have;
	}
	free(g);
	for (size_t i = 0; x == 0 && i < n; i++)
		if (!w[i].started && !w[i].j->present)
			x = skf_fail(e, SKF_ECORRUPT, "layer '%s' has no bytes, which is no archive", w[i].j->desc.digest.s);
	return x;
}

static void free_chunks(struct chunk *c)
{
	for (struct chunk *next; c; c = next) {
		next = c->next;
		free(c);
	}
}

/* What has come and was not handed over is the next pull's. */
static void join_all(struct work *w, size_t n, bool broken)
{
	for (size_t i = 0; i < n; i++)
		if (w[i].started)
			close_queue(&w[i], broken);
	for (size_t i = 0; i < n; i++) {
		if (w[i].started)
			pthread_join(w[i].thread, NULL);
		if (broken)
			keep_filled(&w[i]);
		free(w[i].fill);
		free_chunks(w[i].q.head);
		free_chunks(w[i].q.spare);
		pthread_cond_destroy(&w[i].q.c);
		pthread_mutex_destroy(&w[i].q.m);
	}
}

/* A worker's own error is the cause, whatever the receiver said; those that were only cancelled come last. */
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

/* The layers to fetch, each once. Two layers of one digest must be one layer: a config that says otherwise lies about one of them. */
static int choose(struct fetch *f, struct image_layer_job *j, size_t n, struct work *w, size_t *ret_n, struct skf_err *e)
{
	size_t k = 0;
	*ret_n = 0;
	for (size_t i = 0; i < n; i++) {
		bool twice = false;
		for (size_t m = 0; m < i; m++) {
			bool same_id = skf_digest_eq(&j[m].diff_id, &j[i].diff_id);
			if (!same_id && skf_digest_eq(&j[m].desc.digest, &j[i].desc.digest))
				return skf_fail(e, SKF_ECORRUPT, "layer '%s' is in the image twice, and the config says that it unpacks to two different things",
				                j[i].desc.digest.s);
			twice |= same_id;
		}
		if (j[i].present || twice)
			continue;
		w[k] = (struct work){ .f = f, .j = &j[i], .lock = -EBADF, .dirfd = -EBADF, .data = -EBADF };
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

/* After the network or the user has ended it the next pull goes on with what is there; whatever else it was would come again. */
static bool worth_keeping(const struct work *w, int x, const struct skf_err *e)
{
	return x < 0 && !w->retry && w->data >= 0 && __atomic_load_n(&w->j->received, __ATOMIC_RELAXED) && (e->kind == SKF_EUNAVAILABLE || e->kind == SKF_ETIMEOUT);
}

/* *ret_again: a layer that was resumed was no good; its old bytes are gone. */
static int fetch_once(const struct image_peer *peer, struct skf_store *s, struct skf_registry *r, const struct skf_ref *ref,
                      struct image_layer_job *j, size_t n, bool *ret_again, struct skf_err *e)
{
	struct fetch f = { .s = s, .r = r, .peer = peer };
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
		release(&w[i], !other && !worth_keeping(&w[i], x, e), &ignored);
	}
	pthread_cond_destroy(&f.freed);
	pthread_mutex_destroy(&f.m);
	free(w);
	return x;
}

int image_layers_fetch(const struct image_peer *peer, struct skf_store *s, struct skf_registry *r, const struct skf_ref *ref,
                       struct image_layer_job *j, size_t n, struct skf_err *e)
{
	struct pollfd p = { peer->cancel_fd, POLLIN, 0 };
	for (size_t i = 0; i <= n; i++) { /* each time at least one layer has lost what it was resumed with */
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

/* A pull that was killed between seal and clean-up left its download, which the layer's image keeps from collection. */
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
			has = skf_unpack_verify(s, &j[i].diff_id, &damaged) == 0 && skf_unpack_sync(s, &j[i].diff_id, 1, &damaged) == 0;
		j[i].present = has == 1;
		if (j[i].present)
			drop_leftover(s, &j[i]);
		set_phase(&j[i], j[i].present ? 4 : 0);
	}
	return 0;
}
