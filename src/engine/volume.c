/* engine/volume.c -- the words of -v: HOST:CTR[:options]. Pure. */
#include "engine/engine_int.h"
#include <string.h>

struct volume_option {
	const char *name, *propagation;
	int readonly; /* 1 ro, 0 rw, -1 says nothing */
	bool selinux;
};
static const struct volume_option options[] = {
	{"ro", NULL, 1, false},
	{"rw", NULL, 0, false},
	{"z", NULL, -1, true},
	{"Z", NULL, -1, true},
	{"shared", "shared", -1, false},
	{"rshared", "rshared", -1, false},
	{"slave", "slave", -1, false},
	{"rslave", "rslave", -1, false},
	{"private", "private", -1, false},
	{"rprivate", "rprivate", -1, false},
	/* Hints of other platforms, without a meaning on Linux; docker takes them. */
	{"cached", NULL, -1, false},
	{"delegated", NULL, -1, false},
	{"consistent", NULL, -1, false},
};

static const struct volume_option *find_option(const char *p, size_t n)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(options); i++)
		if (strlen(options[i].name) == n && !memcmp(options[i].name, p, n))
			return &options[i];
	return NULL;
}

static int parse_options(const char *spec, const char *list, struct skf_arena *a, struct skf_mount_req *m,
			 struct skf_err *e)
{
	int ro = -1;

	while (*list) {
		size_t n = strcspn(list, ",");
		const struct volume_option *o = find_option(list, n);

		if (!o || (o->readonly >= 0 && ro >= 0) || (o->propagation && m->propagation))
			return skf_fail(e, SKF_EINVALID,
					"invalid volume specification: '%s': invalid mode: %s", spec, list);
		if (o->readonly >= 0)
			ro = o->readonly;
		if (o->propagation) {
			m->propagation = skf_arena_strdup(a, o->propagation);
			if (!m->propagation)
				return skf_fail(e, SKF_ENOMEM, "memory for the volume '%s'", spec);
		}
		/* z and Z relabel for SELinux; without SELinux there is nothing to relabel, and docker
		 * ignores them as well. */
		m->relabel |= o->selinux;
		list += n + (list[n] == ',');
	}
	m->readonly = ro == 1;
	return 0;
}

/* "/a//b/./c/" -> "/a/b/c"; ".." is resolved by text, as docker cleans it. */
static char *clean_path(struct skf_arena *a, const char *p)
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

static int check_source(const char *spec, const char *source, struct skf_err *e)
{
	if (source[0] == '/')
		return 0;
	if (source[0] == '.' || strchr(source, '/') || !skf_name_valid(source))
		return skf_fail(e, SKF_EINVALID,
				"create %s: \"%s\" includes invalid characters for a local volume name, "
				"only \"[a-zA-Z0-9][a-zA-Z0-9_.-]\" "
				"are allowed. If you intended to pass a host directory, use absolute path",
				source, source);
	return skf_fail(e, SKF_EUNSUPPORTED,
			"the volume '%s' is a named volume, which this version does not have; give an "
			"absolute host path: -v /path:%s",
			source, spec + strlen(source) + 1);
}

int skf_engine_parse_volume(const char *spec, struct skf_arena *a, struct skf_mount_req *ret,
			    struct skf_err *e)
{
	struct skf_mount_req m = {0};
	const char *c1 = strchr(spec, ':'), *c2 = c1 ? strchr(c1 + 1, ':') : NULL;
	char *target;

	if (!c1) {
		if (spec[0] != '/')
			return skf_fail(
				e, SKF_EINVALID,
				"invalid volume specification: '%s': expected HOST:CONTAINER[:OPTIONS]",
				spec);
		return skf_fail(e, SKF_EUNSUPPORTED,
				"the volume '%s' is anonymous, which this version does not have; give a "
				"host path: -v /path:%s",
				spec, spec);
	}
	m.source = skf_arena_dup(a, spec, (size_t)(c1 - spec));
	target = c2 ? skf_arena_dup(a, c1 + 1, (size_t)(c2 - c1 - 1)) : skf_arena_strdup(a, c1 + 1);
	if (!m.source || !target)
		return skf_fail(e, SKF_ENOMEM, "memory for the volume '%s'", spec);
	if (!*m.source || !*target || (c2 && (!c2[1] || strchr(c2 + 1, ':'))))
		return skf_fail(e, SKF_EINVALID, "invalid volume specification: '%s'", spec);
	if (check_source(spec, m.source, e) < 0)
		return -1;
	if (target[0] != '/')
		return skf_fail(e, SKF_EINVALID,
				"invalid volume specification: '%s': invalid mount config for type "
				"\"bind\": invalid mount path: '%s' mount "
				"path must be absolute",
				spec, target);
	m.target = clean_path(a, target);
	m.source = clean_path(a, m.source);
	if (!m.target || !m.source)
		return skf_fail(e, SKF_ENOMEM, "memory for the volume '%s'", spec);
	if (skf_streq(m.target, "/"))
		return skf_fail(e, SKF_EINVALID,
				"invalid volume specification: '%s': invalid specification: destination "
				"can't be '/'",
				spec);
	if (c2 && parse_options(spec, c2 + 1, a, &m, e) < 0)
		return -1;
	*ret = m;
	return 0;
}
