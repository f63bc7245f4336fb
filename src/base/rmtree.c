/* base/rmtree.c -- rm -rf by file descriptors.
 * Invariants: (1) no link is followed: every directory is opened with O_NOFOLLOW relative to the fd of its
 * parent, and
 * ".." is never used; (2) no mount is crossed: a directory whose mount id differs from its parent's is left
 * alone and makes the result -EBUSY; (3) neither the stack nor the number of open files depends on the
 * depth: a directory deeper than MAX_OPEN levels is first moved up to the top of the tree, which is then
 * read again; (4) what cannot be removed does not keep the rest from being removed, and the first error is
 * returned. Blocks for as long as the file system needs. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MAX_OPEN 64
/* others may still be adding entries; with our own moves each scan makes progress */
#define MAX_RESCANS 16

struct level {
	DIR *dir;
	uint64_t mnt;
	bool failed; /* something below stays */
	unsigned rescans;
	char name[NAME_MAX + 1]; /* in its parent */
};

struct walk {
	struct level *v;
	size_t n, cap;
	bool moved; /* directories went to the top since it was last read from its beginning */
	int err;
};

static void walk_done(struct walk *w)
{
	while (w->n > 0)
		skf_closedirp(&w->v[--w->n].dir);
	free(w->v);
}

static void note(struct walk *w, int r)
{
	if (w->n > 0)
		w->v[w->n - 1].failed = true;
	if (w->err == 0)
		w->err = r;
}

static int mount_of(int fd, uint64_t *ret)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH | AT_NO_AUTOMOUNT, STATX_MNT_ID, &st) < 0)
		return skf_errno();
	/* Linux before 5.8 has no mount id; the device tells all but bind mounts apart. */
	if (st.stx_mask & STATX_MNT_ID)
		*ret = st.stx_mnt_id;
	else
		*ret = 1ull << 63 | (uint64_t)st.stx_dev_major << 32 | st.stx_dev_minor;
	return 0;
}

/* Gives the owner its access back to a directory of mode 000; the /proc link names exactly the directory
 * opened. */
static int open_unreadable(int dirfd, const char *name)
{
	SKF_AUTO_FD int fd = skf_openat(dirfd, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	char link[40];

	if (fd < 0)
		return fd;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	if (chmod(link, 0700) < 0)
		return -EACCES; /* what kept it from being opened, whoever owns it */
	return skf_openat(fd, ".", O_RDONLY | O_DIRECTORY, 0);
}

static int open_dir(int dirfd, const char *name)
{
	struct stat st;
	int fd = skf_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_NONBLOCK, 0);

	if (fd == -EACCES)
		fd = open_unreadable(dirfd, name);
	/* Without write and search permission nothing in it can be removed; a failure shows at the first
	 * unlink. */
	if (fd >= 0 && fstat(fd, &st) == 0 && (st.st_mode & 0700) != 0700)
		(void)!fchmod(fd, 0700);
	return fd;
}

static int push(struct walk *w, int parent_fd, uint64_t parent_mnt, const char *name)
{
	SKF_AUTO_FD int fd = -EBADF;
	uint64_t mnt;
	struct level *l;
	int r;

	fd = open_dir(parent_fd, name);
	if (fd < 0)
		return fd;
	r = mount_of(fd, &mnt);
	if (r < 0)
		return r;
	if (mnt != parent_mnt)
		return -EBUSY;
	if (w->n == w->cap) {
		size_t cap = w->cap ? w->cap * 2 : 8;
		struct level *v = reallocarray(w->v, cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		w->v = v;
		w->cap = cap;
	}
	l = &w->v[w->n];
	*l = (struct level){.mnt = mnt};
	if (skf_fmt(l->name, sizeof(l->name), "%s", name) < 0)
		return -ENAMETOOLONG;
	l->dir = fdopendir(fd);
	if (!l->dir)
		return skf_errno();
	SKF_TAKE_FD(fd);
	w->n++;
	return 0;
}

/* Moves a deep directory to the top of the tree under a new name. */
static int move_up(struct walk *w, int from, const char *name)
{
	char to[40], rnd[17];
	int r = skf_random_hex(rnd, 8);

	if (r < 0)
		return r;
	snprintf(to, sizeof(to), ".rm-%s", rnd);
	if (renameat(from, name, dirfd(w->v[0].dir), to) < 0)
		return skf_errno();
	w->moved = true;
	return 0;
}

/* Removes one entry of the directory at the top of the stack, or pushes it. */
static void remove_entry(struct walk *w, const struct dirent *d)
{
	struct level *l = &w->v[w->n - 1];
	int fd = dirfd(l->dir), r;

	if (d->d_type != DT_DIR) {
		if (unlinkat(fd, d->d_name, 0) == 0 || errno == ENOENT)
			return;
		if (errno != EISDIR) {
			note(w, skf_errno());
			return;
		}
	}
	if (unlinkat(fd, d->d_name, AT_REMOVEDIR) == 0 || errno == ENOENT)
		return;
	if (errno != ENOTEMPTY && errno != EEXIST && errno != EACCES) {
		note(w, skf_errno());
		return;
	}
	if (w->n >= MAX_OPEN && move_up(w, fd, d->d_name) == 0)
		return;
	r = push(w, fd, l->mnt, d->d_name);
	if (r < 0 && r != -ENOENT)
		note(w, r);
}

/* The directory at the top of the stack was read to its end. */
static void finish_level(struct walk *w, int top_parent)
{
	struct level *l = &w->v[w->n - 1];
	int parent = w->n > 1 ? dirfd(w->v[w->n - 2].dir) : top_parent, r;
	bool ours = w->n == 1 && w->moved, failed = l->failed;

	if (!ours && (failed || unlinkat(parent, l->name, AT_REMOVEDIR) == 0 || errno == ENOENT)) {
		r = 0;
	} else if (ours || ((errno == ENOTEMPTY || errno == EEXIST) && l->rescans++ < MAX_RESCANS)) {
		if (ours)
			w->moved = false;
		rewinddir(l->dir);
		return;
	} else {
		r = skf_errno();
	}
	skf_closedirp(&l->dir);
	w->n--;
	if (r < 0)
		note(w, r);
	else if (failed && w->n > 0)
		w->v[w->n - 1].failed = true;
}

static int remove_dir(int dirfd, const char *name)
{
	SKF_AUTO(walk_done) struct walk w = {0};
	uint64_t mnt;
	int r = mount_of(dirfd, &mnt);

	if (r == 0)
		r = push(&w, dirfd, mnt, name);
	if (r < 0)
		return r == -ENOENT ? 0 : r;
	while (w.n > 0) {
		struct dirent *d;

		errno = 0;
		d = readdir(w.v[w.n - 1].dir);
		if (!d && errno != 0)
			note(&w, skf_errno());
		if (!d)
			finish_level(&w, dirfd);
		else if (strcmp(d->d_name, ".") != 0 && strcmp(d->d_name, "..") != 0)
			remove_entry(&w, d);
	}
	return w.err;
}

/* When name has a directory part, that part is of skiff's own choosing and resolved as any path. */
int skf_rmtree_at(int dirfd, const char *name)
{
	SKF_AUTO_FD int parent = -EBADF;
	const char *slash = strrchr(name, '/'), *last = slash ? slash + 1 : name;

	if (!*last || strcmp(last, ".") == 0 || strcmp(last, "..") == 0)
		return -EINVAL;
	if (slash) {
		SKF_AUTO_FREE char *head = strndup(name, (size_t)(last - name));

		if (!head)
			return -ENOMEM;
		parent = skf_openat(dirfd, head, O_PATH | O_DIRECTORY, 0);
	} else {
		parent = skf_openat(dirfd, ".", O_PATH | O_DIRECTORY, 0);
	}
	if (parent < 0)
		return parent == -ENOENT ? 0 : parent;
	if (unlinkat(parent, last, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR)
		return skf_errno();
	return remove_dir(parent, last);
}
