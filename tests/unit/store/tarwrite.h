/* tests/unit/store/tarwrite.h -- a tar writer that writes what it is told, also what no tar would. */
#pragma once
#include "fixture.h"
#include "store/unpack_int.h"

struct tar {
	struct skf_buf b;
	unsigned mode, uid, gid; /* of the next entries; mode 0: a default by type */
	uint64_t mtime;
};
struct tar *tar_new(void);
void tar_free(struct tar *t);
void tar_header(struct tar *t, const char *name, char type, uint64_t size, const char *link, unsigned major,
		unsigned minor);
void tar_body(struct tar *t, const void *p, size_t n); /* padded */
void tar_file(struct tar *t, const char *name, const char *data);
void tar_dir(struct tar *t, const char *name);
void tar_sym(struct tar *t, const char *name, const char *target);
void tar_hard(struct tar *t, const char *name, const char *target);
void tar_node(struct tar *t, const char *name, char type, unsigned major, unsigned minor);
/* One pax header with the key; value of n bytes. Precedes the entry that it belongs to. */
void tar_pax(struct tar *t, const char *key, const void *value, size_t n);
void tar_end(struct tar *t);

struct up { /* one unpacking */
	struct fix *f;
	enum skf_media media;
	size_t chunk; /* bytes per write; 0: all */
	const struct skf_unpack_limits *lim;
	struct skf_digest digest, diff_id; /* filled from the data unless set */
	uint64_t size;                     /* same */
	struct skf_unpack_result res;
};
/* data: as on the wire; tar: what they unpack to, for the diff-id. */
int up_bytes(struct up *u, const void *data, size_t n, const void *tar, size_t n_tar);
/* Ends the tar, unpacks it uncompressed and frees it. */
int up_tar(struct fix *f, struct tar *t, struct skf_digest *diff_id);
int up_tar_lim(struct fix *f, struct tar *t, struct skf_digest *diff_id,
	       const struct skf_unpack_limits *lim);
/* What is in the layer. */
bool in_layer(struct fix *f, const struct skf_digest *d, const char *path, struct stat *st);
void layer_read(struct fix *f, const struct skf_digest *d, const char *path, char *out, size_t size);
