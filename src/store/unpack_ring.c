/* store/unpack_ring.c -- a bounded queue of blocks between two threads, without copies: the producer fills a
 * block in place, the consumer reads it in place and gives it back by asking for the next.
 *
 * Invariants: (1) got <= put <= got + SKF_UNPACK_BLOCKS; (2) the block with number n lives in slot n %
 * SKF_UNPACK_BLOCKS and belongs to the producer when n >= put, else to the consumer when n >= got; (3)
 * whoever gives up wakes the other, so that no wait outlives both. Both sides block on each other: that is
 * the purpose. */
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
	pthread_cond_init(&r->changed, NULL);
	return 0;
}

void skf_ring_done(struct skf_ring *r)
{
	if (!r->mem)
		return;
	munmap(r->mem, (size_t)SKF_UNPACK_BLOCK * SKF_UNPACK_BLOCKS);
	r->mem = NULL;
	pthread_cond_destroy(&r->changed);
	pthread_mutex_destroy(&r->lock);
}

static uint8_t *block(const struct skf_ring *r, uint64_t n)
{
	return r->mem + (size_t)(n % SKF_UNPACK_BLOCKS) * SKF_UNPACK_BLOCK;
}

uint8_t *skf_ring_room(struct skf_ring *r)
{
	uint8_t *p;

	pthread_mutex_lock(&r->lock);
	while (!r->stopped && r->put - r->got >= SKF_UNPACK_BLOCKS)
		pthread_cond_wait(&r->changed, &r->lock);
	p = r->stopped ? NULL : block(r, r->put);
	pthread_mutex_unlock(&r->lock);
	return p;
}

void skf_ring_put(struct skf_ring *r, size_t n)
{
	pthread_mutex_lock(&r->lock);
	r->len[r->put % SKF_UNPACK_BLOCKS] = n;
	r->put++;
	pthread_cond_signal(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

void skf_ring_end(struct skf_ring *r, bool abort)
{
	pthread_mutex_lock(&r->lock);
	r->ended = true;
	r->aborted |= abort;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}

/* *ret is the block lent before (NULL at first): it is given back here. */
int skf_ring_get(struct skf_ring *r, const uint8_t **ret, size_t *n)
{
	int res;

	pthread_mutex_lock(&r->lock);
	if (*ret) {
		r->got++;
		*ret = NULL;
		pthread_cond_signal(&r->changed);
	}
	while (!r->aborted && !r->ended && r->got == r->put)
		pthread_cond_wait(&r->changed, &r->lock);
	if (r->aborted) {
		res = -1;
	} else if (r->got == r->put) {
		res = 0;
	} else {
		*ret = block(r, r->got);
		*n = r->len[r->got % SKF_UNPACK_BLOCKS];
		res = 1;
	}
	pthread_mutex_unlock(&r->lock);
	return res;
}

void skf_ring_stop(struct skf_ring *r)
{
	pthread_mutex_lock(&r->lock);
	r->stopped = true;
	pthread_cond_broadcast(&r->changed);
	pthread_mutex_unlock(&r->lock);
}
