/* runtime/init.c -- the container's init from its birth to the workload's execve. Runs in a copy of the
 * parent's memory (clone3 without CLONE_VM); whatever fails is sent to the parent as a sentence and ends the
 * process.
 *
 * Invariants:
 *  1. The first thing is to tie our life to the parent's; the last change of credentials is followed by
 * tying it again (or by letting go).
 *  2. No descriptor of the host but stdio, the preserved ones, the sync socket, the two fifos and the log is
 * open once the container's own files decide anything (cwd, look-up of the program): a path through
 * /proc/self/fd finds no directory of the host (CVE-2024-21626).
 *  3. Everything else is CLOEXEC.
 *  4. Our own program file is not reachable for writing through /proc/self/exe, because the caller runs from
 * a read-only handle (seal.c).
 *  5. An init that waits for `start` is not dumpable: processes that exec puts beside it can neither trace
 * it nor look through its descriptors. The workload's execve ends that. Waits for the parent, for the
 * starter (exec.fifo) and for hooks. */
#include "runtime/runtime_int.h"
#include "base/proc.h"

#include "oci/spec.h"
#include "oci/userdb.h"
#include "sys/path.h"
#include "sys/process.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int skf_init_close_fds(unsigned preserve, const int *keep, unsigned n)
{
	unsigned first = 3 + preserve;

	for (;;) { /* the next kept descriptor at or above first */
		unsigned next = ~0U;

		for (unsigned i = 0; i < n; i++)
			if (keep[i] >= 0 && (unsigned)keep[i] >= first && (unsigned)keep[i] < next)
				next = (unsigned)keep[i];
		if (next == ~0U)
			return skf_close_from(first);
		if (next > first && close_range(first, next - 1, 0) < 0)
			return skf_errno();
		if (skf_set_cloexec((int)next, true) < 0)
			return skf_errno();
		first = next + 1;
	}
}

/* The first process of a pid namespace is not ended by signals that it does not handle; one that waits for
 * its start shall be, by those that end a runc that waits. */
static void end_by_signal(int sig)
{
	_exit(128 + sig);
}

static void take_endings(void)
{
	static const int endings[] = {SIGHUP, SIGINT, SIGTERM};
	const struct sigaction sa = {.sa_handler = end_by_signal}; /* until execve */

	for (size_t i = 0; i < SKF_ARRAY_LEN(endings); i++)
		(void)sigaction(endings[i], &sa, NULL); /* cannot fail for valid signals */
}

/* Waits for whoever starts the container. */
static int wait_for_go(const struct skf_init_tail *t, struct skf_err *e)
{
	int r;
	char c;
	ssize_t n;

	if (t->go_fifo < 0) {
		r = t->sync < 0 ? 0 : skf_sync_await(t->sync, SKF_STEP_GO);
		return r < 0 ? skf_fail_sys(e, r, "wait for the start of the container") : 0;
	}
	do
		n = read(t->go_fifo, &c, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		return skf_fail_sys(e, n < 0 ? skf_errno() : -EPIPE,
				    "wait on exec.fifo for the start of the container");
	return 0;
}

struct variable {
	char *line;
	size_t at;
};

/* By name, then by place. */
static int compare_variables(const void *x, const void *y)
{
	const struct variable *a = x, *b = y;
	size_t n = strcspn(a->line, "="), m = strcspn(b->line, "=");
	int r = memcmp(a->line, b->line, n < m ? n : m);

	if (r == 0)
		r = (n > m) - (n < m);
	return r ? r : (a->at > b->at) - (a->at < b->at);
}

static bool same_name(const char *a, const char *b)
{
	size_t n = strcspn(a, "=");

	return strncmp(a, b, n) == 0 && b[n] == '=';
}

/* A name that is there more than once has its last value, as with runc: programs would disagree on which one
 * counts. */
static int drop_duplicates(struct skf_spec_process *p, struct skf_arena *a, struct skf_err *e)
{
	size_t n = p->env.n, kept = 0;
	struct variable *v = skf_arena_array(a, n + 1, sizeof(*v));
	char **env = skf_arena_array(a, n + 1, sizeof(*env));

	if (!v || !env)
		return skf_nomem(e);
	for (size_t i = 0; i < n; i++)
		v[i] = (struct variable){p->env.v[i], i};
	qsort(v, n, sizeof(*v), compare_variables);
	for (size_t i = 0; i < n; i++)
		env[v[i].at] = i + 1 < n && same_name(v[i].line, v[i + 1].line) ? NULL : v[i].line;
	for (size_t i = 0; i < n; i++)
		if (env[i])
			env[kept++] = env[i];
	env[kept] = NULL;
	p->env = (struct skf_strv){env, kept};
	return 0;
}

/* HOME of the user in the container's passwd file, when the configuration sets none. */
static int fill_home(struct skf_spec_process *p, struct skf_arena *a, struct skf_err *e)
{
	SKF_AUTO_FD int root = -EBADF, passwd = -EBADF;
	struct skf_strv env = {0};
	char *home, *line;
	bool set = false;

	for (size_t i = 0; i < p->env.n; i++) /* of several the last one counts, as with runc */
		if (skf_startswith(p->env.v[i], "HOME="))
			set = p->env.v[i][5] != '\0';
	if (set)
		return drop_duplicates(p, a, e);
	root = skf_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
	passwd = root < 0 ? root : skf_path_open(root, "etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY, 0);
	/* whatever an image does with the name means "no such user"; that we have no descriptor left does
	 * not */
	if (passwd == -EMFILE || passwd == -ENFILE || passwd == -ENOMEM || passwd == -EIO)
		return skf_fail_sys(e, passwd,
				    "open the container's '/etc/passwd' for the home directory of uid %u",
				    p->user.uid);
	if (skf_userdb_home(p->user.uid, passwd < 0 ? -1 : passwd, a, &home, e) < 0)
		return skf_ctx(e, "home directory of uid %u", p->user.uid);
	line = skf_arena_fmt(a, "HOME=%s", home);
	for (size_t i = 0; line && i < p->env.n; i++)
		if (!skf_startswith(p->env.v[i], "HOME=") && skf_strv_add(a, &env, p->env.v[i]) < 0)
			line = NULL;
	if (!line || skf_strv_add(a, &env, line) < 0)
		return skf_nomem(e);
	p->env = env;
	return drop_duplicates(p, a, e);
}

static void workload_exec(const struct skf_init_tail *t, const char *path, struct skf_err *e)
{
	char *no_env[1] = {NULL};
	const struct skf_spec_process *p = t->setup.p;

	execve(path, p->args.v, p->env.n ? p->env.v : no_env);
	skf_exec_failed(p->args.v[0], path, errno, e);
}

static int run_start_hooks(const struct skf_init_tail *t, struct skf_err *e)
{
	const struct skf_hook_ctx x = {
		.log = t->setup.log,
		.env = t->setup.p->env.v,
		.out = t->hook_out,
		.err = t->hook_err,
	};

	if (!t->start_hooks || t->start_hooks->n == 0)
		return 0;
	return skf_hooks_run_in(&x, t->start_hooks, "startContainer", t->state_json, e);
}

int skf_init_tail(struct skf_init_tail *t, struct skf_err *e)
{
	struct skf_spec_process p = *t->setup.p;
	int keep[] = {t->sync,     t->go_fifo, t->err_fifo, t->setup.log ? t->setup.log->fd : -1,
		      t->hook_out, t->hook_err};
	int r;
	char path[PATH_MAX];

	if (t->go_fifo >= 0) {
		(void)skf_set_dumpable(false); /* invariant 5; cannot fail with these arguments */
		take_endings();
	}
	r = skf_init_close_fds(t->setup.preserve_fds, keep, SKF_ARRAY_LEN(keep)); /* invariant 2 */
	if (r < 0)
		return skf_fail_sys(e, r, "close the runtime's descriptors");
	if (fill_home(&p, t->arena, e) < 0)
		return -1;
	t->setup.p = &p;
	t->setup.sync = t->sync;
	if (skf_process_apply(&t->setup, path, sizeof(path), e) < 0)
		return -1;
	r = skf_sync_send(t->sync, SKF_STEP_READY, -1);
	if (r < 0)
		return skf_fail_sys(e, r, "tell the parent that the container is ready");
	if (t->go_fifo >= 0)
		close(t->sync); /* create ends now; start has the other fifo for its answer */
	/* the hooks run under the filter too, as with runc */
	if (wait_for_go(t, e) == 0 && skf_process_seal(&t->setup, e) == 0 && run_start_hooks(t, e) == 0)
		workload_exec(t, path, e);
	if (t->err_fifo >= 0)
		skf_sync_fail(t->err_fifo, e);
	return -1;
}

/* The pty of the container's own devpts: peer becomes our stdio, the master goes to the parent. */
static int setup_terminal(struct skf_start *s, struct skf_err *e)
{
	const struct skf_spec_process *p = s->process;
	SKF_AUTO_FD int pts = skf_rootfs_ptsdir(s), master = -EBADF, peer = -EBADF;
	int r;

	if (pts < 0)
		return skf_fail_sys(
			e, pts,
			"the container asks for a terminal but has no /dev/pts (add a devpts mount)");
	r = skf_pty_open(pts, &master, &peer);
	if (r < 0)
		return skf_fail_sys(e, r, "open a terminal in the container's /dev/pts");
	if (p->has_console_size) {
		r = skf_tty_set_size(master, p->console_size.height, p->console_size.width);
		if (r < 0)
			return skf_fail_sys(e, r, "set the terminal's size");
	}
	if (s->req->console_lf && skf_terminal_keep_lf(peer, e) < 0)
		return -1;
	if (skf_rootfs_console(s, peer, e) < 0)
		return -1;
	r = skf_sync_send(s->sync[1], SKF_STEP_CONSOLE, master);
	if (r < 0)
		return skf_fail_sys(e, r, "send the terminal to the parent");
	return skf_terminal_adopt(peer, e);
}

static int hooks_before_pivot(struct skf_start *s, struct skf_err *e)
{
	const struct skf_spec_hooks *h = &s->spec->hooks;
	int r;

	if (h->prestart.n > 0 || h->create_runtime.n > 0) { /* the parent's */
		r = skf_sync_send(s->sync[1], SKF_STEP_BUILT, -1);
		if (r == 0)
			r = skf_sync_await(s->sync[1], SKF_STEP_HOOKED);
		if (r < 0)
			return skf_fail_sys(e, r, "wait for the hooks of the runtime");
	}
	if (h->create_container.n == 0)
		return 0;
	SKF_AUTO_FREE char *doc = skf_state_doc(s, s->req->id, "creating", getpid());
	if (!doc)
		return skf_nomem(e);
	struct skf_hook_ctx x = {.log = s->rt->log, .out = s->hook_out, .err = s->hook_err};
	if (fchdir(s->root_fd) < 0) /* as runc: such hooks put files there by relative paths */
		return skf_fail_errno(e, "enter the root file system for the createContainer hooks");
	return skf_hooks_run_in(&x, &h->create_container, "createContainer", doc, e);
}

static bool setgroups_allowed(const struct skf_start *s)
{
	char buf[8] = "";

	if (!s->userns)
		return true;
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, "/proc/self/setgroups", O_RDONLY, 0);
	return fd < 0 || read(fd, buf, sizeof(buf) - 1) <= 0 || buf[0] != 'd';
}

static int enter_container(struct skf_start *s, struct skf_init_tail *t, struct skf_err *e)
{
	int r = skf_sync_await(s->sync[1], SKF_STEP_SETUP);

	if (r < 0)
		return skf_fail_sys(e, r, "wait for the parent's part of the setup");
	t->setup.setgroups_ok = setgroups_allowed(s);
	if (skf_ns_finish(s, e) < 0 || skf_mempolicy_apply(&s->spec->linux_, e) < 0 ||
	    skf_personality_apply(&s->spec->linux_, e) < 0)
		return -1;
	r = skf_set_pdeathsig(SIGKILL); /* again: becoming root of a user namespace cleared it */
	if (r < 0)
		return skf_fail_sys(e, r, "set the parent death signal");
	if (skf_rootfs_build(s, e) < 0)
		return -1;
	if (s->process->terminal ? setup_terminal(s, e) < 0 : skf_stdio_apply(s->req->stdio, e) < 0)
		return -1;
	if (hooks_before_pivot(s, e) < 0)
		return -1;
	if (skf_rootfs_enter(s, e) < 0 || skf_process_make_cwd(s->process, e) < 0)
		return -1;
	if (skf_rootfs_finish(s, e) < 0)
		return -1;
	r = skf_cgroups_late(s) ? skf_sync_await(s->sync[1], SKF_STEP_ATTACHED) : 0;
	return r < 0 ? skf_fail_sys(e, r, "wait for the parent's part of the cgroup") : 0;
}

void skf_init_run(struct skf_start *s)
{
	struct skf_err e = SKF_ERR_INIT;
	char ring[SKF_MAX_RING_NAME];
	struct skf_init_tail t = {
		.setup =
			{
				.p = s->process,
				.seccomp = &s->seccomp,
				.userns = s->userns,
				.new_keyring = !s->req->no_new_keyring,
				.keyring_name = ring,
				.pdeathsig = s->req->pdeathsig,
				.keep_groups = skf_annotation_on(&s->spec->annotations, SKF_AN_KEEP_GROUPS),
				.listener = s->listener.path ? &s->listener : NULL,
				.preserve_fds = s->req->preserve_fds,
				.log = s->rt->log,
			},
		.sync = s->sync[1],
		.go_fifo = s->go_fifo,
		.err_fifo = s->err_fifo,
		.start_hooks = &s->spec->hooks.start_container,
		.hook_out = s->hook_out,
		.hook_err = s->hook_err,
		.arena = s->arena,
	};
	SKF_AUTO_FREE char *doc = NULL;

	close(s->sync[0]);
	(void)skf_set_pdeathsig(SIGKILL); /* cannot fail with a valid signal */
	if (skf_sync_peer_gone(s->sync[1]))
		_exit(1);
	(void)skf_signals_default(); /* cannot fail with these arguments */
	(void)setsid();              /* fails only for a group leader, which a fresh process is not */
	if (t.start_hooks->n > 0)
		t.state_json = doc = skf_state_doc(s, s->req->id, "created", getpid());
	if (skf_fmt(ring, sizeof(ring), "_ses.%s", s->req->id) < 0)
		t.setup.new_keyring = false; /* ids are shorter than the name's room: checked by create */
	/* runc's words, which programs and tests look for */
	skf_debug(s->rt->log, "nsexec container setup: child process in init()");
	if (skf_ns_join(s, &e) == 0 && enter_container(s, &t, &e) == 0) {
		skf_debug(s->rt->log, "init: closing the pipe to signal completion");
		(void)skf_init_tail(&t, &e);
	}
	skf_sync_fail(s->sync[1], &e);
	_exit(1);
}
