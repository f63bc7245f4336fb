/* engine/check_cgroups.c -- two passes of the check over the cgroups of containers: those whose container
 * does not run, and the parents that all containers share. Of a cgroup that is not this root's only an empty
 * and old one is removed (invariant 1 of check.c). */
#include "engine/check_int.h"
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_ours(struct skf_engine *g, const char *id)
{
	return faccessat(g->ctr_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0 ||
	       faccessat(g->run_ctr_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

bool skf_check_cgroup_is_old(const struct skf_cg_dirs *cg)
{
	for (unsigned i = 0; i < cg->layout.n; i++) {
		SKF_AUTO_FD int fd = skf_cg_open(cg, i);
		struct stat st;

		if (fd >= 0 && (fstat(fd, &st) < 0 ||
				skf_now_ns() / 1000000 - st.st_ctim.tv_sec * 1000LL < SKF_START_MS))
			return false;
	}
	return true;
}

static int fix_cgroup(struct check *c, const char *id, struct skf_err *e)
{
	return skf_ctr_undo_runtime(c->g, id, e);
}

static int fix_foreign_cgroup(struct check *c, const char *id, struct skf_err *e)
{
	struct skf_cg_dirs cg;
	int r = skf_ctr_cgroup(c->g, id, &cg);

	(void)c;
	if (r == 0)
		r = skf_cg_remove(&cg, 0);
	return r < 0 ? skf_fail_sys(e, r, "remove the empty cgroup '%s/%s'", SKF_CGROUP_PARENT, id) : 0;
}

/* Number of hierarchies that have a directory of this cgroup. */
static unsigned count_dirs(const struct skf_cg_dirs *cg)
{
	unsigned n = 0;

	for (unsigned i = 0; i < cg->layout.n; i++) {
		SKF_AUTO_FD int fd = skf_cg_open(cg, i);

		n += fd >= 0;
	}
	return n;
}

/* A cgroup has a directory in each hierarchy; one row is enough. */
bool skf_check_is_reported(const struct check *c, const char *kind, const char *object)
{
	for (size_t i = 0; i < c->n; i++)
		if (skf_streq(c->v[i].kind, kind) && skf_streq(c->v[i].object, object))
			return true;
	return false;
}

static int look_cgroup(struct check *c, const char *id, struct skf_err *e)
{
	struct skf_err x = SKF_ERR_INIT;
	struct skf_ctr_live l;
	struct skf_cg_dirs cg;
	pid_t first;
	int n;

	if (skf_check_has_config(c->g, id) && skf_ctr_live(c->g, id, &l, &x) == 0 &&
	    (skf_ctr_is_up(l.state) || skf_check_is_fresh(c, &l)))
		return 0;
	if (skf_ctr_cgroup(c->g, id, &cg) < 0 || count_dirs(&cg) == 0)
		return 0; /* gone since the directory was read */
	n = skf_cg_pids(&cg, &first, 1);
	return skf_check_finding(c, "cgroup", id,
				 n > 0 ? "processes run in it without a monitor"
				       : "its container does not run",
				 fix_cgroup, n > 0 ? "processes killed, removed" : "removed", e);
}

/* Another root's, or nobody's: see invariant 1. */
static int look_foreign_cgroup(struct check *c, const char *id, struct skf_err *e)
{
	struct skf_cg_dirs cg;
	pid_t first;

	if (skf_ctr_cgroup(c->g, id, &cg) < 0 || count_dirs(&cg) == 0 || skf_cg_pids(&cg, &first, 1) != 0 ||
	    !skf_check_cgroup_is_old(&cg))
		return 0;
	return skf_check_finding(c, "cgroup", id, "it is empty and of no container here", fix_foreign_cgroup,
				 "removed", e);
}

static int check_cgroup(struct check *c, const char *id, struct skf_err *e)
{
	if (!skf_ctr_id_valid(id) || skf_check_is_reported(c, "cgroup", id))
		return 0;
	return is_ours(c->g, id) ? skf_check_locked(c, id, look_cgroup, id, e)
				 : look_foreign_cgroup(c, id, e);
}

int skf_check_cgroups(struct check *c, struct skf_err *e)
{
	struct skf_cg_layout layout;
	int r = skf_cg_layout(&layout);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return skf_fail_sys(e, r, "look at the host's cgroups");
	for (unsigned i = 0; i < layout.n; i++) {
		char path[sizeof(layout.h[0].mountpoint) + 16];

		if (skf_fmt(path, sizeof(path), "%s" SKF_CGROUP_PARENT, layout.h[i].mountpoint) == 0 &&
		    skf_check_each(c, AT_FDCWD, path, check_cgroup, e) < 0)
			return -1;
	}
	return 0;
}

/* The parents that all containers share are no finding, but with nobody left in them a repair takes them
 * too. Whoever starts a container at this moment makes them again. */
int skf_check_cgroup_parents(struct check *c, struct skf_err *e)
{
	static const char *const parents[] = {"skiff/c", "skiff/m", "skiff/p", "skiff"};
	struct skf_cg_layout layout;
	int r = c->repair ? skf_cg_layout(&layout) : -ENOENT;

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return skf_fail_sys(e, r, "look at the host's cgroups");
	for (unsigned i = 0; i < layout.n; i++) {
		SKF_AUTO_FD int mnt = skf_openat(AT_FDCWD, layout.h[i].mountpoint, O_PATH | O_DIRECTORY, 0);

		for (size_t k = 0; mnt >= 0 && k < SKF_ARRAY_LEN(parents); k++)
			(void)unlinkat(mnt, parents[k],
				       AT_REMOVEDIR); /* EBUSY: in use; the last to go takes it */
	}
	return 0;
}
