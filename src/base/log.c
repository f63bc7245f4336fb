/* base/log.c -- one line per message, put together on the stack and written by one write(2): usable between
 * clone3() and execve(). Control characters of a message are escaped in every form, so that a foreign name
 * in it can neither forge a line nor drive a terminal. */
#include "base/log.h"
#include "base/base_int.h"
#include "base/buf.h"
#include "base/err.h"
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define LINE_SIZE 4096
#define TAIL_MAX  64 /* closing quote, time and newline */

struct line {
	char p[LINE_SIZE];
	size_t n;
};

static const char *const level_names[] = {
	[SKF_LOG_ERROR] = "error",
	[SKF_LOG_WARN] = "warning",
	[SKF_LOG_INFO] = "info",
	[SKF_LOG_DEBUG] = "debug",
};

static const char *level_name(int level)
{
	return level >= SKF_LOG_ERROR && level <= SKF_LOG_DEBUG ? level_names[level] : "error";
}

static void put(struct line *l, const char *s, size_t n, size_t limit)
{
	if (n <= limit - l->n) {
		memcpy(l->p + l->n, s, n);
		l->n += n;
	}
}

static void puts_(struct line *l, const char *s)
{
	put(l, s, strlen(s), LINE_SIZE - 1);
}

static void put_quoted(struct line *l, const char *msg)
{
	const unsigned char *p = (const unsigned char *)msg;
	size_t left = strlen(msg), used, n;
	char c[8];

	while (left > 0 && l->n < LINE_SIZE - TAIL_MAX - sizeof(c)) {
		n = skf_json_escape_char(p, left, c, &used);
		put(l, c, n, LINE_SIZE - TAIL_MAX);
		p += used;
		left -= used;
	}
}

static void put_plain(struct line *l, const char *msg)
{
	char c[8];

	for (const unsigned char *p = (const unsigned char *)msg; *p && l->n < LINE_SIZE - sizeof(c); p++) {
		if ((*p >= 0x20 && *p != 0x7f) || *p == '\t') {
			l->p[l->n++] = (char)*p;
			continue;
		}
		if (*p == '\n')
			memcpy(c, "\\n", 3);
		else
			snprintf(c, sizeof(c), "\\x%02x", *p);
		puts_(l, c);
	}
}

static void write_line(int fd, const struct line *l)
{
	ssize_t r;

	/* A log that cannot be written has no other place to complain to. */
	do
		r = write(fd, l->p, l->n);
	while (r < 0 && errno == EINTR);
}

/* Plain text is safe in a datagram too: put_plain leaves no newline that could begin another field. */
static void build_datagram(struct line *l, const struct skf_log *log, int level, const char *msg)
{
	static const int priority[] = {
		[SKF_LOG_ERROR] = 3, [SKF_LOG_WARN] = 4, [SKF_LOG_INFO] = 6, [SKF_LOG_DEBUG] = 7};
	int p = level >= SKF_LOG_ERROR && level <= SKF_LOG_DEBUG ? priority[level] : 3;
	bool journal = log->sink == SKF_LOG_JOURNALD;
	char head[32];

	/* syslog: facility user (1) and no time: the daemon takes its own */
	if (journal)
		snprintf(head, sizeof(head), "PRIORITY=%d\n", p);
	else
		snprintf(head, sizeof(head), "<%d>", 8 + p);
	puts_(l, head);
	if (journal)
		puts_(l, "SYSLOG_IDENTIFIER=");
	if (log->prog)
		put(l, log->prog, strnlen(log->prog, 64), LINE_SIZE);
	if (journal) {
		puts_(l, "\nMESSAGE=");
	} else {
		snprintf(head, sizeof(head), "[%d]: ", (int)getpid());
		puts_(l, head);
	}
	put_plain(l, msg);
	if (journal)
		l->p[l->n++] = '\n';
}

static void build_line(struct line *l, const struct skf_log *log, int level, const char *msg)
{
	char t[36];

	if (log->sink != SKF_LOG_FILE) {
		build_datagram(l, log, level, msg);
		return;
	}
	if (log->json) {
		skf_time_rfc3339_s(skf_now_ns() / 1000000000, t);
		puts_(l, "{\"level\":\"");
		puts_(l, level_name(level));
		puts_(l, "\",\"msg\":\"");
		put_quoted(l, msg);
		puts_(l, "\",\"time\":\"");
		puts_(l, t);
		puts_(l, "\"}");
	} else if (log->prog) {
		put(l, log->prog, strnlen(log->prog, 64), LINE_SIZE);
		puts_(l, ": ");
		put_plain(l, msg);
	} else {
		skf_time_rfc3339_s(skf_now_ns() / 1000000000, t);
		puts_(l, "time=\"");
		puts_(l, t);
		puts_(l, "\" level=");
		puts_(l, level_name(level));
		puts_(l, " msg=\"");
		put_quoted(l, msg);
		puts_(l, "\"");
	}
	l->p[l->n++] = '\n';
}

void skf_logf(const struct skf_log *l, int level, const char *fmt, ...)
{
	int saved = errno;
	char msg[LINE_SIZE];
	struct line line;
	va_list ap;

	if (!l || l->fd < 0 || level > l->max)
		return;
	line.n = 0;
	va_start(ap, fmt);
	if (vsnprintf(msg, sizeof(msg), fmt, ap) < 0)
		msg[0] = 0;
	va_end(ap);
	build_line(&line, l, level, msg);
	write_line(l->fd, &line);
	errno = saved;
}

void skf_log_err(const struct skf_log *l, const struct skf_err *e)
{
	skf_logf(l, SKF_LOG_ERROR, "%s", e->msg[0] ? e->msg : "failed without an error message");
}
