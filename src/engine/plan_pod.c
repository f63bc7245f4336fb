/* engine/plan_pod.c -- a container in a pod: what it shares it cannot have of its own, and its cgroup is
 * below the pod's. Which namespaces those are is looked up by launch at each start (launch/pod.c): the pod's
 * holder may be another one by then. */
#include "engine/create_int.h"
#include "engine/pod_int.h"
#include <string.h>

/* Flags that mean nothing once the pod has the namespace; podman's words. */
static int conflicts(const struct skf_plan *p, struct skf_err *e)
{
	const struct skf_create_req *q = p->q;
	const struct {
		uint32_t share;
		bool given;
		const char *what;
	} rows[] = {
		{SKF_POD_NET,
		 q->net.networks.n || q->net.dns.n || q->net.dns_search.n || q->net.dns_opt.n ||
			 q->net.add_host.n || q->net.egress,
		 "networks must be defined when the pod is created"},
		{SKF_POD_NET, q->net.publish.n || q->net.publish_all,
		 "published ports must be defined when the pod is created"},
		{SKF_POD_UTS, (q->hostname && *q->hostname) || (q->s.uts && *q->s.uts),
		 "cannot set hostname when joining the pod UTS namespace"},
		{SKF_POD_IPC, q->s.ipc && *q->s.ipc, "cannot set --ipc when joining the pod IPC namespace"},
		{SKF_POD_PID, q->s.pid && *q->s.pid, "cannot set --pid when joining the pod PID namespace"},
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++)
		if (p->pod->share & rows[i].share && rows[i].given)
			return skf_fail(e, SKF_EINVALID,
					"invalid configuration of a container in pod '%s': %s", p->pod->name,
					rows[i].what);
	return 0;
}

int skf_plan_pod(struct skf_plan *p, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1];

	if (!p->q->pod || !*p->q->pod)
		return 0;
	if (skf_engine_pod_resolve(p->g, p->q->pod, id, e) < 0 ||
	    skf_pod_load(p->g, id, p->a, &p->pod, e) < 0 || conflicts(p, e) < 0)
		return -1;
	p->conf.pod = p->pod->id;
	p->gen.cgroup = skf_arena_fmt(p->a, SKF_POD_CGROUP "/%s/%s", id, p->id);
	if (p->pod->share & SKF_POD_NET)
		p->gen.hosts_dir = skf_arena_fmt(p->a, "%s/pods/%s", p->g->root, id);
	return p->gen.cgroup && p->gen.hosts_dir ? 0 : skf_plan_no_memory(e);
}
