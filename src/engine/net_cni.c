/* engine/net_cni.c -- CNI networks as networks of the engine: found by name in the directories of
 * configuration lists when no network of ours has the name. Nothing of them is kept in lib/: the file is the
 * network, who removes it removes the network. Its id is made of its name alone, so that a container's
 * network.json, which has both, means the same network after every change of the file. */
#include "engine/net_cni.h"
#include <stdio.h>
#include <string.h>

struct skf_cni_dirs skf_net_cni_dirs(const struct skf_engine *g)
{
	return (struct skf_cni_dirs){.conf = g->conf.cni_conf_dirs, .bin = g->conf.cni_plugin_dirs};
}

/* FNV-1a, four times with other beginnings: no secret, only the same for the same name. */
void skf_net_cni_id(const char *name, char ret[SKF_ID_LEN + 1])
{
	for (unsigned k = 0; k < 4; k++) {
		uint64_t h = 14695981039346656037u + k;

		for (const char *p = name; *p; p++)
			h = (h ^ (uint8_t)*p) * 1099511628211u;
		snprintf(ret + 16 * (size_t)k, 17, "%016llx", (unsigned long long)h);
	}
}

static int make_object(const char *name, struct skf_arena *a, struct skf_network **ret, struct skf_err *e)
{
	struct skf_network *n = skf_arena_alloc(a, sizeof(*n));
	char id[SKF_ID_LEN + 1];

	if (!n)
		return skf_net_no_memory(e);
	skf_net_cni_id(name, id);
	*n = (struct skf_network){.id = skf_arena_strdup(a, id),
				  .name = skf_arena_strdup(a, name),
				  .driver = skf_arena_strdup(a, SKF_NET_CNI),
				  .interface = skf_arena_strdup(a, ""),
				  .created = skf_arena_strdup(a, ""),
				  .attachable = true,
				  .icc = true};
	if (!n->id || !n->name || !n->driver || !n->interface || !n->created)
		return skf_net_no_memory(e);
	*ret = n;
	return 0;
}

int skf_net_cni_list(struct skf_engine *g, struct skf_cni_dirs *d, const char *name, struct skf_arena *a,
		     struct skf_cni_list **ret, struct skf_err *e)
{
	*d = skf_net_cni_dirs(g);
	return skf_cni_find(d, name, a, ret, e);
}

int skf_net_cni_names(struct skf_engine *g, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e)
{
	struct skf_cni_dirs d = skf_net_cni_dirs(g);
	struct skf_strv all = {0}, bad = {0};

	*ret = (struct skf_strv){0};
	if (skf_cni_names(&d, a, &all, &bad, e) < 0)
		return -1;
	for (size_t i = 0; i < bad.n; i++)
		skf_debug(&g->log, "%s; ignoring", bad.v[i]);
	for (size_t i = 0; i < all.n; i++) {
		struct skf_err x = SKF_ERR_INIT;
		struct skf_network *ours;
		bool before = false;

		for (size_t k = 0; k < ret->n && !before; k++)
			before = skf_streq(ret->v[k], all.v[i]);
		if (before || skf_streq(all.v[i], "host") || skf_streq(all.v[i], "none") ||
		    skf_streq(all.v[i], "default") ||
		    (skf_network_find(g->root_fd, all.v[i], a, &ours, &x) == 0 &&
		     skf_streq(ours->name, all.v[i])))
			continue; /* a network of ours has the name */
		if (skf_strv_add(a, ret, all.v[i]) < 0)
			return skf_net_no_memory(e);
	}
	return 0;
}

/* By the beginning of an id that no other has; *ret stays NULL otherwise. */
static int find_by_id(struct skf_engine *g, const char *word, struct skf_arena *a, const char **ret,
		      struct skf_err *e)
{
	struct skf_strv names;
	size_t n = 0;

	if (strlen(word) > SKF_ID_LEN || strspn(word, "0123456789abcdef") != strlen(word))
		return 0;
	if (skf_net_cni_names(g, a, &names, e) < 0)
		return -1;
	for (size_t i = 0; i < names.n; i++) {
		char id[SKF_ID_LEN + 1];

		skf_net_cni_id(names.v[i], id);
		if (skf_startswith(id, word) && n++ == 0)
			*ret = names.v[i];
	}
	if (n > 1)
		*ret = NULL;
	return 0;
}

int skf_net_cni_find(struct skf_engine *g, const char *word, struct skf_arena *a, struct skf_network **ret,
		     struct skf_err *e)
{
	const char *name = NULL;
	struct skf_cni_dirs d;
	struct skf_cni_list *l;

	if (skf_net_cni_list(g, &d, word, a, &l, e) == 0)
		name = skf_cni_name(l);
	else if (e->kind != SKF_ENOTFOUND)
		return -1;
	if (!name) {
		struct skf_err x = SKF_ERR_INIT;

		if (find_by_id(g, word, a, &name, &x) < 0) {
			*e = x;
			return -1;
		}
	}
	if (!name)
		return -1; /* as skf_cni_find() said */
	skf_err_clear(e);
	return make_object(name, a, ret, e);
}

int skf_net_load(struct skf_engine *g, const char *id, const char *name, struct skf_arena *a,
		 struct skf_network **ret, struct skf_err *e)
{
	char cni[SKF_ID_LEN + 1];
	struct skf_cni_dirs d;
	struct skf_cni_list *l;

	if (skf_network_load(g->root_fd, id, a, ret, e) == 0)
		return 0;
	if (e->kind != SKF_ENOTFOUND || !name)
		return -1;
	skf_net_cni_id(name, cni);
	if (!skf_streq(cni, id))
		return -1;
	skf_err_clear(e);
	return skf_net_cni_list(g, &d, name, a, &l, e) < 0 ? -1 : make_object(name, a, ret, e);
}

int skf_net_cni_refuse(struct skf_engine *g, const char *name, const char *what, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_err x = SKF_ERR_INIT;
	struct skf_cni_dirs d;
	struct skf_cni_list *l;
	struct skf_network *n;

	if (skf_net_cni_find(g, name, &a, &n, &x) < 0 || skf_net_cni_list(g, &d, n->name, &a, &l, &x) < 0)
		return 0;
	return skf_fail(
		e, SKF_EDENIED,
		"network %s is a CNI network and cannot be %s here: its configuration is the file '%s'",
		n->name, what, skf_cni_file(l));
}

/* What network inspect adds: file, version, plugins as they are written, and whether the network can take
 * containers now. */
int skf_net_cni_inspect(struct skf_engine *g, const char *name, struct skf_jw *w, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_err x = SKF_ERR_INIT;
	struct skf_cni_dirs d;
	struct skf_cni_list *l;
	int r;

	if (skf_net_cni_list(g, &d, name, &a, &l, e) < 0)
		return -1;
	r = skf_cni_status(&d, l, &x);
	skf_jw_kobj(w, "CNI");
	skf_jw_kstr(w, "File", skf_cni_file(l));
	skf_jw_kstr(w, "Version", skf_cni_version(l));
	skf_jw_kbool(w, "Ready", r == 0);
	skf_jw_kstr(w, "Problem", r < 0 ? x.msg : "");
	skf_jw_kraw(w, "Config", skf_cni_text(l));
	skf_jw_end(w);
	return 0;
}
