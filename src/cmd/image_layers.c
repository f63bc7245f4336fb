/* cmd/image_layers.c -- the pipeline of a pull: curl's thread (the caller) receives, one worker thread per layer hashes, inflates and unpacks.
 *
 * Between the two stands a queue of at most QUEUE_BYTES per layer; a full queue pauses that transfer only, and the worker wakes the receiver when it has
 * made room. Memory is bounded by PARALLEL * (QUEUE_BYTES + the unpacker's own), whatever the image.
 * Invariants: 1. workers touch only their own job and the queue; 2. a failure anywhere closes all queues, and the first error is the one reported;
 * 3. locks/ingest-<hex> of every layer that is fetched is held from before its first byte until its seal, in ascending order of digest; 4. the same
 * layer in an image twice is fetched once. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_int.h"
#include "registry/registry.h"
#include "store/unpack.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PARALLEL 4
#define QUEUE_BYTES (4u << 20)
#define INGEST_WAIT_MS 3600000 /* another pull of the same layer is under way: as long as that takes, an hour at most */

struct chunk {
	struct chunk *next;
	size_t n;
	char data[];
};
struct pipe_ {
	pthread_mutex_t m;
	pthread_cond_t c;
	struct chunk *head, **tail;
	size_t bytes;
	bool eof, broken, was_full;
};
struct work {
	struct skf_store *s;
	struct skf_registry *r;
	struct image_layer_job *j;
	struct pipe_ q;
	pthread_t thread;
	bool started;
	int lock, dirfd;
	int result;
	struct skf_err err;
};

static void set_phase(struct image_layer_job *j, uint32_t phase)
{
	__atomic_store_n(&j->phase, phase, __ATOMIC_RELAXED);
}

/* --- queue --- */
static struct chunk *pop(struct work *w)
{
	struct pipe_ *q = &w->q;
	pthread_mutex_lock(&q->m);
	while (!q->head && !q->eof && !q->broken)
		pthread_cond_wait(&q->c, &q->m);
	struct chunk *c = q->broken ? NULL : q->head;
	if (c) {
		q->head = c->next;
		if (!q->head)
			q->tail = &q->head;
		q->bytes -= c->n;
	}
	bool wake = q->was_full && q->bytes < QUEUE_BYTES / 2;
	if (wake)
		q->was_full = false;
	pthread_mutex_unlock(&q->m);
	if (wake)
		skf_registry_wake(w->r);
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

/* Sink of the registry: runs in the receiver's thread. */
static int push(void *arg, uint64_t off, const void *p, size_t n, struct skf_err *e)
{
	struct work *w = arg;
	struct pipe_ *q = &w->q;
	int r = 0;
	struct chunk *c = malloc(sizeof(*c) + n);
	if (!c)
		return skf_fail(e, SKF_ENOMEM, "layer '%s'", w->j->desc.digest.s);
	c->next = NULL;
	c->n = n;
	memcpy(c->data, p, n);
	pthread_mutex_lock(&q->m);
	if (q->broken) {
		*e = w->err;
		r = -1;
	} else if (q->bytes && q->bytes + n > QUEUE_BYTES) {
		q->was_full = true;
		r = -2;
	} else {
		*q->tail = c;
		q->tail = &c->next;
		q->bytes += n;
		c = NULL;
		pthread_cond_signal(&q->c);
	}
	pthread_mutex_unlock(&q->m);
	free(c);
	if (r == 0) {
		set_phase(w->j, 1);
		__atomic_store_n(&w->j->received, off + n, __ATOMIC_RELAXED);
		if (off + n == w->j->desc.size)
			close_queue(w, false);
	}
	return r;
}

/* --- worker --- */
static int unpack(struct work *w, struct skf_err *e)
{
	const struct skf_unpack_opts o = { .media = w->j->desc.media, .digest = w->j->desc.digest, .size = w->j->desc.size, .diff_id = w->j->diff_id };
	struct skf_unpack *u = NULL;
	struct skf_unpack_result res;
	struct chunk *c;
	int r = skf_unpack_new(w->s, &o, &u, e);
	while (r == 0 && (c = pop(w))) {
		r = skf_unpack_write(u, c->data, c->n, e);
		free(c);
	}
	if (r == 0 && w->q.broken)
		r = skf_fail(e, SKF_EUNAVAILABLE, "cancelled");
	if (r == 0) {
		set_phase(w->j, 2);
		r = skf_unpack_finish(u, &res, e);
	}
	skf_unpack_free(u);
	return r;
}

static void *worker(void *arg)
{
	struct work *w = arg;
	struct skf_err e = SKF_ERR_INIT;
	int r = unpack(w, &e);
	if (r == 0) {
		set_phase(w->j, 3);
		return NULL;
	}
	skf_ctx(&e, "layer '%s'", w->j->desc.digest.s);
	pthread_mutex_lock(&w->q.m);
	w->result = r;
	w->err = e;
	w->q.broken = true;
	pthread_mutex_unlock(&w->q.m);
	skf_registry_wake(w->r); /* a paused transfer must come back to see that its queue is broken */
	return NULL;
}

static int by_digest(const void *a, const void *b)
{
	const struct work *x = a, *y = b;
	return strcmp(x->j->desc.digest.s, y->j->desc.digest.s);
}

static int start_one(struct work *w, struct skf_err *e)
{
	struct skf_layer_info info;
	w->q.tail = &w->q.head;
	if (skf_ingest_open(w->s, &w->j->desc.digest, INGEST_WAIT_MS, &w->lock, &w->dirfd, e) < 0)
		return -1;
	int has = skf_store_layer_has(w->s, &w->j->diff_id, &info, e); /* somebody else may have finished it while we waited */
	if (has < 0)
		return -1;
	if (has == 1) {
		w->j->present = true;
		set_phase(w->j, 4);
		return 0;
	}
	pthread_mutex_init(&w->q.m, NULL);
	pthread_cond_init(&w->q.c, NULL);
	int r = pthread_create(&w->thread, NULL, worker, w);
	if (r)
		return skf_fail_sys(e, -r, "start a worker for layer '%s'", w->j->desc.digest.s);
	w->started = true;
	return 0;
}

static void join_all(struct work *w, size_t n, bool broken)
{
	for (size_t i = 0; i < n; i++)
		if (w[i].started)
			close_queue(&w[i], broken);
	for (size_t i = 0; i < n; i++) {
		if (w[i].started) {
			pthread_join(w[i].thread, NULL);
			pthread_cond_destroy(&w[i].q.c);
			pthread_mutex_destroy(&w[i].q.m);
		}
		for (struct chunk *c = w[i].q.head, *next; c; c = next) {
			next = c->next;
			free(c);
		}
	}
}

static int receive(struct work *w, size_t n, struct skf_registry *r, const struct skf_ref *ref, struct skf_err *e)
{
	struct skf_blob_get *g = calloc(n ? n : 1, sizeof(*g));
	size_t k = 0;
	if (!g)
		return skf_fail(e, SKF_ENOMEM, "layers");
	for (size_t i = 0; i < n; i++)
		if (w[i].started)
			g[k++] = (struct skf_blob_get){ .desc = w[i].j->desc, .sink = { push, &w[i] } };
	int x = skf_registry_blobs(r, ref, g, k, PARALLEL, e);
	free(g);
	return x;
}

/* Releases the ingests; a blob of a layer is not kept after it was unpacked. */
static int release(struct work *w, size_t n, struct skf_err *e)
{
	int r = 0;
	for (size_t i = 0; i < n; i++) {
		struct skf_err e2 = SKF_ERR_INIT;
		skf_closep(&w[i].dirfd);
		if (w[i].lock >= 0 && skf_ingest_done(w[i].s, &w[i].j->desc.digest, false, &e2) < 0 && r == 0) {
			*e = e2;
			r = -1;
		}
		skf_closep(&w[i].lock);
	}
	return r;
}

int image_layers_fetch(struct skf_store *s, struct skf_registry *r, const struct skf_ref *ref, struct image_layer_job *j, size_t n, struct skf_err *e)
{
	struct work *w = calloc(n ? n : 1, sizeof(*w));
	size_t k = 0;
	int x = 0;
	if (!w)
		return skf_fail(e, SKF_ENOMEM, "layers");
	for (size_t i = 0; i < n; i++) {
		bool twice = false;
		for (size_t m = 0; m < i; m++)
			twice |= skf_digest_eq(&j[m].diff_id, &j[i].diff_id);
		if (j[i].present || twice)
			continue;
		w[k++] = (struct work){ .s = s, .r = r, .j = &j[i], .lock = -EBADF, .dirfd = -EBADF };
	}
	qsort(w, k, sizeof(*w), by_digest);
	for (size_t i = 0; x == 0 && i < k; i++)
		x = start_one(&w[i], e);
	if (x == 0)
		x = receive(w, k, r, ref, e);
	join_all(w, k, x < 0);
	for (size_t i = 0; i < k; i++) /* a worker's own error is the cause, whatever the receiver said */
		if (w[i].result < 0 && w[i].err.kind != SKF_EUNAVAILABLE) {
			*e = w[i].err;
			x = -1;
			break;
		}
	for (size_t i = 0; x == 0 && i < k; i++)
		if (w[i].result < 0) {
			*e = w[i].err;
			x = -1;
		}
	struct skf_err e2 = SKF_ERR_INIT;
	if (release(w, k, &e2) < 0 && x == 0) {
		*e = e2;
		x = -1;
	}
	free(w);
	return x;
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
		set_phase(&j[i], j[i].present ? 4 : 0);
	}
	return 0;
}
