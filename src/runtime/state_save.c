/* runtime/state_save.c -- writes what later commands need to know: state.json, seccomp.bpf, and the state
 * document for hooks.
 *
 * state.json is written once, by rename, and never rewritten: the status is looked up, not stored. What exec
 * and delete need of config.json (process, hooks of later stages) is copied into it, so that they neither
 * parse the bundle again nor depend on it being there still or unchanged. Format: docs/formats.md. Blocks on
 * the state directory. */
#include "runtime/runtime_int.h"

#include "base/json.h"
#include "base/limits.h"
#include "oci/spec.h"
#include "sys/process.h"

#include <linux/filter.h>
#include <string.h>
#include <sys/personality.h>
#include <unistd.h>

static void write_hooks(struct skf_jw *w, const char *key, const struct skf_jarr *hooks)
{
	const struct skf_spec_hook *h = hooks->v;

	if (hooks->n == 0)
		return;
	skf_jw_karr(w, key);
	for (size_t i = 0; i < hooks->n; i++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "path", h[i].path);
		skf_jw_kstrv(w, "args", &h[i].args);
		skf_jw_kstrv(w, "env", &h[i].env);
		if (h[i].has_timeout)
			skf_jw_kint(w, "timeout", h[i].timeout);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

static void write_cap_set(struct skf_jw *w, const char *key, uint64_t set)
{
	skf_jw_karr(w, key);
	for (unsigned i = 0; skf_cap_name(i); i++)
		if (set & (1ULL << i))
			skf_jw_str(w, skf_cap_name(i));
	skf_jw_end_arr(w);
}

static void write_caps(struct skf_jw *w, const struct skf_spec_caps *c)
{
	skf_jw_kobj(w, "capabilities");
	write_cap_set(w, "bounding", c->bounding);
	write_cap_set(w, "effective", c->effective);
	write_cap_set(w, "inheritable", c->inheritable);
	write_cap_set(w, "permitted", c->permitted);
	write_cap_set(w, "ambient", c->ambient);
	skf_jw_end(w);
}

static void write_user(struct skf_jw *w, const struct skf_spec_user *u)
{
	skf_jw_kobj(w, "user");
	skf_jw_kint(w, "uid", u->uid);
	skf_jw_kint(w, "gid", u->gid);
	if (u->has_umask)
		skf_jw_kint(w, "umask", u->umask);
	if (u->n_gids > 0) {
		skf_jw_karr(w, "additionalGids");
		for (size_t i = 0; i < u->n_gids; i++)
			skf_jw_int(w, u->gids[i]);
		skf_jw_end_arr(w);
	}
	skf_jw_end(w);
}

/* The names that spec decoding accepts, by number. */
static const char *const rlimit_types[] = {
	[RLIMIT_CPU] = "RLIMIT_CPU",           [RLIMIT_FSIZE] = "RLIMIT_FSIZE",
	[RLIMIT_DATA] = "RLIMIT_DATA",         [RLIMIT_STACK] = "RLIMIT_STACK",
	[RLIMIT_CORE] = "RLIMIT_CORE",         [RLIMIT_RSS] = "RLIMIT_RSS",
	[RLIMIT_NPROC] = "RLIMIT_NPROC",       [RLIMIT_NOFILE] = "RLIMIT_NOFILE",
	[RLIMIT_MEMLOCK] = "RLIMIT_MEMLOCK",   [RLIMIT_AS] = "RLIMIT_AS",
	[RLIMIT_LOCKS] = "RLIMIT_LOCKS",       [RLIMIT_SIGPENDING] = "RLIMIT_SIGPENDING",
	[RLIMIT_MSGQUEUE] = "RLIMIT_MSGQUEUE", [RLIMIT_NICE] = "RLIMIT_NICE",
	[RLIMIT_RTPRIO] = "RLIMIT_RTPRIO",     [RLIMIT_RTTIME] = "RLIMIT_RTTIME",
};

const char *skf_rlimit_name(int type)
{
	return type >= 0 && (size_t)type < SKF_ARRAY_LEN(rlimit_types) && rlimit_types[type]
		       ? rlimit_types[type]
		       : "rlimit";
}

static void write_rlimits(struct skf_jw *w, const struct skf_jarr *rlimits)
{
	const struct skf_spec_rlimit *l = rlimits->v;

	skf_jw_karr(w, "rlimits");
	for (size_t i = 0; i < rlimits->n; i++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "type", skf_rlimit_name(l[i].type));
		skf_jw_ku64(w, "hard", l[i].hard);
		skf_jw_ku64(w, "soft", l[i].soft);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

/* What an exec'd process gets besides `process`. */
static void write_linux(struct skf_jw *w, const struct skf_spec_linux *l)
{
	if (!l->has_personality && !l->memory_policy)
		return;
	skf_jw_kobj(w, "linux");
	if (l->has_personality) {
		skf_jw_kobj(w, "personality");
		skf_jw_kstr(w, "domain", l->personality == PER_LINUX32 ? "LINUX32" : "LINUX");
		skf_jw_end(w);
	}
	if (l->memory_policy)
		skf_spec_write_memory_policy(w, l->memory_policy);
	skf_jw_end(w);
}

static void write_process(struct skf_jw *w, const struct skf_spec_process *p)
{
	skf_jw_kobj(w, "process");
	write_user(w, &p->user);
	skf_jw_kstrv(w, "args", &p->args);
	skf_jw_kstrv(w, "env", &p->env);
	skf_jw_kstr(w, "cwd", p->cwd);
	if (p->has_caps)
		write_caps(w, &p->caps);
	if (p->rlimits.n > 0)
		write_rlimits(w, &p->rlimits);
	skf_jw_kbool(w, "noNewPrivileges", p->no_new_privs);
	if (p->apparmor_profile)
		skf_jw_kstr(w, "apparmorProfile", p->apparmor_profile);
	if (p->selinux_label)
		skf_jw_kstr(w, "selinuxLabel", p->selinux_label);
	if (p->has_oom_score_adj)
		skf_jw_kint(w, "oomScoreAdj", p->oom_score_adj);
	skf_spec_write_scheduling(w, p);
	skf_jw_end(w);
}

static void write_cgroup(struct skf_jw *w, const struct skf_cg_dirs *d)
{
	if (!d->used)
		return;
	skf_jw_kobj(w, "cgroup");
	skf_jw_kstr(w, "path", d->path);
	skf_jw_kint(w, "mode", d->layout.mode);
	skf_jw_karr(w, "hierarchies");
	for (unsigned i = 0; i < d->layout.n; i++) {
		if (!(d->used & (1u << i)))
			continue;
		skf_jw_obj(w);
		skf_jw_kstr(w, "controllers", d->layout.h[i].controllers);
		skf_jw_kstr(w, "mountpoint", d->layout.h[i].mountpoint);
		skf_jw_kbool(w, "v2", d->layout.h[i].v2);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
	skf_jw_end(w);
}

/* Where the root file system is, for the reader of the state document. */
static void rootfs_path(const struct skf_start *s, struct skf_buf *out)
{
	const char *p = s->req->root_mount_fd >= 0 ? s->req->rootfs_display : s->spec->root_path;

	if (!p)
		p = "";
	if (*p != '/' && *p)
		skf_buf_fmt(out, "%s/", s->req->bundle);
	skf_buf_str(out, p);
}

/* What standard input, output and error are, as criu and crun name them: JSON in a string. */
static int write_descriptors(struct skf_jw *w, const struct skf_start *s)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4 * PATH_MAX);
	struct skf_jw list = SKF_JW(&b);

	skf_jw_arr(&list);
	for (int i = 0; i < 3; i++) {
		char link[40], target[PATH_MAX];
		int r = skf_fmt(link, sizeof(link), "/proc/self/fd/%d",
				s->req->stdio[i] >= 0 ? s->req->stdio[i] : i);
		ssize_t n = r < 0 ? -1 : readlink(link, target, sizeof(target) - 1);

		target[n < 0 ? 0 : n] = '\0'; /* a caller may have closed it: then it is nothing */
		skf_jw_str(&list, target);
	}
	skf_jw_end_arr(&list);
	skf_jw_kstr(w, "external_descriptors", skf_buf_cstr(&b));
	return b.err;
}

/* crun's tools look for the container's file under this name. */
static int link_status(int state_fd)
{
	return symlinkat("state.json", state_fd, "status") < 0 && errno != EEXIST ? skf_errno() : 0;
}

int skf_state_save(const struct skf_state_in *in, struct skf_err *e)
{
	const struct skf_start *s = in->s;
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_STATE_BYTES);
	SKF_AUTO(skf_buf_done) struct skf_buf root = SKF_BUF(2 * PATH_MAX);
	struct skf_jw w = SKF_JW(&b);
	int r;

	rootfs_path(s, &root);
	skf_jw_obj(&w);
	skf_jw_kint(&w, "v", 1);
	skf_jw_kint(&w, "min", 1);
	skf_jw_kstr(&w, "ociVersion", s->spec->oci_version);
	skf_jw_kstr(&w, "id", in->id);
	skf_jw_kint(&w, "pid", in->pid);
	skf_jw_ku64(&w, "pidStart", in->pid_start);
	skf_jw_kstr(&w, "bootId", in->boot_id);
	skf_jw_kstr(&w, "bundle", s->req->bundle);
	if (s->req->config_path)
		skf_jw_kstr(&w, "config", s->req->config_path);
	skf_jw_kstr(&w, "rootfs", skf_buf_cstr(&root));
	skf_jw_kstr(&w, "created", in->created);
	skf_jw_kint(&w, "uid", geteuid());
	skf_jw_kkvs(&w, "annotations", &s->spec->annotations);
	skf_jw_ku64(&w, "namespaces", s->ns_new | s->ns_join);
	write_cgroup(&w, &s->cg);
	if (*s->rdt)
		skf_jw_kstr(&w, "rdt", s->rdt);
	if (s->systemd_scope)
		skf_jw_kstr(&w, "systemdScope", s->systemd_scope);
	if (s->req->preserve_fds)
		skf_jw_kint(&w, "preserveFds", s->req->preserve_fds);
	r = write_descriptors(&w, s);
	write_process(&w, s->process);
	write_linux(&w, &s->spec->linux_);
	skf_jw_kobj(&w, "hooks");
	write_hooks(&w, "startContainer", &s->spec->hooks.start_container);
	write_hooks(&w, "poststart", &s->spec->hooks.poststart);
	write_hooks(&w, "poststop", &s->spec->hooks.poststop);
	skf_jw_end(&w);
	skf_jw_end(&w);
	skf_buf_chr(&b, '\n');
	if (r == 0)
		r = b.err < 0 ? b.err : root.err;
	if (r == 0)
		r = skf_write_atomic_at(s->state_fd, "state.json", b.p, b.len, 0600, 0);
	if (r == 0)
		r = link_status(s->state_fd);
	return r < 0 ? skf_fail_sys(e, r, "write state.json of container '%s'", in->id) : 0;
}

char *skf_state_doc(const struct skf_start *s, const char *id, const char *status, pid_t pid)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_STATE_BYTES);
	struct skf_jw w = SKF_JW(&b);

	skf_jw_obj(&w);
	skf_jw_kstr(&w, "ociVersion", s->spec->oci_version);
	skf_jw_kstr(&w, "id", id);
	skf_jw_kstr(&w, "status", status);
	skf_jw_kint(&w, "pid", pid);
	skf_jw_kstr(&w, "bundle", s->req->bundle);
	skf_jw_kkvs(&w, "annotations", &s->spec->annotations);
	skf_jw_end(&w);
	return skf_buf_take(&b);
}

struct bpf_head {
	char magic[8]; /* "skfbpf1\n" */
	uint32_t n, flags, notify, insn_size;
};
static const char bpf_magic[8] = {'s', 'k', 'f', 'b', 'p', 'f', '1', '\n'};

int skf_state_save_bpf(int state_fd, const struct skf_bpf_prog *p, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1 << 20);
	struct bpf_head h = {
		.n = p->n, .flags = p->flags, .notify = p->notify, .insn_size = sizeof(struct sock_filter)};
	int r;

	if (p->n == 0)
		return 0;
	memcpy(h.magic, bpf_magic, sizeof(h.magic));
	skf_buf_put(&b, &h, sizeof(h));
	skf_buf_put(&b, p->insn, (size_t)p->n * sizeof(struct sock_filter));
	r = b.err < 0 ? b.err : skf_write_atomic_at(state_fd, "seccomp.bpf", b.p, b.len, 0600, 0);
	return r < 0 ? skf_fail_sys(e, r, "keep the seccomp program for exec") : 0;
}

int skf_state_load_bpf(int state_fd, struct skf_arena *a, struct skf_bpf_prog *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(1 << 20);
	struct bpf_head h;
	struct sock_filter *insn;
	int r = skf_read_file_at(state_fd, "seccomp.bpf", 1 << 20, &b);

	memset(ret, 0, sizeof(*ret));
	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return skf_fail_sys(e, r, "read the seccomp program of the container");
	if (b.len >= sizeof(h))
		memcpy(&h, b.p, sizeof(h));
	if (b.len < sizeof(h) || memcmp(h.magic, bpf_magic, sizeof(h.magic)) != 0 ||
	    h.insn_size != sizeof(*insn) || h.n == 0 || h.n > UINT16_MAX ||
	    b.len != sizeof(h) + (size_t)h.n * sizeof(*insn))
		return skf_fail(
			e, SKF_ECORRUPT,
			"the container's seccomp.bpf is malformed; nothing is executed without its filter");
	insn = skf_arena_array(a, h.n, sizeof(*insn));
	if (!insn)
		return skf_nomem(e);
	memcpy(insn, b.p + sizeof(h), (size_t)h.n * sizeof(*insn));
	*ret = (struct skf_bpf_prog){
		.insn = insn, .n = (uint16_t)h.n, .flags = h.flags, .notify = h.notify != 0};
	return 0;
}
