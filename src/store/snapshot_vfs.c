/* store/snapshot_vfs.c -- without overlay: every container has a copy of its whole image in rw/, which is
 * mounted by itself. Costs the image's size per container where the file system cannot share blocks
 * (reflinks of xfs, btrfs). docker's and podman's word for it is vfs.
 *
 * Invariants: (1) the copy is made before config.json is written, so that a container that is there has a
 * whole one; (2) what the container changed is found by comparing rw/ with the layers: nothing is written
 * down meanwhile. */
#include "base/err.h"
#include "base/fd.h"
#include "store/snapshot.h"
#include "store/store_int.h"
#include "store/treecopy_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

static int vfs_probe(struct skf_store *s, struct skf_err *e)
{
	(void)s;
	(void)e;
	return 0;
}

static int fill(const struct skf_snapshot_req *q, int to, struct skf_err *e)
{
	struct skf_treecopy c = {.ids = q->ids, .apply = true};
	struct skf_digest d;

	for (size_t i = 0; i < q->layers->n; i++) {
		SKF_AUTO_FD int tree = -EBADF;
		SKF_AUTO_FD int from = -EBADF;

		if (skf_digest_parse(q->layers->v[i], &d, e) < 0 ||
		    skf_store_layer_open(q->store, &d, &tree, e) < 0)
			return skf_ctx(e, "layer %zu of the image", i);
		from = skf_openat(tree, ".", O_RDONLY | O_DIRECTORY, 0); /* tree is O_PATH */
		if (from < 0)
			return skf_fail_sys(e, from, "open the layer '%s'", d.s);
		if (skf_treecopy(from, to, &c, e) < 0)
			return skf_ctx(e, "copy the layer '%s'", d.s);
	}
	return q->sync && syncfs(to) < 0 ? skf_fail_sys(e, -errno, "write the copy of the image to the disk")
					 : 0;
}

static void describe(struct skf_snapshot *ret)
{
	*ret = (struct skf_snapshot){.driver = skf_snapshot_vfs.name, .lower = false, .form = SKF_FORM_TREE};
}

static int vfs_prepare(const struct skf_snapshot_req *q, struct skf_snapshot *ret, struct skf_err *e)
{
	SKF_AUTO_FD int rw = skf_openat(q->dir, "rw", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	describe(ret);
	if (rw < 0)
		return skf_fail_sys(e, rw, "open the container's directory 'rw'");
	return fill(q, rw, e);
}

static int vfs_view(const struct skf_snapshot_req *q, const char *name, struct skf_snapshot *ret,
		    bool *ret_copy, struct skf_err *e)
{
	SKF_AUTO_FD int to = -EBADF;
	int r = mkdirat(q->dir, name, 0700) < 0 ? -errno : 0;

	describe(ret);
	*ret_copy = true;
	if (r == 0)
		r = to = skf_openat(q->dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r < 0)
		return skf_fail_sys(e, r, "make the directory '%s' for a copy of an image", name);
	return fill(q, to, e);
}

static int vfs_ensure(const struct skf_snapshot_req *q, const struct skf_snapshot *s, struct skf_err *e)
{
	(void)q;
	(void)s;
	(void)e;
	return 0;
}

/* --- the changes in overlay's form --- */

/* The directory that has the last component of path, below dir: each opened single, never followed. */
static int open_parent(int dir, const char *path, const char **ret_name)
{
	SKF_AUTO_FD int at = skf_openat(dir, ".", O_RDONLY | O_DIRECTORY, 0);
	char part[256];

	path += *path == '/';
	for (const char *slash; at >= 0 && (slash = strchr(path, '/')); path = slash + 1) {
		size_t n = (size_t)(slash - path);
		int next;

		if (n >= sizeof(part))
			return -ENAMETOOLONG;
		memcpy(part, path, n);
		part[n] = '\0';
		next = skf_openat(at, part, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		skf_closep(&at);
		at = next;
	}
	*ret_name = path;
	return SKF_TAKE_FD(at);
}

static int copy_dir_meta(int from, int to, const struct stat *st)
{
	const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st->st_mtim};
	int r;

	if (fchown(to, st->st_uid, st->st_gid) < 0 || fchmod(to, st->st_mode & 07777) < 0)
		return -errno;
	r = skf_treecopy_xattrs(from, to, NULL, false);
	return r < 0 ? r : futimens(to, times) < 0 ? -errno : 0;
}

static int put_dir(int from, int to, const char *name, const struct stat *st)
{
	SKF_AUTO_FD int a = skf_openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_FD int b = -EBADF;

	if (a < 0)
		return a;
	if (mkdirat(to, name, 0700) < 0)
		return -errno;
	b = skf_openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	return b < 0 ? b : copy_dir_meta(a, b, st);
}

/* The rows are in byte order of paths: a directory comes before what is in it. Its times are set again at
 * the end. */
static int put_change(int rw, const struct skf_change *c, int to)
{
	SKF_AUTO_FD int from = -EBADF;
	SKF_AUTO_FD int dir = -EBADF;
	const char *name;
	struct stat st;

	dir = open_parent(to, c->path, &name);
	if (dir < 0)
		return dir;
	if (c->kind == 'D')
		return mknodat(dir, name, S_IFCHR, makedev(0, 0)) < 0 ? -errno : 0;
	from = open_parent(rw, c->path, &name);
	if (from < 0)
		return from;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;
	if (S_ISDIR(st.st_mode))
		return put_dir(from, dir, name, &st);
	return linkat(from, name, dir, name, 0) < 0 ? -errno : 0;
}

/* A directory's times changed when what is in it was put there. */
static int settle(int rw, const struct skf_change *c, int to)
{
	SKF_AUTO_FD int from = -EBADF;
	SKF_AUTO_FD int dir = -EBADF;
	const char *name;
	struct stat st;
	int r = from = open_parent(rw, c->path, &name);

	if (r >= 0)
		r = dir = open_parent(to, c->path, &name);
	if (r >= 0 && fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r >= 0 && S_ISDIR(st.st_mode)) {
		const struct timespec times[2] = {{.tv_nsec = UTIME_OMIT}, st.st_mtim};

		r = utimensat(dir, name, times, AT_SYMLINK_NOFOLLOW) < 0 ? -errno : 0;
	}
	return r < 0 ? r : 0;
}

static int vfs_upper(int rw, const struct skf_change *v, size_t n, int to, struct skf_err *e)
{
	struct stat st;
	int r = fstat(rw, &st) < 0 ? -errno : 0;

	for (size_t i = 0; r == 0 && i < n; i++) {
		r = put_change(rw, &v[i], to);
		if (r == -ENOENT && v[i].kind != 'D')
			r = 0; /* removed meanwhile: it is in use */
		if (r < 0)
			return skf_fail_sys(e, r, "gather the change '%.300s'", v[i].path);
	}
	for (size_t i = n; r == 0 && i-- > 0;)
		if (v[i].kind != 'D' && (r = settle(rw, &v[i], to)) == -ENOENT)
			r = 0;
	if (r == 0)
		r = copy_dir_meta(rw, to, &st);
	return r < 0 ? skf_fail_sys(e, r, "gather the changes of the container") : 0;
}

static int vfs_check(const struct skf_snapshot_req *q, const struct skf_snapshot *s, char *why, size_t size,
		     struct skf_err *e)
{
	struct stat st;

	(void)s;
	(void)e;
	if (fstatat(q->dir, "rw", &st, AT_SYMLINK_NOFOLLOW) == 0 && S_ISDIR(st.st_mode))
		return 1;
	snprintf(why, size, "its copy of the image is missing");
	return 0;
}

const struct skf_snapshotter skf_snapshot_vfs = {
	.name = "vfs",
	.about = "every container has a copy of its image",
	.copies = true,
	.probe = vfs_probe,
	.prepare = vfs_prepare,
	.view = vfs_view,
	.ensure = vfs_ensure,
	.upper = vfs_upper,
	.check = vfs_check,
};
