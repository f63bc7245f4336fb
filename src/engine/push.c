/* engine/push.c -- push through skiff-image: which image, where to, progress and answer. Blocks as long as
 * the transfer takes; cancelled by the request's eventfd. */
#include "engine/worker.h"
#include "base/arena.h"
#include "monitor/event.h"
#include <stdlib.h>
#include <string.h>

static int take_done(struct skf_recr *r, struct skf_push_ret *ret, struct skf_err *e)
{
	if (skf_digest_parse(skf_recr_str(r), &ret->manifest, e) < 0)
		return skf_ctx(e, "answer of skiff-image");
	skf_recr_str(r);
	skf_recr_str(r);
	skf_recr_u32(r);
	ret->size = skf_recr_u64(r);
	return r->bad ? skf_fail(e, SKF_ECORRUPT, "the answer of skiff-image is cut short") : 0;
}

static int loop(struct skf_worker *w, int cancel_fd, const struct skf_progress *p, struct skf_transfer *t,
		struct skf_push_ret *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_recr r;

	for (;;) {
		if (skf_worker_recv(w, cancel_fd, &b, &r, e) < 0)
			return -1;
		if (r.type == SKF_IMG_DONE)
			return take_done(&r, ret, e);
		if (r.type == SKF_IMG_FAILED)
			return skf_worker_take_failure(&r, e);
		if (r.type == SKF_IMG_LAYERS) { /* a second time when layers had to be packed again */
			free(t->v);
			*t = (struct skf_transfer){0};
			if (skf_worker_take_layers(&r, t, e) < 0)
				return -1;
		}
		if (r.type == SKF_IMG_PROGRESS)
			skf_worker_take_progress(&r, t);
		if (p && p->layers && t->n)
			p->layers(p->arg, t->v, t->n);
	}
}

/* The image, and the reference that it goes to. */
static int choose(struct skf_engine *g, const struct skf_push_req *q, struct skf_arena *a,
		  struct skf_image **ret, struct skf_ref *ref, struct skf_err *e)
{
	struct skf_refrec rec;
	const char *where = q->reference ? q->reference : q->image;
	char name[SKF_MAX_REF_BYTES + 1];

	if (skf_ref_parse(where, ref, e) < 0)
		return -1;
	if (skf_store_resolve(g->store, q->image, a, ret, &rec, e) == 0)
		return 0;
	if (e->kind != SKF_ENOTFOUND || skf_ref_parse(q->image, ref, e) < 0)
		return -1;
	skf_ref_familiar_name(ref, name);
	skf_err_clear(e);
	return skf_fail(e, SKF_ENOTFOUND, "An image does not exist locally with the tag: %s", name);
}

static void say(const struct skf_progress *p, const struct skf_ref *ref)
{
	char text[SKF_MAX_REF_BYTES + 80];

	if (p && p->message &&
	    skf_fmt(text, sizeof(text), "The push refers to repository [%s/%s]", ref->registry, ref->repo) ==
		    0)
		p->message(p->arg, text);
}

int skf_engine_push(struct skf_engine *g, const struct skf_push_req *q, const struct skf_progress *p,
		    struct skf_push_ret *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(skf_worker_end) struct skf_worker w = {.sock = -EBADF, .pidfd = -EBADF};
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	struct skf_transfer t = {0};
	struct skf_push_ret x = {0};
	char full[SKF_MAX_REF_BYTES + 1];
	struct skf_image *image;
	struct skf_rec r;
	int n;

	if (choose(g, q, &a, &image, &x.ref, e) < 0)
		return -1;
	say(p, &x.ref);
	skf_ref_full(&x.ref, full);
	skf_rec_begin(&r, &b, SKF_IMG_PUSH, SKF_IMG_VERSION);
	skf_rec_str(&r, g->root);
	skf_rec_str(&r, image->manifest.s);
	skf_rec_str(&r, full);
	skf_worker_put_how(&r, &q->how);
	skf_rec_u64(&r, q->chunk);
	skf_rec_u32(&r, q->parallel);
	skf_rec_end(&r);
	if (skf_worker_start(g, &w, e) < 0 || skf_worker_send(&w, &b, e) < 0)
		return -1;
	n = loop(&w, q->h.cancel_fd, p, &t, &x, e);
	free(t.v);
	if (n < 0)
		return -1;
	n = skf_event_emit(g->run_fd, "image", "push", image->config.s, full, full, 0);
	if (n < 0)
		skf_warn(&g->log, "write the event 'push': %s; ignoring", strerror(-n));
	*ret = x;
	return 0;
}
