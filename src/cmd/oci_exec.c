/* cmd/oci_exec.c -- exec: the process is the container's own, changed by options, or a whole document of
 * --process. Exit status 255 when nothing could be executed, as runc has it. Blocks for the process in the
 * foreground. */
#include "cmd/oci_int.h"

#include "oci/spec.h"
#include "sys/process.h"

#include <string.h>

static int parse_ids(const char *text, struct skf_spec_user *u, struct skf_err *e)
{
	char uid[16];
	const char *colon = strchr(text, ':');
	size_t n = colon ? (size_t)(colon - text) : strlen(text);

	if (skf_fmt(uid, sizeof(uid), "%.*s", (int)n, text) < 0 || skf_parse_u32(uid, &u->uid) < 0 ||
	    (colon && skf_parse_u32(colon + 1, &u->gid) < 0))
		return skf_fail(e, SKF_EINVALID, "option --user is UID or UID:GID in numbers, not '%s'",
				text);
	return 0;
}

/* "NAME=VALUE" takes the place of an older NAME. */
static int set_env(struct oci *o, struct skf_strv *env, const char *line, struct skf_err *e)
{
	const char *eq = strchr(line, '=');
	struct skf_strv out = {0};

	if (!eq || eq == line)
		return skf_fail(e, SKF_EINVALID, "option --env is NAME=VALUE, not '%s'", line);
	for (size_t i = 0; i < env->n; i++) {
		if (strncmp(env->v[i], line, (size_t)(eq - line) + 1) == 0)
			continue;
		if (skf_strv_add(&o->arena, &out, env->v[i]) < 0)
			return skf_nomem(e);
	}
	if (skf_strv_add(&o->arena, &out, line) < 0)
		return skf_nomem(e);
	*env = out;
	return 0;
}

static int add_gids(struct oci *o, struct skf_spec_user *u, struct skf_err *e)
{
	size_t n = o->a.gids.n;
	uint32_t *g;

	if (n == 0)
		return 0;
	g = skf_arena_array(&o->arena, u->n_gids + n, sizeof(*g));
	if (!g)
		return skf_nomem(e);
	if (u->n_gids)
		memcpy(g, u->gids, u->n_gids * sizeof(*g));
	for (size_t i = 0; i < n; i++)
		if (skf_parse_u32(o->a.gids.v[i], &g[u->n_gids + i]) < 0)
			return skf_fail(e, SKF_EINVALID, "option --additional-gids needs numbers, not '%s'",
					o->a.gids.v[i]);
	u->gids = g;
	u->n_gids += n;
	return 0;
}

/* A name that this build does not know is left out, as one in config.json is. */
static void add_caps(const struct oci *o, struct skf_spec_process *p)
{
	for (size_t i = 0; i < o->a.caps.n; i++) {
		int c = skf_cap_parse(o->a.caps.v[i]);

		if (c < 0) {
			skf_warn(&o->log, "option --cap: unknown capability '%s', ignoring", o->a.caps.v[i]);
			continue;
		}
		p->has_caps = true;
		p->caps.bounding |= 1ULL << c;
		p->caps.effective |= 1ULL << c;
		p->caps.permitted |= 1ULL << c;
		if (p->caps.inheritable) { /* ambient without inheritable does not exist */
			p->caps.inheritable |= 1ULL << c;
			p->caps.ambient |= 1ULL << c;
		}
	}
}

/* The container's process with what the command line says. */
static int from_options(struct oci *o, struct skf_spec_process *p, struct skf_err *e)
{
	const struct oci_args *a = &o->a;

	if (a->rest.n < 2)
		return skf_fail(e, SKF_EINVALID,
				"exec: a command (or --process) is missing; usage: %s exec [OPTION...] "
				"CONTAINER cmd [ARG...]",
				o->prog);
	p->args = (struct skf_strv){a->rest.v + 1, a->rest.n - 1};
	p->terminal = a->tty;
	p->has_console_size = false;
	if (a->cwd)
		p->cwd = a->cwd;
	if (a->apparmor)
		p->apparmor_profile = a->apparmor;
	if (a->process_label)
		p->selinux_label = a->process_label;
	if (a->no_new_privs)
		p->no_new_privs = true;
	if (a->user && parse_ids(a->user, &p->user, e) < 0)
		return -1;
	for (size_t i = 0; i < a->env.n; i++)
		if (set_env(o, &p->env, a->env.v[i], e) < 0)
			return -1;
	add_caps(o, p);
	return add_gids(o, &p->user, e);
}

static int from_file(struct oci *o, struct skf_spec_process **ret, struct skf_err *e)
{
	struct skf_spec_opts so = {.log = &o->log, .name = "process.json"};
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	int r = skf_read_file_at(AT_FDCWD, o->a.process, SKF_MAX_SPEC_BYTES, &b);

	if (r < 0)
		return skf_fail_sys(e, r, "read process document '%s'", o->a.process);
	if (skf_spec_parse_process(skf_buf_cstr(&b), b.len, &so, &o->arena, ret, e) < 0)
		return skf_ctx(e, "'%s'", o->a.process);
	if (o->a.tty)
		(*ret)->terminal = true;
	return 0;
}

static int make_process(struct oci *o, struct skf_spec_process **ret, struct skf_err *e)
{
	struct skf_rt_state *s;

	if (o->a.process)
		return from_file(o, ret, e);
	if (skf_rt_state_load(&o->rt, o->a.rest.v[0], &o->arena, &s, e) < 0)
		return -1;
	if (!s->process)
		return skf_fail(e, SKF_ECORRUPT, "the state of container '%s' has no process; use --process",
				s->id);
	*ret = s->process;
	return from_options(o, s->process, e);
}

static int check_console(const struct oci *o, const struct skf_spec_process *p, struct skf_err *e)
{
	if (o->a.detach && p->terminal && !o->a.console_socket)
		return skf_fail(e, SKF_EINVALID,
				"cannot allocate tty if %s will detach without setting console socket",
				o->prog);
	if (o->a.console_socket && (!o->a.detach || !p->terminal))
		return skf_fail(e, SKF_EINVALID,
				"cannot use console socket if %s will not detach or allocate tty", o->prog);
	return 0;
}

static int execute(struct oci *o, int *ret_code, struct skf_err *e)
{
	SKF_AUTO(oci_container_freep) struct skf_rt_container *c = NULL;
	SKF_AUTO(oci_foreground_endp) struct oci_foreground *f = NULL;
	SKF_AUTO_FD int pidfd_socket = -EBADF;
	const struct oci_args *a = &o->a;
	struct skf_spec_process *p;
	struct skf_rt_exec q = {
		.id = a->rest.v[0],
		.stdio = {-1, -1, -1},
		.console_socket = a->console_socket,
		.want_console_fd = !a->detach,
		.console_lf = !a->detach,
		.pid_file = a->pid_file,
		.ignore_paused = a->ignore_paused,
		.sub_cgroups = a->cgroups,
	};

	if (make_process(o, &p, e) < 0 || check_console(o, p, e) < 0 ||
	    oci_preserved_fds(o, &p->env, &q.preserve_fds, e) < 0)
		return -1;
	q.process = p;
	if (!a->detach)
		oci_console_size(p);
	if (oci_pidfd_connect(o, &pidfd_socket, e) < 0 || (!a->detach && oci_foreground_begin(&f, e) < 0))
		return -1;
	if (skf_rt_exec(&o->rt, &q, &c, e) < 0)
		return -1;
	if (oci_pidfd_send(pidfd_socket, c, e) < 0) {
		skf_rt_abort(c);
		return -1;
	}
	return a->detach ? 0 : oci_foreground_run(f, c, ret_code, e);
}

int oci_exec(struct oci *o, struct skf_err *e)
{
	int code = 0;

	if (execute(o, &code, e) < 0) {
		o->failure_status = 255;
		return skf_ctx(e, "exec failed");
	}
	return code;
}
