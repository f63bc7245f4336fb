/* engine/pod_show.c -- pods as people see them: resolving a word, ps rows, the inspect document. Takes no
 * lock. */
#include "engine/pod_int.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

static int no_memory(struct skf_err *e)
{
	return skf_fail(e, SKF_ENOMEM, "memory for the list of pods");
}

int skf_engine_pod_resolve(struct skf_engine *g, const char *word, char ret[SKF_ID_LEN + 1],
			   struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_strv ids = {0};
	const char *found = NULL;
	size_t n = strlen(word);
	int r = skf_name_find(g, word, ret, e);

	if (r < 0)
		return -1;
	if (r == 1 && skf_pod_exists(g, ret))
		return 0;
	if (skf_pod_list(g, &a, &ids, e) < 0)
		return -1;
	for (size_t i = 0; n > 0 && i < ids.n; i++) {
		if (strncmp(ids.v[i], word, n) != 0 || !skf_pod_exists(g, ids.v[i]))
			continue;
		if (found)
			return skf_fail(e, SKF_ECONFLICT,
					"more than one pod has an ID that begins with '%s'; give more of it",
					word);
		found = ids.v[i];
	}
	if (!found)
		return skf_fail(e, SKF_ENOTFOUND, "no pod with name or ID %s found: no such pod", word);
	memcpy(ret, found, SKF_ID_LEN + 1);
	return 0;
}

static int by_name(const void *x, const void *y)
{
	const struct skf_pod_ctr *a = x, *b = y;

	return strcmp(a->name, b->name);
}

static int containers(struct skf_engine *g, const char *id, struct skf_arena *a, struct skf_jarr *ret,
		      struct skf_err *e)
{
	struct skf_pod_ctr *v;
	struct skf_strv m = {0};

	if (skf_pod_members(g, id, a, &m, e) < 0)
		return -1;
	if (m.n == 0)
		return 0;
	v = skf_arena_array(a, m.n, sizeof(*v));
	if (!v)
		return no_memory(e);
	for (size_t i = 0; i < m.n; i++) {
		struct skf_ctr_live l;

		if (skf_ctr_live(g, m.v[i], &l, e) < 0) {
			if (e->kind != SKF_ENOTFOUND)
				return -1;
			skf_err_clear(e); /* removed meanwhile */
			continue;
		}
		memcpy(v[ret->n].id, m.v[i], SKF_ID_LEN + 1);
		v[ret->n].name = skf_arena_strdup(a, l.sum.name);
		v[ret->n].state = skf_arena_strdup(a, skf_ctr_state_name(l.state));
		if (!v[ret->n].name || !v[ret->n].state)
			return no_memory(e);
		ret->n++;
	}
	qsort(v, ret->n, sizeof(*v), by_name);
	ret->v = v;
	return 0;
}

/* podman's rule. */
static const char *status_of(const struct skf_jarr *ctrs, bool held)
{
	const struct skf_pod_ctr *c = ctrs->v;
	size_t running = 0, paused = 0, exited = 0, created = 0;

	for (size_t i = 0; i < ctrs->n; i++) {
		running += skf_streq(c[i].state, "running");
		paused += skf_streq(c[i].state, "paused");
		exited += skf_streq(c[i].state, "exited");
		created += skf_streq(c[i].state, "created");
	}
	if (ctrs->n == 0)
		return held ? "Running" : "Created";
	if (running == ctrs->n)
		return "Running";
	if (paused == ctrs->n)
		return "Paused";
	if (running + paused)
		return "Degraded";
	if (exited == ctrs->n)
		return "Exited";
	return created == ctrs->n ? "Created" : "Stopped";
}

static bool held(struct skf_engine *g, const char *id)
{
	struct skf_err ignored = SKF_ERR_INIT; /* only whether somebody answers */
	SKF_AUTO_FD int sock = -EBADF;

	return skf_pod_holder(g, id, &sock, &ignored) == 0;
}

static int fill(struct skf_engine *g, const struct skf_pod *p, struct skf_arena *a, struct skf_pod_row *row,
		struct skf_err *e)
{
	int64_t created = 0;

	memset(row, 0, sizeof(*row));
	if (skf_fmt(row->id, sizeof(row->id), "%s", p->id) < 0 ||
	    skf_parse_rfc3339(p->created, &created) < 0)
		return skf_fail(e, SKF_ECORRUPT, "pod.json of pod '%s': id or time of creation is damaged",
				p->name);
	if (containers(g, row->id, a, &row->containers, e) < 0)
		return -1;
	row->name = p->name;
	row->labels = p->labels;
	row->created_ns = created;
	row->status = skf_arena_strdup(a, status_of(&row->containers, held(g, row->id)));
	return row->status ? 0 : no_memory(e);
}

int skf_engine_pod_row(struct skf_engine *g, const char *pod, struct skf_arena *a, struct skf_pod_row *ret,
		       struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];
	struct skf_pod *p;

	return skf_engine_pod_resolve(g, pod, id, e) < 0 || skf_pod_load(g, id, a, &p, e) < 0
		       ? -1
		       : fill(g, p, a, ret, e);
}

/* --- filters: NAME=VALUE; values of one name are alternatives, different names must all hold --- */

static bool label_matches(const struct skf_pod_row *r, const char *v)
{
	const char *eq = strchr(v, '=');

	for (size_t i = 0; i < r->labels.n; i++) {
		const char *k = r->labels.v[i].k;

		if (!eq ? skf_streq(k, v)
			: strlen(k) == (size_t)(eq - v) && !memcmp(k, v, strlen(k)) &&
				    skf_streq(r->labels.v[i].v, eq + 1))
			return true;
	}
	return false;
}

static bool any_ctr(const struct skf_pod_row *r, const char *v, char what)
{
	const struct skf_pod_ctr *c = r->containers.v;

	for (size_t i = 0; i < r->containers.n; i++)
		if (what == 'n'   ? strstr(c[i].name, v) != NULL
		    : what == 'i' ? skf_startswith(c[i].id, v)
				  : skf_streq(c[i].state, v))
			return true;
	return false;
}

static bool id_matches(const struct skf_pod_row *r, const char *v)
{
	return skf_startswith(r->id, v);
}

static bool name_matches(const struct skf_pod_row *r, const char *v)
{
	return strstr(r->name, v) != NULL;
}

static bool status_matches(const struct skf_pod_row *r, const char *v)
{
	return strcasecmp(r->status, v) == 0;
}

static bool ctr_names(const struct skf_pod_row *r, const char *v)
{
	return any_ctr(r, v, 'n');
}

static bool ctr_ids(const struct skf_pod_row *r, const char *v)
{
	return any_ctr(r, v, 'i');
}

static bool ctr_status(const struct skf_pod_row *r, const char *v)
{
	return any_ctr(r, v, 's');
}

static bool ctr_number(const struct skf_pod_row *r, const char *v)
{
	uint32_t n;

	return skf_parse_u32(v, &n) == 0 && n == r->containers.n;
}

static const struct {
	const char *name;
	bool (*matches)(const struct skf_pod_row *, const char *);
} filters_known[] = {
	{"id", id_matches},         {"name", name_matches},     {"label", label_matches},
	{"status", status_matches}, {"ctr-names", ctr_names},   {"ctr-ids", ctr_ids},
	{"ctr-status", ctr_status}, {"ctr-number", ctr_number},
};

static int filter_of(const char *f, const char **ret_value, struct skf_err *e)
{
	size_t n = strcspn(f, "=");

	for (size_t i = 0; f[n] && i < SKF_ARRAY_LEN(filters_known); i++)
		if (strlen(filters_known[i].name) == n && !memcmp(filters_known[i].name, f, n)) {
			*ret_value = f + n + 1;
			return (int)i;
		}
	return skf_fail(e, SKF_EINVALID, "%.*s is an invalid filter", (int)n, f);
}

/* 1 shown, 0 not, -1. */
static int passes(const struct skf_pod_row *r, const struct skf_strv *f, struct skf_err *e)
{
	bool asked[SKF_ARRAY_LEN(filters_known)] = {false}, holds[SKF_ARRAY_LEN(filters_known)] = {false};

	for (size_t i = 0; f && i < f->n; i++) {
		const char *value;
		int k = filter_of(f->v[i], &value, e);

		if (k < 0)
			return -1;
		asked[k] = true;
		holds[k] |= filters_known[k].matches(r, value);
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(asked); i++)
		if (asked[i] && !holds[i])
			return 0;
	return 1;
}

static int newest_first(const void *x, const void *y)
{
	const struct skf_pod_row *a = x, *b = y;

	return a->created_ns != b->created_ns ? (a->created_ns < b->created_ns ? 1 : -1)
					      : strcmp(a->id, b->id);
}

int skf_engine_pod_ps(struct skf_engine *g, const struct skf_strv *filters, struct skf_arena *a,
		      struct skf_jarr *ret, struct skf_err *e)
{
	struct skf_strv ids = {0};
	struct skf_pod_row *v;
	struct skf_pod *p;
	const char *ignored;
	size_t n = 0;

	for (size_t i = 0; filters && i < filters->n; i++)
		if (filter_of(filters->v[i], &ignored, e) < 0)
			return -1;
	if (skf_pod_list(g, a, &ids, e) < 0)
		return -1;
	v = skf_arena_array(a, ids.n + 1, sizeof(*v));
	if (!v)
		return no_memory(e);
	for (size_t i = 0; i < ids.n; i++) {
		int r = skf_pod_load(g, ids.v[i], a, &p, e);

		if (r == 0)
			r = fill(g, p, a, &v[n], e) < 0 ? -1 : passes(&v[n], filters, e);
		if (r < 0 && e->kind == SKF_ENOTFOUND) { /* removed meanwhile */
			skf_err_clear(e);
			continue;
		}
		if (r < 0)
			return -1;
		n += (size_t)r;
	}
	qsort(v, n, sizeof(*v), newest_first);
	*ret = (struct skf_jarr){v, n};
	return 0;
}

static void put_shared(struct skf_jw *w, uint32_t share)
{
	static const char *const names[] = {"net", "ipc", "uts", "pid"};

	skf_jw_karr(w, "SharedNamespaces");
	for (unsigned i = 0; i < SKF_ARRAY_LEN(names); i++)
		if (share >> i & 1)
			skf_jw_str(w, names[i]);
	skf_jw_end_arr(w);
}

int skf_engine_pod_inspect(struct skf_engine *g, const char *pod, struct skf_jw *w, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_pod_ctr *c;
	struct skf_pod_row row;
	char id[SKF_ID_LEN + 1];
	struct skf_pod *p;

	if (skf_engine_pod_resolve(g, pod, id, e) < 0 || skf_pod_load(g, id, &a, &p, e) < 0 ||
	    fill(g, p, &a, &row, e) < 0)
		return -1;
	c = row.containers.v;
	skf_jw_obj(w);
	skf_jw_kstr(w, "Id", p->id);
	skf_jw_kstr(w, "Name", p->name);
	skf_jw_kstr(w, "Created", p->created);
	skf_jw_kstr(w, "ExitPolicy", p->exit_policy);
	skf_jw_kstr(w, "State", row.status);
	skf_jw_kstr(w, "Hostname", p->share & SKF_POD_UTS ? p->hostname : "");
	skf_jw_kkvs(w, "Labels", &p->labels);
	skf_jw_kstr(w, "CgroupParent", SKF_POD_CGROUP);
	skf_jw_kbool(w, "CreateCgroup", true);
	skf_jw_kbool(w, "CreateInfra", false);
	put_shared(w, p->share);
	skf_jw_kint(w, "NumContainers", (int64_t)row.containers.n);
	skf_jw_karr(w, "Containers");
	for (size_t i = 0; i < row.containers.n; i++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "Id", c[i].id);
		skf_jw_kstr(w, "Name", c[i].name);
		skf_jw_kstr(w, "State", c[i].state);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
	skf_jw_end(w);
	return 0;
}
