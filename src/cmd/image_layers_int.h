/* cmd/image_layers_int.h -- the inside of the pipeline that image_layers.c describes: what its three files
 * share. The receiver's thread is the caller's, each layer has a worker's; which of the two a member belongs
 * to stands beside it, the rest is under the queue's lock. */
#pragma once
#include "cmd/image_int.h"
#include "registry/registry.h"
#include <pthread.h>

#define UNPACKERS   6
#define QUEUE_BYTES (2u << 20)
#define CHUNK_BYTES (256u << 10)

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
	unsigned unpackers; /* working now */
	bool starved;       /* a transfer was paused because of them */
	pthread_cond_t freed;
	uint64_t windows; /* bytes of zstd's windows */
};
struct work {
	struct fetch *f;
	struct image_layer_job *j;
	struct queue q;
	pthread_t thread;
	bool started;
	unsigned rank; /* among the layers to fetch; 0 is the largest */
	int lock, dirfd;
	int data;           /* ingest/<hex>/data; -EBADF: none */
	uint64_t have;      /* bytes in it when we began */
	uint64_t kept;      /* ... now */
	struct chunk *fill; /* the receiver's: what has come since the last full chunk; its first fill_kept
			       bytes are in the file */
	size_t fill_kept;
	uint64_t window; /* its part of f->windows */
	bool no_room;    /* the file could not be written: what comes is not kept */
	bool retry;      /* what was there before is no good */
	int result;
	struct skf_err err;
};

static inline void set_phase(struct image_layer_job *j, uint32_t phase)
{
	__atomic_store_n(&j->phase, phase, __ATOMIC_RELAXED);
}

/* --- image_layers_queue.c --- */
/* Sink of the registry, with a struct work: runs in the receiver's thread. It never gets more than desc.size
 * bytes. */
int image_queue_push(void *arg, uint64_t off, const void *p, size_t n, struct skf_err *e);
/* Gives the previous chunk back and waits for the next; NULL at the end, or (*ret_broken) when there will be
 * none. */
struct chunk *image_queue_pop(struct work *w, struct chunk *used, bool *ret_broken);
void image_queue_close(struct work *w, bool broken);
/* After both threads are done. broken: what has come and was not handed over is kept for the next pull. */
void image_queue_done(struct work *w, bool broken);

/* --- image_layers_worker.c --- */
/* Starts the worker. 1, -2 when as many as may work already do, -1. */
int image_worker_begin(struct work *w, struct skf_err *e);
/* Lets the next pull of this layer go on; with `drop` what was received is dropped: the layer is unpacked,
 * or was no good. */
int image_worker_release(struct work *w, bool drop, struct skf_err *e);
