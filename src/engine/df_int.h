/* engine/df_int.h -- bytes on the disk below a directory. */
#pragma once
#include "engine/engine_int.h"

struct skf_du_seen;
struct skf_du {
	uint64_t disk;  /* bytes of allocated blocks; a file with several names counts once per struct skf_du
			 */
	uint64_t files; /* directory entries */
	bool partial;   /* something was deeper than SKF_MAX_TAR_DEPTH or could not be opened */
	struct skf_du_seen *seen; /* files with several names that were counted */
};
void skf_du_done(struct skf_du *u); /* a zeroed struct is fine */
/* Adds name (one component; "." is the directory itself) below dirfd and all that it holds. Nothing is
 * followed; what vanishes meanwhile is not counted. NOMEM. A missing name adds nothing. */
int skf_du_add(struct skf_du *u, int dirfd, const char *name, struct skf_err *e);
/* df_parts.c: fills ret->parts, ret->disk. */
int skf_df_parts(struct skf_engine *g, struct skf_arena *a, struct skf_df *ret, struct skf_err *e);
