/* monitor/log_writer.c -- the mode "non-blocking": the container never waits for the disk. A child of the
 * monitor writes the files; between the two is a pipe of max-buffer-size bytes. An entry that finds no room
 * is dropped, whole, and counted; the count is an entry of its own in the stream before the next one that
 * fits, or at the end.
 *
 * Invariants: (1) what is in the pipe is a sequence of whole entries, so that the child rotates between two
 * of them; (2) entries written + entries dropped = entries of the container; (3) the child has none of the
 * monitor's other descriptors, and ends with the pipe: also when the monitor is killed, after what was in
 * the pipe is on the disk. Only the child blocks; the monitor waits for it at the end of the container, at
 * most SKF_DRAIN_MS. */
#include "monitor/monitor_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "sys/process.h"
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define MIN_PIPE 65536
#define READ_MAX (64u << 10)

/* --- the child --- */
/* Everything up to the last newline of buf[0..n): the bytes that were written. */
static size_t write_whole(struct skf_monitor *m, const char *buf, size_t n)
{
	struct skf_mon_log *l = &m->log;
	size_t done = 0;
	const char *nl;

	while (done < n && (nl = memchr(buf + done, '\n', n - done))) {
		size_t len = (size_t)(nl + 1 - (buf + done));

		if (l->rotate_at && l->size >= l->rotate_at)
			skf_mon_log_rotate(m);
		if (l->buf.max - l->buf.len < len)
			skf_mon_log_flush(m);
		skf_buf_put(&l->buf, buf + done, len);
		l->size += len;
		done += len;
	}
	skf_mon_log_flush(m);
	return done;
}

static void __attribute__((noreturn)) child(struct skf_monitor *m, int from)
{
	char *buf = m->s[0].buf; /* the streams' buffers, two of them in a row: nobody else uses them here */
	size_t len = 0, max = 2 * SKF_MON_STREAM_BUF;
	int keep[] = {from, m->log.fd, m->log.dir, m->h.run_dir};

	(void)prctl(PR_SET_NAME, "skiff-log");
	for (unsigned i = 0; i < SKF_ARRAY_LEN(keep);
	     i++) /* above all that will be closed, then down to 3, 4, 5, 6 */
		keep[i] = keep[i] < 0 ? -1 : fcntl(keep[i], F_DUPFD_CLOEXEC, 1000);
	for (unsigned i = 0; i < SKF_ARRAY_LEN(keep); i++)
		if (keep[i] >= 0)
			(void)dup3(keep[i], 3 + (int)i, O_CLOEXEC); /* onto numbers that are ours by now */
	(void)skf_close_from(3 + SKF_ARRAY_LEN(keep));
	m->log.fd = 4;
	m->log.dir = 5;
	m->h.run_dir = keep[3] < 0 ? -1 : 6;
	m->log.pipe = -EBADF;
	skf_buf_clear(&m->log.buf);
	for (;;) {
		ssize_t n = read(3, buf + len, max - len < READ_MAX ? max - len : READ_MAX);
		size_t done;

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			_exit(0);
		len += (size_t)n;
		done = write_whole(m, buf, len);
		if (done == 0 && len == max)
			done = len; /* cannot be: an entry is shorter than that */
		memmove(buf, buf + done, len - done);
		len -= done;
	}
}

/* --- the monitor --- */
void skf_mon_log_writer_start(struct skf_monitor *m)
{
	struct skf_mon_log *l = &m->log;
	int p[2], r = skf_pipe(p, 0);
	pid_t pid;

	if (r < 0) {
		skf_mon_warn(m, r, "make the pipe of a non-blocking log: it is written blocking; ignoring");
		return;
	}
	if (m->h.log_buffer > MIN_PIPE)
		(void)fcntl(p[1], F_SETPIPE_SZ,
			    (int)(m->h.log_buffer > (1u << 30)
					  ? (1u << 30)
					  : m->h.log_buffer)); /* what it has is its size */
	(void)skf_set_nonblock(p[1], true);                    /* a pipe of our own: cannot fail */
	pid = fork();
	if (pid == 0)
		child(m, p[0]);
	close(p[0]);
	if (pid < 0) {
		close(p[1]);
		skf_mon_warn(m, -EAGAIN,
			     "start the writer of a non-blocking log: it is written blocking; ignoring");
		return;
	}
	l->pipe = p[1];
	l->writer = pid;
}

/* The rest of an entry that went in half-way. 1: nothing is left of it. */
static int push_rest(struct skf_mon_log *l)
{
	ssize_t n;

	if (l->buf.len == 0)
		return 1;
	n = write(l->pipe, l->buf.p, l->buf.len);
	if (n <= 0)
		return 0; /* EAGAIN; EPIPE when somebody killed the writer: its entries are dropped and
			     counted */
	memmove(l->buf.p, l->buf.p + n, l->buf.len - (size_t)n);
	l->buf.len -= (size_t)n;
	return l->buf.len == 0;
}

/* 1 taken, 0 no room: nothing of it is in the pipe. */
static int push(struct skf_monitor *m, unsigned stream, const char *p, const struct skf_mon_cut *c,
		int64_t now)
{
	struct skf_mon_log *l = &m->log;

	if (!push_rest(l))
		return 0;
	l->drv->format(&l->buf, stream, p, c, now, m->h.log_opts);
	if (write(l->pipe, "", 0) == 0) {
		ssize_t n = write(l->pipe, l->buf.p, l->buf.len);

		if (n > 0) {
			memmove(l->buf.p, l->buf.p + n, l->buf.len - (size_t)n);
			l->buf.len -= (size_t)n;
			return 1;
		}
	}
	skf_buf_clear(&l->buf);
	return 0;
}

static int push_count(struct skf_monitor *m)
{
	struct skf_mon_log *l = &m->log;
	char text[96];
	struct skf_mon_cut c = {.newline = true};

	if (l->dropped == 0)
		return 1;
	c.len = (size_t)snprintf(
		text, sizeof(text),
		"skiff: %llu log entries were dropped here: the log was slower than the output",
		(unsigned long long)l->dropped);
	if (!push(m, SKF_MON_STDERR, text, &c, skf_now_ns()))
		return 0;
	l->dropped = 0;
	return 1;
}

void skf_mon_log_offer(struct skf_monitor *m, unsigned stream, const char *p, const struct skf_mon_cut *c,
		       int64_t now)
{
	struct skf_mon_log *l = &m->log;

	if (!push_count(m) || !push(m, stream, p, c, now))
		l->dropped++;
}

/* The rest and the count, as soon as there is room; then the writer has all. */
void skf_mon_log_writer_end(struct skf_monitor *m)
{
	struct skf_mon_log *l = &m->log;
	int64_t end = skf_mono_ms() + SKF_DRAIN_MS;
	SKF_AUTO_FD int pidfd = -EBADF;
	struct pollfd p = {.fd = l->pipe, .events = POLLOUT};

	if (l->pipe < 0)
		return;
	while (!(push_rest(l) && push_count(m) && l->buf.len == 0) && skf_mono_ms() < end)
		if (poll(&p, 1, (int)(end - skf_mono_ms())) <= 0 || p.revents & POLLERR)
			break;
	if (l->buf.len || l->dropped)
		skf_mon_warn(m, -ETIMEDOUT,
			     "write the end of a non-blocking log: its last entries are lost; ignoring");
	skf_buf_clear(&l->buf);
	pidfd = skf_pidfd_open(l->writer);
	skf_closep(&l->pipe);
	p = (struct pollfd){.fd = pidfd, .events = POLLIN};
	end = skf_mono_ms() + SKF_DRAIN_MS;
	if (pidfd >= 0)
		(void)poll(&p, 1, SKF_DRAIN_MS); /* a disk that takes longer goes on without us */
	(void)waitpid(l->writer, NULL, WNOHANG);
	(void)skf_mon_log_open(l, 0); /* it may have rotated: what still comes goes to the newest file */
	l->dropped = 0;
}
