/* engine/volume_list.c -- many volumes at once: the list with its filters, and prune. Who uses a volume is
 * found by one look at every container. Blocks on the disk; sizes are measured by walking. */
#include "engine/engine_int.h"
#include "base/proc.h"
#include "engine/filter.h"
#include <fcntl.h>
#include <fts.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const list_filters[] = {"dangling", "driver", "label", "name", NULL};
static const char *const prune_filters[] = {"label", "label!", "until", "all", NULL};

struct use {
	const char *name;
	unsigned n;
};
struct uses {
	struct use *v;
	size_t n, cap;
};

static int note_use(struct uses *u, const char *name, struct skf_arena *a)
{
	for (size_t i = 0; i < u->n; i++)
		if (skf_streq(u->v[i].name, name)) {
			u->v[i].n++;
			return 0;
		}
	if (u->n == u->cap) {
		size_t cap = u->cap ? u->cap * 2 : 16;
		struct use *v = skf_arena_array(a, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		if (u->n)
			memcpy(v, u->v, u->n * sizeof(*v));
		u->v = v;
		u->cap = cap;
	}
	u->v[u->n++] = (struct use){name, 1};
	return 0;
}

static int uses_of(struct skf_engine *g, const char *id, struct uses *u, struct skf_arena *a,
		   struct skf_err *e)
{
	const struct skf_mount_point *m;
	struct skf_ctr_request *q;
	struct skf_ctrconf *c;

	if (skf_ctr_load(g, id, a, &c, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e);
		return 0;
	}
	if (skf_ctr_request_parse(c->request, a, &q, e) < 0)
		return skf_ctx(e, "container '%.12s'", id);
	m = q->mount_points.v;
	for (size_t i = 0; i < q->mount_points.n; i++)
		if (m[i].name && *m[i].name && note_use(u, m[i].name, a) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for the users of volumes");
	return 0;
}

static int find_uses(struct skf_engine *g, struct uses *u, struct skf_arena *a, struct skf_err *e)
{
	SKF_AUTO_DIR DIR *d = skf_ctr_opendir(g, e);
	const char *id;

	if (!d)
		return -1;
	while ((id = skf_ctr_next(d)))
		if (uses_of(g, id, u, a, e) < 0)
			return -1;
	return 0;
}

/* Bytes that the files of a tree take on the disk; what vanishes meanwhile does not count. */
static uint64_t size_of(const char *path)
{
	char *const roots[] = {(char *)(uintptr_t)path, NULL};
	FTS *t = fts_open(roots, FTS_PHYSICAL | FTS_NOCHDIR | FTS_XDEV, NULL);
	uint64_t n = 0;
	FTSENT *x;

	while (t && (x = fts_read(t)))
		if (x->fts_info == FTS_F)
			n += (uint64_t)x->fts_statp->st_blocks * 512;
	if (t)
		(void)fts_close(t); /* read only: nothing can be lost */
	return n;
}

static int by_name(const void *x, const void *y)
{
	const struct skf_volume_row *a = x, *b = y;

	return strcmp(a->v->name, b->v->name);
}

struct listing {
	struct skf_engine *g;
	struct skf_arena *a;
	bool size;
	struct uses uses;
	struct skf_volume_row *v;
	size_t n, cap;
};

static int add_row(struct listing *l, const char *name, struct skf_err *e)
{
	struct skf_volume_row r = {0};

	if (skf_engine_volume_get(l->g, name, l->a, &r.v, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e); /* being made, or removed meanwhile */
		return 0;
	}
	for (size_t i = 0; i < l->uses.n; i++)
		if (skf_streq(l->uses.v[i].name, name))
			r.users = l->uses.v[i].n;
	if (l->size)
		r.size = size_of(r.v->mountpoint);
	if (l->n == l->cap) {
		size_t cap = l->cap ? l->cap * 2 : 32;
		struct skf_volume_row *v = skf_arena_array(l->a, cap, sizeof(*v));

		if (!v)
			return skf_fail(e, SKF_ENOMEM, "memory for the list of volumes");
		if (l->n)
			memcpy(v, l->v, l->n * sizeof(*v));
		l->v = v;
		l->cap = cap;
	}
	l->v[l->n++] = r;
	return 0;
}

static int read_all(struct listing *l, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(l->g->root_fd, "volumes", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (fd == -ENOENT)
		return 0;
	if (!d)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "list '%s/volumes'", l->g->root);
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d)))
		if (skf_name_valid(de->d_name) && add_row(l, de->d_name, e) < 0)
			return -1;
	if (l->n)
		qsort(l->v, l->n, sizeof(*l->v), by_name);
	return 0;
}

int skf_engine_volumes(struct skf_engine *g, const struct skf_volumes_req *q, struct skf_arena *a,
		       struct skf_jarr *ret, struct skf_err *e)
{
	struct listing l = {.g = g, .a = a, .size = q->size};
	struct skf_filters f;
	size_t n = 0;
	int dangling = -1, r = skf_filters_parse(&q->filters, list_filters, a, &f, e);

	if (r == 0)
		r = skf_filters_bool(&f, "dangling", &dangling, e);
	if (r == 0 && (q->usage || dangling >= 0))
		r = find_uses(g, &l.uses, a, e);
	if (r == 0)
		r = read_all(&l, e);
	for (size_t i = 0; r == 0 && i < l.n; i++) {
		const struct skf_volume_row *v = &l.v[i];

		if (skf_filters_match(&f, "name", v->v->name) &&
		    skf_filters_exact(&f, "driver", v->v->driver) && skf_filters_labels(&f, &v->v->labels) &&
		    (dangling < 0 || dangling == (v->users == 0)))
			l.v[n++] = *v;
	}
	skf_filters_done(&f);
	ret->v = l.v;
	ret->n = n;
	return r;
}

struct pruning {
	struct skf_filters f;
	bool all;
	int64_t until_ns; /* 0: none */
};

static int read_prune(const struct skf_volume_prune_req *q, struct pruning *p, struct skf_arena *a,
		      struct skf_err *e)
{
	int all;

	if (skf_filters_parse(&q->filters, prune_filters, a, &p->f, e) < 0 ||
	    skf_filters_bool(&p->f, "all", &all, e) < 0)
		return -1;
	p->all = q->all || all == 1;
	return skf_filters_until(&p->f, &p->until_ns, e);
}

static bool prunable(const struct pruning *p, const struct skf_volume_row *r)
{
	int64_t created = 0;

	if (r->users || (!p->all && !r->v->anonymous) ||
	    (p->until_ns && skf_parse_rfc3339(r->v->created, &created) < 0))
		return false;
	return skf_filters_prune(&p->f, &r->v->labels, created, p->until_ns);
}

int skf_engine_volume_prune(struct skf_engine *g, const struct skf_volume_prune_req *q, struct skf_arena *a,
			    struct skf_strv *removed, uint64_t *ret_bytes, struct skf_err *e)
{
	struct skf_volumes_req all = SKF_REQ(struct skf_volumes_req);
	struct pruning p = {.all = false};
	const struct skf_volume_row *v;
	struct skf_jarr rows = {0};
	int r;

	*ret_bytes = 0;
	all.usage = all.size = true;
	r = read_prune(q, &p, a, e);
	if (r == 0)
		r = skf_engine_volumes(g, &all, a, &rows, e);
	v = rows.v;
	for (size_t i = 0; r >= 0 && i < rows.n; i++) {
		if (!prunable(&p, &v[i]))
			continue;
		r = skf_volume_drop(g, v[i].v->name, NULL, NULL, e); /* 0: somebody began to use it */
		if (r == 1 && skf_strv_add(a, removed, v[i].v->name) < 0)
			r = skf_fail(e, SKF_ENOMEM, "memory for the names of volumes");
		if (r == 1)
			*ret_bytes += v[i].size;
	}
	skf_filters_done(&p.f);
	return r < 0 ? -1 : 0;
}

int skf_engine_volume_inspect(struct skf_engine *g, const char *name, struct skf_jw *w, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 4);
	struct skf_volume *v;

	if (skf_engine_volume_get(g, name, &a, &v, e) < 0)
		return -1;
	skf_jw_obj(w);
	skf_jw_kstr(w, "CreatedAt", v->created);
	skf_jw_kstr(w, "Driver", v->driver);
	skf_jw_kkvs(w, "Labels", &v->labels);
	skf_jw_kstr(w, "Mountpoint", v->mountpoint);
	skf_jw_kstr(w, "Name", v->name);
	skf_jw_kkvs(w, "Options", &v->options);
	skf_jw_kstr(w, "Scope", "local");
	skf_jw_kbool(w, "Anonymous", v->anonymous);
	skf_jw_end(w);
	return w->b->err < 0 ? skf_fail_sys(e, w->b->err, "write the document of volume '%s'", name) : 0;
}
