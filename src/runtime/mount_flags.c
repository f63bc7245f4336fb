/* runtime/mount_flags.c -- flags and propagation of a mount that is still detached (mounts.c).
 *
 * Invariant: flags that a user namespace may not drop (locked) stay, unless the spec names the opposite:
 * then the mount fails rather than be other than asked for. A bind mount with any flag gets exactly the
 * flags of the spec, one without keeps those of its source; access-time flags stay unless one is given. That
 * is what runc does, see man 8 mount, "bind mount operation".
 *
 * Does not block. */
#include "base/buf.h"
#include "runtime/rootfs_int.h"
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>

static bool attr_empty(const struct mount_attr *a)
{
	return !a->attr_set && !a->attr_clr && !a->propagation;
}

/* The invariant: nothing is taken away and the access-time field stays as it is. */
static int set_attr(const struct skf_start *s, const struct skf_mnt *m, unsigned at_flags,
		    struct mount_attr *a)
{
	if (attr_empty(a))
		return 0;
	int r = skf_mount_setattr(m->tree, "", AT_EMPTY_PATH | at_flags, a);
	if (r != -EPERM)
		return r;
	skf_debug(s->rt->log, "mount '%s': flags that this user namespace may not change are kept",
		  m->spec->destination);
	a->attr_clr = 0;
	a->attr_set &= ~(uint64_t)(MOUNT_ATTR__ATIME | MOUNT_ATTR_NODIRATIME);
	return attr_empty(a) ? 0 : skf_mount_setattr(m->tree, "", AT_EMPTY_PATH | at_flags, a);
}

int skf_mount_apply(const struct skf_start *s, const struct skf_mnt *m, unsigned long flags,
		    unsigned long clear, bool recursive, struct skf_err *e)
{
	struct mount_attr one = {0}, rec = {.attr_set = m->o.attr_rec_set, .attr_clr = m->o.attr_rec_clr};
	unsigned long type = m->o.propagation & ~(unsigned long)MS_REC;

	skf_attr_of_flags(flags, clear, &one);
	if (m->o.propagation & MS_REC)
		rec.propagation = type;
	else
		one.propagation = type;
	/* What holds for the whole tree first: the mount's own flags are more particular. */
	int r = set_attr(s, m, AT_RECURSIVE, &rec);
	if (r == 0)
		r = set_attr(s, m, recursive ? AT_RECURSIVE : 0, &one);
	if (r < 0)
		return skf_fail_sys(e, r, "mount '%s': cannot set its flags", m->spec->destination);
	return 0;
}

/* What mount(2) with MS_BIND | MS_REMOUNT takes for flags of the mount itself. */
#define ATIME_FLAGS ((unsigned long)(MS_NOATIME | MS_NODIRATIME | MS_RELATIME | MS_STRICTATIME))
#define LOCKABLE    ((unsigned long)(MS_RDONLY | MS_NOSUID | MS_NODEV | MS_NOEXEC))
#define BIND_FLAGS  (LOCKABLE | MS_NOSYMFOLLOW)

static void exact_attr(unsigned long flags, struct mount_attr *a)
{
	skf_attr_of_flags(flags & ~(unsigned long)MS_RELATIME, BIND_FLAGS & ~flags, a);
	if (!(flags & ATIME_FLAGS))
		return;
	a->attr_clr |= MOUNT_ATTR__ATIME;
	if (!(flags & MS_NODIRATIME))
		a->attr_clr |= MOUNT_ATTR_NODIRATIME;
	/* The kernel's order of precedence in mount(2). */
	if (flags & MS_STRICTATIME)
		a->attr_set = (a->attr_set & ~(uint64_t)MOUNT_ATTR__ATIME) | MOUNT_ATTR_STRICTATIME;
}

static unsigned long flags_of_tree(const struct statfs *f)
{
	static const struct {
		unsigned long st, ms;
	} t[] = {
		{ST_RDONLY, MS_RDONLY},     {ST_NOSUID, MS_NOSUID},   {ST_NODEV, MS_NODEV},
		{ST_NOEXEC, MS_NOEXEC},     {ST_NOATIME, MS_NOATIME}, {ST_NODIRATIME, MS_NODIRATIME},
		{ST_RELATIME, MS_RELATIME},
	};
	unsigned long r = 0;

	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++)
		r |= (unsigned long)f->f_flags & t[i].st ? t[i].ms : 0;
	/* Strict is the absence of the others. */
	return r & (MS_NOATIME | MS_NODIRATIME | MS_RELATIME) ? r : r | MS_STRICTATIME;
}

/* The invariant, when the kernel refused the exact flags. */
static int keep_locked(const struct skf_start *s, const struct skf_mnt *m, unsigned at_flags,
		       struct skf_err *e)
{
	unsigned long want = m->o.flags & ATIME_FLAGS;
	struct mount_attr a = {0};
	struct statfs f;

	if (fstatfs(m->tree, &f) < 0)
		return skf_fail_errno(e, "mount '%s'", m->spec->destination);
	unsigned long have = flags_of_tree(&f);
	if (have & m->o.clear & (LOCKABLE | ATIME_FLAGS))
		return skf_fail(e, SKF_EDENIED,
				"mount '%s': cannot clear locked flags of source '%s' in a user namespace: "
				"operation not permitted",
				m->spec->destination, m->spec->source);
	if (want && want != (have & ATIME_FLAGS))
		return skf_fail(e, SKF_EDENIED,
				"mount '%s': cannot change locked atime flags of source '%s' in a user "
				"namespace: operation not permitted",
				m->spec->destination, m->spec->source);
	skf_debug(s->rt->log, "mount '%s': flags that this user namespace may not change are kept",
		  m->spec->destination);
	exact_attr((m->o.flags & BIND_FLAGS) | (have & LOCKABLE), &a);
	int r = skf_mount_setattr(m->tree, "", AT_EMPTY_PATH | at_flags, &a);
	if (r < 0)
		return skf_fail_sys(e, r, "mount '%s': cannot set its flags", m->spec->destination);
	return 0;
}

int skf_mount_bind_flags(const struct skf_start *s, const struct skf_mnt *m, bool recursive,
			 struct skf_err *e)
{
	unsigned long set = m->o.flags & ~(unsigned long)(MS_BIND | MS_REC);
	unsigned at_flags = recursive ? AT_RECURSIVE : 0;
	struct mount_attr a = {0};

	if (!set && !m->o.clear)
		return 0;
	exact_attr(set & (BIND_FLAGS | ATIME_FLAGS), &a);
	int r = skf_mount_setattr(m->tree, "", AT_EMPTY_PATH | at_flags, &a);
	if (r == -EPERM)
		return keep_locked(s, m, at_flags, e);
	if (r < 0)
		return skf_fail_sys(e, r, "mount '%s': cannot set its flags", m->spec->destination);
	return 0;
}
