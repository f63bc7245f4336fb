/* cmd/image_load_layers.c -- the layers of an image that is loaded from an archive: those that the store
 * lacks are unpacked, a few at a time, and synced together. Each thread touches its own struct lay and,
 * atomically, the place of the next. Blocks on the disk. */
#include "base/fd.h"
#include "cmd/image_load_int.h"
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define UNPACKERS 4

struct pool {
	struct load *l;
	struct lay *v;
	size_t n;
	size_t next; /* atomic */
	bool stop;   /* atomic */
};

static int to_unpack(void *u, const void *p, size_t n, struct skf_err *e)
{
	return skf_unpack_write(u, p, n, e);
}

static int unpack_one(struct load *l, struct lay *y)
{
	const struct skf_unpack_opts o = {.media = y->desc.media,
					  .digest = y->desc.digest,
					  .size = y->region.size,
					  .diff_id = y->diff_id};
	struct skf_unpack *u = NULL;
	int r;

	if (y->desc.digest.s[0] && y->desc.size != y->region.size)
		return skf_fail(&y->err, SKF_ECORRUPT,
				"layer '%s' has %llu bytes in the archive, its descriptor says %llu",
				y->desc.digest.s, (unsigned long long)y->region.size,
				(unsigned long long)y->desc.size);
	r = skf_unpack_new(l->store, &o, &u, &y->err);
	if (r == 0)
		r = image_region_read(l->peer, &y->region, to_unpack, u, &y->err);
	if (r == 0)
		r = skf_unpack_finish(u, &y->got, &y->err);
	skf_unpack_free(u);
	if (r == 0 && y->got.no_record[0])
		skf_debug(l->peer->log, "layer '%s' has no tar record: %s", y->diff_id.s, y->got.no_record);
	if (r == 0 && (y->got.skipped_devices || y->got.skipped_xattrs))
		skf_warn(l->peer->log,
			 "layer '%s': %llu device nodes and %llu extended attributes cannot be made here; "
			 "ignoring them",
			 y->diff_id.s, (unsigned long long)y->got.skipped_devices,
			 (unsigned long long)y->got.skipped_xattrs);
	return r;
}

static void *unpacker(void *arg)
{
	struct pool *p = arg;

	while (!__atomic_load_n(&p->stop, __ATOMIC_RELAXED)) {
		size_t i = __atomic_fetch_add(&p->next, 1, __ATOMIC_RELAXED);

		if (i >= p->n)
			break;
		if (p->v[i].present)
			continue;
		p->v[i].result = unpack_one(p->l, &p->v[i]);
		if (p->v[i].result < 0)
			__atomic_store_n(&p->stop, true, __ATOMIC_RELAXED);
	}
	return NULL;
}

static int unpack_all(struct load *l, struct lay *v, size_t n, struct skf_err *e)
{
	struct pool p = {.l = l, .v = v, .n = n};
	pthread_t t[UNPACKERS];
	size_t started = 0;

	while (started < UNPACKERS && started + 1 < n &&
	       pthread_create(&t[started], NULL, unpacker, &p) == 0)
		started++;
	unpacker(&p); /* also when no thread could be made */
	while (started > 0)
		pthread_join(t[--started], NULL);
	for (size_t i = 0; i < n; i++)
		if (v[i].result < 0) {
			*e = v[i].err;
			return -1;
		}
	return 0;
}

/* Which are here already, or twice in the image. */
static int check_present(struct load *l, struct lay *v, size_t n, struct skf_err *e)
{
	for (size_t i = 0; i < n; i++) {
		struct image_layer_job j = {.desc = v[i].desc, .diff_id = v[i].diff_id};

		if ((v[i].desc.digest.s[0] && skf_lease_add(l->lease, &v[i].desc.digest, e) < 0) ||
		    skf_lease_add(l->lease, &v[i].diff_id, e) < 0 ||
		    image_layers_check(l->store, &j, 1, e) < 0)
			return -1;
		v[i].present = j.present;
		for (size_t k = 0; k < i; k++)
			v[i].present |= skf_digest_eq(&v[k].diff_id, &v[i].diff_id);
	}
	return 0;
}

int image_load_layers(struct load *l, struct lay *v, size_t n, struct skf_err *e)
{
	struct skf_digest *fresh = skf_arena_array(&l->a, n ? n : 1, sizeof(*fresh));
	size_t k = 0;

	if (!fresh)
		return skf_fail(e, SKF_ENOMEM, "layers");
	if (check_present(l, v, n, e) < 0 || unpack_all(l, v, n, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++)
		if (!v[i].present)
			fresh[k++] = v[i].diff_id;
	return k ? skf_unpack_sync(l->store, fresh, k, e) : 0;
}
