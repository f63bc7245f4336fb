/* monitor/log.c -- docker's json-file log: {"log":"line\n","stream":"stdout","time":"<RFC 3339 with
 * nanoseconds>"} per line. Invariants: (1) an entry is at most SKF_LOG_LINE bytes of output; the pieces of a
 * longer line carry the time of the first one and only the last of them ends in \n, as docker writes them;
 * (2) the file holds whole entries only: a write that fails half-way is cut off again; (3) a file is rotated
 * between two entries, never inside one; (4) a log that cannot be written never stops the container. Blocks
 * on the disk. */
#include "monitor/monitor_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/json.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define ENTRY_OVERHEAD 128 /* keys, stream, time */

int skf_mon_log_cut(const char *p, size_t n, bool eof, struct skf_mon_cut *ret)
{
	size_t window = n < SKF_LOG_LINE ? n : SKF_LOG_LINE;
	const char *nl = window ? memchr(p, '\n', window) : NULL;

	if (nl)
		*ret = (struct skf_mon_cut){(size_t)(nl - p), (size_t)(nl - p) + 1, true};
	else if (n >= SKF_LOG_LINE)
		*ret = (struct skf_mon_cut){SKF_LOG_LINE, SKF_LOG_LINE, false};
	else if (eof && n > 0)
		*ret = (struct skf_mon_cut){n, n, false};
	else
		return 0;
	return 1;
}

/* One complaint until a write works again: a full disk must not fill the other one with messages. */
static void complain(struct skf_monitor *m, int r, const char *what)
{
	if (!m->log.complained)
		skf_mon_warn(m, r, what);
	m->log.complained = true;
}

void skf_mon_log_flush(struct skf_monitor *m)
{
	struct skf_mon_log *l = &m->log;
	uint64_t before = l->size - l->buf.len;
	int r;

	if (l->buf.len == 0)
		return;
	r = skf_write_full(l->fd, l->buf.p, l->buf.len);
	skf_buf_clear(&l->buf);
	if (r == 0) {
		l->complained = false;
		return;
	}
	complain(m, r, "write the container's log: entries are lost; free space on its disk; ignoring");
	if (ftruncate(l->fd, (off_t)before) < 0)
		complain(m, -errno, "cut a half-written entry off the container's log; ignoring");
	l->size = before;
}

static int name_of(const struct skf_mon_log *l, unsigned nr, char *out, size_t size)
{
	return nr ? skf_fmt(out, size, "log/%s-json.log.%u", l->id, nr)
		  : skf_fmt(out, size, "log/%s-json.log", l->id);
}

/* <log>.1 is the newest of the older files; max_file counts the current one. */
static int shift_files(const struct skf_mon_log *l)
{
	char from[SKF_ID_LEN + 40], to[SKF_ID_LEN + 40];

	for (unsigned nr = l->max_file - 1; nr > 0; nr--) {
		if (name_of(l, nr - 1, from, sizeof(from)) < 0 || name_of(l, nr, to, sizeof(to)) < 0)
			return -ENAMETOOLONG;
		if (renameat(l->dir, from, l->dir, to) < 0 && errno != ENOENT)
			return -errno;
	}
	return 0;
}

static void rotate(struct skf_monitor *m)
{
	struct skf_mon_log *l = &m->log;
	char name[SKF_ID_LEN + 40];
	int r, fd;

	skf_mon_log_flush(m);
	r = l->max_file > 1 ? shift_files(l) : 0;
	if (r == 0)
		r = name_of(l, 0, name, sizeof(name));
	if (r == 0) {
		fd = skf_openat(l->dir, name, O_WRONLY | O_APPEND | O_CREAT | O_TRUNC | O_NOFOLLOW, 0640);
		r = fd < 0 ? fd : 0;
		if (r == 0) {
			skf_closep(&l->fd);
			l->fd = fd;
			l->size = 0;
		}
	}
	if (r < 0)
		complain(m, r, "rotate the container's log: it grows beyond its limit; ignoring");
	l->rotate_at =
		l->size +
		l->max_size; /* after a failure: the next attempt is max_size bytes away, not one entry */
}

static void put_entry(struct skf_monitor *m, unsigned stream, const char *p, const struct skf_mon_cut *c)
{
	struct skf_mon_log *l = &m->log;
	int64_t now = l->partial_ns[stream] ? l->partial_ns[stream] : skf_now_ns();
	char t[36];
	size_t before;

	if (l->rotate_at && l->size >= l->rotate_at)
		rotate(m);
	if (l->buf.max - l->buf.len < 6 * c->len + ENTRY_OVERHEAD)
		skf_mon_log_flush(m);
	before = l->buf.len;
	skf_time_rfc3339(now, t);
	skf_buf_str(&l->buf, "{\"log\":\"");
	skf_json_escape(&l->buf, p, c->len);
	skf_buf_str(&l->buf, c->newline ? "\\n\",\"stream\":\"" : "\",\"stream\":\"");
	skf_buf_str(&l->buf, stream == SKF_MON_STDERR ? "stderr\",\"time\":\"" : "stdout\",\"time\":\"");
	skf_buf_str(&l->buf, t);
	skf_buf_str(&l->buf, "\"}\n");
	l->size += l->buf.len - before;
	l->partial_ns[stream] = c->newline ? 0 : now;
}

size_t skf_mon_log_lines(struct skf_monitor *m, unsigned stream, const char *p, size_t n, bool eof)
{
	struct skf_mon_cut c;
	size_t used = 0;

	if (m->log.fd < 0)
		return n;
	while (skf_mon_log_cut(p + used, n - used, eof, &c)) {
		put_entry(m, stream, p + used, &c);
		used += c.used;
	}
	skf_mon_log_flush(m);
	return used;
}
