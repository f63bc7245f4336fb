/* engine/explain_security.c -- explain: what the container's process may do, and as whom: capabilities,
 * seccomp, LSM, user, limits of the process. */
#include "engine/create_int.h"
#include "engine/explain_int.h"
#include "sys/process.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

#define P(group, name, key, flag, show)                                                                     \
	{                                                                                                   \
		group, name, key, flag, show, NULL                                                          \
	}

static const char *yes(bool b)
{
	return b ? "yes" : "no";
}

static void privileged(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_ex_line l = {.value = yes(x->q->s.privileged)};

	skf_ex_put(x, p, &l);
}

/* --- capabilities --- */

/* Does a list of --cap-add or --cap-drop name it? all: ALL counts. */
static bool named(const struct skf_strv *v, unsigned cap, bool all)
{
	for (size_t i = 0; i < v->n; i++)
		if (skf_cap_parse(v->v[i]) == (int)cap || (all && strcasecmp(v->v[i], "all") == 0))
			return true;
	return false;
}

static const char *cap_source(const struct skf_ex *x, unsigned cap, bool on, bool usual)
{
	const struct skf_settings *s = &x->q->s;

	if (named(&s->cap_add, cap, !usual) && on)
		return "flag --cap-add";
	if (named(&s->cap_drop, cap, true) && !on)
		return "flag --cap-drop";
	return s->privileged && on && !usual ? "flag --privileged" : "default";
}

static uint64_t mask_of(const char *hex)
{
	uint8_t b[8] = {0};
	uint64_t v = 0;

	if (skf_hex_bytes(hex, b, sizeof(b)) < 0)
		return 0; /* no such line: the container does not run */
	for (size_t i = 0; i < sizeof(b); i++)
		v = v << 8 | b[i];
	return v;
}

/* Each one that it has, would have by default, or that a flag names; the bounding set. */
static void capabilities(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_settings *s = &x->q->s;
	const struct skf_strv none = {0};
	uint64_t usual = 0, have = mask_of(skf_ex_status(x, "CapBnd")),
		 want = x->spec->process->caps.bounding;
	struct skf_err ignored = SKF_ERR_INIT; /* empty lists name nothing that could be wrong */
	int last = skf_cap_last();

	(void)skf_caps_gen(&none, &none, false, &usual, &ignored);
	for (unsigned i = 0; (int)i <= last && skf_cap_name(i); i++) {
		uint64_t bit = (uint64_t)1 << i;
		struct skf_ex_line l = {
			.name = skf_cap_name(i), .value = yes(want & bit), .kernel = yes(have & bit)};

		if (!((want | usual | have) & bit) && !named(&s->cap_add, i, true) &&
		    !named(&s->cap_drop, i, false))
			continue;
		l.source = cap_source(x, i, want & bit, usual & bit);
		skf_ex_put(x, p, &l);
	}
}

static void cap_sets(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_spec_caps *c = &x->spec->process->caps;
	const struct {
		const char *name, *field;
		uint64_t want;
		bool fixed; /* no flag changes it */
	} sets[] = {{"effective set", "CapEff", c->effective, false},
		    {"permitted set", "CapPrm", c->permitted, false},
		    {"inheritable set", "CapInh", c->inheritable, true},
		    {"ambient set", "CapAmb", c->ambient, true}};
	char want[20];

	for (size_t i = 0; i < SKF_ARRAY_LEN(sets); i++) {
		struct skf_ex_line l = {
			.name = sets[i].name, .value = want, .kernel = skf_ex_status(x, sets[i].field)};

		snprintf(want, sizeof(want), "%016" PRIx64, sets[i].want);
		l.source = sets[i].fixed        ? "default"
			   : x->q->s.cap_add.n  ? "flag --cap-add"
			   : x->q->s.cap_drop.n ? "flag --cap-drop"
			   : x->q->s.privileged ? "flag --privileged"
						: "default";
		skf_ex_put(x, p, &l);
	}
}

static void seccomp(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_spec_seccomp *s = x->spec->linux_.seccomp;
	const char *opt = skf_ex_opt(x, "seccomp"), *mode = skf_ex_status(x, "Seccomp"),
		   *n = skf_ex_status(x, "Seccomp_filters");
	bool filter = skf_streq(mode, "2");
	struct skf_ex_line l = {.cmp = !*mode || filter == (s != NULL) ? SKF_EX_SAME : SKF_EX_DIFFERS};

	if (!s)
		l.value = "unconfined";
	else if (opt && !skf_streq(opt, "builtin") && !skf_streq(opt, "default"))
		l.value = skf_ex_text(x, "profile %.200s, %zu rules", opt[0] == '{' ? "of the request" : opt,
				      s->syscalls.n);
	else
		l.value = skf_ex_text(x, "%s, %zu rules",
				      skf_kvs_get(&x->q->from, "seccomp") ? "the configured profile"
									  : "the built-in profile",
				      s->syscalls.n);
	l.source = opt ? "flag --security-opt seccomp" : x->q->s.privileged ? "flag --privileged" : NULL;
	l.kernel = filter ? skf_ex_text(x, "filter%s%s%s", *n ? " (" : "", n, *n ? " loaded)" : "")
		   : skf_streq(mode, "0") ? "off"
					  : skf_ex_text(x, "mode %s", mode);
	skf_ex_put(x, p, &l);
}

static void no_new_privs(struct skf_ex *x, const struct skf_ex_prop *p)
{
	struct skf_ex_line l = {.value = yes(x->spec->process->no_new_privs),
				.kernel = yes(skf_streq(skf_ex_status(x, "NoNewPrivs"), "1"))};

	if (skf_ex_opt(x, "no-new-privileges"))
		l.source = "flag --security-opt no-new-privileges";
	skf_ex_put(x, p, &l);
}

static void apparmor(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const char *want = x->spec->process->apparmor_profile;
	char *have = skf_ex_proc_file(x, "attr/apparmor/current");
	struct skf_ex_line l = {.value = want && *want ? want : "unconfined", .cmp = SKF_EX_SAME};

	l.kernel = have ? have : "no AppArmor";
	if (have && (strncmp(have, l.value, strlen(l.value)) != 0 || !strchr(" ", have[strlen(l.value)])))
		l.cmp = SKF_EX_DIFFERS;
	else if (!have && want && *want)
		l.cmp = SKF_EX_DIFFERS;
	l.source = skf_ex_opt(x, "apparmor") ? "flag --security-opt apparmor"
		   : x->q->s.privileged      ? "flag --privileged"
					     : NULL;
	skf_ex_put(x, p, &l);
}

/* Why a container has none where SELinux is on. */
static const char *no_label_source(const struct skf_ex *x)
{
	const struct skf_settings *s = &x->q->s;

	return s->privileged               ? "flag --privileged"
	       : skf_streq(s->pid, "host") ? "flag --pid"
	       : skf_streq(s->ipc, "host") ? "flag --ipc"
					   : "default";
}

static void selinux(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const char *want = x->spec->process->selinux_label;
	char *have = skf_selinux_is_on() ? skf_ex_proc_file(x, "attr/current") : NULL;
	struct skf_ex_line l = {.value = want && *want ? want : "none",
				.kernel = have ? have : "no SELinux",
				.cmp = SKF_EX_NONE};

	l.source = skf_ex_opt(x, "label") ? "flag --security-opt label"
		   : have && !want        ? no_label_source(x)
					  : "default";
	if (have)
		l.cmp = (want && strcmp(have, want) == 0) || (!want && !*have) ? SKF_EX_SAME : SKF_EX_TEXT;
	if (want && have && *have && strcmp(have, want) != 0)
		l.cmp = SKF_EX_DIFFERS;
	skf_ex_put(x, p, &l);
}

static void mount_label(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const char *want = x->spec->linux_.mount_label;
	struct skf_ex_line l = {.value = want && *want ? want : "none",
				.kernel = "",
				.cmp = SKF_EX_NONE,
				.source = skf_ex_opt(x, "label") ? "flag --security-opt label" : "default"};

	skf_ex_put(x, p, &l);
}

static const struct skf_ex_prop security[] = {
	P("security", "privileged", "privileged", "--privileged", privileged),
	P("security", "capability", NULL, NULL, capabilities),
	P("security", "capabilities", NULL, NULL, cap_sets),
	P("security", "seccomp", "seccomp", NULL, seccomp),
	P("security", "no_new_privs", "noNewPrivileges", NULL, no_new_privs),
	P("security", "AppArmor profile", "apparmor", NULL, apparmor),
	P("security", "SELinux label", NULL, NULL, selinux),
	P("security", "SELinux label of files", NULL, NULL, mount_label),
};
const struct skf_ex_table skf_ex_security = {security, SKF_ARRAY_LEN(security)};

/* --- the process --- */

/* The container's number of the host's id at *text, which moves behind it; false: there is none. Not mapped:
 * the host's number. */
static bool inside(struct skf_ex *x, const char *map, const char **text, uint32_t *ret)
{
	struct skf_jarr maps = {0};
	uint32_t id;
	char path[48];

	*text += strspn(*text, " \t");
	if (skf_scan_u32(text, &id) < 0)
		return false;
	snprintf(path, sizeof(path), "/proc/%u/%s", x->live.sum.pid, map);
	if (skf_idmap_read_proc(path, x->a, &maps) < 0 || !skf_idmap_from_host(&maps, id, ret))
		*ret = id;
	return true;
}

static void user(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_spec_user *u = &x->spec->process->user;
	const char *uid = skf_ex_status(x, "Uid"), *gid = skf_ex_status(x, "Gid");
	struct skf_ex_line l = {.value = skf_ex_text(x, "%u:%u", u->uid, u->gid), .kernel = "?"};
	uint32_t a, b;

	if (inside(x, "uid_map", &uid, &a) && inside(x, "gid_map", &gid, &b))
		l.kernel = skf_ex_text(x, "%u:%u", a, b);
	skf_ex_put(x, p, &l);
}

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

static char *group_list(struct skf_ex *x, uint32_t *v, size_t n)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);

	qsort(v, n, sizeof(*v), by_number);
	for (size_t i = 0; i < n; i++)
		if (i == 0 || v[i] != v[i - 1])
			skf_buf_fmt(&b, "%s%u", b.len ? " " : "", v[i]);
	return skf_ex_text(x, "%s", b.len ? skf_buf_cstr(&b) : "none");
}

#define MAX_GROUPS 256
static void groups(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_spec_user *u = &x->spec->process->user;
	const char *s = skf_ex_status(x, "Groups");
	bool keep = skf_kvs_get(&x->spec->annotations, "run.oci.keep_original_groups") != NULL;
	uint32_t v[MAX_GROUPS] = {0};
	size_t n = 0;
	struct skf_ex_line l = {.cmp = keep ? SKF_EX_NONE : SKF_EX_TEXT};

	for (; n < u->n_gids && n < MAX_GROUPS; n++)
		v[n] = u->gids[n];
	l.value = keep ? "those of whoever starts it" : group_list(x, v, n);
	for (n = 0; n < MAX_GROUPS && inside(x, "gid_map", &s, &v[n]);)
		n++;
	l.kernel = group_list(x, v, n);
	if (keep)
		l.source = x->q->s.group_add.n ? "flag --group-add keep-groups"
					       : "annotation run.oci.keep_original_groups";
	else if (!x->q->s.group_add.n && u->n_gids > 0)
		l.source = skf_ex_source(x, "user",
					 "--user"); /* what the image's /etc/group says of the user */
	skf_ex_put(x, p, &l);
}

static void umask_of(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_spec_user *u = &x->spec->process->user;
	const struct skf_ex_line l = {.value = skf_ex_text(x, "%04o", u->has_umask ? u->umask : 022),
				      .kernel = skf_ex_status(x, "Umask")};

	skf_ex_put(x, p, &l);
}

static void words(struct skf_ex *x, const struct skf_ex_prop *p, const struct skf_strv *v)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	struct skf_ex_line l = {.cmp = SKF_EX_NONE};

	for (size_t i = 0; i < v->n; i++)
		skf_buf_fmt(&b, "%s%s", i ? " " : "", v->v[i]);
	l.value = v->n ? skf_buf_cstr(&b) : "none";
	skf_ex_put(x, p, &l);
}

static void entrypoint(struct skf_ex *x, const struct skf_ex_prop *p)
{
	words(x, p, &x->q->entrypoint);
}

static void command(struct skf_ex *x, const struct skf_ex_prop *p)
{
	words(x, p, &x->q->cmd);
}

static void workdir(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_ex_line l = {.value = x->spec->process->cwd};

	skf_ex_put(x, p, &l);
}

static void oom_score(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_spec_process *q = x->spec->process;
	const char *have = skf_ex_proc_file(x, "oom_score_adj");
	const struct skf_ex_line l = {.value = q->has_oom_score_adj ? skf_ex_text(x, "%d", q->oom_score_adj)
								    : "inherited",
				      .kernel = have ? have : "?",
				      .cmp = q->has_oom_score_adj ? SKF_EX_TEXT : SKF_EX_NONE};

	skf_ex_put(x, p, &l);
}

/* A line of /proc/PID/limits, by what the kernel calls the limit: prlimit(2) asks for more rights than
 * reading takes. Numbers and "unlimited", as "SOFT:HARD". */
static const char *limit_in(struct skf_ex *x, const char *text, const char *title)
{
	const char *line = text ? strstr(text, title) : NULL, *hard;
	size_t n, m;

	if (!line)
		return "?";
	line += strlen(title);
	line += strspn(line, " ");
	n = strcspn(line, " ");
	hard = line + n + strspn(line + n, " ");
	m = strcspn(hard, " \n");
	return skf_ex_text(x, "%.*s:%.*s", (int)n, line, (int)m, hard);
}

static const char *const limit_titles[] = {
	[RLIMIT_CPU] = "Max cpu time",
	[RLIMIT_FSIZE] = "Max file size",
	[RLIMIT_DATA] = "Max data size",
	[RLIMIT_STACK] = "Max stack size",
	[RLIMIT_CORE] = "Max core file size",
	[RLIMIT_RSS] = "Max resident set",
	[RLIMIT_NPROC] = "Max processes",
	[RLIMIT_NOFILE] = "Max open files",
	[RLIMIT_MEMLOCK] = "Max locked memory",
	[RLIMIT_AS] = "Max address space",
	[RLIMIT_LOCKS] = "Max file locks",
	[RLIMIT_SIGPENDING] = "Max pending signals",
	[RLIMIT_MSGQUEUE] = "Max msgqueue size",
	[RLIMIT_NICE] = "Max nice priority",
	[RLIMIT_RTPRIO] = "Max realtime priority",
	[RLIMIT_RTTIME] = "Max realtime timeout",
};

static char *limit_text(struct skf_ex *x, uint64_t soft, uint64_t hard)
{
	char s[24], h[24];

	snprintf(s, sizeof(s), "%" PRIu64, soft);
	snprintf(h, sizeof(h), "%" PRIu64, hard);
	return skf_ex_text(x, "%s:%s", soft == UINT64_MAX ? "unlimited" : s,
			   hard == UINT64_MAX ? "unlimited" : h);
}

static const struct skf_spec_rlimit *rlimit_of(const struct skf_ex *x, int type)
{
	const struct skf_spec_rlimit *v = x->spec->process->rlimits.v;

	for (size_t i = 0; i < x->spec->process->rlimits.n; i++)
		if (v[i].type == type)
			return &v[i];
	return NULL;
}

static bool ulimit_given(const struct skf_ex *x, const char *name)
{
	for (size_t i = 0; i < x->q->s.ulimits.n; i++) {
		const char *w = x->q->s.ulimits.v[i];

		if (strlen(name) == strcspn(w, "=") && strncmp(w, name, strlen(name)) == 0)
			return true;
	}
	return false;
}

static void ulimits(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const char *all = skf_ex_proc_file(x, "limits");

	for (int type = 0; type < (int)SKF_ARRAY_LEN(limit_titles); type++) {
		const struct skf_spec_rlimit *want = rlimit_of(x, type);
		const char *full = skf_spec_rlimit_name(type);
		struct skf_ex_line l = {.cmp = want ? SKF_EX_TEXT : SKF_EX_NONE,
					.kernel = limit_in(x, all, limit_titles[type])};
		char name[32];

		if (!full || skf_fmt(name, sizeof(name), "%s", full + strlen("RLIMIT_")) < 0)
			continue;
		for (char *c = name; *c; c++)
			*c |= 0x20; /* the names are capital letters */
		l.name = skf_ex_text(x, "ulimit %s", name);
		l.value = want ? limit_text(x, want->soft, want->hard) : "inherited";
		l.source = ulimit_given(x, name) ? "flag --ulimit" : want ? NULL : "default";
		skf_ex_put(x, p, &l);
	}
}

static const struct skf_ex_prop process[] = {
	P("process", "entrypoint", "entrypoint", "--entrypoint", entrypoint),
	P("process", "command", "cmd", NULL, command),
	P("process", "working directory", "workdir", "--workdir", workdir),
	P("process", "user", "user", "--user", user),
	P("process", "groups", "groupAdd", "--group-add", groups),
	P("process", "umask", "umask", "--umask", umask_of),
	P("process", "oom_score_adj", "oomScoreAdj", "--oom-score-adj", oom_score),
	P("process", "ulimit", "ulimits", "--ulimit", ulimits),
};
const struct skf_ex_table skf_ex_process = {process, SKF_ARRAY_LEN(process)};
