/* engine/copy.c -- copies of images through skiff-image: two places and a wish. Descriptors that the front
 * end opened are only handed on. Blocks as long as the transfer takes; cancelled by the request's eventfd.
 */
#include "engine/list_int.h"
#include "engine/worker.h"
#include "base/arena.h"
#include "monitor/event.h"
#include <string.h>

struct request {
	struct skf_buf b;
	int fd[SKF_MAX_RECORD_FDS];
	unsigned n_fd;
};

static void put_place(struct request *x, struct skf_rec *r, const struct skf_copy_place *p)
{
	skf_rec_u32(r, (uint32_t)p->kind);
	skf_rec_str(r, p->name);
	if (p->fd >= 0)
		x->fd[x->n_fd++] = p->fd;
	skf_rec_u32(r, p->fd >= 0 ? x->n_fd : 0);
	skf_rec_str(r, p->how.docker_config);
	skf_rec_str(r, p->how.certs_dir);
	skf_rec_str(r, p->auth_file);
	skf_rec_str(r, p->user);
	skf_rec_str(r, p->password);
	skf_worker_put_flags(r, &p->how, p->anonymous ? SKF_IMG_ANONYMOUS : 0u);
}

static void encode(struct request *x, const char *root, const struct skf_copy_req *q)
{
	struct skf_rec r;

	skf_rec_begin(&r, &x->b, SKF_IMG_COPY, SKF_IMG_VERSION);
	skf_rec_str(&r, root);
	put_place(x, &r, &q->src);
	put_place(x, &r, &q->dest);
	skf_rec_u32(&r, (q->all ? SKF_COPY_ALL : 0u) | (q->preserve ? SKF_COPY_PRESERVE : 0u) |
				(q->index_only ? SKF_COPY_INDEX_ONLY : 0u));
	skf_rec_str(&r, q->platform);
	skf_rec_u32(&r, q->as);
	skf_rec_u32(&r, q->squeeze);
	skf_rec_u32(&r, (uint32_t)(q->level + 1));
	skf_rec_u32(&r, (uint32_t)q->tags.n);
	for (size_t i = 0; i < q->tags.n; i++)
		skf_rec_str(&r, q->tags.v[i]);
	skf_rec_end(&r);
}

/* One line for each record: the worker does not break them. */
static void say(const struct skf_progress *p, struct skf_recr *r)
{
	struct skf_str s = skf_recr_bytes(r);
	char line[1024];

	if (!p || !p->message || !s.n || skf_fmt(line, sizeof(line), "%.*s", (int)(s.n - 1), s.p) < 0)
		return;
	p->message(p->arg, line);
}

/* The request to its end; lines to p. */
static int call(struct skf_engine *g, struct request *x, int cancel_fd, const struct skf_progress *p,
		struct skf_digest *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(skf_worker_end) struct skf_worker w = {.sock = -EBADF, .pidfd = -EBADF};
	struct skf_recr r;
	int n = x->b.err;

	if (n < 0)
		return skf_fail_sys(e, n, "request to skiff-image");
	if (skf_worker_start(g, &w, e) < 0)
		return -1;
	n = skf_record_send(w.sock, &x->b, x->fd, x->n_fd);
	if (n < 0)
		return skf_fail_sys(e, n, "send the request to skiff-image");
	for (;;) {
		if (skf_worker_recv(&w, cancel_fd, &b, &r, e) < 0)
			return -1;
		if (r.type == SKF_IMG_FAILED)
			return skf_worker_take_failure(&r, e);
		if (r.type == SKF_IMG_TEXT)
			say(p, &r);
		if (r.type == SKF_IMG_DONE)
			return skf_digest_parse(skf_recr_str(&r), ret, e);
	}
}

int skf_engine_copy(struct skf_engine *g, const struct skf_copy_req *q, const struct skf_progress *p,
		    struct skf_digest *ret, struct skf_err *e)
{
	struct request x = {.b = SKF_BUF(SKF_MAX_RECORD)};
	int n;

	encode(&x, g->root, q);
	n = call(g, &x, q->h.cancel_fd, p, ret, e);
	skf_buf_done(&x.b);
	return n;
}

int skf_copy_make_artifact(struct skf_engine *g, const struct skf_copy_place *dest, const char *type,
			   const struct skf_copy_place *subject, const struct skf_strv *annotations,
			   const struct skf_artifact_file *files, size_t n, struct skf_digest *ret,
			   struct skf_err *e)
{
	struct request x = {.b = SKF_BUF(SKF_MAX_RECORD)};
	struct skf_rec r;
	int rc;

	if (n >= SKF_MAX_RECORD_FDS)
		return skf_fail(e, SKF_ELIMIT, "an artifact is made of at most %d files, found %zu",
				SKF_MAX_RECORD_FDS - 1, n);
	skf_rec_begin(&r, &x.b, SKF_IMG_ARTIFACT, SKF_IMG_VERSION);
	put_place(&x, &r, dest);
	skf_rec_str(&r, type);
	put_place(&x, &r, subject);
	skf_rec_u32(&r, (uint32_t)annotations->n);
	for (size_t i = 0; i < annotations->n; i++)
		skf_rec_str(&r, annotations->v[i]);
	skf_rec_u32(&r, (uint32_t)n);
	for (size_t i = 0; i < n; i++) {
		skf_rec_str(&r, files[i].title);
		skf_rec_str(&r, files[i].media_type);
		x.fd[x.n_fd++] = files[i].fd;
		skf_rec_u32(&r, x.n_fd);
	}
	skf_rec_end(&r);
	rc = call(g, &x, -1, NULL, ret, e);
	skf_buf_done(&x.b);
	return rc;
}

int skf_copy_describe(struct skf_engine *g, const struct skf_copy_place *p, bool all, const char *platform,
		      struct skf_buf *ret, struct skf_err *e)
{
	struct request x = {.b = SKF_BUF(SKF_MAX_RECORD)};
	struct skf_rec r;
	int n;

	skf_rec_begin(&r, &x.b, SKF_IMG_DESCRIBE, SKF_IMG_VERSION);
	skf_rec_str(&r, g->root);
	put_place(&x, &r, p);
	skf_rec_u32(&r, all ? SKF_COPY_ALL : 0);
	skf_rec_str(&r, platform);
	skf_rec_end(&r);
	n = skf_worker_text(g, &x.b, -1, ret, e);
	skf_buf_done(&x.b);
	return n;
}

int skf_engine_image_has(struct skf_engine *g, const char *name, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_image *image;
	struct skf_refrec ref;

	if (skf_store_resolve(g->store, name, &a, &image, &ref, e) == 0)
		return 1;
	if (e->kind != SKF_ENOTFOUND && e->kind != SKF_EINVALID)
		return -1;
	skf_err_clear(e);
	return 0;
}
