/* sys/selinux.h -- SELinux as the kernel shows it: files below /sys/fs/selinux and /proc, and the attribute
 * security.selinux. No policy, and no libselinux. */
#pragma once
#include "base/fwd.h"

/* SELinux is on and has a policy: without one the kernel takes every label and gives none. */
bool skf_selinux_is_on(void);
/* The label of what fd refers to, which may be O_PATH and then of a link as well. Written only when it has
 * another. 0 or -errno; -EOPNOTSUPP: the file system keeps no labels. */
int skf_selinux_set(int fd, const char *label);
/* The same for fd and all below it; no link is followed, other file systems below it included. A file that
 * has gone meanwhile is none, one that cannot keep a label keeps what it has. Blocks on the disk; e names
 * the file. LIMIT: deeper than SKF_MAX_TAR_DEPTH. */
int skf_selinux_set_tree(int fd, const char *label, struct skf_err *e);

struct skf_selinux_label { /* parts of "user:role:type[:level]" */
	char user[64], role[64], type[128], level[256];
};
/* -EINVAL: it is none, or a part is too long. */
int skf_selinux_parse(const char *text, struct skf_selinux_label *ret);
/* -ENAMETOOLONG. */
int skf_selinux_format(const struct skf_selinux_label *l, char *out, size_t size);
