/* oci/spec_process.c -- the `process` object of config.json and of `exec --process`: user, capabilities,
 * rlimits and what execve(2) needs. Pure; nothing blocks.
 *
 * Invariants:
 * 1. No id is 4294967295 (spec_common.c).
 * 2. Every env entry is NAME=value with a name, as runc demands at start; here it is found before anything
 * was made.
 * 3. A resource limit appears once, and soft <= hard.
 * 4. Capability names that are not "CAP_..." of capabilities(7) go to caps.unknown, never to a mask. */
#include "oci/spec_int.h"
#include "base/arena.h"
#include "base/buf.h"
#include "base/limits.h"
#include "sys/process.h"
#include <string.h>

/* --- user --- */
struct gids_ctx {
	uint32_t *v;
	size_t n, cap;
};

static int gids_elem(struct skf_jctx *c, size_t i, struct json_object *v, void *user)
{
	struct gids_ctx *g = user;

	(void)i;
	if (g->n == g->cap) {
		size_t cap = g->cap ? g->cap * 2 : 8;
		uint32_t *p = skf_arena_array(skf_j_arena(c), cap, sizeof(*p));
		if (!p)
			return skf_spec_j_nomem(c);
		if (g->n)
			memcpy(p, g->v, g->n * sizeof(*p));
		g->v = p;
		g->cap = cap;
	}
	if (skf_spec_j_id(c, v, &g->v[g->n], NULL) < 0)
		return -1;
	g->n++;
	return 0;
}

static int dec_gids(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct skf_spec_user *u = dst;
	struct gids_ctx g = {0};

	(void)arg;
	if (skf_j_each_elem(c, v, SKF_MAX_GIDS, gids_elem, &g) < 0)
		return -1;
	u->gids = g.v;
	u->n_gids = g.n;
	return 0;
}

static int dec_umask(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	uint32_t m;

	(void)arg;
	if (skf_j_u32(c, v, &m, NULL) < 0)
		return -1;
	if (m > 0777)
		return skf_j_fail(c, SKF_EINVALID,
				  "expected a file mode mask of at most 511 (octal 777), found %u", m);
	*(uint32_t *)dst = m;
	return 0;
}

static const struct skf_jfield user_f[] = {
	SPEC_OPT(struct skf_spec_user, uid, "uid", skf_spec_j_id, NULL),
	SPEC_OPT(struct skf_spec_user, gid, "gid", skf_spec_j_id, NULL),
	SPEC_OPTP(struct skf_spec_user, umask, has_umask, "umask", dec_umask, NULL),
	SPEC_WHOLE("additionalGids", dec_gids),
	SPEC_FOREIGN("username"),
	SKF_J_END,
};
static const struct skf_jtable user_table = {sizeof(struct skf_spec_user), user_f};

/* --- capabilities --- */
struct caps_ctx {
	uint64_t mask;
	struct skf_strv *unknown;
};

static int note_unknown_cap(struct skf_jctx *c, struct skf_strv *unknown, const char *name)
{
	for (size_t i = 0; i < unknown->n; i++) {
		if (skf_streq(unknown->v[i], name))
			return 0;
	}
	return skf_strv_add(skf_j_arena(c), unknown, name) < 0 ? skf_spec_j_nomem(c) : 0;
}

static int caps_elem(struct skf_jctx *c, size_t i, struct json_object *v, void *user)
{
	struct caps_ctx *x = user;
	char *name = NULL;
	int cap;

	(void)i;
	if (skf_j_str(c, v, &name, NULL) < 0)
		return -1;
	cap = skf_startswith(name, "CAP_") ? skf_cap_parse(name) : -EINVAL;
	/* The parser of the command line is lenient about case; the spec has one spelling. */
	if (cap < 0 || cap > 63 || !skf_streq(skf_cap_name((unsigned)cap), name))
		return note_unknown_cap(c, x->unknown, name);
	x->mask |= UINT64_C(1) << cap;
	return 0;
}

/* One row per set; arg is the offset of its mask. */
static int dec_cap_set(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	struct skf_spec_caps *caps = dst;
	const size_t *off = arg;
	struct caps_ctx x = {.unknown = &caps->unknown};

	if (skf_j_each_elem(c, v, SPEC_MAX_LIST, caps_elem, &x) < 0)
		return -1;
	memcpy((char *)caps + *off, &x.mask, sizeof(x.mask));
	return 0;
}

#define CAPS_OFF(member) (&(const size_t){offsetof(struct skf_spec_caps, member)})
static const struct skf_jfield caps_f[] = {
	{"bounding", dec_cap_set, CAPS_OFF(bounding), 0, 0, SKF_J_NULL_OK},
	{"effective", dec_cap_set, CAPS_OFF(effective), 0, 0, SKF_J_NULL_OK},
	{"inheritable", dec_cap_set, CAPS_OFF(inheritable), 0, 0, SKF_J_NULL_OK},
	{"permitted", dec_cap_set, CAPS_OFF(permitted), 0, 0, SKF_J_NULL_OK},
	{"ambient", dec_cap_set, CAPS_OFF(ambient), 0, 0, SKF_J_NULL_OK},
	SKF_J_END,
};
static const struct skf_jtable caps_table = {sizeof(struct skf_spec_caps), caps_f};

/* --- rlimits --- */
static const struct skf_jenum rlimit_types[] = {
	{"RLIMIT_AS", RLIMIT_AS},
	{"RLIMIT_CORE", RLIMIT_CORE},
	{"RLIMIT_CPU", RLIMIT_CPU},
	{"RLIMIT_DATA", RLIMIT_DATA},
	{"RLIMIT_FSIZE", RLIMIT_FSIZE},
	{"RLIMIT_LOCKS", RLIMIT_LOCKS},
	{"RLIMIT_MEMLOCK", RLIMIT_MEMLOCK},
	{"RLIMIT_MSGQUEUE", RLIMIT_MSGQUEUE},
	{"RLIMIT_NICE", RLIMIT_NICE},
	{"RLIMIT_NOFILE", RLIMIT_NOFILE},
	{"RLIMIT_NPROC", RLIMIT_NPROC},
	{"RLIMIT_RSS", RLIMIT_RSS},
	{"RLIMIT_RTPRIO", RLIMIT_RTPRIO},
	{"RLIMIT_RTTIME", RLIMIT_RTTIME},
	{"RLIMIT_SIGPENDING", RLIMIT_SIGPENDING},
	{"RLIMIT_STACK", RLIMIT_STACK},
	{NULL, 0},
};

const char *skf_spec_rlimit_name(int type)
{
	for (const struct skf_jenum *t = rlimit_types; t->name; t++)
		if (t->value == type)
			return t->name;
	return NULL;
}

static int rlimit_check(struct skf_jctx *c, void *obj)
{
	const struct skf_spec_rlimit *l = obj;

	if (l->soft > l->hard)
		return skf_j_fail(c, SKF_EINVALID,
				  "the soft limit %llu is above the hard limit %llu; lower it",
				  (unsigned long long)l->soft, (unsigned long long)l->hard);
	return 0;
}

static const struct skf_jfield rlimit_f[] = {
	SPEC_REQ(struct skf_spec_rlimit, type, "type", skf_j_enum, rlimit_types),
	SPEC_REQ(struct skf_spec_rlimit, hard, "hard", skf_j_u64, NULL),
	SPEC_REQ(struct skf_spec_rlimit, soft, "soft", skf_j_u64, NULL),
	SKF_J_END,
};
static const struct skf_jtable rlimit_table = {sizeof(struct skf_spec_rlimit), rlimit_f,
					       .check = rlimit_check};

static int rlimit_unique(struct skf_jctx *c, size_t i, struct json_object *v, void *user)
{
	const struct skf_jarr *a = user;
	const struct skf_spec_rlimit *l = a->v;

	(void)v;
	for (size_t k = 0; k < i; k++) {
		if (l[k].type == l[i].type)
			return skf_j_fail(c, SKF_EINVALID,
					  "%s is already set by entry %zu; keep one of them",
					  skf_spec_enum_name(rlimit_types, l[i].type), k);
	}
	return 0;
}

static int dec_rlimits(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	static const struct skf_jarr_arg arr = {&rlimit_table, SKF_MAX_RLIMITS};

	(void)arg;
	if (skf_j_arr(c, v, dst, &arr) < 0)
		return -1;
	return skf_j_each_elem(c, v, SKF_MAX_RLIMITS, rlimit_unique, dst);
}

/* --- process --- */
static int env_check(struct skf_jctx *c, const char *s)
{
	if (!strchr(s, '='))
		return skf_j_fail(c, SKF_EINVALID,
				  "invalid environment variable '%.100s': expected NAME=value", s);
	if (s[0] == '=')
		return skf_j_fail(c, SKF_EINVALID,
				  "invalid environment variable '%.100s': its name is empty", s);
	return 0;
}

static int dec_oom_score_adj(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg)
{
	int32_t n;

	(void)arg;
	if (skf_j_i32(c, v, &n, NULL) < 0)
		return -1;
	if (n < -1000 || n > 1000)
		return skf_j_fail(c, SKF_EINVALID, "expected a value from -1000 to 1000, found %d", n);
	*(int32_t *)dst = n;
	return 0;
}

static int process_check(struct skf_jctx *c, void *obj)
{
	const struct skf_spec_process *p = obj;

	/* The spec lets consoleSize be ignored without a terminal, so only then does its range matter
	 * (struct winsize). */
	if (p->terminal && (p->console_size.height > UINT16_MAX || p->console_size.width > UINT16_MAX))
		return skf_j_fail(
			c, SKF_EINVALID,
			"consoleSize %ux%u is too large; a terminal has at most 65535 rows and columns",
			p->console_size.height, p->console_size.width);
	return 0;
}

static const struct skf_jfield box_f[] = {
	SPEC_REQ(struct skf_box, height, "height", skf_j_u32, NULL),
	SPEC_REQ(struct skf_box, width, "width", skf_j_u32, NULL),
	SKF_J_END,
};
static const struct skf_jtable box_table = {sizeof(struct skf_box), box_f};
static const struct skf_spec_strings args_rule = {NULL, SKF_MAX_ARGS};
static const struct skf_spec_strings env_rule = {env_check, SKF_MAX_ENV};

#define P struct skf_spec_process
static const struct skf_jfield process_f[] = {
	SPEC_OPT(P, terminal, "terminal", skf_j_bool, NULL),
	SPEC_OPTP(P, console_size, has_console_size, "consoleSize", skf_j_obj, &box_table),
	SPEC_OPT(P, user, "user", skf_j_obj, &user_table),
	SPEC_OPT(P, args, "args", skf_spec_j_strings, &args_rule),
	SPEC_FOREIGN("commandLine"),
	SPEC_OPT(P, env, "env", skf_spec_j_strings, &env_rule),
	SPEC_REQ(P, cwd, "cwd", skf_j_abspath, NULL),
	SPEC_OPTP(P, caps, has_caps, "capabilities", skf_j_obj, &caps_table),
	SPEC_OPT(P, rlimits, "rlimits", dec_rlimits, NULL),
	SPEC_OPT(P, no_new_privs, "noNewPrivileges", skf_j_bool, NULL),
	SPEC_OPT(P, apparmor_profile, "apparmorProfile", skf_j_str, NULL),
	SPEC_OPT(P, selinux_label, "selinuxLabel", skf_j_str, NULL),
	SPEC_OPTP(P, oom_score_adj, has_oom_score_adj, "oomScoreAdj", dec_oom_score_adj, NULL),
	SPEC_OPT(P, scheduler, "scheduler", skf_spec_j_scheduler, NULL),
	SPEC_OPT(P, io_priority, "ioPriority", skf_j_objp, &skf_spec_io_priority_table),
	SPEC_WHOLE("execCPUAffinity", skf_spec_j_affinity),
	SKF_J_END,
};
#undef P
const struct skf_jtable skf_spec_process_table = {sizeof(struct skf_spec_process), process_f,
						  .check = process_check};
