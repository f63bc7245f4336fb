/* cmd/image_archive.h -- what the files of skiff-image that move images between the store and archives
 * share. */
#pragma once
#include "base/arena.h"
#include "cmd/image_int.h"
#include "store/pack.h"
#include "store/unpack.h"

/* --- image_source.c: an archive or directory as named pieces of bytes --- */
struct image_src;
struct image_region {
	int fd; /* owned when own */
	bool own;
	uint64_t off, size;
};
void image_region_done(struct image_region *r);
/* fd (borrowed): a directory, or a file or pipe with a tar, also compressed by gzip, zstd, xz or bzip2. What
 * cannot be read in place is copied to a file without a name in the store. INVALID, CORRUPT, LIMIT. */
int image_src_open(const struct image_peer *peer, struct skf_store *s, int fd, struct image_src **ret,
		   struct skf_err *e);
void image_src_free(struct image_src *x);
SKF_UNUSED static inline void image_src_freep(struct image_src **x)
{
	image_src_free(*x);
}
/* 1 found, 0 not, -1. Links of the archive are followed inside of it. */
int image_src_find(struct image_src *x, const char *name, struct image_region *ret, struct skf_err *e);
/* A whole small file; 1, 0, -1. LIMIT when it has more than max bytes. */
int image_src_small(struct image_src *x, const char *name, size_t max, struct skf_buf *b, struct skf_err *e);
/* Calls write with all bytes of the region; ends with UNAVAILABLE when the peer has gone. */
int image_region_read(const struct image_peer *peer, const struct image_region *r,
		      int (*write)(void *arg, const void *p, size_t n, struct skf_err *e), void *arg,
		      struct skf_err *e);
/* Do these first bytes belong to a compression that only libarchive reads (bzip2, xz)? Pure. */
bool image_is_filtered(const uint8_t *p, size_t n);
/* fd's bytes, decompressed from whatever they are, to write. *ret_in: bytes read. */
int image_stream_read(const struct image_peer *peer, int fd,
		      int (*write)(void *arg, const void *p, size_t n, struct skf_err *e), void *arg,
		      struct skf_err *e);
/* -1 with UNAVAILABLE once the peer has gone. */
int image_check_cancel(const struct image_peer *peer, struct skf_err *e);

/* --- image_out.c: a directory or tar being written --- */
struct image_out {
	const struct image_peer *peer;
	int fd; /* borrowed */
	bool dir;
	int file; /* of a directory: being written */
	char name[160];
	uint64_t left, size;
	struct skf_arena *a;
	struct skf_strv done; /* names written */
};
int image_out_init(struct image_out *o, const struct image_peer *peer, int fd, struct skf_arena *a,
		   struct skf_err *e);
/* The directories of blobs of an OCI layout. */
int image_out_layout(struct image_out *o, struct skf_err *e);
/* Removes the file that was begun and not ended. */
void image_out_drop(struct image_out *o);
bool image_out_has(const struct image_out *o, const char *name);
int image_out_begin(struct image_out *o, const char *name, uint64_t size, struct skf_err *e);
int image_out_write(void *o, const void *p, size_t n, struct skf_err *e);
int image_out_end(struct image_out *o, struct skf_err *e);
int image_out_small(struct image_out *o, const char *name, const struct skf_buf *b, struct skf_err *e);
int image_out_finish(struct image_out *o, struct skf_err *e);

/* --- image_make.c: documents and records --- */
struct image_new {
	struct skf_store *s;
	struct skf_lease *lease;
	struct skf_arena *a;
	const struct skf_digest *manifest, *config;
	const char *media_type, *created, *from;
	const struct skf_platform *platform;
	const struct skf_image_layer *layers;
	size_t n;
};
/* Writes the record of an image whose manifest, config and layers are in the store, and its references:
 * names (full or familiar); without any, the nameless one. top: what the names stand for. */
int image_record(const struct image_new *i, const struct skf_digest *top, const struct skf_strv *names,
		 struct skf_err *e);
/* sha256 of b, named in the lease, put into the blobs. */
int image_keep_doc(struct skf_store *s, struct skf_lease *l, const struct skf_buf *b, struct skf_digest *ret,
		   struct skf_err *e);
#define SKF_OCI_MANIFEST    "application/vnd.oci.image.manifest.v1+json"
#define SKF_DOCKER_MANIFEST "application/vnd.docker.distribution.manifest.v2+json"
/* A manifest of this type over a config and layers of compression c. annotations: NULL, none. */
void image_write_manifest(struct skf_buf *b, const char *type, const struct skf_digest *config,
			  uint64_t config_size, const struct skf_image_layer *layers, size_t n,
			  enum skf_compression c, const struct skf_kvs *annotations);

/* --- image_container.c: the files of containers --- */
/* containers/<id>/<name> of the store, and the container's id maps: 1 *ids has them, 0 it has none, -1. */
int image_container_dir(struct skf_store *s, struct skf_arena *a, const char *id, const char *name,
			struct skf_idmaps *ids, int *ret_fd, struct skf_err *e);
extern const char *const image_container_stubs[]; /* of skf_pack_tree */
int image_serve_changes(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
			struct skf_err *e);
int image_serve_apply(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		      struct skf_err *e);
int image_serve_squeeze(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
			struct skf_err *e);
int image_serve_load(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		     struct skf_err *e);
int image_serve_save(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		     struct skf_err *e);
int image_serve_import(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		       struct skf_err *e);
int image_serve_commit(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		       struct skf_err *e);
int image_serve_export(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		       struct skf_err *e);
