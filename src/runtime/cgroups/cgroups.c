/* cgroups.c -- the cgroup of one container: made before its first process, entered by it, removed with it.
 *
 * Invariants:
 * 1. The path is written to the journal before the first directory is made, and only after it was seen that
 * no process is in it: whoever cleans up from the journal kills what it finds there.
 * 2. The directory is a leaf of the container alone, never the root of a hierarchy.
 * 3. Limits are in force before a process enters.
 * 4. cg_fd >= 0 means that clone3 puts the child into the v2 directory; skf_cgroups_attach then does the v1
 * hierarchies only. Blocks: on cgroupfs; skf_cgroups_undo at most SKF_KILL_WAIT_MS + SKF_CGROUP_RM_MS. */
#include "base/buf.h"
#include "base/limits.h"
#include "runtime/cgroups/cgroups_int.h"
#include "runtime/runtime_int.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

static const struct skf_spec_resources no_resources;

static int v2_index(const struct skf_cg_dirs *d)
{
	for (unsigned i = 0; i < d->layout.n; i++)
		if (d->layout.h[i].v2 && (d->used & (1u << i)))
			return (int)i;
	return -1;
}

static uint32_t all_bits(const struct skf_cg_layout *l)
{
	return l->n >= 32 ? ~0u : (1u << l->n) - 1;
}

static int find_place(const struct skf_start *s, struct skf_cg_dirs *d, struct skf_err *e)
{
	const char *want = s->spec->linux_.cgroups_path;
	char base[512] = "/";
	int r = skf_cg_layout(&d->layout);

	if (r == -ENOENT)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"no cgroup file system is mounted below /sys/fs/cgroup; mount one, or run "
				"with the cgroup "
				"manager 'disabled'");
	if (r < 0)
		return skf_fail_sys(e, r, "find the cgroup hierarchies in '/proc/self/mountinfo'");
	if (!want || want[0] != '/') {
		r = skf_cgroups_base(&d->layout, base, sizeof(base));
		if (r < 0 && r != -EXDEV)
			return skf_fail_sys(e, r, "find our own cgroup in '/proc/self/cgroup'");
		if (r == -EXDEV)
			base[0] = '/', base[1] = '\0';
	}
	return skf_cgroups_path(want, base, s->req->id, d->path, sizeof(d->path), e);
}

/* A directory that exists may be a left-over, which is used again; one with processes belongs to somebody
 * else. */
static int check_empty(const struct skf_cg_dirs *d, struct skf_err *e)
{
	struct skf_cg_dirs x = *d;

	for (unsigned i = 0; i < d->layout.n; i++) {
		int fd = skf_cg_open(d, i), n;

		if (fd < 0)
			continue;
		close(fd);
		x.used = 1u << i;
		n = skf_cg_pids(&x, NULL, 0);
		if (n > 0)
			return skf_fail(e, SKF_ECONFLICT,
					"cgroup '%s%s' already has %d process%s; choose another "
					"linux.cgroupsPath or stop them",
					d->layout.h[i].mountpoint, d->path, n, n == 1 ? "" : "es");
		if (skf_cg_is_frozen(&x) == 1)
			return skf_fail(
				e, SKF_ECONFLICT,
				"cgroup '%s%s' is frozen; thaw it or choose another linux.cgroupsPath",
				d->layout.h[i].mountpoint, d->path);
	}
	return 0;
}

static int apply(const struct skf_start *s, const struct skf_cg_dirs *d, bool fresh, struct skf_err *e)
{
	struct skf_cgset set = {.d = d,
				.r = &no_resources,
				.log = s->rt->log,
				.arena = s->arena,
				.fresh = fresh,
				.rootless = s->rt->rootless};
	int r;

	if (s->spec->linux_.has_resources)
		set.r = &s->spec->linux_.resources;
	r = skf_cg_enable(d, set.r, set.v2_controllers, sizeof(set.v2_controllers));
	if (r < 0)
		return skf_fail_sys(e, r, "read the controllers of cgroup '%s'", d->path);
	for (unsigned i = 0; i < d->layout.n; i++)
		set.fd[i] = (d->used & (1u << i)) ? skf_cg_open(d, i) : -EBADF;
	r = skf_cgset_apply(&set, e);
	for (unsigned i = 0; i < d->layout.n; i++)
		skf_closep(&set.fd[i]);
	return r;
}

int skf_cgroups_create(struct skf_start *s, struct skf_err *e)
{
	struct skf_cg_dirs d = {0};
	bool fresh, may_skip;
	int r;

	s->cg = d;
	s->cg_fd = -EBADF;
	if (s->rt->cgroup_manager == SKF_RT_CG_DISABLED)
		return 0;
	if (s->rt->cgroup_manager != SKF_RT_CGROUPFS)
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"the cgroup manager 'systemd' is not available in this version; use 'cgroupfs'");
	if (find_place(s, &d, e) < 0 || check_empty(&d, e) < 0)
		return -1;
	if (s->state_fd >= 0) {
		r = skf_journal_add(s->state_fd, "cgroup %d %s", (int)d.layout.mode, d.path);
		if (r < 0)
			return skf_fail_sys(e, r, "write the journal of container '%s'", s->req->id);
	}
	may_skip = s->rt->rootless && !(s->spec->linux_.cgroups_path && *s->spec->linux_.cgroups_path);
	if (skf_cg_make(&d, s->spec->linux_.has_resources ? &s->spec->linux_.resources : &no_resources,
			may_skip, &fresh, e) < 0)
		return skf_ctx(e, "container '%s'", s->req->id);
	if (apply(s, &d, fresh, e) < 0) {
		struct skf_err ignored = SKF_ERR_INIT;

		(void)skf_cgroups_undo(&d, &ignored); /* the error that matters is the one of the limit */
		return -1;
	}
	s->cg = d;
	r = v2_index(&d);
	if (r >= 0)
		s->cg_fd = skf_cg_open(&d, (unsigned)r);
	return 0;
}

int skf_cgroups_attach(const struct skf_start *s, pid_t pid, struct skf_err *e)
{
	struct skf_cg_dirs d = s->cg;
	int v2 = v2_index(&d), r;

	if (s->cg_fd >= 0 && v2 >= 0)
		d.used &= ~(1u << v2);
	if (!d.used)
		return 0;
	r = skf_cg_attach(&d, pid);
	return r < 0 ? skf_fail_sys(e, r, "move process %d into cgroup '%s'", (int)pid, d.path) : 0;
}

/* "1234 (redis-server), 1250 (sh)" of those that would not die. */
static void name_stuck(const struct skf_cg_dirs *d, struct skf_buf *b)
{
	pid_t v[8];
	int n = skf_cg_pids(d, v, SKF_ARRAY_LEN(v));

	for (int i = 0; i < n && i < (int)SKF_ARRAY_LEN(v); i++) {
		char path[32], comm[32] = "?";
		SKF_AUTO_FD int fd = skf_fmt(path, sizeof(path), "/proc/%d/comm", (int)v[i]) == 0
					     ? skf_openat(AT_FDCWD, path, O_RDONLY, 0)
					     : -1;
		ssize_t len = fd >= 0 ? read(fd, comm, sizeof(comm) - 1) : -1;

		if (len > 0)
			comm[comm[len - 1] == '\n' ? len - 1 : len] = '\0';
		skf_buf_fmt(b, "%s%d (%s)", i ? ", " : "", (int)v[i], comm);
	}
}

int skf_cgroups_undo(const struct skf_cg_dirs *d, struct skf_err *e)
{
	struct skf_buf names = SKF_BUF(512);
	int r;

	if (!d->used)
		return 0;
	r = skf_cg_kill_all(d, SKF_KILL_WAIT_MS);
	if (r == -ETIMEDOUT) {
		name_stuck(d, &names);
		r = skf_fail(e, SKF_ETIMEOUT, "processes of cgroup '%s' do not die: %s", d->path,
			     skf_buf_cstr(&names));
		skf_buf_done(&names);
		return r;
	}
	if (r < 0)
		return skf_fail_sys(e, r, "kill the processes of cgroup '%s'", d->path);
	r = skf_cg_remove(d, SKF_CGROUP_RM_MS);
	return r < 0 ? skf_fail_sys(e, r, "remove cgroup '%s'", d->path) : 0;
}

/* Where init is now, when that is one path for all hierarchies; a workload that manages cgroups itself may
 * have moved it below. */
static int path_of_init(const struct skf_rt_state *st, char *out, size_t size)
{
	char now[512];
	bool first = true;

	for (unsigned i = 0; i < st->cg.layout.n; i++) {
		int r;

		if (!(st->cg.used & (1u << i)))
			continue;
		r = skf_cg_path_of(st->pid, &st->cg.layout.h[i], now, sizeof(now));
		if (r == 0 && first)
			r = skf_fmt(out, size, "%s", now);
		if (r < 0)
			return r;
		if (!first && strcmp(now, out) != 0)
			return skf_fmt(out, size, "%s", st->cg.path);
		first = false;
	}
	return 0;
}

int skf_cgroups_for_exec(const struct skf_rt_state *st, const char *sub, struct skf_cg_dirs *ret,
			 int *ret_cg_fd, struct skf_err *e)
{
	struct skf_cg_dirs d = st->cg;
	int r, v2 = v2_index(&d);

	*ret_cg_fd = -EBADF;
	if (!d.used) {
		*ret = d;
		return 0;
	}
	d.used &= all_bits(&d.layout);
	if (sub && *sub) {
		if (skf_cgroups_path(sub[0] == '/' ? sub + 1 : sub, st->cg.path, "", d.path, sizeof(d.path),
				     e) < 0)
			return skf_ctx(e, "exec into cgroup '%s' of container '%s'", sub, st->id);
	} else {
		r = path_of_init(st, d.path, sizeof(d.path));
		if (r < 0)
			return skf_fail_sys(e, r, "find the cgroup of process %d of container '%s'",
					    (int)st->pid, st->id);
	}
	/* In hybrid mode the v1 hierarchies need an attach by pid anyway, which then does the v2 directory
	 * too. */
	if (v2 >= 0 && d.layout.mode == SKF_CG_V2) {
		r = skf_cg_open(&d, (unsigned)v2);
		if (r < 0)
			return skf_fail_sys(e, r, "open cgroup '%s' of container '%s'", d.path, st->id);
		*ret_cg_fd = r;
	}
	*ret = d;
	return 0;
}
