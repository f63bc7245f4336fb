/* engine/net_check.c -- the check's pass over networks: every record belongs to a container that runs, every
 * lease to a record, every directory of leases to a network. What a start or reap at this moment is changing
 * is protected by its container's lock: such a record is left alone. */
#include "engine/check_int.h"
#include "engine/net_int.h"
#include "engine/pod_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define RECORDS "networks/.ctr"

static int told(struct check *c, const char *kind, const char *object, const char *problem, int r,
		const struct skf_err *x, struct skf_err *e)
{
	char done[560];

	snprintf(done, sizeof(done), r < 0 ? "repair failed: %s" : "given back", x->msg);
	return skf_check_report(c, kind, object, problem, c->repair ? done : "", e);
}

/* The network of a pod is its holder's, or, when that one was killed, its containers'. */
static bool pod_is_up(const struct check *c, const char *id)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FD int sock = -EBADF;
	struct skf_err x = SKF_ERR_INIT;
	struct skf_strv m = {0};
	struct skf_ctr_live l;

	if (!skf_pod_exists(c->g, id) || skf_pod_holder(c->g, id, &sock, &x) == 0)
		return sock >= 0;
	skf_err_clear(&x);
	if (skf_pod_members(c->g, id, &a, &m, &x) < 0)
		return true; /* nobody knows: nothing is taken away */
	for (size_t i = 0; i < m.n; i++)
		if (skf_ctr_live(c->g, m.v[i], &l, &x) == 0 && skf_ctr_is_up(l.state))
			return true;
	return false;
}

/* It runs, or it ended a moment ago and its reaper is on the way; a repair need not wait for that one. */
static bool is_used(const struct check *c, const char *id)
{
	struct skf_err x = SKF_ERR_INIT;
	struct skf_ctr_live l;

	if (pod_is_up(c, id))
		return true;
	if (faccessat(c->g->ctr_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) < 0 || skf_ctr_live(c->g, id, &l, &x) < 0)
		return false;
	return skf_ctr_is_up(l.state) ||
	       (!c->repair && !l.lost && skf_now_ns() - l.finished_ns < SKF_HELLO_MS * 1000000LL);
}

static int check_record(struct check *c, const char *id, struct skf_err *e)
{
	SKF_AUTO_FD int lock = -EBADF;
	struct skf_err x = SKF_ERR_INIT;
	char name[SKF_ID_LEN + 16];
	int r = 0;

	if (!skf_ctr_id_valid(id) || is_used(c, id) || skf_fmt(name, sizeof(name), "container-%s", id) < 0)
		return 0;
	lock = skf_lock_at(c->g->locks_fd, name, true, 0);
	if (lock < 0)
		return lock == -EAGAIN ? 0 : skf_fail_sys(e, lock, "lock container %.12s", id);
	if (is_used(c, id) || faccessat(c->g->run_fd, RECORDS, F_OK, 0) < 0)
		return 0;
	if (c->repair)
		r = skf_net_down(c->g, id, &x);
	if (faccessat(c->g->ctr_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && !skf_pod_exists(c->g, id))
		(void)unlinkat(c->g->locks_fd, name, 0); /* it was made just now */
	return told(c, "network record", id, "its container does not run", r, &x, e);
}

static bool has_record(struct skf_engine *g, const char *id)
{
	char path[SKF_ID_LEN + 24];

	return skf_fmt(path, sizeof(path), RECORDS "/%s", id) == 0 &&
	       faccessat(g->run_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* A lease is taken after its record was written, and given back before it is removed: one without a record
 * is nobody's. */
static int check_leases(struct check *c, const char *dir, struct skf_err *e)
{
	SKF_AUTO_FD int fd = skf_openat(c->g->run_fd, dir, O_RDONLY | O_DIRECTORY, 0);
	SKF_AUTO_DIR DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *de;

	if (!d)
		return fd == -ENOENT
			       ? 0
			       : skf_fail_sys(e, fd < 0 ? fd : -errno, "list '%s/%s'", c->g->run_root, dir);
	(void)SKF_TAKE_FD(fd); /* d closes it */
	while ((de = readdir(d))) {
		struct skf_err x = SKF_ERR_INIT;
		char who[SKF_ID_LEN + 1];
		int r = 0;

		if (readlinkat(dirfd(d), de->d_name, who, SKF_ID_LEN) != SKF_ID_LEN)
			continue; /* ".single", the hint of the last address */
		who[SKF_ID_LEN] = '\0';
		if (!skf_ctr_id_valid(who) || has_record(c->g, who))
			continue;
		if (c->repair && unlinkat(dirfd(d), de->d_name, 0) < 0 && errno != ENOENT)
			r = skf_fail_sys(&x, -errno, "remove '%s/%s'", dir, de->d_name);
		if (told(c, "network lease", de->d_name, "it belongs to no container", r, &x, e) < 0)
			return -1;
	}
	return 0;
}

static int check_network_dir(struct check *c, const char *id, struct skf_err *e)
{
	char path[SKF_ID_LEN + 32];

	if (!skf_ctr_id_valid(id) || skf_fmt(path, sizeof(path), "networks/%s/addr", id) < 0)
		return 0;
	return check_leases(c, path, e);
}

int skf_check_networks(struct check *c, struct skf_err *e)
{
	if (skf_check_each(c, c->g->run_fd, RECORDS, check_record, e) < 0 ||
	    skf_check_each(c, c->g->run_fd, "networks", check_network_dir, e) < 0)
		return -1;
	return check_leases(c, "networks/.ports", e) < 0 ? -1
							 : check_leases(c, "networks/.ports/.single", e);
}
