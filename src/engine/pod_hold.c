/* engine/pod_hold.c -- starting and ending the holder of a pod's namespaces. Both under the pod's lock;
 * blocks until launch answers (SKF_START_MS) or the holder has ended (SKF_KILL_WAIT_MS). */
#include "engine/net_int.h"
#include "engine/pod_int.h"
#include "base/proc.h"
#include "launch/wire.h"
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define INIT_PROGRAM "skiff-init"

static int run_path(const char *id, char *out, size_t size)
{
	return skf_fmt(out, size, "pods/%s", id);
}

int skf_pod_holder(struct skf_engine *g, const char *id, int *ret_sock, struct skf_err *e)
{
	SKF_AUTO_FD int dir = -EBADF;
	char path[SKF_ID_LEN + 16];
	int r = run_path(id, path, sizeof(path));

	dir = r < 0 ? r : skf_openat(g->run_fd, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	r = dir < 0 ? dir : skf_mon_connect(dir);
	if (r < 0)
		return skf_fail(e, SKF_EUNAVAILABLE, "pod %.12s does not run", id);
	*ret_sock = r;
	return 0;
}

static int document(struct skf_engine *g, const struct skf_pod *p, struct skf_buf *b, struct skf_err *e)
{
	char init[4096] = "";
	struct skf_jw w = SKF_JW(b);
	int r = p->share & SKF_POD_PID ? skf_sibling_program(INIT_PROGRAM, init, sizeof(init)) : 0;

	if (r < 0)
		return skf_fail_sys(
			e, r, "find " INIT_PROGRAM ", the init of a pod that shares its PID namespace");
	skf_jw_obj(&w);
	skf_jw_kint(&w, "share", p->share);
	skf_jw_kstr(&w, "hostname", p->hostname);
	skf_jw_kstr(&w, "init", init);
	skf_jw_kstr(&w, "reaper", g->self);
	skf_jw_kint(&w, "shmSize", g->conf.shm_size);
	if (p->mount_label)
		skf_jw_kstr(&w, "mountLabel", p->mount_label);
	skf_jw_end(&w);
	return b->err < 0 ? skf_fail_sys(e, b->err, "write the request for pod '%s'", p->name) : 0;
}

/* A holder that was killed leaves containers that run on in the namespaces it had: a new one takes those
 * over, from the first that is alive. fds: network, ipc, uts; -EBADF for what there is not. 1 found, 0 none,
 * -1. */
static int open_living(struct skf_engine *g, const struct skf_pod *p, int fds[3], struct skf_err *e)
{
	static const char *const names[3] = {"net", "ipc", "uts"};
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_strv m = {0};

	if (skf_pod_members(g, p->id, &a, &m, e) < 0)
		return -1;
	for (size_t i = 0; i < m.n; i++) {
		struct skf_ctr_live l;
		char path[48];

		if (skf_ctr_live(g, m.v[i], &l, e) < 0 || !skf_ctr_is_up(l.state) || !l.sum.pid) {
			skf_err_clear(e); /* one that is removed meanwhile does not run */
			continue;
		}
		for (unsigned k = 0; k < SKF_ARRAY_LEN(names); k++) {
			snprintf(path, sizeof(path), "/proc/%u/ns/%s", l.sum.pid, names[k]);
			fds[k] = p->share >> k & 1 ? skf_openat(AT_FDCWD, path, O_RDONLY, 0) : -EBADF;
			if (p->share >> k & 1 && fds[k] < 0)
				return skf_fail_sys(e, fds[k], "open '%s' of container %.12s", path, m.v[i]);
		}
		/* Looked at after the opening: the number has not gone to another process. */
		if (skf_proc_alive((pid_t)l.sum.pid, l.sum.start_time) == 1)
			return 1;
		for (unsigned k = 0; k < SKF_ARRAY_LEN(names); k++)
			skf_closep(&fds[k]);
	}
	return 0;
}

/* What a holder that was killed left: all of it, or, when its containers live, only its socket. */
static int clear_past(struct skf_engine *g, const char *id, bool living, struct skf_err *e)
{
	char path[SKF_ID_LEN + 16];
	int r;

	if (!living)
		return skf_pod_unhold(g, id, e);
	r = run_path(id, path, sizeof(path));
	if (r == 0)
		r = skf_rmtree_at(g->run_fd, path);
	return r < 0 ? skf_fail_sys(e, r, "remove '%s/%s'", g->run_root, path) : 0;
}

int skf_pod_hold(struct skf_engine *g, const struct skf_pod *p, int lock, struct skf_err *e)
{
	struct skf_launch_fds fds = {{-EBADF, -EBADF, -EBADF}, lock, -1};
	int *living = fds.stdio, r;
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO(skf_buf_done)
	struct skf_buf doc = SKF_BUF(SKF_MAX_OBJECT_BYTES), b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO_FD int sock = -EBADF;
	struct skf_err ignored = SKF_ERR_INIT;
	struct skf_net_conf *net;
	uint32_t pid;

	if (skf_pod_holder(g, p->id, &sock, &ignored) == 0)
		return 0;
	r = open_living(g, p, living, e);
	if (r >= 0)
		r = clear_past(g, p->id, r == 1, e) < 0 || document(g, p, &doc, e) < 0 ||
				    skf_net_conf_read(g, p->id, &a, &net, e) < 0
			    ? -1
			    : r;
	if (r >= 0) {
		skf_launch_request(g, &b, SKF_LAUNCH_POD,
				   skf_launch_fds_flags(&fds) |
					   (r == 0 && skf_net_conf_is_ours(net) ? SKF_LAUNCH_NET : 0u),
				   p->id, skf_buf_cstr(&doc));
		r = skf_launch(g, "pod", &b, &fds, &sock, &pid, e);
		if (r < 0 && living[0] < 0 && skf_pod_unhold(g, p->id, &ignored) < 0)
			skf_warn(&g->log, "clean up after the failed start of pod '%s': %s; ignoring",
				 p->name, ignored.msg);
	}
	for (size_t i = 0; i < SKF_ARRAY_LEN(fds.stdio); i++)
		skf_closep(&living[i]);
	if (r < 0)
		return skf_ctx(e, "start pod '%s'", p->name);
	skf_pod_tell(g, "start", p->id, p->name);
	return 0;
}

/* Empty unless containers run: then it is theirs. */
static int remove_cgroup(const char *id, struct skf_err *e)
{
	struct skf_cg_dirs cg = {0};
	int r = skf_cg_layout(&cg.layout);

	if (r == -ENOENT)
		return 0; /* a host without cgroups made none */
	cg.used = cg.layout.n >= 32 ? ~0u : (1u << cg.layout.n) - 1;
	if (r == 0)
		r = skf_fmt(cg.path, sizeof(cg.path), SKF_POD_CGROUP "/%s", id);
	if (r == 0)
		r = skf_cg_remove(&cg, SKF_CGROUP_RM_MS);
	return r < 0 && r != -EBUSY ? skf_fail_sys(e, r, "remove the cgroup '%s' of pod %.12s", cg.path, id)
				    : 0;
}

int skf_pod_unhold(struct skf_engine *g, const char *id, struct skf_err *e)
{
	SKF_AUTO_FD int sock = -EBADF;
	struct skf_mon_exit x;
	char path[SKF_ID_LEN + 16];
	int r;

	if (skf_pod_holder(g, id, &sock, e) == 0) {
		if (skf_mon_kill(sock, id, SIGTERM, false, true, e) == 0 &&
		    skf_mon_wait(sock, id, SKF_KILL_WAIT_MS, &x, e) == 0)
			skf_err_clear(e);
		if (e->kind != SKF_OK && e->kind != SKF_EUNAVAILABLE) /* gone is what was wanted */
			return skf_ctx(e, "end the holder of pod %.12s", id);
	}
	skf_err_clear(e);
	if (skf_net_down(g, id, e) < 0 || remove_cgroup(id, e) < 0)
		return -1;
	r = run_path(id, path, sizeof(path));
	if (r == 0)
		r = skf_rmtree_at(g->run_fd, path);
	return r < 0 ? skf_fail_sys(e, r, "remove '%s/%s'", g->run_root, path) : 0;
}
