/* engine/process_gen.c -- the process of a container: capability set, environment, and the runtime-spec's
 * process object, used for create (inside config.json) and for exec. Pure. */
#include "engine/engine_int.h"
#include "oci/default_seccomp.h"
#include "sys/process.h"
#include <string.h>
#include <strings.h>

#define DEFAULT_PATH "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
#define ALL_CAPS_MAX 64

static uint64_t all_caps(void)
{
	uint64_t m = 0;
	int last = skf_cap_last();

	/* Names that we do not know cannot be written into the document, so that they are left out here
	 * already. */
	for (int i = 0; i <= last && i < ALL_CAPS_MAX; i++)
		if (skf_cap_name((unsigned)i))
			m |= 1ull << i;
	return m;
}

static int cap_mask(const char *flag, const char *name, uint64_t all, uint64_t *ret, struct skf_err *e)
{
	int c;

	if (!strcasecmp(name, "ALL")) {
		*ret = all;
		return 0;
	}
	c = skf_cap_parse(name);
	if (c < 0)
		return skf_fail(e, SKF_EINVALID, "invalid %s: unknown capability: \"%s\"", flag, name);
	/* A known capability that this kernel lacks: docker refuses it in the same words. */
	if (!(all & 1ull << c))
		return skf_fail(e, SKF_EINVALID,
				"invalid %s: capability not supported by your kernel: \"%s\"", flag, name);
	*ret = 1ull << c;
	return 0;
}

int skf_caps_gen(const struct skf_strv *add, const struct skf_strv *drop, bool privileged, uint64_t *ret,
		 struct skf_err *e)
{
	uint64_t all = add->n || drop->n || privileged ? all_caps() : 0, m = 0, added = 0, dropped = 0;

	for (size_t i = 0; i < add->n; i++) {
		if (cap_mask("CapAdd", add->v[i], all, &m, e) < 0)
			return -1;
		added |= m;
	}
	for (size_t i = 0; i < drop->n; i++) {
		if (cap_mask("CapDrop", drop->v[i], all, &m, e) < 0)
			return -1;
		dropped |= m;
	}
	if (privileged) {
		*ret = all;
		return 0;
	}
	/* docker's rule: "--cap-drop ALL --cap-add X" is X alone, "--cap-add ALL --cap-drop X" is all but X,
	 * a name in both is there. */
	if (dropped == all && all)
		*ret = added;
	else if (added == all && all)
		*ret = all & ~dropped;
	else
		*ret = (SKF_DEFAULT_CAPS & ~dropped) | added;
	return 0;
}

static size_t name_len(const char *var)
{
	const char *eq = strchr(var, '=');

	return eq ? (size_t)(eq - var) : strlen(var);
}

/* A variable without '=' removes one of that name. */
static int env_put(struct skf_arena *a, struct skf_strv *v, const char *var)
{
	size_t n = name_len(var), i;

	for (i = 0; i < v->n; i++)
		if (name_len(v->v[i]) == n && !memcmp(v->v[i], var, n))
			break;
	if (!var[n]) {
		if (i < v->n) {
			memmove(&v->v[i], &v->v[i + 1], (v->n - i) * sizeof(*v->v));
			v->n--;
		}
		return 0;
	}
	if (i == v->n)
		return skf_strv_add(a, v, var);
	v->v[i] = skf_arena_strdup(a, var);
	return v->v[i] ? 0 : -ENOMEM;
}

static bool env_has(const struct skf_strv *v, const char *name)
{
	for (size_t i = 0; i < v->n; i++)
		if (name_len(v->v[i]) == strlen(name) && skf_startswith(v->v[i], name))
			return true;
	return false;
}

static int env_put_all(struct skf_arena *a, struct skf_strv *v, const struct skf_strv *from)
{
	for (size_t i = 0; from && i < from->n; i++)
		if (env_put(a, v, from->v[i]) < 0)
			return -ENOMEM;
	return 0;
}

int skf_env_gen(const struct skf_env_gen *q, struct skf_arena *a, struct skf_strv *ret, struct skf_err *e)
{
	struct skf_strv v = {0};
	const char *host = q->hostname ? skf_arena_fmt(a, "HOSTNAME=%s", q->hostname) : NULL;
	int r = env_put(a, &v, DEFAULT_PATH);

	if (r == 0 && q->hostname)
		r = host ? env_put(a, &v, host) : -ENOMEM;
	if (r == 0 && q->tty)
		r = env_put(a, &v, "TERM=xterm");
	if (r == 0)
		r = env_put_all(a, &v, q->image);
	if (r == 0)
		r = env_put_all(a, &v, q->user);
	if (r == 0 && q->home && !env_has(&v, "HOME")) {
		char *home = skf_arena_fmt(a, "HOME=%s", q->home);

		r = home ? env_put(a, &v, home) : -ENOMEM;
	}
	if (r < 0)
		return skf_fail(e, SKF_ENOMEM, "memory for the environment of the container");
	if (v.n > SKF_MAX_ENV)
		return skf_fail(e, SKF_ELIMIT,
				"the container would have %zu environment variables; the limit is %d", v.n,
				SKF_MAX_ENV);
	*ret = v;
	return 0;
}

static void write_caps(struct skf_jw *w, const char *key, uint64_t mask)
{
	skf_jw_karr(w, key);
	for (unsigned i = 0; i < ALL_CAPS_MAX; i++)
		if (mask & 1ull << i && skf_cap_name(i))
			skf_jw_str(w, skf_cap_name(i));
	skf_jw_end_arr(w);
}

static void write_user(struct skf_jw *w, const struct skf_gen_process *p)
{
	skf_jw_kobj(w, "user");
	skf_jw_ku64(w, "uid", p->uid);
	skf_jw_ku64(w, "gid", p->gid);
	if (p->n_gids) {
		skf_jw_karr(w, "additionalGids");
		for (size_t i = 0; i < p->n_gids; i++)
			skf_jw_int(w, p->gids[i]);
		skf_jw_end_arr(w);
	}
	if (p->has_umask)
		skf_jw_ku64(w, "umask", p->umask);
	skf_jw_end(w);
}

static void write_rlimits(struct skf_jw *w, const struct skf_gen_process *p)
{
	if (!p->n_rlimits)
		return;
	skf_jw_karr(w, "rlimits");
	for (size_t i = 0; i < p->n_rlimits; i++) {
		skf_jw_obj(w);
		skf_jw_kstr(w, "type", p->rlimits[i].type);
		skf_jw_ku64(w, "hard", p->rlimits[i].hard);
		skf_jw_ku64(w, "soft", p->rlimits[i].soft);
		skf_jw_end(w);
	}
	skf_jw_end_arr(w);
}

void skf_process_gen(struct skf_jw *w, const char *key, const struct skf_gen_process *p)
{
	uint64_t effective = p->uid == 0 ? p->caps : 0; /* what execve would leave to another user */

	if (key)
		skf_jw_kobj(w, key);
	else
		skf_jw_obj(w);
	skf_jw_kbool(w, "terminal", p->tty);
	if (p->tty && p->rows && p->cols) {
		skf_jw_kobj(w, "consoleSize");
		skf_jw_ku64(w, "height", p->rows);
		skf_jw_ku64(w, "width", p->cols);
		skf_jw_end(w);
	}
	write_user(w, p);
	skf_jw_kstrv(w, "args", &p->args);
	skf_jw_kstrv(w, "env", &p->env);
	skf_jw_kstr(w, "cwd", p->cwd);
	skf_jw_kobj(w, "capabilities");
	write_caps(w, "bounding", p->caps);
	write_caps(w, "effective", effective);
	write_caps(w, "permitted", effective);
	skf_jw_end(w);
	if (p->no_new_privs)
		skf_jw_kbool(w, "noNewPrivileges", true);
	write_rlimits(w, p);
	if (p->has_oom_score_adj)
		skf_jw_kint(w, "oomScoreAdj", p->oom_score_adj);
	if (p->apparmor)
		skf_jw_kstr(w, "apparmorProfile", p->apparmor);
	if (p->selinux)
		skf_jw_kstr(w, "selinuxLabel", p->selinux);
	skf_jw_end(w);
}
