/* engine/pull.c -- pull, and the check of layers, through skiff-image (worker.h): one request, its progress,
 * its answer. Blocks as long as the transfer takes; cancelled by the request's eventfd. */
#include "engine/engine_int.h"
#include "engine/worker.h"
#include "monitor/event.h"
#include <poll.h>
#include <stdlib.h>
#include <string.h>

static int take_done(struct skf_recr *r, struct skf_pull_ret *ret, struct skf_err *e)
{
	if (skf_digest_parse(skf_recr_str(r), &ret->top, e) < 0 ||
	    skf_digest_parse(skf_recr_str(r), &ret->manifest, e) < 0 ||
	    skf_digest_parse(skf_recr_str(r), &ret->config, e) < 0)
		return skf_ctx(e, "answer of skiff-image");
	ret->up_to_date = skf_recr_u32(r) != 0;
	return r->bad ? skf_fail(e, SKF_ECORRUPT, "the answer of skiff-image is cut short") : 0;
}

static int pull_loop(struct skf_worker *w, int cancel_fd, const struct skf_progress *p,
		     struct skf_transfer *t, struct skf_pull_ret *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_recr r;

	for (;;) {
		if (skf_worker_recv(w, cancel_fd, &b, &r, e) < 0)
			return -1;
		switch (r.type) {
		case SKF_IMG_LAYERS:
			if (skf_worker_take_layers(&r, t, e) < 0)
				return -1;
			break;
		case SKF_IMG_PROGRESS:
			skf_worker_take_progress(&r, t);
			break;
		case SKF_IMG_DONE:
			for (size_t i = 0; i < t->n; i++)
				if (t->v[i].phase != SKF_PHASE_EXISTS)
					t->v[i].phase = SKF_PHASE_DONE;
			if (p && p->layers && t->n)
				p->layers(p->arg, t->v, t->n);
			return take_done(&r, ret, e);
		case SKF_IMG_FAILED:
			return skf_worker_take_failure(&r, e);
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

static int pull(struct skf_engine *g, const struct skf_pull_req *q, const char *full, uint32_t flags,
		const struct skf_progress *p, struct skf_pull_ret *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(skf_worker_end) struct skf_worker w = {.sock = -EBADF, .pidfd = -EBADF};
	struct skf_transfer t = {0};
	struct skf_rec r;
	int n;

	skf_rec_begin(&r, &b, SKF_IMG_PULL, SKF_IMG_VERSION);
	skf_rec_str(&r, g->root);
	skf_rec_str(&r, full);
	skf_rec_str(&r, q->platform);
	skf_rec_str(&r, q->how.docker_config);
	skf_rec_str(&r, q->how.certs_dir);
	skf_worker_put_flags(&r, &q->how, flags);
	skf_rec_end(&r);
	if (skf_worker_start(g, &w, e) < 0 || skf_worker_send(&w, &b, e) < 0)
		return -1;
	n = pull_loop(&w, q->h.cancel_fd, p, &t, ret, e);
	free(t.v);
	return n;
}

/* "registry/repository"; what was loaded or made here says "archive" or "local". */
bool skf_image_has_origin(const struct skf_image *i)
{
	return i->from && strchr(i->from, '/');
}

int skf_image_heal(struct skf_engine *g, const struct skf_image *i, const char *docker_config,
		   struct skf_err *e)
{
	struct skf_pull_req q = SKF_REQ(struct skf_pull_req);
	char full[SKF_MAX_REF_BYTES + 1];
	struct skf_pull_ret x = {0};

	if (!skf_image_has_origin(i))
		return skf_fail(e, SKF_EUNSUPPORTED,
				"the image came from no registry; load or build it again");
	if (skf_fmt(full, sizeof(full), "%s@%s", i->from, i->manifest.s) < 0)
		return skf_fail(e, SKF_ECORRUPT,
				"the record of image '%s' names no place that it could be pulled from",
				i->manifest.s);
	q.platform = i->platform;
	q.how.docker_config = docker_config;
	return pull(g, &q, full, SKF_IMG_NO_NAME, NULL, &x, e);
}

int skf_pull_exact(struct skf_engine *g, const struct skf_pull_req *q, const struct skf_progress *p,
		   struct skf_pull_ret *ret, struct skf_err *e)
{
	char full[SKF_MAX_REF_BYTES + 1], text[SKF_MAX_REF_BYTES * 2];
	struct skf_pull_ret x = {0};
	int n;

	if (skf_ref_parse(q->reference, &x.ref, e) < 0)
		return -1;
	skf_ref_full(&x.ref, full);
	if (skf_fmt(text, sizeof(text), "%s%sPulling from %s",
		    x.ref.digest.s[0] ? x.ref.digest.s : x.ref.tag, ": ", x.ref.repo) == 0)
		say(p, text);
	if (pull(g, q, full, 0, p, &x, e) < 0)
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

static int pull_for(struct skf_engine *g, const struct skf_create_req *q, const struct skf_progress *p,
		    struct skf_arena *a, struct skf_image **ret, struct skf_refrec *ret_ref,
		    struct skf_err *e)
{
	struct skf_pull_req pull = SKF_REQ(struct skf_pull_req);
	char full[SKF_MAX_REF_BYTES + 1];
	struct skf_pull_ret done;

	pull.h.cancel_fd = q->h.cancel_fd;
	pull.reference = q->image;
	pull.platform = q->platform;
	pull.how.docker_config = q->docker_config;
	pull.how.plain_http = q->plain_http;
	if (skf_engine_pull(g, &pull, p, &done, e) < 0)
		return -1;
	skf_ref_full(&done.ref, full); /* a short name may have become another one (short_name.c) */
	return skf_store_resolve(g->store, full, a, ret, ret_ref, e);
}

/* --pull newer with an image that is here: a pull moves only what differs. As podman, what is here runs when
 * the registry does not answer. */
static int pull_newer(struct skf_engine *g, const struct skf_create_req *q, const struct skf_progress *p,
		      struct skf_arena *a, struct skf_image **ret, struct skf_refrec *ret_ref,
		      struct skf_err *e)
{
	struct pollfd cancel = {.fd = q->h.cancel_fd, .events = POLLIN};

	if (pull_for(g, q, p, a, ret, ret_ref, e) == 0)
		return 0;
	if (q->h.cancel_fd >= 0 && poll(&cancel, 1, 0) != 0)
		return -1;
	skf_warn(&g->log, "look for a newer image: %s; using the one that is here", e->msg);
	skf_err_clear(e);
	return 0;
}

int skf_image_find_or_pull(struct skf_engine *g, const struct skf_create_req *q,
			   const struct skf_progress *p, struct skf_arena *a, struct skf_image **ret,
			   struct skf_refrec *ret_ref, struct skf_err *e)
{
	char text[SKF_MAX_REF_BYTES + 64], familiar[SKF_MAX_REF_BYTES + 1];
	enum skf_pull_policy policy = q->pull == SKF_PULL_CONFIGURED ? g->conf.pull : q->pull;
	struct skf_ref ref;
	int r = policy == SKF_PULL_ALWAYS ? 0 : find_local(g, q->image, a, ret, ret_ref, e);

	if (r == 1)
		r = check_platform(q, *ret, e);
	if (r == 1 && policy == SKF_PULL_NEWER && ret_ref->ref.tag[0])
		return pull_newer(g, q, p, a, ret, ret_ref, e);
	if (r != 0)
		return r < 0 ? -1 : 0;
	if (skf_ref_parse(q->image, &ref, e) < 0)
		return -1;
	skf_ref_familiar_name(&ref, familiar);
	if (policy == SKF_PULL_NEVER)
		return skf_fail(e, SKF_ENOTFOUND, "No such image: %s:%s", familiar,
				ref.tag[0] ? ref.tag : ref.digest.s);
	if (policy != SKF_PULL_ALWAYS &&
	    skf_fmt(text, sizeof(text), "Unable to find image '%s%s%s' locally", familiar,
		    ref.tag[0] ? ":" : "@", ref.tag[0] ? ref.tag : ref.digest.s) == 0)
		say(p, text);
	return pull_for(g, q, p, a, ret, ret_ref, e);
}

int skf_image_verify(struct skf_engine *g, const char *diff_id, uint32_t flags,
		     void (*damaged)(void *arg, const char *digest, bool blob, const char *why), void *arg,
		     struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	SKF_AUTO(skf_worker_end) struct skf_worker w = {.sock = -EBADF, .pidfd = -EBADF};
	struct skf_rec req;
	struct skf_recr r;

	skf_rec_begin(&req, &b, SKF_IMG_VERIFY, SKF_IMG_VERSION);
	skf_rec_str(&req, g->root);
	skf_rec_str(&req, diff_id);
	skf_rec_u32(&req, flags);
	skf_rec_end(&req);
	if (skf_worker_start(g, &w, e) < 0 || skf_worker_send(&w, &b, e) < 0)
		return -1;
	for (;;) {
		struct skf_err why = SKF_ERR_INIT;

		if (skf_worker_recv(&w, -1, &b, &r, e) < 0)
			return -1;
		if (r.type == SKF_IMG_DONE)
			return 0;
		if (r.type == SKF_IMG_FAILED)
			return skf_worker_take_failure(&r, e);
		if (r.type == SKF_IMG_BAD) {
			const char *id = skf_recr_str(&r);

			skf_recr_err(&r, &why);
			if (damaged)
				damaged(arg, id, skf_recr_u32(&r) != 0, why.msg);
		}
	}
}
