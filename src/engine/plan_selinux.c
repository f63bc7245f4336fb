/* engine/plan_selinux.c -- the SELinux labels of a container: its process's, and that of the file systems
 * that are made for it. Container and file types come from the policy, the level is a pair of categories of
 * the container's own; what shares IPC or PIDs with others has their level.
 *
 * Must hold: with SELinux on, a process has no label only when that was asked for (label=disable,
 * --privileged,
 * --pid or --ipc host; docker's rule) or when the policy has no contexts for containers. */
#include "engine/create_int.h"
#include "engine/pod_int.h"
#include "engine/selinux.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define LABEL_BYTES 512

struct labels {
	struct skf_selinux_label process, file;
	bool none; /* the process gets none */
};

static bool is_word(const char *w)
{
	return skf_streq(w, "disable") || skf_streq(w, "nested");
}

int skf_plan_label_word(struct skf_plan *p, const char *v)
{
	struct skf_selinux_label process, file;

	if (!is_word(v) && skf_selinux_option(v, &process, &file) < 0)
		return -EINVAL;
	if (skf_streq(v, "disable"))
		p->label_disable = true;
	if (skf_streq(v, "nested"))
		p->label_nested = true;
	return is_word(v) ? 0 : skf_strv_add(p->a, &p->label_words, v);
}

static bool has_level(const struct skf_plan *p)
{
	for (size_t i = 0; i < p->label_words.n; i++)
		if (skf_startswith(p->label_words.v[i], "level:"))
			return true;
	return false;
}

static bool is_unconfined(const struct skf_plan *p)
{
	const struct skf_settings *s = &p->q->s;

	return p->label_disable || (p->label_words.n == 0 && (s->privileged || skf_streq(s->ipc, "host") ||
							      skf_streq(s->pid, "host")));
}

/* Id of the container whose IPC or PIDs it shares; NULL: of none. */
static const char *joined(const struct skf_plan *p)
{
	for (size_t i = 0; i < p->conf.joins.n; i++) {
		const char *w = p->conf.joins.v[i];

		if (skf_startswith(w, "ipc=") || skf_startswith(w, "pid="))
			return w + strlen("ipc=");
	}
	return NULL;
}

/* The same labels as that container: it may look at our processes, and we at its. */
static int of_other(struct skf_plan *p, const char *id, struct labels *l, struct skf_err *e)
{
	struct skf_ctrconf *c;

	if (skf_ctr_load(p->g, id, p->a, &c, e) < 0)
		return -1;
	l->none = !c->process_label;
	if ((c->process_label && skf_selinux_parse(c->process_label, &l->process) < 0) ||
	    (c->mount_label && skf_selinux_parse(c->mount_label, &l->file) < 0))
		return skf_fail(e, SKF_ECORRUPT, "container %.12s has wrong SELinux labels", id);
	return 0;
}

static int set_level(struct labels *l, const char *pair, struct skf_err *e)
{
	char level[32];

	if (skf_fmt(level, sizeof(level), SKF_MCS_SHARED ":%s", pair) < 0)
		return skf_fail(e, SKF_EBUG, "SELinux categories '%.64s'", pair);
	memcpy(l->process.level, level, sizeof(level));
	memcpy(l->file.level, level, sizeof(level));
	return 0;
}

/* A pod with shared IPC or PIDs has a pair since it was made; without one it is as any container. */
static int of_pod(struct skf_plan *p, char pair[SKF_MCS_SIZE], struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	int r;

	pair[0] = '\0';
	if (!p->pod)
		return 0;
	if (skf_pod_dir(p->g, p->pod->id, &dir, e) < 0)
		return -1;
	r = skf_mcs_of(dir, pair);
	return r < 0 ? skf_fail_sys(e, r, "read the SELinux categories of pod %.12s", p->pod->id) : 0;
}

static int level(struct skf_plan *p, struct labels *l, struct skf_err *e)
{
	char pair[SKF_MCS_SIZE];

	if (!*l->process.level || has_level(p)) /* a policy without levels, or one of the user's */
		return 0;
	if (of_pod(p, pair, e) < 0)
		return -1;
	if (!*pair) {
		if ((p->lock < 0 && skf_ctr_lock(p->g, p->id, &p->lock, e) < 0) ||
		    skf_mcs_take(p->g, p->id, p->mcs, e) < 0)
			return -1;
		memcpy(pair, p->mcs, sizeof(pair));
	}
	return set_level(l, pair, e);
}

static int apply_words(struct skf_plan *p, struct labels *l, struct skf_err *e)
{
	for (size_t i = 0; i < p->label_words.n; i++)
		if (skf_selinux_option(p->label_words.v[i], &l->process, &l->file) < 0)
			return skf_fail(e, SKF_EINVALID, "--security-opt label=%.64s... is too long",
					p->label_words.v[i]);
	return 0;
}

static int confined(struct skf_plan *p, struct labels *l, struct skf_err *e)
{
	const char *other = joined(p);

	if (other ? of_other(p, other, l, e) < 0 : level(p, l, e) < 0)
		return -1;
	return apply_words(p, l, e);
}

static int write_down(struct skf_plan *p, const struct labels *l, struct skf_err *e)
{
	char text[LABEL_BYTES];

	if (skf_selinux_format(&l->file, text, sizeof(text)) < 0)
		return skf_fail(e, SKF_EINVALID, "the SELinux label of the container's files is too long");
	p->conf.mount_label = skf_arena_strdup(p->a, text);
	if (skf_selinux_format(&l->process, text, sizeof(text)) < 0)
		return skf_fail(e, SKF_EINVALID, "the SELinux label of the container is too long");
	p->conf.process_label = l->none ? NULL : skf_arena_strdup(p->a, text);
	if (!p->conf.mount_label || (!l->none && !p->conf.process_label))
		return skf_plan_no_memory(e);
	p->gen.mount_label = p->conf.mount_label;
	p->gen.process.selinux = p->conf.process_label;
	return 0;
}

/* nested: the container sees that SELinux is on, and may set labels as far as the policy lets it. Without it
 * there is no selinuxfs below its /sys. */
static int show_selinuxfs(struct skf_plan *p, struct skf_err *e)
{
	static const char *const options[] = {"rbind", "rw", "nosuid", "noexec", "rprivate"};
	struct skf_gen_mount m = {.target = "/sys/fs/selinux", .type = "bind", .source = "/sys/fs/selinux"};

	if (!p->label_nested)
		return 0;
	for (size_t i = 0; i < SKF_ARRAY_LEN(options); i++)
		if (skf_strv_add(p->a, &m.options, options[i]) < 0)
			return skf_plan_no_memory(e);
	return skf_plan_push(p, (void **)&p->mounts, &p->n_mounts, &p->cap_mounts, &m, sizeof(m), e);
}

static int contexts(struct skf_arena *a, struct skf_selinux_contexts *ret, struct skf_err *e)
{
	SKF_AUTO_FD int etc = skf_openat(AT_FDCWD, "/etc/selinux", O_RDONLY | O_DIRECTORY, 0);

	if (etc == -ENOENT)
		return 0;
	return etc < 0 ? skf_fail_sys(e, etc, "open /etc/selinux") : skf_selinux_contexts(etc, a, ret, e);
}

int skf_plan_selinux(struct skf_plan *p, struct skf_err *e)
{
	struct skf_selinux_contexts c;
	struct labels l = {.none = is_unconfined(p)};
	const char *process;
	int r;

	if (!p->g->conf.selinux || !skf_selinux_is_on())
		return 0; /* a label says nothing then, as in docker */
	r = contexts(p->a, &c, e);
	if (r == 0 && p->label_words.n)
		return skf_fail(
			e, SKF_EUNSUPPORTED,
			"--security-opt label=%.64s: the SELinux policy of this host has no contexts "
			"for containers (contexts/lxc_contexts; package container-selinux)",
			p->label_words.v[0]);
	if (r <= 0)
		return r;
	process = p->systemd && c.init_process ? c.init_process : c.process;
	if (skf_selinux_parse(process, &l.process) < 0 || skf_selinux_parse(c.file, &l.file) < 0)
		return skf_fail(e, SKF_EBUG, "SELinux contexts");
	if (l.none && *l.file.level)
		memcpy(l.file.level, SKF_MCS_PRIVILEGED, sizeof(SKF_MCS_PRIVILEGED));
	if (!l.none && confined(p, &l, e) < 0)
		return -1;
	return write_down(p, &l, e) < 0 ? -1 : show_selinuxfs(p, e);
}

int skf_pod_categories(struct skf_engine *g, const char *id, int dir, struct skf_pod *pod,
		       struct skf_arena *a, struct skf_err *e)
{
	struct skf_selinux_contexts c;
	char pair[SKF_MCS_SIZE], text[LABEL_BYTES];
	struct labels l = {.none = false};
	int r;

	if (!(pod->share & (SKF_POD_IPC | SKF_POD_PID)) || !g->conf.selinux || !skf_selinux_is_on())
		return 0;
	r = contexts(a, &c, e);
	if (r <= 0)
		return r;
	if (skf_selinux_parse(c.file, &l.file) < 0)
		return skf_fail(e, SKF_EBUG, "SELinux contexts");
	if (!*l.file.level)
		return 0;
	if (skf_mcs_take(g, id, pair, e) < 0)
		return -1;
	if (symlinkat(pair, dir, SKF_MCS_LINK) < 0) {
		r = -errno;
		(void)skf_mcs_release(g, pair, id, e); /* the check finds it otherwise */
		return skf_fail_sys(e, r, "make '" SKF_MCS_LINK "' of pod %.12s", id);
	}
	if (set_level(&l, pair, e) < 0)
		return -1;
	if (skf_selinux_format(&l.file, text, sizeof(text)) == 0)
		pod->mount_label = skf_arena_strdup(a, text);
	return pod->mount_label ? 0 : skf_plan_no_memory(e);
}

int skf_plan_mcs_link(struct skf_plan *p, int dir, struct skf_err *e)
{
	return *p->mcs && symlinkat(p->mcs, dir, SKF_MCS_LINK) < 0
		       ? skf_fail_sys(e, -errno, "make '%s/" SKF_MCS_LINK "'", p->dir)
		       : 0;
}

void skf_plan_mcs_undo(struct skf_plan *p)
{
	struct skf_err x = SKF_ERR_INIT;

	if (skf_mcs_release(p->g, p->mcs, p->id, &x) < 0)
		skf_warn(&p->g->log, "%s; ignoring", x.msg);
	p->mcs[0] = '\0';
}

/* --- volumes --- */

/* What go-selinux and so docker and podman refuse to label: the host would not work any more. */
int skf_plan_relabel(const struct skf_mount_req *m, struct skf_err *e)
{
	static const char *const never[] = {
		"/",     "/bin", "/boot",  "/dev",   "/etc", "/etc/passwd", "/etc/pki", "/etc/shadow",
		"/home", "/lib", "/lib64", "/media", "/opt", "/proc",       "/root",    "/run",
		"/sbin", "/srv", "/sys",   "/tmp",   "/usr", "/var",        "/var/lib", "/var/log"};
	size_t n = m->source ? strlen(m->source) : 0;

	if (!m->relabel)
		return 0;
	while (n > 1 && m->source[n - 1] == '/')
		n--;
	for (size_t i = 0; i < SKF_ARRAY_LEN(never); i++)
		if (strlen(never[i]) == n && memcmp(never[i], m->source, n) == 0)
			return skf_fail(e, SKF_EINVALID, "SELinux relabeling of %s is not allowed",
					m->source);
	return 0;
}
