/* runtime/create.c -- a container from nothing to "created": the parent's side of a start, as a list of
 * steps.
 *
 * Invariants:
 *  1. A step that fails, or a later one, is followed by the undo of all steps done so far, last first; the
 * caller finds the host as it was.
 *  2. The state directory is locked from its making until the container is created, so that a deleter waits
 * instead of racing. The child never keeps the lock's descriptor beyond its setup.
 *  3. What the kernel does not clean up is in the journal before it is made; if this process is killed, the
 * child dies by its death signal and `delete --force` finds the rest in the journal.
 *  4. state.json is written while the child mounts (two processors are used), but counts only once the lock
 * is let go. Blocks: SKF_START_MS for the child, plus the time-outs of hooks. */
#include "runtime/runtime_int.h"
#include "base/notify.h"

#include "base/limits.h"
#include "base/proc.h"
#include "oci/spec.h"
#include "sys/process.h"

#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

struct creation {
	struct skf_rt_container *c;
	int console_sock;
	bool hooks_began;
	struct skf_start s;
	struct skf_arena arena;
};

/* --- steps --- */
static int check_request(struct creation *x, struct skf_err *e)
{
	const struct skf_rt_create *q = x->s.req;
	const struct skf_spec *sp = x->s.spec;

	if (skf_state_check_id(q->id, e) < 0)
		return -1;
	if (!sp->process)
		return skf_fail(e, SKF_EINVALID,
				"config.json: /process is missing: there is nothing to start");
	if (sp->process->args.n == 0)
		return skf_fail(e, SKF_EINVALID, "config.json: /process/args must not be empty");
	if (q->root_mount_fd < 0 && !sp->root_path)
		return skf_fail(e, SKF_EINVALID, "config.json: /root/path is missing");
	if (sp->process->terminal && !q->console_socket && !q->want_console_fd)
		return skf_fail(e, SKF_EINVALID,
				"config.json: /process/terminal is set, but there is no console socket that "
				"takes the terminal");
	if (skf_annotations_check(&sp->annotations, e) < 0)
		return -1;
	x->s.process = sp->process;
	return skf_lsm_check(sp->process, e);
}

static int make_state_dir(struct creation *x, struct skf_err *e)
{
	return skf_begin_dir(&x->s, e);
}

/* runtime.md: a creation whose hooks fail goes on with step 12, the end of which are these; as with runc, so
 * does one that fails while the container's environment is being built. */
static void run_poststop(struct creation *x)
{
	const struct skf_jarr *hooks = &x->s.spec->hooks.poststop;

	if (hooks->n == 0 || !x->hooks_began)
		return;
	SKF_AUTO_FREE char *doc = skf_state_doc(&x->s, x->s.req->id, "stopped", 0);
	if (doc)
		skf_hooks_poststop(&x->s.spec->annotations, x->s.req->bundle, hooks, doc, x->s.rt->log);
}

static void undo_state_dir(struct creation *x)
{
	skf_begin_undo_dir(&x->s);
	run_poststop(x);
}

static int open_fifo(int dir, const char *name, struct skf_err *e)
{
	int fd;

	if (mkfifoat(dir, name, 0600) < 0)
		return skf_fail_errno(e, "make %s", name);
	/* both ends: init neither waits for a reader nor sees EOF before somebody writes */
	fd = skf_openat(dir, name, O_RDWR | O_NOFOLLOW, 0);
	return fd < 0 ? skf_fail_sys(e, fd, "open %s", name) : fd;
}

/* A directory of its own: tools that look for descriptors of the host in a waiting init know one name only.
 */
static int open_answer(int state_fd, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;

	if (mkdirat(state_fd, "answer", 0700) < 0)
		return skf_fail_errno(e, "make the directory of the answer to start");
	dir = skf_openat(state_fd, "answer", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	return dir < 0 ? skf_fail_sys(e, dir, "open the directory of the answer to start")
		       : open_fifo(dir, "exec.fifo", e);
}

static int open_channels(struct creation *x, struct skf_err *e)
{
	int r = skf_socketpair_seqpacket(x->s.sync);

	if (r < 0)
		return skf_fail_sys(e, r, "socket pair for the container's init");
	if (x->s.req->fifo) {
		x->s.go_fifo = open_fifo(x->s.state_fd, "exec.fifo", e);
		x->s.err_fifo = x->s.go_fifo < 0 ? -1 : open_answer(x->s.state_fd, e);
		if (x->s.err_fifo < 0)
			return -1;
	}
	if (x->s.process->terminal && x->s.req->console_socket) {
		x->console_sock = skf_console_connect(x->s.req->console_socket, e);
		if (x->console_sock < 0)
			return -1;
	}
	return 0;
}

static int plan_namespaces(struct creation *x, struct skf_err *e)
{
	return skf_ns_plan(&x->s, e);
}

static int prepare_seccomp(struct creation *x, struct skf_err *e)
{
	if (skf_seccomp_prepare(&x->s, e) < 0 || skf_state_save_bpf(x->s.state_fd, &x->s.seccomp, e) < 0)
		return -1;
	return x->s.seccomp.notify ? skf_listener_save(x->s.state_fd, &x->s.listener, e) : 0;
}

/* The files for the output of hooks that the child runs. */
static int open_hook_files(struct creation *x, struct skf_err *e)
{
	const struct skf_spec_hooks *h = &x->s.spec->hooks;

	if (h->create_container.n == 0 && h->start_container.n == 0)
		return 0;
	return skf_hooks_open(&x->s.spec->annotations, &x->s.hook_out, &x->s.hook_err, e);
}

static int prepare_notify(struct creation *x, struct skf_err *e)
{
	return x->s.req->notify_socket ? skf_notify_prepare(&x->s, e) : 0;
}

static int make_cgroup(struct creation *x, struct skf_err *e)
{
	return skf_cgroups_create(&x->s, e);
}

static int make_rdt_group(struct creation *x, struct skf_err *e)
{
	return skf_rdt_prepare(&x->s, e);
}

static void undo_rdt_group(struct creation *x)
{
	skf_rdt_undo(&x->s);
}

static void undo_cgroup(struct creation *x)
{
	skf_begin_undo_cgroup(&x->s);
}

static int prepare_rootfs(struct creation *x, struct skf_err *e)
{
	return skf_rootfs_prepare(&x->s, e);
}

static int clone_init(struct creation *x, struct skf_err *e)
{
	struct skf_rt_container *c = x->c;

	c->sister = x->s.req->sister;
	c->pid = skf_ns_clone(&x->s, &c->pidfd, e);
	if (c->pid == 0)
		skf_init_run(&x->s);
	skf_closep(&x->s.sync[1]);
	return c->pid < 0 ? -1 : 0;
}

static int begin_network(struct creation *x, struct skf_err *e)
{
	return x->s.req->net_begin ? x->s.req->net_begin(x->s.req->net_arg, x->c->pid, e) : 0;
}

static int end_network(struct creation *x, struct skf_err *e)
{
	return x->s.req->net_begin ? x->s.req->net_end(x->s.req->net_arg, e) : 0;
}

static void undo_init(struct creation *x)
{
	(void)skf_rt_kill_and_reap(
		x->c); /* what cannot be killed is found by the cgroup's undo, which says so */
}

static int attach_late(struct creation *x, struct skf_err *e)
{
	int r;

	if (skf_cgroups_attach_late(&x->s, x->c->pid, false, e) < 0) {
		if (e->sys != ESRCH)
			return -1;
		skf_err_clear(e); /* it ended meanwhile: asked for its reason in the next step */
		return 0;
	}
	r = skf_sync_send(x->s.sync[0], SKF_STEP_ATTACHED, -1);
	return r < 0 && r != -EPIPE
		       ? skf_fail_sys(e, r, "tell the container's init that it is in its cgroup")
		       : 0;
}

/* idmaps, cgroup, limits; then the child may go on */
static int configure_init(struct creation *x, struct skf_err *e)
{
	const struct skf_spec_linux *l = &x->s.spec->linux_;
	struct skf_state_in in = {.s = &x->s, .id = x->s.req->id, .pid = x->c->pid};
	bool late = skf_cgroups_late(&x->s);
	char created[36], boot[37];
	int r = skf_proc_start_time(x->c->pid, &in.pid_start);

	if (r == 0)
		r = skf_boot_id(boot);
	if (r == 0)
		r = skf_journal_add(x->s.state_fd, "pid %d %llu %s", (int)x->c->pid,
				    (unsigned long long)in.pid_start, boot);
	if (r < 0)
		return skf_fail_sys(e, r, "write the journal of container '%s'", x->s.req->id);
	if ((x->s.ns_new & CLONE_NEWUSER) &&
	    skf_idmap_write(x->c->pid, &l->uid_mappings, &l->gid_mappings, e) < 0)
		return -1;
	if ((!late && skf_cgroups_attach(&x->s, x->c->pid, e) < 0) ||
	    skf_rlimits_raise(x->c->pid, x->s.process, e) < 0 ||
	    skf_oom_score_apply(x->c->pid, x->s.process, e) < 0 || skf_rdt_attach(&x->s, x->c->pid, e) < 0 ||
	    skf_netdev_move(&x->s, x->c->pid, e) < 0)
		return -1;
	r = skf_sync_send(x->s.sync[0], SKF_STEP_SETUP, -1);
	if (r < 0 && r != -EPIPE) /* a dead child is asked for its reason in the next step */
		return skf_fail_sys(e, r, "tell the container's init to go on");
	if (late && attach_late(x, e) < 0)
		return -1;
	skf_time_rfc3339(skf_now_ns(), created);
	in.created = created;
	in.boot_id = boot;
	return skf_state_save(&in, e);
}

static int run_runtime_hooks(struct creation *x, struct skf_err *e)
{
	const struct skf_spec_hooks *h = &x->s.spec->hooks;
	const struct skf_kvs *an = &x->s.spec->annotations;
	const char *bundle = x->s.req->bundle;
	int r;

	x->hooks_began = true;
	if (h->prestart.n == 0 && h->create_runtime.n == 0)
		return 0;
	if (skf_sync_expect(x->s.sync[0], SKF_STEP_BUILT, SKF_START_MS, NULL, e) < 0)
		return -1;
	SKF_AUTO_FREE char *doc = skf_state_doc(&x->s, x->s.req->id, "creating", x->c->pid);
	if (!doc)
		return skf_nomem(e);
	if (skf_hooks_run_host(an, bundle, &h->prestart, "prestart", doc, x->s.rt->log, e) < 0 ||
	    skf_hooks_run_host(an, bundle, &h->create_runtime, "createRuntime", doc, x->s.rt->log, e) < 0)
		return -1;
	r = skf_sync_send(x->s.sync[0], SKF_STEP_HOOKED, -1);
	return r < 0 && r != -EPIPE
		       ? skf_fail_sys(e, r, "tell the container's init to go on after the hooks")
		       : 0;
}

static int take_console(struct creation *x, struct skf_err *e)
{
	if (!x->s.process->terminal)
		return 0;
	if (skf_sync_expect(x->s.sync[0], SKF_STEP_CONSOLE, SKF_START_MS, &x->c->console, e) < 0)
		return -1;
	if (x->c->console < 0)
		return skf_fail(e, SKF_EBUG, "container init sent no terminal");
	if (x->console_sock < 0)
		return 0;
	if (skf_console_send(x->console_sock, x->c->console, e) < 0)
		return -1;
	skf_closep(&x->c->console);
	return 0;
}

int skf_pid_file(const char *path, pid_t pid, struct skf_err *e)
{
	const char *base = path ? strrchr(path, '/') : NULL;
	char dir[PATH_MAX] = ".", text[16];
	int r;

	if (!path)
		return 0;
	base = base ? base + 1 : path;
	if (base != path && skf_fmt(dir, sizeof(dir), "%.*s", (int)(base - path), path) < 0)
		return skf_fail_sys(e, -ENAMETOOLONG, "pid file '%s'", path);
	SKF_AUTO_FD int fd = skf_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	r = fd < 0 ? fd : skf_fmt(text, sizeof(text), "%d", (int)pid);
	if (r == 0)
		r = skf_write_atomic_at(fd, base, text, strlen(text), 0644, 0);
	return r < 0 ? skf_fail_sys(e, r, "write pid file '%s'", path) : 0;
}

/* run.oci.pidfd_receiver */
static int send_pidfd(struct creation *x, struct skf_err *e)
{
	const char *path = skf_annotation(&x->s.spec->annotations, SKF_AN_PIDFD_RECEIVER);
	SKF_AUTO_FD int sock = -EBADF;
	int r;

	if (!path)
		return 0;
	sock = skf_unix_connect(path, SOCK_STREAM, "socket of annotation run.oci.pidfd_receiver", e);
	if (sock < 0)
		return -1;
	r = skf_unix_send_fd(sock, x->c->pidfd, " ", 1);
	return r < 0 ? skf_fail_sys(e, r, "send the pidfd of container '%s' to '%s'", x->s.req->id, path)
		     : 0;
}

static int deliver_listener(struct creation *x, int timeout_ms, struct skf_err *e)
{
	SKF_AUTO_FREE char *doc = skf_state_doc(&x->s, x->s.req->id, "creating", x->c->pid);

	return skf_listener_deliver(&x->s.listener, x->s.sync[0], x->c->pidfd, x->c->pid,
				    x->s.spec->oci_version, doc, timeout_ms, e);
}

static int await_ready(struct creation *x, struct skf_err *e)
{
	int ms = SKF_START_MS + skf_hooks_timeout(&x->s.spec->hooks.create_container);

	if (x->s.listener.path && deliver_listener(x, ms, e) < 0)
		return -1;
	if (skf_sync_expect(x->s.sync[0], SKF_STEP_READY, ms, NULL, e) < 0 ||
	    (skf_cgroups_late(&x->s) && skf_cgroups_attach_late(&x->s, x->c->pid, true, e) < 0) ||
	    skf_sched_apply(x->c->pid, x->s.process, NULL, e) < 0 || send_pidfd(x, e) < 0 ||
	    skf_cgroups_delegate(&x->s, x->c->pid, e) < 0)
		return -1;
	return skf_pid_file(x->s.req->pid_file, x->c->pid, e);
}

/* --- the list --- */
static const struct create_step {
	const char *name;
	int (*run)(struct creation *x, struct skf_err *e);
	void (*undo)(struct creation *x);
} steps[] = {
	{"check", check_request, NULL},
	{"state directory", make_state_dir, undo_state_dir},
	{"channels", open_channels, NULL},
	{"namespaces", plan_namespaces, NULL},
	{"notify socket", prepare_notify, NULL},
	{"seccomp", prepare_seccomp, NULL},
	{"hook files", open_hook_files, NULL},
	{"cgroup", make_cgroup, undo_cgroup},
	{"intelRdt", make_rdt_group, undo_rdt_group},
	{"root file system", prepare_rootfs, NULL},
	{"clone", clone_init, undo_init},
	{"network", begin_network, NULL},
	{"setup", configure_init, NULL},
	{"console", take_console, NULL},
	{"network ready", end_network, NULL},
	{"hooks", run_runtime_hooks, NULL},
	{"ready", await_ready, NULL},
};

static void close_fds(struct creation *x)
{
	skf_sources_release(&x->s, true);
	skf_ns_close(&x->s);
	skf_closep(&x->s.sync[0]);
	skf_closep(&x->s.sync[1]);
	skf_closep(&x->s.go_fifo);
	skf_closep(&x->s.err_fifo);
	skf_closep(&x->s.cg_fd);
	skf_closep(&x->console_sock);
	skf_closep(&x->s.root_fd);
	skf_closep(&x->s.hook_out);
	skf_closep(&x->s.hook_err);
	skf_listener_done(&x->s.listener);
	for (size_t i = 0; x->s.mount_fds && i < x->s.spec->mounts.n; i++)
		skf_closep(&x->s.mount_fds[i]);
}

/* A child that was killed could not say why; its wait status can. */
static void explain_death(struct creation *x, struct skf_err *e)
{
	struct skf_rt_container *c = x->c;
	struct skf_err sent = *e;

	if (c->pid <= 0 || e->kind != SKF_ESYSTEM || e->sys != 0 || !strstr(e->msg, "died before step"))
		return;
	if (skf_wait_pid(c->pid, c->pidfd, 1000, &c->status) < 0)
		return;
	c->reaped = true;
	if (WIFSIGNALED(c->status))
		skf_fail(e, SKF_ESYSTEM, "%.300s: killed by signal %d%s", sent.msg, WTERMSIG(c->status),
			 WTERMSIG(c->status) == SIGKILL ? " (is the memory limit too low?)" : "");
}

static int run_steps(struct creation *x, struct skf_err *e)
{
	size_t i;

	for (i = 0; i < SKF_ARRAY_LEN(steps); i++) {
		skf_debug(x->s.rt->log, "container '%s': step '%s'", x->s.req->id, steps[i].name);
		if (steps[i].run(x, e) < 0)
			break;
	}
	if (i == SKF_ARRAY_LEN(steps))
		return 0;
	explain_death(x, e);
	do { /* the failing step too: it may have done half of its work */
		if (steps[i].undo)
			steps[i].undo(x);
	} while (i-- > 0);
	return -1;
}

static int fill_handle(struct creation *x, struct skf_err *e)
{
	struct skf_rt_container *c = x->c;

	c->rt = *x->s.rt;
	c->fifo = x->s.req->fifo;
	c->keep_dir = x->s.req->keep_dir;
	c->spec = x->s.req->spec; /* not the copy of notify.c, which ends with the start */
	c->cg = x->s.cg;
	c->hooks_ms = skf_hooks_timeout(&x->s.spec->hooks.start_container);
	if (x->s.spec->hooks.poststart.n > 0) {
		c->state_json = skf_state_doc(&x->s, x->s.req->id, "running", c->pid);
		c->bundle = strdup(x->s.req->bundle);
		if (!c->state_json || !c->bundle)
			return skf_nomem(e);
	}
	c->sync = SKF_TAKE_FD(x->s.sync[0]);
	return 0;
}

struct skf_rt_container *skf_rt_container_new(const char *id)
{
	struct skf_rt_container *c = calloc(1, sizeof(*c));

	if (!c)
		return NULL;
	c->pidfd = c->sync = c->console = -EBADF;
	c->id = strdup(id ? id : "");
	if (!c->id) {
		free(c);
		return NULL;
	}
	return c;
}

int skf_rt_create(const struct skf_rt *rt, const struct skf_rt_create *q, struct skf_rt_container **ret,
		  struct skf_err *e)
{
	struct creation x = {
		.arena = SKF_ARENA(SKF_MAX_ARENA_DOC),
		.console_sock = -EBADF,
		.s = skf_begin(rt, q),
	};
	int r;

	x.s.arena = &x.arena;
	x.c = skf_begin_handle(rt, q, e);
	if (!x.c)
		return -1;
	r = run_steps(&x, e);
	if (r == 0 && fill_handle(&x, e) < 0) {
		for (size_t i = SKF_ARRAY_LEN(steps); i-- > 0;)
			if (steps[i].undo)
				steps[i].undo(&x);
		r = -1;
	}
	close_fds(&x);
	skf_closep(&x.s.state_fd); /* and with it the lock */
	skf_arena_done(&x.arena);
	if (r < 0)
		skf_rt_container_free(x.c);
	else
		*ret = x.c;
	return r;
}
