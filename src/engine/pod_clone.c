/* engine/pod_clone.c -- podman's pod clone: one more pod like one that exists, with a clone of each of its
 * containers. Addresses are not taken twice. When a container cannot be cloned the new pod goes again, and
 * the old one stays as it is. Blocks as the create of its containers does. */
#include "engine/clone_int.h"
#include "engine/life.h"
#include "engine/net_int.h"
#include "engine/pod_int.h"
#include "oci/idmaps.h"
#include "oci/spec.h"
#include <string.h>

static int no_memory(struct skf_err *e)
{
	return skf_fail(e, SKF_ENOMEM, "memory for a pod");
}

static bool is_given(const struct skf_strv *labels, const char *key)
{
	size_t n = strlen(key);

	for (size_t i = 0; i < labels->n; i++)
		if (strncmp(labels->v[i], key, n) == 0 && (!labels->v[i][n] || labels->v[i][n] == '='))
			return true;
	return false;
}

static int set_labels(const struct skf_pod *p, const struct skf_strv *given, struct skf_arena *a,
		      struct skf_strv *ret, struct skf_err *e)
{
	for (size_t i = 0; i < p->labels.n; i++) {
		char *word = skf_arena_fmt(a, "%s=%s", p->labels.v[i].k, p->labels.v[i].v);

		if (!word || (!is_given(given, p->labels.v[i].k) && skf_strv_add(a, ret, word) < 0))
			return no_memory(e);
	}
	for (size_t i = 0; i < given->n; i++)
		if (skf_strv_add(a, ret, given->v[i]) < 0)
			return no_memory(e);
	return 0;
}

static int map_words(const struct skf_jarr *maps, struct skf_arena *a, struct skf_strv *ret,
		     struct skf_err *e)
{
	const struct skf_idmap *m = maps->v;

	for (size_t i = 0; i < maps->n; i++) {
		char *word = skf_arena_fmt(a, "%u:%u:%u", m[i].container_id, m[i].host_id, m[i].size);

		if (!word || skf_strv_add(a, ret, word) < 0)
			return no_memory(e);
	}
	return 0;
}

/* auto and keep-id mean something by themselves; else the pod's maps are said again. */
static int set_userns(struct skf_engine *g, const struct skf_pod *p, const struct skf_pod_clone_req *q,
		      struct skf_arena *a, struct skf_pod_create_req *x, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	struct skf_idmaps maps;
	int r;

	x->userns = q->userns;
	x->uidmap = q->uidmap;
	x->gidmap = q->gidmap;
	x->subuidname = q->subuidname;
	x->subgidname = q->subgidname;
	if (!p->userns || q->userns || q->uidmap.n || q->gidmap.n || q->subuidname || q->subgidname)
		return 0;
	if (skf_startswith(p->userns, "auto") || skf_startswith(p->userns, "keep-id")) {
		x->userns = p->userns;
		return 0;
	}
	if (skf_pod_dir(g, p->id, &dir, e) < 0)
		return -1;
	r = skf_idmaps_read_at(dir, a, &maps);
	if (r < 0)
		return skf_fail_sys(e, r, "read '%s/pods/%s/" SKF_IDS_FILE "'", g->root, p->id);
	return map_words(&maps.uids, a, &x->uidmap, e) < 0 || map_words(&maps.gids, a, &x->gidmap, e) < 0
		       ? -1
		       : 0;
}

static int set_network(struct skf_engine *g, const struct skf_pod *p, struct skf_arena *a,
		       struct skf_pod_create_req *x, struct skf_err *e)
{
	struct skf_net_conf *n;

	if (!(p->share & SKF_POD_NET))
		return 0;
	if (skf_net_conf_read(g, p->id, a, &n, e) < 0)
		return -1;
	if (skf_net_again(n, a, &x->net) < 0)
		return no_memory(e);
	skf_net_again_elsewhere(&x->net, true, true);
	return 0;
}

static int make_pod(struct skf_engine *g, const struct skf_pod *p, const struct skf_pod_clone_req *q,
		    char ret_id[SKF_ID_LEN + 1], struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_pod_create_req x = SKF_REQ(struct skf_pod_create_req);
	char name[SKF_MAX_NAME_BYTES + 1];

	if (!q->name && skf_clone_name(g, p->name, name, e) < 0)
		return -1;
	x.name = q->name ? q->name : name;
	x.hostname = q->hostname ? q->hostname : skf_streq(p->hostname, p->name) ? NULL : p->hostname;
	x.share = p->share;
	x.exit_policy = p->exit_policy;
	if (set_labels(p, &q->labels, &a, &x.labels, e) < 0 || set_userns(g, p, q, &a, &x, e) < 0 ||
	    set_network(g, p, &a, &x, e) < 0)
		return -1;
	return skf_engine_pod_create(g, &x, ret_id, e);
}

static int clone_members(struct skf_engine *g, const struct skf_strv *members, const char *to, int cancel_fd,
			 struct skf_err *e)
{
	for (size_t i = 0; i < members->n; i++) {
		struct skf_clone_req q = SKF_REQ(struct skf_clone_req);
		char id[SKF_ID_LEN + 1];

		q.h.cancel_fd = cancel_fd;
		q.container = members->v[i];
		q.pod = to;
		if (skf_engine_clone(g, &q, NULL, id, e) == 0)
			continue;
		if (e->kind != SKF_ENOTFOUND)
			return -1;
		skf_err_clear(e); /* removed meanwhile */
	}
	return 0;
}

int skf_engine_pod_clone(struct skf_engine *g, const struct skf_pod_clone_req *q,
			 char ret_id[SKF_ID_LEN + 1], struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	char id[SKF_ID_LEN + 1], made[SKF_ID_LEN + 1], gone[SKF_ID_LEN + 1];
	struct skf_err ignored = SKF_ERR_INIT;
	struct skf_strv members = {0};
	struct skf_pod *p;

	if (skf_engine_pod_resolve(g, q->pod, id, e) < 0 || skf_pod_load(g, id, &a, &p, e) < 0 ||
	    skf_pod_members(g, id, &a, &members, e) < 0 || make_pod(g, p, q, made, e) < 0)
		return -1;
	if (clone_members(g, &members, made, q->h.cancel_fd, e) < 0) {
		if (skf_engine_pod_rm(g, made, true, gone, &ignored) < 0)
			skf_warn(&g->log, "%s; ignoring", ignored.msg);
		return -1;
	}
	memcpy(ret_id, made, sizeof(made));
	if (q->destroy && skf_engine_pod_rm(g, id, true, gone, e) < 0)
		return skf_ctx(e, "pod %.12s was made, but the original was not removed", made);
	return 0;
}
