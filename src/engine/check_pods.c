/* engine/check_pods.c -- the check's pass over what pods have on the host: holders (monitor/hold.h) whose
 * run directory was removed by hand, whichever root it was of, so that nobody can reach them any more; and
 * pod cgroups that nobody uses.
 *
 * Invariants: (1) a holder counts as lost only when it is a process of ours (program, arguments, user, PID
 * namespace) and holds a run directory that has no name anywhere; the looking is repeated behind a pidfd
 * before it is ended. (2) The cgroup of a pod stays while a process is in it, its pod is of this root, a
 * holder of any root says that it is that pod's, or a start may be about to use it. */
#include "engine/check_int.h"
#include "engine/pod_int.h"
#include "sys/process.h"
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define HOLDER "skiff-monitor"
#define GONE   " (deleted)"

static bool link_is(int dir, const char *name, int other, const char *other_name)
{
	struct stat a, b;

	return fstatat(dir, name, &a, 0) == 0 && fstatat(other, other_name, &b, 0) == 0 &&
	       a.st_dev == b.st_dev && a.st_ino == b.st_ino;
}

/* Is the process of /proc/<pid> (dir) a pod's holder? Its pod's first digits. */
static bool is_holder(int dir, char shown[SKF_SHORT_ID + 1])
{
	char mem[64], program[PATH_MAX];
	struct skf_buf b = {.p = mem, .cap = sizeof(mem), .max = sizeof(mem) - 1};
	static const char words[] = HOLDER "\0pod"; /* with the NUL that ends it */
	ssize_t n = readlinkat(dir, "exe", program, sizeof(program) - 1);
	struct stat st;
	char *end;

	if (n < 0 || fstat(dir, &st) < 0 || st.st_uid != geteuid() ||
	    !link_is(dir, "ns/pid", AT_FDCWD, "/proc/self/ns/pid"))
		return false;
	program[n] = '\0';
	end = (size_t)n > strlen(GONE) ? program + n - strlen(GONE) : NULL;
	if (end && skf_streq(end, GONE)) /* an upgrade */
		*end = '\0';
	end = strrchr(program, '/');
	if (!end || !skf_streq(end + 1, HOLDER) || skf_read_file_at(dir, "cmdline", sizeof(mem) - 1, &b) < 0)
		return false;
	if (b.len != sizeof(words) + SKF_SHORT_ID + 1 || memcmp(b.p, words, sizeof(words)) != 0 ||
	    !skf_is_hex(b.p + sizeof(words), SKF_SHORT_ID))
		return false;
	memcpy(shown, b.p + sizeof(words), SKF_SHORT_ID);
	shown[SKF_SHORT_ID] = '\0';
	return true;
}

/* Has it a directory ".../pods/<id>" that was removed? */
static bool is_lost(int dir, const char *shown, char id[SKF_ID_LEN + 1])
{
	SKF_AUTO_FD int fds = skf_openat(dir, "fd", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fds < 0 ? NULL : fdopendir(fds);
	const size_t tail = SKF_ID_LEN + strlen(GONE);
	struct dirent *de;

	if (!d)
		return false;
	(void)SKF_TAKE_FD(fds); /* d closes it */
	while ((de = readdir(d))) {
		char path[PATH_MAX];
		ssize_t n = readlinkat(dirfd(d), de->d_name, path, sizeof(path) - 1);
		struct stat st;

		if (n < (ssize_t)(tail + strlen("/pods/")))
			continue;
		path[n] = '\0';
		memcpy(id, path + n - tail, SKF_ID_LEN);
		id[SKF_ID_LEN] = '\0';
		if (skf_ctr_id_valid(id) && skf_startswith(id, shown) &&
		    skf_streq(path + n - strlen(GONE), GONE) &&
		    skf_startswith(path + n - tail - strlen("/pods/"), "/pods/") &&
		    fstatat(dirfd(d), de->d_name, &st, 0) == 0 && S_ISDIR(st.st_mode) && st.st_nlink == 0)
			return true;
	}
	return false;
}

static void pod_cgroup(const char *id, struct skf_cg_dirs *cg)
{
	*cg = (struct skf_cg_dirs){0};
	if (skf_cg_layout(&cg->layout) < 0 ||
	    skf_fmt(cg->path, sizeof(cg->path), SKF_POD_CGROUP "/%s", id) < 0)
		cg->layout.n = 0;
	cg->used = cg->layout.n >= 32 ? ~0u : (1u << cg->layout.n) - 1;
}

static int remove_cgroup(const char *id, struct skf_err *e)
{
	struct skf_cg_dirs cg;
	int r;

	pod_cgroup(id, &cg);
	r = cg.layout.n ? skf_cg_remove(&cg, SKF_CGROUP_RM_MS) : 0;
	return r < 0 && r != -EBUSY ? skf_fail_sys(e, r, "remove the cgroup '%s'", cg.path)
				    : 0; /* EBUSY: containers of the pod run on in it */
}

/* The pidfd is of the process that was there when it was opened; whether that is the one we mean is looked
 * at again. */
static int end_holder(const char *pid, const char *id, struct skf_err *e)
{
	SKF_AUTO_FD int pidfd = -EBADF, dir = -EBADF;
	char shown[SKF_SHORT_ID + 1], again[SKF_ID_LEN + 1], path[32];
	struct pollfd p = {.events = POLLIN};
	uint32_t number;
	int r = skf_parse_u32(pid, &number);

	if (r == 0)
		r = pidfd = skf_pidfd_open((pid_t)number);
	if (r >= 0)
		r = skf_fmt(path, sizeof(path), "/proc/%s", pid);
	if (r >= 0)
		r = dir = skf_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
	if (r < 0)
		return r == -ESRCH || r == -ENOENT ? 0 : skf_fail_sys(e, r, "open process %s", pid);
	p.fd = pidfd;
	if (!is_holder(dir, shown) || !is_lost(dir, shown, again) || !skf_streq(id, again))
		return 0; /* it has ended meanwhile */
	r = skf_pidfd_kill(pidfd, SIGKILL);
	if (r == 0 && poll(&p, 1, SKF_KILL_WAIT_MS) == 0)
		r = -ETIMEDOUT;
	return r < 0 && r != -ESRCH ? skf_fail_sys(e, r, "end process %s", pid) : remove_cgroup(id, e);
}

static int look_process(struct check *c, const char *pid, int dir, struct skf_err *e)
{
	char shown[SKF_SHORT_ID + 1], id[SKF_ID_LEN + 1], text[96];
	struct skf_err x = SKF_ERR_INIT;
	char done[600] = "";

	if (!is_holder(dir, shown))
		return 0;
	if (!is_lost(dir, shown, id))
		return skf_strv_add(c->a, &c->held, shown) < 0
			       ? skf_fail(e, SKF_ENOMEM, "memory for the list of pods")
			       : 0;
	snprintf(text, sizeof(text), "process %s holds its namespaces, and its run directory was removed",
		 pid);
	if (c->repair && end_holder(pid, id, &x) < 0)
		snprintf(done, sizeof(done), "repair failed: %s", x.msg);
	return skf_check_report(c, "pod", id, text, !c->repair ? "" : *done ? done : "ended", e);
}

static int find_holders(struct check *c, struct skf_err *e)
{
	SKF_AUTO_FD int proc = skf_openat(AT_FDCWD, "/proc", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = proc < 0 ? NULL : fdopendir(proc);
	struct dirent *de;

	if (!d)
		return skf_fail_sys(e, proc < 0 ? proc : -errno, "list '/proc'");
	(void)SKF_TAKE_FD(proc); /* d closes it */
	while ((de = readdir(d))) {
		SKF_AUTO_FD int dir = -EBADF;

		if (strspn(de->d_name, "0123456789") != strlen(de->d_name))
			continue;
		dir = skf_openat(dirfd(d), de->d_name, O_PATH | O_DIRECTORY, 0);
		if (dir >= 0 && look_process(c, de->d_name, dir, e) < 0)
			return -1;
	}
	return 0;
}

/* --- cgroups without a holder --- */
static bool is_held(const struct check *c, const char *id)
{
	for (size_t i = 0; i < c->held.n; i++)
		if (skf_startswith(id, c->held.v[i]))
			return true;
	return false;
}

static int check_cgroup(struct check *c, const char *id, struct skf_err *e)
{
	struct skf_err x = SKF_ERR_INIT;
	struct skf_cg_dirs cg;
	pid_t first;

	if (!skf_ctr_id_valid(id) || skf_pod_exists(c->g, id) || is_held(c, id) ||
	    skf_check_is_reported(c, "pod cgroup", id))
		return 0;
	pod_cgroup(id, &cg);
	if (cg.layout.n == 0 || skf_cg_pids(&cg, &first, 1) != 0 || !skf_check_cgroup_is_old(&cg))
		return 0;
	if (c->repair)
		(void)remove_cgroup(id, &x); /* the row says it */
	return skf_check_report(c, "pod cgroup", id, "it is empty and of no container here",
				!c->repair ? ""
				: x.kind   ? "repair failed"
					   : "removed",
				e);
}

int skf_check_pods(struct check *c, struct skf_err *e)
{
	struct skf_cg_layout layout;
	int r = find_holders(c, e) < 0 ? -1 : 0;

	if (r < 0)
		return -1;
	r = skf_cg_layout(&layout);
	for (unsigned i = 0; r == 0 && i < layout.n; i++) {
		char path[sizeof(layout.h[0].mountpoint) + 16];

		if (skf_fmt(path, sizeof(path), "%s" SKF_POD_CGROUP, layout.h[i].mountpoint) == 0 &&
		    skf_check_each(c, AT_FDCWD, path, check_cgroup, e) < 0)
			return -1;
	}
	return r < 0 && r != -ENOENT ? skf_fail_sys(e, r, "look at the host's cgroups") : 0;
}
