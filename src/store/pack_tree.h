/* store/pack_tree.h -- a tar being made of directory trees: what pack_tree.c (the walk) and pack_entry.c
 * (what one entry becomes) share. */
#pragma once
#include "base/arena.h"
#include "base/buf.h"
#include "store/unpack_int.h"
#include <sys/stat.h>

#define SKF_PACK_DATA_BYTES (256u << 10)

struct skf_pack_link {
	uint64_t dev, ino;
	const char *path;
};
struct skf_pack_tree {
	const struct skf_pack_sink *sink;
	struct skf_err *e;
	bool merged;
	const char *const *stubs;
	const struct skf_idmaps *ids; /* of the first directory's files; NULL: as they are */
	bool upper; /* the first directory of where the walk is belongs to the first of all */
	struct archive *ar;
	struct archive_entry *ae;
	struct skf_buf path;
	struct skf_arena a;          /* of links' paths */
	struct skf_pack_link *links; /* open addressing */
	size_t n_links, cap_links;
	char *data, *list;
};

/* Path of the entry that the walk is at, for messages too; "/" at the root. */
static inline const char *skf_pack_shown(const struct skf_pack_tree *t)
{
	return t->path.len ? t->path.p : "/";
}

/* --- pack_entry.c; all of them 0 or -1 with t->e --- */
int skf_pack_ar_fail(struct skf_pack_tree *t, const char *what); /* libarchive refused it; always -1 */
bool skf_pack_opaque(int fd);
/* A regular file; one that was replaced meanwhile is left out. */
int skf_pack_file(struct skf_pack_tree *t, int dir, const char *name);
int skf_pack_other(struct skf_pack_tree *t, int dir, const char *name, const struct stat *st);
/* A whiteout of name, or with the prefix of opaque directories and name "" the mark of this one. */
int skf_pack_mark(struct skf_pack_tree *t, const char *prefix, const char *name);
int skf_pack_dir(struct skf_pack_tree *t, int fd);
