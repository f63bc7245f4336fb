/* runtime/mount_source.c -- where mounts come from: clones of host paths (open_tree) and new file systems
 * (fsopen). Everything made here is detached; mounts.c attaches it.
 *
 * Invariants:
 *  1. The clone of the root that the parent makes lives outside the container's mount namespace, so it keeps
 *     the host's peer group. It becomes a slave of it here, as the kernel does with mounts that are copied
 *     into another user namespace; otherwise a mount made by the container would show up on the host.
 *  2. No value is cut: what fsconfig cannot take (-E2BIG) goes to the classic call instead.
 *
 * Blocks only as long as the file systems do. */
#include "base/buf.h"
#include "base/limits.h"
#include "runtime/rootfs_int.h"
#include "sys/path.h"
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int skf_source_path(const struct skf_start *s, const char *source, char out[PATH_MAX])
{
	if (source[0] == '/')
		return skf_fmt(out, PATH_MAX, "%s", source);
	return skf_fmt(out, PATH_MAX, "%s/%s", s->req->bundle, source);
}

int skf_source_clone(const struct skf_start *s, const char *host_path, unsigned tree_flags)
{
	char path[PATH_MAX];

	int r = skf_source_path(s, host_path, path);
	return r < 0 ? r : skf_open_tree(AT_FDCWD, path, OPEN_TREE_CLONE | tree_flags);
}

int skf_source_clone_fd(int fd, bool recursive)
{
	return skf_open_tree(fd, "", OPEN_TREE_CLONE | AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0));
}

/* Invariant 1. */
static int leave_peers(const struct skf_start *s, int tree)
{
	unsigned long p = skf_root_propagation(s);
	struct mount_attr a = {.propagation = p & MS_PRIVATE ? MS_PRIVATE : MS_SLAVE};

	int r = skf_mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &a);
	if (r < 0 || !(p & MS_SHARED))
		return r;
	a.propagation = MS_SHARED; /* with what the container clones of it */
	return skf_mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &a);
}

/* Copied into another user namespace, the host's shared mounts are slaves; a shared root also shares what
 * the container mounts on its volumes with what it clones of them. */
static int share_again(const struct skf_start *s, int tree)
{
	struct mount_attr a = {.propagation = MS_SHARED};

	if (!s->userns || !(skf_root_propagation(s) & MS_SHARED))
		return 0;
	return skf_mount_setattr(tree, "", AT_EMPTY_PATH | AT_RECURSIVE, &a);
}

/* -EBADF: the caller has opened none for this mount. */
static int given_tree(const struct skf_start *s, const struct skf_spec_mount *m)
{
	for (size_t i = 0; i < s->req->n_sources; i++) {
		if (!skf_streq(s->req->sources[i].destination, m->destination))
			continue;
		int fd = fcntl(s->req->sources[i].tree_fd, F_DUPFD_CLOEXEC, 3);
		return skf_sys(fd);
	}
	return -EBADF;
}

int skf_source_bind(struct skf_start *s, size_t i, struct skf_err *e)
{
	const struct skf_spec_mount *m = (const struct skf_spec_mount *)s->spec->mounts.v + i;
	struct skf_mountopts o;

	if (skf_mountopts_parse(&m->options, s->arena, &o, e) < 0)
		return skf_ctx(e, "mount '%s'", m->destination);
	unsigned flags = (o.flags & MS_REC ? AT_RECURSIVE : 0) | (o.src_nofollow ? AT_SYMLINK_NOFOLLOW : 0);
	SKF_AUTO_FD int tree = given_tree(s, m);
	if (tree == -EBADF)
		tree = skf_source_clone(s, m->source, flags);
	if (tree == -EINVAL && !(o.flags & MS_REC))
		return skf_fail_sys(
			e, tree,
			"mount '%s': cannot clone source '%s' without what is mounted below it; use 'rbind'",
			m->destination, m->source);
	if (tree < 0)
		return skf_fail_sys(e, tree, "mount '%s': cannot open source '%s'", m->destination,
				    m->source);
	if (s->mount_fds[i] >= 0 && skf_idmap_mount_apply(tree, s->mount_fds[i], m, o.ridmap, e) < 0)
		return -1;
	int r = share_again(s, tree);
	if (r < 0)
		return skf_fail_sys(e, r, "mount '%s': cannot set the propagation of source '%s'",
				    m->destination, m->source);
	return SKF_TAKE_FD(tree);
}

/* The root directory too may be out of the child's reach (a parent directory of mode 0700). */
static int prepare_root(struct skf_start *s, struct skf_err *e)
{
	if (s->req->root_mount_fd >= 0)
		return 0;
	SKF_AUTO_FD int tree = skf_source_clone_fd(s->root_fd, true);
	if (tree < 0) {
		skf_debug(s->rt->log, "root '%s' is left to the container's init: %s", s->spec->root_path,
			  strerror(-tree));
		return 0;
	}
	int r = leave_peers(s, tree);
	if (r < 0)
		return skf_fail_sys(e, r, "root '%s': cannot set the propagation", s->spec->root_path);
	skf_closep(&s->root_fd);
	s->root_fd = SKF_TAKE_FD(tree);
	return 0;
}

/* Without parsing: most containers have nothing of the kind. */
static bool may_be_idmapped(const struct skf_spec_mount *m)
{
	if (m->uid_mappings.n)
		return true;
	for (size_t i = 0; i < m->options.n; i++) {
		const char *o = m->options.v[i];
		if (skf_startswith(o, "idmap") || skf_startswith(o, "ridmap"))
			return true;
	}
	return false;
}

static int prepare_idmaps(struct skf_start *s, struct skf_err *e)
{
	const struct skf_spec_mount *m = s->spec->mounts.v;
	struct skf_idmap_cache cache = {.fd = -EBADF};
	struct skf_mountopts o;
	int r = 0;

	for (size_t i = 0; r == 0 && i < s->spec->mounts.n; i++) {
		if (!may_be_idmapped(&m[i]))
			continue;
		r = skf_mountopts_parse(&m[i].options, s->arena, &o, e);
		if (r < 0)
			skf_ctx(e, "mount '%s'", m[i].destination);
		else if (skf_mount_is_idmapped(&m[i], &o))
			r = skf_idmap_mount_prepare(s, i, &o, &cache, e);
	}
	skf_closep(&cache.fd);
	return r;
}

static bool has_binds(const struct skf_start *s)
{
	const struct skf_spec_mount *m = s->spec->mounts.v;

	for (size_t i = 0; i < s->spec->mounts.n; i++) {
		if (skf_streq(m[i].type, "bind"))
			return true;
		for (size_t k = 0; k < m[i].options.n; k++) {
			if (skf_streq(m[i].options.v[k], "bind") || skf_streq(m[i].options.v[k], "rbind"))
				return true;
		}
	}
	return false;
}

int skf_sources_prepare(struct skf_start *s, struct skf_err *e)
{
	if (prepare_idmaps(s, e) < 0)
		return -1;
	if (!s->userns || !skf_own_mntns(s))
		return 0;
	/* A plain user has no more rights than its container's init. */
	if (geteuid() == 0 && (has_binds(s) || s->spec->linux_.devices.n) && skf_broker_start(s, e) < 0)
		return -1;
	return prepare_root(s, e);
}

static const struct {
	unsigned long ms;
	uint64_t attr;
} plain_flags[] = {
	{MS_RDONLY, MOUNT_ATTR_RDONLY},         {MS_NOSUID, MOUNT_ATTR_NOSUID},
	{MS_NODEV, MOUNT_ATTR_NODEV},           {MS_NOEXEC, MOUNT_ATTR_NOEXEC},
	{MS_NODIRATIME, MOUNT_ATTR_NODIRATIME}, {MS_NOSYMFOLLOW, MOUNT_ATTR_NOSYMFOLLOW},
};

void skf_attr_of_flags(unsigned long flags, unsigned long clear, struct mount_attr *ret)
{
	for (size_t i = 0; i < SKF_ARRAY_LEN(plain_flags); i++) {
		if (flags & plain_flags[i].ms)
			ret->attr_set |= plain_flags[i].attr;
		else if (clear & plain_flags[i].ms)
			ret->attr_clr |= plain_flags[i].attr;
	}
	/* One field: it is cleared as a whole whenever it changes; 0 in it means relatime. */
	if (flags & MS_NOATIME)
		ret->attr_set |= MOUNT_ATTR_NOATIME;
	else if (flags & MS_STRICTATIME)
		ret->attr_set |= MOUNT_ATTR_STRICTATIME;
	if ((flags | clear) & (MS_NOATIME | MS_STRICTATIME | MS_RELATIME))
		ret->attr_clr |= MOUNT_ATTR__ATIME;
}

/* Options of the super block that fsconfig knows as words. MS_SILENT only keeps the kernel's log quiet. */
static const struct {
	unsigned long ms;
	const char *key;
} sb_flags[] = {
	{MS_SYNCHRONOUS, "sync"},
	{MS_DIRSYNC, "dirsync"},
	{MS_MANDLOCK, "mand"},
	{MS_LAZYTIME, "lazytime"},
};

/* Their super block belongs to the kernel or to a namespace, so "ro" is for the mount alone. */
static bool shares_superblock(const char *type)
{
	static const char *const t[] = {"proc",   "sysfs",  "cgroup",   "cgroup2",
					"mqueue", "devpts", "devtmpfs", "tmpfs"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(t); i++) {
		if (skf_streq(type, t[i]))
			return true;
	}
	return false;
}

static int set_option(int fs, const char *opt, size_t n)
{
	char word[512];

	if (n >= sizeof(word))
		return -E2BIG;
	memcpy(word, opt, n);
	word[n] = '\0';
	char *eq = strchr(word, '=');
	if (!eq || eq == word)
		return skf_fsconfig_flag(fs, word);
	*eq = '\0';
	return skf_fsconfig_str(fs, word, eq + 1);
}

static int set_options(int fs, const char *type, const char *source, unsigned long flags, const char *data)
{
	int r = 0;

	if (source && *source)
		r = skf_fsconfig_str(fs, "source", source);
	if (r == 0 && flags & MS_RDONLY && !shares_superblock(type))
		r = skf_fsconfig_flag(fs, "ro");
	for (size_t i = 0; r == 0 && i < SKF_ARRAY_LEN(sb_flags); i++) {
		if (flags & sb_flags[i].ms)
			r = skf_fsconfig_flag(fs, sb_flags[i].key);
	}
	for (const char *p = data; r == 0 && *p;) {
		size_t n = strcspn(p, ",");
		if (n > 0)
			r = set_option(fs, p, n);
		p += n + (p[n] == ',');
	}
	return r;
}

int skf_source_fs(const char *type, const char *source, unsigned long flags, const char *data, char *why,
		  size_t why_size)
{
	struct mount_attr a = {0};

	why[0] = '\0';
	/* Escaped and quoted commas (overlay, SELinux) and i_version exist for mount(2) only. */
	if (strpbrk(data, "\\\"") || flags & MS_I_VERSION)
		return -E2BIG;
	SKF_AUTO_FD int fs = skf_fsopen(type);
	if (fs < 0)
		return fs;
	int r = set_options(fs, type, source, flags, data);
	if (r == 0)
		r = skf_fsconfig_create(fs);
	if (r == 0) {
		skf_attr_of_flags(flags, 0, &a);
		r = skf_fsmount(fs, (unsigned)a.attr_set);
	}
	if (r < 0)
		skf_fs_message(fs, why, why_size);
	return r;
}
