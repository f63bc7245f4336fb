/* oci/seccomp_profile.c -- docker's form of a seccomp profile to the runtime-spec's: archMap becomes
 * architectures, and a rule stays when all its `includes` hold and none of its `excludes`. What is written
 * is then decoded once by the reader of config.json, so that a wrong profile is refused before a container
 * is made of it. */
#include "oci/seccomp_profile.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/err.h"
#include "base/json.h"
#include "base/limits.h"
#include "oci/spec.h"
#include "sys/process.h"
#include <stdio.h>
#include <string.h>
#include <sys/utsname.h>

#define MAX_RULES 4096

struct condition {
	struct skf_strv caps, arches;
	char *min_kernel;
};
struct rule {
	struct skf_strv names;
	char *name, *action, *args;
	bool has_errno;
	uint32_t errno_ret;
	struct condition includes, excludes;
};
struct arch_map {
	char *arch;
	struct skf_strv sub;
};
struct profile {
	char *action, *listener, *metadata, *flags;
	bool has_errno;
	uint32_t errno_ret;
	struct skf_strv arches;
	struct skf_jarr map, rules;
};

#define OPT(type, member, key, fn, arg) SKF_J(type, member, key, fn, arg, SKF_J_NULL_OK)
static const struct skf_jfield condition_f[] = {
	OPT(struct condition, caps, "caps", skf_j_strv, NULL),
	OPT(struct condition, arches, "arches", skf_j_strv, NULL),
	OPT(struct condition, min_kernel, "minKernel", skf_j_str, NULL),
	SKF_J_END,
};
static const struct skf_jtable condition_table = {sizeof(struct condition), condition_f, false, NULL};
static const struct skf_jfield rule_f[] = {
	OPT(struct rule, names, "names", skf_j_strv, NULL),
	OPT(struct rule, name, "name", skf_j_str, NULL),
	SKF_J(struct rule, action, "action", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	OPT(struct rule, args, "args", skf_j_raw, NULL),
	SKF_JP(struct rule, errno_ret, has_errno, "errnoRet", skf_j_u32, NULL, SKF_J_NULL_OK),
	OPT(struct rule, includes, "includes", skf_j_obj, &condition_table),
	OPT(struct rule, excludes, "excludes", skf_j_obj, &condition_table),
	SKF_J_END,
};
static const struct skf_jtable rule_table = {sizeof(struct rule), rule_f, false, NULL};
static const struct skf_jarr_arg rule_arr = {&rule_table, MAX_RULES};
static const struct skf_jfield map_f[] = {
	SKF_J(struct arch_map, arch, "architecture", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	OPT(struct arch_map, sub, "subArchitectures", skf_j_strv, NULL),
	SKF_J_END,
};
static const struct skf_jtable map_table = {sizeof(struct arch_map), map_f, false, NULL};
static const struct skf_jarr_arg map_arr = {&map_table, 64};
static const struct skf_jfield profile_f[] = {
	SKF_J(struct profile, action, "defaultAction", skf_j_str_nonempty, NULL, SKF_J_REQUIRED),
	SKF_JP(struct profile, errno_ret, has_errno, "defaultErrnoRet", skf_j_u32, NULL, SKF_J_NULL_OK),
	OPT(struct profile, arches, "architectures", skf_j_strv, NULL),
	OPT(struct profile, map, "archMap", skf_j_arr, &map_arr),
	OPT(struct profile, rules, "syscalls", skf_j_arr, &rule_arr),
	OPT(struct profile, listener, "listenerPath", skf_j_str, NULL),
	OPT(struct profile, metadata, "listenerMetadata", skf_j_str, NULL),
	OPT(struct profile, flags, "flags", skf_j_raw, NULL),
	SKF_J_END,
};
static const struct skf_jtable profile_table = {sizeof(struct profile), profile_f, false, NULL};

struct machine {
	const char *goarch, *scmp; /* "amd64", "SCMP_ARCH_X86_64" */
	unsigned major, minor;     /* of the kernel */
	uint64_t caps;
};

/* "6.1", "6.18.5-cloud" */
static int parse_version(const char *s, uint32_t *major, uint32_t *minor)
{
	int r = skf_scan_u32(&s, major);

	if (r == 0 && *s++ != '.')
		r = -EINVAL;
	return r < 0 ? r : skf_scan_u32(&s, minor);
}

static void this_machine(struct machine *m, uint64_t caps)
{
	struct utsname u;

	*m = (struct machine){.goarch = "", .scmp = "", .caps = caps};
#if defined(__x86_64__)
	m->goarch = "amd64";
	m->scmp = "SCMP_ARCH_X86_64";
#elif defined(__aarch64__)
	m->goarch = "arm64";
	m->scmp = "SCMP_ARCH_AARCH64";
#endif
	if (uname(&u) < 0 || parse_version(u.release, &m->major, &m->minor) < 0)
		m->major = m->minor = 0; /* then no rule for a newer kernel is taken */
}

static bool kernel_at_least(const struct machine *m, const char *version)
{
	uint32_t major, minor;

	if (parse_version(version, &major, &minor) < 0)
		return false;
	return m->major > major || (m->major == major && m->minor >= minor);
}

static bool has_cap(const struct machine *m, const char *name)
{
	int c = skf_cap_parse(name);

	return c >= 0 && c < 64 && m->caps & 1ull << c;
}

static bool lists(const struct skf_strv *v, const char *word)
{
	for (size_t i = 0; i < v->n; i++)
		if (skf_streq(v->v[i], word))
			return true;
	return false;
}

static bool rule_applies(const struct machine *m, const struct rule *r)
{
	const struct condition *in = &r->includes, *ex = &r->excludes;

	if ((in->arches.n && !lists(&in->arches, m->goarch)) || lists(&ex->arches, m->goarch))
		return false;
	for (size_t i = 0; i < in->caps.n; i++)
		if (!has_cap(m, in->caps.v[i]))
			return false;
	for (size_t i = 0; i < ex->caps.n; i++)
		if (has_cap(m, ex->caps.v[i]))
			return false;
	if (in->min_kernel && *in->min_kernel && !kernel_at_least(m, in->min_kernel))
		return false;
	return !(ex->min_kernel && *ex->min_kernel && kernel_at_least(m, ex->min_kernel));
}

static void write_architectures(struct skf_jw *w, const struct machine *m, const struct profile *p)
{
	const struct arch_map *map = p->map.v;

	if (p->arches.n)
		skf_jw_kstrv(w, "architectures", &p->arches);
	for (size_t i = 0; i < p->map.n; i++) {
		if (!skf_streq(map[i].arch, m->scmp))
			continue;
		skf_jw_karr(w, "architectures");
		skf_jw_str(w, map[i].arch);
		for (size_t j = 0; j < map[i].sub.n; j++)
			skf_jw_str(w, map[i].sub.v[j]);
		skf_jw_end_arr(w);
		return;
	}
}

static void write_rule(struct skf_jw *w, const struct rule *r)
{
	skf_jw_obj(w);
	skf_jw_karr(w, "names");
	if (r->name && *r->name)
		skf_jw_str(w, r->name);
	for (size_t i = 0; i < r->names.n; i++)
		skf_jw_str(w, r->names.v[i]);
	skf_jw_end_arr(w);
	skf_jw_kstr(w, "action", r->action);
	if (r->has_errno)
		skf_jw_ku64(w, "errnoRet", r->errno_ret);
	if (r->args)
		skf_jw_kraw(w, "args", r->args);
	skf_jw_end(w);
}

static void write_profile(struct skf_jw *w, const struct machine *m, const struct profile *p)
{
	const struct rule *r = p->rules.v;

	skf_jw_obj(w);
	skf_jw_kstr(w, "defaultAction", p->action);
	if (p->has_errno)
		skf_jw_ku64(w, "defaultErrnoRet", p->errno_ret);
	write_architectures(w, m, p);
	if (p->flags)
		skf_jw_kraw(w, "flags", p->flags);
	if (p->listener && *p->listener)
		skf_jw_kstr(w, "listenerPath", p->listener);
	if (p->metadata && *p->metadata)
		skf_jw_kstr(w, "listenerMetadata", p->metadata);
	skf_jw_karr(w, "syscalls");
	for (size_t i = 0; i < p->rules.n; i++)
		if (rule_applies(m, &r[i]))
			write_rule(w, &r[i]);
	skf_jw_end_arr(w);
	skf_jw_end(w);
}

int skf_seccomp_profile(const char *name, const char *text, size_t n, uint64_t caps, struct skf_buf *ret,
			struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	const struct skf_jdoc d = {.name = name, .max_bytes = SKF_MAX_SECCOMP_BYTES};
	const struct skf_spec_opts o = {.name = name};
	struct skf_spec_seccomp *checked;
	struct skf_jw w = SKF_JW(ret);
	size_t at = ret->len;
	struct machine m;
	void *p;

	if (skf_json_decode(&d, text, n, &profile_table, &a, &p, e) < 0)
		return -1;
	this_machine(&m, caps);
	write_profile(&w, &m, p);
	if (ret->err < 0)
		return skf_fail_sys(e, ret->err, "%s: write the seccomp profile", name);
	return skf_spec_parse_seccomp(ret->p + at, ret->len - at, &o, &a, &checked, e);
}
