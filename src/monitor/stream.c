/* monitor/stream.c -- bytes between the container and those who are attached.
 * Theory: per output there is one chunk. It is read, given to the log at once, and offered to every sink;
 * the next chunk is read when all sinks have this one. So a slow client slows the container down (as
 * docker's does) and a dead one (EPIPE, hang-up) is dropped. Inputs share one buffer: a source is read only
 * when the container has taken what came before. A pty master gives EIO while nobody has its peer open. That
 * is the end only when the process has ended: an init may close its terminal and open /dev/console again.
 * Until then the master is watched edge-triggered, because poll(2) would report the hang-up for ever.
 * Nothing here blocks. */
#include "monitor/monitor_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "sys/path.h"
#include <fcntl.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

int skf_mon_adopt_fd(int *fd_own, bool output, bool *ret_sock)
{
	SKF_AUTO_FD int fd = SKF_TAKE_FD(*fd_own);
	char path[32];
	struct stat st;
	int again;

	*ret_sock = false;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (S_ISSOCK(st.st_mode)) {
		*ret_sock = true;
		return SKF_TAKE_FD(fd);
	}
	if (!S_ISFIFO(st.st_mode) && !S_ISCHR(st.st_mode))
		return SKF_TAKE_FD(fd); /* a regular file never makes anybody wait */
	skf_path_of_fd(fd, path);
	again = skf_openat(AT_FDCWD, path, (output ? O_WRONLY : O_RDONLY) | O_NONBLOCK, 0);
	if (again >= 0)
		return again;
	/* Refused (a terminal of another user): for a pipe the shared flag does no harm; a terminal is left
	 * alone, poll tells when it is ready. */
	if (S_ISFIFO(st.st_mode))
		(void)skf_set_nonblock(fd, true);
	return SKF_TAKE_FD(fd);
}

int skf_mon_add_sink(struct skf_monitor *m, unsigned stream, int *fd_own)
{
	SKF_AUTO_FD int fd = SKF_TAKE_FD(*fd_own);
	struct skf_mon_sink *k = &m->sinks[m->n_sinks];
	bool sock;

	if (m->s[stream].fd < 0)
		return 0; /* nothing will ever come: closing it says so */
	if (m->n_sinks >= SKF_MON_MAX_SINKS)
		return -EUSERS;
	fd = skf_mon_adopt_fd(&fd, true, &sock);
	if (fd < 0)
		return fd;
	*k = (struct skf_mon_sink){SKF_TAKE_FD(fd), (uint8_t)stream, sock, m->s[stream].len};
	m->n_sinks++;
	return 0;
}

int skf_mon_add_source(struct skf_monitor *m, int *fd_own)
{
	SKF_AUTO_FD int fd = SKF_TAKE_FD(*fd_own);
	bool sock;

	if (m->h.in < 0)
		return 0;
	if (m->n_sources >= SKF_MAX_MONITOR_CLIENTS)
		return -EUSERS;
	fd = skf_mon_adopt_fd(&fd, false, &sock);
	if (fd < 0)
		return fd;
	m->sources[m->n_sources++] = (struct skf_mon_source){SKF_TAKE_FD(fd), sock};
	return 0;
}

static bool delivered(const struct skf_monitor *m, unsigned i)
{
	for (unsigned k = 0; k < m->n_sinks; k++)
		if (m->sinks[k].stream == i && m->sinks[k].fd >= 0 && m->sinks[k].done < m->s[i].len)
			return false;
	return true;
}

bool skf_mon_stream_ready(const struct skf_monitor *m, unsigned i)
{
	return m->s[i].fd >= 0 && delivered(m, i);
}

bool skf_mon_drained(const struct skf_monitor *m)
{
	return m->s[0].fd < 0 && m->s[1].fd < 0 && delivered(m, 0) && delivered(m, 1);
}

void skf_mon_stream_compact(struct skf_monitor *m, unsigned i)
{
	struct skf_mon_stream *s = &m->s[i];
	uint32_t left = s->len - s->next;

	if (!delivered(m, i))
		return;
	if (s->next > 0 && left > 0)
		memmove(s->buf, s->buf + s->next, left);
	s->held = s->len = left;
	s->next = 0;
	for (unsigned k = 0; k < m->n_sinks; k++)
		if (m->sinks[k].stream == i)
			m->sinks[k].done = s->len;
}

static void offer(struct skf_monitor *m, unsigned i)
{
	for (unsigned k = 0; k < m->n_sinks; k++)
		if (m->sinks[k].stream == i && m->sinks[k].fd >= 0)
			skf_mon_sink_write(m, &m->sinks[k]);
}

void skf_mon_stream_end(struct skf_monitor *m, unsigned i)
{
	struct skf_mon_stream *s = &m->s[i];

	if (s->fd < 0)
		return;
	if (s->tty) /* the same descriptor is the container's input */
		m->h.in = -EBADF;
	skf_closep(&s->fd);
	s->next += (uint32_t)skf_mon_log_lines(m, i, s->buf + s->next, s->len - s->next, true);
}

static void go_quiet(struct skf_monitor *m, struct skf_mon_stream *s)
{
	struct epoll_event ev = {.events = EPOLLIN | EPOLLET};
	int r = 0;

	s->quiet = true;
	if (m->tty_ep >= 0)
		return;
	m->tty_ep = epoll_create1(EPOLL_CLOEXEC);
	if (m->tty_ep < 0 || epoll_ctl(m->tty_ep, EPOLL_CTL_ADD, s->fd, &ev) < 0)
		r = -errno;
	if (r < 0)
		skf_mon_warn(m, r, "watch a terminal that nobody has open: later output is lost; ignoring");
}

static size_t chunk_size(const struct skf_mon_stream *s)
{
	size_t n = SKF_MON_STREAM_BUF - s->held;

	if (n > SKF_MON_CHUNK)
		n = SKF_MON_CHUNK;
	return s->capped && n > s->budget ? s->budget : n;
}

void skf_mon_stream_read(struct skf_monitor *m, unsigned i)
{
	struct skf_mon_stream *s = &m->s[i];
	ssize_t r;

	skf_mon_stream_compact(m, i);
	s->quiet = false;
	if (s->capped && s->budget == 0) {
		skf_mon_stream_end(m, i);
		return;
	}
	m->hot = true;
	r = read(s->fd, s->buf + s->held, chunk_size(s));
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (r < 0 && errno == EIO && s->tty && !m->exited) {
		go_quiet(m, s);
		return;
	}
	if (r <= 0) {
		skf_mon_stream_end(m, i);
		return;
	}
	s->len = s->held + (uint32_t)r;
	if (s->capped)
		s->budget -= (uint32_t)r;
	s->next = (uint32_t)skf_mon_log_lines(m, i, s->buf, s->len, false);
	offer(m, i);
}

void skf_mon_sink_write(struct skf_monitor *m, struct skf_mon_sink *k)
{
	const struct skf_mon_stream *s = &m->s[k->stream];
	ssize_t r;

	while (k->done < s->len) {
		const char *p = s->buf + k->done;
		size_t n = s->len - k->done;

		r = k->sock ? send(k->fd, p, n, MSG_DONTWAIT | MSG_NOSIGNAL) : write(k->fd, p, n);
		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EAGAIN)
			return;
		if (r <= 0) { /* its reader is gone; the container lives on */
			skf_closep(&k->fd);
			return;
		}
		k->done += (uint32_t)r;
	}
}

void skf_mon_stdin_close(struct skf_monitor *m)
{
	for (unsigned i = 0; i < m->n_sources; i++)
		skf_closep(&m->sources[i].fd);
	m->in.len = m->in.off = 0;
	if (m->h.in >= 0 && m->h.in != m->h.tty)
		skf_closep(&m->h.in);
	m->h.in = -EBADF;
}

/* The end of a client's input ends the container's when it was asked for (docker's StdinOnce; always for
 * exec). A terminal has no half-close. */
static void source_end(struct skf_monitor *m, struct skf_mon_source *k)
{
	skf_closep(&k->fd);
	if ((m->h.flags & SKF_MONH_STDIN_ONCE) && !(m->h.flags & SKF_MONH_TTY))
		skf_mon_stdin_close(m);
}

void skf_mon_source_read(struct skf_monitor *m, struct skf_mon_source *k)
{
	ssize_t r;

	if (m->h.in < 0 || m->in.len > m->in.off)
		return;
	m->hot = true;
	r = k->sock ? recv(k->fd, m->in.buf, SKF_MON_STDIN_BUF, MSG_DONTWAIT)
		    : read(k->fd, m->in.buf, SKF_MON_STDIN_BUF);
	if (r < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (r <= 0) {
		source_end(m, k);
		return;
	}
	m->in.off = 0;
	m->in.len = (uint32_t)r;
	skf_mon_stdin_write(m);
}

void skf_mon_stdin_write(struct skf_monitor *m)
{
	while (m->h.in >= 0 && m->in.off < m->in.len) {
		ssize_t r = write(m->h.in, m->in.buf + m->in.off, m->in.len - m->in.off);

		if (r < 0 && errno == EINTR)
			continue;
		if (r < 0 && errno == EAGAIN)
			return;
		if (r <= 0) { /* the container closed its input */
			skf_mon_stdin_close(m);
			return;
		}
		m->in.off += (uint32_t)r;
	}
}
