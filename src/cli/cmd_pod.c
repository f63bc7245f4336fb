/* cli/cmd_pod.c -- the verbs of pods that do something: from flags to the engine's request. What shows pods
 * is in cmd_pod_show.c. */
#include "cli/cli_int.h"
#include "base/proc.h"
#include "engine/pod.h"
#include <string.h>

int skf_cmd_pod_create(struct skf_cli *c)
{
	struct skf_pod_create_req q = SKF_REQ(struct skf_pod_create_req);
	char id[SKF_ID_LEN + 1];

	if (c->args.n && c->o.name)
		return skf_fail(&c->e, SKF_EINVALID, "cannot specify --name and a positional name"),
		       skf_cli_usage(c);
	q.name = c->args.n ? c->args.v[0] : c->o.name;
	q.hostname = c->o.hostname;
	q.labels = c->o.label;
	q.exit_policy = c->o.exit_policy;
	q.replace = c->o.replace;
	q.userns = c->o.s.userns;
	q.uidmap = c->o.s.uidmap;
	q.gidmap = c->o.s.gidmap;
	q.subuidname = c->o.s.subuidname;
	q.subgidname = c->o.s.subgidname;
	if (q.replace && !q.name)
		return skf_fail(&c->e, SKF_EINVALID, "cannot replace pod without --name being set"),
		       skf_cli_usage(c);
	if (skf_cli_net(c, &q.net) < 0)
		return skf_cli_usage(c);
	if (skf_pod_share_parse(c->o.share ? c->o.share : "net,ipc,uts", &q.share, &c->e) < 0)
		return skf_cli_usage(c);
	if (skf_cli_engine(c) < 0 || skf_engine_pod_create(c->g, &q, id, &c->e) < 0)
		return skf_cli_fail(c, 125);
	printf("%s\n", id);
	return 0;
}

/* Words of the command line, or with --all every pod. */
static int which(struct skf_cli *c, struct skf_strv *ret)
{
	const struct skf_pod_row *row;
	struct skf_jarr rows;

	if (c->o.all && c->args.n)
		return skf_fail(&c->e, SKF_EINVALID, "--all does not take names of pods"), -1;
	if (!c->o.all && !c->args.n)
		return skf_fail(&c->e, SKF_EINVALID,
				"expected the name or id of at least one pod, or --all"),
		       -1;
	if (!c->o.all) {
		*ret = c->args;
		return 0;
	}
	if (skf_engine_pod_ps(c->g, NULL, &c->a, &rows, &c->e) < 0)
		return -1;
	row = rows.v;
	for (size_t i = 0; i < rows.n; i++)
		if (skf_strv_add(&c->a, ret, row[i].id) < 0)
			return skf_fail(&c->e, SKF_ENOMEM, "memory for the names of pods");
	return 0;
}

/* One pod after the other; prints the id of each that it was done to. The worst status is returned. */
static int each(struct skf_cli *c,
		int (*fn)(struct skf_cli *c, const char *pod, void *arg, char id[SKF_ID_LEN + 1]), void *arg)
{
	struct skf_strv pods = {0};
	int status = 0;

	if (skf_cli_engine(c) < 0)
		return skf_cli_fail(c, 125);
	if (which(c, &pods) < 0)
		return skf_cli_usage(c);
	for (size_t i = 0; i < pods.n; i++) {
		char id[SKF_ID_LEN + 1];

		if (fn(c, pods.v[i], arg, id) == 0) {
			printf("%s\n", id);
			continue;
		}
		if (c->o.ignore && c->e.kind == SKF_ENOTFOUND) {
			skf_err_clear(&c->e);
			continue;
		}
		status = skf_cli_fail(c, 125);
		skf_err_clear(&c->e);
	}
	return status;
}

static int do_verb(struct skf_cli *c, const char *pod, void *arg, char id[SKF_ID_LEN + 1])
{
	struct skf_pod_do_req *q = arg;

	q->pod = pod;
	return skf_engine_pod_do(c->g, q, id, &c->e);
}

static int verb(struct skf_cli *c, enum skf_pod_verb v)
{
	struct skf_pod_do_req q = SKF_REQ(struct skf_pod_do_req);
	const char *name = c->o.signal ? c->o.signal : "KILL";

	q.verb = v;
	q.timeout_s = c->o.timeout < 0 ? -1 : (int)c->o.timeout;
	q.signal = v == SKF_POD_KILL ? skf_signal_parse(name) : 0;
	if (q.signal < 0)
		return skf_fail(&c->e, SKF_EINVALID, "invalid signal: %s", name), skf_cli_usage(c);
	return each(c, do_verb, &q);
}

int skf_cmd_pod_start(struct skf_cli *c)
{
	return verb(c, SKF_POD_START);
}

int skf_cmd_pod_stop(struct skf_cli *c)
{
	return verb(c, SKF_POD_STOP);
}

int skf_cmd_pod_restart(struct skf_cli *c)
{
	return verb(c, SKF_POD_RESTART);
}

int skf_cmd_pod_kill(struct skf_cli *c)
{
	return verb(c, SKF_POD_KILL);
}

int skf_cmd_pod_pause(struct skf_cli *c)
{
	return verb(c, SKF_POD_PAUSE);
}

int skf_cmd_pod_unpause(struct skf_cli *c)
{
	return verb(c, SKF_POD_UNPAUSE);
}

static int remove_one(struct skf_cli *c, const char *pod, void *arg, char id[SKF_ID_LEN + 1])
{
	(void)arg;
	return skf_engine_pod_rm(c->g, pod, c->o.force, id, &c->e);
}

int skf_cmd_pod_rm(struct skf_cli *c)
{
	return each(c, remove_one, NULL);
}

/* podman: every pod whose containers have all ended, or that has none and does not run. */
int skf_cmd_pod_prune(struct skf_cli *c)
{
	const struct skf_pod_row *row;
	struct skf_jarr rows;
	int status = 0;

	if (skf_cli_engine(c) < 0 || skf_engine_pod_ps(c->g, NULL, &c->a, &rows, &c->e) < 0)
		return skf_cli_fail(c, 125);
	row = rows.v;
	for (size_t i = 0; i < rows.n; i++) {
		char id[SKF_ID_LEN + 1];

		if (!skf_streq(row[i].status, "Exited") && !skf_streq(row[i].status, "Created") &&
		    !skf_streq(row[i].status, "Stopped"))
			continue;
		if (skf_engine_pod_rm(c->g, row[i].id, true, id, &c->e) == 0) {
			printf("%s\n", id);
			continue;
		}
		status = skf_cli_fail(c, 125);
		skf_err_clear(&c->e);
	}
	return status;
}

int skf_cmd_pod_exists(struct skf_cli *c)
{
	char id[SKF_ID_LEN + 1];

	if (skf_cli_engine(c) == 0 && skf_engine_pod_resolve(c->g, c->args.v[0], id, &c->e) == 0)
		return 0;
	return c->e.kind == SKF_ENOTFOUND ? 1 : skf_cli_fail(c, 125);
}

/* Ids of the containers of the pod that the first word names. */
static int containers_of(struct skf_cli *c, struct skf_strv *ret)
{
	const struct skf_pod_ctr *ctr;
	struct skf_pod_row row;

	if (skf_cli_engine(c) < 0 || skf_engine_pod_row(c->g, c->args.v[0], &c->a, &row, &c->e) < 0)
		return -1;
	ctr = row.containers.v;
	for (size_t i = 0; i < row.containers.n; i++)
		if (skf_strv_add(&c->a, ret, ctr[i].id) < 0)
			return skf_fail(&c->e, SKF_ENOMEM, "memory for the containers of a pod");
	return 0;
}

/* The verb of containers on all containers of one pod at once. */
static int on_containers(struct skf_cli *c, int (*fn)(struct skf_cli *c))
{
	struct skf_strv ids = {0};

	if (containers_of(c, &ids) < 0)
		return skf_cli_fail(c, 125);
	c->args = ids;
	return ids.n ? fn(c) : 0;
}

int skf_cmd_pod_logs(struct skf_cli *c)
{
	c->o.names = true;
	return on_containers(c, skf_cmd_logs);
}

int skf_cmd_pod_stats(struct skf_cli *c)
{
	return on_containers(c, skf_cmd_stats);
}

/* One table after the other: containers of one pod may have different programs. */
int skf_cmd_pod_top(struct skf_cli *c)
{
	struct skf_strv ids = {0};
	int status = 0;

	if (containers_of(c, &ids) < 0)
		return skf_cli_fail(c, 125);
	for (size_t i = 0; i < ids.n; i++) {
		c->args.v[0] = ids.v[i];
		status |= skf_cmd_top(c);
	}
	return status;
}
