/* engine/storage.c -- which of the store's ways (store/snapshot.h) a container's root is made by, and what
 * the rest of the engine asks of it.
 *
 * Invariants: (1) a container keeps the way that it was made by, whatever the configuration says later; (2)
 * what was found out about this machine is kept in the run directory, which is gone at boot, as symbolic
 * links whose target is the answer; (3) a copy is made under a lease and not under locks/store, however long
 * it takes. */
#include "engine/archive_int.h"
#include "engine/create_int.h"
#include "launch/wire.h"
#include "store/snapshot.h"
#include "sys/path.h"
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define DRIVER_LINK "storage-driver" /* of the run directory */
#define IDMAP_LINK  "idmapped-layers"
#define NOBODY      "0000000000000000000000000000000000000000000000000000000000000000"

/* An answer of before; false: there is none. */
static bool recall(struct skf_engine *g, const char *link, char *ret, size_t size)
{
	ssize_t n = readlinkat(g->run_fd, link, ret, size - 1);

	if (n <= 0)
		return false;
	ret[n] = '\0';
	return true;
}

static void remember(struct skf_engine *g, const char *link, const char *answer)
{
	if (symlinkat(answer, g->run_fd, link) < 0 && errno != EEXIST)
		skf_debug(&g->log, "remember '%s' in '%s/%s': %s; it is found out again", answer,
			  g->run_root, link, strerror(errno));
}

static int configured(struct skf_engine *g, const struct skf_snapshotter **ret, struct skf_err *e)
{
	*ret = skf_snapshotter_find(g->conf.storage_driver);
	return *ret ? 0
		    : skf_fail(e, SKF_EINVALID,
			       "%s: storage_driver '%s' is unknown: expected overlay or vfs",
			       skf_conf_origin(&g->conf, "storage_driver"), g->conf.storage_driver);
}

int skf_storage_driver(struct skf_engine *g, const struct skf_snapshotter **ret, struct skf_err *e)
{
	struct skf_err why = SKF_ERR_INIT;
	char name[32];

	if (*g->conf.storage_driver)
		return configured(g, ret, e);
	if (recall(g, DRIVER_LINK, name, sizeof(name)) && (*ret = skf_snapshotter_find(name)))
		return 0;
	for (size_t i = 0; skf_snapshotters[i]; i++) {
		*ret = skf_snapshotters[i];
		if ((*ret)->probe(g->store, &why) == 0) {
			remember(g, DRIVER_LINK, (*ret)->name);
			return 0;
		}
		skf_debug(&g->log, "storage driver %s: %s; trying the next", (*ret)->name, why.msg);
		skf_err_clear(&why);
	}
	return skf_fail(e, SKF_EUNSUPPORTED, "no storage driver works on '%s'", g->root);
}

const char *skf_engine_storage_driver(struct skf_engine *g, struct skf_err *e)
{
	const struct skf_snapshotter *s;

	return skf_storage_driver(g, &s, e) < 0 ? NULL : s->name;
}

int skf_storage_of(const struct skf_ctrconf *c, const char *id, const struct skf_snapshotter **ret,
		   struct skf_err *e)
{
	*ret = skf_snapshotter_find(c->storage->driver);
	return *ret ? 0
		    : skf_fail(e, SKF_EINVALID,
			       "container '%.12s' is of the storage driver '%s', which this skiff does not "
			       "have",
			       id, c->storage->driver);
}

/* --- what can be seen through a map --- */

/* skiff-launch tries it in a user namespace of its own: 1 yes, 0 no. */
static int idmapped_layers(struct skf_engine *g, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	char answer[8];
	int fd = -EBADF, r;

	if (recall(g, IDMAP_LINK, answer, sizeof(answer)))
		return skf_streq(answer, "yes");
	skf_launch_request(g, &b, SKF_LAUNCH_PROBE, 0, NOBODY, "");
	r = skf_launch_ask(g, "probe", &b, &fd, e);
	skf_closep(&fd);
	if (r < 0 && e->kind != SKF_EUNSUPPORTED)
		return skf_ctx(e, "find out whether layers can be id-mapped");
	if (r < 0)
		skf_debug(&g->log, "%s: layers are copied for containers in user namespaces", e->msg);
	skf_err_clear(e);
	remember(g, IDMAP_LINK, r == 0 ? "yes" : "no");
	return r == 0;
}

/* --- a new container --- */

static int lease(struct skf_plan *p, struct skf_err *e)
{
	struct skf_digest d;

	if (skf_lease_new(p->g->store, &p->lease, e) < 0)
		return -1;
	for (size_t i = 0; i < p->conf.layers.n + p->conf.mount_layers.n; i++)
		if (skf_digest_parse(i < p->conf.layers.n ? p->conf.layers.v[i]
							  : p->conf.mount_layers.v[i - p->conf.layers.n],
				     &d, e) < 0 ||
		    skf_lease_add(p->lease, &d, e) < 0)
			return -1;
	return 0;
}

static int make_views(struct skf_plan *p, const struct skf_snapshotter *s, struct skf_snapshot_req *q,
		      struct skf_err *e)
{
	struct skf_snapshot ignored;
	char name[32];
	bool copy;

	for (size_t i = 0; i < p->n_sources; i++) {
		if (!p->sources[i].layers.n)
			continue;
		snprintf(name, sizeof(name), "image-%zu", i);
		q->layers = &p->sources[i].layers;
		if (s->view(q, name, &ignored, &copy, e) < 0)
			return skf_ctx(e, "the image mounted at '%s'", p->sources[i].target);
		if (copy && !(p->sources[i].view = skf_arena_strdup(p->a, name)))
			return skf_plan_no_memory(e);
	}
	return 0;
}

int skf_plan_make_storage(struct skf_plan *p, int dir, struct skf_err *e)
{
	bool path = p->gen.ns[SKF_NS_USER].on && p->userns.path,
	     mapped = p->gen.ns[SKF_NS_USER].on && (path || p->gen.ids.uids.n);
	struct skf_idmaps of_path = {0};
	struct skf_snapshot_req q = {.store = p->g->store,
				     .layers = &p->conf.layers,
				     .dir = dir,
				     .ids = path     ? &of_path
					    : mapped ? &p->gen.ids
						     : NULL,
				     .sync = !p->q->remove};
	const struct skf_snapshotter *s;
	struct skf_snapshot made;
	int r;

	if (p->conf.rootfs && !p->conf.mount_layers.n)
		return 0;
	if (skf_storage_driver(p->g, &s, e) < 0)
		return -1;
	if (mapped && s == &skf_snapshot_overlay) {
		r = p->g->conf.mapped_copies ? 0 : idmapped_layers(p->g, e);
		if (r < 0)
			return -1;
		q.copy_mapped = r == 0;
	}
	if (path && (s->copies || q.copy_mapped) && skf_plan_userns_path(p, dir, &of_path, e) < 0)
		return -1;
	if ((s->copies || q.copy_mapped) && lease(p, e) < 0)
		return -1;
	if (p->conf.rootfs)
		made = (struct skf_snapshot){.driver = s->name, .lower = true, .form = SKF_FORM_TREE};
	else if (s->prepare(&q, &made, e) < 0)
		return -1;
	if (make_views(p, s, &q, e) < 0)
		return -1;
	p->storage = (struct skf_ctrconf_storage){skf_arena_strdup(p->a, made.driver), made.lower,
						  skf_arena_strdup(p->a, made.form)};
	p->conf.storage = &p->storage;
	return p->storage.driver && p->storage.form ? 0 : skf_plan_no_memory(e);
}

/* --- a container that exists --- */

struct ctr {
	struct skf_arena a;
	struct skf_idmaps ids;
	struct skf_snapshot made;
	struct skf_snapshot_req q;
};

static void ctr_done(struct ctr *x)
{
	skf_arena_done(&x->a);
}

static int describe(struct skf_engine *g, const char *id, const struct skf_ctrconf *c, int dir,
		    struct ctr *x, struct skf_err *e)
{
	int r = skf_idmaps_read_at(dir, &x->a, &x->ids);

	if (r < 0)
		return skf_fail_sys(e, r, "read '%s/containers/%s/" SKF_IDS_FILE "'", g->root, id);
	x->made = (struct skf_snapshot){.driver = c->storage->driver, .lower = c->storage->lower};
	if (skf_fmt(x->made.form, sizeof(x->made.form), "%s", c->storage->form) < 0)
		return skf_fail(e, SKF_ECORRUPT, "container '%.12s': form '%s' of its layers", id,
				c->storage->form);
	x->q = (struct skf_snapshot_req){.store = g->store,
					 .layers = &c->layers,
					 .dir = dir,
					 .ids = r == 1 && x->ids.uids.n ? &x->ids : NULL,
					 .sync = true};
	return 0;
}

int skf_storage_ensure(struct skf_engine *g, const char *id, const struct skf_ctrconf *c, int dir,
		       struct skf_err *e)
{
	SKF_AUTO(ctr_done) struct ctr x = {.a = SKF_ARENA(SKF_MAX_OBJECT_BYTES)};
	const struct skf_snapshotter *s;

	if (c->rootfs)
		return 0;
	if (skf_storage_of(c, id, &s, e) < 0 || describe(g, id, c, dir, &x, e) < 0 ||
	    s->ensure(&x.q, &x.made, e) < 0)
		return -1;
	x.q.layers = &c->mount_layers;
	return s->ensure(&x.q, &x.made, e);
}

int skf_storage_check(struct skf_engine *g, const char *id, const struct skf_ctrconf *c, int dir, char *why,
		      size_t size, struct skf_err *e)
{
	SKF_AUTO(ctr_done) struct ctr x = {.a = SKF_ARENA(SKF_MAX_OBJECT_BYTES)};
	const struct skf_snapshotter *s;

	if (c->rootfs)
		return 1;
	if (skf_storage_of(c, id, &s, e) < 0 || describe(g, id, c, dir, &x, e) < 0)
		return -1;
	return s->check(&x.q, &x.made, why, size, e);
}

/* --- what it changed --- */

static int open_rw(struct skf_engine *g, const char *id, int *ret_dir, int *ret_rw, struct skf_err *e)
{
	if (skf_ctr_open_dir(g, id, ret_dir, e) < 0)
		return -1;
	*ret_rw = skf_openat(*ret_dir, "rw", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	return *ret_rw < 0 ? skf_fail_sys(e, *ret_rw, "open the files of the container '%.12s'", id) : 0;
}

static int changes(struct skf_engine *g, const char *id, struct skf_arena *a, struct skf_change **ret,
		   size_t *n, struct skf_err *e)
{
	const struct skf_diff_row *v;
	struct skf_jarr rows;

	if (skf_engine_diff(g, id, a, &rows, e) < 0)
		return -1;
	v = rows.v;
	*ret = skf_arena_array(a, rows.n + 1, sizeof(**ret));
	if (!*ret)
		return skf_fail(e, SKF_ENOMEM, "memory for the changes of a container");
	for (size_t i = 0; i < rows.n; i++)
		(*ret)[i] = (struct skf_change){v[i].kind, v[i].path};
	*n = rows.n;
	return 0;
}

void skf_storage_upper_done(struct skf_storage_upper *u)
{
	if (u->dir >= 0)
		(void)skf_rmtree_at(u->dir,
				    SKF_UPPER_DIR); /* the next one, the check or rm removes it otherwise */
	skf_closep(&u->dir);
	skf_closep(&u->lock);
}

/* Under a lock of its own: two commits of one container do not share the directory. */
int skf_storage_upper(struct skf_engine *g, const char *id, const struct skf_ctrconf *c,
		      struct skf_storage_upper *ret, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC * 4);
	SKF_AUTO_FD int dir = -EBADF;
	SKF_AUTO_FD int rw = -EBADF;
	SKF_AUTO_FD int to = -EBADF;
	const struct skf_snapshotter *s;
	char lock[SKF_ID_LEN + 24];
	struct skf_change *v;
	size_t n = 0;
	int r;

	ret->name = "rw";
	ret->lock = ret->dir = -EBADF;
	if (skf_storage_of(c, id, &s, e) < 0)
		return -1;
	if (!s->upper)
		return 0;
	if (open_rw(g, id, &dir, &rw, e) < 0)
		return -1;
	r = skf_fmt(lock, sizeof(lock), "container-%s.upper", id);
	if (r == 0)
		r = ret->lock = skf_lock_at(g->locks_fd, lock, true, SKF_LOCK_MS);
	if (r >= 0)
		r = skf_rmtree_at(dir, SKF_UPPER_DIR); /* of one that was killed */
	if (r >= 0)
		r = mkdirat(dir, SKF_UPPER_DIR, 0700) < 0 ? -errno : 0;
	if (r >= 0)
		r = to = skf_openat(dir, SKF_UPPER_DIR, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r < 0)
		return skf_fail_sys(e, r, "gather the changes of container '%.12s'", id);
	ret->dir = SKF_TAKE_FD(dir);
	ret->name = SKF_UPPER_DIR;
	return changes(g, id, &a, &v, &n, e) < 0 ? -1 : s->upper(rw, v, n, to, e);
}

int skf_storage_usage(struct skf_engine *g, const char *id, uint64_t *changed, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC * 4);
	SKF_AUTO_FD int dir = -EBADF;
	SKF_AUTO_FD int rw = -EBADF;
	struct skf_change *v;
	struct stat st;
	size_t n = 0;

	*changed = 0;
	if (changes(g, id, &a, &v, &n, e) < 0 || open_rw(g, id, &dir, &rw, e) < 0)
		return -1;
	for (size_t i = 0; i < n; i++) {
		SKF_AUTO_FD int fd =
			v[i].kind == 'D' ? -EBADF
					 : skf_path_open_nolinks(rw, v[i].path + 1, O_PATH | O_NOFOLLOW, 0);

		if (fd >= 0 && fstat(fd, &st) == 0 && (S_ISREG(st.st_mode) || S_ISLNK(st.st_mode)))
			*changed += (uint64_t)st.st_size; /* what is gone meanwhile is not counted */
	}
	return 0;
}
