/* engine/export.c -- a container's files as one tar, written by skiff-image. Blocks as long as that takes.
 */
#include "base/arena.h"
#include "engine/archive_int.h"

int skf_engine_export(struct skf_engine *g, const char *container, int out_fd, int cancel_fd,
		      struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_ARENA_DOC);
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	char id[SKF_ID_LEN + 1];
	struct skf_ctrconf *c;
	struct skf_rec r;
	size_t below;

	if (skf_engine_resolve(g, container, id, e) < 0 || skf_ctr_load(g, id, &a, &c, e) < 0)
		return -1;
	skf_rec_begin(&r, &b, SKF_IMG_EXPORT, SKF_IMG_VERSION);
	skf_rec_str(&r, g->root);
	skf_rec_str(&r, id);
	below = c->storage->lower ? c->layers.n : 0; /* else rw/ has everything */
	skf_rec_u32(&r, (uint32_t)below);
	for (size_t i = 0; i < below; i++)
		skf_rec_str(&r, c->layers.v[i]);
	skf_rec_str(&r, c->rootfs); /* NULL: none */
	skf_rec_u32(&r, c->rootfs_overlay);
	skf_rec_end(&r);
	return skf_archive_call(g, &b, out_fd, cancel_fd, NULL, NULL, e);
}
