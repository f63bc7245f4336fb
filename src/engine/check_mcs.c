/* engine/check_mcs.c -- a pass of the check: categories (selinux/<pair>) that no container and no pod has.
 */
#include "engine/check_int.h"
#include <fcntl.h>
#include <unistd.h>

#define DIRECTORY "selinux"

static bool has_owner(struct check *c, const char *id)
{
	char name[SKF_ID_LEN + 32];

	if (!skf_ctr_id_valid(id))
		return false;
	if (skf_fmt(name, sizeof(name), "containers/%s", id) == 0 &&
	    faccessat(c->g->root_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	if (skf_fmt(name, sizeof(name), "pods/%s", id) == 0 &&
	    faccessat(c->g->root_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
		return true;
	/* what is being made has its lock first */
	return skf_fmt(name, sizeof(name), "container-%s", id) < 0 ||
	       skf_lock_held_at(c->g->locks_fd, name) == 1;
}

static int look(struct check *c, const char *pair, struct skf_err *e)
{
	SKF_AUTO_FD int dir = skf_openat(c->g->root_fd, DIRECTORY, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	char id[SKF_ID_LEN + 2];
	ssize_t n = dir < 0 ? -1 : readlinkat(dir, pair, id, sizeof(id) - 1);

	id[n < 0 ? 0 : n] = '\0';
	if (has_owner(c, id) || (dir >= 0 && faccessat(dir, pair, F_OK, AT_SYMLINK_NOFOLLOW) < 0))
		return 0;
	if (c->repair && unlinkat(dir, pair, 0) < 0 && errno != ENOENT)
		return skf_fail_sys(e, -errno, "remove '" DIRECTORY "/%s'", pair);
	return skf_check_report(c, "SELinux categories", pair, "they belong to no container",
				c->repair ? "removed" : "", e);
}

int skf_check_mcs(struct check *c, struct skf_err *e)
{
	return skf_check_each(c, c->g->root_fd, DIRECTORY, look, e);
}
