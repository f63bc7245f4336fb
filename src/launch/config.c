/* launch/config.c -- the member "skiff" of a container's config.json: one table for reading, one function
 * for writing. Pure. */
#include "launch/config.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include <string.h>

#define C struct skf_ctrconf

static int index_of(const char *const *words, size_t n, const char *word)
{
	for (size_t i = 0; i < n; i++)
		if (skf_streq(words[i], word))
			return (int)i;
	return -EINVAL;
}

int skf_ctrconf_restart_parse(const char *word)
{
	static const char *const words[] = {"no", "always", "on-failure", "unless-stopped"};

	return index_of(words, SKF_ARRAY_LEN(words), word);
}

int skf_ctrconf_action_parse(const char *word)
{
	static const char *const words[] = {"none", "kill", "restart", "stop"};

	return index_of(words, SKF_ARRAY_LEN(words), word);
}

#define SRC(member, key, fn) SKF_J(struct skf_ctrconf_source, member, key, fn, NULL, SKF_J_NULL_OK)
static const struct skf_jfield source_f[] = {
	SKF_J(struct skf_ctrconf_source, target, "target", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SRC(volume, "volume", skf_j_str),
	SRC(container, "container", skf_j_str),
	SRC(directory, "directory", skf_j_str),
	SRC(subpath, "subpath", skf_j_str),
	SRC(layers, "layers", skf_j_strv),
	SRC(view, "view", skf_j_str),
	SRC(copy_up, "copyUp", skf_j_bool),
	SRC(chown, "chown", skf_j_bool),
	SRC(relabel, "relabel", skf_j_str),
	SRC(overlay, "overlay", skf_j_bool),
	SKF_J_END,
};
static int check_source(struct skf_jctx *c, void *obj)
{
	const struct skf_ctrconf_source *s = obj;

	return s->view && (strchr(s->view, '/') || s->view[0] == '.')
		       ? skf_j_fail(c, SKF_EINVALID, "view '%.40s' is no plain name", s->view)
		       : 0;
}

static const struct skf_jtable source_table = {
	.size = sizeof(struct skf_ctrconf_source), .f = source_f, .check = check_source};
static const struct skf_jarr_arg source_arr = {&source_table, SKF_MAX_MOUNTS};

#define SEC(member, key, fn, flags) SKF_J(struct skf_ctrconf_secret, member, key, fn, NULL, flags)
static const struct skf_jfield secret_f[] = {
	SEC(name, "name", skf_j_str_nonempty, SKF_J_REQUIRED),
	SEC(id, "id", skf_j_str, SKF_J_REQUIRED),
	SEC(file, "file", skf_j_str_nonempty, SKF_J_REQUIRED),
	SEC(target, "target", skf_j_str_nonempty, SKF_J_REQUIRED),
	SEC(env, "env", skf_j_bool, 0),
	SEC(uid, "uid", skf_j_u32, 0),
	SEC(gid, "gid", skf_j_u32, 0),
	SEC(mode, "mode", skf_j_u32, 0),
	SKF_J_END,
};
static int check_secret(struct skf_jctx *c, void *obj)
{
	const struct skf_ctrconf_secret *s = obj;

	return strchr(s->file, '/') || s->file[0] == '.'
		       ? skf_j_fail(c, SKF_EINVALID, "file '%.40s' is no plain name", s->file)
		       : 0;
}
static const struct skf_jtable secret_table = {
	.size = sizeof(struct skf_ctrconf_secret), .f = secret_f, .check = check_secret};
static const struct skf_jarr_arg secret_arr = {&secret_table, SKF_MAX_MOUNTS};

static void write_secrets(struct skf_jw *w, const struct skf_jarr *all)
{
	const struct skf_ctrconf_secret *s = all->v;

	skf_jw_karr(w, "secrets");
	for (size_t i = 0; i < all->n; i++, s++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "name", s->name);
		skf_jw_kstr(w, "id", s->id);
		skf_jw_kstr(w, "file", s->file);
		skf_jw_kstr(w, "target", s->target);
		skf_jw_kbool(w, "env", s->env);
		skf_jw_ku64(w, "uid", s->uid);
		skf_jw_ku64(w, "gid", s->gid);
		skf_jw_ku64(w, "mode", s->mode);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static void str_if(struct skf_jw *w, const char *key, const char *v)
{
	if (v)
		skf_jw_kstr(w, key, v);
}

static void write_sources(struct skf_jw *w, const struct skf_jarr *all)
{
	const struct skf_ctrconf_source *s = all->v;

	skf_jw_karr(w, "sources");
	for (size_t i = 0; i < all->n; i++, s++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "target", s->target);
		str_if(w, "volume", s->volume);
		str_if(w, "container", s->container);
		str_if(w, "directory", s->directory);
		str_if(w, "subpath", s->subpath);
		if (s->layers.n)
			skf_jw_kstrv(w, "layers", &s->layers);
		str_if(w, "view", s->view);
		skf_jw_kbool(w, "copyUp", s->copy_up);
		skf_jw_kbool(w, "chown", s->chown);
		str_if(w, "relabel", s->relabel);
		skf_jw_kbool(w, "overlay", s->overlay);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static bool is_form(const char *s)
{
	const char map[] = "map-";

	if (strcmp(s, "tree") == 0)
		return true;
	if (strncmp(s, map, strlen(map)) != 0)
		return false;
	s += strlen(map);
	return strspn(s, "0123456789abcdef") == 16 && strcmp(s + 16, "/tree") == 0;
}

static int check_storage(struct skf_jctx *c, void *obj)
{
	const struct skf_ctrconf_storage *s = obj;

	return is_form(s->form) ? 0
				: skf_j_fail(c, SKF_EINVALID, "form '%.40s' is none of a layer", s->form);
}

#define STO struct skf_ctrconf_storage
static const struct skf_jfield storage_f[] = {
	SKF_J(STO, driver, "driver", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(STO, lower, "lower", skf_j_bool, NULL, SKF_J_REQUIRED),
	SKF_J(STO, form, "form", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable storage_table = {.size = sizeof(STO), .f = storage_f, .check = check_storage};

/* Of a container of before there was a choice. */
static int default_storage(struct skf_jctx *c, struct skf_ctrconf *k)
{
	if (k->storage)
		return 0;
	k->storage = skf_arena_alloc(skf_j_arena(c), sizeof(*k->storage));
	if (!k->storage)
		return skf_j_fail(c, SKF_ENOMEM, "out of memory");
	*k->storage = (STO){skf_arena_strdup(skf_j_arena(c), "overlay"), true,
			    skf_arena_strdup(skf_j_arena(c), "tree")};
	return k->storage->driver && k->storage->form ? 0 : skf_j_fail(c, SKF_ENOMEM, "out of memory");
}

static int check(struct skf_jctx *c, void *obj)
{
	struct skf_ctrconf *k = obj;

	if (default_storage(c, k) < 0)
		return -1;

	if (k->layers.n > SKF_MAX_LAYERS)
		return skf_j_fail(c, SKF_ELIMIT, "%zu layers, the kernel's overlay takes %d", k->layers.n,
				  SKF_MAX_LAYERS);
	if (k->stop_signal < 0 || k->stop_signal > 64)
		return skf_j_fail(c, SKF_EINVALID, "stopSignal %d is not one of 1 to 64", k->stop_signal);
	if (k->restart && skf_ctrconf_restart_parse(k->restart) < 0)
		return skf_j_fail(c, SKF_EINVALID, "restart '%.40s' is no restart policy", k->restart);
	if (k->health && k->health->on_failure && skf_ctrconf_action_parse(k->health->on_failure) < 0)
		return skf_j_fail(c, SKF_EINVALID, "health/onFailure '%.40s' is no action",
				  k->health->on_failure);
	if (!k->restart)
		k->restart = skf_arena_strdup(skf_j_arena(c), "no");
	if (!k->network)
		k->network = skf_arena_strdup(skf_j_arena(c), "none");
	if (!k->log_driver)
		k->log_driver = skf_arena_strdup(skf_j_arena(c), "json-file");
	return k->network && k->log_driver && k->restart ? 0 : skf_j_fail(c, SKF_ENOMEM, "out of memory");
}

#define HC struct skf_ctrconf_health
static const struct skf_jfield health_fields[] = {
	SKF_J(HC, test, "test", skf_j_strv, NULL, 0),
	SKF_J(HC, interval, "interval", skf_j_u64, NULL, 0),
	SKF_J(HC, timeout, "timeout", skf_j_u64, NULL, 0),
	SKF_J(HC, start_period, "startPeriod", skf_j_u64, NULL, 0),
	SKF_J(HC, start_interval, "startInterval", skf_j_u64, NULL, 0),
	SKF_J(HC, retries, "retries", skf_j_u32, NULL, 0),
	SKF_J(HC, on_failure, "onFailure", skf_j_str, NULL, 0),
	SKF_J(HC, process, "process", skf_j_raw, NULL, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable health_table = {.size = sizeof(HC), .f = health_fields};

static const struct skf_jfield fields[] = {
	SKF_J(C, name, "name", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_J(C, image, "image", skf_j_str, NULL, SKF_J_REQUIRED),
	SKF_J(C, image_id, "imageId", skf_j_str, NULL, 0),
	SKF_J(C, manifest, "manifest", skf_j_str, NULL, 0),
	SKF_J(C, created, "created", skf_j_str, NULL, SKF_J_REQUIRED),
	SKF_J(C, layers, "layers", skf_j_strv, NULL, SKF_J_REQUIRED),
	SKF_J(C, storage, "storage", skf_j_objp, &storage_table, 0),
	SKF_J(C, command, "command", skf_j_strv, NULL, 0),
	SKF_J(C, sources, "sources", skf_j_arr, &source_arr, 0),
	SKF_J(C, mount_layers, "mountLayers", skf_j_strv, NULL, 0),
	SKF_J(C, secrets, "secrets", skf_j_arr, &secret_arr, 0),
	SKF_J(C, joins, "joins", skf_j_strv, NULL, 0),
	SKF_J(C, tty, "tty", skf_j_bool, NULL, 0),
	SKF_J(C, open_stdin, "openStdin", skf_j_bool, NULL, 0),
	SKF_J(C, stdin_once, "stdinOnce", skf_j_bool, NULL, 0),
	SKF_J(C, attach_stdin, "attachStdin", skf_j_bool, NULL, 0),
	SKF_J(C, stop_signal, "stopSignal", skf_j_i32, NULL, 0),
	SKF_J(C, stop_timeout, "stopTimeout", skf_j_i32, NULL, 0),
	SKF_J(C, remove, "remove", skf_j_bool, NULL, 0),
	SKF_J(C, readonly, "readonly", skf_j_bool, NULL, 0),
	SKF_J(C, network, "network", skf_j_str_nonempty, NULL, 0),
	SKF_J(C, pod, "pod", skf_j_str, NULL, 0),
	SKF_J(C, log_driver, "logDriver", skf_j_str_nonempty, NULL, 0),
	SKF_J(C, log_compress, "logCompress", skf_j_bool, NULL, 0),
	SKF_J(C, log_max_size, "logMaxSize", skf_j_u64, NULL, 0),
	SKF_J(C, log_max_file, "logMaxFile", skf_j_u32, NULL, 0),
	SKF_J(C, request, "request", skf_j_raw, NULL, 0),
	SKF_J(C, process_label, "processLabel", skf_j_str_nonempty, NULL, 0),
	SKF_J(C, mount_label, "mountLabel", skf_j_str_nonempty, NULL, 0),
	SKF_J(C, runtime, "runtime", skf_j_str_nonempty, NULL, 0),
	SKF_J(C, runtime_name, "runtimeName", skf_j_str_nonempty, NULL, 0),
	SKF_J(C, runtime_flags, "runtimeFlags", skf_j_strv, NULL, 0),
	SKF_J(C, rootfs, "rootfs", skf_j_str_nonempty, NULL, 0),
	SKF_J(C, rootfs_overlay, "rootfsOverlay", skf_j_bool, NULL, 0),
	SKF_J(C, rootfs_idmap, "rootfsIdmap", skf_j_bool, NULL, 0),
	SKF_J(C, sdnotify, "sdnotify", skf_j_str, NULL, 0),
	SKF_J(C, timeout, "timeout", skf_j_u32, NULL, 0),
	SKF_J(C, restart, "restart", skf_j_str_nonempty, NULL, 0),
	SKF_J(C, restart_max, "restartMax", skf_j_u32, NULL, 0),
	SKF_J(C, log_opts, "logOpts", skf_j_kvs, NULL, 0),
	SKF_J(C, health, "health", skf_j_objp, &health_table, 0),
	SKF_J_END,
};
const struct skf_jtable skf_ctrconf_table = {.size = sizeof(C), .f = fields, .check = check};

struct whole {
	struct skf_ctrconf *skiff;
};
static const struct skf_jfield whole_fields[] = {
	SKF_J(struct whole, skiff, "skiff", skf_j_objp, &skf_ctrconf_table, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable whole_table = {.size = sizeof(struct whole), .f = whole_fields};

int skf_ctrconf_parse(const char *config_json, size_t n, struct skf_arena *a, struct skf_ctrconf **ret,
		      struct skf_err *e)
{
	static const struct skf_jdoc doc = {.name = "config.json", .max_bytes = SKF_MAX_SPEC_BYTES};
	void *w;

	if (skf_json_decode(&doc, config_json, n, &whole_table, a, &w, e) < 0) {
		/* the file is our own: whatever is wrong with its text is damage, not a user's mistake */
		if (e->kind == SKF_EINVALID)
			e->kind = SKF_ECORRUPT;
		return -1;
	}
	*ret = ((struct whole *)w)->skiff;
	return 0;
}

static void write_health(struct skf_jw *w, const struct skf_ctrconf_health *h)
{
	skf_jw_kobj(w, "health");
	skf_jw_kstrv(w, "test", &h->test);
	skf_jw_ku64(w, "interval", h->interval);
	skf_jw_ku64(w, "timeout", h->timeout);
	skf_jw_ku64(w, "startPeriod", h->start_period);
	skf_jw_ku64(w, "startInterval", h->start_interval);
	skf_jw_kint(w, "retries", h->retries);
	skf_jw_kstr(w, "onFailure", h->on_failure ? h->on_failure : "none");
	skf_jw_kraw(w, "process", h->process);
	skf_jw_end(w);
}

static void write_storage(struct skf_jw *w, const STO *s)
{
	skf_jw_kobj(w, "storage");
	skf_jw_kstr(w, "driver", s->driver);
	skf_jw_kbool(w, "lower", s->lower);
	skf_jw_kstr(w, "form", s->form);
	skf_jw_end(w);
}

void skf_ctrconf_write(struct skf_jw *w, const struct skf_ctrconf *c)
{
	skf_jw_kobj(w, "skiff");
	skf_jw_kstr(w, "name", c->name);
	skf_jw_kstr(w, "image", c->image);
	skf_jw_kstr(w, "imageId", c->image_id);
	skf_jw_kstr(w, "manifest", c->manifest);
	skf_jw_kstr(w, "created", c->created);
	skf_jw_kstrv(w, "layers", &c->layers);
	if (c->storage)
		write_storage(w, c->storage);
	skf_jw_kstrv(w, "command", &c->command);
	if (c->sources.n)
		write_sources(w, &c->sources);
	if (c->mount_layers.n)
		skf_jw_kstrv(w, "mountLayers", &c->mount_layers);
	if (c->secrets.n)
		write_secrets(w, &c->secrets);
	if (c->joins.n)
		skf_jw_kstrv(w, "joins", &c->joins);
	skf_jw_kbool(w, "tty", c->tty);
	skf_jw_kbool(w, "openStdin", c->open_stdin);
	skf_jw_kbool(w, "stdinOnce", c->stdin_once);
	skf_jw_kbool(w, "attachStdin", c->attach_stdin);
	skf_jw_kint(w, "stopSignal", c->stop_signal);
	skf_jw_kint(w, "stopTimeout", c->stop_timeout);
	skf_jw_kbool(w, "remove", c->remove);
	skf_jw_kstr(w, "network", c->network);
	if (c->sdnotify)
		skf_jw_kstr(w, "sdnotify", c->sdnotify);
	if (c->pod && *c->pod)
		skf_jw_kstr(w, "pod", c->pod);
	skf_jw_kbool(w, "readonly", c->readonly);
	skf_jw_kstr(w, "logDriver", c->log_driver);
	if (c->log_compress)
		skf_jw_kbool(w, "logCompress", true);
	skf_jw_ku64(w, "logMaxSize", c->log_max_size);
	skf_jw_kint(w, "logMaxFile", c->log_max_file);
	str_if(w, "processLabel", c->process_label);
	str_if(w, "mountLabel", c->mount_label);
	if (c->runtime) {
		skf_jw_kstr(w, "runtime", c->runtime);
		skf_jw_kstr(w, "runtimeName", c->runtime_name);
		skf_jw_kstrv(w, "runtimeFlags", &c->runtime_flags);
	}
	if (c->rootfs) {
		skf_jw_kstr(w, "rootfs", c->rootfs);
		skf_jw_kbool(w, "rootfsOverlay", c->rootfs_overlay);
		skf_jw_kbool(w, "rootfsIdmap", c->rootfs_idmap);
	}
	if (c->timeout)
		skf_jw_ku64(w, "timeout", c->timeout);
	skf_jw_kstr(w, "restart", c->restart ? c->restart : "no");
	skf_jw_kint(w, "restartMax", c->restart_max);
	if (c->log_opts.n)
		skf_jw_kkvs(w, "logOpts", &c->log_opts);
	if (c->health)
		write_health(w, c->health);
	if (c->request)
		skf_jw_kraw(w, "request", c->request);
	skf_jw_end(w);
}
