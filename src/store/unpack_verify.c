/* store/unpack_verify.c -- whether a layer is still what its seal says: the walk of unpack_list.c beside the
 * stored listing. Every file is read once: those with checksums while their tar is made again, and a second
 * time only when that is not the tar that it was. Nothing is changed. Blocks on the disk. */
#include "base/arena.h"
#include "base/buf.h"
#include "base/fd.h"
#include "store/unpack_list.h"
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int open_listing(struct skf_list_walk *w, int layer, struct skf_err *e)
{
	int fd = skf_openat(layer, "files", O_RDONLY | O_NOFOLLOW, 0);

	if (fd == -ENOENT)
		return skf_fail(e, SKF_ECORRUPT, "layer '%s' has no listing; pull the image again", w->what);
	if (fd < 0)
		return skf_fail_sys(e, fd, "open the listing of the layer '%s'", w->what);
	w->want = fdopen(fd, "r");
	if (!w->want) {
		skf_closep(&fd);
		return skf_fail(e, SKF_ENOMEM, "no memory to read the listing of the layer '%s'", w->what);
	}
	return 0;
}

static int compare(struct skf_list_walk *w, int tree, const struct skf_seal *seal, struct skf_err *e)
{
	struct skf_digest got;

	if (skf_list_dir(w, tree, 0, e) < 0)
		return -1;
	if (getline(&w->want_line, &w->want_cap, w->want) >= 0) {
		w->want_line[strcspn(w->want_line, " \n")] = 0;
		return skf_fail(e, SKF_ECORRUPT, "layer '%s': '%.200s' is missing; pull the image again",
				w->what, w->want_line);
	}
	if (skf_list_flush(w, e) < 0 || skf_hash_end(&w->sum, &got, e) < 0)
		return -1;
	if (!skf_digest_eq(&got, &seal->tree))
		return skf_fail(
			e, SKF_ECORRUPT,
			"layer '%s': its listing was changed: expected %s, got %s; pull the image again",
			w->what, seal->tree.s, got.s);
	return 0;
}

/* Where the listing has checksums: whether record and files make the tar. What does not is looked for in the
 * files. */
static int prove(struct skf_list_walk *w, int layer, const struct skf_digest *diff_id, struct skf_seal *seal,
		 struct skf_err *why, struct skf_err *e)
{
	skf_fail(why, SKF_ECORRUPT,
		 "layer '%s' has no tar record that vouches for its files; pull the image again", w->what);
	if (seal->ver.min < SKF_SEAL_FORMAT || !seal->record.s[0])
		return 0;
	skf_err_clear(why);
	w->proved = skf_pack_check(layer, diff_id, seal, why) == 0;
	if (w->proved || why->kind == SKF_ECORRUPT)
		return 0;
	*e = *why;
	return -1;
}

int skf_unpack_verify(struct skf_store *s, const struct skf_digest *diff_id, struct skf_err *e)
{
	SKF_AUTO(skf_arena_done) struct skf_arena a = SKF_ARENA(SKF_MAX_OBJECT_BYTES * 4);
	SKF_AUTO(skf_hash_done) struct skf_hash h = {0};
	SKF_AUTO(skf_list_done) struct skf_list_walk w = {.hash = &h, .what = diff_id->s};
	SKF_AUTO_FD int layers = -EBADF;
	SKF_AUTO_FD int layer = -EBADF;
	SKF_AUTO_FD int tree = -EBADF;
	struct skf_err unproved = SKF_ERR_INIT;
	struct skf_seal *seal;

	if (skf_store_check_digest(diff_id, e) < 0 || skf_store_dir(s, "layers", &layers, e) < 0)
		return -1;
	layer = skf_openat(layers, skf_digest_hex(diff_id), O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (layer < 0)
		return skf_fail_sys(e, layer, "open the layer '%s'", diff_id->s);
	tree = skf_openat(layer, "tree", O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	if (tree < 0)
		return skf_fail_sys(e, tree, "open the files of the layer '%s'", diff_id->s);
	if (skf_store_seal_read(layer, &a, &seal, e) < 0)
		return skf_fail(e, SKF_ECORRUPT, "layer '%s' has no readable seal; pull the image again",
				diff_id->s);
	if (!skf_digest_eq(&seal->diff_id, diff_id))
		return skf_fail(e, SKF_ECORRUPT, "layer '%s' has the seal of '%s'; pull the image again",
				diff_id->s, seal->diff_id.s);
	if (skf_list_init(&w, e) < 0 || skf_hash_init(&h, NULL, e) < 0 ||
	    skf_record_check(layer, seal, &h, e) < 0 || open_listing(&w, layer, e) < 0 ||
	    prove(&w, layer, diff_id, seal, &unproved, e) < 0 || compare(&w, tree, seal, e) < 0)
		return -1;
	if (!w.any_crc || w.proved)
		return 0;
	*e = unproved; /* no file by itself differs */
	return -1;
}
