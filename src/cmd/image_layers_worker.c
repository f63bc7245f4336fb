/* cmd/image_layers_worker.c -- the thread that unpacks one layer (image_layers.c): first what an earlier
 * pull has received, then what comes through the queue. Invariants: 1. it touches its own struct work, the
 * queue, and under their lock the counts of struct fetch; 2. whoever waits for room for a window of zstd
 * holds none; 3. its failure cancels the whole, unless the layer is worth another try from its first byte.
 * Blocks: disk, queue. */
#include "base/fd.h"
#include "cmd/image_layers_int.h"
#include "store/inflate.h"
#include "store/unpack.h"
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#define WINDOW_BYTES   (24u << 20)
#define WINDOW_LOOK_MS 100

static void warn_left_out(const struct work *w, const struct skf_unpack_result *res)
{
	if (res->skipped_devices)
		skf_warn(w->f->peer->log, "layer '%s': %llu device nodes cannot be made here; ignoring them",
			 w->j->desc.digest.s, (unsigned long long)res->skipped_devices);
	if (res->skipped_xattrs)
		skf_warn(w->f->peer->log,
			 "layer '%s': %llu extended attributes cannot be set here; ignoring them",
			 w->j->desc.digest.s, (unsigned long long)res->skipped_xattrs);
}

/* What an earlier pull has received. */
static int feed_file(struct work *w, struct skf_unpack *u, struct skf_err *e)
{
	SKF_AUTO_FREE char *b = w->have ? malloc(CHUNK_BYTES) : NULL;
	if (w->have && !b)
		return skf_fail(e, SKF_ENOMEM, "layer '%s'", w->j->desc.digest.s);
	for (uint64_t off = 0; off < w->have;) {
		struct pollfd p = {w->f->peer->cancel_fd, POLLIN, 0};
		uint64_t left = w->have - off;
		ssize_t k = pread(w->data, b, left < CHUNK_BYTES ? (size_t)left : CHUNK_BYTES, (off_t)off);
		if (k < 0 && errno == EINTR)
			continue;
		if (k <= 0)
			return skf_fail_sys(e, k < 0 ? -errno : -EIO, "read the download of layer '%s'",
					    w->j->desc.digest.s);
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
	struct pollfd p = {w->f->peer->cancel_fd, POLLIN, 0};
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
	const struct skf_window_gate gate = {want_window, w};
	const struct skf_unpack_opts o = {.media = w->j->desc.media,
					  .digest = w->j->desc.digest,
					  .size = w->j->desc.size,
					  .diff_id = w->j->diff_id,
					  .gate = &gate};
	struct skf_unpack *u = NULL;
	struct skf_unpack_result res = {0};
	struct chunk *c = NULL;
	bool broken = false;
	int r = skf_unpack_new(w->f->s, &o, &u, e);
	if (r == 0)
		r = feed_file(w, u, e);
	while (r == 0 && (c = image_queue_pop(w, c, &broken)))
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

int image_worker_release(struct work *w, bool drop, struct skf_err *e)
{
	int r = 0;
	skf_closep(&w->data);
	if (w->lock >= 0 && drop)
		r = skf_ingest_done(w->f->s, &w->j->desc.digest, false, e);
	skf_closep(&w->dirfd);
	skf_closep(&w->lock);
	return r;
}

/* The largest layer is what the pull waits for at the end, alone and with its stages in turn. Smaller ones
 * take what it leaves of the processors while they last. The threads of the unpacker inherit it. */
static void yield_to_larger(const struct work *w)
{
	static const int by_rank[] = {0, 5, 10}; /* steps of nice(2) */
	unsigned i = w->rank < SKF_ARRAY_LEN(by_rank) ? w->rank : SKF_ARRAY_LEN(by_rank) - 1;
	errno = 0;
	int now = getpriority(PRIO_PROCESS, 0); /* of this thread, see the notes of getpriority(2) */
	if (by_rank[i] && errno == 0 && setpriority(PRIO_PROCESS, 0, now + by_rank[i]) < 0)
		skf_debug(w->f->peer->log, "layer '%s': its priority stays as it is: %m",
			  w->j->desc.digest.s);
}

static void *worker(void *arg)
{
	struct work *w = arg;
	struct fetch *f = w->f;
	struct skf_err e = SKF_ERR_INIT;
	yield_to_larger(w);
	int r = unpack(w, &e);
	if (r == 0)
		r = image_worker_release(w, true, &e);
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

int image_worker_begin(struct work *w, struct skf_err *e)
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
