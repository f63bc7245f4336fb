/* engine/explain_places.c -- explain: the namespaces of a container, its id maps and names, its root, what
 * is masked, its mounts and devices. */
#include "engine/explain_int.h"
#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#define P(group, name, key, flag, show)                                                                     \
	{                                                                                                   \
		group, name, key, flag, show, NULL                                                          \
	}

/* --- namespaces --- */

struct ns {
	int type;
	const char *file; /* below /proc/PID/ns */
	const char *join; /* of skf_ctrconf.joins; NULL: network */
	uint32_t share;   /* SKF_POD_* */
};

/* Container whose namespace it is, by the words of joins and of the network. NULL: none. */
static const char *joined(const struct skf_ex *x, const struct ns *n)
{
	for (size_t i = 0; n->join && i < x->c->joins.n; i++)
		if (skf_startswith(x->c->joins.v[i], n->join) && x->c->joins.v[i][strlen(n->join)] == '=')
			return x->c->joins.v[i] + strlen(n->join) + 1;
	return n->type == CLONE_NEWNET && skf_streq(x->net->mode, SKF_NET_MODE_CONTAINER) ? x->net->target
											  : NULL;
}

static void ns_kernel(struct skf_ex *x, const struct ns *n, const char *other, bool host,
		      struct skf_ex_line *l)
{
	char *have = skf_ex_ns(x, (pid_t)x->live.sum.pid, n->file), *ours = skf_ex_ns(x, 0, n->file),
	     *theirs = NULL;
	struct skf_err ignored =
		SKF_ERR_INIT; /* another container that is gone has no namespace to compare with */
	struct skf_ctr_live live;

	l->kernel = "?";
	l->cmp = SKF_EX_NONE;
	if (!have || !ours)
		return;
	if (other && skf_ctr_live(x->g, other, &live, &ignored) == 0 && skf_ctr_is_up(live.state))
		theirs = skf_ex_ns(x, (pid_t)live.sum.pid, n->file);
	l->kernel = skf_ex_text(x, "%s %s",
				skf_streq(have, ours)               ? "the host's"
				: theirs && skf_streq(have, theirs) ? "theirs"
								    : "its own",
				have + strcspn(have, "["));
	l->cmp = skf_streq(have, ours) == host && (!theirs || skf_streq(have, theirs)) ? SKF_EX_SAME
										       : SKF_EX_DIFFERS;
}

static void namespace_of(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct ns *n = p->arg;
	const struct skf_spec_namespace *s = skf_spec_ns(&*x->spec, n->type);
	const char *other = joined(x, n);
	struct skf_ex_line l = {.value = "private"};

	if (x->pod && x->pod->share & n->share)
		l.value = l.source = skf_ex_text(x, "pod %s", x->pod->name);
	else if (other)
		l.value = skf_ex_text(x, "container:%.12s", other);
	else if (s && s->path)
		l.value = skf_ex_text(x, "ns:%s", s->path);
	else if (!s)
		l.value = "host";
	if (x->running)
		ns_kernel(x, n, other, !s, &l);
	else
		l.kernel = "";
	skf_ex_put(x, p, &l);
}

static const struct ns ns_pid = {CLONE_NEWPID, "pid", "pid", SKF_POD_PID},
		       ns_mnt = {CLONE_NEWNS, "mnt", NULL, 0},
		       ns_ipc = {CLONE_NEWIPC, "ipc", "ipc", SKF_POD_IPC},
		       ns_uts = {CLONE_NEWUTS, "uts", "uts", SKF_POD_UTS},
		       ns_cgroup = {CLONE_NEWCGROUP, "cgroup", NULL, 0},
		       ns_net = {CLONE_NEWNET, "net", NULL, SKF_POD_NET},
		       ns_user = {CLONE_NEWUSER, "user", "user", 0};

static char *maps_text(struct skf_ex *x, const struct skf_jarr *maps)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_OBJECT_BYTES);
	const struct skf_idmap *m = maps->v;

	for (size_t i = 0; i < maps->n; i++)
		skf_buf_fmt(&b, "%s%u:%u:%u", i ? " " : "", m[i].container_id, m[i].host_id, m[i].size);
	return skf_ex_text(x, "%s", b.len ? skf_buf_cstr(&b) : "every id is itself");
}

static void id_maps(struct skf_ex *x, const struct skf_ex_prop *p)
{
	SKF_AUTO_FD int dir = -EBADF;
	struct skf_err ignored = SKF_ERR_INIT; /* without the file: the configuration's own maps */
	struct skf_idmaps ids = {x->spec->linux_.uid_mappings, x->spec->linux_.gid_mappings};
	const struct {
		const char *name, *file;
		const struct skf_jarr *want;
	} rows[] = {{"users", "uid_map", &ids.uids}, {"groups", "gid_map", &ids.gids}};
	char path[48];

	if (skf_ctr_open_dir(x->g, x->id, &dir, &ignored) == 0)
		(void)skf_idmaps_read_at(dir, x->a, &ids);
	for (size_t i = 0; i < SKF_ARRAY_LEN(rows); i++) {
		struct skf_jarr have = {0};
		struct skf_ex_line l = {
			.name = rows[i].name, .value = maps_text(x, rows[i].want), .kernel = "?"};
		const struct skf_idmap *m;

		snprintf(path, sizeof(path), "/proc/%u/%s", x->live.sum.pid, rows[i].file);
		if (x->running && skf_idmap_read_proc(path, x->a, &have) == 0) {
			m = have.v;
			if (have.n == 1 && m->container_id == 0 && m->host_id == 0 && m->size == UINT32_MAX)
				have.n = 0;
			l.kernel = maps_text(x, &have);
		}
		skf_ex_put(x, p, &l);
	}
}

static const struct skf_ex_prop namespaces[] = {
	{"namespace", "pid", "pid", "--pid", namespace_of, &ns_pid},
	{"namespace", "mount", NULL, NULL, namespace_of, &ns_mnt},
	{"namespace", "ipc", "ipc", "--ipc", namespace_of, &ns_ipc},
	{"namespace", "uts", "uts", "--uts", namespace_of, &ns_uts},
	{"namespace", "cgroup", "cgroupns", "--cgroupns", namespace_of, &ns_cgroup},
	{"namespace", "network", "network", "--network", namespace_of, &ns_net},
	{"namespace", "user", "userns", "--userns", namespace_of, &ns_user},
	P("id map", "", "userns", "--userns", id_maps),
};
const struct skf_ex_table skf_ex_namespaces = {namespaces, SKF_ARRAY_LEN(namespaces)};

/* --- files --- */

static bool has_word(const char *list, const char *word)
{
	size_t n = strlen(word);

	for (const char *p = list; p && *p; p += strcspn(p, ","), p += *p == ',')
		if (strncmp(p, word, n) == 0 && (!p[n] || p[n] == ','))
			return true;
	return false;
}

static void readonly_root(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_ex_mount *m = skf_ex_mount_at(x, "/");
	const struct skf_ex_line l = {.value = x->spec->root_readonly ? "read-only" : "writable",
				      .kernel = !m                           ? "?"
						: has_word(m->options, "ro") ? "read-only"
									     : "writable"};

	skf_ex_put(x, p, &l);
}

/* Something lies over the path, or there is no such path in this kernel. */
static void covered(struct skf_ex *x, const struct skf_ex_prop *p, const struct skf_strv *paths,
		    const char *word, const char *opt)
{
	for (size_t i = 0; i < paths->n; i++) {
		const struct skf_ex_mount *m = skf_ex_mount_at(x, paths->v[i]);
		struct skf_ex_line l = {.name = paths->v[i],
					.value = word,
					.source = "default",
					.kernel = "there is none",
					.cmp = SKF_EX_SAME};

		if (m && (opt == NULL || has_word(m->options, opt))) {
			l.kernel = word;
		} else if (skf_ex_stat(x, paths->v[i], NULL)) {
			l.kernel = opt ? "writable" : "visible";
			l.cmp = SKF_EX_DIFFERS;
		}
		for (size_t k = 0; k < x->q->s.security_opt.n; k++)
			if (skf_startswith(x->q->s.security_opt.v[k], "mask=") &&
			    strstr(x->q->s.security_opt.v[k], paths->v[i]))
				l.source = "flag --security-opt mask";
		skf_ex_put(x, p, &l);
	}
}

static void masked(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const char *opt = skf_ex_opt(x, "unmask"), *all = skf_ex_opt(x, "systempaths");
	const struct skf_ex_line l = {.name = "taken away",
				      .value = opt ? opt : "all",
				      .cmp = SKF_EX_NONE,
				      .source = opt   ? "flag --security-opt unmask"
						: all ? "flag --security-opt systempaths"
						      : "flag --privileged"};

	if (opt || all || x->q->s.privileged)
		skf_ex_put(x, p, &l);
	covered(x, p, &x->spec->linux_.masked_paths, "masked", NULL);
}

static void readonly_paths(struct skf_ex *x, const struct skf_ex_prop *p)
{
	covered(x, p, &x->spec->linux_.readonly_paths, "read-only", "ro");
}

/* "dest" stands in a word of -v, --mount or --tmpfs as a whole path. */
static bool names(const char *word, const char *dest)
{
	size_t n = strlen(dest);

	for (const char *p = strstr(word, dest); p; p = strstr(p + 1, dest))
		if ((p == word || strchr(":=", p[-1])) && (!p[n] || strchr(":,", p[n])))
			return true;
	return false;
}

static const char *mount_source(struct skf_ex *x, const char *dest)
{
	const struct skf_settings *s = &x->q->s;
	const struct {
		const struct skf_strv *v;
		const char *flag;
	} flags[] = {
		{&s->volumes, "flag --volume"}, {&s->mounts, "flag --mount"}, {&s->tmpfs, "flag --tmpfs"}};
	const struct skf_mount_point *m = x->q->mount_points.v;

	for (size_t k = 0; k < SKF_ARRAY_LEN(flags); k++)
		for (size_t i = 0; i < flags[k].v->n; i++)
			if (names(flags[k].v->v[i], dest))
				return flags[k].flag;
	for (size_t i = 0; i < x->q->mount_points.n; i++)
		if (skf_streq(m[i].target, dest))
			return m[i].anonymous      ? "image"
			       : s->volumes_from.n ? "flag --volumes-from"
						   : "image";
	if (skf_streq(dest, "/dev/shm") && (s->shm_size || s->ipc))
		return s->shm_size ? "flag --shm-size" : "flag --ipc";
	if (skf_streq(dest, "/dev/shm"))
		return skf_ex_source(x, "shmSize", "--shm-size");
	if (skf_startswith(dest, "/run/secrets"))
		return "flag --secret";
	if (skf_streq(dest, "/sbin/docker-init"))
		return skf_ex_source(x, "init", "--init");
	if (s->readonly_tmpfs &&
	    (skf_streq(dest, "/run") || skf_streq(dest, "/tmp") || skf_streq(dest, "/var/tmp")))
		return "flag --read-only-tmpfs";
	return "default";
}

static const char *wanted_propagation(const struct skf_strv *options)
{
	static const struct {
		const char *word, *kernel;
	} words[] = {{"rshared", "shared"}, {"shared", "shared"},    {"rslave", "slave"},
		     {"slave", "slave"},    {"rprivate", "private"}, {"private", "private"}};

	for (size_t i = 0; i < SKF_ARRAY_LEN(words); i++)
		if (skf_ex_has(options, words[i].word))
			return words[i].kernel;
	return NULL;
}

/* A slave of a mount that nobody shares is private. */
static bool propagates_as(const char *want, const char *have)
{
	return !want || skf_streq(want, have) || (skf_streq(want, "slave") && skf_streq(have, "private"));
}

static void mounts(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_spec_mount *v = x->spec->mounts.v;

	for (size_t i = 0; i < x->spec->mounts.n; i++) {
		const struct skf_ex_mount *m = skf_ex_mount_at(x, v[i].destination);
		bool ro = skf_ex_has(&v[i].options, "ro") || skf_ex_has(&v[i].options, "rro");
		const char *propagation = wanted_propagation(&v[i].options), *access = ro ? "ro" : "rw";
		struct skf_ex_line l = {.name = v[i].destination,
					.kernel = "not mounted",
					.cmp = SKF_EX_DIFFERS,
					.source = mount_source(x, v[i].destination)};

		l.value = skf_ex_text(x, "%s %s %s%s%s", v[i].type ? v[i].type : "bind",
				      v[i].source ? v[i].source : "-", access, propagation ? " " : "",
				      propagation ? propagation : "");
		if (m) {
			l.kernel = skf_ex_text(x, "%s %s %s", m->type,
					       has_word(m->options, "ro") ? "ro" : "rw", m->propagation);
			l.cmp = has_word(m->options, "ro") == ro &&
						propagates_as(propagation, m->propagation)
					? SKF_EX_SAME
					: SKF_EX_DIFFERS;
		}
		skf_ex_put(x, p, &l);
	}
}

/* --- devices --- */

static const char *device_source(const struct skf_ex *x)
{
	return x->q->s.privileged                     ? "flag --privileged"
	       : x->q->s.gpus.n && !x->q->s.devices.n ? "flag --gpus"
	       : x->q->s.devices.n                    ? "flag --device"
						      : "default";
}

static void devices(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_spec_device *d = x->spec->linux_.devices.v;

	for (size_t i = 0; i < x->spec->linux_.devices.n; i++) {
		struct skf_ex_line l = {.name = d[i].path,
					.source = device_source(x),
					.kernel = "there is none",
					.cmp = SKF_EX_TEXT};
		struct stat st;

		l.value = skf_ex_text(x, "%c %" PRId64 ":%" PRId64, d[i].type == 'u' ? 'c' : d[i].type,
				      d[i].major, d[i].minor);
		if (skf_ex_stat(x, d[i].path, &st))
			l.kernel = S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode)
					   ? skf_ex_text(x, "%c %u:%u", S_ISCHR(st.st_mode) ? 'c' : 'b',
							 major(st.st_rdev), minor(st.st_rdev))
					   : "no device";
		skf_ex_put(x, p, &l);
	}
}

static const char *number(char out[24], bool has, int64_t n)
{
	snprintf(out, 24, "%" PRId64, n);
	return has && n >= 0 ? out : "*";
}

static const char *rule_source(const struct skf_ex *x, const char *text)
{
	for (size_t i = 0; i < x->q->s.device_cgroup_rules.n; i++)
		if (strncmp(x->q->s.device_cgroup_rules.v[i], text, strcspn(text, " ") + 1) == 0)
			return "flag --device-cgroup-rule";
	return device_source(x);
}

/* devices.list of cgroup v1 has every rule; the program of v2 cannot be read back. */
static void device_rules(struct skf_ex *x, const struct skf_ex_prop *p)
{
	const struct skf_spec_device_rule *r = x->spec->linux_.resources.devices.v;
	const char *list = skf_ex_is_v2(x) ? NULL : skf_ex_cgroup(x, "devices", "devices.list");

	for (size_t i = 0; i < x->spec->linux_.resources.devices.n; i++) {
		char a[24], b[24];
		char *text = skf_ex_text(x, "%c %s:%s", r[i].type, number(a, r[i].has_major, r[i].major),
					 number(b, r[i].has_minor, r[i].minor));
		const char *at = list ? strstr(list, text) : NULL;
		struct skf_ex_line l = {.name = text,
					.value = skf_ex_text(x, "%s %s", r[i].allow ? "allow" : "deny",
							     r[i].access[0] ? r[i].access : "rwm"),
					.source = rule_source(x, text),
					.cmp = SKF_EX_NONE};

		l.kernel = skf_ex_is_v2(x) ? "BPF program"
			   : !list         ? "?"
			   : at            ? skf_ex_text(x, "%.*s", (int)strcspn(at, "\n"), at)
			   : r[i].allow    ? "not listed"
					   : "what is not listed is denied";
		if (list && r[i].allow)
			l.cmp = at || strstr(list, "a *:* rwm") ? SKF_EX_SAME : SKF_EX_DIFFERS;
		skf_ex_put(x, p, &l);
	}
}

static const struct skf_ex_prop files[] = {
	P("files", "root", "readonly", "--read-only", readonly_root),
	P("masked", "", NULL, NULL, masked),
	P("read-only", "", NULL, NULL, readonly_paths),
	P("mount", "", NULL, NULL, mounts),
	P("device", "", NULL, NULL, devices),
	P("device rule", "", NULL, NULL, device_rules),
};
const struct skf_ex_table skf_ex_files = {files, SKF_ARRAY_LEN(files)};
