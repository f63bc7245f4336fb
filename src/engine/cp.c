/* engine/cp.c -- docker's cp: from paths as people write them to two directories and two names, by docker's
 * rules of what a destination means.
 *
 * A path in a container is resolved below its root by openat2(RESOLVE_IN_ROOT, no magic links): of a running
 * one through its mount namespace
 * (/proc/<pid>/root, so that volumes are seen), of another one on an overlay mount of its own that lives in
 * a descriptor. Links in a container's path therefore mean what they mean inside; a container that exchanges
 * them during the copy chooses another place of its own, never one of the host (T29). Paths of the host are
 * the caller's own. Blocks on the file systems. */
#include "engine/cp_int.h"
#include "base/proc.h"
#include "engine/life.h"
#include "launch/wire.h"
#include "sys/path.h"
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

struct end {
	const char *container; /* NULL: the host */
	const char *path;
	int root;              /* of the container */
	struct skf_idmaps ids; /* of its user namespace */
};

static int open_path(const struct end *x, const char *path, int flags)
{
	return x->container ? skf_path_open(x->root, path, flags, 0) : skf_openat(AT_FDCWD, path, flags, 0);
}

/* foreign: another runtime than our own; one that is a sandbox (runsc) shows an empty root on the host. */
static int running_root(const struct skf_ctr_live *l, const char *id, const char *foreign, int *ret,
			struct skf_err *e)
{
	struct statfs fs;
	char path[40];
	SKF_AUTO_FD int fd = -EBADF;

	snprintf(path, sizeof(path), "/proc/%u/root", l->sum.pid);
	fd = skf_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
	/* looked at afterwards: then it was that process's root */
	if (fd >= 0 && skf_proc_alive((pid_t)l->sum.pid, l->sum.start_time) != 1)
		return skf_fail(e, SKF_ECONFLICT, "container %.12s has just ended; try again", id);
	if (fd < 0)
		return skf_fail_sys(e, fd, "open the root of container %.12s", id);
	if (foreign && fstatfs(fd, &fs) == 0 && fs.f_type != OVERLAYFS_SUPER_MAGIC)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"container %.12s is run by '%s', which keeps its files to itself while it "
				"runs: stop the container to copy",
				id, foreign);
	*ret = SKF_TAKE_FD(fd);
	return 0;
}

static int read_ids(struct skf_engine *g, const char *id, struct skf_arena *a, struct skf_idmaps *ret,
		    struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	int r;

	if (skf_ctr_open_dir(g, id, &dir, e) < 0)
		return -1;
	r = skf_idmaps_read_at(dir, a, ret);
	return r < 0 ? skf_fail_sys(e, r, "read '%s/containers/%s/" SKF_IDS_FILE "'", g->root, id) : 0;
}

static int open_root(struct skf_engine *g, struct end *x, struct skf_arena *a, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	char id[SKF_ID_LEN + 1];
	struct skf_ctr_live l;

	if (!x->container)
		return 0;
	if (skf_engine_resolve(g, x->container, id, e) < 0 || skf_ctr_live(g, id, &l, e) < 0 ||
	    read_ids(g, id, a, &x->ids, e) < 0)
		return -1;
	if (skf_ctr_is_made(l.state)) {
		struct skf_ctrconf *c;

		if (skf_ctr_load(g, id, a, &c, e) < 0)
			return -1;
		return running_root(&l, id, c->rootfs && !c->rootfs_overlay ? NULL : c->runtime, &x->root,
				    e);
	}
	skf_launch_request(g, &b, SKF_LAUNCH_MOUNT, 0, id, "");
	if (skf_launch_ask(g, "mount", &b, &x->root, e) < 0)
		return -1;
	return x->root < 0 ? skf_fail(e, SKF_EBUG, "skiff-launch gave no root of container %.12s", id) : 0;
}

static const char *shown(const struct end *x)
{
	return x->container ? x->container : "the host";
}

/* "a/b/" -> "a" "b"; "/" -> "/" "."; the last component of a path without what follows it. */
static int split(const char *path, char dir[PATH_MAX], char name[NAME_MAX + 1])
{
	size_t n = strlen(path), at;

	while (n > 1 && path[n - 1] == '/')
		n--;
	at = n;
	while (at > 0 && path[at - 1] != '/')
		at--;
	if (skf_fmt(name, NAME_MAX + 1, "%.*s", (int)(n - at), path + at) < 0 ||
	    skf_fmt(dir, PATH_MAX, "%.*s", (int)at, path) < 0)
		return -ENAMETOOLONG;
	if (!*name)
		memcpy(name, ".", sizeof("."));
	if (!*dir)
		memcpy(dir, ".", sizeof("."));
	return 0;
}

struct source {
	int dir; /* that `name` is in; of a content copy the directory itself */
	char name[NAME_MAX + 1];
	bool is_dir, content;
};

static bool is_content(const char *path)
{
	return skf_endswith(path, "/.") || skf_streq(path, ".") || skf_streq(path, "/") ||
	       skf_endswith(path, "/..") || skf_streq(path, "..");
}

/* Follows a link at the end of the path: -L. The kernel has resolved it; its parent is looked up by what it
 * resolved to. */
static int follow(struct end *x, char path[PATH_MAX])
{
	char target[PATH_MAX], dir[PATH_MAX], name[NAME_MAX + 1];

	for (unsigned i = 0; i < SKF_MAX_SYMLINK_DEPTH; i++) {
		SKF_AUTO_FD int parent = -EBADF;
		ssize_t n;

		if (split(path, dir, name) < 0)
			return -ENAMETOOLONG;
		parent = open_path(x, dir, O_PATH | O_DIRECTORY);
		if (parent < 0)
			return parent;
		n = readlinkat(parent, name, target, sizeof(target) - 1);
		if (n < 0)
			return errno == EINVAL ? 0 : -errno;
		target[n] = '\0';
		if (skf_fmt(path, PATH_MAX, "%s%s%s", target[0] == '/' ? "" : dir,
			    target[0] == '/' ? "" : "/", target) < 0)
			return -ENAMETOOLONG;
	}
	return -ELOOP;
}

static int find_source(struct end *x, bool follow_link, struct source *s, struct skf_err *e)
{
	char dir[PATH_MAX], path[PATH_MAX];
	struct stat st;
	int r = skf_fmt(path, sizeof(path), "%s", *x->path ? x->path : ".");

	s->content = is_content(path);
	if (r == 0 && follow_link && !s->content)
		r = follow(x, path);
	if (r == 0)
		r = split(path, dir, s->name);
	if (r == 0)
		r = s->dir = open_path(x, s->content ? path : dir, O_RDONLY | O_DIRECTORY);
	if (r >= 0 && s->content)
		memcpy(s->name, ".", sizeof("."));
	if (r >= 0 && fstatat(s->dir, s->name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		r = -errno;
	if (r == -ENOENT || r == -ENOTDIR)
		return skf_fail(e, SKF_ENOTFOUND, "Could not find the file %s in %s %s", x->path,
				x->container ? "container" : "", shown(x));
	if (r < 0)
		return skf_fail_sys(e, r, "open '%s' of %s", x->path, shown(x));
	s->is_dir = S_ISDIR(st.st_mode);
	return 0;
}

/* docker's rules. *ret_name: in *ret_dir; content: *ret_dir is what is filled. */
static int find_target(struct end *x, const struct source *s, int *ret_dir, char name[NAME_MAX + 1],
		       bool *ret_content, struct skf_err *e)
{
	char dir[PATH_MAX];
	bool slash = skf_endswith(x->path, "/");
	SKF_AUTO_FD int fd = open_path(x, *x->path ? x->path : ".", O_RDONLY | O_DIRECTORY), parent = -EBADF;
	struct stat st;
	int r;

	*ret_content = false;
	if (fd >= 0) {
		*ret_content = s->content;
		memcpy(name, s->name, sizeof(s->name));
		*ret_dir = SKF_TAKE_FD(fd);
		return 0;
	}
	r = split(x->path, dir, name);
	if (r == 0)
		r = parent = open_path(x, dir, O_RDONLY | O_DIRECTORY);
	if (r == -ENOENT || r == -ENOTDIR)
		return skf_fail(e, SKF_ENOTFOUND, "Could not find the directory %s in %s %s", dir,
				x->container ? "container" : "", shown(x));
	if (r < 0)
		return skf_fail_sys(e, r, "open '%s' of %s", dir, shown(x));
	if (fstatat(parent, name, &st, 0) == 0 && s->is_dir)
		return skf_fail(e, SKF_ECONFLICT, "cannot copy directory: '%s' is a file", x->path);
	if (!s->is_dir && slash)
		return skf_fail(e, SKF_ENOTFOUND, "destination directory must exist: '%s'", x->path);
	if (s->is_dir) { /* becomes the destination */
		if (mkdirat(parent, name, 0755) < 0)
			return skf_fail_sys(e, -errno, "make the directory '%s'", x->path);
		fd = skf_openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (fd < 0)
			return skf_fail_sys(e, fd, "open the directory '%s'", x->path);
		*ret_content = true;
		*ret_dir = SKF_TAKE_FD(fd);
		return 0;
	}
	*ret_dir = SKF_TAKE_FD(parent);
	return 0;
}

/* A directory whose content goes into another one. */
static int copy_content(const struct skf_cp *c, const struct source *s, int to, struct skf_err *e)
{
	SKF_AUTO_FD int from = skf_openat(s->dir, s->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	return from < 0 ? skf_fail_sys(e, from, "open the directory '%s'", s->name)
			: skf_cp_content(c, from, to, 0, e);
}

static int copy(struct skf_engine *g, const struct skf_cp_req *q, struct end *from, struct end *to,
		struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_cp c = {.archive = q->archive,
			   .uid = to->container ? 0 : geteuid(),
			   .gid = to->container ? 0 : getegid()};
	struct source s = {.dir = -EBADF};
	char name[NAME_MAX + 1];
	SKF_AUTO_FD int dir = -EBADF;
	bool content = false;
	int r = -1;

	if (open_root(g, from, &a, e) < 0 || open_root(g, to, &a, e) < 0)
		return -1;
	c.from = from->ids;
	c.to = to->ids;
	if (q->in_fd >= 0) {
		dir = open_path(to, *to->path ? to->path : ".", O_RDONLY | O_DIRECTORY);
		return dir < 0 ? skf_fail_sys(e, dir, "open the directory '%s' of %s", to->path, shown(to))
			       : skf_cp_tar_read(&c, q->in_fd, to->root, to->path, e);
	}
	if (find_source(from, q->follow_link, &s, e) == 0) {
		if (q->out_fd >= 0)
			r = skf_cp_tar_write(&c, s.dir, s.name, s.content, q->out_fd, e);
		else if (find_target(to, &s, &dir, name, &content, e) == 0)
			r = content ? copy_content(&c, &s, dir, e)
				    : skf_cp_entry(&c, s.dir, s.name, dir, name, 0, e);
	}
	skf_closep(&s.dir);
	return r;
}

int skf_engine_cp(struct skf_engine *g, const struct skf_cp_req *q, struct skf_err *e)
{
	struct end from = {q->from_container, q->from, -EBADF, {{0}, {0}}},
		   to = {q->to_container, q->to, -EBADF, {{0}, {0}}};
	int r = copy(g, q, &from, &to, e);

	skf_closep(&from.root);
	skf_closep(&to.root);
	return r;
}
