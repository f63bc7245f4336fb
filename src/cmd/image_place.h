/* cmd/image_place.h -- copying images: places that they are read from and written to, behind two tables of
 * functions (registry/wire.h enum skf_img_place).
 *
 * A place to read from gives manifests by digest and blobs as readers; one to write to takes a list of blobs
 * and then manifests, the top one last. Nothing here holds a blob in memory; a blob whose compression
 * changes goes through a file without a name in the store's file system. */
#pragma once
#include "cmd/image_archive.h"
#include "oci/ref.h"

struct image_place {
	uint32_t kind; /* enum skf_img_place */
	const char *name;
	int fd; /* borrowed; -1 none */
	struct image_how how;
};
/* A manifest or index with the name of its bytes. */
struct image_doc {
	struct skf_buf b;
	char type[128]; /* media type; never "" once image_doc_kind was called */
	struct skf_digest digest;
	enum skf_media kind;
};
/* dir: places name sha256 blobs by their hex digits alone, others as containers/image does */
#define SKF_DIR_SHA512 "sha512-"
#define IMAGE_DOC                                                                                           \
	{                                                                                                   \
		.b = SKF_BUF(SKF_MAX_MANIFEST_BYTES + 1)                                                    \
	}
void image_doc_done(struct image_doc *d);
/* Sets kind and type from bytes and what was told of them. */
int image_doc_kind(struct image_doc *d, struct skf_err *e);
/* The digest of the bytes, by the algorithm of `like`; NULL: sha256. */
int image_doc_name(struct image_doc *d, const struct skf_digest *like, struct skf_err *e);

/* --- readers of blobs (image_item.c) --- */
struct image_reader {
	/* At most n of the bytes at off; 0 < return, -1. Never asked behind the blob's end. */
	int64_t (*read)(void *arg, uint64_t off, void *p, size_t n, struct skf_err *e);
	void (*close)(void *arg);
	void *arg;
};
/* Bytes [off, ...) of a file; fd is consumed when own. */
int image_reader_file(struct image_region *region_own, struct image_reader *ret, struct skf_err *e);

/* --- where from --- */
struct image_from;
struct image_from_ops {
	/* d NULL: the top one, as the place's name says. */
	int (*manifest)(struct image_from *x, const struct skf_digest *d, struct image_doc *ret,
			struct skf_err *e);
	/* Called from several threads. */
	int (*blob)(struct image_from *x, const struct skf_desc *d, struct image_reader *ret,
		    struct skf_err *e);
	void (*free)(struct image_from *x); /* the parts of its own */
};
struct image_from {
	const struct image_from_ops *ops;
	const struct image_peer *peer;
	const struct image_place *place;
	struct skf_store *store; /* owned */
	struct image_src *src;   /* archives and directories; owned */
	struct skf_arena a;
	struct skf_ref ref;     /* of a registry, else empty: blobs can be mounted from there */
	bool all, preserve;     /* as asked for */
	bool made;              /* the manifest was made here: its compression binds nobody */
	enum skf_media pack_as; /* how layers of the store are packed that it did not keep */
};
/* root: of the store. Blocks: network, disk. */
int image_from_open(const struct image_peer *peer, const char *root, const struct image_place *p,
		    uint32_t flags, enum skf_media pack_as, struct image_from **ret, struct skf_err *e);
void image_from_free(struct image_from *x);
/* Makers of the kinds that have a file of their own. */
int image_from_store(struct image_from **x, struct skf_err *e);
int image_from_docker(struct image_from **x, struct skf_err *e);
int image_from_list(struct image_from **x, struct skf_err *e);
/* A place out of a request. */
int image_place_get(const struct image_peer *peer, struct image_place *p, struct skf_recr *q,
		    struct skf_err *e);
int image_serve_artifact(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
			 struct skf_err *e);
int image_serve_describe(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
			 struct skf_err *e);
/* A small blob, checked against its digest. */
int image_from_small(struct image_from *x, const struct skf_desc *d, size_t max, struct skf_buf *ret,
		     struct skf_err *e);

/* --- blobs on their way (image_item.c) --- */
struct image_item {
	struct skf_desc desc;      /* as it arrives */
	struct skf_digest old;     /* as it leaves */
	struct skf_digest diff_id; /* of a layer of a container image; "" */
	bool config;
	enum skf_compression squeeze;   /* UNKNOWN: as it is */
	struct skf_chunked_notes notes; /* of a converted layer */
	struct image_from *from;
	struct image_reader rd; /* opened by the first read */
	int fd;                 /* converted bytes, without a name; -EBADF */
};
int64_t image_item_read(void *item, uint64_t off, void *p, size_t n, struct skf_err *e);
void image_item_close(struct image_item *i);
/* All bytes in order; CORRUPT when they are not what the descriptor says. */
int image_item_pour(struct image_item *i,
		    int (*write)(void *arg, const void *p, size_t n, struct skf_err *e), void *arg,
		    struct skf_err *e);
/* fn for each, at most `threads` at a time; the first failure stops the rest. */
int image_items_each(struct image_item *v, size_t n, unsigned threads,
		     int (*fn)(struct image_item *i, void *arg, struct skf_err *e), void *arg,
		     struct skf_err *e);

/* --- where to --- */
struct image_to;
struct image_to_ops {
	int (*blobs)(struct image_to *x, struct image_item *v, size_t n, struct skf_err *e);
	/* top: what the place's name will mean. */
	int (*manifest)(struct image_to *x, const struct image_doc *d, bool top, struct skf_err *e);
	int (*end)(struct image_to *x, struct skf_err *e);
	void (*free)(struct image_to *x);
};
struct image_to {
	const struct image_to_ops *ops;
	const struct image_peer *peer;
	const struct image_place *place;
	const char *root;
	struct skf_arena a;
	struct skf_strv tags;    /* more names of the top */
	struct image_from *from; /* borrowed */
	struct skf_ref ref;      /* of a registry or the store */
};
int image_to_open(const struct image_peer *peer, const char *root, const struct image_place *p,
		  const struct skf_strv *tags, struct image_from *from, struct image_to **ret,
		  struct skf_err *e);
void image_to_free(struct image_to *x);
int image_to_registry(struct image_to **x, struct skf_err *e);
int image_to_store(struct image_to **x, struct skf_err *e);
int image_to_files(struct image_to **x, struct skf_err *e);
int image_to_docker(struct image_to **x, struct skf_err *e);

/* --- image_daemon.c: docker's daemon over its socket --- */
struct image_daemon; /* a transfer under way in a thread; fd is its pipe */
/* GET /images/NAME/get: *ret_fd (borrowed) is read from. */
int image_daemon_get(const struct image_peer *peer, const char *socket, const char *name,
		     struct image_daemon **ret, int *ret_fd, struct skf_err *e);
/* POST /images/load: *ret_fd (borrowed) is written to. */
int image_daemon_load(const struct image_peer *peer, const char *socket, struct image_daemon **ret,
		      int *ret_fd, struct skf_err *e);
/* Waits for its end: the daemon's answer. failed: the other side of the pipe has failed, do not wait for
 * more. Frees. NULL is fine. */
int image_daemon_end(struct image_daemon *d, bool failed, struct skf_err *e);

/* --- image_docker.c: manifest.json of docker's archives --- */
struct image_docker_entry {
	char *config;
	struct skf_strv tags, layers;
};
/* Entries into *ret; 1, 0 the archive has none, -1. */
int image_docker_read(struct image_src *src, struct skf_arena *a, struct skf_jarr *ret, struct skf_err *e);

/* --- image_convert.c --- */
/* What is to become of the layers of one manifest, and of the manifest itself. */
struct image_wish {
	uint32_t as;         /* enum skf_img_as */
	uint32_t squeeze;    /* enum skf_img_squeeze */
	int level;           /* -1: the compressor's default */
	bool compress_plain; /* uncompressed layers become gzip */
};
/* How a layer of this type goes: UNKNOWN as it is. */
enum skf_compression image_wish_layer(const struct image_wish *w, const struct skf_desc *d);
/* Is the document of the other family? */
bool image_wish_retype(const struct image_wish *w, const char *type);
/* The bytes of i, compressed as i->squeeze says, into i->fd; desc gets what they are now. tmp: a directory.
 */
int image_convert_item(struct image_item *i, const struct image_peer *peer, int tmp,
		       const struct image_wish *w, struct skf_arena *a, struct skf_err *e);
/* Manifest: items that changed get their new digests, and all media types the family of w. */
int image_convert_manifest(struct image_doc *d, const struct image_wish *w, const struct image_item *v,
			   size_t n, struct skf_err *e);
/* Index: entry old becomes now, of media type `type`. */
struct image_moved {
	struct skf_digest old, now;
	uint64_t size;
	char type[128];
};
int image_convert_index(struct image_doc *d, const struct image_wish *w, const struct image_moved *v,
			size_t n, struct skf_err *e);

/* --- image_yaml.c --- */
int image_serve_yaml(const struct image_peer *peer, struct skf_recr *q, struct skf_buf *answer,
		     struct skf_err *e);
