/* engine/layered.c -- reads single files of an image (or of a container's upper directory over it) without
 * mounting anything.
 *
 * A path is walked component by component in the merged view, with overlayfs's rules: the highest entry of a
 * name wins, a character device 0:0 is a whiteout, a directory merges with the directories below it until
 * one is opaque (trusted.overlay.opaque = y). Every component is opened without following links (T14); links
 * are spliced by us, relative to the image's own root, at most SKF_MAX_SYMLINK_DEPTH of them. Never blocks:
 * only regular files are opened for reading. */
#include "engine/engine_int.h"
#include "sys/path.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#define WALK_MAX 4096

void skf_layered_done(struct skf_layered *l)
{
	for (unsigned i = 0; i < l->n; i++)
		skf_closep(&l->fd[i]);
	l->n = 0;
}

int skf_layered_open(struct skf_engine *g, int rw_fd, const struct skf_strv *diff_ids,
		     struct skf_layered *ret, struct skf_err *e)
{
	struct skf_digest d;

	ret->n = 0;
	if (diff_ids->n > SKF_MAX_LAYERS)
		return skf_fail(e, SKF_ELIMIT, "the image has %zu layers; the kernel's limit is %d",
				diff_ids->n, SKF_MAX_LAYERS);
	if (rw_fd >= 0) {
		ret->fd[0] = skf_dup_cloexec(rw_fd);
		if (ret->fd[0] < 0)
			return skf_fail_sys(e, ret->fd[0], "duplicate the upper directory of the container");
		ret->n = 1;
	}
	for (size_t i = diff_ids->n; i-- > 0;) {
		if (skf_digest_parse(diff_ids->v[i], &d, e) < 0 ||
		    skf_store_layer_open(g->store, &d, &ret->fd[ret->n], e) < 0) {
			skf_layered_done(ret);
			return skf_ctx(e, "layer %zu of the image", i);
		}
		ret->n++;
	}
	return 0;
}

int skf_layered_of(struct skf_engine *g, int rw_fd, const struct skf_ctrconf *c, struct skf_layered *ret,
		   struct skf_err *e)
{
	int fd;

	if (!c->rootfs && rw_fd >= 0 && !c->storage->lower)
		return skf_layered_open(g, rw_fd, &(struct skf_strv){0}, ret, e); /* rw/ has everything */
	if (!c->rootfs)
		return skf_layered_open(g, rw_fd, &c->layers, ret, e);
	if (skf_layered_open(g, c->rootfs_overlay ? rw_fd : -1, &c->layers, ret, e) < 0)
		return -1;
	fd = skf_openat(AT_FDCWD, c->rootfs, O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0) {
		skf_layered_done(ret);
		return skf_fail_sys(e, fd, "open the root directory '%s'", c->rootfs);
	}
	ret->fd[ret->n++] = fd;
	return 0;
}

/* The directories that one merged directory consists of, or the one entry that is not a directory. */
struct view {
	int *fd;
	unsigned n;
	bool leaf; /* fd[0] is not a directory */
	struct stat st;
};

static void view_done(struct view *v)
{
	for (unsigned i = 0; i < v->n; i++)
		skf_closep(&v->fd[i]);
	free(v->fd);
	memset(v, 0, sizeof(*v));
}

static int view_of_layers(const struct skf_layered *l, struct view *ret)
{
	struct view v = {.fd = calloc(l->n ? l->n : 1, sizeof(int))};

	if (!v.fd)
		return -ENOMEM;
	for (; v.n < l->n; v.n++) {
		v.fd[v.n] = skf_dup_cloexec(l->fd[v.n]);
		if (v.fd[v.n] < 0) {
			int r = v.fd[v.n];

			view_done(&v);
			return r;
		}
	}
	*ret = v;
	return 0;
}

static bool is_opaque(int fd)
{
	char path[32], value[2] = "";

	/* fgetxattr refuses O_PATH fds. */
	skf_path_of_fd(fd, path);
	return getxattr(path, "trusted.overlay.opaque", value, sizeof(value)) == 1 && value[0] == 'y';
}

static int child_view(const struct view *dir, const char *name, struct view *ret)
{
	struct view v = {.fd = calloc(dir->n ? dir->n : 1, sizeof(int))};
	struct stat st;
	int fd, r = v.fd ? 0 : -ENOMEM;

	for (unsigned i = 0; r == 0 && i < dir->n; i++) {
		fd = skf_path_open_nofollow(dir->fd[i], name, O_PATH, 0);
		if (fd == -ENOENT || fd == -ENOTDIR)
			continue;
		if (fd < 0 || fstat(fd, &st) < 0) {
			r = fd < 0 ? fd : -errno;
			skf_closep(&fd);
			break;
		}
		if (S_ISCHR(st.st_mode) && st.st_rdev == makedev(0, 0)) {
			skf_closep(&fd);
			break; /* whiteout: nothing of below shows through */
		}
		if (!S_ISDIR(st.st_mode) && v.n > 0) {
			skf_closep(&fd);
			break; /* hidden by the directory above it */
		}
		v.st = v.n == 0 ? st : v.st;
		v.fd[v.n++] = fd;
		v.leaf = !S_ISDIR(st.st_mode);
		if (v.leaf || is_opaque(fd))
			break;
	}
	if (r == 0 && v.n == 0)
		r = -ENOENT;
	if (r < 0)
		view_done(&v);
	else
		*ret = v;
	return r;
}

/* From the root to `resolved`, which holds no links. */
static int view_at(const struct skf_layered *l, const char *resolved, struct view *ret)
{
	SKF_AUTO(view_done) struct view cur = {0};
	char part[256];
	int r = view_of_layers(l, &cur);

	while (r == 0 && *resolved) {
		struct view next = {0};
		size_t n = strcspn(resolved, "/");

		if (n >= sizeof(part))
			return -ENAMETOOLONG;
		memcpy(part, resolved, n);
		part[n] = '\0';
		resolved += n + (resolved[n] == '/');
		if (cur.leaf)
			return -ENOTDIR;
		r = child_view(&cur, part, &next);
		view_done(&cur);
		cur = next;
	}
	if (r == 0) {
		*ret = cur;
		memset(&cur, 0, sizeof(cur));
	}
	return r;
}

/* Takes the first component off rest: 1, or 0 when there is none; -errno. */
static int next_part(char *rest, char *part, size_t size)
{
	size_t skip = strspn(rest, "/"), n = strcspn(rest + skip, "/");

	if (n == 0)
		return 0;
	if (n >= size)
		return -ENAMETOOLONG;
	memcpy(part, rest + skip, n);
	part[n] = '\0';
	memmove(rest, rest + skip + n, strlen(rest + skip + n) + 1);
	return 1;
}

static void drop_last(char *resolved)
{
	char *slash = strrchr(resolved, '/');

	*(slash ? slash : resolved) = '\0';
}

static int splice_link(const struct view *v, char *resolved, char *rest)
{
	char target[WALK_MAX], joined[WALK_MAX];
	ssize_t n = readlinkat(v->fd[0], "", target, sizeof(target) - 1);
	int r;

	if (n < 0)
		return -errno;
	target[n] = '\0';
	r = skf_fmt(joined, sizeof(joined), "%s/%s", target, rest);
	if (r < 0)
		return r;
	memcpy(rest, joined, strlen(joined) + 1);
	if (target[0] == '/')
		resolved[0] = '\0';
	else
		drop_last(resolved);
	return 0;
}

static int walk(const struct skf_layered *l, const char *path, struct view *ret)
{
	char resolved[WALK_MAX] = "", rest[WALK_MAX], part[256];
	unsigned links = 0;
	int r = skf_fmt(rest, sizeof(rest), "%s", path);

	while (r >= 0) {
		struct view v = {0};
		size_t len = strlen(resolved);

		r = next_part(rest, part, sizeof(part));
		if (r <= 0)
			break;
		if (skf_streq(part, "."))
			continue;
		if (skf_streq(part, "..")) {
			drop_last(resolved);
			continue;
		}
		r = skf_fmt(resolved + len, sizeof(resolved) - len, "%s%s", len ? "/" : "", part);
		if (r == 0)
			r = view_at(l, resolved, &v);
		if (r < 0)
			return r;
		if (v.leaf && S_ISLNK(v.st.st_mode))
			r = ++links > SKF_MAX_SYMLINK_DEPTH ? -ELOOP : splice_link(&v, resolved, rest);
		view_done(&v);
	}
	return r < 0 ? r : view_at(l, resolved, ret);
}

int skf_layered_open_file(const struct skf_layered *l, const char *path)
{
	SKF_AUTO(view_done) struct view v = {0};
	char self[32];
	int r = walk(l, path, &v);

	if (r < 0)
		return r;
	if (!v.leaf || !S_ISREG(v.st.st_mode))
		return -ENOENT;
	/* The O_PATH fd pins the regular file that was looked at; opening it again by its fd cannot reach
	 * another. */
	skf_path_of_fd(v.fd[0], self);
	return skf_openat(AT_FDCWD, self, O_RDONLY | O_NONBLOCK, 0);
}

int skf_layered_user(const struct skf_layered *l, const char *user, const struct skf_strv *groups,
		     struct skf_arena *a, struct skf_userdb_result *ret, struct skf_err *e)
{
	SKF_AUTO_FD int passwd = skf_layered_open_file(l, "/etc/passwd");
	SKF_AUTO_FD int group = skf_layered_open_file(l, "/etc/group");

	/* Files that cannot be opened count as absent, as in docker: numbers still work, names then fail
	 * with a sentence. */
	return skf_userdb_resolve(user ? user : "", passwd < 0 ? -1 : passwd, group < 0 ? -1 : group, groups,
				  a, ret, e);
}
