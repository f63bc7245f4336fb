/* runtime/journal.c -- what the kernel does not clean up, one line per resource, in <root>/<id>/journal.
 *
 * Invariants:
 *  1. A line is one O_APPEND write made before (cgroup, scope, rdt) or right after (pid) the resource
 * exists; lines are never rewritten.
 *  2. A reader believes complete lines only: what a crash cut off named a resource that was not made yet.
 *  3. Unknown lines are ignored, so that an older program can delete what a newer one began.
 * Blocks on the state directory's file system. */
#include "runtime/runtime_int.h"
#include "base/proc.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define JOURNAL_MAX 65536

int skf_journal_add(int state_fd, const char *fmt, ...)
{
	char line[1024];
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vsnprintf(line, sizeof(line) - 1, fmt, ap);
	va_end(ap);
	if (n < 0 || (size_t)n >= sizeof(line) - 1)
		return -ENAMETOOLONG;
	line[n++] = '\n';

	SKF_AUTO_FD int fd =
		skf_openat(state_fd, "journal", O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW, 0600);
	if (fd < 0)
		return fd;
	return skf_write_full(fd, line, (size_t)n);
}

/* "cgroup <mode> <path>": the path is the rest of the line. */
static void parse_cgroup(const char *line, struct skf_journal *j)
{
	const char *path = strchr(line, ' ');

	if (!path || path[1] != '/' || strlen(path + 1) >= sizeof(j->cgroup))
		return;
	memcpy(j->cgroup, path + 1, strlen(path + 1) + 1);
	j->has_cgroup = true;
}

/* The rest of a line as it is; one that does not fit was not written by us. */
static void parse_text(const char *rest, char *out, size_t size)
{
	if (*rest && strlen(rest) < size)
		memcpy(out, rest, strlen(rest) + 1);
}

static void parse_rdt(const char *group, struct skf_journal *j)
{
	if (*group && strlen(group) < sizeof(j->rdt))
		memcpy(j->rdt, group, strlen(group) + 1);
}

static void parse_pid(const char *line, struct skf_journal *j)
{
	(void)skf_proc_parse(line, &j->pid, &j->pid_start,
			     j->boot_id); /* a line cut by a crash says nothing */
}

void skf_journal_parse(const char *text, size_t n, struct skf_journal *ret)
{
	char line[1024];

	memset(ret, 0, sizeof(*ret));
	for (size_t at = 0; at < n;) {
		const char *end = memchr(text + at, '\n', n - at);
		size_t len;

		if (!end)
			return; /* cut by a crash */
		len = (size_t)(end - text) - at;
		if (len < sizeof(line) && !memchr(text + at, '\0', len)) {
			memcpy(line, text + at, len);
			line[len] = '\0';
			if (skf_startswith(line, "cgroup "))
				parse_cgroup(line + 7, ret);
			else if (skf_startswith(line, "scope "))
				parse_text(line + 6, ret->scope, sizeof(ret->scope));
			else if (skf_startswith(line, "rdt "))
				parse_text(line + 4, ret->rdt, sizeof(ret->rdt));
			else if (skf_startswith(line, "rdt "))
				parse_rdt(line + 4, ret);
			else if (skf_startswith(line, "pid "))
				parse_pid(line + 4, ret);
		}
		at += len + 1;
	}
}

int skf_journal_load(int state_fd, struct skf_journal *ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(JOURNAL_MAX);
	int r = skf_read_file_at(state_fd, "journal", JOURNAL_MAX, &b);

	if (r < 0)
		return r;
	skf_journal_parse(skf_buf_cstr(&b), b.len, ret);
	return 0;
}
