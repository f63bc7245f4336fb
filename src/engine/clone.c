/* engine/clone.c -- podman's container clone: one more container like one that exists, made of its record
 * (again.c) and of what is said differently: limits, image, pod. What can be had once is not asked for
 * again: addresses, the name, a host name that was the container's id. Volumes with a name are shared, those
 * without are new ones, as nothing of what the container wrote goes along. The record is read without the
 * container's lock: it is replaced as a whole. Blocks as a create does, and with destroy as a removal. */
#include "engine/clone_int.h"
#include "engine/life.h"
#include "engine/net_int.h"
#include "engine/pod_int.h"
#include <string.h>

#define MAX_CLONES 10000 /* names that are tried */

/* "a" and "a-clone7": how much of it every clone's name begins with. */
static size_t stem(const char *name)
{
	static const char suffix[] = "-clone";
	size_t n = strlen(name), k = n;

	while (k && name[k - 1] >= '0' && name[k - 1] <= '9')
		k--;
	if (k > strlen(suffix) && strncmp(name + k - strlen(suffix), suffix, strlen(suffix)) == 0)
		return k - strlen(suffix);
	return n;
}

int skf_clone_name(struct skf_engine *g, const char *of, char ret[SKF_MAX_NAME_BYTES + 1], struct skf_err *e)
{
	char name[SKF_MAX_NAME_BYTES + 1], id[SKF_ID_LEN + 1];
	int n = (int)stem(of);

	for (unsigned i = 0; i < MAX_CLONES; i++) {
		int r = i ? skf_fmt(name, sizeof(name), "%.*s-clone%u", n, of, i)
			  : skf_fmt(name, sizeof(name), "%.*s-clone", n, of);

		if (r < 0)
			return skf_fail(e, SKF_ELIMIT,
					"the name '%s' is too long for a clone's, '%.*s-clone': give one "
					"with --name",
					of, n, of);
		r = skf_name_find(g, name, id, e);
		if (r < 0)
			return -1;
		if (r == 0) {
			memcpy(ret, name, sizeof(name));
			return 0;
		}
	}
	return skf_fail(e, SKF_ECONFLICT,
			"no free name found in %d tries for a clone of '%s': give one with --name",
			MAX_CLONES, of);
}

/* What is given replaces what the container has; --cpus and --cpu-quota are two words for one limit. */
static void set_limits(const struct skf_settings *q, struct skf_settings *s)
{
	const struct {
		int64_t given, *to;
	} numbers[] = {{q->memory, &s->memory},
		       {q->memory_swap, &s->memory_swap},
		       {q->memory_reservation, &s->memory_reservation},
		       {q->nano_cpus, &s->nano_cpus},
		       {q->cpu_quota, &s->cpu_quota},
		       {q->cpu_period, &s->cpu_period},
		       {q->cpu_shares, &s->cpu_shares},
		       {q->blkio_weight, &s->blkio_weight},
		       {q->cpu_rt_period, &s->cpu_rt_period},
		       {q->cpu_rt_runtime, &s->cpu_rt_runtime}};
	const struct {
		const struct skf_strv *given;
		struct skf_strv *to;
	} lists[] = {{&q->blkio_weight_device, &s->blkio_weight_device},
		     {&q->read_bps, &s->read_bps},
		     {&q->write_bps, &s->write_bps}};

	if (q->nano_cpus)
		s->cpu_quota = s->cpu_period = 0;
	if (q->cpu_quota || q->cpu_period)
		s->nano_cpus = 0;
	for (size_t i = 0; i < SKF_ARRAY_LEN(numbers); i++)
		if (numbers[i].given)
			*numbers[i].to = numbers[i].given;
	for (size_t i = 0; i < SKF_ARRAY_LEN(lists); i++)
		if (lists[i].given->n)
			*lists[i].to = *lists[i].given;
	if (q->cpuset_cpus)
		s->cpuset_cpus = q->cpuset_cpus;
	if (q->cpuset_mems)
		s->cpuset_mems = q->cpuset_mems;
	if (q->has_memory_swappiness) {
		s->has_memory_swappiness = true;
		s->memory_swappiness = q->memory_swappiness;
	}
}

/* The container's image is there as long as the container is; its name may mean another one by now. */
static int set_image(struct skf_engine *g, const struct skf_clone_req *q, const struct skf_ctrconf *c,
		     struct skf_arena *a, struct skf_create_req *x)
{
	struct skf_err why = SKF_ERR_INIT;
	struct skf_refrec ref;
	struct skf_image *i;

	if (q->image) {
		x->image = q->image;
		x->s.rootfs = NULL;
		x->docker_config = q->docker_config;
		return 0;
	}
	if (x->s.rootfs)
		return 0;
	x->pull = SKF_PULL_NEVER;
	if (skf_store_resolve(g->store, x->image, a, &i, &ref, &why) < 0 ||
	    !skf_streq(i->config.s, c->image_id))
		x->image = c->image_id;
	return 0;
}

/* In a pod it has no network and no host name of its own, where the pod has them. */
static int set_pod(struct skf_engine *g, const struct skf_clone_req *q, struct skf_arena *a,
		   struct skf_create_req *x, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];
	struct skf_pod *pod;

	if (q->pod && *q->pod)
		x->pod = q->pod;
	if (!x->pod || !*x->pod)
		return 0;
	if (skf_engine_pod_resolve(g, x->pod, id, e) < 0 || skf_pod_load(g, id, a, &pod, e) < 0)
		return -1;
	if (pod->share & SKF_POD_NET)
		x->net = (struct skf_net_req){.expose = x->net.expose};
	if (pod->share & SKF_POD_UTS)
		x->hostname = NULL;
	return 0;
}

/* Was the host name said, or is it the container's id? */
static bool has_hostname(const struct skf_ctr_request *r, const char *id)
{
	for (size_t i = 0; i < r->from.n; i++)
		if (skf_streq(r->from.v[i].k, "hostname"))
			return skf_streq(r->from.v[i].v, "flag");
	return r->hostname && !skf_startswith(id, r->hostname) && !r->from.n;
}

static int check_destroy(struct skf_engine *g, const char *id, const struct skf_clone_req *q,
			 const struct skf_ctrconf *c, struct skf_err *e)
{
	struct skf_ctr_live l;

	if (!q->destroy || q->force)
		return 0;
	if (skf_ctr_live(g, id, &l, e) < 0)
		return -1;
	if (skf_ctr_is_up(l.state))
		return skf_fail(e, SKF_ECONFLICT,
				"cannot remove container \"/%s\": container is %s: stop it before it is "
				"cloned with --destroy, or use --force",
				c->name, skf_ctr_state_name(l.state));
	return 0;
}

int skf_engine_clone(struct skf_engine *g, const struct skf_clone_req *q,
		     const struct skf_progress *progress, char ret_id[SKF_ID_LEN + 1], struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	char id[SKF_ID_LEN + 1], made[SKF_ID_LEN + 1], name[SKF_MAX_NAME_BYTES + 1];
	struct skf_create_req x;
	struct skf_ctr_request *r;
	struct skf_net_conf *n;
	struct skf_ctrconf *c;

	if (skf_engine_resolve(g, q->container, id, e) < 0 || skf_ctr_load(g, id, &a, &c, e) < 0 ||
	    check_destroy(g, id, q, c, e) < 0 || skf_net_conf_read(g, id, &a, &n, e) < 0 ||
	    skf_ctr_request_parse(c->request, &a, &r, e) < 0 || skf_ctr_again(c, r, n, &a, &x, e) < 0)
		return -1;
	x.h.cancel_fd = q->h.cancel_fd;
	skf_net_again_elsewhere(&x.net, true, true);
	if (!has_hostname(r, id))
		x.hostname = NULL;
	if (q->limits)
		set_limits(q->limits, &x.s);
	if (set_image(g, q, c, &a, &x) < 0 || set_pod(g, q, &a, &x, e) < 0 ||
	    (!q->name && skf_clone_name(g, c->name, name, e) < 0))
		return -1;
	x.name = q->name ? q->name : name;
	if (skf_engine_create(g, &x, progress, made, e) < 0)
		return skf_ctx(e, "clone container '%s'", c->name);
	memcpy(ret_id, made, sizeof(made));
	if (q->destroy && skf_engine_rm(g, id, q->force, false, e) < 0)
		return skf_ctx(e, "container %.12s was made, but the original was not removed", made);
	return 0;
}
