/* registry/push.c -- the blobs of a push: threads that take one blob after the other (upload.c).
 *
 * The threads share nothing but struct run's counters; each has a handle of its own. The first failure stops
 * the others. Blocks: network. */
#include "registry/registry_int.h"
#include "registry/upload.h"
#include <pthread.h>
#include <stdlib.h>

struct run {
	pthread_mutex_t m;
	struct skf_blob_put *p;
	size_t n, next;
	struct skf_upload_run up;
	bool failed;
	struct skf_err err; /* of the first that failed */
};

static void work(struct run *u, struct skf_registry *r)
{
	for (;;) {
		struct skf_err e = SKF_ERR_INIT;
		pthread_mutex_lock(&u->m);
		struct skf_blob_put *p = u->next < u->n && !u->failed ? &u->p[u->next++] : NULL;
		pthread_mutex_unlock(&u->m);
		if (!p)
			return;
		if (skf_upload_blob(&u->up, r, p, &e) == 0)
			continue;
		pthread_mutex_lock(&u->m);
		if (!u->failed || skf_streq(u->err.msg, "cancelled"))
			u->err = e;
		u->failed = true;
		pthread_mutex_unlock(&u->m);
		__atomic_store_n(&u->up.stop, true, __ATOMIC_RELAXED);
		return;
	}
}

struct helper {
	struct run *u;
	struct skf_registry *r;
	pthread_t thread;
};

static void *helper(void *arg)
{
	struct helper *h = arg;
	work(h->u, h->r);
	return NULL;
}

int skf_registry_push_blobs(struct skf_registry *r, const struct skf_ref *ref, struct skf_blob_put *p,
			    size_t n, unsigned parallel, uint64_t chunk, struct skf_err *e)
{
	struct run u = {.m = PTHREAD_MUTEX_INITIALIZER, .p = p, .n = n, .up = {.ref = ref, .chunk = chunk}};
	struct helper h[16];
	unsigned helpers = 0;
	for (size_t i = 0; i < n; i++)
		__atomic_store_n(&p[i].state, (uint32_t)SKF_PUT_WAITING, __ATOMIC_RELAXED);
	if (!n)
		return 0;
	/* the first request alone, so that scheme and token are known before the handle is cloned */
	if (skf_upload_exists(&u.up, r, &p[0], e) < 0)
		return -1;
	while (helpers + 1 < parallel && helpers + 1 < n && helpers < SKF_ARRAY_LEN(h)) {
		h[helpers] = (struct helper){.u = &u};
		if (skf_registry_clone(r, &h[helpers].r, e) < 0) {
			__atomic_store_n(&u.up.stop, true, __ATOMIC_RELAXED);
			u.failed = true;
			u.err = *e;
			break;
		}
		if (pthread_create(&h[helpers].thread, NULL, helper, &h[helpers])) { /* then with fewer */
			skf_registry_free(h[helpers].r);
			break;
		}
		helpers++;
	}
	work(&u, r);
	for (unsigned i = 0; i < helpers; i++) {
		pthread_join(h[i].thread, NULL);
		skf_registry_free(h[i].r);
	}
	if (u.failed)
		*e = u.err;
	return u.failed ? -1 : 0;
}
