/* monitor/log.c -- the container's output as log entries: cut into lines, given to the log driver. A driver
 * is one row of a table: it either formats entries for a file (json-file, k8s-file), or sends each
 * (journald, syslog).
 *
 * Invariants: (1) an entry is at most SKF_LOG_LINE bytes of output; the pieces of a longer line carry the
 * time of the first one and only the last of them ends in \n, as docker writes them; (2) a file holds whole
 * entries only: a write that fails half-way is cut off again; (3) a file is rotated between two entries,
 * never inside one; (4) a log that cannot be written never stops the container. In the mode "blocking" this
 * blocks on the disk; "non-blocking" has a process of its own for that (log_writer.c).
 *
 * Compression (--log-opt compress=true) is nothing for a supervisor of some KB, nor for the moment of a
 * rotation: a rotated file is a file like any other, and `skiff system squeeze-logs` is started beside to
 * make <log>.N.gz of it (engine/log_squeeze.c). It gives the file its name under the lock log/lock; a
 * rotation takes that lock, too, and waits for the next entry when it is held. One at a time: what it does
 * not find any more the next one takes. */
#include "monitor/monitor_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/proc.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define ENTRY_OVERHEAD 128 /* keys, stream, time */

static const struct skf_mon_logdrv *const drivers[] = {[SKF_LOGD_JSON_FILE] = &skf_mon_log_json,
						       [SKF_LOGD_K8S_FILE] = &skf_mon_log_k8s,
						       [SKF_LOGD_JOURNALD] = &skf_mon_log_journald,
						       [SKF_LOGD_SYSLOG] = &skf_mon_log_syslog};

const struct skf_mon_logdrv *skf_mon_log_driver(uint32_t number)
{
	return number < SKF_ARRAY_LEN(drivers) ? drivers[number] : NULL;
}

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

void skf_mon_log_complain(struct skf_monitor *m, int r, const char *what)
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

	if (l->buf.len == 0 || l->pipe >= 0)
		return;
	r = skf_write_full(l->fd, l->buf.p, l->buf.len);
	skf_buf_clear(&l->buf);
	if (r == 0) {
		l->complained = false;
		return;
	}
	skf_mon_log_complain(
		m, r, "write the container's log: entries are lost; free space on its disk; ignoring");
	if (ftruncate(l->fd, (off_t)before) < 0)
		skf_mon_log_complain(m, -errno,
				     "cut a half-written entry off the container's log; ignoring");
	l->size = before;
}

static int name_of(const struct skf_mon_log *l, unsigned nr, const char *form, char *out, size_t size)
{
	return nr ? skf_fmt(out, size, "log/%s%s.%u%s", l->id, l->drv->suffix, nr, form)
		  : skf_fmt(out, size, "log/%s%s%s", l->id, l->drv->suffix, form);
}

/* A file of one form gets the next number. One of the other form that has it is older, and has been renamed
 * or is one too many. */
static int shift_file(const struct skf_mon_log *l, unsigned nr, const char *form)
{
	char from[SKF_ID_LEN + 40], to[SKF_ID_LEN + 40];

	if (name_of(l, nr - 1, form, from, sizeof(from)) < 0 || name_of(l, nr, form, to, sizeof(to)) < 0)
		return -ENAMETOOLONG;
	if (renameat(l->dir, from, l->dir, to) == 0)
		return 0;
	if (errno != ENOENT)
		return -errno;
	return l->squeeze && unlinkat(l->dir, to, 0) < 0 && errno != ENOENT ? -errno : 0;
}

/* <log>.1 is the newest of the older files; max_file counts the current one. */
static int shift_files(const struct skf_mon_log *l)
{
	int r = 0;

	for (unsigned nr = l->max_file - 1; nr > 0 && r == 0; nr--) {
		r = shift_file(l, nr, "");
		if (r == 0 && l->squeeze)
			r = shift_file(l, nr, ".gz");
	}
	return r;
}

static void squeeze(struct skf_monitor *m)
{
	struct skf_mon_log *l = &m->log;
	const char *argv[] = {m->h.reaper, "--root",       m->h.root, "--run-root", m->h.run_root,
			      "system",    "squeeze-logs", m->h.id,   NULL};
	const char *envp[] = {"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", NULL};
	const struct skf_spawn s = {.path = m->h.reaper,
				    .argv = (char *const *)argv,
				    .envp = (char *const *)envp,
				    .stdio = {-1, -1, -1},
				    .cwd = "/",
				    .new_session = true};
	pid_t pid = 0;
	int r;

	if (l->squeezer > 0 && waitpid(l->squeezer, NULL, WNOHANG) == 0)
		return;
	r = skf_spawn(&s, &pid, NULL);
	l->squeezer = r < 0 ? 0 : pid;
	if (r < 0)
		skf_mon_log_complain(
			m, r, "start the compression of the container's log: it stays as it is; ignoring");
}

int skf_mon_log_open(struct skf_mon_log *l, int flags)
{
	char name[SKF_ID_LEN + 40];
	int r = name_of(l, 0, "", name, sizeof(name));

	if (r == 0)
		r = skf_openat(l->dir, name, O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | flags, 0640);
	if (r < 0)
		return r;
	skf_closep(&l->fd);
	l->fd = r;
	return 0;
}

void skf_mon_log_rotate(struct skf_monitor *m)
{
	struct skf_mon_log *l = &m->log;
	SKF_AUTO_FD int lock = l->squeeze ? skf_lock_at(l->dir, "log/lock", true, 0) : -EBADF;
	int r;

	if (lock == -EAGAIN)
		return; /* for a moment: the next entry tries again */
	skf_mon_log_flush(m);
	r = l->squeeze && lock < 0 ? lock : l->max_file > 1 ? shift_files(l) : 0;
	if (r == 0)
		r = skf_mon_log_open(l, O_TRUNC);
	skf_closep(&lock);
	if (r == 0) {
		l->size = 0;
		if (l->squeeze)
			squeeze(m);
	} else
		skf_mon_log_complain(m, r,
				     "rotate the container's log: it grows beyond its limit; ignoring");
	l->rotate_at =
		l->size +
		l->max_size; /* after a failure: the next attempt is max_size bytes away, not one entry */
}

static void put_entry(struct skf_monitor *m, unsigned stream, const char *p, const struct skf_mon_cut *c)
{
	struct skf_mon_log *l = &m->log;
	int64_t now = l->partial_ns[stream] ? l->partial_ns[stream] : skf_now_ns();
	size_t before;

	l->partial_ns[stream] = c->newline ? 0 : now;
	if (l->drv->send) {
		l->drv->send(m, stream, p, c, now);
		return;
	}
	if (l->pipe >= 0) {
		skf_mon_log_offer(m, stream, p, c, now);
		return;
	}
	if (l->rotate_at && l->size >= l->rotate_at)
		skf_mon_log_rotate(m);
	if (l->buf.max - l->buf.len < 6 * c->len + ENTRY_OVERHEAD + sizeof(m->h.log_opts))
		skf_mon_log_flush(m);
	before = l->buf.len;
	l->drv->format(&l->buf, stream, p, c, now, m->h.log_opts);
	l->size += l->buf.len - before;
}

size_t skf_mon_log_lines(struct skf_monitor *m, unsigned stream, const char *p, size_t n, bool eof)
{
	struct skf_mon_cut c;
	size_t used = 0;

	if (!m->log.drv || (m->log.drv->format && m->log.fd < 0))
		return n;
	while (skf_mon_log_cut(p + used, n - used, eof, &c)) {
		put_entry(m, stream, p + used, &c);
		used += c.used;
	}
	skf_mon_log_flush(m);
	return used;
}
