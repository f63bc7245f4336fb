/* systemd.c -- the systemd cgroup manager: the container's cgroup is that of a transient scope.
 *
 * create: names (plan), journal "scope" and "cgroup"; clone; attach: StartTransientUnit with init's pid
 * (start), then cgroups.c writes what systemd has no property for. delete: the processes are killed through
 * the cgroup, then the scope is stopped. A scope whose last process is gone goes by itself: everything here
 * takes "no such unit" for success where it undoes.
 *
 * Invariants:
 * 1. The scope is in the journal before it is asked for.
 * 2. The directory is computed (manager's own cgroup, slices, unit, sub-group), not looked up, so that the
 * child's copy of the plan has it and the journal names it before it exists; after the start init must be
 * there, or the start fails.
 * 3. Limits are told to systemd and written to the files with the same value: see systemd_props.c.
 * 4. There is no sub-group below the scope unless run.oci.systemd.subgroup asks for one: the scope is the
 * container's cgroup, as kubelet and docker expect. Blocks: as sys/dbus.h says for each call. */
#include "base/buf.h"
#include "base/cleanup.h"
#include "base/limits.h"
#include "base/log.h"
#include "runtime/cgroups/cgroups_int.h"
#include "runtime/runtime_int.h"
#include "sys/dbus.h"
#include <signal.h>
#include <string.h>
#include <sys/stat.h>

#define PROPERTY "org.systemd.property."

static void dbus_close(struct skf_dbus *c)
{
	skf_dbus_close(c);
}

/* Whose manager: the user's own, also for root of a user namespace to whom the host's systemd belongs to
 * somebody else. */
static bool user_manager(const struct skf_rt *rt)
{
	struct stat st;

	return rt->rootless || (stat("/run/systemd/system", &st) == 0 && st.st_uid != 0);
}

static const char *subgroup_of(const struct skf_kvs *annotations)
{
	const char *v = skf_annotation(annotations, SKF_AN_SYSTEMD_SUBGROUP);

	return v && *v ? v : NULL;
}

static int find_unit(const struct skf_start *s, struct skf_unit *u, struct skf_err *e)
{
	return skf_unit_of(s->spec->linux_.cgroups_path, s->req->id, user_manager(s->rt), u, e);
}

int skf_systemd_plan(struct skf_start *s, struct skf_cg_dirs *d, struct skf_err *e)
{
	SKF_AUTO(dbus_close) struct skf_dbus c = {.fd = -EBADF};
	const char *sub = subgroup_of(&s->spec->annotations);
	char manager[256], slices[1024];
	struct skf_unit u;
	int r;

	if (user_manager(s->rt) && d->layout.mode != SKF_CG_V2)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"the systemd cgroup manager of a plain user needs cgroup v2; use the cgroup "
				"manager 'cgroupfs' or 'disabled' on this host");
	if (find_unit(s, &u, e) < 0 || skf_dbus_open(&c, user_manager(s->rt), e) < 0 ||
	    skf_sd_control_group(&c, manager, sizeof(manager), e) < 0)
		return -1;
	r = skf_slice_path(u.slice, slices, sizeof(slices));
	if (r == 0)
		r = skf_fmt(d->path, sizeof(d->path), "%s%s/%s%s%s", manager, slices, u.scope,
			    sub ? "/" : "", sub ? sub : "");
	if (r < 0)
		return skf_fail_sys(e, r, "cgroup of the scope '%s' in '%s'", u.scope, u.slice);
	d->used = d->layout.n >= 32 ? ~0u : (1u << d->layout.n) - 1;
	s->systemd_scope = skf_arena_strdup(s->arena, u.scope);
	if (!s->systemd_scope)
		return skf_nomem(e);
	return 0;
}

/* --- properties --- */

static bool valid_property(const char *name)
{
	size_t n = strlen(name);

	return n >= 3 && n < 64 && strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz") == n;
}

static int add_annotations(const struct skf_kvs *a, struct skf_buf *out, struct skf_err *e)
{
	for (size_t i = 0; i < a->n; i++) {
		const char *name = a->v[i].k;
		int r;

		if (!skf_startswith(name, PROPERTY))
			continue;
		name += strlen(PROPERTY);
		if (!valid_property(name))
			return skf_fail(e, SKF_EINVALID,
					"annotation '%s': expected the name of a unit's property, at least "
					"3 letters",
					a->v[i].k);
		r = skf_gvariant_prop(name, a->v[i].v, out);
		if (r == -ENOMEM)
			return skf_fail_sys(e, r, "annotation '%s'", a->v[i].k);
		if (r < 0)
			return skf_fail(e, SKF_EINVALID,
					"annotation '%s': '%s' is not a value in GVariant text format, such "
					"as \"uint64 5\", \"'text'\" or \"['a', 'b']\"%s",
					a->v[i].k, a->v[i].v,
					r == -ERANGE    ? ": the number is out of range"
					: r == -ENODATA ? ": an empty array needs its type, as in \"@as []\""
							: "");
	}
	return 0;
}

static void add_scope(const struct skf_start *s, const struct skf_unit *u, pid_t pid, struct skf_buf *out)
{
	bool v2 = s->cg.layout.mode == SKF_CG_V2;
	char text[320];
	size_t at;

	if (skf_fmt(text, sizeof(text), "skiff container %s", s->req->id) == 0)
		skf_dbus_prop_str(out, "Description", text);
	skf_dbus_prop_str(out, "Slice", u->slice);
	skf_dbus_prop_bool(out, "Delegate", true);
	skf_dbus_prop(out, "PIDs", "au");
	at = skf_dbus_array(out, 4);
	skf_dbus_u32(out, (uint32_t)pid);
	skf_dbus_array_end(out, at, 4);
	skf_dbus_prop_bool(out, "MemoryAccounting", true);
	skf_dbus_prop_bool(out, "CPUAccounting", true);
	skf_dbus_prop_bool(out, v2 ? "IOAccounting" : "BlockIOAccounting", true);
	skf_dbus_prop_bool(out, "TasksAccounting", true);
	skf_dbus_prop_bool(out, "DefaultDependencies", false);
}

/* OOMPolicy= is fixed once the scope runs, so the file's value has to be told before. */
static void add_oom_policy(const struct skf_spec_resources *r, const struct skf_prop_skip *skip,
			   struct skf_buf *out)
{
	for (unsigned i = 0; i < skip->n; i++)
		if (!strcmp(skip->name[i], "OOMPolicy"))
			return;
	for (size_t i = 0; i < r->unified.n; i++)
		if (!strcmp(r->unified.v[i].k, "memory.oom.group"))
			skf_dbus_prop_str(out, "OOMPolicy",
					  r->unified.v[i].v[0] == '1' ? "kill" : "continue");
}

static int check_place(const struct skf_start *s, const struct skf_unit *u, pid_t pid, struct skf_err *e)
{
	const struct skf_cg_dirs *d = &s->cg;
	const struct skf_cg_hier *h =
		d->layout.mode == SKF_CG_V2 ? &d->layout.h[0] : skf_cg_find(&d->layout, "name=systemd");
	const char *sub = subgroup_of(&s->spec->annotations);
	char want[sizeof(d->path)], is[sizeof(d->path)];
	int r = h ? skf_cg_path_of(pid, h, is, sizeof(is)) : -ENOENT;

	if (r == 0)
		r = skf_fmt(want, sizeof(want), "%.*s", (int)(strlen(d->path) - (sub ? strlen(sub) + 1 : 0)),
			    d->path);
	if (r < 0)
		return skf_fail_sys(e, r, "find the cgroup of scope '%s'", u->scope);
	if (!skf_streq(is, want))
		return skf_fail(e, SKF_EUNSUPPORTED,
				"systemd put the scope '%s' into cgroup '%s' where '%s' was expected; use "
				"the cgroup manager 'cgroupfs'",
				u->scope, is, want);
	return 0;
}

/* A left-over of that name that failed is still a unit, until it is reset. One that lives is somebody's. */
static int start(struct skf_dbus *c, const char *unit, const struct skf_buf *props, struct skf_err *e)
{
	struct skf_err ignored = SKF_ERR_INIT;

	if (skf_sd_start_transient(c, unit, props, e) == 0)
		return 0;
	if (e->kind != SKF_ECONFLICT)
		return -1;
	(void)skf_sd_reset_failed(c, unit, &ignored); /* the second attempt tells whether it helped */
	skf_err_clear(e);
	return skf_sd_start_transient(c, unit, props, e);
}

int skf_systemd_start(struct skf_start *s, pid_t pid, struct skf_spec_resources *r, struct skf_err *e)
{
	SKF_AUTO(dbus_close) struct skf_dbus c = {.fd = -EBADF};
	SKF_AUTO(skf_buf_done) struct skf_buf props = SKF_BUF(SKF_MAX_DBUS_BYTES);
	struct skf_prop_skip skip = {0};
	struct skf_unit u;

	if (find_unit(s, &u, e) < 0 || skf_dbus_open(&c, user_manager(s->rt), e) < 0)
		return -1;
	for (;;) {
		skf_buf_clear(&props);
		add_scope(s, &u, pid, &props);
		if (add_annotations(&s->spec->annotations, &props, e) < 0)
			return -1;
		add_oom_policy(r, &skip, &props);
		if (skf_unit_resources(&s->cg.layout, r, false, &skip, s->arena, &props, e) < 0)
			return -1;
		if (start(&c, u.scope, &props, e) == 0)
			return check_place(s, &u, pid, e);
		if (e->kind == SKF_ECONFLICT) { /* somebody else's: nothing of it may be undone */
			s->systemd_scope = NULL;
			s->cg.used = 0;
			return -1;
		}
		/* An older systemd lacks a property: its file is written all the same. */
		if (e->kind != SKF_EINVALID || !skf_prop_skip_add(&skip, c.error_text))
			return -1;
		skf_debug(s->rt->log, "scope '%s': %s; the cgroup file is written instead", u.scope,
			  c.error_text);
		skf_err_clear(e);
	}
}

int skf_systemd_update(const struct skf_rt *rt, const struct skf_rt_state *st, struct skf_spec_resources *r,
		       struct skf_arena *a, struct skf_err *e)
{
	SKF_AUTO(dbus_close) struct skf_dbus c = {.fd = -EBADF};
	SKF_AUTO(skf_buf_done) struct skf_buf props = SKF_BUF(SKF_MAX_DBUS_BYTES);
	struct skf_prop_skip skip = {0};

	if (skf_dbus_open(&c, user_manager(rt), e) < 0)
		return -1;
	for (;;) {
		skf_buf_clear(&props);
		if (skf_unit_resources(&st->cg.layout, r, true, &skip, a, &props, e) < 0)
			return -1;
		if (!props.err && !props.len)
			return 0;
		if (skf_sd_set_properties(&c, st->systemd_scope, &props, e) == 0)
			return 0;
		if (e->kind != SKF_EINVALID || !skf_prop_skip_add(&skip, c.error_text))
			return -1;
		skf_debug(rt->log, "scope '%s': %s; the cgroup file is written instead", st->systemd_scope,
			  c.error_text);
		skf_err_clear(e);
	}
}

int skf_systemd_attach(const struct skf_rt *rt, const struct skf_rt_state *st, const struct skf_cg_dirs *d,
		       pid_t pid, struct skf_err *e)
{
	SKF_AUTO(dbus_close) struct skf_dbus c = {.fd = -EBADF};
	const char *unit = strstr(d->path, st->systemd_scope);
	const char *sub = unit ? unit + strlen(st->systemd_scope) : "";

	if (!unit || (*sub && *sub != '/'))
		return skf_fail(
			e, SKF_EDENIED,
			"cgroup '%s' is not below the scope '%s'; only root can move a process there",
			d->path, st->systemd_scope);
	if (skf_dbus_open(&c, user_manager(rt), e) < 0)
		return -1;
	return skf_sd_attach(&c, st->systemd_scope, *sub ? sub : "/", pid, e);
}

int skf_cgroups_stop_scope(const struct skf_rt *rt, const char *scope, struct skf_err *e)
{
	SKF_AUTO(dbus_close) struct skf_dbus c = {.fd = -EBADF};
	struct skf_err ignored = SKF_ERR_INIT;

	if (!scope || !*scope)
		return 0;
	if (skf_dbus_open(&c, user_manager(rt), e) < 0)
		return -1;
	/* SIGTERM, which StopUnit begins with, is not what a deletion is about. */
	(void)skf_sd_kill(&c, scope, SIGKILL, &ignored);
	if (skf_sd_stop(&c, scope, e) < 0 && e->kind != SKF_ENOTFOUND)
		return -1;
	skf_err_clear(e);
	(void)skf_sd_reset_failed(&c, scope, &ignored); /* only a unit that failed is still there */
	return 0;
}
