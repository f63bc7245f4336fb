/* cmd/image_push.c -- a push: the blobs of one image of the store, then its manifest by digest's content
 * under the destination's tag.
 *
 * A layer's bytes come from, in this order: the destination has them; they are mounted from another
 * repository there; the store kept the blob; the registry that the image came from; else the layer is packed
 * again, and when that gives other compressed bytes the manifest that goes up names them. Whoever gives
 * them, registry/push.c hashes them on their way. Invariants: 1. the lease names every digest, so that no
 * collection takes a blob under a push; 2. the manifest goes last; 3. nothing of the store is changed.
 * Blocks: network and disk. */
#include "base/arena.h"
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_int.h"
#include "registry/registry.h"
#include "store/unpack.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#define PARALLEL 4

struct source {
	struct push *x;
	struct skf_desc desc;
	int fd; /* of the store's blob; -EBADF not open */
	struct image_through *t;
};
struct push {
	const struct image_peer *peer;
	const char *root, *manifest, *dest;
	struct image_how how;
	uint32_t parallel;
	uint64_t chunk;
	struct skf_arena arena;
	struct skf_store *store;
	struct skf_lease *lease;
	struct skf_registry *reg;
	struct skf_ref ref, from; /* from.repo "": the image came from no registry */
	struct skf_image *image;
	struct skf_buf bytes; /* of the manifest */
	struct skf_manifest *doc;
	struct skf_digest digest;
	struct source *src;
	struct skf_blob_put *put;
	size_t n;
	bool ready;            /* atomic: put and n are set */
	pthread_mutex_t shown; /* put and n do not change under a progress record */
	bool lost;             /* atomic: the bytes of a layer were not to be had */
	struct packed {
		struct skf_digest digest;
		int fd;
	} * packed; /* layers that were packed again */
	size_t n_packed;
};

/* --- where the bytes come from; opened when the first of them is wanted --- */
static int source_open(struct source *s, struct skf_err *e)
{
	uint64_t size;
	for (size_t i = 0; i < s->x->n_packed; i++)
		if (skf_digest_eq(&s->x->packed[i].digest, &s->desc.digest)) {
			s->fd = skf_dup_cloexec(s->x->packed[i].fd);
			return s->fd < 0 ? skf_fail_sys(e, s->fd, "packed layer '%s'", s->desc.digest.s) : 0;
		}
	int has = skf_store_blob_has(s->x->store, &s->desc.digest, e);
	if (has < 0)
		return -1;
	if (has == 1)
		return skf_store_blob_open(s->x->store, &s->desc.digest, &s->fd, &size, e);
	if (!s->x->from.repo[0]) {
		__atomic_store_n(&s->x->lost, true, __ATOMIC_RELAXED);
		return skf_fail(e, SKF_ENOTFOUND,
				"blob '%s' is neither in the destination nor in the store, and the image "
				"came from no registry that could give it",
				s->desc.digest.s);
	}
	s->t = image_through_new(s->x->peer, &s->x->from, &s->x->how, &s->desc);
	return s->t ? 0 : skf_fail(e, SKF_ENOMEM, "blob '%s'", s->desc.digest.s);
}

static int64_t source_read(void *arg, uint64_t off, void *p, size_t n, struct skf_err *e)
{
	struct source *s = arg;
	if (s->fd < 0 && !s->t && source_open(s, e) < 0)
		return -1;
	if (s->t) {
		int64_t r = image_through_read(s->t, off, p, n, e);
		if (r < 0 && !skf_endswith(e->msg, "cancelled"))
			__atomic_store_n(&s->x->lost, true, __ATOMIC_RELAXED);
		return r < 0 ? skf_ctx(e, "which the store did not keep") : r;
	}
	ssize_t k;
	do
		k = pread(s->fd, p, n, (off_t)off);
	while (k < 0 && errno == EINTR);
	if (k < 0)
		return skf_fail_sys(e, -errno, "read blob '%s' of the store", s->desc.digest.s);
	return k ? k
		 : skf_fail(e, SKF_ECORRUPT,
			    "blob '%s' of the store is shorter than its manifest says; run skiff system "
			    "check --repair",
			    s->desc.digest.s);
}

/* --- steps --- */
static int step_open(struct push *x, struct skf_err *e)
{
	struct skf_digest d;
	if (skf_ref_parse(x->dest, &x->ref, e) < 0 || skf_digest_parse(x->manifest, &d, e) < 0)
		return -1;
	if (!x->ref.tag[0])
		return skf_fail(e, SKF_EINVALID, "'%s': a push needs a tag; the digest comes from the image",
				x->dest);
	x->ref.digest.s[0] = 0;
	x->digest = d;
	if (skf_store_open(x->root, false, &x->store, e) < 0 || skf_lease_new(x->store, &x->lease, e) < 0 ||
	    skf_lease_add(x->lease, &d, e) < 0)
		return -1;
	if (skf_store_image_get(x->store, &d, &x->arena, &x->image, e) < 0)
		return -1;
	const char *slash = x->image->from ? strchr(x->image->from, '/') : NULL;
	if (slash && (skf_fmt(x->from.registry, sizeof(x->from.registry), "%.*s",
			      (int)(slash - x->image->from), x->image->from) < 0 ||
		      skf_fmt(x->from.repo, sizeof(x->from.repo), "%s", slash + 1) < 0))
		x->from.repo[0] = 0;
	if (image_registry_open_at(x->peer, &x->ref, &x->how, &x->reg, e) < 0)
		return -1;
	skf_registry_set_actions(x->reg, "pull,push");
	return 0;
}

static int step_manifest(struct push *x, struct skf_err *e)
{
	if (skf_store_blob_read(x->store, &x->digest, SKF_MAX_MANIFEST_BYTES, &x->bytes, e) < 0)
		return -1;
	if (skf_manifest_parse(skf_buf_cstr(&x->bytes), x->bytes.len,
			       x->image->media_type ? x->image->media_type : "", &x->arena, &x->doc, e) < 0)
		return skf_ctx(e, "manifest '%s'", x->digest.s);
	return 0;
}

struct mounts {
	struct push *x;
	size_t left; /* blobs without a repository to mount from */
};

/* Repositories of the destination's registry that this or another image of the store came from with one of
 * our layers. */
static int find_mounts(struct mounts *m, const struct skf_image *i, struct skf_err *e)
{
	struct push *x = m->x;
	size_t n = strlen(x->ref.registry);
	const struct skf_image_layer *l = i->layers.v;
	if (!i->from || strncmp(i->from, x->ref.registry, n) != 0 || i->from[n] != '/' ||
	    skf_streq(i->from + n + 1, x->ref.repo))
		return 0;
	for (size_t k = 0; k < x->n && m->left; k++) {
		bool has = skf_digest_eq(&i->config, &x->put[k].desc.digest);
		for (size_t j = 0; !has && j < i->layers.n; j++)
			has = skf_digest_eq(&l[j].digest, &x->put[k].desc.digest);
		if (!has || x->put[k].mount_from)
			continue;
		struct skf_err full =
			SKF_ERR_INIT; /* more repositories than a token can name: the rest is uploaded */
		if (skf_registry_add_from(x->reg, i->from + n + 1, &full) < 0)
			return full.kind == SKF_ELIMIT ? 0 : (*e = full, -1);
		x->put[k].mount_from = i->from + n + 1;
		m->left--;
	}
	return 0;
}

static int step_mounts(struct push *x, struct skf_err *e)
{
	struct mounts m = {x, x->n};
	struct skf_jarr refs;
	if (find_mounts(&m, x->image, e) < 0 || skf_store_ref_list(x->store, &x->arena, &refs, e) < 0)
		return -1;
	const struct skf_refrec *v = refs.v;
	for (size_t i = 0; i < refs.n && m.left; i++) {
		struct skf_image *im;
		struct skf_err gone = SKF_ERR_INIT; /* an image that was removed meanwhile, or is damaged,
						       gives no mount */
		if (skf_digest_eq(&v[i].manifest, &x->digest) ||
		    skf_store_image_get(x->store, &v[i].manifest, &x->arena, &im, &gone) < 0)
			continue;
		if (find_mounts(&m, im, e) < 0)
			return -1;
	}
	return 0;
}

static int add_blob(struct push *x, const struct skf_desc *d, struct skf_err *e)
{
	for (size_t i = 0; i < x->n; i++)
		if (skf_digest_eq(&x->put[i].desc.digest, &d->digest))
			return 0;
	if (d->media == SKF_MEDIA_LAYER_FOREIGN)
		return 0; /* it stays where its urls say */
	x->src[x->n] = (struct source){.x = x, .desc = *d, .fd = -EBADF};
	x->put[x->n] = (struct skf_blob_put){.desc = *d, .src = {source_read, &x->src[x->n]}};
	x->n++;
	return skf_lease_add(x->lease, &d->digest, e);
}

static int step_blobs(struct push *x, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	const struct skf_desc *l = x->doc->layers.v;
	struct skf_rec r;
	x->src = skf_arena_array(&x->arena, x->doc->layers.n + 1, sizeof(*x->src));
	x->put = skf_arena_array(&x->arena, x->doc->layers.n + 1, sizeof(*x->put));
	if (!x->src || !x->put)
		return skf_fail(e, SKF_ENOMEM, "layers of '%s'", x->digest.s);
	for (size_t i = 0; i < x->doc->layers.n; i++)
		if (add_blob(x, &l[i], e) < 0)
			return -1;
	size_t shown = x->n; /* docker does not show the config either */
	if (add_blob(x, &x->doc->config, e) < 0 || step_mounts(x, e) < 0)
		return -1;
	skf_rec_begin(&r, &b, SKF_IMG_LAYERS, SKF_IMG_VERSION);
	skf_rec_u32(&r, (uint32_t)shown);
	for (size_t i = 0; i < shown; i++) {
		skf_rec_str(&r, x->put[i].desc.digest.s);
		skf_rec_u64(&r, x->put[i].desc.size);
		skf_rec_u32(&r, 0);
	}
	skf_rec_end(&r);
	image_send(x->peer, &b);
	__atomic_store_n(&x->ready, true, __ATOMIC_RELEASE);
	return skf_registry_push_blobs(x->reg, &x->ref, x->put, x->n, x->parallel ? x->parallel : PARALLEL,
				       x->chunk, e);
}

static const struct skf_digest *diff_id_of(const struct push *x, const struct skf_digest *d)
{
	const struct skf_image_layer *l = x->image->layers.v;
	for (size_t i = 0; i < x->image->layers.n; i++)
		if (skf_digest_eq(&l[i].digest, d))
			return &l[i].diff_id;
	return NULL;
}

static void close_sources(struct push *x)
{
	for (size_t i = 0; i < x->n; i++) {
		skf_closep(&x->src[i].fd);
		image_through_free(x->src[i].t);
		x->src[i].t = NULL;
	}
}

/* Packs the layers that the destination does not have and the store did not keep. */
static int pack_lost(struct push *x, struct skf_err *e)
{
	struct image_renamed *v = skf_arena_array(&x->arena, x->n, sizeof(*v));
	size_t n = 0;
	x->packed = skf_arena_array(&x->arena, x->n, sizeof(*x->packed));
	if (!v || !x->packed)
		return skf_fail(e, SKF_ENOMEM, "layers of '%s'", x->digest.s);
	for (size_t i = 0; i < x->n; i++) {
		const struct skf_desc *d = &x->put[i].desc;
		const struct skf_digest *id = diff_id_of(x, &d->digest);
		struct packed *p = &x->packed[x->n_packed];
		int has = x->put[i].state >= SKF_PUT_DONE || !id
				  ? 1
				  : skf_store_blob_has(x->store, &d->digest, e);
		if (has < 0)
			return -1;
		if (has)
			continue;
		v[n].old = d->digest;
		if (image_repack_layer(x->store, id, d->media, &p->fd, &v[n].now, &v[n].size, e) < 0)
			return -1;
		p->digest = v[n++].now;
		x->n_packed++;
	}
	return image_manifest_rename(&x->bytes, v, n, e);
}

/* Once more with packed layers. The image of the store stays what it is; only what is pushed has other
 * compressed bytes. */
static int step_packed(struct push *x, struct skf_err *e)
{
	struct skf_err why = SKF_ERR_INIT;
	int r = step_blobs(x, &why);
	if (r == 0)
		return 0;
	if (!__atomic_load_n(&x->lost, __ATOMIC_RELAXED)) {
		*e = why;
		return -1;
	}
	skf_debug(x->peer->log, "%s; packing it again", why.msg);
	__atomic_store_n(&x->ready, false, __ATOMIC_RELEASE);
	if (pack_lost(x, e) < 0)
		return -1;
	pthread_mutex_lock(&x->shown); /* no progress is under way with the old list */
	close_sources(x);
	x->n = 0;
	pthread_mutex_unlock(&x->shown);
	struct skf_manifest *old = x->doc;
	if (skf_manifest_parse(skf_buf_cstr(&x->bytes), x->bytes.len, old->media_type ? old->media_type : "",
			       &x->arena, &x->doc, e) < 0)
		return skf_ctx(e, "packed manifest of '%s'", x->digest.s);
	if (skf_unpack_sha256(x->bytes.p, x->bytes.len, &x->digest, e) < 0)
		return -1;
	return step_blobs(x, e);
}

static int step_commit(struct push *x, struct skf_err *e)
{
	struct skf_digest got;
	const char *type =
		x->image->media_type && *x->image->media_type ? x->image->media_type : x->doc->media_type;
	return skf_registry_push_manifest(x->reg, &x->ref, &x->digest, NULL, type, x->bytes.p, x->bytes.len,
					  &got, e);
}

static void send_progress(void *arg)
{
	static const uint32_t phase[] = {[SKF_PUT_WAITING] = 0,
					 [SKF_PUT_SENDING] = 1,
					 [SKF_PUT_DONE] = 3,
					 [SKF_PUT_EXISTS] = 4,
					 [SKF_PUT_MOUNTED] = 5};
	struct push *x = arg;
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_rec r;
	pthread_mutex_lock(&x->shown);
	if (!__atomic_load_n(&x->ready, __ATOMIC_ACQUIRE)) {
		pthread_mutex_unlock(&x->shown);
		return;
	}
	skf_rec_begin(&r, &b, SKF_IMG_PROGRESS, SKF_IMG_VERSION);
	skf_rec_u32(&r, (uint32_t)x->n);
	for (size_t i = 0; i < x->n; i++) {
		skf_rec_u64(&r, __atomic_load_n(&x->put[i].sent, __ATOMIC_RELAXED));
		skf_rec_u32(&r, phase[__atomic_load_n(&x->put[i].state, __ATOMIC_RELAXED)]);
	}
	skf_rec_end(&r);
	pthread_mutex_unlock(&x->shown);
	image_send(x->peer, &b);
}

static void done(struct push *x)
{
	close_sources(x);
	for (size_t i = 0; i < x->n_packed; i++)
		skf_closep(&x->packed[i].fd);
	skf_registry_free(x->reg);
	skf_lease_free(x->lease);
	skf_store_free(x->store);
	skf_buf_done(&x->bytes);
	skf_arena_done(&x->arena);
}

static int run(struct push *x, struct skf_buf *answer, struct skf_err *e)
{
	static int (*const steps[])(struct push *, struct skf_err *) = {step_open, step_manifest,
									step_packed, step_commit};
	struct image_watch w = {.peer = x->peer, .progress = send_progress, .arg = x, .stop_fd = -EBADF};
	struct skf_rec r;
	int rc = image_watch_start(&w, e);
	for (size_t i = 0; rc == 0 && i < SKF_ARRAY_LEN(steps); i++)
		rc = steps[i](x, e);
	image_watch_stop(&w);
	if (rc < 0)
		return -1;
	send_progress(x);
	skf_rec_begin(&r, answer, SKF_IMG_DONE, SKF_IMG_VERSION);
	skf_rec_str(&r, x->digest.s);
	skf_rec_str(&r, x->digest.s);
	skf_rec_str(&r, x->doc->config.digest.s);
	skf_rec_u32(&r, 0);
	skf_rec_u64(&r, x->bytes.len);
	skf_rec_end(&r);
	return 0;
}

int image_serve_push(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		     struct skf_err *e)
{
	struct push x = {.peer = peer,
			 .arena = SKF_ARENA(SKF_MAX_ARENA_DOC),
			 .bytes = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1),
			 .shown = PTHREAD_MUTEX_INITIALIZER};
	x.root = skf_recr_str(q);
	x.manifest = skf_recr_str(q);
	x.dest = skf_recr_str(q);
	image_how_get(&x.how, q);
	x.chunk = skf_recr_u64(q);
	x.parallel = skf_recr_u32(q);
	int r = q->bad ? skf_fail(e, SKF_EINVALID, "the push request is cut short")
		: image_how_bind(&x.how, x.dest, e) < 0 ? -1
							: run(&x, answer, e);
	done(&x);
	return r;
}
