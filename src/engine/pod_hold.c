/* engine/pod_hold.c -- starting and ending the holder of a pod's namespaces. Both under the pod's lock; blocks until launch answers (SKF_START_MS) or
 * the holder has ended (SKF_KILL_WAIT_MS). */
#include "engine/pod_int.h"
#include "base/proc.h"
#include "launch/wire.h"
#include <fcntl.h>
#include <signal.h>
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
		return skf_fail_sys(e, r, "find " INIT_PROGRAM ", the init of a pod that shares its PID namespace");
	skf_jw_obj(&w);
	skf_jw_kint(&w, "share", p->share);
	skf_jw_kstr(&w, "hostname", p->hostname);
	skf_jw_kstr(&w, "init", init);
	skf_jw_kstr(&w, "reaper", g->self);
	skf_jw_end(&w);
	return b->err < 0 ? skf_fail_sys(e, b->err, "write the request for pod '%s'", p->name) : 0;
}

int skf_pod_hold(struct skf_engine *g, const struct skf_pod *p, struct skf_err *e)
{
	static const int none[3] = {-1, -1, -1};
	SKF_AUTO(skf_buf_done) struct skf_buf doc = SKF_BUF(SKF_MAX_OBJECT_BYTES), b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO_FD int sock = -EBADF;
	struct skf_err ignored = SKF_ERR_INIT;
	uint32_t pid;

	if (skf_pod_holder(g, p->id, &sock, &ignored) == 0)
		return 0;
	/* What a holder that was killed left behind. */
	if (skf_pod_unhold(g, p->id, e) < 0 || document(g, p, &doc, e) < 0)
		return -1;
	skf_launch_request(g, &b, SKF_LAUNCH_POD, 0, p->id, skf_buf_cstr(&doc));
	if (skf_launch(g, "pod", &b, none, &sock, &pid, e) < 0) {
		if (skf_pod_unhold(g, p->id, &ignored) < 0)
			skf_warn(&g->log, "clean up after the failed start of pod '%s': %s; ignoring", p->name, ignored.msg);
		return skf_ctx(e, "start pod '%s'", p->name);
	}
	skf_pod_tell(g, "start", p->id, p->name);
	return 0;
}

int skf_pod_unhold(struct skf_engine *g, const char *id, struct skf_err *e)
{
	SKF_AUTO_FD int sock = -EBADF;
	struct skf_mon_exit x;
	char path[SKF_ID_LEN + 16];
	int r;

	if (skf_pod_holder(g, id, &sock, e) == 0) {
		if (skf_mon_kill(sock, id, SIGTERM, false, true, e) == 0 && skf_mon_wait(sock, id, SKF_KILL_WAIT_MS, &x, e) == 0)
			skf_err_clear(e);
		if (e->kind != SKF_OK && e->kind != SKF_EUNAVAILABLE) /* gone is what was wanted */
			return skf_ctx(e, "end the holder of pod %.12s", id);
	}
	skf_err_clear(e);
	r = run_path(id, path, sizeof(path));
	if (r == 0)
		r = skf_rmtree_at(g->run_fd, path);
	return r < 0 ? skf_fail_sys(e, r, "remove '%s/%s'", g->run_root, path) : 0;
}
