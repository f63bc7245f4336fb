/* monitor/event.c -- the event log: one line, one O_APPEND write, so that writers need no lock among
 * themselves (a write below a page to a regular file is not torn by another append). Rotation renames under
 * a lock; a writer that opened the file just before lands in log.1, which readers finish before they go on.
 * Blocks on tmpfs only; nothing allocates. */
#include "monitor/event.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/json.h"
#include "base/limits.h"
#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#define ROTATE_BYTES (4u << 20)

static void rotate(int dir, int fd)
{
	SKF_AUTO_FD int lock = -EBADF;
	struct stat st, now;

	if (fstat(fd, &st) < 0 || st.st_size < ROTATE_BYTES)
		return;
	/* Busy: somebody else is rotating. Any failure here only means that the file grows until the next
	 * event. */
	lock = skf_lock_at(dir, "lock", true, 0);
	if (lock < 0 || fstatat(dir, "log.0", &now, AT_SYMLINK_NOFOLLOW) < 0 || now.st_ino != st.st_ino)
		return;
	(void)renameat(dir, "log.0", dir, "log.1");
}

static int append(int run_root_fd, const struct skf_buf *b)
{
	SKF_AUTO_FD int dir = skf_openat(run_root_fd, "events", O_RDONLY | O_DIRECTORY, 0), fd = -EBADF;
	ssize_t r;

	if (dir == -ENOENT)
		dir = skf_mkdirs_at(run_root_fd, "events", 0700);
	if (dir < 0)
		return dir;
	fd = skf_openat(dir, "log.0", O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fd;
	do
		r = write(fd, b->p, b->len);
	while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	rotate(dir, fd);
	return (size_t)r == b->len ? 0 : -EIO;
}

int skf_event_emit(int run_root_fd, const char *type, const char *action, const char *id, const char *name,
		   const char *image, int exit_code)
{
	char line[SKF_MAX_EVENT_BYTES + 1];
	struct skf_buf b = {.p = line, .cap = sizeof(line), .max = sizeof(line) - 1};
	struct skf_jw w = SKF_JW(&b);

	skf_jw_obj(&w);
	skf_jw_kint(&w, "v", 1);
	skf_jw_kint(&w, "time", skf_now_ns());
	skf_jw_kstr(&w, "type", type);
	skf_jw_kstr(&w, "action", action);
	skf_jw_kstr(&w, "id", id);
	skf_jw_kstr(&w, "name", name);
	skf_jw_kstr(&w, "image", image);
	if (exit_code >= 0)
		skf_jw_kint(&w, "exitCode", exit_code);
	skf_jw_end(&w);
	skf_buf_chr(&b, '\n');
	return b.err ? b.err : append(run_root_fd, &b);
}
