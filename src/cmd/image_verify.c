/* cmd/image_verify.c -- recomputes what the store says of itself: layers against their seals, blobs against
 * their names. One BAD record per object that differs; only what keeps us from looking at all ends the
 * request. A layer of an earlier boot that was never synced and is good is synced now. Blocks: disk, for as
 * long as reading the store takes. */
#include "base/fd.h"
#include "cmd/image_int.h"
#include "store/unpack.h"
#include <dirent.h>
#include <fcntl.h>

struct verify {
	const struct image_peer *peer;
	struct skf_store *s;
	bool read_only;
};

static void send_bad(const struct verify *v, const struct skf_digest *d, struct skf_err *why, bool blob)
{
	SKF_AUTO(skf_buf_done) struct skf_buf b = SKF_BUF(SKF_MAX_RECORD);
	struct skf_rec r;
	image_printable(why);
	skf_rec_begin(&r, &b, SKF_IMG_BAD, SKF_IMG_VERSION);
	skf_rec_str(&r, d->s);
	skf_rec_err(&r, why);
	skf_rec_u32(&r, blob);
	skf_rec_end(&r);
	image_send(v->peer, &b);
}

static int verify_layer(const struct verify *v, const struct skf_digest *d, struct skf_err *e)
{
	struct skf_err bad = SKF_ERR_INIT;
	struct skf_layer_info info;
	int has = skf_store_layer_has(v->s, d, &info, e);
	if (has < 0 && e->kind != SKF_ECORRUPT)
		return -1;
	skf_err_clear(e); /* what is wrong with the seal is told below */
	if (has == 0 || (has == 2 && v->read_only))
		return 0;
	if (skf_unpack_verify(v->s, d, &bad) == 0)
		return has == 2 ? skf_unpack_sync(v->s, d, 1, e) : 0;
	if (bad.kind == SKF_ENOTFOUND && skf_store_layer_has(v->s, d, &info, e) == 0)
		return 0; /* removed meanwhile */
	skf_err_clear(e);
	send_bad(v, d, &bad, false);
	return 0;
}

static int verify_blob(const struct verify *v, const struct skf_digest *d, struct skf_err *e)
{
	struct skf_err bad = SKF_ERR_INIT;
	(void)e;
	if (skf_unpack_verify_blob(v->s, d, &bad) < 0 && bad.kind != SKF_ENOTFOUND)
		send_bad(v, d, &bad, true);
	return 0;
}

static int each(const struct verify *v, const char *path,
		int (*fn)(const struct verify *, const struct skf_digest *, struct skf_err *),
		struct skf_err *e)
{
	int fd = skf_openat(skf_store_fd(v->s), path, O_RDONLY | O_DIRECTORY, 0);
	if (fd == -ENOENT)
		return 0;
	SKF_AUTO_DIR DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return skf_fail_sys(e, fd < 0 ? fd : -errno, "list '%s/%s'", skf_store_root(v->s), path);
	for (const struct dirent *de; (de = readdir(dir));) {
		struct skf_digest d;
		if (!skf_digest_of_file(de->d_name, &d))
			continue; /* unfinished: the collection's */
		if (fn(v, &d, e) < 0)
			return -1;
	}
	return 0;
}

int image_serve_verify(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		       struct skf_err *e)
{
	const char *root = skf_recr_str(q), *diff_id = skf_recr_str(q);
	uint32_t flags = skf_recr_u32(q);
	SKF_AUTO(skf_store_freep) struct skf_store *s = NULL;
	struct verify v = {.peer = peer, .read_only = flags & SKF_IMG_READ_ONLY};
	struct skf_digest d;
	if (q->bad)
		return skf_fail(e, SKF_EINVALID, "the verify request is cut short");
	if (skf_store_open(root, false, &s, e) < 0)
		return -1;
	v.s = s;
	if (diff_id[0] ? skf_digest_parse(diff_id, &d, e) < 0 || verify_layer(&v, &d, e) < 0
		       : each(&v, "layers", verify_layer, e) < 0 ||
				 each(&v, "blobs/sha256", verify_blob, e) < 0 ||
				 each(&v, "blobs/sha512", verify_blob, e) < 0)
		return -1;
	image_put_done(answer);
	return 0;
}
