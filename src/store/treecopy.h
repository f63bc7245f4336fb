/* store/treecopy.h -- copies of layer trees: one applied over another (a plain copy of an image), or one in
 * the ids of a user namespace (a mapped copy of a layer, DESIGN 3a). */
#pragma once
#include "base/fwd.h"
#include "oci/idmaps.h"

struct skf_treecopy {
	const struct skf_idmaps *ids; /* owners, ACLs are written as the host's ids of these maps; NULL or
					 empty: as they are */
	bool apply; /* a whiteout removes what is there, an opaque directory empties it; false: both are
		       copied as they are */
	uint64_t inodes, bytes; /* out, added up: what was made */
};
/* Adds the tree below directory fd `from` to the one below `to`: files, owners, modes, times, kept
 * attributes, hard links within `from`; data shared with the original where the file system can (FICLONE),
 * holes kept. With apply what `to` has of the same name is replaced as overlay would, without it `to` is
 * empty. Nothing of either tree is followed, and `to` is used by nobody else meanwhile. What an id stands
 * for that the maps do not have belongs to SKF_TREECOPY_NOBODY, which no user namespace maps. Not synced.
 * LIMIT: full disk, too deep. Blocks on the disk. */
int skf_treecopy(int from, int to, struct skf_treecopy *c, struct skf_err *e);
/* Whether two files or directories, open for reading, have the same kept attributes (without overlay's own).
 * 1, 0, -errno. */
int skf_treecopy_same_attributes(int a, int b);
#define SKF_TREECOPY_NOBODY 4294967294u
/* Whether `copy` is what skf_treecopy without apply makes of `tree`: same names, types, modes, sizes, times,
 * targets, attributes, and mapped owners. 1 yes, 0 no (why says what), -1. Contents are not compared. */
int skf_treecopy_same(int tree, int copy, const struct skf_idmaps *ids, char *why, size_t size,
		      struct skf_err *e);
