/* engine/mount_words.c -- the words of -v and --tmpfs. Pure: the host is not looked at. --mount:
 * mount_fields.c. */
#include "engine/mount_words_int.h"
#include <string.h>

static const char *const type_names[SKF_N_MOUNT_TYPES] = {"bind",   "volume", "tmpfs", "image",
							  "devpts", "ramfs",  "glob"};

const char *skf_mount_type_name(enum skf_mount_type t)
{
	return (unsigned)t < SKF_N_MOUNT_TYPES ? type_names[t] : "unknown";
}

enum effect { RO, RW, RELABEL, PROPAGATION, NOTHING, NOCOPY, CHOWN, OVERLAY, IDMAP, NONRECURSIVE, KERNEL };
static const struct volume_option {
	const char *name;
	enum effect effect;
} options[] = {
	{"ro", RO},
	{"rw", RW},
	{"z", RELABEL},
	{"Z", RELABEL},
	{"shared", PROPAGATION},
	{"rshared", PROPAGATION},
	{"slave", PROPAGATION},
	{"rslave", PROPAGATION},
	{"private", PROPAGATION},
	{"rprivate", PROPAGATION},
	/* Hints of other platforms, without a meaning on Linux; docker takes them. */
	{"cached", NOTHING},
	{"delegated", NOTHING},
	{"consistent", NOTHING},
	{"copy", NOTHING},
	{"rbind", NOTHING},
	{"nocopy", NOCOPY},
	{"U", CHOWN},
	{"O", OVERLAY},
	{"idmap", IDMAP},
	{"bind", NONRECURSIVE},
	{"exec", KERNEL},
	{"noexec", KERNEL},
	{"suid", KERNEL},
	{"nosuid", KERNEL},
	{"dev", KERNEL},
	{"nodev", KERNEL},
	{"nosymfollow", KERNEL},
};

static const struct volume_option *find_option(const char *p, size_t n)
{
	if (n > 6 && memcmp(p, "idmap=", 6) == 0)
		n = 5;
	for (size_t i = 0; i < SKF_ARRAY_LEN(options); i++)
		if (strlen(options[i].name) == n && !memcmp(options[i].name, p, n))
			return &options[i];
	return NULL;
}

int skf_mount_no_memory(const char *spec, struct skf_err *e)
{
	return skf_fail(e, SKF_ENOMEM, "memory for the mount '%.100s'", spec);
}

/* *access: 1 ro, 0 rw, -1 not said yet. -EEXIST: the same is said twice. */
static int apply(const struct volume_option *o, char *word, struct skf_arena *a, struct skf_mount_req *m,
		 int *access)
{
	switch (o->effect) {
	case RO:
	case RW:
		if (*access >= 0)
			return -EEXIST;
		*access = o->effect == RO;
		return 0;
	case PROPAGATION:
		if (m->propagation)
			return -EEXIST;
		m->propagation = word;
		return 0;
	case RELABEL:
		m->relabel = true;
		m->relabel_private = word[0] == 'Z';
		return 0;
	case NOCOPY:
		m->nocopy = true;
		return 0;
	case CHOWN:
		m->chown = true;
		return 0;
	case OVERLAY:
		m->overlay = true;
		return 0;
	case IDMAP:
		m->idmap = word[5] ? word + 6 : word + 5;
		return 0;
	case NONRECURSIVE:
		m->nonrecursive = true;
		return 0;
	case KERNEL:
		return skf_strv_add(a, &m->options, word);
	case NOTHING:
		return 0;
	}
	return -EINVAL;
}

static int parse_options(const char *spec, const char *list, struct skf_arena *a, struct skf_mount_req *m,
			 struct skf_err *e)
{
	int access = -1;

	for (const char *p = list; *p;) {
		size_t n = strcspn(p, ",");
		const struct volume_option *o = find_option(p, n);
		char *word = skf_arena_dup(a, p, n);
		int r = !word ? -ENOMEM : o ? apply(o, word, a, m, &access) : -EINVAL;

		if (r == -ENOMEM)
			return skf_mount_no_memory(spec, e);
		if (r < 0)
			return skf_fail(e, SKF_EINVALID,
					"invalid volume specification: '%s': invalid mode: %s", spec, list);
		p += n + (p[n] == ',');
	}
	m->readonly = access == 1;
	m->mode = skf_arena_strdup(a, list);
	return m->mode ? 0 : skf_mount_no_memory(spec, e);
}

/* "/a//b/./c/" -> "/a/b/c"; ".." is resolved by text, as docker cleans it. */
char *skf_mount_clean_path(struct skf_arena *a, const char *p)
{
	char *out = skf_arena_alloc(a, strlen(p) + 2);
	size_t n = 0;

	if (!out)
		return NULL;
	while (*p) {
		size_t len = strcspn(p, "/");

		if (len == 2 && p[0] == '.' && p[1] == '.') {
			while (n > 0 && out[--n] != '/')
				;
		} else if (len > 0 && !(len == 1 && p[0] == '.')) {
			out[n++] = '/';
			memcpy(out + n, p, len);
			n += len;
		}
		p += len + (p[len] == '/');
	}
	if (n == 0)
		out[n++] = '/';
	out[n] = '\0';
	return out;
}

static int check_source(const char *source, struct skf_err *e)
{
	if (source[0] == '.' || strchr(source, '/') || !skf_name_valid(source))
		return skf_fail(e, SKF_EINVALID,
				"create %s: \"%s\" includes invalid characters for a local volume name, "
				"only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" "
				"are allowed. If you intended to pass a host directory, use absolute path",
				source, source);
	return 0;
}

int skf_mount_check_target(const char *spec, const char *type, struct skf_arena *a, struct skf_mount_req *m,
			   struct skf_err *e)
{
	if (m->target[0] != '/')
		return skf_fail(e, SKF_EINVALID,
				"invalid volume specification: '%s': invalid mount config for type "
				"\"%s\": invalid mount path: '%s' mount "
				"path must be absolute",
				spec, type, m->target);
	m->target = skf_mount_clean_path(a, m->target);
	if (!m->target)
		return skf_mount_no_memory(spec, e);
	if (skf_streq(m->target, "/"))
		return skf_fail(e, SKF_EINVALID,
				"invalid volume specification: '%s': invalid specification: destination "
				"can't be '/'",
				spec);
	return 0;
}

static int parse_source(const char *spec, const char *p, size_t n, struct skf_arena *a,
			struct skf_mount_req *m, struct skf_err *e)
{
	m->source = skf_arena_dup(a, p, n);
	if (!m->source)
		return skf_mount_no_memory(spec, e);
	if (m->source[0] != '/')
		return check_source(m->source, e);
	m->type = SKF_MOUNT_BIND;
	m->make_source = true;
	m->source = skf_mount_clean_path(a, m->source);
	return m->source ? 0 : skf_mount_no_memory(spec, e);
}

int skf_engine_parse_volume(const char *spec, struct skf_arena *a, struct skf_mount_req *ret,
			    struct skf_err *e)
{
	struct skf_mount_req m = {.type = SKF_MOUNT_VOLUME};
	const char *c1 = strchr(spec, ':'), *c2 = c1 ? strchr(c1 + 1, ':') : NULL;

	if (!c1 && spec[0] != '/')
		return skf_fail(e, SKF_EINVALID,
				"invalid volume specification: '%s': expected HOST:CONTAINER[:OPTIONS]",
				spec);
	if (!c1)
		m.target = skf_arena_strdup(a, spec);
	else
		m.target =
			c2 ? skf_arena_dup(a, c1 + 1, (size_t)(c2 - c1 - 1)) : skf_arena_strdup(a, c1 + 1);
	if (!m.target)
		return skf_mount_no_memory(spec, e);
	if (c1 &&
	    (c1 == spec || !*m.target || (c2 && (!c2[1] || (strchr(c2 + 1, ':') && !strstr(c2, "idmap="))))))
		return skf_fail(e, SKF_EINVALID, "invalid volume specification: '%s'", spec);
	if (c1 && parse_source(spec, spec, (size_t)(c1 - spec), a, &m, e) < 0)
		return -1;
	if (skf_mount_check_target(spec, "bind", a, &m, e) < 0)
		return -1;
	if (c2 && parse_options(spec, c2 + 1, a, &m, e) < 0)
		return -1;
	*ret = m;
	return 0;
}

/* docker's defaults of a tmpfs, unless the user says the contrary. */
static int tmpfs_defaults(struct skf_arena *a, const struct skf_strv *given, struct skf_strv *to)
{
	static const struct {
		const char *word, *contrary;
	} defaults[] = {{"nosuid", "suid"}, {"nodev", "dev"}, {"noexec", "exec"}};

	for (size_t i = 0; i < SKF_ARRAY_LEN(defaults); i++) {
		bool said = false;

		for (size_t j = 0; j < given->n; j++)
			said |= skf_streq(given->v[j], defaults[i].word) ||
				skf_streq(given->v[j], defaults[i].contrary);
		if (!said && skf_strv_add(a, to, defaults[i].word) < 0)
			return -ENOMEM;
	}
	return 0;
}

int skf_mount_tmpfs_options(struct skf_arena *a, struct skf_mount_req *m)
{
	struct skf_strv v = {0};

	if (tmpfs_defaults(a, &m->options, &v) < 0)
		return -ENOMEM;
	for (size_t i = 0; i < m->options.n; i++)
		if (skf_strv_add(a, &v, m->options.v[i]) < 0)
			return -ENOMEM;
	m->options = v;
	return 0;
}

int skf_engine_parse_tmpfs(const char *spec, struct skf_arena *a, struct skf_mount_req *ret,
			   struct skf_err *e)
{
	struct skf_mount_req m = {.type = SKF_MOUNT_TMPFS};
	const char *colon = strchr(spec, ':'), *p = colon ? colon + 1 : "";

	m.target = colon ? skf_arena_dup(a, spec, (size_t)(colon - spec)) : skf_arena_strdup(a, spec);
	m.mode = skf_arena_strdup(a, p);
	if (!m.target || !m.mode)
		return skf_mount_no_memory(spec, e);
	if (skf_mount_check_target(spec, "tmpfs", a, &m, e) < 0)
		return -1;
	while (*p) {
		size_t n = strcspn(p, ",");
		char *word = n ? skf_arena_dup(a, p, n) : NULL;

		if (n && (!word || skf_strv_add(a, &m.options, word) < 0))
			return skf_mount_no_memory(spec, e);
		m.readonly |= n && skf_streq(word, "ro");
		p += n + (p[n] == ',');
	}
	if (skf_mount_tmpfs_options(a, &m) < 0)
		return skf_mount_no_memory(spec, e);
	*ret = m;
	return 0;
}
