/* engine/exec.c -- a process in a running container: the engine writes the whole process object, a
 * skiff-launch of its own joins the container. */
#include "engine/engine_int.h"
#include "base/record.h"
#include "launch/wire.h"
#include "oci/spec.h"
#include <fcntl.h>
#include <string.h>

struct exec_plan {
	struct skf_engine *g;
	struct skf_exec_req *q;
	struct skf_arena *a;
	char id[SKF_ID_LEN + 1];
	char session[SKF_ID_LEN + 1]; /* "" without a session directory */
	struct skf_ctrconf *conf;
	struct skf_ctr_request *req;
	struct skf_spec *spec;
	struct skf_gen_process p;
	struct skf_launch_fds fds;
};

static int load(struct exec_plan *x, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_SPEC_BYTES);
	const struct skf_spec_opts o = {.log = &x->g->log, .name = "config.json"};

	if (skf_ctr_load_text(x->g, x->id, &b, e) < 0 ||
	    skf_ctrconf_parse(skf_buf_cstr(&b), b.len, x->a, &x->conf, e) < 0 ||
	    skf_ctr_request_parse(x->conf->request, x->a, &x->req, e) < 0 ||
	    skf_spec_parse(skf_buf_cstr(&b), b.len, &o, x->a, &x->spec, e) < 0)
		return skf_ctx(e, "container '%.12s'", x->id);
	if (!x->spec->process)
		return skf_fail(e, SKF_ECORRUPT, "config.json of container '%.12s' has no process", x->id);
	return 0;
}

static int resolve_user(struct exec_plan *x, const char **ret_home, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF, rw = -EBADF;
	struct skf_layered *l = skf_arena_alloc(x->a, sizeof(*l));
	const char *user = x->q->user && *x->q->user ? x->q->user : x->req->user;
	static const struct skf_strv none = {0};
	struct skf_userdb_result u = {0};
	int r;

	if (!l)
		return skf_fail(e, SKF_ENOMEM, "memory to resolve the user '%s'", user);
	if (skf_ctr_open_dir(x->g, x->id, &dir, e) < 0)
		return -1;
	rw = skf_openat(dir, "rw", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (rw < 0)
		return skf_fail_sys(e, rw, "open the upper directory of container '%.12s'", x->id);
	if (skf_layered_of(x->g, rw, x->conf, l, e) < 0)
		return -1;
	r = skf_layered_user(l, user, skf_keeps_groups(&x->req->s.group_add) ? &none : &x->req->s.group_add,
			     x->a, &u, e);
	skf_layered_done(l);
	if (r < 0)
		return -1;
	x->p.uid = u.uid;
	x->p.gid = u.gid;
	x->p.gids = u.gids;
	x->p.n_gids = u.n_gids;
	*ret_home = u.home && *u.home ? u.home : "/";
	return 0;
}

/* A user, a directory or a right that the container does not have: docker's 126, as for a program that
 * cannot be started. */
static int not_startable(struct skf_err *e)
{
	if (e->kind == SKF_ENOTFOUND || e->kind == SKF_EDENIED)
		e->kind = SKF_ECMD_NOTEXEC;
	return -1;
}

/* The container's own: an exec has no flags for them. */
static int copy_rlimits(struct exec_plan *x, struct skf_err *e)
{
	const struct skf_spec_rlimit *from = x->spec->process->rlimits.v;
	size_t n = x->spec->process->rlimits.n;
	struct skf_gen_rlimit *v = skf_arena_array(x->a, n + 1, sizeof(*v));

	if (!v)
		return skf_fail(e, SKF_ENOMEM, "memory for the limits of an exec");
	for (size_t i = 0; i < n; i++)
		v[i] = (struct skf_gen_rlimit){skf_spec_rlimit_name(from[i].type), from[i].soft,
					       from[i].hard};
	x->p.rlimits = v;
	x->p.n_rlimits = n;
	return 0;
}

static int plan(struct exec_plan *x, struct skf_err *e)
{
	struct skf_env_gen env = {.tty = x->q->tty, .image = &x->req->env, .hostname = x->req->hostname};
	const struct skf_strv none = {0};
	struct skf_strv user = {0};

	if (skf_ctr_secret_env(x->g, x->id, x->conf, x->a, &user, e) < 0)
		return -1;
	for (size_t i = 0; i < x->q->env.n; i++)
		if (skf_strv_add(x->a, &user, x->q->env.v[i]) < 0)
			return skf_fail(e, SKF_ENOMEM, "memory for the environment of an exec");
	env.user = &user;
	if (resolve_user(x, &env.home, e) < 0)
		return not_startable(e);
	if (skf_env_gen(&env, x->a, &x->p.env, e) < 0)
		return -1;
	x->p.args = x->q->command;
	x->p.cwd = x->q->workdir && *x->q->workdir ? x->q->workdir : x->spec->process->cwd;
	if (x->p.cwd[0] != '/')
		return skf_fail(e, SKF_EINVALID,
				"the working directory '%s' is invalid, it needs to be an absolute path",
				x->p.cwd);
	x->p.caps = x->spec->process->caps.bounding;
	if (x->q->privileged && skf_caps_gen(&none, &none, true, &x->p.caps, e) < 0)
		return -1;
	x->p.no_new_privs = x->spec->process->no_new_privs;
	x->p.apparmor = x->spec->process->apparmor_profile;
	x->p.selinux = x->spec->process->selinux_label;
	x->p.has_umask = x->spec->process->user.has_umask;
	x->p.umask = x->spec->process->user.umask;
	x->p.has_oom_score_adj = x->spec->process->has_oom_score_adj;
	x->p.oom_score_adj = x->spec->process->oom_score_adj;
	if (copy_rlimits(x, e) < 0)
		return -1;
	x->p.tty = x->q->tty;
	x->p.rows = x->q->rows;
	x->p.cols = x->q->cols;
	return 0;
}

static int request(struct exec_plan *x, struct skf_buf *b, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf process = SKF_BUF(SKF_MAX_RECORD);
	struct skf_jw w = SKF_JW(&process);
	struct skf_rec r;
	int n = x->q->detach ? skf_random_hex(x->session, SKF_ID_LEN / 2) : 0;

	if (n < 0)
		return skf_fail_sys(e, n, "make up an exec id");
	skf_process_gen(&w, NULL, &x->p);
	skf_rec_begin(&r, b, SKF_LAUNCH_EXEC, SKF_LAUNCH_VERSION);
	skf_rec_u32(&r, skf_launch_fds_flags(&x->fds) | (x->q->detach ? 0u : SKF_LAUNCH_KEEP) |
				(x->q->tty ? SKF_LAUNCH_TTY : 0u));
	skf_rec_str(&r, x->id);
	skf_rec_str(&r, x->g->root);
	skf_rec_str(&r, x->g->run_root);
	skf_rec_str(&r, x->session);
	skf_rec_str(&r, skf_buf_cstr(&process));
	skf_rec_u32(&r, x->q->rows);
	skf_rec_u32(&r, x->q->cols);
	skf_rec_u32(&r, x->q->detach);
	skf_rec_end(&r);
	if (process.err < 0 || b->err < 0)
		return skf_fail(e, SKF_ELIMIT,
				"command and environment of the exec are longer than %u bytes",
				SKF_MAX_RECORD);
	return 0;
}

static int run(struct exec_plan *x, struct skf_run_handle *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO_FD int sock = -EBADF;
	struct skf_run_handle h = {.sock = -EBADF};
	struct skf_ctr_live l;

	if (x->q->command.n == 0)
		return skf_fail(e, SKF_EINVALID, "no exec command specified");
	if (skf_engine_resolve(x->g, x->q->container, x->id, e) < 0 || skf_ctr_live(x->g, x->id, &l, e) < 0)
		return -1;
	if (l.state == SKF_CTR_PAUSED)
		return skf_fail(e, SKF_ECONFLICT,
				"container %s is paused, unpause the container before exec",
				x->q->container);
	if (l.state != SKF_CTR_RUNNING)
		return skf_fail(e, SKF_ECONFLICT, "container %s is not running", x->id);
	if (load(x, e) < 0 || plan(x, e) < 0 || request(x, &b, e) < 0)
		return -1;
	if (skf_launch(x->g, "exec", &b, &x->fds, &sock, &h.pid, e) < 0)
		return not_startable(e);
	memcpy(h.id, x->id, sizeof(h.id));
	h.sock = x->q->detach ? -EBADF : SKF_TAKE_FD(sock);
	*ret = h;
	return 0;
}

int skf_engine_exec(struct skf_engine *g, struct skf_exec_req *q, struct skf_run_handle *ret,
		    struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct exec_plan x = {
		.g = g, .q = q, .a = &a, .fds = {{q->stdio[0], q->stdio[1], q->stdio[2]}, -1, -1}};
	int r = run(&x, ret, e);

	for (int i = 0; i < 3; i++)
		skf_closep(&q->stdio[i]);
	return r;
}
