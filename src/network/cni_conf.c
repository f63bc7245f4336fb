/* network/cni_conf.c -- configuration lists of CNI: the files of the usual directories, in the order of
 * their names. A plugin's configuration is kept as text without the members that are ours to set; so it is
 * given to the plugin with everything in it that only the plugin knows. Clause: CNI SPEC.md section 1. */
#include "base/cleanup.h"
#include "base/fd.h"
#include "network/cni_int.h"
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <json-c/json.h>
#include <stdlib.h>
#include <string.h>

const char *const skf_cni_levels[SKF_CNI_LEVELS] = {"0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"};

static char *const usual_dirs[] = {(char *)"/etc/cni/net.d", NULL};

bool skf_cni_word_ok(const char *s)
{
	if (!s || !isascii((unsigned char)*s) || !isalnum((unsigned char)*s) ||
	    strlen(s) > SKF_MAX_NAME_BYTES)
		return false;
	for (; *s; s++)
		if (!isascii((unsigned char)*s) || !(isalnum((unsigned char)*s) || strchr("_.-", *s)))
			return false;
	return true;
}

/* --- one plugin --- */
static int on_capability(struct skf_jctx *c, const char *key, struct json_object *v, void *user)
{
	if (!json_object_get_boolean(v))
		return 0;
	return skf_strv_add(skf_j_arena(c), user, key) < 0 ? skf_j_fail(c, SKF_ENOMEM, "no memory") : 0;
}

struct body {
	struct skf_jw w;
	struct skf_cni_plugin *p;
};

static int on_plugin_member(struct skf_jctx *c, const char *key, struct json_object *v, void *user)
{
	static const char *const ours[] = {"name", "cniVersion", "cniVersions", "runtimeConfig",
					   "prevResult"};
	struct body *b = user;

	for (size_t i = 0; i < SKF_ARRAY_LEN(ours); i++)
		if (strcmp(key, ours[i]) == 0)
			return 0;
	if (strcmp(key, "type") == 0 && skf_j_str(c, v, &b->p->type, NULL) < 0)
		return -1;
	if (strcmp(key, "capabilities") == 0 && skf_j_each_member(c, v, on_capability, &b->p->caps) < 0)
		return -1;
	skf_jw_kraw(
		&b->w, key,
		json_object_to_json_string_ext(v, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	return 0;
}

static int on_plugin(struct skf_jctx *c, size_t i, struct json_object *v, void *user)
{
	SKF_AUTO(skf_buf_done) struct skf_buf text = SKF_BUF(SKF_MAX_CNI_CONF);
	struct skf_jarr *a = user;
	struct body b = {.w = SKF_JW(&text), .p = (struct skf_cni_plugin *)a->v + i};

	skf_jw_obj(&b.w);
	if (skf_j_each_member(c, v, on_plugin_member, &b) < 0)
		return -1;
	if (!b.p->type)
		return skf_j_fail(c, SKF_EINVALID, "a plugin needs a \"type\"");
	if (!skf_cni_word_ok(b.p->type))
		return skf_j_fail(c, SKF_EINVALID, "'%.80s' is not possible as the type of a plugin",
				  b.p->type);
	if (text.err)
		return skf_j_fail(c, SKF_ELIMIT, "the plugin's configuration is too long");
	b.p->body = skf_arena_dup(skf_j_arena(c), text.p + 1, text.len - 1); /* without its brace */
	a->n = i + 1;
	return b.p->body ? 0 : skf_j_fail(c, SKF_ENOMEM, "no memory");
}

static int decode_plugins(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct skf_jarr *a = dst;

	a->v = skf_arena_array(skf_j_arena(c), SKF_MAX_CNI_PLUGINS, sizeof(struct skf_cni_plugin));
	if (!a->v)
		return skf_j_fail(c, SKF_ENOMEM, "no memory");
	return skf_j_each_elem(c, v, SKF_MAX_CNI_PLUGINS, on_plugin, a);
}

/* --- the list --- */
struct top { /* as it is written; of a single configuration only the plugin's own name and version count */
	char *name, *version;
	struct skf_strv versions;
	bool disable_check, disable_gc;
	struct skf_jarr plugins;
};

/* "disableCheck": true, or "true" as some write it */
static int decode_flag(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	if (json_object_is_type(v, json_type_string)) {
		*(bool *)dst = strcmp(json_object_get_string(v), "true") == 0;
		return 0;
	}
	return skf_j_bool(c, v, dst, arg);
}

static const struct skf_jfield list_fields[] = {
	SKF_J(struct top, name, "name", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(struct top, version, "cniVersion", skf_j_str, NULL, 0),
	SKF_J(struct top, versions, "cniVersions", skf_j_strv, NULL, 0),
	SKF_J(struct top, disable_check, "disableCheck", decode_flag, NULL, 0),
	SKF_J(struct top, disable_gc, "disableGC", decode_flag, NULL, 0),
	SKF_J(struct top, plugins, "plugins", decode_plugins, NULL, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable list_table = {sizeof(struct top), list_fields, false, NULL};

static const struct skf_jfield single_fields[] = {
	SKF_J(struct top, name, "name", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(struct top, version, "cniVersion", skf_j_str, NULL, 0),
	SKF_J_END,
};
static const struct skf_jtable single_table = {sizeof(struct top), single_fields, false, NULL};

static int level_of(const char *version)
{
	for (int i = 0; i < SKF_CNI_LEVELS; i++)
		if (strcmp(version, skf_cni_levels[i]) == 0)
			return i;
	return -1;
}

/* The highest that both the file and we know (SPEC 1.1). A file without a version means 0.1.0, whose results
 * have another form. */
static int choose_level(const struct skf_jdoc *doc, const struct top *t, struct skf_err *e)
{
	int best = t->version ? level_of(t->version) : -1;

	for (size_t i = 0; i < t->versions.n; i++) {
		int l = level_of(t->versions.v[i]);

		best = l > best ? l : best;
	}
	if (best >= 0)
		return best;
	return skf_fail(e, SKF_EUNSUPPORTED,
			"%s: /cniVersion: '%.20s' is not supported: use one of 0.3.0 to 1.1.0", doc->name,
			t->version ? t->version : "");
}

/* A list whose only plugin is the text, so that there is one way to read plugins. */
static int wrap_single(const struct skf_jdoc *doc, const char *text, size_t n, struct skf_arena *a,
		       struct top *t, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CNI_CONF + 64);
	void *p = NULL;

	if (skf_json_decode(doc, text, n, &single_table, a, &p, e) < 0)
		return -1;
	*t = *(struct top *)p;
	skf_buf_str(&b, "{\"name\":\"x\",\"plugins\":[");
	skf_buf_put(&b, text, n);
	skf_buf_str(&b, "]}");
	if (b.err)
		return skf_fail(e, SKF_ELIMIT, "%s: longer than %u bytes", doc->name, SKF_MAX_CNI_CONF);
	if (skf_json_decode(&(struct skf_jdoc){doc->name, SKF_MAX_CNI_CONF + 64, NULL, NULL}, b.p, b.len,
			    &list_table, a, &p, e) < 0)
		return -1;
	t->plugins = ((struct top *)p)->plugins;
	return 0;
}

int skf_cni_list_decode(const char *file, const char *text, size_t n, bool single, struct skf_arena *a,
			struct skf_cni_list **ret, struct skf_err *e)
{
	struct skf_jdoc doc = {file, SKF_MAX_CNI_CONF, NULL, NULL};
	struct skf_cni_list *l = skf_arena_alloc(a, sizeof(*l));
	struct top t = {0};
	void *p = NULL;
	int level;

	if (single) {
		if (wrap_single(&doc, text, n, a, &t, e) < 0)
			return -1;
	} else {
		if (skf_json_decode(&doc, text, n, &list_table, a, &p, e) < 0)
			return -1;
		t = *(struct top *)p;
	}
	if (!skf_cni_word_ok(t.name))
		return skf_fail(e, SKF_EINVALID,
				"%s: /name: '%.80s' is not possible as the name of a network", file, t.name);
	if (t.plugins.n == 0)
		return skf_fail(e, SKF_EINVALID, "%s: /plugins: a network needs at least one plugin", file);
	level = choose_level(&doc, &t, e);
	if (level < 0)
		return -1;
	if (!l)
		return skf_fail(e, SKF_ENOMEM, "memory for '%s'", file);
	*l = (struct skf_cni_list){t.name,
				   skf_arena_strdup(a, file),
				   skf_arena_dup(a, text, n),
				   (enum skf_cni_level)level,
				   t.disable_check,
				   t.disable_gc,
				   t.plugins};
	if (!l->file || !l->text)
		return skf_fail(e, SKF_ENOMEM, "memory for '%s'", file);
	*ret = l;
	return 0;
}

/* --- directories --- */
static int is_conf(const struct dirent *x)
{
	return x->d_name[0] != '.' && (skf_endswith(x->d_name, ".conflist") ||
				       skf_endswith(x->d_name, ".conf") || skf_endswith(x->d_name, ".json"));
}

static int by_bytes(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

/* Called for each list that is valid (l) and each file that is not (e). Returns 0 to go on. */
typedef int (*on_list)(struct skf_cni_list *l, const struct skf_err *e, void *arg);

static int load_file(const char *dir, const char *name, struct skf_arena *a, struct skf_cni_list **ret,
		     struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CNI_CONF + 1);
	char path[512];
	int r = skf_fmt(path, sizeof(path), "%s/%s", dir, name);

	if (r == 0)
		r = skf_read_file_at(AT_FDCWD, path, SKF_MAX_CNI_CONF, &b);
	if (r < 0)
		return skf_fail_sys(e, r, "CNI configuration '%s/%s'", dir, name);
	return skf_cni_list_decode(path, skf_buf_cstr(&b), b.len, !skf_endswith(name, ".conflist"), a, ret,
				   e);
}

static int each_in(const char *dir, struct skf_arena *a, on_list fn, void *arg)
{
	struct dirent **x = NULL;
	int n = scandir(dir, &x, is_conf, by_bytes), r = 0;

	for (int i = 0; i < n; i++) {
		struct skf_err bad = SKF_ERR_INIT;
		struct skf_cni_list *l = NULL;

		if (r == 0)
			r = load_file(dir, x[i]->d_name, a, &l, &bad) < 0 ? fn(NULL, &bad, arg)
									  : fn(l, NULL, arg);
		free(x[i]);
	}
	free(x);
	return r; /* a directory that is not there has no networks */
}

static int each_list(const struct skf_cni_dirs *d, struct skf_arena *a, on_list fn, void *arg)
{
	char *const *dirs = d->conf.n ? d->conf.v : usual_dirs;
	int r = 0;

	for (size_t i = 0; r == 0 && (d->conf.n ? i < d->conf.n : dirs[i] != NULL); i++)
		r = each_in(dirs[i], a, fn, arg);
	return r;
}

struct search {
	const char *name;
	struct skf_cni_list *found;
	struct skf_err bad; /* of the first file that is not valid */
};

static int match(struct skf_cni_list *l, const struct skf_err *e, void *arg)
{
	struct search *s = arg;

	if (e) {
		if (s->bad.kind == SKF_OK)
			s->bad = *e;
		return 0;
	}
	if (strcmp(l->name, s->name) != 0)
		return 0;
	s->found = l;
	return 1;
}

int skf_cni_find(const struct skf_cni_dirs *d, const char *name, struct skf_arena *a,
		 struct skf_cni_list **ret, struct skf_err *e)
{
	struct search s = {.name = name};

	(void)each_list(d, a, match, &s);
	if (s.found) {
		*ret = s.found;
		return 0;
	}
	return skf_fail(e, SKF_ENOTFOUND, "no CNI network '%.80s' in '%s'%s%.300s", name,
			d->conf.n ? d->conf.v[0] : usual_dirs[0],
			s.bad.kind ? "; a file there is not valid: " : "", s.bad.kind ? s.bad.msg : "");
}

struct all {
	struct skf_arena *a;
	struct skf_strv *names, *bad;
};

static int collect(struct skf_cni_list *l, const struct skf_err *e, void *arg)
{
	struct all *all = arg;

	return skf_strv_add(all->a, e ? all->bad : all->names, e ? e->msg : l->name);
}

int skf_cni_names(const struct skf_cni_dirs *d, struct skf_arena *a, struct skf_strv *ret,
		  struct skf_strv *ret_bad, struct skf_err *e)
{
	struct skf_strv names = {0}, bad = {0};
	struct all all = {a, &names, &bad};

	if (each_list(d, a, collect, &all) < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for the CNI networks");
	*ret = names;
	*ret_bad = bad;
	return 0;
}

const char *skf_cni_version(const struct skf_cni_list *l)
{
	return skf_cni_levels[l->level];
}

const char *skf_cni_text(const struct skf_cni_list *l)
{
	return l->text;
}

const char *skf_cni_file(const struct skf_cni_list *l)
{
	return l->file;
}

const char *skf_cni_name(const struct skf_cni_list *l)
{
	return l->name;
}

bool skf_cni_can(const struct skf_cni_list *l, const char *capability)
{
	const struct skf_cni_plugin *p = l->plugins.v;

	for (size_t i = 0; i < l->plugins.n; i++)
		for (size_t k = 0; k < p[i].caps.n; k++)
			if (strcmp(p[i].caps.v[k], capability) == 0)
				return true;
	return false;
}
