/* engine/explain.c -- explain: the tables of properties over one container. Who reads what: explain_int.h.
 */
#include "engine/explain_int.h"
#include "base/proc.h"
#include <fcntl.h>
#include <json-c/json.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define NOT_RUNNING "not running"

static const struct skf_ex_table *const tables[] = {&skf_ex_security, &skf_ex_process,   &skf_ex_namespaces,
						    &skf_ex_files,    &skf_ex_resources, &skf_ex_network,
						    &skf_ex_life};

char *skf_ex_text(struct skf_ex *x, const char *fmt, ...)
{
	SKF_AUTO_FREE char *s = NULL;
	char *kept;
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(&s, fmt, ap);
	va_end(ap);
	if (n < 0)
		s = NULL;
	kept = s ? skf_arena_strdup(x->a, s) : NULL;
	if (!kept)
		x->err = -ENOMEM;
	return kept ? kept : (char *)"";
}

static char *copy(struct skf_ex *x, const char *s)
{
	char *t = skf_arena_strdup(x->a, s);

	if (!t)
		x->err = -ENOMEM;
	return t;
}

static struct skf_explain_row *room(struct skf_ex *x)
{
	struct skf_explain_row *v = x->rows.v;

	if (x->rows.n == x->cap_rows) {
		x->cap_rows = x->cap_rows ? x->cap_rows * 2 : 128;
		v = skf_arena_array(x->a, x->cap_rows, sizeof(*v));
		if (!v) {
			x->err = -ENOMEM;
			return NULL;
		}
		if (x->rows.n)
			memcpy(v, x->rows.v, x->rows.n * sizeof(*v));
		x->rows.v = v;
	}
	return v + x->rows.n;
}

void skf_ex_put(struct skf_ex *x, const struct skf_ex_prop *p, const struct skf_ex_line *l)
{
	const char *source = l->source ? l->source : skf_ex_source(x, p->key, p->flag),
		   *kernel = l->kernel ? l->kernel : "";
	struct skf_explain_row *r = x->err < 0 ? NULL : room(x);

	if (!r)
		return;
	*r = (struct skf_explain_row){.group = p->group,
				      .name = copy(x, l->name ? l->name : p->name),
				      .value = copy(x, l->value),
				      .source = copy(x, source)};
	if (l->kernel && x->running)
		r->differs = l->cmp == SKF_EX_DIFFERS ||
			     (l->cmp == SKF_EX_TEXT && !skf_streq(l->value, l->kernel));
	r->kernel = copy(x, l->kernel && !x->running ? NOT_RUNNING : kernel);
	r->changed = r->differs || !skf_streq(source, "default");
	x->rows.n += x->err == 0;
}

static int parse_request(struct skf_ex *x, struct skf_err *e)
{
	const char *text = x->c->request ? x->c->request : "{}";
	struct json_tokener *t = json_tokener_new_ex(SKF_MAX_JSON_DEPTH);

	x->request = t ? json_tokener_parse_ex(t, text, (int)strlen(text)) : NULL;
	if (t)
		json_tokener_free(t);
	return x->request ? skf_ctr_request_parse(x->c->request, x->a, &x->q, e)
			  : skf_fail(e, SKF_ECORRUPT, "config.json: /skiff/request is no document");
}

static int load(struct skf_ex *x, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf text = SKF_BUF(SKF_MAX_SPEC_BYTES);
	const struct skf_spec_opts o = {.log = &x->g->log, .name = "config.json"};

	if (skf_ctr_load_text(x->g, x->id, &text, e) < 0 ||
	    skf_spec_parse(skf_buf_cstr(&text), text.len, &o, x->a, &x->spec, e) < 0 ||
	    skf_ctr_load(x->g, x->id, x->a, &x->c, e) < 0 || parse_request(x, e) < 0 ||
	    skf_net_conf_read(x->g, x->id, x->a, &x->net, e) < 0 ||
	    skf_ctr_live(x->g, x->id, &x->live, e) < 0)
		return -1;
	if (!x->spec->process)
		return skf_fail(e, SKF_ECORRUPT, "config.json of container %.12s has no process", x->id);
	if (x->c->pod && *x->c->pod && skf_pod_load(x->g, x->c->pod, x->a, &x->pod, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e); /* removed meanwhile */
	}
	return 0;
}

/* From here on /proc is reached by a descriptor, which belongs to this process and to no later one of its
 * number. */
static void open_kernel(struct skf_ex *x)
{
	char path[32];

	if (x->live.state != SKF_CTR_RUNNING && x->live.state != SKF_CTR_PAUSED)
		return;
	snprintf(path, sizeof(path), "/proc/%u", x->live.sum.pid);
	x->proc = skf_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY, 0);
	if (x->proc < 0 || skf_proc_alive((pid_t)x->live.sum.pid, x->live.sum.start_time) != 1 ||
	    skf_read_file_at(x->proc, "status", SKF_MAX_OBJECT_BYTES, &x->status) < 0)
		return;
	x->running = true;
	x->has_cg = skf_ctr_cgroup(x->g, x->id, &x->cg) == 0;
	skf_ex_read_mounts(x);
}

static void done(struct skf_ex *x)
{
	skf_closep(&x->proc);
	skf_buf_done(&x->status);
	json_object_put(x->request);
}

static int finish(struct skf_ex *x, struct skf_explain *ret, struct skf_err *e)
{
	struct skf_explain r = {.rows = x->rows, .pid = x->running ? x->live.sum.pid : 0};

	memcpy(r.id, x->id, sizeof(r.id));
	r.name = copy(x, x->c->name);
	r.state = copy(x, skf_ctr_state_name(x->live.state));
	if (x->err < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for the properties of container %.12s", x->id);
	*ret = r;
	return 0;
}

int skf_engine_explain(struct skf_engine *g, const char *container, struct skf_arena *a,
		       struct skf_explain *ret, struct skf_err *e)
{
	SKF_AUTO(done)
	struct skf_ex x = {.g = g, .a = a, .proc = -EBADF, .status = SKF_BUF(SKF_MAX_OBJECT_BYTES)};
	char id[SKF_ID_LEN + 1];

	if (skf_engine_resolve(g, container, id, e) < 0)
		return -1;
	x.id = id;
	if (load(&x, e) < 0)
		return -1;
	open_kernel(&x);
	for (size_t i = 0; i < SKF_ARRAY_LEN(tables); i++)
		for (size_t k = 0; k < tables[i]->n; k++)
			tables[i]->v[k].show(&x, &tables[i]->v[k]);
	return finish(&x, ret, e);
}

int skf_engine_explain_targets(struct skf_engine *g, const char *word, struct skf_arena *a,
			       struct skf_strv *ret, struct skf_err *e)
{
	const struct skf_pod_ctr *v;
	struct skf_err no_pod = SKF_ERR_INIT;
	struct skf_pod_row pod;
	char id[SKF_ID_LEN + 1], *kept;

	if (skf_engine_resolve(g, word, id, e) == 0 && !skf_pod_exists(g, id)) {
		kept = skf_arena_strdup(a, id);
		return !kept || skf_strv_add(a, ret, kept) < 0
			       ? skf_fail(e, SKF_ENOMEM, "memory for the list of containers")
			       : 0;
	}
	if (e->kind != SKF_OK && e->kind != SKF_ENOTFOUND)
		return -1;
	if (skf_engine_pod_row(g, word, a, &pod, &no_pod) < 0) {
		if (no_pod.kind != SKF_ENOTFOUND)
			*e = no_pod;
		return e->kind == SKF_OK ? skf_fail(e, SKF_ENOTFOUND, "No such container: %s", word) : -1;
	}
	skf_err_clear(e);
	v = pod.containers.v;
	for (size_t i = 0; i < pod.containers.n; i++) {
		kept = skf_arena_strdup(a, v[i].id);
		if (!kept || skf_strv_add(a, ret, kept) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for the list of containers");
	}
	return 0;
}
