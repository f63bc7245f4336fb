/* base/file.c -- whole files and directories, by fd and name.
 * Reading blocks on a slow file system only; a pipe that stays silent ends with -ETIMEDOUT after
 * READ_STALL_MS. Atomic writing (1) never shows a half-written file under the name, (2) leaves no temporary
 * file behind unless the process is killed; such a file begins with a dot and is garbage to whoever owns the
 * directory. */
#include "base/base_int.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define READ_STALL_MS  10000
#define READ_CHUNK     4096u
#define READ_CHUNK_MAX (1u << 20)

static int wait_readable(int fd)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	int r;

	do
		r = poll(&p, 1, READ_STALL_MS);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return skf_errno();
	return r == 0 ? -ETIMEDOUT : 0;
}

static ssize_t read_some(int fd, void *p, size_t n)
{
	for (;;) {
		ssize_t r = read(fd, p, n);
		int w;

		if (r >= 0)
			return r;
		if (errno == EINTR)
			continue;
		if (errno != EAGAIN)
			return skf_errno();
		w = wait_readable(fd);
		if (w < 0)
			return w;
	}
}

/* The size of a regular file saves growing; procfs and cgroupfs say 0 or a page, so that it is only a hint.
 */
static size_t first_chunk(int fd)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size < READ_CHUNK)
		return READ_CHUNK;
	return st.st_size < READ_CHUNK_MAX ? (size_t)st.st_size + 1 : READ_CHUNK_MAX;
}

int skf_read_fd(int fd, size_t max, struct skf_buf *b)
{
	size_t start = b->len, chunk = first_chunk(fd), left;
	ssize_t r = 0;

	if (b->err)
		return b->err;
	left = max < b->max - b->len ? max : b->max - b->len;
	for (;;) {
		char probe, *p = &probe;
		size_t want = 1;

		if (left > 0) {
			want = chunk < left ? chunk : left;
			p = skf_buf_room(b, want);
			if (!p) {
				r = b->err;
				break;
			}
		}
		r = read_some(fd, p, want);
		if (r <= 0)
			break;
		if (left == 0) {
			r = -EFBIG;
			break;
		}
		b->len += (size_t)r;
		left -= (size_t)r;
		if (chunk < READ_CHUNK_MAX / 2)
			chunk *= 2;
	}
	if (r < 0)
		b->len = start;
	if (b->p)
		b->p[b->len] = 0;
	return r < 0 ? (int)r : 0;
}

/* O_NONBLOCK: opening a FIFO that nobody writes to must not hang; it reads as empty. */
int skf_read_file_at(int dirfd, const char *path, size_t max, struct skf_buf *b)
{
	SKF_AUTO_FD int fd = skf_openat(dirfd, path, O_RDONLY | O_NONBLOCK, 0);

	if (fd < 0)
		return fd;
	return skf_read_fd(fd, max, b);
}

int skf_write_existing_at(int dirfd, const char *path, const char *s)
{
	SKF_AUTO_FD int fd = skf_openat(dirfd, path, O_WRONLY | O_TRUNC, 0);
	size_t n = strlen(s);
	ssize_t r;

	if (fd < 0)
		return fd;
	do
		r = write(fd, s, n);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return skf_errno();
	return (size_t)r == n ? 0 : -EIO;
}

static int check_component(const char *name)
{
	size_t n = strlen(name);

	if (n == 0 || strchr(name, '/') || strcmp(name, ".") == 0 || strcmp(name, "..") == 0)
		return -EINVAL;
	return n > NAME_MAX ? -ENAMETOOLONG : 0;
}

static int fill_file(int fd, const void *p, size_t n, mode_t mode)
{
	int r = skf_write_full(fd, p, n);

	if (r < 0)
		return r;
	return skf_sys(fchmod(fd, mode)); /* the umask took bits away */
}

/* A temporary file beside `name`, written; *ret_fd and tmp are its. */
static int stage(int dirfd, const char *name, const void *p, size_t n, mode_t mode, char tmp[NAME_MAX + 1],
		 int *ret_fd)
{
	char rnd[17];
	int r = check_component(name), fd;

	if (r == 0)
		r = skf_random_hex(rnd, 8);
	if (r < 0)
		return r;
	snprintf(tmp, NAME_MAX + 1, ".%.*s.%s", NAME_MAX - 18, name, rnd);
	fd = skf_openat(dirfd, tmp, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, mode & 0700);
	if (fd < 0)
		return fd;
	r = fill_file(fd, p, n, mode);
	if (r < 0) {
		unlinkat(dirfd, tmp, 0); /* r tells why the write failed; a second failure adds nothing */
		skf_closep(&fd);
		return r;
	}
	*ret_fd = fd;
	return 0;
}

static int put_in_place(int dirfd, const char *tmp, const char *name, unsigned flags)
{
	int r;

	if (!(flags & SKF_NOREPLACE))
		return skf_sys(renameat(dirfd, tmp, dirfd, name));
	if (renameat2(dirfd, tmp, dirfd, name, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return skf_errno();
	/* NFS and some FUSE file systems know no RENAME_NOREPLACE; link(2) refuses an existing name as well.
	 */
	if (linkat(dirfd, tmp, dirfd, name, 0) < 0)
		return skf_errno();
	r = skf_sys(unlinkat(dirfd, tmp, 0));
	return r;
}

static int sync_dir(int dirfd)
{
	SKF_AUTO_FD int fd = skf_openat(dirfd, ".", O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0)
		return fd;
	return skf_sys(fsync(fd));
}

int skf_write_atomic_at(int dirfd, const char *name, const void *p, size_t n, mode_t mode, unsigned flags)
{
	SKF_AUTO_FD int fd = -EBADF;
	char tmp[NAME_MAX + 1];
	int r = stage(dirfd, name, p, n, mode, tmp, &fd);

	if (r < 0)
		return r;
	if ((flags & SKF_SYNC) && fsync(fd) < 0)
		r = -errno;
	if (r == 0)
		r = put_in_place(dirfd, tmp, name, flags);
	if (r < 0) {
		unlinkat(dirfd, tmp, 0); /* r tells why the write failed; a second failure adds nothing */
		return r;
	}
	return flags & SKF_SYNC ? sync_dir(dirfd) : 0;
}

struct staged {
	int fd;
	char tmp[NAME_MAX + 1]; /* "": it has its name, or was not made */
};

/* The disk begins with all of them, so that the first sync finds the others done; what fails at that fails
 * again, and is told, in the sync. */
static int sync_staged(const struct staged *t, size_t n)
{
	for (size_t i = 0; i < n; i++)
		(void)!sync_file_range(t[i].fd, 0, 0, SYNC_FILE_RANGE_WRITE);
	for (size_t i = 0; i < n; i++)
		if (fsync(t[i].fd) < 0)
			return -errno;
	return 0;
}

static bool same_dir(int a, int b)
{
	struct stat x, y;

	return fstat(a, &x) == 0 && fstat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

static int name_staged(const struct skf_new_file *v, struct staged *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int r = put_in_place(v[i].dirfd, t[i].tmp, v[i].name, v[i].flags);

		if (r == -EEXIST)
			continue; /* the caller's loop removes the temporary file */
		if (r < 0)
			return r;
		t[i].tmp[0] = 0;
	}
	for (size_t i = 0; i < n; i++) {
		bool seen = false;
		int r;

		for (size_t k = 0; k < i; k++)
			seen |= same_dir(v[k].dirfd, v[i].dirfd);
		r = seen ? 0 : sync_dir(v[i].dirfd);
		if (r < 0)
			return r;
	}
	return 0;
}

int skf_write_files(const struct skf_new_file *v, size_t n)
{
	struct staged t[SKF_NEW_FILES_MAX];
	size_t made = 0;
	int r = n > SKF_NEW_FILES_MAX ? -E2BIG : 0;

	for (; r == 0 && made < n; made += r == 0)
		r = stage(v[made].dirfd, v[made].name, v[made].p, v[made].n, 0600, t[made].tmp, &t[made].fd);
	if (r == 0)
		r = sync_staged(t, n);
	if (r == 0)
		r = name_staged(v, t, n);
	for (size_t i = 0; i < made; i++) {
		if (t[i].tmp[0])
			unlinkat(v[i].dirfd, t[i].tmp, 0); /* r tells what failed */
		skf_closep(&t[i].fd);
	}
	return r;
}

int skf_mkdir_at(int dirfd, const char *path, mode_t mode)
{
	struct stat st;

	if (mkdirat(dirfd, path, mode) == 0)
		return 0;
	if (errno != EEXIST)
		return skf_errno();
	if (fstatat(dirfd, path, &st, 0) < 0)
		return skf_errno();
	return S_ISDIR(st.st_mode) ? 0 : -ENOTDIR;
}

/* One step of mkdir -p: the component that *path begins with; *path moves behind it. */
static int mkdir_step(int at, const char **path, mode_t mode, int *ret_fd)
{
	size_t n = strcspn(*path, "/");
	char name[NAME_MAX + 1];
	int fd;

	if (n > NAME_MAX)
		return -ENAMETOOLONG;
	memcpy(name, *path, n);
	name[n] = 0;
	*path += n + strspn(*path + n, "/");
	if (mkdirat(at, name, mode) < 0 && errno != EEXIST && errno != EROFS && errno != EACCES)
		return skf_errno();
	fd = skf_openat(at, name, (**path ? O_PATH : O_RDONLY) | O_DIRECTORY, 0);
	if (fd < 0)
		return fd;
	*ret_fd = fd;
	return 0;
}

int skf_mkdirs_at(int dirfd, const char *path, mode_t mode)
{
	SKF_AUTO_FD int at = -EBADF;
	int r = skf_openat(dirfd, path, O_RDONLY | O_DIRECTORY, 0);

	if (r != -ENOENT || !*path)
		return r;
	at = *path == '/' ? skf_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0)
			  : skf_openat(dirfd, ".", O_PATH | O_DIRECTORY, 0);
	if (at < 0)
		return at;
	path += strspn(path, "/");
	while (*path) {
		int next = -EBADF;

		r = mkdir_step(at, &path, mode, &next);
		if (r < 0)
			return r;
		skf_closep(&at);
		at = next;
	}
	return SKF_TAKE_FD(at);
}
