/* engine/reap.c -- undoing what the engine made for a container that ended (DESIGN 3).
 *
 * Every step can be repeated, in this order: the init that the journal names, cgroup (what still runs in it
 * is killed), network, run directory with its journal, and with `remove` the container itself: its directory
 * goes to trash/ in one rename, then name, summary, trash, lock file. Two reapers meet at the container's
 * lock; the second one finds nothing to do. A container that runs again is left alone. */
#include "engine/engine_int.h"
#include "engine/selinux.h"
#include "engine/pod_int.h"
#include "engine/net_int.h"
#include "base/proc.h"
#include "launch/wire.h"
#include "monitor/event.h"
#include "sys/process.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int undo_cgroup(struct skf_engine *g, const char *id, struct skf_err *e)
{
	struct skf_cg_dirs cg;
	int r = skf_ctr_cgroup(g, id, &cg);

	if (r == -ENOENT)
		return 0; /* a host without cgroups made none */
	if (r < 0)
		return skf_fail_sys(e, r, "look at the host's cgroups");
	r = skf_cg_kill_all(&cg, SKF_KILL_WAIT_MS);
	if (r == 0)
		r = skf_cg_remove(&cg, SKF_CGROUP_RM_MS);
	if (r < 0) {
		pid_t stuck[4] = {0};
		int n = skf_cg_pids(&cg, stuck, SKF_ARRAY_LEN(stuck));

		return skf_fail_sys(
			e, r, "remove the cgroup '%s' of container %.12s (%d processes in it, first %d)",
			cg.path, id, n < 0 ? 0 : n, (int)stuck[0]);
	}
	return 0;
}

/* The same process, by (pid, start time, boot id), or nobody: the fd first, then the look at the start time,
 * so that the number cannot be given to another process in between. */
static void kill_exactly(const char *process, const char *this_boot)
{
	SKF_AUTO_FD int pidfd = -EBADF;
	char boot[37];
	uint64_t start;
	pid_t pid;

	if (skf_proc_parse(process, &pid, &start, boot) < 0 || pid <= 1 || !skf_streq(boot, this_boot))
		return;
	pidfd = skf_pidfd_open(pid);
	if (pidfd >= 0 && skf_proc_alive(pid, start) == 1)
		(void)skf_pidfd_kill(pidfd, SIGKILL); /* ESRCH: it ended by itself */
}

/* An init that left its cgroup and outlived its monitor is known by the journal only: lines "pid <pid>
 * <start time> <boot id>". */
static int undo_journal(struct skf_engine *g, const char *id, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	char path[SKF_ID_LEN + 16], here[37], *save = NULL;
	int r = skf_fmt(path, sizeof(path), "%s/journal", id);

	if (r == 0)
		r = skf_read_file_at(g->run_ctr_fd, path, SKF_MAX_OBJECT_BYTES, &b);
	if (r == -ENOENT || r == -ENOTDIR)
		return 0;
	if (r >= 0)
		r = skf_boot_id(here);
	if (r < 0)
		return skf_fail_sys(e, r, "read '%s/containers/%s/journal'", g->run_root, id);
	for (char *line = b.p ? strtok_r(b.p, "\n", &save) : NULL; line; line = strtok_r(NULL, "\n", &save))
		if (skf_startswith(line, "pid "))
			kill_exactly(line + 4, here);
	return 0;
}

/* What another OCI runtime knows of the container: it deletes that itself. Its failure is a warning: what it
 * ran is dead and its cgroup is gone. */
static void undo_foreign(struct skf_engine *g, const char *id)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	char path[SKF_ID_LEN + 16], root[4096], *save = NULL;
	const char *argv[40];
	struct skf_spawn sp = {.argv = (char *const *)(uintptr_t)argv, .stdio = {-1, -1, -1}};
	SKF_AUTO_FD int pidfd = -EBADF;
	int r = skf_fmt(path, sizeof(path), "%s/" SKF_FOREIGN_FILE, id), status = 0;
	size_t n = 0;
	pid_t pid;

	if (r == 0)
		r = skf_read_file_at(g->run_ctr_fd, path, SKF_MAX_OBJECT_BYTES, &b);
	if (r == -ENOENT || r == -ENOTDIR || !b.len)
		return;
	for (char *line = strtok_r(b.p, "\n", &save); line && n < SKF_ARRAY_LEN(argv) - 6;
	     line = strtok_r(NULL, "\n", &save))
		argv[n++] = line;
	if (r >= 0)
		r = skf_fmt(root, sizeof(root), "%s/" SKF_FOREIGN_ROOT, g->run_root);
	argv[n++] = "--root";
	argv[n++] = root;
	argv[n++] = "delete";
	argv[n++] = "--force";
	argv[n++] = id;
	argv[n] = NULL;
	sp.path = argv[0];
	if (r >= 0)
		r = skf_spawn(&sp, &pid, &pidfd);
	if (r >= 0)
		r = skf_wait_pid(pid, pidfd, SKF_KILL_WAIT_MS, &status);
	if (r < 0)
		skf_warn(&g->log, "have the runtime '%s' delete container %.12s: %s; ignoring", argv[0], id,
			 strerror(-r));
}

static int undo_run_dir(struct skf_engine *g, const char *id, struct skf_err *e)
{
	int r;

	undo_foreign(g, id);
	r = skf_rmtree_at(g->run_ctr_fd, id);

	return r < 0 ? skf_fail_sys(e, r, "remove '%s/containers/%s'", g->run_root, id) : 0;
}

/* A restart that its dead monitor began: until it has undone what it made, or is over (launch/start.c). The
 * lock goes with the run directory; a restart that comes later finds neither. */
static int await_restart(struct skf_engine *g, const char *id, int *ret_lock, struct skf_err *e)
{
	SKF_AUTO_FD int dir = skf_openat(g->run_ctr_fd, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	int r = dir;

	if (r >= 0)
		r = *ret_lock = skf_lock_at(dir, SKF_RESTART_LOCK, true, SKF_LOCK_MS);
	if (r >= 0 || r == -ENOENT || r == -ENOTDIR)
		return 0;
	return skf_fail_sys(e, r, "lock '%s/containers/%s/" SKF_RESTART_LOCK "': wait for a restart to end",
			    g->run_root, id);
}

int skf_ctr_undo_runtime(struct skf_engine *g, const char *id, struct skf_err *e)
{
	SKF_AUTO_FD int restart = -EBADF;

	if (await_restart(g, id, &restart, e) < 0)
		return -1;
	return undo_journal(g, id, e) < 0 || undo_cgroup(g, id, e) < 0 || skf_net_down(g, id, e) < 0
		       ? -1
		       : undo_run_dir(g, id, e);
}

/* By the holder of the lock, which is enough: who waits for it finds that its file has no name any more,
 * opens the name anew (base/lock.c) and then finds no container. */
void skf_ctr_drop_lock(struct skf_engine *g, const char *id, int *lock_own)
{
	char name[SKF_ID_LEN + 16];

	if (skf_fmt(name, sizeof(name), "container-%s", id) == 0)
		(void)unlinkat(g->locks_fd, name,
			       0); /* an empty file: left behind it is found by the check */
	skf_closep(lock_own);
}

static void tell_destroyed(struct skf_engine *g, const char *id, const char *name, const char *image)
{
	int r = skf_event_emit(g->run_fd, "container", "destroy", id, name, image, -1);

	if (r < 0)
		skf_warn(&g->log, "write the event 'destroy' of container %.12s: %s; ignoring", id,
			 strerror(-r));
}

static void drop_volumes(struct skf_engine *g, const struct skf_strv *names)
{
	struct skf_err x = SKF_ERR_INIT;

	for (size_t i = 0; i < names->n; i++)
		if (skf_volume_drop(g, names->v[i], NULL, NULL, &x) < 0)
			skf_warn(&g->log, "%s; `skiff volume prune` removes it; ignoring", x.msg);
}

/* sock: of launch/wire.h, or -1. False when no monitor is there that would do it. */
static bool monitor_sweeps(int sock)
{
	char mem[64];
	struct skf_buf b = {.p = mem, .cap = sizeof(mem), .max = sizeof(mem) - 1};
	struct skf_rec r;

	if (sock < 0)
		return false;
	skf_rec_begin(&r, &b, SKF_LAUNCH_SWEEP, SKF_LAUNCH_VERSION);
	skf_rec_end(&r);
	return b.err >= 0 && skf_record_send(sock, &b, NULL, 0) >= 0;
}

/* Under the container's lock, which is what keeps its pair its own. */
static int release_categories(struct skf_engine *g, int all, const char *id, struct skf_err *e)
{
	SKF_AUTO_FD int dir = skf_openat(all, id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	char pair[SKF_MCS_SIZE];
	int r = dir < 0 ? dir : skf_mcs_of(dir, pair);

	return r < 0 ? skf_fail_sys(e, r, "read the SELinux categories of container %.12s", id)
		     : skf_mcs_release(g, pair, id, e);
}

static int remove_container(struct skf_engine *g, const char *id, const char *name, const char *image,
			    bool volumes, int sweeper, int *lock_own, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_err ignored = SKF_ERR_INIT;
	struct skf_strv anonymous = {0};
	struct skf_ctrconf *c;
	int r;

	if (volumes && skf_volume_anonymous_of(g, id, &a, &anonymous, e) < 0)
		return -1;
	if ((!name || !image) && skf_ctr_load(g, id, &a, &c, &ignored) == 0) {
		name = c->name; /* a damaged config.json must not stop the removal; the check finds its name
				 */
		image = c->image;
	}
	r = faccessat(g->ctr_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ? 1 : 0;
	if (r == 1 && skf_ctr_unmount_locked(g, id, true, e) < 0)
		return -1;
	if (r == 1)
		skf_ctr_quota_release(g, id);
	if (r == 1 && release_categories(g, g->ctr_fd, id, e) < 0)
		return -1;
	if (r == 1 && skf_store_to_trash(g->store, g->ctr_fd, id, e) < 0)
		return skf_ctx(e, "remove container %.12s", id);
	if (name && skf_name_release(g, name, id, e) < 0)
		return -1;
	if (r == 1)
		tell_destroyed(g, id, name ? name : "", image ? image : "");
	r = skf_summary_remove(g->run_fd, id);
	if (r < 0 && r != -ENOENT)
		return skf_fail_sys(e, r, "remove '%s/summary/%s'", g->run_root, id);
	/* The container is gone from here on: what stays in the trash is unlinked by the next one who
	 * empties it. */
	if (!monitor_sweeps(sweeper) && skf_store_empty_trash(g->store, &ignored) < 0)
		skf_warn(&g->log, "%s; ignoring", ignored.msg);
	skf_ctr_drop_lock(g, id, lock_own);
	drop_volumes(g, &anonymous); /* after the lock: it takes the store's */
	return 0;
}

int skf_ctr_remove_locked(struct skf_engine *g, const char *id, const char *name, const char *image,
			  bool volumes, int *lock_own, struct skf_err *e)
{
	return remove_container(g, id, name, image, volumes, -EBADF, lock_own, e);
}

int skf_ctr_reap_locked(struct skf_engine *g, const char *id, int *lock_own, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_ctrconf *c = NULL;
	struct skf_ctr_live l;
	bool exists = true;

	if (skf_ctr_load(g, id, &a, &c, e) < 0) {
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e);
		exists = false;
	}
	if (exists) {
		if (skf_ctr_live(g, id, &l, e) < 0)
			return -1;
		if (skf_ctr_is_up(l.state))
			return 0;
	}
	if (skf_ctr_undo_runtime(g, id, e) < 0)
		return -1;
	if (!exists || c->remove)
		return skf_ctr_remove_locked(g, id, c ? c->name : NULL, c ? c->image : NULL, true, lock_own,
					     e);
	return l.lost ? skf_ctr_summary_rebuild(g, id, c, true, e) : 0;
}

int skf_engine_reap(struct skf_engine *g, const char *id, struct skf_err *e)
{
	SKF_AUTO_FD int lock = -EBADF;
	struct skf_err ignored = SKF_ERR_INIT;
	char pod[SKF_ID_LEN + 1];
	int r;

	if (!skf_ctr_id_valid(id))
		return skf_fail(e, SKF_EINVALID,
				"'%s' is not a container id: expected %d hexadecimal digits", id,
				SKF_ID_LEN);
	/* The id of a pod: its init ended by itself. */
	if (skf_pod_exists(g, id))
		return skf_ctr_lock(g, id, &lock, e) < 0 ? -1 : skf_pod_unhold(g, id, e);
	r = skf_pod_of(g, id, pod,
		       &ignored); /* a container that is damaged or gone is reaped all the same */
	if (skf_ctr_lock(g, id, &lock, e) < 0 || skf_ctr_reap_locked(g, id, &lock, e) < 0)
		return -1;
	skf_closep(&lock);
	return r == 1 ? skf_pod_after_end(g, pod, e) : 0;
}

/* The fast way, without a look at the cgroups: the monitor removed the container's before it reported the
 * exit. A summary that says otherwise, or is not there, leads to the full reap. */
int skf_engine_run_end(struct skf_engine *g, struct skf_run_handle *h, struct skf_err *e)
{
	SKF_AUTO_FD int lock = -EBADF;
	struct skf_err ignored = SKF_ERR_INIT;
	char pod[SKF_ID_LEN + 1];
	struct skf_summary s;
	SKF_AUTO_FD int sock = SKF_TAKE_FD(h->sock);

	if (skf_summary_read(g->run_fd, h->id, &s) < 0 || !skf_streq(s.state, "exited") ||
	    skf_pod_of(g, h->id, pod, &ignored) != 0)
		return skf_engine_reap(g, h->id, e);
	if (skf_ctr_lock(g, h->id, &lock, e) < 0 || skf_net_down(g, h->id, e) < 0 ||
	    undo_run_dir(g, h->id, e) < 0)
		return -1;
	return h->remove ? remove_container(g, h->id, s.name, s.image, true, h->attached ? -EBADF : sock,
					    &lock, e)
			 : 0;
}
