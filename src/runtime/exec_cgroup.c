/* runtime/exec_cgroup.c -- exec --cgroup: an existing cgroup below the container's own, for all hierarchies
 * or for some controllers of v1. The words of the errors are runc's.
 *
 * Invariant: a path that is given can only name something below the container's cgroup: it has no "..", and
 * cgroupfs has no symbolic links. Blocks on cgroupfs only. */
#include "runtime/runtime_int.h"

#include "oci/spec.h"

#include <string.h>

/* Splits "cpu,cpuacct:path"; without a colon n is 0 and the path is for all. */
static const char *path_of(const char *sub, size_t *ret_n)
{
	const char *colon = strchr(sub, ':');

	*ret_n = colon ? (size_t)(colon - sub) : 0;
	return colon ? colon + 1 : sub;
}

static bool climbs(const char *path)
{
	while (*path) {
		size_t n = strcspn(path, "/");

		if (n == 2 && path[0] == '.' && path[1] == '.')
			return true;
		path += n + (path[n] == '/');
	}
	return false;
}

/* Is one of the words of list[0..n) a controller of the hierarchy? */
static bool names(const struct skf_cg_layout *l, const struct skf_cg_hier *h, const char *list, size_t n)
{
	char word[64];

	while (n > 0) {
		const char *comma = memchr(list, ',', n);
		size_t len = comma ? (size_t)(comma - list) : n;

		if (skf_fmt(word, sizeof(word), "%.*s", (int)len, list) == 0 && skf_cg_find(l, word) == h)
			return true;
		n -= len + (comma != NULL);
		list += len + (comma != NULL);
	}
	return false;
}

static int check_controllers(const struct skf_cg_layout *l, const char *list, size_t n, struct skf_err *e)
{
	char word[64];

	for (size_t at = 0; at < n;) {
		const char *comma = memchr(list + at, ',', n - at);
		size_t len = comma ? (size_t)(comma - list) - at : n - at;

		if (skf_fmt(word, sizeof(word), "%.*s", (int)len, list + at) < 0 || !*word ||
		    !skf_cg_find(l, word))
			return skf_fail(e, SKF_EINVALID, "exec --cgroup: unknown controller '%.*s'",
					(int)len, list + at);
		at += len + 1;
	}
	return 0;
}

int skf_exec_cgroups_check(const struct skf_rt_state *st, const struct skf_strv *subs, struct skf_err *e)
{
	unsigned plain = 0;

	for (size_t i = 0; i < subs->n; i++) {
		size_t n;
		const char *path = path_of(subs->v[i], &n);

		if (climbs(path))
			return skf_fail(e, SKF_EINVALID,
					"exec --cgroup: bad sub cgroup path '%s': '..' is not allowed",
					path);
		if (path == subs->v[i] ? ++plain > 1 : st->cg.layout.mode == SKF_CG_V2)
			return skf_fail(e, SKF_EINVALID, "exec --cgroup: '%s': %s", subs->v[i],
					path == subs->v[i] ? "only one path can be for all controllers"
							   : "cgroup v2 has one path for all controllers");
		if (path != subs->v[i] && check_controllers(&st->cg.layout, subs->v[i], n, e) < 0)
			return -1;
	}
	if (subs->n && !st->cg.used)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"exec --cgroup: container '%s' has no cgroup of its own", st->id);
	return 0;
}

/* What is said about this hierarchy: by name, else for all, else nothing. */
static const char *sub_for(const struct skf_rt_state *st, const struct skf_cg_hier *h,
			   const struct skf_strv *subs)
{
	const char *all = "";

	for (size_t i = 0; i < subs->n; i++) {
		size_t n;
		const char *path = path_of(subs->v[i], &n);

		if (path == subs->v[i])
			all = path;
		else if (!h->v2 && names(&st->cg.layout, h, subs->v[i], n))
			return path;
	}
	return all;
}

int skf_exec_cgroups_attach(const struct skf_rt_state *st, const struct skf_strv *subs, pid_t pid,
			    struct skf_err *e)
{
	char path[PATH_MAX], value[16];
	int r = skf_fmt(value, sizeof(value), "%d", (int)pid);

	for (unsigned i = 0; r == 0 && i < st->cg.layout.n; i++) {
		const struct skf_cg_hier *h = &st->cg.layout.h[i];

		if (!(st->cg.used & (1u << i)))
			continue;
		r = skf_fmt(path, sizeof(path), "%s%s/%s/cgroup.procs", h->mountpoint, st->cg.path,
			    sub_for(st, h, subs));
		if (r == 0)
			r = skf_write_existing_at(AT_FDCWD, path, value);
		if (r < 0)
			return skf_fail_sys(
				e, r, "exec --cgroup: adding pid %d to cgroups of container '%s': '%s'",
				(int)pid, st->id, path);
	}
	return r < 0 ? skf_fail_sys(e, r, "exec --cgroup: path below '%s'", st->cg.path) : 0;
}
