/* store/ingest.c -- ingest/<hex>/: a download on its way to become a blob. Its lock, locks/ingest-<hex>, is
 * the only lock that may be held over network I/O; whoever gets it takes the bytes over that a dead
 * predecessor left. Order: before locks/layer-* and locks/store. */
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "store/store_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

static int ingest_name(const struct skf_digest *d, char name[SKF_DIGEST_MAX + 8], struct skf_err *e)
{
	int r;

	if (skf_store_check_digest(d, e) < 0)
		return -1;
	r = skf_fmt(name, SKF_DIGEST_MAX + 8, "ingest-%s", skf_digest_hex(d));
	return r < 0 ? skf_fail_sys(e, r, "name of the lock of '%s'", d->s) : 0;
}

int skf_ingest_open(struct skf_store *s, const struct skf_digest *d, int timeout_ms, int *ret_lock,
		    int *ret_dirfd, struct skf_err *e)
{
	SKF_AUTO_FD int locks = -EBADF;
	SKF_AUTO_FD int lock = -EBADF;
	SKF_AUTO_FD int store_lock = -EBADF;
	SKF_AUTO_FD int ingest = -EBADF;
	char name[SKF_DIGEST_MAX + 8];
	int r, fd;

	if (ingest_name(d, name, e) < 0 || skf_store_dir(s, "locks", &locks, e) < 0)
		return -1;
	lock = skf_lock_at(locks, name, true, timeout_ms);
	if (lock == -ETIMEDOUT || lock == -EAGAIN)
		return skf_fail(
			e, SKF_ETIMEOUT,
			"another process is downloading '%s' and did not finish within %d ms; try again",
			d->s, timeout_ms);
	if (lock < 0)
		return skf_fail_sys(e, lock, "lock the download of '%s'", d->s);
	/* Under the store's lock collection cannot remove the directory between mkdir and open. */
	if (skf_store_dir(s, "ingest", &ingest, e) < 0 || skf_store_lock(s, false, &store_lock, e) < 0)
		return -1;
	r = skf_mkdir_at(ingest, skf_digest_hex(d), 0700);
	if (r < 0)
		return skf_fail_sys(e, r, "make 'ingest/%s' in the store '%s'", skf_digest_hex(d), s->root);
	fd = skf_openat(ingest, skf_digest_hex(d), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (fd < 0)
		return skf_fail_sys(e, fd, "open 'ingest/%s' in the store '%s'", skf_digest_hex(d), s->root);
	*ret_lock = SKF_TAKE_FD(lock);
	*ret_dirfd = fd;
	return 0;
}

static int keep(struct skf_store *s, int dir, const struct skf_digest *d, struct skf_err *e)
{
	SKF_AUTO_FD int blobs = -EBADF;
	SKF_AUTO_FD int lock = -EBADF;

	if (skf_store_blob_dir(s, d, &blobs, e) < 0 || skf_store_lock(s, false, &lock, e) < 0)
		return -1;
	if (renameat2(dir, "data", blobs, skf_digest_hex(d), RENAME_NOREPLACE) < 0 && errno != EEXIST)
		return skf_fail_sys(e, -errno, "move the download of '%s' to the blobs of the store '%s'",
				    d->s, s->root);
	return 0;
}

int skf_ingest_done(struct skf_store *s, const struct skf_digest *d, bool keep_blob, struct skf_err *e)
{
	SKF_AUTO_FD int ingest = -EBADF;
	SKF_AUTO_FD int dir = -EBADF;
	int r;

	if (skf_store_check_digest(d, e) < 0 || skf_store_dir(s, "ingest", &ingest, e) < 0)
		return -1;
	dir = skf_openat(ingest, skf_digest_hex(d), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (dir == -ENOENT && !keep_blob)
		return 0;
	if (dir < 0)
		return skf_fail_sys(e, dir, "open 'ingest/%s' in the store '%s'", skf_digest_hex(d),
				    s->root);
	if (keep_blob && keep(s, dir, d, e) < 0)
		return -1;
	r = skf_rmtree_at(ingest, skf_digest_hex(d));
	return r < 0 ? skf_fail_sys(e, r, "remove 'ingest/%s' from the store '%s'", skf_digest_hex(d),
				    s->root)
		     : 0;
}
