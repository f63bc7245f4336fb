/* store/content.c -- the tree of the store: opening it, blobs, locks, trash.
 *
 * Invariants:
 *  1. A name below blobs/, layers/ or images/ that does not begin with '.' is a whole object: it was renamed
 *     there.
 *  2. Whoever puts an object or a temporary file of one into the tree holds locks/store shared meanwhile, so
 *     that under the exclusive lock every dot-file of those directories is garbage.
 *  3. A digest is checked before it becomes a path (T49).
 *
 * Blocks on the disk, and on locks/store for at most SKF_STORE_LOCK_MS. */
#include "store/store_int.h"
#include "base/buf.h"
#include "base/err.h"
#include "base/fd.h"
#include "base/limits.h"
#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

static const char *const layout[] = {"blobs", "blobs/sha256", "blobs/sha512", "layers", "images",
				     "refs",  "ingest",       "leases",       "trash",  "locks"};

static int check_format(struct skf_store *s, bool create, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(64);
	uint32_t v;
	int r = skf_read_file_at(s->fd, "format", 63, &b);

	if (r == -ENOENT && create) {
		r = skf_write_atomic_at(s->fd, "format", "1\n", 2, 0644, SKF_SYNC | SKF_NOREPLACE);
		if (r < 0 && r != -EEXIST)
			return skf_fail_sys(e, r, "write the layout version of the store '%s'", s->root);
		return 0;
	}
	if (r == -ENOENT)
		return skf_fail(e, SKF_ENOTFOUND, "'%s' is not a store: it has no file 'format'", s->root);
	if (r < 0)
		return skf_fail_sys(e, r, "read the layout version of the store '%s'", s->root);
	if (b.len > 0 && b.p[b.len - 1] == '\n')
		b.p[--b.len] = 0;
	if (skf_parse_u32(skf_buf_cstr(&b), &v) < 0 || v == 0)
		return skf_fail(e, SKF_ECORRUPT,
				"store '%s': expected a version number in the file 'format', found '%.32s'",
				s->root, skf_buf_cstr(&b));
	if (v > SKF_STORE_FORMAT)
		return skf_fail(
			e, SKF_EINVALID,
			"store '%s' has layout version %u, this skiff knows up to %d: use a newer skiff",
			s->root, v, SKF_STORE_FORMAT);
	return 0;
}

/* ext4 then puts each layer into a group of inodes of its own. Beside a layer that was removed a moment ago
 * it would look at every inode of that first, which costs more than the unpacking
 * (docs/performance-images.md). Other file systems have no such flag, and a user may not set it everywhere:
 * it only saves time. */
static void spread_children(int at, const char *name)
{
	SKF_AUTO_FD int fd = skf_openat(at, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	int flags = 0;

	if (fd < 0 || ioctl(fd, FS_IOC_GETFLAGS, &flags) < 0 || flags & FS_TOPDIR_FL)
		return;
	flags |= FS_TOPDIR_FL;
	if (ioctl(fd, FS_IOC_SETFLAGS, &flags) < 0)
		return;
}

static int make_layout(struct skf_store *s, struct skf_err *e)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(layout); i++) {
		int r = skf_mkdir_at(s->fd, layout[i], 0700);

		if (r < 0)
			return skf_fail_sys(e, r, "make the directory '%s/%s'", s->root, layout[i]);
	}
	spread_children(s->fd, "layers");
	return 0;
}

int skf_store_open(const char *root, bool create, struct skf_store **ret, struct skf_err *e)
{
	SKF_AUTO(skf_store_freep) struct skf_store *s = calloc(1, sizeof(*s));

	if (!s)
		return skf_fail(e, SKF_ENOMEM, "no memory to open the store '%s'", root);
	s->fd = -EBADF;
	s->root = strdup(root);
	if (!s->root)
		return skf_fail(e, SKF_ENOMEM, "no memory to open the store '%s'", root);
	s->fd = create ? skf_mkdirs_at(AT_FDCWD, root, 0711)
		       : skf_openat(AT_FDCWD, root, O_RDONLY | O_DIRECTORY, 0);
	if (s->fd < 0)
		return skf_fail_sys(e, s->fd, "open the store '%s'", root);
	if (check_format(s, create, e) < 0 || (create && make_layout(s, e) < 0))
		return -1;
	*ret = SKF_TAKE(s);
	return 0;
}

void skf_store_free(struct skf_store *s)
{
	if (!s)
		return;
	skf_closep(&s->fd);
	free(s->root);
	free(s);
}

int skf_store_fd(const struct skf_store *s)
{
	return s->fd;
}

const char *skf_store_root(const struct skf_store *s)
{
	return s->root;
}

/* --- shared helpers --- */

int skf_store_check_digest(const struct skf_digest *d, struct skf_err *e)
{
	struct skf_digest tmp;

	if (memchr(d->s, 0, sizeof(d->s)) == NULL)
		return skf_fail(e, SKF_EINVALID, "invalid digest: it does not end");
	return skf_digest_parse(d->s, &tmp, e);
}

int skf_store_dir(struct skf_store *s, const char *path, int *ret_fd, struct skf_err *e)
{
	int fd = skf_openat(s->fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);

	if (fd < 0)
		return skf_fail_sys(e, fd, "open the directory '%s' of the store '%s'", path, s->root);
	*ret_fd = fd;
	return 0;
}

int skf_store_blob_dir(struct skf_store *s, const struct skf_digest *d, int *ret_fd, struct skf_err *e)
{
	if (skf_store_check_digest(d, e) < 0)
		return -1;
	return skf_store_dir(s, skf_digest_is_sha256(d) ? "blobs/sha256" : "blobs/sha512", ret_fd, e);
}

static int take_lock(struct skf_store *s, const char *name, bool exclusive, int *ret_lock, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	int fd;

	if (skf_store_dir(s, "locks", &dir, e) < 0)
		return -1;
	fd = skf_lock_at(dir, name, exclusive, SKF_STORE_LOCK_MS);
	if (fd == -ETIMEDOUT || fd == -EAGAIN)
		return skf_fail(e, SKF_ETIMEOUT,
				"lock '%s' of the store '%s' was held for %d s by somebody else; try again",
				name, s->root, SKF_STORE_LOCK_MS / 1000);
	if (fd < 0)
		return skf_fail_sys(e, fd, "lock '%s' of the store '%s'", name, s->root);
	*ret_lock = fd;
	return 0;
}

int skf_store_lock(struct skf_store *s, bool exclusive, int *ret_lock, struct skf_err *e)
{
	return take_lock(s, "store", exclusive, ret_lock, e);
}

int skf_store_lock_layer(struct skf_store *s, const struct skf_digest *diff_id, int *ret_lock,
			 struct skf_err *e)
{
	char name[SKF_DIGEST_MAX + 8];
	int r;

	if (skf_store_check_digest(diff_id, e) < 0)
		return -1;
	r = skf_fmt(name, sizeof(name), "layer-%s", skf_digest_hex(diff_id));
	if (r < 0)
		return skf_fail_sys(e, r, "name of the lock of the layer '%s'", diff_id->s);
	return take_lock(s, name, true, ret_lock, e);
}

int skf_store_each(int dirfd, const char *path,
		   int (*fn)(void *arg, int dirfd, const char *name, struct skf_err *e), void *arg,
		   struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_DIR DIR *d = NULL;
	struct dirent *de;
	int at;

	if (fd == -ENOENT)
		return 0;
	if (fd < 0)
		return skf_fail_sys(e, fd, "open the directory '%s'", path);
	d = fdopendir(fd);
	if (!d)
		return skf_fail_sys(e, -errno, "read the directory '%s'", path);
	at = SKF_TAKE_FD(fd); /* belongs to d now */
	while (errno = 0, (de = readdir(d)) != NULL) {
		if (strcmp(de->d_name, ".") == 0 || strcmp(de->d_name, "..") == 0)
			continue;
		if (fn(arg, at, de->d_name, e) < 0)
			return -1;
	}
	return errno ? skf_fail_sys(e, -errno, "read the directory '%s'", path) : 0;
}

/* --- blobs --- */

int skf_store_blob_has(struct skf_store *s, const struct skf_digest *d, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	struct stat st;

	if (skf_store_blob_dir(s, d, &dir, e) < 0)
		return -1;
	if (fstatat(dir, skf_digest_hex(d), &st, AT_SYMLINK_NOFOLLOW) < 0) {
		if (errno == ENOENT)
			return 0;
		return skf_fail_sys(e, -errno, "look for the blob '%s'", d->s);
	}
	return S_ISREG(st.st_mode)
		       ? 1
		       : skf_fail(e, SKF_ECORRUPT, "blob '%s' is not a regular file; remove it", d->s);
}

int skf_store_blob_open(struct skf_store *s, const struct skf_digest *d, int *ret_fd, uint64_t *ret_size,
			struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	SKF_AUTO_FD int fd = -EBADF;
	struct stat st;

	if (skf_store_blob_dir(s, d, &dir, e) < 0)
		return -1;
	fd = skf_openat(dir, skf_digest_hex(d), O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	if (fd == -ENOENT)
		return skf_fail(e, SKF_ENOTFOUND, "the store '%s' has no blob '%s'", s->root, d->s);
	if (fd < 0)
		return skf_fail_sys(e, fd, "open the blob '%s'", d->s);
	if (fstat(fd, &st) < 0)
		return skf_fail_sys(e, -errno, "size of the blob '%s'", d->s);
	if (!S_ISREG(st.st_mode))
		return skf_fail(e, SKF_ECORRUPT, "blob '%s' is not a regular file; remove it", d->s);
	*ret_fd = SKF_TAKE_FD(fd);
	if (ret_size)
		*ret_size = (uint64_t)st.st_size;
	return 0;
}

int skf_store_blob_read(struct skf_store *s, const struct skf_digest *d, size_t max, struct skf_buf *ret,
			struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	uint64_t size;
	int r;

	if (skf_store_blob_open(s, d, &fd, &size, e) < 0)
		return -1;
	if (size > max)
		return skf_fail(e, SKF_ELIMIT, "blob '%s' has %llu bytes, at most %zu are allowed", d->s,
				(unsigned long long)size, max);
	r = skf_read_fd(fd, max, ret);
	return r < 0 ? skf_fail_sys(e, r, "read the blob '%s'", d->s) : 0;
}

int skf_store_blob_put(struct skf_store *s, const struct skf_digest *d, const void *p, size_t n,
		       struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	SKF_AUTO_FD int lock = -EBADF;
	int r;

	if (skf_store_blob_dir(s, d, &dir, e) < 0 || skf_store_lock(s, false, &lock, e) < 0)
		return -1;
	r = skf_store_blob_has(s, d, e);
	if (r != 0)
		return r < 0 ? -1 : 0;
	r = skf_write_atomic_at(dir, skf_digest_hex(d), p, n, 0600, SKF_SYNC | SKF_NOREPLACE);
	if (r < 0 && r != -EEXIST)
		return skf_fail_sys(e, r, "write the blob '%s'", d->s);
	return 0;
}

/* --- trash --- */

int skf_store_to_trash(struct skf_store *s, int dirfd, const char *name, struct skf_err *e)
{
	SKF_AUTO_FD int trash = -EBADF;
	char to[33];
	int r;

	if (!*name || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return skf_fail(e, SKF_EBUG, "'%s' is not a single name that could go to the trash", name);
	if (skf_store_dir(s, "trash", &trash, e) < 0)
		return -1;
	r = skf_random_hex(to, 16);
	if (r < 0)
		return skf_fail_sys(e, r, "make a random name in the trash");
	if (renameat(dirfd, name, trash, to) < 0 && errno != ENOENT)
		return skf_fail_sys(e, -errno, "move '%s' to the trash of the store '%s'", name, s->root);
	return 0;
}

static int trash_one(void *arg, int dirfd, const char *name, struct skf_err *e)
{
	int r = skf_rmtree_at(dirfd, name);

	(void)arg;
	return r < 0 ? skf_fail_sys(e, r, "remove 'trash/%s'", name) : 0;
}

int skf_store_empty_trash(struct skf_store *s, struct skf_err *e)
{
	return skf_store_each(s->fd, "trash", trash_one, NULL, e);
}
