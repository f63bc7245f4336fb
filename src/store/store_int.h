/* store/store_int.h -- what the files of this folder share. Lock order: ingest, layer, store. */
#pragma once
#include "base/cleanup.h"
#include "store/store.h"

#define SKF_STORE_FORMAT 1 /* the layout of docs/formats.md */
#define SKF_SEAL_FORMAT  2 /* 2: the listing has checksums where the tar record vouches for the data */
/* locks/store and locks/layer-*: nobody holds them over more than a few renames. */
#define SKF_STORE_LOCK_MS 30000
#define SKF_STORE_TMP     ".tmp-" /* begins the name of whatever is not yet an object */

struct skf_store {
	char *root; /* as given, for messages */
	int fd;     /* root directory, O_RDONLY */
	int (*expand)(void *arg, const char *word, struct skf_strv *ret, struct skf_err *e); /* NULL */
	void *expand_arg;
};

/* The digest is one ("" and malformed strings never become a path). INVALID. */
int skf_store_check_digest(const struct skf_digest *d, struct skf_err *e);
/* Directory below the root, O_RDONLY|O_DIRECTORY. SYSTEM, NOTFOUND. */
int skf_store_dir(struct skf_store *s, const char *path, int *ret_fd, struct skf_err *e);
/* Directory of blobs of d's algorithm. */
int skf_store_blob_dir(struct skf_store *s, const struct skf_digest *d, int *ret_fd, struct skf_err *e);
/* locks/store, shared for adding a reference, exclusive for marking. Waits up to SKF_STORE_LOCK_MS. TIMEOUT.
 * */
int skf_store_lock(struct skf_store *s, bool exclusive, int *ret_lock, struct skf_err *e);
/* locks/layer-<hex>, exclusive: replacing the directory of a layer. Order: before locks/store. */
int skf_store_lock_layer(struct skf_store *s, const struct skf_digest *diff_id, int *ret_lock,
			 struct skf_err *e);
/* Image record and all of its layers are there and usable; NOTFOUND names what is not. The caller holds
 * locks/store. */
int skf_store_image_check(struct skf_store *s, const struct skf_image *i, struct skf_err *e);
/* Decoder of a digest string for tables: dst [struct skf_digest]. */
int skf_store_j_digest(struct skf_jctx *c, struct json_object *v, void *dst, const void *arg);
/* Version members "v" and "min", first in every table of ours. */
struct skf_store_ver {
	uint32_t v, min;
};
/* known: the version that this skiff reads. */
int skf_store_check_ver(struct skf_jctx *c, const struct skf_store_ver *v, uint32_t known);
/* Seal of a layer, as in docs/formats.md. */
struct skf_seal {
	struct skf_store_ver ver;
	struct skf_digest diff_id, tree, files;
	struct skf_digest record; /* of the tar record; "" none (an older layer, or a tar that could not be
				     recorded) */
	uint64_t size, inodes, tar_size;
	char *synced;
};
int skf_store_seal_read(int layer_fd, struct skf_arena *a, struct skf_seal **ret, struct skf_err *e);
/* Rewrites "synced" of a layer's seal; the file keeps whatever else is in it. CORRUPT when the seal is not
 * one. */
int skf_store_seal_set_synced(struct skf_store *s, const struct skf_digest *diff_id, const char *value,
			      struct skf_err *e);
/* Members that a newer version wrote into an object of ours and that `known` does not have, as "key": raw
 * JSON pairs; kept when the object is rewritten (docs/formats.md). */
int skf_store_unknown(const char *name, const char *text, size_t n, const struct skf_jtable *known,
		      struct skf_arena *a, struct skf_kvs *ret, struct skf_err *e);
/* Calls fn for each name of a directory but "." and ".."; stops at the first failure. A missing directory
 * has no names. */
int skf_store_each(int dirfd, const char *path,
		   int (*fn)(void *arg, int dirfd, const char *name, struct skf_err *e), void *arg,
		   struct skf_err *e);
