/* cmd/image_through.c -- a blob on its way through this process from a registry to somewhere else: a thread
 * receives into a ring, the reader takes from it.
 *
 * Invariants: 1. at most RING_BYTES are held; 2. bytes come in order from where the reader began; a reader
 * that goes elsewhere ends the thread and begins another; 3. nothing is checked here: whoever reads compares
 * the digest. Blocks: network. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_int.h"
#include "oci/ref.h"
#include "registry/registry.h"
#include <stdlib.h>
#include <string.h>

#define RING_BYTES (1u << 20)

struct image_through {
	const struct image_peer *peer;
	const struct skf_ref *from;
	const struct image_how *how;
	struct skf_desc desc;
	pthread_mutex_t m;
	pthread_cond_t c;
	pthread_t thread;
	bool running, ended; /* ended: the thread will bring no more */
	bool stop;           /* the reader has gone elsewhere */
	char *ring;
	uint64_t at, end; /* bytes [at, end) of the blob are in the ring */
	struct skf_registry *r;
	struct skf_err err;
};

static int take(void *arg, uint64_t off, const void *p, size_t n, struct skf_err *e)
{
	struct image_through *t = arg;
	const char *c = p;
	size_t done = 0;
	pthread_mutex_lock(&t->m);
	while (done < n && !t->stop) {
		uint64_t room = RING_BYTES - (t->end - t->at);
		if (!room) {
			pthread_cond_wait(&t->c, &t->m);
			continue;
		}
		size_t pos = (size_t)(t->end % RING_BYTES), k = n - done;
		k = k < room ? k : (size_t)room;
		k = k < RING_BYTES - pos ? k : RING_BYTES - pos;
		memcpy(t->ring + pos, c + done, k);
		t->end += k;
		done += k;
		pthread_cond_broadcast(&t->c);
	}
	bool stop = t->stop;
	pthread_mutex_unlock(&t->m);
	(void)off; /* bytes come in order, from where the thread began */
	return stop ? skf_fail(e, SKF_EUNAVAILABLE, "cancelled") : 0;
}

static void *receive(void *arg)
{
	struct image_through *t = arg;
	struct skf_blob_get g = {.desc = t->desc, .offset = t->end, .sink = {take, t}};
	struct skf_err e = SKF_ERR_INIT;
	int r = skf_registry_blobs(t->r, t->from, &g, 1, 1, &e);
	pthread_mutex_lock(&t->m);
	t->ended = true;
	if (r < 0)
		t->err = e;
	pthread_cond_broadcast(&t->c);
	pthread_mutex_unlock(&t->m);
	return NULL;
}

static void halt(struct image_through *t)
{
	if (!t->running)
		return;
	pthread_mutex_lock(&t->m);
	t->stop = true;
	pthread_cond_broadcast(&t->c);
	pthread_mutex_unlock(&t->m);
	pthread_join(t->thread, NULL);
	t->running = false;
}

static int start(struct image_through *t, uint64_t off, struct skf_err *e)
{
	halt(t);
	if (!t->r && image_registry_open(t->peer, t->from->registry, t->from->repo, t->how, &t->r, e) < 0)
		return -1;
	if (!t->ring)
		t->ring = malloc(RING_BYTES);
	if (!t->ring)
		return skf_fail(e, SKF_ENOMEM, "blob '%s'", t->desc.digest.s);
	t->at = t->end = off;
	t->stop = t->ended = false;
	skf_err_clear(&t->err);
	int r = pthread_create(&t->thread, NULL, receive, t);
	if (r)
		return skf_fail_sys(e, -r, "start a thread for blob '%s'", t->desc.digest.s);
	t->running = true;
	return 0;
}

int64_t image_through_read(struct image_through *t, uint64_t off, void *p, size_t n, struct skf_err *e)
{
	int64_t r = -1;
	if ((!t->running || off != t->at) && start(t, off, e) < 0)
		return -1;
	pthread_mutex_lock(&t->m);
	while (t->at == t->end && !t->ended)
		pthread_cond_wait(&t->c, &t->m);
	size_t have = (size_t)(t->end - t->at), pos = (size_t)(t->at % RING_BYTES);
	if (have) {
		have = have < n ? have : n;
		have = have < RING_BYTES - pos ? have : RING_BYTES - pos;
		memcpy(p, t->ring + pos, have);
		t->at += have;
		r = (int64_t)have;
		pthread_cond_broadcast(&t->c);
	} else if (t->err.kind) {
		*e = t->err;
		skf_ctx(e, "blob '%s' from '%s/%s'", t->desc.digest.s, t->from->registry, t->from->repo);
	} else {
		skf_fail(e, SKF_ECORRUPT, "blob '%s' from '%s/%s' ends at byte %llu of %llu",
			 t->desc.digest.s, t->from->registry, t->from->repo, (unsigned long long)off,
			 (unsigned long long)t->desc.size);
	}
	pthread_mutex_unlock(&t->m);
	return r;
}

void image_through_free(struct image_through *t)
{
	if (!t)
		return;
	halt(t);
	skf_registry_free(t->r);
	free(t->ring);
	pthread_cond_destroy(&t->c);
	pthread_mutex_destroy(&t->m);
	free(t);
}

struct image_through *image_through_new(const struct image_peer *peer, const struct skf_ref *from,
					const struct image_how *how, const struct skf_desc *desc)
{
	struct image_through *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->peer = peer;
	t->from = from;
	t->how = how;
	t->desc = *desc;
	pthread_mutex_init(&t->m, NULL);
	pthread_cond_init(&t->c, NULL);
	return t;
}
