/* launch/foreign.c -- a container that another OCI runtime runs (--runtime): runc, crun and their like by
 * path, called as the runtime-spec's command line has it: create, start, exec, update, delete.
 *
 * What ours takes as descriptors it gets as paths: the root and the sources of mounts are mounted in a mount
 * namespace that only the runtime sees, and that is gone when it has ended; the network namespace is made
 * here and joined by path. This process is a child subreaper, so that the container's process becomes its
 * child, whose end the monitor that it turns into waits for. Such a process does not die with its monitor:
 * the reap kills it through its cgroup and has the runtime delete what it knows of it (engine/reap.c).
 * Blocks on the runtime for at most SKF_START_MS. */
#include "launch/foreign_int.h"
#include "base/cleanup.h"
#include "base/fd.h"
#include "base/log.h"
#include "base/proc.h"
#include "launch/wire.h"
#include "sys/mount.h"
#include "sys/process.h"
#include <fcntl.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

#define LOG_NAME  "runtime.log"
#define RESOURCES "resources.json"
#define MAX_WORDS 32

/* --- calling it --- */

struct call {
	const char *words[MAX_WORDS];
	size_t n;
	int stdio[3];
};

static void add(struct call *c, const char *word)
{
	if (c->n + 1 < MAX_WORDS)
		c->words[c->n++] = word;
}

static char *in_run(struct skf_launch *l, const char *name)
{
	return skf_arena_fmt(&l->arena, "%s/%s/%s", l->rt_root, l->q.id, name);
}

static const char *said_path(int fd, char *path, size_t size)
{
	snprintf(path, size, "/proc/self/fd/%d", fd);
	return path;
}

/* What the runtime says, in its log or (a verb that it does not have) on the stream said, -1: none, with the
 * engine's exit codes for a command that cannot be run. */
static int tell(struct skf_launch *l, const char *verb, int status, int said, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	char path[SKF_ID_LEN + 32], why[360] = "it says nothing";
	enum skf_kind kind = SKF_ESYSTEM;

	if (skf_fmt(path, sizeof(path), "%s/" LOG_NAME, l->q.id) == 0 &&
	    skf_read_file_at(l->rt.rootfd, path, SKF_MAX_OBJECT_BYTES, &b) >= 0 && b.len)
		skf_foreign_last_message(skf_buf_cstr(&b), why, sizeof(why));
	else if (said >= 0 &&
		 skf_read_file_at(AT_FDCWD, said_path(said, path, sizeof(path)), SKF_MAX_OBJECT_BYTES, &b) >=
			 0 &&
		 b.len)
		skf_foreign_last_message(skf_buf_cstr(&b), why, sizeof(why));
	if (strstr(why, "executable file not found") || strstr(why, "no such file or directory") ||
	    strstr(why, "No such file or directory"))
		kind = SKF_ECMD_NOTFOUND;
	else if (strstr(why, "permission denied") || strstr(why, "Permission denied"))
		kind = SKF_ECMD_NOTEXEC;
	return skf_fail(e, kind, "runtime '%s' %s: %s (status %d)", l->foreign.path, verb, why,
			skf_wait_code(status));
}

static int call(struct skf_launch *l, const struct call *c, struct skf_err *e)
{
	const char *argv[MAX_WORDS * 2];
	char *root = skf_arena_fmt(&l->arena, "%s/" SKF_FOREIGN_ROOT, l->q.run_root),
	     *log = in_run(l, LOG_NAME);
	struct skf_spawn sp = {.path = l->foreign.path,
			       .argv = (char *const *)(uintptr_t)argv,
			       .stdio = {c->stdio[0], c->stdio[1], c->stdio[2]}};
	SKF_AUTO_FD int pidfd = -EBADF,
			said = c->stdio[2] < 0 ? memfd_create("stderr", MFD_CLOEXEC) : -EBADF;
	size_t n = 0;
	int r, status;
	pid_t pid;

	if (said >= 0)
		sp.stdio[2] = said;
	if (!root || !log)
		return skf_fail(e, SKF_ENOMEM, "out of memory for container '%s'", l->q.id);
	(void)unlink(log); /* of the call before */
	argv[n++] = l->foreign.path;
	for (size_t i = 0; i < l->foreign.flags.n && n < MAX_WORDS - 8; i++)
		argv[n++] = l->foreign.flags.v[i];
	argv[n++] = "--root";
	argv[n++] = root;
	argv[n++] = "--log";
	argv[n++] = log;
	argv[n++] = "--log-format";
	argv[n++] = "json";
	for (size_t i = 0; i < c->n; i++)
		argv[n++] = c->words[i];
	argv[n] = NULL;
	r = skf_spawn(&sp, &pid, &pidfd);
	if (r < 0)
		return skf_fail_sys(e, r, "run the runtime '%s'", l->foreign.path);
	r = skf_wait_pid(pid, pidfd, SKF_START_MS, &status);
	if (r < 0) {
		(void)skf_pidfd_kill(pidfd, SIGKILL); /* ESRCH: it ended this moment */
		return skf_fail_sys(e, r, "wait for '%s %s' of container '%s'", l->foreign.path, c->words[0],
				    l->q.id);
	}
	return status == 0 ? 0 : tell(l, c->words[0], status, said, e);
}

/* --- which one: the file "runtime" of the run directory, a line for the program and one for each flag ---
 */

static int remember(struct skf_launch *l, int dir)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);

	skf_buf_fmt(&b, "%s\n", l->foreign.path);
	for (size_t i = 0; i < l->foreign.flags.n; i++)
		skf_buf_fmt(&b, "%s\n", l->foreign.flags.v[i]);
	return b.err < 0 ? b.err : skf_write_atomic_at(dir, SKF_FOREIGN_FILE, b.p, b.len, 0600, 0);
}

int skf_launch_foreign_known(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	char path[SKF_ID_LEN + 16], *save = NULL;
	int r = skf_fmt(path, sizeof(path), "%s/" SKF_FOREIGN_FILE, l->q.id);

	if (r == 0)
		r = skf_read_file_at(l->rt.rootfd, path, SKF_MAX_OBJECT_BYTES, &b);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r < 0 || !b.len)
		return skf_fail_sys(e, r < 0 ? r : -EBADMSG, "read which runtime container '%s' has",
				    l->q.id);
	for (char *line = strtok_r(b.p, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		char *word = skf_arena_strdup(&l->arena, line);

		if (!word || (l->foreign.path && skf_strv_add(&l->arena, &l->foreign.flags, word) < 0))
			return skf_fail(e, SKF_ENOMEM, "out of memory for container '%s'", l->q.id);
		if (!l->foreign.path)
			l->foreign.path = word;
	}
	return 1;
}

/* --- terminal --- */

static int listen_console(struct skf_launch *l, int dir, char **ret_path, int *ret_sock)
{
	struct sockaddr_un a = {.sun_family = AF_UNIX};
	SKF_AUTO_FD int s = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

	(void)unlinkat(dir, "console.sock", 0); /* of a run before */
	snprintf(a.sun_path, sizeof(a.sun_path), "/proc/self/fd/%d/console.sock", dir);
	if (s < 0 || bind(s, (struct sockaddr *)&a, sizeof(a)) < 0 || listen(s, 1) < 0)
		return -errno;
	*ret_path = skf_arena_fmt(&l->arena, "/proc/%d/fd/%d/console.sock", (int)getpid(), dir);
	*ret_sock = SKF_TAKE_FD(s);
	return *ret_path ? 0 : -ENOMEM;
}

static int take_console(struct skf_launch *l, int sock, struct skf_err *e)
{
	char data[256], room[CMSG_SPACE(sizeof(int))];
	struct iovec v = {data, sizeof(data)};
	struct msghdr m = {
		.msg_iov = &v, .msg_iovlen = 1, .msg_control = room, .msg_controllen = sizeof(room)};
	struct pollfd p = {.fd = sock, .events = POLLIN};
	SKF_AUTO_FD int conn = -EBADF;
	struct cmsghdr *c;

	if (poll(&p, 1, SKF_HELLO_MS) != 1 || (conn = accept4(sock, NULL, NULL, SOCK_CLOEXEC)) < 0 ||
	    recvmsg(conn, &m, MSG_CMSG_CLOEXEC) < 0)
		return skf_fail_sys(e, errno ? -errno : -ETIMEDOUT,
				    "take the terminal of container '%s' from the runtime", l->q.id);
	c = CMSG_FIRSTHDR(&m);
	if (!c || c->cmsg_type != SCM_RIGHTS || c->cmsg_len != CMSG_LEN(sizeof(int)))
		return skf_fail(e, SKF_EUNSUPPORTED, "the runtime '%s' sent no terminal", l->foreign.path);
	memcpy(&l->foreign.console, CMSG_DATA(c), sizeof(int));
	return 0;
}

/* --- create --- */

/* One that a user namespace of the container's own is to have power in has to be made by the runtime, in
 * that: netns_of_process(). */
static int new_netns(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO_FD int own = -EBADF;
	int r, back;

	if (!skf_launch_has_own_netns(l) || l->userns >= 0)
		return 0;
	own = skf_openat(AT_FDCWD, "/proc/self/ns/net", O_RDONLY, 0);
	r = own < 0 ? own : skf_unshare(CLONE_NEWNET);
	if (r < 0)
		return skf_fail_sys(e, r, "make the network namespace of container '%s'", l->q.id);
	r = skf_net_loopback_up();
	if (r == 0)
		r = l->foreign.netns = skf_openat(AT_FDCWD, "/proc/self/ns/net", O_RDONLY, 0);
	back = skf_setns(own, CLONE_NEWNET);
	if (back < 0)
		return skf_fail_sys(e, back, "return to the network namespace of the host");
	if (r < 0)
		return skf_fail_sys(e, r, "make the network namespace of container '%s'", l->q.id);
	return l->q.flags & SKF_LAUNCH_NET ? skf_launch_net_offer(l, l->foreign.netns, getpid(), e) : 0;
}

static int read_pid(struct skf_launch *l, const char *path, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(64);
	int r = skf_read_file_at(AT_FDCWD, path, 63, &b);
	uint32_t pid = 0;

	if (r >= 0 && b.len)
		b.p[strcspn(b.p, "\n")] = '\0';
	if (r < 0 || !b.len || skf_parse_u32(b.p, &pid) < 0 || pid <= 1)
		return skf_fail(e, SKF_EUNSUPPORTED, "the runtime '%s' wrote no pid into '%s'",
				l->foreign.path, path);
	l->foreign.pid = (pid_t)pid;
	l->foreign.pidfd = skf_pidfd_open(l->foreign.pid);
	return l->foreign.pidfd < 0 ? skf_fail_sys(e, l->foreign.pidfd, "watch process %u of container '%s'",
						   pid, l->q.id)
				    : 0;
}

static int netns_of_process(struct skf_launch *l, struct skf_err *e)
{
	char path[40];

	if (!skf_launch_has_own_netns(l) || l->foreign.netns >= 0)
		return 0;
	snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)l->foreign.pid);
	l->foreign.netns = skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	if (l->foreign.netns < 0)
		return skf_fail_sys(e, l->foreign.netns, "open the network namespace of container '%s'",
				    l->q.id);
	return l->q.flags & SKF_LAUNCH_NET ? skf_launch_net_offer(l, l->foreign.netns, l->foreign.pid, e)
					   : 0;
}

/* The cgroup is the runtime's work; where it is was said in config.json. */
static int find_cgroup(struct skf_launch *l, struct skf_err *e)
{
	struct skf_cg_dirs *cg = &l->foreign.cg;
	const char *path = l->spec->linux_.cgroups_path;
	int r = skf_cg_layout(&cg->layout);

	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = skf_fmt(cg->path, sizeof(cg->path), "%s", path ? path : "");
	for (unsigned i = 0; r == 0 && path && i < cg->layout.n; i++) {
		char dir[4096];

		if (skf_fmt(dir, sizeof(dir), "%s%s", cg->layout.h[i].mountpoint, path) == 0 &&
		    access(dir, F_OK) == 0)
			cg->used |= 1u << i;
	}
	return r < 0 ? skf_fail_sys(e, r, "find the cgroup of container '%s'", l->q.id) : 0;
}

static int create_in(struct skf_launch *l, int dir, const char *bundle, struct skf_err *e)
{
	struct call c = {.stdio = {l->theirs[0], l->theirs[1], l->theirs[2]}};
	char *pid_file = skf_arena_fmt(&l->arena, "%s/pid", bundle), *console = NULL;
	SKF_AUTO_FD int sock = -EBADF, host = skf_openat(AT_FDCWD, "/proc/self/ns/mnt", O_RDONLY, 0);
	int r, back;

	if (host < 0 || !pid_file)
		return skf_fail_sys(e, host < 0 ? host : -ENOMEM, "prepare container '%s' for its runtime",
				    l->q.id);
	add(&c, "create");
	add(&c, "--bundle");
	add(&c, bundle);
	add(&c, "--pid-file");
	add(&c, pid_file);
	if (l->process->terminal) {
		r = listen_console(l, dir, &console, &sock);
		if (r < 0)
			return skf_fail_sys(e, r, "make the socket for the terminal of container '%s'",
					    l->q.id);
		add(&c, "--console-socket");
		add(&c, console);
	}
	add(&c, l->q.id);
	r = skf_foreign_mounts(l, dir, bundle, e) < 0 || skf_foreign_bundle(l, dir, bundle, e) < 0 ||
			    call(l, &c, e) < 0
		    ? -1
		    : 0;
	back = skf_setns(host, CLONE_NEWNS);
	if (back < 0)
		return skf_fail_sys(e, back, "return to the mount namespace of the host");
	if (r < 0 || read_pid(l, pid_file, e) < 0 || find_cgroup(l, e) < 0)
		return -1;
	return console ? take_console(l, sock, e) : 0;
}

static void forget(struct skf_launch *l)
{
	struct call c = {.stdio = {-1, -1, -1}};
	struct skf_err x = SKF_ERR_INIT;

	add(&c, "delete");
	add(&c, "--force");
	add(&c, l->q.id);
	if (call(l, &c, &x) < 0)
		skf_debug(l->log, "%s", x.msg); /* mostly that there is none */
}

int skf_launch_foreign_create(struct skf_launch *l, struct skf_err *e)
{
	SKF_AUTO_FD int run = -EBADF, dir = -EBADF;
	char *bundle = in_run(l, "bundle");
	int r;

	l->foreign.path = l->conf->runtime;
	l->foreign.flags = l->conf->runtime_flags;
	run = bundle ? skf_mkdirs_at(l->rt.rootfd, l->q.id, 0700) : -ENOMEM;
	r = run < 0 ? run : remember(l, run);
	if (r == 0)
		r = dir = skf_mkdirs_at(run, "bundle", 0700);
	if (r >= 0 && prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		r = -errno;
	if (r < 0)
		return skf_fail_sys(e, r, "make the bundle '%s'", bundle ? bundle : "");
	if (l->q.type == SKF_LAUNCH_RESTART)
		forget(l); /* of the run before */
	if (new_netns(l, e) < 0 || create_in(l, dir, bundle, e) < 0 || netns_of_process(l, e) < 0)
		return -1;
	for (unsigned i = 0; i < 3; i++)
		skf_closep(&l->theirs[i]); /* a pipe is at its end only when every copy is closed */
	return l->q.flags & SKF_LAUNCH_NET && l->foreign.netns >= 0 ? skf_launch_net_end(l, e) : 0;
}

void skf_launch_foreign_undo(struct skf_launch *l)
{
	char path[SKF_ID_LEN + 16];
	int status;

	/* Ours to wait for: runsc's delete would look at the zombie for five seconds. */
	if (l->foreign.pidfd >= 0) {
		(void)skf_pidfd_kill(l->foreign.pidfd, SIGKILL); /* ESRCH: it has ended */
		(void)skf_wait_pid(l->foreign.pid, l->foreign.pidfd, SKF_KILL_WAIT_MS,
				   &status); /* a restarted one is the monitor's child */
	}
	forget(l);
	skf_closep(&l->foreign.pidfd);
	if (l->q.type != SKF_LAUNCH_RESTART && skf_fmt(path, sizeof(path), "%s", l->q.id) == 0)
		(void)skf_rmtree_at(l->rt.rootfd, path); /* what stays is the reap's */
}

int skf_launch_foreign_start(struct skf_launch *l, struct skf_err *e)
{
	struct call c = {.stdio = {-1, -1, -1}};

	add(&c, "start");
	add(&c, l->q.id);
	return call(l, &c, e);
}

/* --- in a container that runs --- */

int skf_launch_foreign_exec(struct skf_launch *l, struct skf_err *e)
{
	struct call c = {.stdio = {l->theirs[0], l->theirs[1], l->theirs[2]}};
	SKF_AUTO_FD int dir = -EBADF, sock = -EBADF;
	char *base = in_run(l, "foreign"), random[17], *process, *pid_file, *console = NULL;
	int r = skf_random_hex(random, 8);

	dir = r < 0 || !base ? -ENOMEM : skf_openat(l->rt.rootfd, l->q.id, O_PATH | O_DIRECTORY, 0);
	if (dir >= 0) {
		SKF_AUTO_FD int ctr = SKF_TAKE_FD(dir);

		dir = skf_mkdirs_at(ctr, "foreign", 0700);
	}
	process = skf_arena_fmt(&l->arena, "%s/process-%s", base, random);
	pid_file = skf_arena_fmt(&l->arena, "%s/pid-%s", base, random);
	if (dir < 0 || !process || !pid_file || prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) < 0)
		return skf_fail_sys(e, dir < 0 ? dir : -ENOMEM, "prepare exec in container '%s'", l->q.id);
	r = skf_foreign_process(l, dir, strrchr(process, '/') + 1);
	if (r == 0 && l->process->terminal)
		r = listen_console(l, dir, &console, &sock);
	if (r < 0)
		return skf_fail_sys(e, r, "prepare exec in container '%s'", l->q.id);
	add(&c, "exec");
	add(&c, "--detach");
	add(&c, "--process");
	add(&c, process);
	add(&c, "--pid-file");
	add(&c, pid_file);
	if (console) {
		add(&c, "--console-socket");
		add(&c, console);
	}
	add(&c, l->q.id);
	r = call(l, &c, e) < 0 || read_pid(l, pid_file, e) < 0 || (console && take_console(l, sock, e) < 0)
		    ? -1
		    : 0;
	(void)unlink(process); /* they go with their directory otherwise */
	(void)unlink(pid_file);
	return r;
}

int skf_launch_foreign_update(struct skf_launch *l, struct skf_err *e)
{
	struct call c = {.stdio = {-1, -1, -1}};
	char *file = in_run(l, RESOURCES);
	SKF_AUTO_FD int dir = skf_openat(l->rt.rootfd, l->q.id, O_PATH | O_DIRECTORY, 0);
	int r = dir < 0 ? dir
		: file  ? skf_write_atomic_at(dir, RESOURCES, l->q.process_json, strlen(l->q.process_json),
					      0600, 0)
			: -ENOMEM;

	if (r < 0)
		return skf_fail_sys(e, r, "write the new limits of container '%s'", l->q.id);
	add(&c, "update");
	add(&c, "--resources");
	add(&c, file);
	add(&c, l->q.id);
	r = call(l, &c, e);
	(void)unlink(file); /* it goes with its directory otherwise */
	return r;
}
