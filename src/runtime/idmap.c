/* runtime/idmap.c -- the maps of a new user namespace, written by the parent.
 *
 * A privileged parent writes /proc/<pid>/{uid,gid}_map itself. A plain user may map only itself, its group
 * only after setgroups is given up in the namespace; more than that is the business of newuidmap and
 * newgidmap, which check /etc/subuid and leave setgroups as it is. man 7 user_namespaces. Invariant:
 * setgroups is denied only where the kernel asks for it, because a workload that drops groups needs it.
 *
 * The kernel takes a map in one write of less than a page, and at most SKF_MAX_IDMAPS ranges (the decoder's
 * limit).
 *
 * Blocks for the set-id helpers at most SKF_START_MS. */
#include "runtime/runtime_int.h"

#include "base/buf.h"
#include "base/limits.h"
#include "base/proc.h"
#include "oci/spec.h"

#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void map_text(const struct skf_jarr *maps, struct skf_buf *b)
{
	const struct skf_idmap *m = maps->v;

	for (size_t i = 0; i < maps->n; i++)
		skf_buf_fmt(b, "%u %u %u\n", m[i].container_id, m[i].host_id, m[i].size);
}

static int write_map(int procfd, const char *file, const struct skf_jarr *maps)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_IDMAPS * 36);

	map_text(maps, &b);
	if (b.err == 0 && b.len >= (size_t)sysconf(_SC_PAGESIZE))
		return -E2BIG;
	return b.err < 0 ? b.err : skf_write_existing_at(procfd, file, skf_buf_cstr(&b));
}

/* Absolute path of a helper, along PATH: a set-id program checks its caller itself. */
static int find_helper(const char *name, char out[PATH_MAX], struct skf_err *e)
{
	const char *path = getenv("PATH");

	for (const char *p = path && *path ? path : "/usr/local/bin:/usr/bin:/bin"; *p;) {
		size_t n = strcspn(p, ":");
		if (p[0] == '/' && skf_fmt(out, PATH_MAX, "%.*s/%s", (int)n, p, name) == 0 &&
		    access(out, X_OK) == 0)
			return 0;
		p += n + (p[n] == ':');
	}
	return skf_fail(e, SKF_ENOTFOUND,
			"'%s' is not installed: a plain user needs it to map more than one id; install the "
			"package 'uidmap' (or 'shadow-utils'), or map only the own id",
			name);
}

/* newuidmap <pid> <container> <host> <size> ... */
static int run_helper(const char *name, pid_t pid, const struct skf_jarr *maps, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(256 << 10);
	const struct skf_idmap *m = maps->v;
	struct skf_strv argv = {0};
	char helper[PATH_MAX];
	pid_t child;
	int pidfd, status;

	if (find_helper(name, helper, e) < 0)
		return -1;
	int r = skf_strv_add(&a, &argv, helper);
	if (r == 0)
		r = skf_strv_add(&a, &argv, skf_arena_fmt(&a, "%d", (int)pid));
	for (size_t i = 0; r == 0 && i < maps->n; i++) {
		uint32_t v[3] = {m[i].container_id, m[i].host_id, m[i].size};

		for (unsigned k = 0; r == 0 && k < 3; k++)
			r = skf_strv_add(&a, &argv, skf_arena_fmt(&a, "%u", v[k]));
	}
	if (r < 0)
		return skf_fail_sys(e, r, "arguments of '%s'", helper);

	struct skf_spawn sp = {.path = helper, .argv = argv.v, .stdio = {-1, -1, STDERR_FILENO}};
	r = skf_spawn(&sp, &child, &pidfd);
	if (r < 0)
		return skf_fail_sys(e, r, "run '%s', which maps the sub-ids of a plain user", helper);
	r = skf_wait_pid(child, pidfd, SKF_START_MS, &status);
	skf_closep(&pidfd);
	if (r < 0)
		return skf_fail_sys(e, r, "waiting for '%s'", helper);
	if (status != 0)
		return skf_fail(
			e, SKF_EDENIED,
			"'%s' refused the id mappings (status %d): check that /etc/subuid and /etc/subgid "
			"give this user the mapped ids, and that the program is set-id (package 'uidmap')",
			helper, skf_wait_code(status));
	return 0;
}

static int one_map(int procfd, pid_t pid, const char *file, const char *helper, const struct skf_jarr *maps,
		   struct skf_err *e)
{
	int r;

	if (maps->n == 0)
		return 0;
	r = write_map(procfd, file, maps);
	if (r == -EPERM && geteuid() != 0)
		return run_helper(helper, pid, maps, e);
	if (r == -E2BIG)
		return skf_fail(e, SKF_ELIMIT,
				"write %s of the container's user namespace: the text of its %zu ranges is "
				"longer than "
				"%ld bytes, which is all that the kernel takes; use fewer ranges",
				file, maps->n, sysconf(_SC_PAGESIZE) - 1);
	if (r < 0)
		return skf_fail_sys(
			e, r,
			"write %s of the container's user namespace (%zu ranges: do ids overlap, or "
			"are they not mapped to the caller itself?)",
			file, maps->n);
	return 0;
}

static bool only_own_group(const struct skf_jarr *gids)
{
	const struct skf_idmap *m = gids->v;

	return gids->n == 1 && m->size == 1 && m->host_id == getegid();
}

int skf_idmap_write(pid_t pid, const struct skf_jarr *uids, const struct skf_jarr *gids, struct skf_err *e)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", (int)pid);
	SKF_AUTO_FD int procfd = skf_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
	if (procfd < 0)
		return skf_fail_sys(e, procfd, "open '%s'", path);
	if (geteuid() != 0 && only_own_group(gids)) {
		int r = skf_write_existing_at(procfd, "setgroups", "deny");

		/* EPERM: already denied by an outer namespace; the map's own answer decides */
		if (r < 0 && r != -EPERM)
			return skf_fail_sys(e, r, "deny setgroups in the container's user namespace");
	}
	if (one_map(procfd, pid, "uid_map", "newuidmap", uids, e) < 0)
		return -1;
	return one_map(procfd, pid, "gid_map", "newgidmap", gids, e);
}
