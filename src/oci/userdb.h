/* oci/userdb.h -- who a container's user string is: our own bounded reader of the image's /etc/passwd and
 * /etc/group, never NSS (DESIGN 6; T12-T14). */
#pragma once
#include "base/fwd.h"

struct skf_userdb_result {
	uint32_t uid, gid;
	uint32_t *gids; /* arena */
	size_t n_gids;
	char *home; /* arena; "/" when unknown */
	char *name; /* arena; "" when unknown */
};
/* user: "", "name", "uid", "name:group", "uid:gid". Numeric-looking strings are never looked up as names;
 * overflow is an error. rootfd: root directory (or -1: no files, numbers only); the files are opened through
 * sys-style openat2 fds that the caller passes: passwd_fd / group_fd (borrowed, -1 absent; anything but a
 * regular file counts as absent). Names that do not exist: NOTFOUND "unable to find user NAME: no matching
 * entries in passwd file" (docker's words). Reads at most SKF_MAX_PASSWD_BYTES each. */
int skf_userdb_resolve(const char *user, int passwd_fd, int group_fd, const struct skf_strv *extra_groups,
		       struct skf_arena *a, struct skf_userdb_result *ret, struct skf_err *e);
/* Home directory of uid; "/" when there is none. */
int skf_userdb_home(uint32_t uid, int passwd_fd, struct skf_arena *a, char **ret, struct skf_err *e);
