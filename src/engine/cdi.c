/* engine/cdi.c -- devices of CDI in the plan of a container: what a specification asks for becomes nodes,
 * mounts, variables, groups, hooks and a resctrl group, as CDI's own library does it. The edits of a
 * specification as a whole come before those of its first device, once. */
#include "engine/cdi.h"
#include "engine/cdi_int.h"
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

struct apply {
	struct skf_plan *p;
	struct skf_strv hooks[6]; /* raw JSON, by kind */
	struct skf_strv files;    /* whose common edits are done */
};

static char type_of(const struct stat *st)
{
	return S_ISCHR(st->st_mode) ? 'c' : S_ISBLK(st->st_mode) ? 'b' : S_ISFIFO(st->st_mode) ? 'p' : '\0';
}

/* What the specification leaves open is looked up at the host's node. */
static int add_node(struct apply *x, const struct cdi_node *n, struct skf_err *e)
{
	const char *host = n->host_path && *n->host_path ? n->host_path : n->path,
		   *access = n->permissions && *n->permissions ? n->permissions : "rwm";
	struct skf_gen_device d = {.path = n->path,
				   .type = n->type && *n->type ? *n->type : '\0',
				   .major = (unsigned)n->major,
				   .minor = (unsigned)n->minor,
				   .mode = n->has_mode ? (uint32_t)n->mode & 07777 : 0666,
				   .uid = (uint32_t)n->uid,
				   .gid = (uint32_t)n->gid,
				   .users_uid = !n->has_uid,
				   .users_gid = !n->has_gid};
	struct stat st;

	if (d.type == 'u')
		d.type = 'c';
	if (!d.type || (d.type != 'p' && !d.major)) {
		if (stat(host, &st) < 0)
			return skf_fail_sys(e, -errno, "look at the device node '%s'", host);
		if (!type_of(&st))
			return skf_fail(e, SKF_EINVALID, "'%s' is not a device node", host);
		if (d.type && d.type != type_of(&st))
			return skf_fail(e, SKF_EINVALID,
					"the device node '%s' has the type '%c', expected '%c'", host,
					type_of(&st), d.type);
		d.type = type_of(&st);
		d.major = d.type == 'p' ? 0 : major(st.st_rdev);
		d.minor = d.type == 'p' ? 0 : minor(st.st_rdev);
	}
	return skf_plan_device(x->p, &d, d.type == 'p' ? "" : access, e);
}

/* The place is the specification's, also when the image or the user have something there (spec 0.8,
 * "mounts"). */
static int add_mount(struct apply *x, const struct cdi_mount *m, struct skf_err *e)
{
	struct skf_plan *p = x->p;
	struct skf_gen_mount g = {.target = m->container,
				  .type = m->type && *m->type ? m->type : "bind",
				  .source = m->host,
				  .options = m->options};

	if (!m->options.n &&
	    (skf_strv_add(p->a, &g.options, "bind") < 0 || skf_strv_add(p->a, &g.options, "ro") < 0))
		return skf_plan_no_memory(e);
	for (size_t i = 0; i < p->n_mounts; i++)
		if (skf_streq(p->mounts[i].target, g.target)) {
			p->mounts[i] = g;
			return 0;
		}
	return skf_plan_push(p, (void **)&p->mounts, &p->n_mounts, &p->cap_mounts, &g, sizeof(g), e);
}

static int keep_json(struct skf_plan *p, const struct skf_buf *b, char **ret, struct skf_err *e)
{
	*ret = b->err < 0 ? NULL : skf_arena_dup(p->a, skf_buf_cstr(b), b->len);
	return *ret ? 0 : skf_plan_no_memory(e);
}

static int add_hook(struct apply *x, const struct cdi_hook *h, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	struct skf_jw w = SKF_JW(&b);
	size_t kind = 0;
	char *text;

	if (skf_streq(
		    h->name,
		    "poststop")) /* nobody would run it: the engine undoes a container without the runtime */
		return skf_fail(e, SKF_EUNSUPPORTED,
				"a hook '%s' of the kind poststop is asked for, which is not supported",
				h->path);
	skf_jw_obj(&w);
	skf_jw_kstr(&w, "path", h->path);
	if (h->args.n)
		skf_jw_kstrv(&w, "args", &h->args);
	if (h->env.n)
		skf_jw_kstrv(&w, "env", &h->env);
	if (h->has_timeout)
		skf_jw_kint(&w, "timeout", h->timeout);
	skf_jw_end(&w);
	while (!skf_streq(cdi_hook_kinds[kind], h->name)) /* cdi_spec.c has seen that it is one of them */
		kind++;
	if (keep_json(x->p, &b, &text, e) < 0)
		return -1;
	return skf_strv_add(x->p->a, &x->hooks[kind], text) < 0 ? skf_plan_no_memory(e) : 0;
}

static void put_word(struct skf_jw *w, const char *key, const char *v)
{
	if (v && *v)
		skf_jw_kstr(w, key, v);
}

/* The last one counts: a process is in one group. */
static int set_rdt(struct apply *x, const struct cdi_rdt *r, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	struct skf_jw w = SKF_JW(&b);
	char *text;

	skf_jw_obj(&w);
	put_word(&w, "closID", r->clos);
	put_word(&w, "l3CacheSchema", r->l3);
	put_word(&w, "memBwSchema", r->mem_bw);
	if (r->schemata.n)
		skf_jw_kstrv(&w, "schemata", &r->schemata);
	if (r->monitoring || r->cmt || r->mbm)
		skf_jw_kbool(&w, "enableMonitoring", true);
	skf_jw_end(&w);
	if (keep_json(x->p, &b, &text, e) < 0)
		return -1;
	x->p->gen.rdt = text;
	return 0;
}

static int add_strings(struct skf_plan *p, const struct skf_strv *from, struct skf_strv *to,
		       struct skf_err *e)
{
	for (size_t i = 0; i < from->n; i++)
		if (skf_strv_add(p->a, to, from->v[i]) < 0)
			return skf_plan_no_memory(e);
	return 0;
}

static int apply_edits(struct apply *x, const struct cdi_edits *v, struct skf_err *e)
{
	const struct cdi_node *n = v->nodes.v;
	const struct cdi_mount *m = v->mounts.v;
	const struct cdi_hook *h = v->hooks.v;

	if (add_strings(x->p, &v->env, &x->p->extra_env, e) < 0 ||
	    add_strings(x->p, &v->gids, &x->p->extra_groups, e) < 0)
		return -1;
	for (size_t i = 0; i < v->nodes.n; i++)
		if (add_node(x, &n[i], e) < 0)
			return -1;
	for (size_t i = 0; i < v->mounts.n; i++)
		if (add_mount(x, &m[i], e) < 0)
			return -1;
	for (size_t i = 0; i < v->hooks.n; i++)
		if (add_hook(x, &h[i], e) < 0)
			return -1;
	return v->rdt ? set_rdt(x, v->rdt, e) : 0;
}

static int apply_device(struct apply *x, const struct cdi_found *f, struct skf_err *e)
{
	bool done = false;

	for (size_t i = 0; i < x->files.n; i++)
		done |= skf_streq(x->files.v[i], f->file);
	if (!done && skf_strv_add(x->p->a, &x->files, f->file) < 0)
		return skf_plan_no_memory(e);
	if (!done && apply_edits(x, &f->spec->edits, e) < 0)
		return -1;
	return apply_edits(x, &f->device->edits, e);
}

static int write_hooks(struct apply *x, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	struct skf_jw w = SKF_JW(&b);
	char *text;
	size_t n = 0;

	skf_jw_obj(&w);
	for (size_t k = 0; cdi_hook_kinds[k]; k++) {
		if (!x->hooks[k].n)
			continue;
		skf_jw_karr(&w, cdi_hook_kinds[k]);
		for (size_t i = 0; i < x->hooks[k].n; i++, n++)
			skf_jw_raw(&w, x->hooks[k].v[i]);
		skf_jw_end_arr(&w);
	}
	skf_jw_end(&w);
	if (n && keep_json(x->p, &b, &text, e) < 0)
		return -1;
	if (n)
		x->p->gen.hooks = text;
	return 0;
}

int skf_plan_cdi(struct skf_plan *p, const struct skf_strv *names, struct skf_err *e)
{
	struct apply x = {.p = p};

	for (size_t i = 0; i < names->n; i++) {
		struct cdi_found f;

		if (cdi_find(p, names->v[i], &f, e) < 0)
			return -1;
		if (apply_device(&x, &f, e) < 0)
			return skf_ctx(e, "CDI device '%s' of '%s'", names->v[i], f.file);
	}
	return write_hooks(&x, e);
}
