/* engine/archive.c -- save, load and import through skiff-image: the front end's descriptor goes with the
 * request, so that no path and no foreign byte is handled here. Blocks as long as the transfer takes. */
#include "base/arena.h"
#include "engine/archive_int.h"
#include "monitor/event.h"
#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static int take_config(struct skf_recr *r, struct skf_digest *ret_config, struct skf_err *e)
{
	if (!ret_config)
		return 0;
	skf_recr_str(r);
	skf_recr_str(r);
	return skf_digest_parse(skf_recr_str(r), ret_config, e) < 0 ? skf_ctx(e, "answer of skiff-image")
								    : 0;
}

static int listen_to(struct skf_worker *w, int cancel_fd, struct skf_buf *text,
		     struct skf_digest *ret_config, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_recr r;

	for (;;) {
		if (skf_worker_recv(w, cancel_fd, &b, &r, e) < 0)
			return -1;
		if (r.type == SKF_IMG_FAILED)
			return skf_worker_take_failure(&r, e);
		if (r.type == SKF_IMG_TEXT && text) {
			struct skf_str s = skf_recr_bytes(&r);

			skf_buf_put(text, s.p, s.n);
		}
		if (r.type == SKF_IMG_DONE)
			return take_config(&r, ret_config, e);
	}
}

int skf_archive_call(struct skf_engine *g, const struct skf_buf *request, int fd, int cancel_fd,
		     struct skf_buf *text, struct skf_digest *ret_config, struct skf_err *e)
{
	SKF_AUTO(skf_worker_end) struct skf_worker w = {.sock = -EBADF, .pidfd = -EBADF};
	int n;

	if (request->err)
		return skf_fail_sys(e, request->err, "request to skiff-image");
	if (skf_worker_start(g, &w, e) < 0)
		return -1;
	n = skf_record_send(w.sock, request, &fd, fd >= 0);
	if (n < 0)
		return skf_fail_sys(e, n, "send the request to skiff-image");
	return listen_to(&w, cancel_fd, text, ret_config, e);
}

int skf_archive_squeeze(struct skf_engine *g, uint32_t how, int from, int to, struct skf_err *e)
{
	SKF_AUTO(skf_worker_end) struct skf_worker w = {.sock = -EBADF, .pidfd = -EBADF};
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(4096);
	struct skf_rec r;
	int n;

	skf_rec_begin(&r, &b, SKF_IMG_SQUEEZE, SKF_IMG_VERSION);
	skf_rec_u32(&r, how);
	skf_rec_end(&r);
	if (skf_worker_start(g, &w, e) < 0)
		return -1;
	n = b.err < 0 ? b.err : skf_record_send(w.sock, &b, (const int[]){from, to}, 2);
	if (n < 0)
		return skf_fail_sys(e, n, "send the request to skiff-image");
	return listen_to(&w, -1, NULL, NULL, e);
}

/* A reader that ends early is an error of write(2) here and no signal, whatever the program does with
 * SIGPIPE. */
static int fill_quietly(int (*fill)(void *arg, int fd, struct skf_err *e), void *arg, int fd,
			struct skf_err *e)
{
	const struct timespec now = {0};
	sigset_t pipe_only, old;
	int r;

	sigemptyset(&pipe_only);
	sigaddset(&pipe_only, SIGPIPE);
	pthread_sigmask(SIG_BLOCK, &pipe_only, &old);
	r = fill(arg, fd, e);
	if (!sigismember(&old, SIGPIPE))
		while (sigtimedwait(&pipe_only, NULL, &now) == SIGPIPE)
			;
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	return r;
}

int skf_archive_feed(struct skf_engine *g, const struct skf_buf *request, int out_fd,
		     int (*fill)(void *arg, int fd, struct skf_err *e), void *arg,
		     struct skf_digest *ret_config, struct skf_err *e)
{
	SKF_AUTO_FD int rd = -EBADF;
	SKF_AUTO_FD int wr = -EBADF;
	SKF_AUTO(skf_worker_end) struct skf_worker w = {.sock = -EBADF, .pidfd = -EBADF};
	int pair[2], fds[2], n;

	if (request->err)
		return skf_fail_sys(e, request->err, "request to skiff-image");
	if (pipe2(pair, O_CLOEXEC) < 0)
		return skf_fail_sys(e, -errno, "make a pipe");
	rd = fds[0] = pair[0];
	wr = pair[1];
	fds[1] = out_fd;
	if (skf_worker_start(g, &w, e) < 0)
		return -1;
	n = skf_record_send(w.sock, request, fds, out_fd >= 0 ? 2 : 1);
	if (n < 0)
		return skf_fail_sys(e, n, "send the request to skiff-image");
	skf_closep(&rd);
	if (fill_quietly(fill, arg, wr, e) < 0) {
		struct skf_err why = SKF_ERR_INIT;

		/* One that has gone says why; else it must not take the end of the stream for a whole one:
		 * it is ended before wr is closed. */
		if (e->sys == EPIPE && listen_to(&w, -1, NULL, NULL, &why) < 0)
			*e = why;
		skf_worker_end(&w);
		return -1;
	}
	skf_closep(&wr);
	return listen_to(&w, -1, NULL, ret_config, e);
}

void skf_image_event(struct skf_engine *g, const char *action, const char *id, const char *name)
{
	int r = skf_event_emit(g->run_fd, "image", action, id, name, name, 0);

	if (r < 0)
		skf_warn(&g->log, "write the event '%s': %s; ignoring", action, strerror(-r));
}

int skf_engine_save(struct skf_engine *g, const struct skf_save_req *q, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_rec r;

	skf_rec_begin(&r, &b, SKF_IMG_SAVE, SKF_IMG_VERSION);
	skf_rec_str(&r, g->root);
	skf_rec_u32(&r, q->format == SKF_SAVE_DOCKER_ARCHIVE ? SKF_IMG_DOCKER_ARCHIVE : SKF_IMG_OCI);
	skf_rec_u32(&r, (uint32_t)q->images.n);
	for (size_t i = 0; i < q->images.n; i++)
		skf_rec_str(&r, q->images.v[i]);
	skf_rec_end(&r);
	return skf_archive_call(g, &b, q->out_fd, q->h.cancel_fd, NULL, NULL, e);
}

/* "NAME\tCONFIG\n" */
static int take_line(struct skf_engine *g, char *line, struct skf_arena *a, struct skf_loaded *ret,
		     struct skf_err *e)
{
	char *tab = strchr(line, '\t'), name[SKF_MAX_REF_BYTES + 1];
	struct skf_ref ref;

	if (!tab)
		return skf_fail(e, SKF_ECORRUPT, "skiff-image reported a loaded image without its id");
	*tab = '\0';
	ret->config = skf_arena_strdup(a, tab + 1);
	ret->name = skf_arena_strdup(a, "");
	if (*line) {
		if (skf_ref_parse(line, &ref, e) < 0)
			return -1;
		skf_ref_familiar_name(&ref, name);
		ret->name = skf_arena_fmt(a, "%s%s%s", name, ref.tag[0] ? ":" : "@",
					  ref.tag[0] ? ref.tag : ref.digest.s);
	}
	if (!ret->config || !ret->name)
		return skf_fail(e, SKF_ENOMEM, "memory for the list of images");
	skf_image_event(g, "load", ret->config, ret->name);
	return 0;
}

int skf_engine_load(struct skf_engine *g, const struct skf_load_req *q, struct skf_arena *a,
		    struct skf_jarr *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done)
	struct skf_buf b = SKF_BUF(SKF_MAX_RECORD), text = SKF_BUF(SKF_MAX_OBJECT_BYTES * 4);
	struct skf_loaded *v;
	struct skf_rec r;
	size_t n = 0, k = 0;
	int x;

	skf_rec_begin(&r, &b, SKF_IMG_LOAD, SKF_IMG_VERSION);
	skf_rec_str(&r, g->root);
	skf_rec_str(&r, q->platform);
	skf_rec_str(&r, q->name);
	skf_rec_end(&r);
	x = skf_archive_call(g, &b, q->in_fd, q->h.cancel_fd, &text, NULL, e);
	for (size_t i = 0; i < text.len; i++)
		n += text.p[i] == '\n';
	v = skf_arena_array(a, n ? n : 1, sizeof(*v));
	if (!v || text.err)
		return skf_fail(e, SKF_ENOMEM, "memory for the list of images");
	for (char *p = text.p, *end; k < n; p = end + 1, k++) {
		end = strchr(p, '\n');
		*end = '\0';
		if (x == 0)
			x = take_line(g, p, a, &v[k], e);
	}
	*ret = (struct skf_jarr){v, x == 0 ? n : 0};
	return x;
}

int skf_engine_import(struct skf_engine *g, const struct skf_import_req *q, struct skf_digest *ret_config,
		      struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO(skf_buf_done)
	struct skf_buf b = SKF_BUF(SKF_MAX_RECORD), conf = SKF_BUF(SKF_MAX_RECORD / 2);
	struct skf_imgconf c = {0};
	struct skf_ref ref;
	char full[SKF_MAX_REF_BYTES + 1] = "";
	struct skf_rec r;

	if (q->reference) {
		if (skf_ref_parse(q->reference, &ref, e) < 0)
			return -1;
		if (ref.digest.s[0])
			return skf_fail(e, SKF_EINVALID, "'%s': a new image cannot be named by a digest",
					q->reference);
		skf_ref_full(&ref, full);
	}
	if (skf_imgconf_changes(&c, &q->changes, &a, e) < 0)
		return -1;
	skf_imgconf_write(&c, &conf);
	if (conf.err)
		return skf_fail_sys(e, conf.err, "configuration of the new image");
	skf_rec_begin(&r, &b, SKF_IMG_IMPORT, SKF_IMG_VERSION);
	skf_rec_str(&r, g->root);
	skf_rec_str(&r, full);
	skf_rec_str(&r, skf_buf_cstr(&conf));
	skf_rec_str(&r, q->message);
	skf_rec_str(&r, q->platform);
	skf_rec_u32(&r, 0);
	skf_rec_end(&r);
	if (skf_archive_call(g, &b, q->in_fd, q->h.cancel_fd, NULL, ret_config, e) < 0)
		return -1;
	skf_image_event(g, "import", ret_config->s, full);
	return 0;
}
