/* cmd/image_layers_queue.c -- what stands between the receiver and the worker of one layer (image_layers.c):
 * chunks, handed over when they are full, and the file that keeps them for the next pull. Invariants: 1.
 * only the receiver fills and hands over, only the worker takes; 2. a chunk is in the file before the worker
 * sees it; 3. a transfer is paused, never refused, while the queue is full. Blocks: the disk; pop waits for
 * the receiver. */
#include "cmd/image_layers_int.h"
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct chunk *image_queue_pop(struct work *w, struct chunk *used, bool *ret_broken)
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

void image_queue_close(struct work *w, bool broken)
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
			skf_debug(w->f->peer->log, "layer '%s': its download cannot be kept (%s)",
				  w->j->desc.digest.s, strerror(errno));
			w->no_room = true;
			if (ftruncate(w->data, (off_t)w->have) <
			    0) { /* the unpacker may still read what was there before */
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
	keep_filled(w); /* nothing that came is to come again */
	return 0;
}

/* 0, -2 while the queue is full, -1. Only the receiver adds to the queue, so what has room now has room a
 * moment later. */
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
	if (r == 0 && q->bytes && q->bytes + filled + n > QUEUE_BYTES) {
		q->was_full = true;
		r = -2;
	}
	pthread_mutex_unlock(&q->m);
	return r;
}

int image_queue_push(void *arg, uint64_t off, const void *p, size_t n, struct skf_err *e)
{
	struct work *w = arg;
	int r = w->started ? 1 : image_worker_begin(w, e);
	if (r != 1)
		return r;
	r = may_push(w, n, e);
	if (r == 0)
		r = append(w, off, p, n, e);
	if (r == 0)
		__atomic_store_n(&w->j->received, off + n, __ATOMIC_RELAXED);
	return r;
}

static void free_chunks(struct chunk *c)
{
	for (struct chunk *next; c; c = next) {
		next = c->next;
		free(c);
	}
}

void image_queue_done(struct work *w, bool broken)
{
	if (broken)
		keep_filled(w);
	free(w->fill);
	free_chunks(w->q.head);
	free_chunks(w->q.spare);
	pthread_cond_destroy(&w->q.c);
	pthread_mutex_destroy(&w->q.m);
}
