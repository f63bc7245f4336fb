/* engine/cp_int.h -- cp.c finds both ends, cp_tree.c copies between two directories, cp_tar.c between one
 * and a tar. */
#pragma once
#include "engine/engine_int.h"
#include <sys/stat.h>

struct skf_cp {
	bool archive; /* owners as they are; else uid and gid */
	uid_t uid;    /* of the destination, as its container sees it */
	gid_t gid;
	struct skf_idmaps from,
		to; /* of a container in a user namespace: what the host sees of its files are mapped ids */
};
/* Whose the copy is to be, as the host says it: of a file of the source that belongs to st. -EOVERFLOW: the
 * destination has no such id. */
int skf_cp_owner(const struct skf_cp *c, const struct stat *st, uid_t *ret_uid, gid_t *ret_gid);
/* The same for ids that a tar names. */
int skf_cp_owner_of(const struct skf_cp *c, uint32_t uid, uint32_t gid, uid_t *ret_uid, gid_t *ret_gid);
/* sdir/sname to ddir/dname, whatever it is; an existing directory is filled, an existing file replaced.
 * depth 0 at the top. */
int skf_cp_entry(const struct skf_cp *c, int sdir, const char *sname, int ddir, const char *dname,
		 unsigned depth, struct skf_err *e);
/* procfs, sysfs and their like: a directory of the copy, without content. */
bool skf_cp_is_kernels(int dir);
/* What is in sdir, into ddir. */
int skf_cp_content(const struct skf_cp *c, int sdir, int ddir, unsigned depth, struct skf_err *e);
/* sdir/sname (content: only what is in it, as ".") as a tar to fd. The name in the tar is sname. */
int skf_cp_tar_write(const struct skf_cp *c, int sdir, const char *sname, bool content, int fd,
		     struct skf_err *e);
/* sdir/sname under the name `as`, without the tar's end: more parts and one skf_cp_tar_write follow. */
int skf_cp_tar_part(const struct skf_cp *c, int sdir, const char *sname, const char *as, int fd,
		    struct skf_err *e);
/* A tar from fd to prefix below root: each place is found by openat2(RESOLVE_IN_ROOT), and what stands there
 * is replaced, never followed. */
int skf_cp_tar_read(const struct skf_cp *c, int fd, int root, const char *prefix, struct skf_err *e);
