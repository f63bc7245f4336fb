/* cmd/image_artifact.c -- an artifact made of files: each file a blob of its own media type, the empty
 * config, a manifest with artifactType and, when it is attached to something, a subject (image-spec
 * "Guidelines for Artifact Usage"). Written as an OCI layout, from where it is copied like any image.
 *
 * Each file is read twice: once for its digest, once into the layout, where the digest is checked. Blocks:
 * disk; network for the subject. */
#include "base/fd.h"
#include "base/limits.h"
#include "cmd/image_place.h"
#include "registry/wire.h"
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#define EMPTY_TYPE "application/vnd.oci.empty.v1+json"
#define TITLE      "org.opencontainers.image.title"
#define MAX_FILES  (SKF_MAX_RECORD_FDS - 1)

struct artifact {
	const struct image_peer *peer;
	struct image_place dest, subject;
	const char *type, *title[MAX_FILES], *media[MAX_FILES];
	struct skf_strv annotations;
	struct skf_arena a;
	struct image_from from; /* gives the readers of the files */
	struct image_to *to;
	struct image_item item[MAX_FILES + 1];
	struct image_region file[MAX_FILES];
	size_t n;
	struct image_doc subject_doc, doc;
};

/* --- files as a place that blobs come from --- */
static int64_t empty_read(void *arg, uint64_t off, void *p, size_t n, struct skf_err *e)
{
	static const char text[] = "{}";
	(void)arg, (void)e;
	n = n < sizeof(text) - 1 - off ? n : sizeof(text) - 1 - (size_t)off;
	memcpy(p, text + off, n);
	return (int64_t)n;
}

static int file_blob(struct image_from *f, const struct skf_desc *d, struct image_reader *ret,
		     struct skf_err *e)
{
	struct artifact *x = (struct artifact *)((char *)f - offsetof(struct artifact, from));
	for (size_t i = 0; i < x->n; i++)
		if (skf_digest_eq(&x->item[i + 1].desc.digest, &d->digest)) {
			struct image_region r = x->file[i];
			return image_reader_file(&r, ret, e);
		}
	*ret = (struct image_reader){empty_read, NULL, NULL};
	return 0;
}

static int to_packer(void *arg, const void *p, size_t n, struct skf_err *e)
{
	return skf_packer_write(arg, p, n, e);
}

static int add_file(struct artifact *x, size_t i, struct skf_err *e)
{
	const struct skf_pack_sink nowhere = {NULL, NULL};
	SKF_AUTO(skf_packer_freep) struct skf_packer *k = NULL;
	struct skf_packed got;
	struct stat st;
	if (fstat(x->file[i].fd, &st) < 0 || !S_ISREG(st.st_mode))
		return skf_fail(e, SKF_EINVALID, "'%.200s' is no regular file", x->title[i]);
	x->file[i].size = (uint64_t)st.st_size;
	if (skf_packer_new(SKF_COMP_NONE, -1, &nowhere, &k, e) < 0 ||
	    image_region_read(x->peer, &x->file[i], to_packer, k, e) < 0 || skf_packer_end(k, &got, e) < 0)
		return skf_ctx(e, "'%.200s'", x->title[i]);
	x->item[i + 1] = (struct image_item){.desc = {.media_type = (char *)(uintptr_t)x->media[i],
						      .digest = got.diff_id,
						      .size = x->file[i].size},
					     .old = got.diff_id,
					     .from = &x->from,
					     .fd = -EBADF};
	return 0;
}

/* --- the manifest --- */
static void put_desc(struct skf_jw *w, const char *type, const struct skf_digest *d, uint64_t size)
{
	skf_jw_kstr(w, "mediaType", type);
	skf_jw_kstr(w, "digest", d->s);
	skf_jw_ku64(w, "size", size);
}

static int put_annotations(struct artifact *x, struct skf_jw *w, struct skf_err *e)
{
	char now[36];
	skf_jw_kobj(w, "annotations");
	for (size_t i = 0; i < x->annotations.n; i++) {
		const char *word = x->annotations.v[i], *eq = strchr(word, '=');
		char *k = eq && eq != word ? skf_arena_dup(&x->a, word, (size_t)(eq - word)) : NULL;
		if (!k)
			return skf_fail(e, SKF_EINVALID, "annotation '%.200s': expected KEY=VALUE", word);
		skf_jw_kstr(w, k, eq + 1);
	}
	skf_time_rfc3339(skf_now_ns() / 1000000000 * 1000000000, now);
	skf_jw_kstr(w, "org.opencontainers.image.created", now);
	skf_jw_end(w);
	return 0;
}

static int write_manifest(struct artifact *x, struct skf_err *e)
{
	struct skf_jw w = SKF_JW(&x->doc.b);
	skf_jw_obj(&w);
	skf_jw_kint(&w, "schemaVersion", 2);
	skf_jw_kstr(&w, "mediaType", "application/vnd.oci.image.manifest.v1+json");
	skf_jw_kstr(&w, "artifactType", x->type);
	skf_jw_kobj(&w, "config");
	put_desc(&w, EMPTY_TYPE, &x->item[0].desc.digest, 2);
	skf_jw_kstr(&w, "data", "e30=");
	skf_jw_end(&w);
	skf_jw_karr(&w, "layers");
	for (size_t i = 0; i < x->n; i++) {
		skf_jw_obj(&w);
		put_desc(&w, x->media[i], &x->item[i + 1].desc.digest, x->item[i + 1].desc.size);
		skf_jw_kobj(&w, "annotations");
		skf_jw_kstr(&w, TITLE, x->title[i]);
		skf_jw_end(&w);
		skf_jw_end(&w);
	}
	if (!x->n) { /* image-spec: a manifest has at least one layer; an artifact of annotations only has
			the empty one */
		skf_jw_obj(&w);
		put_desc(&w, EMPTY_TYPE, &x->item[0].desc.digest, 2);
		skf_jw_kstr(&w, "data", "e30=");
		skf_jw_end(&w);
	}
	skf_jw_end_arr(&w);
	if (x->subject_doc.b.len) {
		skf_jw_kobj(&w, "subject");
		put_desc(&w, x->subject_doc.type, &x->subject_doc.digest, x->subject_doc.b.len);
		skf_jw_end(&w);
	}
	if (put_annotations(x, &w, e) < 0)
		return -1;
	skf_jw_end(&w);
	return image_doc_name(&x->doc, NULL, e) < 0 ? -1 : image_doc_kind(&x->doc, e);
}

static int find_subject(struct artifact *x, struct skf_err *e)
{
	struct image_from *f;
	if (!x->subject.name[0])
		return 0;
	if (image_from_open(x->peer, "", &x->subject, SKF_COPY_ALL, SKF_MEDIA_LAYER_TAR, &f, e) < 0)
		return skf_ctx(e, "subject");
	int r = f->ops->manifest(f, NULL, &x->subject_doc, e);
	image_from_free(f);
	return r < 0 ? skf_ctx(e, "subject") : 0;
}

static int run(struct artifact *x, struct skf_err *e)
{
	static const struct image_from_ops ops = {NULL, file_blob, NULL};
	const struct skf_strv none = {0};
	x->from.ops = &ops;
	x->item[0] = (struct image_item){.desc = {.media_type = (char *)(uintptr_t)EMPTY_TYPE, .size = 2},
					 .config = true,
					 .from = &x->from,
					 .fd = -EBADF};
	if (find_subject(x, e) < 0 || skf_unpack_sha256("{}", 2, &x->item[0].desc.digest, e) < 0)
		return -1;
	for (size_t i = 0; i < x->n; i++)
		if (add_file(x, i, e) < 0)
			return -1;
	if (write_manifest(x, e) < 0 || image_to_open(x->peer, "", &x->dest, &none, &x->from, &x->to, e) < 0)
		return -1;
	if (x->to->ops->blobs(x->to, x->item, x->n + 1, e) < 0 ||
	    x->to->ops->manifest(x->to, &x->doc, true, e) < 0)
		return -1;
	return x->to->ops->end(x->to, e);
}

static int get(struct artifact *x, struct skf_recr *q, struct skf_err *e)
{
	if (image_place_get(x->peer, &x->dest, q, e) < 0)
		return -1;
	x->type = skf_recr_str(q);
	if (image_place_get(x->peer, &x->subject, q, e) < 0)
		return -1;
	uint32_t n = skf_recr_u32(q);
	for (uint32_t i = 0; i < n && !q->bad; i++)
		if (skf_strv_add(&x->a, &x->annotations, skf_recr_str(q)) < 0)
			return skf_fail(e, SKF_ENOMEM, "annotations");
	n = skf_recr_u32(q);
	if (n > MAX_FILES)
		return skf_fail(e, SKF_ELIMIT, "an artifact is made of at most %d files, found %u",
				MAX_FILES, n);
	for (; x->n < n && !q->bad; x->n++) {
		x->title[x->n] = skf_recr_str(q);
		x->media[x->n] = skf_recr_str(q);
		uint32_t fd = skf_recr_u32(q);
		x->file[x->n] = (struct image_region){
			fd && fd <= x->peer->fds->n ? x->peer->fds->fd[fd - 1] : -1, false, 0, 0};
	}
	return q->bad ? skf_fail(e, SKF_EINVALID, "the request is cut short") : 0;
}

int image_serve_artifact(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
			 struct skf_err *e)
{
	struct artifact *x = calloc(1, sizeof(*x));
	struct image_watch w = {.peer = peer, .stop_fd = -EBADF};
	struct skf_rec r;
	if (!x)
		return skf_fail(e, SKF_ENOMEM, "artifact");
	x->peer = peer;
	x->a = (struct skf_arena)SKF_ARENA(SKF_MAX_ARENA_DOC);
	x->doc.b = x->subject_doc.b = (struct skf_buf)SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1);
	int rc = get(x, q, e) < 0 ? -1 : image_watch_start(&w, e);
	if (rc == 0)
		rc = run(x, e);
	image_watch_stop(&w);
	if (rc == 0) {
		skf_rec_begin(&r, answer, SKF_IMG_DONE, SKF_IMG_VERSION);
		for (int i = 0; i < 3; i++)
			skf_rec_str(&r, x->doc.digest.s);
		skf_rec_u32(&r, 0);
		skf_rec_end(&r);
	}
	image_to_free(x->to);
	for (size_t i = 0; i < SKF_ARRAY_LEN(x->item); i++)
		if (x->item[i].from)
			image_item_close(&x->item[i]);
	image_doc_done(&x->doc);
	image_doc_done(&x->subject_doc);
	skf_arena_done(&x->a);
	free(x);
	return rc;
}
