/* engine/df.c -- what takes the disk, in docker's four rows and one of ours for what is unfinished or waits
 * to be unlinked. A table of counters, one per row; a new kind of object is a row more. Everything is read
 * from the files as they are, without a lock: an object that goes away meanwhile is not counted. Blocks on
 * the disk. */
#include "engine/df_int.h"
#include "store/snapshot.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct df {
	struct skf_engine *g;
	struct skf_arena *a;
	bool detail;
	struct skf_df *ret;
	struct skf_jarr containers; /* struct skf_ps_row, with detail */
	struct image *images;
	size_t n_images, cap_images;
};
struct image {
	struct skf_image *i;
	uint64_t *sizes; /* of its layers */
	uint64_t users;
};

static int no_memory(struct skf_err *e)
{
	return skf_fail(e, SKF_ENOMEM, "memory to count what takes the disk");
}

/* Calls fn for each name of a directory below the root; a missing one has none. */
static int each(struct df *d, const char *path,
		int (*fn)(struct df *d, int dirfd, const char *name, struct skf_df_row *r,
			  struct skf_err *e),
		struct skf_df_row *r, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(d->g->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (fd == -ENOENT)
		return 0;
	if (!dir)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "list '%s/%s'", d->g->root, path);
	(void)SKF_TAKE_FD(fd); /* dir closes it */
	while ((de = readdir(dir)))
		if (!skf_streq(de->d_name, ".") && !skf_streq(de->d_name, "..") &&
		    fn(d, dirfd(dir), de->d_name, r, e) < 0)
			return -1;
	return 0;
}

static int disk_of(int dirfd, const char *name, uint64_t *ret, struct df *d, struct skf_err *e)
{
	SKF_AUTO(skf_du_done) struct skf_du u = {0};

	if (skf_du_add(&u, dirfd, name, e) < 0)
		return -1;
	d->ret->partial |= u.partial;
	*ret = u.disk;
	return 0;
}

/* --- images --- */

static int layer_sizes(struct df *d, struct image *m, struct skf_err *e)
{
	const struct skf_image_layer *l = m->i->layers.v;
	struct skf_layer_info info;

	m->sizes = skf_arena_array(d->a, m->i->layers.n + 1, sizeof(*m->sizes));
	if (!m->sizes)
		return no_memory(e);
	for (size_t k = 0; k < m->i->layers.n; k++) {
		int has = skf_store_layer_has(d->g->store, &l[k].diff_id, &info, e);

		if (has < 0 && e->kind != SKF_ECORRUPT)
			return -1;
		skf_err_clear(e); /* a damaged seal is the check's to tell */
		m->sizes[k] = has > 0 ? info.size : 0;
	}
	return 0;
}

static int grow_images(struct df *d, struct skf_err *e)
{
	size_t cap = d->cap_images ? d->cap_images * 2 : 32;
	struct image *v;

	if (d->n_images < d->cap_images)
		return 0;
	v = skf_arena_array(d->a, cap, sizeof(*v));
	if (!v)
		return no_memory(e);
	if (d->n_images)
		memcpy(v, d->images, d->n_images * sizeof(*v));
	d->images = v;
	d->cap_images = cap;
	return 0;
}

static int add_image(struct df *d, int dirfd, const char *name, struct skf_df_row *r, struct skf_err *e)
{
	struct skf_digest m;
	struct image *x;

	(void)dirfd;
	(void)r;
	if (!skf_digest_of_file(name, &m))
		return 0; /* being written */
	if (grow_images(d, e) < 0)
		return -1;
	x = &d->images[d->n_images];
	*x = (struct image){0};
	if (skf_store_image_get(d->g->store, &m, d->a, &x->i, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e);
		return 0;
	}
	d->n_images++;
	return layer_sizes(d, x, e);
}

static void count_users(struct df *d)
{
	const struct skf_ps_row *v = d->containers.v;

	for (size_t i = 0; i < d->n_images; i++)
		for (size_t k = 0; k < d->containers.n; k++)
			d->images[i].users +=
				v[k].detail && skf_streq(v[k].detail->image_id, d->images[i].i->config.s);
}

static uint64_t owners_of(const struct df *d, const struct skf_digest *layer, bool used_only)
{
	uint64_t n = 0;

	for (size_t i = 0; i < d->n_images; i++) {
		const struct skf_image_layer *l = d->images[i].i->layers.v;

		for (size_t k = 0; k < d->images[i].i->layers.n; k++)
			if (skf_digest_eq(&l[k].diff_id, layer)) {
				n += !used_only || d->images[i].users;
				break;
			}
	}
	return n;
}

/* Whether an earlier layer of the list is the same one. */
static bool seen_before(const struct df *d, size_t image, size_t layer)
{
	const struct skf_image_layer *mine = d->images[image].i->layers.v;

	for (size_t i = 0; i <= image; i++) {
		const struct skf_image_layer *l = d->images[i].i->layers.v;

		for (size_t k = 0; k < (i == image ? layer : d->images[i].i->layers.n); k++)
			if (skf_digest_eq(&l[k].diff_id, &mine[layer].diff_id))
				return true;
	}
	return false;
}

static int list_images(struct df *d, struct skf_err *e)
{
	struct skf_jarr rows;
	const struct skf_image_row *v;
	struct skf_df_image *out;

	if (skf_engine_images(d->g, NULL, d->a, &rows, e) < 0)
		return -1;
	v = rows.v;
	out = skf_arena_array(d->a, rows.n + 1, sizeof(*out));
	if (!out)
		return no_memory(e);
	for (size_t n = 0; n < rows.n; n++) {
		out[n] = (struct skf_df_image){.repository = v[n].repository,
					       .tag = v[n].tag,
					       .id = v[n].id,
					       .created_ns = v[n].created_ns};
		for (size_t i = 0; i < d->n_images; i++) {
			const struct skf_image_layer *l = d->images[i].i->layers.v;

			if (!skf_streq(d->images[i].i->config.s, v[n].id))
				continue;
			for (size_t k = 0; k < d->images[i].i->layers.n; k++) {
				out[n].size += d->images[i].sizes[k];
				out[n].shared +=
					owners_of(d, &l[k].diff_id, false) > 1 ? d->images[i].sizes[k] : 0;
			}
			out[n].containers = d->images[i].users;
			break;
		}
		out[n].unique = out[n].size - out[n].shared;
	}
	d->ret->images = (struct skf_jarr){out, rows.n};
	return 0;
}

static int count_images(struct df *d, struct skf_df_row *r, struct skf_err *e)
{
	if (each(d, "images", add_image, r, e) < 0)
		return -1;
	count_users(d);
	r->total = d->n_images;
	for (size_t i = 0; i < d->n_images; i++) {
		const struct skf_image_layer *l = d->images[i].i->layers.v;

		r->active += d->images[i].users > 0;
		for (size_t k = 0; k < d->images[i].i->layers.n; k++) {
			if (seen_before(d, i, k))
				continue;
			r->size += d->images[i].sizes[k];
			r->reclaimable += owners_of(d, &l[k].diff_id, true) ? 0 : d->images[i].sizes[k];
		}
	}
	return d->detail ? list_images(d, e) : 0;
}

/* --- containers --- */

static uint64_t named_volumes(const struct skf_ps_row *row, const char *name)
{
	const struct skf_ps_mount *m = row->detail ? row->detail->mounts.v : NULL;
	uint64_t n = 0;

	for (size_t i = 0; m && i < row->detail->mounts.n; i++)
		n += m[i].volume && (!name || skf_streq(m[i].name, name));
	return n;
}

static int count_containers(struct df *d, struct skf_df_row *r, struct skf_err *e)
{
	struct skf_ps_row *v = d->containers.v;
	struct skf_df_container *out = skf_arena_array(d->a, d->containers.n + 1, sizeof(*out));

	if (!out)
		return no_memory(e);
	r->total = d->containers.n;
	for (size_t i = 0; i < d->containers.n; i++) {
		bool runs = skf_streq(v[i].state, "running") || skf_streq(v[i].state, "paused");

		out[i] = (struct skf_df_container){.row = &v[i], .volumes = named_volumes(&v[i], NULL)};
		if (disk_of(d->g->ctr_fd, v[i].id, &out[i].size, d, e) < 0)
			return -1;
		r->active += runs;
		r->size += out[i].size;
		r->reclaimable += runs ? 0 : out[i].size;
	}
	if (d->detail)
		d->ret->containers = (struct skf_jarr){out, d->containers.n};
	return 0;
}

/* --- volumes: directories of volumes/; who uses one is known from the containers' mounts --- */

static int add_volume(struct df *d, int dirfd, const char *name, struct skf_df_row *r, struct skf_err *e)
{
	const struct skf_ps_row *v = d->containers.v;
	struct skf_df_volume x = {.name = skf_arena_strdup(d->a, name)}, *all;

	if (*name == '.')
		return 0;
	if (!x.name)
		return no_memory(e);
	for (size_t i = 0; i < d->containers.n; i++)
		x.links += named_volumes(&v[i], name) > 0;
	if (disk_of(dirfd, name, &x.size, d, e) < 0)
		return -1;
	r->total++;
	r->active += x.links > 0;
	r->size += x.size;
	r->reclaimable += x.links ? 0 : x.size;
	if (!d->detail)
		return 0;
	all = skf_arena_array(d->a, d->ret->volumes.n + 1, sizeof(*all));
	if (!all)
		return no_memory(e);
	if (d->ret->volumes.n)
		memcpy(all, d->ret->volumes.v, d->ret->volumes.n * sizeof(*all));
	all[d->ret->volumes.n++] = x;
	d->ret->volumes.v = all;
	return 0;
}

static int count_volumes(struct df *d, struct skf_df_row *r, struct skf_err *e)
{
	return each(d, "volumes", add_volume, r, e);
}

/* There is no build cache yet: docker's row all the same. */
static int count_cache(struct df *d, struct skf_df_row *r, struct skf_err *e)
{
	(void)d;
	(void)r;
	(void)e;
	return 0;
}

/* --- what is under way or was left by a process that died, and what waits to be unlinked --- */

static int add_unfinished(struct df *d, int dirfd, const char *name, struct skf_df_row *r, bool held,
			  struct skf_err *e)
{
	uint64_t disk;

	if (disk_of(dirfd, name, &disk, d, e) < 0)
		return -1;
	r->total++;
	r->active += held;
	r->size += disk;
	r->reclaimable += held ? 0 : disk;
	return 0;
}

static int add_download(struct df *d, int dirfd, const char *name, struct skf_df_row *r, struct skf_err *e)
{
	char lock[300];

	return add_unfinished(d, dirfd, name, r,
			      skf_fmt(lock, sizeof(lock), "ingest-%s", name) == 0 &&
				      skf_lock_held_at(d->g->locks_fd, lock) == 1,
			      e);
}

static int add_layer(struct df *d, int dirfd, const char *name, struct skf_df_row *r, struct skf_err *e)
{
	char lock[300];

	if (*name != '.')
		return 0;
	return add_unfinished(
		d, dirfd, name, r,
		skf_fmt(lock, sizeof(lock), "%s/lock", name) == 0 && skf_lock_held_at(dirfd, lock) == 1, e);
}

static int add_trash(struct df *d, int dirfd, const char *name, struct skf_df_row *r, struct skf_err *e)
{
	return add_unfinished(d, dirfd, name, r, false, e);
}

static int count_unfinished(struct df *d, struct skf_df_row *r, struct skf_err *e)
{
	if (each(d, "ingest", add_download, r, e) < 0 || each(d, "layers", add_layer, r, e) < 0)
		return -1;
	return each(d, "trash", add_trash, r, e);
}

/* --- copies of layers in the ids of user namespaces: used while a container has them --- */

static bool has_form(struct df *d, const char *hex, const char *name)
{
	const struct skf_ps_row *v = d->containers.v;
	char want[SKF_DIGEST_MAX + 320];

	if (skf_fmt(want, sizeof(want), "%s/" SKF_FORM_TREE, name) < 0)
		return false;
	for (size_t i = 0; i < d->containers.n; i++) {
		SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
		struct skf_err ignored = SKF_ERR_INIT; /* removed meanwhile */
		struct skf_ctrconf *c;

		if (skf_ctr_load(d->g, v[i].id, &a, &c, &ignored) < 0 || !skf_streq(c->storage->form, want))
			continue;
		for (size_t k = 0; k < c->layers.n; k++)
			if (skf_streq(skf_digest_skip_alg(c->layers.v[k]), hex))
				return true;
	}
	return false;
}

static int add_copies(struct df *d, int layers, const char *hex, struct skf_df_row *r, struct skf_err *e)
{
	SKF_AUTO_FD int fd =
		*hex == '.' ? -ENOENT : skf_openat(layers, hex, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;
	uint64_t disk;

	if (!dir)
		return 0;      /* gone meanwhile, or being made */
	(void)SKF_TAKE_FD(fd); /* dir closes it */
	while ((de = readdir(dir))) {
		bool used;

		if (!skf_startswith(de->d_name, SKF_MAP_PREFIX))
			continue;
		if (disk_of(dirfd(dir), de->d_name, &disk, d, e) < 0)
			return -1;
		used = has_form(d, hex, de->d_name);
		r->total++;
		r->active += used;
		r->size += disk;
		r->reclaimable += used ? 0 : disk;
	}
	return 0;
}

static int count_copies(struct df *d, struct skf_df_row *r, struct skf_err *e)
{
	return each(d, "layers", add_copies, r, e);
}

static const struct {
	const char *type;
	int (*fn)(struct df *d, struct skf_df_row *r, struct skf_err *e);
	bool only_when_any; /* a row that docker does not have */
} counters[] = {
	{"Images", count_images, false},         {"Containers", count_containers, false},
	{"Local Volumes", count_volumes, false}, {"Build Cache", count_cache, false},
	{"Mapped Layers", count_copies, true},   {"Unfinished", count_unfinished, true},
};

int skf_engine_df(struct skf_engine *g, bool detail, struct skf_arena *a, struct skf_df *ret,
		  struct skf_err *e)
{
	struct df d = {.g = g, .a = a, .detail = detail, .ret = ret};
	struct skf_ps_req ps = SKF_REQ(struct skf_ps_req);
	struct skf_df_row *rows = skf_arena_array(a, SKF_ARRAY_LEN(counters), sizeof(*rows));

	*ret = (struct skf_df){0};
	if (!rows)
		return no_memory(e);
	ps.all = ps.detail = true;
	if (skf_engine_ps_list(g, &ps, a, &d.containers, e) < 0)
		return -1;
	ret->rows.v = rows;
	for (size_t i = 0; i < SKF_ARRAY_LEN(counters); i++) {
		struct skf_df_row r = {.type = counters[i].type};

		if (counters[i].fn(&d, &r, e) < 0)
			return skf_ctx(e, "count '%s'", counters[i].type);
		if (!counters[i].only_when_any || r.total)
			rows[ret->rows.n++] = r;
	}
	return detail ? skf_df_parts(g, a, ret, e) : 0;
}
