/* engine/ps.c -- the list of containers: one readlink per container (DESIGN 7.7). Only rows that claim to
 * run are checked against their process. */
#include "engine/engine_int.h"
#include "base/proc.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct rows {
	struct skf_ps_row *v;
	size_t n, cap;
};

static int newest_first(const void *x, const void *y)
{
	const struct skf_ps_row *a = x, *b = y;

	if (a->created_ns != b->created_ns)
		return a->created_ns < b->created_ns ? 1 : -1;
	return strcmp(a->id, b->id);
}

static int grow(struct rows *r, struct skf_arena *a)
{
	struct skf_ps_row *v;

	if (r->n < r->cap)
		return 0;
	r->cap = r->cap ? r->cap * 2 : 32;
	v = skf_arena_array(a, r->cap, sizeof(*v));
	if (!v)
		return -ENOMEM;
	if (r->n)
		memcpy(v, r->v, r->n * sizeof(*v));
	r->v = v;
	return 0;
}

static const char *health_word(const char *s)
{
	static const char *const words[] = {"starting", "healthy", "unhealthy"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(words); i++)
		if (skf_streq(words[i], s))
			return words[i];
	return "none";
}

static int add_row(struct skf_engine *g, const char *id, bool all, struct skf_arena *a, struct rows *rows,
		   struct skf_err *e)
{
	struct skf_ctr_live l;
	struct skf_summary s;
	struct skf_ps_row *row;
	int r = skf_summary_read(g->run_fd, id, &s);

	if (r == -ENOENT)
		return 0; /* removed while we read the directory */
	if (r == -EBADMSG) {
		skf_warn(&g->log,
			 "the summary of container %.12s is damaged, `skiff system check --repair` rebuilds "
			 "it; ignoring",
			 id);
		return 0;
	}
	if (r < 0)
		return skf_fail_sys(e, r, "read '%s/summary/%s'", g->run_root, id);
	skf_ctr_live_of(g, id, &s, &l);
	if (!all && (!skf_ctr_is_up(l.state) || l.state == SKF_CTR_INITIALIZED))
		return 0;
	if (grow(rows, a) < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for the list of containers");
	row = &rows->v[rows->n];
	memcpy(row->id, id, SKF_ID_LEN + 1);
	row->name = skf_arena_strdup(a, l.sum.name);
	row->image = skf_arena_strdup(a, l.sum.image);
	row->command = skf_arena_strdup(a, l.sum.command);
	row->ports = skf_arena_strdup(a, l.sum.ports);
	row->state = skf_arena_strdup(a, skf_ctr_state_name(l.state));
	row->created_ns = (int64_t)l.sum.created_ns;
	row->started_ns = l.started_ns;
	row->finished_ns = l.finished_ns;
	row->exit_code = l.exit_code;
	row->pid = l.sum.pid;
	row->restarts = l.sum.restarts;
	row->health = health_word(l.sum.health);
	if (!row->name || !row->image || !row->command || !row->ports || !row->state)
		return skf_fail(e, SKF_ENOMEM, "memory for the list of containers");
	rows->n++;
	return 0;
}

int skf_engine_ps(struct skf_engine *g, bool all, struct skf_arena *a, struct skf_jarr *ret,
		  struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(g->run_fd, "summary", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct rows rows = {0};
	struct dirent *de;

	if (!d)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "list '%s/summary'", g->run_root);
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d)))
		if (skf_ctr_id_valid(de->d_name) && add_row(g, de->d_name, all, a, &rows, e) < 0)
			return -1;
	if (rows.n)
		qsort(rows.v, rows.n, sizeof(*rows.v), newest_first);
	ret->v = rows.v;
	ret->n = rows.n;
	return 0;
}
