/* store/unpack_int.h -- the inside of the unpacker.
 *
 * Theory of operation. Three threads per layer, each byte touched in order:
 *   caller's thread (unpack.c):  sha256 of the compressed bytes -> inflate into a block of the ring
 *   sum thread (unpack_sum.c):   ring -> sha256 of the tar, tar record; a layer of less than a block has
 *                                none, the caller's thread does its work
 *   tar thread (unpack_tar.c):   ring -> libarchive (format only, no copy: blocks are multiples of 512)
 *                                -> files (unpack_entry.c)
 * When the stream has ended well the tree is walked once (unpack_list.c): directories get their owner, mode
 * and times, and the listing is written. Nothing under layers/<hex> exists before that. */
#pragma once
#include "base/cleanup.h"
#include "base/err.h"
#include "base/limits.h"
#include "store/inflate.h"
#include "store/pack.h"
#include "store/store_int.h"
#include "store/tarscan.h"
#include "store/unpack.h"
#include <openssl/evp.h>
#include <pthread.h>
#include <sys/stat.h>
#include <time.h>

/* Bytes of one block of the ring: fits the second-level cache, multiple of 512. */
#define SKF_UNPACK_BLOCK  (256u << 10)
#define SKF_UNPACK_BLOCKS 8 /* 2 MiB between the threads */
/* Tar bytes before one entry's data: pax records, sparse map (T45). */
#define SKF_UNPACK_MAX_HEADER      (2u << 20)
#define SKF_UNPACK_MAX_ACL_BYTES   (16u << 20) /* default ACLs of directories, kept until the end */
#define SKF_UNPACK_ZSTD_WINDOW_LOG 25          /* SKF_MAX_ZSTD_WINDOW */

/* Limits in force; tests lower them. */
struct skf_unpack_limits {
	uint64_t entries, bytes, ratio, ratio_from;
	uint32_t header, depth, xattrs, xattr_bytes;
};

/* --- unpack_hash.c: digests; one context is used again and again (fetching an algorithm costs more than
 * hashing a small file) --- */
struct skf_hash {
	EVP_MD *md;
	EVP_MD_CTX *ctx;
	const char *algo; /* "sha256", "sha512" */
};
/* algo as d's; for SHA-256 pass NULL. */
int skf_hash_init(struct skf_hash *h, const struct skf_digest *d, struct skf_err *e);
void skf_hash_done(struct skf_hash *h);
int skf_hash_reset(struct skf_hash *h, struct skf_err *e);
int skf_hash_add(struct skf_hash *h, const void *p, size_t n, struct skf_err *e);
int skf_hash_end(struct skf_hash *h, struct skf_digest *ret,
		 struct skf_err *e);                                          /* then reset for the next */
int skf_hash_end_raw(struct skf_hash *h, uint8_t out[32], struct skf_err *e); /* SHA-256 only */
void skf_hash_hex(const uint8_t raw[32], char out[65]);

/* --- unpack_ring.c: blocks from the caller's thread to those that read them --- */
enum { SKF_RING_TAR, SKF_RING_SUM, SKF_RING_READERS };
struct skf_ring {
	pthread_mutex_t lock;
	pthread_cond_t filled, freed; /* for readers; for the producer */
	uint8_t *mem;
	size_t len[SKF_UNPACK_BLOCKS];
	uint64_t put, got[SKF_RING_READERS]; /* blocks handed over, blocks given back by each */
	bool reads[SKF_RING_READERS];
	bool ended, aborted, stopped; /* no more blocks; producer gave up; a reader gave up */
};
int skf_ring_init(struct skf_ring *r, struct skf_err *e);
void skf_ring_done(struct skf_ring *r);
void skf_ring_join(struct skf_ring *r, int reader); /* before its thread starts: all blocks from now on */
uint8_t *skf_ring_room(struct skf_ring *r);         /* waits for a free block; NULL when a reader gave up */
void skf_ring_put(struct skf_ring *r, size_t n);    /* the block of _room has n bytes */
void skf_ring_end(struct skf_ring *r, bool abort);
/* Waits for the next block; gives the previous one back (*ret; NULL at first). 1 a block, 0 end, -1 aborted.
 */
int skf_ring_get(struct skf_ring *r, int reader, const uint8_t **ret, size_t *n);
void skf_ring_stop(struct skf_ring *r);

/* --- unpack_name.c: pure --- */
enum skf_entry_kind {
	SKF_ENTRY_ROOT,
	SKF_ENTRY_PLAIN,
	SKF_ENTRY_WHITEOUT,
	SKF_ENTRY_OPAQUE,
	SKF_ENTRY_SKIP
};
struct skf_entry_name {
	enum skf_entry_kind kind;
	/* Cleaned: no leading '/', no empty, "." or ".." component; "" for the root. */
	char path[SKF_MAX_TAR_PATH];
	char *base; /* last component inside path; for a whiteout the name that it hides; "" for the root */
	char parent[SKF_MAX_TAR_PATH]; /* "" for the root */
};
/* INVALID (climbs out, reserved name), LIMIT (length, depth). */
int skf_entry_name_parse(const char *raw, uint32_t max_depth, struct skf_entry_name *ret, struct skf_err *e);

/* --- unpack_inode.c: what must be remembered of an inode until the walk; every inode of a layer is on one
 * file system --- */
enum {
	SKF_INO_FILE = 1,
	SKF_INO_DIR = 2,
	SKF_INO_XATTR = 4,
	SKF_INO_SPARSE = 8,
	SKF_INO_SEEN = 16,
	SKF_INO_META = 32,
	SKF_INO_CRC = 64 /* of a file: its digest is a checksum, not a SHA-256 */
};
struct skf_inode {
	uint64_t ino; /* 0: free slot */
	union {
		uint8_t sha[32];
		uint64_t crc;
		struct {
			struct timespec mtime;
			uint32_t uid, gid, mode;
		} dir;
	};
	uint32_t flags;
	uint32_t acl; /* index + 1 of a default ACL */
};
struct skf_acl {
	void *p;
	size_t n;
};
struct skf_inodes {
	struct skf_inode *v;
	size_t n, cap;
	struct skf_acl *acl;
	size_t n_acl, cap_acl, acl_bytes;
};
void skf_inodes_done(struct skf_inodes *t);
/* Finds or makes (zeroed). An inode number that came back after an unlink is the caller's to reset. NULL: no
 * memory. */
struct skf_inode *skf_inodes_get(struct skf_inodes *t, uint64_t ino);
struct skf_inode *skf_inodes_find(const struct skf_inodes *t, uint64_t ino);

/* --- unpack_meta.c --- */
struct skf_meta {
	uint32_t uid, gid, mode;
	struct timespec mtime;
};
/* Whether an extended attribute of an image is kept: security.capability, user.* but not user.overlay.*,
 * POSIX ACLs. */
bool skf_xattr_kept(const char *name);
/* Digest over the kept attributes that fd has (sorted names and values), plus trusted.overlay.opaque; 0
 * none, 1 some, -1. */
int skf_xattr_digest(int fd, struct skf_hash *h, uint8_t out[32], struct skf_err *e);
/* Overlay's mark of an opaque directory: trusted.*, or user.* where this process may not set trusted ones.
 * -errno. */
int skf_set_opaque(int fd);

/* --- the layer being made --- */
struct skf_tree {
	int root;   /* tree/ */
	int parent; /* directory of the entry placed last, O_PATH */
	char parent_path[SKF_MAX_TAR_PATH];
	struct skf_inodes inodes;
	struct skf_hash hash; /* of one file */
	bool crc; /* files get checksums: their bytes are the tar's, which has a SHA-256 (unpack_list.c) */
	uint64_t sum; /* ... of the file being written */
	struct skf_unpack_limits lim;
	uint64_t n_data,
		data_bytes; /* regular files with data and without holes: what a tar record must name too */
	uint64_t entries, bytes;
	uint64_t n_skipped_devices, n_skipped_xattrs;
	bool replaced; /* an entry took the place of another: the tar cannot be told from the tree */
	bool need_sha; /* the record does not vouch for the data: the listing has a SHA-256 for each file */
};
struct archive;
struct archive_entry;
int skf_tree_init(struct skf_tree *t, int *root_own, const struct skf_unpack_limits *lim, struct skf_err *e);
void skf_tree_done(struct skf_tree *t);
/* Places one entry; file data are read from ar. INVALID, LIMIT, CORRUPT, SYSTEM. */
int skf_tree_place(struct skf_tree *t, struct archive *ar, struct archive_entry *ae, struct skf_err *e);
/* --- unpack_dir.c --- */
/* nobody else works in this tree: one removal is enough unless something is badly wrong */
#define PLACE_TRIES 3
int skf_tree_count(struct skf_tree *t, const char *path, struct skf_err *e); /* one entry more; LIMIT */
bool skf_is_whiteout(const struct stat *st);
/* What has the name of an entry to be made goes. */
int skf_tree_replace(struct skf_tree *t, int parent, const char *name, const char *path, struct skf_err *e);
/* O_PATH or real fd of the parent, owned by t until the next call: consecutive entries mostly share it. */
int skf_tree_parent(struct skf_tree *t, const struct skf_entry_name *n, int *ret_fd, struct skf_err *e);
int skf_tree_place_root(struct skf_tree *t, struct archive_entry *ae, struct skf_err *e);
int skf_tree_place_dir(struct skf_tree *t, int parent, const struct skf_entry_name *n,
		       struct archive_entry *ae, struct skf_err *e);
int skf_tree_mark_opaque(struct skf_tree *t, int parent, const char *name, const char *path,
			 struct skf_err *e);
/* One xattr of an entry on an open file (unpack_meta.c). 1 set, 0 left out, -1. */
int skf_tree_set_xattr(struct skf_tree *t, int fd, const char *path, const char *name, const void *v,
		       size_t n, struct skf_err *e);
int skf_tree_file_meta(struct skf_tree *t, int fd, const struct stat *st, const struct skf_meta *m,
		       struct archive_entry *ae, const char *path, bool *ret_has_xattr, struct skf_err *e);
int skf_tree_dir_xattrs(struct skf_tree *t, int fd, struct archive_entry *ae, const char *path,
			bool *ret_any, struct skf_err *e);
int skf_tree_dir_finish(struct skf_tree *t, int fd, const struct skf_inode *i, const char *path,
			struct skf_err *e);
int skf_tree_link_meta(int parent, const char *name, const struct skf_meta *m, const char *path,
		       struct skf_err *e);
int skf_meta_of(struct archive_entry *ae, const char *path, struct skf_meta *ret, struct skf_err *e);
/* Error of placing 'path': full disks and quotas become one clear sentence. Always -1. */
int skf_tree_fail(struct skf_err *e, int r, const char *what, const char *path);
/* unpack_data.c: the data of a regular file. */
int skf_tree_write_data(struct skf_tree *t, struct archive *ar, int fd, const char *path, bool *ret_sparse,
			struct skf_err *e);
/* Digest of a file with holes: over the pages that are not all zero, each preceded by its offset. Reads data
 * only. */
int skf_sparse_digest(int fd, uint64_t size, struct skf_hash *h, uint8_t out[32], struct skf_err *e);

/* --- unpack_list.c --- */
struct skf_listing_result {
	struct skf_digest tree;
	uint64_t size, inodes;
	bool crc;
};
/* Finishes directories, walks the tree in order and writes the listing to out_fd. ret->crc: it has
 * checksums. */
int skf_tree_seal(struct skf_tree *t, int out_fd, struct skf_listing_result *ret, struct skf_err *e);

/* --- unpack_tar.c: the tar thread --- */
struct skf_tar_job {
	struct skf_ring *ring;
	struct skf_tree *tree;
	uint64_t got;       /* bytes taken from the ring */
	uint64_t header_at; /* ... when the header being read began */
	bool in_header;
	struct skf_err err; /* kind SKF_OK: everything was placed */
};
void *skf_tar_thread(void *job);

/* --- unpack_record.c: the tar record, written while the tar passes by (docs/formats.md) --- */
#define SKF_RECORD_NAME  "tar"
#define SKF_RECORD_MAGIC "SKFTAR1\n"
/* bytes of a tar that are no file data: 5 million entries of 1.6 KB */
#define SKF_RECORD_MAX_RAW    (8ull << 30)
#define SKF_RECORD_MAX_STORED (256ull << 20) /* the same, compressed */
enum { SKF_RECORD_END = 0, SKF_RECORD_BYTES = 1, SKF_RECORD_FILE = 2 };
struct ZSTD_CCtx_s;
struct skf_record {
	struct skf_tarscan scan;
	struct ZSTD_CCtx_s *z;
	struct skf_hash hash; /* of the stored bytes */
	struct skf_buf raw;   /* bytes of the tar that wait to be written as one piece */
	uint8_t *out;
	size_t out_fill;
	int dir, fd; /* of the layer, borrowed; of the record */
	uint64_t n_raw, n_stored;
	uint64_t n_files, file_bytes; /* entries whose data are the tree's, and those data */
	bool took;                    /* data of an entry went into the record */
	bool gone;                    /* why says why there is none */
	char why[200];
};
int skf_record_begin(struct skf_record *r, int dir, struct skf_err *e);
/* -1: the disk. A tar that cannot be recorded ends the record, not the layer. */
int skf_record_feed(struct skf_record *r, const uint8_t *p, size_t n, struct skf_err *e);
/* End of the tar; ret gets the digest of the record ("" when there is none). */
int skf_record_end(struct skf_record *r, struct skf_digest *ret, struct skf_err *e);
int skf_record_drop(struct skf_record *r, const char *why, struct skf_err *e); /* there will be none */
void skf_record_done(struct skf_record *r);
/* The stored record of a layer against its seal; a layer without one is fine. CORRUPT. */
int skf_record_check(int layer_fd, const struct skf_seal *seal, struct skf_hash *h, struct skf_err *e);

/* pack.c: tree and record of the layer still make the tar whose SHA-256 the diff-id is. CORRUPT. */
int skf_pack_check(int layer_fd, const struct skf_digest *diff_id, struct skf_seal *seal, struct skf_err *e);

/* --- crc64.c: CRC-64/XZ (ECMA-182, reflected) over p, going on from crc; 0 at the start --- */
uint64_t skf_crc64(uint64_t crc, const void *p, size_t n);
uint64_t skf_crc64_iso(uint64_t crc, const void *p, size_t n); /* CRC-64/GO-ISO, which tar-split uses */
/* Whether it is fast enough here to be worth more than a SHA-256. */
bool skf_crc64_fast(void);

/* --- unpack_sum.c: the sum thread --- */
struct skf_sum_job {
	struct skf_ring *ring;
	struct skf_hash hash; /* of the tar */
	struct skf_record *rec;
	struct skf_err err; /* kind SKF_OK: every block was taken */
};
int skf_sum_block(struct skf_sum_job *j, const uint8_t *p, size_t n, struct skf_err *e);
void *skf_sum_thread(void *job);

/* --- chunked_entry.c --- */
/* The members of an entry of zstd:chunked's list, without the place of its data. False: the list cannot say
 * it. */
bool skf_chunked_describe(struct skf_jw *w, const struct skf_tar_entry *t);
void skf_chunked_base64(struct skf_buf *b, const void *p, size_t n);

struct skf_unpack {
	struct skf_store *s;
	struct skf_unpack_opts o;
	char tmp[sizeof(SKF_STORE_TMP) + 32];
	int layers, dir, lock; /* layers/, layers/.tmp-*, its lock */
	struct skf_hash hash_in;
	struct skf_inflate *inf;
	uint8_t magic[4];
	unsigned n_magic;
	struct skf_ring ring;
	uint8_t *block;
	size_t fill;
	uint64_t n_in, n_tar;
	struct skf_tree tree;
	struct skf_tar_job job;
	struct skf_sum_job sum;
	struct skf_record rec;
	struct skf_digest rec_digest;
	char what[SKF_DIGEST_MAX];    /* for messages */
	bool any_digest, any_diff_id; /* nobody knows them before the end */
	pthread_t tar_thread, sum_thread;
	bool tar_runs, sum_runs;
	bool failed, replaced; /* replaced: a damaged layer went to the trash for this one */
};
/* Lower limits than base/limits.h has, before the first write. */
void skf_unpack_set_limits(struct skf_unpack *u, const struct skf_unpack_limits *lim);
extern const struct skf_unpack_limits skf_unpack_default_limits;
