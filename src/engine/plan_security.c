/* engine/plan_security.c -- what a container may do: capabilities, and the words of --security-opt as a
 * table. A seccomp profile is read from its file and resolved here, so that a wrong one is refused before
 * anything is made. */
#include "engine/create_int.h"
#include "oci/seccomp_profile.h"
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#define UNCONFINED "unconfined"

static int bad_value(const char *word, const char *expected, struct skf_err *e)
{
	return skf_fail(e, SKF_EINVALID, "invalid --security-opt 1: \"%s\": expected %s", word, expected);
}

static int opt_no_new_privs(struct skf_plan *p, const char *word, const char *v, struct skf_err *e)
{
	if (v && !skf_streq(v, "true") && !skf_streq(v, "false"))
		return bad_value(word, "no-new-privileges[=true|false]", e);
	p->gen.process.no_new_privs = !v || skf_streq(v, "true");
	return 0;
}

static int opt_seccomp(struct skf_plan *p, const char *word, const char *v, struct skf_err *e)
{
	if (!v || !*v)
		return bad_value(word, "seccomp=FILE, seccomp=builtin or seccomp=unconfined", e);
	p->seccomp = v;
	return 0;
}

static int opt_apparmor(struct skf_plan *p, const char *word, const char *v, struct skf_err *e)
{
	if (!v || !*v)
		return bad_value(word, "apparmor=PROFILE or apparmor=unconfined", e);
	p->gen.process.apparmor = skf_streq(v, UNCONFINED) ? "" : v;
	return 0;
}

/* What it means: plan_selinux.c. */
static int opt_label(struct skf_plan *p, const char *word, const char *v, struct skf_err *e)
{
	int r = v ? skf_plan_label_word(p, v) : -EINVAL;

	if (r == -EINVAL || r == -ENAMETOOLONG)
		return bad_value(
			word,
			"label=disable, label=nested, or label=user:, role:, type:, level: or filetype: "
			"with a value",
			e);
	return r < 0 ? skf_plan_no_memory(e) : 0;
}

/* "/a:/b" -> words. */
static int opt_paths(struct skf_plan *p, const char *word, const char *v, struct skf_strv *to,
		     struct skf_err *e)
{
	if (!v || !*v)
		return bad_value(word, "absolute paths with ':' between them", e);
	while (*v) {
		size_t n = strcspn(v, ":");
		char *path = skf_arena_dup(p->a, v, n);

		if (!path || skf_strv_add(p->a, to, path) < 0)
			return skf_plan_no_memory(e);
		if (path[0] != '/')
			return bad_value(word, "absolute paths with ':' between them", e);
		v += n + (v[n] == ':');
	}
	return 0;
}

static int opt_mask(struct skf_plan *p, const char *word, const char *v, struct skf_err *e)
{
	return opt_paths(p, word, v, &p->gen.mask, e);
}

static int opt_unmask(struct skf_plan *p, const char *word, const char *v, struct skf_err *e)
{
	if (v && (skf_streq(v, "ALL") || skf_streq(v, "all"))) {
		p->gen.unmask_all = true;
		return 0;
	}
	return opt_paths(p, word, v, &p->gen.unmask, e);
}

static int opt_systempaths(struct skf_plan *p, const char *word, const char *v, struct skf_err *e)
{
	if (!v || !skf_streq(v, UNCONFINED))
		return bad_value(word, "systempaths=unconfined", e);
	p->gen.unmask_all = true;
	return 0;
}

static int opt_proc(struct skf_plan *p, const char *word, const char *v, struct skf_err *e)
{
	if (!v || !*v)
		return bad_value(word, "proc-opts=OPTION[,OPTION...], e.g. proc-opts=hidepid=2", e);
	p->gen.proc_opts = v;
	return 0;
}

static int opt_cgroups(struct skf_plan *p, const char *word, const char *v, struct skf_err *e)
{
	if (v && !skf_streq(v, "true") && !skf_streq(v, "false"))
		return bad_value(word, "writable-cgroups[=true|false]", e);
	p->gen.cgroup_writable = !v || skf_streq(v, "true");
	return 0;
}

static const struct {
	const char *name;
	int (*fn)(struct skf_plan *p, const char *word, const char *value,
		  struct skf_err *e); /* value NULL: none */
} options[] = {
	{"apparmor", opt_apparmor},
	{"label", opt_label},
	{"mask", opt_mask},
	{"no-new-privileges", opt_no_new_privs},
	{"proc-opts", opt_proc},
	{"seccomp", opt_seccomp},
	{"systempaths", opt_systempaths},
	{"unmask", opt_unmask},
	{"writable-cgroups", opt_cgroups},
};

static int one_option(struct skf_plan *p, const char *word, struct skf_err *e)
{
	size_t n = strcspn(word, "=:"); /* docker takes both */

	for (size_t i = 0; i < SKF_ARRAY_LEN(options); i++)
		if (strlen(options[i].name) == n && memcmp(options[i].name, word, n) == 0)
			return options[i].fn(p, word, word[n] ? word + n + 1 : NULL, e);
	return skf_fail(
		e, SKF_EINVALID,
		"invalid --security-opt 2: \"%s\": it takes apparmor, label, mask, no-new-privileges, "
		"proc-opts, seccomp, systempaths, unmask and writable-cgroups",
		word);
}

/* The word of the option, or the configuration's, to a profile: "" the default one, NULL none. */
static int plan_seccomp(struct skf_plan *p, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf text = SKF_BUF(SKF_MAX_SECCOMP_BYTES), out = SKF_BUF(SKF_MAX_SECCOMP_BYTES);
	const char *v = p->seccomp           ? p->seccomp
			: p->q->s.privileged ? UNCONFINED
					     : p->g->conf.seccomp_profile,
		   *name = v;
	int r;

	if (skf_streq(v, UNCONFINED))
		return 0;
	p->gen.seccomp = "";
	if (skf_streq(v, "builtin") || skf_streq(v, "default") || !*v)
		return 0;
	if (v[0] == '{') { /* the Docker API passes the profile itself */
		name = "the seccomp profile";
		skf_buf_str(&text, v);
		r = text.err;
	} else {
		r = skf_read_file_at(AT_FDCWD, v, SKF_MAX_SECCOMP_BYTES, &text);
	}
	if (r < 0)
		return skf_fail_sys(e, r, "opening seccomp profile (%.200s) failed", name);
	if (skf_seccomp_profile(name, skf_buf_cstr(&text), text.len, p->gen.process.caps, &out, e) < 0)
		return -1;
	p->gen.seccomp = skf_arena_dup(p->a, skf_buf_cstr(&out), out.len);
	return p->gen.seccomp ? 0 : skf_plan_no_memory(e);
}

static void plan_apparmor(struct skf_plan *p)
{
	struct skf_gen_process *q = &p->gen.process;

	if (!q->apparmor && !p->q->s.privileged && *p->g->conf.apparmor_profile &&
	    faccessat(AT_FDCWD, "/sys/kernel/security/apparmor", F_OK, 0) == 0)
		q->apparmor = p->g->conf.apparmor_profile;
	if (q->apparmor && !*q->apparmor)
		q->apparmor = NULL;
}

int skf_plan_security(struct skf_plan *p, struct skf_err *e)
{
	const struct skf_settings *s = &p->q->s;

	p->gen.privileged = s->privileged;
	p->gen.readonly = p->conf.readonly = s->readonly || p->g->conf.read_only;
	p->gen.process.no_new_privs = p->g->conf.no_new_privileges;
	for (size_t i = 0; i < s->security_opt.n; i++)
		if (one_option(p, s->security_opt.v[i], e) < 0)
			return -1;
	plan_apparmor(p);
	if (skf_caps_gen(&s->cap_add, &s->cap_drop, s->privileged, &p->gen.process.caps, e) < 0)
		return -1;
	return plan_seccomp(p, e);
}
