/* runtime/restore.c -- a container out of a checkpoint's files: what create.c does for a new one, with criu
 * in the place of the container's init.
 *
 * Theory: criu is started in a mount namespace of its own, in which the root file system is attached below
 * the state directory: criu wants a root that is a mount point. It is moved into the container's cgroup, so
 * that what it makes is born there, and makes the processes as its siblings: the restored init is our child.
 * Its notifications say when the namespaces exist (hooks) and when init exists but does not run yet
 * (state.json).
 *
 * Invariants:
 *  1. As create.c 1 to 3: undo of all steps in reverse; the state directory stays locked until the container
 * runs; the journal is written before anything that the kernel does not clean up.
 *  2. Nothing is mounted in the caller's mount namespace.
 *  3. A network namespace of the container's own comes back empty but for a loopback device that is up, as
 * create leaves it: its devices are the business of whoever made them, by a prestart hook or by a namespace
 * that is joined by path. (Criu would need addresses and routes to be as they were.)
 *  4. An image is trusted like a program: whoever wrote it decides what the processes do.
 *
 * Blocks as long as criu works, plus the time-outs of hooks. */
#include "runtime/restore_int.h"
#include "runtime/rootfs_int.h"

#include "base/json.h"
#include "base/proc.h"
#include "oci/spec.h"
#include "sys/path.h"
#include "sys/process.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static const char log_name[] = "restore.log";

/* --- steps --- */
static int check_request(struct restoration *x, struct skf_err *e)
{
	const struct skf_rt_create *q = x->s.req;
	const struct skf_spec *sp = x->s.spec;
	const struct skf_spec_namespace *cgroup = skf_spec_ns(sp, CLONE_NEWCGROUP);
	int version;

	if (skf_state_check_id(q->id, e) < 0)
		return -1;
	if (!sp->process)
		return skf_fail(e, SKF_EINVALID, "config.json: /process is missing");
	if (skf_annotations_check(&sp->annotations, e) < 0)
		return -1;
	if (q->root_mount_fd < 0 && !sp->root_path)
		return skf_fail(e, SKF_EINVALID, "config.json: /root/path is missing");
	if (!skf_spec_ns(sp, CLONE_NEWNS) || skf_spec_ns(sp, CLONE_NEWNS)->path)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"restore needs a mount namespace of the container's own; add namespace "
				"'mount' without "
				"a path");
	if (cgroup && cgroup->path)
		return skf_fail(e, SKF_EUNSUPPORTED, "criu cannot restore into the cgroup namespace '%s'",
				cgroup->path);
	x->s.process = sp->process;
	if (skf_criu_common(x->o, &sp->annotations, false, x->dirs, &x->opts, e) < 0 ||
	    skf_criu_find(x->program, sizeof(x->program), e) < 0 ||
	    skf_criu_check(x->program, false, false, &version, x->s.rt->log, e) < 0)
		return -1;
	x->opts.lsm_profile = x->o->lsm_profile;
	x->opts.lsm_mount_context = x->o->lsm_mount_context;
	if (version < 31600 && (x->opts.lsm_profile || x->opts.lsm_mount_context))
		return skf_fail(e, SKF_EUNSUPPORTED,
				"--lsm-profile and --lsm-mount-context need criu 3.16 or newer");
	/* strict: the cgroup was made by us just now, and criu would take it for somebody else's */
	if (x->opts.cgroups_mode == SKF_CRIU_CG_STRICT)
		x->opts.cgroups_mode = SKF_CRIU_CG_FULL;
	/* the terminal of a shell job is the caller's: there is no master to be handed out */
	x->opts.orphan_pts_master = sp->process->terminal || !x->o->shell_job;
	x->opts.log_file = log_name;
	x->opts.evasive_devices = x->opts.rst_sibling = true;
	return 0;
}

static int make_state_dir(struct restoration *x, struct skf_err *e)
{
	int r;

	if (skf_begin_dir(&x->s, e) < 0)
		return -1;
	r = skf_mkdir_at(x->s.state_fd, "criu-root", 0755);
	if (r >= 0) {
		SKF_AUTO_FD int fd =
			skf_openat(x->s.state_fd, "criu-root", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
		r = fd < 0 ? fd : skf_path_readlink_fd(fd, x->root, sizeof(x->root));
	}
	return r < 0 ? skf_fail_sys(e, r, "make the directory '%s/%s/criu-root'", x->s.rt->root,
				    x->s.req->id)
		     : 0;
}

static void undo_state_dir(struct restoration *x)
{
	skf_begin_undo_dir(&x->s);
}

static int open_console(struct restoration *x, struct skf_err *e)
{
	if (x->s.req->console_socket)
		x->console_sock = skf_console_connect(x->s.req->console_socket, e);
	return x->s.req->console_socket && x->console_sock < 0 ? -1 : 0;
}

/* Joined namespaces: network and pid by a descriptor under the name that the dump gave them, the others by
 * path. */
static int plan_namespaces(struct restoration *x, struct skf_err *e)
{
	if (skf_ns_plan(&x->s, e) < 0)
		return -1;
	for (int i = 0; i < SKF_NS_COUNT; i++) {
		const struct skf_ns_type *t = &skf_ns_types[i];
		const char *key = t->flag == CLONE_NEWNET   ? "extRootNetNS"
				  : t->flag == CLONE_NEWPID ? "extRootPidNS"
							    : NULL;
		int r;

		if (!(x->s.ns_join & t->flag) || x->s.ns_fd[i] < 0)
			continue;
		if (key) {
			r = skf_criu_list_add(&x->arena, &x->opts.inherit_fd, key, NULL,
					      SKF_CRIU_FD + (int)x->n_fds);
			x->fds[x->n_fds++] = x->s.ns_fd[i];
		} else {
			r = skf_criu_list_add(&x->arena, &x->opts.join_ns, t->proc,
					      skf_spec_ns(x->s.spec, (int)t->flag)->path, 0);
		}
		if (r < 0)
			return skf_fail_sys(e, r, "namespaces of container '%s'", x->s.req->id);
	}
	return 0;
}

/* A place for NOTIFY_SOCKET: an image may want one also when nobody waits for this container. */
static int prepare_notify(struct restoration *x, struct skf_err *e)
{
	return x->s.req->notify_socket ? skf_notify_prepare(&x->s, e) : skf_notify_make_dir(&x->s, e);
}

/* For exec: the filters of the processes are in the image. */
static int prepare_seccomp(struct restoration *x, struct skf_err *e)
{
	if (skf_seccomp_prepare(&x->s, e) < 0 || skf_state_save_bpf(x->s.state_fd, &x->s.seccomp, e) < 0)
		return -1;
	return x->s.listener.fd ? skf_listener_save(x->s.state_fd, &x->s.listener, e) : 0;
}

static int make_cgroup(struct restoration *x, struct skf_err *e)
{
	return skf_cgroups_create(&x->s, e);
}

static void undo_cgroup(struct restoration *x)
{
	skf_begin_undo_cgroup(&x->s);
}

static int make_rdt_group(struct restoration *x, struct skf_err *e)
{
	return skf_rdt_prepare(&x->s, e);
}

static void undo_rdt_group(struct restoration *x)
{
	skf_rdt_undo(&x->s);
}

struct descriptors {
	struct skf_strv fds;
};
static const struct skf_jfield descriptors_f[] = {
	SKF_J(struct descriptors, fds, "fds", skf_j_strv, NULL, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable descriptors_t = {sizeof(struct descriptors), descriptors_f, true, NULL};

/* What were pipes are ours now: the standard streams, and those of --preserve-fds. */
static int add_descriptors(struct restoration *x, struct skf_err *e)
{
	struct skf_jdoc doc = {.name = "descriptors.json", .max_bytes = SKF_MAX_OBJECT_BYTES};
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(2 * SKF_MAX_OBJECT_BYTES);
	struct descriptors *d;
	void *decoded;
	int r;

	skf_buf_str(&b, "{\"fds\":"); /* the document is a bare array */
	SKF_AUTO_FD int fd =
		skf_openat(x->dirs[0], "descriptors.json", O_RDONLY | O_NOFOLLOW | O_NONBLOCK, 0);
	r = fd < 0 ? fd : skf_read_fd(fd, SKF_MAX_OBJECT_BYTES / 2, &b);
	if (r == -ENOENT)
		return skf_fail(e, SKF_ENOTFOUND,
				"'%s' is not the checkpoint of a container: it has no descriptors.json",
				x->o->image_path);
	if (r < 0)
		return skf_fail_sys(e, r, "read '%s/descriptors.json'", x->o->image_path);
	skf_buf_chr(&b, '}');
	if (skf_json_decode(&doc, skf_buf_cstr(&b), b.len, &descriptors_t, &x->arena, &decoded, e) < 0)
		return skf_ctx(e, "'%s'", x->o->image_path);
	d = decoded;
	for (size_t i = 0; i < d->fds.n && i < 3 + x->s.req->preserve_fds; i++) {
		int at = (int)i;

		if (!skf_startswith(d->fds.v[i], "pipe:") || (i >= 3 && fcntl((int)i, F_GETFD) < 0))
			continue;
		if (i >= 3) {
			if (x->n_fds + 2 >= SKF_MAX_CRIU_FDS) /* two are the directories */
				return skf_fail(e, SKF_ELIMIT, "more than %d pipes to hand to criu",
						SKF_MAX_CRIU_FDS - 2);
			at = SKF_CRIU_FD + (int)x->n_fds;
			x->fds[x->n_fds++] = (int)i;
		}
		if (skf_criu_list_add(&x->arena, &x->opts.inherit_fd, d->fds.v[i], NULL, at) < 0)
			return skf_nomem(e);
	}
	return 0;
}

/* In criu's process, before criu: its mounts. */
static int attach_root(struct restoration *x, struct skf_err *e)
{
	struct skf_start *s = &x->s;
	char path[PATH_MAX];
	int r = skf_mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL);

	if (r < 0)
		return skf_fail_sys(e, r, "cannot make the mounts of criu's namespace slaves of the host's");
	SKF_AUTO_FD int place = skf_openat(AT_FDCWD, x->root, O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (place < 0)
		return skf_fail_sys(e, place, "open '%s'", x->root);
	if (s->req->root_mount_fd >= 0) {
		s->root_fd = skf_dup_cloexec(s->req->root_mount_fd);
	} else {
		r = skf_source_path(s, s->spec->root_path, path);
		SKF_AUTO_FD int dir = r < 0 ? r : skf_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
		s->root_fd = dir < 0 ? dir : skf_source_clone_fd(dir, true);
	}
	r = s->root_fd < 0 ? s->root_fd : skf_move_mount_onto(s->root_fd, place);
	if (r < 0)
		return skf_fail_sys(e, r, "root file system '%s' of bundle '%s'",
				    s->spec->root_path ? s->spec->root_path : "", s->req->bundle);
	if (skf_criu_attach_sources(s->req, x->root, e) < 0)
		return -1;
	return skf_criu_mount_points(s, x->root, e);
}

/* The two directories as criu's mount namespace has them: it mounts below its work directory. */
static int open_dirs(struct restoration *x, struct skf_err *e)
{
	const char *paths[2] = {x->o->image_path, x->o->work_path};

	for (int i = 0; i < 2 && x->dirs[i] >= 0; i++) {
		int fd = skf_openat(AT_FDCWD, paths[i], O_RDONLY | O_DIRECTORY, 0);

		if (fd < 0)
			return skf_fail_sys(e, fd, "open '%s'", paths[i]);
		x->fds[x->n_fds - 2 + (unsigned)i] = fd;
	}
	return 0;
}

static int in_child(void *arg, struct skf_err *e)
{
	return attach_root(arg, e) < 0 ? -1 : open_dirs(arg, e);
}

static int start_criu(struct restoration *x, struct skf_err *e)
{
	const int *io = x->s.req->stdio;

	x->opts.images_dir_fd = SKF_CRIU_FD + (int)x->n_fds;
	x->opts.work_dir_fd = x->dirs[1] >= 0 ? x->opts.images_dir_fd + 1 : -1;
	x->fds[x->n_fds++] = x->dirs[0]; /* in_child opens both again */
	x->fds[x->n_fds++] = x->dirs[x->dirs[1] >= 0];
	struct skf_criu_launch l = {
		.program = x->program,
		.stdio = {io[0] >= 0 ? io[0] : 0, io[1] >= 0 ? io[1] : 1, io[2] >= 0 ? io[2] : 2},
		.fds = x->fds,
		.n_fds = x->n_fds,
		.clone_flags = CLONE_NEWNS,
		.cgroup_fd = x->s.cg_fd >= 0 ? x->s.cg_fd : -1,
		.in_child = in_child,
		.arg = x,
	};

	if (skf_criu_start(&x->criu, &l, e) < 0)
		return skf_ctx(e, "restore container '%s'", x->s.req->id);
	if (skf_cgroups_attach(&x->s, x->criu.pid, e) < 0)
		return -1;
	return skf_rdt_attach(&x->s, x->criu.pid, e);
}

static void undo_criu(struct restoration *x)
{
	skf_criu_end(&x->criu, true, x->s.rt->log);
	(void)skf_rt_kill_and_reap(
		x->c); /* what cannot be killed is found by the cgroup's undo, which says so */
}

/* --- the request --- */
/* Every controller by itself: "3:cpu,cpuacct:/x" gives two. The path is that of criu, which is in the
 * container's. */
static int add_cgroup_roots(struct restoration *x, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	char path[32];
	int r = skf_fmt(path, sizeof(path), "/proc/%d/cgroup", (int)x->criu.pid);

	if (!x->s.cg.used)
		return 0;
	if (r == 0)
		r = skf_read_file_at(AT_FDCWD, path, SKF_MAX_OBJECT_BYTES, &b);
	for (char *line = b.p, *next; r == 0 && line && *line; line = next) {
		char *names = strchr(line, ':'), *dir = names ? strchr(names + 1, ':') : NULL;
		char *end = strchr(line, '\n');

		next = end ? end + 1 : NULL;
		if (end)
			*end = '\0';
		if (!dir || (end && dir > end))
			continue;
		*dir++ = '\0';
		for (char *one = names + 1, *comma; one && r == 0; one = comma) {
			comma = strchr(one, ',');
			if (comma)
				*comma++ = '\0';
			const char *ctrl = skf_arena_strdup(&x->arena, one),
				   *at = skf_arena_strdup(&x->arena, dir);
			r = ctrl && at ? skf_criu_list_add(&x->arena, &x->opts.cg_root, ctrl, at, 0)
				       : -ENOMEM;
		}
	}
	return r < 0 ? skf_fail_sys(e, r, "find the cgroups of criu") : 0;
}

static int add_ext_mounts(struct restoration *x, struct skf_err *e)
{
	struct skf_criu_view v = {.spec = x->s.spec,
				  .cg = &x->s.cg,
				  .bundle = x->s.req->bundle,
				  .root = x->s.req->root_mount_fd,
				  .restore = true,
				  .arena = &x->arena,
				  .req = x->s.req,
				  .places = x->root};
	SKF_AUTO_FD int root = -EBADF;

	if (v.root < 0) {
		root = skf_openat(x->s.req->bundle_fd, x->s.spec->root_path, O_PATH | O_DIRECTORY, 0);
		if (root < 0)
			return skf_fail_sys(e, root, "root file system '%s' of bundle '%s'",
					    x->s.spec->root_path, x->s.req->bundle);
		v.root = root;
	}
	if (skf_criu_ext_mounts(&v, &x->opts.ext_mnt, e) < 0)
		return -1;
	/* by our name, and by the one that runc gives */
	const char *notify = skf_arena_fmt(&x->arena, "%s/%s/" SKF_NOTIFY_DIR, x->s.rt->root, x->s.req->id);
	if (!notify ||
	    skf_criu_list_add(&x->arena, &x->opts.ext_mnt, SKF_CRIU_NOTIFY_MOUNT, notify, 0) < 0 ||
	    skf_criu_list_add(&x->arena, &x->opts.ext_mnt, SKF_NOTIFY_ELSEWHERE, notify, 0) < 0)
		return skf_nomem(e);
	return 0;
}

static int run_restore(struct restoration *x, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(2 * SKF_MAX_CRIU_REPLY);
	struct skf_criu_req q = {.type = SKF_CRIU_RESTORE, .opts = &x->opts};
	struct skf_criu_resp resp = {0};
	char what[300];
	int r;

	x->opts.root = x->root;
	if (add_cgroup_roots(x, e) < 0 || add_ext_mounts(x, e) < 0)
		return -1;
	r = skf_criu_talk(&x->criu, &q, skf_restore_notify, x, &b, &resp, e);
	if (skf_fmt(what, sizeof(what), "restore container '%.200s'", x->s.req->id) < 0)
		what[0] = '\0';
	if (r > 0)
		return skf_criu_failed(x->o, x->dirs, log_name, &resp, what, e);
	if (r < 0)
		return skf_ctx(e, "%s", what);
	if (x->c->pid <= 0 || resp.restore_pid != x->c->pid)
		return skf_fail(e, SKF_ECORRUPT, "criu restored process %d and announced %d",
				resp.restore_pid, (int)x->c->pid);
	skf_criu_end(&x->criu, false, x->s.rt->log);
	skf_criu_remove_places(x->s.req, x->root);
	if (unlinkat(x->s.state_fd, "criu-root", AT_REMOVEDIR) < 0)
		skf_warn(x->s.rt->log, "remove '%s': %s, ignoring", x->root, strerror(errno));
	return 0;
}

static int finish(struct restoration *x, struct skf_err *e)
{
	const struct skf_jarr *poststart = &x->s.spec->hooks.poststart;
	struct skf_rt_container *c = x->c;

	c->rt = *x->s.rt;
	c->spec = x->s.req->spec; /* not the copy of notify.c, which ends with the start */
	c->cg = x->s.cg;
	if (skf_pid_file(x->s.req->pid_file, c->pid, e) < 0)
		return -1;
	if (poststart->n == 0)
		return 0;
	c->state_json = skf_state_doc(&x->s, x->s.req->id, "running", c->pid);
	if (!c->state_json)
		return skf_nomem(e);
	return skf_hooks_run_host(&x->s.spec->annotations, x->s.req->bundle, poststart, "poststart",
				  c->state_json, x->s.rt->log, e);
}

/* --- the list --- */
static const struct restore_step {
	const char *name;
	int (*run)(struct restoration *x, struct skf_err *e);
	void (*undo)(struct restoration *x);
} steps[] = {
	{"check", check_request, NULL},          {"state directory", make_state_dir, undo_state_dir},
	{"console", open_console, NULL},         {"namespaces", plan_namespaces, NULL},
	{"notify socket", prepare_notify, NULL}, {"seccomp", prepare_seccomp, NULL},
	{"cgroup", make_cgroup, undo_cgroup},    {"intelRdt", make_rdt_group, undo_rdt_group},
	{"descriptors", add_descriptors, NULL},  {"criu", start_criu, undo_criu},
	{"restore", run_restore, NULL},          {"finish", finish, NULL},
};

static int run_steps(struct restoration *x, struct skf_err *e)
{
	size_t i;

	for (i = 0; i < SKF_ARRAY_LEN(steps); i++) {
		skf_debug(x->s.rt->log, "container '%s': restore: step '%s'", x->s.req->id, steps[i].name);
		if (steps[i].run(x, e) < 0)
			break;
	}
	if (i == SKF_ARRAY_LEN(steps))
		return 0;
	do { /* the failing step too: it may have done half of its work */
		if (steps[i].undo)
			steps[i].undo(x);
	} while (i-- > 0);
	return -1;
}

static void close_fds(struct restoration *x)
{
	skf_ns_close(&x->s);
	skf_listener_done(
		&x->s.listener); /* of a filter that notifies: exec's, as init's own agent is gone */
	skf_closep(&x->s.cg_fd);
	skf_closep(&x->console_sock);
	skf_closep(&x->dirs[0]);
	skf_closep(&x->dirs[1]);
	skf_closep(&x->s.state_fd); /* and with it the lock */
}

int skf_rt_restore(const struct skf_rt *rt, const struct skf_rt_create *q, const struct skf_rt_criu *o,
		   struct skf_rt_container **ret, struct skf_err *e)
{
	struct restoration x = {
		.arena = SKF_ARENA(SKF_MAX_ARENA_DOC),
		.o = o,
		.criu = SKF_CRIU_INIT,
		.opts = SKF_CRIU_OPTS_INIT,
		.dirs = {-EBADF, -EBADF},
		.console_sock = -EBADF,
		.s = skf_begin(rt, q),
	};
	int r;

	x.s.arena = &x.arena;
	x.c = skf_begin_handle(rt, q, e);
	if (!x.c)
		return -1;
	r = run_steps(&x, e);
	close_fds(&x);
	skf_arena_done(&x.arena);
	if (r < 0)
		skf_rt_container_free(x.c);
	else
		*ret = x.c;
	return r;
}
