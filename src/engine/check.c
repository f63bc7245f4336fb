/* engine/check.c -- `skiff system check [--repair]`: every object of both trees, every cgroup and every
 * supervised process is looked at once.
 *
 * A table of passes, each over one kind of object; a pass reports a row per finding and, with repair, undoes
 * it by the same functions as rm and reap do. Invariants:
 *  1. Only what belongs to this root is touched. Two skiff roots share the cgroup tree skiff/c: a cgroup is
 * ours when its id has a run directory or a container here; of all others only those are removed that have
 * no process and are older than any start may take, and never a process is killed
 * but the holder of a pod whose run directory is gone (check_pods.c).
 *  2. Whoever makes, starts or removes a container holds its lock; a look at a container and its repair
 * happen under that lock, and what is locked for long is left alone.
 *  3. Repairs can be repeated, and a finding that cannot be repaired says why and does not stop the others.
 */
#include "engine/check_int.h"
#include "engine/pod_int.h"
#include "base/proc.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

int skf_check_report(struct check *c, const char *kind, const char *object, const char *problem,
		     const char *done, struct skf_err *e)
{
	struct skf_check_row *r;

	if (c->n == c->cap) {
		size_t cap = c->cap ? c->cap * 2 : 16;
		struct skf_check_row *v = skf_arena_array(c->a, cap, sizeof(*v));

		if (!v)
			goto nomem;
		if (c->n)
			memcpy(v, c->v, c->n * sizeof(*v));
		c->v = v;
		c->cap = cap;
	}
	r = &c->v[c->n];
	r->kind = skf_arena_strdup(c->a, kind);
	r->object = skf_arena_strdup(c->a, object);
	r->problem = skf_arena_strdup(c->a, problem);
	r->done = skf_arena_strdup(c->a, done);
	if (r->kind && r->object && r->problem && r->done) {
		c->n++;
		return 0;
	}
nomem:
	return skf_fail(e, SKF_ENOMEM, "memory for the findings of the check");
}

/* Reports and, with repair, runs fn(id); its failure becomes the row's text. */
int skf_check_finding(struct check *c, const char *kind, const char *object, const char *problem,
		      int (*fix)(struct check *, const char *, struct skf_err *), const char *done,
		      struct skf_err *e)
{
	struct skf_err x = SKF_ERR_INIT;
	char text[600];

	if (!c->repair || !fix)
		return skf_check_report(c, kind, object, problem, "", e);
	if (fix(c, object, &x) == 0)
		return skf_check_report(c, kind, object, problem, done, e);
	snprintf(text, sizeof(text), "repair failed: %s", x.msg);
	return skf_check_report(c, kind, object, problem, text, e);
}

int skf_check_each(struct check *c, int dirfd, const char *path, entry_fn fn, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(dirfd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d)
		return fd == -ENOENT ? 0 : skf_fail_sys(e, fd < 0 ? fd : -errno, "list '%s'", path);
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d)))
		if (strcmp(de->d_name, ".") != 0 && strcmp(de->d_name, "..") != 0 &&
		    fn(c, de->d_name, e) < 0)
			return -1;
	return 0;
}

/* --- containers: complete, and lost ones --- */

bool skf_check_has_config(struct skf_engine *g, const char *id)
{
	char path[SKF_ID_LEN + 16];

	return skf_fmt(path, sizeof(path), "%s/config.json", id) == 0 &&
	       faccessat(g->ctr_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Runs fn(arg) with the container's lock held, so that what it sees is not about to change. A reap takes
 * milliseconds and is waited for; a start may take long, and what it makes is its own: then nothing is
 * looked at. A lock file that only we made goes again. */
int skf_check_locked(struct check *c, const char *id, entry_fn fn, const char *arg, struct skf_err *e)
{
	char name[SKF_ID_LEN + 16];
	int r = skf_fmt(name, sizeof(name), "container-%s", id);

	c->lock = r < 0 ? r : skf_lock_at(c->g->locks_fd, name, true, SKF_HELLO_MS);
	if (c->lock == -ETIMEDOUT || c->lock == -EAGAIN)
		return 0;
	if (c->lock < 0)
		return skf_fail_sys(e, c->lock, "lock '%s/locks/%s'", c->g->root, name);
	r = fn(c, arg, e);
	if (c->lock >= 0 && faccessat(c->g->ctr_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
	    !skf_pod_exists(c->g, id))
		skf_ctr_drop_lock(c->g, id, &c->lock);
	skf_closep(&c->lock);
	return r;
}

static bool runs(const struct skf_ctr_live *l)
{
	return skf_ctr_is_up(l->state);
}

/* Ended a moment ago: who ran it is about to clean up. A repair need not wait for that. */
bool skf_check_is_fresh(const struct check *c, const struct skf_ctr_live *l)
{
	return !c->repair && !l->lost && skf_now_ns() - l->finished_ns < SKF_HELLO_MS * 1000000LL;
}

static int fix_reap(struct check *c, const char *id, struct skf_err *e)
{
	return skf_ctr_reap_locked(c->g, id, &c->lock, e);
}

static int fix_remove_dir(struct check *c, const char *id, struct skf_err *e)
{
	if (skf_ctr_undo_runtime(c->g, id, e) < 0)
		return -1;
	return skf_ctr_remove_locked(c->g, id, NULL, "", false, &c->lock, e);
}

static int fix_name(struct check *c, const char *id, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_ctrconf *conf;

	return skf_ctr_load(c->g, id, &a, &conf, e) < 0 ? -1 : skf_name_claim(c->g, conf->name, id, e);
}

static int fix_summary(struct check *c, const char *id, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_ctrconf *conf;

	return skf_ctr_load(c->g, id, &a, &conf, e) < 0 ? -1
							: skf_ctr_summary_rebuild(c->g, id, conf, false, e);
}

static int check_name_of(struct check *c, const char *id, const struct skf_ctrconf *conf, struct skf_err *e)
{
	char holder[SKF_ID_LEN + 1];
	struct skf_err x = SKF_ERR_INIT;
	int r = skf_name_find(c->g, conf->name, holder, &x);

	if (r == 1 && skf_streq(holder, id))
		return 0;
	return skf_check_finding(c, "container", id,
				 r == 1 ? "its name belongs to another container"
					: "its name is not registered",
				 r == 1 ? NULL : fix_name, "registered", e);
}

static int look_container(struct check *c, const char *id, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_err x = SKF_ERR_INIT;
	struct skf_ctrconf *conf;
	struct skf_ctr_live l;

	if (faccessat(c->g->ctr_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* removed since the directory was read */
	if (!skf_check_has_config(c->g, id))
		return skf_check_finding(c, "container", id, "it was never complete", fix_remove_dir,
					 "removed", e);
	if (skf_ctr_load(c->g, id, &a, &conf, &x) < 0 || skf_ctr_live(c->g, id, &l, &x) < 0)
		return skf_check_finding(c, "container", id, x.msg, NULL, "", e);
	if (check_name_of(c, id, conf, e) < 0)
		return -1;
	if (!l.has_summary &&
	    skf_check_finding(c, "summary", id, "it is missing or damaged", fix_summary, "rebuilt", e) < 0)
		return -1;
	if (l.lost && l.has_summary)
		return skf_check_finding(c, "container", id, "its monitor is gone", fix_reap,
					 conf->remove ? "removed" : "recorded as exited (137)", e);
	if (conf->remove && !runs(&l) && !skf_check_is_fresh(c, &l))
		return skf_check_finding(c, "container", id, "it has ended and is to be removed (--rm)",
					 fix_reap, "removed", e);
	return 0;
}

static int check_container(struct check *c, const char *id, struct skf_err *e)
{
	if (!skf_ctr_id_valid(id))
		return skf_check_finding(c, "container", id, "not the directory of a container", NULL, "",
					 e);
	return skf_check_locked(c, id, look_container, id, e);
}

static int pass_containers(struct check *c, struct skf_err *e)
{
	return skf_check_each(c, c->g->ctr_fd, ".", check_container, e);
}

/* --- names --- */

static int fix_drop_name(struct check *c, const char *name, struct skf_err *e)
{
	return unlinkat(c->g->names_fd, name, 0) < 0 && errno != ENOENT
		       ? skf_fail_sys(e, -errno, "remove the name '%s'", name)
		       : 0;
}

/* The id that a name means; "" when it is none, -ENOENT when the name has gone. */
static int id_of_name(struct check *c, const char *name, char out[SKF_ID_LEN + 2])
{
	ssize_t n = readlinkat(c->g->names_fd, name, out, SKF_ID_LEN + 1);

	if (n < 0 && errno == ENOENT)
		return -ENOENT;
	out[n < 0 ? 0 : n] = '\0';
	if (!skf_ctr_id_valid(out))
		out[0] = '\0';
	return 0;
}

static int look_name(struct check *c, const char *name, struct skf_err *e)
{
	char id[SKF_ID_LEN + 2];

	if (id_of_name(c, name, id) < 0 ||
	    (id[0] && (skf_check_has_config(c->g, id) || skf_pod_exists(c->g, id))))
		return 0;
	return skf_check_finding(c, "name", name, "it belongs to no container", fix_drop_name, "removed", e);
}

static int check_name(struct check *c, const char *name, struct skf_err *e)
{
	char id[SKF_ID_LEN + 2];

	if (id_of_name(c, name, id) < 0)
		return 0;
	return id[0] ? skf_check_locked(c, id, look_name, name, e) : look_name(c, name, e);
}

static int pass_names(struct check *c, struct skf_err *e)
{
	return skf_check_each(c, c->g->names_fd, ".", check_name, e);
}

/* --- summaries --- */

static int fix_drop_summary(struct check *c, const char *id, struct skf_err *e)
{
	int r = skf_summary_remove(c->g->run_fd, id);

	return r < 0 && r != -ENOENT ? skf_fail_sys(e, r, "remove the summary '%s'", id) : 0;
}

static int fix_drop_summary_tmp(struct check *c, const char *name, struct skf_err *e)
{
	char path[512];

	if (skf_fmt(path, sizeof(path), "summary/%s", name) < 0 ||
	    (unlinkat(c->g->run_fd, path, 0) < 0 && errno != ENOENT))
		return skf_fail_sys(e, -errno, "remove '%s/summary/%s'", c->g->run_root, name);
	return 0;
}

static int look_summary(struct check *c, const char *id, struct skf_err *e)
{
	struct skf_summary s;

	if (skf_check_has_config(c->g, id) || skf_summary_read(c->g->run_fd, id, &s) == -ENOENT)
		return 0;
	return skf_check_finding(c, "summary", id, "it belongs to no container", fix_drop_summary, "removed",
				 e);
}

/* ".<id>.<random>", written beside and renamed within microseconds by a launch or a monitor: left over when
 * there is none for its container, or when it is seconds old. */
static int look_summary_tmp(struct check *c, const char *name, struct skf_err *e)
{
	char path[512], id[SKF_ID_LEN + 1];
	struct skf_err x = SKF_ERR_INIT;
	struct skf_ctr_live l;
	struct stat st;

	if (skf_fmt(path, sizeof(path), "summary/%s", name) < 0 ||
	    fstatat(c->g->run_fd, path, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return 0;
	memcpy(id, name + 1, SKF_ID_LEN);
	id[SKF_ID_LEN] = '\0';
	if (skf_check_has_config(c->g, id) && skf_ctr_live(c->g, id, &l, &x) == 0 && runs(&l) &&
	    skf_now_ns() / 1000000 - st.st_ctim.tv_sec * 1000LL < SKF_HELLO_MS)
		return 0;
	return skf_check_finding(c, "summary", name, "left over from an interrupted change",
				 fix_drop_summary_tmp, "removed", e);
}

static int check_summary_tmp(struct check *c, const char *name, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];

	if (name[0] != '.' || strlen(name) < SKF_ID_LEN + 2 || name[SKF_ID_LEN + 1] != '.')
		return skf_check_finding(c, "summary", name, "not a container's summary",
					 fix_drop_summary_tmp, "removed", e);
	memcpy(id, name + 1, SKF_ID_LEN);
	id[SKF_ID_LEN] = '\0';
	if (!skf_ctr_id_valid(id))
		return skf_check_finding(c, "summary", name, "not a container's summary",
					 fix_drop_summary_tmp, "removed", e);
	return skf_check_locked(c, id, look_summary_tmp, name, e);
}

static int check_summary(struct check *c, const char *id, struct skf_err *e)
{
	return skf_ctr_id_valid(id) ? skf_check_locked(c, id, look_summary, id, e)
				    : check_summary_tmp(c, id, e);
}

static int pass_summaries(struct check *c, struct skf_err *e)
{
	return skf_check_each(c, c->g->run_fd, "summary", check_summary, e);
}

/* --- run directories --- */

static int look_run_dir(struct check *c, const char *id, struct skf_err *e)
{
	struct skf_err x = SKF_ERR_INIT;
	struct skf_ctr_live l;

	if (faccessat(c->g->run_ctr_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) < 0)
		return 0; /* reaped since the directory was read */
	if (skf_check_has_config(c->g, id) && skf_ctr_live(c->g, id, &l, &x) == 0 &&
	    (runs(&l) || skf_check_is_fresh(c, &l)))
		return 0;
	return skf_check_finding(c, "run directory", id, "its container does not run", fix_reap,
				 "removed, with all that its journal names", e);
}

static int check_run_dir(struct check *c, const char *id, struct skf_err *e)
{
	/* What has another name is a cache of the runtime's. */
	return skf_ctr_id_valid(id) ? skf_check_locked(c, id, look_run_dir, id, e) : 0;
}

static int pass_run_dirs(struct check *c, struct skf_err *e)
{
	return skf_check_each(c, c->g->run_ctr_fd, ".", check_run_dir, e);
}

/* --- lock files --- */

static int fix_drop_lock(struct check *c, const char *name, struct skf_err *e)
{
	SKF_AUTO_FD int store = skf_lock_at(c->g->locks_fd, "store", true, SKF_LOCK_MS);
	SKF_AUTO_FD int lock = -EBADF;

	if (store < 0)
		return skf_fail_sys(e, store, "lock the store to remove the lock file '%s'", name);
	lock = skf_lock_at(c->g->locks_fd, name, true, 0);
	if (lock == -EAGAIN)
		return 0; /* somebody uses it */
	if (lock < 0 || unlinkat(c->g->locks_fd, name, 0) < 0)
		return skf_fail_sys(e, lock < 0 ? lock : -errno, "remove the lock file '%s'", name);
	return 0;
}

static int check_lock(struct check *c, const char *name, struct skf_err *e)
{
	static const char prefix[] = "container-";
	const char *id = name + sizeof(prefix) - 1;

	if (!skf_startswith(name, prefix) || !skf_ctr_id_valid(id) ||
	    faccessat(c->g->ctr_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0 || skf_pod_exists(c->g, id) ||
	    skf_lock_held_at(c->g->locks_fd, name) != 0)
		return 0;
	return skf_check_finding(c, "lock file", name, "it belongs to no container", fix_drop_lock,
				 "removed", e);
}

static int pass_locks(struct check *c, struct skf_err *e)
{
	return skf_check_each(c, c->g->locks_fd, ".", check_lock, e);
}

/* Containers first: what they refer to is then known, and the passes after them find only what no container
 * explains. */
static int (*const passes[])(struct check *, struct skf_err *) = {
	pass_containers,
	pass_run_dirs,
	skf_check_networks,
	skf_check_network_objects,
	skf_check_cni,
	skf_check_network_host,
	skf_check_networks_gone,
	skf_check_cgroups,
	skf_check_pods,
	pass_names,
	pass_summaries,
	skf_check_mcs,
	skf_check_layers,
	skf_check_garbage,
	skf_check_storage,
	pass_locks,
	skf_check_cgroup_parents,
};

int skf_engine_check(struct skf_engine *g, const struct skf_check_req *q, struct skf_arena *a,
		     struct skf_jarr *ret, struct skf_err *e)
{
	struct check c = {.g = g, .q = q, .repair = q->repair, .a = a, .lock = -EBADF};

	for (size_t i = 0; i < SKF_ARRAY_LEN(passes); i++)
		if (passes[i](&c, e) < 0)
			return -1;
	ret->v = c.v;
	ret->n = c.n;
	return 0;
}
