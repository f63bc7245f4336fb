/* engine/plan_from.c -- where the properties of a container come from: the last step of its plan. Only what
 * `explain` cannot see elsewhere is written down: a flag that is a member of "request" says so by itself,
 * and what has no row came from the default.
 *
 * Format (docs/formats.md): "request"."from" is an object, property -> source: "flag", "image", "pod",
 * "keep-id", "systemd", or the "FILE:LINE" of a configuration file; "*" is what everything else has. A
 * container without it was made by an older skiff. This runs at every start of a container: it allocates
 * once and formats nothing. */
#include "engine/create_int.h"
#include "engine/pod_int.h"
#include <string.h>

#define MAX_ROWS 48

static bool given(const char *s)
{
	return s && *s;
}

/* --security-opt NAME or NAME=VALUE was given. */
static bool has_opt(const struct skf_settings *s, const char *name)
{
	size_t n = strlen(name);

	for (size_t i = 0; i < s->security_opt.n; i++)
		if (strncmp(s->security_opt.v[i], name, n) == 0 &&
		    (!s->security_opt.v[i][n] || strchr("=:", s->security_opt.v[i][n])))
			return true;
	return false;
}

static void put(struct skf_kvs *m, const char *key, const char *source)
{
	m->v[m->n].k = (char *)(uintptr_t)key;
	m->v[m->n++].v = (char *)(uintptr_t)source;
}

/* What a flag, else the image decides. */
static void of_flags(struct skf_plan *p, struct skf_kvs *to)
{
	const struct skf_create_req *q = p->q;
	const struct skf_health_req *h = &q->life.health;
	const struct skf_net_req *n = &q->net;
	const char *user = p->userns.user ? "keep-id" : NULL, *stop = p->systemd ? "systemd" : NULL;
	bool net_pod = p->pod && p->pod->share & SKF_POD_NET,
	     uts_pod = p->pod && p->pod->share & SKF_POD_UTS;
	const struct {
		const char *key;
		bool flag;
		const char *otherwise; /* NULL: the default */
	} rows[] = {
		{"user", given(q->user),
		 user                 ? user
		 : given(p->ic->user) ? "image"
				      : NULL},
		{"workdir", given(q->workdir), given(p->ic->working_dir) ? "image" : NULL},
		{"entrypoint", q->has_entrypoint, p->ic->entrypoint.n ? "image" : NULL},
		{"cmd", q->command.n, p->req.cmd.n ? "image" : NULL},
		{"stopSignal", given(q->stop_signal), given(p->ic->stop_signal) ? "image" : stop},
		{"health", h->none || given(h->cmd), p->conf.health ? "image" : NULL},
		{"healthTimes",
		 h->interval_ns || h->timeout_ns || h->start_period_ns || h->start_interval_ns || h->retries,
		 p->conf.health && p->ic->healthcheck_raw ? "image" : NULL},
		{"healthOnFailure", h->on_failure != NULL, NULL},
		{"hostname", given(q->hostname), uts_pod ? "pod" : NULL},
		{"network", n->networks.n, net_pod ? "pod" : NULL},
		{"publish", n->publish.n || n->publish_all, net_pod ? "pod" : NULL},
		{"egress", n->egress || n->egress_allow.n, net_pod ? "pod" : NULL},
		{"logDriver", q->life.log_driver != NULL, NULL},
		{"restart", q->life.restart != NULL, NULL},
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++)
		if (rows[i].flag || rows[i].otherwise)
			put(to, rows[i].key, rows[i].flag ? "flag" : rows[i].otherwise);
}

/* What a key of the configuration decides where no flag does. Most hosts have no such file, and then nothing
 * is looked up. */
static void of_conf(struct skf_plan *p, struct skf_kvs *to)
{
	const struct skf_create_req *q = p->q;
	const struct skf_settings *s = &q->s;
	const struct skf_conf *c = &p->g->conf;
	const struct {
		const char *key, *conf;
		bool flag, said; /* flag: said by one that "request" does not show */
	} rows[] = {
		{"stopTimeout", "stop_timeout", q->stop_timeout >= 0, false},
		{"init", "init", q->init || given(q->life.init_path), !p->req.init},
		{"pidsLimit", "pids_limit", false, s->has_pids_limit},
		{"shmSize", "shm_size", false, s->shm_size != 0},
		{"cgroupParent", "cgroup_parent", false, given(s->cgroup_parent) || p->pod},
		{"seccomp", "seccomp_profile", false, p->seccomp || s->privileged},
		{"apparmor", "apparmor_profile", false, s->privileged || has_opt(s, "apparmor")},
		{"noNewPrivileges", "no_new_privileges", false, has_opt(s, "no-new-privileges")},
		{"readonly", "read_only", false, s->readonly},
		{"ulimits", "ulimits", false, false}, /* of those that no --ulimit names */
		{"umask", "umask", false, given(s->umask)},
		{"userns", "userns", false,
		 given(s->userns) || s->uidmap.n || s->gidmap.n || given(s->subuidname) ||
			 given(s->subgidname)},
		{"runtime", "runtime", false, given(s->runtime)},
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		const char *at =
			c->any && !rows[i].flag && !rows[i].said ? skf_conf_origin(c, rows[i].conf) : NULL;

		if (rows[i].flag || at)
			put(to, rows[i].key, at ? at : "flag");
	}
}

int skf_plan_from(struct skf_plan *p, struct skf_err *e)
{
	struct skf_kvs *m = &p->req.from;

	m->v = skf_arena_array(p->a, MAX_ROWS, sizeof(*m->v));
	if (!m->v)
		return skf_plan_no_memory(e);
	put(m, "*", "default");
	of_flags(p, m);
	of_conf(p, m);
	return 0;
}
