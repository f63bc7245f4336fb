/* runtime/delete.c -- removes what is left of a container: processes, cgroup, state directory; then the
 * poststop hooks.
 *
 * Invariants:
 *  1. The journal is enough: state.json may be missing (create was killed) or unreadable.
 *  2. Two deleters meet at the lock; the second one finds the directory gone, which is success with force
 * and NOTFOUND without.
 *  3. The state directory goes last, so that a delete that failed half-way can be repeated.
 *  4. A pid is killed only when its start time and boot are those of the journal; a cgroup path only as the
 * journal has it. Blocks: SKF_LOCK_MS, SKF_KILL_WAIT_MS, SKF_CGROUP_RM_MS and the time-outs of the poststop
 * hooks. */
#include "runtime/runtime_int.h"

#include "base/json.h"
#include "base/limits.h"
#include "base/proc.h"
#include "oci/spec.h"
#include "sys/process.h"

#include <poll.h>
#include <string.h>
#include <unistd.h>

#define SELF_DEATH_MS 500 /* after SIGKILL, before the cgroup is looked at */

struct removal {
	const struct skf_rt *rt;
	const char *id;
	int dir;
	bool force;
	struct skf_arena arena;
	struct skf_journal journal;
	struct skf_rt_state *state; /* NULL: the journal only */
	struct skf_state_hooks hooks;
	struct skf_cg_dirs cg;
};

static int load(struct removal *x, struct skf_err *e)
{
	struct skf_err se = SKF_ERR_INIT;
	int r = skf_journal_load(x->dir, &x->journal);

	if (r < 0 && r != -ENOENT)
		return skf_fail_sys(e, r, "read the journal of container '%s'", x->id);
	if (skf_state_load_full(x->rt, x->dir, SKF_STATE_LOCKED | SKF_STATE_BRIEF, x->id, &x->arena,
				&x->state, &x->hooks, &se) < 0) {
		x->state = NULL;
		if (!x->force && se.kind != SKF_ENOTFOUND) {
			*e = se;
			return skf_ctx(e, "use --force to delete it by its journal");
		}
		if (!x->force) /* create never came to an end */
			return skf_fail(
				e, SKF_ECONFLICT,
				"container '%s' was never completely created: use --force to delete it",
				x->id);
		skf_debug(x->rt->log, "%s: deleting by the journal", se.msg);
	}
	if (x->state) {
		x->cg = x->state->cg;
	} else if (x->journal.has_cgroup && skf_cg_layout(&x->cg.layout) == 0) {
		memcpy(x->cg.path, x->journal.cgroup, sizeof(x->cg.path));
		x->cg.used = (1u << x->cg.layout.n) - 1;
	}
	return 0;
}

static int check_status(const struct removal *x, struct skf_err *e)
{
	enum skf_rt_status st = x->state ? x->state->status : SKF_RT_STOPPED;

	if (x->force || st == SKF_RT_STOPPED || st == SKF_RT_CREATED)
		return 0;
	return skf_fail(e, SKF_ECONFLICT, "cannot delete container '%s' that is not stopped: %s", x->id,
			skf_rt_status_name(st));
}

/* init by its pidfd: fast, and right without a cgroup too. */
static int kill_init(const struct removal *x, struct skf_err *e)
{
	const struct skf_journal *j = &x->journal;
	char boot[37];
	struct pollfd p = {.events = POLLIN};
	int r;

	if (j->pid <= 0 || (x->state && x->state->status == SKF_RT_STOPPED)) /* which says that it is dead */
		return 0;
	r = skf_boot_id(boot);
	if (r == 0 && !skf_streq(boot, j->boot_id))
		return 0;
	/* without a cgroup nothing else would find it: what cannot be looked at is not taken for dead */
	SKF_AUTO_FD int pidfd = r < 0 ? r : skf_pidfd_open(j->pid);
	if (pidfd == -ESRCH || pidfd == -EINVAL) /* EINVAL: the number is a thread's now */
		return 0;
	r = pidfd < 0 ? pidfd : skf_proc_alive(j->pid, j->pid_start);
	if (r == 0)
		return 0;
	if (r > 0)
		r = skf_pidfd_kill(pidfd, SIGKILL);
	if (r < 0 && r != -ESRCH)
		return skf_fail_sys(e, r, "kill the init of container '%s'", x->id);
	if (x->cg.used && x->state && x->state->status == SKF_RT_PAUSED)
		(void)skf_cg_freeze(&x->cg, false,
				    1000); /* on v1 the frozen die only when thawed; the wait below tells */
	p.fd = pidfd;
	/* An init that its own workload put into a frozen cgroup dies when that is thawed, which only the
	 * kill of the whole cgroup does. */
	if (x->cg.used && poll(&p, 1, SELF_DEATH_MS) == 0)
		(void)skf_cg_kill_all(&x->cg, SKF_KILL_WAIT_MS); /* the wait below tells */
	if (poll(&p, 1, SKF_KILL_WAIT_MS) == 0)
		return skf_fail(e, SKF_ETIMEOUT,
				"the init of container '%s' (pid %d) did not die within %d s of SIGKILL",
				x->id, (int)j->pid, SKF_KILL_WAIT_MS / 1000);
	return 0;
}

static char *stopped_doc(const struct skf_rt_state *s)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_STATE_BYTES);
	struct skf_jw w = SKF_JW(&b);
	struct skf_rt_state stopped = *s;

	stopped.status = SKF_RT_STOPPED;
	stopped.pid = 0;
	skf_rt_state_write(&stopped, &w);
	return skf_buf_take(&b);
}

static void run_poststop(const struct removal *x)
{
	if (!x->state || x->hooks.poststop.n == 0)
		return;
	SKF_AUTO_FREE char *doc = stopped_doc(x->state);
	if (doc)
		skf_hooks_poststop(&x->state->annotations, x->state->bundle, &x->hooks.poststop, doc,
				   x->rt->log);
}

static int remove_all(struct removal *x, struct skf_err *e)
{
	int r;

	if (load(x, e) < 0 || check_status(x, e) < 0 || kill_init(x, e) < 0)
		return -1;
	if (x->cg.used && skf_cgroups_undo(&x->cg, e) < 0)
		return skf_ctx(e, "container '%s'", x->id);
	if (skf_cgroups_stop_scope(
		    x->rt, x->state && x->state->systemd_scope ? x->state->systemd_scope : x->journal.scope,
		    e) < 0)
		return skf_ctx(e, "container '%s'", x->id);
	if (skf_rdt_remove(x->journal.rdt, e) < 0)
		return skf_ctx(e, "container '%s'", x->id);
	r = skf_state_remove(x->rt, x->dir, x->id);
	if (r < 0 && r != -ENOENT)
		return skf_fail_sys(e, r, "remove the state directory '%s/%s'", x->rt->root, x->id);
	run_poststop(x);
	return 0;
}

int skf_rt_delete(const struct skf_rt *rt, const char *id, bool force, struct skf_err *e)
{
	struct removal x = {.rt = rt, .id = id, .force = force, .arena = SKF_ARENA(SKF_MAX_ARENA_DOC)};
	int r;

	if (skf_state_check_id(id, e) < 0)
		return -1;
	SKF_AUTO_FD int dir = skf_state_lock(rt, id, SKF_LOCK_MS);
	if (dir == -ENOENT)
		return force ? 0 : skf_fail(e, SKF_ENOTFOUND, "container '%s' does not exist", id);
	if (dir < 0)
		return skf_fail_sys(e, dir, "lock container '%s'", id);
	x.dir = dir;
	r = remove_all(&x, e);
	skf_arena_done(&x.arena);
	return r;
}
