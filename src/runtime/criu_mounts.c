/* runtime/criu_mounts.c -- mounts of a container that come from outside of it, which criu neither saves nor
 * makes by itself, and the mount points that a restore needs.
 *
 * Theory: an external mount has a name in the image. The dump says "mount point -> name", the restore "name
 * -> source on this host". Names are those of runc: the mount point itself, and "/dev/null" for every masked
 * file. A restore offers crun's names as well (the masked file's own path); names that the image does not
 * have do no harm.
 *
 * Invariants:
 *  1. A mount point is named as the kernel shows it: links on the way to it, in the container's root, are
 * resolved. It is only a name: nothing is opened by it here.
 *  2. What is mounted to make mount points inside of bind mounts is gone when skf_criu_mount_points returns,
 * on every path, and was never seen by the host: the caller has a mount namespace of its own.
 *
 * Blocks only as long as the file systems do. */
#include "runtime/criu_int.h"
#include "runtime/rootfs_int.h"

#include "base/limits.h"
#include "oci/spec.h"
#include "sys/path.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Invariant 1. NULL: no memory. */
static const char *mount_point(const struct skf_criu_view *v, const char *dest)
{
	char clean[PATH_MAX], root[PATH_MAX], found[PATH_MAX];
	size_t n;

	if (skf_dest_clean(dest, clean) < 0)
		return skf_arena_strdup(v->arena, dest);
	SKF_AUTO_FD int fd = clean[1] ? skf_path_open(v->root, clean + 1, O_PATH, 0) : -ENOENT;
	if (fd < 0 || skf_path_readlink_fd(v->root, root, sizeof(root)) < 0 ||
	    skf_path_readlink_fd(fd, found, sizeof(found)) < 0)
		return skf_arena_strdup(v->arena,
					clean); /* not there yet: then there are no links to resolve */
	n = root[1] ? strlen(root) : 0;
	if (strncmp(found, root, n) != 0 || found[n] != '/')
		return skf_arena_strdup(v->arena, clean);
	return skf_arena_strdup(v->arena, found + n);
}

static int add(const struct skf_criu_view *v, struct skf_criu_list *l, const char *one, const char *two,
	       struct skf_err *e)
{
	if (!one || !two || skf_criu_list_add(v->arena, l, one, two, 0) < 0)
		return skf_nomem(e);
	return 0;
}

/* One external mount whose name is its mount point. */
static int add_own_name(const struct skf_criu_view *v, struct skf_criu_list *l, const char *dest,
			const char *source, struct skf_err *e)
{
	const char *point = mount_point(v, dest);

	return add(v, l, point, v->restore ? source : point, e);
}

/* Where the source that the caller opened for this place is attached. 1 there is one, 0, -ENAMETOOLONG. */
static int place_of(const struct skf_rt_create *q, const char *places, const char *dest, char out[PATH_MAX])
{
	for (size_t i = 0; q && i < q->n_sources; i++)
		if (skf_streq(q->sources[i].destination, dest)) {
			int r = skf_fmt(out, PATH_MAX, "%s-%zu", places, i);

			return r < 0 ? r : 1;
		}
	return 0;
}

int skf_criu_attach_sources(const struct skf_rt_create *q, const char *places, struct skf_err *e)
{
	for (size_t i = 0; i < q->n_sources; i++) {
		SKF_AUTO_FD int place = -EBADF;
		char path[PATH_MAX];
		struct stat st;
		int r = skf_fmt(path, sizeof(path), "%s-%zu", places, i);

		if (r == 0 && fstat(q->sources[i].tree_fd, &st) < 0)
			r = skf_errno();
		if (r == 0 && S_ISDIR(st.st_mode))
			r = skf_mkdir_at(AT_FDCWD, path, 0700);
		else if (r == 0 && (place = skf_openat(AT_FDCWD, path,
						       O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600)) < 0)
			r = place;
		skf_closep(&place);
		if (r == 0)
			r = place = skf_openat(AT_FDCWD, path, O_PATH | O_NOFOLLOW, 0);
		if (r >= 0)
			r = skf_move_mount_onto(q->sources[i].tree_fd, place);
		if (r < 0)
			return skf_fail_sys(e, r, "prepare the source of the mount at '%s'",
					    q->sources[i].destination);
	}
	return 0;
}

void skf_criu_remove_places(const struct skf_rt_create *q, const char *places)
{
	char path[PATH_MAX];

	for (size_t i = 0; i < q->n_sources; i++)
		if (skf_fmt(path, sizeof(path), "%s-%zu", places, i) == 0 && unlink(path) < 0)
			(void)rmdir(path); /* what stays goes with the state directory */
}

static bool is_link(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISLNK(st.st_mode);
}

static int add_bind(const struct skf_criu_view *v, const struct skf_spec_mount *m,
		    const struct skf_mountopts *o, struct skf_criu_list *l, struct skf_err *e)
{
	char place[PATH_MAX] = "";
	int there = v->restore ? place_of(v->req, v->places, m->destination, place) : 0;
	const char *source = there > 0             ? skf_arena_strdup(v->arena, place)
			     : !m->source          ? NULL
			     : m->source[0] == '/' ? m->source
						   : skf_arena_fmt(v->arena, "%s/%s", v->bundle, m->source);

	if (there < 0)
		return skf_fail_sys(e, there, "mount '%s'", m->destination);
	if (!source)
		return m->source || there
			       ? skf_nomem(e)
			       : skf_fail(e, SKF_EINVALID, "mount '%s': a bind mount needs a source",
					  m->destination);
	if (o->copy_symlink && is_link(source))
		return 0; /* a link in the root file system, not a mount */
	if (o->src_nofollow && is_link(source))
		return skf_fail(e, SKF_EUNSUPPORTED,
				"mount '%s': criu cannot handle a bind mount of a link (src-nofollow)",
				m->destination);
	return add_own_name(v, l, m->destination, source, e);
}

/* Where mount_cgroup.c shows single hierarchies by bind mounts. A cgroup namespace makes them file systems
 * of their own, which criu handles, but not for sure in a user namespace. */
static int add_cgroup(const struct skf_criu_view *v, const struct skf_spec_mount *m, struct skf_criu_list *l,
		      struct skf_err *e)
{
	const struct skf_cg_dirs *cg = v->cg;

	if (cg->layout.mode == SKF_CG_V2 || skf_streq(m->type, "cgroup2") ||
	    (skf_spec_ns(v->spec, CLONE_NEWCGROUP) && !skf_spec_ns(v->spec, CLONE_NEWUSER)))
		return 0;
	for (unsigned i = 0; i < cg->layout.n; i++) {
		const char *mp = cg->layout.h[i].mountpoint, *base = strrchr(mp, '/');
		const char *point, *source;

		if (!(cg->used & (1u << i)) || !base)
			continue;
		point = skf_arena_fmt(v->arena, "%s%s", m->destination, base);
		source = skf_arena_fmt(v->arena, "%s%s", mp, cg->path);
		if (!point || !source || add_own_name(v, l, point, source, e) < 0)
			return skf_nomem(e);
	}
	return 0;
}

static int add_mounts(const struct skf_criu_view *v, struct skf_criu_list *l, struct skf_err *e)
{
	const struct skf_spec_mount *m = v->spec->mounts.v;

	for (size_t i = 0; i < v->spec->mounts.n; i++) {
		struct skf_mountopts o;
		int r = 0;

		if (skf_mountopts_parse(&m[i].options, v->arena, &o, e) < 0)
			return skf_ctx(e, "mount '%s'", m[i].destination);
		if (o.flags & MS_REMOUNT)
			continue;
		if (skf_mount_is_bind(&m[i], &o))
			r = add_bind(v, &m[i], &o, l, e);
		else if (skf_streq(m[i].type, "cgroup") || skf_streq(m[i].type, "cgroup2"))
			r = add_cgroup(v, &m[i], l, e);
		if (r < 0)
			return -1;
	}
	return 0;
}

static int add_masked(const struct skf_criu_view *v, struct skf_criu_list *l, struct skf_err *e)
{
	static const char null[] = "/dev/null";
	const struct skf_strv *p = &v->spec->linux_.masked_paths;

	for (size_t i = 0; i < p->n; i++) {
		const char *point = mount_point(v, p->v[i]);
		struct stat st;

		if (!v->restore) { /* masked directories are a tmpfs of the container, which criu saves */
			SKF_AUTO_FD int fd = skf_path_open(v->root, p->v[i], O_PATH, 0);
			if (fd < 0 || fstat(fd, &st) < 0 || S_ISDIR(st.st_mode))
				continue;
		}
		if (add(v, l, point, null, e) < 0)
			return -1;
	}
	return p->n > 0 && v->restore ? add(v, l, null, null, e) : 0;
}

/* Those that were bound from the host because mknod was not permitted; the others are no mounts, and their
 * names do no harm. */
static int add_devices(const struct skf_criu_view *v, struct skf_criu_list *l, struct skf_err *e)
{
	static const char *const defaults[] = {"/dev/null",   "/dev/zero",    "/dev/full",
					       "/dev/random", "/dev/urandom", "/dev/tty"};
	const struct skf_spec_device *d = v->spec->linux_.devices.v;

	for (size_t i = 0; i < SKF_ARRAY_LEN(defaults); i++)
		if (add(v, l, defaults[i], defaults[i], e) < 0)
			return -1;
	for (size_t i = 0; i < v->spec->linux_.devices.n; i++)
		if (add_own_name(v, l, d[i].path, d[i].path, e) < 0)
			return -1;
	return 0;
}

int skf_criu_ext_mounts(const struct skf_criu_view *v, struct skf_criu_list *ret, struct skf_err *e)
{
	return add_mounts(v, ret, e) < 0 || add_masked(v, ret, e) < 0 ? -1 : add_devices(v, ret, e);
}

/* --- mount points --- */
static bool is_below(const char *path, const char *dir)
{
	size_t n = strlen(dir);

	return n > 1 && skf_startswith(path, dir) && path[n] == '/';
}

/* The place is inside a file system that criu restores or the kernel fills: it comes with it. */
static int comes_with_parent(const struct skf_start *s, size_t i, const char *dest, bool *ret,
			     struct skf_err *e)
{
	const struct skf_spec_mount *m = s->spec->mounts.v;
	char above[PATH_MAX];

	*ret = false;
	for (size_t k = 0; k < i; k++) {
		struct skf_mountopts o;

		if (skf_mountopts_parse(&m[k].options, s->arena, &o, e) < 0)
			return skf_ctx(e, "mount '%s'", m[k].destination);
		if (skf_dest_clean(m[k].destination, above) == 0 && is_below(dest, above))
			*ret = !skf_mount_is_bind(&m[k], &o); /* the last one is on top */
	}
	return 0;
}

/* 1: mounted on its place, *ret_tree is the mount. */
static int make_point(struct skf_start *s, const char *places, struct skf_mnt *m, size_t i, int *ret_tree,
		      struct skf_err *e)
{
	char place[PATH_MAX] = "";
	SKF_AUTO_FD int tree = -EBADF, target = -EBADF;
	bool skip, dir = true;
	struct stat st;
	int r;

	if (comes_with_parent(s, i, m->dest, &skip, e) < 0)
		return -1;
	if (skip || skf_streq(m->spec->type, "cgroup") || skf_streq(m->spec->type, "cgroup2"))
		return 0;
	if (skf_mount_is_bind(m->spec, &m->o)) {
		r = place_of(s->req, places, m->spec->destination, place);
		if (r < 0)
			return skf_fail_sys(e, r, "mount '%s'", m->spec->destination);
		tree = skf_source_clone(s, r ? place : m->spec->source,
					m->o.flags & MS_REC ? AT_RECURSIVE : 0);
		if (tree < 0 || fstat(tree, &st) < 0)
			return skf_fail_sys(e, tree < 0 ? tree : skf_errno(),
					    "mount '%s': cannot open source '%s'", m->spec->destination,
					    m->spec->source);
		dir = S_ISDIR(st.st_mode);
	}
	target = skf_mount_target(s, m, dir, tree, e);
	if (target < 0)
		return -1;
	if (tree < 0)
		return 0;
	r = skf_move_mount_onto(tree, target);
	if (r < 0)
		return skf_fail_sys(e, r, "mount '%s': cannot attach", m->spec->destination);
	*ret_tree = SKF_TAKE_FD(tree);
	return 1;
}

static bool source_is_link(const struct skf_start *s, const struct skf_spec_mount *m)
{
	char path[PATH_MAX];

	return m->source && skf_source_path(s, m->source, path) == 0 && is_link(path);
}

/* Last first; invariant 2. */
static int unmount_all(int *trees, size_t n)
{
	char path[32];
	int r = 0, one;

	while (n-- > 0) {
		if (trees[n] < 0)
			continue;
		skf_path_of_fd(trees[n], path);
		one = skf_umount(path, MNT_DETACH);
		if (one < 0 && r == 0)
			r = one;
		skf_closep(&trees[n]);
	}
	return r;
}

int skf_criu_mount_points(struct skf_start *s, const char *places, struct skf_err *e)
{
	const struct skf_spec_mount *v = s->spec->mounts.v;
	size_t n = s->spec->mounts.n;
	int *trees = skf_arena_array(s->arena, n ? n : 1, sizeof(*trees)), r = 0, done;

	if (!trees)
		return skf_nomem(e);
	for (size_t i = 0; i < n; i++)
		trees[i] = -EBADF;
	for (size_t i = 0; i < n && r >= 0; i++) {
		struct skf_mnt m = {.spec = &v[i], .tree = -EBADF};

		if (skf_mountopts_parse(&v[i].options, s->arena, &m.o, e) < 0)
			r = skf_ctx(e, "mount '%s'", v[i].destination);
		else if (skf_dest_clean(v[i].destination, m.dest) < 0)
			r = skf_fail(e, SKF_EINVALID, "mount '%s': the path is too long", v[i].destination);
		else if (!(m.o.flags & MS_REMOUNT) && !(m.o.copy_symlink && source_is_link(s, &v[i])))
			r = make_point(s, places, &m, i, &trees[i], e);
	}
	done = unmount_all(trees, n);
	if (r >= 0 && done < 0)
		return skf_fail_sys(e, done, "unmount what was mounted to make mount points");
	return r < 0 ? -1 : 0;
}
