/* engine/net_check_objects.c -- the check's pass over networks as objects: what a create or rm that was
 * killed left half made or half gone. All of it under the lock "networks", which every create and rm holds:
 * what is seen is not on its way. a network without its name           killed between the object and its
 * claim: the name is claimed, or the network, which nobody could mean, goes a name of no network killed in
 * rm: the name goes run/networks/<id> of no network      killed in rm: `removed` in it (net_remove.c) says
 * which interface goes with it */
#include "engine/check_int.h"
#include "engine/net_int.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int told(struct check *c, const char *kind, const char *object, const char *problem, const char *done,
		const struct skf_err *x, struct skf_err *e)
{
	char text[600];

	snprintf(text, sizeof(text), x->kind ? "repair failed: %s" : "%s", x->kind ? x->msg : done);
	return skf_check_report(c, kind, object, problem, c->repair ? text : "", e);
}

static int look_object(struct check *c, const char *id, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_err x = SKF_ERR_INIT;
	struct skf_network *n, *named;
	const char *done = "the name is its own again";
	int r;

	if (!skf_is_hex(id, SKF_ID_LEN))
		return 0;
	if (skf_network_load(c->g->root_fd, id, &a, &n, &x) < 0)
		return x.kind == SKF_ENOTFOUND ? 0 : told(c, "network", id, x.msg, "kept", &x, e);
	if (skf_network_find(c->g->root_fd, n->name, &a, &named, &x) == 0 && skf_streq(named->id, id))
		return 0;
	skf_err_clear(&x);
	if (c->repair) {
		r = skf_network_claim(c->g->root_fd, n->name, n->id, &x);
		if (r == 0) { /* another network has it */
			done = "removed";
			(void)skf_network_remove(c->g->root_fd, n->id, n->name, &x); /* x says it */
		}
	}
	return told(c, "network", id, "its name does not lead to it", done, &x, e);
}

static int look_name(struct check *c, const char *name, struct skf_err *e)
{
	char path[SKF_ID_LEN + 32], id[SKF_ID_LEN + 2], link[512];
	struct skf_err x = SKF_ERR_INIT;
	ssize_t n = -1;

	if (*name == '.' || skf_fmt(link, sizeof(link), "networks/.names/%s", name) < 0)
		return 0;
	n = readlinkat(c->g->root_fd, link, id, SKF_ID_LEN + 1);
	id[n < 0 ? 0 : n] = '\0';
	if (skf_is_hex(id, SKF_ID_LEN) && skf_fmt(path, sizeof(path), "networks/%s/network.json", id) == 0 &&
	    faccessat(c->g->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (c->repair && unlinkat(c->g->root_fd, link, 0) < 0 && errno != ENOENT)
		skf_fail_sys(&x, -errno, "remove the network name '%s'", name);
	return told(c, "network name", name, "it belongs to no network", "removed", &x, e);
}

static int look_run_dir(struct check *c, const char *id, struct skf_err *e)
{
	struct skf_err x = SKF_ERR_INIT;
	char path[SKF_ID_LEN + 32];

	if (!skf_is_hex(id, SKF_ID_LEN) || skf_fmt(path, sizeof(path), "networks/%s/network.json", id) < 0 ||
	    faccessat(c->g->root_fd, path, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return 0;
	if (c->repair)
		(void)skf_net_finish_remove(c->g, id, &x); /* x says it */
	return told(c, "network", id, "it is removed, what it had on the host is not", "removed", &x, e);
}

int skf_check_network_objects(struct check *c, struct skf_err *e)
{
	SKF_AUTO_FD int lock = skf_lock_at(c->g->locks_fd, "networks", true, SKF_HELLO_MS);

	if (lock == -ETIMEDOUT || lock == -EAGAIN)
		return 0; /* somebody makes or removes one at this moment */
	if (lock < 0)
		return skf_fail_sys(e, lock, "lock the networks");
	if (skf_check_each(c, c->g->root_fd, "networks", look_object, e) < 0 ||
	    skf_check_each(c, c->g->root_fd, "networks/.names", look_name, e) < 0)
		return -1;
	return skf_check_each(c, c->g->run_fd, "networks", look_run_dir, e);
}
