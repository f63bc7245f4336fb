/* engine/plan_namespaces.c -- what a container sees of its own: which namespaces are new, the host's or
 * another container's, host and domain name, sysctls of those namespaces. A namespace of another container
 * is found by launch at each start (skf_ctrconf.joins), because that container's process may be another one
 * by then. */
#include "engine/create_int.h"
#include "engine/pod_int.h"
#include <string.h>
#include <unistd.h>

#define MAX_HOSTNAME 64 /* the kernel's __NEW_UTS_LEN */

/* Words that a flag takes besides container:NAME. */
struct mode {
	const char *word;
	bool host;
};
struct ns_flag {
	const char *flag, *oci; /* the namespace's name in config.json */
	enum skf_gen_ns_kind kind;
	bool joins;
	const struct mode *modes;
	const char *expected;
};
static const struct mode ipc_modes[] = {
	{"private", false}, {"shareable", false}, {"none", false}, {"host", true}, {NULL, false}};
static const struct mode pid_modes[] = {{"private", false}, {"host", true}, {NULL, false}};
static const struct ns_flag flags[] = {
	{"ipc", "ipc", SKF_NS_IPC, true, ipc_modes, "private, shareable, none, host or container:NAME"},
	{"pid", "pid", SKF_NS_PID, true, pid_modes, "private, host or container:NAME"},
	{"uts", "uts", SKF_NS_UTS, true, pid_modes, "private, host or container:NAME"},
	{"cgroupns", "cgroup", SKF_NS_CGROUP, false, pid_modes, "private or host"},
};

/* /dev/shm goes with the IPC namespace, as with docker. */
static int join_shm(struct skf_plan *p, const char *id, struct skf_err *e)
{
	struct skf_gen_mount g = {.target = "/dev/shm", .type = "bind", .source = "/dev/shm"};
	struct skf_ctrconf_source s = {.target = (char *)"/dev/shm",
				       .container = skf_arena_strdup(p->a, id)};

	if (!s.container || skf_strv_add(p->a, &g.options, "bind") < 0)
		return skf_plan_no_memory(e);
	return skf_plan_push(p, (void **)&p->sources, &p->n_sources, &p->cap_sources, &s, sizeof(s), e) < 0
		       ? -1
		       : skf_plan_push(p, (void **)&p->mounts, &p->n_mounts, &p->cap_mounts, &g, sizeof(g),
				       e);
}

static int join(struct skf_plan *p, const struct ns_flag *f, const char *name, struct skf_err *e)
{
	char id[SKF_ID_LEN + 1], *word;

	if (skf_engine_resolve(p->g, name, id, e) < 0)
		return skf_ctx(e, "--%s container:%s", f->flag, name);
	word = skf_arena_fmt(p->a, "%s=%s", f->oci, id);
	if (!word || skf_strv_add(p->a, &p->conf.joins, word) < 0)
		return skf_plan_no_memory(e);
	return f->kind == SKF_NS_IPC ? join_shm(p, id, e) : 0;
}

static int plan_one(struct skf_plan *p, const struct ns_flag *f, const char *v, struct skf_err *e)
{
	struct skf_gen_ns *ns = &p->gen.ns[f->kind];

	ns->on = true;
	if (!v || !*v)
		return 0;
	if (f->joins && skf_startswith(v, "container:"))
		return join(p, f, v + strlen("container:"), e);
	for (const struct mode *m = f->modes; m->word; m++) {
		if (!skf_streq(m->word, v))
			continue;
		ns->on = !m->host;
		return 0;
	}
	return skf_fail(e, SKF_EINVALID, "--%s: invalid %s mode: %s: expected %s", f->flag, f->flag, v,
			f->expected);
}

static int plan_sysctls(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_strv *v = &p->q->s.sysctls;

	for (size_t i = 0; i < v->n; i++)
		if (!strchr(v->v[i], '='))
			return skf_fail(e, SKF_EINVALID, "sysctl '%s' must be in the form NAME=VALUE",
					v->v[i]);
	return skf_plan_pairs(p, v, &p->gen.sysctls, e);
}

int skf_plan_namespaces(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_settings *s = &p->q->s;
	const char *const words[] = {s->ipc, s->pid, s->uts, s->cgroupns};

	_Static_assert(SKF_ARRAY_LEN(words) == SKF_ARRAY_LEN(flags), "a word per flag");
	p->gen.ns[SKF_NS_MOUNT].on = true;
	p->gen.ns[SKF_NS_NET].on = !p->gen.host_network;
	for (size_t i = 0; i < SKF_ARRAY_LEN(flags); i++)
		if (plan_one(p, &flags[i], words[i], e) < 0)
			return -1;
	p->gen.shm_size = s->shm_size ? s->shm_size : p->g->conf.shm_size;
	p->gen.no_shm = s->ipc && (skf_streq(s->ipc, "none") || skf_startswith(s->ipc, "container:"));
	return plan_sysctls(p, e);
}

static bool joins_uts(const struct skf_plan *p)
{
	return p->q->s.uts && *p->q->s.uts && !skf_streq(p->q->s.uts, "private");
}

int skf_plan_hostname(struct skf_plan *p, struct skf_err *e)
{
	const char *h = p->q->hostname && *p->q->hostname ? p->q->hostname : NULL, *d = p->q->s.domainname;

	if ((h || (d && *d)) && joins_uts(p))
		return skf_fail(e, SKF_EINVALID, "conflicting options: hostname and the UTS mode");
	if ((h && (strlen(h) > MAX_HOSTNAME || strpbrk(h, " \t\n/"))) ||
	    (d && (strlen(d) > MAX_HOSTNAME || strpbrk(d, " \t\n/"))))
		return skf_fail(e, SKF_EINVALID,
				"invalid hostname '%.80s': expected at most %d characters without "
				"spaces and slashes",
				h && (strlen(h) > MAX_HOSTNAME || strpbrk(h, " \t\n/")) ? h : d,
				MAX_HOSTNAME);
	if (p->pod && p->pod->share & SKF_POD_UTS)
		h = p->pod->hostname;
	if (h) {
		memcpy(p->hostname, h, strlen(h) + 1);
	} else if (p->gen.host_network || !p->gen.ns[SKF_NS_UTS].on) {
		if (gethostname(p->hostname, sizeof(p->hostname) - 1) < 0)
			return skf_fail_sys(e, -errno, "read the host's name for the container");
	} else {
		memcpy(p->hostname, p->id, SKF_SHORT_ID);
		p->hostname[SKF_SHORT_ID] = '\0';
	}
	p->gen.hostname = p->req.hostname = p->hostname;
	p->gen.domainname = d;
	return 0;
}
