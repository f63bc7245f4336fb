/* runtime/idmap_mount.c -- id-mapped bind mounts (config.md "mounts", uidMappings and gidMappings; man 2
 * mount_setattr, MOUNT_ATTR_IDMAP). The kernel takes the mapping from a user namespace, so the parent makes
 * one for each distinct mapping, by a child that does nothing but live in it while its maps are written, or
 * uses the one that the container joins.
 *
 * Which mapping counts, in this order: the mount's own, that of the option "idmap=...", and with the plain
 * options the container's. Invariants:
 *  1. s->mount_fds[i] holds the user namespace of mount i from prepare until the mount is made.
 *  2. A mapping is applied to a detached clone that nobody has seen; the kernel demands it.
 *
 * Blocks only for the helper child, which waits for us and for nothing else. */
#include "base/buf.h"
#include "runtime/rootfs_int.h"
#include "sys/helper.h"
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

bool skf_mount_is_idmapped(const struct skf_spec_mount *m, const struct skf_mountopts *o)
{
	return o->idmap || o->ridmap || m->uid_mappings.n || m->gid_mappings.n;
}

static bool same_maps(const struct skf_jarr *a, const struct skf_jarr *b)
{
	return a->n == b->n && memcmp(a->v, b->v, a->n * sizeof(struct skf_idmap)) == 0;
}

/* The helper child: lives until the other end of the socket is closed. */
static void hold_userns(void *unused, int sock)
{
	char c;

	(void)unused;
	while (read(sock, &c, 1) < 0 && errno == EINTR)
		;
}

static int open_userns(pid_t pid, struct skf_err *e)
{
	char path[32];

	int r = skf_fmt(path, sizeof(path), "/proc/%d/ns/user", (int)pid);
	r = r < 0 ? r : skf_openat(AT_FDCWD, path, O_RDONLY, 0);
	return r < 0 ? skf_fail_sys(e, r, "open the user namespace of an id-mapped mount") : r;
}

int skf_rt_userns(const struct skf_jarr *uids, const struct skf_jarr *gids, struct skf_err *e)
{
	struct skf_helper h;
	int fd = -1, r = skf_helper_start(CLONE_NEWUSER, hold_userns, NULL, &h);

	if (r < 0)
		return skf_fail_sys(e, r, "make a user namespace for an id-mapped mount");
	if (skf_idmap_write(h.pid, uids, gids, e) == 0)
		fd = open_userns(h.pid, e);
	skf_helper_end(&h, false);
	return fd;
}

/* The mapping of mount m; empty when it is that of the namespace that the container joins. */
static int resolve_maps(const struct skf_start *s, const struct skf_spec_mount *m,
			const struct skf_mountopts *o, struct skf_jarr *uids, struct skf_jarr *gids,
			struct skf_err *e)
{
	const struct skf_spec_linux *l = &s->spec->linux_;

	*uids = m->uid_mappings;
	*gids = m->gid_mappings;
	if (uids->n == 0 && o->idmap_spec &&
	    skf_mountopts_idmap(o->idmap_spec, &l->uid_mappings, &l->gid_mappings, s->arena, uids, gids, e) <
		    0)
		return -1;
	if (uids->n == 0 && gids->n == 0) {
		if (s->ns_join & CLONE_NEWUSER)
			return 0;
		*uids = l->uid_mappings;
		*gids = l->gid_mappings;
	}
	if (uids->n == 0 || gids->n == 0)
		return skf_fail(e, SKF_EINVALID,
				"id-mapped mounts must have both uid and gid mappings specified, or the "
				"container a user namespace of its own");
	return 0;
}

int skf_idmap_mount_prepare(struct skf_start *s, size_t i, const struct skf_mountopts *o,
			    struct skf_idmap_cache *cache, struct skf_err *e)
{
	const struct skf_spec_mount *m = (const struct skf_spec_mount *)s->spec->mounts.v + i;
	struct skf_jarr uids, gids;
	int fd;

	if (geteuid() != 0)
		return skf_fail(e, SKF_EUNSUPPORTED,
				"mount '%s': id-mapped mounts are not supported for rootless containers",
				m->destination);
	if (resolve_maps(s, m, o, &uids, &gids, e) < 0)
		return skf_ctx(e, "mount '%s'", m->destination);
	if (uids.n == 0) {
		fd = skf_dup_cloexec(s->ns_fd[0] /* user first */);
	} else if (cache->fd >= 0 && same_maps(&cache->uids, &uids) && same_maps(&cache->gids, &gids)) {
		fd = skf_dup_cloexec(cache->fd);
	} else {
		fd = skf_rt_userns(&uids, &gids, e);
		if (fd < 0)
			return skf_ctx(e, "mount '%s'", m->destination);
		skf_closep(&cache->fd);
		*cache = (struct skf_idmap_cache){.uids = uids, .gids = gids, .fd = skf_dup_cloexec(fd)};
	}
	if (fd < 0)
		return skf_fail_sys(e, fd, "mount '%s': user namespace of its mapping", m->destination);
	s->mount_fds[i] = fd;
	return 0;
}

int skf_idmap_mount_apply(int tree, int userns, const struct skf_spec_mount *m, bool recursive,
			  struct skf_err *e)
{
	struct mount_attr a = {.attr_set = MOUNT_ATTR_IDMAP, .userns_fd = (uint64_t)(unsigned)userns};

	int r = skf_mount_setattr(tree, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a);
	if (r < 0)
		return skf_fail_sys(e, r, "mount '%s': cannot apply its id mapping%s", m->destination,
				    r == -EINVAL ? " (maybe the file system of the source doesn't support "
						   "idmap mounts on this kernel)"
						 : "");
	return 0;
}
