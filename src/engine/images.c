/* engine/images.c -- the list of images and docker's image document. Reads every reference; blocks on the
 * disk. */
#include "engine/archive_int.h"
#include <fcntl.h>
#include <fnmatch.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define NONE "<none>"

struct list {
	struct skf_engine *g;
	struct skf_arena *a;
	const char *filter;
	struct skf_image_row *v;
	size_t n, cap;
};

static struct skf_image_row *new_row(struct list *l)
{
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 32;
		struct skf_image_row *v = skf_arena_array(l->a, cap, sizeof(*v));

		if (!v)
			return NULL;
		if (l->n)
			memcpy(v, l->v, l->n * sizeof(*v));
		l->v = v;
		l->cap = cap;
	}
	return &l->v[l->n++];
}

/* docker: REPOSITORY or REPOSITORY:TAG, with shell patterns. */
bool skf_image_name_matches(const char *filter, const char *repository, const char *tag)
{
	char both[SKF_MAX_REF_BYTES * 2];

	if (!filter || !*filter)
		return true;
	if (fnmatch(filter, repository, FNM_PATHNAME) == 0)
		return true;
	return skf_fmt(both, sizeof(both), "%s:%s", repository, tag) == 0 &&
	       fnmatch(filter, both, FNM_PATHNAME) == 0;
}

static int add_image(struct list *l, const struct skf_image *i, const char *repository, const char *tag,
		     const struct skf_digest *top, struct skf_err *e)
{
	struct skf_image_row *row;

	if (!skf_image_name_matches(l->filter, repository, tag))
		return 0;
	row = new_row(l);
	if (!row)
		goto nomem;
	row->repository = skf_arena_strdup(l->a, repository);
	row->tag = skf_arena_strdup(l->a, tag);
	row->digest = skf_arena_strdup(l->a, top && top->s[0] ? top->s : i->manifest.s);
	row->id = skf_arena_strdup(l->a, i->config.s);
	row->size = i->unpacked;
	if (!i->created || skf_parse_rfc3339(i->created, &row->created_ns) < 0)
		row->created_ns = 0; /* an image without a date of its own: shown as N/A */
	if (row->repository && row->tag && row->digest && row->id)
		return 0;
nomem:
	return skf_fail(e, SKF_ENOMEM, "memory for the list of images");
}

static bool has_tagged(const struct skf_refrec *v, size_t n, const struct skf_refrec *r)
{
	for (size_t i = 0; i < n; i++)
		if (v[i].ref.tag[0] && skf_digest_eq(&v[i].manifest, &r->manifest) &&
		    skf_streq(v[i].ref.repo, r->ref.repo) && skf_streq(v[i].ref.registry, r->ref.registry))
			return true;
	return false;
}

/* An image that was nameless when it came and has a name now. */
static bool has_name(const struct skf_refrec *v, size_t n, const struct skf_digest *manifest)
{
	for (size_t i = 0; i < n; i++)
		if (skf_digest_eq(&v[i].manifest, manifest) && !skf_store_is_nameless(&v[i].ref))
			return true;
	return false;
}

static int add_refs(struct list *l, const struct skf_jarr *refs, struct skf_err *e)
{
	const struct skf_refrec *v = refs->v;

	for (size_t k = 0; k < refs->n; k++) {
		char name[SKF_MAX_REF_BYTES + 1];
		struct skf_image *i;

		if (!v[k].ref.tag[0] && has_tagged(v, refs->n, &v[k]))
			continue;
		if (skf_store_is_nameless(&v[k].ref) && has_name(v, refs->n, &v[k].manifest))
			continue;
		if (skf_store_image_get(l->g->store, &v[k].manifest, l->a, &i, e) < 0) {
			if (e->kind != SKF_ENOTFOUND)
				return -1;
			skf_err_clear(e); /* removed between the two looks */
			continue;
		}
		skf_ref_familiar_name(&v[k].ref, name);
		if (add_image(l, i, skf_store_is_nameless(&v[k].ref) ? NONE : name,
			      v[k].ref.tag[0] ? v[k].ref.tag : NONE, &v[k].top, e) < 0)
			return -1;
	}
	return 0;
}

static bool is_referenced(const struct skf_jarr *refs, const struct skf_digest *manifest)
{
	const struct skf_refrec *v = refs->v;

	for (size_t i = 0; i < refs->n; i++)
		if (skf_digest_eq(&v[i].manifest, manifest))
			return true;
	return false;
}

/* Images that only containers still use. */
static int add_nameless(struct list *l, const struct skf_jarr *refs, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(l->g->root_fd, "images", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d)
		return fd == -ENOENT ? 0
				     : skf_fail_sys(e, fd < 0 ? fd : -errno, "list '%s/images'", l->g->root);
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d))) {
		struct skf_digest m;
		struct skf_image *i;

		if (!skf_digest_of_file(de->d_name, &m))
			continue; /* a file that is being written */
		if (is_referenced(refs, &m))
			continue;
		if (skf_store_image_get(l->g->store, &m, l->a, &i, e) < 0) {
			if (e->kind != SKF_ENOTFOUND)
				return -1;
			skf_err_clear(e);
			continue;
		}
		if (add_image(l, i, NONE, NONE, NULL, e) < 0)
			return -1;
	}
	return 0;
}

static int newest_first(const void *x, const void *y)
{
	const struct skf_image_row *a = x, *b = y;

	if (a->created_ns != b->created_ns)
		return a->created_ns < b->created_ns ? 1 : -1;
	return strcmp(a->repository, b->repository) ? strcmp(a->repository, b->repository)
						    : strcmp(a->tag, b->tag);
}

int skf_engine_images(struct skf_engine *g, const char *filter_ref, struct skf_arena *a,
		      struct skf_jarr *ret, struct skf_err *e)
{
	struct list l = {.g = g, .a = a, .filter = filter_ref};
	struct skf_jarr refs = {0};

	if (skf_store_ref_list(g->store, a, &refs, e) < 0 || add_refs(&l, &refs, e) < 0 ||
	    add_nameless(&l, &refs, e) < 0)
		return -1;
	if (l.n)
		qsort(l.v, l.n, sizeof(*l.v), newest_first);
	ret->v = l.v;
	ret->n = l.n;
	return 0;
}

static void write_names(struct skf_jw *w, const struct skf_jarr *refs, const struct skf_image *i)
{
	const struct skf_refrec *v = refs->v;
	char name[SKF_MAX_REF_BYTES + 1], full[SKF_MAX_REF_BYTES * 2];

	skf_jw_karr(w, "RepoTags");
	for (size_t k = 0; k < refs->n; k++) {
		skf_ref_familiar_name(&v[k].ref, name);
		if (skf_digest_eq(&v[k].manifest, &i->manifest) && v[k].ref.tag[0] &&
		    skf_fmt(full, sizeof(full), "%s:%s", name, v[k].ref.tag) == 0)
			skf_jw_str(w, full);
	}
	skf_jw_end_arr(w);
	skf_jw_karr(w, "RepoDigests");
	for (size_t k = 0; k < refs->n; k++) {
		skf_ref_familiar_name(&v[k].ref, name);
		if (skf_digest_eq(&v[k].manifest, &i->manifest) && v[k].top.s[0] &&
		    !skf_store_is_nameless(&v[k].ref) &&
		    (!v[k].ref.tag[0] || !refs->n || !has_tagged(v, k, &v[k])) &&
		    !(!v[k].ref.tag[0] && has_tagged(v, refs->n, &v[k])) &&
		    skf_fmt(full, sizeof(full), "%s@%s", name, v[k].top.s) == 0)
			skf_jw_str(w, full);
	}
	skf_jw_end_arr(w);
}

static void write_rootfs(struct skf_jw *w, const struct skf_image_config *c)
{
	const struct skf_digest *d = c->diff_ids.v;

	skf_jw_kobj(w, "RootFS");
	skf_jw_kstr(w, "Type", "layers");
	skf_jw_karr(w, "Layers");
	for (size_t i = 0; i < c->diff_ids.n; i++)
		skf_jw_str(w, d[i].s);
	skf_jw_end_arr(w);
	skf_jw_end(w);
}

static void write_driver(struct skf_jw *w, const struct skf_engine *g, const char *driver,
			 const struct skf_image *i)
{
	const struct skf_image_layer *l = i->layers.v;
	char path[4096 + 200];

	skf_jw_kobj(w, "GraphDriver");
	skf_jw_kstr(w, "Name", driver);
	skf_jw_kobj(w, "Data");
	if (i->layers.n && skf_fmt(path, sizeof(path), "%s/layers/%s/tree", g->root,
				   skf_digest_hex(&l[i->layers.n - 1].diff_id)) == 0)
		skf_jw_kstr(w, "TopDir", path);
	skf_jw_end(w);
	skf_jw_end(w);
}

int skf_engine_image_inspect(struct skf_engine *g, const char *name, struct skf_jw *w, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES);
	struct skf_image_config *c;
	struct skf_refrec ref;
	struct skf_jarr refs;
	const char *driver = skf_engine_storage_driver(g, e), *comment;
	struct skf_image *i;
	char when[36];

	if (!driver || skf_store_resolve(g->store, name, &a, &i, &ref, e) < 0 ||
	    skf_store_ref_list(g->store, &a, &refs, e) < 0 ||
	    skf_store_blob_read(g->store, &i->config, SKF_MAX_CONFIG_BLOB_BYTES, &b, e) < 0 ||
	    skf_image_config_parse(skf_buf_cstr(&b), b.len, &a, &c, e) < 0 ||
	    skf_history_comment(skf_buf_cstr(&b), b.len, &a, &comment, e) < 0)
		return -1;
	skf_jw_obj(w);
	skf_jw_kstr(w, "Id", i->config.s);
	write_names(w, &refs, i);
	skf_jw_kstr(w, "Parent", "");
	skf_jw_kstr(w, "Comment", comment);
	skf_jw_kstr(w, "Created", c->created);
	skf_jw_kstr(w, "DockerVersion", "");
	skf_jw_kstr(w, "Author", c->author);
	if (c->config_raw)
		skf_jw_kraw(w, "Config", c->config_raw);
	else
		skf_jw_knull(w, "Config");
	skf_jw_kstr(w, "Architecture", c->platform.arch);
	if (c->platform.variant[0])
		skf_jw_kstr(w, "Variant", c->platform.variant);
	skf_jw_kstr(w, "Os", c->platform.os);
	skf_jw_ku64(w, "Size", i->unpacked);
	write_driver(w, g, driver, i);
	write_rootfs(w, c);
	skf_time_rfc3339(i->pulled_ns, when);
	skf_jw_kobj(w, "Metadata");
	skf_jw_kstr(w, "LastTagTime", when);
	skf_jw_end(w);
	skf_jw_kobj(w, "Descriptor");
	skf_jw_kstr(w, "mediaType", i->media_type);
	skf_jw_kstr(w, "digest", i->manifest.s);
	skf_jw_end(w);
	skf_jw_end(w);
	return w->b->err < 0 ? skf_fail_sys(e, w->b->err, "write the document of image '%s'", name) : 0;
}
