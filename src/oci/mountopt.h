/* oci/mountopt.h -- mount options of the runtime-spec (the 37 MUST, the recursive ones, propagation) to kernel flags. One table. */
#pragma once
#include "base/fwd.h"

struct skf_mountopts {
	unsigned long flags;         /* MS_* to set (MS_BIND and MS_REC from bind/rbind included) */
	unsigned long clear;         /* MS_* explicitly cleared ("rw", "exec", ...) */
	unsigned long propagation;   /* MS_SHARED ... [| MS_REC], 0 none */
	uint64_t attr_rec_set, attr_rec_clr; /* MOUNT_ATTR_* of r* options, to be applied with AT_RECURSIVE */
	bool idmap, ridmap, tmpcopyup, copy_symlink, src_nofollow, dest_nofollow;
	char *idmap_spec;            /* "idmap=uids=..." (crun), NULL */
	char *data;                  /* the unknown options, comma-joined: file-system data; "" when none */
};
/* Arena memory for data. INVALID for contradictory or malformed options. */
int skf_mountopts_parse(const struct skf_strv *options, struct skf_arena *a, struct skf_mountopts *ret, struct skf_err *e);
