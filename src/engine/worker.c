/* engine/worker.c -- skiff-image as a worker: started with a socket, asked once, listened to. Closing the
 * socket ends it. */
#include "engine/worker.h"
#include "base/proc.h"
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

int skf_worker_start(struct skf_engine *g, struct skf_worker *w, struct skf_err *e)
{
	char path[4096];
	char prog[] = "skiff-image", verb[] = "serve";
	char *argv[] = {prog, verb, NULL};
	int pair[2], r = skf_sibling_program("skiff-image", path, sizeof(path));
	SKF_AUTO_FD int ours = -EBADF, theirs = -EBADF;
	struct skf_spawn s = {
		.path = path,
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
void skf_worker_end(struct skf_worker *w)
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

int skf_worker_send(struct skf_worker *w, const struct skf_buf *b, struct skf_err *e)
{
	int r = b->err < 0 ? b->err : skf_record_send(w->sock, b, NULL, 0);

	return r < 0 ? skf_fail_sys(e, r, "send the request to skiff-image") : 0;
}

int skf_worker_recv(struct skf_worker *w, int cancel_fd, struct skf_buf *b, struct skf_recr *r,
		    struct skf_err *e)
{
	struct pollfd p[2] = {{.fd = w->sock, .events = POLLIN}, {.fd = cancel_fd, .events = POLLIN}};
	int n;

	while (poll(p, 2, -1) < 0)
		if (errno != EINTR)
			return skf_fail_sys(e, -errno, "wait for skiff-image");
	if (p[1].revents)
		return skf_fail(e, SKF_ETIMEOUT, "cancelled");
	n = skf_record_recv(w->sock, b, r, NULL, 0);
	if (n < 0)
		return skf_fail_sys(e, n, "read the answer of skiff-image");
	return n ? 0
		 : skf_fail(e, SKF_EUNAVAILABLE,
			    "skiff-image ended without an answer; run the pull again, it goes on where it "
			    "stopped");
}

int skf_worker_take_layers(struct skf_recr *r, struct skf_transfer *t, struct skf_err *e)
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
			return skf_ctx(e, "layer %u", i);
		t->v[i].size = skf_recr_u64(r);
		t->v[i].phase = skf_recr_u32(r) ? SKF_PHASE_EXISTS : SKF_PHASE_WAITING;
	}
	return r->bad ? skf_fail(e, SKF_ECORRUPT, "the list of layers from skiff-image is cut short") : 0;
}

void skf_worker_take_progress(struct skf_recr *r, struct skf_transfer *t)
{
	uint32_t n = skf_recr_u32(r);

	for (uint32_t i = 0; i < n && i < t->n && !r->bad; i++) {
		t->v[i].done = skf_recr_u64(r);
		t->v[i].phase = (int)skf_recr_u32(r);
	}
}

int skf_worker_take_failure(struct skf_recr *r, struct skf_err *e)
{
	skf_recr_err(r, e);
	return e->kind == SKF_OK ? skf_fail(e, SKF_ECORRUPT, "skiff-image failed without saying why") : -1;
}

void skf_worker_put_how(struct skf_rec *r, const struct skf_registry_how *how)
{
	skf_rec_str(r, how->docker_config);
	skf_rec_str(r, how->certs_dir);
	skf_worker_put_flags(r, how, 0);
}

void skf_worker_put_flags(struct skf_rec *r, const struct skf_registry_how *how, uint32_t more)
{
	bool creds = how->auth_file || how->user;

	skf_rec_u32(r, more | (how->plain_http ? SKF_IMG_PLAIN_HTTP : 0u) |
			       (how->insecure_tls ? SKF_IMG_INSECURE_TLS : 0u) |
			       (how->anonymous ? SKF_IMG_ANONYMOUS : 0u) | (creds ? SKF_IMG_CREDS : 0u) |
			       (how->token ? SKF_IMG_TOKEN : 0u) | (how->retry ? SKF_IMG_RETRY : 0u));
	if (how->token)
		skf_rec_str(r, how->token);
	if (creds) {
		skf_rec_str(r, how->auth_file);
		skf_rec_str(r, how->user);
		skf_rec_str(r, how->password);
	}
	if (how->retry) {
		skf_rec_u32(r, how->retries);
		skf_rec_u32(r, how->retry_ms);
	}
}

static int put_text(struct skf_recr *r, struct skf_buf *text, struct skf_err *e)
{
	struct skf_str s = skf_recr_bytes(r);

	if (!text)
		return 0;
	skf_buf_put(text, s.p, s.n);
	return text->err ? skf_fail_sys(e, text->err, "answer of skiff-image") : 0;
}

int skf_worker_text(struct skf_engine *g, const struct skf_buf *request, int cancel_fd, struct skf_buf *text,
		    struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(skf_worker_end) struct skf_worker w = {.sock = -EBADF, .pidfd = -EBADF};
	struct skf_recr r;

	if (skf_worker_start(g, &w, e) < 0 || skf_worker_send(&w, request, e) < 0)
		return -1;
	for (;;) {
		if (skf_worker_recv(&w, cancel_fd, &b, &r, e) < 0)
			return -1;
		if (r.type == SKF_IMG_DONE)
			return 0;
		if (r.type == SKF_IMG_FAILED)
			return skf_worker_take_failure(&r, e);
		if (r.type == SKF_IMG_TEXT && put_text(&r, text, e) < 0)
			return -1;
	}
}
