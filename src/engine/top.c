/* engine/top.c -- the processes of a container: from the host's /proc, or, for docker's ps options, by the
 * host's own ps, of whose output only the container's lines are kept. Nothing of the container is ever
 * executed or opened (T32). */
#include "base/arena.h"
#include "base/proc.h"
#include "engine/top_int.h"
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MAX_PIDS    65536
#define MAX_COLUMNS 64
#define CELL        2048
#define PS_MAX      (16u << 20)
#define DEFAULT_N   8

static int no_memory(struct skf_err *e)
{
	return skf_fail(e, SKF_ENOMEM, "memory for the list of processes");
}

static const struct skf_top_column *column(const char *word, size_t n)
{
	for (const struct skf_top_column *c = skf_top_columns + DEFAULT_N; c->name; c++)
		if (strlen(c->name) == n && strncmp(c->name, word, n) == 0)
			return c;
	return NULL;
}

/* Words and comma-separated words. */
static int choose(const struct skf_strv *args, const struct skf_top_column *ret[MAX_COLUMNS], size_t *ret_n,
		  struct skf_err *e)
{
	size_t n = 0;

	for (; args->n == 0 && n < DEFAULT_N; n++)
		ret[n] = &skf_top_columns[n];
	for (size_t i = 0; i < args->n; i++)
		for (const char *p = args->v[i]; *p; p += *p == ',') {
			size_t len = strcspn(p, ",");

			if (n == MAX_COLUMNS)
				return skf_fail(e, SKF_ELIMIT, "more than %d columns", MAX_COLUMNS);
			ret[n] = column(p, len);
			if (!ret[n++])
				return skf_fail(e, SKF_EINVALID,
						"'%.*s' is no descriptor of top: give e.g. pid, user, args, "
						"or options of ps like -ef",
						(int)len, p);
			p += len;
		}
	*ret_n = n;
	return 0;
}

static int by_pid(const void *a, const void *b)
{
	pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;

	return x < y ? -1 : x > y;
}

static int from_proc(const pid_t *pids, size_t n, const struct skf_strv *args, struct skf_arena *a,
		     struct skf_table_ret *ret, struct skf_err *e)
{
	const struct skf_top_column *cols[MAX_COLUMNS];
	struct skf_strv *rows = skf_arena_array(a, n ? n : 1, sizeof(*rows));
	size_t n_cols = 0;

	if (!rows)
		return no_memory(e);
	if (choose(args, cols, &n_cols, e) < 0)
		return -1;
	for (size_t k = 0; k < n_cols; k++)
		if (skf_strv_add(a, &ret->titles, cols[k]->title) < 0)
			return no_memory(e);
	ret->rows = (struct skf_jarr){rows, 0};
	for (size_t i = 0; i < n; i++) {
		struct skf_top_proc p;
		char cell[CELL];

		if (skf_top_read(pids[i], &p) == 0)
			continue;
		rows[ret->rows.n] = (struct skf_strv){0};
		for (size_t k = 0; k < n_cols; k++) {
			cell[0] = '\0';
			cols[k]->text(&p, cell, sizeof(cell));
			if (skf_strv_add(a, &rows[ret->rows.n], cell) < 0)
				return no_memory(e);
		}
		ret->rows.n++;
	}
	return 0;
}

/* --- docker's way --- */
static int run_ps(const struct skf_strv *args, const char *pids, struct skf_buf *out, struct skf_err *e)
{
	static const char *const places[] = {"/usr/bin/ps",
					     "/bin/ps"}; /* of the host, wherever PATH points */
	char path_env[] = "PATH=/usr/sbin:/usr/bin:/sbin:/bin";
	char prog[] = "ps", dash_q[] = "-q", *const env[] = {path_env, NULL};
	SKF_AUTO_FREE char **argv = calloc(args->n + 4, sizeof(*argv));
	SKF_AUTO_FD int rd = -EBADF, wr = -EBADF;
	struct skf_spawn s = {.argv = argv, .envp = env, .stdio = {-1, -1, -1}, .cwd = "/"};
	int p[2], status = 0, pidfd = -EBADF, r = skf_pipe(p, 0);
	pid_t pid;

	if (!argv)
		return no_memory(e);
	if (r < 0)
		return skf_fail_sys(e, r, "make a pipe for ps");
	rd = p[0];
	wr = s.stdio[1] = p[1];
	argv[0] = prog;
	memcpy(argv + 1, args->v, args->n * sizeof(*argv));
	if (pids) {
		argv[args->n + 1] = dash_q;
		argv[args->n + 2] = (char *)(uintptr_t)pids;
	}
	r = -ENOENT;
	for (size_t i = 0; i < SKF_ARRAY_LEN(places) && r == -ENOENT; i++) {
		s.path = places[i];
		r = skf_spawn(&s, &pid, &pidfd);
	}
	if (r < 0)
		return skf_fail_sys(e, r,
				    "run the host's ps for its options (without options, or with "
				    "descriptors like pid,args, none is needed)");
	skf_closep(&wr);
	r = skf_read_fd(rd, PS_MAX, out);
	skf_closep(&rd); /* a ps that writes more ends with SIGPIPE */
	if (skf_wait_pid(pid, pidfd, SKF_HELLO_MS, &status) < 0)
		kill(pid, SIGKILL);
	skf_closep(&pidfd);
	if (r < 0)
		return skf_fail_sys(e, r, "read the output of ps");
	return status ? skf_fail(e, SKF_EINVALID, "ps: exit status %d: it does not understand its options",
				 skf_wait_code(status))
		      : 0;
}

/* Cells of one line; the last column takes the rest. */
static int split(char *line, size_t width, struct skf_arena *a, struct skf_strv *ret)
{
	*ret = (struct skf_strv){0};
	for (char *p = line + strspn(line, " "); *p;) {
		size_t n = ret->n + 1 == width ? strlen(p) : strcspn(p, " ");
		bool more = p[n] != '\0';

		p[n] = '\0';
		if (skf_strv_add(a, ret, p) < 0)
			return -ENOMEM;
		p += n + more;
		p += strspn(p, " ");
	}
	return 0;
}

static int keep_lines(struct skf_buf *text, const pid_t *pids, size_t n, struct skf_arena *a,
		      struct skf_table_ret *ret, struct skf_err *e)
{
	struct skf_strv *rows = skf_arena_array(a, n ? n : 1, sizeof(*rows)), cells;
	char *save = NULL, *line = strtok_r(text->p, "\n", &save);
	size_t at = 0;

	if (!rows || !line || split(line, 0, a, &ret->titles) < 0)
		return rows && !line ? skf_fail(e, SKF_EINVALID, "ps printed nothing") : no_memory(e);
	while (at < ret->titles.n && !skf_streq(ret->titles.v[at], "PID"))
		at++;
	if (at == ret->titles.n)
		return skf_fail(e, SKF_EINVALID, "Couldn't find PID field in ps output");
	ret->rows = (struct skf_jarr){rows, 0};
	while ((line = strtok_r(NULL, "\n", &save)) && ret->rows.n < n) {
		int64_t v;
		pid_t pid;

		if (split(line, ret->titles.n, a, &cells) < 0)
			return no_memory(e);
		if (at >= cells.n || skf_parse_i64(cells.v[at], &v) < 0)
			continue;
		pid = (pid_t)v;
		if (bsearch(&pid, pids, n, sizeof(*pids), by_pid))
			rows[ret->rows.n++] = cells;
	}
	return 0;
}

static int from_ps(const pid_t *pids, size_t n, const struct skf_strv *args, struct skf_arena *a,
		   struct skf_table_ret *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(PS_MAX), list = SKF_BUF(MAX_PIDS * 12);

	for (size_t i = 0; i < n; i++)
		skf_buf_fmt(&list, "%s%d", i ? "," : "", (int)pids[i]);
	/* as docker: only these; and where that contradicts the options, all of them */
	if (run_ps(args, skf_buf_cstr(&list), &out, e) < 0) {
		skf_err_clear(e);
		skf_buf_clear(&out);
		if (run_ps(args, NULL, &out, e) < 0)
			return -1;
	}
	return keep_lines(&out, pids, n, a, ret, e);
}

/* docker takes `top c aux`, too: what is no list of descriptors is options. */
static bool is_options(const struct skf_strv *args)
{
	if (args->n == 0)
		return false;
	return args->v[0][0] == '-' || (args->n == 1 && !column(args->v[0], strcspn(args->v[0], ",")));
}

int skf_engine_top(struct skf_engine *g, const char *container, const struct skf_strv *args,
		   struct skf_arena *a, struct skf_table_ret *ret, struct skf_err *e)
{
	SKF_AUTO_FREE pid_t *pids = calloc(MAX_PIDS, sizeof(*pids));
	struct skf_table_ret t = {0};
	char id[SKF_ID_LEN + 1];
	struct skf_ctr_live l;
	struct skf_cg_dirs cg;
	int n;

	if (!pids)
		return no_memory(e);
	if (skf_engine_resolve(g, container, id, e) < 0 || skf_ctr_live(g, id, &l, e) < 0)
		return -1;
	if (l.state == SKF_CTR_RESTARTING)
		return skf_fail(e, SKF_ECONFLICT,
				"Container %s is restarting, wait until the container is running", id);
	if (l.state != SKF_CTR_RUNNING && l.state != SKF_CTR_PAUSED)
		return skf_fail(e, SKF_ECONFLICT, "container %s is not running", id);
	n = skf_ctr_cgroup(g, id, &cg);
	if (n == 0)
		n = skf_cg_pids(&cg, pids, MAX_PIDS);
	if (n < 0)
		return skf_fail_sys(e, n, "list the processes of container %.12s", id);
	if (n > MAX_PIDS)
		n = MAX_PIDS;
	qsort(pids, (size_t)n, sizeof(*pids), by_pid);
	if ((is_options(args) ? from_ps(pids, (size_t)n, args, a, &t, e)
			      : from_proc(pids, (size_t)n, args, a, &t, e)) < 0)
		return -1;
	*ret = t;
	return 0;
}
