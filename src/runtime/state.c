/* runtime/state.c -- finds a container again: its lock, its state.json, its status.
 *
 * Invariants:
 *  1. The lock is flock on the container's own directory. Nothing is left over, it dies with its process,
 * and a deleter that waited for it sees by the link count that the directory is gone. (A lock file in the
 * directory could be made again while the directory is being removed.)
 *  2. The status is what the kernel says now: process (pid, start time, boot), freezer, presence of
 * exec.fifo. Blocks for the lock at most as long as asked, else on the state directory only. */
#include "runtime/runtime_int.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/proc.h"
#include "oci/spec.h"
#include "oci/userdb.h"
#include "runtime/seccomp_int.h"

#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

const char *skf_rt_status_name(enum skf_rt_status s)
{
	static const char *const names[] = {"creating", "created", "running", "paused", "stopped"};

	return (unsigned)s < SKF_ARRAY_LEN(names) ? names[s] : "unknown";
}

int skf_state_check_id(const char *id, struct skf_err *e)
{
	size_t n = id ? strlen(id) : 0;

	if (n == 0)
		return skf_fail(e, SKF_EINVALID, "container id cannot be empty");
	if (n > NAME_MAX)
		return skf_fail(e, SKF_EINVALID, "container id has %zu bytes, %d are allowed", n, NAME_MAX);
	for (size_t i = 0; i < n; i++) {
		char c = id[i];

		if (!((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		      strchr("_+-.", c)))
			return skf_fail(
				e, SKF_EINVALID,
				"invalid container id format: '%.64s': invalid character `%c` in the ID: "
				"letters, digits and _ + - . are allowed",
				id, c);
	}
	if (skf_streq(id, ".") || skf_streq(id, "..") || skf_streq(id, SKF_SECCOMP_CACHE_DIR))
		return skf_fail(e, SKF_EINVALID,
				"invalid container id format: '%s' is a directory of the state root itself",
				id);
	return 0;
}

int skf_rt_open(struct skf_rt *rt, struct skf_err *e)
{
	struct stat st;
	int fd;

	if (!rt->root || rt->root[0] != '/')
		return skf_fail(e, SKF_EINVALID, "state root '%s' must be an absolute path",
				rt->root ? rt->root : "");
	fd = skf_openat(AT_FDCWD, rt->root, O_RDONLY | O_DIRECTORY, 0);
	if (fd == -ENOENT)
		fd = skf_mkdirs_at(AT_FDCWD, rt->root, 0700);
	if (fd < 0)
		return skf_fail_sys(e, fd, "open state root '%s'", rt->root);
	if (fstat(fd, &st) == 0 && (st.st_mode & 0002) && !(st.st_mode & S_ISVTX)) {
		close(fd);
		return skf_fail(e, SKF_EDENIED,
				"state root '%s' can be written by everybody; use another --root", rt->root);
	}
	rt->rootfd = fd;
	return 0;
}

int skf_state_lock(const struct skf_rt *rt, const char *id, int timeout_ms)
{
	int64_t end = skf_mono_ms() + timeout_ms;
	SKF_AUTO_FD int fd = skf_openat(rt->rootfd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	struct stat st;

	if (fd < 0)
		return fd == -ENOTDIR || fd == -ELOOP ? -ENOENT : fd;
	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		struct timespec ts = {.tv_nsec = 2000000};

		if (errno != EWOULDBLOCK && errno != EINTR)
			return skf_errno();
		if (skf_mono_ms() >= end)
			return -ETIMEDOUT;
		nanosleep(&ts, NULL);
	}
	if (fstat(fd, &st) < 0)
		return skf_errno();
	if (st.st_nlink == 0)
		return -ENOENT; /* removed while we waited */
	return SKF_TAKE_FD(fd);
}

/* --- state.json --- */
struct state_hier {
	char *controllers, *mountpoint;
	bool v2;
};
struct state_cgroup {
	char *path;
	uint32_t mode;
	struct skf_jarr hiers; /* struct state_hier */
};
struct state_file {
	uint32_t v, min, uid, preserve_fds;
	char *oci_version, *id, *boot_id, *bundle, *config, *rootfs, *created, *process, *linux_;
	int32_t pid;
	uint64_t pid_start, namespaces;
	struct skf_kvs annotations;
	struct state_cgroup *cgroup;
	char *systemd_scope, *rdt;
	struct skf_state_hooks hooks;
};

static const struct skf_jfield hook_f[] = {
	SKF_J(struct skf_spec_hook, path, "path", skf_j_abspath, NULL, SKF_J_REQUIRED),
	SKF_J(struct skf_spec_hook, args, "args", skf_j_strv, NULL, 0),
	SKF_J(struct skf_spec_hook, env, "env", skf_j_strv, NULL, 0),
	SKF_JP(struct skf_spec_hook, timeout, has_timeout, "timeout", skf_j_i32, NULL, 0),
	SKF_J_END,
};
static const struct skf_jtable hook_t = {sizeof(struct skf_spec_hook), hook_f, false, NULL};
static const struct skf_jarr_arg hooks_arg = {&hook_t, 1024};
static const struct skf_jfield hooks_f[] = {
	SKF_J(struct skf_state_hooks, start_container, "startContainer", skf_j_arr, &hooks_arg, 0),
	SKF_J(struct skf_state_hooks, poststart, "poststart", skf_j_arr, &hooks_arg, 0),
	SKF_J(struct skf_state_hooks, poststop, "poststop", skf_j_arr, &hooks_arg, 0),
	SKF_J_END,
};
static const struct skf_jtable hooks_t = {sizeof(struct skf_state_hooks), hooks_f, false, NULL};

static const struct skf_jfield hier_f[] = {
	SKF_J(struct state_hier, controllers, "controllers", skf_j_str, NULL, SKF_J_REQUIRED),
	SKF_J(struct state_hier, mountpoint, "mountpoint", skf_j_abspath, NULL, SKF_J_REQUIRED),
	SKF_J(struct state_hier, v2, "v2", skf_j_bool, NULL, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable hier_t = {sizeof(struct state_hier), hier_f, false, NULL};
static const struct skf_jarr_arg hiers_arg = {&hier_t, SKF_CG_MAX};
static const struct skf_jfield cgroup_f[] = {
	SKF_J(struct state_cgroup, path, "path", skf_j_abspath, NULL, SKF_J_REQUIRED),
	SKF_J(struct state_cgroup, mode, "mode", skf_j_u32, NULL, SKF_J_REQUIRED),
	SKF_J(struct state_cgroup, hiers, "hierarchies", skf_j_arr, &hiers_arg, SKF_J_REQUIRED),
	SKF_J_END,
};
static const struct skf_jtable cgroup_t = {sizeof(struct state_cgroup), cgroup_f, false, NULL};

static const struct skf_jfield state_f[] = {
	SKF_J(struct state_file, v, "v", skf_j_u32, NULL, SKF_J_REQUIRED),
	SKF_J(struct state_file, min, "min", skf_j_u32, NULL, SKF_J_REQUIRED),
	SKF_J(struct state_file, uid, "uid", skf_j_u32, NULL, 0),
	SKF_J(struct state_file, oci_version, "ociVersion", skf_j_str, NULL, SKF_J_REQUIRED),
	SKF_J(struct state_file, id, "id", skf_j_str, NULL, SKF_J_REQUIRED),
	SKF_J(struct state_file, boot_id, "bootId", skf_j_str, NULL, SKF_J_REQUIRED),
	SKF_J(struct state_file, bundle, "bundle", skf_j_str, NULL, SKF_J_REQUIRED),
	SKF_J(struct state_file, config, "config", skf_j_str, NULL, 0),
	SKF_J(struct state_file, rootfs, "rootfs", skf_j_str, NULL, 0),
	SKF_J(struct state_file, created, "created", skf_j_str, NULL, 0),
	SKF_J(struct state_file, preserve_fds, "preserveFds", skf_j_u32, NULL, 0),
	SKF_J(struct state_file, pid, "pid", skf_j_i32, NULL, SKF_J_REQUIRED),
	SKF_J(struct state_file, pid_start, "pidStart", skf_j_u64, NULL, SKF_J_REQUIRED),
	SKF_J(struct state_file, namespaces, "namespaces", skf_j_u64, NULL, 0),
	SKF_J(struct state_file, annotations, "annotations", skf_j_kvs, NULL, 0),
	SKF_J(struct state_file, cgroup, "cgroup", skf_j_objp, &cgroup_t, 0),
	SKF_J(struct state_file, rdt, "rdt", skf_j_str, NULL, 0),
	SKF_J(struct state_file, systemd_scope, "systemdScope", skf_j_str, NULL, 0),
	SKF_J(struct state_file, process, "process", skf_j_raw, NULL, 0),
	SKF_J(struct state_file, linux_, "linux", skf_j_raw, NULL, 0),
	SKF_J(struct state_file, hooks, "hooks", skf_j_obj, &hooks_t, 0),
	SKF_J_END,
};
static const struct skf_jtable state_t = {sizeof(struct state_file), state_f, false, NULL};

static int load_cgroup(const struct state_cgroup *c, struct skf_cg_dirs *d, struct skf_err *e)
{
	const struct state_hier *h = c->hiers.v;

	if (skf_fmt(d->path, sizeof(d->path), "%s", c->path) < 0)
		return skf_fail(e, SKF_ECORRUPT, "state.json: /cgroup/path is too long");
	d->layout.mode = (enum skf_cg_mode)c->mode;
	d->layout.n = (unsigned)c->hiers.n;
	d->used = (1u << d->layout.n) - 1;
	for (unsigned i = 0; i < d->layout.n; i++) {
		d->layout.h[i].v2 = h[i].v2;
		if (skf_fmt(d->layout.h[i].controllers, sizeof(d->layout.h[i].controllers), "%s",
			    h[i].controllers) < 0 ||
		    skf_fmt(d->layout.h[i].mountpoint, sizeof(d->layout.h[i].mountpoint), "%s",
			    h[i].mountpoint) < 0)
			return skf_fail(e, SKF_ECORRUPT, "state.json: /cgroup/hierarchies/%u is too long",
					i);
	}
	return 0;
}

/* 1 or 0; -errno when the kernel does not say: a container that runs must not be called stopped then. */
static int init_alive(const struct state_file *f)
{
	char boot[37];
	int r;

	if (f->pid <= 0)
		return 0;
	r = skf_boot_id(boot);
	if (r < 0)
		return r;
	return skf_streq(boot, f->boot_id) ? skf_proc_alive(f->pid, f->pid_start) : 0;
}

/* Init holds exec.fifo open until its execve: a fifo that nobody reads is what a start left that was killed
 * after it had let init go. */
static bool is_awaited(int dir)
{
	SKF_AUTO_FD int fd = skf_openat(dir, "exec.fifo", O_WRONLY | O_NONBLOCK | O_NOFOLLOW, 0);

	return fd != -ENXIO;
}

static enum skf_rt_status find_status(int dir, bool locked, bool alive, const struct skf_rt_state *s)
{
	if (!alive)
		return SKF_RT_STOPPED;
	if (s->cg.used && skf_cg_is_frozen(&s->cg) == 1)
		return SKF_RT_PAUSED;
	if (s->has_fifo && is_awaited(dir))
		return SKF_RT_CREATED;
	/* asked only by those who do not hold the lock: asking would turn theirs into a shared one */
	if (!locked && flock(dir, LOCK_SH | LOCK_NB) < 0 && errno == EWOULDBLOCK)
		return SKF_RT_CREATING;
	return SKF_RT_RUNNING;
}

static char *owner_name(uint32_t uid, struct skf_arena *a)
{
	struct skf_err e = SKF_ERR_INIT;
	struct skf_userdb_result u;
	char number[16];

	if (uid == 0)
		return skf_arena_strdup(a, "root");
	if (skf_fmt(number, sizeof(number), "%u", uid) < 0)
		return NULL;
	SKF_AUTO_FD int passwd = skf_openat(AT_FDCWD, "/etc/passwd", O_RDONLY, 0);
	if (skf_userdb_resolve(number, passwd, -1, NULL, a, &u, &e) < 0 || !*u.name)
		return skf_arena_strdup(a, number); /* a uid without a name is shown as a number */
	return u.name;
}

static int fill_state(int dir, bool locked, const struct state_file *f, struct skf_arena *a,
		      struct skf_rt_state *s, struct skf_err *e)
{
	struct stat st;
	int alive;

	s->oci_version = f->oci_version;
	s->id = f->id;
	s->bundle = f->bundle;
	s->rootfs = f->rootfs ? f->rootfs : skf_arena_strdup(a, "");
	s->created = f->created ? f->created : skf_arena_strdup(a, "");
	s->owner = owner_name(f->uid, a);
	s->config_path = f->config ? f->config : skf_arena_fmt(a, "%s/config.json", f->bundle);
	if (!s->rootfs || !s->created || !s->owner || !s->config_path)
		return skf_nomem(e);
	s->annotations = f->annotations;
	s->systemd_scope = f->systemd_scope;
	s->rdt = f->rdt;
	s->ns_flags = (int)f->namespaces;
	s->preserve_fds = f->preserve_fds;
	s->pid_start = f->pid_start;
	if (skf_fmt(s->boot_id, sizeof(s->boot_id), "%s", f->boot_id) < 0)
		return skf_fail(e, SKF_ECORRUPT, "state.json: /bootId is too long");
	if (f->cgroup && load_cgroup(f->cgroup, &s->cg, e) < 0)
		return -1;
	s->has_fifo = fstatat(dir, "exec.fifo", &st, AT_SYMLINK_NOFOLLOW) == 0;
	alive = init_alive(f);
	if (alive < 0)
		return skf_fail_sys(e, alive, "look for the init of container '%s' (pid %d)", f->id, f->pid);
	s->status = find_status(dir, locked, alive == 1, s);
	s->pid = s->status == SKF_RT_STOPPED ? 0 : f->pid;
	return 0;
}

int skf_state_load_full(const struct skf_rt *rt, int state_fd, unsigned how, const char *id,
			struct skf_arena *a, struct skf_rt_state **ret, struct skf_state_hooks *hooks,
			struct skf_err *e)
{
	struct skf_jdoc doc = {.name = "state.json", .max_bytes = SKF_MAX_STATE_BYTES};
	struct skf_spec_opts opts = {.log = rt->log, .name = "state.json: /process"};
	struct skf_rt_state *s;
	void *decoded;
	struct state_file *f;

	if (skf_json_decode_at(&doc, state_fd, "state.json", &state_t, a, &decoded, e) < 0)
		return skf_ctx(e, "container '%s'", id);
	f = decoded;
	if (f->min > 1)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"container '%s' was made by a newer version (format %u); use that one", id,
				f->v);
	s = skf_arena_alloc(a, sizeof(*s));
	if (!s)
		return skf_nomem(e);
	if (fill_state(state_fd, how & SKF_STATE_LOCKED, f, a, s, e) < 0)
		return -1;
	if (f->process && !(how & SKF_STATE_BRIEF) &&
	    skf_spec_parse_process(f->process, strlen(f->process), &opts, a, &s->process, e) < 0)
		return skf_ctx(e, "container '%s'", id);
	opts.name = "state.json: /linux";
	if (f->linux_ && !(how & SKF_STATE_BRIEF) &&
	    skf_spec_parse_linux(f->linux_, strlen(f->linux_), &opts, a, &s->linux_, e) < 0)
		return skf_ctx(e, "container '%s'", id);
	if (s->process) {
		s->apparmor_profile = s->process->apparmor_profile;
		s->selinux_label = s->process->selinux_label;
	}
	if (hooks)
		*hooks = f->hooks;
	*ret = s;
	return 0;
}

int skf_state_take(const struct skf_rt *rt, const char *id, struct skf_arena *a, struct skf_rt_state **ret,
		   struct skf_state_hooks *hooks, struct skf_err *e)
{
	if (skf_state_check_id(id, e) < 0)
		return -1;
	SKF_AUTO_FD int dir = skf_state_lock(rt, id, SKF_LOCK_MS);
	if (dir == -ENOENT)
		return skf_fail(e, SKF_ENOTFOUND, "container '%s' does not exist", id);
	if (dir < 0)
		return skf_fail_sys(e, dir, "lock container '%s'", id);
	if (skf_state_load_full(rt, dir, SKF_STATE_LOCKED, id, a, ret, hooks, e) < 0)
		return -1;
	return SKF_TAKE_FD(dir);
}

int skf_rt_state_load(const struct skf_rt *rt, const char *id, struct skf_arena *a,
		      struct skf_rt_state **ret, struct skf_err *e)
{
	if (skf_state_check_id(id, e) < 0)
		return -1;
	SKF_AUTO_FD int dir = skf_openat(rt->rootfd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (dir == -ENOENT ||
	    (dir >= 0 && faccessat(dir, "state.json", F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT))
		return skf_fail(e, SKF_ENOTFOUND, "container '%s' does not exist", id);
	if (dir < 0)
		return skf_fail_sys(e, dir, "open the state of container '%s'", id);
	return skf_state_load_full(rt, dir, 0, id, a, ret, NULL, e);
}

int skf_state_remove(const struct skf_rt *rt, int state_fd, const char *id)
{
	/* what nearly every container has; the journal last, which is enough to go on from */
	static const char *const usual[] = {"status", "state.json", "journal"};

	for (size_t i = 0; i < SKF_ARRAY_LEN(usual); i++)
		(void)unlinkat(state_fd, usual[i], 0); /* what stays is met again below */
	if (unlinkat(rt->rootfd, id, AT_REMOVEDIR) == 0)
		return 0;
	return errno == ENOTEMPTY || errno == EEXIST ? skf_rmtree_at(rt->rootfd, id) : skf_errno();
}

void skf_rt_state_write(const struct skf_rt_state *s, struct skf_jw *w)
{
	skf_jw_obj(w);
	skf_jw_kstr(w, "ociVersion", s->oci_version);
	skf_jw_kstr(w, "id", s->id);
	skf_jw_kint(w, "pid", s->pid);
	skf_jw_kstr(w, "status", skf_rt_status_name(s->status));
	skf_jw_kstr(w, "bundle", s->bundle);
	skf_jw_kstr(w, "rootfs", s->rootfs);
	skf_jw_kstr(w, "created", s->created);
	if (s->annotations.n > 0)
		skf_jw_kkvs(w, "annotations", &s->annotations);
	skf_jw_kstr(w, "owner", s->owner);
	if (s->systemd_scope)
		skf_jw_kstr(w, "systemd-scope", s->systemd_scope);
	skf_jw_end(w);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int skf_rt_list(const struct skf_rt *rt, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e)
{
	struct skf_err ignored = SKF_ERR_INIT;
	int fd = skf_openat(rt->rootfd, ".", O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct skf_strv ids = {0};
	struct dirent *de;

	if (!d) {
		int r = fd < 0 ? fd : skf_errno();

		skf_closep(&fd);
		return skf_fail_sys(e, r, "read state root '%s'", rt->root);
	}
	while ((errno = 0, de = readdir(d))) {
		char path[NAME_MAX + 16];

		if (skf_state_check_id(de->d_name, &ignored) < 0)
			continue;
		if (skf_fmt(path, sizeof(path), "%s/state.json", de->d_name) < 0)
			continue; /* longer than any id */
		if (faccessat(fd, path, F_OK, AT_SYMLINK_NOFOLLOW) < 0) {
			if (errno == ENOENT || errno == ENOTDIR)
				continue; /* the seccomp cache, or a container that is just being made or
					     removed */
			return skf_fail_errno(e, "look for '%s/%s'", rt->root, path);
		}
		if (skf_strv_add(a, &ids, de->d_name) < 0)
			return skf_nomem(e);
	}
	if (errno != 0)
		return skf_fail_errno(e, "read state root '%s'", rt->root);
	if (ids.n > 1)
		qsort(ids.v, ids.n, sizeof(*ids.v), by_name);
	*ret = ids;
	return 0;
}
