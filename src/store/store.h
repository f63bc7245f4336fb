/* store/store.h -- the image store: blobs, layers, image records, references, leases, collection (DESIGN 4,
 * docs/formats.md).
 *
 * No database; each object is a file or directory, written beside, (synced,) renamed. Lock order: ingest,
 * layer, store. Adding a reference takes locks/store shared for the moment of "check that it exists, write
 * the reference"; collection takes it exclusive only to mark and to rename garbage to trash/. A lease that
 * nobody holds locked is garbage. This library links neither OpenSSL nor libarchive: unpacking and hashing
 * live in store/unpack.h, which only skiff-image links. */
#pragma once
#include "base/fwd.h"
#include "base/json.h"
#include "oci/digest.h"
#include "oci/ref.h"

struct skf_store;
/* Opens (makes with create) the tree below root. INVALID when `format` is newer than ours, DENIED, SYSTEM.
 * */
int skf_store_open(const char *root, bool create, struct skf_store **ret, struct skf_err *e);
void skf_store_free(struct skf_store *s); /* NULL is fine */
SKF_UNUSED static inline void skf_store_freep(struct skf_store **s)
{
	skf_store_free(*s);
}
int skf_store_fd(const struct skf_store *s); /* root directory, borrowed */
const char *skf_store_root(const struct skf_store *s);

/* --- blobs --- */
/* 1 present, 0 absent, -1. */
int skf_store_blob_has(struct skf_store *s, const struct skf_digest *d, struct skf_err *e);
int skf_store_blob_open(struct skf_store *s, const struct skf_digest *d, int *ret_fd, uint64_t *ret_size,
			struct skf_err *e);
/* Whole small blob (manifest, config), at most max bytes. Not re-hashed: the store's own files are trusted
 * after they were sealed. */
int skf_store_blob_read(struct skf_store *s, const struct skf_digest *d, size_t max, struct skf_buf *ret,
			struct skf_err *e);
/* Small blob whose digest the caller has verified. Written beside and renamed; idempotent. */
int skf_store_blob_put(struct skf_store *s, const struct skf_digest *d, const void *p, size_t n,
		       struct skf_err *e);

/* --- layers --- */
struct skf_layer_info {
	struct skf_digest diff_id;
	uint64_t size, inodes;
	uint64_t tar_size; /* of the tar record; 0: the layer has none */
	bool synced;       /* "yes", or the running boot */
};
/* 1 usable (seal there, synced yes or this boot), 2 sealed in an earlier boot and not synced: verify or pull
 * again, 0 absent. */
int skf_store_layer_has(struct skf_store *s, const struct skf_digest *diff_id, struct skf_layer_info *ret,
			struct skf_err *e);
/* O_PATH directory fd of layers/<hex>/tree. NOTFOUND when not usable. */
int skf_store_layer_open(struct skf_store *s, const struct skf_digest *diff_id, int *ret_fd,
			 struct skf_err *e);

/* The layer is known to be damaged: not usable until it was verified or pulled again. A layer without a
 * readable seal is not usable anyway. */
int skf_store_layer_distrust(struct skf_store *s, const struct skf_digest *diff_id, struct skf_err *e);

/* --- image records and references --- */
struct skf_image_layer {
	struct skf_digest digest, diff_id;
	uint64_t size;
};
struct skf_image {
	struct skf_digest manifest, config;
	char *media_type, *platform, *created, *from;
	uint64_t size, unpacked;
	int64_t pulled_ns;
	struct skf_jarr layers; /* struct skf_image_layer, lowest first */
};
int skf_store_image_put(struct skf_store *s, const struct skf_image *i, struct skf_err *e);
struct skf_store_doc {
	const struct skf_digest *digest; /* of these bytes: the caller has verified it */
	const void *p;
	size_t n;
};
#define SKF_STORE_MAX_DOCS 4
/* skf_store_blob_put of each that is not there yet, and skf_store_image_put, with one wait for the disk for
 * all of their data and one for all names. A record that says the same but for the time of the pull stays,
 * and then nothing is written. */
int skf_store_image_put_with(struct skf_store *s, const struct skf_image *i,
			     const struct skf_store_doc *docs, size_t n_docs, struct skf_err *e);
int skf_store_image_get(struct skf_store *s, const struct skf_digest *manifest, struct skf_arena *a,
			struct skf_image **ret, struct skf_err *e);

struct skf_refrec {
	struct skf_ref ref; /* with tag, or digest reference */
	struct skf_digest top, manifest;
	int64_t updated_ns;
};
/* Checks under locks/store shared that record and layers exist, then writes refs/... (replaces). */
int skf_store_ref_set(struct skf_store *s, const struct skf_ref *ref, const struct skf_digest *top,
		      const struct skf_digest *manifest, struct skf_err *e);
/* find: 1 found, 0 absent. A reference with digest and no tag looks under _digests. */
int skf_store_ref_find(struct skf_store *s, const struct skf_ref *ref, struct skf_refrec *ret,
		       struct skf_err *e);
int skf_store_ref_remove(struct skf_store *s, const struct skf_ref *ref, struct skf_err *e); /* NOTFOUND */
/* All references, sorted by name; arena memory. ret: array of struct skf_refrec. */
int skf_store_ref_list(struct skf_store *s, struct skf_arena *a, struct skf_jarr *ret, struct skf_err *e);
/* The reference that keeps an image without a name (an import, a load): a digest of a repository that no
 * registry has. */
void skf_store_nameless(const struct skf_digest *manifest, struct skf_ref *ret);
bool skf_store_is_nameless(const struct skf_ref *ref);
/* What a user's word means: reference, "sha256:...", or a unique prefix (>= 1 hex digit) of an image id
 * (config digest). NOTFOUND "No such image: X", CONFLICT when a prefix is ambiguous. ret_ref->tag may be
 * empty when found by id. */
int skf_store_resolve(struct skf_store *s, const char *word, struct skf_arena *a, struct skf_image **ret,
		      struct skf_refrec *ret_ref, struct skf_err *e);

/* What else a word may mean that names no image as it stands (registries.conf): asked by skf_store_resolve,
 * which takes the first that is here. */
void skf_store_set_expand(struct skf_store *s,
			  int (*fn)(void *arg, const char *word, struct skf_strv *ret, struct skf_err *e),
			  void *arg);

/* --- containers as users of images (written by the engine) --- */
/* Runs fn under locks/store shared after checking that image and layers exist: the reference
 * (containers/<id>/config.json) is made inside fn. i NULL: only the lock. */
int skf_store_with_image(struct skf_store *s, const struct skf_image *i,
			 int (*fn)(void *arg, struct skf_err *e), void *arg, struct skf_err *e);

/* --- leases --- */
struct skf_lease;
int skf_lease_new(struct skf_store *s, struct skf_lease **ret, struct skf_err *e);
int skf_lease_add(struct skf_lease *l, const struct skf_digest *d,
		  struct skf_err *e);     /* appended before the object is used or made */
void skf_lease_free(struct skf_lease *l); /* removes the file, releases the lock */
/* Ingest: takes locks/ingest-<hex> (waits up to timeout_ms, an ingest lock may be held over network I/O) and
 * opens ingest/<hex>/. */
int skf_ingest_open(struct skf_store *s, const struct skf_digest *d, int timeout_ms, int *ret_lock,
		    int *ret_dirfd, struct skf_err *e);
/* Renames ingest/<hex>/data to blobs, or drops the directory. */
int skf_ingest_done(struct skf_store *s, const struct skf_digest *d, bool keep_blob, struct skf_err *e);

/* --- collection --- */
struct skf_gc_result {
	uint64_t n_blobs, n_layers, n_images, n_ingests, n_leases, bytes;
};
enum {
	SKF_GC_DRY = 1, /* only count */
	SKF_GC_KEEP_COPIES =
		4, /* mapped copies of layers that no container has now: for the next one with these maps */
	SKF_GC_KEEP_DOWNLOADS = 2 /* downloads that a dead pull left less than SKF_DOWNLOAD_KEEP_S ago: the
				     next pull goes on there */
};
/* Mark from refs, containers and live leases; sweep. Also empties trash/. */
int skf_store_gc(struct skf_store *s, unsigned flags, struct skf_gc_result *ret, struct skf_err *e);
/* rename into trash/ (same file system), then unlinked by gc or by skf_store_empty_trash. name: single
 * component below dirfd. */
int skf_store_to_trash(struct skf_store *s, int dirfd, const char *name, struct skf_err *e);
int skf_store_empty_trash(struct skf_store *s, struct skf_err *e);
