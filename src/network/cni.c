/* network/cni.c -- the verbs of CNI over a list of plugins. ADD and CHECK go first to last, DEL last to
 * first (SPEC.md section 3). The cache is the journal: it is there before the first plugin of ADD runs, and
 * until all plugins of DEL have agreed. */
#include "network/cni.h"
#include "base/cleanup.h"
#include "network/cni_int.h"
#include <string.h>
#include <unistd.h>

#define MEMORY (16u << 20) /* of one call that returns nothing */

static const struct skf_cni_plugin *plugin(const struct skf_cni_list *l, size_t i)
{
	return (const struct skf_cni_plugin *)l->plugins.v + i;
}

/* --- capability arguments: runtimeConfig by the capability that asks for it --- */
static void put_ports(struct skf_jw *w, const struct skf_cni_call *c)
{
	skf_jw_arr(w);
	for (size_t i = 0; i < c->n_ports; i++) {
		skf_jw_obj(w);
		skf_jw_kint(w, "hostPort", c->ports[i].host_port);
		skf_jw_kint(w, "containerPort", c->ports[i].container_port);
		skf_jw_kstr(w, "protocol", c->ports[i].protocol);
		if (c->ports[i].host_ip)
			skf_jw_kstr(w, "hostIP", c->ports[i].host_ip);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static void put_strings(struct skf_jw *w, const struct skf_strv *v)
{
	skf_jw_arr(w);
	for (size_t i = 0; i < v->n; i++)
		skf_jw_str(w, v->v[i]);
	skf_jw_end_arr(w);
}

static int add_cap(struct skf_arena *a, struct skf_kvs *m, const char *key, struct skf_buf *b)
{
	m->v[m->n].k = (char *)key;
	m->v[m->n].v = b->err ? NULL : skf_arena_dup(a, b->p, b->len);
	skf_buf_clear(b);
	return m->v[m->n++].v ? 0 : -ENOMEM;
}

static int make_caps(const struct skf_cni_list *l, const struct skf_cni_call *c, struct skf_arena *a,
		     struct skf_kvs *m)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CNI_CONF);
	struct skf_jw w = SKF_JW(&b);
	int r = 0;

	m->v = skf_arena_array(a, 4, sizeof(*m->v));
	if (!m->v)
		return -ENOMEM;
	if (c->n_ports) {
		put_ports(&w, c);
		r = add_cap(a, m, "portMappings", &b);
	}
	if (r == 0 && c->ips.n) {
		w = (struct skf_jw)SKF_JW(&b);
		put_strings(&w, &c->ips);
		r = add_cap(a, m, "ips", &b);
	}
	if (r == 0 && c->mac) {
		w = (struct skf_jw)SKF_JW(&b);
		skf_jw_str(&w, c->mac);
		r = add_cap(a, m, "mac", &b);
	}
	if (r == 0 && c->aliases.n) {
		w = (struct skf_jw)SKF_JW(&b);
		skf_jw_obj(&w);
		skf_jw_karr(&w, l->name);
		for (size_t i = 0; i < c->aliases.n; i++)
			skf_jw_str(&w, c->aliases.v[i]);
		skf_jw_end_arr(&w);
		skf_jw_end(&w);
		r = add_cap(a, m, "aliases", &b);
	}
	return r;
}

/* --- one plugin of a call --- */
struct call {
	const struct skf_cni_dirs *d;
	const struct skf_cni_list *l;
	const char *id, *ifname, *netns, *args;
	const struct skf_kvs *caps;
	const char *prev;  /* prevResult; NULL */
	const char *valid; /* GC: the attachments that stay, as JSON */
};

static bool wants(const struct skf_cni_plugin *p, const char *cap)
{
	for (size_t i = 0; i < p->caps.n; i++)
		if (strcmp(p->caps.v[i], cap) == 0)
			return true;
	return false;
}

static void put_conf(struct skf_buf *b, const struct call *c, const struct skf_cni_plugin *p)
{
	struct skf_jw w = SKF_JW(b);
	bool any = false;

	skf_jw_obj(&w);
	skf_jw_kstr(&w, "cniVersion", skf_cni_levels[c->l->level]);
	skf_jw_kstr(&w, "name", c->l->name);
	skf_buf_chr(b, ',');
	skf_buf_str(b, p->body); /* never empty: it has the type */
	for (size_t i = 0; c->caps && i < c->caps->n; i++) {
		if (!wants(p, c->caps->v[i].k))
			continue;
		if (!any)
			skf_jw_kobj(&w, "runtimeConfig");
		any = true;
		skf_jw_kraw(&w, c->caps->v[i].k, c->caps->v[i].v);
	}
	if (any)
		skf_jw_end(&w);
	if (c->prev)
		skf_jw_kraw(&w, "prevResult", c->prev);
	if (c->valid)
		skf_jw_kraw(&w, "cni.dev/valid-attachments", c->valid);
	skf_jw_end(&w);
}

static int run_plugin(const struct call *c, const struct skf_cni_plugin *p, const char *verb,
		      struct skf_buf *out, uint32_t *ret_code, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf conf = SKF_BUF(2 * SKF_MAX_CNI_CONF + SKF_MAX_CNI_RESULT);
	struct skf_cni_exec x = {verb, c->id, c->netns, c->ifname, c->args && *c->args ? c->args : NULL,
				 NULL};

	put_conf(&conf, c, p);
	if (conf.err)
		return skf_fail_sys(e, conf.err, "configuration of CNI plugin '%s'", p->type);
	x.in = conf.p;
	return skf_cni_exec(c->d, c->l, p->type, &x, out, ret_code, e);
}

/* --- the words of a call --- */
static int check_call(const struct skf_cni_call *c, bool netns, struct skf_err *e)
{
	if (!skf_cni_word_ok(c->container_id))
		return skf_fail(e, SKF_EINVALID, "'%.80s' is not possible as the id of a container",
				c->container_id ? c->container_id : "");
	if (!skf_cni_word_ok(c->ifname) || strlen(c->ifname) > 15)
		return skf_fail(e, SKF_EINVALID, "'%.40s' is not possible as the name of an interface",
				c->ifname ? c->ifname : "");
	for (size_t i = 0; i < c->args.n; i++)
		if (strchr(c->args.v[i], ';') || !strchr(c->args.v[i], '='))
			return skf_fail(e, SKF_EINVALID,
					"CNI argument '%.80s' is not KEY=VALUE without a semicolon",
					c->args.v[i]);
	if (netns && !c->netns)
		return skf_fail(e, SKF_EBUG, "a CNI call for container '%s' without a network namespace",
				c->container_id);
	return 0;
}

static int join_args(const struct skf_cni_call *c, struct skf_arena *a, char **ret)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CNI_CONF);

	for (size_t i = 0; i < c->args.n; i++)
		skf_buf_fmt(&b, "%s%s", i ? ";" : "", c->args.v[i]);
	*ret = b.err ? NULL : skf_arena_strdup(a, skf_buf_cstr(&b));
	return *ret ? 0 : -ENOMEM;
}

/* --- ADD --- */
static int add_all(struct call *k, struct skf_arena *a, struct skf_cni_result **ret, struct skf_err *e)
{
	for (size_t i = 0; i < k->l->plugins.n; i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(SKF_MAX_CNI_RESULT);
		char who[200];

		if (run_plugin(k, plugin(k->l, i), "ADD", &out, NULL, e) < 0)
			return -1;
		if (skf_fmt(who, sizeof(who), "result of CNI plugin '%s'", plugin(k->l, i)->type) < 0 ||
		    skf_cni_result_decode(who, skf_buf_cstr(&out), out.len, a, ret, e) < 0)
			return -1;
		k->prev = (*ret)->json;
	}
	return 0;
}

/* Before anything is made: what cannot be added could not be deleted either. */
static int find_plugins(const struct skf_cni_dirs *d, const struct skf_cni_list *l, struct skf_err *e)
{
	char path[4096];

	for (size_t i = 0; i < l->plugins.n; i++)
		if (skf_cni_find_plugin(d, plugin(l, i)->type, path, sizeof(path), e) < 0)
			return skf_ctx(e, "network '%s'", l->name);
	return 0;
}

int skf_cni_add(int run_fd, const struct skf_cni_dirs *d, const struct skf_cni_list *l,
		const struct skf_cni_call *c, struct skf_arena *a, struct skf_cni_result **ret,
		struct skf_err *e)
{
	struct skf_cni_cache cache = {.container_id = (char *)c->container_id,
				      .ifname = (char *)c->ifname,
				      .netns = (char *)c->netns,
				      .file = l->file,
				      .list = l->text,
				      .bin = d->bin,
				      .single = !skf_endswith(l->file, ".conflist")};
	struct call k = {.d = d,
			 .l = l,
			 .id = c->container_id,
			 .ifname = c->ifname,
			 .netns = c->netns,
			 .caps = &cache.caps};
	struct skf_cni_result *r = NULL;
	struct skf_err second = SKF_ERR_INIT;

	if (check_call(c, true, e) < 0 || find_plugins(d, l, e) < 0)
		return -1;
	if (join_args(c, a, &cache.args) < 0 || make_caps(l, c, a, &cache.caps) < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for a call of CNI");
	k.args = cache.args;
	if (skf_cni_cache_write(run_fd, l->name, &cache, e) < 0)
		return -1;
	if (add_all(&k, a, &r, e) == 0) {
		cache.result = r->json;
		if (skf_cni_cache_write(run_fd, l->name, &cache, e) == 0) {
			*ret = r;
			return 0;
		}
	}
	(void)skf_cni_del(run_fd, d, l->name, l, c, &second); /* the first failure is the one to tell; the
								 cache keeps what is left for the reap */
	return -1;
}

/* --- DEL --- */
static int del_all(const struct call *k, struct skf_err *e)
{
	struct skf_err one = SKF_ERR_INIT;
	int r = 0;

	for (size_t i = k->l->plugins.n; i-- > 0;) {
		SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(SKF_MAX_CNI_RESULT);

		skf_err_clear(&one);
		if (run_plugin(k, plugin(k->l, i), "DEL", &out, NULL, &one) == 0)
			continue;
		if (r == 0)
			*e = one;
		r = -1;
	}
	return r;
}

int skf_cni_del(int run_fd, const struct skf_cni_dirs *d, const char *network, const struct skf_cni_list *l,
		const struct skf_cni_call *c, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(MEMORY);
	struct call k = {.d = d, .l = l, .id = c->container_id, .ifname = c->ifname, .netns = c->netns};
	struct skf_cni_dirs dirs = *d;
	struct skf_cni_cache *cache = NULL;
	struct skf_cni_list *then = NULL;
	struct skf_kvs caps = {0};
	char *args = NULL;

	if (check_call(c, false, e) < 0)
		return -1;
	if (skf_cni_cache_read(run_fd, network, c->container_id, c->ifname, &a, &cache, e) == 0) {
		if (skf_cni_list_decode(cache->file, cache->list, strlen(cache->list), cache->single, &a,
					&then, e) < 0)
			return -1;
		k.l = then;
		k.args = cache->args;
		k.caps = &cache->caps;
		k.prev = then->level >= SKF_CNI_0_4_0 ? cache->result : NULL;
		dirs.bin = cache->bin.n ? cache->bin : d->bin;
		k.d = &dirs;
	} else if (e->kind != SKF_ENOTFOUND) {
		return -1;
	} else {
		skf_err_clear(e);
		if (!l)
			return 0;
		if (join_args(c, &a, &args) < 0 || make_caps(l, c, &a, &caps) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for a call of CNI");
		k.args = args;
		k.caps = &caps;
	}
	if (del_all(&k, e) < 0)
		return -1;
	return skf_cni_cache_remove(run_fd, network, c->container_id, c->ifname, e);
}

/* --- CHECK --- */
/* portmap looks for its rules in the tables of both families, also when the container has addresses of one
 * only: its CHECK then fails always (containernetworking-plugins 1.1). */
static bool check_is_wrong(const struct skf_cni_plugin *p, const struct skf_cni_result *res)
{
	size_t v6 = 0;

	if (strcmp(p->type, "portmap") != 0)
		return false;
	for (size_t i = 0; i < res->ips.n; i++)
		v6 += strchr(res->ips.v[i], ':') != NULL;
	return v6 == 0 || v6 == res->ips.n;
}

int skf_cni_check(int run_fd, const struct skf_cni_dirs *d, const struct skf_cni_list *l,
		  const struct skf_cni_call *c, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(MEMORY);
	struct skf_cni_cache *cache = NULL;
	struct skf_cni_result *res = NULL;
	struct call k = {.d = d, .l = l, .id = c->container_id, .ifname = c->ifname, .netns = c->netns};

	if (check_call(c, true, e) < 0 ||
	    skf_cni_cache_read(run_fd, l->name, c->container_id, c->ifname, &a, &cache, e) < 0)
		return -1;
	if (l->level < SKF_CNI_0_4_0 || l->disable_check)
		return 0;
	k.args = cache->args;
	k.caps = &cache->caps;
	k.prev = cache->result;
	if (!cache->result)
		return skf_fail(e, SKF_ECORRUPT,
				"the ADD of container '%.12s' to network '%s' did not finish",
				c->container_id, l->name);
	if (skf_cni_result_decode("the cached result", cache->result, strlen(cache->result), &a, &res, e) <
	    0)
		return -1;
	for (size_t i = 0; i < l->plugins.n; i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(SKF_MAX_CNI_RESULT);

		if (!check_is_wrong(plugin(l, i), res) &&
		    run_plugin(&k, plugin(l, i), "CHECK", &out, NULL, e) < 0)
			return -1;
	}
	return 0;
}

/* --- GC --- */
struct gc {
	int run_fd;
	const struct skf_cni_dirs *d;
	const struct skf_cni_list *l;
	const struct skf_cni_attachment *valid;
	size_t n;
	struct skf_err first; /* the others are still given back */
};

static int gc_cached(const struct skf_cni_cache *c, void *arg, struct skf_err *e)
{
	struct gc *g = arg;
	/* a namespace that is still there still has the interface */
	bool there = c->netns && *c->netns && access(c->netns, F_OK) == 0;
	struct skf_cni_call call = {
		.container_id = c->container_id, .ifname = c->ifname, .netns = there ? c->netns : NULL};
	struct skf_err one = SKF_ERR_INIT;

	for (size_t i = 0; i < g->n; i++)
		if (strcmp(g->valid[i].container_id, c->container_id) == 0 &&
		    strcmp(g->valid[i].ifname, c->ifname) == 0)
			return 0;
	if (skf_cni_del(g->run_fd, g->d, g->l->name, NULL, &call, &one) < 0 && g->first.kind == SKF_OK)
		g->first = one;
	return 0;
}

static void put_valid(struct skf_buf *b, const struct gc *g)
{
	struct skf_jw w = SKF_JW(b);

	skf_jw_arr(&w);
	for (size_t i = 0; i < g->n; i++) {
		skf_jw_obj(&w);
		skf_jw_kstr(&w, "containerID", g->valid[i].container_id);
		skf_jw_kstr(&w, "ifname", g->valid[i].ifname);
		skf_jw_end(&w);
	}
	skf_jw_end_arr(&w);
}

int skf_cni_gc(int run_fd, const struct skf_cni_dirs *d, const struct skf_cni_list *l,
	       const struct skf_cni_attachment *valid, size_t n, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(4 * MEMORY);
	SKF_AUTO(skf_buf_done) struct skf_buf list = SKF_BUF(SKF_MAX_CNI_CACHE);
	struct gc g = {run_fd, d, l, valid, n, SKF_ERR_INIT};
	struct call k = {.d = d, .l = l};

	if (skf_cni_cache_each(run_fd, l->name, &a, gc_cached, &g, e) < 0)
		return -1;
	put_valid(&list, &g);
	if (list.err)
		return skf_fail_sys(e, list.err, "list of the containers on CNI network '%s'", l->name);
	k.valid = list.p;
	for (size_t i = 0; l->level >= SKF_CNI_1_1_0 && !l->disable_gc && i < l->plugins.n; i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(SKF_MAX_CNI_RESULT);
		struct skf_err one = SKF_ERR_INIT;

		if (run_plugin(&k, plugin(l, i), "GC", &out, NULL, &one) < 0 && g.first.kind == SKF_OK)
			g.first = one;
	}
	if (g.first.kind == SKF_OK)
		return 0;
	*e = g.first;
	return -1;
}

/* --- STATUS and VERSION --- */
int skf_cni_status(const struct skf_cni_dirs *d, const struct skf_cni_list *l, struct skf_err *e)
{
	struct call k = {.d = d, .l = l};
	char path[4096];

	for (size_t i = 0; i < l->plugins.n; i++) {
		SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(SKF_MAX_CNI_RESULT);

		if (skf_cni_find_plugin(d, plugin(l, i)->type, path, sizeof(path), e) < 0) {
			e->kind = SKF_EUNAVAILABLE;
			return skf_ctx(e, "network '%s'", l->name);
		}
		if (l->level >= SKF_CNI_1_1_0 && run_plugin(&k, plugin(l, i), "STATUS", &out, NULL, e) < 0)
			return -1;
	}
	return 0;
}

int skf_cni_plugin_versions(const struct skf_cni_dirs *d, const char *type, struct skf_arena *a,
			    struct skf_strv *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf out = SKF_BUF(SKF_MAX_CNI_RESULT);
	struct skf_cni_list any = {.name = (char *)"-"};
	struct skf_cni_exec x = {.verb = "VERSION", .in = "{\"cniVersion\":\"1.0.0\"}"};

	if (skf_cni_exec(d, &any, type, &x, &out, NULL, e) < 0)
		return -1;
	return skf_cni_versions_decode(type, skf_buf_cstr(&out), out.len, a, ret, e);
}
