/* oci/mountopt.h -- mount options of the runtime-spec (the 37 MUST, the recursive ones, propagation) to
 * kernel flags. One table. */
#pragma once
#include "base/fwd.h"
#include "base/json.h"

struct skf_mountopts {
	unsigned long flags;       /* MS_* to set (MS_BIND and MS_REC from bind/rbind included) */
	unsigned long clear;       /* MS_* explicitly cleared ("rw", "exec", ...) */
	unsigned long propagation; /* MS_SHARED ... [| MS_REC], 0 none */
	uint64_t attr_rec_set,
		attr_rec_clr; /* MOUNT_ATTR_* of r* options, to be applied with AT_RECURSIVE */
	bool idmap, ridmap, tmpcopyup, copy_symlink, src_nofollow, dest_nofollow;
	char *idmap_spec; /* "idmap=uids=..." (crun), NULL */
	char *data;       /* the unknown options, comma-joined: file-system data; "" when none */
};
/* Arena memory for data. INVALID for contradictory or malformed options. */
int skf_mountopts_parse(const struct skf_strv *options, struct skf_arena *a, struct skf_mountopts *ret,
			struct skf_err *e);
/* The mappings of `idmap_spec` as arrays of struct skf_idmap in arena memory; a kind that is not named is
 * empty. '@' entries are taken through the container's own mappings. INVALID in crun's words, LIMIT above
 * SKF_MAX_IDMAPS. crun(1) "idmap mount options". */
int skf_mountopts_idmap(const char *spec, const struct skf_jarr *container_uids,
			const struct skf_jarr *container_gids, struct skf_arena *a,
			struct skf_jarr *ret_uids, struct skf_jarr *ret_gids, struct skf_err *e);
