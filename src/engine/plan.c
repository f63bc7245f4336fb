/* engine/plan.c -- from a request and an image to a complete plan of a container. Each step fills one part;
 * the table at the end is the order. Reads the image's config and passwd files; makes missing -v sources. */
#include "engine/create_int.h"
#include "base/proc.h"
#include "oci/default_seccomp.h"
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIN_MEMORY    (6 << 20) /* docker's */
#define MIN_NANO_CPUS 10000000
#define MAX_HOSTNAME  64 /* the kernel's __NEW_UTS_LEN */
#define DEFAULT_STOP  15

static int no_memory(struct skf_err *e)
{
	return skf_fail(e, SKF_ENOMEM, "memory for the plan of a container");
}

static int plan_limits(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_create_req *q = p->q;

	if (q->init)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"--init is not supported by this version: it has no skiff-init");
	if (q->memory < 0 || (q->memory && q->memory < MIN_MEMORY))
		return skf_fail(e, SKF_EINVALID, "Minimum memory limit allowed is 6MB");
	if (q->nano_cpus) {
		long cpus = sysconf(_SC_NPROCESSORS_ONLN);

		if (q->nano_cpus < MIN_NANO_CPUS || (cpus > 0 && q->nano_cpus > cpus * 1000000000LL))
			return skf_fail(
				e, SKF_EINVALID,
				"range of CPUs is from 0.01 to %ld.00, as there are only %ld CPUs available",
				cpus, cpus);
	}
	if (q->pids_limit < -1)
		return skf_fail(e, SKF_EINVALID,
				"invalid --pids-limit %lld: expected a number, or -1 for no limit",
				(long long)q->pids_limit);
	p->gen.memory = p->req.memory = q->memory;
	p->gen.nano_cpus = p->req.nano_cpus = q->nano_cpus;
	p->gen.pids_limit = p->req.pids_limit = q->pids_limit;
	return 0;
}

/* Setting a swap limit where the kernel does not count swap would fail the start. */
static bool swap_is_counted(void)
{
	static const char *const places[] = {
		"/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes",
		"/sys/fs/cgroup/skiff/memory.swap.max",
		"/sys/fs/cgroup/system.slice/memory.swap.max",
		"/sys/fs/cgroup/user.slice/memory.swap.max",
	};

	for (size_t i = 0; i < SKF_ARRAY_LEN(places); i++)
		if (faccessat(AT_FDCWD, places[i], F_OK, 0) == 0)
			return true;
	return false;
}

static int plan_switches(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_create_req *q = p->q;

	p->gen.privileged = p->req.privileged = q->privileged;
	p->gen.readonly = p->conf.readonly = q->readonly;
	p->gen.seccomp_unconfined = q->seccomp_unconfined;
	p->gen.process.no_new_privs = q->no_new_privs;
	p->gen.process.tty = p->conf.tty = q->tty;
	p->gen.process.rows = q->rows;
	p->gen.process.cols = q->cols;
	p->gen.swap_accounting = q->memory && swap_is_counted();
	p->conf.open_stdin = q->interactive;
	p->conf.stdin_once = q->interactive && !q->detach;
	p->conf.attach_stdin = q->interactive && !q->detach;
	p->conf.remove = q->remove;
	p->req.attach_stdout = p->req.attach_stderr = !q->detach;
	p->req.cap_add = q->cap_add;
	p->req.cap_drop = q->cap_drop;
	if (q->no_new_privs && skf_strv_add(p->a, &p->req.security_opt, "no-new-privileges") < 0)
		return no_memory(e);
	if (q->seccomp_unconfined && skf_strv_add(p->a, &p->req.security_opt, "seccomp=unconfined") < 0)
		return no_memory(e);
	return skf_caps_gen(&q->cap_add, &q->cap_drop, q->privileged, &p->gen.process.caps, e);
}

static int plan_network(struct skf_plan *p, struct skf_err *e)
{
	const char *n = p->q->network && *p->q->network ? p->q->network : "none";

	if (!skf_streq(n, "none") && !skf_streq(n, "host"))
		return skf_fail(e, SKF_EUNSUPPORTED,
				"the network '%s' is not supported by this version: give --network none "
				"(the default) or "
				"--network host",
				n);
	p->gen.host_network = skf_streq(n, "host");
	p->conf.network = skf_arena_strdup(p->a, n);
	return p->conf.network ? 0 : no_memory(e);
}

static int plan_log(struct skf_plan *p, struct skf_err *e)
{
	p->conf.log_driver = skf_arena_strdup(p->a, "json-file");
	p->conf.log_max_size = p->q->log_max_size;
	p->conf.log_max_file = p->q->log_max_file ? p->q->log_max_file : 1;
	return p->conf.log_driver ? 0 : no_memory(e);
}

static int plan_ids(struct skf_plan *p, struct skf_err *e)
{
	int r = skf_random_hex(p->id, SKF_ID_LEN / 2);

	if (r < 0)
		return skf_fail_sys(e, r, "make up a container id");
	if (skf_fmt(p->dir, sizeof(p->dir), "%s/containers/%s", p->g->root, p->id) < 0)
		return skf_fail(e, SKF_ELIMIT, "the root directory '%.64s...' is too long", p->g->root);
	skf_time_rfc3339(skf_now_ns(), p->created);
	p->conf.created = p->created;
	p->gen.id = p->id;
	p->gen.hosts_dir = p->dir;
	return 0;
}

static int plan_hostname(struct skf_plan *p, struct skf_err *e)
{
	const char *h = p->q->hostname && *p->q->hostname ? p->q->hostname : NULL;

	if (h) {
		if (strlen(h) > MAX_HOSTNAME || strpbrk(h, " \t\n/"))
			return skf_fail(e, SKF_EINVALID,
					"invalid hostname '%.80s': expected at most %d characters without "
					"spaces and slashes",
					h, MAX_HOSTNAME);
		memcpy(p->hostname, h, strlen(h) + 1);
	} else if (p->gen.host_network) {
		if (gethostname(p->hostname, sizeof(p->hostname) - 1) < 0)
			return skf_fail_sys(e, -errno, "read the host's name for --network host");
	} else {
		memcpy(p->hostname, p->id, SKF_SHORT_ID);
		p->hostname[SKF_SHORT_ID] = '\0';
	}
	p->gen.hostname = p->req.hostname = p->hostname;
	return 0;
}

struct damage {
	char diff_id[SKF_DIGEST_MAX];
	char why[256];
};

static void note_damage(void *arg, const char *diff_id, const char *why)
{
	struct damage *d = arg;

	if (skf_fmt(d->diff_id, sizeof(d->diff_id), "%s", diff_id) < 0 ||
	    skf_fmt(d->why, sizeof(d->why), "%s", why) < 0)
		memcpy(d->diff_id, "?", 2); /* too long to be shown; that there is damage counts */
}

/* 1 at least one layer waited for this and is good, 0 none did (e still says what is missing), -1. */
static int verify_layers(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_image_layer *l = p->image->layers.v;
	struct skf_err x = SKF_ERR_INIT;
	struct damage bad = {"", ""};
	struct skf_layer_info info;
	int found = 0;

	for (size_t i = 0; i < p->image->layers.n; i++) {
		if (skf_store_layer_has(p->g->store, &l[i].diff_id, &info, &x) != 2)
			continue;
		if (skf_image_verify(p->g, l[i].diff_id.s, note_damage, &bad, e) < 0)
			return skf_ctx(e, "verify a layer of '%s'", p->q->image);
		if (bad.diff_id[0])
			return skf_fail(e, SKF_ECORRUPT,
					"layer '%s' of image '%s' is damaged: %s; pull it again",
					bad.diff_id, p->q->image, bad.why);
		found = 1;
	}
	return found;
}

static int plan_image(struct skf_plan *p, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_CONFIG_BLOB_BYTES);
	const struct skf_image_layer *l = p->image->layers.v;
	char full[SKF_MAX_REF_BYTES + 1];

	if (skf_store_blob_read(p->g->store, &p->image->config, SKF_MAX_CONFIG_BLOB_BYTES, &b, e) < 0 ||
	    skf_image_config_parse(skf_buf_cstr(&b), b.len, p->a, &p->ic, e) < 0)
		return skf_ctx(e, "image '%s'", p->q->image);
	skf_ref_full(&p->ref.ref, full);
	/* Found by id: there may be no reference at all, and the id is what names it. */
	p->conf.image = skf_arena_strdup(p->a, p->ref.ref.repo[0] ? full : p->image->config.s);
	p->conf.image_id = p->image->config.s;
	p->conf.manifest = p->image->manifest.s;
	p->req.image = skf_arena_strdup(p->a, p->q->image);
	if (!p->conf.image || !p->req.image)
		return no_memory(e);
	for (size_t i = 0; i < p->image->layers.n; i++)
		if (skf_strv_add(p->a, &p->conf.layers, l[i].diff_id.s) < 0)
			return no_memory(e);
	if (skf_layered_open(p->g, -1, &p->conf.layers, &p->layers, e) == 0)
		return 0;
	/* After a reboot a layer that was not yet on the disk counts as absent until it is verified. */
	if (e->kind != SKF_ENOTFOUND || verify_layers(p, e) != 1)
		return -1;
	skf_err_clear(e);
	return skf_layered_open(p->g, -1, &p->conf.layers, &p->layers, e);
}

static int append(struct skf_arena *a, struct skf_strv *to, const struct skf_strv *from)
{
	for (size_t i = 0; i < from->n; i++)
		if (skf_strv_add(a, to, from->v[i]) < 0)
			return -ENOMEM;
	return 0;
}

static int plan_command(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_create_req *q = p->q;
	struct skf_strv entry = {0}, cmd = {0};

	if (q->has_entrypoint)
		entry = q->entrypoint;
	else
		entry = p->ic->entrypoint;
	if (q->command.n)
		cmd = q->command;
	else if (!q->has_entrypoint)
		cmd = p->ic->cmd; /* docker: another entrypoint makes the image's arguments meaningless */
	if (entry.n + cmd.n == 0 || (entry.n == 0 && !*cmd.v[0]))
		return skf_fail(e, SKF_EINVALID,
				"no command specified: the image '%s' names none, give one after the image",
				q->image);
	if (append(p->a, &p->conf.command, &entry) < 0 || append(p->a, &p->conf.command, &cmd) < 0)
		return no_memory(e);
	if (p->conf.command.n > SKF_MAX_ARGS)
		return skf_fail(e, SKF_ELIMIT, "the command has %zu words; the limit is %d",
				p->conf.command.n, SKF_MAX_ARGS);
	p->req.entrypoint = entry;
	p->req.cmd = cmd;
	p->gen.process.args = p->conf.command;
	return 0;
}

static int plan_user(struct skf_plan *p, struct skf_err *e)
{
	const char *user = p->q->user && *p->q->user ? p->q->user : p->ic->user;
	struct skf_userdb_result u = {0};
	struct skf_env_gen env = {
		.hostname = p->hostname, .tty = p->q->tty, .image = &p->ic->env, .user = &p->q->env};

	if (skf_layered_user(&p->layers, user, p->a, &u, e) < 0)
		return -1;
	p->req.user = skf_arena_strdup(p->a, user ? user : "");
	p->gen.process.uid = u.uid;
	p->gen.process.gid = u.gid;
	p->gen.process.gids = u.gids;
	p->gen.process.n_gids = u.n_gids;
	env.home = u.home && *u.home ? u.home : "/";
	if (skf_env_gen(&env, p->a, &p->gen.process.env, e) < 0)
		return -1;
	/* What an exec starts from: without what depends on its own user and terminal. */
	env.home = env.hostname = NULL;
	env.tty = false;
	if (skf_env_gen(&env, p->a, &p->req.env, e) < 0)
		return -1;
	return p->req.user ? 0 : no_memory(e);
}

static int plan_workdir(struct skf_plan *p, struct skf_err *e)
{
	const char *w = p->q->workdir && *p->q->workdir ? p->q->workdir : p->ic->working_dir;

	if (!w || !*w)
		w = "/";
	if (w[0] != '/')
		return skf_fail(e, SKF_EINVALID,
				"the working directory '%s' is invalid, it needs to be an absolute path", w);
	p->gen.process.cwd = w;
	p->req.workdir = skf_arena_strdup(p->a, w);
	return p->req.workdir ? 0 : no_memory(e);
}

static int plan_stop(struct skf_plan *p, struct skf_err *e)
{
	const char *s = p->q->stop_signal && *p->q->stop_signal ? p->q->stop_signal : p->ic->stop_signal;
	int sig = DEFAULT_STOP;

	if (s && *s) {
		sig = skf_signal_parse(s);
		if (sig < 0)
			return skf_fail(e, SKF_EINVALID, "invalid signal: %s", s);
	}
	p->conf.stop_signal = sig;
	p->conf.stop_timeout = p->q->stop_timeout >= 0 ? p->q->stop_timeout : SKF_STOP_DEFAULT_S;
	p->req.stop_signal = skf_arena_strdup(p->a, s ? s : "");
	return p->req.stop_signal ? 0 : no_memory(e);
}

static int label_put(struct skf_plan *p, size_t max, const char *k, size_t n, const char *v)
{
	struct skf_kvs *m = &p->req.labels;
	size_t i;

	for (i = 0; i < m->n; i++)
		if (strlen(m->v[i].k) == n && !memcmp(m->v[i].k, k, n))
			break;
	if (i >= max)
		return -ENOSPC;
	m->v[i].k = skf_arena_dup(p->a, k, n);
	m->v[i].v = skf_arena_strdup(p->a, v);
	if (i == m->n)
		m->n++;
	return m->v[i].k && m->v[i].v ? 0 : -ENOMEM;
}

static int plan_labels(struct skf_plan *p, struct skf_err *e)
{
	size_t max = p->ic->labels.n + p->q->labels.n;
	int r = 0;

	if (max == 0)
		return 0;
	p->req.labels.v = skf_arena_array(p->a, max, sizeof(struct skf_kv));
	if (!p->req.labels.v)
		return no_memory(e);
	for (size_t i = 0; r == 0 && i < p->ic->labels.n; i++)
		r = label_put(p, max, p->ic->labels.v[i].k, strlen(p->ic->labels.v[i].k),
			      p->ic->labels.v[i].v);
	for (size_t i = 0; r == 0 && i < p->q->labels.n; i++) {
		const char *l = p->q->labels.v[i], *eq = strchr(l, '=');

		if (eq == l)
			return skf_fail(e, SKF_EINVALID, "invalid label '%s': expected KEY=VALUE", l);
		r = label_put(p, max, l, eq ? (size_t)(eq - l) : strlen(l), eq ? eq + 1 : "");
	}
	return r < 0 ? no_memory(e) : 0;
}

static size_t depth_of(const char *path)
{
	size_t n = 0;

	for (; *path; path++)
		n += *path == '/';
	return n;
}

static int by_depth(const void *x, const void *y)
{
	const struct skf_gen_mount *a = x, *b = y;
	size_t da = depth_of(a->target), db = depth_of(b->target);

	return da < db ? -1 : da > db ? 1 : strcmp(a->target, b->target);
}

static int make_source(const char *path, struct skf_err *e)
{
	SKF_AUTO_FD int fd = -EBADF;
	struct stat st;

	if (fstatat(AT_FDCWD, path, &st, 0) == 0)
		return 0;
	if (errno != ENOENT)
		return skf_fail_sys(e, -errno, "look at the volume's source '%s'", path);
	fd = skf_mkdirs_at(AT_FDCWD, path, 0755);
	return fd < 0 ? skf_fail_sys(e, fd, "make the volume's source '%s'", path) : 0;
}

static int plan_mounts(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_mount_req *m = p->q->mounts.v;
	size_t n = p->q->mounts.n;

	if (n == 0)
		return 0;
	if (n > SKF_MAX_MOUNTS)
		return skf_fail(e, SKF_ELIMIT, "%zu volumes are asked for; the limit is %d", n,
				SKF_MAX_MOUNTS);
	p->mounts = skf_arena_array(p->a, n, sizeof(*p->mounts));
	if (!p->mounts)
		return no_memory(e);
	for (size_t i = 0; i < n; i++) {
		char *bind = skf_arena_fmt(p->a, "%s:%s%s%s%s%s", m[i].source, m[i].target,
					   m[i].readonly || m[i].propagation ? ":" : "",
					   m[i].readonly ? "ro" : "",
					   m[i].readonly && m[i].propagation ? "," : "",
					   m[i].propagation ? m[i].propagation : "");

		if (!bind || skf_strv_add(p->a, &p->req.binds, bind) < 0)
			return no_memory(e);
		if (m[i].relabel && faccessat(AT_FDCWD, "/sys/fs/selinux/enforce", F_OK, 0) == 0)
			return skf_fail(e, SKF_EUNSUPPORTED,
					"the volume '%s' asks for an SELinux label, which this version "
					"cannot set; leave out "
					"z and Z",
					m[i].source);
		for (size_t j = 0; j < i; j++)
			if (skf_streq(m[i].target, m[j].target))
				return skf_fail(e, SKF_EINVALID, "Duplicate mount point: %s", m[i].target);
		if (make_source(m[i].source, e) < 0)
			return -1;
		p->mounts[i] =
			(struct skf_gen_mount){m[i].source, m[i].target, m[i].readonly, m[i].propagation};
	}
	/* A mount below another one must come after it. */
	qsort(p->mounts, n, sizeof(*p->mounts), by_depth);
	p->gen.mounts = p->mounts;
	p->gen.n_mounts = n;
	return 0;
}

typedef int (*plan_step)(struct skf_plan *, struct skf_err *);
static const plan_step before_image[] = {plan_limits, plan_switches, plan_network,
					 plan_log,    plan_ids,      plan_hostname};
static const plan_step with_image[] = {plan_image, plan_command, plan_user,  plan_workdir,
				       plan_stop,  plan_labels,  plan_mounts};

static int run_steps(struct skf_plan *p, const plan_step *s, size_t n, struct skf_err *e)
{
	for (size_t i = 0; i < n; i++)
		if (s[i](p, e) < 0)
			return -1;
	return 0;
}

int skf_plan_check(struct skf_plan *p, struct skf_err *e)
{
	return run_steps(p, before_image, SKF_ARRAY_LEN(before_image), e);
}

int skf_plan_make(struct skf_plan *p, struct skf_err *e)
{
	p->gen.conf = &p->conf;
	return run_steps(p, with_image, SKF_ARRAY_LEN(with_image), e);
}
