/* store/unpack_sum.c -- the sum thread: the SHA-256 of the tar (the diff-id) and the tar record, block by
 * block beside the thread that inflates and the one that writes files; else the end of a large layer, when
 * no other keeps the processors busy, would wait for one of them. Whoever reads the sums joins the thread
 * first. Blocks on the ring, and on the disk for the record. */
#include "store/unpack_int.h"

int skf_sum_block(struct skf_sum_job *j, const uint8_t *p, size_t n, struct skf_err *e)
{
	return skf_hash_add(&j->hash, p, n, e) < 0 ? -1 : skf_record_feed(j->rec, p, n, e);
}

void *skf_sum_thread(void *job)
{
	struct skf_sum_job *j = job;
	const uint8_t *p = NULL;
	size_t n;

	while (skf_ring_get(j->ring, SKF_RING_SUM, &p, &n) > 0) {
		if (skf_sum_block(j, p, n, &j->err) < 0) {
			skf_ring_stop(j->ring);
			break;
		}
	}
	return NULL;
}
