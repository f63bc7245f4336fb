/* runtime/checkpoint.c -- saves a running container by criu.
 *
 * Invariants:
 *  1. What the configuration says is read again from its file; what the kernel says
 * (namespaces that were joined, masked files, standard streams) is asked of the container's init.
 *  2. The container's lock is not held while criu works, so that `state` answers meanwhile; criu itself
 * refuses a second dump of the same processes. Only the delete at the end takes it.
 *  3. After a failure the container runs on, and is not deleted.
 *
 * Blocks as long as criu works. */
#include "runtime/criu_int.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/proc.h"
#include "oci/spec.h"
#include "sys/mountinfo.h"
#include "sys/path.h"
#include "sys/process.h"

#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct dump {
	const struct skf_rt *rt;
	const struct skf_rt_criu *o;
	struct skf_arena arena;
	struct skf_rt_state *state;
	struct skf_spec *spec;
	struct skf_criu_opts opts;
	int dirs[2], status_fd;
	char program[PATH_MAX];
};
static const char log_name[] = "dump.log";

static int find_container(struct dump *x, const char *id, struct skf_err *e)
{
	struct skf_spec_opts so = {.log = x->rt->log, .name = "config.json"};
	enum skf_rt_status st;

	if (skf_rt_state_load(x->rt, id, &x->arena, &x->state, e) < 0)
		return -1;
	st = x->state->status;
	if (st != SKF_RT_RUNNING && st != SKF_RT_PAUSED)
		return skf_fail(e, SKF_ECONFLICT, "cannot checkpoint container '%s': it is %s, not running",
				id, skf_rt_status_name(st));
	if (skf_spec_load_at(AT_FDCWD, x->state->config_path, &so, &x->arena, &x->spec, e) < 0)
		return skf_ctx(e, "configuration '%s' of container '%s'", x->state->config_path, id);
	return 0;
}

static int check_status_fd(const struct dump *x, struct skf_err *e)
{
	int fd = x->status_fd, flags = fd >= 0 ? fcntl(fd, F_GETFL) : O_WRONLY;

	if (flags < 0)
		return skf_fail_errno(e, "option --status-fd: descriptor %d", fd);
	if ((flags & O_ACCMODE) == O_RDONLY)
		return skf_fail(e, SKF_EINVALID, "option --status-fd: descriptor %d is not open for writing",
				fd);
	return 0;
}

/* "ADDRESS:PORT", "[v6]:PORT" */
static int parse_page_server(struct dump *x, struct skf_err *e)
{
	const char *s = x->o->page_server, *colon = s ? strrchr(s, ':') : NULL;
	uint32_t port;
	size_t n;

	if (!s || !*s)
		return 0;
	n = colon ? (size_t)(colon - s) : 0;
	if (n == 0 || skf_parse_u32(colon + 1, &port) < 0 || port == 0 || port > UINT16_MAX)
		return skf_fail(e, SKF_EINVALID, "option --page-server is ADDRESS:PORT, not '%s'", s);
	if (s[0] == '[' && s[n - 1] == ']') {
		s++;
		n -= 2;
	}
	x->opts.page_server_address = skf_arena_dup(&x->arena, s, n);
	x->opts.page_server_port = (int)port;
	return x->opts.page_server_address ? 0 : skf_nomem(e);
}

static int check_parent(struct dump *x, struct skf_err *e)
{
	const char *p = x->o->parent_path;
	struct stat st;

	if (!p || !*p)
		return 0;
	if (p[0] == '/')
		return skf_fail(e, SKF_EINVALID,
				"option --parent-path must be relative to the image directory, not '%s'", p);
	if (fstatat(x->dirs[0], p, &st, 0) < 0)
		return skf_fail_errno(e, "invalid --parent-path '%s' below '%s'", p, x->o->image_path);
	if (!S_ISDIR(st.st_mode))
		return skf_fail_sys(e, -ENOTDIR, "invalid --parent-path '%s' below '%s'", p,
				    x->o->image_path);
	x->opts.parent_img = p;
	x->opts.track_mem = true;
	return 0;
}

/* Criu restores a user namespace with the rights of that namespace's root, who then has to search the
 * directory, and who may differ from the host's. The image files are readable by everybody, so it is opened
 * to his group alone. */
static int open_to_userns(const struct dump *x, struct skf_err *e)
{
	const struct skf_idmap *m = x->spec->linux_.gid_mappings.v;
	struct stat st;

	if (fstat(x->dirs[0], &st) < 0)
		return skf_fail_errno(e, "image directory '%s'", x->o->image_path);
	for (size_t i = 0; i < x->spec->linux_.gid_mappings.n; i++) {
		if (m[i].container_id != 0 || m[i].size == 0 || m[i].host_id == 0 || st.st_uid != 0 ||
		    (st.st_mode & 07077) != 0)
			continue;
		if (fchown(x->dirs[0], (uid_t)-1, m[i].host_id) < 0 || fchmod(x->dirs[0], 0710) < 0)
			return skf_fail_errno(e, "open image directory '%s' to group %u", x->o->image_path,
					      m[i].host_id);
	}
	return 0;
}

static int prepare_criu(struct dump *x, struct skf_err *e)
{
	const struct skf_rt_criu *o = x->o;
	int version;

	if (check_status_fd(x, e) < 0 || parse_page_server(x, e) < 0 ||
	    skf_criu_common(o, &x->spec->annotations, true, x->dirs, &x->opts, e) < 0 ||
	    open_to_userns(x, e) < 0 || check_parent(x, e) < 0 ||
	    skf_criu_find(x->program, sizeof(x->program), e) < 0 ||
	    skf_criu_check(x->program, o->pre_dump || x->opts.parent_img, o->lazy_pages, &version,
			   x->rt->log, e) < 0)
		return -1;
	x->opts.pid = x->state->pid;
	x->opts.root = x->state->rootfs;
	x->opts.log_file = log_name;
	x->opts.leave_running = o->leave_running;
	x->opts.tcp_skip_in_flight = o->tcp_skip_in_flight;
	x->opts.link_remap = o->link_remap;
	return 0;
}

/* Criu stops the processes with the freezer rather than one by one: none of them can get away. */
static int set_freezer(struct dump *x, struct skf_err *e)
{
	const struct skf_cg_dirs *cg = &x->state->cg;
	const struct skf_cg_hier *h = cg->used ? skf_cg_find(&cg->layout, "freezer") : NULL;

	for (unsigned i = 0; cg->used && !h && i < cg->layout.n; i++)
		if (cg->layout.h[i].v2)
			h = &cg->layout.h[i];
	if (!h || !(cg->used & (1u << (h - cg->layout.h))))
		return 0;
	x->opts.freeze_cgroup = skf_arena_fmt(&x->arena, "%s%s", h->mountpoint, cg->path);
	return x->opts.freeze_cgroup ? 0 : skf_nomem(e);
}

/* Network and pid namespaces that were joined are left alone: "net[<inode>]:extRootNetNS" (runc's names). */
static int add_namespaces(struct dump *x, struct skf_err *e)
{
	static const struct {
		int type;
		const char *proc, *key;
	} ext[] = {{CLONE_NEWNET, "net", "extRootNetNS"}, {CLONE_NEWPID, "pid", "extRootPidNS"}};

	for (size_t i = 0; i < SKF_ARRAY_LEN(ext); i++) {
		const struct skf_spec_namespace *ns = skf_spec_ns(x->spec, ext[i].type);
		char path[40], *line;
		struct stat st;

		if (!ns || !ns->path)
			continue;
		/* as init has it: the path of the configuration may be gone */
		if (skf_fmt(path, sizeof(path), "/proc/%d/ns/%s", (int)x->state->pid, ext[i].proc) < 0 ||
		    stat(path, &st) < 0)
			return skf_fail_errno(e, "find the %s namespace of container '%s'", ext[i].proc,
					      x->state->id);
		line = skf_arena_fmt(&x->arena, "%s[%llu]:%s", ext[i].proc, (unsigned long long)st.st_ino,
				     ext[i].key);
		if (!line || skf_strv_add(&x->arena, &x->opts.external, line) < 0)
			return skf_nomem(e);
	}
	return 0;
}

/* The directory of NOTIFY_SOCKET (notify.c) is a mount that no configuration names: init's list is searched
 * for it. */
static int add_notify(struct dump *x, int root, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_MOUNTINFO);
	struct skf_mountinfo m;
	struct stat dir, st;
	char path[NAME_MAX + 32];
	int r = skf_fmt(path, sizeof(path), "%s/" SKF_NOTIFY_DIR, x->state->id);

	if (r == 0 && fstatat(x->rt->rootfd, path, &dir, AT_SYMLINK_NOFOLLOW) < 0)
		r = skf_errno();
	if (r == -ENOENT)
		return 0;
	if (r == 0)
		r = skf_fmt(path, sizeof(path), "/proc/%d/mountinfo", (int)x->state->pid);
	if (r == 0)
		r = skf_read_file_at(AT_FDCWD, path, SKF_MAX_MOUNTINFO, &b);
	for (char *text = b.p; r == 0 && skf_mountinfo_next(&text, &m);) {
		if (!skf_endswith(m.root, "/" SKF_NOTIFY_DIR) || !m.point[1])
			continue;
		SKF_AUTO_FD int fd = skf_path_open(root, m.point + 1, O_PATH, 0);
		if (fd < 0 || fstat(fd, &st) < 0 || st.st_dev != dir.st_dev || st.st_ino != dir.st_ino)
			continue;
		const char *point = skf_arena_strdup(&x->arena, m.point);
		r = point ? skf_criu_list_add(&x->arena, &x->opts.ext_mnt, point, SKF_CRIU_NOTIFY_MOUNT, 0)
			  : -ENOMEM;
	}
	return r < 0 ? skf_fail_sys(e, r, "find the notify socket among the mounts of container '%s'",
				    x->state->id)
		     : 0;
}

static int add_ext_mounts(struct dump *x, struct skf_err *e)
{
	char path[32];
	int r = skf_fmt(path, sizeof(path), "/proc/%d/root", (int)x->state->pid);
	SKF_AUTO_FD int root = r < 0 ? r : skf_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
	struct skf_criu_view v = {.spec = x->spec,
				  .cg = &x->state->cg,
				  .bundle = x->state->bundle,
				  .root = root,
				  .arena = &x->arena};

	if (root < 0)
		return skf_fail_sys(e, root, "open the root directory of container '%s'", x->state->id);
	return skf_criu_ext_mounts(&v, &x->opts.ext_mnt, e) < 0 ? -1 : add_notify(x, root, e);
}

/* Where the standard streams and what was handed over with them lead, for the restore: pipes get those of
 * its caller in their place. */
static int write_descriptors(const struct dump *x, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	struct skf_jw w = SKF_JW(&b);
	int r = 0;

	skf_jw_arr(&w);
	for (unsigned i = 0; i < 3 + x->state->preserve_fds && r == 0; i++) {
		char path[40], to[PATH_MAX] = "";
		ssize_t n;

		r = skf_fmt(path, sizeof(path), "/proc/%d/fd/%u", (int)x->state->pid, i);
		n = r < 0 ? -1 : readlink(path, to, sizeof(to) - 1);
		if (r == 0 && n < 0 && errno != ENOENT) /* closed by the workload */
			r = skf_errno();
		to[n > 0 ? n : 0] = '\0';
		skf_jw_str(&w, to);
	}
	skf_jw_end_arr(&w);
	if (r == 0)
		r = b.err < 0 ? b.err
			      : skf_write_atomic_at(x->dirs[0], "descriptors.json", b.p, b.len, 0600, 0);
	return r < 0 ? skf_fail_sys(e, r, "write '%s/descriptors.json'", x->o->image_path) : 0;
}

static int on_notify(void *arg, const struct skf_criu_resp *r, int *fd, struct skf_err *e)
{
	struct dump *x = arg;

	(void)fd;
	(void)e;
	skf_debug(x->rt->log, "criu: %.*s", (int)r->script.n, r->script.p);
	if (r->script.n == strlen("status-ready") && memcmp(r->script.p, "status-ready", r->script.n) == 0 &&
	    x->status_fd >= 0) {
		int rc = skf_write_full(x->status_fd, "", 1);

		if (rc < 0)
			skf_warn(x->rt->log, "write to the descriptor of --status-fd: %s, ignoring",
				 strerror(-rc));
		skf_closep(&x->status_fd);
	}
	return 0; /* all else (network-lock, post-dump ...) needs nothing of us: the network is the caller's
		   */
}

static int run_criu(struct dump *x, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(2 * SKF_MAX_CRIU_REPLY);
	struct skf_criu_launch l = {
		.program = x->program,
		.stdio = {-1, -1, -1},
		.fds = x->dirs,
		.n_fds = x->dirs[1] >= 0 ? 2 : 1,
		.cgroup_fd = -1,
	};
	struct skf_criu_req q = {.type = x->o->pre_dump ? SKF_CRIU_PRE_DUMP : SKF_CRIU_DUMP,
				 .opts = &x->opts};
	struct skf_criu c = SKF_CRIU_INIT;
	struct skf_criu_resp resp = {0};
	char what[300];
	int r = skf_criu_start(&c, &l, e);

	x->opts.images_dir_fd = SKF_CRIU_FD;
	x->opts.work_dir_fd = x->dirs[1] >= 0 ? SKF_CRIU_FD + 1 : -1;
	if (r == 0)
		r = skf_criu_talk(&c, &q, on_notify, x, &b, &resp, e);
	if (r > 0 || (r < 0 && e->kind == SKF_ESYSTEM)) {
		if (skf_fmt(what, sizeof(what), "%s container '%.200s'",
			    x->o->pre_dump ? "pre-dump" : "checkpoint", x->state->id) < 0)
			what[0] = '\0';
		r = r > 0 ? skf_criu_failed(x->o, x->dirs, log_name, &resp, what, e)
			  : skf_ctx(e, "%s", what);
	}
	/* after a pre-dump it waits for the next request, and ends when there is none */
	skf_criu_end(&c, false, x->rt->log);
	return r;
}

static int save(struct dump *x, const char *id, struct skf_err *e)
{
	if (find_container(x, id, e) < 0 || prepare_criu(x, e) < 0 || set_freezer(x, e) < 0 ||
	    add_namespaces(x, e) < 0)
		return -1;
	if (!x->o->pre_dump && (add_ext_mounts(x, e) < 0 || write_descriptors(x, e) < 0))
		return -1;
	return run_criu(x, e);
}

int skf_rt_checkpoint(const struct skf_rt *rt, const char *id, const struct skf_rt_criu *o,
		      struct skf_err *e)
{
	struct dump x = {.rt = rt,
			 .o = o,
			 .arena = SKF_ARENA(SKF_MAX_ARENA_DOC),
			 .opts = SKF_CRIU_OPTS_INIT,
			 .dirs = {-EBADF, -EBADF},
			 .status_fd = o->status_fd};
	struct skf_err gone = SKF_ERR_INIT;
	int r = save(&x, id, e);

	skf_closep(&x.dirs[0]);
	skf_closep(&x.dirs[1]);
	skf_closep(&x.status_fd);
	skf_arena_done(&x.arena);
	if (r < 0)
		return -1;
	/* force: criu killed the processes, but their parent may not have reaped them yet */
	if (!o->leave_running && !o->pre_dump && !o->keep_container &&
	    skf_rt_delete(rt, id, true, &gone) < 0)
		skf_warn(rt->log, "delete container '%s' after its checkpoint: %s, ignoring", id, gone.msg);
	return 0;
}
