/* runtime/mounts.c -- `mounts` of the spec, in their order, below the new root. Runs in the child, before
 * pivot_root.
 *
 * Each mount is made detached, gets its flags while nobody can reach it, and is then attached by move_mount
 * onto an O_PATH fd. Invariants:
 *  1. A destination is resolved in the root (sys/path.h) and used through the fd that this gave: an exchange
 *     of a path component afterwards changes nothing.
 *  2. procfs is only ever covered by procfs; below it only the files that lxcfs emulates can be mount
 *     points. Both the cleaned name and the object found are looked at, so a link into /proc is seen too.
 *  3. proc and sysfs are mounted on ordinary directories: a link on the way is an error.
 *  4. A tmpfs, and /dev, become read-only last (skf_mounts_seal).
 *
 * Blocks as long as the file systems do. */
#include "base/buf.h"
#include "base/limits.h"
#include "runtime/rootfs_int.h"
#include "sys/path.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/vfs.h>
#include <unistd.h>

#define PROC_ROOT_INO 1

int skf_dest_clean(const char *dest, char out[PATH_MAX])
{
	size_t n = 0;

	for (const char *p = dest; *p;) {
		p += strspn(p, "/");
		size_t len = strcspn(p, "/");
		if (len == 2 && p[0] == '.' && p[1] == '.') {
			while (n > 0 && out[--n] != '/')
				;
		} else if (len > 0 && !(len == 1 && p[0] == '.')) {
			if (n + len + 2 > PATH_MAX)
				return -ENAMETOOLONG;
			out[n++] = '/';
			memcpy(out + n, p, len);
			n += len;
		}
		p += len;
	}
	if (n == 0)
		out[n++] = '/';
	out[n] = '\0';
	return 0;
}

/* A destination may be written with the path of the root in front, as it is before pivot_root. */
static int clean_dest(const struct skf_start *s, const char *dest, char out[PATH_MAX])
{
	char path[PATH_MAX], root[PATH_MAX];

	int r = skf_dest_clean(dest, out);
	if (r < 0 || !s->spec->root_path || skf_source_path(s, s->spec->root_path, path) < 0 ||
	    skf_dest_clean(path, root) < 0)
		return r;
	size_t n = strlen(root);
	if (n > 1 && skf_startswith(out, root) && (out[n] == '/' || out[n] == '\0'))
		memmove(out, out[n] ? out + n : "/", out[n] ? strlen(out + n) + 1 : sizeof("/"));
	return 0;
}

bool skf_mount_is_bind(const struct skf_spec_mount *m, const struct skf_mountopts *o)
{
	return o->flags & MS_BIND || skf_streq(m->type, "bind");
}

static const char *type_of(const struct skf_mnt *m)
{
	return m->spec->type ? m->spec->type : "";
}

static bool wants_plain_dir(const struct skf_mnt *m)
{
	return skf_streq(m->spec->type, "proc") || skf_streq(m->spec->type, "sysfs");
}

/* --- where to: the target --- */

static bool is_emulated_proc_file(const char *dest)
{
	static const char *const files[] = {
		"/proc/cpuinfo",
		"/proc/diskstats",
		"/proc/meminfo",
		"/proc/stat",
		"/proc/swaps",
		"/proc/uptime",
		"/proc/loadavg",
		"/proc/slabinfo",
		"/proc/net/dev",
		"/proc/sys/kernel/ns_last_pid",
		"/proc/sys/crypto/fips_enabled",
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(files); i++) {
		if (skf_streq(dest, files[i]))
			return true;
	}
	return false;
}

/* Invariant 2. */
static int check_proc(const struct skf_mnt *m, int target, int tree, struct skf_err *e)
{
	bool named = skf_streq(m->dest, "/proc"), below = skf_startswith(m->dest, "/proc/");
	bool found = skf_path_is_procfs(target);

	if (!named && !below && !found)
		return 0;
	if (found) {
		struct stat st;
		if (fstat(target, &st) < 0)
			return skf_fail_errno(e, "mount '%s'", m->spec->destination);
		if (st.st_ino == PROC_ROOT_INO)
			named = true;
	}
	if (named) {
		bool proc = tree >= 0 ? skf_path_is_procfs(tree) : skf_streq(type_of(m), "proc");
		if (proc)
			return 0;
		return skf_fail(e, SKF_EINVALID,
				"mount '%s': '/proc' can only be covered by procfs; change the destination",
				m->spec->destination);
	}
	if (below && is_emulated_proc_file(m->dest))
		return 0;
	return skf_fail(e, SKF_EINVALID,
			"mount '%s': the destination is inside /proc; only the files that lxcfs emulates "
			"can be covered",
			m->spec->destination);
}

static bool has_option(const char *data, const char *key)
{
	for (const char *p = data; p && *p; p = strchr(p, ',')) {
		p += *p == ',';
		if (skf_startswith(p, key))
			return true;
	}
	return false;
}

/* What a tmpfs covers gives it its mode and, with tmpcopyup, its content. */
static bool takes_over(const struct skf_mnt *m)
{
	return skf_streq(type_of(m), "tmpfs") && (m->o.tmpcopyup || !has_option(m->o.data, "mode="));
}

static int resolve(const struct skf_start *s, struct skf_mnt *m, bool dir)
{
	const char *rel = m->dest + 1;
	int flags = O_PATH | (dir ? O_DIRECTORY : 0), fd = -ENOENT;

	if (wants_plain_dir(m))
		fd = skf_path_open_nolinks(s->root_fd, rel, flags, 0);
	else if (m->o.dest_nofollow)
		fd = skf_path_open_nofollow(s->root_fd, rel, flags, 0);
	else if (!dir || takes_over(m))
		fd = skf_path_open(s->root_fd, rel, flags, 0);
	m->existed = fd != -ENOENT;
	if (m->existed)
		return fd;
	return dir ? skf_path_mkdirs(s->root_fd, rel, 0755) : skf_path_mount_file(s->root_fd, rel);
}

int skf_mount_target(struct skf_start *s, struct skf_mnt *m, bool dir, int tree, struct skf_err *e)
{
	if (skf_streq(m->dest, "/") && tree < 0 && !(skf_streq(type_of(m), "tmpfs") && m->o.tmpcopyup))
		return skf_fail(
			e, SKF_EINVALID,
			"mount '%s': the root itself can only be the destination of a bind mount, or "
			"of a tmpfs with the option 'tmpcopyup'; use root.path",
			m->spec->destination);
	SKF_AUTO_FD int fd = resolve(s, m, dir);
	if ((fd == -ELOOP || fd == -ENOTDIR) && wants_plain_dir(m))
		return skf_fail(e, SKF_EINVALID,
				"mount '%s': filesystem '%s' must be mounted on ordinary directory, and the "
				"image has a link or file there",
				m->spec->destination, type_of(m));
	if (fd < 0)
		return skf_fail_sys(
			e, fd, "mount '%s': cannot open or make the mount point in the root file system",
			m->spec->destination);
	struct stat st;
	if (!dir && fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		return skf_fail(e, SKF_EINVALID,
				"mount '%s': the source is a file, but the destination is a directory; "
				"change one of them",
				m->spec->destination);
	if (check_proc(m, fd, tree, e) < 0)
		return -1;
	return SKF_TAKE_FD(fd);
}

/* What covers the root is the root from then on. */
static int replace_root(struct skf_start *s, const struct skf_mnt *m, struct skf_err *e)
{
	int fd = skf_dup_cloexec(m->tree);

	if (fd < 0)
		return skf_fail_sys(e, fd, "mount '%s'", m->spec->destination);
	skf_closep(&s->root_fd);
	s->root_fd = fd;
	return 0;
}

static int attach(struct skf_start *s, const struct skf_mnt *m, int target, struct skf_err *e)
{
	int r = skf_move_mount_onto(m->tree, target);
	if (r < 0)
		return skf_fail_sys(e, r, "mount '%s': cannot attach", m->spec->destination);
	return skf_streq(m->dest, "/") ? replace_root(s, m, e) : 0;
}

/* --- bind --- */

/* The link itself instead of what it points to. 1: done, 0: the source is no link. */
static int copy_symlink(struct skf_start *s, const struct skf_mnt *m, struct skf_err *e)
{
	char path[PATH_MAX], link[PATH_MAX], name[NAME_MAX + 1];

	int r = skf_source_path(s, m->spec->source, path);
	if (r < 0)
		return skf_fail_sys(e, r, "mount '%s': source '%s'", m->spec->destination, m->spec->source);
	ssize_t n = readlinkat(AT_FDCWD, path, link, sizeof(link));
	if (n < 0 && errno == EINVAL)
		return 0;
	if (n < 0 || (size_t)n >= sizeof(link))
		return skf_fail_sys(e, n < 0 ? skf_errno() : -ENAMETOOLONG,
				    "mount '%s': cannot read link '%s'", m->spec->destination, path);
	link[n] = '\0';
	SKF_AUTO_FD int dir = skf_path_parent(s->root_fd, m->dest, true, name, sizeof(name));
	if (dir < 0)
		return skf_fail_sys(e, dir, "mount '%s': cannot make its parent directory",
				    m->spec->destination);
	if (symlinkat(link, dir, name) == 0)
		return 1;
	char old[PATH_MAX];
	r = skf_errno();
	n = r == -EEXIST ? readlinkat(dir, name, old, sizeof(old)) : -1;
	if (n > 0 && (size_t)n < sizeof(old) && strlen(link) == (size_t)n &&
	    memcmp(old, link, (size_t)n) == 0)
		return 1;
	return skf_fail_sys(e, r, "mount '%s': cannot make the link to '%s'", m->spec->destination, link);
}

static int bind_tree(struct skf_start *s, struct skf_mnt *m, size_t i, struct skf_err *e)
{
	int r = 0;

	if (s->sources)
		m->tree = SKF_TAKE_FD(s->sources[i]);
	else if (s->broker_pid <= 0)
		m->tree = r = skf_source_bind(s, i, e);
	else
		r = skf_broker_ask(s, i, &m->tree, e);
	skf_closep(&s->mount_fds[i]);
	return r < 0 ? -1 : 0;
}

static int mount_bind(struct skf_start *s, struct skf_mnt *m, size_t i, struct skf_err *e)
{
	struct stat st;

	if (!m->spec->source)
		return skf_fail(e, SKF_EINVALID, "mount '%s': a bind mount needs a source",
				m->spec->destination);
	if (m->o.copy_symlink) {
		int r = copy_symlink(s, m, e);
		if (r != 0)
			return r < 0 ? -1 : 0;
	}
	if (bind_tree(s, m, i, e) < 0)
		return -1;
	if (fstat(m->tree, &st) < 0)
		return skf_fail_errno(e, "mount '%s': source '%s'", m->spec->destination, m->spec->source);
	SKF_AUTO_FD int target = skf_mount_target(s, m, S_ISDIR(st.st_mode), m->tree, e);
	if (target < 0)
		return -1;
	/* The host's sysfs has the cgroup trees mounted below it: a read-only clone must cover them too. */
	bool recursive =
		m->o.flags & MS_REC && m->o.flags & MS_RDONLY && s->userns && skf_path_is_sysfs(m->tree);
	if (skf_mount_bind_flags(s, m, recursive, e) < 0 || skf_mount_apply(s, m, 0, 0, false, e) < 0)
		return -1;
	return attach(s, m, target, e);
}

/* --- file systems --- */

/* The options of the spec, and: a tmpfs over an existing directory keeps its mode; the SELinux label. NULL:
 * no memory. */
static const char *fs_data(struct skf_start *s, const struct skf_mnt *m, const struct stat *target)
{
	const char *d = m->o.data, *label = skf_mount_label_option(s, type_of(m));

	if (target)
		d = skf_arena_fmt(s->arena, "%s%smode=%o", d, *d ? "," : "",
				  (unsigned)target->st_mode & 07777);
	if (d && label)
		d = skf_arena_fmt(s->arena, "%s%s%s=\"%s\"", d, *d ? "," : "", label,
				  s->spec->linux_.mount_label);
	return d;
}

/* mount(2) onto the target, for what fsconfig cannot express. m->tree is then the attached mount, found
 * again by name and known to be ours by its being another mount than the one below. */
static int mount_classic(struct skf_start *s, struct skf_mnt *m, int target, const char *data,
			 unsigned long flags, struct skf_err *e)
{
	uint64_t below, top;

	int r = skf_mount_at_fd(m->spec->source, target, type_of(m), flags, data);
	if (r < 0)
		return skf_fail_sys(
			e, r, "mount '%s': cannot mount a file system of type '%s' with options '%.200s'",
			m->spec->destination, type_of(m), data);
	r = skf_path_open(s->root_fd, m->dest + 1, O_PATH, 0);
	if (r >= 0) {
		m->tree = r;
		r = skf_mount_id(target, &below);
		if (r == 0)
			r = skf_mount_id(m->tree, &top);
		if (r == 0 && below == top)
			r = -ESTALE;
	}
	if (r < 0)
		return skf_fail_sys(e, r,
				    "mount '%s': its mount point was exchanged while it was being mounted",
				    m->spec->destination);
	return 0;
}

/* File systems that a user namespace may mount only when it owns another namespace too: the host's view
 * serves instead. */
static const struct fallback {
	const char *type, *host_path;
	uint64_t not_with; /* a namespace of its own makes the host's view wrong */
} fallbacks[] = {
	{"sysfs", "/sys", 0},
	{"mqueue", "/dev/mqueue", CLONE_NEWIPC},
	{"proc", "/proc", CLONE_NEWPID},
};

static int clone_host_view(struct skf_start *s, struct skf_mnt *m)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(fallbacks); i++) {
		const struct fallback *f = &fallbacks[i];
		if (skf_streq(f->type, type_of(m)) && !((s->ns_new | s->ns_join) & f->not_with))
			return skf_source_clone(s, f->host_path, AT_RECURSIVE);
	}
	return -EPERM;
}

/* A detached tree in m->tree; or, when only mount(2) can do it, the mount itself and *ret_attached. */
static int fs_tree(struct skf_start *s, struct skf_mnt *m, int target, const char *data, unsigned long flags,
		   bool *ret_attached, struct skf_err *e)
{
	char why[200];

	int r = skf_source_fs(type_of(m), m->spec->source, flags, data, why, sizeof(why));
	if (r >= 0) {
		m->tree = r;
		return 0;
	}
	if (r == -EPERM && !s->sources) {
		int t = clone_host_view(s, m);
		if (t >= 0) {
			skf_debug(s->rt->log, "mount '%s': a new '%s' is not permitted, using the host's",
				  m->spec->destination, type_of(m));
			m->tree = t;
			return skf_mount_apply(s, m, flags, 0, true, e);
		}
	}
	if (!s->sources && (r == -ENOSYS || r == -EPERM || r == -E2BIG)) {
		*ret_attached = true;
		return mount_classic(s, m, target, data, flags, e);
	}
	return skf_fail_sys(e, r,
			    "mount '%s': cannot mount a file system of type '%s' with options '%.200s'%s%s",
			    m->spec->destination, type_of(m), data, why[0] ? ": " : "", why);
}

/* The handle that sysctl and label writes go through; useless when read-only. */
static void keep_proc(struct skf_start *s, const struct skf_mnt *m)
{
	if (s->proc_fd >= 0 || !skf_streq(m->dest, "/proc") || m->o.flags & MS_RDONLY ||
	    !skf_path_is_procfs(m->tree))
		return;
	int fd = skf_dup_cloexec(m->tree);
	if (fd >= 0) /* else sysctl.c opens one of its own */
		s->proc_fd = fd;
}

static int mount_fs(struct skf_start *s, struct skf_mnt *m, size_t i, struct skf_err *e)
{
	bool attached = false, tmpfs = skf_streq(type_of(m), "tmpfs");
	struct stat st;

	if (!m->spec->type)
		return skf_fail(e, SKF_EINVALID,
				"mount '%s': it has neither a type nor the option 'bind'; add one",
				m->spec->destination);
	SKF_AUTO_FD int target = skf_mount_target(s, m, true, -1, e);
	if (target < 0)
		return -1;
	bool mode = tmpfs && m->existed && !has_option(m->o.data, "mode=");
	if (mode && fstat(target, &st) < 0)
		return skf_fail_errno(e, "mount '%s'", m->spec->destination);
	const char *data = fs_data(s, m, mode ? &st : NULL);
	if (!data)
		return skf_nomem(e);
	unsigned long flags = m->o.flags & ~(unsigned long)(MS_BIND | MS_REC | (m->late_ro ? MS_RDONLY : 0));
	if (fs_tree(s, m, target, data, flags, &attached, e) < 0)
		return -1;
	if (tmpfs && m->o.tmpcopyup && m->existed && skf_tmpcopyup(target, m->tree, s->rt->log, e) < 0)
		return skf_ctx(e, "mount '%s': tmpcopyup", m->spec->destination);
	if (skf_mount_label_root(s, m, e) < 0 || skf_mount_apply(s, m, 0, 0, false, e) < 0)
		return -1;
	if (!attached && attach(s, m, target, e) < 0)
		return -1;
	keep_proc(s, m);
	if (m->late_ro)
		s->mount_fds[i] = SKF_TAKE_FD(m->tree);
	return 0;
}

static int remount(struct skf_start *s, const struct skf_mnt *m, struct skf_err *e)
{
	SKF_AUTO_FD int target = skf_path_open(s->root_fd, m->dest + 1, O_PATH, 0);

	int r = target < 0 ? target
			   : skf_mount_at_fd(NULL, target, m->spec->type, m->o.flags,
					     *m->o.data ? m->o.data : NULL);
	if (r < 0)
		return skf_fail_sys(e, r, "mount '%s': cannot remount", m->spec->destination);
	return 0;
}

static int mount_one(struct skf_start *s, struct skf_mnt *m, size_t i, struct skf_err *e)
{
	if (m->o.flags & MS_REMOUNT)
		return remount(s, m, e);
	if (skf_mount_is_bind(m->spec, &m->o))
		return mount_bind(s, m, i, e);
	if (skf_streq(type_of(m), "cgroup") || skf_streq(type_of(m), "cgroup2"))
		return skf_mount_cgroup(s, m, e);
	m->late_ro =
		m->o.flags & MS_RDONLY && (skf_streq(type_of(m), "tmpfs") || skf_streq(m->dest, "/dev"));
	return mount_fs(s, m, i, e);
}

int skf_mounts_build(struct skf_start *s, struct skf_err *e)
{
	const struct skf_spec_mount *v = s->spec->mounts.v;

	for (size_t i = 0; i < s->spec->mounts.n; i++) {
		struct skf_mnt m = {.spec = &v[i], .tree = -EBADF};
		if (skf_mountopts_parse(&v[i].options, s->arena, &m.o, e) < 0)
			return skf_ctx(e, "mount '%s'", v[i].destination);
		int r = clean_dest(s, v[i].destination, m.dest);
		if (r < 0)
			return skf_fail_sys(e, r, "mount '%s'", v[i].destination);
		r = mount_one(s, &m, i, e);
		skf_closep(&m.tree);
		if (r < 0)
			return -1;
	}
	return 0;
}

int skf_mounts_seal(struct skf_start *s, struct skf_err *e)
{
	const struct skf_spec_mount *v = s->spec->mounts.v;
	struct mount_attr ro = {.attr_set = MOUNT_ATTR_RDONLY};

	for (size_t i = 0; i < s->spec->mounts.n; i++) {
		if (s->mount_fds[i] < 0)
			continue;
		int r = skf_mount_setattr(s->mount_fds[i], "", AT_EMPTY_PATH, &ro);
		if (r < 0)
			return skf_fail_sys(e, r, "mount '%s': cannot make it read-only", v[i].destination);
		skf_closep(&s->mount_fds[i]);
	}
	return 0;
}
