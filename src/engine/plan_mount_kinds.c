/* engine/plan_mount_kinds.c -- one wish as a mount of config.json, by type; and as a line of inspect. What
 * only exists at the start of a container (a directory inside a volume, the layers of an image, an overlay)
 * becomes a `source` that launch opens: no path that a container could have changed is ever resolved by
 * name. */
#include "engine/create_int.h"
#include <fcntl.h>
#include <glob.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int word(struct skf_plan *p, struct skf_gen_mount *g, const char *s)
{
	return skf_strv_add(p->a, &g->options, s);
}

static int push_mount(struct skf_plan *p, const struct skf_gen_mount *g, const struct skf_mount_point *at,
		      struct skf_err *e)
{
	if (skf_plan_push(p, (void **)&p->mounts, &p->n_mounts, &p->cap_mounts, g, sizeof(*g), e) < 0)
		return -1;
	return at ? skf_plan_push(p, (void **)&p->points, &p->n_points, &p->cap_points, at, sizeof(*at), e)
		  : 0;
}

static int push_source(struct skf_plan *p, const struct skf_ctrconf_source *s, struct skf_err *e)
{
	return skf_plan_push(p, (void **)&p->sources, &p->n_sources, &p->cap_sources, s, sizeof(*s), e);
}

/* Options of what is bound: a directory of the host, of a volume or of an image. */
static int bind_options(struct skf_plan *p, const struct skf_mount_req *m, struct skf_gen_mount *g)
{
	const char *propagation = m->propagation && *m->propagation ? m->propagation : "rprivate";
	int r = word(p, g, m->nonrecursive ? "bind" : "rbind");

	if (r == 0 && m->readonly)
		r = word(p, g, "ro");
	/* docker: what is mounted below is read-only, too, where nothing can be mounted there later. */
	if (r == 0 && m->readonly && !m->writable_below && !m->nonrecursive &&
	    strstr(propagation, "private"))
		r = word(p, g, "rro");
	if (r == 0)
		r = word(p, g, propagation);
	if (r == 0 && m->idmap) {
		char *text = *m->idmap ? skf_arena_fmt(p->a, "idmap=%s", m->idmap)
				       : skf_arena_strdup(p->a, "idmap");

		r = text ? word(p, g, text) : -ENOMEM;
	}
	for (size_t i = 0; r == 0 && i < m->options.n; i++)
		r = word(p, g, m->options.v[i]);
	return r;
}

static struct skf_mount_point point_of(const struct skf_mount_req *m)
{
	return (struct skf_mount_point){.type = (char *)(uintptr_t)skf_mount_type_name(m->type),
					.source = m->source,
					.target = m->target,
					.mode = m->mode,
					.propagation = m->propagation ? m->propagation : (char *)"rprivate",
					.rw = !m->readonly};
}

static int check_source(const struct skf_mount_req *m, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	struct stat st;

	if (stat(m->source, &st) == 0)
		return 0;
	if (errno != ENOENT)
		return skf_fail_sys(e, -errno, "look at the volume's source '%s'", m->source);
	if (!m->make_source)
		return skf_fail(
			e, SKF_EINVALID,
			"invalid mount config for type \"bind\": bind source path does not exist: %s",
			m->source);
	fd = skf_mkdirs_at(AT_FDCWD, m->source, 0755);
	return fd < 0 ? skf_fail_sys(e, fd, "make the volume's source '%s'", m->source) : 0;
}

static bool labels_files(const struct skf_plan *p)
{
	return p->conf.mount_label != NULL;
}

/* Z: for this container alone; z: for all. */
static char *relabel_word(const struct skf_plan *p, const struct skf_mount_req *m)
{
	if (!m->relabel || !labels_files(p))
		return NULL;
	return (char *)(uintptr_t)(m->relabel_private ? "private" : "shared");
}

static int plan_bind(struct skf_plan *p, const struct skf_mount_req *m, struct skf_err *e)
{
	struct skf_gen_mount g = {.target = m->target, .type = "bind", .source = m->source};
	struct skf_mount_point at = point_of(m);
	struct skf_ctrconf_source s = {.target = m->target,
				       .directory = m->source,
				       .overlay = m->overlay,
				       .chown = m->chown,
				       .relabel = relabel_word(p, m)};

	if ((labels_files(p) && skf_plan_relabel(m, e) < 0) || check_source(m, e) < 0)
		return -1;
	if (bind_options(p, m, &g) < 0)
		return skf_plan_no_memory(e);
	if ((m->overlay || m->chown || s.relabel) && push_source(p, &s, e) < 0)
		return -1;
	return push_mount(p, &g, &at, e);
}

static int plan_fs(struct skf_plan *p, const struct skf_mount_req *m, struct skf_err *e)
{
	const char *type = skf_mount_type_name(m->type);
	struct skf_gen_mount g = {.target = m->target, .type = type, .source = type};
	struct skf_mount_point at = point_of(m);
	char owner[64];

	at.source = (char *)"";
	at.propagation = (char *)"";
	for (size_t i = 0; i < m->options.n; i++)
		if (word(p, &g, m->options.v[i]) < 0)
			return skf_plan_no_memory(e);
	if (m->readonly && !m->mode && word(p, &g, "ro") < 0)
		return skf_plan_no_memory(e);
	if (m->chown) {
		snprintf(owner, sizeof(owner), "uid=%u", p->gen.process.uid);
		if (word(p, &g, owner) < 0)
			return skf_plan_no_memory(e);
		snprintf(owner, sizeof(owner), "gid=%u", p->gen.process.gid);
		if (word(p, &g, owner) < 0)
			return skf_plan_no_memory(e);
	}
	return push_mount(p, &g, &at, e);
}

/* Every file that the pattern means, at the target under its own name. */
static int plan_glob(struct skf_plan *p, const struct skf_mount_req *m, struct skf_err *e)
{
	glob_t found;
	int r = glob(m->source, GLOB_ERR, NULL, &found);

	if (r == GLOB_NOMATCH || found.gl_pathc == 0) {
		globfree(&found);
		return skf_fail(e, SKF_ENOTFOUND, "--mount type=glob: no file matches '%s'", m->source);
	}
	if (r != 0)
		return skf_fail(e, SKF_ESYSTEM, "--mount type=glob: list the files of '%s': %s", m->source,
				r == GLOB_NOSPACE ? "out of memory" : "a directory cannot be read");
	for (size_t i = 0; r == 0 && i < found.gl_pathc; i++) {
		struct skf_mount_req one = *m;
		const char *name = strrchr(found.gl_pathv[i], '/');

		one.type = SKF_MOUNT_BIND;
		one.source = skf_arena_strdup(p->a, found.gl_pathv[i]);
		one.target = skf_arena_fmt(p->a, "%s/%s", m->target, name ? name + 1 : found.gl_pathv[i]);
		r = one.source && one.target ? plan_bind(p, &one, e) : skf_plan_no_memory(e);
	}
	globfree(&found);
	return r;
}

static int plan_image_mount(struct skf_plan *p, const struct skf_mount_req *m, struct skf_err *e)
{
	struct skf_gen_mount g = {.target = m->target, .type = "bind", .source = p->dir};
	struct skf_mount_point at = point_of(m);
	struct skf_ctrconf_source s = {.target = m->target, .subpath = m->subpath};
	const struct skf_image_layer *l;
	struct skf_image *image;
	struct skf_refrec ref;

	if (skf_store_resolve(p->g->store, m->source, p->a, &image, &ref, e) < 0)
		return skf_ctx(e, "--mount type=image");
	l = image->layers.v;
	for (size_t i = 0; i < image->layers.n; i++)
		if (skf_strv_add(p->a, &s.layers, l[i].diff_id.s) < 0 ||
		    skf_strv_add(p->a, &p->conf.mount_layers, l[i].diff_id.s) < 0)
			return skf_plan_no_memory(e);
	at.rw = false;
	if (word(p, &g, "rbind") < 0 || word(p, &g, "ro") < 0 || word(p, &g, "rprivate") < 0)
		return skf_plan_no_memory(e);
	return push_source(p, &s, e) < 0 ? -1 : push_mount(p, &g, &at, e);
}

/* "KEY=VALUE" of a list, or of the options of a volume that exists. */
static const char *option_of(const struct skf_volume *v, const struct skf_strv *given, const char *key)
{
	const char *found = v ? skf_kvs_get(&v->options, key) : NULL;
	size_t n = strlen(key);

	for (size_t i = 0; !v && i < given->n; i++)
		if (strncmp(given->v[i], key, n) == 0 && given->v[i][n] == '=')
			found = given->v[i] + n + 1;
	return found;
}

/* A volume of the local driver with a device: the mount is made in each container, never on the host. */
static int driver_mount(struct skf_plan *p, const struct skf_mount_req *m, const char *type,
			const char *device, const char *o, struct skf_gen_mount *g)
{
	bool bind = skf_streq(type, "none") || skf_streq(type, "bind") || !*type;
	int r = 0;

	g->type = bind ? "bind" : type;
	g->source = device;
	while (*o && r == 0) {
		size_t n = strcspn(o, ",");
		char *text = n ? skf_arena_dup(p->a, o, n) : NULL;

		if (n)
			r = !text ? -ENOMEM : skf_startswith(text, "size=") && bind ? 0 : word(p, g, text);
		o += n + (o[n] == ',');
	}
	if (r == 0 && m->readonly)
		r = word(p, g, "ro");
	return r;
}

static int volume_name(struct skf_plan *p, const struct skf_mount_req *m, char **ret, struct skf_err *e)
{
	char name[SKF_ID_LEN + 1];
	int r = 0;

	if (m->source && *m->source) {
		*ret = m->source;
		return 0;
	}
	r = skf_random_hex(name, SKF_ID_LEN / 2);
	if (r < 0)
		return skf_fail_sys(e, r, "make up a volume's name");
	*ret = skf_arena_strdup(p->a, name);
	return *ret ? 0 : skf_plan_no_memory(e);
}

static int plan_volume(struct skf_plan *p, const struct skf_mount_req *m, struct skf_err *e)
{
	struct skf_plan_volume want = {
		.q = {.driver = m->driver, .options = m->driver_opts, .labels = m->labels}};
	struct skf_gen_mount g = {.target = m->target, .type = "bind"};
	struct skf_mount_point at = point_of(m);
	struct skf_ctrconf_source s = {.target = m->target,
				       .subpath = m->subpath,
				       .copy_up = !m->nocopy && !m->subpath,
				       .chown = m->chown,
				       .relabel = relabel_word(p, m)};
	const char *device, *type, *o;
	struct skf_volume *old = NULL;

	if (volume_name(p, m, &s.volume, e) < 0)
		return -1;
	want.q.name = s.volume;
	want.anonymous = !m->source || !*m->source;
	if (!want.anonymous && skf_engine_volume_get(p->g, s.volume, p->a, &old, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e);
	}
	device = option_of(old, &m->driver_opts, "device");
	type = option_of(old, &m->driver_opts, "type");
	o = option_of(old, &m->driver_opts, "o");
	at.source = skf_arena_fmt(p->a, "%s/volumes/%s/_data", p->g->root, s.volume);
	if (!at.source)
		return skf_plan_no_memory(e);
	g.source = at.source;
	if (device ? driver_mount(p, m, type ? type : "", device, o ? o : "", &g) < 0
		   : bind_options(p, m, &g) < 0)
		return skf_plan_no_memory(e);
	at.name = s.volume;
	at.driver = (char *)"local";
	at.anonymous = want.anonymous;
	at.propagation = m->propagation ? m->propagation : (char *)"";
	at.mode = m->mode ? m->mode : (char *)"z";
	if (skf_plan_push(p, (void **)&p->volumes, &p->n_volumes, &p->cap_volumes, &want, sizeof(want), e) <
	    0)
		return -1;
	if (!device && (s.copy_up || s.subpath || s.chown || labels_files(p)) && push_source(p, &s, e) < 0)
		return -1;
	return push_mount(p, &g, &at, e);
}

typedef int (*kind_fn)(struct skf_plan *p, const struct skf_mount_req *m, struct skf_err *e);
static const kind_fn kinds[SKF_N_MOUNT_TYPES] = {
	[SKF_MOUNT_BIND] = plan_bind,         [SKF_MOUNT_VOLUME] = plan_volume, [SKF_MOUNT_TMPFS] = plan_fs,
	[SKF_MOUNT_IMAGE] = plan_image_mount, [SKF_MOUNT_DEVPTS] = plan_fs,     [SKF_MOUNT_RAMFS] = plan_fs,
	[SKF_MOUNT_GLOB] = plan_glob,
};

int skf_plan_mount(struct skf_plan *p, const struct skf_mount_req *m, struct skf_err *e)
{
	return kinds[m->type](p, m, e);
}
