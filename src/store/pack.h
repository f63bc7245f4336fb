/* store/pack.h -- layers out: the tar of an unpacked layer again, bit for bit, and new layers from directory
 * trees.
 *
 * A layer whose tar the scanner understood has a record (tarscan.h, docs/formats.md "tar record"): all bytes
 * of the tar that are not file data, and which file's data goes where. Record and tree give the tar whose
 * digest is the diff-id, whatever its algorithm. A layer without a record is written as a canonical tar of
 * its tree, whose diff-id is another one. Linked by skiff-image only. Blocks on the disk and in the sink. */
#pragma once
#include "base/fwd.h"
#include "oci/digest.h"
#include "oci/idmaps.h"
#include "store/store.h"

enum skf_compression { SKF_COMP_UNKNOWN = 0, SKF_COMP_NONE, SKF_COMP_GZIP, SKF_COMP_ZSTD };

/* Gets every byte once, in order. -1 with e set ends the packing. */
struct skf_pack_sink {
	int (*write)(void *arg, const void *p, size_t n, struct skf_err *e);
	void *arg;
};

/* Writes the layer's tar, compressed by c, to the sink (NULL: only computes); digest and size are of what
 * the sink got. level: of the compressor, -1 its default; deterministic for one release of the libraries. 0
 * when the tar is the original, checked against the diff-id at the end: after CORRUPT the sink's bytes are
 * worthless. 1 when there is no record and the tar is a canonical one of the same content (skf_pack_layer_as
 * tells its diff-id). NOTFOUND: no such layer. CORRUPT: tree and record do not give the diff-id. */
int skf_pack_layer(struct skf_store *s, const struct skf_digest *diff_id, enum skf_compression c, int level,
		   const struct skf_pack_sink *sink, struct skf_digest *ret_digest, uint64_t *ret_size,
		   struct skf_err *e);

struct skf_packed {
	struct skf_digest digest, diff_id; /* diff_id: of the tar that was written */
	uint64_t size;
	bool exact; /* diff_id is the layer's own */
};
int skf_pack_layer_as(struct skf_store *s, const struct skf_digest *diff_id, enum skf_compression c,
		      int level, const struct skf_pack_sink *sink, struct skf_packed *ret,
		      struct skf_err *e);
/* Digest and size of the uncompressed tar without reading the files where a record says them; else by
 * packing to nowhere. */
int skf_pack_layer_plan(struct skf_store *s, const struct skf_digest *diff_id, struct skf_packed *ret,
			struct skf_err *e);

/* --- a compressing, counting, hashing stage: also for bytes that are no layer --- */
/* Digests are sha256; _like: of the algorithm of `like`. */
struct skf_packer;
int skf_packer_new_like(enum skf_compression c, int level, const struct skf_pack_sink *sink,
			const struct skf_digest *like, struct skf_packer **ret, struct skf_err *e);
int skf_packer_new(enum skf_compression c, int level, const struct skf_pack_sink *sink,
		   struct skf_packer **ret, struct skf_err *e);
int skf_packer_write(struct skf_packer *p, const void *d, size_t n, struct skf_err *e);
/* diff_id: of what was written, digest and size: of what the sink got. */
int skf_packer_end(struct skf_packer *p, struct skf_packed *ret, struct skf_err *e);
void skf_packer_free(struct skf_packer *p);
SKF_UNUSED static inline void skf_packer_freep(struct skf_packer **p)
{
	skf_packer_free(*p);
}

/* --- zstd:chunked (chunked.c): the same for layers that readers may fetch in part --- */
struct skf_chunked;
struct skf_chunked_notes { /* what the layer's annotations have to say; all "" when it is a plain zstd layer,
			      why says why */
	char checksum[SKF_DIGEST_MAX], position[96], tarsplit[80], why[160];
};
/* The diff-id is of the algorithm of `like` (NULL: sha256), the rest sha256: what reads the notes knows
 * that. */
int skf_chunked_new(int level, const struct skf_pack_sink *sink, const struct skf_digest *like,
		    struct skf_chunked **ret, struct skf_err *e);
int skf_chunked_write(struct skf_chunked *c, const void *d, size_t n, struct skf_err *e);
int skf_chunked_end(struct skf_chunked *c, struct skf_packed *ret, struct skf_chunked_notes *notes,
		    struct skf_err *e);
void skf_chunked_free(struct skf_chunked *c);
SKF_UNUSED static inline void skf_chunked_freep(struct skf_chunked **c)
{
	skf_chunked_free(*c);
}

/* --- tars from directory trees (pack_tree.c) --- */
/* One directory as a layer: overlay's whiteouts (character device 0/0) become .wh.NAME, opaque directories
 * get .wh..wh..opq; owners, modes, times, kept attributes and hard links as they are; names in byte order;
 * sockets are left out. The tree may be in use: a file that changes is written with the size that it had
 * when it was opened. stubs (NULL-terminated, may be NULL): paths without a leading slash that are left out
 * when they are empty files. ids: of a container in a user namespace, whose tree it is: owners and file
 * capabilities are written as the container sees them; NULL. UNSUPPORTED: an overlay feature that no layer
 * can say (redirected directories, metadata-only copies). */
int skf_pack_tree(int dirfd, const char *const *stubs, const struct skf_idmaps *ids,
		  const struct skf_pack_sink *sink, struct skf_err *e);
/* n directories, top first, as overlay merges them: one flat tar without whiteouts. stubs: as above, NULL.
 * ids: of the first. */
int skf_pack_merged(const int *dirfds, size_t n, const char *const *stubs, const struct skf_idmaps *ids,
		    const struct skf_pack_sink *sink, struct skf_err *e);
