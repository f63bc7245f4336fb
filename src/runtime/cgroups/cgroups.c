/* cgroups.c -- the cgroup of one container: made before its first process, entered by it, removed with it.
 *
 * Invariants:
 * 1. The path is written to the journal before the first directory is made, and only after it was seen that
 * no process is in it: whoever cleans up from the journal kills what it finds there.
 * 2. The directory is a leaf of the container alone, never the root of a hierarchy.
 * 3. Limits are in force before a process enters, and it enters before anything of the container is executed
 * or copied; on v1 that may be while the child still builds the root file system (skf_cgroups_late). Then
 * the memory hierarchy comes last, when all but the execve is done: what the kernel allocates for mounts,
 * names and credentials is not the workload's, and a limit is for the workload.
 * 4. cg_fd >= 0 means that clone3 puts the child into the v2 directory; skf_cgroups_attach then does the v1
 * hierarchies only.
 * 5. With the systemd manager 1 holds too (the path follows from the names), but the directory can only be
 * made around a process: init is put into it while it still waits for its parent, so 3 holds for the
 * workload.
 *
 * One path is used in all hierarchies of v1: a relative cgroupsPath begins at the deepest cgroup that the
 * caller is in or below in every one of them (runc begins at a different one per hierarchy, crun at the
 * root). So state, journal, handover and exec have one path, and a cgroup is found by its name alone.
 * Blocks: on cgroupfs; skf_cgroups_undo at most SKF_KILL_WAIT_MS + SKF_CGROUP_RM_MS; the systemd manager as
 * sys/dbus.h says. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "runtime/cgroups/cgroups_int.h"
#include "runtime/runtime_int.h"
#include <fcntl.h>
#include <sched.h>
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

/* No words of ours about permissions when nothing was asked for: a plain user without a cgroup of his own
 * still gets a container. */
static bool may_skip(const struct skf_start *s)
{
	return !(s->spec->linux_.cgroups_path && *s->spec->linux_.cgroups_path);
}

static bool writable(const struct skf_cg_layout *l, const char *path)
{
	char dir[768];

	return skf_fmt(dir, sizeof(dir), "%s%s", l->h[0].mountpoint, path) == 0 && access(dir, W_OK) == 0;
}

/* A user who was given exactly one cgroup (delegated, and he is in it) cannot make one beside it: then below
 * it. */
static int rootless_base(const struct skf_cg_layout *l, char *base, size_t size)
{
	char own[512];
	int r;

	if (l->mode != SKF_CG_V2 || writable(l, base))
		return 0;
	r = skf_cg_path_of(0, &l->h[0], own, sizeof(own));
	return r == 0 && writable(l, own) ? skf_fmt(base, size, "%s", own) : 0;
}

static int find_place(const struct skf_start *s, struct skf_cg_dirs *d, struct skf_err *e)
{
	const char *want = s->spec->linux_.cgroups_path;
	char base[512] = "/";
	int r;

	if (!want || want[0] != '/') {
		r = skf_cgroups_base(&d->layout, base, sizeof(base));
		if (r == -EXDEV)
			base[0] = '/', base[1] = '\0', r = 0;
		if (r == 0 && s->rt->rootless)
			r = rootless_base(&d->layout, base, sizeof(base));
		if (r < 0)
			return skf_fail_sys(e, r, "find our own cgroup in '/proc/self/cgroup'");
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
					"container's cgroup is not empty: '%s%s' already has %d process%s; "
					"choose another "
					"linux.cgroupsPath or stop them",
					d->layout.h[i].mountpoint, d->path, n, n == 1 ? "" : "es");
		if (skf_cg_is_frozen(&x) == 1)
			return skf_fail(e, SKF_ECONFLICT,
					"container's cgroup unexpectedly frozen: thaw '%s%s' or choose "
					"another linux.cgroupsPath",
					d->layout.h[i].mountpoint, d->path);
	}
	return 0;
}

/* `used` of d: where the directories are. */
static int apply(struct skf_cgset *set, struct skf_err *e)
{
	const struct skf_cg_dirs *d = set->d;
	int fd[SKF_CG_MAX], r = skf_cg_enable(d, set->r, set->v2_controllers, sizeof(set->v2_controllers));

	if (r < 0)
		return skf_fail_sys(e, r, "read the controllers of cgroup '%s'", d->path);
	for (unsigned i = 0; i < SKF_CG_MAX; i++)
		fd[i] = -EBADF;
	set->fd = fd;
	r = skf_cgset_apply(set, e);
	for (unsigned i = 0; i < SKF_CG_MAX; i++)
		skf_closep(&fd[i]);
	set->fd = NULL;
	return r;
}

static const struct skf_spec_resources *resources_of(const struct skf_start *s)
{
	return s->spec->linux_.has_resources ? &s->spec->linux_.resources : &no_resources;
}

static int journal(const struct skf_start *s, const struct skf_cg_dirs *d, struct skf_err *e)
{
	int r = s->state_fd >= 0 ? skf_journal_add(s->state_fd, "cgroup %d %s", (int)d->layout.mode, d->path)
				 : 0;

	if (r == 0 && s->state_fd >= 0 && s->systemd_scope)
		r = skf_journal_add(s->state_fd, "scope %s", s->systemd_scope);
	return r < 0 ? skf_fail_sys(e, r, "write the journal of container '%s'", s->req->id) : 0;
}

static int make_here(struct skf_start *s, struct skf_cg_dirs *d, struct skf_err *e)
{
	struct skf_cgset set = {.d = d,
				.r = resources_of(s),
				.log = s->rt->log,
				.arena = s->arena,
				.rootless = s->rt->rootless};

	if (find_place(s, d, e) < 0 || check_empty(d, e) < 0 || journal(s, d, e) < 0)
		return -1;
	if (skf_cg_make(d, set.r, may_skip(s), &set.fresh, e) < 0)
		return -1;
	if (apply(&set, e) < 0 || skf_cgroups_give(s, d, e) < 0) {
		struct skf_err ignored = SKF_ERR_INIT;

		(void)skf_cgroups_undo(d, &ignored); /* the error that matters is the one of the limit */
		return -1;
	}
	return 0;
}

int skf_cgroups_create(struct skf_start *s, struct skf_err *e)
{
	struct skf_cg_dirs d = {0};
	int r;

	s->cg = d;
	s->cg_fd = -EBADF;
	if (s->rt->cgroup_manager == SKF_RT_CG_DISABLED)
		return 0;
	r = skf_cg_layout(&d.layout);
	if (r == -ENOENT && may_skip(s) && !s->spec->linux_.has_resources &&
	    (s->rt->rootless || skf_cg_in_userns()))
		return 0;
	if (r == -ENOENT)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"no cgroup file system is mounted below /sys/fs/cgroup; mount one, or run "
				"with the cgroup manager 'disabled'");
	if (r < 0)
		return skf_fail_sys(e, r, "find the cgroup hierarchies in '/proc/self/mountinfo'");
	if (s->rt->cgroup_manager == SKF_RT_SYSTEMD) {
		if (skf_systemd_plan(s, &d, e) < 0 || check_empty(&d, e) < 0 || journal(s, &d, e) < 0) {
			s->systemd_scope = NULL; /* not ours to undo */
			return skf_ctx(e, "container '%s'", s->req->id);
		}
		s->cg = d;
		return 0;
	}
	if (make_here(s, &d, e) < 0)
		return skf_ctx(e, "container '%s'", s->req->id);
	s->cg = d;
	r = v2_index(&d);
	if (r >= 0)
		s->cg_fd = skf_cg_open(&d, (unsigned)r);
	return 0;
}

/* The scope around init, then what systemd does not do: hierarchies that it does not know, limits that it
 * has no property for. */
static int attach_systemd(struct skf_start *s, pid_t pid, struct skf_err *e)
{
	struct skf_spec_resources r = *resources_of(s);
	struct skf_cgset set = {
		.d = &s->cg, .r = &r, .log = s->rt->log, .arena = s->arena, .rootless = s->rt->rootless};
	bool fresh;
	int err;

	if (skf_systemd_start(s, pid, &r, e) < 0 || skf_cg_make(&s->cg, &r, false, &fresh, e) < 0)
		return -1;
	/* Before the limits: with a sub-group the scope itself may hold no process, or it could not pass
	 * controllers on. */
	err = skf_cg_attach(&s->cg, pid);
	if (err < 0)
		return skf_fail_sys(e, err, "move process %d into cgroup '%s'", (int)pid, s->cg.path);
	return apply(&set, e) < 0 ? -1 : skf_cgroups_give(s, &s->cg, e);
}

bool skf_cgroups_late(const struct skf_start *s)
{
	const struct skf_spec_hooks *h = &s->spec->hooks;
	const struct skf_spec_mount *m = s->spec->mounts.v;
	int v2 = v2_index(&s->cg);

	if (!(s->cg.used & ~(s->cg_fd >= 0 && v2 >= 0 ? 1u << v2 : 0)) || s->systemd_scope ||
	    (s->ns_new & CLONE_NEWCGROUP) || h->prestart.n || h->create_runtime.n || h->create_container.n)
		return false;
	for (size_t i = 0; i < s->spec->mounts.n; i++)
		for (size_t k = 0; k < m[i].options.n; k++)
			if (!strcmp(m[i].options.v[k],
				    "tmpcopyup")) /* what is copied is the container's memory */
				return false;
	return true;
}

static uint32_t memory_bit(const struct skf_cg_dirs *d)
{
	const struct skf_cg_hier *h = skf_cg_find(&d->layout, "memory");

	return h ? d->used & (1u << (h - d->layout.h)) : 0;
}

static int attach(const struct skf_start *s, uint32_t used, pid_t pid, struct skf_err *e)
{
	struct skf_cg_dirs d = s->cg;
	int v2 = v2_index(&d), r;

	if (s->cg_fd >= 0 && v2 >= 0)
		used &= ~(1u << v2);
	d.used = used;
	r = used ? skf_cg_attach(&d, pid) : 0;
	return r < 0 ? skf_fail_sys(e, r, "move process %d into cgroup '%s'", (int)pid, d.path) : 0;
}

int skf_cgroups_attach(struct skf_start *s, pid_t pid, struct skf_err *e)
{
	return s->systemd_scope ? attach_systemd(s, pid, e) : attach(s, s->cg.used, pid, e);
}

int skf_cgroups_attach_late(const struct skf_start *s, pid_t pid, bool ready, struct skf_err *e)
{
	uint32_t memory = memory_bit(&s->cg);

	return attach(s, ready ? memory : s->cg.used & ~memory, pid, e);
}

int skf_cgroups_update(const struct skf_rt *rt, const struct skf_rt_state *st,
		       const struct skf_spec_resources *r, struct skf_err *e)
{
	struct skf_arena arena = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_spec_resources copy = *r;
	struct skf_cgset set = {.d = &st->cg,
				.r = &copy,
				.log = rt->log,
				.arena = &arena,
				.update = true,
				.rootless = rt->rootless};
	int ret;

	if (!st->cg.used)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"container '%s' has no cgroup (it was made with the cgroup manager "
				"'disabled'): there is nothing to update",
				st->id);
	ret = skf_cgset_check(&set, e);
	if (ret == 0 && st->systemd_scope)
		ret = skf_systemd_update(rt, st, &copy, &arena, e);
	if (ret == 0)
		ret = apply(&set, e);
	skf_arena_done(&arena);
	return ret < 0 ? skf_ctx(e, "update container '%s'", st->id) : 0;
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

struct init_place {
	char *out;
	size_t size;
	bool first;
};

static int place_of_init(unsigned i, int err, const char *path, void *arg)
{
	struct init_place *x = arg;
	bool first = x->first;

	(void)i;
	x->first = false;
	if (err < 0)
		return err;
	if (first)
		return skf_fmt(x->out, x->size, "%s", path);
	return strcmp(path, x->out) != 0 ? 1 : 0;
}

/* Where init is now, when that is one path for all hierarchies; a workload that manages cgroups itself may
 * have moved it below. */
static int path_of_init(const struct skf_rt_state *st, char *out, size_t size)
{
	struct init_place x = {out, size, true};
	int r = skf_cg_each_path(st->pid, &st->cg.layout, st->cg.used, place_of_init, &x);

	return r == 1 ? skf_fmt(out, size, "%s", st->cg.path) : r;
}

/* The container's own cgroup, unless its workload passes controllers on from there: then no process may be
 * in it, and init's is taken. */
static int path_for_exec(const struct skf_rt_state *st, char *out, size_t size)
{
	int v2 = v2_index(&st->cg), r;
	char control[256];

	r = path_of_init(st, out, size);
	if (r < 0 || st->cg.layout.mode != SKF_CG_V2 || v2 < 0 || !strcmp(out, st->cg.path) ||
	    skf_annotation(&st->annotations, SKF_AN_DELEGATE_CGROUP))
		return r;
	if (skf_cg_read(&st->cg, (unsigned)v2, "cgroup.subtree_control", control, sizeof(control)) < 0 ||
	    control[0])
		return 0;
	return skf_fmt(out, size, "%s", st->cg.path);
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
		r = path_for_exec(st, d.path, sizeof(d.path));
		if (r < 0)
			return skf_fail_sys(e, r, "find the cgroup of process %d of container '%s'",
					    (int)st->pid, st->id);
	}
	/* In hybrid mode the v1 hierarchies need an attach by pid anyway, which then does the v2 directory
	 * too; a plain user's scope may need systemd's help for it. */
	if (v2 >= 0 && d.layout.mode == SKF_CG_V2 && !(st->systemd_scope && geteuid() != 0)) {
		r = skf_cg_open(&d, (unsigned)v2);
		if (r < 0)
			return skf_fail_sys(e, r, "open cgroup '%s' of container '%s'", d.path, st->id);
		*ret_cg_fd = r;
	}
	*ret = d;
	return 0;
}

int skf_cgroups_attach_exec(const struct skf_rt *rt, const struct skf_rt_state *st,
			    const struct skf_cg_dirs *d, pid_t pid, struct skf_err *e)
{
	int r = skf_cg_attach(d, pid);

	if ((r == -EACCES || r == -EPERM) && st->systemd_scope && rt->rootless)
		return skf_systemd_attach(rt, st, d, pid, e);
	return r < 0 ? skf_fail_sys(e, r, "move the new process into cgroup '%s' of container '%s'", d->path,
				    st->id)
		     : 0;
}
