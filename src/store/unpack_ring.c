/* store/unpack_ring.c -- a bounded queue of blocks from one thread to some others, without copies: the
 * producer fills a block in place, each reader reads it in place and gives it back by asking for the next.
 *
 * Invariants: (1) for each reader got <= put <= got + SKF_UNPACK_BLOCKS; (2) the block with number n lives
 * in slot n % SKF_UNPACK_BLOCKS and is the producer's to write when n >= put, else each reader's to read
 * while n
 * >= its got; (3) whoever gives up wakes the others, so that no wait outlives all. All sides block on each
 * other: that is the purpose. */
#include "store/unpack_int.h"
#include <stdlib.h>
#include <sys/mman.h>

int skf_ring_init(struct skf_ring *r, struct skf_err *e)
{
	size_t n = (size_t)SKF_UNPACK_BLOCK * SKF_UNPACK_BLOCKS;
	void *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (p == MAP_FAILED)
		return skf_fail(e, SKF_ENOMEM, "no memory for %zu bytes of unpacked data", n);
	r->mem = p;
	pthread_mutex_init(&r->lock, NULL);
	pthread_cond_init(&r->filled, NULL);
	pthread_cond_init(&r->freed, NULL);
	return 0;
}

void skf_ring_done(struct skf_ring *r)
{
	if (!r->mem)
		return;
	munmap(r->mem, (size_t)SKF_UNPACK_BLOCK * SKF_UNPACK_BLOCKS);
	r->mem = NULL;
	pthread_cond_destroy(&r->filled);
	pthread_cond_destroy(&r->freed);
	pthread_mutex_destroy(&r->lock);
}

static uint8_t *block(const struct skf_ring *r, uint64_t n)
{
	return r->mem + (size_t)(n % SKF_UNPACK_BLOCKS) * SKF_UNPACK_BLOCK;
}

/* Blocks that a reader has not given back. */
static uint64_t used(const struct skf_ring *r)
{
	uint64_t most = 0;

	for (int i = 0; i < SKF_RING_READERS; i++)
		if (r->reads[i] && r->put - r->got[i] > most)
			most = r->put - r->got[i];
	return most;
}

void skf_ring_join(struct skf_ring *r, int reader)
{
	pthread_mutex_lock(&r->lock);
	r->got[reader] = r->put;
	r->reads[reader] = true;
	pthread_mutex_unlock(&r->lock);
}

uint8_t *skf_ring_room(struct skf_ring *r)
{
	uint8_t *p;

	pthread_mutex_lock(&r->lock);
	while (!r->stopped && used(r) >= SKF_UNPACK_BLOCKS)
		pthread_cond_wait(&r->freed, &r->lock);
	p = r->stopped ? NULL : block(r, r->put);
	pthread_mutex_unlock(&r->lock);
	return p;
}

void skf_ring_put(struct skf_ring *r, size_t n)
{
	pthread_mutex_lock(&r->lock);
	r->len[r->put % SKF_UNPACK_BLOCKS] = n;
	r->put++;
	pthread_cond_broadcast(&r->filled);
	pthread_mutex_unlock(&r->lock);
}

void skf_ring_end(struct skf_ring *r, bool abort)
{
	pthread_mutex_lock(&r->lock);
	r->ended = true;
	r->aborted |= abort;
	pthread_cond_broadcast(&r->filled);
	pthread_mutex_unlock(&r->lock);
}

int skf_ring_get(struct skf_ring *r, int reader, const uint8_t **ret, size_t *n)
{
	uint64_t *got = &r->got[reader];
	int res;

	pthread_mutex_lock(&r->lock);
	if (*ret) {
		++*got;
		*ret = NULL;
		pthread_cond_signal(&r->freed);
	}
	while (!r->aborted && !r->ended && *got == r->put)
		pthread_cond_wait(&r->filled, &r->lock);
	if (r->aborted) {
		res = -1;
	} else if (*got == r->put) {
		res = 0;
	} else {
		*ret = block(r, *got);
		*n = r->len[*got % SKF_UNPACK_BLOCKS];
		res = 1;
	}
	pthread_mutex_unlock(&r->lock);
	return res;
}

void skf_ring_stop(struct skf_ring *r)
{
	pthread_mutex_lock(&r->lock);
	r->stopped = true;
	pthread_cond_signal(&r->freed);
	pthread_mutex_unlock(&r->lock);
}
