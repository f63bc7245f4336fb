/* cmd/image_pull.c -- a pull: resolve, choose the platform, config, layers, record, reference. The order
 * makes a kill at any point harmless: the lease names every digest before it is used or made, the reference
 * is written last, and all layers are synced before it. */
#include "base/arena.h"
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_int.h"
#include "oci/image.h"
#include "registry/registry.h"
#include "store/unpack.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct pull {
	const struct image_peer *peer;
	const struct image_pull *q;
	struct skf_arena arena;
	struct skf_store *store;
	struct skf_lease *lease;
	struct skf_registry *reg;
	struct skf_ref ref, by_digest; /* by_digest: same repository, the platform's manifest */
	struct skf_platform platform;
	struct skf_digest top, manifest;
	struct skf_manifest *doc;
	struct skf_image_config *config;
	struct kept { /* index, manifest, config: written with the record (skf_store_image_put_with) */
		struct skf_digest digest;
		struct skf_buf bytes;
	} docs[3];
	size_t n_docs;
	struct image_layer_job *jobs;
	size_t n_jobs;
	bool transfers;  /* atomic: jobs and n_jobs are set, and move */
	bool up_to_date; /* the name means this image already */
};

/* PROGRESS once there are layers; called by the watching thread */
static void send_progress(void *arg)
{
	const struct pull *p = arg;
	if (!__atomic_load_n(&p->transfers, __ATOMIC_ACQUIRE))
		return;
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_rec r;
	skf_rec_begin(&r, &b, SKF_IMG_PROGRESS, SKF_IMG_VERSION);
	skf_rec_u32(&r, (uint32_t)p->n_jobs);
	for (size_t i = 0; i < p->n_jobs; i++) {
		skf_rec_u64(&r, __atomic_load_n(&p->jobs[i].received, __ATOMIC_RELAXED));
		skf_rec_u32(&r, __atomic_load_n(&p->jobs[i].phase, __ATOMIC_RELAXED));
	}
	skf_rec_end(&r);
	image_send(p->peer, &b);
}

/* --- steps --- */
static int step_open(struct pull *p, struct skf_err *e)
{
	if (skf_ref_parse(p->q->reference, &p->ref, e) < 0)
		return -1;
	if (p->q->platform[0]) {
		if (skf_platform_parse(p->q->platform, &p->platform, e) < 0)
			return -1;
	} else {
		skf_platform_host(&p->platform);
	}
	if (skf_store_open(p->q->root, true, &p->store, e) < 0 || skf_lease_new(p->store, &p->lease, e) < 0)
		return -1;
	return image_registry_open(p->peer, p->ref.registry, p->ref.repo, &p->q->how, &p->reg, e);
}

static int keep_doc(struct pull *p, const struct skf_digest *d, const struct skf_buf *b, struct skf_err *e)
{
	struct kept *k = &p->docs[p->n_docs];
	if (p->n_docs >= SKF_ARRAY_LEN(p->docs))
		return skf_fail(e, SKF_EBUG, "more than %zu documents of an image", SKF_ARRAY_LEN(p->docs));
	if (skf_lease_add(p->lease, d, e) < 0)
		return -1;
	p->n_docs++;
	k->digest = *d;
	k->bytes = (struct skf_buf)SKF_BUF(b->max);
	skf_buf_put(&k->bytes, b->p, b->len);
	return k->bytes.err ? skf_fail_sys(e, k->bytes.err, "'%s'", d->s) : 0;
}

static int fetch_manifest(struct pull *p, const struct skf_ref *ref, struct skf_digest *ret,
			  struct skf_buf *b, char content_type[128], enum skf_media *kind, struct skf_err *e)
{
	int r = 0;
	if (ref->digest.s[0]) /* maybe already here: a digest never changes its meaning. Looked for once the
				 lease protects it. */
		r = skf_lease_add(p->lease, &ref->digest, e) < 0
			    ? -1
			    : skf_store_blob_has(p->store, &ref->digest, e);
	if (r < 0)
		return -1;
	content_type[0] = 0;
	if (r == 1) {
		*ret = ref->digest;
		r = skf_store_blob_read(p->store, ret, SKF_MAX_MANIFEST_BYTES, b, e);
	} else {
		r = skf_registry_manifest(p->reg, ref, b, content_type, ret, e);
	}
	if (r < 0)
		return -1;
	return skf_manifest_kind(skf_buf_cstr(b), b->len, content_type, kind, e);
}

static int step_manifest(struct pull *p, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1);
	char type[128];
	enum skf_media kind;
	struct skf_index *index;
	const struct skf_desc *chosen;

	if (fetch_manifest(p, &p->ref, &p->top, &b, type, &kind, e) < 0 || keep_doc(p, &p->top, &b, e) < 0)
		return -1;
	p->by_digest = p->ref;
	p->by_digest.digest = p->manifest = p->top;
	if (kind == SKF_MEDIA_INDEX) {
		if (skf_index_parse(skf_buf_cstr(&b), b.len, type, &p->arena, &index, e) < 0 ||
		    skf_index_choose(index, &p->platform, &chosen, e) < 0)
			return skf_ctx(e, "index '%s'", p->top.s);
		p->by_digest.digest = chosen->digest;
		skf_buf_clear(&b);
		if (fetch_manifest(p, &p->by_digest, &p->manifest, &b, type, &kind, e) < 0)
			return -1;
		if (b.len != chosen->size)
			return skf_fail(e, SKF_ECORRUPT, "manifest '%s': expected %llu bytes, got %zu",
					p->manifest.s, (unsigned long long)chosen->size, b.len);
		if (kind == SKF_MEDIA_INDEX)
			return skf_fail(e, SKF_EUNSUPPORTED,
					"index '%s': its entry for this platform is an index again",
					p->top.s);
		if (keep_doc(p, &p->manifest, &b, e) < 0)
			return -1;
	}
	if (skf_manifest_parse(skf_buf_cstr(&b), b.len, type, &p->arena, &p->doc, e) < 0)
		return skf_ctx(e, "manifest '%s'", p->manifest.s);
	return 0;
}

static int step_config(struct pull *p, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES + 1);
	const struct skf_desc *d = &p->doc->config;
	if (d->media != SKF_MEDIA_CONFIG)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"'%s' is no container image: its config has the media type '%s'",
				p->manifest.s, d->media_type);
	if (skf_lease_add(p->lease, &d->digest, e) < 0)
		return -1;
	int has = skf_store_blob_has(p->store, &d->digest, e);
	if (has < 0)
		return -1;
	if (has ? skf_store_blob_read(p->store, &d->digest, SKF_MAX_CONFIG_BLOB_BYTES, &b, e) < 0
		: skf_registry_blob_small(p->reg, &p->ref, d, SKF_MAX_CONFIG_BLOB_BYTES, &b, e) < 0)
		return -1;
	if (skf_image_config_parse(skf_buf_cstr(&b), b.len, &p->arena, &p->config, e) < 0)
		return skf_ctx(e, "config '%s'", d->digest.s);
	if (p->config->diff_ids.n != p->doc->layers.n)
		return skf_fail(e, SKF_ECORRUPT,
				"image '%s': the manifest has %zu layers, the config names %zu",
				p->manifest.s, p->doc->layers.n, p->config->diff_ids.n);
	return has ? 0 : keep_doc(p, &d->digest, &b, e);
}

static int step_jobs(struct pull *p, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	const struct skf_desc *l = p->doc->layers.v;
	const struct skf_digest *ids = p->config->diff_ids.v;
	struct skf_rec r;

	p->n_jobs = p->doc->layers.n;
	p->jobs = skf_arena_array(&p->arena, p->n_jobs ? p->n_jobs : 1, sizeof(*p->jobs));
	if (!p->jobs)
		return skf_fail(e, SKF_ENOMEM, "layers of '%s'", p->manifest.s);
	for (size_t i = 0; i < p->n_jobs; i++) {
		if (l[i].media != SKF_MEDIA_LAYER_TAR && l[i].media != SKF_MEDIA_LAYER_GZIP &&
		    l[i].media != SKF_MEDIA_LAYER_ZSTD)
			return skf_fail(
				e, SKF_EUNSUPPORTED,
				"layer '%s' of '%s' has the media type '%s', which cannot be unpacked",
				l[i].digest.s, p->manifest.s, l[i].media_type);
		p->jobs[i].desc = l[i];
		p->jobs[i].diff_id = ids[i];
		if (skf_lease_add(p->lease, &l[i].digest, e) < 0 || skf_lease_add(p->lease, &ids[i], e) < 0)
			return -1;
	}
	if (image_layers_check(p->store, p->jobs, p->n_jobs, e) < 0)
		return -1;
	skf_rec_begin(&r, &b, SKF_IMG_LAYERS, SKF_IMG_VERSION);
	skf_rec_u32(&r, (uint32_t)p->n_jobs);
	for (size_t i = 0; i < p->n_jobs; i++) {
		skf_rec_str(&r, p->jobs[i].desc.digest.s);
		skf_rec_u64(&r, p->jobs[i].desc.size);
		skf_rec_u32(&r, p->jobs[i].present);
	}
	skf_rec_end(&r);
	image_send(p->peer, &b);
	return 0;
}

static int step_layers(struct pull *p, struct skf_err *e)
{
	size_t missing = 0;
	for (size_t i = 0; i < p->n_jobs; i++)
		missing += !p->jobs[i].present;
	if (!missing)
		return 0;
	struct skf_digest *fresh = skf_arena_array(&p->arena, p->n_jobs, sizeof(*fresh));
	size_t n = 0;
	if (!fresh)
		return skf_fail(e, SKF_ENOMEM, "layers of '%s'", p->manifest.s);
	for (size_t i = 0; i < p->n_jobs; i++)
		if (!p->jobs[i].present)
			fresh[n++] = p->jobs[i].diff_id;
	__atomic_store_n(&p->transfers, true, __ATOMIC_RELEASE);
	if (image_layers_fetch(p->peer, p->store, p->reg, &p->ref, p->jobs, p->n_jobs, e) < 0)
		return -1;
	return skf_unpack_sync(p->store, fresh, n, e);
}

static int write_record(struct pull *p, struct skf_err *e)
{
	char platform[80], from[600];
	struct skf_image im = {.manifest = p->manifest,
			       .config = p->doc->config.digest,
			       .media_type = p->doc->media_type,
			       .pulled_ns = skf_now_ns()};
	struct skf_store_doc docs[SKF_ARRAY_LEN(p->docs)];
	struct skf_image_layer *l = skf_arena_array(&p->arena, p->n_jobs ? p->n_jobs : 1, sizeof(*l));
	const struct skf_platform *c = &p->config->platform;
	if (!l ||
	    skf_fmt(platform, sizeof(platform), "%s/%s%s%s", c->os, c->arch, c->variant[0] ? "/" : "",
		    c->variant) < 0 ||
	    skf_fmt(from, sizeof(from), "%s/%s", p->ref.registry, p->ref.repo) < 0)
		return skf_fail(e, SKF_ENOMEM, "record of '%s'", p->manifest.s);
	for (size_t i = 0; i < p->n_jobs; i++) {
		struct skf_layer_info info;
		int has = skf_store_layer_has(p->store, &p->jobs[i].diff_id, &info, e);
		if (has < 0)
			return -1;
		if (has != 1)
			return skf_fail(e, SKF_ECORRUPT, "layer '%s' went away during the pull; pull again",
					p->jobs[i].diff_id.s);
		l[i] = (struct skf_image_layer){.digest = p->jobs[i].desc.digest,
						.diff_id = p->jobs[i].diff_id,
						.size = p->jobs[i].desc.size};
		im.size += p->jobs[i].desc.size;
		im.unpacked += info.size;
	}
	im.platform = platform;
	im.from = from;
	im.created = p->config->created;
	im.layers = (struct skf_jarr){l, p->n_jobs};
	for (size_t i = 0; i < p->n_docs; i++)
		docs[i] =
			(struct skf_store_doc){&p->docs[i].digest, p->docs[i].bytes.p, p->docs[i].bytes.len};
	return skf_store_image_put_with(p->store, &im, docs, p->n_docs, e);
}

/* What the name means already is not written again. */
static int step_commit(struct pull *p, struct skf_err *e)
{
	if (write_record(p, e) < 0)
		return -1;
	if (p->q->how.flags & SKF_IMG_NO_NAME || p->up_to_date)
		return 0;
	return skf_store_ref_set(p->store, &p->ref, &p->top, &p->manifest, e);
}

int image_pull_run(const struct image_peer *peer, const struct image_pull *q, struct image_done *ret,
		   struct skf_err *e)
{
	static int (*const steps[])(struct pull *, struct skf_err *) = {
		step_open, step_manifest, step_config, step_jobs, step_layers, step_commit};
	struct pull p = {.peer = peer, .q = q, .arena = SKF_ARENA(SKF_MAX_ARENA_DOC)};
	struct image_watch w = {.peer = peer, .progress = send_progress, .arg = &p, .stop_fd = -EBADF};
	struct skf_refrec old;
	int r = image_watch_start(&w, e), had = 0;
	for (size_t i = 0; r == 0 && i < SKF_ARRAY_LEN(steps); i++) {
		if (steps[i] == step_commit) {
			had = skf_store_ref_find(p.store, &p.ref, &old, e);
			p.up_to_date = had == 1 && skf_digest_eq(&old.top, &p.top) &&
				       skf_digest_eq(&old.manifest, &p.manifest);
		}
		r = had < 0 ? -1 : steps[i](&p, e);
	}
	image_watch_stop(&w);
	if (r == 0)
		send_progress(&p);
	if (r == 0)
		*ret = (struct image_done){p.top, p.manifest, p.doc->config.digest, p.up_to_date};
	for (size_t i = 0; i < p.n_docs; i++)
		skf_buf_done(&p.docs[i].bytes);
	skf_registry_free(p.reg);
	skf_lease_free(p.lease);
	skf_store_free(p.store);
	skf_arena_done(&p.arena);
	return r;
}
