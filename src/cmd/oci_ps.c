/* cmd/oci_ps.c -- ps, pause and resume. ps runs ps(1) of the host and keeps the lines of the container's
 * processes, as runc does; where the host has no ps(1), the pids alone, as crun does. Blocks for ps(1), at
 * most PS_MS. */
#include "cmd/oci_int.h"

#include "base/json.h"
#include "base/proc.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PS_MS  30000
#define PS_MAX (32u << 20) /* its output: the processes of the host with their command lines */

struct pids {
	pid_t *v;
	size_t n;
};

static bool contains(const struct pids *p, uint64_t pid)
{
	for (size_t i = 0; i < p->n; i++)
		if ((uint64_t)p->v[i] == pid)
			return true;
	return false;
}

static void json_list(const struct pids *p, struct skf_buf *b)
{
	struct skf_jw w = SKF_JW(b);

	skf_jw_arr(&w);
	for (size_t i = 0; i < p->n; i++)
		skf_jw_int(&w, p->v[i]);
	skf_jw_end_arr(&w);
	skf_buf_chr(b, '\n');
}

static void plain_list(const struct pids *p, struct skf_buf *b)
{
	skf_buf_str(b, "PID\n");
	for (size_t i = 0; i < p->n; i++)
		skf_buf_fmt(b, "%d\n", (int)p->v[i]);
}

/* ps in our own PATH; NULL when there is none. */
static const char *find_ps(struct oci *o)
{
	const char *path = getenv("PATH");

	for (path = path && *path ? path : "/usr/bin:/bin"; *path;) {
		size_t n = strcspn(path, ":");
		const char *file = skf_arena_fmt(&o->arena, "%.*s/ps", (int)n, path);

		if (file && *file == '/' && access(file, X_OK) == 0)
			return file;
		path += n + (path[n] == ':');
	}
	return NULL;
}

static int read_ps(struct oci *o, const char *path, struct skf_buf *out, struct skf_err *e)
{
	static char *const dflt[] = {(char *)(uintptr_t) "-ef", NULL};
	char *const *args = o->a.rest.n > 1 ? o->a.rest.v + 1 : dflt;
	struct skf_strv argv = {0};
	struct skf_spawn s = {.path = path};
	int p[2], status = 0, r, pidfd;
	pid_t pid;

	r = skf_strv_add(&o->arena, &argv, "ps");
	for (; r == 0 && *args; args++)
		r = skf_strv_add(&o->arena, &argv, *args);
	if (r == 0)
		r = skf_pipe(p, 0);
	if (r < 0)
		return skf_fail_sys(e, r, "prepare '%s'", path);
	s.argv = argv.v;
	s.stdio[0] = -1;
	s.stdio[1] = s.stdio[2] = p[1];
	r = skf_spawn(&s, &pid, &pidfd);
	skf_closep(&p[1]);
	if (r < 0) {
		skf_closep(&p[0]);
		return skf_fail_sys(e, r, "execute '%s'", path);
	}
	r = skf_read_fd(p[0], PS_MAX, out);
	skf_closep(&p[0]); /* a ps that has more to say ends by SIGPIPE */
	if (r == 0)
		r = skf_wait_pid(pid, pidfd, PS_MS, &status);
	else
		(void)skf_wait_pid(pid, pidfd, PS_MS, &status); /* the read's failure is the one to tell */
	skf_closep(&pidfd);
	if (r < 0)
		return skf_fail_sys(e, r, "read the output of '%s'", path);
	if (skf_wait_code(status) != 0)
		return skf_fail(e, SKF_EINVALID, "'%s' failed with exit status %d: %.300s", path,
				skf_wait_code(status), skf_buf_cstr(out));
	return 0;
}

/* Index of the word PID in the heading; -1. */
static int pid_column(const char *line)
{
	for (int i = 0; *line && *line != '\n'; i++) {
		size_t n;

		line += strspn(line, " \t");
		n = strcspn(line, " \t\n");
		if (n == 3 && memcmp(line, "PID", 3) == 0)
			return i;
		line += n;
	}
	return -1;
}

static bool pid_of(const char *line, int column, uint64_t *ret)
{
	char word[24];
	size_t n;

	line += strspn(line, " \t");
	for (; column > 0; column--) {
		line += strcspn(line, " \t\n");
		line += strspn(line, " \t");
	}
	n = strcspn(line, " \t\n");
	if (n == 0 || n >= sizeof(word))
		return false;
	memcpy(word, line, n);
	word[n] = '\0';
	return skf_parse_u64(word, ret) == 0;
}

static int filter(const struct pids *p, const char *text, struct skf_buf *out, struct skf_err *e)
{
	int column = pid_column(text);
	size_t n = strcspn(text, "\n");
	uint64_t pid;

	if (column < 0)
		return skf_fail(e, SKF_EINVALID,
				"couldn't find PID field in ps output: it begins with '%.*s'",
				(int)(n < 200 ? n : 200), text);
	for (bool heading = true; *text; heading = false) {
		n = strcspn(text, "\n");
		if (heading || (pid_of(text, column, &pid) && contains(p, pid))) {
			skf_buf_put(out, text, n);
			skf_buf_chr(out, '\n');
		}
		text += n + (text[n] == '\n');
	}
	return 0;
}

static int table(struct oci *o, const struct pids *p, struct skf_buf *out, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf text = SKF_BUF(PS_MAX);
	const char *path = find_ps(o);

	if (!path && o->a.rest.n > 1)
		return skf_fail(e, SKF_ENOTFOUND,
				"there is no ps(1) on this machine to take the options: leave "
				"them out, or use --format json");
	if (!path) {
		plain_list(p, out);
		return 0;
	}
	return read_ps(o, path, &text, e) < 0 ? -1 : filter(p, skf_buf_cstr(&text), out, e);
}

int oci_ps(struct oci *o, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(PS_MAX);
	const char *format = o->a.format ? o->a.format : "table";
	struct pids p;

	if (!skf_streq(format, "table") && !skf_streq(format, "json"))
		return skf_fail(e, SKF_EINVALID, "invalid format option '%s': table or json", format);
	if (skf_rt_pids(&o->rt, o->a.rest.v[0], &o->arena, &p.v, &p.n, e) < 0)
		return -1;
	if (skf_streq(format, "json"))
		json_list(&p, &b);
	else if (table(o, &p, &b, e) < 0)
		return -1;
	return oci_print(&b, e);
}

int oci_pause(struct oci *o, struct skf_err *e)
{
	return skf_rt_pause(&o->rt, o->a.rest.v[0], e);
}

int oci_resume(struct oci *o, struct skf_err *e)
{
	return skf_rt_resume(&o->rt, o->a.rest.v[0], e);
}
