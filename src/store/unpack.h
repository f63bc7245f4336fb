/* store/unpack.h -- one layer from compressed bytes to a sealed directory: hash, inflate, hash, tar, write,
 * in one pass over each byte (DESIGN 7.4). Linked by skiff-image only (libarchive, ISA-L or zlib, libzstd,
 * OpenSSL). Thread-safe: one struct per layer, each used by one thread at a time. T38-T47 are its enemies.
 * */
#pragma once
#include "base/fwd.h"
#include "oci/image.h"
#include "store/store.h"

struct skf_window_gate;
struct skf_unpack; /* a push parser: bytes in by skf_unpack_write, files out */
struct skf_unpack_opts {
	enum skf_media media;     /* how it is compressed; checked against the magic bytes */
	struct skf_digest digest; /* of the compressed bytes; "" not known beforehand */
	uint64_t size; /* of the compressed bytes, from the manifest; at most, when digest is "" */
	struct skf_digest diff_id;          /* of the tar, from the config; "" not known beforehand */
	volatile uint64_t *progress;        /* compressed bytes consumed; may be NULL */
	const struct skf_window_gate *gate; /* store/inflate.h; NULL: the layer is unpacked alone */
	/* Once the diff-id is known and before the layer stands under it: the place to put it into a lease.
	 * May be NULL. */
	int (*named)(void *arg, const struct skf_digest *diff_id, struct skf_err *e);
	void *arg;
};
struct skf_unpack_result {
	uint64_t size, inodes;    /* unpacked */
	uint64_t skipped_devices; /* device nodes that this user may not make (rootless) */
	uint64_t skipped_xattrs;  /* attributes that the file system cannot hold or this user may not set */
	struct skf_digest digest, diff_id;
	uint64_t packed;     /* compressed bytes */
	char no_record[200]; /* why the layer has no tar record (store/pack.h); "" it has one */
};
/* Makes layers/.tmp-<random>/tree beside the final name. */
int skf_unpack_new(struct skf_store *s, const struct skf_unpack_opts *o, struct skf_unpack **ret,
		   struct skf_err *e);
/* Consumes n compressed bytes. Fails: CORRUPT (format, more than size), INVALID (entry that climbs out,
 * unknown type), LIMIT (bomb, disk full). */
int skf_unpack_write(struct skf_unpack *u, const void *p, size_t n, struct skf_err *e);
/* End of input: digest, size and diff-id must match (CORRUPT "expected sha256:.., got ..."); writes the seal
 * (synced = this boot) and renames to layers/<hex>. An existing layer of that diff-id wins. */
int skf_unpack_finish(struct skf_unpack *u, struct skf_unpack_result *ret, struct skf_err *e);
void skf_unpack_free(struct skf_unpack *u); /* removes what is unfinished */
/* One syncfs of the store, then synced=yes in the seals of these layers. */
int skf_unpack_sync(struct skf_store *s, const struct skf_digest *diff_ids, size_t n, struct skf_err *e);
/* Recomputes a layer's listing against its seal: 0 good, CORRUPT names the first path that differs. */
int skf_unpack_verify(struct skf_store *s, const struct skf_digest *diff_id, struct skf_err *e);
/* A blob against its name: 0 good, CORRUPT, NOTFOUND. */
int skf_unpack_verify_blob(struct skf_store *s, const struct skf_digest *d, struct skf_err *e);
/* Whole-buffer sha256, for manifests and configs. */
int skf_unpack_sha256(const void *p, size_t n, struct skf_digest *ret, struct skf_err *e);
