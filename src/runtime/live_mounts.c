/* runtime/live_mounts.c -- mounts that a container gets, or loses, while it lives (crun's verb "mounts").
 *
 * A child of the caller does it: it opens the sources in the caller's view, enters the namespaces of the
 * container's init, and mounts there with the code that builds a root file system (mounts.c).
 *
 * Invariants:
 *  1. A source is a clone that was taken before the container was entered; nothing of the container is
 *     looked up to find it. For a container with a user namespace it is taken from a copy of the caller's
 *     mounts that this user namespace owns: it has the flags locked there, as at the creation.
 *  2. A new file system is made inside the container's namespaces, so that it belongs to them. What would
 *     show the caller's instead (proc, because of the pid namespace; cgroup) is refused.
 *  3. Destinations are resolved below init's root as at the creation. What is detached is found without
 *     following any link, so that the container cannot put another mount in the place of the one meant.
 *  4. The child is not dumpable, and executes nothing.
 *
 * Blocks for the container's lock, and as long as the file systems do, at most SKF_START_MS. */
#include "base/limits.h"
#include "base/proc.h"
#include "runtime/rootfs_int.h"
#include "sys/helper.h"
#include "sys/path.h"
#include "sys/process.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

struct live {
	const struct skf_rt_state *st;
	struct skf_start *s; /* of a start only what mounts.c and mount_source.c need */
	int pidfd;
	int join; /* CLONE_NEW* still to be entered */
	bool add;
};

/* --- what can be done at all --- */

static int check_one(struct live *l, const struct skf_spec_mount *m, struct skf_err *e)
{
	struct skf_mountopts o;
	char dest[PATH_MAX];

	if (skf_mountopts_parse(&m->options, l->s->arena, &o, e) < 0)
		return skf_ctx(e, "mount '%s'", m->destination);
	int r = skf_dest_clean(m->destination, dest);
	if (r < 0)
		return skf_fail_sys(e, r, "mount '%s'", m->destination);
	if (skf_streq(dest, "/"))
		return skf_fail(e, SKF_EINVALID,
				"mount '%s': the root of a container that exists stays what it is",
				m->destination);
	if (!l->add)
		return 0;
	bool bind = skf_mount_is_bind(m, &o);
	if (bind && !m->source)
		return skf_fail(e, SKF_EINVALID, "mount '%s': a bind mount needs a source", m->destination);
	if (o.flags & MS_REMOUNT || o.copy_symlink)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"mount '%s': option '%s' is only for the creation of a container",
				m->destination, o.copy_symlink ? "copy-symlink" : "remount");
	if (!bind &&
	    (skf_streq(m->type, "proc") || skf_streq(m->type, "cgroup") || skf_streq(m->type, "cgroup2")))
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"mount '%s': type '%s' is only for the creation of a container; a bind mount can "
			"show the container's own in a second place",
			m->destination, m->type);
	return 0;
}

/* --- the child --- */

/* Invariant 1; ends with the mount namespace sent. */
static void make_view(void *arg, int sock)
{
	const struct live *l = arg;
	struct skf_err e = SKF_ERR_INIT;
	SKF_AUTO_FD int ns = -EBADF;
	int r = skf_setns(l->s->ns_fd[0], CLONE_NEWUSER);

	if (r == 0)
		r = skf_unshare(CLONE_NEWNS);
	if (r == 0)
		r = ns = skf_openat(AT_FDCWD, "/proc/self/ns/mnt", O_RDONLY, 0);
	if (r >= 0)
		r = skf_sync_send(sock, SKF_STEP_SETUP, ns);
	if (r < 0) {
		(void)skf_fail_sys(&e, r, "copy the mounts for the container's user namespace");
		skf_sync_fail(sock, &e);
	}
}

static int enter_view(struct live *l, struct skf_err *e)
{
	SKF_AUTO_FD int ns = -EBADF;
	struct skf_helper h;
	int r = skf_helper_start(0, make_view, l, &h);

	if (r < 0)
		return skf_fail_sys(e, r, "clone the process that copies the mounts");
	r = skf_sync_expect(h.sock, SKF_STEP_SETUP, SKF_START_MS, &ns, e);
	skf_helper_end(&h, r < 0);
	if (r < 0)
		return -1;
	r = ns < 0 ? -EBADF : skf_setns(ns, CLONE_NEWNS);
	return r < 0 ? skf_fail_sys(e, r, "enter the copy of the mounts") : 0;
}

/* A plain user has rights over mounts only in the user namespace: there he makes the copy himself. */
static int own_view(struct live *l, struct skf_err *e)
{
	int r = skf_setns(l->s->ns_fd[0], CLONE_NEWUSER);

	if (r == 0)
		r = skf_unshare(CLONE_NEWNS);
	if (r < 0)
		return skf_fail_sys(e, r, "copy the mounts for the container's user namespace");
	l->join &= ~CLONE_NEWUSER;
	return 0;
}

static int open_sources(struct live *l, struct skf_err *e)
{
	const struct skf_spec_mount *m = l->s->spec->mounts.v;
	struct skf_mountopts o;

	if (skf_sources_prepare(l->s, e) < 0)
		return -1;
	if (l->s->userns && (geteuid() == 0 ? enter_view(l, e) : own_view(l, e)) < 0)
		return -1;
	for (size_t i = 0; i < l->s->spec->mounts.n; i++) {
		if (skf_mountopts_parse(&m[i].options, l->s->arena, &o, e) < 0)
			return skf_ctx(e, "mount '%s'", m[i].destination);
		if (!skf_mount_is_bind(&m[i], &o))
			continue;
		int r = l->s->sources[i] = skf_source_bind(l->s, i, e);
		if (r < 0)
			return -1;
		struct mount_attr a = {.propagation = MS_SLAVE};
		r = skf_mount_setattr(l->s->sources[i], "", AT_EMPTY_PATH | AT_RECURSIVE, &a);
		if (r < 0)
			return skf_fail_sys(e, r,
					    "mount '%s': cannot take source '%s' out of the host's peers",
					    m[i].destination, m[i].source);
	}
	return 0;
}

static int enter_container(const struct live *l, struct skf_err *e)
{
	int r = skf_setns(l->pidfd, l->join);

	if (r == 0 && l->s->userns) {
		(void)skf_setgroups(NULL, 0); /* denied in some namespaces; nothing here depends on groups */
		r = skf_setresgid(0);
		if (r == 0)
			r = skf_setresuid(0);
	}
	return r < 0 ? skf_fail_sys(e, r, "enter the namespaces of container '%s'", l->st->id) : 0;
}

/* Invariant 3. */
static int detach_one(const struct live *l, const struct skf_spec_mount *m, struct skf_err *e)
{
	char dest[PATH_MAX], name[NAME_MAX + 1];
	struct statx st;

	int r = skf_dest_clean(m->destination, dest);
	char *slash = r < 0 ? dest : strrchr(dest, '/');
	if (r == 0)
		r = skf_fmt(name, sizeof(name), "%s", slash + 1);
	*slash = '\0';
	SKF_AUTO_FD int dir = r < 0 ? r
				    : skf_path_open_nolinks(l->s->root_fd, dest[0] ? dest + 1 : "",
							    O_PATH | O_DIRECTORY, 0);
	if (dir < 0)
		return skf_fail_sys(
			e, dir,
			"unmount '%s': cannot open its directory in the container (a symbolic link "
			"on the way is not followed)",
			m->destination);
	if (statx(dir, name, AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT, 0, &st) < 0)
		return skf_fail_errno(e, "unmount '%s'", m->destination);
	if (!(st.stx_attributes & STATX_ATTR_MOUNT_ROOT))
		return skf_fail(e, SKF_ECONFLICT, "unmount '%s': nothing is mounted there in container '%s'",
				m->destination, l->st->id);
	r = fchdir(dir) < 0 ? skf_errno() : skf_umount(name, MNT_DETACH | UMOUNT_NOFOLLOW);
	return r < 0 ? skf_fail_sys(e, r, "unmount '%s' in container '%s'", m->destination, l->st->id) : 0;
}

static int work(struct live *l, struct skf_err *e)
{
	const struct skf_spec_mount *m = l->s->spec->mounts.v;

	if ((l->add && open_sources(l, e) < 0) || enter_container(l, e) < 0)
		return -1;
	umask(0);
	if (l->add)
		return skf_mounts_build(l->s, e) < 0 ? -1 : skf_mounts_seal(l->s, e);
	for (size_t i = l->s->spec->mounts.n; i-- > 0;) {
		if (detach_one(l, &m[i], e) < 0)
			return -1;
	}
	return 0;
}

static void run_child(void *arg, int sock)
{
	struct live *l = arg;
	struct skf_err e = SKF_ERR_INIT;

	(void)skf_set_pdeathsig(SIGKILL); /* cannot fail with a valid signal */
	(void)skf_set_dumpable(false);    /* cannot fail with these arguments */
	if (work(l, &e) == 0)
		(void)skf_sync_send(sock, SKF_STEP_BUILT,
				    -1); /* nobody listens any more: nothing left to tell */
	else
		skf_sync_fail(sock, &e);
}

/* --- the caller --- */

static int run_work(struct live *l, struct skf_err *e)
{
	struct skf_helper h;
	int r = skf_helper_start(0, run_child, l, &h);

	if (r < 0)
		return skf_fail_sys(e, r, "clone the process that mounts in container '%s'", l->st->id);
	r = skf_sync_expect(h.sock, SKF_STEP_BUILT, SKF_START_MS, NULL, e);
	skf_helper_end(&h, r < 0);
	return r;
}

/* Handles on the container's init, which is the process of the state. */
static int open_init(struct live *l, struct skf_err *e)
{
	const struct skf_rt_state *st = l->st;
	char path[40];

	int r = l->pidfd = skf_pidfd_open(st->pid);
	if (r >= 0)
		r = skf_fmt(path, sizeof(path), "/proc/%d/root", (int)st->pid);
	if (r >= 0)
		r = l->s->root_fd = skf_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
	if (r >= 0 && l->s->userns) {
		r = skf_fmt(path, sizeof(path), "/proc/%d/ns/user", (int)st->pid);
		if (r >= 0)
			r = l->s->ns_fd[0] = skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	}
	if (r >= 0 && skf_proc_alive(st->pid, st->pid_start) != 1)
		r = -ESRCH;
	return r < 0 ? skf_fail_sys(e, r, "find the init of container '%s'", st->id) : 0;
}

static int alloc_fds(struct skf_start *s, struct skf_err *e)
{
	size_t n = s->spec->mounts.n ? s->spec->mounts.n : 1;

	s->mount_fds = skf_arena_array(s->arena, n, sizeof(int));
	s->sources = skf_arena_array(s->arena, n, sizeof(int));
	if (!s->mount_fds || !s->sources)
		return skf_nomem(e);
	for (size_t i = 0; i < n; i++)
		s->mount_fds[i] = s->sources[i] = -EBADF;
	return 0;
}

static int in_container(struct live *l, struct skf_err *e)
{
	const struct skf_spec_mount *m = l->s->spec->mounts.v;

	if (l->st->status == SKF_RT_STOPPED)
		return skf_fail(e, SKF_ECONFLICT, "container not running: '%s' is stopped", l->st->id);
	if (!(l->st->ns_flags & CLONE_NEWNS))
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"container '%s' has no mount namespace of its own, so its mounts are the caller's: "
			"use mount and umount",
			l->st->id);
	for (size_t i = 0; i < l->s->spec->mounts.n; i++) {
		if (check_one(l, &m[i], e) < 0)
			return -1;
	}
	l->join = l->st->ns_flags & ~CLONE_NEWPID;
	l->s->userns = l->join & CLONE_NEWUSER;
	l->s->ns_join = l->join & CLONE_NEWUSER;
	if (alloc_fds(l->s, e) < 0)
		return -1;
	int r = open_init(l, e);
	if (r == 0)
		r = run_work(l, e);
	skf_closep(&l->pidfd);
	skf_closep(&l->s->root_fd);
	skf_closep(&l->s->ns_fd[0]);
	return r;
}

static int change(const struct skf_rt *rt, const char *id, const struct skf_jarr *mounts, bool add,
		  struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_spec spec = {.mounts = *mounts};
	struct skf_rt_create req = {.id = id, .bundle_fd = -EBADF, .root_mount_fd = -EBADF};
	struct skf_start s = {
		.rt = rt, .req = &req, .spec = &spec, .arena = &a, .root_fd = -EBADF, .proc_fd = -EBADF};
	struct live l = {.s = &s, .pidfd = -EBADF, .add = add};
	struct skf_rt_state *st;

	for (unsigned i = 0; i < SKF_NS_COUNT; i++)
		s.ns_fd[i] = -EBADF;
	SKF_AUTO_FD int dir = skf_state_take(rt, id, &a, &st, NULL, e);

	if (dir < 0)
		return -1;
	l.st = st;
	req.bundle = st->bundle;
	return in_container(&l, e);
}

int skf_rt_mounts_add(const struct skf_rt *rt, const char *id, const struct skf_jarr *mounts,
		      struct skf_err *e)
{
	return change(rt, id, mounts, true, e);
}

int skf_rt_mounts_remove(const struct skf_rt *rt, const char *id, const struct skf_jarr *mounts,
			 struct skf_err *e)
{
	return change(rt, id, mounts, false, e);
}
