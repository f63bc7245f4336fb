/* engine/net_remove.c -- network rm, prune, reload. A network goes when no running container is on it; a
 * container that only wants it fails at its next start, as with docker.
 *
 * Invariant: whoever starts writes its record first and looks then whether the network is still there
 * (net_up.c); whoever removes takes the network away first and looks then for records: of two at the same
 * moment one gives way. */
#include "engine/filter.h"
#include "engine/net_cni.h"
#include "network/resolver.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define REMOVED "removed"

int skf_net_user(struct skf_engine *g, const char *network, struct skf_arena *a, const char **ret,
		 struct skf_err *e)
{
	struct skf_strv ids = {0};

	if (skf_netrec_list(g->run_fd, a, &ids, e) < 0)
		return -1;
	for (size_t i = 0; i < ids.n; i++) {
		const struct skf_endpoint *p;
		struct skf_netrec *r;
		int k = skf_netrec_read(g->run_fd, ids.v[i], a, &r, e);

		if (k < 0)
			return -1;
		p = k ? r->endpoints.v : NULL;
		for (size_t j = 0; k && j < r->endpoints.n; j++)
			if (skf_streq(p[j].network, network)) {
				*ret = ids.v[i];
				return 1;
			}
	}
	return 0;
}

static int in_use(const struct skf_network *n, const char *who, struct skf_err *e)
{
	return skf_fail(
		e, SKF_ECONFLICT,
		"error while removing network: network %s id %.12s has active endpoints (container %.12s)",
		n->name, n->id, who);
}

static int disconnect_all(struct skf_engine *g, const struct skf_network *n, struct skf_arena *a,
			  struct skf_err *e)
{
	const char *who, *last = "";
	int r;

	while ((r = skf_net_user(g, n->id, a, &who, e)) == 1) {
		if (skf_streq(who, last)) /* a record of what does not run any more: the check's */
			return in_use(n, who, e);
		if (skf_engine_network_disconnect(g, n->id, who, true, e) < 0)
			return -1;
		last = who;
	}
	return r;
}

static int drop_run_dir(struct skf_engine *g, const char *id)
{
	SKF_AUTO_FD int dir = skf_openat(g->run_fd, "networks", O_RDONLY | O_DIRECTORY, 0);

	return dir == -ENOENT ? 0 : dir < 0 ? dir : skf_rmtree_at(dir, id);
}

/* run/networks/<id>/removed -> "<driver> <interface>": from before the network goes until nothing of it is
 * left. */
static int note_removal(struct skf_engine *g, const struct skf_network *n, struct skf_err *e)
{
	char path[SKF_ID_LEN + 16], what[64];
	SKF_AUTO_FD int dir = -EBADF;
	int r = skf_fmt(path, sizeof(path), "networks/%s", n->id) < 0 ||
				skf_fmt(what, sizeof(what), "%s %s", n->driver, n->interface) < 0
			? -ENAMETOOLONG
			: 0;

	if (r == 0)
		r = dir = skf_mkdirs_at(g->run_fd, path, 0700);
	if (r >= 0 && symlinkat(what, dir, REMOVED) < 0 && errno != EEXIST)
		r = -errno;
	return r < 0 ? skf_fail_sys(e, r, "note the removal of network '%s'", n->name) : 0;
}

static void forget_removal(struct skf_engine *g, const struct skf_network *n)
{
	char path[SKF_ID_LEN + 32];

	if (skf_fmt(path, sizeof(path), "networks/%s/" REMOVED, n->id) == 0)
		(void)unlinkat(g->run_fd, path, 0); /* a note about a network that exists is not looked at */
}

int skf_net_finish_remove(struct skf_engine *g, const char *id, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	char path[SKF_ID_LEN + 32], what[64], *space;
	struct skf_network n = {.id = (char *)(uintptr_t)id, .name = (char *)(uintptr_t)id};
	const char *who;
	ssize_t len;
	int r = skf_net_user(g, id, &a, &who, e);

	if (r != 0)
		return r < 0 ? -1 : in_use(&n, who, e);
	len = skf_fmt(path, sizeof(path), "networks/%s/" REMOVED, id) < 0
		      ? -1
		      : readlinkat(g->run_fd, path, what, sizeof(what) - 1);
	if (len > 0) {
		what[len] = '\0';
		space = strchr(what, ' ');
		if (space)
			*space = '\0';
		n.driver = what;
		n.interface = space ? space + 1 : what + len;
		if (skf_net_host_down(g, &n, e) < 0 ||
		    skf_net_table_load(g, e) < 0) /* its subnets are not known any more */
			return -1;
	}
	r = drop_run_dir(g, id);
	if (r == 0 && skf_fmt(path, sizeof(path), "network-%s", id) == 0 &&
	    unlinkat(g->locks_fd, path, 0) < 0 && errno != ENOENT)
		r = -errno;
	return r < 0 ? skf_fail_sys(e, r, "remove what is left of network %.12s", id) : 0;
}

/* The lock "networks" is held. */
static int remove_network(struct skf_engine *g, const struct skf_network *n, struct skf_arena *a,
			  struct skf_err *e)
{
	char lock[SKF_ID_LEN + 16];
	const char *who;
	int r = skf_net_user(g, n->id, a, &who, e);

	if (r != 0)
		return r < 0 ? -1 : in_use(n, who, e);
	if (note_removal(g, n, e) < 0 || skf_network_remove(g->root_fd, n->id, n->name, e) < 0)
		return -1;
	r = skf_net_user(g, n->id, a, &who, e);
	if (r != 0) { /* it came in between: the network stays */
		forget_removal(g, n);
		if (skf_network_save(g->root_fd, n, e) < 0 ||
		    skf_network_claim(g->root_fd, n->name, n->id, e) < 0)
			return -1;
		return r < 0 ? -1 : in_use(n, who, e);
	}
	if (skf_net_host_down(g, n, e) < 0)
		return -1;
	r = drop_run_dir(g, n->id);
	if (r < 0)
		return skf_fail_sys(e, r, "remove the leases of network '%s'", n->name);
	if (skf_fmt(lock, sizeof(lock), "network-%s", n->id) == 0)
		(void)unlinkat(g->locks_fd, lock,
			       0); /* an empty file: left behind it is found by the check */
	return 0;
}

static int lock_networks(struct skf_engine *g, struct skf_err *e)
{
	int fd = skf_lock_at(g->locks_fd, "networks", true, SKF_LOCK_MS);

	return fd < 0 ? skf_fail_sys(e, fd, "lock the networks") : fd;
}

int skf_engine_network_rm(struct skf_engine *g, const char *name, bool force, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FD int lock = -EBADF;
	struct skf_network *n;

	if (skf_streq(name, "host") || skf_streq(name, "none") || skf_streq(name, SKF_NET_DEFAULT))
		return skf_fail(e, SKF_EDENIED, "%s is a pre-defined network and cannot be removed", name);
	if (skf_network_find(g->root_fd, name, &a, &n, e) < 0) {
		if (e->kind == SKF_ENOTFOUND)
			(void)skf_net_cni_refuse(g, name, "removed",
						 e); /* the better words for a name that is one */
		return -1;
	}
	if (force && disconnect_all(g, n, &a, e) < 0)
		return -1;
	lock = lock_networks(g, e);
	return lock < 0 ? -1 : remove_network(g, n, &a, e);
}

static bool prunable(const struct skf_network_row *r, const struct skf_strv *used,
		     const struct skf_filters *f, int64_t until)
{
	if (skf_streq(r->name, SKF_NET_DEFAULT) || skf_streq(r->name, "host") ||
	    skf_streq(r->name, "none") || skf_streq(r->driver, SKF_NET_CNI))
		return false;
	for (size_t k = 0; k < used->n; k++)
		if (skf_streq(used->v[k], r->id))
			return false;
	return skf_filters_prune(f, &r->labels, r->created_ns, until);
}

static int prune_rows(struct skf_engine *g, const struct skf_jarr *rows, const struct skf_filters *f,
		      struct skf_arena *a, struct skf_strv *ret, struct skf_err *e)
{
	const struct skf_network_row *v = rows->v;
	struct skf_strv used = {0};
	int64_t until;

	if (skf_filters_until(f, &until, e) < 0 || skf_net_used(g, a, &used, e) < 0)
		return -1;
	for (size_t i = 0; i < rows->n; i++) {
		struct skf_network *n;

		if (!prunable(&v[i], &used, f, until))
			continue;
		if (skf_network_load(g->root_fd, v[i].id, a, &n, e) < 0 || remove_network(g, n, a, e) < 0) {
			if (e->kind != SKF_ENOTFOUND && e->kind != SKF_ECONFLICT)
				return -1;
			skf_err_clear(e); /* gone, or in use since */
			continue;
		}
		if (skf_strv_add(a, ret, n->name) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for the names of removed networks");
	}
	return skf_net_cni_gc(g, e);
}

int skf_engine_network_prune(struct skf_engine *g, const struct skf_strv *filters, struct skf_arena *a,
			     struct skf_strv *ret, struct skf_err *e)
{
	static const char *const known[] = {"until", "label", "label!",
					    NULL}; /* docker and podman refuse the words of ls here */
	static const struct skf_strv all;
	SKF_AUTO_FD int lock = -EBADF;
	struct skf_filters f = {0};
	struct skf_jarr rows;
	int r = skf_filters_parse(filters, known, a, &f, e);

	if (r == 0) /* takes the lock itself where the default network has to be made */
		r = skf_engine_network_list(g, &all, a, &rows, e);
	lock = r == 0 ? lock_networks(g, e) : -1;
	if (lock < 0)
		r = -1;
	if (r == 0)
		r = prune_rows(g, &rows, &f, a, ret, e);
	skf_filters_done(&f);
	return r;
}

int skf_engine_network_reload(struct skf_engine *g, struct skf_err *e)
{
	if (skf_net_table_load(g, e) < 0)
		return -1;
	return skf_resolver_restart(g->run_root, e);
}
