/* engine/du.c -- bytes on the disk below a directory, as du(1) counts them: allocated blocks, each inode
 * once. The tree may belong to a workload that changes it meanwhile: no link is followed, no mount crossed,
 * and what cannot be opened is told by `partial`, not by an error. Blocks on the disk. */
#include "engine/df_int.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

struct skf_du_seen { /* open addressing by inode number; one file system */
	uint64_t *v;
	size_t n, cap;
};

void skf_du_done(struct skf_du *u)
{
	if (u->seen)
		free(u->seen->v);
	free(u->seen);
	u->seen = NULL;
}

static uint64_t *slot(uint64_t *v, size_t cap, uint64_t ino)
{
	size_t i = (size_t)(ino * 0x9e3779b97f4a7c15u >> 20) & (cap - 1);

	while (v[i] && v[i] != ino)
		i = (i + 1) & (cap - 1);
	return &v[i];
}

/* 1 new, 0 counted before, -ENOMEM. */
static int note(struct skf_du *u, uint64_t ino)
{
	struct skf_du_seen *s = u->seen;
	uint64_t *at;

	if (!s) {
		s = u->seen = calloc(1, sizeof(*s));
		if (!s)
			return -ENOMEM;
	}
	if (s->n * 4 >= s->cap * 3) {
		size_t cap = s->cap ? s->cap * 2 : 1024;
		uint64_t *v = calloc(cap, sizeof(*v));

		if (!v)
			return -ENOMEM;
		for (size_t i = 0; i < s->cap; i++)
			if (s->v[i])
				*slot(v, cap, s->v[i]) = s->v[i];
		free(s->v);
		s->v = v;
		s->cap = cap;
	}
	at = slot(s->v, s->cap, ino);
	if (*at)
		return 0;
	*at = ino;
	s->n++;
	return 1;
}

static int walk(struct skf_du *u, int fd_own, dev_t dev, unsigned depth);

static int entry(struct skf_du *u, int dirfd, const char *name, dev_t dev, unsigned depth)
{
	struct stat st;
	int r, fd;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	if (st.st_dev != dev)
		return 0; /* a mount: somebody else's bytes */
	r = S_ISDIR(st.st_mode) || st.st_nlink < 2 ? 1 : note(u, st.st_ino);
	if (r < 0)
		return r;
	u->files++;
	u->disk += r ? (uint64_t)st.st_blocks * 512 : 0;
	if (!S_ISDIR(st.st_mode))
		return 0;
	fd = depth ? skf_openat(dirfd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0) : -ELOOP;
	if (fd < 0) {
		u->partial |= fd != -ENOENT;
		return 0;
	}
	return walk(u, fd, dev, depth - 1);
}

static int walk(struct skf_du *u, int fd_own, dev_t dev, unsigned depth)
{
	SKF_AUTO_DIR DIR *d = fdopendir(fd_own);
	struct dirent *de;

	if (!d) {
		skf_closep(&fd_own);
		return -ENOMEM;
	}
	while ((de = readdir(d))) {
		if (skf_streq(de->d_name, ".") || skf_streq(de->d_name, ".."))
			continue;
		if (entry(u, dirfd(d), de->d_name, dev, depth) < 0)
			return -ENOMEM;
	}
	return 0;
}

int skf_du_add(struct skf_du *u, int dirfd, const char *name, struct skf_err *e)
{
	struct stat st;

	if (fstatat(dirfd, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return errno == ENOENT ? 0 : skf_fail_sys(e, -errno, "look at '%s'", name);
	if (entry(u, dirfd, name, st.st_dev, SKF_MAX_TAR_DEPTH + 1) < 0)
		return skf_fail(e, SKF_ENOMEM, "memory to count the bytes of '%s'", name);
	return 0;
}
