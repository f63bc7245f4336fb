/* cmd/image_import.c -- images that this machine makes: of a flat tar (import), of a container (commit); and
 * a container as a flat tar (export).
 *
 * The new layer goes straight into the store: the tar that the container's upper directory would be is fed
 * to the unpacker as it is made, which seals it with its record like every other layer. Its diff-id is in
 * the lease before the layer has its name. The config object comes from the engine. Blocks on the disk, and
 * import and export on their pipe. */
#include "base/fd.h"
#include "base/json.h"
#include "base/limits.h"
#include "cmd/image_archive.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define MAX_ANNOTATIONS 64u
struct make {
	const struct image_peer *peer;
	struct skf_store *store;
	struct skf_lease *lease;
	struct skf_arena a;
	const char *ref, *config_object, *author, *comment, *created_by;
	const char *type; /* of the manifest */
	bool squash;      /* one layer, which has the base's files too */
	struct skf_platform platform;
	struct skf_image *base; /* NULL: none */
	struct skf_image_config *base_config;
	struct skf_unpack_result layer;
	struct skf_kvs annotations;
	bool has_layer, mapped; /* mapped: ids are those of the container's user namespace */
	struct skf_idmaps ids;
};

static void make_done(struct make *m)
{
	skf_lease_free(m->lease);
	skf_store_free(m->store);
	skf_arena_done(&m->a);
}

static int on_named(void *arg, const struct skf_digest *d, struct skf_err *e)
{
	struct make *m = arg;

	return skf_lease_add(m->lease, d, e);
}

struct feed {
	const struct image_peer *peer;
	struct skf_unpack *u;
	const struct skf_idmaps *ids; /* of the container; NULL */
	struct make *m;
};

static int to_unpack(void *arg, const void *p, size_t n, struct skf_err *e)
{
	struct feed *f = arg;

	return image_check_cancel(f->peer, e) < 0 ? -1 : skf_unpack_write(f->u, p, n, e);
}

/* fill writes the tar into the feed. */
static int new_layer(struct make *m, int fd, int (*fill)(struct feed *f, int fd, struct skf_err *e),
		     struct skf_err *e)
{
	const struct skf_unpack_opts o = {
		.media = SKF_MEDIA_LAYER_TAR, .size = UINT64_MAX, .named = on_named, .arg = m};
	struct feed f = {.peer = m->peer, .ids = m->mapped ? &m->ids : NULL, .m = m};
	int r;

	if (skf_unpack_new(m->store, &o, &f.u, e) < 0)
		return -1;
	r = fill(&f, fd, e);
	if (r == 0)
		r = skf_unpack_finish(f.u, &m->layer, e);
	skf_unpack_free(f.u);
	m->has_layer = r == 0;
	if (r == 0 && m->layer.no_record[0])
		skf_debug(m->peer->log, "layer '%s' has no tar record: %s", m->layer.diff_id.s,
			  m->layer.no_record);
	return r < 0 ? -1 : skf_unpack_sync(m->store, &m->layer.diff_id, 1, e);
}

/* --- documents --- */
/* The base's history, one more. */
static void put_history(struct make *m, struct skf_jw *w, const char *now)
{
	const char *old = m->base_config && !m->squash ? m->base_config->history_raw : NULL;
	size_t n = old ? strlen(old) : 0;

	skf_jw_karr(w, "history");
	if (n > 2 && old[0] == '[') { /* compact JSON: what is between the brackets */
		char *inner = skf_arena_dup(&m->a, old + 1, n - 2);

		if (inner)
			skf_jw_raw(w, inner);
	}
	skf_jw_obj(w);
	skf_jw_kstr(w, "created", now);
	if (m->author[0])
		skf_jw_kstr(w, "author", m->author);
	skf_jw_kstr(w, "created_by", m->created_by);
	if (m->comment[0])
		skf_jw_kstr(w, "comment", m->comment);
	skf_jw_end(w);
	skf_jw_end_arr(w);
}

static void put_config(struct make *m, struct skf_buf *b, const char *now)
{
	const struct skf_digest *ids = m->base_config && !m->squash ? m->base_config->diff_ids.v : NULL;
	const char *author = m->author[0] ? m->author : m->base_config ? m->base_config->author : NULL;
	struct skf_jw w = SKF_JW(b);

	skf_jw_obj(&w);
	skf_jw_kstr(&w, "created", now);
	if (author && *author)
		skf_jw_kstr(&w, "author", author);
	skf_jw_kstr(&w, "architecture", m->platform.arch);
	skf_jw_kstr(&w, "os", m->platform.os);
	if (m->platform.variant[0])
		skf_jw_kstr(&w, "variant", m->platform.variant);
	skf_jw_kraw(&w, "config", m->config_object[0] ? m->config_object : "{}");
	skf_jw_kobj(&w, "rootfs");
	skf_jw_kstr(&w, "type", "layers");
	skf_jw_karr(&w, "diff_ids");
	for (size_t i = 0; ids && i < m->base_config->diff_ids.n; i++)
		skf_jw_str(&w, ids[i].s);
	skf_jw_str(&w, m->layer.diff_id.s);
	skf_jw_end_arr(&w);
	skf_jw_end(&w);
	put_history(m, &w, now);
	skf_jw_end(&w);
}

static int all_layers(struct make *m, struct skf_image_layer **ret, size_t *ret_n, struct skf_err *e)
{
	size_t n = m->base && !m->squash ? m->base->layers.n : 0;
	struct skf_image_layer *v = skf_arena_array(&m->a, n + 1, sizeof(*v));

	if (!v)
		return skf_fail(e, SKF_ENOMEM, "layers of the new image");
	if (n + 1 > SKF_MAX_LAYERS)
		return skf_fail(e, SKF_ELIMIT, "the new image would have more than %d layers",
				SKF_MAX_LAYERS);
	for (size_t i = 0; i < n; i++) {
		const struct skf_image_layer *l = m->base->layers.v;
		struct skf_packed p;

		/* The base's blobs are not here: its layers are described as what can be made again. */
		if (skf_lease_add(m->lease, &l[i].diff_id, e) < 0 ||
		    skf_pack_layer_plan(m->store, &l[i].diff_id, &p, e) < 0)
			return -1;
		v[i] = (struct skf_image_layer){l[i].diff_id, l[i].diff_id, p.size};
	}
	v[n] = (struct skf_image_layer){m->layer.digest, m->layer.diff_id, m->layer.packed};
	*ret = v;
	*ret_n = n + 1;
	return 0;
}

static int new_image(struct make *m, struct skf_digest *ret_manifest, struct skf_digest *ret_config,
		     struct skf_err *e)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf cb = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES), mb = SKF_BUF(SKF_MAX_MANIFEST_BYTES);
	struct skf_image_config *check;
	struct skf_image_layer *v = NULL;
	struct skf_strv names = {0};
	char now[36];
	size_t n = 0;

	skf_time_rfc3339(skf_now_ns(), now);
	put_config(m, &cb, now);
	if (cb.err || skf_image_config_parse(skf_buf_cstr(&cb), cb.len, &m->a, &check, e) < 0)
		return cb.err ? skf_fail_sys(e, cb.err, "config of the new image")
			      : skf_ctx(e, "config of the new image");
	if (all_layers(m, &v, &n, e) < 0 || image_keep_doc(m->store, m->lease, &cb, ret_config, e) < 0)
		return -1;
	image_write_manifest(&mb, m->type, ret_config, cb.len, v, n, SKF_COMP_NONE, &m->annotations);
	if (image_keep_doc(m->store, m->lease, &mb, ret_manifest, e) < 0)
		return -1;
	if (m->ref[0] && skf_strv_add(&m->a, &names, m->ref) < 0)
		return skf_fail(e, SKF_ENOMEM, "name of the new image");
	const struct image_new im = {m->store,     m->lease, &m->a, ret_manifest,
				     ret_config,   m->type,  now,   "local",
				     &m->platform, v,        n};
	return image_record(&im, ret_manifest, &names, e);
}

static void put_done(struct skf_buf *answer, const struct skf_digest *manifest,
		     const struct skf_digest *config)
{
	struct skf_rec r;

	skf_rec_begin(&r, answer, SKF_IMG_DONE, SKF_IMG_VERSION);
	skf_rec_str(&r, manifest->s);
	skf_rec_str(&r, manifest->s);
	skf_rec_str(&r, config->s);
	skf_rec_u32(&r, 0);
	skf_rec_end(&r);
}

static int open_store(struct make *m, const char *root, struct skf_err *e)
{
	return skf_store_open(root, true, &m->store, e) < 0 || skf_lease_new(m->store, &m->lease, e) < 0 ? -1
													 : 0;
}

/* --- import --- */
static int fill_import(struct feed *f, int fd, struct skf_err *e)
{
	return image_stream_read(f->peer, fd, to_unpack, f, e);
}

static int take_annotations(struct make *m, struct skf_recr *q, struct skf_err *e)
{
	uint32_t n = skf_recr_u32(q);
	struct skf_kv *v = n < MAX_ANNOTATIONS ? skf_arena_array(&m->a, n + 1, sizeof(*v)) : NULL;

	if (!v)
		return skf_fail(e, SKF_EINVALID, "%u annotations of one image: expected fewer than %u", n,
				MAX_ANNOTATIONS);
	for (uint32_t i = 0; i < n; i++) {
		v[i].k = (char *)(uintptr_t)skf_recr_str(q);
		v[i].v = (char *)(uintptr_t)skf_recr_str(q);
	}
	m->annotations = (struct skf_kvs){v, n};
	return 0;
}

int image_serve_import(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		       struct skf_err *e)
{
	SKF_AUTO(make_done)
	struct make m = {.peer = peer,
			 .a = SKF_ARENA(SKF_MAX_ARENA_DOC),
			 .author = "",
			 .created_by = "",
			 .type = SKF_OCI_MANIFEST};
	const char *root = skf_recr_str(q), *platform;
	struct skf_digest manifest, config;

	m.ref = skf_recr_str(q);
	m.config_object = skf_recr_str(q);
	m.comment = skf_recr_str(q);
	platform = skf_recr_str(q);
	if (take_annotations(&m, q, e) < 0)
		return -1;
	if (q->bad || peer->fds->n != 1)
		return skf_fail(e, SKF_EINVALID, "the import request is cut short");
	skf_platform_host(&m.platform);
	if (platform[0] && skf_platform_parse(platform, &m.platform, e) < 0)
		return -1;
	if (open_store(&m, root, e) < 0 || new_layer(&m, peer->fds->fd[0], fill_import, e) < 0 ||
	    new_image(&m, &manifest, &config, e) < 0)
		return -1;
	put_done(answer, &manifest, &config);
	return 0;
}

/* --- containers --- */
static int open_upper(struct make *m, const char *id, const char *name, int *ret, struct skf_err *e)
{
	int r = image_container_dir(m->store, &m->a, id, name, &m->ids, ret, e);

	m->mapped = r == 1;
	return r < 0 ? -1 : 0;
}

static int fill_commit(struct feed *f, int fd, struct skf_err *e)
{
	const struct skf_pack_sink sink = {to_unpack, f};

	return skf_pack_tree(fd, image_container_stubs, f->ids, &sink, e);
}

/* The container's changes over the layers of its image. */
static int fill_squashed(struct feed *f, int fd, struct skf_err *e)
{
	const struct skf_pack_sink sink = {to_unpack, f};
	const struct skf_image_layer *l = f->m->base->layers.v;
	size_t n = f->m->base->layers.n, k;
	int *dirs = skf_arena_array(&f->m->a, n + 1, sizeof(*dirs)), r = 0;

	if (!dirs)
		return skf_fail(e, SKF_ENOMEM, "layers of the container");
	dirs[0] = fd;
	for (k = 0; r == 0 && k < n; k++) { /* top first */
		dirs[k + 1] = -EBADF;
		r = skf_store_layer_open(f->m->store, &l[n - 1 - k].diff_id, &dirs[k + 1], e);
	}
	if (r == 0)
		r = skf_pack_merged(dirs, n + 1, image_container_stubs, f->ids, &sink, e);
	while (k > 0)
		skf_closep(&dirs[k--]);
	return r;
}

static int load_base(struct make *m, const char *manifest, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES);
	struct skf_digest d;

	if (skf_digest_parse(manifest, &d, e) < 0 || skf_lease_add(m->lease, &d, e) < 0 ||
	    skf_store_image_get(m->store, &d, &m->a, &m->base, e) < 0 ||
	    skf_store_blob_read(m->store, &m->base->config, SKF_MAX_CONFIG_BLOB_BYTES, &b, e) < 0 ||
	    skf_image_config_parse(skf_buf_cstr(&b), b.len, &m->a, &m->base_config, e) < 0)
		return skf_ctx(e, "image of the container");
	m->platform = m->base_config->platform;
	return 0;
}

int image_serve_commit(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		       struct skf_err *e)
{
	SKF_AUTO(make_done)
	struct make m = {.peer = peer, .a = SKF_ARENA(SKF_MAX_ARENA_DOC), .created_by = "skiff commit"};
	const char *root = skf_recr_str(q), *id = skf_recr_str(q), *base = skf_recr_str(q);
	struct skf_digest manifest, config;
	SKF_AUTO_FD int rw = -EBADF;
	const char *upper;
	uint32_t flags;

	m.ref = skf_recr_str(q);
	m.config_object = skf_recr_str(q);
	m.author = skf_recr_str(q);
	m.comment = skf_recr_str(q);
	upper = skf_recr_str(q);
	flags = skf_recr_more(q) ? skf_recr_u32(q) : 0; /* none of older front ends */
	if (q->bad)
		return skf_fail(e, SKF_EINVALID, "the commit request is cut short");
	m.type = flags & SKF_COMMIT_DOCKER ? SKF_DOCKER_MANIFEST : SKF_OCI_MANIFEST;
	m.squash = flags & SKF_COMMIT_SQUASH;
	if (open_store(&m, root, e) < 0 || load_base(&m, base, e) < 0 ||
	    open_upper(&m, id, upper, &rw, e) < 0 ||
	    new_layer(&m, rw, m.squash ? fill_squashed : fill_commit, e) < 0 ||
	    new_image(&m, &manifest, &config, e) < 0)
		return -1;
	put_done(answer, &manifest, &config);
	return 0;
}

struct out_fd {
	const struct image_peer *peer;
	int fd;
};

static int to_fd(void *arg, const void *p, size_t n, struct skf_err *e)
{
	const struct out_fd *o = arg;
	int r = image_check_cancel(o->peer, e) < 0 ? 1 : skf_write_full(o->fd, p, n);

	return r > 0 ? -1 : r < 0 ? skf_fail_sys(e, r, "write the archive") : 0;
}

static int export(struct make *m, const char *id, struct skf_recr *q, struct skf_err *e)
{
	struct out_fd o = {m->peer, m->peer->fds->fd[0]};
	const struct skf_pack_sink sink = {to_fd, &o};
	uint32_t n = skf_recr_u32(q), k = 0, n_dirs = n + 1;
	const char *rootfs;
	struct skf_digest d;
	int *dirs, r = 0;

	if (n > SKF_MAX_LAYERS)
		return skf_fail(e, SKF_ELIMIT, "the container has more than %d layers", SKF_MAX_LAYERS);
	dirs = skf_arena_array(&m->a, n + 2, sizeof(*dirs));
	if (!dirs)
		return skf_fail(e, SKF_ENOMEM, "layers of the container");
	r = open_upper(m, id, "rw", &dirs[0], e);
	for (k = r == 0; r == 0 && k <= n; k++) { /* lowest first in the request, top first for the walk */
		dirs[n + 1 - k] = -EBADF;
		r = skf_digest_parse(skf_recr_str(q), &d, e) < 0 || skf_lease_add(m->lease, &d, e) < 0 ||
				    skf_store_layer_open(m->store, &d, &dirs[n + 1 - k], e) < 0
			    ? -1
			    : 0;
	}
	rootfs = r == 0 ? skf_recr_str(q) : "";
	if (*rootfs && !skf_recr_u32(q)) { /* it is written to itself */
		skf_closep(&dirs[0]);
		n_dirs = 0;
	}
	if (*rootfs) {
		dirs[n_dirs] = skf_openat(AT_FDCWD, rootfs, O_RDONLY | O_DIRECTORY, 0);
		if (dirs[n_dirs] < 0)
			r = skf_fail_sys(e, dirs[n_dirs], "open the root directory '%s' of the container",
					 rootfs);
		n_dirs++;
	}
	if (r == 0)
		r = skf_pack_merged(dirs, n_dirs, NULL, m->mapped ? &m->ids : NULL, &sink, e);
	for (uint32_t i = 0; i <= n + 1; i++)
		if (dirs[i] > 0)
			skf_closep(&dirs[i]);
	return r;
}

int image_serve_export(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		       struct skf_err *e)
{
	SKF_AUTO(make_done) struct make m = {.peer = peer, .a = SKF_ARENA(SKF_MAX_ARENA_DOC)};
	const char *root = skf_recr_str(q), *id = skf_recr_str(q);

	if (q->bad || peer->fds->n != 1)
		return skf_fail(e, SKF_EINVALID, "the export request is cut short");
	if (open_store(&m, root, e) < 0 || export(&m, id, q, e) < 0)
		return -1;
	image_put_done(answer);
	return 0;
}
