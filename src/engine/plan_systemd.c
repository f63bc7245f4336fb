/* engine/plan_systemd.c -- --systemd: what systemd as the container's first process needs, as podman gives
 * it: a stop signal of its own, tmpfs where it writes, its cgroups, and variables that tell it where it is.
 * With "true", the default, when the command is an init. */
#include "engine/create_int.h"
#include <string.h>

const char *const skf_systemd_tmpfs[] = {"/run:rw,nosuid,nodev,mode=755,tmpcopyup",
					 "/run/lock:rw,nosuid,nodev,mode=755,tmpcopyup",
					 "/tmp:rw,nosuid,nodev,mode=1777,tmpcopyup",
					 "/var/log/journal:rw,nosuid,nodev,mode=755,tmpcopyup", NULL};

/* A shell in front of it is looked behind, as podman does for the entry points that it builds itself. */
static bool is_init(const struct skf_strv *command)
{
	static const char *const inits[] = {"/sbin/init", "/usr/sbin/init", "/usr/local/sbin/init"};
	size_t at = command->n > 2 && skf_streq(command->v[0], "/bin/sh") && skf_streq(command->v[1], "-c")
			    ? 2
			    : 0;
	const char *c = at < command->n ? command->v[at] : "", *slash = strrchr(c, '/');

	for (size_t i = 0; i < SKF_ARRAY_LEN(inits); i++)
		if (skf_streq(c, inits[i]))
			return true;
	return skf_streq(slash ? slash + 1 : c, "systemd");
}

/* cgroup v1: the hierarchy that limits nothing is the container's own, writable; those with controllers stay
 * as they are. */
static int own_hierarchy(struct skf_plan *p, const struct skf_cg_hier *h, struct skf_err *e)
{
	static const char *const options[] = {"bind", "rw", "nosuid", "nodev", "noexec", "rprivate"};
	const char *name = strrchr(h->mountpoint, '/');
	struct skf_gen_mount m = {.type = "bind"};

	m.target = skf_arena_fmt(p->a, "/sys/fs/cgroup%s", name ? name : "");
	m.source = skf_arena_fmt(p->a, "%s%s", h->mountpoint, p->gen.cgroup);
	if (!m.target || !m.source)
		return skf_plan_no_memory(e);
	for (size_t i = 0; i < SKF_ARRAY_LEN(options); i++)
		if (skf_strv_add(p->a, &m.options, options[i]) < 0)
			return skf_plan_no_memory(e);
	return skf_plan_push(p, (void **)&p->mounts, &p->n_mounts, &p->cap_mounts, &m, sizeof(m), e);
}

/* A hybrid host's cgroup v2 is out of sight: systemd would take it for its own and find that it cannot write
 * there. */
static int hide(struct skf_plan *p, const struct skf_cg_hier *h, struct skf_err *e)
{
	static const char *const options[] = {"ro", "nosuid", "nodev", "noexec", "size=0", "mode=755"};
	const char *name = strrchr(h->mountpoint, '/');
	struct skf_gen_mount m = {.type = "tmpfs", .source = (char *)"tmpfs"};

	m.target = skf_arena_fmt(p->a, "/sys/fs/cgroup%s", name ? name : "");
	if (!m.target)
		return skf_plan_no_memory(e);
	for (size_t i = 0; i < SKF_ARRAY_LEN(options); i++)
		if (skf_strv_add(p->a, &m.options, options[i]) < 0)
			return skf_plan_no_memory(e);
	return skf_plan_push(p, (void **)&p->mounts, &p->n_mounts, &p->cap_mounts, &m, sizeof(m), e);
}

static int cgroups(struct skf_plan *p, struct skf_err *e)
{
	struct skf_cg_layout l;
	int r = skf_cg_layout(&l), named = 0;

	if (r < 0)
		return skf_fail_sys(e, r, "find the host's cgroups, for --systemd");
	if (l.mode == SKF_CG_V2) {
		/* Without a namespace of its own it would be the host's whole tree. */
		p->gen.cgroup_writable = p->gen.cgroup_writable || p->gen.ns[SKF_NS_CGROUP].on;
		return 0;
	}
	for (unsigned i = 0; i < l.n; i++)
		if (skf_streq(l.h[i].controllers, "name=systemd")) {
			named = 1; /* without it systemd says itself what it misses */
			if (own_hierarchy(p, &l.h[i], e) < 0)
				return -1;
		}
	for (unsigned i = 0; named && i < l.n; i++)
		if (l.h[i].v2 && hide(p, &l.h[i], e) < 0)
			return -1;
	return 0;
}

/* systemd takes the machine's id from it; the container's id has more digits. */
static int variables(struct skf_plan *p, struct skf_err *e)
{
	const char *id = p->id;
	char *uuid = skf_arena_fmt(p->a, "container_uuid=%.8s-%.4s-%.4s-%.4s-%.12s", id, id + 8, id + 12,
				   id + 16, id + 20);

	if (!uuid || skf_strv_add(p->a, &p->extra_env, "container=skiff") < 0 ||
	    skf_strv_add(p->a, &p->extra_env, uuid) < 0)
		return skf_plan_no_memory(e);
	return 0;
}

int skf_plan_systemd(struct skf_plan *p, struct skf_err *e)
{
	const char *word = p->q->s.systemd && *p->q->s.systemd ? p->q->s.systemd : "true";

	if (skf_streq(word, "false"))
		return 0;
	if (!skf_streq(word, "true") && !skf_streq(word, "always"))
		return skf_fail(e, SKF_EINVALID, "invalid --systemd '%s': expected true, false or always",
				word);
	p->systemd = skf_streq(word, "always") || is_init(&p->conf.command);
	return !p->systemd ? 0 : variables(p, e) < 0 ? -1 : cgroups(p, e);
}
