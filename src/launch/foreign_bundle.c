/* launch/foreign_bundle.c -- a container's config.json as another OCI runtime gets it: without our own
 * members, with paths in place of what our runtime takes as descriptors (root, sources of mounts,
 * namespaces). The paths are valid while launch, later the monitor, lives, in the mount namespace that the
 * runtime is started in. Writes one file. */
#include "launch/foreign_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include <json-c/json.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int set(struct json_object *o, const char *key, struct json_object *v)
{
	if (v && json_object_object_add(o, key, v) == 0)
		return 0;
	json_object_put(v);
	return -ENOMEM;
}

/* "/proc/self/fd/N" is another file in another process. */
static int set_path(struct json_object *o, const char *path)
{
	static const char own[] = "/proc/self/fd/";
	char text[64];

	if (strncmp(path, own, strlen(own)) != 0)
		return set(o, "path", json_object_new_string(path));
	snprintf(text, sizeof(text), "/proc/%d/fd/%s", (int)getpid(), path + strlen(own));
	return set(o, "path", json_object_new_string(text));
}

/* The document's list and the decoded one have the same order. */
static int namespaces(const struct skf_launch *l, struct json_object *root)
{
	const struct skf_spec_namespace *n = l->spec->linux_.namespaces.v;
	struct json_object *linux_, *v;
	char path[64];
	int r = 0;

	if (!json_object_object_get_ex(root, "linux", &linux_) ||
	    !json_object_object_get_ex(linux_, "namespaces", &v))
		return 0;
	for (size_t i = 0; r == 0 && i < l->spec->linux_.namespaces.n && i < json_object_array_length(v);
	     i++) {
		struct json_object *o = json_object_array_get_idx(v, i);

		if (n[i].path) {
			r = set_path(o, n[i].path);
		} else if (n[i].type == CLONE_NEWNET && l->foreign.netns >= 0) {
			snprintf(path, sizeof(path), "/proc/self/fd/%d", l->foreign.netns);
			r = set_path(o, path);
		}
	}
	return r;
}

/* Type and options, which a start may have changed: the pod's /dev/shm. */
static int as_decoded(struct json_object *o, const struct skf_spec_mount *m)
{
	struct json_object *v = json_object_new_array();
	int r = set(o, "options", v);

	for (size_t i = 0; r == 0 && i < m->options.n; i++) {
		struct json_object *s = json_object_new_string(m->options.v[i]);

		r = s && json_object_array_add(v, s) == 0 ? 0 : -ENOMEM;
	}
	return r == 0 && m->type ? set(o, "type", json_object_new_string(m->type)) : r;
}

static int mounts(const struct skf_launch *l, struct json_object *root)
{
	struct json_object *v;
	char path[4096];
	int r = 0;

	if (!json_object_object_get_ex(root, "mounts", &v))
		return 0;
	for (size_t i = 0; r == 0 && i < json_object_array_length(v); i++) {
		if (!skf_foreign_is_placed(l, i))
			continue;
		r = skf_fmt(path, sizeof(path), "%s/" SKF_FOREIGN_SOURCE "%zu", l->foreign.base, i);
		if (r == 0)
			r = set(json_object_array_get_idx(v, i), "source", json_object_new_string(path));
		if (r == 0)
			r = as_decoded(json_object_array_get_idx(v, i),
				       (const struct skf_spec_mount *)l->spec->mounts.v + i);
	}
	return r;
}

static int map(struct json_object *linux_, const char *key, const struct skf_jarr *all)
{
	static const char *const keys[] = {"containerID", "hostID", "size"};
	const struct skf_idmap *m = all->v;
	struct json_object *v = json_object_new_array();
	int r = set(linux_, key, v);

	for (size_t i = 0; r == 0 && i < all->n; i++) {
		const uint32_t numbers[] = {m[i].container_id, m[i].host_id, m[i].size};
		struct json_object *o = json_object_new_object();

		r = o && json_object_array_add(v, o) == 0 ? 0 : -ENOMEM;
		for (size_t k = 0; r == 0 && k < SKF_ARRAY_LEN(keys); k++)
			r = set(o, keys[k], json_object_new_int64((int64_t)numbers[k]));
	}
	return r;
}

/* Of a user namespace by path config.json has none; runtimes want to know the host's id of root all the
 * same. */
static int id_maps(const struct skf_launch *l, struct json_object *root)
{
	struct json_object *linux_;
	int r;

	if (l->userns < 0 || !json_object_object_get_ex(root, "linux", &linux_))
		return 0;
	r = map(linux_, "uidMappings", &l->ids.uids);
	return r == 0 ? map(linux_, "gidMappings", &l->ids.gids) : r;
}

/* The one of l->process: with secrets in it, which config.json has not. */
static int environment(const struct skf_launch *l, struct json_object *process)
{
	struct json_object *v = json_object_new_array();
	int r = set(process, "env", v);

	for (size_t i = 0; r == 0 && i < l->process->env.n; i++) {
		struct json_object *s = json_object_new_string(l->process->env.v[i]);

		r = s && json_object_array_add(v, s) == 0 ? 0 : -ENOMEM;
	}
	return r;
}

static int edit(const struct skf_launch *l, struct json_object *root)
{
	static const char *const ours[] = {"v", "min", "skiff"};
	struct json_object *o;
	int r = 0;

	for (size_t i = 0; i < SKF_ARRAY_LEN(ours); i++)
		json_object_object_del(root, ours[i]);
	if (json_object_object_get_ex(root, "root", &o))
		r = set(o, "path", json_object_new_string(l->foreign.root));
	if (r == 0 && json_object_object_get_ex(root, "process", &o))
		r = environment(l, o);
	if (r == 0 && l->process->has_console_size && json_object_object_get_ex(root, "process", &o)) {
		struct json_object *box = json_object_new_object();

		r = set(o, "consoleSize", box);
		if (r == 0)
			r = set(box, "height",
				json_object_new_int64((int64_t)l->process->console_size.height));
		if (r == 0)
			r = set(box, "width",
				json_object_new_int64((int64_t)l->process->console_size.width));
	}
	if (r == 0)
		r = namespaces(l, root);
	if (r == 0)
		r = id_maps(l, root);
	return r == 0 ? mounts(l, root) : r;
}

/* text: JSON that was decoded before. */
static int rewrite(const struct skf_launch *l, const char *text, size_t n,
		   int (*change)(const struct skf_launch *, struct json_object *), int dir, const char *name)
{
	struct json_tokener *t = json_tokener_new_ex(SKF_MAX_JSON_DEPTH);
	struct json_object *root = t ? json_tokener_parse_ex(t, text, (int)n) : NULL;
	const char *out;
	int r = root ? change(l, root) : -ENOMEM;

	out = r == 0 ? json_object_to_json_string_ext(root, JSON_C_TO_STRING_PLAIN |
								    JSON_C_TO_STRING_NOSLASHESCAPE)
		     : NULL;
	if (r == 0)
		r = out ? skf_write_atomic_at(dir, name, out, strlen(out), 0600, 0) : -ENOMEM;
	json_object_put(root);
	if (t)
		json_tokener_free(t);
	return r;
}

int skf_foreign_process(const struct skf_launch *l, int dir, const char *name)
{
	return rewrite(l, l->q.process_json, strlen(l->q.process_json), environment, dir, name);
}

int skf_foreign_bundle(const struct skf_launch *l, int dir, const char *bundle, struct skf_err *e)
{
	int r = rewrite(l, l->config.p, l->config.len, edit, dir, "config.json");

	return r < 0 ? skf_fail_sys(e, r, "write '%s/config.json' for '%s'", bundle, l->foreign.path) : 0;
}

/* The last message of a runtime's log: lines of {"level":"error","msg":"..."}; what is not JSON is shown as
 * it is. */
void skf_foreign_last_message(const char *log, char *out, size_t size)
{
	const char *line = strrchr(log, '\n');
	struct json_object *o, *m;

	while (line && line > log && line[1] == '\0') { /* the end of the last line */
		const char *p = line - 1;

		while (p > log && *p != '\n')
			p--;
		line = p;
	}
	line = line ? line + (*line == '\n') : log;
	o = json_tokener_parse(line);
	if (o && json_object_object_get_ex(o, "msg", &m))
		snprintf(out, size, "%s", json_object_get_string(m));
	else
		snprintf(out, size, "%.*s", (int)strcspn(line, "\n"), line);
	json_object_put(o);
}
