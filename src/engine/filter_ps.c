/* engine/filter_ps.c -- which containers a list shows: docker's filters of ps, in docker's order. Cheap ones
 * need the summary alone; the others read config.json of the containers that are left. Blocks on the disk.
 */
#include "engine/engine_int.h"
#include "engine/filter.h"
#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

struct ancestor {
	const char *word;
	struct skf_image *image; /* NULL: no such image now */
};
struct ports {
	uint32_t first, last;
	char proto[8]; /* "tcp" when not given */
};
struct query {
	struct skf_engine *g;
	const struct skf_ps_req *q;
	struct skf_arena *a;
	struct skf_filters f;
	bool detail;
	char before[SKF_ID_LEN + 1], since[SKF_ID_LEN + 1];
	struct ancestor *ancestors;
	size_t n_ancestors;
	struct ports *publish, *expose;
	size_t n_publish, n_expose;
	int is_task;
};

static const char *const known[] = {"ancestor", "before",    "expose", "exited", "health",  "id",
				    "is-task",  "isolation", "label",  "name",   "network", "publish",
				    "since",    "status",    "volume", NULL};

static int check_values(const struct query *x, const char *name, const char *const *allowed,
			struct skf_err *e)
{
	const struct skf_filter *f = skf_filters_get(&x->f, name);

	for (size_t i = 0; f && i < f->v.n; i++) {
		size_t k = 0;

		while (allowed[k] && !skf_streq(allowed[k], f->v.v[i]))
			k++;
		if (!allowed[k] && skf_streq(name, "health"))
			return skf_fail(e, SKF_EINVALID, "Unrecognised filter value for health: %s",
					f->v.v[i]);
		if (!allowed[k])
			return skf_filters_invalid(name, f->v.v[i], e);
	}
	return 0;
}

static int check_exited(const struct query *x, struct skf_err *e)
{
	const struct skf_filter *f = skf_filters_get(&x->f, "exited");
	int64_t n;

	for (size_t i = 0; f && i < f->v.n; i++)
		if (skf_parse_i64(f->v.v[i], &n) < 0)
			return skf_filters_invalid("exited", f->v.v[i], e);
	return 0;
}

/* The last of several counts, as in docker. */
static int resolve_one(const struct query *x, const char *name, char ret[SKF_ID_LEN + 1], struct skf_err *e)
{
	const struct skf_filter *f = skf_filters_get(&x->f, name);

	for (size_t i = 0; f && i < f->v.n; i++)
		if (skf_engine_resolve(x->g, f->v.v[i], ret, e) < 0)
			return -1;
	return 0;
}

static int resolve_ancestors(struct query *x, struct skf_err *e)
{
	const struct skf_filter *f = skf_filters_get(&x->f, "ancestor");
	struct skf_refrec ref;

	if (!f)
		return 0;
	x->ancestors = skf_arena_array(x->a, f->v.n, sizeof(*x->ancestors));
	if (!x->ancestors)
		return skf_fail(e, SKF_ENOMEM, "memory for the filters");
	x->n_ancestors = f->v.n;
	for (size_t i = 0; i < f->v.n; i++) {
		x->ancestors[i].word = f->v.v[i];
		if (skf_store_resolve(x->g->store, f->v.v[i], x->a, &x->ancestors[i].image, &ref, e) == 0)
			continue;
		if (e->kind != SKF_ENOTFOUND && e->kind != SKF_EINVALID)
			return -1;
		skf_err_clear(e); /* docker: no such image, no such container */
		x->ancestors[i].image = NULL;
	}
	return 0;
}

/* "80", "80/udp", "8000-8010/tcp" */
static int parse_port(const char *name, const char *value, struct ports *ret, struct skf_err *e)
{
	char first[16], last[16];
	const char *slash = strchr(value, '/'), *end = slash ? slash : value + strlen(value);
	const char *dash = memchr(value, '-', (size_t)(end - value)), *stop = dash ? dash : end;

	if (skf_fmt(ret->proto, sizeof(ret->proto), "%s", slash && slash[1] ? slash + 1 : "tcp") < 0 ||
	    skf_fmt(first, sizeof(first), "%.*s", (int)(stop - value), value) < 0 ||
	    skf_fmt(last, sizeof(last), "%.*s", dash ? (int)(end - dash - 1) : (int)(stop - value),
		    dash ? dash + 1 : value) < 0 ||
	    skf_parse_u32(first, &ret->first) < 0 || skf_parse_u32(last, &ret->last) < 0 ||
	    ret->last > 65535 || ret->first > ret->last)
		return skf_filters_invalid(name, value, e);
	return 0;
}

static int parse_ports(struct query *x, const char *name, struct ports **ret, size_t *ret_n,
		       struct skf_err *e)
{
	const struct skf_filter *f = skf_filters_get(&x->f, name);

	if (!f)
		return 0;
	*ret = skf_arena_array(x->a, f->v.n, sizeof(**ret));
	if (!*ret)
		return skf_fail(e, SKF_ENOMEM, "memory for the filters");
	for (*ret_n = 0; *ret_n < f->v.n; (*ret_n)++)
		if (parse_port(name, f->v.v[*ret_n], &(*ret)[*ret_n], e) < 0)
			return -1;
	return 0;
}

static bool has_port(const struct ports *v, size_t n, uint32_t port, const char *proto)
{
	for (size_t i = 0; i < n; i++)
		if (port >= v[i].first && port <= v[i].last && skf_streq(v[i].proto, proto))
			return true;
	return false;
}

/* One piece of ps's ports, "0.0.0.0:8080->80/tcp" or "80/tcp", against both filters. */
static bool piece_matches(const struct query *x, const char *p, size_t n)
{
	char text[128], *arrow, *slash, *colon;
	uint32_t host = 0, ctr;

	if (skf_fmt(text, sizeof(text), "%.*s", (int)n, p) < 0)
		return false;
	slash = strrchr(text, '/');
	if (slash)
		*slash++ = '\0';
	arrow = strstr(text, "->");
	if (arrow) {
		*arrow = '\0';
		colon = strrchr(text, ':');
		if (skf_parse_u32(colon ? colon + 1 : text, &host) < 0)
			host = 0;
	}
	if (skf_parse_u32(arrow ? arrow + 2 : text, &ctr) < 0)
		return false;
	return (host && has_port(x->publish, x->n_publish, host, slash ? slash : "tcp")) ||
	       has_port(x->expose, x->n_expose, ctr, slash ? slash : "tcp");
}

static bool ports_match(const struct query *x, const struct skf_ps_row *r)
{
	if (!x->n_publish && !x->n_expose)
		return true;
	for (const char *p = r->ports; *p;) {
		size_t n = strcspn(p, ",");

		if (piece_matches(x, p, n))
			return true;
		p += n;
		p += strspn(p, ", ");
	}
	for (size_t i = 0; i < r->detail->exposed.n; i++)
		if (piece_matches(x, r->detail->exposed.v[i], strlen(r->detail->exposed.v[i])))
			return true;
	return false;
}

static int parse_query(struct query *x, struct skf_err *e)
{
	static const char *const states[] = {"created", "restarting", "running",     "removing", "paused",
					     "exited",  "dead",       "initialized", NULL};
	static const char *const healths[] = {"none", "starting", "healthy", "unhealthy", NULL};
	static const char *const need_detail[] = {"ancestor", "expose",  "health", "label",
						  "network",  "publish", "volume"};

	if (skf_filters_parse(&x->q->filters, known, x->a, &x->f, e) < 0 ||
	    check_values(x, "status", states, e) < 0 || check_values(x, "health", healths, e) < 0 ||
	    check_exited(x, e) < 0 || skf_filters_bool(&x->f, "is-task", &x->is_task, e) < 0 ||
	    parse_ports(x, "publish", &x->publish, &x->n_publish, e) < 0 ||
	    parse_ports(x, "expose", &x->expose, &x->n_expose, e) < 0 ||
	    resolve_one(x, "before", x->before, e) < 0 || resolve_one(x, "since", x->since, e) < 0 ||
	    resolve_ancestors(x, e) < 0)
		return -1;
	for (size_t i = 0; i < SKF_ARRAY_LEN(need_detail); i++)
		x->detail |= skf_filters_get(&x->f, need_detail[i]) != NULL;
	return 0;
}

/* --- what a row has to say --- */

static const char *shown_state(const struct skf_ps_row *r)
{
	return skf_streq(r->state, "stopping-failed") ? "dead" : r->state;
}

static bool exited_matches(const struct query *x, const struct skf_ps_row *r)
{
	const struct skf_filter *f = skf_filters_get(&x->f, "exited");
	int64_t n;

	for (size_t i = 0; f && i < f->v.n; i++)
		if (skf_parse_i64(f->v.v[i], &n) == 0 && n == r->exit_code && r->started_ns > 0 &&
		    !skf_streq(r->state, "running") && !skf_streq(r->state, "paused"))
			return true;
	return !f;
}

static bool cheap_match(const struct query *x, const struct skf_ps_row *r)
{
	char slashed[SKF_MAX_NAME_BYTES + 2];

	if (skf_fmt(slashed, sizeof(slashed), "/%s", r->name) < 0)
		return false; /* names are never longer */
	return (skf_filters_match(&x->f, "name", r->name) || skf_filters_match(&x->f, "name", slashed)) &&
	       skf_filters_match(&x->f, "id", r->id) && skf_filters_exact(&x->f, "status", shown_state(r)) &&
	       skf_filters_match(&x->f, "isolation", "") && exited_matches(x, r);
}

static bool is_below(const struct skf_strv *layers, const struct skf_image *i)
{
	const struct skf_image_layer *l = i->layers.v;

	if (i->layers.n == 0 || i->layers.n > layers->n)
		return false;
	for (size_t k = 0; k < i->layers.n; k++)
		if (!skf_streq(l[k].diff_id.s, layers->v[k]))
			return false;
	return true;
}

static bool ancestor_matches(const struct query *x, const struct skf_ps_row *r)
{
	for (size_t i = 0; i < x->n_ancestors; i++) {
		const struct ancestor *k = &x->ancestors[i];

		if (k->image ? skf_streq(k->image->config.s, r->detail->image_id) ||
				       is_below(&r->detail->layers, k->image)
			     : skf_streq(k->word, r->image)) /* its image is gone, its name is not */
			return true;
	}
	return x->n_ancestors == 0;
}

static bool volume_matches(const struct query *x, const struct skf_ps_detail *d)
{
	const struct skf_ps_mount *m = d->mounts.v;

	if (!skf_filters_get(&x->f, "volume"))
		return true;
	for (size_t i = 0; i < d->mounts.n; i++)
		if (skf_filters_exact(&x->f, "volume", m[i].name) ||
		    skf_filters_exact(&x->f, "volume", m[i].target))
			return true;
	return false;
}

static bool network_matches(const struct query *x, const struct skf_ps_detail *d)
{
	if (!skf_filters_get(&x->f, "network"))
		return true;
	for (size_t i = 0; i < d->networks.n; i++)
		if (skf_filters_exact(&x->f, "network", d->networks.v[i]))
			return true;
	return false;
}

static bool detail_match(const struct query *x, const struct skf_ps_row *r)
{
	return skf_filters_labels(&x->f, &r->detail->labels) && ancestor_matches(x, r) &&
	       volume_matches(x, r->detail) && network_matches(x, r->detail) &&
	       skf_filters_exact(&x->f, "health", r->detail->health) && ports_match(x, r);
}

static bool is_up(const struct skf_ps_row *r)
{
	return skf_streq(r->state, "running") || skf_streq(r->state, "paused") ||
	       skf_streq(r->state, "restarting");
}

/* Rows are newest first: what follows `before` is older. */
static int select_rows(struct query *x, struct skf_ps_row *v, size_t n, size_t *ret_n, struct skf_err *e)
{
	bool all = x->q->all || x->q->last > 0 || skf_filters_get(&x->f, "status");
	bool passed = !x->before[0];
	size_t kept = 0;

	for (size_t i = 0; i < n; i++) {
		if (!passed) {
			passed = skf_streq(v[i].id, x->before);
			continue;
		}
		if (x->since[0] && skf_streq(v[i].id, x->since))
			break;
		if (x->is_task == 1 || (!all && !is_up(&v[i])) || !cheap_match(x, &v[i]))
			continue;
		if (x->q->last > 0 && (int64_t)kept == x->q->last)
			break;
		if (x->detail || x->q->detail || x->q->size) {
			int r = skf_ps_detail_load(x->g, &v[i], x->q->size, x->n_expose > 0, x->a, e);

			if (r < 0)
				return -1;
			if (r == 0 || !detail_match(x, &v[i]))
				continue;
		}
		v[kept++] = v[i];
	}
	*ret_n = kept;
	return 0;
}

int skf_engine_ps_list(struct skf_engine *g, const struct skf_ps_req *q, struct skf_arena *a,
		       struct skf_jarr *ret, struct skf_err *e)
{
	struct query x = {.g = g, .q = q, .a = a, .is_task = -1};
	struct skf_jarr rows = {0};
	int r = parse_query(&x, e);

	if (r == 0) /* before and since may name one that does not run */
		r = skf_engine_ps(g, q->all || q->last > 0 || q->filters.n, a, &rows, e);
	if (r == 0)
		r = select_rows(&x, rows.v, rows.n, &rows.n, e);
	skf_filters_done(&x.f);
	if (r == 0)
		*ret = rows;
	return r;
}
