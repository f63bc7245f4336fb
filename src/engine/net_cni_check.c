/* engine/net_cni_check.c -- the check's pass over CNI: every attachment and every run/netns/<id> belongs to
 * a container that has a network record, and what runs is still attached as its plugins made it (CHECK).
 * What a start or reap at this moment is changing is protected by its container's lock. */
#include "engine/check_int.h"
#include "engine/net_cni.h"
#include "engine/pod_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static bool has_record(struct skf_engine *g, const char *id)
{
	char path[SKF_ID_LEN + 24];

	return skf_fmt(path, sizeof(path), "networks/.ctr/%s", id) == 0 &&
	       faccessat(g->run_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0;
}

/* Of a container that no start, reap or rm is at work on; -EBADF otherwise. */
static int try_lock(struct check *c, const char *id)
{
	char name[SKF_ID_LEN + 16];
	int fd = skf_fmt(name, sizeof(name), "container-%s", id);

	return fd < 0 ? -EBADF : skf_lock_at(c->g->locks_fd, name, true, 0);
}

static void unlock(struct check *c, const char *id, int *lock)
{
	if (*lock >= 0 && faccessat(c->g->ctr_fd, id, F_OK, AT_SYMLINK_NOFOLLOW) < 0 &&
	    !skf_pod_exists(c->g, id))
		skf_ctr_drop_lock(c->g, id, lock); /* it was made just now */
	skf_closep(lock);
}

static int told(struct check *c, const char *kind, const char *object, const char *problem,
		const struct skf_err *x, struct skf_err *e)
{
	char done[600];

	snprintf(done, sizeof(done), x->kind ? "repair failed: %s" : "given back", x->msg);
	return skf_check_report(c, kind, object, problem, c->repair ? done : "", e);
}

static int still_attached(struct check *c, const struct skf_cni_attachment *v, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_cni_call call = {
		.container_id = v->container_id, .ifname = v->ifname, .netns = v->netns};
	struct skf_err x = SKF_ERR_INIT;
	struct skf_cni_dirs d;
	struct skf_cni_list *l;
	char object[SKF_ID_LEN + 32], problem[700];

	if (skf_net_cni_list(c->g, &d, v->network, &a, &l, &x) == 0 &&
	    skf_cni_check(c->g->run_fd, &d, l, &call, &x) == 0)
		return 0;
	snprintf(object, sizeof(object), "%.64s", v->container_id);
	snprintf(problem, sizeof(problem), "its CNI network '%s': %s", v->network, x.msg);
	return skf_check_report(c, "container", object, problem,
				c->repair ? "kept: start the container again" : "", e);
}

static int check_attachment(struct check *c, const struct skf_cni_attachment *v, struct skf_err *e)
{
	int lock = try_lock(c, v->container_id), r;
	struct skf_err x = SKF_ERR_INIT;

	if (lock < 0)
		return 0;
	if (has_record(c->g, v->container_id)) {
		r = still_attached(c, v, e);
	} else {
		struct skf_cni_dirs d = skf_net_cni_dirs(c->g);
		const struct skf_cni_call call = {
			.container_id = v->container_id,
			.ifname = v->ifname,
			.netns = v->netns && faccessat(AT_FDCWD, v->netns, F_OK, 0) == 0 ? v->netns : NULL};

		if (c->repair)
			(void)skf_cni_del(c->g->run_fd, &d, v->network, NULL, &call, &x); /* x says it */
		r = told(c, "CNI attachment", v->container_id, "it belongs to no container that runs", &x,
			 e);
	}
	unlock(c, v->container_id, &lock);
	return r;
}

static int check_netns(struct check *c, const char *id, struct skf_err *e)
{
	struct skf_err x = SKF_ERR_INIT;
	int lock, r = 0, n;

	if (!skf_ctr_id_valid(id))
		return 0;
	lock = try_lock(c, id);
	if (lock < 0)
		return 0;
	if (!has_record(c->g, id) && faccessat(c->g->run_fd, "netns", F_OK, 0) == 0) {
		n = c->repair ? skf_net_cni_drop_netns(c->g, id) : 0;
		if (n < 0)
			skf_fail_sys(&x, n, "unmount '%s/netns/%s'", c->g->run_root, id);
		r = told(c, "network namespace", id, "it belongs to no container that runs", &x, e);
	}
	unlock(c, id, &lock);
	return r;
}

int skf_check_cni(struct check *c, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_cni_attachment *v;
	struct skf_jarr all;

	if (skf_cni_attached(c->g->run_fd, &a, &all, e) < 0)
		return -1;
	v = all.v;
	for (size_t i = 0; i < all.n; i++)
		if (check_attachment(c, &v[i], e) < 0)
			return -1;
	return skf_check_each(c, c->g->run_fd, "netns", check_netns, e);
}
