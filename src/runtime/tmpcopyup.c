/* runtime/tmpcopyup.c -- copies the directory that a tmpfs is about to cover into that tmpfs (mount option
 * tmpcopyup).
 *
 * The source is untrusted (an image, a volume): it is walked by fds, no link is followed, file types are
 * checked on the opened object, and depth is bounded. Hard links become copies; extended attributes are left
 * behind, as with runc. Blocks on disk. */
#include "base/limits.h"
#include "runtime/rootfs_int.h"
#include <dirent.h>
#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <unistd.h>

struct copy {
	const struct skf_log *log;
	struct skf_err *e;
	const char *name; /* of the entry at hand */
};

static int fail(struct copy *c, const char *what)
{
	return skf_fail_errno(c->e, "cannot %s '%s'", what, c->name);
}

/* Owner, mode and times of an entry of `to`; links have no mode of their own. */
static int copy_meta(struct copy *c, int to, const char *name, const struct stat *st)
{
	const struct timespec t[2] = {st->st_atim, st->st_mtim};

	if (fchownat(to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(c, "set the owner of");
	if (!S_ISLNK(st->st_mode) && fchmodat(to, name, st->st_mode & 07777, 0) < 0)
		return fail(c, "set the mode of");
	if (utimensat(to, name, t, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(c, "set the times of");
	return 0;
}

static int copy_file(struct copy *c, int from, int to, const char *name)
{
	struct stat st;

	SKF_AUTO_FD int in = skf_openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (in < 0 || fstat(in, &st) < 0)
		return skf_fail_sys(c->e, in < 0 ? in : skf_errno(), "cannot open '%s'", name);
	if (!S_ISREG(st.st_mode))
		return skf_fail(c->e, SKF_ECONFLICT, "'%s' changed its type while it was being copied",
				name);
	SKF_AUTO_FD int out = skf_openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
	if (out < 0)
		return skf_fail_sys(c->e, out, "cannot create '%s'", name);
	ssize_t n;
	do {
		n = sendfile(out, in, NULL, 1 << 30);
	} while (n > 0);
	return n < 0 ? fail(c, "copy") : 0;
}

static int copy_link(struct copy *c, int from, int to, const char *name)
{
	char target[PATH_MAX];

	ssize_t n = readlinkat(from, name, target, sizeof(target));
	if (n < 0 || (size_t)n >= sizeof(target))
		return fail(c, "read link");
	target[n] = '\0';
	return symlinkat(target, to, name) < 0 ? fail(c, "make link") : 0;
}

/* 1: left out. */
static int copy_node(struct copy *c, int to, const char *name, const struct stat *st)
{
	if (S_ISSOCK(st->st_mode))
		return 1;
	if (mknodat(to, name, st->st_mode, st->st_rdev) == 0)
		return 0;
	if (errno != EPERM)
		return fail(c, "make device");
	skf_debug(c->log, "tmpcopyup: device '%s' is left out, this user namespace may not make it", name);
	return 1;
}

static int copy_dir(struct copy *c, int from, int to, int depth);

static int copy_subdir(struct copy *c, int from, int to, const char *name, int depth)
{
	if (mkdirat(to, name, 0700) < 0)
		return fail(c, "make directory");
	SKF_AUTO_FD int in = skf_openat(from, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (in < 0)
		return skf_fail_sys(c->e, in, "cannot open directory '%s'", name);
	SKF_AUTO_FD int out = skf_openat(to, name, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (out < 0)
		return skf_fail_sys(c->e, out, "cannot open directory '%s'", name);
	int r = copy_dir(c, in, out, depth + 1);
	c->name = name;
	return r;
}

static int copy_entry(struct copy *c, int from, int to, const char *name, int depth)
{
	struct stat st;
	int r;

	c->name = name;
	if (fstatat(from, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return fail(c, "look at");
	if (S_ISDIR(st.st_mode))
		r = copy_subdir(c, from, to, name, depth);
	else if (S_ISREG(st.st_mode))
		r = copy_file(c, from, to, name);
	else if (S_ISLNK(st.st_mode))
		r = copy_link(c, from, to, name);
	else
		r = copy_node(c, to, name, &st);
	if (r != 0)
		return r < 0 ? -1 : 0;
	return copy_meta(c, to, name, &st);
}

static int copy_dir(struct copy *c, int from, int to, int depth)
{
	struct dirent *d;

	if (depth > SKF_MAX_TAR_DEPTH)
		return skf_fail(c->e, SKF_ELIMIT, "more than %d directories inside each other",
				SKF_MAX_TAR_DEPTH);
	int fd = skf_openat(from, ".", O_RDONLY | O_DIRECTORY, 0);
	if (fd < 0)
		return skf_fail_sys(c->e, fd, "cannot read directory '%s'", c->name);
	SKF_AUTO_DIR DIR *dir = fdopendir(fd);
	if (!dir) {
		skf_closep(&fd);
		return skf_nomem(c->e);
	}
	while (errno = 0, (d = readdir(dir))) {
		const char *n = d->d_name;
		if (n[0] == '.' && (n[1] == '\0' || (n[1] == '.' && n[2] == '\0')))
			continue;
		if (copy_entry(c, dirfd(dir), to, n, depth) < 0)
			return -1;
	}
	return errno ? fail(c, "read the directory of") : 0;
}

int skf_tmpcopyup(int from, int to, const struct skf_log *log, struct skf_err *e)
{
	struct copy c = {.log = log, .e = e, .name = "."};
	return copy_dir(&c, from, to, 0);
}
