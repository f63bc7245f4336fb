/* engine/log_squeeze.c -- rotated files of a container's log are compressed: `skiff system squeeze-logs`,
 * which the monitor starts after a rotation.
 *
 * Invariants: (1) one process at a time does it, log/squeeze is its lock; (2) a file is read by its
 * descriptor, however often it is renamed meanwhile, and what it became gets the number that the file has
 * then, under log/lock, which a rotation and a reader's look at the names take as well; (3) <log>.N.gz is
 * whole, and when <log>.N is there, too (a kill in between), that one counts. skiff-image compresses, with
 * the memory that gzip needs. */
#include "engine/archive_int.h"
#include "engine/life.h"
#include "engine/log_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define PART "squeezed"

struct squeeze {
	struct skf_engine *g;
	const char *id;
	unsigned max_file;
	int dir;
};

static int name_of(const struct squeeze *s, unsigned nr, const char *form, char out[SKF_LOG_NAME])
{
	return skf_fmt(out, SKF_LOG_NAME, "%s-json.log.%u%s", s->id, nr, form);
}

/* The oldest that is not compressed: its number, 0 none. */
static unsigned oldest(const struct squeeze *s)
{
	char name[SKF_LOG_NAME];
	struct stat st;

	for (unsigned nr = s->max_file - 1; nr > 0; nr--)
		if (name_of(s, nr, "", name) == 0 && fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			return nr;
	return 0;
}

/* Number of the file now; 0: it has been one too many. */
static unsigned number_of(const struct squeeze *s, const struct stat *of)
{
	char name[SKF_LOG_NAME];
	struct stat st;

	for (unsigned nr = 1; nr < s->max_file; nr++)
		if (name_of(s, nr, "", name) == 0 && fstatat(s->dir, name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    st.st_ino == of->st_ino && st.st_dev == of->st_dev)
			return nr;
	return 0;
}

static int give_name(const struct squeeze *s, const struct stat *of)
{
	SKF_AUTO_FD int lock = skf_lock_at(s->dir, SKF_LOG_LOCK, true, SKF_LOCK_MS);
	char plain[SKF_LOG_NAME], packed[SKF_LOG_NAME];
	unsigned nr;

	if (lock < 0)
		return lock;
	nr = number_of(s, of);
	if (nr == 0)
		return unlinkat(s->dir, PART, 0) < 0 ? -errno : 0;
	if (name_of(s, nr, "", plain) < 0 || name_of(s, nr, ".gz", packed) < 0)
		return -ENAMETOOLONG;
	if (renameat(s->dir, PART, s->dir, packed) < 0 || unlinkat(s->dir, plain, 0) < 0)
		return -errno;
	return 0;
}

static int squeeze(const struct squeeze *s, unsigned nr, struct skf_err *e)
{
	SKF_AUTO_FD int from = -EBADF;
	SKF_AUTO_FD int to = -EBADF;
	char name[SKF_LOG_NAME];
	struct stat st;
	uint64_t was;
	int r = name_of(s, nr, "", name);

	if (r == 0)
		r = from = skf_openat(s->dir, name, O_RDONLY | O_NOFOLLOW, 0);
	if (r == -ENOENT)
		return 0; /* renamed meanwhile: it is found again */
	if (r >= 0 && fstat(from, &st) < 0)
		r = -errno;
	if (r >= 0)
		r = to = skf_openat(s->dir, PART, O_WRONLY | O_CREAT | O_TRUNC | O_NOFOLLOW, 0640);
	if (r < 0)
		return skf_fail_sys(e, r, "compress the log file '%s'", name);
	if (skf_archive_squeeze(s->g, SKF_SQUEEZE_GZIP, from, to, e) < 0)
		return skf_ctx(e, "compress the log file '%s'", name);
	/* By both a follower finds what the file that it has open became (logs.c): files of one tick of the
	 * clock have one time. */
	if (fstat(from, &st) < 0)
		return skf_fail_sys(e, -errno, "look at the log file '%s'", name);
	was = st.st_ino;
	if (fsetxattr(to, SKF_LOG_WAS, &was, sizeof(was), 0) < 0)
		skf_debug(&s->g->log, "mark '%s.gz' as what was '%s': %s; its time has to do", name, name,
			  strerror(errno));
	if (futimens(to, (const struct timespec[]){st.st_atim, st.st_mtim}) < 0)
		return skf_fail_sys(e, -errno, "set the time of the compressed log file '%s'", name);
	r = give_name(s, &st);
	return r < 0 ? skf_fail_sys(e, r, "rename the compressed log file '%s'", name) : 0;
}

int skf_engine_squeeze_logs(struct skf_engine *g, const char *container, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FD int dir = -EBADF;
	SKF_AUTO_FD int log = -EBADF;
	SKF_AUTO_FD int lock = -EBADF;
	char id[SKF_ID_LEN + 1];
	struct skf_ctrconf *c;
	unsigned nr;

	if (skf_engine_resolve(g, container, id, e) < 0 || skf_ctr_load(g, id, &a, &c, e) < 0 ||
	    skf_ctr_open_dir(g, id, &dir, e) < 0)
		return -1;
	if (!c->log_compress)
		return 0;
	log = skf_openat(dir, "log", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	lock = log < 0 ? log : skf_lock_at(log, "squeeze", true, 0);
	if (lock == -EAGAIN)
		return 0; /* somebody does it */
	if (lock < 0)
		return skf_fail_sys(e, lock, "open the log directory of container '%.12s'", id);
	const struct squeeze s = {g, id, c->log_max_file, log};
	while ((nr = oldest(&s)))
		if (squeeze(&s, nr, e) < 0)
			return -1;
	return 0;
}
