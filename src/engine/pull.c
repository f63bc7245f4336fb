/* engine/pull.c -- images through skiff-image: the engine sends one request over a socketpair, shows the
 * progress that comes back and ends when the worker says DONE or FAILED. Closing the socket ends the worker.
 * Blocks as long as the transfer takes; cancelled by the request's eventfd. */
#include "engine/engine_int.h"
#include "base/proc.h"
#include "base/record.h"
#include "monitor/event.h"
#include "registry/wire.h"
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

struct worker {
	int sock, pidfd;
	pid_t pid;
};

static int worker_start(struct skf_engine *g, struct worker *w, struct skf_err *e)
{
	char path[4096];
	char prog[] = "skiff-image", verb[] = "serve";
	char *argv[] = {prog, verb, NULL};
	int pair[2], r = skf_sibling_program("skiff-image", path, sizeof(path));
	SKF_AUTO_FD int ours = -EBADF, theirs = -EBADF;
	struct skf_spawn s = {.path = path,
			      .argv = argv,
			      .stdio = {-1, -1, -1},
			      .fds = &theirs,
			      .n_fds = 1}; /* no PDEATHSIG: it sees the socket close and cleans up before it ends */

	if (r < 0)
		return skf_fail_sys(e, r, "find skiff-image beside this program");
	r = skf_socketpair_seqpacket(pair);
	if (r < 0)
		return skf_fail_sys(e, r, "make the socket for skiff-image");
	ours = pair[0];
	theirs = pair[1];
	s.stdio[2] = g->log.fd >= 0 ? g->log.fd : -1;
	r = skf_spawn(&s, &w->pid, &w->pidfd);
	if (r < 0)
		return skf_fail_sys(e, r, "start '%s'", path);
	w->sock = SKF_TAKE_FD(ours);
	return 0;
}

/* The worker ends when its peer closes the socket; one that hangs is killed, because what it was doing can
 * be repeated. */
static void worker_end(struct worker *w)
{
	int status;

	skf_closep(&w->sock);
	if (w->pidfd < 0)
		return;
	if (skf_wait_pid(w->pid, w->pidfd, SKF_HELLO_MS, &status) == -ETIMEDOUT) {
		kill(w->pid, SIGKILL);
		skf_wait_pid(w->pid, w->pidfd, SKF_HELLO_MS,
			     &status); /* stuck in the kernel: init reaps it later */
	}
	skf_closep(&w->pidfd);
}

static int worker_send(struct worker *w, const struct skf_buf *b, struct skf_err *e)
{
	int r = b->err < 0 ? b->err : skf_record_send(w->sock, b, NULL, 0);

	return r < 0 ? skf_fail_sys(e, r, "send the request to skiff-image") : 0;
}

static int worker_recv(struct worker *w, int cancel_fd, struct skf_buf *b, struct skf_recr *r,
		       struct skf_err *e)
{
	struct pollfd p[2] = {{.fd = w->sock, .events = POLLIN}, {.fd = cancel_fd, .events = POLLIN}};
	int n;

	while (poll(p, 2, -1) < 0)
		if (errno != EINTR)
			return skf_fail_sys(e, -errno, "wait for skiff-image");
	if (p[1].revents)
		return skf_fail(e, SKF_ETIMEOUT, "the pull was cancelled");
	n = skf_record_recv(w->sock, b, r, NULL, 0);
	if (n < 0)
		return skf_fail_sys(e, n, "read the answer of skiff-image");
	return n ? 0
		 : skf_fail(e, SKF_EUNAVAILABLE,
			    "skiff-image ended without an answer; run the pull again, it goes on where it "
			    "stopped");
}

struct transfer {
	struct skf_progress_layer *v;
	size_t n;
};

static int take_layers(struct skf_recr *r, struct transfer *t, struct skf_err *e)
{
	uint32_t n = skf_recr_u32(r);

	if (n > SKF_MAX_LAYERS || t->v)
		return skf_fail(e, SKF_ECORRUPT, "skiff-image reported %u layers; the limit is %d", n,
				SKF_MAX_LAYERS);
	t->v = calloc(n ? n : 1, sizeof(*t->v));
	if (!t->v)
		return skf_fail(e, SKF_ENOMEM, "memory for the progress of %u layers", n);
	t->n = n;
	for (uint32_t i = 0; i < n; i++) {
		if (skf_digest_parse(skf_recr_str(r), &t->v[i].digest, e) < 0)
			return skf_ctx(e, "layer %u of the pull", i);
		t->v[i].size = skf_recr_u64(r);
		t->v[i].phase = skf_recr_u32(r) ? SKF_PHASE_EXISTS : SKF_PHASE_WAITING;
	}
	return r->bad ? skf_fail(e, SKF_ECORRUPT, "the list of layers from skiff-image is cut short") : 0;
}

static void take_progress(struct skf_recr *r, struct transfer *t)
{
	uint32_t n = skf_recr_u32(r);

	for (uint32_t i = 0; i < n && i < t->n && !r->bad; i++) {
		t->v[i].done = skf_recr_u64(r);
		t->v[i].phase = (int)skf_recr_u32(r);
	}
}

static int take_done(struct skf_recr *r, struct skf_pull_ret *ret, struct skf_err *e)
{
	if (skf_digest_parse(skf_recr_str(r), &ret->top, e) < 0 ||
	    skf_digest_parse(skf_recr_str(r), &ret->manifest, e) < 0 ||
	    skf_digest_parse(skf_recr_str(r), &ret->config, e) < 0)
		return skf_ctx(e, "answer of skiff-image");
	ret->up_to_date = skf_recr_u32(r) != 0;
	return r->bad ? skf_fail(e, SKF_ECORRUPT, "the answer of skiff-image is cut short") : 0;
}

static int take_failure(struct skf_recr *r, struct skf_err *e)
{
	skf_recr_err(r, e);
	return e->kind == SKF_OK ? skf_fail(e, SKF_ECORRUPT, "skiff-image failed without saying why") : -1;
}

static int pull_loop(struct worker *w, int cancel_fd, const struct skf_progress *p, struct transfer *t,
		     struct skf_pull_ret *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_recr r;

	for (;;) {
		if (worker_recv(w, cancel_fd, &b, &r, e) < 0)
			return -1;
		switch (r.type) {
		case SKF_IMG_LAYERS:
			if (take_layers(&r, t, e) < 0)
				return -1;
			break;
		case SKF_IMG_PROGRESS:
			take_progress(&r, t);
			break;
		case SKF_IMG_DONE:
			for (size_t i = 0; i < t->n; i++)
				if (t->v[i].phase != SKF_PHASE_EXISTS)
					t->v[i].phase = SKF_PHASE_DONE;
			if (p && p->layers && t->n)
				p->layers(p->arg, t->v, t->n);
			return take_done(&r, ret, e);
		case SKF_IMG_FAILED:
			return take_failure(&r, e);
		default:
			continue; /* a newer worker's extra record */
		}
		if (p && p->layers && t->n)
			p->layers(p->arg, t->v, t->n);
	}
}

static void say(const struct skf_progress *p, const char *text)
{
	if (p && p->message)
		p->message(p->arg, text);
}

int skf_engine_pull(struct skf_engine *g, const struct skf_pull_req *q, const struct skf_progress *p,
		    struct skf_pull_ret *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(worker_end) struct worker w = {.sock = -EBADF, .pidfd = -EBADF};
	struct transfer t = {0};
	char full[SKF_MAX_REF_BYTES + 1], text[SKF_MAX_REF_BYTES * 2];
	struct skf_pull_ret x = {0};
	struct skf_rec r;
	int n;

	if (skf_ref_parse(q->reference, &x.ref, e) < 0)
		return -1;
	skf_ref_full(&x.ref, full);
	if (skf_fmt(text, sizeof(text), "%s%sPulling from %s",
		    x.ref.digest.s[0] ? x.ref.digest.s : x.ref.tag, ": ", x.ref.repo) == 0)
		say(p, text);
	skf_rec_begin(&r, &b, SKF_IMG_PULL, SKF_IMG_VERSION);
	skf_rec_str(&r, g->root);
	skf_rec_str(&r, full);
	skf_rec_str(&r, q->platform);
	skf_rec_str(&r, q->docker_config);
	skf_rec_str(&r, q->certs_dir);
	skf_rec_u32(&r, (q->plain_http ? SKF_IMG_PLAIN_HTTP : 0u) |
				(q->insecure_tls ? SKF_IMG_INSECURE_TLS : 0u));
	skf_rec_end(&r);
	if (worker_start(g, &w, e) < 0 || worker_send(&w, &b, e) < 0)
		return -1;
	n = pull_loop(&w, q->h.cancel_fd, p, &t, &x, e);
	free(t.v);
	if (n < 0)
		return -1;
	n = skf_event_emit(g->run_fd, "image", "pull", x.config.s, full, full, 0);
	if (n < 0)
		skf_warn(&g->log, "write the event 'pull': %s; ignoring", strerror(-n));
	*ret = x;
	return 0;
}

static int find_local(struct skf_engine *g, const char *word, struct skf_arena *a, struct skf_image **ret,
		      struct skf_refrec *ref, struct skf_err *e)
{
	if (skf_store_resolve(g->store, word, a, ret, ref, e) == 0)
		return 1;
	if (e->kind != SKF_ENOTFOUND)
		return -1;
	skf_err_clear(e);
	return 0;
}

static int check_platform(const struct skf_create_req *q, const struct skf_image *i, struct skf_err *e)
{
	struct skf_platform want, have;

	if (!q->platform || !*q->platform)
		return 1;
	if (skf_platform_parse(q->platform, &want, e) < 0 || skf_platform_parse(i->platform, &have, e) < 0)
		return -1;
	return skf_platform_score(&want, &have) >= 0;
}

int skf_image_find_or_pull(struct skf_engine *g, const struct skf_create_req *q,
			   const struct skf_progress *p, struct skf_arena *a, struct skf_image **ret,
			   struct skf_refrec *ret_ref, struct skf_err *e)
{
	struct skf_pull_req pull = SKF_REQ(struct skf_pull_req);
	struct skf_pull_ret done;
	char text[SKF_MAX_REF_BYTES + 64], familiar[SKF_MAX_REF_BYTES + 1];
	struct skf_ref ref;
	int r = q->pull == SKF_PULL_ALWAYS ? 0 : find_local(g, q->image, a, ret, ret_ref, e);

	if (r == 1)
		r = check_platform(q, *ret, e);
	if (r != 0)
		return r < 0 ? -1 : 0;
	if (skf_ref_parse(q->image, &ref, e) < 0)
		return -1;
	skf_ref_familiar_name(&ref, familiar);
	if (q->pull == SKF_PULL_NEVER)
		return skf_fail(e, SKF_ENOTFOUND, "No such image: %s:%s", familiar,
				ref.tag[0] ? ref.tag : ref.digest.s);
	if (q->pull != SKF_PULL_ALWAYS &&
	    skf_fmt(text, sizeof(text), "Unable to find image '%s%s%s' locally", familiar,
		    ref.tag[0] ? ":" : "@", ref.tag[0] ? ref.tag : ref.digest.s) == 0)
		say(p, text);
	pull.h.cancel_fd = q->h.cancel_fd;
	pull.reference = q->image;
	pull.platform = q->platform;
	pull.docker_config = q->docker_config;
	pull.plain_http = q->plain_http;
	if (skf_engine_pull(g, &pull, p, &done, e) < 0)
		return -1;
	return skf_store_resolve(g->store, q->image, a, ret, ret_ref, e);
}

int skf_image_verify(struct skf_engine *g, const char *diff_id,
		     void (*damaged)(void *arg, const char *diff_id, const char *why), void *arg,
		     struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(worker_end) struct worker w = {.sock = -EBADF, .pidfd = -EBADF};
	struct skf_rec req;
	struct skf_recr r;

	skf_rec_begin(&req, &b, SKF_IMG_VERIFY, SKF_IMG_VERSION);
	skf_rec_str(&req, g->root);
	skf_rec_str(&req, diff_id);
	skf_rec_u32(&req, 0);
	skf_rec_end(&req);
	if (worker_start(g, &w, e) < 0 || worker_send(&w, &b, e) < 0)
		return -1;
	for (;;) {
		struct skf_err why = SKF_ERR_INIT;

		if (worker_recv(&w, -1, &b, &r, e) < 0)
			return -1;
		if (r.type == SKF_IMG_DONE)
			return 0;
		if (r.type == SKF_IMG_FAILED)
			return take_failure(&r, e);
		if (r.type == SKF_IMG_BAD) {
			const char *id = skf_recr_str(&r);

			skf_recr_err(&r, &why);
			if (damaged)
				damaged(arg, id, why.msg);
		}
	}
}
