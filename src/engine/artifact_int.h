/* engine/artifact_int.h -- the layout of the artifacts, open. */
#pragma once
#include "engine/engine_int.h"
#include "oci/image.h"

struct skf_art {
	struct skf_engine *g;
	int dir, lock;     /* <root>/artifacts; locks/artifacts when it is to change */
	int tmp, tmp_lock; /* a layout of one's own for what is on its way */
	char tmp_name[32], lock_name[32];
	struct skf_index *index;
	struct skf_arena a;
};
/* change: locked against others until skf_art_done. x is initialised whatever happens. */
int skf_art_open(struct skf_engine *g, bool change, struct skf_art *x, struct skf_err *e);
void skf_art_done(struct skf_art *x);
int skf_art_begin(struct skf_art *x, struct skf_err *e);
/* Moves what stands in tmp into the layout, under `name`. */
int skf_art_commit(struct skf_art *x, const char *name, struct skf_err *e);
/* By name, or by at least six digits of the digest. NOTFOUND, CONFLICT. */
int skf_art_find(struct skf_art *x, const char *word, const struct skf_desc **ret, struct skf_err *e);
const char *skf_art_name(const struct skf_desc *d); /* "" none */
int skf_art_manifest(struct skf_art *x, const struct skf_desc *d, struct skf_buf *b,
		     struct skf_manifest **ret, struct skf_err *e);
int skf_art_blob(struct skf_art *x, const struct skf_digest *d, int *ret_fd, struct skf_err *e);
