/* runtime/mount_cgroup.c -- the mount of type "cgroup", which means what the host has:
 *   - v2: one cgroup2 file system; a bind where a new mount is refused or would change the host's options;
 *   - v1 and hybrid: a tmpfs with one directory per hierarchy, and links for merged controllers ("cpu" leads
 *     to "cpu,cpuacct").
 *
 * Invariants:
 *  1. Only hierarchies in which the container has a directory of its own are shown: in the others its cgroup
 *     namespace would begin at the caller's cgroup.
 *  2. cgroup2 is mounted anew only in a cgroup namespace of the container. From the initial one such a mount
 *     would reset options like nsdelegate for the whole host.
 *
 * Runs in the child. The paths given to mount(2) are /proc/self/fd/<tmpfs>/<name>: the tmpfs is ours and
 * nobody else can reach it, and the name comes from the host's mount points. Does not block. */
#include "base/buf.h"
#include "runtime/rootfs_int.h"
#include "sys/path.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { CG_FLAGS = MS_NOSUID | MS_NODEV | MS_NOEXEC };

static const char *base_name(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? slash + 1 : path;
}

static bool own_cgroupns(const struct skf_start *s)
{
	return (s->ns_new | s->ns_join) & CLONE_NEWCGROUP;
}

/* The layout that the container's cgroup was made in, or that of the host when it has none. */
static const struct skf_cg_layout *layout_of(const struct skf_start *s, struct skf_cg_layout *space)
{
	if (s->cg.used)
		return &s->cg.layout;
	return skf_cg_layout(space) == 0 ? space : NULL;
}

/* --- v1 and hybrid --- */

static int hier_mount(int dir, const struct skf_cg_hier *h, const char *name, unsigned long flags)
{
	char self[32], target[sizeof(self) + sizeof(h->mountpoint)], data[sizeof(h->controllers) + 8] = "";

	skf_path_of_fd(dir, self);
	int r = skf_fmt(target, sizeof(target), "%s/%s", self, name);
	if (r == 0 && !h->v2)
		r = skf_fmt(data, sizeof(data), "%s%s",
			    skf_startswith(h->controllers, "name=") ? "none," : "", h->controllers);
	return r < 0 ? r : skf_mount("cgroup", target, h->v2 ? "cgroup2" : "cgroup", flags, data);
}

static int hier_bind(const struct skf_start *s, int dir, const struct skf_cg_hier *h, const char *name)
{
	char path[sizeof(h->mountpoint) + sizeof(s->cg.path)];

	int r = skf_fmt(path, sizeof(path), "%s%s", h->mountpoint, s->cg.path);
	if (r < 0)
		return r;
	SKF_AUTO_FD int tree = skf_source_clone(s, path, AT_SYMLINK_NOFOLLOW);
	return tree < 0 ? tree : skf_move_mount(tree, "", dir, name, MOVE_MOUNT_F_EMPTY_PATH);
}

static int hier_links(int dir, const struct skf_cg_hier *h, const char *name)
{
	char list[sizeof(h->controllers)];

	if (skf_fmt(list, sizeof(list), "%s", h->controllers) < 0 || !strchr(list, ','))
		return 0;
	for (char *p = list, *next; p; p = next) {
		next = strchr(p, ',');
		if (next)
			*next++ = '\0';
		if (!skf_streq(p, name) && symlinkat(name, dir, p) < 0 && errno != EEXIST)
			return skf_errno();
	}
	return 0;
}

static int add_hierarchy(const struct skf_start *s, int dir, unsigned i, unsigned long flags)
{
	const struct skf_cg_hier *h = &s->cg.layout.h[i];
	const char *name = base_name(h->mountpoint);
	int r = -EPERM;

	if (mkdirat(dir, name, 0755) < 0)
		return skf_errno();
	if (own_cgroupns(s))
		r = hier_mount(dir, h, name, flags);
	if (r < 0)
		r = hier_bind(s, dir, h, name);
	return r < 0 ? r : hier_links(dir, h, name);
}

static int mount_v1(struct skf_start *s, struct skf_mnt *m, int target, struct skf_err *e)
{
	unsigned long flags = CG_FLAGS | (m->o.flags & (MS_RDONLY | MS_RELATIME));
	struct mount_attr a = {0};
	char why[200];

	int r = skf_source_fs("tmpfs", "tmpfs", CG_FLAGS, "mode=755", why, sizeof(why));
	if (r < 0)
		return skf_fail_sys(e, r, "mount '%s': cannot make its tmpfs", m->spec->destination);
	m->tree = r;
	if (skf_mount_apply(s, m, 0, 0, false, e) < 0)
		return -1;
	r = skf_move_mount_onto(m->tree, target);
	if (r < 0)
		return skf_fail_sys(e, r, "mount '%s': cannot attach", m->spec->destination);
	for (unsigned i = 0; i < s->cg.layout.n; i++) {
		if (!(s->cg.used & (1u << i)))
			continue;
		r = add_hierarchy(s, m->tree, i, flags);
		if (r < 0)
			return skf_fail_sys(e, r, "mount '%s': cannot show cgroup hierarchy '%s'",
					    m->spec->destination, s->cg.layout.h[i].mountpoint);
	}
	/* One call for the tmpfs and all that is on it. */
	skf_attr_of_flags(flags & ~(unsigned long)MS_RELATIME, 0, &a);
	r = skf_mount_setattr(m->tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &a);
	if (r < 0)
		return skf_fail_sys(e, r, "mount '%s': cannot set its flags", m->spec->destination);
	return 0;
}

/* --- v2 --- */

static int v2_index(const struct skf_cg_layout *l)
{
	for (unsigned i = 0; i < l->n; i++) {
		if (l->h[i].v2)
			return (int)i;
	}
	return -1;
}

/* The container's own directory, or, without a cgroup namespace, the host's tree as the spec asks for it. A
 * tree that the container could write to is never the host's when there is a user namespace: the user may
 * own parts of it. */
static int v2_bind(const struct skf_start *s, const struct skf_mnt *m, const struct skf_cg_layout *l, int i)
{
	bool own = s->cg.used & (1u << i);

	if (own && (own_cgroupns(s) || (s->userns && !(m->o.flags & MS_RDONLY)))) {
		SKF_AUTO_FD int from = skf_cg_open(&s->cg, (unsigned)i);
		return from < 0 ? from : skf_source_clone_fd(from, false);
	}
	if (own_cgroupns(s) || (s->userns && !(m->o.flags & MS_RDONLY)))
		return -ENOENT;
	return skf_source_clone(s, l->h[i].mountpoint, 0);
}

static int mount_v2(struct skf_start *s, struct skf_mnt *m, const struct skf_cg_layout *l, int target,
		    struct skf_err *e)
{
	unsigned long flags = m->o.flags, clear = m->o.clear;
	char why[200] = "";
	int i = v2_index(l), r = -EPERM;

	if (i < 0)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"mount '%s': this host has no cgroup2 hierarchy; use type 'cgroup'",
				m->spec->destination);
	if (own_cgroupns(s)) {
		r = skf_source_fs("cgroup2", m->spec->source, flags, m->o.data, why, sizeof(why));
		if (r >= 0)
			flags = clear = 0;
	}
	if (r == -EPERM || r == -EBUSY || r == -ENOSYS)
		r = v2_bind(s, m, l, i);
	if (r == -ENOENT) {
		/* Nothing of its own to show: hide what lies below (a clone of the host's /sys) rather than
		 * fail. */
		skf_debug(s->rt->log,
			  "mount '%s': the container has no cgroup of its own, mounting an empty directory",
			  m->spec->destination);
		r = skf_source_fs("tmpfs", "tmpfs", CG_FLAGS | MS_RDONLY, "mode=755", why, sizeof(why));
		flags = clear = 0;
	}
	if (r < 0)
		return skf_fail_sys(e, r, "mount '%s': cannot mount cgroup2%s%s", m->spec->destination,
				    why[0] ? ": " : "", why);
	m->tree = r;
	if (skf_mount_apply(s, m, flags, clear, false, e) < 0)
		return -1;
	r = skf_move_mount_onto(m->tree, target);
	if (r < 0)
		return skf_fail_sys(e, r, "mount '%s': cannot attach", m->spec->destination);
	return 0;
}

int skf_mount_cgroup(struct skf_start *s, struct skf_mnt *m, struct skf_err *e)
{
	struct skf_cg_layout space;
	const struct skf_cg_layout *l = layout_of(s, &space);

	if (!l)
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"mount '%s': no cgroup hierarchy is mounted below /sys/fs/cgroup on this host",
			m->spec->destination);
	SKF_AUTO_FD int target = skf_mount_target(s, m, true, -1, e);
	if (target < 0)
		return -1;
	if (l->mode == SKF_CG_V2 || skf_streq(m->spec->type, "cgroup2"))
		return mount_v2(s, m, l, target, e);
	return mount_v1(s, m, target, e);
}
