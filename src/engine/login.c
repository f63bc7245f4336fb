/* engine/login.c -- login and logout through skiff-image, the program that knows registries. Blocks on the
 * network and on credential helpers. */
#include "engine/worker.h"

int skf_engine_login(struct skf_engine *g, const struct skf_login_req *q, struct skf_buf *ret,
		     struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_rec r;

	skf_rec_begin(&r, &b, SKF_IMG_LOGIN, SKF_IMG_VERSION);
	skf_rec_str(&r, q->server);
	skf_rec_str(&r, q->user);
	skf_rec_str(&r, q->password);
	skf_worker_put_how(&r, &q->how);
	skf_rec_end(&r);
	return skf_worker_text(g, &b, q->h.cancel_fd, ret, e);
}

int skf_engine_logout(struct skf_engine *g, const struct skf_login_req *q, struct skf_buf *ret,
		      struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_rec r;

	skf_rec_begin(&r, &b, SKF_IMG_LOGOUT, SKF_IMG_VERSION);
	skf_rec_str(&r, q->server);
	skf_rec_str(&r, q->how.docker_config);
	skf_rec_u32(&r, q->what);
	skf_rec_end(&r);
	return skf_worker_text(g, &b, q->h.cancel_fd, ret, e);
}
