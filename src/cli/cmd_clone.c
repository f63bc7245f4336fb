/* cli/cmd_clone.c -- clones of containers and pods: from flags to the engine's requests. */
#include "cli/cli_int.h"
#include "engine/life.h"
#include "engine/pod.h"

#define STATUS 125

/* --name or the word behind what is cloned. */
static int set_name(struct skf_cli *c, const char **ret)
{
	if (c->args.n > 1 && c->o.name)
		return skf_fail(&c->e, SKF_EINVALID, "cannot specify --name and a positional name");
	*ret = c->args.n > 1 ? c->args.v[1] : c->o.name;
	return 0;
}

static int start(struct skf_cli *c, const char *id)
{
	struct skf_start_req q = SKF_REQ(struct skf_start_req);
	struct skf_run_handle h;

	q.container = id;
	q.stdio[0] = q.stdio[1] = q.stdio[2] = -EBADF;
	return skf_engine_start(c->g, &q, &h, &c->e);
}

int skf_cmd_clone(struct skf_cli *c)
{
	struct skf_clone_req q = SKF_REQ(struct skf_clone_req);
	struct skf_cli_progress progress;
	struct skf_settings limits;
	char id[SKF_ID_LEN + 1];
	int r;

	if (c->o.force && !c->o.destroy)
		return skf_fail(&c->e, SKF_EINVALID, "cannot set --force without --destroy"),
		       skf_cli_usage(c);
	if (set_name(c, &q.name) < 0)
		return skf_cli_usage(c);
	skf_cli_settings(c, &limits);
	q.container = c->args.v[0];
	q.image = c->args.n > 2 ? c->args.v[2] : NULL;
	q.pod = c->o.pod;
	q.limits = &limits;
	q.destroy = c->o.destroy;
	q.force = c->o.force;
	q.docker_config = skf_cli_docker_config(c);
	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, STATUS);
	skf_cli_progress_init(&progress, stderr, false);
	r = skf_engine_clone(c->g, &q, &progress.p, id, &c->e);
	skf_cli_progress_done(&progress);
	if (r < 0 || (c->o.run && start(c, id) < 0))
		return skf_cli_fail(c, STATUS);
	printf("%s\n", id);
	return 0;
}

int skf_cmd_pod_clone(struct skf_cli *c)
{
	struct skf_pod_clone_req q = SKF_REQ(struct skf_pod_clone_req);
	struct skf_pod_do_req go = SKF_REQ(struct skf_pod_do_req);
	char id[SKF_ID_LEN + 1];

	if (set_name(c, &q.name) < 0)
		return skf_cli_usage(c);
	if (skf_cli_labels(c, &q.labels) < 0 || skf_cli_engine(c) < 0)
		return skf_cli_fail(c, STATUS);
	q.pod = c->args.v[0];
	q.hostname = c->o.hostname;
	q.userns = c->o.s.userns;
	q.uidmap = c->o.s.uidmap;
	q.gidmap = c->o.s.gidmap;
	q.subuidname = c->o.s.subuidname;
	q.subgidname = c->o.s.subgidname;
	q.destroy = c->o.destroy;
	if (skf_engine_pod_clone(c->g, &q, id, &c->e) < 0)
		return skf_cli_fail(c, STATUS);
	go.verb = SKF_POD_START;
	go.pod = id;
	go.timeout_s = -1;
	if (c->o.start && skf_engine_pod_do(c->g, &go, id, &c->e) < 0)
		return skf_cli_fail(c, STATUS);
	printf("%s\n", id);
	return 0;
}
