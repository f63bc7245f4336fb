/* runtime/ns.c -- which namespaces a container gets, and in which order they can be had.
 *
 * Invariants:
 *  1. All new namespaces but two come from the one clone3. The cgroup namespace is unshared later, by the
 * child: its root is the cgroup that the process is in at that moment, and the parent moves the child only
 * after the clone. The time namespace is unshared by whoever can still set its offsets (timens.c).
 *  2. A pid namespace is entered by birth only: the parent points its own children into it, clones, and
 * points them back.
 *  3. A joined user namespace is entered after those other namespaces that we may enter without it (they may
 * belong to an outer one), and before those that only its owner may enter.
 *  4. New namespaces belong to the user namespace of whoever clones. So when a user namespace is joined and
 * others are new, or a user namespace is new and others are joined, an intermediate process joins first and
 * then makes init with CLONE_PARENT: init is a child of our caller either way, with the right owner and the
 * right membership. Nothing blocks but the wait for the intermediate, which ends with its death. man 7
 * namespaces, user_namespaces. */
#include "runtime/runtime_int.h"

#include "oci/spec.h"
#include "sys/process.h"

#include <linux/nsfs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NS_USER = 0, NS_PID = 4, NS_TIME = 6 }; /* rows of the table */
const struct skf_ns_type skf_ns_types[SKF_NS_COUNT] = {
	{CLONE_NEWUSER, "user", "user"}, {CLONE_NEWIPC, "ipc", "ipc"},
	{CLONE_NEWUTS, "uts", "uts"},    {CLONE_NEWNET, "network", "net"},
	{CLONE_NEWPID, "pid", "pid"},    {CLONE_NEWNS, "mount", "mnt"},
	{CLONE_NEWTIME, "time", "time"}, {CLONE_NEWCGROUP, "cgroup", "cgroup"},
};

static int type_index(int flag)
{
	for (int i = 0; i < SKF_NS_COUNT; i++)
		if (skf_ns_types[i].flag == (uint64_t)(unsigned)flag)
			return i;
	return -1;
}

static bool same_file(int fd, const char *path)
{
	struct stat a, b;

	return fstat(fd, &a) == 0 && stat(path, &b) == 0 && a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

static int open_join(struct skf_start *s, int i, const char *path, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, path, O_RDONLY, 0);

	if (fd < 0)
		return skf_fail_sys(e, fd, "open %s namespace '%s'", skf_ns_types[i].oci, path);
	if (ioctl(fd, NS_GET_NSTYPE) != (int)skf_ns_types[i].flag)
		return skf_fail(e, SKF_EINVALID,
				"config.json: /linux/namespaces: '%s' is not a %s namespace", path,
				skf_ns_types[i].oci);
	/* the kernel refuses to enter the user namespace that one is in already */
	if (skf_ns_types[i].flag == CLONE_NEWUSER && same_file(fd, "/proc/self/ns/user"))
		return 0;
	s->ns_fd[i] = SKF_TAKE_FD(fd);
	s->ns_join |= skf_ns_types[i].flag;
	return 0;
}

int skf_ns_plan(struct skf_start *s, struct skf_err *e)
{
	const struct skf_spec_namespace *ns = s->spec->linux_.namespaces.v;

	for (size_t k = 0; k < s->spec->linux_.namespaces.n; k++) {
		int i = type_index(ns[k].type);

		if (i < 0)
			return skf_fail(e, SKF_EUNSUPPORTED,
					"config.json: /linux/namespaces/%zu: unknown type", k);
		if (!ns[k].path)
			s->ns_new |= skf_ns_types[i].flag;
		else if (open_join(s, i, ns[k].path, e) < 0)
			return -1;
	}
	s->userns = (s->ns_new | s->ns_join) & CLONE_NEWUSER;
	if ((s->ns_new & CLONE_NEWUSER) && skf_idmap_default(s, e) < 0)
		return -1;
	if (s->ns_new & CLONE_NEWTIME) {
		s->ns_fd[NS_TIME] = skf_timens_prepare(e);
		if (s->ns_fd[NS_TIME] < 0)
			return -1;
	}
	if (s->ns_join & CLONE_NEWPID) {
		s->own_pidns = skf_openat(AT_FDCWD, "/proc/self/ns/pid", O_RDONLY, 0);
		if (s->own_pidns < 0)
			return skf_fail_sys(e, s->own_pidns, "open own pid namespace");
	}
	return 0;
}

void skf_ns_close(struct skf_start *s)
{
	for (int i = 0; i < SKF_NS_COUNT; i++)
		skf_closep(&s->ns_fd[i]);
	skf_closep(&s->own_pidns);
}

/* Invariant 3: first without, then with the rights of the joined user namespace. */
int skf_ns_join(struct skf_start *s, struct skf_err *e)
{
	uint64_t left = s->ns_join & ~(uint64_t)CLONE_NEWPID;

	if (s->ns_joined)
		return 0;
	for (int pass = 0; pass < 2; pass++) {
		if (pass == 1 && (left & CLONE_NEWUSER)) {
			int r = skf_setns(s->ns_fd[NS_USER], CLONE_NEWUSER);

			if (r < 0)
				return skf_fail_sys(e, r, "join the user namespace");
			left &= ~(uint64_t)CLONE_NEWUSER;
		}
		for (int i = 1; i < SKF_NS_COUNT; i++) {
			int r;

			if (!(left & skf_ns_types[i].flag))
				continue;
			r = skf_setns(s->ns_fd[i], (int)skf_ns_types[i].flag);
			if (r == -EPERM && pass == 0 && (left & CLONE_NEWUSER))
				continue;
			if (r < 0)
				return skf_fail_sys(e, r, "join the %s namespace", skf_ns_types[i].oci);
			left &= ~skf_ns_types[i].flag;
		}
	}
	return 0;
}

static int enter_pidns(const struct skf_start *s, int fd, struct skf_err *e)
{
	int r;

	if (!(s->ns_join & CLONE_NEWPID))
		return 0;
	r = skf_setns(fd, CLONE_NEWPID);
	return r < 0 ? skf_fail_sys(e, r, "join the pid namespace") : 0;
}

/* In the intermediate: joins, makes init as its sister, reports the pid. Returns in init only. */
static void stage(struct skf_start *s, uint64_t flags, int out)
{
	struct skf_clone c = {.flags = flags | CLONE_PARENT,
			      .cgroup_fd = -1}; /* the intermediate's cgroup is init's */
	struct skf_err e = SKF_ERR_INIT;
	pid_t pid = -1;
	int r;

	if (skf_ns_join(s, &e) == 0 && (s->ns_join & CLONE_NEWPID))
		(void)enter_pidns(s, s->ns_fd[NS_PID], &e); /* its failure is in e */
	/* init is born in it, and it belongs to the joined user namespace */
	if (e.kind == SKF_OK && (s->ns_join & CLONE_NEWUSER) && (s->ns_new & CLONE_NEWTIME))
		(void)skf_timens_unshare(s->ns_fd[NS_TIME], &s->spec->linux_.time_offsets, &e); /* in e */
	if (e.kind == SKF_OK && (s->ns_join & CLONE_NEWUSER)) {
		/* new namespaces are owned by the joined user namespace; its root must exist to own their
		 * files */
		r = skf_setresgid(0);
		if (r == 0)
			r = skf_setresuid(0);
		if (r < 0)
			skf_fail_sys(&e, r, "become root of the joined user namespace");
	}
	if (e.kind == SKF_OK) {
		s->ns_joined = true;
		pid = skf_clone3(&c, NULL);
		if (pid == 0) {
			close(out);
			return;
		}
		if (pid < 0)
			skf_fail_sys(&e, (int)pid, "clone the container's init in the joined namespaces");
	}
	if (e.kind != SKF_OK)
		skf_sync_fail(s->sync[1], &e);
	else
		(void)skf_write_full(out, &pid, sizeof(pid)); /* a parent that is gone needs no pid */
	_exit(e.kind != SKF_OK);
}

static pid_t clone_staged(struct skf_start *s, uint64_t flags, int *ret_pidfd, struct skf_err *e)
{
	/* into the cgroup already here: the joined user namespace has no right to enter it */
	struct skf_clone c = {.flags = s->req->sister ? CLONE_PARENT : 0,
			      .exit_signal = s->req->sister ? 0 : SIGCHLD,
			      .cgroup_fd = s->cg_fd >= 0 ? s->cg_fd : -1};
	SKF_AUTO_FD int mid_fd = -EBADF;
	pid_t mid, pid = 0;
	int p[2], r;

	r = skf_pipe(p, 0);
	if (r < 0)
		return skf_fail_sys(e, r, "pipe for the container's pid");
	mid = skf_clone3(&c, &mid_fd);
	if (mid == 0) {
		close(p[0]);
		stage(s, flags, p[1]);
		return 0;
	}
	close(p[1]);
	r = mid < 0 ? (int)mid : skf_read_full(p[0], &pid, sizeof(pid));
	close(p[0]);
	if (mid < 0)
		return skf_fail_sys(e, r, "clone the process that joins the container's namespaces");
	while (!s->req->sister && waitpid(mid, NULL, 0) < 0 && errno == EINTR)
		;  /* a sister is reaped by our parent */
	if (r < 0) /* it said why */
		return skf_sync_expect(s->sync[0], SKF_STEP_READY, 0, NULL, e) < 0
			       ? -1
			       : skf_fail(e, SKF_EBUG, "no pid of init");
	r = skf_pidfd_open(pid);
	if (r < 0)
		return skf_fail_sys(e, r, "open the container's init (pid %d)", (int)pid);
	*ret_pidfd = r;
	return pid;
}

pid_t skf_ns_clone(struct skf_start *s, int *ret_pidfd, struct skf_err *e)
{
	uint64_t flags = s->ns_new & ~(uint64_t)(CLONE_NEWCGROUP | CLONE_NEWTIME);
	struct skf_clone c = {.flags = flags | (s->req->sister ? CLONE_PARENT : 0),
			      .exit_signal = s->req->sister ? 0 : SIGCHLD,
			      .cgroup_fd = s->cg_fd >= 0 ? s->cg_fd : -1};
	struct skf_err back = SKF_ERR_INIT;
	pid_t pid;

	if (((s->ns_new & CLONE_NEWUSER) && s->ns_join) ||
	    ((s->ns_join & CLONE_NEWUSER) && (flags | (s->ns_new & CLONE_NEWTIME))))
		return clone_staged(s, flags, ret_pidfd, e);
	if (enter_pidns(s, s->ns_fd[NS_PID], e) < 0)
		return -1;
	pid = skf_clone3(&c, ret_pidfd);
	if (pid == 0)
		return 0;
	if (enter_pidns(s, s->own_pidns, &back) < 0)
		skf_warn(s->rt->log, "return to the caller's pid namespace: %s, ignoring", back.msg);
	if (pid < 0)
		return skf_fail_sys(e, (int)pid, "clone the container's init with its namespaces");
	return pid;
}

static int become_root(struct skf_err *e)
{
	int r = skf_setgroups(NULL, 0);

	if (r < 0 && r != -EPERM) /* EPERM: setgroups is denied in this namespace, and the groups are those
				     of the caller */
		return skf_fail_sys(e, r, "drop the caller's groups");
	r = skf_setresgid(0);
	if (r == 0)
		r = skf_setresuid(0);
	if (r == -EINVAL)
		return skf_fail(e, SKF_EINVALID,
				"config.json: /linux/uidMappings and gidMappings must map container id 0");
	return r < 0 ? skf_fail_sys(e, r, "become root of the container's user namespace") : 0;
}

static int make_timens(struct skf_start *s, struct skf_err *e)
{
	if (!(s->ns_new & CLONE_NEWTIME) || (s->ns_join & CLONE_NEWUSER)) /* none, or born in it */
		return 0;
	return skf_timens_unshare(s->ns_fd[NS_TIME], &s->spec->linux_.time_offsets, e) < 0
		       ? -1
		       : skf_timens_enter(s->ns_fd[NS_TIME], e);
}

int skf_ns_finish(struct skf_start *s, struct skf_err *e)
{
	const struct skf_spec *sp = s->spec;
	uint64_t have = s->ns_new | s->ns_join;
	int r;

	skf_affinity_reset(); /* the cgroup is the container's by now */
	if (make_timens(s, e) < 0)
		return -1;
	if (s->userns && become_root(e) < 0)
		return -1;
	if (s->ns_new & CLONE_NEWCGROUP) {
		r = skf_unshare(CLONE_NEWCGROUP);
		if (r < 0)
			return skf_fail_sys(e, r, "unshare the cgroup namespace");
	}
	if (have & CLONE_NEWUTS) {
		r = sp->hostname && *sp->hostname ? skf_sethostname(sp->hostname) : 0;
		if (r < 0)
			return skf_fail_sys(e, r, "set host name '%s'", sp->hostname);
		r = sp->domainname && *sp->domainname ? skf_setdomainname(sp->domainname) : 0;
		if (r < 0)
			return skf_fail_sys(e, r, "set domain name '%s'", sp->domainname);
	}
	if (s->ns_new & CLONE_NEWNET) {
		r = skf_net_loopback_up();
		if (r < 0)
			return skf_fail_sys(e, r, "bring up the loopback device");
	}
	return 0;
}
