/* engine/remote.c -- what is in a registry, asked through skiff-image. Blocks on the network. */
#include "engine/worker.h"

int skf_engine_remote(struct skf_engine *g, const struct skf_remote_req *q, struct skf_buf *ret, struct skf_err *e)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	char full[SKF_MAX_REF_BYTES + 1];
	struct skf_ref ref;
	struct skf_rec r;

	if (skf_ref_parse(q->reference, &ref, e) < 0)
		return -1;
	skf_ref_full(&ref, full);
	skf_rec_begin(&r, &b, SKF_IMG_REMOTE, SKF_IMG_VERSION);
	skf_rec_u32(&r, (uint32_t)q->what);
	skf_rec_str(&r, full);
	skf_rec_str(&r, q->argument);
	skf_rec_str(&r, q->platform);
	skf_worker_put_how(&r, &q->how);
	skf_rec_end(&r);
	return skf_worker_text(g, &b, q->h.cancel_fd, ret, e);
}
