/* delegate.c -- cgroups that the workload may manage itself (cgroup v2 only; on v1 that would not be safe).
 *
 * Two forms: the container's own cgroup given to root of its user namespace, when it sees it writable in a
 * cgroup namespace of its own; and run.oci.delegate-cgroup, a directory below it into which init goes once
 * it has its cgroup namespace, so that the limits above are out of reach.
 *
 * Which files are given is the kernel's list (/sys/kernel/cgroup/delegate): cgroup.procs,
 * cgroup.subtree_control ..., never a limit. Does not block. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "runtime/cgroups/cgroups_int.h"
#include "runtime/runtime_int.h"
#include <sched.h>
#include <string.h>
#include <sys/stat.h>

/* Host id of id 0; false without a mapping. */
static bool host_root(const struct skf_jarr *maps, uint32_t *ret)
{
	const struct skf_idmap *m = maps->v;

	for (size_t i = 0; i < maps->n; i++) {
		if (m[i].container_id != 0 || m[i].size == 0)
			continue;
		*ret = m[i].host_id;
		return true;
	}
	return false;
}

static bool sees_cgroups_writable(const struct skf_spec *sp)
{
	const struct skf_spec_mount *m = sp->mounts.v;
	bool found = false;

	for (size_t i = 0; i < sp->mounts.n; i++) {
		if (!m[i].type || (strcmp(m[i].type, "cgroup") != 0 && strcmp(m[i].type, "cgroup2") != 0))
			continue;
		found = true;
		for (size_t k = 0; k < m[i].options.n; k++)
			if (!strcmp(m[i].options.v[k], "ro"))
				found = false;
	}
	return found;
}

int skf_cgroups_give(const struct skf_start *s, const struct skf_cg_dirs *d, struct skf_err *e)
{
	uint32_t uid;
	int r;

	if (!(s->ns_new & CLONE_NEWUSER) || !(s->ns_new & CLONE_NEWCGROUP) || d->layout.mode != SKF_CG_V2 ||
	    !d->used || !sees_cgroups_writable(s->spec) || !host_root(&s->spec->linux_.uid_mappings, &uid) ||
	    s->rt->rootless)
		return 0;
	r = skf_cg_give(d, 0, uid);
	return r < 0 ? skf_fail_sys(e, r, "give cgroup '%s' to user %u, root of the container", d->path, uid)
		     : 0;
}

int skf_cgroups_delegate(const struct skf_start *s, pid_t pid, struct skf_err *e)
{
	const char *name = skf_annotation(&s->spec->annotations, SKF_AN_DELEGATE_CGROUP);
	struct skf_cg_dirs d = s->cg;
	uint32_t uid;
	int r;

	if (!name || !*name || !d.used)
		return 0;
	if (d.layout.mode != SKF_CG_V2)
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"annotation run.oci.delegate-cgroup needs cgroup v2: delegation is not safe on v1");
	r = skf_fmt(d.path, sizeof(d.path), "%s/%s", s->cg.path, name);
	if (r == 0)
		r = skf_cg_mkdirs(&d, 0, s->cg.path);
	if (r == 0 && (s->ns_new & CLONE_NEWUSER) && !s->rt->rootless &&
	    host_root(&s->spec->linux_.uid_mappings, &uid))
		r = skf_cg_give(&d, 0, uid);
	if (r == 0)
		r = skf_cg_attach(&d, pid);
	return r < 0 ? skf_fail_sys(e, r, "move init into the delegated cgroup '%s'", d.path) : 0;
}
