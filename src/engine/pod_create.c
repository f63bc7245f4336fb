/* engine/pod_create.c -- a pod comes into being and goes: name, directory, pod.json last. A failure takes
 * back what the steps before it made; what a crash leaves is found by `skiff system check`. Blocks on the
 * pod's lock. */
#include "engine/create_int.h"
#include "engine/net_int.h"
#include "engine/pod_int.h"
#include "engine/selinux.h"
#include "monitor/event.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static int no_memory(struct skf_err *e)
{
	return skf_fail(e, SKF_ENOMEM, "memory for a pod");
}

void skf_pod_tell(struct skf_engine *g, const char *action, const char *id, const char *name)
{
	int r = skf_event_emit(g->run_fd, "pod", action, id, name, "", -1);

	if (r < 0)
		skf_warn(&g->log, "write the event '%s' of pod %.12s: %s; ignoring", action, id,
			 strerror(-r));
}

static int labels(const struct skf_strv *from, struct skf_arena *a, struct skf_kvs *ret, struct skf_err *e)
{
	if (from->n == 0)
		return 0;
	ret->v = skf_arena_array(a, from->n, sizeof(*ret->v));
	if (!ret->v)
		return no_memory(e);
	for (size_t i = 0; i < from->n; i++) {
		const char *l = from->v[i], *eq = strchr(l, '=');
		struct skf_kv kv;

		if (eq == l || !*l)
			return skf_fail(e, SKF_EINVALID, "invalid label '%s': expected KEY=VALUE", l);
		kv.k = skf_arena_dup(a, l, eq ? (size_t)(eq - l) : strlen(l));
		kv.v = skf_arena_strdup(a, eq ? eq + 1 : "");
		if (!kv.k || !kv.v)
			return no_memory(e);
		ret->v[ret->n++] = kv;
	}
	return 0;
}

static int check(const struct skf_pod_create_req *q, struct skf_err *e)
{
	const char *x = q->exit_policy ? q->exit_policy : "continue";

	if (q->name && !skf_name_valid(q->name))
		return skf_fail(e, SKF_EINVALID,
				"Invalid pod name (%s), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed",
				q->name);
	if (!skf_streq(x, "continue") && !skf_streq(x, "stop"))
		return skf_fail(e, SKF_EINVALID,
				"invalid pod exit policy: \"%s\": expected continue or stop", x);
	if (q->hostname && (strlen(q->hostname) > 64 || strpbrk(q->hostname, " \t\n/")))
		return skf_fail(e, SKF_EINVALID,
				"invalid hostname '%.80s': expected at most 64 characters without spaces "
				"and slashes",
				q->hostname);
	if (!(q->share & SKF_POD_NET) &&
	    (q->net.networks.n || q->net.publish.n || q->net.dns.n || q->net.add_host.n))
		return skf_fail(e, SKF_EINVALID,
				"cannot set networks, ports, DNS or hosts when the pod does not share the "
				"network namespace");
	if (q->hostname && *q->hostname && !(q->share & SKF_POD_UTS))
		return skf_fail(e, SKF_EINVALID,
				"cannot set hostname when the pod does not share the UTS namespace");
	return 0;
}

static int remove_older(struct skf_engine *g, const char *name, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];

	if (skf_engine_pod_rm(g, name, true, id, e) == 0)
		return 0;
	if (e->kind != SKF_ENOTFOUND)
		return -1;
	skf_err_clear(e);
	return 0;
}

/* What a container's plan says of its networks, for the pod; and the files that its containers see as
 * /etc/hosts and so on. */
static int make_network(struct skf_engine *g, const struct skf_pod_create_req *q, const struct skf_pod *p,
			int dir, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_create_req c = SKF_REQ(struct skf_create_req);
	SKF_AUTO_FREE struct skf_plan *plan = calloc(1, sizeof(*plan));

	if (!plan)
		return no_memory(e);
	c.net = q->net;
	plan->g = g;
	plan->q = &c;
	plan->a = &a;
	if (skf_plan_network(plan, e) < 0)
		return -1;
	if (plan->net.target)
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"the network mode '%s' is not supported for pods: expected a network, none or host",
			plan->conf.network);
	plan->net.hostname = p->hostname;
	return skf_ctr_hostfiles(dir, p->hostname,
				 skf_streq(plan->net.mode, "host") ||
					 skf_streq(plan->net.mode, SKF_NET_MODE_PATH),
				 e) < 0
		       ? -1
		       : skf_net_conf_write(dir, &plan->net, e);
}

/* The ids that all its containers have: picked and written down as a container's are. */
static int make_userns(struct skf_engine *g, const struct skf_pod_create_req *q, const char *id,
		       struct skf_pod *p, int dir, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_create_req c = SKF_REQ(struct skf_create_req);
	SKF_AUTO_FREE struct skf_plan *plan = calloc(1, sizeof(*plan));

	if (!plan)
		return no_memory(e);
	c.s.userns = q->userns;
	c.s.uidmap = q->uidmap;
	c.s.gidmap = q->gidmap;
	c.s.subuidname = q->subuidname;
	c.s.subgidname = q->subgidname;
	plan->g = g;
	plan->q = &c;
	plan->a = &a;
	if (skf_plan_userns(plan, e) < 0)
		return -1;
	if (!plan->gen.ns[SKF_NS_USER].on)
		return 0;
	if (plan->userns.path || plan->conf.joins.n)
		return skf_fail(e, SKF_EINVALID,
				"--userns=%s: a pod makes a user namespace of its own: auto, private, "
				"keep-id, or --uidmap",
				q->userns);
	if (skf_fmt(plan->id, sizeof(plan->id), "%s", id) < 0 ||
	    skf_fmt(plan->dir, sizeof(plan->dir), "%s/pods/%s", g->root, id) < 0)
		return skf_fail(e, SKF_ELIMIT, "the root directory '%.64s...' is too long", g->root);
	if (plan->userns.is_auto && !plan->userns.size)
		plan->userns.size = (uint32_t)g->conf.userns_max_size; /* its images are not known yet */
	if (skf_plan_userns_take(plan, dir, e) < 0)
		return -1;
	p->userns = q->userns && *q->userns ? q->userns
		    : plan->req.s.userns    ? plan->req.s.userns
					    : g->conf.userns;
	return 0;
}

static int make_dir(struct skf_engine *g, const struct skf_pod_create_req *q, const char *id,
		    struct skf_pod *p, struct skf_arena *a, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	char path[SKF_ID_LEN + 24];
	int r = skf_fmt(path, sizeof(path), "pods/%s/members", id);

	dir = r < 0 ? r : skf_mkdirs_at(g->root_fd, path, 0700);
	if (dir < 0)
		return skf_fail_sys(e, dir, "make the directory '%s/%s'", g->root, path);
	skf_closep(&dir);
	if (skf_pod_dir(g, id, &dir, e) < 0 || (p->share & SKF_POD_NET && make_network(g, q, p, dir, e) < 0))
		return -1;
	if (make_userns(g, q, id, p, dir, e) < 0 || skf_pod_categories(g, id, dir, p, a, e) < 0)
		return -1;
	return skf_pod_save(dir, p, e);
}

static int give_back_categories(struct skf_engine *g, const char *id, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	char path[SKF_ID_LEN + 16], pair[SKF_MCS_SIZE];
	int r = skf_fmt(path, sizeof(path), "pods/%s", id);

	if (r == 0)
		r = dir = skf_openat(g->root_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (r == -ENOENT)
		return 0;
	if (r >= 0)
		r = skf_mcs_of(dir, pair);
	return r < 0 ? skf_fail_sys(e, r, "read the SELinux categories of pod %.12s", id)
		     : skf_mcs_release(g, pair, id, e);
}

static int remove_dir(struct skf_engine *g, const char *id, struct skf_err *e)
{
	char path[SKF_ID_LEN + 16];
	int r = skf_fmt(path, sizeof(path), "pods/%s/pod.json", id);

	if (give_back_categories(g, id, e) < 0)
		return -1;
	/* Without pod.json it is no pod any more; the rest may take its time, or be left to the check. */
	if (r == 0 && unlinkat(g->root_fd, path, 0) < 0 && errno != ENOENT)
		r = -errno;
	if (r == 0 && skf_fmt(path, sizeof(path), "pods/%s", id) == 0)
		r = skf_rmtree_at(g->root_fd, path);
	return r < 0 ? skf_fail_sys(e, r, "remove '%s/pods/%s'", g->root, id) : 0;
}

int skf_engine_pod_create(struct skf_engine *g, const struct skf_pod_create_req *q,
			  char ret_id[SKF_ID_LEN + 1], struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FD int lock = -EBADF;
	char id[SKF_ID_LEN + 1], name[SKF_MAX_NAME_BYTES + 1], created[36];
	struct skf_err ignored = SKF_ERR_INIT;
	struct skf_pod p = {.id = id, .name = name, .created = created, .share = q->share};
	int r;

	if (check(q, e) < 0 || labels(&q->labels, &a, &p.labels, e) < 0 ||
	    (q->replace && q->name && remove_older(g, q->name, e) < 0))
		return -1;
	r = skf_id_random(id);
	if (r < 0)
		return skf_fail_sys(e, r, "make up a pod id");
	skf_time_rfc3339(skf_now_ns(), created);
	p.exit_policy = skf_arena_strdup(&a, q->exit_policy ? q->exit_policy : "continue");
	if (skf_ctr_lock(g, id, &lock, e) < 0)
		return -1;
	if (q->name)
		memcpy(name, q->name, strlen(q->name) + 1);
	r = q->name ? skf_name_claim(g, name, id, e) : skf_name_claim_random(g, id, name, e);
	if (r == 0) {
		p.hostname = skf_arena_strdup(&a, q->hostname && *q->hostname ? q->hostname : name);
		r = !p.hostname || !p.exit_policy ? no_memory(e) : make_dir(g, q, id, &p, &a, e);
		if (r < 0 &&
		    (remove_dir(g, id, &ignored) < 0 || skf_name_release(g, name, id, &ignored) < 0))
			skf_warn(&g->log, "%s; ignoring", ignored.msg);
	}
	if (r < 0) {
		skf_ctr_drop_lock(g, id, &lock);
		return -1;
	}
	skf_pod_tell(g, "create", id, name);
	memcpy(ret_id, id, sizeof(id));
	return 0;
}

static int remove_members(struct skf_engine *g, const char *id, bool force, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_strv m = {0};

	if (skf_pod_members(g, id, &a, &m, e) < 0)
		return -1;
	if (m.n && !force)
		return skf_fail(e, SKF_ECONFLICT,
				"pod %.12s has %zu containers: remove them first, or use --force", id, m.n);
	for (size_t i = 0; i < m.n; i++) {
		if (skf_engine_rm(g, m.v[i], true, true, e) == 0)
			continue;
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e);
	}
	return 0;
}

int skf_engine_pod_rm(struct skf_engine *g, const char *pod, bool force, char ret_id[SKF_ID_LEN + 1],
		      struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO_FD int lock = -EBADF;
	char id[SKF_ID_LEN + 1];
	struct skf_pod *p;

	if (skf_engine_pod_resolve(g, pod, id, e) < 0 || skf_ctr_lock(g, id, &lock, e) < 0 ||
	    skf_pod_load(g, id, &a, &p, e) < 0)
		return -1;
	if (remove_members(g, id, force, e) < 0 || skf_pod_unhold(g, id, e) < 0 ||
	    remove_dir(g, id, e) < 0 || skf_name_release(g, p->name, id, e) < 0)
		return -1;
	skf_pod_tell(g, "remove", id, p->name);
	skf_ctr_drop_lock(g, id, &lock);
	memcpy(ret_id, id, sizeof(id));
	return 0;
}
