/* runtime/exec.c -- one more process in a running container.
 *
 * Invariants:
 *  1. All namespaces are entered through init's pidfd in one setns, so they are those of one moment and one
 * process.
 *  2. The process is born in (v2) or moved to (v1) the cgroup that init is in now, before it enters the
 * container.
 *  3. From before it can be seen in the container's pid namespace until its execve it is not dumpable, and
 * so are we: nobody inside may trace it or look through its descriptors (CVE-2016-9962). Our program file is
 * a read-only handle (seal.c).
 *  4. In a container in status "created" init still runs our program: it is not dumpable while it waits
 * (init.c, invariant 5), so that the new process cannot reach into it. One that is still being created is
 * refused. Blocks for SKF_START_MS. */
#include "runtime/runtime_int.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/proc.h"
#include "oci/spec.h"
#include "sys/process.h"

#include <sched.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

struct execution {
	const struct skf_rt *rt;
	const struct skf_rt_exec *req;
	struct skf_arena arena;
	struct skf_rt_state *state;
	struct skf_rt_container *c;
	struct skf_bpf_prog seccomp;
	struct skf_listener listener;
	int sync[2], init_pidfd, own_pidns, cg_fd, console_sock;
	int was_dumpable;
	bool userns;
	bool joined; /* born in the namespaces of the container */
};

static int check_state(struct execution *x, struct skf_err *e)
{
	enum skf_rt_status st = x->state->status;

	if (st == SKF_RT_PAUSED && !x->req->ignore_paused)
		return skf_fail(e, SKF_ECONFLICT,
				"cannot exec in a paused container (use --ignore-paused to override): '%s'",
				x->req->id);
	if (st != SKF_RT_RUNNING && st != SKF_RT_PAUSED && st != SKF_RT_CREATED)
		return skf_fail(e, SKF_ECONFLICT,
				"cannot exec in container '%s' that is not running: it is %s", x->req->id,
				skf_rt_status_name(st));
	return skf_lsm_check(x->req->process, e);
}

/* It was there when its state was read. */
static int fail_ended(const struct execution *x, struct skf_err *e)
{
	return skf_fail(e, SKF_ECONFLICT,
			"cannot exec in container '%s' that is not running: it has just ended", x->req->id);
}

/* The container as it is now: state, filter, init's pidfd, cgroup. */
static int find_container(struct execution *x, struct skf_err *e)
{
	struct skf_rt_state *s;
	int r;

	if (skf_rt_state_load(x->rt, x->req->id, &x->arena, &s, e) < 0)
		return -1;
	x->state = s;
	if (check_state(x, e) < 0)
		return -1;
	SKF_AUTO_FD int dir = skf_openat(x->rt->rootfd, x->req->id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (dir < 0)
		return skf_fail_sys(e, dir, "open the state of container '%s'", x->req->id);
	if (skf_state_load_bpf(dir, &x->arena, &x->seccomp, e) < 0 ||
	    (x->seccomp.notify && skf_listener_load(dir, &x->arena, &x->seccomp, &x->listener, e) < 0))
		return -1;
	x->init_pidfd = skf_pidfd_open(s->pid);
	r = x->init_pidfd;
	if (r >= 0 && skf_proc_alive(s->pid, s->pid_start) != 1)
		r = -ESRCH;
	if (r == -ESRCH)
		return fail_ended(x, e);
	if (r < 0)
		return skf_fail_sys(e, r, "find the init of container '%s'", x->req->id);
	x->userns = s->ns_flags & CLONE_NEWUSER;
	if (skf_exec_cgroups_check(s, &x->req->sub_cgroups, e) < 0)
		return -1;
	x->c->cg = s->cg;
	if (s->cg.used && x->req->sub_cgroups.n == 0)
		return skf_cgroups_for_exec(s, NULL, &x->c->cg, &x->cg_fd, e);
	return 0;
}

static int open_channels(struct execution *x, struct skf_err *e)
{
	int r = skf_socketpair_seqpacket(x->sync);

	if (r < 0)
		return skf_fail_sys(e, r, "socket pair for the new process");
	if (x->req->process->terminal && x->req->console_socket) {
		x->console_sock = skf_console_connect(x->req->console_socket, e);
		if (x->console_sock < 0)
			return -1;
	}
	return 0;
}

/* --- child --- */
static int join_container(const struct execution *x, struct skf_err *e)
{
	int flags = x->state->ns_flags & ~CLONE_NEWPID, r;

	if (x->joined)
		return 0;
	r = flags ? skf_setns(x->init_pidfd, flags) : 0;
	if (r == -ESRCH)
		return fail_ended(x, e);
	if (r < 0)
		return skf_fail_sys(e, r, "join the namespaces of container '%s'", x->req->id);
	return 0;
}

static int exec_terminal(const struct execution *x, struct skf_err *e)
{
	const struct skf_spec_process *p = x->req->process;
	SKF_AUTO_FD int pts = skf_openat(AT_FDCWD, "/dev/pts", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0),
			master = -EBADF, peer = -EBADF;
	int r = pts;

	if (r >= 0)
		r = skf_pty_open(pts, &master, &peer); /* refuses what is not a devpts */
	if (r == 0 && x->req->console_lf && skf_terminal_keep_lf(peer, e) < 0)
		return -1;
	if (r == 0 && p->has_console_size)
		r = skf_tty_set_size(master, p->console_size.height, p->console_size.width);
	if (r == 0)
		r = skf_sync_send(x->sync[1], SKF_STEP_CONSOLE, master);
	if (r < 0)
		return skf_fail_sys(e, r, "open a terminal in the /dev/pts of container '%s'", x->req->id);
	return skf_terminal_adopt(peer, e);
}

/* What the container's own process has of its configuration and this one says nothing about. */
static int inherit_properties(const struct execution *x, struct skf_err *e)
{
	const struct skf_spec_linux *l = x->state->linux_;

	return !l || (skf_mempolicy_apply(l, e) == 0 && skf_personality_apply(l, e) == 0) ? 0 : -1;
}

static int become_container_process(const struct execution *x, struct skf_err *e)
{
	int r = skf_sync_await(x->sync[1], SKF_STEP_SETUP);

	if (r < 0)
		return skf_fail_sys(e, r, "wait for the parent's part of the setup");
	if (skf_affinity_final(x->req->process, x->state->process, e) < 0 || inherit_properties(x, e) < 0 ||
	    join_container(x, e) < 0)
		return -1;
	if (x->req->process->terminal)
		return exec_terminal(x, e);
	return skf_stdio_apply(x->req->stdio, e);
}

static bool setgroups_denied(void)
{
	char buf[8] = "";
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, "/proc/self/setgroups", O_RDONLY, 0);

	return fd >= 0 && read(fd, buf, sizeof(buf) - 1) > 0 && buf[0] == 'd';
}

SKF_NORETURN static void run_child(struct execution *x)
{
	struct skf_err e = SKF_ERR_INIT;
	char ring[SKF_MAX_RING_NAME];
	struct skf_init_tail t = {
		.setup =
			{
				.p = x->req->process,
				.seccomp = &x->seccomp,
				.userns = x->userns,
				.new_keyring = skf_fmt(ring, sizeof(ring), "_ses.%s", x->req->id) == 0,
				.keyring_name = ring,
				.pdeathsig = x->req->pdeathsig,
				.preserve_fds = x->req->preserve_fds,
				.keep_groups = skf_annotation_on(&x->state->annotations, SKF_AN_KEEP_GROUPS),
				.listener = x->listener.path ? &x->listener : NULL,
				.log = x->rt->log,
			},
		.sync = x->sync[1],
		.go_fifo = -EBADF,
		.err_fifo = -EBADF,
		.hook_out = -EBADF,
		.hook_err = -EBADF,
		.arena = &x->arena,
	};

	close(x->sync[0]);
	(void)skf_set_pdeathsig(SIGKILL); /* cannot fail with a valid signal */
	if (skf_sync_peer_gone(x->sync[1]))
		_exit(1);
	(void)skf_signals_default(); /* cannot fail with these arguments */
	(void)setsid();              /* fails only for a group leader, which a fresh process is not */
	skf_debug(x->rt->log, "nsexec container setup: child process in init()");
	if (become_container_process(x, &e) == 0) {
		skf_debug(x->rt->log, "setns_init: about to exec");
		t.setup.setgroups_ok = !(x->userns && setgroups_denied());
		(void)skf_init_tail(&t, &e);
	}
	skf_sync_fail(x->sync[1], &e);
	_exit(1);
}

/* A plain user has rights over the container's namespaces only inside its user namespace. In an intermediate
 * process, which enters it with all others and makes the new process as its sister; returns in that one
 * only. */
static void stage(struct execution *x, const struct skf_clone *like, int out)
{
	struct skf_clone k = {.flags = CLONE_PARENT, .cgroup_fd = like->cgroup_fd};
	pid_t pid = skf_setns(x->init_pidfd, x->state->ns_flags);

	if (pid == 0)
		pid = skf_clone3(&k, NULL);
	if (pid == 0) {
		close(out);
		x->joined = true;
		return;
	}
	(void)skf_write_full(out, &pid, sizeof(pid)); /* a parent that is gone needs no pid */
	_exit(pid < 0);
}

/* The pid, with x->c->pidfd, or -errno; 0 in the new process. */
static pid_t clone_staged(struct execution *x, const struct skf_clone *k)
{
	pid_t mid, pid = 0;
	int p[2], r = skf_pipe(p, 0);

	if (r < 0)
		return r;
	mid = skf_clone3(k, NULL);
	if (mid == 0) {
		close(p[0]);
		stage(x, k, p[1]);
		return 0;
	}
	close(p[1]);
	r = mid < 0 ? mid : skf_read_full(p[0], &pid, sizeof(pid));
	close(p[0]);
	while (mid > 0 && waitpid(mid, NULL, 0) < 0 && errno == EINTR)
		;
	if (r < 0 || pid < 0)
		return r < 0 ? r : pid;
	r = skf_pidfd_open(pid);
	if (r < 0)
		return r;
	x->c->pidfd = r;
	return pid;
}

/* --- parent --- */
static int clone_process(struct execution *x, struct skf_err *e)
{
	struct skf_clone k = {.exit_signal = SIGCHLD, .cgroup_fd = x->cg_fd >= 0 ? x->cg_fd : -1};
	bool pidns = x->state->ns_flags & CLONE_NEWPID, staged = x->userns && !pidns && geteuid() != 0;
	struct skf_idset cpus;
	int r = 0;

	if (skf_affinity_initial(x->req->process, x->state->process, x->rt->log, &cpus, e) < 0)
		return -1;
	if (pidns) {
		x->own_pidns = skf_openat(AT_FDCWD, "/proc/self/ns/pid", O_RDONLY, 0);
		r = x->own_pidns < 0 ? x->own_pidns : skf_setns(x->init_pidfd, CLONE_NEWPID);
		if (r == -EPERM && x->userns) {
			staged = true;
			pidns = false;
		} else if (r < 0) {
			skf_affinity_back(&cpus, x->rt->log);
			if (r == -ESRCH)
				return fail_ended(x, e);
			return skf_fail_sys(e, r, "join the pid namespace of container '%s'", x->req->id);
		}
	}
	x->c->pid = staged ? clone_staged(x, &k) : skf_clone3(&k, &x->c->pidfd);
	if (x->c->pid == 0)
		run_child(x);
	skf_affinity_back(&cpus, x->rt->log);
	skf_closep(&x->sync[1]);
	if (pidns) {
		r = skf_setns(x->own_pidns, CLONE_NEWPID);
		if (r < 0)
			skf_warn(x->rt->log, "return to the caller's pid namespace: %s, ignoring",
				 strerror(-r));
	}
	if (x->c->pid < 0)
		return skf_fail_sys(e, x->c->pid, "clone a process for container '%s'", x->req->id);
	return 0;
}

static int configure_process(struct execution *x, struct skf_err *e)
{
	const struct skf_rt_exec *q = x->req;
	int r = 0;

	if (q->sub_cgroups.n > 0 && skf_exec_cgroups_attach(x->state, &q->sub_cgroups, x->c->pid, e) < 0)
		return -1;
	if (q->sub_cgroups.n == 0 && x->c->cg.used && x->cg_fd < 0 &&
	    skf_cgroups_attach_exec(x->rt, x->state, &x->c->cg, x->c->pid, e) < 0)
		return -1;
	if (skf_rlimits_raise(x->c->pid, q->process, e) < 0 ||
	    skf_oom_score_apply(x->c->pid, q->process, e) < 0 ||
	    skf_rdt_join(x->state->rdt, x->c->pid, e) < 0)
		return -1;
	r = skf_sync_send(x->sync[0], SKF_STEP_SETUP, -1);
	if (r < 0 && r != -EPIPE) /* a dead child is asked for its reason in the next step */
		return skf_fail_sys(e, r, "tell the new process to go on");
	return 0;
}

static int deliver_listener(struct execution *x, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_STATE_BYTES);
	struct skf_jw w = SKF_JW(&b);

	skf_rt_state_write(x->state, &w);
	return skf_listener_deliver(&x->listener, x->sync[0], x->c->pidfd, x->c->pid, x->state->oci_version,
				    b.err < 0 ? NULL : skf_buf_cstr(&b), SKF_START_MS, e);
}

static int finish_process(struct execution *x, struct skf_err *e)
{
	const struct skf_rt_exec *q = x->req;
	int r;

	if (q->process->terminal) {
		if (skf_sync_expect(x->sync[0], SKF_STEP_CONSOLE, SKF_START_MS, &x->c->console, e) < 0)
			return -1;
		if (x->console_sock >= 0) {
			if (skf_console_send(x->console_sock, x->c->console, e) < 0)
				return -1;
			skf_closep(&x->c->console);
		}
	}
	if (x->listener.path && deliver_listener(x, e) < 0)
		return -1;
	if (skf_sync_expect(x->sync[0], SKF_STEP_READY, SKF_START_MS, NULL, e) < 0 ||
	    skf_sched_apply(x->c->pid, q->process, x->state->process, e) < 0 ||
	    skf_pid_file(q->pid_file, x->c->pid, e) < 0)
		return -1;
	r = skf_sync_send(x->sync[0], SKF_STEP_GO, -1);
	if (r < 0 && r != -EPIPE)
		return skf_fail_sys(e, r, "start the new process");
	return skf_sync_wait_exec(x->sync[0], SKF_START_MS, e);
}

static int run_exec(struct execution *x, struct skf_err *e)
{
	if (x->req->process->args.n == 0)
		return skf_fail(e, SKF_EINVALID, "process args cannot be empty");
	if (x->req->process->terminal && !x->req->console_socket && !x->req->want_console_fd)
		return skf_fail(
			e, SKF_EINVALID,
			"the process asks for a terminal, but there is no console socket that takes it");
	if (find_container(x, e) < 0 || open_channels(x, e) < 0)
		return -1;
	x->was_dumpable = prctl(PR_GET_DUMPABLE, 0L, 0L, 0L, 0L);
	(void)skf_set_dumpable(false); /* cannot fail with these arguments */
	if (clone_process(x, e) < 0)
		return -1;
	if (configure_process(x, e) == 0 && finish_process(x, e) == 0)
		return 0;
	(void)skf_rt_kill_and_reap(
		x->c); /* in the container's cgroup: it ends with the container at the latest */
	return -1;
}

int skf_rt_exec(const struct skf_rt *rt, const struct skf_rt_exec *q, struct skf_rt_container **ret,
		struct skf_err *e)
{
	struct execution x = {
		.rt = rt,
		.req = q,
		.arena = SKF_ARENA(SKF_MAX_ARENA_DOC),
		.sync = {-EBADF, -EBADF},
		.init_pidfd = -EBADF,
		.own_pidns = -EBADF,
		.cg_fd = -EBADF,
		.console_sock = -EBADF,
		.listener.sock = -EBADF,
		.was_dumpable = -1,
	};
	int r;

	x.c = skf_rt_container_new(q->id);
	if (!x.c)
		return skf_nomem(e);
	x.c->rt = *rt;
	x.c->exec = true;
	r = run_exec(&x, e);
	if (x.was_dumpable == 1)
		(void)skf_set_dumpable(true); /* cannot fail with these arguments */
	skf_closep(&x.sync[0]);
	skf_closep(&x.sync[1]);
	skf_closep(&x.init_pidfd);
	skf_closep(&x.own_pidns);
	skf_closep(&x.cg_fd);
	skf_closep(&x.console_sock);
	skf_listener_done(&x.listener);
	skf_arena_done(&x.arena);
	if (r < 0)
		skf_rt_container_free(x.c);
	else
		*ret = x.c;
	return r;
}
