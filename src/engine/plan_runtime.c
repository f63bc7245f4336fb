/* engine/plan_runtime.c -- which OCI runtime runs the container: our own, or another one by name or path. A
 * name means the first path of the key `runtimes` that is there, else the program of that name along PATH;
 * its flags are those that `runtime_flags` gives that name, then those of --runtime-flag. Looks at the disk.
 */
#include "engine/create_int.h"
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define PLACES "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

/* The first of "PATH:PATH..." (with a name behind each when it is not NULL) that can be executed. */
static char *first_of(struct skf_plan *p, const char *list, const char *name)
{
	while (*list) {
		size_t n = strcspn(list, ":");
		char *path = name ? skf_arena_fmt(p->a, "%.*s/%s", (int)n, list, name)
				  : skf_arena_dup(p->a, list, n);

		if (n && list[0] == '/' && path && access(path, X_OK) == 0)
			return path;
		list += n + (list[n] == ':');
	}
	return NULL;
}

static int find(struct skf_plan *p, const char *name, struct skf_err *e)
{
	const struct skf_strv *v = &p->g->conf.runtimes;
	const char *where = getenv("PATH");
	size_t n = strlen(name);

	if (name[0] == '/') {
		p->conf.runtime = access(name, X_OK) == 0 ? skf_arena_strdup(p->a, name) : NULL;
		return p->conf.runtime ? 0 : skf_fail_sys(e, -errno, "use the runtime '%s'", name);
	}
	for (size_t i = 0; i < v->n; i++) {
		const char *eq = strchr(v->v[i], '=');

		if (!eq || eq == v->v[i])
			return skf_fail(e, SKF_EINVALID, "%s: runtimes: '%s' is not NAME=PATH[:PATH...]",
					skf_conf_origin(&p->g->conf, "runtimes"), v->v[i]);
		if ((size_t)(eq - v->v[i]) == n && memcmp(v->v[i], name, n) == 0) {
			p->conf.runtime = first_of(p, eq + 1, NULL);
			return p->conf.runtime
				       ? 0
				       : skf_fail(e, SKF_ENOTFOUND,
						  "the runtime '%s' is at none of the paths that %s gives "
						  "it: %s",
						  name, skf_conf_origin(&p->g->conf, "runtimes"), eq + 1);
		}
	}
	if (strchr(name, '/'))
		return skf_fail(e, SKF_EINVALID,
				"invalid --runtime '%s': expected a name, or an absolute path", name);
	p->conf.runtime = first_of(p, where && *where ? where : PLACES, name);
	if (!p->conf.runtime)
		p->conf.runtime = first_of(p, PLACES, name);
	return p->conf.runtime ? 0
			       : skf_fail(e, SKF_ENOTFOUND,
					  "unknown or invalid runtime name: %s: it is not installed, and "
					  "the key runtimes of skiff.conf does not name it",
					  name);
}

static int add_flag(struct skf_plan *p, const char *flag, const char *origin, struct skf_err *e)
{
	char *word = skf_arena_fmt(p->a, "--%s", flag);

	if (!*flag || *flag == '-' || strchr(flag, '\n'))
		return skf_fail(e, SKF_EINVALID,
				"%s: invalid flag '%s' of a runtime: expected one without its --", origin,
				flag);
	if (p->conf.runtime_flags.n >= SKF_MAX_RUNTIME_FLAGS)
		return skf_fail(e, SKF_ELIMIT, "%s: more than %d flags of a runtime", origin,
				SKF_MAX_RUNTIME_FLAGS);
	return word && skf_strv_add(p->a, &p->conf.runtime_flags, word) == 0 ? 0 : skf_plan_no_memory(e);
}

/* The key runtime_flags: NAME=FLAG, those of this name. */
static int conf_flags(struct skf_plan *p, const char *name, struct skf_err *e)
{
	const struct skf_strv *v = &p->g->conf.runtime_flags;
	size_t n = strlen(name);

	for (size_t i = 0; i < v->n; i++) {
		const char *eq = strchr(v->v[i], '='),
			   *origin = skf_conf_origin(&p->g->conf, "runtime_flags");

		if (!eq || eq == v->v[i])
			return skf_fail(e, SKF_EINVALID, "%s: runtime_flags: '%s' is not NAME=FLAG", origin,
					v->v[i]);
		if ((size_t)(eq - v->v[i]) == n && memcmp(v->v[i], name, n) == 0 &&
		    add_flag(p, eq + 1, origin, e) < 0)
			return -1;
	}
	return 0;
}

int skf_plan_runtime(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_settings *s = &p->q->s;
	const char *name = s->runtime && *s->runtime ? s->runtime : p->g->conf.runtime;

	if (!*name || skf_streq(name, "skiff")) {
		if (s->runtime_flags.n)
			return skf_fail(e, SKF_EINVALID,
					"--runtime-flag is for another runtime: name one with --runtime");
		return 0;
	}
	if (conf_flags(p, name, e) < 0)
		return -1;
	for (size_t i = 0; i < s->runtime_flags.n; i++)
		if (add_flag(p, s->runtime_flags.v[i], "--runtime-flag", e) < 0)
			return -1;
	if (find(p, name, e) < 0)
		return -1;
	p->conf.runtime_name = skf_arena_strdup(p->a, name);
	return p->conf.runtime_name ? 0 : skf_plan_no_memory(e);
}
