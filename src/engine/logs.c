/* engine/logs.c -- reading docker's json-file log: the rotated files, compressed or not, oldest first, then
 * the current one, then, with follow, what comes.
 *
 * Follow waits on two things, never on a timer: inotify of the log directory and the monitor's socket, which
 * tells of the end. A rotation is noticed by the name meaning another file than the one that is open; the
 * old one is read to its end first, and those that came and went meanwhile are next. A line that is still
 * being written (no newline yet) is kept until it is whole. */
#include "engine/archive_int.h"
#include "engine/log_int.h"
#include "engine/logline.h"
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define CHUNK (64u << 10)
/* 16 KiB of text, each byte escaped to six, and the rest of the object */
#define MAX_LINE  (8u * SKF_LOG_LINE)
#define MAX_FILES 1000

struct reader {
	const struct skf_logs_req *q;
	int dir; /* containers/<id>/log */
	int (*parse)(const char *p, size_t n, struct skf_logline *ret, struct skf_buf *text);
	char base[SKF_ID_LEN + 16];
	int fd; /* file being read; -EBADF */
	off_t off;
	struct skf_buf pending; /* an unfinished line */
	struct skf_buf text, detailed;
	bool stop; /* until_ns was passed */
	struct skf_engine *g;
	struct { /* all that there is, [0] the newest: opened together, so that a rotation in between changes
		    nothing */
		int fd;
		bool packed;
	} * files;
	unsigned n_files;
};

static int file_name(const struct reader *r, unsigned i, char out[SKF_ID_LEN + 32])
{
	return i ? skf_fmt(out, SKF_ID_LEN + 32, "%s.%u", r->base, i)
		 : skf_fmt(out, SKF_ID_LEN + 32, "%s", r->base);
}

static int open_file(const struct reader *r, unsigned i)
{
	char name[SKF_ID_LEN + 32];

	if (file_name(r, i, name) < 0)
		return -ENAMETOOLONG;
	return skf_openat(r->dir, name, O_RDONLY | O_NOFOLLOW, 0);
}

static int give_line(struct reader *r, const char *p, size_t n, struct skf_err *e)
{
	const struct skf_logs_req *q = r->q;
	struct skf_logline l;

	skf_buf_clear(&r->text);
	if (r->parse(p, n, &l, &r->text) < 0)
		return 0; /* a torn line of a machine that went down: nothing in it can be trusted */
	if (q->until_ns && l.time_ns > q->until_ns) {
		r->stop = true;
		return 0;
	}
	if ((q->since_ns && l.time_ns < q->since_ns) || (l.stream == 1 ? !q->out : !q->err_))
		return 0;
	if (q->details) {
		skf_buf_clear(&r->detailed);
		skf_log_details(l.attrs, l.n_attrs, &r->detailed);
		skf_buf_put(&r->detailed, skf_buf_cstr(&r->text), r->text.len);
		return r->detailed.err < 0
			       ? skf_fail_sys(e, r->detailed.err, "put a line of the log together")
			       : q->line(q->arg, l.stream, l.time_ns, skf_buf_cstr(&r->detailed),
					 r->detailed.len, e);
	}
	return q->line(q->arg, l.stream, l.time_ns, skf_buf_cstr(&r->text), r->text.len, e);
}

static int give_lines(struct reader *r, const char *p, size_t n, struct skf_err *e)
{
	const char *end = p + n, *nl;

	while (p < end && !r->stop && (nl = memchr(p, '\n', (size_t)(end - p)))) {
		int x;

		if (r->pending.len) {
			skf_buf_put(&r->pending, p, (size_t)(nl - p));
			x = give_line(r, skf_buf_cstr(&r->pending), r->pending.err ? 0 : r->pending.len, e);
			skf_buf_clear(&r->pending);
		} else {
			x = give_line(r, p, (size_t)(nl - p), e);
		}
		if (x < 0)
			return -1;
		p = nl + 1;
	}
	if (p < end && !r->stop)
		skf_buf_put(
			&r->pending, p,
			(size_t)(end -
				 p)); /* too long: the error stays and the line is dropped when it ends */
	return 0;
}

static int read_to_end(struct reader *r, struct skf_err *e)
{
	char buf[CHUNK];
	struct stat st;
	ssize_t n;

	if (r->fd >= 0 && fstat(r->fd, &st) == 0 && st.st_size < r->off) {
		r->off = 0; /* a single file that is emptied when it is full */
		skf_buf_clear(&r->pending);
	}
	while (r->fd >= 0 && !r->stop) {
		n = pread(r->fd, buf, sizeof(buf), r->off);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return skf_fail_sys(e, -errno, "read the log '%s'", r->base);
		if (n == 0)
			break;
		r->off += n;
		if (give_lines(r, buf, (size_t)n, e) < 0)
			return -1;
	}
	return 0;
}

static void switch_to(struct reader *r, int *fd_own, off_t off)
{
	skf_closep(&r->fd);
	r->fd = SKF_TAKE_FD(*fd_own);
	r->off = off;
	skf_buf_clear(&r->pending);
}

/* Where the last `want` lines of a file begin; *want becomes what is still missing. */
static int tail_offset(int fd, int64_t *want, off_t *ret)
{
	char buf[CHUNK];
	struct stat st;
	off_t end;
	int64_t seen = 0;

	if (fstat(fd, &st) < 0)
		return -errno;
	end = st.st_size;
	while (end > 0) {
		size_t n = end > (off_t)sizeof(buf) ? sizeof(buf) : (size_t)end;
		ssize_t got = pread(fd, buf, n, end - (off_t)n);

		if (got != (ssize_t)n)
			return got < 0 ? -errno : -EIO; /* rotated while we count */
		for (size_t i = n; i-- > 0;) {
			if (buf[i] != '\n')
				continue;
			if (seen == *want) {
				*ret = end - (off_t)n + (off_t)i + 1;
				*want = 0;
				return 0;
			}
			seen++;
		}
		end -= (off_t)n;
	}
	*ret = 0;
	*want -= seen < *want ? seen : *want;
	return 0;
}

static int open_packed(const struct reader *r, unsigned i)
{
	char name[SKF_ID_LEN + 40];

	if (!i || skf_fmt(name, sizeof(name), "%s.%u.gz", r->base, i) < 0)
		return -ENOENT;
	return skf_openat(r->dir, name, O_RDONLY | O_NOFOLLOW, 0);
}

static int open_all(struct reader *r, struct skf_err *e)
{
	SKF_AUTO_FD int lock = -EBADF;
	int fd;

	r->files = calloc(MAX_FILES, sizeof(*r->files));
	if (!r->files)
		return skf_fail(e, SKF_ENOMEM, "memory for the list of log files");
	if (faccessat(r->dir, SKF_LOG_LOCK, F_OK, AT_SYMLINK_NOFOLLOW) == 0 &&
	    (lock = skf_lock_at(r->dir, SKF_LOG_LOCK, false, SKF_LOCK_MS)) < 0)
		return skf_fail_sys(e, lock, "lock the log '%s'", r->base);
	for (; r->n_files < MAX_FILES; r->n_files++) {
		bool packed = false;

		fd = open_file(r, r->n_files);
		if (fd == -ENOENT) {
			packed = true;
			fd = open_packed(r, r->n_files);
		}
		if (fd == -ENOENT)
			return 0;
		if (fd < 0)
			return skf_fail_sys(e, fd, "open the log '%s'", r->base);
		r->files[r->n_files].fd = fd;
		r->files[r->n_files].packed = packed;
	}
	return 0;
}

static void close_all(struct reader *r)
{
	for (unsigned i = 0; r->files && i < r->n_files; i++)
		skf_closep(&r->files[i].fd);
	free(r->files);
	r->files = NULL;
	r->n_files = 0;
}

/* One that can be read from any place: what is compressed is unpacked into a file without a name. */
static int plain_file(struct reader *r, unsigned i, int *ret, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;

	if (r->files[i].packed) {
		fd = skf_openat(r->dir, ".", O_RDWR | O_TMPFILE, 0600);
		if (fd < 0)
			return skf_fail_sys(e, fd, "make a temporary file beside the log '%s'", r->base);
		if (skf_archive_squeeze(r->g, SKF_SQUEEZE_AS_IS, r->files[i].fd, fd, e) < 0)
			return skf_ctx(e, "unpack the log '%s.%u.gz'", r->base, i);
		skf_closep(&r->files[i].fd);
		r->files[i].fd = SKF_TAKE_FD(fd);
		r->files[i].packed = false;
	}
	*ret = r->files[i].fd;
	return 0;
}

/* Number of files, and where to begin: file index (0 current) and offset. */
static int find_begin(struct reader *r, unsigned *ret_file, off_t *ret_off, struct skf_err *e)
{
	int64_t want = r->q->tail;
	unsigned i;
	off_t off = 0;

	for (i = 0; i < r->n_files; i++) {
		int x, fd;

		if (want < 0)
			continue;
		if (plain_file(r, i, &fd, e) < 0)
			return -1;
		x = tail_offset(fd, &want, &off);
		if (x < 0)
			return skf_fail_sys(e, x, "read the log '%s'", r->base);
		if (want == 0) {
			*ret_file = i;
			*ret_off = off;
			return 0;
		}
	}
	*ret_file = i ? i - 1 : 0;
	*ret_off = 0;
	return 0;
}

static int read_existing(struct reader *r, struct skf_err *e)
{
	unsigned i = 0;
	off_t off = 0;

	if (open_all(r, e) < 0 || find_begin(r, &i, &off, e) < 0)
		return -1;
	for (; r->n_files; i--, off = 0) {
		int fd;

		if (plain_file(r, i, &fd, e) < 0)
			return -1;
		switch_to(r, &r->files[i].fd, off);
		if (read_to_end(r, e) < 0)
			return -1;
		if (i == 0 || r->stop)
			return 0;
	}
	return 0;
}

/* Which of the files that were opened just now the one that is being read has become; n_files: it is there
 * no more. */
static unsigned number_of(const struct reader *r, const struct stat *of)
{
	unsigned i = 0;

	for (; i < r->n_files; i++) {
		struct stat st;
		uint64_t was;

		if (fstat(r->files[i].fd, &st) < 0)
			continue;
		if (!r->files[i].packed && st.st_ino == of->st_ino && st.st_dev == of->st_dev)
			break;
		if (r->files[i].packed && st.st_mtim.tv_sec == of->st_mtim.tv_sec &&
		    st.st_mtim.tv_nsec == of->st_mtim.tv_nsec &&
		    (fgetxattr(r->files[i].fd, SKF_LOG_WAS, &was, sizeof(was)) != sizeof(was) ||
		     was == of->st_ino))
			break;
	}
	return i;
}

/* What the name means now, when it is another file than the open one; all that were rotated since come in
 * between. */
static int follow_rotation(struct reader *r, struct skf_err *e)
{
	struct stat a, b;
	unsigned i;

	if (r->fd >= 0 && fstat(r->fd, &a) == 0 && fstatat(r->dir, r->base, &b, AT_SYMLINK_NOFOLLOW) == 0 &&
	    a.st_ino == b.st_ino && a.st_dev == b.st_dev)
		return 0;
	close_all(r);
	if (open_all(r, e) < 0 || r->n_files == 0 || read_to_end(r, e) < 0)
		return r->n_files == 0 && e->kind == SKF_OK ? 0 : -1;
	i = r->fd >= 0 && fstat(r->fd, &a) == 0 ? number_of(r, &a) : r->n_files;
	while (i-- > 0 && !r->stop) {
		int fd;

		if (plain_file(r, i, &fd, e) < 0)
			return -1;
		switch_to(r, &r->files[i].fd, 0);
		if (read_to_end(r, e) < 0)
			return -1;
	}
	return 0;
}

static void drop_events(int ino)
{
	char buf[4096] __attribute__((aligned(8)));

	while (read(ino, buf, sizeof(buf)) > 0)
		; /* which event it was does not matter: the files say what is new */
}

static int follow(struct skf_engine *g, struct reader *r, const char *id, struct skf_err *e)
{
	SKF_AUTO_FD int ino = inotify_init1(IN_CLOEXEC | IN_NONBLOCK), sock = -EBADF;
	struct skf_mon_exit x;
	struct skf_ctr_live l;
	char path[64];
	bool ended = false;

	snprintf(path, sizeof(path), "/proc/self/fd/%d", r->dir);
	if (ino < 0 ||
	    inotify_add_watch(ino, path, IN_MODIFY | IN_CREATE | IN_MOVED_TO | IN_DELETE_SELF) < 0)
		return skf_fail_sys(e, -errno, "watch the log '%s'", r->base);
	if (skf_ctr_live(g, id, &l, e) < 0)
		return -1;
	ended = !skf_ctr_is_up(l.state);
	if (!ended && (skf_ctr_monitor(g, id, &sock, e) < 0 || skf_mon_wait(sock, id, 0, &x, e) < 0)) {
		if (e->kind != SKF_ETIMEOUT && e->kind != SKF_EUNAVAILABLE)
			return -1;
		ended = e->kind == SKF_EUNAVAILABLE;
		skf_err_clear(e);
	}
	while (!r->stop) {
		struct pollfd p[3] = {{.fd = ino, .events = POLLIN},
				      {.fd = sock, .events = POLLIN},
				      {.fd = r->q->h.cancel_fd, .events = POLLIN}};

		if (read_to_end(r, e) < 0 || follow_rotation(r, e) < 0)
			return -1;
		if (ended || r->stop)
			return 0;
		if (poll(p, 3, -1) < 0 && errno != EINTR)
			return skf_fail_sys(e, -errno, "wait for the log '%s'", r->base);
		if (p[2].revents)
			return 0;
		ended = p[1].revents != 0; /* the exit or the monitor's own end: everything is written */
		drop_events(ino);
	}
	return 0;
}

/* By the driver that the container was made with. */
static int name_log(struct skf_engine *g, const char *id, struct reader *r, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_ctrconf *c;
	bool k8s;
	int n;

	if (skf_ctr_load(g, id, &a, &c, e) < 0)
		return -1;
	k8s = skf_streq(c->log_driver, "k8s-file");
	if (!k8s && !skf_streq(c->log_driver, "json-file") && !skf_streq(c->log_driver, "local"))
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"configured logging driver does not support reading: container '%.12s' has %s%s%s",
			id, c->log_driver,
			skf_streq(c->log_driver, "journald") ? "; ask journalctl CONTAINER_ID_FULL=" : "",
			skf_streq(c->log_driver, "journald") ? id : "");
	r->parse = k8s ? skf_logline_parse_k8s : skf_logline_parse;
	n = skf_fmt(r->base, sizeof(r->base), k8s ? "%s.log" : "%s-json.log", id);
	return n < 0 ? skf_fail_sys(e, n, "name the log of container '%.12s'", id) : 0;
}

int skf_engine_logs(struct skf_engine *g, const struct skf_logs_req *q, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];
	SKF_AUTO_FD int dir = -EBADF, log = -EBADF;
	struct reader r = {.q = q,
			   .g = g,
			   .parse = skf_logline_parse,
			   .fd = -EBADF,
			   .pending = SKF_BUF(MAX_LINE),
			   .text = SKF_BUF(MAX_LINE),
			   .detailed = SKF_BUF(2 * MAX_LINE)};
	int x;

	if (skf_engine_resolve(g, q->container, id, e) < 0 || skf_ctr_open_dir(g, id, &dir, e) < 0)
		return -1;
	log = skf_openat(dir, "log", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (log < 0)
		return skf_fail_sys(e, log, "open the log directory of container '%.12s'", id);
	r.dir = log;
	x = name_log(g, id, &r, e);
	if (x < 0)
		return -1;
	x = read_existing(&r, e);
	if (x == 0 && q->follow)
		x = follow(g, &r, id, e);
	skf_closep(&r.fd);
	close_all(&r);
	skf_buf_done(&r.pending);
	skf_buf_done(&r.text);
	skf_buf_done(&r.detailed);
	return x;
}
