/* engine/diff.c -- what one stack of layers changes of another: a container's upper directory over its
 * image, one image over another.
 *
 * Both sides are walked together in their merged views, with overlay's rules (engine/layered.c). Where both
 * views of a directory are the same directories, everything below is the same and is not looked at: the cost
 * is that of what changed. A file is changed when type, mode, owner, size, time, device or target differ; a
 * directory when mode or owner do, or anything in it. Names come from images: each is opened by its
 * directory, single, never followed. A container of a way that copies (store/snapshot.h) has one directory
 * with everything. Blocks on the disk. */
#include "base/arena.h"
#include "engine/archive_int.h"
#include "store/treecopy.h"
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

struct view {
	int *fd; /* directories, highest first */
	unsigned n;
	bool there, dir;
	int parent;     /* of what is no directory: borrowed */
	struct stat st; /* owners as the container sees them */
	const struct skf_idmaps *
		ids; /* fd[0], or the file, is of the upper directory of a container with these maps; NULL */
};
struct diff {
	struct skf_arena *a;
	struct skf_diff_row *v;
	size_t n, cap;
	struct skf_buf path;
};

static void view_done(struct view *v)
{
	for (unsigned i = 0; i < v->n; i++)
		skf_closep(&v->fd[i]);
	free(v->fd);
	memset(v, 0, sizeof(*v));
}

static bool is_opaque(int fd)
{
	char y = 0;

	return (fgetxattr(fd, "trusted.overlay.opaque", &y, 1) == 1 ||
		fgetxattr(fd, "user.overlay.opaque", &y, 1) == 1) &&
	       y == 'y';
}

static int nomem(struct skf_err *e)
{
	return skf_fail(e, SKF_ENOMEM, "memory for the differences");
}

static void look_mapped(struct view *v)
{
	if (!v->ids)
		return;
	v->st.st_uid = skf_idmap_owner(&v->ids->uids, v->st.st_uid);
	v->st.st_gid = skf_idmap_owner(&v->ids->gids, v->st.st_gid);
}

static int view_of_layers(const struct skf_layered *l, const struct skf_idmaps *ids, struct view *ret,
			  struct skf_err *e)
{
	struct view v = {.ids = ids, .fd = calloc(l->n ? l->n : 1, sizeof(int)), .there = true, .dir = true};

	if (!v.fd)
		return nomem(e);
	for (unsigned i = 0; i < l->n; i++) {
		int fd = skf_openat(l->fd[i], ".", O_RDONLY | O_DIRECTORY, 0);

		if (fd < 0) {
			view_done(&v);
			return skf_fail_sys(e, fd, "open the root of a layer");
		}
		v.fd[v.n++] = fd;
		if (is_opaque(fd))
			break;
	}
	if (v.n && fstat(v.fd[0], &v.st) < 0) {
		view_done(&v);
		return skf_fail_sys(e, -errno, "look at the root of a layer");
	}
	look_mapped(&v);
	*ret = v;
	return 0;
}

/* What a name is in the merged view; there stays false when it is nothing. */
static int child_view(const struct view *dir, const char *name, struct view *ret, struct skf_err *e)
{
	struct view v = {.fd = calloc(dir->n ? dir->n : 1, sizeof(int)), .parent = -EBADF};
	struct stat st;

	if (!v.fd)
		return nomem(e);
	for (unsigned i = 0; i < dir->n; i++) {
		int fd;

		if (fstatat(dir->fd[i], name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0))
			break; /* whiteout: nothing of below shows through */
		if (!S_ISDIR(st.st_mode)) {
			if (v.n == 0) {
				v.there = true;
				v.parent = dir->fd[i];
				v.st = st;
				v.ids = i == 0 ? dir->ids : NULL;
				look_mapped(&v);
			}
			break;
		}
		fd = skf_openat(dir->fd[i], name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (fd == -ENOENT || fd == -ENOTDIR || fd == -ELOOP)
			break; /* replaced meanwhile */
		if (fd < 0) {
			view_done(&v);
			return skf_fail_sys(e, fd, "open the directory '%.80s'", name);
		}
		if (v.n == 0) {
			v.st = st;
			v.ids = i == 0 ? dir->ids : NULL;
			look_mapped(&v);
		}
		v.there = v.dir = true;
		v.fd[v.n++] = fd;
		if (is_opaque(fd))
			break;
	}
	*ret = v;
	return 0;
}

static bool same_dirs(const struct view *x, const struct view *y)
{
	struct stat a, b;

	if (x->n != y->n)
		return false;
	for (unsigned i = 0; i < x->n; i++)
		if (fstat(x->fd[i], &a) < 0 || fstat(y->fd[i], &b) < 0 || a.st_ino != b.st_ino ||
		    a.st_dev != b.st_dev)
			return false;
	return true;
}

static bool same_target(const struct view *x, const struct view *y, const char *name)
{
	char a[SKF_MAX_TAR_PATH], b[SKF_MAX_TAR_PATH];
	ssize_t n = readlinkat(x->parent, name, a, sizeof(a)), m = readlinkat(y->parent, name, b, sizeof(b));

	return n >= 0 && n == m && memcmp(a, b, (size_t)n) == 0;
}

/* A file that cannot be opened (it is written to a full disk, it is gone) is the same: the rest has been
 * compared. */
static bool same_attributes(const struct view *x, const struct view *y, const char *name)
{
	SKF_AUTO_FD int a = x->dir ? skf_dup_cloexec(x->fd[0])
				   : skf_openat(x->parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	SKF_AUTO_FD int b = y->dir ? skf_dup_cloexec(y->fd[0])
				   : skf_openat(y->parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);

	return a < 0 || b < 0 || skf_treecopy_same_attributes(a, b) != 0;
}

static bool same_entry(const struct view *x, const struct view *y, const char *name)
{
	const struct stat *a = &x->st, *b = &y->st;

	if (a->st_ino == b->st_ino && a->st_dev == b->st_dev)
		return true;
	if (a->st_mode != b->st_mode || a->st_uid != b->st_uid || a->st_gid != b->st_gid)
		return false;
	if (S_ISDIR(a->st_mode))
		return same_attributes(x, y, name);
	if (S_ISLNK(a->st_mode))
		return same_target(x, y, name);
	if (S_ISCHR(a->st_mode) || S_ISBLK(a->st_mode))
		return a->st_rdev == b->st_rdev;
	return a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec &&
	       (!S_ISREG(a->st_mode) || same_attributes(x, y, name));
}

static int report(struct diff *d, char kind, struct skf_err *e)
{
	if (d->n == d->cap) {
		size_t cap = d->cap ? d->cap * 2 : 64;
		struct skf_diff_row *v = skf_arena_array(d->a, cap, sizeof(*v));

		if (!v)
			return nomem(e);
		if (d->n)
			memcpy(v, d->v, d->n * sizeof(*v));
		d->v = v;
		d->cap = cap;
	}
	d->v[d->n].kind = kind;
	d->v[d->n].path = skf_arena_strdup(d->a, skf_buf_cstr(&d->path));
	return d->v[d->n++].path ? 0 : nomem(e);
}

/* --- names --- */
static int add_names(const struct view *v, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e)
{
	for (unsigned i = 0; i < v->n; i++) {
		int fd = skf_openat(v->fd[i], ".", O_RDONLY | O_DIRECTORY, 0);
		SKF_AUTO_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
		struct dirent *de;

		if (!dir)
			return skf_fail_sys(e, fd < 0 ? fd : -errno, "read a directory");
		while ((de = readdir(dir)))
			if (!skf_streq(de->d_name, ".") && !skf_streq(de->d_name, "..") &&
			    skf_strv_add(a, ret, de->d_name) < 0)
				return nomem(e);
	}
	return 0;
}

static int by_bytes(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static int compare(struct diff *d, const struct view *new, const struct view *old, unsigned depth,
		   struct skf_err *e);

/* Empty files that every container has for its own copies to be mounted on (engine/hostfiles.c). */
static bool is_stub(const struct diff *d)
{
	static const char *const stubs[] = {"/etc/hostname", "/etc/hosts", "/etc/resolv.conf",
					    "/sbin/docker-init"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(stubs); i++)
		if (skf_streq(skf_buf_cstr(&d->path), stubs[i]))
			return true;
	return false;
}

static int compare_views(struct diff *d, const struct view *new, const struct view *old, const char *name,
			 unsigned depth, struct skf_err *e)
{
	static const struct view nothing = {0};
	size_t at;

	if (!new->there)
		return old->there ? report(d, 'D', e) : 0;
	if (!old->there && !new->dir &&new->st.st_size == 0 && is_stub(d))
		return 0;
	if (!old->there) {
		if (report(d, 'A', e) < 0)
			return -1;
		return new->dir ? compare(d, new, &nothing, depth + 1, e) : 0;
	}
	if (new->dir != old->dir) {
		if (report(d, 'C', e) < 0)
			return -1;
		return compare(d, new->dir ? new : &nothing, &nothing, depth + 1, e);
	}
	if (!new->dir)
		return same_entry(new, old, name) ? 0 : report(d, 'C', e);
	if (same_dirs(new, old))
		return 0;
	at = d->n;
	if (report(d, 'C', e) < 0 || compare(d, new, old, depth + 1, e) < 0)
		return -1;
	if (d->n == at + 1 && same_entry(new, old, name))
		d->n = at; /* nothing in it, nothing of it */
	return 0;
}

static int compare_name(struct diff *d, const struct view *new, const struct view *old, const char *name,
			unsigned depth, struct skf_err *e)
{
	SKF_AUTO(view_done) struct view x = {0};
	SKF_AUTO(view_done) struct view y = {0};
	size_t at = d->path.len;
	int r;

	if (child_view(new, name, &x, e) < 0 || child_view(old, name, &y, e) < 0)
		return -1;
	skf_buf_fmt(&d->path, "/%s", name);
	r = d->path.err ? skf_fail_sys(e, d->path.err, "path below '%.200s'", skf_buf_cstr(&d->path))
			: compare_views(d, &x, &y, name, depth, e);
	d->path.len = at;
	d->path.p[at] = '\0';
	return r;
}

static int compare(struct diff *d, const struct view *new, const struct view *old, unsigned depth,
		   struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC * 4);
	struct skf_strv names = {0};

	if (depth > SKF_MAX_TAR_DEPTH)
		return skf_fail(e, SKF_ELIMIT, "'%.200s' lies more than %d directories deep",
				skf_buf_cstr(&d->path), SKF_MAX_TAR_DEPTH);
	if (add_names(new, &a, &names, e) < 0 || add_names(old, &a, &names, e) < 0)
		return -1;
	if (names.n > 1)
		qsort(names.v, names.n, sizeof(*names.v), by_bytes);
	for (size_t i = 0; i < names.n; i++)
		if ((i == 0 || !skf_streq(names.v[i], names.v[i - 1])) &&
		    compare_name(d, new, old, names.v[i], depth, e) < 0)
			return -1;
	return 0;
}

static int by_path(const void *a, const void *b)
{
	return strcmp(((const struct skf_diff_row *)a)->path, ((const struct skf_diff_row *)b)->path);
}

static int diff_layers(const struct skf_layered *new, const struct skf_idmaps *ids,
		       const struct skf_layered *old, struct skf_arena *a, struct skf_jarr *ret,
		       struct skf_err *e)
{
	struct diff d = {.a = a, .path = SKF_BUF(SKF_MAX_TAR_PATH * 2)};
	SKF_AUTO(view_done) struct view x = {0};
	SKF_AUTO(view_done) struct view y = {0};
	int r = skf_buf_reserve(&d.path, 1) ? 0 : nomem(e);

	if (r == 0 && (view_of_layers(new, ids, &x, e) < 0 || view_of_layers(old, NULL, &y, e) < 0 ||
		       compare(&d, &x, &y, 0, e) < 0))
		r = -1;
	skf_buf_done(&d.path);
	if (d.n > 1)
		qsort(d.v, d.n, sizeof(*d.v), by_path);
	*ret = (struct skf_jarr){d.v, d.n};
	return r;
}

int skf_engine_diff(struct skf_engine *g, const char *container, struct skf_arena *a, struct skf_jarr *ret,
		    struct skf_err *e)
{
	SKF_AUTO(skf_layered_done) struct skf_layered new = {.n = 0};
	SKF_AUTO(skf_layered_done) struct skf_layered old = {.n = 0};
	SKF_AUTO_FD int dir = -EBADF;
	SKF_AUTO_FD int rw = -EBADF;
	char id[SKF_ID_LEN + 1];
	struct skf_ctrconf *c;
	struct skf_idmaps ids;
	int r;

	if (skf_engine_resolve(g, container, id, e) < 0 || skf_ctr_load(g, id, a, &c, e) < 0 ||
	    skf_ctr_open_dir(g, id, &dir, e) < 0)
		return -1;
	rw = skf_openat(dir, "rw", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (rw < 0)
		return skf_fail_sys(e, rw, "open the files of the container '%.12s'", id);
	if (c->rootfs && !c->rootfs_overlay)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"container %.12s runs on the directory '%s' itself: there is nothing to "
				"compare it with (--rootfs DIR:O keeps its changes apart)",
				id, c->rootfs);
	if (skf_layered_of(g, rw, c, &new, e) < 0 || skf_layered_of(g, -1, c, &old, e) < 0)
		return -1;
	r = skf_idmaps_read_at(dir, a, &ids);
	if (r < 0)
		return skf_fail_sys(e, r, "read the id maps of the container '%.12s'", id);
	return diff_layers(&new, r == 1 && (!c->rootfs || c->rootfs_idmap) ? &ids : NULL, &old, a, ret, e);
}

static int layers_of(struct skf_engine *g, const char *image, struct skf_arena *a, struct skf_strv *ret,
		     struct skf_err *e)
{
	const struct skf_image_layer *l;
	struct skf_refrec ref;
	struct skf_image *i;

	if (skf_store_resolve(g->store, image, a, &i, &ref, e) < 0)
		return -1;
	l = i->layers.v;
	for (size_t k = 0; k < i->layers.n; k++)
		if (skf_strv_add(a, ret, l[k].diff_id.s) < 0)
			return nomem(e);
	return 0;
}

int skf_engine_image_diff(struct skf_engine *g, const char *image, const char *base, struct skf_arena *a,
			  struct skf_jarr *ret, struct skf_err *e)
{
	SKF_AUTO(skf_layered_done) struct skf_layered new = {.n = 0};
	SKF_AUTO(skf_layered_done) struct skf_layered old = {.n = 0};
	struct skf_strv x = {0}, y = {0};

	if (layers_of(g, image, a, &x, e) < 0)
		return -1;
	if (base ? layers_of(g, base, a, &y, e) < 0 : false)
		return -1;
	if (!base)
		y = (struct skf_strv){x.v, x.n ? x.n - 1 : 0};
	if (skf_layered_open(g, -1, &x, &new, e) < 0 || skf_layered_open(g, -1, &y, &old, e) < 0)
		return -1;
	return diff_layers(&new, NULL, &old, a, ret, e);
}
