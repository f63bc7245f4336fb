/* store/treecopy_int.h -- what treecopy.c and treecopy_meta.c share. */
#pragma once
#include "store/treecopy.h"
#include <sys/stat.h>

/* Owner of a copy. ids NULL: the original's. */
void skf_treecopy_owner(const struct skf_idmaps *ids, const struct stat *st, uid_t *uid, gid_t *gid);
/* Makes the kept attributes of `to` those of `from` (user.*, file capabilities, ACLs in the mapped ids);
 * marks: overlay's opaque mark as well. */
int skf_treecopy_xattrs(int from, int to, const struct skf_idmaps *ids, bool marks);
/* Whether both have the same kept attributes, `to` in mapped ids. 1, 0, -errno. */
int skf_treecopy_same_xattrs(int from, int to, const struct skf_idmaps *ids, bool marks);
bool skf_treecopy_opaque(int dirfd);
